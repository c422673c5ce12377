"""A real OpenTelemetry collector for tests: Rotel, which PyPI carries as a program inside a wheel.

It takes OTLP like any collector and hands on what it took, here to ``tests/telemetry/collector.py``. Of itself it tells
nobody anything unless ``--enable-internal-telemetry`` is given.
Source: https://github.com/streamfold/rotel#readme, ``rotel-agent start --help``.
"""

from __future__ import annotations

import asyncio
import functools
import os
import re
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dev import ROOT
from tests.servers import free_port

STARTS = 3
DIE_WITH_PARENT = (
    "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGKILL); os.execv(sys.argv[1], sys.argv[1:])"
)
"""PR_SET_PDEATHSIG, then the collector in the same process: it goes when the tests are killed."""

VENV = ROOT / ".venv-collector"


class CollectorError(Exception):
    """The collector did not start."""


def program() -> Path | None:
    """Return where the program is; ``None`` where it is not installed."""
    return next(VENV.glob("lib/python*/site-packages/rotel/rotel-agent"), None)


@functools.cache
def environment() -> dict[str, str]:
    """Return all that the collector gets of this machine's environment.

    The program is linked against the shared library of the Python that its wheel is for. A ROTEL_* variable or a proxy
    would change what is tested.
    """
    ask = "import sysconfig; print(sysconfig.get_config_var('LIBDIR') or '')"
    asked = subprocess.run([VENV / "bin" / "python", "-c", ask], capture_output=True, text=True, check=True)
    return {"LD_LIBRARY_PATH": asked.stdout.strip()}


@functools.cache
def missing_collector() -> str:
    """Return why the collector cannot be run, or an empty text."""
    found = program()
    if found is None:
        return "no .venv-collector; python3 dev.py setup --servers makes it"
    asked = subprocess.run([found, "version"], env=environment(), capture_output=True, text=True, check=False)
    if asked.returncode:
        return f"rotel-agent needs Python's shared library (Debian: apt-get install libpython3.x): {asked.stderr}"
    return ""


def require_collector() -> None:
    """Skip the test where the collector cannot be run, or fail it where ``dev.py`` has put the collector in place."""
    reason = missing_collector()
    if reason and os.environ.get("REQUIRE_COLLECTOR") == "1":
        pytest.fail(f"CI must not skip the tests against a real collector: {reason}")
    if reason:
        pytest.skip(reason)


@dataclass(frozen=True)
class Socket:
    """A TCP socket of the collector.

    Args:
        port: Its own port.
        remote: The address and port it is connected to.
        listens: Whether it waits for connections instead.
    """

    port: int
    remote: tuple[str, int]
    listens: bool


class Rotel:
    """A collector on loopback that can be stopped, killed and started again on the same port.

    Args:
        folder: Where its output goes.
        backend: Where it hands everything on to.
        options: More options of its command line.
    """

    def __init__(self, folder: Path, backend: str, *options: str) -> None:
        self.port = free_port()
        self._output = folder / f"rotel-{self.port}.log"
        self._backend = backend
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it takes OTLP over HTTP."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The id of its process."""
        return self._process.pid

    def output(self) -> str:
        """Return what it printed, all runs one after the other."""
        return self._output.read_text(errors="replace")

    def sockets(self) -> list[Socket]:
        """Return its TCP sockets as the kernel tells of them: proc(5), /proc/pid/net/tcp."""
        folder = Path("/proc") / str(self.pid)
        try:
            links = [str(file.readlink()) for file in (folder / "fd").iterdir()]
            lines = [line for name in ("tcp", "tcp6") for line in (folder / "net" / name).read_text().splitlines()]
        except OSError:  # it ended, or closed one of them just now
            return []
        own = {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}
        return [
            Socket(_end(fields[1])[1], _end(fields[2]), listens=fields[3] == "0A")
            for fields in map(str.split, lines)
            if fields[9] in own
        ]

    async def start(self, seconds: float = 20.0) -> None:
        """Start it and wait until it listens.

        Raises:
            CollectorError: It ended or did not listen in time; the error has its output.
        """
        command = [
            *(sys.executable, "-c", DIE_WITH_PARENT, str(program()), "start"),
            *("--otlp-http-endpoint", f"127.0.0.1:{self.port}", "--otlp-grpc-endpoint", "127.0.0.1:0"),
            *("--exporter", "otlp", "--otlp-exporter-protocol", "http", "--otlp-exporter-endpoint", self._backend),
            *("--batch-timeout", "50ms", "--otlp-exporter-retry-initial-backoff", "100ms"),
            *self._options,
        ]
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        # Its own socket and not any: somebody else may have taken the port just now.
        while not any(one.listens and one.port == self.port for one in self.sockets()):
            if self._process.poll() is not None or loop.time() > deadline:
                await self.kill()
                raise CollectorError(f"Rotel did not start:\n{self.output()}")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stop it as an operator does; it hands on what it still has and ends."""
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, 10)

    async def kill(self) -> None:
        """Kill it: what it has not handed on is lost."""
        self._process.kill()
        await asyncio.to_thread(self._process.wait)


def _end(printed: str) -> tuple[str, int]:
    """Return address and port; the kernel prints an address in words of the machine's byte order."""
    address, _, port = printed.partition(":")
    raw = b"".join(bytes.fromhex(address[at : at + 8])[::-1] for at in range(0, len(address), 8))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw), int(port, 16)


@asynccontextmanager
async def running_rotel(folder: Path, backend: str, *options: str):
    """Run a collector until the block ends; should another process take its port before it does, begin again.

    Args:
        folder: Where its output goes.
        backend: Where it hands everything on to.
        options: More options of its command line.
    """
    for left in reversed(range(STARTS)):
        rotel = Rotel(folder, backend, *options)
        try:
            await rotel.start()
            break
        except CollectorError:
            if not left:
                raise
    try:
        yield rotel
    finally:
        await rotel.kill()
