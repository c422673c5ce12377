"""Puts the pieces together: one app, one port, its queues and its timers."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Self

import azure.functions as func
from aiohttp import web

from devhost.clock import Clock, SystemClock
from devhost.invoke import Invoker
from devhost.keys import Keys
from devhost.loading import HTTP, QUEUE, TIMER, LoadedFunction, LoadError, load_functions
from devhost.queues import LEASE, QueueListener
from devhost.routes import TemplateError
from devhost.schedule import ScheduleError, parse_schedule
from devhost.settings import HostSettings, SettingsError, resolve_names
from devhost.timers import TableMonitor, TimerListener
from devhost.web import Route, WebHost
from functions.storage.ports import Queues, Tables

log = logging.getLogger("devhost")

DEFAULT_PORT = 7071
"""The port of Azure Functions Core Tools."""


class DevHost:
    """Runs a ``FunctionApp`` in this process and loop.

    The app is read and checked when the object is made, so that what the real worker would refuse is refused before
    anything listens.
    """

    def __init__(
        self,
        app: func.FunctionApp,
        *,
        host_json: Mapping[str, Any],
        settings: Mapping[str, str],
        queues: Queues,
        keys: Keys,
        tables: Tables | None = None,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        clock: Clock | None = None,
        lease: float = LEASE,
        stop_limit: float = 30.0,
    ) -> None:
        """Load the app.

        Args:
            app: The app, as function_app.py has it.
            host_json: The content of host.json.
            settings: The app settings, for ``%NAME%`` and the host's own switches; the app reads the environment.
            queues: Where queue triggers receive from.
            keys: The access keys.
            tables: Where the status of timers is kept; without it a time missed while the host was down stays missed.
            host: The address to listen on.
            port: The port, 0 for any that is free.
            clock: Time for timers and queue polling; the machine's by default.
            lease: Seconds a received queue message stays hidden; the real host's are fixed at 600.
            stop_limit: Seconds that ``stop`` lets running functions take.

        Raises:
            LoadError: The real worker or host would refuse the app.
            SettingsError: host.json has a value that the host would refuse.
        """
        self.functions: Sequence[LoadedFunction] = load_functions(app)
        self.settings = HostSettings.parse(host_json, settings)
        self._app_settings = dict(settings)
        self._address = host
        self._port = port
        self._clock = clock or SystemClock()
        self._lease = lease
        self._stop_limit = stop_limit
        self._queues = queues
        self._monitor = TableMonitor(tables) if tables is not None else None
        self._keys = keys
        self._routes = self._read_routes()
        self._check_triggers()
        self._invoker = Invoker(timeout=self.settings.function_timeout, settings=settings)
        self._listeners: list[QueueListener | TimerListener] = []
        self._runner: web.AppRunner | None = None
        self._web: WebHost | None = None

    @property
    def executions(self) -> Counter[str]:
        """How often each function was run, by name."""
        return self._invoker.executions

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._port

    @property
    def url(self) -> str:
        """The address of the host, without a slash at the end."""
        shown = f"[{self._address}]" if ":" in self._address else self._address
        return f"http://{shown}:{self._port}"

    async def start(self) -> None:
        """Listen, poll and keep time.

        Raises:
            OSError: The port is in use.
        """
        active = [function for function in self.functions if not self._is_disabled(function)]
        self._web = WebHost(
            active,
            self._routes,
            invoker=self._invoker,
            keys=self._keys,
            settings=self.settings.http,
            app_settings=self._app_settings,
        )
        self._runner = web.AppRunner(self._web.application(), access_log=None, shutdown_timeout=self._stop_limit)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address, self._port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        self._listeners = [listener for function in active for listener in self._listeners_of(function)]
        for listener in self._listeners:
            listener.start()
        log.info("%d functions at %s", len(self.functions), self.url)

    async def stop(self) -> None:
        """Take nothing new, let what runs end within the limit, and close."""
        await asyncio.gather(*(listener.stop(self._stop_limit) for listener in self._listeners))
        self._listeners = []
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._web is not None:
            await self._web.settle(self._stop_limit)
            self._web = None
        self._invoker.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _is_disabled(self, function: LoadedFunction) -> bool:
        # https://learn.microsoft.com/azure/azure-functions/disable-function
        names = (f"AzureWebJobs.{function.name}.Disabled", f"AzureWebJobs_{function.name}_Disabled")
        return any(self._app_settings.get(name, "").lower() in {"true", "1"} for name in names)

    def _read_routes(self) -> list[Route]:
        routes = []
        for function in self.functions:
            if function.kind == HTTP:
                try:
                    route = Route.of(function, self.settings.http.route_prefix, disabled=self._is_disabled(function))
                except TemplateError as error:
                    raise LoadError(f"function {function.name}: {error}") from error
                routes.append(route)
        for one, other in itertools.combinations(routes, 2):
            same = one.template.text.lower() == other.template.text.lower()
            if same and (not one.methods or not other.methods or one.methods & other.methods):
                raise LoadError(
                    f"functions {one.function.name} and {other.function.name} have the same route "
                    f"{one.template.text!r}; the host drops the second, so change one or part them by method"
                )
        return routes

    def _check_triggers(self) -> None:
        for function in self.functions:
            try:
                if function.kind == QUEUE:
                    self._queue_name(function)
                elif function.kind == TIMER:
                    parse_schedule(self._resolved(function, "schedule"))
            except (SettingsError, ScheduleError) as error:
                raise LoadError(f"function {function.name}: {error}") from error

    def _resolved(self, function: LoadedFunction, name: str) -> str:
        return resolve_names(str(function.trigger[name]), self._app_settings, f"{function.name} {name}")

    def _queue_name(self, function: LoadedFunction) -> str:
        # The host lowers queue names, since Azure Storage has none with capitals.
        return self._resolved(function, "queueName").lower()

    def _listeners_of(self, function: LoadedFunction) -> list[QueueListener | TimerListener]:
        if function.kind == QUEUE:
            return [
                QueueListener(
                    function,
                    self._queue_name(function),
                    queues=self._queues,
                    invoker=self._invoker,
                    settings=self.settings.queues,
                    clock=self._clock,
                    lease=self._lease,
                )
            ]
        if function.kind == TIMER:
            schedule = parse_schedule(self._resolved(function, "schedule"))
            return [TimerListener(function, schedule, invoker=self._invoker, clock=self._clock, monitor=self._monitor)]
        return []
