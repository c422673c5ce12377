"""Figures say what the vendor really did: each message counts once, whatever is repeated, lost or out of order."""

from __future__ import annotations

import asyncio
import os
import re
from collections import Counter
from datetime import timedelta

import pytest

from functions.gateway.clock import split_message_id
from functions.gateway.facts import TABLE, Attempt, sending_row
from functions.gateway.figures import failure_of
from functions.gateway.telemetry import CATEGORY, METRICS, PROVIDER, REASON, SENDER, VENDOR
from functions.gateway.timing import Timing
from functions.settings import read_telemetry
from functions.telemetry import open_telemetry
from functions.vendors.contract import Accepted, DeliveryReport, Part, Reason, Refused, State, Unknown
from tests.conftest import KITS, Ready

QUICK = Timing(settle_after=0.2, backoff_base=0.05, backoff_cap=0.2)
FAULTS = {
    "seed": 11,
    "throttle": 0.05,
    "error_before": 0.03,
    "drop_after": 0.05,
    "callback_duplicate": 0.4,
    "callback_reorder": 0.4,
    "callback_forge": 0.1,
}
MESSAGES = 200
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def quick(start_gateway, sandbox, telemetry):
    """Run a gateway that exports and waits little."""
    return Ready(await start_gateway(telemetry=telemetry, timing=QUICK), sandbox)


async def all_messages(ready):
    """Read every message with its time line, once none is on its way any more."""
    async with asyncio.timeout(30):
        while True:
            listed = (await ready.call("GET", "/messages?limit=500")).body["items"]
            if not {"queued", "sent", "unknown"} & {item["status"] for item in listed}:
                break
            await asyncio.sleep(0.1)
    await ready.sandbox.idle()
    listed = (await ready.call("GET", "/messages?limit=500")).body["items"]
    return [await ready.message(item["id"]) for item in listed]


def with_step(messages, what):
    """Count the messages on whose time line something happened."""
    return sum(any(entry["what"] == what for entry in message["timeline"]) for message in messages)


@pytest.mark.parametrize("vendor", ["acs", "twilio"])
async def test_sums_agree_with_what_happened(quick, collector, telemetry, vendor):
    """Under lost answers, repeated, reordered and forged reports and a repeated call, each sum is what the log says."""
    made = await quick.make(vendor)
    # A vendor that takes many recipients a call gets few calls, so more of them have to fail.
    faults = FAULTS if vendor == "twilio" else FAULTS | {"throttle": 0.3, "drop_after": 0.4}
    await quick.ask("PUT", f"/{vendor}/faults", faults)
    recipients = [f"+1425{2_000_000 + n}" for n in range(MESSAGES)]
    recipients[3:7] = [f"+1425555{tail}" for tail in ("0160", "0161", "0162", "0163")]
    body = {"from": made.sender, "messages": [{"to": to, "text": f"Hello {n % 5}"} for n, to in enumerate(recipients)]}
    body["messages"].append({"to": "nobody", "text": "Hello"})
    key = {"Idempotency-Key": "the-same"}

    answers = await asyncio.gather(*(quick.call("POST", "/messages", body, headers=key) for _ in range(3)))
    assert {answer.status for answer in answers} == {202}
    messages = await all_messages(quick)
    await quick.idle()
    await telemetry.close()

    assert len(messages) == MESSAGES
    states = Counter(message["status"] for message in messages)
    whole = {VENDOR: vendor, PROVIDER: made.id, SENDER: made.sender, CATEGORY: "transactional"}
    assert collector.count("sms.accepted", *whole) == {tuple(whole.values()): MESSAGES}
    assert collector.count("sms.refused", REASON) == {"invalid_recipient": 1}
    assert collector.count("sms.delivered", *whole) == {tuple(whole.values()): states["delivered"]}
    failed = Counter(message["reason"] for message in messages if message["status"] not in {"delivered", "unknown"})
    assert collector.count("sms.failed", REASON) == failed
    assert len(failed) > 1
    assert collector.count("sms.sent") == with_step(messages, "sent")
    assert collector.count("sms.unknown", REASON) == {"no_answer": with_step(messages, "unanswered")}
    assert with_step(messages, "unanswered") > 0
    assert collector.count("sms.send.latency") == collector.count("sms.sent")
    assert collector.count("sms.delivery.latency") == states["delivered"]
    assert 0 < collector.sum("sms.delivery.latency") < 60 * MESSAGES
    calls = [call for call in (await everything(quick, f"/{vendor}/calls")) if "lookup" not in str(call)]
    assert 0 < collector.count("sms.vendor.errors") < collector.count("sms.vendor.call.duration") <= len(calls)
    assert {"throttled", "no_answer"} <= set(collector.count("sms.vendor.errors", REASON))
    assert collector.count("sms.queue.age") >= 2


async def everything(ready, path):
    """Read a list of the sandbox page by page."""
    items = []
    while True:
        page = await ready.ask("GET", f"{path}?limit=1000&offset={len(items)}")
        items += page["items"]
        if len(items) >= page["total"]:
            return items


async def test_a_lost_answer_counts_once_and_its_settlement_too(quick, collector, telemetry):
    """A message whose answer was lost twice is one unknown and one sent message."""
    made = await quick.make("twilio")
    await quick.ask("PUT", "/twilio/faults", {"error_before": 1})
    (identity,) = await quick.send(made, "+14255550123")
    async with asyncio.timeout(5):
        while [entry["what"] for entry in (await quick.message(identity))["timeline"]].count("unanswered") < 2:
            await asyncio.sleep(0.05)
    await quick.ask("DELETE", "/twilio/faults")
    await quick.until(identity, "delivered")
    await quick.idle()
    await telemetry.close()

    assert collector.count("sms.unknown") == 1
    assert collector.count("sms.sent") == 1
    assert collector.count("sms.delivered") == 1


async def test_a_message_that_nobody_reported_becomes_unknown_once(quick, collector, telemetry, clock):
    """When the time for reports is over what is still open counts as unknown, however often the batch is summed up."""
    made = await quick.make("acs")
    await quick.ask("PUT", "/acs/faults", {"callback_drop": 1})
    identity, other = await quick.send(made, ["+14255550123", "+14255550124"])
    await quick.until(other, "sent")
    clock.advance(73 * 3600)
    for _ in range(3):
        await quick.gateway.application.sweeper.sweep()

    late = DeliveryReport(State.DELIVERED, "late", message=identity)
    await quick.gateway.application.callbacks._reports.take([late], vendor="acs", provider=None)
    listed = (await quick.call("GET", "/messages")).body["items"]
    assert [item["status"] for item in listed] == ["delivered", "unknown"]
    await telemetry.close()
    assert collector.count("sms.unknown", REASON) == {"no_report": 2}
    assert collector.count("sms.delivered") == 1


async def test_the_oldest_batches_are_shown(quick, collector, telemetry, clock):
    """The sweeper shows how long the oldest open batch and the oldest unsent one have waited."""
    made = await quick.make("acs")
    await quick.ask("PUT", "/acs/faults", {"callback_drop": 1})
    (identity,) = await quick.send(made, "+14255550123")
    await quick.until(identity, "sent")
    clock.advance(200)
    await quick.ask("PUT", "/acs/faults", {"throttle_retry_after": 1, "retry_after_seconds": 3600})
    await quick.send(made, "+14255550124")
    async with asyncio.timeout(5):
        while not collector.named("send acs")[-1:] or not collector.named("send acs")[-1].failed:
            await asyncio.sleep(0.02)
    clock.advance(100)
    await quick.gateway.application.sweeper.sweep()
    await telemetry.close()

    assert 299 <= collector.points["sms.oldest.open", ()].as_double < 330
    assert 99 <= collector.points["sms.oldest.unsent", ()].as_double < 130


async def test_nothing_open_is_shown_as_none(quick, collector, telemetry):
    """With nothing to wait for both ages are 0, so that a chart shows that the sweeper ran."""
    await quick.gateway.application.sweeper.sweep()
    await telemetry.close()

    assert collector.points["sms.oldest.open", ()].as_double == 0
    assert collector.points["sms.oldest.unsent", ()].as_double == 0


async def test_replies_and_opt_outs_count_once(quick, collector, telemetry, monkeypatch):
    """A reply counts when it is stored and a STOP when it changes something; their repeats count nothing."""
    made = await quick.make("twilio")
    callbacks = quick.gateway.application.callbacks
    real, taken = type(callbacks).take, []

    async def take(self, *args):
        taken.append(args)
        return await real(self, *args)

    monkeypatch.setattr(type(callbacks), "take", take)
    for text in ("Hello", "STOP", "stop"):
        await quick.ask("POST", "/twilio/inbound", {"from": "+14255550123", "to": made.address, "text": text})
    await quick.sandbox.idle()
    assert len(taken) == 3
    for args in tuple(taken):
        await real(callbacks, *args)
    await quick.call("POST", "/opt-outs", {"number": "+14255550124"})
    await quick.call("POST", "/opt-outs", {"number": "+14255550124"})
    await telemetry.close()

    assert collector.count("sms.inbound", REASON, SENDER) == {("", made.sender): 1, ("stop", made.sender): 2}
    assert collector.count("sms.opt_outs", REASON) == {"keyword": 1, "operator": 1}


async def test_callbacks_that_prove_nothing_are_counted(quick, collector, telemetry):
    """A forged callback counts for its provider; what names nothing of ours adds no name to the figures."""
    made = await quick.make("twilio")
    for vendor, provider in (("twilio", made.id), ("twilio", "01" * 13), ("invented", "x")):
        url = f"{quick.gateway.url}/api/callbacks/{vendor}/{provider}/report"
        async with quick.gateway.session.post(url, data={"MessageSid": "x"}) as response:
            assert response.status in {403, 404}
    await telemetry.close()

    assert collector.count("sms.callbacks.refused", VENDOR, PROVIDER, REASON) == {
        ("twilio", made.id, "not-authentic"): 1,
        ("twilio", "", "not-found"): 1,
        ("none", "", "not-found"): 1,
    }


async def test_what_is_set_aside_counts_once(quick, collector, telemetry):
    """An event that fits nothing counts once, however often Event Grid delivers it."""
    made = await quick.make("acs")
    event = {
        "id": "1",
        "topic": "/x",
        "subject": "x",
        "eventType": "Microsoft.Communication.SMSDeliveryReportReceived",
        "eventTime": "2026-01-01T00:00:00Z",
        "dataVersion": "1.0",
        "data": {"messageId": "x", "from": made.address, "to": "+14255550123", "deliveryStatus": "Delivered"},
    }
    for _ in range(3):
        url = quick.gateway.events_url("sms_delivery_report_received")
        async with quick.gateway.session.post(url, json=[event], headers={"aeg-event-type": "Notification"}) as answer:
            assert answer.status == 202
    await telemetry.close()

    assert collector.count("sms.set_aside", VENDOR) == {"acs": 1}


async def test_a_failing_adapter_is_a_vendor_error(quick, collector, telemetry, monkeypatch):
    """An exception in an adapter counts as an error of its own kind, and its call has a duration."""
    made = await quick.make("twilio")
    vendor = type(quick.gateway.application.vendors["twilio"])

    async def send(self, account, call, http):
        raise KeyError("x")

    with monkeypatch.context() as patch:
        patch.setattr(vendor, "send", send)
        (identity,) = await quick.send(made, "+14255550123")
        await quick.until(identity, "unknown")
    await quick.until(identity, "delivered")
    await telemetry.close()

    assert collector.count("sms.vendor.errors", REASON)["adapter"] == 1
    assert collector.count("sms.vendor.call.duration", REASON)["adapter"] == 1


@pytest.mark.parametrize("vendor", ["linkmobility", "vibes"])
async def test_a_long_message_is_delivered_once(start_gateway, sandbox, collector, telemetry, vendor):
    """A message whose parts are reported one by one counts once, when the last part is."""
    ready = Ready(await start_gateway(telemetry=telemetry), sandbox)
    made = await ready.make(vendor)
    message = await ready.delivered(made, KITS[vendor].person(123), "A long text. " * 20)
    await ready.sandbox.idle()
    await ready.idle()
    await telemetry.close()

    parts = [entry["part"] for entry in message["timeline"] if entry["what"] == "report" and "part" in entry]
    assert len(parts) > 1
    assert collector.count("sms.delivered") == 1
    assert collector.count("sms.delivery.latency") == 1


async def test_parts_reported_to_two_instances_count_once(start_gateway, sandbox, collector, telemetry, storage, clock):
    """Which parts arrived is known to the store alone: whichever instance hears of the last one counts the message."""
    from functions.app import build

    ready = Ready(await start_gateway(telemetry=telemetry), sandbox)
    made = await ready.make("twilio")
    await ready.ask("PUT", "/twilio/faults", {"callback_drop": 1})
    (identity,) = await ready.send(made, "+14255550123")
    await ready.until(identity, "sent")
    first = ready.gateway.application
    second = build(first.settings, storage, clock=clock, telemetry=telemetry)
    for application, part in ((first, 1), (second, 2), (first, 2), (second, 1)):
        report = DeliveryReport(State.DELIVERED, f"v{part}", message=identity, part=Part(part, 2))
        kept = application.callbacks._reports
        await kept.take([report], vendor="twilio", provider=made.id)
    await second.close()
    await telemetry.close()

    assert (await ready.message(identity))["status"] == "delivered"
    assert collector.count("sms.delivered") == 1


async def test_figures_carry_what_they_declare(quick, collector, telemetry):
    """Every figure has the unit it declares and is broken down by nothing but what it declares."""
    made = await quick.make("twilio")
    await quick.delivered(made, "+14255550123")
    await quick.send(made, ["+14255550160", "+14255550150"])
    await all_messages(quick)
    await quick.gateway.application.sweeper.sweep()
    await telemetry.close()

    declared = {metric.name: metric for metric in METRICS}
    kinds = {"counter": "sum", "histogram": "histogram", "gauge": "gauge"}
    assert {"sms.accepted", "sms.sent", "sms.failed", "sms.oldest.open", "sms.queue.age"} <= set(collector.units)
    for name, (kind, unit) in collector.units.items():
        assert (kind, unit) == (kinds[declared[name].instrument], declared[name].unit)
    for name, attributes in collector.points:
        assert {one for one, _ in attributes} <= set(declared[name].attributes)
    allowed = {VENDOR, PROVIDER, SENDER, REASON, CATEGORY}
    assert all(set(metric.attributes) <= allowed for metric in METRICS)
    assert all(re.fullmatch(r"sms\.[a-z_.]+", metric.name) for metric in METRICS)
    histogram = next(point for (name, _), point in collector.points.items() if name == "sms.vendor.call.duration")
    assert tuple(histogram.explicit_bounds) == declared["sms.vendor.call.duration"].bounds


async def test_two_processes_add_up(collector, environment):
    """Counters of two processes are two series: their resources differ by the instance's id, and share the name."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=test")
    for _ in range(2):
        telemetry = open_telemetry(read_telemetry(os.environ))
        with telemetry.span("x"):
            pass
        await telemetry.close()

    assert {resource["service.name"] for resource in collector.resources} == {"sms-gateway"}
    assert len({resource["service.instance.id"] for resource in collector.resources}) == 2
    assert {resource["deployment.environment.name"] for resource in collector.resources} == {"test"}


async def test_a_dead_worker_leaves_one_unknown(quick, collector, telemetry, clock, monkeypatch):
    """A message whose worker died after its claim is one unknown, however many workers find it, and then one sent."""
    made = await quick.make("acs")
    application = quick.gateway.application
    queues = type(application.storage.queues)

    async def nowhere(*_, **__):
        return None

    with monkeypatch.context() as patch:
        patch.setattr(queues, "put", nowhere)
        (identity,) = await quick.send(made, "+14255550123")
        batch = split_message_id(identity)[0]
        claim = Attempt(1, lookup=False, started=clock(), lease=120.0, indices=(0,))
        await application.storage.tables.insert(TABLE, [sending_row(batch, claim)])
        clock.advance(121)
        await asyncio.gather(*(application.dispatcher.dispatch(batch) for _ in range(5)))
    clock.advance(60)
    await application.sweeper.sweep()
    await quick.until(identity, "delivered")
    await quick.idle()
    await telemetry.close()

    assert collector.count("sms.unknown", REASON) == {"no_answer": 1}
    assert collector.count("sms.sent") == 1


@pytest.mark.parametrize(
    ("outcomes", "why"),
    [
        ([Accepted("1")], ""),
        ([Unknown("lost")], "no_answer"),
        ([Refused(Reason.THROTTLED)], "throttled"),
        ([Refused(Reason.CREDENTIALS), Unknown("lost")], "credentials"),
        ([Refused(Reason.INVALID_RECIPIENT)], ""),
        ([Accepted("1"), Refused(Reason.TEMPORARY)], ""),
        ([Refused(Reason.QUOTA), Refused(Reason.OPTED_OUT)], ""),
        ([], ""),
    ],
)
def test_what_is_a_failed_call(outcomes, why):
    """A call failed as a whole if the vendor dealt with none of its messages, for a reason that lies with the call."""
    assert failure_of(outcomes) == why
