"""Finds the vendors: every module of this package that has a ``vendor``."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

import functions.vendors
from functions.vendors.contract import Vendor

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def vendors() -> Mapping[str, Vendor]:
    """Return all vendors by name, in alphabetical order."""
    found = {}
    for module in iter_modules(functions.vendors.__path__):
        vendor = getattr(import_module(f"functions.vendors.{module.name}"), "vendor", None)
        if isinstance(vendor, Vendor):
            found[vendor.description.name] = vendor
    return dict(sorted(found.items()))
