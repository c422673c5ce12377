"""Timer schedules: https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost.schedule import Cron, Period, ScheduleError, fires_often, parse_schedule


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("schedule", "after", "expected"),
    [
        ("0 */5 * * * *", "2026-11-22T10:03:00", "2026-11-22T10:05:00"),
        ("0 */5 * * * *", "2026-11-22T10:05:00", "2026-11-22T10:10:00"),
        ("0 0 * * * *", "2026-12-31T23:30:00", "2027-01-01T00:00:00"),
        ("0 0 */2 * * *", "2026-11-22T10:00:00", "2026-11-22T12:00:00"),
        ("0 0 9-17 * * *", "2026-11-22T17:00:00", "2026-11-23T09:00:00"),
        ("0 30 9 * * *", "2026-11-22T09:29:59", "2026-11-22T09:30:00"),
        ("0 30 9 * * 1-5", "2026-11-20T09:30:00", "2026-11-23T09:30:00"),
        ("0 30 9 * Jan Mon", "2026-11-22T00:00:00", "2027-01-04T09:30:00"),
        ("0 30 9 * january monday", "2026-11-22T00:00:00", "2027-01-04T09:30:00"),
        ("0 0 0 13 * 5", "2026-11-22T00:00:00", "2027-08-13T00:00:00"),
        ("0 0 0 29 2 *", "2026-11-22T00:00:00", "2028-02-29T00:00:00"),
        ("0 0 0 29 2 1", "2026-11-22T00:00:00", "2044-02-29T00:00:00"),
        ("15,45 * * * * *", "2026-11-22T00:00:15", "2026-11-22T00:00:45"),
        ("5/20 * * * * *", "2026-11-22T00:00:05", "2026-11-22T00:00:25"),
        ("10-20/5 * * * * *", "2026-11-22T00:00:20", "2026-11-22T00:01:10"),
        ("*/5 * * * *", "2026-11-22T10:03:00", "2026-11-22T10:05:00"),
        ("00:00:30", "2026-11-22T10:03:00", "2026-11-22T10:03:30"),
        ("1.00:00:00", "2026-11-22T10:03:00", "2026-11-23T10:03:00"),
    ],
)
def test_next(schedule, after, expected):
    """The next time is the one NCRONTAB names: seconds first, day of month and weekday both, UTC."""
    assert parse_schedule(schedule).next_after(at(after)) == at(expected)


@pytest.mark.parametrize(
    ("schedule", "word"),
    [
        ("", "time span"),
        ("soon", "time span"),
        ("24:00:00", "d.hh:mm:ss"),
        ("00:60:00", "out of range"),
        ("00:00:00", "longer"),
        ("* * * *", "4 fields"),
        ("* * * * * * *", "7 fields"),
        ("60 * * * * *", "second '60'"),
        ("* * 24 * * *", "hour '24'"),
        ("* * * 0 * *", "day '0'"),
        ("* * * * 13 *", "month '13'"),
        ("* * * * * 7", "weekday '7'"),
        ("* * * * * Foo", "weekday 'Foo'"),
        ("* * * L * *", "day 'L'"),
        ("*/0 * * * * *", "step of 0"),
        ("*-5 * * * * *", "cannot be read"),
        ("1,,2 * * * * *", "cannot be read"),
        ("0 0 0 31 2 *", "never"),
    ],
)
def test_refuse(schedule, word):
    """What NCRONTAB does not know, or .NET would read as something else, is refused by name."""
    with pytest.raises(ScheduleError) as caught:
        parse_schedule(schedule)
    assert word in str(caught.value)


@pytest.mark.parametrize(
    ("schedule", "often"),
    [
        ("0 * * * * *", False),
        ("*/30 * * * * *", True),
        ("0,59 * * * * *", True),
        ("00:01:00", False),
        ("00:00:59", True),
    ],
)
def test_fires_often(schedule, often):
    """Only timers that fire more than once a minute count as frequent."""
    assert fires_often(parse_schedule(schedule), at("2026-11-22T10:00:30")) is often


def field(lowest, highest):
    return st.one_of(
        st.just("*"),
        st.integers(lowest, highest).map(str),
        st.integers(1, highest).map(lambda step: f"*/{step}"),
        st.tuples(st.integers(lowest, highest), st.integers(lowest, highest)).map(
            lambda ends: "-".join(map(str, sorted(ends)))
        ),
    )


crons = st.tuples(field(0, 59), field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6)).map(" ".join)


@given(crons, st.integers(0, 2**31))
def test_next_fits_and_is_later(text, moment):
    """Whatever the expression, the next time is later, fits all six fields and comes from the same expression again."""
    cron = Cron.parse(text)

    following = cron.next_after(moment)

    then = datetime.fromtimestamp(following, UTC)
    parts = (then.second, then.minute, then.hour, then.day, then.month, then.isoweekday() % 7)
    assert following > moment
    assert all(part in values for part, values in zip(parts, cron.fields, strict=True))
    assert cron.next_after(following - 1) == following


@given(st.text(max_size=20))
def test_any_text_is_read_or_refused(text):
    """No text makes the parser fail in another way than by refusing."""
    try:
        parsed = parse_schedule(text)
    except ScheduleError:
        return
    assert isinstance(parsed, Cron | Period)
