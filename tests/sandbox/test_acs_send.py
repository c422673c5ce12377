"""ACS: sending, with the real SDK and with requests that are wrong in one thing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from uuid import uuid4

import orjson
import pytest
from azure.communication.sms import SmsClient
from azure.communication.sms.aio import SmsClient as AsyncSmsClient
from azure.core.credentials import AccessToken, AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

from sandbox.clock import Clock
from sandbox.outcomes import magic_number
from sandbox.testing import running_sandbox
from sandbox.vendors.acs import AcsVendor, Resource, signature
from tests.sandbox.conftest import KEY, OTHER_KEY, PERSON, SENDER, TOLL_FREE

VERSION = "2021-03-07"
REPEATABILITY_ERROR = (
    "Request sent with Invalid DateTime value for repeatability-first-sent. Expected is DateTime ,RFC1123 pattern."
)


@pytest.fixture
def acs(sandbox):
    vendor = sandbox.vendor(AcsVendor)
    vendor.resources.put("contoso", Resource(name="contoso", keys=[OTHER_KEY, KEY], tokens=["entra-token"]))
    return vendor


def sms(*recipients, **changes):
    """Build the body of a send request."""
    return {
        "from": SENDER,
        "smsRecipients": [to if isinstance(to, dict) else {"to": to} for to in recipients or (PERSON,)],
        "message": "Hello",
        **changes,
    }


def repeatable(to=PERSON, repeat_id=None, first_sent="Mon, 01 Apr 2019 06:22:03 GMT"):
    """Build a recipient with a repeatability id."""
    return {
        "to": to,
        "repeatabilityRequestId": repeat_id or str(uuid4()),
        "repeatabilityFirstSent": first_sent,
    }


def signed(sandbox, path, body, *, key=KEY, date=None, host=None, hashed=None, method="POST", names="x-ms-date"):
    """Sign a request by the rules of the documentation, or against one of them."""
    date = date or format_datetime(datetime.now(UTC), usegmt=True)
    host = host or sandbox.base_url.removeprefix("http://")
    hashed = hashed or base64.b64encode(hashlib.sha256(body).digest()).decode()
    text = f"{method}\n{path}\n{date};{host};{hashed}"
    mac = base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()
    return {
        "Authorization": f"HMAC-SHA256 SignedHeaders={names};host;x-ms-content-sha256&Signature={mac}",
        names: date,
        "x-ms-content-sha256": hashed,
        "Content-Type": "application/json",
    }


async def post(sandbox, http, body, *, path=f"/sms?api-version={VERSION}", headers=None, **signing):
    """Send a raw request; give status, parsed body and headers."""
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    all_headers = {**signed(sandbox, path, raw, **signing), **(headers or {})}
    all_headers = {name: value for name, value in all_headers.items() if value is not None}
    async with http.post(sandbox.base_url + path, data=raw, headers=all_headers) as response:
        return response.status, await response.json(content_type=None), response.headers


def test_the_published_signature_vector_is_reproduced():
    """The signer gives the signatures recorded from Microsoft's own policy class for a fixed request."""
    body = (
        b'{"from":"+18005551234","smsRecipients":[{"to":"+14255550123","repeatabilityRequestId":'
        b'"fda6d242-46aa-4247-8bf6-619a1206f9c3","repeatabilityFirstSent":"Mon, 01 Apr 2019 06:22:03 GMT"}],'
        b'"message":"Hello","smsSendOptions":{"enableDeliveryReport":true,"tag":"t1"}}'
    )
    hashed = base64.b64encode(hashlib.sha256(body).digest()).decode()
    fixed = {"date": "Mon, 01 Apr 2019 06:22:03 GMT", "host": "contoso.communication.azure.com", "hashed": hashed}

    assert hashed == "vG6GgPlP82giy3gQwW0ruIkdepYhFk7F7G2Bi6gyltg="
    assert (
        signature(KEY, "POST", "/sms?api-version=2021-03-07", **fixed) == "Y/EpSd0pK7wO2nmnZXhZt0lBDdyE/mOMA0r2j2PeHAM="
    )
    assert (
        signature(KEY, "POST", "/sms?api-version=2026-01-23", **fixed) == "NEQypjEtf7tVmmGmEaXSfL9IBvTqxZTkjzhoODZ/Tic="
    )


async def test_the_async_sdk_sends(sandbox, acs):
    """The unchanged async SDK is accepted, and what it sent is in the ledger once."""
    async with AsyncSmsClient(sandbox.base_url, AzureKeyCredential(KEY)) as client:
        [result] = await client.send(SENDER, PERSON, "Grüße ✓", enable_delivery_report=True, tag="t1")

    [message] = acs.ledger
    assert (True, 202, message.id) == (result.successful, result.http_status_code, result.message_id)
    assert (message.sender, message.recipient, message.text, message.tag) == (SENDER, PERSON, "Grüße ✓", "t1")


async def test_the_sync_sdk_sends(sandbox, acs):
    """The unchanged sync SDK is accepted with either of the resource's two keys."""

    def send(key):
        return SmsClient(sandbox.base_url, AzureKeyCredential(key)).send(SENDER, [PERSON, TOLL_FREE], "Hello")

    results = [await asyncio.to_thread(send, key) for key in (KEY, OTHER_KEY)]

    assert [[item.successful for item in result] for result in results] == [[True, True], [True, True]]
    assert len(acs.ledger) == 4


async def test_the_sdk_reads_a_refused_recipient(sandbox, acs):
    """One bad recipient is refused in its own item of the 202, the other goes out."""
    async with AsyncSmsClient(sandbox.base_url, AzureKeyCredential(KEY)) as client:
        good, bad = await client.send(SENDER, [PERSON, "+112345678901"], "Hello")

    assert (good.successful, good.http_status_code) == (True, 202)
    assert (bad.successful, bad.http_status_code, bad.message_id) == (False, 400, None)
    assert bad.error_message == "Invalid To phone number format."
    assert len(acs.ledger) == 1


async def test_the_sdk_with_a_wrong_key_is_refused(sandbox, acs):
    """A key that is not the resource's raises the SDK's authentication error, and nothing is sent."""
    wrong = base64.b64encode(b"w" * 32).decode()
    async with AsyncSmsClient(sandbox.base_url, AzureKeyCredential(wrong)) as client:
        with pytest.raises(ClientAuthenticationError) as caught:
            await client.send(SENDER, PERSON, "Hello")

    assert caught.value.error.code == "Denied"
    assert len(acs.ledger) == 0


async def test_the_sdk_sends_with_an_entra_token(sandbox, acs):
    """A configured bearer token opens the resource, another does not."""

    class Credential:
        def __init__(self, token):
            self.token = token

        async def get_token(self, *_scopes, **_options):
            return AccessToken(self.token, 4102444800)

    async with AsyncSmsClient(sandbox.base_url, Credential("entra-token")) as client:
        [result] = await client.send(SENDER, PERSON, "Hello", enforce_https=False)
    async with AsyncSmsClient(sandbox.base_url, Credential("another")) as client:
        with pytest.raises(ClientAuthenticationError):
            await client.send(SENDER, PERSON, "Hello", enforce_https=False)

    assert result.successful
    assert len(acs.ledger) == 1


async def test_the_resource_may_stand_in_the_path(sandbox, acs, http):
    """Below /acs/{resource} the signed path includes the prefix, and only that resource's keys count."""
    acs.resources.put("fabrikam", Resource(name="fabrikam", keys=[base64.b64encode(b"f" * 32).decode()]))
    path = f"/acs/contoso/sms?api-version={VERSION}"

    good, _, _ = await post(sandbox, http, sms(), path=path)
    other, _, _ = await post(sandbox, http, sms(), path=path.replace("contoso", "fabrikam"))
    unknown, _, _ = await post(sandbox, http, sms(), path=path.replace("contoso", "nobody"))

    assert (good, other, unknown) == (202, 401, 404)
    assert len(acs.ledger) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"headers": {"Authorization": None}}, "Unauthorized"),
        ({"headers": {"Authorization": "HMAC-SHA256 nonsense"}}, "Unauthorized"),
        ({"headers": {"x-ms-content-sha256": base64.b64encode(b"x" * 32).decode()}}, "Denied"),
        ({"hashed": base64.b64encode(b"x" * 32).decode()}, "Denied"),
        ({"host": "contoso.communication.azure.com"}, "Denied"),
        ({"host": "127.0.0.1"}, "Denied"),
        ({"headers": {"x-ms-date": None}}, "Denied"),
        ({"headers": {"x-ms-date": "Mon, 01 Apr 2019 06:22:03 GMT"}}, "Denied"),
        ({"date": "Mon, 01 Apr 2019 06:22:03 GMT"}, "Denied"),
        ({"date": "2026-11-22T12:00:00Z"}, "Denied"),
        ({"method": "GET"}, "Denied"),
    ],
)
async def test_a_signature_that_is_off_in_one_thing_is_refused(sandbox, acs, http, change, code):
    """Missing, wrong or stale parts of the signature are answered 401 in the service's error shape."""
    status, body, _ = await post(sandbox, http, sms(), **change)

    assert (401, code) == (status, body["error"]["code"])
    assert len(acs.ledger) == 0


async def test_the_plain_date_header_may_be_signed_instead(sandbox, acs, http):
    """The documentation allows Date in the place of x-ms-date."""
    status, _, _ = await post(sandbox, http, sms(), names="date")

    assert status == 202


@pytest.mark.parametrize("minutes", [-14, 14])
async def test_a_clock_a_little_off_is_accepted(sandbox, acs, http, minutes):
    """Within a quarter of an hour the date is close enough."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)

    status, _, _ = await post(sandbox, http, sms(), date=date)

    assert status == 202


async def test_the_api_version_is_required_and_known(sandbox, acs, http):
    """Without api-version, or with one that does not exist, the error names what is wrong."""
    missing = await post(sandbox, http, sms(), path="/sms")
    unknown = await post(sandbox, http, sms(), path="/sms?api-version=2020-01-01")

    assert (missing[0], missing[1]["error"]["code"]) == (400, "ApiVersionUnspecified")
    assert missing[1]["error"]["message"] == "An API version is required, but was not specified."
    assert missing[1]["error"]["innerError"] is None
    assert (unknown[0], unknown[1]["error"]["code"]) == (400, "UnsupportedApiVersion")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (sms(**{"from": None}), "From"),
        (sms(**{"from": "14255550100"}), "From"),
        (sms(**{"from": "Much too long name"}), "From"),
        (sms(message=""), "Message"),
        (sms(message="x" * 2049), "Message"),
        (sms(smsRecipients=[]), "SmsRecipients"),
        (sms(smsRecipients=None), "SmsRecipients"),
        (sms(smsRecipients=[{"to": PERSON}] * 101), "SmsRecipients"),
        (sms(smsRecipients=[{"number": PERSON}]), "SmsRecipients"),
        (sms(smsRecipients=PERSON), "SmsRecipients"),
        (sms(smsSendOptions={"tag": "t"}), "SmsSendOptions.EnableDeliveryReport"),
        (sms(smsSendOptions={"enableDeliveryReport": "true"}), "SmsSendOptions.EnableDeliveryReport"),
        (sms(smsSendOptions={"enableDeliveryReport": True, "tag": 7}), "SmsSendOptions.Tag"),
        (
            sms(smsSendOptions={"enableDeliveryReport": True, "deliveryReportTimeoutInSeconds": 59}),
            "SmsSendOptions.DeliveryReportTimeoutInSeconds",
        ),
    ],
)
async def test_a_field_that_does_not_fit_is_named(sandbox, acs, http, body, field):
    """A request with a missing or unfit field gets problem+json naming it, and nothing is sent."""
    status, problem, headers = await post(sandbox, http, body)

    assert (400, [field]) == (status, list(problem["errors"]))
    assert headers["Content-Type"].startswith("application/problem+json")
    assert len(acs.ledger) == 0


async def test_the_limits_themselves_are_accepted(sandbox, acs, http):
    """100 recipients and 2,048 characters go through."""
    people = [f"+1206600{index:04d}" for index in range(100)]

    status, body, _ = await post(sandbox, http, sms(*people, message="x" * 2048))

    assert (status, len(body["value"])) == (202, 100)
    assert len(acs.ledger) == 100


async def test_content_type_and_json_are_checked(sandbox, acs, http):
    """A form is not taken for JSON, and JSON must be an object."""
    form = await post(sandbox, http, b"from=1", headers={"Content-Type": "application/x-www-form-urlencoded"})
    broken = await post(sandbox, http, b"{")
    array = await post(sandbox, http, b"[]")

    assert (form[0], broken[0], array[0]) == (415, 422, 422)


async def test_a_sender_of_somebody_else_is_refused(sandbox, acs, http):
    """Once a resource names its numbers, it sends from these only."""
    acs.resources.put("contoso", Resource(name="contoso", keys=[KEY], numbers=[TOLL_FREE]))

    own = await post(sandbox, http, sms(**{"from": TOLL_FREE}))
    foreign = await post(sandbox, http, sms())

    assert (own[0], foreign[0]) == (202, 401)


async def test_the_same_repeatability_id_is_executed_once(sandbox, acs, http):
    """A replay gives the same message id and sends nothing."""
    recipient = repeatable()

    first = await post(sandbox, http, sms(recipient))
    again = await post(sandbox, http, sms(recipient))

    assert first[1] == again[1]
    assert first[1]["value"][0]["repeatabilityResult"] == "accepted"
    [message] = acs.ledger
    assert (message.requests, message.conflicts) == (2, 0)


async def test_two_parallel_requests_with_one_id_are_executed_once(sandbox, acs, http):
    """Two requests at the same moment with the same repeatability id make one message."""
    recipient = repeatable()

    answers = await asyncio.gather(*(post(sandbox, http, sms(recipient)) for _ in range(8)))

    assert len({answer[1]["value"][0]["messageId"] for answer in answers}) == 1
    assert len(acs.ledger) == 1


async def test_a_repeatability_id_is_forgotten_after_its_window(http):
    """After the window the same id makes a second message: the vendor's promise is not for ever."""
    clock = Clock()
    async with running_sandbox(clock=clock) as sandbox:
        acs = sandbox.vendor(AcsVendor)
        acs.resources.put("contoso", Resource(name="contoso", keys=[KEY], clock_skew_seconds=3600))
        recipient = repeatable()

        counts = []
        for seconds in (0, 299, 2):
            clock.advance(seconds)
            await post(sandbox, http, sms(recipient))
            counts.append(len(acs.ledger))

    assert counts == [1, 1, 2]


async def test_ids_of_two_resources_do_not_meet(sandbox, acs, http):
    """A repeatability id belongs to its resource."""
    other = base64.b64encode(b"f" * 32).decode()
    acs.resources.put("fabrikam", Resource(name="fabrikam", keys=[other]))
    recipient = repeatable()

    await post(sandbox, http, sms(recipient))
    await post(sandbox, http, sms(recipient), key=other)

    assert [message.account for message in acs.ledger] == ["contoso", "fabrikam"]


async def test_another_text_under_the_same_id_is_not_sent_but_noted(sandbox, acs, http):
    """A client that reuses an id for another text loses that text, and the ledger shows it."""
    recipient = repeatable()

    await post(sandbox, http, sms(recipient, message="one"))
    await post(sandbox, http, sms(recipient, message="two"))

    [message] = acs.ledger
    assert (message.text, message.conflicts) == ("one", 1)


@pytest.mark.parametrize(
    "recipient",
    [
        {"to": PERSON, "repeatabilityRequestId": "fda6d242-46aa-4247-8bf6-619a1206f9c3"},
        {"to": PERSON, "repeatabilityFirstSent": "Mon, 01 Apr 2019 06:22:03 GMT"},
        repeatable(first_sent="2019-04-01T06:22:03Z"),
        repeatable(repeat_id="not-a-guid"),
    ],
)
async def test_half_a_repeatability_pair_is_rejected(sandbox, acs, http, recipient):
    """An id without a date, a date without an id, or either misspelt, rejects that recipient."""
    status, body, _ = await post(sandbox, http, sms(recipient))

    [item] = body["value"]
    assert (
        status,
        item["httpStatusCode"],
        item["repeatabilityResult"],
        item["successful"],
    ) == (202, 400, "rejected", False)
    assert item["errorMessage"] == REPEATABILITY_ERROR
    assert "messageId" not in item
    assert len(acs.ledger) == 0


async def test_the_newest_version_answers_bare_ids(sandbox, acs, http):
    """2026-01-23 answers an id without the prefix its events carry, so ids must be compared with care."""
    _, body, _ = await post(sandbox, http, sms(), path="/sms?api-version=2026-01-23")

    [message] = acs.ledger
    assert message.id == f"Outgoing_{body['value'][0]['messageId']}_noam"


async def test_the_result_can_be_polled(sandbox, acs, http):
    """GET /deliveryReports/{id} finds nothing until the message is final, then tells its end."""
    _, body, _ = await post(sandbox, http, sms(magic_number("0162")), path="/sms?api-version=2026-01-23")
    await sandbox.idle()
    _, silent, _ = await post(sandbox, http, sms(magic_number("0180")), path="/sms?api-version=2026-01-23")

    async def poll(answer):
        path = f"/deliveryReports/{answer['value'][0]['messageId']}?api-version=2026-01-23"
        headers = signed(sandbox, path, b"", method="GET")
        async with http.get(sandbox.base_url + path, headers=headers) as response:
            return response.status, await response.json()

    found, report = await poll(body)
    missing, _ = await poll(silent)
    assert (found, report["deliveryStatus"], report["deliveryStatusDetails"][:4]) == (200, "Failed", "4005")
    assert missing == 404


async def test_opt_outs_can_be_managed(sandbox, acs, http):
    """Add, check and remove answer item by item, with the colon of the path signed as it is."""
    body = {"from": TOLL_FREE, "recipients": [{"to": PERSON}, {"to": "+123"}]}

    answers = {}
    for action in ("add", "check", "remove"):
        path = f"/sms/optouts:{action}?api-version=2026-01-23"
        answers[action] = (await post(sandbox, http, body, path=path))[:2]

    added, checked, removed = answers.values()
    assert (added[0], checked[0], removed[0]) == (200, 200, 200)
    assert checked[1]["value"][0] == {"to": PERSON, "isOptedOut": True, "httpStatusCode": 200}
    assert [item["httpStatusCode"] for item in added[1]["value"]] == [200, 400]
    assert not acs.is_opted_out(TOLL_FREE, PERSON)


async def test_unknown_paths_and_methods_are_not_found(sandbox, acs, http):
    """A path that does not exist is 404 and stands in the call log."""
    status, body, _ = await post(sandbox, http, sms(), path=f"/sms/send?api-version={VERSION}")

    assert (status, body["error"]["code"]) == (404, "NotFound")
    assert acs.calls.entries[-1].status == 404


async def test_the_sdk_raises_on_field_errors(sandbox, acs):
    """Through the SDK a request with too long a text is an HttpResponseError with the problem in its body."""
    async with AsyncSmsClient(sandbox.base_url, AzureKeyCredential(KEY)) as client:
        with pytest.raises(HttpResponseError) as caught:
            await client.send(SENDER, PERSON, "x" * 2049)

    assert caught.value.status_code == 400
    assert "Message" in orjson.loads(caught.value.response.text())["errors"]
