"""Callbacks of vendors that do not sign: the token, what else proves them, and where they may come from."""

from __future__ import annotations

import json
from base64 import b64encode

import pytest

from functions.vendors.contract import TOKEN
from tests.conftest import Ready
from tests.triggers.problems import check_problem

ANN = "+14255550180"
"""Nothing is ever reported of her by the simulated vendors."""
VENDOR = "linkmobility"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def made(connected):
    """Make a provider whose callbacks carry a token, a password and a secret header."""
    connected.made[VENDOR] = await connected.make(VENDOR)
    return connected.made[VENDOR]


@pytest.fixture
def addresses(connected, made):
    """Give a function that reads the provider's callback addresses."""

    async def read():
        return (await connected.call("GET", f"/providers/{made.id}/callbacks")).body

    return read


@pytest.fixture
async def report(connected, made, addresses, request_raw):
    """Send a message, and give a function that reports it delivered with the right proofs, or with others."""
    (message,) = await connected.send(made, ANN)
    sent = await connected.until(message, "sent")
    await connected.idle()
    address = (await addresses())["report"]

    async def post(url=address, *, method="POST", password=made.settings["callbackPassword"], **headers):
        body = {"refId": message, "id": sent["vendorId"], "resultCode": 1001, "segments": 1}
        pair = b64encode(f"{made.settings['callbackUser']}:{password}".encode()).decode()
        proofs = {"Authorization": f"Basic {pair}", "X-Gateway-Secret": made.settings["callbackSecret"]}
        sending = JSON | proofs | {name.replace("_", "-"): value for name, value in headers.items()}
        route = url.partition("/api")[2]
        data = json.dumps(body).encode() if method == "POST" else None
        return await request_raw(method, route, data, headers=sending, key=False)

    post.message = message
    return post


async def test_the_right_proofs_are_taken(connected, report):
    """With token, password and header the report counts and gets the vendor's own answer."""
    answer = await report()
    assert (answer.status, answer.body) == (200, "OK")
    assert (await connected.message(report.message))["status"] == "delivered"


async def test_each_proof_is_needed(connected, addresses, report, dump):
    """Without any one of the three, or with another provider's token, nothing is taken and nothing changes."""
    other = await connected.make(VENDOR, account="two", sender=("short_code", "2444"))
    foreign = (await connected.call("GET", f"/providers/{other.id}/callbacks")).body["report"].rpartition("/")[2]
    base, _, token = (await addresses())["report"].rpartition("/")
    before = dump()
    for url in (base, f"{base}/{token[:-1]}", f"{base}/{token}x", f"{base}/{foreign}", f"{base}/x"):
        check_problem(await report(url), 403)
    check_problem(await report(password="wrong"), 403)
    check_problem(await report(Authorization=""), 403)
    check_problem(await report(X_Gateway_Secret="wrong"), 403)
    check_problem(await report(method="GET"), 404)
    assert dump() == before


async def test_a_token_is_rotated_without_a_gap(connected, made, addresses, report):
    """After a rotation both tokens are taken, after the next one the oldest is not."""
    first = (await addresses())["report"]
    rotated = await connected.call("POST", f"/providers/{made.id}/callbacks/rotate")
    second = rotated.body["report"]
    assert rotated.status == 200
    assert second == (await addresses())["report"] != first
    assert [(await report(url)).status for url in (first, second)] == [200, 200]
    third = (await connected.call("POST", f"/providers/{made.id}/callbacks/rotate")).body["report"]
    assert [(await report(url)).status for url in (first, second, third)] == [403, 200, 200]
    last = (await connected.call("POST", f"/providers/{made.id}/callbacks/rotate?keepPrevious=false")).body["report"]
    assert [(await report(url)).status for url in (third, last)] == [403, 200]


async def test_a_rotation_honours_if_match(connected, made):
    """Two people do not rotate the token one after the other without knowing."""
    etag = (await connected.call("GET", f"/providers/{made.id}")).headers["ETag"]
    path = f"/providers/{made.id}/callbacks/rotate"
    assert (await connected.call("POST", path, headers={"If-Match": etag})).status == 200
    check_problem(await connected.call("POST", path, headers={"If-Match": etag}), 412)


async def test_a_vendor_that_signs_has_no_token(connected):
    """Where the vendor signs its callbacks there is nothing to rotate, and the addresses carry no token."""
    twilio = await connected.make("twilio")
    check_problem(await connected.call("POST", f"/providers/{twilio.id}/callbacks/rotate"), 409)
    urls = (await connected.call("GET", f"/providers/{twilio.id}/callbacks")).body
    assert urls["report"].endswith("/report")


async def test_secrets_are_rotated_in_any_order(connected, made, report):
    """While token and password change, the vendor may know the old one of either and the new one of the other."""
    patch = {"settings": {"callbackPasswordSecondary": "another-long-password"}}
    await connected.call("PATCH", f"/providers/{made.id}", patch, headers={"If-Match": "*"})
    second = (await connected.call("POST", f"/providers/{made.id}/callbacks/rotate")).body["report"]
    for password in (made.settings["callbackPassword"], "another-long-password"):
        assert (await report(password=password)).status == 200
        assert (await report(second, password=password)).status == 200


async def test_the_token_cannot_be_chosen(connected, made):
    """A token that somebody thought up can be guessed: it is neither set nor removed by hand."""
    for value in ("a" * 32, None):
        body = {"settings": {TOKEN: value}}
        answer = await connected.call("PATCH", f"/providers/{made.id}", body, headers={"If-Match": "*"})
        assert "rotate" in check_problem(answer, 422, f"/settings/{TOKEN}")["errors"][0]["detail"]
    body = {"vendor": VENDOR, "name": "x", "settings": {TOKEN: "a" * 32}}
    check_problem(await connected.call("POST", "/providers", body), 422, f"/settings/{TOKEN}")


async def test_the_token_shows_in_the_addresses_alone(connected, made, addresses, report, caplog):
    """The token is in no provider, no message and no log line; the callback addresses are where it is shown."""
    token = (await addresses())["report"].rpartition("/")[2]
    await report()
    await report(password="wrong")
    shown = [
        (await connected.call("GET", path)).body
        for path in (f"/providers/{made.id}", "/providers", "/messages", f"/messages/{report.message}")
    ]
    assert len(token) == 32
    assert token not in json.dumps(shown)
    assert token not in caplog.text
    assert TOKEN in shown[0]["secretsSet"]


@pytest.mark.parametrize(
    ("proxies", "allowed", "forwarded", "status"),
    [
        ("0", "127.0.0.0/8, ::1", None, 200),
        ("0", "203.0.113.0/24", None, 403),
        ("0", "203.0.113.0/24", "203.0.113.7", 403),
        ("1", "203.0.113.0/24", "203.0.113.7", 200),
        ("1", "203.0.113.0/24", "203.0.113.7, 198.51.100.1", 403),
        ("1", "203.0.113.0/24", None, 403),
    ],
    ids=["from there", "from elsewhere", "forged", "behind a proxy", "forged behind a proxy", "past the proxy"],
)
async def test_callbacks_come_from_named_networks(
    start_gateway, sandbox, dump, monkeypatch, proxies, allowed, forwarded, status
):
    """A callback from elsewhere is refused whatever it proves; what the caller claims of itself does not count."""
    ready = Ready(await start_gateway(SMS_TRUSTED_PROXIES=proxies), sandbox)
    made = await ready.make(VENDOR, settings={"callbackSources": allowed})
    url = (await ready.call("GET", f"/providers/{made.id}/callbacks")).body["report"]
    pair = b64encode(f"{made.settings['callbackUser']}:{made.settings['callbackPassword']}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}", "X-Gateway-Secret": made.settings["callbackSecret"]}
    headers |= {"X-Forwarded-For": forwarded} if forwarded else {}
    body = {"refId": "x", "id": "y", "resultCode": 1001, "segments": 1}
    target = ready.gateway.url + "/api" + url.partition("/api")[2]
    async with ready.gateway.session.post(target, json=body, headers=headers) as answer:
        assert answer.status == status


async def test_networks_are_checked_when_saved(connected, made):
    """What is no network is named when it is set, not when the first callback is refused."""
    for text in ("example.com", "10.0.0.0/99", ","):
        body = {"settings": {"callbackSources": text}}
        answer = await connected.call("PATCH", f"/providers/{made.id}", body, headers={"If-Match": "*"})
        check_problem(answer, 422, "/settings/callbackSources")


async def test_setting_callbacks_up_by_api(connected, made):
    """Where the vendor has an API the gateway sets callbacks up by it, again without harm; elsewhere it says so."""
    for _ in range(2):
        answer = await connected.call("POST", f"/providers/{made.id}/callbacks/subscribe")
        assert answer.status == 200, answer.body
        assert answer.body["detail"]
        kept = (await connected.call("GET", f"/providers/{made.id}")).body["settings"]
        assert answer.body["settings"].items() <= kept.items()
        assert set(answer.body["settings"]) == {"reportGate", "inboundGate"}
    twilio = await connected.make("twilio")
    check_problem(await connected.call("POST", f"/providers/{twilio.id}/callbacks/subscribe"), 409)


async def test_a_text_for_support(connected, made, addresses):
    """The text for the vendor's support is there in English and German, with the addresses and without a password."""
    found = await addresses()
    assert [text["language"] for text in found["support"]] == ["en", "de"]
    for text in found["support"]:
        assert found["report"] in text["text"]
        assert found["inbound"] in text["text"]
        assert made.address in text["text"]
        assert made.settings["callbackPassword"] not in text["text"]
        assert made.settings["callbackSecret"] not in text["text"]


async def test_a_recipient_the_sender_does_not_reach(connected, made):
    """A recipient in a country that the kind of sender does not reach is refused before anything is sent."""
    vibes = await connected.make("vibes")
    body = {"from": vibes.sender, "to": ["+4791234567", "+14255550180", "+16135550142", "+5215512345678"], "text": "x"}
    answer = await connected.call("POST", "/messages", body)
    assert [item["status"] for item in answer.body["messages"]] == ["refused", "queued", "queued", "refused"]
    assert answer.body["messages"][0]["refusal"]["code"] == "sender_not_allowed"
    assert "US, CA" in answer.body["messages"][0]["refusal"]["detail"]


async def test_a_text_the_vendor_cannot_carry(connected, made):
    """A text that this vendor cannot carry is refused, and the preview says so before."""
    body = {"from": made.sender, "to": ANN, "text": "Hello 🙂"}
    check_problem(await connected.call("POST", "/messages", body), 422, "/text")
    preview = await connected.call("POST", "/messages/preview", {"text": "Hello 🙂", "from": made.sender})
    assert preview.body["refusal"]["code"] == "invalid_text"
    assert "refusal" not in (await connected.call("POST", "/messages/preview", {"text": "Hello 🙂"})).body


async def test_a_dry_run_needs_a_template(connected, made):
    """A vendor with code of its own has no request template to show."""
    check_problem(await connected.call("POST", f"/providers/{made.id}/dry-run", {"to": ANN, "text": "x"}), 409)
