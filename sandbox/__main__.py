"""`python -m sandbox`: run all simulated vendors on one port until interrupted."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from pathlib import Path

from sandbox.server import Sandbox
from sandbox.world import Settings


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="The SMS vendors, simulated offline.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (127.0.0.1)")
    parser.add_argument("--port", type=int, default=7072, help="where to listen, 0 for a free port (7072)")
    parser.add_argument("--data", type=Path, help="a file that keeps everything over a restart, kill -9 included")
    parser.add_argument("--seed", type=int, help="makes ids repeatable")
    parser.add_argument("--time-scale", type=float, default=1.0, help="factor on delays before reports (1)")
    parser.add_argument("--retry-time-scale", type=float, default=1.0, help="factor on delays before retries (1)")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    settings = Settings(time_scale=arguments.time_scale, retry_time_scale=arguments.retry_time_scale)
    sandbox = Sandbox(data=arguments.data, seed=arguments.seed, settings=settings)
    stopped = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers on its loop
            asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    await sandbox.start(arguments.host, arguments.port)
    sys.stdout.write(f"sandbox ready at {sandbox.base_url} (see {sandbox.base_url}/sandbox)\n")
    sys.stdout.flush()
    try:
        await stopped.wait()
    finally:
        await sandbox.stop()


if __name__ == "__main__":
    asyncio.run(_run(_arguments()))
