"""Gives batches another chance whose queue message failed too often.

The host moves such a message to the poison queue: after a store that was away for some minutes that may be every batch
that waited. Sweeps look at old batches ever more rarely, so without this one might wait for a day and then be closed.
"""

from __future__ import annotations

import logging

from functions.gateway.envelope import batch_to_dispatch
from functions.gateway.messagelog import MessageLog
from functions.gateway.telemetry import BATCH
from functions.storage.ports import QueueItem, Queues

log = logging.getLogger("sms.putback")

_MOST = 2_048
"""Queue messages a run; what is left is for the next."""
_AT_ONCE = 32
_HIDDEN = 60.0
"""Seconds for which a run does not see again what it leaves in the queue."""


class PutBack:
    """Puts the queue messages of open batches back.

    Args:
        queues: The queues.
        messages: Tells whether a batch is open.
        queue: Where batches are dispatched from.
        poison: Where the host moves what failed too often.
    """

    def __init__(self, queues: Queues, messages: MessageLog, *, queue: str, poison: str) -> None:
        self._queues = queues
        self._messages = messages
        self._queue = queue
        self._poison = poison

    async def put_back(self) -> int:
        """Put them back, drop those of batches that are done, and leave what cannot be read for a person.

        Returns:
            How many were put back.
        """
        done = 0
        for _ in range(_MOST // _AT_ONCE):
            items = await self._queues.receive(self._poison, limit=_AT_ONCE, visibility=_HIDDEN)
            if not items:
                break
            for item in items:
                done += await self._again(item)
        return done

    async def _again(self, item: QueueItem) -> bool:
        try:
            batch = batch_to_dispatch(item.body.encode())
        except ValueError:
            return False
        facts = await self._messages.facts(batch)
        is_open = facts is not None and not facts.closed
        if is_open:
            await self._queues.put(self._queue, item.body)
            log.warning("Put batch %s back: its queue message had failed too often", batch, extra={BATCH: batch})
        await self._queues.delete(self._poison, item)
        return is_open
