"""Sums a batch up once nothing more is expected, so that lists read one row for it.

The summary fact is written before the facts are read for the last time, and whoever appends a report looks for the
summary afterwards: so either the summing up sees the report, or the reporter sees the summary and sums up again.
"""

from __future__ import annotations

from functions.gateway.clock import Clock
from functions.gateway.consent import Entry, OptOuts
from functions.gateway.erasing import ERASED, erase_messages
from functions.gateway.facts import OUR_OWN, SUMMARY, TABLE, Facts, summary_row
from functions.gateway.figures import Figures
from functions.gateway.index import BatchIndex
from functions.gateway.messagelog import MessageLog, summarise
from functions.gateway.models import MessageSummary
from functions.gateway.telemetry import SILENT, Telemetry
from functions.storage.ports import StaleError, Tables
from functions.vendors.contract import Reason, Refused


class Closer:
    """Closes batches."""

    def __init__(
        self,
        tables: Tables,
        index: BatchIndex,
        messages: MessageLog,
        opt_outs: OptOuts,
        clock: Clock,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._figures = Figures(telemetry)
        self._tables = tables
        self._index = index
        self._messages = messages
        self._opt_outs = opt_outs
        self._clock = clock

    async def is_closed(self, batch: str) -> bool:
        """Tell whether a batch was summed up."""
        return await self._tables.get(TABLE, batch, SUMMARY) is not None

    async def close(self, batch: str) -> None:
        """Sum a batch up, or again after a late report; what is still open by now becomes unknown."""
        await self._tables.insert(TABLE, [summary_row(batch, self._clock())])
        while True:
            facts = await self._messages.facts(batch)
            if facts is None:
                return
            # A report that came late may have brought words of somebody back who was erased meanwhile.
            if any(item.to == ERASED for item in facts.batch.items) and await erase_messages(self._tables, batch):
                continue
            entry = await self._index.get(facts.batch)
            if entry is None:
                return
            messages = [summarise(facts, place) for place in range(len(facts.batch.items))]
            await self._note_opt_outs(facts, messages)
            if entry.messages == messages:
                return
            try:
                await self._index.close(entry, facts.batch, messages)
            except StaleError:
                continue
            if not entry.closed:
                self._figures.closed(facts, messages)
            return

    async def _note_opt_outs(self, facts: Facts, messages: list[MessageSummary]) -> None:
        """Make sure that whoever the vendor called opted out is on the list, whatever was lost when it said so."""
        for place, message in enumerate(messages):
            if message.reason is Reason.OPTED_OUT and message.to != ERASED and _said_by_the_vendor(facts, place):
                await self._opt_outs.record(
                    Entry(message.to, message.sender, opted_out=True, at=facts.batch.created, source="vendor")
                )


def _said_by_the_vendor(facts: Facts, place: int) -> bool:
    outcomes = [attempt.outcome(place) for attempt in facts.attempts]
    return any(report.reason is Reason.OPTED_OUT for report in facts.reports_of.get(place, ())) or any(
        isinstance(outcome, Refused) and outcome.reason is Reason.OPTED_OUT and outcome.code != OUR_OWN
        for outcome in outcomes
    )
