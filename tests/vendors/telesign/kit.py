"""Telesign for the contract suite.

Requests and answers: https://developer.telesign.com/enterprise/reference/sendsms.
Signature: https://developer.telesign.com/enterprise/docs/authenticate-callbacks.
Callbacks: https://developer.telesign.com/enterprise/docs/transaction-callback-service.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import replace
from urllib.parse import parse_qsl

import orjson
from aiohttp.http import SERVER_SOFTWARE

from functions.vendors.contract import Callback, Category, Sender, SenderType
from tests.vendors.kit import BATCH, REPORT_URL, Kit, Like, Reply, Request

CUSTOMER = "FFFFFFFF-EEEE-DDDD-1234-AB1234567890"
SECRET, OTHER_SECRET = b"CanaryOfThePrimaryApiKey", b"CanaryOfTheSecondaryApiKey"
KEY, OTHER_KEY = (base64.b64encode(secret).decode() for secret in (SECRET, OTHER_SECRET))
REFERENCE = "B56259E45884010488343BAA15FB0002"
# The code of each HTTP status: those of the SMS API, those of the older products where it has none.
CODES = {
    400: (11009, "Invalid value for parameter message."),
    401: (10022, "Invalid API Key."),
    403: (-40002, "Not authorized"),
    404: (-40004, "Resource not found"),
    409: (-40006, "Bad Request"),
    422: (-40006, "Bad Request"),
    429: (10019, "Rate Limit Exceeded"),
}
UNAVAILABLE = (10000, "System Unavailable, Please try again later.")
MESSAGE_TYPES = {Category.TRANSACTIONAL: "ARN", Category.MARKETING: "MKT"}


class Form:
    """Equals every body that encodes these fields, whatever their order: Telesign reads any."""

    def __init__(self, **fields):
        self._fields = fields

    def __eq__(self, other):
        if not isinstance(other, bytes):
            return NotImplemented
        return sorted(parse_qsl(other.decode(), keep_blank_values=True)) == sorted(self._fields.items())

    __hash__ = None

    def __repr__(self):
        return f"Form({self._fields!r})"


class TelesignKit(Kit):
    """Telesign."""

    name = "telesign"
    sender = Sender(SenderType.LONG_CODE, "+14255550100")
    send_status = 200
    own_codes_decide = True
    auth_headers = ("authorization", "x-ts-authorization")
    one_header_is_enough = True
    signs = frozenset({"body"})
    content_type = "application/json"

    def settings(self, base_url):
        return {
            "customerId": CUSTOMER,
            "apiKey": KEY,
            "apiKeySecondary": OTHER_KEY,
            "baseUrl": base_url,
            "transactionsPerSecond": "25",
        }

    def secret_texts(self, settings):
        secrets = [secret.decode() for secret in (SECRET, OTHER_SECRET)]
        return [KEY, OTHER_KEY, *secrets, *(basic(key) for key in (KEY, OTHER_KEY))]

    def freeze(self, monkeypatch):
        """Nothing in a request to Telesign with Basic credentials depends on time or chance."""

    def request(self, call, settings):
        (message,) = call.messages
        body = Form(
            phone_number=message.to.removeprefix("+"),
            message=message.text,
            message_type=MESSAGE_TYPES[call.category],
            sender_id=call.sender.address.removeprefix("+"),
            external_id=message.id,
            callback_url=REPORT_URL,
        )
        return Request(
            "POST",
            "/v1/messaging",
            {
                "accept": "application/json",
                "accept-encoding": Like(".*"),
                "authorization": f"Basic {basic(settings['apiKey'])}",
                "content-length": Like(r"\d+"),
                "content-type": "application/x-www-form-urlencoded",
                "user-agent": SERVER_SOFTWARE,
            },
            body,
        )

    def accepted(self, call, ids):
        (identity,) = ids.values()
        status = {"code": 290, "description": "Message in progress", "updated_on": "2026-11-22T12:33:10.709526Z"}
        answer = {"external_id": call.messages[0].id, "status": status}
        return Reply(200, orjson.dumps(answer | ({"reference_id": identity} if identity else {})))

    def refusal(self, status):
        code, words = CODES.get(status, UNAVAILABLE)
        answer = {"reference_id": REFERENCE, "status": {"code": code, "description": words}}
        return Reply(status, orjson.dumps(answer))

    def report(self, *, status, code):
        said = {"description": status, "updated_on": "2016-10-21T14:05:36.181346Z"}
        if code:
            said["code"] = int(code) if code == str(int(code)) else code
        body = orjson.dumps({"reference_id": REFERENCE, "status": said, "external_id": f"{BATCH}-0"})
        return self.vendor.parse(Callback("report", "https://x", {}, {"content-type": "application/json"}, body))

    async def read(self, kind, payload, monkeypatch):
        """Sign and verify each callback first; a ``.json`` file is one, a ``.jsonl`` file has one a line."""
        raw = payload.read_bytes()
        read = []
        for body in [raw] if payload.suffix == ".json" else raw.splitlines():
            callback = self.callback(kind, self.account().settings, body=body)
            self.vendor.verify(callback, self.account())
            parsed = self.vendor.parse(callback)
            read.append((orjson.loads(body), parsed))
        return read

    def signed(self, callback, settings):
        proof = sign(settings["apiKey"], callback.body)
        headers = {"authorization": f"TSA {settings['customerId']}:{proof}", "x-ts-authorization": proof}
        return replace(callback, headers={**callback.headers, **headers})

    def callback_body(self, kind):
        if kind == "inbound":
            said = {
                "phone_number": "14255550123",
                "sender_id": "14255550100",
                "mo_message": "Stop 🛑 & x=1",
                "price": "",
            }
            body = {"status": {"code": 1500}, "user_response": said, "sub_resource": "mo_sms", "errors": {}}
        else:
            status = {"code": 200, "description": "Delivered to handset", "updated_on": "2026-11-22T12:33:12.181346Z"}
            body = {"status": status, "external_id": f"{BATCH}-0", "additional_info": {"price": ""}}
        return orjson.dumps({"reference_id": REFERENCE, **body})


def basic(key):
    """Return the credentials as Basic authentication sends them."""
    return base64.b64encode(f"{CUSTOMER}:{key}".encode()).decode()


def sign(key, body):
    """Return Telesign's signature of a callback's body."""
    return base64.b64encode(hmac.digest(base64.b64decode(key), body, "sha256")).decode()


KIT = TelesignKit()
