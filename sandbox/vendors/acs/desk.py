"""`POST /sms`: the checks, the multi-status answer, repeatability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.clock import utc
from sandbox.ledger import Message
from sandbox.numbers import is_name, is_number, is_short_code, takes_names
from sandbox.outcomes import Outcome, Reason, Trouble, failed_later, outcome_of
from sandbox.segments import count_segments
from sandbox.sending import Done, Order, SendDesk, retry_after_header
from sandbox.vendor import json_response
from sandbox.vendors.acs.wire import (
    ACCEPTED,
    API_VERSIONS,
    BAD_REQUEST,
    TOO_MANY,
    UNAVAILABLE,
    is_guid,
    is_http_date,
    json_object,
    read_recipients,
    refuse,
    refuse_fields,
)

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.faults import Mishap
    from sandbox.vendors.acs.records import Resource
    from sandbox.vendors.acs.vendor import AcsVendor

_MOST_CHARACTERS = 2048
_TIMEOUT_SECONDS = range(60, 43201)
_REPEATABILITY_ERROR = (
    "Request sent with Invalid DateTime value for repeatability-first-sent. Expected is DateTime ,RFC1123 pattern."
)


@dataclass
class SmsOrder(Order):
    """A send request as read.

    Attributes:
        resource: Whose it is.
        entries: The recipients as the client wrote them.
        report: Whether delivery events are wanted.
        tag: What to echo in them.
        api_version: The version asked for.
    """

    resource: Resource | None = None
    entries: list[dict[str, Any]] | None = None
    report: bool = False
    tag: str | None = None
    api_version: str = ""


class SmsDesk(SendDesk[SmsOrder]):
    """`POST /sms`."""

    answers_each = True
    vendor: AcsVendor

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a send request: who asks, then the version, then the fields."""
        resource, version = self.vendor.admit(request, body, API_VERSIONS)
        wanted = json_object(request, body)
        errors: dict[str, list[str]] = {}
        sender, text = wanted.get("from"), wanted.get("message")
        if not isinstance(sender, str) or not sender:
            errors["From"] = ["The From field is required."]
        elif not (is_number(sender) or is_short_code(sender) or is_name(sender)):
            errors["From"] = ["Invalid From phone number format."]
        if not isinstance(text, str) or not text:
            errors["Message"] = ["The Message field is required."]
        elif len(text) > _MOST_CHARACTERS:
            errors["Message"] = [f"The field Message must be a string with a maximum length of {_MOST_CHARACTERS}."]
        entries = read_recipients(wanted.get("smsRecipients"), "SmsRecipients", errors)
        report, tag = _options(wanted.get("smsSendOptions"), errors)
        if errors or not isinstance(sender, str) or not isinstance(text, str):
            refuse_fields(errors)
        if resource.numbers and sender not in resource.numbers:
            # ASSUMED for numbers of the resource's own; documented for partner numbers.
            refuse(401, "Unauthorized", "The sender does not belong to this resource.")
        return SmsOrder(
            account=resource.name,
            sender=sender,
            recipients=[entry["to"] for entry in entries],
            text=text,
            resource=resource,
            entries=entries,
            report=report,
            tag=tag,
            api_version=version,
        )

    def execute(self, order: SmsOrder) -> Done:
        """Accept what can be accepted; the answer tells of each recipient."""
        accepted: list[Message] = []
        items = [
            self._item(order, entry, order.mishaps.get(place), accepted)
            for place, entry in enumerate(order.entries or [])
        ]
        return Done(json_response({"value": items}, status=ACCEPTED), accepted)

    def throttled(self, retry_after: float | None) -> web.Response:
        """429; its body is ASSUMED."""
        error = {"code": "TooManyRequests", "message": "The request was throttled. Try again later."}
        return json_response({"error": error}, status=TOO_MANY, headers=retry_after_header(retry_after))

    def broken(self) -> web.Response:
        """500."""
        return json_response({"error": {"code": "InternalServerError", "message": "Internal Server Error"}}, status=500)

    def _item(
        self,
        order: SmsOrder,
        entry: dict[str, Any],
        mishap: Mishap | None,
        accepted: list[Message],
    ) -> dict[str, Any]:
        """Take in one recipient."""
        to = entry["to"]
        repeat_id, first_sent = entry.get("repeatabilityRequestId"), entry.get("repeatabilityFirstSent")
        repeatable = repeat_id is not None or first_sent is not None
        if repeatable and not (is_guid(repeat_id) and is_http_date(first_sent)):
            return _refused_item(to, BAD_REQUEST, _REPEATABILITY_ERROR, repeatabilityResult="rejected")
        if not is_number(to):
            return _refused_item(to, BAD_REQUEST, "Invalid To phone number format.")
        outcome = outcome_of(to)
        if outcome.refusal is Reason.INVALID_NUMBER:
            return _refused_item(to, BAD_REQUEST, "Invalid To phone number format.")
        if mishap is not None:
            if mishap.kind is Trouble.THROTTLE:
                return _refused_item(to, TOO_MANY, "TooManyRequests")
            return _refused_item(to, UNAVAILABLE, "ServiceUnavailable")
        message = self._replayed(order, to, repeat_id) if isinstance(repeat_id, str) else None
        if message is None:
            message = self._accept(order, to, repeat_id, outcome)
            accepted.append(message)
        item = {"to": to, "messageId": _answered_id(message.id, order.api_version), "httpStatusCode": ACCEPTED}
        if repeatable:
            item["repeatabilityResult"] = "accepted"
        return {**item, "successful": True}

    def _replayed(self, order: SmsOrder, to: str, repeat_id: str) -> Message | None:
        """Find the message an id was first used for, if it is still remembered."""
        resource = order.resource
        message = self.vendor.repeated(order.account, repeat_id)
        if message is None or resource is None:
            return None
        if self.vendor.world.clock.now() - message.at > resource.repeatability_seconds:
            return None
        same = (message.recipient, message.text, message.sender) == (to, order.text, order.sender)
        self.vendor.ledger.replayed(message, conflict=not same)
        return message

    def _accept(self, order: SmsOrder, to: str, repeat_id: str | None, outcome: Outcome) -> Message:
        vendor = self.vendor
        now = vendor.world.clock.now()
        if vendor.is_opted_out(order.sender, to):
            outcome = failed_later(Reason.OPTED_OUT)
        elif is_name(order.sender) and not takes_names(to):
            outcome = failed_later(Reason.NO_ROUTE)
        message = vendor.ledger.accept(
            Message(
                id=f"Outgoing_{utc(now):%Y%m%d%H%M%S}{vendor.world.ids.uuid()}_noam",
                account=order.account,
                sender=order.sender,
                recipient=to,
                text=order.text,
                at=now,
                segments=count_segments(order.text),
                tag=order.tag,
                plan=vendor.mischief.plan(outcome, order.account, order.sender, to, order.text, order.tag or ""),
                extra={"report": order.report, "repeatability_id": repeat_id},
            ),
        )
        vendor.remember(message)
        return message


def _options(value: Any, errors: dict[str, list[str]]) -> tuple[bool, str | None]:
    """Read the send options; what is wrong with them is added to `errors`."""
    if value is None:
        return False, None
    if not isinstance(value, dict) or not isinstance(value.get("enableDeliveryReport"), bool):
        errors["SmsSendOptions.EnableDeliveryReport"] = ["The EnableDeliveryReport field is required."]
        return False, None
    tag, timeout = value.get("tag"), value.get("deliveryReportTimeoutInSeconds")
    if tag is not None and not isinstance(tag, str):
        errors["SmsSendOptions.Tag"] = ["The Tag field must be a string."]
    if timeout is not None and (not isinstance(timeout, int) or timeout not in _TIMEOUT_SECONDS):
        errors["SmsSendOptions.DeliveryReportTimeoutInSeconds"] = ["The field must be between 60 and 43200."]
    return value["enableDeliveryReport"], tag if isinstance(tag, str) else None


def _refused_item(to: str, status: int, message: str, **more: Any) -> dict[str, Any]:
    return {"to": to, "httpStatusCode": status, **more, "errorMessage": message, "successful": False}


def _answered_id(message_id: str, api_version: str) -> str:
    """Write an id as the send answer does: the newest version leaves prefix and suffix out, its events do not."""
    if api_version < "2026":
        return message_id
    return message_id.removeprefix("Outgoing_").removesuffix("_noam")
