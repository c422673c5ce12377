"""The magic numbers: the same last four digits mean the same fate at every vendor."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sandbox.outcomes
from sandbox.outcomes import DELIVERED, OUTCOMES, Reason, magic_number, ordinary_number, outcome_of
from sandbox.vendors.acs import REPORT_DETAILS
from sandbox.vendors.twilio import ERROR_CODES
from tests.sandbox.conftest import PERSON
from tests.sandbox.test_acs_events import reported, subscribe
from tests.sandbox.test_acs_events import set_up as set_up_acs
from tests.sandbox.test_acs_send import post, repeatable, sms
from tests.sandbox.test_twilio_send import SERVICE, create
from tests.sandbox.test_twilio_send import set_up as set_up_twilio

README = Path(sandbox.outcomes.__file__).with_name("README.md")


@pytest.fixture
def acs(sandbox):
    vendor = set_up_acs(sandbox)
    vendor.mischief.faults.slow_seconds = 0.2
    return vendor


@pytest.fixture
def twilio(sandbox):
    vendor = set_up_twilio(sandbox)
    vendor.mischief.faults.slow_seconds = 0.2
    return vendor


@pytest.mark.parametrize("area", [425, 206, 415, 800])
def test_magic_numbers_are_valid_numbers(area):
    """Every magic number passes the strictest check a gateway may do."""
    for outcome in OUTCOMES:
        number = magic_number(outcome.digits, area)
        assert phonenumbers.is_valid_number(phonenumbers.parse(number, None)), number
        assert outcome_of(number) is outcome


@pytest.mark.parametrize("prefix", ["+491511", "+44740", "+474"])
def test_magic_numbers_work_in_other_countries(prefix):
    """The same last seven digits are valid mobile numbers in Germany, Britain and Norway."""
    number = f"{prefix}5550160"

    assert phonenumbers.is_valid_number(phonenumbers.parse(number, None))
    assert outcome_of(number).name == "undelivered_unreachable"


@given(st.integers(min_value=0, max_value=7_919_999))
def test_ordinary_numbers_are_valid_and_simply_delivered(index):
    """Numbers for bulk tests are valid and never magic."""
    number = ordinary_number(index)

    assert phonenumbers.is_valid_number(phonenumbers.parse(number, None))
    assert outcome_of(number) is DELIVERED


def test_ordinary_numbers_are_different():
    """Bulk tests get as many people as they ask for."""
    assert len({ordinary_number(index) for index in range(0, 7_920_000, 97)}) == len(range(0, 7_920_000, 97))


def test_the_readme_lists_every_magic_number():
    """The table in the README is complete."""
    text = README.read_text()

    assert [outcome.digits for outcome in OUTCOMES if f"| {outcome.digits} | {outcome.what}" not in text] == []


def test_every_reason_has_a_code_at_every_vendor():
    """No reason falls through a vendor's table."""
    assert set(REPORT_DETAILS) == set(Reason)
    assert set(ERROR_CODES) == set(Reason) - {Reason.INVALID_NUMBER}


async def test_the_overview_lists_them(control):
    """GET /sandbox names vendors, endpoints and all magic numbers."""
    overview = await control.ask("GET", "")

    assert {entry["number"] for entry in overview["magic_numbers"]} == {
        magic_number(entry.digits) for entry in OUTCOMES
    }
    assert {"acs", "twilio"} <= set(overview["vendors"])
    assert control.base_url in overview["vendors"]["twilio"]["endpoint"]


@pytest.mark.parametrize(
    ("digits", "code"),
    [("0150", 21211), ("0151", 21610), ("0152", 21612), ("0153", 21614)],
)
async def test_twilio_refuses_at_once(sandbox, twilio, http, digits, code):
    """Refusals are 400 with Twilio's code, and nothing is sent."""
    status, body, _ = await create(sandbox, http, To=magic_number(digits))

    assert (status, body["code"]) == (400, code)
    assert len(twilio.ledger) == 0


@pytest.mark.parametrize(
    ("digits", "details"),
    [("0151", "Sender blocked for given recipient."), ("0152", "4003"), ("0153", "4004")],
)
async def test_acs_refuses_later(sandbox, acs, control, endpoint, http, digits, details):
    """What ACS does not refuse at once it reports as failed; only a malformed number is refused in the answer."""
    await subscribe(control, endpoint)

    _, body, _ = await post(sandbox, http, reported(magic_number(digits)))
    _, refused, _ = await post(sandbox, http, reported(magic_number("0150")))
    await sandbox.idle()

    assert body["value"][0]["successful"]
    assert (refused["value"][0]["httpStatusCode"], refused["value"][0]["successful"]) == (400, False)
    [got] = endpoint.received
    assert got.json[0]["data"]["deliveryStatusDetails"].startswith(details)


@pytest.mark.parametrize(
    ("digits", "state", "code", "details"),
    [
        ("0160", "undelivered", "30003", "4006"),
        ("0161", "undelivered", "30005", "4004"),
        ("0162", "undelivered", "30004", "4005"),
        ("0163", "undelivered", "30007", "4000"),
        ("0164", "failed", "21610", "Sender blocked"),
        ("0165", "failed", "30036", "5001"),
        ("0166", "undelivered", "30008", "9999"),
        ("0167", "failed", "30034", "4010"),
        ("0168", "failed", "30022", "4020"),
        ("0169", "undelivered", "30008", "5002"),
    ],
)
async def test_both_vendors_report_a_failure_in_their_own_words(
    sandbox,
    acs,
    twilio,
    control,
    endpoint,
    http,
    digits,
    state,
    code,
    details,
):
    """Accepted, then failed: Twilio tells state and error code, ACS a text that begins with its code."""
    await subscribe(control, endpoint)

    await create(sandbox, http, To=magic_number(digits), StatusCallback=f"{endpoint.url}/twilio")
    await sandbox.idle()
    last = endpoint.received[-1].fields
    endpoint.received.clear()
    await post(sandbox, http, reported(magic_number(digits)))
    await sandbox.idle()

    assert (last["MessageStatus"], last["ErrorCode"]) == (state, code)
    [event] = endpoint.received[0].json
    assert event["data"]["deliveryStatus"] == "Failed"
    assert event["data"]["deliveryStatusDetails"].startswith(details)
    assert event["data"]["deliveryAttempts"][0]["segmentsFailed"] == 1


async def test_twilio_tells_the_error_when_asked(sandbox, twilio, http):
    """A failed message read back carries its code and date."""
    _, body, _ = await create(sandbox, http, To=magic_number("0160"))
    await sandbox.idle()

    _, later, _ = await create(sandbox, http, method="GET", path=body["uri"], data={})

    assert (later["status"], later["error_code"]) == ("undelivered", 30003)
    assert later["date_sent"] is not None
    assert later["price"].startswith("-0.00")


async def try_twilio(sandbox, http, digits, times=3, **fields):
    """Send the same text several times; give each answer's status, 0 for a dropped connection, and Retry-After."""
    answers = []
    for _ in range(times):
        try:
            status, _, headers = await create_raw(sandbox, http, To=magic_number(digits), **fields)
        except aiohttp.ClientError:
            status, headers = 0, {}
        answers.append((status, headers.get("Retry-After")))
    return answers


async def create_raw(sandbox, http, **fields):
    """Like `create`, for answers that are no JSON."""
    try:
        return await create(sandbox, http, **fields)
    except ValueError:
        return 500, {}, {}


WIRE = [
    ("0170", [(429, None), (201, None), (201, None)], 2),
    ("0171", [(429, "1"), (201, None), (201, None)], 2),
    ("0172", [(429, None), (429, None), (429, None)], 0),
    ("0173", [(500, None), (201, None), (201, None)], 2),
    ("0174", [(500, None), (201, None), (201, None)], 3),
    ("0175", [(0, None), (201, None), (201, None)], 3),
    ("0176", [(0, None), (201, None), (201, None)], 2),
    ("0178", [(500, None), (500, None), (500, None)], 0),
    ("0179", [(0, None), (0, None), (0, None)], 3),
]


@pytest.mark.parametrize(("digits", "answers", "sent"), WIRE)
async def test_twilio_troubles_on_the_wire(sandbox, twilio, http, digits, answers, sent):
    """Each trouble answers as promised, and the ledger tells what was really sent."""
    assert await try_twilio(sandbox, http, digits) == answers
    assert len(twilio.ledger) == sent


@pytest.mark.parametrize(("digits", "answers", "sent"), WIRE)
async def test_acs_troubles_on_the_wire(sandbox, acs, http, digits, answers, sent):
    """The same troubles at ACS, where a replay under one repeatability id is never sent twice."""
    body = sms(repeatable(magic_number(digits)))

    got = []
    for _ in range(3):
        try:
            status, _, headers = await post(sandbox, http, body)
        except aiohttp.ClientError:
            status, headers = 0, {}
        got.append((202 if status == 202 else status, headers.get("Retry-After")))

    assert got == [(202 if status == 201 else status, after) for status, after in answers]
    assert len(acs.ledger) == min(sent, 1)


async def test_another_text_meets_its_own_trouble(sandbox, twilio, http):
    """What happens once happens once per text, so a second message to the same number is throttled, too."""
    answers = [await try_twilio(sandbox, http, "0170", times=2, Body=text) for text in ("one", "two")]

    assert answers == [[(429, None), (201, None)]] * 2


async def test_in_a_bulk_request_acs_throttles_single_recipients(sandbox, acs, http):
    """With several recipients 429 and 503 stand in the recipient's own item, and a resend helps."""
    body = sms(*(repeatable(to) for to in (PERSON, magic_number("0170"), magic_number("0173"))))

    _, first, _ = await post(sandbox, http, body)
    _, second, _ = await post(sandbox, http, body)

    assert [item["httpStatusCode"] for item in first["value"]] == [202, 429, 503]
    assert [item["httpStatusCode"] for item in second["value"]] == [202, 202, 202]
    assert len(acs.ledger) == 3


async def test_a_slow_answer_is_sent_before_it_is_answered(sandbox, twilio, http):
    """A client that gives up waiting has sent nevertheless."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await create(sandbox, http, To=magic_number("0177"))

    assert len(twilio.ledger) == 1
    status, _, _ = await create(sandbox, http, To=magic_number("0177"))
    assert status == 201


async def reports_of(sandbox, endpoint, http, digits):
    """Send one message by Twilio; give the states told, in order of arrival."""
    await create(sandbox, http, To=magic_number(digits), StatusCallback=f"{endpoint.url}/s")
    await sandbox.idle()
    return [got.fields["MessageStatus"] for got in endpoint.received]


@pytest.mark.parametrize(
    ("digits", "states"),
    [
        ("0180", []),
        ("0181", ["sent", "delivered"]),
        ("0182", ["sent", "delivered", "delivered", "delivered"]),
        ("0183", ["delivered", "sent"]),
        ("0184", ["sent", "delivered"]),
        ("0185", ["sent", "failed", "delivered"]),
        ("0186", ["sent", "undelivered", "delivered"]),
    ],
)
async def test_reports_come_as_the_number_asks(sandbox, twilio, endpoint, http, digits, states):
    """None, late, several, disordered, early, forged or corrected."""
    assert await reports_of(sandbox, endpoint, http, digits) == states


@pytest.mark.parametrize(("digits", "count"), [("0180", 0), ("0182", 3), ("0183", 1), ("0184", 1), ("0186", 2)])
async def test_acs_reports_final_states_only(sandbox, acs, control, endpoint, http, digits, count):
    """At ACS the same numbers give events of final states, repeated ones under the same id."""
    await subscribe(control, endpoint)

    await post(sandbox, http, reported(magic_number(digits)))
    await sandbox.idle()

    assert len(endpoint.received) == count
    assert len({got.json[0]["id"] for got in endpoint.received}) == min(count, 1)


async def test_early_reports_arrive_before_the_answer(sandbox, twilio, endpoint, http):
    """All reports of 0184 have arrived when the answer comes."""
    await create(sandbox, http, To=magic_number("0184"), StatusCallback=f"{endpoint.url}/s")

    assert [got.fields["MessageStatus"] for got in endpoint.received] == ["sent", "delivered"]


async def test_a_forged_report_does_not_verify(sandbox, twilio, endpoint, http):
    """Of the three reports of 0185 only the second fails Twilio's validator."""
    from twilio.request_validator import RequestValidator

    await reports_of(sandbox, endpoint, http, "0185")

    valid = [
        RequestValidator(twilio.accounts.get(got.fields["AccountSid"]).token).validate(
            got.url,
            got.fields,
            got.headers["X-Twilio-Signature"],
        )
        for got in endpoint.received
    ]
    assert valid == [True, False, True]
    [message] = twilio.ledger
    assert (message.state, [entry.forged for entry in message.callbacks]) == ("delivered", [False, True, False])


async def test_an_opted_out_person_of_a_service_fails_later(sandbox, twilio, http):
    """Through a Messaging Service 0151 is accepted and then failed, as Twilio does."""
    status, _, _ = await create(sandbox, http, From=None, MessagingServiceSid=SERVICE, To=magic_number("0151"))
    await sandbox.idle()

    [message] = twilio.ledger
    assert (status, message.state, message.reason) == (201, "failed", Reason.OPTED_OUT)
