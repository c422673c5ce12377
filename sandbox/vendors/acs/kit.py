"""A Communication Services resource with one number and two Event Grid subscriptions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.kit import Addresses, ControlCall, Customer, Kit


def _key(customer: Customer) -> str:
    return base64.b64encode(customer.secret("access key").encode()).decode()


def _account(customer: Customer) -> Sequence[ControlCall]:
    resource: dict[str, Any] = {"name": customer.name, "keys": [_key(customer)], "numbers": [customer.sender]}
    if customer.clock_skew_seconds is not None:
        resource["clock_skew_seconds"] = customer.clock_skew_seconds
    return [ControlCall("/acs/resources", resource)]


def _settings(customer: Customer, sandbox: str) -> Mapping[str, str]:
    return {"connectionString": f"endpoint={sandbox};accesskey={_key(customer)}"}


def _wiring(customer: Customer, addresses: Addresses) -> Sequence[ControlCall]:
    subscriptions = {
        "reports": (addresses.report, "Microsoft.Communication.SMSDeliveryReportReceived"),
        "replies": (addresses.inbound, "Microsoft.Communication.SMSReceived"),
    }
    return [
        ControlCall(
            f"/acs/resources/{customer.name}/subscriptions", {"name": name, "endpoint": endpoint, "event_types": [kind]}
        )
        for name, (endpoint, kind) in subscriptions.items()
    ]


KIT = Kit(
    vendor="acs",
    sender_type="toll_free",
    sender="+18885550100",
    account=_account,
    settings=_settings,
    wiring=_wiring,
)
