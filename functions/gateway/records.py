"""Providers and senders as they are stored, and the versions that callers name when they change them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from functions.gateway.clock import from_ms, to_ms
from functions.gateway.models import ProviderState
from functions.gateway.problems import Kind, ProblemError
from functions.storage.ports import Row
from functions.vendors.contract import Sender, SenderType

TABLE = "providers"
PARTITION = "providers"
SENDER_MARK = "~"
"""Separates a provider's id from its sender's in a row key; sorts after every letter and digit."""


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


def _version(etag: str | None) -> str:
    return f'"{hashlib.blake2b((etag or "").encode(), digest_size=8).hexdigest()}"'


def check_version(actual: str, expected: str | None) -> None:
    """Refuse unless one of the expected versions is the actual one; ``*`` is any.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.1.

    Raises:
        ProblemError: It is none of them.
    """
    if expected is not None and expected.strip() != "*":
        given = {tag.strip().removeprefix("W/") for tag in expected.split(",")}
        if actual not in given:
            raise changed_since()


def changed_since() -> ProblemError:
    """Return what is said to a caller who changes another version than the present one."""
    return ProblemError(Kind.STALE, "It was changed since you read it. Read it again, then repeat with the new ETag.")


def provider_row(record: ProviderRecord) -> Row:
    """Return the row of a provider, as the successor of the version that was read."""
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
        record.etag,
    )


def provider_record(row: Row) -> ProviderRecord:
    """Return the provider that a row holds."""
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


def sender_key(record: SenderRecord) -> str:
    """Return the key of a sender's row."""
    return f"{record.provider}{SENDER_MARK}{record.id}"


def sender_row(record: SenderRecord) -> Row:
    """Return the row of a sender, as the successor of the version that was read."""
    return Row(
        PARTITION,
        sender_key(record),
        {
            "type": record.type.value,
            "address": record.address,
            "displayName": record.display_name,
            "businessUnit": record.business_unit,
            "created": to_ms(record.created),
            "updated": to_ms(record.updated),
        },
        record.etag,
    )


def sender_record(row: Row) -> SenderRecord:
    """Return the sender that a row holds."""
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
