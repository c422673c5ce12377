"""The dev host and Microsoft's worker give the same answers for the same app, call by call."""

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from azure.functions.meta import Datum

from devhost import find_app
from devhost.invoke import Call, HangsError
from devhost.queues import queue_metadata
from functions.storage.ports import QueueItem
from tests.devhost.worker.conftest import SAMPLE, SCRIPT

EVENT = {
    "id": "1",
    "topic": "/t",
    "subject": "s",
    "eventType": "E",
    "eventTime": "2026-11-22T10:00:00.1234567Z",
    "dataVersion": "1",
    "data": {"a": 1},
}
CLOUD_EVENT = {
    "specversion": "1.0",
    "id": "2",
    "source": "/s",
    "type": "C",
    "time": "2026-11-22T10:00:00Z",
    "data": [1],
}
TIMER = {"IsPastDue": True, "ScheduleStatus": {"Last": "x"}, "Schedule": {"AdjustForDST": True}}


def http(function, path, body="", method="POST", query=None, params=None):
    url = f"http://127.0.0.1/api/{path}" + ("?" + "&".join(f"{k}={v}" for k, v in query.items()) if query else "")
    headers = {"accept": "text/x"} | ({"content-length": str(len(body.encode()))} if body else {})
    request = {
        "method": method,
        "url": url,
        "headers": headers,
        "query": query or {},
        "params": params or {},
        "body": body,
    }
    return {"function": function, "data": {"http": request}}


def queue(function, body):
    item = QueueItem("id-1", "receipt-1", body, 3, 1_700_000_000.0, 253402300799.0)
    metadata = {name: {datum.type: datum.value} for name, datum in queue_metadata(item, body, 1_700_000_600.5).items()}
    return {"function": function, "data": {"string": body}, "metadata": metadata}


def as_json(function, document):
    return {"function": function, "data": {"json": json.dumps(document)}}


CASES = {
    "echo": http("http_echo", "echo/7", "body", query={"a": "1"}, params={"id": "7"}),
    "echo without anything": http("http_echo", "echo", method="GET"),
    "text": http("http_plain", "plain"),
    "json": http("http_json", "json", '{"a": [1, "é"]}'),
    "json of an empty body": http("http_json", "json"),
    "json of no json": http("http_json", "json", "{"),
    "returns None": http("http_none", "none"),
    "returns a dict": http("http_dict", "dict"),
    "returns a tuple": http("http_tuple", "tuple"),
    "response of a dict": http("http_dict_body", "dict_body"),
    "raises": http("http_raises", "raises"),
    "request as text": http("http_as_text", "as_text"),
    "cancellation escapes": http("http_escapes", "escapes"),
    "queue": queue("queue_ok", "héllo"),
    "queue, own id": queue("queue_ok", '{"id": 9, "DEQUEUECOUNT": "7", "popReceipt": null}'),
    "queue, envelope": queue("queue_ok", '{"v": 1, "message": {"id": 9}}'),
    "queue, bad count": queue("queue_ok", '{"dequeueCount": "many"}'),
    "queue, bad time": queue("queue_ok", '{"insertionTime": "yesterday"}'),
    "queue, other time": queue("queue_ok", '{"expirationTime": "2026-11-22T10:00:00Z"}'),
    "queue, json": queue("queue_json", '{"a": 1}'),
    "queue, no json": queue("queue_json", "x"),
    "queue as text": queue("queue_text", '{"a": 1}'),
    "queue as bytes": queue("queue_bytes", "x"),
    "queue returns": queue("queue_returns", "x"),
    "queue returns False": queue("queue_returns_false", "x"),
    "queue raises": queue("queue_raises", "x"),
    "queue, cancellation escapes": queue("queue_escapes", "x"),
    "event": as_json("grid_ok", EVENT),
    "event without a zone": as_json("grid_ok", EVENT | {"eventTime": "2026-11-22T10:00:00"}),
    "event with an offset": as_json("grid_ok", EVENT | {"eventTime": "2026-11-22T10:00:00+02:00"}),
    "cloud event": as_json("grid_ok", CLOUD_EVENT),
    "event as text": as_json("grid_text", EVENT),
    "event function returns": as_json("grid_returns", CLOUD_EVENT),
    "timer": as_json("timer_ok", TIMER),
    "timer by hand": as_json("timer_ok", {}),
    "timer returns": as_json("timer_returns", TIMER),
}


@pytest.fixture(scope="module")
def worker_answers(ask_worker, tmp_path_factory):
    """What the worker made of each case, and what the functions recorded."""
    folder = tmp_path_factory.mktemp("worker")
    calls = [
        call | {"environment": {"SAMPLE_RECORD": str(folder / f"{number}.jsonl")}}
        for number, call in enumerate(CASES.values())
    ]
    (report,) = ask_worker(SAMPLE, calls=calls, script=SCRIPT)
    assert report["loaded"], report["error"]
    records = [recorded(folder / f"{number}.jsonl") for number in range(len(CASES))]
    return dict(zip(CASES, zip(report["calls"], records, strict=True), strict=True)), report


def recorded(path: Path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
async def sample(serve, clean_modules, monkeypatch, tmp_path):
    """The sample app in a dev host, and where its functions record."""
    path = tmp_path / "devhost.jsonl"
    monkeypatch.setenv("SAMPLE_RECORD", str(path))
    return await serve(await find_app(SAMPLE, SCRIPT)), path


async def over_http(host, client, request):
    url = urlsplit(request["url"])
    target = f"{host.url}{url.path}" + (f"?{url.query}" if url.query else "")
    async with client.request(
        request["method"], target, data=request["body"] or None, headers={"accept": request["headers"]["accept"]}
    ) as response:
        body = await response.text()
        if response.status == 500:
            return {"failed": True, "body": body}
        cookies = [{"name": name, "value": morsel.value} for name, morsel in response.cookies.items()]
        own = response.headers.get("X-A")
        return {
            "status": response.status,
            "body": body,
            "cookies": cookies,
            "x-a": own,
            "type": response.headers["Content-Type"],
        }


def as_http(answer):
    """What the caller of the real host would see of a worker's answer."""
    if answer["status"] != "success":
        return {"failed": True, "body": ""}
    value = answer["value"]
    if "string" in value:
        return {"status": 200, "body": value["string"], "cookies": [], "x-a": None, "type": "text/plain; charset=utf-8"}
    made = value["http"]
    return {
        "status": made["status"],
        "body": made["body"],
        "cookies": made["cookies"],
        "x-a": made["headers"].get("X-A"),
        "type": made["headers"]["content-type"],
    }


async def directly(host, call):
    (function,) = [function for function in host.functions if function.name == call["function"]]
    ((kind, value),) = call["data"].items()
    metadata = {name: Datum(*reversed(*data.items())) for name, data in call.get("metadata", {}).items()}
    outcome = await host._invoker.run(function, Call(Datum(value, kind), metadata))
    if outcome.error is None:
        return ("success", None)
    if isinstance(outcome.error, HangsError):
        return ("hangs", "CancelledError")
    return ("failure", type(outcome.error).__name__)


@pytest.mark.parametrize("case", CASES)
async def test_same_answer(worker_answers, sample, client, case):
    """One call has the same outcome, and its function sees the same, in the dev host and in Microsoft's worker."""
    (host, path), call = sample, CASES[case]
    answer, worker_record = worker_answers[0][case]

    if "http" in call["data"]:
        assert await over_http(host, client, call["data"]["http"]) == as_http(answer)
    else:
        error = answer["error"] and answer["error"].split(":")[0]
        assert await directly(host, call) == (answer["status"], error)

    assert recorded(path) == worker_record


def test_every_outcome_is_covered(worker_answers):
    """The cases hold successes, failures and hangs, each with and without a record, so that equality says something."""
    answers = worker_answers[0].values()

    assert {answer["status"] for answer, _ in answers} == {"success", "failure", "hangs"}
    assert sum(bool(record) for _, record in answers) > 10


async def test_same_functions(worker_answers, sample):
    """The worker indexes exactly the functions that the dev host loads, with the same triggers."""
    host, _ = sample
    indexed = {
        function["name"]: next(binding for binding in function["bindings"] if binding["direction"] == "IN")
        for function in worker_answers[1]["functions"]
    }

    assert {function.name: dict(function.trigger) for function in host.functions} == indexed
