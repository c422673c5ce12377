"""Vibes alone: its tables row by row, XML as a way to attack and what it cannot carry, and the sandbox."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.sax.saxutils import escape, quoteattr

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st

from functions.vendors import vibes as adapter
from functions.vendors.contract import (
    Accepted,
    Account,
    Answer,
    Callback,
    CallbackUrls,
    MalformedError,
    NotAuthenticError,
    Parsed,
    Part,
    Reason,
    Refused,
    Retry,
    Sender,
    SenderType,
    State,
    Unknown,
    Wiring,
)
from functions.vendors.vibes import vendor
from sandbox.outcomes import magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.vibes import Account as SandboxAccount
from sandbox.vendors.vibes import Number, VibesVendor
from tests.vendors.kit import BATCH, PROVIDER, REPORT_URL, Reply
from tests.vendors.servers import recorder
from tests.vendors.vibes.kit import KIT

USER, PASSWORD = "gateway@example.com", "correct-horse-battery-staple"
PERSON = "+13125550142"
ID = "3d1f6f0e-0b7a-4a57-9a39-0f6f5f7b1c22"
SECOND, THIRD = "4088cbdf-71fa-430f-9a8e-b8a1707f546a", "1d8060be-1d24-4aa4-9b96-ace682c118d8"
OURS = f"{BATCH}-0"
XML = {"Content-Type": "text/xml;charset=UTF-8"}
SHORT_CODE = Sender(SenderType.SHORT_CODE, "54321")
TOLL_FREE = Sender(SenderType.TOLL_FREE, "+18885550100")
LONG_CODE = Sender(SenderType.LONG_CODE, "+14255550100")


def account(base_url="https://vendor.example.com", **changes):
    """Return an account of the sandbox's."""
    return Account(PROVIDER, {"username": USER, "password": PASSWORD, "baseUrl": base_url, **changes})


def call(to=PERSON, text="Hello", **changes):
    """Return a call that sends one text now."""
    return replace(KIT.call((to,), text), **{"first_attempt": datetime.now(UTC), "validity": None, **changes})


async def send(server, http, *arguments, **changes):
    """Send one text; return what came of it."""
    return (await vendor.send(account(server), call(*arguments, **changes), http))[OURS]


def xml(body):
    """Return an answer that holds this XML."""
    return Reply(200, body.encode(), XML)


def posted(body, kind="report", **headers):
    """Return a callback with this body."""
    return Callback(kind, REPORT_URL, {}, headers, body if isinstance(body, bytes) else body.encode(), token="t" * 32)


def receipt(
    stage="Handset",
    *,
    failed=False,
    detail="",
    code="",
    internal="",
    part=None,
    message_id=ID,
    ours=OURS,
    attributes="",
):
    """Write a receipt as Vibes' page shows it; the optional nodes stay away unless they are given."""
    flag = failed if isinstance(failed, str) else str(failed).lower()
    number, count = part or (0, 0)
    multipart = f'<multipart isMultipart="true" originalMessageId="{ID}" noOfParts="{count}" partNumber="{number}"/>'
    nodes = {"description": detail, "errorCode": code, "internalErrorCode": internal}
    status = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in nodes.items() if value)
    named = f" submitterMessageId={quoteattr(ours)}" if ours else ""
    return (
        f'<mtMessageResponse messageId="{message_id}"{named} receiptDate="2026-05-11T14:02:31.250-05:00"{attributes}>'
        f'{multipart if part else ""}<type>{escape(stage)}</type><status isError="{flag}">{status}</status>'
        "</mtMessageResponse>"
    )


def read(*arguments, **parts):
    """Return the report that a receipt gives."""
    [report] = vendor.parse(posted(receipt(*arguments, **parts))).reports
    return report


def meaning(*arguments, **parts):
    """Return the state and the reason that a receipt gives."""
    report = read(*arguments, **parts)
    return report.state, report.reason


# What it says of itself


def test_it_claims_no_more_than_its_pages():
    """Nothing recognises a repeated message or finds a lost one, nothing ends its validity, and no name is a sender."""
    description = vendor.description

    assert description.capabilities.replay_window == timedelta(0)
    assert not description.capabilities.lookup
    assert description.capabilities.validity is None
    assert (description.capabilities.recipients_per_call, description.capabilities.max_text_length) == (1, 900)
    assert {rule.type: rule.countries for rule in description.senders} == dict.fromkeys(
        (SenderType.SHORT_CODE, SenderType.TOLL_FREE, SenderType.LONG_CODE), ("US", "CA")
    )
    assert len(set(description.published_sources)) == 14
    assert vendor.calls_per_second({}) is None
    assert vendor.answer(posted("")) == vendor.answer(posted("", "inbound")) == Answer(200)


# Who speaks


def is_authentic(kind, *, token="t" * 32, basic="", **settings):
    """Tell whether the adapter takes a callback with these proofs for Vibes'."""
    headers = {"authorization": f"Basic {base64.b64encode(basic.encode()).decode()}"} if basic else {}
    try:
        vendor.verify(replace(posted("", kind, **headers), token=token), account(callbackToken="t" * 32, **settings))
    except NotAuthenticError:
        return False
    return True


def test_a_receipt_proves_itself_by_its_address_alone():
    """Vibes cannot send a password with receipts, so one is never asked for, and the token always is."""
    with_password = {"callbackUser": "vibes", "callbackPassword": "p" * 16}

    assert is_authentic("report")
    assert is_authentic("report", **with_password)
    assert is_authentic("report", basic="someone:else", **with_password)
    assert not is_authentic("report", token="", basic=f"vibes:{'p' * 16}", **with_password)
    assert not is_authentic("report", token="T" * 32)


def test_a_reply_proves_itself_by_address_and_password():
    """A reply needs the token and, once a password is set, that too."""
    with_password = {"callbackUser": "vibes", "callbackPassword": "p" * 16}

    assert is_authentic("inbound")
    assert is_authentic("inbound", basic=f"vibes:{'p' * 16}", **with_password)
    for wrong in ("", f"vibes:{'q' * 16}", f"other:{'p' * 16}", "p" * 16):
        assert not is_authentic("inbound", basic=wrong, **with_password)
    assert not is_authentic("inbound", token="T" * 32, basic=f"vibes:{'p' * 16}", **with_password)


# Receipts: the stages and the tables


@pytest.mark.parametrize(
    ("stage", "well", "otherwise"),
    [
        ("System", State.QUEUED, State.REJECTED),
        ("Carrier", State.SENT, State.FAILED),
        ("Handset", State.DELIVERED, State.UNDELIVERED),
    ],
)
def test_each_stage_has_its_meaning(stage, well, otherwise):
    """System queues, the carrier sends, the handset has it; an error without a known code is each stage's own."""
    assert meaning(stage) == (well, None)
    assert meaning(stage, detail="Message was undeliverable", code="103", internal="9") == (well, None)
    assert meaning(stage, failed=True) == (otherwise, Reason.OTHER)
    assert meaning(stage, failed=True, code="199", internal="99") == (otherwise, Reason.OTHER)
    assert meaning(stage.upper(), failed="1") == (otherwise, Reason.OTHER)
    for neither in ("", "maybe", "yes"):
        assert meaning(stage, failed=neither) == (State.UNKNOWN, Reason.OTHER)


# https://developer-aggregation.vibes.com/reference/delivery-receipt-response-codes
INTERNAL = {
    1: (State.REJECTED, Reason.UNROUTABLE),
    2: (State.REJECTED, Reason.CONFIGURATION),
    3: (State.REJECTED, Reason.CONFIGURATION),
    4: (State.REJECTED, Reason.CONFIGURATION),
    5: (State.REJECTED, Reason.CONFIGURATION),
    6: (State.REJECTED, Reason.CONFIGURATION),
    7: (State.FAILED, Reason.CANCELED),
    8: (State.REJECTED, Reason.UNROUTABLE),
    9: (State.REJECTED, Reason.OPTED_OUT),
    10: (State.FAILED, Reason.TEMPORARY),
    11: (State.UNKNOWN, Reason.OTHER),
    12: (State.REJECTED, Reason.QUOTA),
    13: (State.EXPIRED, Reason.EXPIRED),
    14: (State.QUEUED, None),
    15: (State.REJECTED, Reason.CONFIGURATION),
    16: (State.REJECTED, Reason.INVALID_SENDER),
}


def test_every_code_of_vibes_has_its_meaning():
    """Each of Vibes' own codes is read from either field of a System receipt; a code to come is a rejection."""
    for code, expected in INTERNAL.items():
        for found in (read("System", failed=True, internal=str(code)), read("System", failed=True, code=str(code))):
            assert ((found.state, found.reason), found.code) == (expected, str(code))
    assert meaning("System", failed=True, internal="17") == (State.REJECTED, Reason.OTHER)
    assert {str(code) for code in INTERNAL} == set(adapter.REPORT_INTERNAL)


def test_codes_of_vibes_say_nothing_at_later_stages():
    """Samples pair the carriers' errors with codes of Vibes that they do not fit: those neither opt out nor decide."""
    for stage, otherwise in (("Carrier", State.FAILED), ("Handset", State.UNDELIVERED)):
        for code in INTERNAL:
            report = read(stage, failed=True, internal=str(code))
            assert (report.state, report.reason, report.code) == (otherwise, Reason.OTHER, "")


# The number, the words that come first, and their meaning.
CARRIER = {
    100: ("Carrier returned that the receipt state of the message is Unknown.", State.UNKNOWN, Reason.NO_REPORT),
    101: ("Message validity expired before the carrier could deliver.", State.EXPIRED, Reason.EXPIRED),
    102: ("Message was deleted by the carrier.", State.FAILED, Reason.CARRIER_BLOCKED),
    103: ("Message was UNDELIVERABLE by the carrier to the phone", State.UNDELIVERED, Reason.UNREACHABLE),
    104: ("Message was accepted on behalf of the phone.", State.SENT, None),
    105: ("Message was rejected by the phone.", State.REJECTED, Reason.UNREACHABLE),
    106: ("The MDN is not opted in for premium services.", State.REJECTED, Reason.CARRIER_BLOCKED),
    107: ("Carrier failed while submitting message", State.FAILED, Reason.CARRIER_BLOCKED),
    255: ("Unknown error: the status could not be parsed.", State.UNKNOWN, Reason.OTHER),
}


@pytest.mark.parametrize("stage", ["Carrier", "Handset"])
def test_every_code_of_the_carriers_has_its_meaning(stage):
    """Each meaning is read from the number alone, from the words alone, and from words beside another number."""
    for code, (words, state, reason) in CARRIER.items():
        other = "101" if code != 101 else "107"
        assert meaning(stage, failed=True, code=str(code)) == (state, reason)
        assert meaning(stage, failed=True, detail=words) == (state, reason)
        assert meaning(stage, failed=True, detail=words, code=other, internal="9") == (state, reason)
        assert meaning(stage, failed=True, detail="Something new.", code=str(code)) == (state, reason)
    assert {str(code) for code in CARRIER} == set(adapter.REPORT_CARRIER)
    assert {number for _, number in adapter.REPORT_WORDS} == set(adapter.REPORT_CARRIER)


def test_only_vibes_block_list_is_an_opt_out():
    """Code 9 alone opts a person out: neither a missing subscription nor a missing premium opt-in does."""
    found = [row for table in (adapter.REPORT_INTERNAL, adapter.REPORT_CARRIER) for row in table.items()]

    assert [code for code, (_, reason) in found if reason is Reason.OPTED_OUT] == ["9"]


def test_a_part_that_came_twice_changes_nothing():
    """Code 14 tells of a duplicate that was dropped: it gets the lowest state, which every other outranks."""
    report = read("System", failed=True, internal="14", detail="Duplicate Multipart message.", part=(1, 2))

    assert (report.state, report.reason, report.part) == (State.QUEUED, None, Part(1, 2))


def test_parts_report_one_by_one_under_the_messages_id():
    """A part's receipt names the message that was sent, the part and the count, whatever id the part itself has."""
    report = read(part=(2, 3), message_id=SECOND)

    assert (report.vendor_id, report.message, report.part) == (ID, OURS, Part(2, 3))
    assert report.state is State.DELIVERED


@pytest.mark.parametrize("part", [("x", 2), (0, 2), (3, 2), (1, ""), (1, "9" * 5000), ("\u0661", "\u0662"), (-1, 2)])
def test_a_part_that_cannot_be_placed_delivers_nothing(part):
    """A part of which nobody can say which it is does not make the message delivered, and its failure is one."""
    assert (read(part=part).state, read(part=part).part) == (State.SENT, None)
    assert meaning(failed=True, code="103", part=part) == (State.UNDELIVERED, Reason.UNREACHABLE)


def test_a_forwarded_message_has_not_ended():
    """A message that went on under another id is sent, whatever became of the first one; queued stays queued."""
    forwarded = f' fwdToMessageId="{SECOND}"'

    for stage in ("Carrier", "Handset"):
        assert meaning(stage, failed=True, code="107", attributes=forwarded) == (State.SENT, None)
    assert meaning("System", failed=True, internal="8", attributes=forwarded) == (State.SENT, None)
    assert meaning("System", attributes=forwarded) == (State.QUEUED, None)
    assert meaning(message_id=SECOND) == (State.DELIVERED, None)


def test_a_receipt_is_found_by_either_id():
    """Our id or Vibes' is enough; a receipt with neither is set aside with what it said."""
    assert (read(ours="").vendor_id, read(ours="").message) == (ID, "")
    assert (read(message_id=" ").vendor_id, read(message_id=" ").message) == ("", OURS)

    body = receipt(message_id="", ours="")
    [aside] = vendor.parse(posted(body)).set_aside
    assert json.loads(aside.raw) == {"xml": body}


def test_a_receipt_of_a_namespace_is_read():
    """Elements count by their local names, so that a namespace to come changes nothing."""
    body = receipt(failed=True, code="103", part=(1, 2)).replace(
        "<mtMessageResponse", '<v:mtMessageResponse xmlns:v="urn:x" xmlns="urn:x"'
    )
    [report] = vendor.parse(posted(body.replace("</mtMessageResponse>", "</v:mtMessageResponse>"))).reports

    assert (report.state, report.code, report.part) == (State.UNDELIVERED, "103", Part(1, 2))


# Replies


def reply(source=PERSON, destination="54321", *, message_id="774512890041", more="", text="Hi"):
    """Write a reply as Vibes' page shows it."""
    return (
        f'<moMessage messageId="{message_id}" receiptDate="2026-05-11 19:02:31 Z" attemptNumber="1">'
        f'<source address="{source}" carrier="102" type="MDN"/><destination address="{destination}" type="SC"/>{more}'
        f"<message>{escape(text)}</message></moMessage>"
    )


def heard(*arguments, **parts):
    """Return the text that a reply gives."""
    [text] = vendor.parse(posted(reply(*arguments, **parts), "inbound")).inbound
    return text


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("3125550142", PERSON),
        ("13125550142", PERSON),
        ("+13125550142", PERSON),
        (" 3125550142 ", PERSON),
        ("54321", "54321"),
        ("654321", "654321"),
        ("1125550142", "1125550142"),
        ("+3125550142", "+3125550142"),
        ("447405550125", "447405550125"),
        ("+447405550125", "+447405550125"),
        ("\u0663125550142", "\u0663125550142"),
    ],
)
def test_numbers_come_in_three_forms(written, meant):
    """North American numbers get plus and country code, on either side; short codes and others stay as they are."""
    assert heard(source=written).sender == meant
    assert heard(destination=written).recipient == meant


def test_a_repeated_reply_is_the_same():
    """A reply that comes again has another attempt number and is known by its id as the same."""
    first, again = reply(), reply().replace('attemptNumber="1"', 'attemptNumber="2"')

    ids = {vendor.parse(posted(body, "inbound")).inbound[0].vendor_id for body in (first, again)}
    assert (first == again, ids) == (False, {"774512890041"})


def test_the_parts_of_a_long_reply_are_all_kept():
    """Parts stay apart even if they share an id, a repeated part does not, and a whole text has its plain id."""
    first, second = (f'<longMessageInfo referenceNumber="7" noOfParts="2" partNumber="{n}"/>' for n in (1, 2))

    assert len({heard(more=info).vendor_id for info in (first, second, first, "")}) == 3
    assert heard(more='<longMessageInfo isMultipart="false"/>').vendor_id == "774512890041"


@pytest.mark.parametrize("parts", [{"message_id": ""}, {"source": " "}, {"destination": ""}])
def test_a_reply_that_lacks_something_is_set_aside(parts):
    """A reply without an id or a number is kept for a person and answered like any other, lest it hold up the rest."""
    parsed = vendor.parse(posted(reply(**parts), "inbound"))

    assert (parsed.inbound, len(parsed.set_aside)) == ((), 1)


@pytest.mark.parametrize(("kind", "body"), [("report", reply()), ("inbound", receipt()), ("inbound", "<deliver/>")])
def test_another_document_is_set_aside(kind, body):
    """A document that does not belong at an address is kept for a person."""
    [aside] = vendor.parse(posted(body, kind)).set_aside

    assert json.loads(aside.raw) == {"xml": body}


# XML as a way to attack

ATTACKS = {
    "entity": '<!DOCTYPE m [<!ENTITY x "y">]>',
    "billion laughs": '<!DOCTYPE m [<!ENTITY a "aaaa"><!ENTITY x "&a;&a;&a;&a;">]>',
    "file": '<!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
    "address": '<!DOCTYPE m [<!ENTITY x SYSTEM "http://127.0.0.1:9/x">]>',
    "document type": '<!DOCTYPE m SYSTEM "http://127.0.0.1:9/x.dtd">',
    "parameter entity": '<!DOCTYPE m [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x.dtd"> %p;]>',
}


@pytest.mark.parametrize("kind", ["report", "inbound"])
@pytest.mark.parametrize("prologue", ATTACKS.values(), ids=ATTACKS)
def test_no_entity_is_read(kind, prologue):
    """A document with a document type is malformed, whether an entity of it is used or not."""
    body = receipt(detail="X") if kind == "report" else reply(text="X")
    assert vendor.parse(posted(body, kind)) != Parsed()

    for used in (body, body.replace(">X<", ">&x;<") if "ENTITY x" in prologue else body):
        with pytest.raises(MalformedError):
            vendor.parse(posted(prologue + used, kind))


async def test_no_entity_of_an_answer_is_read(http):
    """An answer with a document type says nothing, for a send, a check and a question alike."""
    prologue = '<!DOCTYPE m [<!ENTITY x "y">]>'
    async with recorder(xml(f'{prologue}<mtMessageRsp messageId="{ID}"/>')) as server:
        assert isinstance(await send(server.url, http), Unknown)
        server.reply = xml(f'{prologue}<mdn carrier="102"/>')
        assert not (await vendor.check(account(server.url), http)).ok
        server.reply = xml(f"{prologue}<mtMessageResponses>{receipt()}</mtMessageResponses>")
        assert await vendor.report_of(account(server.url), OURS, ID, http) is None


NAMES = st.sampled_from(
    [
        "mtMessageResponse",
        "moMessage",
        "multipart",
        "type",
        "status",
        "description",
        "errorCode",
        "internalErrorCode",
        "source",
        "destination",
        "message",
        "longMessageInfo",
        "x",
    ]
)
ATTRIBUTES = st.sampled_from(
    [
        "messageId",
        "submitterMessageId",
        "receiptDate",
        "isMultipart",
        "noOfParts",
        "partNumber",
        "isError",
        "address",
        "originalMessageId",
        "fwdToMessageId",
        "type",
    ]
)
PLAIN = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12).filter(
    lambda text: not adapter._NOT_IN_XML.search(text)
)
VALUES = PLAIN | st.sampled_from(
    [
        "true",
        "false",
        "1",
        "0",
        "2",
        ID,
        OURS,
        "Handset",
        "System",
        "103",
        "9",
        "9999-12-31T23:59:59-23:59",
        "3125550142",
    ]
)


def written(name, attributes, inner):
    """Write an element."""
    said = "".join(f" {key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<{name}{said}>{inner}</{name}>"


DOCUMENTS = st.recursive(
    st.builds(written, NAMES, st.dictionaries(ATTRIBUTES, VALUES, max_size=5), VALUES.map(escape)),
    lambda inner: st.builds(
        written, NAMES, st.dictionaries(ATTRIBUTES, VALUES, max_size=6), st.lists(inner, max_size=5).map("".join)
    ),
    max_leaves=10,
)


@given(kind=st.sampled_from(["report", "inbound"]), body=DOCUMENTS)
def test_any_document_is_read_or_set_aside(kind, body):
    """Any well-formed document gives exactly one report, reply or thing set aside, with all of it kept."""
    parsed = vendor.parse(posted(body, kind))

    [item] = (*parsed.reports, *parsed.inbound, *parsed.set_aside)
    assert (item.raw if not parsed.set_aside else json.loads(item.raw)) == {"xml": body}


@given(
    kind=st.sampled_from(["report", "inbound"]),
    body=st.binary(max_size=80) | st.sampled_from([receipt(), reply()]).map(str.encode),
    cut=st.integers(0, 300),
    noise=st.binary(max_size=3),
    encoding=st.sampled_from(
        ["", "utf-8", "utf-16", "latin-1", "utf-7", "idna", "rot13", "base64", "nonsense", "cp037"]
    ),
)
def test_any_bytes_are_read_or_malformed(kind, body, cut, noise, encoding):
    """Any bytes, in whatever encoding they claim, are read or malformed, and without its token it proves nothing."""
    declared = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() if encoding else b""
    callback = replace(posted(declared + body[:cut] + noise + body[cut:], kind), token="")

    with pytest.raises(NotAuthenticError):
        vendor.verify(callback, account(callbackToken="t" * 32))
    with suppress(MalformedError):
        assert isinstance(vendor.parse(callback), Parsed)


# What can be sent


@pytest.mark.parametrize("character", ["\f", "\x1b", "\0", "\x08", "\x0b", "\x1f", "\udcff", "\ufffe", "\uffff"])
async def test_what_xml_cannot_carry_is_not_sent(http, character):
    """A character that XML has no way to write, form feed among them, is named, and a send of it makes no request."""
    text = f"one{character}two"

    assert f"U+{ord(character):04X}" in vendor.text_objection(text, {})
    async with recorder(xml("<x/>")) as server:
        outcome = await send(server.url, http, PERSON, text)
        assert server.requests == []
    assert (outcome.reason, outcome.retry) == (Reason.INVALID_CONTENT, Retry.NEVER)


@pytest.mark.parametrize(
    ("longest", "more"),
    [
        ("a" * 900, "a" * 601),
        ("€" * 600 + "a" * 300, "a"),
        ("Ж" * 750, "Ж"),
        ("😀" * 375, "!"),
        ("é" * 600 + "ç" * 150, "é"),
        ("{}" * 375, "a"),
    ],
    ids=["GSM", "GSM with extension", "UCS-2", "emoji", "one letter not in GSM", "brackets"],
)
def test_a_text_takes_at_most_1500_bytes(longest, more):
    """GSM characters take one byte, those of its extension two, and with any other character all take two or four."""
    assert vendor.text_objection(longest, {}) == ""
    assert "1500" in vendor.text_objection(longest + more, {})


@given(st.text(st.characters(codec=None), max_size=60))
def test_whatever_is_not_objected_to_arrives_unchanged(text):
    """A text without an objection comes out of the XML as it went in: line ends, brackets, blanks and emoji."""
    if not vendor.text_objection(text, {}):
        document = fromstring(adapter._document(call(text=text), call(text=text).messages[0], "SC"), forbid_dtd=True)
        assert (document.findtext("text") or "") == text


@pytest.mark.parametrize("text", ["a\r\nb\rc\n", "]]>", "<![CDATA[x]]>", "&amp;&#12;", " \t ", "Grüße ✓ 🛑", "</text>"])
async def test_signs_of_xml_are_only_text(http, text):
    """What means something in XML, carriage returns included, reaches Vibes as text."""
    async with recorder(KIT.refusal(400)) as server:
        await send(server.url, http, PERSON, text)
        [request] = server.requests
    assert fromstring(request.body).findtext("text") == text


async def document_of(http, wanted, **settings):
    """Return the document that a call posts."""
    async with recorder(KIT.refusal(400)) as server:
        await vendor.send(account(server.url, **settings), wanted, http)
        [request] = server.requests
    assert (request.method, request.path) == ("POST", "/MessageApi/mt/messages")
    assert request.headers["content-type"] == "text/xml"
    assert request.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<mtMessage ')
    return fromstring(request.body)


@pytest.mark.parametrize(
    ("sender", "setting", "expected"),
    [
        (SHORT_CODE, None, "SC"),
        (SHORT_CODE, "LC", "SC"),
        (TOLL_FREE, None, "MDN"),
        (TOLL_FREE, "TF", "TF"),
        (LONG_CODE, None, "MDN"),
        (LONG_CODE, "LC", "LC"),
    ],
)
async def test_the_source_type_follows_the_sender(http, sender, setting, expected):
    """A short code is SC as documented; what numbers are called can be set, as no page says it."""
    settings = {"sourceType": setting} if setting else {}
    document = await document_of(http, call(sender=sender), **settings)

    assert document.find("source").attrib == {"address": sender.address, "type": expected}
    assert document.find("destination").attrib == {"address": PERSON, "type": "MDN"}


async def test_only_what_is_known_is_asked_for(http):
    """Our id and splitting are always there, receipts only with an address, and no validity, which Vibes lacks."""
    document = await document_of(http, call(report_url="", validity=600))

    assert document.attrib == {"submitterMessageId": OURS, "splitLongMessage": "true"}
    assert [child.tag for child in document] == ["destination", "source", "text"]
    assert len(f"{BATCH}-99") <= 40


async def test_the_report_address_is_written_safely(http):
    """The address for receipts arrives whole, with all of them asked for."""
    url = "https://sms.example.com/api/callbacks/vibes/p/report/t?a=1&b='\"<"
    document = await document_of(http, call(report_url=url))

    assert (document.find("receiptOption").attrib, document.findtext("receiptOption")) == ({"callbackUrl": url}, "ALL")


# What comes of a send


@pytest.mark.parametrize(
    "body",
    [
        f'<mtMessageRsp messageId="{ID}" submitterMessageId="{OURS}" carrier="102" splitLongMessage="true"/>',
        f'<?xml version="1.0"?>\n<mtMessageRsp messageId=" {ID} "></mtMessageRsp>',
        f'<v:mtMessageRsp xmlns:v="urn:x" messageId="{ID}"/>',
    ],
)
async def test_a_message_id_is_an_acceptance(http, body):
    """An mtMessageRsp with an id means that Vibes has the message."""
    async with recorder(xml(body)) as server:
        assert await send(server.url, http) == Accepted(ID)


@pytest.mark.parametrize(
    "body",
    [
        "<mtMessageRsp/>",
        '<mtMessageRsp messageId=" "/>',
        f'<mtMessageRsp messageId="{ID}" submitterMessageId="another"/>',
        "<html><body>Sign in</body></html>",
        '<html xmlns="http://www.w3.org/1999/xhtml"><body/></html>',
        "mtMessageRsp",
    ],
)
async def test_an_answer_that_does_not_say_is_unknown(http, body):
    """Without an id, with another message's, or as a page of somebody between, an answer settles nothing."""
    async with recorder(xml(body)) as server:
        assert isinstance(await send(server.url, http), Unknown)


FAILURES = {
    "No route found to carrier from source address.": (Reason.UNROUTABLE, Retry.OTHER_SENDER),
    "No carrier route found for code.": (Reason.UNROUTABLE, Retry.OTHER_SENDER),
    "Code Lease not found.": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "Invalid source address.": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "MDN blocked": (Reason.OPTED_OUT, Retry.NEVER),
    "MDN is on block list": (Reason.OPTED_OUT, Retry.NEVER),
    "Invalid MDN.": (Reason.INVALID_RECIPIENT, Retry.NEVER),
    "Invalid destination address.": (Reason.INVALID_RECIPIENT, Retry.NEVER),
    "Message capped.": (Reason.QUOTA, Retry.NEVER),
    "The text is too long.": (Reason.INVALID_CONTENT, Retry.NEVER),
    "Authentication failed.": (Reason.CREDENTIALS, Retry.NEVER),
    "Invalid value": (Reason.OTHER, Retry.NEVER),
    "Please try again later.": (Reason.OTHER, Retry.NEVER),
}


async def test_a_200_may_be_a_failure(http):
    """XML that is no mtMessageRsp is Vibes' refusal under HTTP 200; nothing of it makes the gateway send again."""
    async with recorder(xml("")) as server:
        for words, (reason, retry) in FAILURES.items():
            for shape in (
                f'<error description="{words}"/>',
                f"<error>{words}</error>",
                f"<e><status><description>{words}</description></status></e>",
            ):
                server.reply = xml(shape)
                assert await send(server.url, http) == Refused(reason, retry, None, "", words)
    assert {reason for _, reason, _ in adapter.REFUSAL_WORDS} == {r for r, _ in FAILURES.values()} - {Reason.OTHER}
    assert Retry.LATER not in {retry for _, _, retry in adapter.REFUSAL_WORDS}


async def test_a_failures_code_and_words_are_kept_short(http):
    """The code is kept where there is one, blanks are folded, and no more than 300 characters of words are kept."""
    body = f"<e><errorCode> 26 </errorCode><description>a\n  b {'c' * 400}</description></e>"
    async with recorder(xml(body)) as server:
        outcome = await send(server.url, http)

    assert (outcome.code, outcome.detail) == ("26", f"a b {'c' * 296}")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_vibes_advice_to_try_again_is_not_followed(http, status):
    """Vibes says to try again after any error of the system; without a way to recognise a repeat that is unknown."""
    async with recorder(Reply(status, b"<error description='Busy'/>", {**XML, "Retry-After": "1"})) as server:
        outcome = await send(server.url, http)
        assert len(server.requests) == 1

    assert outcome == Unknown(f"Vibes answered {status}: Busy", str(status))


# Checking credentials


@pytest.mark.parametrize(
    ("answered", "ok"),
    [
        (xml('<mdn carrier="104" address="3125550142"/>'), True),
        (xml('<error description="Invalid value"/>'), True),
        (xml('<error description="Authentication failed"/>'), False),
        (xml("<html>Invalid value</html>"), False),
        (xml("<mtMessageRsp/>"), False),
        (Reply(404, b'<mdn carrier="0"/>', XML), False),
        (Reply(401, b"", XML), False),
    ],
    ids=["found", "not found", "refused", "page", "other", "404", "401"],
)
async def test_a_check_looks_up_a_carrier(http, answered, ok):
    """A carrier, or Vibes' words for a number without one, proves the credentials; nothing else does."""
    async with recorder(answered) as server:
        check = await vendor.check(account(server.url), http)
        [request] = server.requests

    assert check.ok is ok
    assert ("Platform" in check.detail) == (answered.status == 401)
    basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert (request.method, request.path, request.body) == ("GET", "/MessageApi/mdns/2025550142", b"")
    assert request.headers["authorization"] == f"Basic {basic}"


# Asking for a message's state


class Pages:
    """Answers by path, 404 for any other; stands where a recorder has its one reply."""

    headers = XML

    def __init__(self, server, pages):
        self._server = server
        self._pages = {f"/MessageApi/mt/messages/{path}": body for path, body in pages.items()}

    @property
    def status(self):
        return 200 if self._server.requests[-1].path in self._pages else 404

    @property
    def body(self):
        return self._pages.get(self._server.requests[-1].path, "<html/>").encode()


async def asked(http, pages, vendor_id=ID):
    """Ask for a message of which Vibes has these pages; return the report and the paths that were read."""
    async with recorder(xml("")) as server:
        server.reply = Pages(server, pages)
        report = await vendor.report_of(account(server.url), OURS, vendor_id, http)
        return report, [request.path.removeprefix("/MessageApi/mt/messages/") for request in server.requests]


def responses(*receipts):
    """Write the page of a message's receipts."""
    return f"<mtMessageResponses>{''.join(receipts)}</mtMessageResponses>"


def parts(*ids, of=ID):
    """Write the page of a message's parts."""
    items = "".join(f'<mtMessage messageId="{one}" originalMessageId="{of}"><text>x</text></mtMessage>' for one in ids)
    return f"<mtMessageParts>{items}</mtMessageParts>"


@pytest.mark.parametrize(
    ("receipts", "state", "code"),
    [
        ([("System", {})], State.QUEUED, ""),
        ([("System", {}), ("Carrier", {})], State.SENT, ""),
        ([("Handset", {}), ("Carrier", {}), ("System", {})], State.DELIVERED, ""),
        ([("Carrier", {}), ("Handset", {"failed": True, "code": "103"})], State.UNDELIVERED, "103"),
        ([("Handset", {"failed": True, "code": "103"}), ("Handset", {})], State.DELIVERED, ""),
        ([("Carrier", {}), ("Handset", {"failed": True, "code": "100"})], State.UNKNOWN, "100"),
        ([("System", {"failed": True, "internal": "14"}), ("Carrier", {})], State.SENT, ""),
    ],
)
async def test_the_last_word_of_all_receipts_counts(http, receipts, state, code):
    """Of a message's receipts, in whatever order, the one that says most of it is given, and one page is read."""
    page = responses(*(receipt(stage, **more) for stage, more in receipts))
    report, paths = await asked(http, {f"{ID}/responses": page})

    assert (report.state, report.code, report.part) == (state, code, None)
    assert (report.message, report.vendor_id, paths) == (OURS, ID, [f"{ID}/responses"])
    assert report.raw == {"xml": page}


async def test_receipts_of_others_say_nothing(http):
    """Receipts that name another message of ours or of Vibes', and elements to come, are passed over."""
    others = (receipt(ours=f"{BATCH}-1"), receipt(message_id=SECOND), "<new/>", "<mtMessageResponse/>")

    assert (await asked(http, {f"{ID}/responses": responses(*others)}))[0] is None
    assert (await asked(http, {f"{ID}/responses": responses()}))[0] is None
    assert (await asked(http, {f"{ID}/responses": f"<other>{receipt()}</other>"}))[0] is None
    assert (await asked(http, {f"{ID}/responses": responses(*others, receipt("Carrier"))}))[0].state is State.SENT


@pytest.mark.parametrize("status", [202, 404, 500])
async def test_receipts_count_only_under_200(http, status):
    """What stands on a page that Vibes does not answer for is no report, of a message or of its parts."""
    async with recorder(Reply(status, responses(receipt()).encode(), XML)) as server:
        assert await vendor.report_of(account(server.url), OURS, ID, http) is None
        assert await adapter._other_parts(account(server.url), ID, http) == []


async def test_the_published_sample_is_read(http):
    """Vibes' own sample, a part that reached the carrier and then failed, tells of the failed part."""
    sample = responses(
        receipt("Carrier", detail="MtMessage successfully delivered to Carrier", part=(1, 2)),
        receipt(failed=True, detail="Carrier failed while submitting message", code="107", internal="7", part=(1, 2)),
    )
    report, _ = await asked(http, {f"{ID}/responses": sample})

    assert (report.state, report.reason, report.part) == (State.FAILED, Reason.CARRIER_BLOCKED, Part(1, 2))


DELIVERED, SENT = ("Handset", {}), ("Carrier", {})
UNDELIVERED = ("Handset", {"failed": True, "code": "103"})


@pytest.mark.parametrize(
    ("second", "third", "expected"),
    [
        (DELIVERED, DELIVERED, (State.DELIVERED, None)),
        (DELIVERED, SENT, (State.SENT, Part(3, 3))),
        (UNDELIVERED, SENT, (State.UNDELIVERED, Part(2, 3))),
        (DELIVERED, UNDELIVERED, (State.UNDELIVERED, Part(3, 3))),
        (DELIVERED, None, (State.DELIVERED, Part(1, 3))),
    ],
)
async def test_every_part_of_a_split_message_is_asked_for(http, second, third, expected):
    """A message is delivered when all parts are; a failed part decides, then an open one, then what is known."""
    pages = {f"{ID}/responses": responses(receipt(part=(1, 3))), f"{ID}/parts": parts(ID, SECOND, THIRD)}
    for number, one, said in ((2, SECOND, second), (3, THIRD, third)):
        if said:
            pages[f"{one}/responses"] = responses(receipt(said[0], part=(number, 3), message_id=one, **said[1]))
    report, paths = await asked(http, pages)

    assert (report.state, report.part) == expected
    assert (report.message, report.vendor_id) == (OURS, ID)
    assert sorted(paths) == sorted([f"{ID}/responses", f"{ID}/parts", f"{SECOND}/responses", f"{THIRD}/responses"])


async def test_parts_that_one_page_tells_need_no_other(http):
    """Where the message's own page has the receipts of all parts, no other is read."""
    page = responses(receipt(part=(1, 2)), receipt(part=(2, 2), message_id=SECOND))
    report, paths = await asked(http, {f"{ID}/responses": page})

    assert (report.state, report.part, paths) == (State.DELIVERED, None, [f"{ID}/responses"])


async def test_parts_of_another_message_are_not_asked_for(http):
    """A list of parts that belong elsewhere, or that names no ids, leads nowhere, and no list is read without end."""
    first = {f"{ID}/responses": responses(receipt(part=(1, 3)))}

    for page in (parts(SECOND, of=THIRD), parts("", ID), "<html/>", "nothing"):
        report, paths = await asked(http, first | {f"{ID}/parts": page})
        assert (report.state, report.part) == (State.DELIVERED, Part(1, 3))
        assert paths == [f"{ID}/responses", f"{ID}/parts"]
    _, paths = await asked(http, first | {f"{ID}/parts": parts(*(f"part-{n}" for n in range(500)))})
    assert len(paths) == 22


async def test_an_id_is_only_a_part_of_the_path(http):
    """An id from outside cannot lead a request to another path."""
    _, paths = await asked(http, {}, vendor_id="../mdns/1?x#y")

    assert paths == ["..%2Fmdns%2F1%3Fx%23y/responses"]


# Setting it up

URLS = CallbackUrls("https://x.example/report/tok", "https://x.example/inbound/tok", "r", "i")


@pytest.mark.parametrize("secrets", [frozenset(), frozenset({"password", "callbackPassword"})])
def test_the_text_for_support_says_all_but_passwords(secrets):
    """Both languages name account, senders, addresses, format and user name, and a password only as one to follow."""
    wiring = Wiring(URLS, {"username": USER, "callbackUser": "vibes-user"}, secrets, (SHORT_CODE, TOLL_FREE))

    texts = vendor.support(wiring)

    assert [text.language for text in texts] == ["en", "de"]
    for text in texts:
        for fact in (USER, "54321, +18885550100", URLS.inbound, URLS.report, "moMessage", "XML", "mtMessageResponse"):
            assert text.text.count(fact) == 1
        assert ("vibes-user" in text.text) == ("Basic" in text.text) == bool(secrets)
        assert "{" not in text.text
        assert text.subject
    assert ["safe channel" in texts[0].text, "sicheren Weg" in texts[1].text] == [bool(secrets)] * 2


def test_the_text_for_support_can_do_without_senders():
    """Before there are senders the text asks for all, and braces in a setting stay what they are."""
    english, german = vendor.support(Wiring(URLS, {"username": "a{b}@example.com"}))

    assert "senders (all of them)." in english.text
    assert "Absender (alle)." in german.text
    assert "a{b}@example.com" in english.text


def test_set_up_names_each_address_once():
    """Each address stands once as something to paste and nowhere else, whatever is set."""
    for secrets in (frozenset(), frozenset({"callbackPassword"})):
        steps = vendor.set_up(Wiring(URLS, {"callbackUser": "u"}, secrets, (SHORT_CODE,)))
        said = " ".join(f"{step.title} {step.detail} {step.value}" for step in steps)
        assert (said.count(URLS.inbound), said.count(URLS.report)) == (1, 1)


# Against the sandbox

NOWHERE = "http://127.0.0.1:1/report"


@pytest.fixture
async def sandbox():
    """Run a sandbox in which the account exists, with any sender."""
    async with running_sandbox(seed=1) as running:
        running.vendor(VibesVendor).accounts.put(USER, SandboxAccount(username=USER, password=PASSWORD))
        yield running


@pytest.fixture
def ledger(sandbox):
    """Give the sandbox's ledger: what Vibes really accepted."""
    return sandbox.vendor(VibesVendor).ledger


@pytest.fixture
def address(sandbox):
    """Give the address of the simulated vendor."""
    return f"{sandbox.base_url}/vibes"


@pytest.mark.parametrize("sender", [SHORT_CODE, TOLL_FREE, LONG_CODE], ids=lambda sender: sender.type.value)
async def test_a_text_is_sent_once(address, ledger, http, sender):
    """A text that the sandbox takes is accepted under its id, with sender, recipient and words as asked."""
    outcome = await send(address, http, PERSON, "Grüße & ✓\r\n", sender=sender, report_url=NOWHERE)

    [message] = ledger
    assert outcome == Accepted(message.id)
    assert (message.recipient, message.text, message.tag) == (PERSON, "Grüße & ✓\r\n", OURS)
    assert (message.sender, message.callback_url) == (sender.address, NOWHERE)


@pytest.mark.parametrize("text", ["a" * 900, "Ж" * 750, "€" * 600])
async def test_the_longest_texts_are_taken(address, ledger, http, text):
    """What the adapter does not object to the sandbox takes whole."""
    assert isinstance(await send(address, http, PERSON, text, report_url=""), Accepted)
    assert [message.text for message in ledger] == [text]


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("0150", Refused(Reason.INVALID_RECIPIENT, Retry.NEVER)),
        ("0152", Refused(Reason.UNROUTABLE, Retry.OTHER_SENDER)),
        ("0170", Refused(Reason.THROTTLED, Retry.LATER)),
        ("0171", Refused(Reason.THROTTLED, Retry.LATER, 1.0)),
        ("0172", Refused(Reason.THROTTLED, Retry.LATER)),
    ],
)
async def test_the_sandbox_refuses_as_vibes_does(address, ledger, http, digits, expected):
    """A refusal has its reason, and nothing is in the ledger."""
    outcome = await send(address, http, magic_number(digits))

    assert replace(outcome, code="", detail="") == expected
    assert len(ledger) == 0


@pytest.mark.parametrize(("digits", "sent"), [("0173", 0), ("0174", 1), ("0175", 1), ("0176", 0), ("0178", 0)])
async def test_a_lost_answer_stays_unknown(address, ledger, http, digits, sent):
    """Whether a message was taken cannot be told from a fault, nor looked up, so it is never sent again."""
    wanted = call(magic_number(digits), report_url="")
    sent_as = (await vendor.send(account(address), wanted, http))[OURS]

    assert isinstance(sent_as, Unknown)
    assert isinstance((await vendor.lookup(account(address), wanted, frozenset(), http))[OURS], Unknown)
    assert len(ledger) == sent


@pytest.mark.parametrize(
    ("digits", "state", "reason", "code"),
    [
        ("0123", State.DELIVERED, None, ""),
        ("0151", State.REJECTED, Reason.OPTED_OUT, "9"),
        ("0160", State.UNDELIVERED, Reason.UNREACHABLE, "103"),
        ("0162", State.FAILED, Reason.CARRIER_BLOCKED, "107"),
        ("0164", State.REJECTED, Reason.OPTED_OUT, "9"),
        ("0165", State.EXPIRED, Reason.EXPIRED, "101"),
        ("0167", State.REJECTED, Reason.INVALID_SENDER, "16"),
        ("0168", State.REJECTED, Reason.QUOTA, "12"),
        ("0169", State.UNKNOWN, Reason.NO_REPORT, "100"),
    ],
)
async def test_a_message_can_be_asked_for(sandbox, address, http, digits, state, reason, code):
    """What became of a message that no receipt told of stands on its page, in the same words."""
    sent = await send(address, http, magic_number(digits), report_url="")
    await sandbox.idle()

    report = await vendor.report_of(account(address), OURS, sent.vendor_id, http)

    assert (report.state, report.reason, report.code) == (state, reason, code)
    assert (report.message, report.vendor_id) == (OURS, sent.vendor_id)


@pytest.mark.parametrize(("digits", "state"), [("0123", State.DELIVERED), ("0160", State.UNDELIVERED)])
async def test_a_split_message_can_be_asked_for(sandbox, address, http, digits, state):
    """Of a message in parts every part is asked for, and only together they are a delivery."""
    sent = await send(address, http, magic_number(digits), "x" * 400, report_url="")
    await sandbox.idle()

    report = await vendor.report_of(account(address), OURS, sent.vendor_id, http)

    assert report.state is state
    assert (report.part is None) == (state is State.DELIVERED)


async def test_a_message_that_vibes_does_not_have_tells_nothing(sandbox, address, http):
    """A message that is not there, or an account that may not ask, gives no report."""
    sent = await send(address, http, report_url="")
    await sandbox.idle()

    assert await vendor.report_of(account(address), OURS, ID, http) is None
    assert await vendor.report_of(account(address, password="wrong"), OURS, sent.vendor_id, http) is None


@pytest.mark.parametrize(("password", "ok"), [(PASSWORD, True), ("wrong", False)])
async def test_a_check_tells_good_credentials_from_bad(address, ledger, http, password, ok):
    """The check passes with the account's password and no other, and sends nothing."""
    check = await vendor.check(account(address, password=password), http)

    assert check.ok is ok
    assert len(ledger) == 0


async def test_a_persons_reply_is_read(sandbox, address, http):
    """A text to our short code comes with Basic authentication, proves itself, and is read as it was written."""
    async with recorder(Reply(200, b"")) as server:
        number = Number(
            number="54321", account=USER, inbound_url=f"{server.url}/in", inbound_user="u", inbound_password="p" * 16
        )
        sandbox.vendor(VibesVendor).numbers.put("54321", number)
        body = {"from": PERSON, "to": "54321", "text": "Stop 🛑 & more"}
        async with http.session.post(f"{sandbox.base_url}/sandbox/vibes/inbound", json=body) as response:
            assert response.status < 300
        await sandbox.idle()
        [request] = server.requests

    callback = Callback("inbound", f"{server.url}/in", {}, request.headers, request.body, token="t" * 32)
    vendor.verify(callback, account(callbackToken="t" * 32, callbackUser="u", callbackPassword="p" * 16))
    [text] = vendor.parse(callback).inbound
    assert (text.sender, text.recipient, text.text) == (PERSON, "54321", "Stop 🛑 & more")
    assert text.vendor_id
    assert text.at.tzinfo
