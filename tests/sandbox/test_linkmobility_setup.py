"""LINK: gates and keyword routes through its own APIs, and what the control API shows."""

from __future__ import annotations

import orjson
import pytest

from tests.sandbox.linkmobility import become_customer, secret
from tests.sandbox.test_linkmobility_send import problem

PERSON = "+4745550123"


@pytest.fixture
async def link(sandbox, control, http, endpoint):
    return await become_customer(sandbox, control, http, endpoint)


def gate(link, **fields):
    """Describe a gate as the document's example does."""
    destination = {
        "url": "https://sms.example.com/reports",
        "contentType": "application/json",
        "username": "link",
        "password": "s3cret",
        "customParameters": {"http.header1": "X-Gw-Secret:r4nd0m"},
    }
    return {
        **link.platform,
        "type": "PARTNER_GATE",
        "refId": "gw-dlr",
        "gateType": "ONE_ORDERED",
        "ttl": 172_800_000,
        "acknowledge": False,
        "throttle": 50,
        "destinations": [destination],
        "customParameters": {},
        **fields,
    }


def of_partner(link, kind="gate/partnergate"):
    return f"/{kind}/platform/{link.settings['platformId']}/partner/{link.settings['platformPartnerId']}"


async def create(link, **fields):
    """Make a gate; gives its path below the vendor's address."""
    status, _, answer = await link.ask("POST", "/gate/partnergate", gate(link, **fields))
    assert status == 201
    return answer.headers["Location"].removeprefix(link.settings["baseUrl"])


async def test_a_new_gate_is_found_where_the_answer_says(link):
    """Creating answers 201 with the place; there it is read back whole, password included, by id and reference."""
    place = await create(link)

    status, read, _ = await link.ask("GET", place)
    _, by_reference, _ = await link.ask("GET", f"{of_partner(link)}/refid/gw-dlr")
    _, listed, _ = await link.ask("GET", of_partner(link))

    assert status == 200
    assert read == by_reference == gate(link) | {"id": place.rpartition("/")[2]}
    assert [entry["refId"] for entry in listed] == ["report", "inbound", "gw-dlr"]


async def test_a_new_gate_takes_reports(link, sandbox, endpoint):
    """A message may name a gate that was made a moment ago."""
    place = await create(link, destinations=[{"url": f"{endpoint.url}/new"}])

    await link.send(PERSON, deliveryReportGates=[place.rpartition("/")[2]])
    await sandbox.idle()

    assert [got.path for got in endpoint.received] == ["/new"]


async def test_replacing_a_gate_replaces_all_of_it(link):
    """What a PUT leaves out is lost."""
    place = await create(link, customParameters={"tenant": "1"})
    without = {name: value for name, value in gate(link).items() if name not in {"throttle", "customParameters"}}

    status, _, _ = await link.ask("PUT", place, without)
    _, read, _ = await link.ask("GET", place)

    assert status == 200
    assert (read["throttle"], read["customParameters"]) == (None, {})
    assert read["destinations"] == without["destinations"]


async def test_a_deleted_gate_is_gone(link):
    """A deleted gate is neither found nor taken for reports."""
    place = await create(link)

    assert (await link.ask("DELETE", place))[0] == 200
    assert problem(*(await link.ask("GET", place))[:2]) == (404, 103304)
    assert problem(*(await link.ask("DELETE", place))[:2]) == (404, 103304)
    assert problem(*await link.send(PERSON, deliveryReportGates=[place.rpartition("/")[2]])) == (400, 106301)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"refId": "report"}, (409, 103212)),
        ({"destinations": []}, (400, 103302)),
        ({"destinations": [{"url": "ftp://x.example"}]}, (400, 103302)),
        ({"gateType": "SOME"}, (400, 103302)),
        ({"type": "GATE"}, (400, 103302)),
        ({"ttl": -1}, (400, 103302)),
        ({"platformPartnerId": "1"}, (403, 106102)),
    ],
)
async def test_a_wrong_gate_is_not_made(link, fields, expected):
    """A gate that is invalid, whose reference is taken, or which is another's is refused with LINK's code."""
    refused = (await link.ask("POST", "/gate/partnergate", gate(link, **fields)))[:2]
    place = await create(link)
    unchanged = (await link.ask("PUT", place, gate(link, **fields)))[:2]

    assert problem(*refused) == problem(*unchanged) == expected
    assert (await link.ask("GET", place))[1]["destinations"] == gate(link)["destinations"]


async def test_a_gate_keeps_its_id(link):
    """A PUT under another id is refused, and a gate's own reference is not in its own way."""
    place = await create(link)

    assert problem(*(await link.ask("PUT", place, gate(link, id="other000")))[:2]) == (400, 103302)
    assert (await link.ask("PUT", place, gate(link, id=place.rpartition("/")[2])))[0] == 200


async def test_a_login_may_lack_the_right_to_set_up(link):
    """Who may send may not always make gates."""
    await link.change_account(gate_access=False)

    assert problem(*(await link.ask("POST", "/gate/partnergate", gate(link)))[:2]) == (403, 106101)
    assert problem(*(await link.ask("GET", of_partner(link)))[:2]) == (403, 106101)
    assert (await link.send(PERSON))[0] == 200


async def test_other_customers_have_other_gates(link, control):
    """Two customers may use the same reference, and neither sees, takes or moves the other's gate."""
    place = await create(link)
    other = {**link.account, "username": "other", "platform_partner_id": "2"}
    await control.ask("POST", "/linkmobility/accounts", other)
    gate_id = place.rpartition("/")[2]
    mine = link.settings
    link.settings = {**mine, "username": "other", "platformPartnerId": "2"}

    theirs = await create(link)

    assert problem(*(await link.ask("GET", place))[:2]) == (403, 106102)
    assert problem(*(await link.ask("GET", f"{of_partner(link)}/id/{gate_id}"))[:2]) == (404, 103304)
    assert problem(*await link.send(PERSON, deliveryReportGates=[gate_id])) == (400, 106301)
    await control.ask("POST", f"{link.below}/gates", {"id": gate_id}, status=400)
    link.settings = mine
    assert theirs != place


def keyword(link, **fields):
    """Describe a route as the document's example does."""
    return {
        **link.platform,
        "type": "KEYWORD_ROUTE",
        "number": "NO-2333",
        "keyword": "bclt",
        "keywordType": "FIRST_WORD",
        "gateIds": [link.settings["inboundGate"]],
        "start": "2026-01-01T00:00:00Z",
        "end": "2099-01-01T00:00:00Z",
        **fields,
    }


KEYWORDS = "/number/NO-2333/keyword"


async def test_a_keyword_is_free_until_somebody_has_it(link):
    """A keyword is asked for, taken, read, and refused to the next; deleted, it is free again."""
    ask = f"{KEYWORDS}/getKeyword?keyword=BCLT&start=2026-01-01T00:00:00Z&end=2099-01-01T00:00:00Z"
    free = await link.ask("GET", ask)
    status, _, answer = await link.ask("POST", KEYWORDS, keyword(link))
    place = answer.headers["Location"].removeprefix(link.settings["baseUrl"])
    taken = await link.ask("GET", ask)
    again = await link.ask("POST", KEYWORDS, keyword(link))
    _, read, _ = await link.ask("GET", place)
    await link.ask("DELETE", place)

    assert (free[0], status) == (204, 201)
    assert problem(*taken[:2]) == problem(*again[:2]) == (409, 104212)
    assert (read["keyword"], read["gateIds"]) == ("BCLT", [link.settings["inboundGate"]])
    assert (await link.ask("GET", ask))[0] == 204
    assert problem(*(await link.ask("GET", place))[:2]) == (404, 104304)


async def test_a_shared_keyword_may_be_had_twice(link):
    """A keyword that both routes call shared is given to both."""
    assert [(await link.ask("POST", KEYWORDS, keyword(link, shared=True)))[0] for _ in range(2)] == [201, 201]


@pytest.mark.parametrize(
    "fields",
    [
        {"keyword": "ab"},
        {"keyword": None},
        {"keywordType": "DEFAULT"},
        {"gateIds": []},
        {"gateIds": ["nogate00"]},
        {"number": "NO-2444"},
        {"keywordType": "CONTAINS"},
    ],
)
async def test_a_wrong_route_is_not_made(link, fields):
    """A keyword too short or missing, a gate or number of nobody's, and unknown types are refused."""
    assert problem(*(await link.ask("POST", KEYWORDS, keyword(link, **fields)))[:2]) == (400, 104302)


async def test_the_control_api_shows_no_secret(link, control):
    """Neither what is listed nor the call log shows passwords, header values or tokens."""
    await link.ask("POST", "/gate/partnergate", gate(link))
    shown = [await control.ask("GET", f"/linkmobility{path}") for path in ("", "/accounts", "/calls")]
    shown += [await control.ask("GET", f"{link.below}/{what}") for what in ("gates", "numbers", "keywords")]
    text = orjson.dumps(shown).decode()

    assert "partnergate" in text
    for name in ("password", "callback password", "callback secret"):
        assert secret(name) not in text
    for word in ("T0kenInThePath", "s3cret", "r4nd0m"):
        assert word not in text


async def test_an_account_goes_with_all_it_has(link, control):
    """Deleting an account takes its numbers, gates and routes with it."""
    await control.ask("DELETE", link.below, status=204)

    state = await control.ask("GET", "/linkmobility")
    assert [state[what] for what in ("accounts", "numbers", "gates", "keywords")] == [[], [], [], []]
    assert (await link.send(PERSON))[0] == 401


async def test_what_is_wrong_is_said_to_who_sets_up(link, control):
    """The control API refuses a number that another account has, and a route without gates of the account."""
    await control.ask("POST", "/linkmobility/accounts", {**link.account, "username": "other"})
    other = "/linkmobility/accounts/other"

    taken = await control.ask("POST", f"{other}/numbers", {"number": "NO-2333"}, status=400)
    no_gate = await control.ask("POST", f"{link.below}/keywords", {"number": "NO-2333", "gateIds": ["x"]}, status=400)
    no_number = await control.ask("POST", f"{other}/keywords", {"number": "NO-2333", "gateIds": ["x"]}, status=400)

    assert "belongs to another account" in taken["error"]
    assert "no gates of this account" in no_gate["error"]
    assert "no number of this account" in no_number["error"]
    for what in ("numbers/NO-1", "gates/x", "keywords/x"):
        await control.ask("DELETE", f"{link.below}/{what}", status=404)
    await control.ask("DELETE", "/linkmobility/accounts/nobody", status=404)
