"""What an Infobip customer has: accounts with API keys, numbers, webhook set-up, refused messages."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scope = Literal[
    "message:send",
    "sms:message:send",
    "sms:manage",
    "sms:logs:read",
    "inbound-message:read",
    "sms:inbound-message:read",
    "subscriptions:manage",
    "numbers:manage",
]
ALL_SCOPES: tuple[Scope, ...] = ("sms:manage", "subscriptions:manage", "numbers:manage")


class ApiKey(BaseModel):
    """A key that opens the API.

    Attributes:
        key: What follows `App` in the Authorization header.
        scopes: What it may do.
    """

    model_config = ConfigDict(extra="forbid")

    key: str = Field(pattern=r"^[A-Za-z0-9-]{16,128}$")
    scopes: tuple[Scope, ...] = ALL_SCOPES


class Account(BaseModel):
    """An Infobip account. The key in a request says which one is meant.

    Attributes:
        name: What the sandbox calls it.
        keys: Its API keys.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9-]{1,50}$")
    keys: tuple[ApiKey, ...]


class Number(BaseModel):
    """A sender of an account.

    Attributes:
        number: As Infobip writes it: digits without plus, or a name.
        account: Whose it is.
        stop_words: Whether STOP blocks the person who sends it, as the portal can set for each number.
    """

    model_config = ConfigDict(extra="forbid")

    number: str = Field(pattern=r"^(?:\d{3,15}|[A-Za-z0-9 ]{1,11})$")
    account: str
    stop_words: bool = True


class Refusal(BaseModel):
    """A message refused in the answer; the log knows it, nothing was sent.

    Attributes:
        account: Whose.
        row: What the log says.
        at: When, in seconds since 1970.
    """

    account: str
    row: dict[str, Any]
    at: float


def public_account(account: Account) -> dict[str, Any]:
    """Show an account without its keys."""
    return {"name": account.name, "keys": [list(key.scopes) for key in account.keys]}
