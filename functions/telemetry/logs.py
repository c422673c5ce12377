"""Exports log records: ours with what they say, those of libraries only with who said it and where.

Our own lines name messages by their ids and show numbers as far as the settings allow; whatever still looks like a
number is masked here too. The words of libraries may quote anything, so they stay on the machine.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current
from opentelemetry.sdk._logs import LoggerProvider

from functions.gateway.telemetry import Attribute, masked

OURS = "sms"
_PREFIX = f"{OURS}."
_EXPORTING = ("opentelemetry", "azure.monitor", "azure.core", "azure.identity", "urllib3", "requests")
"""Loggers that speak while something is exported: exporting them would never end."""

_NUMBER = re.compile(r"\+[0-9]{7,15}")
_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL, "FATAL"),
    (logging.ERROR, SeverityNumber.ERROR, "ERROR"),
    (logging.WARNING, SeverityNumber.WARN, "WARN"),
    (logging.INFO, SeverityNumber.INFO, "INFO"),
    (logging.NOTSET, SeverityNumber.DEBUG, "DEBUG"),
)
"""Source: https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber."""


class LogExport(logging.Handler):
    """Hands log records to OpenTelemetry, which ties them to the span around.

    Args:
        provider: Where to.
        clear_numbers: Whether numbers may stand in clear.
    """

    def __init__(self, provider: LoggerProvider, *, clear_numbers: bool) -> None:
        super().__init__()
        self._provider = provider
        self._clear_numbers = clear_numbers
        self._level_before: int | None = None

    def attach(self) -> None:
        """Listen to all loggers, and to ours from INFO on."""
        ours = logging.getLogger(OURS)
        if not ours.isEnabledFor(logging.INFO):
            self._level_before = ours.level
            ours.setLevel(logging.INFO)
        logging.getLogger().addHandler(self)

    def detach(self) -> None:
        """Listen no longer; a level that somebody else has set meanwhile stays."""
        logging.getLogger().removeHandler(self)
        # Only who changed the level puts it back, or the last of two to end would keep what the first had set.
        ours = logging.getLogger(OURS)
        if self._level_before is not None and ours.level == logging.INFO:
            ours.setLevel(self._level_before)
        self._level_before = None

    def emit(self, record: logging.LogRecord) -> None:
        """Export one record."""
        ours = record.name.startswith(_PREFIX)
        if not ours and (record.levelno < logging.WARNING or record.name.startswith(_EXPORTING)):
            return
        try:
            body = record.getMessage() if ours else f"{record.name} logged at {record.filename}:{record.lineno}"
        except Exception:  # noqa: BLE001 - logging promises never to raise
            self.handleError(record)
            return
        if not self._clear_numbers:
            body = _NUMBER.sub(lambda found: masked(found[0]), body)
        severity, word = next((number, word) for level, number, word in _SEVERITIES if record.levelno >= level)
        self._provider.get_logger(record.name).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                observed_timestamp=time.time_ns(),
                context=get_current(),
                severity_number=severity,
                severity_text=word,
                body=body,
                attributes=_attributes(record),
            )
        )


def _attributes(record: logging.LogRecord) -> Mapping[str, Attribute]:
    found: dict[str, Attribute] = {
        name: value for name, value in vars(record).items() if name.startswith(_PREFIX) and value != ""
    }
    if record.exc_info and record.exc_info[0] is not None:
        found["exception.type"] = record.exc_info[0].__name__
    return found
