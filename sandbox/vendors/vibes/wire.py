"""Vibes on the wire: XML read and written, refusals, addresses, carriers, dates."""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from typing import NoReturn
from xml.etree.ElementTree import (
    Element,
    ParseError,
    SubElement,
    indent,
    tostring,
)
from zlib import crc32

import phonenumbers
from aiohttp import web
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from sandbox.clock import utc
from sandbox.numbers import is_number
from sandbox.sending import RefusedError
from sandbox.urls import web_address

CONTENT_TYPES = frozenset({"text/xml", "application/xml"})
UNAUTHORIZED, NOT_FOUND, UNSUPPORTED, TOO_MANY, SERVER_ERROR = 401, 404, 415, 429, 500
INVALID_DESTINATION, NO_ROUTE = 26, 8
_CARRIERS = (101, 102, 104, 105)
_COUNTRIES = frozenset({"US", "CA"})
_DIGITS = re.compile(r"\A1?(\d{10})\Z", re.ASCII)
_CENTRAL = timezone(timedelta(hours=-5))
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(body: bytes) -> Element | None:
    """Read an XML document; nothing when it is none, or brings a document type."""
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, LookupError, ValueError):
        return None
    return root


def xml_response(root: Element, *, status: int = 200) -> web.Response:
    """Answer with XML."""
    return web.Response(body=written(root), status=status, headers={"Content-Type": "text/xml;charset=UTF-8"})


def written(root: Element) -> bytes:
    """Write an XML document as Vibes does: declared, in UTF-8, indented."""
    indent(root, "    ")
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root)


def child(parent: Element, tag: str, text: str, **attributes: str) -> Element:
    """Add an element; characters XML cannot carry become question marks."""
    added = SubElement(parent, tag, attributes)
    added.text = _NOT_XML.sub("?", text)
    return added


def failure(description: str, code: int | None = None, submitter: str | None = None) -> web.Response:
    """Build the answer to a request Vibes understood and refuses: 200, and an XML that is no `mtMessageRsp`.

    ASSUMED, all but the 200: Vibes' page of these answers could not be read. The words are those of its tables.
    """
    root = Element("mtMessageError", {"submitterMessageId": submitter} if submitter else {})
    status = SubElement(root, "status", {"isError": "true"})
    child(status, "description", description)
    if code is not None:
        child(status, "errorCode", str(code))
    return xml_response(root)


def refuse(description: str, code: int | None = None, submitter: str | None = None) -> NoReturn:
    """Refuse a request that was understood.

    Raises:
        RefusedError: Always.
    """
    raise RefusedError(failure(description, code, submitter))


def system_error(status: int, title: str, headers: dict[str, str] | None = None) -> web.Response:
    """Build an answer other than 200, which to Vibes' customers is always an error of the system."""
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{title}</h1></body></html>"
    return web.Response(status=status, text=page, content_type="text/html", headers=headers)


def e164(address: str) -> str | None:
    """Give a US or Canadian number in E.164, written so or in 10 or 11 digits; nothing for any other address."""
    found = _DIGITS.match(address)
    number = f"+1{found[1]}" if found else address
    if not is_number(number):
        return None
    region = phonenumbers.region_code_for_number(phonenumbers.parse(number, None))
    return number if region in _COUNTRIES else None


def carrier_of(number: str) -> str:
    """Say which carrier a person is with: one of the codes known to be Vibes', always the same one."""
    return str(_CARRIERS[crc32(number.encode()) % len(_CARRIERS)])


def is_callback_url(url: str) -> bool:
    """Tell whether receipts can be posted to an address: an absolute one, or an empty one for nowhere."""
    return not url or web_address(url) is not None


def receipt_date(timestamp: float) -> str:
    """Write a time as receipts do, `2011-04-19T15:10:08.320-05:00`."""
    return utc(timestamp).astimezone(_CENTRAL).isoformat(timespec="milliseconds")


def inbound_date(timestamp: float) -> str:
    """Write a time as incoming texts do, `2026-05-11 19:02:31 Z`."""
    return f"{utc(timestamp):%Y-%m-%d %H:%M:%S} Z"
