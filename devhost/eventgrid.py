"""The Event Grid endpoint ``/runtime/webhooks/EventGrid``.

After ``EventGridExtensionConfigProvider`` and ``HttpRequestProcessor`` of
https://github.com/Azure/azure-sdk-for-net/tree/main/sdk/eventgrid/Microsoft.Azure.WebJobs.Extensions.EventGrid.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from azure.functions.meta import Datum

from devhost.invoke import Call, Invoker
from devhost.loading import LoadedFunction

METHODS = frozenset({"GET", "POST", "DELETE", "OPTIONS"})
"""What the endpoint answers; anything else is 405."""

_EVENT_TYPE = "aeg-event-type"


class EventGridEndpoint:
    """Answers Event Grid: the handshakes, and batches of events."""

    def __init__(self, functions: Mapping[str, LoadedFunction], invoker: Invoker) -> None:
        """Serve the Event Grid functions among ``functions``, by exact name."""
        self._functions = functions
        self._invoker = invoker

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a request whose key has been checked.

        Returns:
            200 for a handshake, 202 when every event was handled, 500 when one was not: Event Grid then sends the whole
            batch again. 404 for an unknown function, 400 for an unknown kind of request.
        """
        name = request.query.get("functionName", "")
        function = self._functions.get(name)
        if function is None:
            return web.Response(status=404, text=f"cannot find function: '{name}'")
        if request.method == "OPTIONS":
            return _cloud_events_handshake(request)
        kind = request.headers.get(_EVENT_TYPE, "").lower()
        if kind == "unsubscribe":
            return web.Response(status=202)
        if kind not in {"subscriptionvalidation", "notification"}:
            return web.Response(status=400)
        document = json.loads(await request.text())
        if kind == "subscriptionvalidation":
            return _handshake(document)
        return await self._notify(function, document if isinstance(document, list) else [document])

    async def _notify(self, function: LoadedFunction, events: list[Any]) -> web.Response:
        calls = [Call(Datum(json.dumps(event), "json")) for event in events]
        outcomes = await asyncio.gather(*(self._invoker.run(function, call) for call in calls))
        if any(outcome.error for outcome in outcomes):
            # The host wraps whatever the function raised; only this outer text reaches Event Grid.
            return web.Response(status=500, text=f"Exception while executing function: Functions.{function.name}")
        return web.Response(status=202)


def _handshake(document: Any) -> web.Response:
    # https://learn.microsoft.com/azure/event-grid/end-point-validation-event-grid-events-schema
    data = (document[0] if isinstance(document, list) else document)["data"]
    if isinstance(data, str):
        data = json.loads(data)
    return web.json_response({"validationResponse": str(data["validationCode"])})


def _cloud_events_handshake(request: web.Request) -> web.Response:
    # https://learn.microsoft.com/azure/event-grid/end-point-validation-cloud-events-schema
    origin = request.headers.get("WebHook-Request-Origin")
    if origin is None:
        return web.Response(status=400)
    headers = {"WebHook-Allowed-Origin": origin}
    rate = request.headers.get("WebHook-Request-Rate")
    return web.Response(headers=headers | ({"WebHook-Allowed-Rate": rate} if rate else {}))
