"""Functions that no caller waits for: they fail so that they are tried again, and without quoting anything."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest

from functions.storage.ports import StorageError
from functions.triggers.failures import FailedError, carry_out
from tests.triggers.test_callbacks import INBOUND_TYPE, event, post_events


async def test_done_is_done():
    """Work that succeeds raises nothing and is done once."""
    done = []

    async def work():
        done.append(1)

    await carry_out("f", work)
    assert done == [1]


@pytest.mark.parametrize("error", [ValueError, KeyError, StorageError, asyncio.CancelledError, ExceptionGroup])
async def test_an_error_loses_its_words(error):
    """Of an error only its kind and place are reported: neither its words, nor those of what caused it."""

    async def work():
        cause = RuntimeError("secret cause")
        raise (error("secret", [cause]) if error is ExceptionGroup else error("secret words")) from cause

    with pytest.raises(FailedError) as caught:
        await carry_out("dispatch_batch", work)
    assert str(caught.value).startswith(f"dispatch_batch failed with {error.__name__} at test_failures.py:")
    assert "secret" not in "".join(traceback.format_exception(caught.value))


async def test_a_failed_dispatch_is_done_again(ready, monkeypatch, caplog):
    """A batch whose dispatch fails is dispatched again by the queue, and its message is sent once."""
    dispatcher = type(ready.gateway.application.dispatcher)
    real, failures = dispatcher.dispatch, [StorageError("secret"), asyncio.CancelledError("secret")]

    async def dispatch(self, batch, **more):
        if failures:
            raise failures.pop()
        await real(self, batch, **more)

    monkeypatch.setattr(dispatcher, "dispatch", dispatch)
    with caplog.at_level(logging.DEBUG):
        await ready.delivered(ready.twilio, "+14255550123")
    assert failures == []
    assert len(await ready.ledger("twilio")) == 1
    assert "dispatch_batch failed with CancelledError" in caplog.text
    assert "secret" not in caplog.text


async def test_a_failed_event_is_delivered_again(ready, monkeypatch, caplog):
    """An event that could not be kept is answered with an error, so that Event Grid delivers it again."""
    tables = type(ready.gateway.application.storage.tables)

    async def insert(self, table, rows):
        raise StorageError("secret")

    text = event(INBOUND_TYPE, {"messageId": "x", "from": "+14255550123", "to": ready.acs.address, "message": "Hello"})
    with monkeypatch.context() as patch:
        patch.setattr(tables, "insert", insert)
        assert await post_events(ready.gateway, "sms_received", [text]) == 500
    assert await post_events(ready.gateway, "sms_received", [text]) == 202
    assert [item["text"] for item in (await ready.call("GET", "/inbound")).body["items"]] == ["Hello"]
    assert "secret" not in caplog.text


async def test_a_failed_callback_is_posted_again(ready, monkeypatch, post_signed):
    """A callback that could not be kept is answered 503, which makes the vendor post it again."""
    tables = type(ready.gateway.application.storage.tables)
    made = ready.twilio
    url = (await ready.call("GET", f"/providers/{made.id}/callbacks")).body["inbound"]
    form = {"MessageSid": "SM1", "From": "+14255550123", "To": made.address, "Body": "STOP"}

    async def insert(self, table, rows):
        raise StorageError("secret")

    with monkeypatch.context() as patch:
        patch.setattr(tables, "insert", insert)
        assert (await post_signed(url, form, made.settings["authToken"])).status == 503
    assert (await ready.call("GET", "/opt-outs")).body["items"] == []
    assert (await post_signed(url, form, made.settings["authToken"])).status == 200
    assert len((await ready.call("GET", "/opt-outs")).body["items"]) == 1
