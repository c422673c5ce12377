"""What a reply means: stop, start, help, or a text like any other.

A reply acts only when the whole of it is a keyword; that is how the vendors match, and a looser rule would unsubscribe
people who answer "the end". The FCC also wants any reasonable wording honoured, so a short reply that contains a stop
keyword is pointed out for a person or a journey to decide:
https://www.ecfr.gov/current/title-47/section-64.1200 (paragraph (a)(10)).

Some keywords are ordinary answers too ("reply YES to confirm"). Whoever acts on a start keyword therefore looks first
whether the number is opted out; and words that a campaign uses otherwise can be dropped.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class KeywordKind(StrEnum):
    """What a keyword asks for."""

    STOP = "stop"
    """No more texts from this sender."""
    START = "start"
    """Texts again, after a stop."""
    HELP = "help"
    """Who is writing, and how to stop."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One keyword of the table.

    Args:
        word: The keyword as ``normalise`` leaves it.
        kind: What it asks for.
        languages: ISO 639 codes of the languages it is a keyword in.
        required: On the list that the FCC obliges every sender to honour, so it cannot be dropped.
    """

    word: str
    kind: KeywordKind
    languages: frozenset[str]
    required: bool = False


_EN, _FR, _NO = frozenset({"en"}), frozenset({"fr"}), frozenset({"no"})
_STOP, _START, _HELP = KeywordKind.STOP, KeywordKind.START, KeywordKind.HELP

ENTRIES = (
    # 47 CFR 64.1200(a)(10): the words that revoke consent per se, in force since 11 April 2025.
    Entry("STOP", _STOP, _EN, required=True),
    Entry("QUIT", _STOP, _EN, required=True),
    Entry("END", _STOP, _EN, required=True),
    Entry("REVOKE", _STOP, _EN, required=True),
    Entry("OPT OUT", _STOP, _EN, required=True),
    Entry("CANCEL", _STOP, _EN, required=True),
    Entry("UNSUBSCRIBE", _STOP, _EN, required=True),
    # https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out
    Entry("STOPALL", _STOP, _EN),
    Entry("STOP ALL", _STOP, _EN),
    Entry("OPTOUT", _STOP, _EN),
    Entry("START", _START, _EN),
    Entry("UNSTOP", _START, _EN),
    Entry("YES", _START, _EN),
    Entry("HELP", _HELP, _EN),
    Entry("INFO", _HELP, _EN),
    # https://docs.aws.amazon.com/sms-voice/latest/userguide/keywords-required.html
    Entry("REMOVE", _STOP, _EN),
    Entry("TD", _STOP, _EN),
    Entry("ARRET", _STOP, _FR),
    # https://enterprise.telesign.com/legal (shared codes)
    Entry("OPTIN", _START, _EN),
    # https://www.twilio.com/docs/proxy/opt-out-keywords
    Entry("ARRETE", _STOP, _FR),
    Entry("ARRETT", _STOP, _FR),
    # https://docs.aws.amazon.com/end-user-messaging/latest/userguide/nx-rcs-launch-ca-french.md
    Entry("AIDE", _HELP, _FR),
    # https://developer.telesign.com/enterprise/docs/inbound-sms-action-to-keyword-mapping
    Entry("CONTACT", _HELP, _FR),
    # https://help.bronto.com (Norway) and https://help.brevo.com/hc/en-us/articles/208723209 (Norway)
    Entry("STOPP", _STOP, frozenset({"no", "de"})),
    Entry("UNSUB", _STOP, _NO),
    # No vendor's page lists these: they act only where an operator asks for the language.
    Entry("ABMELDEN", _STOP, frozenset({"de"})),
    Entry("BAJA", _STOP, frozenset({"es"})),
    Entry("ALTO", _STOP, frozenset({"es"})),
    Entry("PARAR", _STOP, frozenset({"es"})),
    Entry("CANCELAR", _STOP, frozenset({"es"})),
    Entry("ANNULLA", _STOP, frozenset({"it"})),
)
"""The keywords of all languages; a word occurs once."""

LANGUAGES = frozenset[str]().union(*(entry.languages for entry in ENTRIES))
"""The languages that have keywords."""

DEFAULT_LANGUAGES = frozenset({"en", "fr", "no"})
"""The languages whose keywords vendors themselves act on; French is required in Canada."""

MOST_WORDS_OF_AN_OPT_OUT = 5
"""A longer reply that contains a stop keyword is a conversation, not an opt-out."""

_NOT_LETTERS_OR_DIGITS = re.compile(r"[\W_]+")
_NOT_ASCII_LETTERS_OR_DIGITS = re.compile(r"[^A-Z0-9]+")


def normalise(text: str) -> str:
    """Reduce a reply to what keywords are compared by.

    Compatibility forms become plain ones, accents go, letters become capitals, and whatever is no letter or digit
    becomes one space. Words are not joined: "sto p" is no keyword.

    Args:
        text: The reply as it came.

    Returns:
        Words in capitals with one space between; empty when there are none.
    """
    if text.isascii():
        return _NOT_ASCII_LETTERS_OR_DIGITS.sub(" ", text.upper()).strip()
    capitals = unicodedata.normalize("NFKD", text).upper()
    plain = "".join(character for character in capitals if not unicodedata.category(character).startswith("M"))
    return _NOT_LETTERS_OR_DIGITS.sub(" ", plain).strip()


@dataclass(frozen=True, slots=True)
class KeywordRules:
    """Which keywords act.

    Args:
        languages: The languages whose keywords act, as ISO 639 codes.
        drop: Keywords that do not act because they are ordinary answers here, such as ``YES`` and ``TD``.

    Raises:
        ValueError: A language has no keywords, a word to drop is no keyword, or the FCC does not allow dropping it.
    """

    languages: frozenset[str] = DEFAULT_LANGUAGES
    drop: frozenset[str] = frozenset()
    kinds: Mapping[str, KeywordKind] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the rules once and look the words up, so that reading a reply neither fails nor searches."""
        if unknown := self.languages - LANGUAGES:
            raise ValueError(f"No keywords for {_listed(unknown)}; the languages are {_listed(LANGUAGES)}.")
        dropped = {normalise(word) for word in self.drop}
        if strange := dropped - {entry.word for entry in ENTRIES}:
            raise ValueError(f"These are no keywords, so cannot be dropped: {_listed(strange)}.")
        if required := dropped & {entry.word for entry in ENTRIES if entry.required}:
            raise ValueError(f"The FCC requires these to be honoured (47 CFR 64.1200(a)(10)): {_listed(required)}.")
        kinds = {e.word: e.kind for e in ENTRIES if e.languages & self.languages and e.word not in dropped}
        object.__setattr__(self, "kinds", MappingProxyType(kinds))


@dataclass(frozen=True, slots=True)
class Keyword:
    """What was found in a reply.

    Args:
        kind: What it asks for; ``None`` when it is a text like any other.
        word: The keyword it matched, or the stop keyword a possible opt-out contains; ``None`` when there is none.
        possible_opt_out: It is no keyword, but short and contains a stop keyword: someone should read it.
    """

    kind: KeywordKind | None = None
    word: str | None = None
    possible_opt_out: bool = False


DEFAULT_RULES = KeywordRules()
"""The keywords that vendors act on, none dropped, so that their opt-out lists and ours agree."""

_NO_KEYWORD = Keyword()


def classify(text: str, rules: KeywordRules = DEFAULT_RULES) -> Keyword:
    """Say what a reply asks for.

    Args:
        text: The reply as it came.
        rules: Which keywords act.

    Returns:
        The keyword, a possible opt-out, or neither.
    """
    reply = normalise(text)
    kind = rules.kinds.get(reply)
    if kind is not None:
        return Keyword(kind, reply)
    words = reply.split(" ")
    if len(words) > MOST_WORDS_OF_AN_OPT_OUT:
        return _NO_KEYWORD
    for part in (*(" ".join(pair) for pair in pairwise(words)), *words):
        if rules.kinds.get(part) is KeywordKind.STOP:
            return Keyword(None, part, possible_opt_out=True)
    return _NO_KEYWORD


def _listed(words: frozenset[str] | set[str]) -> str:
    """Return the words in a fixed order for a person."""
    return ", ".join(sorted(words))
