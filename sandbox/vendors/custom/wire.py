"""46elks on the wire: forms, refusals in plain text, dates, senders, and how it describes a message."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import parse_qsl

from aiohttp import web

from sandbox.clock import utc
from sandbox.numbers import is_number
from sandbox.sending import RefusedError
from sandbox.urls import web_address

if TYPE_CHECKING:
    from sandbox.ledger import Message

PREFIX = "/custom/a1"
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, TOO_MANY, SERVER_ERROR = 401, 403, 404, 429, 500
COST_OF_A_PART = 5000
STATUSES = {"queued": "created", "sent": "sent", "delivered": "delivered", "undelivered": "failed", "failed": "failed"}
DIRECTIONS = {"outbound": "outgoing", "inbound": "incoming", "reply": "outgoing-reply"}
_FORM = "application/x-www-form-urlencoded"
# https://46elks.com/kb/text-sender-id; blanks and full stops pass, other characters are ASSUMED not to.
_TEXT_SENDER = re.compile(r"\A[A-Za-z][A-Za-z0-9 .]{2,10}\Z", re.ASCII)


def said(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    """Answer in plain text, as 46elks does when it takes something amiss."""
    return web.Response(status=status, text=text, content_type="text/plain", headers=headers)


def refuse(text: str, status: int = FORBIDDEN) -> NoReturn:
    """Refuse a request. 403 was recorded for a wrong recipient; ASSUMED: it is so for any other parameter.

    Raises:
        RefusedError: Always.
    """
    raise RefusedError(said(status, text))


def read_form(request: web.Request, body: bytes) -> dict[str, str]:
    """Read a form's fields; a body of another type counts as an empty one (ASSUMED)."""
    if request.content_type != _FORM:
        return {}
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def moment(timestamp: float) -> str:
    """Write a time as 46elks does, in UTC and without saying so: `2018-07-13T13:57:23.741000`."""
    return f"{utc(timestamp):%Y-%m-%dT%H:%M:%S.%f}"


def moment_in(written: str) -> datetime | None:
    """Read such a time, or nothing from any other text."""
    try:
        found = datetime.fromisoformat(written)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def is_sender(text: str) -> bool:
    """Tell whether texts can come from this: an E.164 number, or a text sender ID of 3 to 11 characters."""
    return is_number(text) or bool(_TEXT_SENDER.match(text))


def is_callback_url(url: str) -> bool:
    """Tell whether reports can be posted to an address; it may have a user and a password in it."""
    return web_address(url) is not None


def described(message: Message) -> dict[str, Any]:
    """Describe a message as `GET /a1/sms/{id}` does."""
    found: dict[str, Any] = {
        "id": message.id,
        "direction": DIRECTIONS[message.direction],
        "from": message.sender,
        "created": moment(message.at),
        "to": message.recipient,
        "cost": COST_OF_A_PART * message.segments,
    }
    if not message.extra.get("dontlog"):
        found["message"] = message.text
    if message.direction != "inbound":
        found["status"] = STATUSES[message.state]
    if message.state == "delivered":
        found["delivered"] = moment(message.state_at)
    return found
