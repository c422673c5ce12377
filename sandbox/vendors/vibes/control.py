"""The control API for Vibes alone: what its account managers and staff do at a customer's request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.accounts import Accounts, Numbers
from sandbox.vendor import Route, json_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from sandbox.vendors.vibes.vendor import VibesVendor


class VibesControl:
    """Manages API users, codes, and the error queue.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: VibesVendor) -> None:
        self._vendor = vendor

    def routes(self) -> Sequence[Route]:
        """Manage API users, whose old password is worth nothing once they have a new one, codes, the error queue."""
        accounts = Accounts("/sandbox/vibes/accounts", self._vendor.accounts, [self._vendor.numbers])
        return [
            *accounts.routes(),
            *Numbers(accounts, self._vendor.numbers).routes(),
            Route("GET", "/sandbox/vibes/error-queue", self._list_errors),
            Route("POST", "/sandbox/vibes/error-queue/resend", self._resend),
        ]

    async def _list_errors(self, _request: web.Request) -> web.Response:
        """List the callbacks given up."""
        queue = self._vendor.callbacks.error_queue
        return json_response(
            [{"id": letter.message.id, "about": letter.about, "attempts": attempts} for letter, attempts in queue]
        )

    async def _resend(self, _request: web.Request) -> web.Response:
        return json_response({"sent": await self._vendor.callbacks.resend()})
