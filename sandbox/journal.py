"""What survives kill -9: an append-only file of JSON lines, one fact a line."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Journal:
    """Writes facts, and reads them back after a restart.

    Each line goes to the kernel before `write` returns, so a killed process loses nothing it has spoken of.

    Args:
        path: The file; without one nothing is kept.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: int | None = None

    def read(self) -> Iterator[dict[str, Any]]:
        """Give the facts written so far, oldest first; a line torn by a crash ends the reading."""
        if self._path is None or not self._path.exists():
            return
        with self._path.open("rb") as lines:
            for line in lines:
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError:
                    return

    def open(self) -> None:
        """Begin to write, after the facts that are there; a torn last line is cut off."""
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        written = self._path.read_bytes()
        os.ftruncate(self._file, written.rfind(b"\n") + 1)

    def write(self, kind: str, vendor: str, **fact: Any) -> None:
        """Append one fact.

        Args:
            kind: What sort of fact.
            vendor: Whose; empty for the sandbox as a whole.
            fact: The rest: JSON values or dataclasses.
        """
        if self._file is not None:
            line = orjson.dumps({"kind": kind, "vendor": vendor, **fact}, option=orjson.OPT_APPEND_NEWLINE)
            os.write(self._file, line)

    def close(self) -> None:
        """Stop writing."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
