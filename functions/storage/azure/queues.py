"""Queues in Azure Storage Queues."""

from __future__ import annotations

import base64
import binascii
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from functions.storage import limits
from functions.storage.azure.errors import code_of, translated
from functions.storage.ports import Place, QueueItem, StaleError

if TYPE_CHECKING:
    from azure.storage.queue import QueueMessage
    from azure.storage.queue.aio import QueueClient, QueueServiceClient

SERVICE: Final = "Storage Queues"
NEVER_EXPIRES: Final = -1
# https://learn.microsoft.com/rest/api/storageservices/queue-service-error-codes
STALE_CODES: Final = frozenset({"MessageNotFound", "PopReceiptMismatch", "QueueNotFound"})


class AzureQueues:
    """The queues port over Storage Queues.

    Args:
        client: The account's client; it is closed with the port.
        place: Where it leads.
    """

    def __init__(self, client: QueueServiceClient, place: Place) -> None:
        self._client = client
        self._place = place
        self._queues: dict[str, QueueClient] = {}

    @property
    def place(self) -> Place:
        """Where the queues lie."""
        return self._place

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def put(self, queue: str, body: str, *, delay: float = 0.0) -> None:
        """Add a message; see the port."""
        client = self._queue(queue)
        text = base64.b64encode(limits.check_body(body)).decode()
        hidden = limits.whole_seconds(delay)
        with translated(SERVICE):
            try:
                await client.send_message(text, visibility_timeout=hidden, time_to_live=NEVER_EXPIRES)
            except ResourceNotFoundError:
                await _make(client)
                await client.send_message(text, visibility_timeout=hidden, time_to_live=NEVER_EXPIRES)

    async def receive(self, queue: str, *, limit: int, visibility: float) -> list[QueueItem]:
        """Take messages and hide them for a while; see the port."""
        limits.check_receive(limit)
        hidden = limits.whole_seconds(visibility, least=1)
        pages = (
            self._queue(queue)
            .receive_messages(messages_per_page=limit, max_messages=limit, visibility_timeout=hidden)
            .by_page()
        )
        with translated(SERVICE):
            try:
                # The first page is one request; the client would go on asking until it has as many as the limit.
                async for page in pages:
                    return [_item(message) async for message in page]
            except ResourceNotFoundError:
                pass
        return []

    async def extend(self, queue: str, item: QueueItem, *, visibility: float) -> QueueItem:
        """Hide a received message for a while from now; see the port."""
        hidden = limits.whole_seconds(visibility)
        with translated(SERVICE):
            try:
                extended = await self._queue(queue).update_message(item.id, item.receipt, visibility_timeout=hidden)
            except HttpResponseError as error:
                raise _stale_or_same(error) from error
        return replace(item, receipt=extended.pop_receipt or "")

    async def delete(self, queue: str, item: QueueItem) -> None:
        """Delete a received message; see the port."""
        with translated(SERVICE):
            try:
                await self._queue(queue).delete_message(item.id, item.receipt)
            except HttpResponseError as error:
                raise _stale_or_same(error) from error

    async def length(self, queue: str) -> int:
        """Return about how many messages the queue holds; see the port."""
        with translated(SERVICE):
            try:
                properties = await self._queue(queue).get_queue_properties()
            except ResourceNotFoundError:
                return 0
        return int(properties.approximate_message_count or 0)

    def _queue(self, name: str) -> QueueClient:
        client = self._queues.get(limits.queue_name(name))
        if client is None:
            client = self._queues[name] = self._client.get_queue_client(name)
        return client


async def _make(client: QueueClient) -> None:
    try:
        await client.create_queue()
    except ResourceExistsError as error:
        if code_of(error) != "QueueAlreadyExists":
            raise


def _stale_or_same(error: HttpResponseError) -> Exception:
    if code_of(error) in STALE_CODES:
        return StaleError("the queue message was received by someone else or is gone")
    return error


def _item(message: QueueMessage) -> QueueItem:
    body, decoded = _decode(message.content)
    return QueueItem(
        message.id,
        message.pop_receipt or "",
        body,
        message.dequeue_count or 0,
        message.inserted_on.timestamp() if message.inserted_on else 0.0,
        message.expires_on.timestamp() if message.expires_on else 0.0,
        decoded,
    )


def _decode(text: str) -> tuple[str, bool]:
    """Return what was put and ``True``, or the text as it came and ``False`` if nobody of ours can have put it."""
    try:
        return base64.b64decode(text, validate=True).decode(), True
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return text, False
