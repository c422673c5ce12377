"""What travels in a queue message.

The body is wrapped because the Functions host lays the top-level properties of a JSON body over its own metadata, so
that a property such as ``id`` or ``dequeueCount`` would break the trigger.
Source: https://github.com/Azure/azure-functions-host ``Utility.ApplyBindingData``.
"""

from __future__ import annotations

import orjson

VERSION = 1


def dispatch(batch: str) -> str:
    """Return the queue message that asks for a batch to be dispatched."""
    return orjson.dumps({"v": VERSION, "message": {"batch": batch}}).decode()


def batch_to_dispatch(body: bytes) -> str:
    """Return the batch that a queue message names.

    Raises:
        ValueError: It is no such message.
    """
    document = orjson.loads(body)
    try:
        if document["v"] != VERSION:
            raise ValueError(f"version {document['v']} is not known here")
        return str(document["message"]["batch"])
    except (TypeError, KeyError) as error:
        raise ValueError("not a dispatch message") from error
