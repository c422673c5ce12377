"""Events that Event Grid puts into a queue, and what is said of poison queues."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from functions.app import POISON_QUEUE
from functions.triggers import schedules
from functions.triggers.names import EVENTS_POISON_QUEUE, EVENTS_QUEUE, POISON_LINE
from tests.triggers import store
from tests.triggers.test_callbacks import ANN, INBOUND_TYPE, REPORT_TYPE, event


async def empty(ready, queue=EVENTS_QUEUE):
    """Wait until a queue has been worked off."""
    queues = ready.gateway.application.storage.queues
    async with asyncio.timeout(5):
        while await queues.length(queue):
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("cloud", [False, True], ids=["EventGrid", "CloudEvents"])
async def test_queued_events_do_what_posted_ones_do(ready, dump, cloud):
    """A report and a reply out of the queue, in either schema, are kept; repeated, they change nothing."""
    (identity,) = await ready.send(ready.acs, "+14255550180")
    sent = await ready.until(identity, "sent")
    report = {
        "messageId": sent["vendorId"],
        "from": ready.acs.address,
        "to": sent["to"],
        "deliveryStatus": "Delivered",
        "deliveryStatusDetails": "No error.",
        "Tag": identity[:-3],
    }
    reply = {"messageId": "Incoming_1", "from": ANN, "to": ready.acs.address, "message": "Hello"}
    events = [event(REPORT_TYPE, report, 1, cloud), event(INBOUND_TYPE, reply, 2, cloud)]
    queues = ready.gateway.application.storage.queues

    async def deliver():
        for one in events:
            await queues.put(EVENTS_QUEUE, json.dumps(one))
        await empty(ready)
        await ready.idle()

    await deliver()
    assert (await ready.until(identity, "delivered"))["status"] == "delivered"
    assert [item["text"] for item in (await ready.call("GET", "/inbound")).body["items"]] == ["Hello"]
    before = store_without_queues(dump)
    await deliver()
    assert store_without_queues(dump) == before


def store_without_queues(dump):
    """Return the rows of the store's tables; ids of queue messages count on."""
    return [part for part in dump() if EVENTS_QUEUE not in str(part)]


async def test_what_is_no_event_is_put_aside(ready, path):
    """A known shape of an unknown kind is set aside in the store; what is no event at all fails and quotes nothing."""
    queues = ready.gateway.application.storage.queues
    await queues.put(EVENTS_QUEUE, json.dumps(event("Microsoft.Storage.BlobCreated", {"url": "x"})))
    await empty(ready)
    (aside,) = store.table(path, "setaside")
    assert "BlobCreated" in json.dumps(aside)


@pytest.mark.parametrize("body", ["[1]", '"text"', "no json"])
async def test_what_is_no_object_fails(ready, body, caplog):
    """A body that is no JSON object makes the function fail, so that it ends in the poison queue, and is not quoted."""
    from functions.triggers.acs_events import _take_queued
    from functions.triggers.failures import FailedError, carry_out

    with pytest.raises(FailedError) as caught:
        await carry_out("sms_event_queued", lambda: _take_queued(body.encode()))
    assert body not in str(caught.value)


async def test_poison_queues_are_told_of(ready, caplog):
    """The watch is silent while poison queues are empty, and then says the line that the alert looks for."""
    watch = schedules.watch_queues._function.get_user_function()
    queues = ready.gateway.application.storage.queues
    with caplog.at_level(logging.INFO, "sms.schedules"):
        await watch(None)
        assert caplog.messages == []
        for _ in range(2):
            await queues.put(EVENTS_POISON_QUEUE, "{}")
        await queues.put(POISON_QUEUE, "{}")
        await watch(None)
    assert caplog.messages == [
        f"{POISON_LINE}{POISON_QUEUE} holds 1 messages.",
        f"{POISON_LINE}{EVENTS_POISON_QUEUE} holds 2 messages.",
    ]
    assert (await ready.call("GET", "/health")).body["poisoned"] == 3
