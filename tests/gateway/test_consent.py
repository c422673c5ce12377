"""The opt-out list: last word wins, replays change nothing, every process sees what another recorded."""

from __future__ import annotations

import asyncio
import itertools
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.gateway.consent import ALL_SENDERS, Entry, OptOuts
from functions.storage.counting import counted
from functions.storage.embedded import open_embedded

NUMBERS = itertools.count(2_000_000)
ANN, SENDER = "+14255550101", "+18885550100"


@pytest.fixture
def opt_outs(storage, clock):
    return OptOuts(storage.tables, clock)


def entry(at, *, out: bool = True, sender: str = SENDER) -> Entry:
    return Entry(ANN, sender, opted_out=out, at=at, source="keyword")


async def test_stop_and_start(opt_outs, clock) -> None:
    """STOP blocks the number for the sender, START lifts it."""
    assert await opt_outs.record(entry(clock()))
    assert opt_outs.blocked(ANN, SENDER)
    assert not opt_outs.blocked(ANN, "+18885550111")
    clock.advance(1)
    assert await opt_outs.record(entry(clock(), out=False))
    assert not opt_outs.blocked(ANN, SENDER)


async def test_an_opt_out_from_all_senders_blocks_each(opt_outs, clock) -> None:
    """An opt-out without a sender holds for every sender, and a START to one does not lift it."""
    await opt_outs.record(entry(clock(), sender=ALL_SENDERS))
    clock.advance(1)
    await opt_outs.record(entry(clock(), out=False))

    assert opt_outs.blocked(ANN, SENDER)


async def test_an_old_stop_changes_nothing(opt_outs, clock) -> None:
    """A STOP that is delivered again after a START is the older word."""
    stopped = clock()
    await opt_outs.record(entry(stopped))
    clock.advance(60)
    await opt_outs.record(entry(clock(), out=False))

    assert not await opt_outs.record(entry(stopped))
    assert not opt_outs.blocked(ANN, SENDER)


async def test_a_start_of_somebody_who_is_in_changes_nothing(opt_outs, clock) -> None:
    """START, or YES as an answer, means nothing for a number that is not opted out, yet is the later word."""
    assert not await opt_outs.record(entry(clock(), out=False))

    assert not await opt_outs.record(entry(clock() - timedelta(minutes=1)))
    assert not opt_outs.blocked(ANN, SENDER)


async def test_another_process_sees_it_at_its_next_check(storage, tmp_path, clock) -> None:
    """What one process records another sees when it refreshes, for one request."""
    here, counter = counted(storage)
    mine, theirs = OptOuts(here.tables, clock), OptOuts(open_embedded(tmp_path / "gateway.db").tables, clock)
    await mine.refresh()
    await theirs.record(entry(clock()))
    counter.reset()

    await mine.refresh()

    assert mine.blocked(ANN, SENDER)
    assert counter.total == 1


async def test_a_write_that_arrives_late_is_still_read(storage, clock) -> None:
    """An entry with a key a minute older than the newest one read, as a slow clock writes it, is not missed."""
    reader, writer = OptOuts(storage.tables, clock), OptOuts(storage.tables, clock)
    await writer.record(entry(clock(), sender="+18885550111"))
    await reader.refresh()
    clock.advance(-60)
    await OptOuts(storage.tables, clock).record(entry(clock()))

    await reader.refresh()

    assert reader.blocked(ANN, SENDER)


async def test_checks_at_once_share_a_reading(storage, clock) -> None:
    """Twenty checks that come together cost two readings at most: the one under way and the next."""
    here, counter = counted(storage)
    opt_outs = OptOuts(here.tables, clock)

    await asyncio.gather(*(opt_outs.refresh() for _ in range(20)))

    assert counter.total <= 2


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=12))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_latest_word_holds_in_any_order(storage, clock, words) -> None:
    """Whatever order words arrive in, all processes agree, and the latest holds; of two at once, the opt-out."""
    number = f"+1425{next(NUMBERS)}"
    base = clock()
    mine, theirs = OptOuts(storage.tables, clock), OptOuts(storage.tables, clock)
    for seconds, out in words:
        await mine.record(Entry(number, SENDER, opted_out=out, at=base + timedelta(seconds=seconds), source="keyword"))
    await theirs.refresh()

    latest = max(words, default=(0, False))
    assert mine.blocked(number, SENDER) is theirs.blocked(number, SENDER)
    assert mine.blocked(number, SENDER) is latest[1]
