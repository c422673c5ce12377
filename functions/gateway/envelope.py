"""What travels in a queue message.

The body is wrapped because the Functions host lays the top-level properties of a JSON body over its own metadata, so
that a property such as ``id`` or ``dequeueCount`` would break the trigger.
Source: https://github.com/Azure/azure-functions-host ``Utility.ApplyBindingData``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson

from functions.gateway.clock import from_ms, to_ms
from functions.gateway.telemetry import NOWHERE, Trace

VERSION = 1


@dataclass(frozen=True, slots=True)
class Work:
    """A batch that is to be dispatched.

    Args:
        batch: Its id.
        due: Since when; ``None`` in messages of earlier releases.
        trace: Where it was queued; none in messages of earlier releases, or without telemetry.
    """

    batch: str
    due: datetime | None = None
    trace: Trace = NOWHERE


def dispatch(batch: str, *, due: datetime | None = None, trace: Trace = NOWHERE) -> str:
    """Return the queue message that asks for a batch to be dispatched.

    Args:
        batch: Its id.
        due: From when on.
        trace: Where it is queued.
    """
    message: dict[str, object] = {"batch": batch}
    if due is not None:
        message["due"] = to_ms(due)
    if trace:
        message["trace"] = trace.kept()
    return orjson.dumps({"v": VERSION, "message": message}).decode()


def read_work(body: bytes) -> Work:
    """Return what a queue message asks for.

    Raises:
        ValueError: It is no such message.
    """
    document = orjson.loads(body)
    try:
        if document["v"] != VERSION:
            raise ValueError(f"version {document['v']} is not known here")
        message = document["message"]
        due = message.get("due")
        return Work(str(message["batch"]), from_ms(due) if due else None, Trace.of(message.get("trace")))
    except (TypeError, KeyError, AttributeError, OverflowError, OSError) as error:
        raise ValueError("not a dispatch message") from error


def batch_to_dispatch(body: bytes) -> str:
    """Return the batch that a queue message names.

    Raises:
        ValueError: It is no such message.
    """
    return read_work(body).batch
