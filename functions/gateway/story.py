"""What the facts of a batch amount to: the state of each message, its time line, and what is left to do."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from functions.gateway.facts import OUR_OWN, Attempt, Facts, Report
from functions.gateway.models import TimelineEntry
from functions.gateway.states import FINAL, advance
from functions.gateway.timing import Timing
from functions.vendors.contract import Accepted, Capabilities, Outcome, Reason, Refused, Retry, State, Unknown

REFUSED_STATES = {
    Reason.EXPIRED: State.EXPIRED,
    Reason.THROTTLED: State.FAILED,
    Reason.TEMPORARY: State.FAILED,
    Reason.QUOTA: State.FAILED,
    Reason.CREDENTIALS: State.FAILED,
    Reason.ACCOUNT: State.FAILED,
    Reason.CONFIGURATION: State.FAILED,
}
"""The state that a final refusal leads to; every other reason lies with the message itself and is ``rejected``."""

_WHY_NOBODY_KNOWS = {State.QUEUED: Reason.NO_ANSWER, State.SENT: Reason.NO_REPORT}
"""Of what is still open when nothing more is expected."""

MAX_ATTEMPTS = 8
"""Times a message is offered to the vendor before a passing refusal counts as final."""


@dataclass(frozen=True, slots=True)
class Tries:
    """What came of offering one message to the vendor.

    Args:
        count: How often it was offered.
        last: What came of the last try; ``None`` before the first and while one runs.
        attempt: The last try.
        first_possible: When the first try began that may have sent it without our knowing; ``None`` when it is certain
            that it was sent, or that it was not.
        lookups: How often the vendor's log was read for it since.
        put_off: How often in a row the gateway itself put it off since it was last offered.
    """

    count: int = 0
    last: Outcome | None = None
    attempt: Attempt | None = None
    first_possible: datetime | None = None
    lookups: int = 0
    put_off: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one message stands.

    Args:
        state: The highest-ranked fact.
        reason: Why it did not arrive, if it did not.
        vendor_id: The vendor's id, once known.
        updated: When the last fact came that counted.
        corrected: Whether a late report turned a failure into a delivery.
    """

    state: State
    reason: Reason | None
    vendor_id: str
    updated: datetime
    corrected: bool = False


def tries(facts: Facts, index: int) -> Tries:
    """Return what came of offering a message to the vendor.

    A refusal proves only that its own try sent nothing; an earlier try without an answer stays open until the vendor's
    log settles it.
    """
    so_far = Tries()
    for attempt in facts.attempts:
        if index not in attempt.indices:
            continue
        if isinstance(so_far.last, Accepted):
            # Its worker said so late; what was tried meanwhile cannot undo it.
            break
        outcome = attempt.outcome(index)
        if attempt.lookup and (outcome is None or isinstance(outcome, Unknown)):
            so_far = replace(so_far, lookups=so_far.lookups + 1)
            continue
        first = so_far.first_possible or attempt.started
        if isinstance(outcome, Accepted) or (
            isinstance(outcome, Refused) and (attempt.lookup or first == attempt.started)
        ):
            # What the gateway put off itself never reached the vendor, so it uses up no try.
            put_off = isinstance(outcome, Refused) and outcome.code == OUR_OWN
            offered = not attempt.lookup and not put_off
            so_far = Tries(so_far.count + offered, outcome, attempt, put_off=so_far.put_off + 1 if put_off else 0)
        else:
            so_far = Tries(so_far.count + 1, outcome, attempt, first, so_far.lookups)
    return so_far


def standing(facts: Facts, index: int) -> Standing:
    """Return where a message stands: what came of offering it, then what the vendor reported, in that order.

    What is still open once the batch was closed is ``unknown``.
    """
    where = _before_reports(facts, index)
    for report, state in _meant(facts.reports_of.get(index, ())):
        after = advance(where.state, state)
        if after is not where.state:
            corrected = where.corrected or (where.state in FINAL and after is State.DELIVERED)
            where = Standing(after, report.reason, where.vendor_id, report.received, corrected)
        where = replace(where, vendor_id=where.vendor_id or report.vendor_id)
    if facts.closed and where.state in _WHY_NOBODY_KNOWS:
        reason = _WHY_NOBODY_KNOWS[where.state]
        return replace(where, state=State.UNKNOWN, reason=reason, updated=max(where.updated, facts.closed))
    return where


def _meant(reports: Iterable[Report]) -> Iterator[tuple[Report, State]]:
    """Yield each report with what it means for the whole message.

    A message is delivered once all its parts are; until then a delivered part proves only that it was sent. One part
    that did not arrive decides for the whole.
    """
    delivered: set[int] = set()
    for report in reports:
        state = report.state
        if report.part is not None and state is State.DELIVERED:
            delivered.add(report.part.number)
            state = State.DELIVERED if len(delivered) >= report.part.count else State.SENT
        yield report, state


def _before_reports(facts: Facts, index: int) -> Standing:
    tried = tries(facts, index)
    if tried.attempt is None:
        # Nobody called the vendor for it, so that it was not sent is certain, and who asked may ask again.
        never = Standing(State.FAILED, Reason.TEMPORARY, "", facts.closed) if facts.closed else None
        return never or Standing(State.QUEUED, None, "", facts.batch.created)
    if tried.last is None:
        return Standing(State.QUEUED, None, "", tried.attempt.started)
    updated = tried.attempt.known_since(index)
    if isinstance(tried.last, Accepted):
        return Standing(State.SENT, None, tried.last.vendor_id, updated)
    if tried.first_possible is not None:
        return Standing(State.UNKNOWN, Reason.NO_ANSWER, "", updated)
    if isinstance(tried.last, Refused) and facts.closed and retries(tried.last, tried.count):
        updated = max(updated, facts.closed)
    if isinstance(tried.last, Refused) and (facts.closed or not retries(tried.last, tried.count)):
        return Standing(REFUSED_STATES.get(tried.last.reason, State.REJECTED), tried.last.reason, "", updated)
    return Standing(State.QUEUED, None, "", updated)


def retries(last: Refused, count: int) -> bool:
    """Tell whether a refusal is to be tried again."""
    return last.retry is Retry.LATER and count < MAX_ATTEMPTS


def timeline(facts: Facts, index: int) -> list[TimelineEntry]:
    """Return the facts of a message in the order in which they came, each with what it meant."""
    entries = [TimelineEntry(at=facts.batch.created, what="accepted", state=State.QUEUED)]
    for attempt in facts.attempts:
        if index not in attempt.indices:
            continue
        what = "looking_up" if attempt.lookup else "sending"
        entries.append(TimelineEntry(at=attempt.started, what=what, attempt=attempt.number))
        outcome = (attempt.outcomes or {}).get(index)
        if outcome is not None and attempt.ended is not None:
            entries.append(_outcome_entry(attempt.number, outcome, attempt.ended))
        if index in attempt.late:
            entries.append(_outcome_entry(attempt.number, attempt.late[index], attempt.known_since(index)))
    state = _before_reports(facts, index).state
    for report, meant in _meant(facts.reports_of.get(index, ())):
        after = advance(state, meant)
        entries.append(_report_entry(report, counted=after is not state))
        state = after
    return sorted([*entries, *_closing_entry(facts, index)], key=lambda entry: entry.at)


def _closing_entry(facts: Facts, index: int) -> Iterator[TimelineEntry]:
    """Yield what closing the batch changed for a message, if it changed anything."""
    if facts.closed is None:
        return
    by_then = [report for report in facts.reports_of.get(index, ()) if report.received <= facts.closed]
    then = replace(facts, reports_of={index: by_then})
    before, after = standing(replace(then, closed=None), index), standing(then, index)
    if after.state is not before.state:
        detail = "Nothing more was expected." if after.state is State.UNKNOWN else "Not sent, and no longer tried."
        yield TimelineEntry(at=facts.closed, what="closed", state=after.state, reason=after.reason, detail=detail)


def _outcome_entry(number: int, outcome: Outcome, at: datetime) -> TimelineEntry:
    match outcome:
        case Accepted():
            return TimelineEntry(at=at, what="sent", state=State.SENT, attempt=number, vendor_id=outcome.vendor_id)
        case Refused():
            return TimelineEntry(
                at=at,
                what="refused",
                reason=outcome.reason,
                detail=outcome.detail,
                attempt=number,
                vendor_code=outcome.code or None,
            )
        case Unknown():
            return TimelineEntry(
                at=at,
                what="unanswered",
                reason=Reason.NO_ANSWER,
                detail=outcome.why,
                attempt=number,
                vendor_code=outcome.code or None,
            )


def _report_entry(report: Report, *, counted: bool) -> TimelineEntry:
    return TimelineEntry(
        at=report.received,
        what="report",
        state=report.state,
        reason=report.reason,
        detail=report.detail,
        vendor_id=report.vendor_id,
        vendor_code=report.code or None,
        vendor_status=report.status or None,
        vendor_time=report.at,
        part=f"{report.part.number} of {report.part.count}" if report.part else None,
        counted=counted,
    )


@dataclass(frozen=True, slots=True)
class Rules:
    """What decides when a message is taken up again.

    Args:
        replay_window: How long the vendor recognises a repeated message.
        lookup: Whether the vendor's log can be read.
        timing: The waits.
        seed: Whatever the jitter follows from, so that two workers agree on it.
    """

    replay_window: timedelta
    lookup: bool
    timing: Timing
    seed: str

    @classmethod
    def of(cls, capabilities: Capabilities, timing: Timing, batch: str) -> Rules:
        """Return the rules for a batch at a vendor."""
        return cls(capabilities.replay_window, capabilities.lookup, timing, batch)

    def backoff(self, count: int) -> float:
        """Return the seconds to wait after the n-th refusal: exponential, with up to half of it taken off by lot."""
        lot = hashlib.blake2b(f"{self.seed}:{count}".encode(), digest_size=2).digest()
        share = int.from_bytes(lot, "big") / 0xFFFF
        longest = min(self.timing.backoff_cap, self.timing.backoff_base * float(2 ** max(0, count - 1)))
        return longest * (1 - share / 2)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is left to do for a batch.

    Args:
        send: The messages to offer to the vendor now, with the moment of the first try that may have sent them.
        lookup: The messages to look up in the vendor's log now, with the same.
        wait: Seconds until something else is due; ``None`` when nothing is.
    """

    send: dict[int, datetime | None]
    lookup: dict[int, datetime]
    wait: float | None


def running(facts: Facts) -> Attempt | None:
    """Return the attempt whose outcome is not written yet: its worker is busy, or died."""
    return next((attempt for attempt in facts.attempts if attempt.outcomes is None), None)


def plan(facts: Facts, now: datetime, rules: Rules) -> Plan:
    """Return what is left to do for a batch at a moment; nothing while an attempt runs."""
    busy = running(facts)
    if busy is not None:
        return Plan({}, {}, max(0.0, (lease_end(busy) - now).total_seconds()))
    send: dict[int, datetime | None] = {}
    lookup: dict[int, datetime] = {}
    waits: list[float] = []
    for index in range(len(facts.batch.items)):
        tried = tries(facts, index)
        step = None if index in facts.reports_of else _next(tried, index, now, rules)
        if step is None:
            continue
        left = (step.due - now).total_seconds()
        if left > 0:
            waits.append(left)
        elif step.lookup and tried.first_possible is not None:
            lookup[index] = tried.first_possible
        else:
            send[index] = tried.first_possible
    return Plan(send, lookup, min(waits, default=None))


def lease_end(attempt: Attempt) -> datetime:
    """Return the moment from which an attempt's worker makes no more calls."""
    return attempt.started + timedelta(seconds=attempt.lease)


@dataclass(frozen=True, slots=True)
class _Step:
    due: datetime
    lookup: bool = False


def _next(tried: Tries, index: int, now: datetime, rules: Rules) -> _Step | None:
    """Return when the message is to be taken up again and for what; ``None`` when nothing can be done any more."""
    if tried.attempt is None:
        return _Step(datetime.min.replace(tzinfo=UTC))
    ended = tried.attempt.known_since(index)
    wait = rules.backoff(tried.count + tried.put_off)
    if isinstance(tried.last, Refused):
        if not retries(tried.last, tried.count):
            return None
        wait = max(wait, tried.last.after or 0.0)
    if tried.first_possible is None:
        return _Step(ended + timedelta(seconds=wait)) if isinstance(tried.last, Refused) else None
    if rules.replay_window:
        due = ended + timedelta(seconds=wait)
        return _Step(due) if max(due, now) < tried.first_possible + rules.replay_window else None
    if rules.lookup and tried.lookups < rules.timing.max_lookups:
        return _Step(ended + timedelta(seconds=rules.timing.settle_after * 2**tried.lookups), lookup=True)
    return None
