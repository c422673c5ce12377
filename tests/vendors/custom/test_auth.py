"""How a check proves itself: as the request that sends does, unless the definition says otherwise."""

from __future__ import annotations

import pytest

from functions.vendors.custom.adapter import Custom
from tests.vendors.custom.samples import APIS, account, definition, moved
from tests.vendors.kit import Reply
from tests.vendors.servers import recorder

VENDOR = Custom()
CREDENTIALS = {"user": "CanaryUser", "password": "CanaryPassword", "token": "CanaryToken", "key": "CanaryKey"}
BASIC = {"basic": {"user": "{credentials.user}", "password": "{credentials.password}"}}
BEARER = {"bearer": "{credentials.token}"}
KEY = {"headers": {"X-Api-Key": "{credentials.key}", "Accept": "text/json"}}
SCHEME = {"headers": {"authorization": "Key {credentials.key}"}}
BASIC_SENT = {"authorization": "Basic Q2FuYXJ5VXNlcjpDYW5hcnlQYXNzd29yZA=="}
BEARER_SENT = {"authorization": "Bearer CanaryToken"}
KEY_SENT = {"x-api-key": "CanaryKey"}
SCHEME_SENT = {"authorization": "Key CanaryKey"}


def described(request, check, path="/me"):
    """Return a definition with these proofs."""
    return {
        "name": "Example",
        "request": {
            "method": "POST",
            "url": "https://api.example.com/sms",
            "json": {"to": "{to}", "text": "{text}"},
            **request,
        },
        "success": {"statuses": [200], "id": "id"},
        "check": {
            "method": "GET",
            "url": f"https://api.example.com{path}",
            "success": {"statuses": [200], "id": "id"},
            **check,
        },
    }


async def checked(made, http, reply=None):
    """Return the proofs that a check sends, and what it says."""
    async with recorder(reply or Reply(200, b'{"id": "1"}')) as server:
        provider = account(moved(made, server.url), CREDENTIALS)
        assert VENDOR.check_settings(provider.settings | {"callbackToken": ""}) == []
        found = await VENDOR.check(provider, http)

        [request] = server.requests
    sent = {name.lower(): value for name, value in request.headers.items()}
    return {name: sent[name] for name in ("authorization", "x-api-key", "x-other") if name in sent}, found


INHERITED = {
    "basic": (BASIC, {}, BASIC_SENT),
    "bearer": (BEARER, {}, BEARER_SENT),
    "another scheme": (SCHEME, {}, SCHEME_SENT),
    "a key in a header": (KEY, {}, KEY_SENT),
    "a key and basic": (KEY | BASIC, {}, KEY_SENT | BASIC_SENT),
    "asked for": (BASIC, {"auth": "request"}, BASIC_SENT),
    "asked for beside a query": (BASIC, {"auth": "request", "query": {"key": "{credentials.key}"}}, BASIC_SENT),
    "beside a header": (BASIC, {"headers": {"Accept": "text/json"}}, BASIC_SENT),
    "none": (BASIC | KEY, {"auth": "none"}, {}),
    "own basic": (BEARER, BASIC, BASIC_SENT),
    "own bearer": (BASIC, BEARER, BEARER_SENT),
    "own header": (BASIC, SCHEME, SCHEME_SENT),
    "own key": (BASIC, KEY, KEY_SENT),
    "key in another word": (KEY, {"auth": "request", "headers": {"x-api-key": "{credentials.token}"}}, {}),
    "own query": (BASIC, {"query": {"key": "{credentials.key}"}}, {}),
    "own form": (BASIC, {"method": "POST", "form": {"key": "{credentials.key}"}}, {}),
    "proof of a message": ({"headers": {"X-Api-Key": "{credentials.key}-{messageId}"}}, {}, {}),
    "basic of a message": ({"basic": {"user": "{sender}", "password": "{credentials.password}"}}, {}, {}),
    "a header that proves nothing": ({"headers": {"X-Other": "1"}}, {}, {}),
    "nothing to take": ({}, {}, {}),
}


@pytest.mark.parametrize("case", INHERITED)
async def test_a_check_proves_itself_as_the_request_does(http, case):
    """Basic, bearer and headers with a credential hold for the check too, unless it has a proof of its own or none."""
    request, check, expected = INHERITED[case]
    if case == "key in another word":
        expected = {"x-api-key": "CanaryToken"}

    sent, found = await checked(described(request, check), http)

    assert sent == expected
    assert found.ok


@pytest.mark.parametrize(("path", "sent"), [("/{credentials.user}/me", BASIC_SENT), ("/me?k={credentials.key}", {})])
async def test_a_credential_in_the_path_is_an_account_and_one_in_the_query_a_proof(http, path, sent):
    """An account named in the path still has to prove itself; a key in the address's query is its proof already."""
    assert (await checked(described(BASIC, {}, path), http))[0] == sent


@pytest.mark.parametrize(("auth", "sent"), [({}, {}), ({"auth": "request"}, BASIC_SENT), ({"auth": "none"}, {})])
async def test_credentials_go_to_another_host_only_where_it_says_so(http, auth, sent):
    """Another host, or another port of it, gets the request's credentials only if the check asks for them."""
    made = described(BASIC, auth)
    async with recorder(Reply(401, b"Who?")) as server:
        made["check"]["url"] = f"{server.url}/me"
        found = await VENDOR.check(account(made, CREDENTIALS), http)

        [request] = server.requests
    assert request.headers.get("authorization") == sent.get("authorization")
    assert not found.ok
    assert ("sent no credential" in found.detail) == (not sent)


async def test_a_check_that_fails_with_its_credentials_says_what_the_vendor_says(http):
    """The hint at missing credentials is for checks that sent none."""
    _, found = await checked(described(BASIC, {}), http, Reply(401, b"Wrong: CanaryPassword"))

    assert (found.ok, found.detail) == (False, "Example answered 401: Wrong: ***")


@pytest.mark.parametrize("name", ["bulksms", "gatewayapi"])
async def test_a_check_of_an_earlier_release_means_the_same(http, name):
    """A definition that states its proof twice, as it had to, sends the same check with and without the second."""
    seen = []
    for change in (lambda check: check, lambda check: check.pop("basic", 0) or check.pop("headers", 0)):
        made = definition(name)
        change(made["check"])
        async with recorder(Reply(200, b'{"id": "1"}')) as server:
            assert (await VENDOR.check(account(moved(made, server.url), APIS[name].credentials), http)).ok
            [request] = server.requests
        seen.append((request.method, request.path, request.headers["authorization"]))

    assert seen[0] == seen[1]
