"""The promise, measured at both ends: what was asked for, and what the vendor really sent."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from functions.gateway.states import FINAL
from functions.gateway.timing import Timing
from functions.vendors.registry import vendors
from tests.conftest import KITS, Ready

QUICK = Timing(settle_after=0.3, backoff_base=0.05, backoff_cap=0.5)
"""Waits that a test can sit out; what decides between sending and asking stays as it is."""

MESSAGES = 1000
FAULTS = {
    "seed": 7,
    "throttle": 0.01,
    "throttle_retry_after": 0.005,
    "error_before": 0.01,
    "error_after": 0.01,
    "drop_before": 0.005,
    "drop_after": 0.01,
    "retry_after_seconds": 0.1,
    "callback_duplicate": 0.2,
    "callback_reorder": 0.2,
    "callback_forge": 0.05,
}
"""Five in a hundred calls go wrong, one report in five comes twice and one in five too early."""

CALL_FAULTS = ("throttle", "throttle_retry_after", "error_before", "error_after", "drop_before", "drop_after")
NOTHING_SENT = {"error_before", "drop_before"}


def faults_for(vendor: str) -> dict:
    """Return the faults for a vendor; one that takes a hundred texts a call gets few calls, so more of them fail."""
    capabilities = vendors()[vendor].description.capabilities
    many = capabilities.recipients_per_call > 1 and not capabilities.one_text_per_call
    return {name: rate * 6 if many and name in CALL_FAULTS else rate for name, rate in FAULTS.items()}


def is_blind(vendor: str) -> bool:
    """Tell whether nobody can say what became of a call without an answer until a report comes."""
    capabilities = vendors()[vendor].description.capabilities
    return not capabilities.lookup and not capabilities.replay_window


async def every_message(ready: Ready) -> list[dict]:
    """Read the whole log, page by page."""
    items, cursor = [], ""
    while True:
        page = (await ready.call("GET", f"/messages?limit=500{cursor}")).body
        items += page["items"]
        if "next" not in page:
            return items
        cursor = f"&cursor={page['next']}"


async def settled(ready: Ready, seconds: float, *, provider: str, blind: bool) -> list[dict]:
    """Wait until no message is on its way and the sandbox has told everything.

    Args:
        ready: The gateway and the sandbox.
        seconds: How long to wait.
        provider: Whose messages.
        blind: Whether a message may stay unknown, since its vendor offers no way to find out.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    ended = {*FINAL, "unknown"} if blind else FINAL
    while True:
        messages = [message for message in await every_message(ready) if message["provider"] == provider]
        if all(message["status"] in ended for message in messages):
            await ready.sandbox.idle()
            return [message for message in await every_message(ready) if message["provider"] == provider]
        states = Counter(message["status"] for message in messages)
        assert asyncio.get_running_loop().time() < deadline, f"not settled in {seconds} s: {states}"
        await asyncio.sleep(0.3)


async def everything(ready: Ready, path: str) -> list[dict]:
    """Read a list of the sandbox page by page."""
    items: list[dict] = []
    while True:
        page = await ready.ask("GET", f"{path}?limit=1000&offset={len(items)}")
        items += page["items"]
        if len(items) >= page["total"]:
            return items


async def ledger(ready: Ready, vendor: str) -> list[dict]:
    """Read all that a vendor really sent."""
    return [item for item in await everything(ready, f"/{vendor}/ledger") if item["direction"] != "inbound"]


async def lost_calls(ready: Ready, vendor: str) -> int:
    """Count the calls that the vendor met without sending anything and without saying so."""
    return sum(call["trouble"] in NOTHING_SENT for call in await everything(ready, f"/{vendor}/calls"))


def plus(number: str) -> str:
    """Return a number with the plus that some vendors leave out."""
    return number if number.startswith("+") else f"+{number}"


@pytest.mark.parametrize("vendor", KITS)
async def test_a_thousand_messages_with_faults_agree_with_the_ledger(start_gateway, sandbox, vendor) -> None:
    """With errors, lost answers, repeated and reordered reports the log and the ledger agree message for message."""
    ready = Ready(await start_gateway(timing=QUICK), sandbox)
    made = await ready.make(vendor)
    await ready.ask("PUT", f"/{vendor}/faults", faults_for(vendor))
    recipients = [f"+1425{2_000_000 + number}" for number in range(MESSAGES)]
    recipients[10:18] = [f"+1425555{tail}" for tail in ("0160", "0161", "0162", "0163", "0165", "0166", "0167", "0168")]
    wanted = [{"to": to, "text": f"Hello {place % 10}"} for place, to in enumerate(recipients)]

    answer = await ready.call("POST", "/messages", {"from": made.sender, "messages": wanted})
    assert answer.body["accepted"] == MESSAGES, answer.body
    log = await settled(ready, 60, provider=made.id, blind=is_blind(vendor))

    sent = await ledger(ready, vendor)
    counted, asked = (
        Counter((plus(item["to"]), item["text"]) for item in sent),
        Counter((w["to"], w["text"]) for w in wanted),
    )
    assert counted <= asked, "sent twice, or sent what nobody asked for"
    never = {to for to, _ in asked - counted}
    assert {message["to"] for message in log if message["status"] == "unknown"} == never
    assert not never or is_blind(vendor)
    assert (
        len(never) <= await lost_calls(ready, vendor) * vendors()[vendor].description.capabilities.recipients_per_call
    )
    assert {message["id"] for message in log} == {item["id"] for item in answer.body["messages"]}
    final = {plus(item["to"]): item["state"] for item in sent}
    told = {message["to"]: message["status"] for message in log}
    assert {to for to, state in told.items() if state == "delivered"} == {
        to for to, state in final.items() if state == "delivered"
    }
    print(f"{vendor}: {len(sent)} sent, {Counter(told.values())}, {ready.gateway.host.executions}")
