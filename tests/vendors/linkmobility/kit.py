"""LINK Mobility's Common platform for the contract suite.

Requests, answers and reports: "SMS REST API - MT and Delivery Reports" 1.18; replies: "SMS REST API - MO messages" 1.7;
what proves a callback: "Common Platform - Gate API" 1.2. All in https://github.com/deveel/deveel.lm.client, `docs/`.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import orjson

from functions.vendors.contract import Callback, Parsed, Sender, SenderType
from tests.vendors.kit import BATCH, Kit, Like, Reply, Request

USER = "acme"
PASSWORDS = ("CanaryOfThePassword0000000000001", "CanaryOfTheOtherPassword00000002")
TOKENS = ("CanaryOfTheToken0000000000000003", "CanaryOfTheOtherToken00000000004")
CALLBACK_USER = "link"
CALLBACK_PASSWORDS = ("CanaryOfTheCallbacks000000000005", "CanaryOfTheOtherCallbacks0000006")
CALLBACK_SECRETS = ("CanaryOfTheHeader000000000000007", "CanaryOfTheOtherHeader0000000008")
PLATFORM, PARTNER = "COMMON_API", "12345"
REPORT_GATE, INBOUND_GATE = "BVldZyQt", "kT3mW9xa"
MESSAGE = "Dcshuhod0PMAAAFQ+/PbnR3x"
# The page lists no code for 404, 409, 422, 429 and 5xx.
ERRORS = {
    401: (106100, "Invalid authentication"),
    403: (106102, "Unable to access SMSC credentials"),
}
UNKNOWN_ERROR = (106000, "Unknown error")
CONTENT_TYPES = {".xml": "application/xml", ".form": "application/x-www-form-urlencoded"}


class Json(bytes):
    """Equals every JSON document of the same meaning, whatever the order of its members."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes) and json.loads(self) == json.loads(other)

    __hash__ = None


class LinkMobilityKit(Kit):
    """LINK Mobility."""

    name = "linkmobility"
    sender = Sender(SenderType.SHORT_CODE, "2333")
    send_status = 200
    silent_status = 204
    auth_headers = ("authorization", "x-gateway-secret")
    content_type = "application/json"
    has_words = False

    def settings(self, base_url):
        return {
            "baseUrl": base_url,
            "username": USER,
            "password": PASSWORDS[0],
            "passwordSecondary": PASSWORDS[1],
            "platformId": PLATFORM,
            "platformPartnerId": PARTNER,
            "reportGate": REPORT_GATE,
            "inboundGate": INBOUND_GATE,
            "callbackToken": TOKENS[0],
            "callbackTokenSecondary": TOKENS[1],
            "callbackUser": CALLBACK_USER,
            "callbackPassword": CALLBACK_PASSWORDS[0],
            "callbackPasswordSecondary": CALLBACK_PASSWORDS[1],
            "callbackSecret": CALLBACK_SECRETS[0],
            "callbackSecretSecondary": CALLBACK_SECRETS[1],
        }

    def secret_texts(self, settings):
        sent = [basic(USER, password) for password in PASSWORDS]
        expected = [basic(CALLBACK_USER, password) for password in CALLBACK_PASSWORDS]
        return [*PASSWORDS, *TOKENS, *CALLBACK_PASSWORDS, *CALLBACK_SECRETS, *sent, *expected]

    def freeze(self, monkeypatch):
        """Nothing in a request with a relative validity and Basic authentication depends on time or chance."""

    def request(self, call, settings):
        body = {
            "platformId": PLATFORM,
            "platformPartnerId": PARTNER,
            "useDeliveryReport": True,
            "deliveryReportGates": [REPORT_GATE],
            "ignoreResponse": False,
            "relativeValidityTime": 1000 * call.validity,
            "sendRequestMessages": [
                {
                    "source": call.sender.address,
                    "sourceTON": "SHORTNUMBER",
                    "destination": message.to,
                    "userData": message.text,
                    "refId": message.id,
                }
                for message in call.messages
            ],
        }
        return Request(
            "POST",
            "/sms/sendbatch",
            {
                "accept": Like(".*"),
                "accept-encoding": Like(".*"),
                "authorization": f"Basic {basic(USER, settings['password'])}",
                "content-length": Like(r"\d+"),
                "content-type": Like(r"application/json(; ?charset=(?i:utf-8))?"),
                "user-agent": Like(".*"),
            },
            Json(orjson.dumps(body)),
        )

    def accepted(self, call, ids):
        ours = {message.to: message.id for message in call.messages}
        answer = [
            {"refId": ours.get(to, f"{BATCH}-999"), "resultCode": 1005, "message": "Queued"}
            | ({"messageId": identity} if identity else {})
            for to, identity in ids.items()
        ]
        return Reply(200, orjson.dumps(answer))

    def refusal(self, status):
        code, words = ERRORS.get(status, UNKNOWN_ERROR)
        return Reply(status, orjson.dumps({"status": code, "description": words, "translatedDescription": None}))

    def report(self, *, status, code):
        """A report has no word of its own beside the code; the operator's stands in for it."""
        body = report(resultCode=int(code) if code else 99_999, operatorResultCode=status)
        return self.vendor.parse(Callback("report", "https://x", {}, {"content-type": "application/json"}, body))

    async def read(self, kind, payload, monkeypatch):
        """Prove and verify each callback first; a ``.jsonl`` file has one a line, any other file is one."""
        account = self.account()
        headers = {"content-type": CONTENT_TYPES.get(payload.suffix, "application/json")}
        raw = payload.read_bytes()
        read = []
        for body in raw.splitlines() if payload.suffix == ".jsonl" else [raw]:
            callback = self.callback(kind, account.settings, body=body, headers=headers)
            self.vendor.verify(callback, account)
            parsed = self.vendor.parse(callback)
            came = orjson.loads(body.decode(errors="replace"))
            read += one_by_one(came, parsed) if isinstance(came, list) else [(came, parsed)]
        return read

    def signed(self, callback, settings):
        """Add what a gate adds: Basic authentication and the header; the token is in the path."""
        proofs = {
            "authorization": f"Basic {basic(settings['callbackUser'], settings['callbackPassword'])}",
            "x-gateway-secret": settings["callbackSecret"],
        }
        return replace(callback, headers={**callback.headers, **proofs})

    def callback_body(self, kind):
        return reply() if kind == "inbound" else report(operatorResultCode="")


def report(**fields):
    """Return the document's sample of a report, with other values in some fields."""
    sample = {
        "refId": f"{BATCH}-0",
        "id": MESSAGE,
        "operator": "no.telenor",
        "sentTimestamp": "2027-01-05T09:37:35Z",
        "timestamp": "2027-01-05T09:37:40Z",
        "resultCode": 1001,
        "operatorResultCode": "2",
        "segments": 1,
        "gateCustomParameters": {},
        "customParameters": {"received": "2027-01-05 10:37:36"},
    }
    return orjson.dumps(sample | fields)


def reply(**fields):
    """Return the document's sample of an incoming text, with other values in some fields."""
    route = {
        "type": "KEYWORD_ROUTE",
        "id": "r1",
        "refId": "kw-ref",
        "gateIds": [INBOUND_GATE],
        "platformId": PLATFORM,
        "platformPartnerId": PARTNER,
        "platformServiceType": "",
        "customParameters": {},
        "number": "NO-2333",
        "keyword": None,
        "keywordType": "DEFAULT",
        "active": True,
        "shared": False,
    }
    sample = {
        "destination": "NO-2333",
        "subNumber": None,
        "source": "+4790000001",
        "content": {"type": "SMS", "userData": "Stop 🛑 & x=1", "encoding": "TEXT"},
        "operator": "no.telenor",
        "timestamp": "2027-01-05T14:28:40Z",
        "messageId": "mo-1",
        "operatorTimestamp": "2027-01-05T14:28:40Z",
        "operatorMessageId": "op-1",
        "route": route,
        "gateCustomParameters": {},
        "customParameters": {"moReferenceId": "mo-1", "queued": "2027-01-05 15:28:40"},
    }
    return orjson.dumps(sample | fields)


def one_by_one(items, parsed):
    """Return what each item of a list said, with that item; what is set aside keeps its item itself."""
    said = [Parsed(reports=(one,)) for one in parsed.reports] + [Parsed(inbound=(one,)) for one in parsed.inbound]
    kept = [(next(item for item in items if item == (*one.reports, *one.inbound)[0].raw), one) for one in said]
    return kept + [(orjson.loads(aside.raw), Parsed(set_aside=(aside,))) for aside in parsed.set_aside]


def basic(user, password):
    """Return what stands behind ``Basic`` (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


KIT = LinkMobilityKit()
