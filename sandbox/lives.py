"""What happens to messages after acceptance: each one's plan, step by step, in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.ledger import Ledger, Message
    from sandbox.outcomes import Step
    from sandbox.world import World


class Lives:
    """Carries out the plans of one vendor's messages.

    One message's steps go one after another, so its reports keep their order unless the plan says otherwise.

    Args:
        world: The shared parts.
        ledger: Where states are written.
        report: Tells the customer of a step.
    """

    def __init__(self, world: World, ledger: Ledger, report: Callable[[Message, Step], Awaitable[None]]) -> None:
        self._world = world
        self._ledger = ledger
        self._report = report
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def begin(self, message: Message) -> None:
        """Start a message's life, or go on where it was interrupted."""
        if message.steps_done >= len(message.plan):
            return
        task = self._world.spawn(self._live(message))
        self._tasks[message.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(message.id, None))

    async def before_answer(self, message: Message) -> None:
        """Do what the plan wants done before the vendor answers the request."""
        for step in message.plan[message.steps_done :]:
            if not step.early:
                return
            await self._take(message, step)

    def end(self, message: Message) -> None:
        """Let nothing more happen to a message."""
        if (task := self._tasks.pop(message.id, None)) is not None:
            task.cancel()

    def end_all(self) -> None:
        """Let nothing more happen to any message."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _live(self, message: Message) -> None:
        for step in message.plan[message.steps_done :]:
            due = message.at + step.after * self._world.settings.time_scale
            await asyncio.sleep(max(0.0, due - self._world.clock.now()))
            await self._take(message, step)

    async def _take(self, message: Message, step: Step) -> None:
        self._ledger.take_step(message, step)
        if step.report:
            await self._report(message, step)
