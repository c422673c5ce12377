"""Real servers for tests: Microsoft's Azurite, which keeps tables and queues like Azure Storage.

They come from ``.tools/``, where ``dev.py`` puts them. Each test process starts its own on free ports, so that
tests may run in several processes at once.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

AZURITE = Path(__file__).resolve().parent.parent / ".tools" / "azurite" / "node_modules" / "azurite" / "dist" / "src"
ACCOUNT = "gatewaytests"
START_SECONDS = 60.0
STOP_SECONDS = 10.0
STARTS = 3
DIE_WITH_PARENT = "process.stdin.on('end', () => process.exit()).resume(); require(process.argv[1])"
"""A test process that is killed cannot stop its servers; but then the pipe to them closes, and they go."""


class ServerError(Exception):
    """A server did not start."""


def missing_tools() -> str:
    """Return why Azurite cannot be started, or an empty text."""
    if shutil.which("node") is None:
        return "node is not installed"
    if not (AZURITE / "table" / "main.js").is_file():
        return "Azurite is not in .tools/azurite (python3 dev.py setup --servers puts it there)"
    return ""


def require_tools() -> None:
    """Skip the test if Azurite cannot be started; fail it where ``REQUIRE_SERVERS=1`` says that it must be there."""
    reason = missing_tools()
    if reason and os.environ.get("REQUIRE_SERVERS") == "1":
        pytest.fail(f"REQUIRE_SERVERS=1, but {reason}")
    if reason:
        pytest.skip(reason)


@contextlib.contextmanager
def azurite(folder: Path) -> Iterator[str]:
    """Run Azurite's tables and queues in memory until the block ends, and yield a connection string for both.

    Args:
        folder: Where to put the servers' output.

    Raises:
        ServerError: A server did not start; the error has its output.
    """
    key = base64.b64encode(secrets.token_bytes(32)).decode()
    environment = os.environ | {"AZURITE_ACCOUNTS": f"{ACCOUNT}:{key}"}
    with contextlib.ExitStack() as running:
        urls = {
            kind: running.enter_context(_service(kind, environment, folder / f"azurite-{kind}.log"))
            for kind in ("table", "queue")
        }
        yield (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={key};"
            f"TableEndpoint={urls['table']}/{ACCOUNT};QueueEndpoint={urls['queue']}/{ACCOUNT}"
        )


@contextlib.contextmanager
def _service(kind: str, environment: dict[str, str], log: Path) -> Iterator[str]:
    process, port = _start(kind, environment, log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        _end(process)


def _start(kind: str, environment: dict[str, str], log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a service; should another process take the port between our look and its start, begin again."""
    for _ in range(STARTS):
        port = free_port()
        command = [
            *("node", "-e", DIE_WITH_PARENT, str(AZURITE / kind / "main.js")),
            *(f"--{kind}Host", "127.0.0.1", f"--{kind}Port", str(port)),
            *("--inMemoryPersistence", "--silent", "--disableTelemetry"),
            "--skipApiVersionCheck",  # the clients are newer than the emulator
        ]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, env=environment, cwd=log.parent, stdin=subprocess.PIPE, stdout=output, stderr=output
            )
        if wait_for_port(port, functools.partial(_is_running, process)):
            return process, port
        process.kill()
        _end(process)
    raise ServerError(f"Azurite's {kind} service did not start:\n{log.read_text(errors='replace')}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is None


def free_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, alive: functools.partial[bool], seconds: float = START_SECONDS) -> bool:
    """Wait for the port to accept a connection; tell whether it did before ``alive()`` ended or the time was up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and alive():
        if is_listening(port):
            return True
        time.sleep(0.02)
    return False


def is_listening(port: int) -> bool:
    """Tell whether the port accepts a connection."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
