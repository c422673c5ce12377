"""Faults on demand: each rate does what it says, and a seed repeats a run."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from sandbox.faults import Faults, Mischief, draw
from sandbox.outcomes import DELIVERED, OUTCOMES, ordinary_number
from sandbox.vendors.acs import AcsVendor, Resource
from tests.sandbox.conftest import KEY, PERSON, TOKEN
from tests.sandbox.test_acs_events import reported, subscribe
from tests.sandbox.test_acs_events import set_up as set_up_acs
from tests.sandbox.test_acs_send import post, repeatable, sms
from tests.sandbox.test_twilio_send import create
from tests.sandbox.test_twilio_send import set_up as set_up_twilio

CALLBACK_FAULTS = ["callback_delay", "callback_duplicate", "callback_reorder", "callback_drop", "callback_forge"]


@pytest.fixture
def twilio(sandbox):
    return set_up_twilio(sandbox)


@pytest.fixture
def acs(sandbox):
    return set_up_acs(sandbox)


async def answer_of(request):
    """Await a request; give its status and Retry-After, status 0 for a dropped connection."""
    try:
        status, _, headers = await request
    except aiohttp.ClientError:
        return 0, None
    except ValueError:
        return 500, None
    return status, headers.get("Retry-After")


@pytest.mark.parametrize(
    ("fault", "answer", "sent"),
    [
        ("throttle", (429, None), 0),
        ("throttle_retry_after", (429, "2.5"), 0),
        ("error_before", (500, None), 0),
        ("error_after", (500, None), 1),
        ("drop_before", (0, None), 0),
        ("drop_after", (0, None), 1),
        ("slow", (201, None), 1),
    ],
)
async def test_each_request_fault_at_both_vendors(sandbox, acs, twilio, control, http, fault, answer, sent):
    """At rate 1 every request meets the fault; the ledger tells whether it was sent, the call log which fault."""
    for vendor in ("acs", "twilio"):
        await control.ask("PUT", f"/{vendor}/faults", {fault: 1, "retry_after_seconds": 2.5, "slow_seconds": 0.05})

    by_twilio = await answer_of(create(sandbox, http))
    by_acs = await answer_of(post(sandbox, http, sms()))

    assert by_twilio == answer
    assert by_acs == (202 if answer[0] == 201 else answer[0], answer[1])
    assert (len(acs.ledger), len(twilio.ledger)) == (sent, sent)
    kind = "throttle" if fault.startswith("throttle") else fault
    for vendor in ("acs", "twilio"):
        [call] = (await control.ask("GET", f"/{vendor}/calls"))["items"]
        assert (call["trouble"], call["status"]) == (kind, by_acs[0] if vendor == "acs" else by_twilio[0])


async def test_faults_end_when_cleared(sandbox, twilio, control, http):
    """DELETE takes all faults away."""
    await control.ask("PUT", "/twilio/faults", {"throttle": 1})
    before, _ = await answer_of(create(sandbox, http))

    await control.ask("DELETE", "/twilio/faults", status=204)

    after, _ = await answer_of(create(sandbox, http))
    assert (before, after) == (429, 201)
    assert (await control.ask("GET", "/twilio/faults"))["throttle"] == 0


async def test_a_replay_after_a_lost_answer_is_not_sent_twice(sandbox, acs, control, http):
    """With answers lost half of the time, patient replays under stable ids send every message exactly once."""
    await control.ask("PUT", "/acs/faults", {"drop_after": 0.3, "error_before": 0.2, "error_after": 0.2, "seed": 3})
    people = [repeatable(ordinary_number(index)) for index in range(40)]

    async def persist(recipient):
        for attempt in range(50):
            status, _ = await answer_of(post(sandbox, http, sms(recipient)))
            if status == 202:
                return attempt
        pytest.fail("never answered")

    attempts = await asyncio.gather(*(persist(recipient) for recipient in people))

    assert sum(attempts) > 10
    summary = acs.ledger.summary()
    assert (summary["accepted"], summary["sent_more_than_once"]) == (40, [])
    assert summary["replays"] > 0


async def test_the_same_seed_gives_the_same_faults_in_any_order(sandbox, twilio, http):
    """Which requests fail depends on the seed and the messages, not on their order; another seed picks others."""
    people = [ordinary_number(index) for index in range(60)]

    async def failing(seed, order):
        twilio.reset()
        twilio.set_faults(Faults(seed=seed, error_before=0.3))
        answers = {}
        for person in order:
            answers[person] = (await answer_of(create(sandbox, http, To=person)))[0]
        return {person for person, status in answers.items() if status == 500}

    first = await failing(1, people)
    second = await failing(1, reversed(people))
    third = await failing(2, people)

    assert first == second
    assert first != third
    assert 5 < len(first) < 35


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        ("callback_delay", ["sent", "delivered"]),
        ("callback_duplicate", ["sent", "sent", "delivered", "delivered"]),
        ("callback_reorder", ["delivered", "sent"]),
        ("callback_drop", []),
        ("callback_forge", ["sent", "sent", "delivered", "delivered"]),
    ],
)
async def test_each_callback_fault_at_twilio(sandbox, twilio, control, endpoint, http, fault, states):
    """At rate 1 every report is bent; the message itself ends delivered all the same."""
    await control.ask("PUT", "/twilio/faults", {fault: 1})

    await create(sandbox, http, StatusCallback=f"{endpoint.url}/s")
    await sandbox.idle()

    assert sorted(got.fields["MessageStatus"] for got in endpoint.received) == sorted(states)
    assert [message.state for message in twilio.ledger] == ["delivered"]
    if fault == "callback_reorder":
        assert [got.fields["MessageStatus"] for got in endpoint.received] == states
    verified = [
        RequestValidator(TOKEN).validate(got.url, got.fields, got.headers["X-Twilio-Signature"])
        for got in endpoint.received
    ]
    assert verified.count(False) == (2 if fault == "callback_forge" else 0)


@pytest.mark.parametrize(
    ("fault", "count"),
    [("callback_duplicate", 2), ("callback_drop", 0), ("callback_forge", 2), ("callback_delay", 1)],
)
async def test_each_callback_fault_at_acs(sandbox, acs, control, endpoint, http, fault, count):
    """The same faults bend events."""
    await subscribe(control, endpoint)
    await control.ask("PUT", "/acs/faults", {fault: 1})

    await post(sandbox, http, reported())
    await sandbox.idle()

    assert len(endpoint.received) == count
    assert sum("code=forged" in got.url for got in endpoint.received) == (fault == "callback_forge")


async def test_a_sender_over_its_rate_is_throttled(sandbox, twilio, control, http):
    """Beyond max_per_second messages of one sender are refused; another sender is not concerned."""
    await control.ask("PUT", "/twilio/faults", {"max_per_second": 5})

    answers = [(await answer_of(create(sandbox, http, To=ordinary_number(index))))[0] for index in range(8)]
    other, _ = await answer_of(create(sandbox, http, From="12345"))

    assert answers[:5] == [201] * 5
    assert answers[-1] == 429
    assert other == 201


async def test_a_bulk_request_costs_a_unit_per_recipient(sandbox, http):
    """100 recipients cost 100 messages of the rate."""
    acs = sandbox.vendor(AcsVendor)
    acs.resources.put("contoso", Resource(name="contoso", keys=[KEY]))
    acs.set_faults(Faults(max_per_second=100))
    people = [ordinary_number(index) for index in range(99)]

    statuses = [(await answer_of(post(sandbox, http, sms(*people))))[0] for _ in range(2)]

    assert statuses == [202, 429]


@pytest.mark.parametrize("body", [{"throttle": 1.1}, {"throttle": -0.1}, {"throtle": 1}, {"seed": "x"}])
async def test_a_fault_nobody_knows_is_refused(control, body):
    """A misspelt or impossible rate is an error that names it, not silence."""
    answer = await control.ask("PUT", "/twilio/faults", body, status=400)

    assert next(iter(body)) in answer["error"]


@given(seed=st.integers(0, 2**31), key=st.lists(st.text(), min_size=1, max_size=3))
def test_a_draw_is_a_share_and_depends_on_its_arguments_alone(seed, key):
    """A lot lies from 0 to 1 and is the same each time."""
    lot = draw(seed, *key)

    assert 0 <= lot < 1
    assert draw(seed, *key) == lot


@given(
    rates=st.fixed_dictionaries({name: st.floats(0, 1) for name in CALLBACK_FAULTS}),
    outcome=st.sampled_from([DELIVERED, *OUTCOMES]),
    key=st.text(),
)
def test_bent_plans_keep_the_messages_fate(rates, outcome, key):
    """Whatever befalls the reports, the states a message really passes through stay the same, in order."""
    mischief = Mischief()
    mischief.faults = Faults(**rates)

    plan = mischief.plan(outcome, key)

    assert [step.state for step in plan if step.apply] == [step.state for step in outcome.steps if step.apply]
    assert [step.after for step in plan] == sorted(step.after for step in plan)


@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=60))
def test_the_rate_limit_never_lets_more_through_than_it_says(pauses):
    """Over any run, what is granted is at most one second's worth plus the rate times the time."""
    mischief = Mischief()
    mischief.faults = Faults(max_per_second=10)
    now, granted = 0.0, 0
    for pause in pauses:
        now += pause
        granted += not mischief.over_limit(PERSON, 1, now)

    assert granted <= 10 + 10 * now + 1e-6


def test_no_fault_is_drawn_when_none_is_set():
    """Without rates a request meets nothing."""
    assert Mischief().on_request("a", [PERSON], "x") is None
