"""Azure Communication Services SMS, as its customers meet it.

Sources: the published OpenAPI file and examples (azure-rest-api-specs, specification/communication/data-plane/Sms),
Microsoft Learn: "REST authentication" and "SMS FAQ" of Communication Services, "Communication Services as an Event
Grid source - SMS", "Repeatable requests" (OASIS). What Microsoft does not publish is marked ASSUMED.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn
from uuid import UUID

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, field_validator

from sandbox.calls import redact_url
from sandbox.clock import iso_ticks, utc
from sandbox.eventgrid import DELIVERY_REPORT, EVENT_FACTS, SMS_RECEIVED, Event, EventGrid, HandshakeError, Subscription
from sandbox.ledger import Message
from sandbox.numbers import is_name, is_number, is_short_code, is_toll_free, takes_names
from sandbox.outcomes import Outcome, Reason, Step, Trouble, outcome_of
from sandbox.register import Register
from sandbox.segments import count_segments
from sandbox.sending import Done, Order, RefusedError, SendDesk
from sandbox.vendor import ControlError, Inbound, Route, Vendor, json_response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.faults import Mishap
    from sandbox.world import World

API_VERSIONS = frozenset(
    {
        "2021-03-07",
        "2024-12-10-preview",
        "2025-05-29-preview",
        "2025-08-01-preview",
        "2025-09-17",
        "2026-01-23",
    },
)
_OPT_OUT_VERSIONS = API_VERSIONS - {"2021-03-07", "2025-05-29-preview"}
_POLLING_VERSIONS = frozenset({"2025-08-01-preview", "2026-01-23"})
_MOST_RECIPIENTS = 100
_MOST_CHARACTERS = 2048
_TIMEOUT_SECONDS = range(60, 43201)
_OK, _ACCEPTED, _BAD_REQUEST, _TOO_MANY, _UNAVAILABLE = 200, 202, 400, 429, 503

REPORT_DETAILS: dict[Reason, str] = {
    Reason.INVALID_NUMBER: "4002: Invalid To phone number format.",
    Reason.OPTED_OUT: "Sender blocked for given recipient.",
    Reason.NO_ROUTE: "4003: Message destination is not supported.",
    Reason.NOT_MOBILE: "4004: Message destination does not exist.",
    Reason.UNREACHABLE: "4006: Message destination is not reachable.",
    Reason.UNKNOWN_SUBSCRIBER: "4004: Message destination does not exist.",
    Reason.CARRIER_BLOCKED: "4005: Message blocked by destination carrier.",
    Reason.FILTERED: "4000: Message is rejected due to possible fraud.",
    Reason.EXPIRED: "5001: Message delivery is temporarily unavailable.",
    Reason.UNCLEAR: "9999: Message delivery failed with unknown error.",
    Reason.SENDER_UNREGISTERED: "4010: Message delivery failed, toll-free number is not verified.",
    Reason.CARRIER_LIMIT: "4020: Carrier volume violation.",
    Reason.NO_CARRIER_REPORT: "5002: Carrier does not support delivery reports.",
}
_REPORTED = {"delivered": "Delivered", "undelivered": "Failed", "failed": "Failed"}
_STOP_WORDS = frozenset({"STOP"})
_START_WORDS = frozenset({"START", "UNSTOP"})

_REPEATABILITY_ERROR = (
    "Request sent with Invalid DateTime value for repeatability-first-sent. Expected is DateTime ,RFC1123 pattern."
)
_AUTHORIZATION = re.compile(
    r"\AHMAC-SHA256 SignedHeaders=(?P<date>x-ms-date|date);host;x-ms-content-sha256"
    r"&Signature=(?P<signature>[A-Za-z0-9+/=]+)\Z",
)


class Resource(BaseModel):
    """A Communication Services resource.

    Attributes:
        name: Its name.
        keys: Its access keys, base64, primary first; one may be replaced while the other stays.
        tokens: Entra bearer tokens it takes.
        numbers: The senders it owns; none named means any well-formed one.
        clock_skew_seconds: How far a request's date may be off. ASSUMED: 15 minutes, as App Configuration documents
            for the same scheme.
        repeatability_seconds: How long a repeatability id is remembered. ASSUMED: 5 minutes, as documented for the
            e-mail and rooms services.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9-]{1,63}$")
    keys: list[str] = []
    tokens: list[str] = []
    numbers: list[str] = []
    clock_skew_seconds: float = 900
    repeatability_seconds: float = 300

    @field_validator("keys")
    @classmethod
    def _base64(cls, keys: list[str]) -> list[str]:
        for key in keys:
            try:
                base64.b64decode(key, validate=True)
            except binascii.Error as error:
                raise ValueError("an access key is base64") from error
        return keys

    @property
    def topic(self) -> str:
        """Its id, as events name it."""
        return (
            "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/sandbox/providers/"
            f"microsoft.communication/communicationservices/{self.name}"
        )


@dataclass
class SmsOrder(Order):
    """A send request as read.

    Attributes:
        resource: Whose it is.
        entries: The recipients as the client wrote them.
        report: Whether delivery events are wanted.
        tag: What to echo in them.
        api_version: The version asked for.
    """

    resource: Resource | None = None
    entries: list[dict[str, Any]] | None = None
    report: bool = False
    tag: str | None = None
    api_version: str = ""


def refuse(status: int, code: str, message: str, **more: Any) -> NoReturn:
    """Refuse a request in the service's own error shape.

    Raises:
        RefusedError: Always.
    """
    raise RefusedError(json_response({"error": {"code": code, "message": message, **more}}, status=status))


def refuse_fields(errors: dict[str, list[str]]) -> NoReturn:
    """Refuse a request whose fields do not fit, in the shape of RFC 9457 with an `errors` object.

    Raises:
        RefusedError: Always.
    """
    problem = {
        "type": "https://tools.ietf.org/html/rfc9110#section-15.5.1",
        "title": "One or more validation errors occurred.",
        "status": _BAD_REQUEST,
        "errors": errors,
        "traceId": "00-be8d0cac83cc01715e39bc84c2d10c61-5d7b25cd36751c3d-00",
    }
    headers = {"Content-Type": "application/problem+json; charset=utf-8"}
    raise RefusedError(json_response(problem, status=_BAD_REQUEST, headers=headers))


def content_hash(body: bytes) -> str:
    """Hash a body as `x-ms-content-sha256` wants it."""
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


def signature(key: str, method: str, path_and_query: str, *, date: str, host: str, hashed: str) -> str:
    """Sign a request with an access key (Microsoft Learn, "Communication Services REST authentication").

    Args:
        key: The access key, base64.
        method: The HTTP method.
        path_and_query: As it stands in the request line.
        date: As in `x-ms-date`.
        host: As in `Host`, a port that is not the scheme's own included.
        hashed: As in `x-ms-content-sha256`.
    """
    signed = f"{method}\n{path_and_query}\n{date};{host};{hashed}"
    return base64.b64encode(hmac.digest(base64.b64decode(key), signed.encode(), "sha256")).decode()


class SmsDesk(SendDesk[SmsOrder]):
    """`POST /sms`."""

    answers_each = True
    vendor: AcsVendor

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a send request: who asks, then the version, then the fields."""
        resource, version = self.vendor.admit(request, body, API_VERSIONS)
        wanted = _json_object(request, body)
        errors: dict[str, list[str]] = {}
        sender, text = wanted.get("from"), wanted.get("message")
        if not isinstance(sender, str) or not sender:
            errors["From"] = ["The From field is required."]
        elif not (is_number(sender) or is_short_code(sender) or is_name(sender)):
            errors["From"] = ["Invalid From phone number format."]
        if not isinstance(text, str) or not text:
            errors["Message"] = ["The Message field is required."]
        elif len(text) > _MOST_CHARACTERS:
            errors["Message"] = [f"The field Message must be a string with a maximum length of {_MOST_CHARACTERS}."]
        entries = _recipients(wanted.get("smsRecipients"), "SmsRecipients", errors)
        report, tag = _options(wanted.get("smsSendOptions"), errors)
        if errors or not isinstance(sender, str) or not isinstance(text, str):
            refuse_fields(errors)
        if resource.numbers and sender not in resource.numbers:
            # ASSUMED for numbers of the resource's own; documented for partner numbers.
            refuse(401, "Unauthorized", "The sender does not belong to this resource.")
        return SmsOrder(
            account=resource.name,
            sender=sender,
            recipients=[entry["to"] for entry in entries],
            text=text,
            resource=resource,
            entries=entries,
            report=report,
            tag=tag,
            api_version=version,
        )

    def execute(self, order: SmsOrder) -> Done:
        """Accept what can be accepted; the answer tells of each recipient."""
        accepted: list[Message] = []
        items = [
            self._item(order, entry, order.mishaps.get(place), accepted)
            for place, entry in enumerate(order.entries or [])
        ]
        return Done(json_response({"value": items}, status=_ACCEPTED), accepted)

    def throttled(self, retry_after: float | None) -> web.Response:
        """429; its body is ASSUMED."""
        headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
        error = {"code": "TooManyRequests", "message": "The request was throttled. Try again later."}
        return json_response({"error": error}, status=_TOO_MANY, headers=headers)

    def broken(self) -> web.Response:
        """500."""
        return json_response({"error": {"code": "InternalServerError", "message": "Internal Server Error"}}, status=500)

    def _item(
        self,
        order: SmsOrder,
        entry: dict[str, Any],
        mishap: Mishap | None,
        accepted: list[Message],
    ) -> dict[str, Any]:
        """Take in one recipient."""
        to = entry["to"]
        repeat_id, first_sent = entry.get("repeatabilityRequestId"), entry.get("repeatabilityFirstSent")
        repeatable = repeat_id is not None or first_sent is not None
        if repeatable and not (_is_guid(repeat_id) and _is_http_date(first_sent)):
            return _refused_item(to, _BAD_REQUEST, _REPEATABILITY_ERROR, repeatabilityResult="rejected")
        if not is_number(to):
            return _refused_item(to, _BAD_REQUEST, "Invalid To phone number format.")
        outcome = outcome_of(to)
        if outcome.refusal is Reason.INVALID_NUMBER:
            return _refused_item(to, _BAD_REQUEST, "Invalid To phone number format.")
        if mishap is not None:
            if mishap.kind is Trouble.THROTTLE:
                return _refused_item(to, _TOO_MANY, "TooManyRequests")
            return _refused_item(to, _UNAVAILABLE, "ServiceUnavailable")
        message = self._replayed(order, to, repeat_id) if isinstance(repeat_id, str) else None
        if message is None:
            message = self._accept(order, to, repeat_id, outcome)
            accepted.append(message)
        item = {"to": to, "messageId": _answered_id(message.id, order.api_version), "httpStatusCode": _ACCEPTED}
        if repeatable:
            item["repeatabilityResult"] = "accepted"
        return {**item, "successful": True}

    def _replayed(self, order: SmsOrder, to: str, repeat_id: str) -> Message | None:
        """Find the message an id was first used for, if it is still remembered."""
        resource = order.resource
        message = self.vendor.repeated(order.account, repeat_id)
        if message is None or resource is None:
            return None
        if self.vendor.world.clock.now() - message.at > resource.repeatability_seconds:
            return None
        same = (message.recipient, message.text, message.sender) == (to, order.text, order.sender)
        self.vendor.ledger.replayed(message, conflict=not same)
        return message

    def _accept(self, order: SmsOrder, to: str, repeat_id: str | None, outcome: Outcome) -> Message:
        vendor = self.vendor
        now = vendor.world.clock.now()
        if vendor.is_opted_out(order.sender, to):
            outcome = Outcome("", "opted_out", "", steps=(Step(1.0, "failed", Reason.OPTED_OUT),))
        elif is_name(order.sender) and not takes_names(to):
            outcome = Outcome("", "no_route", "", steps=(Step(1.0, "failed", Reason.NO_ROUTE),))
        message = vendor.ledger.accept(
            Message(
                id=f"Outgoing_{utc(now):%Y%m%d%H%M%S}{vendor.world.ids.uuid()}_noam",
                account=order.account,
                sender=order.sender,
                recipient=to,
                text=order.text,
                at=now,
                segments=count_segments(order.text),
                tag=order.tag,
                plan=vendor.mischief.plan(outcome, order.account, order.sender, to, order.text, order.tag or ""),
                extra={"report": order.report, "repeatability_id": repeat_id},
            ),
        )
        vendor.remember(message)
        return message


class AcsVendor(Vendor):
    """Communication Services resources, their SMS API and their events."""

    name: ClassVar[str] = "acs"
    title: ClassVar[str] = "Azure Communication Services"
    docs: ClassVar[str] = "https://learn.microsoft.com/rest/api/communication/sms/sms/send"
    endpoint: ClassVar[str] = "{base} (any resource, told apart by its key) or {base}/acs/{resource}"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.resources = Register(Resource, self.name, "resources", world.journal)
        self.grid = EventGrid(world, self.name, self.ledger)
        self._desk = SmsDesk(self)
        self._repeats: dict[tuple[str, str], Message] = {}

    def routes(self) -> Sequence[Route]:
        """Serve every path at the root, where the real SDK can reach it, and below `/acs/{resource}`."""
        own = [
            ("POST", "/sms", self._desk.serve),
            ("POST", "/sms/optouts:{action}", self._opt_outs),
            ("GET", "/deliveryReports/{id}", self._delivery_report),
        ]
        return [
            *(
                Route(method, prefix + path, handler)
                for prefix in ("", "/acs/{resource}")
                for method, path, handler in own
            ),
            *(
                Route("*", path, self._not_found)
                for path in ("/sms{tail:.*}", "/deliveryReports{tail:.*}", "/acs/{tail:.*}")
            ),
        ]

    def control_routes(self) -> Sequence[Route]:
        """Manage resources and event subscriptions."""
        base = "/sandbox/acs/resources"
        return [
            Route("GET", base, self._list_resources),
            Route("POST", base, self._put_resource),
            Route("DELETE", base + "/{resource}", self._delete_resource),
            Route("GET", base + "/{resource}/subscriptions", self._list_subscriptions),
            Route("POST", base + "/{resource}/subscriptions", self._subscribe),
            Route("DELETE", base + "/{resource}/subscriptions/{subscription}", self._unsubscribe),
            Route("GET", base + "/{resource}/dead-letters", self._dead_letters),
            Route("GET", "/sandbox/acs/validate", self._validate),
        ]

    def registers(self) -> Sequence[Register[Any]]:
        """Resources and subscriptions."""
        return (self.resources, self.grid.subscriptions)

    async def report(self, message: Message, step: Step) -> None:
        """Publish a delivery event: of final states only, and only if the request asked for reports."""
        if step.state not in _REPORTED or not message.extra["report"]:
            return
        event = self._report_event(message, step)
        if step.forged:
            await self.grid.forge(event, message, step.state)
        else:
            self.grid.publish(event, message, step.state)

    async def receive(self, inbound: Inbound) -> Message:
        """Take in a person's text: relay it as an event, and note STOP and START at toll-free numbers."""
        resource = next((entry for entry in self.resources if inbound.recipient in entry.numbers), None)
        if resource is None:
            raise ControlError(f"no resource owns {inbound.recipient}; name it in a resource's numbers")
        if is_name(inbound.recipient):
            raise ControlError("nobody can answer an alphanumeric sender")
        now = self.world.clock.now()
        message = self.ledger.accept(
            Message(
                id=f"Incoming_{utc(now):%Y%m%d%H%M%S}{self.world.ids.uuid()}",
                account=resource.name,
                sender=inbound.sender,
                recipient=inbound.recipient,
                text=inbound.text,
                at=now,
                direction="inbound",
                state="received",
                segments=count_segments(inbound.text),
            ),
        )
        if is_toll_free(inbound.recipient):
            word = inbound.text.strip().upper()
            if word in _STOP_WORDS:
                self.opt_out(inbound.recipient, inbound.sender)
            elif word in _START_WORDS:
                self.opt_in(inbound.recipient, inbound.sender)
        event = Event(
            id=message.id,
            source=resource.name,
            topic=resource.topic,
            subject=f"/phonenumber/{inbound.recipient.lstrip('+')}",
            type=SMS_RECEIVED,
            time=now,
            data={
                "messageId": message.id,
                "from": inbound.sender.lstrip("+"),
                "to": inbound.recipient.lstrip("+"),
                "message": inbound.text,
                "receivedTimestamp": iso_ticks(now),
                "segmentCount": message.segments,
            },
        )
        self.grid.publish(event, message, "received")
        return message

    def admit(self, request: web.Request, body: bytes, versions: frozenset[str]) -> tuple[Resource, str]:
        """Check who asks, and which version of the API is asked for.

        Returns:
            The resource and the version.

        Raises:
            RefusedError: The credentials do not fit, or the version is missing or unknown.
        """
        named = request.match_info.get("resource")
        if named is not None and named not in self.resources:
            refuse(404, "ResourceNotFound", f"There is no resource {named}.")
        candidates = [entry for entry in self.resources if named in {None, entry.name}]
        resource = self._authenticate(request, body, candidates)
        asked = request.query.getall("api-version", [])
        if not asked:
            refuse(
                _BAD_REQUEST,
                "ApiVersionUnspecified",
                "An API version is required, but was not specified.",
                innerError=None,
            )
        if len(asked) > 1 or asked[0] not in versions:
            refuse(
                _BAD_REQUEST,
                "UnsupportedApiVersion",
                f"The HTTP resource that matches the request URI '{request.path}' does not support the API version "
                f"'{asked[-1]}'.",
                innerError=None,
            )
        return resource, asked[0]

    def remember(self, message: Message) -> None:
        """Keep a message under the repeatability id it came with."""
        if (repeat_id := message.extra.get("repeatability_id")) is not None:
            self._repeats[message.account, repeat_id.lower()] = message

    def repeated(self, account: str, repeat_id: str) -> Message | None:
        """Find the message last executed under a repeatability id."""
        return self._repeats.get((account, repeat_id.lower()))

    def resume(self) -> None:
        """Go on after a restart: lives, ids and undelivered events."""
        for message in self.ledger:
            self.remember(message)
        super().resume()
        self.grid.resume()

    def restore(self, fact: dict[str, Any]) -> None:
        """Take back an event."""
        if fact["kind"] in EVENT_FACTS:
            self.grid.restore(fact)

    def reset(self, *, accounts: bool = False) -> None:
        """Forget, ids and events on their way included."""
        self.grid.clear()
        self._repeats.clear()
        super().reset(accounts=accounts)

    def state(self) -> dict[str, Any]:
        """Describe the vendor and its resources."""
        return {
            **super().state(),
            "resources": [_public(entry) for entry in self.resources],
            "subscriptions": [_public_subscription(entry) for entry in self.grid.subscriptions],
        }

    def _authenticate(self, request: web.Request, body: bytes, candidates: list[Resource]) -> Resource:
        """Find the resource whose token or key the request carries."""
        header = request.headers.get("Authorization", "")
        if header.startswith("Bearer "):
            token = header.removeprefix("Bearer ").encode()
            for candidate in candidates:
                if any(hmac.compare_digest(token, known.encode()) for known in candidate.tokens):
                    return candidate
            refuse(401, "Unauthorized", "")
        matched = _AUTHORIZATION.match(header)
        if matched is None:
            refuse(401, "Unauthorized", "")
        date = request.headers.get(matched["date"], "")
        hashed = request.headers.get("x-ms-content-sha256", "")
        if not hmac.compare_digest(hashed.encode(), content_hash(body).encode()):
            refuse(401, "Denied", "Request 'x-ms-content-sha256' differs from generated content hash.")
        if not _is_http_date(date):
            refuse(401, "Denied", "Request date is missing or not RFC 1123.")
        resource = _signer(request, candidates, date, hashed, matched["signature"])
        if resource is None:
            refuse(401, "Denied", "HMAC-SHA256 validation failed.")
        if abs(parsedate_to_datetime(date).timestamp() - self.world.clock.now()) > resource.clock_skew_seconds:
            refuse(401, "Denied", "Request date is too far from the current time.")
        return resource

    def _report_event(self, message: Message, step: Step) -> Event:
        resource = self.resources.get(message.account) or Resource(name=message.account)
        now = self.world.clock.now()
        delivered = step.state == "delivered"
        data: dict[str, Any] = {
            "messageId": message.id,
            "from": message.sender.lstrip("+"),
            "to": message.recipient,
            "deliveryStatus": _REPORTED[step.state],
            "deliveryStatusDetails": "No error." if delivered else REPORT_DETAILS[step.reason or Reason.UNCLEAR],
            "receivedTimestamp": iso_ticks(now),
            "deliveryAttempts": [
                {
                    "timestamp": iso_ticks(now),
                    "segmentsSucceeded": message.segments if delivered else 0,
                    "segmentsFailed": 0 if delivered else message.segments,
                },
            ],
        }
        if message.tag is not None:
            data["Tag"] = message.tag
        return Event(
            id=message.id,
            source=resource.name,
            topic=resource.topic,
            subject=f"/phonenumber/{message.sender.lstrip('+')}",
            type=DELIVERY_REPORT,
            time=now,
            data=data,
        )

    async def _delivery_report(self, request: web.Request) -> web.Response:
        """Answer `GET /deliveryReports/{id}`; nothing is found until the message is final."""
        resource, _ = self.admit(request, await request.read(), _POLLING_VERSIONS)
        asked = request.match_info["id"]
        message = self.ledger.get(asked) or self.ledger.get(f"Outgoing_{asked}_noam")
        if message is None or message.account != resource.name or message.state not in _REPORTED:
            refuse(404, "NotFound", "No delivery report is available for this message.")
        delivered = message.state == "delivered"
        return json_response(
            {
                "deliveryStatus": _REPORTED[message.state],
                "deliveryStatusDetails": "2000: No Error"
                if delivered
                else REPORT_DETAILS[message.reason or Reason.UNCLEAR],
                "deliveryAttempts": [
                    {
                        "timestamp": iso_ticks(message.state_at),
                        "segmentsSucceeded": message.segments if delivered else 0,
                        "segmentsFailed": 0 if delivered else message.segments,
                    },
                ],
                "receivedTimestamp": iso_ticks(message.state_at),
                "tag": message.tag,
                "messageId": asked,
                "from": message.sender,
                "to": message.recipient,
            },
        )

    async def _opt_outs(self, request: web.Request) -> web.Response:
        """Answer `POST /sms/optouts:add`, `:remove` and `:check`."""
        body = await request.read()
        self.admit(request, body, _OPT_OUT_VERSIONS)
        action = request.match_info["action"]
        if action not in {"add", "remove", "check"}:
            refuse(404, "NotFound", "")
        wanted = _json_object(request, body)
        errors: dict[str, list[str]] = {}
        sender = wanted.get("from")
        if not isinstance(sender, str) or not (is_number(sender) or is_short_code(sender)):
            errors["From"] = ["Invalid From phone number format."]
        entries = _recipients(wanted.get("recipients"), "Recipients", errors)
        if errors or not isinstance(sender, str):
            refuse_fields(errors)
        return json_response({"value": [self._opt_out_item(action, sender, entry["to"]) for entry in entries]})

    def _opt_out_item(self, action: str, sender: str, to: str) -> dict[str, Any]:
        if not is_number(to):
            return {"to": to, "httpStatusCode": _BAD_REQUEST, "errorMessage": "Invalid recipient phone number format"}
        if action == "check":
            return {"to": to, "isOptedOut": self.is_opted_out(sender, to), "httpStatusCode": _OK}
        change = self.opt_out if action == "add" else self.opt_in
        change(sender, to)
        return {"to": to, "httpStatusCode": _OK}

    async def _not_found(self, _request: web.Request) -> web.Response:
        refuse(404, "NotFound", "The requested resource was not found.")

    async def _list_resources(self, _request: web.Request) -> web.Response:
        return json_response([_public(entry) for entry in self.resources])

    async def _put_resource(self, request: web.Request) -> web.Response:
        resource = Resource.model_validate_json(await request.read())
        self.resources.put(resource.name, resource)
        return json_response(_public(resource), status=201)

    async def _delete_resource(self, request: web.Request) -> web.Response:
        name = self._known_resource(request)
        self.resources.remove(name)
        for subscription in self.grid.subscriptions:
            if subscription.source == name:
                self.grid.subscriptions.remove(subscription.key)
        return web.Response(status=204)

    async def _list_subscriptions(self, request: web.Request) -> web.Response:
        name = self._known_resource(request)
        return json_response([_public_subscription(entry) for entry in self.grid.subscriptions if entry.source == name])

    async def _subscribe(self, request: web.Request) -> web.Response:
        name = self._known_resource(request)
        asked = Subscription.model_validate({**await request.json(), "source": name})
        try:
            subscription = await self.grid.subscribe(asked)
        except HandshakeError as error:
            raise ControlError(f"Webhook validation handshake failed: {error}") from error
        return json_response(_public_subscription(subscription), status=201)

    async def _unsubscribe(self, request: web.Request) -> web.Response:
        key = f"{self._known_resource(request)}/{request.match_info['subscription']}"
        if self.grid.subscriptions.remove(key) is None:
            raise web.HTTPNotFound
        return web.Response(status=204)

    async def _dead_letters(self, request: web.Request) -> web.Response:
        prefix = f"{self._known_resource(request)}/"
        return json_response([entry for entry in self.grid.dead_letters if entry["subscription"].startswith(prefix)])

    async def _validate(self, request: web.Request) -> web.Response:
        if not self.grid.validate(request.query.get("id", "")):
            raise web.HTTPNotFound
        return web.Response(text="Webhook successfully validated as a subscription endpoint")

    def _known_resource(self, request: web.Request) -> str:
        name = request.match_info["resource"]
        if name not in self.resources:
            raise web.HTTPNotFound
        return name


VENDOR = AcsVendor


def _signer(request: web.Request, candidates: list[Resource], date: str, hashed: str, signed: str) -> Resource | None:
    """Find the resource one of whose keys made a signature."""
    host = request.headers.get("Host", "")
    for resource in candidates:
        for key in resource.keys:
            expected = signature(key, request.method, request.raw_path, date=date, host=host, hashed=hashed)
            if hmac.compare_digest(expected.encode(), signed.encode()):
                return resource
    return None


def _json_object(request: web.Request, body: bytes) -> dict[str, Any]:
    if request.content_type != "application/json":
        refuse(415, "UnsupportedMediaType", "The request body must be application/json.")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        refuse(422, "UnprocessableEntity", "The request body is not valid JSON.")
    if not isinstance(parsed, dict):
        refuse(422, "UnprocessableEntity", "The request body is not a JSON object.")
    return parsed


def _recipients(value: Any, field: str, errors: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Read 1 to 100 recipients; what is wrong with the list is added to `errors`."""
    if not isinstance(value, list) or not value:
        errors[field] = [f"The {field} field is required."]
        return []
    if len(value) > _MOST_RECIPIENTS:
        errors[field] = [f"The field {field} must have at most {_MOST_RECIPIENTS} entries."]
    if not all(isinstance(entry, dict) and isinstance(entry.get("to"), str) for entry in value):
        errors[field] = ["The To field is required."]
    return value


def _options(value: Any, errors: dict[str, list[str]]) -> tuple[bool, str | None]:
    """Read the send options; what is wrong with them is added to `errors`."""
    if value is None:
        return False, None
    if not isinstance(value, dict) or not isinstance(value.get("enableDeliveryReport"), bool):
        errors["SmsSendOptions.EnableDeliveryReport"] = ["The EnableDeliveryReport field is required."]
        return False, None
    tag, timeout = value.get("tag"), value.get("deliveryReportTimeoutInSeconds")
    if tag is not None and not isinstance(tag, str):
        errors["SmsSendOptions.Tag"] = ["The Tag field must be a string."]
    if timeout is not None and (not isinstance(timeout, int) or timeout not in _TIMEOUT_SECONDS):
        errors["SmsSendOptions.DeliveryReportTimeoutInSeconds"] = ["The field must be between 60 and 43200."]
    return value["enableDeliveryReport"], tag if isinstance(tag, str) else None


def _refused_item(to: str, status: int, message: str, **more: Any) -> dict[str, Any]:
    return {"to": to, "httpStatusCode": status, **more, "errorMessage": message, "successful": False}


def _answered_id(message_id: str, api_version: str) -> str:
    """Write an id as the send answer does: the newest version leaves prefix and suffix out, its events do not."""
    if api_version < "2026":
        return message_id
    return message_id.removeprefix("Outgoing_").removesuffix("_noam")


def _is_guid(value: Any) -> bool:
    try:
        return isinstance(value, str) and UUID(value) is not None
    except ValueError:
        return False


def _is_http_date(value: Any) -> bool:
    if not isinstance(value, str) or not value.endswith(" GMT"):
        return False
    try:
        return parsedate_to_datetime(value) is not None
    except ValueError:
        return False


def _public(resource: Resource) -> dict[str, Any]:
    """Show a resource without its secrets."""
    return {
        **resource.model_dump(exclude={"keys", "tokens"}),
        "keys": len(resource.keys),
        "tokens": len(resource.tokens),
    }


def _public_subscription(subscription: Subscription) -> dict[str, Any]:
    """Show a subscription without the key in its endpoint."""
    return {**subscription.model_dump(), "endpoint": redact_url(subscription.endpoint)}
