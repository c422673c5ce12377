"""Vibes Connect: the HTTP Message API of the aggregation product, which speaks XML.

Reference: https://developer-aggregation.vibes.com/reference/send-an-sms-message for sending,
https://developer-aggregation.vibes.com/reference/callbacks for receipts,
https://developer-aggregation.vibes.com/reference/receiving-messages for replies and
https://developer-aggregation.vibes.com/reference/authentication. The Platform API is another product with other
credentials: it sends campaigns, not a text to a number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring

import orjson

from functions.vendors.contract import (
    Accepted,
    Account,
    Answer,
    Callback,
    Check,
    DeliveryReport,
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
    SenderType,
    SetAside,
    SetupStep,
    State,
    SupportText,
    Unknown,
    Vendor,
    Wiring,
)
from functions.vendors.exchange import HttpAnswer, basic, exchange, shortened, why
from functions.vendors.proofs import check_basic, check_token
from functions.vendors.reading import moment, septets
from functions.vendors.vibes.codes import (
    REFUSAL_STATUSES,
    REFUSAL_WORDS,
    REPORT_CARRIER,
    REPORT_INTERNAL,
    REPORT_STAGES,
    REPORT_WORDS,
)
from functions.vendors.vibes.description import DESCRIPTION
from functions.vendors.vibes.elements import ANYWHERE, child_of, flag_of, name_of, read, text_of, words_of
from functions.vendors.vibes.support import SUPPORT

BASE_URL = "https://messageapi.vibesapps.com"
MESSAGES = "/MessageApi/mt/messages"
MOST_BYTES = 1500
"""Of a text that is split, once encoded.

Source: https://developer-aggregation.vibes.com/reference/encoding-message-settings.
"""
_SHORT_CODE, _NUMBER = "SC", "MDN"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Source: https://www.w3.org/TR/xml/#charsets."""
_NORTH_AMERICAN = re.compile(r"(?:\+?1)?([2-9]\d{9})", re.ASCII)
_SPACE_BEFORE_ZONE = re.compile(r"\s+(?=(?:Z|[+-]\d{2}:?\d{2})$)", re.ASCII)
_SMALL_NUMBER = re.compile(r"[1-9]\d{0,2}", re.ASCII)
_SOMEBODY = "2025550142"
"""A number kept for fiction, for a look-up that concerns nobody."""
_OPEN = (State.QUEUED, State.SENT, State.UNKNOWN)
_FAILURE, _DELIVERY = 3, 4
"""How much a receipt says of a message: an open state its place in the list, a failure more, a delivery most."""
_MOST_PARTS = 20


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
        root = read(callback.body)
        if root is None:
            raise MalformedError("The body is not well-formed XML without a document type.")
        raw = {"xml": callback.body.decode("utf-8", "replace")}
        if callback.kind == "inbound":
            reply = _reply(root, raw) if name_of(root) == "moMessage" else None
            return Parsed(inbound=(reply,)) if reply else _aside("It is no moMessage with an id and two numbers.", raw)
        report = _receipt(root, raw) if name_of(root) == "mtMessageResponse" else None
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
        if not isinstance(answer, HttpAnswer):
            return Check(ok=False, detail=why(answer))
        root = read(answer.content)
        words = words_of(root)
        invalid = name_of(root) == "error" and words.lower().startswith("invalid value")
        if answer.status == HTTPStatus.OK and (name_of(root) == "mdn" or invalid):
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
        for words in SUPPORT:
            said = {**facts, "numbers": numbers or words["all"], "proof": words[proof].format(**facts)}
            texts.append(SupportText(words["language"], words["subject"], words["text"].format(**said)))
        return tuple(texts)


async def _request(
    account: Account, http: Http, method: str, path: str, body: bytes | None = None
) -> HttpAnswer | Refused | Unknown:
    settings = account.settings
    headers = {"Authorization": basic(settings["username"], settings["password"])}
    if body is not None:
        headers["Content-Type"] = "text/xml"
    url = settings.get("baseUrl", BASE_URL).rstrip("/") + path
    return await exchange(http, method, url, headers=headers, data=body)


async def _receipts(account: Account, vendor_id: str, http: Http) -> list[DeliveryReport]:
    answer = await _request(account, http, "GET", f"{MESSAGES}/{quote(vendor_id, safe='')}/responses")
    root = _found(answer)
    if not isinstance(answer, HttpAnswer) or root is None or name_of(root) != "mtMessageResponses":
        return []
    items = [item for item in root if name_of(item) == "mtMessageResponse"]
    found = ((item.get("messageId"), _receipt(item, {"xml": answer.text})) for item in items)
    return [report for own_id, report in found if report and vendor_id in {own_id, report.vendor_id}]


def _found(answer: HttpAnswer | Refused | Unknown) -> Element | None:
    return read(answer.content) if isinstance(answer, HttpAnswer) and answer.status == HTTPStatus.OK else None


async def _other_parts(account: Account, vendor_id: str, http: Http) -> list[str]:
    answer = await _request(account, http, "GET", f"{MESSAGES}/{quote(vendor_id, safe='')}/parts")
    root = _found(answer)
    parts = () if root is None else (item for item in root if item.get("originalMessageId") == vendor_id)
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
    size = septets(text)
    return len(text.encode("utf-16-be")) if size is None else size


def _outcome(answer: HttpAnswer | Refused | Unknown, message: Outgoing) -> Outcome:
    if not isinstance(answer, HttpAnswer):
        return answer
    root, status = read(answer.content), answer.status
    words = words_of(root)
    if answer.is_server_error:
        return Unknown(f"Vibes answered {status}{words and f': {words}'}", str(status))
    if not answer.is_client_error:
        if status != HTTPStatus.OK or root is None or name_of(root) in {"", "html"}:
            return Unknown(f"Vibes answered {status} without saying what became of the message.", str(status))
        if name_of(root) == "mtMessageRsp":
            vendor_id, echoed = root.get("messageId", "").strip(), root.get("submitterMessageId", message.id)
            if vendor_id and echoed == message.id:
                return Accepted(vendor_id)
            return Unknown("Vibes' answer names no message id, or another message.", str(status))
    by_words = ((reason, retry) for begin, reason, retry in REFUSAL_WORDS if re.search(rf"\b{begin}", words.lower()))
    reason, retry = REFUSAL_STATUSES.get(status) or next(by_words, (Reason.OTHER, Retry.NEVER))
    code = text_of(root, "errorCode", ANYWHERE) or (str(status) if status != HTTPStatus.OK else "")
    return Refused(reason, retry, answer.wait(retry), code, words)


def _receipt(element: Element, raw: Mapping[str, Any]) -> DeliveryReport | None:
    multipart, status = child_of(element, "multipart"), child_of(element, "status")
    message, vendor_id = (element.get(name, "").strip() for name in ("submitterMessageId", "messageId"))
    part, split = None, flag_of(multipart, "isMultipart")
    if multipart is not None and split:
        vendor_id = multipart.get("originalMessageId", "").strip() or vendor_id
        part = _part(multipart)
    if not vendor_id and not message:
        return None
    stage, detail = text_of(element, "type"), text_of(status, "description")
    code = text_of(status, "errorCode")
    if stage.lower() == "system":
        code = text_of(status, "internalErrorCode") or code
    state, reason = _state(stage.lower(), flag_of(status, "isError"), detail.lower(), code)
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
        detail=shortened(detail),
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
    message = child_of(element, "message")
    vendor_id = element.get("messageId", "").strip()
    sender, recipient = (_number(child_of(element, name)) for name in ("source", "destination"))
    if not vendor_id or not sender or not recipient:
        return None
    return InboundText(
        vendor_id=vendor_id + _place(child_of(element, "longMessageInfo")),
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


def _time(value: str) -> datetime | None:
    """Read a date with its zone; one without says nothing, for Vibes' servers stand in several."""
    return moment(_SPACE_BEFORE_ZONE.sub("", value.strip()), None)


def _aside(why: str, raw: Mapping[str, Any]) -> Parsed:
    return Parsed(set_aside=(SetAside(why, orjson.dumps(raw).decode()),))


vendor = Vibes()
