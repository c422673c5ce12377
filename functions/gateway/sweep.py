"""Goes over the open batches: queues what was forgotten, closes what is done.

A batch is looked at every time while it is young and then ever more rarely, at moments that follow from its age alone,
so the sweeper keeps no state.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from functions.gateway import envelope
from functions.gateway.clock import Clock
from functions.gateway.facts import SUMMARY, TABLE, Facts
from functions.gateway.index import BatchIndex, IndexEntry
from functions.gateway.messagelog import MessageLog, summarise
from functions.gateway.packing import pack
from functions.gateway.states import FINAL
from functions.gateway.story import Limits, plan
from functions.storage.ports import Queues, Row, StaleError, Tables
from functions.vendors.contract import State, Vendor

log = logging.getLogger("sms.sweep")

YOUNG = timedelta(minutes=15)
"""Batches up to this age are looked at by every sweep."""
GRACE = timedelta(seconds=30)
"""A younger batch is left alone: its queue message is probably on its way."""
_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep did, in batches."""

    looked_at: int = 0
    queued: int = 0
    closed: int = 0


class Sweeper:
    """Sweeps."""

    def __init__(
        self,
        tables: Tables,
        queues: Queues,
        index: BatchIndex,
        messages: MessageLog,
        vendors: Mapping[str, Vendor],
        clock: Clock,
        *,
        queue: str,
        report_window: timedelta,
    ) -> None:
        self._tables = tables
        self._queues = queues
        self._index = index
        self._messages = messages
        self._vendors = vendors
        self._clock = clock
        self._queue = queue
        self._report_window = report_window

    async def sweep(self, since_last: timedelta) -> Swept:
        """Look at every open batch that is due.

        Args:
            since_last: How long ago the sweep before this one was; a batch is due when its age passed a step since.
        """
        now = self._clock()
        swept = Swept()
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(entry: IndexEntry) -> Swept:
            async with limit:
                return await self._look_at(entry, now)

        # Twice the window: a batch is closed at the latest when its window has passed, but the app may have been down.
        entries = self._index.newest(since=now - 2 * self._report_window, until=now - GRACE)
        due = [
            entry async for entry in entries if entry.messages is None and self._is_due(now - entry.created, since_last)
        ]
        for done in await asyncio.gather(*(one(entry) for entry in due)):
            swept = Swept(swept.looked_at + 1, swept.queued + done.queued, swept.closed + done.closed)
        return swept

    def _is_due(self, age: timedelta, since_last: timedelta) -> bool:
        """Tell whether a batch is young, or its age in multiples of YOUNG has passed a power of two since."""
        if age <= YOUNG or age >= self._report_window:
            return True
        return int(age / YOUNG).bit_length() != int(max(age - since_last, timedelta(0)) / YOUNG).bit_length()

    async def _look_at(self, entry: IndexEntry, now: datetime) -> Swept:
        facts = await self._messages.facts(entry.batch)
        if facts is None:
            return Swept()
        vendor = self._vendors.get(facts.batch.vendor)
        over = now - facts.batch.created >= self._report_window
        if over or facts.closed or all(summarise(facts, i).status in FINAL for i in range(len(facts.batch.items))):
            return await self._close(entry, facts)
        if vendor is None:
            return Swept()
        capabilities = vendor.description.capabilities
        step = plan(facts, now, Limits(capabilities.replay_window, lookup=capabilities.lookup), lambda _: 0.0)
        if step.send or step.lookup or step.wait == 0.0:
            log.info("Queued batch %s again", entry.batch)
            await self._queues.put(self._queue, envelope.dispatch(entry.batch))
            return Swept(queued=1)
        return Swept()

    async def _close(self, entry: IndexEntry, facts: Facts) -> Swept:
        """Sum a batch up: what is still open by now stays unknown."""
        final = replace(facts, closed=True)
        messages = []
        for place in range(len(facts.batch.items)):
            message = summarise(final, place)
            if message.status in {State.QUEUED, State.SENT}:
                message = message.model_copy(update={"status": State.UNKNOWN})
            messages.append(message)
        counts: dict[str, int] = {}
        for message in messages:
            counts[message.status.value] = counts.get(message.status.value, 0) + 1
        await self._tables.insert(TABLE, [Row(facts.batch.id, SUMMARY, pack({"counts": counts}))])
        try:
            await self._index.close(entry, facts.batch, messages)
        except StaleError:
            return Swept()
        return Swept(closed=1)
