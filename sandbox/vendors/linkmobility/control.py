"""The control API for LINK alone: what its support would do for a customer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.accounts import Accounts, Numbers, listed, made
from sandbox.vendor import ControlError, Route, json_object
from sandbox.vendors.linkmobility.records import Gate, KeywordRoute
from sandbox.vendors.linkmobility.wire import short_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.linkmobility.records import Account
    from sandbox.vendors.linkmobility.vendor import LinkMobilityVendor


class LinkMobilityControl:
    """Makes logins, numbers, gates and keyword routes; each POST creates or replaces.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: LinkMobilityVendor) -> None:
        self._vendor = vendor
        self._accounts = Accounts(
            "/sandbox/linkmobility/accounts", vendor.accounts, [vendor.numbers], let_go=self._take_out_set_up
        )

    def routes(self) -> Sequence[Route]:
        """Manage accounts, numbers, gates and keyword routes."""
        gates, keywords = self._accounts.one + "/gates", self._accounts.one + "/keywords"
        return [
            *self._accounts.routes(),
            *Numbers(self._accounts, self._vendor.numbers).routes(),
            Route("GET", gates, self._list_gates),
            Route("POST", gates, self._put_gate),
            Route("DELETE", gates + "/{gate}", self._delete_gate),
            Route("GET", keywords, self._list_keywords),
            Route("POST", keywords, self._put_keyword),
            Route("DELETE", keywords + "/{keyword}", self._delete_keyword),
        ]

    def _take_out_set_up(self, account: Account) -> None:
        """Take out the gates and routes of an account."""
        for keyword in self._keywords(account):
            self._vendor.keywords.remove(keyword.id)
        self._vendor.gates.remove_having(**_platform(account))

    async def _list_gates(self, request: web.Request) -> web.Response:
        account = self._accounts.known(request)
        return listed(self._vendor.gates, self._vendor.gates.having(**_platform(account)))

    async def _put_gate(self, request: web.Request) -> web.Response:
        """Make a gate under an id of one's own, or one that is drawn; support may leave its destinations for later."""
        account = self._accounts.known(request)
        gate = Gate.model_validate(await _asked(request, account))
        if gate.id in self._vendor.gates and self._vendor.gate_of(account, gate.id) is None:
            raise ControlError(f"the gate {gate.id} belongs to another account")
        return made(self._vendor.gates, gate.model_copy(update={"id": gate.id or short_id(self._vendor.world.ids)}))

    async def _delete_gate(self, request: web.Request) -> web.Response:
        gate = self._vendor.gate_of(self._accounts.known(request), request.match_info["gate"])
        if gate is None:
            raise web.HTTPNotFound
        self._vendor.gates.remove(gate.id)
        return web.Response(status=204)

    async def _list_keywords(self, request: web.Request) -> web.Response:
        return listed(self._vendor.keywords, self._keywords(self._accounts.known(request)))

    async def _put_keyword(self, request: web.Request) -> web.Response:
        """Make a route under an id of one's own, or one that is drawn."""
        account = self._accounts.known(request)
        route = KeywordRoute.model_validate(await _asked(request, account))
        if not self._vendor.numbers.having(number=route.number, account=account.username):
            raise ControlError(f"{route.number} is no number of this account")
        missing = [gate for gate in route.gate_ids if self._vendor.gate_of(account, gate) is None]
        if missing:
            raise ControlError(f"no gates of this account: {', '.join(missing)}")
        own = {
            "id": route.id or short_id(self._vendor.world.ids),
            "keyword": route.keyword and route.keyword.upper(),
        }
        return made(self._vendor.keywords, route.model_copy(update=own))

    async def _delete_keyword(self, request: web.Request) -> web.Response:
        route = self._vendor.keywords.get(request.match_info["keyword"])
        if route is None or route not in self._keywords(self._accounts.known(request)):
            raise web.HTTPNotFound
        self._vendor.keywords.remove(route.id)
        return web.Response(status=204)

    def _keywords(self, account: Account) -> list[KeywordRoute]:
        numbers = {number.number for number in self._vendor.numbers.having(account=account.username)}
        return [route for route in self._vendor.keywords if route.number in numbers]


def _platform(account: Account) -> dict[str, Any]:
    return {"platform_id": account.platform_id, "platform_partner_id": account.platform_partner_id}


async def _asked(request: web.Request, account: Account) -> dict[str, Any]:
    """Read a body, as meant for the customer on whose platform the account is."""
    platform = {"platformId": account.platform_id, "platformPartnerId": account.platform_partner_id}
    return {**await json_object(request), **platform}
