"""Twilio: creating, reading and listing messages, with the real client and with requests wrong in one thing."""

from __future__ import annotations

import asyncio
import base64
import re
from datetime import UTC, date, datetime, timedelta

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from sandbox.outcomes import magic_number, ordinary_number
from sandbox.testing import running_sandbox
from sandbox.vendors.twilio import Account, Number, Service, TwilioVendor
from tests.sandbox.conftest import PERSON, SENDER, SID, TOKEN

SECONDARY = "f" * 32
OTHER_SID = "AC" + "b" * 32
OTHER_TOKEN = "c" * 32
OTHER_NUMBER = "+14255550101"
SERVICE = "MG" + "0" * 31 + "1"
EMPTY_SERVICE = "MG" + "0" * 31 + "2"
FOREIGN_SERVICE = "MG" + "0" * 31 + "3"
KEY_SID, KEY_SECRET = "SK" + "1" * 32, "shh"
MESSAGES = f"/2010-04-01/Accounts/{SID}/Messages.json"


@pytest.fixture
def twilio(sandbox):
    return set_up(sandbox)


def set_up(sandbox):
    vendor = sandbox.vendor(TwilioVendor)
    account = Account(sid=SID, token=TOKEN, secondary=SECONDARY, api_keys={KEY_SID: KEY_SECRET})
    vendor.accounts.put(SID, account)
    vendor.accounts.put(OTHER_SID, Account(sid=OTHER_SID, token=OTHER_TOKEN))
    for number, owner in ((SENDER, SID), ("12345", SID), ("Contoso", SID), (OTHER_NUMBER, OTHER_SID)):
        vendor.numbers.put(number, Number(number=number, account=owner))
    vendor.services.put(SERVICE, Service(sid=SERVICE, account=SID, numbers=[SENDER]))
    vendor.services.put(EMPTY_SERVICE, Service(sid=EMPTY_SERVICE, account=SID))
    vendor.services.put(FOREIGN_SERVICE, Service(sid=FOREIGN_SERVICE, account=OTHER_SID, numbers=[OTHER_NUMBER]))
    return vendor


def client_of(sandbox, prefix="", sid=SID, token=TOKEN):
    client = Client(sid, token)
    client.api.base_url = sandbox.base_url + prefix
    return client


async def create(sandbox, http, *, user=SID, secret=TOKEN, path=MESSAGES, method="POST", data=None, **fields):
    """Make a raw request; give status, parsed body and headers."""
    form = {"To": PERSON, "From": SENDER, "Body": "Hello", **fields} if data is None else None
    form = {name: value for name, value in form.items() if value is not None} if form else data
    basic = base64.b64encode(f"{user}:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"} if user else {}
    if isinstance(form, bytes):
        headers["Content-Type"] = "application/json"
    async with http.request(method, sandbox.base_url + path, data=form, headers=headers) as response:
        return response.status, await response.json(content_type=None), response.headers


@pytest.mark.parametrize("prefix", ["", "/twilio"])
async def test_the_real_client_sends(sandbox, twilio, prefix):
    """The unchanged sync client sends, reads and checks its account, at the root and below a path."""

    def talk():
        client = client_of(sandbox, prefix)
        sent = client.messages.create(to=PERSON, from_=SENDER, body="Grüße & 100% = ✓")
        return sent, client.messages(sent.sid).fetch(), client.api.accounts(SID).fetch()

    sent, fetched, account = await asyncio.to_thread(talk)

    [message] = twilio.ledger
    assert ("queued", message.id, None) == (sent.status, sent.sid, sent.date_sent)
    assert (fetched.sid, fetched.body) == (message.id, "Grüße & 100% = ✓")
    assert account.status == "active"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Twilio's client uses what aiohttp 4 will drop
async def test_the_real_async_client_sends(sandbox, twilio):
    """The async client's raw request, as the design recommends it, is accepted."""
    async with AsyncTwilioHttpClient() as http_client:
        client = Client(SID, TOKEN, http_client=http_client)
        form = {"To": PERSON, "From": SENDER, "Body": "Hello", "ProvideFeedback": "true"}
        response = await client.request_async("POST", sandbox.base_url + MESSAGES, data=form)

    assert response.status_code == 201
    assert len(twilio.ledger) == 1


async def test_the_answer_has_the_documented_shape(sandbox, twilio, http):
    """The 201 has every documented field: dates as mail dates, counts as texts, ids of 34 characters."""
    status, body, headers = await create(sandbox, http, Body="€" * 81)

    assert status == 201
    assert set(body) == {
        "account_sid",
        "api_version",
        "body",
        "date_created",
        "date_sent",
        "date_updated",
        "direction",
        "error_code",
        "error_message",
        "from",
        "messaging_service_sid",
        "num_media",
        "num_segments",
        "price",
        "price_unit",
        "sid",
        "status",
        "subresource_uris",
        "to",
        "uri",
    }
    assert re.fullmatch(r"SM[0-9a-f]{32}", body["sid"])
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000", body["date_created"])
    assert (body["num_segments"], body["num_media"], body["direction"]) == ("2", "0", "outbound-api")
    assert body["uri"] == f"/2010-04-01/Accounts/{SID}/Messages/{body['sid']}.json"
    assert re.fullmatch(r"RQ[0-9a-f]{32}", headers["Twilio-Request-Id"])
    assert headers["Twilio-Concurrent-Requests"] == "1"


async def test_a_service_accepts_first_and_chooses_later(sandbox, twilio, http):
    """Sent through a Messaging Service, the answer says accepted, no sender and no segments yet."""
    _, body, _ = await create(sandbox, http, From=None, MessagingServiceSid=SERVICE)

    assert (body["status"], body["from"], body["num_segments"]) == ("accepted", None, "0")
    assert body["messaging_service_sid"] == SERVICE
    await sandbox.idle()
    _, later, _ = await create(sandbox, http, method="GET", path=body["uri"], data={})
    assert (later["status"], later["from"], later["num_segments"]) == ("delivered", SENDER, "1")


@pytest.mark.parametrize(
    ("credentials", "status", "code"),
    [
        ({"user": None}, 401, 20003),
        ({"secret": "wrong"}, 401, 20003),
        ({"user": OTHER_SID, "secret": OTHER_TOKEN}, 401, 20003),
        ({"user": "AC" + "9" * 32}, 401, 20003),
        ({"path": MESSAGES.replace(SID, "AC" + "9" * 32)}, 404, 20404),
        ({"path": MESSAGES.replace("Messages", "Messsages")}, 404, 20404),
        ({"path": MESSAGES.removesuffix(".json")}, 404, 20404),
    ],
)
async def test_wrong_credentials_and_paths_are_refused(sandbox, twilio, http, credentials, status, code):
    """Wrong credentials get 20003, unknown resources 20404, both in the classic error shape."""
    got, body, _ = await create(sandbox, http, **credentials)

    assert (got, body["code"], body["status"]) == (status, code, status)
    assert body["more_info"] == f"https://www.twilio.com/docs/errors/{code}"
    assert len(twilio.ledger) == 0


@pytest.mark.parametrize("credentials", [(SID, TOKEN), (SID, SECONDARY), (KEY_SID, KEY_SECRET)])
async def test_every_kind_of_credential_opens_the_api(sandbox, twilio, http, credentials):
    """Primary token, secondary token and API key all send."""
    user, secret = credentials

    status, _, _ = await create(sandbox, http, user=user, secret=secret)

    assert status == 201


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"To": None}, 400, 21604),
        ({"To": "4255550123"}, 400, 21211),
        ({"To": "+1425555"}, 400, 21211),
        ({"To": "+142555501234"}, 400, 21211),
        ({"From": None}, 400, 21603),
        ({"From": "not a sender, surely"}, 400, 21212),
        ({"From": "4255550100"}, 400, 21212),
        ({"From": "+12065550100"}, 400, 21659),
        ({"From": OTHER_NUMBER}, 400, 21660),
        ({"From": "Contoso"}, 400, 21612),
        ({"To": SENDER}, 400, 21266),
        ({"From": None, "MessagingServiceSid": "MG" + "9" * 32}, 404, 21701),
        ({"From": None, "MessagingServiceSid": FOREIGN_SERVICE}, 404, 21701),
        ({"From": None, "MessagingServiceSid": EMPTY_SERVICE}, 400, 21704),
        ({"Body": None}, 400, 21602),
        ({"Body": ""}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"StatusCallback": "/callbacks"}, 400, 21609),
        ({"StatusCallback": "ftp://example.com/x"}, 400, 21609),
        ({"StatusCallback": "https://my_host.example.com/x"}, 400, 21609),
        ({"StatusCallback": "https:///x"}, 400, 21609),
        ({"StatusCallback": "https://host:port/x"}, 400, 21609),
        ({"ValidityPeriod": "0"}, 400, 21624),
        ({"ValidityPeriod": "36001"}, 400, 21624),
        ({"ValidityPeriod": "60.5"}, 400, 21624),
        ({"ProvideFeedback": "True"}, 400, 20001),
        ({"SmartEncoded": "1"}, 400, 20001),
        ({"ShortenUrls": "true"}, 400, 20001),
        ({"ScheduleType": "fixed"}, 400, 35111),
        ({"ScheduleType": "fixed", "SendAt": "2030-01-01T00:00:00Z"}, 400, 35118),
    ],
)
async def test_a_parameter_that_does_not_fit_has_its_own_code(sandbox, twilio, http, fields, status, code):
    """Each documented mistake is refused with Twilio's code for it, and nothing is sent."""
    got, body, _ = await create(sandbox, http, **fields)

    assert (got, body["code"]) == (status, code)
    assert len(twilio.ledger) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"Body": "x" * 1600},
        {"ValidityPeriod": "1"},
        {"ValidityPeriod": "36000"},
        {"ProvideFeedback": "true", "SmartEncoded": "false"},
        {"StatusCallback": "http://127.0.0.1:9/x?m=1#rc=0"},
        {"From": "12345"},
        {"From": "Contoso", "To": "+4915115550123"},
        {"MaxPrice": "0.05", "Unheard": "of"},
    ],
)
async def test_the_limits_themselves_are_accepted(sandbox, twilio, http, fields):
    """What is just inside a limit goes through, and unknown parameters are ignored."""
    status, _, _ = await create(sandbox, http, **fields)

    assert status == 201


async def test_json_is_no_form(sandbox, twilio, http):
    """A JSON body is not read at all, so the first thing missing is To."""
    status, body, _ = await create(sandbox, http, data=b'{"To": "+12065550123"}')

    assert (status, body["code"]) == (400, 21604)


async def test_the_client_raises_with_the_code(sandbox, twilio):
    """Through the real client a refusal is a TwilioRestException with Twilio's code."""

    def send():
        client_of(sandbox).messages.create(to=magic_number("0150"), from_=SENDER, body="Hello")

    with pytest.raises(TwilioRestException) as caught:
        await asyncio.to_thread(send)

    assert (caught.value.status, caught.value.code) == (400, 21211)


async def test_lists_are_paged_filtered_and_newest_first(sandbox, twilio, http):
    """The real client walks all pages of one recipient's messages, newest first, and sees no other's."""
    for index in range(7):
        await create(sandbox, http, Body=f"text {index}")
        await create(sandbox, http, To=ordinary_number(index), Body="another")
    await sandbox.idle()

    def listed(**filters):
        messages = client_of(sandbox, "/twilio").messages
        return [message.body for message in messages.list(page_size=3, **filters)]

    today = datetime.now(UTC).date()
    assert await asyncio.to_thread(listed, to=PERSON) == [f"text {index}" for index in reversed(range(7))]
    assert len(await asyncio.to_thread(listed, from_=SENDER)) == 14
    assert len(await asyncio.to_thread(listed, to=PERSON, date_sent=today)) == 7
    assert await asyncio.to_thread(listed, to=PERSON, date_sent_before=date(2020, 1, 1)) == []
    assert len(await asyncio.to_thread(listed, to=PERSON, date_sent_after=today - timedelta(days=1))) == 7
    assert await asyncio.to_thread(listed, to="+12065550124") == []


async def test_a_message_not_sent_yet_has_no_date_to_filter_by(sandbox, twilio, http):
    """A queued message is in the plain list and hidden by any DateSent filter."""
    await create(sandbox, http, To=magic_number("0180"))
    today = datetime.now(UTC).date().isoformat()

    _, plain, _ = await create(sandbox, http, method="GET", path=MESSAGES, data={})
    _, dated, _ = await create(sandbox, http, method="GET", path=f"{MESSAGES}?DateSent={today}", data={})

    assert (len(plain["messages"]), len(dated["messages"])) == (1, 0)


async def test_new_messages_do_not_shift_a_page(sandbox, twilio, http):
    """A message that arrives while a list is read neither repeats nor hides another."""
    for index in range(4):
        await create(sandbox, http, Body=f"text {index}")
    _, first, _ = await create(sandbox, http, method="GET", path=f"{MESSAGES}?PageSize=2", data={})
    await create(sandbox, http, Body="late")

    _, second, _ = await create(sandbox, http, method="GET", path=first["next_page_uri"], data={})

    bodies = [message["body"] for page in (first, second) for message in page["messages"]]
    assert bodies == ["text 3", "text 2", "text 1", "text 0"]
    assert second["next_page_uri"] is None


async def test_messages_of_another_account_are_not_found(sandbox, twilio, http):
    """Nobody reads another account's message."""
    _, body, _ = await create(sandbox, http)
    path = body["uri"].replace(SID, OTHER_SID)

    status, error, _ = await create(
        sandbox,
        http,
        method="GET",
        path=path,
        data={},
        user=OTHER_SID,
        secret=OTHER_TOKEN,
    )

    assert (status, error["code"]) == (404, 20404)


async def test_a_scheduled_message_can_be_canceled(http):
    """A message scheduled ahead waits, can be cancelled once, and is not sent."""
    async with running_sandbox(time_scale=1) as sandbox:
        twilio = set_up(sandbox)
        due = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        form = {"From": None, "MessagingServiceSid": SERVICE, "ScheduleType": "fixed", "SendAt": due}
        _, body, _ = await create(sandbox, http, **form)
        form["SendAt"] = datetime.now(UTC).isoformat()
        _, too_soon, _ = await create(sandbox, http, **form)

        _, canceled, _ = await create(sandbox, http, path=body["uri"], data={"Status": "canceled"})
        status, again, _ = await create(sandbox, http, path=body["uri"], data={"Status": "canceled"})
        await sandbox.idle()

    assert (body["status"], canceled["status"]) == ("scheduled", "canceled")
    assert too_soon["code"] == 35114
    assert (status, again["code"]) == (400, 30409)
    assert [message.state for message in twilio.ledger] == ["canceled"]
