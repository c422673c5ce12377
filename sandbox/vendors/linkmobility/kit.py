"""A login at LINK with a Norwegian short code, a gate for reports and one for replies.

Support makes the gates before anybody knows where they lead; the wiring gives them their destinations, with all that
LINK can prove itself by: Basic authentication, a header and the token in the address.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.kit import Addresses, ControlCall, Customer, Kit

PLATFORM = "COMMON_API"
CALLBACK_USER = "link"
SECRET_HEADER = "X-Gateway-Secret"  # noqa: S105 - its name
_ID_LENGTH = 8


def _username(customer: Customer) -> str:
    return f"user-{customer.secret('user')[:_ID_LENGTH]}"


def _partner(customer: Customer) -> str:
    return str(int(customer.secret("partner")[:_ID_LENGTH], 16))


def _gate(customer: Customer, kind: str) -> str:
    return customer.secret(f"{kind} gate")[:_ID_LENGTH]


def _number(customer: Customer) -> str:
    return f"NO-{customer.sender}" if customer.sender.isdigit() else customer.sender


def _below(customer: Customer, what: str, body: Mapping[str, Any]) -> ControlCall:
    return ControlCall(f"/linkmobility/accounts/{_username(customer)}/{what}", body)


def _account(customer: Customer) -> Sequence[ControlCall]:
    login = {
        "username": _username(customer),
        "password": customer.secret("password"),
        "platform_id": PLATFORM,
        "platform_partner_id": _partner(customer),
    }
    return [
        ControlCall("/linkmobility/accounts", login),
        _below(customer, "numbers", {"number": _number(customer)}),
        *(_gate_call(customer, kind, []) for kind in ("report", "inbound")),
    ]


def _settings(customer: Customer, sandbox: str) -> Mapping[str, str]:
    return {
        "baseUrl": f"{sandbox}/linkmobility",
        "username": _username(customer),
        "password": customer.secret("password"),
        "platformId": PLATFORM,
        "platformPartnerId": _partner(customer),
        "reportGate": _gate(customer, "report"),
        "inboundGate": _gate(customer, "inbound"),
        "callbackUser": CALLBACK_USER,
        "callbackPassword": customer.secret("callback password"),
        "callbackSecret": customer.secret("callback secret"),
    }


def _gate_call(customer: Customer, kind: str, urls: Sequence[str]) -> ControlCall:
    destinations = [
        {
            "url": url,
            "username": CALLBACK_USER,
            "password": customer.secret("callback password"),
            "customParameters": {"http.header1": f"{SECRET_HEADER}:{customer.secret('callback secret')}"},
        }
        for url in urls
    ]
    return _below(customer, "gates", {"id": _gate(customer, kind), "refId": kind, "destinations": destinations})


def _wiring(customer: Customer, addresses: Addresses) -> Sequence[ControlCall]:
    everything_else = {
        "id": customer.secret("route")[:_ID_LENGTH],
        "number": _number(customer),
        "keywordType": "DEFAULT",
        "gateIds": [_gate(customer, "inbound")],
    }
    return [
        _gate_call(customer, "report", [addresses.report]),
        _gate_call(customer, "inbound", [addresses.inbound]),
        _below(customer, "keywords", everything_else),
    ]


KIT = Kit(
    vendor="linkmobility",
    sender_type="short_code",
    sender="2333",
    account=_account,
    settings=_settings,
    wiring=_wiring,
    people="+474555",
)
