"""What one simulated vendor is made of. A new vendor is one module in `sandbox/vendors/` that fills this in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict

from sandbox.calls import CallLog
from sandbox.faults import Faults, Mischief
from sandbox.ledger import Ledger, Message
from sandbox.lives import Lives
from sandbox.outcomes import DELIVERED
from sandbox.register import Record, Register
from sandbox.segments import count_segments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.outcomes import Reason, Step
    from sandbox.world import World

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One path a vendor answers.

    Attributes:
        method: The HTTP method, `*` for all.
        path: An aiohttp route pattern.
        handler: What answers.
    """

    method: str
    path: str
    handler: Handler


class OptOut(BaseModel):
    """A person who told the vendor itself to stop.

    Attributes:
        sender: Whose texts are refused.
        recipient: The person.
    """

    model_config = ConfigDict(extra="forbid")

    sender: str
    recipient: str


def _in_json(name: str) -> str:
    return {"sender": "from", "recipient": "to"}.get(name, name)


class Inbound(BaseModel):
    """A text a person sends to one of a customer's numbers.

    Attributes:
        sender: The person; `from` in JSON.
        recipient: The customer's number; `to` in JSON.
        text: What is said.
    """

    model_config = ConfigDict(extra="forbid", populate_by_name=True, alias_generator=_in_json)

    sender: str
    recipient: str
    text: str


class ControlError(Exception):
    """The control API was asked for something that cannot be; the text says what."""


class Vendor(ABC):
    """One simulated vendor.

    Attributes:
        name: The vendor's name in paths, as `twilio`.
        title: The vendor's name for people.
        docs: The public page its behaviour is taken from.
        endpoint: What a client is to use as base URL, `{base}` standing for the sandbox's own.
        registers: The vendor's accounts and the like, kept when the ledger is reset.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    docs: ClassVar[str]
    endpoint: ClassVar[str]

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = Ledger(self.name, world.journal, world.clock.now)
        self.calls = CallLog(self.name, world.journal)
        self.mischief = Mischief()
        self.lives = Lives(world, self.ledger, self.report)
        self.opt_outs = Register(OptOut, self.name, "opt_outs", world.journal)
        self.registers: list[Register[Any]] = []

    def keep(
        self,
        model: type[Record],
        name: str,
        *,
        by: str = "id",
        show: Callable[[Record], dict[str, Any]] = BaseModel.model_dump,
        hidden: bool = False,
    ) -> Register[Record]:
        """Begin a register that a reset empties only when it is asked for accounts, too.

        Args:
            model: The records' type.
            name: What the register is called in the journal and in `state`.
            by: The attribute that tells records apart.
            show: Describes a record without its secrets.
            hidden: Whether `state` leaves it out.

        Returns:
            The register, empty.
        """
        register = Register(model, self.name, name, self.world.journal, by=by, show=show, hidden=hidden)
        self.registers.append(register)
        return register

    @abstractmethod
    def routes(self) -> Sequence[Route]:
        """The vendor's own API, the catch-all for unknown paths last."""

    @abstractmethod
    def control_routes(self) -> Sequence[Route]:
        """What the control API offers for this vendor alone, paths below `/sandbox/{name}`."""

    @abstractmethod
    async def report(self, message: Message, step: Step) -> None:
        """Tell the customer of one step, in the vendor's way."""

    @abstractmethod
    async def receive(self, inbound: Inbound) -> Message:
        """Let a person text one of the customer's numbers.

        Raises:
            ControlError: Nobody owns the number.
        """

    def take_in(self, inbound: Inbound, message_id: str, account: str, recipient: str, **extra: Any) -> Message:
        """Write a person's text into the ledger.

        Args:
            inbound: The text.
            message_id: The vendor's id.
            account: Whose number it came to.
            recipient: The number as the ledger writes it.
            extra: What the vendor alone knows.
        """
        now = self.world.clock.now()
        return self.ledger.accept(
            Message(
                id=message_id,
                account=account,
                sender=inbound.sender,
                recipient=recipient,
                text=inbound.text,
                at=now,
                sent_at=now,
                direction="inbound",
                state="received",
                segments=count_segments(inbound.text),
                extra=extra,
            ),
        )

    def text_back(self, message: Message, text: str, message_id: str) -> None:
        """Send what a webhook's answer asks for to the person whose text it was told of.

        Args:
            message: The person's text.
            text: The reply.
            message_id: The vendor's id of the reply.
        """
        reply = self.ledger.accept(
            Message(
                id=message_id,
                account=message.account,
                sender=message.recipient,
                recipient=message.sender,
                text=text,
                at=self.world.clock.now(),
                direction="reply",
                segments=count_segments(text),
                plan=DELIVERED.steps,
            ),
        )
        self.lives.begin(reply)

    def resume(self) -> None:
        """Go on after a restart, once all facts are back: by default, with every life that has not ended."""
        for message in self.ledger:
            self.lives.begin(message)

    def restore(self, fact: dict[str, Any]) -> None:
        """Take back a fact only this vendor writes."""

    def state(self) -> dict[str, Any]:
        """Describe the vendor and its registers for `GET /sandbox/{name}`, its secrets left out."""
        shown = [register for register in self.registers if not register.hidden]
        return {
            "name": self.name,
            "title": self.title,
            "docs": self.docs,
            "endpoint": self.endpoint.replace("{base}", self.world.base_url),
            "faults": self.mischief.faults.model_dump(),
            "accepted": len(self.ledger),
            **{register.name: [register.show(record) for record in register] for register in shown},
        }

    def set_faults(self, faults: Faults) -> None:
        """Change what goes wrong from now on."""
        self.mischief.faults = faults
        self.world.journal.write("faults", self.name, faults=faults.model_dump())

    def opt_out(self, sender: str, recipient: str) -> None:
        """Refuse texts from a sender to a person from now on."""
        self.opt_outs.put(_pair(sender, recipient), OptOut(sender=sender, recipient=recipient))

    def opt_in(self, sender: str, recipient: str) -> None:
        """Take texts from a sender to a person again."""
        self.opt_outs.remove(_pair(sender, recipient))

    def is_opted_out(self, sender: str, recipient: str) -> bool:
        """Tell whether a person told the vendor to stop this sender."""
        return _pair(sender, recipient) in self.opt_outs

    def reset(self, *, accounts: bool = False) -> None:
        """Forget messages, calls, faults and opt-outs.

        Args:
            accounts: Forget accounts, numbers and subscriptions, too.
        """
        self.lives.end_all()
        self.ledger.clear()
        self.calls.entries.clear()
        self.mischief.reset()
        self.world.journal.write("reset", self.name)
        self.opt_outs.clear()
        if accounts:
            for register in self.registers:
                register.clear()


async def json_object(request: web.Request) -> dict[str, Any]:
    """Return the body of a call as the JSON object that it must be.

    Raises:
        ControlError: It is something else.
    """
    body = await request.json()
    if not isinstance(body, dict):
        raise ControlError("The body must be a JSON object.")
    return body


def json_response(data: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        body=orjson.dumps(data),
        status=status,
        headers={"Content-Type": "application/json; charset=utf-8", **(headers or {})},
    )


def owned(number: Record | None, written: str) -> Record:
    """Give the number that a person texts.

    Raises:
        ControlError: Nobody owns it.
    """
    if number is None:
        raise ControlError(f"no account owns {written}; register the number first")
    return number


def refusal_code(codes: dict[Reason, Any], reason: Reason | None, other: Any) -> Any:
    """Look up a vendor's own code for a reason, with another for those its table leaves out."""
    return codes.get(reason, other) if reason is not None else other


def _pair(sender: str, recipient: str) -> str:
    return f"{sender} {recipient}"
