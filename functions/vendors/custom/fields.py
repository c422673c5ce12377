"""The kinds of values that stand in a definition, each with what makes one wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import ParseError, fromstring
from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, StringConstraints

from functions.vendors.custom import paths
from functions.vendors.custom.signature import PARTS
from functions.vendors.custom.template import OPTIONAL, Template

_DEEPEST = 20
_INT64 = range(-(2**63), 2**63)
_TOO_DEEP = f"It is nested more than {_DEEPEST} levels deep."
_URL = re.compile(r"(https?://(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?)(?:[/?][!-~]*)?")
_DOTS = re.compile(r"/\.{1,2}(?:[/?]|$)")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_PRINTABLE = re.compile(r"[ -~]*")
_TRANSPORT = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect"}
    | {"accept-encoding", "content-encoding", "proxy-authorization", "proxy-connection"}
)
"""Headers that say how a request travels: not the operator's to set."""


def _template(value: object) -> Template:
    if not isinstance(value, str):
        raise ValueError("It must be a text.")  # noqa: TRY004 - pydantic wants ValueError
    return Template.parse(value)


def _json(value: object, depth: int = 0) -> object:
    if depth > _DEEPEST:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, dict):
        return {name: _json(member, depth + 1) for name, member in value.items()}
    if isinstance(value, list):
        return [_json(member, depth + 1) for member in value]
    if isinstance(value, int) and value not in _INT64:
        raise ValueError("A whole number has at most 64 bits; send it as text.")
    return Template.parse(value) if isinstance(value, str) else value


def _xml(value: object) -> Element:
    try:
        root: Element = fromstring(str(value).strip(), forbid_dtd=True)
    except (ParseError, ValueError, LookupError) as error:
        raise ValueError("It is not well-formed XML without a document type.") from error
    level, depth = [root], 0
    while level:
        level, depth = [child for element in level for child in element], depth + 1
    if depth > _DEEPEST:
        raise ValueError(_TOO_DEEP)
    for text in texts_of(root):
        Template.parse(text)
    return root


def _url(value: object) -> Template:
    template = _template(value)
    if not _URL.fullmatch(str(value)) or _DOTS.search(str(value)) or "\\" in str(value) or "#" in str(value):
        raise ValueError(
            "Give a whole address such as https://api.example.com/sms, its host and port written out, without a user, "
            "blanks or a fragment; a placeholder may stand in its path or query."
        )
    return template


def _headers(value: Mapping[str, Template]) -> Mapping[str, Template]:
    names = [name.removesuffix(OPTIONAL).lower() for name in value]
    for name in names:
        if not _HEADER.fullmatch(name) or name in _TRANSPORT:
            raise ValueError(f"The header {name[:60]!r} cannot be set.")
    if len(set(names)) < len(names):
        raise ValueError("A header is there twice.")
    for name, template in value.items():
        if not _PRINTABLE.fullmatch(template.literal) or "text" in template.names:
            raise ValueError(f"The header {name[:60]!r} takes one line of ASCII, and not the text of a message.")
    return value


def _scalar(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def place(value: object) -> object:
    """Take a bare path for a place."""
    return {"path": paths.check(value)} if isinstance(value, str) else value


def _part(value: str) -> str:
    name, colon, rest = value.partition(":")
    if (name not in PARTS) or bool(colon) != PARTS[name].argument or (colon and not rest):
        raise ValueError(
            f"A part is one of {', '.join(f'{name}:...' if p.argument else name for name, p in PARTS.items())}."
        )
    return value


Text = Annotated[Template, PlainValidator(_template)]
Url = Annotated[Template, PlainValidator(_url)]
Headers = Annotated[dict[str, Text], AfterValidator(_headers)]
Word = Annotated[str, BeforeValidator(_scalar), StringConstraints(max_length=200)]
Path = Annotated[str, AfterValidator(paths.check)]
Success = Annotated[int, Field(ge=200, le=299)]
ClientError = Annotated[str, StringConstraints(pattern=r"^4[0-9][0-9]$")]
Json = Annotated[Any, PlainValidator(_json), Field(alias="json")]
Xml = Annotated[Element | None, PlainValidator(_xml)]
HeaderName = Annotated[str, StringConstraints(pattern=f"^{_HEADER.pattern}$")]
Part = Annotated[str, AfterValidator(_part)]
Items = Annotated[str, AfterValidator(lambda path: path and paths.check(path))]


def texts_of(root: Element) -> Iterator[str]:
    """Yield all texts and values of attributes in XML."""
    for element in root.iter():
        yield from (element.text or "", element.tail or "", *element.attrib.values())


def templates_in(node: object) -> Iterator[Template]:
    """Yield all templates in JSON."""
    if isinstance(node, Template):
        yield node
    elif isinstance(node, dict | list):
        for member in node.values() if isinstance(node, dict) else node:
            yield from templates_in(member)


def origin(url: Template) -> str:
    """Return the scheme, the host and the port of an address, which no placeholder can change."""
    found = _URL.match(str(url.parts[0]))
    return found[1] if found else ""
