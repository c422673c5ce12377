"""Infobip on the wire: two shapes of errors, dates, numbers without plus, bodies checked against a model."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from sandbox.clock import utc
from sandbox.numbers import is_number
from sandbox.sending import RefusedError
from sandbox.vendor import json_response

if TYPE_CHECKING:
    from aiohttp import web
    from pydantic_core import ErrorDetails

OK, CREATED, NO_CONTENT, BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY, SERVER_ERROR = (
    *(200, 201, 204, 400, 401, 403, 404, 429, 500),
)
_DATE = re.compile(r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:?\d\d\Z", re.ASCII)


class Shape(StrEnum):
    """The shape of an endpoint's errors."""

    V3 = "v3"
    """Of `/sms/3/...`: errorCode, description, action, violations."""
    OLD = "old"
    """Of everything else: requestError, serviceException."""


_WORDS: dict[int, tuple[str, str, str, str]] = {
    BAD_REQUEST: (
        "BAD_REQUEST",
        "Bad request",
        "Request cannot be processed.",
        "Check the syntax, violations and adjust the request.",
    ),
    UNAUTHORIZED: (
        "UNAUTHORIZED",
        "Unauthorized",
        "The request lacks valid authentication credentials.",
        "Check the resources and adjust authentication credentials.",
    ),
    FORBIDDEN: (
        "FORBIDDEN",
        "Forbidden",
        "The user is not authorized to make this request.",
        "Check the resources and adjust the authorization.",
    ),
    NOT_FOUND: ("NOT_FOUND", "Not found", "Requested URL not found.", "Check the resource and try again."),
    TOO_MANY: ("TOO_MANY_REQUESTS", "Too many requests", "Too many requests.", "Reduce the request rate."),
    SERVER_ERROR: (
        "GENERAL_ERROR",
        "Something went wrong. Please contact support.",
        "Something went wrong.",
        "Contact our support team for assistance.",
    ),
}


class Wire(BaseModel):
    """A JSON object in Infobip's spelling. Members the page does not list are refused, which is ASSUMED."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


Body = TypeVar("Body", bound=Wire)


def error(
    shape: Shape,
    status: int,
    violations: dict[str, list[str]] | None = None,
    headers: dict[str, str] | None = None,
) -> web.Response:
    """Build an error answer.

    Args:
        shape: The endpoint's.
        status: The HTTP status.
        violations: What is wrong, by the path of the property.
        headers: More headers.
    """
    name, text, description, action = _WORDS[status]
    if shape is Shape.V3:
        listed = [{"property": path, "violation": word} for path, words in (violations or {}).items() for word in words]
        body: dict[str, Any] = {
            "errorCode": f"E{status}",
            "description": description,
            "action": action,
            "violations": listed,
            "resources": [],
        }
    else:
        exception = {"messageId": name, "text": text} | ({"validationErrors": violations} if violations else {})
        body = {"requestError": {"serviceException": exception}}
    return json_response(body, status=status, headers=headers)


def refuse(shape: Shape, status: int, violations: dict[str, list[str]] | None = None) -> NoReturn:
    """Refuse a request.

    Raises:
        RefusedError: Always.
    """
    raise RefusedError(error(shape, status, violations))


def read_body(shape: Shape, model: type[Body], request: web.Request, body: bytes) -> Body:
    """Read a JSON body strictly: no other types, no unknown members.

    Raises:
        RefusedError: It does not fit; the answer names each property that does not.
    """
    if request.content_type != "application/json":
        refuse(shape, BAD_REQUEST, {"Content-Type": ["must be application/json"]})
    try:
        return model.model_validate_json(body, strict=True)
    except ValidationError as invalid:
        refuse(shape, BAD_REQUEST, violations_of(invalid))


def violations_of(invalid: ValidationError) -> dict[str, list[str]]:
    """List what does not fit a model, by the path of the property."""
    violations: dict[str, list[str]] = {}
    for item in invalid.errors(include_url=False):
        violations.setdefault(_path(item), []).append(_word(item))
    return violations


def _path(item: ErrorDetails) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in item["loc"])
    return path.removeprefix(".") or "body"


def _word(item: ErrorDetails) -> str:
    return {"missing": "must not be null", "extra_forbidden": "is unknown"}.get(item["type"], item["msg"])


def written(moment: float) -> str:
    """Write a time as Infobip does, `yyyy-MM-dd'T'HH:mm:ss.SSSZ`: `2027-01-05T08:00:01.120+0000`."""
    at = utc(moment)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}+0000"


def read_date(text: str) -> float | None:
    """Read a time in that format as seconds since 1970; nothing when it is another format."""
    if not _DATE.match(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def bare(address: str) -> str:
    """Write an address as Infobip does: numbers without plus."""
    return address.removeprefix("+")


def full(address: str) -> str:
    """Write an address as the ledger does: E.164 numbers with plus, short codes and names as they are."""
    return f"+{address}" if address.isdigit() and is_number(f"+{address}") else address
