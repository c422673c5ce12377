"""How to become a customer of a simulated vendor, as data: what a set-up, a demo or a test has to do there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import sandbox.vendors

Secret = Callable[[str], str]
"""Gives a customer's own secret of a name: 32 hexadecimal digits, the same each time."""


@dataclass(frozen=True, slots=True)
class ControlCall:
    """One POST to the sandbox's control API, which creates or replaces.

    Attributes:
        path: Below ``/sandbox``.
        body: What is sent as JSON.
    """

    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Customer:
    """Who has an account at a simulated vendor.

    Attributes:
        name: Tells accounts apart: letters, digits and dashes.
        secret: Where the account's keys, tokens and ids come from.
        sender: The address it sends from.
        clock_skew_seconds: How far its clock may be off, where the vendor looks; the vendor's own limit when left out.
    """

    name: str
    secret: Secret
    sender: str
    clock_skew_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a vendor posts what it has to tell about one provider.

    Attributes:
        report: For delivery reports.
        inbound: For replies.
    """

    report: str
    inbound: str


@dataclass(frozen=True, slots=True)
class Kit:
    """How to become a customer of one vendor.

    Attributes:
        vendor: The vendor's name.
        sender_type: What kind of sender fits.
        sender: An address of that kind.
        account: What makes the account.
        settings: What the customer enters at the gateway, given the sandbox's address: texts, or JSON objects.
        wiring: What the customer sets at the vendor so that reports and replies come back.
        people: The phone numbers of this vendor's people, without their last four digits; the last seven decide what
            becomes of a message (``sandbox.outcomes``).
    """

    vendor: str
    sender_type: str
    sender: str
    account: Callable[[Customer], Sequence[ControlCall]]
    settings: Callable[[Customer, str], Mapping[str, Any]]
    wiring: Callable[[Customer, Addresses], Sequence[ControlCall]]
    people: str = "+1425555"

    def person(self, digits: int) -> str:
        """Return the phone number that ends in these four digits."""
        return f"{self.people}{digits:04d}"


@cache
def kits() -> Mapping[str, Kit]:
    """Return all kits by vendor, in alphabetical order; each vendor's module names its own as ``KIT``."""
    modules = (import_module(f"sandbox.vendors.{found.name}") for found in iter_modules(sandbox.vendors.__path__))
    return {kit.vendor: kit for kit in sorted((module.KIT for module in modules), key=lambda kit: kit.vendor)}
