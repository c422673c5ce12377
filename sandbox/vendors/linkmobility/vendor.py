"""LINK's API: what it answers where, who gets which text, what is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from aiohttp import web

from sandbox.numbers import is_number
from sandbox.vendor import ControlError, Inbound, Route, Vendor, owned
from sandbox.vendors.linkmobility.access import Access
from sandbox.vendors.linkmobility.callbacks import Callbacks
from sandbox.vendors.linkmobility.control import LinkMobilityControl
from sandbox.vendors.linkmobility.desk import BatchDesk, SingleDesk
from sandbox.vendors.linkmobility.records import (
    Account,
    Gate,
    KeywordRoute,
    Number,
    public_account,
    public_gate,
)
from sandbox.vendors.linkmobility.setup_api import SetupApi

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.ledger import Message
    from sandbox.outcomes import Step
    from sandbox.world import World

_STOP_WORD = "STOP"
_RANKS = ("EQUALS", "FIRST_WORD", "STARTS_WITH", "DEFAULT")
"""Which keyword type is asked first. ASSUMED, but for DEFAULT: that one gets what no other wants."""


class LinkMobilityVendor(Vendor):
    """Logins, their gates, numbers and messages, and what is called back."""

    name: ClassVar[str] = "linkmobility"
    title: ClassVar[str] = "LINK Mobility"
    docs: ClassVar[str] = "https://www.linkmobility.com/developers"
    endpoint: ClassVar[str] = "{base}/linkmobility in front of /sms, /gate, /number and /auth"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.accounts = self.keep(Account, "accounts", by="username", show=public_account)
        self.numbers = self.keep(Number, "numbers", by="number")
        self.gates = self.keep(Gate, "gates", show=public_gate)
        self.keywords = self.keep(KeywordRoute, "keywords", show=lambda route: route.model_dump(by_alias=True))
        self.access = Access(self.accounts, world)
        self._callbacks = Callbacks(self)

    @property
    def base_url(self) -> str:
        """Where customers point their clients."""
        return f"{self.world.base_url}/linkmobility"

    def routes(self) -> Sequence[Route]:
        """Serve everything below `/linkmobility`; who asks for something else gets no helpful answer."""
        own = [
            Route("POST", "/sms/send", SingleDesk(self).serve),
            Route("POST", "/sms/sendbatch", BatchDesk(self).serve),
            Route("POST", "/auth/token", self.access.give_token),
            *SetupApi(self).routes(),
            Route("*", "/{tail:.*}", _not_found),
        ]
        return [Route(route.method, f"/linkmobility{route.path}", route.handler) for route in own]

    def control_routes(self) -> Sequence[Route]:
        """Manage accounts, numbers, gates and keyword routes."""
        return LinkMobilityControl(self).routes()

    def gate_of(self, account: Account, gate_id: str) -> Gate | None:
        """Find a gate of an account's customer on its platform."""
        gate = self.gates.get(gate_id)
        owner = (account.platform_id, account.platform_partner_id)
        return gate if gate is not None and (gate.platform_id, gate.platform_partner_id) == owner else None

    async def report(self, message: Message, step: Step) -> None:
        """Tell a state through the gates that the request named."""
        await self._callbacks.report(message, step)

    async def receive(self, inbound: Inbound) -> Message:
        """Take in a person's text and pass it on by the first route that wants it; without one it is lost.

        On a short code that customers share, STOP is LINK's own: it blocks the sender, and tells those routes alone
        that asked to be told.
        """
        number = self._number(inbound.recipient)
        stops = number.shared and inbound.text.strip().upper() == _STOP_WORD
        if stops:
            self.opt_out(number.source, inbound.sender)
        route = self._route(number, inbound.text, stops=stops)
        taken = route and {**route.model_dump(by_alias=True), "shared": route.shared or number.shared}
        message = self.take_in(inbound, self.world.ids.uuid(), number.account, number.source, route=taken)
        self.world.spawn(self._callbacks.pass_on(message))
        return message

    def resume(self) -> None:
        """Go on with every life, and with what nobody has taken yet."""
        super().resume()
        for message in self.ledger:
            self.world.spawn(self._callbacks.go_on(message))

    def reset(self, *, accounts: bool = False) -> None:
        """Forget what every vendor forgets, and the access tokens."""
        super().reset(accounts=accounts)
        self.access.forget_tokens()

    def _number(self, written: str) -> Number:
        """Find a number, with or without its country.

        Raises:
            ControlError: Nobody has it, or it is a name.
        """
        fitting = (number for number in self.numbers if written in {number.number, number.source})
        found = owned(next(fitting, None), written)
        if found.source == found.number and not is_number(found.number):
            raise ControlError("nobody can answer an alphanumeric sender")
        return found

    def _route(self, number: Number, text: str, *, stops: bool) -> KeywordRoute | None:
        """Find the route of a text."""
        routes = [route for route in self.keywords if route.number == number.number]
        if stops:
            return next((route for route in routes if route.active and route.notify_stop), None)
        fitting = [route for route in routes if route.fits(text)]
        return min(fitting, key=lambda route: _RANKS.index(route.keyword_type), default=None)


async def _not_found(_request: web.Request) -> web.Response:
    return web.Response(status=404, text="Not Found")
