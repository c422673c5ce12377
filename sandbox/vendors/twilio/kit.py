"""A Twilio account with one number whose webhook is set; reports need no set-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sandbox.kit import Addresses, ControlCall, Customer, Kit


def _sid(customer: Customer) -> str:
    return f"AC{customer.secret('account sid')}"


def _account(customer: Customer) -> Sequence[ControlCall]:
    return [ControlCall("/twilio/accounts", {"sid": _sid(customer), "token": customer.secret("auth token")})]


def _settings(customer: Customer, sandbox: str) -> Mapping[str, str]:
    return {"accountSid": _sid(customer), "authToken": customer.secret("auth token"), "baseUrl": sandbox}


def _wiring(customer: Customer, addresses: Addresses) -> Sequence[ControlCall]:
    numbers = f"/twilio/accounts/{_sid(customer)}/numbers"
    return [ControlCall(numbers, {"number": customer.sender, "sms_url": addresses.inbound})]


KIT = Kit(
    vendor="twilio",
    sender_type="long_code",
    sender="+14255550199",
    account=_account,
    settings=_settings,
    wiring=_wiring,
)
