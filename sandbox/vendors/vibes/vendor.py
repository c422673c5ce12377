"""Vibes' API: who may come in, messages and receipts read back, carriers looked up, texts from people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar
from xml.etree.ElementTree import Element

from sandbox.basic import carried, is_one_of
from sandbox.outcomes import Reason, Step, outcome_of
from sandbox.sending import RefusedError
from sandbox.vendor import Inbound, Route, Vendor, owned
from sandbox.vendors.vibes.callbacks import Callbacks
from sandbox.vendors.vibes.control import VibesControl
from sandbox.vendors.vibes.desk import MessagesDesk
from sandbox.vendors.vibes.receipts import parts_of, receipt
from sandbox.vendors.vibes.records import Account, Number, public_account, public_number, source_type
from sandbox.vendors.vibes.wire import (
    NOT_FOUND,
    UNAUTHORIZED,
    carrier_of,
    child,
    e164,
    receipt_date,
    system_error,
    xml_response,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from sandbox.ledger import Message
    from sandbox.world import World


class VibesVendor(Vendor):
    """API users, their messages, and what is called back."""

    name: ClassVar[str] = "vibes"
    title: ClassVar[str] = "Vibes"
    docs: ClassVar[str] = "https://developer-aggregation.vibes.com/reference/send-an-sms-message"
    endpoint: ClassVar[str] = "{base}/vibes in front of /MessageApi"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.accounts = self.keep(Account, "accounts", by="username", show=public_account)
        self.numbers = self.keep(Number, "numbers", by="number", show=public_number)
        self.callbacks = Callbacks(self)
        self._desk = MessagesDesk(self)

    def routes(self) -> Sequence[Route]:
        """Serve the API below `/vibes`."""
        messages = "/vibes/MessageApi/mt/messages"
        return [
            Route("POST", messages, self._desk.serve),
            Route("GET", messages + "/{message}", self._fetch),
            Route("GET", messages + "/{message}/responses", self._fetch_responses),
            Route("GET", messages + "/{message}/parts", self._fetch_parts),
            Route("GET", "/vibes/MessageApi/mdns/{mdn}", self._look_up),
            Route("*", "/vibes{tail:.*}", self._not_found),
        ]

    def control_routes(self) -> Sequence[Route]:
        """Manage API users, codes, and the error queue."""
        return VibesControl(self).routes()

    def admit(self, request: web.Request) -> Account:
        """Check the credentials.

        Raises:
            RefusedError: They do not fit.
        """
        user, password = carried(request)
        account = self.accounts.get(user)
        if account is None or not is_one_of(password, account.password):
            headers = {"WWW-Authenticate": 'Basic realm="MessageApi"'}
            raise RefusedError(system_error(UNAUTHORIZED, "Unauthorized", headers))
        return account

    async def report(self, message: Message, step: Step) -> None:
        """Tell a stage to the address that the request named."""
        await self.callbacks.report(message, step)

    async def receive(self, inbound: Inbound) -> Message:
        """Take in a person's text; Vibes itself heeds no keyword (ASSUMED: no page says that it does)."""
        number = owned(self.numbers.get(inbound.recipient), inbound.recipient)
        message_id = str(int(self.world.ids.hex(10), 16))
        carrier = carrier_of(inbound.sender)
        message = self.take_in(inbound, message_id, number.account, number.number, carrier=carrier)
        if number.inbound_url is not None:
            self.world.spawn(self.callbacks.post_inbound(message, number, number.inbound_url))
        return message

    def state(self) -> dict[str, Any]:
        """Describe the vendor, its API users by name alone, its codes, and how many callbacks were given up."""
        return {
            **super().state(),
            "accounts": [account.username for account in self.accounts],
            "error_queue": len(self.callbacks.error_queue),
        }

    def reset(self, *, accounts: bool = False) -> None:
        """Forget messages and what waits in the error queue; accounts too if asked."""
        super().reset(accounts=accounts)
        self.callbacks.error_queue.clear()

    async def _fetch(self, request: web.Request) -> web.Response:
        message, place = self._find(request)
        return xml_response(self._described(message, place))

    async def _fetch_parts(self, request: web.Request) -> web.Response:
        """List the parts; the wrapping element is ASSUMED."""
        message, _ = self._find(request)
        root = Element("mtMessages")
        root.extend(self._described(message, place) for place in range(len(parts_of(message))))
        return xml_response(root)

    async def _fetch_responses(self, request: web.Request) -> web.Response:
        """List the receipts so far, asked for or not, of the part whose id is asked for."""
        message, place = self._find(request)
        root = Element("mtMessageResponses")
        for step in message.plan[: message.steps_done]:
            if step.apply:
                at = message.at + step.after * self.world.settings.time_scale
                root.append(receipt(message, step, place, at))
        return xml_response(root)

    async def _look_up(self, request: web.Request) -> web.Response:
        """Say which carrier a number is with, 0 for none, and whether a code can reach it."""
        account = self.admit(request)
        asked = request.match_info["mdn"]
        number = e164(asked)
        refusal = None if number is None else outcome_of(number).refusal
        unknown = number is None or refusal in {Reason.INVALID_NUMBER, Reason.NOT_MOBILE}
        root = Element("mdn", {"address": number or asked, "carrier": "0" if unknown else carrier_of(number or "")})
        code = self.numbers.get(request.query.get("shortcode", ""))
        if "shortcode" in request.query:
            owned = code is not None and code.account == account.username
            root.set("provisioned", str(owned and not unknown and refusal is not Reason.NO_ROUTE).lower())
        return xml_response(root)

    async def _not_found(self, request: web.Request) -> web.Response:
        self.admit(request)
        return system_error(NOT_FOUND, "Not Found")

    def _find(self, request: web.Request) -> tuple[Message, int]:
        """Find a message by its own id or a part's. ASSUMED: 404 for none, and before its first receipt."""
        account = self.admit(request)
        asked = request.match_info["message"]
        known = self.ledger.get(asked)
        candidates = self.ledger.find(account=account.username) if known is None else [known]
        for message in candidates:
            own = message.account == account.username and message.direction == "outbound"
            if own and message.steps_done and asked in parts_of(message):
                return message, parts_of(message).index(asked)
        raise RefusedError(system_error(NOT_FOUND, "Not Found"))

    def _described(self, message: Message, place: int) -> Element:
        """Describe one part of a message the way it was handed in."""
        parts = parts_of(message)
        root = Element("mtMessage", {"submitterMessageId": message.tag} if message.tag else {})
        root.set("messageId", parts[place])
        root.set("submitDate", receipt_date(message.at))
        root.set("isMultipart", str(len(parts) > 1).lower())
        if len(parts) > 1:
            root.set("noOfParts", str(len(parts)))
            root.set("partNumber", str(place + 1))
            root.set("originalMessageId", message.id)
        child(root, "destination", "", carrier=message.extra["carrier"], address=message.recipient, type="MDN")
        child(root, "source", "", address=message.sender, type=source_type(self._number(message.sender)))
        child(root, "text", message.text)
        child(root, "receiptOption", message.extra["option"])
        return root

    def _number(self, address: str) -> Number:
        return self.numbers.get(address) or Number(number=address, account="")
