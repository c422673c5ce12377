"""Goes over the open batches: queues what was forgotten, closes what is done.

A batch is looked at every time while it is young and then ever more rarely, at moments that follow from its age alone,
so the sweeper keeps no state.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from functions.gateway import envelope
from functions.gateway.clock import Clock
from functions.gateway.closing import Closer
from functions.gateway.index import BatchIndex, IndexEntry
from functions.gateway.messagelog import MessageLog
from functions.gateway.reconcile import Reconciler
from functions.gateway.states import FINAL
from functions.gateway.story import Rules, plan, standing
from functions.gateway.telemetry import BATCH, OLDEST_OPEN, OLDEST_UNSENT, SILENT, Telemetry
from functions.gateway.timing import Timing
from functions.storage.ports import Queues
from functions.vendors.contract import Vendor

log = logging.getLogger("sms.sweep")

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did, in batches.

    Args:
        unsent: Seconds that the oldest batch looked at has waited in which something is left to do.
    """

    looked_at: int = 0
    queued: int = 0
    closed: int = 0
    unsent: float = field(default=0.0, compare=False)


class Sweeper:
    """Sweeps."""

    def __init__(
        self,
        queues: Queues,
        index: BatchIndex,
        messages: MessageLog,
        closer: Closer,
        reconciler: Reconciler,
        vendors: Mapping[str, Vendor],
        clock: Clock,
        *,
        queue: str,
        report_window: timedelta,
        timing: Timing,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._telemetry = telemetry
        self._queues = queues
        self._index = index
        self._messages = messages
        self._closer = closer
        self._reconciler = reconciler
        self._vendors = vendors
        self._clock = clock
        self._queue = queue
        self._report_window = report_window
        self._timing = timing

    async def sweep(self, since_last: timedelta) -> Swept:
        """Look at every open batch that is due.

        Args:
            since_last: How long ago the sweep before this one was; a batch is due when its age passed a step since.
        """
        with self._telemetry.span("sweep"):
            return await self._sweep(since_last)

    async def _sweep(self, since_last: timedelta) -> Swept:
        now = self._clock()
        swept = Swept()
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(entry: IndexEntry) -> Swept:
            async with limit:
                if self._clock() - now > self._timing.sweep_for:
                    return Swept()
                return await self._look_at(entry, now)

        # Twice the window: a batch is closed at the latest when its window has passed, but the app may have been down.
        entries = self._index.newest(since=now - 2 * self._report_window, until=now - self._timing.grace)
        still_open = [entry async for entry in entries if not entry.closed]
        due = [entry for entry in still_open if self._is_due(now - entry.created, since_last)]
        for done in await asyncio.gather(*(one(entry) for entry in due)):
            swept = Swept(
                swept.looked_at + 1,
                swept.queued + done.queued,
                swept.closed + done.closed,
                max(swept.unsent, done.unsent),
            )
        oldest = max(((now - entry.created).total_seconds() for entry in still_open), default=0.0)
        self._telemetry.record(OLDEST_OPEN, {}, oldest)
        self._telemetry.record(OLDEST_UNSENT, {}, swept.unsent)
        return swept

    def _is_due(self, age: timedelta, since_last: timedelta) -> bool:
        """Tell whether a batch is young, or its age in multiples of that has passed a power of two since."""
        if age <= self._timing.young or age >= self._report_window:
            return True
        return (
            int(age / self._timing.young).bit_length()
            != int(max(age - since_last, timedelta(0)) / self._timing.young).bit_length()
        )

    async def _look_at(self, entry: IndexEntry, now: datetime) -> Swept:
        facts = await self._messages.facts(entry.batch)
        if facts is None:
            return Swept()
        age = now - facts.batch.created
        over = age >= self._report_window
        if age >= self._timing.ask_after and not facts.closed:
            await self._reconciler.reconcile(facts)
            facts = await self._messages.facts(entry.batch) or facts
        if over or facts.closed or all(standing(facts, i).state in FINAL for i in range(len(facts.batch.items))):
            await self._closer.close(entry.batch)
            return Swept(closed=1)
        vendor = self._vendors.get(facts.batch.vendor)
        if vendor is None:
            return Swept()
        step = plan(
            facts, now - self._timing.grace, Rules.of(vendor.description.capabilities, self._timing, entry.batch)
        )
        if step.send or step.lookup or step.wait == 0.0:
            log.info("Queued batch %s again", entry.batch, extra={BATCH: entry.batch})
            await self._queues.put(self._queue, envelope.dispatch(entry.batch, due=now, trace=facts.batch.trace))
            return Swept(queued=1, unsent=age.total_seconds())
        return Swept(unsent=0.0 if step.wait is None else age.total_seconds())
