"""What a customer has at LINK: a login on a platform, numbers, gates that callbacks leave by, keyword routes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

TWO_DAYS_IN_MS = 172_800_000
KeywordType = Literal["EQUALS", "STARTS_WITH", "FIRST_WORD", "DEFAULT"]


class Account(BaseModel):
    """A login, and the platform and partner it may act for.

    Attributes:
        username: The user of Basic authentication.
        password: Its password.
        secondary: A second password that works as well, while they are being changed.
        client_id: The client of OAuth 2, for those who have one.
        client_secret: Its secret.
        client_secret_secondary: A second secret that works as well.
        platform_id: The platform.
        platform_partner_id: The customer on the platform.
        token_seconds: How long an access token lives. ASSUMED, as in the one published answer.
        refuse_whole_batches: Whether one message that cannot be read gets its whole batch a 400, instead of a code of
            its own; LINK does not say which it does.
        temporary_reports: Whether reports tell of passing states, too; by default of final ones only.
        gate_access: Whether the login may use the Gate and Keyword APIs.
    """

    model_config = ConfigDict(extra="forbid")

    username: str = Field(pattern=r"^[!-9;-~]+$")
    password: str = Field(min_length=1)
    secondary: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    client_secret_secondary: str | None = None
    platform_id: str = Field(min_length=1)
    platform_partner_id: str = Field(min_length=1)
    token_seconds: int = 3600
    refuse_whole_batches: bool = False
    temporary_reports: bool = False
    gate_access: bool = True


class Number(BaseModel):
    """A sender of an account.

    Attributes:
        number: A short code with its country, `NO-2333`; a long number, `+46…`; or a name.
        account: Whose it is.
        shared: Whether LINK's own STOP service sits on it, as on short codes that several customers share.
    """

    model_config = ConfigDict(extra="forbid")

    number: str = Field(pattern=r"^([A-Z]{2}-\d{1,14}|\+\d{7,15}|[A-Za-z][A-Za-z0-9]{1,10})$")
    account: str
    shared: bool = False

    @property
    def source(self) -> str:
        """The number as it is written when sending: short codes without their country."""
        return self.number.partition("-")[2] or self.number


class Destination(BaseModel):
    """Where a gate posts to (Gate API, "PartnerGateDestination").

    Attributes:
        url: The address.
        content_type: What is posted; only JSON is simulated.
        username: The user of Basic authentication, if any.
        password: Its password.
        custom_parameters: `http.header1`, `http.header2` and so on: further headers, written `Name:value`.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, alias_generator=to_camel)

    url: str = Field(pattern=r"^https?://[^\s/]+")
    content_type: Literal["application/json"] = "application/json"
    username: str | None = None
    password: str | None = None
    custom_parameters: dict[str, str] = {}

    def extra_headers(self) -> dict[str, str]:
        """Give the further headers."""
        written = [value.partition(":") for name, value in self.custom_parameters.items() if _is_header(name)]
        return {name.strip(): value for name, _, value in written}


class Gate(BaseModel):
    """A way out for reports and incoming texts (Gate API, "PartnerGate").

    Attributes:
        type: Always `PARTNER_GATE`.
        id: LINK's id.
        ref_id: The customer's own name of it.
        platform_id: The platform it belongs to.
        platform_partner_id: The customer on the platform.
        gate_type: Whether all destinations get a callback, or the first that takes it, or any one.
        ttl: How long a callback that nobody takes is tried again, in milliseconds.
        acknowledge: Whether the answer needs a body to count.
        throttle: The most requests a second; accepted, not simulated.
        destinations: Where to.
        custom_parameters: Echoed in callbacks as `gateCustomParameters`.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, alias_generator=to_camel)

    type: Literal["PARTNER_GATE"] = "PARTNER_GATE"
    id: str = Field(default="", pattern=r"^[A-Za-z0-9]*$")
    ref_id: str | None = None
    platform_id: str
    platform_partner_id: str
    gate_type: Literal["ALL", "ONE_ORDERED", "ONE_RANDOM"] = "ONE_ORDERED"
    ttl: int = Field(default=TWO_DAYS_IN_MS, ge=0)
    acknowledge: bool = False
    throttle: int | None = Field(default=None, gt=0)
    destinations: list[Destination] = []
    custom_parameters: dict[str, str] = {}


class KeywordRoute(BaseModel):
    """What becomes of incoming texts (Keyword API, "KeywordRoute").

    Attributes:
        type: Always `KEYWORD_ROUTE`; routes by sub-number are not simulated.
        id: LINK's id.
        ref_id: The customer's own name of it.
        number: The number, a short code with its country.
        keyword: The word, in capitals; none for a `DEFAULT` route.
        keyword_type: How a text is compared with it.
        gate_ids: Where the texts go.
        platform_id: The platform.
        platform_partner_id: The customer on the platform.
        platform_service_type: The customer's own, echoed.
        platform_service_id: The customer's own, echoed.
        custom_parameters: Echoed.
        active: Whether it works.
        start: From when.
        end: Until when.
        shared: Whether others may have the same keyword.
        notify_stop: Whether a STOP that LINK itself dealt with is passed on.
        description: The customer's own, echoed.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, alias_generator=to_camel)

    type: Literal["KEYWORD_ROUTE"] = "KEYWORD_ROUTE"
    id: str = ""
    ref_id: str | None = None
    number: str
    keyword: str | None = Field(default=None, min_length=3)
    keyword_type: KeywordType = "FIRST_WORD"
    gate_ids: list[str] = Field(min_length=1)
    platform_id: str
    platform_partner_id: str
    platform_service_type: str | None = None
    platform_service_id: str | None = None
    custom_parameters: dict[str, str] = {}
    active: bool = True
    start: str = "2026-01-01T00:00:00Z"
    end: str = "2099-01-01T00:00:00Z"
    shared: bool = False
    notify_stop: bool = False
    description: str | None = None

    def fits(self, text: str) -> bool:
        """Tell whether a text is meant for this route."""
        said, word = text.strip().upper(), self.keyword or ""
        return (
            self.active
            and {
                "EQUALS": said == word,
                "FIRST_WORD": said.split(maxsplit=1)[:1] == [word],
                "STARTS_WITH": said.startswith(word),
                "DEFAULT": True,
            }[self.keyword_type]
        )


def public_account(account: Account) -> dict[str, Any]:
    """Show an account without its secrets."""
    return {
        "username": account.username,
        "secondary": account.secondary is not None,
        "client_id": account.client_id,
        "platform_id": account.platform_id,
        "platform_partner_id": account.platform_partner_id,
    }


def public_gate(gate: Gate) -> dict[str, Any]:
    """Show a gate without passwords, header values, and the paths of its addresses, which may hold tokens."""
    shown = gate.model_dump(by_alias=True)
    shown["destinations"] = [
        {
            "url": "/".join([*destination.url.split("/")[:3], "***"]),
            "username": destination.username,
            "headers": list(destination.extra_headers()),
        }
        for destination in gate.destinations
    ]
    return shown


def _is_header(parameter: str) -> bool:
    return parameter.startswith("http.header")
