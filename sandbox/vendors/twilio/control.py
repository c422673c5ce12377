"""The control API for Twilio alone: accounts, token rotation, numbers, Messaging Services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from aiohttp import web

from sandbox.vendor import ControlError, Route, json_response
from sandbox.vendors.twilio.records import Account, Number, Service, public_account, public_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.twilio.vendor import TwilioVendor


class TwilioControl:
    """Manages what Twilio's customers would manage in its console.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: TwilioVendor) -> None:
        self._vendor = vendor

    def routes(self) -> Sequence[Route]:
        """Manage accounts, tokens, numbers and Messaging Services."""
        base = "/sandbox/twilio/accounts"
        return [
            Route("GET", base, self._list_accounts),
            Route("POST", base, self._put_account),
            Route("DELETE", base + "/{account}", self._delete_account),
            Route("POST", base + "/{account}/secondary", self._make_secondary),
            Route("POST", base + "/{account}/promote", self._promote),
            Route("GET", base + "/{account}/numbers", self._list_numbers),
            Route("POST", base + "/{account}/numbers", self._put_number),
            Route("DELETE", base + "/{account}/numbers/{number}", self._delete_number),
            Route("POST", base + "/{account}/services", self._put_service),
        ]

    async def _list_accounts(self, _request: web.Request) -> web.Response:
        return json_response([public_account(account) for account in self._vendor.accounts])

    async def _put_account(self, request: web.Request) -> web.Response:
        account = Account.model_validate_json(await request.read())
        self._vendor.accounts.put(account.sid, account)
        return json_response(public_account(account), status=201)

    async def _delete_account(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        self._vendor.accounts.remove(account.sid)
        for number in self._vendor.numbers:
            if number.account == account.sid:
                self._vendor.numbers.remove(number.number)
        for service in self._vendor.services:
            if service.account == account.sid:
                self._vendor.services.remove(service.sid)
        return web.Response(status=204)

    async def _make_secondary(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        body = await request.read()
        given = orjson.loads(body).get("token") if body else None
        changed = Account.model_validate({**account.model_dump(), "secondary": given or self._vendor.world.ids.hex(32)})
        self._vendor.accounts.put(account.sid, changed)
        return json_response({"sid": account.sid, "secondary": changed.secondary}, status=201)

    async def _promote(self, request: web.Request) -> web.Response:
        """Make the secondary token the primary; the old primary is worth nothing from then on."""
        account = self._known_account(request)
        if account.secondary is None:
            raise ControlError("there is no secondary token to promote")
        promoted = account.model_copy(update={"token": account.secondary, "secondary": None})
        self._vendor.accounts.put(account.sid, promoted)
        return json_response(public_account(promoted))

    async def _list_numbers(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        return json_response([public_number(entry) for entry in self._vendor.numbers if entry.account == account.sid])

    async def _put_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        number = Number.model_validate({**await request.json(), "account": account.sid})
        owner = self._vendor.numbers.get(number.number)
        if owner is not None and owner.account != account.sid:
            raise ControlError(f"{number.number} belongs to another account")
        self._vendor.numbers.put(number.number, number)
        return json_response(public_number(number), status=201)

    async def _delete_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        number = self._vendor.numbers.get(request.match_info["number"])
        if number is None or number.account != account.sid:
            raise web.HTTPNotFound
        self._vendor.numbers.remove(number.number)
        return web.Response(status=204)

    async def _put_service(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        service = Service.model_validate({**await request.json(), "account": account.sid})
        foreign = [entry for entry in service.numbers if not self._owns(account, entry)]
        if foreign:
            raise ControlError(f"not numbers of this account: {', '.join(foreign)}")
        self._vendor.services.put(service.sid, service)
        return json_response(service.model_dump(), status=201)

    def _owns(self, account: Account, number: str) -> bool:
        entry = self._vendor.numbers.get(number)
        return entry is not None and entry.account == account.sid

    def _known_account(self, request: web.Request) -> Account:
        account = self._vendor.accounts.get(request.match_info["account"])
        if account is None:
            raise web.HTTPNotFound
        return account
