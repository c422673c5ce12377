"""Servers on loopback that stand in for a vendor: one that records and answers, and some that misbehave."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING

import trustme
from aiohttp import web

from tests.vendors.kit import Reply, Request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Recorder:
    """Keeps the requests it gets and gives every one the same answer.

    Attributes:
        url: Where it listens.
        reply: What it answers.
        requests: What it got.
    """

    def __init__(self, reply: Reply) -> None:
        self.url = ""
        self.reply = reply
        self.requests: list[Request] = []

    async def handle(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items() if name != "Host"}
        self.requests.append(Request(request.method, request.raw_path, headers, await request.read()))
        return web.Response(status=self.reply.status, body=self.reply.body, headers=self.reply.headers)


@asynccontextmanager
async def recorder(reply: Reply, tls: ssl.SSLContext | None = None) -> AsyncIterator[Recorder]:
    """Run a recorder until the block ends."""
    recording = Recorder(reply)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{tail:.*}", recording.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        recording.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
        yield recording
    finally:
        await runner.cleanup()


class Rogue:
    """Counts connections and treats each as its fault says.

    Attributes:
        url: Where it listens.
        connections: How many it got.
    """

    def __init__(self, fault: str) -> None:
        self.url = ""
        self.connections = 0
        self._fault = fault

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._misbehave(reader, writer)
        writer.transport.abort()

    async def _misbehave(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._fault != "drops before reading":
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.lower().split(b"\r\n")
            length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
            await reader.readexactly(length)
        if self._fault == "drops inside the answer":
            writer.write(b'HTTP/1.1 202 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"val')
            await writer.drain()
        if self._fault == "stops inside the answer":
            writer.write(b"HTTP/1.1 201 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
        if self._fault in {"never answers", "stops inside the answer"}:
            await reader.read()  # until the client gives up


ROGUE_FAULTS = (
    "drops before reading",
    "drops after reading",
    "drops inside the answer",
    "never answers",
    "stops inside the answer",
)


@asynccontextmanager
async def rogue(fault: str) -> AsyncIterator[Rogue]:
    """Run a server with one of the ``ROGUE_FAULTS`` until the block ends."""
    misbehaving = Rogue(fault)
    server = await asyncio.start_server(misbehaving.handle, "127.0.0.1", 0)
    misbehaving.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield misbehaving
    finally:
        server.close()
        await server.wait_closed()


@contextmanager
def nobody_listening() -> Iterator[str]:
    """Hold a port that refuses connections, so that nobody else can take it meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def certificate(authority: trustme.CA) -> ssl.SSLContext:
    """Return the server side of TLS for 127.0.0.1, issued by this authority."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context
