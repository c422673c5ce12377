"""Twilio alone: its signatures against its own validator, its codes, and the adapter against the sandbox."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from functions.vendors import twilio as adapter
from functions.vendors.contract import (
    Accepted,
    Account,
    Answer,
    Callback,
    DeliveryReport,
    NotAuthenticError,
    Reason,
    Refused,
    Retry,
    Sender,
    SenderType,
    State,
    Unknown,
)
from functions.vendors.twilio import vendor
from sandbox.outcomes import magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.twilio import Account as SandboxAccount
from sandbox.vendors.twilio import Number, Service, TwilioVendor
from tests.vendors.kit import PROVIDER, Reply
from tests.vendors.servers import recorder
from tests.vendors.twilio.kit import KIT

SID = "AC0123456789abcdef0123456789abcdef"
TOKEN = "0123456789abcdef0123456789abcdef"
OTHER_TOKEN = "fedcba9876543210fedcba9876543210"
SERVICE = "MG0123456789abcdef0123456789abcdef"
PERSON = "+14255550123"
FORM = "application/x-www-form-urlencoded"


def account(base_url="https://vendor.example.com", **changes):
    """Return an account of the sandbox's."""
    return Account(PROVIDER, {"accountSid": SID, "authToken": TOKEN, "baseUrl": base_url, **changes})


def call(to=PERSON, text="Hello", **changes):
    """Return a call that sends one text now."""
    base = KIT.call((to,), text)
    return replace(base, **{"first_attempt": datetime.now(UTC), "report_url": "", **changes})


async def send(server, http, *arguments, **changes):
    """Send one text; return what came of it."""
    wanted = call(*arguments, **changes)
    return (await vendor.send(account(server), wanted, http))[wanted.messages[0].id]


def is_authentic(callback, settings=None):
    """Tell whether the adapter takes a callback for Twilio's."""
    try:
        vendor.verify(callback, Account(PROVIDER, settings or account().settings))
    except NotAuthenticError:
        return False
    return True


# Signatures

STATUS_URL = "https://sms.example.com/api/v1/callbacks/twilio/status?connection=tw-main"
INBOUND_URL = "https://sms.example.com/api/v1/callbacks/twilio/inbound"
JSON_URL = (
    "https://sms.example.com/api/v1/callbacks/twilio/events"
    "?bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
)
DELIVERED = (
    b"SmsSid=SM0123456789abcdef0123456789abcdef&SmsStatus=delivered&MessageStatus=delivered&To=%2B15558675310"
    b"&MessageSid=SM0123456789abcdef0123456789abcdef&AccountSid=AC0123456789abcdef0123456789abcdef"
    b"&From=%2B15017250604&ApiVersion=2010-04-01&RawDlrDoneDate=2611221016"
)
UNDELIVERED = (
    b"ErrorCode=30003&SmsSid=SM0123456789abcdef0123456789abcdef&SmsStatus=undelivered&MessageStatus=undelivered"
    b"&To=%2B15558675310&MessageSid=SM0123456789abcdef0123456789abcdef"
    b"&AccountSid=AC0123456789abcdef0123456789abcdef&From=%2B15017250604&ApiVersion=2010-04-01"
)
WITH_BLANKS = (
    b"ToCountry=US&ToState=CA&SmsMessageSid=SMe287d7109a5a925f182f0e07fe5b223b&NumMedia=0&ToCity=&FromZip=01022"
    b"&SmsSid=SMe287d7109a5a925f182f0e07fe5b223b&FromState=MA&SmsStatus=received&FromCity=CHICOPEE"
    b"&Body=Stop+%F0%9F%9B%91+caf%C3%A9+%26+x%3D1&FromCountry=US&To=%2B12028831111&ToZip=&NumSegments=1"
    b"&MessageSid=SMe287d7109a5a925f182f0e07fe5b223b&AccountSid=AC0123456789abcdef0123456789abcdef"
    b"&From=%2B14133881111&ApiVersion=2010-04-01"
)
OPT_OUT_TYPE = (
    b"ToCountry=US&ToState=&SmsMessageSid=SM00000000000000000000000000000001&NumMedia=0&ToCity=&FromZip=27609"
    b"&SmsSid=SM00000000000000000000000000000001&FromState=NC&SmsStatus=received&FromCity=RALEIGH&Body=STOP"
    b"&FromCountry=US&To=%2B12028831111&MessagingServiceSid=MG00000000000000000000000000000001&ToZip=&NumSegments=1"
    b"&MessageSid=SM00000000000000000000000000000001&AccountSid=AC0123456789abcdef0123456789abcdef"
    b"&From=%2B14133881111&OptOutType=STOP&ApiVersion=2010-04-01"
)
JSON_BODY = b'{"property": "value", "boolean": true}'
PUBLISHED = b"CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309"


def with_port(url):
    """Name the scheme's own port."""
    return url.replace("example.com/", "example.com:443/" if url.startswith("https") else "example.com:80/")


# Computed with Twilio's SDK; the last one is Twilio's own example.
VECTORS = {
    "delivered": (STATUS_URL, FORM, DELIVERED, "NQJgZ6Rv9sV8zPPRgUod28F/qeI=", TOKEN),
    "delivered, signed with the port": (STATUS_URL, FORM, DELIVERED, "XFQjIDmqifwDAwCf59uVgjysKMY=", TOKEN),
    "delivered, posted with the port": (with_port(STATUS_URL), FORM, DELIVERED, "NQJgZ6Rv9sV8zPPRgUod28F/qeI=", TOKEN),
    "delivered, port in both": (with_port(STATUS_URL), FORM, DELIVERED, "XFQjIDmqifwDAwCf59uVgjysKMY=", TOKEN),
    "delivered, http": (STATUS_URL.replace("https", "http"), FORM, DELIVERED, "Nf7Y9GB8+du+5j27jaTP6TeAC6E=", TOKEN),
    "undelivered": (STATUS_URL, FORM, UNDELIVERED, "EO5qodIuLRzCJqIYZ8P1aovYj9M=", TOKEN),
    "blank fields, emoji, & and =": (INBOUND_URL, FORM, WITH_BLANKS, "t09o1ePaF7g3ju+Iiur5MENPr0U=", TOKEN),
    "OptOutType": (INBOUND_URL, FORM, OPT_OUT_TYPE, "Lwn0gc8gLX9nH30lL3fYBcjZFyY=", TOKEN),
    "JSON": (JSON_URL, "application/json", JSON_BODY, "2Nz5xg/Lh6GuAMy0OLCpeR2LPhE=", TOKEN),
    "Twilio's own": (
        "https://mycompany.com/myapp.php?foo=1&bar=2",
        FORM,
        PUBLISHED,
        "RSOYDt4T1cUTdK1PDd93/VVr8B8=",
        "12345",
    ),
}


def posted(url, content_type, body, signature, kind="report"):
    """Return a callback as it would arrive."""
    query = {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
    return Callback(kind, url, query, {"content-type": content_type, "x-twilio-signature": signature}, body)


@pytest.mark.parametrize(("url", "content_type", "body", "signature", "token"), VECTORS.values(), ids=VECTORS.keys())
def test_a_recorded_signature_passes(url, content_type, body, signature, token):
    """A signature that Twilio's own code gave for an address and a body passes, and no other token's does."""
    callback = posted(url, content_type, body, signature)

    assert is_authentic(callback, {"accountSid": SID, "authToken": token})
    assert not is_authentic(callback, {"accountSid": SID, "authToken": OTHER_TOKEN})


@pytest.mark.parametrize(
    ("url", "content_type", "body", "signature"),
    [
        (INBOUND_URL, FORM, WITH_BLANKS, "siFwFu4tU3WHcG/RcQEdNyauaQc="),
        (STATUS_URL, FORM, DELIVERED, "UDU9IG2KmaRlTvdeDDCp4N6xq1Gyx0na9VHITxvK5O8="),
        (JSON_URL, "application/json", JSON_BODY + b" ", "2Nz5xg/Lh6GuAMy0OLCpeR2LPhE="),
        (JSON_URL.partition("?")[0], "application/json", JSON_BODY, "2Nz5xg/Lh6GuAMy0OLCpeR2LPhE="),
    ],
    ids=["signed without the blank fields", "SHA-256", "another JSON body", "JSON without its hash"],
)
def test_a_signature_of_something_else_is_refused(url, content_type, body, signature):
    """What was signed over less than the whole, or with another hash, is refused."""
    assert not is_authentic(posted(url, content_type, body, signature))


NAMES = st.sampled_from(["Body", "From", "To", "ToCity", "body", "A", "Aa"]) | st.text(max_size=6)
PAIRS = st.lists(st.tuples(NAMES, st.text(max_size=12)), max_size=10)
URLS = st.builds(
    "{}://sms.example.com{}/api/callbacks/twilio/{}/report{}".format,
    st.sampled_from(["https", "http"]),
    st.sampled_from(["", ":443", ":80", ":8443"]),
    st.sampled_from(["a", "sms.example.com", "%20b"]),
    st.sampled_from(["", "?message=1", "?message=a%2Bb&x=:443/", "?x=://sms.example.com"]),
)


@given(pairs=PAIRS, url=URLS, signed_url=URLS, change=st.sampled_from(["", "add", "drop", "token"]))
def test_the_adapter_judges_as_twilios_validator_does(pairs, url, signed_url, change):
    """For any form and address, whatever was signed, the adapter and Twilio's own validator say the same."""
    signed_pairs = {"add": [*pairs, ("To", "x")], "drop": pairs[:-1]}.get(change, pairs)
    token = OTHER_TOKEN if change == "token" else TOKEN
    signature = RequestValidator(token).compute_signature(signed_url, MultiDict(signed_pairs))
    callback = posted(url, FORM, urlencode(pairs).encode(), signature)

    judged = RequestValidator(TOKEN).validate(url, MultiDict(pairs), signature)

    assert judged == is_authentic(callback)
    assert judged or change or url != signed_url


@given(value=st.dictionaries(st.text(max_size=6), st.text(max_size=6), max_size=4), change=st.booleans())
def test_the_adapter_judges_json_as_twilios_validator_does(value, change):
    """For any JSON body the adapter and Twilio's own validator say the same of its hash and signature."""
    validator = RequestValidator(TOKEN)
    body = orjson.dumps(value).decode()
    url = f"https://sms.example.com/x?bodySHA256={validator.compute_hash(body)}"
    signature = validator.compute_signature(url, {})
    came = body + " " * change

    judged = validator.validate(url, came, signature)

    assert judged == is_authentic(posted(url, "application/json", came.encode(), signature)) == (not change)


@pytest.mark.parametrize("host", ["SMS.Example.com", "[::1]", "user:word@sms.example.com"])
def test_a_port_is_set_apart_from_any_kind_of_host(host):
    """Capitals, IPv6 and a user in the address do not hide where its port is; the SDK mangles the last two."""
    for written, signed in ((f"{host}:8443", host), (f"{host}:443", host), (host, f"{host}:443")):
        signature = RequestValidator(TOKEN).compute_signature(f"https://{signed}/x?a=1", {})
        assert is_authentic(posted(f"https://{written}/x?a=1", FORM, b"", signature))
    assert not is_authentic(posted(f"https://{host}:8443/x?a=1", FORM, b"", signature))


def test_a_text_is_answered_with_empty_twiml():
    """Twilio gets an empty document for a text, as any other body would be texted back, and nothing for a report."""
    twiml = '<?xml version="1.0" encoding="UTF-8"?><Response/>'

    assert vendor.answer(posted("https://x", FORM, b"", "", kind="inbound")) == Answer(200, "text/xml", twiml)
    assert vendor.answer(posted("https://x", FORM, b"", "")) == Answer(204)


# Refusals

# https://www.twilio.com/docs/api/errors and the page of each code
CODES = {
    20003: (401, Reason.CREDENTIALS, Retry.NEVER),
    20005: (403, Reason.ACCOUNT, Retry.NEVER),
    20006: (403, Reason.ACCOUNT, Retry.NEVER),
    20403: (403, Reason.ACCOUNT, Retry.NEVER),
    20404: (404, Reason.CONFIGURATION, Retry.NEVER),
    20429: (429, Reason.THROTTLED, Retry.LATER),
    21211: (400, Reason.INVALID_RECIPIENT, Retry.NEVER),
    21212: (400, Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    21408: (400, Reason.UNROUTABLE, Retry.NEVER),
    21601: (400, Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    21602: (400, Reason.INVALID_CONTENT, Retry.NEVER),
    21603: (400, Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    21604: (400, Reason.INVALID_RECIPIENT, Retry.NEVER),
    21606: (400, Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    21608: (400, Reason.ACCOUNT, Retry.NEVER),
    21609: (400, Reason.CONFIGURATION, Retry.NEVER),
    21610: (400, Reason.OPTED_OUT, Retry.NEVER),
    21611: (400, Reason.THROTTLED, Retry.LATER),
    21612: (400, Reason.UNROUTABLE, Retry.OTHER_SENDER),
    21614: (400, Reason.INVALID_RECIPIENT, Retry.NEVER),
    21617: (400, Reason.INVALID_CONTENT, Retry.NEVER),
    21618: (400, Reason.INVALID_CONTENT, Retry.NEVER),
    21624: (400, Reason.CONFIGURATION, Retry.NEVER),
    21659: (400, Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    21660: (400, Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    21661: (400, Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    21701: (404, Reason.CONFIGURATION, Retry.NEVER),
    21702: (400, Reason.CONFIGURATION, Retry.NEVER),
    21703: (400, Reason.CONFIGURATION, Retry.NEVER),
    21704: (400, Reason.CONFIGURATION, Retry.NEVER),
    21705: (400, Reason.CONFIGURATION, Retry.NEVER),
    90007: (400, Reason.CONFIGURATION, Retry.NEVER),
    99999: (400, Reason.OTHER, Retry.NEVER),
}


async def test_every_error_code_has_its_reason(http):
    """Each code that Twilio refuses with has its reason and its retry, and the code and words are kept."""
    async with recorder(Reply(400, b"")) as server:
        for code, (status, reason, retry) in CODES.items():
            body = {"code": code, "message": "In words.", "more_info": "https://www.twilio.com", "status": status}
            server.reply = Reply(status, orjson.dumps(body))
            assert await send(server.url, http) == Refused(reason, retry, None, str(code), "In words.")
    assert {str(code) for code in CODES} - {"99999"} == set(adapter.REFUSAL_CODES)


async def test_both_shapes_of_errors_are_read(http):
    """An error in the shape of RFC 9457 gives its code and its words like one in Twilio's own."""
    body = {"type": "about:blank", "title": "Invalid parameter", "status": 400, "code": 21211, "detail": "Bad To."}
    async with recorder(Reply(400, orjson.dumps(body))) as server:
        assert await send(server.url, http) == Refused(Reason.INVALID_RECIPIENT, code="21211", detail="Bad To.")
        del body["detail"]
        server.reply = Reply(400, orjson.dumps(body))
        assert (await send(server.url, http)).detail == "Invalid parameter"


# Requests


async def form_of(http, wanted, **settings):
    """Return the form that a call posts."""
    async with recorder(KIT.refusal(400)) as server:
        await vendor.send(account(server.url, **settings), wanted, http)
        [request] = server.requests
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True))


async def test_only_what_is_known_is_asked_for(http):
    """Without a validity and an address for reports neither is in the request."""
    form = await form_of(http, call(validity=None))

    assert form == {"To": PERSON, "Body": "Hello", "From": "+14255550100"}


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        *((name, True) for name in ("Contoso", "7 Eleven", "A&B_c-d+e 1", "x")),
        *((name, False) for name in ("1234567", "Contoso Text", "Con.toso", "Zürich", "")),
    ],
)
def test_a_name_is_as_the_page_has_it(name, fits):
    """A name has at most 11 of the characters that Twilio lists, a letter among them, and the note says so."""
    rule = vendor.description.sender_rule(SenderType.ALPHANUMERIC)

    assert bool(re.fullmatch(rule.pattern, name)) is fits
    assert "at most 11 letters" in rule.note


async def test_a_messaging_service_sends_with_the_sender_we_name(http):
    """With a Messaging Service the request names the service and the sender of its pool."""
    form = await form_of(http, call(validity=None), messagingServiceSid=SERVICE)

    assert form == {"To": PERSON, "Body": "Hello", "From": "+14255550100", "MessagingServiceSid": SERVICE}


async def test_a_short_code_is_sent_as_it_is(http):
    """A short code stays without a plus."""
    form = await form_of(http, call(sender=Sender(SenderType.SHORT_CODE, "12345")))

    assert form["From"] == "12345"


async def test_any_text_arrives_unchanged(http):
    """Line ends, signs of the form's own syntax and all of Unicode arrive as they were."""
    text = " a=b&c%20+\r\n\t;ü€😀\u200d\x00 "

    assert (await form_of(http, call(text=text)))["Body"] == text


# Against the sandbox


@pytest.fixture
async def sandbox():
    """Run a sandbox in which the account exists, with any sender."""
    async with running_sandbox(seed=1) as running:
        running.vendor(TwilioVendor).accounts.put(SID, SandboxAccount(sid=SID, token=TOKEN, secondary=OTHER_TOKEN))
        yield running


@pytest.fixture
def ledger(sandbox):
    """Give the sandbox's ledger: what Twilio really accepted."""
    return sandbox.vendor(TwilioVendor).ledger


async def test_a_text_is_sent_once(sandbox, ledger, http):
    """A text that the sandbox takes is accepted under its id, with sender, recipient and words as asked."""
    outcome = await send(sandbox.base_url, http, PERSON, "Grüße ✓")

    [message] = ledger
    assert outcome == Accepted(message.id)
    assert (message.sender, message.recipient, message.text) == ("+14255550100", PERSON, "Grüße ✓")


async def test_reports_go_where_the_message_says(sandbox, ledger, http):
    """The address of reports carries our message id, and asks Twilio to repeat what was not taken."""
    wanted = call(report_url="https://127.0.0.1:1/report")
    await vendor.send(account(sandbox.base_url), wanted, http)
    await sandbox.idle()

    [message] = ledger
    assert message.callback_url == f"https://127.0.0.1:1/report?message={wanted.messages[0].id}#rc=5&rp=5xx,ct,rt"
    assert [attempt.attempt for attempt in message.callbacks if attempt.about == "delivered"] == [1, 2, 3, 4, 5, 6]


async def test_a_messaging_service_takes_a_text(sandbox, ledger, http):
    """A Messaging Service accepts a text from the sender of its pool that the request names."""
    twilio = sandbox.vendor(TwilioVendor)
    for number in ("+14255550100", "+14255550101"):
        twilio.numbers.put(number, Number(number=number, account=SID))
    twilio.services.put(SERVICE, Service(sid=SERVICE, account=SID, numbers=["+14255550101", "+14255550100"]))
    wanted = call()

    outcomes = await vendor.send(account(sandbox.base_url, messagingServiceSid=SERVICE), wanted, http)

    [message] = ledger
    assert outcomes == {wanted.messages[0].id: Accepted(message.id)}
    assert (message.sender, message.extra["service"]) == ("+14255550100", SERVICE)


@pytest.mark.parametrize(
    ("digits", "reason", "retry"),
    [
        ("0150", Reason.INVALID_RECIPIENT, Retry.NEVER),
        ("0151", Reason.OPTED_OUT, Retry.NEVER),
        ("0152", Reason.UNROUTABLE, Retry.OTHER_SENDER),
        ("0153", Reason.INVALID_RECIPIENT, Retry.NEVER),
        ("0172", Reason.THROTTLED, Retry.LATER),
    ],
)
async def test_the_sandbox_refuses_as_twilio_does(sandbox, ledger, http, digits, reason, retry):
    """A refusal has its reason, and nothing is in the ledger."""
    outcome = await send(sandbox.base_url, http, magic_number(digits))

    assert (outcome.reason, outcome.retry) == (reason, retry)
    assert len(ledger) == 0


@pytest.mark.parametrize(("token", "ok"), [(TOKEN, True), (OTHER_TOKEN, True), ("f" * 32, False)])
async def test_a_check_tells_good_credentials_from_bad(sandbox, ledger, http, token, ok):
    """The check passes with either of the account's tokens and no other, and sends nothing."""
    check = await vendor.check(account(sandbox.base_url, authToken=token), http)

    assert check.ok is ok
    assert ("active" in check.detail) is ok
    assert len(ledger) == 0


@pytest.mark.parametrize("status", ["suspended", "closed", None])
async def test_a_check_does_not_pass_for_an_account_that_cannot_send(http, status):
    """An account that is suspended or closed has good credentials and does not pass all the same."""
    async with recorder(Reply(200, orjson.dumps({"sid": SID, "status": status}))) as server:
        check = await vendor.check(account(server.url), http)

    assert not check.ok
    assert (status or "unknown") in check.detail


# Looking up what became of a message


async def look_up(server, http, wanted, known=frozenset()):
    """Look one message up."""
    return (await vendor.lookup(account(server), wanted, known, http))[wanted.messages[0].id]


NOT_THERE = Refused(Reason.TEMPORARY, Retry.LATER, detail="Twilio's message list does not have it.")


@pytest.mark.parametrize("digits", ["0174", "0175"])
async def test_an_accepted_message_is_found_after_its_answer_was_lost(sandbox, ledger, http, digits):
    """A message that was taken without our hearing of it is unknown, and found in Twilio's list."""
    wanted = call(magic_number(digits))
    sent = (await vendor.send(account(sandbox.base_url), wanted, http))[wanted.messages[0].id]

    assert isinstance(sent, Unknown)
    [message] = ledger
    assert await look_up(sandbox.base_url, http, wanted) == Accepted(message.id)


@pytest.mark.parametrize("digits", ["0173", "0176"])
async def test_a_message_that_was_not_taken_is_not_found(sandbox, ledger, http, digits):
    """A message that was not taken is unknown, then certainly not sent, and sending it again sends it once."""
    wanted = call(magic_number(digits))
    sent = (await vendor.send(account(sandbox.base_url), wanted, http))[wanted.messages[0].id]

    assert isinstance(sent, Unknown)
    assert await look_up(sandbox.base_url, http, wanted) == NOT_THERE
    assert isinstance(await send(sandbox.base_url, http, magic_number(digits)), Accepted)
    assert len(ledger) == 1


async def test_another_messages_id_is_no_evidence(sandbox, ledger, http):
    """The same text sent to the same person under an id that belongs to another message does not count."""
    await send(sandbox.base_url, http)
    [message] = ledger

    assert await look_up(sandbox.base_url, http, call(), frozenset({message.id})) == NOT_THERE


async def test_an_earlier_message_is_no_evidence(sandbox, http):
    """The same text sent well before the first attempt does not count."""
    await send(sandbox.base_url, http)

    later = call(first_attempt=datetime.now(UTC) + timedelta(minutes=5))
    assert await look_up(sandbox.base_url, http, later) == NOT_THERE


async def test_a_reply_is_no_evidence(sandbox, http):
    """A person's own text with the same words does not count."""
    twilio = sandbox.vendor(TwilioVendor)
    twilio.numbers.put(PERSON, Number(number=PERSON, account=SID))
    async with http.session.post(
        f"{sandbox.base_url}/sandbox/twilio/inbound", json={"from": "+12065550124", "to": PERSON, "text": "Hello"}
    ) as response:
        assert response.status < 300

    assert await look_up(sandbox.base_url, http, call()) == NOT_THERE


def listed(**changes):
    """Return a message as Twilio's list has it."""
    item = {
        "sid": "SM1",
        "to": PERSON,
        "from": "+14255550100",
        "body": "Hello",
        "direction": "outbound-api",
        "date_created": format_datetime(datetime.now(UTC)),
    }
    return item | changes


async def look_up_in(http, *items):
    """Look a message up in a list that holds just these."""
    async with recorder(Reply(200, orjson.dumps({"messages": items}))) as server:
        outcome = await look_up(server.url, http, call())
        [request] = server.requests
    assert (request.method, request.path) == (
        "GET",
        f"/2010-04-01/Accounts/{SID}/Messages.json?To=%2B14255550123&PageSize=100",
    )
    return outcome


@pytest.mark.parametrize("body", ["Sent from your Twilio trial account - Hello", "", None, "Hello...", "hello"])
async def test_a_text_that_twilio_may_have_rewritten_settles_nothing(http, body):
    """Trial accounts, redaction and Smart Encoding change the body: another text from our sender may be ours."""
    assert isinstance(await look_up_in(http, listed(body=body)), Unknown)


@pytest.mark.parametrize(
    "item",
    [
        listed(body="Another", **{"from": "+14255550199"}),
        listed(direction="inbound", body="Another"),
        listed(body="Another", date_created=format_datetime(datetime.now(UTC) - timedelta(hours=1))),
    ],
    ids=["from another sender", "inbound", "too old"],
)
async def test_a_text_that_cannot_be_ours_does_not_disturb(http, item):
    """Another text that came from elsewhere, or before, leaves it certain that ours is not there."""
    assert await look_up_in(http, item) == NOT_THERE


async def test_the_right_text_counts_beside_others(http):
    """Our text is found among others from the same sender."""
    assert await look_up_in(http, listed(sid="SM2", body="Another"), listed()) == Accepted("SM1")


@pytest.mark.parametrize(
    "items",
    [
        lambda: [listed(sid=None)],
        lambda: [{key: value for key, value in listed().items() if key != "sid"}],
        lambda: ["text"],
        lambda: [None],
        lambda: [listed(date_created="yesterday", body="Another")],
        lambda: [listed(date_created=None, body="Another")],
        lambda: [listed(date_created=f"{datetime.now(UTC):%a, %d %b %Y %H:%M:%S} -0000", body="Another")],
        lambda: [listed(sid=f"SM{place}", body="Another", direction="inbound") for place in range(100)],
    ],
    ids=["sid null", "no sid", "text", "null", "odd date", "no date", "date without zone", "page full"],
)
async def test_a_list_that_proves_nothing_settles_nothing(http, items):
    """Items that cannot be read, and a full page that does not reach back far enough, leave it unknown."""
    # Made now and not when the tests were collected: the list is only looked at from a minute before the send.
    assert isinstance(await look_up_in(http, *items()), Unknown)


# Asking for a message's state


@pytest.mark.parametrize(
    ("digits", "state", "reason", "code"),
    [
        ("0123", State.DELIVERED, None, ""),
        ("0160", State.UNDELIVERED, Reason.UNREACHABLE, "30003"),
        ("0164", State.REJECTED, Reason.OPTED_OUT, "21610"),
        ("0180", State.QUEUED, None, ""),
    ],
)
async def test_a_message_can_be_asked_for(sandbox, http, digits, state, reason, code):
    """What became of a message that no report told of stands in its own record, in the same words as in a report."""
    to = magic_number(digits)
    sent = await send(sandbox.base_url, http, to)
    await sandbox.idle()

    report = await vendor.report_of(account(sandbox.base_url), "a-message", sent.vendor_id, http)

    assert (report.state, report.reason, report.code) == (state, reason, code)
    assert (report.message, report.vendor_id, report.recipient) == ("a-message", sent.vendor_id, to)
    assert report.raw["sid"] == sent.vendor_id


async def test_a_message_that_twilio_does_not_have_tells_nothing(sandbox, http):
    """A message that is not there, or an account that may not ask, gives no report."""
    unknown = "SM" + "0" * 32

    assert await vendor.report_of(account(sandbox.base_url), "m", unknown, http) is None
    assert await vendor.report_of(account(sandbox.base_url, authToken="f" * 32), "m", unknown, http) is None


@pytest.mark.parametrize("changes", [{"sid": "SM2"}, {"sid": None}, {"status": None}, {"status": ""}], ids=str)
async def test_a_record_that_does_not_say_tells_nothing(http, changes):
    """A record of another message, or one without a status, is no report."""
    async with recorder(Reply(200, orjson.dumps({"sid": "SM1", "status": "sent"} | changes))) as server:
        assert await vendor.report_of(account(server.url), "m", "SM1", http) is None


async def test_a_records_numbers_and_blanks_are_read(http):
    """In a record the code is a number, and what does not apply is null."""
    body = {"sid": "SM1", "status": "failed", "error_code": 30007, "error_message": None, "to": None}
    async with recorder(Reply(200, orjson.dumps(body))) as server:
        report = await vendor.report_of(account(server.url), "m", "SM1", http)
        [request] = server.requests

    assert (request.method, request.path) == ("GET", f"/2010-04-01/Accounts/{SID}/Messages/SM1.json")
    assert report == DeliveryReport(
        State.REJECTED, "SM1", message="m", reason=Reason.FILTERED, code="30007", status="failed", raw=body
    )
