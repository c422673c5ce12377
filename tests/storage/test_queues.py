"""The queues port, as both families keep it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from functions.storage.ports import StaleError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from functions.storage.ports import QueueItem, Storage

YEAR_9999 = 253_370_764_800


async def one(storage: Storage, queue: str, visibility: float = 30) -> QueueItem:
    (item,) = await storage.queues.receive(queue, limit=32, visibility=visibility)
    return item


@pytest.mark.parametrize("body", ["", "plain", '{"v":1}', "äöü€漢字 😀\u0000\r\n", "<&>'\"]]>", "aGVsbG8=", " x "])
async def test_a_message_comes_back_exactly(storage: Storage, queue: str, body: str) -> None:
    """The text that was put is the text that is received, and its times and count tell the truth."""
    before = time.time()
    await storage.queues.put(queue, body)

    item = await one(storage, queue)

    assert item.body == body
    assert item.decoded
    assert item.dequeue_count == 1
    assert before - 2 < item.inserted < time.time() + 2
    assert item.expires > YEAR_9999


async def test_a_missing_queue_is_empty(storage: Storage, queue: str) -> None:
    """A queue that nobody has put to has no messages."""
    assert await storage.queues.receive(queue, limit=32, visibility=30) == []
    assert await storage.queues.length(queue) == 0


async def test_queues_are_apart(storage: Storage, queue: str) -> None:
    """A message is received from the queue it was put to only."""
    await storage.queues.put(queue, "here")
    await storage.queues.put(f"{queue[:-2]}-b", "there")

    assert (await one(storage, queue)).body == "here"
    assert (await one(storage, f"{queue[:-2]}-b")).body == "there"


async def test_a_received_message_is_hidden_until_its_time_is_up(
    storage: Storage, queue: str, wait: Callable[[float], Awaitable[None]]
) -> None:
    """A message comes again after the visibility time, with the next dequeue count and another receipt."""
    await storage.queues.put(queue, "a")
    first = await one(storage, queue, visibility=1)
    assert await storage.queues.receive(queue, limit=32, visibility=1) == []
    await wait(1.1)

    second = await one(storage, queue)

    assert (second.id, second.body, second.dequeue_count) == (first.id, "a", 2)
    assert second.receipt != first.receipt
    assert second.inserted == first.inserted
    with pytest.raises(StaleError):
        await storage.queues.delete(queue, first)
    with pytest.raises(StaleError):
        await storage.queues.extend(queue, first, visibility=10)
    await storage.queues.delete(queue, second)


async def test_a_receipt_outlives_its_time_while_nobody_else_takes_the_message(
    storage: Storage, queue: str, wait: Callable[[float], Awaitable[None]]
) -> None:
    """A message whose visibility time has run out can still be deleted, unless it was received again."""
    await storage.queues.put(queue, "a")
    item = await one(storage, queue, visibility=1)
    await wait(1.1)

    await storage.queues.delete(queue, item)

    assert await storage.queues.length(queue) == 0


async def test_a_delayed_message_comes_later(
    storage: Storage, queue: str, wait: Callable[[float], Awaitable[None]]
) -> None:
    """A message with a delay counts in the length at once and is received only after it, fractions rounded up."""
    await storage.queues.put(queue, "late", delay=0.5)

    assert await storage.queues.receive(queue, limit=32, visibility=30) == []
    assert await storage.queues.length(queue) == 1

    await wait(1.1)
    assert (await one(storage, queue)).body == "late"


async def test_extend_hides_for_longer_and_changes_the_receipt(
    storage: Storage, queue: str, wait: Callable[[float], Awaitable[None]]
) -> None:
    """An extended message stays hidden beyond its first time, keeps its body, and only its new receipt is good."""
    await storage.queues.put(queue, "a")
    first = await one(storage, queue, visibility=1)

    extended = await storage.queues.extend(queue, first, visibility=30)
    await wait(1.1)

    assert extended == replace(first, receipt=extended.receipt)
    assert extended.receipt != first.receipt
    assert await storage.queues.receive(queue, limit=32, visibility=1) == []
    with pytest.raises(StaleError):
        await storage.queues.delete(queue, first)
    await storage.queues.delete(queue, extended)


async def test_extend_by_0_gives_the_message_back(storage: Storage, queue: str) -> None:
    """A message that is given back can be received at once, with its body and the next dequeue count."""
    await storage.queues.put(queue, "a")
    first = await one(storage, queue)

    await storage.queues.extend(queue, first, visibility=0)

    second = await one(storage, queue)
    assert (second.id, second.body, second.dequeue_count) == (first.id, "a", 2)


async def test_a_deleted_message_is_gone(storage: Storage, queue: str) -> None:
    """A message is deleted once; after that its receipt is stale."""
    await storage.queues.put(queue, "a")
    item = await one(storage, queue)

    await storage.queues.delete(queue, item)

    assert await storage.queues.length(queue) == 0
    with pytest.raises(StaleError):
        await storage.queues.delete(queue, item)
    with pytest.raises(StaleError):
        await storage.queues.extend(queue, item, visibility=10)


async def test_a_message_of_a_missing_queue_is_stale(storage: Storage, queue: str) -> None:
    """Where there is no queue there is nothing to hold."""
    await storage.queues.put(queue, "a")
    item = await one(storage, queue)

    with pytest.raises(StaleError):
        await storage.queues.delete(f"{queue[:-2]}-b", item)


async def test_receive_takes_as_many_as_asked_for(storage: Storage, queue: str) -> None:
    """Up to 32 messages come at once, oldest first on a quiet queue, and no message comes twice."""
    for n in range(40):
        await storage.queues.put(queue, str(n))

    first = await storage.queues.receive(queue, limit=32, visibility=30)
    second = await storage.queues.receive(queue, limit=5, visibility=30)
    third = await storage.queues.receive(queue, limit=32, visibility=30)

    assert [len(first), len(second), len(third)] == [32, 5, 3]
    assert [int(item.body) for item in first + second + third] == list(range(40))
    assert await storage.queues.length(queue) == 40


async def test_concurrent_receivers_share_the_messages(storage: Storage, queue: str) -> None:
    """Of eight tasks that receive at once none gets a message that another one got."""
    await asyncio.gather(*(storage.queues.put(queue, str(n)) for n in range(40)))

    takes = await asyncio.gather(*(storage.queues.receive(queue, limit=10, visibility=30) for _ in range(8)))

    bodies = [item.body for items in takes for item in items]
    assert len(bodies) == len(set(bodies)) == 40


@pytest.mark.parametrize("limit", [0, -1, 33])
async def test_receive_refuses_other_limits(storage: Storage, queue: str, limit: int) -> None:
    """A receive takes 1 to 32 messages."""
    with pytest.raises(ValueError):
        await storage.queues.receive(queue, limit=limit, visibility=30)


@pytest.mark.parametrize("seconds", [-1, 7 * 24 * 3600 + 1])
async def test_times_are_0_to_7_days(storage: Storage, queue: str, seconds: float) -> None:
    """No message is hidden for less than nothing or more than 7 days."""
    await storage.queues.put(queue, "a", delay=0)
    item = await one(storage, queue, visibility=7 * 24 * 3600)

    with pytest.raises(ValueError):
        await storage.queues.put(queue, "a", delay=seconds)
    with pytest.raises(ValueError):
        await storage.queues.receive(queue, limit=1, visibility=seconds)
    with pytest.raises(ValueError):
        await storage.queues.receive(queue, limit=1, visibility=0)
    with pytest.raises(ValueError):
        await storage.queues.extend(queue, item, visibility=seconds)


@pytest.mark.parametrize("name", ["ab", "Upper", "a_b", "-ab", "ab-", "a--b", "a" * 64, ""])
async def test_queue_names_that_azure_refuses_are_refused(storage: Storage, name: str) -> None:
    """A queue has 3 to 63 lower case letters, digits and single dashes inside."""
    with pytest.raises(ValueError):
        await storage.queues.put(name, "a")


async def test_a_message_holds_48_kib_and_no_more(storage: Storage, queue: str) -> None:
    """49,152 bytes of UTF-8 come back, one more is refused."""
    body = "é" * 24_576
    await storage.queues.put(queue, body)

    assert (await one(storage, queue)).body == body
    with pytest.raises(TooLargeError):
        await storage.queues.put(queue, body + "x")
