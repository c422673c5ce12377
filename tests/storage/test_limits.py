"""The sizes that both families reckon with before they send or write."""

from __future__ import annotations

import json
import string

from azure.data.tables._serialize import _add_entity_properties
from hypothesis import given
from hypothesis import strategies as st

from functions.storage import limits
from functions.storage.azure.tables import _entity
from functions.storage.ports import Row

keys = st.text(
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cc", "Cs"], exclude_characters="/\\#?"),
    min_size=1,
    max_size=512,
)
names = st.text(string.ascii_letters, min_size=1, max_size=255).filter(lambda name: name not in limits._RESERVED_NAMES)
values = (
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.binary()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**63 - 1)
)
rows = st.builds(Row, keys, keys, st.dictionaries(names, values, max_size=5))


@given(rows)
def test_a_row_on_the_wire_is_never_larger_than_reckoned(row: Row) -> None:
    """What the client really sends for a row fits into what we count for it."""
    sent = json.dumps(_add_entity_properties(_entity(row, "0123456789abcdef")))

    assert len(sent) <= limits._wire_bytes(row)


@given(rows)
def test_the_quick_bound_is_a_bound(row: Row) -> None:
    """Three times Azure's own count is never less than the bytes on the wire, so small rows need no closer look."""
    assert limits._wire_bytes(row) <= 3 * limits.check_row(row) + 2 * limits._ENVELOPE_BYTES


@given(st.text(max_size=200).map(lambda text: Row("p", "k", {"t": text}) if _is_utf8(text) else Row("p", "k")))
def test_a_text_counts_two_bytes_a_utf16_unit(row: Row) -> None:
    """The size of a text is that of its UTF-16, whichever way it is found."""
    text = str(row.values.get("t", ""))
    expected = 4 + 2 * 2 + sum(8 + 2 + 4 + 2 * len(text.encode("utf-16-le")) // 2 for _ in row.values)

    assert limits.check_row(row) == expected


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
