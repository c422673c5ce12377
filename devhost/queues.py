"""The queue trigger: polls a queue, runs its function on each message, puts aside what keeps failing.

After ``QueueListener``, ``QueueProcessor`` and ``RandomizedExponentialBackoffStrategy`` of
https://github.com/Azure/azure-sdk-for-net/tree/main/sdk/storage/Microsoft.Azure.WebJobs.Extensions.Storage.Queues.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from azure.functions.meta import Datum

from devhost.clock import Clock
from devhost.invoke import Call, Invoker
from devhost.loading import LoadedFunction
from devhost.settings import QueueSettings
from functions.storage.ports import QueueItem, Queues, StaleError, StorageError

log = logging.getLogger("devhost.queue")

LEASE = 600.0
"""Seconds for which the host hides a message it has received; renewed at half time while the function runs."""

POISON_SUFFIX = "-poison"
_SHORTEST_WAIT = 0.1
_SPREAD = 0.2


class QueueListener:
    """Feeds one queue to one function."""

    def __init__(
        self,
        function: LoadedFunction,
        queue: str,
        *,
        queues: Queues,
        invoker: Invoker,
        settings: QueueSettings,
        clock: Clock,
        lease: float = LEASE,
    ) -> None:
        """Describe the listener; nothing is read before ``start``.

        Args:
            function: What to run.
            queue: The queue's name, settings resolved.
            queues: Where the queue is.
            invoker: Runs the function.
            settings: ``extensions.queues`` of host.json.
            clock: Waits between polls.
            lease: Seconds a received message stays hidden; the real host's are fixed at 600.
        """
        self.function = function
        self.queue = queue
        self._queues = queues
        self._invoker = invoker
        self._settings = settings
        self._clock = clock
        self._lease = lease
        self._poison = None if queue.endswith(POISON_SUFFIX) else queue + POISON_SUFFIX
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._poller: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to poll."""
        self._poller = asyncio.create_task(self._poll())

    async def stop(self, limit: float) -> None:
        """Stop receiving and wait for the functions that run.

        Args:
            limit: Seconds to wait; what runs longer is cancelled, its message comes back after the lease.
        """
        self._stopping.set()
        pending = {task for task in (self._poller, *self._running) if task is not None}
        if not pending:
            return
        _, late = await asyncio.wait(pending, timeout=limit)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    async def _poll(self) -> None:
        waits = self._waits()
        while not self._stopping.is_set():
            items = await self._receive()
            if not items:
                await self._pause(next(waits))
                continue
            waits = self._waits()
            for item in items:
                self._begin(item)
            while len(self._running) > self._settings.new_batch_threshold and not self._stopping.is_set():
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)

    async def _receive(self) -> list[QueueItem]:
        try:
            items = await self._queues.receive(self.queue, limit=self._settings.batch_size, visibility=self._lease)
        except Exception as error:  # noqa: BLE001 whatever the store does, the next poll may succeed
            log.warning("queue %s could not be polled: %r", self.queue, error)
            return []
        if not self._stopping.is_set():
            return items
        for item in items:
            await self._release(item, 0.0)
        return []

    def _begin(self, item: QueueItem) -> None:
        task = asyncio.create_task(self._process(item))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _process(self, item: QueueItem) -> None:
        try:
            if self._settings.base64 and not item.decoded:
                # The real host cannot decode such a message and puts it aside without running anything.
                await self._put_aside(item, "is not base64")
                return
            if item.dequeue_count > self._settings.max_dequeue_count:
                await self._put_aside(item, f"was received {item.dequeue_count} times")
                return
            held = _Held(self._queues, self.queue, item, self._lease, self._clock)
            try:
                outcome = await self._invoker.run(self.function, self._call(item))
            finally:
                item = await held.let_go()
            if outcome.error is None:
                await self._delete(item)
            elif item.dequeue_count >= self._settings.max_dequeue_count:
                await self._put_aside(item, f"failed {item.dequeue_count} times")
            elif self._poison is not None:
                await self._release(item, self._settings.visibility_timeout)
        except Exception as error:  # noqa: BLE001 whatever the store does, the message is still there
            log.warning("a message of queue %s comes back in at most %.0f s: %r", self.queue, self._lease, error)

    def _call(self, item: QueueItem) -> Call:
        body = item.body
        if item.decoded and not self._settings.base64:
            body = base64.b64encode(body.encode()).decode()
        return Call(Datum(body, "string"), queue_metadata(item, body, self._clock.now() + self._lease))

    async def _put_aside(self, item: QueueItem, why: str) -> None:
        if self._poison is None:
            return
        log.warning("a message for %s %s and moves to %s", self.function.name, why, self._poison)
        await self._queues.put(self._poison, item.body)
        await self._delete(item)

    async def _delete(self, item: QueueItem) -> None:
        try:
            await self._queues.delete(self.queue, item)
        except StaleError:
            log.debug("a message of queue %s is held by someone else now", self.queue)

    async def _release(self, item: QueueItem, delay: float) -> None:
        try:
            await self._queues.extend(self.queue, item, visibility=delay)
        except StaleError:
            log.debug("a message of queue %s is held by someone else now", self.queue)

    def _waits(self) -> Iterator[float]:
        longest = self._settings.max_polling_interval
        yield min(_SHORTEST_WAIT, longest)
        doubled = _SHORTEST_WAIT
        while True:
            spread = random.uniform(1 - _SPREAD, 1 + _SPREAD)  # noqa: S311 spreads polls, keeps no secret
            yield min(_SHORTEST_WAIT + doubled * spread, longest)
            doubled = min(doubled * 2, longest)

    async def _pause(self, seconds: float) -> None:
        await first_of(self._clock.sleep(seconds), self._stopping.wait())


class _Held:
    """Keeps a message hidden while its function runs."""

    def __init__(self, queues: Queues, queue: str, item: QueueItem, lease: float, clock: Clock) -> None:
        self._queues, self._queue, self._item, self._lease, self._clock = queues, queue, item, lease, clock
        self._finished = asyncio.Event()
        self._task = asyncio.create_task(self._renew())

    async def let_go(self) -> QueueItem:
        """Stop renewing and return the message with its latest receipt."""
        # Not cancelled: a renewal under way changes the receipt, and the answer must not get lost.
        self._finished.set()
        await self._task
        return self._item

    async def _renew(self) -> None:
        wait = self._lease / 2
        while True:
            await first_of(self._clock.sleep(wait), self._finished.wait())
            if self._finished.is_set():
                return
            try:
                self._item = await self._queues.extend(self._queue, self._item, visibility=self._lease)
                wait = self._lease / 2
            except StaleError:
                return
            except StorageError as error:
                log.warning("a message of queue %s could not be kept hidden: %s", self._queue, error)
                wait = self._lease / 10


async def first_of(*coroutines: Any) -> None:
    """Wait until one of the coroutines is done and cancel the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def queue_metadata(item: QueueItem, body: str, next_visible: float) -> dict[str, Datum]:
    """Make the trigger metadata of a message, the body's own properties laid over the host's.

    The host parses a JSON object and puts its top-level properties into the metadata whatever their case, so a property
    ``id`` replaces the message id (``Utility.ApplyBindingData`` of https://github.com/Azure/azure-functions-host).

    Args:
        item: The message.
        body: Its text as the function gets it.
        next_visible: When it becomes visible again, seconds since the epoch.
    """
    metadata = {
        "QueueTrigger": Datum(body, "string"),
        "Id": Datum(item.id, "string"),
        "PopReceipt": Datum(item.receipt, "string"),
        "DequeueCount": Datum(str(item.dequeue_count), "json"),
        "InsertionTime": _moment(item.inserted),
        "ExpirationTime": _moment(item.expires),
        "NextVisibleTime": _moment(next_visible),
    }
    spelled = {name.lower(): name for name in metadata}
    for name, value in _properties(body).items():
        own = spelled.setdefault(name.lower(), name)
        if isinstance(value, dict):
            metadata[own] = Datum(json.dumps(value), "json")
        elif value is not None and not isinstance(value, list):
            metadata[own] = Datum(_as_dotnet_text(value), "string")
    return metadata


def _properties(body: str) -> dict[str, Any]:
    if not body.strip().startswith("{"):
        return {}
    try:
        parsed = json.loads(body)
    except ValueError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _as_dotnet_text(value: str | float | bool) -> str:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return value
        # Newtonsoft.Json takes a text in ISO format for a date and prints it in the invariant culture.
        utc = moment.astimezone(UTC) if moment.tzinfo else moment
        return utc.strftime("%m/%d/%Y %H:%M:%S") if "T" in value else value
    return str(value)


def _moment(seconds: float) -> Datum:
    latest = datetime.max.replace(tzinfo=UTC)
    moment = latest if seconds >= latest.timestamp() else datetime.fromtimestamp(seconds, UTC)
    return Datum(json.dumps(moment.isoformat()), "json")
