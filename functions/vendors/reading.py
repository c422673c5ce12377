"""Reading what several vendors write alike: JSON, XML, times, numbers without a plus, the GSM alphabet."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from datetime import datetime, tzinfo
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import ParseError, fromstring

from functions.vendors.contract import DeliveryReport, InboundText, MalformedError, Parsed, SetAside

SHORTEST_NUMBER = 8
"""Digits; what has fewer is a short code."""

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = frozenset("\f^{}\\[~]|€")


DEEPEST = 100
"""Levels of JSON that are read; no vendor nests as deep, and ``orjson`` writes 254."""
LEFT_OUT = "…"
"""Stands for what is nested deeper."""

_HALF = re.compile(r"[\ud800-\udfff]")
_ESCAPED_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_REFERENCES = re.compile(r"(?:&#(?:x[0-9a-fA-F]{1,6}|[0-9]{1,7});)+")
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LAST_CHARACTER = 0x10FFFF
_INT64 = range(-(2**63), 2**64)
_INT64_DIGITS = 20


def whole(text: str) -> str:
    """Return a text with U+FFFD for each half of a surrogate pair.

    A vendor that cuts a text within an emoji leaves one, and servers make them of bytes that are no UTF-8. No UTF-8 can
    hold it, so nothing that has one could be stored.
    """
    return _HALF.sub("\ufffd", text)


def decoded(body: bytes) -> str:
    """Return a body as text: UTF-8 without a byte order mark, with U+FFFD for bytes that are none.

    Source: https://www.rfc-editor.org/rfc/rfc8259#section-8.1 lets whoever reads JSON pass over the mark.
    """
    return body.decode("utf-8-sig", "replace")


def read_json(text: str) -> Any:
    """Return what a text says as JSON, as any store and any JSON library can write it again.

    Vendors write what a strict reader refuses, and then all of a callback would be lost: half an emoji (U+FFFD stands
    in for it), line breaks within a text, NaN (read as nothing). A number that 64 bits do not hold, such as a very long
    id, stays as it is written; for what is nested deeper than ``DEEPEST`` levels stands ``LEFT_OUT``.

    Raises:
        ValueError: It is no JSON, or nested deeper than Python reads.
    """
    try:
        found = _READER.decode(text)
        if _ESCAPED_HALF.search(text):
            found = _READER.decode(whole(json.dumps(_shallow(found), ensure_ascii=False)))
    except RecursionError as error:
        raise ValueError("It is nested too deep.") from error
    # What has fewer brackets cannot be nested deeper.
    return _shallow(found) if text.count("[") + text.count("{") > DEEPEST else found


def _shallow(root: Any) -> Any:
    """Take out of JSON, in its place, what is nested too deep; level by level, for Python's own stack has an end."""
    level = [root]
    for depth in range(1, DEEPEST + 1):
        nested = [(node, key) for node in level for key in _keys(node) if isinstance(node[key], dict | list)]
        if depth == DEEPEST:
            for node, key in nested:
                node[key] = LEFT_OUT
        level = [node[key] for node, key in nested]
    return root


def _keys(node: Any) -> Iterable[Any]:
    return node if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()


def _integer(digits: str) -> int | str:
    """Return a whole number; one that a store would round as it is written."""
    if len(digits) > _INT64_DIGITS:
        return digits
    number = int(digits)
    return number if number in _INT64 else digits


def _fraction(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _nothing(constant: str) -> None:
    del constant


_READER = json.JSONDecoder(parse_int=_integer, parse_float=_fraction, parse_constant=_nothing, strict=False)


def json_of(body: bytes, hint: str = "") -> Any:
    """Return what a body says as JSON; see ``read_json``.

    Args:
        body: The body as it came.
        hint: What an operator may look at if it says nothing.

    Raises:
        MalformedError: It is no JSON.
    """
    try:
        return read_json(decoded(body))
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


def read_xml(body: bytes, text: str) -> Element:
    """Return the root of XML; a document type, with which entities come, makes it unreadable.

    Vendors that put their XML together by hand write into it what no XML may hold, such as halves of an emoji as
    references or a form feed, which is a sign of the GSM alphabet; U+FFFD stands in for these.

    Args:
        body: The body as it came.
        text: The same, decoded; it counts where the bytes do not say their charset or have some that are none of it
            (https://www.rfc-editor.org/rfc/rfc7303#section-3).

    Raises:
        ValueError: It is none.
    """
    root: Element
    try:
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, LookupError):
        try:
            root = fromstring(_NOT_IN_XML.sub("\ufffd", _REFERENCES.sub(_referred, text)), forbid_dtd=True)
        except ParseError as error:
            raise ValueError("It is no XML.") from error
    return root


def _referred(references: re.Match[str]) -> str:
    """Return references with two halves of a character as one, and U+FFFD for what is none in XML."""
    codes = (int(f"0{one}", 16) if one[0] == "x" else int(one) for one in references[0][2:-1].split(";&#"))
    halves = "".join(chr(code) if code <= _LAST_CHARACTER else "\ufffd" for code in codes)
    characters = halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return "".join(f"&#{ord(one)};" for one in _NOT_IN_XML.sub("\ufffd", characters))


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
