"""Health and documentation."""

from __future__ import annotations

from dataclasses import asdict

import azure.functions as func
import orjson
from pydantic import Field

import functions
from functions.app import DISPATCH_QUEUE, POISON_QUEUE
from functions.gateway.models import Shape
from functions.gateway.problems import Kind, ProblemError
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


class Dependency(Shape):
    """Something the gateway cannot work without."""

    dependency: str = Field(description="`tables`, `queues` or `secrets`.", examples=["tables"])
    ok: bool
    detail: str = Field(description="What is wrong with what: the missing role and the resource, or the address.")
    remedy: str = Field(default="", description="What to do about it; empty when nothing is wrong.")


class Ready(Shape):
    """Whether everything the gateway needs can be used."""

    status: str = Field(examples=["ok"])
    dependencies: list[Dependency]


@operation(blueprint, method="GET", route="health/ready", tag="Service", answers={200: Ready})
async def get_readiness(call: Call) -> Reply:
    """Try the stores, and tell which one cannot be used, why, and what to do about it.

    503 carries the same list as `dependencies`. Each store is read and written a little, all at once and for at most
    three seconds; that makes seven storage requests, few enough to ask every minute. It needs a key, because it names
    resources.
    """
    found = [Dependency(**asdict(one)) for one in await call.app.readiness.look()]
    down = [one.dependency for one in found if not one.ok]
    if down:
        raise ProblemError(
            Kind.UNAVAILABLE,
            f"The gateway cannot use its {' and '.join(down)}; see dependencies.",
            extra={"dependencies": [one.model_dump(by_alias=True) for one in found]},
        )
    return Reply(Ready(status="ok", dependencies=found))


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
