"""The bodies of `/sms/send` and `/sms/sendbatch`, and what is wrong with them.

Fields, types and defaults: MT document, "Sending MT messages" and "Batch sending MT messages". ASSUMED: fields it does
not list are refused, as are numbers where it says string.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, StringConstraints
from pydantic.alias_generators import to_camel

from sandbox.numbers import is_number
from sandbox.segments import count_segments
from sandbox.vendors.linkmobility.records import TWO_DAYS_IN_MS
from sandbox.vendors.linkmobility.wire import QUEUED

MOST_MESSAGES = 1000
_MOST_SEGMENTS = 254
_LAST_OF_BMP = "\uffff"
_SHORT_NUMBER = re.compile(r"\A\d{1,14}\Z", re.ASCII)
_NAME = re.compile(r"\A[A-Za-z][A-Za-z0-9]{1,10}\Z", re.ASCII)
_HEX = re.compile(r"\A([0-9A-Fa-f]{2})+\Z", re.ASCII)
_VALIDITY_AHEAD = (timedelta(minutes=15), timedelta(hours=48))


def _date_time(text: str) -> str:
    """Let RFC 3339 pass, and only with a zone."""
    if "T" not in text.upper():
        raise ValueError("no date-time of RFC 3339")
    return text


def _camel(name: str) -> str:
    return to_camel(name).removesuffix("Ton") + "TON" if name.endswith("_ton") else to_camel(name)


Text = Annotated[str, StringConstraints(strict=True)]
Whole = Annotated[int, Strict()]
YesOrNo = Annotated[bool, Strict()]
TypeOfNumber = Literal["ALPHANUMERIC", "SHORTNUMBER", "MSISDN"]
Priority = Literal["HIGH", "NORMAL", "LOW"]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", alias_generator=_camel)


class Shared(_Fields):
    """What a whole request says.

    Attributes:
        platform_id: The platform.
        platform_partner_id: The customer on it.
        use_delivery_report: Whether reports are wanted.
        delivery_report_gates: The ids of the gates they leave by.
        relative_validity_time: Milliseconds a message may take.
        absolute_validity_time: When a message is worthless; outweighs the relative one.
        priority: How urgent it is.
        ignore_response: Whether nothing is to be answered but 204; so when left out, says the document up to 1.18.
        custom_parameters: Texts by name.
    """

    platform_id: Any = None
    platform_partner_id: Any = None
    use_delivery_report: YesOrNo = True
    delivery_report_gates: list[Text] = []
    relative_validity_time: Annotated[int, Strict(), Field(gt=0, le=TWO_DAYS_IN_MS)] = TWO_DAYS_IN_MS
    absolute_validity_time: Annotated[Text, AfterValidator(_date_time)] | None = None
    priority: Priority | None = None
    ignore_response: YesOrNo = True
    custom_parameters: dict[Text, Text] = {}

    def seconds_left(self, now: datetime) -> float:
        """Give the seconds a message may take.

        Raises:
            ValueError: The absolute time is none, or not 15 minutes to 48 hours ahead.
        """
        if self.absolute_validity_time is None:
            return self.relative_validity_time / 1000
        until = datetime.fromisoformat(self.absolute_validity_time)
        if until.tzinfo is None or not _VALIDITY_AHEAD[0] <= until - now <= _VALIDITY_AHEAD[1]:
            raise ValueError("absoluteValidityTime must be 15 minutes to 48 hours ahead")
        return (until - now).total_seconds()


class Entry(_Fields):
    """What is said of one message.

    Attributes:
        source: From.
        source_ton: Which kind of address that is.
        destination: To.
        destination_ton: Which kind of address that is.
        dcs: How the text is coded.
        user_data_header: For binary messages, in hexadecimal.
        user_data: The text.
        ref_id: The customer's own id.
        mo_reference_id: The incoming text that is answered.
        priority: How urgent it is.
        custom_parameters: Texts by name.
        tariff: Premium messages only, which are not simulated; so are the four that follow.
        currency: See above.
        age: See above.
        product_description: See above.
        product_category: See above.
    """

    source: Text
    source_ton: TypeOfNumber = Field(default="ALPHANUMERIC")
    destination: Text
    destination_ton: TypeOfNumber = Field(default="MSISDN")
    dcs: Literal["TEXT", "GSM", "UCS2", "BINARY"] = "TEXT"
    user_data_header: Text | None = None
    user_data: Text = ""
    ref_id: Text | None = None
    mo_reference_id: Text | None = None
    priority: Priority | None = None
    custom_parameters: dict[Text, Text] = {}
    tariff: Whole = 0
    currency: Text | None = None
    age: Whole | None = None
    product_description: Text | None = None
    product_category: Whole | None = None

    def fault(self) -> int:
        """Give the result code of what cannot be sent, that of `Queued` when it can.

        ASSUMED: a character above U+FFFF, which the document calls unsupported, is answered as wrong user data.
        """
        checks = (
            (2000, _is_source(self.source, self.source_ton)),
            (2100, self.destination_ton != "SHORTNUMBER"),
            (2101, self.destination_ton != "ALPHANUMERIC"),
            (2106, is_number(self.destination)),
            (4004, self.user_data_header is None or bool(_HEX.match(self.user_data_header))),
            (4003, bool(self.user_data) and max(self.user_data) <= _LAST_OF_BMP),
            (4003, self.dcs != "BINARY" or bool(_HEX.match(self.user_data))),
            (4003, count_segments(self.user_data) <= _MOST_SEGMENTS),
        )
        return next((code for code, holds in checks if not holds), QUEUED)


class Single(Shared, Entry):
    """The body of `/sms/send`."""


class Batch(Shared):
    """The body of `/sms/sendbatch`.

    Attributes:
        send_request_messages: The messages.
    """

    send_request_messages: Annotated[list[Entry], Field(min_length=1, max_length=MOST_MESSAGES)]


def _is_source(source: str, kind: TypeOfNumber) -> bool:
    if kind == "MSISDN":
        return is_number(source)
    return bool((_SHORT_NUMBER if kind == "SHORTNUMBER" else _NAME).match(source))
