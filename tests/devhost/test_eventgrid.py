"""The Event Grid endpoint, as Event Grid itself calls it."""

import asyncio
import json
from datetime import UTC, datetime

import azure.functions as func
import pytest

KEY = "the-event-grid-key"

EVENT = {
    "id": "1",
    "topic": "/subscriptions/s/acs",
    "subject": "phone",
    "eventType": "Microsoft.Communication.SMSReceived",
    "eventTime": "2026-11-22T10:00:00.1234567Z",
    "dataVersion": "1.0",
    "data": {"message": "hi"},
}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "2",
    "source": "/acs",
    "type": "Microsoft.Communication.SMSReceived",
    "time": "2026-11-22T10:00:00Z",
    "data": {"message": "ho"},
    "own": "x",
}


class Grid:
    """An app with one Event Grid function, and what it has seen."""

    def __init__(self):
        self.seen = []
        self.fail = set()
        self.app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

        @self.app.event_grid_trigger("event")
        async def inbound(event: func.EventGridEvent):
            self.seen.append(event)
            if event.id in self.fail:
                raise ValueError(f"a secret of {event.id}")

        @self.app.route("web")
        async def web(req: func.HttpRequest) -> str:
            return "web"


@pytest.fixture
def grid():
    return Grid()


@pytest.fixture
async def post(serve, grid, client):
    host = await serve(grid.app)

    async def send(kind, document, *, name="inbound", key=KEY, method="POST", headers=None):
        params = {"functionName": name} | ({"code": key} if key else {})
        sent = ({"aeg-event-type": kind} if kind else {}) | (headers or {})
        body = document if isinstance(document, str) else json.dumps(document)
        url = host.url + "/runtime/webhooks/EventGrid"
        async with client.request(method, url, params=params, headers=sent, data=body) as response:
            return response.status, await response.text(), dict(response.headers)

    return send


@pytest.mark.parametrize(
    "document",
    [
        [{"data": {"validationCode": "512d38b6", "validationUrl": "https://x"}}],
        {"data": {"validationCode": "512d38b6"}},
        {"data": '{"validationCode": "512d38b6"}'},
    ],
)
async def test_handshake(post, grid, document):
    """A validation request is answered with its code, in each of the shapes that Event Grid sends."""
    got, body, _ = await post("SubscriptionValidation", document)

    assert (got, json.loads(body)) == (200, {"validationResponse": "512d38b6"})
    assert grid.seen == []


async def test_cloud_events_handshake(post):
    """OPTIONS is answered with the origin that asked, which is the handshake of the CloudEvents schema."""
    headers = {"WebHook-Request-Origin": "eventgrid.azure.net", "WebHook-Request-Rate": "120"}
    got, body, answered = await post(None, "", method="OPTIONS", headers=headers)

    assert (got, body) == (200, "")
    assert answered["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    assert answered["WebHook-Allowed-Rate"] == "120"
    assert (await post(None, "", method="OPTIONS"))[0] == 400


@pytest.mark.parametrize("document", [EVENT, [EVENT]])
async def test_notification(post, grid, document):
    """One event arrives as an EventGridEvent, whether it came alone or in an array."""
    assert (await post("Notification", document))[:2] == (202, "")

    (event,) = grid.seen
    assert isinstance(event, func.EventGridEvent)
    assert event.get_json() == {"message": "hi"}
    assert event.event_type == "Microsoft.Communication.SMSReceived"
    assert event.event_time == datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC)


async def test_cloud_event(post, grid):
    """The payload decides the type: a CloudEvent arrives as one, whatever the annotation says."""
    assert (await post("notification", CLOUD_EVENT))[0] == 202

    (event,) = grid.seen
    assert isinstance(event, func.CloudEvent)
    assert (event.type, event.source, event.get_json()) == (CLOUD_EVENT["type"], "/acs", {"message": "ho"})
    assert event.extension_attrs == {"own": "x"}


async def test_events_of_a_batch_run_at_once(serve, client):
    """The function is called once an event, all at the same time."""
    app = func.FunctionApp()
    together = asyncio.Barrier(3)

    @app.event_grid_trigger("event")
    async def inbound(event: func.EventGridEvent):
        await asyncio.wait_for(together.wait(), 2)

    host = await serve(app)
    batch = [EVENT | {"id": str(number)} for number in range(3)]
    async with client.post(
        host.url + "/runtime/webhooks/eventgrid",
        params={"functionName": "inbound"},
        headers={"x-functions-key": KEY, "aeg-event-type": "Notification"},
        json=batch,
    ) as response:
        assert response.status == 202
    assert host.executions["inbound"] == 3


async def test_one_failure_fails_the_batch(post, grid):
    """If one event fails the answer is 500 without the function's own words, and the others have run."""
    grid.fail = {"2"}
    batch = [EVENT | {"id": str(number)} for number in (1, 2, 3)]

    got, body, _ = await post("Notification", batch)

    assert (got, body) == (500, "Exception while executing function: Functions.inbound")
    assert sorted(event.id for event in grid.seen) == ["1", "2", "3"]


async def test_an_event_that_cannot_be_decoded_fails(post, grid):
    """An event time with an offset stops the SDK before the function is entered."""
    got, _, _ = await post("Notification", EVENT | {"eventTime": "2026-11-22T10:00:00+02:00"})

    assert got == 500
    assert grid.seen == []


async def test_empty_batch(post):
    """An empty array is a batch that succeeded."""
    assert (await post("Notification", []))[0] == 202


async def test_unsubscribe(post, grid):
    """Unsubscribing is acknowledged and runs nothing."""
    assert (await post("Unsubscribe", EVENT))[0] == 202
    assert grid.seen == []


@pytest.mark.parametrize("kind", [None, "Other"])
async def test_other_requests(post, kind):
    """A request of no known kind is 400."""
    assert (await post(kind, EVENT))[0] == 400


async def test_broken_body(post):
    """A body that is no JSON is 500, as in the extension."""
    assert (await post("Notification", "{"))[:2] == (500, "")
    assert (await post("SubscriptionValidation", "[]"))[:2] == (500, "")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (None, 401),
        ("wrong", 401),
        ("the-host-key", 403),
        ("another-system-key", 403),
        (KEY, 202),
        ("the-master-key", 202),
    ],
)
async def test_keys(post, key, expected):
    """Only the extension's own key and the master key open the endpoint."""
    assert (await post("Notification", EVENT, key=key))[0] == expected


@pytest.mark.parametrize("name", ["Inbound", "web", "missing", ""])
async def test_unknown_function(post, name):
    """A name that is no Event Grid function, case counting, is 404 and named in the answer."""
    got, body, _ = await post("Notification", EVENT, name=name)

    assert (got, body) == (404, f"cannot find function: '{name}'")


async def test_other_methods(post):
    """Methods the endpoint does not know are 405."""
    assert (await post("Notification", EVENT, method="PUT"))[0] == 405


async def test_disabled(serve, grid, client):
    """A disabled function cannot be found."""
    host = await serve(grid.app, settings={"AzureWebJobs.inbound.Disabled": "1"})

    async with client.post(
        host.url + "/runtime/webhooks/EventGrid",
        params={"functionName": "inbound", "code": KEY},
        headers={"aeg-event-type": "Notification"},
        json=EVENT,
    ) as response:
        assert response.status == 404


async def test_event_as_text(serve, client):
    """A function that asks for a text gets the event's JSON."""
    app, seen = func.FunctionApp(), []

    @app.event_grid_trigger("event")
    async def inbound(event: str):
        seen.append(json.loads(event))

    host = await serve(app)
    async with client.post(
        host.url + "/runtime/webhooks/EventGrid",
        params={"functionName": "inbound", "code": KEY},
        headers={"aeg-event-type": "Notification"},
        json=[EVENT],
    ) as response:
        assert response.status == 202
    assert seen == [EVENT]
