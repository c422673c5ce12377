"""Queue triggers: polling, leases, failures and poison."""

import asyncio
import itertools
import json
import random
from collections import Counter

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devhost import LoadError
from devhost.queues import QueueListener, queue_metadata
from devhost.settings import QueueSettings
from functions.storage.ports import QueueItem, StaleError, StorageError, TooLargeError
from tests.devhost.clocks import START, settle


def app_with(function, queue="jobs"):
    app = func.FunctionApp()
    app.queue_trigger("msg", queue, "Storage")(function)
    return app


async def test_message_is_delivered_and_deleted(serve, storage, clock):
    """A message reaches the function with its metadata, and is gone when the function returns."""
    seen = []

    async def job(msg: func.QueueMessage):
        seen.append(msg)

    before = clock.now()
    await storage.queues.put("jobs", "héllo")
    host = await serve(app_with(job))
    await clock.until(lambda: seen)
    await clock.until(lambda: _empty(storage, "jobs"))

    (msg,) = seen
    assert msg.get_body() == "héllo".encode()
    assert msg.id
    assert msg.pop_receipt
    assert msg.dequeue_count == 1
    assert msg.insertion_time.timestamp() == before
    assert msg.expiration_time.timestamp() == before + 604_800
    assert msg.time_next_visible.timestamp() == clock.now() + 600
    assert host.executions == {"job": 1}


async def _empty(storage, queue):
    return await storage.queues.length(queue) == 0


async def test_message_as_text(serve, storage, clock):
    """A function that asks for a text gets the body as one."""
    seen = []

    def job(msg: str):
        seen.append(msg)

    await storage.queues.put("jobs", '{"a": 1}')
    await serve(app_with(job))

    await clock.until(lambda: seen)
    assert seen == ['{"a": 1}']


async def test_wire_form_is_passed_on_when_encoding_is_none(serve, storage, clock):
    """With messageEncoding none the host does not decode, so the function sees the base64 that the store holds."""
    seen = []

    async def job(msg: func.QueueMessage):
        seen.append(msg.get_body())

    await storage.queues.put("jobs", "text")
    await serve(app_with(job), queues={"messageEncoding": "none"})

    await clock.until(lambda: seen)
    assert seen == [b"dGV4dA=="]


async def test_name_from_settings(serve, storage, clock):
    """%NAME% in a queue name is taken from the app settings; one that is missing is refused at start."""
    seen = []

    async def job(msg: func.QueueMessage):
        seen.append(msg.get_body())

    with pytest.raises(LoadError, match="function job: job queueName: %QUEUE%"):
        await serve(app_with(job, "%QUEUE%"))

    await storage.queues.put("from-settings", "x")
    await serve(app_with(job, "%QUEUE%"), settings={"QUEUE": "From-Settings"})
    await clock.until(lambda: seen)


async def test_disabled_function_is_not_fed(serve, storage, clock):
    """A disabled function's queue is left alone."""

    async def job(msg: func.QueueMessage): ...

    await storage.queues.put("jobs", "x")
    host = await serve(app_with(job), settings={"AzureWebJobs.job.Disabled": "true"})
    await clock.advance(10)

    assert host.executions == {}
    assert await storage.queues.length("jobs") == 1


# Failures -----------------------------------------------------------------------------------------------------------


async def test_failures_end_in_the_poison_queue(serve, storage, clock):
    """After maxDequeueCount failures the body moves to the poison queue and the message is gone."""
    counts = []

    async def job(msg: func.QueueMessage):
        counts.append(msg.dequeue_count)
        raise ValueError

    await storage.queues.put("jobs", "bad")
    await serve(app_with(job), queues={"maxDequeueCount": 3})
    await clock.until(lambda: _empty(storage, "jobs"))

    assert counts == [1, 2, 3]
    (poison,) = await storage.queues.receive("jobs-poison", limit=32, visibility=10)
    assert poison.body == "bad"


async def test_failed_message_stays_hidden_for_the_visibility_timeout(serve, storage, clock):
    """A failed message comes back after visibilityTimeout, not before."""
    times = []

    async def job(msg: func.QueueMessage):
        times.append(clock.now())
        if len(times) == 1:
            raise ValueError

    await storage.queues.put("jobs", "x")
    await serve(app_with(job), queues={"visibilityTimeout": "00:00:20", "maxPollingInterval": "00:00:01"})
    await clock.until(lambda: len(times) == 2)

    assert 20 <= times[1] - times[0] <= 21.2


@pytest.mark.parametrize("returned", ["text", 0, False])
async def test_returning_something_is_a_failure(serve, storage, clock, returned):
    """A queue function that returns anything but None has failed, falsy values included."""

    async def job(msg: func.QueueMessage):
        return returned

    await storage.queues.put("jobs", "x")
    host = await serve(app_with(job), queues={"maxDequeueCount": 2})
    await clock.until(lambda: _empty(storage, "jobs"))

    assert host.executions["job"] == 2
    assert await storage.queues.length("jobs-poison") == 1


async def test_escaped_cancellation_is_a_failure(serve, storage, clock):
    """CancelledError out of the function counts as a failure here; the listener goes on."""
    calls = []

    async def job(msg: func.QueueMessage):
        calls.append(msg.get_body())
        if len(calls) == 1:
            raise asyncio.CancelledError

    await storage.queues.put("jobs", "x")
    await serve(app_with(job))
    await clock.until(lambda: _empty(storage, "jobs"))

    assert len(calls) == 2
    assert await storage.queues.length("jobs-poison") == 0


async def test_received_too_often_goes_to_poison_unseen(serve, storage, clock):
    """A message that was received more than maxDequeueCount times goes aside without running the function."""

    async def job(msg: func.QueueMessage): ...

    await storage.queues.put("jobs", "x")
    for _ in range(3):
        (received,) = await storage.queues.receive("jobs", limit=1, visibility=1)
        await storage.queues.extend("jobs", received, visibility=0)
    host = await serve(app_with(job), queues={"maxDequeueCount": 3})
    await clock.until(lambda: _empty(storage, "jobs"))

    assert host.executions["job"] == 0
    assert await storage.queues.length("jobs-poison") == 1


async def test_poison_queues_have_no_poison_queue(serve, storage, clock):
    """A failed message of a -poison queue stays hidden for the lease instead of looping or moving on."""
    times = []

    async def job(msg: func.QueueMessage):
        times.append(clock.now())
        raise ValueError

    await storage.queues.put("jobs-poison", "x")
    await serve(app_with(job, "jobs-poison"), queues={"maxDequeueCount": 2, "maxPollingInterval": "00:00:01"})
    await clock.advance(3600)

    assert len(times) == 2
    assert 600 <= times[1] - times[0] <= 601.2
    assert await storage.queues.length("jobs-poison-poison") == 0
    assert await storage.queues.length("jobs-poison") == 1


# Concurrency --------------------------------------------------------------------------------------------------------


async def test_serial_with_batch_size_one_and_no_threshold(serve, storage, clock):
    """A batchSize of 1 and a newBatchThreshold of 0 run one message at a time."""
    running, most, done = 0, 0, 0

    async def job(msg: func.QueueMessage):
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await clock.sleep(1)
        running -= 1
        done += 1

    for number in range(8):
        await storage.queues.put("jobs", str(number))
    await serve(app_with(job), queues={"batchSize": 1, "newBatchThreshold": 0})
    await clock.until(lambda: done == 8)

    assert most == 1


async def test_at_most_batch_size_and_threshold_at_once(serve, storage, clock):
    """A new batch is fetched once at most newBatchThreshold messages run, so both add up and no more."""
    started, gates = [], {str(number): asyncio.Event() for number in range(20)}
    running, most = 0, 0

    async def job(msg: func.QueueMessage):
        nonlocal running, most
        started.append(msg.get_body().decode())
        running += 1
        most = max(most, running)
        await gates[started[-1]].wait()
        running -= 1

    for number in range(20):
        await storage.queues.put("jobs", str(number))
    await serve(app_with(job), queues={"batchSize": 4, "newBatchThreshold": 2})
    await clock.advance(5)
    assert started == ["0", "1", "2", "3"]
    gates["0"].set()
    await clock.advance(5)
    assert len(started) == 4
    gates["1"].set()
    await clock.advance(5)
    assert len(started) == 8
    assert running == 6
    for gate in gates.values():
        gate.set()
    await clock.until(lambda: _empty(storage, "jobs"))

    assert most == 6


async def test_lease_is_renewed(serve, storage, clock):
    """A function may run longer than the lease: nobody else receives its message, and it is deleted at the end."""
    others = []

    async def job(msg: func.QueueMessage):
        await clock.sleep(50)

    await storage.queues.put("jobs", "x")
    host = await serve(app_with(job), lease=10)
    for _ in range(49):
        await clock.advance(1)
        others += await storage.queues.receive("jobs", limit=1, visibility=1)
    assert not await _empty(storage, "jobs")
    await clock.advance(2)

    assert await _empty(storage, "jobs")
    assert others == []
    assert host.executions["job"] == 1


async def test_stop_lets_functions_end(serve, storage, clock):
    """stop() waits for the function that runs, deletes its message, and leaves the others in the queue."""
    ended = []

    async def job(msg: func.QueueMessage):
        await clock.sleep(5)
        ended.append(msg.get_body())

    for number in range(3):
        await storage.queues.put("jobs", str(number))
    host = await serve(app_with(job), queues={"batchSize": 1, "newBatchThreshold": 0})
    await clock.advance(1)
    stopping = asyncio.create_task(host.stop())
    await clock.advance(1)
    assert ended == []
    await clock.advance(5)
    await stopping

    assert ended == [b"0"]
    remaining = await storage.queues.receive("jobs", limit=32, visibility=1)
    assert [left.body for left in remaining] == ["1", "2"]


async def test_stop_ends_functions_that_take_too_long(serve, storage, clock):
    """What runs longer than the limit is cancelled, and its message comes back after the lease."""
    cancelled = []

    async def job(msg: func.QueueMessage):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    await storage.queues.put("jobs", "x")
    host = await serve(app_with(job), lease=10, stop_limit=0.02)
    await clock.advance(1)
    await host.stop()
    await settle()

    assert cancelled == [True]
    await clock.advance(8)
    assert await storage.queues.receive("jobs", limit=1, visibility=1) == []
    await clock.advance(2)
    (back,) = await storage.queues.receive("jobs", limit=1, visibility=1)
    assert back.dequeue_count == 2


# Polling and a store that fails -------------------------------------------------------------------------------------


class ScriptedQueues:
    """A queue whose store does as told: the test fills in items and errors."""

    def __init__(self, clock):
        self.clock = clock
        self.polls = []
        self.batches = []
        self.errors = Counter()
        self.calls = []

    error = StorageError("away")

    def _maybe_fail(self, name):
        if self.errors[name]:
            self.errors[name] -= 1
            raise self.error

    async def receive(self, queue, *, limit, visibility):
        self.polls.append((self.clock.now(), limit, visibility))
        self._maybe_fail("receive")
        return self.batches.pop(0) if self.batches else []

    async def put(self, queue, body, *, delay=0.0):
        self._maybe_fail("put")
        self.calls.append(("put", queue, body))

    async def extend(self, queue, item, *, visibility):
        self._maybe_fail("extend")
        self.calls.append(("extend", queue, visibility, self.clock.now()))
        return QueueItem(item.id, item.receipt + "+", item.body, item.dequeue_count, item.inserted, item.expires)

    async def delete(self, queue, item):
        self._maybe_fail("delete")
        self.calls.append(("delete", queue, item.receipt))
        if item.receipt.startswith("stale"):
            raise StaleError("gone")


def item(body="x", *, receipt="r", dequeue_count=1, decoded=True):
    return QueueItem("1", receipt, body, dequeue_count, START, 1_800_000_000.0, decoded)


def listener_over(queues, clock, call, **settings):
    """A listener alone, so that each poll can be watched."""
    from devhost import load_functions
    from devhost.invoke import Invoker

    (function,) = load_functions(app_with(call))
    return QueueListener(
        function,
        "jobs",
        queues=queues,
        invoker=Invoker(timeout=None, settings={}),
        settings=QueueSettings(**({"batch_size": 4, "new_batch_threshold": 2} | settings)),
        clock=clock,
    )


async def test_empty_polls_are_further_and_further_apart(clock, monkeypatch):
    """Nothing found: 0.1 s, then 0.1 s + 0.1 s, 0.2 s, 0.4 s up to the longest, and 0.1 s again after a hit."""
    monkeypatch.setattr(random, "uniform", lambda low, high: 1.0)
    queues = ScriptedQueues(clock)

    async def job(msg: func.QueueMessage): ...

    listener = listener_over(queues, clock, job, max_polling_interval=2.0)
    listener.start()
    await clock.advance(9)
    times = [poll[0] - START for poll in queues.polls]
    waits = [round(after - before, 3) for before, after in itertools.pairwise(times)]
    assert waits == [0.1, 0.2, 0.3, 0.5, 0.9, 1.7, 2.0, 2.0]
    assert queues.polls[0][1:] == (4, 600)

    queues.batches.append([item()])
    polled = len(queues.polls)
    await clock.advance(2)
    after_hit = [poll[0] for poll in queues.polls[polled:]][:4]
    assert [round(after - before, 3) for before, after in itertools.pairwise(after_hit)] == [0, 0.1, 0.2]
    await listener.stop(1)


async def test_waits_are_spread(clock):
    """The waits vary by a fifth, so that many hosts do not poll in step."""

    async def do_nothing(msg: func.QueueMessage): ...

    listener = listener_over(ScriptedQueues(clock), clock, do_nothing, max_polling_interval=60.0)
    seconds = set()
    for _ in range(50):
        waits = listener._waits()
        next(waits)
        seconds.add(next(waits))
    assert all(0.18 <= second <= 0.22 for second in seconds)
    assert len(seconds) > 10


@pytest.mark.parametrize("error", [StorageError("away"), RuntimeError("a bug")])
async def test_a_store_that_fails_is_polled_again(clock, error):
    """A failing receive is an empty poll, not the end, whatever the error."""
    queues, seen = ScriptedQueues(clock), []
    queues.error = error

    async def job(msg: func.QueueMessage):
        seen.append(msg.id)

    queues.errors["receive"] = 3
    queues.batches.append([item()])
    listener = listener_over(queues, clock, job)
    listener.start()
    await clock.advance(2)
    await listener.stop(1)

    assert seen == ["1"]
    assert ("delete", "jobs", "r") in queues.calls


async def test_renewed_receipt_is_used_for_the_delete(clock):
    """The lease is renewed at half time, tried again sooner after an error, and the last receipt counts."""
    queues, gate = ScriptedQueues(clock), asyncio.Event()

    async def job(msg: func.QueueMessage):
        await gate.wait()

    queues.batches.append([item()])
    listener = listener_over(queues, clock, job)
    listener.start()
    await clock.advance(299)
    assert [call for call in queues.calls if call[0] == "extend"] == []
    queues.errors["extend"] = 1
    await clock.advance(2)
    assert [call for call in queues.calls if call[0] == "extend"] == []
    await clock.advance(60)
    assert [call[1:3] for call in queues.calls if call[0] == "extend"] == [("jobs", 600)]
    gate.set()
    await clock.advance(1)
    await listener.stop(1)

    assert queues.calls[-1] == ("delete", "jobs", "r+")


async def test_a_message_taken_by_someone_else_is_left(clock):
    """A delete of a message that someone else holds by now is no error."""
    queues, seen = ScriptedQueues(clock), []

    async def job(msg: func.QueueMessage):
        seen.append(msg.id)

    queues.batches += [[item(receipt="stale")], [item()]]
    listener = listener_over(queues, clock, job)
    listener.start()
    await clock.advance(1)
    await listener.stop(1)

    assert len(seen) == 2


@pytest.mark.parametrize("error", [StorageError("away"), TooLargeError("too large")])
async def test_poison_is_put_before_the_message_is_deleted(clock, error):
    """If the poison queue does not take the message it stays, so that nothing is lost."""
    queues = ScriptedQueues(clock)
    queues.error = error

    async def job(msg: func.QueueMessage):
        raise ValueError

    queues.errors["put"] = 1
    queues.batches += [[item("bad", dequeue_count=5)], [item("bad", dequeue_count=6)]]
    listener = listener_over(queues, clock, job)
    listener.start()
    await clock.advance(1)
    await listener.stop(1)

    assert queues.calls == [("put", "jobs-poison", "bad"), ("delete", "jobs", "r")]


@pytest.mark.parametrize("base64", [True, False])
async def test_a_message_that_is_not_base64(clock, base64):
    """What is not base64 goes to poison unseen, unless host.json says that bodies are plain."""
    queues, seen = ScriptedQueues(clock), []

    async def job(msg: func.QueueMessage):
        seen.append(msg.get_body())

    queues.batches.append([item("not base64!", decoded=False)])
    listener = listener_over(queues, clock, job, base64=base64)
    listener.start()
    await clock.advance(1)
    await listener.stop(1)

    assert seen == ([] if base64 else [b"not base64!"])
    assert (("put", "jobs-poison", "not base64!") in queues.calls) is base64
    assert queues.calls[-1] == ("delete", "jobs", "r")


async def test_what_arrives_while_stopping_is_given_back(clock):
    """Messages received after stop() was called are made visible again at once."""
    queues, answer = ScriptedQueues(clock), asyncio.Event()
    receive = queues.receive

    async def slow(queue, *, limit, visibility):
        await answer.wait()
        return await receive(queue, limit=limit, visibility=visibility)

    queues.receive = slow
    queues.batches.append([item()])

    async def job(msg: func.QueueMessage): ...

    listener = listener_over(queues, clock, job)
    listener.start()
    await settle()
    stopping = asyncio.create_task(listener.stop(1))
    await settle()
    answer.set()
    await stopping

    assert [call[:3] for call in queues.calls] == [("extend", "jobs", 0)]


# Metadata -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"v": 1, "message": {"id": "x"}}, {"Id": "1", "DequeueCount": "2"}),
        ({"id": "own"}, {"Id": "own"}),
        ({"ID": 7}, {"Id": "7"}),
        ({"dequeueCount": 9}, {"DequeueCount": "9"}),
        ({"id": None}, {"Id": "1"}),
        ({"id": ["own"]}, {"Id": "1"}),
        ({"id": {"a": 1}}, {"Id": '{"a": 1}'}),
        ({"id": True}, {"Id": "True"}),
        ({"InsertionTime": "2026-11-22T10:00:00+02:00"}, {"InsertionTime": "11/22/2026 08:00:00"}),
        ({"other": "x"}, {"other": "x", "Id": "1"}),
    ],
)
def test_top_level_properties_replace_metadata(body, expected):
    """Top-level properties of a JSON body replace the host's metadata whatever their case; arrays and null do not."""
    text = json.dumps(body)

    metadata = queue_metadata(item(text, dequeue_count=2), text, START + 600)

    assert {name: metadata[name].value for name in expected} == expected
    assert "ID" not in metadata


@pytest.mark.parametrize("text", ["", "plain", "{", "[1]", '"{}"', "{} {}", " "])
def test_other_bodies_leave_metadata_alone(text):
    """A body that is no JSON object changes nothing."""
    plain = queue_metadata(item("x"), "x", 0.0)

    metadata = queue_metadata(item(text), text, 0.0)

    assert metadata.pop("QueueTrigger").value == text
    plain.pop("QueueTrigger")
    assert metadata == plain


@given(
    st.dictionaries(
        st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=3)
    )
)
def test_any_object_gives_metadata(body):
    """No JSON object makes the metadata fail, and the message's text is always the whole body."""
    text = json.dumps(body)
    metadata = queue_metadata(item(text), text, 0.0)

    if "queuetrigger" not in {name.lower() for name in body}:
        assert metadata["QueueTrigger"].value == text


async def test_a_body_may_make_its_own_message_undeliverable(serve, storage, clock):
    """A top-level insertionTime in another format fails every delivery before the function is entered, until poison."""
    entered = []

    async def job(msg: func.QueueMessage):
        entered.append(msg)

    await storage.queues.put("jobs", json.dumps({"insertionTime": "yesterday"}))
    host = await serve(app_with(job), queues={"maxDequeueCount": 2})
    await clock.until(lambda: _empty(storage, "jobs"))

    assert entered == []
    assert host.executions["job"] == 2
    assert await storage.queues.length("jobs-poison") == 1
