"""LINK on the wire: its codes, its error body, its ids and dates."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, NoReturn

import orjson

from sandbox.clock import iso_seconds
from sandbox.outcomes import Reason
from sandbox.sending import RefusedError
from sandbox.vendor import json_response

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.ids import IdSource

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, TOO_MANY, SERVER_ERROR = 400, 401, 403, 404, 409, 429, 500

# "Error Result Codes" of the MT document; 403 with 106102 is what a public client recorded.
UNKNOWN_ERROR = (106000, "Unknown error")
INVALID_AUTHENTICATION = (106100, "Invalid authentication")
ACCESS_DENIED = (106101, "Access denied")
NO_SMSC_CREDENTIALS = (106102, "Unable to access SMSC credentials")
INVALID_PLATFORM = (106200, "Invalid platform id")
INVALID_PARTNER = (106201, "Invalid platform partner id")
NO_GATES = (106300, "No gates specified for delivery reports")
GATE_UNAVAILABLE = (106301, "Specified gate is unavailable")

# Of the Gate API.
GATE_EXISTS = (103212, "A gate with this refId exists")
INVALID_GATE = (103302, "Invalid gate")
NO_SUCH_GATE = (103304, "Gate not found")

# The Keyword API's errors are 104xxx; which is which is ASSUMED.
INVALID_KEYWORD = (104302, "Invalid keyword route")
NO_SUCH_KEYWORD = (104304, "Keyword route not found")
KEYWORD_TAKEN = (104212, "Keyword is taken")

SENT, DELIVERED, QUEUED = 1000, 1001, 1005

DESCRIPTIONS: dict[int, str] = {
    2: "Permanent routing error",
    3: "Maximum throttling exceeded",
    105: "Internal error, contact support",
    QUEUED: "Queued",
    2000: "Invalid source",
    2001: "Short number is not supported as source",
    2002: "Alphanumeric is not supported as source",
    2003: "MSISDN is not supported as source",
    2100: "Short number is not supported as destination",
    2101: "Alphanumeric is not supported as destination",
    2104: "Unknown subscriber",
    2106: "Number error",
    2205: "Service is rejected by subscriber",
    4003: "Invalid user data",
    4004: "Invalid user data header",
}

SOURCE_NOT_ALLOWED = {"SHORTNUMBER": 2001, "ALPHANUMERIC": 2002, "MSISDN": 2003}

REFUSALS: dict[Reason, int] = {
    Reason.INVALID_NUMBER: 2106,
    Reason.OPTED_OUT: 2205,
    Reason.NO_ROUTE: 2,
    Reason.NOT_MOBILE: 2104,
}

REPORT_CODES: dict[Reason, int] = {
    **REFUSALS,
    Reason.UNREACHABLE: 1004,
    Reason.UNKNOWN_SUBSCRIBER: 2104,
    Reason.CARRIER_BLOCKED: 2103,
    Reason.FILTERED: 4007,
    Reason.EXPIRED: 1002,
    Reason.UNCLEAR: 1006,
    Reason.SENDER_UNREGISTERED: 2001,
    Reason.CARRIER_LIMIT: 3,
    Reason.NO_CARRIER_REPORT: 1010,
}

_MESSAGE_ID_MIDDLE = "AAAFQ+/P"  # sample ids hold `+` and `/`; here each one does
_ID_BYTES = 6
_GATE_ID_BYTES = 4


def error(status: int, problem: tuple[int, str], more: str = "") -> web.Response:
    """Build an error answer: the code stands in `status`."""
    code, words = problem
    body = {"status": code, "description": f"{words}: {more}" if more else words, "translatedDescription": None}
    return json_response(body, status=status)


def refuse(status: int, problem: tuple[int, str], more: str = "") -> NoReturn:
    """Refuse a request with LINK's error body.

    Raises:
        RefusedError: Always.
    """
    raise RefusedError(error(status, problem, more))


def read_json(request: web.Request, body: bytes, problem: tuple[int, str] = UNKNOWN_ERROR) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        RefusedError: The body is none, or is not declared as JSON.
    """
    if request.content_type != "application/json":
        refuse(BAD_REQUEST, problem, f"content type {request.content_type} is not supported")
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        refuse(BAD_REQUEST, problem, "the body is not JSON")
    if not isinstance(found, dict):
        refuse(BAD_REQUEST, problem, "the body is not an object")
    return found


def message_id(ids: IdSource) -> str:
    """Draw a message id: 24 characters of Base64, not of its URL-safe kind."""
    start, end = (base64.b64encode(bytes.fromhex(ids.hex(2 * _ID_BYTES))).decode() for _ in range(2))
    return f"{start}{_MESSAGE_ID_MIDDLE}{end}"


def short_id(ids: IdSource) -> str:
    """Draw a gate's or route's id: eight letters and digits."""
    return ids.hex(2 * _GATE_ID_BYTES)


def moment(timestamp: float) -> str:
    """Write a time as callbacks do, `2027-01-05T09:37:35Z`."""
    return iso_seconds(timestamp)


def local_moment(timestamp: float) -> str:
    """Write a time as custom parameters do, `2027-01-05 10:37:36`: an hour ahead of UTC, and without saying so."""
    return iso_seconds(timestamp + 3600).replace("T", " ").removesuffix("Z")
