"""The HTTP side of the host: HTTP functions, the Event Grid endpoint, the admin endpoints and the home page."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl

from aiohttp import web

from devhost.admin import AdminEndpoint
from devhost.eventgrid import METHODS as EVENT_GRID_METHODS
from devhost.eventgrid import EventGridEndpoint
from devhost.invoke import Call, Invoker
from devhost.keys import EVENT_GRID_KEY, Keys, Level
from devhost.loading import EVENT_GRID, LoadedFunction
from devhost.routes import Template
from devhost.settings import HttpSettings
from devhost.translate import request_datum, response_of

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
        self._outstanding = 0
        self._slots = asyncio.Semaphore(settings.max_concurrent) if settings.max_concurrent > 0 else None
        grid = {name: function for name, function in self._functions.items() if function.kind == EVENT_GRID}
        self._event_grid = EventGridEndpoint(grid, invoker)
        self._admin = AdminEndpoint(functions, invoker)

    def application(self) -> web.Application:
        """Make the aiohttp application that serves the host."""
        application = web.Application(client_max_size=BODY_LIMIT)
        application.router.add_route("*", "/{path:.*}", self._answer)
        return application

    async def settle(self, limit: float) -> None:
        """Wait at most ``limit`` seconds for functions started through the admin endpoint."""
        await self._admin.settle(limit)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path
        lowered = path.lower().rstrip("/")
        try:
            if lowered == _WEBHOOK:
                return await self._webhook(request)
            if lowered.startswith("/admin/"):
                return await self._manage(request, path.strip("/").split("/")[1:])
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
            await request_datum(request, values),
            trace_parent=request.headers.get("traceparent"),
            trace_state=request.headers.get("tracestate", ""),
        )
        outcome = await self._invoker.run(route.function, call)
        return web.Response(status=500) if outcome.value is None else response_of(outcome.value)

    # Event Grid and admin -------------------------------------------------------------------------------------------

    async def _webhook(self, request: web.Request) -> web.Response:
        if request.method not in EVENT_GRID_METHODS:
            return web.Response(status=405)
        refusal = _refusal(self._key(request), {(Level.SYSTEM, EVENT_GRID_KEY), (Level.MASTER, "master")})
        return refusal or await self._event_grid.answer(request)

    async def _manage(self, request: web.Request, path: list[str]) -> web.Response:
        if AdminEndpoint.is_open(request, path):
            return web.Response()
        return _refusal(self._key(request), {(Level.MASTER, "master")}) or await self._admin.answer(request, path)


def _refusal(presented: tuple[Level, str] | None, accepted: set[tuple[Level, str]]) -> web.Response | None:
    if presented is None:
        return web.Response(status=401)
    return None if presented in accepted else web.Response(status=403)
