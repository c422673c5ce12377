"""Whoever asks to be forgotten is: nothing of the person is found any more, and nothing else changed."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.gateway.clock import message_id
from functions.gateway.consent import ALL_SENDERS, Entry, OptOuts
from functions.gateway.erasing import ERASED, mentions
from functions.gateway.erasurejobs import ERASURES_TABLE, OPEN
from functions.gateway.facts import TABLE, Attempt, outcome_row, sending_row
from functions.gateway.index import recipient_mark
from functions.gateway.models import ErasureState
from functions.gateway.problems import ProblemError
from functions.storage.counting import counted
from functions.storage.embedded import open_embedded
from functions.vendors.contract import Accepted, Reason, State, Unknown
from tests.conftest import Clock
from tests.gateway.world import PROVIDER, SENDER, CrashError, World, build, crashing, plain, report, text_to

ANN, BOB, EVE = "+14255550101", "+14255550102", "+447405550103"
MOMENT = datetime(2026, 11, 22, 12, tzinfo=UTC)
GONE = ("to", "text", "reference", "metadata")
"""What an erased message has no more."""


@pytest.fixture
def world(storage, clock):
    clock.freeze()
    return World(build(storage, clock), clock)


async def fill(world: World) -> None:
    """Let three people get and write texts, in batches that are done."""
    await world.batch([ANN, BOB, EVE])
    world.clock.advance(4000)
    await world.batch([EVE, ANN])
    await world.batch([BOB])
    world.clock.advance(100)
    for person in (ANN, BOB, EVE):
        await world.reply(person, f"I am {person}")
        await world.reply(person, "STOP")
        await world.set_aside(json.dumps({"To": person, "Body": text_to(person)}))
        await world.set_aside("{}", f"Nobody knows {person}.")
        await world.answer(f"key{person[-1]}", [person])
    await world.answer("everybody", [ANN, BOB, EVE])
    await world.app.opt_outs.record(
        Entry(ANN, ALL_SENDERS, opted_out=True, at=world.clock(), source="operator", note=f"Ann {ANN} called")
    )


def traces(dump: str, number: str) -> list[str]:
    """Return where a person is found in a dump: the number in any spelling, or the texts to the person."""
    spelled = re.compile(rf"(?<!\d)({number[1:]}|{number[-10:]}|{number[:0:-1]})(?!\d)")
    return [dump[max(0, found.start() - 80) : found.end() + 20] for found in spelled.finditer(dump)]


async def test_nothing_is_left_of_the_person(world) -> None:
    """After an erasure number, texts, metadata and references are nowhere in the store but on the opt-out list."""
    await fill(world)
    before = await world.dump()
    assert len(traces(before, ANN)) > 20

    await world.erase(ANN)

    rows = await world.rows()
    ledger = {place: values for place, values in rows.items() if place[0] == "optouts"}
    others = json.dumps(
        [[list(place), values] for place, values in rows.items() if place[0] != "optouts"], default=repr
    )
    assert traces(others, ANN) == []
    kept = [values for values in ledger.values() if values.get("number") == ANN]
    assert {(entry["sender"], entry["optedOut"], entry["note"]) for entry in kept} == {
        (SENDER, True, "STOP"),
        (ALL_SENDERS, True, ""),
    }
    assert len(traces(others, BOB)) > 10


async def test_counts_and_stories_stay(world) -> None:
    """States, reasons, times, segments and ids of the erased messages are what they were; all others are untouched."""
    await fill(world)
    before, listed = await world.messages(), await listing(world)

    await world.erase(ANN)

    after = await world.messages()
    assert list(after) == list(before)
    for identity, message in after.items():
        old = before[identity]
        if old["to"] != ANN:
            assert message == old
            continue
        assert [message[name] for name in GONE] == [ERASED, ERASED, None, None]
        assert {name: value for name, value in message.items() if name not in {*GONE, "timeline"}} == {
            name: value for name, value in old.items() if name not in {*GONE, "timeline"}
        }
        assert [{**entry, "detail": ""} for entry in message["timeline"]] == [
            {**entry, "detail": ""} for entry in old["timeline"]
        ]
    assert await listing(world) == listed


async def listing(world: World) -> list[tuple]:
    """Return what lists and reports count by."""
    return [
        (m["id"], m["status"], m["reason"], m["segments"], m["created_at"], m["updated_at"], m["business_unit"])
        for m in (await world.messages()).values()
    ]


async def test_our_own_words_stay(world) -> None:
    """What the gateway itself said of an erased message, such as that it was on the opt-out list, can still be read."""
    batch = await world.batch([BOB, EVE, "+14255550104", ANN])

    await world.erase(ANN)

    (refused,) = [e for e in (await world.messages())[message_id(batch, 3)]["timeline"] if e["what"] == "refused"]
    assert refused["detail"] == "On the gateway's opt-out list."


async def test_ids_and_codes_made_of_the_number_go(world) -> None:
    """Where a vendor makes its ids, codes or words of the number, they go too; others stay."""
    batch = await world.batch([ANN, BOB], reported=[])
    outcomes = {0: Accepted(f"id-{ANN}"), 1: Accepted(f"id-{BOB}")}
    again = Attempt(2, lookup=False, started=world.clock(), lease=1.0, indices=(0, 1))
    rows = [sending_row(batch, again), outcome_row(batch, 2, outcomes, world.clock())]
    await world.tables.insert(TABLE, rows)
    for place, person in enumerate((ANN, BOB)):
        said = report(message_id(batch, place), person, State.UNDELIVERED)
        odd = replace(said, vendor_id=f"id-{person}", code=person, status=f"lost {person}")
        await world.app.callbacks._reports.take([odd], vendor="twilio", provider=PROVIDER)
    await world.app.sweeper._closer.close(batch)
    bobs = (await world.messages())[message_id(batch, 1)]
    world.clock.advance(5)

    await world.erase(ANN)

    assert traces(await world.dump(), ANN) == []
    assert (await world.messages())[message_id(batch, 1)] == bobs
    assert bobs["vendor_id"] == f"id-{BOB}"


async def test_a_worker_at_a_closed_batch_is_waited_for(world) -> None:
    """While a claim on a batch holds, its worker may still write what the vendor said, so erasing waits."""
    batch = await world.batch([ANN])
    asked = await world.app.erasures.request(ANN, keep_opt_outs=True)
    world.clock.advance(121)
    claim = Attempt(2, lookup=True, started=world.clock(), lease=120.0, indices=(0,))
    await world.tables.insert(TABLE, [sending_row(batch, claim)])

    assert await world.app.erasures.carry_on() == 0
    assert (await world.app.erasures.view(asked.id)).state is ErasureState.WAITING
    outcomes = {0: Unknown(f"could not find {ANN}")}
    await world.tables.insert(TABLE, [outcome_row(batch, 2, outcomes, world.clock())])
    world.clock.advance(601)

    assert await world.app.erasures.carry_on() == 1
    assert traces(await world.dump(), ANN) == []


async def test_waiting_is_cheap(world, storage, clock) -> None:
    """A batch in flight is looked at every ten minutes; in between a run costs one request."""
    await world.batch([ANN], close=False, reported=[])
    await world.app.erasures.request(ANN, keep_opt_outs=True)
    clock.advance(121)
    store, counter = counted(storage)
    app = build(store, clock)
    costs = []
    for _ in range(3):
        counter.reset()
        await app.erasures.carry_on()
        costs.append(counter.total)
        clock.advance(301)

    assert costs[1] == 1
    assert costs[2] > 1


async def test_a_lookup_does_not_take_an_erased_message_for_this_one(world) -> None:
    """The vendor's ids of erased messages still count as spoken for, though nobody knows any more to whom they went."""
    batch = await world.batch([ANN])
    known = await world.app.messages.vendor_ids(ANN, since=world.clock(), batch="another")
    assert known == {"SM0"}

    await world.erase(ANN)

    assert await world.app.messages.vendor_ids(ANN, since=MOMENT, batch="another") == known
    assert await world.app.messages.vendor_ids(ANN, since=MOMENT, batch=batch) == frozenset()


async def test_others_stay_byte_for_byte(world) -> None:
    """Rows that have nothing to do with the person are not even written."""
    await fill(world)
    touched = {"batchindex", "batches", "inbound", "idempotency", "setaside"}
    before = {place: row async for place, row in raw_rows(world)}

    await world.erase(BOB)

    after = {place: row async for place, row in raw_rows(world)}
    changed = {place for place in before if before[place] != after.get(place)}
    assert {place[0] for place in changed} == touched
    assert [place for place in changed if BOB not in str(plain(before[place]))] == []


async def raw_rows(world: World):
    for table in ("batches", "batchindex", "inbound", "inboundseen", "idempotency", "setaside", "vendorids", "optouts"):
        async for row in world.tables.scan(table, first="!", last="~"):
            yield (table, row.partition, row.key), row


NUMBERS = st.sampled_from([ANN, BOB, EVE, "+14255550104", "+15005550101", "+442555501010"])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=st.lists(st.lists(NUMBERS, min_size=1, max_size=5, unique=True), min_size=1, max_size=4),
    replies=st.lists(NUMBERS, max_size=4),
    calls=st.lists(st.lists(NUMBERS, min_size=1, max_size=3), max_size=3),
    person=NUMBERS,
)
def test_erasing_anybody_leaves_everybody_else(tmp_path_factory, batches, replies, calls, person) -> None:
    """Whoever is erased: others are byte for byte the same, counts equal, nothing is found, again is nothing."""

    async def check() -> None:
        clock = Clock()
        clock.freeze()
        storage = open_embedded(tmp_path_factory.mktemp("any") / "gateway.db", clock.seconds)
        world = World(build(storage, clock), clock)
        for numbers in batches:
            await world.batch(numbers)
            clock.advance(1800)
        for place, number in enumerate(replies):
            await world.reply(number, f"reply {place}")
        for place, numbers in enumerate(calls):
            await world.answer(f"{place:02}key", numbers)
        messages, rows = await world.messages(), await world.rows()

        await world.erase(person)
        once = await world.messages(), {k: v for k, v in (await world.rows()).items() if k[0] != "erasures"}
        await world.erase(person)
        again = await world.messages(), {k: v for k, v in (await world.rows()).items() if k[0] != "erasures"}
        await storage.close()

        assert once == again
        after, stored = once
        assert {i: m for i, m in after.items() if messages[i]["to"] != person} == {
            i: m for i, m in messages.items() if m["to"] != person
        }
        for identity, message in messages.items():
            for name in ("status", "reason", "segments", "encoding", "created_at", "updated_at", "vendor_id", "sender"):
                assert after[identity][name] == message[name]
        assert sorted(rows) == sorted(stored)
        assert traces(json.dumps(list(map(str, stored.values()))), person) == []
        for place, values in rows.items():
            if place[0] in {"inbound", "idempotency"} and person not in str(values):
                assert stored[place] == values

    asyncio.run(check())


async def test_the_number_is_out_of_the_index_too(world) -> None:
    """The fingerprint of an erased recipient goes as well, and lists by number find nobody."""
    await fill(world)
    await world.erase(ANN)

    entries = [row async for row in world.tables.scan("batchindex", first="!", last="~")]
    index = world.app.messages._index
    found = [e async for e in index.newest(since=world.clock() - timedelta(days=9), until=world.clock())]
    assert len(found) == len(entries) == 3
    assert not any(entry.may_have(recipient_mark(ANN)) for entry in found)
    assert any(entry.may_have(recipient_mark(BOB)) for entry in found)


async def test_messages_in_flight_are_finished_first(world) -> None:
    """A batch that is not done is waited for, said so, and erased once it is closed."""
    batch = await world.batch([ANN, BOB], close=False, reported=[])
    asked = await world.app.erasures.request(ANN, keep_opt_outs=True)
    assert asked.state is ErasureState.RUNNING
    world.clock.advance(121)

    assert await world.app.erasures.carry_on() == 0
    waiting = await world.app.erasures.view(asked.id)
    assert (waiting.state, waiting.in_flight, waiting.messages) == (ErasureState.WAITING, 1, 0)
    assert "on their way" in waiting.detail
    assert traces(str(await world.app.messages.facts(batch)), ANN), "its recipient is still needed"

    await world.report(message_id(batch, 0), ANN, State.DELIVERED)
    await world.app.sweeper._closer.close(batch)
    world.clock.advance(601)
    assert await world.app.erasures.carry_on() == 1

    done = await world.app.erasures.view(asked.id)
    assert (done.state, done.in_flight, done.messages) == (ErasureState.DONE, 0, 1)
    assert traces(await world.dump(), ANN) == []
    assert (await world.messages())[message_id(batch, 0)]["status"] == State.DELIVERED


async def test_what_is_never_reported_is_erased_after_the_window(world) -> None:
    """A batch that nobody closed, since the app was away, is closed and erased once its reports are too late."""
    await world.batch([ANN], close=False, reported=[])
    asked = await world.app.erasures.request(ANN, keep_opt_outs=True)
    world.clock.advance(8 * 24 * 3600)

    assert await world.app.erasures.carry_on() == 1
    assert (await world.app.erasures.view(asked.id)).messages == 1
    assert traces(await world.dump(), ANN) == []


async def test_what_comes_after_the_request_stays(world) -> None:
    """Messages and replies of the time after the request are not part of it."""
    await world.batch([ANN])
    await world.app.erasures.request(ANN, keep_opt_outs=True)
    world.clock.advance(60)
    later = await world.batch([ANN])
    await world.reply(ANN, "I am back")
    world.clock.advance(61)

    assert await world.app.erasures.carry_on() == 1

    messages = await world.messages()
    assert {m["to"] for i, m in messages.items() if i.startswith(later)} == {ANN}
    assert [m["to"] for i, m in messages.items() if not i.startswith(later)] == [ERASED]
    assert [item.text for item in (await world.app.inbound.page(limit=9, cursor=None)).items] == ["I am back"]


async def test_the_work_begins_when_all_writes_are_through(world) -> None:
    """A request younger than two minutes is left alone: calls accepted before it may still be writing."""
    await fill(world)
    await world.app.erasures.request(ANN, keep_opt_outs=True)
    world.clock.advance(119)
    before = await world.dump()

    assert await world.app.erasures.carry_on() == 0
    assert await world.dump() == before


# Those who come late --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by_batch", [False, True])
@pytest.mark.parametrize("known", [False, True], ids=["fresh process", "process that knows the number"])
async def test_a_late_report_brings_nobody_back(world, storage, clock, monkeypatch, by_batch, known) -> None:
    """A report for an erased message counts and leaves nothing of the person, also where the number was in memory."""
    batch = await world.batch([BOB, ANN, EVE])
    message = message_id(batch, 1)
    other = World(build(storage, clock), clock)
    if known:
        await other.report(message_id(batch, 0), BOB, State.DELIVERED)
    await world.erase(ANN)

    written = []
    real = storage.tables.insert

    async def watched(table, rows):
        written.extend(str(row) for row in rows)
        return await real(table, rows)

    with monkeypatch.context() as patch:
        patch.setattr(storage.tables, "insert", watched)
        await other.report(message, ANN, State.DELIVERED, by_batch=by_batch)

    assert written
    assert known or traces("".join(written), ANN) == [], "it was never even written"
    assert traces(await world.dump(), ANN) == []
    after = (await world.messages())[message]
    assert after["to"] == ERASED
    if known or not by_batch:
        assert after["status"] == State.DELIVERED
        assert after["timeline"][-1]["vendor_code"] == "30003"


async def test_a_report_taken_half_is_finished_by_its_repeat(world, storage, clock, monkeypatch) -> None:
    """When a process dies between keeping a late report and looking at it again, the vendor's repeat makes it good."""
    batch = await world.batch([BOB, ANN])
    other = World(build(storage, clock), clock)
    await other.report(message_id(batch, 0), BOB, State.DELIVERED)
    await world.erase(ANN)

    async def dies(_):
        raise CrashError

    reports = other.app.callbacks._reports
    with monkeypatch.context() as patch:
        patch.setattr(reports, "_sum_up_again", dies)
        with pytest.raises(CrashError):
            await other.report(message_id(batch, 1), ANN, State.UNDELIVERED)
    assert traces(await world.dump(), ANN), "this test would prove nothing otherwise"

    await World(build(storage, clock), clock).report(message_id(batch, 1), ANN, State.UNDELIVERED)

    assert traces(await world.dump(), ANN) == []


async def test_an_erased_person_is_not_put_on_the_list_as_a_word(world) -> None:
    """Summing an erased batch up again puts no one called "erased" on the opt-out list."""
    batch = await world.batch([ANN], reported=[])
    opted = report(message_id(batch, 0), ANN, State.UNDELIVERED)
    await world.app.callbacks._reports.take(
        [replace(opted, reason=Reason.OPTED_OUT)], vendor="twilio", provider=PROVIDER
    )
    await world.erase(ANN)
    await world.app.sweeper._closer.close(batch)
    fresh = build(world.app.storage, world.clock).callbacks._reports
    late = replace(opted, reason=Reason.OPTED_OUT, code="another")
    await fresh.take([late], vendor="twilio", provider=PROVIDER)

    await world.app.opt_outs.refresh()
    assert (await world.messages())[message_id(batch, 0)]["reason"] is Reason.OPTED_OUT
    assert {entry.number for entry in world.app.opt_outs.list()} == {ANN}


# The opt-out list -----------------------------------------------------------------------------------------------------


async def test_the_opt_out_goes_too_when_asked(world, storage, clock) -> None:
    """With the opt-out list included nothing at all is left, and every process forgets what it holds in memory."""
    await fill(world)
    other = OptOuts(storage.tables, clock)
    await other.refresh()
    assert other.blocked(ANN, SENDER)
    assert other.blocked(BOB, SENDER)

    await world.erase(ANN, keep=False)

    assert traces(await world.dump(), ANN) == []
    for opt_outs in (other, world.app.opt_outs, OptOuts(storage.tables, clock)):
        await opt_outs.refresh()
        assert not opt_outs.blocked(ANN, SENDER)
        assert opt_outs.blocked(BOB, SENDER)


async def test_a_kept_opt_out_goes_on_blocking(world, storage, clock) -> None:
    """Usually the opt-out outlives the erasure, in every process, without the operator's note."""
    await fill(world)
    other = OptOuts(storage.tables, clock)
    await other.refresh()

    await world.erase(ANN)

    await other.refresh()
    assert other.blocked(ANN, SENDER)
    assert [entry.note for entry in other.list() if entry.number == ANN] == ["", "STOP"]


async def test_the_list_is_never_empty_while_it_is_read_anew(world, storage, clock, monkeypatch) -> None:
    """While a process reads the ledger anew, somebody else who opted out stays blocked."""
    await fill(world)
    other = OptOuts(storage.tables, clock)
    await other.refresh()
    await world.erase(ANN, keep=False)
    real, blocked = storage.tables.query, []

    def watched(table, partition, **options):
        async def rows():
            async for row in real(table, partition, **options):
                blocked.append(other.blocked(BOB, SENDER))
                yield row

        return rows()

    monkeypatch.setattr(storage.tables, "query", watched)
    await other.refresh()

    assert len(blocked) > 4
    assert all(blocked)


# Killed half-way ------------------------------------------------------------------------------------------------------


async def asked_to_erase_ann(file, *, keep: bool):
    """Fill a store and ask for an erasure; return the file, the request's id and the moment at which it is due."""
    clock = Clock()
    clock.freeze(MOMENT)
    storage = open_embedded(file, clock.seconds)
    world = World(build(storage, clock), clock)
    await fill(world)
    asked = await world.app.erasures.request(ANN, keep_opt_outs=keep)
    clock.advance(121)
    await storage.close()
    return file, asked.id, clock()


@pytest.mark.parametrize("lost", [False, True], ids=["before the write", "after the write"])
async def test_killed_at_any_write(tmp_path, lost) -> None:
    """Killed before or after any of its writes, an erasure is finished by the next run with the same result."""
    templates = {keep: await asked_to_erase_ann(tmp_path / f"template-{keep}.db", keep=keep) for keep in (True, False)}
    results = []
    for writes in range(200):
        keep = writes % 2 == 0
        file = shutil.copy(templates[keep][0], tmp_path / f"{writes}.db")
        clock = Clock()
        clock.freeze(templates[keep][2])
        storage = open_embedded(file, clock.seconds)
        world = World(build(storage, clock), clock)
        dying = build(crashing(storage, writes, lost=lost), clock)
        killed = True
        with suppress(CrashError):
            await dying.erasures.carry_on()
            killed = False
        halfway = await world.app.erasures.view(templates[keep][1])
        number_there = [row for row in await world.rows(ERASURES_TABLE) if row[1] == OPEN]
        assert (halfway.state is ErasureState.DONE) == (not number_there)
        await world.app.erasures.carry_on()
        dump = await world.rows()
        view = await world.app.erasures.view(templates[keep][1])
        messages = await world.messages()
        await storage.close()

        assert view.state is ErasureState.DONE, writes
        assert not [row for row in dump if row[:2] == (ERASURES_TABLE, OPEN)]
        left = {place: values for place, values in dump.items() if place[0] != "optouts" or not keep}
        assert traces(json.dumps(list(map(str, left.values()))), ANN) == [], writes
        results.append(sorted((m["to"] == ERASED, m["status"], m["segments"]) for m in messages.values()))
        if not killed:
            break
    assert writes > 10, "it was never killed"
    assert all(result == results[-1] for result in results)


async def test_two_workers_do_no_harm(world, storage, clock) -> None:
    """Two processes at one erasure at the same time end as one would."""
    await fill(world)
    before = await world.messages()
    asked = await world.app.erasures.request(ANN, keep_opt_outs=True)
    clock.advance(121)
    others = [build(storage, clock) for _ in range(3)]

    await asyncio.gather(*(one.erasures.carry_on() for one in others))
    await world.app.erasures.carry_on()

    assert (await world.app.erasures.view(asked.id)).state is ErasureState.DONE
    after = await world.messages()
    assert {i: m for i, m in after.items() if m["to"] != ERASED} == {i: m for i, m in before.items() if m["to"] != ANN}
    rows = {place: values for place, values in (await world.rows()).items() if place[0] != "optouts"}
    assert traces(str(rows), ANN) == []


async def test_a_long_erasure_goes_on_where_it_stopped(world, clock, monkeypatch) -> None:
    """When its time is up a run stops, tells how far it is, and later runs do the rest."""
    for _ in range(6):
        await world.batch([ANN, BOB])
        clock.advance(4000)
    asked = await world.app.erasures.request(ANN, keep_opt_outs=True)
    clock.advance(121)
    real = type(world.app.erasures)._erase_batch

    async def slow(self, job, entry):
        clock.advance(100)
        return await real(self, job, entry)

    monkeypatch.setattr(type(world.app.erasures), "_erase_batch", slow)
    seen = []
    while (view := await world.app.erasures.view(asked.id)).state is not ErasureState.DONE:
        seen.append(view.messages)
        await world.app.erasures.carry_on()
        assert len(seen) < 9

    assert seen == [0, 2, 4, 6]
    assert view.messages == 6


# Requests -------------------------------------------------------------------------------------------------------------


async def test_a_finished_request_has_no_number(world) -> None:
    """What is kept of a request afterwards says what was done and when, and not to whom."""
    await fill(world)
    identity = await world.erase(ANN)

    view = await world.app.erasures.view(identity)
    assert (view.messages, view.replies, view.opt_outs) == (2, 2, "keep")
    assert view.finished_at is not None
    assert ANN not in view.model_dump_json()
    (kept,) = (await world.rows(ERASURES_TABLE)).values()
    assert traces(str(kept), ANN) == []
    for nothing in ("nothing", "0" * 26):
        with pytest.raises(ProblemError):
            await world.app.erasures.view(nothing)


async def test_somebody_unknown(world) -> None:
    """Erasing a number that nothing is known of changes nothing and is done at once."""
    await fill(world)
    before = await world.rows()

    identity = await world.erase("+14255550199")

    after = {place: row for place, row in (await world.rows()).items() if place[0] != ERASURES_TABLE}
    assert after == before
    assert (await world.app.erasures.view(identity)).messages == 0


async def test_repeats_of_a_call_still_get_their_ids(gateway, sandbox, clock) -> None:
    """The repeat of a call with its key after an erasure gets the same ids, without the number, and sends nothing."""
    from tests.conftest import Ready

    ready = Ready(gateway, sandbox)
    made = await ready.make("twilio")
    body = {"from": made.sender, "to": [ANN, BOB], "text": "Hello", "reference": "r"}
    first = await ready.call("POST", "/messages", body, headers={"Idempotency-Key": "k"})
    for item in first.body["messages"]:
        await ready.until(item["id"])
    clock.advance(61)
    await ready.gateway.application.sweeper.sweep()
    await ready.gateway.application.erasures.request(ANN, keep_opt_outs=True)
    clock.advance(121)
    await ready.gateway.application.erasures.carry_on()

    again = await ready.call("POST", "/messages", body, headers={"Idempotency-Key": "k"})

    assert again.status == 202
    expected = deepcopy(first.body)
    expected["messages"][0] |= {"to": ERASED}
    del expected["messages"][0]["reference"]
    assert again.body == expected
    await ready.idle()
    assert len(await ready.ledger("twilio")) == 2


# Spellings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        *("+14255550101", "14255550101", "4255550101", "0014255550101", "+1 (425) 555-0101", "1.425.555.0101"),
        *("To=%2B14255550101&Body=x", '{"to":"+14255550101"}', '{"to":14255550101}', "tel:+1-425-555-0101"),
        *("\\u002b14255550101", "+1 425\u2011555\u20110101", "<to>14255550101</to>", "(425)555-0101", "01 425 5550101"),
    ],
)
def test_spellings_that_speak_of_a_number(text) -> None:
    """A number is found in every spelling that vendors use."""
    assert mentions(ANN)(text)
    assert mentions(ANN)(f"before {text} after")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+14255550102",
        "142555501011",
        "914255550101234",
        "+1425555010",
        "SM14255550101x".replace("0101", "0102"),
        "erased",
    ],
)
def test_spellings_that_do_not(text) -> None:
    """Another number, or digits that are part of something longer, are left alone."""
    assert not mentions(ANN)(text)


@given(st.text())
def test_looking_for_a_number_never_fails(text) -> None:
    """Any text can be looked through, for any number."""
    mentions(ANN)(text)
    mentions("+999")(text)


@given(
    st.text(st.characters(blacklist_categories=["Nd", "Cs"])), st.text(st.characters(blacklist_categories=["Nd", "Cs"]))
)
def test_a_number_is_found_whatever_stands_around_it(before, after) -> None:
    """Whatever that is no digit stands before and behind, the number is found."""
    assert mentions(ANN)(f"{before}{ANN}{after}".replace("%", ""))


def test_traces_finds_what_it_looks_for() -> None:
    """The search of these tests finds number and text, so that its silence means something."""
    for text in (ANN, text_to(ANN), f"x{ANN[1:]}x", json.dumps({"to": ANN})):
        assert traces(text, ANN)
    assert not traces(text_to(BOB), ANN)
    assert not traces(base64.b64encode(ANN.encode()).decode(), ANN)
