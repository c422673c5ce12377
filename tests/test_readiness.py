"""Readiness names the store that cannot be used, why, and the remedy, against servers that refuse as Azure does."""

from __future__ import annotations

import asyncio
import json
import ssl

import pytest
import trustme
from aiohttp import web
from azure.core.exceptions import ClientAuthenticationError

import functions.storage.azure as family
from functions.gateway.clock import utc_now
from functions.gateway.readiness import QUEUE, SECRET, TABLE, Readiness
from functions.storage.azure import open_azure, open_key_vault
from functions.storage.azure import tables as azure_tables
from functions.storage.counting import counted
from functions.storage.ports import Fault, Storage, StorageError
from tests.servers import azurite, free_port, require_tools
from tests.storage.vault import HandedOutToken, running_vault
from tests.triggers.problems import check_problem

ROLES = {
    "tables": "Storage Table Data Contributor",
    "queues": "Storage Queue Data Contributor",
    "secrets": "Key Vault Secrets Officer",
}
PLACES = {"tables": "contosotables", "queues": "contosoqueues", "secrets": "127"}


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Run Azurite."""
    require_tools()
    with azurite(tmp_path_factory.mktemp("azurite")) as connection_string:
        yield connection_string


class Refusing:
    """A server that answers as Azure's three services do when they refuse."""

    def __init__(self) -> None:
        self.url = ""
        self.ca_file = ""
        self.codes = {"tables": "AuthorizationPermissionMismatch", "queues": "AuthorizationPermissionMismatch"}
        self.inner = "ForbiddenByRbac"
        self.silent = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if self.silent:
            await asyncio.sleep(30)
        if request.path.startswith("/secrets"):
            if "Authorization" not in request.headers:
                challenge = 'Bearer authorization="https://login.microsoftonline.com/x", resource="https://vault"'
                return web.json_response({}, status=401, headers={"WWW-Authenticate": challenge})
            error = {"code": "Forbidden", "message": "canary", "innererror": {"code": self.inner}}
            return web.json_response({"error": error}, status=403)
        if request.path.startswith("/contosoqueues"):
            code = self.codes["queues"]
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>canary</Message></Error>"
            return web.Response(
                body=body, status=403, content_type="application/xml", headers={"x-ms-error-code": code}
            )
        error = {"code": self.codes["tables"], "message": {"lang": "en-US", "value": "canary"}}
        return web.json_response({"odata.error": error}, status=403, content_type="application/json")


@pytest.fixture
async def refusing(tmp_path):
    """Serve what refuses, over TLS, since the clients hand tokens to nobody else."""
    server, authority = Refusing(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    server.url, server.ca_file = f"https://127.0.0.1:{runner.addresses[0][1]}", str(tmp_path / "authority.pem")
    yield server
    await runner.cleanup()


@pytest.fixture
async def by_identity(refusing, monkeypatch):
    """Open the three ports by identity at the server that refuses."""
    monkeypatch.setattr(family, "_TIMEOUTS", family._TIMEOUTS | {"connection_verify": refusing.ca_file})
    monkeypatch.setattr(family, "_CORE_RETRIES", {"retry_total": 0})
    monkeypatch.setattr(family, "_QUEUE_RETRIES", {"retry_total": 0})
    credential = HandedOutToken()
    tables = family.open_azure_tables(table_url=f"{refusing.url}/contosotables", credential=credential)
    queues = family.open_azure_queues(queue_url=f"{refusing.url}/contosoqueues", credential=credential)
    monkeypatch.delitem(family._TIMEOUTS, "connection_verify")
    secrets = open_key_vault(
        refusing.url, credential, verify_challenge_resource=False, connection_verify=refusing.ca_file
    )
    storage = Storage(tables, queues, secrets)
    yield storage
    await storage.close()


async def looked(storage: Storage, **options):
    """Return what readiness finds, by dependency."""
    return {one.dependency: one for one in await Readiness(storage, utc_now, **options).look()}


async def test_all_is_well_on_azurite(connection, tmp_path) -> None:
    """With every role there readiness finds nothing, again and again, and leaves one row and no message behind."""
    credential = HandedOutToken()
    async with running_vault(tmp_path, credential.token) as vault:
        secrets = open_key_vault(
            vault.url, credential, verify_challenge_resource=False, connection_verify=vault.ca_file
        )
        storage, counter = counted(open_azure(secrets=secrets, connection_string=connection))
        for _ in range(3):
            counter.reset()
            found = await looked(storage)
            assert [one.ok for one in found.values()] == [True] * 3
            assert counter.total <= 7, counter.by_operation
        assert await storage.queues.length(QUEUE) == 0
        assert len([row async for row in storage.tables.scan(TABLE, first="!", last="~")]) == 1
        assert vault.values == {}
        await storage.close()


async def test_a_missing_role_is_named_with_its_resource(by_identity, refusing) -> None:
    """On 403 for want of a right each finding names the role and the resource, and nothing of the server's words."""
    found = await looked(by_identity)

    for name, one in found.items():
        assert not one.ok
        assert f"The role {ROLES[name]} is missing on {PLACES[name]}" in one.detail
        assert refusing.url in one.detail
        assert ROLES[name] in one.remedy
        assert "canary" not in str(one)
    assert list(found) == ["tables", "queues", "secrets"]


@pytest.mark.parametrize(
    ("name", "port", "method"),
    [
        ("tables", "tables", "replace"),
        ("queues", "queues", "put"),
        ("queues", "queues", "receive"),
        ("queues", "queues", "delete"),
        ("secrets", "secrets", "delete"),
        ("secrets", "secrets", "get"),
        ("tables", "tables", "get"),
    ],
)
async def test_half_a_role_is_not_enough(storage, monkeypatch, name, port, method) -> None:
    """A role that lets the app read and not write, or the other way round, is found wanting."""
    assert all(one.ok for one in (await looked(storage)).values())

    async def refused(*_, **__):
        raise StorageError("It answered 403", fault=Fault.REFUSED)

    monkeypatch.setattr(type(getattr(storage, port)), method, refused)

    found = await looked(storage)
    assert [one.dependency for one in found.values() if not one.ok] == [name]


async def test_looks_beside_each_other(storage) -> None:
    """Many looks at once find nothing wrong: that another instance wrote first only shows that writing works."""
    await looked(storage)

    found = await asyncio.gather(*(looked(storage) for _ in range(10)))

    assert all(one.ok for each in found for one in each.values())


async def test_a_firewall_is_told_from_a_missing_role(by_identity, refusing) -> None:
    """Where the service's code says that the network is refused, the remedy is about the network first."""
    refusing.codes = dict.fromkeys(refusing.codes, "AuthorizationFailure")
    refusing.inner = "ForbiddenByFirewall"

    for name, one in (await looked(by_identity)).items():
        assert "firewall" in one.remedy.partition(". ")[0]
        assert ROLES[name] in one.remedy
        assert "is missing" not in one.detail


async def test_an_app_without_an_identity_is_told_so(by_identity, monkeypatch) -> None:
    """When no token is to be had the remedy is to give the app an identity."""

    async def none(self, *scopes, **_):
        raise ClientAuthenticationError("canary")

    monkeypatch.setattr(HandedOutToken, "get_token", none)

    for one in (await looked(by_identity)).values():
        assert "identity" in one.remedy
        assert "canary" not in str(one)


@pytest.mark.parametrize("code", ["AuthenticationFailed", "KeyBasedAuthenticationNotPermitted", "NeverHeardOf"])
async def test_a_wrong_key_is_told_from_a_missing_role(refusing, monkeypatch, code) -> None:
    """With a wrong account key, or where none is allowed, the remedy is the key, and no role is asked for."""
    refusing.codes = dict.fromkeys(refusing.codes, code)
    monkeypatch.setattr(family, "_TIMEOUTS", family._TIMEOUTS | {"connection_verify": refusing.ca_file})
    places = f"TableEndpoint={refusing.url}/contosotables;QueueEndpoint={refusing.url}/contosoqueues"
    key = f"AccountName=contoso;AccountKey=d3Jvbmcga2V5IGNhbmFyeQ==;{places}"
    storage = open_azure(connection_string=key, secrets=NoSecrets())

    found = await looked(storage)

    for name in ("tables", "queues"):
        assert not found[name].ok
        assert PLACES[name] in found[name].detail
        assert "key" in found[name].remedy
        assert "role" not in found[name].detail + found[name].remedy
        assert "d3Jvbmcg" not in str(found[name])
    await storage.tables.close()
    await storage.queues.close()


class NoSecrets:
    """A secret store that answers and never has anything."""

    from functions.storage.ports import Place

    place = Place("none")

    async def get(self, name):
        assert name == SECRET

    async def delete(self, name):
        assert name == SECRET


async def test_a_store_that_is_not_there_is_named_by_its_address(monkeypatch) -> None:
    """Without a connection the finding names the address that does not answer."""
    monkeypatch.setattr(family, "_CORE_RETRIES", {"retry_total": 0})
    monkeypatch.setattr(family, "_QUEUE_RETRIES", {"retry_total": 0})
    nowhere = f"http://127.0.0.1:{free_port()}/contoso"
    key = f"AccountName=contoso;AccountKey=a2V5LWNhbmFyeQ==;TableEndpoint={nowhere};QueueEndpoint={nowhere}"
    storage = open_azure(connection_string=key, secrets=NoSecrets())

    found = await looked(storage)

    assert found["secrets"].ok
    for name in ("tables", "queues"):
        assert f"contoso ({nowhere}) cannot be reached" in found[name].detail
        assert "address" in found[name].remedy
        assert "a2V5" not in str(found[name])
    await storage.tables.close()
    await storage.queues.close()


async def test_a_store_that_does_not_answer_is_given_up_in_time(by_identity, refusing) -> None:
    """Stores that take the request and say nothing are given up after the limit, all at the same time."""
    refusing.silent = True
    started = asyncio.get_running_loop().time()

    found = await looked(by_identity, limit=0.3)

    assert asyncio.get_running_loop().time() - started < 2
    assert all("no answer within 0.3 seconds" in one.detail for one in found.values())


async def test_a_signature_in_a_connection_string_is_not_told(monkeypatch) -> None:
    """A shared access signature is part of an address and still stands in no finding."""
    monkeypatch.setattr(azure_tables, "LOST_ANSWER_DELAYS", ())
    address = f"https://127.0.0.1:{free_port()}"
    key = f"TableEndpoint={address};QueueEndpoint={address};SharedAccessSignature=sv=1&sig=canary"
    storage = open_azure(connection_string=key, secrets=NoSecrets())

    found = await looked(storage, limit=0.3)

    assert address in found["queues"].detail
    assert "canary" not in json.dumps([str(one) for one in found.values()])
    await storage.tables.close()
    await storage.queues.close()


# Over HTTP ------------------------------------------------------------------------------------------------------------


async def test_ready(gateway) -> None:
    """With everything there the answer is 200 and lists each store."""
    answer = await gateway.call("GET", "/health/ready")

    assert answer.status == 200
    assert answer.body["status"] == "ok"
    assert [(one["dependency"], one["ok"]) for one in answer.body["dependencies"]] == [
        ("tables", True),
        ("queues", True),
        ("secrets", True),
    ]


async def test_not_ready(gateway, by_identity, monkeypatch) -> None:
    """With a role missing the answer is 503, and its list says which store, which role and which resource."""
    app = gateway.application
    broken = Storage(app.storage.tables, by_identity.queues, app.storage.secrets)
    monkeypatch.setattr(app.readiness, "_storage", broken)

    problem = check_problem(await gateway.call("GET", "/health/ready"), 503)

    assert "queues" in problem["detail"]
    assert {one["dependency"]: one["ok"] for one in problem["dependencies"]} == {
        "tables": True,
        "queues": False,
        "secrets": True,
    }
    (down,) = [one for one in problem["dependencies"] if not one["ok"]]
    assert ROLES["queues"] in down["detail"]
    assert "contosoqueues" in down["detail"]


async def test_readiness_needs_a_key(gateway) -> None:
    """Without a key nobody learns the names of resources."""
    async with gateway.session.get(f"{gateway.url}/api/health/ready") as answer:
        assert (answer.status, await answer.read()) == (401, b"")
