"""The page for operators says what the code says: its example is valid, its tables are complete.

``python -m tests.vendors.custom.test_page`` writes the example and the placeholders anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Union, get_args, get_origin

import orjson
from pydantic import BaseModel

from functions.vendors.contract import SettingType
from functions.vendors.custom.adapter import DESCRIPTION, Custom
from functions.vendors.custom.definition import Condition, Definition, Place
from functions.vendors.custom.signature import PARTS
from functions.vendors.custom.template import PLACEHOLDERS

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "custom-vendor.md"
DEFINITIONS = Path(__file__).parent / "definitions"
EXAMPLE = re.compile(r"(<!-- definition: (\w+) -->\n```json\n)(.*?)(```)", re.DOTALL)
MEANINGS = re.compile(r"(<!-- placeholders -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def renewed(page: str) -> str:
    """Return the page with its example and its table of placeholders written anew."""
    rows = "".join(f"| `{{{name}}}` | {meaning} |\n" for name, meaning in PLACEHOLDERS.items())
    rows += "| `{credentials.name}` | a text of the setting `credentials` |\n"
    page = MEANINGS.sub(lambda found: f"{found[1]}| placeholder | is |\n|---|---|\n{rows}{found[3]}", page)
    return EXAMPLE.sub(lambda found: found[1] + (DEFINITIONS / f"{found[2]}.json").read_text() + found[4], page)


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models that an annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in {Union, UnionType, list, dict} or hasattr(annotation, "__metadata__"):
        for argument in get_args(annotation):
            yield from models_in(argument)


def members(model: type[BaseModel], seen: set[type[BaseModel]]) -> set[str]:
    """Return the JSON names of a model's members and of all below it."""
    if model in seen:
        return set()
    seen.add(model)
    found = {field.alias for field in model.model_fields.values()}
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            found |= members(inner, seen)
    return found


def test_the_example_and_the_placeholders_are_those_of_the_code():
    """The page quotes a definition that is tested, and each placeholder with its meaning."""
    page = PAGE.read_text(encoding="utf-8")

    assert EXAMPLE.search(page)
    assert MEANINGS.search(page)
    assert page == renewed(page), "python -m tests.vendors.custom.test_page writes it anew"


def test_the_example_is_valid():
    """What the page shows can be saved as it stands."""
    [(_, _, example, _)] = EXAMPLE.findall(PAGE.read_text(encoding="utf-8"))

    credentials = orjson.dumps({"tokenId": "one", "tokenSecret": "two"}).decode()
    assert Custom().check_settings({"definition": example, "credentials": credentials}) == []


def test_every_member_is_explained():
    """Each member of a definition, each part of a signature and each setting is named in code marks on the page."""
    marked = set(re.findall(r"`\"?([\w:]+)\"?", PAGE.read_text(encoding="utf-8")))
    marked |= set(re.findall(r"\"(\w+)\": ", PAGE.read_text(encoding="utf-8")))
    wanted = members(Definition, set()) | members(Condition, set()) | members(Place, set())

    assert wanted <= marked
    assert {f"{name}:" if part.argument else name for name, part in PARTS.items()} <= {
        mark.partition(":")[0] + ":" if ":" in mark else mark for mark in marked
    }
    shown = [setting.name for setting in DESCRIPTION.settings if not setting.generated and not setting.secondary_of]
    assert set(shown) <= marked
    assert {s.name for s in DESCRIPTION.settings if s.type is SettingType.JSON} <= marked


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
