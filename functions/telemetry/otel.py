"""The gateway's telemetry, spoken in OpenTelemetry."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from functions.gateway.telemetry import (
    METRICS,
    NOWHERE,
    Attribute,
    Attributes,
    Instrument,
    Kind,
    Metric,
    Trace,
    masked,
)
from functions.telemetry.logs import LogExport

SCOPE = "sms-gateway"
CLOSE_WITHIN = 5.0
"""Seconds that closing waits for what is still to be exported; what takes longer is lost."""

_KINDS = {kind: SpanKind[kind.name] for kind in Kind}
_W3C = TraceContextTextMapPropagator()


class Exporter(Protocol):
    """What sends to a destination."""

    def shutdown(self) -> None:
        """Give up what is on its way."""


class _Span:
    """A span of the SDK behind the port."""

    __slots__ = ("_span",)

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def set(self, name: str, value: Attribute) -> None:
        self._span.set_attribute(name, value)

    def fail(self, why: str) -> None:
        self._span.set_attribute("error.type", why)
        self._span.set_status(Status(StatusCode.ERROR, why))


class OpenTelemetry:
    """Telemetry that is exported.

    Args:
        spans: Where spans go.
        meters: Where figures go.
        logs: Where log records go.
        exporters: What they all end in.
        clear_numbers: Whether log lines show numbers in clear.
    """

    def __init__(
        self,
        spans: TracerProvider,
        meters: MeterProvider,
        logs: LoggerProvider,
        exporters: Sequence[Exporter],
        *,
        clear_numbers: bool = False,
    ) -> None:
        self._providers = (spans, meters, logs)
        self._exporters = exporters
        self._tracer = spans.get_tracer(SCOPE)
        self._clear_numbers = clear_numbers
        meter = meters.get_meter(SCOPE)
        of_kind = [{m.name: m for m in METRICS if m.instrument is kind} for kind in Instrument]
        counters, histograms, gauges = of_kind
        self._adders = {m.name: meter.create_counter(m.name, m.unit, m.help).add for m in counters.values()}
        self._setters = {m.name: meter.create_gauge(m.name, m.unit, m.help).set for m in gauges.values()} | {
            m.name: meter.create_histogram(
                m.name, m.unit, m.help, explicit_bucket_boundaries_advisory=list(m.bounds)
            ).record
            for m in histograms.values()
        }
        self._log_export = LogExport(logs, clear_numbers=clear_numbers)
        self._log_export.attach()

    @property
    def on(self) -> bool:
        """Whether anybody listens: yes."""
        return True

    @contextmanager
    def span(
        self, name: str, kind: Kind = Kind.INTERNAL, attributes: Attributes | None = None, parent: Trace = NOWHERE
    ) -> Iterator[_Span]:
        """Return a span.

        With telemetryMode OpenTelemetry the Functions host has a span for each invocation, which the worker makes the
        current one. An HTTP call's belongs to the caller's trace already, so ours goes below it; a queue message's does
        not, so ours goes where the message was queued and is linked to the host's.
        """
        around = trace.get_current_span().get_span_context()
        context, links = None, []
        if kind is Kind.SERVER and around.is_valid:
            kind = Kind.INTERNAL
        elif parent:
            context = _context_of(parent)
            links = [Link(around)] if around.is_valid else []
        span = self._tracer.start_span(name, context, _KINDS[kind], attributes, links)
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            ours = _Span(span)
            try:
                yield ours
            except BaseException as error:
                # Its class and no more: its words may hold a number, a text or a secret.
                ours.fail(type(error).__name__)
                raise

    def here(self) -> Trace:
        """Return where we are."""
        carrier: dict[str, str] = {}
        _W3C.inject(carrier)
        return Trace(carrier.get("traceparent", ""), carrier.get("tracestate", ""))

    def link(self, trace_: Trace) -> None:
        """Link the span around to another trace, once."""
        span = trace.get_current_span()
        if not trace_ or not isinstance(span, ReadableSpan):
            return
        other: SpanContext = trace.get_current_span(_context_of(trace_)).get_span_context()
        if other.trace_id != span.get_span_context().trace_id and all(one.context != other for one in span.links):
            span.add_link(other)

    def count(self, metric: Metric, attributes: Attributes, value: int = 1) -> None:
        """Add to a counter."""
        self._adders[metric.name](value, _of(metric, attributes))

    def record(self, metric: Metric, attributes: Attributes, value: float) -> None:
        """Add a value to a histogram, or set a gauge."""
        self._setters[metric.name](value, _of(metric, attributes))

    def number(self, number: str) -> str:
        """Return as much of a number as a log line may show."""
        return number if self._clear_numbers else masked(number)

    async def close(self) -> None:
        """Export what is left and stop, within ``CLOSE_WITHIN`` seconds whatever the collector does."""
        self._log_export.detach()
        ends = [_on_a_thread(provider.shutdown) for provider in self._providers]
        _, late = await asyncio.wait(ends, timeout=CLOSE_WITHIN)
        for exporter in self._exporters if late else ():
            # Wakes whatever waits to try again, so that no thread goes on.
            with suppress(Exception):
                exporter.shutdown()


def _context_of(where: Trace) -> Context:
    return _W3C.extract({"traceparent": where.parent, "tracestate": where.state}, Context())


def _of(metric: Metric, attributes: Attributes) -> dict[str, Attribute]:
    return {name: attributes[name] for name in metric.attributes if attributes.get(name)}


def _on_a_thread(work: Callable[[], object]) -> asyncio.Future[None]:
    """Do blocking work on a thread that holds up neither the loop nor the end of the process."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def finish() -> None:
        if not done.done():
            done.set_result(None)

    def run() -> None:
        with suppress(Exception):
            work()
        with suppress(RuntimeError):  # the loop did not wait that long
            loop.call_soon_threadsafe(finish)

    threading.Thread(target=run, name="telemetry-close", daemon=True).start()
    return done
