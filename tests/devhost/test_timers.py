"""Timers: on time, one run at a time, and one run for what was missed."""

import asyncio
from datetime import UTC, datetime

import azure.functions as func
import pytest

from devhost import LoadError
from devhost.timers import TABLE, Status, TableMonitor
from functions.storage.ports import Row, StaleError, StorageError
from tests.devhost.clocks import ManualClock, settle

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
HOURLY = "0 0 * * * *"


@pytest.fixture
def clock():
    return ManualClock(NOON - 600)


class Timer:
    """An app with one timer, and when it fired."""

    def __init__(self, clock, schedule=HOURLY, **options):
        self.fired = []
        self.requests = []
        self.contexts = []
        self.app = func.FunctionApp()
        self.work = None

        async def clean(tick: func.TimerRequest, context: func.Context):
            self.fired.append(clock.now())
            self.requests.append(tick)
            self.contexts.append(context)
            if self.work is not None:
                await self.work()

        self.app.timer_trigger("tick", schedule, **options)(clean)


async def test_fires_on_time(serve, clock):
    """The timer fires at each of its times and at no other."""
    timer = Timer(clock)
    host = await serve(timer.app)

    await clock.advance(599)
    assert timer.fired == []
    await clock.advance(3600 * 2 + 2)

    assert timer.fired == [NOON, NOON + 3600, NOON + 7200]
    assert host.executions == {"clean": 3}
    assert not any(request.past_due for request in timer.requests)


async def test_what_a_timer_is_told(serve, clock):
    """The request holds the status as of the last time."""
    timer = Timer(clock)
    await serve(timer.app)
    await clock.advance(4300)

    status = timer.requests[1].schedule_status
    assert status["Last"] == "2026-11-22T12:00:00+00:00"
    assert status["Next"] == "2026-11-22T13:00:00+00:00"
    assert timer.requests[0].schedule_status["Last"].startswith("0001-01-01")
    assert timer.requests[0].schedule == {"AdjustForDST": True}


async def test_period(serve, clock):
    """A time span fires every so often."""
    timer = Timer(clock, "00:10:00")
    await serve(timer.app)

    await clock.advance(1801)

    assert timer.fired == [NOON, NOON + 600, NOON + 1200]


async def test_no_overlap(serve, clock):
    """A run that is longer than the period is followed by one run at once, not by all that were missed."""
    timer = Timer(clock, "0 * * * * *")

    async def long():
        if len(timer.fired) == 1:
            await clock.sleep(200)

    timer.work = long
    await serve(timer.app)
    await clock.advance(60 + 300)

    first = timer.fired[0]
    assert [moment - first for moment in timer.fired] == [0, 200, 240, 300]


async def test_an_error_does_not_stop_the_timer(serve, clock):
    """A failed run is not repeated, and the next comes at its time."""
    timer = Timer(clock)

    async def fail():
        raise ValueError

    timer.work = fail
    await serve(timer.app)
    await clock.advance(4300)

    assert timer.fired == [NOON, NOON + 3600]


async def test_returning_something_is_a_failure(serve, clock):
    """A timer that returns anything but None has failed, which a retry policy shows."""
    app, counts = func.FunctionApp(), []

    @app.timer_trigger("tick", HOURLY)
    @app.retry("fixed_delay", "2", delay_interval="00:00:05")
    async def clean(tick: func.TimerRequest, context: func.Context):
        counts.append((clock.now() - NOON, context.retry_context.retry_count, context.retry_context.max_retry_count))
        return "done"

    await serve(app)
    await clock.advance(700)

    assert counts == [(0, 0, 0), (5, 1, 2), (10, 2, 2)]


async def test_retry_ends_with_success(serve, clock):
    """Exponential retries wait twice as long each time up to the most, and end when the function succeeds."""
    app, times = func.FunctionApp(), []

    @app.timer_trigger("tick", HOURLY)
    @app.retry("exponential_backoff", "-1", minimum_interval="00:00:02", maximum_interval="00:00:05")
    async def clean(tick: func.TimerRequest):
        times.append(clock.now() - NOON)
        if len(times) < 5:
            raise ValueError

    await serve(app)
    await clock.advance(700)

    assert times == [0, 2, 6, 11, 16]


async def test_run_on_startup(serve, clock):
    """A timer marked run_on_startup fires when the host starts, and then on time."""
    timer = Timer(clock, run_on_startup=True)
    await serve(timer.app)
    await clock.advance(601)

    assert timer.fired == [NOON - 600, NOON]
    assert timer.requests[0].past_due is False


# While the host was down --------------------------------------------------------------------------------------------


async def restart(serve, clock, timer, away):
    host = await serve(timer.app)
    await clock.advance(700)
    await host.stop()
    await clock.advance(away)
    await serve(timer.app)
    await clock.advance(1)


async def test_missed_while_down_runs_once(serve, clock):
    """Times that were missed while the host was down are made up for by one run that is past due."""
    timer = Timer(clock)

    await restart(serve, clock, timer, 3600 * 5)

    assert timer.fired == [NOON, NOON + 100 + 3600 * 5]
    assert [request.past_due for request in timer.requests] == [False, True]
    await clock.advance(3600)
    assert timer.fired[2:] == [NOON + 3600 * 6]


async def test_nothing_missed(serve, clock):
    """A restart between two times runs nothing at once."""
    timer = Timer(clock)

    await restart(serve, clock, timer, 60)

    assert timer.fired == [NOON]


async def test_missed_before_the_first_run(serve, clock):
    """The first time ever counts as missed when the host was down for it."""
    timer = Timer(clock)
    host = await serve(timer.app)
    await clock.advance(10)
    await host.stop()
    await clock.advance(3600)
    await serve(timer.app)
    await clock.advance(1)

    assert [request.past_due for request in timer.requests] == [True]


@pytest.mark.parametrize(
    "options",
    [{"use_monitor": False}, {"schedule": "*/20 * * * * *"}, {"schedule": "00:00:30"}],
)
async def test_unmonitored_timers_miss_silently(serve, clock, storage, options):
    """Without a monitor, asked for or because it fires more than once a minute, what was missed stays missed."""
    timer = Timer(clock, **options)

    await restart(serve, clock, timer, 3600 * 5)

    assert not any(request.past_due for request in timer.requests)
    assert timer.requests[0].schedule_status == {}
    assert await storage.tables.get(TABLE, "status", "clean") is None


async def test_without_tables_nothing_is_remembered(serve, clock):
    """A host without tables runs timers and forgets them."""
    timer = Timer(clock)
    host = await serve(timer.app, tables=None)
    await clock.advance(700)
    await host.stop()
    await clock.advance(3600 * 5)
    await serve(timer.app, tables=None)
    await clock.advance(1)

    assert timer.fired == [NOON]


async def test_changed_schedule_is_not_past_due(serve, clock):
    """After a change of the schedule nothing counts as missed, and the new one is kept."""
    before, after = Timer(clock), Timer(clock, "0 30 * * * *")
    host = await serve(before.app)
    await clock.advance(700)
    await host.stop()
    await clock.advance(3600 * 5)
    host = await serve(after.app)
    await clock.advance(1)
    assert after.fired == []

    await host.stop()
    await clock.advance(3600)
    await serve(after.app)
    await clock.advance(1)
    assert [request.past_due for request in after.requests] == [True]


async def test_disabled(serve, clock):
    """A disabled timer does not fire."""
    timer = Timer(clock)
    await serve(timer.app, settings={"AzureWebJobs.clean.Disabled": "true"})
    await clock.advance(4000)

    assert timer.fired == []


async def test_schedule_from_settings(serve, clock):
    """%NAME% in a schedule is taken from the app settings."""
    timer = Timer(clock, "%WHEN%")
    await serve(timer.app, settings={"WHEN": "0 5 12 * * *"})
    await clock.advance(1000)

    assert timer.fired == [NOON + 300]


@pytest.mark.parametrize("schedule", ["%WHEN%", "every day", "0 0 0 31 2 *"])
async def test_refuse_schedule(serve, clock, schedule):
    """A schedule that cannot be read or never comes is refused with the function's name."""
    with pytest.raises(LoadError, match="function clean: "):
        await serve(Timer(clock, schedule).app)


async def test_stop_lets_the_run_end(serve, clock):
    """stop() waits for the run under way; no further one comes."""
    timer, ended = Timer(clock), []

    async def work():
        await asyncio.sleep(0.05)
        ended.append(True)

    timer.work = work
    host = await serve(timer.app)
    await clock.advance(600)
    await host.stop()
    await clock.advance(7200)

    assert ended == [True]
    assert len(timer.fired) == 1


async def test_stop_ends_a_run_that_takes_too_long(serve, clock):
    """A run that outlasts the limit is cancelled."""
    timer, cancelled = Timer(clock), []

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    timer.work = work
    host = await serve(timer.app, stop_limit=0.02)
    await clock.advance(600)
    await host.stop()
    await settle()

    assert cancelled == [True]


# The monitor --------------------------------------------------------------------------------------------------------


async def test_monitor_keeps_the_last_status(storage):
    """What is written is read back, also the second time, and timers do not mix."""
    monitor = TableMonitor(storage.tables)

    assert await monitor.read("a") is None
    await monitor.write("a", Status(None, 2.5, 1.0))
    assert await monitor.read("a") == Status(None, 2.5, 1.0)
    await monitor.write("a", Status(2.5, 3.5, 2.5))
    assert await monitor.read("a") == Status(2.5, 3.5, 2.5)
    assert await monitor.read("b") is None


@pytest.mark.parametrize("error", [StorageError("away"), StaleError("changed")])
async def test_a_store_that_fails_does_not_stop_the_timer(serve, clock, error):
    """A timer whose status cannot be kept fires all the same."""

    class Broken:
        async def get(self, table, partition, key):
            if isinstance(error, StorageError):
                raise error
            return Row(partition, key, {"next": NOON, "updated": NOON - 600})

        async def insert(self, table, rows):
            raise error

    timer = Timer(clock)
    await serve(timer.app, tables=Broken())
    await clock.advance(4300)

    assert timer.fired == [NOON, NOON + 3600]
