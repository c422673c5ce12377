"""What a Twilio customer has: accounts, numbers, Messaging Services."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sandbox.calls import redact_url


class Account(BaseModel):
    """A Twilio account.

    Attributes:
        sid: Its id.
        token: The primary auth token: it signs callbacks, and opens the API.
        secondary: A second token that opens the API and signs nothing until it is promoted.
        api_keys: API key ids and their secrets; they open the API and sign nothing.
    """

    model_config = ConfigDict(extra="forbid")

    sid: str = Field(pattern=r"^AC[0-9a-f]{32}$")
    token: str = Field(pattern=r"^[0-9a-f]{32}$")
    secondary: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    api_keys: dict[str, str] = {}


class Number(BaseModel):
    """A sender of an account.

    Attributes:
        number: E.164 number, short code or name.
        account: Whose it is.
        sms_url: Where its incoming texts are posted.
        sms_method: How.
    """

    model_config = ConfigDict(extra="forbid")

    number: str
    account: str
    sms_url: str | None = Field(default=None, pattern=r"^https?://")
    sms_method: Literal["POST", "GET"] = "POST"


class Service(BaseModel):
    """A Messaging Service: a pool of senders.

    Attributes:
        sid: Its id.
        account: Whose it is.
        numbers: Its senders.
        status_callback: Where states are told when a request does not say.
        inbound_url: Where incoming texts are posted instead of to the number's own address.
        advanced_opt_out: Whether incoming keywords are marked with `OptOutType`.
    """

    model_config = ConfigDict(extra="forbid")

    sid: str = Field(pattern=r"^MG[0-9a-f]{32}$")
    account: str
    numbers: list[str] = []
    status_callback: str | None = Field(default=None, pattern=r"^https?://")
    inbound_url: str | None = Field(default=None, pattern=r"^https?://")
    advanced_opt_out: bool = False


def public_account(account: Account) -> dict[str, Any]:
    """Show an account without its secrets."""
    return {"sid": account.sid, "secondary": account.secondary is not None, "api_keys": list(account.api_keys)}


def public_number(number: Number) -> dict[str, Any]:
    """Show a number without keys in its webhook's address."""
    return {**number.model_dump(), "sms_url": number.sms_url and redact_url(number.sms_url)}
