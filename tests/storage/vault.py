"""A stand-in for Key Vault, over HTTPS and with its challenge, for the tests of the real client.

What it answers is as in https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups and, for names of
deleted secrets, https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview.
"""

from __future__ import annotations

import contextlib
import secrets
import ssl
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

import trustme
from aiohttp import web
from azure.core.credentials import AccessToken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

TENANT = "00000000-0000-0000-0000-000000000000"


class HandedOutToken:
    """A credential that hands out one token, and remembers for whom."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe()
        self.scopes: list[str] = []

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.scopes += scopes
        return AccessToken(self.token, int(time.time()) + 3600)

    async def close(self) -> None:
        """Do nothing, as a credential must be closable."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


class Vault:
    """Secrets by lower-case name; ``None`` for a deleted one."""

    def __init__(self, token: str) -> None:
        self.url = ""
        self.ca_file = ""
        self.values: dict[str, str | None] = {}
        self.requests: Counter[str] = Counter()
        self.busy = 0
        self._token = token

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard], client_max_size=2**20)
        application.router.add_put("/secrets/{name}", self._set)
        application.router.add_get("/secrets/{name}{slash:/?}{version:.*}", self._get)
        application.router.add_delete("/secrets/{name}", self._delete)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {self._token}":
            assert not await request.read(), "the client sent a secret before it was challenged"
            challenge = f'Bearer authorization="https://login.microsoftonline.com/{TENANT}"'
            return web.json_response(
                _error("Unauthorized"),
                status=401,
                headers={"WWW-Authenticate": f'{challenge}, resource="https://vault.azure.net"'},
            )
        self.requests[request.method] += 1
        if self.busy:
            self.busy -= 1
            return web.json_response(_error("Throttled"), status=429, headers={"Retry-After": "0"})
        return await handler(request)

    async def _set(self, request: web.Request) -> web.Response:
        name = request.match_info["name"].lower()
        value = (await request.json())["value"]
        if len(value) > 25_000:
            return web.json_response(_error("BadParameter"), status=400)
        if self.values.get(name, "") is None:
            return web.json_response(_error("Conflict", "ObjectIsDeletedButRecoverable"), status=409)
        self.values[name] = value
        return web.json_response(self._bundle(name, value))

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"].lower()
        value = self.values.get(name)
        if value is None:
            return web.json_response(_error("SecretNotFound"), status=404)
        return web.json_response(self._bundle(name, value))

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"].lower()
        if self.values.get(name) is None:
            return web.json_response(_error("SecretNotFound"), status=404)
        self.values[name] = None
        now = int(time.time())
        recovery = {"recoveryId": f"{self.url}/deletedsecrets/{name}", "deletedDate": now}
        return web.json_response(self._bundle(name, None) | recovery | {"scheduledPurgeDate": now + 7_776_000})

    def _bundle(self, name: str, value: str | None) -> dict[str, object]:
        now = int(time.time())
        bundle: dict[str, object] = {
            "id": f"{self.url}/secrets/{name}/{secrets.token_hex(16)}",
            "attributes": {"enabled": True, "created": now, "updated": now, "recoveryLevel": "Recoverable+Purgeable"},
        }
        return bundle if value is None else bundle | {"value": value}


def _error(code: str, inner: str = "") -> dict[str, object]:
    error: dict[str, object] = {"code": code, "message": code}
    return {"error": error | ({"innererror": {"code": inner}} if inner else {})}


@contextlib.asynccontextmanager
async def running_vault(folder: Path, token: str) -> AsyncIterator[Vault]:
    """Serve a vault on a free port until the block ends; its address and the file of its authority are in it."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    vault = Vault(token)
    runner = web.AppRunner(vault.application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        vault.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
        vault.ca_file = str(folder / "authority.pem")
        yield vault
    finally:
        await runner.cleanup()
