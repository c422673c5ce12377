"""Reads a value out of an answer or a callback by a path: JSON, XML, a form, a query, or plain text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element

import orjson
from defusedxml.ElementTree import ParseError, fromstring

BODY = "body:"
"""The path that stands for the whole body as text, whatever its format; without the colon it is a member's name."""
UNREADABLE = ""
"""The format of what is not to be read, such as an answer that was cut off."""
QUERY, HEADER, ROOT = "query", "header", "root"
_SYNTAX = re.compile(r"(?:[^.\[\]]+|\[\d{1,3}\])(?:\.[^.\[\]]+|\[\d{1,3}\])*")
_STEP = re.compile(r"\[(\d{1,3})\]|([^.\[\]]+)")
_LONGEST = 200


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

    Args:
        form: ``json``, ``xml``, ``form``, ``query`` ``text`` or ``UNREADABLE``.
        body: The raw bytes.
        query: The address's query.
        headers: By name in lower case.
    """

    def __init__(
        self, form: str, body: bytes, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self.text = body.decode("utf-8", "replace")
        self._around = {QUERY: _cleaned(query or {}), HEADER: _cleaned(headers or {})}
        self.root: Any = None
        self.readable = True
        try:
            self.root = self._tree(form, body)
        except (ParseError, ValueError, LookupError):
            self.readable = False

    def _tree(self, form: str, body: bytes) -> Any:
        if form == "json":
            return orjson.loads(body)
        if form == "xml":
            return fromstring(body, forbid_dtd=True)
        if form == "form":
            return dict(parse_qsl(self.text, keep_blank_values=True))
        if form == "query":
            return self._around[QUERY]
        if form == "text":
            return self.text
        raise ValueError(form)

    def items(self, path: str) -> list[Any]:
        """Return what lies in the list at a path, or the one thing there; without a path, at the root."""
        found = _walk(self.root, steps(path)) if path else self.root
        return found if isinstance(found, list) else [] if found is None else [found]

    def read(self, path: str, item: Any = None) -> str:
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
        return _text(_walk(self.root if item is None else item, steps(path)))

    def raw(self, item: Any) -> dict[str, Any]:
        """Return an item as it is kept beside what was read from it."""
        return item if isinstance(item, dict) else {"body": self.text}


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
    return {
        name.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()
        for name, value in texts.items()
    }
