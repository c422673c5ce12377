"""Takes delivery reports: finds the message, checks that the report may speak of it, and appends it to the log."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from functions.gateway.clock import Clock, bucket, is_ulid, message_id, split_message_id, to_ms
from functions.gateway.closing import Closer
from functions.gateway.commit import GroupCommit
from functions.gateway.consent import Entry, OptOuts
from functions.gateway.erasing import ERASED
from functions.gateway.facts import ACCEPTED, TABLE, batch_of, delivered_parts, report_row
from functions.gateway.figures import Figures, labels_of, log_bad_end
from functions.gateway.keeping import Kept, is_over
from functions.gateway.numbers import normalise_inbound
from functions.gateway.slices import in_slices
from functions.gateway.states import FINAL
from functions.gateway.storable import fit_aside, fit_name, raw_text
from functions.gateway.telemetry import SET_ASIDE, SILENT, VENDOR, Attributes, Telemetry, Trace
from functions.gateway.timing import Timing
from functions.gateway.vendorids import VendorIds
from functions.storage.ports import Row, Tables, Value
from functions.vendors.contract import DeliveryReport, Reason, SetAside, State

log = logging.getLogger("sms.reports")

SET_ASIDE_TABLE = "setaside"
_KEPT_BATCHES = 512


@dataclass(frozen=True, slots=True)
class _Head:
    """What a report is checked against, and what its figures are broken down by.

    Args:
        told: What this process counted of the messages, by their places.
    """

    provider: str
    vendor: str
    sender: str
    recipients: tuple[str, ...]
    created: datetime
    labels: Attributes
    trace: Trace
    told: dict[int, State] = field(default_factory=dict)

    def is_of(self, place: int, recipient: str) -> bool:
        """Tell whether a report that names this recipient, or none, may be of the message at this place."""
        return place < len(self.recipients) and (
            recipient in {"", self.recipients[place]} or self.recipients[place] == ERASED
        )


class Reports:
    """Appends delivery reports to the log."""

    def __init__(
        self,
        tables: Tables,
        commit: GroupCommit,
        vendor_ids: VendorIds,
        opt_outs: OptOuts,
        closer: Closer,
        clock: Clock,
        timing: Timing,
        kept: Kept,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._telemetry = telemetry
        self._figures = Figures(telemetry)
        self._tables = tables
        self._kept = kept
        self._vendor_ids = vendor_ids
        self._commit = commit
        self._opt_outs = opt_outs
        self._closer = closer
        self._never_closed_before = timing.never_closed_before
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._reading: dict[str, asyncio.Task[_Head | None]] = {}
        self._clock = clock
        self._heads: OrderedDict[str, _Head] = OrderedDict()

    async def take(self, reports: Iterable[DeliveryReport], *, vendor: str, provider: str | None) -> None:
        """Append reports; those that fit no message of this vendor and provider are set aside.

        When this returns, all of it is stored.

        Args:
            reports: What the vendor said.
            vendor: Who said it.
            provider: The provider that the callback authenticated as; ``None`` for events, which name no provider.
        """
        await in_slices(reports, lambda report: self._take(report, vendor, provider))

    async def named(self, reports: Iterable[DeliveryReport], provider: str) -> list[DeliveryReport]:
        """Return reports that carry only the vendor's own ids with the messages that those belong to."""
        reports = list(reports)
        messages = await self._vendor_ids.messages(provider, {report.vendor_id for report in reports})
        return [replace(report, message=report.message or messages.get(report.vendor_id, "")) for report in reports]

    async def _take(self, report: DeliveryReport, vendor: str, provider: str | None) -> None:
        batch, index = _named(report)
        received = self._clock()
        head = await self._head(batch) if batch else None
        if head is not None and is_over(self._kept.messages, head.created, received):
            head = None
        recipient = normalise_inbound(report.recipient) if report.recipient else ""
        if head is not None and index is None and recipient in head.recipients:
            index = head.recipients.index(recipient)
        fits = (
            head is not None
            and index is not None
            and head.is_of(index, recipient)
            and head.vendor == vendor
            and provider in {None, head.provider}
        )
        if head is None or index is None or not fits:
            await self._set_aside_report(report, head, vendor)
            return
        self._telemetry.link(head.trace)
        erased = head.recipients[index] == ERASED
        if erased or is_over(self._kept.raw, head.created, received):
            report = replace(report, raw={}, detail="" if erased else report.detail)
        new = await self._commit.insert(TABLE, report_row(batch, index, report, received))
        if report.reason is Reason.OPTED_OUT and not erased:
            # The moment of the send that was refused, not of the report: a START since then must hold.
            await self._opt_outs.record(
                Entry(
                    head.recipients[index],
                    head.sender,
                    opted_out=True,
                    at=head.created,
                    source="vendor",
                    note=fit_name(report.code),
                )
            )
        if new:
            await self._count(head, batch, index, report, received)
        # Of a repeat too: the process that took the first may have died before it looked.
        if self._clock() - head.created > self._never_closed_before:
            await self._sum_up_again(batch)

    async def _set_aside_report(self, report: DeliveryReport, head: _Head | None, vendor: str) -> None:
        if head is not None and ERASED in head.recipients:
            # It may be of the person who was erased, and then must not come back this way.
            await self.set_aside([SetAside("It names a batch of which somebody was erased.", "")], vendor=vendor)
            return
        aside = SetAside("It fits no message of this provider.", raw_text(report.raw))
        await self.set_aside([aside], vendor=vendor)

    async def _count(self, head: _Head, batch: str, index: int, report: DeliveryReport, received: datetime) -> None:
        state = report.state
        if state is State.DELIVERED and report.part is not None and report.part.count > 1:
            if not self._telemetry.on:
                return
            # The other parts may have been reported to other instances.
            arrived = await delivered_parts(self._tables, batch, index)
            state = state if len(arrived) >= report.part.count else State.SENT
        age = (received - head.created).total_seconds()
        news = self._figures.reported(head.told, head.labels, index, state, report.reason, age)
        if news and (state is State.UNKNOWN or state in FINAL - {State.DELIVERED}):
            number = self._telemetry.number(head.recipients[index])
            log_bad_end(head.labels, message_id(batch, index), number, state, report.reason)

    async def _sum_up_again(self, batch: str) -> None:
        """Sum a batch up again if it was already; reports that came together look once."""
        looking = self._looking.get(batch)
        if looking is None:
            looking = self._looking[batch] = asyncio.create_task(self._look(batch))
        await asyncio.shield(looking)

    async def _look(self, batch: str) -> None:
        # What is inserted after this moment starts a look of its own.
        await asyncio.sleep(0)
        self._looking.pop(batch, None)
        if await self._closer.is_closed(batch):
            await self._closer.close(batch)

    async def set_aside(self, items: Iterable[SetAside], *, vendor: str) -> None:
        """Keep what could not be used, for a person to look at."""
        await in_slices(dict.fromkeys(items), lambda item: self._set_aside(item, vendor))

    async def _set_aside(self, item: SetAside, vendor: str) -> None:
        now = to_ms(self._clock())
        # What differs only behind the cut is kept twice.
        said = f"{vendor}|{item.why}|{item.raw}".encode(errors="replace")
        digest = hashlib.blake2b(said, digest_size=12).hexdigest()
        item = fit_aside(item)
        log.warning("Set aside an item from %s: %s", vendor, item.why, extra={VENDOR: vendor})
        values: dict[str, Value] = {"vendor": vendor, "why": item.why, "raw": item.raw, "received": now}
        if await self._commit.insert(SET_ASIDE_TABLE, Row(bucket(now), digest, values)):
            self._telemetry.count(SET_ASIDE, {VENDOR: vendor})

    async def _head(self, batch: str) -> _Head | None:
        """Return what never changes of a batch, read once per process."""
        if batch in self._heads:
            self._heads.move_to_end(batch)
            return self._heads[batch]
        reading = self._reading.get(batch)
        if reading is None:
            reading = self._reading[batch] = asyncio.create_task(self._read_head(batch))
            reading.add_done_callback(lambda _: self._reading.pop(batch, None))
        return await asyncio.shield(reading)

    async def _read_head(self, batch: str) -> _Head | None:
        row = await self._tables.get(TABLE, batch, ACCEPTED)
        if row is None:
            return None
        whole = batch_of(row)
        head = _Head(
            whole.provider,
            whole.vendor,
            whole.sender.address,
            tuple(item.to for item in whole.items),
            whole.created,
            labels_of(whole),
            whole.trace,
        )
        self._heads[batch] = head
        while len(self._heads) > _KEPT_BATCHES:
            self._heads.popitem(last=False)
        return head


def _named(report: DeliveryReport) -> tuple[str, int | None]:
    """Return the batch and the place that a report names; no batch when it names none of ours."""
    if report.message:
        return split_message_id(report.message) or ("", None)
    return (report.batch, None) if is_ulid(report.batch) else ("", None)
