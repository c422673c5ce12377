"""Event Grid events of Azure Communication Services: a function for each of the two subscriptions, and one for a queue.

Each function takes either event, so a subscription that was set to the wrong one loses nothing. Subscriptions may also
deliver into the queue, which is there before the code is and keeps events for as long as the app is away.
"""

from __future__ import annotations

import json
from typing import Any

import azure.functions as func

from functions.app import application
from functions.triggers.failures import carry_out
from functions.triggers.names import EVENTS_QUEUE, INBOUND_EVENTS, QUEUED_EVENTS, REPORT_EVENTS
from functions.vendors.contract import Event

blueprint = func.Blueprint()


@blueprint.function_name(REPORT_EVENTS)
@blueprint.event_grid_trigger(arg_name="event")
async def delivery_report_received(event: func.EventGridEvent) -> None:
    """Take a delivery report."""
    await carry_out(REPORT_EVENTS, lambda: _take(event))


@blueprint.function_name(INBOUND_EVENTS)
@blueprint.event_grid_trigger(arg_name="event")
async def received(event: func.EventGridEvent) -> None:
    """Take a reply."""
    await carry_out(INBOUND_EVENTS, lambda: _take(event))


@blueprint.function_name(QUEUED_EVENTS)
@blueprint.queue_trigger(arg_name="msg", queue_name=EVENTS_QUEUE, connection="AzureWebJobsStorage")
async def event_queued(msg: func.QueueMessage) -> None:
    """Take an event that Event Grid has put into the queue."""
    await carry_out(QUEUED_EVENTS, lambda: _take_queued(msg.get_body()))


async def _take(event: Any) -> None:
    """Take an event in either schema: the payload decides which class comes, whatever the annotation says."""
    await _keep(
        event.id,
        getattr(event, "event_type", None) or getattr(event, "type", None),
        getattr(event, "topic", None) or getattr(event, "source", None),
        event.get_json(),
    )


async def _take_queued(body: bytes) -> None:
    """Take an event in either schema from the text of a queue message, which holds one.

    Source: https://learn.microsoft.com/azure/event-grid/handler-storage-queues.

    Raises:
        ValueError: It is no JSON object, so Event Grid cannot have put it there; it ends in the poison queue.
    """
    # Unlike orjson it reads half an emoji, which must not cost a reply.
    event = json.loads(body)
    if not isinstance(event, dict):
        raise ValueError("an event is a JSON object")  # noqa: TRY004 - what it says is wrong, not its Python type
    await _keep(
        event.get("id"), event.get("eventType") or event.get("type"), event.get("topic") or event.get("source"),
        event.get("data"),
    )  # fmt: skip


async def _keep(identity: object, kind: object, source: object, data: object) -> None:
    read = Event(
        id=str(identity or ""),
        type=str(kind or ""),
        source=str(source or ""),
        data=data if isinstance(data, dict) else {},
    )
    await application().callbacks.take_event(read)
