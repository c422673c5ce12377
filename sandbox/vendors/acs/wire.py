"""ACS on the wire: both error shapes, signatures, versions, and how requests are read."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import orjson

from sandbox.outcomes import Reason
from sandbox.sending import RefusedError
from sandbox.vendor import json_response

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.vendors.acs.records import Resource

API_VERSIONS = frozenset(
    {
        "2021-03-07",
        "2024-12-10-preview",
        "2025-05-29-preview",
        "2025-08-01-preview",
        "2025-09-17",
        "2026-01-23",
    },
)
OPT_OUT_VERSIONS = API_VERSIONS - {"2021-03-07", "2025-05-29-preview"}
POLLING_VERSIONS = frozenset({"2025-08-01-preview", "2026-01-23"})
OK, ACCEPTED, BAD_REQUEST, TOO_MANY, UNAVAILABLE = 200, 202, 400, 429, 503
_MOST_RECIPIENTS = 100

REPORT_DETAILS: dict[Reason, str] = {
    Reason.INVALID_NUMBER: "4002: Invalid To phone number format.",
    Reason.OPTED_OUT: "Sender blocked for given recipient.",
    Reason.NO_ROUTE: "4003: Message destination is not supported.",
    Reason.NOT_MOBILE: "4004: Message destination does not exist.",
    Reason.UNREACHABLE: "4006: Message destination is not reachable.",
    Reason.UNKNOWN_SUBSCRIBER: "4004: Message destination does not exist.",
    Reason.CARRIER_BLOCKED: "4005: Message blocked by destination carrier.",
    Reason.FILTERED: "4000: Message is rejected due to possible fraud.",
    Reason.EXPIRED: "5001: Message delivery is temporarily unavailable.",
    Reason.UNCLEAR: "9999: Message delivery failed with unknown error.",
    Reason.SENDER_UNREGISTERED: "4010: Message delivery failed, toll-free number is not verified.",
    Reason.CARRIER_LIMIT: "4020: Carrier volume violation.",
    Reason.NO_CARRIER_REPORT: "5002: Carrier does not support delivery reports.",
}
REPORTED = {"delivered": "Delivered", "undelivered": "Failed", "failed": "Failed"}

_AUTHORIZATION = re.compile(
    r"\AHMAC-SHA256 SignedHeaders=(?P<date>x-ms-date|date);host;x-ms-content-sha256"
    r"&Signature=(?P<signature>[A-Za-z0-9+/=]+)\Z",
)


def refuse(status: int, code: str, message: str, **more: Any) -> NoReturn:
    """Refuse a request in the service's own error shape.

    Raises:
        RefusedError: Always.
    """
    raise RefusedError(json_response({"error": {"code": code, "message": message, **more}}, status=status))


def refuse_fields(errors: dict[str, list[str]]) -> NoReturn:
    """Refuse a request whose fields do not fit, in the shape of RFC 9457 with an `errors` object.

    Raises:
        RefusedError: Always.
    """
    problem = {
        "type": "https://tools.ietf.org/html/rfc9110#section-15.5.1",
        "title": "One or more validation errors occurred.",
        "status": BAD_REQUEST,
        "errors": errors,
        "traceId": "00-be8d0cac83cc01715e39bc84c2d10c61-5d7b25cd36751c3d-00",
    }
    headers = {"Content-Type": "application/problem+json; charset=utf-8"}
    raise RefusedError(json_response(problem, status=BAD_REQUEST, headers=headers))


def content_hash(body: bytes) -> str:
    """Hash a body as `x-ms-content-sha256` wants it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def signature(key: str, method: str, path_and_query: str, *, date: str, host: str, hashed: str) -> str:
    """Sign a request with an access key (Microsoft Learn, "Communication Services REST authentication").

    Args:
        key: The access key, base64.
        method: The HTTP method.
        path_and_query: As it stands in the request line.
        date: As in `x-ms-date`.
        host: As in `Host`, a port that is not the scheme's own included.
        hashed: As in `x-ms-content-sha256`.
    """
    signed = f"{method}\n{path_and_query}\n{date};{host};{hashed}"
    return base64.b64encode(hmac.digest(base64.b64decode(key), signed.encode(), "sha256")).decode()


def authenticate(request: web.Request, body: bytes, candidates: list[Resource], now: float) -> Resource:
    """Find the resource whose token or key a request carries.

    Args:
        request: The request.
        body: Its body.
        candidates: The resources it may be meant for.
        now: The time, for the date's skew.

    Raises:
        RefusedError: None of them, or the signature is off.
    """
    header = request.headers.get("Authorization", "")
    if header.startswith("Bearer "):
        token = header.removeprefix("Bearer ").encode()
        for candidate in candidates:
            if any(hmac.compare_digest(token, known.encode()) for known in candidate.tokens):
                return candidate
        refuse(401, "Unauthorized", "")
    matched = _AUTHORIZATION.match(header)
    if matched is None:
        refuse(401, "Unauthorized", "")
    date = request.headers.get(matched["date"], "")
    hashed = request.headers.get("x-ms-content-sha256", "")
    if not hmac.compare_digest(hashed.encode(), content_hash(body).encode()):
        refuse(401, "Denied", "Request 'x-ms-content-sha256' differs from generated content hash.")
    if not is_http_date(date):
        refuse(401, "Denied", "Request date is missing or not RFC 1123.")
    resource = _signer(request, candidates, date, hashed, matched["signature"])
    if resource is None:
        refuse(401, "Denied", "HMAC-SHA256 validation failed.")
    if abs(parsedate_to_datetime(date).timestamp() - now) > resource.clock_skew_seconds:
        refuse(401, "Denied", "Request date is too far from the current time.")
    return resource


def _signer(request: web.Request, candidates: list[Resource], date: str, hashed: str, signed: str) -> Resource | None:
    """Find the resource one of whose keys made a signature."""
    host = request.headers.get("Host", "")
    for resource in candidates:
        for key in resource.keys:
            expected = signature(key, request.method, request.raw_path, date=date, host=host, hashed=hashed)
            if hmac.compare_digest(expected.encode(), signed.encode()):
                return resource
    return None


def json_object(request: web.Request, body: bytes) -> dict[str, Any]:
    """Read a body that must be a JSON object.

    Raises:
        RefusedError: It is of another type, or no JSON object.
    """
    if request.content_type != "application/json":
        refuse(415, "UnsupportedMediaType", "The request body must be application/json.")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        refuse(422, "UnprocessableEntity", "The request body is not valid JSON.")
    if not isinstance(parsed, dict):
        refuse(422, "UnprocessableEntity", "The request body is not a JSON object.")
    return parsed


def read_recipients(value: Any, field: str, errors: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Read 1 to 100 recipients; what is wrong with the list is added to `errors`."""
    if not isinstance(value, list) or not value:
        errors[field] = [f"The {field} field is required."]
        return []
    if len(value) > _MOST_RECIPIENTS:
        errors[field] = [f"The field {field} must have at most {_MOST_RECIPIENTS} entries."]
    if not all(isinstance(entry, dict) and isinstance(entry.get("to"), str) for entry in value):
        errors[field] = ["The To field is required."]
    return value


def is_guid(value: Any) -> bool:
    """Tell whether a value is a GUID, written in any of the usual ways."""
    try:
        return isinstance(value, str) and UUID(value) is not None
    except ValueError:
        return False


def is_http_date(value: Any) -> bool:
    """Tell whether a value is a date of RFC 1123 in GMT."""
    if not isinstance(value, str) or not value.endswith(" GMT"):
        return False
    try:
        return parsedate_to_datetime(value) is not None
    except ValueError:
        return False
