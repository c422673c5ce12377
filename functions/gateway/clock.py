"""Time and ids, handed in so that tests can hold them still."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Final

Clock = Callable[[], datetime]
RandomBytes = Callable[[int], bytes]

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_TIME_LENGTH, _RANDOM_BITS = 10, 80
ULID_LENGTH: Final = 26
MESSAGE_ID_LENGTH: Final = ULID_LENGTH + 3
_LAST_MILLISECOND = 2**48 - 1
_HOUR = 3_600_000
_TOKEN_BITS = 160


def utc_now() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


def to_ms(moment: datetime) -> int:
    """Return milliseconds since the epoch."""
    return int(moment.timestamp() * 1000)


def from_ms(milliseconds: int) -> datetime:
    """Return the moment, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _base32(number: int, length: int) -> str:
    return "".join(_ALPHABET[(number >> (5 * place)) & 31] for place in range(length - 1, -1, -1))


def ulid(milliseconds: int, randomness: bytes) -> str:
    """Return a sortable id of 26 characters: 48 bits of time and 80 bits of randomness, in lower case.

    Source: https://github.com/ulid/spec.
    """
    number = (milliseconds << _RANDOM_BITS) | int.from_bytes(randomness[:10], "big")
    return _base32(number, ULID_LENGTH)


def ulid_ms(text: str) -> int:
    """Return the milliseconds since the epoch that an id carries.

    Raises:
        ValueError: It is no id of ours.
    """
    if len(text) < _TIME_LENGTH:
        raise ValueError("too short for an id")
    number = 0
    for character in text[:_TIME_LENGTH]:
        number = number * 32 + _ALPHABET.index(character)
    return number


class Ids:
    """Makes ids from a clock and a source of randomness."""

    def __init__(self, clock: Clock, random_bytes: RandomBytes = secrets.token_bytes) -> None:
        self._clock = clock
        self._random_bytes = random_bytes

    def new(self) -> str:
        """Return a fresh id."""
        return ulid(to_ms(self._clock()), self._random_bytes(10))

    def token(self) -> str:
        """Return a fresh secret of 32 characters that fits into a path: 160 bits of randomness."""
        return _base32(int.from_bytes(self._random_bytes(_TOKEN_BITS // 8), "big"), _TOKEN_BITS // 5)


def derived_id(seed: str, number: int) -> str:
    """Return the n-th id that belongs to a seed id: the same for the same seed, of the same time."""
    return ulid(ulid_ms(seed), hashlib.blake2b(f"{seed}:{number}".encode(), digest_size=10).digest())


def message_id(batch: str, index: int) -> str:
    """Return the id of a message: its batch and its place in it, so that no index is needed to find it."""
    return f"{batch}-{index:02d}"


def split_message_id(text: str) -> tuple[str, int] | None:
    """Return the batch and the place, or ``None`` when it is no message id."""
    batch, dash, place = text.rpartition("-")
    if not dash or len(text) != MESSAGE_ID_LENGTH or not place.isdecimal() or not place.isascii() or not is_ulid(batch):
        return None
    return batch, int(place)


def is_ulid(text: str) -> bool:
    """Tell whether the text has the shape of an id of ours."""
    return len(text) == ULID_LENGTH and all(character in _ALPHABET for character in text)


def hours(since: int, until: int) -> Iterator[str]:
    """Yield the partition keys of the hours that a span of milliseconds touches, the latest first."""
    for number in range((_LAST_MILLISECOND - until) // _HOUR, (_LAST_MILLISECOND - since) // _HOUR + 1):
        yield f"{number:09d}"


def bucket(milliseconds: int) -> str:
    """Return the hour's partition key; later hours sort first, so that a scan yields the newest first."""
    return f"{(_LAST_MILLISECOND - milliseconds) // _HOUR:09d}"


def newest_first(milliseconds: int, unique: str) -> str:
    """Return a row key that sorts later moments first."""
    return f"{edge(milliseconds)}-{unique}"


def edge(milliseconds: int) -> str:
    """Return what sorts before the row keys of a moment and of all earlier ones, and after those of later ones."""
    return f"{_LAST_MILLISECOND - milliseconds:012x}"
