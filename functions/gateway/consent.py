"""The opt-out list: an append-only ledger that every process folds in memory and reads on from where it was.

So checking a hundred recipients costs one storage request, and a STOP that any process recorded before the check is
seen. Of two entries for one number and sender the one with the later moment counts; a replay of an old text changes
nothing.

Rows are changed or deleted only when a person is erased. A mark behind them in the ledger then tells every process to
read all of it anew, since what they hold in memory was read before.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from functions.gateway.clock import Clock, from_ms, to_ms
from functions.gateway.rewriting import delete, rewrite, without
from functions.gateway.telemetry import OPT_OUTS, REASON, SILENT, Telemetry
from functions.storage.ports import Row, Tables

TABLE = "optouts"
PARTITION = "ledger"
ALL_SENDERS = "*"
OPERATOR = "operator"
_READ_ANEW = "readAnew"
OVERLAP_MS = 120_000
"""How far behind its newest entry a process reads again: the clocks of two machines differ, and a write takes time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What holds for a number and a sender.

    Args:
        number: E.164 with plus.
        sender: A sender's address, or ``*`` for all.
        opted_out: Whether the number must not be texted.
        at: Since when.
        source: ``keyword``, ``vendor`` or ``operator``.
        note: Anything worth knowing.
    """

    number: str
    sender: str
    opted_out: bool
    at: datetime
    source: str
    note: str = ""


_Entries = dict[tuple[str, str], Entry]


class OptOuts:
    """Knows who must not be texted."""

    def __init__(self, tables: Tables, clock: Clock, telemetry: Telemetry = SILENT) -> None:
        self._telemetry = telemetry
        self._tables = tables
        self._clock = clock
        self._entries: _Entries = {}
        self._newest = 0
        self._recording: set[tuple[str, str]] = set()
        self._mark = ""
        self._reading: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Read what was recorded up to now; calls that wait for the same reading share it."""
        if self._next is None:
            self._next = asyncio.create_task(self._read_after(self._reading))
        await asyncio.shield(self._next)

    async def _read_after(self, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        self._reading, self._next = self._next, None
        known, mark = bool(self._entries), self._mark
        await self._fold_into(self._entries, after=max(0, self._newest - OVERLAP_MS))
        if known and self._mark != mark:
            entries: _Entries = {}
            await self._fold_into(entries, after=0)
            # Only now: whoever asks meanwhile must not find the list empty.
            self._entries = entries

    async def _fold_into(self, entries: _Entries, *, after: int) -> None:
        async for row in self._tables.query(TABLE, PARTITION, after=f"{after:013d}"):
            self._newest = max(self._newest, int(row.key.partition(":")[0]))
            if _READ_ANEW in row.values:
                self._mark = max(self._mark, row.key)
            else:
                _fold(entries, _entry(row))

    def blocked(self, number: str, sender: str) -> bool:
        """Tell whether a number must not be texted from a sender, as of the last refresh."""
        return self.entry(number, sender) is not None

    def entry(self, number: str, sender: str) -> Entry | None:
        """Return why a number must not be texted from a sender, or ``None`` when it may."""
        for scope in (ALL_SENDERS, sender):
            found = self._entries.get((number, scope))
            if found is not None and found.opted_out:
                return found
        return None

    async def record(self, entry: Entry) -> bool:
        """Record that somebody opted out or in; tell whether that changed anything.

        Args:
            entry: What holds from ``entry.at`` on; older than what is known, it changes nothing.
        """
        await self.refresh()
        known = self._entries.get((entry.number, entry.sender))
        if known is not None and _weight(entry) <= _weight(known):
            return False
        # Also what changes nothing now is kept: an older word may still be on its way.
        changes = (known is not None and known.opted_out) != entry.opted_out
        recorded = to_ms(self._clock())
        unique = hashlib.blake2b(
            f"{entry.number}|{entry.sender}|{entry.opted_out}|{to_ms(entry.at)}".encode(), digest_size=8
        ).hexdigest()
        # Of two calls that record the same at once one counts.
        counts = changes and entry.opted_out and (entry.number, entry.sender) not in self._recording
        if counts:
            self._recording.add((entry.number, entry.sender))
        try:
            await self._tables.insert(TABLE, [_row(f"{recorded:013d}:{unique}", entry)])
        finally:
            if counts:
                self._recording.discard((entry.number, entry.sender))
        _fold(self._entries, entry)
        if counts:
            self._telemetry.count(OPT_OUTS, {REASON: entry.source})
        return changes

    async def erase(self, number: str, *, keep: bool) -> int:
        """Take out of the ledger what it says of a person; doing it again changes nothing more.

        Args:
            number: E.164 with plus.
            keep: Whether the number and that it opted out stay, and only the notes of operators go. Without it the
                person may be texted again.

        Returns:
            How many entries changed.
        """
        rows = [row async for row in self._tables.query(TABLE, PARTITION) if row.values.get("number") == number]
        if keep:
            noted = [row for row in rows if row.values["source"] == OPERATOR]
            changed = await rewrite(self._tables, TABLE, noted, lambda row: without(row, note=""))
        else:
            noted, changed = rows, await delete(self._tables, TABLE, rows)
        if noted or not keep:
            recorded = to_ms(self._clock())
            unique = hashlib.blake2b(f"{recorded}".encode(), digest_size=8).hexdigest()
            await self._tables.insert(TABLE, [Row(PARTITION, f"{recorded:013d}:{unique}", {_READ_ANEW: True})])
        return changed

    def list(self) -> Iterable[Entry]:
        """Return who must not be texted, by number and sender, as of the last refresh."""
        return sorted(
            (entry for entry in self._entries.values() if entry.opted_out),
            key=lambda entry: (entry.number, entry.sender),
        )


def _fold(entries: _Entries, entry: Entry) -> None:
    known = entries.get((entry.number, entry.sender))
    if known is None or _weight(entry) > _weight(known):
        entries[entry.number, entry.sender] = entry


def _weight(entry: Entry) -> tuple[int, bool]:
    """Order entries by time; at the same moment an opt-out outweighs an opt-in."""
    return to_ms(entry.at), entry.opted_out


def _row(key: str, entry: Entry) -> Row:
    return Row(
        PARTITION,
        key,
        {
            "number": entry.number,
            "sender": entry.sender,
            "optedOut": entry.opted_out,
            "at": to_ms(entry.at),
            "source": entry.source,
            "note": entry.note,
        },
    )


def _entry(row: Row) -> Entry:
    values: Mapping[str, Any] = row.values
    return Entry(
        number=values["number"],
        sender=values["sender"],
        opted_out=values["optedOut"],
        at=from_ms(values["at"]),
        source=values["source"],
        note=values["note"],
    )
