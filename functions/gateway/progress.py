"""Remembers how far jobs came that the clock starts, so that the next run goes on there, on whatever instance."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from functions.storage.ports import Row, StaleError, Tables

TABLE = "upkeep"


class Progress:
    """Remembers how far the parts of one job came.

    Args:
        tables: Where to.
        job: Its name.
    """

    def __init__(self, tables: Tables, job: str) -> None:
        self._tables = tables
        self._job = job

    async def read(self, part: str) -> Row:
        """Return what is remembered of a part; a row without an etag when there is nothing yet."""
        return await self._tables.get(TABLE, self._job, part) or Row(self._job, part)

    async def save(self, known: Row, values: Mapping[str, str | int]) -> Row:
        """Remember how far a part came.

        Args:
            known: What was read of it. When another run saved meanwhile its word stands, and some is done twice.
            values: What to remember.

        Returns:
            What is remembered from now on.
        """
        row = Row(self._job, known.key, values, known.etag)
        if known.etag is None:
            await self._tables.insert(TABLE, [row])
            return await self.read(known.key)
        with suppress(StaleError):
            return await self._tables.replace(TABLE, row)
        return await self.read(known.key)
