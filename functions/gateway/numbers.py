"""Phone numbers of people and addresses of senders: what is taken, what is refused, and why.

A recipient is taken in one spelling only, E.164 with a plus. The parser of the ``phonenumbers`` library is generous
(letters, extensions, full-width digits, a trailing line break), so the strict pattern comes first and the library only
says what it knows of a number that is already spelled right. A recipient is refused, never rewritten: the caller's
records, the vendor's reports and the opt-out list must all hold the same number.

Sources: ITU-T E.164 (https://www.itu.int/rec/T-REC-E.164) and the metadata of
https://github.com/google/libphonenumber.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberType, ValidationResult


class NumberProblem(StrEnum):
    """Why a number or a sender's address is refused: the closed list."""

    EMPTY = "empty"
    """There is nothing in it."""
    NO_PLUS = "no_plus"
    """Digits alone: no telling which country they belong to."""
    SHORT_CODE = "short_code"
    """As short as a short code, which is a sender and never a recipient."""
    NOT_E164 = "not_e164"
    """Something other than a plus and 7 to 15 digits."""
    UNKNOWN_COUNTRY = "unknown_country"
    """It begins with no country code in use."""
    TOO_SHORT = "too_short"
    """Fewer digits than any number of that country."""
    TOO_LONG = "too_long"
    """More digits than any number of that country."""
    IMPOSSIBLE_LENGTH = "impossible_length"
    """A count of digits that no number of that country has."""
    TRUNK_PREFIX = "trunk_prefix"
    """It carries digits that are dialled only inside the country, such as the 0 in +44 07911."""
    OLD_PREFIX = "old_prefix"
    """It carries a mobile prefix that the country has given up, such as +52 1."""
    UNKNOWN_TYPE = "unknown_type"
    """No such type of sender."""
    NOT_TOLL_FREE = "not_toll_free"
    """A toll-free sender that is no North American toll-free number."""
    IS_TOLL_FREE = "is_toll_free"
    """A long code that is in truth a toll-free number, for which other rules hold."""
    NOT_A_SHORT_CODE = "not_a_short_code"
    """A short code that is not spelled as one or cannot exist in its country."""
    NOT_ALPHANUMERIC = "not_alphanumeric"
    """An alphanumeric sender id that carriers would refuse or alter."""


class NumberError(ValueError):
    """A number or address was refused.

    Neither the message nor the detail quotes the number, so both may be logged.

    Args:
        code: Why, from the closed list.
        detail: What is wrong and what would be right, in words for a person.
    """

    def __init__(self, code: NumberProblem, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class NumberWarning(StrEnum):
    """What is odd about a number that is taken all the same."""

    UNASSIGNED = "unassigned"
    """Of the right length, but in no range known to be in service; the metadata lags behind new ranges."""
    MACHINE = "machine"
    """In a range for machines (M2M), where not every vendor delivers."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A number that a text may be sent to.

    Args:
        number: E.164 with plus.
        region: The ISO 3166 code of the country or territory, ``001`` for a number of the whole world, ``None`` where
            the digits do not tell. Guernsey's and Britain's mobile numbers share ranges, so "is it British" asks for
            country code 44 and a list of regions.
        country_code: The country calling code, such as 1 or 44.
        warnings: What is odd about it.
    """

    number: str = field(repr=False)
    region: str | None
    country_code: int
    warnings: tuple[NumberWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberRange:
    """A range of numbers that the library's metadata leaves out.

    Args:
        pattern: What the whole number matches.
        region: The ISO 3166 code.
        country_code: The country calling code.
    """

    pattern: re.Pattern[str]
    region: str
    country_code: int


MACHINE_RANGES = (
    # https://github.com/google/libphonenumber/issues/976, after the regulator's plan at nkom.no
    NumberRange(re.compile(r"\+4758\d{10}", re.ASCII), "NO", 47),
    # https://github.com/google/libphonenumber/issues/910, after the regulator's plan at pts.se
    NumberRange(re.compile(r"\+4671[09]\d{10}", re.ASCII), "SE", 46),
    # https://github.com/google/libphonenumber/issues/550
    NumberRange(re.compile(r"\+3277\d{11}", re.ASCII), "BE", 32),
    # https://github.com/google/libphonenumber/issues/1495, after the regulator's plan at arcep.fr
    NumberRange(re.compile(r"\+33700\d{10}", re.ASCII), "FR", 33),
)
"""Numbers of machines that take texts and are longer than the library allows; it leaves them out on purpose.

Source: https://github.com/google/libphonenumber/blob/master/FAQ.md (machine to machine numbers).
"""

NO_ALPHANUMERIC_REGIONS = frozenset({"US", "CA", "PR"})
"""Where no carrier takes an alphanumeric sender id.

Source: https://developers.telnyx.com/docs/messaging/messages/alphanumeric-sender-id and
https://learn.microsoft.com/azure/communication-services/concepts/sms/sms-faq.
"""

_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_NORTH_AMERICA = 1
_FROM_VENDOR = re.compile(r"(?:\+|00)([1-9]\d{6,14})|([1-9]\d{7,14})", re.ASCII)
_SEPARATORS = str.maketrans("", "", " -().")

_MISSPELT = (
    (re.compile(r"\s*"), NumberProblem.EMPTY, "The number is empty; give it as + and 7 to 15 digits."),
    (
        re.compile(r"\+?\d{1,6}", re.ASCII),
        NumberProblem.SHORT_CODE,
        "This is as short as a short code, which can only be a sender; give the recipient as + and 7 to 15 digits.",
    ),
    (
        re.compile(r"00\d+", re.ASCII),
        NumberProblem.NO_PLUS,
        "Write + instead of the 00 before the country code.",
    ),
    (
        re.compile(r"\d+", re.ASCII),
        NumberProblem.NO_PLUS,
        "Begin with + and the country code; the gateway does not guess the country.",
    ),
    (re.compile(r"\+0\d*", re.ASCII), NumberProblem.UNKNOWN_COUNTRY, "No country code begins with 0."),
    (re.compile(r"\+\d{16,}", re.ASCII), NumberProblem.TOO_LONG, "No number has more than 15 digits."),
)
_NOT_E164 = "Write + and 7 to 15 digits from 0 to 9 and nothing else: no spaces, letters, extension or tel: in front."

_OLD_PREFIXES = (
    # https://www.twilio.com/en-us/guidelines/mx/sms
    (
        re.compile(r"\+521(\d{10})\Z", re.ASCII),
        r"+52\1",
        "Mexico's mobile numbers have had no 1 after +52 since 2019; leave it out.",
    ),
)

_NUMBERED = {
    "toll_free": (
        True,
        NumberProblem.NOT_TOLL_FREE,
        "A toll-free sender begins with +1 and 800, 833, 844, 855, 866, 877 or 888; add other numbers as long_code.",
    ),
    "long_code": (
        False,
        NumberProblem.IS_TOLL_FREE,
        "This is a toll-free number, for which other rules hold; add it as toll_free.",
    ),
}

_SPELLED = {
    # https://support.goconvey.com/hc/en-us/articles/45907315421331-Message-Sender-Type-Overview
    ("short_code", "US"): (
        re.compile(r"[2-9]\d{4}|[1-9]\d{5}", re.ASCII),
        NumberProblem.NOT_A_SHORT_CODE,
        "A short code in the United States is 20000 to 999999, digits only.",
    ),
    ("short_code", "CA"): (
        re.compile(r"[1-9]\d{4,5}", re.ASCII),
        NumberProblem.NOT_A_SHORT_CODE,
        "A short code in Canada is 10000 to 999999, digits only.",
    ),
    # No list of all countries' plans was found, so this is only as wide as the vendors' own pages.
    ("short_code", None): (
        re.compile(r"\d{3,8}", re.ASCII),
        NumberProblem.NOT_A_SHORT_CODE,
        "A short code is 3 to 8 digits, without plus, country code or country letters.",
    ),
    # The set that all vendors take: https://www.twilio.com/docs/glossary/what-alphanumeric-sender-id and
    # https://developers.telnyx.com/docs/messaging/messages/alphanumeric-sender-id
    ("alphanumeric", None): (
        re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9](?:[A-Za-z0-9 ]{0,9}[A-Za-z0-9])?"),
        NumberProblem.NOT_ALPHANUMERIC,
        "An alphanumeric sender id is 1 to 11 letters A to Z, digits and inner spaces, with at least one letter.",
    ),
}

_IMPOSSIBLE = {
    ValidationResult.INVALID_COUNTRY_CODE: (NumberProblem.UNKNOWN_COUNTRY, "cannot be placed"),
    ValidationResult.TOO_SHORT: (NumberProblem.TOO_SHORT, "has too few digits"),
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: (NumberProblem.TOO_SHORT, "lacks its area code"),
    ValidationResult.TOO_LONG: (NumberProblem.TOO_LONG, "has too many digits"),
    ValidationResult.INVALID_LENGTH: (NumberProblem.IMPOSSIBLE_LENGTH, "has a count of digits that is not in use"),
}


# A miss costs some 20 microseconds, a hit a tenth of one. A number comes again with every step of its journey and with
# every reply; a bulk send of strangers gains nothing and loses nothing. 16,384 entries take less than 4 MB.
@lru_cache(maxsize=16_384)
def parse_recipient(text: str, also_possible: tuple[str, ...] = ()) -> Recipient:
    """Read a recipient's number.

    Args:
        text: The number as the caller wrote it; only E.164 with plus is taken.
        also_possible: Prefixes such as ``+229`` whose numbers are taken whatever their length, for a numbering plan
            that changed after the metadata was made; they get a warning.

    Returns:
        The number and what is known of it.

    Raises:
        NumberError: It is spelled otherwise, or no number of its country has this length.
    """
    if not _E164.fullmatch(text):
        raise _misspelt(text)
    for pattern, _, remedy in _OLD_PREFIXES:
        if pattern.fullmatch(text):
            raise NumberError(NumberProblem.OLD_PREFIX, remedy)
    try:
        parsed = phonenumbers.parse(text, None)
    except NumberParseException:
        raise NumberError(NumberProblem.UNKNOWN_COUNTRY, "No country code in use is at the front.") from None
    country_code = parsed.country_code or 0
    excused = text.startswith(also_possible)
    # The parser drops a trunk prefix without a word, which would leave two spellings of one number.
    if text != f"+{country_code}{phonenumbers.national_significant_number(parsed)}" and not excused:
        raise NumberError(
            NumberProblem.TRUNK_PREFIX,
            f"After +{country_code} leave out the digits that are dialled only inside the country.",
        )
    region = phonenumbers.region_code_for_number(parsed)
    if region and phonenumbers.is_valid_number_for_region(parsed, region):
        return Recipient(text, region, country_code)
    for machines in MACHINE_RANGES:
        if machines.pattern.fullmatch(text):
            return Recipient(text, machines.region, machines.country_code, (NumberWarning.MACHINE,))
    possible = phonenumbers.is_possible_number_with_reason(parsed)
    if possible != ValidationResult.IS_POSSIBLE and not excused:
        code, fault = _IMPOSSIBLE[possible]
        raise NumberError(code, f"The number {fault} for country code {country_code}; check it with the recipient.")
    return Recipient(text, region, country_code, (NumberWarning.UNASSIGNED,))


def alphanumeric_allowed(recipient: Recipient) -> bool:
    """Say whether carriers at the recipient take texts from an alphanumeric sender id.

    The region decides, for some countries share +1 and take them. Where the region of a +1 number cannot be told, it is
    held to be one that does not. Rules that vary by vendor or need a registration are configuration and not asked here.

    Args:
        recipient: Who would receive it.

    Returns:
        Whether it may be tried.
    """
    if recipient.region is None:
        return recipient.country_code != _NORTH_AMERICA
    return recipient.region not in NO_ALPHANUMERIC_REGIONS


def normalise_inbound(number: str) -> str:
    """Return a number from a vendor's callback in the spelling that the gateway stores.

    Vendors leave out the plus, or a form decoder turns it into a space. Eight digits or more get their plus, and
    prefixes that a country gave up are dropped, so that a reply or an opt-out meets the recipient it came from. Short
    codes and names stay as they are. The adapter of a vendor that sends national numbers has to add the country code
    first: ten digits alone are taken for an international number.

    Args:
        number: The number as the vendor wrote it.

    Returns:
        E.164 with plus, or the input without white space around it.
    """
    match = _FROM_VENDOR.fullmatch(number.strip().translate(_SEPARATORS))
    if not match:
        return number.strip()
    spelled = f"+{match[1] or match[2]}"
    for pattern, replacement, _ in _OLD_PREFIXES:
        spelled = pattern.sub(replacement, spelled)
    return spelled


def parse_sender(kind: str, value: str, country: str | None = None) -> str:
    """Read a sender's address.

    Args:
        kind: ``toll_free``, ``short_code``, ``long_code`` or ``alphanumeric``.
        value: The address as the operator wrote it.
        country: The ISO 3166 code of the country that leases the short code, where it is known; other kinds ignore it.

    Returns:
        E.164 with plus, the bare digits of a short code, or the alphanumeric id in the case it was written.

    Raises:
        NumberError: The kind is unknown, or the address is not one of that kind.
    """
    if kind in _NUMBERED:
        toll_free, code, remedy = _NUMBERED[kind]
        recipient = parse_recipient(value)
        if _is_toll_free(recipient) is not toll_free:
            raise NumberError(code, remedy)
        return recipient.number
    rule = _SPELLED.get((kind, country), _SPELLED.get((kind, None)))
    if rule is None:
        raise NumberError(
            NumberProblem.UNKNOWN_TYPE, "A sender is of the type toll_free, short_code, long_code or alphanumeric."
        )
    pattern, code, remedy = rule
    if not pattern.fullmatch(value):
        raise NumberError(code, remedy)
    return value


def _misspelt(text: str) -> NumberError:
    """Return the error that fits a text which is not E.164."""
    for pattern, code, remedy in _MISSPELT:
        if pattern.fullmatch(text):
            return NumberError(code, remedy)
    return NumberError(NumberProblem.NOT_E164, _NOT_E164)


def _is_toll_free(recipient: Recipient) -> bool:
    """Say whether it is a toll-free number of North America, the only place where these send texts."""
    number = phonenumbers.parse(recipient.number, None)
    return recipient.country_code == _NORTH_AMERICA and phonenumbers.number_type(number) == PhoneNumberType.TOLL_FREE
