"""Creating a message: the checks of `POST /2010-04-01/Accounts/{Sid}/Messages.json` and its answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from sandbox.clock import utc
from sandbox.numbers import is_name, is_number, is_short_code, takes_names
from sandbox.outcomes import Outcome, Reason, Step, failed_later, outcome_of
from sandbox.sending import Done, Order, SendDesk, retry_after_header
from sandbox.vendor import json_response
from sandbox.vendors.twilio.wire import (
    BAD_REQUEST,
    NOT_FOUND,
    REFUSALS,
    SERVER_ERROR,
    TOO_MANY,
    error,
    is_callback_url,
    read_form,
    refuse,
)

if TYPE_CHECKING:
    from sandbox.ledger import Message
    from sandbox.vendors.twilio.records import Account, Service
    from sandbox.vendors.twilio.vendor import TwilioVendor

_LONGEST_BODY = 1600
_VALIDITY_SECONDS = range(1, 36001)
_SCHEDULE_AHEAD = (timedelta(minutes=15), timedelta(days=35))
_TRUE_OR_FALSE = ("ProvideFeedback", "SmartEncoded", "ShortenUrls", "SendAsMms", "ForceDelivery")


@dataclass
class SmsOrder(Order):
    """A request to create a message, as read.

    Attributes:
        service: The Messaging Service, if one is to send.
        callback: Where states are to be told.
        chosen: The sender that will be used.
        starts: Seconds until a scheduled message is sent; nothing when it is sent at once.
    """

    service: Service | None = None
    callback: str | None = None
    chosen: str = ""
    starts: float | None = None


class MessagesDesk(SendDesk[SmsOrder]):
    """`POST /2010-04-01/Accounts/{Sid}/Messages.json`."""

    vendor: TwilioVendor

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a request to create a message. A body that is no form counts as an empty one, as at Twilio."""
        account = self.vendor.admit(request)
        form = read_form(request, body)
        to = form.get("To", "")
        if not to:
            refuse(BAD_REQUEST, 21604, "A 'To' phone number is required.")
        if not is_number(to):
            refuse(BAD_REQUEST, 21211, f"The 'To' number {to} is not a valid phone number.")
        service = self._service(account, form)
        sender = self._sender(account, form, to, service)
        text = self._text(form)
        self._check_options(form)
        callback = form.get("StatusCallback") or (service.status_callback if service else None)
        return SmsOrder(
            account=account.sid,
            sender=form.get("From", ""),
            recipients=[to],
            text=text,
            service=service,
            callback=callback,
            chosen=sender,
            starts=self._schedule(form, service),
        )

    def execute(self, order: SmsOrder) -> Done:
        """Accept the message, unless the recipient or the sender stands against it."""
        vendor, to = self.vendor, order.recipients[0]
        outcome = outcome_of(to)
        stopped = vendor.has_stopped(order.chosen, to)
        reason = Reason.OPTED_OUT if stopped else outcome.refusal
        if reason is not None and not (order.service and reason is Reason.OPTED_OUT):
            code, message = REFUSALS[reason]
            words = message.format(**{"to": to, "from": order.chosen})
            return Done(error(BAD_REQUEST, code, words, vendor.answer_headers()), [])
        if reason is Reason.OPTED_OUT:
            outcome = failed_later(Reason.OPTED_OUT)
        accepted = self._accept(order, outcome)
        return Done(json_response(vendor.resource(accepted), status=201, headers=vendor.answer_headers()), [accepted])

    def throttled(self, retry_after: float | None) -> web.Response:
        """429, error 20429."""
        headers = self.vendor.answer_headers() | retry_after_header(retry_after)
        return error(TOO_MANY, 20429, "Too Many Requests", headers)

    def broken(self) -> web.Response:
        """500, as the HTML a gateway in front of the API would send."""
        page = "<html><head><title>500 Internal Server Error</title></head><body>Internal Server Error</body></html>"
        return web.Response(status=SERVER_ERROR, text=page, content_type="text/html")

    def _accept(self, order: SmsOrder, outcome: Outcome) -> Message:
        vendor, to = self.vendor, order.recipients[0]
        plan = vendor.mischief.plan(outcome, order.account, order.chosen, to, order.text, order.callback or "")
        state = "queued"
        if order.service is not None:
            # Only a Messaging Service tells of `queued`: its initial state is `accepted`.
            state = "accepted"
            plan = (Step(0.05, "queued"), *plan) if not plan or not plan[0].early else plan
        if order.starts is not None:
            state = "scheduled"
            plan = tuple(replace(step, after=step.after + order.starts) for step in plan)
        extra = {"service": order.service.sid if order.service else None, "named": bool(order.sender)}
        told = {"tag": order.callback, "callback_url": order.callback}
        return self.accept(order, vendor.new_id(), plan, sender=order.chosen, state=state, extra=extra, **told)

    def _service(self, account: Account, form: dict[str, str]) -> Service | None:
        sid = form.get("MessagingServiceSid", "")
        if not sid:
            return None
        service = self.vendor.services.get(sid)
        if service is None or service.account != account.sid:
            refuse(NOT_FOUND, 21701, f"The Messaging Service {sid} does not exist.")
        return service

    def _sender(self, account: Account, form: dict[str, str], to: str, service: Service | None) -> str:
        sender = form.get("From", "")
        if not sender:
            if service is None:
                refuse(BAD_REQUEST, 21603, "A 'From' phone number is required.")
            if not service.numbers:
                refuse(BAD_REQUEST, 21704, "The Messaging Service contains no phone numbers.")
            return service.numbers[0]
        if not (is_number(sender) or is_short_code(sender) or is_name(sender)):
            refuse(BAD_REQUEST, 21212, f"The 'From' number {sender} is not a valid phone number, shortcode, or name.")
        owner = self.vendor.numbers.get(sender)
        if owner is not None and owner.account != account.sid:
            refuse(BAD_REQUEST, 21660, f"Mismatch between the 'From' number {sender} and the account {account.sid}")
        if owner is None and self.vendor.numbers.having(account=account.sid):
            refuse(BAD_REQUEST, 21659, f"'From' {sender} is not a Twilio phone number or Short Code country mismatch")
        if sender == to:
            refuse(BAD_REQUEST, 21266, f"'To' and 'From' number cannot be the same: {to}")
        if is_name(sender) and not takes_names(to):
            code, message = REFUSALS[Reason.NO_ROUTE]
            refuse(BAD_REQUEST, code, message.format(**{"to": to, "from": sender}))
        return sender

    def _text(self, form: dict[str, str]) -> str:
        text = form.get("Body", "")
        if not text and not form.get("MediaUrl") and not form.get("ContentSid"):
            refuse(BAD_REQUEST, 21602, "Message body is required.")
        if len(text) > _LONGEST_BODY:
            refuse(
                BAD_REQUEST,
                21617,
                "The concatenated message body exceeds the 1600 character limit",
            )
        return text

    def _check_options(self, form: dict[str, str]) -> None:
        callback = form.get("StatusCallback", "")
        if callback and not is_callback_url(callback):
            refuse(BAD_REQUEST, 21609, f"The 'StatusCallback' URL {callback} is not a valid URL.")
        validity = form.get("ValidityPeriod")
        if validity is not None and not (
            validity.isascii() and validity.isdigit() and int(validity) in _VALIDITY_SECONDS
        ):
            refuse(BAD_REQUEST, 21624, "The ValidityPeriod is invalid: it is a number of seconds from 1 to 36000.")
        for name in _TRUE_OR_FALSE:
            if form.get(name, "true") not in {"true", "false"}:
                refuse(BAD_REQUEST, 20001, f"Invalid parameter: {name} must be true or false.")
        if form.get("ShortenUrls") == "true" and not form.get("MessagingServiceSid"):
            refuse(BAD_REQUEST, 20001, "Invalid parameter: ShortenUrls requires a MessagingServiceSid.")

    def _schedule(self, form: dict[str, str], service: Service | None) -> float | None:
        """Say in how many seconds a scheduled message is due."""
        kind, moment = form.get("ScheduleType"), form.get("SendAt")
        if kind is None and moment is None:
            return None
        if kind != "fixed" or not moment:
            refuse(BAD_REQUEST, 35111, "ScheduleType 'fixed' and SendAt must be given together.")
        if service is None:
            refuse(BAD_REQUEST, 35118, "MessagingServiceSid is required to schedule a message.")
        try:
            due = datetime.fromisoformat(moment)
        except ValueError:
            due = None
        if due is None or due.tzinfo is None:
            refuse(BAD_REQUEST, 35114, "SendAt must be an ISO 8601 time.")
        ahead = due - utc(self.vendor.world.clock.now())
        if not _SCHEDULE_AHEAD[0] <= ahead <= _SCHEDULE_AHEAD[1]:
            refuse(BAD_REQUEST, 35114, "SendAt must be 15 minutes to 35 days ahead.")
        return ahead.total_seconds()
