"""Packs JSON into the properties of one row: compressed, in pieces that a property can hold."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from functions.storage.ports import Value

_PIECE = 60_000
_LEVEL = 3


def pack(document: Any) -> dict[str, Value]:
    """Return properties that hold the document: ``p0``, ``p1`` … of at most 60,000 bytes each."""
    data = zlib.compress(orjson.dumps(document), _LEVEL)
    return {f"p{number}": data[at : at + _PIECE] for number, at in enumerate(range(0, len(data), _PIECE))}


def unpack(values: Mapping[str, Value]) -> Any:
    """Return the document that ``pack`` packed; other properties are passed over."""
    pieces: list[bytes] = []
    while isinstance(piece := values.get(f"p{len(pieces)}"), bytes):
        pieces.append(piece)
    return orjson.loads(zlib.decompress(b"".join(pieces)))
