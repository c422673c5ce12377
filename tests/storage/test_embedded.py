"""What only the embedded family has to care for: a kill, several processes, a full disk, the file itself."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.storage.embedded import database as module
from functions.storage.embedded import open_embedded
from functions.storage.embedded.tables import _pack, _unpack
from functions.storage.ports import QueueItem, Row, StaleError, StorageError

if TYPE_CHECKING:
    from functions.storage.embedded.database import Database
    from functions.storage.ports import Storage

PROGRAM = Path(__file__).with_name("writing_process.py")
ROOT = PROGRAM.parent.parent.parent


def start(file: Path, name: str, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(file), name, mode],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


def database_of(storage: Storage) -> Database:
    return storage.tables._database


# What is acknowledged stays


async def test_a_kill_loses_nothing_acknowledged(tmp_path: Path) -> None:
    """After kill -9 in the middle of writing, three times on one file, all that was acknowledged is there, whole."""
    file = tmp_path / "gateway.db"
    acknowledged: dict[str, set[str]] = {"row": set(), "message": set(), "secret": set()}
    for name, lines in (("a", 40), ("b", 150), ("c", 400)):
        process = start(file, name, "write")
        for _ in range(lines):
            kind, key = process.stdout.readline().split()
            acknowledged[kind].add(key)
        process.send_signal(signal.SIGKILL)
        for line in process.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                kind, key = line.split()
                acknowledged[kind].add(key)
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL

    storage = open_embedded(file)
    rows = {row.key async for row in storage.tables.query("rows", "p")}
    bodies = set()
    while items := await storage.queues.receive("messages", limit=32, visibility=60):
        bodies |= {item.body for item in items}
    secrets = {name for name in acknowledged["secret"] if await storage.secrets.get(name) == f"value of {name}"}
    await storage.close()

    assert sum(len(keys) for keys in acknowledged.values()) >= 590
    assert acknowledged["row"] <= rows
    assert acknowledged["message"] <= bodies
    assert acknowledged["secret"] == secrets
    assert {key.removesuffix("-twin") for key in rows} == {key for key in rows if not key.endswith("-twin")}
    assert all(f"{key}-twin" in rows for key in rows if not key.endswith("-twin"))
    with sqlite3.connect(file) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


async def test_every_commit_waits_for_the_disk(embedded: Storage) -> None:
    """The file is written ahead with a full sync, which is what outlives a loss of power."""
    database = database_of(embedded)

    assert await database.write(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (2,)
    assert await database.write(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)


async def test_what_was_written_is_there_after_opening_again(tmp_path: Path) -> None:
    """Rows, messages and secrets outlive the closing of the file; so do etags, receipts and used-up names."""
    file = tmp_path / "gateway.db"
    first = open_embedded(file)
    await first.tables.insert("rows", [Row("p", "k", {"n": 1})])
    row = await first.tables.get("rows", "p", "k")
    await first.queues.put("messages", "a")
    (item,) = await first.queues.receive("messages", limit=1, visibility=60)
    await first.secrets.set("name", "canary")
    await first.secrets.set("gone", "canary")
    await first.secrets.delete("gone")
    await first.close()

    second = open_embedded(file)

    assert await second.tables.get("rows", "p", "k") == row
    await second.queues.delete("messages", item)
    assert await second.secrets.get("name") == "canary"
    with pytest.raises(StaleError):
        await second.secrets.set("gone", "canary")
    await second.close()


# Several processes


def test_processes_share_a_file(tmp_path: Path) -> None:
    """Three processes that open a new file at once and claim the same 200 rows win each row exactly once."""
    file = tmp_path / "new" / "gateway.db"
    processes = [start(file, name, "claim") for name in "abc"]
    won = [process.communicate()[0].split()[1::2] for process in processes]

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sorted(key for keys in won for key in keys) == [f"{n:03}" for n in range(200)]


async def test_a_writer_waits_for_another_process(embedded: Storage, tmp_path: Path) -> None:
    """While somebody else holds the file's lock, a write waits and reads go on."""
    await embedded.tables.insert("rows", [Row("p", "a")])
    other = sqlite3.connect(tmp_path / "data" / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    insert = asyncio.create_task(embedded.tables.insert("rows", [Row("p", "b")]))
    await asyncio.sleep(0.05)
    assert await embedded.tables.get("rows", "p", "a") is not None
    assert not insert.done()
    other.execute("COMMIT")
    other.close()

    assert await insert == {"b"}


async def test_a_job_has_the_file_to_itself(embedded: Storage, tmp_path: Path) -> None:
    """From its first read on nobody else writes, so a job may decide by what it has read."""
    other = sqlite3.connect(tmp_path / "data" / "gateway.db", isolation_level=None, timeout=0, check_same_thread=False)

    def read_and_decide(connection: sqlite3.Connection) -> None:
        assert connection.execute("SELECT count(*) FROM secrets").fetchall() == [(0,)]
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("INSERT INTO secrets VALUES ('theirs', 'x')")
        connection.execute("INSERT INTO secrets VALUES ('ours', 'x')")

    await database_of(embedded).write(read_and_decide)

    assert other.execute("SELECT name FROM secrets").fetchall() == [("ours",)]
    other.close()


async def test_a_lock_that_is_never_released_is_a_storage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that waits too long for the lock fails, and the next one succeeds."""
    monkeypatch.setattr(module, "BUSY_SECONDS", 0.05)
    storage = open_embedded(tmp_path / "gateway.db")
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StorageError, match="locked"):
        await storage.tables.insert("rows", [Row("p", "a")])
    other.execute("ROLLBACK")
    other.close()

    assert await storage.tables.insert("rows", [Row("p", "a")]) == {"a"}
    await storage.close()


# One commit for many


async def test_concurrent_writes_share_commits(embedded: Storage) -> None:
    """500 inserts at once take far fewer commits than 500, each of which waits for the disk."""
    statements: list[str] = []
    database_of(embedded)._writer._connection.set_trace_callback(statements.append)

    await asyncio.gather(*(embedded.tables.insert("rows", [Row("p", str(n))]) for n in range(500)))

    assert statements.count("COMMIT") <= 50
    assert len([row async for row in embedded.tables.query("rows", "p")]) == 500


async def test_a_failure_undoes_its_own_work_only(embedded: Storage) -> None:
    """Of jobs in one commit those that fail leave nothing, and the others are kept."""
    database = database_of(embedded)

    class WorstError(BaseException):
        """What is not even an Exception."""

    def failing(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO secrets VALUES ('half', 'done')")
        raise WorstError

    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO secrets VALUES ('half', 'done')")
        connection.execute("no SQL")

    answers = await asyncio.gather(
        embedded.tables.insert("rows", [Row("p", "a")]),
        database.write(failing),
        database.write(wrong),
        embedded.tables.replace("rows", Row("p", "a", {}, etag="old")),
        embedded.tables.insert("rows", [Row("p", "b")]),
        return_exceptions=True,
    )

    assert answers[0] == {"a"}
    assert [type(answer) for answer in answers[1:4]] == [WorstError, StorageError, StaleError]
    assert answers[4] == {"b"}
    assert [row.key async for row in embedded.tables.query("rows", "p")] == ["a", "b"]
    assert await embedded.secrets.get("half") is None


async def test_a_full_disk_fails_all_that_was_not_kept(embedded: Storage) -> None:
    """When SQLite gives up a transaction, everybody in it is told, nothing of it is there, and later writes succeed."""
    await embedded.tables.insert("rows", [Row("p", "first")])
    database = database_of(embedded)
    (pages,) = await database.write(lambda c: c.execute("PRAGMA page_count").fetchone())
    await database.write(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())

    large = [embedded.tables.insert("rows", [Row("p", f"large{n}", {"raw": bytes(60_000)})]) for n in range(3)]
    answers = await asyncio.gather(*large, return_exceptions=True)

    assert [type(answer) for answer in answers] == [StorageError] * 3
    assert "full" in str(answers[0])
    assert [row.key async for row in embedded.tables.query("rows", "p")] == ["first"]
    await database.write(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchone())
    assert await embedded.tables.insert("rows", [Row("p", "second", {"raw": bytes(60_000)})]) == {"second"}


async def test_a_task_that_gives_up_leaves_the_others_alone(embedded: Storage) -> None:
    """Cancelling one of several waiting tasks does not disturb the rest."""
    tasks = [asyncio.create_task(embedded.tables.insert("rows", [Row("p", str(n))])) for n in range(10)]
    await asyncio.sleep(0)

    tasks[3].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(answers[3], asyncio.CancelledError)
    assert [answer for n, answer in enumerate(answers) if n != 3] == [{str(n)} for n in range(10) if n != 3]


async def test_pages_end_when_they_are_large(embedded: Storage) -> None:
    """Large rows are read a few at a time, so that a long partition never fills the memory."""
    for start_at in range(3):
        rows = [Row("p", f"{start_at}{n:02}", {"raw": bytes(60_000)}) for n in range(45)]
        await embedded.tables.insert("rows", rows)
    statements: list[str] = []
    database_of(embedded)._reader._connection.set_trace_callback(statements.append)

    assert len([row async for row in embedded.tables.query("rows", "p")]) == 135

    assert len(statements) >= 2


# The file


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
async def test_only_the_owner_can_read_the_file(tmp_path: Path) -> None:
    """The directory is made for its owner only, and so are the file and what SQLite puts beside it."""
    old = os.umask(0)
    try:
        storage = open_embedded(tmp_path / "data" / "gateway.db")
        await storage.tables.insert("rows", [Row("p", "k")])
    finally:
        os.umask(old)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
    await storage.close()

    assert modes == {"gateway.db": 0o600, "gateway.db-wal": 0o600, "gateway.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@pytest.mark.skipif(os.name != "posix", reason="modes are of POSIX")
async def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    """A file with a wider mode is narrowed when it is opened; the mode of a directory that was there is left."""
    tmp_path.chmod(0o755)
    (tmp_path / "gateway.db").touch(0o644)

    await open_embedded(tmp_path / "gateway.db").close()

    assert stat.S_IMODE((tmp_path / "gateway.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


async def test_a_deleted_secret_leaves_no_trace_in_the_file(tmp_path: Path) -> None:
    """Once the file is closed, the bytes of a deleted secret are nowhere in the directory."""
    storage = open_embedded(tmp_path / "gateway.db")
    await storage.secrets.set("name", "canary-canary-canary")
    await storage.secrets.delete("name")
    await storage.close()

    assert [path.name for path in tmp_path.iterdir() if b"canary" in path.read_bytes()] == []


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    """A file that is no database is refused by name, and left as it was."""
    (tmp_path / "notes.txt").write_text("not a database, and long enough to be seen as something else" * 100)

    with pytest.raises(StorageError, match=r"notes\.txt"):
        open_embedded(tmp_path / "notes.txt")

    assert (tmp_path / "notes.txt").read_text().startswith("not a database")


@pytest.mark.parametrize("statement", ["CREATE TABLE theirs (a)", "PRAGMA user_version = 2"])
async def test_a_strange_database_is_refused(tmp_path: Path, statement: str) -> None:
    """A database of another program, or one of ours of a version we do not know, is refused."""
    file = tmp_path / "gateway.db"
    if "user_version" in statement:
        await open_embedded(file).close()
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute(statement)
    connection.close()

    with pytest.raises(StorageError, match="not a storage file"):
        open_embedded(file)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """Where no file can be made, opening fails at once."""
    (tmp_path / "file").touch()

    with pytest.raises(StorageError, match=r"gateway\.db"):
        open_embedded(tmp_path / "file" / "gateway.db")


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A SQLite that lacks what we use is named, instead of a syntax error later."""
    monkeypatch.setattr(module.sqlite3, "sqlite_version_info", (3, 34, 1))

    with pytest.raises(StorageError, match=r"3\.35"):
        open_embedded(tmp_path / "gateway.db")


async def test_a_closed_storage_refuses_work(tmp_path: Path) -> None:
    """Closing finishes what was asked for; after it everything is a StorageError, and closing again does nothing."""
    storage = open_embedded(tmp_path / "gateway.db")
    asked = [asyncio.create_task(storage.tables.insert("rows", [Row("p", str(n))])) for n in range(5)]
    await asyncio.sleep(0)
    await storage.close()
    await storage.close()

    assert [await task for task in asked] == [{str(n)} for n in range(5)]
    for call in (
        storage.tables.get("rows", "p", "k"),
        storage.tables.insert("rows", [Row("p", "k")]),
        storage.queues.put("queue", "a"),
        storage.secrets.get("name"),
    ):
        with pytest.raises(StorageError, match="closed"):
            await call


async def test_a_message_of_another_store_is_stale(embedded: Storage) -> None:
    """An item that this store never gave out cannot be deleted or extended here."""
    await embedded.queues.put("queue", "a")
    foreign = QueueItem("6f1c0b6e-77f5-4a3b-8d9f-000000000000", "AgAAAAMAAAA=", "a", 1, 0.0, 0.0)

    with pytest.raises(StaleError):
        await embedded.queues.delete("queue", foreign)
    with pytest.raises(StaleError):
        await embedded.queues.extend("queue", replace(foreign, id="1", receipt="0x1"), visibility=1)


@given(
    st.dictionaries(
        st.text(),
        st.text()
        | st.binary()
        | st.booleans()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.integers(-(2**63), 2**63 - 1),
    )
)
def test_properties_survive_packing(values: dict[str, object]) -> None:
    """Whatever properties a row may have, they come back equal and of the same types."""
    unpacked = _unpack(_pack(values))

    assert unpacked == values
    assert {name: type(value) for name, value in unpacked.items()} == {
        name: type(value) for name, value in values.items()
    }
