"""Reads a value out of an answer or a callback by a path: JSON, XML, a form, a query, or plain text."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, tostring

from functions.vendors.reading import DEEPEST, read_json, read_xml, whole

BODY = "body:"
"""The path that stands for the whole body as text, whatever its format; without the colon it is a member's name."""
UNREADABLE = ""
"""The format of what is not to be read, such as an answer that was cut off."""
QUERY, HEADER, ROOT = "query", "header", "root"
_SYNTAX = re.compile(r"(?:[^.\[\]]+|\[\d{1,3}\])(?:\.[^.\[\]]+|\[\d{1,3}\])*")
_STEP = re.compile(r"\[(\d{1,3})\]|([^.\[\]]+)")
_LONGEST = 200
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]{1,40})", re.IGNORECASE | re.ASCII)
_CHARSETS = re.compile(r"(?:iso8859-|cp12|koi8-)\d*[a-z]?|gbk|gb2312|gb18030|big5|shift_jis|euc_jp|euc_kr")
"""Python's names of the charsets that are read beside UTF-8; some of its other codecs take hours for a megabyte."""
WHOLE: Any = object()
"""Stands for the root where no item is meant; an item may be nothing at all, as ``null`` is."""


@lru_cache(maxsize=1024)
def steps(path: str) -> tuple[str | int, ...]:
    """Split a path such as ``messages[0].id`` into names and indices.

    Raises:
        ValueError: It is none.
    """
    if len(path) > _LONGEST or not _SYNTAX.fullmatch(path):
        raise ValueError("This is no path; write names with dots and indices in brackets, such as messages[0].id.")
    return tuple(int(found[1]) if found[1] else found[2] for found in _STEP.finditer(path))


class Document:
    """A body with what came around it.

    Text is UTF-8, whatever was declared; where it is not, the charset of ``Content-Type`` counts.

    Args:
        form: ``json``, ``xml``, ``form``, ``query`` ``text`` or ``UNREADABLE``.
        body: The raw bytes.
        query: The address's query.
        headers: By name in lower case.
    """

    def __init__(
        self, form: str, body: bytes, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        headers = headers or {}
        self._charset = _charset(headers.get("content-type", ""))
        self.text = _decoded(body, self._charset)
        self._around = {QUERY: _cleaned(query or {}), HEADER: _cleaned(headers)}
        self.root: Any = None
        self.readable = True
        try:
            self.root = self._tree(form, body)
        except (ValueError, LookupError):
            self.readable = False

    def _tree(self, form: str, body: bytes) -> Any:
        if form == "json":
            return read_json(self.text)
        if form == "xml":
            return _shallow(read_xml(body, self.text))
        if form == "form":
            return _form(self.text, self._charset)
        if form == "query":
            return self._around[QUERY]
        if form == "text":
            return self.text
        raise ValueError(form)

    def items(self, path: str) -> list[Any]:
        """Return all that lies at a path, whichever lists it leads through; without a path, at the root."""
        found = [self.root]
        for step in steps(path) if path else ():
            found = [below for node in found for below in _into(node, step)]
        return [item for node in found for item in _flat(node)]

    def read(self, path: str, item: Any = WHOLE) -> str:
        """Return the text at a path, or an empty one.

        Args:
            path: Into the item; ``body:``, or behind ``query:``, ``header:`` or ``root:`` into what is around it.
            item: Where the path begins; the root if left out.
        """
        if path == BODY:
            return self.text
        source, colon, name = path.partition(":")
        if colon and source in self._around:
            return self._around[source].get(name.lower() if source == HEADER else name, "")
        if colon and source == ROOT:
            return _text(_walk(self.root, steps(name)))
        return _text(_walk(self.root if item is WHOLE else item, steps(path)))

    def raw(self, item: Any) -> dict[str, Any]:
        """Return an item as it is kept beside what was read from it, without the items around it."""
        if isinstance(item, dict):
            return item
        if item is self.root:
            return {"body": self.text}
        if isinstance(item, Element):
            return {"body": tostring(item, encoding="unicode").strip()}
        return {"body": json.dumps(item, ensure_ascii=False)}


def check(path: str) -> str:
    """Return a path that can be read.

    Raises:
        ValueError: It cannot.
    """
    source, colon, name = path.partition(":")
    if path == BODY:
        return path
    if colon and source in {QUERY, HEADER}:
        if not name:
            raise ValueError(f"Say which one after {source}:.")
    else:
        steps(name if colon and source == ROOT else path)
    return path


def _walk(node: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        if isinstance(step, int):
            node = node[step] if isinstance(node, list) and step < len(node) else None
        else:
            # XML does not tell a list from a single thing, so a name goes into the first of several.
            node = _child(node[0] if isinstance(node, list) and node else node, step)
        if node is None:
            return None
    return node


def _child(node: Any, name: str) -> Any:
    if isinstance(node, dict):
        return node.get(name)
    if isinstance(node, Element):
        if name.startswith("@"):
            return node.get(name[1:])
        return [child for child in node if str(child.tag).rpartition("}")[2] == name] or None
    return None


def _into(node: Any, step: str | int) -> Iterator[Any]:
    """Yield what a step leads to, from each item of a list for a name."""
    if isinstance(step, int):
        if isinstance(node, list) and step < len(node):
            yield node[step]
    elif isinstance(node, list):
        for one in node:
            yield from _into(one, step)
    elif (child := _child(node, step)) is not None:
        yield child


def _flat(node: Any) -> Iterator[Any]:
    if isinstance(node, list):
        for one in node:
            yield from _flat(one)
    else:
        yield node


def _charset(content_type: str) -> str:
    """Return Python's name of the charset that a ``Content-Type`` names, UTF-8 if it names none or an odd one."""
    found = _CHARSET.search(content_type)
    try:
        name = codecs.lookup(found[1]).name if found else ""
    except LookupError:
        name = ""
    return name if _CHARSETS.fullmatch(name) else "utf-8"


def _decoded(body: bytes, charset: str) -> str:
    try:
        # Some write a byte order mark, which is no part of the text: https://www.rfc-editor.org/rfc/rfc8259#section-8.1.
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode(charset, "replace")


def _form(text: str, charset: str) -> dict[str, Any]:
    """Return the fields of a form; those that are there several times as lists."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        pairs = parse_qsl(text, keep_blank_values=True, encoding=charset, errors="replace")
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


def _shallow(root: Element) -> Element:
    """Return XML that is not too deep: what is nested deeper could not be written again.

    Raises:
        ValueError: It is.
    """
    level = [root]
    for _ in range(DEEPEST):
        level = [below for element in level for below in element]
        if not level:
            return root
    raise ValueError(DEEPEST)


def _text(node: Any) -> str:
    if isinstance(node, list):
        node = node[0] if node else None
    if isinstance(node, Element):
        return node.text or ""
    if isinstance(node, bool):
        return "true" if node else "false"
    return str(node) if isinstance(node, str | int | float) else ""


def _cleaned(texts: Mapping[str, str]) -> dict[str, str]:
    """Replace what servers make of bytes that are no UTF-8: halves of surrogate pairs, which cannot be stored."""
    return {whole(name): whole(value) for name, value in texts.items()}
