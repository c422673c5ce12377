"""What a Telesign customer has: an account with its API keys and portal settings, and sender IDs."""

from __future__ import annotations

import base64
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from sandbox.calls import redact_url
from sandbox.vendors.telesign.wire import in_digits, with_plus

Standing = Literal["active", "suspended", "no_sms", "source_blocked", "wallet_empty", "hard_cap"]
Feature = Literal["cost", "network", "parts", "sender_id", "cleansed_phone_number", "phone_number_modified"]


def _decodable(key: str) -> str:
    """Check that a key is Base64 as Telesign's own libraries read it: characters outside the alphabet are skipped."""
    if not base64.b64decode(key):
        msg = "an API key is Base64 of at least one byte"
        raise ValueError(msg)
    return key


class Account(BaseModel):
    """A Telesign account.

    Attributes:
        customer_id: Its id.
        api_keys: Its API keys; all of them open the API, the first one signs callbacks (ASSUMED: Telesign does not say
            which key signs when there are several).
        tps: Requests a second, reading states included; 1 is what a self-service account gets.
        hosts: The API hosts it may use; any when empty.
        standing: Whether it may send, and if not, why.
        verified_numbers: The only numbers a trial account may text, in digits; none for an account that is no trial.
        status_callback: Whether delivery reports are switched on.
        status_callback_url: Where they go when a request does not say.
        inbound_url: Where incoming texts go.
        keywords: Whether incoming texts carry `action` and `keyword`.
        blocks_opt_outs: Whether Telesign blocks who said STOP; it only tells of it otherwise.
        features: What it adds to answers and callbacks.
        clock_skew_seconds: How far the date of a signed request may be off (ASSUMED).
    """

    model_config = ConfigDict(extra="forbid")

    customer_id: str = Field(pattern=r"^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$")
    api_keys: list[Annotated[str, AfterValidator(_decodable)]] = Field(min_length=1)
    tps: float = Field(default=1, gt=0)
    hosts: list[str] = []
    standing: Standing = "active"
    verified_numbers: list[str] | None = None
    status_callback: bool = False
    status_callback_url: str | None = Field(default=None, pattern=r"^https?://")
    inbound_url: str | None = Field(default=None, pattern=r"^https?://")
    keywords: bool = False
    blocks_opt_outs: bool = False
    features: list[Feature] = []
    clock_skew_seconds: float = 900


class Number(BaseModel):
    """A sender ID that Telesign has allowed for an account.

    Attributes:
        number: E.164 number, which may be given in digits, short code or name.
        account: Whose it is.
    """

    model_config = ConfigDict(extra="forbid")

    number: Annotated[str, Field(pattern=r"^(\+[0-9]{7,15}|[0-9]{3,8}|[ -~]{1,20})$"), AfterValidator(with_plus)]
    account: str

    @property
    def digits(self) -> str:
        """What stands in `sender_id`."""
        return in_digits(self.number)


def public_account(account: Account) -> dict[str, Any]:
    """Show an account without its keys, nor those in its addresses."""
    return {
        **account.model_dump(exclude={"api_keys"}),
        "api_keys": len(account.api_keys),
        "status_callback_url": account.status_callback_url and redact_url(account.status_callback_url),
        "inbound_url": account.inbound_url and redact_url(account.inbound_url),
    }
