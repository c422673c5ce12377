"""An Infobip account with one number and two subscriptions: reports and replies, each with every proof there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.kit import Addresses, ControlCall, Customer, Kit

_USER = "gateway"
_HEADER = "X-Gateway-Secret"


def _key(customer: Customer) -> str:
    tail = customer.secret("api key tail")
    return f"{customer.secret('api key')}-{tail[:8]}-{tail[8:12]}-{tail[12:16]}-{tail[16:20]}-{tail[20:32]}"


def _account(customer: Customer) -> Sequence[ControlCall]:
    return [ControlCall("/infobip/accounts", {"name": customer.name, "keys": [{"key": _key(customer)}]})]


def _settings(customer: Customer, sandbox: str) -> Mapping[str, str]:
    return {
        "apiKey": _key(customer),
        "baseUrl": f"{sandbox}/infobip",
        "callbackUser": _USER,
        "callbackPassword": customer.secret("callback password"),
        "callbackSecret": customer.secret("callback secret"),
    }


def _wiring(customer: Customer, addresses: Addresses) -> Sequence[ControlCall]:
    account = f"/infobip/accounts/{customer.name}"
    return [
        ControlCall(f"{account}/numbers", {"number": customer.sender.removeprefix("+")}),
        ControlCall(f"{account}/subscriptions", _subscription(customer, "reports", "DELIVERY", addresses.report)),
        ControlCall(
            f"{account}/subscriptions", _subscription(customer, "replies", "INBOUND_MESSAGE", addresses.inbound)
        ),
    ]


def _subscription(customer: Customer, name: str, event: str, url: str) -> Mapping[str, Any]:
    return {
        "subscriptionId": name,
        "events": [event],
        "profile": {
            "profileId": name,
            "webhook": {"notifyUrl": url},
            "security": {
                "authId": name,
                "type": "BASIC",
                "credentials": {"username": _USER, "password": customer.secret("callback password")},
            },
            "headers": {_HEADER: customer.secret("callback secret")},
        },
    }


KIT = Kit(
    vendor="infobip",
    sender_type="long_code",
    sender="+14255550177",
    account=_account,
    settings=_settings,
    wiring=_wiring,
)
