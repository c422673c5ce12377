"""Providers and their senders: what is configured, who owns it, and the accounts that follow from it.

All of it lies in one partition, so one query reads it whole; every process keeps that for a few seconds. Secrets lie in
the secret store under a name that changes with every change, and the provider's row says which name is valid: switching
credentials is one conditional write.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import orjson

from functions.gateway.addresses import objection, objections
from functions.gateway.clock import Clock, Ids, from_ms, message_id, to_ms
from functions.gateway.models import DryRunRequest, NewProvider, NewSender, ProviderChange, ProviderState, SenderChange
from functions.gateway.numbers import NumberError, parse_recipient, parse_sender
from functions.gateway.problems import FieldError, Kind, ProblemError, invalid, not_found
from functions.gateway.sources import networks
from functions.storage.ports import Row, Secrets, StaleError, Tables
from functions.vendors.contract import (
    TOKEN,
    TOKEN_SECONDARY,
    Account,
    CallbackUrls,
    Description,
    Http,
    HttpRequest,
    Outgoing,
    SendCall,
    Sender,
    SenderType,
    Setting,
    SettingType,
    Subscribed,
    SubscribeError,
    Vendor,
    Wiring,
    variants,
)

TABLE = "providers"
PARTITION = "providers"
SENDER_MARK = "~"
"""Separates a provider's id from its sender's in a row key; sorts after every letter and digit."""

FRESH_FOR = 5.0
"""Seconds for which a process trusts what it read; a change by another process is seen within them."""


@dataclass(frozen=True, slots=True)
class ProviderRecord:
    """A provider as it is stored.

    Args:
        secrets: The names of the secret settings that have a value.
        secret_name: Where they lie in the secret store; empty when there are none.
        account: The vendor's own name of the account.
    """

    id: str
    vendor: str
    name: str
    description: str
    business_unit: str
    state: ProviderState
    settings: Mapping[str, str]
    secrets: tuple[str, ...]
    secret_name: str
    account: str
    created: datetime
    updated: datetime
    etag: str | None = None

    @property
    def version(self) -> str:
        """The version as an HTTP entity tag, the same form for every store."""
        return _version(self.etag)


@dataclass(frozen=True, slots=True)
class SenderRecord:
    """A sender as it is stored."""

    id: str
    provider: str
    type: SenderType
    address: str
    display_name: str
    business_unit: str
    created: datetime
    updated: datetime
    etag: str | None = None

    @property
    def version(self) -> str:
        """The version as an HTTP entity tag."""
        return _version(self.etag)

    @property
    def sender(self) -> Sender:
        """The address as vendors take it."""
        return Sender(self.type, self.address)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All providers and senders at one moment."""

    providers: Mapping[str, ProviderRecord] = field(default_factory=dict)
    senders: Mapping[str, SenderRecord] = field(default_factory=dict)

    def senders_of(self, provider: str) -> list[SenderRecord]:
        """Return a provider's senders by address."""
        return sorted((s for s in self.senders.values() if s.provider == provider), key=lambda s: s.address)

    def business_unit(self, sender: SenderRecord) -> str:
        """Return who owns the sender: its own business unit, else its provider's."""
        provider = self.providers.get(sender.provider)
        return sender.business_unit or (provider.business_unit if provider else "")


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
                    sender = _sender_record(row)
                    senders[sender.id] = sender
                else:
                    providers[row.key] = _provider_record(row)
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
        settings = self._given(vendor, new.settings)
        self._check_settings(vendor, settings)
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
        await self._tables.insert(TABLE, [_provider_row(record)])
        return await self._reread(record.id)

    async def change(self, identity: str, change: ProviderChange, etag: str | None) -> ProviderRecord:
        """Change a provider if it is still the version that the caller saw.

        Raises:
            ProblemError: It is gone, was changed since, or the change does not fit.
        """
        record = await self._current(identity, etag)
        vendor = self.vendor(record.vendor)
        given = change.model_dump(exclude_unset=True, exclude={"settings"})
        if given.get("state") is ProviderState.DRAFT or (change.state and record.state is ProviderState.DRAFT):
            raise invalid("/state", "A draft becomes active by POST …/finish, and nothing becomes a draft again.")
        changed = replace(
            record, updated=self._clock(), **{name: value for name, value in given.items() if value is not None}
        )
        if change.settings:
            settings = await self._settings(record) | self._given(vendor, change.settings)
            settings = {name: value for name, value in settings.items() if change.settings.get(name, value)}
            self._check_settings(vendor, settings)
            if changed.state is not ProviderState.DRAFT:
                _require(missing_settings(vendor.description, settings))
            changed = await self._with_settings(vendor, changed, settings)
        return await self._replace(record, changed)

    async def finish(self, identity: str, etag: str | None) -> ProviderRecord:
        """Make a draft active when everything needed is there.

        Raises:
            ProblemError: Something is missing; it names all of it.
        """
        record = await self._current(identity, etag)
        if record.state is ProviderState.ACTIVE:
            return record
        vendor = self.vendor(record.vendor)
        missing = missing_settings(vendor.description, await self._settings(record))
        if not (await self.snapshot()).senders_of(identity):
            missing.append(FieldError("/senders", "Add at least one sender: POST /api/providers/{id}/senders."))
        _require(missing)
        return await self._replace(record, replace(record, state=ProviderState.ACTIVE, updated=self._clock()))

    async def delete(self, identity: str, etag: str | None) -> None:
        """Delete a provider with its senders and its secrets."""
        record = await self._current(identity, etag)
        senders = (await self.snapshot()).senders_of(identity)
        try:
            await self._tables.delete(TABLE, PARTITION, identity, etag=record.etag)
        except StaleError as error:
            raise _changed_since() from error
        finally:
            self._kept = None
        for sender in senders:
            await self._tables.delete(TABLE, PARTITION, _sender_key(sender))
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
        created = bool(await self._tables.insert(TABLE, [_sender_row(sender)]))
        self._kept = None
        return await self.sender(provider, sender.id), created

    async def change_sender(self, provider: str, identity: str, change: SenderChange, etag: str | None) -> SenderRecord:
        """Change a sender's words if it is still the version that the caller saw."""
        record = await self.sender(provider, identity)
        _match(record.version, etag)
        given = {name: value for name, value in change.model_dump(exclude_unset=True).items() if value is not None}
        try:
            await self._tables.replace(
                TABLE, replace_etag(_sender_row(replace(record, updated=self._clock(), **given)), record.etag)
            )
        except StaleError as error:
            raise _changed_since() from error
        finally:
            self._kept = None
        return await self.sender(provider, identity)

    async def delete_sender(self, provider: str, identity: str, etag: str | None) -> None:
        """Remove a sender."""
        record = await self.sender(provider, identity)
        _match(record.version, etag)
        try:
            await self._tables.delete(TABLE, PARTITION, _sender_key(record), etag=record.etag)
        except StaleError as error:
            raise _changed_since() from error
        finally:
            self._kept = None

    async def check(self, identity: str, http: Http) -> list[dict[str, Any]]:
        """Try each set of the provider's credentials live and say what came of it."""
        record = await self.provider(identity)
        vendor = self.vendor(record.vendor)
        _require(missing_settings(vendor.description, await self._settings(record)))
        results = []
        for name, account in zip(("primary", "secondary"), await self.accounts(record), strict=False):
            result = await vendor.check(account, http)
            results.append({"credentials": name, "ok": result.ok, "detail": result.detail})
        return results

    async def wiring(self, record: ProviderRecord, urls: Callable[[str], CallbackUrls]) -> Wiring:
        """Return what a vendor needs to say, or to set up, where it calls back.

        Args:
            record: The provider.
            urls: Gives the addresses for a callback token.
        """
        settings = await self._settings(record)
        senders = (await self.snapshot()).senders_of(record.id)
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
        record = await self._current(identity, etag)
        vendor = self.vendor(record.vendor)
        if not any(setting.name == TOKEN for setting in vendor.description.settings):
            raise ProblemError(
                Kind.CONFLICT, f"{vendor.description.title} proves its callbacks otherwise; they carry no token."
            )
        settings = await self._settings(record)
        settings[TOKEN_SECONDARY] = settings.get(TOKEN, "") if keep_previous else ""
        settings[TOKEN] = self._ids.token()
        settings = {name: value for name, value in settings.items() if value}
        changed = await self._with_settings(vendor, replace(record, updated=self._clock()), settings)
        return await self._replace(record, changed)

    async def subscribe(self, record: ProviderRecord, wiring: Wiring, http: Http) -> Subscribed:
        """Set a provider's callbacks up by its vendor's API, and save the settings that follow from it.

        Raises:
            ProblemError: A setting is missing, the vendor has no such API, or it did not take it.
        """
        vendor = self.vendor(record.vendor)
        _require(missing_settings(vendor.description, await self._settings(record)))
        accounts = await self.accounts(record)
        try:
            subscribed = await vendor.subscribe(accounts[0], wiring, http)
        except SubscribeError as error:
            raise ProblemError(Kind.CONFLICT, str(error)) from error
        changed = {name: value for name, value in subscribed.settings.items() if record.settings.get(name) != value}
        if changed:
            await self.change(record.id, ProviderChange(settings=changed), None)
        return subscribed

    async def dry_run(self, record: ProviderRecord, wanted: DryRunRequest, report_url: str) -> HttpRequest:
        """Return the request that a message would make.

        Raises:
            ProblemError: The message cannot be sent, or the vendor's requests are not described by configuration.
        """
        vendor = self.vendor(record.vendor)
        _require(missing_settings(vendor.description, await self._settings(record)))
        senders = (await self.snapshot()).senders_of(record.id)
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

    async def _settings(self, record: ProviderRecord) -> dict[str, str]:
        settings = dict(record.settings)
        if record.secret_name:
            settings |= orjson.loads(await self._secrets.get(record.secret_name) or "{}")
        return settings

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

    async def _current(self, identity: str, etag: str | None) -> ProviderRecord:
        record = await self.provider(identity)
        _match(record.version, etag)
        return record

    async def _replace(self, old: ProviderRecord, new: ProviderRecord) -> ProviderRecord:
        try:
            await self._tables.replace(TABLE, replace_etag(_provider_row(new), old.etag))
        except StaleError as error:
            if new.secret_name != old.secret_name:
                await self._secrets.delete(new.secret_name)
            raise _changed_since() from error
        finally:
            self._kept = None
        if old.secret_name and new.secret_name != old.secret_name:
            await self._secrets.delete(old.secret_name)
        return await self._reread(new.id)

    async def _reread(self, identity: str) -> ProviderRecord:
        self._kept = None
        return await self.provider(identity)

    def _given(self, vendor: Vendor, given: Mapping[str, str | Mapping[str, Any] | None]) -> dict[str, str]:
        """Return the settings that a caller gave, as they are kept.

        Raises:
            ProblemError: One is the gateway's own, or is no text where it must be.
        """
        known = {setting.name: setting for setting in vendor.description.settings}
        errors, kept = [], {}
        for name, value in given.items():
            setting = known.get(name)
            if setting is not None and setting.generated:
                detail = "The gateway makes it: POST …/callbacks/rotate for a new one."
                errors.append(FieldError(f"/settings/{name}", detail))
            elif isinstance(value, str):
                kept[name] = _cleaned(value) if setting and setting.type is SettingType.URL else value
            elif setting is not None and setting.type is SettingType.JSON and value:
                kept[name] = orjson.dumps(value).decode()
            elif value is not None:
                errors.append(FieldError(f"/settings/{name}", "It must be a text."))
        _require(errors)
        return {name: value for name, value in kept.items() if value}

    def _check_settings(self, vendor: Vendor, settings: Mapping[str, str]) -> None:
        known = {setting.name: setting for setting in vendor.description.settings}
        errors = [
            FieldError(
                f"/settings/{name}", f"{vendor.description.title} has no such setting; it has {', '.join(known)}."
            )
            for name in settings
            if name not in known
        ]
        for name, value in settings.items():
            setting = known.get(name)
            if setting is None:
                continue
            if setting.pattern and not re.fullmatch(setting.pattern, value):
                errors.append(
                    FieldError(f"/settings/{name}", f"It does not look like {setting.example}. {setting.help}")
                )
            errors += [FieldError(f"/settings/{name}", problem) for problem in self._objections(setting, value)]
        _require(errors)
        _require(FieldError(f"/settings/{wrong.setting}", wrong.detail) for wrong in vendor.check_settings(settings))
        _require(
            FieldError(f"/settings/{path}", problem)
            for path, address in vendor.addresses(settings).items()
            if (problem := objection(address, local=self._allow_local_vendors))
        )

    def _objections(self, setting: Setting, value: str) -> list[str]:
        if setting.type is SettingType.JSON:
            return _json_objections(value)
        if setting.type is SettingType.NETWORKS:
            try:
                networks(value)
            except ValueError as error:
                return [str(error)]
            return []
        if setting.type is SettingType.URL:
            found = objection(value, local=self._allow_local_vendors)
            return [found] if found else []
        return objections(value, local=self._allow_local_vendors)


def _cleaned(address: str) -> str:
    """Return an address as it is meant: people paste it without its scheme or with a slash at the end."""
    return (address if not address or "://" in address else f"https://{address}").rstrip("/")


def _json_objections(text: str) -> list[str]:
    try:
        document = orjson.loads(text)
    except ValueError as error:
        return [f"It is no JSON: {error}."]
    return [] if isinstance(document, dict) else ["It must be a JSON object."]


def missing_settings(description: Description, settings: Mapping[str, str]) -> list[FieldError]:
    """Return what has to be given before a provider can send."""
    missing = [
        FieldError(f"/settings/{setting.name}", f"Give it. {setting.help}")
        for setting in description.settings
        if setting.required and not settings.get(setting.name)
    ]
    if description.one_of and not any(settings.get(name) for name in description.one_of):
        missing.append(FieldError("/settings", f"Give one of {', '.join(description.one_of)}."))
    return missing


def _require(errors: Iterable[FieldError]) -> None:
    found = list(errors)
    if found:
        raise ProblemError(Kind.INVALID, "Something is missing or does not fit; see errors.", found)


def _version(etag: str | None) -> str:
    return f'"{hashlib.blake2b((etag or "").encode(), digest_size=8).hexdigest()}"'


def _match(actual: str, expected: str | None) -> None:
    """Refuse unless one of the expected versions is the actual one; ``*`` is any.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1.
    """
    if expected is not None and expected.strip() != "*":
        given = {tag.strip().removeprefix("W/") for tag in expected.split(",")}
        if actual not in given:
            raise _changed_since()


def _changed_since() -> ProblemError:
    return ProblemError(Kind.STALE, "It was changed since you read it. Read it again, then repeat with the new ETag.")


def replace_etag(row: Row, etag: str | None) -> Row:
    """Return the row as the successor of the version with this etag."""
    return replace(row, etag=etag)


def _provider_row(record: ProviderRecord) -> Row:
    return Row(
        PARTITION,
        record.id,
        {
            "vendor": record.vendor,
            "name": record.name,
            "description": record.description,
            "businessUnit": record.business_unit,
            "state": record.state.value,
            "settings": orjson.dumps(dict(record.settings)).decode(),
            "secrets": orjson.dumps(record.secrets).decode(),
            "secretName": record.secret_name,
            "account": record.account,
            "created": to_ms(record.created),
            "updated": to_ms(record.updated),
        },
    )


def _provider_record(row: Row) -> ProviderRecord:
    values: Mapping[str, Any] = row.values
    return ProviderRecord(
        id=row.key,
        vendor=values["vendor"],
        name=values["name"],
        description=values["description"],
        business_unit=values["businessUnit"],
        state=ProviderState(values["state"]),
        settings=orjson.loads(values["settings"]),
        secrets=tuple(orjson.loads(values["secrets"])),
        secret_name=values["secretName"],
        account=values["account"],
        created=from_ms(values["created"]),
        updated=from_ms(values["updated"]),
        etag=row.etag,
    )


def _sender_key(record: SenderRecord) -> str:
    return f"{record.provider}{SENDER_MARK}{record.id}"


def _sender_row(record: SenderRecord) -> Row:
    return Row(
        PARTITION,
        _sender_key(record),
        {
            "type": record.type.value,
            "address": record.address,
            "displayName": record.display_name,
            "businessUnit": record.business_unit,
            "created": to_ms(record.created),
            "updated": to_ms(record.updated),
        },
    )


def _sender_record(row: Row) -> SenderRecord:
    values: Mapping[str, Any] = row.values
    provider, _, identity = row.key.partition(SENDER_MARK)
    return SenderRecord(
        id=identity,
        provider=provider,
        type=SenderType(values["type"]),
        address=values["address"],
        display_name=values["displayName"],
        business_unit=values["businessUnit"],
        created=from_ms(values["created"]),
        updated=from_ms(values["updated"]),
        etag=row.etag,
    )
