"""Infobip: delivery reports and replies with their proofs, buckets and retries, and the API that sets them up."""

from __future__ import annotations

import base64
from collections import Counter
from contextlib import asynccontextmanager

import pytest

from sandbox.kit import Addresses, Customer, kits
from sandbox.outcomes import magic_number, ordinary_number
from sandbox.testing import running_sandbox
from sandbox.vendors.infobip import RETRY_SECONDS, InfobipVendor
from tests.sandbox.conftest import PERSON, SENDER, until
from tests.sandbox.test_infobip_send import INBOX, OTHER_KEY, REPORTS, ask, message, send, set_up

SUBSCRIPTIONS = "/subscriptions/1/subscription/SMS"
PROFILES, SECURITY = "/subscriptions/1/profiles", "/subscriptions/1/security"
FORWARDING = "/resource-management/1/inbound-message-configurations"
USER, PASSWORD, HEADER = "ib", "s3cret-of-the-callbacks", "r4nd0m"
BASIC = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"


@pytest.fixture
def infobip(sandbox):
    return set_up(sandbox)


def subscription(url, *, name="gw-sms", events=("DELIVERY", "INBOUND_MESSAGE"), profile=None, **more):
    """Build a subscription with every proof there is."""
    full = {
        "profileId": f"{name}-profile",
        "webhook": {"notifyUrl": url, "contentType": "application/json"},
        "security": {
            "authId": f"{name}-auth",
            "type": "BASIC",
            "credentials": {"username": USER, "password": PASSWORD},
        },
        "headers": {"X-Gw-Secret": HEADER, "authorization": "overridden"},
        "enabledSSLProtocols": ["TLSv1.3", "TLSv1.2"],
    }
    return {"subscriptionId": name, "name": "gateway", "events": list(events), "profile": profile or full, **more}


async def subscribe(sandbox, http, url, **options):
    return await ask(sandbox, http, "POST", SUBSCRIPTIONS, subscription(url, **options))


def told(endpoint):
    """Return id and status of each result an endpoint got, in order."""
    return [
        (result["messageId"], result["status"]["id"]) for got in endpoint.received for result in got.json["results"]
    ]


async def test_a_message_with_an_address_is_reported_there(sandbox, infobip, endpoint, http):
    """A report goes to the message's own address without any credentials, with all that was said when it was sent."""
    webhooks = {"delivery": {"url": f"{endpoint.url}/cb/T0KEN"}, "callbackData": "opaque"}
    options = {"platform": {"entityId": "e1"}, "campaignReferenceId": "spring"}
    await subscribe(sandbox, http, f"{endpoint.url}/subscription/T0KEN")

    await send(
        sandbox,
        http,
        message(PERSON, ids=["a"], webhooks=webhooks, options=options),
        schedule={"bulkId": "batch-7"},
    )
    await sandbox.idle()

    [got] = endpoint.received
    [result] = got.json["results"]
    assert (got.method, got.path) == ("POST", "/cb/T0KEN")
    assert got.headers["Content-Type"] == "application/json"
    assert not {"Authorization", "X-Gw-Secret"} & set(got.headers)
    assert result | {"sentAt": "", "doneAt": ""} == {
        "bulkId": "batch-7",
        "messageId": "a",
        "to": PERSON[1:],
        "sender": SENDER[1:],
        "sentAt": "",
        "doneAt": "",
        "messageCount": 1,
        "mccMnc": "310260",
        "callbackData": "opaque",
        "campaignReferenceId": "spring",
        "platform": {"entityId": "e1"},
        "price": {"pricePerMessage": 0.04, "currency": "EUR"},
        "status": {
            "groupId": 3,
            "groupName": "DELIVERED",
            "id": 5,
            "name": "DELIVERED_TO_HANDSET",
            "description": "Message delivered to handset",
        },
        "error": {
            "groupId": 0,
            "groupName": "OK",
            "id": 0,
            "name": "NO_ERROR",
            "description": "No Error",
            "permanent": False,
        },
    }
    assert all(result[moment].endswith("+0000") for moment in ("sentAt", "doneAt"))


async def test_a_message_without_an_address_follows_the_subscription(sandbox, infobip, endpoint, http):
    """Without an address of its own a message is reported by the subscription: Basic, own headers, path token."""
    await subscribe(sandbox, http, f"{endpoint.url}/cb/T0KEN")

    await send(sandbox, http, message(PERSON, ids=["a"]))
    await sandbox.idle()

    [got] = endpoint.received
    assert (got.path, told(endpoint)) == ("/cb/T0KEN", [("a", 5)])
    assert [value for name, value in got.headers.items() if name.lower() == "authorization"] == [BASIC]
    assert got.headers["X-Gw-Secret"] == HEADER


@pytest.mark.parametrize(
    ("digits", "status", "group", "error"),
    [
        ("0160", 9, 2, 27),
        ("0161", 9, 2, 1),
        ("0162", 4, 2, 632),
        ("0163", 4, 2, 607),
        ("0164", 4, 2, 603),
        ("0165", 15, 4, 4101),
        ("0166", 9, 2, 255),
        ("0167", 4, 2, 572),
        ("0168", 4, 2, 542),
        ("0169", 29, 4, 0),
    ],
)
async def test_failures_are_reported_by_status_and_error(
    sandbox, infobip, endpoint, http, digits, status, group, error
):
    """Each fate is told in Infobip's words: a status of its group, and an error that says why."""
    await subscribe(sandbox, http, endpoint.url)

    await send(sandbox, http, message(magic_number(digits)))
    await sandbox.idle()

    [got] = endpoint.received
    [result] = got.json["results"]
    assert (result["status"]["id"], result["status"]["groupId"], result["error"]["id"]) == (status, group, error)


async def test_what_is_not_final_is_told_on_demand(sandbox, infobip, endpoint, http):
    """Reports between are told with intermediateReport alone, and none at all without notify."""
    webhooks = [{}, {"delivery": {"intermediateReport": True}}, {"delivery": {"notify": False}}]
    await subscribe(sandbox, http, endpoint.url)

    for place, asked in enumerate(webhooks):
        await send(sandbox, http, message(PERSON, text=str(place), ids=[str(place)], webhooks=asked))
    await sandbox.idle()

    assert sorted(told(endpoint)) == [("0", 5), ("1", 5), ("1", 7)]
    assert told(endpoint).index(("1", 7)) < told(endpoint).index(("1", 5))


@pytest.mark.parametrize(
    ("digits", "expected"),
    [("0180", []), ("0182", [7, 5, 5, 5]), ("0183", [5, 7]), ("0184", [7, 5]), ("0186", [7, 9, 5])],
)
async def test_reports_come_as_the_number_says(sandbox, infobip, endpoint, http, digits, expected):
    """Reports that never come, come thrice, out of order, before the answer, or are corrected."""
    await subscribe(sandbox, http, endpoint.url)

    await send(sandbox, http, message(magic_number(digits), webhooks={"delivery": {"intermediateReport": True}}))
    at_once = len(endpoint.received)
    await sandbox.idle()

    assert [status for _, status in told(endpoint)] == expected
    assert digits != "0184" or at_once == 2


async def test_repeated_reports_are_the_same_to_the_letter(sandbox, infobip, endpoint, http):
    """A report told again carries the same moment, by which it can be known again."""
    await subscribe(sandbox, http, endpoint.url)

    await send(sandbox, http, message(magic_number("0182")))
    await sandbox.idle()

    assert len({got.body for got in endpoint.received}) == 1
    assert len(endpoint.received) == 3


async def test_forged_reports_are_wrong_in_one_proof_each(sandbox, infobip, endpoint, http):
    """Before the true report come forged ones: wrong path token, wrong password, wrong header, all else right."""
    await subscribe(sandbox, http, f"{endpoint.url}/cb/T0KEN")
    endpoint.answer(401, 401, 401)

    await send(sandbox, http, message(magic_number("0185"), ids=["a"]))
    await sandbox.idle()

    def wrong(got):
        return (
            got.path != "/cb/T0KEN",
            got.headers["Authorization"] != BASIC,
            got.headers["X-Gw-Secret"] != HEADER,
        )

    *forged, true = endpoint.received
    assert Counter(map(wrong, forged)) == Counter(
        [(True, False, False), (False, True, False), (False, False, True)],
    )
    assert wrong(true) == (False, False, False)
    assert told(endpoint) == [("a", 9)] * 3 + [("a", 5)]
    _, fetched, _ = await ask(sandbox, http, "GET", REPORTS)
    assert [entry["status"]["id"] for entry in fetched["results"]] == [5]
    [sent] = infobip.ledger
    assert [(entry.forged, entry.status) for entry in sent.callbacks] == [(True, 401)] * 3 + [(False, 200)]


async def test_a_forged_report_to_a_messages_own_address_has_a_wrong_token(sandbox, infobip, endpoint, http):
    """Where only the address proves anything, the forged report guesses its end."""
    webhooks = {"delivery": {"url": f"{endpoint.url}/cb/T0KEN"}}

    await send(sandbox, http, message(magic_number("0185"), webhooks=webhooks))
    await sandbox.idle()

    assert [got.path for got in endpoint.received] == ["/cb/xxxxx", "/cb/T0KEN"]


async def test_reports_come_in_buckets(sandbox, infobip, endpoint, http):
    """Reports that wait for one address go out together, never more in one post than the profile allows."""
    await subscribe(sandbox, http, endpoint.url)
    profile = {"webhook": {"notifyUrl": endpoint.url}, "maxBucketSize": 30}
    people = [ordinary_number(place) for place in range(250)]

    await send(sandbox, http, message(*people, ids=[f"a{place}" for place in range(250)]))
    await sandbox.idle()
    by_default = [len(got.json["results"]) for got in endpoint.received]
    names = {name for name, _ in told(endpoint)}
    endpoint.received.clear()
    await ask(sandbox, http, "PUT", f"{PROFILES}/gw-sms-profile", profile)
    await send(sandbox, http, message(*people, ids=[f"b{place}" for place in range(250)]))
    await sandbox.idle()

    assert (sum(by_default), max(by_default)) == (250, 100)
    assert len(names) == 250
    assert max(len(got.json["results"]) for got in endpoint.received) == 30
    assert len(told(endpoint)) == 250


async def test_a_bucket_that_is_not_taken_comes_back_whole(sandbox, infobip, endpoint, http):
    """Any answer but 200, another success and a redirect too, brings the same bucket back until 200."""
    await subscribe(sandbox, http, endpoint.url)
    endpoint.answer(500, 204, 202, 302, 401)

    await send(sandbox, http, message(PERSON, "+12065550124", ids=["a", "b"]))
    await sandbox.idle()

    assert len({got.body for got in endpoint.received}) == 1
    assert [len(got.json["results"]) for got in endpoint.received] == [2] * 6
    for sent in infobip.ledger:
        assert [entry.status for entry in sent.callbacks] == [500, 204, 202, 302, 401, 200]
        assert [entry.attempt for entry in sent.callbacks] == [1, 2, 3, 4, 5, 6]
        assert len({entry.token for entry in sent.callbacks}) == 1


async def test_it_gives_up_after_twenty_retries(sandbox, infobip, http, closed_port):
    """After 1 + n² minutes for n from 0 to 19 a report is lost; the log still knows."""
    await subscribe(sandbox, http, f"http://127.0.0.1:{closed_port}/cb")

    await send(sandbox, http)
    await sandbox.idle()

    [sent] = infobip.ledger
    assert [entry.error for entry in sent.callbacks] == ["connect"] * 21
    assert [wait / 60 for wait in RETRY_SECONDS[:7]] == [1, 2, 5, 10, 17, 26, 37]
    assert (len(RETRY_SECONDS), sum(RETRY_SECONDS) / 60) == (20, 2490)


async def test_retries_wait(http, endpoint):
    """The wait before a retry is the documented one times the retry scale; other reports do not wait for it."""
    async with running_sandbox(retry_time_scale=0.001) as sandbox:
        set_up(sandbox)
        await subscribe(sandbox, http, endpoint.url)
        endpoint.answer(500)
        await send(sandbox, http, message(PERSON, ids=["a"]))
        await until(lambda: len(endpoint.received) == 1)
        await send(sandbox, http, message("+12065550124", ids=["b"]))
        await sandbox.idle()
        first, _ = sandbox.vendor(InfobipVendor).ledger

    assert told(endpoint) == [("a", 5), ("b", 5), ("a", 5)]
    assert 0.06 <= first.callbacks[1].at - first.callbacks[0].at < 0.5


# Replies


async def text(control, words, *, to=SENDER):
    await control.ask("POST", "/infobip/inbound", {"from": PERSON, "to": to, "text": words})


async def test_a_reply_follows_the_subscription(sandbox, infobip, endpoint, http, control):
    """A person's text is posted with the subscription's proofs, in an envelope that counts."""
    await subscribe(sandbox, http, f"{endpoint.url}/cb/T0KEN")

    await text(control, "Grüße & x=1 ")
    await sandbox.idle()

    [got] = endpoint.received
    [result] = got.json["results"]
    assert (got.json["messageCount"], got.json["pendingMessageCount"]) == (1, 0)
    assert (got.headers["Authorization"], got.headers["X-Gw-Secret"]) == (BASIC, HEADER)
    assert (result["from"], result["to"], result["text"], result["smsCount"]) == (
        *(PERSON[1:], SENDER[1:]),
        *("Grüße & x=1 ", 1),
    )
    assert result["messageId"].isdigit()
    assert result["receivedAt"].endswith("+0000")
    assert not {"keyword", "cleanText"} & set(result)


async def test_a_number_set_up_for_itself_does_not_follow_the_subscription(sandbox, infobip, endpoint, http, control):
    """Forwarding set for a number comes first, that of a keyword before it, without the subscription's proofs."""
    await subscribe(sandbox, http, f"{endpoint.url}/subscription")
    setup = {"channel": "SMS", "number": SENDER[1:], "forwarding": {"type": "HTTP_FORWARD"}}
    for path, keyword in (("number", {}), ("quiz", {"keyword": "QUIZ"})):
        forwarding = {**setup["forwarding"], "url": f"{endpoint.url}/{path}", "format": "MO_JSON_2"}
        status, _, _ = await ask(sandbox, http, "POST", FORWARDING, setup | keyword | {"forwarding": forwarding})
        assert status == 200

    for words in ("Hello", "quiz  Paris"):
        await text(control, words)
        await sandbox.idle()
    _, listed, _ = await ask(sandbox, http, "GET", f"{FORWARDING}?channel=SMS&number={SENDER[1:]}")
    for entry in listed:
        assert (await ask(sandbox, http, "DELETE", f"{FORWARDING}/{entry['configurationKey']}"))[0] == 204
    await text(control, "Again")
    await sandbox.idle()

    assert [got.path for got in endpoint.received] == ["/number", "/quiz", "/subscription"]
    assert "Authorization" not in endpoint.received[0].headers
    quiz = endpoint.received[1].json["results"][0]
    assert (quiz["keyword"], quiz["cleanText"], quiz["text"]) == ("QUIZ", "Paris", "quiz  Paris")
    assert "keyword" not in endpoint.received[0].json["results"][0]


async def test_replies_nobody_is_told_of_are_fetched_once(sandbox, infobip, endpoint, http, control):
    """Without a set-up, and with PULL, a text waits in the inbox until it is fetched."""
    await text(control, "One")
    await subscribe(sandbox, http, endpoint.url)
    pull = {"channel": "SMS", "number": SENDER[1:], "forwarding": {"type": "PULL"}}
    await ask(sandbox, http, "POST", FORWARDING, pull)
    await text(control, "Two")
    await sandbox.idle()

    _, first, _ = await ask(sandbox, http, "GET", f"{INBOX}?limit=1")
    _, second, _ = await ask(sandbox, http, "GET", INBOX)
    _, none, _ = await ask(sandbox, http, "GET", INBOX)
    wrong, body, _ = await ask(sandbox, http, "GET", f"{INBOX}?limit=0")

    assert ([entry["text"] for entry in first["results"]], first["pendingMessageCount"]) == (["One"], 1)
    assert [entry["text"] for entry in second["results"]] == ["Two"]
    assert none == {"results": [], "messageCount": 0, "pendingMessageCount": 0}
    assert (wrong, list(body["requestError"]["serviceException"]["validationErrors"])) == (400, ["limit"])
    assert endpoint.received == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"channel": "MMS"}, 400),
        ({"forwarding": {"type": "HTTP_FORWARD"}}, 400),
        ({"forwarding": {"type": "PIGEON"}}, 400),
        ({"keywords": "QUIZ"}, 400),
        ({"number": SENDER}, 404),
        ({"number": "14255550101"}, 404),
    ],
)
async def test_a_wrong_inbound_set_up_is_refused(sandbox, infobip, http, change, status):
    """A set-up that does not fit, or of a number that is somebody else's, is refused in the old shape."""
    right = {"channel": "SMS", "number": SENDER[1:], "forwarding": {"type": "PULL"}}

    code, body, _ = await ask(sandbox, http, "POST", FORWARDING, right | change)

    assert code == status
    assert body["requestError"]["serviceException"]["text"]
    assert (await ask(sandbox, http, "GET", f"{FORWARDING}?channel=SMS"))[1] == []


async def test_stop_blocks_where_the_number_says_so(sandbox, infobip, http, control):
    """STOP blocks the person for that number until START; a number set otherwise leaves it to the customer."""
    await control.ask("POST", "/infobip/accounts/one/numbers", {"number": "12345", "stop_words": False})
    outcomes = []
    for words in ("Stop ", "START"):
        await text(control, words)
        await text(control, words, to="12345")
        _, body, _ = await send(
            sandbox, http, message(PERSON, ids=[f"a{words}"]), message(PERSON, sender="12345", ids=[f"b{words}"])
        )
        outcomes.append([entry["status"]["id"] for entry in body["messages"]])

    assert outcomes == [[14, 26], [26, 26]]


async def test_nobody_texts_a_name_or_a_number_nobody_has(sandbox, infobip, control):
    """A person can text a registered number only."""
    for address in ("Contoso", "+14255550177"):
        await control.ask("POST", "/infobip/inbound", {"from": PERSON, "to": address, "text": "Hi"}, status=400)


# Setting up by the API


async def test_a_subscription_is_made_shown_and_deleted(sandbox, infobip, endpoint, http):
    """Making one answers 201 with the ids and where it is; it is shown by its ids, and gone once deleted."""
    ids = {
        "subscriptionId": "gw-sms",
        "profile": {"profileId": "gw-sms-profile", "security": {"authId": "gw-sms-auth"}},
    }

    status, body, headers = await subscribe(sandbox, http, endpoint.url)
    _, shown, _ = await ask(sandbox, http, "GET", f"{SUBSCRIPTIONS}/gw-sms")
    _, listed, _ = await ask(sandbox, http, "GET", SUBSCRIPTIONS)
    foreign, _, _ = await ask(sandbox, http, "GET", f"{SUBSCRIPTIONS}/gw-sms", key=OTHER_KEY)
    _, deleted, _ = await ask(sandbox, http, "DELETE", f"{SUBSCRIPTIONS}/gw-sms")
    gone, old, _ = await ask(sandbox, http, "GET", f"{SUBSCRIPTIONS}/gw-sms")

    assert (status, body) == (201, ids)
    assert headers["Location"].endswith(f"{SUBSCRIPTIONS}/gw-sms")
    assert shown == ids | {
        "name": "gateway",
        "events": ["DELIVERY", "INBOUND_MESSAGE"],
        "criteria": [],
        "resources": [],
    }
    assert listed == {
        "results": [shown],
        "paging": {"page": 0, "size": 20, "totalPages": 1, "totalResults": 1},
    }
    assert (deleted, foreign, gone) == (ids, 404, 404)
    assert old["requestError"]["serviceException"] == {"messageId": "NOT_FOUND", "text": "Not found"}
    await send(sandbox, http)
    await sandbox.idle()
    assert endpoint.received == []


@pytest.mark.parametrize(
    ("change", "violated"),
    [
        ({"subscriptionId": "gw/sms"}, "subscriptionId"),
        ({"subscriptionId": None}, "subscriptionId"),
        ({"events": "DELIVERY"}, "events"),
        ({"channel": "SMS"}, "channel"),
        ({"profile": {"profileId": "p"}}, "profile.webhook"),
        ({"profile": {"profileId": "p", "webhook": {"notifyUrl": "gw.example"}}}, "profile.webhook.notifyUrl"),
        (
            {"profile": {"profileId": "p", "webhook": {"notifyUrl": "http://x"}, "maxBucketSize": 2001}},
            "profile.maxBucketSize",
        ),
        (
            {
                "profile": {
                    "profileId": "p",
                    "webhook": {"notifyUrl": "http://x"},
                    "security": {"authId": "a", "type": "BASIC"},
                }
            },
            "profile.security.credentials",
        ),
        (
            {
                "profile": {
                    "profileId": "p",
                    "webhook": {"notifyUrl": "http://x"},
                    "security": {"authId": "a", "type": "BASIC", "credentials": {"username": "u"}},
                }
            },
            "profile.security.credentials.password",
        ),
    ],
)
async def test_a_wrong_subscription_is_refused(sandbox, infobip, http, change, violated):
    """A subscription that does not fit is answered 400 in the old shape, naming the place, and nothing is made."""
    status, body, _ = await ask(sandbox, http, "POST", SUBSCRIPTIONS, subscription("http://x") | change)

    assert status == 400
    assert list(body["requestError"]["serviceException"]["validationErrors"]) == [violated]
    assert (await ask(sandbox, http, "GET", SUBSCRIPTIONS))[1]["results"] == []


async def test_ids_are_taken_once(sandbox, infobip, http):
    """A subscription, profile or security id that exists is refused; a profile is used again by its id alone."""
    await subscribe(sandbox, http, "http://x")
    again = subscription("http://x")
    other = again | {"subscriptionId": "other"}
    by_id = {"profileId": "gw-sms-profile"}
    fresh = {"profileId": "fresh", "webhook": {"notifyUrl": "http://x"}}

    async def answer(body):
        status, said, _ = await ask(sandbox, http, "POST", SUBSCRIPTIONS, body)
        if status == 201:
            return status, ""
        return status, *said["requestError"]["serviceException"].get("validationErrors", [])

    assert await answer(again) == (400, "subscriptionId")
    assert await answer(other) == (400, "profile.profileId")
    assert await answer(other | {"profile": fresh | {"security": again["profile"]["security"]}}) == (
        *(400, "profile.security.authId"),
    )
    assert await answer(other | {"profile": fresh | {"security": {"authId": "unknown"}}}) == (404,)
    assert await answer(other | {"profile": by_id}) == (201, "")
    assert await answer(
        subscription("", name="third") | {"profile": fresh | {"security": {"authId": "gw-sms-auth"}}}
    ) == (*(201, ""),)


async def test_a_subscription_is_changed_by_reference(sandbox, infobip, endpoint, http):
    """PUT exchanges a subscription's events and names a profile; the address or the password cannot come with it."""
    await subscribe(sandbox, http, f"{endpoint.url}/old")
    path = f"{SUBSCRIPTIONS}/gw-sms"
    change = {"name": "Updated", "events": ["DELIVERY"], "profile": {"profileId": "gw-sms-profile"}}
    whole = subscription(f"{endpoint.url}/new")

    assert (await ask(sandbox, http, "PUT", path, change))[0] == 200
    assert (await ask(sandbox, http, "GET", path))[1]["events"] == ["DELIVERY"]
    assert (await ask(sandbox, http, "PUT", path, change | {"profile": whole["profile"]}))[0] == 400
    assert (await ask(sandbox, http, "PUT", path, whole))[0] == 400
    assert (await ask(sandbox, http, "PUT", path, change | {"profile": {"profileId": "unknown"}}))[0] == 404
    assert (await ask(sandbox, http, "PUT", f"{SUBSCRIPTIONS}/unknown", change))[0] == 404


async def test_address_and_password_are_changed_where_they_stand(sandbox, infobip, endpoint, http):
    """The profile has address and headers, the security settings the password; both are exchanged as a whole."""
    await subscribe(sandbox, http, f"{endpoint.url}/old")
    profile = {
        "webhook": {"notifyUrl": f"{endpoint.url}/new"},
        "security": {"authId": "gw-sms-auth"},
        "headers": {"X-Gw-Secret": "fresh"},
    }
    security = {"type": "BASIC", "credentials": {"username": USER, "password": "fresh"}}

    changed = await ask(sandbox, http, "PUT", f"{PROFILES}/gw-sms-profile", profile)
    secured = await ask(sandbox, http, "PUT", f"{SECURITY}/gw-sms-auth", security)
    with_credentials = profile | {"security": {"authId": "gw-sms-auth", **security}}
    refused, _, _ = await ask(sandbox, http, "PUT", f"{PROFILES}/gw-sms-profile", with_credentials)
    unknown = profile | {"security": {"authId": "unknown"}}
    missing, _, _ = await ask(sandbox, http, "PUT", f"{PROFILES}/gw-sms-profile", unknown)
    await send(sandbox, http)
    await sandbox.idle()

    assert changed[:2] == (200, {"profileId": "gw-sms-profile", "security": {"authId": "gw-sms-auth"}})
    assert secured[:2] == (200, {"authId": "gw-sms-auth"})
    assert (refused, missing) == (400, 404)
    [got] = endpoint.received
    assert (got.path, got.headers["X-Gw-Secret"]) == ("/new", "fresh")
    assert base64.b64decode(got.headers["Authorization"].removeprefix("Basic ")) == b"ib:fresh"


async def test_profiles_and_security_settings_stand_alone(sandbox, infobip, http):
    """Both can be made, listed, shown and deleted by themselves, and not deleted while in use."""
    security = {"authId": "a", "type": "BASIC", "credentials": {"username": USER, "password": PASSWORD}}
    profile = {"profileId": "p", "webhook": {"notifyUrl": "http://x", "contentType": "application/json"}}

    made = [
        await ask(sandbox, http, "POST", SECURITY, security),
        await ask(sandbox, http, "POST", PROFILES, profile | {"security": {"authId": "a"}}),
        await ask(sandbox, http, "POST", SUBSCRIPTIONS, subscription("", profile={"profileId": "p"})),
    ]
    assert [answer[0] for answer in made] == [201, 201, 201]
    assert made[1][1] == {"profileId": "p", "security": {"authId": "a"}}
    assert (await ask(sandbox, http, "POST", SECURITY, security))[0] == 400
    assert (await ask(sandbox, http, "POST", PROFILES, profile))[0] == 400
    assert (await ask(sandbox, http, "GET", f"{PROFILES}/p"))[1] == profile | {"security": {"authId": "a"}}
    assert (await ask(sandbox, http, "GET", f"{SECURITY}/a"))[1] == security
    assert (await ask(sandbox, http, "GET", PROFILES))[1]["paging"]["totalResults"] == 1
    assert (await ask(sandbox, http, "GET", f"{SECURITY}?page=1&size=1"))[1]["results"] == []
    assert (await ask(sandbox, http, "GET", f"{SECURITY}?size=101"))[0] == 400
    for path, name in ((SECURITY, "a"), (PROFILES, "p")):
        assert (await ask(sandbox, http, "DELETE", f"{path}/{name}"))[0] == 400
    for path, name in ((SUBSCRIPTIONS, "gw-sms"), (PROFILES, "p"), (SECURITY, "a")):
        assert (await ask(sandbox, http, "DELETE", f"{path}/{name}"))[0] == 200
        assert (await ask(sandbox, http, "GET", f"{path}/{name}"))[0] == 404


async def test_an_event_goes_to_the_subscription_that_fits_best(sandbox, infobip, endpoint, http):
    """Each report goes to one subscription: of those that fit, to the narrower one; events of others are ignored."""
    await subscribe(sandbox, http, f"{endpoint.url}/all")
    await subscribe(sandbox, http, f"{endpoint.url}/sender", name="sender", resources=["12345"])
    await subscribe(sandbox, http, f"{endpoint.url}/entity", name="entity", criteria=[{"entityId": "e1"}])
    await subscribe(sandbox, http, f"{endpoint.url}/none", name="none", events=["SEEN"], resources=["12345"])
    formatted = [{"event": "DELIVERY", "format": "SMS_JSON"}]
    both = {"resources": ["12345"], "criteria": [{"entityId": "e1"}]}
    await ask(
        sandbox,
        http,
        "POST",
        SUBSCRIPTIONS,
        subscription(f"{endpoint.url}/both", name="both") | both | {"events": formatted},
    )
    platform = {"options": {"platform": {"entityId": "e1"}}}

    for name, more in (
        ("all", {}),
        ("sender", {"sender": "12345"}),
        ("entity", platform),
        ("both", {"sender": "12345"} | platform),
    ):
        await send(sandbox, http, message(PERSON, text=name, ids=[name], **more))
        await sandbox.idle()

    assert [(got.path[1:], got.json["results"][0]["messageId"]) for got in endpoint.received] == [
        (name, name) for name in ("all", "sender", "entity", "both")
    ]


async def test_an_account_takes_its_set_up_with_it(sandbox, infobip, endpoint, http, control):
    """Who deletes an account and makes it again starts without subscriptions, forwarding or numbers."""
    await subscribe(sandbox, http, endpoint.url)
    forwarding = {"type": "HTTP_FORWARD", "url": f"{endpoint.url}/number"}
    await ask(sandbox, http, "POST", FORWARDING, {"channel": "SMS", "number": SENDER[1:], "forwarding": forwarding})
    foreign = {"channel": "SMS", "number": "14255550101", "forwarding": forwarding}
    await ask(sandbox, http, "POST", FORWARDING, foreign, key=OTHER_KEY)

    await control.ask("DELETE", "/infobip/accounts/one")
    set_up(sandbox)

    assert (await ask(sandbox, http, "GET", SUBSCRIPTIONS))[1]["results"] == []
    assert (await ask(sandbox, http, "GET", PROFILES))[1]["results"] == []
    assert (await ask(sandbox, http, "GET", SECURITY))[1]["results"] == []
    assert (await ask(sandbox, http, "GET", f"{FORWARDING}?channel=SMS"))[1] == []
    assert len((await ask(sandbox, http, "GET", f"{FORWARDING}?channel=SMS", key=OTHER_KEY))[1]) == 1
    assert (await ask(sandbox, http, "GET", FORWARDING))[0] == 400
    key = (await ask(sandbox, http, "GET", f"{FORWARDING}?channel=SMS", key=OTHER_KEY))[1][0]["configurationKey"]
    assert (await ask(sandbox, http, "DELETE", f"{FORWARDING}/{key}"))[0] == 404


# Becoming a customer


@asynccontextmanager
async def customer(sandbox, control, endpoint):
    """Follow the kit: make the account, set the callbacks up, and give the settings."""
    kit = kits()["infobip"]
    known = Customer("demo", lambda name: name.encode().hex().ljust(32, "0")[:32], kit.sender)
    addresses = Addresses(f"{endpoint.url}/report/T0KEN", f"{endpoint.url}/inbound/T0KEN")
    for _ in range(2):  # doing it again replaces
        for call in (*kit.account(known), *kit.wiring(known, addresses)):
            await control.ask("POST", call.path, dict(call.body))
    yield kit, kit.settings(known, sandbox.base_url)


async def test_the_kit_makes_a_customer(sandbox, http, control, endpoint):
    """Whoever follows the kit sends with its settings and is called back with the proofs that stand in them."""
    async with customer(sandbox, control, endpoint) as (kit, settings):
        headers = {"Authorization": f"App {settings['apiKey']}"}
        body = {"messages": [message(kit.person(123), sender=kit.sender, ids=["a"])]}
        async with http.post(f"{settings['baseUrl']}/sms/3/messages", json=body, headers=headers) as response:
            assert response.status == 200
        await control.ask("POST", "/infobip/inbound", {"from": kit.person(123), "to": kit.sender, "text": "Hi"})
        await sandbox.idle()

    pair = f"{settings['callbackUser']}:{settings['callbackPassword']}".encode()
    assert sorted(got.path for got in endpoint.received) == ["/inbound/T0KEN", "/report/T0KEN"]
    for got in endpoint.received:
        assert got.headers["Authorization"] == f"Basic {base64.b64encode(pair).decode()}"
        assert got.headers["X-Gateway-Secret"] == settings["callbackSecret"]


async def test_a_wrong_subscription_over_the_control_api_is_explained(sandbox, infobip, control):
    """The control API makes subscriptions by the vendor's rules and says which was broken."""
    body = {"subscriptionId": "s", "events": ["DELIVERY"], "profile": {"profileId": "p"}}

    said = await control.ask("POST", "/infobip/accounts/one/subscriptions", body, status=400)

    assert "profile.webhook" in said["error"]
    state = await control.ask("GET", "/infobip")
    assert state["subscriptions"] == []


async def test_secrets_are_not_shown(sandbox, infobip, control, http, endpoint):
    """Neither the vendor's state nor its call log shows a key, a password or a secret header."""
    await subscribe(sandbox, http, endpoint.url)

    shown = str(await control.ask("GET", "/infobip")) + str(await control.ask("GET", "/infobip/calls"))

    assert "gw-sms" in shown
    assert PASSWORD not in shown
    assert HEADER not in shown
