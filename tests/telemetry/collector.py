"""A collector on loopback: takes OTLP over HTTP as specified and decodes it with OpenTelemetry's own proto.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanProto

SIGNALS = {
    "traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
}


@dataclass(frozen=True)
class Span:
    """A span as it arrived."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    attributes: dict[str, Any]
    links: list[str]
    failed: bool


@dataclass(frozen=True)
class Log:
    """A log record as it arrived."""

    logger: str
    severity: str
    body: str
    trace: str
    attributes: dict[str, Any]


@dataclass
class Collector:
    """What arrived, and how it answers.

    Args:
        url: Where it listens.
        status: What it answers.
        delay: Seconds it takes for that.
    """

    url: str = ""
    status: int = 200
    delay: float = 0.0
    spans: list[Span] = field(default_factory=list)
    logs: list[Log] = field(default_factory=list)
    resources: list[dict[str, Any]] = field(default_factory=list)
    requests: Counter = field(default_factory=Counter)
    headers: list[dict[str, str]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    points: dict[tuple[str, tuple], Any] = field(default_factory=dict)
    units: dict[str, tuple[str, str]] = field(default_factory=dict)
    documents: dict[str, list[Any]] = field(default_factory=lambda: {signal: [] for signal in SIGNALS})

    def count(self, metric: str, *by: str) -> dict | int:
        """Return the sum of a counter, or of a histogram's values counted, broken down by attributes where named."""
        found: Counter = Counter()
        for (name, attributes), point in self.points.items():
            if name == metric:
                known = dict(attributes)
                number = point.count if hasattr(point, "bucket_counts") else (point.as_int or point.as_double)
                found[tuple(known.get(one, "") for one in by)] += number
        return {key[0] if len(by) == 1 else key: number for key, number in found.items()} if by else found[()]

    def sum(self, metric: str) -> float:
        """Return the sum of a histogram's values."""
        return sum(point.sum for (name, _), point in self.points.items() if name == metric)

    def named(self, name: str) -> list[Span]:
        """Return the spans of a name."""
        return [span for span in self.spans if span.name == name]

    async def take(self, request: web.Request) -> web.Response:
        """Take one export."""
        signal = request.match_info["signal"]
        self.requests[signal] += 1
        assert request.content_type == "application/x-protobuf"
        body = await request.read()
        if self.delay:
            await asyncio.sleep(self.delay)
        if self.status != 200:
            return web.Response(status=self.status)
        kind, answer = SIGNALS[signal]
        document = kind.FromString(body)  # aiohttp has decompressed it
        self.headers.append(dict(request.headers))
        self.texts.append(str(document) + body.decode("utf-8", errors="replace"))
        self.documents[signal].append(document)
        getattr(self, f"_{signal}")(document)
        return web.Response(body=answer().SerializeToString(), content_type="application/x-protobuf")

    def _traces(self, document: Any) -> None:
        for resource in document.resource_spans:
            self.resources.append(_values(resource.resource.attributes))
            for scope in resource.scope_spans:
                for one in scope.spans:
                    self.spans.append(
                        Span(
                            one.name,
                            SpanProto.SpanKind.Name(one.kind).removeprefix("SPAN_KIND_").lower(),
                            one.trace_id.hex(),
                            one.span_id.hex(),
                            one.parent_span_id.hex(),
                            _values(one.attributes),
                            [link.trace_id.hex() for link in one.links],
                            one.status.code == 2,
                        )
                    )

    def _metrics(self, document: Any) -> None:
        for resource in document.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    kind = metric.WhichOneof("data")
                    self.units[metric.name] = (kind, metric.unit)
                    for point in getattr(metric, kind).data_points:
                        # Sums are cumulative: the latest says it all, and a collector in between may turn the order.
                        key = metric.name, tuple(sorted(_values(point.attributes).items()))
                        if key not in self.points or self.points[key].time_unix_nano <= point.time_unix_nano:
                            self.points[key] = point

    def _logs(self, document: Any) -> None:
        for resource in document.resource_logs:
            for scope in resource.scope_logs:
                for one in scope.log_records:
                    self.logs.append(
                        Log(
                            scope.scope.name,
                            one.severity_text,
                            one.body.string_value,
                            one.trace_id.hex(),
                            _values(one.attributes),
                        )
                    )


def _values(attributes: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


@asynccontextmanager
async def running_collector():
    """Run a collector on a free port."""
    collector = Collector()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/{signal:traces|metrics|logs}", collector.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    collector.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    try:
        yield collector
    finally:
        await runner.cleanup()
