"""What adapters read alike: bodies, times, numbers and the GSM alphabet."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.segments import BASIC, EXTENSION
from functions.vendors import reading
from functions.vendors.contract import DeliveryReport, InboundText, MalformedError, Parsed, SetAside, State
from functions.vendors.exchange import HttpAnswer
from functions.vendors.reading import (
    LEFT_OUT,
    as_object,
    as_string,
    as_text,
    decoded,
    json_of,
    moment,
    object_of,
    parsed,
    read_xml,
    septets,
    whole,
    with_plus,
)

JSON = st.recursive(st.none() | st.booleans() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one))
HALVES = st.text(st.characters(codec=None))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | HALVES,
    lambda one: st.lists(one) | st.dictionaries(HALVES, one),
    max_leaves=10,
)


@given(value=JSON)
def test_json_is_read(value):
    """Whatever a vendor writes as JSON is read, and an object is told from the rest."""
    body = orjson.dumps(value)

    assert json_of(body) == value
    if isinstance(value, dict):
        assert object_of(body) == value
    else:
        with pytest.raises(MalformedError, match="not an object"):
            object_of(body)


@given(value=JSON)
def test_a_value_of_another_type_is_empty(value):
    """What should be an object or a text and is not counts as an empty one."""
    assert as_object(value) == (value if isinstance(value, dict) else {})
    assert as_string(value) == (value if isinstance(value, str) else "")


@pytest.mark.parametrize(
    ("value", "text"), [("a", "a"), (1001, "1001"), (0, "0"), (1.5, "1.5"), (True, ""), (None, ""), ([1], ""), ({}, "")]
)
def test_codes_are_texts(value, text):
    """A code or an id is the same whether it came as a number or as a text; what is neither is none."""
    assert as_text(value) == text


@given(body=st.binary(max_size=20))
def test_what_is_no_json_is_malformed_and_nothing_worse(body):
    """Any bytes are JSON or malformed; nothing else is raised."""
    with suppress(MalformedError):
        json_of(body)


def test_a_hint_is_told():
    """What an operator may look at stands behind the fault."""
    with pytest.raises(MalformedError, match=r"^The body is not JSON\. Is it a form\?$"):
        json_of(b"a=b", "Is it a form?")


def test_items_are_sorted_by_what_they_are():
    """Reports, replies and what could not be read come out apart, each in its order."""
    one, two = DeliveryReport(State.SENT, "1"), DeliveryReport(State.SENT, "2")
    text, odd = InboundText("3", "+1", "+2", ""), SetAside("odd", "{}")

    assert parsed(iter([one, odd, text, two])) == Parsed((one, two), (text,), (odd,))


@pytest.mark.parametrize(
    ("value", "zone", "found"),
    [
        ("2026-11-22T12:00:00Z", None, datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("2026-11-22T12:00:00.5+0100", UTC, datetime(2026, 11, 22, 12, 0, 0, 500_000, timezone(timedelta(hours=1)))),
        ("2026-11-22T12:00:00", UTC, datetime(2026, 11, 22, 12, tzinfo=UTC)),
        ("2026-11-22T12:00:00", None, None),
        ("2026-02-31T12:00:00Z", UTC, None),
        ("", UTC, None),
        (None, UTC, None),
        (1_763_812_800, UTC, None),
    ],
)
def test_a_time_is_read_or_left_out(value, zone, found):
    """A time has its own zone or the vendor's; one without any, an impossible one and none say nothing."""
    assert moment(value, zone) == found


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("14255550123", "+14255550123"),
        ("12345678", "+12345678"),
        ("1234567", "1234567"),
        ("+14255550123", "+14255550123"),
        ("Contoso", "Contoso"),
        ("१४२५५५५०१२३", "१४२५५५५०१२३"),
        ("", ""),
    ],
)
def test_a_number_gets_its_plus(written, read):
    """A number that came without its plus gets it; short codes, names and digits of other scripts stay."""
    assert with_plus(written) == read


def test_the_alphabet_is_the_gateways():
    """The alphabet is the one by which the gateway counts parts."""
    assert (frozenset(BASIC), frozenset(EXTENSION)) == (reading.BASIC, reading.EXTENSION)


@pytest.mark.parametrize(("text", "size"), [("", 0), ("Grüße", 5), ("5 €", 4), ("[\f]", 6), ("✓", None), ("á", None)])
def test_septets_are_counted(text, size):
    """A sign of the extension takes two septets, and one outside the alphabet makes the text not fit."""
    assert septets(text) == size


# What a strict reader would refuse


def test_half_an_emoji_is_read():
    """A half of a surrogate pair becomes U+FFFD wherever it stands; whole pairs and escaped backslashes stay."""
    body = rb'{"a": "\ud83d\ude00 \\ud83d \ud83d", "\ude00": ["\uD83D", {"b": "\ude00\ud83d"}], "c": 1.10}'

    assert json_of(body) == {
        "a": "\U0001f600 \\ud83d \ufffd",
        "\ufffd": ["\ufffd", {"b": "\ufffd\ufffd"}],
        "c": 1.1,
    }


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": "caf\xe9"}', {"a": "caf\ufffd"}),
        (b'{"a": "one\ntwo\x00"}', {"a": "one\ntwo\x00"}),
        (b'{"a": NaN, "b": -Infinity}', {"a": None, "b": None}),
        (b'{"a": 1e999, "b": 1.5}', {"a": "1e999", "b": 1.5}),
        (b'{"a": 18446744073709551615}', {"a": 2**64 - 1}),
        (b'{"a": 18446744073709551616}', {"a": "18446744073709551616"}),
        (b'{"a": -9223372036854775809}', {"a": "-9223372036854775809"}),
        (b'{"a": %s}' % (b"9" * 5_000), {"a": "9" * 5_000}),
    ],
    ids=["mark", "byte", "break", "NaN", "infinite", "64 bits", "65 bits", "negative", "without end"],
)
def test_what_a_strict_reader_refuses_is_read(body, read):
    """A mark, stray bytes, bare control characters and numbers beyond all bounds cost no callback and no answer."""
    assert json_of(body) == read
    assert HttpAnswer(201, body).json == read
    assert orjson.dumps(json_of(body))


@pytest.mark.parametrize("half", [b"", rb', "c": "\ud83d"'])
@pytest.mark.parametrize(("levels", "kept"), [(98, 98), (99, 99), (100, 99), (300, 99)])
def test_depths_are_left_out(levels, kept, half):
    """What is nested deeper than a hundred levels is left out, and what stands beside it stays."""
    found = json_of(b'{"a": %s%s, "b": [1]%s}' % (b"[" * levels, b"]" * levels, half))

    assert found["b"] == [1]
    assert orjson.dumps(found["a"]).count(b"[") == kept
    assert (LEFT_OUT in str(found["a"])) == (levels > kept)


def test_what_nobody_could_read_is_malformed():
    """A body that is nested deeper than Python reads is malformed, in an answer it is none."""
    body = b"[" * 200_000 + b"]" * 200_000

    with pytest.raises(MalformedError):
        json_of(body)
    assert HttpAnswer(200, body).json is None


@given(text=st.text(st.characters(codec=None)))
def test_a_whole_text_has_utf_8(text):
    """Any text can be written once its halves are replaced, and keeps all other characters and its length."""
    found = whole(text)

    assert found.encode().decode() == found
    assert len(found) == len(text)
    assert all(one == other or "\ud800" <= other <= "\udfff" for one, other in zip(found, text, strict=True))


@given(value=ANYTHING)
def test_whatever_is_read_can_be_written(value):
    """Whatever JSON a vendor writes, even with halves and without end, is read as what any library writes."""
    found = json_of(json.dumps(value).encode())

    assert orjson.loads(orjson.dumps(found)) == found


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b"a&#55357;", "a\ufffd"),
        (b"&#55357;&#56832;b", "\U0001f600b"),
        (b"&#xD83D;&#xde00;", "\U0001f600"),
        (b"&#xDE00;&#xD83D;", "\ufffd\ufffd"),
        (b"&#0;&#12;&#x7;&#65;&#xFFFF;&#9999999;", "\ufffd\ufffd\ufffdA\ufffd\ufffd"),
        (b"a\x0cb\x00", "a\ufffdb\ufffd"),
        (b"caf\xe9 &amp; &lt;", "caf\ufffd & <"),
        (b"&#60;b&#38;amp;&#62;&#55357;", "<b&amp;>\ufffd"),
        ("Ж&#55357;".encode(), "Ж\ufffd"),
    ],
)
def test_xml_that_was_put_together_by_hand_is_read(written, read):
    """Halves of characters, control characters and stray bytes cost no callback, and markup stays markup."""
    body = b'<?xml version="1.0" encoding="UTF-8"?><m a="' + written + b'">' + written + b"</m>"

    root = read_xml(body, decoded(body))

    assert root.text == read
    assert root.get("a") == read
    assert not list(root)


@pytest.mark.parametrize(
    "body", [b"", b"<m>", b"<m>&</m>", b"<m>&nbsp;</m>", b"<!DOCTYPE m><m>&#55357;</m>", b"<m/><m/>"]
)
def test_what_is_no_xml_is_none(body):
    """What is cut off, has several roots, names entities or brings a document type is still no XML."""
    with pytest.raises(ValueError):
        read_xml(body, decoded(body))


@given(body=st.binary(max_size=20) | st.text("<m>/&#x0;D83 \x0c").map(str.encode))
def test_any_bytes_are_xml_or_none(body):
    """Any bytes are XML or none; nothing else is raised but what names a charset that nobody knows."""
    with suppress(ValueError, LookupError):
        read_xml(body, decoded(body))
