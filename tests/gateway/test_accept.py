"""Accepting: nothing is answered before it is durable, and a repeat finishes what a crash left undone."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from functions.gateway.facts import MAX_BATCH, TABLE, batch_of
from functions.storage.ports import StorageError

BODY = {"messages": [{"to": f"+1425{2_000_000 + n}", "text": f"Hello {n}"} for n in range(250)]}


async def batches(ready) -> list:
    tables = ready.gateway.application.storage.tables
    return [batch_of(row) async for row in tables.scan(TABLE, first="0", last="z") if row.key == "accepted"]


async def send(ready, body: dict, key: str | None = None):
    return await ready.call(
        "POST", "/messages", {"from": ready.acs.sender} | body, headers={"Idempotency-Key": key} if key else None
    )


async def test_batches_are_full_and_recipients_distinct(ready) -> None:
    """A call falls into batches of a hundred; a recipient's second message goes to another batch."""
    body = {"messages": BODY["messages"] + [{"to": "+14252000000", "text": f"again {n}"} for n in range(3)]}

    await send(ready, body)

    made = await batches(ready)
    assert sum(len(batch.items) for batch in made) == len(body["messages"])
    assert len(made) == 5, "three for the 250, and two more for a person's third and fourth text"
    for batch in made:
        assert len({item.to for item in batch.items}) == len(batch.items) <= MAX_BATCH


@pytest.mark.filterwarnings("ignore:Sending a large body directly:ResourceWarning")
async def test_a_long_call_is_split_by_size_too(ready) -> None:
    """A batch of long texts and large metadata still fits into one row of the store."""
    metadata = {"x": "é" * 900}
    body = {
        "messages": [{"to": f"+1425{2_000_000 + n}", "text": "💬" * 1500, "metadata": metadata} for n in range(150)]
    }

    answer = await send(ready, body)

    assert answer.status == 202, answer.body
    assert answer.body["accepted"] == 150
    assert max(len(batch.items) for batch in await batches(ready)) < MAX_BATCH


@pytest.mark.parametrize("broken", range(1, 7))
async def test_a_repeat_finishes_what_failed_halfway(ready, clock, monkeypatch, broken) -> None:
    """Whichever write fails, the repeat under the same key stores the rest, and each message is sent once."""
    storage = ready.gateway.application.storage
    real_insert, real_put = type(storage.tables).insert, type(storage.queues).put
    count = 0

    def fail_at_last() -> None:
        nonlocal count
        count += 1
        if count >= broken:
            raise StorageError("away")

    async def insert(self, table, rows):
        fail_at_last()
        return await real_insert(self, table, rows)

    async def put(self, queue, body, *, delay=0.0):
        fail_at_last()
        return await real_put(self, queue, body, delay=delay)

    with monkeypatch.context() as patch:
        patch.setattr(type(storage.tables), "insert", insert)
        patch.setattr(type(storage.queues), "put", put)
        # The sixth is the queue: by then all is stored and will be sent, so no caller must take it for a failure.
        assert (await send(ready, BODY, "k")).status == (503 if broken < 6 else 202)

    again = await send(ready, BODY, "k")
    third = await send(ready, BODY, "k")
    # What was stored and not queued is the sweeper's: its grace has passed by then.
    clock.advance(61)
    await ready.gateway.application.sweeper.sweep()
    async with asyncio.timeout(10):
        while len(await ready.ledger("acs")) < len(BODY["messages"]):
            await asyncio.sleep(0.1)

    assert again.status == third.status == 202
    assert again.body == third.body
    assert Counter(item["to"] for item in await ready.ledger("acs")) == Counter(m["to"] for m in BODY["messages"])


async def test_requests_at_once_under_one_key_are_one_request(ready) -> None:
    """Five repeats that race give one answer, and each message is sent once."""
    answers = await asyncio.gather(*(send(ready, BODY, "k") for _ in range(5)))
    for identity in [item["id"] for item in answers[0].body["messages"]][:3]:
        await ready.until(identity)

    assert all(answer.body == answers[0].body for answer in answers)
    assert sum(len(batch.items) for batch in await batches(ready)) == 250


async def test_a_refusal_points_to_where_the_fault_stands(ready) -> None:
    """A text that the call gave for all its messages is named there, a message's own text at the message."""
    messages = [{"to": "+14252000000"}, {"to": "+14252000001", "text": "\u0000"}, {"to": "+14252000002", "text": "ok"}]

    answer = await send(ready, {"text": "\u0007", "messages": messages})

    refused = [item["refusal"]["field"] for item in answer.body["messages"] if item["status"] == "refused"]
    assert refused == ["/text", "/messages/1/text"]


async def test_a_key_is_forgotten_after_two_days(ready, clock) -> None:
    """An old key may be used again; the request then counts as new."""
    body = {"to": "+14252000000", "text": "Hi"}
    first = await send(ready, body, "k")
    clock.advance(49 * 3600)
    second = await send(ready, body, "k")

    assert second.status == 202
    assert second.body["messages"][0]["id"] != first.body["messages"][0]["id"]
