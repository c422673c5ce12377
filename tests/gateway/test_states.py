"""The order of states: whatever order reports come in, the state only rises."""

from __future__ import annotations

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.states import FINAL, RANKS, advance
from functions.vendors.contract import State

KNOWN = sorted(RANKS)
ONE_FAILURE = [State.QUEUED, State.SENT, State.UNDELIVERED, State.DELIVERED]


@pytest.mark.parametrize(
    ("current", "reported", "expected"),
    [
        (State.QUEUED, State.SENT, State.SENT),
        (State.SENT, State.QUEUED, State.SENT),
        (State.DELIVERED, State.SENT, State.DELIVERED),
        (State.UNDELIVERED, State.DELIVERED, State.DELIVERED),
        (State.EXPIRED, State.DELIVERED, State.DELIVERED),
        (State.UNDELIVERED, State.FAILED, State.UNDELIVERED),
        (State.DELIVERED, State.FAILED, State.DELIVERED),
        (State.SENT, State.UNKNOWN, State.UNKNOWN),
        (State.DELIVERED, State.UNKNOWN, State.DELIVERED),
        (State.FAILED, State.UNKNOWN, State.FAILED),
        (State.UNKNOWN, State.QUEUED, State.UNKNOWN),
        (State.UNKNOWN, State.SENT, State.SENT),
        (State.UNKNOWN, State.EXPIRED, State.EXPIRED),
    ],
)
def test_each_step(current: State, reported: State, expected: State) -> None:
    """A report moves the state as the table of states says."""
    assert advance(current, reported) is expected


@given(st.lists(st.sampled_from(State), max_size=12))
def test_it_never_falls(reports: list[State]) -> None:
    """No sequence of reports lowers the rank, and a final state is left only for delivered."""
    state = State.QUEUED
    for report in reports:
        after = advance(state, report)
        if state in FINAL:
            assert after is state or after is State.DELIVERED
        elif state is not State.UNKNOWN and after is not State.UNKNOWN:
            assert RANKS[after] >= RANKS[state]
        state = after


@given(st.lists(st.sampled_from(ONE_FAILURE), max_size=8), st.randoms())
def test_order_and_repeats_do_not_matter(reports: list[State], random) -> None:
    """Shuffled and repeated reports of one message lead to the same state."""
    shuffled = reports * 2
    random.shuffle(shuffled)

    assert reduce(advance, shuffled, State.QUEUED) is reduce(advance, reports, State.QUEUED)


@given(st.sampled_from(State), st.sampled_from(State))
def test_a_repeat_changes_nothing(current: State, reported: State) -> None:
    """The same report twice is the same as once."""
    once = advance(current, reported)

    assert advance(once, reported) is once
