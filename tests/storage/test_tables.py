"""The tables port, as both families keep it."""

from __future__ import annotations

import asyncio
import string
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from functions.storage.ports import Row, StaleError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from functions.storage.ports import Storage

# azure-core hands bodies over as bytes, which aiohttp finds worth a remark from 1 MiB on.
large_bodies = pytest.mark.filterwarnings("ignore:Sending a large body directly with raw bytes:ResourceWarning")


async def listed(rows: AsyncIterator[Row]) -> list[Row]:
    return [row async for row in rows]


async def keys(rows: AsyncIterator[Row]) -> list[str]:
    return [row.key async for row in rows]


@pytest.mark.parametrize(
    "value",
    [
        *(0, 1, -1, 2**31, -(2**31) - 1, 2**53 + 1, 2**63 - 1, -(2**63)),
        *(0.0, 1.0, -1.5, 0.1, 1e300, 5e-324, 1e16),
        *(True, False),
        *(
            "",
            "plain",
            "äöü€漢字 😀 \u0000\u0001\t\r\n",
            "'\"\\/<>&%",
            " leading and trailing ",
            "2026-01-01T00:00:00Z",
        ),
        *(b"", b"\x00\xff" * 10, bytes(range(256))),
    ],
)
async def test_every_value_comes_back_exactly(storage: Storage, table: str, value: object) -> None:
    """A value comes back equal and of the same type."""
    await storage.tables.insert(table, [Row("p", "k", {"value": value})])

    row = await storage.tables.get(table, "p", "k")

    assert row is not None
    assert row.values == {"value": value}
    assert type(row.values["value"]) is type(value)


async def test_a_row_comes_back_with_its_keys_and_all_its_properties(storage: Storage, table: str) -> None:
    """A row has what was inserted and an etag, and nothing else, from get, query and scan alike."""
    values = {"text": "a", "number": 7, "flag": True, "_under": "b", "Etag": "c", "raw": b"\x01", "ratio": 2.0}
    await storage.tables.insert(table, [Row("p", "k", values)])

    got = await storage.tables.get(table, "p", "k")
    queried = await listed(storage.tables.query(table, "p"))
    scanned = await listed(storage.tables.scan(table, first="p", last="p"))

    assert got is not None
    assert (got.partition, got.key, got.values) == ("p", "k", values)
    assert got.etag
    assert [got] == queried == scanned


async def test_a_row_may_be_empty(storage: Storage, table: str) -> None:
    """A row without properties is a row."""
    assert await storage.tables.insert(table, [Row("p", "k")]) == {"k"}

    row = await storage.tables.get(table, "p", "k")

    assert row is not None
    assert row.values == {}


@pytest.mark.parametrize(
    "key",
    [
        "it's",
        "a b",
        "50%",
        "%20",
        "a+b",
        "a&b=c",
        "ü漢",
        "a:b;c,d",
        "(x)",
        "@odata",
        "..",
        "+4915112345678",
        '"',
        "$",
        "~",
    ],
)
async def test_keys_may_have_special_characters(storage: Storage, table: str, key: str) -> None:
    """A key with characters that mean something in a URL or a filter names its row in every operation."""
    await storage.tables.insert(table, [Row(key, key, {"n": 1}), Row(key, f"{key}2", {"n": 2})])
    assert await storage.tables.insert(table, [Row(key, key, {"n": 3})]) == frozenset()

    row = await storage.tables.get(table, key, key)

    assert row is not None
    assert (row.partition, row.key, row.values) == (key, key, {"n": 1})
    assert await keys(storage.tables.query(table, key, after=key)) == [f"{key}2"]
    assert await keys(storage.tables.query(table, key, before=f"{key}2")) == [key]
    assert await keys(storage.tables.scan(table, first=key, last=key)) == [key, f"{key}2"]
    await storage.tables.replace(table, replace(row, values={"n": 4}))
    assert await storage.tables.delete(table, key, key)
    assert await storage.tables.get(table, key, key) is None


@pytest.mark.parametrize(
    "key", ["", "a/b", "a\\b", "a#b", "a?b", "a\tb", "a\nb", "a\x00b", "a\x7fb", "a\x9fb", "a😀b", "a\ud800b"]
)
async def test_keys_that_azure_refuses_are_refused(storage: Storage, table: str, key: str) -> None:
    """A key that Azure does not take, or that would sort differently there, is an error in both families."""
    with pytest.raises(ValueError):
        await storage.tables.insert(table, [Row("p", key)])
    with pytest.raises(ValueError):
        await storage.tables.insert(table, [Row(key, "k")])


@pytest.mark.parametrize("name", ["ab", "1abc", "a-b", "a_b", "", "a" * 64, "tables"])
async def test_table_names_that_azure_refuses_are_refused(storage: Storage, name: str) -> None:
    """A table has 3 to 63 letters and digits, a letter first."""
    with pytest.raises(ValueError):
        await storage.tables.insert(name, [Row("p", "k")])


async def test_table_names_have_no_case(storage: Storage, table: str) -> None:
    """Upper and lower case name the same table, as on Azure."""
    await storage.tables.insert(table.upper(), [Row("p", "k")])

    assert await storage.tables.get(table, "p", "k") is not None


@pytest.mark.parametrize("name", ["a-b", "1a", "", "a b", "PartitionKey", "RowKey", "Timestamp", "_write", "ä"])
async def test_property_names_that_azure_refuses_are_refused(storage: Storage, table: str, name: str) -> None:
    """A property's name is an identifier and none that the store uses itself."""
    with pytest.raises(ValueError):
        await storage.tables.insert(table, [Row("p", "k", {name: 1})])


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, TypeError),
        ([1], TypeError),
        ({"a": 1}, TypeError),
        (2**63, TooLargeError),
        (-(2**63) - 1, TooLargeError),
        (float("nan"), ValueError),
        (float("inf"), ValueError),
        ("\ud800", ValueError),
    ],
)
async def test_values_that_no_store_keeps_are_refused(
    storage: Storage, table: str, value: object, error: type[Exception]
) -> None:
    """A value of another type, over 64 bits, not finite or without UTF-8 is an error, not a surprise later."""
    with pytest.raises(error):
        await storage.tables.insert(table, [Row("p", "k", {"value": value})])


async def test_insert_inserts_what_is_absent_and_leaves_the_rest(storage: Storage, table: str) -> None:
    """Of some rows those are inserted that are absent; the answer names them; the others keep their values."""
    await storage.tables.insert(table, [Row("p", "b", {"by": "first"}), Row("p", "d", {"by": "first"})])

    inserted = await storage.tables.insert(table, [Row("p", key, {"by": "second"}) for key in "abcde"])

    assert inserted == {"a", "c", "e"}
    assert [row.values["by"] async for row in storage.tables.query(table, "p")] == [
        "second",
        "first",
        "second",
        "first",
        "second",
    ]


async def test_insert_of_rows_that_are_all_there_inserts_nothing(storage: Storage, table: str) -> None:
    """Inserting the same again is a no-op and says so."""
    rows = [Row("p", key, {"n": 1}) for key in "abc"]
    assert await storage.tables.insert(table, rows) == {"a", "b", "c"}
    before = await listed(storage.tables.query(table, "p"))

    assert await storage.tables.insert(table, rows) == frozenset()
    assert await storage.tables.insert(table, rows[:1]) == frozenset()

    assert await listed(storage.tables.query(table, "p")) == before


async def test_insert_takes_a_hundred_rows(storage: Storage, table: str) -> None:
    """100 rows of one partition go in at once, also when one of them is there already."""
    rows = [Row("p", f"{n:03}", {"n": n}) for n in range(100)]
    await storage.tables.insert(table, rows[50:51])

    inserted = await storage.tables.insert(table, rows)

    assert inserted == {row.key for row in rows} - {"050"}
    assert await keys(storage.tables.query(table, "p")) == [row.key for row in rows]


async def test_insert_finds_what_is_there_among_many_other_rows(storage: Storage, table: str) -> None:
    """Which rows exist is found out even if thousands of others lie between them."""
    for start in range(0, 1100, 100):
        await storage.tables.insert(table, [Row("p", f"m{n:04}") for n in range(start, start + 100)])
    await storage.tables.insert(table, [Row("p", "a"), Row("p", "z")])

    inserted = await storage.tables.insert(table, [Row("p", key) for key in ("a", "b", "m0500x", "y", "z")])

    assert inserted == {"b", "m0500x", "y"}


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [Row("p", str(n)) for n in range(101)],
        [Row("p", "a"), Row("q", "b")],
        [Row("p", "a"), Row("p", "a")],
    ],
    ids=["none", "101", "two partitions", "one key twice"],
)
async def test_insert_refuses_what_is_no_transaction(storage: Storage, table: str, rows: list[Row]) -> None:
    """An insert has 1 to 100 rows of one partition with distinct keys."""
    with pytest.raises(ValueError):
        await storage.tables.insert(table, rows)


async def test_insert_is_atomic(storage: Storage, table: str) -> None:
    """If one row is refused, none of the others is inserted."""
    rows = [Row("p", "a", {"n": 1}), Row("p", "b", {"n": "x" * 40_000})]

    with pytest.raises(TooLargeError):
        await storage.tables.insert(table, rows)

    assert await storage.tables.get(table, "p", "a") is None


async def test_a_reader_sees_all_rows_of_an_insert_or_none(storage: Storage, table: str) -> None:
    """While inserts are under way, a query never sees a part of one."""
    await storage.tables.insert(table, [Row("p", "0")])
    done = asyncio.Event()

    async def read() -> set[int]:
        seen = set()
        while not done.is_set():
            seen.add(len(await keys(storage.tables.query(table, "p", after="0"))))
        return seen

    reader = asyncio.create_task(read())
    for start in range(1, 6):
        await storage.tables.insert(table, [Row("p", f"{start}-{n:02}") for n in range(20)])
    done.set()

    assert {count % 20 for count in await reader} == {0}


async def test_of_concurrent_inserts_of_one_key_one_wins(storage: Storage, table: str) -> None:
    """Twenty tasks insert one key: one is told that it did, and its values are there."""
    answers = await asyncio.gather(
        *(storage.tables.insert(table, [Row("p", "claim", {"who": n})]) for n in range(20)),
    )

    winners = [n for n, inserted in enumerate(answers) if inserted]
    row = await storage.tables.get(table, "p", "claim")
    assert len(winners) == 1
    assert row is not None
    assert row.values == {"who": winners[0]}


async def test_of_concurrent_inserts_that_overlap_each_row_has_one_winner(storage: Storage, table: str) -> None:
    """Ten tasks insert overlapping sets of rows: each row is inserted by exactly one of them, and none is left out."""

    async def insert(who: int) -> dict[str, int]:
        rows = [Row("p", f"{n:02}", {"who": who}) for n in range(who, who + 10)]
        return dict.fromkeys(await storage.tables.insert(table, rows), who)

    answers = await asyncio.gather(*(insert(who) for who in range(10)))

    there = {row.key: row.values["who"] async for row in storage.tables.query(table, "p")}
    assert sum(len(answer) for answer in answers) == len(there) == 19
    assert {key: who for answer in answers for key, who in answer.items()} == there


async def test_what_is_not_there_is_none(storage: Storage, table: str) -> None:
    """In a table that was never written nothing is found, and neither is a missing row in one that was."""
    assert await storage.tables.get(table, "p", "k") is None
    assert await keys(storage.tables.query(table, "p")) == []
    assert await keys(storage.tables.scan(table, first="a", last="z")) == []
    assert not await storage.tables.delete(table, "p", "k")
    with pytest.raises(StaleError):
        await storage.tables.replace(table, Row("p", "k", {}, etag='W/"1"'))

    await storage.tables.insert(table, [Row("p", "k")])

    assert await storage.tables.get(table, "p", "other") is None
    assert await storage.tables.get(table, "other", "k") is None
    assert not await storage.tables.delete(table, "p", "other")


async def test_query_takes_keys_between_two_bounds_in_order(storage: Storage, table: str) -> None:
    """A query yields the keys greater than after and less than before, sorted, both bounds left out."""
    await storage.tables.insert(table, [Row("p", key) for key in ("b", "a", "c", "B", "aa", "10", "9", "é", "_")])
    await storage.tables.insert(table, [Row("q", "a")])

    assert await keys(storage.tables.query(table, "p")) == ["10", "9", "B", "_", "a", "aa", "b", "c", "é"]
    assert await keys(storage.tables.query(table, "p", after="a", before="c")) == ["aa", "b"]
    assert await keys(storage.tables.query(table, "p", after="b")) == ["c", "é"]
    assert await keys(storage.tables.query(table, "p", before="B")) == ["10", "9"]
    assert await keys(storage.tables.query(table, "p", after="c", before="c")) == []


async def test_query_finds_a_prefix(storage: Storage, table: str) -> None:
    """A prefix is found by bounds around it, whatever follows it."""
    await storage.tables.insert(table, [Row("p", key) for key in ("report", "report:1", "report:\uffee", "reporu")])

    assert await keys(storage.tables.query(table, "p", after="report:", before="report;")) == [
        "report:1",
        "report:\uffee",
    ]


async def test_query_keeps_its_limit(storage: Storage, table: str) -> None:
    """At most as many rows come as were asked for, none for a limit of 0."""
    await storage.tables.insert(table, [Row("p", key) for key in string.ascii_lowercase])

    assert await keys(storage.tables.query(table, "p", limit=3)) == ["a", "b", "c"]
    assert await keys(storage.tables.query(table, "p", limit=0)) == []
    assert len(await keys(storage.tables.query(table, "p", limit=100))) == 26
    assert await keys(storage.tables.scan(table, first="p", last="p", limit=2)) == ["a", "b"]
    assert await keys(storage.tables.scan(table, first="p", last="p", limit=0)) == []


async def test_queries_go_over_many_pages(storage: Storage, table: str) -> None:
    """2,100 rows, more than two pages, come complete and in order, also with a limit beyond the first page."""
    expected = []
    for partition in ("p1", "p2", "p3"):
        for start in range(0, 700, 100):
            rows = [Row(partition, f"{n:04}") for n in range(start, start + 100)]
            await storage.tables.insert(table, rows)
            expected += [(partition, row.key) for row in rows]
        if partition == "p1":
            for start in range(700, 1400, 100):
                await storage.tables.insert(table, [Row("p0", f"{n:04}") for n in range(start, start + 100)])
    expected = [("p0", f"{n:04}") for n in range(700, 1400)] + expected

    scanned = [(row.partition, row.key) async for row in storage.tables.scan(table, first="p0", last="p3")]
    limited = [row.key async for row in storage.tables.scan(table, first="p0", last="p3", limit=1500)]

    assert scanned == expected
    assert limited == [key for _, key in expected[:1500]]


async def test_a_partition_of_more_than_a_page_is_read_whole(storage: Storage, table: str) -> None:
    """A query of a partition with 1,001 rows yields them all, and stopping early does no harm."""
    for start in range(0, 1001, 100):
        await storage.tables.insert(table, [Row("p", f"{n:04}") for n in range(start, min(start + 100, 1001))])

    assert await keys(storage.tables.query(table, "p")) == [f"{n:04}" for n in range(1001)]
    assert await keys(storage.tables.query(table, "p", after="0000", limit=1000)) == [f"{n:04}" for n in range(1, 1001)]
    async for row in storage.tables.query(table, "p"):
        assert row.key == "0000"
        break


async def test_scan_takes_partitions_from_first_to_last(storage: Storage, table: str) -> None:
    """A scan yields the rows of the partitions between two, both included, by partition and key."""
    for partition in ("2026-01-03", "2026-01-01", "2026-01-02", "2025-12-31", "2026-01-04"):
        await storage.tables.insert(table, [Row(partition, "b"), Row(partition, "a")])

    found = [
        (row.partition, row.key) async for row in storage.tables.scan(table, first="2026-01-01", last="2026-01-03")
    ]

    days = ("2026-01-01", "2026-01-02", "2026-01-03")
    assert found == [(day, key) for day in days for key in "ab"]
    assert await keys(storage.tables.scan(table, first="2027", last="2028")) == []


async def test_replace_replaces_the_whole_row(storage: Storage, table: str) -> None:
    """After a replace the row has the new properties only, and its new etag allows the next replace."""
    await storage.tables.insert(table, [Row("p", "k", {"old": 1, "both": 1})])
    row = await storage.tables.get(table, "p", "k")
    assert row is not None

    second = await storage.tables.replace(table, replace(row, values={"both": 2, "new": 2**40}))
    third = await storage.tables.replace(table, replace(second, values={"both": 3}))

    assert len({row.etag, second.etag, third.etag}) == 3
    assert second.values == {"both": 2, "new": 2**40}
    assert await storage.tables.get(table, "p", "k") == third


async def test_replace_of_an_old_version_is_stale(storage: Storage, table: str) -> None:
    """A row that was replaced, deleted, made anew or never read is not replaced."""
    await storage.tables.insert(table, [Row("p", "k", {"n": 1})])
    first = await storage.tables.get(table, "p", "k")
    assert first is not None
    second = await storage.tables.replace(table, replace(first, values={"n": 2}))

    with pytest.raises(StaleError):
        await storage.tables.replace(table, replace(first, values={"n": 3}))
    with pytest.raises(StaleError):
        await storage.tables.replace(table, Row("p", "k", {"n": 3}))
    assert await storage.tables.get(table, "p", "k") == second

    await storage.tables.delete(table, "p", "k")
    with pytest.raises(StaleError):
        await storage.tables.replace(table, replace(second, values={"n": 3}))

    await storage.tables.insert(table, [Row("p", "k", {"n": 2})])
    with pytest.raises(StaleError):
        await storage.tables.replace(table, replace(second, values={"n": 3}))


async def test_of_concurrent_replaces_of_one_version_one_wins(storage: Storage, table: str) -> None:
    """Twenty tasks replace the version that they all read: one succeeds, nineteen are stale."""
    await storage.tables.insert(table, [Row("p", "k", {"n": -1})])
    row = await storage.tables.get(table, "p", "k")
    assert row is not None

    answers = await asyncio.gather(
        *(storage.tables.replace(table, replace(row, values={"n": n})) for n in range(20)), return_exceptions=True
    )

    winners = [answer for answer in answers if isinstance(answer, Row)]
    assert len(winners) == 1
    assert sum(isinstance(answer, StaleError) for answer in answers) == 19
    assert await storage.tables.get(table, "p", "k") == winners[0]


async def test_counting_by_replace_loses_nothing(storage: Storage, table: str) -> None:
    """Ten tasks that each add one to a number, again when they are stale, make it ten."""
    await storage.tables.insert(table, [Row("p", "k", {"n": 0})])

    async def add_one() -> None:
        while True:
            row = await storage.tables.get(table, "p", "k")
            assert row is not None
            try:
                await storage.tables.replace(table, replace(row, values={"n": int(row.values["n"]) + 1}))
            except StaleError:
                continue
            return

    await asyncio.gather(*(add_one() for _ in range(10)))

    row = await storage.tables.get(table, "p", "k")
    assert row is not None
    assert row.values == {"n": 10}


async def test_change_replaces_and_deletes_at_once(storage: Storage, table: str) -> None:
    """Rows are replaced as a whole and deleted in one go; the others of the partition stay as they are."""
    await storage.tables.insert(table, [Row("p", key, {"old": 1, "both": 1}) for key in "abcd"])
    rows = await listed(storage.tables.query(table, "p"))

    changed = [replace(row, values={"both": 2, "raw": b"\x00"}) for row in rows[:2]]
    await storage.tables.change(table, replaced=changed, deleted=rows[2:3])

    after = await listed(storage.tables.query(table, "p"))
    assert [(row.key, row.values) for row in after] == [
        ("a", {"both": 2, "raw": b"\x00"}),
        ("b", {"both": 2, "raw": b"\x00"}),
        ("d", {"old": 1, "both": 1}),
    ]
    assert after[2] == rows[3]
    assert after[0].etag != rows[0].etag
    await storage.tables.change(table, replaced=[replace(after[0], values={})])
    await storage.tables.change(table, deleted=after[1:])
    assert await keys(storage.tables.query(table, "p")) == ["a"]


@pytest.mark.parametrize("how", ["replaced since", "deleted since", "made anew", "never read", "no such table"])
@pytest.mark.parametrize("what", ["replaced", "deleted"])
async def test_change_of_an_old_version_does_nothing(storage: Storage, table: str, how: str, what: str) -> None:
    """If one row is not as it was read, the change is stale and none of the other rows is touched."""
    await storage.tables.insert(table, [Row("p", key, {"n": 1}) for key in "abc"])
    rows = await listed(storage.tables.query(table, "p"))
    if how == "replaced since":
        await storage.tables.replace(table, replace(rows[1], values={"n": 2}))
    if how in {"deleted since", "made anew"}:
        await storage.tables.delete(table, "p", "b")
    if how == "made anew":
        await storage.tables.insert(table, [Row("p", "b", {"n": 1})])
    if how == "never read":
        rows[1] = replace(rows[1], etag=None)
    before = await listed(storage.tables.query(table, "p"))

    ours = [replace(row, values={"n": 3}) for row in rows]
    with pytest.raises(StaleError):
        await storage.tables.change(
            f"{table}x" if how == "no such table" else table,
            replaced=[ours[0], *(ours[1:2] if what == "replaced" else [])],
            deleted=[*(rows[1:2] if what == "deleted" else []), rows[2]],
        )

    assert await listed(storage.tables.query(table, "p")) == before


async def test_change_takes_a_hundred_rows(storage: Storage, table: str) -> None:
    """100 rows are deleted at once; 101, none, two partitions or one key twice are no transaction."""
    for start in (0, 100):
        await storage.tables.insert(table, [Row("p", f"{n:03}") for n in range(start, start + 100)])
    await storage.tables.insert(table, [Row("q", "a")])
    rows = await listed(storage.tables.query(table, "p"))
    (other,) = await listed(storage.tables.query(table, "q"))
    for wrong in (rows[:101], [], [rows[0], other], [rows[0], rows[0]]):
        with pytest.raises(ValueError):
            await storage.tables.change(table, deleted=wrong)
    with pytest.raises(ValueError):
        await storage.tables.change(table, replaced=rows[:1], deleted=rows[:1])
    with pytest.raises(TooLargeError):
        await storage.tables.change(table, replaced=[replace(rows[0], values={"x": "x" * 40_000})])

    await storage.tables.change(table, replaced=rows[:50], deleted=rows[50:100])

    assert await keys(storage.tables.query(table, "p")) == [row.key for row in (*rows[:50], *rows[100:])]


async def test_of_concurrent_changes_of_one_row_one_wins(storage: Storage, table: str) -> None:
    """Of tasks that change the version they all read one succeeds with all of its rows."""
    await storage.tables.insert(table, [Row("p", key, {"n": -1}) for key in "ab"])
    rows = await listed(storage.tables.query(table, "p"))

    answers = await asyncio.gather(
        *(storage.tables.change(table, replaced=[replace(row, values={"n": n}) for row in rows]) for n in range(10)),
        return_exceptions=True,
    )

    winners = [n for n, answer in enumerate(answers) if answer is None]
    assert len(winners) == 1
    assert sum(isinstance(answer, StaleError) for answer in answers) == 9
    assert [row.values["n"] async for row in storage.tables.query(table, "p")] == winners * 2


async def test_delete_tells_whether_the_row_was_there(storage: Storage, table: str) -> None:
    """A row is deleted once."""
    await storage.tables.insert(table, [Row("p", "k"), Row("p", "other")])

    assert await storage.tables.delete(table, "p", "k")
    assert not await storage.tables.delete(table, "p", "k")
    assert await keys(storage.tables.query(table, "p")) == ["other"]


async def test_delete_with_an_etag_keeps_a_changed_row(storage: Storage, table: str) -> None:
    """With an etag only that version is deleted; a row that is gone is simply not there."""
    await storage.tables.insert(table, [Row("p", "k", {"n": 1})])
    first = await storage.tables.get(table, "p", "k")
    assert first is not None
    second = await storage.tables.replace(table, replace(first, values={"n": 2}))

    with pytest.raises(StaleError):
        await storage.tables.delete(table, "p", "k", etag=first.etag)
    assert await storage.tables.delete(table, "p", "k", etag=second.etag)
    assert not await storage.tables.delete(table, "p", "k", etag=second.etag)


async def test_a_property_holds_64_kib_and_no_more(storage: Storage, table: str) -> None:
    """A text has up to 32,768 UTF-16 units and bytes up to 65,536; one more is refused on insert and on replace."""
    fitting = {"ascii": "x" * 32_768, "wide": "😀" * 16_384, "raw": b"\xff" * 65_536}
    await storage.tables.insert(table, [Row("p", "k", fitting)])

    row = await storage.tables.get(table, "p", "k")

    assert row is not None
    assert row.values == fitting
    for name, value in {"ascii": "x" * 32_769, "wide": "😀" * 16_384 + "x", "raw": b"\xff" * 65_537}.items():
        with pytest.raises(TooLargeError):
            await storage.tables.insert(table, [Row("p", "k2", {name: value})])
        with pytest.raises(TooLargeError):
            await storage.tables.replace(table, replace(row, values={name: value}))


@large_bodies
async def test_a_row_holds_1_mib_and_no_more(storage: Storage, table: str) -> None:
    """15 properties of almost 64 KiB fit into a row; 17 do not."""
    fitting = {f"p{n}": bytes(65_000) for n in range(15)}
    await storage.tables.insert(table, [Row("p", "k", fitting)])

    row = await storage.tables.get(table, "p", "k")

    assert row is not None
    assert row.values == fitting
    with pytest.raises(TooLargeError):
        await storage.tables.insert(table, [Row("p", "k2", {f"p{n}": bytes(65_000) for n in range(17)})])


@large_bodies
async def test_an_insert_holds_4_mib_and_no_more(storage: Storage, table: str) -> None:
    """Rows of 3.8 MiB on the wire go in at once; 4.1 MiB are refused, counted as they travel."""
    fitting = [Row("p", f"a{n}", {"raw": bytes(60_000)}) for n in range(48)]
    assert len(await storage.tables.insert(table, fitting)) == 48

    with pytest.raises(TooLargeError):
        await storage.tables.insert(table, [Row("p", f"b{n}", {"raw": bytes(60_000)}) for n in range(54)])
    assert await keys(storage.tables.query(table, "p", after="b")) == []


@large_bodies
async def test_large_rows_come_back_over_several_pages(storage: Storage, table: str) -> None:
    """A partition of more than 4 MiB is read whole."""
    for start in range(3):
        rows = [Row("p", f"{start}-{n:02}", {"raw": bytes([n]) * 60_000}) for n in range(40)]
        await storage.tables.insert(table, rows)

    found = await listed(storage.tables.query(table, "p"))

    assert [row.key for row in found] == [f"{start}-{n:02}" for start in range(3) for n in range(40)]
    assert all(row.values["raw"] == bytes([int(row.key[2:])]) * 60_000 for row in found)


async def test_a_row_has_251_properties_and_no_more(storage: Storage, table: str) -> None:
    """A row holds as many properties as Azure leaves us."""
    fitting = {f"p{n}": n for n in range(251)}
    await storage.tables.insert(table, [Row("p", "k", fitting)])

    row = await storage.tables.get(table, "p", "k")

    assert row is not None
    assert row.values == fitting
    with pytest.raises(TooLargeError):
        await storage.tables.insert(table, [Row("p", "k2", fitting | {"more": 1})])


async def test_keys_have_512_characters_and_no_more(storage: Storage, table: str) -> None:
    """A key may be long, but not longer than Azure's 1 KiB."""
    await storage.tables.insert(table, [Row("é" * 512, "x" * 512)])

    assert await storage.tables.get(table, "é" * 512, "x" * 512) is not None
    with pytest.raises(TooLargeError):
        await storage.tables.insert(table, [Row("p", "x" * 513)])
