"""46elks, which the custom vendor is shown with: what it takes, what it refuses and how, and what can be read back."""

from __future__ import annotations

import base64
import re
from datetime import datetime
from urllib.parse import urlencode

import aiohttp
import orjson
import pytest

from sandbox.outcomes import Reason, magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.custom import Account, CustomVendor, Number
from tests.sandbox.conftest import PERSON

USER, PASSWORD = "u5a9566c072160b318445d163949bf505", "PasswordOfTheAccount"
OTHER_USER = "u00000000000000000000000000000002"
NUMBER, OTHER_NUMBER = "+46701740605", "+46701740606"
SMS = "/custom/a1/sms"
FORM = "application/x-www-form-urlencoded"


def set_up(sandbox):
    vendor = sandbox.vendor(CustomVendor)
    for user, number in ((USER, NUMBER), (OTHER_USER, OTHER_NUMBER)):
        vendor.accounts.put(user, Account(username=user, password=PASSWORD))
        vendor.numbers.put(number, Number(number=number, account=user))
    return vendor


@pytest.fixture
def elks(sandbox):
    vendor = set_up(sandbox)
    vendor.mischief.faults.slow_seconds = 0.2
    return vendor


def basic(user=USER, password=PASSWORD):
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


async def ask(sandbox, http, method, path, body=b"", *, auth=None, content_type=FORM):
    """Call the API; give status, body (parsed where it is JSON) and headers."""
    headers = {"Authorization": basic() if auth is None else auth, "Content-Type": content_type}
    async with http.request(method, f"{sandbox.base_url}{path}", data=body, headers=headers) as response:
        raw = await response.read()
        said = orjson.loads(raw) if response.content_type == "application/json" else raw.decode()
        return response.status, said, response.headers


async def send(sandbox, http, *, auth=None, path=SMS, **changed):
    """Send a text; `sender` stands for `from`, and `None` leaves a parameter out."""
    changed = {("from" if name == "sender" else name): value for name, value in changed.items()}
    form = {"from": NUMBER, "to": PERSON, "message": "Hello"} | changed
    body = urlencode({name: value for name, value in form.items() if value is not None}).encode()
    return await ask(sandbox, http, "POST", path, body, auth=auth)


def written_in_utc(moment):
    """Tell whether a time is written as 46elks does: ISO 8601 with microseconds and without an offset."""
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", moment) is not None


# Sending


@pytest.mark.parametrize("path", [SMS, "/custom/a1/SMS"])
async def test_a_text_is_created(sandbox, elks, http, path):
    """The answer is 200 with all that the page lists, and the ledger has the message under the answer's id."""
    status, body, _ = await send(sandbox, http, path=path, message="Grüße & 100% = ✓")

    [message] = elks.ledger
    assert status == 200
    assert written_in_utc(body.pop("created"))
    assert body == {
        "status": "created",
        "direction": "outgoing",
        "from": NUMBER,
        "parts": 1,
        "to": PERSON,
        "message": "Grüße & 100% = ✓",
        "cost": 5000,
        "id": message.id,
    }
    assert re.fullmatch(r"s[0-9a-f]{32}", message.id)
    assert (message.account, message.sender, message.recipient) == (USER, NUMBER, PERSON)
    assert message.text == "Grüße & 100% = ✓"


@pytest.mark.parametrize(("text", "parts"), [("x" * 160, 1), ("x" * 161, 2), ("✓" * 70, 1), ("✓" * 71, 2)])
async def test_a_long_text_costs_each_part(sandbox, elks, http, text, parts):
    """A text of several parts is one message that costs as much as its parts, and the account pays it."""
    _, before, _ = await ask(sandbox, http, "GET", "/custom/a1/me")

    _, body, _ = await send(sandbox, http, message=text)

    _, after, _ = await ask(sandbox, http, "GET", "/custom/a1/me")
    assert (body["parts"], body["cost"]) == (parts, 5000 * parts)
    assert before["balance"] - after["balance"] == 5000 * parts
    assert len(elks.ledger) == 1


async def test_the_same_request_twice_is_two_texts(sandbox, elks, http):
    """46elks knows no id of its customers', so whoever repeats a request sends twice."""
    ids = {(await send(sandbox, http))[1]["id"] for _ in range(2)}

    assert len(ids) == len(elks.ledger) == 2


@pytest.mark.parametrize("sender", ["ElkCo", "The Elks", "a1.b2", "Abcdefghijk"])
async def test_a_text_sender_id_belongs_to_anybody(sandbox, elks, http, sender):
    """3 to 11 letters, digits, blanks and full stops that begin with a letter are a sender."""
    status, body, _ = await send(sandbox, http, sender=sender)

    assert (status, body["from"]) == (200, sender)


async def test_an_account_without_numbers_sends_from_any(sandbox, elks, http):
    """As long as an account names no number it may send from any that is nobody else's."""
    elks.numbers.remove(NUMBER)

    status, _, _ = await send(sandbox, http, sender="+46701740699")
    refused, _, _ = await send(sandbox, http, sender=OTHER_NUMBER)

    assert (status, refused) == (200, 403)


async def test_a_dry_run_sends_nothing_and_costs_nothing(sandbox, elks, http):
    """With dryrun=yes the request is checked and the cost estimated; there is no id, for there is no message."""
    status, body, _ = await send(sandbox, http, dryrun="yes", message="x" * 161)
    refused, _, _ = await send(sandbox, http, dryrun="yes", to="070")

    assert (status, refused) == (200, 403)
    assert body["estimated_cost"] == 10000
    assert not {"id", "cost", "created"} & set(body)
    assert len(elks.ledger) == 0
    assert elks.accounts.get(USER).balance == Account(username=USER, password=PASSWORD).balance


async def test_unlisted_parameters_and_flash_are_taken(sandbox, elks, http):
    """flashsms, and what no page lists, changes nothing that the sandbox shows."""
    status, body, _ = await send(sandbox, http, flashsms="yes", colour="green")

    assert (status, body["status"]) == (200, "created")


WRONG = {
    "no from": ({"sender": None}, "Missing key from"),
    "no to": ({"to": None}, "Missing key to"),
    "no message": ({"message": None}, "Missing key message"),
    "empty message": ({"message": ""}, "Missing key message"),
    "to without plus": ({"to": "46701740699"}, "Invalid to number"),
    "national to": ({"to": "0701740699"}, "Invalid to number"),
    "to a name": ({"to": "ElkCo"}, "Invalid to number"),
    "short sender": ({"sender": "El"}, "Invalid from"),
    "long sender": ({"sender": "Abcdefghijkl"}, "Invalid from"),
    "sender in digits": ({"sender": "46701740605"}, "Invalid from"),
    "sender begins with a digit": ({"sender": "1Elk"}, "Invalid from"),
    "sender of others": ({"sender": OTHER_NUMBER}, "Invalid from number"),
    "sender not registered": ({"sender": "+46701740699"}, "Invalid from number"),
    "relative address": ({"whendelivered": "/report"}, "Invalid whendelivered"),
    "address without host": ({"whendelivered": "https://"}, "Invalid whendelivered"),
    "address with a blank": ({"whendelivered": "https://sms.example.com/a b"}, "Invalid whendelivered"),
    "address with a wrong port": ({"whendelivered": "https://sms.example.com:x/"}, "Invalid whendelivered"),
}


@pytest.mark.parametrize(("changed", "words"), WRONG.values(), ids=WRONG.keys())
async def test_wrong_requests_are_refused_in_plain_text(sandbox, elks, http, changed, words):
    """What is wrong is said in plain text under 403, and nothing is sent or paid."""
    status, said, headers = await send(sandbox, http, **changed)

    assert (status, said) == (403, words)
    assert headers["Content-Type"].startswith("text/plain")
    assert len(elks.ledger) == 0


async def test_json_is_no_form(sandbox, elks, http):
    """The API takes forms only; JSON counts as a request without parameters."""
    body = orjson.dumps({"from": NUMBER, "to": PERSON, "message": "Hello"})

    status, said, _ = await ask(sandbox, http, "POST", SMS, body, content_type="application/json")

    assert (status, said) == (403, "Missing key from")


async def test_nothing_left_sends_nothing(sandbox, elks, http, control):
    """An account whose balance is used up is refused with 403 until it is filled up again."""
    account = {"username": USER, "password": PASSWORD, "balance": 5000}
    await control.ask("POST", "/custom/accounts", account, status=201)

    statuses = [(await send(sandbox, http, message=text))[:2] for text in ("one", "two")]

    assert statuses[0][0] == 200
    assert statuses[1] == (403, "Not enough credits")
    assert len(elks.ledger) == 1


@pytest.mark.parametrize(
    "auth",
    [
        "",
        "Basic",
        "Basic !",
        "Basic /w==",
        f"Bearer {PASSWORD}",
        basic(password="wrong"),
        basic(user="u1"),
        basic(password=""),
        basic().replace("Basic", "Bearer"),
    ],
)
async def test_wrong_credentials_are_refused(sandbox, elks, http, auth):
    """Whoever is not the account gets 401 with the words and the header that were recorded, wherever it asks."""
    for method, path in (
        ("POST", SMS),
        ("GET", SMS),
        ("GET", f"{SMS}/s1"),
        ("GET", "/custom/a1/me"),
        ("GET", "/custom"),
    ):
        status, said, headers = await ask(sandbox, http, method, path, auth=auth)

        assert (status, headers["WWW-Authenticate"]) == (401, 'Basic realm="46elks API"')
        assert said.startswith("API access require")
    assert len(elks.ledger) == 0


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/custom/a1/nothing"), ("DELETE", SMS), ("POST", "/custom/a2/sms")]
)
async def test_what_is_not_there_is_not_found(sandbox, elks, http, method, path):
    """Other paths and methods are 404 in plain text."""
    assert (await ask(sandbox, http, method, path))[:2] == (404, "Not found")


# Magic numbers and faults


async def test_a_number_that_cannot_be_is_refused(sandbox, elks, http):
    """0150 is refused at once, as was recorded; 46elks refuses no other recipient."""
    status, said, _ = await send(sandbox, http, to=magic_number("0150"))

    assert (status, said) == (403, "Invalid to number")
    assert len(elks.ledger) == 0


@pytest.mark.parametrize("digits", ["0151", "0152", "0153", "0164", "0165", "0167", "0168"])
async def test_what_stands_against_a_text_is_told_later(sandbox, elks, http, digits):
    """A text that others would refuse is created, paid, and then failed."""
    status, body, _ = await send(sandbox, http, to=magic_number(digits))
    await sandbox.idle()

    _, later, _ = await ask(sandbox, http, "GET", f"{SMS}/{body['id']}")
    assert (status, body["status"], later["status"]) == (200, "created", "failed")
    assert "delivered" not in later


async def test_whoever_opted_out_gets_nothing(sandbox, elks, http, control):
    """A text to a person on the list of opt-outs is created and then failed."""
    await control.ask("POST", "/custom/opt-outs", {"sender": NUMBER, "recipient": PERSON}, status=201)

    await send(sandbox, http)
    await sandbox.idle()

    [message] = elks.ledger
    assert (message.state, message.reason) == ("failed", Reason.OPTED_OUT)


async def test_what_no_carrier_confirms_stays_sent(sandbox, elks, http):
    """A text of which the carrier tells nothing stays as it was when it left."""
    await send(sandbox, http, to=magic_number("0169"))
    await sandbox.idle()

    [message] = elks.ledger
    assert message.state == "sent"


@pytest.mark.parametrize(
    ("digits", "answers", "sent"),
    [
        ("0170", [(429, None), (200, None), (200, None)], 2),
        ("0171", [(429, "1"), (200, None), (200, None)], 2),
        ("0172", [(429, None)] * 3, 0),
        ("0173", [(500, None), (200, None), (200, None)], 2),
        ("0174", [(500, None), (200, None), (200, None)], 3),
        ("0175", [(0, None), (200, None), (200, None)], 3),
        ("0176", [(0, None), (200, None), (200, None)], 2),
        ("0177", [(200, None)] * 3, 3),
        ("0178", [(500, None)] * 3, 0),
        ("0179", [(0, None)] * 3, 3),
    ],
)
async def test_troubles_on_the_wire(sandbox, elks, http, digits, answers, sent):
    """Each trouble answers as promised, and the ledger tells what was really sent."""
    got = []
    for _ in range(3):
        try:
            status, _, headers = await send(sandbox, http, to=magic_number(digits))
        except aiohttp.ClientError:
            status, headers = 0, {}
        got.append((status, headers.get("Retry-After")))

    assert answers == got
    assert len(elks.ledger) == sent


async def test_faults_on_demand(sandbox, elks, http, control):
    """Rates of faults work as at every vendor."""
    await control.ask("PUT", "/custom/faults", {"throttle": 1})

    status, said, _ = await send(sandbox, http)

    assert (status, said) == (429, "Too Many Requests")
    [call] = (await control.ask("GET", "/custom/calls"))["items"]
    assert (call["status"], call["trouble"]) == (429, "throttle")
    assert PASSWORD not in str(call)


# Reading back


async def test_a_text_is_read_back(sandbox, elks, http):
    """A text read by its id has its state, its cost, and when it was delivered."""
    _, body, _ = await send(sandbox, http, message="x" * 161)
    await sandbox.idle()

    status, found, _ = await ask(sandbox, http, "GET", f"{SMS}/{body['id']}")

    assert status == 200
    assert written_in_utc(found.pop("created"))
    assert written_in_utc(found.pop("delivered"))
    assert found == {
        "id": body["id"],
        "direction": "outgoing",
        "from": NUMBER,
        "to": PERSON,
        "message": "x" * 161,
        "status": "delivered",
        "cost": 10000,
    }


async def test_a_text_that_is_not_to_be_kept_is_not_read_back(sandbox, elks, http):
    """With dontlog=message neither the answer nor the record has the text."""
    _, body, _ = await send(sandbox, http, dontlog="message")

    _, found, _ = await ask(sandbox, http, "GET", f"{SMS}/{body['id']}")

    assert body["dontlog"] == "message"
    assert "message" not in body
    assert "message" not in found


async def test_others_do_not_read_along(sandbox, elks, http):
    """Another account neither finds a text by its id nor in its history."""
    _, body, _ = await send(sandbox, http)
    other = basic(user=OTHER_USER)

    assert (await ask(sandbox, http, "GET", f"{SMS}/{body['id']}", auth=other))[:2] == (404, "Not found")
    assert (await ask(sandbox, http, "GET", SMS, auth=other))[1] == {"data": []}


async def test_the_history_goes_back_page_by_page(sandbox, elks, http, control):
    """The newest comes first; `next` as `start` gives the page behind, and `end` bounds how far back."""
    ids = []
    for number in range(5):
        await control.ask("POST", "/clock", {"seconds": 1})
        ids.append((await send(sandbox, http, message=f"Text {number}"))[1]["id"])

    _, first, _ = await ask(sandbox, http, "GET", f"{SMS}?limit=2")
    _, second, _ = await ask(sandbox, http, "GET", f"{SMS}?limit=2&start={first['next']}")
    _, last, _ = await ask(sandbox, http, "GET", f"{SMS}?limit=2&start={second['next']}")
    _, bounded, _ = await ask(sandbox, http, "GET", f"{SMS}?end={second['data'][0]['created']}")

    pages = [[entry["id"] for entry in page["data"]] for page in (first, second, last, bounded)]
    assert pages == [[ids[4], ids[3]], [ids[2], ids[1]], [ids[0]], [ids[4], ids[3]]]
    assert "next" not in last


async def test_the_history_of_one_person(sandbox, elks, http):
    """`to` leaves only what went to this number."""
    await send(sandbox, http)
    await send(sandbox, http, to="+12065550124")

    _, page, _ = await ask(sandbox, http, "GET", f"{SMS}?to=%2B12065550124")

    assert [entry["to"] for entry in page["data"]] == ["+12065550124"]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=-1", "start=yesterday", "end=9"])
async def test_a_history_cannot_be_bounded_by_nonsense(sandbox, elks, http, query):
    """Bounds that are none are refused."""
    status, said, _ = await ask(sandbox, http, "GET", f"{SMS}?{query}")

    assert (status, said) == (403, f"Invalid {query.partition('=')[0]}")


@pytest.mark.parametrize("path", ["/custom/a1/me", "/custom/a1/Me"])
async def test_the_account_describes_itself(sandbox, elks, http, path):
    """An account reads its own id, currency and balance."""
    status, found, _ = await ask(sandbox, http, "GET", path)

    assert (status, found["id"], found["currency"]) == (200, USER, "SEK")
    assert found["balance"] == elks.accounts.get(USER).balance


# Control


async def test_accounts_and_numbers_over_the_control_api(sandbox, http, control):
    """An account is made, sends, gets a number, and goes with all it has; its password and addresses stay hidden."""
    place = f"/custom/accounts/{USER}"
    sandbox.vendor(CustomVendor).numbers.put(OTHER_NUMBER, Number(number=OTHER_NUMBER, account=OTHER_USER))
    await control.ask("POST", "/custom/accounts", {"username": USER, "password": PASSWORD}, status=201)
    number = {"number": NUMBER, "sms_url": "https://user:word@sms.example.com/inbound/t0ken"}
    shown = await control.ask("POST", f"{place}/numbers", number, status=201)

    assert shown["sms_url"] == "https://sms.example.com/***"
    assert await control.ask("GET", f"{place}/numbers") == [shown]
    assert (await send(sandbox, http))[0] == 200
    everything = str(await control.ask("GET", "/custom")) + str(await control.ask("GET", "/custom/accounts"))
    assert USER in everything
    assert not [secret for secret in (PASSWORD, "t0ken", "word@") if secret in everything]
    await control.ask("DELETE", place, status=204)
    assert (await send(sandbox, http))[0] == 401
    assert sandbox.vendor(CustomVendor).numbers.get(NUMBER) is None


async def test_a_number_can_be_taken_back(sandbox, elks, control):
    """A number that was deleted is nobody's, and texts to it are refused."""
    await control.ask("DELETE", f"/custom/accounts/{USER}/numbers/{NUMBER}", status=204)

    inbound = {"from": PERSON, "to": NUMBER, "text": "Hi"}
    refused = await control.ask("POST", "/custom/inbound", inbound, status=400)

    assert "register the number" in refused["error"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "", {"username": "a:b", "password": "x"}, 400),
        ("POST", "", {"username": "u1"}, 400),
        ("DELETE", "/nobody", None, 404),
        ("GET", "/nobody/numbers", None, 404),
        ("POST", f"/{USER}/numbers", {"number": "ElkCo"}, 400),
        ("POST", f"/{USER}/numbers", {"number": OTHER_NUMBER}, 400),
        ("POST", f"/{USER}/numbers", {"number": NUMBER, "sms_url": "ftp://x"}, 400),
        ("DELETE", f"/{USER}/numbers/{OTHER_NUMBER}", None, 404),
    ],
)
async def test_mistakes_at_the_control_api(sandbox, elks, control, method, path, body, status):
    """What cannot be is refused, and nothing changes."""
    before = (list(elks.accounts), list(elks.numbers))

    await control.ask(method, f"/custom/accounts{path}", body, status=status)

    assert before == (list(elks.accounts), list(elks.numbers))


async def test_a_restart_keeps_everything(tmp_path, http):
    """Accounts with their balance, numbers, messages and their states come back from the file."""
    data = tmp_path / "sandbox.jsonl"
    async with running_sandbox(data=data) as sandbox:
        set_up(sandbox)
        await send(sandbox, http, dontlog="message")
        await sandbox.idle()
        before = sandbox.vendor(CustomVendor)
        kept = (list(before.accounts), list(before.numbers), list(before.ledger))
    async with running_sandbox(data=data) as sandbox:
        after = sandbox.vendor(CustomVendor)

        assert (list(after.accounts), list(after.numbers), list(after.ledger)) == kept
        assert datetime.fromisoformat((await send(sandbox, http))[1]["created"])
