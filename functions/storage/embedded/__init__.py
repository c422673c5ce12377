"""The storage family for a laptop, a test or a single machine: one SQLite file, nothing else to install or run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from functions.storage.embedded.database import Database
from functions.storage.embedded.queues import EmbeddedQueues
from functions.storage.embedded.secrets import EmbeddedSecrets
from functions.storage.embedded.tables import EmbeddedTables
from functions.storage.ports import Storage

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["open_embedded"]


def open_embedded(path: str | os.PathLike[str], clock: Callable[[], float] = time.time) -> Storage:
    """Open the file, made readable for its owner only if it is not there, and return the three ports over it.

    Several processes may open one file at once. A port can be taken out and used beside those of another family, as in
    ``Storage(tables=..., queues=..., secrets=open_embedded(path).secrets)``; closing any of the three closes the file.

    Args:
        path: The SQLite file; its directory is made if it is missing. It must be on a disk of this machine, since
            SQLite's write-ahead log does not work over a network (https://sqlite.org/wal.html).
        clock: Seconds since the epoch, for the times of queue messages.

    Raises:
        StorageError: The file cannot be opened or is no database of ours.
    """
    database = Database(path)
    return Storage(EmbeddedTables(database), EmbeddedQueues(database, clock), EmbeddedSecrets(database))
