"""What vendors are reached through: one session for the process, which leads to public addresses alone."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    import aiohttp
    from azure.core.credentials_async import AsyncTokenCredential

T = TypeVar("T")


class VendorHttp:
    """One session and the SDK clients that were made, for the life of the process.

    Args:
        timeout: Seconds that one call may take, connecting included.
        credential: Makes the identity of the app.
        local: Whether this machine and private networks may be called.
        watched_by: Makes what is told of each request, once aiohttp is needed.
    """

    def __init__(
        self,
        timeout: float,
        credential: Callable[[], AsyncTokenCredential],
        *,
        local: bool = False,
        watched_by: Callable[[], Sequence[aiohttp.TraceConfig]] = tuple,
    ) -> None:
        self._watched_by = watched_by
        self.timeout = timeout
        self.credential = credential
        self._local = local
        self._session: aiohttp.ClientSession | None = None
        self._kept: dict[Hashable, Any] = {}

    @property
    def session(self) -> aiohttp.ClientSession:
        """The shared session, opened on first use."""
        if self._session is None:
            # Slow to import, and a management call needs none of it.
            import aiohttp  # noqa: PLC0415

            from functions.resolver import PublicResolver  # noqa: PLC0415

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=PublicResolver(local=self._local)),
                timeout=aiohttp.ClientTimeout(total=self.timeout, sock_connect=min(10.0, self.timeout)),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                trace_configs=list(self._watched_by()),
            )
        return self._session

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what was made for the key."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast("T", self._kept[key])

    async def close(self) -> None:
        """Close the clients and the session."""
        for client in self._kept.values():
            close = getattr(getattr(client, "http_client", client), "close", None)
            if close is not None:
                await close()
        self._kept.clear()
        if self._session is not None:
            await self._session.close()
