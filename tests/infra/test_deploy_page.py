"""The page on deploying names what the templates have: roles, alerts, what azd can be told."""

from __future__ import annotations

import re

from tests.infra.bicep import INFRA, ROOT, template
from tests.infra.test_bicep import ROLES
from tests.test_docs import cells

PAGE = ROOT / "docs" / "deploy.md"


def test_every_role_has_a_reason():
    """The page says of each role that the templates assign who has it, on what and why."""
    rows = cells(PAGE, "## Who may do what")
    assert {row[0][0].lower() + row[0][1:].replace(" ", "") for row in rows} == set(ROLES)
    assert all(len(cell) > 3 for row in rows for cell in row)


def test_every_alert_has_a_remedy():
    """The page says of each alert what to look at."""
    alerts = template("modules/alerts.bicep").variables
    known = {one["name"] for part in ("queryAlerts", "always", "withTopic") for one in alerts[part]}
    rows = cells(PAGE, "## Alerts")
    assert {row[0].strip("`") for row in rows} == known


def test_everything_azd_can_be_told_is_listed():
    """The page lists each variable that the parameter file or the hook reads, with a parameter that exists."""
    read = set(re.findall(r"readEnvironmentVariable\('(GATEWAY_\w+)'", (INFRA / "main.bicepparam").read_text()))
    rows = cells(PAGE, "`azd env set` knows these names:")
    listed = {name for row in rows for name in re.findall(r"GATEWAY_\w+", row[0])}
    assert listed == read | {"GATEWAY_EVENT_DELIVERY"}
    parameters = {
        name for row in rows for name in re.findall(r"`(\w+)`", row[1]) if row[0] != "`GATEWAY_EVENT_DELIVERY`"
    }
    assert parameters <= set(template("main.bicep").parameters)
