"""The control API for Infobip alone: accounts with their keys, numbers, subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.sending import RefusedError
from sandbox.vendor import ControlError, Route, json_response
from sandbox.vendors.infobip.records import Account, Number, public_account
from sandbox.vendors.infobip.webhooks import NewSubscription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.infobip.vendor import InfobipVendor


class InfobipControl:
    """Manages what Infobip's customers would manage in its portal.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: InfobipVendor) -> None:
        self._vendor = vendor

    def routes(self) -> Sequence[Route]:
        """Manage accounts, numbers and subscriptions."""
        base = "/sandbox/infobip/accounts"
        return [
            Route("GET", base, self._list_accounts),
            Route("POST", base, self._put_account),
            Route("DELETE", base + "/{account}", self._delete_account),
            Route("GET", base + "/{account}/numbers", self._list_numbers),
            Route("POST", base + "/{account}/numbers", self._put_number),
            Route("DELETE", base + "/{account}/numbers/{number}", self._delete_number),
            Route("POST", base + "/{account}/subscriptions", self._put_subscription),
        ]

    async def _list_accounts(self, _request: web.Request) -> web.Response:
        return json_response([public_account(account) for account in self._vendor.accounts])

    async def _put_account(self, request: web.Request) -> web.Response:
        account = Account.model_validate_json(await request.read())
        used = {key.key for other in self._vendor.accounts if other.name != account.name for key in other.keys}
        if used & {key.key for key in account.keys}:
            raise ControlError("another account has one of these keys")
        self._vendor.accounts.put(account.name, account)
        return json_response(public_account(account), status=201)

    async def _delete_account(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        vendor = self._vendor
        for number in vendor.numbers:
            if number.account == account:
                vendor.numbers.remove(number.number)
        for register in (vendor.subscriptions, vendor.profiles, vendor.security):
            for entry in register:
                if entry.account == account:
                    register.remove(f"{account} {entry.id}")
        for configuration in vendor.inbound_configurations:
            if configuration.account == account:
                vendor.inbound_configurations.remove(configuration.key)
        vendor.accounts.remove(account)
        return web.Response(status=204)

    async def _list_numbers(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        return json_response([entry.model_dump() for entry in self._vendor.numbers if entry.account == account])

    async def _put_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        number = Number.model_validate({**await request.json(), "account": account})
        owner = self._vendor.numbers.get(number.number)
        if owner is not None and owner.account != account:
            raise ControlError(f"{number.number} belongs to another account")
        self._vendor.numbers.put(number.number, number)
        return json_response(number.model_dump(), status=201)

    async def _delete_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        number = self._vendor.numbers.get(request.match_info["number"])
        if number is None or number.account != account:
            raise web.HTTPNotFound
        self._vendor.numbers.remove(number.number)
        return web.Response(status=204)

    async def _put_subscription(self, request: web.Request) -> web.Response:
        """Make a subscription as the vendor's API would; what has one of its ids is replaced."""
        account = self._known_account(request)
        asked = NewSubscription.model_validate_json(await request.read())
        try:
            made = self._vendor.subscribing.subscribe(account, asked, replace=True)
        except RefusedError as refused:
            raise ControlError(refused.response.text) from refused
        return json_response({"subscriptionId": made.id, "profileId": made.profile_id}, status=201)

    def _known_account(self, request: web.Request) -> str:
        account = self._vendor.accounts.get(request.match_info["account"])
        if account is None:
            raise web.HTTPNotFound
        return account.name
