"""What stays of a message whose person asked to be forgotten: counts, states, reasons, times, segments and ids.

Erasing works on rows and by a rule that needs no number: once a message's recipient is ``erased``, nothing else of the
person may stand in the batch. So whoever finds an erasure half done, or adds a late report to an erased message, can
finish it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import phonenumbers

from functions.gateway.facts import ACCEPTED, OUR_OWN, TABLE
from functions.gateway.packing import pack, unpack
from functions.gateway.rewriting import rewrite, without
from functions.storage.ports import Row, Tables

ERASED = "erased"
"""Stands where a number or a text was; no recipient can be spelled so."""

_LEAST_DIGITS = 7
"""Fewer digits than these alone are taken for no number, with or without a country's code."""


async def erase_messages(tables: Tables, batch: str, number: str = "") -> bool:
    """Take a person out of a batch.

    Args:
        tables: The tables.
        batch: The batch's id.
        number: E.164 with plus; left out, only what is left of those whose number is gone already.

    Returns:
        Whether anything changed.
    """
    changed = False
    while True:
        rows = [row async for row in tables.query(TABLE, batch)]
        erase = _eraser(rows, number)
        if not await rewrite(tables, TABLE, rows, erase):
            return changed
        changed = True


def _eraser(rows: Sequence[Row], number: str) -> Callable[[Row], Row | None]:
    """Return what erases one row. Of the rows the one with the numbers comes first, so the rule holds from then on."""
    accepted = next((row for row in rows if row.key == ACCEPTED), None)
    items = unpack(accepted.values)["items"] if accepted else []
    gone = {place for place, item in enumerate(items) if item[0] in {number, ERASED}}
    speaks_of = mentions(number) if number else _never

    def erase(row: Row) -> Row | None:
        kind, _, rest = row.key.partition(":")
        if kind == ACCEPTED and gone:
            return _packed(row, _erase_items(unpack(row.values), gone))
        if kind == "outcome" and gone:
            return _packed(row, _erase_outcomes(unpack(row.values), gone, speaks_of))
        if kind == "report" and int(rest.partition(":")[0]) in gone:
            odd = {name: "" for name in ("vendorId", "code", "status") if speaks_of(str(row.values[name]))}
            return without(row, raw="", detail="", **odd)
        return None

    return erase


def _packed(row: Row, document: Any) -> Row | None:
    return replace(row, values=pack(document)) if document != unpack(row.values) else None


def _erase_items(document: dict[str, Any], gone: Collection[int]) -> dict[str, Any]:
    items = [
        [ERASED, ERASED, segments, encoding, None, None] if place in gone else [to, text, segments, encoding, *more]
        for place, (to, text, segments, encoding, *more) in enumerate(document["items"])
    ]
    return {**document, "items": items}


def _never(text: str) -> bool:
    del text
    return False


def _erase_outcomes(
    document: dict[str, Any], gone: Collection[int], speaks_of: Callable[[str], bool]
) -> dict[str, Any]:
    outcomes = {
        place: _erase_outcome(outcome, speaks_of) if int(place) in gone else outcome
        for place, outcome in document["outcomes"].items()
    }
    return {**document, "outcomes": outcomes}


def _erase_outcome(outcome: Sequence[Any], speaks_of: Callable[[str], bool]) -> Sequence[Any]:
    """Take the vendor's own words out, which may quote number or text.

    Its codes and ids stay unless they are made of the number, and so do our own words.
    """
    match outcome:
        case ["accepted", vendor_id] if speaks_of(vendor_id):
            return ["accepted", ""]
        case ["refused", reason, retry, after, code, _] if code != OUR_OWN:
            return ["refused", reason, retry, after, "" if speaks_of(code) else code, ""]
        case ["unknown", _, code]:
            return ["unknown", "", "" if speaks_of(code) else code]
    return outcome


def mentions(number: str) -> Callable[[str], bool]:
    """Return what tells whether a text speaks of a number, in whatever spelling: with or without the country's code.

    Args:
        number: E.164 with plus.
    """
    try:
        parsed = phonenumbers.parse(number, None)
        code, national = str(parsed.country_code), phonenumbers.national_significant_number(parsed)
    except phonenumbers.NumberParseException:
        code, national = "", number.lstrip("+")
    between = r"[\s().\-\u2010-\u2015]{0,3}"
    digits = between.join(national)
    country = between.join(code)
    before = "" if len(national) >= _LEAST_DIGITS else rf"{country}{between}"
    spelled = re.compile(rf"(?<!\d)(?:(?:00{between})?{country}{between})?(?:\(?0\)?{between})?{before}{digits}(?!\d)")
    return lambda text: spelled.search(unquote(text)) is not None
