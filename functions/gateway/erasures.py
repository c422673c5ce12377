"""Forgets a person: finds everything of one phone number and erases it, a share a run, until all is done.

A request is a row with the number, how far the work came and what it did so far. Each step can be repeated without
harm, so a run that is killed is gone on with by the next one. When all is done the row is replaced by one without the
number.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from functions.gateway.accept import IDEMPOTENCY_TABLE
from functions.gateway.clock import Clock, Ids, bucket, is_ulid, to_ms
from functions.gateway.closing import Closer
from functions.gateway.consent import OptOuts
from functions.gateway.erasing import ERASED, erase_messages, mentions
from functions.gateway.erasurejobs import DONE, ERASURES_TABLE, OPEN, STEPS, Job, Step, job_of, row_of, view_of
from functions.gateway.facts import TABLE as BATCHES_TABLE
from functions.gateway.facts import Facts, read_facts
from functions.gateway.inbound import TABLE as INBOUND_TABLE
from functions.gateway.index import TABLE as INDEX_TABLE
from functions.gateway.index import BatchIndex, IndexEntry, entry_of, recipient_mark
from functions.gateway.models import ErasureView
from functions.gateway.packing import pack, unpack
from functions.gateway.problems import not_found
from functions.gateway.reports import SET_ASIDE_TABLE
from functions.gateway.rewriting import rewrite, without
from functions.gateway.story import lease_end, running
from functions.gateway.timing import Timing
from functions.gateway.walking import behind, by_partition, newest_rows, portions
from functions.storage.ports import Row, StaleError, Tables

log = logging.getLogger("sms.erasures")

SETTLE = timedelta(minutes=2)
"""From the request to the begin of the work: a call that was accepted before may still be writing its rows, and the
clocks of two machines differ."""
_SAVED_AFTER_ROWS = 1000
_LAST = "~"


class Erasures:
    """Erases people."""

    def __init__(
        self,
        tables: Tables,
        index: BatchIndex,
        closer: Closer,
        opt_outs: OptOuts,
        clock: Clock,
        ids: Ids,
        *,
        report_window: timedelta,
        timing: Timing,
    ) -> None:
        self._tables = tables
        self._index = index
        self._closer = closer
        self._opt_outs = opt_outs
        self._clock = clock
        self._ids = ids
        self._report_window = report_window
        self._timing = timing
        self._steps: Mapping[Step, Callable[[Job], AsyncIterator[Job]]] = {
            Step.MESSAGES: self._erase_batches,
            Step.INBOUND: self._erase_inbound,
            Step.ANSWERS: self._erase_answers,
            Step.OPT_OUTS: self._erase_opt_outs,
            Step.IN_FLIGHT: self._erase_in_flight,
            Step.SET_ASIDE: self._erase_set_aside,
        }

    async def request(self, number: str, *, keep_opt_outs: bool) -> ErasureView:
        """Keep the wish to erase a person; the work is done by ``carry_on``.

        Args:
            number: E.164 with plus.
            keep_opt_outs: Whether the number stays on the opt-out list.
        """
        job = Job(Row(OPEN, self._ids.new()), number, keep_opt_outs, self._clock())
        await self._tables.insert(ERASURES_TABLE, [row_of(job)])
        return view_of(job)

    async def view(self, identity: str) -> ErasureView:
        """Return what became of a request.

        Raises:
            ProblemError: There is none.
        """
        # The open one first: while it is there, the number is.
        for partition in (OPEN, DONE):
            row = await self._tables.get(ERASURES_TABLE, partition, identity) if is_ulid(identity) else None
            if row is not None:
                return view_of(job_of(row))
        raise not_found("erasure", identity)

    async def carry_on(self) -> int:
        """Do a share of what is to be erased; return how many requests were finished."""
        now = self._clock()
        until = now + self._timing.upkeep_for
        finished = 0
        rows = [row async for row in self._tables.query(ERASURES_TABLE, OPEN)]
        for row in rows:
            if (job := job_of(row)).requested + SETTLE <= now and self._clock() < until:
                # Stale: another process is at it.
                with suppress(StaleError):
                    finished += await self._work_on(job, until)
        return finished

    async def _work_on(self, job: Job, until: datetime) -> bool:
        while True:
            step = job.step
            async for done in self._steps[step](job):
                job = await self._save(replace(done, row=job.row))
                if self._clock() >= until:
                    return False
            if job.step is Step.IN_FLIGHT and job.waiting:
                return False
            if job.step is STEPS[-1]:
                await self._finish(job)
                return True
            job = await self._save(job.next_step())

    async def _save(self, job: Job) -> Job:
        return replace(job, row=await self._tables.replace(ERASURES_TABLE, row_of(job)))

    async def _finish(self, job: Job) -> None:
        """Replace the request by one without the number; killed in between, the next run does it again."""
        done = replace(row_of(replace(job, number="")), partition=DONE, etag=None)
        done = replace(done, values={**done.values, "finished": to_ms(self._clock())})
        await self._tables.insert(ERASURES_TABLE, [done])
        await self._tables.delete(ERASURES_TABLE, OPEN, job.row.key)
        log.info("Erasure %s is done", job.row.key)

    # Steps: each yields the job whenever there is something to remember ----------------------------------------------

    async def _erase_batches(self, job: Job) -> AsyncIterator[Job]:
        mark, last = recipient_mark(job.number), to_ms(job.requested)
        rows = newest_rows(self._tables, INDEX_TABLE, first=bucket(last), after=job.place if job.place[0] else None)
        seen = 0
        async for row in rows:
            seen += 1
            entry = entry_of(row)
            wanted = to_ms(entry.created) <= last and entry.may_have(mark)
            if wanted:
                job = await self._erase_batch(job, entry)
            if wanted or seen >= _SAVED_AFTER_ROWS:
                job = replace(job, place=(row.partition, row.key))
                seen = 0
                yield job

    async def _erase_batch(self, job: Job, entry: IndexEntry) -> Job:
        """Erase a batch's messages to the person, or remember the batch when it is still in flight."""
        facts = await self._facts(entry.batch)
        if facts is None or not any(item.to in {job.number, ERASED} for item in facts.batch.items):
            return job
        now = self._clock()
        busy = running(facts)
        if not entry.closed or (busy is not None and now < lease_end(busy)):
            if not entry.closed and now - entry.created >= self._report_window:
                await self._closer.close(entry.batch)
            return replace(job, waiting=(*job.waiting, entry.batch))
        # The index is written last, so it still has them all when an earlier run was killed between the two.
        found = sum(message.to == job.number for message in entry.messages or ())
        await erase_messages(self._tables, entry.batch, job.number)
        await self._closer.close(entry.batch)
        return job.counted(found)

    async def _erase_in_flight(self, job: Job) -> AsyncIterator[Job]:
        if not job.waiting or self._clock() - job.looked < self._timing.ask_after:
            return
        waiting = job.waiting
        for batch in waiting:
            facts = await self._facts(batch)
            entry = await self._index.get(facts.batch) if facts else None
            job = replace(job, waiting=tuple(other for other in job.waiting if other != batch))
            if entry is not None:
                job = await self._erase_batch(job, entry)
            if batch not in job.waiting:
                yield job
        yield replace(job, looked=self._clock())

    async def _erase_inbound(self, job: Job) -> AsyncIterator[Job]:
        first, last = bucket(to_ms(job.requested)), to_ms(job.requested)

        def erased(row: Row) -> Row | None:
            if row.values["from"] != job.number or int(str(row.values["received"])) > last:
                return None
            # Where a vendor gives no id it is made of number and text; its repeats are known by a digest of it.
            return without(row, **{"from": ERASED, "text": ERASED, "raw": "", "vendorId": ""})

        async for done in self._rewrite_all(job, INBOUND_TABLE, first, erased):
            yield done

    async def _erase_set_aside(self, job: Job) -> AsyncIterator[Job]:
        speaks_of = mentions(job.number)

        def erased(row: Row) -> Row | None:
            why, raw = str(row.values["why"]), str(row.values["raw"])
            if not speaks_of(why) and not speaks_of(raw):
                return None
            return without(row, raw="", why=ERASED if speaks_of(why) else why)

        async for done in self._rewrite_all(job, SET_ASIDE_TABLE, "0", erased):
            yield done

    async def _rewrite_all(
        self, job: Job, table: str, first: str, erased: Callable[[Row], Row | None]
    ) -> AsyncIterator[Job]:
        seen = 0
        after = job.place if job.place[0] else None
        async for rows in portions(newest_rows(self._tables, table, first=first, after=after)):
            found = await rewrite(self._tables, table, rows, erased)
            seen += len(rows)
            if found or seen >= _SAVED_AFTER_ROWS:
                job = replace(job.counted(found), place=(rows[-1].partition, rows[-1].key))
                seen = 0
                yield job

    async def _erase_answers(self, job: Job) -> AsyncIterator[Job]:
        """Erase the number from answers that are kept for repeats of a call; the repeat still gets its ids."""
        speaks_of = mentions(job.number)

        def erased(row: Row) -> Row | None:
            answer = unpack(row.values)
            if not any(speaks_of(message["to"]) for message in answer["messages"]):
                return None
            messages = [
                {name: value for name, value in message.items() if name != "reference"} | {"to": ERASED}
                if speaks_of(message["to"])
                else message
                for message in answer["messages"]
            ]
            kept = {name: row.values[name] for name in ("body", "seed", "created")}
            return replace(row, values=kept | pack({**answer, "messages": messages}))

        seen = 0
        rows_by_partition = by_partition(self._tables.scan(IDEMPOTENCY_TABLE, first=behind(job.place[0]), last=_LAST))
        async for partition, rows in rows_by_partition:
            found = await rewrite(self._tables, IDEMPOTENCY_TABLE, rows, erased)
            seen += len(rows)
            if found or seen >= _SAVED_AFTER_ROWS:
                job = replace(job.counted(found), place=(partition, ""))
                seen = 0
                yield job

    async def _erase_opt_outs(self, job: Job) -> AsyncIterator[Job]:
        yield job.counted(await self._opt_outs.erase(job.number, keep=job.keep_opt_outs))

    async def _facts(self, batch: str) -> Facts | None:
        return read_facts([row async for row in self._tables.query(BATCHES_TABLE, batch)])
