"""How Infobip posts: what is waiting for one address goes out together, in buckets, and again until it is taken.

An endpoint has taken a bucket when it answers 200 (ASSUMED of other 2xx: not taken). Otherwise the whole bucket comes
again after 1 minute + n² minutes, for n from 0, up to 20 times
(https://www.infobip.com/docs/sms/sms-over-api, "push retry cycle").
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.vendors.infobip.wire import OK
from sandbox.webhooks import insist

if TYPE_CHECKING:
    from sandbox.ledger import Message
    from sandbox.vendors.infobip.vendor import InfobipVendor

RETRY_SECONDS = tuple(60.0 + 60.0 * n * n for n in range(20))
DEFAULT_BUCKET = 100
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Target:
    """Where and how to post.

    Attributes:
        url: The address.
        headers: Headers beside the content type.
        bucket: The most items in one post.
        connect_seconds: How long to wait for a connection.
        read_seconds: How long to wait for each piece of the answer.
        forged: Whether its proofs are made not to hold.
        inbound: Whether incoming texts go there, which are counted in the envelope.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    bucket: int = DEFAULT_BUCKET
    connect_seconds: float = 10.0
    read_seconds: float = 10.0
    forged: bool = False
    inbound: bool = False


@dataclass(slots=True)
class Item:
    """One thing to tell.

    Attributes:
        message: What it is about.
        about: A word for the ledger.
        result: What stands in `results`.
        tried: Done once it was posted for the first time.
    """

    message: Message
    about: str
    result: dict[str, Any]
    tried: asyncio.Future[None]


@dataclass(slots=True)
class _Queue:
    """What waits for one target, and how many tasks empty it."""

    items: deque[Item] = field(default_factory=deque)
    workers: int = 0


class Outbox:
    """All that is to be posted.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: InfobipVendor) -> None:
        self._vendor = vendor
        self._queues: dict[Target, _Queue] = {}

    async def post(self, target: Target, message: Message, about: str, result: dict[str, Any]) -> None:
        """Post something and wait for the first answer; further attempts go on in the background."""
        item = Item(message, about, result, asyncio.get_running_loop().create_future())
        queue = self._queues.setdefault(target, _Queue())
        queue.items.append(item)
        if queue.workers < _AT_ONCE:
            queue.workers += 1
            self._vendor.world.spawn(self._empty(target, queue))
        await item.tried

    async def _empty(self, target: Target, queue: _Queue) -> None:
        try:
            while queue.items:
                bucket = [queue.items.popleft() for _ in range(min(target.bucket, len(queue.items)))]
                token = self._vendor.world.ids.uuid()
                taken = await self._attempt(target, bucket, 1, token)
                for item in bucket:
                    if not item.tried.done():
                        item.tried.set_result(None)
                if not taken and not target.forged:
                    self._vendor.world.spawn(self._insist(target, bucket, token))
        finally:
            queue.workers -= 1
            if not queue.workers and not queue.items and self._queues.get(target) is queue:
                del self._queues[target]

    async def _insist(self, target: Target, bucket: list[Item], token: str) -> None:
        await insist(self._vendor.world, lambda attempt: self._attempt(target, bucket, attempt, token), RETRY_SECONDS)

    async def _attempt(self, target: Target, bucket: list[Item], attempt: int, token: str) -> bool:
        """Post a bucket once; says whether it was taken."""
        world = self._vendor.world
        envelope: dict[str, Any] = {"results": [item.result for item in bucket]}
        if target.inbound:
            envelope |= {"messageCount": len(bucket), "pendingMessageCount": 0}
        answer = await world.courier.send(
            "POST",
            target.url,
            headers={"Accept": "*/*", **dict(target.headers), "Content-Type": "application/json"},
            body=orjson.dumps(envelope),
            connect_seconds=target.connect_seconds,
            read_seconds=target.read_seconds,
        )
        for item in bucket:
            self._vendor.ledger.answered(item.message, item.about, attempt, answer, forged=target.forged, token=token)
        return answer.status == OK
