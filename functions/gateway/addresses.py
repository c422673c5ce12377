"""Which addresses a provider may point at: the gateway must not become a way into the network it runs in.

Source: https://cheatsheetseries.owasp.org/cheatsheets/Server_Side_Request_Forgery_Prevention_Cheat_Sheet.html. Only the
address as written is judged; where a name leads is up to whoever owns the name.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

NOT_PUBLIC_NAMES = ("localhost", "local", "internal", "home.arpa")
"""Domains that are never public: RFC 6761, RFC 6762, RFC 8375 and ICANN's resolution 2024.07.29.06."""
AZURE_HOST = ipaddress.ip_address("168.63.129.16")
"""A public address that leads to the machine an app runs on: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s;]*")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_NOT_ALLOWED = "Only https addresses of public hosts are allowed here."


def objections(text: str, *, local: bool) -> list[str]:
    """Return what is wrong with the addresses in a text, such as those of a connection string.

    Args:
        text: The text.
        local: Whether this machine is allowed, as the sandbox needs it.
    """
    return [problem for url in _URL.findall(text) if (problem := objection(url, local=local))]


def objection(url: str, *, local: bool) -> str:
    """Return what is wrong with an address, or an empty text.

    Args:
        url: The whole address.
        local: Whether this machine is allowed, over http too.
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
    if local and _is_this_machine(host):
        return "" if parts.scheme in {"http", "https"} else _NOT_ALLOWED
    return "" if parts.scheme == "https" and _is_public(host) else _NOT_ALLOWED


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_public(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        labels = host.split(".")
        # The resolver takes 127.1 or 0x7f000001 for an address: https://url.spec.whatwg.org/#ends-in-a-number-checker.
        number = bool(_NUMBER.fullmatch(labels[-1]))
        private = any(host == name or host.endswith(f".{name}") for name in NOT_PUBLIC_NAMES)
        return len(labels) > 1 and all(labels) and not number and not private
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped.is_global and not mapped.is_multicast and mapped != AZURE_HOST
