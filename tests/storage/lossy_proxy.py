"""A proxy on loopback that loses answers: the request arrives, what came of it is never heard."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HOP_HEADERS = {"host", "connection", "keep-alive", "transfer-encoding", "content-length", "content-encoding"}


class LossyProxy:
    """Forwards every request, and keeps what it forwarded.

    To lose answers set ``lose`` to their number, ``method`` to the method of the requests (any, if empty), ``after`` to
    the number of such answers to pass on first, and ``as_status`` to give that status instead of breaking the
    connection.
    """

    def __init__(self, target: str) -> None:
        self.url = ""
        self.lose = 0
        self.method = ""
        self.after = 0
        self.as_status = 0
        self.forwarded: list[tuple[str, str]] = []
        self._target = target
        self._session = aiohttp.ClientSession(auto_decompress=False)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_HEADERS}
        body = await request.read()
        # Nothing may be added or encoded anew: the signature covers it.
        async with self._session.request(
            request.method,
            URL(f"{self._target}{request.raw_path}", encoded=True),
            headers=headers,
            data=body or None,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept"),
        ) as answer:
            content = await answer.read()
        self.forwarded.append((request.method, request.raw_path))
        if self._loses(request.method):
            if not self.as_status:
                request.transport.abort()
            return web.Response(status=self.as_status or 200)
        kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in HOP_HEADERS]
        return web.Response(status=answer.status, body=content, headers=kept)

    def _loses(self, method: str) -> bool:
        if not self.lose or self.method not in {"", method}:
            return False
        if self.after:
            self.after -= 1
            return False
        self.lose -= 1
        return True

    async def close(self) -> None:
        await self._session.close()


@contextlib.asynccontextmanager
async def running_proxy(target: str) -> AsyncIterator[LossyProxy]:
    """Serve a proxy for ``target`` (scheme, host and port) on a free port until the block ends."""
    proxy = LossyProxy(target)
    application = web.Application(client_max_size=2**25)
    application.router.add_route("*", "/{path:.*}", proxy.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield proxy
    finally:
        await runner.cleanup()
        await proxy.close()
