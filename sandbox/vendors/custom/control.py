"""The control API for 46elks alone: accounts and numbers, as its dashboard has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.vendor import ControlError, Route, json_response
from sandbox.vendors.custom.records import Account, Number, public_account, public_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.custom.vendor import CustomVendor


class CustomControl:
    """Manages accounts and numbers; each POST creates or replaces.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: CustomVendor) -> None:
        self._vendor = vendor

    def routes(self) -> Sequence[Route]:
        """Manage accounts and numbers."""
        base = "/sandbox/custom/accounts"
        numbers = base + "/{account}/numbers"
        return [
            Route("GET", base, self._list_accounts),
            Route("POST", base, self._put_account),
            Route("DELETE", base + "/{account}", self._delete_account),
            Route("GET", numbers, self._list_numbers),
            Route("POST", numbers, self._put_number),
            Route("DELETE", numbers + "/{number}", self._delete_number),
        ]

    async def _list_accounts(self, _request: web.Request) -> web.Response:
        return json_response([public_account(account) for account in self._vendor.accounts])

    async def _put_account(self, request: web.Request) -> web.Response:
        account = Account.model_validate_json(await request.read())
        self._vendor.accounts.put(account.username, account)
        return json_response(public_account(account), status=201)

    async def _delete_account(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        self._vendor.accounts.remove(account.username)
        for number in self._vendor.numbers:
            if number.account == account.username:
                self._vendor.numbers.remove(number.number)
        return web.Response(status=204)

    async def _list_numbers(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        own = [number for number in self._vendor.numbers if number.account == account.username]
        return json_response([public_number(number) for number in own])

    async def _put_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        number = Number.model_validate({**await request.json(), "account": account.username})
        owner = self._vendor.numbers.get(number.number)
        if owner is not None and owner.account != account.username:
            raise ControlError(f"{number.number} belongs to another account")
        self._vendor.numbers.put(number.number, number)
        return json_response(public_number(number), status=201)

    async def _delete_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        number = self._vendor.numbers.get(request.match_info["number"])
        if number is None or number.account != account.username:
            raise web.HTTPNotFound
        self._vendor.numbers.remove(number.number)
        return web.Response(status=204)

    def _known_account(self, request: web.Request) -> Account:
        account = self._vendor.accounts.get(request.match_info["account"])
        if account is None:
            raise web.HTTPNotFound
        return account
