"""The admin endpoints: is the host up, what has it loaded, run a function by hand.

https://learn.microsoft.com/azure/azure-functions/functions-manually-run-non-http
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum

from devhost.invoke import Call, Invoker
from devhost.loading import EVENT_GRID, HTTP, QUEUE, LoadedFunction
from devhost.timers import timer_by_hand

_PING = ("host", "ping")


class AdminEndpoint:
    """Answers below ``/admin``."""

    def __init__(self, functions: Sequence[LoadedFunction], invoker: Invoker) -> None:
        """Serve these functions."""
        self._functions = {function.name.lower(): function for function in functions}
        self._invoker = invoker
        self._started = time.monotonic()
        self._running: set[asyncio.Task[Any]] = set()

    @staticmethod
    def is_open(request: web.Request, path: Sequence[str]) -> bool:
        """Tell whether a request needs no key: only a ping does not."""
        return request.method in {"GET", "POST"} and tuple(part.lower() for part in path) == _PING

    async def settle(self, limit: float) -> None:
        """Wait at most ``limit`` seconds for functions that were started here."""
        if self._running:
            await asyncio.wait(self._running, timeout=limit)

    async def answer(self, request: web.Request, path: Sequence[str]) -> web.Response:
        """Answer a request that came with the master key.

        Args:
            request: The request.
            path: The parts of the address after ``/admin/``.
        """
        match [part.lower() for part in path], request.method:
            case ["host", "status"], "GET":
                return web.json_response(self._status())
            case ["functions"], "GET":
                return web.json_response([_described(function) for function in self._functions.values()])
            case ["functions", name], method if name in self._functions:
                return await self._function(request, method, self._functions[name])
        return web.Response(status=404)

    async def _function(self, request: web.Request, method: str, function: LoadedFunction) -> web.Response:
        if method == "GET":
            return web.json_response(_described(function))
        if method != "POST":
            return web.Response(status=405)
        text = await _input(request)
        if text is None or function.kind == HTTP:
            return web.Response(status=400)
        task = asyncio.create_task(self._invoker.run(function, _call(function, text)))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return web.Response(status=202)

    def _status(self) -> dict[str, Any]:
        uptime = int((time.monotonic() - self._started) * 1000)
        return {"id": "devhost", "state": "Running", "version": "4", "processUptime": uptime}


def _described(function: LoadedFunction) -> dict[str, Any]:
    return {"name": function.name, "language": "python", "config": {"bindings": [dict(function.trigger)]}}


async def _input(request: web.Request) -> str | None:
    try:
        document = json.loads(await request.text())
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    given = document.get("input", "")
    return given if isinstance(given, str) else json.dumps(given)


def _call(function: LoadedFunction, text: str) -> Call:
    if function.kind == QUEUE:
        return Call(Datum(text, "string"))
    if function.kind == EVENT_GRID:
        return Call(Datum(text, "json"))
    return Call(timer_by_hand())
