"""The control API for Infobip alone: accounts with their keys, numbers, subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.accounts import Accounts, Numbers
from sandbox.sending import RefusedError
from sandbox.vendor import ControlError, Route, json_response
from sandbox.vendors.infobip.webhooks import NewSubscription

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from sandbox.vendors.infobip.records import Account
    from sandbox.vendors.infobip.vendor import InfobipVendor


class InfobipControl:
    """Manages what Infobip's customers would manage in its portal.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: InfobipVendor) -> None:
        self._vendor = vendor
        owned = (
            vendor.numbers,
            vendor.subscriptions,
            vendor.profiles,
            vendor.security,
            vendor.inbound_configurations,
        )
        self._accounts = Accounts("/sandbox/infobip/accounts", vendor.accounts, owned, check=self._check_keys)

    def routes(self) -> Sequence[Route]:
        """Manage accounts, numbers and subscriptions."""
        return [
            *self._accounts.routes(),
            *Numbers(self._accounts, self._vendor.numbers).routes(),
            Route("POST", self._accounts.one + "/subscriptions", self._put_subscription),
        ]

    def _check_keys(self, account: Account) -> None:
        """Refuse a key that another account has: the key alone says whose a request is."""
        used = {key.key for other in self._vendor.accounts if other.name != account.name for key in other.keys}
        if used & {key.key for key in account.keys}:
            raise ControlError("another account has one of these keys")

    async def _put_subscription(self, request: web.Request) -> web.Response:
        """Make a subscription as the vendor's API would; what has one of its ids is replaced."""
        account = self._accounts.name_in(request)
        asked = NewSubscription.model_validate_json(await request.read())
        try:
            made = self._vendor.subscribing.subscribe(account, asked, replace=True)
        except RefusedError as refused:
            raise ControlError(refused.response.text) from refused
        return json_response({"subscriptionId": made.id, "profileId": made.profile_id}, status=201)
