"""The counting storage does the same as the one it counts, and counts what really goes over the wire."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from functions.storage.counting import counted
from functions.storage.ports import Row, StaleError, Storage, StorageError

if TYPE_CHECKING:
    from tests.storage.conftest import Proxied


async def test_the_count_is_what_goes_over_the_wire(proxied: Proxied, table: str, queue: str) -> None:
    """For each operation on tables and queues the counter grows by the requests that Azurite gets."""
    storage, counter = counted(proxied.storage)
    await storage.tables.insert(table, [Row("p", "first")])
    await storage.queues.put(queue, "first")
    row = await storage.tables.get(table, "p", "first")
    assert row is not None

    async def query() -> None:
        assert [found.key async for found in storage.tables.query(table, "p", after="k")]

    async def scan() -> None:
        assert [found.key async for found in storage.tables.scan(table, first="p", last="q")]

    async def stop_early() -> None:
        async for _ in storage.tables.scan(table, first="p", last="q"):
            break

    async def nothing() -> None:
        assert not [found.key async for found in storage.tables.query(table, "p", limit=0)]
        assert not [found.key async for found in storage.tables.query(table, "empty")]

    async def stale() -> None:
        with pytest.raises(StaleError):
            await storage.tables.replace(table, replace(row, values={"n": 2}))

    async def change() -> None:
        rows = [found async for found in proxied.storage.tables.query(table, "p", after="k", before="k50")]
        proxied.tables.forwarded.clear()
        await storage.tables.change(table, replaced=rows[:20], deleted=rows[20:])
        with pytest.raises(StaleError):
            await storage.tables.change(table, deleted=rows[:2])

    async def messages() -> None:
        (item,) = await storage.queues.receive(queue, limit=32, visibility=30)
        item = await storage.queues.extend(queue, item, visibility=30)
        await storage.queues.delete(queue, item)
        assert await storage.queues.length(queue) == 1

    operations = [
        lambda: storage.tables.insert(table, [Row("p", "single")]),
        lambda: storage.tables.insert(table, [Row("p", f"k{n:02}") for n in range(100)]),
        lambda: storage.tables.insert(table, [Row("p", "single")]),
        lambda: storage.tables.insert(table, [Row("p", f"k{n:02}") for n in range(100)]),
        lambda: storage.tables.insert(table, [Row("p", f"k{n:02}") for n in range(50, 150)]),
        lambda: storage.tables.get(table, "p", "missing"),
        *(query, scan, stop_early, nothing),
        lambda: storage.tables.replace(table, replace(row, values={"n": 1})),
        stale,
        change,
        lambda: storage.tables.delete(table, "p", "first"),
        lambda: storage.queues.put(queue, "second"),
        lambda: storage.queues.receive(queue, limit=1, visibility=30),
        messages,
    ]
    for number, operation in enumerate(operations):
        counter.reset()
        proxied.tables.forwarded.clear()
        proxied.queues.forwarded.clear()
        await operation()
        sent = [*proxied.tables.forwarded, *proxied.queues.forwarded]
        assert counter.total == len(sent), (number, counter.by_operation, sent)


async def test_a_query_counts_each_page_that_is_begun(embedded: Storage) -> None:
    """1,001 rows are two requests, 1,000 are one, and rows that were never asked for are none."""
    storage, counter = counted(embedded)
    for start in range(0, 1001, 100):
        await storage.tables.insert("rows", [Row("p", f"{n:04}") for n in range(start, min(start + 100, 1001))])
    counted_by_limit = {}
    for limit in (0, 1, 1000, None):
        counter.reset()
        found = [row.key async for row in storage.tables.query("rows", "p", limit=limit)]
        assert len(found) == (1001 if limit is None else limit)
        counted_by_limit[limit] = counter.total

    assert counted_by_limit == {0: 0, 1: 1, 1000: 1, None: 2}


async def test_a_secret_in_memory_costs_nothing(embedded: Storage) -> None:
    """A value that was set or read once is not counted again, a missing one is."""
    storage, counter = counted(embedded)
    await storage.secrets.set("Name", "canary")
    await storage.secrets.get("name")
    await storage.secrets.get("missing")
    await storage.secrets.get("missing")
    await storage.secrets.delete("name")
    await storage.secrets.get("name")

    assert counter.by_operation == {("set", "secrets"): 1, ("get", "secrets"): 3, ("delete", "secrets"): 1}


async def test_operations_are_counted_by_name(embedded: Storage) -> None:
    """The counter tells which table or queue costs what, and begins again when it is reset."""
    storage, counter = counted(embedded)
    await storage.tables.insert("rows", [Row("p", "a"), Row("p", "b")])
    await storage.tables.insert("rows", [Row("p", "b"), Row("p", "c")])
    await storage.queues.put("queue", "a")

    assert counter.by_operation == {("insert", "rows"): 4, ("put", "queue"): 1}
    assert counter.total == 5
    counter.reset()
    assert counter.total == 0


async def test_closing_closes_what_does_the_work(embedded: Storage) -> None:
    """The counting storage hands the closing on."""
    storage, _ = counted(embedded)
    await storage.close()

    with pytest.raises(StorageError, match="closed"):
        await embedded.tables.get("rows", "p", "k")
