"""The secrets port, as both families keep it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from functions.storage.ports import StaleError, TooLargeError

if TYPE_CHECKING:
    from functions.storage.ports import Storage


@pytest.mark.parametrize("value", ["canary", " x ", "äöü€漢字 😀", "line\nline", "x" * 25_000])
async def test_a_secret_comes_back_exactly(storage: Storage, value: str) -> None:
    """The value that was set is the value that is read, first and later."""
    await storage.secrets.set("provider-1-auth-token-abc", value)

    assert await storage.secrets.get("provider-1-auth-token-abc") == value
    assert await storage.secrets.get("provider-1-auth-token-abc") == value


async def test_a_missing_secret_is_none(storage: Storage) -> None:
    """A name that was never set has no value, and deleting it does nothing; later it can be set."""
    assert await storage.secrets.get("missing") is None
    await storage.secrets.delete("missing")
    assert await storage.secrets.get("missing") is None

    await storage.secrets.set("missing", "canary")

    assert await storage.secrets.get("missing") == "canary"


async def test_a_secret_may_be_set_again(storage: Storage) -> None:
    """Setting the same value again, as a retry does, is fine."""
    await storage.secrets.set("name", "canary")
    await storage.secrets.set("name", "canary")

    assert await storage.secrets.get("name") == "canary"


async def test_secret_names_have_no_case(storage: Storage) -> None:
    """Upper and lower case name the same secret, as in Key Vault."""
    await storage.secrets.set("Provider-A", "canary")

    assert await storage.secrets.get("provider-a") == "canary"
    await storage.secrets.delete("PROVIDER-A")
    assert await storage.secrets.get("Provider-A") is None


async def test_a_deleted_name_is_not_used_again(storage: Storage) -> None:
    """A deleted secret has no value any more, and its name is refused."""
    await storage.secrets.set("name", "canary")
    await storage.secrets.delete("name")
    await storage.secrets.delete("name")

    assert await storage.secrets.get("name") is None
    with pytest.raises(StaleError) as error:
        await storage.secrets.set("name", "canary-2")
    assert "canary-2" not in str(error.value)
    assert await storage.secrets.get("name") is None


@pytest.mark.parametrize("name", ["", "a_b", "a.b", "a/b", "a b", "ä", "x" * 128])
async def test_names_that_key_vault_refuses_are_refused(storage: Storage, name: str) -> None:
    """A name has 1 to 127 letters, digits and dashes."""
    with pytest.raises(ValueError):
        await storage.secrets.set(name, "canary")
    with pytest.raises(ValueError):
        await storage.secrets.get(name)
    with pytest.raises(ValueError):
        await storage.secrets.delete(name)


async def test_values_that_key_vault_refuses_are_refused(storage: Storage) -> None:
    """A value has 1 to 25,000 bytes, and the error does not repeat it."""
    with pytest.raises(TooLargeError) as error:
        await storage.secrets.set("name", "canary" * 5_000)
    assert "canary" not in str(error.value)
    with pytest.raises(TooLargeError):
        await storage.secrets.set("name", "é" * 12_501)
    with pytest.raises(ValueError):
        await storage.secrets.set("name", "")
    assert await storage.secrets.get("name") is None
