"""Recipients, senders and the numbers in callbacks: what is taken, what is refused, and with which words."""

from __future__ import annotations

import re

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.gateway.numbers import (
    MACHINE_RANGES,
    NumberError,
    NumberProblem,
    NumberWarning,
    Recipient,
    alphanumeric_allowed,
    normalise_inbound,
    parse_recipient,
    parse_sender,
)

UNASSIGNED, MACHINE = NumberWarning.UNASSIGNED, NumberWarning.MACHINE
E164 = re.compile(r"\+[1-9][0-9]{6,14}")

TAKEN = [
    ("+14155552671", "US", 1, ()),
    ("+14155550100", "US", 1, ()),
    ("+15005550006", "US", 1, ()),
    ("+18885551234", "US", 1, ()),
    ("+17875551234", "PR", 1, ()),
    ("+447911123456", "GG", 44, ()),
    ("+447700900123", None, 44, (UNASSIGNED,)),
    ("+551187654321", "BR", 55, (UNASSIGNED,)),
    ("+5511987654321", "BR", 55, ()),
    ("+525512345678", "MX", 52, ()),
    ("+4712345678", None, 47, (UNASSIGNED,)),
    ("+883510001234567", "001", 883, ()),
    ("+390612345678", "IT", 39, ()),
    ("+3197012345678", "NL", 31, ()),
    ("+2902255", "SH", 290, (UNASSIGNED,)),
    ("+12425551234", "BS", 1, (UNASSIGNED,)),
    ("+11234567890", None, 1, (UNASSIGNED,)),
    ("+47580009083060", "NO", 47, (MACHINE,)),
    ("+467190001234567", "SE", 46, (MACHINE,)),
    ("+327700010023652", "BE", 32, (MACHINE,)),
    ("+337000011564653", "FR", 33, (MACHINE,)),
]

REFUSED = [
    ("", NumberProblem.EMPTY),
    (" \n", NumberProblem.EMPTY),
    ("+1-800-FLOWERS", NumberProblem.NOT_E164),
    ("+1800FLOWERS", NumberProblem.NOT_E164),
    ("tel:+14155552671", NumberProblem.NOT_E164),
    ("++14155552671", NumberProblem.NOT_E164),
    ("+14155552671\n", NumberProblem.NOT_E164),
    (" +14155552671", NumberProblem.NOT_E164),
    ("+1 415 555 2671", NumberProblem.NOT_E164),
    ("+\N{FULLWIDTH DIGIT ONE}4155552671", NumberProblem.NOT_E164),
    ("+1415555267\N{ARABIC-INDIC DIGIT ONE}", NumberProblem.NOT_E164),
    ("+14155552671 x5", NumberProblem.NOT_E164),
    ("\x00", NumberProblem.NOT_E164),
    ("4155552671", NumberProblem.NO_PLUS),
    ("14155552671", NumberProblem.NO_PLUS),
    ("0014155552671", NumberProblem.NO_PLUS),
    ("12345", NumberProblem.SHORT_CODE),
    ("+12345", NumberProblem.SHORT_CODE),
    ("+74454", NumberProblem.SHORT_CODE),
    ("+0123456789", NumberProblem.UNKNOWN_COUNTRY),
    ("+999123456789", NumberProblem.UNKNOWN_COUNTRY),
    ("+2100000000", NumberProblem.UNKNOWN_COUNTRY),
    ("+1234567890123456", NumberProblem.TOO_LONG),
    ("+14155552671234", NumberProblem.TOO_LONG),
    ("+479012345678", NumberProblem.TOO_LONG),
    ("+47570009083060", NumberProblem.TOO_LONG),
    ("+8881234567", NumberProblem.TOO_SHORT),
    ("+15552671", NumberProblem.TOO_SHORT),
    ("+683123456", NumberProblem.IMPOSSIBLE_LENGTH),
    ("+5215512345678", NumberProblem.OLD_PREFIX),
    ("+4407911123456", NumberProblem.TRUNK_PREFIX),
    ("+114155552671", NumberProblem.TRUNK_PREFIX),
    ("+54111523456789", NumberProblem.TRUNK_PREFIX),
]


@pytest.mark.parametrize(("number", "region", "country_code", "warnings"), TAKEN, ids=[row[0] for row in TAKEN])
def test_a_number_that_can_exist_is_taken_as_it_is_written(number, region, country_code, warnings):
    """Doubt about a number is a warning; its type and its area never refuse it."""
    assert parse_recipient(number) == Recipient(number, region, country_code, warnings)


@pytest.mark.parametrize(("text", "code"), REFUSED, ids=[ascii(row[0]) for row in REFUSED])
def test_every_other_spelling_is_refused_with_its_reason(text, code):
    """What the library would read generously, or no country has, is refused under one code of the closed list."""
    with pytest.raises(NumberError) as refusal:
        parse_recipient(text)

    assert refusal.value.code is code
    assert str(refusal.value) == refusal.value.detail


DIGITS = st.text("0123456789", max_size=17)
NUMBERS = st.one_of(
    st.text(),
    st.from_regex(r"\A\+[1-9][0-9]{6,14}\Z"),
    st.builds(
        "+{}{}".format, st.sampled_from([1, 7, 33, 39, 44, 46, 47, 52, 54, 55, 61, 86, 262, 290, 800, 883]), DIGITS
    ),
    st.text("+0123456789 ()-.\nx\N{FULLWIDTH DIGIT ONE}", max_size=18),
)


def outcome(read, *arguments):
    """Return what was read or the NumberError; any other error fails the test."""
    try:
        return read(*arguments)
    except NumberError as error:
        return error


@given(NUMBERS)
@example("+14155552671")
@example("+5215512345678")
def test_reading_a_recipient_gives_its_own_spelling_or_a_number_error(text):
    """Whatever the text, the answer is that very text as E.164, or a NumberError that does not quote it."""
    match outcome(parse_recipient, text):
        case NumberError() as error:
            assert error.code in NumberProblem
            assert error.detail
            assert len(text) < 7 or text.strip() not in error.detail
        case recipient:
            assert recipient.number == text
            assert E164.fullmatch(recipient.number)
            assert recipient.number.startswith(f"+{recipient.country_code}")


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_the_mobile_numbers_of_every_country_are_taken(region):
    """No rule of ours refuses what a country's regulator hands out: the library's own examples pass without warning."""
    mobile = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    example_number = mobile or phonenumbers.example_number(region)
    number = phonenumbers.format_number(example_number, phonenumbers.PhoneNumberFormat.E164)

    recipient = parse_recipient(number)

    assert recipient.warnings == ()
    assert recipient.region is not None


def test_a_refusal_does_not_quote_the_number():
    """The words of an error may be logged, so the digits are not in them."""
    with pytest.raises(NumberError) as refusal:
        parse_recipient("+14155552671234")

    assert not re.search(r"\d{5}", str(refusal.value))


def test_a_recipient_does_not_print_its_number():
    """A recipient that lands in a log line shows the country and not the number."""
    assert "4155552671" not in repr(parse_recipient("+14155552671"))
    assert "US" in repr(parse_recipient("+14155552671"))


def test_an_operator_can_let_a_renumbered_country_through():
    """Where a plan changed after the metadata was made, a configured prefix turns the refusal into a warning."""
    number = "+14155552671234"

    assert parse_recipient(number, ("+1415",)) == Recipient(number, None, 1, (UNASSIGNED,))
    with pytest.raises(NumberError):
        parse_recipient(number, ("+1416",))


def test_a_configured_prefix_adds_no_warning_to_a_good_number():
    """Being let through by prefix says nothing about a number that is fine anyway."""
    assert parse_recipient("+14155552671", ("+1",)).warnings == ()


@pytest.mark.parametrize("number", [row[0] for row in TAKEN if MACHINE in row[3]])
def test_a_range_for_machines_is_one_the_library_does_not_know(number):
    """Each range kept beside the metadata is still needed: without it the number would be refused as too long."""
    parsed = phonenumbers.parse(number, None)

    assert phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.TOO_LONG
    assert sum(bool(machines.pattern.fullmatch(number)) for machines in MACHINE_RANGES) == 1


@pytest.mark.parametrize(
    ("number", "allowed"),
    [
        ("+14155552671", False),
        ("+16045551234", False),
        ("+17875551234", False),
        ("+18885551234", False),
        ("+11234567890", False),
        ("+12684641234", True),
        ("+12425551234", True),
        ("+447911123456", True),
        ("+447700900123", True),
        ("+883510001234567", True),
    ],
)
def test_alphanumeric_senders_are_kept_from_the_countries_that_refuse_them(number, allowed):
    """The United States, Canada and Puerto Rico refuse them; a +1 number of no known country counts as theirs."""
    assert alphanumeric_allowed(parse_recipient(number)) is allowed


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("14155552671", "+14155552671"),
        ("+14155552671", "+14155552671"),
        (" 14155552671", "+14155552671"),
        ("0014155552671", "+14155552671"),
        ("+1 (415) 555-2671", "+14155552671"),
        ("447911123456", "+447911123456"),
        ("+49.1511.2345678", "+4915112345678"),
        ("12345678", "+12345678"),
        ("+2902255", "+2902255"),
        ("+290 2255", "+2902255"),
        ("+5215512345678", "+525512345678"),
        ("5215512345678", "+525512345678"),
        ("+52155123456789", "+52155123456789"),
        ("+525512345678", "+525512345678"),
        ("12345", "12345"),
        ("741741", "741741"),
        ("1234567", "1234567"),
        ("07911123456", "07911123456"),
        ("1234567890123456", "1234567890123456"),
        ("NO-2333", "NO-2333"),
        ("ACME", "ACME"),
        (" My Shop 24 ", "My Shop 24"),
        ("1-800-FLOWERS", "1-800-FLOWERS"),
        ("", ""),
        ("\N{FULLWIDTH DIGIT ONE}4155552671", "\N{FULLWIDTH DIGIT ONE}4155552671"),
    ],
)
def test_a_number_from_a_callback_is_stored_in_one_spelling(written, stored):
    """International numbers get their plus and lose old prefixes; short codes, names and the unreadable stay."""
    assert normalise_inbound(written) == stored


@given(NUMBERS)
def test_storing_a_number_twice_changes_nothing_more(text):
    """What was normalised once stays, and a recipient's own spelling is never changed."""
    stored = normalise_inbound(text)

    assert normalise_inbound(stored) == stored
    recipient = outcome(parse_recipient, text)
    if isinstance(recipient, Recipient):
        assert stored == recipient.number


@given(st.text(max_size=30))
def test_a_callback_number_that_gets_a_plus_is_e164(text):
    """Anything that comes out with a plus in front of digits only is spelled as E.164."""
    stored = normalise_inbound(text)

    assert E164.fullmatch(stored) or stored == text.strip()


SENDERS_TAKEN = [
    ("toll_free", "+18885551234", None),
    ("toll_free", "+18335551234", None),
    ("long_code", "+14155552671", None),
    ("long_code", "+15005550006", None),
    ("long_code", "+447700900123", None),
    ("short_code", "123", None),
    ("short_code", "12345678", "GB"),
    ("short_code", "20000", "US"),
    ("short_code", "999999", "US"),
    ("short_code", "10000", "CA"),
    ("short_code", "2333", "NO"),
    ("alphanumeric", "A", None),
    ("alphanumeric", "Contoso", None),
    ("alphanumeric", "4Ever", None),
    ("alphanumeric", "My Shop 24", None),
    ("alphanumeric", "ABCDEFGHIJK", "GB"),
]

SENDERS_REFUSED = [
    ("toll_free", "+14155552671", None, NumberProblem.NOT_TOLL_FREE),
    ("toll_free", "+448001234567", None, NumberProblem.NOT_TOLL_FREE),
    ("toll_free", "+18225551234", None, NumberProblem.NOT_TOLL_FREE),
    ("toll_free", "18885551234", None, NumberProblem.NO_PLUS),
    ("long_code", "+18885551234", None, NumberProblem.IS_TOLL_FREE),
    ("long_code", "12345", None, NumberProblem.SHORT_CODE),
    ("long_code", "Contoso", None, NumberProblem.NOT_E164),
    ("short_code", "12", None, NumberProblem.NOT_A_SHORT_CODE),
    ("short_code", "123456789", None, NumberProblem.NOT_A_SHORT_CODE),
    ("short_code", "+12345", None, NumberProblem.NOT_A_SHORT_CODE),
    ("short_code", "NO-2333", None, NumberProblem.NOT_A_SHORT_CODE),
    ("short_code", "12345\n", None, NumberProblem.NOT_A_SHORT_CODE),
    ("short_code", "\N{FULLWIDTH DIGIT ONE}2345", None, NumberProblem.NOT_A_SHORT_CODE),
    ("short_code", "19999", "US", NumberProblem.NOT_A_SHORT_CODE),
    ("short_code", "2333", "US", NumberProblem.NOT_A_SHORT_CODE),
    ("short_code", "1234567", "US", NumberProblem.NOT_A_SHORT_CODE),
    ("short_code", "09999", "CA", NumberProblem.NOT_A_SHORT_CODE),
    ("alphanumeric", "", None, NumberProblem.NOT_ALPHANUMERIC),
    ("alphanumeric", "12345", None, NumberProblem.NOT_ALPHANUMERIC),
    ("alphanumeric", "ABCDEFGHIJKL", None, NumberProblem.NOT_ALPHANUMERIC),
    ("alphanumeric", " Contoso", None, NumberProblem.NOT_ALPHANUMERIC),
    ("alphanumeric", "Contoso ", None, NumberProblem.NOT_ALPHANUMERIC),
    ("alphanumeric", "Contoso\n", None, NumberProblem.NOT_ALPHANUMERIC),
    ("alphanumeric", "Con-toso", None, NumberProblem.NOT_ALPHANUMERIC),
    ("alphanumeric", "Köln", None, NumberProblem.NOT_ALPHANUMERIC),
    ("pigeon", "Contoso", None, NumberProblem.UNKNOWN_TYPE),
    ("", "+14155552671", None, NumberProblem.UNKNOWN_TYPE),
]


@pytest.mark.parametrize(("kind", "value", "country"), SENDERS_TAKEN)
def test_a_senders_address_is_taken_as_it_is_written(kind, value, country):
    """An address of its kind comes back unchanged, the case of its letters included."""
    assert parse_sender(kind, value, country) == value


@pytest.mark.parametrize(("kind", "value", "country", "code"), SENDERS_REFUSED)
def test_an_address_of_another_kind_is_refused_with_its_reason(kind, value, country, code):
    """An address that carriers would refuse or read as another kind is refused under one code of the closed list."""
    with pytest.raises(NumberError) as refusal:
        parse_sender(kind, value, country)

    assert refusal.value.code is code


@given(
    st.sampled_from(["toll_free", "short_code", "long_code", "alphanumeric"]),
    st.one_of(NUMBERS, st.text("aZ09 +-\n", max_size=13)),
    st.sampled_from([None, "US", "CA", "GB"]),
)
def test_reading_a_sender_gives_its_own_spelling_or_a_number_error(kind, value, country):
    """Whatever the text, the answer is that very text or a NumberError."""
    found = outcome(parse_sender, kind, value, country)

    assert found == value or found.code in NumberProblem


def test_every_problem_on_the_list_can_happen():
    """The closed list has no entry that nothing raises."""
    raised = {code for _, code in REFUSED} | {code for *_, code in SENDERS_REFUSED}

    assert raised == set(NumberProblem)
