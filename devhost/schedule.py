"""When a timer fires: NCRONTAB expressions and constant periods, in UTC.

NCRONTAB (https://github.com/atifaziz/NCrontab) differs from cron libraries on PyPI in three ways that decide when a
function runs: seconds come first, day of month *and* day of week must both fit (cron takes either), and there are no
extensions such as ``L`` or ``#``. Hence the small parser here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

from devhost.settings import SettingsError, time_span

MINUTE = 60.0
_SEARCHED_DAYS = 366 * 41
"""29 February falls on a given weekday at least once in 40 years, also across 2100."""


class ScheduleError(Exception):
    """A schedule cannot be read, or names a moment that never comes."""


class Schedule(Protocol):
    """Tells when a timer fires next."""

    def next_after(self, moment: float) -> float:
        """Return the first time to fire later than ``moment``; both in seconds since the epoch."""
        ...


@dataclass(frozen=True, slots=True)
class Period:
    """Fires every so many seconds, counted from the last time."""

    seconds: float

    def next_after(self, moment: float) -> float:
        """Return the first time to fire later than ``moment``; both in seconds since the epoch."""
        return moment + self.seconds


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    lowest: int
    highest: int
    words: tuple[str, ...] = ()


_FIELDS = (
    _Field("second", 0, 59),
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field(
        "month",
        1,
        12,
        (
            "january",
            "february",
            "march",
            "april",
            "may",
            "june",
            "july",
            "august",
            "september",
            "october",
            "november",
            "december",
        ),
    ),
    _Field("weekday", 0, 6, ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")),
)
_WITHOUT_SECONDS = 5
_PART = re.compile(r"(?P<first>\*|\w+)(?:-(?P<last>\w+))?(?:/(?P<step>\d+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Cron:
    """Fires at the seconds that fit all six fields.

    Args:
        fields: The accepted values of second, minute, hour, day, month and weekday (0 is Sunday), each sorted.
    """

    fields: tuple[tuple[int, ...], ...]

    @classmethod
    def parse(cls, text: str) -> Cron:
        """Parse ``second minute hour day month weekday``; with five fields the second is 0.

        Raises:
            ScheduleError: A field cannot be read, or no day fits.
        """
        parts = text.split()
        if len(parts) == _WITHOUT_SECONDS:
            parts.insert(0, "0")
        if len(parts) != len(_FIELDS):
            raise ScheduleError(
                f"{text!r} has {len(parts)} fields; NCRONTAB has six: second minute hour day month weekday"
            )
        cron = cls(tuple(_values(part, field) for part, field in zip(parts, _FIELDS, strict=True)))
        if next(cron._days(date(2024, 1, 1)), None) is None:
            raise ScheduleError(f"{text!r} never comes")
        return cron

    def next_after(self, moment: float) -> float:
        """Return the first time to fire later than ``moment``; both in seconds since the epoch."""
        start = datetime.fromtimestamp(int(moment) + 1, UTC)
        seconds, minutes, hours = self.fields[:3]
        for day in self._days(start.date()):
            earliest = (start.hour, start.minute, start.second) if day == start.date() else (0, 0, 0)
            for time in itertools.product(hours, minutes, seconds):
                if time >= earliest:
                    return datetime(day.year, day.month, day.day, *time, tzinfo=UTC).timestamp()
        raise ScheduleError("the calendar ends before the timer fires again")

    def _days(self, first: date) -> Iterator[date]:
        _, _, _, days, months, weekdays = self.fields
        for offset in range(_SEARCHED_DAYS):
            day = first + timedelta(days=offset)
            if day.month in months and day.day in days and day.isoweekday() % 7 in weekdays:
                yield day


def _values(text: str, field: _Field) -> tuple[int, ...]:
    accepted: set[int] = set()
    for part in text.split(","):
        found = _PART.fullmatch(part)
        if found is None or (found["first"] == "*" and found["last"]):
            raise ScheduleError(f"{field.name} {part!r} cannot be read")
        step = int(found["step"] or 1)
        if step == 0:
            raise ScheduleError(f"{field.name} {part!r}: a step of 0 never ends")
        if found["first"] == "*":
            first, last = field.lowest, field.highest
        else:
            first = _value(found["first"], field)
            # With a step but no end, NCRONTAB runs to the highest value: 5/15 is 5-59/15.
            last = _value(found["last"], field) if found["last"] else field.highest if found["step"] else first
        accepted.update(range(min(first, last), max(first, last) + 1, step))
    return tuple(sorted(accepted))


def _value(text: str, field: _Field) -> int:
    if text.isdigit():
        value = int(text)
    else:
        named = [index for index, word in enumerate(field.words) if word.startswith(text.lower())]
        if not named:
            raise ScheduleError(f"{field.name} {text!r} is neither a number nor a name")
        value = named[0] + field.lowest
    if not field.lowest <= value <= field.highest:
        raise ScheduleError(f"{field.name} {text!r} is not within {field.lowest} and {field.highest}")
    return value


def parse_schedule(text: str) -> Schedule:
    """Read a timer's schedule: NCRONTAB or a time span.

    https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions

    Raises:
        ScheduleError: It is neither, or never fires.
    """
    if " " in text.strip():
        return Cron.parse(text)
    try:
        seconds = time_span(text.strip(), "schedule")
    except SettingsError as error:
        raise ScheduleError(str(error)) from error
    if seconds <= 0:
        raise ScheduleError("a period must be longer than nothing")
    return Period(seconds)


def fires_often(schedule: Schedule, now: float) -> bool:
    """Tell whether the timer fires more than once a minute; the host keeps no status of such timers."""
    if isinstance(schedule, Period):
        return schedule.seconds < MINUTE
    second = schedule.next_after(schedule.next_after(now))
    return second <= now + MINUTE
