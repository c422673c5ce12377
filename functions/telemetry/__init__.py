"""Exports what the gateway tells of itself: OTLP over HTTP, Azure Monitor, both, or neither.

Nothing of OpenTelemetry is imported until there is somewhere to export to, and no fault of it stops the gateway.
"""

from __future__ import annotations

import logging

from functions.gateway.telemetry import Silent, Telemetry
from functions.settings import TelemetrySettings

log = logging.getLogger("sms.telemetry")


def open_telemetry(settings: TelemetrySettings) -> Telemetry:
    """Return telemetry that exports to where the settings say; without a place, or when it cannot start, a silent one.

    Args:
        settings: Where to export to.
    """
    if settings.exports:
        if settings.site and not settings.worker_knows:
            log.warning("PYTHON_ENABLE_OPENTELEMETRY is not true: the host exports these log lines a second time.")
        try:
            from functions.telemetry.pipeline import start  # noqa: PLC0415 - slow to import, and not always wanted

            return start(settings)
        except Exception as error:  # noqa: BLE001 - messages go out whatever becomes of telemetry
            # The words of the error may quote a header with a key.
            log.error("Telemetry could not be started: %s", type(error).__name__)  # noqa: TRY400
    return Silent(clear_numbers=settings.clear_numbers)
