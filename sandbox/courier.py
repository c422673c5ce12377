"""Carries callbacks to the customer's endpoints: never more than so many at a time, and never raises."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

if TYPE_CHECKING:
    from collections.abc import Mapping

_AT_ONCE = 64
_BODY_KEPT = 65536
_COMPLAINT_KEPT = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said.

    Attributes:
        status: The HTTP status, or nothing when there was no answer.
        error: `connect` when no connection came about, `timeout` when the answer took too long, `broken` when the
            connection ended early; empty when there was an answer.
        body: The first 64 KiB of the answer.
        headers: The answer's headers, names in lower case.
    """

    status: int | None
    error: str = ""
    body: bytes = b""
    headers: Mapping[str, str] | None = None

    @property
    def complaint(self) -> str:
        """The beginning of an answer that is no success."""
        refused = self.status is not None and self.status >= 300  # noqa: PLR2004 - what HTTP calls redirects and errors
        return self.body[:_COMPLAINT_KEPT].decode("utf-8", "replace") if refused else ""


class Courier:
    """One HTTP client for all callbacks.

    Args:
        at_once: How many requests may be under way.
    """

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._at_once = at_once
        self._places = asyncio.Semaphore(at_once)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Get ready."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._at_once, force_close=False),
            auto_decompress=True,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def close(self) -> None:
        """Let go of all connections."""
        if self._session is not None:
            await self._session.close()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes = b"",
        connect_seconds: float = 5,
        read_seconds: float = 15,
        total_seconds: float | None = None,
    ) -> Answer:
        """Make one request; redirects are not followed.

        Args:
            method: The HTTP method.
            url: Where to, taken as it is written, without its fragment.
            headers: The headers.
            body: The body.
            connect_seconds: How long to wait for a connection.
            read_seconds: How long to wait for each piece of the answer.
            total_seconds: How long to wait in all.
        """
        if self._session is None:
            msg = "the courier has not been opened"
            raise RuntimeError(msg)
        timeout = aiohttp.ClientTimeout(
            total=total_seconds,
            sock_connect=connect_seconds,
            sock_read=read_seconds,
        )
        async with self._places:
            try:
                async with self._session.request(
                    method,
                    URL(url.partition("#")[0], encoded=True),
                    data=body or None,
                    headers=headers,
                    timeout=timeout,
                    allow_redirects=False,
                ) as response:
                    answered = await response.content.read(_BODY_KEPT)
                    return Answer(
                        response.status,
                        body=answered,
                        headers={name.lower(): value for name, value in response.headers.items()},
                    )
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL):
                return Answer(None, "connect")
            except TimeoutError:
                return Answer(None, "timeout")
            except (aiohttp.ClientError, OSError, ValueError):
                return Answer(None, "broken")
