"""The receipts of a message: one for each stage it passes and each part it was split into.

Sources: https://developer-aggregation.vibes.com/reference/callbacks, .../retrieve-message-responses and
.../delivery-receipt-response-codes. The numbers of the carriers' codes but 107 are ASSUMED: the page that lists their
words in order has lost them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement

from sandbox.outcomes import Reason
from sandbox.vendors.vibes.wire import child, receipt_date

if TYPE_CHECKING:
    from sandbox.ledger import Message
    from sandbox.outcomes import Step

SYSTEM, CARRIER, HANDSET = "System", "Carrier", "Handset"


@dataclass(frozen=True, slots=True)
class Stage:
    """What a receipt says of one stage.

    Attributes:
        type: Who speaks: Vibes, the carrier, or the carrier about the phone.
        description: In words.
        error: The carrier's code.
        internal: Vibes' own code; next to a carrier's code it means nothing.
    """

    type: str
    description: str
    error: int | None = None
    internal: int | None = None

    @property
    def failed(self) -> bool:
        """Whether the stage was not passed."""
        return self.error is not None or self.internal is not None


PASSED = {
    "queued": Stage(SYSTEM, "MtMessage successfully queued for delivery"),
    "sent": Stage(CARRIER, "MtMessage successfully delivered to Carrier"),
    "delivered": Stage(HANDSET, "MtMessage successfully delivered to the Handset"),
}
_SUBMIT_FAILED = "Carrier failed while submitting message"
FAILED = {
    Reason.INVALID_NUMBER: Stage(CARRIER, _SUBMIT_FAILED, 107, 7),
    Reason.OPTED_OUT: Stage(SYSTEM, "MDN blocked", internal=9),
    Reason.NO_ROUTE: Stage(SYSTEM, "No carrier route found for code.", internal=8),
    Reason.NOT_MOBILE: Stage(CARRIER, _SUBMIT_FAILED, 107, 7),
    Reason.UNREACHABLE: Stage(HANDSET, "Message was undeliverable by the carrier to the phone.", 103, 255),
    Reason.UNKNOWN_SUBSCRIBER: Stage(HANDSET, _SUBMIT_FAILED, 107, 7),
    Reason.CARRIER_BLOCKED: Stage(HANDSET, _SUBMIT_FAILED, 107, 7),
    Reason.FILTERED: Stage(HANDSET, "Message was deleted by the carrier.", 102, 255),
    Reason.EXPIRED: Stage(HANDSET, "Message validity expired before the carrier could deliver to the phone.", 101, 255),
    Reason.UNCLEAR: Stage(HANDSET, "Message failed.", internal=255),
    Reason.SENDER_UNREGISTERED: Stage(SYSTEM, "Code Lease not found.", internal=16),
    Reason.CARRIER_LIMIT: Stage(SYSTEM, "Message capped.", internal=12),
    Reason.NO_CARRIER_REPORT: Stage(
        HANDSET, "Carrier returned that the receipt state of the message is Unknown.", 100, 255
    ),
}
_ASKED_FOR: Mapping[str, Callable[[Stage], bool]] = {
    "ALL": lambda _: True,
    "ERROR": lambda stage: stage.failed,
    "NONE": lambda _: False,
    "SMSC_ALL": lambda stage: stage.type != SYSTEM,
    "SMSC_ERROR": lambda stage: stage.type != SYSTEM and stage.failed,
}
RECEIPT_OPTIONS = frozenset(_ASKED_FOR)


def stage_of(step: Step) -> Stage:
    """Say which stage a step of a message's life is to Vibes."""
    return FAILED[step.reason] if step.reason is not None else PASSED[step.state]


def is_asked_for(option: str, stage: Stage) -> bool:
    """Tell whether a stage is one that a `receiptOption` asks to be told."""
    return _ASKED_FOR[option](stage)


def parts_of(message: Message) -> Sequence[str]:
    """Give the ids of a message's parts; the first part has the message's own."""
    parts: Sequence[str] = message.extra["parts"]
    return parts


def receipt(message: Message, step: Step, place: int, at: float) -> Element:
    """Build the receipt of one step of one part.

    Args:
        message: The message.
        step: The step.
        place: Which part, from 0.
        at: When, in seconds since 1970.
    """
    stage, parts = stage_of(step), parts_of(message)
    root = Element("mtMessageResponse", {"messageId": parts[place]})
    if message.tag:
        root.set("submitterMessageId", message.tag)
    root.set("receiptDate", receipt_date(at))
    if len(parts) > 1:
        multipart = {"isMultipart": "true", "originalMessageId": message.id}
        SubElement(root, "multipart", {**multipart, "noOfParts": str(len(parts)), "partNumber": str(place + 1)})
    child(root, "type", stage.type)
    status = SubElement(root, "status", {"isError": str(stage.failed).lower()})
    child(status, "description", stage.description)
    for tag, code in (("errorCode", stage.error), ("internalErrorCode", stage.internal)):
        if code is not None:
            child(status, tag, str(code))
    return root
