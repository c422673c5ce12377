"""The promise, measured at both ends: what was asked for, and what the vendor really sent."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from functions.gateway.states import FINAL
from functions.gateway.timing import Timing
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


async def every_message(ready: Ready) -> list[dict]:
    """Read the whole log, page by page."""
    items, cursor = [], ""
    while True:
        page = (await ready.call("GET", f"/messages?limit=500{cursor}")).body
        items += page["items"]
        if "next" not in page:
            return items
        cursor = f"&cursor={page['next']}"


async def settled(ready: Ready, seconds: float) -> list[dict]:
    """Wait until no message is on its way and the sandbox has told everything."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        messages = await every_message(ready)
        if all(message["status"] in FINAL for message in messages):
            return messages
        states = Counter(message["status"] for message in messages)
        assert asyncio.get_running_loop().time() < deadline, f"not settled in {seconds} s: {states}"
        await asyncio.sleep(0.3)


async def ledger(ready: Ready, vendor: str) -> list[dict]:
    """Read all that a vendor really sent."""
    items, cursor = [], ""
    while True:
        page = await ready.ask("GET", f"/{vendor}/ledger?limit=1000{cursor}")
        items += [item for item in page["items"] if item["direction"] != "inbound"]
        if not page.get("next"):
            return items
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize("vendor", KITS)
async def test_a_thousand_messages_with_faults_agree_with_the_ledger(start_gateway, sandbox, vendor) -> None:
    """With errors, lost answers, repeated and reordered reports the log and the ledger agree message for message."""
    ready = Ready(await start_gateway(timing=QUICK), sandbox)
    made = await ready.make(vendor)
    await ready.ask("PUT", f"/{vendor}/faults", FAULTS)
    recipients = [f"+1425{2_000_000 + number}" for number in range(MESSAGES)]
    recipients[10:18] = [f"+1425555{tail}" for tail in ("0160", "0161", "0162", "0163", "0165", "0166", "0167", "0168")]
    wanted = [{"to": to, "text": f"Hello {place % 10}"} for place, to in enumerate(recipients)]

    answer = await ready.call("POST", "/messages", {"from": made.sender, "messages": wanted})
    assert answer.body["accepted"] == MESSAGES, answer.body
    log = await settled(ready, 60)
    await sandbox.idle()

    sent = await ledger(ready, vendor)
    assert Counter((item["to"], item["text"]) for item in sent) == Counter((w["to"], w["text"]) for w in wanted)
    assert {message["id"] for message in log} == {item["id"] for item in answer.body["messages"]}
    final = {item["to"]: item["state"] for item in sent}
    told = {message["to"]: message["status"] for message in log}
    assert {to for to, state in told.items() if state == "delivered"} == {
        to for to, state in final.items() if state == "delivered"
    }
    print(f"{vendor}: {len(sent)} sent, {Counter(told.values())}, {ready.gateway.host.executions}")
