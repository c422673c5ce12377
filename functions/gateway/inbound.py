"""Takes what people send: keeps it once, and acts on STOP and START."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from functions.gateway.clock import Clock, Ids, bucket, from_ms, newest_first, to_ms, ulid_ms
from functions.gateway.consent import Entry, OptOuts
from functions.gateway.directory import Directory
from functions.gateway.keywords import KeywordKind, classify
from functions.gateway.models import InboundPage, InboundView
from functions.gateway.numbers import normalise_inbound
from functions.gateway.paging import read_place, write_place
from functions.gateway.records import SenderRecord, Snapshot
from functions.gateway.slices import in_slices
from functions.gateway.storable import fit_raw, fit_text, raw_text
from functions.gateway.telemetry import INBOUND, PROVIDER, REASON, SENDER, SILENT, VENDOR, Telemetry
from functions.gateway.walking import newest_rows
from functions.storage.ports import Row, Tables
from functions.vendors.contract import InboundText

log = logging.getLogger("sms.inbound")

TABLE = "inbound"
SEEN_TABLE = "inboundseen"
DEFAULT_SPAN = timedelta(days=30)
_SHARD = 2
_KEYWORD_WITHIN = 1_000
"""Characters; to bring tens of thousands of accents into order would keep all else waiting for seconds."""
_KINDS = {kind.value: kind for kind in KeywordKind}


class Inbound:
    """Keeps inbound messages and lists them."""

    def __init__(
        self,
        tables: Tables,
        directory: Directory,
        opt_outs: OptOuts,
        clock: Clock,
        ids: Ids,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._telemetry = telemetry
        self._tables = tables
        self._directory = directory
        self._opt_outs = opt_outs
        self._clock = clock
        self._ids = ids

    async def take(self, texts: Iterable[InboundText], *, vendor: str, provider: str | None) -> None:
        """Keep inbound texts; one that was seen before changes nothing.

        When this returns, all of it is stored.

        Args:
            texts: What came.
            vendor: Through whom.
            provider: The provider that the callback authenticated as; ``None`` for events, which name none.
        """
        await in_slices(texts, lambda text: self._take(text, vendor, provider))

    async def _take(self, text: InboundText, vendor: str, provider: str | None) -> None:
        """Keep one text. The opt-out is written before the text, so that a text that is there was acted upon."""
        # What a repeat is told by is the whole of it, also where less is kept.
        whole_id, text = text.vendor_id, fit_text(text)
        person, address = normalise_inbound(text.sender), normalise_inbound(text.recipient)
        snapshot = await self._directory.snapshot()
        sender = _our_sender(snapshot, text, address, vendor, provider)
        if sender is None:
            snapshot = await self._directory.snapshot(max_age=1)
            sender = _our_sender(snapshot, text, address, vendor, provider)
        owner = provider or (sender.provider if sender else "")
        identity = await self._first_seen(f"{vendor}|{owner}|{whole_id}")
        received = from_ms(ulid_ms(identity))
        keyword = classify(text.text.strip()[:_KEYWORD_WITHIN])
        kind = _KINDS.get(text.consent) or keyword.kind
        if kind in {KeywordKind.STOP, KeywordKind.START}:
            at = min(text.at, received) if text.at else received
            await self._opt_outs.record(
                Entry(
                    person,
                    address,
                    opted_out=kind is KeywordKind.STOP,
                    at=at,
                    source="keyword",
                    note=keyword.word or text.consent,
                )
            )
        record = snapshot.providers.get(owner)
        business_unit = snapshot.business_unit(sender) if sender else (record.business_unit if record else "")
        values = {
            "id": identity,
            "from": person,
            "to": address,
            "provider": owner,
            "businessUnit": business_unit,
            "text": text.text,
            "keyword": kind.value if kind else "",
            "possibleOptOut": kind is None and keyword.possible_opt_out,
            "received": to_ms(received),
            "at": to_ms(text.at) if text.at else 0,
            "vendorId": text.vendor_id,
            "raw": fit_raw(raw_text(text.raw)),
        }
        milliseconds = to_ms(received)
        row = Row(bucket(milliseconds), newest_first(milliseconds, identity), values)
        if row.key in await self._tables.insert(TABLE, [row]):
            word = kind.value if kind else ""
            told = {VENDOR: vendor, PROVIDER: owner, SENDER: sender.id if sender else "", REASON: word}
            self._telemetry.count(INBOUND, told)
            log.info("A reply from %s was stored: %s", self._telemetry.number(person), word or "text", extra=told)

    async def _first_seen(self, name: str) -> str:
        """Return the id under which a text was first seen; a repeat, however late, finds the same."""
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        identity = self._ids.new()
        row = Row(digest[:_SHARD], digest, {"id": identity})
        if row.key in await self._tables.insert(SEEN_TABLE, [row]):
            return identity
        seen = await self._tables.get(SEEN_TABLE, row.partition, row.key)
        return str(seen.values["id"]) if seen else identity

    async def page(
        self,
        *,
        limit: int,
        cursor: str | None,
        business_unit: str | None = None,
        sender: str | None = None,
        number: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> InboundPage:
        """Return inbound messages, newest first.

        Args:
            limit: The most to return.
            cursor: Where the page before ended.
            business_unit: Who owns the sender that was written to.
            sender: The address that was written to.
            number: Who wrote.
            since: The earliest moment; 30 days ago if left out.
            until: The latest; now if left out.
        """
        now = self._clock()
        since, until = since or now - DEFAULT_SPAN, until or now + timedelta(seconds=1)
        first, last = bucket(to_ms(until)), bucket(to_ms(since))
        items: list[InboundView] = []
        place: tuple[str, str] | None = None
        after = read_place(cursor) if cursor else None
        async for row in newest_rows(self._tables, TABLE, first=first, last=last, after=after):
            view = _view(row)
            wanted = (
                since <= view.received_at < until
                and business_unit in {None, view.business_unit}
                and sender in {None, view.to}
                and number in {None, view.sender}
            )
            if not wanted:
                continue
            if len(items) == limit and place is not None:
                return InboundPage(items=items, next=write_place(*place))
            items.append(view)
            place = (row.partition, row.key)
        return InboundPage(items=items, next=None)


def _our_sender(
    snapshot: Snapshot, text: InboundText, address: str, vendor: str, provider: str | None
) -> SenderRecord | None:
    """Return the sender that was written to: of the provider that is named, else of the account that is."""
    found = [
        sender
        for sender in snapshot.senders.values()
        if sender.address == address
        and snapshot.providers[sender.provider].vendor == vendor
        and provider in {None, sender.provider}
    ]
    named = [sender for sender in found if text.account and snapshot.providers[sender.provider].account == text.account]
    return next(iter(named or found), None)


def _view(row: Row) -> InboundView:
    values: Mapping[str, Any] = row.values
    return InboundView(
        id=values["id"],
        sender=values["from"],
        to=values["to"],
        provider=values["provider"] or None,
        business_unit=values["businessUnit"],
        text=values["text"],
        keyword=values["keyword"] or None,
        possible_opt_out=values["possibleOptOut"],
        received_at=from_ms(values["received"]),
        vendor_time=from_ms(values["at"]) if values["at"] else None,
        vendor_id=values["vendorId"],
    )
