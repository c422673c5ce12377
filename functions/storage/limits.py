"""The limits that both storage families keep, so that what works on a laptop is not refused by Azure.

Tables: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model and
https://learn.microsoft.com/azure/storage/tables/scalability-targets. Queues:
https://learn.microsoft.com/azure/storage/queues/scalability-targets and
https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata. Key Vault:
https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates.

A name of the wrong shape is a mistake in our own code and raises ``ValueError`` or ``TypeError``; what depends on the
data and is merely too much raises ``TooLargeError``.
"""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING

from functions.storage.ports import MAX_ROWS_AT_ONCE, Row, StaleError, TooLargeError, Value

if TYPE_CHECKING:
    from collections.abc import Sequence

KIB = 1024
MAX_KEY_CHARACTERS = 512
MAX_PROPERTY_BYTES = 64 * KIB
MAX_PROPERTY_NAME_CHARACTERS = 255
MAX_PROPERTIES = 251
"""255, less the three of the system and the one in which the Azure family marks its writes."""
MAX_ROW_BYTES = 1024 * KIB - 64
"""1 MiB, less that property."""
MAX_TRANSACTION_BYTES = 4096 * KIB
PAGE_ROWS = 1000
PAGE_BYTES = 4096 * KIB
MAX_MESSAGE_BYTES = 48 * KIB
"""64 KiB on the wire, which is what base64 makes of 48 KiB."""
MAX_RECEIVE = 32
MAX_HIDDEN_SECONDS = 7 * 24 * 3600
MAX_SECRET_BYTES = 25_000

WRITE_MARK = "_write"
"""The property in which the Azure family marks each write; callers cannot use the name."""

_TABLE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{2,62}")
_QUEUE_NAME = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")
_SECRET_NAME = re.compile(r"[A-Za-z0-9-]{1,127}")
_PROPERTY_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[^/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff\U00010000-\U0010ffff]+")
_RESERVED_NAMES = frozenset({"PartitionKey", "RowKey", "Timestamp", WRITE_MARK})
_INT64 = range(-(2**63), 2**63)
_ENVELOPE_BYTES = 1024  # headers and boundaries around one row of a transaction, generously


def table_name(name: str) -> str:
    """Return the name in lower case, since Azure does not tell cases apart.

    Raises:
        ValueError: It is not a table name.
    """
    if not _TABLE_NAME.fullmatch(name) or name.lower() == "tables":
        raise ValueError(f"not a table name: {name!r} (a letter, then 2 to 62 letters and digits)")
    return name.lower()


def queue_name(name: str) -> str:
    """Return the name.

    Raises:
        ValueError: It is not a queue name.
    """
    if not _QUEUE_NAME.fullmatch(name):
        raise ValueError(f"not a queue name: {name!r} (3 to 63 of a-z, 0-9 and single dashes inside)")
    return name


def secret_name(name: str) -> str:
    """Return the name in lower case, since Key Vault does not tell cases apart.

    Raises:
        ValueError: It is not a secret's name.
    """
    if not _SECRET_NAME.fullmatch(name):
        raise ValueError(f"not a secret's name: {name!r} (1 to 127 letters, digits and dashes)")
    return name.lower()


def check_secret(value: str) -> None:
    """Check a secret's value, which no error text repeats.

    Raises:
        ValueError: It is empty.
        TooLargeError: It is over 25,000 bytes of UTF-8.
    """
    if not value:
        raise ValueError("a secret is not empty")
    if len(value.encode()) > MAX_SECRET_BYTES:
        raise TooLargeError(f"the secret is over {MAX_SECRET_BYTES:,} bytes")


def check_body(body: str) -> bytes:
    """Return the queue body in UTF-8.

    Raises:
        TooLargeError: It is over 48 KiB.
    """
    encoded = body.encode()
    if len(encoded) > MAX_MESSAGE_BYTES:
        raise TooLargeError(f"the queue message has {len(encoded):,} bytes, {MAX_MESSAGE_BYTES:,} are allowed")
    return encoded


def whole_seconds(seconds: float, *, least: int = 0) -> int:
    """Return a time of hiding in whole seconds, rounded up, since Azure takes no fractions.

    Raises:
        ValueError: It is under ``least`` or over 7 days.
    """
    if not least <= seconds <= MAX_HIDDEN_SECONDS:
        raise ValueError(f"{seconds} seconds are not between {least} and {MAX_HIDDEN_SECONDS}")
    return math.ceil(seconds)


def check_receive(limit: int) -> None:
    """Check how many messages are asked for at once.

    Raises:
        ValueError: It is not 1 to 32.
    """
    if not 1 <= limit <= MAX_RECEIVE:
        raise ValueError(f"a receive takes 1 to {MAX_RECEIVE} messages, not {limit}")


def check_rows(rows: Sequence[Row]) -> None:
    """Check rows that are to be inserted in one transaction.

    Raises:
        ValueError: They are none, more than 100, of several partitions, or two have one key; or a key or name is wrong.
        TypeError: A value has a type that no store keeps.
        TooLargeError: A row or all of them together are over the limit.
    """
    _check_transaction(rows)
    _check_sizes(rows)


def check_change(replaced: Sequence[Row], deleted: Sequence[Row]) -> None:
    """Check rows that are to be replaced and deleted in one transaction.

    Raises:
        ValueError: They are none, more than 100, of several partitions, or two have one key; or a key or name is wrong.
        TypeError: A value has a type that no store keeps.
        TooLargeError: A row or all of them together are over the limit.
        StaleError: One was not read from the store.
    """
    _check_transaction([*replaced, *deleted])
    _check_sizes(replaced)
    for row in deleted:
        _check_key(row.partition)
        _check_key(row.key)
    if any(row.etag is None for row in (*replaced, *deleted)):
        raise StaleError("a row was not read from the store")


def _check_transaction(rows: Sequence[Row]) -> None:
    if not 1 <= len(rows) <= MAX_ROWS_AT_ONCE:
        raise ValueError(f"a transaction takes 1 to {MAX_ROWS_AT_ONCE} rows, not {len(rows)}")
    if len({row.partition for row in rows}) > 1:
        raise ValueError("the rows of one transaction have one partition")
    if len({row.key for row in rows}) < len(rows):
        raise ValueError("the rows of one transaction have distinct keys")


def _check_sizes(rows: Sequence[Row]) -> None:
    sizes = [check_row(row) for row in rows]
    # Nothing grows more than sixfold per character, threefold per counted byte, on its way into JSON.
    if 3 * sum(sizes) + _ENVELOPE_BYTES * len(rows) > MAX_TRANSACTION_BYTES:
        wire = sum(_wire_bytes(row) for row in rows)
        if wire > MAX_TRANSACTION_BYTES:
            raise TooLargeError(f"the rows have {wire:,} bytes on the wire, {MAX_TRANSACTION_BYTES:,} are allowed")


def check_row(row: Row) -> int:
    """Check one row and return its size in bytes as Azure counts it.

    Raises:
        ValueError: A key or a property's name is wrong, a float is not finite or a text has no UTF-8.
        TypeError: A value has a type that no store keeps.
        TooLargeError: A key, a property or the row is over the limit.
    """
    for key in (row.partition, row.key):
        _check_key(key)
    if len(row.values) > MAX_PROPERTIES:
        raise TooLargeError(f"the row has {len(row.values)} properties, {MAX_PROPERTIES} are allowed")
    size = 4 + 2 * (len(row.partition) + len(row.key))
    for name, value in row.values.items():
        if not _PROPERTY_NAME.fullmatch(name) or len(name) > MAX_PROPERTY_NAME_CHARACTERS or name in _RESERVED_NAMES:
            raise ValueError(f"not a property's name: {name!r}")
        size += 8 + 2 * len(name) + _value_bytes(name, value)
    if size > MAX_ROW_BYTES:
        raise TooLargeError(f"the row has {size:,} bytes, {MAX_ROW_BYTES:,} are allowed")
    return size


def _check_key(key: str) -> None:
    if len(key) > MAX_KEY_CHARACTERS:
        raise TooLargeError(f"a key has {len(key)} characters, {MAX_KEY_CHARACTERS} are allowed")
    if not _KEY.fullmatch(key):
        raise ValueError("a key is empty or has a character that Azure refuses (/ \\ # ?, controls, over U+FFFF)")


def _value_bytes(name: str, value: Value) -> int:
    """Return the size of a value as Azure counts it: UTF-16 for text."""
    match value:
        case str():
            size = 2 * len(value) if value.isascii() else len(value.encode("utf-16-le"))
        case bytes():
            size = len(value)
        case bool():
            return 1
        case int():
            if value not in _INT64:
                raise TooLargeError(f"{name} is not a 64 bit integer")
            return 8
        case float():
            if not math.isfinite(value):
                raise ValueError(f"{name} is not a finite number")
            return 8
        case _:
            raise TypeError(f"{name} is a {type(value).__name__}; a row holds str, int, float, bool and bytes")
    if size > MAX_PROPERTY_BYTES:
        raise TooLargeError(f"{name} has {size:,} bytes, {MAX_PROPERTY_BYTES:,} are allowed")
    return 4 + size


def _wire_bytes(row: Row) -> int:
    """Return about how many bytes the row takes in a request: JSON with escapes, bytes in base64."""
    size = _ENVELOPE_BYTES + len(json.dumps(row.partition)) + len(json.dumps(row.key))
    for name, value in row.values.items():
        # Each name comes twice, the second time with the type of its value.
        size += 2 * len(name) + 32 + (len(value) * 4 // 3 + 4 if isinstance(value, bytes) else len(json.dumps(value)))
    return size
