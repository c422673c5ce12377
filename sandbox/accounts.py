"""What the control API offers for every vendor alike: its accounts, and the numbers they own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aiohttp import web
from pydantic import BaseModel

from sandbox.vendor import ControlError, Route, json_object, json_response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from sandbox.register import Register

Account = TypeVar("Account", bound=BaseModel)


class Accounts(Generic[Account]):
    """Lists, puts and deletes accounts; a POST creates or replaces.

    Args:
        path: Where, such as ``/sandbox/twilio/accounts``.
        accounts: The accounts.
        owned: What goes with an account that is deleted: records that name it in ``account``.
        check: Raises a ``ControlError`` for an account that cannot be put.
        let_go: Takes out what else an account owns, before it is deleted.
    """

    def __init__(
        self,
        path: str,
        accounts: Register[Account],
        owned: Sequence[Register[Any]] = (),
        *,
        check: Callable[[Account], None] = lambda _: None,
        let_go: Callable[[Account], None] = lambda _: None,
    ) -> None:
        self.one = path + "/{account}"
        self._path = path
        self._accounts = accounts
        self._owned = owned
        self._check = check
        self._let_go = let_go

    def routes(self) -> Sequence[Route]:
        """The accounts themselves."""
        return [
            Route("GET", self._path, self._list),
            Route("POST", self._path, self._put),
            Route("DELETE", self.one, self._delete),
        ]

    def known(self, request: web.Request) -> Account:
        """Find the account in a path.

        Raises:
            HTTPNotFound: There is none of this name.
        """
        account = self._accounts.get(request.match_info["account"])
        if account is None:
            raise web.HTTPNotFound
        return account

    def name_in(self, request: web.Request) -> str:
        """Give the name of the account in a path.

        Raises:
            HTTPNotFound: There is none of this name.
        """
        return self._accounts.key_of(self.known(request))

    async def _list(self, _request: web.Request) -> web.Response:
        return listed(self._accounts, self._accounts)

    async def _put(self, request: web.Request) -> web.Response:
        account = self._accounts.model.model_validate_json(await request.read())
        self._check(account)
        return made(self._accounts, account)

    async def _delete(self, request: web.Request) -> web.Response:
        account = self.known(request)
        name = self._accounts.key_of(account)
        self._let_go(account)
        for register in self._owned:
            register.remove_having(account=name)
        self._accounts.remove(name)
        return web.Response(status=204)


class Numbers:
    """Lists, puts and deletes the numbers, short codes and names that accounts own; a POST creates or replaces.

    Args:
        accounts: The accounts.
        numbers: The numbers: records that name their account in ``account`` and what texts come from in ``number``.
        as_key: Turns a number in a path into the key of its record.
    """

    def __init__(
        self, accounts: Accounts[Any], numbers: Register[Any], as_key: Callable[[str], str] = lambda number: number
    ) -> None:
        self._accounts = accounts
        self._numbers = numbers
        self._as_key = as_key

    def routes(self) -> Sequence[Route]:
        """The numbers, below their accounts."""
        path = f"{self._accounts.one}/numbers"
        return [
            Route("GET", path, self._list),
            Route("POST", path, self._put),
            Route("DELETE", path + "/{number}", self._delete),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        return listed(self._numbers, self._numbers.having(account=self._accounts.name_in(request)))

    async def _put(self, request: web.Request) -> web.Response:
        account = self._accounts.name_in(request)
        number = self._numbers.model.model_validate({**await json_object(request), "account": account})
        known = self._numbers.get(self._numbers.key_of(number))
        if known is not None and known.account != account:
            raise ControlError(f"{number.number} belongs to another account")
        return made(self._numbers, number)

    async def _delete(self, request: web.Request) -> web.Response:
        account = self._accounts.name_in(request)
        key = self._as_key(request.match_info["number"])
        known = self._numbers.get(key)
        if known is None or known.account != account:
            raise web.HTTPNotFound
        self._numbers.remove(key)
        return web.Response(status=204)


def listed(register: Register[Any], records: Iterable[Any]) -> web.Response:
    """Show records of a register."""
    return json_response([register.show(record) for record in records])


def made(register: Register[Any], record: Any) -> web.Response:
    """Put a record into its register, and show it."""
    return json_response(register.show(register.add(record)), status=201)


def may_send_from(numbers: Register[Any], account: str, sender: str) -> bool:
    """Tell whether an account may send from an address: from its own only, or any free one as long as it has none.

    Args:
        numbers: Who has which number.
        account: The account's name.
        sender: The key of the number's record.
    """
    number = numbers.get(sender)
    return not numbers.having(account=account) if number is None else number.account == account
