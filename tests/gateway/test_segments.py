"""Encoding and segments of a text: fixed vectors, and properties checked against a slow reading of the standard."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.segments import (
    BASIC,
    EXTENSION,
    LIMITS,
    SUGGESTIONS,
    Encoding,
    Offending,
    Segmentation,
    segment,
    suggest_gsm7,
    unsendable,
)

GSM, UCS = Encoding.GSM_7, Encoding.UCS_2
A, EURO = "a", "\N{EURO SIGN}"
ZHE, GRIN = "\N{CYRILLIC CAPITAL LETTER ZHE}", "\N{GRINNING FACE}"
FAMILY = "\N{MAN}\u200d\N{WOMAN}\u200d\N{GIRL}\u200d\N{BOY}"
FLAG = "\N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E}"

# Numbered as in the research they come from, where four public implementations were run on them.
VECTORS = [
    ("1 empty", "", GSM, 0, ()),
    ("2 one word", "Hello", GSM, 5, (5,)),
    ("3 full single", 160 * A, GSM, 160, (160,)),
    ("4 one over", 161 * A, GSM, 161, (153, 8)),
    ("5 two full", 306 * A, GSM, 306, (153, 153)),
    ("6 two full and one", 307 * A, GSM, 307, (153, 153, 1)),
    ("7 three full", 459 * A, GSM, 459, (153, 153, 153)),
    ("7 three full and one", 460 * A, GSM, 460, (153, 153, 153, 1)),
    ("8 euro", EURO, GSM, 2, (2,)),
    ("9 80 euros", 80 * EURO, GSM, 160, (160,)),
    ("10 81 euros", 81 * EURO, GSM, 162, (152, 10)),
    ("11 euro fits the end", 158 * A + EURO, GSM, 160, (160,)),
    ("12 euro over the end", 159 * A + EURO, GSM, 161, (153, 8)),
    ("13 all extension characters", "\f^{}\\[~]|" + EURO, GSM, 20, (20,)),
    ("14 line breaks", "line1\r\nline2", GSM, 12, (12,)),
    ("15 escape moves on", 152 * A + EURO + 8 * A, GSM, 162, (152, 10)),
    ("16 escape moves on and fits", 152 * A + EURO + 151 * A, GSM, 305, (152, 153)),
    ("17 dividing is wrong", 152 * A + EURO + 152 * A, GSM, 306, (152, 153, 1)),
    ("18 two escapes", 152 * A + "[" + 151 * A + "]", GSM, 307, (152, 153, 2)),
    ("19 German letters", "äöüÄÖÜß§", GSM, 8, (8,)),
    ("20 accents of the alphabet", "é è à ù ì ò Ç", GSM, 13, (13,)),
    ("21 Greek capitals", "ΔΦΓΛΩΠΨΣΘΞ", GSM, 10, (10,)),
    ("22 small c cedilla", "ça va", UCS, 5, (5,)),
    ("23 e circumflex", "fête", UCS, 4, (4,)),
    ("24 i acute", "¿Qué día?", UCS, 9, (9,)),
    ("25 Greek Alpha", "\N{GREEK CAPITAL LETTER ALPHA}", UCS, 1, (1,)),
    ("26 tab", "a\tb", UCS, 3, (3,)),
    ("26 no-break space", "a\N{NO-BREAK SPACE}b", UCS, 3, (3,)),
    ("26 backtick", "`", UCS, 1, (1,)),
    ("27 escape character", "a\x1bb", UCS, 3, (3,)),
    ("28 curly quote", "it\N{RIGHT SINGLE QUOTATION MARK}s", UCS, 4, (4,)),
    ("29 euro in UCS-2", ZHE + EURO, UCS, 2, (2,)),
    ("30 full single", 70 * ZHE, UCS, 70, (70,)),
    ("30 one over", 71 * ZHE, UCS, 71, (67, 4)),
    ("31 two full", 134 * ZHE, UCS, 134, (67, 67)),
    ("31 two full and one", 135 * ZHE, UCS, 135, (67, 67, 1)),
    ("32 three full", 201 * ZHE, UCS, 201, (67, 67, 67)),
    ("32 three full and one", 202 * ZHE, UCS, 202, (67, 67, 67, 1)),
    ("33 emoji", GRIN, UCS, 2, (2,)),
    ("34 35 emoji", 35 * GRIN, UCS, 70, (70,)),
    ("35 36 emoji", 36 * GRIN, UCS, 72, (66, 6)),
    ("36 66 emoji", 66 * GRIN, UCS, 132, (66, 66)),
    ("37 emoji fits the end", 68 * ZHE + GRIN, UCS, 70, (70,)),
    ("38 emoji over the end", 69 * ZHE + GRIN, UCS, 71, (67, 4)),
    ("39 pair moves on", 66 * ZHE + GRIN + 3 * ZHE, UCS, 71, (66, 5)),
    ("40 pair moves on and fits", 66 * ZHE + GRIN + 65 * ZHE, UCS, 133, (66, 67)),
    ("41 dividing is wrong", 66 * ZHE + GRIN + 66 * ZHE, UCS, 134, (66, 67, 1)),
    ("42 emoji after 160", 160 * A + GRIN, UCS, 162, (67, 67, 28)),
    ("43 67 emoji", 67 * GRIN, UCS, 134, (66, 66, 2)),
    ("44 joined emoji", FAMILY, UCS, 11, (11,)),
    ("44 flag", FLAG, UCS, 4, (4,)),
    ("44 combining accent", "e\N{COMBINING ACUTE ACCENT}", UCS, 2, (2,)),
    ("45 brackets in UCS-2", ZHE + 17 * "{}[]", UCS, 69, (69,)),
    ("pairs may part inside a joined emoji", 60 * ZHE + FAMILY + 62 * ZHE, UCS, 133, (66, 67)),
]


@pytest.mark.parametrize(
    ("text", "encoding", "units", "per_segment"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS]
)
def test_a_known_text_is_counted_as_the_standard_says(text, encoding, units, per_segment):
    """Each vector has the encoding, units and segments that the standard and public implementations agree on."""
    found = segment(text)

    assert (found.encoding, found.units, found.per_segment) == (encoding, units, per_segment)
    assert found.segments == len(per_segment)


def reference(text: str) -> tuple[Encoding, tuple[int, ...]]:
    """Pack character by character, as a handset's firmware would."""
    gsm = all(character in BASIC + EXTENSION for character in text)
    costs = [(1 + (c in EXTENSION)) if gsm else (1 + (ord(c) > 0xFFFF)) for c in text]
    alone, joined = (160, 153) if gsm else (70, 67)
    limit = alone if sum(costs) <= alone else joined
    sizes: list[int] = []
    for cost in costs:
        if not sizes or sizes[-1] + cost > limit:
            sizes.append(0)
        sizes[-1] += cost
    return (GSM if gsm else UCS), tuple(sizes)


def long_texts(alphabet: str) -> st.SearchStrategy[str]:
    """Make texts whose length comes close to the sizes where a new segment starts."""
    runs = st.tuples(
        st.sampled_from(alphabet), st.sampled_from([1, 1, 1, 2, 65, 66, 67, 70, 75, 150, 151, 152, 153, 160])
    )
    return st.lists(runs, max_size=8).map(lambda parts: "".join(character * count for character, count in parts))


TEXTS = st.one_of(long_texts(f"a{EURO}["), long_texts(f"a{EURO}{ZHE}{GRIN}"), st.text(max_size=400))


@given(TEXTS)
def test_every_text_is_packed_as_the_slow_reading_packs_it(text):
    """The fast packing and a character-by-character one agree on encoding and segments."""
    found = segment(text)

    assert (found.encoding, found.per_segment) == reference(text)


@given(TEXTS)
def test_segments_hold_all_units_and_no_more_than_they_can(text):
    """The segments add up to the units and each is within the size that its encoding and their number allow."""
    found = segment(text)
    limits = LIMITS[found.encoding]
    most = limits.alone if found.segments == 1 else limits.joined

    assert sum(found.per_segment) == found.units
    assert all(0 < size <= most for size in found.per_segment)
    assert all(size >= limits.joined - 1 for size in found.per_segment[:-1])


@given(TEXTS, st.characters(exclude_categories=["Cs"]))
def test_a_longer_text_never_takes_fewer_segments(text, character):
    """Adding a character at either end never makes a text cheaper."""
    assert segment(text + character).segments >= segment(text).segments
    assert segment(character + text).segments >= segment(text).segments


@given(TEXTS, TEXTS)
def test_two_texts_in_one_cost_what_both_cost(first, second):
    """Units add up when the encoding stays, and joining saves nothing but the seam of two short texts."""
    both, one, other = segment(first + second), segment(first), segment(second)

    assert both.segments >= max(one.segments, other.segments)
    if both.encoding == one.encoding == other.encoding:
        assert both.units == one.units + other.units
        assert both.segments <= one.segments + other.segments + 1
    else:
        assert both.encoding is UCS


@given(TEXTS)
def test_the_characters_that_cost_extra_are_named_once_each_in_order(text):
    """Offending characters are those outside the alphabet, doubled those of its extension, with first and count."""
    found = segment(text)
    gsm = found.encoding is GSM
    expected = [c for c in dict.fromkeys(text) if (c in EXTENSION if gsm else c not in BASIC + EXTENSION)]
    named, other = (found.doubled, found.offending) if gsm else (found.offending, found.doubled)

    assert [Offending(c, text.index(c), text.count(c)) for c in expected] == list(named)
    assert other == ()
    assert (found.offending == ()) is gsm


def test_an_offending_character_says_where_it_is_and_what_it_is_called():
    """A curly quote is reported with its place, its number and the name an author can look up."""
    quote = "\N{RIGHT SINGLE QUOTATION MARK}"
    [found] = segment(f"it{quote}s Ann{quote}s").offending

    assert found == Offending(quote, first=2, count=2)
    assert (found.code_point, found.name) == ("U+2019", "RIGHT SINGLE QUOTATION MARK")


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\t", "<control-0009>"),
        ("\ud83d", "<surrogate-D83D>"),
        ("\ue000", "<private-use-E000>"),
        ("\U0010ffff", "<unassigned-10FFFF>"),
        (GRIN, "GRINNING FACE"),
    ],
)
def test_every_character_can_be_called_something(character, name):
    """A character without a Unicode name gets a code point label."""
    assert Offending(character, 0, 1).name == name


def test_the_alphabet_is_the_published_one():
    """The table has 127 characters beside the escape, 10 extensions, and not the small c cedilla of some tables."""
    assert len(set(BASIC)) == len(BASIC) == 127
    assert len(set(EXTENSION)) == len(EXTENSION) == 10
    assert not set(BASIC) & set(EXTENSION)
    assert "\x1b" not in BASIC + EXTENSION
    assert "Ç" in BASIC
    assert "ç" not in BASIC


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\f", "\t", "\N{NO-BREAK SPACE}", "a", EURO, GRIN, "\N{ZERO WIDTH JOINER}"]
)
def test_white_space_and_printable_characters_may_be_sent(character):
    """Line breaks, form feed, tab, spaces and emoji are no control characters to refuse."""
    assert unsendable(f"a{character}b") == ()


@given(st.characters(categories=["Cc", "Cs"]))
def test_other_control_characters_and_half_pairs_may_not_be_sent(character):
    """Every control character but four, and every lone surrogate, is reported with its place."""
    expected = () if character in "\n\r\f\t" else (Offending(character, 1, 1),)

    assert unsendable(f"a{character}b") == expected


def test_unsendable_characters_are_listed_once_each_in_order():
    """Several of them come in order of first appearance, with counts."""
    assert unsendable("\x1b[\x00\x1b") == (Offending("\x1b", 0, 2), Offending("\x00", 2, 1))


@given(st.text(st.sampled_from(["a", "\ud83d", "\ude00", ZHE]), max_size=200))
def test_counting_never_fails_on_half_pairs(text):
    """A text that will be refused for lone surrogates can still be counted for the refusal."""
    found = segment(text)

    assert sum(found.per_segment) == found.units == len(text)


@pytest.mark.parametrize(
    ("text", "proposal"),
    [
        ("plain", "plain"),
        ("", ""),
        ("it\N{RIGHT SINGLE QUOTATION MARK}s", "it's"),
        ("\N{LEFT DOUBLE QUOTATION MARK}now\N{RIGHT DOUBLE QUOTATION MARK}\N{HORIZONTAL ELLIPSIS}", '"now"...'),
        ("9\N{EN DASH}5 \N{EM DASH} ok", "9-5 - ok"),
        ("5\N{NO-BREAK SPACE}" + EURO, "5 " + EURO),
        ("cafe\N{COMBINING ACUTE ACCENT}", "café"),
        ("a\tb`c`", "a b'c'"),
        ("zero\N{ZERO WIDTH SPACE}width", "zerowidth"),
        ("fête", None),
        (f"it\N{RIGHT SINGLE QUOTATION MARK}s {GRIN}", None),
        (ZHE, None),
    ],
)
def test_a_suggestion_changes_typography_and_never_a_letter(text, proposal):
    """Quotes, dashes and spaces are replaced; a text that letters or emoji keep in UCS-2 gets no suggestion."""
    assert suggest_gsm7(text) == proposal


@given(st.text([*SUGGESTIONS, "a", "é", EURO, GRIN, ZHE], max_size=40))
def test_a_suggestion_is_gsm_7_and_stays_as_it_is(text):
    """What is suggested is GSM-7, and asking again suggests the same."""
    proposal = suggest_gsm7(text)

    if proposal is not None:
        assert segment(proposal).encoding is GSM
        assert suggest_gsm7(proposal) == proposal
    else:
        assert {GRIN, ZHE} & set(text)


def test_every_suggested_replacement_is_in_the_alphabet_and_replaces_no_letter():
    """The table maps characters outside the alphabet to characters of it, and no letter of a word."""
    for character, replacement in SUGGESTIONS.items():
        assert character not in BASIC + EXTENSION
        assert set(replacement) <= set(BASIC)
        assert unicodedata.category(character)[0] != "L" or character == "\N{MODIFIER LETTER APOSTROPHE}"


def test_a_segmentation_cannot_be_changed():
    """A result may be cached and shared."""
    with pytest.raises(AttributeError):
        segment("a").units = 5


def test_an_empty_text_has_no_segments():
    """Nothing is sent for an empty text, so nothing is counted."""
    assert segment("") == Segmentation(GSM, 0, (), "")


def test_a_segmentation_does_not_print_the_text():
    """A count that lands in a log line does not carry what was written."""
    assert "secret" not in repr(segment("secret"))
