"""The storage the gateway is written against: tables, queues and secrets.

Two families implement these ports, ``embedded`` (SQLite) and ``azure`` (Table Storage, Storage Queues, Key Vault). One
contract suite runs against both, so whatever is promised here holds on a laptop and in a subscription alike.

The limits are those of Azure: https://learn.microsoft.com/azure/storage/tables/scalability-targets and
https://learn.microsoft.com/azure/storage/queues/scalability-targets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

Value = str | int | float | bool | bytes
"""What one property of a row may hold: ``int`` is 64 bit signed, ``bytes`` and ``str`` at most 64 KiB each."""

MAX_ROWS_AT_ONCE = 100
"""The most rows that one atomic insert or change takes."""


class Fault(Enum):
    """What kept a store from doing what it was asked, as far as people can do something about it."""

    FAILED = "failed"
    """It answered, and something went wrong on its side."""
    REFUSED = "refused"
    """It does not let the app do that: a role, a key or a network rule."""
    UNREACHABLE = "unreachable"
    """Nothing answers at its address."""


class StorageError(Exception):
    """The store could not do what it was asked; the operation may be tried again.

    Args:
        text: What happened, without any of our data.
        fault: What kept it.
        remedy: What to do about it, where the store's answer tells; empty otherwise.
    """

    def __init__(self, text: str, *, fault: Fault = Fault.FAILED, remedy: str = "") -> None:
        super().__init__(text)
        self.fault = fault
        self.remedy = remedy


class StaleError(Exception):
    """What was read is not what is there now: a row changed, a queue message passed on, a secret's name used up."""


class TooLargeError(Exception):
    """A row, a property, a queue message or a secret is over the store's limit; trying again will not help."""


@dataclass(frozen=True, slots=True)
class Row:
    r"""One row of a table.

    Args:
        partition: The partition key, 1 to 512 characters of the Basic Multilingual Plane, none of ``/ \ # ?`` and no
            control characters. Keys sort by code point.
        key: The row key, the same rules; unique within its partition.
        values: At most 251 properties by name; names match ``[A-Za-z_][A-Za-z0-9_]*``, floats are finite.
        etag: The version as the store gave it; ``None`` on a row that was not read from the store.
    """

    partition: str
    key: str
    values: Mapping[str, Value] = field(default_factory=dict)
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a port leads, for people who look for the reason why it does not work.

    Args:
        resource: The name of the storage account, vault or file.
        address: Where it is reached, without a key or signature; empty for a file.
        role: The role that the app's identity needs there; empty where a key or the file's owner decides.
    """

    resource: str
    address: str = ""
    role: str = ""


class Tables(Protocol):
    """Rows under a partition key and a row key, sorted by both; tables come into being on first use."""

    @property
    def place(self) -> Place:
        """Where the tables lie."""
        ...

    async def insert(self, table: str, rows: Sequence[Row]) -> frozenset[str]:
        """Insert those of the rows that are absent, atomically, and leave those that are there as they are.

        Args:
            table: Letters and digits, a letter first, 3 to 63 characters; upper and lower case are the same.
            rows: 1 to 100 rows of one partition with distinct keys, 4 MiB together on the wire (bytes travel in
                base64), 1 MiB each.

        Returns:
            The keys this call inserted; a key that is missing from it was there before. A retry inside the call
            after a lost answer does not count as "there before", so an insert is a claim that one caller wins.

        Raises:
            TooLargeError: A row is over the limit.
            StorageError: The store did not answer; the rows may or may not be there, and a second call cannot tell
                whose they are. A caller that must know puts a mark of its own into the row and reads it back.
        """
        ...

    async def get(self, table: str, partition: str, key: str) -> Row | None:
        """Return the row, or ``None``."""
        ...

    def query(
        self, table: str, partition: str, *, after: str = "", before: str | None = None, limit: int | None = None
    ) -> AsyncIterator[Row]:
        """Yield the rows of one partition whose key is > ``after`` and < ``before``, in key order, at most ``limit``.

        Read page by page (1,000 rows a request), so stopping early costs nothing more.
        """
        ...

    def scan(self, table: str, *, first: str, last: str, limit: int | None = None) -> AsyncIterator[Row]:
        """Yield the rows of all partitions from ``first`` to ``last``, both included, in (partition, key) order."""
        ...

    async def replace(self, table: str, row: Row) -> Row:
        """Replace the whole row if its version is still ``row.etag``.

        Returns:
            The row with its new etag.

        Raises:
            StaleError: It was changed or deleted since, or ``row.etag`` is ``None``.
            TooLargeError: The row is over the limit.
            StorageError: The store did not answer; the row may or may not be replaced.
        """
        ...

    async def change(self, table: str, *, replaced: Sequence[Row] = (), deleted: Sequence[Row] = ()) -> None:
        """Replace and delete rows of one partition, all of them or none, each only at the version that was read.

        Args:
            table: The table.
            replaced: Rows with the etag they were read with and their new values, 4 MiB together on the wire.
            deleted: Rows with the etag they were read with; their values do not matter. Together with ``replaced`` 1
                to 100 rows of one partition with distinct keys.

        Raises:
            StaleError: One of them was changed or deleted since, or has no etag, and nothing was done. After a retry
                inside the call it may have been done all the same: read again and do what is left.
            TooLargeError: A row is over the limit.
            StorageError: The store did not answer; it may or may not be done.
        """
        ...

    async def delete(self, table: str, partition: str, key: str, *, etag: str | None = None) -> bool:
        """Delete the row, whatever its version unless ``etag`` is given; tell whether it was there.

        The answer is for people, not a claim: after a retry inside the call it may be ``False`` for the one who
        deleted the row.

        Raises:
            StaleError: ``etag`` is given and is not the row's version any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class QueueItem:
    """One message as received from a queue.

    Args:
        id: The store's id of the message.
        receipt: What ``extend`` and ``delete`` need; changes with every ``extend``.
        body: The text that was put.
        dequeue_count: How often it was received, this time included.
        inserted: When it was put, seconds since the epoch.
        expires: When the store drops it, seconds since the epoch.
        decoded: ``False`` if the text on the wire was not base64 of UTF-8, which ``put`` never writes; ``body`` is then
            that text as it came, and the Functions host would put the message aside as poison.
    """

    id: str
    receipt: str
    body: str
    dequeue_count: int
    inserted: float
    expires: float
    decoded: bool = True


class Queues(Protocol):
    """At-least-once queues; a queue comes into being on the first ``put``."""

    @property
    def place(self) -> Place:
        """Where the queues lie."""
        ...

    async def put(self, queue: str, body: str, *, delay: float = 0.0) -> None:
        """Add a message that becomes visible after ``delay`` seconds (at most 7 days); it never expires.

        The text goes over the wire in base64, as the Functions queue trigger expects it. Fractions of a second are
        rounded up, here and in every other duration, since Azure counts in whole seconds.

        Args:
            queue: Lower case letters, digits and single dashes, 3 to 63 characters.
            body: At most 48 KiB of UTF-8.
            delay: Seconds, 0 to 7 days.

        Raises:
            TooLargeError: The body is over 48 KiB of UTF-8.
            StorageError: The store did not answer; the message may or may not be there, or even be there twice.
        """
        ...

    async def receive(self, queue: str, *, limit: int, visibility: float) -> list[QueueItem]:
        """Take up to ``limit`` (1-32) messages and hide them for ``visibility`` seconds (1 second to 7 days).

        A missing queue is empty. The order is roughly that of arrival and nothing to rely on.
        """
        ...

    async def extend(self, queue: str, item: QueueItem, *, visibility: float) -> QueueItem:
        """Hide a received message for ``visibility`` seconds from now (0 gives it back) and return its new receipt.

        A receipt stays good until the message is received or extended again, even when its time has run out.

        Raises:
            StaleError: Someone else holds the message, or it is gone.
        """
        ...

    async def delete(self, queue: str, item: QueueItem) -> None:
        """Delete a received message.

        Raises:
            StaleError: Someone else holds the message, or it is gone.
        """
        ...

    async def length(self, queue: str) -> int:
        """Return about how many messages the queue holds, hidden ones included; 0 when there is no such queue."""
        ...


class Secrets(Protocol):
    """Secret texts under immutable names: a name is written once, read often, then deleted and never used again."""

    @property
    def place(self) -> Place:
        """Where the secrets lie."""
        ...

    async def set(self, name: str, value: str) -> None:
        """Keep the value under the name.

        Writing the same again (a retry) is fine. Another value under a name in use is a mistake: a process that has
        read the old one goes on with it.

        Args:
            name: Letters, digits and dashes, 1 to 127 characters; upper and lower case are the same.
            value: 1 to 25,000 bytes of UTF-8.

        Raises:
            StaleError: The name was deleted before; Key Vault keeps deleted names for its retention period.
            TooLargeError: The value is over the limit.
        """
        ...

    async def get(self, name: str) -> str | None:
        """Return the value, or ``None``; values are cached for the life of the process since names are immutable."""
        ...

    async def delete(self, name: str) -> None:
        """Delete the secret if it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Storage:
    """The three ports, made together and closed together."""

    tables: Tables
    queues: Queues
    secrets: Secrets

    async def close(self) -> None:
        """Close whatever the ports hold open."""
        for port in (self.tables, self.queues, self.secrets):
            close = getattr(port, "close", None)
            if close is not None:
                await close()
