"""Providers over HTTP: created as drafts, finished, changed, listed, deleted."""

from __future__ import annotations

import asyncio

import pytest

from functions.vendors.registry import vendors
from tests.triggers import store
from tests.triggers.problems import check_problem

TWILIO = {"accountSid": "AC" + "1" * 32, "authToken": "2" * 32}
ACS = {"connectionString": "endpoint=https://contoso.communication.azure.com/;accesskey=bm90LWEta2V5"}
MISSING_ETAG = '"0000000000000000"'


async def draft(gateway, settings=TWILIO, **more):
    """Create a draft and return the answer."""
    body = {"vendor": "twilio", "name": "Twilio EU", "settings": settings} | more
    answer = await gateway.call("POST", "/providers", body)
    assert answer.status == 201, answer.body
    return answer


async def add_sender(gateway, provider, kind="long_code", address="+14255550111", **more):
    """Add a sender."""
    return await gateway.call("POST", f"/providers/{provider}/senders", {"type": kind, "address": address} | more)


async def test_vendors_say_what_they_need(gateway):
    """The list of vendors holds each vendor's settings, secret ones marked, its sender types and its abilities."""
    items = (await gateway.call("GET", "/vendors")).body["items"]
    assert [item["name"] for item in items] == sorted(vendors())
    for item in items:
        description = vendors()[item["name"]].description
        assert {s["name"] for s in item["settings"] if s["secret"]} == {
            s.name for s in description.settings if s.secret
        }
        assert {rule["type"] for rule in item["senderTypes"]} == {rule.type.value for rule in description.senders}
        assert item["capabilities"]["maxTextLength"] == description.capabilities.max_text_length
        assert item["docs"].startswith("https://")
    (acs,) = [item for item in items if item["name"] == "acs"]
    assert "2028" in acs["notice"]
    assert acs["oneOf"] == ["connectionString", "endpoint"]


async def test_create_then_read(gateway, clock):
    """A new provider is a draft with an id, a location and an ETag, and reads back as it was created."""
    clock.freeze()
    more = {"description": " For orders ", "businessUnit": "retail"}
    created = await draft(gateway, **more)
    read = await gateway.call("GET", created.headers["Location"].removeprefix("/api"))
    assert read.body == created.body
    assert read.headers["ETag"] == created.headers["ETag"]
    identity = created.body.pop("id")
    assert created.headers["Location"] == f"/api/providers/{identity}"
    moment = clock().isoformat(timespec="milliseconds").replace("+00:00", "000Z")
    assert created.body == {
        "vendor": "twilio",
        "name": "Twilio EU",
        "description": "For orders",
        "businessUnit": "retail",
        "state": "draft",
        "settings": {"accountSid": TWILIO["accountSid"]},
        "secretsSet": ["authToken"],
        "senders": 0,
        "createdAt": moment,
        "updatedAt": moment,
        "notice": "",
    }


async def test_set_up_flow(gateway):
    """A draft is finished once nothing is missing; until then the refusal names all that is."""
    created = await draft(gateway, settings={})
    place = f"/providers/{created.body['id']}"
    problem = check_problem(
        await gateway.call("POST", f"{place}/finish"), 422, "/settings/accountSid", "/settings/authToken", "/senders"
    )
    assert "errors" in problem["detail"]
    check_problem(await gateway.call("POST", f"{place}/check"), 422, "/settings/accountSid", "/settings/authToken")
    answer = await gateway.call("PATCH", place, {"settings": TWILIO}, headers={"If-Match": created.headers["ETag"]})
    assert answer.body["state"] == "draft"
    check_problem(await gateway.call("POST", f"{place}/finish"), 422, "/senders")
    assert (await add_sender(gateway, created.body["id"])).status == 201
    finished = await gateway.call("POST", f"{place}/finish")
    assert (finished.status, finished.body["state"], finished.body["senders"]) == (200, "active", 1)
    again = await gateway.call("POST", f"{place}/finish")
    assert (again.status, again.body, again.headers["ETag"]) == (200, finished.body, finished.headers["ETag"])


async def test_one_of_two_settings(gateway):
    """Where a vendor needs one of several settings, finishing names them and takes either."""
    created = await draft(gateway, settings={}, vendor="acs")
    place = f"/providers/{created.body['id']}"
    await add_sender(gateway, created.body["id"], "toll_free", "+18885550111")
    problem = check_problem(await gateway.call("POST", f"{place}/finish"), 422, "/settings")
    assert "connectionString, endpoint" in problem["errors"][0]["detail"]
    endpoint = {"endpoint": "https://contoso.communication.azure.com"}
    await gateway.call("PATCH", place, {"settings": endpoint}, headers={"If-Match": "*"})
    finished = await gateway.call("POST", f"{place}/finish")
    assert (finished.status, finished.body["settings"], finished.body["secretsSet"]) == (200, endpoint, [])


async def test_finish_honours_if_match(gateway):
    """Finishing with the ETag of an older version is refused, with the present one it is done."""
    created = await draft(gateway)
    place = f"/providers/{created.body['id']}"
    await add_sender(gateway, created.body["id"])
    etag = created.headers["ETag"]
    changed = await gateway.call("PATCH", place, {"name": "Other"}, headers={"If-Match": etag})
    check_problem(await gateway.call("POST", f"{place}/finish", headers={"If-Match": etag}), 412)
    answer = await gateway.call("POST", f"{place}/finish", headers={"If-Match": changed.headers["ETag"]})
    assert answer.body["state"] == "active"


REFUSED = {
    "unknown vendor": ({"vendor": "pigeon"}, "/vendor"),
    "vendor in capitals": ({"vendor": "Twilio"}, "/vendor"),
    "no name": ({"name": "  "}, "/name"),
    "long name": ({"name": "x" * 101}, "/name"),
    "unknown setting": ({"settings": {"apiKey": "x"}}, "/settings/apiKey"),
    "setting of another vendor": ({"settings": {"connectionString": "x"}}, "/settings/connectionString"),
    "setting of the wrong form": ({"settings": {"accountSid": "AC1"}}, "/settings/accountSid"),
    "setting with more behind it": ({"settings": {"accountSid": TWILIO["accountSid"] + "\n1"}}, "/settings/accountSid"),
    "number for a setting": ({"settings": {"accountSid": 1}}, "/settings/accountSid"),
    "null for a setting": ({"settings": {"accountSid": None}}, "/settings/accountSid"),
    "http": ({"settings": {"baseUrl": "http://api.example.com"}}, "/settings/baseUrl"),
    "no address": ({"settings": {"baseUrl": "api"}}, "/settings/baseUrl"),
    "an object for a text": ({"settings": {"baseUrl": {"url": "https://api.example.com"}}}, "/settings/baseUrl"),
    "no host": ({"settings": {"baseUrl": "https:///x"}}, "/settings/baseUrl"),
    "no scheme": ({"settings": {"baseUrl": "//api.example.com"}}, "/settings/baseUrl"),
    "file": ({"settings": {"baseUrl": "file:///etc/passwd"}}, "/settings/baseUrl"),
    "password in the address": ({"settings": {"baseUrl": "https://a:b@api.example.com"}}, "/settings/baseUrl"),
    "two addresses": ({"settings": {"baseUrl": "https://a.example.com https://b.example.com"}}, "/settings/baseUrl"),
    "broken port": ({"settings": {"baseUrl": "https://a.example.com:x"}}, "/settings/baseUrl"),
    "broken brackets": ({"settings": {"baseUrl": "https://[::1"}}, "/settings/baseUrl"),
    "no connection string": (
        {"vendor": "acs", "settings": {"connectionString": "accesskey=bm90LWEta2V5"}},
        "/settings/connectionString",
    ),
    "key is no base64": (
        {"vendor": "acs", "settings": {"connectionString": "endpoint=https://a.example.com/;accesskey=%%"}},
        "/settings/connectionString",
    ),
    "both ways to sign in": (
        {"vendor": "acs", "settings": ACS | {"endpoint": "https://contoso.communication.azure.com"}},
        "/settings/endpoint",
    ),
    "secondary of another resource": (
        {
            "vendor": "acs",
            "settings": ACS
            | {"connectionStringSecondary": "endpoint=https://other.example.com/;accesskey=bm90LWEta2V5"},
        },
        "/settings/connectionStringSecondary",
    ),
}


async def test_what_cannot_be_created(gateway, dump, subtests):
    """A provider with a wrong vendor, name or setting is refused, pointing at it; no row and no secret is left."""
    before = dump()
    for why, (changed, field) in REFUSED.items():
        with subtests.test(why=why):
            body = {"vendor": "twilio", "name": "x", "settings": {}} | changed
            check_problem(await gateway.call("POST", "/providers", body), 422, field)
            assert dump() == before


async def test_all_wrong_settings_are_named(gateway):
    """Several wrong settings are named in one answer, so that nobody corrects them one by one."""
    settings = {"accountSid": "x", "authToken": "y", "baseUrl": "http://api.example.com", "nonsense": "z"}
    answer = await gateway.call("POST", "/providers", {"vendor": "twilio", "name": "x", "settings": settings})
    check_problem(answer, 422, *(f"/settings/{name}" for name in settings))


HERE = (
    "https://localhost",
    "https://LOCALHOST:8443",
    "https://localhost.",
    "https://sub.localhost",
    "https://127.0.0.1",
    "https://127.1.2.3",
    "https://[::1]",
    "https://[::ffff:127.0.0.1]",
    "https://0.0.0.0",
    "https://[::]",
    "https://2130706433",
    "https://0x7f.1",
    "https://127.1",
)
PRIVATE = (
    "https://10.0.0.1",
    "https://172.16.9.1",
    "https://192.168.1.1",
    "https://[fd00::1]",
)
NOBODYS = (
    "https://169.254.169.254",
    "https://100.64.0.1",
    "https://[fe80::1]",
    "https://168.63.129.16",
    "https://0.0.0.0",
)


async def test_addresses_of_the_own_network(start_gateway, dump, subtests):
    """Without leave for local vendors no address of this machine or its network is taken, nor anything but https."""
    gateway = await start_gateway(SMS_ALLOW_LOCAL_VENDORS="false")
    before = dump()
    for url in (*HERE, *PRIVATE, *NOBODYS, "http://127.0.0.1:8000", "http://api.twilio.com", "ftp://api.twilio.com"):
        with subtests.test(url=url):
            body = {"vendor": "twilio", "name": "x", "settings": {"baseUrl": url}}
            check_problem(await gateway.call("POST", "/providers", body), 422, "/settings/baseUrl")
            text = f"endpoint={url};accesskey=bm90LWEta2V5"
            body = {"vendor": "acs", "name": "x", "settings": {"connectionString": text}}
            problem = check_problem(await gateway.call("POST", "/providers", body), 422, "/settings/connectionString")
            assert "bm90" not in str(problem)
            assert dump() == before
    for url in ("https://api.twilio.com", "https://api.dublin.ie1.twilio.com", "https://1.1.1.1:8443"):
        with subtests.test(url=url):
            body = {"vendor": "twilio", "name": "x", "settings": {"baseUrl": url}}
            assert (await gateway.call("POST", "/providers", body)).status == 201


async def test_local_vendors_with_leave(gateway, subtests):
    """With leave for local vendors this machine and private networks may be named, over http too, and nothing else."""
    for url in (*PRIVATE, "http://127.0.0.1:8000", "http://localhost:8000", "https://[::1]", "http://10.0.0.1"):
        with subtests.test(url=url):
            assert (await draft(gateway, {"baseUrl": url})).status == 201
    for url in (*NOBODYS, "http://api.twilio.com"):
        with subtests.test(url=url):
            body = {"vendor": "twilio", "name": "x", "settings": {"baseUrl": url}}
            check_problem(await gateway.call("POST", "/providers", body), 422, "/settings/baseUrl")


async def test_change(gateway, clock):
    """A change touches what it names, gives a new ETag and moves the moment of the last change only."""
    created = await draft(gateway, description="Old", businessUnit="retail")
    place = f"/providers/{created.body['id']}"
    clock.advance(60)
    changed = await gateway.call("PATCH", place, {"name": "New"}, headers={"If-Match": created.headers["ETag"]})
    assert changed.status == 200
    assert changed.headers["ETag"] != created.headers["ETag"]
    assert changed.body["updatedAt"] > created.body["updatedAt"]
    same = {"name": "New", "updatedAt": changed.body["updatedAt"]}
    assert changed.body == created.body | same
    emptied = await gateway.call(
        "PATCH", place, {"description": "", "businessUnit": ""}, headers={"If-Match": changed.headers["ETag"]}
    )
    assert (emptied.body["description"], emptied.body["businessUnit"]) == ("", "")
    read = await gateway.call("GET", place)
    assert read.body == emptied.body


async def test_settings_are_changed_one_by_one(gateway, path):
    """A setting that a change does not name stays, null removes one, and the secret store holds what is left."""
    created = await draft(gateway)
    place, every = f"/providers/{created.body['id']}", {"If-Match": "*"}
    service = "MG" + "3" * 32
    changed = await gateway.call("PATCH", place, {"settings": {"messagingServiceSid": service}}, headers=every)
    assert changed.body["settings"] == {"accountSid": TWILIO["accountSid"], "messagingServiceSid": service}
    changed = await gateway.call("PATCH", place, {"settings": {"authTokenSecondary": "4" * 32}}, headers=every)
    assert changed.body["secretsSet"] == ["authToken", "authTokenSecondary"]
    body = {"settings": {"messagingServiceSid": None, "authTokenSecondary": None}}
    changed = await gateway.call("PATCH", place, body, headers=every)
    assert changed.body["settings"] == {"accountSid": TWILIO["accountSid"]}
    assert changed.body["secretsSet"] == ["authToken"]
    (secret,) = store.secrets(path).values()
    assert secret == '{"authToken":"' + TWILIO["authToken"] + '"}'


async def test_an_active_provider_stays_complete(gateway, dump):
    """What an active provider needs cannot be taken from it."""
    created = await draft(gateway)
    place = f"/providers/{created.body['id']}"
    await add_sender(gateway, created.body["id"])
    await gateway.call("POST", f"{place}/finish")
    before = dump()
    answer = await gateway.call("PATCH", place, {"settings": {"authToken": None}}, headers={"If-Match": "*"})
    check_problem(answer, 422, "/settings/authToken")
    assert dump() == before


async def test_versions(gateway, dump, subtests):
    """A change needs the version it was made for: 428 without one, 412 with an older one, and `*` for any."""
    created = await draft(gateway)
    sender = await add_sender(gateway, created.body["id"])
    place = f"/providers/{created.body['id']}"
    for where, body, first in (
        (f"{place}/senders/{sender.body['id']}", {"displayName": "B"}, sender.headers["ETag"]),
        (place, {"name": "B"}, created.headers["ETag"]),
    ):
        with subtests.test(where=where):
            before = dump()
            check_problem(await gateway.call("PATCH", where, body), 428, "If-Match")
            for stale in (MISSING_ETAG, "x", '""', f'{MISSING_ETAG}, "1"', first.strip('"')):
                check_problem(await gateway.call("PATCH", where, body, headers={"If-Match": stale}), 412)
            assert dump() == before
            second = await gateway.call("PATCH", where, body, headers={"If-Match": first})
            assert second.status == 200
            check_problem(await gateway.call("PATCH", where, body, headers={"If-Match": first}), 412)
            several = f"{MISSING_ETAG}, {second.headers['ETag']}"
            third = await gateway.call("PATCH", where, body, headers={"If-Match": several})
            assert third.status == 200
            assert (await gateway.call("PATCH", where, body, headers={"If-Match": "*"})).status == 200
            check_problem(await gateway.call("DELETE", where, headers={"If-Match": third.headers["ETag"]}), 412)
            latest = (await gateway.call("GET", where)).headers["ETag"]
            assert (await gateway.call("DELETE", where, headers={"If-Match": latest})).status == 204
            check_problem(await gateway.call("PATCH", where, body, headers={"If-Match": "*"}), 404)


async def test_two_changes_at_once(gateway, path):
    """Of several changes made at once for one version exactly one is done, and no secret of the others is left."""
    created = await draft(gateway)
    place = f"/providers/{created.body['id']}"
    answers = await asyncio.gather(
        *(
            gateway.call(
                "PATCH",
                place,
                {"name": f"n{n}", "settings": {"authToken": f"{n}" * 32}},
                headers={"If-Match": created.headers["ETag"]},
            )
            for n in range(8)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7
    (won,) = [n for n, answer in enumerate(answers) if answer.status == 200]
    assert (await gateway.call("GET", place)).body["name"] == f"n{won}"
    assert list(store.secrets(path).values()) == ['{"authToken":"' + f"{won}" * 32 + '"}']


async def test_states(ready, subtests):
    """A provider is disabled and enabled again by a change; a draft only by finishing it, and nothing is drafted."""
    place, every = f"/providers/{ready.twilio.id}", {"If-Match": "*"}
    for state in ("disabled", "disabled", "active"):
        with subtests.test(state=state):
            assert (await ready.call("PATCH", place, {"state": state}, headers=every)).body["state"] == state
    check_problem(await ready.call("PATCH", place, {"state": "draft"}, headers=every), 422, "/state")
    other = await ready.make("twilio", account="two", sender=("long_code", "+14255550112"), finish=False)
    for state in ("active", "disabled", "draft"):
        with subtests.test(draft=state):
            answer = await ready.call("PATCH", f"/providers/{other.id}", {"state": state}, headers=every)
            check_problem(answer, 422, "/state")


async def test_who_may_not_send(ready, dump, subtests):
    """No message is taken for a sender of a draft or a disabled provider, whether named by id or by address."""
    other = await ready.make("twilio", account="two", sender=("long_code", "+14255550112"), finish=False)
    await ready.call("PATCH", f"/providers/{ready.acs.id}", {"state": "disabled"}, headers={"If-Match": "*"})
    before = dump()
    for made, state in ((other, "draft"), (ready.acs, "disabled")):
        with subtests.test(state=state):
            body = {"to": "+14255550123", "text": "Hello"}
            answer = await ready.call("POST", "/messages", body | {"from": made.sender})
            assert state in check_problem(answer, 422, "/from")["detail"]
            check_problem(await ready.call("POST", "/messages", body | {"from": made.address}), 422, "/from")
    assert dump() == before
    assert not await ready.ledger("acs")


async def test_disabled_while_messages_wait(ready, clock):
    """A message that was taken before its provider was disabled is not sent, and says why."""
    await ready.ask("PUT", "/twilio/faults", {"throttle": 1})
    (identity,) = await ready.send(ready.twilio, "+14255550123")
    while not any(entry["what"] == "refused" for entry in (await ready.message(identity))["timeline"]):
        await asyncio.sleep(0.01)
    await ready.call("PATCH", f"/providers/{ready.twilio.id}", {"state": "disabled"}, headers={"If-Match": "*"})
    await ready.ask("DELETE", "/twilio/faults")
    clock.advance(5)
    message = await ready.until(identity)
    assert (message["status"], message["reason"]) == ("failed", "configuration")
    assert "disabled" in message["timeline"][-1]["detail"]
    assert await ready.ledger("twilio") == []


async def test_list_and_filters(gateway, subtests):
    """Providers are listed by name, and filtered by business unit, state and vendor, alone and together."""
    for name, vendor, unit in (
        ("delta", "acs", "retail"),
        ("Alpha", "twilio", "retail"),
        ("charlie", "twilio", "service"),
        ("Bravo", "twilio", ""),
    ):
        created = await draft(gateway, ACS if vendor == "acs" else TWILIO, name=name, vendor=vendor, businessUnit=unit)
        if name in {"delta", "charlie"}:
            kind, address = ("toll_free", "+18885550111") if vendor == "acs" else ("long_code", "+14255550111")
            await add_sender(gateway, created.body["id"], kind, address)
            await gateway.call("POST", f"/providers/{created.body['id']}/finish")
    for query, expected in {
        "": ["Alpha", "Bravo", "charlie", "delta"],
        "?businessUnit=retail": ["Alpha", "delta"],
        "?state=active": ["charlie", "delta"],
        "?state=draft": ["Alpha", "Bravo"],
        "?state=disabled": [],
        "?vendor=twilio": ["Alpha", "Bravo", "charlie"],
        "?vendor=twilio&businessUnit=service&state=active": ["charlie"],
        "?vendor=acs&businessUnit=service": [],
        "?vendor=pigeon": [],
    }.items():
        with subtests.test(query=query):
            items = (await gateway.call("GET", f"/providers{query}")).body["items"]
            assert [item["name"] for item in items] == expected
            for item in items:
                assert (await gateway.call("GET", f"/providers/{item['id']}")).body == item


async def test_delete(ready, path):
    """Deleting a provider takes its senders and its secrets with it, and its messages can still be read."""
    message = await ready.delivered(ready.twilio, "+14255550123")
    assert len(store.secrets(path)) == len(ready.made)
    assert (await ready.call("DELETE", f"/providers/{ready.twilio.id}")).status == 204
    check_problem(await ready.call("GET", f"/providers/{ready.twilio.id}"), 404)
    check_problem(await ready.call("GET", f"/providers/{ready.twilio.id}/senders"), 404)
    check_problem(await ready.call("DELETE", f"/providers/{ready.twilio.id}"), 404)
    assert len(store.secrets(path)) == len(ready.made) - 1
    assert not [row for row in store.rows(path) if row[0] == "providers" and ready.twilio.id in row[2]]
    assert await ready.message(message["id"]) == message
    body = {"from": ready.twilio.sender, "to": "+14255550123", "text": "Hello"}
    check_problem(await ready.call("POST", "/messages", body), 422, "/from")


async def test_delete_with_messages_in_flight(ready, dump):
    """While reports are still to come a provider is deleted only by force; the refusal says how many there are."""
    sent = await ready.send(ready.twilio, ["+14255550180", "+12065550180"])
    for identity in sent:
        await ready.until(identity, "sent")
    await ready.idle()
    place, before = f"/providers/{ready.twilio.id}", dump()
    for query in ("", "?force=false"):
        problem = check_problem(await ready.call("DELETE", place + query), 409, "force")
        assert problem["inFlight"] == 2
    assert dump() == before
    assert (await ready.call("DELETE", f"{place}?force=true")).status == 204
    assert (await ready.message(sent[0]))["status"] == "sent"
    # Another provider's messages in flight are no reason to keep this one.
    (identity,) = await ready.send(ready.acs, "+14255550180")
    await ready.until(identity, "sent")
    other = await ready.make("twilio", account="two", sender=("long_code", "+14255550112"))
    assert (await ready.call("DELETE", f"/providers/{other.id}")).status == 204


async def test_deleted_before_it_is_sent(ready, clock):
    """A message whose provider was deleted by force before the send fails and says why; nothing is sent."""
    await ready.ask("PUT", "/twilio/faults", {"throttle": 1})
    (identity,) = await ready.send(ready.twilio, "+14255550123")
    while not any(entry["what"] == "refused" for entry in (await ready.message(identity))["timeline"]):
        await asyncio.sleep(0.01)
    assert (await ready.call("DELETE", f"/providers/{ready.twilio.id}?force=true")).status == 204
    await ready.ask("DELETE", "/twilio/faults")
    clock.advance(5)
    message = await ready.until(identity)
    assert (message["status"], message["reason"]) == ("failed", "configuration")
    assert await ready.ledger("twilio") == []


async def test_live_check(ready, subtests):
    """A check tells good credentials from bad ones at the vendor, each set on its own, and sends nothing."""
    for made in ready.made.values():
        with subtests.test(vendor=made.vendor):
            answer = await ready.call("POST", f"/providers/{made.id}/check")
            assert (answer.status, answer.body["ok"]) == (200, True)
            assert [one["credentials"] for one in answer.body["checked"]] == ["primary"]
    bad = {
        "acs": {"connectionString": ready.acs.settings["connectionString"][:-8] + "bm90LWE="},
        "twilio": {"authToken": "f" * 32},
    }
    for vendor, settings in bad.items():
        with subtests.test(vendor=vendor, credentials="bad"):
            made = ready.made[vendor]
            await ready.call("PATCH", f"/providers/{made.id}", {"settings": settings}, headers={"If-Match": "*"})
            answer = await ready.call("POST", f"/providers/{made.id}/check")
            assert (answer.status, answer.body["ok"]) == (200, False)
            assert "401" in answer.body["detail"]
            assert await ready.ledger(vendor) == []


async def test_callback_addresses(ready):
    """For every provider the exact addresses and the steps at its vendor are printed, under the public address."""
    base = f"{ready.gateway.url}/api/callbacks/twilio/{ready.twilio.id}"
    twilio = (await ready.call("GET", f"/providers/{ready.twilio.id}/callbacks")).body
    assert (twilio["report"], twilio["inbound"]) == (f"{base}/report", f"{base}/inbound")
    assert [step["value"] for step in twilio["steps"]] == [f"{base}/inbound", f"{base}/report"]
    assert "A message comes in" in twilio["steps"][0]["detail"]
    acs = (await ready.call("GET", f"/providers/{ready.acs.id}/callbacks")).body
    names = {function.name for function in ready.gateway.host.functions if function.kind == "eventGridTrigger"}
    assert {acs["report"], acs["inbound"]} == names
    told = " ".join(step["detail"] for step in acs["steps"])
    assert "SMS Delivery Report Received" in told
    assert "SMS Received" in told


async def test_public_address_of_the_settings(start_gateway):
    """The addresses follow SMS_PUBLIC_URL, not the request: the host may be known by another name inside."""
    gateway = await start_gateway(SMS_PUBLIC_URL="https://sms.example.com/")
    created = await draft(gateway)
    answer = await gateway.call("GET", f"/providers/{created.body['id']}/callbacks", headers={"Host": "evil.example"})
    assert answer.body["report"].startswith("https://sms.example.com/api/callbacks/twilio/")


@pytest.mark.parametrize(
    "text", ["Ünïcødé \N{PARTY POPPER}", "<script>alert(1)</script>", "a\u2028b\tc", '"', "\\", "'; --"]
)
async def test_words_come_back_as_they_went(gateway, text):
    """Names and descriptions hold any text, and nothing is added or taken away."""
    created = await draft(gateway, name=text, description=text, businessUnit=text)
    read = (await gateway.call("GET", f"/providers/{created.body['id']}")).body
    assert (read["name"], read["description"], read["businessUnit"]) == (text, text, text)
