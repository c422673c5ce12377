"""What the sandbox's tests share: a running sandbox, accounts in it, and an endpoint that takes callbacks."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import aiohttp
import orjson
import pytest
from aiohttp import web

from sandbox.testing import running_sandbox

KEY = "c2VjcmV0LWtleS1vZi0zMi1ieXRlcy0wMTIzNDU2Nzg5"
OTHER_KEY = "YW5vdGhlci1rZXktb2YtMzItYnl0ZXMtOTg3NjU0MzIx"
TOKEN = "0123456789abcdef0123456789abcdef"
SID = "AC0123456789abcdef0123456789abcdef"
SENDER = "+14255550100"
TOLL_FREE = "+18885550100"
PERSON = "+12065550123"


@dataclass
class Received:
    """One request an endpoint got."""

    method: str
    path: str
    url: str
    headers: dict
    body: bytes

    @property
    def form(self):
        return parse_qsl(self.body.decode(), keep_blank_values=True)

    @property
    def fields(self):
        return dict(self.form)

    @property
    def json(self):
        return orjson.loads(self.body)


@dataclass
class Endpoint:
    """A customer's HTTP endpoint: keeps what it gets, and answers what `answer` says."""

    url: str = ""
    received: list = field(default_factory=list)
    handshakes: list = field(default_factory=list)
    answers: list = field(default_factory=list)
    validate: bool = True

    def answer(self, *statuses):
        """Answer the next requests with these statuses, all later ones with 200."""
        self.answers = list(statuses)

    async def handle(self, request):
        body = await request.read()
        got = Received(request.method, request.path, self.url + request.raw_path, dict(request.headers), body)
        if request.method == "OPTIONS" or request.headers.get("aeg-event-type") == "SubscriptionValidation":
            self.handshakes.append(got)
            if not self.validate:
                return web.Response(status=404)
            if request.method == "OPTIONS":
                return web.Response(headers={"WebHook-Allowed-Origin": request.headers["WebHook-Request-Origin"]})
            return web.json_response({"validationResponse": got.json[0]["data"]["validationCode"]})
        self.received.append(got)
        status = self.answers.pop(0) if self.answers else 200
        if isinstance(status, web.Response):
            return status
        return web.Response(status=status)


@asynccontextmanager
async def running_endpoint(port=0):
    endpoint = Endpoint()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", endpoint.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    endpoint.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield endpoint
    finally:
        await runner.cleanup()


@dataclass
class Remote:
    """The sandbox's control API, over HTTP as another process would use it."""

    http: aiohttp.ClientSession
    base_url: str

    async def ask(self, method, path, body=None, status=None):
        async with self.http.request(method, f"{self.base_url}/sandbox{path}", json=body) as response:
            text = await response.read()
            if status is not None:
                assert status == response.status, text
            else:
                assert response.status < 300, text
            return orjson.loads(text) if text and response.content_type == "application/json" else text

    async def ledger(self, vendor, **query):
        params = "&".join(f"{name}={value}" for name, value in query.items())
        return (await self.ask("GET", f"/{vendor}/ledger?{params.replace('+', '%2B')}"))["items"]


@pytest.fixture
async def sandbox():
    async with running_sandbox(seed=1) as running:
        yield running


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def control(sandbox, http):
    return Remote(http, sandbox.base_url)


@pytest.fixture
async def endpoint():
    async with running_endpoint() as running:
        yield running


@pytest.fixture
def closed_port():
    """Give a loopback port nobody listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def until(condition, seconds=3.0):
    """Wait until a condition holds."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come true in time"
        await asyncio.sleep(0.005)
