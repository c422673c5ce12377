"""The addresses at which vendors call back."""

from __future__ import annotations

from functions.vendors.contract import CallbackUrls


def callback_url(public_url: str, vendor: str, provider: str, kind: str, token: str) -> str:
    """Return the address for callbacks of one kind.

    Args:
        public_url: The app's public address.
        vendor: The vendor's name.
        provider: The provider's id.
        kind: ``report`` or ``inbound``.
        token: The provider's callback token; empty for vendors that sign.
    """
    address = f"{public_url}/api/callbacks/{vendor}/{provider}/{kind}"
    return f"{address}/{token}" if token else address


def callback_urls(
    public_url: str, vendor: str, provider: str, token: str, *, report_function: str, inbound_function: str
) -> CallbackUrls:
    """Return all addresses of a provider; for Event Grid vendors, the functions' names."""
    report, inbound = (callback_url(public_url, vendor, provider, kind, token) for kind in ("report", "inbound"))
    return CallbackUrls(report, inbound, report_function, inbound_function)
