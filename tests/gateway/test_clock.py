"""Ids carry their time and their batch, and rows sort newest first."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.clock import (
    Ids,
    bucket,
    derived_id,
    is_ulid,
    message_id,
    newest_first,
    split_message_id,
    ulid,
    ulid_ms,
)

MOMENTS = st.integers(min_value=0, max_value=2**48 - 1)


@given(MOMENTS, st.binary(min_size=10, max_size=10))
def test_an_id_carries_its_time(milliseconds: int, randomness: bytes) -> None:
    """The time that went into an id comes out of it."""
    made = ulid(milliseconds, randomness)

    assert is_ulid(made)
    assert ulid_ms(made) == milliseconds


@given(MOMENTS, MOMENTS)
def test_ids_and_rows_sort_by_time(one: int, other: int) -> None:
    """Ids sort oldest first, partitions and keys newest first."""
    earlier, later = sorted((one, other))

    assert ulid(earlier, bytes(10)) <= ulid(later, bytes(10))
    assert newest_first(later, "x") <= newest_first(earlier, "x")
    assert bucket(later) <= bucket(earlier)
    assert len(bucket(later)) == len(bucket(earlier)) == 9


@given(MOMENTS, st.integers(0, 99))
def test_a_message_id_names_its_batch(milliseconds: int, index: int) -> None:
    """Batch and place come out of a message id."""
    batch = ulid(milliseconds, bytes(10))

    assert split_message_id(message_id(batch, index)) == (batch, index)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "U" * 29,
        "01kb3v9r2m8q4t6w0x5y7z1a2b",
        "01kb3v9r2m8q4t6w0x5y7z1a2b-",
        "01kb3v9r2m8q4t6w0x5y7z1a2b-\u0660\u0660",
    ],
)
def test_other_texts_are_no_message_ids(text: str) -> None:
    """Whatever is not a message id is told as such."""
    assert split_message_id(text) is None


def test_derived_ids_repeat_and_differ() -> None:
    """The same seed and number give the same id, another number another, all of the seed's time."""
    seed = Ids(lambda: datetime(2026, 11, 22, tzinfo=UTC), bytes).new()

    assert derived_id(seed, 1) == derived_id(seed, 1)
    assert len({derived_id(seed, number) for number in range(100)}) == 100
    assert ulid_ms(derived_id(seed, 7)) == ulid_ms(seed)
