"""What LINK posts to its customers: reports and incoming texts, one object each, through gates.

A gate signs nothing. What proves a callback is what the customer asked for: Basic authentication, fixed headers, an
address that nobody else knows (Gate API, "PartnerGateDestination"; MT document, "Delivery Reports").
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zlib import crc32

import orjson

from sandbox.basic import basic
from sandbox.ledger import CallbackTry, Message
from sandbox.outcomes import Reason, Step
from sandbox.vendors.linkmobility.wire import (
    DELIVERED,
    QUEUED,
    REPORT_CODES,
    SENT,
    SOURCE_NOT_ALLOWED,
    local_moment,
    moment,
)
from sandbox.webhooks import Persistence, Webhook, deliver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.courier import Answer
    from sandbox.vendors.linkmobility.records import Destination, Gate
    from sandbox.vendors.linkmobility.vendor import LinkMobilityVendor

_FIRST_WAIT, _LONGEST_WAIT = 60.0, 3600.0
_OK = 200
_WRONG = "0" * 32
_CODES_OF_STATES = {"queued": QUEUED, "sent": SENT, "delivered": DELIVERED}
_TEMPORARY = frozenset({"queued", "sent"})
_MAPS_WITHOUT_ENTRIES: tuple[Any, ...] = ({}, [], None)
"""The ways in which a map of parameters is empty: samples show an object, tables a list."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One thing to tell through one gate.

    Attributes:
        about: A word for the ledger.
        gate: The gate's id.
        mark: Tells it from everything else that is told of the message.
        body: What is posted, the gate's own parameters left out.
        forged: Whether it is to lack what proves it.
    """

    about: str
    gate: str
    mark: str
    body: dict[str, Any]
    forged: bool = False


class Callbacks:
    """Makes the callbacks of all accounts.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: LinkMobilityVendor) -> None:
        self._vendor = vendor

    async def report(self, message: Message, step: Step) -> None:
        """Tell a state, part by part, to the gates that the request named."""
        await self._tell(message, self._reports(message, step, message.steps_done - 1))

    async def pass_on(self, message: Message) -> None:
        """Post a person's text through the gates of the route it took."""
        await self._tell(message, self._texts(message))

    async def go_on(self, message: Message) -> None:
        """After a restart, tell once more what nobody has taken."""
        told = {entry.token for entry in message.callbacks if entry.status is not None and entry.status // 100 == 2}  # noqa: PLR2004
        done = enumerate(message.plan[: message.steps_done])
        reports = [
            telling
            for index, step in done
            if step.report and not step.forged
            for telling in self._reports(message, step, index)
        ]
        await self._tell(message, (one for one in (*reports, *self._texts(message)) if one.mark not in told))

    def _reports(self, message: Message, step: Step, index: int) -> Iterator[Telling]:
        account = self._vendor.accounts.get(message.account)
        if step.state in _TEMPORARY and not (account and account.temporary_reports):
            return
        for gate in message.extra.get("gates", ()):
            for part in range(message.segments):
                body = self._report(message, step, part)
                yield Telling(step.state, gate, f"{index}${part}@{gate}", body, step.forged)

    def _report(self, message: Message, step: Step, part: int) -> dict[str, Any]:
        """Describe what became of a part; texts of one part are called by the message's id alone."""
        code = self._code(message, step, part)
        now = self._vendor.world.clock.now()
        arrived = code == DELIVERED
        return {
            "refId": message.tag,
            "id": message.id if message.segments == 1 else f"{message.id}${part}",
            "operator": _operator(message.recipient),
            "sentTimestamp": moment(message.at),
            "timestamp": moment(now),
            "resultCode": code,
            "operatorResultCode": "2" if arrived else None,
            "segments": message.segments,
            "customParameters": {"received": local_moment(now)} if arrived else _nothing(f"{message.id} report"),
        }

    def _code(self, message: Message, step: Step, part: int) -> int:
        if step.reason is None:
            return _CODES_OF_STATES[step.state]
        if step.reason is Reason.UNREACHABLE and part < message.segments - 1:
            # The handset is full, and what came before the last part still went in.
            return DELIVERED
        if step.reason is Reason.SENDER_UNREGISTERED:
            return SOURCE_NOT_ALLOWED[message.extra["source_ton"]]
        return REPORT_CODES[step.reason]

    def _texts(self, message: Message) -> Iterator[Telling]:
        route = message.extra.get("route")
        if route is None:
            return
        at = moment(message.at)
        body = {
            "destination": route["number"],
            "subNumber": None,
            "source": message.sender,
            "content": {"type": "SMS", "userData": message.text, "encoding": "TEXT"},
            "operator": _operator(message.sender),
            "timestamp": at,
            "messageId": message.id,
            "operatorTimestamp": at,
            "operatorMessageId": f"{crc32(message.id.encode()):08x}",
            "route": route,
            "customParameters": {
                "moReferenceId": message.id,
                "queued": local_moment(message.at),
                "serviceCentreTimeStamp": "".join(filter(str.isdigit, local_moment(message.at))),
            },
        }
        for gate in route["gateIds"]:
            yield Telling("received", gate, f"mo@{gate}", body)

    async def _tell(self, message: Message, tellings: Iterator[Telling]) -> None:
        """Tell all at the same time: no order is promised."""
        await asyncio.gather(*(self._through_gate(message, telling) for telling in tellings))

    async def _through_gate(self, message: Message, telling: Telling) -> None:
        gate = self._vendor.gates.get(telling.gate)
        if gate is None or not gate.destinations:
            error = "the gate is gone" if gate is None else "the gate has no destination"
            self._vendor.ledger.told(
                message, CallbackTry(self._vendor.world.clock.now(), telling.about, error=error, token=telling.mark)
            )
            return
        body = orjson.dumps(
            {**telling.body, "gateCustomParameters": gate.custom_parameters or _nothing(f"{message.id} gate")}
        )
        patient = _persistence(gate)
        if gate.gate_type == "ALL":
            await asyncio.gather(*(self._post(message, telling, to, body, patient) for to in gate.destinations))
            return
        first, last = list(gate.destinations), gate.destinations[-1]
        if gate.gate_type == "ONE_RANDOM":
            first = [gate.destinations[crc32(message.id.encode()) % len(gate.destinations)]]
            last = first[-1]
        # ASSUMED: the next destination is tried when one fails, and the last one gets the repeats.
        hasty = Persistence(again=patient.again)
        for destination in first[:-1]:
            if not patient.again(await self._post(message, telling, destination, body, hasty)):
                return
        await self._post(message, telling, last, body, patient)

    async def _post(
        self, message: Message, telling: Telling, destination: Destination, body: bytes, persistence: Persistence
    ) -> Answer:
        url, headers = _address(destination, forged=telling.forged)
        webhook = Webhook(telling.about, url, headers, body, token=telling.mark, forged=telling.forged)
        return await deliver(self._vendor.world, self._vendor.ledger, message, webhook, persistence)


def _persistence(gate: Gate) -> Persistence:
    """Say how long a gate tries: for its time to live. ASSUMED: after a minute, then twice as late, hourly at most."""
    waits: list[float] = []
    wait = _FIRST_WAIT
    while sum(waits) + wait <= gate.ttl / 1000:
        waits.append(wait)
        wait = min(2 * wait, _LONGEST_WAIT)

    def again(answer: Answer) -> bool:
        if gate.acknowledge:
            return answer.status != _OK or not answer.body.strip()
        return answer.status is None or answer.status // 100 != 2  # noqa: PLR2004 - any success

    return Persistence(waits=tuple(waits), again=again)


def _address(destination: Destination, *, forged: bool) -> tuple[str, dict[str, str]]:
    """Give the address and headers of a callback.

    Who forges one may have seen the address in somebody's log, but knows neither the password nor the headers; where
    the address is all there is, it is what he has to guess.
    """
    url, extra, password = destination.url, destination.extra_headers(), destination.password
    if forged:
        extra = dict.fromkeys(extra, _WRONG)
        if not extra and not destination.username:
            url = f"{url.rpartition('/')[0]}/{_WRONG}"
        password = _WRONG
    headers = {"Content-Type": destination.content_type, "Accept": "*/*", **extra}
    if destination.username is not None:
        headers["Authorization"] = basic(destination.username, password or "")
    return url, headers


def _nothing(about: str) -> Any:
    return _MAPS_WITHOUT_ENTRIES[crc32(about.encode()) % len(_MAPS_WITHOUT_ENTRIES)]


def _operator(number: str) -> str | None:
    return "no.telenor" if number.startswith("+47") else None
