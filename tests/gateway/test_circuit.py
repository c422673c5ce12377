"""An account whose calls fail one after another is left alone, tried again, and called as before once it answers."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.circuit import FAILURES_IN_A_ROW, CircuitBreaker
from functions.gateway.timing import Timing
from tests.conftest import Ready

SHORTEST, LONGEST = 5.0, 120.0
QUICK = Timing(settle_after=0.2, backoff_base=0.05, backoff_cap=0.2)


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def opened(time: Time, trial: float = 0.0) -> CircuitBreaker:
    """Return a breaker that has just opened."""
    circuits = CircuitBreaker(time, shortest=SHORTEST, longest=LONGEST, trial=trial)
    waits = [circuits.called("a", failed=True) for _ in range(FAILURES_IN_A_ROW)]
    assert waits == [0.0] * (FAILURES_IN_A_ROW - 1) + [SHORTEST]
    return circuits


def test_calls_go_on_until_enough_failed_in_a_row():
    """One answer among the failures starts the count anew."""
    circuits = CircuitBreaker(Time(), shortest=SHORTEST, longest=LONGEST)
    for failed in (*[True] * (FAILURES_IN_A_ROW - 1), False, *[True] * (FAILURES_IN_A_ROW - 1)):
        assert circuits.may_call("a")
        assert circuits.called("a", failed=failed) == 0.0
    assert circuits.held("a") == 0.0
    assert circuits.may_call("a")


def test_an_open_circuit_lets_one_trial_through_at_a_time():
    """Nothing is called until the wait is over; then the first to ask tries, and nobody else until that is known."""
    time = Time()
    circuits = opened(time)
    assert (circuits.may_call("a"), circuits.held("a")) == (False, SHORTEST)
    assert circuits.may_call("b"), "another account is not concerned"
    time.passes(SHORTEST)
    assert circuits.held("a") == 0.0
    assert [circuits.may_call("a") for _ in range(3)] == [True, False, False]

    assert circuits.called("a", failed=False) == 0.0
    assert all(circuits.may_call("a") for _ in range(3))


def test_each_failed_trial_doubles_the_wait():
    """Up to its cap, however long the outage lasts."""
    time = Time()
    circuits = opened(time)
    waits = []
    for _ in range(7):
        time.passes(circuits.held("a"))
        assert circuits.may_call("a")
        waits.append(circuits.called("a", failed=True))
    assert waits == [10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0]


def test_calls_under_way_when_it_opened_change_nothing_by_failing():
    """Thirty calls at once that all time out open it once; one of them that is answered closes it."""
    time = Time()
    circuits = opened(time)
    assert [circuits.called("a", failed=True) for _ in range(25)] == [0.0] * 25
    assert circuits.held("a") == SHORTEST
    circuits.called("a", failed=False)
    assert circuits.may_call("a")


def test_a_trial_that_takes_its_time_is_the_only_one():
    """A vendor that lets each call run into its time limit gets one trial at a time all the same, and then fewer."""
    time = Time()
    circuits = opened(time, trial=20.0)
    time.passes(SHORTEST)
    begun = []
    for second in range(600):
        if begun and second - begun[-1] == 20:
            circuits.called("a", failed=True)
        if not circuits.held("a"):
            assert circuits.may_call("a")
            begun.append(second)
        assert not circuits.may_call("a")
        time.passes(1)
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert gaps == [30, 40, 60, 100, 140, 140]


def test_whoever_is_held_by_a_long_trial_asks_again_soon():
    """A trial that is answered at once keeps the others no longer than its own limit would."""
    time = Time()
    circuits = opened(time, trial=20.0)
    time.passes(SHORTEST)
    assert circuits.may_call("a")
    time.passes(SHORTEST + 1)
    assert 0 < circuits.held("a") <= SHORTEST
    time.passes(20)
    assert circuits.may_call("a"), "the trial's limit is over"


def test_a_clock_that_is_set_back_holds_nobody():
    """The wait is counted from the moment that the clock says now, not until one that will come in an hour."""
    time = Time()
    circuits = opened(time)
    time.passes(-3600)
    assert circuits.held("a") == 0.0
    assert circuits.may_call("a")
    assert not circuits.may_call("a")


def test_a_trial_that_nobody_ends_is_not_the_last():
    """Whoever asked to try and then made no call does not hold the account for ever."""
    time = Time()
    circuits = opened(time)
    time.passes(SHORTEST)
    assert circuits.may_call("a")
    assert not circuits.may_call("a")
    time.passes(SHORTEST)
    assert circuits.may_call("a")


@given(st.lists(st.one_of(st.booleans(), st.floats(0, 300))))
def test_it_never_holds_longer_than_its_cap(steps):
    """Whatever calls do and time passes, a call is possible within the cap, and an answer frees the account."""
    time = Time()
    circuits = CircuitBreaker(time, shortest=SHORTEST, longest=LONGEST)
    for step in steps:
        if isinstance(step, bool):
            if circuits.may_call("a"):
                circuits.called("a", failed=step)
        else:
            time.passes(step)
        assert 0.0 <= circuits.held("a") <= LONGEST
    time.passes(LONGEST)
    assert circuits.may_call("a")
    circuits.called("a", failed=False)
    assert circuits.may_call("a")


# In the gateway -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def telesign(start_gateway, sandbox):
    """Run a gateway with a provider at a vendor that knows no repeats and has no log of lost calls."""
    ready = Ready(await start_gateway(timing=QUICK), sandbox)
    ready.made["telesign"] = await ready.make("telesign")
    return ready


async def calls(ready) -> int:
    """Return how many texts the vendor was asked to send."""
    items = (await ready.ask("GET", "/telesign/calls?limit=1000"))["items"]
    return sum(call["method"] == "POST" for call in items)


async def test_an_outage_costs_few_messages_and_the_others_wait(telesign, clock, caplog):
    """The vendor loses every call: a handful is unknown for ever, the rest is sent once, as soon as it answers."""
    clock.freeze()
    await telesign.ask("PUT", "/telesign/faults", {"drop_before": 1})
    identities = [
        (await telesign.send(telesign.telesign, f"+1425{2_000_000 + n}"))[0] for n in range(FAILURES_IN_A_ROW)
    ]
    for identity in identities:
        await telesign.until(identity, "unknown")
    assert "fail one after another (no_answer)" in caplog.text

    waiting = [(await telesign.send(telesign.telesign, f"+1425{3_000_000 + n}"))[0] for n in range(20)]
    for identity in waiting:
        while len((message := await telesign.message(identity))["timeline"]) < 3:
            await asyncio.sleep(0.02)
        assert message["status"] == "queued"
        last = message["timeline"][-1]
        assert (last["what"], last["reason"], last["vendorCode"]) == ("refused", "temporary", "gateway")
        assert "one after another" in last["detail"]
    assert await calls(telesign) == FAILURES_IN_A_ROW

    await telesign.ask("DELETE", "/telesign/faults")
    for _ in range(40):
        clock.advance(1)
        await asyncio.sleep(0.05)
    for identity in waiting:
        await telesign.until(identity, "delivered")
    reached = [entry["to"].lstrip("+") for entry in await telesign.ledger("telesign")]
    assert sorted(reached) == [f"1425{3_000_000 + n}" for n in range(20)]


async def test_what_expires_during_an_outage_says_so(telesign, clock):
    """A message whose validity ends while calls are held back becomes expired, without a call."""
    clock.freeze()
    await telesign.ask("PUT", "/telesign/faults", {"drop_before": 1})
    for n in range(FAILURES_IN_A_ROW):
        (identity,) = await telesign.send(telesign.telesign, f"+1425{2_000_000 + n}")
        await telesign.until(identity, "unknown")
    (identity,) = await telesign.send(telesign.telesign, "+14253000000", validityPeriod=3)
    while len((await telesign.message(identity))["timeline"]) < 3:
        await asyncio.sleep(0.02)
    # As if others had tried meanwhile, and failed.
    telesign.gateway.application.dispatcher._circuits._circuits[telesign.telesign.id].until += timedelta(hours=1)
    for _ in range(7):
        clock.advance(1)
        await asyncio.sleep(0.05)

    assert (await telesign.until(identity, "expired"))["reason"] == "expired"
    assert await calls(telesign) == FAILURES_IN_A_ROW


@pytest.fixture
async def twilio(start_gateway, sandbox):
    """Run a gateway with a provider at a vendor whose log can be read."""
    ready = Ready(await start_gateway(timing=QUICK), sandbox)
    ready.made["twilio"] = await ready.make("twilio")
    return ready


async def test_an_outage_does_not_use_up_the_looks_into_the_log(twilio, clock):
    """While calls are held back the vendor's log is not asked either; then it settles all, and each is sent once."""
    clock.freeze()
    await twilio.ask("PUT", "/twilio/faults", {"drop_before": 1})
    identities = [(await twilio.send(twilio.twilio, f"+1425{2_000_000 + n}"))[0] for n in range(FAILURES_IN_A_ROW)]
    for identity in identities:
        await twilio.until(identity, "unknown")
    for _ in range(4):
        clock.advance(1)
        await asyncio.sleep(0.1)
    looks = [call for call in (await twilio.ask("GET", "/twilio/calls"))["items"] if call["method"] == "GET"]
    assert looks == []

    await twilio.ask("DELETE", "/twilio/faults")
    for _ in range(100):
        clock.advance(1)
        await asyncio.sleep(0.03)
    for identity in identities:
        await twilio.until(identity, "delivered")
    assert len(await twilio.ledger("twilio")) == FAILURES_IN_A_ROW


async def test_a_vendor_that_only_says_not_so_fast_is_not_held_for_down(twilio):
    """Refusals for too many calls follow their own delay and never open the circuit."""
    await twilio.ask("PUT", "/twilio/faults", {"throttle": 1})
    identities = await twilio.send(twilio.twilio, [f"+1425{2_000_000 + n}" for n in range(3 * FAILURES_IN_A_ROW)])
    await asyncio.sleep(0.5)
    dispatcher = twilio.gateway.application.dispatcher
    assert dispatcher._circuits.held(twilio.twilio.id) == 0.0
    await twilio.ask("DELETE", "/twilio/faults")
    for identity in identities:
        await twilio.until(identity, "delivered")
