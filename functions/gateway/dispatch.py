"""Hands a batch to its vendor, once.

A worker first inserts the row that claims the attempt; only one can. Then it makes the calls and writes what came of
them. If it dies in between, nobody knows what was sent: after the claim's lease the messages are settled by evidence (a
report, a replay that the vendor recognises, the vendor's own log) and only what certainly was not sent is sent again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from functions.gateway import envelope
from functions.gateway.calling import OPTED_OUT, Caller, known_of
from functions.gateway.circuit import CircuitBreaker
from functions.gateway.clock import Clock, to_ms
from functions.gateway.closing import Closer
from functions.gateway.consent import Entry, OptOuts
from functions.gateway.directory import Directory
from functions.gateway.facts import TABLE, Attempt, Batch, Facts, outcome_row, read_facts, sending_row
from functions.gateway.figures import Figures
from functions.gateway.insisting import insist
from functions.gateway.pacing import Pacer
from functions.gateway.story import Plan, Rules, lease_end, plan, running
from functions.gateway.telemetry import (
    ATTEMPT,
    BATCH,
    MESSAGES,
    NOWHERE,
    SILENT,
    Kind,
    Span,
    Telemetry,
    Trace,
)
from functions.gateway.timing import Timing
from functions.storage.ports import Queues, StorageError, Tables
from functions.vendors.contract import (
    Outcome,
    Reason,
    Refused,
    Unknown,
)

_QUEUE_STEP = timedelta(seconds=1)
"""Queues count delays in whole seconds."""
_KNOWN_WAITING = 10_000
"""Batches of which a process remembers when the queue message is due that it put last."""

_DIED = Unknown("The worker ended before it wrote what the vendor answered.")


class Dispatcher:
    """Dispatches batches."""

    def __init__(
        self,
        tables: Tables,
        queues: Queues,
        directory: Directory,
        caller: Caller,
        opt_outs: OptOuts,
        pacer: Pacer,
        circuits: CircuitBreaker,
        closer: Closer,
        clock: Clock,
        *,
        queue: str,
        timing: Timing,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._telemetry = telemetry
        self._figures = Figures(telemetry)
        self._tables = tables
        self._queues = queues
        self._directory = directory
        self._caller = caller
        self._opt_outs = opt_outs
        self._pacer = pacer
        self._circuits = circuits
        self._closer = closer
        self._waiting: OrderedDict[str, datetime] = OrderedDict()
        self._clock = clock
        self._queue = queue
        self._timing = timing

    async def dispatch(self, batch: str, *, due: datetime | None = None, trace: Trace = NOWHERE) -> None:
        """Do what is due for a batch now and see to it that the rest is done later.

        May be called any number of times, by any number of workers at once.

        Args:
            batch: Its id.
            due: Since when it waits to be taken up, where that is known.
            trace: Where it was queued.
        """
        with self._telemetry.span("dispatch", Kind.CONSUMER, {BATCH: batch}, parent=trace) as span:
            facts = read_facts([row async for row in self._tables.query(TABLE, batch)])
            if due is None or to_ms(due) == to_ms(self._waiting.get(batch, due)):
                # This very message; a queue may show it a moment early.
                self._waiting.pop(batch, None)
            if facts is None:
                return
            if facts.closed:
                # Whoever wrote an outcome after the closing may have died before it summed up again.
                await self._closer.close(batch)
                return
            self._figures.taken_up(facts.batch, due, self._clock())
            if not trace:
                self._telemetry.link(facts.batch.trace)
            for name, value in known_of(facts.batch).items():
                span.set(name, value)
            await self._dispatch(await self._bury(facts), span)

    async def _dispatch(self, facts: Facts, span: Span) -> None:
        batch = facts.batch.id
        vendor = self._directory.vendor(facts.batch.vendor)
        rules = Rules.of(vendor.description.capabilities, self._timing, batch)
        step = plan(facts, self._clock(), rules)
        if (step.send or step.lookup) and (put_off := self._put_off(facts)):
            step = Plan({}, {}, put_off)
        if step.send or step.lookup:
            attempt = await self._claim(facts, step)
            if attempt is None:
                return
            span.set(ATTEMPT, attempt.number)
            span.set(MESSAGES, len(attempt.indices))
            outcomes = await self._caller.carry_out(facts, attempt, step, vendor)
            await self._note_opt_outs(facts.batch, outcomes)
            ended = self._clock()
            await self._write(facts.batch.id, attempt, outcomes, ended)
            done = replace(attempt, outcomes=outcomes, ended=ended)
            after = replace(facts, attempts=(*facts.attempts, done))
            self._figures.attempted(facts, after, done)
            if await self._sum_up_again(facts.batch):
                return
            step = plan(after, self._clock(), rules)
            if step.send or step.lookup:
                step = replace(step, wait=0.0)
        if step.wait is not None:
            await self._put(batch, step.wait)

    async def _put(self, batch: str, wait: float) -> None:
        """Let a batch be taken up again, unless this process has put a message that is due by then anyway.

        Each sweep queues a batch again that is held back or paced, so without this their messages would add up.
        """
        now = self._clock()
        due = now + timedelta(seconds=wait)
        if not now < self._waiting.get(batch, now) <= due + _QUEUE_STEP:
            message = envelope.dispatch(batch, due=due, trace=self._telemetry.here())
            await self._queues.put(self._queue, message, delay=wait)
            self._waiting[batch] = due
            self._waiting.move_to_end(batch)
            while len(self._waiting) > _KNOWN_WAITING:
                self._waiting.popitem(last=False)

    async def _sum_up_again(self, batch: Batch) -> bool:
        """Sum a batch up again if it was closed while its attempt ran; tell whether it was closed."""
        if self._clock() - batch.created < self._timing.never_closed_before:
            return False
        closed = await self._closer.is_closed(batch.id)
        if closed:
            await self._closer.close(batch.id)
        return closed

    def _put_off(self, facts: Facts) -> float:
        """Return the seconds for which a batch waits without an attempt."""
        batch = facts.batch
        if batch.expires is not None and self._clock() >= batch.expires:
            return 0.0
        paced = self._pacer.backlog(batch.provider)
        # Once an attempt was made its time line tells what it waits for.
        held = self._circuits.held(batch.provider) if facts.attempts else 0.0
        return max(paced if paced > self._timing.lease / 2 else 0.0, held)

    async def _bury(self, facts: Facts) -> Facts:
        """Write the outcome that a dead worker could not: nobody knows."""
        dead = running(facts)
        now = self._clock()
        if dead is None or now < lease_end(dead):
            return facts
        outcomes: dict[int, Outcome] = dict.fromkeys(dead.indices, _DIED)
        row = outcome_row(facts.batch.id, dead.number, outcomes, now)
        written = await self._tables.insert(TABLE, [row])
        again = read_facts([row async for row in self._tables.query(TABLE, facts.batch.id)]) or facts
        if row.key in written:
            self._figures.attempted(facts, again, replace(dead, outcomes=outcomes, ended=now))
        return again

    async def _claim(self, facts: Facts, step: Plan) -> Attempt | None:
        """Claim the next attempt; ``None`` when another worker has it."""
        lookup = bool(step.lookup)
        attempt = Attempt(
            number=len(facts.attempts) + 1,
            lookup=lookup,
            started=self._clock(),
            lease=self._timing.lease,
            indices=tuple(sorted(step.lookup if lookup else step.send)),
        )
        row = sending_row(facts.batch.id, attempt)
        return attempt if row.key in await self._tables.insert(TABLE, [row]) else None

    async def _write(self, batch: str, attempt: Attempt, outcomes: Mapping[int, Outcome], ended: datetime) -> None:
        """Write what came of an attempt; when it was given up for dead meanwhile, beside what was written for it.

        It then proves something of this attempt alone: others may have offered the messages since.
        """
        row = outcome_row(batch, attempt.number, outcomes, ended)
        if row.key in await insist(lambda: self._tables.insert(TABLE, [row])):
            return
        known = {index: outcome for index, outcome in outcomes.items() if not isinstance(outcome, Unknown)}
        late = outcome_row(batch, attempt.number, known, ended, late=True)
        await insist(lambda: self._tables.insert(TABLE, [late]))

    async def _note_opt_outs(self, batch: Batch, outcomes: Mapping[int, Outcome]) -> None:
        """Keep the opt-outs that the vendor told us of by refusing; what the store misses now, closing makes good."""
        at = self._clock()
        for index, outcome in outcomes.items():
            if isinstance(outcome, Refused) and outcome.reason is Reason.OPTED_OUT and outcome is not OPTED_OUT:
                entry = Entry(batch.items[index].to, batch.sender.address, opted_out=True, at=at, source="vendor")
                with suppress(StorageError):
                    await self._opt_outs.record(entry)
