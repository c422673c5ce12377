"""What a message costs: storage requests and function executions, counted and bounded.

The bounds are the product's own (docs/architecture.md): accepting 1,000 messages takes at most 25 storage requests; a
bulk send takes at most 0.05 requests and 0.01 executions a message where the vendor takes many recipients a call, 0.1
and 0.02 where it takes one; a report in a burst takes at most 0.5 requests beside its callback. What the Functions host
itself does with the queue is not the app's and is counted apart.
"""

from __future__ import annotations

import asyncio

import pytest

from functions.app import DISPATCH_QUEUE, build
from functions.gateway.envelope import batch_to_dispatch
from functions.gateway.models import SendRequest
from functions.settings import read_settings
from functions.storage.counting import counted
from functions.vendors.registry import vendors
from sandbox.testing import running_sandbox
from tests.conftest import KITS, Ready

MESSAGES = 1000
HOST = {"receive", "extend", "delete", "length"}


def app_requests(counter) -> int:
    """Count what the app itself asked of the store: all but the host's own handling of the queue."""
    return sum(
        number
        for (operation, name), number in counter.by_operation.items()
        if not (name == DISPATCH_QUEUE and operation in HOST)
    )


@pytest.mark.parametrize("vendor", KITS)
async def test_accepting_and_dispatching_stay_within_budget(start_gateway, storage, clock, vendor) -> None:
    """A thousand messages of one call cost no more storage requests and executions than promised."""
    store, counter = counted(storage)
    # Reports would come in between: this sandbox sends them much later than the test lasts.
    async with running_sandbox(time_scale=1000) as sandbox:
        setup = Ready(await start_gateway(), sandbox)
        made = await setup.make(vendor)
        await start_gateway.stop()
        settings = {
            "SMS_STORAGE": "embedded",
            "SMS_PUBLIC_URL": "http://127.0.0.1:9",
            "SMS_ALLOW_LOCAL_VENDORS": "true",
        }
        app = build(read_settings(settings), store, clock=clock)
        request = SendRequest(sender=made.sender, to=[f"+1425{2_000_000 + n}" for n in range(MESSAGES)], text="Hello")

        answer = await app.acceptor.accept(request, key="one", body=b"{}")
        accepting = app_requests(counter)
        counter.reset()
        executions = 0
        while items := await storage.queues.receive(DISPATCH_QUEUE, limit=32, visibility=60):
            for item in items:
                await app.dispatcher.dispatch(batch_to_dispatch(item.body.encode()))
                await storage.queues.delete(DISPATCH_QUEUE, item)
                executions += 1
        dispatching = app_requests(counter)
        await app.close()

        sent = await ledger_count(sandbox, vendor)
    print(
        f"{vendor}: accept {accepting} requests for {MESSAGES} messages; dispatch {dispatching / MESSAGES:.3f} "
        f"requests and {executions / MESSAGES:.3f} executions a message; {dict(counter.by_operation)}"
    )
    many = vendors()[vendor].description.capabilities.recipients_per_call > 1
    requests, runs = (0.05, 0.01) if many else (0.1, 0.02)
    assert answer.accepted == sent == MESSAGES
    assert accepting <= 25
    assert dispatching / MESSAGES <= requests
    assert executions / MESSAGES <= runs


async def ledger_count(sandbox, vendor: str) -> int:
    """Count what a vendor really sent."""
    import aiohttp

    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{sandbox.base_url}/sandbox/{vendor}/ledger?limit=1000") as answer,
    ):
        return len((await answer.json())["items"])


@pytest.mark.parametrize("vendor", KITS)
async def test_a_burst_of_reports_stays_within_budget(start_gateway, storage, sandbox, vendor) -> None:
    """Reports that arrive together share their writes."""
    store, counter = counted(storage)
    ready = Ready(await start_gateway(on=store), sandbox)
    made = await ready.make(vendor)
    before = ready.gateway.host.executions.total()
    counter.reset()

    await ready.send(made, [f"+1425{2_000_000 + n}" for n in range(MESSAGES)])
    executions = ready.gateway.host.executions
    async with asyncio.timeout(30):
        while await ledger_count(sandbox, vendor) < MESSAGES:
            await asyncio.sleep(0.1)
    await sandbox.idle()

    callbacks = ("take_callback", "take_callback_with_token", "sms_delivery_report_received")
    # One callback may carry many reports.
    reports = max(MESSAGES, sum(executions[name] for name in callbacks))
    # Each of the ten batches has three rows of its own: accepted, sending, outcome. All others are reports.
    reporting = counter.by_operation["insert", "batches"] - 3 * 10 + counter.by_operation["get", "batches"]
    print(
        f"{vendor}: {reporting / reports:.3f} requests a report, {app_requests(counter) / MESSAGES:.3f} requests and "
        f"{(executions.total() - before) / MESSAGES:.3f} executions a message in all; {dict(counter.by_operation)}"
    )
    assert reporting / reports <= 0.5
