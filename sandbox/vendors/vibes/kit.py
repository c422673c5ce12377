"""A Vibes API user with one short code, whose replies come with Basic authentication; receipts need no set-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.kit import Addresses, ControlCall, Customer, Kit

_CALLBACK_USER = "vibes"


def _username(customer: Customer) -> str:
    return f"{customer.name}@example.com"


def _account(customer: Customer) -> Sequence[ControlCall]:
    body = {"username": _username(customer), "password": customer.secret("password")}
    return [ControlCall("/vibes/accounts", body)]


def _settings(customer: Customer, sandbox: str) -> Mapping[str, str]:
    return {
        "username": _username(customer),
        "password": customer.secret("password"),
        "baseUrl": f"{sandbox}/vibes",
        "callbackUser": _CALLBACK_USER,
        "callbackPassword": customer.secret("callback password"),
    }


def _wiring(customer: Customer, addresses: Addresses) -> Sequence[ControlCall]:
    number = {
        "number": customer.sender,
        "inbound_url": addresses.inbound,
        "inbound_user": _CALLBACK_USER,
        "inbound_password": customer.secret("callback password"),
    }
    return [ControlCall(f"/vibes/accounts/{_username(customer)}/numbers", number)]


KIT = Kit(
    vendor="vibes",
    sender_type="short_code",
    sender="54321",
    account=_account,
    settings=_settings,
    wiring=_wiring,
)
