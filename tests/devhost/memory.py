"""Queues and tables in memory, for tests that own the clock: nothing happens in another thread or takes time."""

import itertools
from dataclasses import dataclass, replace

from functions.storage.ports import QueueItem, Row, StaleError, Storage


@dataclass
class Message:
    item: QueueItem
    visible: float


class MemoryQueues:
    """The queues port, as far as the dev host uses it, with the semantics of its contract."""

    def __init__(self, clock):
        self._clock = clock
        self._numbers = itertools.count(1)
        self._queues = {}

    async def put(self, queue, body, *, delay=0.0):
        now = self._clock.now()
        item = QueueItem(f"id-{next(self._numbers)}", "", body, 0, now, now + 604_800)
        self._queues.setdefault(queue, []).append(Message(item, now + delay))

    async def receive(self, queue, *, limit, visibility):
        visible = [message for message in self._queues.get(queue, []) if message.visible <= self._clock.now()]
        for message in visible[:limit]:
            self._hide(message, visibility, dequeues=1)
        return [message.item for message in visible[:limit]]

    async def extend(self, queue, item, *, visibility):
        message = self._held(queue, item)
        self._hide(message, visibility, dequeues=0)
        return message.item

    async def delete(self, queue, item):
        self._queues[queue].remove(self._held(queue, item))

    async def length(self, queue):
        return len(self._queues.get(queue, []))

    def _hide(self, message, visibility, *, dequeues):
        message.visible = self._clock.now() + visibility
        count = message.item.dequeue_count + dequeues
        message.item = replace(message.item, receipt=f"receipt-{next(self._numbers)}", dequeue_count=count)

    def _held(self, queue, item):
        for message in self._queues.get(queue, []):
            if (message.item.id, message.item.receipt) == (item.id, item.receipt):
                return message
        raise StaleError("held by someone else, or gone")


class MemoryTables:
    """The tables port, as far as the dev host uses it."""

    def __init__(self):
        self._rows = {}
        self._numbers = itertools.count(1)

    async def get(self, table, partition, key):
        return self._rows.get((table, partition, key))

    async def insert(self, table, rows):
        absent = [row for row in rows if (table, row.partition, row.key) not in self._rows]
        for row in absent:
            self._keep(table, row)
        return frozenset(row.key for row in absent)

    async def replace(self, table, row):
        known = self._rows.get((table, row.partition, row.key))
        if known is None or known.etag != row.etag:
            raise StaleError("changed since it was read")
        return self._keep(table, row)

    def _keep(self, table, row):
        kept = Row(row.partition, row.key, dict(row.values), str(next(self._numbers)))
        self._rows[table, row.partition, row.key] = kept
        return kept


def memory_storage(clock):
    """Return storage whose time is the clock's."""
    return Storage(MemoryTables(), MemoryQueues(clock), None)
