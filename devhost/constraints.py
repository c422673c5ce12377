"""The inline constraints of ASP.NET Core routes, as a table from name to check.

https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-constraints
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

Constraint = Callable[[str], bool]
"""Tells whether a value from the address is acceptable."""

_INT32 = 2**31
_INT64 = 2**63
_INTEGER = re.compile(r"\s*[+-]?\d+\s*")
_DECIMAL = re.compile(r"\s*[+-]?(?=[.,\d]*\d)[\d,]*\.?\d*\s*")
_GUID = re.compile(
    r"[0-9a-f]{32}|(?:(\{)|(\())?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?(1)\})(?(2)\))", re.IGNORECASE
)
_ALPHA = re.compile(r"[a-z]*", re.IGNORECASE)


class ConstraintError(Exception):
    """A constraint is unknown or its arguments do not fit."""


def _integer(value: str, bound: int) -> bool:
    return _INTEGER.fullmatch(value) is not None and -bound <= int(value) < bound


def _long(value: str, lowest: int = -_INT64, highest: int = _INT64 - 1) -> bool:
    return _integer(value, _INT64) and lowest <= int(value) <= highest


def _float(value: str) -> bool:
    try:
        float(value.replace(",", ""))
    except ValueError:
        return False
    return "_" not in value


def _datetime(value: str) -> bool:
    for parse in (datetime.fromisoformat, lambda text: datetime.strptime(text, "%m-%d-%Y")):  # noqa: DTZ007 only asks whether
        try:
            parse(value.strip())
        except ValueError:
            continue
        return True
    return False


def _file(value: str) -> bool:
    name, dot, extension = value.rpartition("/")[2].rpartition(".")
    return bool(dot and extension and (name or extension))


PLAIN: Mapping[str, Constraint] = {
    "int": lambda value: _integer(value, _INT32),
    "long": _long,
    "bool": lambda value: value.strip().lower() in {"true", "false"},
    "guid": lambda value: _GUID.fullmatch(value.strip()) is not None,
    "alpha": lambda value: _ALPHA.fullmatch(value) is not None,
    "datetime": _datetime,
    "decimal": lambda value: _DECIMAL.fullmatch(value) is not None,
    "double": _float,
    "float": _float,
    "required": bool,
    "file": _file,
    "nonfile": lambda value: not _file(value),
}
"""Constraints without arguments."""

NUMBERED: Mapping[str, Mapping[int, Callable[..., Constraint]]] = {
    "minlength": {1: lambda least: lambda value: len(value) >= least},
    "maxlength": {1: lambda most: lambda value: len(value) <= most},
    "length": {
        1: lambda exact: lambda value: len(value) == exact,
        2: lambda least, most: lambda value: least <= len(value) <= most,
    },
    "min": {1: lambda least: lambda value: _long(value, lowest=least)},
    "max": {1: lambda most: lambda value: _long(value, highest=most)},
    "range": {2: lambda least, most: lambda value: _long(value, least, most)},
}
"""Constraints with whole numbers as arguments, by how many there are."""


def constraint(name: str, arguments: str | None) -> Constraint:
    """Make the check that a constraint of a template stands for.

    Args:
        name: For example ``int`` or ``range``; case does not count.
        arguments: What stood in the parentheses, or ``None``.

    Raises:
        ConstraintError: There is no such constraint, or its arguments are not what it takes.
    """
    key = name.lower()
    if key == "regex" and arguments is not None:
        return _regex(arguments)
    if key in PLAIN and arguments is None:
        return PLAIN[key]
    if key in NUMBERED and arguments is not None:
        parts = arguments.split(",")
        make = NUMBERED[key].get(len(parts))
        if make is not None and all(_INTEGER.fullmatch(part) for part in parts):
            made: Constraint = make(*map(int, parts))
            return made
    shown = name if arguments is None else f"{name}({arguments})"
    raise ConstraintError(f"the constraint {shown} is unknown; there are regex, {', '.join([*PLAIN, *NUMBERED])}")


def _regex(pattern: str) -> Constraint:
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise ConstraintError(f"regex({pattern}): {error}") from error
    return lambda value: compiled.search(value) is not None
