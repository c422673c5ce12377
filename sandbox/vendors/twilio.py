"""Twilio Programmable Messaging, as its customers meet it.

Sources: the published OpenAPI file (twilio-oai, twilio_api_v2010.json) and Twilio's pages "Messages resource", "Error
and warning dictionary", "Outbound message status in status callbacks", "Webhook request", "Webhooks security",
"Webhook connection overrides", "Advanced Opt-Out". What Twilio does not publish is marked ASSUMED.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from sandbox.calls import redact_url
from sandbox.clock import mail_date, utc
from sandbox.ledger import CallbackTry, Message
from sandbox.numbers import is_name, is_number, is_short_code, is_toll_free, takes_names
from sandbox.outcomes import Outcome, Reason, Step, outcome_of
from sandbox.register import Register
from sandbox.segments import count_segments
from sandbox.sending import Done, Order, RefusedError, SendDesk
from sandbox.vendor import ControlError, Inbound, Route, Vendor, json_response
from sandbox.webhooks import Persistence, Webhook, deliver

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandbox.courier import Answer
    from sandbox.world import World

_LONGEST_BODY = 1600
_VALIDITY_SECONDS = range(1, 36001)
_SCHEDULE_AHEAD = (timedelta(minutes=15), timedelta(days=35))
_DEFAULT_PAGE, _LONGEST_PAGE = 50, 1000
_BAD_REQUEST, _UNAUTHORIZED, _NOT_FOUND, _TOO_MANY, _SERVER_ERROR = 400, 401, 404, 429, 500
_TRUE_OR_FALSE = ("ProvideFeedback", "SmartEncoded", "ShortenUrls", "SendAsMms", "ForceDelivery")
_FINISHED = frozenset({"delivered", "undelivered", "failed"})

REFUSALS: dict[Reason, tuple[int, str]] = {
    Reason.INVALID_NUMBER: (21211, "The 'To' number {to} is not a valid phone number."),
    Reason.OPTED_OUT: (21610, "Attempt to send to unsubscribed recipient"),
    Reason.NO_ROUTE: (
        21612,
        "The 'To' phone number: {to}, is not currently reachable using the 'From' phone number: {from} via SMS.",
    ),
    Reason.NOT_MOBILE: (21614, "'To' number is not a valid mobile number"),
}
ERROR_CODES: dict[Reason, int] = {
    Reason.OPTED_OUT: 21610,
    Reason.NO_ROUTE: 21612,
    Reason.NOT_MOBILE: 30006,
    Reason.UNREACHABLE: 30003,
    Reason.UNKNOWN_SUBSCRIBER: 30005,
    Reason.CARRIER_BLOCKED: 30004,
    Reason.FILTERED: 30007,
    Reason.EXPIRED: 30036,
    Reason.UNCLEAR: 30008,
    Reason.SENDER_UNREGISTERED: 30034,
    Reason.CARRIER_LIMIT: 30022,
    Reason.NO_CARRIER_REPORT: 30008,
}
_STOP_WORDS = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
_START_WORDS = frozenset({"START", "YES", "UNSTOP"})
_HELP_WORDS = frozenset({"HELP", "INFO"})
_TOLL_FREE_STOP, _TOLL_FREE_START = frozenset({"STOP"}), frozenset({"START", "UNSTOP"})

_REPLY = re.compile(rb"<Message\b[^>]*>(.*?)</Message>", re.DOTALL)


class Account(BaseModel):
    """A Twilio account.

    Attributes:
        sid: Its id.
        token: The primary auth token: it signs callbacks, and opens the API.
        secondary: A second token that opens the API and signs nothing until it is promoted.
        api_keys: API key ids and their secrets; they open the API and sign nothing.
    """

    model_config = ConfigDict(extra="forbid")

    sid: str = Field(pattern=r"^AC[0-9a-f]{32}$")
    token: str = Field(pattern=r"^[0-9a-f]{32}$")
    secondary: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    api_keys: dict[str, str] = {}


class Number(BaseModel):
    """A sender of an account.

    Attributes:
        number: E.164 number, short code or name.
        account: Whose it is.
        sms_url: Where its incoming texts are posted.
        sms_method: How.
    """

    model_config = ConfigDict(extra="forbid")

    number: str
    account: str
    sms_url: str | None = Field(default=None, pattern=r"^https?://")
    sms_method: Literal["POST", "GET"] = "POST"


class Service(BaseModel):
    """A Messaging Service: a pool of senders.

    Attributes:
        sid: Its id.
        account: Whose it is.
        numbers: Its senders.
        status_callback: Where states are told when a request does not say.
        inbound_url: Where incoming texts are posted instead of to the number's own address.
        advanced_opt_out: Whether incoming keywords are marked with `OptOutType`.
    """

    model_config = ConfigDict(extra="forbid")

    sid: str = Field(pattern=r"^MG[0-9a-f]{32}$")
    account: str
    numbers: list[str] = []
    status_callback: str | None = Field(default=None, pattern=r"^https?://")
    inbound_url: str | None = Field(default=None, pattern=r"^https?://")
    advanced_opt_out: bool = False


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


def refuse(status: int, code: int, message: str) -> NoReturn:
    """Refuse a request in Twilio's classic error shape.

    Raises:
        RefusedError: Always.
    """
    raise RefusedError(_error(status, code, message))


def sign(token: str, url: str, params: Iterable[tuple[str, str]] = ()) -> str:
    """Sign a callback (Twilio, "Webhooks security"): HMAC-SHA1 over the URL and the sorted, decoded form fields.

    Args:
        token: The account's primary auth token.
        url: As posted to, query included, fragment not.
        params: The form fields, duplicates included.
    """
    fields = "".join(name + value for name, value in sorted(set(params)))
    return base64.b64encode(hmac.digest(token.encode(), (url + fields).encode(), "sha1")).decode()


class MessagesDesk(SendDesk[SmsOrder]):
    """`POST /2010-04-01/Accounts/{Sid}/Messages.json`."""

    vendor: TwilioVendor

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a request to create a message. A body that is no form counts as an empty one, as at Twilio."""
        account = self.vendor.admit(request)
        form = read_form(request, body)
        to = form.get("To", "")
        if not to:
            refuse(_BAD_REQUEST, 21604, "A 'To' phone number is required.")
        if not is_number(to):
            refuse(_BAD_REQUEST, 21211, f"The 'To' number {to} is not a valid phone number.")
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
            return Done(_error(_BAD_REQUEST, code, words, vendor.answer_headers()), [])
        if reason is Reason.OPTED_OUT:
            outcome = Outcome("", "opted_out", "", steps=(Step(1.0, "failed", Reason.OPTED_OUT),))
        accepted = self._accept(order, outcome)
        return Done(json_response(vendor.resource(accepted), status=201, headers=vendor.answer_headers()), [accepted])

    def throttled(self, retry_after: float | None) -> web.Response:
        """429, error 20429."""
        headers = self.vendor.answer_headers()
        if retry_after is not None:
            headers["Retry-After"] = f"{retry_after:g}"
        return _error(_TOO_MANY, 20429, "Too Many Requests", headers)

    def broken(self) -> web.Response:
        """500, as the HTML a gateway in front of the API would send."""
        page = "<html><head><title>500 Internal Server Error</title></head><body>Internal Server Error</body></html>"
        return web.Response(status=_SERVER_ERROR, text=page, content_type="text/html")

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
        return vendor.ledger.accept(
            Message(
                id=f"SM{vendor.world.ids.hex(32)}",
                account=order.account,
                sender=order.chosen,
                recipient=to,
                text=order.text,
                at=vendor.world.clock.now(),
                segments=count_segments(order.text),
                tag=order.callback,
                callback_url=order.callback,
                state=state,
                plan=plan,
                extra={"service": order.service.sid if order.service else None, "named": bool(order.sender)},
            ),
        )

    def _service(self, account: Account, form: dict[str, str]) -> Service | None:
        sid = form.get("MessagingServiceSid", "")
        if not sid:
            return None
        service = self.vendor.services.get(sid)
        if service is None or service.account != account.sid:
            refuse(_NOT_FOUND, 21701, f"The Messaging Service {sid} does not exist.")
        return service

    def _sender(self, account: Account, form: dict[str, str], to: str, service: Service | None) -> str:
        sender = form.get("From", "")
        if not sender:
            if service is None:
                refuse(_BAD_REQUEST, 21603, "A 'From' phone number is required.")
            if not service.numbers:
                refuse(_BAD_REQUEST, 21704, "The Messaging Service contains no phone numbers.")
            return service.numbers[0]
        if not (is_number(sender) or is_short_code(sender) or is_name(sender)):
            refuse(_BAD_REQUEST, 21212, f"The 'From' number {sender} is not a valid phone number, shortcode, or name.")
        owner = self.vendor.numbers.get(sender)
        if owner is not None and owner.account != account.sid:
            refuse(_BAD_REQUEST, 21660, f"Mismatch between the 'From' number {sender} and the account {account.sid}")
        if owner is None and any(number.account == account.sid for number in self.vendor.numbers):
            refuse(_BAD_REQUEST, 21659, f"'From' {sender} is not a Twilio phone number or Short Code country mismatch")
        if sender == to:
            refuse(_BAD_REQUEST, 21266, f"'To' and 'From' number cannot be the same: {to}")
        if is_name(sender) and not takes_names(to):
            code, message = REFUSALS[Reason.NO_ROUTE]
            refuse(_BAD_REQUEST, code, message.format(**{"to": to, "from": sender}))
        return sender

    def _text(self, form: dict[str, str]) -> str:
        text = form.get("Body", "")
        if not text and not form.get("MediaUrl") and not form.get("ContentSid"):
            refuse(_BAD_REQUEST, 21602, "Message body is required.")
        if len(text) > _LONGEST_BODY:
            refuse(
                _BAD_REQUEST,
                21617,
                "The concatenated message body exceeds the 1600 character limit",
            )
        return text

    def _check_options(self, form: dict[str, str]) -> None:
        callback = form.get("StatusCallback", "")
        if callback and not is_callback_url(callback):
            refuse(_BAD_REQUEST, 21609, f"The 'StatusCallback' URL {callback} is not a valid URL.")
        validity = form.get("ValidityPeriod")
        if validity is not None and not (
            validity.isascii() and validity.isdigit() and int(validity) in _VALIDITY_SECONDS
        ):
            refuse(_BAD_REQUEST, 21624, "The ValidityPeriod is invalid: it is a number of seconds from 1 to 36000.")
        for name in _TRUE_OR_FALSE:
            if form.get(name, "true") not in {"true", "false"}:
                refuse(_BAD_REQUEST, 20001, f"Invalid parameter: {name} must be true or false.")
        if form.get("ShortenUrls") == "true" and not form.get("MessagingServiceSid"):
            refuse(_BAD_REQUEST, 20001, "Invalid parameter: ShortenUrls requires a MessagingServiceSid.")

    def _schedule(self, form: dict[str, str], service: Service | None) -> float | None:
        """Say in how many seconds a scheduled message is due."""
        kind, moment = form.get("ScheduleType"), form.get("SendAt")
        if kind is None and moment is None:
            return None
        if kind != "fixed" or not moment:
            refuse(_BAD_REQUEST, 35111, "ScheduleType 'fixed' and SendAt must be given together.")
        if service is None:
            refuse(_BAD_REQUEST, 35118, "MessagingServiceSid is required to schedule a message.")
        try:
            due = datetime.fromisoformat(moment)
        except ValueError:
            due = None
        if due is None or due.tzinfo is None:
            refuse(_BAD_REQUEST, 35114, "SendAt must be an ISO 8601 time.")
        ahead = due - utc(self.vendor.world.clock.now())
        if not _SCHEDULE_AHEAD[0] <= ahead <= _SCHEDULE_AHEAD[1]:
            refuse(_BAD_REQUEST, 35114, "SendAt must be 15 minutes to 35 days ahead.")
        return ahead.total_seconds()


@dataclass(frozen=True)
class Overrides:
    """How a callback URL's fragment wants Twilio to behave (Twilio, "Webhook connection overrides").

    Attributes:
        retries: `rc`, 0 to 5 further attempts.
        policy: `rp`: which failures are tried again.
        connect: `ct`, milliseconds to connect.
        read: `rt`, milliseconds to wait for the answer.
        total: `tt`, milliseconds in all.
        error: The debugger error when the fragment cannot be understood: no callback is made then.
    """

    retries: int = 1
    policy: frozenset[str] = frozenset({"ct"})
    connect: int = 5000
    read: int = 15000
    total: int = 15000
    error: str = ""

    def again(self, answer: Answer) -> bool:
        """Tell whether an answer is one of the failures that are tried again."""
        return bool(self.policy & _failures(answer))


_LIMITS = {"rc": (0, 5), "ct": (100, 10000), "rt": (100, 15000), "tt": (100, 15000)}
_POLICIES = frozenset({"4xx", "5xx", "ct", "rt", "all"})


def overrides(url: str) -> Overrides:
    """Read a callback URL's fragment; what it does not say stays at Twilio's defaults."""
    given = dict(parse_qsl(url.partition("#")[2]))
    numbers: dict[str, int] = {}
    for name, (least, most) in _LIMITS.items():
        text = given.get(name)
        if text is None:
            continue
        if not text.isdigit() or not least <= int(text) <= most:
            return Overrides(error=f"{name} is invalid")
        numbers[name] = int(text)
    policy = frozenset(given.get("rp", "ct").split(","))
    if not policy <= _POLICIES:
        return Overrides(error="11243 HTTP retry policy is invalid")
    base = Overrides()
    return Overrides(
        retries=numbers.get("rc", base.retries),
        policy=policy,
        connect=numbers.get("ct", base.connect),
        read=numbers.get("rt", base.read),
        total=numbers.get("tt", base.total),
    )


@dataclass
class _Page:
    """One page of a list."""

    messages: list[Message] = field(default_factory=list)
    more: bool = False


class TwilioVendor(Vendor):
    """Accounts, their messages, and what is called back."""

    name: ClassVar[str] = "twilio"
    title: ClassVar[str] = "Twilio"
    docs: ClassVar[str] = "https://www.twilio.com/docs/messaging/api/message-resource"
    endpoint: ClassVar[str] = "{base} or {base}/twilio in front of /2010-04-01"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.accounts = Register(Account, self.name, "accounts", world.journal)
        self.numbers = Register(Number, self.name, "numbers", world.journal)
        self.services = Register(Service, self.name, "services", world.journal)
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
        base = "/sandbox/twilio/accounts"
        return [
            Route("GET", base, self._list_accounts),
            Route("POST", base, self._put_account),
            Route("DELETE", base + "/{account}", self._delete_account),
            Route("POST", base + "/{account}/secondary", self._make_secondary),
            Route("POST", base + "/{account}/promote", self._promote),
            Route("GET", base + "/{account}/numbers", self._list_numbers),
            Route("POST", base + "/{account}/numbers", self._put_number),
            Route("DELETE", base + "/{account}/numbers/{number}", self._delete_number),
            Route("POST", base + "/{account}/services", self._put_service),
        ]

    def registers(self) -> Sequence[Register[Any]]:
        """Accounts, numbers and services."""
        return (self.accounts, self.numbers, self.services)

    def admit(self, request: web.Request) -> Account:
        """Check the credentials against the account in the path.

        Raises:
            RefusedError: They do not fit, or there is no such account.
        """
        known = self._authenticate(request.headers.get("Authorization", ""))
        if known is None:
            refuse(_UNAUTHORIZED, 20003, "Authenticate")
        asked = request.match_info["account"]
        if asked not in self.accounts:
            refuse(_NOT_FOUND, 20404, f"The requested resource {request.path} was not found")
        if asked != known.sid:
            refuse(_UNAUTHORIZED, 20003, "Authenticate")
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
        """Tell a state to the message's StatusCallback, signed with the primary token."""
        if message.callback_url is None:
            return
        fields = [("ErrorCode", str(ERROR_CODES[step.reason]))] if step.reason else []
        fields += [
            ("SmsSid", message.id),
            ("SmsStatus", step.state),
            ("MessageStatus", step.state),
            ("To", message.recipient),
        ]
        if message.extra.get("service"):
            fields.append(("MessagingServiceSid", message.extra["service"]))
        fields += [
            ("MessageSid", message.id),
            ("AccountSid", message.account),
            ("From", message.sender),
            ("ApiVersion", "2010-04-01"),
        ]
        if step.state in _FINISHED - {"failed"}:
            fields.append(("RawDlrDoneDate", f"{utc(self.world.clock.now()):%y%m%d%H%M}"))
        await self._call_back(message, step.state, message.callback_url, fields, forged=step.forged)

    async def receive(self, inbound: Inbound) -> Message:
        """Take in a person's text: act on its keyword as Twilio does, and post it to the number's webhook."""
        number = self.numbers.get(inbound.recipient)
        if number is None:
            raise ControlError(f"no account owns {inbound.recipient}; register the number first")
        if is_name(inbound.recipient):
            raise ControlError("nobody can answer an alphanumeric sender")
        service = next((entry for entry in self.services if inbound.recipient in entry.numbers), None)
        now = self.world.clock.now()
        message = self.ledger.accept(
            Message(
                id=f"SM{self.world.ids.hex(32)}",
                account=number.account,
                sender=inbound.sender,
                recipient=inbound.recipient,
                text=inbound.text,
                at=now,
                sent_at=now,
                direction="inbound",
                state="received",
                segments=count_segments(inbound.text),
                extra={"service": service.sid if service else None},
            ),
        )
        keyword = self._heed(inbound, service)
        url = service.inbound_url if service and service.inbound_url else number.sms_url
        if url is not None:
            marked = keyword if service and service.advanced_opt_out else None
            self.world.spawn(self._post_inbound(message, url, number.sms_method, marked))
        return message

    def has_stopped(self, sender: str, recipient: str) -> bool:
        """Tell whether a person stopped a sender, or the Messaging Service it belongs to."""
        services = [service.sid for service in self.services if sender in service.numbers]
        return any(self.is_opted_out(scope, recipient) for scope in (sender, *services))

    def state(self) -> dict[str, Any]:
        """Describe the vendor, its accounts and numbers."""
        return {
            **super().state(),
            "accounts": [_public(account) for account in self.accounts],
            "numbers": [_public_number(number) for number in self.numbers],
            "services": [service.model_dump() for service in self.services],
        }

    def _authenticate(self, header: str) -> Account | None:
        scheme, _, encoded = header.partition(" ")
        if scheme != "Basic":
            return None
        try:
            user, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
        except ValueError:
            return None
        for account in self.accounts:
            if user == account.sid:
                valid = [account.token, account.secondary]
            elif user in account.api_keys:
                valid = [account.api_keys[user]]
            else:
                continue
            if any(known and hmac.compare_digest(known.encode(), secret.encode()) for known in valid):
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

    async def _post_inbound(self, message: Message, url: str, method: str, keyword: str | None) -> None:
        fields = [
            ("ToCountry", _country(message.recipient)),
            ("ToState", ""),
            ("SmsMessageSid", message.id),
            ("NumMedia", "0"),
            ("ToCity", ""),
            ("FromZip", ""),
            ("SmsSid", message.id),
            ("FromState", "WA" if message.sender.startswith(("+1425", "+1206")) else ""),
            ("SmsStatus", "received"),
            ("FromCity", ""),
            ("Body", message.text),
            ("FromCountry", _country(message.sender)),
            ("To", message.recipient),
            ("ToZip", ""),
            ("NumSegments", str(message.segments)),
            ("MessageSid", message.id),
            ("AccountSid", message.account),
            ("From", message.sender),
            ("ApiVersion", "2010-04-01"),
        ]
        if message.extra.get("service"):
            fields.append(("MessagingServiceSid", message.extra["service"]))
        if keyword is not None:
            fields.append(("OptOutType", keyword))
        answer = await self._call_back(message, "received", url, fields, method=method)
        if answer is not None and answer.status == 200:  # noqa: PLR2004
            self._obey(message, answer)

    def _obey(self, message: Message, answer: Answer) -> None:
        """Text back what a webhook's answer asks for; a plain text answer is sent as it is."""
        content = (answer.headers or {}).get("content-type", "").partition(";")[0]
        texts: list[str] = []
        if content in {"text/xml", "application/xml"}:
            texts = [match.decode("utf-8", "replace") for match in _REPLY.findall(answer.body)]
        elif content == "text/plain" and answer.body:
            texts = [answer.body.decode("utf-8", "replace")]
        elif answer.body:
            message.extra["warning"] = f"12300 Invalid Content-Type {content}"
        for text in texts:
            reply = self.ledger.accept(
                Message(
                    id=f"SM{self.world.ids.hex(32)}",
                    account=message.account,
                    sender=message.recipient,
                    recipient=message.sender,
                    text=text,
                    at=self.world.clock.now(),
                    direction="reply",
                    segments=count_segments(text),
                    plan=Outcome("", "", "").steps,
                ),
            )
            self.lives.begin(reply)

    async def _call_back(
        self,
        message: Message,
        about: str,
        url: str,
        fields: list[tuple[str, str]],
        *,
        method: str = "POST",
        forged: bool = False,
    ) -> Answer | None:
        """Post a signed form and try again as the URL's fragment says; nothing when the fragment is wrong."""
        account = self.accounts.get(message.account)
        wanted = overrides(url)
        if account is None or wanted.error:
            error = wanted.error or "the account is gone"
            self.ledger.told(message, CallbackTry(self.world.clock.now(), about, error=error))
            return None
        target = url.partition("#")[0]
        body = b""
        if method == "GET":
            target += ("&" if urlsplit(target).query else "?") + urlencode(fields)
        else:
            body = urlencode(fields).encode()
        token = self.world.ids.uuid()
        headers = {
            "X-Twilio-Signature": sign(
                "0" * 32 if forged else account.token,
                target,
                fields if method == "POST" else (),
            ),
            "I-Twilio-Idempotency-Token": token,
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
        }
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        return await deliver(
            self.world,
            self.ledger,
            message,
            Webhook(about, target, headers, body, method, token, forged),
            Persistence(
                waits=(0.0,) * wanted.retries,
                again=wanted.again,
                connect_seconds=wanted.connect / 1000,
                read_seconds=wanted.read / 1000,
                total_seconds=wanted.total / 1000,
            ),
        )

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
            refuse(_BAD_REQUEST, 20001, "Invalid parameter: only Status=canceled is supported.")
        if message.state != "scheduled":
            refuse(_BAD_REQUEST, 30409, "The message can no longer be canceled.")
        self.lives.end(message)
        self.ledger.cancel(message)
        self.world.spawn(self.report(message, Step(0, "canceled")))
        return json_response(self.resource(message), headers=self.answer_headers())

    async def _list(self, request: web.Request) -> web.Response:
        account = self.admit(request)
        size = _page_size(request.query.get("PageSize"))
        page = self._page(account, request, size)
        query = [
            (name, value) for name, value in request.query.items() if name not in {"Page", "PageToken", "PageSize"}
        ]
        path = f"/2010-04-01/Accounts/{account.sid}/Messages.json"
        number = int(request.query.get("Page", "0") or 0)

        def uri(page_number: int, token: str | None) -> str:
            more = [("PageSize", str(size)), ("Page", str(page_number))]
            if token is not None:
                more.append(("PageToken", token))
            return f"{path}?{urlencode([*query, *more])}"

        following = uri(number + 1, f"PA{page.messages[-1].id}") if page.more else None
        return json_response(
            {
                "first_page_uri": uri(0, None),
                "next_page_uri": following,
                "previous_page_uri": None,
                "page": number,
                "page_size": size,
                "start": number * size,
                "end": number * size + max(len(page.messages) - 1, 0),
                "uri": uri(number, request.query.get("PageToken")),
                "messages": [self.resource(message) for message in page.messages],
            },
            headers=self.answer_headers(),
        )

    def _page(self, account: Account, request: web.Request, size: int) -> _Page:
        """Pick one page, newest first; a page token names the last message of the page before."""
        days = _day_filters(request)
        found = self.ledger.find(
            recipient=request.query.get("To"),
            sender=request.query.get("From"),
            account=account.sid,
            direction=None,
        )
        token = request.query.get("PageToken", "").removeprefix("PA")
        page = _Page()
        seen = not token
        for message in reversed(found):
            if not seen:
                seen = message.id == token
                continue
            if not all(fits(message) for fits in days):
                continue
            if len(page.messages) == size:
                page.more = True
                break
            page.messages.append(message)
        return page

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
            refuse(_UNAUTHORIZED, 20003, "Authenticate")
        refuse(_NOT_FOUND, 20404, f"The requested resource {request.path} was not found")

    def _find(self, request: web.Request) -> Message:
        account = self.admit(request)
        message = self.ledger.get(request.match_info["sid"])
        if message is None or message.account != account.sid:
            refuse(_NOT_FOUND, 20404, f"The requested resource {request.path} was not found")
        return message

    async def _list_accounts(self, _request: web.Request) -> web.Response:
        return json_response([_public(account) for account in self.accounts])

    async def _put_account(self, request: web.Request) -> web.Response:
        account = Account.model_validate_json(await request.read())
        self.accounts.put(account.sid, account)
        return json_response(_public(account), status=201)

    async def _delete_account(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        self.accounts.remove(account.sid)
        for number in self.numbers:
            if number.account == account.sid:
                self.numbers.remove(number.number)
        for service in self.services:
            if service.account == account.sid:
                self.services.remove(service.sid)
        return web.Response(status=204)

    async def _make_secondary(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        body = await request.read()
        given = orjson.loads(body).get("token") if body else None
        changed = Account.model_validate({**account.model_dump(), "secondary": given or self.world.ids.hex(32)})
        self.accounts.put(account.sid, changed)
        return json_response({"sid": account.sid, "secondary": changed.secondary}, status=201)

    async def _promote(self, request: web.Request) -> web.Response:
        """Make the secondary token the primary; the old primary is worth nothing from then on."""
        account = self._known_account(request)
        if account.secondary is None:
            raise ControlError("there is no secondary token to promote")
        promoted = account.model_copy(update={"token": account.secondary, "secondary": None})
        self.accounts.put(account.sid, promoted)
        return json_response(_public(promoted))

    async def _list_numbers(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        return json_response([_public_number(entry) for entry in self.numbers if entry.account == account.sid])

    async def _put_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        number = Number.model_validate({**await request.json(), "account": account.sid})
        owner = self.numbers.get(number.number)
        if owner is not None and owner.account != account.sid:
            raise ControlError(f"{number.number} belongs to another account")
        self.numbers.put(number.number, number)
        return json_response(_public_number(number), status=201)

    async def _delete_number(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        number = self.numbers.get(request.match_info["number"])
        if number is None or number.account != account.sid:
            raise web.HTTPNotFound
        self.numbers.remove(number.number)
        return web.Response(status=204)

    async def _put_service(self, request: web.Request) -> web.Response:
        account = self._known_account(request)
        service = Service.model_validate({**await request.json(), "account": account.sid})
        foreign = [entry for entry in service.numbers if not self._owns(account, entry)]
        if foreign:
            raise ControlError(f"not numbers of this account: {', '.join(foreign)}")
        self.services.put(service.sid, service)
        return json_response(service.model_dump(), status=201)

    def _owns(self, account: Account, number: str) -> bool:
        entry = self.numbers.get(number)
        return entry is not None and entry.account == account.sid

    def _known_account(self, request: web.Request) -> Account:
        account = self.accounts.get(request.match_info["account"])
        if account is None:
            raise web.HTTPNotFound
        return account


VENDOR = TwilioVendor


def read_form(request: web.Request, body: bytes) -> dict[str, str]:
    """Read a form's fields, the first of each name; empty when the body is of another type."""
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(reversed(fields))


def is_callback_url(url: str) -> bool:
    """Tell whether Twilio takes a URL as StatusCallback; other than Twilio, the sandbox takes loopback hosts."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if parts.scheme not in {"http", "https"} or not host or any(char.isspace() for char in url):
        return False
    return "_" not in host


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return json_response(body, status=status, headers=headers)


def _failures(answer: Answer) -> frozenset[str]:
    """Name a failed callback in the words of `rp`."""
    if answer.error == "connect":
        return frozenset({"ct", "all"})
    if answer.error:
        return frozenset({"rt", "all"})
    for first, word in ((4, "4xx"), (5, "5xx")):
        if (answer.status or 0) // 100 == first:
            return frozenset({word, "all"})
    return frozenset()


def _page_size(text: str | None) -> int:
    if not text:
        return _DEFAULT_PAGE
    if not text.isdigit() or int(text) < 1:
        refuse(_BAD_REQUEST, 20001, "Invalid parameter: PageSize")
    return min(int(text), _LONGEST_PAGE)


def _day_filters(request: web.Request) -> list[Any]:
    """Read DateSent, `DateSent<` (that day or before) and `DateSent>` (that day or after), whole days in GMT.

    A message that was not sent yet has no date, so none of them lets it pass.
    """
    filters = []
    for name, fits in (
        ("DateSent", lambda sent, day: sent == day),
        ("DateSent<", lambda sent, day: sent <= day),
        ("DateSent>", lambda sent, day: sent >= day),
    ):
        text = request.query.get(name)
        if text is None:
            continue
        try:
            day = datetime.fromisoformat(text).date()
        except ValueError:
            refuse(_BAD_REQUEST, 20001, f"Invalid parameter: {name}")
        filters.append(
            lambda message, day=day, fits=fits: message.sent_at is not None and fits(utc(message.sent_at).date(), day),
        )
    return filters


def _country(number: str) -> str:
    return "US" if number.startswith("+1") or is_short_code(number) else ""


def _public(account: Account) -> dict[str, Any]:
    """Show an account without its secrets."""
    return {"sid": account.sid, "secondary": account.secondary is not None, "api_keys": list(account.api_keys)}


def _public_number(number: Number) -> dict[str, Any]:
    """Show a number without keys in its webhook's address."""
    return {**number.model_dump(), "sms_url": number.sms_url and redact_url(number.sms_url)}
