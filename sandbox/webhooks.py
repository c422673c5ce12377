"""Callbacks of vendors that post to a URL of the customer's: send, note the answer, try again as the vendor would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.courier import Answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from sandbox.ledger import Ledger, Message
    from sandbox.world import World


@dataclass(frozen=True, slots=True)
class Webhook:
    """One callback.

    Attributes:
        about: A word for the ledger, such as the state reported.
        url: Where to.
        headers: The headers, signature included.
        body: The body.
        method: The HTTP method.
        token: What ties its attempts together.
        forged: Whether its credentials are made not to verify.
    """

    about: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    method: str = "POST"
    token: str = ""
    forged: bool = False


@dataclass(frozen=True, slots=True)
class Persistence:
    """How a vendor deals with an endpoint that does not take a callback.

    Attributes:
        waits: Seconds before each further attempt, before the retry time scale; none means one attempt only.
        again: Tells from an answer whether to try again.
        connect_seconds: How long to wait for a connection.
        read_seconds: How long to wait for each piece of the answer.
        total_seconds: How long one attempt may take in all.
    """

    waits: tuple[float, ...] = ()
    again: Callable[[Answer], bool] = field(default=lambda answer: answer.status is None or answer.status >= 300)  # noqa: PLR2004
    connect_seconds: float = 5
    read_seconds: float = 15
    total_seconds: float | None = 15


async def attempt(
    world: World, ledger: Ledger, message: Message, webhook: Webhook, persistence: Persistence, number: int
) -> Answer:
    """Send a callback once and note the answer in the ledger.

    Args:
        world: The shared parts.
        ledger: Where the attempt is noted.
        message: What the callback is about.
        webhook: What to send.
        persistence: How long to wait.
        number: 1 for the first attempt.
    """
    answer = await world.courier.send(
        webhook.method,
        webhook.url,
        headers=webhook.headers,
        body=webhook.body,
        connect_seconds=persistence.connect_seconds,
        read_seconds=persistence.read_seconds,
        total_seconds=persistence.total_seconds,
    )
    ledger.answered(message, webhook.about, number, answer, forged=webhook.forged, token=webhook.token)
    return answer


async def deliver(
    world: World,
    ledger: Ledger,
    message: Message,
    webhook: Webhook,
    persistence: Persistence,
) -> Answer:
    """Send a callback until the vendor is content or gives up; a forged one is sent once.

    Args:
        world: The shared parts.
        ledger: Where attempts are noted.
        message: What the callback is about.
        webhook: What to send; every attempt sends the same.
        persistence: When to try again.

    Returns:
        The last answer.
    """
    answer = await attempt(world, ledger, message, webhook, persistence, 1)
    for number, wait in enumerate(persistence.waits, start=2):
        if webhook.forged or not persistence.again(answer):
            break
        await asyncio.sleep(wait * world.settings.retry_time_scale)
        answer = await attempt(world, ledger, message, webhook, persistence, number)
    return answer


async def insist(world: World, once: Callable[[int], Awaitable[bool]], waits: Iterable[float]) -> bool:
    """Make the second attempt and further ones until one is taken.

    Args:
        world: The shared parts.
        once: Makes one attempt, given its number, and tells whether it was taken.
        waits: Seconds before each, before the retry time scale.

    Returns:
        Whether one was taken.
    """
    for number, wait in enumerate(waits, start=2):
        await asyncio.sleep(wait * world.settings.retry_time_scale)
        if await once(number):
            return True
    return False
