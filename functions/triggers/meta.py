"""Health and documentation."""

from __future__ import annotations

import azure.functions as func
import orjson
from pydantic import Field

import functions
from functions.app import DISPATCH_QUEUE, POISON_QUEUE
from functions.gateway.models import Shape
from functions.triggers.api import OPERATIONS, Call, Reply, operation
from functions.triggers.names import EVENTS_POISON_QUEUE
from functions.triggers.openapi import document, page

blueprint = func.Blueprint()


class Health(Shape):
    """Whether the gateway can work."""

    status: str = Field(examples=["ok"])
    version: str
    queued: int = Field(description="About how many batches wait to be dispatched.")
    poisoned: int = Field(
        description="Batches and events that failed again and again; they are kept in the poison queues."
    )


@operation(blueprint, method="GET", route="health", tag="Service", answers={200: Health}, anonymous=True)
async def get_health(call: Call) -> Reply:
    """Tell whether the gateway reaches its store, and how much waits; 503 when it does not."""
    queues = call.app.storage.queues
    queued, *poison = [await queues.length(name) for name in (DISPATCH_QUEUE, POISON_QUEUE, EVENTS_POISON_QUEUE)]
    return Reply(Health(status="ok", version=functions.__version__, queued=queued, poisoned=sum(poison)))


@operation(
    blueprint,
    method="GET",
    route="openapi.json",
    tag="Service",
    answers={200: "application/json"},
    anonymous=True,
)
async def get_openapi(call: Call) -> Reply:
    """Show this API as an OpenAPI 3.1 document."""
    body = orjson.dumps(document(OPERATIONS, call.app.settings.public_url)).decode()
    return Reply(body, content_type="application/json")


@operation(blueprint, method="GET", route="docs", tag="Service", answers={200: "text/html"}, anonymous=True)
async def get_docs(call: Call) -> Reply:
    """Show this API as a page to read; it needs nothing from the internet."""
    return Reply(page(document(OPERATIONS, call.app.settings.public_url)), content_type="text/html")
