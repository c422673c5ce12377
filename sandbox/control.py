"""The control API below `/sandbox`: look at the ledger, cause faults, play a person, set up accounts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from sandbox.calls import redact_url
from sandbox.clock import iso_ticks
from sandbox.faults import Faults
from sandbox.outcomes import OUTCOMES, magic_number
from sandbox.vendor import ControlError, Inbound, OptOut, Route, Vendor, json_object, json_response
from sandbox.world import Settings, World

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.ledger import Message
    from sandbox.vendor import Handler

_LONGEST_PAGE = 1000


class _Reset(BaseModel):
    model_config = ConfigDict(extra="forbid")

    accounts: bool = False


class _Advance(BaseModel):
    model_config = ConfigDict(extra="forbid")

    seconds: float


class Control:
    """The sandbox's own HTTP API.

    Args:
        world: The shared parts.
        vendors: The vendors by name.
    """

    def __init__(self, world: World, vendors: Mapping[str, Vendor]) -> None:
        self._world = world
        self._vendors = vendors

    def routes(self) -> Sequence[Route]:
        """All paths below `/sandbox`, each vendor's own before the general ones."""
        general = [
            Route("GET", "/sandbox", self._overview),
            Route("PATCH", "/sandbox/settings", self._change_settings),
            Route("POST", "/sandbox/clock", self._advance),
            Route("POST", "/sandbox/reset", self._reset_all),
            Route("GET", "/sandbox/{vendor}", self._vendor_state),
            Route("POST", "/sandbox/{vendor}/reset", self._reset),
            Route("GET", "/sandbox/{vendor}/faults", self._faults),
            Route("PUT", "/sandbox/{vendor}/faults", self._set_faults),
            Route("DELETE", "/sandbox/{vendor}/faults", self._clear_faults),
            Route("POST", "/sandbox/{vendor}/inbound", self._inbound),
            Route("GET", "/sandbox/{vendor}/opt-outs", self._opt_outs),
            Route("POST", "/sandbox/{vendor}/opt-outs", self._add_opt_out),
            Route("DELETE", "/sandbox/{vendor}/opt-outs", self._remove_opt_out),
            Route("GET", "/sandbox/{vendor}/ledger", self._ledger),
            Route("GET", "/sandbox/{vendor}/ledger/summary", self._summary),
            Route("GET", "/sandbox/{vendor}/calls", self._calls),
        ]
        own = [route for vendor in self._vendors.values() for route in vendor.control_routes()]
        return [Route(route.method, route.path, _explained(route.handler)) for route in (*own, *general)]

    async def _overview(self, _request: web.Request) -> web.Response:
        """Say what there is: vendors, their endpoints, the magic numbers."""
        return json_response(
            {
                "settings": self._world.settings.model_dump(),
                "now": iso_ticks(self._world.clock.now()),
                "vendors": {
                    name: {
                        "title": vendor.title,
                        "docs": vendor.docs,
                        "endpoint": vendor.endpoint.replace("{base}", self._world.base_url),
                    }
                    for name, vendor in self._vendors.items()
                },
                "magic_numbers": [
                    {"number": magic_number(outcome.digits), "name": outcome.name, "what": outcome.what}
                    for outcome in OUTCOMES
                ],
                "otherwise": "Every other valid number is delivered after about a second.",
            },
        )

    async def _change_settings(self, request: web.Request) -> web.Response:
        changed = Settings.model_validate({**self._world.settings.model_dump(), **await json_object(request)})
        self._world.settings = changed
        self._world.journal.write("settings", "", settings=changed.model_dump())
        return json_response(changed.model_dump())

    async def _advance(self, request: web.Request) -> web.Response:
        self._world.clock.advance(_Advance.model_validate_json(await request.read()).seconds)
        return json_response({"now": iso_ticks(self._world.clock.now())})

    async def _reset_all(self, request: web.Request) -> web.Response:
        wanted = _Reset.model_validate_json(await request.read() or b"{}")
        for vendor in self._vendors.values():
            vendor.reset(accounts=wanted.accounts)
        return web.Response(status=204)

    async def _reset(self, request: web.Request) -> web.Response:
        wanted = _Reset.model_validate_json(await request.read() or b"{}")
        self._vendor(request).reset(accounts=wanted.accounts)
        return web.Response(status=204)

    async def _vendor_state(self, request: web.Request) -> web.Response:
        return json_response(self._vendor(request).state())

    async def _faults(self, request: web.Request) -> web.Response:
        return json_response(self._vendor(request).mischief.faults.model_dump())

    async def _set_faults(self, request: web.Request) -> web.Response:
        faults = Faults.model_validate_json(await request.read())
        self._vendor(request).set_faults(faults)
        return json_response(faults.model_dump())

    async def _clear_faults(self, request: web.Request) -> web.Response:
        self._vendor(request).set_faults(Faults())
        return web.Response(status=204)

    async def _inbound(self, request: web.Request) -> web.Response:
        inbound = Inbound.model_validate_json(await request.read())
        message = await self._vendor(request).receive(inbound)
        return json_response(_entry(message), status=201)

    async def _opt_outs(self, request: web.Request) -> web.Response:
        return json_response([entry.model_dump() for entry in self._vendor(request).opt_outs])

    async def _add_opt_out(self, request: web.Request) -> web.Response:
        entry = OptOut.model_validate_json(await request.read())
        self._vendor(request).opt_out(entry.sender, entry.recipient)
        return json_response(entry.model_dump(), status=201)

    async def _remove_opt_out(self, request: web.Request) -> web.Response:
        entry = OptOut.model_validate_json(await request.read())
        self._vendor(request).opt_in(entry.sender, entry.recipient)
        return web.Response(status=204)

    async def _ledger(self, request: web.Request) -> web.Response:
        """List what was really accepted, oldest first."""
        direction = request.query.get("direction", "outbound")
        found = self._vendor(request).ledger.find(
            recipient=request.query.get("to"),
            sender=request.query.get("from"),
            account=request.query.get("account"),
            tag=request.query.get("tag"),
            direction=None if direction == "all" else direction,
        )
        offset, limit = _paging(request)
        return json_response(
            {
                "total": len(found),
                "offset": offset,
                "items": [_entry(message) for message in found[offset : offset + limit]],
            },
        )

    async def _summary(self, request: web.Request) -> web.Response:
        return json_response(self._vendor(request).ledger.summary())

    async def _calls(self, request: web.Request) -> web.Response:
        """List the HTTP calls received, oldest first."""
        found = list(self._vendor(request).calls.entries)
        if (status := request.query.get("status")) is not None:
            found = [call for call in found if str(call.status) == status]
        offset, limit = _paging(request)
        return json_response(
            {
                "total": len(found),
                "offset": offset,
                "items": [{**asdict(call), "at": iso_ticks(call.at)} for call in found[offset : offset + limit]],
            },
        )

    def _vendor(self, request: web.Request) -> Vendor:
        vendor = self._vendors.get(request.match_info["vendor"])
        if vendor is None:
            raise web.HTTPNotFound
        return vendor


def _entry(message: Message) -> dict[str, Any]:
    """Show a ledger entry, keys in addresses blacked out."""
    shown = asdict(message)
    for hidden in ("plan", "steps_done"):
        del shown[hidden]
    shown["from"], shown["to"] = shown.pop("sender"), shown.pop("recipient")
    for moment in ("at", "state_at", "sent_at"):
        shown[moment] = None if shown[moment] is None else iso_ticks(shown[moment])
    for entry in shown["callbacks"]:
        entry["at"] = iso_ticks(entry["at"])
    for address in ("callback_url", "tag"):
        shown[address] = shown[address] and redact_url(shown[address])
    return shown


def _paging(request: web.Request) -> tuple[int, int]:
    try:
        offset, limit = int(request.query.get("offset", "0")), int(request.query.get("limit", "100"))
    except ValueError as error:
        raise ControlError("offset and limit are numbers") from error
    return max(offset, 0), min(max(limit, 0), _LONGEST_PAGE)


def _explained(handler: Handler) -> Handler:
    """Answer mistakes of the caller with 400 and what was wrong."""

    async def wrapped(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except ValidationError as error:
            problems = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
            return json_response({"error": "; ".join(problems)}, status=400)
        except (ControlError, orjson.JSONDecodeError, ValueError) as error:
            return json_response({"error": str(error)}, status=400)

    return wrapped
