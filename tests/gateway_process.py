"""A gateway in a process of its own, for tests that kill it: ``python -m tests.gateway_process DB PORT KEYS``."""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from pathlib import Path

from devhost.keys import Keys
from devhost.running import ROOT, running_gateway
from devhost.settings import read_host_json
from functions.gateway.timing import Timing
from functions.settings import read_settings
from functions.storage.embedded import open_embedded

QUICK = Timing(
    lease=2.0,
    margin=0.2,
    settle_after=0.5,
    backoff_base=0.05,
    backoff_cap=0.5,
    grace=timedelta(seconds=1),
    ask_after=timedelta(seconds=4),
)
"""A dead worker is known for dead after two seconds instead of two minutes; the rest is as it always is."""


async def main(database: str, port: str, keys: str) -> None:
    """Run until killed."""
    host_json = read_host_json(ROOT)
    host_json["extensions"]["queues"] |= {"maxPollingInterval": "00:00:00.1", "visibilityTimeout": "00:00:00"}
    environment = {
        "SMS_STORAGE": "embedded",
        "SMS_ALLOW_LOCAL_VENDORS": "true",
        "SMS_VENDOR_TIMEOUT_SECONDS": "1",
    }
    async with running_gateway(
        open_embedded(database),
        port=int(port),
        keys=Keys.open(Path(keys)),
        settings=lambda url: read_settings({"SMS_PUBLIC_URL": url} | environment),
        host_json=host_json,
        lease=1.0,
        timing=QUICK,
    ):
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
