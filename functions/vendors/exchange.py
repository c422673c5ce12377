"""One HTTP exchange with a vendor, and whether anything can have been sent where no answer came of it.

What the vendor's answer means is the adapter's to say.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from functions.vendors.contract import Http, Reason, Refused, Retry, Unknown, retry_after
from functions.vendors.reading import decoded, read_json

if TYPE_CHECKING:
    import aiohttp
    from aiohttp import ClientHandlerType, ClientMiddlewareType
    from yarl import URL

LONGEST_ANSWER = 4 * 1024 * 1024
"""Bytes; the longest answer that any adapter asks for, a hundred long texts with all about them, has a tenth."""
LONGEST_DETAIL = 300
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


@dataclass(frozen=True)
class HttpAnswer:
    """What a vendor answered.

    Args:
        status: The HTTP status.
        content: The body, as far as it was read.
        headers: The headers; names in any case.
        at: When it came.
    """

    status: int
    content: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def text(self) -> str:
        """The body as UTF-8, with a sign in place of what is none."""
        return decoded(self.content)

    @cached_property
    def json(self) -> Any:
        """What the body says as JSON; ``None`` where it is none."""
        try:
            # As text: a stray byte within an error's words is no reason to lose the id beside them.
            return read_json(self.text)
        except ValueError:
            return None

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the body says as a JSON object; empty where it is none."""
        return self.json if isinstance(self.json, dict) else {}

    @property
    def is_client_error(self) -> bool:
        """Whether the vendor says that the request is at fault, so that it did nothing."""
        return _CLIENT_ERROR <= self.status < _SERVER_ERROR

    @property
    def is_server_error(self) -> bool:
        """Whether the vendor failed, having done nobody knows what."""
        return self.status >= _SERVER_ERROR

    def wait(self, retry: Retry) -> float | None:
        """Return the seconds that ``Retry-After`` asks for where the same may be tried later, or ``None``."""
        return retry_after(self.headers.get("Retry-After"), self.at) if retry is Retry.LATER else None

    def refusal(self, reason: Reason, retry: Retry, code: str, words: str) -> Refused:
        """Return this answer as a refusal, to be tried again when its ``Retry-After`` says.

        Args:
            reason: Why nothing was sent.
            retry: What may be tried.
            code: The vendor's own code; the HTTP status stands in for none.
            words: The vendor's own words.
        """
        return Refused(reason, retry, self.wait(retry), code or str(self.status), shortened(words))


async def exchange(
    http: Http,
    method: str,
    url: str | URL,
    *,
    headers: Mapping[str, str],
    params: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    json: Any = None,
    data: bytes | None = None,
    seconds: float | None = None,
    longest: int = LONGEST_ANSWER,
) -> HttpAnswer | Refused | Unknown:
    """Make one request, once; follow no redirect, and read no more of the answer than one can have.

    A redirect would take the text, signed, to whatever address it names. An answer that is too long is cut, so that
    neither its JSON nor its XML can be read.

    Args:
        http: What to talk through.
        method: The HTTP method.
        url: The address.
        headers: The headers; the type of a form and of JSON comes by itself, that of bytes does not.
        params: What to add to the query.
        form: The body as fields of a form.
        json: The body as JSON.
        data: The body as bytes.
        seconds: How long it may take in all; as long as any call may where it is left out.
        longest: How many bytes of the answer are read.

    Returns:
        The answer; or a refusal to be tried later where no connection came about, so that nothing can have been sent;
        or unknown where there was a connection and no whole answer came.
    """
    import aiohttp  # noqa: PLC0415 - slow to import

    limit = http.timeout if seconds is None else seconds
    if limit <= 0:
        return Refused(Reason.TEMPORARY, Retry.LATER, detail="No time was left for the call.")
    if json is not None:
        data, headers = orjson.dumps(json), {"Content-Type": "application/json", **headers}
    try:
        async with http.session.request(
            method,
            url,
            params=params,
            data=data if form is None else form,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=limit, sock_connect=min(10.0, limit)),
            skip_auto_headers=() if form is not None else ("Content-Type",),
            allow_redirects=False,
            middlewares=(_once(),),
        ) as response:
            return HttpAnswer(response.status, await _content(response, longest), response.headers)
    # Of aiohttp's errors these alone are raised before there is a connection:
    # https://docs.aiohttp.org/en/stable/client_reference.html#client-exceptions
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        return Refused(Reason.TEMPORARY, Retry.LATER, detail=f"No connection: {type(error).__name__}.")
    except TimeoutError:
        return Unknown(f"No answer within {limit:.3g} s.")
    except (aiohttp.ClientError, OSError) as error:
        return Unknown(f"The connection was lost: {type(error).__name__}.")


def fields_of_success(answer: HttpAnswer | Refused | Unknown) -> Mapping[str, Any]:
    """Return the JSON object that came with a 200; an empty one where nothing or anything else came."""
    return answer.fields if isinstance(answer, HttpAnswer) and answer.status == HTTPStatus.OK else {}


def _once() -> ClientMiddlewareType:
    """Return what keeps aiohttp from a second try.

    It makes one by itself when a connection is lost on a ``GET`` or a ``PUT``; a vendor that takes texts by these may
    have taken the first.
    """
    import aiohttp  # noqa: PLC0415 - slow to import

    tried = False

    async def attempt(request: aiohttp.ClientRequest, send: ClientHandlerType) -> aiohttp.ClientResponse:
        nonlocal tried
        if tried:
            raise aiohttp.ServerDisconnectedError
        tried = True
        return await send(request)

    return attempt


def basic(user: str, password: str) -> str:
    """Return the value of ``Authorization`` for a user name and a password.

    Source: https://www.rfc-editor.org/rfc/rfc7617, in UTF-8.
    """
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def shortened(words: str) -> str:
    """Return the beginning of a vendor's words, as much as is kept of them."""
    return words[:LONGEST_DETAIL]


def why(failure: Refused | Unknown) -> str:
    """Return why no answer came of an exchange, as a sentence."""
    return failure.why if isinstance(failure, Unknown) else failure.detail


async def _content(response: aiohttp.ClientResponse, longest: int) -> bytes:
    try:
        return await response.content.readexactly(longest)
    except asyncio.IncompleteReadError as ended:
        return ended.partial
