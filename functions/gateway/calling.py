"""Makes the vendor calls of one attempt, and says what came of each message.

What is put off, held back, opted out or expired is not called for; an adapter that fails has answered nothing.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import perf_counter

from functions.gateway.circuit import CircuitBreaker
from functions.gateway.clock import Clock, message_id
from functions.gateway.consent import OptOuts
from functions.gateway.directory import FRESH_FOR, Directory
from functions.gateway.facts import OUR_OWN, Attempt, Batch, Facts
from functions.gateway.figures import ADAPTER, OUTAGES, Figures, failure_of, outcome_word
from functions.gateway.insisting import insist
from functions.gateway.messagelog import MessageLog
from functions.gateway.models import ProviderState
from functions.gateway.pacing import Pacer
from functions.gateway.problems import ProblemError
from functions.gateway.records import ProviderRecord
from functions.gateway.story import Plan, lease_end
from functions.gateway.telemetry import (
    BATCH,
    MESSAGE,
    MESSAGES,
    OUTCOME,
    PROVIDER,
    SENDER,
    SILENT,
    VENDOR,
    Attribute,
    Kind,
    Span,
    Telemetry,
)
from functions.gateway.timing import Timing
from functions.gateway.vendorids import VendorIds
from functions.gateway.wiring import callback_url
from functions.storage.ports import StorageError
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

_UNNAMED = Unknown("The vendor's answer does not name it.")
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
OPTED_OUT = Refused(Reason.OPTED_OUT, code=OUR_OWN, detail="On the gateway's opt-out list.")
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


class Caller:
    """Calls vendors."""

    def __init__(
        self,
        directory: Directory,
        opt_outs: OptOuts,
        messages: MessageLog,
        vendor_ids: VendorIds,
        pacer: Pacer,
        circuits: CircuitBreaker,
        http: Http,
        clock: Clock,
        *,
        public_url: str,
        timing: Timing,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._telemetry = telemetry
        self._figures = Figures(telemetry)
        self._directory = directory
        self._opt_outs = opt_outs
        self._messages = messages
        self._vendor_ids = vendor_ids
        self._pacer = pacer
        self._circuits = circuits
        self._http = http
        self._clock = clock
        self._public_url = public_url
        self._timing = timing

    async def carry_out(self, facts: Facts, attempt: Attempt, step: Plan, vendor: Vendor) -> dict[int, Outcome]:
        """Offer the messages of an attempt to the vendor, or look them up in its log.

        Args:
            facts: The batch.
            attempt: Claimed, and within its lease.
            step: What was planned: for each message the first try that may have sent it.
            vendor: Who is called.

        Returns:
            What came of each message.
        """
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
        outcomes: dict[int, Outcome] = dict.fromkeys(blocked, OPTED_OUT)
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
        with self._telemetry.span(f"send {batch.vendor}", Kind.CLIENT, known_of(batch)) as span:
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
            await insist(lambda: self._vendor_ids.keep(batch.provider, named))

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
            with self._telemetry.span(f"look up {context.batch.vendor}", Kind.CLIENT, known_of(context.batch)) as span:
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


def known_of(batch: Batch) -> dict[str, Attribute]:
    """Return what a span about a batch is told by."""
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
