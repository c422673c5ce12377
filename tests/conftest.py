"""What all suites share: no network but loopback, a clock that tests own, and a gateway that runs on it."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import json
import socket
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from devhost.running import ROOT, Answer, Gateway, running_gateway
from devhost.settings import read_host_json
from functions.app import DISPATCH_QUEUE
from functions.gateway.states import FINAL
from functions.gateway.timing import Timing
from functions.settings import read_settings
from functions.storage.embedded import open_embedded
from functions.triggers import api
from sandbox.clock import Clock as SandboxClock
from sandbox.kit import Addresses, Customer, kits
from sandbox.testing import running_sandbox
from tests.triggers.documented import Documented

# Network ------------------------------------------------------------------------------------------------------------


class NetworkError(RuntimeError):
    """A test reached for another machine."""


_reached: list[str] = []


def _is_here(host: object) -> bool:
    if host in {None, "", b"", "localhost", b"localhost"}:
        return True
    try:
        address = ipaddress.ip_address(host.decode() if isinstance(host, bytes) else str(host).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _check(host: object) -> None:
    if not _is_here(host):
        _reached.append(str(host))
        raise NetworkError(f"a test reached for {host!r}; tests talk to loopback only, use the sandbox")


@pytest.fixture(autouse=True, scope="session")
def _only_loopback():
    """Refuse every connection and every name lookup that leaves this machine."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        real_lookup = socket.getaddrinfo

        def lookup(host, *args, **kwargs):
            _check(host)
            return real_lookup(host, *args, **kwargs)

        patch.setattr(socket, "getaddrinfo", lookup)
        yield


def _guarded(real):
    def connect(self, address):
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            _check(address[0])
        return real(self, address)

    return connect


@pytest.fixture(autouse=True)
def reached():
    """List where the test tried to connect to; the test fails if the list is not empty at its end."""
    _reached.clear()
    yield _reached
    found = list(_reached)
    _reached.clear()
    assert not found, f"the test reached for {found}; a refused connection may have been taken for a vendor's fault"


# Time ---------------------------------------------------------------------------------------------------------------


class Clock:
    """The time as the gateway, its queues and the sandbox see it: the machine's, ahead by what a test adds."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._frozen: datetime | None = None

    def __call__(self) -> datetime:
        return (self._frozen or datetime.now(UTC)) + self._ahead

    def seconds(self) -> float:
        """Return the seconds since the epoch."""
        return self().timestamp()

    def advance(self, seconds: float) -> None:
        """Let time pass; what sleeps already is not woken."""
        self._ahead += timedelta(seconds=seconds)

    def freeze(self, at: datetime | None = None) -> None:
        """Stop the clock, now or at a moment; it then moves by ``advance`` alone."""
        self._frozen, self._ahead = at or self(), timedelta()


@pytest.fixture
def clock():
    return Clock()


# The gateway --------------------------------------------------------------------------------------------------------

FAST = {"maxPollingInterval": "00:00:00.1", "visibilityTimeout": "00:00:00"}
"""Queue settings under which a test does not wait for polls."""


@pytest.fixture
async def storage(tmp_path, clock):
    """Open an embedded store of its own."""
    opened = open_embedded(tmp_path / "gateway.db", clock.seconds)
    yield opened
    await opened.close()


@pytest.fixture
def documented(monkeypatch):
    """Watch every answer of the API; the test fails if one is not what the OpenAPI document says."""
    watch = Documented()
    real = api.answer

    async def answer(described, handler, req):
        response = await real(described, handler, req)
        watch.take(described.name, response.status_code, dict(response.headers), response.mimetype, response.get_body())
        return response

    monkeypatch.setattr(api, "answer", answer)
    yield watch
    assert not watch.faults, "\n".join(watch.faults)


@pytest.fixture
async def start_gateway(storage, clock, documented):
    """Give a function that starts a gateway with app settings by name; one at a time, ``stop`` ends it early."""
    running: list[AsyncExitStack] = []

    async def start(*, on=None, timing: Timing | None = None, telemetry=None, **changed: str) -> Gateway:
        environment = {
            "SMS_STORAGE": "embedded",
            "SMS_ALLOW_LOCAL_VENDORS": "true",
            "SMS_VENDOR_TIMEOUT_SECONDS": "5",
        } | changed
        host_json = read_host_json(ROOT)
        host_json["extensions"]["queues"] |= FAST
        stack = AsyncExitStack()
        running.append(stack)
        return await stack.enter_async_context(
            running_gateway(
                on or storage,
                port=0,
                settings=lambda url: read_settings({"SMS_PUBLIC_URL": url} | environment),
                clock=clock,
                host_json=host_json,
                timing=timing or Timing(),
                telemetry=telemetry,
            )
        )

    async def stop() -> None:
        while running:
            await running.pop().aclose()

    start.stop = stop
    yield start
    await stop()


@pytest.fixture
async def gateway(start_gateway):
    """Run a gateway over the embedded store."""
    return await start_gateway()


@pytest.fixture
async def sandbox(clock):
    """Run the simulated vendors, which report at once."""
    async with running_sandbox(seed=1, clock=SandboxClock(clock.seconds)) as running:
        yield running


KITS = kits()
"""How to become a customer of each simulated vendor."""


@dataclass
class Made:
    """A provider that was made for a test.

    Args:
        id: The provider's id.
        vendor: Its vendor.
        account: The account's name in the sandbox.
        settings: The settings it was made with, secrets included.
        sender: The sender's id.
        address: The sender's address.
    """

    id: str
    vendor: str
    account: str
    settings: dict[str, str]
    sender: str = ""
    address: str = ""


@dataclass
class Ready:
    """A gateway and a sandbox that know each other."""

    gateway: Gateway
    sandbox: Any
    made: dict[str, Made] = field(default_factory=dict)

    def __getattr__(self, vendor: str) -> Made:
        """Return the provider that the fixture made at a vendor."""
        try:
            return self.__dict__["made"][vendor]
        except KeyError:
            raise AttributeError(vendor) from None

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Answer:
        """Call the gateway."""
        return await self.gateway.call(method, path, body, **options)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Call the sandbox's control API below ``/sandbox``."""
        url = f"{self.sandbox.base_url}/sandbox{path}"
        async with self.gateway.session.request(method, url, json=body) as response:
            text = await response.text()
            assert response.status < 300, text
            return json.loads(text) if text else None

    async def ledger(self, vendor: str) -> list[dict[str, Any]]:
        """Return what a vendor really accepted."""
        return (await self.ask("GET", f"/{vendor}/ledger?limit=1000"))["items"]

    async def make(
        self,
        vendor: str,
        *,
        account: str = "one",
        sender: tuple[str, str] | None = None,
        finish: bool = True,
        **more: Any,
    ) -> Made:
        """Make an account in the sandbox and a provider with a sender for it.

        Args:
            vendor: The vendor.
            account: A word that tells several accounts apart.
            sender: The sender's type and address; the vendor's usual one if left out.
            finish: Whether to finish the provider; a draft otherwise.
            more: More members of the request that creates the provider.
        """
        kit = KITS[vendor]
        kind, address = sender or (kit.sender_type, kit.sender)
        # A vendor may look at the machine's time, from which a test's clock may be far away.
        customer = Customer(account, partial(_secret_of, account), address, clock_skew_seconds=1e9)
        for call in kit.account(customer):
            await self.ask("POST", call.path, dict(call.body))
        body = {"vendor": vendor, "name": f"{vendor} {account}"} | more
        body["settings"] = dict(kit.settings(customer, self.sandbox.base_url)) | more.get("settings", {})
        created = await self.call("POST", "/providers", body)
        assert created.status == 201, created.body
        made = Made(created.body["id"], vendor, account, body["settings"], address=address)
        added = await self.call("POST", f"/providers/{made.id}/senders", {"type": kind, "address": address})
        assert added.status == 201, added.body
        made.sender = added.body["id"]
        if finish:
            finished = await self.call("POST", f"/providers/{made.id}/finish")
            assert finished.status == 200, finished.body
        urls = (await self.call("GET", f"/providers/{made.id}/callbacks")).body
        addresses = Addresses(*(self._address(urls[kind]) for kind in ("report", "inbound")))
        for call in kit.wiring(customer, addresses):
            await self.ask("POST", call.path, dict(call.body))
        return made

    def _address(self, named: str) -> str:
        """Return the address of a callback; where Event Grid delivers, the gateway names a function."""
        return named if named.startswith("http") else self.gateway.events_url(named)

    async def send(self, sender: Made | str, to: str | list[str], text: str = "Hello", **more: Any) -> list[str]:
        """Send, and return the ids of the accepted messages."""
        name = sender if isinstance(sender, str) else sender.sender
        headers = more.pop("headers", None)
        answer = await self.call("POST", "/messages", {"from": name, "to": to, "text": text, **more}, headers=headers)
        assert answer.status == 202, answer.body
        return [item["id"] for item in answer.body["messages"] if item["status"] == "queued"]

    async def message(self, identity: str) -> dict[str, Any]:
        """Return a message with its time line."""
        answer = await self.call("GET", f"/messages/{identity}")
        assert answer.status == 200, answer.body
        return answer.body

    async def until(self, identity: str, *states: str, seconds: float = 5.0) -> dict[str, Any]:
        """Wait until a message is in one of the states, by default any final one, and return it."""
        wanted = states or tuple(state.value for state in FINAL)
        deadline = asyncio.get_running_loop().time() + seconds
        while (message := await self.message(identity))["status"] not in wanted:
            late = asyncio.get_running_loop().time() > deadline
            assert not late, f"not {' or '.join(wanted)} within {seconds} s: {json.dumps(message, indent=1)}"
            await asyncio.sleep(0.02)
        return message

    async def idle(self, seconds: float = 5.0) -> None:
        """Wait until the host has taken every message off the dispatch queue."""
        async with asyncio.timeout(seconds):
            while await self.gateway.application.storage.queues.length(DISPATCH_QUEUE):
                await asyncio.sleep(0.02)

    async def delivered(self, sender: Made | str, to: str, text: str = "Hello", **more: Any) -> dict[str, Any]:
        """Send one message and wait until it is delivered."""
        (identity,) = await self.send(sender, to, text, **more)
        return await self.until(identity, "delivered")


def _secret_of(account: str, name: str) -> str:
    """Return 32 hexadecimal digits that belong to an account."""
    return hashlib.blake2b(f"{account}|{name}".encode(), digest_size=16).hexdigest()


@pytest.fixture
async def connected(gateway, sandbox):
    """Give a gateway and a sandbox without any provider; ``make`` adds one."""
    return Ready(gateway, sandbox)


@pytest.fixture
async def ready(connected):
    """Give a gateway, a sandbox, and a finished provider with a sender at each vendor."""
    for vendor in KITS:
        connected.made[vendor] = await connected.make(vendor)
    return connected
