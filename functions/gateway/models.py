"""The shapes of requests and answers: what the API takes and gives, and what OpenAPI says of it."""

from __future__ import annotations

import math
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from functions.vendors.contract import Category, Description, Reason, SenderType, State

MAX_MESSAGES = 1000
MAX_METADATA_BYTES = 2048

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]
BusinessUnit = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]
Reference = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
MAX_JSON_SETTING = 20_000
SettingValue = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_JSON_SETTING)]
_INT64 = range(-(2**63), 2**63)


def _keepable(value: JsonValue) -> JsonValue:
    """Refuse numbers that would not come back as they were given."""
    match value:
        case dict():
            for item in value.values():
                _keepable(item)
        case list():
            for item in value:
                _keepable(item)
        case float() if not math.isfinite(value):
            raise ValueError("NaN and Infinity are no JSON")
        case int() if value not in _INT64:
            raise ValueError("a whole number has at most 64 bits; send it as text")
    return value


JsonObject = Annotated[dict[str, JsonValue], AfterValidator(_keepable)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_keepable)]


class Shape(BaseModel):
    """JSON in camelCase; unknown fields are refused, so that a typing error cannot pass unseen."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)


class ProviderState(StrEnum):
    """Whether a provider may send."""

    DRAFT = "draft"
    ACTIVE = "active"
    DISABLED = "disabled"


class SettingView(Shape):
    """One setting of a vendor."""

    name: str
    type: str
    required: bool
    secret: bool
    help: str
    example: str
    pattern: str | None = None
    secondary_of: str | None = None
    callback: bool = Field(default=False, description="Only proves callbacks.")
    generated: bool = Field(default=False, description="The gateway makes it; it cannot be set.")


class SenderTypeView(Shape):
    """A sender type that a vendor supports."""

    type: SenderType
    two_way: bool
    countries: list[str] = Field(description="Where it reaches; empty for no limit known to the gateway.")
    per_minute: int | None = Field(default=None, description="Messages a minute that the vendor allows by default.")
    note: str
    pattern: str | None = Field(default=None, description="What the whole address must match.")


class VendorView(Shape):
    """A vendor: what it needs and what it can do."""

    name: str = Field(examples=["twilio"])
    title: str
    docs: str
    notice: str
    settings: list[SettingView]
    one_of: list[str] = Field(description="At least one of these settings must be given.")
    sender_types: list[SenderTypeView]
    capabilities: dict[str, Any]
    published_sources: list[str] = Field(description="The networks its callbacks come from, as it publishes them.")

    @classmethod
    def of(cls, description: Description) -> VendorView:
        """Return the view of a vendor's description."""
        capabilities = asdict(description.capabilities)
        capabilities["replay_window_seconds"] = capabilities.pop("replay_window").total_seconds()
        return cls(
            name=description.name,
            title=description.title,
            docs=description.docs,
            notice=description.notice,
            settings=[SettingView(**asdict(setting)) for setting in description.settings],
            one_of=list(description.one_of),
            sender_types=[SenderTypeView(**asdict(rule)) for rule in description.senders],
            published_sources=list(description.published_sources),
            capabilities={to_camel(name): value for name, value in capabilities.items()},
        )


class VendorsView(Shape):
    """The vendors by name."""

    items: list[VendorView]


class NewProvider(Shape):
    """A provider to create; it is a draft until it is finished."""

    vendor: str = Field(description="One of the vendors that GET /api/vendors lists.", examples=["twilio"])
    name: Name = Field(description="What people call it.", examples=["Twilio EU"])
    description: Words = Field(default="", description="Anything worth knowing about it.")
    business_unit: BusinessUnit = Field(default="", description="Who owns it.", examples=["retail"])
    settings: dict[str, SettingValue | JsonObject] = Field(
        default_factory=dict,
        description="The vendor's settings by name. Secret ones are kept in the secret store and never shown again.",
        examples=[
            {"accountSid": "AC0123456789abcdef0123456789abcdef", "authToken": "0123456789abcdef0123456789abcdef"}
        ],
    )


class ProviderChange(Shape):
    """What to change of a provider; what is left out stays."""

    name: Name | None = None
    description: Words | None = None
    business_unit: BusinessUnit | None = None
    state: ProviderState | None = Field(
        default=None, description="`active` or `disabled`; a draft is finished instead."
    )
    settings: dict[str, SettingValue | JsonObject | None] = Field(
        default_factory=dict,
        description="Settings to set by name; null removes one.",
        examples=[{"authTokenSecondary": None}],
    )


class Provider(Shape):
    """One configured account at a vendor."""

    id: str = Field(examples=["01kb3v9r2m8q4t6w0x5y7z1a2b"])
    vendor: str
    name: str
    description: str
    business_unit: str
    state: ProviderState
    settings: dict[str, str | JsonObject] = Field(description="The settings that are not secret.")
    secrets_set: list[str] = Field(description="The names of the secret settings that have a value.")
    senders: int = Field(description="How many senders it has.")
    created_at: datetime
    updated_at: datetime
    notice: str = Field(default="", description="What to know about the vendor, such as a retirement.")


class Providers(Shape):
    """Providers by name."""

    items: list[Provider]


class NewSender(Shape):
    """A sender to add to a provider."""

    type: SenderType
    address: str = Field(
        description="E.164 with plus, a bare short code, or an alphanumeric id of up to 11 characters.",
        examples=["+18885550100"],
        min_length=1,
        max_length=20,
    )
    display_name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] = ""
    business_unit: BusinessUnit = Field(default="", description="Empty: the provider's own.")


class SenderChange(Shape):
    """What to change of a sender; its type and address stay for life."""

    display_name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] | None = None
    business_unit: BusinessUnit | None = None


class SenderView(Shape):
    """A number or alphanumeric id that belongs to a provider."""

    id: str = Field(examples=["snd-6mbpw3d2v9t1k8"])
    provider: str
    type: SenderType
    address: str
    display_name: str
    business_unit: str
    two_way: bool = Field(description="Whether people can reply to it.")
    created_at: datetime
    updated_at: datetime
    note: str = ""


class Senders(Shape):
    """The senders of a provider, by address."""

    items: list[SenderView]


class MessageIn(Shape):
    """One message of a call."""

    to: str = Field(description="The recipient in E.164 with plus.", examples=["+14255550123"])
    text: Text | None = Field(default=None, description="Its own text; left out, the call's text.")
    reference: Reference | None = Field(default=None, description="The caller's own name for it, handed back.")
    metadata: Metadata | None = Field(
        default=None, description="Handed back with the message and in every event; at most 2 KiB of JSON."
    )


class SendRequest(Shape):
    """One text to one or many, or up to 1,000 texts of their own."""

    sender: str = Field(
        alias="from",
        description="The sender's id, or its address where only one active sender has it.",
        examples=["+18885550100"],
        min_length=1,
        max_length=100,
    )
    to: str | list[str] | None = Field(
        default=None,
        description="One recipient or up to 1,000 of the same text; or use `messages`.",
        examples=["+14255550123"],
    )
    text: Text | None = Field(default=None, description="The text of all messages that have none of their own.")
    messages: list[MessageIn] | None = Field(default=None, description="Up to 1,000 messages; or use `to`.")
    category: Category = Field(default=Category.TRANSACTIONAL, description="Why they are sent.")
    validity_period: int | None = Field(
        default=None, ge=1, le=259_200, description="Seconds from now after which they are worthless."
    )
    business_unit: BusinessUnit | None = Field(default=None, description="Must be the sender's, if given.")
    reference: Reference | None = Field(default=None, description="For all messages that have none of their own.")
    metadata: Metadata | None = Field(default=None, description="For all messages that have none of their own.")


class RefusalCode(StrEnum):
    """Why one message of a call was not accepted."""

    INVALID_RECIPIENT = "invalid_recipient"
    INVALID_TEXT = "invalid_text"
    INVALID_METADATA = "invalid_metadata"
    SENDER_NOT_ALLOWED = "sender_not_allowed"


class Refusal(Shape):
    """Why one message was not accepted."""

    code: str
    field: str = Field(description="A JSON pointer into the request.", examples=["/messages/3/to"])
    detail: str


class AcceptedItem(Shape):
    """What became of one message of a call."""

    index: int = Field(description="Its place in the request, from 0.")
    id: str | None = Field(default=None, description="The message's id; absent when it was refused.")
    to: str
    status: str = Field(description="`queued` or `refused`.", examples=["queued"])
    segments: int | None = None
    encoding: str | None = None
    reference: str | None = None
    refusal: Refusal | None = None
    warnings: list[str] = Field(default_factory=list)


class SendAnswer(Shape):
    """What became of a call: an id for each accepted message, a reason for each refused one."""

    accepted: int
    refused: int
    messages: list[AcceptedItem]


class PreviewRequest(Shape):
    """A text to look at without sending it."""

    text: Annotated[str, StringConstraints(max_length=4096)]
    sender: str | None = Field(
        default=None, alias="from", description="A sender, to check against its vendor's limits."
    )


class CostlyCharacter(Shape):
    """A character that costs more than one unit or forces the whole text into UCS-2."""

    character: str
    name: str
    index: int
    count: int


class Preview(Shape):
    """How a text would be sent."""

    encoding: str = Field(examples=["GSM-7"])
    units: int = Field(description="Septets, or UTF-16 code units.")
    segments: int = Field(description="An estimate: vendors and carriers may recode.")
    per_segment: list[int]
    characters: int
    forcing_ucs2: list[CostlyCharacter]
    costing_two: list[CostlyCharacter]
    suggestion: str | None = Field(default=None, description="The same text in GSM-7, where that is possible.")
    refusal: Refusal | None = Field(default=None, description="Why it would be refused.")


class TimelineEntry(Shape):
    """One fact of a message's life."""

    at: datetime
    what: str = Field(
        description="accepted, sending, looking_up, sent, refused, unanswered, report, closed", examples=["sent"]
    )
    state: State | None = None
    reason: Reason | None = None
    detail: str = ""
    attempt: int | None = None
    vendor_id: str | None = None
    vendor_code: str | None = None
    vendor_status: str | None = None
    vendor_time: datetime | None = None
    part: str | None = Field(default=None, description="Of a long message whose parts are reported one by one.")
    counted: bool = Field(default=True, description="False where it changed nothing: a repeat, or a report overtaken.")


class MessageSummary(Shape):
    """A message in a list."""

    id: str
    to: str
    sender: str = Field(alias="from")
    provider: str
    business_unit: str
    status: State
    reason: Reason | None = None
    category: Category
    segments: int
    encoding: str
    reference: str | None = None
    created_at: datetime
    updated_at: datetime


class MessageView(MessageSummary):
    """A message with its whole story."""

    text: str
    metadata: dict[str, JsonValue] | None = None
    vendor: str = ""
    vendor_id: str | None = None
    expires_at: datetime | None = None
    corrected: bool = Field(default=False, description="A late report turned a failure into a delivery.")
    trace_id: str | None = Field(
        default=None, description="The trace of the call that sent it, where telemetry was on: docs/telemetry.md."
    )
    timeline: list[TimelineEntry]


class MessagePage(Shape):
    """Messages, newest first."""

    items: list[MessageSummary]
    next: str | None = Field(default=None, description="Pass it as `cursor` for the next page; absent on the last.")


class InboundView(Shape):
    """A text that a person sent to one of our senders."""

    id: str
    sender: str = Field(alias="from")
    to: str
    provider: str | None = Field(default=None, description="Absent when the sender belongs to none any more.")
    business_unit: str
    text: str
    keyword: str | None = Field(default=None, description="stop, start or help where it was taken for one.")
    possible_opt_out: bool = Field(default=False, description="It reads like a wish to stop but is no keyword.")
    received_at: datetime
    vendor_time: datetime | None = None
    vendor_id: str


class InboundPage(Shape):
    """Inbound messages, newest first."""

    items: list[InboundView]
    next: str | None = None


class NewOptOut(Shape):
    """A recipient who must not be texted."""

    number: str = Field(description="E.164 with plus.", examples=["+14255550123"])
    sender: str | None = Field(default=None, description="A sender's id or address; left out, from no sender at all.")
    note: Annotated[str, StringConstraints(max_length=200)] = ""


class OptOutView(Shape):
    """A recipient who is not texted."""

    number: str
    sender: str | None = Field(default=None, description="The sender's address; absent for all senders.")
    since: datetime
    source: str = Field(description="keyword, vendor or operator", examples=["keyword"])
    note: str = ""


class OptOutPage(Shape):
    """Opt-outs by number."""

    items: list[OptOutView]
    next: str | None = None


class ErasureState(StrEnum):
    """How far an erasure is."""

    RUNNING = "running"
    WAITING = "waiting"
    DONE = "done"


class NewErasure(Shape):
    """A person to forget."""

    number: str = Field(description="E.164 with plus.", examples=["+14255550123"])
    opt_outs: Literal["keep", "erase"] = Field(
        default="keep",
        description="`keep` leaves the number on the opt-out list, so that nobody texts the person again; `erase` "
        "takes it off that list too, when the person asks for just that.",
    )


class ErasureView(Shape):
    """What became of the wish to forget a person; the number itself is not in it."""

    id: str
    state: ErasureState = Field(
        description="`running`; `waiting` for messages that are still on their way; or `done`.", examples=["running"]
    )
    detail: str = Field(description="The same in words.")
    messages: int = Field(description="How many messages were erased so far.")
    replies: int = Field(description="How many replies were erased so far.")
    in_flight: int = Field(description="How many batches are finished first and erased then.")
    opt_outs: str = Field(description="`keep` or `erase`, as asked for.")
    requested_at: datetime
    finished_at: datetime | None = None


class CheckResult(Shape):
    """What a live check of the credentials found."""

    ok: bool
    detail: str
    checked: list[dict[str, Any]] = Field(description="One entry per set of credentials: primary, then secondary.")


class SetupStepView(Shape):
    """One thing to do at the vendor."""

    title: str
    detail: str
    value: str = ""


class SupportTextView(Shape):
    """A text ready to be sent to the vendor's support."""

    language: str = Field(description="`en` or `de`.")
    subject: str
    text: str


class CallbacksView(Shape):
    """Where the vendor reports and what to set there."""

    report: str = Field(description="The address, or the function, for delivery reports; treat it as a secret.")
    inbound: str = Field(description="The address, or the function, for replies; treat it as a secret.")
    authentication: str
    published_sources: list[str] = Field(description="The networks the vendor says it calls from.")
    can_subscribe: bool = Field(description="Whether POST …/callbacks/subscribe sets this up by the vendor's API.")
    steps: list[SetupStepView]
    support: list[SupportTextView] = Field(description="Ready to be sent where the vendor's support sets this up.")


class Subscribed(Shape):
    """What was set up at the vendor."""

    detail: str
    settings: dict[str, str] = Field(
        default_factory=dict, description="Settings of the provider that follow from it; they are saved."
    )


class DryRunRequest(Shape):
    """A sample message whose request is to be shown."""

    to: str = Field(description="E.164 with plus.", examples=["+14255550123"])
    text: Text = Field(examples=["Your parcel arrives today."])
    sender: str | None = Field(
        default=None, alias="from", description="A sender's id or address; the provider's first one if left out."
    )
    category: Category = Category.TRANSACTIONAL
    validity_period: int | None = Field(default=None, ge=1, le=259_200, description="Seconds.")


class DryRun(Shape):
    """The request that would be made; secrets are shown as the names of their placeholders."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
