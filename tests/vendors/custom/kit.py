"""The custom vendor for the contract suite, by the description of 46elks that the sandbox brings.

Request and answers: https://46elks.com/docs/send-sms; reports: https://46elks.com/docs/sms-delivery-reports; replies:
https://46elks.com/docs/receive-sms; wrong requests: github.com/jage/elk, ``spec/fixtures``. 46elks itself could not
send the secret header; it is here since the custom vendor demands whatever proof a provider has.
"""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlencode

import orjson

from functions.vendors.contract import Callback, Reason, Retry, Sender, SenderType, State
from sandbox.vendors.custom import DEFINITION
from tests.vendors.kit import BATCH, REPORT_URL, Kit, Like, Reply, Request

HOST = "https://api.46elks.com"
USERS = ("uCanaryOfTheUser00000000000000001", "uCanaryOfTheOtherUser000000000002")
PASSWORDS = ("CanaryOfThePassword0000000000003", "CanaryOfTheOtherPassword00000004")
TOKENS = ("CanaryOfTheToken0000000000000005", "CanaryOfTheOtherToken00000000006")
CALLBACK_USER = "46elks"
CALLBACK_PASSWORDS = ("CanaryOfTheCallbacks000000000007", "CanaryOfTheOtherCallbacks0000008")
CALLBACK_SECRETS = ("CanaryOfTheHeader000000000000009", "CanaryOfTheOtherHeader0000000010")
MESSAGE = "s70df59406a1b4643b96f3f91e0bfb7b0"
FORM = "application/x-www-form-urlencoded"
WORDS = {
    401: "API access require proper Basic HTTP authentication. Read documentation or examples.",
    403: "Not enough credits",
    404: "Not found",
}


class Form(bytes):
    """Equals every form with the same fields in the same order, however its characters are escaped."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes) and fields_of(self) == fields_of(other)

    __hash__ = None


def fields_of(body):
    """Return the fields of a form."""
    return parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True)


class CustomKit(Kit):
    """46elks, described."""

    name = "custom"
    sender = Sender(SenderType.LONG_CODE, "+46701740605")
    send_status = 200
    auth_headers = ("authorization", "x-gateway-secret")
    has_codes = False

    def tables(self):
        """The description's own tables, in our words."""
        definition = json.loads(DEFINITION)
        report, errors = definition["report"], definition["errors"]
        refusals = {**errors["table"], **errors["statuses"]}
        return {
            "REPORT_STATES": {
                word: (State(fate["state"]), Reason(fate["reason"]) if "reason" in fate else None)
                for word, fate in report["states"].items()
            },
            "REFUSALS": {code: (Reason(row["reason"]), Retry(row["retry"])) for code, row in refusals.items()},
        }

    def settings(self, base_url):
        credentials = [
            json.dumps({"username": user, "password": word}) for user, word in zip(USERS, PASSWORDS, strict=True)
        ]
        return {
            "definition": DEFINITION.replace(HOST, base_url),
            "credentials": credentials[0],
            "credentialsSecondary": credentials[1],
            "callbackToken": TOKENS[0],
            "callbackTokenSecondary": TOKENS[1],
            "callbackUser": CALLBACK_USER,
            "callbackPassword": CALLBACK_PASSWORDS[0],
            "callbackPasswordSecondary": CALLBACK_PASSWORDS[1],
            "callbackSecret": CALLBACK_SECRETS[0],
            "callbackSecretSecondary": CALLBACK_SECRETS[1],
        }

    def secret_texts(self, settings):
        sent = [basic(user, word) for user, word in zip(USERS, PASSWORDS, strict=True)]
        expected = [basic(CALLBACK_USER, word) for word in CALLBACK_PASSWORDS]
        return [*USERS, *PASSWORDS, *TOKENS, *CALLBACK_PASSWORDS, *CALLBACK_SECRETS, *sent, *expected]

    def freeze(self, monkeypatch):
        """Nothing in this request depends on time or chance: the description asks for no validity."""

    def request(self, call, settings):
        (message,) = call.messages
        credentials = json.loads(settings["credentials"])
        body = urlencode(
            {
                "from": call.sender.address,
                "to": message.to,
                "message": message.text,
                "whendelivered": f"{REPORT_URL}?message={message.id}",
            }
        ).encode()
        return Request(
            "POST",
            "/a1/sms",
            {
                "accept": "*/*",
                "accept-encoding": "identity",
                "authorization": f"Basic {basic(credentials['username'], credentials['password'])}",
                "content-length": Like(r"\d+"),
                "content-type": Like(f"{FORM}(; ?charset=(?i:utf-8))?"),
                "user-agent": Like(".*"),
            },
            Form(body),
        )

    def accepted(self, call, ids):
        ((to, identity),) = ids.items()
        message = {
            "status": "created",
            "direction": "outgoing",
            "from": call.sender.address,
            "created": "2026-11-22T12:33:11.314100",
            "parts": 1,
            "to": to,
            "cost": 5000,
            "message": call.messages[0].text,
        }
        return Reply(200, orjson.dumps(message | ({"id": identity} if identity else {})))

    def refusal(self, status):
        return Reply(status, WORDS.get(status, "No.").encode(), {"Content-Type": "text/plain"})

    def report(self, *, status, code):
        """46elks reports a word and no code."""
        del code
        return self.vendor.parse(self._callback("report", {"id": MESSAGE, "status": status}))

    async def read(self, kind, payload, monkeypatch):
        """Prove and verify each callback first; a file has one a line."""
        account = self.account()
        query = {"message": f"{BATCH}-17"} if kind == "report" else {}
        read = []
        for body in payload.read_bytes().splitlines():
            callback = self.callback(kind, account.settings, body=body, query=query)
            self.vendor.verify(callback, account)
            fields = parse_qs(body.decode(), keep_blank_values=True)
            came = {name: values if len(values) > 1 else values[0] for name, values in fields.items()}
            read.append((came, self.vendor.parse(callback)))
        return read

    def signed(self, callback, settings):
        """Add what goes along with the token in the path, and the description by which the callback is read."""
        proofs = {
            "authorization": f"Basic {basic(settings['callbackUser'], settings['callbackPassword'])}",
            "x-gateway-secret": settings["callbackSecret"],
        }
        plain = {"definition": settings["definition"]}
        return replace(callback, headers={**callback.headers, **proofs}, settings=plain)

    def callback_body(self, kind):
        if kind == "inbound":
            fields = {
                "direction": "incoming",
                "id": "sf8425555e5d8db61dda7a7b3f1b91bdb",
                "from": "+46706861004",
                "to": "+46701740605",
                "created": "2018-07-13T13:57:23.741000",
                "message": "Stop 🛑 & x=1",
            }
        else:
            fields = {"id": MESSAGE, "status": "sent", "delivered": ""}
        return urlencode(fields).encode()

    def _callback(self, kind, fields):
        return Callback(
            kind,
            REPORT_URL,
            {"message": f"{BATCH}-0"},
            {"content-type": FORM},
            urlencode(fields).encode(),
            settings={"definition": DEFINITION},
        )


def basic(user, password):
    """Return what stands behind ``Basic`` (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


KIT = CustomKit()
