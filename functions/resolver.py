"""Finds where the names of vendors lead, and goes to public addresses alone.

Source: https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html.
"""

from __future__ import annotations

import socket

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from functions.gateway.addresses import is_allowed


class PublicResolver(AbstractResolver):
    """Resolves names and passes over the addresses that no provider may point at.

    A name is judged by where it leads at the moment of the connection, so one that is public when the provider is saved
    and private later does not get in.
    """

    def __init__(self, *, local: bool) -> None:
        self._local = local
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the allowed addresses of a name.

        Raises:
            OSError: The name is not known or leads nowhere that is allowed.
        """
        found = await self._resolver.resolve(host, port, family)
        allowed = [one for one in found if is_allowed(one["host"], local=self._local)]
        if found and not allowed:
            raise OSError(None, f"{host} leads to an address that is not public")
        return allowed

    async def close(self) -> None:
        """Close the resolver."""
        await self._resolver.close()
