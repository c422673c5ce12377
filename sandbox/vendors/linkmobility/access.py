"""Who may come in: Basic authentication, or an access token of OAuth 2 (client credentials)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from sandbox.basic import decoded, is_one_of
from sandbox.vendor import json_response
from sandbox.vendors.linkmobility.wire import (
    ACCESS_DENIED,
    BAD_REQUEST,
    FORBIDDEN,
    INVALID_AUTHENTICATION,
    INVALID_PARTNER,
    INVALID_PLATFORM,
    NO_SMSC_CREDENTIALS,
    UNAUTHORIZED,
    refuse,
)

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.register import Register
    from sandbox.vendors.linkmobility.records import Account
    from sandbox.world import World


class Access:
    """Checks credentials and gives out access tokens, which a restart forgets.

    Args:
        accounts: The logins.
        world: The shared parts.
    """

    def __init__(self, accounts: Register[Account], world: World) -> None:
        self._accounts = accounts
        self._world = world
        self._tokens: dict[str, tuple[str, float]] = {}

    def admit(self, request: web.Request) -> Account:
        """Find the account whose credentials a request carries.

        Raises:
            RefusedError: They are nobody's.
        """
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        account = {"Basic": self._by_password, "Bearer": self._by_token}.get(scheme, _nobody)(given)
        if account is None:
            refuse(UNAUTHORIZED, INVALID_AUTHENTICATION)
        return account

    def act_for(self, account: Account, platform: Any, partner: Any) -> None:
        """Check that an account may act for a customer on a platform; both ids are texts.

        Raises:
            RefusedError: It may not, or an id is none.
        """
        for given, problem in ((platform, INVALID_PLATFORM), (partner, INVALID_PARTNER)):
            if not isinstance(given, str) or not given:
                refuse(BAD_REQUEST, problem)
        if (platform, partner) != (account.platform_id, account.platform_partner_id):
            refuse(FORBIDDEN, NO_SMSC_CREDENTIALS)

    def admit_to_set_up(self, request: web.Request, platform: Any, partner: Any) -> Account:
        """Do both for the Gate and Keyword APIs, which not every login may use.

        Raises:
            RefusedError: It may not.
        """
        account = self.admit(request)
        if not account.gate_access:
            refuse(FORBIDDEN, ACCESS_DENIED)
        self.act_for(account, platform, partner)
        return account

    async def give_token(self, request: web.Request) -> web.Response:
        """Answer `POST /auth/token`. ASSUMED: its errors are those of RFC 6749 section 5.2."""
        if request.content_type != "application/x-www-form-urlencoded":
            return json_response({"error": "invalid_request"}, status=BAD_REQUEST)
        form = dict(parse_qsl((await request.read()).decode("utf-8", "replace")))
        if form.get("grant_type") != "client_credentials":
            return json_response({"error": "unsupported_grant_type"}, status=BAD_REQUEST)
        account = self._by_client(form.get("client_id", ""), form.get("client_secret", ""))
        if account is None:
            return json_response({"error": "invalid_client"}, status=UNAUTHORIZED)
        token = self._world.ids.hex(64)
        self._tokens[token] = (account.username, self._world.clock.now() + account.token_seconds)
        return json_response({"access_token": token, "token_type": "Bearer", "expires_in": account.token_seconds})

    def forget_tokens(self) -> None:
        """Make all access tokens worthless."""
        self._tokens.clear()

    def _by_password(self, given: str) -> Account | None:
        user, password = decoded(given) or ("", "")
        account = self._accounts.get(user)
        fits = account is not None and is_one_of(password, account.password, account.secondary)
        return account if fits else None

    def _by_token(self, given: str) -> Account | None:
        username, until = self._tokens.get(given, ("", 0.0))
        return self._accounts.get(username) if self._world.clock.now() < until else None

    def _by_client(self, client: str, secret: str) -> Account | None:
        account = next((known for known in self._accounts if client and known.client_id == client), None)
        fits = account is not None and is_one_of(secret, account.client_secret, account.client_secret_secondary)
        return account if fits else None


def _nobody(_given: str) -> None:
    return None
