"""What a 46elks customer has: an account with its balance, and virtual phone numbers."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

PLENTY = 10**12


class Account(BaseModel):
    """A 46elks account.

    Attributes:
        username: The API username.
        password: The API password.
        balance: What is left, in 10,000ths of a krona; every text sent takes from it.
    """

    model_config = ConfigDict(extra="forbid")

    username: str = Field(pattern=r"^[^:\s]+$")
    password: str = Field(min_length=1)
    balance: int = PLENTY


class Number(BaseModel):
    """A virtual phone number.

    Attributes:
        number: E.164.
        account: Whose it is.
        sms_url: Where texts to it are posted.
    """

    model_config = ConfigDict(extra="forbid")

    number: str = Field(pattern=r"^\+[1-9]\d{6,14}$")
    account: str
    sms_url: str | None = Field(default=None, pattern=r"^https?://")


def public_account(account: Account) -> dict[str, Any]:
    """Show an account without its password."""
    return account.model_dump(exclude={"password"})


def public_number(number: Number) -> dict[str, Any]:
    """Show a number without the user and the path that secure its callbacks."""
    parts = urlsplit(number.sms_url or "")
    hidden = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/***"
    return {**number.model_dump(), "sms_url": hidden if number.sms_url else None}
