"""Log lines name messages by their ids, belong to a trace, and show neither numbers nor texts."""

from __future__ import annotations

import logging
import os

import pytest

from functions.gateway.telemetry import masked
from functions.settings import read_telemetry
from functions.telemetry import open_telemetry
from tests.conftest import Ready

PERSON, TEXT = "+14255550160", "A text that nobody else should read"


async def failed_message(ready):
    """Send a message that the vendor reports as undelivered, and return it."""
    made = await ready.make("twilio")
    (identity,) = await ready.send(made, PERSON, TEXT)
    await ready.until(identity, "undelivered")
    await ready.idle()
    return made, identity


async def test_a_failure_is_a_line_with_all_that_is_needed(traced, collector, telemetry):
    """The line of a failed message has its id, origin, outcome and reason as attributes, and its callback's trace."""
    made, identity = await failed_message(traced)
    await telemetry.close()

    (line,) = [log for log in collector.logs if log.attributes.get("sms.message") == identity]
    assert (line.logger, line.severity) == ("sms.messages", "INFO")
    assert line.body == f"Message {identity} to +1425•••0160: undelivered unreachable"
    assert line.attributes == {
        "sms.message": identity,
        "sms.vendor": "twilio",
        "sms.provider": made.id,
        "sms.sender": made.sender,
        "sms.category": "transactional",
        "sms.outcome": "undelivered",
        "sms.reason": "unreachable",
    }
    callbacks = {span.trace for span in collector.spans if span.name.startswith("POST /api/callbacks")}
    assert line.trace in callbacks


async def test_an_attempt_is_a_line_in_its_trace(traced, collector, telemetry):
    """The line of an attempt says what came of it and belongs to the trace of the call."""
    _, identity = await failed_message(traced)
    await telemetry.close()

    (line,) = [log for log in collector.logs if log.body.startswith("Attempt 1 of batch")]
    (call,) = collector.named("POST /api/messages")
    assert line.trace == call.trace
    batch = identity.rpartition("-")[0]
    expected = {"sms.batch": batch, "sms.attempt": 1, "sms.outcome": "1 accepted"}
    assert expected.items() <= line.attributes.items()


async def test_numbers_are_shown_only_where_that_is_set(start_gateway, sandbox, collector, environment):
    """With the setting numbers stand whole in log lines; texts stand in none either way."""
    environment(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, SMS_LOG_CLEAR_NUMBERS="true")
    telemetry = open_telemetry(read_telemetry(os.environ))
    await failed_message(Ready(await start_gateway(telemetry=telemetry), sandbox))
    await telemetry.close()

    assert [log for log in collector.logs if PERSON in log.body]
    assert not [text for text in collector.texts if TEXT in text]
    assert not [span for span in collector.spans if PERSON in str(span)]


@pytest.mark.parametrize(("setting", "shown"), [("false", "+1425•••0160"), ("true", PERSON)])
async def test_without_a_collector_lines_follow_the_setting_too(start_gateway, sandbox, caplog, setting, shown):
    """What the host itself keeps of our lines shows as much of a number as the setting allows."""
    with caplog.at_level(logging.INFO, "sms"):
        await failed_message(Ready(await start_gateway(SMS_LOG_CLEAR_NUMBERS=setting), sandbox))

    assert f"to {shown}: undelivered unreachable" in caplog.text
    assert TEXT not in caplog.text
    assert setting == "true" or PERSON not in caplog.text


async def test_libraries_are_exported_without_their_words(telemetry, collector):
    """Of a library's warning only logger, file, line and the class of an error are exported; below that nothing is."""
    library = logging.getLogger("aiohttp.client")
    library.warning("calling %s with secret", PERSON)
    library.error("secret", exc_info=ValueError("secret"))
    logging.getLogger("aiohttp.client").info("secret")
    for exporting in ("opentelemetry.exporter", "urllib3.connectionpool", "azure.core.pipeline"):
        logging.getLogger(exporting).error("secret")
    await telemetry.close()

    assert [(log.severity, log.logger) for log in collector.logs] == [
        ("WARN", "aiohttp.client"),
        ("ERROR", "aiohttp.client"),
    ]
    assert all(log.body.startswith("aiohttp.client logged at test_logs.py:") for log in collector.logs)
    assert collector.logs[1].attributes == {"exception.type": "ValueError"}
    assert "secret" not in "".join(collector.texts)


async def test_what_looks_like_a_number_is_masked_on_the_way_out(telemetry, collector):
    """A number in one of our lines that nobody masked is masked by the export; ids and codes stay as they are."""
    logging.getLogger("sms.test").info("to %s, message 01kb3v9r2m8q4t6w0x5y7z1a2b-00, code 30003", PERSON)
    await telemetry.close()

    (line,) = collector.logs
    assert line.body == "to +1425•••0160, message 01kb3v9r2m8q4t6w0x5y7z1a2b-00, code 30003"


async def test_a_broken_line_harms_nobody(telemetry, collector, monkeypatch, capsys):
    """A line whose arguments do not fit is left out, as logging itself does it, and the next one is exported."""
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger("sms.test").info("%d", "one")
    logging.getLogger("sms.test").info("fine")
    await telemetry.close()

    assert [log.body for log in collector.logs] == ["fine"]


@pytest.mark.parametrize(
    ("before", "meanwhile", "after"),
    [
        (logging.NOTSET, None, logging.NOTSET),
        (logging.WARNING, None, logging.WARNING),
        (logging.WARNING, logging.ERROR, logging.ERROR),
        (logging.DEBUG, None, logging.DEBUG),
    ],
)
async def test_levels_are_left_as_they_were(collector, before, meanwhile, after):
    """Our loggers say INFO at least while it is exported; afterwards they are as they were, or as somebody set them."""
    ours = logging.getLogger("sms")
    ours.setLevel(before)
    try:
        telemetry = open_telemetry(read_telemetry(os.environ))
        assert logging.getLogger("sms.test").isEnabledFor(logging.INFO)
        if meanwhile is not None:
            ours.setLevel(meanwhile)
        await telemetry.close()
        await telemetry.close()
        assert ours.level == after
    finally:
        ours.setLevel(logging.NOTSET)


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("+14255550123", "+1425•••0123"),
        ("+4915112345678", "+4915•••5678"),
        ("+3545550123", "+354•••0123"),
        ("+29012345", "+2•••2345"),
        ("72345", "•••"),
        ("", "•••"),
        ("Contoso", "•••"),
    ],
)
def test_how_numbers_are_masked(number, shown):
    """At least three characters of any number are hidden, and all of a short one."""
    assert masked(number) == shown
    assert len(number) < 8 or len(number) - len(shown.replace("•••", "")) >= 3


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 0, 1)], ids=["in turn", "reversed", "closed twice"])
async def test_the_loggers_are_as_before_whoever_ends_first(collector, order):
    """Two that export in one process leave the level of our loggers as they found it, whichever ends first."""
    before = logging.getLogger("sms").level
    opened = [open_telemetry(read_telemetry(os.environ)) for _ in range(2)]
    for place in order:
        await opened[place].close()

    assert logging.getLogger("sms").level == before
