"""Vibes Connect: the HTTP Message API of the aggregation product, which speaks XML.

Reference: https://developer-aggregation.vibes.com/reference/send-an-sms-message for sending,
https://developer-aggregation.vibes.com/reference/callbacks for receipts,
https://developer-aggregation.vibes.com/reference/receiving-messages for replies and
https://developer-aggregation.vibes.com/reference/authentication. The Platform API is another product with other
credentials: it sends campaigns, not a text to a number.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring

import orjson
from defusedxml.ElementTree import ParseError, fromstring

from functions.vendors.contract import (
    Accepted,
    Account,
    Answer,
    Callback,
    Capabilities,
    Check,
    DeliveryReport,
    Description,
    Http,
    InboundText,
    MalformedError,
    Outcome,
    Outgoing,
    Parsed,
    Part,
    Reason,
    Refused,
    Retry,
    SendCall,
    Sender,
    SenderRule,
    SenderType,
    SetAside,
    Setting,
    SettingType,
    SetupStep,
    State,
    SupportText,
    Unknown,
    Vendor,
    Wiring,
    retry_after,
)
from functions.vendors.proofs import CALLBACK_BASIC, CALLBACK_SOURCES, CALLBACK_TOKEN, check_basic, check_token

_COUNTRIES = ("US", "CA")

DESCRIPTION = Description(
    name="vibes",
    title="Vibes",
    docs="https://developer-aggregation.vibes.com/reference/send-an-sms-message",
    notice=(
        "Reaches the United States and Canada only. It needs an account for the Connect HTTP Message API; credentials "
        "of the Vibes Platform are refused there. A send whose answer is lost stays unknown until a receipt comes, for "
        "Vibes has no log to look it up in."
    ),
    settings=(
        Setting(
            name="username",
            required=True,
            pattern=r"[!-9;-~]{1,200}",
            help="The user name for the Connect HTTP Message API, an e-mail address. Vibes hands it out.",
            example="gateway@example.com",
        ),
        Setting(
            name="password",
            required=True,
            secret=True,
            help="The password that goes with the user name.",
            example="correct-horse-battery-staple",
        ),
        Setting(
            name="passwordSecondary",
            secret=True,
            secondary_of="password",
            help="The other password while it is being changed; used when the first one is refused.",
            example="staple-battery-horse-correct",
        ),
        Setting(
            name="baseUrl",
            type=SettingType.URL,
            help="The API's address; leave it out for the one that serves the United States and Canada.",
            example="https://messageapi.vibesapps.com",
        ),
        Setting(
            name="sourceType",
            pattern=r"[A-Za-z0-9_]{1,20}",
            help="What Vibes calls the type of toll-free numbers and long codes; ask its support. A short code is "
            "always SC, a number is MDN if this is left out.",
            example="MDN",
        ),
        *CALLBACK_TOKEN,
        *CALLBACK_BASIC,
        CALLBACK_SOURCES,
    ),
    senders=(
        SenderRule(
            SenderType.SHORT_CODE,
            two_way=True,
            countries=_COUNTRIES,
            note="Must be provisioned for each carrier. That Vibes acts on STOP is not documented; the gateway does.",
        ),
        SenderRule(
            SenderType.TOLL_FREE,
            two_way=True,
            countries=_COUNTRIES,
            note="Must be verified first; the network itself blocks after STOP.",
        ),
        SenderRule(
            SenderType.LONG_CODE,
            two_way=True,
            countries=_COUNTRIES,
            note="10DLC in the US: needs a registered brand and campaign.",
        ),
    ),
    capabilities=Capabilities(
        recipients_per_call=1,
        one_text_per_call=True,
        calls_at_once=10,
        # submitterMessageId is echoed; nothing says that a repeated one is recognised.
        replay_window=timedelta(0),
        lookup=False,
        status_query=True,
        max_text_length=900,
        validity=None,
        reports=True,
        inbound=True,
        correlation="Our message id as submitterMessageId",
        callback_authentication="A token in the address; replies can carry Basic authentication too, receipts cannot",
    ),
    # https://developer-aggregation.vibes.com/reference/receiving-messages
    published_sources=(
        *("35.155.139.143/32", "52.32.61.199/32", "35.161.244.84/32", "18.205.120.48/32"),
        *("52.22.43.57/32", "18.232.9.131/32", "54.245.204.57/32", "54.148.156.236/32"),
        *("34.243.232.57/32", "52.48.241.82/32", "34.249.188.130/32", "54.247.36.51/32"),
        *("34.253.250.65/32", "54.217.181.160/32"),
    ),
)

# https://developer-aggregation.vibes.com/reference/callbacks: the stage a receipt comes from, with what it means when
# all is well and when it tells of an error without a code below.
REPORT_STAGES: Mapping[str, tuple[State, State]] = {
    "system": (State.QUEUED, State.REJECTED),
    "carrier": (State.SENT, State.FAILED),
    "handset": (State.DELIVERED, State.UNDELIVERED),
}
# https://developer-aggregation.vibes.com/reference/delivery-receipt-response-codes: Vibes' own codes, for the stage
# "System" only. Samples of later stages pair them with errors that they do not fit.
REPORT_INTERNAL: Mapping[str, tuple[State, Reason | None]] = {
    "1": (State.REJECTED, Reason.UNROUTABLE),
    "2": (State.REJECTED, Reason.CONFIGURATION),
    "3": (State.REJECTED, Reason.CONFIGURATION),
    "4": (State.REJECTED, Reason.CONFIGURATION),
    "5": (State.REJECTED, Reason.CONFIGURATION),
    "6": (State.REJECTED, Reason.CONFIGURATION),
    "7": (State.FAILED, Reason.CANCELED),
    "8": (State.REJECTED, Reason.UNROUTABLE),
    "9": (State.REJECTED, Reason.OPTED_OUT),
    "10": (State.FAILED, Reason.TEMPORARY),
    "11": (State.UNKNOWN, Reason.OTHER),
    "12": (State.REJECTED, Reason.QUOTA),
    "13": (State.EXPIRED, Reason.EXPIRED),
    # A part that came twice was dropped: the lowest state there is, so that it stands in the story and changes nothing.
    "14": (State.QUEUED, None),
    "15": (State.REJECTED, Reason.CONFIGURATION),
    "16": (State.REJECTED, Reason.INVALID_SENDER),
}
# The meanings are those of https://developer.vibes.com/pages/viewpage.action?pageId=29164422, which survives without
# its numbers; but for 107 they are inferred from the order. So a description's own words go first.
REPORT_CARRIER: Mapping[str, tuple[State, Reason | None]] = {
    "100": (State.UNKNOWN, Reason.NO_REPORT),
    "101": (State.EXPIRED, Reason.EXPIRED),
    "102": (State.FAILED, Reason.CARRIER_BLOCKED),
    "103": (State.UNDELIVERED, Reason.UNREACHABLE),
    "104": (State.SENT, None),
    "105": (State.REJECTED, Reason.UNREACHABLE),
    "106": (State.REJECTED, Reason.CARRIER_BLOCKED),
    "107": (State.FAILED, Reason.CARRIER_BLOCKED),
    "255": (State.UNKNOWN, Reason.OTHER),
}
REPORT_WORDS = (
    ("failed while submitting", "107"),
    ("not opted in", "106"),
    ("undeliverable", "103"),
    ("expired", "101"),
    ("deleted", "102"),
    ("rejected", "105"),
    ("accepted", "104"),
    ("unknown error", "255"),
    ("unknown", "100"),
)
REFUSAL_STATUSES: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}
# No list of the errors of a send is public. These are words that Vibes' lists and samples use of each fault; none of
# them makes the gateway send the same again.
REFUSAL_WORDS = (
    ("authenticat", Reason.CREDENTIALS, Retry.NEVER),
    ("mdn blocked", Reason.OPTED_OUT, Retry.NEVER),
    ("block list", Reason.OPTED_OUT, Retry.NEVER),
    ("route", Reason.UNROUTABLE, Retry.OTHER_SENDER),
    ("lease", Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    ("source", Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    ("destination", Reason.INVALID_RECIPIENT, Retry.NEVER),
    ("mdn", Reason.INVALID_RECIPIENT, Retry.NEVER),
    ("capped", Reason.QUOTA, Retry.NEVER),
    ("text", Reason.INVALID_CONTENT, Retry.NEVER),
)

_SUPPORT: tuple[Mapping[str, str], ...] = (
    {
        "language": "en",
        "subject": "Connect HTTP Message API: address for incoming messages",
        "text": """Hello,

this is about our account {account} for the Connect HTTP Message API and our senders {numbers}.

1. Please post what people send to these senders (moMessage, XML, version 3.2 with longMessageInfo) to
   {inbound}
   {proof}
2. Please give numbers in full, such as +13125550142.
3. Delivery receipts (mtMessageResponse) need no set-up: each message names this callbackUrl for them,
   {report}
4. Please tell us the source type of senders that are no short codes, how many messages a second we may send, and
   whether you act on STOP yourselves.

Both addresses are confidential: they prove that a request is yours.

Kind regards
""",
        "basic": "with Basic authentication, user name {user}; the password follows by a safe channel.",
        "none": "without authentication.",
        "all": "(all of them)",
    },
    {
        "language": "de",
        "subject": "Connect HTTP Message API: Adresse für eingehende Nachrichten",
        "text": """Guten Tag,

es geht um unser Konto {account} für die Connect HTTP Message API und um unsere Absender {numbers}.

1. Bitte senden Sie, was an diese Absender geht (moMessage, XML, Version 3.2 mit longMessageInfo), per POST an
   {inbound}
   {proof}
2. Bitte geben Sie Rufnummern vollständig an, etwa +13125550142.
3. Für Zustellberichte (mtMessageResponse) ist nichts einzurichten: Jede Nachricht nennt dafür die callbackUrl,
   {report}
4. Bitte nennen Sie uns den source type von Absendern, die keine Kurzwahlnummern sind, wie viele Nachrichten wir in der
   Sekunde senden dürfen und ob Sie STOP selbst beachten.

Beide Adressen sind vertraulich: Sie beweisen, dass eine Anfrage von Ihnen kommt.

Mit freundlichen Grüßen
""",
        "basic": "mit Basic-Authentifizierung, Benutzername {user}; das Passwort folgt auf einem sicheren Weg.",
        "none": "ohne Authentifizierung.",
        "all": "(alle)",
    },
)

BASE_URL = "https://messageapi.vibesapps.com"
MESSAGES = "/MessageApi/mt/messages"
MOST_BYTES = 1500
"""Of a text that is split, once encoded.

Source: https://developer-aggregation.vibes.com/reference/encoding-message-settings.
"""
_SHORT_CODE, _NUMBER = "SC", "MDN"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Source: https://www.w3.org/TR/xml/#charsets."""
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENSION = frozenset("\f^{}\\[~]|€")
"""Source: https://www.3gpp.org/dynareport/23038.htm; each of these takes two bytes."""
_NORTH_AMERICAN = re.compile(r"(?:\+?1)?([2-9]\d{9})", re.ASCII)
_SPACE_BEFORE_ZONE = re.compile(r"\s+(?=(?:Z|[+-]\d{2}:?\d{2})$)", re.ASCII)
_SMALL_NUMBER = re.compile(r"[1-9]\d{0,2}", re.ASCII)
_SOMEBODY = "2025550142"
"""A number kept for fiction, for a look-up that concerns nobody."""
_OPEN = (State.QUEUED, State.SENT, State.UNKNOWN)
_FAILURE, _DELIVERY = 3, 4
"""How much a receipt says of a message: an open state its place in the list, a failure more, a delivery most."""
_ANYWHERE = ".//"
_MOST_PARTS = 20
_DETAIL_LENGTH = 300
_OK = 200
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


class Vibes(Vendor):
    """Vibes Connect."""

    description = DESCRIPTION
    answers = {"report": Answer(200), "inbound": Answer(200)}  # noqa: RUF012

    def text_objection(self, text: str, settings: Mapping[str, str]) -> str:
        """Return why XML or Vibes' limit of 1,500 encoded bytes does not let a text through, or an empty text."""
        del settings
        if found := _NOT_IN_XML.search(text):
            return f"Vibes is spoken to in XML, which cannot carry the character U+{ord(found[0]):04X}; leave it out."
        if (size := _encoded_size(text)) > MOST_BYTES:
            return f"The text takes {size} bytes once encoded and Vibes carries {MOST_BYTES}; make it shorter."
        return ""

    def verify(self, callback: Callback, account: Account) -> None:
        """Check the token in the path and, of a reply, the password; receipts cannot carry one."""
        check_token(callback, account)
        if callback.kind == "inbound":
            check_basic(callback, account)

    def parse(self, callback: Callback) -> Parsed:
        """Read a receipt or a reply; other XML is set aside, for Vibes repeats what it gets no 200 for.

        Source: https://developer-aggregation.vibes.com/reference/receiving-messages.
        """
        root = _read(callback.body)
        if root is None:
            raise MalformedError("The body is not well-formed XML without a document type.")
        raw = {"xml": callback.body.decode("utf-8", "replace")}
        if callback.kind == "inbound":
            reply = _reply(root, raw) if _name(root) == "moMessage" else None
            return Parsed(inbound=(reply,)) if reply else _aside("It is no moMessage with an id and two numbers.", raw)
        report = _receipt(root, raw) if _name(root) == "mtMessageResponse" else None
        return Parsed(reports=(report,)) if report else _aside("It is no mtMessageResponse with an id.", raw)

    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        """Post one message."""
        (message,) = call.messages
        if objection := self.text_objection(message.text, account.settings):
            return {message.id: Refused(Reason.INVALID_CONTENT, detail=objection)}
        body = _document(call, message, _source_type(call.sender, account.settings))
        answer = await _request(account, http, "POST", MESSAGES, body)
        return {message.id: _outcome(answer, message)}

    async def check(self, account: Account, http: Http) -> Check:
        """Look up the carrier of a fictional number.

        That Vibes finds no such number proves the credentials as well: it says "Invalid value", as in the tests of
        its own client, https://github.com/vibes/vibes_api_ruby.
        """
        answer = await _request(account, http, "GET", f"/MessageApi/mdns/{_SOMEBODY}")
        if not isinstance(answer, _Answer):
            return Check(ok=False, detail=answer.why if isinstance(answer, Unknown) else answer.detail)
        words = _words(answer.root)
        invalid = _name(answer.root) == "error" and words.lower().startswith("invalid value")
        if answer.status == _OK and (_name(answer.root) == "mdn" or invalid):
            return Check(ok=True, detail="Vibes takes the credentials.")
        detail = f"Vibes answered {answer.status}: {words or 'no words'}."
        if answer.status in {401, 403}:
            detail += " Are these credentials of Connect and not of the Vibes Platform?"
        return Check(ok=False, detail=detail)

    async def report_of(self, account: Account, message: str, vendor_id: str, http: Http) -> DeliveryReport | None:
        """Read the receipts of a message and of its parts, and return the one that says most of it.

        Source: https://developer-aggregation.vibes.com/reference/retrieve-message-responses and, for the parts, which
        have ids of their own, https://developer-aggregation.vibes.com/reference/split-messages.
        """
        found = await _receipts(account, vendor_id, http)
        parts = {report.part.number for report in found if report.part}
        if any(report.part and report.part.count > len(parts) for report in found):
            for other in await _other_parts(account, vendor_id, http):
                found += await _receipts(account, other, http)
        ours = [report for report in found if report.message in {"", message}]
        told = _most_telling(ours)
        return replace(told, message=message, vendor_id=vendor_id) if told else None

    def set_up(self, wiring: Wiring) -> tuple[SetupStep, ...]:
        """Describe what Vibes' people set up; receipts need no set-up, each message carries their address."""
        return (
            SetupStep(
                "Ask for an account for the Connect HTTP Message API",
                "Write to your account manager at Vibes. Credentials of the Vibes Platform (with a company key) do not "
                "work here. Ask also for the source type of your toll-free numbers and long codes, if you have any.",
            ),
            SetupStep(
                "Have the address for replies set",
                "Vibes sets it for each sender: send the text for support, which names this address, to your account "
                "manager. A password for Basic authentication follows by a safe channel, never in the same mail.",
                wiring.urls.inbound,
            ),
            SetupStep(
                "Delivery reports need no set-up",
                "The gateway names this address with every message it sends. Vibes cannot send a password with them.",
                wiring.urls.report,
            ),
        )

    def support(self, wiring: Wiring) -> tuple[SupportText, ...]:
        """Return the request to set the address for replies, in English and German."""
        facts = {
            "account": wiring.settings.get("username", ""),
            "inbound": wiring.urls.inbound,
            "report": wiring.urls.report,
            "user": wiring.settings.get("callbackUser", ""),
        }
        numbers = ", ".join(sender.address for sender in wiring.senders)
        proof = "basic" if "callbackPassword" in wiring.secrets else "none"
        texts = []
        for words in _SUPPORT:
            said = {**facts, "numbers": numbers or words["all"], "proof": words[proof].format(**facts)}
            texts.append(SupportText(words["language"], words["subject"], words["text"].format(**said)))
        return tuple(texts)


class _Answer:
    """An HTTP answer of Vibes' with the XML in it, or with no root where it was none."""

    def __init__(self, status: int, body: bytes, headers: Any) -> None:
        self.status = status
        self.headers = headers or {}
        self.text = body.decode("utf-8", "replace")
        self.root = _read(body)


async def _request(
    account: Account, http: Http, method: str, path: str, body: bytes | None = None
) -> _Answer | Refused | Unknown:
    import aiohttp  # noqa: PLC0415 - slow to import

    pair = f"{account.settings['username']}:{account.settings['password']}"
    headers = {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    if body is not None:
        headers["Content-Type"] = "text/xml"
    url = account.settings.get("baseUrl", BASE_URL).rstrip("/") + path
    try:
        async with http.session.request(method, url, data=body, headers=headers, allow_redirects=False) as response:
            return _Answer(response.status, await response.read(), response.headers)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        return Refused(Reason.TEMPORARY, Retry.LATER, detail=f"No connection: {type(error).__name__}.")
    except TimeoutError:
        return Unknown(f"No answer within {http.timeout:g} s.")
    except (aiohttp.ClientError, OSError) as error:
        return Unknown(f"The connection was lost: {type(error).__name__}.")


async def _receipts(account: Account, vendor_id: str, http: Http) -> list[DeliveryReport]:
    answer = await _request(account, http, "GET", f"{MESSAGES}/{quote(vendor_id, safe='')}/responses")
    if not isinstance(answer, _Answer) or answer.status != _OK or _name(answer.root) != "mtMessageResponses":
        return []
    items = [item for item in answer.root or () if _name(item) == "mtMessageResponse"]
    found = ((item.get("messageId"), _receipt(item, {"xml": answer.text})) for item in items)
    return [report for own_id, report in found if report and vendor_id in {own_id, report.vendor_id}]


async def _other_parts(account: Account, vendor_id: str, http: Http) -> list[str]:
    answer = await _request(account, http, "GET", f"{MESSAGES}/{quote(vendor_id, safe='')}/parts")
    if not isinstance(answer, _Answer) or answer.status != _OK:
        return []
    parts = (item for item in answer.root or () if item.get("originalMessageId") == vendor_id)
    return sorted({item.get("messageId", "") for item in parts} - {"", vendor_id})[:_MOST_PARTS]


def _document(call: SendCall, message: Outgoing, source_type: str) -> bytes:
    root = Element("mtMessage", submitterMessageId=message.id, splitLongMessage="true")
    SubElement(root, "destination", address=message.to, type=_NUMBER)
    SubElement(root, "source", address=call.sender.address, type=source_type)
    SubElement(root, "text").text = message.text
    if call.report_url:
        SubElement(root, "receiptOption", callbackUrl=call.report_url).text = "ALL"
    # Whoever reads XML takes a carriage return for a line feed unless it is written as a reference.
    written = tostring(root, encoding="unicode").replace("\r", "&#13;")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{written}'.encode()


def _source_type(sender: Sender, settings: Mapping[str, str]) -> str:
    return _SHORT_CODE if sender.type is SenderType.SHORT_CODE else settings.get("sourceType") or _NUMBER


def _encoded_size(text: str) -> int:
    """Return the bytes of a text in GSM 03.38 with one byte a code or, if it does not fit there, in UCS-2."""
    extended = sum(character in _GSM_EXTENSION for character in text)
    if extended + sum(character in _GSM for character in text) == len(text):
        return len(text) + extended
    return len(text.encode("utf-16-be"))


def _outcome(answer: _Answer | Refused | Unknown, message: Outgoing) -> Outcome:
    if not isinstance(answer, _Answer):
        return answer
    root, status, words = answer.root, answer.status, _words(answer.root)
    if status >= _SERVER_ERROR:
        return Unknown(f"Vibes answered {status}{words and f': {words}'}", str(status))
    if status < _CLIENT_ERROR:
        if status != _OK or root is None or _name(root) in {"", "html"}:
            return Unknown(f"Vibes answered {status} without saying what became of the message.", str(status))
        if _name(root) == "mtMessageRsp":
            vendor_id, echoed = root.get("messageId", "").strip(), root.get("submitterMessageId", message.id)
            if vendor_id and echoed == message.id:
                return Accepted(vendor_id)
            return Unknown("Vibes' answer names no message id, or another message.", str(status))
    by_words = ((reason, retry) for begin, reason, retry in REFUSAL_WORDS if re.search(rf"\b{begin}", words.lower()))
    reason, retry = REFUSAL_STATUSES.get(status) or next(by_words, (Reason.OTHER, Retry.NEVER))
    after = retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)) if retry is Retry.LATER else None
    code = _text(root, "errorCode", _ANYWHERE) or (str(status) if status != _OK else "")
    return Refused(reason, retry, after, code, words)


def _read(body: bytes) -> Element | None:
    """Read XML; a document type, with which entities come, makes it unreadable."""
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, ValueError, LookupError):
        return None
    return root


def _name(element: Element | None) -> str:
    return "" if element is None else str(element.tag).rpartition("}")[2]


def _child(element: Element | None, name: str, path: str = "") -> Element | None:
    return None if element is None else element.find(f"{path}{{*}}{name}")


def _text(element: Element | None, name: str, path: str = "") -> str:
    child = _child(element, name, path)
    return "" if child is None else (child.text or "").strip()


def _words(root: Element | None) -> str:
    """Return an error's words, wherever in the answer they stand; an HTML page has none of Vibes'."""
    if root is None or _name(root) == "html":
        return ""
    said = root.get("description") or _text(root, "description", _ANYWHERE) or "".join(root.itertext())
    return " ".join(said.split())[:_DETAIL_LENGTH]


def _receipt(element: Element, raw: Mapping[str, Any]) -> DeliveryReport | None:
    multipart, status = _child(element, "multipart"), _child(element, "status")
    message, vendor_id = (element.get(name, "").strip() for name in ("submitterMessageId", "messageId"))
    part, split = None, _flag(multipart, "isMultipart")
    if multipart is not None and split:
        vendor_id = multipart.get("originalMessageId", "").strip() or vendor_id
        part = _part(multipart)
    if not vendor_id and not message:
        return None
    stage, detail = _text(element, "type"), _text(status, "description")
    code = _text(status, "errorCode")
    if stage.lower() == "system":
        code = _text(status, "internalErrorCode") or code
    state, reason = _state(stage.lower(), _flag(status, "isError"), detail.lower(), code)
    if element.get("fwdToMessageId") and state is not State.QUEUED:
        # It goes on to the same person under another id, whose own receipts tell the end.
        # Source: https://developer-aggregation.vibes.com/reference/version-31-features (alternate delivery).
        state, reason = State.SENT, None
    if split and part is None and state is State.DELIVERED:
        state = State.SENT  # nobody can tell whether it was the last part
    return DeliveryReport(
        state=state,
        reason=reason,
        vendor_id=vendor_id,
        message=message,
        code=code,
        status=stage,
        detail=detail[:_DETAIL_LENGTH],
        at=_time(element.get("receiptDate", "")),
        part=part,
        raw=raw,
    )


def _state(stage: str, failed: bool | None, detail: str, code: str) -> tuple[State, Reason | None]:
    if stage not in REPORT_STAGES or failed is None:
        return State.UNKNOWN, Reason.OTHER
    well, otherwise = REPORT_STAGES[stage]
    if not failed:
        return well, None
    if stage == "system":
        return REPORT_INTERNAL.get(code, (otherwise, Reason.OTHER))
    number = next((number for words, number in REPORT_WORDS if words in detail), code)
    return REPORT_CARRIER.get(number, (otherwise, Reason.OTHER))


def _part(multipart: Element) -> Part | None:
    number, count = multipart.get("partNumber", ""), multipart.get("noOfParts", "")
    if not _SMALL_NUMBER.fullmatch(number) or not _SMALL_NUMBER.fullmatch(count) or int(number) > int(count):
        return None
    return Part(int(number), int(count))


def _most_telling(reports: Iterable[DeliveryReport]) -> DeliveryReport | None:
    """Return the last word on each part, folded: a failure, else an open part, else the delivery of what is known."""
    last: dict[int, DeliveryReport] = {}
    for report in reports:
        number = report.part.number if report.part else 0
        if number not in last or _weight(report) > _weight(last[number]):
            last[number] = report
    if not last:
        return None
    chosen = min(last.values(), key=lambda report: (_weight(report) != _FAILURE, _weight(report)))
    if chosen.part and chosen.state is State.DELIVERED and len(last) == chosen.part.count:
        return replace(chosen, part=None)
    return chosen


def _weight(report: DeliveryReport) -> int:
    if report.state in _OPEN:
        return _OPEN.index(report.state)
    return _DELIVERY if report.state is State.DELIVERED else _FAILURE


def _reply(element: Element, raw: Mapping[str, Any]) -> InboundText | None:
    message = _child(element, "message")
    vendor_id = element.get("messageId", "").strip()
    sender, recipient = (_number(_child(element, name)) for name in ("source", "destination"))
    if not vendor_id or not sender or not recipient:
        return None
    return InboundText(
        vendor_id=vendor_id + _place(_child(element, "longMessageInfo")),
        sender=sender,
        recipient=recipient,
        text=(message.text or "") if message is not None else "",
        at=_time(element.get("receiptDate", "")),
        raw=raw,
    )


def _place(info: Element | None) -> str:
    """Return what tells a part of a long reply from its other parts, should they share an id; no page says.

    Source: https://developer-aggregation.vibes.com/reference/version-31-features.
    """
    if info is None:
        return ""
    said = (*(value for _, value in sorted(info.attrib.items())), *(child.text or "" for child in info))
    return "".join(f":{value}" for value in said if value.isdecimal())


def _number(element: Element | None) -> str:
    """Return a number with plus and country code, however Vibes writes those of North America; a short code as it is.

    Source: https://developer-aggregation.vibes.com/reference/receiving-messages.
    """
    address = element.get("address", "").strip() if element is not None else ""
    match = _NORTH_AMERICAN.fullmatch(address)
    return f"+1{match[1]}" if match else address


def _flag(element: Element | None, name: str) -> bool | None:
    value = element.get(name, "").strip().lower() if element is not None else ""
    return {"true": True, "1": True, "false": False, "0": False}.get(value)


def _time(value: str) -> datetime | None:
    """Read a date with its zone; one without says nothing, for Vibes' servers stand in several."""
    try:
        moment = datetime.fromisoformat(_SPACE_BEFORE_ZONE.sub("", value.strip()))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _aside(why: str, raw: Mapping[str, Any]) -> Parsed:
    return Parsed(set_aside=(SetAside(why, orjson.dumps(raw).decode()),))


vendor = Vibes()
