"""Infobip alone: its codes, its old and new shapes, its log and subscriptions, and the adapter with the sandbox."""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.segments import segment
from functions.gateway.states import advance
from functions.vendors import infobip as adapter
from functions.vendors.contract import (
    Accepted,
    Account,
    Answer,
    Callback,
    CallbackUrls,
    Check,
    MalformedError,
    NotAuthenticError,
    Outgoing,
    Parsed,
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
)
from functions.vendors.infobip import codes as tables
from functions.vendors.infobip import vendor
from sandbox.kit import Addresses, Customer
from sandbox.outcomes import magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.infobip import KIT as SANDBOX_KIT
from sandbox.vendors.infobip import InfobipVendor
from tests.vendors.kit import BATCH, PEOPLE, PROVIDER, Reply
from tests.vendors.servers import nobody_listening, recorder

KEY = "canary-of-the-key-0123456789abcdef"
TOKEN = "canaryOfTheToken0123456789abcdef"
PASSWORD = "canary-of-the-password"
SECRET = "canary-of-the-header"
PROOFS = {"callbackUser": "infobip", "callbackPassword": PASSWORD, "callbackSecret": SECRET}
REPORTS = f"https://sms.example.com/api/callbacks/infobip/{PROVIDER}/report/{TOKEN}"
REPLIES = f"https://sms.example.com/api/callbacks/infobip/{PROVIDER}/inbound/{TOKEN}"
URLS = CallbackUrls(REPORTS, REPLIES, "report-function", "inbound-function")
PERSON = PEOPLE[0]
FIRST = f"{BATCH}-0"


def account(base_url="https://xxxxxx.api.infobip.com", **changes):
    """Return an account whose callbacks are proven by the token alone, unless the changes say more."""
    return Account(PROVIDER, {"apiKey": KEY, "baseUrl": base_url, "callbackToken": TOKEN, **changes})


def call(*people, texts=("Hello",), **changes):
    """Return a call that sends a text to these people now; further texts go to the people that follow."""
    people = people or (PERSON,)
    messages = tuple(
        Outgoing(f"{BATCH}-{place}", to, texts[min(place, len(texts) - 1)]) for place, to in enumerate(people)
    )
    plain = SendCall(
        batch=BATCH,
        sender=Sender(SenderType.LONG_CODE, "+14255550100"),
        messages=messages,
        first_attempt=datetime.now(UTC),
        validity=None,
        report_url="",
    )
    return replace(plain, **changes)


def json_reply(body, status=200, **headers):
    """Return an answer with a JSON body."""
    return Reply(status, orjson.dumps(body), {"Content-Type": "application/json", **headers})


@asynccontextmanager
async def answering(handle):
    """Run a server whose handler gets method, path, query and JSON body and returns a status and a body."""
    asked = []

    async def one(request):
        content = await request.read()
        body = orjson.loads(content) if content else None
        asked.append((request.method, request.path, dict(request.query), body))
        status, answer = handle(*asked[-1])
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", one)
    async with TestServer(app, host="127.0.0.1") as server:
        yield str(server.make_url("")), asked


# Requests


async def request_of(http, wanted, path="", **settings):
    """Return the one request that a call makes, and its JSON body."""
    async with recorder(json_reply({}, 400)) as server:
        await vendor.send(account(server.url + path, **settings), wanted, http)
        [request] = server.requests
    return request, orjson.loads(request.body)


async def test_a_request_is_what_the_page_shows(http):
    """One request has an entry for each text with all who get it, numbers without plus, and the reports' address."""
    wanted = call(*PEOPLE, texts=("One ✓", "Two", "One ✓"), validity=600, report_url=REPORTS)

    request, body = await request_of(http, wanted, entityId="e1", applicationId="a1")

    shared = {
        "options": {
            "platform": {"entityId": "e1", "applicationId": "a1"},
            "validityPeriod": {"amount": 600, "timeUnit": "SECONDS"},
        },
        "webhooks": {"delivery": {"url": REPORTS}, "contentType": "application/json"},
    }
    first, second, third = ({"to": to[1:], "messageId": f"{BATCH}-{place}"} for place, to in enumerate(PEOPLE))
    assert (request.method, request.path) == ("POST", "/sms/3/messages")
    assert request.headers["authorization"] == f"App {KEY}"
    assert request.headers["content-type"] == request.headers["accept"] == "application/json"
    assert body == {
        "messages": [
            {"sender": "14255550100", "destinations": [first, third], "content": {"text": "One ✓"}, **shared},
            {"sender": "14255550100", "destinations": [second], "content": {"text": "Two"}, **shared},
        ]
    }


async def test_only_what_is_known_is_asked_for(http):
    """Without validity, platform and address for reports none of them is in the request."""
    _, body = await request_of(http, call())

    destinations = [{"to": PERSON[1:], "messageId": FIRST}]
    assert body == {"messages": [{"sender": "14255550100", "destinations": destinations, "content": {"text": "Hello"}}]}


@pytest.mark.parametrize(
    "proof", [{"callbackPassword": PASSWORD, "callbackUser": "infobip"}, {"callbackSecret": SECRET}]
)
async def test_a_message_names_no_address_that_could_not_prove_itself(http, proof):
    """With a password or a header demanded, reports come from the subscription: a message's address has no place."""
    _, body = await request_of(http, call(report_url=REPORTS), **proof)

    assert "webhooks" not in body["messages"][0]


@pytest.mark.parametrize(
    ("sender", "written"),
    [
        (Sender(SenderType.TOLL_FREE, "+18885550100"), "18885550100"),
        (Sender(SenderType.SHORT_CODE, "12345"), "12345"),
        (Sender(SenderType.ALPHANUMERIC, "Contoso"), "Contoso"),
    ],
)
async def test_senders_of_each_kind_are_written_as_infobip_wants_them(http, sender, written):
    """Numbers lose their plus; short codes and names stay as they are."""
    _, body = await request_of(http, call(sender=sender))

    assert body["messages"][0]["sender"] == written


@pytest.mark.parametrize("pasted", ["", "/", "/sms/3/messages", "/sms/2/text/advanced", "/sms"])
async def test_a_pasted_address_leads_to_the_api(http, pasted):
    """A base address with a slash or with a call's path on it still leads to the API."""
    request, _ = await request_of(http, call(), pasted)

    assert request.path == "/sms/3/messages"


# Entries of an answer

# status id: name, group, what it means, why; https://www.infobip.com/docs/developer-resources/api-fundamentals/message-status-codes
STATUSES = {
    2: ("DELIVERED_TO_OPERATOR", 3, State.SENT, None),
    3: ("PENDING_WAITING_DELIVERY", 1, State.SENT, None),
    4: ("UNDELIVERABLE_REJECTED_OPERATOR", 2, State.UNDELIVERED, Reason.CARRIER_BLOCKED),
    5: ("DELIVERED_TO_HANDSET", 3, State.DELIVERED, None),
    6: ("REJECTED_NETWORK", 5, State.REJECTED, Reason.UNROUTABLE),
    7: ("PENDING_ENROUTE", 1, State.SENT, None),
    8: ("REJECTED_PREFIX_MISSING", 5, State.REJECTED, Reason.INVALID_RECIPIENT),
    9: ("UNDELIVERABLE_NOT_DELIVERED", 2, State.UNDELIVERED, Reason.OTHER),
    10: ("REJECTED_DND", 5, State.REJECTED, Reason.OPTED_OUT),
    11: ("REJECTED_SOURCE", 5, State.REJECTED, Reason.INVALID_SENDER),
    12: ("REJECTED_NOT_ENOUGH_CREDITS", 5, State.REJECTED, Reason.ACCOUNT),
    13: ("REJECTED_SENDER", 5, State.REJECTED, Reason.INVALID_SENDER),
    14: ("REJECTED_DESTINATION_BLOCKLISTED", 5, State.REJECTED, Reason.OPTED_OUT),
    15: ("EXPIRED_EXPIRED", 4, State.EXPIRED, Reason.EXPIRED),
    17: ("REJECTED_PREPAID_PACKAGE_EXPIRED", 5, State.REJECTED, Reason.ACCOUNT),
    18: ("REJECTED_DESTINATION_NOT_REGISTERED", 5, State.REJECTED, Reason.ACCOUNT),
    19: ("REJECTED_ROUTE_NOT_AVAILABLE", 5, State.REJECTED, Reason.UNROUTABLE),
    20: ("REJECTED_FLOODING_FILTER", 5, State.REJECTED, Reason.FILTERED),
    21: ("REJECTED_SYSTEM_ERROR", 5, State.FAILED, Reason.TEMPORARY),
    23: ("REJECTED_DUPLICATE_MESSAGE_ID", 5, State.SENT, None),
    24: ("REJECTED_INVALID_UDH", 5, State.REJECTED, Reason.INVALID_CONTENT),
    25: ("REJECTED_MESSAGE_TOO_LONG", 5, State.REJECTED, Reason.INVALID_CONTENT),
    26: ("PENDING_ACCEPTED", 1, State.QUEUED, None),
    29: ("EXPIRED_DLR_UNKNOWN", 4, State.UNKNOWN, Reason.NO_REPORT),
    31: ("UNDELIVERABLE_NOT_SENT", 2, State.FAILED, Reason.OTHER),
    51: ("MISSING_TO", 5, State.REJECTED, Reason.INVALID_RECIPIENT),
    52: ("REJECTED_DESTINATION", 5, State.REJECTED, Reason.INVALID_RECIPIENT),
    87: ("SIGNALS_BLOCKED", 5, State.REJECTED, Reason.FILTERED),
    100: ("UNDELIVERABLE_REJECTED_PLATFORM", 5, State.FAILED, Reason.TEMPORARY),
}
GROUPS = {0: "ACCEPTED", 1: "PENDING", 2: "UNDELIVERABLE", 3: "DELIVERED", 4: "EXPIRED", 5: "REJECTED"}


def status_of(identity, **changes):
    """Return a status of the page as it is written."""
    name, group, _, _ = STATUSES[identity]
    plain = {"groupId": group, "groupName": GROUPS[group], "id": identity, "name": name, "description": "In words."}
    return {key: value for key, value in (plain | changes).items() if value is not ...}


async def outcomes_in(http, body, wanted, status=200):
    """Return the outcomes of a call that is answered with this body."""
    async with recorder(json_reply(body, status)) as server:
        return await vendor.send(account(server.url), wanted, http)


async def outcome_of_entry(http, **entry):
    """Return the outcome of a message whose entry in the answer is this."""
    entry = {"messageId": FIRST, "destination": PERSON[1:]} | entry
    entry = {name: value for name, value in entry.items() if value is not ...}
    return (await outcomes_in(http, {"messages": [entry]}, call()))[FIRST]


@pytest.mark.parametrize("identity", STATUSES)
async def test_every_status_of_an_entry_has_its_outcome(http, identity):
    """Groups 0, 1 and 3 are taken, 2, 4 and 5 refused for good; what may have been delivered is unknown."""
    _, _, state, reason = STATUSES[identity]

    outcome = await outcome_of_entry(http, status=status_of(identity))

    if state is State.UNKNOWN:
        assert isinstance(outcome, Unknown)
    elif reason is None:
        assert outcome == Accepted(FIRST)
    else:
        retry = Retry.OTHER_SENDER if reason is Reason.INVALID_SENDER else Retry.NEVER
        assert outcome == Refused(reason, retry, None, str(identity), "In words.")


async def test_one_answer_takes_some_and_refuses_others_in_any_order(http):
    """Each entry belongs to the message whose id it echoes, not to its place; who is missing is unknown."""
    entries = [
        {"messageId": f"{BATCH}-2", "destination": PEOPLE[2][1:], "status": status_of(52)},
        {"messageId": FIRST, "destination": PERSON[1:], "status": status_of(26), "details": {"messageCount": 1}},
        {"messageId": "another-s", "destination": "13035550199", "status": status_of(26)},
    ]

    outcomes = await outcomes_in(http, {"bulkId": "1", "messages": entries}, call(*PEOPLE))

    assert outcomes[FIRST] == Accepted(FIRST)
    assert isinstance(outcomes[f"{BATCH}-1"], Unknown)
    assert outcomes[f"{BATCH}-2"].reason is Reason.INVALID_RECIPIENT
    assert set(outcomes) == {f"{BATCH}-{place}" for place in range(3)}


async def test_a_repeated_id_was_taken_before(http):
    """An id that Infobip knows already (23) was taken at an earlier try, so the message is accepted and not lost."""
    assert await outcome_of_entry(http, status=status_of(23)) == Accepted(FIRST)


@pytest.mark.parametrize(
    "entry",
    [
        {"status": None},
        {"status": ...},
        {"status": {}},
        {"status": "PENDING"},
        {"status": {"groupId": 9, "groupName": "TELEPORTED", "id": 7777}},
        {"status": {"groupId": True, "id": [1]}},
        {"messageId": "", "status": status_of(26)},
        {"messageId": ..., "status": status_of(52)},
        {"messageId": None, "status": status_of(26)},
    ],
    ids=str,
)
async def test_an_entry_that_says_too_little_is_unknown(http, entry):
    """An entry without a status we know, or without an id, proves neither that it was sent nor that it was not."""
    assert isinstance(await outcome_of_entry(http, **entry), Unknown)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"groupId": 1, "groupName": "PENDING", "id": 7777}, Accepted(FIRST)),
        ({"groupName": "accepted"}, Accepted(FIRST)),
        ({"groupId": 5, "id": 7777}, Refused(Reason.OTHER, code="7777")),
        ({"groupName": "Rejected", "name": "NEW"}, Refused(Reason.OTHER, detail="NEW")),
    ],
    ids=str,
)
async def test_a_status_that_is_new_is_judged_by_its_group(http, status, expected):
    """A status that no page lists goes by its group, whatever the case of its letters."""
    assert await outcome_of_entry(http, status=status) == expected


async def test_an_answer_that_says_two_things_of_one_message_is_unknown(http):
    """Two entries of one id that disagree prove nothing; two that agree are one."""
    taken, refused = ({"messageId": FIRST, "status": status_of(identity)} for identity in (26, 52))

    assert isinstance((await outcomes_in(http, {"messages": [taken, refused]}, call()))[FIRST], Unknown)
    assert (await outcomes_in(http, {"messages": [taken, taken]}, call()))[FIRST] == Accepted(FIRST)


# Refusals of a whole request: the two shapes of errors


def new_error(code, words, **more):
    """Return an error as v3 writes it."""
    return {"errorCode": code, "description": words, "action": "Check.", "violations": [], "resources": [], **more}


def old_error(code, words, **more):
    """Return an error as v1 and v2 write it."""
    return {"requestError": {"serviceException": {"messageId": code, "text": words, **more}}}


REFUSED = {
    400: ("E400", "BAD_REQUEST", Reason.OTHER, Retry.NEVER),
    401: ("E401", "UNAUTHORIZED", Reason.CREDENTIALS, Retry.NEVER),
    403: ("E403", "FORBIDDEN", Reason.ACCOUNT, Retry.NEVER),
    404: ("E404", "NOT_FOUND", Reason.CONFIGURATION, Retry.NEVER),
    413: ("E413", "TOO_LARGE", Reason.INVALID_CONTENT, Retry.NEVER),
    429: ("E429", "TOO_MANY_REQUESTS", Reason.THROTTLED, Retry.LATER),
}


@pytest.mark.parametrize("status", REFUSED)
async def test_both_shapes_of_errors_are_read(http, status):
    """A refused request refuses all its messages, with the code and the words of either shape."""
    new, old, reason, retry = REFUSED[status]
    for code, body in ((new, new_error(new, "In words.")), (old, old_error(old, "In words."))):
        outcomes = await outcomes_in(http, body, call(*PEOPLE), status)
        assert outcomes == {
            f"{BATCH}-{place}": Refused(reason, retry, None, code, "In words.") for place in range(len(PEOPLE))
        }
    assert set(REFUSED) - {400} == set(adapter.REFUSALS)


async def test_what_an_error_names_is_kept_and_shortened(http):
    """The faults that an error lists stand in the detail, in either shape, and no detail is longer than 300."""
    fault = {"property": "messages[0].destinations", "violation": "must not be empty"}
    new = new_error("E400", "No.", violations=[fault])
    old = old_error("BAD_REQUEST", "No.", validationErrors={"messages[0].to": ["must not be blank"]})

    assert "must not be empty" in (await outcomes_in(http, new, call(), 400))[FIRST].detail
    assert "must not be blank" in (await outcomes_in(http, old, call(), 400))[FIRST].detail
    long = new_error("E400", "x" * 1000)
    assert (await outcomes_in(http, long, call(), 400))[FIRST].detail == "x" * 300


@pytest.mark.parametrize("body", [new_error("E500", "Oh."), old_error("GENERAL_ERROR", "Oh."), [], {"requestError": 7}])
async def test_a_server_error_may_have_sent(http, body):
    """A 500 is unknown in either shape, and in none."""
    outcome = (await outcomes_in(http, body, call(), 500))[FIRST]

    assert isinstance(outcome, Unknown)
    assert outcome.code in {"E500", "GENERAL_ERROR", "500"}


# Reports


def callback(results, kind="report", **changes):
    """Return a callback with these results that carries all proofs."""
    pair = base64.b64encode(f"infobip:{PASSWORD}".encode()).decode()
    headers = {"content-type": "application/json", "authorization": f"Basic {pair}", "x-gateway-secret": SECRET}
    plain = Callback(
        kind=kind,
        url=REPORTS,
        query={},
        headers=headers,
        body=results if isinstance(results, bytes) else orjson.dumps({"results": results}),
        token=TOKEN,
    )
    return replace(plain, **changes)


NO_ERROR = {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "description": "No Error", "permanent": False}
ABSENT = {
    "groupId": 1,
    "groupName": "HANDSET_ERRORS",
    "id": 27,
    "name": "EC_ABSENT_SUBSCRIBER",
    "description": "Absent Subscriber",
    "permanent": False,
}


def result(status, error=NO_ERROR, **changes):
    """Return a result as v3 reports it."""
    plain = {
        "bulkId": "batch-7",
        "messageId": FIRST,
        "to": PERSON[1:],
        "sender": "ACME",
        "sentAt": "2027-01-05T08:00:01.120+0000",
        "doneAt": "2027-01-05T08:00:05.001+0000",
        "messageCount": 1,
        "price": {"pricePerMessage": 0.04, "currency": "EUR"},
        "status": status_of(status) if isinstance(status, int) else status,
        "error": error,
    }
    return {name: value for name, value in (plain | changes).items() if value is not ...}


def report_in(one):
    """Return the one report that a result gives."""
    [report] = vendor.parse(callback([one])).reports
    return report


def judged(*arguments, **changes):
    """Return what a result is judged to mean."""
    report = report_in(result(*arguments, **changes))
    return report.state, report.reason


@pytest.mark.parametrize("identity", STATUSES)
def test_every_status_of_a_report_has_its_meaning(identity):
    """Each status means what the page says by its id, by its name alone, and by an id that comes as a text."""
    _, _, *meaning = STATUSES[identity]

    assert list(judged(identity)) == meaning
    assert list(judged(status_of(identity, id=...))) == meaning
    assert list(judged(status_of(identity, id=..., name=STATUSES[identity][0].title()))) == meaning
    assert list(judged(status_of(identity, id=str(identity), name=..., groupId="x", groupName=...))) == meaning
    assert {name.lower() for name, *_ in STATUSES.values()} == set(adapter.REPORT_STATUSES)


def test_a_result_is_read_whole():
    """A result gives message, recipient with plus, codes, words, moment, and itself as it came."""
    one = result(9, ABSENT)

    report = report_in(one)

    assert (report.message, report.vendor_id, report.recipient) == (FIRST, FIRST, PERSON)
    assert (report.state, report.reason) == (State.UNDELIVERED, Reason.UNREACHABLE)
    assert (report.code, report.status) == ("27", "UNDELIVERABLE_NOT_DELIVERED")
    assert report.detail == "Absent Subscriber"
    assert report.at == datetime(2027, 1, 5, 8, 0, 5, 1000, UTC)
    assert report.raw == one


def test_words_of_any_length_are_shortened():
    """Of what an error says 300 characters are kept."""
    assert report_in(result(9, ABSENT | {"description": "x" * 1000})).detail == "x" * 300


def test_delivered_to_the_operator_is_not_delivered():
    """Status 2 stands in the group DELIVERED and says no more than sent; 5 delivers."""
    assert judged(2) == (State.SENT, None)
    assert advance(State.SENT, judged(5)[0]) is State.DELIVERED


@pytest.mark.parametrize("state", [State.SENT, State.DELIVERED, State.UNDELIVERED, State.REJECTED, State.EXPIRED])
def test_a_report_of_a_repeated_id_overwrites_nothing(state):
    """A report with status 23 speaks of the copy; whatever is known of the message itself stays."""
    assert advance(state, judged(23)[0]) is state


@pytest.mark.parametrize("group", [4, 5])
def test_a_blocked_fraud_is_rejected_in_either_group(group):
    """Status 87 is rejected whether it stands in EXPIRED, being charged, or in REJECTED."""
    status = status_of(87, groupId=group, groupName=GROUPS[group])

    assert judged(status) == (State.REJECTED, Reason.FILTERED)


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        ({"groupId": 0, "groupName": "OK"}, (State.QUEUED, None)),
        ({"groupId": 0, "groupName": "ACCEPTED"}, (State.QUEUED, None)),
        ({"groupId": 1}, (State.QUEUED, None)),
        ({"groupName": "Undeliverable", "id": 7777}, (State.UNDELIVERED, Reason.OTHER)),
        ({"groupId": 3, "id": 7777, "name": "NEW"}, (State.DELIVERED, None)),
        ({"groupId": "4"}, (State.EXPIRED, Reason.EXPIRED)),
        ({"groupName": "rejected"}, (State.REJECTED, Reason.OTHER)),
        ({"groupId": 9, "groupName": "REJECTED"}, (State.REJECTED, Reason.OTHER)),
        ({"groupId": 9, "groupName": "TELEPORTED", "id": 7777}, (State.UNKNOWN, Reason.OTHER)),
        ({"groupId": True, "groupName": ["x"], "id": {}, "name": 2.5}, (State.UNKNOWN, Reason.OTHER)),
        ({}, (State.UNKNOWN, Reason.OTHER)),
    ],
    ids=str,
)
def test_a_status_that_no_page_lists_goes_by_its_group(status, meaning):
    """An unknown status goes by group id, else group name in any case; an unknown group is unknown."""
    assert judged(status) == meaning


# https://www.infobip.com/docs/developer-resources/api-fundamentals/error-code-reference
ERRORS = {
    Reason.INVALID_RECIPIENT: (1, 9, 11, 12, 351, 352, 568, 629, 3041),
    Reason.UNREACHABLE: (6, 13, 27, 31, 32, 256, 628),
    Reason.TEMPORARY: (34, 500, 502, 4107, 4141),
    Reason.INVALID_CONTENT: (355,),
    Reason.INVALID_SENDER: (368, 2053),
    Reason.THROTTLED: (541,),
    Reason.QUOTA: (542, 4202),
    Reason.FILTERED: (607, 608, 4103, 4104),
    Reason.OPTED_OUT: (603, 573, 604, 2052, 2050),
    Reason.SENDER_UNREGISTERED: (488, 571, 572, 4106, 4108, 4137, 4140, 4144, 4146, 4153, 4158),
    Reason.CARRIER_BLOCKED: (561, 632),
    Reason.UNROUTABLE: (592,),
    Reason.ACCOUNT: (433,),
    Reason.EXPIRED: (811, 4098, 4101),
}


@pytest.mark.parametrize(("reason", "code"), [(reason, code) for reason, codes in ERRORS.items() for code in codes])
def test_an_error_says_why_it_was_not_delivered(reason, code):
    """The error gives the reason where the status only says that it was not delivered, and changes no state."""
    assert judged(9, {"groupId": 1, "id": code}) == (State.UNDELIVERED, reason)
    assert judged(5, {"groupId": 1, "id": code}) == (State.DELIVERED, None)


def test_no_error_has_two_reasons():
    """Each error stands in the table once."""
    codes = [code for _, codes in tables._ERRORS for code in codes]

    assert len(codes) == len(set(codes)) == len(adapter.REPORT_ERRORS)


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (4, 603, (State.UNDELIVERED, Reason.OPTED_OUT)),
        (15, 603, (State.EXPIRED, Reason.OPTED_OUT)),
        (14, 607, (State.REJECTED, Reason.OPTED_OUT)),
        (15, 27, (State.EXPIRED, Reason.EXPIRED)),
        (29, 27, (State.UNKNOWN, Reason.NO_REPORT)),
        (4, 7777, (State.UNDELIVERED, Reason.CARRIER_BLOCKED)),
        (4, 607, (State.UNDELIVERED, Reason.FILTERED)),
        (31, 27, (State.FAILED, Reason.UNREACHABLE)),
        (12, 4202, (State.REJECTED, Reason.ACCOUNT)),
        (20, 603, (State.REJECTED, Reason.OPTED_OUT)),
        ({"groupId": 5}, 607, (State.REJECTED, Reason.FILTERED)),
        ({"groupId": 9}, 607, (State.UNKNOWN, Reason.OTHER)),
        (9, 7777, (State.UNDELIVERED, Reason.OTHER)),
        (52, 7777, (State.REJECTED, Reason.INVALID_RECIPIENT)),
    ],
)
def test_status_and_error_together(status, code, meaning):
    """An opt-out counts whoever names it; else the error says why only where the status does not say it itself."""
    assert judged(status, {"groupId": 2, "id": code}) == meaning


@pytest.mark.parametrize(
    "error",
    [NO_ERROR, {**NO_ERROR, "groupName": "Ok", "id": ...}, {"groupName": "ok"}, {"id": 0}, {"id": "0"}, None, 7, []],
)
def test_no_error_is_none_however_it_is_written(error):
    """Errors of id 0, of the group OK in any case, and none at all leave the status' own code and words."""
    error = {name: value for name, value in error.items() if value is not ...} if isinstance(error, dict) else error

    report = report_in(result(9, error))

    assert (report.reason, report.code, report.detail) == (Reason.OTHER, "9", "In words.")


def test_reports_of_messages_sent_by_v2_are_read():
    """The old shape has smsCount, flat platform ids and no sender, and its errors are of the group Ok."""
    old = {
        "bulkId": "BULK-1",
        "messageId": FIRST,
        "to": PERSON[1:],
        "sentAt": "2027-01-05T09:00:01.120+0100",
        "doneAt": "2027-01-05T09:00:05.001+0100",
        "smsCount": 1,
        "callbackData": "x",
        "entityId": "e1",
        "applicationId": "a1",
        "price": {"pricePerMessage": 0.04, "currency": "EUR"},
        "status": {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET"},
        "error": {"groupId": 0, "groupName": "Ok", "id": 0, "name": "NO_ERROR", "description": "No Error"},
    }

    report = report_in(old)

    assert (report.state, report.reason, report.code) == (State.DELIVERED, None, "5")
    assert report.at == datetime(2027, 1, 5, 8, 0, 5, 1000, UTC)


@pytest.mark.parametrize(
    ("times", "at"),
    [
        ({"doneAt": "2027-01-05T08:00:05.001+0100"}, datetime(2027, 1, 5, 7, 0, 5, 1000, UTC)),
        ({"doneAt": "2027-01-05T08:00:05.001Z"}, datetime(2027, 1, 5, 8, 0, 5, 1000, UTC)),
        ({"doneAt": "2027-01-05T08:00:05"}, None),
        ({"doneAt": ...}, None),
        ({"doneAt": "soon", "sentAt": None}, None),
    ],
    ids=str,
)
def test_moments_of_every_form_are_read(times, at):
    """Offsets without a colon are read; without an offset, or unread, no moment is guessed, nor the sending's taken."""
    assert report_in(result(5, **times)).at == at


def test_one_bad_result_does_not_spoil_a_bucket():
    """Of a hundred results one that cannot be read is set aside; the others are taken."""
    good = [result(5, messageId=f"{BATCH}-{place}") for place in range(99)]
    bad = {"to": PERSON[1:], "status": status_of(5)}

    parsed = vendor.parse(callback([*good[:50], bad, *good[50:]]))

    assert [report.message for report in parsed.reports] == [f"{BATCH}-{place}" for place in range(99)]
    [aside] = parsed.set_aside
    assert orjson.loads(aside.raw) == bad


@pytest.mark.parametrize(
    "bad", [None, 7, "x", [], {}, {"status": {"id": 5}}, {"messageId": 7, "status": {"id": 5}}], ids=str
)
def test_a_result_that_names_no_message_is_set_aside(bad):
    """A result without a message is kept for a person, and is no report."""
    parsed = vendor.parse(callback([bad]))

    assert (len(parsed.set_aside), parsed.reports) == (1, ())


@pytest.mark.parametrize("status", [..., None, "DELIVERED", 2.5, []])
def test_a_result_without_a_status_is_unknown(status):
    """A result that names a message and no status is a report that says nothing, and raises nothing."""
    assert judged(status) == (State.UNKNOWN, Reason.OTHER)


def test_two_results_of_one_message_give_two_reports():
    """Results of one message in one bucket are kept in the order they came; neither is dropped."""
    reports = vendor.parse(callback([result(5), result(7)])).reports

    assert [report.state for report in reports] == [State.DELIVERED, State.SENT]


@pytest.mark.parametrize("kind", ["report", "inbound"])
def test_an_empty_bucket_is_taken(kind):
    """A callback without results says nothing and is answered with 200 like any other."""
    empty = callback([], kind)

    assert vendor.parse(empty) == Parsed()
    assert vendor.answer(empty) == Answer(200)


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"results": {}}', b'{"results": null}', b"7"])
def test_a_body_that_is_no_bucket_is_malformed(body):
    """A body without a list of results cannot be read at all."""
    with pytest.raises(MalformedError):
        vendor.parse(callback(body))


# Replies


def reply(**changes):
    """Return a reply as Infobip forwards it."""
    plain = {
        "messageId": "817790313235066447",
        "from": "41790000001",
        "to": "41790009999",
        "text": "QUIZ Paris",
        "cleanText": "Paris",
        "keyword": "QUIZ",
        "receivedAt": "2027-01-05T09:00:00.000+0000",
        "smsCount": 1,
    }
    return {name: value for name, value in (plain | changes).items() if value is not ...}


def inbound_in(one):
    """Return the one reply that a result gives."""
    [text] = vendor.parse(callback([one], "inbound")).inbound
    return text


def test_a_reply_is_read_whole():
    """A reply gives id, both numbers with plus, the whole text with its keyword, the moment, and itself as it came."""
    text = inbound_in(reply())

    assert (text.vendor_id, text.sender, text.recipient) == ("817790313235066447", "+41790000001", "+41790009999")
    assert (text.text, text.at) == ("QUIZ Paris", datetime(2027, 1, 5, 9, 0, tzinfo=UTC))
    assert text.raw == reply()


@pytest.mark.parametrize(
    ("changes", "sender", "recipient", "text"),
    [
        ({"keyword": ..., "cleanText": ..., "text": "STOP"}, "+41790000001", "+41790009999", "STOP"),
        ({"from": "ACME"}, "ACME", "+41790009999", "QUIZ Paris"),
        ({"to": "54321"}, "+41790000001", "54321", "QUIZ Paris"),
        ({"from": "+41790000001"}, "+41790000001", "+41790009999", "QUIZ Paris"),
        ({"text": ""}, "+41790000001", "+41790009999", ""),
        ({"message": [{"value": "Part"}]}, "+41790000001", "+41790009999", "QUIZ Paris"),
        (
            {
                "text": ...,
                "message": [
                    {"contentType": "text/plain", "value": "Stop"},
                    {"contentType": "image/png", "url": "https://example.com/1"},
                    {"contentType": "text/plain", "value": "please"},
                    "odd",
                ],
            },
            "+41790000001",
            "+41790009999",
            "Stop please",
        ),
    ],
    ids=["no keyword", "from a name", "to a short code", "plus", "empty", "text and parts", "MMS"],
)
def test_replies_of_every_kind_are_read(changes, sender, recipient, text):
    """Replies without keyword, from names, to short codes, empty ones and picture messages are read."""
    read = inbound_in(reply(**changes))

    assert (read.sender, read.recipient, read.text) == (sender, recipient, text)


@pytest.mark.parametrize("value", [..., None, 7])
@pytest.mark.parametrize("name", ["messageId", "from", "to", "text"])
def test_a_reply_that_names_too_little_is_set_aside(name, value):
    """A reply without id, sender, recipient or text is kept for a person; the one beside it is taken."""
    parsed = vendor.parse(callback([reply(**{name: value}), reply()], "inbound"))

    assert (len(parsed.inbound), len(parsed.set_aside)) == (1, 1)


# Proofs


def is_taken(one, **settings):
    """Tell whether a callback proves itself."""
    try:
        vendor.verify(one, account(**settings))
    except NotAuthenticError:
        return False
    return True


def without(name):
    """Return a callback that lacks one header."""
    one = callback([])
    return replace(one, headers={key: value for key, value in one.headers.items() if key != name})


@pytest.mark.parametrize("kind", ["report", "inbound"])
def test_every_proof_that_is_set_is_demanded(kind):
    """The token always counts; the password and the header count once they are set, for either kind."""
    good = callback([], kind)

    assert is_taken(good, **PROOFS)
    assert is_taken(replace(good, headers={}))
    assert not is_taken(replace(good, token="x"), **PROOFS)
    assert not is_taken(replace(good, token=""))
    assert not is_taken(without("authorization"), **PROOFS)
    assert not is_taken(without("x-gateway-secret"), **PROOFS)
    assert not is_taken(good, **{**PROOFS, "callbackPassword": "another-password-1"})
    assert not is_taken(good, **{**PROOFS, "callbackUser": "another"})
    assert not is_taken(good, **{**PROOFS, "callbackSecret": "another-secret-12"})


WORDS = st.text(max_size=12) | st.integers(-9, 9999) | st.none() | st.booleans() | st.floats(allow_nan=False)
OBJECTS = st.dictionaries(
    st.sampled_from(["groupId", "groupName", "id", "name", "description", "value"]), WORDS, max_size=5
)
RESULTS = st.lists(
    st.dictionaries(
        st.sampled_from(["messageId", "to", "from", "text", "message", "status", "error", "doneAt", "sentAt"]),
        WORDS | OBJECTS | st.lists(OBJECTS, max_size=2),
    )
    | WORDS,
    max_size=4,
)


@given(kind=st.sampled_from(["report", "inbound"]), results=RESULTS)
def test_any_bucket_is_read_item_by_item(kind, results):
    """Whatever a bucket holds, each item is read or set aside, and a report has a reason exactly if it failed."""
    parsed = vendor.parse(callback(results, kind))

    assert len(parsed.reports) + len(parsed.inbound) + len(parsed.set_aside) == len(results)
    for report in parsed.reports:
        assert (report.state in {State.QUEUED, State.SENT, State.DELIVERED}) == (report.reason is None)
        orjson.dumps(report, default=str)


@given(
    body=st.binary(max_size=60) | st.recursive(WORDS, st.lists, max_leaves=5).map(orjson.dumps),
    token=st.text(st.characters(codec=None), max_size=40),
    header=st.text(st.characters(codec=None), max_size=40),
)
def test_any_request_is_refused_or_malformed(body, token, header):
    """Any request raises nothing but the two errors that the gateway answers."""
    one = callback(body, token=token, headers={"authorization": header, "x-gateway-secret": header})

    assert not is_taken(one, **PROOFS)
    with pytest.raises(MalformedError):
        vendor.parse(one)


# Texts and settings


@pytest.mark.parametrize("one", ["a", "€", "Ж", "😀"])
def test_a_text_of_more_than_25_parts_is_refused_before_it_is_sent(one):
    """The longest text of 25 parts passes in either alphabet; one that the gateway counts as 26 by length does not."""
    fits = {"a": 25 * 153, "€": 25 * 153 // 2, "Ж": 25 * 67, "😀": 25 * 67 // 2}[one]

    assert vendor.text_objection(one * fits, {}) == ""
    assert "25 parts" in vendor.text_objection(one * (fits + 1), {})
    assert segment(one * (fits + 1)).segments > 25


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("Con", True),
        ("Contoso SMS", True),
        ("7Eleven", True),
        ("Co", False),
        ("Contoso Text", False),
        ("Con.toso", False),
    ],
)
def test_a_name_has_three_to_eleven_characters(name, fits):
    """Infobip takes an alphanumeric sender of 3 to 11 characters, and the note says so."""
    rule = vendor.description.sender_rule(SenderType.ALPHANUMERIC)

    assert bool(re.fullmatch(rule.pattern, name)) is fits
    assert "3 to 11" in rule.note


def test_a_password_needs_its_user():
    """A password for callbacks without a user name is a wrong setting, named without the password."""
    [wrong] = vendor.check_settings({"callbackPassword": PASSWORD})

    assert wrong.setting == "callbackUser"
    assert PASSWORD not in wrong.detail
    assert vendor.check_settings(PROOFS) == vendor.check_settings({}) == []


# The message log

NOT_THERE = Refused(Reason.TEMPORARY, Retry.LATER, detail="Infobip's message log does not have it.")


def row(place, status=5, **changes):
    """Return a row of the message log."""
    one = result(status, messageId=f"{BATCH}-{place}", destination=PERSON[1:], to=..., content={"text": "A secret."})
    return one | changes


async def look_up(http, handle, wanted):
    """Look a call up in a log that answers so; return what was found and what was asked."""
    async with answering(handle) as (url, asked):
        found = await vendor.lookup(account(url), wanted, frozenset(), http)
    assert all((method, path) == ("GET", "/sms/3/logs") for method, path, _, _ in asked)
    return found, [query for _, _, query, _ in asked]


async def test_the_log_settles_what_it_has_and_what_it_lacks(http):
    """A message in the log was taken, even if it failed since; one that is not there was certainly not."""
    rows = [row(0, 52), row(2, 26)]

    found, asked = await look_up(http, lambda *_: (200, {"results": rows}), call(*PEOPLE))

    assert found == {FIRST: Accepted(FIRST), f"{BATCH}-1": NOT_THERE, f"{BATCH}-2": Accepted(f"{BATCH}-2")}
    ids = ",".join(f"{BATCH}-{place}" for place in range(3))
    assert asked == [{"messageId": ids, "limit": "1000", "useCursor": "true"}]


async def test_the_log_is_read_page_by_page(http):
    """The log goes on at its cursor until there is none; a message on the last page is found."""
    pages = {
        "": {"results": [row(0)], "cursor": {"limit": 1000, "nextCursor": "c1"}},
        "c1": {"results": [], "cursor": {"nextCursor": "c2"}},
        "c2": {"results": [row(2)], "cursor": {"limit": 1000, "nextCursor": None}},
    }

    found, asked = await look_up(http, lambda m, p, query, b: (200, pages[query.get("cursor", "")]), call(*PEOPLE))

    assert [query.get("cursor", "") for query in asked] == ["", "c1", "c2"]
    assert len({query["messageId"] for query in asked}) == 1
    assert found == {FIRST: Accepted(FIRST), f"{BATCH}-1": NOT_THERE, f"{BATCH}-2": Accepted(f"{BATCH}-2")}


@pytest.mark.parametrize(
    "second",
    [
        (200, {"results": [], "cursor": {"nextCursor": "again"}}),
        (500, new_error("E500", "Oh.")),
        (200, {"results": ["odd"]}),
        (200, {"results": [{"status": {}}]}),
        (200, {"rows": []}),
        (429, new_error("E429", "Slow down.")),
    ],
    ids=["endless", "error", "no row", "row without id", "no results", "throttled"],
)
async def test_a_log_that_breaks_off_proves_only_what_it_showed(http, second):
    """When a later page fails or never ends, what was found stays found and the rest is unknown, not lost."""
    first = (200, {"results": [row(0)], "cursor": {"nextCursor": "again"}})

    found, asked = await look_up(http, lambda m, p, query, b: second if "cursor" in query else first, call(*PEOPLE))

    assert found[FIRST] == Accepted(FIRST)
    assert isinstance(found[f"{BATCH}-1"], Unknown)
    assert len(asked) <= 10


async def test_a_key_that_may_only_send_is_told_apart(http):
    """A key without the scope for logs leaves messages unknown, and the reason names the scope."""
    found, _ = await look_up(http, lambda *_: (403, new_error("E403", "Forbidden.")), call())

    assert isinstance(found[FIRST], Unknown)
    assert "sms:logs:read" in found[FIRST].why


async def test_a_whole_batch_is_looked_up_in_lists_that_are_short_enough(http):
    """A hundred ids go in two requests, each list below 2,048 characters even when its commas are escaped."""
    people = [f"+1425555{place:04d}" for place in range(1000, 1100)]

    found, asked = await look_up(http, lambda *_: (200, {"results": []}), call(*people))

    assert len(found) == 100
    assert [len(query["messageId"].split(",")) for query in asked] == [50, 50]
    assert all(len(query["messageId"].replace(",", "%2C")) <= 2048 for query in asked)


@pytest.mark.parametrize(("age", "settled"), [(47, True), (49, False)])
async def test_the_log_does_not_reach_back_for_ever(http, age, settled):
    """After 48 hours a message that the log lacks may have left it, so that is no proof any more."""
    wanted = call(first_attempt=datetime.now(UTC) - timedelta(hours=age))

    found, _ = await look_up(http, lambda *_: (200, {"results": []}), wanted)

    assert (found[FIRST] == NOT_THERE) is settled
    assert settled or isinstance(found[FIRST], Unknown)


async def report_from(http, *rows):
    """Ask for the state of a message in a log that has these rows."""
    async with answering(lambda *_: (200, {"results": list(rows)})) as (url, asked):
        report = await vendor.report_of(account(url), FIRST, FIRST, http)
    assert asked[0][2]["messageId"] == FIRST
    return report


async def test_a_row_of_the_log_says_what_a_report_says(http):
    """A row gives the same report as a callback, and the text, which is personal, is not kept."""
    report = await report_from(http, row(0, 9, error=ABSENT))

    expected = report_in(result(9, ABSENT))
    assert replace(report, raw={}) == replace(expected, raw={})
    assert "content" not in report.raw
    assert report.raw["destination"] == PERSON[1:]


@pytest.mark.parametrize("order", [(23, 5), (5, 23)])
async def test_a_refused_copy_does_not_hide_the_message(http, order):
    """Beside the row of a copy that was refused for its id, the message's own row counts, in either order."""
    report = await report_from(http, *(row(0, status) for status in order))

    assert report.state is State.DELIVERED


@pytest.mark.parametrize("rows", [[], [row(1)], [{"messageId": FIRST}], [{"messageId": FIRST, "status": 7}]], ids=str)
async def test_a_log_without_the_message_or_its_status_tells_nothing(http, rows):
    """A message that the log lacks, or has without a status, has no report."""
    assert await report_from(http, *rows) is None


# Credentials


@pytest.mark.parametrize(
    ("status", "body", "ok", "words"),
    [
        (200, {"results": []}, True, "message log"),
        (200, {"results": None}, False, "200"),
        (401, new_error("E401", "Unauthorized."), False, "Unauthorized."),
        (403, new_error("E403", "Forbidden."), False, "sms:logs:read"),
        (403, old_error("FORBIDDEN", "Forbidden."), False, "sms:logs:read"),
    ],
)
async def test_a_check_reads_one_row_of_the_log(http, status, body, ok, words):
    """The check is one harmless read that marks no report as fetched, and names the scope that is missing."""
    async with answering(lambda *_: (status, body)) as (url, asked):
        check = await vendor.check(account(url), http)

    assert asked == [("GET", "/sms/3/logs", {"limit": "1"}, None)]
    assert (check.ok, words in check.detail) == (ok, True)


async def test_a_check_without_a_connection_says_so(http):
    """A host where nobody listens fails the check in words."""
    with nobody_listening() as url:
        assert await vendor.check(account(url), http) == Check(ok=False, detail="No connection: ClientConnectorError.")


# Setting up


WIRINGS = [
    Wiring(URLS),
    Wiring(URLS, {"callbackUser": "infobip"}, frozenset({"apiKey", "callbackToken", "callbackPassword"})),
    Wiring(URLS, {}, frozenset({"callbackSecret"}), (Sender(SenderType.ALPHANUMERIC, "Contoso"),)),
    Wiring(
        URLS,
        {"callbackUser": "infobip"},
        frozenset({"callbackPassword", "callbackSecret"}),
        (Sender(SenderType.LONG_CODE, "+14255550100"), Sender(SenderType.SHORT_CODE, "54321")),
    ),
]


@pytest.mark.parametrize("wiring", WIRINGS, ids=["bare", "password", "header", "both"])
def test_each_address_is_named_once_in_the_steps(wiring):
    """Whatever is set, the steps name each address once, as a value to paste and not in the words."""
    steps = vendor.set_up(wiring)

    assert sorted(step.value for step in steps if step.value) == sorted([REPORTS, REPLIES])
    assert all(TOKEN not in step.title + step.detail for step in steps)


@pytest.mark.parametrize("wiring", WIRINGS, ids=["bare", "password", "header", "both"])
def test_support_is_told_all_it_needs_in_both_languages(wiring):
    """The mail names numbers, addresses and format, and what callbacks must carry once that is demanded."""
    english, german = vendor.support(wiring)

    assert (english.language, german.language) == ("en", "de")
    for text in (english.text, german.text):
        assert text.count(REPORTS) == text.count(REPLIES) == 1
        assert "MO_JSON_2" in text
        assert ("infobip," in text or "infobip." in text or "infobip " in text) == (
            "callbackPassword" in wiring.secrets
        )
        assert ("X-Gateway-Secret" in text) == ("callbackSecret" in wiring.secrets)
        assert ("Contoso" in text) is False
        assert all(sender.address in text for sender in wiring.senders if sender.type is not SenderType.ALPHANUMERIC)
        assert "{" not in text
    assert english.subject != german.subject


class Subscriptions:
    """Infobip's Subscriptions API in memory, as strict on ids as the page: made by POST, changed by PUT."""

    def __init__(self):
        self.names = {"security": "authId", "profiles": "profileId", "subscription/SMS": "subscriptionId"}
        self.kept = {name: {} for name in self.names}

    def handle(self, method, path, _query, body):
        place = path.removeprefix("/subscriptions/1/")
        collection = next(name for name in self.names if place.startswith(name))
        identity = place.removeprefix(collection).strip("/")
        there, name = self.kept[collection], self.names[collection]
        if method == "POST" and not identity and body[name] not in there:
            there[body.pop(name)] = body
            return 201, {}
        if method == "POST":
            return 400, old_error("BAD_REQUEST", "It exists.")
        if identity not in there:
            return 404, old_error("NOT_FOUND", "Not found")
        if method == "PUT":
            assert name not in body
            there[identity] = body
        return 200, {name: identity}


async def subscribe(http, **settings):
    """Subscribe twice; return what the API holds, and the methods of each time."""
    api = Subscriptions()
    async with answering(api.handle) as (url, asked):
        said = await vendor.subscribe(account(url, **settings), Wiring(URLS), http)
        first = [method for method, *_ in asked]
        assert await vendor.subscribe(account(url, **settings), Wiring(URLS), http) == said
    return api.kept, first, [method for method, *_ in asked][len(first) :]


def named(kind):
    return f"sms-gateway-{PROVIDER}-{kind}"


async def test_replies_and_reports_are_subscribed_to_with_all_proofs(http):
    """Each kind has its own address, and carries Basic authentication, the header and the token."""
    kept, _, _ = await subscribe(http, **PROOFS, entityId="e1", applicationId="a1")

    for kind, url, event in (("inbound", REPLIES, "INBOUND_MESSAGE"), ("report", REPORTS, "DELIVERY")):
        assert kept["security"][named(kind)] == {
            "type": "BASIC",
            "credentials": {"username": "infobip", "password": PASSWORD},
        }
        assert kept["profiles"][named(kind)] == {
            "webhook": {"notifyUrl": url, "contentType": "application/json"},
            "headers": {"X-Gateway-Secret": SECRET},
            "security": {"authId": named(kind)},
        }
        subscription = kept["subscription/SMS"][named(kind)]
        assert (subscription["events"], subscription["profile"]) == ([event], {"profileId": named(kind)})
    assert kept["subscription/SMS"][named("report")]["criteria"] == [{"entityId": "e1", "applicationId": "a1"}]
    # A reply to a number that belongs to no application must come as well.
    assert "criteria" not in kept["subscription/SMS"][named("inbound")]


async def test_subscribing_again_changes_and_never_doubles(http):
    """The first time makes everything, the second updates it in place."""
    kept, first, second = await subscribe(http, **PROOFS)

    assert first == ["GET", "POST"] * 6
    assert second == ["GET", "PUT"] * 6
    assert all(len(there) == 2 for there in kept.values())


async def test_without_further_proofs_only_replies_are_subscribed_to(http):
    """Where messages name the address of reports, a subscription for them would only bring those of others."""
    kept, _, _ = await subscribe(http)

    assert list(kept["subscription/SMS"]) == list(kept["profiles"]) == [named("inbound")]
    assert kept["security"] == {}
    assert set(kept["profiles"][named("inbound")]) == {"webhook"}


async def test_a_new_password_reaches_what_is_there(http):
    """After the password changed, subscribing again puts the new one in place of the old."""
    api = Subscriptions()
    async with answering(api.handle) as (url, _):
        for password in (PASSWORD, "canary-of-another-password"):
            changed = PROOFS | {"callbackPassword": password}
            await vendor.subscribe(account(url, **changed), Wiring(URLS), http)

    assert {one["credentials"]["password"] for one in api.kept["security"].values()} == {"canary-of-another-password"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, old_error("UNAUTHORIZED", "Invalid login details"), "Invalid login details"),
        (403, old_error("FORBIDDEN", "Forbidden"), "subscriptions:manage"),
        (400, new_error("E400", "Bad profile."), "Bad profile."),
        (500, [], "500"),
        (302, {}, "302"),
    ],
)
async def test_a_subscription_that_is_refused_says_why(http, method, status, body, words):
    """A refusal of any step ends it with Infobip's words, and with no secret in them."""
    api = Subscriptions()

    def handle(*asked):
        return (status, body) if asked[0] == method else api.handle(*asked)

    async with answering(api.handle) as (url, _):
        await vendor.subscribe(account(url, **PROOFS), Wiring(URLS), http)
    if method == "POST":
        api = Subscriptions()
    async with answering(handle) as (url, asked):
        with pytest.raises(SubscribeError) as caught:
            await vendor.subscribe(account(url, **PROOFS), Wiring(URLS), http)

    assert words in str(caught.value)
    assert len(asked) <= 2
    assert not any(secret in str(caught.value) for secret in (KEY, TOKEN, PASSWORD, SECRET))


async def test_a_subscription_without_a_connection_says_so(http):
    """A host where nobody listens ends it in words."""
    with nobody_listening() as url, pytest.raises(SubscribeError, match="No connection"):
        await vendor.subscribe(account(url), Wiring(URLS), http)


# Against the sandbox


CUSTOMER = Customer("contoso", lambda name: hashlib.sha256(name.encode()).hexdigest()[:32], SANDBOX_KIT.sender)


class Desk:
    """The simulated vendor with one customer, and what was posted to that customer.

    Attributes:
        sandbox: The sandbox.
        account: The customer's account.
        posted: The callbacks as they came.
        wiring: The addresses they come to.
    """

    def __init__(self, sandbox, settings, address):
        urls = (f"{address}{kind}/{TOKEN}" for kind in ("report", "inbound"))
        self.sandbox = sandbox
        self.account = Account(PROVIDER, {**settings, "callbackToken": TOKEN})
        self.wiring = Wiring(CallbackUrls(*urls, "", ""))
        self.posted = []

    @property
    def ledger(self):
        return self.sandbox.vendor(InfobipVendor).ledger

    def call(self, *people, **changes):
        sender = Sender(SenderType.LONG_CODE, SANDBOX_KIT.sender)
        return call(*people, sender=sender, report_url=self.wiring.urls.report, **changes)


@pytest.fixture
async def desk(http):
    """Run a sandbox in which the customer exists, and a server for the customer's callbacks."""
    made = None

    async def take(request):
        kind, _, token = request.path.strip("/").partition("/")
        headers = {name.lower(): value for name, value in request.headers.items()}
        made.posted.append(
            Callback(kind, str(request.url), dict(request.query), headers, await request.read(), token=token)
        )
        return web.Response()

    app = web.Application()
    app.router.add_post("/{tail:.*}", take)
    async with running_sandbox(seed=1) as sandbox, TestServer(app, host="127.0.0.1") as server:
        for one in SANDBOX_KIT.account(CUSTOMER):
            async with http.session.post(f"{sandbox.base_url}/sandbox{one.path}", json=dict(one.body)) as answer:
                assert answer.status < 300
        for one in SANDBOX_KIT.wiring(CUSTOMER, Addresses("https://127.0.0.1:1/r", "https://127.0.0.1:1/i"))[:1]:
            async with http.session.post(f"{sandbox.base_url}/sandbox{one.path}", json=dict(one.body)) as answer:
                assert answer.status < 300
        made = Desk(sandbox, SANDBOX_KIT.settings(CUSTOMER, sandbox.base_url), server.make_url("/"))
        yield made


async def test_a_batch_is_sent_once(desk, http):
    """Texts that the sandbox takes are accepted under our own ids, with sender, recipient and words as asked."""
    wanted = desk.call(*PEOPLE, texts=("Grüße ✓", "Two"))

    outcomes = await vendor.send(desk.account, wanted, http)

    assert outcomes == {message.id: Accepted(message.id) for message in wanted.messages}
    sent = [(message.sender, message.recipient, message.text) for message in desk.ledger]
    assert sorted(sent) == sorted(
        (SANDBOX_KIT.sender, to, text) for to, text in zip(PEOPLE, ("Grüße ✓", "Two", "Two"), strict=True)
    )


@pytest.mark.parametrize(
    ("digits", "reason", "retry"),
    [
        ("0150", Reason.INVALID_RECIPIENT, Retry.NEVER),
        ("0151", Reason.OPTED_OUT, Retry.NEVER),
        ("0152", Reason.UNROUTABLE, Retry.NEVER),
        ("0153", Reason.INVALID_RECIPIENT, Retry.NEVER),
        ("0172", Reason.THROTTLED, Retry.LATER),
    ],
)
async def test_the_sandbox_refuses_as_infobip_does(desk, http, digits, reason, retry):
    """A refusal has its reason, and nothing is in the ledger."""
    [outcome] = (await vendor.send(desk.account, desk.call(magic_number(digits)), http)).values()

    assert (outcome.reason, outcome.retry) == (reason, retry)
    assert len(desk.ledger) == 0


@pytest.mark.parametrize(("digits", "taken"), [("0173", False), ("0174", True), ("0175", True), ("0176", False)])
async def test_a_lost_answer_is_settled_by_the_log(desk, http, digits, taken):
    """What was taken unheard is found in the log; what was not is sent again, and either way it is sent once."""
    wanted = desk.call(magic_number(digits))

    assert isinstance((await vendor.send(desk.account, wanted, http))[FIRST], Unknown)
    found = (await vendor.lookup(desk.account, wanted, frozenset(), http))[FIRST]
    assert found == (Accepted(FIRST) if taken else NOT_THERE)

    # Even a second send after all is recognised by its id.
    assert (await vendor.send(desk.account, wanted, http))[FIRST] == Accepted(FIRST)
    assert len(desk.ledger) == 1


@pytest.mark.parametrize(
    ("digits", "state", "reason"),
    [
        ("0123", State.DELIVERED, None),
        ("0160", State.UNDELIVERED, Reason.UNREACHABLE),
        ("0161", State.UNDELIVERED, Reason.INVALID_RECIPIENT),
        ("0162", State.UNDELIVERED, Reason.CARRIER_BLOCKED),
        ("0163", State.UNDELIVERED, Reason.FILTERED),
        ("0164", State.UNDELIVERED, Reason.OPTED_OUT),
        ("0165", State.EXPIRED, Reason.EXPIRED),
        ("0167", State.UNDELIVERED, Reason.SENDER_UNREGISTERED),
        ("0168", State.UNDELIVERED, Reason.QUOTA),
        ("0169", State.UNKNOWN, Reason.NO_REPORT),
    ],
)
async def test_a_message_can_be_asked_for(desk, http, digits, state, reason):
    """What became of a message that no report told of stands in the log."""
    await vendor.send(desk.account, desk.call(magic_number(digits)), http)
    await desk.sandbox.idle()

    report = await vendor.report_of(desk.account, FIRST, FIRST, http)

    assert (report.state, report.reason, report.recipient) == (state, reason, magic_number(digits))


@pytest.mark.parametrize(("key", "ok"), [(None, True), ("not-the-key-of-anybody", False)])
async def test_a_check_tells_a_good_key_from_a_bad_one(desk, http, key, ok):
    """The check passes with the account's key and no other, and sends nothing."""
    settings = {**desk.account.settings, **({"apiKey": key} if key else {})}

    assert (await vendor.check(Account(PROVIDER, settings), http)).ok is ok
    assert len(desk.ledger) == 0


async def said_of(desk, kind):
    """Return what the callbacks of one kind said, each of them proven."""
    await desk.sandbox.idle()
    callbacks = [one for one in desk.posted if one.kind == kind]
    for one in callbacks:
        vendor.verify(one, desk.account)
    return [vendor.parse(one) for one in callbacks]


async def test_reports_of_the_subscription_prove_themselves(desk, http):
    """After subscribing, twice, reports come to the address with token, password and header, and say what happened."""
    assert {"callbackPassword", "callbackSecret"} <= set(desk.account.settings)
    for _ in range(2):
        await vendor.subscribe(desk.account, desk.wiring, http)
    await vendor.send(desk.account, desk.call(), http)

    reports = [report for parsed in await said_of(desk, "report") for report in parsed.reports]

    assert {(report.message, report.recipient) for report in reports} == {(FIRST, PERSON)}
    assert State.DELIVERED in {report.state for report in reports}


async def test_replies_of_the_subscription_prove_themselves(desk, http):
    """After subscribing, a person's text comes to the address with token, password and header."""
    await vendor.subscribe(desk.account, desk.wiring, http)
    asked = {"from": PERSON, "to": SANDBOX_KIT.sender, "text": "Stop"}
    async with http.session.post(f"{desk.sandbox.base_url}/sandbox/infobip/inbound", json=asked) as answer:
        assert answer.status < 300

    [text] = [text for parsed in await said_of(desk, "inbound") for text in parsed.inbound]

    assert (text.sender, text.recipient, text.text) == (PERSON, SANDBOX_KIT.sender, "Stop")


async def test_reports_without_further_proofs_come_to_the_address_of_the_message(desk, http):
    """With the token alone each message names its address, and its reports come there without a subscription."""
    plain = {name: value for name, value in desk.account.settings.items() if name not in PROOFS}
    desk.account = Account(PROVIDER, plain)
    await vendor.send(desk.account, desk.call(), http)

    reports = [report for parsed in await said_of(desk, "report") for report in parsed.reports]

    assert State.DELIVERED in {report.state for report in reports}
