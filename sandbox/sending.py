"""The way of a send request through any vendor: read, meet a fault or not, execute, answer or not."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sandbox.faults import Mishap
from sandbox.ledger import Message
from sandbox.outcomes import Trouble
from sandbox.segments import count_segments

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.outcomes import Step
    from sandbox.vendor import Vendor


class RefusedError(Exception):
    """The vendor refuses a request.

    Args:
        response: What it answers.
    """

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


class DroppedError(Exception):
    """The vendor closes the connection without an answer."""


@dataclass
class Order:
    """A send request that passed the vendor's checks.

    Attributes:
        account: Whose it is.
        sender: From.
        recipients: To.
        text: What is said.
        mishaps: Troubles of single recipients, by place, at vendors that answer for each recipient.
    """

    account: str
    sender: str
    recipients: list[str]
    text: str
    mishaps: dict[int, Mishap] = field(default_factory=dict)

    def text_for(self, place: int) -> str:
        """Give the text for one recipient; vendors that take several texts at once have their own."""
        del place
        return self.text


@dataclass
class Done:
    """A send request carried out.

    Attributes:
        response: What the vendor would answer.
        messages: What it accepted.
    """

    response: web.Response
    messages: list[Message]


# What the request being answered met, for the call log; each request is answered in a context of its own.
trouble_met: ContextVar[str] = ContextVar("trouble_met", default="")

OrderType = TypeVar("OrderType", bound=Order)


def retry_after_header(seconds: float | None) -> dict[str, str]:
    """Write the header that says when to come again, if it is to be said at all."""
    return {} if seconds is None else {"Retry-After": f"{seconds:g}"}


class SendDesk(ABC, Generic[OrderType]):
    """Where a vendor takes in messages.

    Attributes:
        answers_each: Whether one answer can refuse some recipients and accept others.
    """

    answers_each = False

    def __init__(self, vendor: Vendor) -> None:
        self.vendor = vendor

    @abstractmethod
    def read(self, request: web.Request, body: bytes) -> OrderType:
        """Check a request as the vendor does.

        Raises:
            RefusedError: The vendor does not take it.
        """

    @abstractmethod
    def execute(self, order: OrderType) -> Done:
        """Accept the messages: write them into the ledger and say what to answer. Must not wait for anything."""

    @abstractmethod
    def throttled(self, retry_after: float | None) -> web.Response:
        """Build the vendor's 429."""

    @abstractmethod
    def broken(self) -> web.Response:
        """Build the vendor's 500."""

    def accept(self, order: OrderType, message_id: str, plan: tuple[Step, ...], **own: Any) -> Message:
        """Write the message to an order's only recipient into the ledger.

        Args:
            order: The order.
            message_id: The vendor's id.
            plan: What is to happen to the message.
            own: What else the vendor says of it, by the names of `Message`.
        """
        said = {"sender": order.sender, "segments": count_segments(order.text), **own}
        [to] = order.recipients
        now = self.vendor.world.clock.now()
        return self.vendor.ledger.accept(
            Message(id=message_id, account=order.account, recipient=to, text=order.text, at=now, plan=plan, **said)
        )

    async def serve(self, request: web.Request) -> web.Response:
        """Answer a send request.

        Raises:
            DroppedError: The connection is to be closed without an answer.
        """
        order = self.read(request, await request.read())
        mishap = self._mishap(order)
        trouble_met.set(mishap.kind if mishap else "")
        kind = mishap.kind if mishap else None
        if kind is Trouble.THROTTLE and mishap:
            return self.throttled(mishap.retry_after)
        if kind is Trouble.ERROR_BEFORE:
            return self.broken()
        if kind is Trouble.DROP_BEFORE:
            raise DroppedError

        done = self.execute(order)

        for message in done.messages:
            await self.vendor.lives.before_answer(message)
            self.vendor.lives.begin(message)
        if kind is Trouble.SLOW:
            await asyncio.sleep(self.vendor.mischief.faults.slow_seconds)
        if kind is Trouble.DROP_AFTER:
            raise DroppedError
        return self.broken() if kind is Trouble.ERROR_AFTER else done.response

    def _mishap(self, order: OrderType) -> Mishap | None:
        """Find what goes wrong with a request, and with single recipients where the vendor answers for each."""
        mischief = self.vendor.mischief
        if mischief.over_limit(order.sender, len(order.recipients), self.vendor.world.clock.now()):
            return Mishap(Trouble.THROTTLE)
        drawn = mischief.on_request(order.account, order.recipients, order.text)
        if drawn is not None:
            return drawn
        whole: Mishap | None = None
        single = self.answers_each and len(order.recipients) > 1
        for place, recipient in enumerate(order.recipients):
            met = mischief.on_recipient(order.account, recipient, order.text_for(place))
            if met is None:
                continue
            if single and met.kind in {Trouble.THROTTLE, Trouble.ERROR_BEFORE}:
                order.mishaps[place] = met
            else:
                whole = whole or met
        return whole
