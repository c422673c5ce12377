"""The HTTP side of the host: HTTP functions, the Event Grid endpoint, the admin endpoints and the home page."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from azure.functions.meta import Datum

from devhost.eventgrid import METHODS as EVENT_GRID_METHODS
from devhost.eventgrid import EventGridEndpoint
from devhost.invoke import Call, Invoker
from devhost.keys import EVENT_GRID_KEY, Keys, Level
from devhost.loading import EVENT_GRID, HTTP, QUEUE, LoadedFunction
from devhost.routes import Template
from devhost.settings import HttpSettings
from devhost.timers import timer_by_hand

log = logging.getLogger("devhost.web")

BODY_LIMIT = 100 * 1024 * 1024
"""The largest body that Azure lets through: https://learn.microsoft.com/azure/azure-functions/functions-scale#service-limits."""

_KEY_HEADER = "x-functions-key"
_KEY_PARAMETER = "code"
_WEBHOOK = "/runtime/webhooks/eventgrid"
_HOME = "<!doctype html><title>Functions</title><p>Your functions app is up and running."
_OPENS: Mapping[str, frozenset[Level]] = {
    "function": frozenset({Level.FUNCTION, Level.HOST, Level.MASTER}),
    "admin": frozenset({Level.MASTER}),
}
_NOT_OURS = frozenset({"content-length", "transfer-encoding", "connection"})


@dataclass(frozen=True, slots=True)
class Route:
    """An HTTP function at its address.

    Args:
        function: What runs.
        template: The address, prefix included.
        methods: Upper-case methods, empty for all.
        level: ``anonymous``, ``function`` or ``admin``.
        disabled: Whether only the master key gets an answer.
    """

    function: LoadedFunction
    template: Template
    methods: frozenset[str]
    level: str
    disabled: bool

    @classmethod
    def of(cls, function: LoadedFunction, prefix: str, *, disabled: bool) -> Route:
        """Read the route of an HTTP function.

        Raises:
            TemplateError: The route is not a template of ASP.NET Core.
        """
        route = str(function.trigger["route"]).strip("/")
        return cls(
            function,
            Template.parse(f"{prefix}/{route}" if prefix else route),
            frozenset(method.upper() for method in function.trigger.get("methods") or ()),
            str(function.trigger.get("authLevel") or "FUNCTION").lower(),
            disabled,
        )


class WebHost:
    """Answers every request that reaches the port."""

    def __init__(
        self,
        functions: Sequence[LoadedFunction],
        routes: Sequence[Route],
        *,
        invoker: Invoker,
        keys: Keys,
        settings: HttpSettings,
        app_settings: Mapping[str, str],
    ) -> None:
        """Set up the endpoints.

        Args:
            functions: All functions that are not disabled.
            routes: The HTTP functions in the order in which they are tried.
            invoker: Runs functions.
            keys: Who may call what.
            settings: ``extensions.http`` of host.json.
            app_settings: The app settings.
        """
        self._functions = {function.name: function for function in functions}
        self._routes = routes
        self._invoker = invoker
        self._keys = keys
        self._settings = settings
        self._home = app_settings.get("AzureWebJobsDisableHomepage", "").lower() not in {"true", "1"}
        self._started = time.monotonic()
        self._outstanding = 0
        self._slots = asyncio.Semaphore(settings.max_concurrent) if settings.max_concurrent > 0 else None
        self._by_hand: set[asyncio.Task[Any]] = set()
        grid = {name: function for name, function in self._functions.items() if function.kind == EVENT_GRID}
        self._event_grid = EventGridEndpoint(grid, invoker)

    def application(self) -> web.Application:
        """Make the aiohttp application that serves the host."""
        application = web.Application(client_max_size=BODY_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def settle(self, limit: float) -> None:
        """Wait at most ``limit`` seconds for functions started through the admin endpoint."""
        if self._by_hand:
            await asyncio.wait(self._by_hand, timeout=limit)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        lowered = path.lower().rstrip("/")
        try:
            if lowered == _WEBHOOK:
                return await self._webhook(request)
            if lowered.startswith("/admin/"):
                return await self._admin(request, path.strip("/").split("/")[1:])
            return await self._http(request, path)
        except web.HTTPException as refusal:
            return web.Response(status=refusal.status)
        except Exception:
            log.exception("%s %s could not be answered", request.method, path)
            return web.Response(status=500)

    def _key(self, request: web.Request, function: str | None = None) -> tuple[Level, str] | None:
        given = request.headers.get(_KEY_HEADER)
        if given is None:
            pairs = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
            given = next((value for name, value in pairs if name.lower() == _KEY_PARAMETER), None)
        return self._keys.level(given, function)

    # HTTP functions -------------------------------------------------------------------------------------------------

    async def _http(self, request: web.Request, path: str) -> web.Response:
        for route in self._routes:
            values = route.template.match(path)
            if values is not None and (not route.methods or request.method in route.methods):
                return await self._guarded(request, route, values)
        if path == "/":
            return web.Response(text=_HOME, content_type="text/html") if self._home else web.Response(status=204)
        return web.Response(status=404)

    async def _guarded(self, request: web.Request, route: Route, values: Mapping[str, str]) -> web.Response:
        presented = self._key(request, route.function.name)
        level = presented[0] if presented else None
        if route.level in _OPENS and level not in _OPENS[route.level]:
            return web.Response(status=401)
        if route.disabled and level is not Level.MASTER:
            return web.Response(status=404)
        if (request.content_length or 0) > BODY_LIMIT:
            return web.Response(status=413)
        if 0 <= self._settings.max_outstanding <= self._outstanding:
            return web.Response(status=429)
        self._outstanding += 1
        try:
            if self._slots is None:
                return await self._run(request, route, values)
            async with self._slots:
                return await self._run(request, route, values)
        finally:
            self._outstanding -= 1

    async def _run(self, request: web.Request, route: Route, values: Mapping[str, str]) -> web.Response:
        call = Call(
            await _request_datum(request, values),
            trace_parent=request.headers.get("traceparent"),
            trace_state=request.headers.get("tracestate", ""),
        )
        outcome = await self._invoker.run(route.function, call)
        return web.Response(status=500) if outcome.value is None else _response(outcome.value)

    # Event Grid and admin -------------------------------------------------------------------------------------------

    async def _webhook(self, request: web.Request) -> web.Response:
        if request.method not in EVENT_GRID_METHODS:
            return web.Response(status=405)
        refusal = _refusal(self._key(request), {(Level.SYSTEM, EVENT_GRID_KEY), (Level.MASTER, "master")})
        return refusal or await self._event_grid.answer(request)

    async def _admin(self, request: web.Request, path: list[str]) -> web.Response:
        action = (request.method, *(part.lower() for part in path[:2]), len(path))
        if action in {("GET", "host", "ping", 2), ("POST", "host", "ping", 2)}:
            return web.Response()
        refusal = _refusal(self._key(request), {(Level.MASTER, "master")})
        if refusal is not None:
            return refusal
        if action == ("GET", "host", "status", 2):
            return web.json_response(self._status())
        if action == ("GET", "functions", 1):
            return web.json_response([self._described(function) for function in self._functions.values()])
        if path[0].lower() == "functions" and len(path) == 2:  # noqa: PLR2004 admin/functions/NAME
            return await self._run_by_hand(request, path[1])
        return web.Response(status=404)

    def _status(self) -> dict[str, Any]:
        return {
            "id": "devhost",
            "state": "Running",
            "version": "4",
            "processUptime": int((time.monotonic() - self._started) * 1000),
        }

    def _described(self, function: LoadedFunction) -> dict[str, Any]:
        return {"name": function.name, "language": "python", "config": {"bindings": [dict(function.trigger)]}}

    async def _run_by_hand(self, request: web.Request, name: str) -> web.Response:
        found = {known.lower(): function for known, function in self._functions.items()}.get(name.lower())
        if found is None:
            return web.Response(status=404)
        if request.method == "GET":
            return web.json_response(self._described(found))
        if request.method != "POST":
            return web.Response(status=405)
        text = await _input(request)
        if text is None or found.kind == HTTP:
            return web.Response(status=400)
        task = asyncio.create_task(self._invoker.run(found, _call_by_hand(found, text)))
        self._by_hand.add(task)
        task.add_done_callback(self._by_hand.discard)
        return web.Response(status=202)


def _refusal(presented: tuple[Level, str] | None, accepted: set[tuple[Level, str]]) -> web.Response | None:
    if presented is None:
        return web.Response(status=401)
    return None if presented in accepted else web.Response(status=403)


def _query(request: web.Request) -> dict[str, str]:
    """Read the query as ASP.NET does: names match in any case, repeats are joined, empty values are dropped."""
    joined: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for name, value in parse_qsl(request.rel_url.raw_query_string, keep_blank_values=False):
        own = spelled.setdefault(name.lower(), name)
        joined[own] = f"{joined[own]},{value}" if own in joined else value
    return joined


def _headers(request: web.Request) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in request.headers.items():
        low = name.lower()
        joined[low] = f"{joined[low]},{value}" if low in joined else value
    return joined


async def _request_datum(request: web.Request, values: Mapping[str, str]) -> Datum:
    # The host passes the body on only when a length is announced; a chunked body stays behind.
    body = await request.read() if (request.content_length or 0) > 0 else b""
    raw = request.raw_path
    target = raw if raw.startswith("/") else str(request.rel_url)
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(f"http://{request.host}{target}", "string"),
            "headers": {name: Datum(value, "string") for name, value in _headers(request).items()},
            "query": {name: Datum(value, "string") for name, value in _query(request).items()},
            "params": {name: Datum(value, "string") for name, value in values.items()},
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def _response(value: Datum) -> web.Response:
    if value.type == "string":
        return web.Response(text=value.value)
    parts = value.value
    response = web.Response(status=int(parts["status_code"].value), body=parts["body"].value)
    for name, header in parts["headers"].items():
        if name.lower() not in _NOT_OURS:
            response.headers[name] = header.value
    for cookie in parts["cookies"] or ():
        for morsel in cookie.values():
            response.headers.add("Set-Cookie", morsel.OutputString())
    return response


async def _input(request: web.Request) -> str | None:
    try:
        document = json.loads(await request.text())
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    given = document.get("input", "")
    return given if isinstance(given, str) else json.dumps(given)


def _call_by_hand(function: LoadedFunction, text: str) -> Call:
    if function.kind == QUEUE:
        return Call(Datum(text, "string"))
    if function.kind == EVENT_GRID:
        return Call(Datum(text, "json"))
    return Call(timer_by_hand())
