"""Telesign: delivery reports and incoming texts, their signatures, retries, opt-outs, the control API."""

from __future__ import annotations

import asyncio
import base64
import re
from dataclasses import replace

import pytest
from aiohttp import web
from telesign.util import verify_telesign_callback_signature

from sandbox.kit import Addresses, Customer
from sandbox.outcomes import Reason, magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.telesign import KIT, callbacks, sign
from sandbox.webhooks import Persistence
from tests.sandbox.conftest import PERSON, SENDER
from tests.sandbox.test_telesign_send import (
    CUSTOMER,
    KEY,
    OTHER_CUSTOMER,
    OTHER_SENDER,
    SECOND_KEY,
    ask,
    basic,
    send,
    set_up,
)

ACCOUNT = f"/telesign/accounts/{CUSTOMER}"
DELIVERED = (
    b'{"reference_id":"B56259E45884010488343BAA15FB0002","status":{"code":200,"description":"Delivered to handset",'
    b'"updated_on":"2016-10-21T14:05:36.181346Z"},"submit_timestamp":"2016-10-21T14:05:30.000000Z",'
    b'"external_id":"CustomExternalID7349"}'
)
STOP = (
    b'{"status":{"updated_on":"2023-10-31T14:47:10.490130Z","description":"Delivered to customer","code":1500},'
    b'"submit_timestamp":"2023-10-31T14:47:10.154000Z","errors":{},"user_response":{"phone_number":"11234567890",'
    b'"iso_country_code":"US","sender_id":"4442","mo_message":"Stop","keyword":"stop","action":"stop"},'
    b'"sub_resource":"mo_sms","reference_id":"0123456789ABCDEF0123456789ABCDEF"}'
)


@pytest.fixture
def telesign(sandbox):
    return set_up(sandbox)


def proof_of(got):
    """Return the signature of a callback, which both headers must carry."""
    bare = got.headers["X-TS-Authorization"]
    assert got.headers["Authorization"] == f"TSA {CUSTOMER}:{bare}"
    return bare


def verifies(got, key=KEY):
    """Ask Telesign's own library whether a callback is authentic."""
    return verify_telesign_callback_signature(key, proof_of(got), got.body.decode())


async def texts(control, text, sender=PERSON, recipient=SENDER, **options):
    """Have a person text one of the customer's numbers."""
    said = {"from": sender, "to": recipient, "text": text}
    return await control.ask("POST", "/telesign/inbound", said, **options)


# Signatures


@pytest.mark.parametrize(
    ("key", "body", "expected"),
    [
        (KEY, DELIVERED, "e3LbkjYtTPef7xp+m250wacoD+Cz/XqIIZNZ7z5UIJo="),
        (KEY, STOP, "sRI+ih4FdoKPrAI7GwwmGl1A3p2eZvdTzvg1qZVU6jU="),
        (
            "EXAMPLE----TE8sTgg45yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw==",
            b"{'test': 123}",
            "B97g3N9lPdVaptvifxRau7bzVAC5hhRBZ6HKXABN744=",
        ),
    ],
    ids=["report", "inbound", "the library's own"],
)
def test_the_callback_vectors_are_reproduced(key, body, expected):
    """The signer agrees with the recorded vectors and with Telesign's library, odd characters in the key included."""
    assert sign(key, body) == expected
    assert verify_telesign_callback_signature(key, expected, body.decode())


# Reports


async def test_states_are_told_in_order_and_signed(sandbox, telesign, endpoint, http):
    """Handed to the gateway, then to the handset, each with the id, the echo and a signature under the first key."""
    _, body, _ = await send(sandbox, http, callback_url=f"{endpoint.url}/report?m=1", external_id="msg-001")
    await sandbox.idle()

    assert [(got.method, got.json["status"]["code"]) for got in endpoint.received] == [("POST", 203), ("POST", 200)]
    for got in endpoint.received:
        assert got.url == f"{endpoint.url}/report?m=1"
        assert got.headers["Content-Type"] == "application/json"
        assert set(got.json) == {"reference_id", "status", "submit_timestamp", "external_id"}
        assert (got.json["reference_id"], got.json["external_id"]) == (body["reference_id"], "msg-001")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", got.json["status"]["updated_on"])
        assert (verifies(got), verifies(got, SECOND_KEY)) == (True, False)
    assert endpoint.received[1].json["status"]["description"] == "Delivered to handset"
    [message] = telesign.ledger
    assert [(entry.about, entry.status) for entry in message.callbacks] == [("sent", 200), ("delivered", 200)]


async def test_features_add_to_a_report(sandbox, endpoint, http):
    """Price, network, parts and sender come as Telesign writes them, with the blank behind sender_id."""
    set_up(sandbox, features=["cost", "network", "parts", "sender_id", "cleansed_phone_number"])

    await send(sandbox, http, callback_url=endpoint.url, message="x" * 161)
    await sandbox.idle()

    more = endpoint.received[0].json["additional_info"]
    parts = more.pop("message_parts_reference_ids").split(",")
    assert [len(part) for part in parts] == [32, 32]
    assert more == {
        "price": "0.0150",
        "currency": "USD",
        "mcc": "310",
        "mnc": "004",
        "message_parts_count": 2,
        "sender_id ": SENDER[1:],
        "cleansed_phone_number": PERSON[1:],
    }


@pytest.mark.parametrize(
    ("settings", "named", "told"),
    [
        ({}, False, []),
        ({"status_callback": False}, True, []),
        ({"status_callback_url": "{url}/account"}, False, ["/account", "/account"]),
        ({"status_callback_url": "{url}/account"}, True, ["/message", "/message"]),
        ({"status_callback_url": "{url}/account", "status_callback": False}, False, []),
    ],
    ids=["no address", "switched off", "the account's", "the message's first", "switched off with an address"],
)
async def test_reports_go_where_the_message_says_then_where_the_account_does(
    sandbox, endpoint, http, settings, named, told
):
    """The address of a message outweighs the account's; without one, or with reports switched off, nothing is told."""
    given = {
        name: value.format(url=endpoint.url) if isinstance(value, str) else value for name, value in settings.items()
    }
    set_up(sandbox, **given)

    await send(sandbox, http, callback_url=f"{endpoint.url}/message" if named else None)
    await sandbox.idle()

    assert [got.path for got in endpoint.received] == told


@pytest.mark.parametrize(
    ("digits", "code"),
    [
        ("0151", 510),
        ("0152", 220),
        ("0153", 222),
        ("0160", 210),
        ("0161", 211),
        ("0162", 504),
        ("0163", 515),
        ("0164", 510),
        ("0165", 221),
        ("0166", 207),
        ("0167", 517),
        ("0168", 503),
        ("0169", 251),
    ],
)
async def test_failures_have_their_codes(sandbox, telesign, endpoint, http, digits, code):
    """What fails after acceptance is told with the code of its reason, and a question gets the same."""
    _, body, _ = await send(sandbox, http, phone_number=magic_number(digits)[1:], callback_url=endpoint.url)
    await sandbox.idle()

    _, asked, _ = await ask(sandbox, http, "GET", f"/v1/messaging/{body['reference_id']}")

    assert endpoint.received[-1].json["status"] == asked["status"]
    assert asked["status"]["code"] == code


@pytest.mark.parametrize(
    ("digits", "codes"),
    [
        ("0180", []),
        ("0181", [203, 200]),
        ("0182", [203, 200, 200, 200]),
        ("0183", [200, 203]),
        ("0184", [203, 200]),
        ("0185", [203, 207, 200]),
        ("0186", [203, 210, 200]),
    ],
)
async def test_reports_come_as_the_number_asks(sandbox, telesign, endpoint, http, digits, codes):
    """None, late, several, disordered, early, forged or corrected."""
    await send(sandbox, http, phone_number=magic_number(digits)[1:], callback_url=endpoint.url)
    await sandbox.idle()

    assert [got.json["status"]["code"] for got in endpoint.received] == codes


async def test_a_report_told_again_is_the_same_report(sandbox, telesign, endpoint, http):
    """The three reports of 0182 differ in nothing, their time included."""
    await send(sandbox, http, phone_number=magic_number("0182")[1:], callback_url=endpoint.url)
    await sandbox.idle()

    assert len({got.body for got in endpoint.received[1:]}) == 1


async def test_a_report_that_comes_late_tells_when_it_happened(http, endpoint):
    """Of 0183, the report of the gateway comes second and carries the earlier time."""
    async with running_sandbox(time_scale=0.01) as sandbox:
        set_up(sandbox)
        await send(sandbox, http, phone_number=magic_number("0183")[1:], callback_url=endpoint.url)
        await sandbox.idle()

    delivered, sent = (got.json["status"]["updated_on"] for got in endpoint.received)
    assert sent < delivered


async def test_early_reports_arrive_before_the_answer(sandbox, telesign, endpoint, http):
    """All reports of 0184 have arrived when the answer comes."""
    await send(sandbox, http, phone_number=magic_number("0184")[1:], callback_url=endpoint.url)

    assert [got.json["status"]["code"] for got in endpoint.received] == [203, 200]


async def test_a_forged_report_is_signed_with_another_key(sandbox, telesign, endpoint, http):
    """The forged report of 0185 names the right customer in the right form and fails the check alone."""
    await send(sandbox, http, phone_number=magic_number("0185")[1:], callback_url=endpoint.url)
    await sandbox.idle()

    assert [verifies(got) for got in endpoint.received] == [True, False, True]
    [message] = telesign.ledger
    assert (message.state, [entry.forged for entry in message.callbacks]) == ("delivered", [False, True, False])


async def test_the_first_key_signs(sandbox, endpoint, http, control):
    """Once the keys have changed places, the other one signs."""
    set_up(sandbox)
    await control.ask("POST", f"{ACCOUNT}/settings", {"api_keys": [SECOND_KEY, KEY]})

    await send(sandbox, http, callback_url=endpoint.url)
    await sandbox.idle()

    assert [(verifies(got), verifies(got, SECOND_KEY)) for got in endpoint.received] == [(False, True)] * 2


# Retries


@pytest.mark.parametrize(
    ("answers", "attempts"),
    [
        ((), 1),
        ((204,), 2),
        ((202, 201), 3),
        ((302,), 2),
        ((400, 401, 503), 4),
        ((500, 500, 500, 500, 500), 4),
    ],
)
async def test_only_200_ends_the_attempts(sandbox, telesign, endpoint, http, answers, attempts):
    """Everything but exactly 200 is tried again, the same bytes, four times in all."""
    endpoint.answer(*answers)

    await send(sandbox, http, phone_number=magic_number("0164")[1:], callback_url=endpoint.url)
    await sandbox.idle()

    assert len(endpoint.received) == attempts
    assert len({(got.body, proof_of(got)) for got in endpoint.received}) == 1


async def test_a_refused_connection_is_tried_again(sandbox, telesign, http, closed_port):
    """No connection counts as no 200."""
    url = f"http://127.0.0.1:{closed_port}/report"

    await send(sandbox, http, phone_number=magic_number("0164")[1:], callback_url=url)
    await sandbox.idle()

    [message] = telesign.ledger
    assert [entry.error for entry in message.callbacks] == ["connect"] * 4


def test_the_waits_are_the_documented_ones():
    """A report has four attempts with 5, 10 and 15 s in between, a text three with 10 and 30 s, each 5 s to answer."""
    assert (callbacks.REPORTS.waits, callbacks.REPORTS.total_seconds) == ((5, 10, 15), 5)
    assert (callbacks.TEXTS.waits, callbacks.TEXTS.total_seconds) == ((10, 30), 5)


async def test_a_slow_endpoint_is_asked_again(sandbox, telesign, http, monkeypatch):
    """An answer that takes too long counts as no 200."""
    impatient: Persistence = replace(callbacks.REPORTS, read_seconds=0.1, total_seconds=0.1)
    monkeypatch.setattr(callbacks, "REPORTS", impatient)
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
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/s"
    await send(sandbox, http, phone_number=magic_number("0164")[1:], callback_url=url)
    await sandbox.idle()
    await runner.cleanup()

    [message] = telesign.ledger
    assert [(entry.error, entry.status) for entry in message.callbacks] == [("timeout", None), ("", 200)]


# Incoming texts


async def test_a_persons_text_is_posted_signed(sandbox, endpoint, control):
    """A text comes with both numbers in digits, the text untouched and no word on keywords unless asked for."""
    vendor = set_up(sandbox, inbound_url=f"{endpoint.url}/inbound")

    await texts(control, " Stop 🛑 & x=1\n")
    await sandbox.idle()

    [got] = endpoint.received
    [message] = vendor.ledger
    assert verifies(got)
    assert got.json["reference_id"] == message.id
    assert (got.json["status"]["code"], got.json["sub_resource"], got.json["errors"]) == (1500, "mo_sms", {})
    assert got.json["user_response"] == {
        "phone_number": PERSON[1:],
        "sender_id": SENDER[1:],
        "mo_message": " Stop 🛑 & x=1\n",
    }


@pytest.mark.parametrize(
    ("text", "action"),
    [
        *((word, "stop") for word in ("arrêt", "ARRET", "Cancel", "end", "quit", " STOP\n", "unsubscribe")),
        *((word, "help") for word in ("aide", "Contact", "HELP", "info")),
        ("Start", "start"),
        *((text, "generic") for text in ("stop it", "yes", "Hello")),
    ],
)
async def test_keywords_are_named_where_the_account_wants_it(sandbox, endpoint, control, text, action):
    """With the feature, a text that is a keyword says which and what it means; any other is generic."""
    set_up(sandbox, inbound_url=endpoint.url, keywords=True)

    await texts(control, text)
    await sandbox.idle()

    said = endpoint.received[0].json["user_response"]
    assert (said["action"], said["iso_country_code"]) == (action, "US")
    assert said["keyword"] == ("" if action == "generic" else text.strip().lower())


async def test_a_short_code_stays_bare(sandbox, endpoint, control):
    """A text to a short code names it as it is."""
    set_up(sandbox, inbound_url=endpoint.url)

    await texts(control, "Hi", recipient="12345")
    await sandbox.idle()

    assert endpoint.received[0].json["user_response"]["sender_id"] == "12345"


async def test_a_text_is_told_three_times_at_most(sandbox, endpoint, control):
    """What is answered with anything but 200 is posted again, twice."""
    set_up(sandbox, inbound_url=endpoint.url)
    endpoint.answer(204, 500, 500, 500)

    await texts(control, "Hi")
    await sandbox.idle()

    assert len(endpoint.received) == 3
    assert len({got.body for got in endpoint.received}) == 1


async def test_without_an_address_a_text_is_told_nobody(sandbox, telesign, endpoint, control):
    """An account without inbound keeps the text to itself."""
    await texts(control, "Hi")
    await sandbox.idle()

    assert endpoint.received == []
    assert [message.state for message in telesign.ledger] == ["received"]


async def test_nobody_can_text_what_is_no_number_of_a_customer(control, telesign):
    """The control API says so when nobody owns the number, or when it is a name."""
    unknown = await texts(control, "x", recipient="+12065559999", status=400)
    name = await texts(control, "x", recipient="CONTOSO", status=400)

    assert "no account owns" in unknown["error"]
    assert "alphanumeric" in name["error"]


async def test_an_account_that_is_gone_is_told_nothing(http, control, sandbox, endpoint):
    """What was on its way when the account was deleted stays, and the ledger says why nothing came."""
    vendor = set_up(sandbox, inbound_url=endpoint.url)
    vendor.accounts.remove(CUSTOMER)

    await texts(control, "Hi")
    await sandbox.idle()

    [message] = vendor.ledger
    assert endpoint.received == []
    assert [entry.error for entry in message.callbacks] == ["the account is gone"]


# Opt-outs


@pytest.mark.parametrize("blocks", [False, True])
async def test_stop_blocks_only_where_that_was_bought(sandbox, endpoint, http, control, blocks):
    """By default Telesign only tells of a STOP; with the service a send is taken, then fails with 510, until START."""
    vendor = set_up(sandbox, blocks_opt_outs=blocks)

    async def code_after(word):
        await texts(control, word)
        _, body, _ = await send(sandbox, http, callback_url=endpoint.url)
        await sandbox.idle()
        return body["status"]["code"], endpoint.received[-1].json["status"]["code"]

    assert await code_after("STOP") == (290, 510 if blocks else 200)
    assert await code_after("stop it") == (290, 510 if blocks else 200)
    assert await code_after("Start") == (290, 200)
    assert [m.reason for m in vendor.ledger.find()] == [Reason.OPTED_OUT if blocks else None] * 2 + [None]


async def test_a_stop_concerns_its_own_sender_only(sandbox, telesign, endpoint, http, control):
    """Who stopped one sender still gets texts from another, and others from the same."""
    await control.ask("POST", "/telesign/opt-outs", {"sender": SENDER, "recipient": PERSON})

    for fields in ({}, {"sender_id": "12345"}, {"phone_number": "12065550124"}):
        await send(sandbox, http, callback_url=endpoint.url, **fields)
    await sandbox.idle()

    assert [message.state for message in telesign.ledger] == ["failed", "delivered", "delivered"]


# The control API, and the kit


async def test_the_control_api_hides_keys(control, telesign):
    """What is shown of an account holds no key and no secret in an address."""
    await control.ask("POST", f"{ACCOUNT}/settings", {"inbound_url": "http://127.0.0.1/x?code=geheim"})

    shown = str(await control.ask("GET", "/telesign")) + str(await control.ask("GET", "/telesign/accounts"))

    assert CUSTOMER in shown
    assert not any(secret in shown for secret in (KEY, SECOND_KEY, "geheim"))


async def test_settings_change_what_they_name_and_nothing_else(control, telesign):
    """A change of one setting leaves the keys and the others; an unknown or wrong one is refused."""
    before = telesign.accounts.get(CUSTOMER)

    await control.ask("POST", f"{ACCOUNT}/settings", {"keywords": True})
    for wrong in ({"api_keys": []}, {"api_keys": ["="]}, {"tps": 0}, {"unheard": 1}, {"standing": "x"}):
        await control.ask("POST", f"{ACCOUNT}/settings", wrong, status=400)

    assert telesign.accounts.get(CUSTOMER) == before.model_copy(update={"keywords": True})


async def test_numbers_belong_to_one_account(control, telesign):
    """A number can be listed, given back and registered again, but not be taken from another account."""
    taken = await control.ask("POST", f"{ACCOUNT}/numbers", {"number": OTHER_SENDER}, status=400)
    await control.ask("DELETE", f"/telesign/accounts/{OTHER_CUSTOMER}")
    await control.ask("POST", f"{ACCOUNT}/numbers", {"number": OTHER_SENDER[1:]}, status=201)
    await control.ask("DELETE", f"{ACCOUNT}/numbers/{SENDER}")

    assert "another account" in taken["error"]
    assert [entry["number"] for entry in await control.ask("GET", f"{ACCOUNT}/numbers")] == [
        "12345",
        "CONTOSO",
        OTHER_SENDER,
    ]
    await control.ask("GET", f"/telesign/accounts/{OTHER_CUSTOMER}/numbers", status=404)
    await control.ask("DELETE", f"{ACCOUNT}/numbers/{SENDER}", status=404)


async def test_the_kit_makes_a_customer_that_sends_and_hears(sandbox, endpoint, http, control):
    """With the kit's account, settings and wiring a message is sent, reported and answered."""
    customer = Customer(
        "one", lambda name: base64.b16encode(name.encode()).decode().lower().ljust(32, "0")[:32], KIT.sender
    )
    addresses = Addresses(f"{endpoint.url}/report", f"{endpoint.url}/inbound")
    for call in (*KIT.account(customer), *KIT.wiring(customer, addresses)):
        await control.ask("POST", call.path, dict(call.body))
    settings = KIT.settings(customer, sandbox.base_url)

    form = {
        "phone_number": KIT.person(123)[1:],
        "message": "Hello",
        "message_type": "ARN",
        "sender_id": KIT.sender[1:],
        "callback_url": addresses.report,
    }
    headers = basic(settings["customerId"], settings["apiKey"])
    async with http.post(f"{settings['baseUrl']}/v1/messaging", data=form, headers=headers) as response:
        assert response.status == 200
    await control.ask("POST", "/telesign/inbound", {"from": KIT.person(123), "to": KIT.sender, "text": "Stop"})
    await sandbox.idle()

    assert sorted(got.path for got in endpoint.received) == ["/inbound", "/report", "/report"]
    for got in endpoint.received:
        assert verify_telesign_callback_signature(
            settings["apiKey"], got.headers["X-TS-Authorization"], got.body.decode()
        )
