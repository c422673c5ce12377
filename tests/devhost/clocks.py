"""Clocks that a test owns."""

import asyncio
import contextlib
import time


class ManualClock:
    """Stands still until a test moves it."""

    def __init__(self, now=1_700_000_000.0):
        self._now = now
        self._sleepers = []

    def now(self):
        return self._now

    async def sleep(self, seconds):
        until = self._now + seconds
        woken = asyncio.get_running_loop().create_future()
        self._sleepers.append((until, woken))
        await woken

    async def advance(self, seconds):
        """Move on, waking each sleeper at its own time."""
        end = self._now + seconds
        await settle()
        while True:
            self._sleepers = [(until, woken) for until, woken in self._sleepers if not woken.done()]
            due = min((until for until, _ in self._sleepers if until <= end), default=None)
            if due is None:
                break
            self._now = max(self._now, due)
            for until, woken in self._sleepers:
                if until <= self._now and not woken.done():
                    woken.set_result(None)
            await settle()
        self._now = end
        await settle()


class FastClock:
    """Runs a hundred times as fast as the machine's."""

    FACTOR = 100

    def __init__(self, now=1_700_000_000.0):
        self._start = now
        self._origin = time.monotonic()

    def now(self):
        return self._start + (time.monotonic() - self._origin) * self.FACTOR

    async def sleep(self, seconds):
        await asyncio.sleep(seconds / self.FACTOR)


async def settle():
    """Let everything that can run without time passing run."""
    for _ in range(20):
        await asyncio.sleep(0)
    # The embedded store answers from its own thread.
    await asyncio.sleep(0.005)
    for _ in range(20):
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
