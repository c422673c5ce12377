"""Makes what vendors said fit to be kept and read again; here alone it is cut.

A vendor that cuts a text within an emoji writes half a character, which no UTF-8 can hold; an id may be a whole page; a
clock may stand in the year 1. A store that refused any of it would refuse each repeat too, until the vendor gives up.
What is cut ends in ``…``. Which rows are repeats of which is told from what came, before it is cut.

The limits are in UTF-16 code units, as Table Storage counts (64 KiB a property:
https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson

from functions.vendors.contract import Accepted, DeliveryReport, InboundText, Outcome, Refused, SetAside, Unknown

LONGEST_NAME = 256
"""Of an id, a code, a number and other names; no vendor's has half of it."""
LONGEST_WORDS = 400
"""Of a vendor's words; adapters keep less."""
LONGEST_TEXT = 32_000
"""Of a reply; the longest that phones can send has 39,015 septets, and 64 KiB hold no more."""
LONGEST_RAW = 16_000
"""Of a payload."""
LONGEST_RAW_SENT = 30_000
"""Bytes of a payload as JSON in ASCII, which is how it travels; a transaction of 100 rows has 4 MiB."""
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""A moment outside is a fault of the vendor's clock, and some cannot be told in UTC at all."""
DEEPEST = 100
"""Levels of a payload; ``orjson`` writes 254."""
CUT = "…"

_NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
_INT64 = range(-(2**63), 2**64)


def fit_report(report: DeliveryReport) -> DeliveryReport:
    """Return a report as it can be kept; its payload is left as it is, for ``raw_text``."""
    return replace(
        report,
        vendor_id=fit_name(report.vendor_id),
        message=fit_name(report.message),
        batch=fit_name(report.batch),
        recipient=fit_name(report.recipient),
        code=fit_name(report.code),
        status=fit_name(report.status),
        detail=_cut(report.detail, LONGEST_WORDS),
        at=_credible(report.at),
    )


def fit_text(text: InboundText) -> InboundText:
    """Return a reply as it can be kept; its payload is left as it is, for ``raw_text``."""
    return replace(
        text,
        vendor_id=fit_name(text.vendor_id),
        sender=fit_name(text.sender),
        recipient=fit_name(text.recipient),
        text=_cut(text.text, LONGEST_TEXT),
        at=_credible(text.at),
        account=fit_name(text.account),
        consent=fit_name(text.consent),
    )


def fit_outcome(outcome: Outcome) -> Outcome:
    """Return what a vendor answered as it can be kept."""
    match outcome:
        case Accepted():
            return Accepted(fit_name(outcome.vendor_id))
        case Refused():
            return replace(outcome, code=fit_name(outcome.code), detail=_cut(outcome.detail, LONGEST_WORDS))
        case Unknown():
            return Unknown(_cut(outcome.why, LONGEST_WORDS), fit_name(outcome.code))


def fit_aside(item: SetAside) -> SetAside:
    """Return what could not be used as it can be kept."""
    return SetAside(_cut(item.why, LONGEST_WORDS), fit_raw(item.raw))


def fit_name(name: str) -> str:
    """Return an id, a code or another name as it can be kept."""
    return _cut(name, LONGEST_NAME)


def fit_raw(written: str) -> str:
    """Return a payload that was written as text as it can be kept beside 99 others in a transaction."""
    kept = _cut(written, LONGEST_RAW)
    while (sent := len(json.dumps(kept))) > LONGEST_RAW_SENT:
        kept = _cut(kept, _units(kept) * LONGEST_RAW_SENT // sent - 1)
    return kept


def raw_text(raw: Mapping[str, Any]) -> str:
    """Return a payload as JSON, whatever is in it and however long."""
    try:
        return orjson.dumps(dict(raw), default=str).decode()
    except TypeError:
        return orjson.dumps(plain(raw)).decode()


def plain(value: Any, levels: int = DEEPEST) -> Any:
    """Return a value that any JSON library writes and reads again.

    Args:
        value: What came; what is no JSON becomes text.
        levels: How deep it may be nested; ``…`` stands for what lies deeper.
    """
    if isinstance(value, Mapping | list | tuple):
        return _members(value, levels - 1) if levels else CUT
    exact = isinstance(value, bool | None) or (isinstance(value, int) and value in _INT64)
    if exact or (isinstance(value, float) and math.isfinite(value)):
        return value
    # Python writes no decimal digits of a number without end.
    return hex(value) if isinstance(value, int) else storable_text(str(value))


def _members(value: Mapping[Any, Any] | list[Any] | tuple[Any, ...], levels: int) -> Any:
    if isinstance(value, Mapping):
        return {storable_text(str(name)): plain(member, levels) for name, member in value.items()}
    return [plain(member, levels) for member in value]


def storable_text(text: str) -> str:
    """Return a text with U+FFFD for each half of a surrogate pair, which UTF-8 cannot hold, and for NUL.

    NUL is in no text of a person, and tools that read what is stored may take it for the end.
    """
    return _NOT_TEXT.sub("\ufffd", text)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def _cut(text: str, longest: int) -> str:
    text = storable_text(text)
    if _units(text) <= longest:
        return text
    # The last character may lose its second half here.
    return text.encode("utf-16-le")[: 2 * (longest - len(CUT))].decode("utf-16-le", "ignore") + CUT


def _credible(at: datetime | None) -> datetime | None:
    return at if at is not None and EARLIEST <= at < LATEST else None
