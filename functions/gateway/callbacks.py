"""Takes what vendors tell: proves who speaks, reads it, and has it kept before it is answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace

from functions.gateway.directory import FRESH_FOR, Directory
from functions.gateway.inbound import Inbound
from functions.gateway.problems import Kind, ProblemError, not_found
from functions.gateway.records import ProviderRecord
from functions.gateway.reports import Reports
from functions.gateway.sources import is_from
from functions.gateway.storable import plain, raw_text, storable_text
from functions.gateway.telemetry import CALLBACKS_REFUSED, PROVIDER, REASON, SILENT, VENDOR, Telemetry
from functions.gateway.telemetry import Kind as SpanKind
from functions.vendors.contract import (
    Answer,
    Callback,
    Event,
    MalformedError,
    NotAuthenticError,
    Parsed,
    SetAside,
    SettingType,
    Vendor,
)

log = logging.getLogger("sms.callbacks")

KINDS = ("report", "inbound")
_REREAD_AFTER = 1.0
"""Seconds after which a failed check is worth reading the provider again: its secret may just have been changed."""


class Callbacks:
    """Takes callbacks and events."""

    def __init__(
        self,
        directory: Directory,
        reports: Reports,
        inbound: Inbound,
        vendors: Mapping[str, Vendor],
        telemetry: Telemetry = SILENT,
    ) -> None:
        self._telemetry = telemetry
        self._names = frozenset(vendors)
        self._directory = directory
        self._reports = reports
        self._inbound = inbound
        self._by_event = {kind: vendor for vendor in vendors.values() for kind in vendor.description.event_types}

    async def take(self, vendor_name: str, identity: str, callback: Callback, source: str) -> Answer:
        """Take a callback; when this returns, all of it is stored.

        Args:
            vendor_name: The vendor in the path.
            identity: The provider in the path.
            callback: The request as it came.
            source: The address it came from; empty where that is not known.

        Raises:
            ProblemError: The provider is not there, the callback is not authentic, or it cannot be read.
        """
        provider: ProviderRecord | None = None
        try:
            if callback.kind not in KINDS:
                raise not_found("callback", callback.kind)
            provider = await self._provider(vendor_name, identity, FRESH_FOR)
            return await self._take(vendor_name, provider, callback, source)
        except ProblemError as problem:
            self._tell_refused(vendor_name, provider, problem)
            raise

    def _tell_refused(self, vendor: str, provider: ProviderRecord | None, problem: ProblemError) -> None:
        """Count and log it; what the address names counts only where it is ours, for anybody can name anything."""
        known = vendor if vendor in self._names else "none"
        told = {VENDOR: known, PROVIDER: provider.id if provider else "", REASON: problem.kind.value}
        self._telemetry.count(CALLBACKS_REFUSED, told)
        log.warning("A callback of %s was refused: %s", known, problem.kind.value, extra=told)

    async def _take(self, vendor_name: str, provider: ProviderRecord, callback: Callback, source: str) -> Answer:
        vendor = self._directory.vendor(vendor_name)
        if callback.method not in vendor.description.callback_methods:
            raise ProblemError(Kind.NOT_FOUND, f"{vendor.description.title} does not call back by {callback.method}.")
        callback = replace(callback, settings=provider.settings)
        try:
            await self._verify(vendor, provider, callback, source)
        except NotAuthenticError:
            provider = await self._provider(vendor_name, provider.id, _REREAD_AFTER)
            try:
                await self._verify(vendor, provider, callback, source)
            except NotAuthenticError as error:
                raise ProblemError(Kind.NOT_AUTHENTIC, str(error)) from error
        # Whoever calls by GET too has values in the query; whether all of them stand there, its parser knows.
        in_query = callback.query and "GET" in vendor.description.callback_methods
        if not callback.body and callback.method == "POST" and not in_query:
            raise ProblemError(Kind.MALFORMED, "The body is empty; send it with a Content-Length.")
        try:
            parsed = vendor.parse(callback)
        except MalformedError as error:
            raise ProblemError(Kind.MALFORMED, str(error)) from error
        if vendor.reports_by_vendor_id(provider.settings):
            parsed = replace(parsed, reports=tuple(await self._reports.named(parsed.reports, provider.id)))
        await self._keep(parsed, vendor_name, provider.id)
        return vendor.answer(callback)

    async def take_event(self, event: Event) -> None:
        """Take an Event Grid event; one that cannot be read is set aside, since repeating it would not help."""
        event = replace(event, id=storable_text(event.id), source=storable_text(event.source), data=plain(event.data))
        vendor = self._by_event.get(event.type)
        name = vendor.description.name if vendor else "event grid"
        try:
            parsed = vendor.parse_event(event) if vendor else _aside(event, f"No vendor sends {event.type} events.")
        except MalformedError as error:
            parsed = _aside(event, str(error))
        with self._telemetry.span("take event", SpanKind.CONSUMER, {VENDOR: name}):
            await self._keep(parsed, name, None)

    async def _keep(self, parsed: Parsed, vendor: str, provider: str | None) -> None:
        await asyncio.gather(
            self._reports.take(parsed.reports, vendor=vendor, provider=provider),
            self._inbound.take(parsed.inbound, vendor=vendor, provider=provider),
            self._reports.set_aside(parsed.set_aside, vendor=vendor),
        )

    async def _provider(self, vendor: str, identity: str, max_age: float) -> ProviderRecord:
        provider = await self._directory.provider(identity, max_age=max_age)
        if provider.vendor != vendor:
            raise not_found("provider", identity)
        return provider

    async def _verify(self, vendor: Vendor, provider: ProviderRecord, callback: Callback, source: str) -> None:
        """Accept what any of the provider's valid secrets proves, from where it may come."""
        for setting in vendor.description.settings:
            allowed = provider.settings.get(setting.name) if setting.type is SettingType.NETWORKS else None
            if allowed and not is_from(source, allowed):
                raise NotAuthenticError(f"It does not come from one of the networks in {setting.name}.")
        refused: NotAuthenticError | None = None
        for account in await self._directory.accounts(provider, callbacks=True):
            try:
                vendor.verify(callback, account)
            except NotAuthenticError as error:
                refused = refused or error
            except KeyError as error:
                refused = refused or NotAuthenticError(f"The provider has no {error.args[0]} yet.")
            else:
                return
        raise refused or NotAuthenticError("The provider has no credentials.")


def _aside(event: Event, why: str) -> Parsed:
    return Parsed(set_aside=(SetAside(why, raw_text({"type": event.type, "data": event.data})),))
