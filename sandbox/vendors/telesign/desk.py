"""Taking in a message: the checks of `POST /v1/messaging` and its answers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl

from sandbox.accounts import may_send_from
from sandbox.outcomes import Reason, failed_later, outcome_of
from sandbox.segments import count_segments
from sandbox.sending import Done, Order, RefusedError, SendDesk, retry_after_header
from sandbox.vendor import json_response
from sandbox.vendors.telesign.wire import (
    IN_PROGRESS,
    error,
    is_callback_url,
    phone_number_fault,
    reference_id,
    status,
    with_plus,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiohttp import web

    from sandbox.ledger import Message
    from sandbox.vendors.telesign.records import Account, Feature
    from sandbox.vendors.telesign.vendor import TelesignVendor

SHARED_SENDER = "38475"
"""What people see when a request names no sender: one of Telesign's own short codes, shared by its customers."""
_FORM = "application/x-www-form-urlencoded"
_REQUIRED = {"phone_number": 12000, "message": 12009, "message_type": 12017}


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _characters(shortest: int, longest: int, *, ascii_only: bool = False) -> Callable[[str], bool]:
    return lambda text: shortest <= len(text) <= longest and (text.isascii() or not ascii_only)


# Each parameter with a rule of its own ("Send an SMS message"), and the code of a value that breaks it.
_RULES: dict[str, tuple[int, Callable[[str], bool]]] = {
    "message": (11009, _characters(1, 1600)),
    "message_type": (11017, frozenset({"OTP", "ARN", "MKT"}).__contains__),
    "account_lifecycle_event": (11003, frozenset({"create", "sign-in", "transact", "update", "delete"}).__contains__),
    "sender_id": (11013, _characters(1, 20, ascii_only=True)),
    "external_id": (11016, _characters(0, 100, ascii_only=True)),
    "callback_url": (11004, is_callback_url),
    "originating_ip": (11010, _is_address),
    "dlt_template_id": (11034, _characters(1, 40)),
    "dlt_entity_id": (11035, _characters(1, 40)),
    # ASSUMED: no value is right; the parameter is in the list of errors and in no reference.
    "integration_name": (11027, lambda _: False),
}


@dataclass
class SmsOrder(Order):
    """A request to send a message, as read.

    Attributes:
        phone_number: The recipient in digits, as sent.
        external_id: What is echoed.
        callback: Where its states are to be told.
        features: What the account has switched on.
    """

    phone_number: str = ""
    external_id: str | None = None
    callback: str | None = None
    features: Sequence[Feature] = ()


class MessagingDesk(SendDesk[SmsOrder]):
    """`POST /v1/messaging`."""

    vendor: TelesignVendor

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a request to send. A body that is no form counts as an empty one (ASSUMED)."""
        account = self.vendor.admission.admit(request, body)
        form = self._form(request, body)
        for name, code in _REQUIRED.items():
            if name not in form:
                self._refuse(code, form)
        digits = form["phone_number"]
        if (fault := phone_number_fault(digits)) is not None:
            self._refuse(fault, form)
        if account.verified_numbers is not None and digits not in account.verified_numbers:
            self._refuse(10033, form, description=f"{digits} has not been verified for this trial account.")
        for name, (code, fits) in _RULES.items():
            if name in form and not fits(form[name]):
                self._refuse(code, form)
        return SmsOrder(
            account=account.customer_id,
            sender=self._sender(account, form),
            recipients=[f"+{digits}"],
            text=form["message"],
            phone_number=digits,
            external_id=form.get("external_id") or None,
            callback=form.get("callback_url"),
            features=account.features,
        )

    def execute(self, order: SmsOrder) -> Done:
        """Accept the message, unless the number cannot exist; whatever else stands against it is told later."""
        vendor, [to] = self.vendor, order.recipients
        outcome = outcome_of(to)
        if outcome.refusal is Reason.INVALID_NUMBER:
            return Done(self._fault(11000, order.external_id), [])
        if vendor.is_opted_out(order.sender, to):
            outcome = failed_later(Reason.OPTED_OUT)
        key = (order.account, order.sender, to, order.text, order.external_id or "")
        message = self.accept(
            order,
            reference_id(vendor.world.ids),
            vendor.mischief.plan(outcome, *key),
            tag=order.external_id,
            callback_url=order.callback,
            extra={"parts": self._part_ids(order)},
        )
        return Done(json_response(self._answer(message, order)), [message])

    def throttled(self, retry_after: float | None) -> web.Response:
        """429, error 10019; Telesign documents no Retry-After, the sandbox sends one when asked to."""
        return error(self.vendor.world.ids, 10019, headers=retry_after_header(retry_after))

    def broken(self) -> web.Response:
        """500, error 10000."""
        return error(self.vendor.world.ids, 10000)

    def _part_ids(self, order: SmsOrder) -> list[str]:
        """Draw an id for each part, where the account has splitting; a text of one part has none but its own."""
        parts = count_segments(order.text)
        split = parts > 1 and "parts" in order.features
        return [reference_id(self.vendor.world.ids) for _ in range(parts)] if split else []

    def _answer(self, message: Message, order: SmsOrder) -> dict[str, object]:
        answer: dict[str, object] = {
            "reference_id": message.id,
            "external_id": order.external_id,
            "status": status(IN_PROGRESS, message.at),
        }
        if "phone_number_modified" in order.features:
            answer["phone_number_modified"] = "False"
        if "cleansed_phone_number" in order.features:
            answer["cleansed_phone_number"] = order.phone_number
        return answer

    def _form(self, request: web.Request, body: bytes) -> dict[str, str]:
        if request.content_type != _FORM:
            return {}
        try:
            return dict(parse_qsl(body.decode(), keep_blank_values=True, errors="strict"))
        except UnicodeDecodeError:
            self._refuse(11009, {})

    def _sender(self, account: Account, form: Mapping[str, str]) -> str:
        """Choose the sender: one the account was allowed, any well-formed one as long as it names none."""
        wanted = form.get("sender_id")
        numbers = self.vendor.numbers
        if wanted is None:
            own = numbers.having(account=account.customer_id)
            return own[0].number if own else SHARED_SENDER
        if not may_send_from(numbers, account.customer_id, wanted):
            self._refuse(11013, form)
        number = numbers.get(wanted)
        return number.number if number else with_plus(wanted)

    def _refuse(self, code: int, form: Mapping[str, str], *, description: str = "") -> NoReturn:
        raise RefusedError(self._fault(code, form.get("external_id"), description))

    def _fault(self, code: int, external_id: str | None, description: str = "") -> web.Response:
        world = self.vendor.world
        return error(world.ids, code, at=world.clock.now(), description=description, external_id=external_id)
