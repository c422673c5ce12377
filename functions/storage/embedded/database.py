"""One SQLite file behind two threads: one that writes and one that reads.

A commit that survives a loss of power waits for the disk, some hundred times longer than the write itself takes. So
the writer takes all that waits for it into one transaction, and the many share the wait of one. Each job has its own
savepoint there: one that fails takes nothing else with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from functions.storage.ports import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

OLDEST_SQLITE: Final = (3, 35)
"""The first with RETURNING (https://sqlite.org/lang_returning.html)."""
APPLICATION_ID: Final = 0x736D7367
SCHEMA_VERSION: Final = 1
BUSY_SECONDS: Final = 30.0
"""How long one process waits for another's transaction, which takes some milliseconds."""
MAX_JOBS_A_COMMIT: Final = 256

_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS rows (
        tbl TEXT NOT NULL, part TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL, vals BLOB NOT NULL,
        PRIMARY KEY (tbl, part, key))""",
    # AUTOINCREMENT: the id of a deleted message must not come again, an old receipt would fit it.
    """CREATE TABLE IF NOT EXISTS messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, body TEXT NOT NULL, visible REAL NOT NULL,
        receipt INTEGER NOT NULL DEFAULT 0, dequeues INTEGER NOT NULL DEFAULT 0, inserted REAL NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS messages_by_time ON messages (queue, visible, id)",
    # A deleted secret keeps its name with no value, as Key Vault does.
    "CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value TEXT)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


class _RolledBackError(Exception):
    """SQLite has ended a transaction by itself."""


@dataclass(slots=True)
class _Job:
    """Work for a thread, and who waits for it."""

    work: Callable[[sqlite3.Connection], Any]
    loop: asyncio.AbstractEventLoop
    waiting: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def deliver(self) -> None:
        """Hand the outcome to the waiting task, in its own loop."""
        if self.waiting.done():
            return
        if self.error is None:
            self.waiting.set_result(self.result)
        else:
            self.waiting.set_exception(self.error)


class Database:
    """A SQLite file that keeps what it acknowledged, shared by the three ports.

    Args:
        path: The file.

    Raises:
        StorageError: The file cannot be opened or is no database of ours.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        file = Path(path)
        self.file = file
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            raise StorageError(f"SQLite {sqlite3.sqlite_version} is too old, 3.35 is needed")
        with contextlib.ExitStack() as opened:
            try:
                _make_private(file)
                writer = opened.enter_context(contextlib.closing(_connect(file)))
                reader = opened.enter_context(contextlib.closing(_connect(file)))
                _prepare(writer)
            except (OSError, sqlite3.Error) as error:
                raise StorageError(f"cannot open {file.name}: {error}") from error
            opened.pop_all()  # from here on the threads close them
        self._writer = _Worker("storage-writer", writer, _run_in_one_commit)
        self._reader = _Worker("storage-reader", reader, _run_one_by_one)

    async def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run the work in a transaction and return its result once that is safely on the disk.

        The work is undone if it raises. If the waiting task is cancelled, the work may or may not be done.

        Raises:
            StorageError: SQLite failed.
        """
        return await self._writer.run(work)

    async def read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run the work on what has been committed, without waiting for writes under way.

        Raises:
            StorageError: SQLite failed.
        """
        return await self._reader.run(work)

    async def close(self) -> None:
        """Finish what was asked for so far and close the file; closing again does nothing."""
        await asyncio.to_thread(self._writer.stop)
        await asyncio.to_thread(self._reader.stop)


class _Worker:
    """A thread with its own connection that runs jobs in the order they came."""

    def __init__(
        self, name: str, connection: sqlite3.Connection, run: Callable[[sqlite3.Connection, list[_Job]], None]
    ) -> None:
        self._connection = connection
        self._run = run
        self._inbox: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._open = True
        self._guard = threading.Lock()
        # A daemon: a process that ends without close() must not hang, and loses nothing acknowledged.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        with self._guard:
            if not self._open:
                raise StorageError("the storage is closed")
            self._inbox.put(job)
        return cast("_T", await job.waiting)

    def stop(self) -> None:
        with self._guard:
            if self._open:
                self._open = False
                self._inbox.put(None)
        self._thread.join()

    def _serve(self) -> None:
        with contextlib.closing(self._connection):
            last = False
            while not last:
                jobs = [self._inbox.get()]
                while len(jobs) < MAX_JOBS_A_COMMIT:
                    try:
                        jobs.append(self._inbox.get_nowait())
                    except queue.Empty:
                        break
                last = jobs[-1] is None
                work = [job for job in jobs if job is not None]
                if work:
                    self._run(self._connection, work)
                    _deliver(work)


def _deliver(jobs: list[_Job]) -> None:
    """Wake the waiting tasks, with one call per event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in jobs:
        by_loop.setdefault(job.loop, []).append(job)

    def deliver_all(some: list[_Job]) -> None:
        for job in some:
            job.deliver()

    for loop, some in by_loop.items():
        # A loop that was closed meanwhile has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver_all, some)


def _run_one_by_one(connection: sqlite3.Connection, jobs: list[_Job]) -> None:
    for job in jobs:
        _attempt(connection, job)


def _run_in_one_commit(connection: sqlite3.Connection, jobs: list[_Job]) -> None:
    try:
        connection.execute("BEGIN IMMEDIATE")
        for job in jobs:
            _attempt_in_savepoint(connection, job)
        connection.execute("COMMIT")
    except (sqlite3.Error, _RolledBackError) as error:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        for job in jobs:
            job.error = _storage_error(error)


def _attempt_in_savepoint(connection: sqlite3.Connection, job: _Job) -> None:
    connection.execute("SAVEPOINT job")
    _attempt(connection, job)
    if not connection.in_transaction:
        # On a full disk or an input/output error SQLite rolls the whole transaction back by itself.
        raise _RolledBackError(f"rolled back, {job.error}") from job.error
    if job.error is not None:
        connection.execute("ROLLBACK TO job")
    connection.execute("RELEASE job")


def _attempt(connection: sqlite3.Connection, job: _Job) -> None:
    try:
        job.result = job.work(connection)
    except sqlite3.Error as error:
        job.error = _storage_error(error)
    except BaseException as error:  # noqa: BLE001 - it belongs to the task that asked; a dead thread answers nobody
        job.error = error


def _storage_error(cause: Exception) -> StorageError:
    error = StorageError(f"SQLite: {cause}")
    error.__cause__ = cause
    return error


def _make_private(file: Path) -> None:
    """Make the file, readable and writable for its owner only, before SQLite opens it: it will hold secrets.

    SQLite gives its ``-wal`` and ``-shm`` files the mode of the file itself.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    file.chmod(0o600)
    if hasattr(os, "O_DIRECTORY"):
        directory = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)  # else the file's name may be lost with the power, and the file with it
        finally:
            os.close(directory)


def _connect(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous = FULL")  # each commit waits for the disk
        connection.execute("PRAGMA fullfsync = ON")  # on macOS fsync() alone does not reach the disk
        connection.execute("PRAGMA secure_delete = ON")  # a deleted secret is overwritten
    except BaseException:
        connection.close()
        raise
    return connection


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch to the write-ahead log, which SQLite refuses without waiting while another process does the same."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the tables of a new file; leave a file of another program or version alone."""
    connection.execute("BEGIN IMMEDIATE")  # of several processes that open a new file, one makes the tables
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not tables:
        for statement in _SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")
    (program,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if (program, version) != (APPLICATION_ID, SCHEMA_VERSION):
        raise sqlite3.DatabaseError(f"it is not a storage file of format {SCHEMA_VERSION}")
