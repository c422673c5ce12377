"""Telesign on the wire: codes and their words, error bodies, signatures, phone numbers, times, callback addresses."""

from __future__ import annotations

import base64
import hmac
import ipaddress
from typing import TYPE_CHECKING, Any

import phonenumbers

from sandbox.clock import utc
from sandbox.numbers import is_number
from sandbox.outcomes import Reason
from sandbox.sending import RefusedError
from sandbox.urls import web_address
from sandbox.vendor import json_response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aiohttp import web

    from sandbox.ids import IdSource

PREFIX = "/telesign"

# "All status and error codes", those of SMS: the HTTP status and the words a request is refused with.
ERRORS: dict[int, tuple[int, str]] = {
    10000: (500, "System Unavailable, Please try again later."),
    10002: (401, "'x-ts-nonce' header value has been used recently"),
    10003: (401, "'x-ts-nonce' header value is either too long or too short"),
    10004: (401, "'Date' or 'x-ts-date' header is not within tolerable range"),
    10005: (401, "'Date' or 'x-ts-date' header is not RFC822 compliant"),
    10006: (401, "Invalid 'x-ts-auth-method' header."),
    10007: (401, "Missing required 'Date' or 'x-ts-date' header"),
    10008: (401, "Invalid Signature."),
    10009: (401, "Missing required 'Authorization' header"),
    10010: (401, "CustomerID Account Suspended"),
    10011: (401, "This product is not enabled for this CustomerID."),
    10014: (401, "Invalid source IP address."),
    10015: (401, "Invalid Customer ID."),
    10017: (404, "Customer ID / Reference ID not found"),
    10019: (429, "Rate Limit Exceeded"),
    10020: (429, "Generic messaging exceeded transaction hard cap. Request denied."),
    10022: (401, "Invalid API Key."),
    10028: (401, "Required 'Authorization' header is not in the correct format"),
    # ASSUMED: the status of an empty wallet; 402 is on Telesign's list of statuses and has no other use there.
    10030: (402, "Insufficient funds in prepaid wallet."),
    10033: (401, "{phone_number} has not been verified for this trial account."),
    10035: (401, "The requested API host is not allowed for this CustomerID."),
    10036: (404, "Reference ID expired"),
    11000: (400, "Invalid value for parameter phone_number."),
    11001: (400, "Invalid country code for parameter phone_number."),
    11003: (400, "Invalid value for parameter account_lifecycle_event"),
    11004: (400, "Invalid value for parameter callback_url"),
    11009: (400, "Invalid value for parameter message."),
    11010: (400, "Invalid value for parameter originating_ip."),
    11011: (400, "Invalid value for parameter reference_id"),
    11013: (400, "Invalid value for parameter sender_id."),
    11016: (400, "Invalid value for parameter external_id"),
    11017: (400, "Invalid value for parameter message_type."),
    11027: (400, "Invalid value for parameter integration_name."),
    11034: (400, "Invalid value for parameter dlt_template_id"),
    11035: (400, "Invalid value for parameter dlt_entity_id"),
    12000: (400, "Missing Required Parameter phone_number"),
    12009: (400, "Missing Required Parameter message"),
    12017: (400, "Missing Required Parameter message_type"),
}

# The same page: what a message's status says.
STATUSES: dict[int, str] = {
    200: "Delivered to handset",
    203: "Delivered to gateway",
    207: "Error delivering SMS to handset (reason unknown)",
    210: "Temporary phone error",
    211: "Permanent phone error",
    220: "Gateway/network cannot route message",
    221: "Message expired before delivery",
    222: "SMS not supported",
    251: "Message successfully sent out for delivery, however final confirmation of delivery to handset was not "
    "received.",
    290: "Message in progress",
    503: "Carrier rejected - temporary problem",
    504: "Carrier rejected - permanent error",
    507: "Invalid destination address",
    510: "Message blocked by subscriber action or request",
    515: "Suspected spam",
    517: "Selected DLT details for India not supported",
}
IN_PROGRESS, TO_GATEWAY, TO_HANDSET = 290, 203, 200
STATUS_CODES: dict[Reason, int] = {
    Reason.INVALID_NUMBER: 507,
    Reason.OPTED_OUT: 510,
    Reason.NO_ROUTE: 220,
    Reason.NOT_MOBILE: 222,
    Reason.UNREACHABLE: 210,
    Reason.UNKNOWN_SUBSCRIBER: 211,
    Reason.CARRIER_BLOCKED: 504,
    Reason.FILTERED: 515,
    Reason.EXPIRED: 221,
    Reason.UNCLEAR: 207,
    Reason.SENDER_UNREGISTERED: 517,
    Reason.CARRIER_LIMIT: 503,
    Reason.NO_CARRIER_REPORT: 251,
}
_CODES_OF_STATES = {"sent": TO_GATEWAY, "delivered": TO_HANDSET}


def status_code(state: str, reason: Reason | None) -> int:
    """Return the status code for where a message stands."""
    return STATUS_CODES[reason] if reason is not None else _CODES_OF_STATES.get(state, IN_PROGRESS)


def status(code: int, at: float) -> dict[str, Any]:
    """Build the status of a message.

    Args:
        code: One of ``STATUSES``.
        at: Since when, in seconds since 1970.
    """
    return {"code": code, "description": STATUSES[code], "updated_on": moment(at)}


def moment(timestamp: float) -> str:
    """Write a time as Telesign does, ``2016-10-21T14:05:36.181346Z``."""
    return utc(timestamp).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def reference_id(ids: IdSource) -> str:
    """Draw an id as Telesign gives one to every request: 32 hexadecimal digits in upper case."""
    return ids.hex(32).upper()


def error(
    ids: IdSource,
    code: int,
    *,
    at: float | None = None,
    description: str = "",
    headers: dict[str, str] | None = None,
    **fields: Any,
) -> web.Response:
    """Build an error answer of the SMS API; a reference id comes even when nothing was begun.

    Telesign's samples have a time where parameters were at fault, and none elsewhere.

    Args:
        ids: Where the reference id comes from.
        code: One of ``ERRORS``.
        at: What `updated_on` says, in seconds since 1970; left out when nothing.
        description: The words, where the table's do not fit.
        headers: Further headers.
        fields: Further members, such as ``external_id``.
    """
    http_status, words = ERRORS[code]
    updated = {} if at is None else {"updated_on": moment(at)}
    body = {
        "reference_id": reference_id(ids),
        **fields,
        "status": {"code": code, "description": description or words, **updated},
    }
    return json_response(body, status=http_status, headers=headers)


def not_served(ids: IdSource, http_status: int, code: int, description: str, at: float) -> RefusedError:
    """Refuse what is no resource of the SMS API, in the error shape of Telesign's older products."""
    body = {
        "reference_id": reference_id(ids),
        "status": {"code": 500, "description": "Transaction not attempted", "updated_on": moment(at)},
        "errors": [{"code": code, "description": description}],
    }
    return RefusedError(json_response(body, status=http_status))


def sign(api_key: str, message: bytes, method: str = "sha256") -> str:
    """Sign as Telesign does: HMAC under the decoded API key ("Authenticate callbacks" for a callback's raw body).

    Args:
        api_key: Base64; characters outside its alphabet are skipped, as in Telesign's own libraries.
        message: The bytes.
        method: The hash.
    """
    return base64.b64encode(hmac.digest(base64.b64decode(api_key), message, method)).decode()


def string_to_sign(
    method: str, content_type: str, date: str, own: Iterable[tuple[str, str]], body: bytes, resource: str
) -> bytes:
    """Lay out a request for its signature ("Authentication", Digest).

    Args:
        method: The HTTP method.
        content_type: The header as sent; empty when there is none.
        date: The ``Date`` header; empty when ``x-ts-date`` is among the own ones.
        own: The ``x-ts-`` headers, names in lower case.
        body: The raw body; it counts only beside a content type.
        resource: The path without the query.
    """
    lines = [method, content_type, date, *(f"{name}:{value}" for name, value in sorted(own))]
    parts = [line.encode("utf-8", "surrogateescape") for line in lines]
    if content_type and body:
        parts.append(body)
    return b"\n".join([*parts, resource.encode()])


def sign_request(api_key: str, text: bytes, auth_method: str = "HMAC-SHA256") -> str:
    """Sign a laid out request by one of the two methods Telesign knows."""
    return sign(api_key, text, {"HMAC-SHA256": "sha256", "HMAC-SHA1": "sha1"}[auth_method])


def in_digits(number: str) -> str:
    """Write a number as Telesign does, without a plus."""
    return number.removeprefix("+")


def with_plus(sender: str) -> str:
    """Write a sender ID in digits as a number again; short codes and names stay as they are."""
    return f"+{sender}" if is_number(f"+{sender}") else sender


def phone_number_fault(digits: str) -> int | None:
    """Return the code with which Telesign refuses a number, or nothing when it takes it."""
    if not (digits.isascii() and digits.isdigit()):
        return 11000
    try:
        phonenumbers.parse(f"+{digits}", None)
    except phonenumbers.NumberParseException as fault:
        return 11001 if fault.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE else 11000
    return None if is_number(f"+{digits}") else 11000


def is_callback_url(url: str) -> bool:
    """Tell whether Telesign posts to an address: https on port 443; other than Telesign, the sandbox takes loopback."""
    parts = web_address(url)
    if parts is None:
        return False
    return _is_loopback(parts.hostname or "") or (parts.scheme == "https" and parts.port in {None, 443})


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
