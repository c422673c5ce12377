"""What an ACS customer has: resources with their keys, tokens and numbers."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Resource(BaseModel):
    """A Communication Services resource.

    Attributes:
        name: Its name.
        keys: Its access keys, base64, primary first; one may be replaced while the other stays.
        tokens: Entra bearer tokens it takes.
        numbers: The senders it owns; none named means any well-formed one.
        clock_skew_seconds: How far a request's date may be off. ASSUMED: 15 minutes, as App Configuration documents
            for the same scheme.
        repeatability_seconds: How long a repeatability id is remembered. ASSUMED: 5 minutes, as documented for the
            e-mail and rooms services.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9-]{1,63}$")
    keys: list[str] = []
    tokens: list[str] = []
    numbers: list[str] = []
    clock_skew_seconds: float = 900
    repeatability_seconds: float = 300

    @field_validator("keys")
    @classmethod
    def _base64(cls, keys: list[str]) -> list[str]:
        for key in keys:
            try:
                base64.b64decode(key, validate=True)
            except binascii.Error as error:
                raise ValueError("an access key is base64") from error
        return keys

    @property
    def topic(self) -> str:
        """Its id, as events name it."""
        return (
            "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/sandbox/providers/"
            f"microsoft.communication/communicationservices/{self.name}"
        )


def public_resource(resource: Resource) -> dict[str, Any]:
    """Show a resource without its secrets."""
    return {
        **resource.model_dump(exclude={"keys", "tokens"}),
        "keys": len(resource.keys),
        "tokens": len(resource.tokens),
    }
