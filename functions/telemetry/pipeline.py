"""Puts the OpenTelemetry SDK together: what is exported where, how much waits in memory, and how it ends.

The providers are our own and not the process's global ones, so no library exports anything by way of them. How much may
wait and for how long is the SDK's own: queues of 2,048 spans and log records of which the oldest give way, 10 seconds a
request, all on threads beside the event loop. ``OTEL_BSP_*``, ``OTEL_BLRP_*`` and ``OTEL_EXPORTER_OTLP_*`` change it:
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import (
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_VERSION,
    OTELResourceDetector,
    Resource,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from functions import __version__
from functions.settings import TelemetrySettings
from functions.telemetry.otel import Exporter, OpenTelemetry

NAME = "sms-gateway"
_RETRIES = 3
"""Microsoft's default of ten, ever longer apart, would hold up what comes behind for minutes."""


@dataclass(frozen=True, slots=True)
class _Exporters:
    """What makes the exporters of one destination."""

    spans: Callable[[TracerProvider], Any]
    metrics: Callable[[], Any]
    logs: Callable[[], Any]


def _otlp() -> _Exporters:
    # Their addresses, headers, certificates and time-outs come from the standard variables.
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415

    return _Exporters(lambda _: OTLPSpanExporter(), OTLPMetricExporter, OTLPLogExporter)


def _azure_monitor(connection_string: str) -> _Exporters:
    # Slow to import. With APPLICATIONINSIGHTS_AUTHENTICATION_STRING they sign in with the app's identity.
    from azure.monitor.opentelemetry.exporter import (  # noqa: PLC0415
        AzureMonitorLogExporter,
        AzureMonitorMetricExporter,
        AzureMonitorTraceExporter,
    )

    # Without a copy of what could not be sent on the instance's disk, which is gone with the instance.
    options: dict[str, Any] = {
        "connection_string": connection_string,
        "disable_offline_storage": True,
        "retry_total": _RETRIES,
    }
    return _Exporters(
        lambda provider: _closing(AzureMonitorTraceExporter(tracer_provider=provider, **options)),
        lambda: _closing(AzureMonitorMetricExporter(**options)),
        lambda: _closing(AzureMonitorLogExporter(**options)),
    )


def _closing(exporter: Any) -> Any:
    """Make an exporter of Microsoft's close its connections in the end, which it leaves open by itself."""
    exporter.shutdown = lambda **_: exporter.client.close()
    return exporter


def start(settings: TelemetrySettings) -> OpenTelemetry:
    """Start exporting.

    Args:
        settings: Where to.
    """
    destinations = [_otlp()] if settings.otlp else []
    if settings.azure_monitor:
        destinations.append(_azure_monitor(settings.azure_monitor))
    resource, readers = _resource(settings.site), []
    spans, logs = TracerProvider(resource=resource), LoggerProvider(resource=resource)
    exporters: list[Exporter] = []
    for made in destinations:
        if "traces" in settings.signals:
            exporters.append(exporter := made.spans(spans))
            spans.add_span_processor(BatchSpanProcessor(exporter))
        if "logs" in settings.signals:
            exporters.append(exporter := made.logs())
            logs.add_log_record_processor(BatchLogRecordProcessor(exporter))
        if "metrics" in settings.signals:
            exporters.append(exporter := made.metrics())
            readers.append(PeriodicExportingMetricReader(exporter, export_interval_millis=settings.metrics_every))
    meters = MeterProvider(metric_readers=readers, resource=resource)
    return OpenTelemetry(spans, meters, logs, exporters, clear_numbers=settings.clear_numbers)


def _resource(site: str) -> Resource:
    """Return who speaks; ``OTEL_SERVICE_NAME`` and ``OTEL_RESOURCE_ATTRIBUTES`` say it better."""
    ours = Resource(
        {
            SERVICE_NAME: site or NAME,
            SERVICE_VERSION: __version__,
            # Counters of two processes are two series only where something tells them apart.
            SERVICE_INSTANCE_ID: uuid.uuid4().hex,
        }
    )
    return ours.merge(OTELResourceDetector().detect())
