"""A definition is not a way in: not into the network, not to the credentials, not to the memory of the gateway."""

from __future__ import annotations

import asyncio
import base64
import gzip
import tracemalloc
from contextlib import asynccontextmanager
from dataclasses import replace
from json import dumps
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import aiohttp
import orjson
import pytest

from functions.outbound import VendorHttp
from functions.vendors.contract import Accepted, Check, Reason, Refused, Retry, Unknown
from functions.vendors.custom.adapter import Custom
from tests.vendors.custom.samples import APIS, NAMES, NOW, TEXT, TOKEN, account, call, definition, moved, settings
from tests.vendors.kit import Reply
from tests.vendors.servers import recorder

VENDOR = Custom(clock=lambda: NOW)
SECRET = "Canary\"<&'>+/=% üb"
"""A secret that every way of writing spells otherwise."""
CREDENTIALS = {"username": "CanaryUser", "password": SECRET, "short": "abc"}
REQUEST = {
    "method": "POST",
    "url": "https://api.example.com/sms",
    "basic": {"user": "{credentials.username}", "password": "{credentials.password}"},
    "json": {"to": "{to}", "text": "{text}", "short": "{credentials.short}"},
}
CHECK = {"method": "GET", "url": "https://api.example.com/me", "basic": REQUEST["basic"]}
MINIMAL = {
    "name": "Example",
    "request": REQUEST,
    "success": {"statuses": [200], "id": "id"},
    "errors": {"code": "code", "table": {"7": {"reason": "quota"}}},
    "check": CHECK | {"success": {"statuses": [200], "id": "id"}},
}


def minimal(url, **changes):
    """Return a definition whose API is at an address."""
    return moved(orjson.loads(orjson.dumps(MINIMAL | changes)), url)


async def sent(described, http, credentials=CREDENTIALS):
    """Return the outcome of one message."""
    [outcome] = (await VENDOR.send(account(described, credentials), call(), http)).values()
    return outcome


# Where it leads


def refuse_identity():
    """Stand for the identity of an app that has none."""
    raise AssertionError


@pytest.fixture
def leads_here(monkeypatch):
    """Make every name lead to this machine."""
    asked = []

    async def resolve(_self, host, port=0, family=0):
        asked.append(host)
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": 2, "proto": 0, "flags": 0}]

    monkeypatch.setattr(aiohttp.ThreadedResolver, "resolve", resolve)
    return asked


@pytest.mark.parametrize("local", [False, True])
async def test_a_public_name_that_leads_inside_is_not_called(leads_here, local):
    """A name that was public when it was saved and leads inside when it is called gets no connection."""
    http = VendorHttp(5, refuse_identity, local=local)
    async with recorder(Reply(200, b'{"id": "1"}')) as server:
        port = server.url.rpartition(":")[2]
        described = minimal(f"http://api.example.com:{port}")

        outcome = await sent(described, http)
        checked = await VENDOR.check(account(described, CREDENTIALS), http)

        assert leads_here == ["api.example.com"] * len(leads_here) != []
        assert len(server.requests) == (2 if local else 0)
    await http.close()
    if local:
        assert outcome == Accepted("1")
        assert checked.ok
    else:
        assert (type(outcome), outcome.reason, outcome.retry) == (Refused, Reason.TEMPORARY, Retry.LATER)
        assert not checked.ok


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(http, status):
    """Neither a message nor a check goes where an answer points to, and a redirect leaves the message unknown."""
    async with recorder(Reply(200, b'{"id": "1"}')) as elsewhere:
        async with recorder(Reply(status, b'{"id": "1"}', {"Location": elsewhere.url})) as server:
            described = minimal(server.url)
            outcome = await sent(described, http)
            checked = await VENDOR.check(account(described, CREDENTIALS), http)

        assert elsewhere.requests == []
        assert len(server.requests) == 2
    assert isinstance(outcome, Unknown)
    assert not checked.ok


@pytest.mark.parametrize("value", ["a\r\nX-Injected: b", "a\nb", "a\rb", "a\0b", "ü", "\x7f"])
async def test_a_credential_does_not_break_a_header(http, value):
    """A value that is no line of ASCII makes no request with it in a header, and is not quoted."""
    async with recorder(Reply(200, b'{"id": "1"}')) as server:
        for header in ({"headers": {"X-Key": "{credentials.key}"}}, {"bearer": "{credentials.key}"}):
            request = {name: part for name, part in REQUEST.items() if name != "basic"} | header
            described = minimal(server.url, request=request)
            outcome = await sent(described, http, {"key": value, "short": "x"})

            assert (type(outcome), outcome.reason) == (Refused, Reason.CONFIGURATION)
            assert value not in outcome.detail

        assert server.requests == []


# How much it takes


@asynccontextmanager
async def gushing(head: bytes, piece: bytes):
    """Run a server that never stops answering; give its address and a list with the bytes it got rid of."""
    written = [0]

    async def handle(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        try:
            while written[0] < 50_000_000:
                writer.write(piece)
                await writer.drain()
                written[0] += len(piece)
        except ConnectionError:
            pass
        writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", written
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_an_answer_without_end_is_not_read_to_its_end(http, status):
    """Of an answer without end little is read; it takes no message, and a refusal stays one."""
    head = b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" % status
    async with gushing(head, b"2000\r\n" + b'{"id": 1 ' * 910 + b"  \r\n") as (url, written):
        outcome = await sent(minimal(url), http)

    assert isinstance(outcome, Refused if status == 400 else Unknown)
    assert written[0] < 20_000_000


@pytest.mark.parametrize(("size", "expected"), [(65_000, Accepted), (65_536, Unknown), (200_000, Unknown)])
async def test_an_answer_has_a_longest_length(http, size, expected):
    """An answer of less than 64 KiB is read whole; of a longer one nothing is believed, even if it could be read."""
    body = b'{"id": "1"}' + b" " * (size - 11)
    async with recorder(Reply(200, body)) as server:
        assert isinstance(await sent(minimal(server.url), http), expected)


async def test_what_is_small_on_the_wire_stays_small(http):
    """An answer that would unpack to a hundred megabytes takes no such memory, and no message."""
    bomb = gzip.compress(b"[" * 100_000_000, compresslevel=6)
    async with recorder(Reply(200, bomb, {"Content-Type": "application/json", "Content-Encoding": "gzip"})) as server:
        await sent(minimal(server.url), http)  # what is imported on first use is not counted
        tracemalloc.start()
        outcome = await sent(minimal(server.url), http)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert {request.headers["accept-encoding"] for request in server.requests} == {"identity"}
    assert isinstance(outcome, Unknown)
    assert peak < 20_000_000


async def test_a_request_that_may_have_arrived_is_not_repeated(http):
    """A kept connection that is closed in the middle of a GET leaves the message unknown and sends it once."""
    lines = []

    async def handle(reader, writer):
        for last in (False, True):
            lines.append(await reader.readuntil(b"\r\n\r\n"))
            if not last:
                writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{"id": "1"}')
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    described = minimal(
        f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}",
        request={"method": "GET", "url": "https://a.example/", "query": {"to": "{to}", "text": "{text}"}},
    )
    first, second = await sent(described, http), await sent(described, http)
    server.close()
    await server.wait_closed()

    assert first == Accepted("1")
    assert isinstance(second, Unknown)
    assert [line.split(b" ")[0] for line in lines] == [b"GET", b"GET"]


# What it tells


def ascii_json(text):
    """Return a text as most languages write it in JSON, everything beyond ASCII escaped."""
    return dumps(text)[1:-1]


def spellings(secret):
    """Return the ways in which a vendor may write a secret that it was sent."""
    pair = base64.b64encode(f"CanaryUser:{secret}".encode()).decode()
    encoded = base64.b64encode(secret.encode()).decode()
    json = orjson.dumps(secret).decode()[1:-1]
    slashes = ascii_json(secret).replace("/", "\\/")
    html = {escape(secret, {'"': "&quot;", "'": mark}) for mark in ("&#39;", "&#x27;", "&apos;")}
    lower = quote(secret, safe="").replace("%3C", "%3c").replace("%2F", "%2f").replace("%3E", "%3e")
    lower = lower.replace("%2B", "%2b").replace("%3D", "%3d").replace("%C3%BC", "%c3%bc")
    others = {slashes, ascii_json(secret), lower, *html}
    return others | {
        secret,
        json,
        quote(secret, safe=""),
        quote_plus(secret),
        escape(secret),
        encoded,
        pair,
        f"Basic {pair}",
    }


@pytest.mark.parametrize("status", [200, 201, 302, 400, 401, 429, 500])
@pytest.mark.parametrize("place", ["body", "message", "code"])
async def test_a_vendor_that_echoes_a_credential_does_not_give_it_away(http, status, place):
    """However a vendor writes the credentials it was sent, no outcome and no check shows them."""
    for spelling in spellings(SECRET):
        body = f"Wrong: {spelling}".encode()
        described = MINIMAL
        if place != "body":
            body = orjson.dumps({place: f"Wrong: {spelling}"})
            described = MINIMAL | {"errors": {"code": "code", "message": "message"}}
        async with recorder(Reply(status, body)) as server:
            provider = minimal(server.url, **described)
            outcome = await sent(provider, http)
            checked = await VENDOR.check(account(provider, CREDENTIALS), http)

        for said in (repr(outcome), repr(checked)):
            assert not any(other in said for other in spellings(SECRET)), spelling
            assert "Canary" not in said.replace("CanaryUser:", "")
        assert "***" in repr(outcome) or (place != "body" and status == 200 and isinstance(outcome, Accepted))


async def test_a_secret_within_another_does_not_uncover_it(http):
    """Where one credential is the beginning of another, all of the longer one is blacked out."""
    credentials = {"username": "Canary", "password": "CanaryOfThePassword", "short": "abcd"}
    async with recorder(Reply(400, b"CanaryOfThePassword and Canary and abcd")) as server:
        outcome = await sent(minimal(server.url), http, credentials)

    assert outcome.detail == "*** and *** and ***"


async def test_words_of_three_letters_are_not_blacked_out(http):
    """Too short a credential is no secret; blacking it out would make words unreadable."""
    async with recorder(Reply(400, b"abc is not known")) as server:
        outcome = await sent(minimal(server.url), http)

    assert outcome.detail == "abc is not known"


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_shows_the_whole_request_and_no_secret(name):
    """A dry run shows the request with the names of the credentials, without them and without the callback token."""
    provider = settings(definition(name), APIS[name].credentials)
    secret = ("credentials", "callbackToken")
    plain = {setting: value for setting, value in provider.items() if setting not in secret}

    shown = VENDOR.dry_run(plain, call())

    written = " ".join([shown.method, shown.url, *shown.headers.values(), shown.body])
    assert TOKEN not in written
    assert "anary" not in written
    assert all(f"{{credentials.{credential}}}" in written for credential in used(name))
    assert shown.url.startswith(definition(name)["request"]["url"].partition("{")[0])
    if "{reportUrl}" in orjson.dumps(definition(name)).decode() and "reportUrl" in str(definition(name)["request"]):
        assert "callbackToken" in written
    if shown.headers.get("Content-Type") == "application/json":
        assert TEXT in orjson.loads(shown.body).values()


def used(name):
    """Return the credentials that a definition's request names."""
    request = orjson.dumps(definition(name)["request"]).decode()
    return [credential for credential in APIS[name].credentials if f"credentials.{credential}" in request]


def test_a_dry_run_shows_basic_authentication_readably():
    """User name and password of Basic authentication are shown by name, not encoded."""
    shown = VENDOR.dry_run(settings(MINIMAL, {}), call())

    assert shown.headers["Authorization"] == "Basic base64({credentials.username}:{credentials.password})"


def test_a_dry_run_without_a_request_says_why():
    """A message of which no request can be made is told so; a provider without a definition has nothing to show."""
    odd = MINIMAL | {"request": {"method": "POST", "url": "https://api.example.com/{text}/{to}"}}
    message = call().messages[0]

    shown = VENDOR.dry_run(settings(odd, {}), call(messages=(type(message)(message.id, message.to, ".."),)))

    assert "another path" in shown.body
    assert VENDOR.dry_run({}, call()) is None


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_vendor_that_echoes_the_callback_token_does_not_give_it_away(http, status):
    """A vendor that quotes the address for reports that it was given shows nobody the token in it, old or new."""
    used = call().report_url
    request = REQUEST | {"json": {"to": "{to}", "text": "{text}", "dlr": "{reportUrl}"}}
    body = f"No such host: {used} {quote(used, safe='')} {TOKEN} NewCanaryToken".encode()
    async with recorder(Reply(status, body)) as server:
        provider = account(minimal(server.url, request=request), {"token": "x1234"} | CREDENTIALS)
        rotated = replace(provider, settings={**provider.settings, "callbackToken": "NewCanaryToken"})
        [outcome] = (await VENDOR.send(rotated, call(), http)).values()

    assert "***" in repr(outcome)
    assert TOKEN not in repr(outcome)
    assert "NewCanaryToken" not in repr(outcome)


@pytest.mark.parametrize("limits", [{"minValiditySeconds": 10**15, "maxValiditySeconds": 10**15}])
async def test_a_validity_period_without_end_is_a_fault_of_configuration(http, limits):
    """A definition of an earlier release whose period no calendar has makes no request, and says so."""
    provider = account(MINIMAL | {"limits": limits}, CREDENTIALS)

    [outcome] = (await VENDOR.send(provider, call(), http)).values()

    assert (type(outcome), outcome.reason) == (Refused, Reason.CONFIGURATION)
    assert "minValiditySeconds" in outcome.detail
    assert "minValiditySeconds" in VENDOR.dry_run(settings(MINIMAL | {"limits": limits}, {}), call()).body


def test_a_rate_that_no_clock_can_count_is_a_slow_one():
    """A definition of an earlier release with next to no calls a second sends slowly, instead of failing each time."""
    assert VENDOR.calls_per_second(settings(MINIMAL | {"limits": {"callsPerSecond": 1e-300}}, {})) == 0.001
    assert VENDOR.calls_per_second(settings(MINIMAL | {"limits": {"callsPerSecond": 0.5}}, {})) == 0.5


# The check of credentials


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (Reply(200, b'{"id": "1"}'), Check(ok=True, detail="Example takes the credentials.")),
        (Reply(200, b"{}"), Check(ok=False, detail="Example answered 200: {}")),
        (Reply(200, b"<html>"), Check(ok=False, detail="Example answered 200: <html>")),
        (Reply(401, b'{"id": "1"}'), Check(ok=False, detail='Example answered 401: {"id": "1"}')),
    ],
)
async def test_a_check_passes_on_proof_only(http, reply, expected):
    """The credentials are taken for right when the answer is what the definition wants, and for nothing less."""
    async with recorder(reply) as server:
        assert await VENDOR.check(account(minimal(server.url), CREDENTIALS), http) == expected

        [request] = server.requests
    assert (request.method, request.path, request.body) == ("GET", "/me", b"")


async def test_without_a_check_the_credentials_are_not_tried(http):
    """A definition without a check is said to have none, and nothing is called."""
    described = {name: member for name, member in MINIMAL.items() if name != "check"}

    checked = await VENDOR.check(account(described, CREDENTIALS), http)

    assert not checked.ok
    assert "no `check`" in checked.detail
