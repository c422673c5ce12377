"""Where a callback came from, and whether the provider takes callbacks from there."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SEPARATORS = re.compile(r"[,;\s]+")
_MOST = 100


def networks(text: str) -> Sequence[Network]:
    """Return the networks that a text lists, separated by commas, semicolons or white space.

    Raises:
        ValueError: One of them is none; the message names it.
    """
    words = [word for word in _SEPARATORS.split(text) if word]
    if not 1 <= len(words) <= _MOST:
        raise ValueError(f"Give 1 to {_MOST} networks, such as 193.105.74.0/24.")
    return [_network(word) for word in words]


def caller(headers: Mapping[str, str], proxies: int) -> str:
    """Return the address that a request came from, or an empty text where nothing says.

    The front end of Azure Functions appends the address it was called from to ``X-Forwarded-For``; what stands before
    that anybody can write.
    Source: https://learn.microsoft.com/azure/app-service/overview-inbound-outbound-ips and
    https://developer.mozilla.org/docs/Web/HTTP/Headers/X-Forwarded-For#selecting_an_ip_address.

    Args:
        headers: The request's headers, names in lower case.
        proxies: How many trusted proxies of one's own stand before the app, each of which appends an address too.
    """
    hops = [hop.strip() for hop in headers.get("x-forwarded-for", "").split(",")]
    return hops[-1 - proxies] if len(hops) > proxies else ""


def is_from(address: str, text: str) -> bool:
    """Tell whether an address, with or without a port, lies in one of the networks that a text lists."""
    host = address[1:].partition("]")[0] if address.startswith("[") else address
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        given = ipaddress.ip_address(host)
    except ValueError:
        return False
    given = getattr(given, "ipv4_mapped", None) or given
    return any(given in network for network in networks(text))


def _network(word: str) -> Network:
    try:
        return ipaddress.ip_network(word, strict=False)
    except ValueError:
        raise ValueError(f"{word!r} is no network; write it as 193.105.74.0/24.") from None
