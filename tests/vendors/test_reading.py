"""What adapters read alike: bodies, times, numbers and the GSM alphabet."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.segments import BASIC, EXTENSION
from functions.vendors import reading
from functions.vendors.contract import DeliveryReport, InboundText, MalformedError, Parsed, SetAside, State
from functions.vendors.reading import (
    as_object,
    as_string,
    as_text,
    json_of,
    moment,
    object_of,
    parsed,
    septets,
    with_plus,
)

JSON = st.recursive(st.none() | st.booleans() | st.text(), lambda one: st.lists(one) | st.dictionaries(st.text(), one))


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
