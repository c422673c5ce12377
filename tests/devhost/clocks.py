"""A clock that a test owns, and waiting for what happens in real time."""

import asyncio
import contextlib

START = 1_700_000_000.0


class ManualClock:
    """Stands still until a test moves it."""

    def __init__(self, now=START):
        self._now = now
        self._sleepers = []

    def now(self):
        return self._now

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, woken))
        await woken

    async def advance(self, seconds):
        """Move on, waking each sleeper at its own time."""
        end = self._now + seconds
        await settle()
        while (due := self._next()) is not None and due <= end:
            self._move(due)
            await settle()
        self._now = end
        await settle()

    async def until(self, condition, limit=3600):
        """Move from sleeper to sleeper until a condition holds, at most ``limit`` seconds."""
        end = self._now + limit
        await settle()
        while not await _value(condition):
            due = self._next()
            assert due is not None, "nothing is waiting any more"
            assert due <= end, "the condition does not come true"
            self._move(due)
            await settle()

    def _next(self):
        self._sleepers = [(until, woken) for until, woken in self._sleepers if not woken.done()]
        return min((until for until, _ in self._sleepers), default=None)

    def _move(self, to):
        self._now = max(self._now, to)
        for until, woken in self._sleepers:
            if until <= self._now and not woken.done():
                woken.set_result(None)


async def settle():
    """Let everything run that can run without time passing."""
    for _ in range(60):
        await asyncio.sleep(0)


async def until(condition, limit=5.0):
    """Wait until a condition holds, at most ``limit`` real seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit):
            while not await _value(condition):
                await asyncio.sleep(0.005)
    assert await _value(condition)


async def _value(condition):
    value = condition()
    return await value if asyncio.iscoroutine(value) else value
