"""Telesign's API: messages taken in and asked about, persons who answer, the account."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.numbers import is_number, is_short_code
from sandbox.sending import RefusedError
from sandbox.vendor import ControlError, Inbound, Route, Vendor, json_response, owned
from sandbox.vendors.telesign.callbacks import ACTIONS, Callbacks, parts
from sandbox.vendors.telesign.control import TelesignControl
from sandbox.vendors.telesign.credentials import Admission
from sandbox.vendors.telesign.desk import MessagingDesk
from sandbox.vendors.telesign.records import Account, Number, public_account
from sandbox.vendors.telesign.wire import PREFIX, error, in_digits, not_served, reference_id, status, status_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from sandbox.ledger import Message
    from sandbox.outcomes import Step
    from sandbox.world import World

_REFERENCE_ID = re.compile(r"[0-9A-F]{32}")
_STATUS_KEPT_SECONDS = 12 * 3600


class TelesignVendor(Vendor):
    """Accounts, their messages, and what is called back.

    Attributes:
        accounts: By customer id.
        numbers: The sender IDs, by what stands in `sender_id`.
        admission: Who may ask.
    """

    name: ClassVar[str] = "telesign"
    title: ClassVar[str] = "Telesign"
    docs: ClassVar[str] = "https://developer.telesign.com/enterprise/reference/sendsms"
    endpoint: ClassVar[str] = "{base}/telesign in front of /v1/messaging"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.accounts = self.keep(Account, "accounts", by="customer_id", show=public_account)
        self.numbers = self.keep(Number, "numbers", by="digits")
        self.admission = Admission(self)
        self._callbacks = Callbacks(self)
        self._desk = MessagingDesk(self)

    def routes(self) -> Sequence[Route]:
        """Serve the SMS API below `/telesign`; a signature covers the path behind that."""
        return [
            Route("POST", f"{PREFIX}/v1/messaging", self._desk.serve),
            Route("GET", f"{PREFIX}/v1/messaging/{{reference_id}}", self._status),
            Route("*", f"{PREFIX}/v1/messaging", self._wrong_method),
            Route("*", f"{PREFIX}/{{tail:.*}}", self._not_found),
        ]

    def control_routes(self) -> Sequence[Route]:
        """Manage accounts, API keys, portal settings and sender IDs."""
        return TelesignControl(self).routes()

    async def report(self, message: Message, step: Step) -> None:
        """Tell a state to the message's callback address, or the account's."""
        await self._callbacks.report(message, step)

    async def receive(self, inbound: Inbound) -> Message:
        """Take in a person's text: act on its keyword where Telesign does, and post it to the account's address."""
        number = owned(self.numbers.get(in_digits(inbound.recipient)), inbound.recipient)
        if not (is_number(number.number) or is_short_code(number.number)):
            raise ControlError("nobody can answer an alphanumeric sender")
        message = self.take_in(inbound, reference_id(self.world.ids), number.account, number.number)
        self._heed(message)
        self.world.spawn(self._callbacks.post_inbound(message))
        return message

    def reset(self, *, accounts: bool = False) -> None:
        """Forget messages, nonces and the pace so far, and what all vendors forget."""
        super().reset(accounts=accounts)
        self.admission.forget()

    def _heed(self, message: Message) -> None:
        """Block on STOP and unblock on START, for accounts that bought this."""
        account = self.accounts.get(message.account)
        action = ACTIONS.get(message.text.strip().lower())
        if account is None or not account.blocks_opt_outs:
            return
        if action == "stop":
            self.opt_out(message.recipient, message.sender)
        elif action == "start":
            self.opt_in(message.recipient, message.sender)

    async def _status(self, request: web.Request) -> web.Response:
        """Answer `GET /v1/messaging/{reference_id}`: 200 whatever became of the message, for twelve hours."""
        account = self.admission.admit(request, await request.read())
        asked = request.match_info["reference_id"]
        if not _REFERENCE_ID.fullmatch(asked):
            raise RefusedError(error(self.world.ids, 11011))
        message = self.ledger.get(asked)
        if message is None or message.account != account.customer_id or message.direction == "inbound":
            raise RefusedError(error(self.world.ids, 10017))
        if self.world.clock.now() - message.at > _STATUS_KEPT_SECONDS:
            raise RefusedError(error(self.world.ids, 10036))
        body: dict[str, Any] = {
            "reference_id": message.id,
            "status": status(status_code(message.state, message.reason), message.state_at),
        }
        if "parts" in account.features:
            body["additional_info"] = parts(message)
        return json_response(body)

    async def _wrong_method(self, _request: web.Request) -> web.Response:
        raise not_served(self.world.ids, 405, -40005, "Method not allowed", self.world.clock.now())

    async def _not_found(self, _request: web.Request) -> web.Response:
        raise not_served(self.world.ids, 404, -40004, "Resource not found", self.world.clock.now())
