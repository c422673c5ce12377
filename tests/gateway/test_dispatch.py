"""Dispatch when things go wrong around it: the store, the adapter, the clock, consent."""

from __future__ import annotations

import asyncio

import pytest

from functions.gateway.consent import OptOuts
from functions.gateway.timing import Timing
from functions.gateway.vendorids import VendorIds
from functions.storage.ports import StorageError
from tests.conftest import Ready

PERSON = "+14255550101"
QUICK = Timing(settle_after=0.2, backoff_base=0.05, backoff_cap=0.2)


@pytest.fixture
async def quick(start_gateway, sandbox):
    """Run a gateway that waits little, with a provider at each vendor."""
    ready = Ready(await start_gateway(timing=QUICK), sandbox)
    for vendor in ("acs", "twilio"):
        ready.made[vendor] = await ready.make(vendor)
    return ready


async def test_a_store_that_fails_before_the_call_costs_nothing(quick, monkeypatch) -> None:
    """If the opt-outs cannot be read nothing is sent, that is certain, and the message is sent once they can."""
    real, failures = OptOuts.refresh, iter([True, True])

    async def refresh(self):
        if next(failures, False):
            raise StorageError("away")
        await real(self)

    monkeypatch.setattr(OptOuts, "refresh", refresh)
    message = await quick.delivered(quick.twilio, PERSON)

    assert [entry["what"] for entry in message["timeline"]][:5] == [
        "accepted",
        "sending",
        "refused",
        "sending",
        "refused",
    ]
    assert len(await quick.ledger("twilio")) == 1


async def test_an_adapter_that_fails_leaves_it_unknown_and_is_settled(quick, monkeypatch, caplog) -> None:
    """An exception in an adapter may come after the call: the vendor's log decides, and the log quotes nothing."""
    vendor = quick.gateway.application.vendors["twilio"]
    real, failures = type(vendor).send, iter([True])

    async def send(self, account, call, http):
        outcomes = await real(self, account, call, http)
        if next(failures, False):
            raise KeyError(account.settings["authToken"])
        return outcomes

    monkeypatch.setattr(type(vendor), "send", send)
    message = await quick.delivered(quick.twilio, PERSON)

    assert "unanswered" in [entry["what"] for entry in message["timeline"]]
    assert len(await quick.ledger("twilio")) == 1
    assert quick.twilio.settings["authToken"] not in caplog.text


async def test_a_message_that_waited_too_long_is_not_sent(quick, clock) -> None:
    """Past its validity period a message expires in the queue; the vendor never sees it."""
    await quick.ask("PUT", "/twilio/faults", {"throttle": 1})
    (identity,) = await quick.send(quick.twilio, PERSON, validityPeriod=60)
    await asyncio.sleep(0.2)
    clock.advance(61)
    await quick.ask("DELETE", "/twilio/faults")

    message = await quick.until(identity, "expired")
    assert message["reason"] == "expired"
    assert await quick.ledger("twilio") == []


async def test_validity_reaches_the_vendor_as_what_is_left(quick, monkeypatch) -> None:
    """The vendor is told how long the message is still worth sending."""
    seen = []
    vendor = quick.gateway.application.vendors["twilio"]
    real = type(vendor).send

    async def send(self, account, call, http):
        seen.append(call.validity)
        return await real(self, account, call, http)

    monkeypatch.setattr(type(vendor), "send", send)
    await quick.delivered(quick.twilio, PERSON, validityPeriod=600)

    assert 590 <= seen[0] <= 600


async def test_a_store_that_fails_for_a_moment_costs_no_report(quick, monkeypatch) -> None:
    """Where reports name the vendor's id alone, keeping that id is tried again until the store answers."""
    application, failures = quick.gateway.application, iter([True, True])
    monkeypatch.setattr(type(application.vendors["twilio"]), "reports_by_vendor_id", lambda *_: True)
    real = VendorIds.keep

    async def keep(self, provider, messages):
        if next(failures, False):
            raise StorageError("away")
        await real(self, provider, messages)

    monkeypatch.setattr(VendorIds, "keep", keep)
    message = await quick.delivered(quick.twilio, PERSON)
    ids = application.callbacks._reports._vendor_ids
    found = await ids.messages(message["provider"], [message["vendorId"]])
    assert found == {message["vendorId"]: message["id"]}


@pytest.mark.parametrize("vendor", ["acs", "twilio"])
async def test_an_opt_out_at_the_vendor_is_learned(quick, vendor) -> None:
    """Whoever the vendor calls opted out is on our list, and the next message does not leave the gateway."""
    made = getattr(quick, vendor)
    (first,) = await quick.send(made, "+14255550151")
    refused = await quick.until(first, "rejected")
    assert refused["reason"] == "opted_out"
    for _ in range(50):
        if listed := (await quick.call("GET", "/opt-outs")).body["items"]:
            break
        await asyncio.sleep(0.05)
    assert [(item["number"], item["sender"], item["source"]) for item in listed] == [
        ("+14255550151", made.address, "vendor")
    ]
    calls = len((await quick.ask("GET", f"/{vendor}/calls"))["items"])

    (second,) = await quick.send(made, "+14255550151")
    blocked = await quick.until(second, "rejected")

    assert blocked["timeline"][-1]["vendorCode"] == "gateway"
    assert len((await quick.ask("GET", f"/{vendor}/calls"))["items"]) == calls


async def test_an_opt_out_that_was_lost_is_made_good_when_the_batch_closes(quick, clock, monkeypatch) -> None:
    """A vendor's word on consent survives a store that failed just then."""
    real = OptOuts.record

    async def record(self, entry):
        raise StorageError("away")

    with monkeypatch.context() as patch:
        patch.setattr(OptOuts, "record", record)
        (identity,) = await quick.send(quick.twilio, "+14255550151")
        await quick.until(identity, "rejected")
    assert (await quick.call("GET", "/opt-outs")).body["items"] == []
    clock.advance(61)
    await quick.gateway.application.sweeper.sweep()

    assert len((await quick.call("GET", "/opt-outs")).body["items"]) == 1
    assert OptOuts.record is real


async def test_an_operators_opt_in_survives_the_closing(quick, clock) -> None:
    """What the gateway itself refused is no word of the vendor's: closing the batch does not opt anybody out again."""
    await quick.call("POST", "/opt-outs", {"number": PERSON})
    (identity,) = await quick.send(quick.twilio, PERSON)
    await quick.until(identity, "rejected")
    await quick.call("DELETE", "/opt-outs?number=%2B14255550101")
    clock.advance(61)
    await quick.gateway.application.sweeper.sweep()

    await quick.delivered(quick.twilio, PERSON)


async def test_calls_that_would_outlast_the_lease_are_not_begun(start_gateway, sandbox) -> None:
    """A worker whose time is up stops calling; what it did not begin was not sent, and is taken up again."""
    slow = Timing(lease=5.5, margin=0.1, settle_after=0.2, backoff_base=0.05, backoff_cap=0.2)
    ready = Ready(await start_gateway(timing=slow), sandbox)
    made = await ready.make("twilio")
    await ready.ask("PUT", "/twilio/faults", {"slow": 1, "slow_seconds": 0.3})
    people = [f"+1425{2_000_000 + n}" for n in range(60)]

    identities = await ready.send(made, people)
    messages = [await ready.until(identity, "delivered", seconds=20) for identity in identities]

    assert sorted(item["to"] for item in await ready.ledger("twilio")) == people
    waited = [m for m in messages if any("time was up" in entry["detail"] for entry in m["timeline"])]
    assert waited, "the attempt had time for two waves of twenty calls"
