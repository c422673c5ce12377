"""What the demo has to know of a vendor, as data: how to get an account, and how replies find their way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import devhost.demo.vendors

Secret = Callable[[str], str]
"""Gives the demo's own secret of a name: 32 hexadecimal digits, the same in every run over the same data."""


@dataclass(frozen=True, slots=True)
class ControlCall:
    """One POST to the sandbox's control API, which creates or replaces.

    Args:
        path: Below ``/sandbox``.
        body: What is sent as JSON.
    """

    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a vendor posts what it has to tell about one provider.

    Args:
        report: For delivery reports.
        inbound: For replies.
    """

    report: str
    inbound: str


@dataclass(frozen=True, slots=True)
class Kit:
    """How the demo sets up one vendor.

    Args:
        vendor: The vendor's name in the API.
        sender_type: What kind of sender it gets.
        sender: The sender's address.
        account: What makes the account at the simulated vendor.
        settings: The provider's settings, from the secrets and the sandbox's address.
        wiring: What an operator would set at the vendor, so that reports and replies come back.
        people: The phone numbers of this vendor's people, without their last four digits; the sandbox decides by the
            last seven what becomes of a message (``sandbox.outcomes``).
    """

    vendor: str
    sender_type: str
    sender: str
    account: Callable[[Secret], Sequence[ControlCall]]
    settings: Callable[[Secret, str], Mapping[str, str]]
    wiring: Callable[[Secret, Addresses], Sequence[ControlCall]]
    people: str = "+1425555"

    def person(self, digits: int) -> str:
        """Return the phone number that ends in these four digits."""
        return f"{self.people}{digits:04d}"


@cache
def kits() -> Mapping[str, Kit]:
    """Return all kits by vendor, in alphabetical order."""
    modules = (
        import_module(f"devhost.demo.vendors.{found.name}") for found in iter_modules(devhost.demo.vendors.__path__)
    )
    return {kit.vendor: kit for kit in sorted((module.KIT for module in modules), key=lambda kit: kit.vendor)}
