"""What vendors post, whatever stands in its fields, with what proves that they did."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from xml.sax.saxutils import escape, quoteattr

FORM, JSON, XML = "application/x-www-form-urlencoded", "application/json", "text/xml"
POSTING = ("custom", "infobip", "linkmobility", "telesign", "twilio", "vibes")
"""The vendors that post; the others send events."""
IN_JSON = ("infobip", "linkmobility", "telesign", "twilio")


def reply(vendor: str, identity: str, sender: str, to: str, text: str, at: str = "", **more: Any) -> tuple[str, bytes]:
    """Return the media type and the body of a reply.

    Args:
        vendor: Who posts it.
        identity: The vendor's id of it.
        sender: Who wrote.
        to: Our sender.
        text: The text.
        at: When, as the vendor spells it; left out where empty.
        more: Fields that no page names.
    """
    match vendor:
        case "custom":
            fields = {"id": identity, "from": sender, "to": to, "message": text} | ({"created": at} if at else {})
            return FORM, urlencode({**fields, **more}).encode("utf-8", "replace")
        case "infobip":
            said = {"messageId": identity, "from": sender, "to": to, "text": text, "receivedAt": at, **more}
            return JSON, _json({"results": [said]})
        case "linkmobility":
            said = {"messageId": identity, "source": sender, "destination": to, "content": {"userData": text}}
            return JSON, _json({**said, "timestamp": at, **more})
        case "telesign":
            said = {"phone_number": sender, "sender_id": to, "mo_message": text}
            body = {"reference_id": identity, "sub_resource": "mo_sms", "user_response": said, "submit_timestamp": at}
            return JSON, _json({**body, **more})
        case "twilio":
            return JSON, _json({"MessageSid": identity, "From": sender, "To": to, "Body": text, **more})
    date = f" receiptDate={quoteattr(at)}" if at else ""
    return XML, (
        f'<?xml version="1.0" encoding="UTF-8"?><moMessage messageId={quoteattr(identity)}{date}>'
        f'<source address={quoteattr(sender)} type="MDN"/><destination address={quoteattr(to)} type="SC"/>'
        f"<message>{escape(text)}</message><x>{escape(str(more))}</x></moMessage>"
    ).encode()


def report(vendor: str, message: str, identity: str, to: str, at: str = "", **more: Any) -> tuple[str, bytes]:
    """Return the media type and the body of a report of a delivery; arguments as in ``reply``."""
    match vendor:
        case "custom":
            return FORM, urlencode({"id": identity, "status": "delivered", "delivered": at, **more}).encode()
        case "infobip":
            status = {"groupId": 3, "groupName": "DELIVERED", "id": 5, "name": "DELIVERED_TO_HANDSET"}
            said = {"messageId": message, "to": to.lstrip("+"), "status": status, "doneAt": at, **more}
            return JSON, _json({"results": [said]})
        case "linkmobility":
            return JSON, _json({"refId": message, "id": identity, "resultCode": 1001, "timestamp": at, **more})
        case "telesign":
            status = {"code": 200, "description": "Delivered to handset", "updated_on": at}
            return JSON, _json({"reference_id": identity, "external_id": message, "status": status, **more})
        case "twilio":
            return JSON, _json({"MessageSid": identity, "MessageStatus": "delivered", "To": to, **more})
    date = f" receiptDate={quoteattr(at)}" if at else ""
    return XML, (
        f'<?xml version="1.0" encoding="UTF-8"?><mtMessageResponse messageId={quoteattr(identity)}{date} '
        f'submitterMessageId={quoteattr(message)}><type>Handset</type><status isError="false">'
        f"<description>{escape(str(more))}</description></status></mtMessageResponse>"
    ).encode()


def proven(
    vendor: str, settings: Mapping[str, str], url: str, media_type: str, body: bytes
) -> tuple[str, dict[str, str]]:
    """Return the address and the headers with which the vendor posts a body."""
    headers = {"Content-Type": media_type}
    if vendor == "twilio":
        url += f"{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(body).hexdigest()}"
        headers["X-Twilio-Signature"] = _mac(settings["authToken"].encode(), url.encode(), "sha1")
    if vendor == "telesign":
        headers["X-TS-Authorization"] = _mac(base64.b64decode(settings["apiKey"]), body, "sha256")
    if "callbackPassword" in settings:
        pair = f"{settings['callbackUser']}:{settings['callbackPassword']}".encode()
        headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
    if "callbackSecret" in settings:
        headers["X-Gateway-Secret"] = settings["callbackSecret"]
    return url, headers


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()


def _mac(key: bytes, said: bytes, algorithm: str) -> str:
    return base64.b64encode(hmac.digest(key, said, algorithm)).decode()
