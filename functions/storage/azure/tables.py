"""Tables in Azure Table Storage.

**An insert whose answer was lost.** Inserts are claims: who inserts a row may act on it. When the connection breaks
after the service has stored a row, a retry is told that the row exists, and taken at its word it would have everybody
lose the claim. So each write carries a random mark in a property of its own (``_write``). When an insert is told that a
row exists, the mark there is read back: our own means that our first try had gone through. The same holds for a
conditional replace that is told it was too late. The extra read happens only then.

Marks tell who wrote last. If another process replaces the row between our lost answer and our retry, an insert counts
as "there before" and a replace as stale, though it had happened: whoever computes a new value from an old one must be
able to recognise its own work in the row.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.data.tables import EdmType, EntityProperty, TableEntity, UpdateMode

from functions.storage import limits
from functions.storage.azure.errors import code_of, translated
from functions.storage.ports import Place, Row, StaleError, StorageError, Value

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from azure.data.tables.aio import TableClient, TableServiceClient

SERVICE: Final = "Table Storage"
MAX_CONFLICTS: Final = 8
"""How often an insert starts again because rows came into being meanwhile; each time at least one row fewer is left."""
LOST_ANSWER_DELAYS: Final = (0.0, 0.4, 1.2)
"""Seconds before an insert is tried again after a broken connection; azure-core itself does not repeat a POST then."""
MAX_READS_AT_ONCE: Final = 16
HTTP_NO_CONTENT: Final = 204
NO_ECHO: Final = "return-no-content"
STALE_CODES: Final = frozenset({"ResourceNotFound", "TableNotFound", "UpdateConditionNotSatisfied"})
NO_TABLE_CODES: Final = frozenset({"TableNotFound", "ResourceNotFound"})


class AzureTables:
    """The tables port over Table Storage.

    Args:
        client: The account's client; it is closed with the port.
        place: Where it leads.
    """

    def __init__(self, client: TableServiceClient, place: Place) -> None:
        self._client = client
        self._place = place
        self._tables: dict[str, TableClient] = {}

    @property
    def place(self) -> Place:
        """Where the tables lie."""
        return self._place

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def insert(self, table: str, rows: Sequence[Row]) -> frozenset[str]:
        """Insert those of the rows that are absent; see the port and the head of this module."""
        client = self._table(table)
        limits.check_rows(rows)
        mark = _new_mark()
        absent = {row.key: _entity(row, mark) for row in rows}
        ours: set[str] = set()
        with translated(SERVICE):
            for _ in range(MAX_CONFLICTS):
                if await _create(client, list(absent.values())):
                    return frozenset(ours | absent.keys())
                for key, writer in (await _marks(client, rows[0].partition, sorted(absent))).items():
                    del absent[key]
                    if writer == mark:
                        ours.add(key)
                if not absent:
                    return frozenset(ours)
        raise StorageError("rows came and went while they were being inserted")

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """Return the row, or ``None``."""
        with translated(SERVICE):
            entity = await _read(self._table(table), partition, key)
        return None if entity is None else _row(entity)

    def query(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Row]:
        """Yield the rows of one partition between two keys; see the port."""
        condition = "PartitionKey eq @partition and RowKey gt @after"
        parameters = {"partition": partition, "after": after}
        if before is not None:
            condition += " and RowKey lt @before"
            parameters["before"] = before
        return self._select(table, condition, parameters, limit)

    def scan(self, table: str, *, first: str, last: str, limit: int | None = None) -> AsyncIterator[Row]:
        """Yield the rows of a range of partitions; see the port.

        Only ``ge`` and ``le`` on the partition key let the service read the range instead of the whole table:
        https://learn.microsoft.com/azure/storage/tables/table-storage-design-for-query.
        """
        condition = "PartitionKey ge @first and PartitionKey le @last"
        return self._select(table, condition, {"first": first, "last": last}, limit)

    async def replace(self, table: str, row: Row) -> Row:
        """Replace the row if its version is still the same; see the port."""
        client = self._table(table)
        limits.check_row(row)
        if row.etag is None:
            raise StaleError("the row was not read from the store")
        mark = _new_mark()
        with translated(SERVICE):
            try:
                answer = await client.update_entity(
                    _entity(row, mark),
                    mode=UpdateMode.REPLACE,
                    etag=row.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            except ResourceNotFoundError as error:
                raise StaleError("the row was deleted since it was read") from error
            except ResourceModifiedError as error:
                there = await _read(client, row.partition, row.key)
                if there is None or there.get(limits.WRITE_MARK) != mark:
                    raise StaleError("the row was changed since it was read") from error
                return replace(row, etag=there.metadata["etag"])
        return replace(row, etag=answer["etag"])

    async def change(self, table: str, *, replaced: Sequence[Row] = (), deleted: Sequence[Row] = ()) -> None:
        """Replace and delete rows of one partition; see the port."""
        client = self._table(table)
        limits.check_change(replaced, deleted)
        mark = _new_mark()
        operations: list[Any] = [
            ("update", _entity(row, mark), {"mode": UpdateMode.REPLACE} | _only_at(row)) for row in replaced
        ]
        operations += [("delete", {"PartitionKey": row.partition, "RowKey": row.key}, _only_at(row)) for row in deleted]
        with translated(SERVICE):
            try:
                await client.submit_transaction(operations)
            except HttpResponseError as error:
                if code_of(error) in STALE_CODES:
                    raise StaleError("a row was changed or deleted since it was read") from error
                raise

    async def delete(self, table: str, partition: str, key: str, *, etag: str | None = None) -> bool:
        """Delete the row; see the port."""
        condition = MatchConditions.Unconditionally if etag is None else MatchConditions.IfNotModified
        statuses: list[int] = []
        with translated(SERVICE):
            try:
                await self._table(table).delete_entity(
                    partition,
                    key,
                    etag=etag,
                    match_condition=condition,
                    # The client keeps quiet about a row that is not there.
                    raw_response_hook=lambda response: statuses.append(response.http_response.status_code),
                )
            except ResourceModifiedError as error:
                raise StaleError("the row was changed since it was read") from error
        return statuses[-1] == HTTP_NO_CONTENT

    def _table(self, name: str) -> TableClient:
        name = limits.table_name(name)
        client = self._tables.get(name)
        if client is None:
            client = self._tables[name] = self._client.get_table_client(name)
        return client

    async def _select(
        self, table: str, condition: str, parameters: Mapping[str, str], limit: int | None
    ) -> AsyncIterator[Row]:
        if limit is not None and limit <= 0:
            return
        page_rows = limits.PAGE_ROWS if limit is None else min(limit, limits.PAGE_ROWS)
        found = self._table(table).query_entities(condition, parameters=dict(parameters), results_per_page=page_rows)
        left = limit
        with translated(SERVICE):
            try:
                async for entity in found:
                    yield _row(entity)
                    if left is not None:
                        left -= 1
                        if left == 0:
                            return
            except ResourceNotFoundError:
                return  # no such table yet


async def _create(client: TableClient, entities: list[TableEntity]) -> bool:
    """Insert all the entities or, if one of them exists, none; tell which.

    A broken connection leaves open whether they were stored, so the next try may be told that they exist.
    """
    for delay in LOST_ANSWER_DELAYS:
        try:
            return await _create_once(client, entities)
        except (ServiceRequestError, ServiceResponseError):
            await asyncio.sleep(delay)
    return await _create_once(client, entities)


async def _create_once(client: TableClient, entities: list[TableEntity]) -> bool:
    try:
        return await _send(client, entities)
    except HttpResponseError as error:
        if code_of(error) not in NO_TABLE_CODES:
            raise
    try:
        await client.create_table()
    except ResourceExistsError as error:
        if code_of(error) != "TableAlreadyExists":
            raise
    return await _send(client, entities)


async def _send(client: TableClient, entities: list[TableEntity]) -> bool:
    try:
        if len(entities) == 1:
            await client.create_entity(entities[0], response_preference=NO_ECHO)
        else:
            echo = {"response_preference": NO_ECHO}
            await client.submit_transaction([("create", entity, echo) for entity in entities])
    except HttpResponseError as error:
        if code_of(error) == "EntityAlreadyExists":
            return False
        raise
    return True


async def _marks(client: TableClient, partition: str, keys: list[str]) -> dict[str, str | None]:
    """Return those of the sorted keys that exist, each with the mark of its last write.

    One request reads the range of the keys, a filter could not name them all (at most 15 comparisons:
    https://learn.microsoft.com/rest/api/storageservices/querying-tables-and-entities). Should the range hold more other
    rows than fit into a page, the keys beyond it are read one by one.
    """
    if len(keys) == 1:
        return await _marks_one_by_one(client, partition, keys)
    wanted = set(keys)
    pages = client.query_entities(
        "PartitionKey eq @partition and RowKey ge @first and RowKey le @last",
        parameters={"partition": partition, "first": keys[0], "last": keys[-1]},
        select=["RowKey", limits.WRITE_MARK],
    ).by_page()
    marks: dict[str, str | None] = {}
    reached = ""
    async for page in pages:
        async for entity in page:
            reached = entity["RowKey"]
            if reached in wanted:
                marks[reached] = entity.get(limits.WRITE_MARK)
        break
    if pages.continuation_token:  # type: ignore[attr-defined] # azure.core types by_page() too widely
        marks |= await _marks_one_by_one(client, partition, [key for key in keys if key > reached])
    return marks


async def _marks_one_by_one(client: TableClient, partition: str, keys: list[str]) -> dict[str, str | None]:
    at_once = asyncio.Semaphore(MAX_READS_AT_ONCE)

    async def read(key: str) -> TableEntity | None:
        async with at_once:
            return await _read(client, partition, key, select=["RowKey", limits.WRITE_MARK])

    entities = await asyncio.gather(*(read(key) for key in keys))
    return {entity["RowKey"]: entity.get(limits.WRITE_MARK) for entity in entities if entity is not None}


async def _read(client: TableClient, partition: str, key: str, **options: Any) -> TableEntity | None:
    try:
        return await client.get_entity(partition, key, **options)
    except ResourceNotFoundError:
        return None


def _only_at(row: Row) -> dict[str, Any]:
    return {"etag": row.etag, "match_condition": MatchConditions.IfNotModified}


def _new_mark() -> str:
    return secrets.token_urlsafe(12)


def _entity(row: Row, mark: str) -> TableEntity:
    return TableEntity(
        {name: _property(value) for name, value in row.values.items()}
        | {"PartitionKey": row.partition, "RowKey": row.key, limits.WRITE_MARK: mark}
    )


def _property(value: Value) -> Value | EntityProperty:
    """Return the value as the client wants it: it would send a bare ``int`` with 32 bits."""
    if isinstance(value, int) and not isinstance(value, bool):
        return EntityProperty(value, EdmType.INT64)
    return value


def _row(entity: TableEntity) -> Row:
    values = {
        name: value.value if isinstance(value, EntityProperty) else value
        for name, value in entity.items()
        if name not in {"PartitionKey", "RowKey", limits.WRITE_MARK}
    }
    return Row(entity["PartitionKey"], entity["RowKey"], values, entity.metadata["etag"])
