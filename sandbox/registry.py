"""Finds the simulated vendors: every module or package in `sandbox/vendors/` names one class as `VENDOR`."""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

import sandbox.vendors

if TYPE_CHECKING:
    from sandbox.vendor import Vendor


def vendor_types() -> dict[str, type[Vendor]]:
    """Give the vendors by name, in alphabetical order."""
    found: dict[str, type[Vendor]] = {}
    for module in pkgutil.iter_modules(sandbox.vendors.__path__):
        kind: type[Vendor] = importlib.import_module(f"sandbox.vendors.{module.name}").VENDOR
        found[kind.name] = kind
    return dict(sorted(found.items()))
