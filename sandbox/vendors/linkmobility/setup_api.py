"""The APIs by which customers set themselves up: gates and keyword routes.

Gate API 1.2 and Keyword API 1.1. ASSUMED: the HTTP status of each error, and which of their codes means what where the
documents name none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web
from pydantic import ValidationError

from sandbox.vendor import Route, json_response
from sandbox.vendors.linkmobility.records import Account, Gate, KeywordRoute
from sandbox.vendors.linkmobility.wire import (
    BAD_REQUEST,
    CONFLICT,
    GATE_EXISTS,
    INVALID_GATE,
    INVALID_KEYWORD,
    KEYWORD_TAKEN,
    NO_SUCH_GATE,
    NO_SUCH_KEYWORD,
    NOT_FOUND,
    read_json,
    refuse,
    short_id,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.vendors.linkmobility.vendor import LinkMobilityVendor

_OF_PARTNER = "/platform/{platform}/partner/{partner}"


class SetupApi:
    """`/gate/partnergate` and `/number/{number}/keyword`.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: LinkMobilityVendor) -> None:
        self._vendor = vendor

    def routes(self) -> Sequence[Route]:
        """Below the vendor's address."""
        gate = "/gate/partnergate"
        keyword = "/number/{number}/keyword"
        return [
            Route("POST", gate, self._create_gate),
            Route("GET", gate + _OF_PARTNER, self._list_gates),
            Route("GET", gate + _OF_PARTNER + "/id/{gate}", self._read_gate),
            Route("PUT", gate + _OF_PARTNER + "/id/{gate}", self._replace_gate),
            Route("DELETE", gate + _OF_PARTNER + "/id/{gate}", self._delete_gate),
            Route("GET", gate + _OF_PARTNER + "/refid/{ref}", self._read_gate_by_reference),
            Route("POST", keyword, self._create_keyword),
            Route("GET", keyword + "/getKeyword", self._is_keyword_free),
            Route("GET", keyword + _OF_PARTNER + "/id/{route}", self._read_keyword),
            Route("DELETE", keyword + _OF_PARTNER + "/id/{route}", self._delete_keyword),
        ]

    async def _create_gate(self, request: web.Request) -> web.Response:
        """Answer 201 with the place of the new gate, and nothing else."""
        self._vendor.access.admit(request)
        gate = await self._gate_in(request)
        account = self._vendor.access.admit_to_set_up(request, gate.platform_id, gate.platform_partner_id)
        self._check_reference(account, gate)
        made = gate.model_copy(update={"id": short_id(self._vendor.world.ids)})
        self._vendor.gates.put(made.id, made)
        of_partner = _OF_PARTNER.format(platform=made.platform_id, partner=made.platform_partner_id)
        place = f"{self._vendor.base_url}/gate/partnergate{of_partner}/id/{made.id}"
        return web.Response(status=201, headers={"Location": place})

    async def _list_gates(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        return json_response([_shown(gate) for gate in self._vendor.gates if _is_of(gate, account)])

    async def _read_gate(self, request: web.Request) -> web.Response:
        return json_response(_shown(self._known_gate(request)))

    async def _read_gate_by_reference(self, request: web.Request) -> web.Response:
        account = self._admit(request)
        wanted = request.match_info["ref"]
        found = next((gate for gate in self._vendor.gates if _is_of(gate, account) and gate.ref_id == wanted), None)
        if found is None:
            refuse(NOT_FOUND, NO_SUCH_GATE)
        return json_response(_shown(found))

    async def _replace_gate(self, request: web.Request) -> web.Response:
        """Replace the whole gate: what is left out is lost."""
        known = self._known_gate(request)
        gate = await self._gate_in(request)
        account = self._vendor.access.admit_to_set_up(request, gate.platform_id, gate.platform_partner_id)
        if gate.id not in {"", known.id}:
            refuse(BAD_REQUEST, INVALID_GATE, "id")
        self._check_reference(account, gate, known.id)
        self._vendor.gates.put(known.id, gate.model_copy(update={"id": known.id}))
        return web.Response(status=200)

    async def _delete_gate(self, request: web.Request) -> web.Response:
        self._vendor.gates.remove(self._known_gate(request).id)
        return web.Response(status=200)

    async def _create_keyword(self, request: web.Request) -> web.Response:
        """Answer 201 with the place of the new route; a number that is not the account's has none."""
        self._vendor.access.admit(request)
        try:
            route = KeywordRoute.model_validate(read_json(request, await request.read(), INVALID_KEYWORD))
        except ValidationError as invalid:
            refuse(BAD_REQUEST, INVALID_KEYWORD, _first(invalid))
        account = self._vendor.access.admit_to_set_up(request, route.platform_id, route.platform_partner_id)
        self._check_keyword(account, route, request.match_info["number"])
        made = route.model_copy(
            update={"id": short_id(self._vendor.world.ids), "keyword": route.keyword and route.keyword.upper()}
        )
        if any(_is_same(made, known) for known in self._vendor.keywords):
            refuse(CONFLICT, KEYWORD_TAKEN)
        self._vendor.keywords.put(made.id, made)
        of_partner = _OF_PARTNER.format(platform=made.platform_id, partner=made.platform_partner_id)
        place = f"{self._vendor.base_url}/number/{made.number}/keyword{of_partner}/id/{made.id}"
        return web.Response(status=201, headers={"Location": place})

    async def _is_keyword_free(self, request: web.Request) -> web.Response:
        """Answer 204 for a keyword that is free on a number, 409 for one that is taken."""
        self._vendor.access.admit(request)
        number, word = request.match_info["number"], request.query.get("keyword", "").upper()
        if any(route.number == number and route.keyword == word for route in self._vendor.keywords):
            refuse(CONFLICT, KEYWORD_TAKEN)
        return web.Response(status=204)

    async def _read_keyword(self, request: web.Request) -> web.Response:
        return json_response(self._known_keyword(request).model_dump(by_alias=True))

    async def _delete_keyword(self, request: web.Request) -> web.Response:
        self._vendor.keywords.remove(self._known_keyword(request).id)
        return web.Response(status=200)

    def _admit(self, request: web.Request) -> Account:
        path = request.match_info
        return self._vendor.access.admit_to_set_up(request, path["platform"], path["partner"])

    async def _gate_in(self, request: web.Request) -> Gate:
        try:
            gate = Gate.model_validate(read_json(request, await request.read(), INVALID_GATE))
        except ValidationError as invalid:
            refuse(BAD_REQUEST, INVALID_GATE, _first(invalid))
        if not gate.destinations:
            refuse(BAD_REQUEST, INVALID_GATE, "destinations")
        return gate

    def _check_reference(self, account: Account, gate: Gate, own: str = "") -> None:
        others = (known for known in self._vendor.gates if _is_of(known, account) and known.id != own)
        if gate.ref_id is not None and any(known.ref_id == gate.ref_id for known in others):
            refuse(CONFLICT, GATE_EXISTS)

    def _check_keyword(self, account: Account, route: KeywordRoute, number: str) -> None:
        owner = self._vendor.numbers.get(number)
        if route.number != number or owner is None or owner.account != account.username:
            refuse(BAD_REQUEST, INVALID_KEYWORD, "number")
        if (route.keyword is None) != (route.keyword_type == "DEFAULT"):
            refuse(BAD_REQUEST, INVALID_KEYWORD, "keyword")
        if any(self._vendor.gate_of(account, gate) is None for gate in route.gate_ids):
            refuse(BAD_REQUEST, INVALID_KEYWORD, "gateIds")

    def _known_gate(self, request: web.Request) -> Gate:
        gate = self._vendor.gate_of(self._admit(request), request.match_info["gate"])
        if gate is None:
            refuse(NOT_FOUND, NO_SUCH_GATE)
        return gate

    def _known_keyword(self, request: web.Request) -> KeywordRoute:
        account = self._admit(request)
        route = self._vendor.keywords.get(request.match_info["route"])
        if route is None or not _is_of(route, account) or route.number != request.match_info["number"]:
            refuse(NOT_FOUND, NO_SUCH_KEYWORD)
        return route


def _shown(gate: Gate) -> dict[str, Any]:
    """Show a gate to its owner, whole: who wants to change it has to send all of it back."""
    return gate.model_dump(by_alias=True)


def _is_of(record: Gate | KeywordRoute, account: Account) -> bool:
    return (record.platform_id, record.platform_partner_id) == (account.platform_id, account.platform_partner_id)


def _is_same(route: KeywordRoute, known: KeywordRoute) -> bool:
    """Tell whether two routes want the same texts; a shared keyword may be had by several customers."""
    if route.shared and known.shared:
        return False
    return (route.number, route.keyword_type, route.keyword) == (known.number, known.keyword_type, known.keyword)


def _first(invalid: ValidationError) -> str:
    return ".".join(map(str, invalid.errors()[0]["loc"]))
