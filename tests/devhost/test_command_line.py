"""The dev host as a process: start, stop, and what a kill -9 leaves behind."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp
import pytest

from functions.storage.embedded import open_embedded
from tests.devhost.clocks import until

ROOT = Path(__file__).parents[2]

APP = """
import asyncio, os
from pathlib import Path
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

@app.route("setting")
async def setting(req: func.HttpRequest) -> str:
    return os.environ.get("FROM_SETTINGS", "") + os.environ.get("FROM_BOTH", "")

@app.queue_trigger("msg", "jobs", "Storage")
async def job(msg: func.QueueMessage):
    text = msg.get_body().decode()
    with Path("seen.txt").open("a") as seen:
        seen.write(f"{text} {msg.dequeue_count}\\n")
    while Path("hold").exists():
        await asyncio.sleep(0.01)
    with Path("done.txt").open("a") as done:
        done.write(f"{text}\\n")
"""
STORE = """
from functions.storage.embedded import open_embedded

def open_storage():
    return open_embedded("store.db")

async def open_later():
    return open_embedded("store.db")

def open_without_setting():
    raise LookupError("STORE is not set")
"""
CLOSING_STORE = """
import sys
from functions.storage.embedded import open_embedded

storage = open_embedded("store.db")

def open_storage():
    return storage

async def close():
    sys.stderr.write("closed by the app\\n")
    await storage.close()
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "function_app.py").write_text(APP)
    (tmp_path / "my_store.py").write_text(STORE)
    queues = {"maxPollingInterval": "00:00:00.1", "newBatchThreshold": 0}
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"queues": queues}}))
    return tmp_path


class Process:
    """A dev host in its own process."""

    def __init__(self, process):
        self.process = process
        self.output = ""

    async def url(self):
        while True:
            line = (await asyncio.wait_for(self.process.stderr.readline(), 10)).decode()
            assert line, self.output
            self.output += line
            if found := re.search(r"functions at (http://\S+)", line):
                return found[1]

    async def end(self):
        _, errors = await asyncio.wait_for(self.process.communicate(), 10)
        self.output += errors.decode()
        return self.process.returncode


@pytest.fixture
async def run(folder):
    """Start ``python -m devhost`` in the folder; what still runs at the end is killed."""
    started = []

    async def start(*arguments, env=None):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "devhost",
            *arguments,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | (env or {}),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        started.append(process)
        return Process(process)

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


MINE = ("--storage", "my_store:open_storage")


def lines(path):
    return path.read_text().splitlines() if path.exists() else []


async def get(url):
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_starts_with_settings_and_stops_on_a_signal(run, folder):
    """Settings become the environment, what the environment has wins, and SIGTERM ends the process cleanly."""
    values = {"FROM_SETTINGS": "file ", "FROM_BOTH": "file"}
    (folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    host = await run("--port", "0", *MINE, env={"FROM_BOTH": "environment"})

    url = await host.url()
    assert await get(url + "/api/setting") == (200, "file environment")
    keys = folder / ".data" / "devhost-keys.json"
    assert keys.stat().st_mode & 0o777 == 0o600
    host.process.send_signal(signal.SIGTERM)
    assert await host.end() == 0
    assert json.loads(keys.read_text())["master"] not in host.output


async def test_the_app_may_close_what_it_opened(run, folder):
    """A coroutine close beside the storage's factory is awaited at the end."""
    (folder / "closing_store.py").write_text(CLOSING_STORE)
    host = await run("--port", "0", "--storage", "closing_store:open_storage")
    await host.url()
    host.process.send_signal(signal.SIGINT)

    assert await host.end() == 0
    assert "closed by the app" in host.output


async def test_port_from_settings(run, folder):
    """The port comes from Host.LocalHttpPort of the named settings file, unless the command line has one."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "other.json").write_text(json.dumps({"Host": {"LocalHttpPort": port}}))

    host = await run("--settings", "other.json", "--storage", "my_store:open_later")

    assert await host.url() == f"http://127.0.0.1:{port}"


async def test_port_in_use_is_one_line_and_exit_code_2(run):
    """A port that is taken ends with one clear line and exit code 2."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        host = await run("--port", str(port), *MINE)

        assert await host.end() == 2
    assert host.output.splitlines() == [f"Port {port} is in use; choose another with --port."]


@pytest.mark.parametrize(
    ("spoil", "arguments", "word"),
    [
        (lambda folder: (folder / "function_app.py").unlink(), MINE, "has no function_app.py"),
        (lambda folder: (folder / "function_app.py").write_text("import nowhere"), MINE, "nowhere"),
        (lambda folder: (folder / "host.json").unlink(), MINE, "host.json"),
        (lambda folder: None, ("--storage", "nowhere:open"), "--storage nowhere:open"),
        (lambda folder: None, ("--storage", "my_store:missing"), "--storage my_store:missing"),
        (lambda folder: None, ("--storage", "my_store:open_without_setting"), "STORE is not set"),
        (lambda folder: None, (*MINE, "--settings", "missing.json"), "missing.json"),
        (lambda folder: (folder / "keys").write_text("{}"), (*MINE, "--keys", "keys"), "delete it"),
    ],
)
async def test_what_cannot_run_is_said_in_one_line(run, folder, spoil, arguments, word):
    """An app, a file or an option that cannot be used ends with the reason and exit code 1, without a traceback."""
    spoil(folder)

    host = await run("--port", "0", *arguments)

    assert await host.end() == 1
    assert word in host.output
    assert "Traceback" not in host.output


async def test_help(run):
    """--help names the options."""
    host = await run("--help")
    output, _ = await host.process.communicate()

    assert host.process.returncode == 0
    for option in (b"--port", b"--host", b"--settings", b"--storage", b"--keys", b"--message-lease"):
        assert option in output


async def test_kill_9_during_queue_work_loses_nothing(run, folder):
    """A process killed while messages are in work leaves them in the queue; the next one runs them after the lease."""
    (folder / "hold").touch()
    storage = open_embedded(folder / "store.db")
    try:
        for number in range(3):
            await storage.queues.put("jobs", f"message-{number}")
        first = await run("--port", "0", "--message-lease", "1", *MINE)
        await until(lambda: len(lines(folder / "seen.txt")) == 3, limit=10)
        first.process.kill()
        killed = time.monotonic()
        await first.process.wait()
        assert lines(folder / "done.txt") == []
        assert await storage.queues.length("jobs") == 3

        (folder / "hold").unlink()
        await run("--port", "0", "--message-lease", "1", *MINE)
        await until(lambda: len(lines(folder / "done.txt")) == 3, limit=10)
        assert time.monotonic() - killed < 10
        assert sorted(lines(folder / "done.txt")) == ["message-0", "message-1", "message-2"]
        assert sorted(lines(folder / "seen.txt"))[1::2] == ["message-0 2", "message-1 2", "message-2 2"]

        async def is_empty():
            return await storage.queues.length("jobs") == 0

        await until(is_empty)
        assert await storage.queues.length("jobs-poison") == 0
    finally:
        await storage.close()


async def test_sigterm_during_queue_work_finishes_it(run, folder):
    """A process asked to stop finishes the message in work and leaves nothing half done."""
    (folder / "hold").touch()
    storage = open_embedded(folder / "store.db")
    try:
        await storage.queues.put("jobs", "last")
        host = await run("--port", "0", *MINE)
        await until(lambda: lines(folder / "seen.txt"), limit=10)
        host.process.send_signal(signal.SIGTERM)
        await asyncio.sleep(0.1)
        (folder / "hold").unlink()

        assert await host.end() == 0
        assert lines(folder / "done.txt") == ["last"]
        assert await storage.queues.length("jobs") == 0
    finally:
        await storage.close()
