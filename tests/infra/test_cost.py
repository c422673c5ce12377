"""What a message is said to cost follows from what it takes, and what it takes is counted here."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from devhost.schedule import parse_schedule
from functions import app
from functions.gateway import index
from functions.gateway.clock import to_ms
from functions.gateway.retention import Tidied
from functions.gateway.timing import Timing
from functions.settings import read_settings
from functions.storage.counting import counted
from functions.storage.ports import Row
from infra import cost
from sandbox.testing import running_sandbox
from tests.conftest import Ready
from tests.infra.bicep import ROOT, template
from tests.infra.test_bicep import bindings, functions_of

HOST_POLLS = "receive"
MESSAGES = {"bulk": 1000, "one by one": 20}
SETTINGS = {
    "SMS_STORAGE": "embedded",
    "SMS_PUBLIC_URL": "http://127.0.0.1:9",
    "SMS_ALLOW_LOCAL_VENDORS": "true",
}
DAY = timedelta(days=1).total_seconds()
SWEEP_PERIOD = timedelta(seconds=cost.SECONDS_A_MONTH / cost.TIMERS["sweep_batches"].runs)


@pytest.mark.parametrize("shape", cost.USES)
async def test_what_a_message_takes(start_gateway, storage, sandbox, shape):
    """Requests and executions of real messages, reports included, are what costs are computed from, or less."""
    store, counter = counted(storage)
    ready = Ready(await start_gateway(on=store), sandbox)
    made = await ready.make("twilio")
    counter.reset()
    before = ready.gateway.host.executions.copy()
    number = MESSAGES[shape]
    numbers = [f"+1425{2_000_000 + one}" for one in range(number)]

    async def reported(messages):
        async with asyncio.timeout(60):
            while ready.gateway.host.executions["take_callback"] - before["take_callback"] < 2 * messages:
                await asyncio.sleep(0.01)

    if shape == "bulk":
        await ready.send(made, numbers)
    else:
        for sent, one in enumerate(numbers, 1):
            await ready.send(made, one)
            await reported(sent)
    await reported(number)
    await sandbox.idle()

    ran = {name: count - before[name] for name, count in ready.gateway.host.executions.items()}
    http = sum(count for name, count in ran.items() if name.startswith(("send_", "take_")))
    other = ran.get("dispatch_batch", 0)
    queues = sum(
        n for (what, name), n in counter.by_operation.items() if name.startswith("sms-") and what != HOST_POLLS
    )
    tables = sum(
        n for (_, name), n in counter.by_operation.items() if not name.startswith("sms-") and name != "secrets"
    )
    use = cost.USES[shape]
    counts = {"tables": tables, "queues": queues, "http": http, "other": other}
    print(shape, {name: count / number for name, count in counts.items()})
    # How many writes reports share varies with their timing, up to the budget of half a request a report.
    least = {"bulk": 0.15, "one by one": 0.5}[shape]
    assert least * use.tables <= tables / number <= use.tables
    assert use.http / 2 <= http / number <= use.http
    assert use.other / 2 <= other / number <= use.other
    # Beside what is counted the host receives each queue message, and looks again when a batch of them is done.
    assert queues / number <= use.queues


# Timers -------------------------------------------------------------------------------------------------------------


def timer_triggers():
    """Return the triggers of the functions that the clock starts, by the function's name."""
    return {name: trigger for name, trigger in bindings().items() if trigger["type"] == "timerTrigger"}


def test_every_timer_is_paid_for():
    """Each function that the clock starts is in the model, no other is, and it runs as often as its schedule says."""
    found = timer_triggers()
    assert set(cost.TIMERS) == set(found)
    for name, trigger in found.items():
        schedule, moment, runs = parse_schedule(trigger["schedule"]), 0.0, 0
        while (moment := schedule.next_after(moment)) <= DAY:
            runs += 1
        assert cost.TIMERS[name].runs == pytest.approx(runs * cost.SECONDS_A_MONTH / DAY), name


@pytest.mark.parametrize("name", cost.TIMERS)
async def test_what_an_idle_timer_takes(storage, clock, name):
    """A run of a timer that finds nothing to do makes as many requests as it is paid for, or a few less."""
    # Not near the end of an hour of the index, where a run reads two.
    clock.freeze(datetime(2026, 11, 22, 12, 0, tzinfo=UTC))
    store, counter = counted(storage)
    functions = {function.get_function_name(): function for function in functions_of(app_of_functions())}
    made = app.build(read_settings(SETTINGS), store, clock=clock)
    app.install(made)
    try:
        # The first run remembers that it was there, and the next ones in their time that they were there again.
        for _ in range(2):
            counter.reset()
            await functions[name].get_user_function()(None)
            clock.advance(cost.SECONDS_A_MONTH / cost.TIMERS[name].runs)
    finally:
        app.install(None)
        await made.close()
    queues = sum(number for (_, where), number in counter.by_operation.items() if where.startswith("sms-"))
    tables = counter.total - queues
    print(name, dict(counter.by_operation))
    timer = cost.TIMERS[name]
    assert queues == timer.queues
    assert timer.tables / 1.25 <= tables <= timer.tables


def app_of_functions():
    """Return the function app."""
    import function_app

    return function_app.app


@pytest.mark.parametrize("shape", cost.USES)
async def test_what_becomes_of_a_message_later(start_gateway, storage, sandbox, clock, shape):
    """Closing its batch, blanking its raw payloads and deleting it take the requests that are paid for, or less."""
    number, use = MESSAGES[shape], cost.USES[shape]
    ready = Ready(await start_gateway(), sandbox)
    made = await ready.make("twilio")
    before = ready.gateway.host.executions["take_callback"]
    numbers = [f"+1425{2_000_000 + one}" for one in range(number)]
    for part in [numbers] if shape == "bulk" else numbers:
        await ready.send(made, part)
    async with asyncio.timeout(60):
        while ready.gateway.host.executions["take_callback"] - before < 2 * number:
            await asyncio.sleep(0.01)
    await sandbox.idle()
    await start_gateway.stop()
    store, counter = counted(storage)
    later = app.build(read_settings(SETTINGS), store, clock=clock)

    clock.advance(120)
    swept = await later.sweeper.sweep()
    closing = counter.total
    counter.reset()
    blanked, deleted = 0, 0
    for days in (0, 31, 400):
        clock.advance(days * DAY)
        done = None
        while done != Tidied():
            done = await later.retention.tidy()
            blanked, deleted = blanked + done.raw, deleted + done.batches
            clock.advance(600)
    await later.close()
    # What a run takes beside, a look at each table and where it came to, an idle one takes too.
    tidying = sum(
        requests for (what, where), requests in counter.by_operation.items() if what != "scan" and where != "upkeep"
    )

    batches = number * use.batches
    assert (swept.closed, deleted) == (batches, batches)
    assert blanked >= number
    print(shape, closing / batches, tidying / number)
    assert cost.CLOSING <= closing / batches <= cost.CLOSING + cost.TIMERS["sweep_batches"].tables / batches
    assert cost.CLOSING * use.batches <= use.swept
    assert use.tidied / 2 <= tidying / number <= use.tidied


async def test_what_an_open_batch_takes(start_gateway, storage, clock):
    """A batch of a hundred that is never reported costs the looks that are paid for, in all minutes of its window."""
    async with running_sandbox(time_scale=1000) as silent:
        ready = Ready(await start_gateway(), silent)
        await ready.send(await ready.make("twilio"), [f"+1425{2_000_000 + one}" for one in range(100)])
        async with asyncio.timeout(30):
            while (await ready.call("GET", "/messages?status=queued")).body["items"]:
                await asyncio.sleep(0.05)
        await start_gateway.stop()
        store, counter = counted(storage)
        later = app.build(read_settings(SETTINGS), store, clock=clock)
        clock.freeze()
        window, looks, closed = later.settings.report_window, 0, 0
        for _ in range(int(window / SWEEP_PERIOD) + 5):
            clock.advance(SWEEP_PERIOD.total_seconds())
            swept = await later.sweeper.sweep()
            looks, closed = looks + swept.looked_at, closed + swept.closed
        await later.close()
    # What a sweep takes beside, it takes without a batch too.
    beside = {
        ("scan", "batchindex"),
        ("query", "batchindex"),
        ("get", "upkeep"),
        ("replace", "upkeep"),
        ("insert", "upkeep"),
    }
    taken = sum(
        number for (what, where), number in counter.by_operation.items()
        if where != "secrets" and (what, where) not in beside
    )  # fmt: skip
    print(looks, taken, dict(counter.by_operation))
    assert closed == 1
    assert cost.OPEN_TO_THE_END * 0.8 <= taken <= cost.OPEN_TO_THE_END
    spans = later.sweeper._steps.spans(clock(), SWEEP_PERIOD)
    read = sum((until - since).total_seconds() for since, until in spans)
    assert read <= cost.SWEPT_MONTHS * cost.SECONDS_A_MONTH <= read * 1.1


def index_row(created, batch):
    """Return a row of the index, of a closed batch that is nobody's."""
    values = {"batch": batch, "created": to_ms(created), "provider": "p", "sender": "s", "businessUnit": ""}
    return Row(*index.place(created, batch), values | {"count": 0, "fingerprint": b"", "closed": True})


@pytest.mark.parametrize("batches", [1, 2500])
async def test_an_erasure_reads_the_index(storage, clock, batches):
    """What erasing a person takes grows by two requests for a thousand batches that are kept: a page, and its place."""
    store, counter = counted(storage)
    later = app.build(read_settings(SETTINGS), store, clock=clock)
    created = clock() - timedelta(days=1)
    for at in range(0, batches, 100):
        rows = [index_row(created, f"batch{one:08d}") for one in range(at, min(at + 100, batches))]
        await storage.tables.insert(index.TABLE, rows)
    await later.erasures.request("+14255550123", keep_opt_outs=True)
    clock.advance(600)
    counter.reset()
    assert await later.erasures.carry_on() == 1
    await later.close()
    pages = -(-batches // cost.PAGE_ROWS)
    assert counter.by_operation["scan", index.TABLE] == pages
    assert counter.total <= 2 * pages + 20


def test_limits_are_those_of_the_gateway():
    """The times that bound a run of a timer are those that the host and the gateway have."""
    host = json.loads((ROOT / "host.json").read_text())
    hours, minutes, seconds = map(int, host["functionTimeout"].split(":"))
    assert Timing().sweep_for.total_seconds() == cost.LONGEST_SWEEP
    assert timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds() > cost.LONGEST_SWEEP
    assert Timing().upkeep_for.total_seconds() == cost.LONGEST_UPKEEP


def test_timers_run_one_at_a_time():
    """A timer is never billed for longer than the month, nor for less than a second a run, and grows with messages."""
    for use in cost.USES.values():
        few, many = cost.timers(use, 0), cost.timers(use, 1e12)
        for name, less, more in zip(cost.TIMERS, few, many, strict=True):
            assert less.seconds == cost.TIMERS[name].runs
            assert less.tables == cost.TIMERS[name].runs * cost.TIMERS[name].tables
            assert less.seconds <= more.seconds <= cost.SECONDS_A_MONTH
            assert (more.tables > less.tables) == (name != "watch_queues")


def test_alerts_that_are_paid_for():
    """The alerts that the templates make are as many as are paid for."""
    alerts = template("modules/alerts.bicep").variables
    assert len(alerts["queryAlerts"]) == cost.QUERY_ALERTS
    assert len(alerts["always"]) + len(alerts["withTopic"]) == cost.METRIC_ALERTS


# Totals -------------------------------------------------------------------------------------------------------------


def test_costs_grow_with_messages():
    """More messages cost more in all and less apiece, and free grants make nothing negative."""
    for use in cost.USES.values():
        made = [cost.cost(use, messages) for messages in cost.VOLUMES]
        assert [one.total for one in made] == sorted(one.total for one in made)
        by_message = [one.total / messages for one, messages in zip(made, cost.VOLUMES, strict=True)]
        assert by_message == sorted(by_message, reverse=True)
        assert all(min(one.functions, one.storage, one.telemetry) >= 0 for one in made)


def test_billed_seconds():
    """A lone execution is billed for a second, even many for no more than the month, and a busy group for its work."""
    assert cost.active_seconds(1, 0.003) == pytest.approx(1, rel=1e-3)
    assert cost.active_seconds(1e9, 0) == pytest.approx(cost.SECONDS_A_MONTH)
    assert cost.active_seconds(1e9, 1e7) == 2e7


def test_prices_say_where_they_are_from():
    """Every price names the page of Microsoft that publishes it, and every one is used."""
    source = (ROOT / "infra" / "cost.py").read_text()
    for name, price in cost.PRICES.items():
        assert price.source.startswith("https://azure.microsoft.com/pricing/details/")
        assert source.count(f'"{name}"') > 1, name


@pytest.mark.parametrize(
    ("amount", "said"), [(0.4, "under 1"), (1.04, "1"), (8.6, "9"), (84.4, "84"), (684, "680"), (1449, "1,400")]
)
def test_amounts_are_not_taken_for_exact(amount, said):
    """Amounts are rounded to two digits that count."""
    assert cost.dollars(amount) == said
