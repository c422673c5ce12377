"""LINK Mobility alone: its codes, parts, gates and tokens, and the adapter against the simulated platform."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import orjson
import pytest
from aiohttp import web
from aiohttp.http import SERVER_SOFTWARE
from hypothesis import given
from hypothesis import strategies as st

from functions.vendors import linkmobility as adapter
from functions.vendors.contract import (
    Accepted,
    Account,
    Answer,
    Callback,
    CallbackUrls,
    DeliveryReport,
    InboundText,
    MalformedError,
    NotAuthenticError,
    Outgoing,
    Part,
    Reason,
    Refused,
    Retry,
    SendCall,
    Sender,
    SenderType,
    State,
    SubscribeError,
    Unknown,
    Wiring,
    variants,
)
from functions.vendors.exchange import HttpAnswer
from functions.vendors.linkmobility import vendor
from functions.vendors.linkmobility.calls import Tokens
from sandbox.kit import Addresses, Customer, kits
from sandbox.testing import running_sandbox
from tests.vendors.conftest import IMPATIENT
from tests.vendors.kit import BATCH, PROVIDER, Like, Reply, Request
from tests.vendors.servers import ROGUE_FAULTS, Recorder, nobody_listening, recorder, rogue

PEOPLE = ("+4790000001", "+4790000002", "+4790000003")
SHORT_CODE = Sender(SenderType.SHORT_CODE, "2333")
BASIC = {
    "username": "contoso",
    "password": "canary-password",
    "platformId": "SMSC",
    "platformPartnerId": "12345",
    "reportGate": "BVldZyQt",
}
OAUTH = {
    "clientId": "contoso-client",
    "clientSecret": "canary-client-secret",
    "platformId": "SMSC",
    "platformPartnerId": "12345",
    "reportGate": "BVldZyQt",
}
PROOFS = {
    "callbackToken": "canary-token",
    "callbackUser": "link",
    "callbackPassword": "canary-callback-password",
    "callbackSecret": "canary-header",
}
URLS = CallbackUrls(
    "https://sms.example.com/api/callbacks/linkmobility/p/report/canary-token",
    "https://sms.example.com/api/callbacks/linkmobility/p/inbound/canary-token",
    "report-function",
    "inbound-function",
)


def account(base_url="https://n-eu.example.com", settings=BASIC, **changes):
    """Return an account at this address."""
    return Account(PROVIDER, {"baseUrl": base_url, **settings, **changes})


def call(people=PEOPLE, text="Hello", sender=SHORT_CODE, validity=None):
    """Return a call that sends one text to some people."""
    return SendCall(
        batch=BATCH,
        sender=sender,
        messages=tuple(Outgoing(f"{BATCH}-{place}", to, text) for place, to in enumerate(people)),
        first_attempt=datetime.now(UTC),
        validity=validity,
        report_url="https://sms.example.com/not-used",
    )


def entry(place, code=1005, words="Queued", **changes):
    """Return a message's entry in the answer to a batch."""
    return {"messageId": f"Qc{place}+/", "refId": f"{BATCH}-{place}", "resultCode": code, "message": words} | changes


async def outcomes_of(http, reply, wanted=None, **settings):
    """Send to a LINK that answers this; return the outcomes in the order of the messages."""
    wanted = wanted or call()
    async with recorder(reply) as server:
        outcomes = await vendor.send(account(server.url, **settings), wanted, http)
        assert len(server.requests) == 1
    assert set(outcomes) == {message.id for message in wanted.messages}
    return [outcomes[message.id] for message in wanted.messages]


def answered(body, status=200):
    """Return an answer in JSON."""
    return Reply(status, orjson.dumps(body))


class Script(Recorder):
    """Answers each path with the next of its replies; the last one stays."""

    def __init__(self, replies):
        super().__init__(Reply(404, b""))
        self.replies = {path: list(these) for path, these in replies.items()}
        self.pauses: dict[str, float] = {}

    async def handle(self, request):
        name = f"{request.method} {request.raw_path}"
        these = self.replies.get(name, [Reply(404, b"")])
        await asyncio.sleep(self.pauses.get(name, 0.0))
        self.reply = these.pop(0) if len(these) > 1 else these[0]
        return await super().handle(request)

    @property
    def asked(self):
        """What was asked for, in order."""
        return [f"{request.method} {request.path}" for request in self.requests]


@asynccontextmanager
async def script(**replies):
    """Run a scripted LINK: ``token``, ``send`` and whole request lines in ``other``."""
    paths = {"token": "POST /auth/token", "send": "POST /sms/sendbatch"}
    played = Script({paths[name]: these for name, these in replies.items() if name in paths} | replies.get("other", {}))
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", played.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        played.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield played
    finally:
        await runner.cleanup()


# Settings and texts


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"password": "a", "username": "b"}, []),
        ({"clientSecret": "a", "clientId": "b"}, []),
        ({}, []),
        ({"username": "b", "clientSecret": "a", "clientId": "c"}, []),
        ({"password": "a"}, ["username"]),
        ({"passwordSecondary": "a"}, ["username"]),
        ({"clientSecret": "a"}, ["clientId"]),
        ({"clientSecretSecondary": "a", "username": "b"}, ["clientId"]),
        ({"callbackPassword": "a"}, ["callbackUser"]),
        ({"password": "a", "username": "b", "clientSecret": "c", "clientId": "d"}, ["clientSecret"]),
        ({"password": "a", "username": "b", "clientSecretSecondary": "c", "clientId": "d"}, ["clientSecret"]),
    ],
)
def test_a_secret_needs_its_name_and_there_is_one_way_to_sign_in(settings, wrong):
    """A password wants a user name, a client secret a client id, and both together are refused."""
    assert wrong == [error.setting for error in vendor.check_settings(settings)]


@pytest.mark.parametrize("text", ["Hello", "Grüße ✓", "\uffff", "\ue000", "", "漢字"])
def test_what_two_bytes_hold_is_carried(text):
    """Characters up to U+FFFF raise no objection."""
    assert vendor.text_objection(text, {}) == ""


@given(before=st.text(max_size=5), high=st.characters(min_codepoint=0x10000), after=st.text(max_size=5))
def test_what_needs_four_bytes_is_objected_to(before, high, after):
    """A text with a character above U+FFFF, an emoji for one, is objected to by name of a character that is in it."""
    objection = vendor.text_objection(before + high + after, {})

    named = [character for character in before + high + after if f"(U+{ord(character):X})" in objection]
    assert named
    assert all(ord(character) > 0xFFFF for character in named)


# Callbacks: who speaks


def posted(body, kind="report", **changes):
    """Return a callback with JSON, with every proof unless changed."""
    basic = base64.b64encode(f"link:{PROOFS['callbackPassword']}".encode()).decode()
    headers = {
        "content-type": "application/json",
        "authorization": f"Basic {basic}",
        "x-gateway-secret": PROOFS["callbackSecret"],
    }
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    plain = {"kind": kind, "url": URLS.report, "query": {}, "headers": headers, "body": raw, "token": "canary-token"}
    return Callback(**{**plain, **changes})


def is_authentic(callback, settings):
    """Tell whether the adapter takes a callback for LINK's."""
    try:
        vendor.verify(callback, account(**settings))
    except NotAuthenticError:
        return False
    return True


@pytest.mark.parametrize("left_out", ["callbackPassword", "callbackSecret"])
def test_every_proof_that_is_set_is_demanded(left_out):
    """The token alone is enough until a password or a header is set, and from then on each of them is needed."""
    callback = posted({})
    without = {"callbackPassword": "authorization", "callbackSecret": "x-gateway-secret"}[left_out]
    poorer = replace(callback, headers={name: value for name, value in callback.headers.items() if name != without})
    wrong = replace(callback, headers=callback.headers | {without: "Basic bGluazp3cm9uZw=="})

    assert is_authentic(callback, PROOFS)
    assert not is_authentic(poorer, PROOFS)
    assert not is_authentic(wrong, PROOFS)
    assert is_authentic(poorer, {name: value for name, value in PROOFS.items() if name != left_out})
    assert is_authentic(replace(callback, headers={}), {"callbackToken": "canary-token"})
    assert not is_authentic(replace(callback, token="other"), PROOFS)


def test_any_mixture_of_old_and_new_proofs_passes_while_they_are_rotated():
    """Token, password and header each have an old and a new value, and every mixture belongs to a valid account."""
    new = {"callbackToken": "t2", "callbackPassword": "canary-new-password", "callbackSecret": "canary-new-header"}
    settings = {"baseUrl": "https://x", **BASIC, **PROOFS, **{f"{name}Secondary": value for name, value in new.items()}}
    accounts = variants(vendor.description, PROVIDER, settings, callbacks=True)

    basic = base64.b64encode(b"link:canary-new-password").decode()
    for token in ("canary-token", "t2"):
        for header in ("canary-header", "canary-new-header"):
            callback = posted({}, token=token)
            headers = callback.headers | {"authorization": f"Basic {basic}", "x-gateway-secret": header}
            mixed = replace(callback, headers=headers)
            assert sum(is_authentic(mixed, dict(one.settings)) for one in accounts) == 1


@pytest.mark.parametrize("kind", ["report", "inbound"])
def test_a_callback_is_answered_with_a_body(kind):
    """The answer is 200 with a body: a gate that acknowledges repeats what was answered without one."""
    assert vendor.answer(posted({}, kind)) == Answer(200, "text/plain", "OK")


# Reports

# "Delivery Reports" of "MT and Delivery Reports"
DELIVERED = {
    "refId": f"{BATCH}-1",
    "id": "Dcshuhod0PMAAAFQ+/PbnR3x",
    "operator": "no.telenor",
    "sentTimestamp": "2027-01-05T09:37:35Z",
    "timestamp": "2027-01-05T09:37:40Z",
    "resultCode": 1001,
    "operatorResultCode": "2",
    "segments": 1,
    "gateCustomParameters": {},
    "customParameters": {"received": "2027-01-05 10:37:36"},
}
NUMBER_ERROR = {
    "refId": f"{BATCH}-2",
    "id": "QC5BHHuqylsAAAFiQ08nX2ph",
    "operator": None,
    "sentTimestamp": "2027-01-05T10:17:37Z",
    "timestamp": "2027-01-05T10:17:37Z",
    "resultCode": 2106,
    "operatorResultCode": None,
    "segments": 1,
    "gateCustomParameters": {},
    "customParameters": {},
}


def reports_of(*bodies, kind="report"):
    """Return the only report of each body."""
    read = []
    for body in bodies:
        parsed = vendor.parse(posted(body, kind))
        assert (parsed.inbound, parsed.set_aside) == ((), ())
        [report] = parsed.reports
        read.append(report)
    return read


def test_the_documented_reports_are_read_whole():
    """The two reports of the reference give state, reason, ids, code and the operator's time, and are kept."""
    assert reports_of(DELIVERED, NUMBER_ERROR) == [
        DeliveryReport(
            State.DELIVERED,
            "Dcshuhod0PMAAAFQ+/PbnR3x",
            message=f"{BATCH}-1",
            code="1001",
            at=datetime(2027, 1, 5, 9, 37, 40, tzinfo=UTC),
            raw=DELIVERED,
        ),
        DeliveryReport(
            State.REJECTED,
            "QC5BHHuqylsAAAFiQ08nX2ph",
            message=f"{BATCH}-2",
            reason=Reason.INVALID_RECIPIENT,
            code="2106",
            at=datetime(2027, 1, 5, 10, 17, 37, tzinfo=UTC),
            raw=NUMBER_ERROR,
        ),
    ]


# "Result Codes" of "MT and Delivery Reports", all of them; what each means to us
QUEUED, SENT, DONE = (State.QUEUED, None), (State.SENT, None), (State.DELIVERED, None)
BAD_SENDER = (State.REJECTED, Reason.INVALID_SENDER)
BAD_NUMBER = (State.REJECTED, Reason.INVALID_RECIPIENT)
BAD_TEXT = (State.REJECTED, Reason.INVALID_CONTENT)
BAD_SET_UP = (State.REJECTED, Reason.CONFIGURATION)
CHARGING = (State.REJECTED, Reason.OTHER)
CODES = {
    0: (State.FAILED, Reason.OTHER),
    1: (State.FAILED, Reason.TEMPORARY),
    2: (State.FAILED, Reason.UNROUTABLE),
    3: (State.FAILED, Reason.THROTTLED),
    4: (State.UNKNOWN, Reason.TEMPORARY),
    5: (State.UNKNOWN, Reason.OTHER),
    6: (State.FAILED, Reason.OTHER),
    104: (State.FAILED, Reason.CONFIGURATION),
    105: (State.FAILED, Reason.TEMPORARY),
    1000: SENT,
    1001: DONE,
    1002: (State.EXPIRED, Reason.EXPIRED),
    1003: (State.UNDELIVERED, Reason.OTHER),
    1004: (State.UNDELIVERED, Reason.UNREACHABLE),
    1005: QUEUED,
    1006: (State.UNDELIVERED, Reason.OTHER),
    1007: DONE,
    1008: QUEUED,
    1009: (State.UNDELIVERED, Reason.OTHER),
    1010: (State.UNKNOWN, Reason.NO_REPORT),
    1011: SENT,
    1012: QUEUED,
    1013: SENT,
    2000: BAD_SENDER,
    2001: BAD_SENDER,
    2002: BAD_SENDER,
    2003: BAD_SENDER,
    2100: BAD_NUMBER,
    2101: BAD_NUMBER,
    2102: BAD_NUMBER,
    2103: (State.REJECTED, Reason.CARRIER_BLOCKED),
    2104: (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    2105: (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    2106: BAD_NUMBER,
    2107: (State.UNDELIVERED, Reason.UNREACHABLE),
    2200: CHARGING,
    2201: CHARGING,
    2202: CHARGING,
    2203: CHARGING,
    2204: CHARGING,
    2205: (State.REJECTED, Reason.OPTED_OUT),
    2206: CHARGING,
    2207: CHARGING,
    3000: BAD_TEXT,
    3001: BAD_TEXT,
    3002: BAD_TEXT,
    4000: BAD_SET_UP,
    4001: BAD_TEXT,
    4002: BAD_SET_UP,
    4003: BAD_TEXT,
    4004: BAD_TEXT,
    4005: BAD_TEXT,
    4006: BAD_SET_UP,
    4007: BAD_TEXT,
}
NOT_LISTED = (7, 1014, 2108, 5000, 99999)
RETRIED = {
    1: Retry.LATER,
    3: Retry.LATER,
    105: Retry.LATER,
    2000: Retry.OTHER_SENDER,
    2001: Retry.OTHER_SENDER,
    2002: Retry.OTHER_SENDER,
    2003: Retry.OTHER_SENDER,
}


def test_every_code_of_a_report_has_its_state_and_reason():
    """Each result code, as a number or a text, has its state and reason, and one that is not listed is unknown."""
    for code in (*CODES, *NOT_LISTED):
        state, reason = CODES.get(code, (State.UNKNOWN, Reason.OTHER))
        for report in reports_of(DELIVERED | {"resultCode": code}, DELIVERED | {"resultCode": str(code)}):
            assert (report.state, report.reason, report.code) == (state, reason, str(code))
    assert {str(code) for code in CODES} == set(adapter.REPORT_CODES)


@pytest.mark.parametrize("code", [None, "", [], {}, True], ids=repr)
def test_a_report_without_a_code_is_unknown(code):
    """A report that says nothing of its result is unknown and still finds its message."""
    [report] = reports_of(DELIVERED | {"resultCode": code})

    assert (report.state, report.reason, report.code) == (State.UNKNOWN, Reason.OTHER, "")
    assert report.message == f"{BATCH}-1"


@pytest.mark.parametrize("maps", [{}, [], None, {"a": "b"}, [{"key": "a", "value": "b"}]], ids=repr)
def test_the_maps_come_in_every_shape(maps):
    """Parameter maps are objects in the samples and lists in the table; both are passed over, as is null."""
    [report] = reports_of(DELIVERED | {"gateCustomParameters": maps, "customParameters": maps})

    assert report.state is State.DELIVERED


@pytest.mark.parametrize(
    ("identity", "segments", "vendor_id", "part"),
    [
        ("Dcs+/x", 1, "Dcs+/x", None),
        ("Dcs+/x", 3, "Dcs+/x", None),
        ("Dcs+/x$0", 2, "Dcs+/x", Part(1, 2)),
        ("Dcs+/x$1", 2, "Dcs+/x", Part(2, 2)),
        ("Dcs+/x$253", 254, "Dcs+/x", Part(254, 254)),
        ("Dcs+/x$1", "3", "Dcs+/x", Part(2, 3)),
        ("Dcs+/x$2", 1, "Dcs+/x", Part(3, 3)),
        ("Dcs+/x$0", None, "Dcs+/x", Part(1, 1)),
        ("Dcs+/x$1", "many", "Dcs+/x", Part(2, 2)),
        ("Dcs+/x$1", "9" * 5000, "Dcs+/x", Part(2, 2)),
        ("a$0$1", 2, "a$0", Part(2, 2)),
        ("Dcs$x", 2, "Dcs$x", None),
        ("Dcs$", 2, "Dcs$", None),
        ("Dcs$-1", 2, "Dcs$-1", None),
        ("Dcs$" + "1" * 5000, 2, "Dcs$" + "1" * 5000, None),
    ],
)
def test_a_part_is_told_from_the_message(identity, segments, vendor_id, part):
    """``$`` and a number at the end of the id name a part, counted from 0; there are at least as many as that."""
    [report] = reports_of(DELIVERED | {"id": identity, "segments": segments})

    assert (report.vendor_id, report.part) == (vendor_id, part)


@pytest.mark.parametrize("left_out", ["id", "refId"])
def test_one_id_is_enough(left_out):
    """A report is read with either of its two ids."""
    [report] = reports_of({name: value for name, value in DELIVERED.items() if name != left_out})

    assert (report.vendor_id == "", report.message == "") == (left_out == "id", left_out == "refId")


def test_what_names_no_message_is_set_aside_and_the_rest_goes_on():
    """In a list, which the reference does not show, each item is read on its own, and oddities are kept whole."""
    odd = {"resultCode": 1001}

    parsed = vendor.parse(posted([DELIVERED, odd, 7, NUMBER_ERROR, None]))

    assert [report.message for report in parsed.reports] == [f"{BATCH}-1", f"{BATCH}-2"]
    assert [orjson.loads(aside.raw) for aside in parsed.set_aside] == [odd, 7, None]


def test_an_oddity_nested_too_deep_is_set_aside():
    """What is nested deeper than can be written again is kept without its depths."""
    body = b'{"y": 1, "x":' + b"[" * 500 + b"]" * 500 + b"}"

    [aside] = vendor.parse(posted(body)).set_aside

    assert aside.why == "It names neither refId nor id."
    assert orjson.loads(aside.raw)["y"] == 1


@pytest.mark.parametrize(
    "body", [b"", b"<MO/>", b"id=1&resultCode=1001", b"\xff", b"7", b'"x"', b"null", b'{"id":'], ids=repr
)
def test_what_is_not_json_is_malformed(body):
    """XML, forms and broken bodies are refused: the gate was asked for JSON."""
    with pytest.raises(MalformedError):
        vendor.parse(posted(body))


# Replies

# "MO messages"
KEYWORD = {
    "destination": "NO-2333",
    "subNumber": None,
    "source": "+4790000001",
    "content": {"type": "SMS", "userData": "Bclt hello", "encoding": "TEXT"},
    "operator": "no.telenor",
    "timestamp": "2027-01-05T14:28:40Z",
    "messageId": "mo-1",
    "operatorTimestamp": "2027-01-05T14:28:40Z",
    "operatorMessageId": "op-1",
    "route": {
        "type": "KEYWORD_ROUTE",
        "id": "r1",
        "refId": "kw-ref",
        "gateIds": ["BVldZyQt"],
        "platformId": "SMSC",
        "platformPartnerId": "12345",
        "customParameters": {},
        "number": "NO-2333",
        "keyword": "BCLT",
        "keywordType": "FIRST_WORD",
        "active": True,
        "shared": False,
    },
    "gateCustomParameters": {},
    "customParameters": {"moReferenceId": "mo-1", "queued": "2027-01-05 15:28:40"},
}
SUBNUMBER = KEYWORD | {
    "subNumber": 9999999989,
    "route": {"type": "SUBNUMBER_ROUTE", "startRange": 9999999900, "stopRange": 9999999999},
}


def inbound_of(body, kind="inbound"):
    """Return the only reply of a body."""
    parsed = vendor.parse(posted(body, kind))
    assert (parsed.reports, parsed.set_aside) == ((), ())
    [text] = parsed.inbound
    return text


def test_the_documented_reply_is_read_whole():
    """The reply of the reference gives both numbers, the words with their keyword and the time, and is kept."""
    assert inbound_of(KEYWORD) == InboundText(
        "mo-1", "+4790000001", "2333", "Bclt hello", datetime(2027, 1, 5, 14, 28, 40, tzinfo=UTC), raw=KEYWORD
    )


def test_a_sub_number_is_kept_and_does_not_disturb():
    """A reply to a sub-number goes to its short code, and the sub-number stays in what is kept."""
    text = inbound_of(SUBNUMBER)

    assert (text.recipient, text.raw["subNumber"]) == ("2333", 9999999989)


@pytest.mark.parametrize(
    ("destination", "recipient"),
    [("NO-2333", "2333"), ("SE-1234", "1234"), ("2333", "2333"), ("+46700000001", "+46700000001"), ("A-B", "A-B")],
)
def test_a_short_code_loses_its_country(destination, recipient):
    """Short codes come with their country's letters and are senders without; long numbers stay."""
    assert inbound_of(KEYWORD | {"destination": destination}).recipient == recipient


@pytest.mark.parametrize(
    ("keyword", "shared", "consent"),
    [("STOP", True, "stop"), ("Stop", True, "stop"), ("STOP", False, ""), ("STOPP", True, ""), (None, True, "")],
)
def test_a_shared_stop_is_an_opt_out(keyword, shared, consent):
    """What LINK's shared STOP service took for a STOP is one, whatever else the text says; the rest is for the core."""
    route = KEYWORD["route"] | {"keyword": keyword, "shared": shared}

    assert inbound_of(KEYWORD | {"route": route}).consent == consent


@pytest.mark.parametrize("kind", ["report", "inbound"])
def test_one_gate_may_carry_both(kind):
    """At either address a report is read as a report and a reply as a reply."""
    parsed = vendor.parse(posted([DELIVERED, KEYWORD], kind))

    assert (len(parsed.reports), len(parsed.inbound), parsed.set_aside) == (1, 1, ())


def test_a_result_code_makes_a_report():
    """What names a route and has a result code is a report: the code is what only reports have."""
    [report] = reports_of(DELIVERED | {"route": {"id": "r1"}})

    assert report.state is State.DELIVERED


@pytest.mark.parametrize("left_out", ["messageId", "source", "destination"])
def test_a_reply_without_ids_or_numbers_is_set_aside(left_out):
    """A reply that lacks its id or one of the numbers is kept for a person to look at."""
    odd = {name: value for name, value in KEYWORD.items() if name != left_out}

    [aside] = vendor.parse(posted(odd, "inbound")).set_aside

    assert orjson.loads(aside.raw) == odd


@pytest.mark.parametrize("content", [None, [], "x", {}, {"userData": None}], ids=repr)
def test_a_reply_without_a_text_is_an_empty_one(content):
    """A reply whose content says nothing is a reply all the same."""
    assert inbound_of(KEYWORD | {"content": content, "route": None}).text == ""


# Whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
NAMES = st.sampled_from([*DELIVERED, *KEYWORD, "userData", "keyword", "shared"]) | st.text(max_size=5)
ITEMS = st.dictionaries(NAMES, JSON | st.dictionaries(NAMES, JSON, max_size=3), max_size=10)
BODIES = st.binary(max_size=80) | (ITEMS | st.lists(ITEMS | JSON, max_size=4)).map(orjson.dumps)
HEADERS = st.dictionaries(
    st.sampled_from(["authorization", "x-gateway-secret", "content-type"]),
    st.text(st.characters(codec=None), max_size=20)
    | st.builds("Basic {}".format, st.text(st.characters(codec=None), max_size=20)),
)


@given(kind=st.sampled_from(["report", "inbound"]), body=BODIES)
def test_any_body_is_read_or_malformed(kind, body):
    """Any body gives one thing for each of its items, or is malformed; nothing else is raised."""
    try:
        parsed = vendor.parse(posted(body, kind))
    except MalformedError:
        return
    items = orjson.loads(body)

    count = len(parsed.reports) + len(parsed.inbound) + len(parsed.set_aside)
    assert count == (len(items) if isinstance(items, list) else 1)


@given(headers=HEADERS, token=st.text(st.characters(codec=None), max_size=20))
def test_any_stranger_is_refused(headers, token):
    """Whatever headers and token a stranger makes up, the callback is not authentic and nothing else is raised."""
    assert not is_authentic(posted(b"{}", headers=headers, token=token), PROOFS)


# Requests


async def request_of(http, wanted, **settings):
    """Return the request that a call makes, with its body read."""
    async with recorder(answered({"status": 106000}, 400)) as server:
        await vendor.send(account(server.url, **settings), wanted, http)
        [request] = server.requests
    return request, orjson.loads(request.body)


async def test_a_batch_is_posted_as_documented(http):
    """The whole request is what the reference shows: shared fields on top, a message's own in the list."""
    request, body = await request_of(http, call(PEOPLE[:2], "Grüße", validity=900))

    basic = base64.b64encode(b"contoso:canary-password").decode()
    assert request == Request(
        "POST",
        "/sms/sendbatch",
        {
            "accept": "application/json",
            "accept-encoding": Like(".*"),
            "authorization": f"Basic {basic}",
            "content-length": str(len(request.body)),
            "content-type": "application/json",
            "user-agent": SERVER_SOFTWARE,
        },
        request.body,
    )
    message = {"source": "2333", "sourceTON": "SHORTNUMBER", "userData": "Grüße"}
    assert body == {
        "platformId": "SMSC",
        "platformPartnerId": "12345",
        "useDeliveryReport": True,
        "deliveryReportGates": ["BVldZyQt"],
        "ignoreResponse": False,
        "relativeValidityTime": 900_000,
        "sendRequestMessages": [
            message | {"destination": "+4790000001", "refId": f"{BATCH}-0"},
            message | {"destination": "+4790000002", "refId": f"{BATCH}-1"},
        ],
    }


async def test_without_a_gate_no_reports_are_asked_for(http):
    """Reports are LINK's default and an error without a gate, so they are switched off; no validity, no field."""
    _, body = await request_of(http, call(), reportGate="")

    assert body["useDeliveryReport"] is False
    assert not {"deliveryReportGates", "relativeValidityTime", "absoluteValidityTime"} & set(body)


@pytest.mark.parametrize(
    ("kind", "address", "source", "ton"),
    [
        (SenderType.SHORT_CODE, "2333", "2333", "SHORTNUMBER"),
        (SenderType.SHORT_CODE, "NO-2333", "2333", "SHORTNUMBER"),
        (SenderType.LONG_CODE, "+4759440000", "+4759440000", "MSISDN"),
        (SenderType.ALPHANUMERIC, "ACME", "ACME", "ALPHANUMERIC"),
    ],
)
async def test_the_kind_of_sender_is_always_named(http, kind, address, source, ton):
    """A number without its type would go out as a name, so each type of sender names its own."""
    _, body = await request_of(http, call(PEOPLE[:1], sender=Sender(kind, address)))

    assert [(one["source"], one["sourceTON"]) for one in body["sendRequestMessages"]] == [(source, ton)]
    assert {rule.type for rule in vendor.description.senders} == set(adapter.SOURCE_TYPES)


@pytest.mark.parametrize(
    ("kind", "address", "fits"),
    [
        *((SenderType.ALPHANUMERIC, name, True) for name in ("Co", "Contoso1234", "c0")),
        *((SenderType.ALPHANUMERIC, name, False) for name in ("C", "Contoso12345", "1Contoso", "Con toso", "Zürich")),
        *((SenderType.SHORT_CODE, code, True) for code in ("2", "2333", "12345678901234")),
        *((SenderType.SHORT_CODE, code, False) for code in ("NO-2333", "123456789012345", "٢٣٣٣", "")),
    ],
)
def test_senders_are_as_the_page_has_them(kind, address, fits):
    """A short number has 1 to 14 digits; a name 2 to 11 letters and digits, the first a letter; the notes say so."""
    rule = vendor.description.sender_rule(kind)

    assert bool(re.fullmatch(rule.pattern, address)) is fits
    assert {SenderType.ALPHANUMERIC: "2 to 11", SenderType.SHORT_CODE: "1 to 14"}[kind] in rule.note


# Outcomes


async def test_an_answer_in_any_order_is_matched_by_reference(http):
    """Entries find their messages by refId, whatever their order, and strangers are passed over."""
    stranger = entry(9)

    outcomes = await outcomes_of(http, answered([entry(2), stranger, entry(0), entry(1)]))

    assert outcomes == [Accepted("Qc0+/"), Accepted("Qc1+/"), Accepted("Qc2+/")]


async def test_every_code_of_an_answer_has_its_outcome(http):
    """A code for a message on its way is accepted, one that says nothing unknown, and any other a certain refusal."""
    async with recorder(Reply(200, b"")) as server:
        for code in (*CODES, *NOT_LISTED):
            state, reason = CODES.get(code, (State.UNKNOWN, Reason.OTHER))
            server.reply = answered([entry(0, code, "In words.")])
            outcomes = await vendor.send(account(server.url), call(PEOPLE[:1]), http)
            if reason is None:
                expected = Accepted("Qc0+/")
            elif state is State.UNKNOWN:
                expected = Unknown(f"LINK Mobility answered {code}: In words.", str(code))
            else:
                expected = Refused(reason, RETRIED.get(code, Retry.NEVER), None, str(code), "In words.")
            assert outcomes == {f"{BATCH}-0": expected}


async def test_the_text_has_two_names(http):
    """An entry's words are called message or description, and are cut to 300 characters."""
    named = entry(0, 2106, None, description="Number error")
    long = entry(1, 2106, "x" * 500)

    first, second = await outcomes_of(http, answered([named, long]), call(PEOPLE[:2]))

    assert (first.detail, second.detail) == ("Number error", "x" * 300)


async def test_an_answer_about_one_message_needs_no_reference(http):
    """The reference shows the answer to a single message as an object without refId; for one message it will do."""
    single = {"messageId": "Dcshuhod0PMAAAFQ+/PbnR3x", "resultCode": 1005, "description": "Queued", "smsCount": 1}

    assert await outcomes_of(http, answered(single), call(PEOPLE[:1])) == [Accepted("Dcshuhod0PMAAAFQ+/PbnR3x")]
    assert all(isinstance(outcome, Unknown) for outcome in await outcomes_of(http, answered(single)))


async def test_taken_without_a_body_is_taken(http):
    """A 204 took the messages and names no id; reports find them by refId."""
    assert await outcomes_of(http, Reply(204, b"")) == [Accepted("")] * 3


@pytest.mark.parametrize(
    "entries",
    [
        [entry(0), entry(0, 2106)],
        [entry(0, 2106), entry(0)],
        [entry(0, messageId=None)],
        [{"refId": f"{BATCH}-0", "messageId": "Qc0"}],
        [entry(0, refId=None), entry(1)],
    ],
    ids=["twice", "twice, refused first", "no id", "no code", "no reference"],
)
async def test_an_entry_that_leaves_doubt_is_unknown(http, entries):
    """An entry that contradicts another, or lacks its id, code or reference, settles nothing."""
    first, *_ = await outcomes_of(http, answered(entries), call(PEOPLE[:2]))

    assert isinstance(first, Unknown)


async def test_a_bad_message_may_be_answered_with_entries(http):
    """A 400 with an entry a message is read entry by entry, and who is missing stays unknown."""
    first, second, third = await outcomes_of(http, answered([entry(1, 2106, "Number error"), entry(0)], 400))

    assert first == Accepted("Qc0+/")
    assert second == Refused(Reason.INVALID_RECIPIENT, code="2106", detail="Number error")
    assert isinstance(third, Unknown)


# "Error Result Codes" of "MT and Delivery Reports"
ERRORS = {
    106000: Reason.OTHER,
    106100: Reason.CREDENTIALS,
    106101: Reason.ACCOUNT,
    106102: Reason.ACCOUNT,
    106200: Reason.CONFIGURATION,
    106201: Reason.CONFIGURATION,
    106202: Reason.CONFIGURATION,
    106300: Reason.CONFIGURATION,
    106301: Reason.CONFIGURATION,
}


async def test_every_error_code_has_its_reason(http):
    """An error has its code in status, not in resultCode; each has its reason, and none is tried again."""
    async with recorder(Reply(400, b"")) as server:
        for code, reason in ERRORS.items():
            error = {"status": code, "description": "In words.", "translatedDescription": None}
            server.reply = answered(error, 400)
            outcomes = await vendor.send(account(server.url), call(PEOPLE[:1]), http)
            assert outcomes == {f"{BATCH}-0": Refused(reason, Retry.NEVER, None, str(code), "In words.")}
    assert {str(code) for code in ERRORS} == set(adapter.REFUSAL_CODES)


@pytest.mark.parametrize(
    ("status", "code", "reason", "retry"),
    [
        (401, 106000, Reason.CREDENTIALS, Retry.NEVER),
        (403, 106102, Reason.ACCOUNT, Retry.NEVER),
        (404, 404, Reason.CONFIGURATION, Retry.NEVER),
        (420, None, Reason.THROTTLED, Retry.LATER),
        (429, 106000, Reason.THROTTLED, Retry.LATER),
        (400, 2100, Reason.INVALID_RECIPIENT, Retry.NEVER),
        (400, 2002, Reason.INVALID_SENDER, Retry.OTHER_SENDER),
        (400, 3, Reason.THROTTLED, Retry.LATER),
        (400, 777777, Reason.OTHER, Retry.NEVER),
    ],
)
async def test_a_refusal_is_told_by_its_code_and_then_by_its_status(http, status, code, reason, retry):
    """A code that says something counts, a result code too; else the HTTP status does."""
    for outcome in await outcomes_of(http, answered({"status": code, "description": "No."}, status)):
        assert outcome == Refused(reason, retry, None, str(code or status), "No.")


async def test_an_error_with_a_result_code_refuses_the_whole_batch(http):
    """A 400 whose only object has a result code and no reference says so of all messages."""
    error = {"resultCode": 2000, "description": "Invalid source"}

    for outcome in await outcomes_of(http, answered(error, 400)):
        assert outcome == Refused(Reason.INVALID_SENDER, Retry.OTHER_SENDER, code="2000", detail="Invalid source")


# OAuth 2.0

GRANTED = answered({"access_token": "canary-access", "token_type": "Bearer", "expires_in": 3600})
AGAIN = answered({"access_token": "canary-access-2", "token_type": "Bearer", "expires_in": 3600})
TAKEN = answered([entry(0)])
DENIED = answered({"status": 106100, "description": "Invalid authentication"}, 401)
ONE = call(PEOPLE[:1])


async def send_by_token(server, http, **changes):
    """Send one message with a client id and secret."""
    return (await vendor.send(account(server.url, OAUTH, **changes), ONE, http))[f"{BATCH}-0"]


async def test_a_token_is_fetched_once_and_used_again(http):
    """Two sends fetch one token with the client's id and secret as a form, and carry it as a bearer."""
    async with script(token=[GRANTED], send=[TAKEN]) as server:
        assert await send_by_token(server, http) == Accepted("Qc0+/")
        assert await send_by_token(server, http) == Accepted("Qc0+/")

    assert server.asked == ["POST /auth/token", "POST /sms/sendbatch", "POST /sms/sendbatch"]
    asked, *sends = server.requests
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in asked.headers
    assert dict(parse_qsl(asked.body.decode(), strict_parsing=True)) == {
        "grant_type": "client_credentials",
        "client_id": "contoso-client",
        "client_secret": "canary-client-secret",
    }
    assert {request.headers["authorization"] for request in sends} == {"Bearer canary-access"}


async def test_sends_at_the_same_time_share_one_fetch(http):
    """Five sends that start together fetch one token."""
    async with script(token=[GRANTED, Reply(500, b"")], send=[TAKEN]) as server:
        outcomes = await asyncio.gather(*(send_by_token(server, http) for _ in range(5)))

    assert outcomes == [Accepted("Qc0+/")] * 5
    assert server.asked.count("POST /auth/token") == 1


async def test_a_token_that_is_refused_is_fetched_again_once(http):
    """A 401 sent nothing: a fresh token and one more try follow, and no third."""
    async with script(token=[GRANTED, AGAIN], send=[DENIED, TAKEN]) as server:
        assert await send_by_token(server, http) == Accepted("Qc0+/")
    assert [request.headers.get("authorization") for request in server.requests] == [
        None,
        "Bearer canary-access",
        None,
        "Bearer canary-access-2",
    ]

    async with script(token=[GRANTED], send=[DENIED]) as server:
        outcome = await send_by_token(server, http)
    assert outcome == Refused(Reason.CREDENTIALS, code="106100", detail="Invalid authentication")
    assert server.asked == ["POST /auth/token", "POST /sms/sendbatch"] * 2


@pytest.mark.parametrize(
    ("reply", "reason", "retry"),
    [
        (answered({"error": "invalid_client", "error_description": "No."}, 401), Reason.CREDENTIALS, Retry.NEVER),
        (answered({"error": "invalid_client"}, 400), Reason.CREDENTIALS, Retry.NEVER),
        (answered({"status": 106101}, 403), Reason.ACCOUNT, Retry.NEVER),
        (Reply(404, b""), Reason.CONFIGURATION, Retry.NEVER),
        (Reply(429, b""), Reason.THROTTLED, Retry.LATER),
        (Reply(500, b""), Reason.TEMPORARY, Retry.LATER),
        (Reply(302, b"", {"Location": "/elsewhere"}), Reason.TEMPORARY, Retry.LATER),
        (Reply(200, b"<html>"), Reason.TEMPORARY, Retry.LATER),
        (answered({"access_token": ""}), Reason.TEMPORARY, Retry.LATER),
        (answered({"access_token": ["x"]}), Reason.TEMPORARY, Retry.LATER),
        (answered({"access_token": "a\r\nX: b"}), Reason.TEMPORARY, Retry.LATER),
        (answered({"access_token": "tökén"}), Reason.TEMPORARY, Retry.LATER),
    ],
    ids=repr,
)
async def test_without_a_token_nothing_was_sent(http, reply, reason, retry):
    """Whatever keeps the token away, the message was certainly not sent, and it says why."""
    async with script(token=[reply], send=[TAKEN]) as server:
        outcome = await send_by_token(server, http)

    assert (outcome.reason, outcome.retry) == (reason, retry)
    assert outcome.detail.startswith("No access token")
    assert server.asked == ["POST /auth/token"]


@pytest.mark.parametrize("fault", ["refused", *ROGUE_FAULTS])
async def test_a_lost_token_is_a_refusal(impatient, fault):
    """A token whose fetch breaks off leaves nothing in doubt: it may be tried later."""
    if fault == "refused":
        with nobody_listening() as url:
            outcomes = await vendor.send(account(url, OAUTH), ONE, impatient)
    else:
        async with rogue(fault) as server:
            outcomes = await vendor.send(account(server.url, OAUTH), ONE, impatient)

    [outcome] = outcomes.values()
    assert (outcome.reason, outcome.retry) == (Reason.TEMPORARY, Retry.LATER)


async def test_a_slow_token_leaves_time_to_send(impatient):
    """A token may take half of the time; after that the call is given up while nothing was sent."""
    async with script(token=[GRANTED], send=[TAKEN]) as server:
        server.pauses["POST /auth/token"] = 0.8 * IMPATIENT
        outcome = await send_by_token(server, impatient)

    assert (outcome.reason, outcome.retry) == (Reason.TEMPORARY, Retry.LATER)
    assert "POST /sms/sendbatch" not in server.asked


async def test_a_client_with_another_secret_has_its_own_token(http):
    """While the client secret is rotated, each of the two fetches for itself."""
    async with script(token=[GRANTED, AGAIN], send=[TAKEN]) as server:
        for secret in ("canary-client-secret", "canary-other-secret"):
            await send_by_token(server, http, clientSecret=secret)

    assert server.asked.count("POST /auth/token") == 2


@pytest.mark.parametrize(
    ("lifetime", "after", "fetches"),
    [(3600, 3539, 1), (3600, 3541, 2), (30, 0, 2), (None, 10**9, 1), ("soon", 10**9, 1)],
)
async def test_a_token_is_renewed_before_it_ends(lifetime, after, fetches):
    """A token is fetched anew a minute before its end; one without a lifetime holds until it is refused."""
    now, fetched = 1000.0, []
    tokens = Tokens(lambda: now)

    async def fetch():
        fetched.append(now)
        return HttpAnswer(200, orjson.dumps({"access_token": "t", "expires_in": lifetime}), {})

    await tokens.current(fetch)
    now += after
    await tokens.current(fetch)

    assert len(fetched) == fetches


async def test_a_newer_token_survives_a_late_refusal():
    """A refusal of a token that was replaced meanwhile does not drop the new one."""
    answers = iter(["old", "new", "third"])
    tokens = Tokens()

    async def fetch():
        return HttpAnswer(200, orjson.dumps({"access_token": next(answers)}), {})

    old = await tokens.current(fetch)
    tokens.drop(old)
    new = await tokens.current(fetch)
    tokens.drop(old)

    assert (old, new, await tokens.current(fetch)) == ("old", "new", "new")


# Checking the credentials


async def check_of(http, reply, settings=BASIC):
    """Check against a LINK that answers this; return what came of it and the request's body."""
    async with recorder(reply) as server:
        check = await vendor.check(account(server.url, settings), http)
    return check, server.requests


async def test_a_check_sends_nothing(http):
    """The check posts a batch without messages that is otherwise like any other."""
    _, [request] = await check_of(http, answered([]))

    assert (request.method, request.path) == ("POST", "/sms/sendbatch")
    assert orjson.loads(request.body) == {
        "platformId": "SMSC",
        "platformPartnerId": "12345",
        "useDeliveryReport": True,
        "deliveryReportGates": ["BVldZyQt"],
        "ignoreResponse": False,
        "sendRequestMessages": [],
    }


@pytest.mark.parametrize(
    ("reply", "ok"),
    [
        (answered([]), True),
        (answered({"status": 106000, "description": "Empty"}, 400), True),
        (answered({"status": 4003, "description": "Empty"}, 400), True),
        (answered({"status": 106200, "description": "platformId"}, 400), False),
        (answered({"status": 106301, "description": "Gate unavailable"}, 400), False),
        (answered({"status": 106100, "description": "Invalid authentication"}, 401), False),
        (answered({"status": 106102, "description": "Unable to access SMSC credentials"}, 403), False),
        (Reply(404, b"not here"), False),
        (Reply(400, b"<html>"), False),
        (answered({"error": "who are you"}, 400), False),
        (answered([entry(0)]), False),
        (Reply(204, b""), False),
    ],
    ids=repr,
)
async def test_a_check_tells_good_settings_from_bad(http, reply, ok):
    """A complaint about the empty batch proves the credentials; one about the set-up, or anything else, does not."""
    check, _ = await check_of(http, reply)

    assert check.ok is ok
    assert check.detail


# Setting the callbacks up


@pytest.mark.parametrize("settings", [{}, {"reportGate": "BVldZyQt", "inboundGate": "x"}, PROOFS], ids=list)
def test_each_address_is_named_once(settings):
    """Whatever is set already, one step holds each address, and none a password."""
    wiring = Wiring(URLS, settings, frozenset({"callbackPassword", "callbackSecret"}))
    steps = vendor.set_up(wiring)

    assert sorted(step.value for step in steps if step.value) == sorted([URLS.report, URLS.inbound])
    assert all("canary" not in step.title + step.detail for step in steps)


@pytest.mark.parametrize("secrets", [set(), {"callbackPassword"}, {"callbackPassword", "callbackSecret"}], ids=sorted)
def test_the_text_to_support_says_everything_but_passwords(secrets):
    """In English and German it names account, addresses, format, numbers, user and header, and no secret's value."""
    senders = (SHORT_CODE, Sender(SenderType.LONG_CODE, "+4759440000"), Sender(SenderType.ALPHANUMERIC, "ACME"))
    plain = {name: value for name, value in PROOFS.items() if name == "callbackUser"}
    settings = {"baseUrl": "https://n-eu.example.com", **BASIC, **plain}

    texts = vendor.support(Wiring(URLS, settings, frozenset(secrets), senders))

    assert [text.language for text in texts] == ["en", "de"]
    for text in texts:
        for said in ("https://n-eu.example.com", "contoso", "SMSC", "12345", URLS.report, URLS.inbound):
            assert text.text.count(said) == 1
        for said in ("application/json", "2333, +4759440000", "48", "DEFAULT", "notifyStop", "refId"):
            assert said in text.text
        assert "ACME" not in text.text
        assert ("link" in text.text.split()) is False
        assert ("“" in text.text or '"link"' in text.text) is ("callbackPassword" in secrets)
        assert ("X-Gateway-Secret" in text.text) is ("callbackSecret" in secrets)
        assert not any(value in text.text for name, value in {**BASIC, **PROOFS}.items() if "assword" in name)
        assert "{" not in text.text + text.subject


GATES = "/gate/partnergate/platform/SMSC/partner/12345"
REPORT_DESTINATION = {
    "url": URLS.report,
    "contentType": "application/json",
    "username": "link",
    "password": "canary-callback-password",
    "customParameters": {"http.header1": "X-Gateway-Secret:canary-header"},
}


def gate(kind, identity, **changes):
    """Return one of the provider's gates as LINK lists it."""
    url = URLS.report if kind == "report" else URLS.inbound
    return {
        "type": "PARTNER_GATE",
        "id": identity,
        "refId": f"{PROVIDER}-{kind}",
        "platformId": "SMSC",
        "platformPartnerId": "12345",
        "gateType": "ONE_ORDERED",
        "ttl": 172_800_000,
        "acknowledge": False,
        "throttle": 50,
        "destinations": [REPORT_DESTINATION | {"url": url}],
        "customParameters": {"theirs": "stays"},
    } | changes


async def subscribe(server, http, **changes):
    """Set the callbacks up at this address."""
    settings = account(server.url, **PROOFS, **changes)
    return await vendor.subscribe(settings, Wiring(URLS, settings.settings), http)


def made(identity):
    """Return the answer to a new gate."""
    return Reply(201, b"", {"Location": f"https://n-eu.example.com{GATES}/id/{identity}"})


async def test_gates_are_made_where_there_are_none(http):
    """Without gates of ours two are made as documented, with every proof that is set, and their ids are told."""
    listed = answered([gate("report", "x", refId="another")])
    async with script(
        other={f"GET {GATES}": [listed], "POST /gate/partnergate": [made("a%2Fb"), made("Inb")]}
    ) as server:
        said = await subscribe(server, http)

    assert server.asked == [f"GET {GATES}", "POST /gate/partnergate", "POST /gate/partnergate"]
    expected = gate("report", "x", customParameters={})
    del expected["id"], expected["throttle"]
    report, inbound = (orjson.loads(request.body) for request in server.requests[1:])
    assert report == expected
    assert inbound["refId"] == f"{PROVIDER}-inbound"
    assert [one["url"] for one in inbound["destinations"]] == [URLS.inbound]
    assert said.settings == {"reportGate": "a/b", "inboundGate": "Inb"}
    assert "canary" not in said.detail


async def test_without_proofs_a_gate_carries_none(http):
    """Where neither password nor header is set, the destination has the address with its token alone."""
    bare = {"callbackPassword": "", "callbackSecret": ""}
    async with script(other={f"GET {GATES}": [answered([])], "POST /gate/partnergate": [made("x")]}) as server:
        settings = account(server.url, **PROOFS | bare)
        await vendor.subscribe(settings, Wiring(URLS), http)

    assert orjson.loads(server.requests[1].body)["destinations"] == [
        {"url": URLS.report, "contentType": "application/json"}
    ]


async def test_doing_it_again_changes_nothing(http):
    """Gates that are as they should be are read and left alone, and nothing is left to be set."""
    report, inbound = gate("report", "BVldZyQt"), gate("inbound", "a+/b")
    at = f"GET {GATES}/id/"
    replies = {
        f"GET {GATES}": [answered([inbound, report])],
        f"{at}BVldZyQt": [answered(report)],
        f"{at}a%2B%2Fb": [answered(inbound)],
    }
    async with script(other=replies) as server:
        said = await subscribe(server, http, inboundGate="a+/b")

    assert server.asked == [f"GET {GATES}", f"{at}BVldZyQt", f"{at}a%2B%2Fb"]
    assert said.settings == {"reportGate": "BVldZyQt", "inboundGate": "a+/b"}


async def test_what_is_out_of_date_is_corrected_and_the_rest_stays(http):
    """A gate with an old address is replaced whole: read, changed in its destination alone, and put back."""
    old = gate("report", "Rep", destinations=[REPORT_DESTINATION | {"url": "https://old.example.com"}])
    inbound = gate("inbound", "Inb")
    replies = {
        f"GET {GATES}": [answered([old, inbound])],
        f"GET {GATES}/id/Rep": [answered(old)],
        f"GET {GATES}/id/Inb": [answered(inbound)],
        f"PUT {GATES}/id/Rep": [Reply(204, b"")],
    }
    async with script(other=replies) as server:
        await subscribe(server, http)

    [put] = [request for request in server.requests if request.method == "PUT"]
    assert orjson.loads(put.body) == gate("report", "Rep")
    assert not any(request.method == "POST" for request in server.requests)


async def test_no_gates_may_be_said_with_an_error(http):
    """The code for "not found" at the list means that there are none yet."""
    none = answered({"status": 103304, "description": "Not found"}, 404)
    async with script(other={f"GET {GATES}": [none], "POST /gate/partnergate": [made("x")]}) as server:
        await subscribe(server, http)

    assert server.asked.count("POST /gate/partnergate") == 2


FORBIDDEN = answered({"status": 106101, "description": "Access denied"}, 403)
QUOTING = answered({"status": 103302, "description": "Invalid canary-callback-password at canary-token"}, 400)


@pytest.mark.parametrize(
    "replies",
    [
        {f"GET {GATES}": [FORBIDDEN]},
        {f"GET {GATES}": [Reply(404, b"")]},
        {f"GET {GATES}": [answered({"a": 1})]},
        {f"GET {GATES}": [answered([])], "POST /gate/partnergate": [QUOTING]},
        {f"GET {GATES}": [answered([])], "POST /gate/partnergate": [Reply(201, b"")]},
        {f"GET {GATES}": [answered([gate("report", "R")])], f"GET {GATES}/id/R": [Reply(500, b"")]},
        {
            f"GET {GATES}": [answered([gate("report", "R")])],
            f"GET {GATES}/id/R": [answered(gate("report", "R", destinations=[]))],
            f"PUT {GATES}/id/R": [QUOTING],
        },
    ],
    ids=["forbidden", "not here", "no list", "not taken", "no id", "not read", "not changed"],
)
async def test_what_link_does_not_take_is_told_without_secrets(http, replies):
    """A set-up that fails says what LINK answered, without the secrets that its words quote."""
    async with script(other=replies) as server:
        with pytest.raises(SubscribeError) as caught:
            await subscribe(server, http)

    assert "LINK Mobility" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("fault", ["refused", "drops after reading"])
async def test_a_set_up_without_an_answer_is_told(impatient, fault):
    """A LINK that cannot be reached, or drops the connection, is told as such."""
    with nobody_listening() as nobody:
        async with rogue("drops after reading") as server:
            url = nobody if fault == "refused" else server.url
            with pytest.raises(SubscribeError, match="did not answer"):
                await vendor.subscribe(account(url, **PROOFS), Wiring(URLS), impatient)


# Against the simulated platform

KIT = kits()["linkmobility"]


def secret(name):
    """Give a customer's secret."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


CUSTOMER = Customer("contoso", secret, KIT.sender)


@asynccontextmanager
async def customer(http, callbacks="http://127.0.0.1:1"):
    """Run a sandbox in which we are a customer; yield it and the account."""
    token = "canary-token"
    addresses = Addresses(f"{callbacks}/report/{token}", f"{callbacks}/inbound/{token}")
    async with running_sandbox(seed=1) as sandbox:
        for control in (*KIT.account(CUSTOMER), *KIT.wiring(CUSTOMER, addresses)):
            await control_post(http, sandbox, control.path, dict(control.body))
        settings = {"callbackToken": token, **KIT.settings(CUSTOMER, sandbox.base_url)}
        yield sandbox, Account(PROVIDER, settings)


async def control_post(http, sandbox, path, body):
    """Post to the sandbox's control API."""
    async with http.session.post(f"{sandbox.base_url}/sandbox{path}", json=body) as response:
        assert response.status < 300, await response.text()


def sandbox_call(*digits, text="Grüße ✓"):
    """Return a call to people of the sandbox's whose last digits choose their fate."""
    sender = Sender(SenderType(KIT.sender_type), KIT.sender)
    return call(tuple(KIT.person(one) for one in digits), text, sender, validity=900)


async def test_the_sandbox_takes_a_batch(http):
    """A batch is taken: each message has an id of its own."""
    async with customer(http) as (_, ours):
        outcomes = await vendor.send(ours, sandbox_call(1, 2, 3), http)

    assert len({outcome.vendor_id for outcome in outcomes.values()} - {""}) == 3


async def test_the_sandbox_refuses_who_cannot_be_reached(http):
    """In a batch with a bad number only that one is refused, for its reason."""
    async with customer(http) as (_, ours):
        good, bad = (await vendor.send(ours, sandbox_call(1, 150), http)).values()

    assert isinstance(good, Accepted)
    assert (bad.reason, bad.retry) == (Reason.INVALID_RECIPIENT, Retry.NEVER)


async def test_the_sandbox_tells_good_credentials_from_bad(http):
    """The check passes with the account's password and no other."""
    async with customer(http) as (_, ours):
        good = await vendor.check(ours, http)
        bad = await vendor.check(replace(ours, settings={**ours.settings, "password": "wrong"}), http)

    assert (good.ok, bad.ok) == (True, False)


@pytest.mark.parametrize("digits", [173, 174, 175, 176])
async def test_a_lost_answer_cannot_be_looked_up(http, digits):
    """LINK has no log and takes a repeat for a new message: what was lost is unknown and stays so."""
    capabilities = vendor.description.capabilities
    assert (capabilities.lookup, capabilities.status_query) == (False, False)
    assert not capabilities.replay_window
    async with customer(http) as (_, ours):
        wanted = sandbox_call(digits)
        [sent] = (await vendor.send(ours, wanted, http)).values()
        [found] = (await vendor.lookup(ours, wanted, frozenset(), http)).values()

        assert isinstance(sent, Unknown)
        assert isinstance(found, Unknown)
        assert await vendor.report_of(ours, wanted.messages[0].id, "", http) is None


async def callbacks_of(server, ours, kind):
    """Prove and read all callbacks of one kind that came to a recorder."""
    read = []
    for request in server.requests:
        assert request.method == "POST"
        _, came_as, token = request.path.split("/")
        callback = Callback(came_as, f"{server.url}{request.path}", {}, request.headers, request.body, token=token)
        vendor.verify(callback, ours)
        with pytest.raises(NotAuthenticError):
            vendor.verify(replace(callback, token="other"), ours)
        parsed = vendor.parse(callback)
        assert not parsed.set_aside
        read += parsed.reports if kind == "report" else parsed.inbound
    return read


async def test_the_sandboxs_reports_prove_themselves_and_find_their_messages(http):
    """Reports carry every proof that was set, our message id and LINK's, and say that all were delivered."""
    async with recorder(Reply(200, b"OK")) as server, customer(http, server.url) as (sandbox, ours):
        sent = await vendor.send(ours, sandbox_call(1, 2), http)
        await sandbox.idle()
        reports = await callbacks_of(server, ours, "report")

    final = {report.message: report for report in reports if report.state is State.DELIVERED}
    assert {name: report.vendor_id for name, report in final.items()} == {
        name: outcome.vendor_id for name, outcome in sent.items()
    }


async def test_the_sandbox_reports_a_long_text_by_part(http):
    """A text of three parts is reported part by part under the id that the answer named."""
    async with recorder(Reply(200, b"OK")) as server, customer(http, server.url) as (sandbox, ours):
        [sent] = (await vendor.send(ours, sandbox_call(1, text="x" * 400), http)).values()
        await sandbox.idle()
        reports = await callbacks_of(server, ours, "report")

    delivered = [report for report in reports if report.state is State.DELIVERED]
    assert sorted(report.part.number for report in delivered) == [1, 2, 3]
    assert {report.part.count for report in delivered} == {3}
    assert {report.vendor_id for report in reports} == {sent.vendor_id}


async def test_the_sandboxs_replies_prove_themselves(http):
    """A person's text arrives with every proof, to the short code as the sender has it."""
    async with recorder(Reply(200, b"OK")) as server, customer(http, server.url) as (sandbox, ours):
        body = {"from": KIT.person(1), "to": KIT.sender, "text": "Hei på deg"}
        await control_post(http, sandbox, "/linkmobility/inbound", body)
        await sandbox.idle()
        [text] = await callbacks_of(server, ours, "inbound")

    assert (text.sender, text.recipient, text.text) == (KIT.person(1), KIT.sender, "Hei på deg")


async def test_the_sandboxs_gates_are_made_once_and_post_to_us(http):
    """Subscribing makes two gates, doing it again none, and a report comes through the new one with its proofs."""
    async with recorder(Reply(200, b"OK")) as server, customer(http) as (sandbox, ours):
        urls = CallbackUrls(f"{server.url}/report/canary-token", f"{server.url}/inbound/canary-token", "", "")
        first = await vendor.subscribe(ours, Wiring(urls), http)
        subscribed = replace(ours, settings={**ours.settings, **first.settings})
        again = await vendor.subscribe(subscribed, Wiring(urls), http)
        [sent] = (await vendor.send(subscribed, sandbox_call(1), http)).values()
        await sandbox.idle()
        reports = await callbacks_of(server, subscribed, "report")

    assert again.detail.count("kept as it was") == 2
    assert {report.vendor_id for report in reports} == {sent.vendor_id}
