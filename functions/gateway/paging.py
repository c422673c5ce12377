"""Cursors: where a page ended, as text that callers pass back unread."""

from __future__ import annotations

import base64
import re
from typing import Any

import orjson

from functions.gateway.problems import ProblemError, invalid


def write_cursor(*parts: Any) -> str:
    """Return the parts as a cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def read_cursor(text: str, shape: tuple[type, ...]) -> tuple[Any, ...]:
    """Return the parts of a cursor.

    Raises:
        ProblemError: It is none of ours.
    """
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except ValueError as error:
        raise bad_cursor() from error
    if not isinstance(parts, list) or tuple(type(part) for part in parts) != shape:
        raise bad_cursor()
    return tuple(parts)


def write_place(partition: str, key: str) -> str:
    """Return a row's place as a cursor."""
    return write_cursor(partition, key)


def read_place(text: str) -> tuple[str, str]:
    """Return the place that a cursor names."""
    partition, key = read_cursor(text, (str, str))
    check_place(partition, key)
    return partition, key


def check_place(partition: str, key: str) -> None:
    """Refuse a place that no row of a time-ordered table can have."""
    if not (re.fullmatch(r"[0-9]{9}", partition) and re.fullmatch(r"[0-9a-z-]{20,60}", key)):
        raise bad_cursor()


def bad_cursor() -> ProblemError:
    """Return the problem of a cursor that is none of ours."""
    return invalid("cursor", "Pass the `next` of the page before, unchanged.")
