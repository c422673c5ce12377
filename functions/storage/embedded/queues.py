"""Queues in SQLite: a message is a row with the time from which it can be received."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from functions.storage import limits
from functions.storage.ports import Place, QueueItem, StaleError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from functions.storage.embedded.database import Database

NEVER: Final = 253402300799.0
"""9999-12-31T23:59:59Z, Azure's word for a message that does not expire."""

_PUT: Final = "INSERT INTO messages (queue, body, visible, inserted) VALUES (?, ?, ?, ?)"
_RECEIVE: Final = """
    UPDATE messages SET visible = ?, receipt = receipt + 1, dequeues = dequeues + 1
    WHERE id IN (SELECT id FROM messages WHERE queue = ? AND visible <= ? ORDER BY visible, id LIMIT ?)
    RETURNING id, receipt, body, dequeues, inserted"""
_EXTEND: Final = """
    UPDATE messages SET visible = ?, receipt = receipt + 1 WHERE queue = ? AND id = ? AND receipt = ?
    RETURNING receipt"""
_DELETE: Final = "DELETE FROM messages WHERE queue = ? AND id = ? AND receipt = ?"
_LENGTH: Final = "SELECT count(*) FROM messages WHERE queue = ?"


class EmbeddedQueues:
    """The queues port over SQLite.

    Args:
        database: The file.
        clock: Seconds since the epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    @property
    def place(self) -> Place:
        """Where the queues lie."""
        return Place(self._database.file.name)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def put(self, queue: str, body: str, *, delay: float = 0.0) -> None:
        """Add a message; see the port."""
        limits.check_body(body)
        hidden = limits.whole_seconds(delay)
        now = self._clock()
        record = (limits.queue_name(queue), body, now + hidden, now)
        await self._database.write(lambda connection: connection.execute(_PUT, record).rowcount)

    async def receive(self, queue: str, *, limit: int, visibility: float) -> list[QueueItem]:
        """Take messages and hide them for a while; see the port."""
        limits.check_receive(limit)
        hidden = limits.whole_seconds(visibility, least=1)
        limits.queue_name(queue)

        def work(connection: sqlite3.Connection) -> list[tuple[int, int, str, int, float]]:
            now = self._clock()
            return connection.execute(_RECEIVE, (now + hidden, queue, now, limit)).fetchall()

        taken = await self._database.write(work)
        return [
            QueueItem(str(identifier), str(receipt), body, dequeues, inserted, NEVER)
            for identifier, receipt, body, dequeues, inserted in sorted(taken)
        ]

    async def extend(self, queue: str, item: QueueItem, *, visibility: float) -> QueueItem:
        """Hide a received message for a while from now; see the port."""
        hidden = limits.whole_seconds(visibility)
        limits.queue_name(queue)

        def work(connection: sqlite3.Connection) -> tuple[int] | None:
            parameters = (self._clock() + hidden, queue, item.id, item.receipt)
            # fetchall() rather than fetchone(): the statement must have ended before the commit.
            return next(iter(connection.execute(_EXTEND, parameters).fetchall()), None)

        extended = await self._database.write(work)
        if extended is None:
            raise StaleError("the queue message was received by someone else or is gone")
        return replace(item, receipt=str(extended[0]))

    async def delete(self, queue: str, item: QueueItem) -> None:
        """Delete a received message; see the port."""
        where = (limits.queue_name(queue), item.id, item.receipt)
        if not await self._database.write(lambda connection: connection.execute(_DELETE, where).rowcount):
            raise StaleError("the queue message was received by someone else or is gone")

    async def length(self, queue: str) -> int:
        """Return how many messages the queue holds; see the port."""
        name = limits.queue_name(queue)
        (count,) = await self._database.read(lambda connection: connection.execute(_LENGTH, (name,)).fetchone())
        return int(count)
