"""Faults on demand: how often what goes wrong, drawn from a seed so that a run can be repeated."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from sandbox.outcomes import Outcome, Step, Trouble, outcome_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Rate = Annotated[float, Field(ge=0, le=1)]
_DRAWS = float(2**64)
_A_MOMENT = 0.1


class Faults(BaseModel):
    """How often what goes wrong at one vendor; rates from 0 (never) to 1 (always).

    Attributes:
        seed: Draws depend on it and on what is sent, never on the order of arrival.
        throttle: 429 without Retry-After, not sent.
        throttle_retry_after: 429 with Retry-After, not sent.
        error_before: 500, not sent.
        error_after: 500, yet sent.
        drop_before: The connection drops, not sent.
        drop_after: Sent, then the connection drops without an answer.
        slow: Sent, answered late.
        callback_delay: A report comes late.
        callback_duplicate: A report comes twice.
        callback_reorder: A report comes after the one that should follow it.
        callback_drop: A report never comes.
        callback_forge: A report that does not authenticate precedes the true one.
        retry_after_seconds: What Retry-After says.
        slow_seconds: How long a slow answer takes, not scaled.
        callback_delay_seconds: How late a late report is, scaled.
        max_per_second: Messages a second and sender beyond which every request is throttled; none by default.
    """

    model_config = ConfigDict(extra="forbid")

    seed: int = 0
    throttle: Rate = 0
    throttle_retry_after: Rate = 0
    error_before: Rate = 0
    error_after: Rate = 0
    drop_before: Rate = 0
    drop_after: Rate = 0
    slow: Rate = 0
    callback_delay: Rate = 0
    callback_duplicate: Rate = 0
    callback_reorder: Rate = 0
    callback_drop: Rate = 0
    callback_forge: Rate = 0
    retry_after_seconds: float = 1
    slow_seconds: float = 3
    callback_delay_seconds: float = 5
    max_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class Mishap:
    """A trouble that is to happen now.

    Attributes:
        kind: Which.
        retry_after: Seconds to name in `Retry-After`, or none.
    """

    kind: Trouble
    retry_after: float | None = None


_REQUEST_FAULTS: tuple[tuple[str, Trouble], ...] = (
    ("throttle", Trouble.THROTTLE),
    ("throttle_retry_after", Trouble.THROTTLE),
    ("error_before", Trouble.ERROR_BEFORE),
    ("error_after", Trouble.ERROR_AFTER),
    ("drop_before", Trouble.DROP_BEFORE),
    ("drop_after", Trouble.DROP_AFTER),
    ("slow", Trouble.SLOW),
)


def draw(seed: int, *parts: object) -> float:
    """Draw a lot from 0 to 1 that depends on nothing but its arguments."""
    digest = blake2b("\x1f".join(map(str, (seed, *parts))).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / _DRAWS


class Mischief:
    """Decides for one vendor what goes wrong next."""

    def __init__(self) -> None:
        self.faults = Faults()
        self._attempts: Counter[tuple[str, ...]] = Counter()
        self._met: set[tuple[str, ...]] = set()
        self._budgets: dict[str, tuple[float, float]] = {}

    def reset(self) -> None:
        """Forget the settings and what was met so far."""
        self.__init__()  # type: ignore[misc]

    def on_request(self, account: str, recipients: Sequence[str], text: str) -> Mishap | None:
        """Draw whether a request that hands in messages meets a fault.

        Args:
            account: Whose request it is.
            recipients: To whom.
            text: What is sent; a repeated request is told from a new one by all three.
        """
        rates = [(name, kind) for name, kind in _REQUEST_FAULTS if getattr(self.faults, name)]
        if not rates:
            return None
        key = (account, text, *recipients)
        attempt = self._attempts[key]
        self._attempts[key] += 1
        for name, kind in rates:
            if draw(self.faults.seed, name, attempt, *key) < getattr(self.faults, name):
                patient = name == "throttle_retry_after"
                return Mishap(kind, self.faults.retry_after_seconds if patient else None)
        return None

    def on_recipient(self, account: str, recipient: str, text: str) -> Mishap | None:
        """Say what the recipient's magic number does to a request; most numbers do nothing."""
        outcome = outcome_of(recipient)
        if outcome.trouble is None:
            return None
        key = (account, recipient, text)
        if not outcome.always and key in self._met:
            return None
        self._met.add(key)
        return Mishap(outcome.trouble, outcome.retry_after)

    def over_limit(self, sender: str, messages: int, now: float) -> bool:
        """Tell whether a sender is over its messages a second; a token bucket that holds one second's worth."""
        rate = self.faults.max_per_second
        if rate is None:
            return False
        tokens, since = self._budgets.get(sender, (max(rate, 1.0), now))
        tokens = min(max(rate, 1.0), tokens + (now - since) * rate)
        granted = tokens >= messages
        self._budgets[sender] = (tokens - messages if granted else tokens, now)
        return not granted

    def plan(self, outcome: Outcome, *key: str) -> tuple[Step, ...]:
        """Give what is to happen to an accepted message, its outcome bent by the callback faults.

        Args:
            outcome: What the number asks for.
            key: What identifies the message.
        """
        bent: list[Step] = []
        for place, step in enumerate(outcome.steps):
            following = outcome.steps[place + 1 : place + 2]
            bent += self._bend(step, following[0] if following else None, (str(place), *key))
        return tuple(sorted(bent, key=lambda step: step.after))

    def _bend(self, step: Step, following: Step | None, key: tuple[str, ...]) -> list[Step]:
        """Turn one step into what the faults make of it: its change of state, and its reports in time."""
        faults = self.faults

        def hits(name: str) -> bool:
            rate: float = getattr(faults, name)
            return bool(rate) and draw(faults.seed, name, *key) < rate

        told = step.after
        if hits("callback_delay"):
            told += faults.callback_delay_seconds
        if following is not None and hits("callback_reorder"):
            told = max(told, following.after + _A_MOMENT)
        if not step.report or hits("callback_drop"):
            return [replace(step, report=False)]
        steps = [step] if told == step.after else [replace(step, report=False), replace(step, apply=False, after=told)]
        if hits("callback_forge"):
            steps.insert(len(steps) - 1, replace(step, apply=False, forged=True, after=told))
        if hits("callback_duplicate"):
            steps.append(replace(step, apply=False, after=told + _A_MOMENT))
        return steps
