"""Whatever bytes a stranger posts and whatever JSON an event holds, adapters raise only what the gateway expects."""

from __future__ import annotations

from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.vendors.contract import Callback, Event, MalformedError, NotAuthenticError, Parsed
from tests.vendors.kit import kits

KITS = kits()
POSTING = [kit for kit in KITS if not kit.vendor.description.event_types]
EVENT_GRID = [kit for kit in KITS if kit.vendor.description.event_types]

LENIENT = st.text(st.characters(codec=None), max_size=40)
"""Texts as lenient servers hand them over: with lone surrogates for bytes that are no UTF-8."""
NUMBERS = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def words(*alternatives):
    """Return one of some words, or any text."""
    return st.sampled_from(alternatives) | st.text(max_size=12)


def fields(names):
    """Return an object whose names are mostly those that adapters look for."""
    return st.dictionaries(words(*names), JSON | words("", "failed", "2000", "2026-11-22T12:00:00Z"), max_size=8)


CALLBACK_NAMES = (
    "MessageSid",
    "SmsSid",
    "AccountSid",
    "MessageStatus",
    "ErrorCode",
    "From",
    "To",
    "Body",
    "OptOutType",
)
EVENT_NAMES = (
    *("messageId", "MessageId", "from", "From", "to", "TO", "message", "tag", "Tag", "receivedTimestamp"),
    *("deliveryStatus", "DeliveryStatus", "deliveryStatusDetails"),
)
FORMS = st.lists(st.tuples(words(*CALLBACK_NAMES), st.text(max_size=20)), max_size=8).map(
    lambda pairs: "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs).encode()
)
BODIES = st.binary(max_size=200) | FORMS | fields(CALLBACK_NAMES).map(orjson.dumps) | JSON.map(orjson.dumps)
CONTENT_TYPES = st.sampled_from(
    ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8", "application/json", ""]
)


def said(call, *arguments):
    """Return what a call gave, or nothing when it raised one of the two errors that the gateway answers."""
    try:
        return call(*arguments)
    except (MalformedError, NotAuthenticError):
        return None


@pytest.mark.parametrize("kit", KITS, ids=lambda kit: kit.name)
@given(
    kind=st.sampled_from(["report", "inbound", "other"]),
    path=LENIENT,
    query=st.dictionaries(words("message", "bodySHA256"), LENIENT, max_size=3),
    headers=st.dictionaries(words("x-twilio-signature", "content-type", "authorization"), LENIENT, max_size=4),
    body=BODIES,
)
def test_any_callback_is_read_or_refused(kit, kind, path, query, headers, body):
    """Any request is not authentic or malformed, or it is read; there is no third way."""
    callback = Callback(kind, f"https://sms.example.com/{path}", query, headers, body)

    said(kit.vendor.verify, callback, kit.account())
    parsed = said(kit.vendor.parse, callback)

    assert parsed is None or isinstance(parsed, Parsed)


@pytest.mark.parametrize("kit", POSTING, ids=lambda kit: kit.name)
@given(kind=st.sampled_from(["report", "inbound"]), content_type=CONTENT_TYPES, body=BODIES)
def test_any_authentic_callback_is_read_or_malformed(kit, kind, content_type, body):
    """Any body, signed as the vendor would sign it, is read or refused, and what is read can be stored as JSON."""
    settings = kit.account().settings
    callback = Callback(kind, "https://sms.example.com/x", {}, {"content-type": content_type or "x"}, body)
    signed = kit.signed(callback, settings)

    said(kit.vendor.verify, signed, kit.account())
    parsed = said(kit.vendor.parse, signed) or Parsed()

    for item in (*parsed.reports, *parsed.inbound):
        orjson.dumps(item, default=str)


@pytest.mark.parametrize("kit", EVENT_GRID, ids=lambda kit: kit.name)
@given(
    identity=st.text(max_size=20),
    kind=st.integers(0, 3),
    source=st.text(max_size=40),
    data=fields(EVENT_NAMES),
)
def test_any_event_is_read_or_malformed(kit, identity, kind, source, data):
    """Any event is read, set aside or malformed, and what is read can be stored as JSON."""
    kinds = [*kit.vendor.description.event_types, "Microsoft.EventGrid.SubscriptionValidationEvent", ""]

    parsed = said(kit.vendor.parse_event, Event(identity, kinds[kind], source, data))

    if kind < len(kit.vendor.description.event_types):
        assert parsed is not None
        assert len(parsed.reports) + len(parsed.inbound) + len(parsed.set_aside) == 1
        for item in (*parsed.reports, *parsed.inbound, *parsed.set_aside):
            orjson.dumps(item, default=str)
    else:
        assert parsed is None
