"""What ACS tells of a message: delivery reports and incoming texts, as events and when polled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.clock import iso_ticks
from sandbox.eventgrid import DELIVERY_REPORT, SMS_RECEIVED, Event
from sandbox.outcomes import Reason, Step
from sandbox.vendors.acs.wire import REPORT_DETAILS, REPORTED

if TYPE_CHECKING:
    from sandbox.ledger import Message
    from sandbox.vendors.acs.records import Resource


def report_event(resource: Resource, message: Message, step: Step, now: float) -> Event:
    """Describe the end of a message as `SMSDeliveryReportReceived`; only here the tag is spelt `Tag`."""
    delivered = step.state == "delivered"
    data: dict[str, Any] = {
        "messageId": message.id,
        "from": message.sender.lstrip("+"),
        "to": message.recipient,
        "deliveryStatus": REPORTED[step.state],
        "deliveryStatusDetails": "No error." if delivered else REPORT_DETAILS[step.reason or Reason.UNCLEAR],
        "receivedTimestamp": iso_ticks(now),
        "deliveryAttempts": [_attempt(message, now, delivered=delivered)],
    }
    if message.tag is not None:
        data["Tag"] = message.tag
    return Event(
        id=message.id,
        source=resource.name,
        topic=resource.topic,
        subject=f"/phonenumber/{message.sender.lstrip('+')}",
        type=DELIVERY_REPORT,
        time=now,
        data=data,
    )


def polled_report(message: Message, asked: str) -> dict[str, Any]:
    """Describe the end of a message as `GET /deliveryReports/{id}` does.

    Args:
        message: A message that has ended.
        asked: The id it was asked for under.
    """
    delivered = message.state == "delivered"
    return {
        "deliveryStatus": REPORTED[message.state],
        "deliveryStatusDetails": "2000: No Error" if delivered else REPORT_DETAILS[message.reason or Reason.UNCLEAR],
        "deliveryAttempts": [_attempt(message, message.state_at, delivered=delivered)],
        "receivedTimestamp": iso_ticks(message.state_at),
        "tag": message.tag,
        "messageId": asked,
        "from": message.sender,
        "to": message.recipient,
    }


def inbound_event(resource: Resource, message: Message) -> Event:
    """Describe a person's text as `SMSReceived`; both numbers come without a plus."""
    return Event(
        id=message.id,
        source=resource.name,
        topic=resource.topic,
        subject=f"/phonenumber/{message.recipient.lstrip('+')}",
        type=SMS_RECEIVED,
        time=message.at,
        data={
            "messageId": message.id,
            "from": message.sender.lstrip("+"),
            "to": message.recipient.lstrip("+"),
            "message": message.text,
            "receivedTimestamp": iso_ticks(message.at),
            "segmentCount": message.segments,
        },
    )


def _attempt(message: Message, at: float, *, delivered: bool) -> dict[str, Any]:
    return {
        "timestamp": iso_ticks(at),
        "segmentsSucceeded": message.segments if delivered else 0,
        "segmentsFailed": 0 if delivered else message.segments,
    }
