"""How the state of a message follows from what is known of it.

The order of arrival proves nothing: reports come late, twice and out of order, so a state only ever rises in rank.
"""

from __future__ import annotations

from functions.vendors.contract import State

RANKS = {
    State.QUEUED: 10,
    State.SENT: 20,
    State.UNDELIVERED: 40,
    State.FAILED: 40,
    State.REJECTED: 40,
    State.EXPIRED: 40,
    State.DELIVERED: 50,
}
UNKNOWN_RANK = 15
"""Only for row keys; ``unknown`` stands outside the order."""

FINAL = frozenset({State.UNDELIVERED, State.FAILED, State.REJECTED, State.EXPIRED, State.DELIVERED})
_REPLACEABLE_BY_UNKNOWN = frozenset({State.QUEUED, State.SENT})


def rank(state: State) -> int:
    """Return the rank of a state, for sorting."""
    return RANKS.get(state, UNKNOWN_RANK)


def advance(current: State, reported: State) -> State:
    """Return the state after a report.

    A higher rank wins, of equal ranks the first. ``unknown`` replaces only ``queued`` and ``sent``, and gives way to
    ``sent`` and to everything final. So a late ``sent`` never undoes ``delivered``, and a late ``delivered`` corrects
    an earlier failure.
    """
    if reported is State.UNKNOWN:
        return reported if current in _REPLACEABLE_BY_UNKNOWN else current
    if current is State.UNKNOWN:
        return current if reported is State.QUEUED else reported
    return reported if RANKS[reported] > RANKS[current] else current
