"""Both storage families behind one fixture, so that every test of the contract runs against each."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING, NamedTuple

import pytest

import functions.storage.azure as family
from functions.storage.azure import open_azure, open_azure_queues, open_azure_tables, open_key_vault
from functions.storage.embedded import open_embedded
from functions.storage.ports import Storage
from tests.servers import azurite, require_tools
from tests.storage.lossy_proxy import LossyProxy, running_proxy
from tests.storage.vault import HandedOutToken, Vault, running_vault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def azurite_connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    require_tools()
    with azurite(tmp_path_factory.mktemp("azurite")) as connection_string:
        yield connection_string


@pytest.fixture
def credential() -> HandedOutToken:
    return HandedOutToken()


@pytest.fixture
async def vault(tmp_path: Path, credential: HandedOutToken) -> AsyncIterator[Vault]:
    async with running_vault(tmp_path, credential.token) as running:
        yield running


class Clock:
    """Seconds since the epoch, ahead of the real clock by as much as was waited."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def embedded(tmp_path: Path, clock: Clock) -> AsyncIterator[Storage]:
    storage = open_embedded(tmp_path / "data" / "gateway.db", clock)
    yield storage
    await storage.close()


@pytest.fixture
async def azure(azurite_connection: str, vault: Vault, credential: HandedOutToken) -> AsyncIterator[Storage]:
    secrets = open_key_vault(vault.url, credential, verify_challenge_resource=False, connection_verify=vault.ca_file)
    storage = open_azure(connection_string=azurite_connection, secrets=secrets)
    yield storage
    await storage.close()


class Proxied(NamedTuple):
    """Storage on Azurite behind proxies that can lose answers."""

    storage: Storage
    tables: LossyProxy
    queues: LossyProxy


@pytest.fixture
async def proxied(azurite_connection: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxied]:
    monkeypatch.setattr(
        family, "_QUEUE_RETRIES", family._QUEUE_RETRIES | {"increment_base": 0, "random_jitter_range": 0}
    )
    parts = dict(part.split("=", 1) for part in azurite_connection.split(";"))
    targets = [parts[name].rsplit("/", 1)[0] for name in ("TableEndpoint", "QueueEndpoint")]
    async with running_proxy(targets[0]) as tables, running_proxy(targets[1]) as queues:
        connection_string = azurite_connection.replace(targets[0], tables.url).replace(targets[1], queues.url)
        yield Proxied(
            Storage(
                tables_port := open_azure_tables(connection_string=connection_string),
                queues_port := open_azure_queues(connection_string=connection_string),
                secrets=None,
            ),
            tables,
            queues,
        )
        await tables_port.close()
        await queues_port.close()


@pytest.fixture(params=["embedded", "azure"])
def storage(request: pytest.FixtureRequest) -> Storage:
    return request.getfixturevalue(request.param)


@pytest.fixture
def wait(request: pytest.FixtureRequest, clock: Clock) -> Callable[[float], object]:
    """Let time pass for the storage: at once for the embedded one, really for Azurite."""

    async def wait_for(seconds: float) -> None:
        clock.ahead += seconds
        if request.node.callspec.params["storage"] == "azure":
            await asyncio.sleep(seconds)

    return wait_for


@pytest.fixture
def table() -> str:
    return f"table{uuid.uuid4().hex}"


@pytest.fixture
def queue() -> str:
    return f"queue-{uuid.uuid4().hex}"
