"""Secrets in Azure Key Vault."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.rest import HttpRequest

from functions.storage import limits
from functions.storage.azure.errors import translated
from functions.storage.ports import Place, StaleError

if TYPE_CHECKING:
    from azure.keyvault.secrets.aio import SecretClient

SERVICE: Final = "Key Vault"
MAX_CACHED: Final = 1000
"""Secrets kept in memory, at most 25 MB; a provider has two or three."""
HTTP_CONFLICT: Final = 409
HTTP_NOT_FOUND: Final = 404


class AzureSecrets:
    """The secrets port over Key Vault.

    A vault allows 4,000 reads in 10 seconds (https://learn.microsoft.com/azure/key-vault/general/service-limits). So
    values are kept in memory, the longest unused going first, and tasks that ask for one name at once share a request.

    Args:
        client: The vault's client; it is closed with the port.
        place: Where it leads.
    """

    def __init__(self, client: SecretClient, place: Place) -> None:
        self._client = client
        self._place = place
        self._cache: OrderedDict[str, str] = OrderedDict()
        self._reading: dict[str, asyncio.Task[str | None]] = {}

    @property
    def place(self) -> Place:
        """Where the secrets lie."""
        return self._place

    async def close(self) -> None:
        """Close the connections and forget the values."""
        self._cache.clear()
        await self._client.close()

    async def set(self, name: str, value: str) -> None:
        """Keep the value under the name; see the port."""
        key = limits.secret_name(name)
        limits.check_secret(value)
        with translated(SERVICE):
            try:
                await self._client.set_secret(key, value)
            except HttpResponseError as error:
                if error.status_code == HTTP_CONFLICT:
                    raise StaleError(f"the secret {key} was deleted; a name is not used again") from error
                raise
        self._remember(key, value)

    async def get(self, name: str) -> str | None:
        """Return the value, or ``None``; from memory if it was read before."""
        key = limits.secret_name(name)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        reading = self._reading.get(key)
        if reading is None:
            reading = self._reading[key] = asyncio.create_task(self._read(key))
            reading.add_done_callback(lambda task: self._end_reading(key, task))
        # One task that gives up must not take the answer from the others.
        return await asyncio.shield(reading)

    async def delete(self, name: str) -> None:
        """Delete the secret if it is there; the vault keeps its name for the retention period."""
        key = limits.secret_name(name)
        self._cache.pop(key, None)
        with translated(SERVICE):
            # delete_secret() would wait, polling every 2 seconds, until the vault has moved the secret aside.
            response = await self._client.send_request(HttpRequest("DELETE", f"secrets/{key}"))
            if response.status_code != HTTP_NOT_FOUND:
                response.raise_for_status()

    async def _read(self, key: str) -> str | None:
        with translated(SERVICE):
            try:
                secret = await self._client.get_secret(key)
            except ResourceNotFoundError:
                return None
        if secret.value is not None:
            self._remember(key, secret.value)
        return secret.value

    def _end_reading(self, key: str, reading: asyncio.Task[str | None]) -> None:
        del self._reading[key]
        if not reading.cancelled():
            reading.exception()  # asyncio would complain of an error that nobody has waited for

    def _remember(self, key: str, value: str) -> None:
        self._cache[key] = value
        self._cache.move_to_end(key)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
