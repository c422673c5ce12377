"""Sending: the checks of `POST /a1/sms` and its answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sandbox.accounts import may_send_from
from sandbox.numbers import is_number
from sandbox.outcomes import Outcome, Reason, failed_later, outcome_of
from sandbox.segments import count_segments
from sandbox.sending import Done, Order, SendDesk, retry_after_header
from sandbox.vendor import json_response
from sandbox.vendors.custom.wire import (
    COST_OF_A_PART,
    FORBIDDEN,
    SERVER_ERROR,
    STATUSES,
    TOO_MANY,
    is_callback_url,
    is_sender,
    moment,
    read_form,
    refuse,
    said,
)

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.ledger import Message
    from sandbox.vendors.custom.records import Account
    from sandbox.vendors.custom.vendor import CustomVendor

_REQUIRED = ("from", "to", "message")
_INVALID_TO = "Invalid to number"


@dataclass
class SmsOrder(Order):
    """A request to send, as read.

    Attributes:
        callback: Where states are to be told.
        dryrun: Whether nothing is to be sent.
        dontlog: Whether the text is to be forgotten.
    """

    callback: str | None = None
    dryrun: bool = False
    dontlog: bool = False


class SmsDesk(SendDesk[SmsOrder]):
    """`POST /a1/sms`."""

    vendor: CustomVendor

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a request to send; parameters that no page lists are passed over (ASSUMED)."""
        account = self.vendor.admit(request)
        form = read_form(request, body)
        for name in _REQUIRED:
            if not form.get(name):
                refuse(f"Missing key {name}")
        if not is_number(form["to"]):
            refuse(_INVALID_TO)
        self._check_sender(account, form["from"])
        callback = form.get("whendelivered") or None
        if callback and not is_callback_url(callback):
            refuse("Invalid whendelivered")
        return SmsOrder(
            account=account.username,
            sender=form["from"],
            recipients=[form["to"]],
            text=form["message"],
            callback=callback,
            dryrun=form.get("dryrun") == "yes",
            dontlog=form.get("dontlog") == "message",
        )

    def execute(self, order: SmsOrder) -> Done:
        """Create the message, unless its number cannot exist or nothing is left to pay it with.

        The same request again is another message; what else stands against one is told later, as `failed`.
        """
        [to] = order.recipients
        outcome = outcome_of(to)
        if outcome.refusal is Reason.INVALID_NUMBER:
            return Done(said(FORBIDDEN, _INVALID_TO), [])
        if not self.vendor.can_pay(order.account):
            return Done(said(FORBIDDEN, "Not enough credits"), [])
        if order.dryrun:
            return Done(json_response(_answer(order) | {"estimated_cost": _cost(order)}), [])
        if self.vendor.is_opted_out(order.sender, to):
            outcome = failed_later(Reason.OPTED_OUT)
        message = self._accept(order, outcome)
        created = {"created": moment(message.at), "cost": _cost(order), "id": message.id}
        return Done(json_response(_answer(order) | created), [message])

    def throttled(self, retry_after: float | None) -> web.Response:
        """429; ASSUMED, for 46elks queues what is too much."""
        return said(TOO_MANY, "Too Many Requests", retry_after_header(retry_after))

    def broken(self) -> web.Response:
        """500 with nothing in it, as was recorded."""
        return said(SERVER_ERROR, "")

    def _accept(self, order: SmsOrder, outcome: Outcome) -> Message:
        vendor, [to] = self.vendor, order.recipients
        vendor.charge(order.account, _cost(order))
        key = (order.account, order.sender, to, order.text, order.callback or "")
        plan = vendor.mischief.plan(_as_confirmed(outcome), *key)
        extra = {"dontlog": True} if order.dontlog else {}
        return self.accept(order, vendor.new_id(), plan, callback_url=order.callback, extra=extra)

    def _check_sender(self, account: Account, sender: str) -> None:
        """Take a text sender ID from anybody, a number from whoever has it; from all, as long as one has none."""
        if not is_sender(sender):
            refuse("Invalid from")
        if is_number(sender) and not may_send_from(self.vendor.numbers, account.username, sender):
            refuse("Invalid from number")


def _answer(order: SmsOrder) -> dict[str, Any]:
    return {
        "status": STATUSES["queued"],
        "direction": "outgoing",
        "from": order.sender,
        "parts": count_segments(order.text),
        "to": order.recipients[0],
    } | ({"dontlog": "message"} if order.dontlog else {"message": order.text})


def _cost(order: SmsOrder) -> int:
    return COST_OF_A_PART * count_segments(order.text)


def _as_confirmed(outcome: Outcome) -> Outcome:
    """Leave out what no carrier confirms: such a message stays `sent`."""
    confirmed = tuple(step for step in outcome.steps if step.reason is not Reason.NO_CARRIER_REPORT)
    return replace(outcome, steps=confirmed)
