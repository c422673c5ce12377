"""Both storage families behind one fixture, so that every test of the contract runs against each."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import TYPE_CHECKING

import pytest

from functions.storage.azure import open_azure, open_key_vault
from functions.storage.embedded import open_embedded
from tests.servers import azurite, require_tools
from tests.storage.vault import HandedOutToken, Vault, running_vault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from functions.storage.ports import Storage


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
