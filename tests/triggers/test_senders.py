"""Senders over HTTP: which types a vendor has, what an address looks like, who owns one."""

from __future__ import annotations

from dataclasses import replace

from functions.vendors.contract import SenderType
from functions.vendors.registry import vendors
from tests.triggers.problems import check_problem
from tests.triggers.test_providers import draft

ADDRESSES = {
    SenderType.TOLL_FREE: "+18885550111",
    SenderType.SHORT_CODE: "45678",
    SenderType.LONG_CODE: "+14255550111",
    SenderType.ALPHANUMERIC: "Contoso",
}


async def provider(gateway, vendor="twilio", **more):
    """Return the path of a new provider."""
    created = await draft(gateway, {}, vendor=vendor, **more)
    return f"/providers/{created.body['id']}"


async def test_types_of_each_vendor(gateway, monkeypatch, subtests):
    """Each vendor takes exactly the sender types of its description, and a refusal says which these are."""
    for vendor in vendors().values():
        own = vendor.description.senders
        for offered in (own, own[:1], own[1:]):
            monkeypatch.setattr(type(vendor), "description", replace(vendor.description, senders=offered))
            place = await provider(gateway, vendor.description.name)
            types = {rule.type: rule for rule in offered}
            for kind, address in ADDRESSES.items():
                with subtests.test(vendor=vendor.description.name, type=kind, offered=len(offered)):
                    answer = await gateway.call("POST", f"{place}/senders", {"type": kind.value, "address": address})
                    if kind in types:
                        assert answer.status == 201
                        assert answer.body["twoWay"] == types[kind].two_way
                        assert answer.body["note"] == types[kind].note
                    else:
                        problem = check_problem(answer, 422, "/type")
                        assert all(known.value in problem["detail"] for known in types)
            monkeypatch.undo()


async def test_addresses_of_each_type(gateway, dump, subtests):
    """An address must be spelled as its type wants it; a refusal says what would be right and stores nothing."""
    place = await provider(gateway)
    before = dump()
    wrong = {
        "toll_free": ("+14255550111", "8885550111", "+1 888 555 0111", "Contoso", "45678"),
        "long_code": (
            "+18885550111",
            "4255550111",
            "+1425555",
            "+1425555011122233",
            "tel:+14255550111",
            "+999123456789",
        ),
        "short_code": ("1", "123456789", "+45678", "4567a", "US45678"),
        "alphanumeric": ("12345", "ContosoStores", "Conto!", " ", "Contöso", "A_B"),
        "pigeon": ("+14255550111",),
        "LONG_CODE": ("+14255550111",),
    }
    for kind, addresses in wrong.items():
        for address in addresses:
            with subtests.test(type=kind, address=address):
                answer = await gateway.call("POST", f"{place}/senders", {"type": kind, "address": address})
                known = kind in set(SenderType)
                check_problem(answer, 422, "/address" if known else "/type")
    assert dump() == before


async def test_life_of_a_sender(gateway, clock):
    """A sender is added, read, listed, renamed and removed; its type and address stay for life."""
    clock.freeze()
    place = await provider(gateway, businessUnit="retail")
    body = {"type": "long_code", "address": " +14255550111 ", "displayName": "Orders"}
    added = await gateway.call("POST", f"{place}/senders", body)
    where = added.headers["Location"].removeprefix("/api")
    moment = clock().isoformat(timespec="milliseconds").replace("+00:00", "000Z")
    identity = added.body["id"]
    assert where == f"{place}/senders/{identity}"
    assert added.body == {
        "id": identity,
        "provider": place.rpartition("/")[2],
        "type": "long_code",
        "address": "+14255550111",
        "displayName": "Orders",
        "businessUnit": "retail",
        "twoWay": True,
        "createdAt": moment,
        "updatedAt": moment,
        "note": added.body["note"],
    }
    read = await gateway.call("GET", where)
    assert (read.body, read.headers["ETag"]) == (added.body, added.headers["ETag"])
    clock.advance(60)
    etag = {"If-Match": read.headers["ETag"]}
    renamed = await gateway.call("PATCH", where, {"displayName": "Returns", "businessUnit": "service"}, headers=etag)
    changed = {"displayName": "Returns", "businessUnit": "service", "updatedAt": renamed.body["updatedAt"]}
    assert renamed.body == added.body | changed
    assert renamed.body["updatedAt"] > added.body["updatedAt"]
    for fixed in ({"address": "+14255550112"}, {"type": "short_code"}):
        (name,) = fixed
        check_problem(await gateway.call("PATCH", where, fixed, headers={"If-Match": "*"}), 422, f"/{name}")
    assert (await gateway.call("GET", f"{place}/senders")).body == {"items": [renamed.body]}
    assert (await gateway.call("DELETE", where)).status == 204
    check_problem(await gateway.call("GET", where), 404)
    check_problem(await gateway.call("DELETE", where), 404)
    assert (await gateway.call("GET", f"{place}/senders")).body == {"items": []}


async def test_adding_the_same_again(gateway):
    """Adding an address that is there answers 200 with the sender as it is, so a repeat after a lost answer is safe."""
    place = await provider(gateway)
    body = {"type": "long_code", "address": "+14255550111", "displayName": "First"}
    first = await gateway.call("POST", f"{place}/senders", body)
    again = await gateway.call("POST", f"{place}/senders", body | {"displayName": "Second"})
    assert (first.status, again.status) == (201, 200)
    assert again.body == first.body
    assert again.headers["Location"] == first.headers["Location"]
    assert len((await gateway.call("GET", f"{place}/senders")).body["items"]) == 1


async def test_one_address_at_two_providers(ready):
    """Two providers may have one address; a message then needs the sender's id, and the refusal names both ids."""
    other = await ready.make("twilio", account="two", sender=("long_code", "+14255550112"))
    added = await ready.call(
        "POST", f"/providers/{other.id}/senders", {"type": "long_code", "address": ready.twilio.address}
    )
    body = {"from": ready.twilio.address, "to": "+14255550123", "text": "Hello"}
    problem = check_problem(await ready.call("POST", "/messages", body), 422, "/from")
    assert ready.twilio.sender in problem["detail"]
    assert added.body["id"] in problem["detail"]
    assert (await ready.delivered(ready.twilio, "+14255550123"))["provider"] == ready.twilio.id
    # A business unit that owns only one of them is enough to choose.
    await ready.call("PATCH", f"/providers/{ready.twilio.id}", {"businessUnit": "retail"}, headers={"If-Match": "*"})
    assert (await ready.call("POST", "/messages", body | {"businessUnit": "retail"})).status == 202


async def test_senders_are_listed_by_address(gateway):
    """A provider's senders are listed by address, those of others are not, and one of another provider is a 404."""
    place, other = await provider(gateway), await provider(gateway)
    for kind, address in reversed(ADDRESSES.items()):
        await gateway.call("POST", f"{place}/senders", {"type": kind.value, "address": address})
    foreign = await gateway.call("POST", f"{other}/senders", {"type": "long_code", "address": "+14255550122"})
    listed = [item["address"] for item in (await gateway.call("GET", f"{place}/senders")).body["items"]]
    assert listed == sorted(ADDRESSES.values())
    check_problem(await gateway.call("GET", f"{place}/senders/{foreign.body['id']}"), 404)
    check_problem(await gateway.call("DELETE", f"{place}/senders/{foreign.body['id']}"), 404)
    assert (await gateway.call("GET", place)).body["senders"] == len(ADDRESSES)


async def test_removed_while_messages_wait(ready, clock):
    """A message that was taken before its sender was removed is still sent; new ones are refused."""
    await ready.ask("PUT", "/twilio/faults", {"throttle": 1})
    (identity,) = await ready.send(ready.twilio, "+14255550123")
    await ready.until(identity, "queued")
    where = f"/providers/{ready.twilio.id}/senders/{ready.twilio.sender}"
    assert (await ready.call("DELETE", where)).status == 204
    body = {"from": ready.twilio.sender, "to": "+14255550123", "text": "Hello"}
    check_problem(await ready.call("POST", "/messages", body), 422, "/from")
    await ready.ask("DELETE", "/twilio/faults")
    clock.advance(5)
    assert (await ready.until(identity))["status"] == "delivered"


async def test_alphanumeric_is_one_way(ready, subtests):
    """An alphanumeric sender is told to be one-way, sends where carriers allow it, and is refused where they do not."""
    made = await ready.make("twilio", account="two", sender=("alphanumeric", "Contoso"))
    shown = (await ready.call("GET", f"/providers/{made.id}/senders/{made.sender}")).body
    assert (shown["twoWay"], shown["address"]) == (False, "Contoso")
    assert (await ready.delivered(made, "+447405550123"))["from"] == "Contoso"
    for recipient in ("+14255550123", "+16135550123"):
        with subtests.test(recipient=recipient):
            answer = await ready.call("POST", "/messages", {"from": "Contoso", "to": recipient, "text": "Hello"})
            problem = check_problem(answer, 422)
            assert problem["messages"][0]["refusal"]["code"] == "sender_not_allowed"


async def test_a_vendor_may_be_stricter_about_addresses(connected):
    """An alphanumeric id that others take and this vendor does not is refused with the vendor's own rule."""
    made = await connected.make("linkmobility")
    path = f"/providers/{made.id}/senders"
    for address, status in (("Contoso", 201), ("My Shop", 422), ("4Ever", 422), ("X", 422)):
        answer = await connected.call("POST", path, {"type": "alphanumeric", "address": address})
        assert answer.status == status, address
        if status == 422:
            check_problem(answer, 422, "/address")
