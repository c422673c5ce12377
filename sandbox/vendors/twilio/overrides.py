"""How the fragment of a callback URL changes timeouts and retries (Twilio, "Webhook connection overrides")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from sandbox.courier import Answer

_LIMITS = {"rc": (0, 5), "ct": (100, 10000), "rt": (100, 15000), "tt": (100, 15000)}
_POLICIES = frozenset({"4xx", "5xx", "ct", "rt", "all"})


@dataclass(frozen=True)
class Overrides:
    """How a callback URL's fragment wants Twilio to behave (Twilio, "Webhook connection overrides").

    Attributes:
        retries: `rc`, 0 to 5 further attempts.
        policy: `rp`: which failures are tried again.
        connect: `ct`, milliseconds to connect.
        read: `rt`, milliseconds to wait for the answer.
        total: `tt`, milliseconds in all.
        error: The debugger error when the fragment cannot be understood: no callback is made then.
    """

    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})
    connect: int = 5000
    read: int = 15000
    total: int = 15000
    error: str = ""

    def again(self, answer: Answer) -> bool:
        """Tell whether an answer is one of the failures that are tried again."""
        return bool(self.policy & _failures(answer))


def overrides(url: str) -> Overrides:
    """Read a callback URL's fragment; what it does not say stays at Twilio's defaults."""
    given = dict(parse_qsl(url.partition("#")[2]))
    numbers: dict[str, int] = {}
    for name, (least, most) in _LIMITS.items():
        text = given.get(name)
        if text is None:
            continue
        if not text.isdigit() or not least <= int(text) <= most:
            return Overrides(error=f"{name} is invalid")
        numbers[name] = int(text)
    policy = frozenset(given.get("rp", "ct").split(","))
    if not policy <= _POLICIES:
        return Overrides(error="11243 HTTP retry policy is invalid")
    base = Overrides()
    return Overrides(
        retries=numbers.get("rc", base.retries),
        policy=policy,
        connect=numbers.get("ct", base.connect),
        read=numbers.get("rt", base.read),
        total=numbers.get("tt", base.total),
    )


def _failures(answer: Answer) -> frozenset[str]:
    """Name a failed callback in the words of `rp`."""
    if answer.error == "connect":
        return frozenset({"ct", "all"})
    if answer.error:
        return frozenset({"rt", "all"})
    for first, word in ((4, "4xx"), (5, "5xx")):
        if (answer.status or 0) // 100 == first:
            return frozenset({word, "all"})
    return frozenset()
