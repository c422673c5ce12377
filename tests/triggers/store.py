"""Looks into the embedded store's file from outside, as somebody who has found it would."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any


def _read(path: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()


def rows(path: Path) -> list[tuple[Any, ...]]:
    """Return all rows of all tables."""
    return _read(path, "SELECT tbl, part, key, etag, vals FROM rows ORDER BY tbl, part, key")


def table(path: Path, name: str) -> list[dict[str, Any]]:
    """Return the values of one table's rows."""
    return [json.loads(row[4]) for row in rows(path) if row[0] == name]


def queued(path: Path) -> list[tuple[Any, ...]]:
    """Return all queue messages."""
    return _read(path, "SELECT queue, body FROM messages ORDER BY id")


def secrets(path: Path) -> dict[str, str]:
    """Return what the secret store holds by name; a deleted name is not in it."""
    return dict(_read(path, "SELECT name, value FROM secrets WHERE value IS NOT NULL ORDER BY name"))


def dump(path: Path) -> list[Any]:
    """Return everything, versions included, so that two dumps differ when anything was written."""
    return [rows(path), queued(path), _read(path, "SELECT name, value FROM secrets ORDER BY name")]
