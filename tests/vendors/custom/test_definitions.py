"""Seven public SMS APIs, described by nothing but a definition: requests, answers and callbacks from their pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from functions.vendors.contract import DeliveryReport, Parsed
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
