"""Vibes: receipts by stage and part, what proves them, what is tried again, and texts from people."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise

import pytest
from aiohttp import web
from defusedxml.ElementTree import fromstring

from sandbox.outcomes import magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.vibes import Number
from tests.sandbox.conftest import PERSON, running_endpoint, until
from tests.sandbox.test_vibes_send import CODE, ID, USER, basic, send, set_up

TOKEN = "k7Qh2mT0w5ZrYb1xJ4dV8nL3sC6uEfGa"
BASIC = {"inbound_user": "vibes", "inbound_password": "PasswordOfReplies"}


@pytest.fixture
def vibes(sandbox):
    return set_up(sandbox)


def said(got):
    """Give a receipt's type, whether it is an error, and its two codes."""
    root = fromstring(got.body)
    assert root.tag == "mtMessageResponse"
    status = root.find("status")
    codes = (status.findtext("errorCode"), status.findtext("internalErrorCode"))
    return root.findtext("type"), status.get("isError") == "true", *codes


async def receipts(sandbox, http, endpoint, **parts):
    """Send with a callback address; give the receipts in order of arrival."""
    status, root, _ = await send(sandbox, http, callback=f"{endpoint.url}/report/{TOKEN}", **parts)
    assert (status, root.tag) == (200, "mtMessageRsp")
    await sandbox.idle()
    return endpoint.received


SYSTEM, CARRIER, HANDSET = ("System", False, None, None), ("Carrier", False, None, None), ("Handset", False, None, None)


async def test_each_stage_has_its_receipt(sandbox, vibes, http, endpoint):
    """System, Carrier and Handset come in turn, with both ids, a date with offset, and no proof but the address."""
    got = await receipts(sandbox, http, endpoint)

    assert [said(one) for one in got] == [SYSTEM, CARRIER, HANDSET]
    [message] = vibes.ledger
    for one in got:
        root = fromstring(one.body)
        assert (root.get("messageId"), root.get("submitterMessageId")) == (message.id, ID)
        assert datetime.fromisoformat(root.get("receiptDate")).utcoffset() is not None
        assert root.find("multipart") is None
        assert one.path == f"/report/{TOKEN}"
        assert one.headers["Content-Type"].startswith("text/xml")
        assert "Authorization" not in one.headers


async def test_a_user_in_the_address_does_not_become_basic(sandbox, vibes, http, endpoint):
    """Receipts carry no Basic authentication even if the address names a user."""
    await send(sandbox, http, callback=f"{endpoint.url}/r".replace("//", "//user:word@"))
    await sandbox.idle()

    assert len(endpoint.received) == 3
    assert not any("Authorization" in one.headers for one in endpoint.received)


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("ALL", ["System", "Carrier", "Handset"]),
        ("ERROR", ["Handset"]),
        ("NONE", []),
        ("SMSC_ALL", ["Carrier", "Handset"]),
        ("SMSC_ERROR", ["Handset"]),
    ],
)
async def test_the_option_chooses_the_receipts(sandbox, vibes, http, endpoint, option, told):
    """All, errors only, none, or what the carrier says."""
    got = await receipts(sandbox, http, endpoint, option=option, to=magic_number("0160"))

    assert [said(one)[0] for one in got] == told


@pytest.mark.parametrize(
    ("digits", "told"),
    [
        ("0151", [("System", True, None, "9")]),
        ("0153", [SYSTEM, ("Carrier", True, "107", "7")]),
        ("0160", [SYSTEM, CARRIER, ("Handset", True, "103", "255")]),
        ("0161", [SYSTEM, CARRIER, ("Handset", True, "107", "7")]),
        ("0162", [SYSTEM, CARRIER, ("Handset", True, "107", "7")]),
        ("0163", [SYSTEM, CARRIER, ("Handset", True, "102", "255")]),
        ("0164", [("System", True, None, "9")]),
        ("0165", [SYSTEM, ("Handset", True, "101", "255")]),
        ("0166", [SYSTEM, CARRIER, ("Handset", True, None, "255")]),
        ("0167", [("System", True, None, "16")]),
        ("0168", [("System", True, None, "12")]),
        ("0169", [SYSTEM, CARRIER, ("Handset", True, "100", "255")]),
        ("0180", []),
        ("0182", [SYSTEM, CARRIER, HANDSET, HANDSET, HANDSET]),
        ("0183", [SYSTEM, HANDSET, CARRIER]),
        ("0186", [SYSTEM, CARRIER, ("Handset", True, "103", "255"), HANDSET]),
    ],
)
async def test_receipts_come_as_the_number_asks(sandbox, vibes, http, endpoint, digits, told):
    """Failures speak from the stage that failed, in that stage's code; the rest come late, twice or disordered."""
    got = await receipts(sandbox, http, endpoint, to=magic_number(digits))

    assert [said(one) for one in got] == told


async def test_early_receipts_arrive_before_the_answer(sandbox, vibes, http, endpoint):
    """All receipts of 0184 have arrived when the answer comes."""
    await send(sandbox, http, to=magic_number("0184"), callback=f"{endpoint.url}/r")

    assert [said(one) for one in endpoint.received] == [SYSTEM, CARRIER, HANDSET]


async def test_a_forged_receipt_has_a_wrong_token(sandbox, vibes, http, endpoint):
    """The forger of 0185 knows the address but for the token, and is not tried again when refused."""
    endpoint.answer(200, 200, 401)

    got = await receipts(sandbox, http, endpoint, to=magic_number("0185"))

    assert [said(one)[1] for one in got] == [False, False, True, False]
    forged = got[2].path
    assert [one.path for one in got[:2] + got[3:]] == [f"/report/{TOKEN}"] * 3
    assert forged.startswith("/report/")
    assert len(forged) == len(f"/report/{TOKEN}")
    assert forged != f"/report/{TOKEN}"
    [message] = vibes.ledger
    assert (message.state, [entry.forged for entry in message.callbacks]) == ("delivered", [False, False, True, False])


async def test_each_part_has_its_receipts(sandbox, vibes, http, endpoint):
    """A text in two parts gives two receipts a stage, each with its place; only the first part has the message's id."""
    got = await receipts(sandbox, http, endpoint, text="x" * 161)

    [message] = vibes.ledger
    assert [said(one)[0] for one in got] == ["System", "System", "Carrier", "Carrier", "Handset", "Handset"]
    multiparts = [fromstring(one.body).find("multipart").attrib for one in got]
    assert [one["partNumber"] for one in multiparts] == ["2", "1"] * 3
    assert {(one["isMultipart"], one["originalMessageId"], one["noOfParts"]) for one in multiparts} == {
        ("true", message.id, "2")
    }
    ids = [fromstring(one.body).get("messageId") for one in got]
    assert ids == list(reversed(message.extra["parts"])) * 3


async def test_whoever_is_on_the_block_list_gets_nothing(sandbox, vibes, http, endpoint, control):
    """A text to a blocked number is accepted, then reported as blocked with Vibes' own code 9."""
    await control.ask("POST", "/vibes/opt-outs", {"sender": CODE, "recipient": PERSON}, status=201)

    got = await receipts(sandbox, http, endpoint)

    assert [said(one) for one in got] == [("System", True, None, "9")]


async def test_what_is_not_taken_is_tried_five_times_more(sandbox, vibes, http, endpoint, control):
    """Anything but a 2xx repeats a receipt, the same each time, and does not hold up the next stage."""
    endpoint.answer(500, 302, 404, 401, 503)

    got = await receipts(sandbox, http, endpoint, option="ERROR", to=magic_number("0160"))

    assert len(got) == 6
    assert len({one.body for one in got}) == 1
    assert await control.ask("GET", "/vibes/error-queue") == []
    endpoint.received.clear()
    endpoint.answer(*[500] * 6)
    await receipts(sandbox, http, endpoint, option="ERROR", to=magic_number("0161"))
    assert len(endpoint.received) == 6
    [left] = await control.ask("GET", "/vibes/error-queue")
    assert left["attempts"] == 6
    assert await control.ask("POST", "/vibes/error-queue/resend") == {"sent": 1}
    assert len(endpoint.received) == 7
    assert await control.ask("GET", "/vibes/error-queue") == []


async def test_a_day_later_nothing_is_sent_again(sandbox, vibes, http, endpoint, control):
    """What waits in the error queue for more than 24 hours is lost."""
    endpoint.answer(*[500] * 6)
    await receipts(sandbox, http, endpoint, option="ERROR", to=magic_number("0160"))
    await control.ask("POST", "/clock", {"seconds": 86401})

    assert await control.ask("POST", "/vibes/error-queue/resend") == {"sent": 0}
    assert await control.ask("GET", "/vibes/error-queue") == []


async def test_a_reset_empties_the_error_queue(sandbox, vibes, http, endpoint, control):
    """After a reset nothing of before is left to be sent."""
    endpoint.answer(*[500] * 6)
    await receipts(sandbox, http, endpoint, option="ERROR", to=magic_number("0160"))
    assert len(await control.ask("GET", "/vibes/error-queue")) == 1

    await control.ask("POST", "/vibes/reset", {}, status=204)

    assert await control.ask("GET", "/vibes/error-queue") == []


async def test_any_2xx_is_enough(sandbox, vibes, http, endpoint):
    """Vibes asks for a 2xx and reads no further."""
    endpoint.answer(204, 202, web.Response(status=200, text="what?"))

    assert len(await receipts(sandbox, http, endpoint)) == 3


async def test_retries_wait_five_minutes_and_other_receipts_do_not(http):
    """The schedule is the documented one, scaled; later stages are told meanwhile."""
    async with running_endpoint() as endpoint, running_sandbox(retry_time_scale=0.0005) as sandbox:
        vendor = set_up(sandbox)
        endpoint.answer(500)
        await send(sandbox, http, callback=f"{endpoint.url}/r")
        await sandbox.idle()

        [message] = vendor.ledger
        assert [said(one) for one in endpoint.received] == [SYSTEM, CARRIER, HANDSET, SYSTEM]
        first, *_, again = message.callbacks
        assert (first.attempt, again.attempt) == (1, 2)
        assert again.at - first.at >= 0.15


async def test_an_endpoint_has_two_seconds(vibes):
    """The wait for an answer is the one Vibes documents."""
    from sandbox.vendors.vibes import callbacks

    assert (callbacks.WAIT_SECONDS, callbacks.RETRY_AFTER_SECONDS, callbacks.MOST_RETRIES) == (2, 300, 5)


async def inbound(control, sandbox, text):
    """Let a person text the short code."""
    made = await control.ask("POST", "/vibes/inbound", {"from": PERSON, "to": CODE, "text": text}, status=201)
    await sandbox.idle()
    return made


async def test_a_text_is_posted_with_basic(sandbox, vibes, endpoint, control):
    """A person's text reaches the code's address with Basic authentication, in the documented shape."""
    vibes.numbers.put(CODE, Number(number=CODE, account=USER, inbound_url=f"{endpoint.url}/in/{TOKEN}", **BASIC))

    made = await inbound(control, sandbox, "Stop <b>&amp; ✓\x1b")

    [got] = endpoint.received
    root = fromstring(got.body)
    assert (got.method, got.path) == ("POST", f"/in/{TOKEN}")
    assert got.headers["Authorization"] == basic("vibes", "PasswordOfReplies")
    assert (root.tag, root.get("messageId"), root.get("attemptNumber")) == ("moMessage", made["id"], "1")
    assert made["id"].isdigit()
    assert datetime.strptime(root.get("receiptDate"), "%Y-%m-%d %H:%M:%S %z")
    source, destination = root.find("source").attrib, root.find("destination").attrib
    assert source == {"address": PERSON, "carrier": source["carrier"], "type": "MDN"}
    assert destination == {"address": CODE, "type": "SC"}
    assert root.findtext("message") == "Stop <b>&amp; ✓?"


async def test_a_repeated_text_says_which_attempt_it_is(sandbox, vibes, endpoint, control):
    """Each attempt has the same id and the next number, five more at most."""
    vibes.numbers.put(CODE, Number(number=CODE, account=USER, inbound_url=f"{endpoint.url}/in"))
    endpoint.answer(*[401] * 6)

    await inbound(control, sandbox, "Hi")

    roots = [fromstring(got.body) for got in endpoint.received]
    assert [root.get("attemptNumber") for root in roots] == ["1", "2", "3", "4", "5", "6"]
    assert all(one.get("messageId") == other.get("messageId") for one, other in pairwise(roots))
    assert not any("Authorization" in got.headers for got in endpoint.received)
    await control.ask("POST", "/vibes/error-queue/resend")
    assert fromstring(endpoint.received[-1].body).get("attemptNumber") == "7"


async def test_ten_digits_are_agreed_on_at_set_up(sandbox, vibes, endpoint, control):
    """A code may be set up to name people by ten digits."""
    url = f"{endpoint.url}/in"
    vibes.numbers.put(CODE, Number(number=CODE, account=USER, inbound_url=url, mdn_format="ten_digits"))

    await inbound(control, sandbox, "Hi")

    assert fromstring(endpoint.received[0].body).find("source").get("address") == PERSON[2:]


async def test_stop_is_the_customers_business(sandbox, vibes, endpoint, control, http):
    """STOP is passed on and blocks nobody."""
    vibes.numbers.put(CODE, Number(number=CODE, account=USER, inbound_url=f"{endpoint.url}/in"))

    await inbound(control, sandbox, "STOP")
    _, root, _ = await send(sandbox, http)

    assert root.tag == "mtMessageRsp"
    assert await control.ask("GET", "/vibes/opt-outs") == []


async def test_nobody_texts_a_code_that_nobody_has(sandbox, vibes, control):
    """A text to an unknown code is a mistake of the caller."""
    answer = await control.ask("POST", "/vibes/inbound", {"from": PERSON, "to": "11111", "text": "Hi"}, status=400)

    assert "nobody" in answer["error"] or "no account" in answer["error"]


async def test_a_restart_goes_on_with_receipts(tmp_path, http):
    """Parts and option survive a restart: what was not yet told is told afterwards."""
    data = tmp_path / "sandbox.jsonl"
    async with running_endpoint() as endpoint:
        async with running_sandbox(data=data, time_scale=100) as sandbox:
            set_up(sandbox)
            await send(sandbox, http, callback=f"{endpoint.url}/r", text="x" * 161)
        async with running_sandbox(data=data) as sandbox:
            await sandbox.idle()
            await until(lambda: len(endpoint.received) == 6)
