"""What vendors send, spoilt in every way: it is read or malformed, and whatever is kept can be read by the API."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.gateway.clock import Ids, message_id
from functions.gateway.facts import TABLE, Batch, Item, accepted_row
from functions.vendors.contract import Callback, Category, Event, MalformedError
from tests.triggers import store
from tests.vendors.kit import BATCH, PROVIDER, kits

PERSON = "+14255550123"
FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
PAYLOADS = Path(__file__).parent.parent / "vendors"
OURS = b"OUR-MESSAGE"
"""Stands for the id of a message that is there."""
DEEP = b"[" * 400 + b"]" * 400
VALUES = {
    "json": (
        *(b"null", b"true", b"0", b"-1", b"1e999", b"NaN", b"-Infinity", b"1.5", b"9" * 30, b"[]", b"{}", DEEP),
        *(
            b'""',
            b'"\\ud83d"',
            b'"\\udc00STOP"',
            b'"STOP"',
            b'"\xff\xfe"',
            b'"a\nb"',
            b'"\\u0000"',
            b'"\xf0\x9f\x98\x80"',
        ),
        *(b'"0001-01-01T00:00:00+14:00"', b'"9999-12-31T23:59:59-14:00"', b'"2026-11-22T12:00:00Z"'),
        *(b'{"\\udc00": {"a": ["\\ud83d"]}}', b'"%s"' % (b"x" * 70_000), b'["%s", 1]' % (b"\\u0416" * 20_000)),
        *(b'"%s"' % OURS, b'"+14255550123"', b"14255550123"),
    ),
    "form": (
        *(b"", b"%ED%A0%BD", b"%FF", b"\xff", b"%00", b"STOP", b"%F0%9F%98%80", b"x" * 70_000, b"%D0%96" * 20_000),
        *(b"0001-01-01T00:00:00+14:00", b"9999-12-31T23%3A59%3A59-14%3A00", OURS, b"%2B14255550123", b"a&From=b"),
    ),
    "xml": (
        *(b"", b"&#55357;", b"&#xFFFD;", b"\xff", b"STOP", b"\xf0\x9f\x98\x80", b"x" * 70_000, b"\xd0\x96" * 20_000),
        *(b"0001-01-01T00:00:00+14:00", b"9999-12-31 23:59:59 -1400", OURS, b"+14255550123", b"<a>" * 200),
    ),
}
"""What is put into the places of values, by format."""
PLACES = {
    "json": re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|\b(?:true|false|null)\b', re.DOTALL),
    "form": re.compile(rb"(?<==)[^&]*"),
    "xml": re.compile(rb'(?<=")[^"<>]*(?=")|(?<=>)[^<>]+(?=<)'),
}
FORMATS = {".json": "json", ".jsonl": "json", ".form": "form", ".xml": "xml"}
TYPES = {"json": "application/json", "form": "application/x-www-form-urlencoded", "xml": "text/xml"}


_TO_SOMEBODY = re.compile(rb'((?:"to": ?"|\bto=)(?:\+|%2B)?)\d+', re.IGNORECASE)


def payloads(vendor):
    """Return the kind, the format and the body of each true payload of a vendor, about our message where it can be."""
    found = []
    for folder, kind in (("reports", "report"), ("inbound", "inbound")):
        for path in sorted((PAYLOADS / vendor / folder).iterdir()):
            if path.suffix not in FORMATS or path.name.endswith(".expected.json"):
                continue
            one = FORMATS[path.suffix]
            body = re.sub(rb"%s-\d+" % BATCH.encode(), OURS, path.read_bytes())
            body = _TO_SOMEBODY.sub(rb"\g<1>14255550123", body) if kind == "report" else body
            lines = body.splitlines() if path.suffix in {".jsonl", ".form"} else re.split(rb"(?=<\?xml)", body)
            # One that is large by itself would take the place of many small ones.
            found += [(kind, one, line) for line in lines if 0 < len(line) < 20_000]
    return found


@st.composite
def spoilt(draw, vendor):
    """Draw a true payload with some values replaced, and sometimes cut or with a few bytes in it."""
    kind, one, body = draw(st.sampled_from(payloads(vendor)))
    for _ in range(draw(st.integers(0, 4))):
        places = list(PLACES[one].finditer(body))
        if places:
            place = draw(st.sampled_from(places))
            body = body[: place.start()] + draw(st.sampled_from(VALUES[one])) + body[place.end() :]
    if draw(st.integers(0, 9)) == 0:
        at = draw(st.integers(0, len(body)))
        body = body[:at] + draw(st.binary(max_size=3)) + body[at + draw(st.integers(0, 3)) :]
    return kind, one, body


class Teller:
    """Has a vendor say things, keeps them as the gateway does, and reads all that is kept."""

    def __init__(self, gateway, clock):
        self._gateway, self._app, self._clock, self._message = gateway, gateway.application, clock, ""

    async def tell(self, kit, said):
        """Keep what a vendor said and return the message that it may speak of, and the replies."""
        self._message = self._message or await self._accepted(kit)
        await asyncio.gather(*(self._take(kit, *each) for each in said))
        answers = [
            await self._gateway.call("GET", path)
            for path in (f"/messages/{self._message}", "/inbound?limit=500", "/messages", "/opt-outs")
        ]
        assert [answer.status for answer in answers] == [200] * 4, [answer.body for answer in answers]
        return answers[0].body, answers[1].body["items"]

    async def _accepted(self, kit):
        item = Item(PERSON, "Hello", 1, "GSM-7")
        batch = Batch(
            id=Ids(self._clock).new(), provider=PROVIDER, vendor=kit.name, sender_id="snd-1", sender=kit.sender,
            business_unit="", category=Category.TRANSACTIONAL, created=self._clock(), validity=None, items=(item,),
        )  # fmt: skip
        await self._app.messages._index.add([batch])
        await self._app.storage.tables.insert(TABLE, [accepted_row(batch)])
        return message_id(batch.id, 0)

    async def _take(self, kit, kind, form, body):
        body = body.replace(OURS, self._message.encode())
        if kit.vendor.description.event_types:
            await self._take_events(kit.vendor.description.event_types[kind == "inbound"], body)
            return
        headers, query = {"content-type": TYPES[form]}, {"message": self._message}
        callback = Callback(kind, "https://sms.example.com/x", query, headers, body, settings=kit.account().settings)
        with suppress(MalformedError):
            await self._app.callbacks._keep(kit.vendor.parse(callback), kit.name, PROVIDER)

    async def _take_events(self, event_type, body):
        content = None
        with suppress(ValueError):  # Microsoft's converter would not hand it over
            content = orjson.loads(body)
        for item in content if isinstance(content, list) else [content]:
            data = item.get("data") if isinstance(item, dict) else None
            if isinstance(data, dict):
                tagged = data | {name: self._message[:-3] for name in data if name.lower() == "tag"}
                await self._app.callbacks.take_event(Event(str(item.get("id")), event_type, "one", tagged))


@pytest.fixture
def teller(gateway, clock):
    """Give what tells a running gateway."""
    return Teller(gateway, clock)


@pytest.mark.parametrize("kit", kits(), ids=lambda kit: kit.name)
async def test_true_payloads_are_kept(kit, teller):
    """The payloads that the next test spoils are no empty ones: of each vendor reports and replies are kept."""
    message, replies = await teller.tell(kit, payloads(kit.name))

    reports = [entry for entry in message["timeline"] if entry["what"] == "report"]
    assert len(reports) > 2
    assert replies


@pytest.mark.parametrize("kit", kits(), ids=lambda kit: kit.name)
@FEW
@given(data=st.data())
async def test_spoilt_payloads_are_kept_or_malformed(kit, teller, path, data):
    """Whatever stands in a vendor's payload, nothing fails, and all that is kept of it is read by the API."""
    said = data.draw(st.lists(spoilt(kit.name), min_size=1, max_size=8))

    await teller.tell(kit, said)

    for row in store.table(path, "setaside"):
        assert row["why"].encode()
        assert row["raw"].encode()
