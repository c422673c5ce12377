"""Asks vendors for what their reports should have told: a callback is lost when the gateway was away for too long."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from functions.gateway.clock import Clock, message_id
from functions.gateway.directory import Directory
from functions.gateway.facts import Facts
from functions.gateway.figures import ADAPTER, Figures
from functions.gateway.pacing import Pacer
from functions.gateway.problems import ProblemError
from functions.gateway.reports import Reports
from functions.gateway.states import FINAL
from functions.gateway.story import standing
from functions.gateway.telemetry import MESSAGE, PROVIDER, SILENT, VENDOR, Kind, Telemetry
from functions.storage.ports import StorageError
from functions.vendors.contract import DeliveryReport, Http, Vendor

log = logging.getLogger("sms.reconcile")

_PATIENCE = timedelta(minutes=1)
"""How long a question waits for the account's rate; sends have the same turns, and the next sweep asks again."""


class Reconciler:
    """Asks for the state of messages that the vendor took and never reported as final."""

    def __init__(
        self,
        directory: Directory,
        reports: Reports,
        http: Http,
        pacer: Pacer,
        clock: Clock,
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._telemetry = telemetry
        self._figures = Figures(telemetry)
        self._directory = directory
        self._reports = reports
        self._http = http
        self._pacer = pacer
        self._clock = clock

    async def reconcile(self, facts: Facts) -> None:
        """Ask for all messages of a batch that are still open, and keep the answers like reports."""
        vendor = self._directory.vendor(facts.batch.vendor)
        if not vendor.description.capabilities.status_query:
            return
        limit = asyncio.Semaphore(vendor.description.capabilities.calls_at_once)

        async def one(place: int, vendor_id: str) -> DeliveryReport | None:
            async with limit:
                return await self._ask(vendor, facts, place, vendor_id)

        found = [(place, standing(facts, place)) for place in range(len(facts.batch.items))]
        answers = await asyncio.gather(
            *(one(place, where.vendor_id) for place, where in found if where.state not in FINAL and where.vendor_id)
        )
        reports = [report for report in answers if report is not None]
        await self._reports.take(reports, vendor=facts.batch.vendor, provider=facts.batch.provider)

    async def _ask(self, vendor: Vendor, facts: Facts, place: int, vendor_id: str) -> DeliveryReport | None:
        try:
            provider = await self._directory.provider(facts.batch.provider, max_age=60)
            accounts = await self._directory.accounts(provider)
        except (ProblemError, StorageError):
            # Deleted, or its credentials cannot be read: that must not keep the sweep from other batches, nor from
            # closing this one.
            return None
        identity = message_id(facts.batch.id, place)
        known = {VENDOR: facts.batch.vendor, PROVIDER: facts.batch.provider, MESSAGE: identity}
        for account in accounts:
            rate = vendor.calls_per_second(account.settings)
            if rate and not await self._pacer.turn(provider.id, rate, self._clock() + _PATIENCE):
                return None
            with self._telemetry.span(f"ask {facts.batch.vendor}", Kind.CLIENT, known) as span:
                try:
                    report = await vendor.report_of(account, identity, vendor_id, self._http)
                except Exception as error:  # noqa: BLE001 - an adapter's fault must not stop the sweep
                    words = "The %s adapter failed with %s"
                    log.error(words, facts.batch.vendor, type(error).__name__, extra=known)  # noqa: TRY400
                    self._figures.adapter_failed(facts.batch)
                    span.fail(ADAPTER)
                    continue
            if report is not None:
                return report
        return None
