"""The opt-out list over HTTP: what an operator puts on it holds at the next send."""

from __future__ import annotations

import pytest

from tests.triggers.problems import check_problem

ANN, BOB = "+14255550123", "+12065550124"


async def test_put_on_and_taken_off(ready, clock):
    """A number is put on the list for all senders, told to be there when put on again, and taken off once."""
    clock.freeze()
    added = await ready.call("POST", "/opt-outs", {"number": ANN, "note": "by phone"})
    moment = clock().isoformat(timespec="milliseconds").replace("+00:00", "000Z")
    assert added.status == 201
    assert added.body["since"][:23] == moment[:23]
    assert {name: added.body[name] for name in added.body if name != "since"} == {
        "number": ANN,
        "source": "operator",
        "note": "by phone",
    }
    clock.advance(1)
    assert (await ready.call("POST", "/opt-outs", {"number": ANN})).status == 200
    assert len((await ready.call("GET", "/opt-outs")).body["items"]) == 1
    clock.advance(1)
    where = "/opt-outs?number=%2B14255550123"
    assert (await ready.call("DELETE", where)).status == 204
    assert (await ready.call("GET", "/opt-outs")).body == {"items": []}
    clock.advance(1)
    check_problem(await ready.call("DELETE", where), 404)
    assert (await ready.call("POST", "/opt-outs", {"number": ANN})).status == 201


@pytest.mark.parametrize("by", ["address", "sender"])
async def test_for_one_sender(ready, by):
    """An opt-out from one sender, named by id or address, stops that sender alone; one from all stops every sender."""
    name = getattr(ready.twilio, by)
    added = await ready.call("POST", "/opt-outs", {"number": ANN, "sender": name})
    assert added.body["sender"] == ready.twilio.address
    (blocked,) = await ready.send(ready.twilio, ANN)
    message = await ready.until(blocked)
    assert (message["status"], message["reason"]) == ("rejected", "opted_out")
    assert "opt-out list" in message["timeline"][-1]["detail"]
    assert await ready.ledger("twilio") == []
    await ready.delivered(ready.acs, ANN)
    await ready.delivered(ready.twilio, BOB)
    await ready.call("POST", "/opt-outs", {"number": ANN})
    (blocked,) = await ready.send(ready.acs, ANN)
    assert (await ready.until(blocked))["reason"] == "opted_out"
    assert len(await ready.ledger("acs")) == 1


async def test_taken_off_it_is_sent_again(ready, clock):
    """Once a number is off the list it is sent to again; an opt-out from one sender is lifted for that one."""
    await ready.call("POST", "/opt-outs", {"number": ANN, "sender": ready.twilio.sender})
    clock.advance(1)
    check_problem(await ready.call("DELETE", "/opt-outs?number=%2B14255550123"), 404)
    where = f"/opt-outs?number=%2B14255550123&sender={ready.twilio.sender}"
    assert (await ready.call("DELETE", where)).status == 204
    await ready.delivered(ready.twilio, ANN)


async def test_keywords(ready, clock):
    """STOP puts a person on the list for the sender that was written to, START takes the person off again."""
    body = {"from": ANN, "to": ready.twilio.address, "text": "STOP"}
    await ready.ask("POST", "/twilio/inbound", body)
    await ready.sandbox.idle()
    (entry,) = (await ready.call("GET", "/opt-outs")).body["items"]
    assert (entry["number"], entry["sender"], entry["source"]) == (ANN, ready.twilio.address, "keyword")
    (blocked,) = await ready.send(ready.twilio, ANN)
    assert (await ready.until(blocked))["reason"] == "opted_out"
    clock.advance(2)
    await ready.ask("POST", "/twilio/inbound", body | {"text": "START"})
    await ready.sandbox.idle()
    assert (await ready.call("GET", "/opt-outs")).body["items"] == []
    await ready.delivered(ready.twilio, ANN)


async def test_what_the_vendor_says(ready):
    """A send that the vendor refuses because the person opted out puts the person on the list."""
    await ready.ask("POST", "/twilio/opt-outs", {"sender": ready.twilio.address, "recipient": ANN})
    (blocked,) = await ready.send(ready.twilio, ANN)
    assert (await ready.until(blocked))["reason"] == "opted_out"
    (entry,) = (await ready.call("GET", "/opt-outs")).body["items"]
    assert (entry["number"], entry["sender"], entry["source"]) == (ANN, ready.twilio.address, "vendor")


async def test_filters_and_pages(gateway, subtests):
    """The list is sorted by number, filtered by number and sender, and comes page by page, none twice, none missing."""
    people = [f"+1425{2000000 + n}" for n in range(7)]
    for person in reversed(people):
        await gateway.call("POST", "/opt-outs", {"number": person})
    for sender in ("Contoso", "+18885550111"):
        await gateway.call("POST", "/opt-outs", {"number": people[3], "sender": sender})
    for limit in (1, 2, 4, 50):
        with subtests.test(limit=limit):
            found, cursor = [], ""
            while True:
                page = (await gateway.call("GET", f"/opt-outs?limit={limit}{cursor}")).body
                assert len(found) < 100, "the pages do not end"
                found += [(item["number"], item.get("sender")) for item in page["items"]]
                if "next" not in page:
                    break
                assert len(page["items"]) == limit
                cursor = f"&cursor={page['next']}"
            assert [number for number, _ in found] == sorted([*people, people[3], people[3]])
            assert len(set(found)) == len(found) == 9
    number = people[3].replace("+", "%2B")
    for query, count in {
        f"number={number}": 3,
        f"number={people[3][1:]}": 3,
        f"number={number}&sender=Contoso": 1,
        "sender=%2B18885550111": 1,
        "number=%2B14255550199": 0,
        "sender=nobody": 0,
    }.items():
        with subtests.test(query=query):
            assert len((await gateway.call("GET", f"/opt-outs?{query}")).body["items"]) == count


async def test_numbers_that_are_none(gateway, dump, subtests):
    """Only a whole number in E.164 goes on the list, so that it can be met again; anything else is refused."""
    before = dump()
    for number in ("", "4255550123", "+1", "nobody", "+1 425 555 0123", "12345", "+999123456789"):
        with subtests.test(number=number):
            check_problem(await gateway.call("POST", "/opt-outs", {"number": number}), 422, "/number")
    for number in ("%2B1", "nobody", "12345"):
        with subtests.test(number=number, delete=True):
            check_problem(await gateway.call("DELETE", f"/opt-outs?number={number}"), 422, "number")
    check_problem(await gateway.call("DELETE", "/opt-outs"), 422, "number")
    check_problem(await gateway.call("POST", "/opt-outs", {"number": ANN, "note": "x" * 201}), 422, "/note")
    assert dump() == before
