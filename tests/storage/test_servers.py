"""The helpers that run real servers for the other tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import servers

ROOT = Path(servers.__file__).resolve().parent.parent


def test_missing_tools_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Azurite is not installed its tests are skipped, with the reason."""
    monkeypatch.delenv("REQUIRE_SERVERS", raising=False)
    monkeypatch.setattr(servers, "AZURITE", Path("nowhere"))

    with pytest.raises(pytest.skip.Exception, match="Azurite is not in"):
        servers.require_tools()


def test_missing_tools_fail_where_they_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI a missing tool fails the tests that need it."""
    monkeypatch.setenv("REQUIRE_SERVERS", "1")
    monkeypatch.setenv("PATH", "")

    with pytest.raises(pytest.fail.Exception, match="node is not installed"):
        servers.require_tools()


def test_a_server_that_does_not_start_is_an_error_with_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server says before it gives up is in the error."""
    servers.require_tools()
    monkeypatch.setattr(servers, "DIE_WITH_PARENT", "console.log('no luck today'); process.exit(1)")

    with pytest.raises(servers.ServerError, match="no luck today"), servers.azurite(tmp_path):
        pass


def test_servers_go_when_the_test_process_is_killed(tmp_path: Path) -> None:
    """After kill -9 of the process that started them, no server is left."""
    servers.require_tools()
    program = (
        "import pathlib, sys, time; from tests.servers import azurite\n"
        "with azurite(pathlib.Path(sys.argv[1])) as connection: print(connection, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    line = process.stdout.readline()
    ports = [int(part.rsplit(":", 1)[1].split("/")[0]) for part in line.split(";") if "Endpoint=" in part]

    process.send_signal(signal.SIGKILL)
    process.communicate()

    assert len(ports) == 2
    deadline = time.monotonic() + 10
    while any(servers.is_listening(port) for port in ports) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [port for port in ports if servers.is_listening(port)]
