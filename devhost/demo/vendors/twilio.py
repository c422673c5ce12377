"""Twilio: an account with one number whose webhook is set; reports need no set-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from devhost.demo.kit import Addresses, ControlCall, Kit, Secret

_SENDER = "+14255550199"


def _sid(secret: Secret) -> str:
    return f"AC{secret('account sid')}"


def _account(secret: Secret) -> Sequence[ControlCall]:
    return [ControlCall("/twilio/accounts", {"sid": _sid(secret), "token": secret("auth token")})]


def _settings(secret: Secret, sandbox: str) -> Mapping[str, str]:
    return {"accountSid": _sid(secret), "authToken": secret("auth token"), "baseUrl": sandbox}


def _wiring(secret: Secret, addresses: Addresses) -> Sequence[ControlCall]:
    numbers = f"/twilio/accounts/{_sid(secret)}/numbers"
    return [ControlCall(numbers, {"number": _SENDER, "sms_url": addresses.inbound})]


KIT = Kit(
    vendor="twilio",
    sender_type="long_code",
    sender=_SENDER,
    account=_account,
    settings=_settings,
    wiring=_wiring,
)
