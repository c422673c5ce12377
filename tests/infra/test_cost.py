"""What a message is said to cost follows from what it takes, and what it takes is counted here."""

from __future__ import annotations

import asyncio

import pytest

from functions.storage.counting import counted
from infra import cost
from tests.conftest import Ready
from tests.infra.bicep import ROOT

HOST_POLLS = "receive"
MESSAGES = {"bulk": 1000, "one by one": 20}


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
