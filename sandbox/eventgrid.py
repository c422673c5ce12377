"""Azure Event Grid as it delivers to a webhook: handshake, batches, at least once, retries, dead letters.

Sources: Microsoft Learn, "Event Grid message delivery and retry", "Webhook event delivery", "Endpoint validation with
CloudEvents schema". Not simulated: probation of failing endpoints, and the blob container dead letters are written to.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field

from sandbox.calls import redact_url
from sandbox.clock import iso_seconds, iso_ticks
from sandbox.register import Register

if TYPE_CHECKING:
    from sandbox.courier import Answer
    from sandbox.ledger import Ledger, Message
    from sandbox.world import World

RETRY_SECONDS = (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600)
RETRY_SECONDS_LATER = 43200
_LEAST_SECONDS = {403: 300, 404: 300, 408: 120, 503: 30}
_NEVER_RETRIED = {400: "BadRequest", 401: "Unauthorized", 413: "RequestEntityTooLarge"}
_SUCCESS = frozenset({200, 201, 202, 203, 204})
_ANSWER_SECONDS = 30
_GATHER_SECONDS = 0.05
_ORIGIN = "eventgrid.azure.net"

EventType = Literal["Microsoft.Communication.SMSDeliveryReportReceived", "Microsoft.Communication.SMSReceived"]
DELIVERY_REPORT: EventType = "Microsoft.Communication.SMSDeliveryReportReceived"
SMS_RECEIVED: EventType = "Microsoft.Communication.SMSReceived"


class Subscription(BaseModel):
    """An event subscription of a system topic.

    Attributes:
        name: Its name.
        source: Name of the resource whose events it takes.
        endpoint: Where events are posted, its key included.
        delivery_schema: Event Grid's own schema or CloudEvents 1.0.
        event_types: Which events it takes.
        max_events_per_batch: 1 (no batching) to 5000.
        preferred_batch_kilobytes: Where a batch is cut although more events wait.
        ttl_minutes: How long an event is tried.
        max_attempts: How often an event is tried.
        validation: `Succeeded`, or `AwaitingManualAction` until the validation URL is opened.
        validation_code: What the handshake asked to be echoed.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9-]{3,64}$")
    source: str
    endpoint: str = Field(pattern=r"^https?://")
    delivery_schema: Literal["EventGridSchema", "CloudEventSchemaV1_0"] = "EventGridSchema"
    event_types: list[EventType] = [DELIVERY_REPORT, SMS_RECEIVED]
    max_events_per_batch: int = Field(default=1, ge=1, le=5000)
    preferred_batch_kilobytes: int = Field(default=64, ge=1, le=1024)
    ttl_minutes: int = Field(default=1440, ge=1, le=1440)
    max_attempts: int = Field(default=30, ge=1, le=30)
    validation: Literal["Succeeded", "AwaitingManualAction"] = "Succeeded"
    validation_code: str = ""

    @property
    def key(self) -> str:
        """What identifies it."""
        return f"{self.source}/{self.name}"


def public_subscription(subscription: Subscription) -> dict[str, Any]:
    """Show a subscription without the key in its endpoint."""
    return {**subscription.model_dump(), "endpoint": redact_url(subscription.endpoint)}


class HandshakeError(Exception):
    """The endpoint did not prove that it wants the events; the text says how it failed."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell subscribers.

    Attributes:
        id: The event's id.
        source: Name of the resource.
        topic: The resource's full id.
        subject: What it is about.
        type: What happened.
        time: When, in seconds since 1970.
        data: The details, keys in camel case but for `Tag`.
    """

    id: str
    source: str
    topic: str
    subject: str
    type: EventType
    time: float
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Parcel:
    """An event on its way to one subscription."""

    number: int
    subscription: str
    message_id: str
    about: str
    body: dict[str, Any]


class EventGrid:
    """The event subscriptions of one vendor's resources.

    Args:
        world: The shared parts.
        vendor: The vendor's name.
        ledger: Where each delivery attempt is written.
    """

    def __init__(self, world: World, vendor: str, ledger: Ledger) -> None:
        self._world = world
        self._vendor = vendor
        self._ledger = ledger
        self._waiting: dict[str, list[_Parcel]] = defaultdict(list)
        self._unsettled: dict[int, _Parcel] = {}
        self._numbered = 0
        self.subscriptions = Register(
            Subscription, vendor, "subscriptions", world.journal, by="key", show=public_subscription
        )
        self.dead_letters: list[dict[str, Any]] = []

    async def subscribe(self, subscription: Subscription) -> Subscription:
        """Create or replace a subscription, after the handshake with its endpoint.

        Raises:
            HandshakeError: The endpoint failed it; nothing is created.
        """
        if subscription.delivery_schema == "CloudEventSchemaV1_0":
            await self._shake_hands_cloud(subscription)
            checked = subscription
        else:
            checked = await self._shake_hands(subscription)
        return self.subscriptions.add(checked)

    def validate(self, code: str) -> bool:
        """Open a validation URL by hand; tell whether some subscription was waiting for it."""
        for subscription in self.subscriptions:
            if subscription.validation_code == code and subscription.validation == "AwaitingManualAction":
                self.subscriptions.add(subscription.model_copy(update={"validation": "Succeeded"}))
                return True
        return False

    def publish(self, event: Event, message: Message, about: str) -> None:
        """Hand an event to all subscriptions that want it.

        Args:
            event: The event.
            message: The message it is about, in whose entry the attempts are written.
            about: A word for the ledger.
        """
        for subscription in self._interested(event):
            self._numbered += 1
            parcel = _Parcel(self._numbered, subscription.key, message.id, about, render(event, subscription))
            self._unsettled[parcel.number] = parcel
            self._world.journal.write(
                "event",
                self._vendor,
                number=parcel.number,
                subscription=parcel.subscription,
                message_id=parcel.message_id,
                about=parcel.about,
                body=parcel.body,
            )
            self._enqueue(subscription, parcel)

    async def forge(self, event: Event, message: Message, about: str) -> None:
        """Post an event as an outsider would who knows the address but not the key; once, to each subscription."""
        for subscription in self._interested(event):
            forged = subscription.model_copy(update={"endpoint": without_key(subscription.endpoint)})
            answer = await self._post(forged, [render(event, subscription)], attempt=1)
            self._told(message.id, about, answer, 1, forged=True)

    def restore(self, fact: dict[str, Any]) -> None:
        """Take back one fact from the journal: an event published, or settled."""
        if fact["kind"] == "event":
            number = fact["number"]
            self._numbered = max(self._numbered, number)
            self._unsettled[number] = _Parcel(
                number,
                fact["subscription"],
                fact["message_id"],
                fact["about"],
                fact["body"],
            )
        else:
            self._unsettled.pop(fact["number"], None)

    def resume(self) -> None:
        """Deliver after a restart what was not delivered before."""
        for parcel in list(self._unsettled.values()):
            subscription = self.subscriptions.get(parcel.subscription)
            if subscription is None:
                self._settle(parcel)
            else:
                self._enqueue(subscription, parcel)

    def clear(self) -> None:
        """Forget what is under way; batches already waiting for a retry find nothing left to do."""
        for parcel in list(self._unsettled.values()):
            self._settle(parcel)
        self._waiting.clear()
        self.dead_letters.clear()

    def _interested(self, event: Event) -> list[Subscription]:
        return [
            subscription
            for subscription in self.subscriptions
            if subscription.source == event.source
            and subscription.validation == "Succeeded"
            and event.type in subscription.event_types
        ]

    def _enqueue(self, subscription: Subscription, parcel: _Parcel) -> None:
        if subscription.max_events_per_batch == 1:
            self._world.spawn(self._deliver(subscription, [parcel]))
            return
        waiting = self._waiting[subscription.key]
        waiting.append(parcel)
        if len(waiting) == 1:
            self._world.spawn(self._gather(subscription))

    async def _gather(self, subscription: Subscription) -> None:
        """Wait a moment for company, then deliver all that waits in batches."""
        await asyncio.sleep(_GATHER_SECONDS)
        batch: list[_Parcel] = []
        size = 0
        for parcel in self._waiting.pop(subscription.key, []):
            length = len(orjson.dumps(parcel.body))
            full = len(batch) >= subscription.max_events_per_batch
            if batch and (full or size + length > subscription.preferred_batch_kilobytes * 1024):
                self._world.spawn(self._deliver(subscription, batch))
                batch, size = [], 0
            batch.append(parcel)
            size += length
        if batch:
            self._world.spawn(self._deliver(subscription, batch))

    async def _deliver(self, subscription: Subscription, batch: list[_Parcel]) -> None:
        """Deliver a batch at least once, or give it up as Event Grid would."""
        waited = 0.0
        for attempt in range(1, subscription.max_attempts + 1):
            if not any(parcel.number in self._unsettled for parcel in batch):
                return
            answer = await self._post(subscription, [parcel.body for parcel in batch], attempt)
            for parcel in batch:
                self._told(parcel.message_id, parcel.about, answer, attempt)
            if answer.status in _SUCCESS:
                break
            if answer.status in _NEVER_RETRIED:
                self._give_up(subscription, batch, _NEVER_RETRIED[answer.status], attempt, answer)
                break
            wait = retry_seconds(attempt, answer.status)
            waited += wait
            if attempt == subscription.max_attempts:
                self._give_up(subscription, batch, "MaxDeliveryAttemptsExceeded", attempt, answer)
            elif waited > subscription.ttl_minutes * 60:
                self._give_up(subscription, batch, "TimeToLiveExceeded", attempt, answer)
                break
            else:
                await asyncio.sleep(wait * self._world.settings.retry_time_scale)
        for parcel in batch:
            self._settle(parcel)

    async def _post(self, subscription: Subscription, bodies: list[dict[str, Any]], attempt: int) -> Answer:
        cloud = subscription.delivery_schema == "CloudEventSchemaV1_0"
        alone = cloud and subscription.max_events_per_batch == 1
        headers = {
            "aeg-event-type": "Notification",
            "aeg-subscription-name": subscription.name.upper(),
            "aeg-delivery-count": str(attempt - 1),
            "aeg-metadata-version": "1.0" if cloud else "1",
        }
        if not cloud:
            headers["aeg-data-version"] = "1.0"
            headers["Content-Type"] = "application/json; charset=utf-8"
        else:
            headers["WebHook-Request-Origin"] = _ORIGIN
            headers["Content-Type"] = f"application/cloudevents{'' if alone else '-batch'}+json; charset=utf-8"
        return await self._world.courier.send(
            "POST",
            subscription.endpoint,
            headers=headers,
            body=orjson.dumps(bodies[0] if alone else bodies),
            read_seconds=_ANSWER_SECONDS,
            total_seconds=_ANSWER_SECONDS,
        )

    async def _shake_hands(self, subscription: Subscription) -> Subscription:
        code = self._world.ids.uuid()
        now = iso_ticks(self._world.clock.now())
        event = {
            "id": self._world.ids.uuid(),
            "topic": "/subscriptions/00000000-0000-0000-0000-000000000000",
            "subject": "",
            "data": {
                "validationCode": code,
                "validationUrl": f"{self._world.base_url}/sandbox/{self._vendor}/validate?id={code}",
            },
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": now,
            "metadataVersion": "1",
            "dataVersion": "1",
        }
        answer = await self._world.courier.send(
            "POST",
            subscription.endpoint,
            headers={
                "aeg-event-type": "SubscriptionValidation",
                "aeg-subscription-name": subscription.name.upper(),
                "aeg-delivery-count": "0",
                "aeg-data-version": "1",
                "aeg-metadata-version": "1",
                "Content-Type": "application/json; charset=utf-8",
            },
            body=orjson.dumps([event]),
            read_seconds=_ANSWER_SECONDS,
            total_seconds=_ANSWER_SECONDS,
        )
        # Only 200 will do: an endpoint that answers 202 at once has not looked at the code.
        if answer.status != 200:  # noqa: PLR2004
            raise HandshakeError(f"the endpoint answered the validation with {answer.status or answer.error}, not 200")
        echoed = _json_object(answer.body).get("validationResponse") == code
        state = "Succeeded" if echoed else "AwaitingManualAction"
        return subscription.model_copy(update={"validation": state, "validation_code": code})

    async def _shake_hands_cloud(self, subscription: Subscription) -> None:
        answer = await self._world.courier.send(
            "OPTIONS",
            subscription.endpoint,
            headers={"WebHook-Request-Origin": _ORIGIN},
            read_seconds=_ANSWER_SECONDS,
            total_seconds=_ANSWER_SECONDS,
        )
        allowed = (answer.headers or {}).get("webhook-allowed-origin")
        if answer.status != 200 or allowed not in {_ORIGIN, "*"}:  # noqa: PLR2004
            raise HandshakeError(
                f"the endpoint answered OPTIONS with {answer.status or answer.error} and "
                f"WebHook-Allowed-Origin {allowed!r}, not 200 and {_ORIGIN!r}",
            )

    def _told(self, message_id: str, about: str, answer: Answer, attempt: int, *, forged: bool = False) -> None:
        message = self._ledger.get(message_id)
        if message is not None:
            self._ledger.answered(message, about, attempt, answer, forged=forged)

    def _settle(self, parcel: _Parcel) -> None:
        if self._unsettled.pop(parcel.number, None) is not None:
            self._world.journal.write("event_settled", self._vendor, number=parcel.number)

    def _give_up(
        self,
        subscription: Subscription,
        batch: list[_Parcel],
        reason: str,
        attempts: int,
        answer: Answer,
    ) -> None:
        now = iso_seconds(self._world.clock.now())
        self.dead_letters += [
            {
                "subscription": subscription.key,
                "event": parcel.body,
                "deadLetterReason": reason,
                "deliveryAttempts": attempts,
                "lastDeliveryOutcome": _NEVER_RETRIED.get(answer.status or 0, answer.error or str(answer.status)),
                "lastDeliveryAttemptTime": now,
            }
            for parcel in batch
        ]


EVENT_FACTS = frozenset({"event", "event_settled"})


def render(event: Event, subscription: Subscription) -> dict[str, Any]:
    """Write an event in the schema a subscription asks for.

    CloudEvents carry the data in Pascal case and without the tag's own exception, as in Microsoft's published samples
    (azure-rest-api-specs, Microsoft.Communication, cloud-events-schema).
    """
    if subscription.delivery_schema == "EventGridSchema":
        return {
            "id": event.id,
            "topic": event.topic,
            "subject": event.subject,
            "data": event.data,
            "eventType": event.type,
            "dataVersion": "1.0",
            "metadataVersion": "1",
            "eventTime": iso_seconds(event.time),
        }
    return {
        "id": event.id,
        "source": event.topic,
        "subject": event.subject,
        "data": _pascal(event.data),
        "type": event.type,
        "time": iso_ticks(event.time),
        "specversion": "1.0",
    }


def retry_seconds(attempt: int, status: int | None) -> float:
    """Say how long Event Grid waits after a failed attempt.

    Args:
        attempt: The attempt that failed, from 1.
        status: What the endpoint answered, if it did.
    """
    planned = RETRY_SECONDS[attempt - 1] if attempt <= len(RETRY_SECONDS) else RETRY_SECONDS_LATER
    return max(planned, _LEAST_SECONDS.get(status or 0, 0))


def without_key(url: str) -> str:
    """Put a wrong key in the place of the right one in an endpoint's query."""
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name != "code"]
    return urlunsplit(parts._replace(query=urlencode([*query, ("code", "forged")])))


def _pascal(value: Any) -> Any:
    if isinstance(value, dict):
        return {name[0].upper() + name[1:]: _pascal(inner) for name, inner in value.items()}
    return [_pascal(inner) for inner in value] if isinstance(value, list) else value


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
