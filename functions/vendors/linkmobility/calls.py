"""How LINK's API is called: signed with a password or an access token; and how it names its faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from functions.vendors.contract import Account, Http, Reason, Refused, Retry, Unknown
from functions.vendors.exchange import HttpAnswer, basic, exchange, fields_of_success, shortened
from functions.vendors.linkmobility.codes import REFUSAL_CODES, REFUSAL_STATUSES, REPORT_CODES, RETRIES
from functions.vendors.reading import as_text

_TOKEN_MARGIN = 60.0
_ACCEPT = {"Accept": "application/json"}


async def request(
    account: Account, http: Http, method: str, path: str, body: Mapping[str, Any] | None = None
) -> HttpAnswer | Refused | Unknown:
    """Make one call, signed with the password or, where there is none, with an access token."""
    settings = account.settings
    base = settings["baseUrl"].rstrip("/")
    if password := settings.get("password"):
        signed = _ACCEPT | {"Authorization": basic(settings.get("username", ""), password)}
        return await exchange(http, method, base + path, headers=signed, json=body)
    client, secret = settings.get("clientId", ""), settings["clientSecret"]
    tokens = http.keep(("linkmobility", base, client, secret), Tokens)
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": secret}
    ends = time.monotonic() + http.timeout

    async def fetch() -> HttpAnswer | Refused | Unknown:
        # Half of what is left, so that a slow token leaves time to send.
        half = (ends - time.monotonic()) / 2
        return await exchange(http, "POST", f"{base}/auth/token", headers=_ACCEPT, form=form, seconds=half)

    answer: HttpAnswer | Refused | Unknown
    for _ in range(2):
        token = await tokens.current(fetch)
        if isinstance(token, Refused):
            return token
        signed = _ACCEPT | {"Authorization": f"Bearer {token}"}
        left = ends - time.monotonic()
        answer = await exchange(http, method, base + path, headers=signed, json=body, seconds=left)
        if not isinstance(answer, HttpAnswer) or answer.status != HTTPStatus.UNAUTHORIZED:
            break
        tokens.drop(token)
    return answer


def code_of(answer: HttpAnswer) -> str:
    """Return an error's code, which a refusal has in ``status`` and a message's own entry in ``resultCode``."""
    return as_text(answer.fields.get("status")) or as_text(answer.fields.get("resultCode"))


def words_of(entry: Mapping[str, Any]) -> str:
    """Return the words of an entry or an error, which editions and OAuth 2.0 name differently, shortened."""
    names = ("description", "message", "error_description", "error")
    return shortened(next((text for name in names if (text := as_text(entry.get(name)))), ""))


def why_refused(answer: HttpAnswer) -> tuple[Reason, Retry]:
    """Return what a 4xx means: by its code, or by the HTTP status where the code says nothing."""
    code = code_of(answer)
    reason, retry = REFUSAL_CODES.get(code, (None, Retry.NEVER))
    if reason is None:
        reason, retry = REPORT_CODES.get(code, (None, None))[1], RETRIES.get(code, Retry.NEVER)
    if reason in {None, Reason.OTHER}:
        return REFUSAL_STATUSES.get(answer.status, (Reason.OTHER, Retry.NEVER))
    return reason or Reason.OTHER, retry


class Tokens:
    """The access token of one OAuth 2.0 client, fetched when there is none or it is about to end.

    Args:
        clock: Seconds that only ever go up.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._ends = 0.0

    async def current(self, fetch: Callable[[], Awaitable[HttpAnswer | Refused | Unknown]]) -> str | Refused:
        """Return the token, or why there is none; callers at the same time share one fetch."""
        async with self._lock:
            began = self._clock()
            if self._token and began < self._ends:
                return self._token
            answer = await fetch()
            granted = fields_of_success(answer)
            token, lifetime = granted.get("access_token"), granted.get("expires_in")
            if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
                return _no_token(answer)
            self._token = token
            # Without a lifetime it holds until a 401 says otherwise.
            self._ends = began + lifetime - _TOKEN_MARGIN if isinstance(lifetime, int | float) else float("inf")
            return token

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless there is a newer one already."""
        if self._token == token:
            self._token = ""


def _no_token(answer: HttpAnswer | Refused | Unknown) -> Refused:
    """Say why there is no token; whatever happened, no message was sent."""
    if isinstance(answer, Refused):
        return answer
    if isinstance(answer, Unknown):
        return Refused(Reason.TEMPORARY, Retry.LATER, detail=f"No access token. {answer.why}")
    detail = shortened(f"No access token: {words_of(answer.fields)}")
    if not answer.is_client_error:
        return Refused(Reason.TEMPORARY, Retry.LATER, None, str(answer.status), detail)
    # https://www.rfc-editor.org/rfc/rfc6749#section-5.2: a client that is not known gets 400 or 401
    credentials = answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}
    reason, retry = (Reason.CREDENTIALS, Retry.NEVER) if credentials else why_refused(answer)
    return answer.refusal(reason, retry, code_of(answer), detail)
