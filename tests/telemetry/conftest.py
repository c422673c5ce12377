"""What the tests of telemetry share: a collector on loopback and a gateway that exports to it."""

from __future__ import annotations

import logging
import os

import pytest

from functions.settings import read_telemetry
from functions.telemetry import open_telemetry
from tests.conftest import Ready
from tests.telemetry.collector import running_collector

QUICK = {
    "OTEL_BSP_SCHEDULE_DELAY": "50",
    "OTEL_BLRP_SCHEDULE_DELAY": "50",
    "OTEL_METRIC_EXPORT_INTERVAL": "60000",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
}
"""The SDK's own settings under which a test does not wait; metrics are exported at the end."""


@pytest.fixture
def environment(monkeypatch):
    """Give a function that sets variables beside the quick ones; those of this machine are out of the way."""
    for name in [name for name in os.environ if name.startswith(("OTEL_", "APPLICATIONINSIGHTS_"))]:
        monkeypatch.delenv(name)

    def put(**variables):
        for name, value in (QUICK | variables).items():
            monkeypatch.setenv(name, value)

    return put


@pytest.fixture
async def collector(environment):
    """Run a collector that the standard variables name."""
    async with running_collector() as running:
        environment(OTEL_EXPORTER_OTLP_ENDPOINT=running.url)
        yield running


@pytest.fixture
async def telemetry(collector):
    """Open telemetry that exports to the collector."""
    level, handlers = logging.getLogger("sms").level, list(logging.getLogger().handlers)
    opened = open_telemetry(read_telemetry(os.environ))
    assert opened.on
    yield opened
    await opened.close()
    assert (logging.getLogger("sms").level, list(logging.getLogger().handlers)) == (level, handlers)


@pytest.fixture
async def traced(start_gateway, sandbox, telemetry):
    """Run a gateway that exports, with a sandbox and no provider yet."""
    return Ready(await start_gateway(telemetry=telemetry), sandbox)
