"""What all simulated vendors share: clock, ids, time scale, journal, courier, background work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from sandbox.courier import Courier

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from sandbox.clock import Clock
    from sandbox.ids import IdSource
    from sandbox.journal import Journal

Scale = Annotated[float, Field(ge=0, le=1000)]


class Settings(BaseModel):
    """How fast the sandbox's world goes.

    Attributes:
        time_scale: Every delay between acceptance and report is multiplied by it; 0 makes reports immediate.
        retry_time_scale: Every delay before a failed callback is tried again is multiplied by it.
    """

    model_config = ConfigDict(extra="forbid")

    time_scale: Scale = 1.0
    retry_time_scale: Scale = 1.0


@dataclass
class World:
    """The shared parts of one sandbox.

    Attributes:
        clock: Tells the time.
        ids: Draws ids.
        journal: Keeps facts.
        settings: How fast things go.
        courier: Carries callbacks.
        base_url: Where the sandbox itself is reached, once it listens.
    """

    clock: Clock
    ids: IdSource
    journal: Journal
    settings: Settings = field(default_factory=Settings)
    courier: Courier = field(default_factory=Courier)
    base_url: str = ""
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Do something in the background until it ends or the sandbox stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    async def idle(self) -> None:
        """Wait until nothing is under way or planned any more: all reports told, all retries spent."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def halt(self) -> None:
        """Stop all background work where it stands."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            # A failure of the sandbox itself must be seen, and must not look like a vendor that stays silent.
            task.get_loop().call_exception_handler({"message": "sandbox work failed", "exception": failure})
