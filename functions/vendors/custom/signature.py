"""Checks the HMAC that a vendor sends with its callbacks."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from functions.vendors.contract import Callback, NotAuthenticError

if TYPE_CHECKING:
    from functions.vendors.custom.definition import Signature
    from functions.vendors.custom.template import Values


@dataclass(frozen=True, slots=True)
class Part:
    """What a signature may be made over.

    Args:
        bytes_of: Gives it, from the callback and what stands behind the colon.
        argument: Whether something stands behind a colon.
    """

    bytes_of: Callable[[Callback, str], bytes]
    argument: bool = False


PARTS: Mapping[str, Part] = {
    "body": Part(lambda callback, _: callback.body),
    "bodyMd5": Part(lambda callback, _: hashlib.md5(callback.body, usedforsecurity=False).hexdigest().encode()),
    "bodySha256": Part(lambda callback, _: hashlib.sha256(callback.body).hexdigest().encode()),
    "url": Part(lambda callback, _: _bytes(callback.url)),
    "method": Part(lambda callback, _: _bytes(callback.method)),
    "header": Part(lambda callback, name: _bytes(callback.headers.get(name.lower(), "")), argument=True),
    "query": Part(lambda callback, name: _bytes(callback.query.get(name, "")), argument=True),
    "text": Part(lambda _, text: _bytes(text), argument=True),
}
"""The parts by name; vendors hash the body first where their gateways sign before they send."""
_NO_KEY = "The key of the signature is missing, or not encoded as the definition says."
_KEYS: Mapping[str, Callable[[str], bytes]] = {
    "text": str.encode,
    "hex": bytes.fromhex,
    "base64": lambda key: base64.b64decode(key, validate=True),
}


def check_signature(signature: Signature, callback: Callback, values: Values) -> None:
    """Raise unless the callback carries the right HMAC.

    Args:
        signature: How the vendor signs.
        callback: The callback.
        values: The credentials by placeholder.

    Raises:
        NotAuthenticError: It does not.
    """
    given = callback.headers.get(signature.header.lower(), "")
    if not given.startswith(signature.prefix):
        raise NotAuthenticError(f"The header {signature.header} is missing or does not begin as it should.")
    given = given.removeprefix(signature.prefix)
    try:
        key = _KEYS[signature.key_encoding](signature.key.fill(values))
    except ValueError as error:
        raise NotAuthenticError(_NO_KEY) from error
    if not key:
        raise NotAuthenticError(_NO_KEY)
    signed = b"".join(_part(part, callback) for part in signature.over)
    mac = hmac.digest(key, signed, signature.algorithm)
    expected = mac.hex() if signature.encoding == "hex" else base64.b64encode(mac).decode()
    if not hmac.compare_digest(_bytes(given.lower() if signature.encoding == "hex" else given), expected.encode()):
        raise NotAuthenticError(f"{signature.header} does not match. Is the key right, and the public address?")


def _part(written: str, callback: Callback) -> bytes:
    name, _, argument = written.partition(":")
    return PARTS[name].bytes_of(callback, argument)


def _bytes(text: str) -> bytes:
    # Servers turn bytes that are no UTF-8 into lone surrogates.
    return text.encode("utf-8", "surrogatepass")
