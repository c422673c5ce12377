"""Where vendors post delivery reports and replies."""

from __future__ import annotations

from typing import Any, Final

import azure.functions as func

from functions.gateway.problems import Kind, ProblemError
from functions.gateway.sources import caller
from functions.triggers.api import Call, Reply, operation
from functions.vendors.contract import Callback

blueprint = func.Blueprint()
MAX_CALLBACK = 1024 * 1024


_DECLARED: Final[dict[str, Any]] = {
    "tag": "Callbacks",
    "answers": {200: "the vendor's own", 204: None},
    "problems": (Kind.MALFORMED, Kind.NOT_AUTHENTIC, Kind.NOT_FOUND, Kind.TOO_LARGE),
    "anonymous": True,
    "any_body": True,
}
_ROUTE = "callbacks/{vendor}/{provider}/{kind}"


@operation(blueprint, method="POST", route=_ROUTE, **_DECLARED)
async def take_callback(call: Call) -> Reply:
    """Take a delivery report or a reply from a vendor that signs.

    Needs no function key: it must prove that it comes from the vendor, in the strongest way the vendor offers. The
    answer is what that vendor expects, and comes only after everything is stored. `kind` is `report` or `inbound`.
    """
    return await _take(call, "POST")


@operation(blueprint, method="POST", route=f"{_ROUTE}/{{token}}", **_DECLARED)
async def take_callback_with_token(call: Call) -> Reply:
    """Take a delivery report or a reply from a vendor that does not sign.

    The token in the path is the provider's own and cannot be guessed; what else the vendor can prove is asked for too.
    """
    return await _take(call, "POST")


@operation(blueprint, method="GET", route=f"{_ROUTE}/{{token}}", **_DECLARED)
async def take_callback_by_get(call: Call) -> Reply:
    """Take a delivery report or a reply from a vendor that puts them into the query."""
    return await _take(call, "GET")


async def _take(call: Call, method: str) -> Reply:
    if len(call.raw) > MAX_CALLBACK:
        raise ProblemError(Kind.TOO_LARGE, f"A callback is at most {MAX_CALLBACK} bytes.")
    settings = call.app.settings
    callback = Callback(
        kind=call.path["kind"],
        url=settings.public_url + call.target,
        query=call.query,
        headers=call.headers,
        body=call.raw,
        method=method,
        token=call.path.get("token", ""),
    )
    source = caller(call.headers, settings.trusted_proxies)
    answer = await call.app.callbacks.take(call.path["vendor"], call.path["provider"], callback, source)
    return Reply(answer.body, answer.status, content_type=answer.content_type)
