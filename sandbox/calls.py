"""The call log: every HTTP request a vendor received and what it answered, with secrets blacked out."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.journal import Journal

_KEPT = 200_000
_BODY_KEPT = 4096
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_SECRET_QUERY = re.compile(r"(?i)([?&](?:code|key|sig|signature|token|access_token|api_?key|password)=)[^&#]*")
_SECRET_FIELD = re.compile(
    r'(?i)("[^"]*(?:api_?key|http\.header\d*|password|secret|token)"\s*:\s*"|\bclient_secret=)[^"&]*'
)


@dataclass(slots=True)
class Call:
    """One request received.

    Attributes:
        at: When, in seconds since 1970.
        method: The HTTP method.
        path: Path and query as the client wrote them.
        headers: The headers.
        body: The body as text, cut to 4,096 characters.
        status: The answer; 0 when the connection was dropped instead.
        seconds: How long the answer took.
        trouble: The fault this request met, if any.
    """

    at: float
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    status: int = 0
    seconds: float = 0.0
    trouble: str = ""


def redact_url(url: str) -> str:
    """Black out the values of query parameters that are keys."""
    return _SECRET_QUERY.sub(r"\1***", url)


def redact_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Black out headers that carry credentials; the scheme of an Authorization stays readable."""
    return {
        str(name): f"{value.split(' ', 1)[0]} ***" if name.lower() in _SECRET_HEADERS else value
        for name, value in headers.items()
    }


def redact_body(body: bytes) -> str:
    """Turn a body into text of bounded length, credentials in JSON fields blacked out."""
    return _SECRET_FIELD.sub(r"\1***", body[:_BODY_KEPT].decode("utf-8", "replace"))


class CallLog:
    """The last 200,000 calls of one vendor.

    Args:
        vendor: The vendor's name.
        journal: Where they are kept.
    """

    def __init__(self, vendor: str, journal: Journal) -> None:
        self._vendor = vendor
        self._journal = journal
        self.entries: deque[Call] = deque(maxlen=_KEPT)

    def add(self, call: Call) -> None:
        """Note a call once it has been answered."""
        self.entries.append(call)
        self._journal.write("call", self._vendor, call=call)

    def restore(self, fact: dict[str, Any]) -> None:
        """Take back one call from the journal."""
        self.entries.append(Call(**fact["call"]))
