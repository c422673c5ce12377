"""How a text is encoded on the air and how many segments it is billed as.

A text whose characters all occur in the GSM 7-bit default alphabet travels as GSM-7, any other travels whole as UCS-2.
The alphabet, its extension table and the sizes come from 3GPP TS 23.038 (clause 6.2.1) and
TS 23.040 (clause 9.2.3.24.1), https://www.3gpp.org/dynareport/23038.htm and
https://www.3gpp.org/dynareport/23040.htm. Vendors count alike:
https://learn.microsoft.com/azure/communication-services/concepts/sms/sms-faq and
https://www.twilio.com/docs/glossary/what-sms-character-limit.

National language shift tables are left out because no vendor promises them. The count is an estimate all the same: a
vendor or a carrier may encode a text anew, and some keep an emoji sequence whole where the standard lets it be split.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from enum import StrEnum

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
"""The default alphabet in the order of its codes, without the escape code: one septet each."""

EXTENSION = "\f^{}\\[~]|€"
"""The extension table: an escape code and a second septet each."""

SUGGESTIONS: dict[str, str] = {
    "\t": " ",
    "`": "'",
    # Unicode blocks "Latin-1 Supplement" and "General Punctuation", https://www.unicode.org/charts/PDF/U2000.pdf
    "\N{NO-BREAK SPACE}": " ",
    "\N{EN QUAD}": " ",
    "\N{EM QUAD}": " ",
    "\N{EN SPACE}": " ",
    "\N{EM SPACE}": " ",
    "\N{THREE-PER-EM SPACE}": " ",
    "\N{FOUR-PER-EM SPACE}": " ",
    "\N{SIX-PER-EM SPACE}": " ",
    "\N{FIGURE SPACE}": " ",
    "\N{PUNCTUATION SPACE}": " ",
    "\N{THIN SPACE}": " ",
    "\N{HAIR SPACE}": " ",
    "\N{NARROW NO-BREAK SPACE}": " ",
    "\N{MEDIUM MATHEMATICAL SPACE}": " ",
    "\N{IDEOGRAPHIC SPACE}": " ",
    "\N{LINE SEPARATOR}": "\n",
    "\N{PARAGRAPH SEPARATOR}": "\n",
    "\N{SOFT HYPHEN}": "",
    "\N{ZERO WIDTH SPACE}": "",
    "\N{WORD JOINER}": "",
    "\N{ZERO WIDTH NO-BREAK SPACE}": "",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{SINGLE LOW-9 QUOTATION MARK}": "'",
    "\N{SINGLE HIGH-REVERSED-9 QUOTATION MARK}": "'",
    "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}": "'",
    "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}": "'",
    "\N{MODIFIER LETTER APOSTROPHE}": "'",
    "\N{ACUTE ACCENT}": "'",
    "\N{PRIME}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{DOUBLE LOW-9 QUOTATION MARK}": '"',
    "\N{DOUBLE HIGH-REVERSED-9 QUOTATION MARK}": '"',
    "\N{LEFT-POINTING DOUBLE ANGLE QUOTATION MARK}": '"',
    "\N{RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK}": '"',
    "\N{DOUBLE PRIME}": '"',
    "\N{HYPHEN}": "-",
    "\N{NON-BREAKING HYPHEN}": "-",
    "\N{FIGURE DASH}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{HORIZONTAL BAR}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{BULLET}": "*",
    "\N{FRACTION SLASH}": "/",
    "\N{DIVISION SLASH}": "/",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{TRADE MARK SIGN}": "(TM)",
    "\N{REGISTERED SIGN}": "(R)",
    "\N{COPYRIGHT SIGN}": "(C)",
}
"""What typographic characters may be replaced by without changing a word; letters are left to the author."""


class Encoding(StrEnum):
    """How a text travels."""

    GSM_7 = "GSM-7"
    """Septets of the default alphabet; a character of the extension table takes two."""
    UCS_2 = "UCS-2"
    """16-bit code units; a character outside the basic multilingual plane takes two."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many units a segment holds.

    Args:
        alone: Units of a text that fits one segment: septets or code units in 140 bytes.
        joined: Units of each segment of a longer text, 6 bytes of which carry the header that joins them.
    """

    alone: int
    joined: int


_GSM7_LIMITS, _UCS2_LIMITS = Limits(160, 153), Limits(70, 67)
LIMITS = {Encoding.GSM_7: _GSM7_LIMITS, Encoding.UCS_2: _UCS2_LIMITS}
"""The sizes with an 8-bit concatenation reference, which is what the vendors use."""

_CODE_POINT_LABELS = {"Cc": "control", "Cs": "surrogate", "Co": "private-use"}


@dataclass(frozen=True, slots=True)
class Offending:
    """A character that makes a text dearer or unsendable, and where it stands.

    Args:
        character: The character.
        first: The index of its first occurrence in the text, in characters.
        count: How often it occurs.
    """

    character: str
    first: int
    count: int

    @property
    def code_point(self) -> str:
        """The code point in the usual notation, such as ``U+2019``."""
        return f"U+{ord(self.character):04X}"

    @property
    def name(self) -> str:
        """The Unicode name, or a code point label such as ``<control-0009>`` where there is no name.

        Source: https://www.unicode.org/versions/latest/core-spec/chapter-4/ (code point labels).
        """
        label = _CODE_POINT_LABELS.get(unicodedata.category(self.character), "unassigned")
        return unicodedata.name(self.character, f"<{label}-{ord(self.character):04X}>")


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What a text costs on the air.

    The characters that cost extra are looked up when they are asked for: every message is counted, few are explained.

    Args:
        encoding: How it travels.
        units: Its length in septets (GSM-7) or 16-bit code units (UCS-2).
        per_segment: The units in each segment, in order; empty for an empty text.
        text: The text that was counted.
    """

    encoding: Encoding
    units: int
    per_segment: tuple[int, ...]
    text: str = field(repr=False)

    @property
    def segments(self) -> int:
        """The number of segments; 0 for an empty text."""
        return len(self.per_segment)

    @property
    def offending(self) -> tuple[Offending, ...]:
        """The characters that forced UCS-2, in order of first appearance; empty for GSM-7."""
        return _occurrences(self.text, set(self.text) - _GSM7_SET)

    @property
    def doubled(self) -> tuple[Offending, ...]:
        """The extension characters that cost two septets, in order of first appearance; empty for UCS-2."""
        if self.encoding is Encoding.UCS_2:
            return ()
        return _occurrences(self.text, _EXTENSION_SET.intersection(self.text))


_ESCAPE = "\x1b"
_BYTES_A_UNIT = 2
_HIGH_SURROGATE_LEADS = range(0xD8, 0xDC)
_EXTENSION_SET = frozenset(EXTENSION)
_GSM7_SET = frozenset(BASIC + EXTENSION)
_ALL_BASIC = re.compile(f"[{re.escape(BASIC)}]*+")
_ALL_GSM7 = re.compile(f"[{re.escape(BASIC + EXTENSION)}]*+")
_UNSENDABLE = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_SUGGESTIONS = str.maketrans(SUGGESTIONS)


def segment(text: str) -> Segmentation:
    """Say how a text is encoded and how it falls into segments.

    Units that belong together (an escape code and its septet, a surrogate pair) are never parted: where they would be,
    the segment ends one unit early. Any text is counted, even one that ``unsendable`` objects to.

    Args:
        text: The text as the recipient should read it.

    Returns:
        The encoding, the units in each segment and the characters that cost extra.
    """
    if _ALL_BASIC.fullmatch(text):
        return Segmentation(Encoding.GSM_7, len(text), _fill(len(text), _GSM7_LIMITS), text)
    if _ALL_GSM7.fullmatch(text):
        septets = text
        for character in _EXTENSION_SET.intersection(text):
            septets = septets.replace(character, _ESCAPE + character)
        sizes = _fill(len(septets), _GSM7_LIMITS, lambda index: septets[index] == _ESCAPE)
        return Segmentation(Encoding.GSM_7, len(septets), sizes, text)
    # Texts with half a surrogate pair are refused elsewhere; counting them must not fail.
    code_units = text.encode("utf-16-be", "surrogatepass")
    units = len(code_units) // _BYTES_A_UNIT
    if units == len(text):
        return Segmentation(Encoding.UCS_2, units, _fill(units, _UCS2_LIMITS), text)
    sizes = _fill(units, _UCS2_LIMITS, lambda index: code_units[_BYTES_A_UNIT * index] in _HIGH_SURROGATE_LEADS)
    return Segmentation(Encoding.UCS_2, units, sizes, text)


def unsendable(text: str) -> tuple[Offending, ...]:
    """Return the characters that no text may contain, in order of first appearance.

    These are control characters other than line feed, carriage return and form feed, which the alphabet has, and tab,
    which UCS-2 carries as white space; and halves of surrogate pairs, which no encoding can carry. An escape character
    would be read as the start of an extension code, and C1 controls are mostly quotes from a mistaken code page.

    Args:
        text: The text to be sent.

    Returns:
        The characters; empty when the text may be sent.
    """
    if not _UNSENDABLE.search(text):
        return ()
    return _occurrences(text, set(_UNSENDABLE.findall(text)))


def suggest_gsm7(text: str) -> str | None:
    """Propose how to write a text in GSM-7 without changing a word of it.

    Combining accents are composed and typographic characters replaced by those of ``SUGGESTIONS``. Nothing is applied
    by the gateway itself: what a recipient reads is the author's to decide.

    Args:
        text: The text to be sent.

    Returns:
        The text to send instead, the same text when it is GSM-7 already, or ``None`` when letters, emoji or other
        characters would keep it UCS-2 all the same.
    """
    if _ALL_GSM7.fullmatch(text):
        return text
    proposal = unicodedata.normalize("NFC", text).translate(_SUGGESTIONS)
    return proposal if _ALL_GSM7.fullmatch(proposal) else None


def _fill(units: int, limits: Limits, opens_pair: Callable[[int], bool] | None = None) -> tuple[int, ...]:
    """Return the units in each segment; ``opens_pair`` says which indices hold the first half of two units."""
    if units <= limits.alone:
        return (units,) if units else ()
    if opens_pair is None:
        full, rest = divmod(units, limits.joined)
        return (limits.joined,) * full + ((rest,) if rest else ())
    sizes = []
    start = 0
    while units - start > limits.joined:
        size = limits.joined - opens_pair(start + limits.joined - 1)
        sizes.append(size)
        start += size
    return (*sizes, units - start)


def _occurrences(text: str, characters: Collection[str]) -> tuple[Offending, ...]:
    """Return where the characters stand in the text, by first appearance."""
    if not characters:
        return ()
    counts = Counter(text)
    return tuple(
        Offending(character, text.index(character), count)
        for character, count in counts.items()
        if character in characters
    )
