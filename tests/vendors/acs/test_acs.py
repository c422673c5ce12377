"""Azure Communication Services alone: its items and refusals, identity over TLS, and the adapter with the sandbox."""

from __future__ import annotations

import base64
import json
import re
import ssl
import time
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
import orjson
import pytest
import trustme
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from functions.app import VendorHttp
from functions.vendors import acs as adapter
from functions.vendors.acs import vendor
from functions.vendors.contract import (
    Accepted,
    Account,
    Outgoing,
    Reason,
    Refused,
    Retry,
    Sender,
    SenderType,
    Unknown,
    variants,
)
from sandbox.outcomes import magic_number, ordinary_number
from sandbox.testing import running_sandbox
from sandbox.vendors.acs import AcsVendor, Resource
from tests.vendors.acs.kit import KIT
from tests.vendors.conftest import TIMEOUT, no_identity
from tests.vendors.kit import BATCH, PEOPLE, PROVIDER, Reply
from tests.vendors.servers import certificate, nobody_listening, recorder

KEY = base64.b64encode(b"the-first-key-of-a-resource-0001").decode()
OTHER_KEY = base64.b64encode(b"the-other-key-of-a-resource-0002").decode()
NO_KEY = base64.b64encode(b"a-key-of-no-resource-whatever-03").decode()
PERSON = PEOPLE[0]


def account(base_url, key=KEY):
    """Return an account that signs with a key."""
    return Account(PROVIDER, {"connectionString": f"endpoint={base_url}/;accesskey={key}"})


def call(*people, **changes):
    """Return a call that sends a text to these people now."""
    messages = tuple(Outgoing(f"{BATCH}-{place}", to, "Hello") for place, to in enumerate(people or (PERSON,)))
    return replace(KIT.call(), **{"messages": messages, "first_attempt": datetime.now(UTC), **changes})


async def outcomes_in(http, reply, wanted):
    """Return the outcomes of a call to a resource that gives this answer."""
    async with recorder(reply) as server:
        return await vendor.send(account(server.url), wanted, http)


async def outcome_of_item(http, **item):
    """Return the outcome of a message whose item in the answer is this."""
    item = {name: value for name, value in ({"to": PERSON} | item).items() if value is not ...}
    outcomes = await outcomes_in(http, Reply(202, orjson.dumps({"value": [item]})), call())
    return outcomes.get(f"{BATCH}-0", "left out")


# Items of an answer: https://learn.microsoft.com/rest/api/communication/sms/send and its examples

ITEMS = {
    (400, "Invalid To phone number format."): Refused(Reason.INVALID_RECIPIENT),
    (400, "Invalid recipient phone number format"): Refused(Reason.INVALID_RECIPIENT),
    (400, "Invalid From phone number format."): Refused(Reason.INVALID_SENDER),
    (400, "Request sent with Invalid DateTime value for repeatability-first-sent."): Refused(Reason.OTHER),
    (401, "Unauthorized"): Refused(Reason.CREDENTIALS),
    (403, "Forbidden"): Refused(Reason.ACCOUNT),
    (404, "NotFound"): Refused(Reason.CONFIGURATION),
    (409, "Conflict"): Refused(Reason.OTHER),
    (418, "Something new"): Refused(Reason.OTHER),
    (429, "TooManyRequests"): Refused(Reason.THROTTLED, Retry.LATER),
    (500, "InternalServerError"): Refused(Reason.TEMPORARY, Retry.LATER),
    (503, "ServiceUnavailable"): Refused(Reason.TEMPORARY, Retry.LATER),
}


@pytest.mark.parametrize(("status", "words"), ITEMS)
async def test_a_refused_item_has_its_reason(http, status, words):
    """An item that the resource refused has its reason; a passing one may be sent again under the same id."""
    outcome = await outcome_of_item(http, httpStatusCode=status, errorMessage=words, successful=False)

    assert outcome == replace(ITEMS[status, words], code=str(status), detail=words)


@pytest.mark.parametrize(
    "item",
    [
        {"httpStatusCode": 202, "successful": True},
        {"httpStatusCode": 202, "successful": True, "messageId": ""},
        {"httpStatusCode": 202, "successful": True, "messageId": None},
        {"httpStatusCode": 202, "messageId": "Outgoing_1"},
        {"httpStatusCode": 202},
        {"httpStatusCode": 202, "successful": False},
        {"httpStatusCode": 200, "successful": False, "messageId": "Outgoing_1"},
        {"successful": False},
        {"successful": None},
        {"httpStatusCode": 0, "successful": False},
        {},
    ],
    ids=str,
)
async def test_an_item_that_contradicts_itself_is_unknown(http, item):
    """An item that neither names an id nor an error does not prove that nothing was sent."""
    assert isinstance(await outcome_of_item(http, **item), Unknown)


@pytest.mark.parametrize(
    "value",
    [
        [None],
        ["x"],
        [7],
        [{"to": None}],
        [{"to": 7}],
        [{"httpStatusCode": "many"}],
        [{"to": PERSON, "x": {}}],
        None,
        {},
    ],
    ids=str,
)
async def test_items_that_cannot_be_read_leave_it_unknown(http, value):
    """Items of other types than documented raise nothing and refuse nothing."""
    outcomes = await outcomes_in(http, Reply(202, orjson.dumps({"value": value})), call())

    assert all(isinstance(outcome, Unknown) for outcome in outcomes.values())


async def test_the_published_answer_is_read_item_by_item(http):
    """Microsoft's own example of an answer: two items taken, one wrong number, one passing fault, one bad date."""
    recipients = ("+11234567890", "+112345678901", "+11234567892", "+11234567893", "+11234567894")
    words = (
        "Request sent with Invalid DateTime value for repeatability-first-sent. Expected is DateTime ,RFC1123 pattern."
    )
    items = [
        {
            "messageId": "20200610203725bfd4ba70-70bf-4f77-925d-c0bdb5161bb3",
            "httpStatusCode": 202,
            "successful": True,
        },
        {"httpStatusCode": 400, "errorMessage": "Invalid To phone number format.", "successful": False},
        {"httpStatusCode": 503, "errorMessage": "ServiceUnavailable", "successful": False},
        {
            "messageId": "2020061020025100d1-d07e-4b19-b25d-13525d552822",
            "httpStatusCode": 202,
            "repeatabilityResult": "accepted",
            "successful": True,
        },
        {"httpStatusCode": 400, "repeatabilityResult": "rejected", "errorMessage": words, "successful": False},
    ]
    value = [{"to": to, **item} for to, item in zip(recipients, items, strict=True)]

    outcomes = await outcomes_in(http, Reply(202, orjson.dumps({"value": value})), call(*recipients))

    assert [outcomes[f"{BATCH}-{place}"] for place in range(5)] == [
        Accepted("20200610203725bfd4ba70-70bf-4f77-925d-c0bdb5161bb3"),
        Refused(Reason.INVALID_RECIPIENT, code="400", detail="Invalid To phone number format."),
        Refused(Reason.TEMPORARY, Retry.LATER, code="503", detail="ServiceUnavailable"),
        Accepted("2020061020025100d1-d07e-4b19-b25d-13525d552822"),
        Refused(Reason.OTHER, code="400", detail=words),
    ]


async def test_a_recipient_is_found_without_its_plus(http):
    """An item that names its recipient without the plus belongs to the same message."""
    outcome = await outcome_of_item(http, to=PERSON[1:], messageId="1", httpStatusCode=202, successful=True)

    assert outcome == Accepted("1")


# Refusals of a whole call: the published shapes of errors

PROBLEM = {
    "type": "https://tools.ietf.org/html/rfc9110#section-15.5.1",
    "title": "One or more validation errors occurred.",
    "status": 400,
    "errors": {"SmsRecipients": ["Invalid recipient phone number format."]},
    "traceId": "00-be8d0cac83cc01715e39bc84c2d10c61-5d7b25cd36751c3d-00",
}
ERRORS = {
    400: PROBLEM,
    401: {"error": {"code": "Denied", "message": "Request 'x-ms-content-sha256' differs from generated content hash."}},
    403: {"error": {"code": "Forbidden", "message": ""}},
    404: {"error": {"code": "ResourceNotFound", "message": ""}},
    409: {"error": {"code": "Conflict", "message": ""}},
    413: {"error": {"code": "RequestEntityTooLarge", "message": ""}},
    422: {"error": {"code": "UnprocessableEntity", "message": ""}},
    429: {"error": {"code": "TooManyRequests", "message": ""}},
}
# https://learn.microsoft.com/rest/api/communication/errorcodes
REFUSED = {
    400: (Reason.OTHER, Retry.NEVER),
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    409: (Reason.OTHER, Retry.NEVER),
    413: (Reason.INVALID_CONTENT, Retry.NEVER),
    422: (Reason.CONFIGURATION, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}


@pytest.mark.parametrize("status", REFUSED)
async def test_a_refused_call_refuses_all_its_messages(http, status):
    """Each documented status has its reason and its retry, for every recipient, with what the resource said."""
    body = json.dumps(ERRORS[status])

    outcomes = await outcomes_in(http, Reply(status, body.encode()), call(*PEOPLE))

    assert set(REFUSED) == set(adapter.REFUSALS)
    reason, retry = REFUSED[status]
    assert outcomes == {
        f"{BATCH}-{place}": Refused(reason, retry, None, str(status), body[:300]) for place in range(len(PEOPLE))
    }


# Identity instead of a key


class Credential:
    """The app's identity: hands out one token, or none."""

    def __init__(self):
        self.token = "a-token-of-the-app"
        self.scopes = []

    async def get_token(self, *scopes, **_):
        self.scopes += scopes
        if not self.token:
            raise ClientAuthenticationError("no identity has been assigned")
        return AccessToken(self.token, int(time.time()) + 3600)

    async def close(self):
        """Hold nothing."""


@pytest.fixture
async def trusting():
    """Give what adapters talk through, trusting one authority of the test's own, and the server side of it."""
    authority = trustme.CA()
    context = ssl.create_default_context()
    authority.configure_trust(context)
    credential = Credential()
    http = VendorHttp(TIMEOUT, lambda: credential)
    http._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))
    yield http, credential, certificate(authority)
    await http.close()


async def test_the_apps_identity_signs_without_a_key(trusting):
    """With an endpoint alone the request carries a token for Communication Services, and nothing that a key makes."""
    http, credential, tls = trusting
    reply = KIT.accepted(call(), {PERSON: "Outgoing_1"})
    async with recorder(reply, tls) as server:
        outcomes = await vendor.send(Account(PROVIDER, {"endpoint": f"{server.url}/"}), call(), http)
        [request] = server.requests

    assert outcomes == {f"{BATCH}-0": Accepted("Outgoing_1")}
    assert request.path == "/sms?api-version=2021-03-07"
    assert request.headers["authorization"] == "Bearer a-token-of-the-app"
    assert "x-ms-content-sha256" not in request.headers
    assert credential.scopes == ["https://communication.azure.com//.default"]


async def test_an_app_without_identity_sends_nothing(trusting):
    """When the app gets no token, nothing is sent, and the credentials are named as the reason."""
    http, credential, tls = trusting
    credential.token = ""
    async with recorder(Reply(202, b""), tls) as server:
        outcomes = await vendor.send(Account(PROVIDER, {"endpoint": server.url}), call(), http)
        check = await vendor.check(Account(PROVIDER, {"endpoint": server.url}), http)

    assert server.requests == []
    [outcome] = outcomes.values()
    assert (outcome.reason, outcome.retry) == (Reason.CREDENTIALS, Retry.NEVER)
    assert not check.ok
    assert "managed identity" in check.detail


# Against the sandbox


@pytest.fixture
async def sandbox():
    """Run a sandbox with one resource that has two keys and any sender."""
    async with running_sandbox(seed=1) as running:
        running.vendor(AcsVendor).resources.put("contoso", Resource(name="contoso", keys=[KEY, OTHER_KEY]))
        yield running


@pytest.fixture
def ledger(sandbox):
    """Give the sandbox's ledger: what the resource really accepted."""
    return sandbox.vendor(AcsVendor).ledger


async def again(sandbox, wanted):
    """Send a call as a new process would."""
    http = VendorHttp(TIMEOUT, no_identity)
    try:
        return await vendor.send(account(sandbox.base_url), wanted, http)
    finally:
        await http.close()


async def test_a_hundred_people_get_one_text_each(sandbox, ledger, http):
    """One call of the largest size reaches everybody once, each under an id of their own."""
    people = [ordinary_number(place) for place in range(vendor.description.capabilities.recipients_per_call)]
    wanted = call(*people)

    outcomes = await vendor.send(account(sandbox.base_url), wanted, http)

    assert len(people) == 100
    ids = {message.recipient: message.id for message in ledger}
    assert outcomes == {message.id: Accepted(ids[message.to]) for message in wanted.messages}
    assert len({message.extra["repeatability_id"] for message in ledger}) == 100
    assert {(message.tag, message.extra["report"]) for message in ledger} == {(BATCH, True)}


async def test_a_replay_executes_nothing_twice(sandbox, ledger):
    """The same call sent again by other processes is recognised: one execution, the same ids, three requests."""
    wanted = call(*PEOPLE)

    answers = [await again(sandbox, wanted) for _ in range(3)]

    assert answers[0] == answers[1] == answers[2]
    assert [(message.requests, message.conflicts) for message in ledger] == [(3, 0)] * len(PEOPLE)


async def test_part_of_a_call_is_recognised_too(sandbox, ledger, http):
    """A message keeps its id in a smaller call, so that what was throttled can be sent without its neighbours."""
    wanted = call(PERSON, magic_number("0170"), magic_number("0150"))

    first = await vendor.send(account(sandbox.base_url), wanted, http)
    rest = await vendor.send(account(sandbox.base_url), replace(wanted, messages=wanted.messages[:2]), http)

    taken, throttled, wrong = (first[message.id] for message in wanted.messages)
    assert isinstance(taken, Accepted)
    assert (throttled.reason, throttled.retry, throttled.code) == (Reason.THROTTLED, Retry.LATER, "429")
    assert (wrong.reason, wrong.retry, wrong.code) == (Reason.INVALID_RECIPIENT, Retry.NEVER, "400")
    assert rest[wanted.messages[0].id] == taken
    assert isinstance(rest[wanted.messages[1].id], Accepted)
    assert [message.requests for message in ledger] == [2, 1]


@pytest.mark.parametrize("digits", ["0174", "0175"])
async def test_a_lost_answer_is_settled_by_a_replay(sandbox, ledger, http, digits):
    """A message that was taken without our hearing of it is unknown, and the replay finds it without sending again."""
    wanted = call(magic_number(digits))

    [lost] = (await vendor.send(account(sandbox.base_url), wanted, http)).values()
    [found] = (await again(sandbox, wanted)).values()

    [message] = ledger
    assert isinstance(lost, Unknown)
    assert found == Accepted(message.id)
    assert message.requests == 2


async def test_another_message_to_the_same_person_is_another_message(sandbox, ledger, http):
    """The same text to the same person under another message id is sent."""
    wanted = call()
    other = replace(wanted, messages=(Outgoing("01JDA8V0Z5Q6XW3K9N7RB2T4CN-0", PERSON, "Hello"),))

    for each in (wanted, other):
        await vendor.send(account(sandbox.base_url), each, http)

    assert [message.requests for message in ledger] == [1, 1]


@pytest.mark.parametrize(
    "sender", [Sender(SenderType.SHORT_CODE, "12345"), Sender(SenderType.ALPHANUMERIC, "Contoso")], ids=str
)
async def test_a_sender_is_sent_as_it_is(sandbox, ledger, http, sender):
    """Short codes keep no plus and names keep their case."""
    await vendor.send(account(sandbox.base_url), call(sender=sender), http)

    assert [message.sender for message in ledger] == [sender.address]


@pytest.mark.parametrize(("key", "ok"), [(KEY, True), (OTHER_KEY, True), (NO_KEY, False)])
async def test_a_check_tells_good_credentials_from_bad(sandbox, ledger, http, key, ok):
    """The check passes with either key of the resource and no other, and sends nothing."""
    check = await vendor.check(account(sandbox.base_url, key), http)

    assert check.ok is ok
    assert check.detail.startswith("The resource accepts" if ok else "The resource answered 401")
    assert len(ledger) == 0


async def test_the_secondary_key_sends_while_the_primary_is_renewed(sandbox, ledger, http):
    """When the resource's first key was renewed, the primary is refused for its credentials and the secondary sends."""
    settings = {
        name: account(sandbox.base_url, key).settings["connectionString"]
        for name, key in (("connectionString", NO_KEY), ("connectionStringSecondary", OTHER_KEY))
    }
    first, second = variants(vendor.description, PROVIDER, settings)

    [refused] = (await vendor.send(first, call(), http)).values()
    [taken] = (await vendor.send(second, call(), http)).values()

    assert (refused.reason, refused.retry) == (Reason.CREDENTIALS, Retry.NEVER)
    assert isinstance(taken, Accepted)
    assert len(ledger) == 1


async def test_a_check_without_a_connection_does_not_pass(http):
    """A resource that is not there is not taken for one that accepts the credentials."""
    with nobody_listening() as url:
        check = await vendor.check(account(url), http)

    assert not check.ok
    assert "No connection" in check.detail


# Settings

CONTOSO = f"endpoint=https://contoso.communication.azure.com/;accesskey={KEY}"


@pytest.mark.parametrize(
    "text",
    [
        CONTOSO,
        f"accesskey={KEY};endpoint=https://contoso.communication.azure.com",
        f"Endpoint=https://contoso.communication.azure.com/; AccessKey={KEY} ;",
    ],
    ids=["as the portal shows it", "other order", "capitals and blanks"],
)
def test_connection_strings_are_taken_in_every_form(text):
    """Order, capitals, blanks and the slash at the end make no difference."""
    assert not vendor.check_settings({"connectionString": text})

    assert vendor.account_name({"connectionString": text}) == "contoso"


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"connectionString": "nonsense"}, "connectionString"),
        ({"connectionString": f"accesskey={KEY}"}, "connectionString"),
        ({"connectionString": "endpoint=https://contoso.communication.azure.com/"}, "connectionString"),
        ({"connectionString": CONTOSO.replace(KEY, "not base64!")}, "connectionString"),
        ({"connectionString": CONTOSO.replace(KEY, KEY[:-2])}, "connectionString"),
        ({"connectionString": CONTOSO.replace(".com/", ".com/sms")}, "connectionString"),
        ({"connectionString": CONTOSO, "connectionStringSecondary": "nonsense"}, "connectionStringSecondary"),
        (
            {"connectionString": CONTOSO, "connectionStringSecondary": CONTOSO.replace("contoso", "fabrikam")},
            "connectionStringSecondary",
        ),
        ({"connectionString": CONTOSO, "endpoint": "https://contoso.communication.azure.com"}, "endpoint"),
    ],
    ids=["text", "no endpoint", "no key", "no base64", "cut", "path", "secondary", "another resource", "both"],
)
def test_settings_that_cannot_work_are_refused(settings, wrong):
    """A setting with which no message could be sent is named before anybody tries."""
    [found] = vendor.check_settings(settings)

    assert found.setting == wrong
    assert KEY not in found.detail


def test_the_account_is_named_by_its_endpoint():
    """A provider without a key is known by its endpoint, and one with neither by nothing."""
    assert vendor.account_name({"endpoint": "https://Contoso.communication.azure.com/"}) == "contoso"
    assert vendor.account_name({}) == ""


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        *((name, True) for name in ("Contoso", "7 Eleven", "x")),
        *((name, False) for name in ("1234567", "Contoso Text", "A&B", "Zürich", "")),
    ],
)
def test_a_name_is_as_the_page_has_it(name, fits):
    """A name has at most 11 letters, digits and spaces, a letter among them, and the note says so."""
    rule = vendor.description.sender_rule(SenderType.ALPHANUMERIC)

    assert bool(re.fullmatch(rule.pattern, name)) is fits
    assert "at most 11 letters" in rule.note
