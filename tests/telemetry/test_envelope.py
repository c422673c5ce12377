"""What travels through the queue beside a batch's id, and what happens to messages of other releases."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gateway.clock import to_ms
from functions.gateway.envelope import Work, dispatch, read_work
from functions.gateway.telemetry import NOWHERE, Trace

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_what_is_put_is_read():
    """A batch comes out with the moment it is due and its trace as they went in."""
    due = datetime(2026, 11, 22, 12, 30, 15, 250_000, UTC)
    assert read_work(dispatch("b", due=due, trace=Trace(PARENT, "shop=1")).encode()) == Work(
        "b", due, Trace(PARENT, "shop=1")
    )


def test_a_message_without_telemetry_is_as_it_always_was():
    """Without a trace and a moment the body is that of earlier releases, byte for byte."""
    assert dispatch("b") == '{"v":1,"message":{"batch":"b"}}'
    assert read_work(b'{"v":1,"message":{"batch":"b"}}') == Work("b", None, NOWHERE)


def test_an_earlier_release_reads_it():
    """A worker of an earlier release, which reads version and batch alone, takes up what this one queues."""
    document = orjson.loads(dispatch("b", due=datetime.now(UTC), trace=Trace(PARENT)))
    assert (document["v"], document["message"]["batch"]) == (1, "b")
    # The host lays top-level properties over its own metadata.
    assert set(document) == {"v", "message"}


def test_a_state_that_is_too_long_is_left_behind():
    """A tracestate of more than 512 characters is not carried, as the W3C allows; the trace itself is."""
    kept = read_work(dispatch("b", trace=Trace(PARENT, "x=" + "y" * 600)).encode()).trace
    assert kept == Trace(PARENT, "")


@pytest.mark.parametrize("trace", [None, [], [1, 2], ["a"], ["a", "b", "c"], "text", {"parent": "x"}])
def test_a_trace_of_another_form_is_none(trace):
    """A trace that some later release writes in another way does not keep the batch from being dispatched."""
    body = orjson.dumps({"v": 1, "message": {"batch": "b", "trace": trace}})
    assert read_work(body) == Work("b", None, NOWHERE)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"x"',
        b"{}",
        b'{"v": 2, "message": {"batch": "b"}}',
        b'{"v": 1}',
        b'{"v": 1, "message": []}',
        b'{"v": 1, "message": {}}',
        b'{"v": 1, "message": {"batch": "b", "due": 1e300}}',
        b'{"v": 1, "message": {"batch": "b", "due": "soon"}}',
    ],
)
def test_what_is_no_message_is_refused(body):
    """Anything else is a ValueError, so that it ends in the poison queue."""
    with pytest.raises(ValueError):
        read_work(body)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_document_is_read_or_refused(document):
    """Whatever lies in the queue is read, or refused with a ValueError."""
    for body in (orjson_or_empty(document), orjson_or_empty({"v": 1, "message": document})):
        with suppress(ValueError):
            assert isinstance(read_work(body).batch, str)


def orjson_or_empty(document):
    """Return JSON, or nothing where the document cannot be written as such."""
    try:
        return orjson.dumps(document)
    except TypeError:
        return b""


def test_a_moment_keeps_its_milliseconds():
    """The moment travels in milliseconds, as all moments of the gateway do."""
    due = datetime.now(UTC)
    found = read_work(dispatch("b", due=due).encode()).due
    assert found is not None
    assert to_ms(found) == to_ms(due)
