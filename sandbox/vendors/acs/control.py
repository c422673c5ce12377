"""The control API for ACS alone: resources and their event subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.accounts import Accounts, listed
from sandbox.eventgrid import HandshakeError, Subscription, public_subscription
from sandbox.vendor import ControlError, Route, json_object, json_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.acs.records import Resource
    from sandbox.vendors.acs.vendor import AcsVendor


class AcsControl:
    """Manages what ACS's customers would manage in the portal.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: AcsVendor) -> None:
        self._grid = vendor.grid
        self._resources = Accounts("/sandbox/acs/resources", vendor.resources, let_go=self._unsubscribe_all)

    def routes(self) -> Sequence[Route]:
        """Manage resources and event subscriptions."""
        subscriptions = self._resources.one + "/subscriptions"
        return [
            *self._resources.routes(),
            Route("GET", subscriptions, self._list_subscriptions),
            Route("POST", subscriptions, self._subscribe),
            Route("DELETE", subscriptions + "/{subscription}", self._unsubscribe),
            Route("GET", self._resources.one + "/dead-letters", self._dead_letters),
            Route("GET", "/sandbox/acs/validate", self._validate),
        ]

    async def _list_subscriptions(self, request: web.Request) -> web.Response:
        name = self._resources.name_in(request)
        return listed(self._grid.subscriptions, self._grid.subscriptions.having(source=name))

    async def _subscribe(self, request: web.Request) -> web.Response:
        name = self._resources.name_in(request)
        asked = Subscription.model_validate({**await json_object(request), "source": name})
        try:
            subscription = await self._grid.subscribe(asked)
        except HandshakeError as error:
            raise ControlError(f"Webhook validation handshake failed: {error}") from error
        return json_response(public_subscription(subscription), status=201)

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        key = f"{self._resources.name_in(request)}/{request.match_info['subscription']}"
        if self._grid.subscriptions.remove(key) is None:
            raise web.HTTPNotFound
        return web.Response(status=204)

    async def _dead_letters(self, request: web.Request) -> web.Response:
        prefix = f"{self._resources.name_in(request)}/"
        return json_response([entry for entry in self._grid.dead_letters if entry["subscription"].startswith(prefix)])

    async def _validate(self, request: web.Request) -> web.Response:
        if not self._grid.validate(request.query.get("id", "")):
            raise web.HTTPNotFound
        return web.Response(text="Webhook successfully validated as a subscription endpoint")

    def _unsubscribe_all(self, resource: Resource) -> None:
        self._grid.subscriptions.remove_having(source=resource.name)
