"""Goes over the open batches: queues what was forgotten, closes what is done.

A batch is looked at every time while it is young and then ever more rarely, at ages that are fixed: ``young``, twice
that, and so on up to the report window. So a sweep reads of the index only the short spans in which batches have passed
one of these ages since the last sweep, whose moment is stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from functions.gateway import envelope
from functions.gateway.clock import Clock, from_ms, to_ms
from functions.gateway.closing import Closer
from functions.gateway.index import BatchIndex, IndexEntry
from functions.gateway.messagelog import MessageLog
from functions.gateway.progress import Progress
from functions.gateway.reconcile import Reconciler
from functions.gateway.states import FINAL
from functions.gateway.story import Rules, plan, standing
from functions.gateway.telemetry import BATCH, OLDEST_OPEN, OLDEST_UNSENT, SILENT, Telemetry
from functions.gateway.timing import Timing
from functions.storage.ports import Queues, StorageError, Tables
from functions.vendors.contract import Vendor

log = logging.getLogger("sms.sweep")

_AT_ONCE = 16
_LAST = "last"
_MOMENT = timedelta(milliseconds=1)
"""The store knows no shorter time; a batch at the very edge of a span belongs to both sides."""


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


class Steps:
    """The ages at which a batch is looked at: always while it is young, then at doubled ages, and at the window's end.

    Args:
        young: Up to which age it is always looked at.
        grace: Before which age it never is.
        window: The age at which it is closed.
    """

    def __init__(self, young: timedelta, grace: timedelta, window: timedelta) -> None:
        self._young, self._grace, self._window = young, grace, window
        doubled = (young * 2**step for step in range((window // young).bit_length()))
        self._ages = (*(age for age in doubled if age < window), window)

    def is_due(self, age: timedelta, gap: timedelta) -> bool:
        """Tell whether a batch is young, or has come to one of the ages within the time since the last sweep."""
        return age <= self._young or self.overdue(age, gap) is not None

    def overdue(self, age: timedelta, gap: timedelta) -> timedelta | None:
        """Return how long ago a batch came to the first of the ages since the last sweep; ``None`` if to none."""
        return max((age - step for step in self._ages if age - gap < step <= age), default=None)

    def spans(self, now: datetime, gap: timedelta) -> list[tuple[datetime, datetime]]:
        """Return when the batches were made that can be due, each span from its first moment to before its last.

        Args:
            now: The moment of the sweep.
            gap: The time since the last one.
        """
        if gap >= self._young:
            return [(now - self._window - gap, now - self._grace)]
        steps = ((now - age - gap, now - age + _MOMENT) for age in self._ages)
        return [(now - self._young, now - self._grace), *steps]


class Sweeper:
    """Sweeps."""

    def __init__(
        self,
        tables: Tables,
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
        self._steps = Steps(timing.young, timing.grace, report_window)
        self._progress = Progress(tables, "sweep")
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

    async def sweep(self) -> Swept:
        """Look at every open batch that has come to an age, since the last sweep, at which batches are looked at."""
        with self._telemetry.span("sweep"):
            now = self._clock()
            known = await self._progress.read(_LAST)
            # However long ago: what came to one of the ages since then is still to be looked at.
            last = from_ms(int(known.values["at"])) if known.values else now - self._report_window
            swept, done, failure = await self._sweep(now, min(now, last))
            if failure is not None:
                raise failure
            await self._progress.save(known, {"at": to_ms(done)})
            return swept

    async def _sweep(self, now: datetime, last: datetime) -> tuple[Swept, datetime, BaseException | None]:
        """Look at what is due since the last sweep; return the moment up to which there was time for all of it."""
        swept, reached, gap = Swept(), now, now - last
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(entry: IndexEntry) -> Swept | None:
            async with limit:
                if self._clock() - now > self._timing.sweep_for:
                    return None
                try:
                    return await self._look_at(entry, now)
                except StorageError:
                    raise
                except Exception as error:  # noqa: BLE001 - one batch that cannot be read must not stop the others
                    log.error("Batch %s: %s", entry.batch, type(error).__name__, extra={BATCH: entry.batch})  # noqa: TRY400
                    return Swept()

        def overdue(entry: IndexEntry) -> timedelta | None:
            return self._steps.overdue(now - entry.created, gap)

        # The young ones first, at which nobody has looked yet; the others as they came to their age, so that each sweep
        # gets on with those that the one before had no time for.
        due = sorted(await self._due(now, last), key=lambda entry: overdue(entry) or gap, reverse=True)
        # A look that failed must not leave the others running with nobody to wait for them.
        looks = await asyncio.gather(*(one(entry) for entry in due), return_exceptions=True)
        for entry, done in zip(due, looks, strict=True):
            if isinstance(done, BaseException):
                continue
            if done is None:
                reached = min(reached, now - (overdue(entry) or timedelta(0)) - _MOMENT)
                continue
            swept = Swept(
                swept.looked_at + 1,
                swept.queued + done.queued,
                swept.closed + done.closed,
                max(swept.unsent, done.unsent),
            )
        oldest = max(((now - entry.created).total_seconds() for entry in due), default=0.0)
        self._telemetry.record(OLDEST_OPEN, {}, oldest)
        self._telemetry.record(OLDEST_UNSENT, {}, swept.unsent)
        return swept, reached, next((look for look in looks if isinstance(look, BaseException)), None)

    async def _due(self, now: datetime, last: datetime) -> Collection[IndexEntry]:
        """Return the open batches that are young, or have come to a step since the last sweep."""
        read = self._index.newest if now - last >= self._timing.young else self._index.span

        async def due(since: datetime, until: datetime) -> list[IndexEntry]:
            return [
                entry
                async for entry in read(since=since, until=until)
                if not entry.closed and self._steps.is_due(now - entry.created, now - last)
            ]

        found = await asyncio.gather(*(due(since, until) for since, until in self._steps.spans(now, now - last)))
        return {entry.batch: entry for entries in found for entry in entries}.values()

    async def _look_at(self, entry: IndexEntry, now: datetime) -> Swept:
        facts = await self._messages.facts(entry.batch)
        if facts is None:
            return Swept()
        age = now - facts.batch.created
        over = age >= self._report_window
        # A release that knows the vendor no more still closes its batches.
        vendor = self._vendors.get(facts.batch.vendor)
        if vendor is not None and age >= self._timing.ask_after and not facts.closed:
            await self._reconciler.reconcile(facts)
            facts = await self._messages.facts(entry.batch) or facts
        if over or facts.closed or all(standing(facts, i).state in FINAL for i in range(len(facts.batch.items))):
            await self._closer.close(entry.batch)
            return Swept(closed=1)
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
