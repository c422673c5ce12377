"""How to become a customer of each simulated vendor."""

from __future__ import annotations

from collections import Counter

from sandbox.kit import kits


def test_every_vendor_has_a_sender_of_its_own():
    """A customer of all vendors at once can name each sender by its address alone."""
    assert [address for address, times in Counter(kit.sender for kit in kits().values()).items() if times > 1] == []
