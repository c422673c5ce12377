"""What a reply asks for: exact keywords act, near misses are pointed out, everything else is just a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.keywords import (
    DEFAULT_RULES,
    ENTRIES,
    LANGUAGES,
    Keyword,
    KeywordKind,
    KeywordRules,
    classify,
    normalise,
)

STOP, START, HELP = KeywordKind.STOP, KeywordKind.START, KeywordKind.HELP
STOP_SIGN = "\N{OCTAGONAL SIGN}"

ACTING = [
    ("STOP", STOP, "STOP"),
    (" stop\n", STOP, "STOP"),
    ("Stop.", STOP, "STOP"),
    ("STOP!!", STOP, "STOP"),
    ("\N{LEFT DOUBLE QUOTATION MARK}stop\N{RIGHT DOUBLE QUOTATION MARK}", STOP, "STOP"),
    ("Arrêt", STOP, "ARRET"),
    ("arre\N{COMBINING CIRCUMFLEX ACCENT}t", STOP, "ARRET"),
    ("Opt-Out", STOP, "OPT OUT"),
    ("opt_out", STOP, "OPT OUT"),
    ("opt  out", STOP, "OPT OUT"),
    ("\uff33\uff34\uff2f\uff30", STOP, "STOP"),
    (f"StOp {STOP_SIGN}", STOP, "STOP"),
    ("Stop all", STOP, "STOP ALL"),
    ("stopp", STOP, "STOPP"),
    ("unsub", STOP, "UNSUB"),
    ("td", STOP, "TD"),
    ("Start", START, "START"),
    ("yes!", START, "YES"),
    ("UNSTOP", START, "UNSTOP"),
    ("optin", START, "OPTIN"),
    ("help?", HELP, "HELP"),
    ("Aide", HELP, "AIDE"),
]

POSSIBLE_OPT_OUTS = [
    ("please stop", "STOP"),
    ("STOP please", "STOP"),
    ("The end", "END"),
    ("stop stop stop", "STOP"),
    ("opt out of this please", "OPT OUT"),
    ("please stop all messages now", "STOP ALL"),
    ("j'arrête", "ARRETE"),
    ("stop, " * 5, "STOP"),
    ("start stop", "STOP"),
]

NEITHER = [
    "",
    " ",
    STOP_SIGN,
    "sto p",
    "stoppen",
    "nonstop",
    "out opt",
    "yes please",
    "help me now",
    "start again",
    "can you stop by at six",
    "the bus stop is over there now",
    "abmelden",
    "baja",
    "\N{CYRILLIC CAPITAL LETTER DZE}TOP",
]


@pytest.mark.parametrize(("text", "kind", "word"), ACTING, ids=[ascii(row[0]) for row in ACTING])
def test_a_reply_that_is_a_keyword_acts(text, kind, word):
    """Case, accents, width, punctuation and emoji around a keyword do not hide it."""
    assert classify(text) == Keyword(kind, word, possible_opt_out=False)


@pytest.mark.parametrize(("text", "word"), POSSIBLE_OPT_OUTS)
def test_a_short_reply_with_a_stop_keyword_is_pointed_out(text, word):
    """Up to five words that contain a stop keyword do not act, but someone is told."""
    assert classify(text) == Keyword(None, word, possible_opt_out=True)


@pytest.mark.parametrize("text", NEITHER, ids=[ascii(text) for text in NEITHER])
def test_any_other_reply_is_just_a_text(text):
    """Longer replies, parts of words, words in pieces and languages not asked for are no opt-out."""
    assert classify(text) == Keyword(None, None, possible_opt_out=False)


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry.word for entry in ENTRIES])
def test_every_entry_acts_in_its_languages_only(entry):
    """A keyword acts in each of its languages, and in no rules that leave these out."""
    for language in LANGUAGES:
        found = classify(entry.word.lower(), KeywordRules(frozenset({language})))

        assert found.kind is (entry.kind if language in entry.languages else None)


def test_the_table_holds_each_word_once_as_replies_are_compared():
    """No word is listed twice and each is spelled as normalising leaves it."""
    words = [entry.word for entry in ENTRIES]

    assert len(set(words)) == len(words)
    assert [normalise(word) for word in words] == words


def test_the_words_the_law_names_are_kept():
    """The seven words of the FCC's rule are stop keywords and marked as required."""
    required = {entry.word for entry in ENTRIES if entry.required}

    assert required == {"STOP", "QUIT", "END", "REVOKE", "OPT OUT", "CANCEL", "UNSUBSCRIBE"}
    assert {classify(word).kind for word in required} == {STOP}


@pytest.mark.parametrize("drop", [{"YES", "TD"}, {"yes", " td! "}])
def test_a_dropped_word_is_an_ordinary_answer(drop):
    """A word that a campaign uses otherwise neither acts nor points to an opt-out; the others still do."""
    rules = KeywordRules(drop=frozenset(drop))

    assert [classify(text, rules).kind for text in ("yes", "td", "stop", "start")] == [None, None, STOP, START]
    assert not classify("my td", rules).possible_opt_out
    assert classify("my td").possible_opt_out


@pytest.mark.parametrize("word", ["STOP", "opt-out", "Cancel", "END"])
def test_a_word_the_law_names_cannot_be_dropped(word):
    """Configuration that would ignore a lawful opt-out is refused when it is made."""
    with pytest.raises(ValueError, match="FCC requires"):
        KeywordRules(drop=frozenset({word}))


def test_a_slip_in_the_configuration_is_refused():
    """A language without keywords, or a word that is none, is named in the error instead of doing nothing."""
    with pytest.raises(ValueError, match="No keywords for xx; the languages are de, en"):
        KeywordRules(frozenset({"en", "xx"}))
    with pytest.raises(ValueError, match="no keywords, so cannot be dropped: YEA"):
        KeywordRules(drop=frozenset({"YEA"}))


def test_rules_can_be_compared_and_kept_in_a_set():
    """Equal rules are equal and hash alike, so a provider's rules can be cached."""
    assert KeywordRules() == DEFAULT_RULES
    assert len({KeywordRules(), DEFAULT_RULES, KeywordRules(drop=frozenset({"TD"}))}) == 2


PIECES = st.sampled_from(
    ["stop", "Opt", "out", "yes", "ê", "\u0301", " ", "-", "_", "\n", STOP_SIGN, "ﬁ", "ß", "ŉ", "İ", "\u0390"]
)
REPLIES = st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join), st.text(st.characters(), max_size=20))


@given(REPLIES)
def test_normalising_twice_changes_nothing_more(text):
    """A normal form is its own normal form: letters and digits in words one space apart."""
    normal = normalise(text)

    assert normalise(normal) == normal
    assert normal == " ".join(normal.split())
    assert all(character.isalnum() or character == " " for character in normal)


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_texts_take_the_short_way_to_the_same_form(text):
    """The way for ASCII and the way for all other texts agree: an accent that is dropped makes no difference."""
    assert normalise(text) == normalise(f"{text}\u0301")


@given(REPLIES)
def test_every_reply_is_read_without_an_error(text):
    """Whatever arrives is a keyword, a possible opt-out or neither, and never two of these."""
    found = classify(text)

    assert (found.word is not None) is (found.kind is not None or found.possible_opt_out)
    assert not (found.kind and found.possible_opt_out)
    assert classify(normalise(text)) == found


@given(
    st.sampled_from([e for e in ENTRIES if e.languages & DEFAULT_RULES.languages]),
    st.sampled_from(["{}!", "\u201c{}\u201d", " {}\n", "*{}*"]),
)
def test_a_keyword_acts_in_any_dress(entry, dress):
    """Quotes, blanks and punctuation around any keyword leave it a keyword."""
    assert classify(dress.format(entry.word.title())) == Keyword(entry.kind, entry.word)
