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
        on_trial: Whether one is under way.
    """

    failures: int
    opened: bool
    wait: float
    until: datetime
    on_trial: bool = False


class CircuitBreaker:
    """Says which accounts may be called.

    Args:
        clock: The time now, in UTC.
        shortest: Seconds from the failure that opens the circuit to the first trial; doubled each time a trial fails.
        longest: The most seconds between two trials.
    """

    def __init__(self, clock: Clock, *, shortest: float, longest: float) -> None:
        self._clock = clock
        self._shortest = shortest
        self._longest = longest
        self._circuits: dict[str, _Circuit] = {}

    def held(self, account: str) -> float:
        """Return the seconds until the account may be called."""
        circuit = self._circuits.get(account)
        if circuit is None or not circuit.opened:
            return 0.0
        return max(0.0, (circuit.until - self._clock()).total_seconds())

    def may_call(self, account: str) -> bool:
        """Tell whether a call may be begun now; when a trial is due, the first to ask makes it."""
        circuit = self._circuits.get(account)
        if circuit is None or not circuit.opened:
            return True
        now = self._clock()
        if now < circuit.until:
            return False
        circuit.until, circuit.on_trial = now + timedelta(seconds=circuit.wait), True
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
        if circuit.on_trial:
            circuit.wait = min(2 * circuit.wait, self._longest)
        elif circuit.opened or circuit.failures < FAILURES_IN_A_ROW:
            # Calls that were under way when the circuit opened tell nothing new.
            return 0.0
        circuit.opened, circuit.on_trial, circuit.until = True, False, now + timedelta(seconds=circuit.wait)
        return circuit.wait
