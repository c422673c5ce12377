"""No address leads into the own network, however it is spelled and whichever Python judges it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.addresses import is_allowed, objection

PUBLIC = (
    *("1.1.1.1", "20.50.2.1", "168.63.129.15", "168.63.129.17", "100.63.255.255", "100.128.0.1", "172.32.0.1"),
    *("192.0.1.1", "192.1.0.1", "223.255.255.255", "198.17.255.255", "198.20.0.1", "11.0.0.1", "128.0.0.1"),
    *("2606:4700:4700::1111", "2a00:1450:4001:80b::200e", "2001:200::1", "2001:4860:4860::8888", "2003::1"),
    *("::ffff:1.1.1.1", "64:ff9b::1.1.1.1", "2002:101:101::1"),
)
LOCAL = (
    *("127.0.0.1", "127.255.255.255", "10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1"),
    *(
        "::1",
        "fc00::1",
        "fdff::1",
        "::ffff:127.0.0.1",
        "::ffff:a00:1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2002:a00:1::1",
    ),
)
NEVER = (
    *("0.0.0.0", "0.1.2.3", "100.64.0.1", "100.127.255.255", "169.254.169.254", "168.63.129.16"),
    *("192.0.0.0", "192.0.0.8", "192.0.0.9", "192.0.0.170", "192.0.0.255", "192.0.2.1", "192.88.99.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1"),
    *("255.255.255.255", "::", "::2", "::127.0.0.1", "::1.1.1.1", "::ffff:0:127.0.0.1", "::ffff:0:1.1.1.1"),
    *("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b::a83f:8110", "64:ff9b::6440:1", "64:ff9b:1::1.1.1.1"),
    *(
        "64:ff9b:1::7f00:1",
        "2002:a9fe:a9fe::1",
        "2002:0:1::",
        "100::1",
        "100:0:0:1::1",
        "2001::1",
        "2001:0:4136:e378::1",
    ),
    *("2001:2::1", "2001:10::1", "2001:20::1", "2001:1ff:ffff::1", "2001:db8::1", "3fff::1", "3fff:fff::1", "4000::1"),
    *("5f00::1", "fe80::1", "fec0::1", "febf::1", "ff02::1", "ffff::1"),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_taken(address):
    """What everybody can reach may be named and called, also where it stands within an IPv6 address."""
    assert is_allowed(address, local=False)
    assert objection(_url(address), local=False) == ""


@pytest.mark.parametrize("address", LOCAL)
def test_local_addresses_need_leave(address):
    """This machine and private networks need leave, also where they stand within an IPv6 address."""
    assert not is_allowed(address, local=False)
    assert is_allowed(address, local=True)
    assert objection(_url(address), local=False)
    assert objection(_url(address), local=True) == ""


@pytest.mark.parametrize("address", NEVER)
def test_special_addresses_are_never_taken(address):
    """What the registries list as special, and what leads there from IPv6, is neither named nor called."""
    for local in (False, True):
        assert not is_allowed(address, local=local)
        assert objection(_url(address), local=local)


@given(address=st.ip_addresses())
def test_what_python_calls_special_is_special(address):
    """Whatever this Python holds to be private, reserved or multicast is not public, so the lists lack nothing."""
    special = address.is_private or address.is_reserved or address.is_multicast or address.is_link_local
    embeds = address.version == 6 and any(
        address in ipaddress.ip_network(network) for network in ("::ffff:0:0/96", "64:ff9b::/96", "2002::/16")
    )
    if special and not embeds:
        assert not is_allowed(str(address), local=False)


@given(address=st.ip_addresses(v=4))
def test_an_embedded_address_is_judged_like_itself(address):
    """An IPv4 address within an IPv6 address is judged as if it stood alone."""
    within = [ipaddress.IPv6Address(prefix | int(address)) for prefix in (0xFFFF << 32, 0x64FF9B << 96)]
    within.append(ipaddress.IPv6Address(0x2002 << 112 | int(address) << 80))

    for local in (False, True):
        alone = is_allowed(str(address), local=local)
        assert [is_allowed(str(one), local=local) for one in within] == [alone] * 3


@pytest.mark.parametrize("url", ["https://api.example.com:0", "https://1.1.1.1:0", "https://localhost:0"])
def test_nothing_is_at_port_0(url):
    """A port that no server has is refused, with leave for local vendors too."""
    assert objection(url, local=False)
    assert objection(url, local=True)


def _url(address):
    return f"https://[{address}]" if ":" in address else f"https://{address}"
