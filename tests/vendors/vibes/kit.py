"""Vibes for the contract suite.

Request and answer: https://developer-aggregation.vibes.com/reference/send-an-sms-message and, with the answer in full,
https://developer.vibes.com/display/CONNECTV3/submitMtMessage.
Callbacks: https://developer-aggregation.vibes.com/reference/callbacks (receipts, which cannot carry Basic
authentication) and https://developer-aggregation.vibes.com/reference/receiving-messages (replies, which can).
"""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from xml.sax.saxutils import escape

from defusedxml.ElementTree import fromstring

from functions.vendors.contract import Callback, Sender, SenderType
from tests.vendors.kit import BATCH, REPORT_URL, Kit, Like, Reply, Request

USER = "gateway@example.com"
PASSWORDS = ("CanaryOfThePassword0000000000001", "CanaryOfTheOtherPassword00000002")
TOKENS = ("CanaryOfTheToken0000000000000003", "CanaryOfTheOtherToken00000000004")
CALLBACK_USER = "vibes"
CALLBACK_PASSWORDS = ("CanaryOfTheCallbacks000000000005", "CanaryOfTheOtherCallbacks0000006")
MESSAGE = "3d1f6f0e-0b7a-4a57-9a39-0f6f5f7b1c22"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Xml(bytes):
    """Equals every XML document of the same meaning, whatever the order of attributes and the kind of quotes."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, bytes) and meaning(self) == meaning(other)

    __hash__ = None


def meaning(document):
    """Return what a document says: names, attributes and texts; blanks around elements say nothing."""

    def of(element):
        text = element.text or ""
        return element.tag, element.attrib, text if not len(element) else text.strip(), [of(one) for one in element]

    return of(fromstring(document, forbid_dtd=True))


class Kept:
    """Equals every mapping that keeps a document: as it came, or with each of its values in it.

    Args:
        document: The document as it came.
    """

    def __init__(self, document: bytes) -> None:
        self._document = document

    def __eq__(self, other: object) -> bool:
        kept = set(leaves(other))
        return isinstance(other, dict) and (
            self._document.decode("utf-8", "replace") in kept or set(values(self._document)) <= kept
        )

    __hash__ = None


def leaves(value):
    """Return the texts in nested mappings and lists."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from leaves(inner)
    elif isinstance(value, str):
        yield value


def values(document):
    """Return the values of all attributes and the texts of all elements of a document."""
    for element in fromstring(document, forbid_dtd=True).iter():
        yield from element.attrib.values()
        if not len(element) and (element.text or "").strip():
            yield element.text


class VibesKit(Kit):
    """Vibes."""

    name = "vibes"
    sender = Sender(SenderType.SHORT_CODE, "54321")
    send_status = 200
    auth_headers = ("authorization",)
    content_type = "text/xml;charset=UTF-8"

    def settings(self, base_url):
        return {
            "username": USER,
            "password": PASSWORDS[0],
            "passwordSecondary": PASSWORDS[1],
            "baseUrl": base_url,
            "callbackToken": TOKENS[0],
            "callbackTokenSecondary": TOKENS[1],
            "callbackUser": CALLBACK_USER,
            "callbackPassword": CALLBACK_PASSWORDS[0],
            "callbackPasswordSecondary": CALLBACK_PASSWORDS[1],
        }

    def secret_texts(self, settings):
        sent = [basic(USER, password) for password in PASSWORDS]
        expected = [basic(CALLBACK_USER, password) for password in CALLBACK_PASSWORDS]
        return [*PASSWORDS, *TOKENS, *CALLBACK_PASSWORDS, *sent, *expected]

    def freeze(self, monkeypatch):
        """Nothing in a request to Vibes depends on time or chance."""

    def request(self, call, settings):
        (message,) = call.messages
        body = (
            f'{DECLARATION}<mtMessage submitterMessageId="{message.id}" splitLongMessage="true">'
            f'<destination address="{message.to}" type="MDN"/><source address="{call.sender.address}" type="SC"/>'
            f'<text>{escape(message.text)}</text><receiptOption callbackUrl="{REPORT_URL}">ALL</receiptOption>'
            "</mtMessage>"
        )
        return Request(
            "POST",
            "/MessageApi/mt/messages",
            {
                "accept": Like(".*"),
                "accept-encoding": Like(".*"),
                "authorization": f"Basic {basic(USER, settings['password'])}",
                "content-length": Like(r"\d+"),
                "content-type": Like(r"text/xml(; ?charset=(?i:utf-8))?"),
                "user-agent": Like(".*"),
            },
            Xml(body.encode()),
        )

    def accepted(self, call, ids):
        ((_, identity),) = ids.items()
        named = f'messageId="{identity}" ' if identity else ""
        ours = call.messages[0].id
        rest = f'submitterMessageId="{ours}" carrier="102" splitLongMessage="true"'
        return Reply(200, f"<mtMessageRsp {named}{rest}/>".encode(), {"Content-Type": "text/xml;charset=UTF-8"})

    def refusal(self, status):
        """Any status but 200 is an error of the system; the XML of a failure under 200 is not published."""
        if status == 200:
            body = '<mtMessageError><status isError="true"><description>No.</description></status></mtMessageError>'
            return Reply(status, f"{DECLARATION}{body}".encode(), {"Content-Type": "text/xml;charset=UTF-8"})
        return Reply(status, b"<html><body><h1>No.</h1></body></html>", {"Content-Type": "text/html;charset=utf-8"})

    def report(self, *, status, code):
        """A code is the carrier's; one makes the receipt an error."""
        error = f"<errorCode>{code}</errorCode>" if code else ""
        body = (
            f'{DECLARATION}<mtMessageResponse messageId="{MESSAGE}" submitterMessageId="{BATCH}-0">'
            f'<type>{escape(NOT_XML.sub("?", status))}</type><status isError="{str(bool(code)).lower()}">'
            f"{error}</status></mtMessageResponse>"
        )
        return self.vendor.parse(Callback("report", REPORT_URL, {}, {"content-type": "text/xml"}, body.encode()))

    async def read(self, kind, payload, monkeypatch):
        """Prove and verify each callback first; a file has one or several documents, each with its declaration."""
        account = self.account()
        read = []
        for body in documents(payload.read_bytes()):
            callback = self.callback(kind, account.settings, body=body)
            self.vendor.verify(callback, account)
            read.append((Kept(body), self.vendor.parse(callback)))
        return read

    def headers_proving(self, kind):
        return self.auth_headers if kind == "inbound" else ()

    def signed(self, callback, settings):
        """Add what the token in the path leaves to add: Basic authentication, to replies only."""
        if callback.kind != "inbound":
            return callback
        proof = f"Basic {basic(settings['callbackUser'], settings['callbackPassword'])}"
        return replace(callback, headers={**callback.headers, "authorization": proof})

    def callback_body(self, kind):
        if kind == "inbound":
            return (
                f'{DECLARATION}<moMessage messageId="774512890041" receiptDate="2026-05-11 19:02:31 Z" '
                'attemptNumber="1">\n    <source address="+14255550123" carrier="102" type="MDN"/>\n'
                '    <destination address="54321" type="SC"/>\n    <message>Stop 🛑 &amp; x=1</message>\n'
                "</moMessage>"
            ).encode()
        return (
            f'{DECLARATION}<mtMessageResponse messageId="{MESSAGE}" submitterMessageId="{BATCH}-0" '
            'receiptDate="2026-05-11T14:02:31.250-05:00">\n    <type>Handset</type>\n    <status isError="false">\n'
            "        <description>MtMessage successfully delivered to the Handset</description>\n"
            "        <errorCode></errorCode>\n    </status>\n</mtMessageResponse>"
        ).encode()


def basic(user, password):
    """Return what stands behind ``Basic`` (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def documents(content):
    """Return the documents in a file; a file in another encoding, or without a declaration, is one."""
    return re.split(rb"(?<=>)\s*(?=<\?xml )", content)


KIT = VibesKit()
