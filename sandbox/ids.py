"""Where the sandbox takes its ids from: chance, or a seed when a run must be repeatable."""

from __future__ import annotations

import random
import uuid


class IdSource:
    """Draws ids.

    Args:
        seed: The same seed gives the same ids in the same order; without one they are unpredictable.
    """

    def __init__(self, seed: int | str | None = None) -> None:
        self._random: random.Random = random.SystemRandom() if seed is None else random.Random(seed)

    def hex(self, digits: int) -> str:
        """Draw a lower-case hexadecimal id of so many digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"

    def uuid(self) -> str:
        """Draw a random UUID (RFC 9562, version 4)."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))
