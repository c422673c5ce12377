"""Azure Communication Services for the contract suite.

Signature: https://learn.microsoft.com/azure/azure-app-configuration/rest-api-authentication-hmac (the same scheme).
Answers: https://learn.microsoft.com/rest/api/communication/sms/send and its published examples.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from types import SimpleNamespace
from urllib.parse import urlsplit

import orjson
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum

from functions.triggers import acs_events
from functions.vendors.contract import Event, Sender, SenderType
from tests.vendors.kit import FIRST_ATTEMPT, Kit, Like, Reply, Request

REPORT = "Microsoft.Communication.SMSDeliveryReportReceived"
INBOUND = "Microsoft.Communication.SMSReceived"
TOPIC = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/sms/providers/"
    "microsoft.communication/communicationservices/contoso"
)
DATE = "Sun, 22 Nov 2026 12:34:00 GMT"
KEYS = {
    "connectionString": base64.b64encode(b"canary-primary-key-of-32-bytes-1").decode(),
    "connectionStringSecondary": base64.b64encode(b"canary-secondary-key-32-bytes--2").decode(),
}
# The namespace is the gateway's own; were it to change, a replay after an update would send a second time.
REPEATABILITY = uuid.UUID("b1d7c3f6-5a55-5b5c-9d8e-6a4c4f6f2d10")


class AcsKit(Kit):
    """Azure Communication Services."""

    name = "acs"
    sender = Sender(SenderType.TOLL_FREE, "+18885550100")
    send_status = 202
    busy_statuses = frozenset({503})

    def settings(self, base_url):
        return {name: f"endpoint={base_url}/;accesskey={key}" for name, key in KEYS.items()}

    def secret_texts(self, settings):
        return [*KEYS.values(), *(base64.b64decode(key).decode() for key in KEYS.values())]

    def freeze(self, monkeypatch):
        monkeypatch.setattr("azure.communication.sms._shared.policy.get_current_utc_time", lambda: DATE)
        request_id = "11111111-2222-3333-4444-555555555555"
        monkeypatch.setattr("azure.core.pipeline.policies._universal.uuid.uuid1", lambda: request_id)

    def request(self, call, settings):
        parts = dict(part.split("=", 1) for part in settings["connectionString"].split(";"))
        host = urlsplit(parts["endpoint"]).netloc
        path = "/sms?api-version=2021-03-07"
        first_sent = f"{FIRST_ATTEMPT:%a, %d %b %Y %H:%M:%S} GMT"
        body = orjson.dumps(
            {
                "from": call.sender.address,
                "smsRecipients": [
                    {
                        "to": message.to,
                        "repeatabilityRequestId": str(uuid.uuid5(REPEATABILITY, message.id)),
                        "repeatabilityFirstSent": first_sent,
                    }
                    for message in call.messages
                ],
                "message": call.messages[0].text,
                "smsSendOptions": {"enableDeliveryReport": True, "tag": call.batch},
            }
        )
        body = _escaped(body)
        hashed = base64.b64encode(hashlib.sha256(body).digest()).decode()
        signed = f"POST\n{path}\n{DATE};{host};{hashed}".encode()
        signature = base64.b64encode(hmac.digest(base64.b64decode(parts["accesskey"]), signed, "sha256")).decode()
        return Request(
            "POST",
            path,
            {
                "accept": "application/json",
                "accept-encoding": Like(".*"),
                "authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
                "content-length": str(len(body)),
                "content-type": "application/json",
                "user-agent": Like("azsdk-python-communication-sms/1[.].*"),
                "x-ms-client-request-id": "11111111-2222-3333-4444-555555555555",
                "x-ms-content-sha256": hashed,
                "x-ms-date": DATE,
                "x-ms-return-client-request-id": "true",
            },
            body,
        )

    def accepted(self, call, ids):
        items = [
            {"to": to, "httpStatusCode": 202, "repeatabilityResult": "accepted", "successful": True}
            | ({"messageId": identity} if identity else {})
            for to, identity in ids.items()
        ]
        return Reply(202, orjson.dumps({"value": items}))

    def refusal(self, status):
        return Reply(status, orjson.dumps({"error": {"code": "Refused", "message": "No."}}))

    def report(self, *, status, code):
        details = f"{code}: In words." if code else ""
        return self.vendor.parse_event(report_event(deliveryStatus=status, deliveryStatusDetails=details))

    async def read(self, kind, payload, monkeypatch):
        """Take each event through Microsoft's own converter and the function that Event Grid calls."""
        taken = []

        class Callbacks:
            async def take_event(self, event):
                taken.append(event)

        monkeypatch.setattr(acs_events, "application", lambda: SimpleNamespace(callbacks=Callbacks()))
        function = acs_events.delivery_report_received if kind == "report" else acs_events.received
        content = orjson.loads(payload.read_bytes())
        items = content if isinstance(content, list) else [content]
        for item in items:
            datum = Datum(type="json", value=orjson.dumps(item).decode())
            await function(EventGridEventInConverter.decode(datum, trigger_metadata=None))
        return [(item["data"], self.vendor.parse_event(event)) for item, event in zip(items, taken, strict=True)]

    def events(self):
        inbound = {"messageId": "Incoming_1", "from": "14255550123", "to": "18885550100", "message": "STOP"}
        return [report_event(), Event("Incoming_1", INBOUND, TOPIC, inbound)]


def report_event(**changes):
    """Return a delivery report with some fields changed, or left out where they are ``None``."""
    data = {
        "messageId": "Outgoing_1",
        "from": "18885550100",
        "to": "+14255550123",
        "deliveryStatus": "Delivered",
        "deliveryStatusDetails": "No error.",
        "receivedTimestamp": "2026-11-22T12:35:00.1234567Z",
        "tag": "01JDA8V0Z5Q6XW3K9N7RB2T4CM",
    }
    data = {name: value for name, value in (data | changes).items() if value is not None}
    return Event("Outgoing_1", REPORT, TOPIC, data)


def _escaped(body):
    """Write JSON as azure-core does: ASCII only, with blanks behind commas and colons."""
    import json

    return json.dumps(orjson.loads(body)).encode()


KIT = AcsKit()
