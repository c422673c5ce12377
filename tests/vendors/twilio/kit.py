"""Twilio for the contract suite.

Signature: https://www.twilio.com/docs/usage/webhooks/webhooks-security.
Request and answers: https://www.twilio.com/docs/messaging/api/message-resource.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import orjson
from aiohttp.http import SERVER_SOFTWARE

from functions.vendors.contract import Callback, Sender, SenderType
from tests.vendors.kit import BATCH, REPORT_URL, Kit, Like, Reply, Request

SID = "AC0123456789abcdef0123456789abcdef"
TOKEN = "CanaryOfThePrimaryToken000000001"
OTHER_TOKEN = "CanaryOfTheSecondaryToken0000002"
MESSAGE = "SM0123456789abcdef0123456789abcdef"
ERROR_CODES = {401: 20003, 403: 20403, 404: 20404, 429: 20429}


class TwilioKit(Kit):
    """Twilio."""

    name = "twilio"
    sender = Sender(SenderType.LONG_CODE, "+14255550100")
    send_status = 201
    auth_headers = ("x-twilio-signature",)
    signs = frozenset({"body", "url", "account"})

    def settings(self, base_url):
        return {"accountSid": SID, "authToken": TOKEN, "authTokenSecondary": OTHER_TOKEN, "baseUrl": base_url}

    def secret_texts(self, settings):
        basic = [base64.b64encode(f"{SID}:{token}".encode()).decode() for token in (TOKEN, OTHER_TOKEN)]
        return [TOKEN, OTHER_TOKEN, *basic]

    def freeze(self, monkeypatch):
        """Nothing in a request to Twilio depends on time or chance."""

    def request(self, call, settings):
        (message,) = call.messages
        body = urlencode(
            {
                "To": message.to,
                "Body": message.text,
                "From": call.sender.address,
                "ValidityPeriod": "600",
                "StatusCallback": f"{REPORT_URL}?message={message.id}#rc=5&rp=5xx,ct,rt",
            }
        ).encode()
        basic = base64.b64encode(f"{SID}:{settings['authToken']}".encode()).decode()
        return Request(
            "POST",
            f"/2010-04-01/Accounts/{SID}/Messages.json",
            {
                "accept": "application/json",
                "accept-encoding": Like(".*"),
                "authorization": f"Basic {basic}",
                "content-length": str(len(body)),
                "content-type": "application/x-www-form-urlencoded",
                "user-agent": SERVER_SOFTWARE,
            },
            body,
        )

    def accepted(self, call, ids):
        ((to, identity),) = ids.items()
        message = {"account_sid": SID, "to": to, "status": "queued", "error_code": None, "num_segments": "1"}
        return Reply(201, orjson.dumps(message | ({"sid": identity} if identity else {})))

    def refusal(self, status):
        code = ERROR_CODES.get(status, 20001)
        more = f"https://www.twilio.com/docs/errors/{code}"
        return Reply(status, orjson.dumps({"code": code, "message": "No.", "more_info": more, "status": status}))

    def report(self, *, status, code):
        fields = {"MessageSid": MESSAGE, "MessageStatus": status, "To": "+14255550123"}
        return self.vendor.parse(form_callback("report", fields | ({"ErrorCode": code} if code else {})))

    async def read(self, kind, payload, monkeypatch):
        """Sign and verify each callback first; a ``.form`` file has one a line, a ``.json`` file is one."""
        if payload.suffix == ".json":
            bodies, content_type = [payload.read_bytes()], "application/json"
        else:
            bodies, content_type = payload.read_bytes().splitlines(), "application/x-www-form-urlencoded; charset=UTF-8"
        query = {"message": f"{BATCH}-0"} if kind == "report" else {}
        read = []
        for body in bodies:
            item = (
                orjson.loads(body)
                if payload.suffix == ".json"
                else dict(parse_qsl(body.decode(), keep_blank_values=True))
            )
            account = self.account()
            settings = {**account.settings, "accountSid": item.get("AccountSid", SID)}
            callback = self.callback(kind, settings, body=body, query=query, headers={"content-type": content_type})
            self.vendor.verify(callback, replace(account, settings=settings))
            read.append((item, self.vendor.parse(callback)))
        return read

    def signed(self, callback, settings):
        form = parse_qsl(callback.body.decode("utf-8", "replace"), keep_blank_values=True)
        url, query = callback.url, dict(callback.query)
        text = url
        if callback.headers["content-type"].startswith("application/x-www-form-urlencoded"):
            text += "".join(name + value for name, value in sorted(set(form)))
        else:
            query["bodySHA256"] = hashlib.sha256(callback.body).hexdigest()
            url += f"?bodySHA256={query['bodySHA256']}"
            text = url
        headers = {**callback.headers, "x-twilio-signature": sign(settings["authToken"], text)}
        return replace(callback, url=url, query=query, headers=headers)

    def callback_body(self, kind):
        common = {"MessageSid": MESSAGE, "AccountSid": SID, "ApiVersion": "2010-04-01", "ToCity": ""}
        if kind == "inbound":
            fields = {"SmsStatus": "received", "From": "+14255550123", "To": "+14255550100", "Body": "Stop 🛑 & x=1"}
        else:
            fields = {"MessageStatus": "delivered", "From": "+14255550100", "To": "+14255550123"}
        return urlencode(common | fields).encode()


def sign(token, text):
    """Return Twilio's signature of a text."""
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), "sha1")).decode()


def form_callback(kind, fields, url="https://sms.example.com/callback", **headers):
    """Return an unsigned callback with a form."""
    body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
    return Callback(kind, url, {}, {"content-type": "application/x-www-form-urlencoded", **headers}, body)


KIT = TwilioKit()
