"""What the demo says: one line a step, with the seconds since it began."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

_PLAIN = "\033[0m"
_COLOURS = {
    "\033[32m": ("delivered", "ok"),
    "\033[33m": ("undelivered", "rejected", "opted_out", "STOP"),
    "\033[31m": ("FAILED",),
    "\033[36m": ("accepted", "sent"),
}
_COLOUR_OF = {word: colour for colour, words in _COLOURS.items() for word in words}
_COLOURED = re.compile(rf"\b({'|'.join(_COLOUR_OF)})\b")
_HEADING = "\033[1m"


class Screen:
    """Writes for a person who sees all this for the first time.

    Args:
        out: Where to.
        environment: Says whether colours are wanted (https://no-color.org).
        clock: Seconds that only ever rise.
    """

    def __init__(
        self, out: TextIO, environment: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out
        self._coloured = out.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        self._clock = clock
        self._began = clock()

    def step(self, subject: str, text: str) -> None:
        """Say that something happened.

        Args:
            subject: To what, in a word.
            text: What.
        """
        words = _COLOURED.sub(lambda word: f"{_COLOUR_OF[word[0]]}{word[0]}{_PLAIN}", text) if self._coloured else text
        self.line(f"{self._clock() - self._began:6.1f} s  {subject:<10} {words}")

    def heading(self, text: str) -> None:
        """Begin a part."""
        self.line(f"\n{_HEADING}{text}{_PLAIN}" if self._coloured else f"\n{text}")

    def line(self, text: str = "") -> None:
        """Write a line as it is, at once."""
        self._out.write(f"{text}\n")
        self._out.flush()


def complain(text: str) -> None:
    """Write a line to where errors go."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
