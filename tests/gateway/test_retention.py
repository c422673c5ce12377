"""What is older than it is to be kept goes, bit by bit, whole, and nothing else does."""

from __future__ import annotations

import asyncio
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from functions.gateway.clock import bucket, from_ms, message_id
from functions.gateway.consent import ALL_SENDERS, Entry
from functions.gateway.facts import TABLE
from functions.gateway.problems import ProblemError
from functions.gateway.retention import Tidied
from functions.storage.counting import counted
from functions.storage.embedded import open_embedded
from functions.vendors.contract import State
from tests.conftest import Clock
from tests.gateway.world import PROVIDER, SENDER, CrashError, World, build, crashing

ANN, BOB = "+14255550101", "+14255550102"
DAY = 24 * 3600
MOMENT = datetime(2026, 11, 22, 12, tzinfo=UTC)
SHORT = {"SMS_KEEP_MESSAGES_DAYS": "20", "SMS_KEEP_INBOUND_DAYS": "10", "SMS_KEEP_RAW_DAYS": "3"}
HOUR = 3600


@pytest.fixture
def world(storage, clock):
    clock.freeze(MOMENT)
    return World(build(storage, clock, **SHORT), clock)


async def fill(world: World) -> str:
    """Let something of everything come to be at this moment; return the batch."""
    batch = await world.batch([ANN, BOB])
    await world.reply(ANN, "Hello")
    await world.set_aside('{"To": "somebody"}')
    await world.answer("key", [ANN])
    await world.app.callbacks._reports._vendor_ids.keep(PROVIDER, {"SM1": message_id(batch, 0)})
    return batch


async def left(world: World) -> dict[str, int]:
    """Return how many rows each table has, but for those that say how far the upkeep is."""
    counts: dict[str, int] = {}
    for table, _, _ in await world.rows():
        if table != "upkeep":
            counts[table] = counts.get(table, 0) + 1
    return counts


ALL = {
    "batches": 5,
    "batchindex": 1,
    "inbound": 1,
    "inboundseen": 1,
    "setaside": 1,
    "idempotency": 1,
    "vendorids": 1,
}


async def test_everything_goes_in_its_time(world) -> None:
    """Answers for repeats go after two days, raw payloads after theirs, replies and messages after theirs."""
    await fill(world)
    assert await left(world) == ALL
    gone: set[str] = set()
    times = {1: (), 2: ("idempotency",), 4: ("setaside",), 11: ("inbound",), 21: ("batches", "batchindex")}
    for day, names in times.items():
        world.clock.freeze(MOMENT + timedelta(days=day, hours=2))
        await world.app.retention.tidy()
        gone |= set(names)
        assert await left(world) == {name: count for name, count in ALL.items() if name not in gone}, day
    # What is gone through in rounds waits for the next one.
    world.clock.freeze(MOMENT + timedelta(days=62))
    await world.app.retention.tidy()
    assert await left(world) == {}


async def test_nothing_goes_before_its_time(world) -> None:
    """An hour before its time everything is still there, raw payloads too."""
    batch = await fill(world)
    before = await world.rows()
    for days, untouched in ((3, set(ALL) - {"idempotency"}), (10, {"inbound"}), (20, {"batches", "batchindex"})):
        world.clock.freeze(MOMENT + timedelta(days=days))
        await world.app.retention.tidy()
        after = await world.rows()
        for place in before:
            if place[0] in untouched and not (days > 3 and ("report" in place[2] or place[0] == "inbound")):
                assert after[place] == before[place]
            if place[0] in untouched:
                assert place in after
    assert (await world.app.messages.message(message_id(batch, 0))).status is State.DELIVERED


async def test_raw_payloads_go_first(world) -> None:
    """After their time what vendors sent is blank, beside reports and replies, and all else is as it was."""
    batch = await fill(world)
    before, story = await world.rows(), await world.messages()
    world.clock.advance(3 * DAY + 2 * HOUR)

    done = await world.app.retention.tidy()

    after = await world.rows()
    assert done.raw == 2, "the report of the one message that was accepted, and the reply"
    for place, values in before.items():
        if place[0] in {"batches", "inbound"}:
            assert after[place] == {**values, **({"raw": ""} if "raw" in values else {})}
    assert await world.messages() == story
    assert batch in str(after)
    assert await world.app.retention.tidy() == Tidied()


async def test_the_opt_out_list_stays(world) -> None:
    """However old, nobody who opted out is forgotten."""
    await world.app.opt_outs.record(Entry(ANN, ALL_SENDERS, opted_out=True, at=world.clock(), source="operator"))
    await world.reply(BOB, "STOP")
    world.clock.advance(3000 * DAY)

    await world.app.retention.tidy()

    assert await left(world) == {"optouts": 2}
    fresh = build(world.app.storage, world.clock, **SHORT).opt_outs
    await fresh.refresh()
    assert fresh.blocked(ANN, SENDER)
    assert fresh.blocked(BOB, SENDER)


async def test_kept_for_ever(storage, clock) -> None:
    """With `forever` only the answers for repeats are deleted."""
    clock.freeze(MOMENT)
    names = ("SMS_KEEP_MESSAGES_DAYS", "SMS_KEEP_INBOUND_DAYS", "SMS_KEEP_RAW_DAYS")
    world = World(build(storage, clock, **dict.fromkeys(names, "forever")), clock)
    await fill(world)
    before = await world.rows()
    clock.advance(5000 * DAY)

    await world.app.retention.tidy()

    after = {place: values for place, values in (await world.rows()).items() if place[0] != "upkeep"}
    assert after == {place: values for place, values in before.items() if place[0] != "idempotency"}


async def test_only_what_is_old_goes(world) -> None:
    """Of many batches of many days those over their time go, the others are not written to."""
    old, young = [], []
    for day in range(30):
        world.clock.freeze(MOMENT + timedelta(days=day))
        (old if day < 10 else young).append(await world.batch([ANN, BOB]))
    before = await world.rows(TABLE)
    world.clock.freeze(MOMENT + timedelta(days=29, hours=2))

    assert (await world.app.retention.tidy()).batches == 10

    after = await world.rows(TABLE)
    assert {place[1] for place in after} == set(young)
    assert sorted(after) == sorted(place for place in before if place[1] in young)
    for batch in old:
        with pytest.raises(ProblemError):
            await world.app.messages.message(message_id(batch, 0))
    assert len(await world.messages()) == 2 * len(young)


# Those who come late -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [False, True], ids=["fresh process", "process that knows the batch"])
async def test_a_report_for_a_deleted_message_is_set_aside(world, storage, clock, known) -> None:
    """A report that comes after its message was deleted leaves nothing behind but what was set aside."""
    batch = await world.batch([ANN, BOB])
    other = World(build(storage, clock, **SHORT), clock)
    if known:
        await other.report(message_id(batch, 1), BOB, State.DELIVERED)
    clock.advance(21 * DAY)
    await world.app.retention.tidy()

    await other.report(message_id(batch, 0), ANN, State.DELIVERED)

    assert await left(world) == {"setaside": 1}


async def test_a_report_at_the_edge_is_set_aside_before_anything_is_deleted(world, storage, clock) -> None:
    """From the moment a message's time is over no report is added to it; it is deleted an hour later at the soonest."""
    batch = await world.batch([ANN])
    clock.advance(20 * DAY - 1)
    await world.report(message_id(batch, 0), ANN, State.UNDELIVERED)
    assert len(await world.rows(TABLE)) == 6
    clock.advance(2)

    await world.report(message_id(batch, 0), ANN, State.FAILED)
    await world.app.retention.tidy()

    assert len(await world.rows(TABLE)) == 6
    assert len(await world.rows("setaside")) == 1


async def test_a_late_report_brings_no_raw_payload_back(world) -> None:
    """A report that comes after raw payloads were blanked counts, and its own is not kept."""
    batch = await world.batch([ANN, BOB])
    world.clock.advance(4 * DAY)
    await world.app.retention.tidy()

    await world.report(message_id(batch, 0), ANN, State.UNDELIVERED)

    raws = [values["raw"] for (_, _, key), values in (await world.rows(TABLE)).items() if key.startswith("report")]
    assert raws == ["", ""]
    timeline = (await world.messages())[message_id(batch, 0)]["timeline"]
    assert [entry["state"] for entry in timeline if entry["what"] == "report"] == [State.DELIVERED, State.UNDELIVERED]


async def test_a_repeated_reply_is_deleted_again(world) -> None:
    """A reply that its vendor repeats after it was deleted is known for a repeat and goes with the next run."""
    await world.reply(ANN, "START")
    (values,) = (await world.rows("inbound")).values()
    world.clock.advance(12 * DAY)
    await world.app.retention.tidy()
    assert "inbound" not in await left(world)
    from functions.vendors.contract import InboundText

    again = InboundText(vendor_id=values["vendorId"], sender=ANN, recipient=SENDER, text="START", raw={})
    await world.app.inbound.take([again], vendor="twilio", provider=PROVIDER)
    world.clock.advance(600)
    await world.app.retention.tidy()

    assert "inbound" not in await left(world)
    assert not await world.app.opt_outs.record(Entry(ANN, SENDER, opted_out=False, at=MOMENT, source="keyword")), (
        "its START was dated back to when it first came"
    )


async def test_a_batch_that_was_never_closed_is_closed_first(world) -> None:
    """A batch from before a long outage is closed by one run, so that nobody sends it, and deleted by a later one."""
    batch = await world.batch([ANN], tried=False, close=False)
    world.clock.advance(30 * DAY)

    assert (await world.app.retention.tidy()).batches == 0
    assert (await world.app.messages.facts(batch)).closed
    await world.app.dispatcher.dispatch(batch)
    assert len((await world.app.messages.facts(batch)).attempts) == 0, "nobody sends it any more"

    assert (await world.app.retention.tidy()).batches == 1
    assert await left(world) == {}


async def test_the_worker_of_a_deleted_batch_does_nothing(world) -> None:
    """A queue message for a batch that is gone is dropped."""
    batch = await world.batch([ANN])
    world.clock.advance(30 * DAY)
    await world.app.retention.tidy()

    await world.app.dispatcher.dispatch(batch)
    await world.app.sweeper.sweep()

    assert await left(world) == {}


# A share a run -------------------------------------------------------------------------------------------------------


async def test_a_run_stops_in_time_and_the_next_goes_on(world, monkeypatch) -> None:
    """When a run's time is up it stops, and later runs do the rest, raw payloads and rounds included."""
    for _ in range(6):
        await fill(world)
        world.clock.advance(2 * HOUR)
    world.clock.advance(3 * DAY + 2 * HOUR)
    retention, moment = world.app.retention, world.clock()
    ticks = iter(range(0, 10**6, 100))
    monkeypatch.setattr(retention, "_clock", lambda: moment + timedelta(seconds=next(ticks)))
    runs = [await retention.tidy() for _ in range(12)]

    assert sum(run.raw for run in runs) == 12
    assert sum(run.set_aside for run in runs) == 6
    assert len([run for run in runs if run.raw]) > 2
    raws = [values["raw"] for values in (await world.rows("batches", "inbound")).values() if "raw" in values]
    assert set(raws) == {""}


async def test_a_round_goes_on_where_it_stopped(world, monkeypatch) -> None:
    """A round that has time for one partition a run comes to its end all the same, past what is to stay."""
    await world.answer("zz-old", [ANN])
    world.clock.advance(3 * DAY)
    for name in ("aa", "bb", "cc"):
        await world.answer(f"{name}-young", [ANN])
    retention, moment = world.app.retention, world.clock()

    for _ in range(5):
        ticks = iter([0, *[10_000] * 1000])
        monkeypatch.setattr(retention, "_clock", lambda ticks=ticks: moment + timedelta(seconds=next(ticks)))
        await retention.tidy()

    assert sorted(key for _, _, key in await world.rows("idempotency")) == ["aa-young", "bb-young", "cc-young"]


async def test_nothing_is_deleted_in_the_hour_in_which_writers_may_be_late(world, clock) -> None:
    """Also at the end of an hour's partition deletion keeps its distance from what may still be written to."""
    ms = int(MOMENT.timestamp() * 1000)
    ms += (2**48 - 1 - ms) % 3_600_000
    assert bucket(ms) != bucket(ms + 1)
    clock.freeze(from_ms(ms))
    await world.batch([ANN])
    clock.freeze(from_ms(ms) + timedelta(days=20, minutes=59))
    assert (await world.app.retention.tidy()).batches == 0
    clock.freeze(from_ms(ms) + timedelta(days=20, minutes=61))
    assert (await world.app.retention.tidy()).batches == 1


async def test_what_changes_between_runs_is_not_missed(world) -> None:
    """Each pass takes up what became old enough since, however the setting was changed in between."""
    for day in range(8):
        world.clock.freeze(MOMENT + timedelta(days=day))
        await world.batch([ANN])
    blanked = []
    for day, keep in ((8, "7"), (9, "7"), (9, "2"), (10, "9"), (10, "1")):
        world.clock.freeze(MOMENT + timedelta(days=day, hours=3))
        app = build(world.app.storage, world.clock, **SHORT | {"SMS_KEEP_RAW_DAYS": keep})
        blanked.append((await app.retention.tidy()).raw)

    assert blanked == [2, 1, 5, 0, 0]


async def test_rounds_are_begun_once_a_day_and_once_a_month(world) -> None:
    """Tables sorted by a digest are not read again at every run."""
    storage, counter = counted(world.app.storage)
    app = build(storage, world.clock, **SHORT)
    scans = []
    for hours in (0, 1, 21, 24, 48, 24 * 30):
        world.clock.freeze(MOMENT + timedelta(hours=hours))
        counter.reset()
        await app.retention.tidy()
        scans.append([counter.by_operation["scan", name] for name in ("idempotency", "inboundseen", "vendorids")])

    assert scans == [[1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0], [1, 1, 1]]


# Killed half-way -----------------------------------------------------------------------------------------------------


async def old_store(file) -> tuple[datetime, list[str]]:
    """Fill a store with what will be old, and a little that will not; return the moment, and the batches."""
    clock = Clock()
    clock.freeze(MOMENT)
    storage = open_embedded(file, clock.seconds)
    world = World(build(storage, clock, **SHORT), clock)
    crowd = [f"+1425{2_000_000 + n}" for n in range(100)]
    batches = [await fill(world), await world.batch(crowd)]
    for state in (State.UNDELIVERED, State.FAILED):
        # More facts than fit into one transaction.
        for place in range(0, 100, 2):
            await world.report(message_id(batches[1], place), crowd[place], state)
    clock.freeze(MOMENT + timedelta(days=15))
    batches.append(await world.batch([BOB]))
    await world.reply(BOB, "Young")
    await storage.close()
    return MOMENT + timedelta(days=21), batches


@pytest.mark.parametrize("lost", [False, True], ids=["before the write", "after the write"])
async def test_killed_at_any_write(tmp_path, lost) -> None:
    """Killed before or after any of its writes no batch is half there, and the next run ends where this one would."""
    due, batches = await old_store(tmp_path / "template.db")
    ends = []
    for writes in range(100):
        file = shutil.copy(tmp_path / "template.db", tmp_path / f"{writes}.db")
        clock = Clock()
        clock.freeze(due)
        storage = open_embedded(file, clock.seconds)
        world = World(build(storage, clock, **SHORT), clock)
        whole = {batch: await world.app.messages.facts(batch) for batch in batches}
        killed = True
        with suppress(CrashError):
            await build(crashing(storage, writes, lost=lost), clock, **SHORT).retention.tidy()
            killed = False
        for batch in batches:
            assert await world.app.messages.facts(batch) in (None, whole[batch]), writes
        for _ in range(2):
            await world.app.retention.tidy()
        ends.append({place: v for place, v in (await world.rows()).items() if place[0] not in {"upkeep", "vendorids"}})
        await storage.close()
        if not killed:
            break
    assert writes > 8, "it was never killed"
    assert all(end == ends[-1] for end in ends)
    assert sorted({place[0] for place in ends[-1]}) == ["batches", "batchindex", "inbound", "inboundseen"]


async def test_two_runs_beside_each_other_do_no_harm(world, storage, clock) -> None:
    """Two processes that tidy up at the same time leave what one would."""
    for _ in range(5):
        await fill(world)
        clock.advance(HOUR)
    clock.advance(25 * DAY)
    await world.batch([BOB])
    expected = await world.rows("batches")

    await asyncio.gather(*(build(storage, clock, **SHORT).retention.tidy() for _ in range(3)))
    await world.app.retention.tidy()

    rows = await world.rows("batches", "batchindex", "inbound", "setaside")
    assert len({place[1] for place in rows if place[0] == "batches"}) == 1
    assert {place: v for place, v in rows.items() if place[0] == "batches"}.items() <= expected.items()
    assert {place[0] for place in rows} == {"batches", "batchindex"}


# What it costs -------------------------------------------------------------------------------------------------------


async def test_deleting_stays_within_budget(world) -> None:
    """Blanking and deleting a bulk send of 2,000 messages cost at most 0.1 storage requests a message together."""
    for at in range(20):
        await world.batch([f"+1425{2_000_000 + 100 * at + n}" for n in range(100)])
    storage, counter = counted(world.app.storage)
    app = build(storage, world.clock, **SHORT)
    world.clock.advance(4 * DAY)
    raw = await app.retention.tidy()
    blanking = counter.total
    counter.reset()
    world.clock.advance(17 * DAY)
    done = await app.retention.tidy()
    print(f"blanking {blanking / 2000:.4f}, deleting {counter.total / 2000:.4f} requests a message")

    assert raw.raw >= 1000
    assert done.batches == 20
    assert (blanking + counter.total) / 2000 <= 0.1


async def test_a_run_with_nothing_to_do_is_cheap(world) -> None:
    """A run that finds nothing costs at most ten requests."""
    await fill(world)
    storage, counter = counted(world.app.storage)
    app = build(storage, world.clock, **SHORT)
    await app.retention.tidy()
    world.clock.advance(600)
    counter.reset()

    assert await app.retention.tidy() == Tidied()
    assert counter.total <= 10, counter.by_operation
