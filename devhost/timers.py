"""The timer trigger: fires on schedule, one run at a time, and makes up for one missed while the host was down.

After ``TimerListener`` and ``ScheduleMonitor`` of https://github.com/Azure/azure-webjobs-sdk-extensions. The blob lease
that keeps a timer to one instance has no counterpart here: there is one instance.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from azure.functions.meta import Datum

from devhost.clock import Clock
from devhost.invoke import Call, Invoker, Outcome, RetryContext
from devhost.loading import LoadedFunction
from devhost.queues import first_of
from devhost.schedule import Schedule, fires_often
from devhost.settings import time_span
from functions.storage.ports import Row, StaleError, StorageError, Tables

log = logging.getLogger("devhost.timer")

TABLE = "devhosttimers"
_PARTITION = "status"
_NO_TIME = "0001-01-01T00:00:00+00:00"
_ENDLESS = -1


@dataclass(frozen=True, slots=True)
class Status:
    """What is remembered of a timer between two lives of the host.

    Args:
        last: When it last fired, seconds since the epoch; ``None`` before the first time.
        next: When it is due.
        updated: When this was written.
    """

    last: float | None
    next: float
    updated: float


class Monitor(Protocol):
    """Remembers when timers fired."""

    async def read(self, name: str) -> Status | None:
        """Return what is known of a timer, or ``None``."""
        ...

    async def write(self, name: str, status: Status) -> None:
        """Remember a timer's status."""
        ...


class TableMonitor:
    """Keeps the status of timers in a table, one row a timer."""

    def __init__(self, tables: Tables) -> None:
        """Use these tables."""
        self._tables = tables

    async def read(self, name: str) -> Status | None:
        """Return what is known of a timer, or ``None``."""
        row = await self._tables.get(TABLE, _PARTITION, name)
        if row is None:
            return None
        last = row.values.get("last")
        return Status(None if last is None else float(last), float(row.values["next"]), float(row.values["updated"]))

    async def write(self, name: str, status: Status) -> None:
        """Remember a timer's status."""
        values = {"next": status.next, "updated": status.updated} | (
            {} if status.last is None else {"last": status.last}
        )
        row = Row(_PARTITION, name, values)
        if await self._tables.insert(TABLE, [row]):
            return
        known = await self._tables.get(TABLE, _PARTITION, name)
        await self._tables.replace(TABLE, Row(_PARTITION, name, values, known.etag if known else None))


class TimerListener:
    """Runs one function on its schedule."""

    def __init__(
        self,
        function: LoadedFunction,
        schedule: Schedule,
        *,
        invoker: Invoker,
        clock: Clock,
        monitor: Monitor | None = None,
    ) -> None:
        """Describe the timer; nothing runs before ``start``.

        Args:
            function: What to run.
            schedule: When.
            invoker: Runs the function.
            clock: Tells the time and waits.
            monitor: Where the status is kept; ignored when the function has ``use_monitor=False`` or fires more than
                once a minute.
        """
        self.function = function
        self._schedule = schedule
        self._invoker = invoker
        self._clock = clock
        wanted = function.trigger.get("useMonitor") is not False and not fires_often(schedule, clock.now())
        self._monitor = monitor if wanted else None
        self._stopping = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to wait for the first time."""
        self._task = asyncio.create_task(self._loop())

    async def stop(self, limit: float) -> None:
        """Wait for no further time, and at most ``limit`` seconds for a run under way."""
        self._stopping.set()
        if self._task is None:
            return
        _, late = await asyncio.wait({self._task}, timeout=limit)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _loop(self) -> None:
        status, past_due = await self._first_status()
        if past_due:
            log.warning("timer %s missed its time while the host was down and runs now", self.function.name)
            status = await self._fire(status, past_due=True)
        elif self.function.trigger.get("runOnStartup"):
            status = await self._fire(status, past_due=False)
        while not self._stopping.is_set():
            wait = status.next - self._clock.now()
            if wait > 0:
                await first_of(self._clock.sleep(wait), self._stopping.wait())
            else:
                status = await self._fire(status, past_due=False)

    async def _first_status(self) -> tuple[Status, bool]:
        now = self._clock.now()
        fresh = Status(None, self._schedule.next_after(now), now)
        known = await self._remembered()
        if known is None:
            await self._remember(fresh)
            return fresh, False
        expected = self._schedule.next_after(known.updated if known.last is None else known.last)
        if expected != known.next:
            # The schedule was changed since: what the old one missed does not count.
            changed = Status(None, expected if expected >= now else fresh.next, now)
            await self._remember(changed)
            return changed, False
        return known, now > known.next

    async def _fire(self, status: Status, *, past_due: bool) -> Status:
        if self._stopping.is_set():
            return status
        started = self._clock.now()
        await self._run_with_retries(self._call(status, past_due=past_due))
        following = Status(started, self._schedule.next_after(started), started)
        await self._remember(following)
        return following

    def _call(self, status: Status, *, past_due: bool) -> Call:
        shown = None
        if self._monitor is not None:
            shown = {"Last": _iso(status.last), "Next": _iso(status.next), "LastUpdated": _iso(status.updated)}
        timer = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": shown, "IsPastDue": past_due}
        return Call(Datum(json.dumps(timer), "json"))

    async def _run_with_retries(self, call: Call) -> Outcome:
        most = int(self.function.retry.get("max_retry_count", 0))
        attempt = 0
        outcome = await self._invoker.run(self.function, call)
        while outcome.error is not None and (most == _ENDLESS or attempt < most) and not self._stopping.is_set():
            await first_of(self._clock.sleep(self._retry_delay(attempt)), self._stopping.wait())
            attempt += 1
            again = Call(call.datum, call.metadata, retry=RetryContext(attempt, most, outcome.error))
            outcome = await self._invoker.run(self.function, again)
        return outcome

    def _retry_delay(self, attempt: int) -> float:
        policy = self.function.retry
        if policy.get("strategy") == "fixed_delay":
            return time_span(policy.get("delay_interval"), f"{self.function.name} delay_interval")
        least = time_span(policy.get("minimum_interval"), f"{self.function.name} minimum_interval")
        most = time_span(policy.get("maximum_interval"), f"{self.function.name} maximum_interval")
        return float(min(least * 2**attempt, most))

    async def _remembered(self) -> Status | None:
        if self._monitor is None:
            return None
        try:
            return await self._monitor.read(self.function.name)
        except StorageError as error:
            log.warning("the status of timer %s cannot be read: %s", self.function.name, error)
            return None

    async def _remember(self, status: Status) -> None:
        if self._monitor is None:
            return
        try:
            await self._monitor.write(self.function.name, status)
        except (StorageError, StaleError) as error:
            log.warning("the status of timer %s cannot be kept: %s", self.function.name, error)


def timer_by_hand() -> Datum:
    """Make the trigger value of a timer that is run through the admin endpoint."""
    return Datum(json.dumps({"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}), "json")


def _iso(seconds: float | None) -> str:
    return _NO_TIME if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
