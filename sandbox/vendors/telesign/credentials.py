"""Who may talk to Telesign: Basic or signed requests, the host they came to, the account's standing and its pace."""

from __future__ import annotations

import hmac
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn

from sandbox.basic import decoded, is_one_of
from sandbox.sending import RefusedError
from sandbox.vendors.telesign.wire import PREFIX, error, sign_request, string_to_sign

if TYPE_CHECKING:
    from aiohttp import web

    from sandbox.vendors.telesign.records import Account, Standing
    from sandbox.vendors.telesign.vendor import TelesignVendor

# ASSUMED: Telesign names the fault and no bounds; its libraries send 18 to 36 characters.
_NONCE_LENGTHS = range(6, 65)
_AUTH_METHODS = frozenset({"HMAC-SHA256", "HMAC-SHA1"})
_FAULTS_OF_STANDINGS: dict[Standing, int] = {
    "suspended": 10010,
    "no_sms": 10011,
    "source_blocked": 10014,
    "wallet_empty": 10030,
    "hard_cap": 10020,
}


class Admission:
    """Checks who asks, for all accounts.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: TelesignVendor) -> None:
        self._vendor = vendor
        self._nonces: dict[tuple[str, str], float] = {}
        self._budgets: dict[str, tuple[float, float]] = {}

    def admit(self, request: web.Request, body: bytes) -> Account:
        """Check a request's credentials and whether its account may ask at all.

        ASSUMED: the order of the checks, and that a request over the rate counts before its parameters do.

        Raises:
            RefusedError: It may not.
        """
        account = self._authenticate(request, body)
        host = request.host.rpartition(":")[0] or request.host
        if account.hosts and host not in account.hosts:
            self._refuse(10035)
        if account.standing != "active":
            self._refuse(_FAULTS_OF_STANDINGS[account.standing])
        if not self._in_pace(account):
            self._refuse(10019)
        return account

    def _authenticate(self, request: web.Request, body: bytes) -> Account:
        header = request.headers.get("Authorization")
        if not header:
            self._refuse(10009)
        scheme, _, proof = header.partition(" ")
        if scheme.lower() == "basic":
            return self._by_key(proof)
        if scheme != "TSA":
            self._refuse(10028)
        return self._by_signature(request, body, proof)

    def _by_key(self, proof: str) -> Account:
        pair = decoded(proof)
        if pair is None:
            self._refuse(10028)
        customer, key = pair
        account = self._known(customer)
        if not is_one_of(key, *account.api_keys):
            self._refuse(10022)
        return account

    def _by_signature(self, request: web.Request, body: bytes, proof: str) -> Account:
        customer, colon, signature = proof.rpartition(":")
        if not (colon and customer and signature and signature.isascii()):
            self._refuse(10028)
        account = self._known(customer)
        headers = request.headers
        own = {name.lower(): value for name, value in headers.items() if name.lower().startswith("x-ts-")}
        auth_method = own.get("x-ts-auth-method", "HMAC-SHA1").upper()
        if auth_method not in _AUTH_METHODS:
            self._refuse(10006)
        self._check_date(account, own.get("x-ts-date") or headers.get("Date"))
        nonce = own.get("x-ts-nonce")
        if nonce is not None and len(nonce) not in _NONCE_LENGTHS:
            self._refuse(10003)

        text = string_to_sign(
            request.method,
            headers.get("Content-Type", ""),
            "" if "x-ts-date" in own else headers.get("Date", ""),
            own.items(),
            body,
            request.rel_url.raw_path.removeprefix(PREFIX),
        )
        if not any(hmac.compare_digest(sign_request(key, text, auth_method), signature) for key in account.api_keys):
            self._refuse(10008, signature_string=text.decode("utf-8", "replace"))
        if nonce is not None:
            self._spend(account, nonce)
        return account

    def _known(self, customer: str) -> Account:
        account = self._vendor.accounts.get(customer)
        if account is None:
            self._refuse(10015)
        return account

    def _check_date(self, account: Account, date: str | None) -> None:
        if not date:
            self._refuse(10007)
        try:
            told = parsedate_to_datetime(date)
        except ValueError:
            self._refuse(10005)
        told = told if told.tzinfo else told.replace(tzinfo=UTC)
        if abs(told.timestamp() - self._vendor.world.clock.now()) > account.clock_skew_seconds:
            self._refuse(10004)

    def _spend(self, account: Account, nonce: str) -> None:
        """Note a nonce, and refuse it while the date of its first request is still valid."""
        now = self._vendor.world.clock.now()
        while self._nonces and next(iter(self._nonces.values())) <= now:
            del self._nonces[next(iter(self._nonces))]
        if (account.customer_id, nonce) in self._nonces:
            self._refuse(10002)
        self._nonces[account.customer_id, nonce] = now + 2 * account.clock_skew_seconds

    def _in_pace(self, account: Account) -> bool:
        """Take a request out of the account's second; a token bucket that holds one second's worth."""
        now, size = self._vendor.world.clock.now(), max(account.tps, 1.0)
        tokens, since = self._budgets.get(account.customer_id, (size, now))
        tokens = min(size, tokens + (now - since) * account.tps)
        granted = tokens >= 1
        self._budgets[account.customer_id] = (tokens - granted, now)
        return granted

    def forget(self) -> None:
        """Forget the nonces and what the accounts have used of their pace."""
        self._nonces.clear()
        self._budgets.clear()

    def _refuse(self, code: int, **fields: Any) -> NoReturn:
        raise RefusedError(error(self._vendor.world.ids, code, **fields))
