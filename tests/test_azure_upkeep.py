"""Deleting by age and erasing people over Azure's own kind of store: Azurite for tables, its transactions included."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest

from functions.gateway.erasing import ERASED
from functions.gateway.models import ErasureState
from functions.storage.azure import open_azure
from functions.storage.embedded import open_embedded
from tests.conftest import Clock
from tests.gateway.test_erasures import ANN, BOB, EVE, fill, traces
from tests.gateway.world import TABLES, CrashError, World, build, crashing
from tests.servers import azurite, require_tools

MOMENT = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Run Azurite."""
    require_tools()
    with azurite(tmp_path_factory.mktemp("azurite")) as connection_string:
        yield connection_string


@pytest.fixture
async def azure(connection, tmp_path):
    """Open tables and queues over Azurite, emptied; secrets are not needed here."""
    embedded = open_embedded(tmp_path / "secrets.db")
    storage = open_azure(secrets=embedded.secrets, connection_string=connection)
    for table in TABLES:
        async for row in storage.tables.scan(table, first="!", last="~"):
            await storage.tables.delete(table, row.partition, row.key)
    yield storage
    await storage.close()


@pytest.fixture
def world(azure):
    clock = Clock()
    clock.freeze(MOMENT)
    return World(build(azure, clock), clock)


async def test_a_person_is_erased(world) -> None:
    """Nothing of the person is found any more, others are as they were, and killed runs are gone on with."""
    await fill(world)
    await world.batch([f"+1425{2_000_000 + n}" for n in range(99)] + [ANN])
    before = await world.messages()
    asked = await world.app.erasures.request(ANN, keep_opt_outs=False)
    world.clock.advance(121)
    killed = 0
    for writes in (0, 1, 2, 3, 5, 8):
        with suppress(CrashError):
            await build(crashing(world.app.storage, writes, lost=writes % 2 == 0), world.clock).erasures.carry_on()
            continue
        killed += 1

    await world.app.erasures.carry_on()

    assert killed >= 4
    view = await world.app.erasures.view(asked.id)
    assert view.state is ErasureState.DONE
    assert traces(await world.dump(), ANN) == []
    after = await world.messages()
    assert [i for i, message in after.items() if message["to"] == ERASED] == [
        i for i, message in before.items() if message["to"] == ANN
    ]
    assert {i: m for i, m in after.items() if m["to"] != ERASED} == {i: m for i, m in before.items() if m["to"] != ANN}


async def test_old_things_go(world) -> None:
    """Raw payloads, then everything but the opt-out list is gone in its time, also when a run was killed."""
    await fill(world)
    await world.batch([f"+1425{2_000_000 + n}" for n in range(100)])
    world.clock.advance(31 * 24 * 3600)
    await world.app.retention.tidy()
    raws = [values["raw"] for values in (await world.rows("batches", "inbound")).values() if "raw" in values]
    assert set(raws) == {""}
    assert len(raws) > 50
    assert await world.rows("setaside") == {}
    world.clock.advance(366 * 24 * 3600)
    with suppress(CrashError):
        await build(crashing(world.app.storage, 2, lost=True), world.clock).retention.tidy()
    await world.app.retention.tidy()

    left = {place[0] for place in await world.rows()}
    assert left == {"optouts", "upkeep"}
    assert {values["number"] for values in (await world.rows("optouts")).values()} == {ANN, BOB, EVE}


async def test_what_it_costs_is_what_goes_over_the_wire(world, monkeypatch) -> None:
    """A batch of a hundred messages with their reports is deleted by the transactions that the counter counts."""
    await world.batch([f"+1425{2_000_000 + n}" for n in range(100)])
    world.clock.advance(367 * 24 * 3600)
    sent = []
    client = type(world.tables._table("batches"))
    real = client.submit_transaction

    async def counted(self, operations, **options):
        sent.append([operation[0] for operation in operations])
        return await real(self, operations, **options)

    monkeypatch.setattr(client, "submit_transaction", counted)
    await world.app.retention.tidy()

    deletions = [kinds for kinds in sent if set(kinds) == {"delete"}]
    assert sorted(map(len, deletions)) == [1, 54]
    assert await world.rows("batches") == {}
