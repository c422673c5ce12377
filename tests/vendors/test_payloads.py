"""True payloads and variations of them, beside what the adapter must make of each.

``tests/vendors/<vendor>/reports/<name>.<ext>`` and ``…/inbound/<name>.<ext>`` are what the vendor sends, from its own
pages where a page shows it; ``<name>.expected.json`` says what becomes of it. Dropping two files in is a test.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import orjson
import pytest

from functions.vendors.contract import DeliveryReport, InboundText, MalformedError, Part, Reason, State
from tests.vendors.kit import kits

HERE = Path(__file__).parent
FOLDERS = {"reports": "report", "inbound": "inbound"}
PAYLOADS = [
    (kit, kind, path)
    for kit in kits()
    for folder, kind in FOLDERS.items()
    for path in sorted((HERE / kit.name / folder).iterdir())
    if not path.name.endswith(".expected.json")
]


def expected_of(path):
    """Return the expectation beside a payload."""
    return orjson.loads(path.with_name(f"{path.stem}.expected.json").read_bytes())


def report_of(written):
    """Return the report that an expectation writes down; what it leaves out is blank."""
    at, reason, part = written.get("at"), written.get("reason"), written.get("part")
    return DeliveryReport(
        **written
        | {
            "state": State(written["state"]),
            "reason": Reason(reason) if reason else None,
            "at": datetime.fromisoformat(at) if at else None,
            "part": Part(**part) if part else None,
        }
    )


def inbound_of(written):
    """Return the reply that an expectation writes down; what it leaves out is blank."""
    at = written.get("at")
    return InboundText(**written | {"at": datetime.fromisoformat(at) if at else None})


def without_raw(items, came):
    """Check that each item carries what came, and return them without it."""
    assert all(item.raw == came for item in items)
    return tuple(replace(item, raw={}) for item in items)


@pytest.mark.parametrize(
    ("kit", "kind", "path"), PAYLOADS, ids=[f"{kit.name}-{kind}-{path.name}" for kit, kind, path in PAYLOADS]
)
async def test_a_payload_says_what_is_expected(kit, kind, path, monkeypatch):
    """A payload file gives the reports, replies and oddities beside it, whole and with the payload kept."""
    expected = expected_of(path)
    if "malformed" in expected:
        with pytest.raises(MalformedError, match=f"^{re.escape(expected['malformed'])}$"):
            await kit.read(kind, path, monkeypatch)
        return

    read = await kit.read(kind, path, monkeypatch)

    reports = [report for came, parsed in read for report in without_raw(parsed.reports, came)]
    inbound = [text for came, parsed in read for text in without_raw(parsed.inbound, came)]
    set_aside = [(came, aside) for came, parsed in read for aside in parsed.set_aside]
    assert [report_of(written) for written in expected.get("reports", [])] == reports
    assert [inbound_of(written) for written in expected.get("inbound", [])] == inbound
    assert expected.get("set_aside", []) == [{"why": aside.why} for _, aside in set_aside]
    assert all(came == orjson.loads(aside.raw) for came, aside in set_aside)


@pytest.mark.parametrize("kit", kits(), ids=lambda kit: kit.name)
def test_every_row_of_the_tables_has_a_payload(kit):
    """Each word and code that the adapter's report tables list stands in some payload's expectation."""
    tables = [table for name, table in kit.tables().items() if re.fullmatch(r"REPORT_[A-Z]+", name)]
    reports = [
        written
        for of, kind, path in PAYLOADS
        if of.name == kit.name and kind == "report"
        for written in expected_of(path).get("reports", [])
    ]
    said = {
        written.get(part, "").strip().rstrip(".").lower()
        for part in ("status", "code", "detail")
        for written in reports
    }

    rows = {row for table in tables for row in table}
    assert rows
    assert rows <= said


def test_payloads_and_expectations_come_in_pairs():
    """No payload lacks its expectation and no expectation its payload."""
    for kit in kits():
        for folder in FOLDERS:
            names = [path.name for path in (HERE / kit.name / folder).iterdir()]
            payloads = {Path(name).stem for name in names if not name.endswith(".expected.json")}
            assert payloads == {
                name.removesuffix(".expected.json") for name in names if name.endswith(".expected.json")
            }
            assert payloads
