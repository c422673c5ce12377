"""Counts what becomes of messages, and logs where it went wrong.

A message counts once in each figure, when a fact about it is first written down.

The log of facts knows what is new, so repeated calls, repeated reports and a second worker count nothing again. What
cannot be known without asking the store is left so: docs/telemetry.md lists the cases.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from functions.gateway.clock import message_id
from functions.gateway.facts import Attempt, Batch, Facts
from functions.gateway.models import AcceptedItem, MessageSummary
from functions.gateway.states import FINAL, advance
from functions.gateway.story import standing
from functions.gateway.telemetry import (
    ACCEPTED,
    ATTEMPT,
    BATCH,
    CALL_DURATION,
    CATEGORY,
    CIRCUIT_OPENED,
    DELIVERED,
    DELIVERY_LATENCY,
    FAILED,
    MESSAGE,
    OUTCOME,
    PROVIDER,
    QUEUE_AGE,
    REASON,
    REFUSED,
    SEND_LATENCY,
    SENDER,
    SENT,
    UNKNOWN,
    VENDOR,
    VENDOR_ERRORS,
    Attributes,
    Metric,
    Telemetry,
)
from functions.vendors.contract import Accepted, Category, Outcome, Reason, Refused, State, Unknown

log = logging.getLogger("sms.messages")

ADAPTER = "adapter"
"""The reason of a call that failed by a fault of the vendor's adapter."""

_OF_THE_CALL = frozenset(
    {
        Reason.THROTTLED,
        Reason.TEMPORARY,
        Reason.QUOTA,
        Reason.CREDENTIALS,
        Reason.ACCOUNT,
        Reason.CONFIGURATION,
    }
)
"""Reasons that lie with the call or the account; every other lies with one message."""

OUTAGES = frozenset({Reason.NO_ANSWER.value, Reason.TEMPORARY.value, ADAPTER})
"""Why a call failed where the next one will probably fail too, without the vendor having said what is wrong."""


def labels(vendor: str, provider: str, sender: str, category: Category) -> Attributes:
    """Return what the figures of messages are broken down by."""
    return {VENDOR: vendor, PROVIDER: provider, SENDER: sender, CATEGORY: category.value}


def labels_of(batch: Batch) -> Attributes:
    """Return what the figures of a batch's messages are broken down by."""
    return labels(batch.vendor, batch.provider, batch.sender_id, batch.category)


def failure_of(outcomes: Iterable[Outcome]) -> str:
    """Return why a call failed as a whole, or an empty text when the vendor dealt with any of its messages."""
    reasons = [_reason_of_the_call(outcome) for outcome in outcomes]
    return reasons[0] if reasons and all(reasons) else ""


def _reason_of_the_call(outcome: Outcome) -> str:
    match outcome:
        case Unknown():
            return Reason.NO_ANSWER.value
        case Refused() if outcome.reason in _OF_THE_CALL:
            return outcome.reason.value
    return ""


def log_bad_end(came_from: Attributes, identity: str, number: str, state: State, reason: Reason | None) -> None:
    """Log that a message did not arrive, or that nobody knows.

    Args:
        came_from: What its figures are broken down by.
        identity: The message's id.
        number: As much of the recipient's number as may be shown.
        state: How it ended.
        reason: Why.
    """
    why = reason.value if reason else ""
    extra = {**came_from, MESSAGE: identity, OUTCOME: state.value, REASON: why}
    level = logging.WARNING if state is State.UNKNOWN else logging.INFO
    log.log(level, "Message %s to %s: %s %s", identity, number, state.value, why, extra=extra)


def _log_attempt(batch: Batch, number: int, outcomes: Mapping[int, Outcome]) -> None:
    if log.isEnabledFor(logging.INFO):
        kinds = Counter(outcome_word(outcome) for outcome in outcomes.values())
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        extra = {**labels_of(batch), BATCH: batch.id, ATTEMPT: number, OUTCOME: said}
        log.info("Attempt %d of batch %s: %s", number, batch.id, said, extra=extra)


def outcome_word(outcome: Outcome) -> str:
    """Return one word for what came of a message."""
    match outcome:
        case Accepted():
            return "accepted"
        case Refused():
            return "refused"
        case Unknown():
            return "unknown"


class Figures:
    """Counts, and logs."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def accepted(self, batches: Iterable[Batch]) -> None:
        """Count messages that were stored just now."""
        for batch in batches:
            self._telemetry.count(ACCEPTED, labels_of(batch), len(batch.items))

    def refused(self, came_from: Attributes, items: Iterable[AcceptedItem]) -> None:
        """Count messages of a call that were turned away."""
        for code, number in Counter(item.refusal.code for item in items if item.refusal).items():
            self._telemetry.count(REFUSED, {**came_from, REASON: code}, number)

    def taken_up(self, batch: Batch, due: datetime | None, now: datetime) -> None:
        """Record how late a batch was taken up; nothing where the queue message does not say when it was due."""
        if due is not None:
            self._telemetry.record(QUEUE_AGE, labels_of(batch), max(0.0, (now - due).total_seconds()))

    def called(self, batch: Batch, seconds: float, failure: str) -> None:
        """Record a call that hands messages to the vendor.

        Args:
            batch: Whose messages.
            seconds: How long it took.
            failure: Why it failed as a whole, if it did.
        """
        attributes = {**labels_of(batch), REASON: failure}
        self._telemetry.record(CALL_DURATION, attributes, seconds)
        if failure:
            self._telemetry.count(VENDOR_ERRORS, attributes)

    def held_back(self, batch: Batch, failure: str, seconds: float) -> None:
        """Count that a provider is not called for a while.

        Args:
            batch: Whose call was the last to fail.
            failure: Why it failed.
            seconds: Until the next trial.
        """
        attributes = {VENDOR: batch.vendor, PROVIDER: batch.provider, REASON: failure}
        self._telemetry.count(CIRCUIT_OPENED, attributes)
        words = "Calls to %s for provider %s fail one after another (%s): its messages wait, next trial in %.0f s"
        log.error(words, batch.vendor, batch.provider, failure, seconds, extra=attributes)

    def adapter_failed(self, batch: Batch) -> None:
        """Count a call of another kind in which the adapter failed."""
        self._telemetry.count(VENDOR_ERRORS, {**labels_of(batch), REASON: ADAPTER})

    def attempted(self, before: Facts, after: Facts, done: Attempt) -> None:
        """Count what an attempt changed.

        Args:
            before: The facts without what came of it.
            after: The facts with it.
            done: The attempt.
        """
        batch, outcomes = after.batch, done.outcomes or {}
        _log_attempt(batch, done.number, outcomes)
        if not self._telemetry.on and all(isinstance(outcome, Accepted) for outcome in outcomes.values()):
            return
        came_from, seconds = labels_of(batch), ((done.ended or done.started) - batch.created).total_seconds()
        changes: Counter[tuple[State, Reason | None]] = Counter()
        for index in done.indices:
            where = standing(after, index)
            if where.state is not standing(before, index).state and not (
                where.state is State.UNKNOWN and _was_unknown(before, index)
            ):
                changes[where.state, where.reason] += 1
                self._log_bad_end(batch, index, where.state, where.reason)
        for (state, reason), number in changes.items():
            self._ended(came_from, state, reason, number)
            if state is State.SENT:
                for _ in range(number):
                    self._telemetry.record(SEND_LATENCY, came_from, seconds)

    def reported(
        self, told: dict[int, State], came_from: Attributes, index: int, state: State, reason: Reason | None, age: float
    ) -> bool:
        """Count what a new report says.

        Args:
            told: What this process counted of the batch's messages before; it is brought up to date.
            came_from: What the batch's figures are broken down by.
            index: Which message.
            state: What the report means for the whole message.
            reason: Why it did not arrive.
            age: Seconds since the message was accepted.

        Returns:
            Whether that was news to this process.
        """
        known = told.get(index, State.QUEUED)
        after = advance(known, state)
        if after is known:
            return False
        told[index] = after
        if after is State.DELIVERED:
            self._telemetry.count(DELIVERED, came_from)
            self._telemetry.record(DELIVERY_LATENCY, came_from, max(0.0, age))
        elif after is not State.SENT:
            self._ended(came_from, after, reason, 1)
        return True

    def closed(self, facts: Facts, messages: Sequence[MessageSummary]) -> None:
        """Count what became final only because nothing more is expected."""
        still_open = replace(facts, closed=None)
        for index, message in enumerate(messages):
            if message.status is not standing(still_open, index).state:
                self._ended(labels_of(facts.batch), message.status, message.reason, 1)
                self._log_bad_end(facts.batch, index, message.status, message.reason)

    def _log_bad_end(self, batch: Batch, index: int, state: State, reason: Reason | None) -> None:
        if state in _METRICS and state is not State.SENT:
            identity, number = message_id(batch.id, index), self._telemetry.number(batch.items[index].to)
            log_bad_end(labels_of(batch), identity, number, state, reason)

    def _ended(self, came_from: Attributes, state: State, reason: Reason | None, number: int) -> None:
        metric = _METRICS.get(state)
        if metric is None:
            return
        because = {} if metric is SENT else {REASON: (reason or _WITHOUT_A_REASON[metric]).value}
        self._telemetry.count(metric, {**came_from, **because}, number)


def _was_unknown(facts: Facts, index: int) -> bool:
    return any(isinstance((attempt.outcomes or {}).get(index), Unknown) for attempt in facts.attempts)


_METRICS: Mapping[State, Metric] = {
    State.SENT: SENT,
    State.UNKNOWN: UNKNOWN,
    **dict.fromkeys(FINAL - {State.DELIVERED}, FAILED),
}
_WITHOUT_A_REASON = {UNKNOWN: Reason.NO_REPORT, FAILED: Reason.OTHER}
