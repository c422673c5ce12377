"""A real OpenTelemetry collector takes what the gateway exports and hands it on whole; a dead one harms nobody.

The collector is Rotel, written in Rust and so independent of OpenTelemetry's Python code; it hands everything on to the
receiver of the other tests. It keeps what it took in memory: of what it acknowledged in the last moment before it is
killed nothing arrives, since nobody sends that again. No test claims otherwise.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta

import aiohttp
import pytest

from devhost.running import ROOT
from functions.gateway.circuit import FAILURES_IN_A_ROW
from functions.gateway.telemetry import (
    CATEGORY,
    METRICS,
    PROVIDER,
    REASON,
    SENDER,
    VENDOR,
    Instrument,
    Kind,
    Trace,
)
from functions.gateway.timing import Timing
from functions.settings import read_telemetry
from functions.telemetry import open_telemetry, otel
from tests.conftest import KITS, Ready
from tests.servers import is_listening
from tests.telemetry import rotel as rotel_module
from tests.telemetry.collector import running_collector
from tests.telemetry.rotel import CollectorError, Rotel, missing_collector, require_collector, running_rotel

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TEXT = "A text that nobody else should read"
PERSON = "+14255550123"
QUICK = Timing(settle_after=0.2, backoff_base=0.05, backoff_cap=0.2, circuit_wait=0.1, circuit_cap=0.2)
TELLING = (
    "--debug-log",
    "traces",
    "--debug-log",
    "metrics",
    "--debug-log",
    "logs",
    "--debug-log-verbosity",
    "detailed",
)
IN_DOUBT = [f"+1425{3_000_000 + n}" for n in range(FAILURES_IN_A_ROW)]
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def backend():
    """Run what the collector hands everything on to."""
    require_collector()
    async with running_collector() as running:
        yield running


@pytest.fixture
async def rotel(backend, tmp_path, environment):
    """Run a collector that tells what it takes, and have the standard variables name it."""
    async with running_rotel(tmp_path, backend.url, *TELLING) as running:
        environment(OTEL_EXPORTER_OTLP_ENDPOINT=running.url)
        yield running


@pytest.fixture
async def exporting(rotel):
    """Open telemetry that exports to the collector."""
    opened = open_telemetry(read_telemetry(os.environ))
    yield opened
    await opened.close()


@pytest.fixture
async def sending(start_gateway, sandbox, exporting):
    """Run a gateway that exports to the collector."""
    return Ready(await start_gateway(telemetry=exporting, timing=QUICK), sandbox)


async def handed_on(ready, telemetry, rotel):
    """Wait until the gateway has exported all it had to tell and the collector has handed all of it on."""
    await ready.sandbox.idle()
    await ready.idle()
    await telemetry.close()
    await rotel.stop()


async def until(condition, seconds=30.0):
    """Wait for something to become true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("vendor", ["acs", "twilio"])
async def test_a_message_is_one_trace_behind_the_collector(sending, exporting, rotel, backend, vendor):
    """From the caller's span to the vendor call all spans come out joined; the report's trace is linked to theirs."""
    made = await sending.make(vendor)
    message = await sending.delivered(made, KITS[vendor].person(123), TEXT, headers={"traceparent": CALLER})
    await handed_on(sending, exporting, rotel)

    trace, caller = CALLER.split("-")[1:3]
    chain = ["POST /api/messages", "accept", "queue sms-dispatch", "dispatch", f"send {vendor}"]
    ours = {span.name: span for span in backend.spans if span.trace == trace}
    assert sorted(span.name for span in backend.spans if span.trace == trace) == sorted(chain)
    assert [ours[name].parent for name in chain] == [caller, *(ours[name].id for name in chain[:-1])]
    assert [ours[name].kind for name in chain] == ["server", "internal", "producer", "consumer", "client"]
    assert not any(span.failed for span in ours.values())
    known = {
        "sms.batch": message["id"].rpartition("-")[0],
        "sms.message": message["id"],
        "sms.vendor": vendor,
        "sms.provider": made.id,
        "sms.sender": made.sender,
        "sms.messages": 1,
        "sms.outcome": "accepted",
    }
    assert known.items() <= ours[f"send {vendor}"].attributes.items()
    assert ours["dispatch"].attributes["sms.attempt"] == 1
    reports = [span for span in backend.spans if trace in span.links]
    assert reports
    assert all(span.trace != trace for span in reports)
    assert {resource["service.name"] for resource in backend.resources} == {"sms-gateway"}


async def every_figure(ready):
    """Do all that counts and return the provider: eight messages are accepted, five of them in doubt for a while."""
    made = await ready.make("twilio")
    await ready.make("acs")
    await ready.delivered(made, PERSON, TEXT)
    for fate in ("0160", "0150"):
        (identity,) = await ready.send(made, f"+1425555{fate}", TEXT)
        await ready.until(identity)
    refused = await ready.call("POST", "/messages", {"from": made.sender, "to": "nobody", "text": TEXT})
    assert refused.status == 422, refused.body

    await ready.ask("PUT", "/twilio/faults", {"error_before": 1})
    doubtful = await ready.send(made, IN_DOUBT, TEXT)
    for identity in doubtful:
        await ready.until(identity, "unknown")
    await ready.ask("DELETE", "/twilio/faults")
    for identity in doubtful:
        await ready.until(identity, "delivered")

    await ready.ask("POST", "/twilio/inbound", {"from": PERSON, "to": made.address, "text": "STOP"})
    await ready.sandbox.idle()
    callback = f"{ready.gateway.url}/api/callbacks/twilio/{made.id}/report"
    async with ready.gateway.session.post(callback, data={"MessageSid": "x"}) as answer:
        assert answer.status == 403
    event = {
        "id": "1",
        "topic": "/x",
        "subject": "x",
        "eventType": "Microsoft.Communication.SMSDeliveryReportReceived",
        "eventTime": "2026-01-01T00:00:00Z",
        "dataVersion": "1.0",
        "data": {"messageId": "x", "from": "+18885550100", "to": PERSON, "deliveryStatus": "Delivered"},
    }
    events = ready.gateway.events_url("sms_delivery_report_received")
    async with ready.gateway.session.post(events, json=[event], headers={"aeg-event-type": "Notification"}) as answer:
        assert answer.status == 202
    await ready.gateway.application.sweeper.sweep()
    return made


async def test_every_figure_comes_out_with_its_sum(sending, exporting, rotel, backend):
    """All figures the gateway has come out under their names, in their kinds and units, with sums that are right."""
    made = await every_figure(sending)
    await handed_on(sending, exporting, rotel)

    kinds = {Instrument.COUNTER: "sum", Instrument.HISTOGRAM: "histogram", Instrument.GAUGE: "gauge"}
    assert backend.units == {metric.name: (kinds[metric.instrument], metric.unit) for metric in METRICS}
    origin = ("twilio", made.id, made.sender, "transactional")
    for name, number in (("sms.accepted", 8), ("sms.sent", 7), ("sms.delivered", 6)):
        assert backend.count(name, VENDOR, PROVIDER, SENDER, CATEGORY) == {origin: number}, name
    assert backend.count("sms.refused", REASON) == {"invalid_recipient": 1}
    assert backend.count("sms.failed", REASON) == {"unreachable": 1, "invalid_recipient": 1}
    assert backend.count("sms.unknown", REASON) == {"no_answer": 5}
    assert backend.count("sms.send.latency") == 7
    assert backend.count("sms.delivery.latency") == 6
    assert backend.count("sms.inbound", REASON, SENDER) == {("stop", made.sender): 1}
    assert backend.count("sms.opt_outs", REASON) == {"keyword": 1}
    assert backend.count("sms.set_aside", VENDOR) == {"acs": 1}
    assert backend.count("sms.callbacks.refused", VENDOR, REASON) == {("twilio", "not-authentic"): 1}
    calls = backend.named("send twilio")
    errors = Counter(span.attributes["error.type"] for span in calls if span.failed)
    assert backend.count("sms.vendor.call.duration") == len(calls)
    assert backend.count("sms.vendor.errors", REASON) == errors
    assert errors["no_answer"] >= FAILURES_IN_A_ROW
    held_back = [log for log in backend.logs if "fail one after another" in log.body]
    assert backend.count("sms.circuit.opened", VENDOR, REASON) == {("twilio", "no_answer"): len(held_back)}
    assert held_back
    assert backend.count("sms.queue.age") == len(backend.named("dispatch"))
    assert {name for name, _ in backend.points if name.startswith("sms.oldest")} == {
        "sms.oldest.open",
        "sms.oldest.unsent",
    }


async def test_sums_and_buckets_mean_what_they_say(sending, exporting, rotel, backend):
    """Counters come out as rising sums since the start, and histograms with the bounds that we declare for them."""
    await sending.delivered(await sending.make("twilio"), PERSON)
    await handed_on(sending, exporting, rotel)

    declared = {metric.name: metric for metric in METRICS}
    found = Counter()
    for document in backend.documents["metrics"]:
        for metric in (m for r in document.resource_metrics for s in r.scope_metrics for m in s.metrics):
            kind = metric.WhichOneof("data")
            found[kind] += 1
            assert metric.description == declared[metric.name].help
            if kind == "sum":
                assert (metric.sum.aggregation_temporality, metric.sum.is_monotonic) == (2, True)
            if kind == "histogram":
                assert metric.histogram.aggregation_temporality == 2
                for point in metric.histogram.data_points:
                    assert tuple(point.explicit_bounds) == declared[metric.name].bounds
                    assert sum(point.bucket_counts) == point.count > 0
                    assert point.min <= point.sum / point.count <= point.max
    assert found["sum"] >= 3
    assert found["histogram"] >= 4


async def test_log_lines_come_out_with_message_and_trace(sending, exporting, rotel, backend):
    """The line of a failed message names it, and belongs to the callback's trace; an attempt's to that of the call."""
    made = await sending.make("twilio")
    (identity,) = await sending.send(made, "+14255550160", TEXT, headers={"traceparent": CALLER})
    await sending.until(identity, "undelivered")
    await handed_on(sending, exporting, rotel)

    (line,) = [log for log in backend.logs if log.attributes.get("sms.message") == identity]
    assert (line.logger, line.severity) == ("sms.messages", "INFO")
    assert line.body == f"Message {identity} to +1425•••0160: undelivered unreachable"
    assert line.attributes["sms.reason"] == "unreachable"
    (callback,) = [
        span for span in backend.spans if span.name.startswith("POST /api/callbacks") and span.trace == line.trace
    ]
    assert CALLER.split("-")[1] in callback.links
    (attempt,) = [log for log in backend.logs if log.attributes.get("sms.outcome") == "1 accepted"]
    assert attempt.trace == CALLER.split("-")[1]
    assert attempt.attributes["sms.batch"] == identity.rpartition("-")[0]


async def test_the_collector_hears_nothing_private(sending, exporting, rotel, backend):
    """Neither what it printed of all it took nor what it handed on has a number, a text, a token or a signature."""
    made = await every_figure(sending)
    await handed_on(sending, exporting, rotel)

    secrets = {PERSON, "+14255550160", "+14255550150", *IN_DOUBT, made.address, TEXT, made.settings["authToken"]}
    secrets |= {number.removeprefix("+") for number in secrets}
    for place in (rotel.output(), "".join(backend.texts)):
        assert made.sender in place
        assert "sms.delivery.latency" in place
        assert "undelivered unreachable" in place
        assert not [secret for secret in secrets if secret in place]


async def test_no_field_is_lost_on_the_way(start_gateway, sandbox, collector, telemetry, tmp_path):
    """Every span, figure and log record comes out of the collector field by field as the gateway had exported it."""
    require_collector()
    ready = Ready(await start_gateway(telemetry=telemetry, timing=QUICK), sandbox)
    await every_figure(ready)
    await sandbox.idle()
    await ready.idle()
    await telemetry.close()

    async with running_collector() as backend, running_rotel(tmp_path, backend.url) as rotel:
        async with aiohttp.ClientSession(headers={"Content-Type": "application/x-protobuf"}) as session:
            for signal, documents in collector.documents.items():
                for document in documents:
                    url = f"{rotel.url}/v1/{signal}"
                    async with session.post(url, data=document.SerializeToString()) as answer:
                        assert answer.status == 200
        await rotel.stop()
        for signal, documents in collector.documents.items():
            exported, came_out = _records(documents), _records(backend.documents[signal])
            assert came_out == exported, signal
            assert exported


def _records(documents):
    """Count spans, figures and log records, each as all its fields and those of its scope and resource say."""
    found = Counter()
    for document in documents:
        for _, resources in document.ListFields():
            for resource in resources:
                for scope in next(value for name, value in resource.ListFields() if name.name.startswith("scope_")):
                    for name, records in scope.ListFields():
                        if name.name in {"spans", "metrics", "log_records"}:
                            found.update(f"{resource.resource}\n{scope.scope}\n{record}" for record in records)
    return found


@pytest.mark.parametrize("compression", ["gzip", "none"])
async def test_how_bodies_may_be_compressed(rotel, backend, environment, compression):
    """The collector reads what is compressed as the standard variable says; deflate alone Rotel answers with 400."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=rotel.url, OTEL_EXPORTER_OTLP_COMPRESSION=compression)
    telemetry = open_telemetry(read_telemetry(os.environ))
    with telemetry.span("x", Kind.SERVER):
        telemetry.link(Trace(CALLER))
    await telemetry.close()
    await rotel.stop()

    assert [span.links for span in backend.named("x")] == [[CALLER.split("-")[1]]]


async def test_a_killed_collector_comes_back(start_gateway, sandbox, rotel, backend, environment):
    """While it is dead messages go out, each once; once it is back what was told meanwhile arrives, and the sums."""
    environment(
        OTEL_EXPORTER_OTLP_ENDPOINT=rotel.url, OTEL_EXPORTER_OTLP_TIMEOUT="30", OTEL_METRIC_EXPORT_INTERVAL="200"
    )
    telemetry = open_telemetry(read_telemetry(os.environ))
    ready = Ready(await start_gateway(telemetry=telemetry), sandbox)
    made = await ready.make("twilio")
    first = await ready.delivered(made, PERSON)
    await until(lambda: _sent(backend) == {first["id"]} and backend.count("sms.delivered") == 1)

    await rotel.kill()
    people = [f"+1425{2_000_000 + n}" for n in range(5)]
    meanwhile = [await ready.delivered(made, to) for to in people]
    assert _sent(backend) == {first["id"]}
    await rotel.start()
    last = await ready.delivered(made, "+14255550124")
    await until(lambda: last["id"] in _sent(backend) and backend.count("sms.delivered") == 7)
    await handed_on(ready, telemetry, rotel)

    assert Counter(item["to"] for item in await ready.ledger("twilio")) == Counter([PERSON, *people, "+14255550124"])
    assert _sent(backend) == {message["id"] for message in (first, *meanwhile, last)}
    assert backend.count("sms.accepted") == backend.count("sms.sent") == backend.count("sms.delivered") == 7


def _sent(backend):
    """Return the messages whose vendor calls have come out of the collector."""
    return {span.attributes["sms.message"] for span in backend.named("send twilio")}


async def test_a_collector_that_refuses_one_signal(start_gateway, sandbox, backend, tmp_path, environment):
    """Where spans are turned away with 404, messages go out, and figures and log lines come out all the same."""
    async with running_rotel(tmp_path, backend.url, "--otlp-receiver-traces-disabled") as rotel:
        environment(OTEL_EXPORTER_OTLP_ENDPOINT=rotel.url)
        telemetry = open_telemetry(read_telemetry(os.environ))
        ready = Ready(await start_gateway(telemetry=telemetry), sandbox)
        message = await ready.delivered(await ready.make("twilio"), PERSON)
        await handed_on(ready, telemetry, rotel)

    assert backend.spans == []
    assert backend.count("sms.delivered") == 1
    assert [log for log in backend.logs if log.attributes.get("sms.batch") == message["id"].rpartition("-")[0]]


async def test_a_collector_that_hangs(start_gateway, sandbox, rotel, backend, environment, monkeypatch):
    """While it takes connections and answers none messages go out, and closing ends in time."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=rotel.url, OTEL_EXPORTER_OTLP_TIMEOUT="30")
    monkeypatch.setattr(otel, "CLOSE_WITHIN", 0.5)
    telemetry = open_telemetry(read_telemetry(os.environ))
    ready = Ready(await start_gateway(telemetry=telemetry), sandbox)
    made = await ready.make("twilio")
    os.kill(rotel.pid, signal.SIGSTOP)
    await ready.delivered(made, PERSON)
    started = asyncio.get_running_loop().time()
    await telemetry.close()

    assert asyncio.get_running_loop().time() - started < 1.5
    assert _sent(backend) == set()


async def test_the_collector_talks_to_nobody_else(sending, exporting, rotel, backend):
    """Of itself it tells nothing: all its connections stay on this machine, and what comes out is the gateway's."""
    await sending.delivered(await sending.make("twilio"), PERSON)
    await until(lambda: backend.spans)
    peers = {one.remote for one in rotel.sockets() if not one.listens}
    await handed_on(sending, exporting, rotel)

    assert int(backend.url.rpartition(":")[2]) in {port for _, port in peers}
    assert {address for address, _ in peers} == {"127.0.0.1"}
    scopes = {
        scope.scope.name
        for document in backend.documents["metrics"]
        for resource in document.resource_metrics
        for scope in resource.scope_metrics
    }
    assert scopes == {otel.SCOPE}


# Where it is missing ------------------------------------------------------------------------------------------------


@pytest.fixture
def missing(monkeypatch, tmp_path):
    """Let the collector be missing."""
    missing_collector.cache_clear()
    monkeypatch.setattr(rotel_module, "VENV", tmp_path)
    yield
    missing_collector.cache_clear()


@pytest.mark.parametrize(
    ("required", "outcome", "why"),
    [
        ("", pytest.skip.Exception, "dev.py setup --servers makes it"),
        ("1", pytest.fail.Exception, "CI must not skip.*dev.py setup --servers makes it"),
    ],
)
def test_a_missing_collector_is_told(missing, monkeypatch, required, outcome, why):
    """Without the collector its tests are skipped with the reason; they fail where it is required."""
    monkeypatch.setenv("REQUIRE_COLLECTOR", required)
    with pytest.raises(outcome, match=why):
        require_collector()


def test_a_program_that_cannot_be_loaded_is_told(missing, monkeypatch, tmp_path):
    """Where Python's shared library is missing, the failure has what the loader said and what to install."""
    monkeypatch.setenv("REQUIRE_COLLECTOR", "1")
    monkeypatch.setattr(rotel_module, "environment", dict)
    program = tmp_path / "rotel-agent"
    program.write_text("#!/bin/sh\necho libpython3.so: cannot open >&2; exit 127\n")
    program.chmod(0o755)
    monkeypatch.setattr(rotel_module, "program", lambda: program)

    with pytest.raises(pytest.fail.Exception, match=r"apt-get install libpython.*libpython3\.so: cannot open"):
        require_collector()


async def test_a_collector_that_does_not_start_is_an_error_with_its_output(tmp_path):
    """What it says before it gives up is in the error, and no process is left."""
    require_collector()

    with pytest.raises(CollectorError, match="--no-such-option"):
        async with running_rotel(tmp_path, "http://127.0.0.1:1", "--no-such-option"):
            pass


async def test_a_port_that_is_taken_is_not_taken_for_the_collector(tmp_path):
    """Whoever else listens on its port is no collector: starting fails instead."""
    require_collector()
    rotel = Rotel(tmp_path, "http://127.0.0.1:1")
    with socket.socket() as other:
        other.bind(("127.0.0.1", rotel.port))
        other.listen()
        with pytest.raises(CollectorError):
            await rotel.start()


def test_the_collector_goes_when_the_test_process_is_killed(tmp_path):
    """After kill -9 of the process that started it, no collector is left."""
    require_collector()
    program = (
        "import asyncio, pathlib, sys; from tests.telemetry.rotel import Rotel\n"
        "async def main():\n"
        "    rotel = Rotel(pathlib.Path(sys.argv[1]), 'http://127.0.0.1:1')\n"
        "    await rotel.start(); print(rotel.port, flush=True); await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT)
    port = int(process.stdout.readline())
    assert is_listening(port)

    process.kill()
    process.communicate()

    deadline = time.monotonic() + 10
    while is_listening(port) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_listening(port)
