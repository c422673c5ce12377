"""Which addresses a provider may point at: the gateway must not become a way into the network it runs in.

Source: https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html. An
address is judged as written when it is saved, and again by where its name leads when it is called.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

NOT_PUBLIC_NAMES = ("localhost", "local", "internal", "home.arpa")
"""Domains that are never public: RFC 6761, RFC 6762, RFC 8375 and ICANN's resolution 2024.07.29.06."""
AZURE_HOST = ipaddress.ip_address("168.63.129.16")
"""A public address that leads to the machine an app runs on: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16."""

PRIVATE = tuple(
    ipaddress.ip_network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
)
"""The private networks of RFC 1918 and RFC 4193."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s;]*")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_NOT_ALLOWED = "Only https addresses of public hosts are allowed here."


def objections(text: str, *, local: bool) -> list[str]:
    """Return what is wrong with the addresses in a text, such as those of a connection string.

    Args:
        text: The text.
        local: Whether this machine and private networks are allowed, as the sandbox needs it.
    """
    return [problem for url in _URL.findall(text) if (problem := objection(url, local=local))]


def objection(url: str, *, local: bool) -> str:
    """Return what is wrong with an address, or an empty text.

    Args:
        url: The whole address.
        local: Whether this machine and private networks are allowed, over http too.
    """
    if not _URL.fullmatch(url):
        return "Give a whole address, such as https://api.example.com."
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "This is no address: its host or port cannot be read."
    host = (parts.hostname or "").rstrip(".")
    if parts.username is not None or parts.query or parts.fragment:
        return "Give the address without a user, a query or a fragment."
    if local and _is_local(host):
        return "" if parts.scheme in {"http", "https"} else _NOT_ALLOWED
    return "" if parts.scheme == "https" and _is_public(host) else _NOT_ALLOWED


def is_allowed(host: str, *, local: bool) -> bool:
    """Tell whether a connection may go to an address that a name led to.

    Args:
        host: The address as text.
        local: Whether this machine and private networks are allowed.
    """
    try:
        address = _address(host.partition("%")[0])
    except ValueError:
        return False
    return _is_public_address(address) or (local and _is_local_address(address))


def _address(host: str) -> Address:
    address = ipaddress.ip_address(host)
    return getattr(address, "ipv4_mapped", None) or address


def _is_public_address(address: Address) -> bool:
    return address.is_global and not address.is_multicast and address != AZURE_HOST


def _is_local_address(address: Address) -> bool:
    """Tell whether it is this machine or in a private network; the metadata services of clouds are neither."""
    return address.is_loopback or any(address in network for network in PRIVATE if network.version == address.version)


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or _is_local_address(_address(host))
    except ValueError:
        return False


def _is_public(host: str) -> bool:
    try:
        return _is_public_address(_address(host))
    except ValueError:
        labels = host.split(".")
        # The resolver takes 127.1 or 0x7f000001 for an address: https://url.spec.whatwg.org/#ends-in-a-number-checker.
        number = bool(_NUMBER.fullmatch(labels[-1]))
        private = any(host == name or host.endswith(f".{name}") for name in NOT_PUBLIC_NAMES)
        return len(labels) > 1 and all(labels) and not number and not private
