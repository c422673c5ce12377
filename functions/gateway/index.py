"""The index of batches by time: one small row a batch, newest first, so that lists need not open every batch.

An open batch's row carries a fingerprint of its recipients and references. Once the batch is closed its row carries the
messages' final states too, and a list reads nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.gateway.clock import bucket, edge, from_ms, hours, newest_first, to_ms
from functions.gateway.facts import Batch
from functions.gateway.models import MessageSummary
from functions.gateway.packing import pack, unpack
from functions.gateway.walking import newest_rows
from functions.storage.ports import MAX_ROWS_AT_ONCE, Row, Tables

TABLE = "batchindex"
_PRINT_BYTES = 3


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """What the index says of a batch.

    Args:
        closed: Whether the batch was summed up.
        row: The row it was read from.
    """

    batch: str
    created: datetime
    provider: str
    sender: str
    business_unit: str
    count: int
    fingerprint: bytes
    closed: bool
    row: Row

    @property
    def messages(self) -> list[MessageSummary] | None:
        """The messages as a list shows them, read anew each time; ``None`` while the batch is open."""
        return [MessageSummary.model_validate(m) for m in unpack(self.row.values)] if self.closed else None

    def may_have(self, mark: str) -> bool:
        """Tell whether the batch may have a message with this mark; one in 170,000 says so wrongly per message."""
        return _may_have(self.fingerprint, mark)


def recipient_mark(number: str) -> str:
    """Return the mark of a recipient."""
    return f"to:{number}"


def reference_mark(reference: str) -> str:
    """Return the mark of a caller's reference."""
    return f"ref:{reference}"


def _print(mark: str) -> bytes:
    return hashlib.blake2b(mark.encode(), digest_size=_PRINT_BYTES).digest()


def _may_have(fingerprint: bytes, mark: str) -> bool:
    wanted = _print(mark)
    return any(fingerprint[at : at + _PRINT_BYTES] == wanted for at in range(0, len(fingerprint), _PRINT_BYTES))


def _marks(batch: Batch) -> Iterable[str]:
    for item in batch.items:
        yield recipient_mark(item.to)
        if item.reference:
            yield reference_mark(item.reference)


def place(created: datetime, batch: str) -> tuple[str, str]:
    """Return the partition and key of a batch's row."""
    milliseconds = to_ms(created)
    return bucket(milliseconds), newest_first(milliseconds, batch)


def _row(batch: Batch, messages: Sequence[MessageSummary] | None) -> Row:
    partition, key = place(batch.created, batch.id)
    packed = pack([m.model_dump(mode="json", by_alias=True) for m in messages]) if messages is not None else {}
    return Row(
        partition,
        key,
        {
            "batch": batch.id,
            "created": to_ms(batch.created),
            "provider": batch.provider,
            "sender": batch.sender_id,
            "businessUnit": batch.business_unit,
            "count": len(batch.items),
            "fingerprint": b"".join(sorted({_print(mark) for mark in _marks(batch)})),
            "closed": messages is not None,
            **packed,
        },
    )


def entry_of(row: Row) -> IndexEntry:
    """Return what a row of the index says."""
    values: Mapping[str, Any] = row.values
    return IndexEntry(
        batch=values["batch"],
        created=from_ms(values["created"]),
        provider=values["provider"],
        sender=values["sender"],
        business_unit=values["businessUnit"],
        count=values["count"],
        fingerprint=values["fingerprint"],
        closed=values["closed"],
        row=row,
    )


class BatchIndex:
    """Finds batches by time."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    async def add(self, batches: Sequence[Batch]) -> None:
        """Add batches, all of one moment; adding one again changes nothing."""
        rows = [_row(batch, None) for batch in batches]
        for at in range(0, len(rows), MAX_ROWS_AT_ONCE):
            await self._tables.insert(TABLE, rows[at : at + MAX_ROWS_AT_ONCE])

    async def get(self, batch: Batch) -> IndexEntry | None:
        """Return the entry of a batch."""
        row = await self._tables.get(TABLE, *place(batch.created, batch.id))
        return entry_of(row) if row else None

    async def close(self, entry: IndexEntry, batch: Batch, messages: Sequence[MessageSummary]) -> None:
        """Let the index say what became of a batch.

        Raises:
            StaleError: Somebody else closed it.
        """
        new = _row(batch, messages)
        await self._tables.replace(TABLE, Row(new.partition, new.key, new.values, entry.row.etag))

    async def newest(
        self, *, since: datetime, until: datetime, after: tuple[str, str] | None = None
    ) -> AsyncIterator[IndexEntry]:
        """Yield the batches made from ``since`` to before ``until``, newest first.

        Args:
            since: The earliest moment.
            until: The latest moment.
            after: The partition and key of the entry to go on behind.
        """
        first, last = bucket(to_ms(until)), bucket(to_ms(since))
        async for row in newest_rows(self._tables, TABLE, first=first, last=last, after=after):
            if since <= (entry := entry_of(row)).created < until:
                yield entry

    async def span(self, since: datetime, until: datetime) -> AsyncIterator[IndexEntry]:
        """Yield the batches made from ``since`` to before ``until``, newest first, and read no other: for short spans.

        Args:
            since: The earliest moment, to the millisecond.
            until: The latest moment.
        """
        first, last = to_ms(since), to_ms(until) - 1
        for hour in hours(first, last):
            async for row in self._tables.query(TABLE, hour, after=edge(last), before=edge(first - 1)):
                yield entry_of(row)
