"""Reads what the vendor says: its answers to requests, and its callbacks."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import orjson

from functions.vendors.contract import (
    Accepted,
    Callback,
    Check,
    DeliveryReport,
    InboundText,
    MalformedError,
    Outcome,
    Parsed,
    Part,
    Reason,
    Retry,
    SetAside,
    State,
    Unknown,
)
from functions.vendors.custom.definition import (
    NOT_ARRIVED,
    Definition,
    Evidence,
    Inbound,
    Moment,
    PartPlaces,
    Place,
    Refusal,
    Report,
)
from functions.vendors.custom.paths import WHOLE, Document
from functions.vendors.exchange import HttpAnswer, shortened
from functions.vendors.reading import moment, parsed

REFUSAL_STATUSES: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}
"""What an error means where the definition does not say."""
_SUCCESS = range(200, 300)
_CODE_LENGTH = 100
_SHORTEST_SECRET = 4
_LONGEST_WORD = 256
"""Characters of an id, a status or a code that are kept; a path that leads to a whole body must not fill a row."""
_APOSTROPHES = ("&#39;", "&#x27;", "&apos;")
_ESCAPE = re.compile(r"%[0-9A-F]{2}")
_MILLISECONDS = 1000
_SMALL = re.compile(r"[1-9]\d{0,2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the vendor answered, and its body as the definition reads it."""

    http: HttpAnswer
    document: Document


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that blacks secrets out of a text, however they are written there."""
    forms = set()
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            encoded = base64.b64encode(secret.encode()).decode()
            forms |= {secret, encoded, encoded.replace("+", "-").replace("/", "_").rstrip("=")}
            forms |= {quote(secret, safe=""), quote_plus(secret), _lower_escapes(quote(secret, safe=""))}
            forms |= {escape(secret), *(escape(secret, {'"': "&quot;", "'": mark}) for mark in _APOSTROPHES)}
            for written in (json.dumps(secret, ensure_ascii=False)[1:-1], json.dumps(secret)[1:-1]):
                forms |= {written, written.replace("/", "\\/")}
    ordered = sorted(forms, key=len, reverse=True)

    def redact(text: str) -> str:
        for form in ordered:
            text = text.replace(form, "***")
        return text

    return redact


def _lower_escapes(text: str) -> str:
    return _ESCAPE.sub(lambda found: found[0].lower(), text)


def outcome_of(definition: Definition, answer: Answer, redact: Callable[[str], str]) -> Outcome:
    """Return what an answer means; what is neither a success nor a known refusal leaves the message unknown."""
    status, document, success = answer.http.status, answer.document, definition.success
    if document.readable and success.found_in(status, document):
        identity = success.id.read(document) if success.id else ""
        if identity or not success.id:
            return Accepted(_identity(identity))
    errors, refuses = definition.errors, answer.http.is_client_error
    code, detail = _read(errors.code, document), redact(errors.message.read(document))
    row = errors.table.get(code) if code and (status in _SUCCESS or refuses) else None
    if row is None and refuses:
        row = errors.statuses.get(str(status)) or _usual(status)
    code = redact(code)[:_CODE_LENGTH] or str(status)
    if row is None:
        return Unknown(shortened(f"{definition.name} answered {status}: {detail}"), code)
    return answer.http.refusal(row.reason, row.retry, code, detail)


def check_of(definition: Definition, wanted: Evidence, answer: Answer, redact: Callable[[str], str]) -> Check:
    """Return what an answer says of the credentials."""
    document = answer.document
    found = document.readable and wanted.found_in(answer.http.status, document)
    if found and (wanted.id is None or wanted.id.read(document)):
        return Check(ok=True, detail=f"{definition.name} takes the credentials.")
    detail = shortened(redact(definition.errors.message.read(document)))
    return Check(ok=False, detail=f"{definition.name} answered {answer.http.status}: {detail}")


def read_callback(definition: Definition, callback: Callback) -> Parsed:
    """Return what a callback says.

    What the address's own kind does not want, by ``when``, may be the other kind's: some vendors have one address for
    both, and some put both into one list.

    Raises:
        MalformedError: It cannot be read at all, or the definition does not describe it.
    """
    shapes = _readers(definition, callback)
    documents: dict[str, Document] = {}
    found: list[DeliveryReport | InboundText | SetAside] = []
    taken: set[int] = set()
    for shape in shapes:
        if shape.format not in documents:
            if found:
                # What one format could read is not another's too; a form can be made of anything.
                break
            documents[shape.format] = Document(shape.format, callback.body, callback.query, callback.headers)
        document = documents[shape.format]
        items = document.items(shape.items) if document.readable else []
        mine = [
            item for item in items if id(item) not in taken and all(one.holds(document, item) for one in shape.when)
        ]
        found += [_item(shape, document, item) for item in mine]
        taken |= {id(item) for item in mine}
    if found:
        return parsed(found)
    if not any(document.readable for document in documents.values()):
        raise MalformedError(f"The body is not what the definition says: {shapes[0].format}.")
    raw = document.raw(document.root)
    return Parsed(set_aside=(SetAside("It is nothing that the definition describes.", _written(raw)),))


def _readers(definition: Definition, callback: Callback) -> list[Report | Inbound]:
    """Return what may read a callback, what its address is for first."""
    kinds: dict[str, Report | Inbound | None] = {"report": definition.report, "inbound": definition.inbound}
    own = kinds.pop(callback.kind, None)
    other = next(iter(kinds.values()))
    found: list[Report | Inbound] = [shape for shape in (own, other if other and other.when else None) if shape]
    if not found:
        raise MalformedError(f"The definition has no {callback.kind}.")
    if not callback.body and callback.method == "POST":
        found = [shape for shape in found if shape.format == "query"]
        if not found:
            raise MalformedError("The body is empty; send it with a Content-Length.")
    return found


def _item(shape: Report | Inbound, document: Document, item: Any) -> DeliveryReport | InboundText | SetAside:
    identity = _identity(_read(shape.id, document, item))
    at = _moment(shape.at, document, item) if shape.at else None
    raw = document.raw(item)
    if isinstance(shape, Report):
        message = _read(shape.message, document, item)
        if not identity and not message:
            return SetAside("It names no message.", _written(raw))
        status, code = _read(shape.status, document, item), _read(shape.code, document, item)
        state, reason = _fate(shape, status, code)
        return DeliveryReport(
            state=state,
            vendor_id=identity,
            message=message[:_LONGEST_WORD],
            recipient=_read(shape.recipient, document, item)[:_LONGEST_WORD],
            reason=reason,
            code=code[:_LONGEST_WORD],
            status=status[:_LONGEST_WORD],
            detail=shortened(_read(shape.detail, document, item)),
            at=at,
            part=_part(shape.part, document, item) if shape.part else None,
            raw=raw,
        )
    sender, to = shape.sender.read(document, item), shape.to.read(document, item)
    text = shape.text.read(document, item, strip=False)
    if not identity and at:
        # A repeat is the same text of the same moment; without a moment nothing would tell two texts apart.
        identity = hashlib.blake2b(f"{sender}|{to}|{at}|{text}".encode(), digest_size=16).hexdigest()
    if not (identity and sender and to):
        return SetAside("It has no id, sender or recipient.", _written(raw))
    return InboundText(vendor_id=identity, sender=sender, recipient=to, text=text, at=at, raw=raw)


def _fate(report: Report, status: str, code: str) -> tuple[State, Reason | None]:
    """Return what a status means, or its code where the message did not arrive or the status says nothing."""
    words = {word.casefold(): fate for word, fate in report.states.items()}
    fate = words.get(status.casefold())
    state, reason = (fate.state, fate.reason) if fate else (State.UNKNOWN, None)
    row = report.codes.get(code)
    if row and state in NOT_ARRIVED:
        state, reason = row.state or state, row.reason or reason
    if state not in NOT_ARRIVED:
        return state, None
    return state, reason or (Reason.EXPIRED if state is State.EXPIRED else Reason.OTHER)


def _part(places: PartPlaces, document: Document, item: Any) -> Part | None:
    number, count = places.number.read(document, item), places.count.read(document, item)
    if not (_SMALL.fullmatch(number) and _SMALL.fullmatch(count)) or int(number) > int(count):
        return None
    return Part(int(number), int(count))


def _usual(status: int) -> Refusal:
    reason, retry = REFUSAL_STATUSES.get(status, (Reason.OTHER, Retry.NEVER))
    return Refusal(reason=reason, retry=retry)


def _identity(written: str) -> str:
    """Return an id as it is kept: one without end as its digest, the same wherever it comes from."""
    if len(written) <= _LONGEST_WORD:
        return written
    return hashlib.blake2b(written.encode(), digest_size=16).hexdigest()


def _read(place: Place | None, document: Document, item: Any = WHOLE) -> str:
    return place.read(document, item) if place else ""


def _moment(place: Moment, document: Document, item: Any) -> datetime | None:
    """Read a point in time; one without a zone is taken for UTC."""
    written = document.read(place.path, item).strip()
    try:
        if place.form == "iso":
            found = moment(written, UTC)
            # A moment of the year 1 east of Greenwich is before all that UTC can tell.
            return found.astimezone(UTC) if found else None
        return datetime.fromtimestamp(float(written) / (_MILLISECONDS if place.form == "unixMs" else 1), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _written(raw: Mapping[str, Any]) -> str:
    return orjson.dumps(raw, default=str).decode(errors="replace")
