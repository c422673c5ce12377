"""``python -m devhost``: runs the function app of the current folder."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import importlib
import inspect
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from devhost.host import DEFAULT_PORT, DevHost
from devhost.keys import Keys
from devhost.loading import LoadError, find_app
from devhost.queues import LEASE
from devhost.settings import SettingsError, read_host_json, read_local_settings
from functions.storage.ports import Storage

FAILED, PORT_IN_USE = 1, 2

_SETTINGS = Path("local.settings.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0 after a stop by signal, 1 when the app or its settings are refused, 2 when the port is in use.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    for chatty in ("azure.core.pipeline.policies.http_logging_policy", "azure.identity"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        return asyncio.run(_serve(options))
    except (LoadError, SettingsError) as error:
        return _give_up(str(error), FAILED)
    except KeyboardInterrupt:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m devhost",
        description="Run the function app of the current folder with the manners of the Azure Functions host.",
    )
    parser.add_argument("--port", type=int, help=f"port to listen on, 0 for any that is free (default: {DEFAULT_PORT})")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--settings", type=Path, metavar="FILE", help=f"app settings (default: {_SETTINGS}, if there)")
    parser.add_argument(
        "--storage",
        default="functions.app:open_storage",
        metavar="MODULE:FACTORY",
        help="what makes the storage whose queues are polled; a coroutine `close` beside it, where there is one, is "
        "awaited at the end instead of the storage's own (default: %(default)s)",
    )
    parser.add_argument(
        "--keys",
        type=Path,
        default=Path(".data/devhost-keys.json"),
        metavar="FILE",
        help="access keys; made on first start, readable by you alone (default: %(default)s)",
    )
    parser.add_argument(
        "--message-lease",
        type=float,
        default=LEASE,
        metavar="SECONDS",
        help="how long a received queue message stays hidden if this process dies (default: %(default)g, as on Azure)",
    )
    return parser


async def _serve(options: argparse.Namespace) -> int:
    folder = Path.cwd()
    port = _apply_settings(options.settings)
    app = await find_app(folder, os.environ.get("PYTHON_SCRIPT_FILE_NAME", "function_app.py"))
    storage, close = await _open_storage(options.storage)
    try:
        host = DevHost(
            app,
            host_json=read_host_json(folder),
            settings=os.environ,
            queues=storage.queues,
            tables=storage.tables,
            keys=_open_keys(options.keys),
            host=options.host,
            port=port if options.port is None else options.port,
            lease=options.message_lease,
        )
        try:
            await host.start()
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return _give_up(f"Port {host.port} is in use; choose another with --port.", PORT_IN_USE)
        try:
            await _stop_signal()
        finally:
            await host.stop()
    finally:
        await close()
    return 0


def _apply_settings(path: Path | None) -> int:
    if path is None and not _SETTINGS.exists():
        return DEFAULT_PORT
    values, port = read_local_settings(path or _SETTINGS)
    for name, value in values.items():
        # As in Core Tools, what the environment already has wins.
        os.environ.setdefault(name, value)
    return DEFAULT_PORT if port is None else port


async def _open_storage(name: str) -> tuple[Storage, Callable[[], Awaitable[None]]]:
    module_name, _, factory = name.partition(":")
    try:
        module = importlib.import_module(module_name)
        made = getattr(module, factory)()
        storage: Storage = await made if inspect.isawaitable(made) else made
    except Exception as error:
        # Whatever the app's own code raises here, most often about a missing setting, is for the reader of one line.
        raise SettingsError(f"--storage {name} cannot be opened: {error}") from error
    close: Callable[[], Awaitable[None]] = getattr(module, "close", storage.close)
    return storage, close


def _open_keys(path: Path) -> Keys:
    try:
        return Keys.open(path)
    except ValueError as error:
        raise SettingsError(str(error)) from error


async def _stop_signal() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        # Windows loops have no signal handlers; there Ctrl-C arrives as KeyboardInterrupt.
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stopped.set)
    await stopped.wait()


def _give_up(reason: str, code: int) -> int:
    sys.stderr.write(f"{reason}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
