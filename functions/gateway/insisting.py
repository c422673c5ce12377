"""Writes what cannot be found out again, with patience for a store that fails for a moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from functions.storage.ports import StorageError

T = TypeVar("T")
_PATIENCE = (0.1, 0.5, 2.0)
"""Seconds between tries."""


async def insist(write: Callable[[], Awaitable[T]]) -> T:
    """Write, and try again for some seconds if the store fails.

    Args:
        write: Makes the write, each time anew.

    Raises:
        StorageError: It failed each time.
    """
    for patience in _PATIENCE:
        try:
            return await write()
        except StorageError:
            await asyncio.sleep(patience)
    return await write()
