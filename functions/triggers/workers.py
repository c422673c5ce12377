"""Functions that a queue starts."""

from __future__ import annotations

import azure.functions as func

from functions.app import DISPATCH_QUEUE, application
from functions.gateway.envelope import batch_to_dispatch
from functions.triggers.failures import carry_out
from functions.triggers.names import DISPATCH

blueprint = func.Blueprint()


@blueprint.function_name(DISPATCH)
@blueprint.queue_trigger(arg_name="msg", queue_name=DISPATCH_QUEUE, connection="AzureWebJobsStorage")
async def dispatch_batch(msg: func.QueueMessage) -> None:
    """Hand a batch to its vendor."""
    await carry_out(DISPATCH, lambda: application().dispatcher.dispatch(batch_to_dispatch(msg.get_body())))
