"""Takes a call apart into batches and makes them durable before it is answered.

The order of the writes is what keeps a crash from losing anything: the index first, then the batches, then the queue. A
batch that was stored and never queued is found by the sweeper; an index entry without a batch is nothing. With an
idempotency key the ids and the answer are fixed before the first of these writes, so a repeat finishes what a crash
left undone and gives the same answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
import phonenumbers

from functions.gateway import envelope
from functions.gateway.clock import Clock, Ids, derived_id, from_ms, message_id, to_ms, ulid_ms
from functions.gateway.directory import Directory
from functions.gateway.facts import MAX_BATCH, MAX_BATCH_BYTES, TABLE, Batch, Item, accepted_row
from functions.gateway.figures import Figures, labels
from functions.gateway.index import BatchIndex
from functions.gateway.models import (
    MAX_MESSAGES,
    MAX_METADATA_BYTES,
    AcceptedItem,
    MessageIn,
    ProviderState,
    Refusal,
    RefusalCode,
    SendAnswer,
    SendRequest,
)
from functions.gateway.numbers import NumberError, Recipient, alphanumeric_allowed, parse_recipient
from functions.gateway.packing import pack, unpack
from functions.gateway.problems import FieldError, Kind, ProblemError, invalid
from functions.gateway.records import ProviderRecord, SenderRecord, Snapshot
from functions.gateway.segments import Segmentation, segment, unsendable
from functions.gateway.telemetry import BATCH, BATCHES, MESSAGES, SILENT, Attributes, Telemetry
from functions.gateway.telemetry import Kind as SpanKind
from functions.storage.ports import Queues, Row, StaleError, StorageError, Tables
from functions.vendors.contract import Description, SenderType, Vendor

log = logging.getLogger("sms.accept")

IDEMPOTENCY_TABLE = "idempotency"
IDEMPOTENCY_KEPT = timedelta(hours=48)
_QUEUED, _REFUSED = "queued", "refused"
_SHARD = 2
"""Characters of the digest that name the partition: few enough that old rows are deleted many at a time."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where messages come from: a sender, its provider, and the vendor's rules."""

    sender: SenderRecord
    provider: ProviderRecord
    vendor: Vendor
    business_unit: str

    @property
    def description(self) -> Description:
        """What the vendor says of itself."""
        return self.vendor.description


@dataclass(frozen=True, slots=True)
class Wanted:
    """One message of a call, its defaults filled in, and where in the request each part stands."""

    to_at: str
    text_at: str
    metadata_at: str
    to: str
    text: str | None
    reference: str | None
    metadata: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Call:
    """A call whose ids and answer are fixed.

    Args:
        came_from: What its figures are broken down by.
    """

    batches: Sequence[Batch]
    answer: SendAnswer
    came_from: Attributes


class Acceptor:
    """Accepts messages."""

    def __init__(
        self,
        tables: Tables,
        queues: Queues,
        directory: Directory,
        index: BatchIndex,
        clock: Clock,
        ids: Ids,
        *,
        queue: str,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._telemetry = telemetry
        self._figures = Figures(telemetry)
        self._tables = tables
        self._queues = queues
        self._directory = directory
        self._index = index
        self._clock = clock
        self._ids = ids
        self._queue = queue

    async def accept(self, request: SendRequest, *, key: str | None, body: bytes) -> SendAnswer:
        """Accept a call.

        Args:
            request: What to send.
            key: The caller's idempotency key.
            body: The request as it came, to tell a repeat from another request under the same key.

        Raises:
            ProblemError: Nothing of it can be sent, or the key was used for another request.
        """
        with self._telemetry.span("accept") as span:
            call, stored = await self._accept(request, key=key, body=body)
            span.set(MESSAGES, call.answer.accepted)
            span.set(BATCHES, len(stored))
        return call.answer

    async def _accept(self, request: SendRequest, *, key: str | None, body: bytes) -> tuple[_Call, list[Batch]]:
        """Return the call, and those of its batches that were stored now and not by an earlier request."""
        seed = self._ids.new()
        if key is not None:
            earlier = await self._tables.get(IDEMPOTENCY_TABLE, *_key_place(key, request.business_unit))
            if earlier is not None and (found := self._earlier(earlier, body)) is not None:
                seed, answer = found
                if await self._stored(answer):
                    return _Call((), answer, {}), []
        call = await self._plan(request, seed)
        if not call.batches:
            self._figures.refused(call.came_from, call.answer.messages)
            raise _all_refused(call.answer)
        if key is not None:
            call = await self._claim(key, request, body, seed, call)
        await self._index.add(call.batches)
        inserted = await asyncio.gather(*(self._tables.insert(TABLE, [accepted_row(batch)]) for batch in call.batches))
        stored = [batch for batch, new in zip(call.batches, inserted, strict=True) if new]
        if stored:
            self._figures.accepted(stored)
            self._figures.refused(call.came_from, call.answer.messages)
            self._tell(call, stored)
        await asyncio.gather(*(self._put(batch) for batch in stored))
        return call, stored

    def _tell(self, call: _Call, stored: Sequence[Batch]) -> None:
        extra = dict(call.came_from) | {MESSAGES: call.answer.accepted, BATCH: stored[0].id}
        words = "Accepted %d messages and refused %d, batches %s and %d more"
        log.info(words, call.answer.accepted, call.answer.refused, stored[0].id, len(stored) - 1, extra=extra)

    async def _put(self, batch: Batch) -> None:
        with self._telemetry.span(f"queue {self._queue}", SpanKind.PRODUCER, {BATCH: batch.id}):
            message = envelope.dispatch(batch.id, due=self._clock(), trace=self._telemetry.here())
            try:
                await self._queues.put(self._queue, message)
            except StorageError:
                # It is stored, so it will be sent: a caller who heard of a failure might send it once more.
                words = "Batch %s was stored but not queued: the next sweep will find it"
                log.warning(words, batch.id, extra={BATCH: batch.id})

    async def origin(self, name: str, business_unit: str | None) -> Origin:
        """Return the active sender of this id or address.

        Raises:
            ProblemError: There is none, more than one, or it may not send.
        """
        snapshot = await self._directory.snapshot()
        sender = self._find(snapshot, name, business_unit)
        if sender is None:
            snapshot = await self._directory.snapshot(max_age=0)
            sender = self._find(snapshot, name, business_unit)
        if sender is None:
            raise invalid("/from", f"No active sender has the id or address {name!r}.")
        provider = snapshot.providers[sender.provider]
        owner = snapshot.business_unit(sender)
        if business_unit is not None and business_unit != owner:
            raise invalid("/businessUnit", "The sender belongs to another business unit.")
        if provider.state is not ProviderState.ACTIVE:
            raise invalid(
                "/from", f"Its provider {provider.name!r} is {provider.state.value}; finish or enable it first."
            )
        return Origin(sender, provider, self._directory.vendor(provider.vendor), owner)

    def _find(self, snapshot: Snapshot, name: str, business_unit: str | None) -> SenderRecord | None:
        if name in snapshot.senders:
            return snapshot.senders[name]
        found = [
            sender
            for sender in snapshot.senders.values()
            if sender.address == name
            and snapshot.providers[sender.provider].state is ProviderState.ACTIVE
            and business_unit in {None, snapshot.business_unit(sender)}
        ]
        if len(found) > 1:
            ids = ", ".join(sorted(sender.id for sender in found))
            raise invalid("/from", f"More than one active sender has this address; name one by its id: {ids}.")
        return found[0] if found else None

    async def _plan(self, request: SendRequest, seed: str) -> _Call:
        wanted = _wanted(request)
        origin = await self.origin(request.sender, request.business_unit)
        checked = [_check(message, origin) for message in wanted]
        created = from_ms(ulid_ms(seed))
        _check_validity(request, origin)
        groups, trace = _groups(checked), self._telemetry.here()
        batches = [
            Batch(
                id=derived_id(seed, number),
                provider=origin.provider.id,
                vendor=origin.provider.vendor,
                sender_id=origin.sender.id,
                sender=origin.sender.sender,
                business_unit=origin.business_unit,
                category=request.category,
                created=created,
                validity=request.validity_period,
                items=tuple(item for _, item in group),
                trace=trace,
            )
            for number, group in enumerate(groups)
        ]
        ids = {
            place: message_id(batch.id, index)
            for batch, group in zip(batches, groups, strict=True)
            for index, (place, _) in enumerate(group)
        }
        items = [
            _answer_item(place, message, found, warnings, ids.get(place))
            for place, (message, (found, warnings)) in enumerate(zip(wanted, checked, strict=True))
        ]
        accepted = sum(item.status == _QUEUED for item in items)
        came_from = labels(origin.provider.vendor, origin.provider.id, origin.sender.id, request.category)
        answer = SendAnswer(accepted=accepted, refused=len(items) - accepted, messages=items)
        return _Call(batches, answer, came_from)

    async def _claim(self, key: str, request: SendRequest, body: bytes, seed: str, call: _Call) -> _Call:
        """Fix the ids and the answer under the key; when another request did so first, take its own."""
        partition, row_key = _key_place(key, request.business_unit)
        row = Row(
            partition,
            row_key,
            {
                "body": _digest(body),
                "seed": seed,
                "created": to_ms(self._clock()),
                **pack(call.answer.model_dump(mode="json", by_alias=True, exclude_none=True)),
            },
        )
        if await self._tables.insert(IDEMPOTENCY_TABLE, [row]):
            return call
        earlier = await self._tables.get(IDEMPOTENCY_TABLE, partition, row_key)
        found = self._earlier(earlier, body) if earlier is not None else None
        if found is None:
            if earlier is not None:
                with suppress(StaleError):
                    await self._tables.delete(IDEMPOTENCY_TABLE, partition, row_key, etag=earlier.etag)
            return await self._claim(key, request, body, seed, call)
        if found[0] == seed:
            return call
        return await self._plan(request, found[0])

    def _earlier(self, row: Row, body: bytes) -> tuple[str, SendAnswer] | None:
        """Return the seed and the answer of an earlier request, or ``None`` when it is too old to count."""
        values: Mapping[str, Any] = row.values
        if from_ms(values["created"]) + IDEMPOTENCY_KEPT < self._clock():
            return None
        if values["body"] != _digest(body):
            raise ProblemError(
                Kind.KEY_REUSED,
                "This Idempotency-Key was used for another request. Repeat that request unchanged, or use a new key.",
                [FieldError("Idempotency-Key", "Used before with another body.")],
            )
        return values["seed"], SendAnswer.model_validate(unpack(values))

    async def _stored(self, answer: SendAnswer) -> bool:
        """Tell whether all batches of an answer are stored, so that nothing is left to finish."""
        batches = {item.id.rpartition("-")[0] for item in answer.messages if item.id}
        rows = await asyncio.gather(*(self._tables.get(TABLE, batch, "accepted") for batch in batches))
        return all(row is not None for row in rows)


def _key_place(key: str, business_unit: str | None) -> tuple[str, str]:
    digest = hashlib.blake2b(f"{business_unit or ''}\0{key}".encode(), digest_size=16).hexdigest()
    return digest[:_SHARD], digest


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _wanted(request: SendRequest) -> list[Wanted]:
    """Return the messages of a call with the call's defaults filled in."""
    if (request.to is None) == (request.messages is None):
        raise invalid("/to", "Give either `to` or `messages`.")
    if request.messages is not None:
        found = [(f"/messages/{place}", f"/messages/{place}/to", one) for place, one in enumerate(request.messages)]
        where = "/messages"
    elif isinstance(request.to, str):
        found, where = [("", "/to", MessageIn(to=request.to))], "/to"
    else:
        found = [("", f"/to/{place}", MessageIn(to=number)) for place, number in enumerate(request.to or [])]
        where = "/to"
    if not 1 <= len(found) <= MAX_MESSAGES:
        raise invalid(where, f"A call takes 1 to {MAX_MESSAGES} messages; this one has {len(found)}.")
    return [
        Wanted(
            to_at=to_at,
            text_at="/text" if message.text is None and request.text is not None else f"{at}/text",
            metadata_at="/metadata" if message.metadata is None else f"{at}/metadata",
            to=message.to,
            text=message.text or request.text,
            reference=message.reference or request.reference,
            metadata=message.metadata if message.metadata is not None else request.metadata,
        )
        for at, to_at, message in found
    ]


def _check_validity(request: SendRequest, origin: Origin) -> None:
    limits = origin.description.capabilities.validity
    if request.validity_period is not None and limits and request.validity_period < limits[0]:
        raise invalid("/validityPeriod", f"{origin.description.title} takes {limits[0]} seconds or more.")


def _check(message: Wanted, origin: Origin) -> tuple[Item | Refusal, list[str]]:
    """Return the message as it will be sent with warnings, or why it cannot be."""
    try:
        recipient = parse_recipient(message.to)
    except NumberError as error:
        return Refusal(code=RefusalCode.INVALID_RECIPIENT, field=message.to_at, detail=str(error)), []
    if origin.sender.type is SenderType.ALPHANUMERIC and not alphanumeric_allowed(recipient):
        detail = "Alphanumeric senders are not allowed in this recipient's country; use a number."
        return Refusal(code=RefusalCode.SENDER_NOT_ALLOWED, field=message.to_at, detail=detail), []
    rule = origin.description.sender_rule(origin.sender.type)
    if rule and rule.countries and not _reaches(rule.countries, recipient):
        detail = f"{origin.description.title} reaches {', '.join(rule.countries)} alone from this kind of sender."
        return Refusal(code=RefusalCode.SENDER_NOT_ALLOWED, field=message.to_at, detail=detail), []
    found, problem = check_text(message.text or "", origin)
    if found is None:
        return Refusal(code=RefusalCode.INVALID_TEXT, field=message.text_at, detail=problem), []
    if message.metadata is not None and len(orjson.dumps(message.metadata)) > MAX_METADATA_BYTES:
        detail = f"Metadata is at most {MAX_METADATA_BYTES} bytes of JSON."
        return Refusal(code=RefusalCode.INVALID_METADATA, field=message.metadata_at, detail=detail), []
    item = Item(
        recipient.number,
        message.text or "",
        found.segments,
        found.encoding.value,
        message.reference,
        message.metadata,
    )
    return item, [warning.value for warning in recipient.warnings]


def _reaches(countries: Sequence[str], recipient: Recipient) -> bool:
    """Tell whether a recipient is in one of the countries, or in one that its digits do not tell apart from them."""
    if recipient.region in {None, *countries}:
        return recipient.country_code in {phonenumbers.country_code_for_region(country) for country in countries}
    return False


def check_text(text: str, origin: Origin | None) -> tuple[Segmentation | None, str]:
    """Return how a text is encoded, or ``None`` and why it cannot be sent.

    Args:
        text: The text.
        origin: Where it would come from, to check it against the vendor's limits; ``None`` for any vendor.
    """
    if not text:
        return None, "The text is missing or empty."
    if bad := unsendable(text):
        return None, f"The text contains {bad[0].name} ({bad[0].code_point}), which no phone can show; take it out."
    if origin is not None:
        longest, title = origin.description.capabilities.max_text_length, origin.description.title
        if len(text) > longest:
            return None, f"{title} takes at most {longest} characters; this text has {len(text)}."
        if objection := origin.vendor.text_objection(text, origin.provider.settings):
            return None, objection
    return segment(text), ""


def _groups(checked: Sequence[tuple[Item | Refusal, list[str]]]) -> list[list[tuple[int, Item]]]:
    """Fill batches in order; a recipient occurs once in a batch, so its second message goes to a later one."""
    groups: list[list[tuple[int, Item]]] = []
    sizes: list[int] = []
    next_for: dict[str, int] = {}
    for place, (item, _) in enumerate(checked):
        if isinstance(item, Refusal):
            continue
        size = len(item.text.encode()) + (len(orjson.dumps(item.metadata)) if item.metadata else 0) + 300
        at = next_for.get(item.to, 0)
        while at < len(groups) and (len(groups[at]) >= MAX_BATCH or sizes[at] + size > MAX_BATCH_BYTES):
            at += 1
        if at == len(groups):
            groups.append([])
            sizes.append(0)
        groups[at].append((place, item))
        sizes[at] += size
        next_for[item.to] = at + 1
    return groups


def _answer_item(
    place: int, message: Wanted, found: Item | Refusal, warnings: list[str], identity: str | None
) -> AcceptedItem:
    if isinstance(found, Refusal):
        return AcceptedItem(index=place, to=message.to, status=_REFUSED, reference=message.reference, refusal=found)
    return AcceptedItem(
        index=place,
        id=identity,
        to=found.to,
        status=_QUEUED,
        segments=found.segments,
        encoding=found.encoding,
        reference=found.reference,
        warnings=warnings,
    )


def _all_refused(answer: SendAnswer) -> ProblemError:
    errors = [FieldError(item.refusal.field, item.refusal.detail) for item in answer.messages if item.refusal]
    return ProblemError(
        Kind.INVALID,
        "None of the messages can be sent; see errors.",
        errors[:100],
        {
            "messages": [
                item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in answer.messages[:100]
            ]
        },
    )
