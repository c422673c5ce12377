"""What a Vibes customer has: API users, and the codes and numbers Vibes leased to it."""

from __future__ import annotations

from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sandbox.numbers import is_short_code


class Account(BaseModel):
    """An API user.

    Attributes:
        username: An e-mail address.
        password: The password of its Basic authentication.
    """

    model_config = ConfigDict(extra="forbid")

    username: str = Field(pattern=r"^[^:\s]+@[^:\s]+$")
    password: str = Field(min_length=1)


class Number(BaseModel):
    """A short code, long code or toll-free number; Vibes' account managers enter where its texts are posted.

    Attributes:
        number: A bare short code, or an E.164 number.
        account: Whose it is.
        type: What `source@type` must say for it; left out, `SC` for a short code and anything for a number.
        inbound_url: Where texts to it are posted.
        inbound_user: With what user name.
        inbound_password: With what password.
        mdn_format: How the person's number is written there, agreed on when the account is set up.
    """

    model_config = ConfigDict(extra="forbid")

    number: str = Field(pattern=r"^(\d{5,6}|\+1\d{10})$")
    account: str
    type: str | None = Field(default=None, pattern=r"^[A-Z]{2,4}$")
    inbound_url: str | None = Field(default=None, pattern=r"^https?://")
    inbound_user: str | None = None
    inbound_password: str | None = None
    mdn_format: Literal["e164", "ten_digits"] = "e164"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.inbound_user is None) != (self.inbound_password is None):
            raise ValueError("inbound_user and inbound_password go together")
        return self


def source_type(number: Number) -> str:
    """Say what a callback calls the type of a number."""
    return number.type or ("SC" if is_short_code(number.number) else "LC")


def public_account(account: Account) -> dict[str, Any]:
    """Show an API user without its password."""
    return {"username": account.username}


def public_number(number: Number) -> dict[str, Any]:
    """Show a number without the password and the path that secure its callbacks."""
    parts = urlsplit(number.inbound_url or "")
    return {
        **number.model_dump(exclude={"inbound_password"}),
        "inbound_url": f"{parts.scheme}://{parts.netloc}/***" if number.inbound_url else None,
    }
