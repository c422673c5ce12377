"""What the sweeper finds: batches stored and never queued, dead workers, batches that are done."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions import app as composition
from functions.gateway.clock import split_message_id, to_ms, ulid
from functions.gateway.facts import TABLE, Attempt, Batch, read_facts, sending_row, summary_row
from functions.gateway.index import BatchIndex, IndexEntry, place
from functions.gateway.sweep import Steps, Swept
from functions.storage.ports import StorageError
from functions.vendors.contract import Accepted, Category, Sender, SenderType

MINUTE = timedelta(minutes=1)
START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
GHOST = Batch(
    id="0" * 26,
    provider="p",
    vendor="v",
    sender_id="s",
    sender=Sender(SenderType.LONG_CODE, "+14255550100"),
    business_unit="",
    category=Category.TRANSACTIONAL,
    created=START,
    validity=None,
    items=(),
)


async def facts(ready, identity: str):
    batch = split_message_id(identity)[0]
    return read_facts([row async for row in ready.gateway.application.storage.tables.query(TABLE, batch)])


async def test_a_batch_that_was_never_queued_is_found(ready, clock, monkeypatch) -> None:
    """A queue that is away after the batch was stored costs a minute, not a message, and no repeat of the caller's."""
    app = ready.gateway.application
    real = type(app.storage.queues).put

    async def down(*args, **kwargs):
        raise StorageError("the queue is away")

    monkeypatch.setattr(type(app.storage.queues), "put", down)
    answer = await ready.call("POST", "/messages", {"from": ready.twilio.sender, "to": "+14255550101", "text": "Hi"})
    assert answer.status == 202, "it is stored: whoever heard 503 might send it twice"
    monkeypatch.setattr(type(app.storage.queues), "put", real)
    (found,) = (await ready.call("GET", "/messages")).body["items"]
    assert found["status"] == "queued"

    assert await app.sweeper.sweep() == Swept(), "its queue message may still be on its way"
    clock.advance(61)
    assert await app.sweeper.sweep() == Swept(looked_at=1, queued=1)

    await ready.until(found["id"], "delivered")
    assert len(await ready.ledger("twilio")) == 1


@pytest.mark.parametrize("vendor", ["acs", "twilio"])
@pytest.mark.parametrize("really_sent", [True, False])
async def test_a_dead_worker_is_settled_by_evidence(ready, clock, vendor, really_sent) -> None:
    """A claim without an outcome is replayed or looked up after its lease; the person gets the text once."""
    made, app = getattr(ready, vendor), ready.gateway.application
    if really_sent:
        first = await ready.delivered(made, "+14255550101")
        batch = split_message_id(first["id"])[0]
        rows = [row async for row in app.storage.tables.query(TABLE, batch)]
        # As if the worker had died right after the call: its outcome and the reports are not there.
        for row in rows:
            if row.key.startswith(("outcome", "report")):
                await app.storage.tables.delete(TABLE, batch, row.key)
        identity = first["id"]
    else:
        (identity,) = await hold_back(ready, made)
        batch = split_message_id(identity)[0]
        claim = Attempt(1, lookup=False, started=clock(), lease=120.0, indices=(0,))
        await app.storage.tables.insert(TABLE, [sending_row(batch, claim)])

    for _ in range(12):
        clock.advance(60)
        known = len((await ready.message(identity))["timeline"])
        swept = await app.sweeper.sweep()
        # However slow the machine is: minutes that pass before the worker acts would use up the window for a replay.
        for _ in range(200 if swept.queued else 5):
            await asyncio.sleep(0.03)
            if len((await ready.message(identity))["timeline"]) > known:
                break
        if (await ready.message(identity))["status"] in {"sent", "delivered"}:
            break

    message = await ready.message(identity)
    assert message["status"] in {"sent", "delivered"}, message["timeline"]
    assert "unanswered" in [entry["what"] for entry in message["timeline"]]
    assert len(await ready.ledger(vendor)) == 1


async def hold_back(ready, made) -> list[str]:
    """Accept a message and take its queue message away, as if a worker had received it and died."""
    app = ready.gateway.application
    listener_free = type(app.storage.queues).put

    async def nowhere(*args, **kwargs):
        return None

    type(app.storage.queues).put = nowhere
    try:
        return await ready.send(made, "+14255550101")
    finally:
        type(app.storage.queues).put = listener_free


async def test_a_finished_batch_is_closed_once(ready, clock) -> None:
    """When all is final the index carries the states, and neither list nor sweep opens the batch again."""
    app = ready.gateway.application
    message = await ready.delivered(ready.twilio, "+14255550101", reference="r-1")
    clock.advance(61)

    assert await app.sweeper.sweep() == Swept(looked_at=1, closed=1)
    assert await app.sweeper.sweep() == Swept()
    (listed,) = (await ready.call("GET", "/messages?reference=r-1&status=delivered")).body["items"]
    assert listed == {key: value for key, value in message.items() if key in listed}
    assert (await facts(ready, message["id"])).closed


async def test_a_closing_that_was_cut_short_is_finished(ready, clock) -> None:
    """A process that died between the two writes of a closing leaves a batch that the next sweep closes."""
    app = ready.gateway.application
    (identity,) = await hold_back(ready, ready.twilio)
    batch = split_message_id(identity)[0]
    claim = Attempt(1, lookup=False, started=clock(), lease=120.0, indices=(0,))
    await app.storage.tables.insert(TABLE, [sending_row(batch, claim), summary_row(batch, clock())])
    clock.advance(61)

    assert (await app.sweeper.sweep()).closed == 1
    (listed,) = (await ready.call("GET", "/messages")).body["items"]
    assert listed["status"] == (await ready.message(identity))["status"] == "unknown"


async def test_a_late_report_corrects_a_closed_batch(ready, clock) -> None:
    """A delivery that is reported after the batch was closed reaches the list too."""
    app = ready.gateway.application
    (identity,) = await ready.send(ready.acs, "+14255550160")
    await ready.until(identity, "undelivered")
    clock.advance(61)
    await app.sweeper.sweep()
    batch = split_message_id(identity)[0]

    event = {
        "id": "late",
        "topic": "/subscriptions/x/providers/microsoft.communication/communicationservices/one",
        "subject": "/phonenumber/18885550100",
        "eventType": "Microsoft.Communication.SMSDeliveryReportReceived",
        "eventTime": "2026-11-22T12:00:00Z",
        "dataVersion": "1.0",
        "data": {
            "messageId": "late",
            "from": "18885550100",
            "to": "+14255550160",
            "deliveryStatus": "Delivered",
            "deliveryStatusDetails": "No error.",
            "Tag": batch,
        },
    }
    url = ready.gateway.events_url("sms_delivery_report_received")
    async with ready.gateway.session.post(url, json=[event], headers={"aeg-event-type": "Notification"}) as answer:
        assert answer.status == 202

    message = await ready.message(identity)
    assert (message["status"], message["corrected"]) == ("delivered", True)
    (listed,) = (await ready.call("GET", "/messages?status=delivered")).body["items"]
    assert listed["id"] == identity


async def test_a_report_of_another_vendor_is_set_aside(ready) -> None:
    """An event that names a batch of another vendor's changes nothing about it."""
    await ready.ask("PUT", "/twilio/faults", {"callback_drop": 1})
    (identity,) = await ready.send(ready.twilio, "+14255550101")
    await ready.until(identity, "sent")
    data = {"messageId": "x", "to": "+14255550101", "deliveryStatus": "Failed", "tag": split_message_id(identity)[0]}
    event = {
        "id": "x",
        "topic": "/subscriptions/x/providers/microsoft.communication/communicationservices/one",
        "subject": "/phonenumber/14255550199",
        "eventType": "Microsoft.Communication.SMSDeliveryReportReceived",
        "eventTime": "2026-11-22T12:00:00Z",
        "dataVersion": "1.0",
        "data": data,
    }
    url = ready.gateway.events_url("sms_delivery_report_received")
    async with ready.gateway.session.post(url, json=[event], headers={"aeg-event-type": "Notification"}) as answer:
        assert answer.status == 202

    assert (await ready.message(identity))["status"] == "sent"
    aside = [row async for row in ready.gateway.application.storage.tables.scan("setaside", first="0", last="9" * 9)]
    assert [row.values["vendor"] for row in aside] == ["acs"]


async def test_what_is_still_open_after_the_window_becomes_unknown(ready, clock) -> None:
    """A message without a report is not failed: nobody knows, and list, message and time line say so alike."""
    app = ready.gateway.application
    await ready.ask("PUT", "/acs/faults", {"callback_drop": 1})
    (identity,) = await ready.send(ready.acs, "+14255550101")
    await ready.until(identity, "sent")
    clock.advance(73 * 3600)

    assert (await app.sweeper.sweep()).closed == 1
    (listed,) = (await ready.call("GET", "/messages")).body["items"]
    assert (listed["status"], listed["reason"]) == ("unknown", "no_report")
    message = await ready.message(identity)
    assert listed == {key: value for key, value in message.items() if key in listed}
    last = message["timeline"][-1]
    assert (last["what"], last["state"], last["reason"]) == ("closed", "unknown", "no_report")
    assert last["at"] == message["updatedAt"]


@pytest.mark.parametrize(("to", "state"), [("+14255550101", "delivered"), ("+14255550160", "undelivered")])
async def test_a_report_that_was_lost_is_asked_for(ready, clock, to, state) -> None:
    """Where the vendor can be asked, a message whose reports never came is settled by its own record."""
    app = ready.gateway.application
    await ready.ask("PUT", "/twilio/faults", {"callback_drop": 1})
    (identity,) = await ready.send(ready.twilio, to)
    await ready.until(identity, "sent")
    clock.advance(300)
    await app.sweeper.sweep()
    assert (await ready.message(identity))["status"] == "sent", "reports may still be on their way"

    clock.advance(440)
    assert (await app.sweeper.sweep()).closed == 1

    assert (await ready.message(identity))["status"] == state


async def test_the_worker_that_was_given_up_still_adds_its_evidence(ready, clock) -> None:
    """An outcome that comes after the claim was buried is kept beside it, told, and the message counts as sent."""
    app = ready.gateway.application
    (identity,) = await hold_back(ready, ready.twilio)
    batch = split_message_id(identity)[0]
    claim = Attempt(1, lookup=False, started=clock(), lease=120.0, indices=(0,))
    await app.storage.tables.insert(TABLE, [sending_row(batch, claim)])
    clock.advance(121)
    await app.dispatcher.dispatch(batch)
    await app.dispatcher._write(batch, claim, {0: Accepted("SM1")}, clock())

    found = await facts(ready, identity)
    message = await ready.message(identity)
    assert message["status"] == "sent"
    assert [entry["what"] for entry in message["timeline"]] == ["accepted", "sending", "unanswered", "sent"]
    assert [attempt.lookup for attempt in found.attempts] == [False]


async def test_ten_workers_for_one_batch_make_one_call(ready, clock) -> None:
    """Only the worker that inserts the claim calls the vendor."""
    app = ready.gateway.application
    (identity,) = await hold_back(ready, ready.acs)
    batch = split_message_id(identity)[0]

    await asyncio.gather(*(app.dispatcher.dispatch(batch) for _ in range(10)))

    assert len(await ready.ledger("acs")) == 1
    assert len((await facts(ready, identity)).attempts) == 1
    calls = (await ready.ask("GET", "/acs/calls"))["items"]
    assert len([call for call in calls if call["path"].startswith("/sms")]) == 1


async def test_an_index_entry_without_a_batch_is_nothing(ready, clock) -> None:
    """A crash after the first write of an accept leaves nothing that a reader or the sweeper stumbles over."""
    app = ready.gateway.application
    await ready.delivered(ready.twilio, "+14255550101")
    (entry,) = [one async for one in app.messages._index.newest(since=clock() - MINUTE, until=clock() + MINUTE)]
    found = await facts(ready, f"{entry.batch}-00")
    ghost = replace(found.batch, id="0" * 26, created=found.batch.created)
    await app.messages._index.add([ghost])

    clock.advance(61)
    assert (await app.sweeper.sweep()).closed == 1
    assert len((await ready.call("GET", "/messages")).body["items"]) == 1


async def test_a_sweep_does_not_open_what_is_closed(ready, clock, monkeypatch) -> None:
    """Of closed batches a sweep reads the index row alone, and not the messages in it: there may be millions."""
    await ready.delivered(ready.twilio, "+14255550101")
    clock.advance(61)
    app = ready.gateway.application
    assert (await app.sweeper.sweep()).closed == 1

    def opened(entry):
        raise AssertionError(f"{entry.batch} was opened")

    monkeypatch.setattr(IndexEntry, "messages", property(opened))
    assert await app.sweeper.sweep() == Swept()


YOUNG, GRACE, WINDOW = timedelta(minutes=6), timedelta(seconds=30), timedelta(hours=72)
AGES = [YOUNG * 2**step for step in range(10)] + [WINDOW]


@given(
    st.timedeltas(timedelta(0), timedelta(hours=80)),
    st.lists(st.timedeltas(timedelta(0), timedelta(hours=30)) | st.just(MINUTE), min_size=1, max_size=60),
)
def test_a_batch_is_looked_at_by_the_first_sweep_after_each_of_its_ages(made, gaps) -> None:
    """However long the sweeper rested and however late it comes, no batch passes one of its ages unseen."""
    steps = Steps(YOUNG, GRACE, WINDOW)
    last, born = START, START + made
    for gap in gaps:
        now = last + gap
        age, before = now - born, last - born
        due = steps.is_due(age, gap)
        if any(before < step <= age for step in AGES):
            assert due
        if due and age >= GRACE:
            assert any(since <= born < until for since, until in steps.spans(now, gap)) or age == GRACE
        last = now


async def test_a_sweep_reads_the_index_only_where_something_is_due(ready, clock, storage) -> None:
    """Of two thousand open batches of three days those are read that have come to one of the ages."""
    clock.freeze(START)
    app, index = ready.gateway.application, ready.gateway.application.messages._index
    await app.sweeper.sweep()
    reads: list[str] = []
    real = BatchIndex.span

    async def span(self, since, until):
        async for entry in real(self, since, until):
            reads.append(entry.batch)
            yield entry

    made = [
        replace(GHOST, id=f"{n:026d}", created=clock() - timedelta(minutes=2 * n, seconds=-30))
        for n in range(1, 72 * 30)
    ]
    for _, batches in groupby(made, key=lambda batch: place(batch.created, batch.id)[0]):
        await index.add(list(batches))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BatchIndex, "span", span)
        clock.advance(60)
        swept = await app.sweeper.sweep()
    # A minute is read for each age, and a batch was made every two.
    assert swept.looked_at == len(set(reads))
    assert 2 + len(AGES) // 4 <= len(reads) <= 3 + 2 * len(AGES)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.data())
async def test_a_span_holds_what_was_made_in_it(storage, data) -> None:
    """A span gives the very batches made from its first moment to before its last, over the turn of the hour too."""
    index = BatchIndex(storage.tables)
    milliseconds = st.integers(-30, 30).map(lambda n: START + timedelta(milliseconds=n)) | st.integers(-3, 3).map(
        lambda n: START + timedelta(hours=n)
    )
    made = {
        moment: replace(GHOST, id=ulid(to_ms(moment), b"0" * 10), created=moment)
        for moment in data.draw(st.sets(milliseconds))
    }
    for batch in made.values():
        await index.add([batch])
    since, until = sorted([data.draw(milliseconds), data.draw(milliseconds)])
    everything = [entry async for entry in index.newest(since=since, until=until)]
    assert [entry async for entry in index.span(since, until)] == everything
    assert {entry.created for entry in everything} >= {moment for moment in made if since <= moment < until}


async def test_a_rest_is_caught_up_with(ready, clock) -> None:
    """What came to its age while the app was away is found by the next sweep, on another instance as well."""
    app = ready.gateway.application
    await app.sweeper.sweep()
    (identity,) = await hold_back(ready, ready.twilio)
    clock.advance(3 * 3600)
    later = composition.build(app.settings, app.storage, clock=clock)
    assert await later.sweeper.sweep() == Swept(looked_at=1, queued=1)
    await later.close()
    await ready.until(identity, "delivered")


async def test_a_sweep_without_time_is_gone_on_with(ready, clock, monkeypatch) -> None:
    """What one sweep had no time for is due in the next one too."""
    app = ready.gateway.application
    clock.freeze()
    (identity,) = await hold_back(ready, ready.twilio)
    clock.advance(721)
    slow = app.sweeper._look_at

    async def look_at(*given):
        raise AssertionError(given)

    monkeypatch.setattr(app.sweeper, "_look_at", look_at)
    monkeypatch.setattr(app.sweeper, "_timing", replace(app.sweeper._timing, sweep_for=timedelta(seconds=-1)))
    assert await app.sweeper.sweep() == Swept()
    monkeypatch.undo()
    assert app.sweeper._look_at == slow
    assert (await app.sweeper.sweep()).queued == 1
    await ready.until(identity, "delivered")


async def test_a_batch_that_cannot_be_read_stops_no_other(ready, clock, monkeypatch, caplog) -> None:
    """The sweep goes on with the others, and says which one it was."""
    app = ready.gateway.application
    (broken,) = await hold_back(ready, ready.twilio)
    (identity,) = await hold_back(ready, ready.acs)
    clock.advance(61)
    real = app.messages.facts

    async def facts_of(batch):
        if batch == split_message_id(broken)[0]:
            raise KeyError(batch)
        return await real(batch)

    monkeypatch.setattr(type(app.messages), "facts", lambda _, batch: facts_of(batch))
    assert await app.sweeper.sweep() == Swept(looked_at=2, queued=1)
    assert f"Batch {split_message_id(broken)[0]}: KeyError" in caplog.text
    monkeypatch.undo()
    await ready.until(identity, "delivered")


async def test_a_rest_longer_than_twice_the_window_leaves_nothing_behind(ready, clock) -> None:
    """What was open when the timer stopped is closed when it fires again, a fortnight later."""
    app = ready.gateway.application
    clock.freeze()
    await app.sweeper.sweep()
    (identity,) = await hold_back(ready, ready.twilio)
    clock.advance(14 * 24 * 3600)
    assert (await app.sweeper.sweep()).closed == 1
    message = await ready.message(identity)
    assert (message["status"], message["reason"], message["timeline"][-1]["what"]) == ("failed", "temporary", "closed")
    assert await ready.ledger("twilio") == []


async def test_batches_of_a_vendor_that_a_release_dropped_are_closed(ready, clock, monkeypatch) -> None:
    """Nobody can send or ask any more, but what is open does not stay so for ever."""
    app = ready.gateway.application
    clock.freeze()
    (identity,) = await hold_back(ready, ready.twilio)
    monkeypatch.setattr(app.sweeper, "_vendors", {})
    monkeypatch.setattr(app.directory, "_vendors", {})
    clock.advance(721)
    assert await app.sweeper.sweep() == Swept(looked_at=1)
    clock.advance(72 * 3600)
    assert (await app.sweeper.sweep()).closed == 1
    assert (await ready.message(identity))["status"] == "failed"


async def test_sweeps_that_are_always_too_short_look_at_everything_in_turn(ready, clock, monkeypatch) -> None:
    """However many batches there are and however slow each is, the next sweep goes on where the last one stopped."""
    app = ready.gateway.application
    clock.freeze(START)
    await app.sweeper.sweep()
    made = [replace(GHOST, id=f"{n:026d}", created=START + timedelta(seconds=n)) for n in range(60)]
    await app.messages._index.add(made)
    clock.advance(13 * 60)
    looked_at: list[str] = []

    async def look_at(entry, now):
        looked_at.append(entry.batch)
        # Sixteen are begun at once, so each sweep has time for so many and a few more.
        clock.advance(12)
        return Swept()

    monkeypatch.setattr(app.sweeper, "_look_at", look_at)
    for _ in range(4):
        before = len(looked_at)
        await app.sweeper.sweep()
        assert 0 < len(looked_at) - before < len(made)
        clock.advance(1)
    # Those that come to twice the age meanwhile are looked at again, behind the others.
    assert set(looked_at[: len(made)]) == {batch.id for batch in made}


async def test_credentials_that_cannot_be_read_keep_the_sweep_from_nothing(ready, clock, monkeypatch) -> None:
    """While the secrets are away nobody is asked for reports, but batches are queued and closed as ever."""
    app = ready.gateway.application
    await ready.ask("PUT", "/twilio/faults", {"callback_drop": 1})
    (sent,) = await ready.send(ready.twilio, "+14255550101")
    await ready.until(sent, "sent")
    (waiting,) = await hold_back(ready, ready.acs)

    async def away(self, name):
        raise StorageError("the vault is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(app.storage.secrets), "get", away)
        clock.advance(721)
        swept = await app.sweeper.sweep()
        assert (swept.looked_at, swept.queued) == (2, 1)
        clock.advance(72 * 3600)
        assert (await app.sweeper.sweep()).closed == 2
    assert (await ready.message(sent))["status"] == "unknown"
    assert (await ready.message(waiting))["status"] in {"failed", "unknown", "sent", "delivered"}


async def test_a_store_that_fails_for_one_batch_is_not_taken_for_a_whole_sweep(ready, clock, monkeypatch) -> None:
    """All looks are over when the sweep fails, and the next one looks at everything again."""
    app = ready.gateway.application
    await app.sweeper.sweep()
    (broken,) = await hold_back(ready, ready.twilio)
    (identity,) = await hold_back(ready, ready.acs)
    clock.advance(721)
    real = app.messages.facts

    async def facts_of(batch):
        if batch == split_message_id(broken)[0]:
            raise StorageError("away")
        await asyncio.sleep(0.05)
        return await real(batch)

    with monkeypatch.context() as patch:
        patch.setattr(type(app.messages), "facts", lambda _, batch: facts_of(batch))
        with pytest.raises(StorageError):
            await app.sweeper.sweep()
    await ready.until(identity, "delivered")
    assert (await app.sweeper.sweep()).looked_at == 2
    await ready.until(broken, "delivered")
