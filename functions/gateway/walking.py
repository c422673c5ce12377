"""Reads whole tables: those whose partitions are hours newest first, any of them portion by portion."""

from __future__ import annotations

from collections.abc import AsyncIterator

from functions.storage.ports import MAX_ROWS_AT_ONCE, Row, Tables

OLDEST = "999999999"
"""At or behind the partition of every hour there is."""


def behind(partition: str) -> str:
    """Return where the partitions behind one begin: ``!`` sorts before every letter and digit."""
    return f"{partition}!"


async def newest_rows(
    tables: Tables, table: str, *, first: str = "0", last: str = OLDEST, after: tuple[str, str] | None = None
) -> AsyncIterator[Row]:
    """Yield the rows of the hours from ``first`` to ``last``, both included, newest first.

    Args:
        tables: The tables.
        table: One whose partitions are hours.
        first: The partition of the newest hour.
        last: The partition of the oldest hour.
        after: The partition and key of the row to go on behind.
    """
    if after is not None:
        async for row in tables.query(table, after[0], after=after[1]):
            yield row
        first = max(first, behind(after[0]))
    async for row in tables.scan(table, first=first, last=last):
        yield row


async def by_partition(rows: AsyncIterator[Row]) -> AsyncIterator[tuple[str, list[Row]]]:
    """Yield the rows partition by partition."""
    collected: list[Row] = []
    async for row in rows:
        if collected and collected[0].partition != row.partition:
            yield collected[0].partition, collected
            collected = []
        collected.append(row)
    if collected:
        yield collected[0].partition, collected


async def portions(rows: AsyncIterator[Row]) -> AsyncIterator[list[Row]]:
    """Yield as many rows of a partition at once as one transaction takes."""
    portion: list[Row] = []
    async for row in rows:
        if portion and (len(portion) == MAX_ROWS_AT_ONCE or portion[0].partition != row.partition):
            yield portion
            portion = []
        portion.append(row)
    if portion:
        yield portion
