"""A Telesign account with one number, reports switched on and an address for replies; each message names its own."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sandbox.kit import Addresses, ControlCall, Customer, Kit

_TPS = 500


def _customer_id(customer: Customer) -> str:
    return str(UUID(customer.secret("customer id"))).upper()


def _api_key(customer: Customer) -> str:
    return base64.b64encode(customer.secret("api key").encode()).decode()


def _account(customer: Customer) -> Sequence[ControlCall]:
    account: dict[str, Any] = {
        "customer_id": _customer_id(customer),
        "api_keys": [_api_key(customer)],
        "tps": _TPS,
        "features": ["cost", "network", "parts", "sender_id"],
    }
    if customer.clock_skew_seconds is not None:
        account["clock_skew_seconds"] = customer.clock_skew_seconds
    return [ControlCall("/telesign/accounts", account)]


def _settings(customer: Customer, sandbox: str) -> Mapping[str, str]:
    return {
        "customerId": _customer_id(customer),
        "apiKey": _api_key(customer),
        "baseUrl": f"{sandbox}/telesign",
        "transactionsPerSecond": str(_TPS),
    }


def _wiring(customer: Customer, addresses: Addresses) -> Sequence[ControlCall]:
    account = f"/telesign/accounts/{_customer_id(customer)}"
    return [
        ControlCall(f"{account}/numbers", {"number": customer.sender}),
        ControlCall(
            f"{account}/settings", {"status_callback": True, "inbound_url": addresses.inbound, "keywords": True}
        ),
    ]


KIT = Kit(
    vendor="telesign",
    sender_type="long_code",
    sender="+14255550198",
    account=_account,
    settings=_settings,
    wiring=_wiring,
)
