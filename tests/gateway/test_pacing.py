"""Sends are held back to an account's rate."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from functions.gateway.pacing import Pacer

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


class SleepingClock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch):
    """Let sleeping take no time."""
    clock = SleepingClock()
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return clock


async def test_turns_come_at_the_rate(clock):
    """Twenty turns at four a second take five seconds, less the one that was free."""
    pacer = Pacer(clock)
    moments = []
    for _ in range(20):
        assert await pacer.turn("a", 4, START + timedelta(minutes=1))
        moments.append((clock.now - START).total_seconds())

    assert moments == sorted(moments)
    assert moments[-1] == pytest.approx(4.5, abs=0.26)
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert all(gap == pytest.approx(0.25) for gap in gaps)


async def test_an_idle_account_saves_nothing_up(clock):
    """After an hour of silence an account may not send an hour's share at once."""
    pacer = Pacer(clock)
    await pacer.turn("a", 2, START + timedelta(hours=2))
    clock.now += timedelta(hours=1)
    before = clock.now
    for _ in range(10):
        assert await pacer.turn("a", 2, START + timedelta(hours=2))

    assert (clock.now - before).total_seconds() >= 4


async def test_accounts_do_not_hold_each_other_back(clock):
    """One account's rate is none of another's business."""
    pacer = Pacer(clock)
    for account in "abcdefgh":
        assert await pacer.turn(account, 0.1, START + timedelta(seconds=1))
    assert clock.now == START


async def test_a_turn_that_comes_too_late_is_not_taken(clock):
    """What cannot be sent in time takes no turn, so it costs those that can nothing."""
    pacer = Pacer(clock)
    deadline = START + timedelta(seconds=3)
    taken = [await pacer.turn("a", 1, deadline) for _ in range(50)]

    assert 3 <= sum(taken) <= 4
    assert pacer.backlog("a") <= 1


async def test_the_backlog_is_the_wait_for_the_next_turn():
    """Whoever asks how long an account is busy is told the seconds until its next free moment."""
    pacer = Pacer(lambda: START)
    assert pacer.backlog("a") == 0
    waiting = [asyncio.create_task(pacer.turn("a", 10, START + timedelta(minutes=1))) for _ in range(5)]
    await asyncio.sleep(0)
    assert pacer.backlog("a") == pytest.approx(0.5)
    for task in waiting:
        task.cancel()


async def test_a_clock_that_is_set_back_keeps_nobody_waiting(clock):
    """What was given out by the clock of before moves with it: the rate holds, and nobody waits for an hour."""
    pacer = Pacer(clock)
    for _ in range(10):
        assert await pacer.turn("a", 1.0, clock() + timedelta(seconds=60))
    before = pacer.backlog("a")
    clock.now -= timedelta(hours=1)
    assert pacer.backlog("a") == before
    begun = clock()
    for _ in range(10):
        assert await pacer.turn("a", 1.0, clock() + timedelta(seconds=60))
    assert 9 <= (clock() - begun).total_seconds() <= 11
