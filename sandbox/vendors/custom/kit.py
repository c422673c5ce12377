"""A 46elks account with one number, and the description that makes the gateway's `custom` vendor speak to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.kit import Addresses, ControlCall, Customer, Kit

DEFINITION = Path(__file__).with_name("definition.json").read_text(encoding="utf-8")
"""How 46elks is described to the gateway, as an operator would enter it."""
_HOST = "https://api.46elks.com/"


def _username(customer: Customer) -> str:
    return f"u{customer.secret('username')}"


def _account(customer: Customer) -> Sequence[ControlCall]:
    return [ControlCall("/custom/accounts", {"username": _username(customer), "password": customer.secret("password")})]


def _settings(customer: Customer, sandbox: str) -> Mapping[str, Any]:
    return {
        "definition": json.loads(DEFINITION.replace(_HOST, f"{sandbox}/custom/")),
        "credentials": {"username": _username(customer), "password": customer.secret("password")},
    }


def _wiring(customer: Customer, addresses: Addresses) -> Sequence[ControlCall]:
    numbers = f"/custom/accounts/{_username(customer)}/numbers"
    return [ControlCall(numbers, {"number": customer.sender, "sms_url": addresses.inbound})]


KIT = Kit(
    vendor="custom",
    sender_type="long_code",
    sender="+46701740605",
    account=_account,
    settings=_settings,
    wiring=_wiring,
)
