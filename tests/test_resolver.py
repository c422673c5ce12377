"""Vendors are reached at public addresses alone, wherever their names lead at that moment."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from functions.gateway.addresses import is_allowed
from functions.outbound import VendorHttp
from functions.resolver import PublicResolver

PUBLIC = ("1.1.1.1", "2606:4700:4700::1111")
LOCAL = ("127.0.0.1", "::1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "fd00::1", "::ffff:10.0.0.1")
NEVER = ("169.254.169.254", "168.63.129.16", "100.64.0.1", "0.0.0.0", "224.0.0.1", "fe80::1%eth0", "nonsense")


@pytest.mark.parametrize("host", PUBLIC)
def test_public_addresses_are_allowed(host):
    """A public address may be called, with leave for local ones or without."""
    assert is_allowed(host, local=False)
    assert is_allowed(host, local=True)


@pytest.mark.parametrize("host", LOCAL)
def test_local_addresses_need_leave(host):
    """This machine and private networks may be called only where the operator of the app allows it."""
    assert not is_allowed(host, local=False)
    assert is_allowed(host, local=True)


@pytest.mark.parametrize("host", NEVER)
def test_some_addresses_are_never_allowed(host):
    """A cloud's metadata service, shared and special ranges, and what is no address, are never called."""
    assert not is_allowed(host, local=False)
    assert not is_allowed(host, local=True)


def leading_to(monkeypatch, resolver, *hosts):
    """Let every name lead to these addresses."""

    async def resolve(host, port=0, family=socket.AF_INET):
        return [
            {"hostname": host, "host": one, "port": port, "family": family, "proto": 0, "flags": 0} for one in hosts
        ]

    monkeypatch.setattr(resolver._resolver, "resolve", resolve)


async def test_private_addresses_of_a_public_name_are_passed_over(monkeypatch):
    """Of a name that leads to several places only the public ones are called."""
    resolver = PublicResolver(local=False)
    leading_to(monkeypatch, resolver, "10.0.0.1", "1.1.1.1", "127.0.0.1")

    assert [one["host"] for one in await resolver.resolve("api.example.com", 443)] == ["1.1.1.1"]


async def test_a_public_name_that_leads_inside_is_not_called(monkeypatch):
    """A name that was public when it was saved and leads to the own network later fails before any connection."""
    http = VendorHttp(5, lambda: None)
    leading_to(monkeypatch, http.session.connector._resolver, "127.0.0.1")
    try:
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.session.get("http://api.example.com:9/")
    finally:
        await http.close()
