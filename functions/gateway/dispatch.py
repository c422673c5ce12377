"""Hands a batch to its vendor, once.

A worker first inserts the row that claims the attempt; only one can. Then it makes the calls and writes what came of
them. If it dies in between, nobody knows what was sent: after the claim's lease the messages are settled by evidence (a
report, a replay that the vendor recognises, the vendor's own log) and only what certainly was not sent is sent again.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import perf_counter
from typing import TypeVar

from functions.gateway import envelope
from functions.gateway.circuit import CircuitBreaker
from functions.gateway.clock import Clock, message_id, to_ms
from functions.gateway.closing import Closer
from functions.gateway.consent import Entry, OptOuts
from functions.gateway.directory import FRESH_FOR, Directory
from functions.gateway.facts import OUR_OWN, TABLE, Attempt, Batch, Facts, outcome_row, read_facts, sending_row
from functions.gateway.figures import ADAPTER, OUTAGES, Figures, failure_of, outcome_word
from functions.gateway.messagelog import MessageLog
from functions.gateway.models import ProviderState
from functions.gateway.pacing import Pacer
from functions.gateway.problems import ProblemError
from functions.gateway.records import ProviderRecord
from functions.gateway.story import Plan, Rules, lease_end, plan, running
from functions.gateway.telemetry import (
    ATTEMPT,
    BATCH,
    MESSAGE,
    MESSAGES,
    NOWHERE,
    OUTCOME,
    PROVIDER,
    SENDER,
    SILENT,
    VENDOR,
    Attribute,
    Kind,
    Span,
    Telemetry,
    Trace,
)
from functions.gateway.timing import Timing
from functions.gateway.vendorids import VendorIds
from functions.gateway.wiring import callback_url
from functions.storage.ports import Queues, StorageError, Tables
from functions.vendors.contract import (
    TOKEN,
    Accepted,
    Account,
    Http,
    Outcome,
    Outgoing,
    Reason,
    Refused,
    Retry,
    SendCall,
    Unknown,
    Vendor,
)

log = logging.getLogger("sms.dispatch")
T = TypeVar("T")

_PATIENCE = (0.1, 0.5, 2.0)
"""Seconds between tries to write what the vendor answered."""

_QUEUE_STEP = timedelta(seconds=1)
"""Queues count delays in whole seconds."""
_KNOWN_WAITING = 10_000
"""Batches of which a process remembers when the queue message is due that it put last."""

_UNNAMED = Unknown("The vendor's answer does not name it.")
_DIED = Unknown("The worker ended before it wrote what the vendor answered.")
_LEFT_OVER = Refused(Reason.TEMPORARY, Retry.LATER, code=OUR_OWN, detail="Not begun: the attempt's time was up.")
_NOT_BEGUN = Refused(
    Reason.TEMPORARY, Retry.LATER, code=OUR_OWN, detail="Not begun: the gateway's own store did not answer."
)
_TOO_LATE = Refused(
    Reason.TEMPORARY, code=OUR_OWN, detail="Not begun: the vendor would not have recognised the repeat any more."
)
_HELD_BACK = Refused(
    Reason.TEMPORARY, Retry.LATER, code=OUR_OWN, detail="Not begun: calls to the vendor fail one after another."
)
_OPTED_OUT = Refused(Reason.OPTED_OUT, code=OUR_OWN, detail="On the gateway's opt-out list.")
_EXPIRED = Refused(Reason.EXPIRED, detail="Its validity period ended before it could be sent.")


@dataclass(frozen=True, slots=True)
class _Context:
    """What all calls of one attempt share."""

    batch: Batch
    vendor: Vendor
    accounts: Sequence[Account]
    report_url: str
    started: datetime
    deadline: datetime
    reserve: timedelta
    per_second: float | None
    keep_vendor_ids: bool

    def too_late(self, first: datetime, now: datetime) -> Refused | None:
        """Return why a call must not be begun any more, if so: it may take as long as the reserve.

        Args:
            first: When the first attempt began that may have sent its messages; this one's begin if there is none.
            now: The moment.
        """
        if now >= self.deadline:
            return _LEFT_OVER
        if first < self.started and now + self.reserve >= first + self.vendor.description.capabilities.replay_window:
            return _TOO_LATE
        return None


class Dispatcher:
    """Dispatches batches."""

    def __init__(
        self,
        tables: Tables,
        queues: Queues,
        directory: Directory,
        opt_outs: OptOuts,
        messages: MessageLog,
        vendor_ids: VendorIds,
        pacer: Pacer,
        circuits: CircuitBreaker,
        closer: Closer,
        http: Http,
        clock: Clock,
        *,
        queue: str,
        public_url: str,
        timing: Timing,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._telemetry = telemetry
        self._figures = Figures(telemetry)
        self._tables = tables
        self._queues = queues
        self._directory = directory
        self._opt_outs = opt_outs
        self._messages = messages
        self._vendor_ids = vendor_ids
        self._pacer = pacer
        self._circuits = circuits
        self._closer = closer
        self._waiting: OrderedDict[str, datetime] = OrderedDict()
        self._http = http
        self._clock = clock
        self._queue = queue
        self._public_url = public_url
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
            for name, value in _known_of(facts.batch).items():
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
            outcomes = await self._carry_out(facts, attempt, step, vendor)
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

    async def _carry_out(self, facts: Facts, attempt: Attempt, step: Plan, vendor: Vendor) -> dict[int, Outcome]:
        batch = facts.batch
        try:
            accounts = await self._accounts(batch)
            await self._opt_outs.refresh()
        except StorageError:
            return dict.fromkeys(attempt.indices, _NOT_BEGUN)
        settings = accounts[0].settings if accounts else {}
        reserve = timedelta(seconds=self._http.timeout + self._timing.margin)
        context = _Context(
            batch=batch,
            vendor=vendor,
            accounts=accounts,
            report_url=callback_url(self._public_url, batch.vendor, batch.provider, "report", settings.get(TOKEN, "")),
            started=attempt.started,
            deadline=lease_end(attempt) - reserve,
            reserve=reserve,
            per_second=vendor.calls_per_second(settings),
            keep_vendor_ids=vendor.reports_by_vendor_id(settings),
        )
        if not context.accounts:
            gone = Refused(Reason.CONFIGURATION, detail="The provider was deleted, disabled or lost its credentials.")
            # A deleted provider cannot tell what became of an earlier try either.
            return dict.fromkeys(attempt.indices, Unknown(gone.detail) if attempt.lookup else gone)
        if attempt.lookup:
            return await self._look_up(facts, attempt, step, context)
        if batch.expires is not None and attempt.started >= batch.expires:
            return dict.fromkeys(attempt.indices, _EXPIRED)
        outcomes: dict[int, Outcome] = {}
        limit = asyncio.Semaphore(vendor.description.capabilities.calls_at_once)

        async def one(indices: Sequence[int], first: datetime) -> Mapping[int, Outcome]:
            async with limit:
                return await self._call(context, indices, first)

        calls = [one(indices, first) for first, indices in _calls(facts, attempt, step, vendor)]
        for answered in await asyncio.gather(*calls):
            outcomes |= answered
        return outcomes

    async def _accounts(self, batch: Batch) -> Sequence[Account]:
        try:
            provider: ProviderRecord = await self._directory.provider(batch.provider, max_age=FRESH_FOR)
        except ProblemError:
            return ()
        if provider.state is ProviderState.DISABLED:
            return ()
        return await self._directory.accounts(provider)

    async def _call(self, context: _Context, indices: Sequence[int], first: datetime) -> Mapping[int, Outcome]:
        """Make one vendor call, with the next valid credentials when the vendor refuses the first."""
        batch = context.batch
        if context.per_second and not await self._pacer.turn(batch.provider, context.per_second, context.deadline):
            return dict.fromkeys(indices, _LEFT_OVER)
        # Last thing before the call: a STOP may have come while earlier calls of this batch were made.
        blocked = [i for i in indices if self._opt_outs.blocked(batch.items[i].to, batch.sender.address)]
        outcomes: dict[int, Outcome] = dict.fromkeys(blocked, _OPTED_OUT)
        indices = [index for index in indices if index not in outcomes]
        if indices and not self._circuits.may_call(batch.provider):
            return outcomes | dict.fromkeys(indices, replace(_HELD_BACK, after=self._circuits.held(batch.provider)))
        call = _send_call(context, indices, first, self._clock())
        for account in context.accounts if indices else ():
            if too_late := context.too_late(first, self._clock()):
                return outcomes | dict.fromkeys(indices, too_late)
            answered = await self._send(context, account, call)
            outcomes |= {index: answered.get(message_id(batch.id, index), _UNNAMED) for index in indices}
            if not all(_wrong_credentials(outcomes[index]) for index in indices):
                break
        if context.keep_vendor_ids:
            await self._keep_vendor_ids(batch, outcomes)
        return outcomes

    async def _send(self, context: _Context, account: Account, call: SendCall) -> Mapping[str, Outcome]:
        """Make the call itself and tell of it; an adapter that fails has answered nothing."""
        batch, started = context.batch, perf_counter()
        with self._telemetry.span(f"send {batch.vendor}", Kind.CLIENT, _known_of(batch)) as span:
            _name_messages(span, call)
            try:
                answered = await context.vendor.send(account, call, self._http)
            except Exception as error:  # noqa: BLE001 - an adapter's fault must not lose the batch
                _log_failure(batch.vendor, error)
                answered, failure = {}, ADAPTER
            else:
                outcomes = [answered.get(message.id, _UNNAMED) for message in call.messages]
                span.set(OUTCOME, " ".join(sorted({outcome_word(outcome) for outcome in outcomes})))
                failure = failure_of(outcomes)
            if failure:
                span.fail(failure)
        self._figures.called(batch, perf_counter() - started, failure)
        if held := self._circuits.called(batch.provider, failed=failure in OUTAGES):
            self._figures.held_back(batch, failure, held)
        return answered

    async def _keep_vendor_ids(self, batch: Batch, outcomes: Mapping[int, Outcome]) -> None:
        """Keep the vendor's ids at once: its reports, which name nothing else, may be on their way already."""
        named = {
            outcome.vendor_id: message_id(batch.id, index)
            for index, outcome in outcomes.items()
            if isinstance(outcome, Accepted) and outcome.vendor_id
        }
        # The answer itself matters more; without the ids its reports are set aside.
        with suppress(StorageError):
            await _insist(lambda: self._vendor_ids.keep(batch.provider, named))

    async def _look_up(self, facts: Facts, attempt: Attempt, step: Plan, context: _Context) -> dict[int, Outcome]:
        """Ask the vendor's log what became of messages; one that it cannot tell stays unknown."""
        capabilities = context.vendor.description.capabilities
        limit = asyncio.Semaphore(capabilities.calls_at_once)

        async def one(indices: Sequence[int], first: datetime) -> Mapping[int, Outcome]:
            async with limit:
                known: frozenset[str] = frozenset()
                if not capabilities.lookup_by_id:
                    known = await self._known_elsewhere(facts.batch, indices, first)
                return await self._look_up_call(context, indices, first, known)

        by_first: dict[datetime, list[int]] = {}
        for index in attempt.indices:
            by_first.setdefault(step.lookup[index], []).append(index)
        size = capabilities.recipients_per_call
        calls = [
            one(indices[at : at + size], first)
            for first, indices in by_first.items()
            for at in range(0, len(indices), size)
        ]
        outcomes: dict[int, Outcome] = {}
        for answered in await asyncio.gather(*calls):
            outcomes |= answered
        return outcomes

    async def _known_elsewhere(self, batch: Batch, indices: Sequence[int], first: datetime) -> frozenset[str]:
        """Return the vendor's ids that belong to other batches' messages to the same recipients."""
        numbers = [batch.items[index].to for index in indices]
        found = await asyncio.gather(*(self._messages.vendor_ids(to, since=first, batch=batch.id) for to in numbers))
        return frozenset().union(*found)

    async def _look_up_call(
        self, context: _Context, indices: Sequence[int], first: datetime, known: frozenset[str]
    ) -> Mapping[int, Outcome]:
        """Look messages up under each of the valid credentials until all are settled."""
        call = _send_call(context, indices, first, self._clock())
        outcomes: dict[int, Outcome] = dict.fromkeys(indices, Unknown("The vendor's log could not be read."))
        for account in context.accounts:
            with self._telemetry.span(f"look up {context.batch.vendor}", Kind.CLIENT, _known_of(context.batch)) as span:
                _name_messages(span, call)
                try:
                    found = await context.vendor.lookup(account, call, known, self._http)
                except Exception as error:  # noqa: BLE001 - an adapter's fault must not lose the batch
                    _log_failure(context.batch.vendor, error)
                    self._figures.adapter_failed(context.batch)
                    span.fail(ADAPTER)
                    continue
            for index in indices:
                if isinstance(outcomes[index], Unknown):
                    outcomes[index] = found.get(message_id(context.batch.id, index), outcomes[index])
            if not any(isinstance(outcome, Unknown) for outcome in outcomes.values()):
                break
        return outcomes

    async def _write(self, batch: str, attempt: Attempt, outcomes: Mapping[int, Outcome], ended: datetime) -> None:
        """Write what came of an attempt; when it was given up for dead meanwhile, beside what was written for it.

        It then proves something of this attempt alone: others may have offered the messages since.
        """
        row = outcome_row(batch, attempt.number, outcomes, ended)
        if row.key in await _insist(lambda: self._tables.insert(TABLE, [row])):
            return
        known = {index: outcome for index, outcome in outcomes.items() if not isinstance(outcome, Unknown)}
        late = outcome_row(batch, attempt.number, known, ended, late=True)
        await _insist(lambda: self._tables.insert(TABLE, [late]))

    async def _note_opt_outs(self, batch: Batch, outcomes: Mapping[int, Outcome]) -> None:
        """Keep the opt-outs that the vendor told us of by refusing; what the store misses now, closing makes good."""
        at = self._clock()
        for index, outcome in outcomes.items():
            if isinstance(outcome, Refused) and outcome.reason is Reason.OPTED_OUT and outcome is not _OPTED_OUT:
                entry = Entry(batch.items[index].to, batch.sender.address, opted_out=True, at=at, source="vendor")
                with suppress(StorageError):
                    await self._opt_outs.record(entry)


async def _insist(write: Callable[[], Awaitable[T]]) -> T:
    """Write what cannot be found out again, with patience for a store that fails for a moment."""
    for patience in _PATIENCE:
        try:
            return await write()
        except StorageError:
            await asyncio.sleep(patience)
    return await write()


def _calls(facts: Facts, attempt: Attempt, step: Plan, vendor: Vendor) -> list[tuple[datetime, list[int]]]:
    """Group messages into vendor calls: of one text where the vendor wants that, and of one first try."""
    capabilities = vendor.description.capabilities
    groups: dict[tuple[str, datetime], list[int]] = {}
    for index in attempt.indices:
        text = facts.batch.items[index].text if capabilities.one_text_per_call else ""
        groups.setdefault((text, step.send[index] or attempt.started), []).append(index)
    size = capabilities.recipients_per_call
    return [(first, group[at : at + size]) for (_, first), group in groups.items() for at in range(0, len(group), size)]


def _send_call(context: _Context, indices: Sequence[int], first: datetime, now: datetime) -> SendCall:
    batch = context.batch
    validity = None
    if batch.expires is not None:
        limits = context.vendor.description.capabilities.validity
        left = max(1, int((batch.expires - now).total_seconds()))
        validity = min(max(left, limits[0]), limits[1]) if limits else None
    return SendCall(
        batch=batch.id,
        sender=batch.sender,
        messages=tuple(
            Outgoing(message_id(batch.id, index), batch.items[index].to, batch.items[index].text) for index in indices
        ),
        first_attempt=first,
        validity=validity,
        report_url=context.report_url,
        category=batch.category,
    )


def _known_of(batch: Batch) -> dict[str, Attribute]:
    return {BATCH: batch.id, VENDOR: batch.vendor, PROVIDER: batch.provider, SENDER: batch.sender_id}


def _name_messages(span: Span, call: SendCall) -> None:
    span.set(MESSAGES, len(call.messages))
    if len(call.messages) == 1:
        span.set(MESSAGE, call.messages[0].id)


def _wrong_credentials(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.reason is Reason.CREDENTIALS


def _log_failure(vendor: str, error: Exception) -> None:
    """Log where an adapter failed without the error's words, which may quote a number, a text or a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"
    log.error("The %s adapter failed with %s at %s", vendor, type(error).__name__, place)
