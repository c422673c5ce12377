"""The control API for Telesign alone: accounts, API keys, portal settings, sender IDs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.accounts import Accounts, Numbers
from sandbox.vendor import Route, json_object, json_response
from sandbox.vendors.telesign.records import Account, public_account
from sandbox.vendors.telesign.wire import in_digits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from sandbox.vendors.telesign.vendor import TelesignVendor


class TelesignControl:
    """Manages what Telesign's customers would manage in its portal, or ask its support for.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: TelesignVendor) -> None:
        self._vendor = vendor
        self._accounts = Accounts("/sandbox/telesign/accounts", vendor.accounts, [vendor.numbers])

    def routes(self) -> Sequence[Route]:
        """Manage accounts, API keys, portal settings and sender IDs."""
        return [
            *self._accounts.routes(),
            *Numbers(self._accounts, self._vendor.numbers, as_key=in_digits).routes(),
            Route("POST", self._accounts.one + "/settings", self._change_settings),
        ]

    async def _change_settings(self, request: web.Request) -> web.Response:
        """Change what is named and leave the rest, API keys included."""
        known = self._accounts.known(request)
        changed = {**known.model_dump(), **await json_object(request), "customer_id": known.customer_id}
        return json_response(public_account(self._vendor.accounts.add(Account.model_validate(changed))))
