"""One message is one trace, from the call that sends it to the vendor; what comes back later points there."""

from __future__ import annotations

import asyncio

import pytest

from functions.gateway.telemetry import NOWHERE, Trace
from tests.conftest import KITS

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize("vendor", KITS)
async def test_a_message_is_one_trace(traced, collector, telemetry, vendor):
    """The caller's trace goes on through acceptance, queue, dispatch and the vendor call; the report links to it."""
    made = await traced.make(vendor)
    person = KITS[vendor].person(123)
    (identity,) = await traced.send(made, person, headers={"traceparent": CALLER, "tracestate": "shop=1"})
    message = await traced.until(identity, "delivered")
    await traced.sandbox.idle()
    await traced.idle()
    await asyncio.sleep(0.05)
    await telemetry.close()

    trace = CALLER.split("-")[1]
    found = [span for span in collector.spans if span.trace == trace]
    chain = ["POST /api/messages", "accept", "queue sms-dispatch", "dispatch", f"send {vendor}"]
    assert sorted(span.name for span in found) == sorted(chain)
    ours = {span.name: span for span in found}
    parents = [CALLER.split("-")[2], *(ours[name].id for name in chain[:-1])]
    assert [ours[name].parent for name in chain] == parents
    assert [ours[name].kind for name in chain] == ["server", "internal", "producer", "consumer", "client"]
    assert not any(span.failed for span in ours.values())
    batch = identity.rpartition("-")[0]
    known = {"sms.batch": batch, "sms.vendor": vendor, "sms.provider": made.id, "sms.sender": made.sender}
    assert known.items() <= ours["dispatch"].attributes.items()
    assert known.items() <= ours[f"send {vendor}"].attributes.items()
    assert ours[f"send {vendor}"].attributes["sms.message"] == identity
    assert ours[f"send {vendor}"].attributes["sms.outcome"] == "accepted"
    assert 200 <= ours[f"send {vendor}"].attributes["http.response.status_code"] < 300
    reported = [span for span in collector.spans if trace in span.links]
    assert reported
    assert {span.kind for span in reported} <= {"server", "consumer"}
    assert all(span.trace != trace for span in reported)
    assert message["traceId"] == trace


async def test_a_thousand_messages_share_the_trace_of_their_call(traced, collector, telemetry):
    """All batches of a call belong to its trace, each with a span of its own in the queue and in the worker."""
    made = await traced.make("acs")
    await traced.send(made, [f"+1425{2_000_000 + n}" for n in range(250)])
    async with asyncio.timeout(10):
        while len(await traced.ledger("acs")) < 250:
            await asyncio.sleep(0.05)
    await traced.idle()
    await traced.sandbox.idle()
    await telemetry.close()

    (call,) = collector.named("POST /api/messages")
    assert {span.trace for name in ("accept", "queue sms-dispatch", "dispatch") for span in collector.named(name)} == {
        call.trace
    }
    queued, dispatched = collector.named("queue sms-dispatch"), collector.named("dispatch")
    assert len(queued) == len(dispatched) == 3
    assert {span.id for span in queued} == {span.parent for span in dispatched}
    assert sorted(span.attributes["sms.messages"] for span in collector.named("send acs")) == [50, 100, 100]


async def test_a_retry_stays_in_the_trace(traced, collector, telemetry):
    """A passing refusal is tried again in the same trace, and the vendor's answer is told on the span that failed."""
    made = await traced.make("twilio")
    await traced.ask("PUT", "/twilio/faults", {"throttle": 1})
    (identity,) = await traced.send(made, "+14255550123")
    async with asyncio.timeout(5):
        while not any(span.failed for span in collector.named("send twilio")):
            await asyncio.sleep(0.02)
    await traced.ask("DELETE", "/twilio/faults")
    await traced.until(identity, "delivered")
    await telemetry.close()

    calls = collector.named("send twilio")
    assert len({span.trace for span in [*calls, *collector.named("POST /api/messages")]}) == 1
    assert calls[0].failed
    assert calls[0].attributes["error.type"] == "throttled"
    assert calls[0].attributes["http.response.status_code"] == 429
    assert not calls[-1].failed
    # Each attempt was set off by the one before it.
    first, second = collector.named("dispatch")[:2]
    assert second.parent == first.id


async def test_a_message_queued_by_an_earlier_release_is_dispatched(traced, collector, telemetry, storage):
    """A queue message without a trace is taken up all the same; its span is linked to the call's trace."""
    import orjson

    from functions.app import DISPATCH_QUEUE
    from functions.gateway import envelope

    made = await traced.make("twilio")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            envelope, "dispatch", lambda batch, **_: orjson.dumps({"v": 1, "message": {"batch": batch}}).decode()
        )
        (identity,) = await traced.send(made, "+14255550123")
        await traced.until(identity, "delivered")
    await telemetry.close()

    (call,) = collector.named("POST /api/messages")
    (dispatched,) = collector.named("dispatch")
    assert dispatched.trace != call.trace
    assert dispatched.links == [call.trace]
    assert await storage.queues.length(f"{DISPATCH_QUEUE}-poison") == 0


async def test_nobody_without_a_key_can_choose_a_trace(traced, collector, telemetry):
    """A callback starts a trace of its own, whatever trace its sender claims to be in."""
    url = f"{traced.gateway.url}/api/callbacks/twilio/nobody/report"
    async with traced.gateway.session.post(url, data={"a": "b"}, headers={"traceparent": CALLER}) as response:
        assert response.status == 404
    await telemetry.close()

    (span,) = collector.named("POST /api/callbacks/{vendor}/{provider}/{kind}")
    assert span.trace != CALLER.split("-")[1]
    assert span.parent == ""
    assert span.attributes["http.response.status_code"] == 404


@pytest.mark.parametrize(
    "header", ["", "x", "00-0-0-00", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", CALLER + "-" * 500]
)
async def test_a_broken_trace_is_no_trace(traced, collector, telemetry, header):
    """A header that is no trace is passed over and a trace begun anew."""
    made = await traced.make("twilio")
    await traced.delivered(made, "+14255550123", headers={"traceparent": header})
    await telemetry.close()

    assert [span.parent for span in collector.named("POST /api/messages")] == [""]


async def test_what_is_not_sampled_is_not_exported(traced, collector, telemetry):
    """The caller's word not to sample its trace holds for all that follows, and the message arrives all the same."""
    made = await traced.make("twilio")
    await traced.delivered(made, "+14255550123", headers={"traceparent": CALLER[:-2] + "00"})
    await telemetry.close()

    assert [span for span in collector.spans if span.trace == CALLER.split("-")[1]] == []
    assert collector.named("send twilio") == []


async def test_a_failed_request_is_told_without_its_words(traced, collector, telemetry, monkeypatch, documented):
    """A fault of our own marks the span with the class of the error and nothing of what it says."""
    documented.excused.add(500)

    async def origin(self, *_):
        raise RuntimeError("+14255550123 said Hello with secret")

    monkeypatch.setattr(type(traced.gateway.application.acceptor), "origin", origin)
    body = {"from": "x", "to": "+14255550123", "text": "Hello"}
    assert (await traced.call("POST", "/messages", body)).status == 500
    await telemetry.close()

    (accept,) = collector.named("accept")
    assert accept.failed
    assert accept.attributes["error.type"] == "RuntimeError"
    assert collector.named("POST /api/messages")[0].failed
    assert "secret" not in "".join(collector.texts)


async def test_the_hosts_span_is_followed(telemetry, collector):
    """Where the host has a span, an HTTP call goes below it; a queue message stays in its trace and is linked to it."""
    from opentelemetry import context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    from functions.gateway.telemetry import Kind

    host = "00-11111111111111111111111111111111-2222222222222222-01"
    # As the worker does it: https://github.com/Azure/azure-functions-python-worker, configure_opentelemetry.
    token = context.attach(TraceContextTextMapPropagator().extract({"traceparent": host, "tracestate": ""}))
    try:
        with telemetry.span("http", Kind.SERVER, parent=Trace(CALLER)):
            pass
        with telemetry.span("queue", Kind.CONSUMER, parent=Trace(CALLER)):
            pass
    finally:
        context.detach(token)
    await telemetry.close()

    (http,), (queue,) = collector.named("http"), collector.named("queue")
    assert (http.trace, http.parent, http.kind) == ("1" * 32, "2" * 16, "internal")
    assert (queue.trace, queue.links, queue.kind) == (CALLER.split("-")[1], ["1" * 32], "consumer")


async def test_what_the_sweeper_queues_again_stays_in_the_trace(traced, collector, telemetry, clock, monkeypatch):
    """A batch whose queue message was lost is dispatched in the trace of its call all the same."""
    made = await traced.make("acs")
    queues = type(traced.gateway.application.storage.queues)

    async def nowhere(*_, **__):
        return None

    with monkeypatch.context() as patch:
        patch.setattr(queues, "put", nowhere)
        (identity,) = await traced.send(made, "+14255550123")
    clock.advance(61)
    await traced.gateway.application.sweeper.sweep()
    await traced.until(identity, "delivered")
    await traced.idle()
    await telemetry.close()

    (call,), (dispatched,), (accept,) = (collector.named(name) for name in ("POST /api/messages", "dispatch", "accept"))
    assert (dispatched.trace, dispatched.parent) == (call.trace, accept.id)


async def test_a_link_is_made_once(telemetry, collector):
    """A callback that reports a hundred messages of one call is linked once; to its own trace nothing is."""
    with telemetry.span("callback"):
        for _ in range(100):
            telemetry.link(Trace(CALLER))
        telemetry.link(telemetry.here())
        telemetry.link(NOWHERE)
    telemetry.link(Trace(CALLER))
    await telemetry.close()

    (span,) = collector.spans
    assert span.links == [CALLER.split("-")[1]]
