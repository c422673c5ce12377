"""Batches whose queue messages ended in the poison queue are not forgotten."""

from __future__ import annotations

import asyncio

from functions.app import DISPATCH_QUEUE, POISON_QUEUE
from functions.gateway import envelope
from functions.gateway.clock import split_message_id
from functions.gateway.facts import TABLE, Attempt, sending_row
from functions.gateway.sweep import Swept
from functions.storage.ports import StorageError
from functions.triggers import schedules
from tests.gateway.test_sweep import hold_back


async def test_a_batch_that_failed_too_often_is_sent_within_minutes(ready, clock, monkeypatch) -> None:
    """The store is away until the host gives up: no sweep looks at a batch of a day, but the watch puts it back."""
    app, watch = ready.gateway.application, schedules.watch_queues._function.get_user_function()
    (identity,) = await hold_back(ready, ready.twilio)
    await app.sweeper.sweep()
    clock.advance(27 * 3600)
    # This sweep looks at it, and finds that a worker is busy.
    claim = Attempt(1, lookup=True, started=clock(), lease=120.0, indices=())
    await app.storage.tables.insert(TABLE, [sending_row(split_message_id(identity)[0], claim)])
    assert await app.sweeper.sweep() == Swept(looked_at=1)
    clock.advance(200)
    tried = []

    async def dispatch(self, batch, **options):
        tried.append(batch)
        raise StorageError("away")

    with monkeypatch.context() as patch:
        patch.setattr(type(app.dispatcher), "dispatch", dispatch)
        assert (await app.sweeper.sweep()) == Swept()
        await app.storage.queues.put(DISPATCH_QUEUE, envelope.dispatch(split_message_id(identity)[0]))
        async with asyncio.timeout(5):
            while not await app.storage.queues.length(POISON_QUEUE):
                await asyncio.sleep(0.02)
    assert len(tried) == 5
    assert (await ready.message(identity))["status"] == "queued"

    await watch(None)
    await ready.until(identity, "delivered")
    assert len(await ready.ledger("twilio")) == 1
    assert await app.storage.queues.length(POISON_QUEUE) == 0


async def test_what_is_done_is_dropped_and_what_cannot_be_read_is_left(ready, clock) -> None:
    """Nothing is left to do for a closed batch or one that is gone; a message that is none of ours is for a person."""
    app = ready.gateway.application
    message = await ready.delivered(ready.twilio, "+14255550101")
    clock.advance(61)
    assert (await app.sweeper.sweep()).closed == 1
    for body in (envelope.dispatch(split_message_id(message["id"])[0]), envelope.dispatch("0" * 26), "{}", "no JSON"):
        await app.storage.queues.put(POISON_QUEUE, body)

    assert await app.poison.put_back() == 0
    assert await app.storage.queues.length(POISON_QUEUE) == 2
    assert await app.storage.queues.length(DISPATCH_QUEUE) == 0
