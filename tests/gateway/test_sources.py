"""Where a callback came from, and whether it may."""

from __future__ import annotations

import ipaddress
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.sources import caller, is_from, networks

LISTED = "193.105.74.0/24, 62.140.31.7;2001:db8::/32\n10.0.0.1/8"


@pytest.mark.parametrize(
    ("forwarded", "proxies", "expected"),
    [
        ("203.0.113.7", 0, "203.0.113.7"),
        ("203.0.113.7:4711", 0, "203.0.113.7:4711"),
        ("1.2.3.4, 203.0.113.7:4711", 0, "203.0.113.7:4711"),
        ("1.2.3.4, 203.0.113.7, 198.51.100.1:443", 1, "203.0.113.7"),
        ("203.0.113.7", 1, ""),
        ("", 0, ""),
    ],
    ids=["one", "with port", "forged in front", "behind a proxy", "past the proxy", "none"],
)
def test_only_what_trusted_hops_appended_counts(forwarded, proxies, expected):
    """The front end's own entry is the last one; what a caller wrote in front of it says nothing."""
    assert caller({"x-forwarded-for": forwarded}, proxies) == expected
    assert caller({}, proxies) == ""


@pytest.mark.parametrize(
    "address",
    [
        "193.105.74.1",
        "193.105.74.255:4711",
        "62.140.31.7",
        "2001:db8::1",
        "[2001:db8::1]:4711",
        "::ffff:193.105.74.9",
        "10.255.1.2",
    ],
)
def test_an_address_in_a_listed_network_may(address):
    """With or without a port, in either family, and an IPv4 address in IPv6 clothes."""
    assert is_from(address, LISTED)


@pytest.mark.parametrize("address", ["193.105.75.1", "62.140.31.8", "2001:db9::1", "", "unknown", "193.105.74", "[::"])
def test_any_other_address_may_not(address):
    """Another network, and what is no address at all."""
    assert not is_from(address, LISTED)


@pytest.mark.parametrize(
    "text", ["", " , ", "example.com", "193.105.74.0/33", "1.2.3.4/x", ", ".join(["1.2.3.4"] * 101)]
)
def test_a_list_that_is_none_is_refused(text):
    """What is saved must be networks, and not too many to look through for each callback."""
    with pytest.raises(ValueError, match="network"):
        networks(text)


@given(st.lists(st.ip_addresses(), min_size=1, max_size=5), st.ip_addresses())
def test_an_address_is_in_its_own_list_only(listed, other):
    """Each address of a list of single addresses may, and one that is not in it may not."""
    text = ",".join(str(address) for address in listed)
    plain = {getattr(address, "ipv4_mapped", None) or address for address in listed}

    assert all(is_from(str(address), text) for address in plain if address in listed)
    if (getattr(other, "ipv4_mapped", None) or other) not in plain:
        assert not is_from(str(other), text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    """No text that somebody saves raises anything but the error that is shown."""
    with suppress(ValueError):
        assert all(isinstance(one, ipaddress.IPv4Network | ipaddress.IPv6Network) for one in networks(text))
