"""The sandbox's clock, and the date formats vendors write."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock:
    """A wall clock that a test may move forward.

    Args:
        source: Gives the time in seconds since 1970; the system's clock when left out.
    """

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._offset = 0.0

    def now(self) -> float:
        """Give the time in seconds since 1970."""
        return self._source() + self._offset

    def advance(self, seconds: float) -> None:
        """Move the clock forward by so many seconds; what sleeps already is not woken."""
        self._offset += seconds


def utc(timestamp: float) -> datetime:
    """Turn seconds since 1970 into an aware time in UTC."""
    return datetime.fromtimestamp(timestamp, UTC)


def http_date(timestamp: float) -> str:
    """Write a time as HTTP does, `Mon, 01 Apr 2019 06:22:03 GMT` (RFC 9110 section 5.6.7)."""
    return format_datetime(utc(timestamp), usegmt=True)


def mail_date(timestamp: float) -> str:
    """Write a time as Twilio does, `Thu, 24 Aug 2023 05:01:45 +0000` (RFC 2822)."""
    return format_datetime(utc(timestamp))


def iso_seconds(timestamp: float) -> str:
    """Write a time as Event Grid's `eventTime`, `2020-09-18T00:22:20Z`."""
    return utc(timestamp).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_ticks(timestamp: float) -> str:
    """Write a time as .NET does, with seven digits after the point: `2020-09-18T00:22:20.2855740Z`."""
    moment = utc(timestamp)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}0Z"
