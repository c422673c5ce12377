"""Killed at random points under load, the gateway loses nothing and sends nothing twice.

At a vendor that offers no way to find out what became of a call, a message that was on its way to it when the gateway
died is never sent again: it stays unknown unless a report tells.
"""

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
from tests.test_end_to_end import every_message, is_blind, ledger, plus

ROOT = Path(__file__).parent.parent
MESSAGES = 300
KILLS = 5
RETRY_TIME_SCALE = {"telesign": 0.2}
"""How fast vendors repeat their reports: one that gives up after half a minute must still outlast a restart."""


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
        running_sandbox(seed=1, retry_time_scale=RETRY_TIME_SCALE.get(vendor, 0.02)) as sandbox,
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
            log = await quiet(ready, gateway, vendor, 60, blind=is_blind(vendor))
        finally:
            await gateway.kill()

        accepted = [item["id"] for answer in answers for item in answer.body["messages"]]
        sent = await ledger(ready, vendor)
        print(f"{vendor}: {KILLS} kills, {len(sent)} sent, {Counter(message['status'] for message in log)}")
        counted = Counter(plus(item["to"]) for item in sent)
        assert counted <= Counter(message["to"] for message in wanted), "sent twice, or sent what nobody asked for"
        assert sorted(message["id"] for message in log) == sorted(accepted)
        never = {message["to"] for message in wanted} - set(counted)
        assert {message["to"] for message in log if message["status"] == "unknown"} == never
        assert {message["to"] for message in log if message["status"] == "delivered"} == set(counted)
        assert not never or is_blind(vendor)


async def quiet(ready: Ready, gateway: Killable, vendor: str, seconds: float, *, blind: bool) -> list[dict]:
    """Wait until the log says of every message that it arrived; reports that were lost meanwhile are asked for.

    Where nobody can find out, a message that was never sent may stay unknown.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        await gateway.sweep()
        log = await every_message(ready)
        states = Counter(message["status"] for message in log)
        if set(states) == {"delivered"}:
            return log
        if blind and set(states) <= {"delivered", "unknown"}:
            sent = {plus(item["to"]) for item in await ledger(ready, vendor)}
            if not any(message["status"] == "unknown" and message["to"] in sent for message in log):
                return log
        assert asyncio.get_running_loop().time() < deadline, f"not settled in {seconds} s: {states}"
        await asyncio.sleep(0.5)
