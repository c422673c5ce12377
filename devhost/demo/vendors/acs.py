"""Azure Communication Services: a resource with one toll-free number and two Event Grid subscriptions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from devhost.demo.kit import Addresses, ControlCall, Kit, Secret

_RESOURCE = "demo"
_SENDER = "+18885550100"


def _key(secret: Secret) -> str:
    return base64.b64encode(secret("access key").encode()).decode()


def _account(secret: Secret) -> Sequence[ControlCall]:
    return [ControlCall("/acs/resources", {"name": _RESOURCE, "keys": [_key(secret)], "numbers": [_SENDER]})]


def _settings(secret: Secret, sandbox: str) -> Mapping[str, str]:
    return {"connectionString": f"endpoint={sandbox};accesskey={_key(secret)}"}


def _wiring(_secret: Secret, addresses: Addresses) -> Sequence[ControlCall]:
    subscriptions = {
        "reports": (addresses.report, "Microsoft.Communication.SMSDeliveryReportReceived"),
        "replies": (addresses.inbound, "Microsoft.Communication.SMSReceived"),
    }
    return [
        ControlCall(
            f"/acs/resources/{_RESOURCE}/subscriptions", {"name": name, "endpoint": endpoint, "event_types": [kind]}
        )
        for name, (endpoint, kind) in subscriptions.items()
    ]


KIT = Kit(
    vendor="acs",
    sender_type="toll_free",
    sender=_SENDER,
    account=_account,
    settings=_settings,
    wiring=_wiring,
)
