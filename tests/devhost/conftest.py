"""A running dev host for each test that asks for one."""

import aiohttp
import pytest

from devhost import DevHost, Keys
from tests.devhost.clocks import ManualClock
from tests.devhost.memory import memory_storage

KEYS = {
    "master": "the-master-key",
    "host": {"default": "the-host-key"},
    "functions": {"echo": {"default": "the-echo-key"}, "other": {"default": "the-other-key"}},
    "system": {"eventgrid_extension": "the-event-grid-key", "other_extension": "another-system-key"},
}


@pytest.fixture
def keys():
    return Keys(**KEYS)


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def storage(clock):
    return memory_storage(clock)


@pytest.fixture
async def serve(storage, clock, keys):
    """Start an app on a free port; every host is stopped when the test ends."""
    hosts = []

    async def start(app, *, http=None, queues=None, settings=None, **options):
        host_json = {"version": "2.0", "extensions": {"http": http or {}, "queues": queues or {}}}
        host_json |= options.pop("host_json", {})
        host = DevHost(
            app,
            host_json=host_json,
            settings=settings or {},
            **({"queues": storage.queues, "tables": storage.tables, "keys": keys, "port": 0, "clock": clock} | options),
        )
        await host.start()
        hosts.append(host)
        return host

    yield start
    for host in hosts:
        await host.stop()


@pytest.fixture
async def client():
    async with aiohttp.ClientSession() as session:
        yield session
