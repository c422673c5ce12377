"""What is done with a provider at its vendor, beside sending: trying credentials, and setting callbacks up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from functions.gateway.clock import Clock, Ids, message_id
from functions.gateway.directory import Directory
from functions.gateway.models import DryRunRequest, ProviderChange
from functions.gateway.numbers import NumberError, parse_recipient
from functions.gateway.problems import Kind, ProblemError, invalid
from functions.gateway.records import ProviderRecord
from functions.gateway.settingrules import missing_settings, require
from functions.vendors.contract import (
    TOKEN,
    TOKEN_SECONDARY,
    CallbackUrls,
    Http,
    HttpRequest,
    Outgoing,
    SendCall,
    Subscribed,
    SubscribeError,
    Wiring,
)


class VendorSetup:
    """Sets providers up at their vendors."""

    def __init__(self, directory: Directory, http: Http, clock: Clock, ids: Ids) -> None:
        self._directory = directory
        self._http = http
        self._clock = clock
        self._ids = ids

    async def check(self, identity: str) -> list[dict[str, Any]]:
        """Try each set of the provider's credentials live and say what came of it."""
        record = await self._directory.provider(identity)
        vendor = self._directory.vendor(record.vendor)
        require(missing_settings(vendor.description, await self._directory.settings_of(record)))
        results = []
        for name, account in zip(("primary", "secondary"), await self._directory.accounts(record), strict=False):
            result = await vendor.check(account, self._http)
            results.append({"credentials": name, "ok": result.ok, "detail": result.detail})
        return results

    async def wiring(self, record: ProviderRecord, urls: Callable[[str], CallbackUrls]) -> Wiring:
        """Return what a vendor needs to say, or to set up, where it calls back.

        Args:
            record: The provider.
            urls: Gives the addresses for a callback token.
        """
        settings = await self._directory.settings_of(record)
        senders = (await self._directory.snapshot()).senders_of(record.id)
        return Wiring(
            urls=urls(settings.get(TOKEN, "")),
            settings=record.settings,
            secrets=frozenset(record.secrets),
            senders=tuple(sender.sender for sender in senders),
        )

    async def rotate_token(self, identity: str, etag: str | None, *, keep_previous: bool) -> ProviderRecord:
        """Give a provider a new callback token; the one before stays valid for as long as it is kept.

        Raises:
            ProblemError: It is gone, was changed since, or its vendor signs callbacks and needs no token.
        """
        record = await self._directory.current(identity, etag)
        vendor = self._directory.vendor(record.vendor)
        if not any(setting.name == TOKEN for setting in vendor.description.settings):
            raise ProblemError(
                Kind.CONFLICT, f"{vendor.description.title} proves its callbacks otherwise; they carry no token."
            )
        settings = await self._directory.settings_of(record)
        settings[TOKEN_SECONDARY] = settings.get(TOKEN, "") if keep_previous else ""
        settings[TOKEN] = self._ids.token()
        settings = {name: value for name, value in settings.items() if value}
        return await self._directory.replace_settings(record, settings)

    async def subscribe(self, record: ProviderRecord, wiring: Wiring) -> Subscribed:
        """Set a provider's callbacks up by its vendor's API, and save the settings that follow from it.

        Raises:
            ProblemError: A setting is missing, the vendor has no such API, or it did not take it.
        """
        vendor = self._directory.vendor(record.vendor)
        require(missing_settings(vendor.description, await self._directory.settings_of(record)))
        accounts = await self._directory.accounts(record)
        try:
            subscribed = await vendor.subscribe(accounts[0], wiring, self._http)
        except SubscribeError as error:
            raise ProblemError(Kind.CONFLICT, str(error)) from error
        changed = {name: value for name, value in subscribed.settings.items() if record.settings.get(name) != value}
        if changed:
            await self._directory.change(record.id, ProviderChange(settings=changed), None)
        return subscribed

    async def dry_run(self, record: ProviderRecord, wanted: DryRunRequest, report_url: str) -> HttpRequest:
        """Return the request that a message would make.

        Raises:
            ProblemError: The message cannot be sent, or the vendor's requests are not described by configuration.
        """
        vendor = self._directory.vendor(record.vendor)
        require(missing_settings(vendor.description, await self._directory.settings_of(record)))
        senders = (await self._directory.snapshot()).senders_of(record.id)
        sender = next((s for s in senders if wanted.sender in {None, s.id, s.address}), None)
        if sender is None:
            raise invalid("/from", "The provider has no such sender; add one, or leave it out.")
        try:
            recipient = parse_recipient(wanted.to)
        except NumberError as error:
            raise invalid("/to", str(error)) from error
        batch = self._ids.new()
        call = SendCall(
            batch=batch,
            sender=sender.sender,
            messages=(Outgoing(message_id(batch, 0), recipient.number, wanted.text),),
            first_attempt=self._clock(),
            validity=wanted.validity_period,
            report_url=report_url,
            category=wanted.category,
        )
        request = vendor.dry_run(record.settings, call)
        if request is None:
            raise ProblemError(
                Kind.CONFLICT, f"{vendor.description.title} has its own code: there is no request template to show."
            )
        return request
