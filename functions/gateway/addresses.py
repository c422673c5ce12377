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
LOCAL = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""This machine (RFC 1122, RFC 4291) and private networks (RFC 1918, RFC 4193)."""
NOT_PUBLIC = (
    *("0.0.0.0/8", "127.0.0.0/8"),  # RFC 791, RFC 1122: this host
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),  # RFC 1918: private
    "100.64.0.0/10",  # RFC 6598: shared by carriers
    "169.254.0.0/16",  # RFC 3927: link-local, where clouds have their metadata
    "192.0.0.0/24",  # RFC 6890: protocol assignments, among them RFC 7600, RFC 7723 and RFC 8155
    *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),  # RFC 5737: examples
    "192.88.99.0/24",  # RFC 7526: relays of 6to4
    "198.18.0.0/15",  # RFC 2544: benchmarks
    "224.0.0.0/4",  # RFC 5771: multicast
    "240.0.0.0/4",  # RFC 1112, RFC 919: reserved, and broadcast
    "168.63.129.16/32",  # the machine an app runs on: https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
    "2001::/23",  # RFC 2928: protocol assignments, among them Teredo (RFC 4380) and ORCHID (RFC 4843, RFC 7343)
    *("2001:db8::/32", "3fff::/20"),  # RFC 3849, RFC 9637: examples
)
"""Networks that nobody can reach from everywhere, by the registries of special-purpose addresses.

Sources: https://www.iana.org/assignments/iana-ipv4-special-registry and
https://www.iana.org/assignments/iana-ipv6-special-registry. They are listed here because ``ipaddress`` judges otherwise
from one version of Python to the next.
"""
GLOBAL_UNICAST = "2000::/3"
"""All of IPv6 that is public: https://www.iana.org/assignments/ipv6-address-space. So nothing below needs listing, such
as IPv4-compatible, IPv4-translated, local NAT64 (RFC 8215), site-local or link-local addresses."""
EMBEDDING = (
    ("::ffff:0:0/96", 0),  # RFC 4291: IPv4-mapped
    ("64:ff9b::/96", 0),  # RFC 6052: NAT64
    ("2002::/16", 80),  # RFC 3056: 6to4
)
"""IPv6 networks whose addresses lead to an IPv4 address, and how many bits stand behind it."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(*written: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(one) for one in written)


_LOCAL, _NOT_PUBLIC, _GLOBAL_UNICAST = _networks(*LOCAL), _networks(*NOT_PUBLIC), _networks(GLOBAL_UNICAST)
_EMBEDDING = tuple((ipaddress.IPv6Network(network), behind) for network, behind in EMBEDDING)
_IPV4 = 2**32 - 1
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
        port = parts.port
    except ValueError:
        return "This is no address: its host or port cannot be read."
    if port == 0:
        return "Nothing can be reached at port 0."
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
    """Return the address that is reached in the end: the IPv4 address where one is embedded."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        for network, behind in _EMBEDDING:
            if address in network:
                return ipaddress.IPv4Address((int(address) >> behind) & _IPV4)
    return address


def _is_in(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address in network for network in networks)


def _is_public_address(address: Address) -> bool:
    routed = isinstance(address, ipaddress.IPv4Address) or _is_in(address, _GLOBAL_UNICAST)
    return routed and not _is_in(address, _NOT_PUBLIC)


def _is_local_address(address: Address) -> bool:
    """Tell whether it is this machine or in a private network; the metadata services of clouds are neither."""
    return _is_in(address, _LOCAL)


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
