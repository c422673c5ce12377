"""LINK: who may send, what is refused and how, what is answered."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import aiohttp
import orjson
import pytest

from sandbox.outcomes import OUTCOMES, Reason
from tests.sandbox.linkmobility import basic, become_customer

INVALID_LOGIN = {"status": 106100, "description": "Invalid authentication", "translatedDescription": None}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def link(sandbox, control, http, endpoint):
    return await become_customer(sandbox, control, http, endpoint)


def codes(answer):
    """Return the result codes of a batch by recipient's place in it, as the refIds say."""
    return [entry["resultCode"] for entry in sorted(answer, key=lambda entry: entry["refId"])]


def problem(status, answer):
    """Return the HTTP status and LINK's code of an error."""
    assert set(answer) == {"status", "description", "translatedDescription"}
    return status, answer["status"]


# Who may come in


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("nobody", "x"),
        {"Authorization": "Basic !"},
        {"Authorization": "Bearer x"},
        {"Authorization": "Digest x"},
    ],
)
@pytest.mark.parametrize("path", ["/sms/send", "/sms/sendbatch", "/gate/partnergate"])
async def test_unknown_credentials_are_refused_before_anything_else(link, path, headers):
    """Without valid credentials the answer is 401 in LINK's error body, whatever the request holds."""
    status, answer, _ = await link.ask("POST", path, b"{", headers)

    assert (status, answer) == (401, INVALID_LOGIN)


async def test_two_passwords_work_while_they_are_changed(link):
    """The secondary password opens the API as well, and a wrong one does not."""
    await link.change_account(secondary="new")
    user = link.settings["username"]

    assert [(await link.send(headers=basic(user, word)))[0] for word in ("new", "old")] == [200, 401]


@pytest.fixture
async def client(link):
    await link.change_account(client_id="client", client_secret="s3cret", client_secret_secondary="new")
    return link


async def token_of(link, **changes):
    """Ask for an access token; gives status and answer."""
    asked = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "s3cret"} | changes
    form = "&".join(f"{name}={value}" for name, value in asked.items())
    return (await link.ask("POST", "/auth/token", form, FORM))[:2]


@pytest.mark.parametrize("secret", ["s3cret", "new"])
async def test_an_access_token_opens_the_api_until_it_expires(client, sandbox, secret):
    """Client credentials give a bearer token that sends, and after its lifetime is worth nothing."""
    status, given = await token_of(client, client_secret=secret)
    bearer = {"Authorization": f"Bearer {given['access_token']}"}
    fresh = await client.send(headers=bearer)
    sandbox.world.clock.advance(3601)
    stale = await client.send(headers=bearer)

    assert (status, given["token_type"], given["expires_in"]) == (200, "Bearer", 3600)
    assert (fresh[0], stale[0]) == (200, 401)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"client_secret": "wrong"}, (401, {"error": "invalid_client"})),
        ({"client_id": ""}, (401, {"error": "invalid_client"})),
        ({"grant_type": "password"}, (400, {"error": "unsupported_grant_type"})),
    ],
)
async def test_a_token_is_given_to_known_clients_only(client, changes, expected):
    """Wrong client credentials and other grants are refused as OAuth 2 says."""
    assert await token_of(client, **changes) == expected


async def test_a_token_is_asked_for_with_a_form(client):
    """Client credentials in JSON are no token request."""
    asked = {"grant_type": "client_credentials", "client_id": "client", "client_secret": "s3cret"}

    assert (await client.ask("POST", "/auth/token", asked, {}))[0] == 400


async def test_a_secret_in_a_token_request_is_not_kept(client, sandbox):
    """The call log shows no client secret."""
    await token_of(client)

    [call] = [call for call in client.vendor.calls.entries if "token" in call.path]
    assert "client_secret=***" in call.body


# The request as a whole


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"platformId": None}, (400, 106200)),
        ({"platformId": 12}, (400, 106200)),
        ({"platformPartnerId": None}, (400, 106201)),
        ({"platformPartnerId": 12345}, (400, 106201)),
        ({"platformId": "OTHER"}, (403, 106102)),
        ({"platformPartnerId": "1"}, (403, 106102)),
        ({"deliveryReportGates": None}, (400, 106300)),
        ({"deliveryReportGates": [], "useDeliveryReport": True}, (400, 106300)),
        ({"deliveryReportGates": ["nogate00"]}, (400, 106301)),
        ({"deliveryReportGates": "ab12cd34"}, (400, 106000)),
        ({"useDeliveryReport": "false"}, (400, 106000)),
        ({"relativeValidityTime": 0}, (400, 106000)),
        ({"relativeValidityTime": 172_800_001}, (400, 106000)),
        ({"relativeValidityTime": "600000"}, (400, 106000)),
        ({"absoluteValidityTime": "tomorrow"}, (400, 106000)),
        ({"absoluteValidityTime": "2026-11-22T12:00:00"}, (400, 106000)),
        ({"absoluteValidityTime": "2020-01-01T00:00:00Z"}, (400, 106000)),
        ({"priority": "URGENT"}, (400, 106000)),
        ({"customParameters": {"replySmsCount": True}}, (400, 106000)),
        ({"customParameters": [{"key": "a", "value": "b"}]}, (400, 106000)),
        ({"sendRequestMessages": []}, (400, 106000)),
        ({"webhook": "https://sms.example.com"}, (400, 106000)),
    ],
)
async def test_a_request_that_is_wrong_as_a_whole_sends_nothing(link, fields, expected):
    """Platform, gates, validity and every field's type are checked before any message is looked at."""
    messages = fields.pop("sendRequestMessages", [link.message()])

    assert problem(*await link.batch(messages, **fields)) == expected
    assert len(link.vendor.ledger) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"source": None},
        {"destination": None},
        {"sourceTON": "SHORTCODE"},
        {"dcs": "UTF8"},
        {"refId": 7},
        {"userData": ["Hello"]},
        {"text": "Hello"},
    ],
)
async def test_a_message_that_is_no_message_makes_the_request_invalid(link, fields):
    """A missing, unknown or mistyped field of a message is answered 400, alone and in a batch."""
    single = link.shared() | link.message(**fields)
    alone = (await link.ask("POST", "/sms/send", single))[:2]
    together = await link.batch([link.message(), link.message(**fields)])

    assert problem(*alone) == problem(*together) == (400, 106000)
    assert len(link.vendor.ledger) == 0


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(link, body):
    """What cannot be read as a JSON object is answered 400."""
    headers = link.login | {"Content-Type": "application/json"}

    assert problem(*(await link.ask("POST", "/sms/send", body, headers))[:2]) == (400, 106000)


async def test_json_has_to_be_declared(link):
    """A valid body under another content type is refused."""
    body = orjson.dumps(link.shared() | link.message())

    assert problem(*(await link.ask("POST", "/sms/send", body, link.login | FORM))[:2]) == (400, 106000)


@pytest.mark.parametrize(("count", "expected"), [(1000, 200), (1001, 400)])
async def test_a_batch_holds_a_thousand(link, count, expected):
    """A thousand messages are taken at once, and one more is not."""
    status, answer = await link.batch([link.message(f"+4741{place:06d}") for place in range(count)])

    assert status == expected
    assert len(link.vendor.ledger) == (count if expected == 200 else 0)
    if expected == 200:
        assert len({entry["messageId"] for entry in answer}) == count


async def test_another_product_has_another_address(link):
    """A path of another LINK product is answered 404 without a helpful word."""
    status, answer, _ = await link.ask("POST", "/v2/message.json", {})

    assert (status, answer) == (404, b"Not Found")


# Single messages

REFUSED = [
    ({"sourceTON": None}, 2000),
    ({"source": "+4790000001"}, 2000),
    ({"source": "123456789012345"}, 2000),
    ({"source": "9999"}, 2001),
    ({"source": "ACME", "sourceTON": "ALPHANUMERIC"}, 2002),
    ({"source": "1ACME", "sourceTON": "ALPHANUMERIC"}, 2000),
    ({"source": "A", "sourceTON": None}, 2000),
    ({"source": "AcmeAndSons1", "sourceTON": None}, 2000),
    ({"source": "+4790000001", "sourceTON": "MSISDN"}, 2003),
    ({"source": "4790000001", "sourceTON": "MSISDN"}, 2000),
    ({"destinationTON": "SHORTNUMBER"}, 2100),
    ({"destinationTON": "ALPHANUMERIC"}, 2101),
    ({"destination": "4745550100"}, 2106),
    ({"destination": "+47 45550100"}, 2106),
    ({"destination": "+0045550100"}, 2106),
    ({"userData": ""}, 4003),
    ({"userData": "Hi 🎉"}, 4003),
    ({"userData": "x" * (254 * 153 + 1)}, 4003),
    ({"userData": "Hi", "dcs": "BINARY"}, 4003),
    ({"userData": "ab12", "dcs": "BINARY", "userDataHeader": "x"}, 4004),
]


@pytest.mark.parametrize(("fields", "code"), REFUSED)
async def test_a_message_that_cannot_be_sent_has_a_code_of_its_own(link, fields, code):
    """A wrong sender, recipient or text is answered 200 with its result code, and the others in the batch are sent."""
    status, alone = await link.send(**{"to": fields.get("destination", "+4745550100"), **fields})
    together, answer = await link.batch(
        [
            link.message("+4745550101", refId="1"),
            link.message(refId="2", **fields),
            link.message("+4745550102", refId="3"),
        ]
    )

    assert (status, alone["resultCode"], alone["messageId"]) == (200, code, None)
    assert alone["description"]
    assert (together, codes(answer)) == (200, [1005, code, 1005])
    assert [message.recipient for message in link.vendor.ledger] == ["+4745550101", "+4745550102"]


@pytest.mark.parametrize(
    "fields",
    [
        {"userData": "Grüße & ✓"},
        {"userData": "x" * (254 * 153)},
        {"priority": "HIGH", "moReferenceId": "mo-1", "dcs": "UCS2", "destinationTON": "MSISDN"},
        {"useDeliveryReport": False, "deliveryReportGates": []},
        {"relativeValidityTime": 600_000},
        {"customParameters": {"flash.sms": "true"}, "tariff": 0},
    ],
)
async def test_what_the_document_allows_is_taken(link, fields):
    """Each documented field in its documented form is queued."""
    status, answer = await link.send(**fields)

    assert (status, answer["resultCode"], answer["description"]) == (200, 1005, "Queued")


@pytest.mark.parametrize(("minutes", "expected"), [(14, 400), (16, 200), (47 * 60, 200), (49 * 60, 400)])
async def test_an_absolute_validity_is_15_minutes_to_48_hours_ahead(link, sandbox, minutes, expected):
    """The absolute validity has a least and a most."""
    until = datetime.fromtimestamp(sandbox.world.clock.now(), UTC) + timedelta(minutes=minutes)

    assert (await link.send(absoluteValidityTime=until.isoformat()))[0] == expected


async def test_an_account_without_numbers_may_use_any_sender(link, control):
    """As long as nothing is registered, names and numbers of all kinds are taken."""
    await control.ask("DELETE", f"{link.below}/numbers/NO-2333")
    senders = {"ACME": "ALPHANUMERIC", "+4790000001": "MSISDN", "1963": "SHORTNUMBER"}

    taken = [(await link.send(source=source, sourceTON=kind))[1] for source, kind in senders.items()]

    assert [answer["resultCode"] for answer in taken] == [1005, 1005, 1005]


# Answers


async def test_the_answers_have_the_documented_members(link):
    """One message is answered with `description`, a batch with `message`, `refId` and in an order of LINK's own."""
    _, alone = await link.send(customParameters={"replySmsCount": "true"}, userData="x" * 161)
    _, together = await link.batch([link.message(refId="1"), link.message("+4745550101", refId="2")])

    assert alone == {"messageId": alone["messageId"], "resultCode": 1005, "description": "Queued", "smsCount": 2}
    assert [entry["refId"] for entry in together] == ["2", "1"]
    assert set(together[0]) == {"messageId", "refId", "resultCode", "message"}


async def test_parameters_of_the_batch_outweigh_those_of_a_message(link):
    """A custom parameter on top overrides the same one of a message."""
    asked = link.message(customParameters={"replySmsCount": "true"})

    _, own = await link.batch([asked])
    _, overridden = await link.batch([asked], customParameters={"replySmsCount": "false"})

    assert (own[0]["smsCount"], "smsCount" in overridden[0]) == (1, False)


async def test_message_ids_have_to_be_escaped_in_addresses(link):
    """An id is Base64 with `+` and `/`."""
    _, answer = await link.send()

    assert len(answer["messageId"]) == 24
    assert {"+", "/"} <= set(answer["messageId"])


@pytest.mark.parametrize("ignore", [True, None])
async def test_an_ignored_response_is_no_response(link, ignore):
    """With `ignoreResponse`, or without a word about it, the answer is 204 and the message is sent all the same."""
    single = (await link.ask("POST", "/sms/send", link.shared(ignoreResponse=ignore) | link.message()))[:2]
    batch = await link.batch([link.message("+4745550101")], ignoreResponse=ignore)

    assert single == batch == (204, b"")
    assert len(link.vendor.ledger) == 2


async def test_a_repeated_reference_is_sent_again(link):
    """`refId` prevents nothing: the same request twice is two messages under two ids."""
    _, first = await link.send()
    _, second = await link.send()

    assert first["messageId"] != second["messageId"]
    assert len(link.vendor.ledger) == 2


async def test_a_batch_may_be_refused_whole(link):
    """An account can be set to get a 400 for a batch with one bad message, and then nothing of it is sent."""
    await link.change_account(refuse_whole_batches=True)

    answered = await link.batch([link.message(), link.message("45550101")])

    assert problem(*answered) == (400, 106000)
    assert len(link.vendor.ledger) == 0
    assert (await link.batch([link.message()]))[0] == 200


# Magic numbers and opt-outs

REFUSED_BY_NUMBER = {"0150": 2106, "0151": 2205, "0152": 2, "0153": 2104}


@pytest.mark.parametrize(("digits", "code"), REFUSED_BY_NUMBER.items())
async def test_magic_numbers_are_refused_each_for_itself(link, digits, code):
    """A number that is refused at once costs its own message only."""
    _, answer = await link.batch([link.message(f"+474555{digits}", refId="1"), link.message("+4745550100", refId="2")])

    assert codes(answer) == [code, 1005]
    assert {outcome.digits for outcome in OUTCOMES if outcome.refusal} == set(REFUSED_BY_NUMBER)


async def test_an_opted_out_person_is_refused(link, control):
    """Who told LINK to stop a sender is answered 2205 as long as that holds."""
    pair = {"sender": "2333", "recipient": "+4745550100"}
    await control.ask("POST", "/linkmobility/opt-outs", pair)
    stopped = await link.send()
    await control.ask("DELETE", "/linkmobility/opt-outs", pair)

    assert stopped[1]["resultCode"] == 2205
    assert (await link.send())[1]["resultCode"] == 1005


@pytest.mark.parametrize(
    ("digits", "alone", "together"), [("0170", 429, 3), ("0173", 500, 105), ("0172", 429, 3), ("0178", 500, 105)]
)
async def test_trouble_before_sending_concerns_its_own_message(link, digits, alone, together):
    """A throttled or failing message is a 429 or 500 alone, a code of its own in a batch; then once is enough."""
    magic, other = link.message(f"+474555{digits}", refId="1"), link.message("+4745550100", refId="2")

    _, mixed = await link.batch([magic, other])
    _, again = await link.batch([magic, other])
    first, error = await link.send(magic["destination"], userData="Another")
    once = digits in {"0170", "0173"}

    assert codes(mixed) == [together, 1005]
    assert codes(again) == [1005 if once else together, 1005]
    assert problem(first, error) == (alone, 106000)


async def test_a_throttled_request_may_say_when(link, http):
    """Magic 0171 names the seconds to wait."""
    status, _, answer = await link.ask("POST", "/sms/send", link.shared() | link.message("+4745550171"))

    assert (status, answer.headers["Retry-After"]) == (429, "1")


@pytest.mark.parametrize(("digits", "sent"), [("0175", 1), ("0176", 0)])
async def test_a_dropped_connection_may_have_sent(link, digits, sent):
    """A connection that drops leaves the message sent or not; the call log knows that it was dropped."""
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await link.send(f"+474555{digits}")
    await asyncio.sleep(0)

    assert len(link.vendor.ledger) == sent
    assert link.vendor.calls.entries[-1].status == 0


async def test_texts_of_a_batch_meet_their_own_trouble(link):
    """A message that was held back once goes through when it is repeated with the others left out."""
    first = link.message("+4745550170", refId="1", userData="For one")
    second = link.message("+4745550100", refId="2", userData="For another")

    assert codes((await link.batch([second, first]))[1]) == [3, 1005]
    assert codes((await link.batch([first]))[1]) == [1005]


def test_every_reason_has_a_code():
    """Each reason the sandbox knows has a result code."""
    from sandbox.vendors.linkmobility import REPORT_CODES

    assert set(REPORT_CODES) == set(Reason)
