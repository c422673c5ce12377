"""Twilio: status callbacks, inbound texts, signatures, token rotation, retries by URL fragment."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from sandbox.outcomes import magic_number
from sandbox.vendors.twilio import Account, Number, Service, TwilioVendor, overrides, sign
from tests.sandbox.conftest import PERSON, SENDER, SID, TOKEN, TOLL_FREE
from tests.sandbox.test_twilio_send import SERVICE, client_of, create, set_up

URL = "https://sms.example.com/api/v1/callbacks/twilio/status?connection=tw-main"
INBOUND_URL = "https://sms.example.com/api/v1/callbacks/twilio/inbound"
DELIVERED = (
    "SmsSid=SM0123456789abcdef0123456789abcdef&SmsStatus=delivered&MessageStatus=delivered&To=%2B15558675310&"
    "MessageSid=SM0123456789abcdef0123456789abcdef&AccountSid=AC0123456789abcdef0123456789abcdef&"
    "From=%2B15017250604&ApiVersion=2010-04-01&RawDlrDoneDate=2611221016"
)
UNDELIVERED = (
    "ErrorCode=30003&SmsSid=SM0123456789abcdef0123456789abcdef&SmsStatus=undelivered&MessageStatus=undelivered&"
    "To=%2B15558675310&MessageSid=SM0123456789abcdef0123456789abcdef&"
    "AccountSid=AC0123456789abcdef0123456789abcdef&From=%2B15017250604&ApiVersion=2010-04-01"
)
INBOUND = (
    "ToCountry=US&ToState=CA&SmsMessageSid=SMe287d7109a5a925f182f0e07fe5b223b&NumMedia=0&ToCity=&FromZip=01022&"
    "SmsSid=SMe287d7109a5a925f182f0e07fe5b223b&FromState=MA&SmsStatus=received&FromCity=CHICOPEE&"
    "Body=Stop+%F0%9F%9B%91+caf%C3%A9+%26+x%3D1&FromCountry=US&To=%2B12028831111&ToZip=&NumSegments=1&"
    "MessageSid=SMe287d7109a5a925f182f0e07fe5b223b&AccountSid=AC0123456789abcdef0123456789abcdef&"
    "From=%2B14133881111&ApiVersion=2010-04-01"
)
TWILIO_SAMPLE = "CallSid=CA1234567890ABCDE&Digits=1234&From=%2B14158675309&To=%2B18005551212&Caller=%2B14158675309"


@pytest.fixture
def twilio(sandbox):
    return set_up(sandbox)


@pytest.mark.parametrize(
    ("token", "url", "body", "expected"),
    [
        (TOKEN, URL, DELIVERED, "NQJgZ6Rv9sV8zPPRgUod28F/qeI="),
        (TOKEN, URL.replace(".com/", ".com:443/"), DELIVERED, "XFQjIDmqifwDAwCf59uVgjysKMY="),
        (TOKEN, URL.replace("https", "http"), DELIVERED, "Nf7Y9GB8+du+5j27jaTP6TeAC6E="),
        (TOKEN, URL, UNDELIVERED, "EO5qodIuLRzCJqIYZ8P1aovYj9M="),
        (TOKEN, INBOUND_URL, INBOUND, "t09o1ePaF7g3ju+Iiur5MENPr0U="),
        ("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", TWILIO_SAMPLE, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
    ],
)
def test_the_published_signature_vectors_are_reproduced(token, url, body, expected):
    """The signer agrees with the recorded vectors of Twilio's own library, blank fields included."""
    assert sign(token, url, parse_qsl(body, keep_blank_values=True)) == expected


def test_dropping_blank_fields_gives_another_signature():
    """The vector with blank fields dropped is a different one, so the two cannot be confused."""
    assert sign(TOKEN, INBOUND_URL, parse_qsl(INBOUND)) == "siFwFu4tU3WHcG/RcQEdNyauaQc="


async def test_states_are_called_back_in_order_and_signed(sandbox, twilio, endpoint, http):
    """Sent and delivered are told, the initial state is not, and Twilio's validator accepts both."""
    callback = f"{endpoint.url}/status?m=1"

    _, body, _ = await create(sandbox, http, StatusCallback=callback)
    await sandbox.idle()

    assert [got.fields["MessageStatus"] for got in endpoint.received] == ["sent", "delivered"]
    for got in endpoint.received:
        assert got.headers["Content-Type"].startswith("application/x-www-form-urlencoded")
        assert got.fields["MessageSid"] == got.fields["SmsSid"] == body["sid"]
        assert got.fields["SmsStatus"] == got.fields["MessageStatus"]
        assert got.fields["AccountSid"] == SID
        assert RequestValidator(TOKEN).validate(got.url, got.fields, got.headers["X-Twilio-Signature"])
    assert "RawDlrDoneDate" in endpoint.received[1].fields
    assert "ErrorCode" not in endpoint.received[1].fields
    [message] = twilio.ledger
    assert [(entry.about, entry.status) for entry in message.callbacks] == [("sent", 200), ("delivered", 200)]


async def test_a_service_calls_back_queued_too(sandbox, twilio, endpoint, http):
    """Through a Messaging Service `queued` comes first, each with the service's id, to the service's own URL."""
    twilio.services.put(
        SERVICE,
        Service(sid=SERVICE, account=SID, numbers=[SENDER], status_callback=f"{endpoint.url}/service"),
    )

    await create(sandbox, http, From=None, MessagingServiceSid=SERVICE)
    await sandbox.idle()

    assert [got.fields["MessageStatus"] for got in endpoint.received] == ["queued", "sent", "delivered"]
    assert {got.fields["MessagingServiceSid"] for got in endpoint.received} == {SERVICE}


async def test_without_a_callback_url_nothing_is_told(sandbox, twilio, endpoint, http):
    """No StatusCallback, no callback."""
    await create(sandbox, http)
    await sandbox.idle()

    assert endpoint.received == []


async def test_an_inbound_text_is_posted_with_blank_fields_and_signed(sandbox, twilio, endpoint, control):
    """A person's text reaches the number's webhook with every documented field, blank ones too."""
    url = f"{endpoint.url}/inbound?code=k"
    twilio.numbers.put(SENDER, Number(number=SENDER, account=SID, sms_url=url))

    await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": SENDER, "text": "Grüße & x=1 "})
    await sandbox.idle()

    [got] = endpoint.received
    assert (got.fields["Body"], got.fields["From"], got.fields["To"]) == ("Grüße & x=1 ", PERSON, SENDER)
    assert (got.fields["FromCity"], got.fields["ToZip"], got.fields["NumMedia"]) == ("", "", "0")
    assert got.fields["SmsStatus"] == "received"
    assert "OptOutType" not in got.fields
    assert RequestValidator(TOKEN).validate(url, got.fields, got.headers["X-Twilio-Signature"])


async def test_an_inbound_webhook_may_be_a_get(sandbox, twilio, endpoint, control):
    """A number set to GET puts the fields in the query and signs the URL alone."""
    url = f"{endpoint.url}/inbound"
    twilio.numbers.put(SENDER, Number(number=SENDER, account=SID, sms_url=url, sms_method="GET"))

    await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": SENDER, "text": "Hi"})
    await sandbox.idle()

    [got] = endpoint.received
    assert (got.method, got.body) == ("GET", b"")
    assert "Body=Hi" in got.url
    assert RequestValidator(TOKEN).validate(got.url, {}, got.headers["X-Twilio-Signature"])


async def test_only_the_primary_token_signs_and_a_promotion_changes_it(sandbox, twilio, endpoint, http, control):
    """A secondary token signs nothing until it is promoted; then the old one neither signs nor opens the API."""

    async def send(secret):
        endpoint.received.clear()
        status, _, _ = await create(sandbox, http, StatusCallback=f"{endpoint.url}/s", secret=secret)
        await sandbox.idle()
        return status, [token for token in tokens if endpoint.received and valid(endpoint.received[0], token)]

    def valid(got, token):
        return RequestValidator(token).validate(got.url, got.fields, got.headers["X-Twilio-Signature"])

    made = await control.ask("POST", f"/twilio/accounts/{SID}/secondary", {"token": "d" * 32}, status=201)
    tokens = [TOKEN, made["secondary"]]
    before = await send("d" * 32)
    await control.ask("POST", f"/twilio/accounts/{SID}/promote")
    after = await send("d" * 32)
    old = await send(TOKEN)

    assert before == (201, [TOKEN])
    assert after == (201, ["d" * 32])
    assert old == (401, [])


async def test_a_failing_endpoint_is_not_asked_again_by_default(sandbox, twilio, endpoint, http):
    """Without a fragment a 500 loses the callback for good."""
    endpoint.answer(500, 500)

    await create(sandbox, http, StatusCallback=f"{endpoint.url}/s")
    await sandbox.idle()

    assert [got.fields["MessageStatus"] for got in endpoint.received] == ["sent", "delivered"]


async def test_a_refused_connection_is_tried_once_more(sandbox, twilio, http, closed_port):
    """By default one retry, on connect failures only, under the same token."""
    await create(sandbox, http, StatusCallback=f"http://127.0.0.1:{closed_port}/s")
    await sandbox.idle()

    [message] = twilio.ledger
    assert [(entry.about, entry.attempt, entry.error) for entry in message.callbacks] == [
        ("sent", 1, "connect"),
        ("sent", 2, "connect"),
        ("delivered", 1, "connect"),
        ("delivered", 2, "connect"),
    ]
    assert len({entry.token for entry in message.callbacks}) == 2


@pytest.mark.parametrize(
    ("fragment", "answers", "attempts"),
    [
        ("rc=3&rp=5xx", (500, 503, 200), 3),
        ("rc=3&rp=5xx", (404,), 1),
        ("rc=2&rp=4xx", (404, 404, 404), 3),
        ("rc=1&rp=all", (500, 500), 2),
        ("rc=0&rp=all", (500,), 1),
        ("rp=ct,5xx", (500, 500), 2),
    ],
)
async def test_the_fragment_says_what_is_tried_again(sandbox, twilio, endpoint, http, fragment, answers, attempts):
    """Rc and rp of the URL fragment decide; the fragment itself is neither sent nor signed."""
    endpoint.answer(*answers)

    await create(sandbox, http, StatusCallback=f"{endpoint.url}/s?q=1#{fragment}", To=magic_number("0164"))
    await sandbox.idle()

    assert len(endpoint.received) == attempts
    assert len({got.headers["I-Twilio-Idempotency-Token"] for got in endpoint.received}) == 1
    got = endpoint.received[-1]
    assert got.url == f"{endpoint.url}/s?q=1"
    assert RequestValidator(TOKEN).validate(got.url, got.fields, got.headers["X-Twilio-Signature"])


async def test_a_slow_endpoint_is_given_up_in_the_time_the_fragment_says(sandbox, twilio, http):
    """Rt bounds the wait for an answer, and rp=rt tries again."""
    calls = []

    async def slow(request):
        calls.append(request.path)
        await asyncio.sleep(0.3 if len(calls) == 1 else 0)
        return web.Response()

    app = web.Application()
    app.router.add_post("/s", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/s#rt=100&rp=rt"
    await create(sandbox, http, StatusCallback=url, To=magic_number("0164"))
    await sandbox.idle()
    await runner.cleanup()

    [message] = twilio.ledger
    assert [(entry.error, entry.status) for entry in message.callbacks] == [("timeout", None), ("", 200)]


@pytest.mark.parametrize("fragment", ["rp=sometimes", "rc=6", "rc=x", "ct=50", "rt=20000"])
async def test_a_fragment_nobody_understands_means_no_callback(sandbox, twilio, endpoint, http, fragment):
    """An invalid override is an error in the debugger, here in the ledger, and no callback is made."""
    await create(sandbox, http, StatusCallback=f"{endpoint.url}/s#{fragment}")
    await sandbox.idle()

    [message] = twilio.ledger
    assert endpoint.received == []
    assert overrides(f"#{fragment}").error in message.callbacks[0].error


@pytest.mark.parametrize(
    "word", ["STOP", "stop", " Stop\n", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"]
)
async def test_twilio_itself_refuses_after_stop_at_a_long_code(sandbox, twilio, http, control, word):
    """A STOP word as the whole text blocks that number for that person; START lifts it; others are not concerned."""
    await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": SENDER, "text": word})

    stopped, error, _ = await create(sandbox, http)
    other, _, _ = await create(sandbox, http, To="+12065550124")
    await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": SENDER, "text": "START"})
    started, _, _ = await create(sandbox, http)

    assert (stopped, error["code"], other, started) == (400, 21610, 201, 201)


@pytest.mark.parametrize("text", ["STOP PLEASE", "please stop", "ARRET", "stop it"])
async def test_other_words_block_nothing(sandbox, twilio, http, control, text):
    """Only the whole text counts, and only Twilio's own words."""
    await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": SENDER, "text": text})

    status, _, _ = await create(sandbox, http)

    assert status == 201


async def test_short_codes_and_toll_free_numbers_have_rules_of_their_own(sandbox, twilio, http, control):
    """A short code blocks nothing; a toll-free number knows STOP, not QUIT, and START or UNSTOP, not YES."""
    twilio.numbers.put(TOLL_FREE, Number(number=TOLL_FREE, account=SID))

    async def after(number, text):
        await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": number, "text": text})
        return (await create(sandbox, http, From=number))[0]

    assert await after("12345", "STOP") == 201
    assert await after(TOLL_FREE, "QUIT") == 201
    assert await after(TOLL_FREE, "STOP") == 400
    assert await after(TOLL_FREE, "YES") == 400
    assert await after(TOLL_FREE, "UNSTOP") == 201


async def test_a_service_with_advanced_opt_out_marks_keywords_and_fails_later(sandbox, twilio, endpoint, http, control):
    """Keywords carry OptOutType, the whole service is blocked, and a send is accepted and then failed with 21610."""
    twilio.services.put(
        SERVICE,
        Service(
            sid=SERVICE,
            account=SID,
            numbers=[SENDER],
            inbound_url=f"{endpoint.url}/inbound",
            advanced_opt_out=True,
        ),
    )
    for word in ("Help", "Stop"):
        await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": SENDER, "text": word})
    await sandbox.idle()
    marks = [got.fields["OptOutType"] for got in endpoint.received]
    services = {got.fields["MessagingServiceSid"] for got in endpoint.received}
    endpoint.received.clear()

    status, _, _ = await create(
        sandbox, http, From=None, MessagingServiceSid=SERVICE, StatusCallback=f"{endpoint.url}/s"
    )
    await sandbox.idle()

    assert (marks, services) == (["HELP", "STOP"], {SERVICE})
    last = endpoint.received[-1].fields
    assert (status, last["MessageStatus"], last["ErrorCode"]) == (201, "failed", "21610")


async def test_a_webhook_that_answers_with_text_sends_that_text(sandbox, twilio, endpoint, control):
    """Plain text or TwiML in the answer is texted to the person: an endpoint that says OK says it to people."""
    twilio.numbers.put(SENDER, Number(number=SENDER, account=SID, sms_url=f"{endpoint.url}/inbound"))
    twiml = "<?xml version='1.0'?><Response><Message>Thanks</Message></Response>"
    endpoint.answer(
        web.Response(text="OK"),
        web.Response(text=twiml, content_type="text/xml"),
        web.Response(text="<Response/>", content_type="text/xml"),
        web.json_response({}),
    )

    for text in "1234":
        await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": SENDER, "text": text})
        await sandbox.idle()

    replies = twilio.ledger.find(direction="reply")
    assert [(reply.text, reply.recipient) for reply in replies] == [("OK", PERSON), ("Thanks", PERSON)]
    assert "12300" in twilio.ledger.find(direction="inbound")[3].extra["warning"]


async def test_an_unknown_number_cannot_be_texted(control, twilio):
    """The control API says so when nobody owns the number, or when it is a name."""
    unknown = await control.ask(
        "POST", "/twilio/inbound", {"from": PERSON, "to": "+12065559999", "text": "x"}, status=400
    )
    name = await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": "Contoso", "text": "x"}, status=400)

    assert "no account owns" in unknown["error"]
    assert "alphanumeric" in name["error"]


async def test_the_client_lists_inbound_texts_too(sandbox, twilio, control):
    """A person's text is a message of the account, direction inbound, status received."""
    await control.ask("POST", "/twilio/inbound", {"from": PERSON, "to": SENDER, "text": "Hi"})

    [got] = await asyncio.to_thread(lambda: client_of(sandbox).messages.list(from_=PERSON))

    assert (got.direction, got.status, got.body) == ("inbound", "received", "Hi")


async def test_the_accounts_of_the_control_api_hide_tokens(control, sandbox):
    """What the control API shows of an account holds no token."""
    await control.ask("POST", "/twilio/accounts", {"sid": SID, "token": "d" * 32, "secondary": "e" * 32}, status=201)
    await control.ask(
        "POST",
        f"/twilio/accounts/{SID}/numbers",
        {"number": SENDER, "sms_url": "http://127.0.0.1/x?code=geheim"},
        status=201,
    )

    shown = str(await control.ask("GET", "/twilio"))

    assert SID in shown
    assert not any(secret in shown for secret in ("d" * 32, "e" * 32, "geheim"))
    assert sandbox.vendor(TwilioVendor).accounts.get(SID) == Account(sid=SID, token="d" * 32, secondary="e" * 32)
