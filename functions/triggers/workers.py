"""Functions that a queue starts."""

from __future__ import annotations

import azure.functions as func

from functions.app import DISPATCH_QUEUE, application
from functions.gateway.envelope import read_work
from functions.triggers.failures import carry_out
from functions.triggers.names import DISPATCH

blueprint = func.Blueprint()


@blueprint.function_name(DISPATCH)
@blueprint.queue_trigger(arg_name="msg", queue_name=DISPATCH_QUEUE, connection="AzureWebJobsStorage")
async def dispatch_batch(msg: func.QueueMessage) -> None:
    """Hand a batch to its vendor."""
    await carry_out(DISPATCH, lambda: _dispatch(msg.get_body()))


async def _dispatch(body: bytes) -> None:
    work = read_work(body)
    await application().dispatcher.dispatch(work.batch, due=work.due, trace=work.trace)
