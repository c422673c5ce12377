"""The control API for ACS alone: resources and their event subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.eventgrid import HandshakeError, Subscription
from sandbox.vendor import ControlError, Route, json_response
from sandbox.vendors.acs.records import Resource, public_resource, public_subscription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.acs.vendor import AcsVendor


class AcsControl:
    """Manages what ACS's customers would manage in the portal.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: AcsVendor) -> None:
        self._vendor = vendor

    def routes(self) -> Sequence[Route]:
        """Manage resources and event subscriptions."""
        base = "/sandbox/acs/resources"
        return [
            Route("GET", base, self._list_resources),
            Route("POST", base, self._put_resource),
            Route("DELETE", base + "/{resource}", self._delete_resource),
            Route("GET", base + "/{resource}/subscriptions", self._list_subscriptions),
            Route("POST", base + "/{resource}/subscriptions", self._subscribe),
            Route("DELETE", base + "/{resource}/subscriptions/{subscription}", self._unsubscribe),
            Route("GET", base + "/{resource}/dead-letters", self._dead_letters),
            Route("GET", "/sandbox/acs/validate", self._validate),
        ]

    async def _list_resources(self, _request: web.Request) -> web.Response:
        return json_response([public_resource(entry) for entry in self._vendor.resources])

    async def _put_resource(self, request: web.Request) -> web.Response:
        resource = Resource.model_validate_json(await request.read())
        self._vendor.resources.put(resource.name, resource)
        return json_response(public_resource(resource), status=201)

    async def _delete_resource(self, request: web.Request) -> web.Response:
        name = self._known_resource(request)
        self._vendor.resources.remove(name)
        for subscription in self._vendor.grid.subscriptions:
            if subscription.source == name:
                self._vendor.grid.subscriptions.remove(subscription.key)
        return web.Response(status=204)

    async def _list_subscriptions(self, request: web.Request) -> web.Response:
        name = self._known_resource(request)
        return json_response(
            [public_subscription(entry) for entry in self._vendor.grid.subscriptions if entry.source == name]
        )

    async def _subscribe(self, request: web.Request) -> web.Response:
        name = self._known_resource(request)
        asked = Subscription.model_validate({**await request.json(), "source": name})
        try:
            subscription = await self._vendor.grid.subscribe(asked)
        except HandshakeError as error:
            raise ControlError(f"Webhook validation handshake failed: {error}") from error
        return json_response(public_subscription(subscription), status=201)

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        key = f"{self._known_resource(request)}/{request.match_info['subscription']}"
        if self._vendor.grid.subscriptions.remove(key) is None:
            raise web.HTTPNotFound
        return web.Response(status=204)

    async def _dead_letters(self, request: web.Request) -> web.Response:
        prefix = f"{self._known_resource(request)}/"
        return json_response(
            [entry for entry in self._vendor.grid.dead_letters if entry["subscription"].startswith(prefix)]
        )

    async def _validate(self, request: web.Request) -> web.Response:
        if not self._vendor.grid.validate(request.query.get("id", "")):
            raise web.HTTPNotFound
        return web.Response(text="Webhook successfully validated as a subscription endpoint")

    def _known_resource(self, request: web.Request) -> str:
        name = request.match_info["resource"]
        if name not in self._vendor.resources:
            raise web.HTTPNotFound
        return name
