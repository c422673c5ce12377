"""Seven public SMS APIs, described by nothing but a definition: requests, answers and callbacks from their pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from functions.vendors.contract import Accepted, DeliveryReport, Parsed, Reason, Retry, Unknown
from functions.vendors.custom.adapter import Custom
from tests.vendors.custom.samples import APIS, NAMES, NOW, account, call, definition, moved, settings, wired
from tests.vendors.kit import Reply
from tests.vendors.servers import recorder

ANSWERS = [(name, *answer) for name, api in APIS.items() for answer in api.answers]
CALLBACKS = [(name, *callback) for name, api in APIS.items() for callback in api.callbacks]


@pytest.fixture
def vendor():
    """Give the vendor at a fixed moment."""
    return Custom(clock=lambda: NOW)


def test_every_definition_is_tried():
    """Each definition of the folder has samples, and all samples have a definition."""
    assert sorted(APIS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_definition_is_valid(vendor, name):
    """Each definition can be saved, and says which host it calls."""
    described, api = definition(name), APIS[name]

    assert vendor.check_settings(settings(described, api.credentials)) == []
    addresses = vendor.addresses(settings(described, api.credentials))
    assert addresses["definition/request/url"] == "/".join(described["request"]["url"].split("/")[:3])
    assert ("definition/check/url" in addresses) == ("check" in described)


@pytest.mark.parametrize("name", NAMES)
async def test_a_request_is_what_the_page_asks_for(vendor, http, name):
    """The API reads from the request exactly what its page asks for, however odd the text."""
    api = APIS[name]
    async with recorder(Reply(400, b"")) as server:
        described = moved(definition(name), server.url)
        await vendor.send(account(described, api.credentials), call(), http)

        [request] = server.requests
    assert wired(request, list(api.wire.headers)) == api.wire


@pytest.mark.parametrize("name", NAMES)
async def test_a_message_without_a_validity_period_says_nothing_of_one(vendor, http, name):
    """The optional members are left out when they have nothing to say, and nothing else changes."""
    api = APIS[name]
    async with recorder(Reply(400, b"")) as server:
        described = moved(definition(name), server.url)
        await vendor.send(account(described, api.credentials), call(validity=None), http)

        [request] = server.requests
    names = ("validity", "ttl", "validity_period", "expire_at")

    def without(pairs):
        return [pair for pair in pairs if pair[0] not in names]

    json = api.wire.json
    if isinstance(json, Mapping):
        json = {member: value for member, value in json.items() if member not in names}
    expected = replace(api.wire, query=without(api.wire.query) or (), form=without(api.wire.form) or (), json=json)
    assert wired(request, list(api.wire.headers)) == expected


@pytest.mark.parametrize(
    ("name", "status", "body", "outcome"),
    ANSWERS,
    ids=[f"{answer[0]}-{answer[1]}-{answer[2][:30]}" for answer in ANSWERS],
)
async def test_an_answer_means_what_the_page_says(vendor, http, name, status, body, outcome):
    """Each answer becomes accepted, refused or unknown, with the API's own code and words."""
    async with recorder(Reply(status, body)) as server:
        described = moved(definition(name), server.url)
        outcomes = await vendor.send(account(described, APIS[name].credentials), call(), http)

    assert list(outcomes.values()) == [outcome]


@pytest.mark.parametrize(("name", "callback", "said"), CALLBACKS, ids=[callback[0] for callback in CALLBACKS])
def test_a_callback_says_what_the_page_says(vendor, name, callback, said):
    """Each callback is one report or one text, whole, with the item as it came."""
    provider = settings(definition(name), APIS[name].credentials)
    parsed = vendor.parse(replace(callback, settings=provider))

    reports = tuple(replace(report, raw={}) for report in parsed.reports)
    inbound = tuple(replace(text, raw={}) for text in parsed.inbound)
    expected = Parsed(reports=(said,)) if isinstance(said, DeliveryReport) else Parsed(inbound=(said,))
    assert Parsed(reports, inbound, parsed.set_aside) == expected
    assert all(item.raw for item in (*parsed.reports, *parsed.inbound))


@pytest.mark.parametrize("name", NAMES)
def test_reports_find_their_messages(vendor, name):
    """Where the API echoes our id reports name it; where it does not, the gateway keeps the API's ids."""
    provider = settings(definition(name), APIS[name].credentials)
    reports = [said for of, _, said in CALLBACKS if of == name and isinstance(said, DeliveryReport)]

    assert reports
    assert all(bool(report.message) != vendor.reports_by_vendor_id(provider) for report in reports)
    assert vendor.reports_by_vendor_id(provider) == (name == "seven")


XML_ANSWER = (
    '<?xml version="1.0" encoding="UTF-8"?><mt-submission-response><messages count="1"><message><to>447700900000</to>'
    "<messageId>0A0000000123ABCD1</messageId><status>{status}</status></message></messages></mt-submission-response>"
)
FORMATS = {
    "xml": (XML_ANSWER, "messages.message.status", "messages.message.messageId"),
    "form": ("status={status}&messageId=0A0000000123ABCD1", "status", "messageId"),
    "text": ("{status} 0A0000000123ABCD1\n", {"path": "body:", "until": " "}, {"path": "body:", "after": " "}),
    "json": ('[{{"status": {status}}}, {{"id": "0A0000000123ABCD1"}}]', "[0].status", "[1].id"),
}


@pytest.mark.parametrize("form", FORMATS)
async def test_an_answer_may_have_any_format(vendor, http, form):
    """XML, as Vonage gives on request, a form, a line of text and a JSON list are read by the same paths and places."""
    answer, status, identity = FORMATS[form]
    described = definition("vonage") | {
        "answerFormat": form,
        "success": {"statuses": [200], "when": [{"in": [0], **place(status)}], "id": identity},
        "errors": {"code": status, "table": {"9": {"reason": "account"}}},
    }

    async def outcome(code):
        async with recorder(Reply(200, answer.format(status=code).encode())) as server:
            provider = account(moved(described, server.url), APIS["vonage"].credentials)
            [found] = (await vendor.send(provider, call(), http)).values()
        return found

    assert await outcome("0") == Accepted("0A0000000123ABCD1")
    assert (await outcome("9")).reason is Reason.ACCOUNT
    assert isinstance(await outcome("5"), Unknown)


def place(written):
    """Return a place in its long form."""
    return {"path": written} if isinstance(written, str) else written


@pytest.mark.parametrize(
    ("statuses", "status", "expected"),
    [
        ({}, 409, (Reason.OTHER, Retry.NEVER)),
        ({"409": {"reason": "temporary", "retry": "later"}}, 409, (Reason.TEMPORARY, Retry.LATER)),
        ({"401": {"reason": "configuration"}}, 401, (Reason.CONFIGURATION, Retry.NEVER)),
        ({"409": {"reason": "temporary", "retry": "later"}}, 401, (Reason.CREDENTIALS, Retry.NEVER)),
    ],
)
async def test_a_status_means_what_the_definition_says(vendor, http, statuses, status, expected):
    """A 4xx without a known code goes by the definition's statuses, else by what the status means everywhere."""
    described = definition("sinch")
    described["errors"]["statuses"] = statuses
    async with recorder(Reply(status, b"{}", {"Retry-After": "7"})) as server:
        provider = account(moved(described, server.url), APIS["sinch"].credentials)
        [outcome] = (await vendor.send(provider, call(), http)).values()

    assert (outcome.reason, outcome.retry) == expected
    assert outcome.after == (7.0 if outcome.retry is Retry.LATER else None)


@pytest.mark.parametrize("body", [b"<html>", b"", b'{"a": '])
async def test_an_answer_that_cannot_be_read_takes_no_message(vendor, http, body):
    """Where a definition goes by the status alone, an answer of another format is none of the vendor's."""
    described = definition("sinch") | {"success": {"statuses": [200]}}
    del described["report"]
    async with recorder(Reply(200, body)) as server:
        provider = account(moved(described, server.url), APIS["sinch"].credentials)
        [outcome] = (await vendor.send(provider, call(), http)).values()

    assert isinstance(outcome, Unknown)


async def test_a_code_that_is_not_there_is_no_code(vendor, http):
    """A row for an empty code refuses nothing, and a code without end is cut."""
    described = definition("sinch")
    described["errors"] |= {"table": {"": {"reason": "account"}}}
    outcomes = []
    for body in (b"{}", b'{"code": "%s"}' % (b"x" * 500)):
        async with recorder(Reply(200, body)) as server:
            provider = account(moved(described, server.url), APIS["sinch"].credentials)
            outcomes += (await vendor.send(provider, call(), http)).values()

    assert [type(outcome) for outcome in outcomes] == [Unknown, Unknown]
    assert [outcome.code for outcome in outcomes] == ["200", "x" * 100]
