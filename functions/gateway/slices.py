"""Does many small things a few at a time, so that one callback cannot hold tens of thousands of requests open."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice
from typing import TypeVar

from functions.storage.ports import MAX_ROWS_AT_ONCE

T = TypeVar("T")

AT_ONCE = 2 * MAX_ROWS_AT_ONCE
"""As many as fill two transactions, so that one is under way while the next gathers."""


async def in_slices(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    """Do something for each item, ``AT_ONCE`` at a time; when this returns, all of it is done.

    Args:
        items: The items.
        work: What to do for each.

    Raises:
        BaseException: The first error of a slice, once the rest of that slice is done; later slices are not begun.
    """
    left = iter(items)
    while some := list(islice(left, AT_ONCE)):
        ends = await asyncio.gather(*(work(item) for item in some), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end
