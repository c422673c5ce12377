"""``python -m devhost.demo``: the gateway and the simulated vendors, with messages to watch until they arrive."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import json
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from devhost.demo.clients import Api, People, UnexpectedAnswerError
from devhost.demo.folder import Folder, FolderError
from devhost.demo.screen import Screen, complain
from devhost.demo.setting_up import SettingUp
from devhost.demo.story import FRIEND, Deadline, Leftovers, Story
from devhost.keys import Keys
from devhost.running import ROOT, Gateway, running_gateway
from devhost.settings import read_host_json
from functions.gateway.timing import Timing
from functions.settings import Settings, read_settings, read_telemetry
from functions.storage.embedded import open_embedded
from functions.storage.ports import StorageError
from functions.telemetry import open_telemetry
from sandbox.kit import Kit, kits
from sandbox.server import Sandbox
from sandbox.testing import running_sandbox

WELL, FAILED, IN_THE_WAY, INTERRUPTED = 0, 1, 2, 130
LOOPBACK = "127.0.0.1"
LAST_PORT = 65535

# A person watches, so everything is some ten times faster than on Azure: reports come sooner, an empty queue is asked
# more often, and what a killed run left is taken up after seconds instead of minutes.
REPORTS_SPEED = 0.5
RETRIES_SPEED = 0.05
POLL_QUEUE_EVERY = "00:00:00.2"
VENDOR_TIMEOUT = "5"
QUEUE_LEASE = 10.0
TIMING = Timing(lease=12.0, margin=2.0, settle_after=2.0, grace=timedelta(seconds=5))


class PortError(Exception):
    """A port cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    once: bool
    fresh: bool
    port: int
    sandbox_port: int
    folder: Folder
    deadline: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    Returns:
        The exit code: 0 when all is well, 1 when something did not come as expected (with ``--once``), 2 when a port
        or the data folder cannot be used, 130 when it was interrupted before it was through.
    """
    options = read_options(arguments)
    try:
        with options.folder.alone():
            require_free(options.port, options.sandbox_port)
            if options.fresh:
                options.folder.clear()
            log_to(options.folder.log)
            return asyncio.run(interruptible(options))
    except (FolderError, PortError) as error:
        complain(str(error))
    except StorageError as error:
        complain(f"The data in {options.folder.path} cannot be used ({error}); start over with --fresh.")
    except KeyboardInterrupt:
        return INTERRUPTED
    return IN_THE_WAY


def read_options(arguments: Sequence[str] | None) -> Options:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m devhost.demo",
        description="Start the gateway and the simulated vendors on this machine, set up a provider at each vendor "
        "and show messages on their way until they are delivered. Nothing leaves the machine.",
    )
    parser.add_argument("--once", action="store_true", help="end afterwards: exit code 0 if everything arrived, else 1")
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs left in the data folder")
    parser.add_argument("--port", type=port, default=7071, help="the gateway's, 0 for any free one (%(default)s)")
    parser.add_argument("--sandbox-port", type=port, default=7072, help="the sandbox's, likewise (%(default)s)")
    parser.add_argument(
        "--data", type=Path, default=Path(".data/demo"), metavar="DIR", help="what outlives the demo (%(default)s)"
    )
    parser.add_argument(
        "--deadline", type=float, default=60.0, metavar="SECONDS", help="the longest to wait for messages (%(default)g)"
    )
    given = parser.parse_args(arguments)
    return Options(given.once, given.fresh, given.port, given.sandbox_port, Folder(given.data), given.deadline)


def port(text: str) -> int:
    """Read a port.

    Raises:
        ArgumentTypeError: It is none.
    """
    if not text.isascii() or not text.isdecimal() or int(text) > LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; give a number from 0 to {LAST_PORT}")
    return int(text)


def require_free(*ports: int) -> None:
    """See that nobody listens on the ports, before anything is changed.

    Raises:
        PortError: Somebody does, or a port is named twice.
    """
    with contextlib.ExitStack() as held:
        for number in ports:
            probe = held.enter_context(socket.socket())
            if os.name != "nt":
                # As asyncio's servers do: a port that a process has just left is free.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, number))
                probe.listen()
            except OSError as error:
                why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
                raise PortError(f"Port {number} {why}; choose another with --port or --sandbox-port.") from error


def log_to(file: Path) -> None:
    """Write logs to a file, so that the screen stays readable."""
    logging.basicConfig(
        level=logging.INFO, filename=file, encoding="utf-8", format="%(asctime)s %(levelname)-7s %(name)s  %(message)s"
    )


async def interruptible(options: Options) -> int:
    """Run the demo until it is through, or stays up and is stopped."""
    demo = asyncio.ensure_future(run(options))

    def stop() -> None:
        # Once only: a second signal would cut the cleaning up short.
        if not demo.cancelling():
            demo.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows loops have no signal handlers; there Ctrl-C arrives as KeyboardInterrupt.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)
    try:
        return await demo
    except asyncio.CancelledError:
        return INTERRUPTED


async def run(options: Options) -> int:
    """Start both servers, tell of every vendor, and stay up unless asked otherwise."""
    screen = Screen(sys.stdout, os.environ)
    screen.line("The SMS gateway and the simulated vendors, on this machine alone: nothing leaves it.")
    async with running(options) as (gateway, sandbox):
        api = Api(gateway.session, f"{gateway.url}/api", gateway.keys.host["default"])
        people = People(gateway.session, sandbox.base_url)
        screen.step("gateway", f"listens at {gateway.url}, keeps its data in {options.folder.path}")
        screen.step("sandbox", f"plays the vendors at {sandbox.base_url}")
        failures = await tell(options, gateway, api, people, screen)
        screen.heading("All of it" if not failures else "Not as it should be")
        for failure in failures:
            screen.step("FAILED", failure)
        if not failures:
            screen.step("ok", "every message came to its end, and none was sent twice")
        if options.once:
            return FAILED if failures else WELL
        invite(screen, api, people, options.folder)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        screen.line("\nStopping.")
    return WELL


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[tuple[Gateway, Sandbox]]:
    """Run the gateway and the sandbox over the data folder."""
    host_json = deepcopy(read_host_json(ROOT))
    host_json["extensions"]["queues"]["maxPollingInterval"] = POLL_QUEUE_EVERY
    async with AsyncExitStack() as stack:
        storage = open_embedded(options.folder.store)
        stack.push_async_callback(storage.close)
        sandbox = await stack.enter_async_context(
            running_sandbox(
                time_scale=REPORTS_SPEED,
                retry_time_scale=RETRIES_SPEED,
                data=options.folder.journal,
                port=options.sandbox_port,
            )
        )
        telemetry = open_telemetry(read_telemetry(os.environ))
        stack.push_async_callback(telemetry.close)
        gateway = await stack.enter_async_context(
            running_gateway(
                storage,
                port=options.port,
                keys=open_keys(options.folder),
                settings=settings_for,
                host_json=host_json,
                lease=QUEUE_LEASE,
                telemetry=telemetry,
                timing=TIMING,
            )
        )
        yield gateway, sandbox


def open_keys(folder: Folder) -> Keys:
    """Return the demo's access keys, the same in every run.

    Raises:
        FolderError: What is kept cannot be read.
    """
    try:
        return Keys.open(folder.keys)
    except ValueError as error:
        raise FolderError(f"{folder.path}: {error}.") from error


def settings_for(url: str) -> Settings:
    """Return the app settings of the demo, for the gateway's address."""
    return read_settings(
        {
            "SMS_STORAGE": "embedded",
            "SMS_PUBLIC_URL": url,
            "SMS_VENDOR_TIMEOUT_SECONDS": VENDOR_TIMEOUT,
            "SMS_ALLOW_LOCAL_VENDORS": "true",
        }
    )


async def tell(options: Options, gateway: Gateway, api: Api, people: People, screen: Screen) -> list[str]:
    """Tell of every vendor, and return what did not come as expected."""
    deadline = Deadline(options.deadline)
    leftovers = Leftovers(api, people, screen, deadline)
    await leftovers.find()
    setting_up = SettingUp(api, people, screen, gateway.keys.master, gateway.events_url)
    run_name = secrets.token_hex(3).upper()
    failures: list[str] = []
    for vendor in (await api.get("/vendors"))["items"]:
        screen.heading(vendor["title"])
        kit: Kit | None = kits().get(vendor["name"])
        if kit is None:
            screen.step("skipped", "the demo has no set-up for it yet")
            continue
        story = Story(kit, api, people, screen, run_name, deadline)
        try:
            await setting_up.set_up(kit, vendor["title"])
            await story.tell()
        except UnexpectedAnswerError as error:
            story.failures.append(f"{kit.vendor}: {error}")
        failures += story.failures
    return failures + await leftovers.see_through()


def first_message() -> dict[str, str]:
    """Return the request that a newcomer is invited to send first."""
    kit = next(iter(kits().values()))
    return {"from": kit.sender, "to": kit.person(FRIEND), "text": "Hello from the gateway"}


def invite(screen: Screen, api: Api, people: People, folder: Folder) -> None:
    """Say where everything is and what to try."""
    body = json.dumps(first_message())
    key = f"x-functions-key: {api.key}"
    screen.heading("It stays up until Ctrl-C")
    for name, value in {
        "API docs": f"{api.url}/docs",
        "OpenAPI": f"{api.url}/openapi.json",
        "sandbox": f"{people.url}/sandbox (vendors, and numbers that fail in every known way)",
        "key": api.key,
        "log": str(folder.log),
    }.items():
        screen.line(f"  {name:<9} {value}")
    screen.line("\nSend one yourself, then see what became of it:\n")
    screen.line(f"curl {api.url}/messages -H '{key}' -H 'Content-Type: application/json' \\\n  -d '{body}'\n")
    screen.line(f"curl '{api.url}/messages?limit=1' -H '{key}'\n")


if __name__ == "__main__":
    sys.exit(main())
