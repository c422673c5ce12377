"""Event Grid events of Azure Communication Services: one function for each of the two subscriptions.

Either function takes either event, so a subscription that was set to the wrong one loses nothing.
"""

from __future__ import annotations

from typing import Any

import azure.functions as func

from functions.app import application
from functions.triggers.failures import carry_out
from functions.triggers.names import INBOUND_EVENTS, REPORT_EVENTS
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


async def _take(event: Any) -> None:
    """Take an event in either schema: the payload decides which class comes, whatever the annotation says."""
    data = event.get_json()
    read = Event(
        id=str(event.id or ""),
        type=str(getattr(event, "event_type", None) or getattr(event, "type", None) or ""),
        source=str(getattr(event, "topic", None) or getattr(event, "source", None) or ""),
        data=data if isinstance(data, dict) else {},
    )
    await application().callbacks.take_event(read)
