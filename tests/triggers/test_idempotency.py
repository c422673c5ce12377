"""The Idempotency-Key: however often a call is repeated, its messages are sent once."""

from __future__ import annotations

import asyncio

import pytest

from functions.storage.ports import StorageError
from tests.triggers.problems import check_problem

BODY = {"to": ["+14255550123", "+12065550124"], "text": "Hello"}


async def send(ready, key, **changed):
    """Send with a key."""
    body = {"from": ready.twilio.sender} | BODY | changed
    return await ready.call("POST", "/messages", body, headers={"Idempotency-Key": key})


async def test_a_repeat(ready):
    """The same key and body give the same answer, even after delivery, and nothing is sent twice."""
    first = await send(ready, "k1")
    assert first.status == 202
    assert (await send(ready, "k1")).body == first.body
    for item in first.body["messages"]:
        await ready.until(item["id"], "delivered")
    again = await send(ready, "k1")
    assert (again.status, again.body) == (202, first.body)
    other = await send(ready, "k2")
    assert {item["id"] for item in other.body["messages"]}.isdisjoint(item["id"] for item in first.body["messages"])
    for item in other.body["messages"]:
        await ready.until(item["id"], "delivered")
    assert len(await ready.ledger("twilio")) == 4


async def test_another_body(ready, dump):
    """The same key with another body is refused, whatever is different, and changes nothing."""
    await send(ready, "k1")
    await ready.sandbox.idle()
    for item in (await send(ready, "k1")).body["messages"]:
        await ready.until(item["id"], "delivered")
    before = dump()
    for changed in ({"text": "Other"}, {"to": "+14255550123"}, {"reference": "r"}, {"category": "marketing"}):
        problem = check_problem(await send(ready, "k1", **changed), 422, "Idempotency-Key")
        assert problem["type"] == "urn:sms-gateway:problem:idempotency-key-reused"
    assert dump() == before
    assert len(await ready.ledger("twilio")) == 2


async def test_repeats_at_once(ready):
    """Of many requests with one key made at the same time all get one answer, and its messages are sent once."""
    answers = await asyncio.gather(*(send(ready, "k1") for _ in range(20)))
    assert {answer.status for answer in answers} == {202}
    assert all(answer.body == answers[0].body for answer in answers)
    for item in answers[0].body["messages"]:
        await ready.until(item["id"], "delivered")
    assert len(await ready.ledger("twilio")) == 2


async def test_different_bodies_at_once(ready):
    """Of different requests with one key made at the same time exactly one is taken."""
    answers = await asyncio.gather(*(send(ready, "k1", text=f"Text {n}") for n in range(10)))
    assert sorted(answer.status for answer in answers) == [202] + [422] * 9
    (won,) = [n for n, answer in enumerate(answers) if answer.status == 202]
    for item in answers[won].body["messages"]:
        await ready.until(item["id"], "delivered")
    assert {entry["text"] for entry in await ready.ledger("twilio")} == {f"Text {won}"}


async def test_keys_belong_to_a_business_unit(ready):
    """Two business units may use the same key for different calls without meeting each other."""
    for made, unit in ((ready.twilio, "retail"), (ready.acs, "service")):
        await ready.call("PATCH", f"/providers/{made.id}", {"businessUnit": unit}, headers={"If-Match": "*"})
    retail = await send(ready, "k1", businessUnit="retail")
    changed = {"from": ready.acs.sender, "businessUnit": "service", "text": "Other"}
    service = await send(ready, "k1", **changed)
    assert (retail.status, service.status) == (202, 202)
    assert (await send(ready, "k1", businessUnit="retail")).body == retail.body
    assert (await send(ready, "k1", **changed)).body == service.body


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "\t"])
async def test_bad_keys(ready, dump, key):
    """A key that is empty, too long, or has blanks or other than printable ASCII is refused by the header's name."""
    before = dump()
    check_problem(await send(ready, key), 422, "Idempotency-Key")
    assert dump() == before


@pytest.mark.parametrize("key", ["x", "~" * 255, "a/b\\c#d?e%2F'\"", "../..", "0" * 36])
async def test_odd_keys(ready, key):
    """Any printable ASCII is a key, up to 255 characters."""
    first = await send(ready, key)
    assert first.status == 202
    assert (await send(ready, key)).body == first.body


async def test_keys_are_told_apart_exactly(ready):
    """Keys that differ in case or in one character are different keys."""
    answers = [await send(ready, key, text=f"Text {key}") for key in ("Key", "key", "key1")]
    assert [answer.status for answer in answers] == [202, 202, 202]


async def test_a_refused_call_uses_no_key(ready):
    """A call that was refused leaves its key free, so the corrected call may use it."""
    check_problem(await send(ready, "k1", to=["nobody"]), 422, "/to/0")
    place, every = f"/providers/{ready.twilio.id}", {"If-Match": "*"}
    await ready.call("PATCH", place, {"state": "disabled"}, headers=every)
    check_problem(await send(ready, "k1"), 422, "/from")
    await ready.call("PATCH", place, {"state": "active"}, headers=every)
    assert (await send(ready, "k1")).status == 202


async def test_a_mixed_call_repeats_its_refusals(ready):
    """The answer to a repeat holds the refusals of the first answer too."""
    first = await send(ready, "k1", to=["+14255550123", "nobody"])
    assert (first.status, first.body["refused"]) == (202, 1)
    assert (await send(ready, "k1", to=["+14255550123", "nobody"])).body == first.body


async def test_a_repeat_after_the_sender_is_gone(ready):
    """A repeat gets its answer even when the sender was removed meanwhile; what was promised stays promised."""
    first = await send(ready, "k1")
    for item in first.body["messages"]:
        await ready.until(item["id"], "delivered")
    await ready.call("DELETE", f"/providers/{ready.twilio.id}?force=true")
    again = await send(ready, "k1")
    assert (again.status, again.body) == (202, first.body)


async def test_keys_are_kept_for_48_hours(ready, clock):
    """For 48 hours a key stands for its call; after that it may stand for another."""
    first = await send(ready, "k1")
    clock.advance(48 * 3600 - 60)
    assert (await send(ready, "k1")).body == first.body
    clock.advance(120)
    later = await send(ready, "k1", text="Other")
    assert later.status == 202
    assert later.body != first.body
    assert (await send(ready, "k1", text="Other")).body == later.body


@pytest.mark.parametrize("failing", ["batchindex", "batches"])
async def test_a_repeat_finishes_what_broke_off(ready, monkeypatch, failing):
    """When the store fails half way the caller is told to repeat; the repeat sends every message exactly once."""
    tables = ready.gateway.application.storage.tables
    insert = type(tables).insert

    async def failing_insert(self, table, rows):
        if table == failing:
            raise StorageError("the store is away")
        return await insert(self, table, rows)

    monkeypatch.setattr(type(tables), "insert", failing_insert)
    first = await send(ready, "k1")
    problem = check_problem(first, 503)
    assert "Idempotency-Key" in problem["detail"]
    assert int(first.headers["Retry-After"]) > 0
    monkeypatch.undo()
    again = await send(ready, "k1")
    assert again.status == 202
    for item in again.body["messages"]:
        await ready.until(item["id"], "delivered")
    assert len(await ready.ledger("twilio")) == 2
