"""An account's rate holds for all that is asked of its vendor, in this process."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from functions.gateway.timing import Timing
from tests.conftest import Ready

VENDOR, RATE, MESSAGES = "telesign", 20, 30
ASKS_AT_ONCE = Timing(ask_after=timedelta(0), grace=timedelta(0), margin=0.0)


@pytest.fixture
async def made(start_gateway, sandbox):
    """Make a provider whose account may make twenty calls a second, at a vendor that counts."""
    ready = Ready(await start_gateway(timing=ASKS_AT_ONCE), sandbox)
    ready.made[VENDOR] = await ready.make(VENDOR, settings={"transactionsPerSecond": str(RATE)})
    return ready


async def moments(ready, method):
    """Return when the vendor got calls, in seconds."""
    calls = (await ready.ask("GET", f"/{VENDOR}/calls?limit=1000"))["items"]
    return [datetime.fromisoformat(call["at"]).timestamp() for call in calls if call["method"] == method]


def busiest_second(times):
    """Return the most calls that fell into any one second."""
    return max(sum(start <= other < start + 1 for other in times) for start in times)


async def test_sends_keep_to_the_rate(made):
    """A bulk send to an account with a rate makes its calls at that rate, and the vendor never has to refuse."""
    identities = await made.send(made.telesign, [f"+1425{2_000_000 + n}" for n in range(MESSAGES)])
    for identity in identities:
        await made.until(identity, "delivered", seconds=10)

    times = await moments(made, "POST")
    assert len(times) == MESSAGES
    assert times == sorted(times)
    assert max(later - earlier for earlier, later in pairwise(times)) > 0
    assert busiest_second(times) <= RATE * 1.3
    assert [call["status"] for call in (await made.ask("GET", f"/{VENDOR}/calls"))["items"]].count(429) == 0


async def test_questions_keep_to_the_rate_too(made):
    """Asking for lost reports takes turns from the same rate as sending."""
    await made.ask("PUT", f"/{VENDOR}/faults", {"callback_drop": 1})
    identities = await made.send(made.telesign, [f"+1425{2_000_000 + n}" for n in range(MESSAGES)])
    for identity in identities:
        await made.until(identity, "sent", seconds=10)
    await made.sandbox.idle()
    await made.gateway.application.sweeper.sweep()
    for identity in identities:
        await made.until(identity, "delivered", seconds=10)

    times = await moments(made, "GET")
    assert len(times) >= MESSAGES
    assert busiest_second(times) <= RATE * 1.3
