"""A store full of people: messages in every state, replies, answers kept for repeats, and what was set aside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from functions import app as composition
from functions.gateway.accept import IDEMPOTENCY_TABLE
from functions.gateway.clock import Ids, message_id, split_message_id
from functions.gateway.facts import OUR_OWN, TABLE, Attempt, Batch, Item, accepted_row, outcome_row, sending_row
from functions.gateway.messagelog import MessageFilter
from functions.gateway.packing import pack, unpack
from functions.settings import read_settings
from functions.storage.counting import CountingTables
from functions.storage.ports import Row, Storage, StorageError
from functions.vendors.contract import (
    Accepted,
    Category,
    DeliveryReport,
    InboundText,
    Outcome,
    Reason,
    Refused,
    Retry,
    Sender,
    SenderType,
    SetAside,
    State,
    Unknown,
)

SENDER = "+18885550100"
PROVIDER = "01kb3v9r2m8q4t6w0x5y7z1a2b"
TABLES = (
    *("batches", "batchindex", "inbound", "inboundseen", "idempotency", "setaside", "vendorids"),
    *("optouts", "erasures", "upkeep", "readiness"),
)
WHOLE = MessageFilter()


def build(storage: Storage, clock, **changed: str) -> composition.Application:
    """Put a gateway together over a store; nothing runs by itself."""
    environment = {"SMS_STORAGE": "embedded", "SMS_PUBLIC_URL": "https://sms.example.com"} | changed
    return composition.build(read_settings(environment), storage, clock=clock)


def text_to(number: str) -> str:
    """Return a text that nobody else gets."""
    return f"Dear {number[::-1]}, your secret is safe"


@dataclass
class World:
    """Fills a store by the gateway's own means, as if vendors had answered."""

    app: composition.Application
    clock: Any

    @property
    def tables(self):
        return self.app.storage.tables

    async def batch(
        self, numbers: Sequence[str], *, tried: bool = True, reported: Collection[int] | None = None, close: bool = True
    ) -> str:
        """Make a batch to these numbers: accepted, refused with the vendor's words, unanswered, and refused by us.

        Args:
            numbers: The recipients.
            tried: Whether it was dispatched.
            reported: Which of those that were not refused have reports; all of them if left out.
            close: Whether it was summed up.
        """
        items = tuple(
            Item(to, text_to(to), 2, "GSM-7", reference=f"ref of {to}", metadata={"name": f"about {to}"})
            for to in numbers
        )
        batch = Batch(
            id=Ids(self.clock).new(),
            provider=PROVIDER,
            vendor="twilio",
            sender_id="snd-1",
            sender=Sender(SenderType.TOLL_FREE, SENDER),
            business_unit="retail",
            category=Category.MARKETING,
            created=self.clock(),
            validity=3600,
            items=items,
        )
        await self.app.messages._index.add([batch])
        await self.tables.insert(TABLE, [accepted_row(batch)])
        if tried:
            attempt = Attempt(1, lookup=False, started=self.clock(), lease=120.0, indices=tuple(range(len(items))))
            outcomes = {index: _outcome(index, item.to) for index, item in enumerate(items)}
            await self.tables.insert(TABLE, [sending_row(batch.id, attempt)])
            await self.tables.insert(TABLE, [outcome_row(batch.id, 1, outcomes, self.clock())])
            told = range(len(items)) if reported is None else reported
            await asyncio.gather(
                *(
                    self.report(message_id(batch.id, index), items[index].to, State.DELIVERED)
                    for index in told
                    if index % 4 not in {1, 3}
                )
            )
        if close:
            await self.app.sweeper._closer.close(batch.id)
        return batch.id

    async def report(self, message: str, number: str, state: State, *, by_batch: bool = False) -> None:
        """Let the vendor report on a message, with the number and the text in all places where they may be."""
        await self.app.callbacks._reports.take(
            [report(message, number, state, by_batch=by_batch)], vendor="twilio", provider=PROVIDER
        )

    async def reply(self, number: str, text: str = "STOP") -> None:
        """Let a person write."""
        said = InboundText(
            vendor_id=f"in-{text_to(number)[:8]}-{self.clock().timestamp()}-{text}",
            sender=number,
            recipient=SENDER,
            text=text,
            raw={"From": number, "Body": text},
        )
        await self.app.inbound.take([said], vendor="twilio", provider=PROVIDER)

    async def set_aside(self, raw: str, why: str = "It fits no message of this provider.") -> None:
        """Set something aside."""
        await self.app.callbacks._reports.set_aside([SetAside(why, raw)], vendor="twilio")

    async def answer(self, key: str, numbers: Sequence[str]) -> None:
        """Keep the answer of a call for its repeats."""
        messages = [
            {
                "index": place,
                "id": f"{key}-{place}",
                "to": to,
                "status": "queued",
                "reference": f"ref of {to}",
                "warnings": [],
            }
            for place, to in enumerate(numbers)
        ]
        answer = {"accepted": len(numbers), "refused": 0, "messages": messages}
        values = {"body": "0" * 64, "seed": Ids(self.clock).new(), "created": int(self.clock().timestamp() * 1000)}
        await self.tables.insert(IDEMPOTENCY_TABLE, [Row(key[:2], key, values | pack(answer))])

    async def rows(self, *tables: str) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Return everything that is stored by table, partition and key, packed documents unpacked."""
        return {
            (table, row.partition, row.key): plain(row)
            for table in tables or TABLES
            async for row in self.tables.scan(table, first="!", last="~")
        }

    async def dump(self) -> str:
        """Return everything that is stored as one text."""
        return json.dumps([[list(place), values] for place, values in (await self.rows()).items()], default=repr)

    async def messages(self) -> dict[str, dict[str, Any]]:
        """Return every message with its time line, by id."""
        found, cursor = {}, None
        while True:
            page = await self.app.messages.page(WHOLE, limit=100, cursor=cursor)
            for item in page.items:
                found[item.id] = (await self.app.messages.message(item.id)).model_dump()
                assert {name: found[item.id][name] for name in item.model_dump()} == item.model_dump()
            cursor = page.next
            if cursor is None:
                return found

    async def erase(self, number: str, **options: Any) -> str:
        """Ask for a person to be erased, and let the work be done; return the id of the request."""
        asked = await self.app.erasures.request(number, keep_opt_outs=options.get("keep", True))
        self.clock.advance(121)
        assert await self.app.erasures.carry_on() == 1
        return asked.id

    def batches_of(self, messages: Collection[str]) -> set[str]:
        """Return the batches of messages."""
        return {split_message_id(identity)[0] for identity in messages}


def report(message: str, number: str, state: State, *, by_batch: bool = False) -> DeliveryReport:
    """Return a report that says number and text wherever it can."""
    batch, place = split_message_id(message)
    return DeliveryReport(
        state=state,
        vendor_id=f"SM{batch}{place}",
        message="" if by_batch else message,
        batch=batch if by_batch else "",
        recipient=number,
        reason=Reason.UNREACHABLE if state is State.UNDELIVERED else None,
        code="30003",
        status=state.value,
        detail=f"The phone {number} said: {text_to(number)}",
        raw={"To": number, "Body": text_to(number)},
    )


def _outcome(index: int, number: str) -> Outcome:
    said = f"{number} was told: {text_to(number)}"
    return (
        Accepted(f"SM{index}"),
        Refused(Reason.INVALID_RECIPIENT, Retry.NEVER, None, "21211", said),
        Unknown(said, "11200"),
        Refused(Reason.OPTED_OUT, code=OUR_OWN, detail="On the gateway's opt-out list."),
    )[index % 4]


def plain(row: Row) -> dict[str, Any]:
    """Return a row's values with what is packed unpacked."""
    values = dict(row.values)
    if "p0" in values:
        document = unpack(values)
        values = {name: value for name, value in values.items() if not (name[0] == "p" and name[1:].isdecimal())}
        values["packed"] = document
    return values


class CrashError(Exception):
    """The process was killed."""


class Crashing(CountingTables):
    """Tables that work until a number of writes was done, and from then on are those of a dead process.

    Args:
        tables: What does the work.
        writes: How many writes go through.
        lost: Whether the write at which it dies is still done.
    """

    def __init__(self, tables: Any, writes: int, *, lost: bool = False) -> None:
        self._tables = tables
        self.left = writes
        self._lost = lost
        for name in ("insert", "replace", "change", "delete"):
            setattr(self, name, self._counted(getattr(tables, name)))
        self.get, self.query, self.scan = tables.get, tables.query, tables.scan

    def _counted(self, write):
        async def counted(*args, **options):
            self.left -= 1
            if self.left < 0:
                if self._lost and self.left == -1:
                    await write(*args, **options)
                raise CrashError
            return await write(*args, **options)

        return counted


def crashing(storage: Storage, writes: int, *, lost: bool = False) -> Storage:
    """Return the storage as a process sees it that is killed after some writes."""
    return Storage(Crashing(storage.tables, writes, lost=lost), storage.queues, storage.secrets)


def since(moment: datetime, **ago: float) -> datetime:
    """Return the moment that long ago."""
    return moment - timedelta(**ago)


__all__ = ["CrashError", "StorageError", "World", "build", "crashing", "plain", "report", "since", "text_to"]
