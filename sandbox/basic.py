"""Basic authentication (RFC 7617): how a user and a password are written into a header, and read from one."""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web


def basic(user: str, password: str) -> str:
    """Write the value of an `Authorization` header."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def decoded(proof: str) -> tuple[str, str] | None:
    """Read what follows the scheme: user and password, or nothing when it is no such pair."""
    try:
        user, colon, password = base64.b64decode(proof, validate=True).decode().partition(":")
    except ValueError:
        return None
    return (user, password) if colon else None


def carried(request: web.Request) -> tuple[str, str]:
    """Give the user and password that a request carries; two empty texts when it carries none."""
    scheme, _, proof = request.headers.get("Authorization", "").partition(" ")
    pair = decoded(proof) if scheme.lower() == "basic" else None
    return pair or ("", "")


def is_one_of(given: str, *valid: str | None) -> bool:
    """Tell whether a secret is one of the valid ones, in a time that does not tell how much of it fits."""
    return any(known and hmac.compare_digest(known.encode(), given.encode()) for known in valid)
