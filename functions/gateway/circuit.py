"""Stops calling an account whose calls fail one after another, within this process.

A call without an answer may have sent its messages, and where the vendor neither recognises a repeat nor has a log to
look into, nobody will ever know. So the fewer calls are made into an outage, the fewer messages end ``unknown``; those
that wait are sent once a trial call is answered. Known as a circuit breaker:
https://learn.microsoft.com/azure/architecture/patterns/circuit-breaker.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.gateway.clock import Clock

FAILURES_IN_A_ROW = 5
"""After which an account is not called; with one call in twenty lost by chance, that happens once in three million."""


@dataclass(slots=True)
class _Circuit:
    """What is known of an account.

    Args:
        failures: How many calls failed since one was answered.
        opened: Whether calls are held back.
        wait: Seconds from one trial call to the next.
        until: When the next trial is due.
        trial_until: Until when a trial is waited for that is under way; ``None`` when none is.
    """

    failures: int
    opened: bool
    wait: float
    until: datetime
    trial_until: datetime | None = None

    def left(self, now: datetime) -> float:
        """Return the seconds until a trial is due; when a clock was set back, those that it counted then are over."""
        left = (self.until - now).total_seconds()
        if self.trial_until is not None and now < self.trial_until:
            left = max(left, min(self.wait, (self.trial_until - now).total_seconds()))
        return left if 0.0 < left <= self.wait else 0.0


class CircuitBreaker:
    """Says which accounts may be called.

    Args:
        clock: The time now, in UTC.
        shortest: Seconds from the failure that opens the circuit to the first trial; doubled each time a trial fails.
        longest: The most seconds between two trials.
        trial: For how many seconds a trial call is waited for before another is made beside it.
    """

    def __init__(self, clock: Clock, *, shortest: float, longest: float, trial: float = 0.0) -> None:
        self._clock = clock
        self._shortest = shortest
        self._longest = longest
        self._trial = timedelta(seconds=trial)
        self._circuits: dict[str, _Circuit] = {}

    def held(self, account: str) -> float:
        """Return the seconds until the account may be called."""
        circuit = self._circuits.get(account)
        if circuit is None or not circuit.opened:
            return 0.0
        return circuit.left(self._clock())

    def may_call(self, account: str) -> bool:
        """Tell whether a call may be begun now; when a trial is due, the first to ask makes it."""
        circuit = self._circuits.get(account)
        if circuit is None or not circuit.opened:
            return True
        now = self._clock()
        if circuit.left(now):
            return False
        circuit.until, circuit.trial_until = now + timedelta(seconds=circuit.wait), now + self._trial
        return True

    def called(self, account: str, *, failed: bool) -> float:
        """Take note of how a call ended.

        Args:
            account: Whose call it was.
            failed: Whether the vendor did not answer, or only that it could not deal with anything.

        Returns:
            For how many seconds calls are held back from now on because of it; 0 where it changed nothing.
        """
        if not failed:
            self._circuits.pop(account, None)
            return 0.0
        now = self._clock()
        circuit = self._circuits.setdefault(account, _Circuit(0, opened=False, wait=self._shortest, until=now))
        circuit.failures += 1
        if circuit.trial_until is not None:
            circuit.wait = min(2 * circuit.wait, self._longest)
        elif circuit.opened or circuit.failures < FAILURES_IN_A_ROW:
            # Calls that were under way when the circuit opened tell nothing new.
            return 0.0
        circuit.opened, circuit.trial_until, circuit.until = True, None, now + timedelta(seconds=circuit.wait)
        return circuit.wait
