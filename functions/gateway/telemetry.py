"""What the gateway tells of itself: spans, figures and how much of a number a log line shows.

The rules speak to this port alone. ``SILENT`` stands in for it where nothing is set up and does nothing;
``functions/telemetry`` has the one that exports. All names follow https://opentelemetry.io/docs/specs/semconv/general/naming.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

Attribute = str | int | float | bool
Attributes = Mapping[str, Attribute]

VENDOR: Final = "sms.vendor"
PROVIDER: Final = "sms.provider"
SENDER: Final = "sms.sender"
REASON: Final = "sms.reason"
CATEGORY: Final = "sms.category"
BATCH: Final = "sms.batch"
MESSAGE: Final = "sms.message"
ATTEMPT: Final = "sms.attempt"
MESSAGES: Final = "sms.messages"
BATCHES: Final = "sms.batches"
OUTCOME: Final = "sms.outcome"

_HEAD, _TAIL, _HIDDEN = 5, 4, 3
_LONGEST_STATE = 512


class Kind(StrEnum):
    """What a span stands for: https://opentelemetry.io/docs/specs/otel/trace/api/#spankind."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


class Instrument(StrEnum):
    """How the values of a figure add up."""

    COUNTER = "counter"
    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure.

    Args:
        name: Its name, as it is exported.
        instrument: How its values add up.
        unit: In UCUM, as https://opentelemetry.io/docs/specs/semconv/general/metrics asks for.
        help: What it says.
        attributes: What it is broken down by; each has few values and none names a person.
        bounds: Where a histogram's buckets end.
    """

    name: str
    instrument: Instrument
    unit: str
    help: str
    attributes: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()


_ORIGIN: Final = (VENDOR, PROVIDER, SENDER)
_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 60, 300)
_HOURS: Final = (1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400, 43_200, 86_400, 259_200)

ACCEPTED: Final = Metric(
    "sms.accepted", Instrument.COUNTER, "{message}", "Messages taken from callers and stored.", (*_ORIGIN, CATEGORY)
)
REFUSED: Final = Metric(
    "sms.refused",
    Instrument.COUNTER,
    "{message}",
    "Messages turned away at the door, by what was wrong with them; they were never stored.",
    (*_ORIGIN, REASON, CATEGORY),
)
SENT: Final = Metric(
    "sms.sent", Instrument.COUNTER, "{message}", "Messages that the vendor's answer took over.", (*_ORIGIN, CATEGORY)
)
DELIVERED: Final = Metric(
    "sms.delivered",
    Instrument.COUNTER,
    "{message}",
    "Messages that the vendor reported as delivered.",
    (*_ORIGIN, CATEGORY),
)
FAILED: Final = Metric(
    "sms.failed",
    Instrument.COUNTER,
    "{message}",
    "Messages that ended without arriving, by reason: refused for good, expired, or reported so.",
    (*_ORIGIN, REASON, CATEGORY),
)
UNKNOWN: Final = Metric(
    "sms.unknown",
    Instrument.COUNTER,
    "{message}",
    "Messages of which nobody knew whether they were sent (`no_answer`) or whether they arrived (`no_report`). "
    "Evidence may settle them later; they then count as sent, delivered or failed too.",
    (*_ORIGIN, REASON, CATEGORY),
)
SEND_LATENCY: Final = Metric(
    "sms.send.latency",
    Instrument.HISTOGRAM,
    "s",
    "From accepting a message to the vendor's answer that it took it.",
    (*_ORIGIN, CATEGORY),
    _HOURS,
)
DELIVERY_LATENCY: Final = Metric(
    "sms.delivery.latency",
    Instrument.HISTOGRAM,
    "s",
    "From accepting a message to storing the report that it was delivered, by this machine's clock.",
    (*_ORIGIN, CATEGORY),
    _HOURS,
)
QUEUE_AGE: Final = Metric(
    "sms.queue.age",
    Instrument.HISTOGRAM,
    "s",
    "From the moment a batch was due to the moment a worker took it up, once a queue message.",
    _ORIGIN,
    _SECONDS,
)
CALL_DURATION: Final = Metric(
    "sms.vendor.call.duration",
    Instrument.HISTOGRAM,
    "s",
    "One call that hands messages to the vendor; with a reason where the call as a whole failed.",
    (*_ORIGIN, REASON),
    _SECONDS,
)
VENDOR_ERRORS: Final = Metric(
    "sms.vendor.errors",
    Instrument.COUNTER,
    "{call}",
    "Calls to the vendor that failed as a whole, by reason; `adapter` is a fault of our own code.",
    (*_ORIGIN, REASON),
)
CIRCUIT_OPENED: Final = Metric(
    "sms.circuit.opened",
    Instrument.COUNTER,
    "{time}",
    "Times a provider's messages were held back since its calls failed one after another, by the last one's reason; "
    "while it stays so each failed trial counts, at least every two minutes as long as there is something to send.",
    (VENDOR, PROVIDER, REASON),
)
INBOUND: Final = Metric(
    "sms.inbound", Instrument.COUNTER, "{message}", "Replies that were stored; `sms.reason` is the keyword, if any.",
    (*_ORIGIN, REASON),
)  # fmt: skip
OPT_OUTS: Final = Metric(
    "sms.opt_outs",
    Instrument.COUNTER,
    "{number}",
    "Numbers that came onto the opt-out list; `sms.reason` is `keyword`, `vendor` or `operator`.",
    (REASON,),
)
SET_ASIDE: Final = Metric(
    "sms.set_aside", Instrument.COUNTER, "{item}", "Items of callbacks and events that fitted nothing.", (VENDOR,)
)
CALLBACKS_REFUSED: Final = Metric(
    "sms.callbacks.refused",
    Instrument.COUNTER,
    "{callback}",
    "Callbacks that did not prove that they come from the vendor, or could not be read.",
    (VENDOR, PROVIDER, REASON),
)
OLDEST_OPEN: Final = Metric(
    "sms.oldest.open",
    Instrument.GAUGE,
    "s",
    "Age of the oldest batch, of those that the sweeper looked at, that still waits for anything, such as the reports "
    "of the last of its messages.",
)
OLDEST_UNSENT: Final = Metric(
    "sms.oldest.unsent",
    Instrument.GAUGE,
    "s",
    "Age of the oldest batch, of those that the sweeper looked at, in which something is still to be sent, tried again "
    "or looked up.",
)

METRICS: Final = (
    ACCEPTED,
    REFUSED,
    SENT,
    DELIVERED,
    FAILED,
    UNKNOWN,
    SEND_LATENCY,
    DELIVERY_LATENCY,
    QUEUE_AGE,
    CALL_DURATION,
    VENDOR_ERRORS,
    CIRCUIT_OPENED,
    INBOUND,
    OPT_OUTS,
    SET_ASIDE,
    CALLBACKS_REFUSED,
    OLDEST_OPEN,
    OLDEST_UNSENT,
)
"""All figures; docs/telemetry.md lists them."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Where in a trace something began, as it travels: the values of the two headers of the W3C.

    Source: https://www.w3.org/TR/trace-context.

    Args:
        parent: ``traceparent``; empty where there is no trace.
        state: ``tracestate``.
    """

    parent: str = ""
    state: str = ""

    def __bool__(self) -> bool:
        return bool(self.parent)

    @property
    def id(self) -> str:
        """The trace's id of 32 hexadecimal digits; empty where there is no trace."""
        parts = self.parent.split("-")
        return parts[1] if len(parts) > 1 else ""

    def kept(self) -> list[str]:
        """Return what is written down of it; a state that is longer than the W3C asks anybody to carry is left out."""
        return [self.parent, self.state if len(self.state) <= _LONGEST_STATE else ""] if self.parent else []

    @classmethod
    def of(cls, kept: object) -> Trace:
        """Return what was written down; anything else, such as nothing, is no trace."""
        match kept:
            case [str(parent), str(state)]:
                return cls(parent, state)
        return NOWHERE


NOWHERE: Final = Trace()


class Span(Protocol):
    """Something that takes time."""

    def set(self, name: str, value: Attribute) -> None:
        """Add what became known while it ran."""

    def fail(self, why: str) -> None:
        """Mark it as failed.

        Args:
            why: One word, such as the class of an error: never its text, which may quote a number or a secret.
        """


class Telemetry(Protocol):
    """What the rules tell of what they do."""

    @property
    def on(self) -> bool:
        """Whether anybody listens, for what would cost something to find out."""
        ...

    def span(
        self, name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes | None = None, parent: Trace = NOWHERE
    ) -> AbstractContextManager[Span]:
        """Return a span to be entered; an exception that passes through marks it as failed.

        Args:
            name: What is done, without anything that varies.
            kind: What it stands for.
            attributes: What is known at its start.
            parent: Where it was set off, if that was elsewhere; else it belongs to the span around it.
        """
        ...

    def here(self) -> Trace:
        """Return where we are, to be carried to where the work goes on."""
        ...

    def link(self, trace: Trace) -> None:
        """Say that the span around has to do with another trace; saying it again changes nothing."""

    def count(self, metric: Metric, attributes: Attributes, value: int = 1) -> None:
        """Add to a counter."""

    def record(self, metric: Metric, attributes: Attributes, value: float) -> None:
        """Add a value to a histogram, or set a gauge."""

    def number(self, number: str) -> str:
        """Return as much of a number as a log line may show."""
        ...

    async def close(self) -> None:
        """Export what is left, if that is quickly done."""


class _NoSpan:
    """A span that nobody sees."""

    def set(self, name: str, value: Attribute) -> None:
        del name, value

    def fail(self, why: str) -> None:
        del why


_NO_SPAN: Final[AbstractContextManager[Span]] = nullcontext(_NoSpan())


@dataclass(frozen=True, slots=True)
class Silent:
    """Telemetry that goes nowhere.

    Args:
        clear_numbers: Whether log lines, which the host may keep, show numbers in clear.
    """

    clear_numbers: bool = False

    @property
    def on(self) -> bool:
        """Whether anybody listens: no."""
        return False

    def span(
        self, name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes | None = None, parent: Trace = NOWHERE
    ) -> AbstractContextManager[Span]:
        """Return a span that nobody sees."""
        del name, kind, attributes, parent
        return _NO_SPAN

    def here(self) -> Trace:
        """Return no trace."""
        return NOWHERE

    def link(self, trace: Trace) -> None:
        """Do nothing."""

    def count(self, metric: Metric, attributes: Attributes, value: int = 1) -> None:
        """Do nothing."""

    def record(self, metric: Metric, attributes: Attributes, value: float) -> None:
        """Do nothing."""

    def number(self, number: str) -> str:
        """Return as much of a number as a log line may show."""
        return number if self.clear_numbers else masked(number)

    async def close(self) -> None:
        """Do nothing."""


SILENT: Final = Silent()


def masked(number: str) -> str:
    """Return a number with its middle hidden, such as ``+1425•••0123``; of a short one nothing is shown."""
    head = min(_HEAD, len(number) - _TAIL - _HIDDEN)
    return f"{number[:head]}•••{number[-_TAIL:]}" if head > 0 else "•••"
