"""46elks' API: messages taken in and read back, persons who answer, the account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from sandbox.accounts import Accounts, Numbers
from sandbox.basic import carried, is_one_of
from sandbox.clock import utc
from sandbox.sending import RefusedError
from sandbox.vendor import Inbound, Route, Vendor, json_response, owned
from sandbox.vendors.custom.callbacks import Callbacks
from sandbox.vendors.custom.desk import SmsDesk
from sandbox.vendors.custom.records import Account, Number, public_account, public_number
from sandbox.vendors.custom.wire import (
    NOT_FOUND,
    PREFIX,
    UNAUTHORIZED,
    described,
    moment,
    moment_in,
    refuse,
    said,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from aiohttp import web

    from sandbox.ledger import Message
    from sandbox.outcomes import Step
    from sandbox.world import World

_LONGEST_PAGE = 100


class CustomVendor(Vendor):
    """Accounts, their numbers and messages, and what is called back.

    Attributes:
        accounts: By API username.
        numbers: By number.
    """

    name: ClassVar[str] = "custom"
    title: ClassVar[str] = "46elks, described to the custom vendor"
    docs: ClassVar[str] = "https://46elks.com/docs/send-sms"
    endpoint: ClassVar[str] = "{base}/custom in front of /a1"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.accounts = self.keep(Account, "accounts", by="username", show=public_account)
        self.numbers = self.keep(Number, "numbers", by="number", show=public_number)
        self._callbacks = Callbacks(self)
        self._desk = SmsDesk(self)

    def routes(self) -> Sequence[Route]:
        """Serve the API below `/custom`; 46elks' own samples write `sms` and `SMS`, `me` and `Me`."""
        sms, me = PREFIX + "/{sms:(?i:sms)}", PREFIX + "/{me:(?i:me)}"
        return [
            Route("POST", sms, self._desk.serve),
            Route("GET", sms, self._history),
            Route("GET", sms + "/{id}", self._fetch),
            Route("GET", me, self._account),
            Route("*", "/custom{tail:.*}", self._not_found),
        ]

    def control_routes(self) -> Sequence[Route]:
        """Manage accounts and numbers."""
        accounts = Accounts("/sandbox/custom/accounts", self.accounts, [self.numbers])
        return [*accounts.routes(), *Numbers(accounts, self.numbers).routes()]

    def admit(self, request: web.Request) -> Account:
        """Check the credentials.

        Raises:
            RefusedError: They do not fit.
        """
        user, password = carried(request)
        account = self.accounts.get(user)
        if account is None or not is_one_of(password, account.password):
            headers = {"WWW-Authenticate": 'Basic realm="46elks API"'}
            words = "API access require proper Basic HTTP authentication. Read documentation or examples."
            raise RefusedError(said(UNAUTHORIZED, words, headers))
        return account

    def new_id(self) -> str:
        """Draw the id of a text."""
        return f"s{self.world.ids.hex(32)}"

    def can_pay(self, username: str) -> bool:
        """Tell whether anything is left on an account; at 0 all that costs fails."""
        account = self.accounts.get(username)
        return account is not None and account.balance > 0

    def charge(self, username: str, cost: int) -> None:
        """Take what a text costs from an account."""
        account = self.accounts.get(username)
        if account is not None:
            self.accounts.add(account.model_copy(update={"balance": account.balance - cost}))

    async def report(self, message: Message, step: Step) -> None:
        """Tell a state to the address that the request named."""
        await self._callbacks.report(message, step)

    async def receive(self, inbound: Inbound) -> Message:
        """Take in a person's text; 46elks itself heeds no keyword (ASSUMED: no page says that it does)."""
        number = owned(self.numbers.get(inbound.recipient), inbound.recipient)
        message = self.take_in(inbound, self.new_id(), number.account, number.number)
        if number.sms_url is not None:
            self.world.spawn(self._callbacks.post_inbound(message, number.sms_url))
        return message

    async def _fetch(self, request: web.Request) -> web.Response:
        """Answer `GET /a1/sms/{id}`."""
        account = self.admit(request)
        message = self.ledger.get(request.match_info["id"])
        if message is None or message.account != account.username:
            refuse("Not found", NOT_FOUND)
        return json_response(described(message))

    async def _history(self, request: web.Request) -> web.Response:
        """Answer `GET /a1/sms`: the newest first, at most 100, `start` and `end` going back in time."""
        account = self.admit(request)
        before, after = (_bound(request, name) for name in ("start", "end"))
        found = self.ledger.find(account=account.username, recipient=request.query.get("to"), direction=None)
        wanted = [
            message
            for message in reversed(found)
            if (before is None or utc(message.at) < before) and (after is None or utc(message.at) > after)
        ]
        limit = _limit(request)
        page: dict[str, Any] = {"data": [described(message) for message in wanted[:limit]]}
        if len(wanted) > limit:
            # `start` is exclusive, so it has to be the time of the last one shown.
            page["next"] = moment(wanted[limit - 1].at)
        return json_response(page)

    async def _account(self, request: web.Request) -> web.Response:
        """Answer `GET /a1/me`."""
        account = self.admit(request)
        return json_response(
            {
                "id": account.username,
                "displayname": "Contoso",
                "email": "sms@example.com",
                "currency": "SEK",
                "balance": account.balance,
            }
        )

    async def _not_found(self, request: web.Request) -> web.Response:
        self.admit(request)
        return said(NOT_FOUND, "Not found")


def _bound(request: web.Request, name: str) -> datetime | None:
    written = request.query.get(name)
    if written is None:
        return None
    found = moment_in(written)
    if found is None:
        refuse(f"Invalid {name}")
    return found


def _limit(request: web.Request) -> int:
    written = request.query.get("limit", str(_LONGEST_PAGE))
    if not (written.isascii() and written.isdigit() and int(written) > 0):
        refuse("Invalid limit")
    return min(int(written), _LONGEST_PAGE)
