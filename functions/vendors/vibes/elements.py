"""Reads Vibes' XML: what does not stand where the pages have it reads as empty."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from functions.vendors.exchange import shortened
from functions.vendors.reading import decoded, read_xml

ANYWHERE = ".//"


def read(body: bytes) -> Element | None:
    """Read XML; a document type, with which entities come, makes it unreadable."""
    try:
        return read_xml(body, decoded(body))
    except (ValueError, LookupError):
        return None


def name_of(element: Element | None) -> str:
    """Return an element's name without its namespace; empty for no element."""
    return "" if element is None else str(element.tag).rpartition("}")[2]


def child_of(element: Element | None, name: str, path: str = "") -> Element | None:
    """Return the first child of this name, in whatever namespace; ``ANYWHERE`` as path looks at all below."""
    return None if element is None else element.find(f"{path}{{*}}{name}")


def text_of(element: Element | None, name: str, path: str = "") -> str:
    """Return the text of such a child without the blanks around it; empty where there is none."""
    child = child_of(element, name, path)
    return "" if child is None else (child.text or "").strip()


def words_of(root: Element | None) -> str:
    """Return an error's words, wherever in the answer they stand; an HTML page has none of Vibes'."""
    if root is None or name_of(root) == "html":
        return ""
    said = root.get("description") or text_of(root, "description", ANYWHERE) or "".join(root.itertext())
    return shortened(" ".join(said.split()))


def flag_of(element: Element | None, name: str) -> bool | None:
    """Return an attribute that is true or false, or ``None`` where it is neither."""
    value = element.get(name, "").strip().lower() if element is not None else ""
    return {"true": True, "1": True, "false": False, "0": False}.get(value)
