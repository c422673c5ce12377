"""46elks, which the custom vendor is shown with: reports, what proves them, what is tried again, texts from people."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime
from functools import partial

import pytest
from aiohttp import web

from sandbox.kit import Addresses, ControlCall, Customer
from sandbox.outcomes import magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.custom import DEFINITION, KIT, RETRY_SECONDS, CustomVendor, Number
from sandbox.vendors.custom.records import PLENTY
from tests.sandbox.conftest import PERSON, running_endpoint, until
from tests.sandbox.test_custom_send import NUMBER, USER, ask, basic, send, set_up, written_in_utc

TOKEN = "k7Qh2mT0w5ZrYb1xJ4dV8nL3sC6uEfGa"
ID = "01JDA8V0Z5Q6XW3K9N7RB2T4CM-17"


@pytest.fixture
def elks(sandbox):
    return set_up(sandbox)


def statuses(endpoint):
    return [got.fields["status"] for got in endpoint.received]


async def reports(sandbox, http, endpoint, **parts):
    """Send with an address for reports; give the reports in order of arrival."""
    address = f"{endpoint.url}/report/{TOKEN}?message={ID}"
    status, _, _ = await send(sandbox, http, whendelivered=address, **parts)
    assert status == 200
    await sandbox.idle()
    return endpoint.received


# Reports


async def test_each_state_is_reported(sandbox, elks, http, endpoint):
    """First sent, then delivered with its time: forms with the message's id, at the address as it was named."""
    sent, delivered = await reports(sandbox, http, endpoint)

    [message] = elks.ledger
    assert sent.fields == {"id": message.id, "status": "sent"}
    at = delivered.fields["delivered"]
    assert delivered.fields == {"id": message.id, "status": "delivered", "delivered": at}
    assert written_in_utc(at)
    for got in (sent, delivered):
        assert got.method == "POST"
        assert got.url == f"{endpoint.url}/report/{TOKEN}?message={ID}"
        assert got.headers["Content-Type"] == "application/x-www-form-urlencoded"
        assert "Authorization" not in got.headers


async def test_without_an_address_nothing_is_reported(sandbox, elks, http, endpoint):
    """Who names no address hears nothing."""
    await send(sandbox, http)
    await sandbox.idle()

    [message] = elks.ledger
    assert (message.state, message.callbacks, endpoint.received) == ("delivered", [], [])


@pytest.mark.parametrize(
    ("digits", "told"),
    [
        ("0151", ["failed"]),
        ("0153", ["failed"]),
        ("0160", ["sent", "failed"]),
        ("0163", ["sent", "failed"]),
        ("0165", ["failed"]),
        ("0166", ["sent", "failed"]),
        ("0169", ["sent"]),
        ("0180", []),
        ("0181", ["sent", "delivered"]),
        ("0182", ["sent", "delivered", "delivered", "delivered"]),
        ("0183", ["delivered", "sent"]),
        ("0185", ["sent", "failed", "delivered"]),
        ("0186", ["sent", "failed", "delivered"]),
    ],
)
async def test_reports_come_as_the_number_asks(sandbox, elks, http, endpoint, digits, told):
    """Every failure is `failed` and no more; reports come late, twice, disordered, forged, or not at all."""
    await reports(sandbox, http, endpoint, to=magic_number(digits))

    assert statuses(endpoint) == told
    assert all(("delivered" in got.fields) == (got.fields["status"] == "delivered") for got in endpoint.received)


async def test_a_repeated_report_says_the_same(sandbox, elks, http, endpoint):
    """Whatever is told several times is told with the same time."""
    await reports(sandbox, http, endpoint, to=magic_number("0182"))

    assert len({got.body for got in endpoint.received[1:]}) == 1


async def test_early_reports_arrive_before_the_answer(sandbox, elks, http, endpoint):
    """All reports of 0184 have arrived when the answer comes, which says `created` all the same."""
    _, body, _ = await send(sandbox, http, to=magic_number("0184"), whendelivered=f"{endpoint.url}/r")

    assert statuses(endpoint) == ["sent", "delivered"]
    assert body["status"] == "created"


async def test_a_forged_report_has_a_wrong_token(sandbox, elks, http, endpoint):
    """The forger of 0185 knows the address but for the token, and is not tried again when refused."""
    endpoint.answer(200, 401)

    got = await reports(sandbox, http, endpoint, to=magic_number("0185"))

    paths = [one.path for one in got]
    assert paths[0] == paths[2] == f"/report/{TOKEN}"
    assert paths[1] != paths[0]
    assert len(paths[1]) == len(paths[0])
    assert got[1].url.endswith(f"?message={ID}")
    [message] = elks.ledger
    assert (message.state, [entry.forged for entry in message.callbacks]) == ("delivered", [False, True, False])


async def test_a_user_in_the_address_becomes_basic(sandbox, elks, http, endpoint):
    """User and password before the host are sent as Basic authentication, decoded, and leave the address."""
    address = f"{endpoint.url}/r".replace("//", "//el%40k:se%3Acret@")

    await send(sandbox, http, whendelivered=address)
    await sandbox.idle()

    assert [got.headers["Authorization"] for got in endpoint.received] == [basic("el@k", "se:cret")] * 2
    assert {got.url for got in endpoint.received} == {f"{endpoint.url}/r"}


async def test_what_is_not_taken_is_tried_six_times_more(sandbox, elks, http, endpoint):
    """All but 200 to 204 repeats a report, the same each time, and gives up in the end."""
    endpoint.answer(200, 500, 302, 404, 205, 401, 503, 429, 200)

    got = await reports(sandbox, http, endpoint)

    assert statuses(endpoint) == ["sent", *["delivered"] * 7]
    assert len({one.body for one in got[1:]}) == 1
    [message] = elks.ledger
    assert [entry.attempt for entry in message.callbacks] == [1, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204])
async def test_200_to_204_is_enough(sandbox, elks, http, endpoint, status):
    """The page's range of statuses ends a report, and the answer to one is never texted."""
    body = None if status == 204 else "Thanks!"
    endpoint.answer(web.Response(status=status, text=body), web.Response(status=status, text=body))

    assert len(await reports(sandbox, http, endpoint)) == 2
    assert len(elks.ledger) == 1


async def test_nobody_at_the_address(sandbox, elks, http, closed_port):
    """An address where nobody listens is tried as often, and the ledger says why."""
    await send(sandbox, http, whendelivered=f"http://127.0.0.1:{closed_port}/r", to=magic_number("0165"))
    await sandbox.idle()

    [message] = elks.ledger
    assert [entry.error for entry in message.callbacks] == ["connect"] * 7


def test_retries_last_as_long_as_the_page_promises():
    """At least five attempts, over at least six hours."""
    assert len(RETRY_SECONDS) + 1 >= 5
    assert sum(RETRY_SECONDS) >= 6 * 3600


async def test_retries_wait_and_other_reports_do_not(http):
    """A report that is tried again waits its time, scaled; what comes after it is told meanwhile."""
    async with running_endpoint() as endpoint, running_sandbox(retry_time_scale=0.002) as sandbox:
        vendor = set_up(sandbox)
        endpoint.answer(500)
        await reports(sandbox, http, endpoint)

        assert statuses(endpoint) == ["sent", "delivered", "sent"]
        [message] = vendor.ledger
        first, _, again = message.callbacks
        assert (first.attempt, again.attempt) == (1, 2)
        assert again.at - first.at >= 0.002 * RETRY_SECONDS[0]


# Texts from people


async def texted(sandbox, control, endpoint, text="Hello how are you?", url="/inbound", **said):
    """Let a person text the number; give the message as the control API shows it."""
    vendor = sandbox.vendor(CustomVendor)
    vendor.numbers.put(NUMBER, Number(number=NUMBER, account=USER, sms_url=f"{endpoint.url}{url}"))
    inbound = {"from": PERSON, "to": NUMBER, "text": text} | said
    message = await control.ask("POST", "/custom/inbound", inbound, status=201)
    await sandbox.idle()
    return message


async def test_a_text_is_posted_to_the_number(sandbox, elks, control, endpoint):
    """A text comes as a form with all that the page lists, text included to the letter."""
    message = await texted(sandbox, control, endpoint, "Stopp 🛑 å & x=1 ")

    [got] = endpoint.received
    assert got.method == "POST"
    assert got.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert written_in_utc(got.fields["created"])
    assert got.fields == {
        "direction": "incoming",
        "id": message["id"],
        "from": PERSON,
        "to": NUMBER,
        "created": got.fields["created"],
        "message": "Stopp 🛑 å & x=1 ",
    }


async def test_a_text_is_tried_again(sandbox, elks, control, endpoint):
    """A text that is not taken comes again, the same, until it is."""
    endpoint.answer(500, 404)

    await texted(sandbox, control, endpoint)

    assert len(endpoint.received) == 3
    assert len({got.body for got in endpoint.received}) == 1


async def test_a_number_without_an_address_keeps_its_texts(sandbox, elks, control, endpoint):
    """A text to a number with no address is received and told nobody."""
    await control.ask("POST", "/custom/inbound", {"from": PERSON, "to": NUMBER, "text": "Hi"}, status=201)
    await sandbox.idle()

    [message] = elks.ledger
    assert (message.direction, message.state, message.callbacks) == ("inbound", "received", [])


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        ("The current time is 08:14.", "The current time is 08:14."),
        ('{"reply": "We are open."}', "We are open."),
        ('{"forward": "+46701740699"}', None),
        ('{"reply": ["H"]}', None),
        ("", None),
        (" \n", None),
    ],
)
async def test_the_answer_is_texted_back(sandbox, elks, http, control, endpoint, body, reply):
    """What stands in the answer to a text is sent to the person, charged, and in the history as a reply."""
    endpoint.answer(web.Response(text=body))

    await texted(sandbox, control, endpoint)

    sent = [message for message in elks.ledger if message.direction == "reply"]
    assert [(one.sender, one.recipient, one.text, one.state) for one in sent] == (
        [(NUMBER, PERSON, reply, "delivered")] if reply else []
    )
    _, page, _ = await ask(sandbox, http, "GET", "/custom/a1/sms")
    directions = [entry["direction"] for entry in page["data"]]
    assert directions == (["outgoing-reply", "incoming"] if reply else ["incoming"])
    assert PLENTY - elks.accounts.get(USER).balance == (5000 if reply else 0)


async def test_a_refusal_is_not_texted_back(sandbox, elks, control, endpoint):
    """The body of an answer that is no success reaches nobody."""
    endpoint.answer(*[web.Response(status=500, text="Oops") for _ in range(7)])

    await texted(sandbox, control, endpoint)

    assert len(endpoint.received) == 7
    assert [message.direction for message in elks.ledger] == ["inbound"]


async def test_a_reset_forgets_what_was_to_come(sandbox, elks, http, endpoint, control):
    """After a reset messages are gone and accounts remain; asked to, accounts go too."""
    await reports(sandbox, http, endpoint)

    await control.ask("POST", "/custom/reset", {}, status=204)

    assert len(elks.ledger) == 0
    assert (await send(sandbox, http))[0] == 200
    await control.ask("POST", "/custom/reset", {"accounts": True}, status=204)
    assert (await send(sandbox, http))[0] == 401


# The description for the gateway


def customer():
    return Customer("one", partial("{:0>32}".format), KIT.sender)


def test_the_description_is_one_that_the_gateway_keeps():
    """The description is JSON of less than 20,000 characters, and all its addresses are 46elks' own, with https."""
    assert isinstance(json.loads(DEFINITION), dict)
    assert len(DEFINITION) < 20_000
    hosts = set(re.findall(r"\w+://[^/]*/", DEFINITION))
    assert hosts == {"https://api.46elks.com/", "https://46elks.com/"}


def test_the_kit_points_every_request_at_the_sandbox():
    """In the customer's settings no request goes to 46elks itself, and the description has no credentials in it."""
    settings = KIT.settings(customer(), "http://127.0.0.1:7072")
    definition, written = settings["definition"], json.dumps(settings["definition"])

    assert definition["request"]["url"] == "http://127.0.0.1:7072/custom/a1/sms"
    assert definition["check"]["url"] == "http://127.0.0.1:7072/custom/a1/me"
    assert "api.46elks.com" not in written
    assert not [value for value in settings["credentials"].values() if value in written]


async def test_the_kit_makes_a_customer_that_sends_and_hears(sandbox, http, control, endpoint):
    """Account and wiring of the kit work: its credentials send from its sender, and a reply comes to the address."""
    addresses = Addresses(f"{endpoint.url}/report/{TOKEN}", f"{endpoint.url}/inbound/{TOKEN}")
    for call in (*KIT.account(customer()), *KIT.wiring(customer(), addresses)):
        assert isinstance(call, ControlCall)
        await control.ask("POST", call.path, dict(call.body), status=201)
    found = KIT.settings(customer(), sandbox.base_url)["credentials"]

    status, _, _ = await send(sandbox, http, sender=KIT.sender, auth=basic(found["username"], found["password"]))
    await control.ask("POST", "/custom/inbound", {"from": PERSON, "to": KIT.sender, "text": "Hi"}, status=201)
    await until(lambda: endpoint.received)

    assert status == 200
    assert endpoint.received[0].path == f"/inbound/{TOKEN}"


def test_customers_differ():
    """Two customers have accounts of their own."""
    first, second = (KIT.account(replace(customer(), secret=partial((mark + "{}").format)))[0] for mark in "ab")

    assert first.body["username"] != second.body["username"]


async def test_the_words_of_the_description_are_those_that_are_told(sandbox, elks, http, endpoint):
    """Every status that comes in a report, and each fixed refusal, stands in the description."""
    definition = json.loads(DEFINITION)
    for to in (PERSON, magic_number("0160")):
        await reports(sandbox, http, endpoint, to=to)
    _, refusal, _ = await send(sandbox, http, to="070")

    assert {"sent", "delivered", "failed"} == set(statuses(endpoint)) <= set(definition["report"]["states"])
    assert refusal in definition["errors"]["table"]
    told = endpoint.received[1].fields[definition["report"]["at"]["path"]]
    assert datetime.fromisoformat(told)
