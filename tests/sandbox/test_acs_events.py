"""ACS: delivery and inbound events as Event Grid brings them: handshake, schemas, batches, retries, dead letters."""

from __future__ import annotations

import re
from collections import Counter

import azure.functions as func
import orjson
import pytest
from aiohttp import web
from azure.eventgrid import EventGridEvent

from sandbox.eventgrid import RETRY_SECONDS, Subscription, retry_seconds, without_key
from sandbox.ledger import Message
from sandbox.outcomes import magic_number, ordinary_number
from sandbox.testing import running_sandbox
from sandbox.vendors.acs import AcsVendor, Resource
from tests.sandbox.conftest import KEY, PERSON, SENDER, TOLL_FREE, until
from tests.sandbox.test_acs_send import post, repeatable, sms

TICKS = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z"
REPORT = "Microsoft.Communication.SMSDeliveryReportReceived"
RECEIVED = "Microsoft.Communication.SMSReceived"


@pytest.fixture
def acs(sandbox):
    return set_up(sandbox)


def set_up(sandbox):
    vendor = sandbox.vendor(AcsVendor)
    vendor.resources.put("contoso", Resource(name="contoso", keys=[KEY], numbers=[SENDER, TOLL_FREE, "Contoso"]))
    return vendor


async def subscribe(control, endpoint, status=201, **changes):
    """Create a subscription through the control API."""
    wanted = {
        "name": "reports",
        "endpoint": f"{endpoint.url}/runtime/webhooks/EventGrid?functionName=acs_events&code=key1",
        **changes,
    }
    return await control.ask("POST", "/acs/resources/contoso/subscriptions", wanted, status=status)


def reported(*recipients, tag="t1", **changes):
    """Build a send request that wants delivery events."""
    return sms(*recipients, smsSendOptions={"enableDeliveryReport": True, "tag": tag}, **changes)


async def test_a_delivery_event_has_the_documented_shape(sandbox, acs, control, endpoint, http):
    """One report: an array of one, the tag under `Tag`, seven digits after the second, Event Grid's headers."""
    await subscribe(control, endpoint)

    _, body, _ = await post(sandbox, http, reported(message="x" * 161))
    await sandbox.idle()

    [got] = endpoint.received
    [event] = got.json
    message_id = body["value"][0]["messageId"]
    assert (event["id"], event["eventType"]) == (message_id, REPORT)
    assert event["topic"].endswith("/providers/microsoft.communication/communicationservices/contoso")
    assert (event["dataVersion"], event["metadataVersion"]) == ("1.0", "1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", event["eventTime"])
    data = event["data"]
    assert (data["messageId"], data["from"], data["to"], data["Tag"]) == (message_id, SENDER[1:], PERSON, "t1")
    assert (data["deliveryStatus"], data["deliveryStatusDetails"]) == ("Delivered", "No error.")
    assert re.fullmatch(TICKS, data["receivedTimestamp"])
    [attempt] = data["deliveryAttempts"]
    assert (attempt["segmentsSucceeded"], attempt["segmentsFailed"]) == (2, 0)
    assert got.url.endswith("?functionName=acs_events&code=key1")
    headers = {name.lower(): value for name, value in got.headers.items()}
    assert headers["aeg-event-type"] == "Notification"
    assert headers["aeg-subscription-name"] == "REPORTS"
    assert headers["aeg-delivery-count"] == "0"
    assert headers["content-type"] == "application/json; charset=utf-8"


async def test_microsofts_own_types_read_the_events(sandbox, acs, control, endpoint, http):
    """The Event Grid SDK and the Functions library parse what is posted."""
    await subscribe(control, endpoint)

    await post(sandbox, http, reported())
    await sandbox.idle()

    [raw] = endpoint.received[0].json
    parsed = EventGridEvent.from_json(orjson.dumps(raw).decode())
    assert (parsed.event_type, parsed.data["deliveryStatus"]) == (REPORT, "Delivered")
    event = func.EventGridEvent(
        id=raw["id"],
        data=raw["data"],
        topic=raw["topic"],
        subject=raw["subject"],
        event_type=raw["eventType"],
        event_time=None,
        data_version=raw["dataVersion"],
    )
    assert event.get_json()["Tag"] == "t1"


async def test_reports_come_only_when_asked_for(sandbox, acs, control, endpoint, http):
    """Without enableDeliveryReport true no event ever comes."""
    await subscribe(control, endpoint)

    await post(sandbox, http, sms())
    await post(sandbox, http, sms(smsSendOptions={"enableDeliveryReport": False, "tag": "t"}))
    await sandbox.idle()

    assert endpoint.received == []
    assert {message.state for message in acs.ledger} == {"delivered"}


async def test_a_message_without_tag_has_none_in_its_event(sandbox, acs, control, endpoint, http):
    """No tag sent, no `Tag` key."""
    await subscribe(control, endpoint)

    await post(sandbox, http, sms(smsSendOptions={"enableDeliveryReport": True}))
    await sandbox.idle()

    assert "Tag" not in endpoint.received[0].json[0]["data"]


async def test_a_replay_is_reported_once(sandbox, acs, control, endpoint, http):
    """A request recognised as a replay causes no second event."""
    await subscribe(control, endpoint)
    recipient = repeatable()

    for _ in range(3):
        await post(sandbox, http, reported(recipient))
    await sandbox.idle()

    assert len(endpoint.received) == 1


async def test_cloud_events_carry_pascal_case_data(sandbox, acs, control, endpoint, http):
    """In the CloudEvents schema one object is posted, data in Pascal case, after an OPTIONS handshake."""
    await subscribe(control, endpoint, delivery_schema="CloudEventSchemaV1_0")

    await post(sandbox, http, reported())
    await sandbox.idle()

    [handshake] = endpoint.handshakes
    assert (handshake.method, handshake.headers["WebHook-Request-Origin"]) == ("OPTIONS", "eventgrid.azure.net")
    [got] = endpoint.received
    event = got.json
    assert (event["specversion"], event["type"]) == ("1.0", REPORT)
    assert re.fullmatch(TICKS, event["time"])
    assert event["data"]["DeliveryAttempts"][0]["SegmentsSucceeded"] == 1
    assert event["data"]["DeliveryStatus"] == "Delivered"
    assert got.headers["Content-Type"] == "application/cloudevents+json; charset=utf-8"


async def test_a_persons_text_becomes_an_event(sandbox, acs, control, endpoint):
    """An inbound text is an SMSReceived event: both numbers bare, the text untouched."""
    await subscribe(control, endpoint)

    sent = await control.ask("POST", "/acs/inbound", {"from": PERSON, "to": SENDER, "text": " Ja, bitte! 🎉 "})
    await sandbox.idle()

    [event] = endpoint.received[0].json
    assert (event["eventType"], event["id"]) == (RECEIVED, sent["id"])
    assert event["id"].startswith("Incoming_")
    data = event["data"]
    assert (data["from"], data["to"], data["message"]) == (PERSON[1:], SENDER[1:], " Ja, bitte! 🎉 ")
    assert data["segmentCount"] == 1


async def test_a_subscription_takes_the_types_it_names(sandbox, acs, control, endpoint, http):
    """Two subscriptions, one per event type, each get their own events and no other."""
    await subscribe(control, endpoint, name="reports", event_types=[REPORT])
    await subscribe(control, endpoint, name="inbound", event_types=[RECEIVED])

    await post(sandbox, http, reported())
    await control.ask("POST", "/acs/inbound", {"from": PERSON, "to": SENDER, "text": "Hi"})
    await sandbox.idle()

    got = {(item.headers["aeg-subscription-name"], item.json[0]["eventType"]) for item in endpoint.received}
    assert got == {("REPORTS", REPORT), ("INBOUND", RECEIVED)}
    assert len(endpoint.received) == 2


async def test_stop_at_a_toll_free_number_blocks_it_and_is_relayed(sandbox, acs, control, endpoint, http):
    """After STOP a send is accepted and then reported failed as blocked, until START; long codes do nothing."""
    await subscribe(control, endpoint, event_types=[REPORT])
    details = []
    for word in ("STOP", "START"):
        for number in (TOLL_FREE, SENDER):
            await control.ask("POST", "/acs/inbound", {"from": PERSON, "to": number, "text": f" {word.title()} "})
            await post(sandbox, http, reported(**{"from": number}))
            await sandbox.idle()
            details.append(endpoint.received[-1].json[0]["data"]["deliveryStatusDetails"])

    assert details == ["Sender blocked for given recipient.", "No error.", "No error.", "No error."]


async def test_a_name_reaches_no_american(sandbox, acs, control, endpoint, http):
    """From an alphanumeric sender a US number is reported unroutable, a German one is delivered."""
    await subscribe(control, endpoint)

    await post(sandbox, http, reported(PERSON, "+4915115550123", **{"from": "Contoso"}))
    await sandbox.idle()

    got = {item.json[0]["data"]["to"]: item.json[0]["data"]["deliveryStatusDetails"][:4] for item in endpoint.received}
    assert got == {PERSON: "4003", "+4915115550123": "No e"}


async def test_the_handshake_comes_first(sandbox, acs, control, endpoint):
    """Creating a subscription posts a validation event with a code, and takes only that code back."""
    made = await subscribe(control, endpoint)

    [got] = endpoint.handshakes
    [event] = got.json
    assert got.headers["aeg-event-type"] == "SubscriptionValidation"
    assert event["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
    assert made["validation"] == "Succeeded"
    assert "key1" not in str(made)


async def test_an_endpoint_that_refuses_the_handshake_gets_no_subscription(sandbox, acs, control, endpoint):
    """A handshake answered with an error creates nothing, and says why."""
    endpoint.validate = False

    event_grid = await subscribe(control, endpoint, status=400)
    cloud = await subscribe(control, endpoint, status=400, delivery_schema="CloudEventSchemaV1_0")

    assert "handshake failed" in event_grid["error"]
    assert "404" in cloud["error"]
    assert len(acs.grid.subscriptions) == 0


async def test_a_handshake_can_be_finished_by_hand(sandbox, acs, control, http):
    """An endpoint that says 200 without the code waits until the validation URL is opened; 202 will not do."""
    asked, statuses = [], [200, 202]

    async def silent(request):
        asked.append(await request.json())
        return web.Response(status=statuses[len(asked) - 1])

    app = web.Application()
    app.router.add_post("/", silent)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    path = "/acs/resources/contoso/subscriptions"
    made = await control.ask("POST", path, {"name": "by-hand", "endpoint": url}, status=201)
    await control.ask("POST", path, {"name": "hasty", "endpoint": url}, status=400)
    await runner.cleanup()

    assert made["validation"] == "AwaitingManualAction"
    async with http.get(asked[0][0]["data"]["validationUrl"]) as response:
        assert response.status == 200
    [subscription] = await control.ask("GET", path)
    assert (subscription["name"], subscription["validation"]) == ("by-hand", "Succeeded")


async def test_a_failed_delivery_is_repeated_unchanged(sandbox, acs, control, endpoint, http):
    """After 500 and 503 the same event comes again with a counting header, until 200."""
    await subscribe(control, endpoint)
    endpoint.answer(500, 503)

    await post(sandbox, http, reported())
    await sandbox.idle()

    assert len({got.body for got in endpoint.received}) == 1
    assert [got.headers["aeg-delivery-count"] for got in endpoint.received] == ["0", "1", "2"]
    [message] = acs.ledger
    assert [(entry.attempt, entry.status) for entry in message.callbacks] == [(1, 500), (2, 503), (3, 200)]


async def test_an_unreachable_endpoint_is_tried_again(sandbox, acs, control, endpoint, http, closed_port):
    """Nobody listening is a failure like any other: tried up to the subscription's limit, then a dead letter."""
    subscription = Subscription(
        name="gone",
        source="contoso",
        endpoint=f"http://127.0.0.1:{closed_port}/",
        max_attempts=3,
    )
    acs.grid.subscriptions.put(subscription.key, subscription)

    await post(sandbox, http, reported())
    await sandbox.idle()

    [message] = acs.ledger
    assert [entry.error for entry in message.callbacks] == ["connect"] * 3
    [letter] = await control.ask("GET", "/acs/resources/contoso/dead-letters")
    assert (letter["deadLetterReason"], letter["deliveryAttempts"]) == ("MaxDeliveryAttemptsExceeded", 3)
    assert letter["event"]["id"] == message.id


@pytest.mark.parametrize("status", [400, 401, 413])
async def test_some_answers_drop_an_event_for_good(sandbox, acs, control, endpoint, http, status):
    """400, 401 and 413 are never retried."""
    await subscribe(control, endpoint)
    endpoint.answer(status)

    await post(sandbox, http, reported())
    await sandbox.idle()

    assert len(endpoint.received) == 1
    assert len(acs.grid.dead_letters) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204])
async def test_these_answers_are_success(sandbox, acs, control, endpoint, http, status):
    """200 to 204 end the delivery."""
    await subscribe(control, endpoint)
    endpoint.answer(status)

    await post(sandbox, http, reported())
    await sandbox.idle()

    assert len(endpoint.received) == 1
    assert acs.grid.dead_letters == []


async def test_a_redirect_is_no_success(sandbox, acs, control, endpoint, http):
    """3xx is neither followed nor taken for success."""
    await subscribe(control, endpoint)
    endpoint.answer(302)

    await post(sandbox, http, reported())
    await sandbox.idle()

    assert len(endpoint.received) == 2


async def test_an_event_outlives_its_time_to_live_only_so_long(sandbox, acs, control, endpoint, http):
    """The time to live counts unscaled: one minute allows the tries at 0, 10 and 40 seconds."""
    await subscribe(control, endpoint, ttl_minutes=1)
    endpoint.answer(*[500] * 9)

    await post(sandbox, http, reported())
    await sandbox.idle()

    assert len(endpoint.received) == 3
    assert acs.grid.dead_letters[0]["deadLetterReason"] == "TimeToLiveExceeded"


def test_the_schedule_is_event_grids():
    """Ten seconds first, twelve hours in the end, and longer at once for answers that promise no quick repair."""
    assert [retry_seconds(attempt, 500) for attempt in range(1, 12)] == [*RETRY_SECONDS, 43200, 43200]
    assert (retry_seconds(1, 404), retry_seconds(1, 408), retry_seconds(1, 503)) == (300, 120, 30)
    assert retry_seconds(1, None) == 10


async def test_the_schedule_is_scaled(endpoint, http):
    """With a retry scale of 1/100 the second attempt comes a tenth of a second after the first."""
    async with running_sandbox(retry_time_scale=0.01) as sandbox:
        acs = set_up(sandbox)
        subscription = Subscription(name="reports", source="contoso", endpoint=endpoint.url)
        acs.grid.subscriptions.put(subscription.key, subscription)
        endpoint.answer(500)

        await post(sandbox, http, reported())
        await sandbox.idle()

    first, second = next(iter(acs.ledger)).callbacks
    assert 0.09 < second.at - first.at < 1


async def test_batches_are_filled_up_to_their_limit(sandbox, acs, control, endpoint, http):
    """Reports that become ready together share a post, no more than the subscription allows, none twice."""
    await subscribe(control, endpoint, max_events_per_batch=10)

    await post(sandbox, http, reported(*(ordinary_number(index) for index in range(25))))
    await sandbox.idle()

    sizes = sorted(len(got.json) for got in endpoint.received)
    ids = [event["id"] for got in endpoint.received for event in got.json]
    assert sizes == [5, 10, 10]
    assert len(set(ids)) == len(ids) == 25


async def test_a_batch_is_sent_again_whole(sandbox, acs, control, endpoint, http):
    """All or nothing: a batch answered with 500 comes again with every event in it."""
    await subscribe(control, endpoint, max_events_per_batch=10)
    endpoint.answer(500)

    await post(sandbox, http, reported(*(ordinary_number(index) for index in range(4))))
    await sandbox.idle()

    first, second = endpoint.received
    assert first.body == second.body
    assert len(first.json) == 4
    assert Counter(len(message.callbacks) for message in acs.ledger) == {2: 4}


async def test_a_batch_is_cut_at_its_size(sandbox, acs, control, endpoint, http):
    """A batch stays within the preferred kilobytes even if more events would be allowed."""
    await subscribe(control, endpoint, max_events_per_batch=100, preferred_batch_kilobytes=1)

    await post(sandbox, http, reported(*(ordinary_number(index) for index in range(4))))
    await sandbox.idle()

    assert len(endpoint.received) == 4
    assert all(len(got.body) < 1024 for got in endpoint.received)


async def test_cloud_events_in_batches_are_an_array(sandbox, acs, control, endpoint, http):
    """With batching on, CloudEvents come as an array under the batch content type."""
    await subscribe(control, endpoint, delivery_schema="CloudEventSchemaV1_0", max_events_per_batch=5)

    await post(sandbox, http, reported(ordinary_number(0), ordinary_number(1)))
    await sandbox.idle()

    [got] = endpoint.received
    assert len(got.json) == 2
    assert got.headers["Content-Type"] == "application/cloudevents-batch+json; charset=utf-8"


async def test_a_forged_event_has_another_key_and_is_not_repeated(sandbox, acs, control, endpoint, http):
    """The outsider's event says failed under a wrong key; the true one follows under the right key."""
    await subscribe(control, endpoint)
    endpoint.answer(401)

    await post(sandbox, http, reported(magic_number("0185")))
    await sandbox.idle()

    forged, true = endpoint.received
    assert "code=forged" in forged.url
    assert "code=key1" in true.url
    assert forged.json[0]["data"]["deliveryStatus"] == "Failed"
    assert true.json[0]["data"]["deliveryStatus"] == "Delivered"


async def test_a_deleted_subscription_gets_nothing(sandbox, acs, control, endpoint, http):
    """Removing a subscription ends its events; removing it twice is 404."""
    await subscribe(control, endpoint)
    path = "/acs/resources/contoso/subscriptions/reports"
    await control.ask("DELETE", path, status=204)
    await control.ask("DELETE", path, status=404)

    await post(sandbox, http, reported())
    await sandbox.idle()

    assert endpoint.received == []


async def test_a_reset_ends_retries(http, endpoint):
    """Resetting a vendor stops events that wait for another try."""
    async with running_sandbox(retry_time_scale=0.01) as sandbox:
        acs = set_up(sandbox)
        subscription = Subscription(name="reports", source="contoso", endpoint=endpoint.url)
        acs.grid.subscriptions.put(subscription.key, subscription)
        endpoint.answer(*[500] * 99)
        await post(sandbox, http, reported())
        await until(lambda: endpoint.received)

        acs.reset()
        await sandbox.idle()

    assert len(endpoint.received) == 1


def test_a_wrong_key_takes_the_place_of_the_right_one():
    """Only the key in the endpoint's query changes."""
    assert without_key("http://h/p?functionName=f&code=k") == "http://h/p?functionName=f&code=forged"


@pytest.mark.parametrize(
    "changes",
    [{"max_events_per_batch": 0}, {"ttl_minutes": 1441}, {"max_attempts": 31}, {"name": "x"}, {"colour": "red"}],
)
async def test_a_subscription_keeps_to_event_grids_limits(acs, control, endpoint, changes):
    """Values Event Grid would not take are refused, and named."""
    answer = await subscribe(control, endpoint, status=400, **changes)

    assert next(iter(changes)) in answer["error"]


def test_a_ledger_message_knows_when_it_is_final():
    """Only end states are final."""
    message = Message("1", "a", SENDER, PERSON, "x", 0.0)

    assert not message.final
    message.state = "delivered"
    assert message.final
