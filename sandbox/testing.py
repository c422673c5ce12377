"""The sandbox inside a test: `async with running_sandbox() as sandbox: ...`."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from sandbox.server import Sandbox
from sandbox.world import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from sandbox.clock import Clock


@asynccontextmanager
async def running_sandbox(
    *,
    time_scale: float = 0.0,
    retry_time_scale: float = 0.0,
    data: Path | None = None,
    seed: int | None = None,
    clock: Clock | None = None,
    port: int = 0,
) -> AsyncIterator[Sandbox]:
    """Run a sandbox in this process, on loopback.

    Args:
        time_scale: What delays between acceptance and report are multiplied by; immediate when left out.
        retry_time_scale: What delays before a failed callback is tried again are multiplied by.
        data: A file that keeps everything over a restart.
        seed: Makes ids repeatable.
        clock: Tells the time; give one of your own to move it.
        port: Where to listen; a free port when left out.

    Yields:
        The sandbox: `base_url` to talk to it, `vendor(AcsVendor)` and `vendor(TwilioVendor)` to look inside, `idle()`
        to wait until everything has been told.
    """
    settings = Settings(time_scale=time_scale, retry_time_scale=retry_time_scale)
    sandbox = Sandbox(data=data, seed=seed, settings=settings, clock=clock)
    await sandbox.start(port=port)
    try:
        yield sandbox
    finally:
        await sandbox.stop()
