"""Infobip: sending, duplicates, logs and reports, with raw requests and with requests wrong in one thing."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

import aiohttp
import pytest

from sandbox.clock import Clock
from sandbox.outcomes import Reason, magic_number, ordinary_number
from sandbox.testing import running_sandbox
from sandbox.vendors.infobip import FAILURES, REFUSALS, Account, ApiKey, InfobipVendor, Number
from tests.sandbox.conftest import PERSON, SENDER, until

KEY = "003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9"
SEND_KEY, LOG_KEY, OTHER_KEY = "send-only-key-0001", "logs-only-key-0001", "other-accounts-key-1"
OTHER_SENDER = "+14255550101"
MESSAGES, LOGS, REPORTS, INBOX = "/sms/3/messages", "/sms/3/logs", "/sms/3/reports", "/sms/1/inbox/reports"
DAY = 86400


@pytest.fixture
def infobip(sandbox):
    return set_up(sandbox)


def set_up(sandbox, *numbers):
    """Make an account with three keys and some numbers, and another account."""
    vendor = sandbox.vendor(InfobipVendor)
    keys = (
        ApiKey(key=KEY),
        ApiKey(key=SEND_KEY, scopes=("sms:message:send",)),
        ApiKey(key=LOG_KEY, scopes=("sms:logs:read",)),
    )
    vendor.accounts.put("one", Account(name="one", keys=keys))
    vendor.accounts.put("two", Account(name="two", keys=(ApiKey(key=OTHER_KEY),)))
    for number in numbers or (SENDER, "12345", "Contoso"):
        vendor.numbers.put(number.removeprefix("+"), Number(number=number.removeprefix("+"), account="one"))
    vendor.numbers.put(OTHER_SENDER[1:], Number(number=OTHER_SENDER[1:], account="two"))
    return vendor


async def ask(sandbox, http, method, path, body=None, *, key=KEY, headers=None, **data):
    """Make a request below `/infobip`; give status, parsed body and headers."""
    headers = {"Authorization": f"App {key}"} if headers is None else headers
    if body is not None:
        data["json"] = body
    async with http.request(method, f"{sandbox.base_url}/infobip{path}", headers=headers, **data) as response:
        text = await response.json(content_type=None) if response.status != 204 else None
        return response.status, text, response.headers


def message(*people, text="Hello", sender=SENDER, ids=None, **more):
    """Build one message to some people, who get ids in order."""
    ids = ids or [f"id-{person[-4:]}-{text}" for person in people]
    destinations = [
        {"to": person.removeprefix("+"), "messageId": name} for person, name in zip(people, ids, strict=True)
    ]
    return {"sender": sender.removeprefix("+"), "destinations": destinations, "content": {"text": text}, **more}


async def send(sandbox, http, *messages, key=KEY, **options):
    """Send messages; one to a person when none are given."""
    body = {"messages": list(messages) or [message(PERSON)]} | ({"options": options} if options else {})
    return await ask(sandbox, http, "POST", MESSAGES, body, key=key)


def statuses(answer):
    return [(entry["messageId"], entry["status"]["id"], entry["status"]["groupName"]) for entry in answer["messages"]]


async def test_messages_are_taken_each_with_an_entry(sandbox, infobip, http):
    """One answer of 200 has an entry for each recipient, under the customer's id, numbers without plus."""
    status, body, _ = await send(
        sandbox,
        http,
        message(PERSON, "+12065550124", ids=["01J-1", "01J-2"]),
        message("+12065550125", text="Other", ids=["01J-3"]),
    )

    assert status == 200
    assert body["bulkId"]
    assert body["messages"][0] == {
        "messageId": "01J-1",
        "destination": PERSON[1:],
        "status": {
            "groupId": 1,
            "groupName": "PENDING",
            "id": 26,
            "name": "PENDING_ACCEPTED",
            "description": "Message sent to next instance",
        },
    }
    assert statuses(body) == [("01J-1", 26, "PENDING"), ("01J-2", 26, "PENDING"), ("01J-3", 26, "PENDING")]
    assert [(sent.id, sent.sender, sent.recipient, sent.text) for sent in infobip.ledger] == [
        ("01J-1", SENDER, PERSON, "Hello"),
        ("01J-2", SENDER, "+12065550124", "Hello"),
        ("01J-3", SENDER, "+12065550125", "Other"),
    ]


async def test_ids_and_counts_are_given_when_asked_for(sandbox, infobip, http):
    """Without an id the vendor draws one; the bulk keeps its name; parts are counted on demand only."""
    body = message(PERSON, text="x" * 161)
    del body["destinations"][0]["messageId"]

    _, answer, _ = await send(sandbox, http, body, schedule={"bulkId": "batch-7"}, includeSmsCountInResponse=True)

    [entry] = answer["messages"]
    assert uuid.UUID(entry["messageId"])
    assert (answer["bulkId"], entry["details"]) == ("batch-7", {"messageCount": 2})


async def test_every_option_of_the_page_is_taken(sandbox, infobip, http):
    """The fully featured request of the vendor's page is taken as it stands."""
    window = {"days": ["MONDAY"], "from": {"hour": 6, "minute": 0}, "to": {"hour": 15, "minute": 30}}
    options = {
        "platform": {"entityId": "e1", "applicationId": "a1"},
        "validityPeriod": {"amount": 720, "timeUnit": "HOURS"},
        "deliveryTimeWindow": window,
        "campaignReferenceId": "summersale",
        "regional": {
            "indiaDlt": {"principalEntityId": "1", "contentTemplateId": "2", "telemarketerId": "3"},
            "turkeyIys": {"recipientType": "TACIR", "brandCode": 4},
            "southKorea": {"title": "T", "resellerCode": 5},
        },
        "flash": True,
    }
    delivery = {"url": "https://www.example.com/sms/advanced", "intermediateReport": False, "notify": False}
    webhooks = {"delivery": delivery, "contentType": "application/json", "callbackData": "DLR callback data"}
    body = message(PERSON, options=options, webhooks=webhooks)
    body["content"] |= {"transliteration": "TURKISH", "language": {"languageCode": "TR", "singleShift": True}}
    body["destinations"][0]["networkId"] = 3

    status, answer, _ = await send(
        sandbox,
        http,
        body,
        schedule={"bulkId": "B", "sendingSpeedLimit": {"amount": 600, "timeUnit": "MINUTE"}},
        tracking={"shortenUrl": True, "trackClicks": True, "trackingUrl": "https://example.com/click-report"},
        conversionTracking={"useConversionTracking": True, "conversionTrackingName": "MY_CAMPAIGN"},
    )

    assert status == 200, answer
    assert answer["messages"][0]["status"]["id"] == 26


def with_wrong(path, value):
    """Build a request that is wrong in one place."""
    body = {"messages": [message(PERSON)]}
    place = body
    *way, last = path
    for step in way:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    place[last] = value
    return body


FIRST = ("messages", 0)


@pytest.mark.parametrize(
    ("path", "value", "violated"),
    [
        (("messages",), [], "messages"),
        (("from",), "ACME", "from"),
        ((*FIRST, "from"), "ACME", "messages[0].from"),
        ((*FIRST, "text"), "Hello", "messages[0].text"),
        ((*FIRST, "sender"), 14255550100, "messages[0].sender"),
        ((*FIRST, "destinations"), [], "messages[0].destinations"),
        ((*FIRST, "destinations", 0), {"messageId": "x"}, "messages[0].destinations[0].to"),
        ((*FIRST, "destinations", 0, "to"), "1" * 65, "messages[0].destinations[0].to"),
        ((*FIRST, "destinations", 0, "messageId"), "x" * 201, "messages[0].destinations[0].messageId"),
        ((*FIRST, "content"), {}, "messages[0].content.text"),
        ((*FIRST, "content", "transliteration"), "KLINGON", "messages[0].content.transliteration"),
        ((*FIRST, "options", "validityPeriod"), 10, "messages[0].options.validityPeriod"),
        ((*FIRST, "options", "validityPeriod"), {"amount": "10"}, "messages[0].options.validityPeriod.amount"),
        ((*FIRST, "options", "validityPeriod"), {"amount": 0}, "messages[0].options.validityPeriod.amount"),
        (
            (*FIRST, "options", "validityPeriod"),
            {"amount": 5, "timeUnit": "DAYS"},
            "messages[0].options.validityPeriod.timeUnit",
        ),
        (
            (*FIRST, "options", "deliveryTimeWindow"),
            {"days": ["MONDAY"], "from": {"hour": 6, "minute": 0}},
            "messages[0].options.deliveryTimeWindow",
        ),
        (
            (*FIRST, "options", "deliveryTimeWindow"),
            {"days": ["MONDAY"], "from": {"hour": 6, "minute": 0}, "to": {"hour": 6, "minute": 59}},
            "messages[0].options.deliveryTimeWindow",
        ),
        ((*FIRST, "options", "regional", "indiaDlt"), {}, "messages[0].options.regional.indiaDlt.principalEntityId"),
        ((*FIRST, "webhooks", "delivery", "url"), "gw.example/cb", "messages[0].webhooks.delivery.url"),
        (
            (*FIRST, "webhooks", "delivery", "contentType"),
            "application/json",
            "messages[0].webhooks.delivery.contentType",
        ),
        ((*FIRST, "webhooks", "callbackData"), "x" * 4001, "messages[0].webhooks.callbackData"),
        (("options", "schedule", "bulkId"), "x" * 101, "options.schedule.bulkId"),
        (("options", "schedule", "sendAt"), "2027-01-05T08:00:00Z", "options.schedule.sendAt"),
        (("options", "schedule", "sendAt"), "2027-13-05T08:00:00.000+0000", "options.schedule.sendAt"),
        (("options", "schedule", "sendAt"), "2099-01-05T08:00:00.000+0000", "options.schedule.sendAt"),
    ],
)
async def test_a_wrong_request_is_refused_as_a_whole(sandbox, infobip, http, path, value, violated):
    """A request wrong in one place is answered 400 in the shape of version 3, naming the place, and nothing is sent."""
    status, body, _ = await ask(sandbox, http, "POST", MESSAGES, with_wrong(path, value))

    assert (status, body["errorCode"]) == (400, "E400")
    assert {"description", "action", "resources"} < set(body)
    assert [violation["property"] for violation in body["violations"]] == [violated]
    assert len(infobip.ledger) == 0


async def test_another_content_type_is_refused(sandbox, infobip, http):
    """The same body as a form, or JSON that breaks off, is no request."""
    for data, kind in ((b'{"messages": []}', "text/plain"), (b'{"messages": [', "application/json")):
        headers = {"Authorization": f"App {KEY}", "Content-Type": kind}
        status, body, _ = await ask(sandbox, http, "POST", MESSAGES, headers=headers, data=data)
        assert (status, body["errorCode"]) == (400, "E400")


@pytest.mark.parametrize(
    ("person", "text", "sender", "status"),
    [
        (magic_number("0150"), "Hello", SENDER, 52),
        (magic_number("0151"), "Hello", SENDER, 14),
        (magic_number("0152"), "Hello", SENDER, 6),
        (magic_number("0153"), "Hello", SENDER, 8),
        ("12", "Hello", SENDER, 52),
        ("", "Hello", SENDER, 51),
        (PERSON, "Hello", OTHER_SENDER, 11),
        (PERSON, "Hello", "Fabrikam", 11),
        (PERSON, "Hello", "Contoso", 6),
        (PERSON, "x" * (153 * 25 + 1), SENDER, 25),
        (PERSON, "€" * 1334, SENDER, 25),
    ],
)
async def test_one_recipient_is_refused_in_the_answer(sandbox, infobip, http, person, text, sender, status):
    """A refusal of one recipient stands in its entry of the 200, the others are sent; the log has both."""
    wrong = message(person, text=text, sender=sender, ids=["wrong"])

    code, body, _ = await send(sandbox, http, wrong, message("+12065550124", ids=["right"]))
    _, log, _ = await ask(sandbox, http, "GET", LOGS)

    assert code == 200
    assert statuses(body) == [("wrong", status, "REJECTED"), ("right", 26, "PENDING")]
    assert [sent.id for sent in infobip.ledger] == ["right"]
    assert {(row["messageId"], row["status"]["groupName"]) for row in log["results"]} >= {("wrong", "REJECTED")}


async def test_a_plus_is_no_part_of_a_number(sandbox, infobip, http):
    """Numbers are written without plus: with one, neither recipient nor sender is known."""
    body = message(PERSON)
    body["destinations"].append({"to": PERSON})

    _, by_number, _ = await send(sandbox, http, body)
    _, by_sender, _ = await send(sandbox, http, message(PERSON, ids=["x"]) | {"sender": SENDER})

    assert [entry["status"]["id"] for entry in by_number["messages"]] == [26, 52]
    assert [entry["status"]["id"] for entry in by_sender["messages"]] == [11]


async def test_an_account_without_numbers_sends_from_any(sandbox, http):
    """As long as an account names no numbers, any well-formed sender goes, and none at all does not."""
    sandbox.vendor(InfobipVendor).accounts.put("one", Account(name="one", keys=(ApiKey(key=KEY),)))
    nobody = message(PERSON, ids=["nobody"])
    del nobody["sender"]

    _, body, _ = await send(
        sandbox, http, message(PERSON, ids=["number"]), message(PERSON, sender="A name too long", ids=["name"]), nobody
    )

    assert [entry["status"]["id"] for entry in body["messages"]] == [26, 11, 11]


async def test_without_a_sender_the_first_number_sends(sandbox, infobip, http):
    """The sender may be left out; the account's first number is used."""
    body = message(PERSON)
    del body["sender"]

    await send(sandbox, http, body)

    assert [sent.sender for sent in infobip.ledger] == [SENDER]


async def test_an_id_is_taken_once(sandbox, infobip, http):
    """A repeated id is refused with status 23, within a request too; nothing is sent twice and the replay is noted."""
    await send(sandbox, http, message(PERSON, ids=["same"]))
    _, again, _ = await send(sandbox, http, message(PERSON, ids=["same"]))
    _, other, _ = await send(sandbox, http, message(PERSON, text="Other", ids=["same"]))
    await send(sandbox, http, message("+12065550124", ids=["same"]))
    _, within, _ = await send(sandbox, http, message(PERSON, PERSON, text="Twice", ids=["pair", "pair"]))

    assert statuses(again) == statuses(other) == [("same", 23, "REJECTED")]
    assert [entry["status"]["id"] for entry in within["messages"]] == [26, 23]
    assert again["messages"][0]["status"]["name"] == "REJECTED_DUPLICATE_MESSAGE_ID"
    first, _ = infobip.ledger
    assert (first.requests, first.conflicts) == (4, 2)


async def test_a_refused_message_leaves_its_id_free(sandbox, infobip, http):
    """Nothing was sent under the id of a refused message, so it can be used again."""
    await send(sandbox, http, message(magic_number("0150"), ids=["again"]))

    _, body, _ = await send(sandbox, http, message(PERSON, ids=["again"]))

    assert statuses(body) == [("again", 26, "PENDING")]


async def test_accounts_have_ids_of_their_own(sandbox, infobip, http):
    """Two accounts may use the same id for two messages, and neither sees the other's."""
    await send(sandbox, http, message(PERSON, ids=["same"]))
    _, other, _ = await send(sandbox, http, message(PERSON, sender=OTHER_SENDER, ids=["same"]), key=OTHER_KEY)
    _, again, _ = await send(sandbox, http, message(PERSON, sender=OTHER_SENDER, ids=["same"]), key=OTHER_KEY)
    await send(sandbox, http, message(magic_number("0150"), ids=["refused"]))
    _, log, _ = await ask(sandbox, http, "GET", LOGS, key=OTHER_KEY)

    assert statuses(other) == [("same", 26, "PENDING")]
    assert statuses(again) == [("same", 23, "REJECTED")]
    assert len(infobip.ledger) == 2
    assert [row["sender"] for row in log["results"]] == [OTHER_SENDER[1:]]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": KEY},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"App {KEY}x"},
        {"Authorization": "App ümlaut"},
        {"Authorization": "App "},
    ],
)
async def test_without_a_key_nobody_comes_in(sandbox, infobip, http, headers):
    """A key that is missing, wrong or not called `App` is answered 401, each endpoint in its own shape."""
    status, body, _ = await ask(sandbox, http, "POST", MESSAGES, {"messages": [message(PERSON)]}, headers=headers)
    old_status, old, _ = await ask(sandbox, http, "GET", INBOX, headers=headers)

    assert (status, body["errorCode"]) == (401, "E401")
    assert old_status == 401
    assert old["requestError"]["serviceException"] == {"messageId": "UNAUTHORIZED", "text": "Unauthorized"}
    assert len(infobip.ledger) == 0


@pytest.mark.parametrize(
    ("method", "path", "key", "code"),
    [
        ("POST", MESSAGES, LOG_KEY, "E403"),
        ("GET", LOGS, SEND_KEY, "E403"),
        ("GET", REPORTS, LOG_KEY, "E403"),
        ("GET", INBOX, SEND_KEY, "FORBIDDEN"),
        ("POST", "/subscriptions/1/subscription/SMS", SEND_KEY, "FORBIDDEN"),
        ("GET", "/resource-management/1/inbound-message-configurations", SEND_KEY, "FORBIDDEN"),
    ],
)
async def test_a_key_does_what_its_scopes_say(sandbox, infobip, http, method, path, key, code):
    """A valid key without the scope is answered 403, so that a key for sending alone cannot read the log."""
    status, body, _ = await ask(sandbox, http, method, path, {} if method == "POST" else None, key=key)

    assert status == 403
    assert body.get("errorCode", body.get("requestError", {}).get("serviceException", {}).get("messageId")) == code


async def test_scopes_open_what_they_name(sandbox, infobip, http):
    """A key for sending sends and reads reports; a key for the log reads the log."""
    assert (await send(sandbox, http, key=SEND_KEY))[0] == 200
    assert (await ask(sandbox, http, "GET", REPORTS, key=SEND_KEY))[0] == 200
    assert (await ask(sandbox, http, "GET", LOGS, key=LOG_KEY))[0] == 200


async def test_unknown_paths_are_not_found(sandbox, infobip, http):
    """What the sandbox does not play, the second version's way to send among it, is 404 in the shape of its version."""
    for path, name in (("/sms/3/inbox", "errorCode"), ("/sms/2/text/advanced", "requestError")):
        status, body, _ = await ask(sandbox, http, "POST", path, {})
        assert status == 404
        assert name in body


async def test_throttling_and_faults_come_in_the_shape_of_version_3(sandbox, infobip, http):
    """429 and 500 concern the whole request, once or always as the number says; the same text then goes through."""
    for digits, code, retry_after in (("0170", 429, None), ("0171", 429, "1"), ("0173", 500, None)):
        first = await send(sandbox, http, message(magic_number(digits), "+12065550124", text=digits))
        again = await send(sandbox, http, message(magic_number(digits), "+12065550124", text=digits))
        assert (first[0], first[1]["errorCode"], first[2].get("Retry-After")) == (code, f"E{code}", retry_after)
        assert again[0] == 200
    for digits, code in (("0172", 429), ("0178", 500)):
        answers = [(await send(sandbox, http, message(magic_number(digits), text=digits)))[0] for _ in range(2)]
        assert answers == [code, code]
    assert len(infobip.ledger) == 6


async def test_a_text_meets_its_trouble_once_however_it_is_grouped(sandbox, infobip, http):
    """The first attempt of a text counts for it alone: sent again beside another text, it goes through."""
    first = await send(sandbox, http, message(magic_number("0170"), text="A"))
    again = await send(sandbox, http, message(PERSON, text="B"), message(magic_number("0170"), text="A"))

    assert (first[0], again[0]) == (429, 200)


@pytest.mark.parametrize("digits", ["0174", "0175", "0179"])
async def test_a_lost_answer_is_settled_by_the_log_or_by_the_id(sandbox, infobip, http, digits):
    """After a 500 or a dropped connection the message was sent: the log has it, and its id is taken."""
    try:
        status, _, _ = await send(sandbox, http, message(magic_number(digits), ids=["lost"]))
    except aiohttp.ClientConnectionError:
        status = None
    _, log, _ = await ask(sandbox, http, "GET", f"{LOGS}?messageId=lost,unknown")

    assert status in {None, 500}
    assert [row["messageId"] for row in log["results"]] == ["lost"]
    if digits != "0179":
        _, again, _ = await send(sandbox, http, message(magic_number(digits), ids=["lost"]))
        assert statuses(again) == [("lost", 23, "REJECTED")]
    assert len(infobip.ledger) == 1


@pytest.mark.parametrize("digits", ["0173", "0176"])
async def test_what_was_not_sent_is_not_in_the_log(sandbox, infobip, http, digits):
    """After a fault before sending, the log does not have the message and its id is free."""
    with contextlib.suppress(aiohttp.ClientConnectionError):
        await send(sandbox, http, message(magic_number(digits), ids=["lost"]))
    _, log, _ = await ask(sandbox, http, "GET", f"{LOGS}?messageId=lost")
    _, again, _ = await send(sandbox, http, message(magic_number(digits), ids=["lost"]))

    assert log["results"] == []
    assert statuses(again) == [("lost", 26, "PENDING")]


async def test_the_log_tells_what_became_of_a_message(sandbox, infobip, http):
    """A row has the recipient as destination, the text, the platform, and status and error as they stand."""
    platform = {"entityId": "e1", "applicationId": "a1"}
    await send(sandbox, http, message(magic_number("0160"), ids=["off"], options={"platform": platform}))
    await sandbox.idle()

    _, log, _ = await ask(sandbox, http, "GET", LOGS)

    [row] = log["results"]
    assert "cursor" not in log
    assert (row["destination"], row["sender"], row["content"]) == (
        magic_number("0160")[1:],
        SENDER[1:],
        {"text": "Hello"},
    )
    assert (row["status"]["id"], row["error"]["id"], row["platform"]) == (9, 27, platform)
    assert row["doneAt"].endswith("+0000")
    assert "to" not in row


async def test_the_log_is_filtered(sandbox, infobip, http):
    """Filters by id, bulk, recipient, sender and group narrow the rows; ids are repeated or separated by commas."""
    await send(sandbox, http, message(PERSON, ids=["a"]), schedule={"bulkId": "bulk-1"})
    await send(sandbox, http, message("+12065550124", magic_number("0150"), ids=["b", "c"]))

    async def ids(query):
        _, log, _ = await ask(sandbox, http, "GET", f"{LOGS}?{query}")
        return sorted(row["messageId"] for row in log["results"])

    assert await ids("messageId=a,b") == await ids("messageId=a&messageId=b") == ["a", "b"]
    assert await ids("bulkId=bulk-1") == ["a"]
    assert await ids("destination=12065550124") == ["b"]
    assert await ids("generalStatus=REJECTED") == ["c"]
    assert await ids(f"sender={OTHER_SENDER[1:]}") == []
    assert await ids("sentUntil=2020-01-01T00:00:00.000%2B0100") == []
    assert await ids("sentSince=2020-01-01T00:00:00.000%2B0100") == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("query", "violated"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("generalStatus=GONE", "generalStatus"),
        ("sentSince=yesterday", "sentSince"),
        ("useCursor=true&cursor=page2", "cursor"),
        (f"messageId={'x' * 2049}", "messageId"),
    ],
)
async def test_a_wrong_question_is_refused(sandbox, infobip, http, query, violated):
    """A filter that is wrong is answered 400, whether there are rows or not."""
    status, body, _ = await ask(sandbox, http, "GET", f"{LOGS}?{query}")

    assert status == 400
    assert [violation["property"] for violation in body["violations"]] == [violated]


async def test_the_log_is_paged_by_cursor(sandbox, infobip, http):
    """With useCursor each page names the next until the last; without it only the newest rows are given."""
    people = [ordinary_number(place) for place in range(6)]
    await send(sandbox, http, *(message(person) for person in people))
    pages, cursor = [], ""
    while cursor is not None:
        _, log, _ = await ask(sandbox, http, "GET", f"{LOGS}?limit=2&useCursor=true{cursor}")
        pages.append([row["messageId"] for row in log["results"]])
        following = log["cursor"].get("nextCursor")
        cursor = f"&cursor={following}" if following else None
    _, plain, _ = await ask(sandbox, http, "GET", f"{LOGS}?limit=2")

    assert list(map(len, pages)) == [2, 2, 2]
    assert len({name for page in pages for name in page}) == 6
    assert [row["messageId"] for row in plain["results"]] == pages[0]
    assert "cursor" not in plain


async def test_the_log_reaches_back_two_days_and_answers_so_often(http):
    """Rows are kept for 48 hours, and the 121st question within a minute is answered 429."""
    clock = Clock(lambda: 1_800_000_000.0)
    async with running_sandbox(clock=clock) as sandbox:
        set_up(sandbox)
        for name in ("first", "second"):
            await send(sandbox, http, message(PERSON, magic_number("0150"), ids=[name, f"{name} refused"]))
            clock.advance(1)
        clock.advance(2 * DAY - 2)
        _, before, _ = await ask(sandbox, http, "GET", LOGS)
        clock.advance(2)
        answers = [await ask(sandbox, http, "GET", LOGS) for _ in range(120)]
        clock.advance(60)
        status, _, _ = await ask(sandbox, http, "GET", LOGS)

    newest_first = [row["messageId"] for row in before["results"]]
    assert [name.split()[0] for name in newest_first] == ["second", "second", "first", "first"]
    assert answers[0][1]["results"] == []
    assert [answer[0] for answer in answers] == [200] * 119 + [429]
    assert answers[-1][1]["errorCode"] == "E429"
    assert status == 200


async def test_reports_are_fetched_once(sandbox, infobip, http):
    """A report is given by one call alone, what is filtered out stays, and a change of state makes a new one."""
    await send(sandbox, http, message(PERSON, magic_number("0186"), ids=["a", "b"]))
    await sandbox.idle()

    _, one, _ = await ask(sandbox, http, "GET", f"{REPORTS}?messageId=b&limit=1")
    _, rest, _ = await ask(sandbox, http, "GET", REPORTS)
    _, none, _ = await ask(sandbox, http, "GET", REPORTS)

    assert [(entry["messageId"], entry["status"]["id"]) for entry in one["results"]] == [("b", 9)]
    assert sorted((entry["messageId"], entry["status"]["id"]) for entry in rest["results"]) == [("a", 5), ("b", 5)]
    assert none == {"results": []}
    assert (await ask(sandbox, http, "GET", f"{REPORTS}?limit=1001"))[0] == 400


async def test_a_scheduled_message_waits(http):
    """With sendAt a message is pending until then, at the sandbox's pace."""
    clock = Clock(lambda: 1_800_000_000.0)
    async with running_sandbox(clock=clock, time_scale=1.0) as sandbox:
        vendor = set_up(sandbox)
        await send(sandbox, http, schedule={"sendAt": "2027-01-15T08:00:02.000+0000"})
        [sent] = vendor.ledger
        steps = [step.after for step in sent.plan]
        await asyncio.sleep(0)

    assert (sent.state, steps) == ("queued", [2.3, 3.0])


async def test_what_was_refused_survives_a_restart(tmp_path, http):
    """Messages, refusals, accounts and numbers are there again after the process was killed."""
    data = tmp_path / "journal"
    async with running_sandbox(data=data) as sandbox:
        set_up(sandbox)
        await send(sandbox, http, message(PERSON, magic_number("0150"), ids=["a", "b"]))
        await sandbox.idle()
    async with running_sandbox(data=data) as sandbox:
        _, log, _ = await ask(sandbox, http, "GET", LOGS)
        _, again, _ = await send(sandbox, http, message(PERSON, ids=["a"]))

    assert {(row["messageId"], row["status"]["id"]) for row in log["results"]} == {("a", 5), ("b", 52)}
    assert statuses(again) == [("a", 23, "REJECTED")]


async def test_a_reset_forgets_what_was_refused_and_reported(sandbox, infobip, http, control):
    """After a reset neither log nor reports know anything, and the account is still there."""
    await send(sandbox, http, message(PERSON, magic_number("0150"), ids=["a", "b"]))
    await sandbox.idle()
    await control.ask("POST", "/infobip/reset", {})

    assert (await ask(sandbox, http, "GET", LOGS))[1] == {"results": []}
    assert (await ask(sandbox, http, "GET", REPORTS))[1] == {"results": []}


async def test_opted_out_people_are_refused(sandbox, infobip, http, control):
    """Who opted out of one sender is refused with status 14 for that sender alone."""
    await control.ask("POST", "/infobip/opt-outs", {"sender": SENDER, "recipient": PERSON})

    _, body, _ = await send(sandbox, http, message(PERSON, ids=["a"]), message(PERSON, sender="12345", ids=["b"]))

    assert [entry["status"]["id"] for entry in body["messages"]] == [14, 26]


async def test_every_reason_has_words(sandbox):
    """No reason falls through the tables of statuses and errors, and no refusal lacks its own."""
    assert set(FAILURES) == set(Reason)
    assert {Reason.INVALID_NUMBER, Reason.OPTED_OUT, Reason.NO_ROUTE, Reason.NOT_MOBILE} == set(REFUSALS)


async def test_accounts_are_managed_over_the_control_api(sandbox, http, control):
    """Accounts and numbers are made, shown without their keys, and deleted with what they own."""
    keys = [{"key": KEY, "scopes": ["sms:manage"]}]
    made = await control.ask("POST", "/infobip/accounts", {"name": "one", "keys": keys})
    number = SENDER[1:]
    await control.ask("POST", "/infobip/accounts/one/numbers", {"number": number})
    await control.ask("POST", "/infobip/accounts", {"name": "one", "keys": keys})
    numbers = await control.ask("GET", "/infobip/accounts/one/numbers")
    state = await control.ask("GET", "/infobip")

    assert made == {"name": "one", "keys": [["sms:manage"]]}
    assert numbers == [{"number": number, "account": "one", "stop_words": True}]
    assert KEY not in str(state)
    assert state["accounts"] == await control.ask("GET", "/infobip/accounts")
    assert (await send(sandbox, http))[0] == 200
    await control.ask("POST", "/infobip/accounts", {"name": "two", "keys": keys}, status=400)
    await control.ask("POST", "/infobip/accounts", {"name": "two", "keys": []})
    await control.ask("POST", "/infobip/accounts/two/numbers", {"number": number}, status=400)
    await control.ask("DELETE", f"/infobip/accounts/two/numbers/{number}", status=404)
    await control.ask("DELETE", "/infobip/accounts/one")
    await control.ask("POST", "/infobip/accounts/two/numbers", {"number": number})
    await control.ask("DELETE", f"/infobip/accounts/two/numbers/{number}")
    await control.ask("GET", "/infobip/accounts/one/numbers", status=404)
    assert (await send(sandbox, http))[0] == 401


async def test_a_slow_answer_comes(sandbox, infobip, http):
    """0177 is sent and answered late."""
    infobip.mischief.faults.slow_seconds = 0.05
    task = asyncio.create_task(send(sandbox, http, message(magic_number("0177"))))
    await until(lambda: len(infobip.ledger) == 1)

    assert not task.done()
    assert (await task)[0] == 200
