"""What the sandbox takes for a telephone number, a short code, a toll-free number or a sender name."""

from __future__ import annotations

import re
from functools import lru_cache

import phonenumbers

_E164 = re.compile(r"\A\+[1-9]\d{6,14}\Z", re.ASCII)
_SHORT_CODE = re.compile(r"\A\d{5,6}\Z", re.ASCII)
_NAME = re.compile(r"\A(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}\Z", re.ASCII)
_TOLL_FREE = re.compile(r"\A\+18(?:00|33|44|55|66|77|88)\d{7}\Z", re.ASCII)
_COUNTRIES_WITHOUT_NAMES = frozenset({"US", "CA", "PR"})


@lru_cache(maxsize=65536)
def is_number(text: str) -> bool:
    """Tell whether a text is an E.164 number of a length its country has."""
    if not _E164.match(text):
        return False
    try:
        parsed = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return False
    # The parser mends numbers, such as +1 1234567890 with a trunk prefix too many; vendors do not.
    mended = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164) != text
    return not mended and phonenumbers.is_possible_number(parsed)


def is_short_code(text: str) -> bool:
    """Tell whether a text is a short code: five or six digits, no plus."""
    return bool(_SHORT_CODE.match(text))


def is_name(text: str) -> bool:
    """Tell whether a text is an alphanumeric sender: 1 to 11 letters, digits and spaces, at least one letter."""
    return bool(_NAME.match(text))


def is_toll_free(text: str) -> bool:
    """Tell whether a number is toll-free in North America."""
    return bool(_TOLL_FREE.match(text))


@lru_cache(maxsize=65536)
def takes_names(recipient: str) -> bool:
    """Tell whether texts from an alphanumeric sender reach this number's country."""
    region = phonenumbers.region_code_for_number(phonenumbers.parse(recipient, None))
    return region not in _COUNTRIES_WITHOUT_NAMES
