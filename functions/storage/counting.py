"""Counts requests as Azure would bill them, whichever family does the work, for budget tests and the bench.

A transaction of many rows is one request, a query is one request for each page of 1,000 rows
(https://learn.microsoft.com/rest/api/storageservices/query-timeout-and-pagination). Retries after failures, tables made
on first use and pages that end early for their size are not counted.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from functions.storage.limits import PAGE_ROWS
from functions.storage.ports import Place, QueueItem, Queues, Row, Secrets, StaleError, Storage, Tables

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


@dataclass(slots=True)
class RequestCounter:
    """How many requests were made.

    Args:
        by_operation: The number by operation and the name of what it was done to, such as ``("insert", "batches")``;
            for secrets the name is ``secrets``.
    """

    by_operation: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def total(self) -> int:
        """All requests since the start or the last ``reset``."""
        return self.by_operation.total()

    def reset(self) -> None:
        """Begin again at 0."""
        self.by_operation.clear()

    def add(self, operation: str, name: str, requests: int = 1) -> None:
        """Count some requests."""
        self.by_operation[operation, name] += requests


def counted(storage: Storage) -> tuple[Storage, RequestCounter]:
    """Return a storage that does the same and counts, and its counter.

    Args:
        storage: What does the work; closing the counting one closes it.
    """
    counter = RequestCounter()
    return CountingStorage(
        CountingTables(storage.tables, counter),
        CountingQueues(storage.queues, counter),
        CountingSecrets(storage.secrets, counter),
        counted=storage,
    ), counter


@dataclass(frozen=True, slots=True)
class CountingStorage(Storage):
    """Three counting ports over the storage that does the work."""

    counted: Storage

    async def close(self) -> None:
        """Close the storage that does the work."""
        await self.counted.close()


class CountingTables:
    """A tables port that counts.

    Args:
        tables: What does the work.
        counter: Where to count.
    """

    def __init__(self, tables: Tables, counter: RequestCounter) -> None:
        self._tables = tables
        self._counter = counter

    @property
    def place(self) -> Place:
        """Where the tables lie."""
        return self._tables.place

    async def insert(self, table: str, rows: Sequence[Row]) -> frozenset[str]:
        """Insert: one request; if some rows are there, one more to see which, and one for the rest."""
        inserted = await self._tables.insert(table, rows)
        conflict = len(inserted) < len(rows)
        self._counter.add("insert", table, 1 + conflict + (conflict and bool(inserted)))
        return inserted

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """Get: one request."""
        self._counter.add("get", table)
        return await self._tables.get(table, partition, key)

    async def query(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Row]:
        """Query: one request for each page that is begun."""
        rows = self._tables.query(table, partition, after=after, before=before, limit=limit)
        async for row in self._paged("query", table, rows, limit):
            yield row

    async def scan(self, table: str, *, first: str, last: str, limit: int | None = None) -> AsyncIterator[Row]:
        """Scan: one request for each page that is begun."""
        rows = self._tables.scan(table, first=first, last=last, limit=limit)
        async for row in self._paged("scan", table, rows, limit):
            yield row

    async def replace(self, table: str, row: Row) -> Row:
        """Replace: one request; if the row was changed, one more to see whether that was us."""
        self._counter.add("replace", table)
        try:
            return await self._tables.replace(table, row)
        except StaleError:
            self._counter.add("replace", table)
            raise

    async def change(self, table: str, *, replaced: Sequence[Row] = (), deleted: Sequence[Row] = ()) -> None:
        """Change: one request, however many rows."""
        self._counter.add("change", table)
        await self._tables.change(table, replaced=replaced, deleted=deleted)

    async def delete(self, table: str, partition: str, key: str, *, etag: str | None = None) -> bool:
        """Delete: one request."""
        self._counter.add("delete", table)
        return await self._tables.delete(table, partition, key, etag=etag)

    async def _paged(
        self, operation: str, table: str, rows: AsyncIterator[Row], limit: int | None
    ) -> AsyncIterator[Row]:
        if limit is not None and limit <= 0:
            return
        self._counter.add(operation, table)
        seen = 0
        async for row in rows:
            if seen and seen % PAGE_ROWS == 0:
                self._counter.add(operation, table)
            seen += 1
            yield row


class CountingQueues:
    """A queues port that counts: one request for each operation.

    Args:
        queues: What does the work.
        counter: Where to count.
    """

    def __init__(self, queues: Queues, counter: RequestCounter) -> None:
        self._queues = queues
        self._counter = counter

    @property
    def place(self) -> Place:
        """Where the queues lie."""
        return self._queues.place

    async def put(self, queue: str, body: str, *, delay: float = 0.0) -> None:
        """Put: one request."""
        self._counter.add("put", queue)
        await self._queues.put(queue, body, delay=delay)

    async def receive(self, queue: str, *, limit: int, visibility: float) -> list[QueueItem]:
        """Receive: one request, however many messages come."""
        self._counter.add("receive", queue)
        return await self._queues.receive(queue, limit=limit, visibility=visibility)

    async def extend(self, queue: str, item: QueueItem, *, visibility: float) -> QueueItem:
        """Extend: one request."""
        self._counter.add("extend", queue)
        return await self._queues.extend(queue, item, visibility=visibility)

    async def delete(self, queue: str, item: QueueItem) -> None:
        """Delete: one request."""
        self._counter.add("delete", queue)
        await self._queues.delete(queue, item)

    async def length(self, queue: str) -> int:
        """Length: one request."""
        self._counter.add("length", queue)
        return await self._queues.length(queue)


class CountingSecrets:
    """A secrets port that counts: one request an operation, but none for a value that Azure's family has in memory.

    Args:
        secrets: What does the work.
        counter: Where to count.
    """

    def __init__(self, secrets: Secrets, counter: RequestCounter) -> None:
        self._secrets = secrets
        self._counter = counter
        self._cached: set[str] = set()

    @property
    def place(self) -> Place:
        """Where the secrets lie."""
        return self._secrets.place

    async def set(self, name: str, value: str) -> None:
        """Set: one request."""
        self._counter.add("set", "secrets")
        await self._secrets.set(name, value)
        self._cached.add(name.lower())

    async def get(self, name: str) -> str | None:
        """Get: one request the first time."""
        if name.lower() not in self._cached:
            self._counter.add("get", "secrets")
        value = await self._secrets.get(name)
        if value is not None:
            self._cached.add(name.lower())
        return value

    async def delete(self, name: str) -> None:
        """Delete: one request."""
        self._counter.add("delete", "secrets")
        self._cached.discard(name.lower())
        await self._secrets.delete(name)
