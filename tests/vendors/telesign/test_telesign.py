"""Telesign alone: its signatures against its own SDK, its codes, and the adapter against the sandbox."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from urllib.parse import parse_qsl

import aiohttp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from telesign.messaging import MessagingClient
from telesign.util import verify_telesign_callback_signature

from functions.vendors import telesign as adapter
from functions.vendors.contract import (
    Accepted,
    Account,
    Callback,
    CallbackUrls,
    Category,
    DeliveryReport,
    InboundText,
    MalformedError,
    NotAuthenticError,
    Outgoing,
    Parsed,
    Reason,
    Refused,
    Retry,
    SendCall,
    Sender,
    SenderType,
    SettingError,
    State,
    SubscribeError,
    Unknown,
    Wiring,
)
from functions.vendors.telesign import vendor
from sandbox.kit import Addresses, Customer
from sandbox.kit import kits as customers
from sandbox.outcomes import magic_number
from sandbox.testing import running_sandbox
from tests.vendors.kit import Reply
from tests.vendors.servers import recorder

CUSTOMER = "FFFFFFFF-EEEE-DDDD-1234-AB1234567890"
KEY = "ABC12345yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw=="
OTHER_KEY = "WkVCUkEtc2Vjb25kYXJ5LWtleS1vZi1ub2JvZHktYXQtYWxs"
PERSON = "+15558675309"
REFERENCE = "0123456789ABCDEF0123456789ABCDEF"
BATCH = "01JDA8V0Z5Q6XW3K9N7RB2T4CM"
MESSAGE = f"{BATCH}-0"
REPORT_URL = "https://sms.example.com/api/callbacks/telesign/p/report"
INBOUND_URL = "https://sms.example.com/api/callbacks/telesign/p/inbound"
LONG_CODE = Sender(SenderType.LONG_CODE, "+14255550100")


def account(base_url="https://vendor.example.com", **changes):
    """Return an account with Telesign's example id and key."""
    return Account("p", {"customerId": CUSTOMER, "apiKey": KEY, "baseUrl": base_url, **changes})


def call(to=PERSON, text="Hello", **changes):
    """Return a call that sends one text now."""
    plain = SendCall(BATCH, LONG_CODE, (Outgoing(MESSAGE, to, text),), datetime.now(UTC), None, REPORT_URL)
    return replace(plain, **changes)


async def send(server, http, **changes):
    """Send one text; return what came of it."""
    return (await vendor.send(account(server), call(**changes), http))[MESSAGE]


def reply(code, status=200, words="In words.", **changes):
    """Return Telesign's answer with a code."""
    said = {"code": code, "description": words, "updated_on": "2026-11-22T12:00:00.000000Z"}
    return Reply(status, orjson.dumps({"reference_id": REFERENCE, "external_id": MESSAGE, "status": said} | changes))


async def outcome_of(http, answered):
    """Return what a send comes to when Telesign answers this."""
    async with recorder(answered) as server:
        return await send(server.url, http)


def posted(body, kind="report", **headers):
    """Return a callback with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Callback(kind, REPORT_URL, {}, {"content-type": "application/json"} | named, body)


def signature_of(body, key=KEY):
    """Return the signature of a body."""
    return base64.b64encode(hmac.digest(base64.b64decode(key), body, "sha256")).decode()


def is_authentic(callback, settings=None):
    """Tell whether the adapter takes a callback for Telesign's."""
    try:
        vendor.verify(callback, Account("p", settings or account().settings))
    except NotAuthenticError:
        return False
    return True


def report_of(body):
    """Return the report that a body gives."""
    [report] = vendor.parse(posted(orjson.dumps(body))).reports
    return report


def inbound_of(body, kind="inbound"):
    """Return the reply that a body gives."""
    [text] = vendor.parse(posted(orjson.dumps(body), kind)).inbound
    return text


# Signatures

REPORT_BODY = (
    b'{"reference_id":"B56259E45884010488343BAA15FB0002","status":{"code":200,"description":"Delivered to handset",'
    b'"updated_on":"2016-10-21T14:05:36.181346Z"},"submit_timestamp":"2016-10-21T14:05:30.000000Z",'
    b'"external_id":"CustomExternalID7349"}'
)
REPLY_BODY = (
    b'{"status":{"updated_on":"2023-10-31T14:47:10.490130Z","description":"Delivered to customer","code":1500},'
    b'"submit_timestamp":"2023-10-31T14:47:10.154000Z","errors":{},"user_response":{"phone_number":"11234567890",'
    b'"iso_country_code":"US","sender_id":"4442","mo_message":"Stop","keyword":"stop","action":"stop"},'
    b'"sub_resource":"mo_sms","reference_id":"0123456789ABCDEF0123456789ABCDEF"}'
)
# Computed with Telesign's SDK; the last one is its own test.
VECTORS = {
    "report": (KEY, REPORT_BODY, "e3LbkjYtTPef7xp+m250wacoD+Cz/XqIIZNZ7z5UIJo="),
    "reply": (KEY, REPLY_BODY, "sRI+ih4FdoKPrAI7GwwmGl1A3p2eZvdTzvg1qZVU6jU="),
    "the SDK's own, whose key holds signs that are not base64": (
        "EXAMPLE----TE8sTgg45yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw==",
        b"{'test': 123}",
        "B97g3N9lPdVaptvifxRau7bzVAC5hhRBZ6HKXABN744=",
    ),
}
FORMS = {
    "Authorization as documented": lambda signature: {"authorization": f"TSA {CUSTOMER}:{signature}"},
    "X-TS-Authorization as documented": lambda signature: {"x_ts_authorization": signature},
    "bare in Authorization": lambda signature: {"authorization": signature},
    "whole in X-TS-Authorization": lambda signature: {"x_ts_authorization": f"TSA {CUSTOMER}:{signature}"},
    "without the scheme": lambda signature: {"x_ts_authorization": f"{CUSTOMER}:{signature}"},
    "id in other letters": lambda signature: {"authorization": f"tsa {CUSTOMER.lower()}:{signature}"},
    "both": lambda signature: {"authorization": f"TSA {CUSTOMER}:{signature}", "x_ts_authorization": signature},
    "Authorization taken by something else": lambda signature: {
        "authorization": "Bearer eyJhbGciOiJIUzI1NiJ9.e30.x",
        "x_ts_authorization": signature,
    },
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
@pytest.mark.parametrize(("key", "body", "signature"), VECTORS.values(), ids=VECTORS.keys())
def test_a_recorded_signature_passes(key, body, signature, form):
    """A recorded signature passes in either header and either form, with its own key and no other."""
    settings = account(apiKey=key).settings

    assert is_authentic(posted(body, **form(signature)), settings)
    assert not is_authentic(posted(body + b" ", **form(signature)), settings)
    assert not is_authentic(posted(body, **form(signature)), account(apiKey=OTHER_KEY).settings)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "", "x_ts_authorization": ""},
        {"x_ts_authorization": "GIoayw8c5324PAapnhw8x8cTJWhS6CYScR7PXGrA5Qc="},
        {"authorization": "TSA FFFFFFFF-EEEE-DDDD-1234-AB1234567891:e3LbkjYtTPef7xp+m250wacoD+Cz/XqIIZNZ7z5UIJo="},
        {"authorization": f"Basic {CUSTOMER}:e3LbkjYtTPef7xp+m250wacoD+Cz/XqIIZNZ7z5UIJo="},
        {"authorization": f"TSA {CUSTOMER}:"},
        {"authorization": "TSA e3LbkjYtTPef7xp+m250wacoD+Cz/XqIIZNZ7z5UIJo=:x"},
        {"x_ts_authorization": "e3LbkjYtTPef7xp+m250wacoD+Cz/XqIIZNZ7z5UIJo"},
        {"x_ts_authorization": "\udcff"},
    ],
    ids=[
        "none",
        "empty",
        "key not decoded",
        "another customer",
        "another scheme",
        "no signature",
        "signature in the customer's place",
        "cut",
        "not text",
    ],
)
def test_what_proves_nothing_is_refused(headers):
    """A signature that is missing, made with the key as text, or somebody else's is refused."""
    assert not is_authentic(posted(REPORT_BODY, **headers))


def test_the_raw_body_is_signed():
    """The same JSON written another way does not fit the signature, and the address does not matter."""
    signature = VECTORS["report"][2]
    rewritten = json.dumps(json.loads(REPORT_BODY)).encode()
    elsewhere = replace(posted(REPORT_BODY, x_ts_authorization=signature), url="https://proxy.example.org/x?y=1")

    assert rewritten != REPORT_BODY
    assert not is_authentic(posted(rewritten, x_ts_authorization=signature))
    assert is_authentic(elsewhere)


KEYS = st.binary(min_size=16, max_size=60).map(lambda key: base64.b64encode(key).decode())


@given(body=st.text(max_size=60), signed=st.text(max_size=60), same=st.booleans(), key=KEYS, other=st.booleans())
def test_the_adapter_judges_as_telesigns_sdk_does(body, signed, same, key, other):
    """For any body and key, whatever was signed, the adapter and Telesign's own SDK say the same."""
    signature = signature_of((body if same else signed).encode(), OTHER_KEY if other else key)

    judged = verify_telesign_callback_signature(key, signature, body)

    assert judged == is_authentic(posted(body.encode(), x_ts_authorization=signature), account(apiKey=key).settings)
    assert judged or other or not same


@pytest.mark.parametrize("name", ["apiKey", "apiKeySecondary"])
def test_a_key_that_is_not_base64_is_named_and_proves_nothing(name):
    """A key that cannot be decoded is a wrong setting that is not quoted, and no callback passes with it."""
    wrong = "canary0123456789canary012"

    [error] = vendor.check_settings(account(**{name: wrong}).settings)

    assert isinstance(error, SettingError)
    assert error.setting == name
    assert "canary" not in f"{error}{error.detail}"
    empty = base64.b64encode(hmac.digest(b"", REPORT_BODY, "sha256")).decode()
    assert not is_authentic(posted(REPORT_BODY, x_ts_authorization=empty), account(apiKey=wrong).settings)


def test_keys_as_telesign_gives_them_are_taken():
    """Keys with and without signs that are not base64 pass the check of settings."""
    assert not any(vendor.check_settings(account(apiKey=key).settings) for key, _, _ in VECTORS.values())


HEADER = st.text(st.characters(codec=None), max_size=60)


@given(authorization=HEADER, bare=HEADER, body=st.binary(max_size=60), kind=st.sampled_from(["report", "inbound"]))
def test_any_callback_is_judged_and_read_or_refused(authorization, bare, body, kind):
    """Whatever arrives, nothing is raised but that it is not authentic or cannot be read."""
    callback = posted(body, kind, authorization=authorization, x_ts_authorization=bare)

    assert not is_authentic(callback)
    with suppress(MalformedError):
        assert isinstance(vendor.parse(callback), Parsed)


NAMES = st.sampled_from(
    (
        *("reference_id", "external_id", "status", "errors", "user_response", "sub_resource", "submit_timestamp"),
        *("code", "description", "updated_on", "phone_number", "sender_id", "sender_id ", "mo_message", "action"),
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=15,
)


@given(body=st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_object_is_read_or_malformed(body):
    """Any object with Telesign's names in any places gives one thing, which can be stored, or is malformed."""
    raw = orjson.dumps(body)
    try:
        parsed = vendor.parse(posted(raw))
    except MalformedError:
        assert not isinstance(body.get("status"), dict)
        return

    assert len(parsed.reports) + len(parsed.inbound) + len(parsed.set_aside) == 1
    for item in (*parsed.reports, *parsed.inbound, *parsed.set_aside):
        orjson.dumps(item, default=str)


@pytest.mark.parametrize("kind", ["report", "inbound"])
def test_callbacks_are_answered_with_exactly_200(kind):
    """Telesign repeats what is answered with 202 or 204; it gets 200 and JSON for both kinds."""
    answer = vendor.answer(posted(b"{}", kind))

    assert (answer.status, answer.content_type, json.loads(answer.body)) == (200, "application/json", {})


# Reports

# https://developer.telesign.com/enterprise/docs/all-status-and-error-codes
REPORTS = {
    200: (State.DELIVERED, None),
    201: (State.DELIVERED, None),
    203: (State.SENT, None),
    207: (State.UNDELIVERED, Reason.OTHER),
    210: (State.UNDELIVERED, Reason.UNREACHABLE),
    211: (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    220: (State.UNDELIVERED, Reason.UNROUTABLE),
    221: (State.EXPIRED, Reason.EXPIRED),
    222: (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    229: (State.REJECTED, Reason.FILTERED),
    230: (State.REJECTED, Reason.FILTERED),
    231: (State.REJECTED, Reason.INVALID_CONTENT),
    233: (State.REJECTED, Reason.FILTERED),
    237: (State.REJECTED, Reason.UNROUTABLE),
    238: (State.REJECTED, Reason.UNROUTABLE),
    250: (State.UNKNOWN, Reason.NO_REPORT),
    251: (State.UNKNOWN, Reason.NO_REPORT),
    290: (State.QUEUED, None),
    292: (State.QUEUED, None),
    293: (State.QUEUED, None),
    295: (State.QUEUED, None),
    500: (State.FAILED, Reason.OTHER),
    501: (State.FAILED, Reason.ACCOUNT),
    502: (State.FAILED, Reason.INVALID_SENDER),
    503: (State.FAILED, Reason.TEMPORARY),
    504: (State.FAILED, Reason.CARRIER_BLOCKED),
    505: (State.FAILED, Reason.TEMPORARY),
    506: (State.FAILED, Reason.OTHER),
    507: (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    508: (State.FAILED, Reason.INVALID_SENDER),
    509: (State.FAILED, Reason.CONFIGURATION),
    510: (State.REJECTED, Reason.OPTED_OUT),
    511: (State.UNDELIVERED, Reason.UNREACHABLE),
    512: (State.UNDELIVERED, Reason.UNREACHABLE),
    513: (State.UNDELIVERED, Reason.UNROUTABLE),
    514: (State.UNDELIVERED, Reason.UNREACHABLE),
    515: (State.REJECTED, Reason.FILTERED),
    516: (State.FAILED, Reason.INVALID_RECIPIENT),
    517: (State.REJECTED, Reason.SENDER_UNREGISTERED),
    518: (State.REJECTED, Reason.FILTERED),
    519: (State.REJECTED, Reason.FILTERED),
    520: (State.REJECTED, Reason.INVALID_CONTENT),
    521: (State.REJECTED, Reason.INVALID_SENDER),
    599: (State.UNKNOWN, Reason.NO_REPORT),
    10031: (State.REJECTED, Reason.FILTERED),
    10032: (State.REJECTED, Reason.FILTERED),
    -40024: (State.REJECTED, Reason.FILTERED),
    -40025: (State.REJECTED, Reason.FILTERED),
}


@pytest.mark.parametrize(("code", "wanted"), REPORTS.items())
def test_every_status_code_has_its_state(code, wanted):
    """Each code of a report has its state and reason, as a number or as a text, and is kept with its words."""
    for written in (code, str(code)):
        body = {"reference_id": REFERENCE, "external_id": MESSAGE, "status": {"code": written, "description": "So."}}
        report = report_of(body)
        assert (report.state, report.reason, report.code, report.status) == (*wanted, str(code), "So.")
        assert (report.vendor_id, report.message, report.raw) == (REFERENCE, MESSAGE, body)


def test_the_table_of_reports_is_whole():
    """The adapter's table has the codes of Telesign's page and no others."""
    assert {str(code) for code in REPORTS} == set(adapter.REPORT_CODES)


@pytest.mark.parametrize("code", [0, 100, 299, 3046, 99999, -1, "", "x", None, 200.5, [200], {"code": 200}, True])
def test_a_code_that_is_on_no_page_is_unknown(code):
    """A code that nobody documented, or none at all, gives an unknown state and raises nothing."""
    report = report_of({"status": {"code": code}})

    assert (report.state, report.reason) == (State.UNKNOWN, Reason.OTHER)


def test_a_report_that_says_hardly_anything_is_read():
    """Only the status is guaranteed: without the rest a report is read as far as it goes."""
    report = report_of({"status": {"code": 200}})

    assert report == DeliveryReport(State.DELIVERED, "", code="200", raw={"status": {"code": 200}})


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2016-10-21T14:05:36.181346Z", datetime(2016, 10, 21, 14, 5, 36, 181346, tzinfo=UTC)),
        ("2016-10-21T16:05:36+02:00", datetime(2016, 10, 21, 14, 5, 36, tzinfo=UTC)),
        ("2016-10-21T14:05:36", datetime(2016, 10, 21, 14, 5, 36, tzinfo=UTC)),
        ("2022-31-03T14:51:28.709526Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1479735936, None),
        ({}, None),
    ],
)
def test_a_timestamp_never_fails(written, read):
    """A timestamp is read with its zone, and one that makes no sense, as in Telesign's own examples, is left out."""
    report = report_of({"status": {"code": 203, "updated_on": written}})

    assert (report.state, report.at) == (State.SENT, read)


@pytest.mark.parametrize("errors", [[], {}, None, "", 7, [None], ["x"], [{}], {"code": -40024}])
def test_errors_that_say_nothing_do_not_disturb(errors):
    """An empty list or object in ``errors``, or something odd, leaves the decision to the status."""
    assert report_of({"status": {"code": 200}, "errors": errors}).state is State.DELIVERED


def test_an_error_says_more_than_its_status():
    """A report whose errors name the block is rejected for it, with the error's own code and words."""
    said = {"code": 500, "description": "Transaction not attempted"}
    blocked = {"code": -40025, "description": "Message blocked by Telesign"}

    report = report_of({"status": said, "errors": [{"code": 7, "description": "Noise"}, blocked]})

    assert (report.state, report.reason, report.code) == (State.REJECTED, Reason.FILTERED, "-40025")
    assert (report.status, report.detail) == ("Transaction not attempted", "Message blocked by Telesign")


def test_additional_information_is_kept_and_not_trusted():
    """A cleansed number is not the recipient's, an odd field name does not disturb, and all of it is kept."""
    body = {
        "reference_id": REFERENCE,
        "status": {"code": 200, "description": "Delivered to handset"},
        "external_id": MESSAGE,
        "sender_id ": "4442",
        "additional_info": {"cleansed_phone_number": "15558675300", "sender_id ": "4442", "message_parts_count": 2},
    }

    report = report_of(body)

    assert (report.state, report.recipient, report.message, report.part) == (State.DELIVERED, "", MESSAGE, None)
    assert report.raw == body


@pytest.mark.parametrize("words", ["x" * 5000, 7, None, ["x"]])
def test_odd_words_are_cut_and_kept(words):
    """A description of any length and kind gives a short text."""
    assert len(report_of({"status": {"code": 207, "description": words}}).status) <= 300


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"{}", b'{"status": 200}', b'{"status": []}', b"a=b"])
def test_a_body_without_a_status_is_malformed(body):
    """What is no JSON object, or has no status, cannot be read."""
    with pytest.raises(MalformedError):
        vendor.parse(posted(body))


# Replies

REPLY = orjson.loads(REPLY_BODY)
WITHOUT_ACTION = {
    "status": {"updated_on": "2017-01-27T19:46:55.787464Z", "code": 1500, "description": "Delivered to customer"},
    "submit_timestamp": "2017-01-27T19:46:55.778000Z",
    "errors": [],
    "user_response": {"phone_number": "55512345678", "sender_id": "15558675310", "mo_message": "SMS channel message"},
    "sub_resource": "mo_sms",
    "reference_id": "0143D53D86A2030BE20025B600000002",
}


def test_a_reply_is_read_whole():
    """A reply gives who wrote, to which short code, what and when, and that Telesign took it for a stop."""
    assert inbound_of(REPLY) == InboundText(
        vendor_id=REFERENCE,
        sender="+11234567890",
        recipient="4442",
        text="Stop",
        at=datetime(2023, 10, 31, 14, 47, 10, 154000, tzinfo=UTC),
        consent="stop",
        raw=REPLY,
    )


@pytest.mark.parametrize("kind", ["report", "inbound"])
def test_a_reply_is_told_by_its_body(kind):
    """One address may get both: a reply is one wherever it arrives, and its code 1500 never becomes a report."""
    text = inbound_of(WITHOUT_ACTION, kind)

    assert (text.sender, text.recipient, text.consent) == ("+55512345678", "+15558675310", "")


def test_a_reply_is_told_by_any_of_its_signs():
    """The sub resource, the answer of a person or the code 1500 alone tells that it is no report."""
    for sign in ("sub_resource", "user_response", "status"):
        alone = {name: REPLY[name] for name in ("reference_id", sign)} | {"external_id": MESSAGE}
        parsed = vendor.parse(posted(orjson.dumps(alone)))
        assert parsed.reports == ()
        assert [text.text for text in parsed.inbound] == (["Stop"] if sign == "user_response" else [])


def test_a_report_at_the_address_for_replies_is_a_report():
    """A report that arrives at the address for replies is read as a report."""
    [report] = vendor.parse(posted(REPORT_BODY, "inbound")).reports

    assert (report.state, report.message) == (State.DELIVERED, "CustomExternalID7349")


@pytest.mark.parametrize(
    ("action", "consent"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("Start", "start"),
        ("help", "help"),
        ("generic", ""),
        ("", ""),
        (None, ""),
        (7, ""),
    ],
)
def test_an_action_is_a_consent(action, consent):
    """What Telesign took a reply for is kept, in whatever letters, and a text like any other is none of it."""
    changed = REPLY | {"user_response": REPLY["user_response"] | {"action": action, "mo_message": "Arrêt"}}

    assert inbound_of(changed).consent == consent


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("15558675310", "+15558675310"),
        (15558675310, "+15558675310"),
        ("+15558675310", "+15558675310"),
        (" 15558675310 ", "+15558675310"),
        ("4442", "4442"),
        ("1234567", "1234567"),
        ("12345678", "+12345678"),
        ("BRAND2026", "BRAND2026"),
        ("١٢٣٤٥٦٧٨٩", "١٢٣٤٥٦٧٨٩"),
    ],
)
def test_full_numbers_get_their_plus(written, read):
    """A full international number gets its plus; a short code, a name and foreign digits stay as they are."""
    changed = REPLY | {"user_response": REPLY["user_response"] | {"sender_id": written}}

    assert inbound_of(changed).recipient == read


def test_a_field_with_a_space_in_its_name_is_read():
    """The field that Telesign calls ``"sender_id "`` counts as the sender id."""
    answered = {name: value for name, value in REPLY["user_response"].items() if name != "sender_id"}

    assert inbound_of(REPLY | {"user_response": answered | {"sender_id ": "4442"}}).recipient == "4442"


def test_a_reply_without_its_own_time_has_its_status_time():
    """Without a time of submission, or with an impossible one, the time of the status counts."""
    moment = datetime(2023, 10, 31, 14, 47, 10, 490130, tzinfo=UTC)

    assert inbound_of(REPLY | {"submit_timestamp": "2023-31-10T14:47:10Z"}).at == moment
    assert inbound_of({name: value for name, value in REPLY.items() if name != "submit_timestamp"}).at == moment


@pytest.mark.parametrize(
    "changes",
    [
        {"user_response": {}},
        {"user_response": None},
        {"user_response": [1]},
        {"user_response": {"phone_number": "11234567890"}},
        {"user_response": {"sender_id": "4442"}},
        {"reference_id": None},
        {"reference_id": ""},
        {"user_response": None, "sub_resource": None},
    ],
    ids=str,
)
def test_a_reply_that_names_nobody_is_set_aside(changes):
    """A reply without a sender, a recipient or an id to tell repeats by is kept for a person and is no report."""
    parsed = vendor.parse(posted(orjson.dumps(REPLY | changes)))

    [aside] = parsed.set_aside
    assert (parsed.reports, parsed.inbound) == ((), ())
    assert orjson.loads(aside.raw) == REPLY | changes


# Requests


async def request_of(http, wanted):
    """Return the request that a call makes."""
    async with recorder(reply(290)) as server:
        await vendor.send(account(server.url), wanted, http)
        [request] = server.requests
    return request


async def form_of(http, wanted):
    """Return the form that a call posts."""
    return dict(parse_qsl((await request_of(http, wanted)).body.decode(), keep_blank_values=True, strict_parsing=True))


async def test_the_request_is_the_one_that_telesigns_sdk_makes(http):
    """Method, path, credentials, type and form are what Telesign's own client sends for the same text."""
    text = "Hello café & 100% = ✓ 🛑\r\n+"

    ours = await request_of(http, call(text=text))
    async with recorder(reply(290)) as server:
        client = MessagingClient(CUSTOMER, KEY, rest_endpoint=server.url, auth_method="Basic")
        more = {"sender_id": "14255550100", "external_id": MESSAGE, "callback_url": REPORT_URL}
        await asyncio.to_thread(partial(client.message, "15558675309", text, "ARN", **more))
        client.session.close()
        [theirs] = server.requests

    assert (ours.method, ours.path) == (theirs.method, theirs.path) == ("POST", "/v1/messaging")
    for name in ("authorization", "content-type"):
        assert ours.headers[name] == theirs.headers[name]
    assert ours.headers["authorization"] == (
        "Basic RkZGRkZGRkYtRUVFRS1ERERELTEyMzQtQUIxMjM0NTY3ODkwOkFCQzEyMzQ1eXVzdW1vTjZCWXNCVmtoK3lSSjVjemdzbkNlaFphT1"
        "lsZFBKZG1GaDZOZVg4a3VuWjJ6VTFZV2FVdy8wd1Y2eGZ3PT0="
    )
    assert dict(parse_qsl(ours.body.decode())) == dict(parse_qsl(theirs.body.decode()))


async def test_the_whole_form_is_known(http):
    """The form names the person in digits, the text, the traffic, the sender, our id and the address of reports."""
    assert await form_of(http, call()) == {
        "phone_number": "15558675309",
        "message": "Hello",
        "message_type": "ARN",
        "sender_id": "14255550100",
        "external_id": MESSAGE,
        "callback_url": REPORT_URL,
    }


async def test_an_address_that_is_empty_is_left_out(http):
    """An empty callback_url is an error at Telesign (11004), so it is not sent; nor is what it cannot do."""
    form = await form_of(http, call(report_url="", validity=600))

    assert set(form) == {"phone_number", "message", "message_type", "sender_id", "external_id"}


@pytest.mark.parametrize(("category", "kind"), [(Category.TRANSACTIONAL, "ARN"), (Category.MARKETING, "MKT")])
async def test_a_category_is_a_message_type(http, category, kind):
    """Marketing says that it is marketing, everything else that it is a notification."""
    assert (await form_of(http, call(category=category)))["message_type"] == kind


@pytest.mark.parametrize(("name", "fits"), [("Brand 2026", True), ("A" * 20, True), ("A" * 21, False), ("", False)])
def test_a_name_has_at_most_twenty_characters(name, fits):
    """Telesign takes a sender id of at most 20 characters, and the note says so."""
    rule = vendor.description.sender_rule(SenderType.ALPHANUMERIC)

    assert bool(re.fullmatch(rule.pattern, name)) is fits
    assert "20 characters" in rule.note


@pytest.mark.parametrize(
    ("kind", "address", "written"),
    [
        (SenderType.SHORT_CODE, "12345", "12345"),
        (SenderType.ALPHANUMERIC, "Brand 2026", "Brand 2026"),
        (SenderType.TOLL_FREE, "+18005550100", "18005550100"),
    ],
)
async def test_a_sender_is_written_as_telesign_writes_it(http, kind, address, written):
    """A short code and a name stay as they are, a number loses its plus."""
    assert (await form_of(http, call(sender=Sender(kind, address))))["sender_id"] == written


async def test_any_text_arrives_unchanged(http):
    """Line ends, signs of the form's own syntax and all of Unicode arrive as they were."""
    text = " a=b&c%20+\r\n\t;ü€😀\u200d\x00 "

    assert (await form_of(http, call(text=text)))["message"] == text


# Refusals

# https://developer.telesign.com/enterprise/docs/all-status-and-error-codes
REFUSALS = {
    (Reason.TEMPORARY, Retry.LATER): "10002 -30012",
    (Reason.THROTTLED, Retry.LATER): "10019 -40007",
    (Reason.QUOTA, Retry.NEVER): "10020 -30003 -40008",
    (Reason.CREDENTIALS, Retry.NEVER): "10003 10005 10006 10007 10008 10009 10013 10015 10022 10028 -30000 -30004"
    " -30005 -30006 -30007 -30008 -30009 -30011 -30015",
    (Reason.ACCOUNT, Retry.NEVER): "10010 10011 10030 10033 -10030 -20002 -20003 -30001 -30002 -40002",
    (Reason.CONFIGURATION, Retry.NEVER): "10004 10014 10017 10031 10035 10036 11003 11004 11010 11011 11016 11017 11027"
    " 12017 -10001 -10002 -10003 -10004 -10009 -20001 -30010 -40004 -40005 -40006",
    (Reason.INVALID_RECIPIENT, Retry.NEVER): "11000 11001 12000 -40009",
    (Reason.INVALID_CONTENT, Retry.NEVER): "11009 12009",
    (Reason.INVALID_SENDER, Retry.OTHER_SENDER): "11013",
    (Reason.SENDER_UNREGISTERED, Retry.NEVER): "11034 11035",
    (Reason.UNROUTABLE, Retry.NEVER): "-20004",
    (Reason.FILTERED, Retry.NEVER): "10032 -40024 -40025",
}
CODES = {int(code): wanted for wanted, codes in REFUSALS.items() for code in codes.split()}


async def test_every_error_code_has_its_reason_whatever_the_http_status(http):
    """Each code that Telesign refuses with has its reason and its retry, and HTTP has no say in it."""
    async with recorder(Reply(400, b"")) as server:
        for code, (reason, retry) in CODES.items():
            for status in (200, 400, 401, 429, 503):
                server.reply = reply(code, status)
                assert await send(server.url, http) == Refused(reason, retry, None, str(code), "In words.")
    assert {str(code) for code in CODES} == set(adapter.REFUSAL_CODES)


@pytest.mark.parametrize("status", [401, 200])
async def test_older_services_name_the_fault_in_their_errors(http, status):
    """A status of 500 or 501 with an error beside it is the error's refusal, with the error's words."""
    errors = [{"code": -30006, "description": "Invalid Signature."}]

    for code in (500, 501):
        outcome = await outcome_of(http, reply(code, status, errors=errors))
        assert outcome == Refused(Reason.CREDENTIALS, code="-30006", detail="Invalid Signature.")


@pytest.mark.parametrize("code", [10000, -90001, -40001])
@pytest.mark.parametrize("status", [200, 400, 429, 500, 503])
async def test_an_unavailable_system_may_have_sent(http, code, status):
    """That the system is unavailable does not say since when: it is unknown, whatever HTTP says."""
    outcome = await outcome_of(http, reply(code, status))

    assert isinstance(outcome, Unknown)
    assert outcome.code == str(code)


async def test_too_fast_and_too_much_are_told_apart(http):
    """Both come with 429: over the rate it is tried later, over the hard cap not at all."""
    throttled = replace(reply(10019, 429), headers={"Content-Type": "application/json", "Retry-After": "7"})

    assert await outcome_of(http, throttled) == Refused(Reason.THROTTLED, Retry.LATER, 7.0, "10019", "In words.")
    capped = replace(reply(10020, 429), headers=throttled.headers)
    assert await outcome_of(http, capped) == Refused(Reason.QUOTA, code="10020", detail="In words.")


async def test_10031_means_another_thing_in_each_place(http):
    """In the answer to a request 10031 is a wrong host, in a report a block."""
    body = {"reference_id": REFERENCE, "status": {"code": 10031, "description": "Message blocked by customer request"}}

    outcome = await outcome_of(http, reply(10031, 401))

    assert (outcome.reason, outcome.retry) == (Reason.CONFIGURATION, Retry.NEVER)
    assert (report_of(body).state, report_of(body).reason) == (State.REJECTED, Reason.FILTERED)


async def test_a_block_is_accepted_and_then_reported(http):
    """A person whom Telesign blocks is answered with 290 like anybody; the report says 510 and that is an opt-out."""
    outcome = await outcome_of(http, reply(290))
    report = report_of({"reference_id": REFERENCE, "external_id": MESSAGE, "status": {"code": 510}})

    assert outcome == Accepted(REFERENCE)
    assert (report.state, report.reason, report.vendor_id) == (State.REJECTED, Reason.OPTED_OUT, REFERENCE)


@pytest.mark.parametrize("status", [200, 202, 400, 429, 500])
@pytest.mark.parametrize("code", [290, "290", 292, 295, 203, 200])
async def test_a_message_on_its_way_is_accepted_whatever_the_http_status(http, status, code):
    """A code that says the message is on its way counts, so that it is never sent twice."""
    assert await outcome_of(http, reply(code, status)) == Accepted(REFERENCE)


@pytest.mark.parametrize("status", [200, 400, 429])
async def test_a_message_on_its_way_without_an_id_is_unknown(http, status):
    """A message that is on its way under no id may be out; it is not refused and so not tried again."""
    for nothing in (None, ""):
        assert isinstance(await outcome_of(http, reply(290, status, reference_id=nothing)), Unknown)


async def test_a_message_that_failed_at_once_is_asked_for_like_any_other(http):
    """A failure in the answer itself has a record under its id; with a 4xx it is a refusal for that reason."""
    assert await outcome_of(http, reply(510)) == Accepted(REFERENCE)
    assert await outcome_of(http, reply(510, 400)) == Refused(Reason.OPTED_OUT, code="510", detail="In words.")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Unknown("Telesign answered 200: In words.", "77777")),
        (503, Unknown("Telesign answered 503: In words.", "77777")),
        (400, Refused(Reason.OTHER, code="77777", detail="In words.")),
        (402, Refused(Reason.ACCOUNT, code="77777", detail="In words.")),
        (429, Refused(Reason.THROTTLED, Retry.LATER, code="77777", detail="In words.")),
    ],
)
async def test_a_code_on_no_page_leaves_it_to_http(http, status, expected):
    """A code that nobody documented is refused with a 4xx and unknown with anything else."""
    assert await outcome_of(http, reply(77777, status)) == expected


async def test_a_long_complaint_is_cut(http):
    """Telesign's words are kept up to 300 characters."""
    assert len((await outcome_of(http, reply(11009, 400, "x" * 5000))).detail) == 300


@pytest.mark.parametrize(
    ("settings", "rate"),
    [
        ({}, 1.0),
        ({"baseUrl": "https://rest-api.telesign.com"}, 1.0),
        ({"baseUrl": "https://REST-WW.telesign.com/"}, 50.0),
        ({"baseUrl": "https://rest-ww.telesign.com.example.org"}, 1.0),
        ({"baseUrl": "https://rest-ww.telesign.com", "transactionsPerSecond": "120"}, 120.0),
        ({"transactionsPerSecond": "0.5"}, 0.5),
        ({"transactionsPerSecond": ""}, 1.0),
    ],
)
def test_the_rate_is_the_accounts(settings, rate):
    """The rate is what the settings say, or else the default of the host."""
    assert vendor.calls_per_second(settings) == rate


# Checking credentials, asking for a message's state, looking up


def nobodys(code, status):
    """Return what Telesign says of a message that does not exist."""
    return reply(code, status, reference_id="0" * 32)


@pytest.mark.parametrize(
    ("answered", "ok"),
    [
        (nobodys(10017, 404), True),
        (nobodys(10036, 404), True),
        (nobodys(11011, 400), True),
        (nobodys(10022, 401), False),
        (nobodys(10035, 401), False),
        (nobodys(10019, 429), False),
        (nobodys(10000, 503), False),
        (Reply(404, b"<html>"), False),
        (Reply(200, b"{}"), False),
    ],
)
async def test_a_check_asks_for_a_message_that_does_not_exist(http, answered, ok):
    """Only being told that there is no such message proves the credentials; the check sends nothing."""
    async with recorder(answered) as server:
        check = await vendor.check(account(server.url), http)
        [request] = server.requests

    assert (request.method, request.path, request.body) == ("GET", f"/v1/messaging/{'0' * 32}", b"")
    assert check.ok is ok
    assert check.detail


async def test_a_wrong_host_is_named_by_the_check(http):
    """That the account belongs to the other host can be read in the check's words."""
    async with recorder(reply(10035, 401, "The requested API host is not allowed for this CustomerID.")) as server:
        check = await vendor.check(account(server.url), http)

    assert check.detail == "Telesign answered 10035: The requested API host is not allowed for this CustomerID."


async def ask(http, answered):
    """Ask for a message's state; return the request and the report."""
    async with recorder(answered) as server:
        report = await vendor.report_of(account(server.url), MESSAGE, REFERENCE, http)
        [request] = server.requests
    return request, report


@pytest.mark.parametrize(("code", "wanted"), REPORTS.items())
async def test_a_message_can_be_asked_for(http, code, wanted):
    """A message's own record tells its state in the same words as a report, 10031 included."""
    request, report = await ask(http, reply(code))

    assert (request.method, request.path) == ("GET", f"/v1/messaging/{REFERENCE}")
    assert (report.state, report.reason, report.code) == (*wanted, str(code))
    assert (report.message, report.vendor_id) == (MESSAGE, REFERENCE)


@pytest.mark.parametrize(
    "answered",
    [
        reply(10036, 404),
        reply(10017, 404),
        reply(10019, 429),
        reply(10000, 503),
        reply(200, 503),
        reply(10031, 401),
        reply(10000),
        reply(11011),
        reply(-40001),
        reply(200, reference_id="another"),
        reply(None),
        Reply(200, orjson.dumps({"reference_id": REFERENCE})),
    ],
    ids=lambda answered: f"{answered.status} {answered.body[-120:-60]!r}",
)
async def test_an_answer_about_the_question_tells_nothing_of_the_message(http, answered):
    """Not found, too old, too fast, refused or about another message: none of it is a state."""
    _, report = await ask(http, answered)

    assert report is None


async def test_a_state_that_is_on_no_page_is_unknown(http):
    """A record with a code that nobody documented is unknown, and its words are kept."""
    _, report = await ask(http, reply(299))

    assert (report.state, report.reason, report.code) == (State.UNKNOWN, Reason.OTHER, "299")
    assert report.status == "In words."


async def test_an_odd_id_stays_inside_the_path(http):
    """An id with signs of an address's own syntax asks for a message and nothing else."""
    async with recorder(Reply(404, b"{}")) as server:
        await vendor.report_of(account(server.url), MESSAGE, "../x?y/z#", http)
        [request] = server.requests

    assert request.path == "/v1/messaging/..%2Fx%3Fy%2Fz%23"


async def test_a_lost_answer_cannot_be_looked_up(http):
    """There is no list and no search: nothing is asked, and the message stays unknown until a report names it."""
    async with recorder(reply(290)) as server:
        found = await vendor.lookup(account(server.url), call(), frozenset(), http)

        assert server.requests == []
    assert isinstance(found[MESSAGE], Unknown)
    capabilities = vendor.description.capabilities
    assert (capabilities.lookup, capabilities.replay_window) == (False, timedelta(0))


# Setting up

WIRING = Wiring(
    CallbackUrls(REPORT_URL, INBOUND_URL, "report-function", "inbound-function"),
    {"customerId": CUSTOMER, "baseUrl": "https://rest-ww.telesign.com"},
    frozenset({"apiKey"}),
    (Sender(SenderType.SHORT_CODE, "12345"), LONG_CODE),
)
DRAFT = replace(WIRING, settings={}, senders=())


@pytest.mark.parametrize("wiring", [WIRING, DRAFT], ids=["set", "draft"])
def test_each_address_is_named_once(wiring):
    """The steps name the address for reports and the one for replies once each, whatever is set."""
    assert [step.value for step in vendor.set_up(wiring) if step.value] == [REPORT_URL, INBOUND_URL]


@pytest.mark.parametrize("wiring", [WIRING, DRAFT], ids=["set", "draft"])
def test_support_is_told_all_it_needs(wiring):
    """The texts, English and German, name account, numbers, addresses and format, and no key."""
    needed = [REPORT_URL, INBOUND_URL, "application/json", "POST", "X-TS-Authorization"]
    needed += [CUSTOMER, "12345", "+14255550100"] if wiring.settings else []

    texts = vendor.support(wiring)

    assert [text.language for text in texts] == ["en", "de"]
    for text in texts:
        whole = f"{text.subject}\n{text.text}"
        assert all(word in whole for word in needed)
        assert "{" not in whole
        assert KEY not in whole
    assert "Absender" in texts[1].subject


async def test_callbacks_cannot_be_set_up_by_a_call(http):
    """Telesign has no API for it, and the adapter says so in words and in its capabilities."""
    with pytest.raises(SubscribeError, match="Telesign"):
        await vendor.subscribe(account(), WIRING, http)
    assert not vendor.description.capabilities.subscribes


# Against the sandbox

SIMULATED = customers()["telesign"]


def secret_of(name):
    """Return the customer's secret of a name."""
    return hmac.digest(b"customer", name.encode(), "md5").hex()


class Sandbox:
    """A sandbox in which one customer has an account, whose callbacks arrive at a recorder.

    Attributes:
        account: The customer's account as the adapter knows it.
        callbacks: The recorder.
        sender: The customer's sender.
    """

    def __init__(self, running, callbacks, session):
        self._running = running
        self._session = session
        self.callbacks = callbacks
        self.customer = Customer("main", secret_of, SIMULATED.sender)
        self.account = Account("p", dict(SIMULATED.settings(self.customer, running.base_url)))
        self.sender = Sender(SenderType(SIMULATED.sender_type), SIMULATED.sender)

    async def open(self):
        addresses = Addresses(f"{self.callbacks.url}/report", f"{self.callbacks.url}/inbound")
        for made in (*SIMULATED.account(self.customer), *SIMULATED.wiring(self.customer, addresses)):
            await self.control("POST", made.path, dict(made.body))

    async def control(self, method, path, body=None):
        url = f"{self._running.base_url}/sandbox{path}"
        async with self._session.request(method, url, json=body) as response:
            assert response.status < 300, await response.text()
            return await response.json() if response.status == 200 else None

    async def ledger(self):
        """Return what Telesign really sent."""
        items = (await self.control("GET", "/telesign/ledger"))["items"]
        return [item for item in items if item["direction"] == "outbound"]

    async def send(self, http, to=PERSON, text="Hello", **changes):
        wanted = call(to, text, sender=self.sender, report_url=f"{self.callbacks.url}/report", **changes)
        return (await vendor.send(self.account, wanted, http))[MESSAGE]

    async def told(self):
        """Return what those callbacks said that prove themselves."""
        await self._running.idle()
        parsed = []
        for request in self.callbacks.requests:
            kind = request.path.rpartition("/")[2]
            callback = Callback(kind, f"{self.callbacks.url}{request.path}", {}, request.headers, request.body)
            if is_authentic(callback, self.account.settings):
                parsed.append(vendor.parse(callback))
        return parsed

    async def reports(self):
        return [report for said in await self.told() for report in said.reports]

    def with_settings(self, **changes):
        """Return the customer's account with other settings."""
        return replace(self.account, settings={**self.account.settings, **changes})


@pytest.fixture
async def sandbox():
    """Run a sandbox with an account and a recorder for its callbacks."""
    answer = vendor.answer(posted(b""))
    taken = Reply(answer.status, answer.body.encode(), {"Content-Type": answer.content_type})
    async with running_sandbox(seed=1) as running, recorder(taken) as callbacks, aiohttp.ClientSession() as session:
        made = Sandbox(running, callbacks, session)
        await made.open()
        yield made


async def test_a_text_is_sent_once_and_reported(sandbox, http):
    """A text is accepted under Telesign's id, once, as asked, and its signed reports name our message."""
    outcome = await sandbox.send(http, text="Grüße ✓")
    reports = await sandbox.reports()

    [message] = await sandbox.ledger()
    assert outcome == Accepted(message["id"])
    assert (message["to"], message["text"]) == (PERSON, "Grüße ✓")
    assert [report.state for report in reports] == [State.SENT, State.DELIVERED]
    assert {(report.message, report.vendor_id) for report in reports} == {(MESSAGE, message["id"])}
    assert len(sandbox.callbacks.requests) == 2, "what was taken is not repeated"


@pytest.mark.parametrize(
    ("digits", "state", "reason"),
    [
        ("0151", State.REJECTED, Reason.OPTED_OUT),
        ("0160", State.UNDELIVERED, Reason.UNREACHABLE),
        ("0161", State.UNDELIVERED, Reason.INVALID_RECIPIENT),
        ("0163", State.REJECTED, Reason.FILTERED),
        ("0164", State.REJECTED, Reason.OPTED_OUT),
        ("0165", State.EXPIRED, Reason.EXPIRED),
    ],
)
async def test_the_fate_of_a_text_is_reported_and_can_be_asked_for(sandbox, http, digits, state, reason):
    """What becomes of a text after its 290 is in the last report, and in its own record the same."""
    outcome = await sandbox.send(http, to=magic_number(digits))
    assert isinstance(outcome, Accepted)

    last = (await sandbox.reports())[-1]
    asked = await vendor.report_of(sandbox.account, MESSAGE, outcome.vendor_id, http)

    assert (last.state, last.reason) == (asked.state, asked.reason) == (state, reason)
    assert (asked.message, asked.code) == (MESSAGE, last.code)


async def test_a_message_without_a_report_can_be_asked_for(sandbox, http):
    """A message that is never reported is on its way by its own record; one that is not there tells nothing."""
    outcome = await sandbox.send(http, to=magic_number("0180"))

    assert await sandbox.reports() == []
    asked = await vendor.report_of(sandbox.account, MESSAGE, outcome.vendor_id, http)
    assert (asked.state, asked.reason) in {(State.QUEUED, None), (State.SENT, None)}
    assert await vendor.report_of(sandbox.account, MESSAGE, "0" * 32, http) is None


async def test_a_number_that_cannot_be_is_refused(sandbox, http):
    """A recipient that Telesign refuses at once is refused for it, and nothing is sent."""
    outcome = await sandbox.send(http, to=magic_number("0150"))

    assert (outcome.reason, outcome.retry) == (Reason.INVALID_RECIPIENT, Retry.NEVER)
    assert await sandbox.ledger() == []


@pytest.mark.parametrize("digits", ["0170", "0171"])
async def test_a_throttled_text_may_be_sent_again(sandbox, http, digits):
    """Over the rate nothing was sent, and sending it again sends it once."""
    outcome = await sandbox.send(http, to=magic_number(digits))

    assert (outcome.reason, outcome.retry) == (Reason.THROTTLED, Retry.LATER)
    assert await sandbox.ledger() == []
    assert isinstance(await sandbox.send(http, to=magic_number(digits)), Accepted)
    assert len(await sandbox.ledger()) == 1


@pytest.mark.parametrize(("digits", "sent"), [("0173", 0), ("0174", 1), ("0175", 1), ("0176", 0)])
async def test_a_lost_answer_is_unknown_until_its_report(sandbox, http, digits, sent):
    """Whether sent or not, a lost answer is unknown; where it was sent, the report alone names our message."""
    assert isinstance(await sandbox.send(http, to=magic_number(digits)), Unknown)

    assert len(await sandbox.ledger()) == sent
    assert {report.message for report in await sandbox.reports()} == ({MESSAGE} if sent else set())


async def test_a_forged_report_does_not_pass(sandbox, http):
    """Of a forged and a true report only the true one proves itself."""
    await sandbox.send(http, to=magic_number("0185"))
    reports = await sandbox.reports()

    assert [report.state for report in reports] == [State.SENT, State.DELIVERED]
    assert len(sandbox.callbacks.requests) > len(reports)


async def test_a_reply_arrives_with_its_consent(sandbox):
    """A person's STOP arrives signed, with both numbers in our spelling and Telesign's own reading of it."""
    body = {"from": "+14255550123", "to": sandbox.sender.address, "text": "Stop"}
    await sandbox.control("POST", "/telesign/inbound", body)

    [text] = [text for said in await sandbox.told() for text in said.inbound]
    assert (text.sender, text.recipient, text.text, text.consent) == (*body.values(), "stop")


async def test_a_check_tells_good_credentials_from_bad(sandbox, http):
    """The check passes with the account's key and no other, and sends nothing."""
    good = await vendor.check(sandbox.account, http)
    bad = await vendor.check(sandbox.with_settings(apiKey=OTHER_KEY), http)
    nobody = await vendor.check(sandbox.with_settings(customerId=CUSTOMER), http)

    assert (good.ok, bad.ok, nobody.ok) == (True, False, False)
    assert await sandbox.ledger() == []


async def test_a_wrong_key_is_a_matter_of_credentials(sandbox, http):
    """A send with another key is refused for its credentials, so that the other key of a rotation is tried."""
    sandbox.account = sandbox.with_settings(apiKey=OTHER_KEY)

    outcome = await sandbox.send(http)

    assert (outcome.reason, outcome.retry) == (Reason.CREDENTIALS, Retry.NEVER)
    assert await sandbox.ledger() == []
