"""Time of counting one text, by kind of text, beside a loop over its characters.

Run: ``python -m bench.segments``.
"""

from __future__ import annotations

import statistics
import timeit
from collections.abc import Callable
from functools import partial

from functions.gateway.segments import BASIC, EXTENSION, segment, suggest_gsm7, unsendable

TEXTS = {
    "plain, 160": 4 * "Your parcel arrives at 10, see you then ",
    "German, 150": 3 * "Für Ihre Bestellung: schöne Grüße aus Köln, Übergabe heute",
    "one euro, 40": "Only 5 € today. Reply STOP to opt out...",
    "brackets, 400": 20 * "[see] {all} ~ 5 € | ",
    "Cyrillic, 70": 7 * "Заказ дома",
    "emoji, 160": 4 * "Your parcel arrives at 10, see you then\N{GRINNING FACE}",
    "500 distinct, 500": "".join(map(chr, range(0x4E00, 0x4E00 + 500))),
    "plain, 1600": 40 * "Your parcel arrives at 10, see you then ",
}
ROUNDS = 15
SECONDS_A_ROUND = 0.01


def naive(text: str) -> int:
    """Count segments one character at a time, as most published calculators do."""
    gsm = all(character in BASIC or character in EXTENSION for character in text)
    costs = [1 + (c in EXTENSION) if gsm else 1 + (ord(c) > 0xFFFF) for c in text]
    alone, joined = (160, 153) if gsm else (70, 67)
    limit = alone if sum(costs) <= alone else joined
    segments, room = 0, 0
    for cost in costs:
        if room < cost:
            segments, room = segments + 1, limit
        room -= cost
    return segments


def explain(text: str) -> object:
    """Count segments and name the characters that cost extra, as the preview does."""
    found = segment(text)
    return found.offending, found.doubled


MEASURED = (segment, naive, explain, unsendable, suggest_gsm7)


def microseconds(call: Callable[[], object]) -> float:
    """Return the median time of a call in microseconds."""
    timer = timeit.Timer(call)
    number = max(1, round(SECONDS_A_ROUND / max(timer.timeit(10) / 10, 1e-9)))
    return statistics.median(timer.repeat(ROUNDS, number)) / number * 1e6


def main() -> None:
    """Print one line per kind of text."""
    print("median in microseconds")
    print(f"{'text, characters':<20}" + "".join(f"{measured.__name__:>14}" for measured in MEASURED))
    for kind, text in TEXTS.items():
        assert segment(text).segments == naive(text)
        figures = (microseconds(partial(measured, text)) for measured in MEASURED)
        print(f"{kind:<20}" + "".join(f"{figure:>14.2f}" for figure in figures))


if __name__ == "__main__":
    main()
