"""Queues and timers of the dev host on Microsoft's Azurite, with the clock of the machine."""

import asyncio
import json

import azure.functions as func
import pytest
from azure.storage.queue.aio import QueueServiceClient

from devhost import SystemClock
from devhost.timers import TABLE
from functions.storage.azure import open_azure
from functions.storage.embedded import open_embedded
from tests.devhost.clocks import until
from tests.servers import azurite, require_tools


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    require_tools()
    with azurite(tmp_path_factory.mktemp("azurite")) as string:
        yield string


@pytest.fixture
def clock():
    return SystemClock()


@pytest.fixture
async def storage(connection, tmp_path):
    secrets = open_embedded(tmp_path / "secrets.db").secrets
    opened = open_azure(connection_string=connection, secrets=secrets)
    yield opened
    await opened.close()


async def test_queue_and_timer(serve, storage, connection):
    """Good messages are deleted, bad ones and those that are no base64 end in the poison queue, timers are kept."""
    app, seen, ticks = func.FunctionApp(), [], []

    @app.queue_trigger("msg", "azurite-jobs", "AzureWebJobsStorage")
    async def job(msg: func.QueueMessage):
        seen.append((msg.get_body().decode(), msg.dequeue_count))
        if msg.get_body() == b"bad":
            raise ValueError

    @app.timer_trigger("tick", "0 0 0 1 1 *", run_on_startup=True)
    async def clean(tick: func.TimerRequest):
        ticks.append(tick.past_due)

    await serve(app, queues={"maxPollingInterval": "00:00:00.2", "maxDequeueCount": 2})
    await storage.queues.put("azurite-jobs", "héllo")
    await storage.queues.put("azurite-jobs", "bad")
    async with QueueServiceClient.from_connection_string(connection) as plain:
        await plain.get_queue_client("azurite-jobs").send_message("not base64!")

    async def poisoned():
        return await storage.queues.length("azurite-jobs-poison") == 2

    await until(poisoned, limit=10)
    await until(lambda: ("héllo", 1) in seen)

    async def emptied():
        return await storage.queues.length("azurite-jobs") == 0

    await until(emptied)
    assert sorted(seen) == [("bad", 1), ("bad", 2), ("héllo", 1)]
    aside = await storage.queues.receive("azurite-jobs-poison", limit=32, visibility=1)
    assert sorted(item.body for item in aside) == ["bad", "not base64!"]
    assert ticks == [False]
    row = await storage.tables.get(TABLE, "status", "clean")
    assert row.values["next"] > row.values["last"]


async def test_lease_is_renewed(serve, storage):
    """A function may run longer than the lease without its message being delivered twice."""
    app, seen = func.FunctionApp(), []

    @app.queue_trigger("msg", "azurite-slow", "AzureWebJobsStorage")
    async def job(msg: func.QueueMessage):
        seen.append(json.loads(msg.get_body()))
        await asyncio.sleep(2.5)

    await storage.queues.put("azurite-slow", "1")
    await serve(app, queues={"maxPollingInterval": "00:00:00.2"}, lease=2)

    async def emptied():
        return await storage.queues.length("azurite-slow") == 0

    await until(lambda: seen, limit=10)
    await until(emptied, limit=10)
    assert seen == [1]
