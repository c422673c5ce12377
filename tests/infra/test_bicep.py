"""The templates are well-formed, and name what the code has: settings, tables, queues, functions, roles, figures."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml

import dev
import function_app
from functions.app import DISPATCH_QUEUE
from functions.settings import APP_SETTINGS, SettingsError, read_settings
from functions.triggers.names import DISPATCH, EVENTS_QUEUE, INBOUND_EVENTS, POISON_LINE, REPORT_EVENTS
from functions.vendors import acs
from infra import package
from tests.infra.bicep import INFRA, ROOT, TEMPLATES, every, named, plain, template, text

NAMES = [path.relative_to(INFRA).as_posix() for path in TEMPLATES]
PARAMETERS = sorted(INFRA.glob("*.bicepparam"))
CHECKER = ROOT.parent / "shared" / "tools" / "bicep_check.py"
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

HOST_SETTINGS = {
    "AzureWebJobsStorage__blobServiceUri": "leases, keys and the package",
    "AzureWebJobsStorage__credential": "a user-assigned identity is used by the host only if this says so",
    "AzureWebJobsDisableHomepage": "the page at / tells which product answers",
    "APPLICATIONINSIGHTS_CONNECTION_STRING": "telemetry",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING": "telemetry",
}
"""What the templates set for the Functions host alone, and what for."""

ROLES = {
    # https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
    "storageBlobDataOwner": ("b7e6dc6d-f1e8-4753-8033-0f276bb0955b", None),
    "storageQueueDataContributor": (
        "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
        "functions/storage/azure: QueueServiceClient(",
    ),
    "storageTableDataContributor": (
        "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
        "functions/storage/azure: TableServiceClient(",
    ),
    "keyVaultSecretsOfficer": ("b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "functions/storage/azure: .set_secret("),
    "communicationAndEmailServiceOwner": (
        "09976791-48a7-449e-bb21-39d1a415f350",
        "functions/vendors: http.credential()",
    ),
    "monitoringMetricsPublisher": ("3913510d-42f4-4e42-8a64-420c390055eb", None),
    "storageQueueDataMessageSender": ("c6a89b2d-59bc-44d0-9896-0f6e12d7b80a", "infra: endpointType: 'StorageQueue'"),
    "storageBlobDataContributor": ("ba92f5b4-2d11-453d-a403-e96b0029c9fe", "infra: endpointType: 'StorageBlob'"),
}
"""Role ids, and where what needs the role is; the host itself needs those without a place."""


def functions_of(app):
    """Return the functions of an app; the SDK lists them once, and calls the second time a repetition."""
    app.functions_bindings = {}
    return app.get_functions()


def bindings():
    """Return the triggers of all functions by the function's name."""
    return {
        function.get_function_name(): function.get_trigger().get_dict_repr()
        for function in functions_of(function_app.app)
    }


# The language -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_it_parses(name):
    """The template has no error of syntax, says what it is for, and explains what a deployer may set."""
    read = template(name)
    assert not read.root.has_error
    assert read.path.read_text().startswith("metadata description = '")
    if "/" not in name:
        assert [one for one, (described, _, _) in read.parameters.items() if not described] == []
        assert [one for one, described in read.outputs.items() if not described] == []


def test_the_parser_sees_errors():
    """The parser that the test above trusts finds a brace too few, a text without its end and a word too many."""
    from tests.infra.bicep import parser

    for wrong in (b"var a = {\n", b"var a = 'x\n", b"param a string string\n"):
        assert parser().parse(wrong).root_node.has_error, wrong


def test_modules_get_what_they_take():
    """Each module of main.bicep exists, gets every parameter that has no default, and none that it does not have."""
    seen = []
    for node in every(template("main.bicep").root):
        if node.type != "module_declaration":
            continue
        name, path, *_ = named(node)
        body = next(child for child in every(node) if child.type == "object")
        given = template("main.bicep").value(body)["params"]
        taken = template(plain(path)).parameters
        assert set(given) <= set(taken), text(name)
        assert {one for one, (_, default, _) in taken.items() if not default} <= set(given), text(name)
        seen.append(plain(path))
    assert sorted(seen) == [name for name in NAMES if name.startswith("modules/")]


@pytest.mark.skipif(not CHECKER.exists(), reason="the checker with Azure's type data is not beside this repository")
def test_it_fits_azures_types():
    """Every resource has the properties, values and API versions that Azure publishes."""
    done = subprocess.run(
        [sys.executable, CHECKER, INFRA, "--strict"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout


def test_it_is_found_for_every_resource_that_matters():
    """The templates declare the resources that the product promises to deploy."""
    declared = {kind.partition("@")[0] for name in NAMES for kind, _ in template(name).resources.values()}
    assert {
        "Microsoft.Web/sites",
        "Microsoft.Storage/storageAccounts",
        "Microsoft.KeyVault/vaults",
        "Microsoft.ManagedIdentity/userAssignedIdentities",
        "Microsoft.Communication/communicationServices",
        "Microsoft.EventGrid/systemTopics",
        "Microsoft.EventGrid/systemTopics/eventSubscriptions",
        "Microsoft.Insights/components",
        "Microsoft.Insights/diagnosticSettings",
        "Microsoft.Insights/metricAlerts",
        "Microsoft.Insights/scheduledQueryRules",
        "Microsoft.Insights/workbooks",
        "Microsoft.Authorization/locks",
        "Microsoft.Network/privateEndpoints",
    } <= declared


# Settings -----------------------------------------------------------------------------------------------------------


def written():
    """Return the app settings that the template writes, with values as Azure would fill them in."""
    filled = {
        "storageEndpoints.table": "https://stsmsabc.table.core.windows.net/",
        "storageEndpoints.queue": "https://stsmsabc.queue.core.windows.net/",
        "identityClientId": "11111111-2222-3333-4444-555555555555",
        "vaultUrl": "https://kv-sms-abc.vault.azure.net/",
    }
    settings = template("modules/app.bicep").variables["settings"]
    return (
        settings
        | {name: filled[value] for name, value in settings.items() if value in filled}
        | {"SMS_PUBLIC_URL": "https://func-sms-abc.azurewebsites.net"}
    )


def test_the_app_takes_the_settings():
    """The app starts with what the template writes, in Azure's own form, and with none of it missing."""
    settings = read_settings(written())
    assert (settings.storage, settings.secrets) == ("azure", "azure")
    assert settings.client_id
    for name in ("SMS_KEY_VAULT_URL", "SMS_PUBLIC_URL", "AzureWebJobsStorage__tableServiceUri"):
        with pytest.raises(SettingsError):
            read_settings(written() | {name: ""})


def test_settings_agree():
    """Each setting that a template writes is read by the app or the host, and the sample has all of the app's."""
    known = {setting.name for setting in APP_SETTINGS}
    sample = set(json.loads((ROOT / "local.settings.sample.json").read_text())["Values"])
    assert set(written()) <= known | set(HOST_SETTINGS)
    assert set(HOST_SETTINGS) <= set(written()) | known
    assert known <= sample


@pytest.mark.parametrize("path", PARAMETERS, ids=lambda path: path.name)
def test_parameters_exist(path):
    """A parameter file sets parameters and settings that exist, and all that have no default."""
    source = path.read_text()
    declared = template("main.bicep").parameters
    given = dict(re.findall(r"^param (\w+) = (.+)$", source, re.MULTILINE))
    assert re.search(r"^using '\./main\.bicep'$", source, re.MULTILINE)
    assert set(given) <= set(declared)
    assert {name for name, (_, default, _) in declared.items() if not default} <= set(given)
    assert set(re.findall(r"^  (SMS_\w+):", source, re.MULTILINE)) <= {setting.name for setting in APP_SETTINGS}
    for name, value in given.items():
        asked = re.fullmatch(r"(?:int\(|bool\()?readEnvironmentVariable\('(\w+)', '(.*?)'\)+", value)
        if asked and name != "environmentName":
            assert asked[2] == str(declared[name][2]).lower() or asked[2] == str(declared[name][2]), name


# Names --------------------------------------------------------------------------------------------------------------


def test_tables():
    """The template declares each table that the code uses, and no other."""
    used = [
        found[1]
        for file in (ROOT / "functions").rglob("*.py")
        for found in re.finditer(r'^\w*TABLE(?:: \w+)? = "(\w+)"', file.read_text(), re.MULTILINE)
    ]
    assert sorted(template("modules/storage.bicep").variables["tables"]) == sorted(used)


def test_queues():
    """The template declares each queue of the code and no other, with a poison queue where a function reads it."""
    read = {trigger["queueName"] for trigger in bindings().values() if trigger["type"] == "queueTrigger"}
    storage = template("modules/storage.bicep")
    assert set(storage.variables["queues"]) == read == {DISPATCH_QUEUE, EVENTS_QUEUE}
    code = "".join(file.read_text() for file in (ROOT / "functions").rglob("*.py"))
    used = set(re.findall(r'^\w*QUEUE(?:: \w+)? = "([a-z-]+)"', code, re.MULTILINE))
    assert {*storage.variables["queues"], storage.variables["probeQueue"]} == used
    assert "'${queueName}-poison'" in storage.variables["poisonQueues"]
    assert "concat(queues, poisonQueues, [probeQueue])" in storage.path.read_text()
    assert template("events.bicep").variables["queueName"] == EVENTS_QUEUE
    assert template("events.bicep").variables["deadEventsContainer"] == storage.variables["deadEventsContainer"]


def test_event_subscriptions():
    """Each function that Event Grid calls has a subscription to the event that the adapter takes, and no other."""
    by_grid = {name for name, trigger in bindings().items() if trigger["type"] == "eventGridTrigger"}
    subscribed = {one["function"]: one["event"] for one in template("events.bicep").variables["subscriptions"]}
    assert subscribed == {REPORT_EVENTS: acs.DELIVERY_REPORT, INBOUND_EVENTS: acs.INBOUND}
    assert by_grid == set(subscribed)


def test_functions_that_are_named():
    """The functions that scaling and alerts name exist, and the log line that an alert looks for is the one written."""
    ready = [one["name"] for one in template("modules/app.bicep").variables["alwaysReady"]]
    assert ready == ["http", f"function:{DISPATCH}"]
    assert DISPATCH in bindings()
    queries = {one["name"]: one["query"] for one in template("modules/alerts.bicep").variables["queryAlerts"]}
    assert f'message startswith "{POISON_LINE}"' in queries["poison"]


def test_figures_that_are_shown():
    """Alerts and workbook ask for figures and attributes that the gateway exports, by their names."""
    from functions.gateway import telemetry

    shown = (INFRA / "modules" / "workbook.json").read_text() + (INFRA / "modules" / "alerts.bicep").read_text()
    figures = {metric.name: metric for metric in telemetry.METRICS}
    named_so = set(re.findall(r"""['"](sms\.[a-z_.]+)['"]""", shown))
    attributes = {
        name for name in named_so if f"customDimensions['{name}']" in shown or f'customDimensions["{name}"]' in shown
    }
    assert attributes == {telemetry.VENDOR, telemetry.PROVIDER, telemetry.SENDER, telemetry.REASON}
    assert named_so - attributes - {"sms."} <= set(figures)
    for name in ("sms.sent", "sms.delivered", "sms.failed", "sms.delivery.latency"):
        assert {telemetry.VENDOR, telemetry.SENDER} <= set(figures[name].attributes)
    held_back = figures["sms.circuit.opened"]
    assert {telemetry.VENDOR, telemetry.PROVIDER, telemetry.REASON} <= set(held_back.attributes)
    assert held_back.instrument is telemetry.Instrument.COUNTER
    assert {figures[name].unit for name in ("sms.delivery.latency", "sms.oldest.unsent", "sms.queue.age")} == {"s"}


def test_alerts_yield_what_is_compared():
    """A query of an alert yields the column that is compared, and one for each of its dimensions and no other."""
    for alert in template("modules/alerts.bicep").variables["queryAlerts"]:
        last = alert["query"].rpartition("| summarize ")[2]
        columns, _, by = last.partition(" by ")
        assert columns.startswith("Value = "), alert["name"]
        assert re.findall(r"(\w+) = ", by) == [one["name"] for one in alert["dimensions"]], alert["name"]
        assert all((one["operator"], one["values"]) == ("Include", ["*"]) for one in alert["dimensions"])
        assert 5 <= alert["minutes"] <= 15


def test_the_workbook_works_without_data():
    """All vendors are asked for by a star, so that a query is whole where no vendor has been heard of yet."""
    workbook = json.loads((INFRA / "modules" / "workbook.json").read_text())
    (parameters, *items) = workbook["items"]
    vendor = next(one for one in parameters["content"]["parameters"] if one["name"] == "Vendor")
    assert vendor["typeSettings"]["selectAllValue"] == "*"
    asking = [item["content"]["query"] for item in items if "{Vendor}" in item["content"]["query"]]
    assert len(asking) > 4
    assert all(query.count("in ({Vendor})") == 2 == query.count("'*' in ({Vendor}) or") * 2 for query in asking)


def test_event_grids_identity():
    """Deliveries and dead events use the same identity, the one that has the roles, and it is told to the hook."""
    events, main = template("events.bicep"), template("main.bicep")
    source = events.path.read_text()
    assert source.count("identity: identity\n") == 2
    assert events.parameters["identityId"][1:] == (True, "")
    assert events.variables["givenIdentity"] == {"type": "UserAssigned", "userAssignedIdentity": "identityId"}
    assert {"deadLetterWithResourceIdentity", "deliveryWithResourceIdentity"} <= set(re.findall(r"\w+", source))
    assert main.parameters["topicOwnIdentity"][2] == "privateNetwork"
    assert "GATEWAY_TOPIC_IDENTITY_ID string = topicIdentityId" in main.path.read_text()


def test_roles():
    """The templates assign the roles that something needs, each by its right id, and no other."""
    assigned = {
        name: value
        for file in NAMES
        for name, value in template(file).variables.items()
        if isinstance(value, str) and GUID.fullmatch(value)
    }
    assert assigned == {name: identity for name, (identity, _) in ROLES.items()}
    code = "".join(file.read_text() for file in (ROOT / "functions").rglob("*.py"))
    named_in_code = re.findall(r'^\w+_ROLE(?:: \w+)? = "([\w ]+)"', code, re.MULTILINE)
    assert {role[0].lower() + role[1:].replace(" ", "") for role in named_in_code} <= set(assigned)
    for name, (_, place) in ROLES.items():
        uses = sum(len(re.findall(rf"\b{name}\b", template(file).path.read_text())) for file in NAMES)
        assert uses > 1, f"{name} is declared and not assigned"
        if place:
            folder, _, what = place.partition(": ")
            assert any(
                what in file.read_text() for kind in ("*.py", "*.bicep") for file in (ROOT / folder).rglob(kind)
            ), f"nothing needs {name}"


# azd ----------------------------------------------------------------------------------------------------------------


def test_azd_uploads_what_the_hook_builds():
    """The app has the tag that azd looks for; its hooks run commands that exist and build what is uploaded."""
    project = yaml.safe_load((ROOT / "azure.yaml").read_text())
    ((name, service),) = project["services"].items()
    assert f"'azd-service-name': '{name}'" in (INFRA / "modules" / "app.bicep").read_text()
    assert (ROOT / service["project"] / service["dist"]).resolve() == package.FOLDER
    assert service["remoteBuild"] is False
    hooks = [*service["hooks"].values(), *project["hooks"].values()]
    commands = [hook[system]["run"].split("dev.py ")[1] for hook in hooks for system in ("posix", "windows")]
    assert commands == ["package", "package", "postdeploy", "postdeploy"]
    assert set(commands) <= set(dev.COMMANDS)
