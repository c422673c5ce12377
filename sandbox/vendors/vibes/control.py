"""The control API for Vibes alone: what its account managers and staff do at a customer's request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.vendor import ControlError, Route, json_response
from sandbox.vendors.vibes.records import Account, Number, public_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.vibes.vendor import VibesVendor


class VibesControl:
    """Manages API users, codes, and the error queue.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: VibesVendor) -> None:
        self._vendor = vendor

    def routes(self) -> Sequence[Route]:
        """Manage API users, codes, and the error queue."""
        base = "/sandbox/vibes/accounts"
        return [
            Route("GET", base, self._list_accounts),
            Route("POST", base, self._put_account),
            Route("DELETE", base + "/{account}", self._delete_account),
            Route("GET", base + "/{account}/numbers", self._list_numbers),
            Route("POST", base + "/{account}/numbers", self._put_number),
            Route("DELETE", base + "/{account}/numbers/{number}", self._delete_number),
            Route("GET", "/sandbox/vibes/error-queue", self._list_errors),
            Route("POST", "/sandbox/vibes/error-queue/resend", self._resend),
        ]

    async def _list_accounts(self, _request: web.Request) -> web.Response:
        return json_response([{"username": account.username} for account in self._vendor.accounts])

    async def _put_account(self, request: web.Request) -> web.Response:
        """Make an API user, or give it a new password; the old one is worth nothing from then on."""
        account = Account.model_validate_json(await request.read())
        self._vendor.accounts.put(account.username, account)
        return json_response({"username": account.username}, status=201)

    async def _delete_account(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        self._vendor.accounts.remove(account.username)
        for number in self._vendor.numbers:
            if number.account == account.username:
                self._vendor.numbers.remove(number.number)
        return web.Response(status=204)

    async def _list_numbers(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        owned = [entry for entry in self._vendor.numbers if entry.account == account.username]
        return json_response([public_number(entry) for entry in owned])

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

    async def _list_errors(self, _request: web.Request) -> web.Response:
        """List the callbacks given up."""
        queue = self._vendor.callbacks.error_queue
        return json_response(
            [{"id": letter.message.id, "about": letter.about, "attempts": attempts} for letter, attempts in queue]
        )

    async def _resend(self, _request: web.Request) -> web.Response:
        return json_response({"sent": await self._vendor.callbacks.resend()})

    def _known_account(self, request: web.Request) -> Account:
        account = self._vendor.accounts.get(request.match_info["account"])
        if account is None:
            raise web.HTTPNotFound
        return account
