"""Infobip for the contract suite.

Request, answer and reports: https://www.infobip.com/docs/api/channels/sms/outbound-sms/send-sms-messages and the
OpenAPI file behind it. Proofs of callbacks: https://www.infobip.com/docs/api/platform/subscriptions-api, a subscription
with Basic authentication and a header of the customer's; with that set up, messages name no address of their own.
"""

from __future__ import annotations

import base64
from dataclasses import replace

import orjson

from functions.vendors.contract import Callback, Parsed, Sender, SenderType
from tests.vendors.kit import BATCH, Kit, Like, Reply, Request

API_KEYS = (
    "CanaryOfTheApiKey000000000000001-8f4b3d9a-e931-478d-a994-28a725159ab9",
    "CanaryOfTheOtherApiKey0000000002-8f4b3d9a-e931-478d-a994-28a725159ab8",
)
TOKENS = ("CanaryOfTheToken0000000000000003", "CanaryOfTheOtherToken00000000004")
CALLBACK_USER = "infobip"
CALLBACK_PASSWORDS = ("CanaryOfTheCallbacks000000000005", "CanaryOfTheOtherCallbacks0000006")
CALLBACK_SECRETS = ("CanaryOfTheHeader000000000000007", "CanaryOfTheOtherHeader0000000008")
ENTITY, APPLICATION = "e1", "a1"
ERRORS = {
    400: ("Request cannot be processed.", "Check the syntax, violations and adjust the request."),
    401: ("The request lacks valid authentication credentials.", "Adjust authentication credentials."),
    403: ("The user is not authorized to make this request.", "Adjust the authorization."),
    404: ("Requested URL not found.", "Check the resource and try again."),
    429: ("Too many requests.", "Reduce the request rate."),
}
SECONDS = {"SECONDS": 1, "MINUTES": 60, "HOURS": 3600}


class Sending(bytes):
    """Equals every body that sends the same texts, however recipients are put together and defaults are spelt."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes) and meaning(self) == meaning(other)

    __hash__ = None


def meaning(body):
    """Return what a request to send says, for each recipient; options of the whole request change no text."""
    said = orjson.loads(bytes(body))
    assert set(said) <= {"messages", "options"}
    assert set(said.get("options", {})) <= {"includeSmsCountInResponse", "tracking"}
    entries = []
    for message in said["messages"]:
        rest = {name: value for name, value in message.items() if name not in {"destinations", "options", "webhooks"}}
        options = dict(message.get("options", {}))
        period = options.pop("validityPeriod", None)
        rest["seconds"] = period and period["amount"] * SECONDS[period.get("timeUnit", "MINUTES")]
        webhooks = dict(message.get("webhooks", {}))
        delivery = webhooks.pop("delivery", {})
        rest["url"] = delivery.get("url")
        rest["told"] = delivery.get("notify", True)
        rest["type"] = webhooks.pop("contentType", "application/json")
        entries += [{**destination, **rest, **options, **webhooks} for destination in message["destinations"]]
    return entries


class InfobipKit(Kit):
    """Infobip."""

    name = "infobip"
    sender = Sender(SenderType.LONG_CODE, "+14255550100")
    send_status = 200
    auth_headers = ("authorization", "x-gateway-secret")
    content_type = "application/json"

    def settings(self, base_url):
        return {
            "apiKey": API_KEYS[0],
            "apiKeySecondary": API_KEYS[1],
            "baseUrl": base_url,
            "entityId": ENTITY,
            "applicationId": APPLICATION,
            "callbackToken": TOKENS[0],
            "callbackTokenSecondary": TOKENS[1],
            "callbackUser": CALLBACK_USER,
            "callbackPassword": CALLBACK_PASSWORDS[0],
            "callbackPasswordSecondary": CALLBACK_PASSWORDS[1],
            "callbackSecret": CALLBACK_SECRETS[0],
            "callbackSecretSecondary": CALLBACK_SECRETS[1],
        }

    def secret_texts(self, settings):
        expected = [basic(password) for password in CALLBACK_PASSWORDS]
        return [*API_KEYS, *TOKENS, *CALLBACK_PASSWORDS, *CALLBACK_SECRETS, *expected]

    def freeze(self, monkeypatch):
        """Nothing in a request to Infobip depends on time or chance."""

    def vendor_id(self, message, identity):
        """Infobip knows a message by the id we gave it."""
        return message.id

    def request(self, call, settings):
        body = {
            "messages": [
                {
                    "sender": call.sender.address.removeprefix("+"),
                    "destinations": [{"to": message.to.removeprefix("+"), "messageId": message.id}],
                    "content": {"text": message.text},
                    "options": {
                        "platform": {"entityId": ENTITY, "applicationId": APPLICATION},
                        "validityPeriod": {"amount": 600, "timeUnit": "SECONDS"},
                    },
                }
                for message in call.messages
            ]
        }
        return Request(
            "POST",
            "/sms/3/messages",
            {
                "accept": "application/json",
                "accept-encoding": Like(".*"),
                "authorization": f"App {settings['apiKey']}",
                "content-length": Like(r"\d+"),
                "content-type": Like(r"application/json(; ?charset=(?i:utf-8))?"),
                "user-agent": Like(".*"),
            },
            Sending(orjson.dumps(body)),
        )

    def accepted(self, call, ids):
        """Each entry carries the id that was sent; a stranger's carries one of its own."""
        ours = {message.to: message.id for message in call.messages}
        status = {"groupId": 1, "groupName": "PENDING", "id": 26, "name": "PENDING_ACCEPTED", "description": "Sent."}
        entries = [
            {"destination": to.removeprefix("+"), "status": status}
            | ({"messageId": ours.get(to, identity)} if identity else {})
            for to, identity in ids.items()
        ]
        return Reply(200, orjson.dumps({"bulkId": "2034072219640523072", "messages": entries}))

    def refusal(self, status):
        description, action = ERRORS.get(status, ("Something went wrong.", "Contact our support team."))
        body = {
            "errorCode": f"E{status}",
            "description": description,
            "action": action,
            "violations": [{"property": "messages[0].sender", "violation": "No."}] if status == 400 else [],
            "resources": [],
        }
        return Reply(status, orjson.dumps(body))

    def report(self, *, status, code):
        """The status is a name; a code is that of an error."""
        result = {"messageId": f"{BATCH}-0", "to": "14255550123", "status": {"name": status}}
        if code:
            result["error"] = {"id": int(code), "name": "EC_WHATEVER"}
        return self.vendor.parse(callback_of("report", {"results": [result]}))

    async def read(self, kind, payload, monkeypatch):
        """Prove and verify the callback as it is in the file, then read it whole and item by item: alike."""
        account = self.account()
        body = payload.read_bytes()
        callback = self.callback(kind, account.settings, body=body)
        self.vendor.verify(callback, account)
        whole = self.vendor.parse(callback)
        document = orjson.loads(body)
        read = [
            (item, self.vendor.parse(callback_of(kind, document | {"results": [item]})))
            for item in document.get("results", [])
        ]
        assert whole == joined([parsed for _, parsed in read])
        return read

    def signed(self, callback, settings):
        """Add what the token in the path leaves to add: Basic authentication and the secret header."""
        proofs = {
            "authorization": f"Basic {basic(settings['callbackPassword'])}",
            "x-gateway-secret": settings["callbackSecret"],
        }
        return replace(callback, headers={**callback.headers, **proofs})

    def callback_body(self, kind):
        if kind == "inbound":
            result = {
                "messageId": "817790313235066447",
                "from": "14255550123",
                "to": "14255550100",
                "text": "Stop 🛑 & x=1",
                "keyword": "",
                "receivedAt": "2027-01-05T09:00:00.000+0000",
                "smsCount": 1,
            }
            return orjson.dumps({"results": [result], "messageCount": 1, "pendingMessageCount": 0})
        result = {
            "bulkId": "",
            "messageId": f"{BATCH}-0",
            "to": "14255550123",
            "sentAt": "2027-01-05T08:00:01.120+0000",
            "doneAt": "2027-01-05T08:00:05.001+0000",
            "messageCount": 1,
            "status": {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET"},
            "error": {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR", "permanent": False},
        }
        return orjson.dumps({"results": [result]})


def basic(password):
    """Return what stands behind ``Basic`` (RFC 7617)."""
    return base64.b64encode(f"{CALLBACK_USER}:{password}".encode()).decode()


def callback_of(kind, document):
    """Return an unproven callback with a document."""
    return Callback(
        kind, "https://sms.example.com/callback", {}, {"content-type": "application/json"}, orjson.dumps(document)
    )


def joined(parsed):
    """Return what several callbacks said as if it had come in one."""
    return Parsed(
        tuple(report for one in parsed for report in one.reports),
        tuple(text for one in parsed for text in one.inbound),
        tuple(aside for one in parsed for aside in one.set_aside),
    )


KIT = InfobipKit()
