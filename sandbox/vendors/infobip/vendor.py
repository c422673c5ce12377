"""Infobip's API: who may come in, what is where, and the texts that come in."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, get_args

from sandbox.numbers import is_name
from sandbox.vendor import ControlError, Inbound, Route, Vendor, owned
from sandbox.vendors.infobip.callbacks import Callbacks
from sandbox.vendors.infobip.control import InfobipControl
from sandbox.vendors.infobip.desk import MessagesDesk
from sandbox.vendors.infobip.inbound import InboundSetup
from sandbox.vendors.infobip.logs import Logs, Shelf
from sandbox.vendors.infobip.records import Account, Number, Refusal, Scope, public_account
from sandbox.vendors.infobip.subscriptions import Subscriptions
from sandbox.vendors.infobip.webhooks import InboundConfiguration, Profile, Security, Subscription
from sandbox.vendors.infobip.wire import FORBIDDEN, NOT_FOUND, UNAUTHORIZED, Shape, bare, full, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from sandbox.ledger import Message
    from sandbox.outcomes import Step
    from sandbox.world import World

_PREFIX = "/infobip"
_STOP_WORDS, _START_WORDS = frozenset({"STOP"}), frozenset({"START"})
_SHORTEST_NUMBER, _LONGEST_NUMBER = 3, 15


class InfobipVendor(Vendor):
    """Accounts, their messages, and what is called back."""

    name: ClassVar[str] = "infobip"
    title: ClassVar[str] = "Infobip"
    docs: ClassVar[str] = "https://www.infobip.com/docs/api/channels/sms/outbound-sms/send-sms-messages"
    endpoint: ClassVar[str] = "{base}/infobip in front of /sms/3"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.accounts = self.keep(Account, "accounts", by="name", show=public_account)
        self.numbers = self.keep(Number, "numbers", by="number")
        self.subscriptions = self.keep(Subscription, "subscriptions", show=_shown)
        self.profiles = self.keep(Profile, "profiles", hidden=True)
        self.security = self.keep(Security, "security", hidden=True)
        self.inbound_configurations = self.keep(InboundConfiguration, "inbound_configurations", by="key", hidden=True)
        self.refusals = self.keep(Refusal, "refusals", hidden=True)
        self.reports = Shelf()
        self.inbox = Shelf()
        self.subscribing = Subscriptions(self)
        self._inbound = InboundSetup(self)
        self._logs = Logs(self)
        self._callbacks = Callbacks(self)
        self._desk = MessagesDesk(self)

    def routes(self) -> Sequence[Route]:
        """Serve the API below `/infobip`, which stands for the host of an account."""
        return [
            Route("POST", f"{_PREFIX}/sms/3/messages", self._desk.serve),
            Route("GET", f"{_PREFIX}/sms/3/logs", self._logs.logs),
            Route("GET", f"{_PREFIX}/sms/3/reports", self._logs.reports),
            Route("GET", f"{_PREFIX}/sms/1/inbox/reports", self._logs.inbox),
            *self.subscribing.routes(_PREFIX),
            *self._inbound.routes(_PREFIX),
            Route("*", _PREFIX + "/sms/3/{tail:.*}", self._not_found_v3),
            Route("*", _PREFIX + "/{tail:.*}", self._not_found),
        ]

    def control_routes(self) -> Sequence[Route]:
        """Manage accounts, numbers and subscriptions."""
        return InfobipControl(self).routes()

    def reset(self, *, accounts: bool = False) -> None:
        """Forget what was sent, refused, fetched and asked, too."""
        super().reset(accounts=accounts)
        self.refusals.clear()
        self.reports.clear()
        self.inbox.clear()
        self._logs.clear()

    def admit(self, request: web.Request, *scopes: Scope, shape: Shape = Shape.V3) -> Account:
        """Find the account whose key a request carries, if the key may do this.

        Args:
            request: The request.
            scopes: Any one of them opens the door.
            shape: The shape of a refusal.

        Raises:
            RefusedError: The key is unknown, or lacks the scope.
        """
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        fitting = (
            (account, key)
            for account in self.accounts
            for key in account.keys
            if hmac.compare_digest(key.key.encode(), given.encode("utf-8", "surrogateescape"))
        )
        account, key = next(fitting, (None, None))
        if account is None or key is None or scheme != "App":
            refuse(shape, UNAUTHORIZED)
        if not set(scopes) & set(key.scopes):
            refuse(shape, FORBIDDEN)
        return account

    def find(self, account: str, message_id: str) -> Message | None:
        """Find a message by the customer's id, which is unique within an account."""
        for key in (message_id, _foreign(account, message_id)):
            message = self.ledger.get(key)
            if message is not None and message.account == account and message.direction == "outbound":
                return message
        return None

    def ledger_id(self, account: str, message_id: str) -> str:
        """Give the ledger's id of a new message: the customer's, unless another account has used it."""
        return message_id if self.ledger.get(message_id) is None else _foreign(account, message_id)

    def sender_for(self, account: str, asked: str | None) -> str:
        """Give the sender a message goes out with, as Infobip writes it: the one asked for, else the first number."""
        own = (number.number for number in self.numbers.having(account=account))
        return asked if asked is not None else next(own, "")

    def may_send_from(self, account: str, sender: str) -> bool:
        """Tell whether a sender fits: one of the account's numbers, if it has any, else any number or name."""
        own = [number.number for number in self.numbers.having(account=account)]
        if own:
            return sender in own
        digits = sender.isascii() and sender.isdigit() and _SHORTEST_NUMBER <= len(sender) <= _LONGEST_NUMBER
        return digits or is_name(sender)

    async def report(self, message: Message, step: Step) -> None:
        """Tell what became of a message."""
        await self._callbacks.report(message, step)

    async def receive(self, inbound: Inbound) -> Message:
        """Take in a person's text: block on STOP where the number is set so, and pass it on as it is set up."""
        number = owned(self.numbers.get(bare(inbound.recipient)), inbound.recipient)
        if is_name(number.number):
            raise ControlError("nobody can answer an alphanumeric sender")
        message_id = str(int(self.world.ids.hex(15), 16))
        message = self.take_in(inbound, message_id, number.account, full(number.number))
        word = inbound.text.strip().upper()
        if number.stop_words and word in _STOP_WORDS:
            self.opt_out(message.recipient, inbound.sender)
        elif number.stop_words and word in _START_WORDS:
            self.opt_in(message.recipient, inbound.sender)
        configuration = self._inbound.configuration_for(number.account, number.number, inbound.text)
        self.world.spawn(self._callbacks.post_inbound(message, configuration))
        return message

    async def _not_found_v3(self, request: web.Request) -> web.Response:
        self._admit_any(request, Shape.V3)

    async def _not_found(self, request: web.Request) -> web.Response:
        self._admit_any(request, Shape.OLD)

    def _admit_any(self, request: web.Request, shape: Shape) -> NoReturn:
        scopes: tuple[Scope, ...] = get_args(Scope)
        self.admit(request, *scopes, shape=shape)
        refuse(shape, NOT_FOUND)


def _shown(subscription: Subscription) -> dict[str, Any]:
    settings = subscription.settings.model_dump(by_alias=True, exclude_none=True)
    return {"account": subscription.account, "id": subscription.id, **settings}


def _foreign(account: str, message_id: str) -> str:
    return f"{account}/{message_id}"
