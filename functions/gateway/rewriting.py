"""Rewrites and deletes rows that others may be writing to: each by its version, so that nothing of theirs is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from functions.storage.ports import MAX_ROWS_AT_ONCE, Row, StaleError, Tables

_PORTION_BYTES = 600_000
"""Far below the 4 MiB of a transaction, since bytes grow by a third on the wire and characters up to sixfold."""

Rewritten = Callable[[Row], Row | None]
"""What a row becomes; ``None`` when it stays as it is, which it must say of what it returned before."""


async def rewrite(tables: Tables, table: str, rows: Sequence[Row], rewritten: Rewritten) -> int:
    """Rewrite rows of one partition, in their order, a transaction for as many as fit.

    A row that somebody changed meanwhile is read and rewritten again by itself; one that is gone stays so.

    Returns:
        How many of the rows had to be rewritten.
    """
    news = [new for row in rows if (new := rewritten(row)) is not None]
    for portion in _portions(news):
        try:
            await tables.change(table, replaced=portion)
        except StaleError:
            for row in portion:
                await _rewrite_one(tables, table, row, rewritten)
    return len(news)


async def _rewrite_one(tables: Tables, table: str, row: Row, rewritten: Rewritten) -> None:
    while (now := await tables.get(table, row.partition, row.key)) is not None:
        new = rewritten(now)
        if new is None:
            return
        with suppress(StaleError):
            await tables.replace(table, new)
            return


async def delete(tables: Tables, table: str, rows: Sequence[Row]) -> int:
    """Delete rows of one partition in their order; from one on that somebody changed meanwhile, the rest stays.

    Returns:
        How many were deleted.
    """
    for at in range(0, len(rows), MAX_ROWS_AT_ONCE):
        try:
            await tables.change(table, deleted=rows[at : at + MAX_ROWS_AT_ONCE])
        except StaleError:
            return at
    return len(rows)


def without(row: Row, **values: str) -> Row | None:
    """Return the row with these values instead of its own, or ``None`` when it has them already."""
    if all(row.values.get(name) == value for name, value in values.items()):
        return None
    return replace(row, values={**row.values, **values})


def _portions(rows: Sequence[Row]) -> Iterator[list[Row]]:
    portion: list[Row] = []
    size = 0
    for row in rows:
        weight = sum(len(value) for value in row.values.values() if isinstance(value, str | bytes))
        if portion and (len(portion) == MAX_ROWS_AT_ONCE or size + weight > _PORTION_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(row)
        size += weight
    if portion:
        yield portion
