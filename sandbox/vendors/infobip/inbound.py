"""Inbound set-up by number: `/resource-management/1/inbound-message-configurations`.

Source: https://www.infobip.com/docs/api/platform/resources. ASSUMED: a second set-up of the same number and keyword
takes the place of the first (the page says that POST creates and updates).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from sandbox.vendor import Route, json_response
from sandbox.vendors.infobip.webhooks import InboundConfiguration, InboundRequest
from sandbox.vendors.infobip.wire import BAD_REQUEST, NO_CONTENT, NOT_FOUND, Shape, read_body, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.infobip.vendor import InfobipVendor


class InboundSetup:
    """What happens to texts that come in, by number and keyword.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: InfobipVendor) -> None:
        self._vendor = vendor

    def routes(self, prefix: str) -> Sequence[Route]:
        """All paths of the API."""
        base = f"{prefix}/resource-management/1/inbound-message-configurations"
        return [
            Route("GET", base, self._list),
            Route("POST", base, self._put),
            Route("DELETE", base + "/{key}", self._delete),
        ]

    def configuration_for(self, account: str, number: str, text: str) -> InboundConfiguration | None:
        """Find the set-up for a text: that of its first word, else that of the number."""
        words = text.split()
        keyword = words[0].upper() if words else ""
        by_keyword = {
            (entry.settings.keyword or "").upper(): entry
            for entry in self._vendor.inbound_configurations
            if (entry.account, entry.settings.number) == (account, number)
        }
        return by_keyword.get(keyword) or by_keyword.get("")

    async def _list(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        if "channel" not in request.query:
            refuse(Shape.OLD, BAD_REQUEST, {"channel": ["must not be null"]})
        number = request.query.get("number")
        return json_response(
            [
                _shown(entry)
                for entry in self._vendor.inbound_configurations
                if entry.account == account and number in {None, entry.settings.number}
            ],
        )

    async def _put(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        asked = read_body(Shape.OLD, InboundRequest, request, await request.read())
        if asked.forwarding.type == "HTTP_FORWARD" and asked.forwarding.url is None:
            refuse(Shape.OLD, BAD_REQUEST, {"forwarding.url": ["must not be null"]})
        number = self._vendor.numbers.get(asked.number)
        if number is None or number.account != account:
            refuse(Shape.OLD, NOT_FOUND)
        same = [
            entry.key
            for entry in self._vendor.inbound_configurations
            if (entry.account, entry.settings.number, entry.settings.keyword) == (account, asked.number, asked.keyword)
        ]
        key = same[0] if same else self._vendor.world.ids.hex(32).upper()
        made = InboundConfiguration(account=account, key=key, settings=asked)
        self._vendor.inbound_configurations.put(key, made)
        return json_response(_shown(made))

    async def _delete(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        known = self._vendor.inbound_configurations.get(request.match_info["key"])
        if known is None or known.account != account:
            refuse(Shape.OLD, NOT_FOUND)
        self._vendor.inbound_configurations.remove(known.key)
        return web.Response(status=NO_CONTENT)

    def _admit(self, request: web.Request) -> str:
        return self._vendor.admit(request, "numbers:manage", shape=Shape.OLD).name


def _shown(entry: InboundConfiguration) -> dict[str, Any]:
    return {"configurationKey": entry.key, **entry.settings.model_dump(by_alias=True, exclude_none=True)}
