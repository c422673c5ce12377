"""A running gateway in this process: the app on the dev host, over whichever storage is handed in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import azure.functions as func

import function_app
from devhost.host import DEFAULT_PORT, DevHost
from devhost.keys import Keys
from devhost.settings import read_host_json
from functions import app as composition
from functions.gateway.clock import Clock, utc_now
from functions.gateway.telemetry import Telemetry
from functions.gateway.timing import Timing
from functions.settings import Settings
from functions.storage.ports import Storage

ROOT = Path(function_app.__file__).parent


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, read."""

    status: int
    body: Any
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs, and a client that talks to it over HTTP."""

    host: DevHost
    application: composition.Application
    keys: Keys
    session: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """The address, without ``/api``."""
        return self.host.url

    async def call(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Call the API with the master key.

        Args:
            method: The HTTP method.
            path: The path behind ``/api``.
            body: What to send as JSON.
            headers: More headers.
        """
        sent = {"x-functions-key": self.keys.master} | dict(headers or {})
        async with self.session.request(method, f"{self.url}/api{path}", json=body, headers=sent) as response:
            text = await response.text()
            is_json = "json" in response.content_type and text
            return Answer(response.status, await response.json() if is_json else text, response.headers.copy())

    def events_url(self, function: str) -> str:
        """Return where Event Grid posts the events for a function."""
        key = self.keys.system["eventgrid_extension"]
        return f"{self.url}/runtime/webhooks/EventGrid?functionName={function}&code={key}"


@asynccontextmanager
async def running_gateway(
    storage: Storage,
    *,
    port: int = DEFAULT_PORT,
    keys: Keys | None = None,
    settings: Callable[[str], Settings],
    app: func.FunctionApp = function_app.app,
    clock: Clock = utc_now,
    host_json: Mapping[str, Any] | None = None,
    lease: float = 600.0,
    telemetry: Telemetry | None = None,
    timing: Timing = Timing(),  # noqa: B008 - it never changes
) -> AsyncIterator[Gateway]:
    """Run the gateway.

    Args:
        storage: The ports; whoever opened them closes them.
        port: Where to listen; 0 for a free port.
        keys: The access keys; fresh ones when left out.
        settings: Makes the app settings from the address that the gateway got.
        app: The functions.
        clock: The time now, in UTC.
        host_json: The host's settings; the app's own when left out.
        lease: Seconds for which a received queue message is hidden.
        telemetry: What is told of all it does; nothing when left out. Whoever opened it closes it.
        timing: How long the gateway waits for what.
    """
    keys = keys or Keys.fresh()
    host = DevHost(
        app,
        host_json=host_json or read_host_json(ROOT),
        settings={},
        queues=storage.queues,
        tables=storage.tables,
        keys=keys,
        port=port,
        lease=lease,
    )
    await host.start()
    application = composition.build(settings(host.url), storage, clock=clock, telemetry=telemetry, timing=timing)
    composition.install(application)
    try:
        async with aiohttp.ClientSession() as session:
            yield Gateway(host, application, keys, session)
    finally:
        await host.stop()
        composition.install(None)
        await application.close()
