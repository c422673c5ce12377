"""Makes the HTTP request of a template: each value is escaped for the place it stands in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus
from xml.etree.ElementTree import Element, tostring

import orjson

from functions.vendors.contract import Outgoing, SendCall
from functions.vendors.custom.template import CREDENTIAL, OPTIONAL, Shown, Template, UnfitError, Values, credentials_in
from functions.vendors.exchange import basic

if TYPE_CHECKING:
    from functions.vendors.custom.definition import Call, Definition

FORM, JSON, XML = "application/x-www-form-urlencoded", "application/json", "application/xml"

NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Source: https://www.w3.org/TR/xml/#charsets."""
_HEADER_VALUE = re.compile(r"[ -~]*")
_DOTS = re.compile(r"/\.{1,2}(?:[/?]|$)")
_VALIDITY = ("validitySeconds", "validityMinutes", "validityMilliseconds", "expiresAt")
_NUMBERS: Mapping[str, str] = {"e164": "+", "digits": "", "00": "00"}


@dataclass(frozen=True, slots=True)
class Built:
    """A request that is ready to be made."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str


def shown_credentials(definition: Definition) -> dict[str, str]:
    """Return what a dry run shows instead of the credentials, by placeholder."""
    return {f"{CREDENTIAL}{name}": Shown(f"{{{CREDENTIAL}{name}}}") for name in definition.credentials}


def credential_values(credentials: Mapping[str, str]) -> dict[str, str]:
    """Return credentials by placeholder."""
    return {f"{CREDENTIAL}{name}": value for name, value in credentials.items()}


def message_values(
    definition: Definition, call: SendCall, message: Outgoing, credentials: Mapping[str, str], now: datetime
) -> dict[str, str | int]:
    """Return what the placeholders stand for in the request of one message.

    Raises:
        UnfitError: Its validity period ends after the last day that can be written.
    """
    request, limits = definition.request, definition.limits
    digits, sender = message.to.removeprefix("+"), call.sender.address
    values: dict[str, str | int] = {
        "to": _NUMBERS[request.numbers] + digits,
        "toInteger": int(digits),
        "text": message.text,
        "sender": _NUMBERS[request.numbers] + sender[1:] if sender.startswith("+") else sender,
        "senderType": request.words.sender_type.get(call.sender.type, call.sender.type.value),
        "category": request.words.category.get(call.category, call.category.value),
        "messageId": message.id,
        "batchId": call.batch,
        "reportUrl": call.report_url,
    }
    if call.validity is None:
        values |= dict.fromkeys(_VALIDITY, "")
    else:
        seconds = min(max(call.validity, limits.min_validity_seconds), limits.max_validity_seconds)
        try:
            expires = (now + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
        except OverflowError as error:
            raise UnfitError("limits.minValiditySeconds is longer than any calendar.") from error
        values |= zip(_VALIDITY, (seconds, max(1, seconds // 60), seconds * 1000, expires), strict=True)
    return values | credential_values(credentials)


def build(call: Call, values: Values) -> Built:
    """Return the request that a template makes of values.

    Raises:
        UnfitError: A value is missing or cannot stand where the template puts it.
    """
    try:
        url = call.url.fill(values, _quoted)
        if call.query:
            url += ("&" if "?" in url else "?") + _pairs(call.query, values)
        content_type, body = _body(call, values)
    except UnicodeEncodeError as error:
        raise UnfitError("A value holds half a character, which no encoding can carry.") from error
    if _DOTS.search(url.partition("?")[0]):
        raise UnfitError("A value would lead to another path of the vendor's.")
    headers = {"Content-Type": content_type} if content_type else {}
    headers |= _authorization(call, values)
    for name, template in _present(call.headers, values):
        headers = {other: value for other, value in headers.items() if other.lower() != name.lower()}
        headers[name] = template.fill(values)
    for name, value in headers.items():
        if not _HEADER_VALUE.fullmatch(value):
            raise UnfitError(f"The header {name} would hold more than a line of ASCII.")
    return Built(call.method, url, headers, body)


def _body(call: Call, values: Values) -> tuple[str, str]:
    if call.form is not None:
        return FORM, _pairs(call.form, values)
    if call.json_body is not None:
        return JSON, orjson.dumps(_json(call.json_body, values)).decode()
    return (XML, _xml(call.xml, values)) if call.xml is not None else ("", "")


def _quoted(value: str) -> str:
    return quote(value, safe="")


def _pairs(members: Mapping[str, Template], values: Values) -> str:
    return "&".join(
        f"{quote_plus(name)}={template.fill(values, quote_plus, quote_plus)}"
        for name, template in _present(members, values)
    )


def _present(members: Mapping[str, Any], values: Values) -> list[tuple[str, Any]]:
    """Return members without those that are optional and have nothing to say."""
    return [
        (name.removesuffix(OPTIONAL), member)
        for name, member in members.items()
        if not (name.endswith(OPTIONAL) and _any_template(member, lambda template: template.has_empty(values)))
    ]


def _any_template(node: object, holds: Callable[[Template], bool]) -> bool:
    if isinstance(node, Template):
        return holds(node)
    members = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return any(_any_template(member, holds) for member in members)


def _json(node: object, values: Values) -> object:
    if isinstance(node, Template):
        return node.json(values)
    if isinstance(node, dict):
        return {name: _json(member, values) for name, member in _present(node, values)}
    return [_json(member, values) for member in node] if isinstance(node, list) else node


def _xml(template: Element, values: Values) -> str:
    root = deepcopy(template)
    for element in root.iter():
        element.text = Template.parse(element.text or "").fill(values)
        element.tail = Template.parse(element.tail or "").fill(values)
        for name, value in element.attrib.items():
            element.set(name, Template.parse(value).fill(values))
    written = tostring(root, encoding="unicode")
    if NOT_IN_XML.search(written):
        raise UnfitError("A value holds a character that XML cannot carry.")
    # A reader takes a bare carriage return for a line feed: https://www.w3.org/TR/xml/#sec-line-ends.
    return '<?xml version="1.0" encoding="UTF-8"?>' + written.replace("\r", "&#13;")


def _authorization(call: Call, values: Values) -> dict[str, str]:
    if call.bearer is not None:
        return {"Authorization": f"Bearer {call.bearer.fill(values)}"}
    if call.basic is None:
        return {}
    user, password = call.basic.user.fill(values), call.basic.password.fill(values)
    names = credentials_in(call.basic.user.names | call.basic.password.names)
    if any(isinstance(values[f"{CREDENTIAL}{name}"], Shown) for name in names):
        return {"Authorization": f"Basic base64({user}:{password})"}
    return {"Authorization": basic(user, password)}
