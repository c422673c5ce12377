"""Where vendors post delivery reports and replies."""

from __future__ import annotations

import azure.functions as func

from functions.gateway.problems import Kind, ProblemError
from functions.triggers.api import Call, Reply, operation
from functions.vendors.contract import Callback

blueprint = func.Blueprint()
MAX_CALLBACK = 1024 * 1024


@operation(
    blueprint,
    method="POST",
    route="callbacks/{vendor}/{provider}/{kind}",
    tag="Callbacks",
    answers={200: "the vendor's own", 204: None},
    problems=(Kind.MALFORMED, Kind.NOT_AUTHENTIC, Kind.NOT_FOUND, Kind.TOO_LARGE),
    anonymous=True,
    any_body=True,
)
async def take_callback(call: Call) -> Reply:
    """Take a delivery report or a reply from a vendor.

    Needs no function key: it must prove that it comes from the vendor, in the strongest way the vendor offers. The
    answer is what that vendor expects, and comes only after everything is stored. `kind` is `report` or `inbound`.
    """
    if len(call.raw) > MAX_CALLBACK:
        raise ProblemError(Kind.TOO_LARGE, f"A callback is at most {MAX_CALLBACK} bytes.")
    callback = Callback(
        kind=call.path["kind"],
        url=call.app.settings.public_url + call.target,
        query=call.query,
        headers=call.headers,
        body=call.raw,
    )
    answer = await call.app.callbacks.take(call.path["vendor"], call.path["provider"], callback)
    return Reply(answer.body, answer.status, content_type=answer.content_type)
