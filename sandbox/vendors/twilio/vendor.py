"""Twilio's API: who may come in, messages read back and cancelled, keywords, the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.basic import decoded, is_one_of
from sandbox.clock import mail_date
from sandbox.numbers import is_name, is_short_code, is_toll_free
from sandbox.outcomes import Step
from sandbox.vendor import ControlError, Inbound, Route, Vendor, json_response, owned
from sandbox.vendors.twilio.callbacks import Callbacks
from sandbox.vendors.twilio.control import TwilioControl
from sandbox.vendors.twilio.desk import MessagesDesk
from sandbox.vendors.twilio.listing import list_page
from sandbox.vendors.twilio.records import Account, Number, Service, public_account, public_number
from sandbox.vendors.twilio.wire import BAD_REQUEST, ERROR_CODES, NOT_FOUND, UNAUTHORIZED, read_form, refuse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from sandbox.ledger import Message
    from sandbox.world import World

_STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
_START_WORDS = frozenset({"START", "YES", "UNSTOP"})
_HELP_WORDS = frozenset({"HELP", "INFO"})
_TOLL_FREE_STOP, _TOLL_FREE_START = frozenset({"STOP"}), frozenset({"START", "UNSTOP"})


class TwilioVendor(Vendor):
    """Accounts, their messages, and what is called back."""

    name: ClassVar[str] = "twilio"
    title: ClassVar[str] = "Twilio"
    docs: ClassVar[str] = "https://www.twilio.com/docs/messaging/api/message-resource"
    endpoint: ClassVar[str] = "{base} or {base}/twilio in front of /2010-04-01"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.accounts = self.keep(Account, "accounts", by="sid", show=public_account)
        self.numbers = self.keep(Number, "numbers", by="number", show=public_number)
        self.services = self.keep(Service, "services", by="sid")
        self._callbacks = Callbacks(self)
        self._desk = MessagesDesk(self)
        self._under_way = 0

    def routes(self) -> Sequence[Route]:
        """Serve the API at the root, as Twilio does, and below `/twilio`."""
        account = "/2010-04-01/Accounts/{account}"
        own = [
            ("POST", account + "/Messages.json", self._create),
            ("GET", account + "/Messages.json", self._list),
            ("GET", account + "/Messages/{sid}.json", self._fetch),
            ("POST", account + "/Messages/{sid}.json", self._update),
            ("GET", account + ".json", self._fetch_account),
        ]
        return [
            *(Route(method, prefix + path, handler) for prefix in ("", "/twilio") for method, path, handler in own),
            *(Route("*", path, self._not_found) for path in ("/2010-04-01{tail:.*}", "/twilio/{tail:.*}")),
        ]

    def control_routes(self) -> Sequence[Route]:
        """Manage accounts, tokens, numbers and Messaging Services."""
        return TwilioControl(self).routes()

    def admit(self, request: web.Request) -> Account:
        """Check the credentials against the account in the path.

        Raises:
            RefusedError: They do not fit, or there is no such account.
        """
        known = self._authenticate(request.headers.get("Authorization", ""))
        if known is None:
            refuse(UNAUTHORIZED, 20003, "Authenticate")
        asked = request.match_info["account"]
        if asked not in self.accounts:
            refuse(NOT_FOUND, 20404, f"The requested resource {request.path} was not found")
        if asked != known.sid:
            refuse(UNAUTHORIZED, 20003, "Authenticate")
        return known

    def answer_headers(self) -> dict[str, str]:
        """Give the headers every answer carries."""
        return {
            "Twilio-Request-Id": f"RQ{self.world.ids.hex(32)}",
            "Twilio-Concurrent-Requests": str(max(self._under_way, 1)),
        }

    def resource(self, message: Message) -> dict[str, Any]:
        """Describe a message as the Messages resource does."""
        path = f"/2010-04-01/Accounts/{message.account}/Messages/{message.id}"
        pending = message.state in {"accepted", "scheduled"}
        reason = message.reason
        inbound = message.direction == "inbound"
        return {
            "account_sid": message.account,
            "api_version": "2010-04-01",
            "body": message.text,
            "date_created": mail_date(message.at),
            "date_sent": None if message.sent_at is None else mail_date(message.sent_at),
            "date_updated": mail_date(message.state_at),
            "direction": {"inbound": "inbound", "reply": "outbound-reply"}.get(message.direction, "outbound-api"),
            "error_code": None if reason is None else ERROR_CODES[reason],
            "error_message": None,
            "from": None if pending and not message.extra.get("named") else message.sender,
            "messaging_service_sid": message.extra.get("service"),
            "num_media": "0",
            "num_segments": "0" if pending else str(message.segments),
            "price": None if message.sent_at is None or inbound else f"{-0.0079 * message.segments:.5f}",
            "price_unit": "USD",
            "sid": message.id,
            "status": message.state,
            "subresource_uris": {"media": f"{path}/Media.json"},
            "to": message.recipient,
            "uri": f"{path}.json",
        }

    async def report(self, message: Message, step: Step) -> None:
        """Tell a state to the message's StatusCallback."""
        await self._callbacks.report(message, step)

    async def receive(self, inbound: Inbound) -> Message:
        """Take in a person's text: act on its keyword as Twilio does, and post it to the number's webhook."""
        number = owned(self.numbers.get(inbound.recipient), inbound.recipient)
        if is_name(inbound.recipient):
            raise ControlError("nobody can answer an alphanumeric sender")
        service = next((entry for entry in self.services if inbound.recipient in entry.numbers), None)
        sid = service.sid if service else None
        message = self.take_in(inbound, self.new_id(), number.account, number.number, service=sid)
        keyword = self._heed(inbound, service)
        url = service.inbound_url if service and service.inbound_url else number.sms_url
        if url is not None:
            marked = keyword if service and service.advanced_opt_out else None
            self.world.spawn(self._callbacks.post_inbound(message, url, number.sms_method, marked))
        return message

    def new_id(self) -> str:
        """Draw the id of a text."""
        return f"SM{self.world.ids.hex(32)}"

    def has_stopped(self, sender: str, recipient: str) -> bool:
        """Tell whether a person stopped a sender, or the Messaging Service it belongs to."""
        services = [service.sid for service in self.services if sender in service.numbers]
        return any(self.is_opted_out(scope, recipient) for scope in (sender, *services))

    def _authenticate(self, header: str) -> Account | None:
        scheme, _, proof = header.partition(" ")
        user, secret = (decoded(proof) if scheme == "Basic" else None) or ("", "")
        for account in self.accounts:
            own = (account.token, account.secondary) if user == account.sid else (account.api_keys.get(user),)
            if is_one_of(secret, *own):
                return account
        return None

    def _heed(self, inbound: Inbound, service: Service | None) -> str | None:
        """Do what Twilio or the carrier does on STOP, START and HELP; says which it was."""
        word = inbound.text.strip().upper()
        number = inbound.recipient
        if is_short_code(number) and not (service and service.advanced_opt_out):
            return None
        toll_free = is_toll_free(number)
        scopes = [number, service.sid] if service else [number]
        if word in (_TOLL_FREE_STOP if toll_free else _STOP_WORDS):
            for scope in scopes:
                self.opt_out(scope, inbound.sender)
            return "STOP"
        if word in (_TOLL_FREE_START if toll_free else _START_WORDS):
            for scope in scopes:
                self.opt_in(scope, inbound.sender)
            return "START"
        return "HELP" if word in _HELP_WORDS else None

    async def _create(self, request: web.Request) -> web.Response:
        self._under_way += 1
        try:
            return await self._desk.serve(request)
        finally:
            self._under_way -= 1

    async def _fetch(self, request: web.Request) -> web.Response:
        message = self._find(request)
        return json_response(self.resource(message), headers=self.answer_headers())

    async def _update(self, request: web.Request) -> web.Response:
        """Cancel a scheduled message."""
        message = self._find(request)
        form = read_form(request, await request.read())
        if form.get("Status") != "canceled":
            refuse(BAD_REQUEST, 20001, "Invalid parameter: only Status=canceled is supported.")
        if message.state != "scheduled":
            refuse(BAD_REQUEST, 30409, "The message can no longer be canceled.")
        self.lives.end(message)
        self.ledger.cancel(message)
        self.world.spawn(self.report(message, Step(0, "canceled")))
        return json_response(self.resource(message), headers=self.answer_headers())

    async def _list(self, request: web.Request) -> web.Response:
        account = self.admit(request)
        page = list_page(request, self.ledger, account.sid, self.resource)
        return json_response(page, headers=self.answer_headers())

    async def _fetch_account(self, request: web.Request) -> web.Response:
        account = self.admit(request)
        path = f"/2010-04-01/Accounts/{account.sid}"
        return json_response(
            {
                "sid": account.sid,
                "friendly_name": "Sandbox",
                "status": "active",
                "type": "Full",
                "auth_token": account.token,
                "owner_account_sid": account.sid,
                "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
                "date_updated": "Thu, 24 Aug 2023 05:01:45 +0000",
                "uri": f"{path}.json",
                "subresource_uris": {"messages": f"{path}/Messages.json"},
            },
            headers=self.answer_headers(),
        )

    async def _not_found(self, request: web.Request) -> web.Response:
        if self._authenticate(request.headers.get("Authorization", "")) is None:
            refuse(UNAUTHORIZED, 20003, "Authenticate")
        refuse(NOT_FOUND, 20404, f"The requested resource {request.path} was not found")

    def _find(self, request: web.Request) -> Message:
        account = self.admit(request)
        message = self.ledger.get(request.match_info["sid"])
        if message is None or message.account != account.sid:
            refuse(NOT_FOUND, 20404, f"The requested resource {request.path} was not found")
        return message
