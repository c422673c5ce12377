"""The control API for LINK alone: what its support would do for a customer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.vendor import ControlError, Route, json_response
from sandbox.vendors.linkmobility.records import (
    Account,
    Gate,
    KeywordRoute,
    Number,
    public_account,
    public_gate,
)
from sandbox.vendors.linkmobility.wire import short_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.linkmobility.vendor import LinkMobilityVendor


class LinkMobilityControl:
    """Makes logins, numbers, gates and keyword routes; each POST creates or replaces.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: LinkMobilityVendor) -> None:
        self._vendor = vendor

    def routes(self) -> Sequence[Route]:
        """Manage accounts, numbers, gates and keyword routes."""
        base = "/sandbox/linkmobility/accounts"
        one = base + "/{account}"
        return [
            Route("GET", base, self._list_accounts),
            Route("POST", base, self._put_account),
            Route("DELETE", one, self._delete_account),
            Route("GET", one + "/numbers", self._list_numbers),
            Route("POST", one + "/numbers", self._put_number),
            Route("DELETE", one + "/numbers/{number}", self._delete_number),
            Route("GET", one + "/gates", self._list_gates),
            Route("POST", one + "/gates", self._put_gate),
            Route("DELETE", one + "/gates/{gate}", self._delete_gate),
            Route("GET", one + "/keywords", self._list_keywords),
            Route("POST", one + "/keywords", self._put_keyword),
            Route("DELETE", one + "/keywords/{keyword}", self._delete_keyword),
        ]

    async def _list_accounts(self, _request: web.Request) -> web.Response:
        return json_response([public_account(account) for account in self._vendor.accounts])

    async def _put_account(self, request: web.Request) -> web.Response:
        account = Account.model_validate_json(await request.read())
        self._vendor.accounts.put(account.username, account)
        return json_response(public_account(account), status=201)

    async def _delete_account(self, request: web.Request) -> web.Response:
        """Take out an account with its numbers, gates and routes."""
        account = self._known(request)
        for keyword in self._keywords(account):
            self._vendor.keywords.remove(keyword.id)
        for gate in self._gates(account):
            self._vendor.gates.remove(gate.id)
        for number in self._numbers(account):
            self._vendor.numbers.remove(number.number)
        self._vendor.accounts.remove(account.username)
        return web.Response(status=204)

    async def _list_numbers(self, request: web.Request) -> web.Response:
        return json_response([number.model_dump() for number in self._numbers(self._known(request))])

    async def _put_number(self, request: web.Request) -> web.Response:
        account = self._known(request)
        number = Number.model_validate({**await request.json(), "account": account.username})
        owner = self._vendor.numbers.get(number.number)
        if owner is not None and owner.account != account.username:
            raise ControlError(f"{number.number} belongs to another account")
        self._vendor.numbers.put(number.number, number)
        return json_response(number.model_dump(), status=201)

    async def _delete_number(self, request: web.Request) -> web.Response:
        number = self._vendor.numbers.get(request.match_info["number"])
        if number is None or number.account != self._known(request).username:
            raise web.HTTPNotFound
        self._vendor.numbers.remove(number.number)
        return web.Response(status=204)

    async def _list_gates(self, request: web.Request) -> web.Response:
        return json_response([public_gate(gate) for gate in self._gates(self._known(request))])

    async def _put_gate(self, request: web.Request) -> web.Response:
        """Make a gate under an id of one's own, or one that is drawn; support may leave its destinations for later."""
        account = self._known(request)
        gate = Gate.model_validate({**await request.json(), **_platform(account)})
        known = self._vendor.gates.get(gate.id)
        if known is not None and self._vendor.gate_of(account, gate.id) is None:
            raise ControlError(f"the gate {gate.id} belongs to another account")
        made = gate.model_copy(update={"id": gate.id or short_id(self._vendor.world.ids)})
        self._vendor.gates.put(made.id, made)
        return json_response(public_gate(made), status=201)

    async def _delete_gate(self, request: web.Request) -> web.Response:
        gate = self._vendor.gate_of(self._known(request), request.match_info["gate"])
        if gate is None:
            raise web.HTTPNotFound
        self._vendor.gates.remove(gate.id)
        return web.Response(status=204)

    async def _list_keywords(self, request: web.Request) -> web.Response:
        return json_response([route.model_dump(by_alias=True) for route in self._keywords(self._known(request))])

    async def _put_keyword(self, request: web.Request) -> web.Response:
        """Make a route under an id of one's own, or one that is drawn."""
        account = self._known(request)
        route = KeywordRoute.model_validate({**await request.json(), **_platform(account)})
        if self._vendor.numbers.get(route.number) not in self._numbers(account):
            raise ControlError(f"{route.number} is no number of this account")
        missing = [gate for gate in route.gate_ids if self._vendor.gate_of(account, gate) is None]
        if missing:
            raise ControlError(f"no gates of this account: {', '.join(missing)}")
        made = route.model_copy(
            update={
                "id": route.id or short_id(self._vendor.world.ids),
                "keyword": route.keyword and route.keyword.upper(),
            }
        )
        self._vendor.keywords.put(made.id, made)
        return json_response(made.model_dump(by_alias=True), status=201)

    async def _delete_keyword(self, request: web.Request) -> web.Response:
        route = self._vendor.keywords.get(request.match_info["keyword"])
        if route is None or route not in self._keywords(self._known(request)):
            raise web.HTTPNotFound
        self._vendor.keywords.remove(route.id)
        return web.Response(status=204)

    def _known(self, request: web.Request) -> Account:
        account = self._vendor.accounts.get(request.match_info["account"])
        if account is None:
            raise web.HTTPNotFound
        return account

    def _numbers(self, account: Account) -> list[Number]:
        return [number for number in self._vendor.numbers if number.account == account.username]

    def _gates(self, account: Account) -> list[Gate]:
        return [gate for gate in self._vendor.gates if self._vendor.gate_of(account, gate.id) is not None]

    def _keywords(self, account: Account) -> list[KeywordRoute]:
        numbers = {number.number for number in self._numbers(account)}
        return [route for route in self._vendor.keywords if route.number in numbers]


def _platform(account: Account) -> dict[str, Any]:
    return {"platformId": account.platform_id, "platformPartnerId": account.platform_partner_id}
