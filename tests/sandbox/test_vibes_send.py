"""Vibes: what it takes, what it refuses and how, and what can be read back."""

from __future__ import annotations

import asyncio
import base64
from xml.sax.saxutils import escape, quoteattr

import aiohttp
import pytest
from defusedxml.ElementTree import fromstring

from sandbox.outcomes import Reason, magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.vibes import FAILED, Account, Number, VibesVendor
from tests.sandbox.conftest import PERSON

USER, PASSWORD = "gateway@example.com", "PasswordOfTheApiUser"
OTHER_USER = "other@example.com"
CODE, OTHER_CODE = "54321", "98765"
MESSAGES = "/vibes/MessageApi/mt/messages"
ID = "01JDA8V0Z5Q6XW3K9N7RB2T4CM-17"


def set_up(sandbox):
    vendor = sandbox.vendor(VibesVendor)
    for user, code in ((USER, CODE), (OTHER_USER, OTHER_CODE)):
        vendor.accounts.put(user, Account(username=user, password=PASSWORD))
        vendor.numbers.put(code, Number(number=code, account=user))
    return vendor


@pytest.fixture
def vibes(sandbox):
    vendor = set_up(sandbox)
    vendor.mischief.faults.slow_seconds = 0.2
    return vendor


def mt_message(
    *,
    root='submitterMessageId="01JDA8V0Z5Q6XW3K9N7RB2T4CM-17" splitLongMessage="true"',
    to=PERSON,
    destination='type="MDN"',
    sender=CODE,
    source='type="SC"',
    text="Hello",
    callback=None,
    option="ALL",
    more="",
):
    """Write a request as Vibes' page shows it."""
    receipts = f"<receiptOption callbackUrl={quoteattr(callback)}>{option}</receiptOption>" if callback else ""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<mtMessage {root}>'
        f"<destination address={quoteattr(to)} {destination}/><source address={quoteattr(sender)} {source}/>"
        f"<text>{escape(text)}</text>{receipts}{more}</mtMessage>"
    )


def basic(user, password):
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


async def ask(sandbox, http, method, path, body=None, *, user=USER, password=PASSWORD, content_type="text/xml"):
    """Make a raw request; give status, the answer's root element if it is XML, and headers."""
    headers = {"Content-Type": content_type} if body is not None else {}
    if user:
        headers["Authorization"] = basic(user, password)
    data = body.encode() if isinstance(body, str) else body
    async with http.request(method, sandbox.base_url + path, data=data, headers=headers) as response:
        said = await response.read()
        root = fromstring(said) if response.content_type == "text/xml" else None
        return response.status, root, response.headers


async def send(sandbox, http, **parts):
    return await ask(sandbox, http, "POST", MESSAGES, mt_message(**parts))


def refusal_of(status, root):
    """Give a refusal's words and code: 200 and an XML that is no mtMessageRsp."""
    assert status == 200
    assert root.tag == "mtMessageError"
    assert "messageId" not in root.attrib
    return root.findtext("status/description"), root.findtext("status/errorCode")


@pytest.mark.parametrize("content_type", ["text/xml", "application/xml; charset=utf-8"])
async def test_a_message_is_queued(sandbox, vibes, http, content_type):
    """A documented request is answered 200 with mtMessageRsp, its id, ours, the carrier and the flag."""
    body = mt_message(text="Grüße & <100%> ✓")

    status, root, headers = await ask(sandbox, http, "POST", MESSAGES, body, content_type=content_type)

    [message] = vibes.ledger
    assert (status, root.tag) == (200, "mtMessageRsp")
    assert headers["Content-Type"].startswith("text/xml")
    assert root.attrib == {
        "messageId": message.id,
        "submitterMessageId": ID,
        "carrier": message.extra["carrier"],
        "splitLongMessage": "true",
    }
    assert (message.account, message.sender, message.recipient, message.tag) == (USER, CODE, PERSON, ID)
    assert message.text == "Grüße & <100%> ✓"


async def test_the_published_sample_is_taken(sandbox, vibes, http):
    """The sample of Vibes' page, carrier, transaction and http address included, is accepted."""
    sample = (
        '<?xml version="1.0" encoding="UTF-8"?>\n\n'
        '<mtMessage submitterMessageId="239487234987234" splitLongMessage="true">\n'
        '    <destination carrier="102" address="+18475551212" type="MDN" />\n'
        '    <source address="54321" type="SC" />\n    <text><![CDATA[123857AB12]]></text>\n'
        '    <receiptOption callbackUrl="http://www.client.example/callback" >ERROR</receiptOption>\n'
        '    <transaction id="6439376297230"/>\n</mtMessage>'
    )

    status, root, _ = await ask(sandbox, http, "POST", MESSAGES, sample)

    assert (status, root.tag, root.get("carrier")) == (200, "mtMessageRsp", "102")
    assert [message.text for message in vibes.ledger] == ["123857AB12"]


@pytest.mark.parametrize("to", [PERSON, PERSON[1:], PERSON[2:], "+14165550123"])
async def test_recipients_are_in_the_us_and_canada(sandbox, vibes, http, to):
    """E.164, eleven and ten digits name a person in the US or Canada."""
    status, root, _ = await send(sandbox, http, to=to)

    assert (status, root.tag) == (200, "mtMessageRsp")
    assert [message.recipient for message in vibes.ledger] == [to if to.startswith("+1416") else PERSON]


@pytest.mark.parametrize("to", ["", "12065", "+1206555", "+447405550125", "+4915115550160", "+1 206 555 0123", "x"])
async def test_other_recipients_are_refused(sandbox, vibes, http, to):
    """A number that is none, or of another country, is refused with 200 and code 26."""
    status, root, _ = await send(sandbox, http, to=to)

    assert refusal_of(status, root) == ("Invalid destination address.", "26")
    assert len(vibes.ledger) == 0


WRONG = {
    "no XML": b"{}",
    "empty": b"",
    "another root": b"<mtMessageBundle/>",
    "cut": mt_message()[:-5],
    "control character": mt_message(more="\x1b"),
    "no destination": "<mtMessage><source address='54321' type='SC'/><text>Hi</text></mtMessage>",
    "no source": "<mtMessage><destination address='+12065550123'/><text>Hi</text></mtMessage>",
    "no text": ("<mtMessage><destination address='+12065550123'/><source address='54321' type='SC'/></mtMessage>"),
    "empty text": mt_message(text=""),
    "id too long": mt_message(root=f'submitterMessageId="{"x" * 41}"'),
    "flag": mt_message(root='splitLongMessage="yes"'),
    "alternate delivery": mt_message(root='alternateDelivery="true"'),
    "unknown attribute": mt_message(root='priority="1"'),
    "unknown element": mt_message(more="<validityPeriod>600</validityPeriod>"),
    "element in the text": mt_message(text="BEFORE").replace("BEFORE", "A <b>bold</b> word"),
    "two texts": mt_message(more="<text>Again</text>"),
    "two recipients": mt_message(more='<destination address="+12065550124" type="MDN"/>'),
    "destination type": mt_message(destination='type="EMAIL"'),
    "carrier": mt_message(destination='type="MDN" carrier="Verizon"'),
    "no source type": mt_message(source=""),
    "source type": mt_message(source='type="LC"'),
    "source address": mt_message(sender="Contoso"),
    "receipt option": mt_message(callback="https://sms.example.com/r", option="true"),
    "no receipt option": mt_message(callback="https://sms.example.com/r", option=""),
    "callback address": mt_message(callback="/r"),
    "not split": mt_message(root='splitLongMessage="false"', text="x" * 161),
    "too long": mt_message(text="x" * 901),
    "too many bytes": mt_message(text="✓" * 751),
}


@pytest.mark.parametrize("body", WRONG.values(), ids=WRONG.keys())
async def test_wrong_requests_are_refused_with_200(sandbox, vibes, http, body):
    """What is wrong in a request is said in an XML under 200, and nothing is sent."""
    status, root, _ = await ask(sandbox, http, "POST", MESSAGES, body)

    words, _ = refusal_of(status, root)
    assert words
    assert len(vibes.ledger) == 0


@pytest.mark.parametrize(("text", "parts"), [("x" * 160, 1), ("x" * 161, 2), ("x" * 900, 6), ("✓" * 750, 12)])
async def test_a_long_text_is_split(sandbox, vibes, http, text, parts):
    """Up to 900 characters and 1,500 bytes are taken and split, each part recorded under its own id."""
    status, root, _ = await send(sandbox, http, text=text)

    [message] = vibes.ledger
    assert (status, root.tag) == (200, "mtMessageRsp")
    assert (message.segments, len(set(message.extra["parts"]))) == (parts, parts)
    assert message.extra["parts"][0] == root.get("messageId")


BOMB = '<!DOCTYPE m [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE m [<!ENTITY b SYSTEM "file:///etc/hostname">]>'


@pytest.mark.parametrize(
    ("type_", "text"),
    [(BOMB, "&b;"), (OUTSIDE, "&b;"), ("<!DOCTYPE mtMessage>", "Hi")],
    ids=["billion laughs", "external", "no entity"],
)
async def test_document_types_are_refused(sandbox, vibes, http, type_, text):
    """A document type, with entities of its own or of the machine or without, is refused unread."""
    body = mt_message(text="BEFORE").replace("<mtMessage", f"{type_}<mtMessage").replace("BEFORE", text)

    status, root, _ = await ask(sandbox, http, "POST", MESSAGES, body)

    assert refusal_of(status, root)[0] == "The request is not an mtMessage."
    assert len(vibes.ledger) == 0


async def test_senders_are_leased(sandbox, vibes, http):
    """A code of another account, or of nobody while the account has its own, is refused."""
    for sender in (OTHER_CODE, "11111"):
        status, root, _ = await send(sandbox, http, sender=sender)
        assert refusal_of(status, root)[0] == "Not authorized to send messages from the specified code."
    assert len(vibes.ledger) == 0


async def test_a_long_code_has_the_type_agreed_on(sandbox, vibes, http):
    """A long code goes with the type it was set up with, and with no other."""
    vibes.numbers.put("+14255550199", Number(number="+14255550199", account=USER, type="LC"))

    _, right, _ = await send(sandbox, http, sender="+14255550199", source='type="LC"')
    _, wrong, _ = await send(sandbox, http, sender="+14255550199", source='type="SC"')

    assert (right.tag, wrong.tag) == ("mtMessageRsp", "mtMessageError")


@pytest.mark.parametrize(
    ("user", "password"), [(None, ""), (USER, "wrong"), ("nobody@example.com", PASSWORD), (USER, "")]
)
@pytest.mark.parametrize("path", [MESSAGES, MESSAGES + "/1", "/vibes/MessageApi/mdns/+12065550123", "/vibes/nowhere"])
async def test_credentials_come_first(sandbox, vibes, http, user, password, path):
    """Without the user's password every path is 401, whatever else is wrong."""
    method = "POST" if path == MESSAGES else "GET"

    status, root, headers = await ask(sandbox, http, method, path, user=user, password=password)

    assert (status, root) == (401, None)
    assert headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
async def test_only_xml_is_taken(sandbox, vibes, http, content_type):
    """A body of another type is an error of the system: 415."""
    status, _, _ = await ask(sandbox, http, "POST", MESSAGES, mt_message(), content_type=content_type)

    assert status == 415
    assert len(vibes.ledger) == 0


async def test_the_same_request_again_is_another_message(sandbox, vibes, http):
    """Nothing recognises a repeated submitterMessageId: the person gets the text twice."""
    answers = [await send(sandbox, http) for _ in range(2)]

    assert len({root.get("messageId") for _, root, _ in answers}) == 2
    assert [message.tag for message in vibes.ledger] == [ID, ID]


@pytest.mark.parametrize(
    ("digits", "words", "code"),
    [("0150", "Invalid destination address.", "26"), ("0152", "No carrier route found for code.", "8")],
)
async def test_magic_refusals_are_a_200_too(sandbox, vibes, http, digits, words, code):
    """A number that does not exist and one without a route are refused in the XML of a 200."""
    status, root, _ = await send(sandbox, http, to=magic_number(digits))

    assert refusal_of(status, root) == (words, code)
    assert root.get("submitterMessageId") == ID
    assert len(vibes.ledger) == 0


async def test_every_reason_has_its_receipt():
    """No reason falls through the table of receipts."""
    assert set(FAILED) == set(Reason)


@pytest.mark.parametrize(
    ("digits", "answers", "sent"),
    [
        ("0170", [(429, None), (200, None)], 1),
        ("0171", [(429, "1"), (200, None)], 1),
        ("0172", [(429, None), (429, None)], 0),
        ("0173", [(500, None), (200, None)], 1),
        ("0174", [(500, None), (200, None)], 2),
        ("0175", [(0, None), (200, None)], 2),
        ("0176", [(0, None), (200, None)], 1),
        ("0178", [(500, None), (500, None)], 0),
        ("0179", [(0, None), (0, None)], 2),
    ],
)
async def test_troubles_on_the_wire(sandbox, vibes, http, digits, answers, sent):
    """Each trouble answers as promised, and the ledger tells what was really sent."""
    got = []
    for _ in range(2):
        try:
            status, _, headers = await send(sandbox, http, to=magic_number(digits))
        except aiohttp.ClientError:
            status, headers = 0, {}
        got.append((status, headers.get("Retry-After")))

    assert got == answers
    assert len(vibes.ledger) == sent


async def test_a_slow_answer_is_sent_before_it_is_answered(sandbox, vibes, http):
    """A client that gives up waiting has sent nevertheless."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await send(sandbox, http, to=magic_number("0177"))

    assert len(vibes.ledger) == 1


async def test_a_message_can_be_read_back(sandbox, vibes, http):
    """A part's id gives the message as handed in, with its place; both parts are listed under either id."""
    _, answer, _ = await send(sandbox, http, text="x" * 161)
    await sandbox.idle()
    [message] = vibes.ledger
    second = message.extra["parts"][1]

    status, one, _ = await ask(sandbox, http, "GET", f"{MESSAGES}/{second}")
    _, parts, _ = await ask(sandbox, http, "GET", f"{MESSAGES}/{answer.get('messageId')}/parts")

    assert status == 200
    expected = {
        "submitterMessageId": ID,
        "messageId": second,
        "isMultipart": "true",
        "noOfParts": "2",
        "partNumber": "2",
        "originalMessageId": message.id,
    }
    assert expected.items() <= one.attrib.items()
    assert one.find("destination").get("address") == PERSON
    assert (one.findtext("text"), one.findtext("receiptOption")) == ("x" * 161, "NONE")
    assert [part.get("messageId") for part in parts] == message.extra["parts"]


async def test_receipts_can_be_read_back_whether_asked_for_or_not(sandbox, vibes, http):
    """The responses of a message are its receipts so far, the failed one with both codes as in Vibes' sample."""
    _, answer, _ = await send(sandbox, http, to=magic_number("0161"))
    await sandbox.idle()

    _, root, _ = await ask(sandbox, http, "GET", f"{MESSAGES}/{answer.get('messageId')}/responses")

    assert root.tag == "mtMessageResponses"
    assert [response.findtext("type") for response in root] == ["System", "Carrier", "Handset"]
    assert {response.get("messageId") for response in root} == {answer.get("messageId")}
    last = root[-1].find("status")
    assert last.get("isError") == "true"
    assert [last.findtext(tag) for tag in ("description", "errorCode", "internalErrorCode")] == [
        "Carrier failed while submitting message",
        "107",
        "7",
    ]


async def test_a_receipt_told_twice_is_read_back_once(sandbox, vibes, http):
    """The responses are what happened, not how often and in which order it was told."""
    for digits in ("0182", "0183"):
        _, answer, _ = await send(sandbox, http, to=magic_number(digits))
        await sandbox.idle()

        _, root, _ = await ask(sandbox, http, "GET", f"{MESSAGES}/{answer.get('messageId')}/responses")

        assert [response.findtext("type") for response in root] == ["System", "Carrier", "Handset"]


async def test_a_message_is_not_found_before_its_first_receipt(http):
    """What was only just accepted, and what is another account's, is 404."""
    async with running_sandbox(time_scale=100) as sandbox:
        set_up(sandbox)
        _, fresh, _ = await send(sandbox, http)
        own, _, _ = await ask(sandbox, http, "GET", f"{MESSAGES}/{fresh.get('messageId')}")
    async with running_sandbox() as sandbox:
        set_up(sandbox)
        _, told, _ = await send(sandbox, http)
        await sandbox.idle()
        foreign, _, _ = await ask(sandbox, http, "GET", f"{MESSAGES}/{told.get('messageId')}", user=OTHER_USER)

    assert (own, foreign) == (404, 404)


@pytest.mark.parametrize(
    ("mdn", "query", "carrier", "provisioned"),
    [
        ("%2B12065550123", "", True, None),
        ("2065550123", "?shortcode=54321", True, "true"),
        ("12065550123", "?shortcode=98765", True, "false"),
        ("+14255550150", "?shortcode=54321", False, "false"),
        ("+14255550152", "?shortcode=54321", True, "false"),
        ("+447405550125", "", False, None),
    ],
)
async def test_carriers_are_looked_up(sandbox, vibes, http, mdn, query, carrier, provisioned):
    """A number has a carrier code, or 0; with a code it says whether that reaches the number."""
    status, root, _ = await ask(sandbox, http, "GET", f"/vibes/MessageApi/mdns/{mdn}{query}")

    assert (status, root.tag, root.get("provisioned")) == (200, "mdn", provisioned)
    assert (root.get("carrier") in {"101", "102", "104", "105"}) is carrier
    assert carrier or root.get("carrier") == "0"


async def test_the_control_api_manages_users_and_codes(sandbox, vibes, control, http):
    """A new password replaces the old one; foreign codes stay foreign; no secret is shown."""
    await control.ask("POST", "/vibes/accounts", {"username": USER, "password": "Another"}, status=201)
    url = "https://sms.example.com/api/callbacks/vibes/1/inbound/TheToken"
    number = {"number": CODE, "inbound_url": url, "inbound_user": "vibes", "inbound_password": "TheirPassword"}
    await control.ask("POST", f"/vibes/accounts/{USER}/numbers", number, status=201)
    await control.ask("POST", f"/vibes/accounts/{USER}/numbers", {"number": OTHER_CODE}, status=400)
    await control.ask("POST", f"/vibes/accounts/{USER}/numbers", number | {"inbound_user": None}, status=400)

    state = str(await control.ask("GET", "/vibes"))
    listed = str(await control.ask("GET", f"/vibes/accounts/{USER}/numbers"))
    old, _, _ = await send(sandbox, http)
    new, _, _ = await ask(sandbox, http, "POST", MESSAGES, mt_message(), password="Another")

    assert (old, new) == (401, 200)
    assert "https://sms.example.com/***" in listed
    for secret in ("TheToken", "TheirPassword", "Another", PASSWORD):
        assert secret not in state + listed
    await control.ask("DELETE", f"/vibes/accounts/{USER}", status=204)
    assert CODE not in vibes.numbers
