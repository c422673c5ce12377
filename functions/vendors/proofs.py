"""How vendors that sign nothing prove a callback: a token in the path, Basic authentication, a secret header.

A proof whose secret is set is demanded; all comparisons take the same time whatever is given.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from functions.vendors.contract import (
    TOKEN,
    TOKEN_SECONDARY,
    Account,
    Callback,
    NotAuthenticError,
    Setting,
    SettingType,
)

PROOF_HEADER = "X-Gateway-Secret"
_STRONG = r"[!-~]{16,200}"

CALLBACK_TOKEN = (
    Setting(
        name=TOKEN,
        secret=True,
        callback=True,
        generated=True,
        help="The unguessable part of the callback addresses. The gateway makes it and shows it in them alone.",
        example="k7Qh2mT0w5ZrYb1xJ4dV8nL3sC6uEfGa",
    ),
    Setting(
        name=TOKEN_SECONDARY,
        secret=True,
        callback=True,
        generated=True,
        secondary_of=TOKEN,
        help="The token before the last rotation; callbacks with either are accepted.",
        example="p2Wc9vB6tXe0RkMy7sUa4oHi1lNzQfJd",
    ),
)
CALLBACK_BASIC = (
    Setting(
        name="callbackUser",
        callback=True,
        pattern=r"[!-9;-~]{1,100}",
        help="The user name that the vendor sends with callbacks, where it can.",
        example="sms-gateway",
    ),
    Setting(
        name="callbackPassword",
        secret=True,
        callback=True,
        pattern=_STRONG,
        help="The password that the vendor sends with callbacks; once set, callbacks without it are refused.",
        example="correct-horse-battery-staple",
    ),
    Setting(
        name="callbackPasswordSecondary",
        secret=True,
        callback=True,
        secondary_of="callbackPassword",
        pattern=_STRONG,
        help="The other password while it is being changed; callbacks with either are accepted.",
        example="staple-battery-horse-correct",
    ),
)
CALLBACK_HEADER = (
    Setting(
        name="callbackSecret",
        secret=True,
        callback=True,
        pattern=_STRONG,
        help=f"What the vendor sends in the header {PROOF_HEADER}; once set, callbacks without it are refused.",
        example="s5xW0pQz8nVb3mKd7rTf",
    ),
    Setting(
        name="callbackSecretSecondary",
        secret=True,
        callback=True,
        secondary_of="callbackSecret",
        pattern=_STRONG,
        help="The other header value while it is being changed; callbacks with either are accepted.",
        example="q9eH2cYu6jLa1gNi4oSx",
    ),
)
CALLBACK_SOURCES = Setting(
    name="callbackSources",
    type=SettingType.NETWORKS,
    callback=True,
    help="The networks callbacks may come from, separated by commas; leave it out to accept any. A second line of "
    "defence: vendors change their addresses.",
    example="193.105.74.0/24, 62.140.31.0/24",
)


def check_token(callback: Callback, account: Account) -> None:
    """Raise unless the token in the path is the account's.

    Raises:
        NotAuthenticError: It is not, or the account has none.
    """
    expected = account.settings[TOKEN]
    if not expected or not _same(callback.token, expected):
        raise NotAuthenticError("The token in the path is not this provider's.")


def check_basic(callback: Callback, account: Account) -> None:
    """Raise unless the callback carries the account's user name and password; pass where no password is set.

    Source: https://www.rfc-editor.org/rfc/rfc7617.

    Raises:
        NotAuthenticError: They are missing or wrong.
    """
    password = account.settings.get("callbackPassword", "")
    if not password:
        return
    scheme, _, given = callback.headers.get("authorization", "").partition(" ")
    try:
        pair = base64.b64decode(given.strip(), validate=True) if scheme.lower() == "basic" else b""
    except (binascii.Error, ValueError):
        pair = b""
    if not hmac.compare_digest(pair, f"{account.settings.get('callbackUser', '')}:{password}".encode()):
        raise NotAuthenticError("Basic authentication is missing or wrong.")


def check_header(callback: Callback, account: Account) -> None:
    """Raise unless the callback carries the account's secret header; pass where none is set.

    Raises:
        NotAuthenticError: It is missing or wrong.
    """
    expected = account.settings.get("callbackSecret", "")
    if expected and not _same(callback.headers.get(PROOF_HEADER.lower(), ""), expected):
        raise NotAuthenticError(f"The header {PROOF_HEADER} is missing or wrong.")


def _same(given: str, expected: str) -> bool:
    # Servers turn bytes that are no UTF-8 into lone surrogates.
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())
