"""Telesign: sending and asking, with the real client, with raw requests, and with requests wrong in one thing."""

from __future__ import annotations

import asyncio
import base64
import re
import time
import uuid
from urllib.parse import urlencode

import aiohttp
import pytest
from telesign.messaging import MessagingClient
from telesign.rest import RestClient

from sandbox.clock import http_date
from sandbox.outcomes import Reason, magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.telesign import STATUS_CODES, Account, Number, TelesignVendor, sign_request
from sandbox.vendors.telesign.wire import ERRORS, STATUSES, string_to_sign
from tests.sandbox.conftest import PERSON, SENDER

CUSTOMER = "FFFFFFFF-EEEE-DDDD-1234-AB1234567890"
KEY = "ABC12345yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw=="
SECOND_KEY = base64.b64encode(b"the second key of the account").decode()
OTHER_CUSTOMER, OTHER_KEY = "00000000-0000-4000-8000-000000000001", base64.b64encode(b"somebody else's key").decode()
OTHER_SENDER = "+14255550101"
MESSAGING = "/v1/messaging"
BAD_REQUEST, UNAUTHORIZED = 400, 401


@pytest.fixture
def telesign(sandbox):
    return set_up(sandbox)


def set_up(sandbox, **settings):
    vendor = sandbox.vendor(TelesignVendor)
    account = {"customer_id": CUSTOMER, "api_keys": [KEY, SECOND_KEY], "tps": 500, "status_callback": True}
    vendor.accounts.put(CUSTOMER, Account(**account | settings))
    vendor.accounts.put(OTHER_CUSTOMER, Account(customer_id=OTHER_CUSTOMER, api_keys=[OTHER_KEY], tps=500))
    for number, owner in (
        (SENDER, CUSTOMER),
        ("12345", CUSTOMER),
        ("CONTOSO", CUSTOMER),
        (OTHER_SENDER, OTHER_CUSTOMER),
    ):
        vendor.numbers.put(number.removeprefix("+"), Number(number=number, account=owner))
    return vendor


def basic(user=CUSTOMER, secret=KEY):
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{secret}'.encode()).decode()}"}


def form_of(**fields):
    form = {"phone_number": PERSON[1:], "message": "Hello", "message_type": "ARN", "sender_id": SENDER[1:], **fields}
    return {name: value for name, value in form.items() if value is not None}


async def ask(sandbox, http, method="POST", path=MESSAGING, headers=None, **data):
    """Make a raw request with Basic credentials; give status, parsed body and headers."""
    headers = basic() if headers is None else headers
    url = f"{sandbox.base_url}/telesign{path}"
    async with http.request(method, url, headers=headers, **data) as response:
        return response.status, await response.json(content_type=None), response.headers


async def send(sandbox, http, *, headers=None, **fields):
    """Send a message with a field changed, or left out when it is nothing."""
    return await ask(sandbox, http, headers=headers, data=form_of(**fields))


def client_of(sandbox, **more):
    return MessagingClient(CUSTOMER, KEY, rest_endpoint=f"{sandbox.base_url}/telesign", **more)


def signed(body, *, key=KEY, method="POST", resource=MESSAGING, dated="Date", date=None, **own):
    """Sign a request as the page on Digest says; `own` replaces or, with nothing, drops an `x-ts-` header."""
    date = date or http_date(time.time())
    content_type = "application/x-www-form-urlencoded" if method == "POST" else ""
    ours = {"x-ts-auth-method": "HMAC-SHA256", "x-ts-nonce": str(uuid.uuid4())}
    ours |= {f"x-ts-{name.replace('_', '-')}": value for name, value in own.items()}
    ours = {name: value for name, value in ours.items() if value is not None}
    if dated == "x-ts-date":
        ours["x-ts-date"] = date
    text = string_to_sign(method, content_type, date if dated == "Date" else "", ours.items(), body, resource)
    auth_method = ours.get("x-ts-auth-method", "HMAC-SHA1")
    proof = sign_request(key, text, auth_method if auth_method in {"HMAC-SHA1", "HMAC-SHA256"} else "HMAC-SHA256")
    headers = {"Authorization": f"TSA {CUSTOMER}:{proof}", "Content-Type": content_type, **ours}
    return headers | ({"Date": date} if dated == "Date" else {})


# The real client, and the vectors


@pytest.mark.parametrize("auth_method", ["Basic", None])
async def test_the_real_client_sends_and_asks(sandbox, telesign, auth_method):
    """Telesign's own client sends and reads the state, with Basic credentials and with its default signature."""

    def talk():
        client = client_of(sandbox, auth_method=auth_method)
        sent = client.message(PERSON[1:], "Grüße & 100% = ✓", "ARN", sender_id=SENDER[1:], external_id="msg-001")
        return sent, client.status(sent.json["reference_id"])

    sent, asked = await asyncio.to_thread(talk)

    [message] = telesign.ledger
    assert (sent.status_code, sent.json["reference_id"], sent.json["external_id"]) == (200, message.id, "msg-001")
    assert sent.json["status"]["code"] == 290
    assert (message.sender, message.recipient, message.text) == (SENDER, PERSON, "Grüße & 100% = ✓")
    assert (asked.status_code, asked.json["reference_id"]) == (200, message.id)


@pytest.mark.parametrize(
    ("method", "content_type", "body", "resource", "expected"),
    [
        (
            "POST",
            "application/x-www-form-urlencoded",
            (
                b"phone_number=15558675309&message=Hello+caf%C3%A9&message_type=ARN&account_lifecycle_event=transact"
                b"&external_id=msg-001"
            ),
            MESSAGING,
            "Eut2BfqVxrQOdj7jsbNV9PU9s740bZy51eVdi416814=",
        ),
        (
            "GET",
            "",
            b"",
            f"{MESSAGING}/0123456789ABCDEF0123456789ABCDEF",
            "d/qvSldxdYktd+6igJpwipVY0sTBw2wtRk/NgVcfVzo=",
        ),
    ],
)
def test_the_request_vectors_are_reproduced(method, content_type, body, resource, expected):
    """The layout and the signature of a request agree with recorded ones and with what the real client makes."""
    date, nonce = "Sun, 22 Nov 2026 12:00:00 GMT", "A1592C6F-E384-4CDB-BC42-C3AB970369E9"
    own = [("x-ts-nonce", nonce), ("x-ts-auth-method", "HMAC-SHA256")]

    theirs = RestClient.generate_telesign_headers(
        CUSTOMER, KEY, method, resource, body.decode(), date_rfc2616=date, nonce=nonce
    )

    assert sign_request(KEY, string_to_sign(method, content_type, date, own, body, resource)) == expected
    assert theirs["Authorization"] == f"TSA {CUSTOMER}:{expected}"


# Answers


async def test_the_answer_has_the_documented_shape(sandbox, telesign, http):
    """The 200 has an id, the echo and the status in progress; without an external id the echo is null."""
    status, body, headers = await send(sandbox, http, external_id="01JDA8V0Z5Q6XW3K9N7RB2T4CM-17")
    _, plain, _ = await send(sandbox, http)

    assert status == 200
    assert headers["Content-Type"].startswith("application/json")
    assert set(body) == {"reference_id", "external_id", "status"}
    assert re.fullmatch(r"[0-9A-F]{32}", body["reference_id"])
    assert (body["external_id"], plain["external_id"]) == ("01JDA8V0Z5Q6XW3K9N7RB2T4CM-17", None)
    assert (body["status"]["code"], body["status"]["description"]) == (290, "Message in progress")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", body["status"]["updated_on"])


async def test_features_add_to_the_answer(sandbox, http):
    """An account with the features gets the cleansed number and whether it was changed."""
    set_up(sandbox, features=["cleansed_phone_number", "phone_number_modified"])

    _, body, _ = await send(sandbox, http)

    assert (body["cleansed_phone_number"], body["phone_number_modified"]) == (PERSON[1:], "False")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"phone_number": None}, 12000),
        ({"phone_number": ""}, 11000),
        ({"phone_number": PERSON}, 11000),
        ({"phone_number": "1 206 555 0123"}, 11000),
        ({"phone_number": "120655501234"}, 11000),
        ({"phone_number": "1206555"}, 11000),
        ({"phone_number": "4255550123"}, 11001),
        ({"phone_number": "١٢٠٦٥٥٥٠١٢٣"}, 11000),
        ({"phone_number": "99912345678"}, 11001),
        ({"phone_number": "012065550123"}, 11001),
        ({"message": None}, 12009),
        ({"message": ""}, 11009),
        ({"message": "x" * 1601}, 11009),
        ({"message_type": None}, 12017),
        ({"message_type": "arn"}, 11017),
        ({"message_type": "ALL"}, 11017),
        ({"sender_id": ""}, 11013),
        ({"sender_id": SENDER}, 11013),
        ({"sender_id": "12065550199"}, 11013),
        ({"sender_id": OTHER_SENDER[1:]}, 11013),
        ({"sender_id": "contoso"}, 11013),
        ({"sender_id": "x" * 21}, 11013),
        ({"external_id": "x" * 101}, 11016),
        ({"external_id": "é"}, 11016),
        ({"callback_url": ""}, 11004),
        ({"callback_url": "/report"}, 11004),
        ({"callback_url": "http://sms.example.com/report"}, 11004),
        ({"callback_url": "https://sms.example.com:8443/report"}, 11004),
        ({"callback_url": "https://host:port/report"}, 11004),
        ({"callback_url": "ftp://127.0.0.1/report"}, 11004),
        ({"account_lifecycle_event": "signin"}, 11003),
        ({"originating_ip": "203.0.113"}, 11010),
        ({"dlt_template_id": "x" * 41}, 11034),
        ({"dlt_entity_id": "x" * 41}, 11035),
        ({"integration_name": "gateway"}, 11027),
    ],
)
async def test_a_parameter_that_does_not_fit_has_its_own_code(sandbox, telesign, http, fields, code):
    """Each documented mistake is 400 with Telesign's code and words, a new id and the echo, and nothing is sent."""
    status, body, _ = await send(sandbox, http, **{"external_id": "msg-001", **fields})

    assert (status, body["status"]["code"]) == (BAD_REQUEST, code)
    assert body["status"]["description"] == ERRORS[code][1]
    assert body["status"]["updated_on"]
    assert re.fullmatch(r"[0-9A-F]{32}", body["reference_id"])
    assert body["external_id"] == fields.get("external_id", "msg-001")
    assert len(telesign.ledger) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"message": "x" * 1600},
        {"message": "🛑" * 1600},
        {"message_type": "MKT", "account_lifecycle_event": "sign-in"},
        {"message_type": "OTP", "is_primary": "false", "originating_ip": "2001:db8::1"},
        {"external_id": "x" * 100},
        {"callback_url": "https://sms.example.com/api/callbacks?m=1"},
        {"callback_url": "https://sms.example.com:443/report"},
        {"callback_url": "http://localhost:7071/report"},
        {"sender_id": "12345"},
        {"sender_id": "CONTOSO"},
        {"sender_id": None},
        {"dlt_template_id": "x" * 40, "dlt_entity_id": "x" * 40},
        {"unheard": "of"},
    ],
)
async def test_the_limits_themselves_are_accepted(sandbox, http, fields):
    """What is just inside a limit goes through, and unknown parameters are ignored."""
    set_up(sandbox, status_callback=False)

    status, _, _ = await send(sandbox, http, **fields)

    assert status == 200


async def test_an_account_without_sender_ids_may_use_any(sandbox, http):
    """As long as an account names no sender ID any well-formed one passes; a foreign one does not."""
    vendor = set_up(sandbox)
    for number in ("12345", "CONTOSO", SENDER[1:]):
        vendor.numbers.remove(number)

    status, _, _ = await send(sandbox, http, sender_id="12065550199")
    _, foreign, _ = await send(sandbox, http, sender_id=OTHER_SENDER[1:])

    assert status == 200
    assert foreign["status"]["code"] == 11013
    assert [message.sender for message in vendor.ledger] == ["+12065550199"]


@pytest.mark.parametrize(
    "data",
    [
        {"json": form_of()},
        {"data": aiohttp.FormData(form_of(), default_to_multipart=True)},
        {"data": b"", "headers": {**basic(), "Content-Type": "application/x-www-form-urlencoded"}},
    ],
    ids=["JSON", "multipart", "empty"],
)
async def test_only_forms_are_read(sandbox, telesign, http, data):
    """Of any other body nothing is read, so the first thing missing is the phone number."""
    status, body, _ = await ask(sandbox, http, **data)

    assert (status, body["status"]["code"]) == (BAD_REQUEST, 12000)


async def test_a_form_is_utf8(sandbox, telesign, http):
    """Percent codes that are no UTF-8 are refused as a message that cannot be read."""
    body = urlencode(form_of(message="\xe9"), encoding="latin-1").encode()
    headers = {**basic(), "Content-Type": "application/x-www-form-urlencoded"}

    status, answer, _ = await ask(sandbox, http, headers=headers, data=body)

    assert (status, answer["status"]["code"]) == (BAD_REQUEST, 11009)


# Who may ask


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 10009),
        ({"Authorization": "Bearer x"}, 10028),
        ({"Authorization": "Basic"}, 10028),
        ({"Authorization": "Basic !"}, 10028),
        ({"Authorization": f"Basic {base64.b64encode(b'no colon').decode()}"}, 10028),
        (basic(user=CUSTOMER.lower()), 10015),
        (basic(user=OTHER_CUSTOMER), 10022),
        (basic(secret=KEY[:-2]), 10022),
        (basic(secret=base64.b64decode(KEY).hex()), 10022),
        ({"Authorization": "TSA nonsense"}, 10028),
        ({"Authorization": f"TSA {CUSTOMER}:"}, 10028),
        ({"Authorization": f"TSA {CUSTOMER[:-1]}1:x"}, 10015),
    ],
)
async def test_wrong_credentials_have_their_own_codes(sandbox, telesign, http, headers, code):
    """Missing, malformed, unknown and wrong credentials are 401 each with its code, and nothing is sent."""
    status, body, _ = await send(sandbox, http, headers=headers)

    assert (status, body["status"]["code"]) == (UNAUTHORIZED, code)
    assert len(telesign.ledger) == 0


async def test_every_key_of_the_account_opens_it(sandbox, telesign, http):
    """While keys are rotated all of them send; one taken away does not."""
    first, _, _ = await send(sandbox, http, headers=basic(secret=KEY))
    second, _, _ = await send(sandbox, http, headers=basic(secret=SECOND_KEY))
    set_up(sandbox, api_keys=[SECOND_KEY])
    gone, body, _ = await send(sandbox, http, headers=basic(secret=KEY))

    assert (first, second, gone, body["status"]["code"]) == (200, 200, UNAUTHORIZED, 10022)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 290),
        ({"dated": "x-ts-date"}, 290),
        ({"auth_method": "HMAC-SHA1"}, 290),
        ({"auth_method": None}, 290),
        ({"nonce": None}, 290),
        ({"key": SECOND_KEY}, 290),
        ({"key": OTHER_KEY}, 10008),
        ({"resource": f"/telesign{MESSAGING}"}, 10008),
        ({"auth_method": "HMAC-MD5"}, 10006),
        ({"date": "2026-11-22T12:00:00Z"}, 10005),
        ({"date": "Sun, 22 Nov 2015 12:00:00 GMT"}, 10004),
        ({"date": "Sun, 22 Nov 2015 12:00:00 GMT", "dated": "x-ts-date"}, 10004),
        ({"nonce": "short"}, 10003),
        ({"nonce": "x" * 65}, 10003),
    ],
)
async def test_a_signed_request_is_checked_part_by_part(sandbox, telesign, http, changes, code):
    """A signature holds for method, type, date, own headers, raw body and path; each fault has its own code."""
    body = urlencode(form_of()).encode()

    _, answer, _ = await ask(sandbox, http, headers=signed(body, **changes), data=body)

    assert answer["status"]["code"] == code


async def test_a_changed_body_is_no_longer_signed(sandbox, telesign, http):
    """A body signed in another order of fields is refused, and the answer shows what should have been signed."""
    body = urlencode(form_of()).encode()
    reordered = urlencode(dict(reversed(form_of().items()))).encode()

    _, answer, _ = await ask(sandbox, http, headers=signed(body), data=reordered)

    assert answer["status"]["code"] == 10008
    assert answer["signature_string"].startswith("POST\napplication/x-www-form-urlencoded\n")
    assert answer["signature_string"].endswith(f"\n{reordered.decode()}\n{MESSAGING}")


async def test_a_signed_request_needs_a_date(sandbox, telesign, http):
    """Without either date header the code says so."""
    headers = {name: value for name, value in signed(b"").items() if name != "Date"}

    _, answer, _ = await send(sandbox, http, headers=headers)

    assert answer["status"]["code"] == 10007


async def test_a_date_of_their_own_replaces_the_other(sandbox, telesign, http):
    """Beside an x-ts-date the Date header counts neither for the signature nor for the time."""
    body = urlencode(form_of()).encode()
    headers = signed(body, dated="x-ts-date") | {"Date": "Sun, 22 Nov 2015 12:00:00 GMT"}

    _, answer, _ = await ask(sandbox, http, headers=headers, data=body)

    assert answer["status"]["code"] == 290


async def test_a_nonce_is_good_for_one_request(sandbox, telesign, http):
    """The same signed request again is refused for its nonce; a fresh nonce is a second message."""
    body = urlencode(form_of()).encode()
    headers = signed(body)

    codes = [(await ask(sandbox, http, headers=each, data=body))[1]["status"]["code"] for each in (headers, headers)]
    _, fresh, _ = await ask(sandbox, http, headers=signed(body), data=body)

    assert [*codes, fresh["status"]["code"]] == [290, 10002, 290]
    assert len(telesign.ledger) == 2


async def test_a_nonce_may_be_used_again_once_its_date_is_stale(sandbox, telesign, http):
    """Telesign remembers a nonce for as long as the first request could still be replayed, and no longer."""
    body, nonce = urlencode(form_of()).encode(), "a-nonce-of-ours"
    first = await ask(sandbox, http, headers=signed(body, nonce=nonce), data=body)
    sandbox.world.clock.advance(2 * 900 + 1)
    date = http_date(sandbox.world.clock.now())

    again = await ask(sandbox, http, headers=signed(body, nonce=nonce, date=date), data=body)
    third = await ask(sandbox, http, headers=signed(body, nonce=nonce, date=date), data=body)

    assert [answer["status"]["code"] for _, answer, _ in (first, again, third)] == [290, 290, 10002]


async def test_a_date_without_a_zone_is_utc(sandbox, telesign, http):
    """The zone -0000 of RFC 822 counts as UTC."""
    body = urlencode(form_of()).encode()
    date = http_date(time.time()).replace("GMT", "-0000")

    _, answer, _ = await ask(sandbox, http, headers=signed(body, date=date), data=body)

    assert answer["status"]["code"] == 290


@pytest.mark.parametrize(
    ("settings", "status", "code"),
    [
        ({"hosts": ["rest-ww.telesign.com"]}, UNAUTHORIZED, 10035),
        ({"standing": "suspended"}, UNAUTHORIZED, 10010),
        ({"standing": "no_sms"}, UNAUTHORIZED, 10011),
        ({"standing": "source_blocked"}, UNAUTHORIZED, 10014),
        ({"standing": "wallet_empty"}, 402, 10030),
        ({"standing": "hard_cap"}, 429, 10020),
        ({"verified_numbers": ["12065559999"]}, UNAUTHORIZED, 10033),
        ({"verified_numbers": [PERSON[1:]]}, 200, 290),
        ({"hosts": ["127.0.0.1"]}, 200, 290),
    ],
)
async def test_an_account_that_may_not_send_is_told_why(sandbox, http, settings, status, code):
    """A wrong host, a suspension, an empty wallet and the like are refused with their code before anything is sent."""
    vendor = set_up(sandbox, **settings)

    got, body, _ = await send(sandbox, http)

    assert (got, body["status"]["code"]) == (status, code)
    assert len(vendor.ledger) == (code == 290)


async def test_the_host_is_the_one_that_was_asked(sandbox, http):
    """An account bound to the enterprise host is served under that host's name."""
    set_up(sandbox, hosts=["rest-ww.telesign.com"])

    status, _, _ = await send(sandbox, http, headers={**basic(), "Host": "rest-ww.telesign.com"})

    assert status == 200


async def test_the_rate_of_an_account_is_kept(sandbox, http):
    """Two requests a second pass, the third is 429 without Retry-After, whoever sends it and whatever it asks."""
    set_up(sandbox, tps=2)

    first, accepted, _ = await send(sandbox, http)
    second, _, _ = await ask(sandbox, http, "GET", f"{MESSAGING}/{accepted['reference_id']}")
    third, body, headers = await send(sandbox, http, sender_id="12345")
    sandbox.world.clock.advance(0.5)
    fourth, _, _ = await send(sandbox, http)

    assert (first, second, third, fourth) == (200, 200, 429, 200)
    assert body["status"] == {"code": 10019, "description": "Rate Limit Exceeded"}
    assert "Retry-After" not in headers


async def test_a_reset_gives_the_pace_back(sandbox, http, control):
    """After a reset the account's second begins anew."""
    set_up(sandbox, tps=1)
    before = [(await send(sandbox, http))[0] for _ in range(2)]

    await control.ask("POST", "/telesign/reset")

    assert [*before, (await send(sandbox, http))[0]] == [200, 429, 200]


# Asking for a state


async def test_a_state_can_be_asked_for_twelve_hours(sandbox, telesign, http):
    """The state is told with 200, failed ones too, until it is too old to know."""
    ids = [(await send(sandbox, http, phone_number=to[1:]))[1]["reference_id"] for to in (PERSON, magic_number("0160"))]
    await sandbox.idle()

    told = [await ask(sandbox, http, "GET", f"{MESSAGING}/{each}") for each in ids]
    sandbox.world.clock.advance(12 * 3600 + 1)
    late, expired, _ = await ask(sandbox, http, "GET", f"{MESSAGING}/{ids[0]}")

    assert [(status, body["status"]["code"]) for status, body, _ in told] == [(200, 200), (200, 210)]
    assert set(told[0][1]) == {"reference_id", "status"}
    assert (late, expired["status"]["code"]) == (404, 10036)


async def test_a_long_text_has_parts(sandbox, http):
    """With splitting, the parts of a long text are counted and named, the same each time."""
    set_up(sandbox, features=["parts"])
    _, long, _ = await send(sandbox, http, message="€" * 161)

    _, body, _ = await ask(sandbox, http, "GET", f"{MESSAGING}/{long['reference_id']}")
    _, again, _ = await ask(sandbox, http, "GET", f"{MESSAGING}/{long['reference_id']}")

    assert body["additional_info"] == again["additional_info"]
    ids = body["additional_info"]["message_parts_reference_ids"].split(",")
    assert len(ids) == len(set(ids)) == body["additional_info"]["message_parts_count"] == 3


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [("0" * 32, 404, 10017), ("0" * 31, 400, 11011), ("a" * 32, 400, 11011), ("x", 400, 11011)],
)
async def test_an_unknown_or_malformed_id_is_refused(sandbox, telesign, http, asked, status, code):
    """An id that was never given is not found, one of another form is refused."""
    got, body, _ = await ask(sandbox, http, "GET", f"{MESSAGING}/{asked}")

    assert (got, body["status"]["code"]) == (status, code)


async def test_messages_of_another_account_are_not_found(sandbox, telesign, http):
    """Nobody asks for another account's message."""
    _, body, _ = await send(sandbox, http)

    status, error, _ = await ask(
        sandbox, http, "GET", f"{MESSAGING}/{body['reference_id']}", basic(OTHER_CUSTOMER, OTHER_KEY)
    )

    assert (status, error["status"]["code"]) == (404, 10017)


async def test_a_persons_text_is_no_message_to_ask_for(sandbox, telesign, http, control):
    """The id of an incoming text is not found."""
    said = {"from": PERSON, "to": SENDER, "text": "Hi"}
    inbound = await control.ask("POST", "/telesign/inbound", said)

    status, body, _ = await ask(sandbox, http, "GET", f"{MESSAGING}/{inbound['id']}")

    assert (status, body["status"]["code"]) == (404, 10017)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", MESSAGING, 405, -40005),
        ("PUT", MESSAGING, 405, -40005),
        ("POST", "/v1/verify/sms", 404, -40004),
        ("POST", "/v1/messaging/", 404, -40004),
    ],
)
async def test_what_is_no_resource_answers_in_the_older_shape(sandbox, telesign, http, method, path, status, code):
    """Other paths and methods are refused with a list of errors beside the status."""
    got, body, _ = await ask(sandbox, http, method, path)

    assert (got, body["status"]["code"], body["errors"][0]["code"]) == (status, 500, code)


# Magic numbers


def test_every_reason_has_a_code():
    """No reason falls through the table, and each code has its words."""
    assert set(STATUS_CODES) == set(Reason)
    assert set(STATUS_CODES.values()) <= set(STATUSES)


async def test_only_an_impossible_number_is_refused_at_once(sandbox, telesign, http):
    """0150 is refused in the answer; 0151 to 0153 are taken and fail later, as everything does at Telesign."""
    answers = [await send(sandbox, http, phone_number=magic_number(f"015{place}")[1:]) for place in range(4)]
    await sandbox.idle()

    assert [body["status"]["code"] for _, body, _ in answers] == [11000, 290, 290, 290]
    assert [message.reason for message in telesign.ledger] == [Reason.OPTED_OUT, Reason.NO_ROUTE, Reason.NOT_MOBILE]


@pytest.mark.parametrize(
    ("digits", "answers", "sent"),
    [
        ("0170", [(429, None), (200, None), (200, None)], 2),
        ("0171", [(429, "1"), (200, None), (200, None)], 2),
        ("0172", [(429, None), (429, None), (429, None)], 0),
        ("0173", [(500, None), (200, None), (200, None)], 2),
        ("0174", [(500, None), (200, None), (200, None)], 3),
        ("0175", [(0, None), (200, None), (200, None)], 3),
        ("0176", [(0, None), (200, None), (200, None)], 2),
        ("0178", [(500, None), (500, None), (500, None)], 0),
        ("0179", [(0, None), (0, None), (0, None)], 3),
    ],
)
async def test_troubles_on_the_wire(sandbox, telesign, http, digits, answers, sent):
    """Each trouble answers as promised, and since Telesign knows no replay, each request that got through is sent."""
    got = []
    for _ in range(3):
        try:
            status, body, headers = await send(sandbox, http, phone_number=magic_number(digits)[1:])
        except aiohttp.ClientError:
            status, body, headers = 0, {}, {}
        if status in {429, 500}:
            assert body["status"]["code"] == {429: 10019, 500: 10000}[status]
        got.append((status, headers.get("Retry-After")))

    assert got == answers
    assert len(telesign.ledger) == sent


async def test_accounts_and_messages_survive_a_restart(tmp_path, http):
    """After a restart on the same file a message is known, its parts too."""
    async with running_sandbox(data=tmp_path / "facts") as sandbox:
        set_up(sandbox, features=["parts"])
        _, body, _ = await send(sandbox, http, message="x" * 161)
        await sandbox.idle()
        path = f"{MESSAGING}/{body['reference_id']}"
        _, before, _ = await ask(sandbox, http, "GET", path)
    async with running_sandbox(data=tmp_path / "facts") as sandbox:
        _, after, _ = await ask(sandbox, http, "GET", path)

    assert (after, after["status"]["code"]) == (before, 200)
