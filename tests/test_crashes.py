"""Killed at random points under load, the gateway loses nothing and sends nothing twice."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from devhost.keys import Keys
from devhost.running import Answer
from sandbox.testing import running_sandbox
from tests.conftest import KITS, Ready
from tests.test_end_to_end import every_message, ledger

ROOT = Path(__file__).parent.parent
MESSAGES = 300
KILLS = 5


@dataclass
class Killable:
    """A gateway in a process that is killed and started again; it looks to ``Ready`` like a gateway in this one."""

    folder: Path
    session: aiohttp.ClientSession
    port: int
    keys: Keys
    process: asyncio.subprocess.Process | None = None
    host: SimpleNamespace = field(default_factory=SimpleNamespace)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.gateway_process",
            str(self.folder / "gateway.db"),
            str(self.port),
            str(self.folder / "keys.json"),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        line = await asyncio.wait_for(self.process.stdout.readline(), 30)
        assert line == b"ready\n"

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def call(self, method: str, path: str, body=None, *, headers=None) -> Answer:
        sent = {"x-functions-key": self.keys.master} | (headers or {})
        async with self.session.request(method, f"{self.url}/api{path}", json=body, headers=sent) as response:
            text = await response.text()
            read = await response.json() if "json" in response.content_type and text else text
            return Answer(response.status, read, response.headers.copy())

    async def sweep(self) -> None:
        headers = {"x-functions-key": self.keys.master}
        url = f"{self.url}/admin/functions/sweep_batches"
        async with self.session.post(url, json={"input": ""}, headers=headers) as response:
            assert response.status == 202

    def events_url(self, function: str) -> str:
        key = self.keys.system["eventgrid_extension"]
        return f"{self.url}/runtime/webhooks/EventGrid?functionName={function}&code={key}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def insistently(gateway: Killable, body: dict, key: str) -> Answer:
    """Send as a journey platform does: again with the same key until there is an answer."""
    while True:
        try:
            answer = await gateway.call("POST", "/messages", body, headers={"Idempotency-Key": key})
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
            continue
        if answer.status == 202:
            return answer
        assert answer.status >= 500, answer.body


@pytest.mark.parametrize("vendor", KITS)
async def test_killed_under_load(tmp_path, vendor) -> None:
    """Every message that was asked for is sent exactly once, and the log knows what the vendor knows."""
    lots = random.Random(vendor)
    async with (
        running_sandbox(seed=1, retry_time_scale=0.02) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        gateway = Killable(tmp_path, session, free_port(), Keys.open(tmp_path / "keys.json"))
        await gateway.start()
        try:
            ready = Ready(gateway, sandbox)
            made = await ready.make(vendor)
            await ready.ask(
                "PUT", f"/{vendor}/faults", {"seed": 3, "slow": 0.3, "slow_seconds": 0.15, "drop_after": 0.02}
            )
            wanted = [{"to": f"+1425{2_000_000 + n}", "text": f"Hello {n % 7}"} for n in range(MESSAGES)]
            calls = [wanted[at : at + 60] for at in range(0, MESSAGES, 60)]
            sending = [
                asyncio.create_task(insistently(gateway, {"from": made.sender, "messages": part}, f"call-{number}"))
                for number, part in enumerate(calls)
            ]
            for _ in range(KILLS):
                await asyncio.sleep(lots.uniform(0.02, 0.5))
                await gateway.kill()
                await gateway.start()
            answers = await asyncio.gather(*sending)
            log = await quiet(ready, gateway, 60)
        finally:
            await gateway.kill()

        accepted = [item["id"] for answer in answers for item in answer.body["messages"]]
        sent = await ledger(ready, vendor)
        print(f"{vendor}: {KILLS} kills, {len(sent)} sent, {Counter(message['status'] for message in log)}")
        assert Counter(item["to"] for item in sent) == Counter(message["to"] for message in wanted)
        assert sorted(message["id"] for message in log) == sorted(accepted)
        assert {message["status"] for message in log} == {"delivered"}


async def quiet(ready: Ready, gateway: Killable, seconds: float) -> list[dict]:
    """Wait until the log says of every message that it arrived; reports that were lost meanwhile are asked for."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        await gateway.sweep()
        log = await every_message(ready)
        states = Counter(message["status"] for message in log)
        if set(states) == {"delivered"}:
            return log
        assert asyncio.get_running_loop().time() < deadline, f"not settled in {seconds} s: {states}"
        await asyncio.sleep(0.5)
