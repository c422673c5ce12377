"""The fixtures that the other suites stand on."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from functions.vendors.registry import vendors


async def test_every_vendor_delivers(ready):
    """A message through the provider that the fixture made at each vendor arrives, with the vendor's report."""
    assert set(ready.made) == set(vendors())
    for made in ready.made.values():
        message = await ready.delivered(made, "+14255550123", f"Hello {made.vendor}")
        assert message["vendor"] == made.vendor
        (entry,) = await ready.ledger(made.vendor)
        assert entry["text"] == f"Hello {made.vendor}"


async def test_clock_is_shared(ready, clock):
    """What a test adds to the clock the gateway's messages and the sandbox's ledger are dated with."""
    clock.advance(3600)
    (identity,) = await ready.send(ready.twilio, "+14255550123")
    created = (await ready.until(identity))["createdAt"]
    assert created[:13] == clock().strftime("%Y-%m-%dT%H")
    assert (await ready.ledger("twilio"))[0]["at"][:13] == created[:13]


async def test_other_machines_are_out_of_reach(reached):
    """Neither an address nor a name of another machine can be reached, not even where the error is swallowed."""
    with socket.socket() as plain, pytest.raises(RuntimeError, match="loopback only"):
        plain.connect(("192.0.2.1", 80))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(RuntimeError, match="loopback only"):
            await session.get("http://sms.example.com/")
    assert reached == ["192.0.2.1", "sms.example.com"]
    reached.clear()
