"""Reads messages: one with its time line, or lists by filter, newest first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from functions.gateway.clock import Clock, from_ms, message_id, split_message_id, to_ms
from functions.gateway.erasing import ERASED
from functions.gateway.facts import TABLE, Facts, read_facts
from functions.gateway.index import BatchIndex, IndexEntry, recipient_mark, reference_mark
from functions.gateway.models import MessagePage, MessageSummary, MessageView
from functions.gateway.paging import bad_cursor, check_place, read_cursor, write_cursor
from functions.gateway.problems import not_found
from functions.gateway.states import FINAL
from functions.gateway.story import standing, timeline
from functions.storage.ports import Tables
from functions.vendors.contract import State

DEFAULT_SPAN = timedelta(days=30)
_READ_AHEAD = 16


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Which messages to list; what is left out does not matter.

    Args:
        sender: A sender's id or address.
        recipient: E.164 with plus.
        status: The present state.
        business_unit: Who owns the sender.
        reference: The caller's own name for it.
        since: The earliest moment of acceptance; 30 days ago if left out.
        until: The latest; now if left out.
    """

    sender: str | None = None
    recipient: str | None = None
    status: State | None = None
    business_unit: str | None = None
    reference: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def may_match(self, entry: IndexEntry) -> bool:
        """Tell whether a batch may hold a message that is wanted."""
        return (
            (self.business_unit is None or self.business_unit == entry.business_unit)
            and (self.recipient is None or entry.may_have(recipient_mark(self.recipient)))
            and (self.reference is None or entry.may_have(reference_mark(self.reference)))
        )

    def matches(self, message: MessageSummary, sender_id: str) -> bool:
        """Tell whether a message is wanted."""
        return (
            self.sender in {None, message.sender, sender_id}
            and self.recipient in {None, message.to}
            and self.status in {None, message.status}
            and self.reference in {None, message.reference}
        )


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Where a page ended: the span that is listed, the batch and the place in it."""

    since: datetime
    until: datetime
    partition: str
    key: str
    index: int

    def text(self) -> str:
        return write_cursor(to_ms(self.since), to_ms(self.until), self.partition, self.key, self.index)

    @classmethod
    def read(cls, text: str) -> _Cursor:
        since, until, partition, key, index = read_cursor(text, (int, int, str, str, int))
        check_place(partition, key)
        try:
            return cls(from_ms(since), from_ms(until), partition, key, index)
        except (ValueError, OverflowError, OSError) as error:
            raise bad_cursor() from error


class MessageLog:
    """Reads what is known of messages."""

    def __init__(self, tables: Tables, index: BatchIndex, clock: Clock) -> None:
        self._tables = tables
        self._index = index
        self._clock = clock

    async def facts(self, batch: str) -> Facts | None:
        """Return all that is known of a batch."""
        return read_facts([row async for row in self._tables.query(TABLE, batch)])

    async def message(self, identity: str) -> MessageView:
        """Return a message with its time line.

        Raises:
            ProblemError: There is none.
        """
        place = split_message_id(identity)
        facts = await self.facts(place[0]) if place else None
        if place is None or facts is None or place[1] >= len(facts.batch.items):
            raise not_found("message", identity)
        index = place[1]
        summary, where = summarise(facts, index), standing(facts, index)
        item = facts.batch.items[index]
        return MessageView(
            **dict(summary),
            text=item.text,
            metadata=dict(item.metadata) if item.metadata is not None else None,
            vendor=facts.batch.vendor,
            vendor_id=where.vendor_id or None,
            expires_at=facts.batch.expires,
            corrected=where.corrected,
            trace_id=facts.batch.trace.id or None,
            timeline=timeline(facts, index),
        )

    async def page(self, wanted: MessageFilter, *, limit: int, cursor: str | None) -> MessagePage:
        """Return messages, newest first.

        Args:
            wanted: Which.
            limit: The most to return.
            cursor: Where the page before ended.
        """
        now = self._clock()
        here = _Cursor.read(cursor) if cursor else None
        since = here.since if here else wanted.since or now - DEFAULT_SPAN
        until = here.until if here else wanted.until or now + timedelta(seconds=1)
        # All but the last character of a key sorts just before it, so the page goes on within the batch it ended in.
        after = (here.partition, here.key[:-1]) if here else None
        items: list[MessageSummary] = []
        last: tuple[IndexEntry, int] | None = None
        async for entry, messages in self._matching(wanted, since, until, after):
            for message in messages:
                index = (split_message_id(message.id) or ("", 0))[1]
                if here and entry.row.key == here.key and index <= here.index:
                    continue
                if len(items) == limit and last is not None:
                    row = last[0].row
                    return MessagePage(items=items, next=_Cursor(since, until, row.partition, row.key, last[1]).text())
                items.append(message)
                last = (entry, index)
        return MessagePage(items=items, next=None)

    async def vendor_ids(self, recipient: str, *, since: datetime, batch: str) -> frozenset[str]:
        """Return the vendor's ids of messages to a recipient in other batches, sent at about that time or later."""
        ids = set()
        entries = self._index.newest(since=since - timedelta(hours=1), until=self._clock() + timedelta(seconds=1))
        async for entry in entries:
            # Of a message that was erased nobody knows any more that it was not to this recipient.
            if entry.batch == batch or not any(entry.may_have(recipient_mark(to)) for to in (recipient, ERASED)):
                continue
            facts = await self.facts(entry.batch)
            for place, item in enumerate(facts.batch.items if facts else ()):
                if facts is not None and item.to in {recipient, ERASED} and (known := standing(facts, place).vendor_id):
                    ids.add(known)
        return frozenset(ids)

    async def in_flight(self, provider: str, window: timedelta, enough: int = 100) -> int:
        """Return how many of a provider's messages have no final state yet; counting stops at ``enough``."""
        now = self._clock()
        count = 0
        async for entry in self._index.newest(since=now - window, until=now + timedelta(seconds=1)):
            if entry.provider == provider and not entry.closed:
                count += sum(message.status not in FINAL for message in await self._messages(entry))
            if count >= enough:
                break
        return count

    async def _matching(
        self, wanted: MessageFilter, since: datetime, until: datetime, after: tuple[str, str] | None
    ) -> AsyncIterator[tuple[IndexEntry, list[MessageSummary]]]:
        """Yield batches with those of their messages that are wanted, opening several at a time."""
        waiting: list[IndexEntry] = []

        async def flush() -> list[tuple[IndexEntry, list[MessageSummary]]]:
            found = await asyncio.gather(*(self._messages(entry) for entry in waiting))
            pairs = [
                (entry, [message for message in messages if wanted.matches(message, entry.sender)])
                for entry, messages in zip(waiting, found, strict=True)
            ]
            waiting.clear()
            return pairs

        async for entry in self._index.newest(since=since, until=until, after=after):
            if wanted.may_match(entry):
                waiting.append(entry)
            if len(waiting) == _READ_AHEAD:
                for pair in await flush():
                    yield pair
        for pair in await flush():
            yield pair

    async def _messages(self, entry: IndexEntry) -> list[MessageSummary]:
        if (known := entry.messages) is not None:
            return known
        facts = await self.facts(entry.batch)
        return [summarise(facts, index) for index in range(len(facts.batch.items))] if facts else []


def summarise(facts: Facts, index: int) -> MessageSummary:
    """Return a message as a list shows it."""
    batch, item, where = facts.batch, facts.batch.items[index], standing(facts, index)
    return MessageSummary(
        id=message_id(batch.id, index),
        to=item.to,
        sender=batch.sender.address,
        provider=batch.provider,
        business_unit=batch.business_unit,
        status=where.state,
        reason=where.reason,
        category=batch.category,
        segments=item.segments,
        encoding=item.encoding,
        reference=item.reference,
        created_at=batch.created,
        updated_at=where.updated,
    )
