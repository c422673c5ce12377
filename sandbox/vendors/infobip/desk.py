"""Sending: `POST /sms/3/messages`. A request is refused as a whole, or each recipient in it taken or refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.ledger import Message
from sandbox.numbers import is_name, is_number, takes_names
from sandbox.outcomes import outcome_of
from sandbox.segments import count_segments
from sandbox.sending import Done, Order, SendDesk, retry_after_header
from sandbox.vendor import json_response, refusal_code
from sandbox.vendors.infobip.codes import (
    ACCEPTED,
    MISSING_TO,
    NO_ERROR,
    REFUSALS,
    REJECTED_BLOCKLISTED,
    REJECTED_DESTINATION,
    REJECTED_DUPLICATE,
    REJECTED_NETWORK,
    REJECTED_SOURCE,
    REJECTED_TOO_LONG,
    Status,
)
from sandbox.vendors.infobip.records import Refusal
from sandbox.vendors.infobip.requests import SendRequest, SmsMessage
from sandbox.vendors.infobip.wire import (
    BAD_REQUEST,
    SERVER_ERROR,
    TOO_MANY,
    Shape,
    bare,
    error,
    full,
    read_body,
    read_date,
    refuse,
    written,
)

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.vendors.infobip.vendor import InfobipVendor

_MOST_PARTS = 25
_MOST_BYTES = 4000
_FARTHEST_AHEAD = 180 * 86400
_ACTIONS = {
    REJECTED_DESTINATION: "Check the number.",
    REJECTED_DUPLICATE: "Use a unique messageId.",
    REJECTED_SOURCE: "Register the sender.",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One text to one recipient.

    Attributes:
        to: The recipient as it stands in the request.
        message_id: The customer's id, or one the vendor drew.
        message: What the recipient shares with others.
    """

    to: str
    message_id: str
    message: SmsMessage


@dataclass
class SmsOrder(Order):
    """A request to send, as read.

    Attributes:
        entries: What is to be sent, one for each recipient.
        bulk_id: What the request is called.
        counted: Whether the answer says how many parts each text has.
        starts: Seconds until it is to be sent.
    """

    entries: tuple[Entry, ...] = ()
    bulk_id: str = ""
    counted: bool = False
    starts: float = 0.0

    def text_for(self, place: int) -> str:
        """Give the text of one entry."""
        return self.entries[place].message.content.text


class MessagesDesk(SendDesk[SmsOrder]):
    """`POST /sms/3/messages`."""

    vendor: InfobipVendor

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a request to send."""
        account = self.vendor.admit(request, "message:send", "sms:message:send", "sms:manage")
        asked = read_body(Shape.V3, SendRequest, request, body)
        ids = self.vendor.world.ids
        entries = tuple(
            Entry(destination.to, destination.message_id or ids.uuid(), message)
            for message in asked.messages
            for destination in message.destinations
        )
        schedule = asked.options.schedule
        return SmsOrder(
            account=account.name,
            sender=" ".join(dict.fromkeys(message.sender or "" for message in asked.messages)),
            recipients=[full(entry.to) for entry in entries],
            text="\x1e".join(dict.fromkeys(message.content.text for message in asked.messages)),
            entries=entries,
            bulk_id=schedule.bulk_id or str(int(ids.hex(15), 16)),
            counted=asked.options.include_sms_count_in_response,
            starts=self._starts(schedule.send_at),
        )

    def execute(self, order: SmsOrder) -> Done:
        """Take or refuse each recipient on its own."""
        accepted: list[Message] = []
        answers = []
        for entry in order.entries:
            status = self._objection(order.account, entry)
            if status is None:
                accepted.append(self._accept(order, entry))
            elif status is not REJECTED_DUPLICATE:
                self._refuse(order, entry, status)
            answers.append(_answer(order, entry, status or ACCEPTED))
        return Done(json_response({"bulkId": order.bulk_id, "messages": answers}), accepted)

    def throttled(self, retry_after: float | None) -> web.Response:
        """429, E429."""
        return error(Shape.V3, TOO_MANY, headers=retry_after_header(retry_after))

    def broken(self) -> web.Response:
        """500, E500."""
        return error(Shape.V3, SERVER_ERROR)

    def _starts(self, send_at: str | None) -> float:
        due = read_date(send_at) if send_at else None
        if due is None:
            return 0.0
        ahead = due - self.vendor.world.clock.now()
        if ahead > _FARTHEST_AHEAD:
            refuse(Shape.V3, BAD_REQUEST, {"options.schedule.sendAt": ["must be within 180 days"]})
        return max(0.0, ahead)

    def _objection(self, account: str, entry: Entry) -> Status | None:
        """Say why one recipient is refused; nothing when it is taken."""
        vendor = self.vendor
        sender, to = vendor.sender_for(account, entry.message.sender), full(entry.to)
        if (known := vendor.find(account, entry.message_id)) is not None:
            asked = (full(sender), to, entry.message.content.text)
            vendor.ledger.replayed(known, conflict=asked != (known.sender, known.recipient, known.text))
            return REJECTED_DUPLICATE
        return (
            _objection_to_number(entry.to)
            or self._objection_to_sender(account, sender, to)
            or _objection_to_text(entry.message.content.text)
            or refusal_code(REFUSALS, outcome_of(to).refusal, None)
        )

    def _objection_to_sender(self, account: str, sender: str, to: str) -> Status | None:
        if not self.vendor.may_send_from(account, sender):
            return REJECTED_SOURCE
        if is_name(sender) and not takes_names(to):
            return REJECTED_NETWORK
        return REJECTED_BLOCKLISTED if self.vendor.is_opted_out(full(sender), to) else None

    def _accept(self, order: SmsOrder, entry: Entry) -> Message:
        vendor, message = self.vendor, entry.message
        sender, to = full(vendor.sender_for(order.account, message.sender)), full(entry.to)
        webhooks = message.webhooks
        plan = vendor.mischief.plan(outcome_of(to), order.account, sender, to, message.content.text)
        if order.starts:
            plan = tuple(replace(step, after=step.after + order.starts) for step in plan)
        return vendor.ledger.accept(
            Message(
                id=vendor.ledger_id(order.account, entry.message_id),
                account=order.account,
                sender=sender,
                recipient=to,
                text=message.content.text,
                at=vendor.world.clock.now(),
                segments=count_segments(message.content.text),
                tag=webhooks.callback_data,
                callback_url=webhooks.delivery.url,
                plan=plan,
                extra={
                    "message_id": entry.message_id,
                    "bulk_id": order.bulk_id,
                    "platform": message.options.platform.model_dump(by_alias=True, exclude_none=True),
                    "campaign": message.options.campaign_reference_id,
                    "notify": webhooks.delivery.notify,
                    "intermediate": webhooks.delivery.intermediate_report,
                },
            ),
        )

    def _refuse(self, order: SmsOrder, entry: Entry, status: Status) -> None:
        """Put a refused message where the log finds it; its id stays free (ASSUMED)."""
        now = self.vendor.world.clock.now()
        row = {
            "sender": bare(self.vendor.sender_for(order.account, entry.message.sender)),
            "destination": entry.to,
            "bulkId": order.bulk_id,
            "messageId": entry.message_id,
            "sentAt": written(now),
            "doneAt": written(now),
            "messageCount": count_segments(entry.message.content.text),
            "status": status.shown(),
            "error": NO_ERROR.shown(),
            "content": {"text": entry.message.content.text},
        }
        key = f"{order.account} {entry.message_id}"
        self.vendor.refusals.put(key, Refusal(account=order.account, row=row, at=now))


def _objection_to_number(to: str) -> Status | None:
    if not to:
        return MISSING_TO
    # With a plus it is no number to this vendor (ASSUMED: its page shows numbers without).
    return None if not to.startswith("+") and is_number(f"+{to}") else REJECTED_DESTINATION


def _objection_to_text(text: str) -> Status | None:
    too_long = count_segments(text) > _MOST_PARTS or len(text.encode()) > _MOST_BYTES
    return REJECTED_TOO_LONG if too_long else None


def _answer(order: SmsOrder, entry: Entry, status: Status) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "messageId": entry.message_id,
        "status": status.shown(_ACTIONS.get(status, "")),
        "destination": entry.to,
    }
    if order.counted:
        answer["details"] = {"messageCount": count_segments(entry.message.content.text)}
    return answer
