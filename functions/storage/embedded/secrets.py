"""Secrets in SQLite, in the file that only its owner can read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from functions.storage import limits
from functions.storage.ports import Place, StaleError

if TYPE_CHECKING:
    from functions.storage.embedded.database import Database

_SET: Final = """
    INSERT INTO secrets (name, value) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value IS NOT NULL"""
_GET: Final = "SELECT value FROM secrets WHERE name = ?"
_DELETE: Final = "UPDATE secrets SET value = NULL WHERE name = ?"


class EmbeddedSecrets:
    """The secrets port over SQLite; a read is too cheap to be cached."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def place(self) -> Place:
        """Where the secrets lie."""
        return Place(self._database.file.name)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def set(self, name: str, value: str) -> None:
        """Keep the value under the name; see the port."""
        limits.check_secret(value)
        record = (limits.secret_name(name), value)
        if not await self._database.write(lambda connection: connection.execute(_SET, record).rowcount):
            raise StaleError(f"the secret {name} was deleted; a name is not used again")

    async def get(self, name: str) -> str | None:
        """Return the value, or ``None``."""
        key = (limits.secret_name(name),)
        record = await self._database.read(lambda connection: connection.execute(_GET, key).fetchone())
        return record[0] if record else None

    async def delete(self, name: str) -> None:
        """Delete the secret if it is there; its name stays used."""
        key = (limits.secret_name(name),)
        await self._database.write(lambda connection: connection.execute(_DELETE, key).rowcount)
