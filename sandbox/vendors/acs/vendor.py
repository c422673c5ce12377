"""ACS's API: who may come in, events, keywords, polling, opt-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.clock import utc
from sandbox.eventgrid import EVENT_FACTS, EventGrid
from sandbox.ledger import Message
from sandbox.numbers import is_name, is_number, is_short_code, is_toll_free
from sandbox.outcomes import Step
from sandbox.segments import count_segments
from sandbox.vendor import ControlError, Inbound, Route, Vendor, json_response
from sandbox.vendors.acs.control import AcsControl
from sandbox.vendors.acs.desk import SmsDesk
from sandbox.vendors.acs.events import inbound_event, polled_report, report_event
from sandbox.vendors.acs.records import Resource, public_resource
from sandbox.vendors.acs.wire import (
    BAD_REQUEST,
    OK,
    OPT_OUT_VERSIONS,
    POLLING_VERSIONS,
    REPORTED,
    authenticate,
    json_object,
    read_recipients,
    refuse,
    refuse_fields,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from sandbox.world import World

_STOP_WORDS = frozenset({"STOP"})
_START_WORDS = frozenset({"START", "UNSTOP"})


class AcsVendor(Vendor):
    """Communication Services resources, their SMS API and their events."""

    name: ClassVar[str] = "acs"
    title: ClassVar[str] = "Azure Communication Services"
    docs: ClassVar[str] = "https://learn.microsoft.com/rest/api/communication/sms/sms/send"
    endpoint: ClassVar[str] = "{base} (any resource, told apart by its key) or {base}/acs/{resource}"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.resources = self.keep(Resource, "resources", by="name", show=public_resource)
        self.grid = EventGrid(world, self.name, self.ledger)
        self.registers.append(self.grid.subscriptions)
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
        return AcsControl(self).routes()

    async def report(self, message: Message, step: Step) -> None:
        """Publish a delivery event: of final states only, and only if the request asked for reports."""
        if step.state not in REPORTED or not message.extra["report"]:
            return
        resource = self.resources.get(message.account) or Resource(name=message.account)
        event = report_event(resource, message, step, self.world.clock.now())
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
        self.grid.publish(inbound_event(resource, message), message, "received")
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
        resource = authenticate(request, body, candidates, self.world.clock.now())
        asked = request.query.getall("api-version", [])
        if not asked:
            refuse(
                BAD_REQUEST,
                "ApiVersionUnspecified",
                "An API version is required, but was not specified.",
                innerError=None,
            )
        if len(asked) > 1 or asked[0] not in versions:
            refuse(
                BAD_REQUEST,
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

    async def _delivery_report(self, request: web.Request) -> web.Response:
        """Answer `GET /deliveryReports/{id}`; nothing is found until the message is final."""
        resource, _ = self.admit(request, await request.read(), POLLING_VERSIONS)
        asked = request.match_info["id"]
        message = self.ledger.get(asked) or self.ledger.get(f"Outgoing_{asked}_noam")
        if message is None or message.account != resource.name or message.state not in REPORTED:
            refuse(404, "NotFound", "No delivery report is available for this message.")
        return json_response(polled_report(message, asked))

    async def _opt_outs(self, request: web.Request) -> web.Response:
        """Answer `POST /sms/optouts:add`, `:remove` and `:check`."""
        body = await request.read()
        self.admit(request, body, OPT_OUT_VERSIONS)
        action = request.match_info["action"]
        if action not in {"add", "remove", "check"}:
            refuse(404, "NotFound", "")
        wanted = json_object(request, body)
        errors: dict[str, list[str]] = {}
        sender = wanted.get("from")
        if not isinstance(sender, str) or not (is_number(sender) or is_short_code(sender)):
            errors["From"] = ["Invalid From phone number format."]
        entries = read_recipients(wanted.get("recipients"), "Recipients", errors)
        if errors or not isinstance(sender, str):
            refuse_fields(errors)
        return json_response({"value": [self._opt_out_item(action, sender, entry["to"]) for entry in entries]})

    def _opt_out_item(self, action: str, sender: str, to: str) -> dict[str, Any]:
        if not is_number(to):
            return {"to": to, "httpStatusCode": BAD_REQUEST, "errorMessage": "Invalid recipient phone number format"}
        if action == "check":
            return {"to": to, "isOptedOut": self.is_opted_out(sender, to), "httpStatusCode": OK}
        change = self.opt_out if action == "add" else self.opt_in
        change(sender, to)
        return {"to": to, "httpStatusCode": OK}

    async def _not_found(self, _request: web.Request) -> web.Response:
        refuse(404, "NotFound", "The requested resource was not found.")
