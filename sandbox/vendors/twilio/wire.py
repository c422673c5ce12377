"""Twilio on the wire: error bodies and codes, forms, signatures, what counts as a callback URL."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl

from sandbox.outcomes import Reason
from sandbox.sending import RefusedError
from sandbox.urls import web_address
from sandbox.vendor import json_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

BAD_REQUEST, UNAUTHORIZED, NOT_FOUND, TOO_MANY, SERVER_ERROR = 400, 401, 404, 429, 500

REFUSALS: dict[Reason, tuple[int, str]] = {
    Reason.INVALID_NUMBER: (21211, "The 'To' number {to} is not a valid phone number."),
    Reason.OPTED_OUT: (21610, "Attempt to send to unsubscribed recipient"),
    Reason.NO_ROUTE: (
        21612,
        "The 'To' phone number: {to}, is not currently reachable using the 'From' phone number: {from} via SMS.",
    ),
    Reason.NOT_MOBILE: (21614, "'To' number is not a valid mobile number"),
}
ERROR_CODES: dict[Reason, int] = {
    Reason.OPTED_OUT: 21610,
    Reason.NO_ROUTE: 21612,
    Reason.NOT_MOBILE: 30006,
    Reason.UNREACHABLE: 30003,
    Reason.UNKNOWN_SUBSCRIBER: 30005,
    Reason.CARRIER_BLOCKED: 30004,
    Reason.FILTERED: 30007,
    Reason.EXPIRED: 30036,
    Reason.UNCLEAR: 30008,
    Reason.SENDER_UNREGISTERED: 30034,
    Reason.CARRIER_LIMIT: 30022,
    Reason.NO_CARRIER_REPORT: 30008,
}


def error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """Build an error answer in Twilio's classic shape."""
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return json_response(body, status=status, headers=headers)


def refuse(status: int, code: int, message: str) -> NoReturn:
    """Refuse a request in Twilio's classic error shape.

    Raises:
        RefusedError: Always.
    """
    raise RefusedError(error(status, code, message))


def sign(token: str, url: str, params: Iterable[tuple[str, str]] = ()) -> str:
    """Sign a callback (Twilio, "Webhooks security"): HMAC-SHA1 over the URL and the sorted, decoded form fields.

    Args:
        token: The account's primary auth token.
        url: As posted to, query included, fragment not.
        params: The form fields, duplicates included.
    """
    fields = "".join(name + value for name, value in sorted(set(params)))
    return base64.b64encode(hmac.digest(token.encode(), (url + fields).encode(), "sha1")).decode()


def read_form(request: web.Request, body: bytes) -> dict[str, str]:
    """Read a form's fields, the first of each name; empty when the body is of another type."""
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(reversed(fields))


def is_callback_url(url: str) -> bool:
    """Tell whether Twilio takes a URL as StatusCallback; other than Twilio, the sandbox takes loopback hosts."""
    parts = web_address(url)
    return parts is not None and "_" not in (parts.hostname or "")
