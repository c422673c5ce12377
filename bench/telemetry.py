"""What telemetry costs: CPU time a message without it and with it, and what starting it takes.

Run it with ``python3 dev.py bench telemetry``. What is exported goes to a collector in this process that throws it
away, so its work is in the figures too. Every message is a vendor call of its own (the vendor takes one recipient a
call), which is the dearest case: a span and three figures each.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

from aiohttp import web

from bench.gateway import MESSAGES, SETTINGS, TOKEN, one_round
from functions.app import build
from functions.gateway.telemetry import SILENT, Telemetry
from functions.settings import TelemetrySettings, read_settings
from functions.storage.embedded import open_embedded
from functions.telemetry import open_telemetry
from sandbox.testing import running_sandbox

ROUNDS = 5
SILENT_CALLS = 100_000
STARTS = {
    "nothing set": "",
    "OTLP": "start(TelemetrySettings(otlp=True))",
    "Azure Monitor": f"start(TelemetrySettings(azure_monitor='InstrumentationKey={UUID(int=0)}'))",
}


@asynccontextmanager
async def collector() -> AsyncIterator[str]:
    """Run a collector that takes everything and keeps nothing."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/{signal}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def measured(telemetry: Telemetry) -> tuple[float, float]:
    """Return the CPU microseconds a message of accepting and of dispatching."""
    with tempfile.TemporaryDirectory() as folder:
        storage = open_embedded(Path(folder) / "bench.db")
        async with running_sandbox(time_scale=1000) as sandbox:
            app = build(read_settings(SETTINGS), storage, telemetry=telemetry)
            account = {"sid": f"AC{TOKEN}", "token": TOKEN}
            async with app.http.session.post(f"{sandbox.base_url}/sandbox/twilio/accounts", json=account) as made:
                made.raise_for_status()
            found = await one_round(app, sandbox.base_url)
            await app.close()
        await storage.close()
    return found


async def rounds() -> None:
    """Measure accepting and dispatching in turn without telemetry and with it."""
    figures: dict[str, list[float]] = {}
    async with collector() as url:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = url
        for _ in range(ROUNDS):
            for name, telemetry in (("off", SILENT), ("on", open_telemetry(TelemetrySettings(otlp=True)))):
                accepting, dispatching = await measured(telemetry)
                await telemetry.close()
                figures.setdefault(f"accept, {name}", []).append(accepting)
                figures.setdefault(f"dispatch, {name} (sandbox included)", []).append(dispatching)
    print(f"{'':34} CPU in us a message of {MESSAGES}")
    for name, found in sorted(figures.items()):
        print(f"{name:34} {statistics.median(found):8.1f}")


def silence() -> None:
    """Measure what the port costs where nothing is set up."""
    before = time.process_time()
    for _ in range(SILENT_CALLS):
        with SILENT.span("x") as span:
            span.set("a", 1)
    print(f"{'a span that nobody sees':34} {(time.process_time() - before) / SILENT_CALLS * 1e6:8.2f} us")


def starts() -> None:
    """Measure in fresh interpreters what importing and starting takes, beside what the app imports anyway."""
    for name, call in STARTS.items():
        code = (
            "import time, function_app, azure.core.pipeline, aiohttp\n"
            "from functions.settings import TelemetrySettings\n"
            "started = time.perf_counter()\n"
            + (f"from functions.telemetry.pipeline import start; {call}\n" if call else "")
            + "print(time.perf_counter() - started, flush=True); import os; os._exit(0)"
        )
        environment = {
            "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
            "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
        }
        took = []
        for _ in range(ROUNDS):
            done = subprocess.run(  # noqa: S603 - our own code
                [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | environment
            )
            took.append(float(done.stdout))
        print(f"{f'starting, {name}':34} {statistics.median(took) * 1000:8.0f} ms")


def main() -> None:
    """Measure and print."""
    silence()
    starts()
    asyncio.run(rounds())


if __name__ == "__main__":
    main()
