"""The facts of a batch and how they are kept: one partition of rows, each inserted once and never changed.

A batch's rows, in key order: ``accepted``, ``outcome:NNN`` and ``sending:NNN`` for attempt NNN, ``report:II:RR:digest``
for message II and state rank RR, and in the end ``summary``. A worker that was given up for dead, and was not, adds
``outcome:NNN:late``. Inserting a row again changes nothing, which is all there
is to deduplication.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from functions.gateway.clock import from_ms, to_ms
from functions.gateway.packing import pack, unpack
from functions.gateway.states import rank
from functions.gateway.storable import fit_outcome, fit_raw, fit_report, raw_text
from functions.gateway.telemetry import NOWHERE, Trace
from functions.storage.ports import Row, Tables
from functions.vendors.contract import (
    Accepted,
    Category,
    DeliveryReport,
    Outcome,
    Part,
    Reason,
    Refused,
    Retry,
    Sender,
    SenderType,
    State,
    Unknown,
)

TABLE = "batches"
ACCEPTED = "accepted"
SUMMARY = "summary"
MAX_BATCH = 100
"""Messages in a batch; their recipients are distinct, so batch and recipient name a message."""

MAX_BATCH_BYTES = 700_000
"""Text and metadata of a batch before compression, so that its row fits into 1 MiB even if nothing compresses."""

OUR_OWN = "gateway"
"""Stands where a vendor's code would, on a refusal that the gateway decided itself."""


@dataclass(frozen=True, slots=True)
class Item:
    """One message of a batch as it was accepted."""

    to: str
    text: str
    segments: int
    encoding: str
    reference: str | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages accepted in one call and dispatched together.

    Args:
        sender_id: The sender's id; its type and address are kept as they were.
        validity: Seconds from ``created`` after which the messages are worthless, or ``None``.
        trace: Where the call was traced that accepted it, so that whatever comes later can point there.
    """

    id: str
    provider: str
    vendor: str
    sender_id: str
    sender: Sender
    business_unit: str
    category: Category
    created: datetime
    validity: int | None
    items: tuple[Item, ...]
    trace: Trace = NOWHERE

    @property
    def expires(self) -> datetime | None:
        """When the messages are worthless."""
        return None if self.validity is None else from_ms(to_ms(self.created) + self.validity * 1000)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to hand messages to the vendor, or to find out what became of an earlier one.

    Args:
        number: From 1.
        lookup: Whether it only reads the vendor's log.
        started: When the claim was made.
        lease: Seconds for which the claim holds; after that its worker makes no call any more.
        indices: Which messages.
        outcomes: By message, once the attempt ended; ``None`` while it runs or when its worker died.
        ended: When it ended.
        late: What its worker said after all, of messages that were written down as unknown when it seemed dead.
        said: When it said so.
    """

    number: int
    lookup: bool
    started: datetime
    lease: float
    indices: tuple[int, ...]
    outcomes: Mapping[int, Outcome] | None = None
    ended: datetime | None = None
    late: Mapping[int, Outcome] = field(default_factory=dict)
    said: datetime | None = None

    def outcome(self, index: int) -> Outcome | None:
        """Return what came of a message, by the best that is known; ``None`` while that is open."""
        return self.late.get(index) or (self.outcomes or {}).get(index)

    def known_since(self, index: int) -> datetime:
        """Return when that was written down; the begin of the attempt while it is open."""
        return (self.said if index in self.late else self.ended) or self.started


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery report as it is kept."""

    index: int
    state: State
    reason: Reason | None
    vendor_id: str
    code: str
    status: str
    detail: str
    at: datetime | None
    received: datetime
    key: str
    part: Part | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is known of a batch.

    Args:
        closed: When it was summed up because nothing more was expected; ``None`` while it is open.
    """

    batch: Batch
    attempts: tuple[Attempt, ...] = ()
    reports: tuple[Report, ...] = ()
    closed: datetime | None = None
    reports_of: Mapping[int, Sequence[Report]] = field(default_factory=dict)


def accepted_row(batch: Batch) -> Row:
    """Return the row that makes the batch exist."""
    document: dict[str, Any] = {
        "provider": batch.provider,
        "vendor": batch.vendor,
        "senderId": batch.sender_id,
        "type": batch.sender.type.value,
        "address": batch.sender.address,
        "businessUnit": batch.business_unit,
        "category": batch.category.value,
        "created": to_ms(batch.created),
        "validity": batch.validity,
        "items": [
            [item.to, item.text, item.segments, item.encoding, item.reference, item.metadata] for item in batch.items
        ],
    }
    if batch.trace:
        document["trace"] = batch.trace.kept()
    return Row(batch.id, ACCEPTED, pack(document))


def batch_of(row: Row) -> Batch:
    """Return the batch that an ``accepted`` row holds."""
    document = unpack(row.values)
    return Batch(
        id=row.partition,
        provider=document["provider"],
        vendor=document["vendor"],
        sender_id=document["senderId"],
        sender=Sender(SenderType(document["type"]), document["address"]),
        business_unit=document["businessUnit"],
        category=Category(document["category"]),
        created=from_ms(document["created"]),
        validity=document["validity"],
        items=tuple(Item(*item) for item in document["items"]),
        trace=Trace.of(document.get("trace")),
    )


def sending_row(batch: str, attempt: Attempt) -> Row:
    """Return the row that claims an attempt: whoever inserts it makes the calls, nobody else."""
    return Row(
        batch,
        f"sending:{attempt.number:03d}",
        {
            "lookup": attempt.lookup,
            "started": to_ms(attempt.started),
            "lease": attempt.lease,
            "indices": orjson.dumps(attempt.indices).decode(),
        },
    )


def outcome_row(
    batch: str, number: int, outcomes: Mapping[int, Outcome], ended: datetime, *, late: bool = False
) -> Row:
    """Return the row that says what came of an attempt, or what its worker says late, beside what was said for it."""
    document = {
        "ended": to_ms(ended),
        "outcomes": {str(index): _outcome_document(outcome) for index, outcome in outcomes.items()},
    }
    return Row(batch, _outcome_key(number, late=late), pack(document))


def _outcome_key(number: int, *, late: bool = False) -> str:
    return f"outcome:{number:03d}{':late' if late else ''}"


def report_row(batch: str, index: int, report: DeliveryReport, received: datetime) -> Row:
    """Return the row of a delivery report; the same report again gives the same key."""
    part = [report.part.number, report.part.count] if report.part else []
    digest = hashlib.blake2b(
        _said([report.vendor_id, report.state.value, report.status, report.code, *part]), digest_size=8
    )
    report = fit_report(report)
    return Row(
        batch,
        f"report:{index:02d}:{rank(report.state):02d}:{digest.hexdigest()}",
        {
            "state": report.state.value,
            "reason": report.reason.value if report.reason else "",
            "vendorId": report.vendor_id,
            "code": report.code,
            "status": report.status,
            "detail": report.detail,
            "at": to_ms(report.at) if report.at else 0,
            "received": to_ms(received),
            "part": orjson.dumps(part).decode() if part else "",
            "raw": fit_raw(raw_text(report.raw)) if report.raw else "",
        },
    )


def _said(parts: list[str | int]) -> bytes:
    """Return what tells a report from others, whole: what is cut for keeping may differ only behind the cut."""
    try:
        return orjson.dumps(parts)
    except TypeError:  # half a character, of which only escapes can be made
        return json.dumps(parts).encode()


async def delivered_parts(tables: Tables, batch: str, index: int) -> frozenset[int]:
    """Return the parts of a long message that were reported as delivered: one storage request."""
    first = f"report:{index:02d}:{rank(State.DELIVERED):02d}:"
    rows = tables.query(TABLE, batch, after=first, before=f"{first}g")
    reports = [_report(row) async for row in rows]
    return frozenset(report.part.number for report in reports if report.part)


def summary_row(batch: str, closed: datetime) -> Row:
    """Return the row that says that nothing more is expected of a batch."""
    return Row(batch, SUMMARY, {"closed": to_ms(closed)})


def read_facts(rows: Sequence[Row]) -> Facts | None:
    """Return what a batch's rows say, or ``None`` when it was never accepted."""
    by_key = {row.key: row for row in rows}
    if ACCEPTED not in by_key:
        return None
    attempts = []
    for row in rows:
        if not row.key.startswith("sending:"):
            continue
        number = int(row.key.removeprefix("sending:"))
        ended, said = (by_key.get(_outcome_key(number, late=late)) for late in (False, True))
        attempts.append(_attempt(number, row, ended, said))
    # By number: of more than 999 attempts the keys sort otherwise.
    attempts.sort(key=lambda attempt: attempt.number)
    reports = sorted(
        (_report(row) for row in rows if row.key.startswith("report:")),
        key=lambda report: (report.received, report.key),
    )
    reports_of: dict[int, list[Report]] = {}
    for report in reports:
        reports_of.setdefault(report.index, []).append(report)
    batch, summary = batch_of(by_key[ACCEPTED]), by_key.get(SUMMARY)
    # Rows of earlier releases do not say when.
    closed = from_ms(int(summary.values.get("closed", to_ms(batch.created)))) if summary else None
    return Facts(batch, tuple(attempts), tuple(reports), closed, reports_of)


def _attempt(number: int, row: Row, ended: Row | None, said: Row | None) -> Attempt:
    values: Mapping[str, Any] = row.values
    outcomes, when = _outcomes(ended)
    late, later = _outcomes(said)
    return Attempt(
        number=number,
        lookup=values["lookup"],
        started=from_ms(values["started"]),
        lease=values["lease"],
        indices=tuple(orjson.loads(values["indices"])),
        outcomes=outcomes,
        ended=when,
        late={i: said for i, said in (late or {}).items() if isinstance((outcomes or {}).get(i), Unknown)},
        said=later,
    )


def _outcomes(row: Row | None) -> tuple[Mapping[int, Outcome] | None, datetime | None]:
    if row is None:
        return None, None
    document = unpack(row.values)
    return {int(index): _outcome(item) for index, item in document["outcomes"].items()}, from_ms(document["ended"])


def _report(row: Row) -> Report:
    values: Mapping[str, Any] = row.values
    return Report(
        index=int(row.key.split(":")[1]),
        state=State(values["state"]),
        reason=Reason(values["reason"]) if values["reason"] else None,
        vendor_id=values["vendorId"],
        code=values["code"],
        status=values["status"],
        detail=values["detail"],
        at=from_ms(values["at"]) if values["at"] else None,
        received=from_ms(values["received"]),
        key=row.key,
        part=Part(*orjson.loads(values["part"])) if values.get("part") else None,
    )


def _outcome_document(outcome: Outcome) -> list[Any]:
    outcome = fit_outcome(outcome)
    match outcome:
        case Accepted():
            return ["accepted", outcome.vendor_id]
        case Refused():
            return ["refused", outcome.reason.value, outcome.retry.value, outcome.after, outcome.code, outcome.detail]
        case Unknown():
            return ["unknown", outcome.why, outcome.code]


def _outcome(document: Sequence[Any]) -> Outcome:
    kind, *rest = document
    if kind == "accepted":
        return Accepted(*rest)
    if kind == "refused":
        reason, retry, after, code, detail = rest
        return Refused(Reason(reason), Retry(retry), after, code, detail)
    return Unknown(*rest)
