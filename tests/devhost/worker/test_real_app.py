"""The gateway itself in Microsoft's worker: all its functions load, and each kind of trigger works there.

``WORKER_APP_FOLDER`` names another folder to load, such as a package that is about to be published.
"""

import json
import os
from pathlib import Path

import pytest

from devhost import find_app, load_functions
from devhost.loading import EVENT_GRID, HTTP, QUEUE, TIMER
from functions.storage.embedded import open_embedded
from tests.devhost.worker.conftest import ROOT

FOLDER = Path(os.environ.get("WORKER_APP_FOLDER", ROOT))

EVENT = {
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "topic": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Communication/communicationServices/acs",
    "subject": "/phonenumber/15555550123",
    "eventType": "Contoso.SomethingElse",
    "eventTime": "2026-11-22T10:00:00.1234567Z",
    "dataVersion": "1.0",
    "data": {},
}
CALLS = {
    HTTP: {
        "function": "get_health",
        "data": {
            "http": {
                "method": "GET",
                "url": "https://sms.example.com/api/health",
                "headers": {"host": "sms.example.com"},
                "query": {},
                "params": {},
                "body": "",
            }
        },
    },
    EVENT_GRID: {"function": "sms_received", "data": {"json": json.dumps(EVENT)}},
    QUEUE: {
        "function": "dispatch_batch",
        "data": {"string": json.dumps({"v": 1, "message": {"batch": "01890a5d-ac96-774b-bcce-b302099a8057"}})},
        "metadata": {"Id": {"string": "1"}, "DequeueCount": {"json": "1"}},
    },
    TIMER: {"function": "sweep_batches", "data": {"json": json.dumps({"IsPastDue": False})}},
}


@pytest.fixture(scope="module")
def report(ask_worker, tmp_path_factory):
    """What the worker says of the app, run on an embedded store of its own."""
    store = tmp_path_factory.mktemp("real") / "gateway.db"
    environment = {
        "SMS_STORAGE": "embedded",
        "SMS_EMBEDDED_PATH": str(store),
        "SMS_PUBLIC_URL": "https://sms.example.com",
    }
    (made,) = ask_worker(FOLDER, calls=CALLS.values(), environment=environment)
    return made | {"store": store}


def test_loads(report):
    """The worker loads the app; otherwise every function would be missing on Azure."""
    assert report["error"] is None
    assert report["loaded"]


def test_a_wrong_setting_stops_the_start(ask_worker):
    """With a setting missing the worker refuses the app, and the last line of its reason names the setting."""
    (refused,) = ask_worker(FOLDER, environment={"FUNCTIONS_WORKER_RUNTIME": "python", "SMS_STORAGE": "embedded"})

    assert not refused["loaded"]
    assert "SMS_PUBLIC_URL is missing" in refused["error"]
    assert not refused["functions"]


async def test_all_functions_are_indexed(report):
    """The worker indexes every function that the app defines, with the same trigger, and no other."""
    defined = load_functions(await find_app(FOLDER))
    indexed = {
        function["name"]: next(binding for binding in function["bindings"] if binding["direction"] == "IN")
        for function in report["functions"]
    }

    assert {function.name: dict(function.trigger) for function in defined} == indexed
    assert {function.kind for function in defined} == set(CALLS)


@pytest.mark.parametrize("kind", CALLS)
def test_each_kind_of_trigger_works(report, kind):
    """One function of each trigger kind runs to its end in the worker."""
    answer = dict(zip(CALLS, report["calls"], strict=True))[kind]

    assert answer["error"] is None
    assert answer["status"] == "success"
    if kind == HTTP:
        assert answer["value"]["http"]["status"] == 200
        assert json.loads(answer["value"]["http"]["body"])["status"] == "ok"


async def test_the_store_was_used(report):
    """The calls really went to the store that the settings name."""
    assert report["store"].exists()
    storage = open_embedded(report["store"])
    assert await storage.queues.length("sms-dispatch-poison") == 0
    await storage.close()
