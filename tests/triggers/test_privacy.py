"""Forgetting a person over HTTP, from the request to the record of it."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from functions.gateway.packing import unpack
from tests.conftest import KITS
from tests.triggers import store
from tests.triggers.problems import check_problem

ANN, BOB = "+14255550123", "+14255550124"
SECRET = "the parcel is under the third stone"


async def run(ready, function: str) -> None:
    """Let the host start a function of the clock's by hand; it runs by itself from then on."""
    headers = {"x-functions-key": ready.gateway.keys.master}
    url = f"{ready.gateway.url}/admin/functions/{function}"
    async with ready.gateway.session.post(url, json={"input": ""}, headers=headers) as answer:
        assert answer.status == 202


async def until_in_state(ready, place: str, state: str) -> dict:
    """Let the erasing function run until the request is in a state."""
    for _ in range(40):
        await run(ready, "erase_people")
        for _ in range(5):
            await asyncio.sleep(0.02)
            view = (await ready.call("GET", place)).body
            if view["state"] == state:
                return view
    raise AssertionError(view)


async def sweep(ready, clock) -> None:
    """Close what is done."""
    await ready.sandbox.idle()
    clock.advance(61)
    await ready.gateway.application.sweeper.sweep()


def everything(path) -> str:
    """Return all that is stored, packed and queued, as one text."""
    texts = [str(store.queued(path))]
    for table, partition, key, _, packed in store.rows(path):
        values = {
            name: base64.b64decode(value["base64"]) if isinstance(value, dict) else value
            for name, value in json.loads(packed).items()
        }
        texts.append(f"{table} {partition} {key} {values} {unpack(values) if 'p0' in values else ''}")
    return "\n".join(texts)


@pytest.mark.parametrize("vendor", KITS)
async def test_a_person_is_forgotten(connected, sandbox, clock, path, vendor) -> None:
    """Sent to, answered, failed and set aside at a vendor: afterwards number and texts are nowhere in the store."""
    ready, kit = connected, KITS[vendor]
    made = await ready.make(vendor)
    ann, bob = kit.person(123), kit.person(124)
    for key, to in enumerate((ann, [ann, bob], bob)):
        more = {"reference": f"for {ann}", "metadata": {"name": ann}, "headers": {"Idempotency-Key": f"key-{key}"}}
        ids = await ready.send(made, to, SECRET, **more)
        for identity in ids:
            await ready.until(identity)
    await ready.ask("POST", f"/{vendor}/inbound", {"from": ann, "to": made.address, "text": f"Hello from {ann}"})
    await sweep(ready, clock)
    counted = [(item["id"], item["status"], item["segments"]) for item in await listed(ready)]
    assert ann[1:] in everything(path)

    asked = await ready.call("POST", "/privacy/erasures", {"number": ann})
    assert (asked.status, asked.body["state"]) == (202, "running")
    assert ann[1:] not in json.dumps(asked.body)
    clock.advance(121)
    done = await until_in_state(ready, asked.headers["Location"].removeprefix("/api"), "done")

    assert (done["messages"], done["inFlight"], done["replies"]) == (2, 0, 1)
    found = everything(path)
    assert ann[1:] not in found.replace(f"for {ann}", "").replace(f"'name': '{ann}'", "")
    assert bob[1:] in found
    assert found.count(SECRET) == 2, "the two texts to somebody else"
    assert [(item["id"], item["status"], item["segments"]) for item in await listed(ready)] == counted
    assert (await ready.call("GET", f"/messages?recipient=%2B{ann[1:]}")).body["items"] == []
    (reply,) = (await ready.call("GET", "/inbound")).body["items"]
    assert (reply["from"], reply["text"], reply["to"]) == ("erased", "erased", made.address)


async def listed(ready) -> list[dict]:
    """Return all messages as a list shows them."""
    return (await ready.call("GET", "/messages?limit=500")).body["items"]


async def test_messages_on_their_way_are_named(ready, clock) -> None:
    """While a message is in flight the answer says so; the erasure is done when the message is."""
    await ready.ask("PUT", "/twilio/faults", {"callback_drop": 1})
    (identity,) = await ready.send(ready.twilio, ANN, SECRET)
    await ready.until(identity, "sent")
    place = (await ready.call("POST", "/privacy/erasures", {"number": ANN})).headers["Location"].removeprefix("/api")
    clock.advance(121)

    waiting = await until_in_state(ready, place, "waiting")
    assert waiting["inFlight"] == 1
    assert (await ready.message(identity))["to"] == ANN

    clock.advance(73 * 3600)
    await ready.gateway.application.sweeper.sweep()
    done = await until_in_state(ready, place, "done")
    assert (done["messages"], done["inFlight"]) == (1, 0)
    assert (await ready.message(identity))["text"] == "erased"


async def test_the_opt_out_stays_or_goes(ready, clock) -> None:
    """After an erasure the person still is not texted, unless the opt-out was to be erased too."""
    await ready.call("POST", "/opt-outs", {"number": ANN, "note": "Ann Example called"})
    for opt_outs, left in (("keep", 1), ("erase", 0)):
        asked = await ready.call("POST", "/privacy/erasures", {"number": ANN, "optOuts": opt_outs})
        clock.advance(121)
        done = await until_in_state(ready, asked.headers["Location"].removeprefix("/api"), "done")
        assert done["optOuts"] == opt_outs
        items = (await ready.call("GET", "/opt-outs")).body["items"]
        assert [item["number"] for item in items] == [ANN] * left
        assert "Example" not in json.dumps(items)
        (identity,) = await ready.send(ready.twilio, ANN)
        assert (await ready.until(identity))["status"] == ("rejected" if left else "delivered")
        await sweep(ready, clock)


async def test_numbers_that_are_none(gateway, dump) -> None:
    """Only a whole number in E.164 can be erased; anything else is refused and nothing kept of it."""
    before = dump()
    for number in ("", "4255550123", "nobody", "+1", "+1 425 555 0123"):
        check_problem(await gateway.call("POST", "/privacy/erasures", {"number": number}), 422, "/number")
    answer = await gateway.call("POST", "/privacy/erasures", {"number": ANN, "optOuts": "forget"})
    check_problem(answer, 422, "/optOuts")
    assert dump() == before


async def test_old_messages_are_deleted_by_the_clocks_function(ready, clock) -> None:
    """The function that the host starts deletes what is older than the settings let it be."""
    message = await ready.delivered(ready.twilio, ANN)
    await sweep(ready, clock)
    clock.advance(366 * 24 * 3600)

    await run(ready, "delete_by_age")

    async with asyncio.timeout(5):
        while (gone := await ready.call("GET", f"/messages/{message['id']}")).status == 200:
            await asyncio.sleep(0.02)
    check_problem(gone, 404)
    assert (await ready.call("GET", "/messages?since=2020-01-01T00:00:00Z")).body["items"] == []
