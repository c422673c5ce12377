"""The magic numbers: the recipient's last seven digits say what becomes of a message, alike at every vendor.

555 01xx is set aside for fiction in every North American area code, so +1 425 555 0160 and +1 206 555 0160 are two
people with the same fate. In other countries the same seven digits work (+44 740 5550160, +47 4 5550160).
Everything that is not in the table is delivered.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

SENT_AFTER = 0.3
DONE_AFTER = 1.0
LATE_AFTER = 30.0
_PREFIX = "555"
_TAIL = len(_PREFIX) + 4


class Reason(StrEnum):
    """Why a message was refused or not delivered; each vendor has its own code for it."""

    INVALID_NUMBER = "invalid_number"
    OPTED_OUT = "opted_out"
    NO_ROUTE = "no_route"
    NOT_MOBILE = "not_mobile"
    UNREACHABLE = "unreachable"
    UNKNOWN_SUBSCRIBER = "unknown_subscriber"
    CARRIER_BLOCKED = "carrier_blocked"
    FILTERED = "filtered"
    EXPIRED = "expired"
    UNCLEAR = "unclear"
    SENDER_UNREGISTERED = "sender_unregistered"
    CARRIER_LIMIT = "carrier_limit"
    NO_CARRIER_REPORT = "no_carrier_report"


class Trouble(StrEnum):
    """What goes wrong between the customer and the vendor while a message is handed in."""

    THROTTLE = "throttle"
    ERROR_BEFORE = "error_before"
    ERROR_AFTER = "error_after"
    DROP_BEFORE = "drop_before"
    DROP_AFTER = "drop_after"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens to an accepted message.

    Attributes:
        after: Seconds after acceptance, before the time scale is applied.
        state: `queued`, `sent`, `delivered`, `undelivered` or `failed`.
        reason: Why, for the last two.
        apply: Whether the message's state really changes; an echo only tells the customer again.
        report: Whether the customer is told.
        forged: The report carries a signature that does not verify.
        early: Happens before the vendor answers the request.
    """

    after: float
    state: str
    reason: Reason | None = None
    apply: bool = True
    report: bool = True
    forged: bool = False
    early: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fate.

    Attributes:
        digits: The last four digits that choose it.
        name: A short name.
        what: What happens, in a sentence.
        refusal: Why the vendor refuses the request at once; a vendor that never does so reports it later.
        trouble: What goes wrong on the wire.
        always: Whether the trouble never ends; otherwise each text meets it on its first attempt only.
        retry_after: Seconds named in `Retry-After` when throttled; none when absent.
        steps: What happens after acceptance.
    """

    digits: str
    name: str
    what: str
    refusal: Reason | None = None
    trouble: Trouble | None = None
    always: bool = False
    retry_after: float | None = None
    steps: tuple[Step, ...] = (Step(SENT_AFTER, "sent"), Step(DONE_AFTER, "delivered"))


DELIVERED = Outcome("", "delivered", "Delivered after about a second.")


def _refused(digits: str, reason: Reason, what: str) -> Outcome:
    steps = (Step(DONE_AFTER, "failed", reason),)
    return Outcome(digits, f"refused_{reason}", what, refusal=reason, steps=steps)


def _failing(digits: str, state: str, reason: Reason, what: str) -> Outcome:
    sent = () if state == "failed" else (Step(SENT_AFTER, "sent"),)
    return Outcome(digits, f"{state}_{reason}", what, steps=(*sent, Step(DONE_AFTER, state, reason)))


def failed_later(reason: Reason) -> Outcome:
    """Say what becomes of a message that a vendor takes although something stands against it."""
    return _failing("", "failed", reason, "")


_SENT = Step(SENT_AFTER, "sent")
_DELIVERED = Step(DONE_AFTER, "delivered")
_AGAIN = Step(DONE_AFTER + 0.1, "delivered", apply=False)

OUTCOMES: tuple[Outcome, ...] = (
    _refused("0150", Reason.INVALID_NUMBER, "Refused at once: no such number."),
    _refused("0151", Reason.OPTED_OUT, "Refused: the person opted out of this sender."),
    _refused("0152", Reason.NO_ROUTE, "Refused: this sender has no way to this number."),
    _refused("0153", Reason.NOT_MOBILE, "Refused: a number that takes no texts."),
    _failing("0160", "undelivered", Reason.UNREACHABLE, "Accepted, then undelivered: handset off."),
    _failing("0161", "undelivered", Reason.UNKNOWN_SUBSCRIBER, "Accepted, then undelivered: landline or unknown."),
    _failing("0162", "undelivered", Reason.CARRIER_BLOCKED, "Accepted, then blocked by the carrier."),
    _failing("0163", "undelivered", Reason.FILTERED, "Accepted, then filtered as spam."),
    _failing("0164", "failed", Reason.OPTED_OUT, "Accepted, then failed: the person opted out."),
    _failing("0165", "failed", Reason.EXPIRED, "Accepted, then never handed on in time."),
    _failing("0166", "undelivered", Reason.UNCLEAR, "Accepted, then failed for a reason nobody knows."),
    _failing("0167", "failed", Reason.SENDER_UNREGISTERED, "Accepted, then failed: the sender is not registered."),
    _failing("0168", "failed", Reason.CARRIER_LIMIT, "Accepted, then failed: over the carrier's volume limit."),
    _failing(
        "0169", "undelivered", Reason.NO_CARRIER_REPORT, "Accepted; the carrier tells nothing, perhaps it arrived."
    ),
    Outcome("0170", "throttled_once", "429 without Retry-After on a text's first attempt.", trouble=Trouble.THROTTLE),
    Outcome(
        "0171",
        "throttled_once_retry_after",
        "429 with Retry-After: 1 on a text's first attempt.",
        trouble=Trouble.THROTTLE,
        retry_after=1,
    ),
    Outcome("0172", "throttled_always", "429 each time.", trouble=Trouble.THROTTLE, always=True),
    Outcome("0173", "error_before_once", "500 on the first attempt, nothing sent.", trouble=Trouble.ERROR_BEFORE),
    Outcome("0174", "error_after_once", "500 on the first attempt, yet sent.", trouble=Trouble.ERROR_AFTER),
    Outcome(
        "0175",
        "answer_lost_once",
        "First attempt: sent, then the connection drops without an answer.",
        trouble=Trouble.DROP_AFTER,
    ),
    Outcome(
        "0176",
        "dropped_once",
        "First attempt: the connection drops, nothing sent.",
        trouble=Trouble.DROP_BEFORE,
    ),
    Outcome("0177", "slow", "Sent, answered after `slow_seconds` (3).", trouble=Trouble.SLOW, always=True),
    Outcome("0178", "error_always", "500 each time, nothing sent.", trouble=Trouble.ERROR_BEFORE, always=True),
    Outcome("0179", "answer_lost_always", "Sent each time, never answered.", trouble=Trouble.DROP_AFTER, always=True),
    Outcome("0180", "no_report", "Accepted; no report ever.", steps=()),
    Outcome("0181", "late_report", "Delivered, reported after 30 s.", steps=(_SENT, Step(LATE_AFTER, "delivered"))),
    Outcome("0182", "duplicate_reports", "Delivered, and told three times.", steps=(_SENT, _DELIVERED, _AGAIN, _AGAIN)),
    Outcome(
        "0183",
        "reordered_reports",
        "`delivered` is reported before `sent` (unseen at vendors that report final states only).",
        steps=(
            Step(SENT_AFTER, "sent", report=False),
            _DELIVERED,
            Step(DONE_AFTER + 0.1, "sent", apply=False),
        ),
    ),
    Outcome(
        "0184",
        "report_before_answer",
        "All reports arrive before the answer to the request does.",
        steps=(Step(0, "sent", early=True), Step(0, "delivered", early=True)),
    ),
    Outcome(
        "0185",
        "forged_report",
        "A report that does not authenticate says failed; the true one says delivered.",
        steps=(_SENT, Step(0.6, "failed", Reason.UNCLEAR, apply=False, forged=True), _DELIVERED),
    ),
    Outcome(
        "0186",
        "corrected_report",
        "Reported undelivered, then delivered after all.",
        steps=(_SENT, Step(0.6, "undelivered", Reason.UNREACHABLE), _DELIVERED),
    ),
)
_BY_TAIL = {_PREFIX + outcome.digits: outcome for outcome in OUTCOMES}


def outcome_of(number: str) -> Outcome:
    """Say what becomes of a message to this number."""
    return _BY_TAIL.get(number[-_TAIL:], DELIVERED)


def magic_number(digits: str, area: int = 425) -> str:
    """Give a US number with the fate chosen by its last four digits.

    Args:
        digits: One of the table's four digits.
        area: The area code, to have several people with the same fate.
    """
    return f"+1{area}{_PREFIX}{digits}"


def ordinary_number(index: int) -> str:
    """Give one of nearly eight million US numbers that are valid, different, and simply delivered.

    Args:
        index: 0 to 7,919,999.
    """
    block, line = divmod(index, 10_000)
    area, exchange = divmod(block, len(_EXCHANGES))
    return f"+1{_AREAS[area]}{_EXCHANGES[exchange]}{line:04d}"


_AREAS = (425, 206, 253, 360, 509, 503, 541, 971)
# 611 is a service code, no exchange; 555 is where the magic numbers are.
_EXCHANGES = tuple(exchange for exchange in range(600, 700) if exchange != 611)  # noqa: PLR2004
