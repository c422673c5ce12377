"""Holds sends back to the rate that a vendor grants an account, within this process."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from functions.gateway.clock import Clock

_BURST = timedelta(seconds=1)
"""How far behind the clock a free slot may lie: an account that was idle may use the last second's share at once."""


class Pacer:
    """Gives out the moments at which an account may be called."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: dict[str, datetime] = {}
        self._now = clock()

    def backlog(self, account: str) -> float:
        """Return the seconds until the account has a free moment."""
        now = self._tick()
        return max(0.0, (self._next.get(account, now) - now).total_seconds())

    async def turn(self, account: str, per_second: float, deadline: datetime) -> bool:
        """Wait for the account's next free moment and take it.

        Args:
            account: Whose rate it is.
            per_second: The rate.
            deadline: Until when waiting is worth it.

        Returns:
            Whether there was one in time; if not, none was taken.
        """
        now = self._tick()
        moment = max(self._next.get(account, now), now - min(_BURST, timedelta(seconds=1 / per_second)))
        if moment >= deadline:
            return False
        self._next[account] = moment + timedelta(seconds=1 / per_second)
        wait = (moment - now).total_seconds()
        if wait > 0:
            await asyncio.sleep(wait)
        return True

    def _tick(self) -> datetime:
        """Return the time; when the clock was set back, so is what was given out by it."""
        now, before = self._clock(), self._now
        if now < before:
            self._next = {account: moment - (before - now) for account, moment in self._next.items()}
        self._now = now
        return now
