"""Callbacks of a described API: what proves them, and that whatever comes is read, set aside or refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from datetime import UTC, datetime

import orjson
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from functions.vendors.contract import (
    Answer,
    Callback,
    CallbackUrls,
    DeliveryReport,
    InboundText,
    MalformedError,
    NotAuthenticError,
    Parsed,
    Part,
    Reason,
    State,
    Wiring,
    variants,
)
from functions.vendors.custom.adapter import DESCRIPTION, Custom
from tests.vendors.custom.samples import (
    APIS,
    MESSAGE,
    NAMES,
    TOKEN,
    VONAGE_RECEIPT,
    account,
    definition,
    posted,
    settings,
    unhurried,
)

VENDOR = Custom()
REQUEST = {
    "method": "POST",
    "url": "https://api.example.com/sms",
    "form": {"to": "{to}", "text": "{text}", "ref": "{messageId}"},
}
MINIMAL = {"name": "Example", "request": REQUEST, "success": {"statuses": [200], "id": "id"}}
STATES = {"ok": {"state": "delivered"}, "late": {"state": "expired"}, "bad": {"state": "failed"}}
REPORT = {"format": "json", "id": "id", "message": "ref", "status": "state", "states": STATES}
INBOUND = {"format": "json", "id": "id", "from": "from", "to": "to", "text": "text"}
TEXT = {"id": "7", "from": "14255550123", "to": "12345", "text": "Stop"}


def read(callback, **members):
    """Return what a callback says to a definition with these members."""
    return VENDOR.parse(replace(callback, settings=settings(MINIMAL | members, {})))


# What callbacks say


@pytest.mark.parametrize(
    ("status", "code", "state", "reason"),
    [
        ("ok", "", State.DELIVERED, None),
        ("OK", "", State.DELIVERED, None),
        ("ok", "21", State.DELIVERED, None),
        ("late", "", State.EXPIRED, Reason.EXPIRED),
        ("bad", "", State.FAILED, Reason.OTHER),
        ("bad", "21", State.REJECTED, Reason.OPTED_OUT),
        ("bad", "22", State.FAILED, Reason.QUOTA),
        ("bad", "23", State.SENT, None),
        ("bad", "99", State.FAILED, Reason.OTHER),
        ("odd", "", State.UNKNOWN, Reason.OTHER),
        ("odd", "21", State.REJECTED, Reason.OPTED_OUT),
        ("", "22", State.UNKNOWN, Reason.QUOTA),
    ],
)
def test_a_code_decides_where_the_message_did_not_arrive(status, code, state, reason):
    """A word decides unless it says failure or nothing; then the code does, for state, reason or both."""
    codes = {
        "21": {"state": "rejected", "reason": "opted_out"},
        "22": {"reason": "quota"},
        "23": {"state": "sent"},
    }
    body = {"id": "1", "ref": MESSAGE, "state": status, "code": code}

    [report] = read(posted("report", body), report=REPORT | {"code": "code", "codes": codes}).reports

    assert (report.state, report.reason, report.status, report.code) == (state, reason, status, code)


def test_codes_alone_will_do():
    """A report without a word is read by its code."""
    shape = {"format": "json", "message": "ref", "code": "code", "codes": {"2": {"state": "delivered"}}}

    [report] = read(posted("report", {"ref": MESSAGE, "code": 2}), report=shape).reports

    assert (report.state, report.code, report.vendor_id) == (State.DELIVERED, "2", "")


def test_one_callback_may_tell_of_many():
    """Each item of a list is a report of its own; what names no message is set aside, what is of no kind left out."""
    body = {
        "account": "acme",
        "list": {
            "reports": [{"id": 1, "ref": MESSAGE, "state": "ok"}, {"state": "ok"}, {"ref": MESSAGE, "state": "x"}]
        },
    }
    shape = REPORT | {"items": "list.reports", "detail": "root:account", "recipient": "header:X-To"}
    callback = replace(posted("report", body), headers={"x-to": "+14255550123"})

    parsed = read(callback, report=shape)

    assert [report.vendor_id for report in parsed.reports] == ["1", ""]
    assert [report.state for report in parsed.reports] == [State.DELIVERED, State.UNKNOWN]
    assert {report.detail for report in parsed.reports} == {"acme"}
    assert {report.recipient for report in parsed.reports} == {"+14255550123"}
    assert [aside.why for aside in parsed.set_aside] == ["It names no message."]
    assert orjson.loads(parsed.set_aside[0].raw) == {"state": "ok"}


def test_reports_come_as_xml_too():
    """Elements are read by name whatever their namespace, attributes by @, and one element is a list of one."""
    shape = {
        "format": "xml",
        "items": "report",
        "message": "ref",
        "id": "@id",
        "status": "status",
        "states": STATES,
        "at": {"path": "done.@at", "form": "unixMs"},
    }
    item = b"<report id=' 5 '><ref> %s </ref><status>ok</status><done at='1450000000500'/></report>" % MESSAGE.encode()
    one = b"<?xml version='1.0'?><r xmlns='urn:x'>" + item + b"</r>"

    [report] = read(posted("report", one), report=shape).reports

    assert replace(report, raw={}) == DeliveryReport(
        State.DELIVERED,
        "5",
        message=MESSAGE,
        status="ok",
        at=datetime(2015, 12, 13, 9, 46, 40, 500000, tzinfo=UTC),
    )
    kept = fromstring(report.raw["body"])
    assert [kept.get("id"), kept[0].text, kept[1].text] == [" 5 ", f" {MESSAGE} ", "ok"]
    assert len(read(posted("report", b"<r>" + item * 3 + b"</r>"), report=shape).reports) == 3


@pytest.mark.parametrize(
    ("number", "count", "part"),
    [
        (1, 2, Part(1, 2)),
        ("2", "2", Part(2, 2)),
        (3, 2, None),
        (0, 2, None),
        ("x", 2, None),
        (None, None, None),
        (1.5, 2, None),
    ],
)
def test_parts_are_told_apart(number, count, part):
    """A report may speak of one part of a message; an odd number is taken for none."""
    shape = REPORT | {"part": {"number": "part", "count": "parts"}}
    body = {"ref": MESSAGE, "state": "ok", "part": number, "parts": count}

    [report] = read(posted("report", body), report=shape).reports

    assert report.part == part


@pytest.mark.parametrize("form", ["iso", "unix", "unixMs"])
@pytest.mark.parametrize("written", ["", "soon", None, "1e400", "-99999999999999999", [], {}, True, "2026-13-01"])
def test_an_odd_time_is_none(form, written):
    """A time that is none does not cost the report."""
    shape = REPORT | {"at": {"path": "at", "form": form}}

    [report] = read(posted("report", {"ref": MESSAGE, "state": "ok", "at": written}), report=shape).reports

    assert report.at is None or report.at.tzinfo


def test_a_callback_of_the_other_kind_is_read_where_the_definition_tells_them_apart():
    """With a condition a text may come to the address for reports, and a report to the one for texts."""
    report = REPORT | {"when": [{"path": "type", "in": ["dlr"]}]}
    inbound = INBOUND | {"when": [{"path": "type", "in": ["mo"]}], "format": "form"}
    receipt = {"type": "dlr", "ref": MESSAGE, "state": "ok"}

    text = read(posted("report", b"type=mo&id=7&from=14255550123&to=12345&text=Stop"), report=report, inbound=inbound)
    told = read(posted("inbound", receipt), report=report, inbound=inbound)
    neither = read(posted("inbound", receipt | {"type": "ping"}), report=report, inbound=inbound)

    assert [text.inbound[0].text, told.reports[0].state] == ["Stop", State.DELIVERED]
    assert [aside.why for aside in neither.set_aside] == ["It is nothing that the definition describes."]
    with pytest.raises(MalformedError, match="json"):
        read(posted("report", b"type=mo"), report=report, inbound=INBOUND)


def test_what_is_not_described_is_malformed():
    """A callback of a kind that the definition does not have, or to a provider without a definition, is refused."""
    for callback in (posted("report", {}), posted("inbound", {})):
        with pytest.raises(MalformedError):
            read(callback)
        with pytest.raises(MalformedError):
            VENDOR.parse(callback)


@pytest.mark.parametrize("missing", ["id", "from", "to"])
def test_a_text_without_the_essential_is_set_aside(missing):
    """A text from nobody, to nobody or without an id is kept for a person to look at; one without words is a text."""
    body = {name: value for name, value in TEXT.items() if name != missing}

    parsed = read(posted("inbound", body), inbound=INBOUND)

    assert parsed.inbound == ()
    assert [aside.why for aside in parsed.set_aside] == ["It has no id, sender or recipient."]
    assert read(posted("inbound", TEXT | {"text": None}), inbound=INBOUND).inbound[0].text == ""


def test_texts_without_an_id_are_told_apart_by_their_moment():
    """A repeat has the same id as the first; another moment, person, sender or text has another."""
    shape = {name: path for name, path in INBOUND.items() if name != "id"} | {"at": {"path": "at", "form": "unix"}}
    first = {**TEXT, "at": 1450000000}

    def identity(**changes):
        return read(posted("inbound", first | changes), inbound=shape).inbound[0].vendor_id

    others = {identity(at=1450000001), identity(text="stop"), identity(to="12346"), identity(**{"from": "14255550124"})}
    assert identity() == identity(id="x")
    assert len(others | {identity()}) == 5
    assert read(posted("inbound", TEXT), inbound=shape).set_aside


@pytest.mark.parametrize(
    ("kind", "members", "expected"),
    [
        ("report", {"report": REPORT}, Answer(200)),
        ("report", {"report": REPORT | {"answer": {"status": 202, "body": "OK"}}}, Answer(202, "text/plain", "OK")),
        (
            "inbound",
            {"inbound": INBOUND | {"answer": {"contentType": "text/xml", "body": "<r/>"}}},
            Answer(200, "text/xml", "<r/>"),
        ),
        ("inbound", {"report": REPORT}, Answer()),
    ],
)
def test_the_vendor_gets_the_answer_that_it_expects(kind, members, expected):
    """What is answered to a callback is what the definition says of its kind."""
    assert VENDOR.answer(replace(posted(kind), settings=settings(MINIMAL | members, {}))) == expected


# Who speaks


SINCH_BODY = (
    b'{"app_id":"","accepted_time":"2021-10-18T17:49:13.813615Z","project_id":"e2df3a34-a71b-4448-9db5-a8d2baad28e4",'
    b'"contact_create_notification":{"contact":{"id":"01FJA8B466Y0R2GNXD78MD9SM1","channel_identities":[{"channel":"SMS",'
    b'"identity":"48123456789","app_id":""}],"display_name":"New Test Contact","email":"new.contact@email.com",'
    b'"external_id":"","metadata":"","language":"EN_US"}},"message_metadata":""}'
)
SINCH_SIGNATURE = {
    "header": "x-sinch-webhook-signature",
    "encoding": "base64",
    "over": [
        "body",
        "text:.",
        "header:x-sinch-webhook-signature-nonce",
        "text:.",
        "header:x-sinch-webhook-signature-timestamp",
    ],
    "key": "{credentials.secret}",
}
SINCH_HEADERS = {
    "x-sinch-webhook-signature-nonce": "01FJA8B4A7BM43YGWSG9GBV067",
    "x-sinch-webhook-signature-timestamp": "1634579353",
    "x-sinch-webhook-signature": "6bpJoRmFoXVjfJIVglMoJzYXxnoxRujzR4k2GOXewOE=",
}
"""Recorded: https://github.com/sinch/sinch-sdk-dotnet, ``tests/Sinch.Tests/Conversation/WebhooksTests.cs``."""


def proves(callback, signature=None, credentials=None, **more):
    """Tell whether a callback is taken for authentic."""
    described = MINIMAL | ({"callbacks": {"signature": signature}} if signature else {})
    return not complaint(
        VENDOR.verify, callback, account(described, credentials or {"secret": "foo_secret1234"}, **more)
    )


def complaint(call, *arguments):
    """Return the words of one of the two errors that the gateway answers, nothing when there was none."""
    try:
        call(*arguments)
    except (NotAuthenticError, MalformedError) as error:
        return str(error) or "An error without words."
    return ""


def test_a_recorded_signature_is_right():
    """A signature that a vendor made, with the vendor's own secret, is right, and wrong for anything else."""
    callback = replace(posted("report", SINCH_BODY), headers=SINCH_HEADERS)

    assert proves(callback, SINCH_SIGNATURE)
    assert not proves(callback, SINCH_SIGNATURE, {"secret": "foo_secret1235"})
    assert not proves(replace(callback, body=SINCH_BODY + b" "), SINCH_SIGNATURE)
    assert not proves(replace(callback, token="x"), SINCH_SIGNATURE)
    for name, value in SINCH_HEADERS.items():
        assert not proves(replace(callback, headers=SINCH_HEADERS | {name: value[:-2]}), SINCH_SIGNATURE)
        without = {other: value for other, value in SINCH_HEADERS.items() if other != name}
        assert not proves(replace(callback, headers=without), SINCH_SIGNATURE)


def seven_signed(body, key=b"CanarySigningKey"):
    """Return a callback as seven.io signs it: https://docs.seven.io/en/rest-api/signing."""
    callback = replace(posted("report", body), headers={"x-timestamp": "1634641200", "x-nonce": "fpPRhAd1s8GXacfR"})
    md5 = hashlib.md5(callback.body, usedforsecurity=False).hexdigest()
    signed = f"1634641200\nfpPRhAd1s8GXacfR\nPOST\n{callback.url}\n{md5}"
    proof = hmac.new(key, signed.encode(), "sha256").hexdigest()
    return replace(callback, headers=callback.headers | {"x-signature": proof})


def test_a_signature_over_the_hash_of_the_body_covers_everything():
    """seven.io's signature covers time, nonce, method, address and body; any case of its letters will do."""
    callback = seven_signed(b'{"webhook_event": "dlr"}')
    signature, credentials = definition("seven")["callbacks"]["signature"], APIS["seven"].credentials

    assert proves(callback, signature, credentials)
    upper = callback.headers | {"x-signature": callback.headers["x-signature"].upper()}
    assert proves(replace(callback, headers=upper), signature, credentials)
    changes = {"method": "GET", "url": callback.url + "?a=1", "body": callback.body + b" "}
    for part, value in changes.items():
        assert not proves(replace(callback, **{part: value}), signature, credentials)
    for name in ("x-timestamp", "x-nonce"):
        assert not proves(replace(callback, headers=callback.headers | {name: "1"}), signature, credentials)


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha512"])
@pytest.mark.parametrize("encoding", ["hex", "base64"])
@pytest.mark.parametrize(("key_encoding", "key"), [("text", "kéy"), ("hex", "00ff10"), ("base64", "AP8Q")])
def test_every_way_of_signing_is_checked(algorithm, encoding, key_encoding, key):
    """Algorithm, encoding, prefix and the key's own encoding are taken as the definition says."""
    raw = {"text": "kéy".encode(), "hex": b"\x00\xff\x10", "base64": b"\x00\xff\x10"}[key_encoding]
    callback = posted("report", b"body", {"q": "ü"})
    digest = hashlib.sha256(b"body").hexdigest().encode()
    mac = hmac.digest(raw, callback.url.encode() + digest + "üPOST".encode(), algorithm)
    proof = mac.hex() if encoding == "hex" else base64.b64encode(mac).decode()
    signature = {
        "header": "X-Sig",
        "algorithm": algorithm,
        "encoding": encoding,
        "prefix": "v1=",
        "over": ["url", "bodySha256", "query:q", "method"],
        "key": "{credentials.key}",
        "keyEncoding": key_encoding,
    }

    assert proves(replace(callback, headers={"x-sig": f"v1={proof}"}), signature, {"key": key})
    for wrong in (proof, f"v1={proof[:-1]}", f"v2={proof}", "v1=", f"v1={proof}x", "\udcff", "v1=é"):
        assert not proves(replace(callback, headers={"x-sig": wrong}), signature, {"key": key})


@pytest.mark.parametrize(
    ("encoding", "credentials"),
    [
        ("text", {}),
        ("text", {"secret": 5}),
        ("text", []),
        ("hex", {"secret": "not hex"}),
        ("hex", {"secret": "  "}),
        ("base64", {"secret": "!!!!"}),
        ("base64", {"secret": "ü"}),
        ("base64", {"secret": "QUJD!"}),
    ],
)
def test_without_its_key_nothing_is_authentic(encoding, credentials):
    """A key that is missing, not encoded as it should be or empty proves nothing, least of all an empty one's HMAC."""
    signature = {"header": "X-Sig", "over": ["body"], "key": "{credentials.secret}", "keyEncoding": encoding}
    empty = hmac.digest(b"", b"{}", "sha256").hex()
    provider = account(MINIMAL | {"callbacks": {"signature": signature}}, credentials)

    with pytest.raises(NotAuthenticError, match="key of the signature"):
        VENDOR.verify(replace(posted("report", b"{}"), headers={"x-sig": empty}), provider)


def test_every_proof_that_is_set_up_is_demanded():
    """The token always, Basic and the secret header once set, the signature beside them: none may be missing."""
    headers = SINCH_HEADERS | {
        "authorization": "Basic " + base64.b64encode(b"user:callback-password-1").decode(),
        "x-gateway-secret": "callback-secret-1",
    }
    more = {
        "callbackUser": "user",
        "callbackPassword": "callback-password-1",
        "callbackSecret": "callback-secret-1",
    }
    callback = replace(posted("report", SINCH_BODY), headers=headers)

    assert proves(callback, SINCH_SIGNATURE, **more)
    assert not proves(replace(callback, token=""), SINCH_SIGNATURE, **more)
    for name in headers:
        without = {other: value for other, value in headers.items() if other != name}
        assert not proves(replace(callback, headers=without), SINCH_SIGNATURE, **more)


def test_either_key_proves_a_callback_while_credentials_are_changed():
    """With secondary credentials a signature by either key is right for one of the accounts."""
    described = MINIMAL | {"callbacks": {"signature": SINCH_SIGNATURE}}
    both = settings(described, {"secret": "new"}) | {"credentialsSecondary": '{"secret": "foo_secret1234"}'}
    callback = replace(posted("report", SINCH_BODY), headers=SINCH_HEADERS)

    taken = []
    for one in variants(DESCRIPTION, "provider", both, callbacks=True):
        try:
            VENDOR.verify(callback, one)
            taken.append(one.settings["credentials"])
        except NotAuthenticError:
            continue

    assert taken == ['{"secret": "foo_secret1234"}']


def test_a_provider_without_a_readable_definition_takes_nothing():
    """Where nobody can tell whether a signature is demanded, nothing is authentic."""
    provider = account(MINIMAL, {}, definition="{}")

    with pytest.raises(NotAuthenticError):
        VENDOR.verify(posted("report", {}), provider)


# Whatever comes


LENIENT = st.text(st.characters(codec=None), max_size=20)
NAMES_IN_USE = st.sampled_from(
    [
        "id",
        "data",
        "type",
        "webhook_event",
        "ref",
        "status",
        "messageId",
        "REFERENCE",
        "from",
        "to",
        "message",
        "at",
        "",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES_IN_USE | st.text(max_size=5), inner, max_size=5),
    max_leaves=12,
)
KNOWN = [VONAGE_RECEIPT, TEXT | {"type": "mo_text"}, {"webhook_event": "dlr", "data": {"msg_id": 5}}]
XML = st.text("<>/ab'= &;!-?", max_size=30).map(lambda text: f"<a>{text}</a>".encode())
BODIES = st.binary(max_size=60) | JSON.map(orjson.dumps) | st.sampled_from(KNOWN).map(orjson.dumps) | XML


@pytest.mark.parametrize("name", NAMES)
@unhurried
@given(
    kind=st.sampled_from(["report", "inbound", "other"]),
    query=st.dictionaries(NAMES_IN_USE | LENIENT, LENIENT, max_size=4),
    headers=st.dictionaries(st.sampled_from(["x-signature", "authorization", "content-type"]), LENIENT, max_size=3),
    body=BODIES,
    token=st.just(TOKEN) | LENIENT,
    method=st.sampled_from(["GET", "POST"]),
)
def test_whatever_comes_is_read_set_aside_or_refused(name, kind, query, headers, body, token, method):
    """Any callback is not authentic or malformed, or what it says can be stored as JSON; there is no third way."""
    provider = settings(definition(name), APIS[name].credentials)
    callback = Callback(kind, "https://sms.example.com/\udcff", query, headers, body, method, token, provider)

    refused = complaint(VENDOR.verify, callback, account(definition(name), APIS[name].credentials))
    assert bool(refused) == (token != TOKEN or name == "seven")
    if complaint(VENDOR.parse, callback):
        return
    parsed = VENDOR.parse(callback)

    assert isinstance(parsed, Parsed)
    assert parsed.reports or parsed.inbound or parsed.set_aside
    for item in (*parsed.reports, *parsed.inbound, *parsed.set_aside):
        assert orjson.dumps(item, default=str)
        assert not isinstance(item, DeliveryReport) or item.vendor_id or item.message
        assert not isinstance(item, InboundText) or (item.vendor_id and item.sender and item.recipient)


XML_BODIES = {
    "document type": b"<!DOCTYPE r><r><ref>%s</ref></r>" % MESSAGE.encode(),
    "entity": b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r><ref>&x;</ref></r>',
    "laughs": b'<!DOCTYPE r [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><r><ref>&b;</ref></r>',
    "parameter": b'<!DOCTYPE r SYSTEM "http://127.0.0.1/x.dtd"><r/>',
    "deep": b"<r>" * 100_000,
    "deep and closed": b"<r>" * 50_000 + b"</r>" * 50_000,
    "encoding": b'<?xml version="1.0" encoding="nonsense"?><r/>',
    "wide": b'<?xml version="1.0" encoding="utf-32"?><r/>',
    "cut": b"<r><ref>",
    "empty": b"",
    "none": b"\xff\x00",
}


@pytest.mark.parametrize("body", XML_BODIES.values(), ids=XML_BODIES.keys())
def test_hostile_xml_is_malformed_or_says_nothing(body):
    """A document type, with which entities come, is not read; depth and encodings do no harm."""
    shape = {"format": "xml", "message": "ref", "status": "s", "states": {}}
    provider = settings(MINIMAL | {"report": shape}, {})

    if not complaint(VENDOR.parse, replace(posted("report", body), settings=provider)):
        assert b"DOCTYPE" not in body
        assert read(posted("report", body), report=shape).reports == ()


def test_fields_without_a_value_and_odd_bytes_are_kept():
    """A form is kept with its blank fields, and a query whose names are no UTF-8 can be stored."""
    form, query = INBOUND | {"format": "form"}, INBOUND | {"format": "query"}
    fields = {"id": "7", "from": "14255550123", "to": "12345", "text": ""}

    [text] = read(posted("inbound", b"id=7&from=14255550123&to=12345&text="), inbound=form).inbound
    odd = replace(posted("inbound", method="GET"), query=fields | {"\udcff": "\udcff"})
    [other] = read(odd, inbound=query).inbound

    assert text.raw == fields
    assert orjson.loads(orjson.dumps(other.raw)) == fields | {"\ufffd": "\ufffd"}


# Setting them up


def test_the_operator_is_told_what_to_do():
    """The definition's own steps come first with the addresses in them, then each address once."""
    urls = CallbackUrls("https://x.example/report", "https://x.example/inbound", "", "")

    steps = VENDOR.set_up(Wiring(urls, settings(definition("seven"), {})))
    named = VENDOR.set_up(Wiring(urls, settings(definition("vonage"), {})))

    assert [step.value for step in steps] == ["", urls.report, urls.inbound]
    assert (
        steps[0].detail
        == f"Developer > Webhooks: one for `dlr` with {urls.report}, one for `sms_mo` with {urls.inbound}."
    )
    assert steps[0].title == "At seven.io"
    assert steps[1].detail != named[0].detail
    assert "Each message names this address" in named[0].detail
