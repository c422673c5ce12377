"""What the tests of the HTTP surface share."""

from __future__ import annotations

from io import BytesIO
from string import punctuation
from urllib.parse import quote, urlsplit

import pytest
from twilio.request_validator import RequestValidator
from yarl import URL

from devhost.running import Answer
from tests.triggers import store


@pytest.fixture
def path(tmp_path):
    """Give the embedded store's file."""
    return tmp_path / "gateway.db"


@pytest.fixture
def dump(path):
    """Give a function that returns everything that is stored."""
    return lambda: store.dump(path)


@pytest.fixture
def request_raw(gateway):
    """Give a function that sends any bytes with any headers; with the master key unless told otherwise."""

    async def send(method, route, data=None, *, headers=None, key=True):
        sent = dict(headers or {}) | ({"x-functions-key": gateway.keys.master} if key else {})
        # Encoded already: the client must not spell the address anew, signatures are made over it.
        url = URL(quote(f"{gateway.url}/api{route}", safe=punctuation), encoded=True)
        data = BytesIO(data) if isinstance(data, bytes) else data
        async with gateway.session.request(
            method, url, data=data, headers=sent, skip_auto_headers=["Content-Type"]
        ) as r:
            is_json = "json" in r.content_type and await r.read()
            return Answer(r.status, await r.json() if is_json else await r.text(), r.headers.copy())

    return send


@pytest.fixture
def post_signed(gateway):
    """Give a function that posts a form as Twilio does; the signature is made by Twilio's own library."""

    async def post(url, form, token, *, forged=None):
        url = url.partition("#")[0]
        signature = forged if forged is not None else RequestValidator(token).compute_signature(url, form)
        headers = {"X-Twilio-Signature": signature} if signature else {}
        parts = urlsplit(url)
        target = f"{gateway.url}{parts.path}" + (f"?{parts.query}" if parts.query else "")
        async with gateway.session.post(target, data=form, headers=headers) as response:
            is_json = "json" in response.content_type
            return Answer(
                response.status, await response.json() if is_json else await response.text(), response.headers.copy()
            )

    return post
