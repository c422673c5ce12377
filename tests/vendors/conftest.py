"""What all vendor tests share: what adapters talk through, and a wall around loopback."""

from __future__ import annotations

import ipaddress
import socket

import pytest

from functions.app import VendorHttp

TIMEOUT = 5.0
IMPATIENT = 0.25


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch):
    """Fail any connection that leaves this machine."""
    connect = socket.socket.connect

    def guarded(self, address):
        if self.family in {socket.AF_INET, socket.AF_INET6}:
            assert ipaddress.ip_address(address[0]).is_loopback, f"a test tried to reach {address[0]}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def no_identity():
    """Stand for the identity of an app that has none."""
    raise AssertionError("this account signs with its own key")


@pytest.fixture
async def http():
    """Give what adapters talk through, as the app builds it."""
    made = VendorHttp(TIMEOUT, no_identity)
    yield made
    await made.close()


@pytest.fixture
async def impatient():
    """Give the same with a timeout that is worth waiting for."""
    made = VendorHttp(IMPATIENT, no_identity)
    yield made
    await made.close()
