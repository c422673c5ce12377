"""Callbacks that are authentic and odd: each is taken, kept once, and read again by the API."""

from __future__ import annotations

import json

import pytest

from functions.gateway.slices import AT_ONCE
from functions.storage.ports import Storage
from functions.triggers.acs_events import _take_queued
from tests.conftest import Ready
from tests.triggers import said, store
from tests.triggers.test_callbacks import INBOUND_TYPE, REPORT_TYPE, event, post_events

ANN = "+14255550180"
"""Nothing is ever reported of her by the simulated vendors."""
HALF = "\ud83d"
"""The first half of an emoji, which UTF-8 cannot hold and JSON can spell."""
BEYOND = ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "1970-01-01T00:00:00Z")


def nested(levels):
    """Return lists within lists."""
    found = []
    for _ in range(levels):
        found = [found]
    return found


ODDITIES = {
    "half an emoji": {"note": f"x{HALF}", HALF: 1},
    "deep": {"note": nested(300)},
    "long": {"note": "n" * 200_000},
    "a number without end": {"note": 10**30},
    "no number": {"note": float("nan"), "other": float("inf")},
}


@pytest.fixture
async def post(connected, request_raw):
    """Give a function that posts what a vendor says, proven, with a query for reports."""

    async def send(made, kind, media_type, body, message=""):
        url = (await connected.call("GET", f"/providers/{made.id}/callbacks")).body[kind]
        if message and made.vendor in {"twilio", "custom"}:
            url += f"?message={message}"
        url, headers = said.proven(made.vendor, made.settings, url, media_type, body)
        return await request_raw("POST", url.partition("/api")[2], body, headers=headers, key=False)

    return send


@pytest.fixture
async def made(connected, request):
    """Make a provider at the vendor that the test is about."""
    connected.made[request.param] = await connected.make(request.param)
    return connected.made[request.param]


def each(vendors):
    """Run a test for each of the vendors."""
    return pytest.mark.parametrize("made", vendors, indirect=True)


async def replies(ready):
    """Return the replies that are kept."""
    return (await ready.call("GET", "/inbound")).body["items"]


async def opted_out(ready):
    """Return the numbers that must not be texted."""
    return [item["number"] for item in (await ready.call("GET", "/opt-outs")).body["items"]]


@each(said.IN_JSON)
@pytest.mark.parametrize("spoilt", ["half an emoji", "byte order mark", "stray byte", "line break"])
async def test_a_reply_that_a_strict_reader_refuses_is_taken(connected, made, post, spoilt):
    """Half an emoji, a byte order mark, a stray byte and a line break cost no reply, and a STOP beside them acts."""
    media_type, body = said.reply(made.vendor, "SM1", ANN, made.address, "One\\two" + HALF)
    spoil = {
        "half an emoji": body,
        "byte order mark": b"\xef\xbb\xbf" + body,
        "stray byte": body.replace(b"two", b"tw\xff"),
        "line break": body.replace(b"two", b"two\n"),
    }
    kept = {"stray byte": "One\\tw\ufffd\ufffd", "line break": "One\\two\n\ufffd"}
    stop = said.reply(made.vendor, "SM2", ANN, made.address, "STOP", note=HALF)

    answers = [
        await post(made, "inbound", media_type, spoil[spoilt]),
        await post(made, "inbound", media_type, b"\xef\xbb\xbf" + stop[1]),
    ]

    assert {answer.status for answer in answers} <= {200, 204}, answers
    texts = {item["text"] for item in await replies(connected)}
    assert texts == {kept.get(spoilt, "One\\two\ufffd"), "STOP"}
    assert await opted_out(connected) == [ANN]


@each(["vibes"])
async def test_xml_that_was_put_together_by_hand_is_taken(connected, made, post):
    """Half an emoji as a reference, a form feed and a stray byte in XML cost no reply, and a STOP beside them acts."""
    for number, text in enumerate(("Hello", "STOP")):
        media_type, body = said.reply(made.vendor, f"SM{number}", ANN, made.address, text)
        answer = await post(made, "inbound", media_type, body.replace(b"<x>", b"<x>&#55357;\x0c\xff"))
        assert answer.status == 200, answer.body

    assert [item["text"] for item in await replies(connected)] == ["STOP", "Hello"]
    assert await opted_out(connected) == [ANN]


@each(said.IN_JSON)
@pytest.mark.parametrize("oddity", ODDITIES.values(), ids=ODDITIES)
async def test_odd_fields_cost_neither_report_nor_reply(connected, made, post, dump, oddity):
    """Whatever stands in fields beside, a report counts, a reply is kept, and a repeat changes nothing."""
    (message,) = await connected.send(made, ANN)
    sent = await connected.until(message, "sent")
    await connected.idle()

    async def tell():
        reported = said.report(made.vendor, message, sent["vendorId"], ANN, **oddity)
        texted = said.reply(made.vendor, "SM1", ANN, made.address, "Hello", **oddity)
        return [
            await post(made, "report", *reported, message),
            await post(made, "inbound", *texted),
        ]

    assert {answer.status for answer in await tell()} <= {200, 204}
    assert (await connected.message(message))["status"] == "delivered"
    assert [item["text"] for item in await replies(connected)] == ["Hello"]
    before = dump()
    await tell()
    assert dump() == before


@each(said.POSTING)
async def test_ids_and_texts_without_end(connected, made, post, path):
    """Ids and texts of any length are taken; what is cut says so, and what differs behind the cut stays two."""
    long = "i" * 3_000
    texts = ["y" * 100_000, "y" * 100_000]
    for number, text in enumerate(texts):
        answer = await post(made, "inbound", *said.reply(made.vendor, f"{long}{number}", ANN, made.address, text))
        assert answer.status in {200, 204}, answer.body
    answer = await post(made, "report", *said.report(made.vendor, long, long, ANN), "nobody")
    assert answer.status in {200, 204}, answer.body

    found = await replies(connected)
    assert [(item["text"][:3], item["text"][-1], len(item["text"])) for item in found] == [("yyy", "…", 32_000)] * 2
    assert {item["vendorId"][-1] for item in found} <= {"…", *"0123456789abcdef"}  # a digest of the custom vendor's
    [aside] = store.table(path, "setaside")
    assert aside["why"] == "It fits no message of this provider."


@each(["custom", "infobip", "linkmobility", "telesign", "vibes"])
@pytest.mark.parametrize("at", BEYOND)
async def test_a_moment_beyond_belief_is_left_out(connected, made, post, clock, at):
    """A moment of no calendar costs neither report nor reply, both are read again, and a STOP at it acts now."""
    (message,) = await connected.send(made, ANN)
    sent = await connected.until(message, "sent")
    await connected.idle()
    told = [
        await post(made, "report", *said.report(made.vendor, message, sent["vendorId"], ANN, at), message),
        await post(made, "inbound", *said.reply(made.vendor, "SM1", ANN, made.address, "START")),
    ]
    clock.advance(60)
    told.append(await post(made, "inbound", *said.reply(made.vendor, "SM2", ANN, made.address, "STOP", at)))

    assert {answer.status for answer in told} <= {200, 204}, told
    message = await connected.message(message)
    assert message["status"] == "delivered"
    assert [entry.get("vendorTime") for entry in message["timeline"] if entry["what"] == "report"] == [None]
    assert [item.get("vendorTime") for item in await replies(connected)] == [None, None]
    assert await opted_out(connected) == [ANN]


POSTED = [name for name in ODDITIES if name not in {"half an emoji", "no number"}]
"""What Event Grid and Microsoft's converter let through; out of the queue comes everything."""


@pytest.mark.parametrize(
    ("way", "oddity"), [("post", name) for name in POSTED] + [("queue", name) for name in ODDITIES], ids=str
)
async def test_odd_events_are_taken(connected, way, oddity):
    """An event with odd fields, whole or useless, is taken or set aside, and what was taken is read again."""
    made, odd = await connected.make("acs"), ODDITIES[oddity]
    (message,) = await connected.send(made, ANN)
    sent = await connected.until(message, "sent")
    report = {"messageId": sent["vendorId"], "to": ANN, "tag": message[:-3], "deliveryStatus": "Delivered"}
    reply = {"messageId": "1", "from": ANN, "to": made.address, "message": "STOP"}
    events = [
        event(REPORT_TYPE, report | {"receivedTimestamp": BEYOND[0]} | odd, 1),
        event(INBOUND_TYPE, reply | {"receivedTimestamp": BEYOND[1]} | odd, 2),
        event(INBOUND_TYPE, odd, 3),
        event("Microsoft.Storage.BlobCreated", odd, 4),
    ]

    if way == "post":
        assert await post_events(connected.gateway, "sms_received", events) == 202
    else:
        for one in events:
            await _take_queued(json.dumps(one).encode())

    assert (await connected.message(message))["status"] == "delivered"
    assert [item["text"] for item in await replies(connected)] == ["STOP"]
    assert await opted_out(connected) == [ANN]


class Watched:
    """Tables that know how many inserts were under way at once."""

    def __init__(self, tables):
        self._tables, self.now, self.most = tables, 0, 0

    def __getattr__(self, name):
        return getattr(self._tables, name)

    async def insert(self, table, rows):
        self.now += len(rows)
        self.most = max(self.most, self.now)
        try:
            return await self._tables.insert(table, rows)
        finally:
            self.now -= len(rows)


async def test_a_callback_of_thousands_is_kept_in_slices(start_gateway, storage, sandbox, request_raw, path):
    """A callback with more items than anybody writes at once is kept whole before it is answered, a few at a time."""
    watched = Watched(storage.tables)
    gateway = await start_gateway(on=Storage(watched, storage.queues, storage.secrets))
    ready = Ready(gateway, sandbox)
    made = await ready.make("infobip")
    url = (await ready.call("GET", f"/providers/{made.id}/callbacks")).body["report"]
    body = json.dumps({"results": [{"messageId": f"{place}"} for place in range(1_000)] + list(range(1_000))}).encode()
    assert len(body) < 1024 * 1024
    watched.most = 0
    _, headers = said.proven("infobip", made.settings, url, said.JSON, body)

    async with gateway.session.post(url, data=body, headers=headers) as answer:
        kept = store.table(path, "setaside")

    assert answer.status == 200
    assert len(kept) == 2_000
    assert watched.most <= 2 * AT_ONCE
