"""A described API behind the gateway: saved, tried dry, sent through, reported by the vendor's own ids or by GET."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from tests.vendors.custom.samples import APIS, SEVEN_ANSWER, SEVEN_RECEIPT, definition, moved
from tests.vendors.kit import Reply
from tests.vendors.servers import recorder

CANARIES = ("anaryApiKey", "anarySigningKey", "anary&Password", "anaryUser")


async def made(gateway, described, credentials, sender=("long_code", "+14255550100")):
    """Make a provider with a sender, finish it, and return its id and the sender's."""
    body = {"vendor": "custom", "name": "Mine", "settings": {"definition": described, "credentials": credentials}}
    created = await gateway.call("POST", "/providers", body)
    assert created.status == 201, created.body
    path = f"/providers/{created.body['id']}"
    added = await gateway.call("POST", f"{path}/senders", dict(zip(("type", "address"), sender, strict=True)))
    assert added.status == 201, added.body
    finished = await gateway.call("POST", f"{path}/finish")
    assert finished.status == 200, finished.body
    return path, added.body["id"]


async def state_of(gateway, message, wanted):
    """Wait until a message is in a state, and return it."""
    async with asyncio.timeout(5):
        while (found := (await gateway.call("GET", f"/messages/{message}")).body)["status"] != wanted:
            await asyncio.sleep(0.02)
    return found


async def sent_to(gateway, sender, text="Hello"):
    """Send one message and return its id, once the vendor has it."""
    answer = await gateway.call("POST", "/messages", {"from": sender, "to": "+14255550123", "text": text})
    assert answer.status == 202, answer.body
    message = answer.body["messages"][0]["id"]
    await state_of(gateway, message, "sent")
    return message


@pytest.mark.parametrize(
    ("url", "local", "status"),
    [
        ("https://api.example.com/sms", "false", 201),
        ("http://api.example.com/sms", "false", 422),
        ("https://127.0.0.1/sms", "false", 422),
        ("https://10.0.0.8:8443/sms", "false", 422),
        ("https://[::1]/sms", "false", 422),
        ("https://169.254.169.254/metadata", "true", 422),
        ("https://localhost/sms", "false", 422),
        ("https://2130706433/sms", "false", 422),
        ("https://printer.internal/{to}", "false", 422),
        ("https://api.example.com:99999/sms", "false", 422),
        ("http://127.0.0.1:8080/sms", "true", 201),
    ],
)
@pytest.mark.parametrize("call", ["request", "check"])
async def test_only_public_addresses_can_be_saved(start_gateway, call, url, local, status):
    """A definition whose request or check goes anywhere but to a public host over https is refused by its path."""
    gateway = await start_gateway(SMS_ALLOW_LOCAL_VENDORS=local)
    described = definition("gatewayapi")
    described[call]["url"] = url if call == "request" else url.replace("{to}", "x")
    body = {"vendor": "custom", "name": "Mine", "settings": {"definition": described, "credentials": {"token": "x"}}}

    answer = await gateway.call("POST", "/providers", body)

    assert answer.status == status, answer.body
    if status != 201:
        assert [error["field"] for error in answer.body["errors"]] == [f"/settings/definition/{call}/url"]


async def test_faults_are_told_with_their_paths(gateway):
    """Saving a definition with faults is refused with all of them as JSON pointers, and nothing is made."""
    described = definition("seven")
    described["request"]["form"]["text"] = "{body}"
    described["report"]["states"]["DELIVERED"]["state"] = "arrived"
    body = {"vendor": "custom", "name": "Mine", "settings": {"definition": described, "credentials": {"apiKey": "x"}}}

    answer = await gateway.call("POST", "/providers", body)

    assert answer.status == 422
    assert [error["field"] for error in answer.body["errors"]] == [
        "/settings/definition/request/form/text",
        "/settings/definition/report/states/DELIVERED/state",
    ]
    assert (await gateway.call("GET", "/providers")).body == {"items": []}


async def test_a_dry_run_and_a_provider_show_no_secret(gateway):
    """What the API shows of a provider and of its request holds neither a credential nor the callback token."""
    api = APIS["clickatell"]
    path, _ = await made(gateway, definition("clickatell"), api.credentials)
    token = (await gateway.call("GET", f"{path}/callbacks")).body["report"].rpartition("/")[2]

    shown = await gateway.call("POST", f"{path}/dry-run", {"to": "+14255550123", "text": "Grüße & 1"})
    provider = await gateway.call("GET", path)

    assert shown.status == 200, shown.body
    assert shown.body["method"] == "GET"
    assert shown.body["url"].startswith("https://api.clickatell.com/http/sendmsg?user={credentials.user}&password=")
    assert "&to=14255550123&text=Gr%C3%BC%C3%9Fe+%26+1&" in shown.body["url"]
    assert provider.body["settings"] == {"definition": definition("clickatell")}
    assert provider.body["secretsSet"] == ["callbackToken", "credentials"]
    for answer in (shown, provider):
        written = orjson.dumps(answer.body).decode()
        assert not any(canary in written for canary in CANARIES)
        assert token not in written


async def test_reports_are_found_by_the_vendors_own_ids(gateway):
    """A vendor that echoes no id of ours delivers all the same: its ids are kept from the answers."""
    async with recorder(Reply(200, orjson.dumps(SEVEN_ANSWER))) as server:
        described = moved(definition("seven"), server.url)
        del described["callbacks"]["signature"]
        path, sender = await made(gateway, described, APIS["seven"].credentials)
        message = await sent_to(gateway, sender)
        urls = (await gateway.call("GET", f"{path}/callbacks")).body
        receipt = SEVEN_RECEIPT | {"data": {"msg_id": "77229135982", "status": "DELIVERED"}}

        async with gateway.session.post(urls["report"], json=receipt) as answer:
            assert (answer.status, await answer.text()) == (200, "")
        async with gateway.session.post(urls["report"][:-1] + "x", json=receipt) as answer:
            assert answer.status == 403

    assert (await state_of(gateway, message, "delivered"))["vendorId"] == "77229135982"


async def test_reports_may_come_by_get(gateway):
    """A vendor that calls back by GET, with everything in the query, delivers; its text answer names the message."""
    async with recorder(Reply(200, b"ID: 205e85d0578314037a96175249fc6a2b")) as server:
        described = moved(definition("clickatell"), server.url)
        path, sender = await made(gateway, described, APIS["clickatell"].credentials)
        message = await sent_to(gateway, sender)
        urls = (await gateway.call("GET", f"{path}/callbacks")).body
        query = {"apiMsgId": "205e85d0578314037a96175249fc6a2b", "cliMsgId": message, "status": "004"}

        async with gateway.session.get(urls["report"], params=query) as answer:
            assert answer.status == 200

    found = await state_of(gateway, message, "delivered")
    assert found["vendorId"] == "205e85d0578314037a96175249fc6a2b"


async def test_what_the_definition_limits_is_refused_at_once(gateway):
    """A text that is longer than the definition allows is refused when it is handed over, in the vendor's name."""
    _, sender = await made(gateway, definition("clickatell"), APIS["clickatell"].credentials)

    answer = await gateway.call("POST", "/messages", {"from": sender, "to": "+14255550123", "text": "x" * 460})

    assert answer.status == 422
    assert "Clickatell HTTP takes at most 459 characters; this text has 460." in orjson.dumps(answer.body).decode()
