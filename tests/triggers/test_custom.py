"""A vendor described by configuration, over HTTP: checked when saved, shown without sending, and no way in."""

from __future__ import annotations

import copy
import json
from base64 import b64encode
from urllib.parse import urlencode

import pytest

from functions.vendors.registry import vendors as registered_vendors
from sandbox.vendors.custom import KIT
from tests.triggers.problems import check_problem

PERSON = "+14255550123"
CANARY = {"username": "u-canary-0123456789abcdef", "password": "p-canary-fedcba9876543210"}


@pytest.fixture
async def made(connected):
    """Make a finished provider from the definition that is proven against the simulated API."""
    return await connected.make("custom", settings={"credentials": CANARY})


@pytest.fixture
def definition(made):
    """Return a copy of its definition to spoil."""
    value = made.settings["definition"]
    return copy.deepcopy(value) if isinstance(value, dict) else json.loads(value)


def settings_with(definition):
    """Return the request that creates a provider with this definition."""
    return {"vendor": "custom", "name": "x", "settings": {"definition": definition, "credentials": CANARY}}


async def test_the_definition_reads_back_as_json(connected, made, definition):
    """What an operator wrote is shown as JSON again, and the credentials beside it are not."""
    shown = (await connected.call("GET", f"/providers/{made.id}")).body
    assert shown["settings"]["definition"] == definition
    assert "credentials" in shown["secretsSet"]
    assert "canary" not in json.dumps(shown)


async def test_a_dry_run_shows_the_request_and_sends_nothing(connected, made):
    """The whole request for a sample message is shown, with the names of credentials and of the token only."""
    body = {"to": PERSON, "text": "Grüße & 100 %", "category": "marketing"}
    before = len(await connected.ledger("custom"))
    answer = await connected.call("POST", f"/providers/{made.id}/dry-run", body)
    assert answer.status == 200, answer.body
    shown = json.dumps(answer.body)
    token = (await connected.call("GET", f"/providers/{made.id}/callbacks")).body["report"].rpartition("/")[2]
    assert answer.body["method"] == "POST"
    assert answer.body["url"].startswith(connected.sandbox.base_url)
    assert PERSON.removeprefix("+") in answer.body["body"]
    assert "credentials." in shown
    assert "canary" not in shown
    assert token not in shown
    assert len(await connected.ledger("custom")) == before


async def test_a_dry_run_says_what_is_wrong_with_the_sample(connected, made):
    """A sample that could not be sent is refused where it is wrong."""
    path = f"/providers/{made.id}/dry-run"
    check_problem(await connected.call("POST", path, {"to": "0123", "text": "x"}), 422, "/to")
    check_problem(await connected.call("POST", path, {"to": PERSON, "text": "x", "from": "Nobody"}), 422, "/from")


async def test_a_wrong_definition_is_refused_with_the_path(connected, definition, dump, subtests):
    """Every fault of a definition is named by its path before anybody tries to send; nothing is kept."""
    before = dump()
    url = definition["request"]["url"]
    for why, spoil, path in (
        ("no request", lambda d: d.pop("request"), "/settings/definition/request"),
        ("unknown member", lambda d: d["request"].update(uri="x"), "/settings/definition/request/uri"),
        ("placeholder in the host", lambda d: d["request"].update(url="https://{to}.example.com/"), None),
        ("unknown placeholder", lambda d: d["request"].update(url=f"{url}/{{secret}}"), None),
        ("not an object", lambda d: d.update(request="POST"), "/settings/definition/request"),
        ("unknown state", lambda d: d["report"]["states"].update(x={"state": "gone"}), None),
    ):
        with subtests.test(why=why):
            spoilt = copy.deepcopy(definition)
            spoil(spoilt)
            problem = check_problem(await connected.call("POST", "/providers", settings_with(spoilt)), 422)
            fields = [error["field"] for error in problem["errors"]]
            assert all(field.startswith("/settings/definition/") for field in fields), fields
            assert path is None or path in fields
            assert "canary" not in json.dumps(problem)
            assert dump() == before
    for text in ("{", "[]", "1", "not json"):
        check_problem(await connected.call("POST", "/providers", settings_with(text)), 422, "/settings/definition")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/sms",
        "https://127.0.0.1/sms",
        "https://localhost/sms",
        "https://10.0.0.1/sms",
        "https://169.254.169.254/metadata/identity/oauth2/token",
        "https://168.63.129.16/x",
        "https://vault.internal/sms",
        "https://user:word@api.example.com/sms",
    ],
)
async def test_it_is_no_way_in(start_gateway, definition, made, url):
    """Neither this machine nor a private network nor a metadata service can be named, nor anything but https."""
    gateway = await start_gateway(SMS_ALLOW_LOCAL_VENDORS="false")
    definition["request"]["url"] = url
    definition.pop("check", None)
    check_problem(
        await gateway.call("POST", "/providers", settings_with(definition)), 422, "/settings/definition/request/url"
    )


async def test_the_definition_can_be_changed(connected, made, definition):
    """A changed definition holds from the next message on; a wrong one leaves the old in force."""
    definition["limits"] = {**definition.get("limits", {}), "maxTextLength": 10}
    every = {"If-Match": "*"}
    path = f"/providers/{made.id}"
    body = {"settings": {"definition": definition}}
    assert (await connected.call("PATCH", path, body, headers=every)).status == 200
    send = {"from": made.sender, "to": PERSON, "text": "More than ten"}
    check_problem(await connected.call("POST", "/messages", send), 422, "/text")
    definition["request"]["url"] = "nowhere"
    check_problem(await connected.call("PATCH", path, body, headers=every), 422, "/settings/definition/request/url")
    await connected.send(made, PERSON, "Short")


async def test_it_delivers_replies_and_opts_out(connected):
    """Without a line of code for it: a text arrives, its report and a reply come back, and a STOP is kept."""
    made = await connected.make("custom")
    assert (await connected.delivered(made, KIT.person(123)))["vendorId"]
    for text in ("Hello", "STOP"):
        await connected.ask("POST", "/custom/inbound", {"from": KIT.person(124), "to": made.address, "text": text})
    await connected.sandbox.idle()
    assert {item["text"] for item in (await connected.call("GET", "/inbound")).body["items"]} == {"Hello", "STOP"}
    (stopped,) = await connected.send(made, KIT.person(124))
    assert (await connected.until(stopped))["reason"] == "opted_out"


@pytest.fixture
async def in_query(connected, request_raw):
    """Make a provider so that its reports have all in the query; give a function that posts to its address."""
    shape = {"id": "id", "message": "message", "status": "status", "states": {"delivered": {"state": "delivered"}}}
    made = await connected.make("custom")
    definition = (await connected.call("GET", f"/providers/{made.id}")).body["settings"]["definition"]
    definition["request"]["headers"] = {"X-Reference": "{messageId}"}
    definition["request"]["form"].pop("whendelivered")
    definition["report"] = {"format": "query", **shape}
    body = {"settings": {"definition": definition}}
    assert (await connected.call("PATCH", f"/providers/{made.id}", body, headers={"If-Match": "*"})).status == 200
    address = (await connected.call("GET", f"/providers/{made.id}/callbacks")).body
    proofs = {}
    if "callbackPassword" in made.settings:
        pair = f"{made.settings['callbackUser']}:{made.settings['callbackPassword']}".encode()
        proofs = {"Authorization": f"Basic {b64encode(pair).decode()}"}
    if "callbackSecret" in made.settings:
        proofs["X-Gateway-Secret"] = made.settings["callbackSecret"]

    async def post(query, *, kind="report", body=b"", method="POST", cut=0):
        route = address[kind].partition("/api")[2]
        route = route[: len(route) - cut] + (f"?{urlencode(query)}" if query else "")
        return await request_raw(method, route, body or None, headers=proofs, key=False)

    post.made = made
    return post


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_report_in_the_query_counts_by_either_method(connected, in_query, method):
    """A report without a body, all of it in the query, delivers its message whether it comes by GET or by POST."""
    (message,) = await connected.send(in_query.made, PERSON)
    sent = await connected.until(message, "sent")
    query = {"id": sent["vendorId"], "message": message, "status": "delivered"}

    assert (await in_query(query, method=method)).status == 200
    await connected.until(message, "delivered")


async def test_an_empty_callback_stays_refused(in_query, dump):
    """Without a body a POST needs a query, a definition whose values stand there, and the token as ever."""
    before = dump()
    query = {"id": "1", "message": "x", "status": "delivered"}

    assert "empty" in check_problem(await in_query({}), 400)["detail"]
    assert "empty" in check_problem(await in_query(query, kind="inbound"), 400)["detail"]
    check_problem(await in_query(query, cut=1), 403)
    assert dump() == before


@pytest.mark.parametrize("name", ["twilio", "linkmobility", "vibes", "infobip", "telesign"])
async def test_other_vendors_need_a_body_as_ever(connected, request_raw, name, monkeypatch):
    """A vendor that posts bodies gets no further with a query alone, even if it were authentic."""
    made = await connected.make(name)
    vendor = registered_vendors()[name]
    monkeypatch.setattr(type(vendor), "verify", lambda *_: None)
    route = (await connected.call("GET", f"/providers/{made.id}/callbacks")).body["report"].partition("/api")[2]

    problem = check_problem(await request_raw("POST", f"{route}?message=x&status=delivered", None, key=False), 400)

    assert "empty" in problem["detail"]
