"""Rows are rewritten and deleted beside others who write to them, and nothing of theirs is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from functions.gateway.rewriting import delete, rewrite, without
from functions.gateway.walking import by_partition, newest_rows, portions
from functions.storage.ports import Row, TooLargeError


async def made(storage, count: int, **values) -> list[Row]:
    """Insert rows into one partition and return them as they were read."""
    for start in range(0, count, 100):
        rows = [Row("p", f"{n:04}", {"n": n, "raw": "x", **values}) for n in range(start, min(start + 100, count))]
        await storage.tables.insert("table", rows)
    return [row async for row in storage.tables.query("table", "p")]


async def stored(storage) -> dict[str, dict]:
    return {row.key: dict(row.values) async for row in storage.tables.query("table", "p")}


def blank(row: Row) -> Row | None:
    return without(row, raw="")


async def test_rows_are_rewritten_many_at_a_time(storage) -> None:
    """However many rows there are, each is rewritten once, and again nothing is left to do."""
    rows = await made(storage, 250)

    assert await rewrite(storage.tables, "table", rows, blank) == 250
    again = [row async for row in storage.tables.query("table", "p")]
    assert await rewrite(storage.tables, "table", again, blank) == 0
    assert [row["raw"] for row in (await stored(storage)).values()] == [""] * 250


async def test_large_rows_fit_into_their_transactions(storage) -> None:
    """Rows that are together larger than a transaction are rewritten in several."""
    for n in range(60):
        await storage.tables.insert("table", [Row("p", f"{n:04}", {"raw": "x", "text": "\x00" * 30_000})])
    rows = [row async for row in storage.tables.query("table", "p")]
    with pytest.raises(TooLargeError):
        await storage.tables.change("table", replaced=rows)

    assert await rewrite(storage.tables, "table", rows, blank) == 60


async def test_what_somebody_else_writes_meanwhile_stays(storage) -> None:
    """A row that changed since it was read is rewritten as it is now, one that is gone stays gone."""
    rows = await made(storage, 5)
    await storage.tables.replace("table", replace(rows[1], values={**rows[1].values, "theirs": 1}))
    await storage.tables.replace("table", replace(rows[2], values={"n": 2, "raw": ""}))
    await storage.tables.delete("table", "p", "0003")

    await rewrite(storage.tables, "table", rows, blank)

    assert await stored(storage) == {
        "0000": {"n": 0, "raw": ""},
        "0001": {"n": 1, "raw": "", "theirs": 1},
        "0002": {"n": 2, "raw": ""},
        "0004": {"n": 4, "raw": ""},
    }


async def test_a_row_that_is_written_all_the_time_is_rewritten_in_the_end(storage, monkeypatch) -> None:
    """Whoever is too late reads again, as often as it takes."""
    rows = await made(storage, 1)
    real, races = storage.tables.replace, [1, 2, 3]

    async def raced(table, row):
        if races:
            races.pop()
            now = await storage.tables.get(table, row.partition, row.key)
            await real(table, replace(now, values={**now.values, "n": int(now.values["n"]) + 1}))
        return await real(table, row)

    monkeypatch.setattr(storage.tables, "replace", raced)
    await real("table", replace(rows[0], values={"n": 10, "raw": "x"}))

    await rewrite(storage.tables, "table", rows, blank)

    assert await stored(storage) == {"0000": {"n": 13, "raw": ""}}


async def test_deleting_stops_where_somebody_else_was(storage) -> None:
    """Rows are deleted in their order; from the portion on in which one was changed, all stay."""
    rows = await made(storage, 250)
    await storage.tables.replace("table", replace(rows[150], values={"n": -1}))

    assert await delete(storage.tables, "table", rows) == 100
    assert sorted(await stored(storage)) == [f"{n:04}" for n in range(100, 250)]
    assert await delete(storage.tables, "table", []) == 0


@pytest.mark.parametrize("after", [None, ("2", "0001"), ("3", "0001"), ("1", "9")])
async def test_walking_by_portions(storage, after) -> None:
    """Portions are of one partition and as large as a transaction, in order, from wherever a walk stopped."""
    expected = []
    for partition, count in (("1", 3), ("2", 150), ("3", 2)):
        for start in range(0, count, 100):
            rows = [Row(partition, f"{n:04}") for n in range(start, min(start + 100, count))]
            await storage.tables.insert("table", rows)
            expected += [(partition, row.key) for row in rows]
    if after is not None:
        expected = [place for place in expected if place > after]

    walked = [rows async for rows in portions(newest_rows(storage.tables, "table", after=after))]
    whole = [rows async for rows in by_partition(newest_rows(storage.tables, "table", after=after))]

    assert [(row.partition, row.key) for rows in walked for row in rows] == expected
    assert all(len({row.partition for row in rows}) == 1 for rows in walked)
    assert all(len(rows) <= 100 for rows in walked)
    assert [name for name, _ in whole] == sorted({partition for partition, _ in expected})
    assert sum(len(rows) for _, rows in whole) == len(expected)
