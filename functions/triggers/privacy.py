"""Forgetting a person over HTTP."""

from __future__ import annotations

import azure.functions as func

from functions.gateway.models import ErasureView, NewErasure
from functions.gateway.numbers import NumberError, parse_recipient
from functions.gateway.problems import Kind, invalid
from functions.triggers.api import Call, Reply, operation

blueprint = func.Blueprint()


@operation(
    blueprint,
    method="POST",
    route="privacy/erasures",
    tag="Privacy",
    body=NewErasure,
    answers={202: ErasureView},
    answer_headers={"Location": "Where to ask how far it is."},
)
async def request_erasure(call: Call) -> Reply:
    """Forget a person: erase everything of one phone number that was stored up to now.

    Numbers, texts, metadata, references and the vendors' own words are replaced by `erased` or left out, in messages,
    replies, answers kept for repeats and what was set aside. Ids, states, reasons, times and segments stay, and with
    them all counts. It goes on by itself, and asking again for the same number does no harm. Messages that are still on
    their way are finished first and then erased: at the latest when their delivery reports are not waited for any more.
    The opt-out stays unless `optOuts` is `erase`.
    """
    try:
        number = parse_recipient(call.body.number).number
    except NumberError as error:
        raise invalid("/number", str(error)) from error
    made = await call.app.erasures.request(number, keep_opt_outs=call.body.opt_outs == "keep")
    return Reply(made, 202, {"Location": f"/api/privacy/erasures/{made.id}"})


@operation(
    blueprint,
    method="GET",
    route="privacy/erasures/{erasure}",
    tag="Privacy",
    answers={200: ErasureView},
    problems=(Kind.NOT_FOUND,),
)
async def get_erasure(call: Call) -> Reply:
    """Tell how far an erasure is; it can be asked for at any later time, as a record without the number."""
    return Reply(await call.app.erasures.view(call.path["erasure"]))
