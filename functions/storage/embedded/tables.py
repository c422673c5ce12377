"""Tables in SQLite: one row of ours is one row there, its properties packed as JSON."""

from __future__ import annotations

import base64
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import orjson

from functions.storage import limits
from functions.storage.ports import Place, Row, StaleError, Value

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator, Mapping, Sequence

    from functions.storage.embedded.database import Database

_INSERT: Final = "INSERT INTO rows (tbl, part, key, etag, vals) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
_GET: Final = "SELECT part, key, etag, vals FROM rows WHERE tbl = ? AND part = ? AND key = ?"
_QUERY: Final = (
    "SELECT part, key, etag, vals FROM rows WHERE tbl = ? AND part = ? AND key > ? AND key < ? ORDER BY key LIMIT ?"
)
_SCAN: Final = (
    "SELECT part, key, etag, vals FROM rows WHERE tbl = ? AND (part, key) > (?, ?) AND part <= ? "
    "ORDER BY part, key LIMIT ?"
)
_REPLACE: Final = "UPDATE rows SET etag = ?, vals = ? WHERE tbl = ? AND part = ? AND key = ? AND etag = ?"
_DELETE: Final = "DELETE FROM rows WHERE tbl = ? AND part = ? AND key = ? AND etag = coalesce(?, etag)"
BEYOND_ALL_KEYS: Final = "\U0010ffff"
_DELETE_VERSION: Final = "DELETE FROM rows WHERE tbl = ? AND part = ? AND key = ? AND etag = ?"
_EXISTS: Final = "SELECT 1 FROM rows WHERE tbl = ? AND part = ? AND key = ?"


class EmbeddedTables:
    """The tables port over SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def place(self) -> Place:
        """Where the tables lie."""
        return Place(self._database.file.name)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def insert(self, table: str, rows: Sequence[Row]) -> frozenset[str]:
        """Insert those of the rows that are absent; see the port."""
        table = limits.table_name(table)
        limits.check_rows(rows)
        records = [(table, row.partition, row.key, _new_etag(), _pack(row.values)) for row in rows]

        def work(connection: sqlite3.Connection) -> frozenset[str]:
            return frozenset(record[2] for record in records if connection.execute(_INSERT, record).rowcount == 1)

        return await self._database.write(work)

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """Return the row, or ``None``."""
        where = (limits.table_name(table), partition, key)
        record = await self._database.read(lambda connection: connection.execute(_GET, where).fetchone())
        return _row(record) if record else None

    async def query(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Row]:
        """Yield the rows of one partition between two keys; see the port."""
        table = limits.table_name(table)
        end = BEYOND_ALL_KEYS if before is None else before
        while limit is None or limit > 0:
            wanted = _page_rows(limit)
            page = await self._page(_QUERY, (table, partition, after, end, wanted))
            for row in page.rows:
                yield row
            if page.last:
                return
            after = page.rows[-1].key
            limit = None if limit is None else limit - len(page.rows)

    async def scan(self, table: str, *, first: str, last: str, limit: int | None = None) -> AsyncIterator[Row]:
        """Yield the rows of a range of partitions; see the port."""
        table = limits.table_name(table)
        partition, key = first, ""
        while limit is None or limit > 0:
            wanted = _page_rows(limit)
            page = await self._page(_SCAN, (table, partition, key, last, wanted))
            for row in page.rows:
                yield row
            if page.last:
                return
            partition, key = page.rows[-1].partition, page.rows[-1].key
            limit = None if limit is None else limit - len(page.rows)

    async def replace(self, table: str, row: Row) -> Row:
        """Replace the row if its version is still the same; see the port."""
        limits.check_row(row)
        etag = _new_etag()
        record = (etag, _pack(row.values), limits.table_name(table), row.partition, row.key, row.etag)
        if not await self._database.write(lambda connection: connection.execute(_REPLACE, record).rowcount):
            raise StaleError("the row was changed or deleted since it was read")
        return replace(row, etag=etag)

    async def change(self, table: str, *, replaced: Sequence[Row] = (), deleted: Sequence[Row] = ()) -> None:
        """Replace and delete rows of one partition; see the port."""
        table = limits.table_name(table)
        limits.check_change(replaced, deleted)
        jobs: list[tuple[str, tuple[Any, ...]]] = [
            (_REPLACE, (_new_etag(), _pack(row.values), table, row.partition, row.key, row.etag)) for row in replaced
        ]
        jobs += [(_DELETE_VERSION, (table, row.partition, row.key, row.etag)) for row in deleted]

        def work(connection: sqlite3.Connection) -> None:
            for statement, parameters in jobs:
                if not connection.execute(statement, parameters).rowcount:
                    raise StaleError("a row was changed or deleted since it was read")

        await self._database.write(work)

    async def delete(self, table: str, partition: str, key: str, *, etag: str | None = None) -> bool:
        """Delete the row; see the port."""
        where = (limits.table_name(table), partition, key)

        def work(connection: sqlite3.Connection) -> bool:
            if connection.execute(_DELETE, (*where, etag)).rowcount:
                return True
            if connection.execute(_EXISTS, where).fetchone():
                raise StaleError("the row was changed since it was read")
            return False

        return await self._database.write(work)

    async def _page(self, sql: str, parameters: tuple[Any, ...]) -> _Page:
        """Read rows until the page is as full as Azure would make it."""

        def work(connection: sqlite3.Connection) -> _Page:
            rows: list[Row] = []
            size = 0
            for record in connection.execute(sql, parameters):
                rows.append(_row(record))
                size += len(record[3])
                if size > limits.PAGE_BYTES:
                    return _Page(rows, last=False)
            return _Page(rows, last=len(rows) < parameters[-1])

        return await self._database.read(work)


class _Page:
    """Some rows, and whether there are no more."""

    __slots__ = ("last", "rows")

    def __init__(self, rows: list[Row], *, last: bool) -> None:
        self.rows = rows
        self.last = last


def _page_rows(limit: int | None) -> int:
    return limits.PAGE_ROWS if limit is None else min(limit, limits.PAGE_ROWS)


def _new_etag() -> str:
    """Return a version that never comes twice, not even for a row deleted and inserted again."""
    return secrets.token_hex(8)


def _row(record: tuple[str, str, str, bytes]) -> Row:
    partition, key, etag, packed = record
    return Row(partition, key, _unpack(packed), etag)


def _pack(values: Mapping[str, Value]) -> bytes:
    return orjson.dumps(dict(values), default=_pack_bytes)


def _pack_bytes(value: bytes) -> dict[str, str]:
    """Wrap bytes, for which JSON has no type, as an object around their base64."""
    return {"base64": base64.b64encode(value).decode()}


def _unpack(packed: bytes) -> dict[str, Value]:
    return {
        name: base64.b64decode(value["base64"]) if isinstance(value, dict) else value
        for name, value in orjson.loads(packed).items()
    }
