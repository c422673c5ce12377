"""A collector that is away, slow or full costs the messages nothing, and closing does not wait for it for long."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
import time

import pytest

from functions.gateway.telemetry import Silent
from functions.settings import SettingsError, TelemetrySettings, read_settings, read_telemetry
from functions.telemetry import open_telemetry, otel
from tests.conftest import Ready

MESSAGES = 60


def nowhere():
    """Return an address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


async def send_all(ready):
    """Send messages one call each to the vendor, and return the seconds until all are delivered."""
    made = await ready.make("twilio")
    started = time.monotonic()
    await ready.send(made, [f"+1425{2_000_000 + n}" for n in range(MESSAGES)])
    async with asyncio.timeout(15):
        while {item["status"] for item in (await ready.call("GET", "/messages?limit=500")).body["items"]} != {
            "delivered"
        }:
            await asyncio.sleep(0.05)
    took = time.monotonic() - started
    assert len(await ready.ledger("twilio")) == MESSAGES
    return took


async def closed(telemetry):
    """Close and return the seconds that took; no thread of the SDK goes on behind."""
    started = time.monotonic()
    await telemetry.close()
    took = time.monotonic() - started
    async with asyncio.timeout(4):
        while any(thread.name.startswith(("Otel", "telemetry-close")) for thread in threading.enumerate()):
            await asyncio.sleep(0.05)
    return took


async def test_a_dead_collector(start_gateway, sandbox, environment, monkeypatch):
    """With nobody listening all messages arrive, each once, and closing ends in time."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=nowhere(), OTEL_EXPORTER_OTLP_TIMEOUT="30")
    monkeypatch.setattr(otel, "CLOSE_WITHIN", 1.5)
    telemetry = open_telemetry(read_telemetry(os.environ))
    await send_all(Ready(await start_gateway(telemetry=telemetry), sandbox))

    assert await closed(telemetry) < 2.5


async def test_a_slow_collector(start_gateway, sandbox, collector, environment, monkeypatch):
    """While each export takes longer than its time-out no call waits for it, and closing ends in time."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    monkeypatch.setattr(otel, "CLOSE_WITHIN", 1.5)
    collector.delay = 3.0
    telemetry = open_telemetry(read_telemetry(os.environ))
    ready = Ready(await start_gateway(telemetry=telemetry), sandbox)
    took = await send_all(ready)

    assert collector.requests["traces"] >= 1
    assert took < collector.delay
    assert await closed(telemetry) < 2.5


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_a_collector_that_refuses(start_gateway, sandbox, collector, telemetry, status):
    """Whatever the collector answers, messages arrive; an answer of its that quotes anything is not repeated."""
    collector.status = status
    await send_all(Ready(await start_gateway(telemetry=telemetry), sandbox))
    collector.status = 200

    assert await closed(telemetry) < otel.CLOSE_WITHIN + 1


async def test_what_waits_is_bounded(environment, monkeypatch):
    """Without a collector at most 2,048 spans and log records wait in memory; making more takes no longer."""
    environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=nowhere(), OTEL_BSP_SCHEDULE_DELAY="60000", OTEL_BLRP_SCHEDULE_DELAY="60000"
    )
    monkeypatch.setattr(otel, "CLOSE_WITHIN", 0.1)
    telemetry = open_telemetry(read_telemetry(os.environ))
    waiting = telemetry._providers[0]._active_span_processor._span_processors[0]._batch_processor._queue
    lines = telemetry._providers[2]._multi_log_record_processor._log_record_processors[0]._batch_processor._queue
    started = time.monotonic()
    for _ in range(5000):
        with telemetry.span("x"):
            logging.getLogger("sms.test").info("line")
    took = time.monotonic() - started
    held = (len(waiting), waiting.maxlen, len(lines), lines.maxlen)
    await telemetry.close()

    assert held[0] <= held[1] == 2048
    assert held[2] <= held[3] == 2048
    assert took < 5


async def test_closing_exports_what_is_left(collector, environment):
    """What was told just before the end arrives, though the time for the next export has not come."""
    environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="60000", OTEL_BLRP_SCHEDULE_DELAY="60000"
    )
    from functions.gateway.telemetry import SET_ASIDE, VENDOR

    telemetry = open_telemetry(read_telemetry(os.environ))
    with telemetry.span("last"):
        logging.getLogger("sms.test").info("last words")
    telemetry.count(SET_ASIDE, {VENDOR: "acs"})
    assert collector.requests == {}
    await telemetry.close()

    assert [span.name for span in collector.spans] == ["last"]
    assert [log.body for log in collector.logs] == ["last words"]
    assert collector.count("sms.set_aside") == 1


async def test_the_process_closes_what_it_opened(collector, environment, tmp_path, monkeypatch, documented):
    """An app that builds itself from the environment exports its first request too, and flushes when it is closed."""
    import aiohttp

    import function_app
    from devhost.host import DevHost
    from devhost.keys import Keys
    from devhost.running import ROOT
    from devhost.settings import read_host_json
    from functions import app as composition
    from functions.storage.embedded import open_embedded

    environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        SMS_STORAGE="embedded",
        SMS_PUBLIC_URL="https://sms.example.com",
        SMS_EMBEDDED_PATH=str(tmp_path / "own.db"),
    )
    composition.install(None)
    other = open_embedded(tmp_path / "host.db")
    host = DevHost(
        function_app.app, host_json=read_host_json(ROOT), settings={}, queues=other.queues, keys=Keys.fresh(), port=0
    )
    async with host, aiohttp.ClientSession() as session, session.get(f"{host.url}/api/health") as response:
        assert response.status == 200
    await composition.close()
    await other.close()

    assert [span.name for span in collector.spans] == ["GET /api/health"]


async def test_telemetry_that_cannot_start_is_no_telemetry(start_gateway, sandbox, environment, monkeypatch, caplog):
    """A broken installation is one line without words in the log, and messages arrive all the same."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=nowhere())
    monkeypatch.setitem(sys.modules, "functions.telemetry.pipeline", None)
    telemetry = open_telemetry(read_telemetry(os.environ))
    ready = Ready(await start_gateway(telemetry=telemetry), sandbox)
    await ready.delivered(await ready.make("twilio"), "+14255550123")

    assert isinstance(telemetry, Silent)
    assert [record.getMessage() for record in caplog.records if record.name == "sms.telemetry"] == [
        "Telemetry could not be started: ModuleNotFoundError"
    ]


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "None",
        },
    ],
)
def test_nothing_is_exported_unless_it_is_set(variables):
    """Without a destination, or switched off by a standard variable, telemetry is silent."""
    assert isinstance(open_telemetry(read_telemetry(variables)), Silent)


async def test_single_signals_can_be_left_out(collector, environment):
    """A signal whose exporter is `none` is not exported; the others are."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_LOGS_EXPORTER="none", OTEL_METRICS_EXPORTER="none")
    telemetry = open_telemetry(read_telemetry(os.environ))
    with telemetry.span("x"):
        logging.getLogger("sms.test").info("x")
    await telemetry.close()

    assert set(collector.requests) == {"traces"}


async def test_the_standard_variables_hold(collector, environment):
    """Headers, compression and the service's name come from the variables that every OpenTelemetry SDK reads."""
    environment(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"{collector.url}/v1/traces",
        OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
        OTEL_EXPORTER_OTLP_HEADERS="x-key=abc",
        OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        OTEL_SERVICE_NAME="mine",
    )
    telemetry = open_telemetry(read_telemetry(os.environ))
    with telemetry.span("x"):
        pass
    await telemetry.close()

    assert collector.headers[0]["x-key"] == "abc"
    assert collector.headers[0]["Content-Encoding"] == "gzip"
    assert collector.resources[0]["service.name"] == "mine"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SMS_LOG_CLEAR_NUMBERS", "perhaps"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=Key"),
    ],
)
def test_wrong_settings_are_named(name, value):
    """A telemetry setting that would silently do something else stops the start like any other wrong setting."""
    good = {"SMS_STORAGE": "embedded", "SMS_PUBLIC_URL": "https://sms.example.com"}
    with pytest.raises(SettingsError, match=name):
        read_settings(good | {name: value})
    assert read_telemetry(good | {name: value}).clear_numbers is False


@pytest.mark.parametrize(("value", "expected"), [("", 10_000), ("250", 250), ("0", 10_000), ("soon", 10_000)])
def test_how_often_metrics_are_exported(value, expected):
    """Every ten seconds unless the standard variable says otherwise; nonsense is passed over."""
    assert read_telemetry({"OTEL_METRIC_EXPORT_INTERVAL": value}).metrics_every == expected


@pytest.mark.parametrize("knows", [True, False])
async def test_the_worker_has_to_know(collector, environment, caplog, knows):
    """On Azure one line says so when the worker was not told that the app exports by itself."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url)
    with caplog.at_level(logging.WARNING, "sms"):
        telemetry = open_telemetry(TelemetrySettings(otlp=True, site="func-sms", worker_knows=knows))
    await telemetry.close()

    assert ("PYTHON_ENABLE_OPENTELEMETRY is not true" in caplog.text) is not knows
