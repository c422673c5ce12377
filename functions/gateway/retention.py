"""Deletes what is old enough, a share a run, in an order in which a run that is killed leaves nothing half visible.

Of a batch the fact that it was accepted goes first, in one transaction with what else fits: from then on it does not
exist for anybody. Its row in the index goes last, so that the next run finds what is left. Whoever comes late, such as
a report, leaves alone what is older than it is kept (``keeping``).

Most tables are sorted by time; one scan behind the right hour finds what is old. Those that are sorted by a digest are
gone through in rounds, and raw payloads, which leave their rows behind, in passes; both remember how far they came.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions.gateway.accept import IDEMPOTENCY_KEPT, IDEMPOTENCY_TABLE
from functions.gateway.clock import Clock, bucket, from_ms, to_ms, ulid_ms
from functions.gateway.closing import Closer
from functions.gateway.facts import ACCEPTED, TABLE
from functions.gateway.inbound import SEEN_TABLE
from functions.gateway.inbound import TABLE as INBOUND_TABLE
from functions.gateway.index import TABLE as INDEX_TABLE
from functions.gateway.index import entry_of
from functions.gateway.keeping import Kept, deletable
from functions.gateway.progress import Progress
from functions.gateway.reports import SET_ASIDE_TABLE
from functions.gateway.rewriting import delete, rewrite, without
from functions.gateway.timing import Timing
from functions.gateway.vendorids import TABLE as VENDOR_IDS_TABLE
from functions.gateway.walking import OLDEST, behind, by_partition, newest_rows, portions
from functions.storage.ports import Row, Tables

log = logging.getLogger("sms.retention")

_AT_ONCE = 16
_LAST = "~"
_REPEATED_FOR = timedelta(days=30)
"""For which a vendor's repeat of a reply is still known for one, however soon replies are deleted: a START that came
again would undo a later STOP."""
_EVERY_DAY = timedelta(hours=20)
_EVERY_MONTH = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class Tidied:
    """What one run did, in rows; batches are counted by themselves."""

    batches: int = 0
    inbound: int = 0
    set_aside: int = 0
    raw: int = 0
    others: int = 0


@dataclass(frozen=True, slots=True)
class _Round:
    """A table that is sorted by a digest and therefore gone through from one end to the other.

    Args:
        table: The table.
        kept: How long its rows are kept.
        born: When a row came to be, in milliseconds since the epoch.
        every: How long after the begin of a round the next one begins.
    """

    table: str
    kept: timedelta
    born: Callable[[Row], int]
    every: timedelta


class Retention:
    """Deletes by age."""

    def __init__(self, tables: Tables, closer: Closer, clock: Clock, kept: Kept, timing: Timing) -> None:
        self._tables = tables
        self._progress = Progress(tables, "retention")
        self._closer = closer
        self._clock = clock
        self._kept = kept
        self._timing = timing

    async def tidy(self) -> Tidied:
        """Do a share of what there is to do; runs beside each other do no harm."""
        now = self._clock()
        until = now + self._timing.upkeep_for
        parts = await asyncio.gather(
            self._delete_batches(now, until),
            self._delete_hours(INBOUND_TABLE, self._kept.inbound, now, until),
            self._delete_hours(SET_ASIDE_TABLE, self._kept.raw, now, until),
            self._pass(INDEX_TABLE, self._blank_reports, now, until),
            self._pass(INBOUND_TABLE, self._blank_inbound, now, until),
            *(self._go_round(one, now, until) for one in self._rounds()),
            return_exceptions=True,
        )
        failed = [part for part in parts if isinstance(part, BaseException)]
        if failed:
            # Only now: a part that failed must not leave the others running with nobody to wait for them.
            raise failed[0]
        batches, inbound, set_aside, raw, raw_inbound, *others = [
            part for part in parts if not isinstance(part, BaseException)
        ]
        done = Tidied(batches, inbound, set_aside, raw + raw_inbound, sum(others))
        if done != Tidied():
            log.info(
                "Deleted by age: %d batches, %d replies, %d set aside, %d other rows; %d raw payloads blanked",
                done.batches,
                done.inbound,
                done.set_aside,
                done.others,
                done.raw,
            )
        return done

    def _rounds(self) -> Sequence[_Round]:
        rounds = [_Round(IDEMPOTENCY_TABLE, IDEMPOTENCY_KEPT, lambda row: _whole(row, "created"), _EVERY_DAY)]
        if self._kept.inbound is not None:
            kept = max(self._kept.inbound, _REPEATED_FOR)
            rounds.append(_Round(SEEN_TABLE, kept, lambda row: ulid_ms(str(row.values["id"])), _EVERY_MONTH))
        if self._kept.messages is not None:
            messages = self._kept.messages
            rounds.append(
                _Round(VENDOR_IDS_TABLE, messages, lambda row: ulid_ms(str(row.values["message"])), _EVERY_MONTH)
            )
        return rounds

    # Tables that are sorted by time ----------------------------------------------------------------------------------

    async def _delete_hours(self, table: str, kept: timedelta | None, now: datetime, until: datetime) -> int:
        deleted = 0
        if kept is not None:
            async for rows in portions(newest_rows(self._tables, table, first=behind(_hour(kept, now)))):
                deleted += await delete(self._tables, table, rows)
                if self._clock() >= until:
                    break
        return deleted

    async def _delete_batches(self, now: datetime, until: datetime) -> int:
        deleted = 0
        if self._kept.messages is not None:
            first = behind(_hour(self._kept.messages, now))
            async for rows in portions(newest_rows(self._tables, INDEX_TABLE, first=first)):
                gone = await _each(rows, self._delete_batch)
                # The rows of the index last: they are how a run that follows finds what this one left.
                index = [row for row, is_gone in zip(rows, gone, strict=True) if is_gone]
                deleted += await delete(self._tables, INDEX_TABLE, index)
                if self._clock() >= until:
                    break
        return deleted

    async def _delete_batch(self, row: Row) -> bool:
        """Delete all facts of a batch; tell whether its row of the index may go too.

        A batch that was never closed, because no sweep could read it when its time was up, is closed now and deleted by
        a later run: by then nobody is at work on it any more.
        """
        entry = entry_of(row)
        facts = [fact async for fact in self._tables.query(TABLE, entry.batch)]
        if not entry.closed and any(fact.key == ACCEPTED for fact in facts):
            await self._closer.close(entry.batch)
            return False
        facts.sort(key=lambda fact: fact.key != ACCEPTED)
        return await delete(self._tables, TABLE, facts) == len(facts)

    # Raw payloads, whose rows stay -----------------------------------------------------------------------------------

    async def _pass(
        self, table: str, blank: Callable[[Sequence[Row]], Awaitable[int]], now: datetime, until: datetime
    ) -> int:
        """Go over what has become old enough since the last pass, from the newest to the oldest of it."""
        if self._kept.raw is None:
            return 0
        state = await self._progress.read(f"raw-{table}")
        done, first = str(state.values.get("done", OLDEST)), str(state.values.get("first", ""))
        after = (str(state.values["partition"]), str(state.values["key"])) if first else None
        first = first or _hour(self._kept.raw, now)
        blanked = 0
        if _next(first) >= done:
            return 0
        rows = newest_rows(self._tables, table, first=behind(first), last=_before(done), after=after)
        async for portion in portions(rows):
            blanked += await blank(portion)
            place = {"partition": portion[-1].partition, "key": portion[-1].key}
            state = await self._progress.save(state, {"done": done, "first": first, **place})
            if self._clock() >= until:
                return blanked
        await self._progress.save(state, {"done": _next(first)})
        return blanked

    async def _blank_reports(self, index: Sequence[Row]) -> int:
        return sum(await _each(index, self._blank_reports_of))

    async def _blank_reports_of(self, row: Row) -> int:
        reports = self._tables.query(TABLE, entry_of(row).batch, after="report:", before="report;")
        return await rewrite(self._tables, TABLE, [report async for report in reports], _without_raw)

    async def _blank_inbound(self, rows: Sequence[Row]) -> int:
        return await rewrite(self._tables, INBOUND_TABLE, rows, _without_raw)

    # Tables that are sorted by a digest ------------------------------------------------------------------------------

    async def _go_round(self, one: _Round, now: datetime, until: datetime) -> int:
        state = await self._progress.read(f"round-{one.table}")
        at, begun = str(state.values.get("at", "")), _whole(state, "begun")
        if not at:
            if now - from_ms(begun) < one.every:
                return 0
            begun = to_ms(now)
        before = to_ms(deletable(one.kept, now))
        deleted = 0
        async for partition, rows in by_partition(self._tables.scan(one.table, first=behind(at), last=_LAST)):
            deleted += await delete(self._tables, one.table, [row for row in rows if one.born(row) < before])
            if self._clock() >= until:
                await self._progress.save(state, {"at": partition, "begun": begun})
                return deleted
        await self._progress.save(state, {"at": "", "begun": begun})
        return deleted


def _hour(kept: timedelta, now: datetime) -> str:
    """Return the partition of the newest hour behind which everything is old enough."""
    return bucket(to_ms(deletable(kept, now)))


def _next(hour: str) -> str:
    return f"{int(hour) + 1:09d}"


def _before(hour: str) -> str:
    return f"{int(hour) - 1:09d}"


def _whole(row: Row, name: str) -> int:
    values: Mapping[str, Any] = row.values
    return int(values.get(name, 0))


def _without_raw(row: Row) -> Row | None:
    return without(row, raw="")


async def _each(rows: Sequence[Row], work: Callable[[Row], Awaitable[int]]) -> list[int]:
    """Return what came of the work on each row; some of it is done at once."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def one(row: Row) -> int:
        async with limit:
            return await work(row)

    return await asyncio.gather(*(one(row) for row in rows))
