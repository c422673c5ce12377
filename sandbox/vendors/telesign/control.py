"""The control API for Telesign alone: accounts, API keys, portal settings, sender IDs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.vendor import ControlError, Route, json_response
from sandbox.vendors.telesign.records import Account, Number, public_account
from sandbox.vendors.telesign.wire import in_digits, with_plus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.telesign.vendor import TelesignVendor


class TelesignControl:
    """Manages what Telesign's customers would manage in its portal, or ask its support for.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: TelesignVendor) -> None:
        self._vendor = vendor

    def routes(self) -> Sequence[Route]:
        """Manage accounts, API keys, portal settings and sender IDs."""
        base = "/sandbox/telesign/accounts"
        account = base + "/{account}"
        return [
            Route("GET", base, self._list_accounts),
            Route("POST", base, self._put_account),
            Route("DELETE", account, self._delete_account),
            Route("POST", account + "/settings", self._change_settings),
            Route("GET", account + "/numbers", self._list_numbers),
            Route("POST", account + "/numbers", self._put_number),
            Route("DELETE", account + "/numbers/{number}", self._delete_number),
        ]

    async def _list_accounts(self, _request: web.Request) -> web.Response:
        return json_response([public_account(account) for account in self._vendor.accounts])

    async def _put_account(self, request: web.Request) -> web.Response:
        return self._store(Account.model_validate_json(await request.read()), 201)

    async def _delete_account(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        self._vendor.accounts.remove(account.customer_id)
        for number in self._vendor.numbers:
            if number.account == account.customer_id:
                self._vendor.numbers.remove(in_digits(number.number))
        return web.Response(status=204)

    async def _change_settings(self, request: web.Request) -> web.Response:
        """Change what is named and leave the rest, API keys included."""
        account = self._known_account(request)
        changed = {**account.model_dump(), **await request.json(), "customer_id": account.customer_id}
        return self._store(Account.model_validate(changed), 200)

    async def _list_numbers(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        own = [number for number in self._vendor.numbers if number.account == account.customer_id]
        return json_response([number.model_dump() for number in own])

    async def _put_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        named = Number.model_validate({**await request.json(), "account": account.customer_id})
        number = named.model_copy(update={"number": with_plus(named.number)})
        owner = self._vendor.numbers.get(in_digits(number.number))
        if owner is not None and owner.account != account.customer_id:
            raise ControlError(f"{number.number} belongs to another account")
        self._vendor.numbers.put(in_digits(number.number), number)
        return json_response(number.model_dump(), status=201)

    async def _delete_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        number = self._vendor.numbers.get(in_digits(request.match_info["number"]))
        if number is None or number.account != account.customer_id:
            raise web.HTTPNotFound
        self._vendor.numbers.remove(in_digits(number.number))
        return web.Response(status=204)

    def _store(self, account: Account, http_status: int) -> web.Response:
        self._vendor.accounts.put(account.customer_id, account)
        return json_response(public_account(account), status=http_status)

    def _known_account(self, request: web.Request) -> Account:
        account = self._vendor.accounts.get(request.match_info["account"])
        if account is None:
            raise web.HTTPNotFound
        return account
