"""Asks vendors for what their reports should have told: a callback is lost when the gateway was away for too long."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from functions.gateway.clock import Clock, message_id
from functions.gateway.directory import Directory
from functions.gateway.facts import Facts
from functions.gateway.pacing import Pacer
from functions.gateway.problems import ProblemError
from functions.gateway.reports import Reports
from functions.gateway.states import FINAL
from functions.gateway.story import standing
from functions.vendors.contract import DeliveryReport, Http, Vendor

log = logging.getLogger("sms.reconcile")

_PATIENCE = timedelta(minutes=1)
"""How long a question waits for the account's rate; sends have the same turns, and the next sweep asks again."""


class Reconciler:
    """Asks for the state of messages that the vendor took and never reported as final."""

    def __init__(self, directory: Directory, reports: Reports, http: Http, pacer: Pacer, clock: Clock) -> None:
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
        except ProblemError:
            return None
        for account in await self._directory.accounts(provider):
            rate = vendor.calls_per_second(account.settings)
            if rate and not await self._pacer.turn(provider.id, rate, self._clock() + _PATIENCE):
                return None
            try:
                report = await vendor.report_of(account, message_id(facts.batch.id, place), vendor_id, self._http)
            except Exception as error:  # noqa: BLE001 - an adapter's fault must not stop the sweep
                log.error("The %s adapter failed with %s", facts.batch.vendor, type(error).__name__)  # noqa: TRY400
                continue
            if report is not None:
                return report
        return None
