"""Reading what several vendors write alike: JSON bodies, times, numbers without a plus, the GSM alphabet."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Any

import orjson

from functions.vendors.contract import DeliveryReport, InboundText, MalformedError, Parsed, SetAside

SHORTEST_NUMBER = 8
"""Digits; what has fewer is a short code."""

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")


def json_of(body: bytes, hint: str = "") -> Any:
    """Return what a body says as JSON.

    Args:
        body: The body as it came.
        hint: What an operator may look at if it says nothing.

    Raises:
        MalformedError: It is no JSON.
    """
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise MalformedError(f"The body is not JSON. {hint}".rstrip()) from error


def object_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises:
        MalformedError: It is none.
    """
    found = json_of(body)
    if not isinstance(found, dict):
        raise MalformedError("The JSON body is not an object.")
    return found


def as_object(value: Any) -> dict[str, Any]:
    """Return a JSON value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def as_string(value: Any) -> str:
    """Return a JSON value if it is a text, else an empty one."""
    return value if isinstance(value, str) else ""


def as_text(value: Any) -> str:
    """Return a code or an id as text, which vendors write as a text or a number; empty for everything else."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def parsed(items: Iterable[DeliveryReport | InboundText | SetAside]) -> Parsed:
    """Return the items of a callback, each kind in its order."""
    found = list(items)
    return Parsed(
        reports=tuple(item for item in found if isinstance(item, DeliveryReport)),
        inbound=tuple(item for item in found if isinstance(item, InboundText)),
        set_aside=tuple(item for item in found if isinstance(item, SetAside)),
    )


def moment(value: Any, zone: tzinfo | None) -> datetime | None:
    """Return an ISO 8601 time, or ``None`` where it is none.

    Args:
        value: What the vendor wrote.
        zone: What holds where it names no zone; ``None`` if such a time says nothing.
    """
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    if found.tzinfo or zone is None:
        return found if found.tzinfo else None
    return found.replace(tzinfo=zone)


def with_plus(address: str) -> str:
    """Return a number with its plus, which some vendors leave out; short codes and names as they are."""
    return f"+{address}" if address.isascii() and address.isdecimal() and len(address) >= SHORTEST_NUMBER else address


def septets(text: str) -> int | None:
    """Return how many septets a text takes in the GSM alphabet, or ``None`` where it does not fit there.

    Source: 3GPP TS 23.038, clause 6.2.1, https://www.3gpp.org/dynareport/23038.htm.
    """
    extended = sum(character in EXTENSION for character in text)
    fits = extended + sum(character in BASIC for character in text) == len(text)
    return len(text) + extended if fits else None
