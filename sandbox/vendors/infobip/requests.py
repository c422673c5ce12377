"""What `POST /sms/3/messages` takes: the OpenAPI file's SmsRequestEnvelope, binary content left out."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from sandbox.vendors.infobip.wire import Wire, read_date

_SHORTEST_WINDOW_MINUTES = 60
Url = Annotated[str, Field(pattern=r"^https?://[^\s]+$")]


class Destination(Wire):
    """One recipient."""

    to: Annotated[str, Field(max_length=64)]
    message_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    network_id: int | None = None


class Language(Wire):
    """The language of the text."""

    language_code: Literal["NONE", "TR", "ES", "PT", "AUTODETECT"]
    single_shift: bool = False
    locking_shift: bool = False


class Content(Wire):
    """The text."""

    text: Annotated[str, Field(min_length=1)]
    transliteration: (
        Literal[
            "NONE",
            "TURKISH",
            "GREEK",
            "CYRILLIC",
            "SERBIAN_CYRILLIC",
            "BULGARIAN_CYRILLIC",
            "CENTRAL_EUROPEAN",
            "BALTIC",
            "NON_UNICODE",
            "PORTUGUESE",
            "COLOMBIAN",
            "ALL",
        ]
        | None
    ) = None
    language: Language | None = None


class Platform(Wire):
    """Whose traffic it is."""

    entity_id: Annotated[str, Field(max_length=255)] | None = None
    application_id: Annotated[str, Field(max_length=255)] | None = None


class ValidityPeriod(Wire):
    """How long the message is worth sending; more than 48 hours become 48 hours."""

    amount: Annotated[int, Field(ge=1)]
    time_unit: Literal["SECONDS", "MINUTES", "HOURS"] = "MINUTES"


class TimeOfDay(Wire):
    """A time of day, UTC."""

    hour: Annotated[int, Field(ge=0, le=23)]
    minute: Annotated[int, Field(ge=0, le=59)]

    @property
    def minutes(self) -> int:
        """Minutes since midnight."""
        return 60 * self.hour + self.minute


class DeliveryTimeWindow(Wire):
    """When the message may be sent."""

    days: Annotated[
        list[Literal["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]],
        Field(min_length=1),
    ]
    start: Annotated[TimeOfDay | None, Field(alias="from")] = None
    end: Annotated[TimeOfDay | None, Field(alias="to")] = None

    @model_validator(mode="after")
    def _long_enough(self) -> Self:
        if (self.start is None) != (self.end is None):
            raise ValueError("from and to are given both or neither")
        if self.start and self.end and abs(self.end.minutes - self.start.minutes) < _SHORTEST_WINDOW_MINUTES:
            raise ValueError("from and to are at least one hour apart")
        return self


class IndiaDlt(Wire):
    """What India asks for."""

    principal_entity_id: str
    content_template_id: str | None = None
    telemarketer_id: str | None = None


class TurkeyIys(Wire):
    """What Türkiye asks for."""

    recipient_type: Literal["BIREYSEL", "TACIR"]
    brand_code: int | None = None


class SouthKorea(Wire):
    """What South Korea asks for."""

    title: Annotated[str, Field(max_length=66)] | None = None
    reseller_code: int | None = None


class Regional(Wire):
    """What single countries ask for."""

    india_dlt: IndiaDlt | None = None
    turkey_iys: TurkeyIys | None = None
    south_korea: SouthKorea | None = None


class MessageOptions(Wire):
    """Options of one message."""

    platform: Platform = Platform()
    validity_period: ValidityPeriod | None = None
    delivery_time_window: DeliveryTimeWindow | None = None
    campaign_reference_id: Annotated[str, Field(max_length=255)] | None = None
    regional: Regional | None = None
    flash: bool = False


class Delivery(Wire):
    """Where and what to report."""

    url: Url | None = None
    intermediate_report: bool = False
    notify: bool = True


class Webhooks(Wire):
    """Reports of one message; the sandbox reports in JSON only."""

    delivery: Delivery = Delivery()
    content_type: Literal["application/json"] = "application/json"
    callback_data: Annotated[str, Field(max_length=4000)] | None = None


class SmsMessage(Wire):
    """One text to some recipients."""

    sender: Annotated[str, Field(min_length=1)] | None = None
    destinations: Annotated[list[Destination], Field(min_length=1)]
    content: Content
    options: MessageOptions = MessageOptions()
    webhooks: Webhooks = Webhooks()


class SpeedLimit(Wire):
    """How fast to send."""

    amount: Annotated[int, Field(ge=1)]
    time_unit: Literal["MINUTE", "HOUR", "DAY"] = "MINUTE"


class Schedule(Wire):
    """When to send, and what the request is called."""

    bulk_id: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    send_at: str | None = None
    sending_speed_limit: SpeedLimit | None = None

    @field_validator("send_at")
    @classmethod
    def _a_date(cls, text: str | None) -> str | None:
        if text is not None and read_date(text) is None:
            raise ValueError("must be a date of the format yyyy-MM-dd'T'HH:mm:ss.SSSZ")
        return text


class Tracking(Wire):
    """Shortened links."""

    shorten_url: bool = True
    track_clicks: bool = True
    tracking_url: Url | None = None
    remove_protocol: bool = False
    custom_domain: str | None = None


class ConversionTracking(Wire):
    """Conversions."""

    use_conversion_tracking: bool = False
    conversion_tracking_name: str | None = None


class RequestOptions(Wire):
    """Options of the whole request."""

    schedule: Schedule = Schedule()
    tracking: Tracking | None = None
    include_sms_count_in_response: bool = False
    conversion_tracking: ConversionTracking | None = None


class SendRequest(Wire):
    """The body of `POST /sms/3/messages`."""

    messages: Annotated[list[SmsMessage], Field(min_length=1)]
    options: RequestOptions = RequestOptions()
