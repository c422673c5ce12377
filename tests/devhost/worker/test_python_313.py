"""The dev host runs on Python 3.13 with the second line of azure-functions as it does on the first."""

import asyncio
import json
import os
import re
import signal

import pytest

from functions.storage.embedded import open_embedded
from tests.devhost.clocks import until
from tests.devhost.worker.conftest import ROOT, SAMPLE, SCRIPT

STORE = """
import os
from functions.storage.embedded import open_embedded

def open_storage():
    return open_embedded(os.environ["SAMPLE_STORE"])
"""


@pytest.fixture
async def running(worker_python, tmp_path):
    """The sample app under ``python -m devhost`` of the worker's Python."""
    (tmp_path / "sample_store.py").write_text(STORE)
    process = await asyncio.create_subprocess_exec(
        worker_python,
        *(
            "-m",
            "devhost",
            "--port",
            "0",
            "--storage",
            "sample_store:open_storage",
            "--keys",
            str(tmp_path / "keys.json"),
        ),
        cwd=SAMPLE,
        env=os.environ
        | {
            "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
            "PYTHON_SCRIPT_FILE_NAME": SCRIPT,
            "SAMPLE_RECORD": str(tmp_path / "record.jsonl"),
            "SAMPLE_STORE": str(tmp_path / "store.db"),
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        url = None
        while url is None:
            line = (await asyncio.wait_for(process.stderr.readline(), 10)).decode()
            assert line
            url = re.search(r"functions at (http://\S+)", line)
        yield url[1], process, tmp_path
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_each_kind_of_trigger(running, client):
    """HTTP, queue, Event Grid and timer functions run, and the process stops cleanly."""
    url, process, folder = running
    master = {"x-functions-key": json.loads((folder / "keys.json").read_text())["master"]}

    def seen(name):
        path = folder / "record.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["function"] == name]

    async with client.post(url + "/api/echo/7?a=1", data="body") as response:
        assert response.status == 201
        assert (await response.json())["route"] == {"id": "7"}
        assert response.cookies["a"].value == "1"
    storage = open_embedded(folder / "store.db")
    try:
        await storage.queues.put("sample-jobs", "héllo")
        await until(lambda: seen("queue_ok"), limit=10)
        assert seen("queue_ok")[0]["body"] == "héllo"
    finally:
        await storage.close()
    async with client.post(
        url + "/runtime/webhooks/EventGrid?functionName=grid_ok",
        headers=master | {"aeg-event-type": "Notification"},
        json=[{"id": "1", "eventType": "E", "eventTime": "2026-11-22T10:00:00Z", "data": {}}],
    ) as response:
        assert response.status == 202
    assert seen("grid_ok")[0]["type"] == "EventGridEvent"
    async with client.post(url + "/admin/functions/timer_ok", headers=master, json={"input": ""}) as response:
        assert response.status == 202
    await until(lambda: seen("timer_ok"))
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
