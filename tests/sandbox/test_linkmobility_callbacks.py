"""LINK: reports and replies through gates, what proves them, what counts as taken, how long they are repeated."""

from __future__ import annotations

import base64

import pytest
from aiohttp import web

from sandbox.outcomes import OUTCOMES
from sandbox.testing import running_sandbox
from sandbox.vendors.linkmobility import LinkMobilityVendor
from tests.sandbox.conftest import Remote, until
from tests.sandbox.linkmobility import TOKEN, become_customer, secret

PERSON = "+4745550123"
TWO_PARTS = "x" * 161
EMPTY = ({}, [], None)
TWO_DAYS = 172_800_000


@pytest.fixture
async def link(sandbox, control, http, endpoint):
    return await become_customer(sandbox, control, http, endpoint)


def pair_of(got):
    """Return user and password that a callback brought."""
    scheme, _, encoded = got.headers["Authorization"].partition(" ")
    assert scheme == "Basic"
    return tuple(base64.b64decode(encoded).decode().split(":", 1))


def is_authentic(got):
    """Tell whether a callback brought all that the customer asked for."""
    proofs = (got.path.rpartition("/")[2], pair_of(got), got.headers["X-Gateway-Secret"])
    return proofs == (TOKEN, ("link", secret("callback password")), secret("callback secret"))


def results(endpoint):
    return [got.json["resultCode"] for got in endpoint.received]


async def reply(control, text, to="2333"):
    return await control.ask("POST", "/linkmobility/inbound", {"from": PERSON, "to": to, "text": text})


async def add_keyword(control, link, **fields):
    fields = {"number": "NO-2333", "gateIds": [link.settings["inboundGate"]]} | fields
    return await control.ask("POST", f"{link.below}/keywords", fields)


# Reports


async def test_a_report_is_one_object_with_all_that_proves_it(sandbox, link, endpoint):
    """One final report a message is posted as JSON, with Basic authentication, the header and the token."""
    _, answer = await link.send(PERSON, refId="ours-1")
    await sandbox.idle()

    [got] = endpoint.received
    assert (got.method, got.headers["Content-Type"]) == ("POST", "application/json")
    assert is_authentic(got)
    assert got.json["id"] == answer["messageId"]
    assert {name: got.json[name] for name in ("refId", "resultCode", "segments", "operator")} == {
        "refId": "ours-1",
        "resultCode": 1001,
        "segments": 1,
        "operator": "no.telenor",
    }
    assert set(got.json) == {
        *("refId", "id", "operator", "sentTimestamp", "timestamp", "resultCode", "operatorResultCode", "segments"),
        *("gateCustomParameters", "customParameters"),
    }


async def test_empty_maps_come_in_all_their_shapes(sandbox, link, endpoint):
    """Parameters that are none show as an object, a list or null; those of the gate are echoed."""
    await link.batch([link.message(f"+4740{place:06d}") for place in range(30)])
    await sandbox.idle()
    plain = [got.json["gateCustomParameters"] for got in endpoint.received]
    await link.change_gate(customParameters={"tenant": "1"})
    await link.send(PERSON)
    await sandbox.idle()

    assert all(shape in plain for shape in EMPTY)
    assert endpoint.received[-1].json["gateCustomParameters"] == {"tenant": "1"}


FATES = {
    "0160": [1004],
    "0161": [2104],
    "0162": [2103],
    "0163": [4007],
    "0164": [2205],
    "0165": [1002],
    "0166": [1006],
    "0167": [2001],
    "0168": [3],
    "0169": [1010],
    "0174": [1001],
    "0177": [1001],
    "0180": [],
    "0181": [1001],
    "0182": [1001, 1001, 1001],
    "0183": [1001],
    "0184": [1001],
    "0185": [1006, 1001],
    "0186": [1004, 1001],
}
REFUSED_OR_TROUBLED = {"0150", "0151", "0152", "0153", "0170", "0171", "0172", "0173", "0175", "0176", "0178", "0179"}


@pytest.mark.parametrize(("digits", "expected"), FATES.items())
async def test_magic_numbers_are_reported_by_code(sandbox, link, endpoint, digits, expected):
    """Each fate has its result code, and final states only are reported."""
    link.vendor.mischief.faults.slow_seconds = 0.01

    await link.send(f"+474555{digits}")
    await sandbox.idle()

    assert results(endpoint) == expected
    assert set(FATES) | REFUSED_OR_TROUBLED == {outcome.digits for outcome in OUTCOMES}


async def test_an_unregistered_name_has_a_code_of_its_own(sandbox, link, endpoint, control):
    """What is not allowed as a source depends on its type."""
    await control.ask("POST", f"{link.below}/numbers", {"number": "ACME"})
    await link.send("+4745550167", source="ACME", sourceTON="ALPHANUMERIC")
    await sandbox.idle()

    assert results(endpoint) == [2002]


async def test_passing_states_are_reported_to_who_gets_them(sandbox, link, endpoint):
    """An account may be one that is told of temporary states, too."""
    await link.change_account(temporary_reports=True)
    await link.send(PERSON)
    await sandbox.idle()

    assert results(endpoint) == [1000, 1001]


async def test_each_part_of_a_long_text_is_reported(sandbox, link, endpoint):
    """A text in two parts gives two reports under `$0` and `$1`; each says how many there are."""
    _, answer = await link.send(PERSON, userData=TWO_PARTS)
    await sandbox.idle()

    told = sorted((got.json["id"], got.json["resultCode"], got.json["segments"]) for got in endpoint.received)
    assert told == [(f"{answer['messageId']}$0", 1001, 2), (f"{answer['messageId']}$1", 1001, 2)]


async def test_a_full_handset_loses_the_last_part_only(sandbox, link, endpoint):
    """Of a long text to a handset that fills up, all but the last part arrive."""
    await link.send("+4745550160", userData=TWO_PARTS + TWO_PARTS)
    await sandbox.idle()

    told = {got.json["id"][-2:]: got.json["resultCode"] for got in endpoint.received}
    assert told == {"$0": 1001, "$1": 1001, "$2": 1004}


async def test_without_a_wish_nothing_is_reported(sandbox, link, endpoint):
    """Who asks for no reports gets none."""
    await link.send(PERSON, useDeliveryReport=False)
    await sandbox.idle()

    assert endpoint.received == []
    assert [message.state for message in link.vendor.ledger] == ["delivered"]


async def test_a_message_that_is_late_expires(sandbox, link, endpoint):
    """A validity in milliseconds that ends before delivery gives 1002 and nothing after it; a longer one does not."""
    await link.send("+4745550181", refId="short", relativeValidityTime=10_000)
    await link.send("+4745550181", refId="long", relativeValidityTime=31_000)
    await link.send("+4745550182", refId="told again", relativeValidityTime=1_050)
    await sandbox.idle()

    told = [(got.json["refId"], got.json["resultCode"]) for got in endpoint.received]
    assert sorted(told) == [("long", 1001), ("short", 1002), ("told again", 1001)]


async def test_a_forged_report_lacks_what_proves_it(sandbox, link, endpoint):
    """Magic 0185: the report that lies comes to the right address with a wrong password and header."""
    await link.send("+4745550185")
    await sandbox.idle()

    forged, true = endpoint.received
    assert (forged.json["resultCode"], true.json["resultCode"]) == (1006, 1001)
    assert (is_authentic(forged), is_authentic(true)) == (False, True)
    assert pair_of(forged)[0] == "link"
    assert pair_of(forged)[1] != secret("callback password")
    assert forged.headers["X-Gateway-Secret"] != secret("callback secret")
    assert forged.path == true.path


async def test_a_forger_has_to_guess_the_address_where_that_is_all(sandbox, link, endpoint):
    """A gate without password and header is forged by a wrong token."""
    await link.change_gate(destinations=[{"url": link.addresses.report}])
    await link.send("+4745550185")
    await sandbox.idle()

    forged, true = endpoint.received
    assert "Authorization" not in true.headers
    assert (true.path, forged.path.rpartition("/")[0]) == (f"/report/{TOKEN}", "/report")
    assert forged.path != true.path


# What counts as taken


@pytest.mark.parametrize(
    ("acknowledge", "answers", "attempts"),
    [
        (False, [web.Response(status=204)], 1),
        (False, [web.Response(status=200)], 1),
        (False, [500, 503, 401, 302], 5),
        (True, [web.Response(status=200, text="OK")], 1),
        (True, [web.Response(status=200), web.Response(status=204), web.Response(text=" ")], 4),
    ],
)
async def test_what_counts_as_taken_depends_on_the_gate(sandbox, link, endpoint, acknowledge, answers, attempts):
    """Any 2xx will do, unless the gate wants an acknowledgement: then it has to be a 200 with a body."""
    await link.change_gate(acknowledge=acknowledge)
    endpoint.answer(*answers, *[web.Response(text="OK") for _ in range(3)])

    await link.send(PERSON)
    await sandbox.idle()

    assert results(endpoint) == [1001] * attempts
    assert len({got.body for got in endpoint.received}) == 1


@pytest.mark.parametrize(("ttl", "attempts"), [(0, 1), (59_999, 1), (60_000, 2), (180_000, 3), (TWO_DAYS, 53)])
async def test_a_gate_gives_up_when_its_time_to_live_is_over(sandbox, link, endpoint, ttl, attempts):
    """Repeats come after a minute, two, four and so on, hourly at most, for as long as the gate says."""
    await link.change_gate(ttl=ttl)
    endpoint.answer(*[500] * 60)

    await link.send(PERSON)
    await sandbox.idle()

    [message] = link.vendor.ledger
    assert [entry.attempt for entry in message.callbacks] == list(range(1, attempts + 1))
    assert {entry.status for entry in message.callbacks} == {500}


async def test_all_destinations_of_a_gate_may_want_everything(sandbox, link, endpoint):
    """A gate of type ALL tells each destination."""
    await link.change_gate(gateType="ALL", destinations=[{"url": f"{endpoint.url}/{place}"} for place in "ab"])
    await link.send(PERSON)
    await sandbox.idle()

    assert sorted(got.path for got in endpoint.received) == ["/a", "/b"]


async def test_the_next_destination_helps_out(sandbox, link, endpoint):
    """A gate of type ONE_ORDERED tells the first destination that takes it."""
    await link.change_gate(gateType="ONE_ORDERED", destinations=[{"url": f"{endpoint.url}/{place}"} for place in "abc"])
    endpoint.answer(500, 200)
    await link.send(PERSON)
    await sandbox.idle()

    assert [got.path for got in endpoint.received] == ["/a", "/b"]


async def test_one_destination_of_many_is_enough(sandbox, link, endpoint):
    """A gate of type ONE_RANDOM tells one of its destinations, not always the same."""
    await link.change_gate(gateType="ONE_RANDOM", destinations=[{"url": f"{endpoint.url}/{place}"} for place in "ab"])
    await link.batch([link.message(f"+4740{place:06d}") for place in range(20)])
    await sandbox.idle()

    assert len(endpoint.received) == 20
    assert {got.path for got in endpoint.received} == {"/a", "/b"}


@pytest.mark.parametrize(("gone", "why"), [(True, "the gate is gone"), (False, "the gate has no destination")])
async def test_a_gate_that_leads_nowhere_is_noted(sandbox, link, control, endpoint, gone, why):
    """A report whose gate is gone or has no destination stands in the ledger as not told."""
    await control.ask("PATCH", "/settings", {"time_scale": 0.005})
    await link.send("+4745550181")
    if gone:
        await control.ask("DELETE", f"{link.below}/gates/{link.settings['reportGate']}")
    else:
        await link.change_gate(destinations=[])
    await sandbox.idle()

    [message] = link.vendor.ledger
    assert endpoint.received == []
    assert [(entry.about, entry.status, entry.error) for entry in message.callbacks] == [("delivered", None, why)]


async def test_what_nobody_took_survives_a_restart(tmp_path, http, endpoint):
    """A report and a reply that were refused are told by the next process, and what was taken is not told again."""
    data = tmp_path / "sandbox"
    async with running_sandbox(data=data, seed=1, retry_time_scale=1000) as first:
        link = await become_customer(first, Remote(http, first.base_url), http, endpoint)
        await link.send(PERSON, refId="taken")
        await first.idle()
        endpoint.answer(503, 503)
        await link.send(PERSON, refId="refused")
        await until(lambda: len(endpoint.received) == 2)
        await reply(link.control, "Hello")
        await until(lambda: len(endpoint.received) == 3)
        await until(lambda: all(message.callbacks for message in first.vendor(LinkMobilityVendor).ledger))
    before = len(endpoint.received)
    async with running_sandbox(data=data, seed=1) as second:
        await second.idle()

    told = [got.json.get("refId") or got.json["content"]["userData"] for got in endpoint.received[before:]]
    assert sorted(told) == ["Hello", "refused"]


# Replies


async def test_a_reply_has_the_documented_members(sandbox, link, control, endpoint):
    """A person's text comes as an object with its number's country, the route that it took, and the same proofs."""
    message = await reply(control, "Bclt hello 🎉")
    await sandbox.idle()

    [got] = endpoint.received
    body = got.json
    assert got.path == f"/inbound/{TOKEN}"
    assert is_authentic(got)
    assert (body["destination"], body["source"], body["subNumber"]) == ("NO-2333", PERSON, None)
    assert body["content"] == {"type": "SMS", "userData": "Bclt hello 🎉", "encoding": "TEXT"}
    assert body["messageId"] == body["customParameters"]["moReferenceId"] == message["id"]
    assert body["route"]["gateIds"] == [link.settings["inboundGate"]]
    assert (body["route"]["type"], body["route"]["keywordType"]) == ("KEYWORD_ROUTE", "DEFAULT")
    assert "gateCustomParameters" in body


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("bclt", "EQUALS"),
        (" BCLT ", "EQUALS"),
        ("Bclt hello", "FIRST_WORD"),
        ("bclthello", "STARTS_WITH"),
        ("hello bclt", "DEFAULT"),
        ("STOP", "DEFAULT"),
        ("", "DEFAULT"),
    ],
)
async def test_the_keyword_decides_the_route(sandbox, link, control, endpoint, text, route):
    """The keyword is compared without regard to case, the text is passed on as written, the rest goes to DEFAULT."""
    for kind in ("STARTS_WITH", "FIRST_WORD", "EQUALS"):
        await add_keyword(control, link, keyword="bclt", keywordType=kind)

    await reply(control, text)
    await sandbox.idle()

    [got] = endpoint.received
    assert got.json["content"]["userData"] == text
    assert (got.json["route"]["keywordType"], got.json["route"]["keyword"]) == (
        route,
        None if route == "DEFAULT" else "BCLT",
    )


async def test_a_text_that_no_route_wants_is_lost(sandbox, link, control, endpoint):
    """Without a DEFAULT route free text is not passed on, nor is anything by a route that is not active."""
    [default] = await control.ask("GET", f"{link.below}/keywords")
    await control.ask("DELETE", f"{link.below}/keywords/{default['id']}")
    await add_keyword(control, link, keyword="BCLT", active=False)

    await reply(control, "Bclt hello")
    await sandbox.idle()

    assert endpoint.received == []
    assert [message.text for message in link.vendor.ledger] == ["Bclt hello"]


@pytest.mark.parametrize(("notify", "told"), [(True, 1), (False, 0)])
async def test_a_shared_short_code_has_a_stop_of_its_own(sandbox, link, control, endpoint, notify, told):
    """On a shared number STOP blocks the sender, and is passed on only by a route that wants to know."""
    await control.ask("POST", f"{link.below}/numbers", {"number": "NO-2333", "shared": True})
    await add_keyword(control, link, keyword="BCLT", notifyStop=notify)

    await reply(control, "Stop")
    await sandbox.idle()
    _, answer = await link.send(PERSON)

    assert len(endpoint.received) == told
    assert all(got.json["route"]["shared"] and got.json["route"]["keyword"] == "BCLT" for got in endpoint.received)
    assert answer["resultCode"] == 2205


async def test_stop_to_a_number_of_ones_own_is_a_text_like_any_other(sandbox, link, control, endpoint):
    """LINK blocks nobody on a number that is not shared."""
    await reply(control, "STOP")
    _, answer = await link.send(PERSON)

    assert answer["resultCode"] == 1005


@pytest.mark.parametrize("to", ["2333", "NO-2333", "+4790000001"])
async def test_a_number_is_found_with_and_without_its_country(sandbox, link, control, endpoint, to):
    """People text the bare short code; long numbers have no country before them."""
    await control.ask("POST", f"{link.below}/numbers", {"number": "+4790000001"})
    await add_keyword(control, link, number="+4790000001", keywordType="DEFAULT")

    await reply(control, "Hi", to)
    await sandbox.idle()

    assert [got.json["destination"] for got in endpoint.received] == [to if to.startswith("+") else "NO-2333"]


@pytest.mark.parametrize("to", ["2444", "ACME"])
async def test_nobody_texts_what_cannot_be_texted(link, control, to):
    """A number nobody has and a name take no texts."""
    await control.ask("POST", f"{link.below}/numbers", {"number": "ACME"})

    await control.ask("POST", "/linkmobility/inbound", {"from": PERSON, "to": to, "text": "Hi"}, status=400)
