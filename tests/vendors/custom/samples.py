"""Seven public SMS APIs, one of which the page for operators shows: what they want, answer and post.

All of it is from their pages. Clickatell: https://github.com/arnoesterhuizen/clickatell-overview-http. CM.com:
https://developers.cm.com/messaging/docs/xml-protocol and ``responses-errors-xml``. GatewayAPI:
https://gatewayapi.com/docs/apis/rest/. seven.io: https://docs.seven.io/en/rest-api/endpoints/sms and ``webhooks``.
Sinch: https://developers.sinch.com/docs/sms/api-reference/sms/batches and ``webhooks``. Vonage:
https://developer.vonage.com/en/api/sms. BulkSMS: https://www.bulksms.com/developer/json/v1/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, quote_plus, urlsplit

import hypothesis
import orjson

from functions.vendors.contract import (
    Accepted,
    Account,
    Callback,
    Category,
    DeliveryReport,
    InboundText,
    Outcome,
    Outgoing,
    Reason,
    Refused,
    Retry,
    SendCall,
    Sender,
    SenderType,
    State,
    Unknown,
)

unhurried = hypothesis.settings(deadline=None)
"""For every property: an example takes a fraction of a millisecond, and a busy machine may stop for longer than that.

That no input takes long is claimed by tests that count, not by a clock that runs on while others have the processor.
"""
FOLDER = Path(__file__).parent / "definitions"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
NOW = datetime(2026, 11, 22, 12, 33, 10, tzinfo=UTC)
BATCH = "01JDA8V0Z5Q6XW3K9N7RB2T4CM"
MESSAGE = f"{BATCH}-17"
TOKEN = "CanaryOfTheCallbackToken"
REPORT_URL = f"https://sms.example.com/api/callbacks/custom/01JDA8V0Z5PR0V1DER00000000/report/{TOKEN}"
TEXT = "Grüße & 100% = ✓ <b>{x}</b>\n\"quoted\" 'too' \\ ?"


@dataclass(frozen=True)
class Wire:
    """What arrived at the API: the path with its query as pairs, the body as the API reads it."""

    method: str
    path: str
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Sequence[tuple[str, str]] = ()
    json: object = None
    xml: str = ""


@dataclass(frozen=True)
class Api:
    """One API.

    Args:
        credentials: What an operator has for it.
        wire: What the request of ``call()`` must be; of the headers, those that matter.
        answers: A status and a body, and what they mean.
        callbacks: What is posted, and what it says.
    """

    credentials: Mapping[str, str]
    wire: Wire
    answers: Sequence[tuple[int, bytes, Outcome]]
    callbacks: Sequence[tuple[Callback, DeliveryReport | InboundText]]


def definition(name: str) -> dict:
    """Return a definition of the folder."""
    return orjson.loads((FOLDER / f"{name}.json").read_bytes())


def call(sender: Sender | None = None, **changes: object) -> SendCall:
    """Return a call of one message with everything that a text can hold."""
    made = SendCall(
        batch=BATCH,
        sender=sender or Sender(SenderType.LONG_CODE, "+14255550100"),
        messages=(Outgoing(MESSAGE, "+14255550123", TEXT),),
        first_attempt=NOW,
        validity=600,
        report_url=REPORT_URL,
        category=Category.MARKETING,
    )
    return replace(made, **changes)


def account(described: Mapping[str, object], credentials: Mapping[str, str], **more: str) -> Account:
    """Return an account at an API."""
    return Account("01JDA8V0Z5PR0V1DER00000000", settings(described, credentials, **more))


def settings(described: Mapping[str, object], credentials: Mapping[str, str], **more: str) -> dict[str, str]:
    """Return a provider's settings."""
    texts = {"definition": described, "credentials": credentials}
    return {name: orjson.dumps(value).decode() for name, value in texts.items()} | {"callbackToken": TOKEN} | more


def moved(described: dict, url: str) -> dict:
    """Return a definition whose API is at another address."""
    for name in ("request", "check"):
        if name in described:
            parts = urlsplit(described[name]["url"])
            described[name]["url"] = described[name]["url"].replace(f"{parts.scheme}://{parts.netloc}", url)
    return described


def wired(request: object, headers: Sequence[str]) -> Wire:
    """Return what an API reads of a request that arrived."""
    parts = urlsplit(request.path)
    kind = request.headers.get("Content-Type", request.headers.get("content-type", "")).partition(";")[0]
    return Wire(
        request.method,
        parts.path,
        parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)) or (),
        {name: request.headers[name] for name in headers if name in request.headers},
        parse_qsl(request.body.decode(), keep_blank_values=True) if kind.endswith("urlencoded") else (),
        orjson.loads(request.body) if kind.endswith("json") else None,
        request.body.decode() if kind.endswith("xml") else "",
    )


def posted(kind: str, body: object = b"", query: Mapping[str, str] | None = None, method: str = "POST") -> Callback:
    """Return a callback as it arrives; a mapping is sent as a form, everything else as JSON."""
    if not isinstance(body, bytes):
        body = orjson.dumps(body)
    address = REPORT_URL if kind == "report" else REPORT_URL.replace("/report/", "/inbound/")
    if query:
        address += "?" + "&".join(f"{name}={quote_plus(value)}" for name, value in query.items())
    return Callback(kind, address, query or {}, {}, body, method, TOKEN)


def seconds(at: float) -> datetime:
    """Return a Unix time."""
    return datetime.fromtimestamp(at, UTC)


BULKSMS_MESSAGE = {
    "id": "1415937027307741184",
    "type": "SENT",
    "from": "+14255550100",
    "to": "14255550123",
    "body": "This is a test",
    "encoding": "TEXT",
    "submission": {"id": "2-00000000002516605256", "date": "2024-09-12T05:48:14Z"},
    "status": {"id": "ACCEPTED.null", "type": "ACCEPTED", "subtype": None},
    "userSuppliedId": MESSAGE,
}
VONAGE_RECEIPT = {
    "msisdn": "14255550123",
    "to": "AcmeInc",
    "network-code": "12345",
    "messageId": "0A0000001234567B",
    "price": "0.03330000",
    "status": "delivered",
    "scts": "2001011400",
    "err-code": "0",
    "api-key": "abcd1234",
    "client-ref": MESSAGE,
    "message-timestamp": "2020-01-01 12:00:00",
}
SINCH_RECEIPT = {
    "at": "2024-06-06T08:17:19.210Z",
    "batch_id": "01W4FFL35P4NC4K35SMSBATCH9",
    "client_reference": MESSAGE,
    "code": 0,
    "operator_status_at": "2024-06-06T08:17:00Z",
    "recipient": "14255550123",
    "status": "Delivered",
    "type": "recipient_delivery_report_sms",
}
SINCH_TEXT = {
    "id": "OzQ5UqIOdoY8",
    "from": "14255550123",
    "to": "18444651185",
    "body": " Hello World ",
    "type": "mo_text",
    "received_at": "2016-03-30T19:33:06.643Z",
}
SEVEN_RECEIPT = {
    "data": {"msg_id": "77149843739", "status": "TRANSMITTED", "timestamp": "2021-08-24 08:08:00.000000"},
    "webhook_event": "dlr",
    "webhook_timestamp": "2021-08-24T08:08:00+02:00",
}
SEVEN_TEXT = {
    "data": {"id": "681590", "sender": "4915126716517", "system": "491771783130", "text": "Hi", "time": "1605878104"},
    "webhook_event": "sms_mo",
    "webhook_timestamp": "2020-12-02 11:55:44",
}
SEVEN_ANSWER = {
    "success": "100",
    "total_price": 0.075,
    "messages": [{"id": "77229135982", "recipient": "14255550123", "success": True, "error": None}],
}
GATEWAYAPI_STATUS = {
    "id": 1000001,
    "msisdn": 14255550123,
    "time": 1450000000,
    "status": "DELIVERED",
    "userref": MESSAGE,
    "charge_status": "CAPTURED",
}

APIS: Mapping[str, Api] = {
    "bulksms": Api(
        {"tokenId": "CanaryTokenId", "tokenSecret": "CanaryTokenSecret"},
        Wire(
            "POST",
            "/v1/messages",
            [("auto-unicode", "true")],
            {"authorization": "Basic Q2FuYXJ5VG9rZW5JZDpDYW5hcnlUb2tlblNlY3JldA=="},
            json={
                "from": "+14255550100",
                "to": "+14255550123",
                "body": TEXT,
                "deliveryReports": "ALL",
                "userSuppliedId": MESSAGE,
            },
        ),
        [
            (201, orjson.dumps([BULKSMS_MESSAGE]), Accepted("1415937027307741184")),
            (201, b"[]", Unknown("BulkSMS answered 201: ", "201")),
            (
                403,
                orjson.dumps(
                    {
                        "type": "https://developer.bulksms.com/json/v1/errors#insufficient-credits",
                        "title": "Insufficient credits",
                        "status": 403,
                        "detail": "You have too few credits.",
                    }
                ),
                Refused(
                    Reason.ACCOUNT,
                    code="https://developer.bulksms.com/json/v1/errors#insufficient-credits",
                    detail="You have too few credits.",
                ),
            ),
        ],
        [
            (
                posted("report", [BULKSMS_MESSAGE | {"status": {"type": "DELIVERED", "subtype": None}}]),
                DeliveryReport(
                    State.DELIVERED,
                    "1415937027307741184",
                    message=MESSAGE,
                    recipient="14255550123",
                    status="DELIVERED",
                ),
            ),
            (
                posted("report", [BULKSMS_MESSAGE | {"status": {"type": "FAILED", "subtype": "EXPIRED"}}]),
                DeliveryReport(
                    State.EXPIRED,
                    "1415937027307741184",
                    message=MESSAGE,
                    recipient="14255550123",
                    status="FAILED",
                    code="EXPIRED",
                    reason=Reason.EXPIRED,
                ),
            ),
            (
                # To the address for reports, as an operator may have set only one.
                posted(
                    "report", [{"id": "7", "type": "RECEIVED", "from": "14255550123", "to": "1425", "body": "Stop"}]
                ),
                InboundText("7", "14255550123", "1425", "Stop"),
            ),
        ],
    ),
    "clickatell": Api(
        {"user": "CanaryUser", "password": "Canary&Password", "apiId": "3442105"},
        Wire(
            "GET",
            "/http/sendmsg",
            [
                ("user", "CanaryUser"),
                ("password", "Canary&Password"),
                ("api_id", "3442105"),
                ("from", "14255550100"),
                ("to", "14255550123"),
                ("text", TEXT),
                ("cliMsgId", MESSAGE),
                ("callback", "3"),
                ("validity", "10"),
            ],
        ),
        [
            (200, b"ID: 205e85d0578314037a96175249fc6a2b", Accepted("205e85d0578314037a96175249fc6a2b")),
            (
                200,
                b"ID: 205e85d0578314037a96175249fc6a2b To: 14255550123\n",
                Accepted("205e85d0578314037a96175249fc6a2b"),
            ),
            (
                200,
                b"ERR: 105, Invalid Destination Address",
                Refused(Reason.INVALID_RECIPIENT, code="105", detail="Invalid Destination Address"),
            ),
            (
                200,
                b"ERR: 106, Invalid Source Address",
                Refused(Reason.INVALID_SENDER, Retry.OTHER_SENDER, code="106", detail="Invalid Source Address"),
            ),
            (200, b"ERR: 901, Internal error", Unknown("Clickatell HTTP answered 200: Internal error", "901")),
            (200, b"ID: ", Unknown("Clickatell HTTP answered 200: ", "200")),
            (200, b"", Unknown("Clickatell HTTP answered 200: ", "200")),
        ],
        [
            (
                posted(
                    "report",
                    query={
                        "api_id": "12345",
                        "apiMsgId": "996f364775e24b8432f45d77da8eca47",
                        "cliMsgId": MESSAGE,
                        "timestamp": "1218007814",
                        "to": "14255550123",
                        "from": "27833001171",
                        "status": "003",
                        "charge": "0.300000",
                    },
                    method="GET",
                ),
                DeliveryReport(
                    State.SENT,
                    "996f364775e24b8432f45d77da8eca47",
                    message=MESSAGE,
                    recipient="14255550123",
                    code="003",
                    at=seconds(1218007814),
                ),
            ),
            (
                posted(
                    "inbound",
                    b"api_id=3523864&from=14255550123&timestamp=2015-02-04+09%3A30%3A36&text=Test+clicks%20&"
                    b"charset=UTF-8&udh=&moMsgId=d2b66016178dda7c3b4a701056797755&to=447860024227",
                ),
                InboundText(
                    "d2b66016178dda7c3b4a701056797755",
                    "14255550123",
                    "447860024227",
                    "Test clicks ",
                    at=datetime(2015, 2, 4, 9, 30, 36, tzinfo=UTC),
                ),
            ),
        ],
    ),
    "cm": Api(
        {"productToken": "00000000-CANARY-<&-0000"},
        Wire(
            "POST",
            "/gateway.ashx",
            xml='<?xml version="1.0" encoding="UTF-8"?><MESSAGES><AUTHENTICATION><PRODUCTTOKEN>00000000-CANARY-'
            "&lt;&amp;-0000</PRODUCTTOKEN></AUTHENTICATION><MSG><CHANNEL>SMS</CHANNEL><FROM>0014255550100</FROM>"
            '<TO>0014255550123</TO><BODY type="AUTO">Grüße &amp; 100% = ✓ &lt;b&gt;{x}&lt;/b&gt;\n"quoted" '
            f"'too' \\ ?</BODY><REFERENCE>{MESSAGE}</REFERENCE><CUSTOMGROUPING>M</CUSTOMGROUPING></MSG></MESSAGES>",
        ),
        [
            (200, b"", Accepted("")),
            (
                200,
                b"Error: ERROR No account found for the given authentication",
                Refused(
                    Reason.CREDENTIALS,
                    code="No account found for the given authentication",
                    detail="Error: ERROR No account found for the given authentication",
                ),
            ),
            (
                200,
                b"Error: ERROR Message is unrouteable.",
                Refused(
                    Reason.UNROUTABLE,
                    code="Message is unrouteable",
                    detail="Error: ERROR Message is unrouteable.",
                ),
            ),
            (400, b"", Refused(Reason.OTHER, code="400")),
            (
                200,
                b"Error: ERROR Unknown error",
                Unknown("CM.com answered 200: Error: ERROR Unknown error", "Unknown error"),
            ),
        ],
        [
            (
                posted(
                    "report",
                    query={
                        "REFERENCE": MESSAGE,
                        "GSM": "0014255550123",
                        "STATUS": "3",
                        "STATUSDESCRIPTION": "Failed",
                        "DATETIME": "2020-01-01T12:00:00",
                    },
                    method="GET",
                ),
                DeliveryReport(
                    State.UNDELIVERED,
                    "",
                    message=MESSAGE,
                    recipient="0014255550123",
                    code="3",
                    reason=Reason.OTHER,
                    detail="Failed",
                    at=datetime(2020, 1, 1, 12, tzinfo=UTC),
                ),
            ),
        ],
    ),
    "gatewayapi": Api(
        {"token": "CanaryToken"},
        Wire(
            "POST",
            "/rest/mtsms",
            headers={"authorization": "Token CanaryToken"},
            json={
                "sender": "14255550100",
                "message": TEXT,
                "recipients": [{"msisdn": 14255550123}],
                "userref": MESSAGE,
                "callback_url": REPORT_URL,
                "encoding": "UCS2",
                "validity_period": 600,
            },
        ),
        [
            (
                200,
                b'{"ids": [421332671], "usage": {"countries": {"DK": 1}, "currency": "DKK", "total_cost": 0.12}}',
                Accepted("421332671"),
            ),
            (
                403,
                b'{"code": "0x0213", "incident_uuid": "d8127429", "message": "Unauthorized IP-address: %1"}',
                Refused(Reason.CREDENTIALS, code="0x0213", detail="Unauthorized IP-address: %1"),
            ),
            (422, b"<html>", Refused(Reason.OTHER, code="422")),
            (500, b'{"code": "0x0213"}', Unknown("GatewayAPI answered 500: ", "0x0213")),
        ],
        [
            (
                posted("report", GATEWAYAPI_STATUS),
                DeliveryReport(
                    State.DELIVERED,
                    "1000001",
                    message=MESSAGE,
                    recipient="14255550123",
                    status="DELIVERED",
                    at=seconds(1450000000),
                ),
            ),
            (
                posted("report", GATEWAYAPI_STATUS | {"status": "UNDELIVERABLE", "code": "1", "error": "Absent"}),
                DeliveryReport(
                    State.UNDELIVERED,
                    "1000001",
                    message=MESSAGE,
                    recipient="14255550123",
                    status="UNDELIVERABLE",
                    reason=Reason.UNREACHABLE,
                    code="1",
                    detail="Absent",
                    at=seconds(1450000000),
                ),
            ),
            (
                posted(
                    "inbound",
                    {"id": 5, "msisdn": 14255550123, "receiver": 451204, "message": "foo Hi", "senttime": 1450000000},
                ),
                InboundText("5", "14255550123", "451204", "foo Hi", at=seconds(1450000000)),
            ),
        ],
    ),
    "seven": Api(
        {"apiKey": "CanaryApiKey", "signingKey": "CanarySigningKey"},
        Wire(
            "POST",
            "/api/sms",
            headers={"x-api-key": "CanaryApiKey"},
            form=[
                ("to", "+14255550123"),
                ("from", "+14255550100"),
                ("text", TEXT),
                ("foreign_id", MESSAGE),
                ("ttl", "10"),
            ],
        ),
        [
            (200, orjson.dumps(SEVEN_ANSWER), Accepted("77229135982")),
            (
                200,
                b'{"success": "202", "messages": []}',
                Refused(Reason.INVALID_RECIPIENT, code="202"),
            ),
            (200, b'{"success": "101", "messages": []}', Unknown("seven.io answered 200: ", "101")),
            (401, b"900", Refused(Reason.CREDENTIALS, code="401")),
        ],
        [
            (
                posted("report", SEVEN_RECEIPT),
                DeliveryReport(
                    State.SENT,
                    "77149843739",
                    status="TRANSMITTED",
                    at=datetime.fromisoformat("2021-08-24T08:08:00+02:00"),
                ),
            ),
            (
                posted("inbound", SEVEN_TEXT),
                InboundText("681590", "4915126716517", "491771783130", "Hi", at=seconds(1605878104)),
            ),
        ],
    ),
    "sinch": Api(
        {"servicePlanId": "canary/plan id", "apiToken": "CanaryApiToken"},
        Wire(
            "POST",
            "/xms/v1/canary%2Fplan%20id/batches",
            headers={"authorization": "Bearer CanaryApiToken"},
            json={
                "type": "mt_text",
                "from": "14255550100",
                "to": ["14255550123"],
                "body": TEXT,
                "delivery_report": "per_recipient",
                "callback_url": REPORT_URL,
                "client_reference": MESSAGE,
                "expire_at": "2026-11-22T12:43:10Z",
            },
        ),
        [
            (
                201,
                b'{"id": "01FC66621XXXXX119Z8PMV1QPQ", "to": ["15551231234"], "canceled": false}',
                Accepted("01FC66621XXXXX119Z8PMV1QPQ"),
            ),
            (
                400,
                b'{"code": "syntax_invalid_parameter_format", "text": "The format was wrong."}',
                Refused(Reason.CONFIGURATION, code="syntax_invalid_parameter_format", detail="The format was wrong."),
            ),
            (429, b"", Refused(Reason.THROTTLED, Retry.LATER, code="429")),
        ],
        [
            (
                posted("report", SINCH_RECEIPT),
                DeliveryReport(
                    State.DELIVERED,
                    "01W4FFL35P4NC4K35SMSBATCH9",
                    message=MESSAGE,
                    recipient="14255550123",
                    status="Delivered",
                    code="0",
                    at=datetime(2024, 6, 6, 8, 17, tzinfo=UTC),
                ),
            ),
            (
                posted("report", SINCH_RECEIPT | {"status": "FAILED", "code": 408}),
                DeliveryReport(
                    State.REJECTED,
                    "01W4FFL35P4NC4K35SMSBATCH9",
                    message=MESSAGE,
                    recipient="14255550123",
                    status="FAILED",
                    code="408",
                    reason=Reason.CARRIER_BLOCKED,
                    at=datetime(2024, 6, 6, 8, 17, tzinfo=UTC),
                ),
            ),
            (
                # A service plan has one address for both kinds.
                posted("report", SINCH_TEXT),
                InboundText(
                    "OzQ5UqIOdoY8",
                    "14255550123",
                    "18444651185",
                    " Hello World ",
                    at=datetime(2016, 3, 30, 19, 33, 6, 643000, tzinfo=UTC),
                ),
            ),
        ],
    ),
    "vonage": Api(
        {"apiKey": "canary12", "apiSecret": "CanaryApiSecret"},
        Wire(
            "POST",
            "/sms/json",
            form=[
                ("api_key", "canary12"),
                ("api_secret", "CanaryApiSecret"),
                ("from", "14255550100"),
                ("to", "14255550123"),
                ("text", TEXT),
                ("type", "unicode"),
                ("client-ref", MESSAGE),
                ("callback", REPORT_URL),
                ("ttl", "600000"),
            ],
        ),
        [
            (
                200,
                (
                    b'{"message-count": "1", "messages": [{"to": "447700900000", "message-id": "0C000000217B7F02", '
                    b'"status": "0", "message-price": "0.03330000"}]}'
                ),
                Accepted("0C000000217B7F02"),
            ),
            (
                200,
                b'{"message-count": "1", "messages": [{"status": "1", "error-text": "Throughput Rate Exceeded"}]}',
                Refused(Reason.THROTTLED, Retry.LATER, code="1", detail="Throughput Rate Exceeded"),
            ),
            (
                200,
                b'{"message-count": "1", "messages": [{"status": "5", "error-text": "Internal Error"}]}',
                Unknown("Vonage answered 200: Internal Error", "5"),
            ),
        ],
        [
            (
                posted("report", VONAGE_RECEIPT),
                DeliveryReport(
                    State.DELIVERED,
                    "0A0000001234567B",
                    message=MESSAGE,
                    recipient="14255550123",
                    status="delivered",
                    code="0",
                    at=datetime(2020, 1, 1, 12, tzinfo=UTC),
                ),
            ),
            (
                posted("report", VONAGE_RECEIPT | {"status": "failed", "err-code": "9"}),
                DeliveryReport(
                    State.UNDELIVERED,
                    "0A0000001234567B",
                    message=MESSAGE,
                    recipient="14255550123",
                    status="failed",
                    code="9",
                    reason=Reason.INVALID_RECIPIENT,
                    at=datetime(2020, 1, 1, 12, tzinfo=UTC),
                ),
            ),
            (
                posted(
                    "inbound",
                    query={
                        "msisdn": "447700900001",
                        "to": "447700900000",
                        "messageId": "0A0000000123ABCD1",
                        "text": "Hello world",
                        "type": "text",
                        "keyword": "HELLO",
                        "message-timestamp": "2020-01-01 12:00:00",
                    },
                    method="GET",
                ),
                InboundText(
                    "0A0000000123ABCD1",
                    "447700900001",
                    "447700900000",
                    "Hello world",
                    at=datetime(2020, 1, 1, 12, tzinfo=UTC),
                ),
            ),
        ],
    ),
}
