"""The folder that keeps the demo's data, and who may use it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO


class FolderError(Exception):
    """The folder cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Where the demo keeps what outlives it.

    Args:
        path: The folder; made on first use.
    """

    path: Path

    @property
    def store(self) -> Path:
        """The gateway's tables, queues and secrets."""
        return self.path / "gateway.db"

    @property
    def journal(self) -> Path:
        """The sandbox's memory."""
        return self.path / "sandbox.jsonl"

    @property
    def keys(self) -> Path:
        """The access keys."""
        return self.path / "keys.json"

    @property
    def log(self) -> Path:
        """What both servers log."""
        return self.path / "demo.log"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Use the folder as the only demo.

        Raises:
            FolderError: It cannot be written to, or another demo uses it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            handle = (self.path / "lock").open("a")
        except OSError as error:
            raise FolderError(f"{self.path} cannot be used: {error.strerror}; choose another with --data.") from error
        with handle:
            if not _locked(handle):
                raise FolderError(f"Another demo uses {self.path}; stop it, or choose another folder with --data.")
            yield

    def clear(self) -> None:
        """Delete what the demo keeps here, and nothing else."""
        database = [self.store.with_name(self.store.name + end) for end in ("", "-wal", "-shm")]
        for file in (*database, self.journal, self.keys, self.log):
            file.unlink(missing_ok=True)


def _locked(handle: IO[str]) -> bool:
    """Lock a file until it is closed, also by the end of the process; tell whether it was free."""
    try:
        if os.name == "nt":
            import msvcrt  # noqa: PLC0415 - exists on Windows only

            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl  # noqa: PLC0415 - exists everywhere else

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
