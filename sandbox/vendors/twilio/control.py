"""The control API for Twilio alone: accounts, token rotation, numbers, Messaging Services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from sandbox.accounts import Accounts, Numbers, made
from sandbox.vendor import ControlError, Route, json_object, json_response
from sandbox.vendors.twilio.records import Account, Service, public_account

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from sandbox.vendors.twilio.vendor import TwilioVendor


class TwilioControl:
    """Manages what Twilio's customers would manage in its console.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: TwilioVendor) -> None:
        self._vendor = vendor
        self._accounts = Accounts("/sandbox/twilio/accounts", vendor.accounts, [vendor.numbers, vendor.services])

    def routes(self) -> Sequence[Route]:
        """Manage accounts, tokens, numbers and Messaging Services."""
        return [
            *self._accounts.routes(),
            *Numbers(self._accounts, self._vendor.numbers).routes(),
            Route("POST", self._accounts.one + "/secondary", self._make_secondary),
            Route("POST", self._accounts.one + "/promote", self._promote),
            Route("POST", self._accounts.one + "/services", self._put_service),
        ]

    async def _make_secondary(self, request: web.Request) -> web.Response:
        account = self._accounts.known(request)
        body = await request.read()
        given = orjson.loads(body).get("token") if body else None
        changed = Account.model_validate({**account.model_dump(), "secondary": given or self._vendor.world.ids.hex(32)})
        self._vendor.accounts.add(changed)
        return json_response({"sid": account.sid, "secondary": changed.secondary}, status=201)

    async def _promote(self, request: web.Request) -> web.Response:
        """Make the secondary token the primary; the old primary is worth nothing from then on."""
        account = self._accounts.known(request)
        if account.secondary is None:
            raise ControlError("there is no secondary token to promote")
        promoted = account.model_copy(update={"token": account.secondary, "secondary": None})
        return json_response(public_account(self._vendor.accounts.add(promoted)))

    async def _put_service(self, request: web.Request) -> web.Response:
        account = self._accounts.name_in(request)
        service = Service.model_validate({**await json_object(request), "account": account})
        own = {number.number for number in self._vendor.numbers.having(account=account)}
        foreign = [number for number in service.numbers if number not in own]
        if foreign:
            raise ControlError(f"not numbers of this account: {', '.join(foreign)}")
        return made(self._vendor.services, service)
