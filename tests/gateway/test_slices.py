"""Many things are done a few at a time, and all of them."""

from __future__ import annotations

import asyncio

import pytest

from functions.gateway.slices import AT_ONCE, in_slices


async def test_all_is_done_a_few_at_a_time():
    """Everything is done before it returns, never more at once than allowed, and as many as allowed."""
    running, most, done = 0, 0, []

    async def work(item):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(item)

    await in_slices(iter(range(2 * AT_ONCE + 1)), work)

    assert sorted(done) == list(range(2 * AT_ONCE + 1))
    assert most == AT_ONCE


async def test_an_error_is_raised_when_the_rest_of_its_slice_is_done():
    """What stands beside an item that fails is done all the same; what comes after the slice is not begun."""
    done = []

    async def work(item):
        if item == 0:
            raise LookupError(item)
        await asyncio.sleep(0)
        done.append(item)

    with pytest.raises(LookupError):
        await in_slices(range(AT_ONCE + 5), work)

    assert sorted(done) == list(range(1, AT_ONCE))
