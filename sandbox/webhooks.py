"""Callbacks of vendors that post to a URL of the customer's: send, note the answer, try again as the vendor would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.courier import Answer
from sandbox.ledger import CallbackTry, Ledger, Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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


async def deliver(
    world: World,
    ledger: Ledger,
    message: Message,
    webhook: Webhook,
    persistence: Persistence,
) -> Answer:
    """Send a callback until the vendor is content or gives up, each attempt noted in the ledger.

    Args:
        world: The shared parts.
        ledger: Where attempts are noted.
        message: What the callback is about.
        webhook: What to send; every attempt sends the same.
        persistence: When to try again.

    Returns:
        The last answer.
    """
    attempt = 1
    while True:
        answer = await world.courier.send(
            webhook.method,
            webhook.url,
            headers=webhook.headers,
            body=webhook.body,
            connect_seconds=persistence.connect_seconds,
            read_seconds=persistence.read_seconds,
            total_seconds=persistence.total_seconds,
        )
        entry = CallbackTry(
            world.clock.now(),
            webhook.about,
            attempt,
            answer.status,
            answer.error,
            webhook.forged,
            webhook.token,
            answer.complaint,
        )
        ledger.told(message, entry)
        if webhook.forged or attempt > len(persistence.waits) or not persistence.again(answer):
            return answer
        await asyncio.sleep(persistence.waits[attempt - 1] * world.settings.retry_time_scale)
        attempt += 1
