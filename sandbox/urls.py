"""Addresses that customers name for callbacks: which ones can be called, and what stands in them."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit, urlunsplit

if TYPE_CHECKING:
    from sandbox.ids import IdSource


def web_address(url: str) -> SplitResult | None:
    """Take an absolute address of the web apart; nothing when a text is none."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return None
    sound = parts.scheme in {"http", "https"} and host and not any(map(str.isspace, url))
    return parts if sound else None


def without_user(url: str) -> str:
    """Leave out the user and password of an address."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def with_wrong_token(url: str, ids: IdSource) -> str:
    """Put a guess of the same length in place of an address's last segment, where it is all that proves a callback."""
    parts = urlsplit(url)
    path, _, token = parts.path.rpartition("/")
    return urlunsplit(parts._replace(path=f"{path}/{ids.hex(max(len(token), 1))}"))
