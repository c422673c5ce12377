"""Sending: the checks of `POST /MessageApi/mt/messages` and its answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from sandbox.accounts import may_send_from
from sandbox.numbers import is_number, is_short_code
from sandbox.outcomes import Outcome, Reason, Step, failed_later, outcome_of
from sandbox.segments import count_segments, is_gsm
from sandbox.sending import Done, Order, RefusedError, SendDesk, retry_after_header
from sandbox.vendors.vibes.receipts import FAILED, RECEIPT_OPTIONS, SYSTEM
from sandbox.vendors.vibes.wire import (
    CONTENT_TYPES,
    INVALID_DESTINATION,
    NO_ROUTE,
    SERVER_ERROR,
    TOO_MANY,
    UNSUPPORTED,
    carrier_of,
    e164,
    failure,
    is_callback_url,
    parse,
    refuse,
    system_error,
    xml_response,
)

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.ledger import Message
    from sandbox.vendors.vibes.records import Account
    from sandbox.vendors.vibes.vendor import VibesVendor

_LONGEST_ID, _LONGEST_TEXT, _MOST_BYTES = 40, 900, 1500
_QUEUED_AFTER = 0.1
# Element: its attributes, and whether it is required. All may come once, in any order.
_ELEMENTS = {
    "destination": (frozenset({"address", "type", "carrier"}), True),
    "source": (frozenset({"address", "type"}), True),
    "text": (frozenset(), True),
    "receiptOption": (frozenset({"callbackUrl"}), False),
    "transaction": (frozenset({"id"}), False),
    "companyId": (frozenset(), False),
}
_ROOT_ATTRIBUTES = frozenset({"submitterMessageId", "splitLongMessage", "alternateDelivery"})
REFUSED_AT_ONCE = {
    Reason.INVALID_NUMBER: ("Invalid destination address.", INVALID_DESTINATION),
    Reason.NO_ROUTE: ("No carrier route found for code.", NO_ROUTE),
}


@dataclass
class SmsOrder(Order):
    """A request to send, as read.

    Attributes:
        submitter: The customer's own id.
        carrier: The carrier named in the request, if any.
        split: Whether a long text may be split.
        option: Which receipts are wanted.
        callback: Where to.
    """

    submitter: str | None = None
    carrier: str | None = None
    split: bool = False
    option: str = "NONE"
    callback: str = ""


class MessagesDesk(SendDesk[SmsOrder]):
    """`POST /MessageApi/mt/messages`."""

    vendor: VibesVendor

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a request to send: what is wrong with its XML is said with 200, as Vibes' page has it."""
        account = self.vendor.admit(request)
        if request.content_type not in CONTENT_TYPES:
            raise RefusedError(system_error(UNSUPPORTED, "Unsupported Media Type"))
        root = parse(body)
        if root is None or root.tag != "mtMessage":
            refuse("The request is not an mtMessage.")
        submitter = root.get("submitterMessageId")
        if len(submitter or "") > _LONGEST_ID:
            refuse("submitterMessageId must be 40 characters or less.")
        found = _elements(root, submitter)
        split = _flag(root, "splitLongMessage", submitter)
        if _flag(root, "alternateDelivery", submitter):
            refuse("Alternate delivery is not set up for this code.", submitter=submitter)
        recipient, carrier = self._destination(found["destination"], submitter)
        option, callback = _receipts(found.get("receiptOption"), submitter)
        return SmsOrder(
            account=account.username,
            sender=self._source(account, found["source"], submitter),
            recipients=[recipient],
            text=_text(found["text"], submitter, split=split),
            submitter=submitter,
            carrier=carrier,
            split=split,
            option=option,
            callback=callback,
        )

    def execute(self, order: SmsOrder) -> Done:
        """Queue the message, unless nothing leads to the recipient. The same request again is another message."""
        vendor, to = self.vendor, order.recipients[0]
        outcome = outcome_of(to)
        if outcome.refusal in REFUSED_AT_ONCE:
            words, code = REFUSED_AT_ONCE[outcome.refusal]
            return Done(failure(words, code, order.submitter), [])
        if vendor.is_opted_out(order.sender, to):
            outcome = failed_later(Reason.OPTED_OUT)
        message = self._accept(order, outcome)
        answer = Element("mtMessageRsp", {"messageId": message.id})
        if order.submitter:
            answer.set("submitterMessageId", order.submitter)
        answer.set("carrier", message.extra["carrier"])
        answer.set("splitLongMessage", str(order.split).lower())
        return Done(xml_response(answer), [message])

    def throttled(self, retry_after: float | None) -> web.Response:
        """429; ASSUMED, for Vibes publishes no rate of this API."""
        return system_error(TOO_MANY, "Too Many Requests", retry_after_header(retry_after))

    def broken(self) -> web.Response:
        """500, as the HTML a server in front of the API would send."""
        return system_error(SERVER_ERROR, "Internal Server Error")

    def _accept(self, order: SmsOrder, outcome: Outcome) -> Message:
        vendor, to = self.vendor, order.recipients[0]
        ids = [vendor.world.ids.uuid() for _ in range(count_segments(order.text))]
        key = (order.account, order.sender, to, order.text, order.callback)
        return self.accept(
            order,
            ids[0],
            vendor.mischief.plan(_with_system_stage(outcome), *key),
            tag=order.submitter,
            callback_url=order.callback or None,
            extra={"parts": ids, "carrier": order.carrier or carrier_of(to), "option": order.option},
        )

    def _destination(self, element: Element, submitter: str | None) -> tuple[str, str | None]:
        if element.get("type", "MDN") != "MDN":
            refuse("The destination type must be MDN.", submitter=submitter)
        number = e164(element.get("address", ""))
        if number is None:
            refuse("Invalid destination address.", INVALID_DESTINATION, submitter)
        carrier = element.get("carrier")
        if carrier is not None and not (carrier.isascii() and carrier.isdigit()):
            refuse("The carrier code is invalid.", submitter=submitter)
        return number, carrier

    def _source(self, account: Account, element: Element, submitter: str | None) -> str:
        """Check the sender; one that Vibes leased to nobody passes as long as the account has no codes at all."""
        address, kind = element.get("address", ""), element.get("type", "")
        if not (is_short_code(address) or is_number(address)):
            refuse("Invalid source address.", submitter=submitter)
        if not may_send_from(self.vendor.numbers, account.username, address):
            refuse("Not authorized to send messages from the specified code.", submitter=submitter)
        number = self.vendor.numbers.get(address)
        wanted = (number and number.type) or ("SC" if is_short_code(address) else "")
        if not kind or (wanted and kind != wanted):
            refuse("The source type does not fit the source address.", submitter=submitter)
        return address


def _with_system_stage(outcome: Outcome) -> Outcome:
    """Let Vibes' own stage come first, unless there are no receipts at all or it is the one that fails."""
    first = next(iter(outcome.steps), None)
    if first is None or (first.reason and FAILED[first.reason].type == SYSTEM):
        return outcome
    queued = Step(0 if first.early else min(_QUEUED_AFTER, first.after), "queued", early=first.early)
    return replace(outcome, steps=(queued, *outcome.steps))


def _elements(root: Element, submitter: str | None) -> dict[str, Element]:
    """Give the elements of a request by name. ASSUMED: an unknown or repeated one is refused."""
    found: dict[str, Element] = {}
    for element in root:
        known = _ELEMENTS.get(element.tag)
        if known is None or element.tag in found or len(element) or not set(element.attrib) <= known[0]:
            refuse(f"The element {element.tag} is not valid here.", submitter=submitter)
        found[element.tag] = element
    if not set(root.attrib) <= _ROOT_ATTRIBUTES or (root.text or "").strip():
        refuse("mtMessage has an attribute or a text that is not valid.", submitter=submitter)
    for tag, (_, required) in _ELEMENTS.items():
        if required and tag not in found:
            refuse(f"The element {tag} is required.", submitter=submitter)
    return found


def _flag(root: Element, name: str, submitter: str | None) -> bool:
    value = root.get(name, "false")
    if value not in {"true", "false"}:
        refuse(f"{name} must be true or false.", submitter=submitter)
    return value == "true"


def _text(element: Element, submitter: str | None, *, split: bool) -> str:
    text = element.text or ""
    if not text:
        refuse("The text is required.", submitter=submitter)
    encoded = len(text) if is_gsm(text) else len(text.encode("utf-16-be"))
    if len(text) > _LONGEST_TEXT or encoded > _MOST_BYTES:
        refuse("The text exceeds 900 characters or 1500 bytes.", submitter=submitter)
    # ASSUMED: Vibes says what splits a long text, not what becomes of one that must not be split.
    if not split and count_segments(text) > 1:
        refuse("The text is too long and splitLongMessage is not set.", submitter=submitter)
    return text


def _receipts(element: Element | None, submitter: str | None) -> tuple[str, str]:
    if element is None:
        return "NONE", ""
    option, url = (element.text or "").strip(), element.get("callbackUrl", "")
    if option not in RECEIPT_OPTIONS:
        refuse(f"receiptOption must be one of {', '.join(sorted(RECEIPT_OPTIONS))}.", submitter=submitter)
    if not is_callback_url(url):
        refuse("callbackUrl is not a valid URL.", submitter=submitter)
    return option, url
