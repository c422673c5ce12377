"""The exchange that all adapters share: what is sent, what is read, and whether anything can have been sent."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime

import aiohttp
import pytest
from aiohttp import BasicAuth
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from functions.vendors.contract import Reason, Refused, Retry, Unknown
from functions.vendors.exchange import HttpAnswer, basic, exchange, fields_of_success, shortened, why
from tests.vendors.kit import Reply
from tests.vendors.servers import nobody_listening, recorder, rogue

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LATER = (Reason.THROTTLED, Retry.LATER)
NOTHING = Reply(200, b"{}")


async def sent(http, method="POST", path="/x", reply=NOTHING, **options):
    """Make an exchange with a server that records it; return what it got and what came of it."""
    async with recorder(reply) as server:
        answer = await exchange(http, method, server.url + path, **{"headers": {}, **options})
    [request] = server.requests
    return request, answer


# What is sent


async def test_a_form_is_sent_as_one(http):
    """The fields of a form are encoded as UTF-8 in their order, with the type of a form."""
    request, _ = await sent(http, form={"To": "+1", "Body": "ä &=\n"})

    assert (request.method, request.body) == ("POST", b"To=%2B1&Body=%C3%A4+%26%3D%0A")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


async def test_json_is_sent_as_such(http):
    """A JSON body has its type, and the caller's headers beside it."""
    request, _ = await sent(http, json={"text": "ä"}, headers={"Authorization": "App 1"})

    assert request.body == '{"text":"ä"}'.encode()
    assert (request.headers["content-type"], request.headers["authorization"]) == ("application/json", "App 1")


async def test_the_callers_type_of_json_stays(http):
    """A vendor with a JSON type of its own gets that one alone."""
    request, _ = await sent(http, json=[], headers={"Content-Type": "application/vnd.x+json"})

    assert (request.body, request.headers["content-type"]) == (b"[]", "application/vnd.x+json")


async def test_bytes_are_sent_as_they_are(http):
    """A body of bytes is not touched, and its type is the caller's, if it gives one."""
    request, _ = await sent(http, data=b"\xff<a/>", headers={"Content-Type": "text/xml"})
    plain, _ = await sent(http, data=b"x")

    assert (request.body, request.headers["content-type"]) == (b"\xff<a/>", "text/xml")
    assert "content-type" not in plain.headers


async def test_an_encoded_address_is_sent_as_it_is(http):
    """What is encoded in a ready address is not encoded again, nor decoded."""
    async with recorder(NOTHING) as server:
        await exchange(http, "GET", URL(f"{server.url}/a%2Fb?c=%2B+", encoded=True), headers={})

    assert server.requests[0].path == "/a%2Fb?c=%2B+"


async def test_a_query_is_added(http):
    """Parameters come behind the path, encoded, and a GET has no body."""
    request, _ = await sent(http, "GET", params={"To": "+1 2"})

    assert (request.method, request.path, request.body) == ("GET", "/x?To=%2B1+2", b"")


@given(
    user=st.text(st.characters(exclude_characters=":", codec="utf-8")), password=st.text(st.characters(codec="utf-8"))
)
def test_basic_authentication_is_everybodys(user, password):
    """For any user name without a colon and any password, aiohttp reads back what was written."""
    assert BasicAuth.decode(basic(user, password), encoding="utf-8")[:2] == (user, password)


# What is read


async def test_an_answer_is_kept_whole(http):
    """Status, headers in any case, bytes, text and JSON of an answer are there, and when it came."""
    before = datetime.now(UTC)
    _, answer = await sent(http, reply=Reply(201, '{"a": "ä"}'.encode(), {"X-One": "1"}))

    assert (answer.status, answer.headers["x-one"], answer.text) == (201, "1", '{"a": "ä"}')
    assert answer.json == answer.fields == {"a": "ä"}
    assert before <= answer.at <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("body", "json"),
    [(b"", None), (b"<html>", None), (b"[1]", [1]), (b"7", 7), (b"[" * 5000, None), (b'{"a"', None), (b"null", None)],
)
def test_what_is_no_object_has_no_fields(body, json):
    """A body that is no JSON has none, one that is no object has no fields, and nothing is raised."""
    assert (HttpAnswer(200, body).json, HttpAnswer(200, body).fields) == (json, {})


@pytest.mark.parametrize(
    ("answer", "fields"),
    [
        (HttpAnswer(200, b'{"a": 1}'), {"a": 1}),
        (HttpAnswer(200, b"[]"), {}),
        *((HttpAnswer(status, b'{"a": 1}'), {}) for status in (201, 204, 302, 404, 500)),
        (Refused(Reason.TEMPORARY), {}),
        (Unknown("No answer."), {}),
    ],
)
def test_only_a_success_gives_what_was_asked_for(answer, fields):
    """What was asked for is read from a 200 alone: an error's body says something else."""
    assert fields_of_success(answer) == fields


def test_a_stray_byte_costs_no_id():
    """A byte that is no UTF-8 is replaced, so that the id beside it can still be read."""
    assert HttpAnswer(201, b'{"sid": "SM1", "body": "\xe4"}').fields == {
        "sid": "SM1",
        "body": "\N{REPLACEMENT CHARACTER}",
    }


async def test_an_endless_answer_is_cut(http):
    """What goes beyond the limit is not read, the status stands, and the next exchange is not harmed."""
    reply = Reply(200, b'{"a":"' + b"x" * 100_000 + b'"}')
    async with recorder(reply) as server:
        answers = [await exchange(http, "GET", server.url, headers={}, longest=10) for _ in range(2)]
        server.reply = Reply(200, b'{"a":1}   ')
        exact = await exchange(http, "GET", server.url, headers={}, longest=10)

    assert [(answer.status, answer.content, answer.json) for answer in answers] == [(200, b'{"a":"xxxx', None)] * 2
    assert exact.json == {"a": 1}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer(http, status):
    """A redirect is not followed, wherever it leads."""
    async with recorder(Reply(200, b"")) as other, recorder(Reply(status, b"", {"Location": other.url})) as server:
        answer = await exchange(http, "POST", server.url, headers={"Authorization": "secret"}, data=b"text")

    assert (answer.status, other.requests) == (status, [])


@pytest.mark.parametrize(
    ("status", "client", "server"),
    [
        *((200, False, False), (302, False, False), (399, False, False), (400, True, False), (499, True, False)),
        *((500, False, True), (503, False, True), (599, False, True)),
    ],
)
def test_errors_are_told_apart(status, client, server):
    """A status from 400 says that the vendor did nothing, one from 500 that nobody knows."""
    answer = HttpAnswer(status, b"")

    assert (answer.is_client_error, answer.is_server_error) == (client, server)


# What an answer says as a refusal


@pytest.mark.parametrize(
    ("given", "after"),
    [
        *(({"Retry-After": "7"}, 7.0), ({}, None), ({"Retry-After": "soon"}, None)),
        ({"Retry-After": format_datetime(NOON.replace(minute=1), usegmt=True)}, 60.0),
        # More than any clock holds, or than floating point does.
        *(({"Retry-After": digits}, 86_400.0) for digits in ("86401", "9" * 20, "9" * 400)),
        ({"Retry-After": format_datetime(NOON.replace(year=9999), usegmt=True)}, 86_400.0),
    ],
)
def test_a_refusal_says_when_to_try_again(given, after):
    """What may be tried later is tried when the vendor says, counted from its answer."""
    refusal = HttpAnswer(429, b"", given, NOON).refusal(*LATER, "20429", "Too many")

    assert refusal == Refused(Reason.THROTTLED, Retry.LATER, after, "20429", "Too many")


@pytest.mark.parametrize("retry", [Retry.NEVER, Retry.OTHER_SENDER])
def test_what_is_not_tried_again_waits_for_nothing(retry):
    """A ``Retry-After`` means nothing where the same is not tried again."""
    assert HttpAnswer(400, b"", {"Retry-After": "7"}, NOON).refusal(Reason.OTHER, retry, "1", "").after is None


def test_a_refusal_without_a_code_has_the_status_and_few_words():
    """The HTTP status stands in for a missing code, and a page of HTML is cut."""
    refusal = HttpAnswer(403, b"").refusal(Reason.ACCOUNT, Retry.NEVER, "", "x" * 301)

    assert (refusal.code, refusal.detail) == ("403", "x" * 300)
    assert shortened("x" * 300) == "x" * 300


# Where no answer came


async def test_without_a_connection_nothing_was_sent(http):
    """A refused connection sent nothing and may be tried later."""
    with nobody_listening() as url:
        outcome = await exchange(http, "POST", url, headers={}, data=b"x")

    assert outcome == Refused(Reason.TEMPORARY, Retry.LATER, detail="No connection: ClientConnectorError.")
    assert why(outcome) == "No connection: ClientConnectorError."


async def test_a_connection_that_takes_too_long_sent_nothing(http, monkeypatch):
    """A connection that does not come about in time sent nothing, though aiohttp's error is a timeout, too."""

    async def request(*_arguments, **_options):
        raise aiohttp.ConnectionTimeoutError

    monkeypatch.setattr(aiohttp.ClientSession, "_request", request)
    outcome = await exchange(http, "POST", "https://vendor.example.com", headers={})

    assert outcome == Refused(Reason.TEMPORARY, Retry.LATER, detail="No connection: ConnectionTimeoutError.")


@pytest.mark.parametrize(("seconds", "connecting"), [(30.0, 10.0), (3.0, 3.0), (None, 5.0)])
async def test_connecting_has_less_time_than_the_call(http, monkeypatch, seconds, connecting):
    """A connection gets ten seconds at most, so that an unreachable vendor is told from one that does not answer."""
    given = []

    async def request(*_arguments, **options):
        given.append(options["timeout"])
        raise aiohttp.ConnectionTimeoutError

    monkeypatch.setattr(aiohttp.ClientSession, "_request", request)
    await exchange(http, "POST", "https://vendor.example.com", headers={}, seconds=seconds)

    assert [(limit.total, limit.sock_connect) for limit in given] == [(seconds or http.timeout, connecting)]


async def test_an_address_that_is_none_sent_nothing(http):
    """An address without a host cannot be connected to."""
    outcome = await exchange(http, "POST", "https://", headers={})

    assert (outcome.reason, outcome.retry) == (Reason.TEMPORARY, Retry.LATER)


@pytest.mark.parametrize("fault", ["drops before reading", "drops after reading", "drops inside the answer"])
async def test_a_lost_connection_is_unknown(http, fault):
    """Once there was a connection, nobody knows what became of the request, wherever it broke off."""
    async with rogue(fault) as server:
        outcome = await exchange(http, "POST", server.url, headers={}, data=b"x")

        assert server.connections == 1
    assert isinstance(outcome, Unknown)
    assert why(outcome).startswith("The connection was lost: ")


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_nothing_is_tried_twice(http, method):
    """Whatever the method, a connection that is lost is not made again: the vendor may have taken what it got."""
    async with rogue("drops after reading") as server:
        answer = await exchange(http, method, server.url, headers={}, data=b"x" if method != "GET" else None)

    assert isinstance(answer, Unknown)
    assert server.connections == 1


@pytest.mark.parametrize("fault", ["never answers", "stops inside the answer"])
async def test_no_answer_in_time_is_unknown(impatient, fault):
    """A vendor that does not answer, or not to the end, is waited for as long as any call may take."""
    async with rogue(fault) as server:
        assert await exchange(impatient, "POST", server.url, headers={}) == Unknown("No answer within 0.25 s.")


async def test_an_exchange_may_have_less_time_than_a_call(http):
    """The seconds that the caller has left hold for this exchange alone."""
    async with rogue("never answers") as server:
        outcome = await exchange(http, "POST", server.url, headers={}, seconds=0.05)

    assert outcome == Unknown("No answer within 0.05 s.")


@pytest.mark.parametrize("seconds", [0.0, -1.0])
async def test_without_time_nothing_is_sent(http, seconds):
    """Where no time is left, nothing is sent."""
    async with recorder(Reply(200, b"")) as server:
        outcome = await exchange(http, "POST", server.url, headers={}, seconds=seconds)

    assert (outcome, server.requests) == (
        Refused(Reason.TEMPORARY, Retry.LATER, detail="No time was left for the call."),
        [],
    )


async def test_a_fault_of_our_own_is_not_the_vendors(http, monkeypatch):
    """What is no error of the network is raised: it must be found, not tried again."""

    async def request(*_arguments, **_options):
        raise KeyError("ours")

    monkeypatch.setattr(aiohttp.ClientSession, "_request", request)

    with pytest.raises(KeyError, match="ours"):
        await exchange(http, "POST", "https://vendor.example.com", headers={})


def test_an_answer_shows_neither_body_nor_headers():
    """What a log may print of an answer holds no text of a person and no cookie."""
    assert "canary" not in repr(HttpAnswer(200, b"canary", {"Set-Cookie": "canary"}, NOON))
