"""Whatever a vendor said, what is kept of it can be written to either store and read again."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway import storable
from functions.gateway.clock import Ids, from_ms, message_id, to_ms
from functions.gateway.facts import read_facts, report_row
from functions.gateway.storable import fit_aside, fit_raw, fit_report, fit_text, plain, raw_text
from functions.storage.limits import check_row, check_rows
from functions.vendors.contract import DeliveryReport, InboundText, Reason, SetAside, State
from tests.gateway.world import PROVIDER, SENDER, World, build

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
ANY = st.text(st.characters(codec=None), max_size=40)
"""Texts with halves of surrogate pairs."""
LONG = st.builds(lambda text, times: text * times, ANY, st.sampled_from([1, 50, 5_000]))
MOMENTS = st.none() | st.datetimes(timezones=st.sampled_from([timezone(timedelta(hours=h)) for h in (-14, 0, 14)]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY | st.integers(), inner, max_size=3),
    max_leaves=10,
)
RAWS = st.dictionaries(ANY, VALUES | LONG, max_size=4)
REPORTS = st.builds(
    DeliveryReport,
    state=st.sampled_from(State),
    vendor_id=LONG,
    message=LONG,
    batch=LONG,
    recipient=LONG,
    reason=st.none() | st.sampled_from(Reason),
    code=LONG,
    status=LONG,
    detail=LONG,
    at=MOMENTS,
    raw=RAWS,
)
TEXTS = st.builds(
    InboundText,
    vendor_id=LONG,
    sender=LONG,
    recipient=LONG,
    text=LONG,
    at=MOMENTS,
    account=LONG,
    consent=LONG,
    raw=RAWS,
)


@given(report=REPORTS)
def test_any_report_is_a_row(report):
    """Any report makes a row that a store takes a hundred of at once, and the same report again the same row."""
    row = report_row("batch", 0, report, NOW)

    check_rows([replace(row, key=f"{row.key}:{place}") for place in range(100)])
    assert report_row("batch", 0, report, NOW) == row
    assert row.values["at"] == 0 or from_ms(row.values["at"])


@given(text=TEXTS)
def test_any_reply_can_be_kept(text):
    """Whatever stands in a reply, its parts are texts in UTF-8 within their limits, and its moment can be told."""
    kept = fit_text(text)

    names = (kept.vendor_id, kept.sender, kept.recipient, kept.account, kept.consent)
    assert max(len(name.encode("utf-16-le")) for name in names) <= 2 * storable.LONGEST_NAME
    assert len(kept.text.encode("utf-16-le")) <= 2 * storable.LONGEST_TEXT
    assert kept.at is None or abs(from_ms(to_ms(kept.at)) - kept.at) < timedelta(seconds=1)
    assert fit_text(kept) == kept


@given(why=LONG, raw=LONG)
def test_anything_set_aside_can_be_kept(why, raw):
    """Whatever was set aside fits into a row beside 99 others."""
    kept = fit_aside(SetAside(why, raw))

    assert len(json.dumps(kept.raw)) <= storable.LONGEST_RAW_SENT
    assert len(kept.why.encode("utf-16-le")) <= 2 * storable.LONGEST_WORDS


@given(raw=RAWS)
def test_any_payload_is_text(raw):
    """Any payload is written as JSON, and one that was JSON is written as it was."""
    written = raw_text(raw)

    assert isinstance(orjson.loads(written), dict)
    assert written.encode()
    assert raw_text(orjson.loads(written)) == written


def test_what_is_short_is_left_alone():
    """What every vendor really says stays as it is, and keeps the key that it always had."""
    said = DeliveryReport(
        State.DELIVERED, "SM1", status="delivered", code="0", detail="Grüße 😀", at=NOW, raw={"a": ["é", 1.5, None]}
    )

    assert fit_report(said) == said
    assert raw_text(said.raw) == '{"a":["é",1.5,null]}'
    assert report_row("b", 3, said, NOW).key == "report:03:50:af3f4be5f486838f"


@pytest.mark.parametrize(("field", "longest"), [("vendor_id", 256), ("status", 256), ("code", 256), ("detail", 400)])
@pytest.mark.parametrize("character", ["x", "é", "\U0001f600"])
def test_what_is_cut_says_so(field, longest, character):
    """What is too long ends in a sign that it was cut, and never in half a character; what just fits does not."""
    units = len(character.encode("utf-16-le")) // 2
    fitting = character * (longest // units)

    kept = getattr(fit_report(DeliveryReport(State.SENT, **{"vendor_id": "x", field: fitting + character})), field)

    assert getattr(fit_report(DeliveryReport(State.SENT, **{"vendor_id": "x", field: fitting})), field) == fitting
    assert kept.endswith("…")
    assert set(kept[:-1]) == {character}
    assert longest - 2 <= len(kept.encode("utf-16-le")) // 2 <= longest


def test_what_differs_behind_the_cut_stays_two():
    """Two reports that differ only where they are cut are two rows, and so are two that differ in half a character."""
    said = [
        DeliveryReport(State.SENT, vendor_id) for vendor_id in ("x" * 300 + "1", "x" * 300 + "2", "\ud83d", "\ud83e")
    ]

    rows = [report_row("b", 0, report, NOW) for report in said]

    assert len({row.key for row in rows}) == 4
    assert rows[0].values["vendorId"] == rows[1].values["vendorId"]
    assert rows[2].values["vendorId"] == "\ufffd"


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        ("2000-01-01T00:00:00+00:00", True),
        ("2000-01-01T00:00:00+00:01", False),
        ("2099-12-31T23:59:59+00:00", True),
        ("2100-01-01T00:00:00+00:00", False),
        ("0001-01-01T00:00:00+14:00", False),
        ("9999-12-31T23:59:59-14:00", False),
    ],
)
def test_moments_of_this_century_are_kept(at, kept):
    """A moment before 2000 or after 2099 is a fault of somebody's clock and is left out."""
    moment = datetime.fromisoformat(at)

    assert fit_report(DeliveryReport(State.SENT, "x", at=moment)).at == (moment if kept else None)
    assert fit_text(InboundText("x", "1", "2", "", at=moment)).at == (moment if kept else None)


@pytest.mark.parametrize("payload", ["x" * 40_000, "\\" * 40_000, "é" * 40_000, "\U0001f600" * 20_000, "\x01" * 20_000])
def test_a_payload_is_cut_by_what_it_takes_on_the_way(payload):
    """A payload of characters that travel as six or twelve keeps fewer of them, and as many as there is room for."""
    kept = fit_raw(payload)

    assert kept.endswith("…")
    assert len(json.dumps(kept)) <= storable.LONGEST_RAW_SENT
    assert len(kept) == storable.LONGEST_RAW or len(json.dumps(kept)) > storable.LONGEST_RAW_SENT * 0.9


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (2**64 - 1, 2**64 - 1),
        (-(2**63) - 1, "-0x8000000000000001"),
        (float("nan"), "nan"),
        (b"x", "b'x'"),
        ("\udc00", "\ufffd"),
        ("a\x00\x0cb", "a\ufffd\x0cb"),
        ({1: (True, None)}, {"1": [True, None]}),
    ],
)
def test_what_json_cannot_hold_becomes_text(value, read):
    """A number without end, half a character, bytes and names that are no texts are written as what comes nearest."""
    assert plain({"x": value}) == {"x": read}


def test_what_is_nested_without_end_is_left_out():
    """Levels that no JSON library writes are left out, and the rest stays."""
    deep = []
    for _ in range(5_000):
        deep = [deep]

    written = raw_text({"a": 1, "b": deep})

    assert orjson.loads(written)["a"] == 1
    assert written.count("[") == storable.DEEPEST - 1
    assert storable.CUT in written


@pytest.fixture
def world(storage, clock):
    """Put a gateway together whose vendors say what a test wants."""
    return World(build(storage, clock), clock)


async def test_payloads_that_share_a_transaction_fit_into_it(world):
    """A hundred reports on one batch at once are kept, however large their payloads and words are on the wire."""
    numbers = [f"+1425{2_000_000 + place}" for place in range(100)]
    batch = await world.batch(numbers, reported=(), close=False)
    wide = "\U0001f600" * 9_000
    reports = [
        DeliveryReport(
            State.DELIVERED, wide, message_id(batch, place), status=wide, code=wide, detail=wide, raw={"x": wide}
        )
        for place in range(100)
    ]

    await world.app.callbacks._reports.take(reports, vendor="twilio", provider=PROVIDER)

    facts = read_facts([row async for row in world.tables.query("batches", batch)])
    assert len(facts.reports) == 100


async def test_oddities_that_share_a_transaction_fit_into_it(world):
    """A hundred oddities at once are kept, each once, however large they are on the wire."""
    items = [SetAside("\U0001f600" * 900, f"{place}" + "\U0001f600" * 9_000) for place in range(100)]

    await world.app.callbacks._reports.set_aside([*items, *items], vendor="twilio")

    rows = [row async for row in world.tables.scan("setaside", first="0", last="9")]
    assert len(rows) == 100
    assert max(check_row(row) for row in rows) < 64 * 1024


async def test_a_reply_is_known_by_its_whole_id(world):
    """Replies whose ids differ only where they are cut are two, and each of them repeated stays one."""
    said = [
        InboundText(f"{'i' * 5_000}{number}\ud83d", "+14255550123", SENDER, f"Hello {number}", raw={"x": float("nan")})
        for number in range(2)
    ]

    for _ in range(2):
        await world.app.inbound.take(said, vendor="twilio", provider=PROVIDER)

    page = await world.app.inbound.page(limit=10, cursor=None)
    assert sorted(item.text for item in page.items) == ["Hello 0", "Hello 1"]
    assert {item.vendor_id for item in page.items} == {"i" * 255 + "…"}


async def test_an_opt_out_by_a_strange_code_is_recorded(world):
    """A vendor's code of any length and shape does not keep the opt-out that it stands for from being recorded."""
    batch = await world.batch(["+14255550123"], reported=(), close=False)
    said = DeliveryReport(
        State.REJECTED,
        "SM1",
        message_id(batch, 0),
        reason=Reason.OPTED_OUT,
        code="\ud83d" * 40_000,
        recipient="+14255550123",
    )

    await world.app.callbacks._reports.take([said], vendor="twilio", provider=PROVIDER)

    [entry] = world.app.opt_outs.list()
    assert entry.number == "+14255550123"
    assert len(entry.note) == 256


async def test_ids_are_looked_for_together(world, monkeypatch):
    """Reports that name only ids of the vendor's wait for the unknown ones once, however many there are."""
    from functions.gateway import vendorids

    waits = []

    async def sleep(seconds):
        waits.append(seconds)

    monkeypatch.setattr(vendorids.asyncio, "sleep", sleep)
    ids = world.app.callbacks._reports._vendor_ids
    message = message_id(Ids(world.clock).new(), 0)
    await ids.keep(PROVIDER, {"known": message, "\ud83d": message})
    waits.clear()

    found = await ids.messages(PROVIDER, [*(f"unknown {place}" for place in range(500)), "known", "\ud83d"])

    assert found == {"known": message, "\ud83d": message}
    assert waits == [0.2, 0.5, 1.5]


@pytest.mark.parametrize(("text", "keyword"), [("\n" * 5_000 + "Stop" + "!" * 5_000, "stop"), ("stop " * 5_000, None)])
async def test_a_stop_among_signs_without_end_acts(world, text, keyword):
    """A keyword is found whatever stands around it that is no word, and a long text is none."""
    said = InboundText("1", "+14255550123", SENDER, text)

    await world.app.inbound.take([said], vendor="twilio", provider=PROVIDER)

    [item] = (await world.app.inbound.page(limit=10, cursor=None)).items
    assert item.keyword == keyword


async def test_a_text_of_accents_keeps_nobody_waiting(world):
    """Sixteen texts made to be slow to compare, as many as one callback holds, are kept at once."""
    slow = "\u0315" * 16_000 + "\u0334" * 16_000
    said = [InboundText(f"{place}", "+14255550123", SENDER, slow) for place in range(16)]
    began = time.perf_counter()

    await world.app.inbound.take(said, vendor="twilio", provider=PROVIDER)

    assert time.perf_counter() - began < 5
