"""Callbacks and events: true ones count once, forged and foreign ones never."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.triggers import store
from tests.triggers.problems import check_problem

ANN = "+14255550123"
REPORT_TYPE = "Microsoft.Communication.SMSDeliveryReportReceived"
INBOUND_TYPE = "Microsoft.Communication.SMSReceived"


@pytest.fixture
async def sent(ready):
    """Send a message that no report comes for, so that the test may report on it."""
    (identity,) = await ready.send(ready.twilio, "+14255550180")
    message = await ready.until(identity, "sent")
    await ready.idle()
    return message


@pytest.fixture
async def report(ready, sent, post_signed):
    """Give a function that posts a report on that message, signed by Twilio's own library."""
    made = ready.twilio
    base = (await ready.call("GET", f"/providers/{made.id}/callbacks")).body["report"]

    async def post(status, *, message=sent["id"], token=made.settings["authToken"], forged=None, **changed):
        form = {
            "MessageSid": sent["vendorId"],
            "MessageStatus": status,
            "AccountSid": made.settings["accountSid"],
            "To": sent["to"],
            "From": made.address,
        } | changed
        return await post_signed(f"{base}?message={message}", form, token, forged=forged)

    return post


async def test_a_replayed_report_changes_nothing(ready, sent, report, dump):
    """A true report counts once; posted again it is answered alike and not a byte of the store changes."""
    assert (await report("delivered")).status == 204
    message, before = await ready.message(sent["id"]), dump()
    assert message["status"] == "delivered"
    answers = await asyncio.gather(*(report("delivered") for _ in range(5)))
    assert {answer.status for answer in answers} == {204}
    assert dump() == before
    assert await ready.message(sent["id"]) == message


async def test_an_old_report_undoes_nothing(ready, sent, report):
    """A report that comes after a later one is kept and marked as not counting; the state stays."""
    for status in ("delivered", "sent", "queued", "undelivered"):
        assert (await report(status)).status == 204
    message = await ready.message(sent["id"])
    assert message["status"] == "delivered"
    counted = {e["vendorStatus"]: e["counted"] for e in message["timeline"] if e["what"] == "report"}
    assert counted == {"delivered": True, "sent": False, "queued": False, "undelivered": False}


async def test_forged_reports_change_nothing(ready, sent, report, dump):
    """A report with a wrong, old or missing signature is refused, however often it is tried, and nothing changes."""
    before = dump()
    for forged in ("", "forged", "0" * 28):
        check_problem(await report("failed", forged=forged), 403)
    check_problem(await report("failed", token="f" * 32), 403)
    check_problem(await report("failed", token=ready.acs.settings["connectionString"][-32:]), 403)
    assert dump() == before
    assert (await ready.message(sent["id"]))["status"] == "sent"


async def test_a_signature_is_good_for_one_request(ready, sent, report, request_raw, dump):
    """A signature seen on one callback is worth nothing for another message, another address or another status."""
    from twilio.request_validator import RequestValidator

    made = ready.twilio
    other = (await ready.send(made, "+12065550180"))[0]
    await ready.until(other, "sent")
    await ready.idle()
    base = (await ready.call("GET", f"/providers/{made.id}/callbacks")).body
    form = {"MessageSid": sent["vendorId"], "MessageStatus": "delivered", "AccountSid": made.settings["accountSid"]}
    seen = RequestValidator(made.settings["authToken"]).compute_signature(
        f"{base['report']}?message={sent['id']}", form
    )
    before = dump()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": seen}
    route = base["report"].partition("/api")[2]
    good = f"{route}?message={sent['id']}"
    body = "&".join(f"{name}={value}" for name, value in form.items())
    for changed_route, changed_body in (
        (f"{route}?message={other}", body),
        (good + "&x=1", body),
        (route, body),
        (good.replace("/report", "/inbound"), body),
        (good, body.replace("delivered", "failed")),
        (good, body + "&ErrorCode=30003"),
        (good, ""),
    ):
        check_problem(await request_raw("POST", changed_route, changed_body.encode(), headers=headers, key=False), 403)
    assert dump() == before
    assert (await request_raw("POST", good, body.encode(), headers=headers, key=False)).status == 204


async def test_reports_on_messages_of_others(ready, sent, report, path):
    """A true report that names a message of another provider, another person, or none at all, is only set aside."""
    (foreign,) = await ready.send(ready.acs, "+14255550180")
    await ready.until(foreign, "sent")
    other = await ready.make("twilio", account="two", sender=("long_code", "+14255550112"))
    (neighbour,) = await ready.send(other, "+14255550180")
    await ready.until(neighbour, "sent")
    ours = ("batches", "batchindex", "optouts", "inbound")
    before = [row for row in store.rows(path) if row[0] in ours]
    batch = sent["id"][:-3]
    for message in (foreign, neighbour, f"{batch}-07", batch, "", "nothing", "%00", "01kb3v9r2m8q4t6w0x5y7z1a2b-00"):
        assert (await report("failed", message=message)).status == 204
    assert (await report("failed", To="+12065550199")).status == 204
    assert [row for row in store.rows(path) if row[0] in ours] == before
    aside = store.table(path, "setaside")
    assert aside
    assert all(row["why"] == "It fits no message of this provider." for row in aside)
    # The same again is set aside once.
    await report("failed", message=foreign)
    assert store.table(path, "setaside") == aside
    for identity in (foreign, neighbour, sent["id"]):
        assert (await ready.message(identity))["status"] == "sent"


async def test_a_replayed_reply_is_kept_once(ready, post_signed, dump):
    """A reply posted again is answered alike and kept once, and a STOP among them does not undo a later START."""
    made = ready.twilio
    url = (await ready.call("GET", f"/providers/{made.id}/callbacks")).body["inbound"]

    async def text(sid, words):
        form = {"MessageSid": sid, "From": ANN, "To": made.address, "Body": words}
        return await post_signed(url, form, made.settings["authToken"])

    for sid, words in (("SM1", "STOP"), ("SM2", "START")):
        answer = await text(sid, words)
        assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/xml")
        assert answer.body.endswith("<Response/>")
        await asyncio.sleep(0.002)
    before = dump()
    assert (await text("SM1", "STOP")).status == 200
    assert (await text("SM2", "START")).status == 200
    assert dump() == before
    assert len((await ready.call("GET", "/inbound")).body["items"]) == 2
    assert (await ready.call("GET", "/opt-outs")).body["items"] == []


def event(kind, data, number=1, cloud=False):
    """Return an event in one of Event Grid's two schemas."""
    topic = "/subscriptions/x/resourceGroups/y/providers/Microsoft.Communication/CommunicationServices/one"
    common = {"id": f"event-{number}", "subject": "/phonenumber/1", "data": data}
    if cloud:
        return common | {"specversion": "1.0", "type": kind, "source": topic, "time": "2026-01-01T00:00:00Z"}
    return common | {
        "topic": topic,
        "eventType": kind,
        "eventTime": "2026-01-01T00:00:00Z",
        "dataVersion": "1.0",
        "metadataVersion": "1",
    }


async def post_events(gateway, function, events, *, url=None):
    """Post events as Event Grid does and return the status."""
    headers = {"aeg-event-type": "Notification"}
    async with gateway.session.post(url or gateway.events_url(function), json=events, headers=headers) as response:
        return response.status


@pytest.mark.parametrize("cloud", [False, True], ids=["EventGrid", "CloudEvents"])
async def test_replayed_events_change_nothing(ready, dump, cloud):
    """Reports and replies of either schema, from either function, delivered again, leave the store as it is."""
    (identity,) = await ready.send(ready.acs, "+14255550180")
    sent = await ready.until(identity, "sent")
    to = ready.acs.address
    events = [
        event(
            REPORT_TYPE,
            {
                "messageId": sent["vendorId"],
                "from": to,
                "to": sent["to"],
                "deliveryStatus": "Delivered",
                "deliveryStatusDetails": "No error.",
                "Tag": identity[:-3],
            },
            cloud=cloud,
        ),
        event(INBOUND_TYPE, {"messageId": "Incoming_1", "from": ANN, "to": to, "message": "Hello"}, 2, cloud),
    ]
    assert await post_events(ready.gateway, "sms_delivery_report_received", events) == 202
    await ready.idle()
    before = dump()
    assert (await ready.message(identity))["status"] == "delivered"
    assert [item["text"] for item in (await ready.call("GET", "/inbound")).body["items"]] == ["Hello"]
    for function in ("sms_delivery_report_received", "sms_received"):
        assert await post_events(ready.gateway, function, events) == 202
    assert dump() == before


async def test_events_without_the_key(ready, dump):
    """An event that does not come with Event Grid's key is refused by the host; nothing changes."""
    before = dump()
    events = [event(INBOUND_TYPE, {"messageId": "x", "from": ANN, "to": ready.acs.address, "message": "STOP"})]
    base = ready.gateway.events_url("sms_received").partition("&code=")[0]
    for key, status in (("", 401), ("&code=wrong", 401), (f"&code={ready.gateway.keys.host['default']}", 403)):
        assert await post_events(ready.gateway, "sms_received", events, url=base + key) == status
    assert dump() == before


async def test_events_that_make_no_sense(ready, path):
    """An event that cannot be used is set aside and acknowledged, since delivering it again would not help."""
    odd = [
        event("Microsoft.Storage.BlobCreated", {"url": "x"}, 1),
        event(INBOUND_TYPE, {"message": "from nobody"}, 2),
        event(INBOUND_TYPE, {}, 3),
        event(REPORT_TYPE, {"deliveryStatus": ""}, 4),
        event(REPORT_TYPE, {"Tag": "01kb3v9r2m8q4t6w0x5y7z1a2b", "to": ANN, "deliveryStatus": "Delivered"}, 5),
        event(REPORT_TYPE, {"Tag": 7, "to": None, "deliveryStatus": ["x"], "receivedTimestamp": {"a": 1}}, 6),
    ]
    assert await post_events(ready.gateway, "sms_received", odd) == 202
    aside = store.table(path, "setaside")
    assert len(aside) == len(odd)
    assert (await ready.call("GET", "/inbound")).body["items"] == []
    assert json.dumps(aside).count("fits no message") == 3
