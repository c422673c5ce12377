"""Lists over HTTP: messages and replies by filter, page by page."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from tests.triggers.problems import check_problem

ANN, BOB, EVE = "+14255550123", "+12065550124", "+14255550150"


async def pages(ready, route, limit, between=None, **query):
    """Return the pages of a list, doing something between any two."""
    found, cursor = [], None
    while True:
        wanted = {"limit": limit} | query | ({"cursor": cursor} if cursor else {})
        answer = await ready.call("GET", f"{route}?{urlencode(wanted)}")
        assert answer.status == 200, answer.body
        found.append(answer.body["items"])
        assert len(found) < 100, "the pages do not end"
        assert len(found[-1]) <= limit
        cursor = answer.body.get("next")
        if cursor is None:
            return found
        assert len(found[-1]) == limit, "only the last page may be short"
        if between:
            await between(len(found))


async def listed(ready, **query):
    """Return the ids of the messages that fit a query."""
    answer = await ready.call("GET", f"/messages?{urlencode(query)}")
    assert answer.status == 200, answer.body
    return [item["id"] for item in answer.body["items"]]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
async def test_paging_while_messages_arrive(ready, clock, limit):
    """Page by page every message comes exactly once, newest first, whatever arrives meanwhile, over many hours."""
    clock.freeze()
    sent = []
    for number in range(6):
        # One to four messages a batch; some batches in one millisecond, some in another hour.
        sent.append(await ready.send(ready.acs, [f"+1425{2000000 + number * 10 + n}" for n in range(1 + number % 4)]))
        clock.advance((0, 0.001, 1, 3600, 7200)[number % 5])

    async def arrive(page):
        clock.advance(0.001)
        await ready.send(ready.acs, ANN, f"Later {page}")

    found = await pages(ready, "/messages", limit, arrive)
    ids = [item["id"] for page in found for item in page]
    assert sorted(ids) == sorted(identity for batch in sent for identity in batch)
    created = [item["createdAt"] for page in found for item in page]
    assert created == sorted(created, reverse=True)
    assert len(found) == -(-len(ids) // limit)


async def test_a_page_and_what_comes_meanwhile(ready, clock):
    """A cursor stays good: it goes on where its page ended, even after the batches were closed and hours passed."""
    sent = [await ready.send(ready.acs, [ANN, BOB]) for _ in range(3)]
    for batch in sent:
        for identity in batch:
            await ready.until(identity)
    first = await ready.call("GET", "/messages?limit=3")
    clock.advance(4000)
    await ready.gateway.application.sweeper.sweep()
    await ready.send(ready.acs, ANN)
    rest = await ready.call("GET", f"/messages?limit=3&cursor={first.body['next']}")
    ids = [item["id"] for item in first.body["items"] + rest.body["items"]]
    assert sorted(ids) == sorted(identity for batch in sent for identity in batch)
    assert "next" not in rest.body


@pytest.fixture
async def stock(ready, clock):
    """Send messages that differ in everything one can filter by, an hour and a half between two calls."""
    await ready.call("PATCH", f"/providers/{ready.acs.id}", {"businessUnit": "retail"}, headers={"If-Match": "*"})
    clock.freeze(clock().replace(microsecond=0))
    moments, ids = [], {}
    for name, made, to, more in (
        ("ann", ready.acs, ANN, {"reference": "order-1"}),
        ("bob", ready.acs, BOB, {"reference": "order-2"}),
        ("eve", ready.twilio, EVE, {"reference": "order-1"}),
        ("ann2", ready.twilio, ANN, {}),
    ):
        moments.append(clock())
        (ids[name],) = await ready.send(made, to, name, **more)
        message = await ready.until(ids[name])
        assert message["status"] == ("rejected" if name == "eve" else "delivered"), str(message)
        clock.advance(5400)
    return ids, moments


async def test_filters(ready, stock, subtests):
    """Messages are found by sender, recipient, state, business unit, reference and time, alone and together."""
    ids, moments = stock
    expected = {
        "": ("ann2", "eve", "bob", "ann"),
        f"sender={ready.acs.sender}": ("bob", "ann"),
        "sender=%2B18885550100": ("bob", "ann"),
        "sender=18885550100": ("bob", "ann"),
        f"sender={ready.twilio.sender}": ("ann2", "eve"),
        "sender=nobody": (),
        "recipient=%2B14255550123": ("ann2", "ann"),
        "recipient=14255550123": ("ann2", "ann"),
        "recipient=%2B14255550199": (),
        "status=delivered": ("ann2", "bob", "ann"),
        "status=rejected": ("eve",),
        "status=queued": (),
        "businessUnit=retail": ("bob", "ann"),
        "businessUnit=nobody": (),
        "reference=order-1": ("eve", "ann"),
        "reference=order": (),
        f"recipient=%2B14255550123&sender={ready.twilio.sender}": ("ann2",),
        "reference=order-1&status=rejected": ("eve",),
        "businessUnit=retail&recipient=%2B14255550123&status=delivered&reference=order-1": ("ann",),
        "businessUnit=retail&status=rejected": (),
        urlencode({"since": moments[1].isoformat()}): ("ann2", "eve", "bob"),
        urlencode({"until": moments[2].isoformat()}): ("bob", "ann"),
        urlencode({"since": moments[1].isoformat(), "until": moments[3].isoformat()}): ("eve", "bob"),
        urlencode({"since": moments[1].astimezone().isoformat(), "until": moments[2].isoformat()}): ("bob",),
    }
    for closed in (False, True):
        if closed:
            await ready.gateway.application.sweeper.sweep()
        for query, names in expected.items():
            with subtests.test(query=query, closed=closed):
                answer = await ready.call("GET", f"/messages?{query}")
                assert [item["id"] for item in answer.body["items"]] == [ids[name] for name in names]


async def test_a_list_and_the_message_agree(ready, stock):
    """What a list shows of a message is what the message itself shows."""
    for item in (await ready.call("GET", "/messages")).body["items"]:
        message = await ready.message(item["id"])
        assert {name: message[name] for name in item} == item


async def test_thirty_days_by_default(ready, clock):
    """Without `since` a list goes back 30 days; older messages are found by asking for them."""
    (old,) = await ready.send(ready.acs, ANN)
    began = clock()
    await ready.until(old)
    clock.advance(30 * 86400 + 60)
    (new,) = await ready.send(ready.acs, BOB)
    assert await listed(ready) == [new]
    assert await listed(ready, since=(began - timedelta(minutes=1)).isoformat()) == [new, old]
    assert (await ready.message(old))["to"] == ANN


async def test_spans_that_cannot_be(ready, subtests):
    """A span that ends before it begins is refused; the first and last moments there are can be asked for."""
    for query in (
        "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
        "since=2026-01-01T00:00:00Z&until=2026-01-01T00:00:00Z",
    ):
        with subtests.test(query=query):
            check_problem(await ready.call("GET", f"/messages?{query}"), 422)
    (identity,) = await ready.send(ready.acs, ANN)
    for since in ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00%2B14:00", "1969-12-31T23:59:59Z"):
        for until in ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00"):
            with subtests.test(since=since, until=until):
                answer = await ready.call("GET", f"/messages?since={since}&until={until}&limit=1")
                assert [item["id"] for item in answer.body["items"]] == [identity]
                assert (await ready.call("GET", f"/inbound?since={since}&until={until}")).status == 200


async def text(ready, vendor, person, words):
    """Let a person text the sender at a vendor."""
    body = {"from": person, "to": ready.made[vendor].address, "text": words}
    await ready.ask("POST", f"/{vendor}/inbound", body)
    await ready.sandbox.idle()


async def test_replies(ready, clock, subtests):
    """Replies are listed newest first, filtered by person, sender, unit and time, with what they were taken for."""
    await ready.call("PATCH", f"/providers/{ready.acs.id}", {"businessUnit": "retail"}, headers={"If-Match": "*"})
    moments = []
    for vendor, person, words in (
        ("acs", ANN, "Hello"),
        ("twilio", ANN, "HELP"),
        ("acs", BOB, "please stop texting me"),
        ("twilio", BOB, "Stop"),
    ):
        moments.append(clock())
        await text(ready, vendor, person, words)
        clock.advance(5400)
    expected = {
        "": ("Stop", "please stop texting me", "HELP", "Hello"),
        "number=%2B14255550123": ("HELP", "Hello"),
        "number=14255550123": ("HELP", "Hello"),
        "sender=%2B18885550100": ("please stop texting me", "Hello"),
        "businessUnit=retail": ("please stop texting me", "Hello"),
        "businessUnit=retail&number=%2B12065550124": ("please stop texting me",),
        "businessUnit=nobody": (),
        urlencode({"since": moments[1].isoformat(), "until": moments[3].isoformat()}): (
            "please stop texting me",
            "HELP",
        ),
    }
    for query, words in expected.items():
        with subtests.test(query=query):
            items = (await ready.call("GET", f"/inbound?{query}")).body["items"]
            assert tuple(item["text"] for item in items) == words
    items = (await ready.call("GET", "/inbound")).body["items"]
    assert [item.get("keyword") for item in items] == ["stop", None, "help", None]
    assert [item["possibleOptOut"] for item in items] == [False, True, False, False]
    assert [item["provider"] for item in items] == [ready.made[v].id for v in ("twilio", "acs", "twilio", "acs")]
    assert [(item["from"], item["to"]) for item in items[:2]] == [
        (BOB, ready.twilio.address),
        (BOB, ready.acs.address),
    ]


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_paging_replies_while_more_arrive(ready, clock, limit):
    """Page by page every reply comes exactly once, newest first, whatever arrives meanwhile."""
    clock.freeze()
    for number in range(7):
        await text(ready, "acs", ANN, f"Text {number}")
        clock.advance((0.001, 0.5, 3600)[number % 3])

    async def arrive(page):
        clock.advance(1)
        await text(ready, "acs", BOB, f"Later {page}")

    found = await pages(ready, "/inbound", limit, arrive)
    assert [item["text"] for page in found for item in page] == [f"Text {number}" for number in reversed(range(7))]


async def test_cursors_belong_to_their_list(ready):
    """A cursor of one list is no cursor of another, and a changed one is refused."""
    for _ in range(2):
        await ready.send(ready.acs, ANN)
        await text(ready, "acs", ANN, "Hello")
        await ready.call("POST", "/opt-outs", {"number": ANN})
        await ready.call("POST", "/opt-outs", {"number": BOB})
    routes = ("/messages", "/inbound", "/opt-outs")
    cursors = {route: (await ready.call("GET", f"{route}?limit=1")).body["next"] for route in routes}
    for route in routes:
        assert (await ready.call("GET", f"{route}?limit=1&cursor={cursors[route]}")).status == 200
        check_problem(await ready.call("GET", f"{route}?cursor={cursors[route][:-4]}"), 422, "cursor")
    for route, other in (("/messages", "/inbound"), ("/inbound", "/opt-outs"), ("/opt-outs", "/messages")):
        check_problem(await ready.call("GET", f"{route}?cursor={cursors[other]}"), 422, "cursor")
