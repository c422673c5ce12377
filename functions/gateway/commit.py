"""Lets rows that arrive together for one partition share a transaction."""

from __future__ import annotations

import asyncio

from functions.storage.ports import MAX_ROWS_AT_ONCE, Row, Tables


class GroupCommit:
    """Inserts rows, several at a time; nobody is told of success before the write.

    Args:
        tables: Where to.
        wait: Seconds that a row waits for company.
    """

    def __init__(self, tables: Tables, wait: float = 0.005) -> None:
        self._tables = tables
        self._wait = wait
        self._pending: dict[tuple[str, str], dict[str, tuple[Row, asyncio.Future[bool]]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def insert(self, table: str, row: Row) -> bool:
        """Insert a row if it is absent; tell whether this or a row beside it in the same transaction was new."""
        place = (table, row.partition)
        waiting = self._pending.get(place)
        if waiting is None or (len(waiting) >= MAX_ROWS_AT_ONCE and row.key not in waiting):
            waiting = self._pending[place] = {}
            task = asyncio.create_task(self._flush(place, waiting))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if row.key not in waiting:
            waiting[row.key] = (row, asyncio.get_running_loop().create_future())
        return await asyncio.shield(waiting[row.key][1])

    async def _flush(self, place: tuple[str, str], waiting: dict[str, tuple[Row, asyncio.Future[bool]]]) -> None:
        await asyncio.sleep(self._wait)
        if self._pending.get(place) is waiting:
            del self._pending[place]
        try:
            inserted = await self._tables.insert(place[0], [row for row, _ in waiting.values()])
        except Exception as error:  # noqa: BLE001 - whoever waits for the row hears of it
            for _, future in waiting.values():
                if not future.done():
                    future.set_exception(error)
            return
        for key, (_, future) in waiting.items():
            if not future.done():
                future.set_result(key in inserted)
