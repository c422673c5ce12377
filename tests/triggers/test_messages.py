"""Sending over HTTP: one, many or personalised; what is taken, what is refused and why."""

from __future__ import annotations

import json
import random

import pytest

from tests.triggers.problems import check_problem

PEOPLE = ["+14255550123", "+12065550124", "+447405550125", "+4915110000126"]


def strangers(count, start=0):
    """Return so many numbers of people who are all different."""
    return [f"+1425{2000000 + start + n}" for n in range(count)]


async def accepted(ready, body, **options):
    """Send and return the answer to a call that was taken."""
    answer = await ready.call("POST", "/messages", body, **options)
    assert answer.status == 202, answer.body
    return answer.body


async def test_one(ready):
    """One message gets an id at once, and is at the vendor exactly once with its text and recipient."""
    answer = await accepted(ready, {"from": ready.twilio.address, "to": PEOPLE[0], "text": "Hello"})
    (item,) = answer.pop("messages")
    assert answer == {"accepted": 1, "refused": 0}
    identity = item.pop("id")
    assert item == {
        "index": 0,
        "to": PEOPLE[0],
        "status": "queued",
        "segments": 1,
        "encoding": "GSM-7",
        "warnings": [],
    }
    await ready.until(identity, "delivered")
    (entry,) = await ready.ledger("twilio")
    assert (entry["from"], entry["to"], entry["text"]) == (ready.twilio.address, PEOPLE[0], "Hello")


async def test_many(ready):
    """One text to many: an id for each in the order of the request, one message at the vendor for each."""
    sent = await ready.send(ready.acs, PEOPLE[:2] + PEOPLE[:1], "Hello")
    assert len(set(sent)) == 3
    messages = [await ready.until(identity, "delivered") for identity in sent]
    assert [message["to"] for message in messages] == PEOPLE[:2] + PEOPLE[:1]
    assert sorted(entry["to"] for entry in await ready.ledger("acs")) == sorted(PEOPLE[:2] + PEOPLE[:1])


@pytest.mark.parametrize("vendor", ["acs", "twilio"])
async def test_personalised(ready, vendor):
    """Texts of their own, the call's for those without, and each message's reference and metadata are its own."""
    body = {
        "from": ready.made[vendor].sender,
        "text": "Hello all",
        "reference": "call-1",
        "metadata": {"journey": "welcome", "step": 3},
        "messages": [
            {
                "to": PEOPLE[0],
                "text": "Hello Ann",
                "reference": "order-17",
                "metadata": {"n": None, "deep": [{"é": 1.5}]},
            },
            {"to": PEOPLE[1]},
            {"to": "+12065550130", "metadata": {}},
        ],
    }
    answer = await accepted(ready, body)
    assert [item.get("reference") for item in answer["messages"]] == ["order-17", "call-1", "call-1"]
    messages = [await ready.until(item["id"], "delivered") for item in answer["messages"]]
    assert [message["text"] for message in messages] == ["Hello Ann", "Hello all", "Hello all"]
    assert [message["reference"] for message in messages] == ["order-17", "call-1", "call-1"]
    assert [message["metadata"] for message in messages] == [
        {"n": None, "deep": [{"é": 1.5}]},
        {"journey": "welcome", "step": 3},
        {},
    ]
    texts = {entry["to"]: entry["text"] for entry in await ready.ledger(vendor)}
    assert texts == {message["to"]: message["text"] for message in messages}


async def test_a_thousand(ready):
    """A call takes 1,000 messages; all of them are at the vendor once, and 1,001 are refused as a whole."""
    people = strangers(1000)
    sent = await ready.send(ready.acs, people)
    assert len(set(sent)) == 1000
    await ready.until(sent[-1], "delivered")
    await ready.until(sent[0], "delivered")
    assert sorted(entry["to"] for entry in await ready.ledger("acs")) == people
    body = {"from": ready.acs.sender, "text": "Hello"}
    problem = check_problem(await ready.call("POST", "/messages", body | {"to": strangers(1001)}), 422, "/to")
    assert "1000" in problem["detail"]
    assert "1001" in problem["detail"]
    many = [{"to": number} for number in strangers(1001)]
    check_problem(await ready.call("POST", "/messages", body | {"messages": many}), 422, "/messages")
    for empty in ({"to": []}, {"messages": []}):
        check_problem(await ready.call("POST", "/messages", body | empty), 422, f"/{next(iter(empty))}")
    assert len(await ready.ledger("acs")) == 1000


async def test_a_thousand_of_the_largest(ready, request_raw):
    """1,000 messages with all that one may carry, as large as a call may be, are taken with a key and read back."""
    draw = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    messages = [
        {
            "to": number,
            "text": "".join(draw.choices(letters, k=1000)),
            "reference": "".join(draw.choices(letters, k=200)),
            "metadata": {"blob": "".join(draw.choices(letters, k=2030))},
        }
        for number in strangers(1000)
    ]
    body = {"from": ready.acs.sender, "messages": messages}
    assert 3_000_000 < len(json.dumps(body)) < 4 * 1024 * 1024
    key = {"Idempotency-Key": "large", "Content-Type": "application/json"}
    answer = (await request_raw("POST", "/messages", json.dumps(body).encode(), headers=key)).body
    assert answer["accepted"] == 1000
    last = await ready.message(answer["messages"][-1]["id"])
    assert {name: last[name] for name in messages[-1]} == messages[-1]
    assert (await request_raw("POST", "/messages", json.dumps(body).encode(), headers=key)).body == answer


async def test_good_and_bad_together(ready):
    """Of a mixed call the good messages go on, and each bad one says what is wrong and where in the request."""
    messages = [
        {"to": PEOPLE[0], "text": "Good"},
        {"to": "4255550123", "text": "No plus"},
        {"to": PEOPLE[0], "text": "Unsendable \u0007"},
        {"to": "+1425555012", "text": "Too short"},
        {"to": PEOPLE[1], "metadata": {"blob": "x" * 2048}, "text": "Too much"},
        {"to": PEOPLE[1]},
        {"to": "", "text": "Nobody"},
        {"to": PEOPLE[1], "text": "Good too", "reference": "r"},
        {"to": "12345", "text": "Short code"},
        {"to": PEOPLE[1], "text": "x" * 2049},
    ]
    answer = await accepted(ready, {"from": ready.acs.sender, "messages": messages})
    assert (answer["accepted"], answer["refused"]) == (2, 8)
    assert [item["index"] for item in answer["messages"]] == list(range(10))
    assert [item["to"] for item in answer["messages"]] == [message["to"] for message in messages]
    refusals = {item["index"]: item["refusal"] for item in answer["messages"] if item["status"] == "refused"}
    assert {index: (one["code"], one["field"]) for index, one in refusals.items()} == {
        1: ("invalid_recipient", "/messages/1/to"),
        2: ("invalid_text", "/messages/2/text"),
        3: ("invalid_recipient", "/messages/3/to"),
        4: ("invalid_metadata", "/messages/4/metadata"),
        5: ("invalid_text", "/messages/5/text"),
        6: ("invalid_recipient", "/messages/6/to"),
        8: ("invalid_recipient", "/messages/8/to"),
        9: ("invalid_text", "/messages/9/text"),
    }
    assert all(len(one["detail"]) > 15 for one in refusals.values())
    assert not any("id" in answer["messages"][index] for index in refusals)
    for index in (0, 7):
        await ready.until(answer["messages"][index]["id"], "delivered")
    assert sorted(entry["text"] for entry in await ready.ledger("acs")) == ["Good", "Good too"]


async def test_fields_of_the_short_form(ready):
    """In a call of one text the refusals point at the recipient, the text or the metadata that the call gave."""
    body = {"from": ready.acs.sender, "text": "Hello"}
    answer = await accepted(ready, body | {"to": [PEOPLE[0], "+1", PEOPLE[1]]})
    assert [item.get("refusal", {}).get("field") for item in answer["messages"]] == [None, "/to/1", None]
    for changed, field in (
        ({"to": "x"}, "/to"),
        ({"to": PEOPLE[0], "text": "\u0000"}, "/text"),
        ({"to": [PEOPLE[0]], "text": "\u0000"}, "/text"),
        ({"to": PEOPLE[0], "metadata": {"blob": "x" * 2048}}, "/metadata"),
        ({"to": [PEOPLE[0]], "metadata": {"blob": "x" * 2048}}, "/metadata"),
    ):
        problem = check_problem(await ready.call("POST", "/messages", body | changed), 422, field)
        assert problem["messages"][0]["refusal"]["field"] == field


async def test_all_bad(ready, dump):
    """When nothing of a call can be sent it is refused as a whole, each message with its reason; nothing is stored."""
    before = dump()
    body = {"from": ready.acs.sender, "text": "Hello", "to": ["1", "+1425555", "nobody"]}
    for headers in ({}, {"Idempotency-Key": "k"}):
        problem = check_problem(
            await ready.call("POST", "/messages", body, headers=headers), 422, "/to/0", "/to/1", "/to/2"
        )
        assert [item["refusal"]["code"] for item in problem["messages"]] == ["invalid_recipient"] * 3
        assert dump() == before


REFUSED = {
    "neither to nor messages": ({"to": None}, "/to"),
    "both": ({"messages": [{"to": PEOPLE[0]}]}, "/to"),
    "unknown sender": ({"from": "+14255550000"}, "/from"),
    "unknown sender id": ({"from": "snd-00000000000000000000"}, "/from"),
    "another business unit": ({"businessUnit": "nobody"}, "/businessUnit"),
    "no validity": ({"validityPeriod": 0}, "/validityPeriod"),
    "endless validity": ({"validityPeriod": 259_201}, "/validityPeriod"),
    "validity in quotes": ({"validityPeriod": "60"}, "/validityPeriod"),
    "validity as a fraction": ({"validityPeriod": 60.5}, "/validityPeriod"),
    "unknown category": ({"category": "spam"}, "/category"),
    "empty reference": ({"reference": ""}, "/reference"),
    "long reference": ({"reference": "x" * 201}, "/reference"),
    "long text": ({"text": "x" * 4097}, "/text"),
    "empty text": ({"text": ""}, "/text"),
    "metadata is a list": ({"metadata": []}, "/metadata"),
    "number over 64 bits": ({"metadata": {"a": [2**63]}}, "/metadata"),
    "a number among recipients": ({"to": [PEOPLE[0], 5]}, "/to/1"),
    "a recipient is null": ({"to": [None]}, "/to/0"),
    "message without recipient": ({"to": None, "messages": [{"to": PEOPLE[0]}, {"text": "x"}]}, "/messages/1/to"),
    "unknown field of a message": (
        {"to": None, "messages": [{"to": PEOPLE[0], "from": "x"}]},
        "/messages/0/from",
    ),
}


async def test_what_cannot_be_sent(ready, dump, subtests):
    """A call with a wrong sender, unit, validity, category or shape is refused, pointing at it; nothing is stored."""
    before = dump()
    for why, (changed, field) in REFUSED.items():
        with subtests.test(why=why):
            body = {"from": ready.twilio.sender, "to": PEOPLE[0], "text": "Hello"} | changed
            answer = await ready.call("POST", "/messages", {k: v for k, v in body.items() if v is not None})
            problem = check_problem(answer, 422)
            assert {error["field"] for error in problem["errors"]} == {field}
            assert dump() == before


async def test_defaults_and_what_is_shown(ready, clock):
    """A message shows its category, validity, unit, vendor and encoding, and a time line from acceptance on."""
    await ready.call("PATCH", f"/providers/{ready.twilio.id}", {"businessUnit": "retail"}, headers={"If-Match": "*"})
    text = "Grüße \N{WAVING HAND SIGN}"
    more = {"category": "marketing", "validityPeriod": 600, "businessUnit": "retail", "reference": "r"}
    message = await ready.delivered(ready.twilio, PEOPLE[0], text, **more)
    timeline = message.pop("timeline")
    vendor_id = (await ready.ledger("twilio"))[0]["id"]
    created, expires = message.pop("createdAt"), message.pop("expiresAt")
    assert (_seconds(expires) - _seconds(created)) == pytest.approx(600, abs=0.01)
    assert message.pop("updatedAt") >= created
    assert message == {
        "id": message["id"],
        "to": PEOPLE[0],
        "from": ready.twilio.address,
        "provider": ready.twilio.id,
        "businessUnit": "retail",
        "status": "delivered",
        "category": "marketing",
        "segments": 1,
        "encoding": "UCS-2",
        "reference": "r",
        "text": text,
        "vendor": "twilio",
        "vendorId": vendor_id,
        "corrected": False,
    }
    what = [entry["what"] for entry in timeline]
    assert what[:2] == ["accepted", "sending"]
    assert {"sent", "report"} <= set(what)
    assert [entry["at"] for entry in timeline] == sorted(entry["at"] for entry in timeline)
    assert timeline[0]["at"] == created
    plain = await ready.delivered(ready.twilio, PEOPLE[0], "Hello")
    assert plain["category"] == "transactional"
    assert {"expiresAt", "reference", "metadata"} & set(plain) == set()


def _seconds(text):
    from datetime import datetime

    return datetime.fromisoformat(text).timestamp()


async def test_a_message_that_expires(ready, clock):
    """A message whose validity ends before it could be sent is not sent any more, and says so."""
    await ready.ask("PUT", "/twilio/faults", {"throttle": 1})
    (identity,) = await ready.send(ready.twilio, PEOPLE[0], validityPeriod=60)
    await ready.until(identity, "queued")
    await ready.ask("DELETE", "/twilio/faults")
    clock.advance(120)
    message = await ready.until(identity)
    assert (message["status"], message["reason"]) == ("expired", "expired")
    assert await ready.ledger("twilio") == []


async def test_business_units(ready, subtests):
    """A message belongs to its sender's unit, and is hidden from a caller who names another."""
    await ready.call("PATCH", f"/providers/{ready.twilio.id}", {"businessUnit": "retail"}, headers={"If-Match": "*"})
    where = f"/providers/{ready.acs.id}/senders/{ready.acs.sender}"
    await ready.call("PATCH", where, {"businessUnit": "service"}, headers={"If-Match": "*"})
    for made, unit, other in ((ready.twilio, "retail", "service"), (ready.acs, "service", "retail")):
        with subtests.test(unit=unit):
            message = await ready.delivered(made, PEOPLE[0])
            assert message["businessUnit"] == unit
            assert (await ready.call("GET", f"/messages/{message['id']}?businessUnit={unit}")).status == 200
            check_problem(await ready.call("GET", f"/messages/{message['id']}?businessUnit={other}"), 404)
            listed = (await ready.call("GET", f"/messages?businessUnit={unit}")).body["items"]
            assert [item["id"] for item in listed] == [message["id"]]
            body = {"from": made.sender, "to": PEOPLE[0], "text": "x", "businessUnit": other}
            check_problem(await ready.call("POST", "/messages", body), 422, "/businessUnit")


async def test_messages_that_are_not_there(ready):
    """A message id whose batch or place in it does not exist is a 404."""
    (identity,) = await ready.send(ready.twilio, PEOPLE[0])
    batch = identity[:-3]
    for wrong in (
        f"{batch}-01",
        f"{batch}-99",
        batch,
        f"{batch}-0",
        f"{batch}-000",
        identity.upper(),
        f"{batch}-\N{ARABIC-INDIC DIGIT ZERO}0",
    ):
        check_problem(await ready.call("GET", f"/messages/{wrong}"), 404)


PREVIEWS = {
    "Hello": ("GSM-7", 5, 1),
    "x" * 160: ("GSM-7", 160, 1),
    "x" * 161: ("GSM-7", 161, 2),
    "{€}": ("GSM-7", 6, 1),
    "Привет": ("UCS-2", 6, 1),
    "\N{PARTY POPPER}": ("UCS-2", 2, 1),
    "я" * 71: ("UCS-2", 71, 2),
}


async def test_preview(ready, dump, subtests):
    """A preview tells encoding, units and segments, agrees with what sending then says, and stores nothing."""
    before = dump()
    previews = {}
    for text, expected in PREVIEWS.items():
        with subtests.test(text=text[:10]):
            answer = await ready.call("POST", "/messages/preview", {"text": text, "from": ready.twilio.sender})
            previews[text] = answer.body
            found = answer.body["encoding"], answer.body["units"], answer.body["segments"]
            assert (answer.status, found) == (200, expected)
            assert sum(answer.body["perSegment"]) == answer.body["units"]
            assert answer.body["characters"] == len(text)
            assert "refusal" not in answer.body
    assert dump() == before
    for text, preview in previews.items():
        answer = await accepted(ready, {"from": ready.twilio.sender, "to": PEOPLE[0], "text": text})
        assert answer["messages"][0]["segments"] == preview["segments"]
        assert answer["messages"][0]["encoding"] == preview["encoding"]


async def test_preview_explains(ready):
    """A preview names the characters that make a text dear, offers a cheaper one, and says why one is refused."""
    body = {"text": "Hola Martí"}
    found = (await ready.call("POST", "/messages/preview", body)).body
    assert found["forcingUcs2"] == [
        {"character": "í", "name": "LATIN SMALL LETTER I WITH ACUTE", "index": 9, "count": 1}
    ]
    assert "suggestion" not in found, "another letter would be another name"
    found = (await ready.call("POST", "/messages/preview", {"text": "It\u2019s {1}"})).body
    assert found["suggestion"] == "It's {1}"
    cheaper = (await ready.call("POST", "/messages/preview", {"text": found["suggestion"]})).body
    assert cheaper["encoding"] == "GSM-7"
    assert [one["character"] for one in cheaper["costingTwo"]] == ["{", "}"]
    long = (await ready.call("POST", "/messages/preview", {"text": "x" * 1601})).body
    assert "refusal" not in long
    long = (await ready.call("POST", "/messages/preview", {"text": "x" * 1601, "from": ready.twilio.address})).body
    assert long["refusal"]["field"] == "/text"
    assert "1600" in long["refusal"]["detail"]
    for unsendable in ("", "\u0007"):
        assert (await ready.call("POST", "/messages/preview", {"text": unsendable})).body["refusal"]["field"] == "/text"
    check_problem(await ready.call("POST", "/messages/preview", {"text": "x", "from": "nobody"}), 422, "/from")
