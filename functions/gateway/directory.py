"""Providers and their senders: what is configured, who owns it, and the accounts that follow from it.

All of it lies in one partition, so one query reads it whole; every process keeps that for a few seconds. Secrets lie in
the secret store under a name that changes with every change, and the provider's row says which name is valid: switching
credentials is one conditional write.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from functions.gateway.clock import Clock, Ids
from functions.gateway.models import NewProvider, NewSender, ProviderChange, ProviderState, SenderChange
from functions.gateway.numbers import NumberError, parse_sender
from functions.gateway.problems import FieldError, invalid, not_found
from functions.gateway.records import (
    PARTITION,
    SENDER_MARK,
    TABLE,
    ProviderRecord,
    SenderRecord,
    Snapshot,
    changed_since,
    check_version,
    provider_record,
    provider_row,
    sender_key,
    sender_record,
    sender_row,
)
from functions.gateway.settingrules import check_settings, given_settings, missing_settings, require
from functions.storage.ports import Secrets, StaleError, Tables
from functions.vendors.contract import (
    TOKEN,
    Account,
    Vendor,
    variants,
)

FRESH_FOR = 5.0
"""Seconds for which a process trusts what it read; a change by another process is seen within them."""


class Directory:
    """Reads and changes providers and senders."""

    def __init__(
        self,
        tables: Tables,
        secrets: Secrets,
        vendors: Mapping[str, Vendor],
        clock: Clock,
        ids: Ids,
        *,
        allow_local_vendors: bool,
    ) -> None:
        self._tables = tables
        self._secrets = secrets
        self._vendors = vendors
        self._clock = clock
        self._ids = ids
        self._allow_local_vendors = allow_local_vendors
        self._kept: tuple[float, Snapshot] | None = None
        self._reading = asyncio.Lock()

    def vendor(self, name: str) -> Vendor:
        """Return the vendor of this name.

        Raises:
            ProblemError: There is none.
        """
        vendor = self._vendors.get(name)
        if vendor is None:
            raise not_found("vendor", name)
        return vendor

    async def snapshot(self, *, max_age: float = FRESH_FOR) -> Snapshot:
        """Return what is configured.

        Args:
            max_age: Seconds that may have passed since it was read; 0 to read it now.
        """
        async with self._reading:
            now = self._clock().timestamp()
            if max_age and self._kept is not None and 0 <= now - self._kept[0] < max_age:
                return self._kept[1]
            providers, senders = {}, {}
            async for row in self._tables.query(TABLE, PARTITION):
                if SENDER_MARK in row.key:
                    sender = sender_record(row)
                    senders[sender.id] = sender
                else:
                    providers[row.key] = provider_record(row)
            snapshot = Snapshot(providers, {s.id: s for s in senders.values() if s.provider in providers})
            self._kept = (now, snapshot)
            return snapshot

    async def provider(self, identity: str, *, max_age: float = 0) -> ProviderRecord:
        """Return one provider.

        Args:
            identity: Its id.
            max_age: Seconds that may have passed since it was read.

        Raises:
            ProblemError: There is none.
        """
        record = (await self.snapshot(max_age=max_age)).providers.get(identity)
        if record is None:
            raise not_found("provider", identity)
        return record

    async def sender(self, provider: str, identity: str) -> SenderRecord:
        """Return one sender of a provider.

        Raises:
            ProblemError: There is none.
        """
        await self.provider(provider)
        record = (await self.snapshot()).senders.get(identity)
        if record is None or record.provider != provider:
            raise not_found("sender", identity)
        return record

    async def accounts(self, provider: ProviderRecord, *, callbacks: bool = False) -> Sequence[Account]:
        """Return the provider's accounts, secrets included: the primary first, then those with secondary secrets.

        Args:
            provider: The provider.
            callbacks: Whether secrets that only prove callbacks count too.
        """
        text = await self._secrets.get(provider.secret_name) if provider.secret_name else "{}"
        if text is None:
            # Another process has just switched the secret: read which name is valid now.
            provider = await self.provider(provider.id)
            text = await self._secrets.get(provider.secret_name) if provider.secret_name else "{}"
        settings = dict(provider.settings) | orjson.loads(text or "{}")
        return variants(self.vendor(provider.vendor).description, provider.id, settings, callbacks=callbacks)

    async def create(self, new: NewProvider) -> ProviderRecord:
        """Create a draft."""
        if new.vendor not in self._vendors:
            raise invalid("/vendor", f"There is no vendor {new.vendor!r}; choose one of {', '.join(self._vendors)}.")
        vendor = self._vendors[new.vendor]
        settings = given_settings(vendor, new.settings)
        check_settings(vendor, settings, local=self._allow_local_vendors)
        now = self._clock()
        record = ProviderRecord(
            id=self._ids.new(),
            vendor=new.vendor,
            name=new.name,
            description=new.description,
            business_unit=new.business_unit,
            state=ProviderState.DRAFT,
            settings={},
            secrets=(),
            secret_name="",
            account="",
            created=now,
            updated=now,
        )
        record = await self._with_settings(vendor, record, settings)
        await self._tables.insert(TABLE, [provider_row(record)])
        return await self._reread(record.id)

    async def change(self, identity: str, change: ProviderChange, etag: str | None) -> ProviderRecord:
        """Change a provider if it is still the version that the caller saw.

        Raises:
            ProblemError: It is gone, was changed since, or the change does not fit.
        """
        record = await self.current(identity, etag)
        vendor = self.vendor(record.vendor)
        given = change.model_dump(exclude_unset=True, exclude={"settings"})
        if given.get("state") is ProviderState.DRAFT or (change.state and record.state is ProviderState.DRAFT):
            raise invalid("/state", "A draft becomes active by POST …/finish, and nothing becomes a draft again.")
        changed = replace(
            record, updated=self._clock(), **{name: value for name, value in given.items() if value is not None}
        )
        if change.settings:
            settings = await self.settings_of(record) | given_settings(vendor, change.settings)
            settings = {name: value for name, value in settings.items() if change.settings.get(name, value)}
            check_settings(vendor, settings, local=self._allow_local_vendors)
            if changed.state is not ProviderState.DRAFT:
                require(missing_settings(vendor.description, settings))
            changed = await self._with_settings(vendor, changed, settings)
        return await self._replace(record, changed)

    async def finish(self, identity: str, etag: str | None) -> ProviderRecord:
        """Make a draft active when everything needed is there.

        Raises:
            ProblemError: Something is missing; it names all of it.
        """
        record = await self.current(identity, etag)
        if record.state is ProviderState.ACTIVE:
            return record
        vendor = self.vendor(record.vendor)
        missing = missing_settings(vendor.description, await self.settings_of(record))
        if not (await self.snapshot()).senders_of(identity):
            missing.append(FieldError("/senders", "Add at least one sender: POST /api/providers/{id}/senders."))
        require(missing)
        return await self._replace(record, replace(record, state=ProviderState.ACTIVE, updated=self._clock()))

    async def delete(self, identity: str, etag: str | None) -> None:
        """Delete a provider with its senders and its secrets."""
        record = await self.current(identity, etag)
        senders = (await self.snapshot()).senders_of(identity)
        try:
            await self._tables.delete(TABLE, PARTITION, identity, etag=record.etag)
        except StaleError as error:
            raise changed_since() from error
        finally:
            self._kept = None
        for sender in senders:
            await self._tables.delete(TABLE, PARTITION, sender_key(sender))
        if record.secret_name:
            await self._secrets.delete(record.secret_name)

    async def add_sender(self, provider: str, new: NewSender) -> tuple[SenderRecord, bool]:
        """Add a sender; tell whether it is new. Adding the same one again returns the one that is there."""
        record = await self.provider(provider)
        vendor = self.vendor(record.vendor)
        rule = vendor.description.sender_rule(new.type)
        if rule is None:
            supported = ", ".join(rule.type.value for rule in vendor.description.senders)
            raise invalid("/type", f"{vendor.description.title} has no {new.type.value} senders; it has {supported}.")
        try:
            address = parse_sender(new.type.value, new.address.strip())
        except NumberError as error:
            raise invalid("/address", str(error)) from error
        if rule.pattern and not re.fullmatch(rule.pattern, address):
            raise invalid("/address", f"{vendor.description.title} does not take this one: {rule.note}")
        now = self._clock()
        sender = SenderRecord(
            id="snd-" + hashlib.blake2b(f"{provider}|{address}".encode(), digest_size=10).hexdigest(),
            provider=provider,
            type=new.type,
            address=address,
            display_name=new.display_name,
            business_unit=new.business_unit,
            created=now,
            updated=now,
        )
        created = bool(await self._tables.insert(TABLE, [sender_row(sender)]))
        self._kept = None
        return await self.sender(provider, sender.id), created

    async def change_sender(self, provider: str, identity: str, change: SenderChange, etag: str | None) -> SenderRecord:
        """Change a sender's words if it is still the version that the caller saw."""
        record = await self.sender(provider, identity)
        check_version(record.version, etag)
        given = {name: value for name, value in change.model_dump(exclude_unset=True).items() if value is not None}
        try:
            await self._tables.replace(TABLE, sender_row(replace(record, updated=self._clock(), **given)))
        except StaleError as error:
            raise changed_since() from error
        finally:
            self._kept = None
        return await self.sender(provider, identity)

    async def delete_sender(self, provider: str, identity: str, etag: str | None) -> None:
        """Remove a sender."""
        record = await self.sender(provider, identity)
        check_version(record.version, etag)
        try:
            await self._tables.delete(TABLE, PARTITION, sender_key(record), etag=record.etag)
        except StaleError as error:
            raise changed_since() from error
        finally:
            self._kept = None

    async def settings_of(self, record: ProviderRecord) -> dict[str, str]:
        """Return a provider's settings, secrets included."""
        settings = dict(record.settings)
        if record.secret_name:
            settings |= orjson.loads(await self._secrets.get(record.secret_name) or "{}")
        return settings

    async def replace_settings(self, record: ProviderRecord, settings: Mapping[str, str]) -> ProviderRecord:
        """Give a provider other settings, secrets included.

        Raises:
            ProblemError: It was changed since the record was read.
        """
        now = replace(record, updated=self._clock())
        return await self._replace(record, await self._with_settings(self.vendor(record.vendor), now, settings))

    async def _with_settings(
        self, vendor: Vendor, record: ProviderRecord, settings: Mapping[str, str]
    ) -> ProviderRecord:
        if any(s.name == TOKEN for s in vendor.description.settings):
            settings = {TOKEN: self._ids.token(), **settings}
        secret = {s.name: settings[s.name] for s in vendor.description.settings if s.secret and s.name in settings}
        name = ""
        if secret:
            name = f"sms-{record.id}-{self._ids.new()}"
            await self._secrets.set(name, orjson.dumps(secret).decode())
        return replace(
            record,
            settings={key: value for key, value in settings.items() if key not in secret},
            secrets=tuple(sorted(secret)),
            secret_name=name,
            account=vendor.account_name(settings),
        )

    async def current(self, identity: str, etag: str | None) -> ProviderRecord:
        """Return a provider if it is the version that the caller saw.

        Raises:
            ProblemError: It is gone, or was changed since.
        """
        record = await self.provider(identity)
        check_version(record.version, etag)
        return record

    async def _replace(self, old: ProviderRecord, new: ProviderRecord) -> ProviderRecord:
        try:
            await self._tables.replace(TABLE, provider_row(new))
        except StaleError as error:
            if new.secret_name != old.secret_name:
                await self._secrets.delete(new.secret_name)
            raise changed_since() from error
        finally:
            self._kept = None
        if old.secret_name and new.secret_name != old.secret_name:
            await self._secrets.delete(old.secret_name)
        return await self._reread(new.id)

    async def _reread(self, identity: str) -> ProviderRecord:
        self._kept = None
        return await self.provider(identity)
