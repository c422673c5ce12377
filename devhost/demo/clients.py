"""The two ends the demo plays: a journey platform at the gateway's API, and people at the sandbox's control API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from sandbox.kit import ControlCall

_FIRST_ERROR = 400
_PAGE = 500
_LEDGER_PAGE = 1000


class UnexpectedAnswerError(Exception):
    """A request was refused; the text says which and why."""


async def _call(
    session: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    body: Any = None,
) -> tuple[Any, Mapping[str, str]]:
    async with session.request(method, url, json=body, headers=headers, params=params) as response:
        text = await response.text()
        if response.status >= _FIRST_ERROR:
            raise UnexpectedAnswerError(f"{method} {response.url.path} answered {response.status}: {text[:500]}")
        return (await response.json() if text else None), response.headers


class Api:
    """The gateway's public API, as any caller has it.

    Args:
        session: Carries the requests.
        url: The address with ``/api``.
        key: The function key.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self.url = url
        self.key = key

    async def get(self, path: str, **query: str) -> Any:
        """Read something."""
        headers = {"x-functions-key": self.key}
        return (await _call(self._session, "GET", f"{self.url}{path}", headers=headers, params=query))[0]

    async def post(self, path: str, body: Any = None, **headers: str) -> Any:
        """Post something; names of headers are given with ``_`` for ``-``."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()} | {"x-functions-key": self.key}
        return (await _call(self._session, "POST", f"{self.url}{path}", headers=sent, body=body))[0]

    async def patch(self, path: str, body: Any) -> Any:
        """Change something as it is now."""
        headers = {"x-functions-key": self.key}
        _, read = await _call(self._session, "GET", f"{self.url}{path}", headers=headers)
        changed = headers | {"If-Match": read["ETag"]}
        return (await _call(self._session, "PATCH", f"{self.url}{path}", headers=changed, body=body))[0]

    async def all(self, path: str, **query: str) -> list[Any]:
        """Read a list to its end, page by page."""
        page = await self.get(path, limit=str(_PAGE), **query)
        items = list(page["items"])
        while page.get("next"):
            page = await self.get(path, limit=str(_PAGE), cursor=page["next"], **query)
            items += page["items"]
        return items


class People:
    """The sandbox's control API: accounts at the vendors, people who text, and what was really sent.

    Args:
        session: Carries the requests.
        url: The sandbox's address.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self.url = url

    async def set_up(self, call: ControlCall) -> None:
        """Set something up at a vendor."""
        await _call(self._session, "POST", f"{self.url}/sandbox{call.path}", body=call.body)

    async def text(self, vendor: str, *, person: str, to: str, text: str) -> None:
        """Let a person text one of our senders."""
        body = {"from": person, "to": to, "text": text}
        await _call(self._session, "POST", f"{self.url}/sandbox/{vendor}/inbound", body=body)

    async def sent(self, vendor: str, *, offset: int = 0, to: str = "") -> list[Any]:
        """Return what a vendor really sent, oldest first, behind the first ``offset``; to one person if named."""
        url = f"{self.url}/sandbox/{vendor}/ledger"
        found: list[Any] = []
        while True:
            query = {"offset": str(offset + len(found)), "limit": str(_LEDGER_PAGE)} | ({"to": to} if to else {})
            page, _ = await _call(self._session, "GET", url, params=query)
            found += page["items"]
            if len(page["items"]) < _LEDGER_PAGE:
                return found

    async def count(self, vendor: str) -> int:
        """Return how many messages a vendor has sent."""
        page, _ = await _call(self._session, "GET", f"{self.url}/sandbox/{vendor}/ledger", params={"limit": "0"})
        return int(page["total"])
