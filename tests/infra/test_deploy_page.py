"""The page on deploying can be walked: its commands, names, parameters, paths and numbers are those of the code.

What the Azure CLI takes stands in ``AZ`` as version 2.91 has it. Every command of the page was run with that version by
nobody signed in: ``az`` refuses what it does not know before it asks who you are. The commands of azd are from
https://learn.microsoft.com/azure/developer/azure-developer-cli/reference.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from itertools import groupby

import pytest

import dev
from functions.triggers.api import OPERATIONS
from infra import cost, postdeploy
from tests.infra.bicep import INFRA, ROOT, TEMPLATES, template
from tests.infra.test_bicep import ROLES, bindings
from tests.test_docs import cells

PAGE = ROOT / "docs" / "deploy.md"
TEXT = PAGE.read_text()
EVERYWHERE = {"--query", "--output", "--subscription"}
APP = "--resource-group --name"

AZ = {
    # command: what it must have, what it may have
    "account set": ("--subscription", ""),
    "ad signed-in-user show": ("", ""),
    "deployment group create": ("--resource-group", "--name --parameters --template-file"),
    "deployment group show": (APP, ""),
    "deployment group what-if": ("--resource-group", "--name --parameters --template-file"),
    "eventgrid system-topic event-subscription delete": ("--resource-group --system-topic-name --name", "--yes"),
    "eventgrid system-topic update": (APP, "--mi-system-assigned --mi-user-assigned"),
    "functionapp deployment source config-zip": (APP + " --src", "--build-remote"),
    "functionapp function keys list": (APP + " --function-name", ""),
    "functionapp function keys set": (APP + " --function-name --key-name", "--key-value"),
    "functionapp function list": (APP, ""),
    "functionapp keys list": (APP, ""),
    "functionapp keys set": (APP + " --key-name --key-type", "--key-value"),
    "functionapp list": ("", "--resource-group"),
    "functionapp list-flexconsumption-locations": ("", "--runtime --zone-redundant"),
    "group create": (APP.replace("--resource-group ", "") + " --location", ""),
    "group delete": ("--name", "--yes"),
    "group show": ("--name", ""),
    "lock delete": ("--ids", ""),
    "lock list": ("", "--resource-group"),
    "login": ("", ""),
    "provider register": ("--namespace", "--wait"),
    "role assignment create": ("--role --scope", "--assignee --assignee-object-id --assignee-principal-type"),
    "role assignment delete": ("", "--role --scope --assignee"),
    "storage account list": ("", "--resource-group"),
    "storage message peek": ("--queue-name", "--auth-mode --account-name --num-messages"),
}
AZD = {"auth login", "deploy", "down", "env get-value", "env new", "env set", "hooks run", "up"}

MORE_PROVIDERS = {
    "App": "https://learn.microsoft.com/azure/azure-functions/flex-consumption-how-to#enable-virtual-network-integration",
    "AlertsManagement": "alerts that fired are listed by it",
}
NOT_REGISTERED = {"Authorization": "it is registered for every subscription"}


@dataclass(frozen=True)
class Command:
    """A command of the page.

    Args:
        words: Its words; a text in quotes is one.
        whole: Whether it can be run as it stands, and is no mention.
    """

    words: tuple[str, ...]
    whole: bool

    def named(self, known):
        """Return the longest name in a list that it begins with, or an empty text."""
        words = self.words[1:]
        for end in range(len(words), 0, -1):
            if " ".join(words[:end]) in known:
                return " ".join(words[:end])
        return ""

    @property
    def options(self):
        """Its long options."""
        return {word for word in self.words if word.startswith("--")}


def blocks():
    """Return the lines of all blocks of shell, in their order."""
    return [line.strip() for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]


def commands(program):
    """Return all commands of a program on the page: lines of blocks, with those inside of them, and mentions."""
    found = []
    for line in blocks():
        inner = re.fullmatch(r"\w+=\$\((.*)\)", line)
        for _, words in groupby(shlex.split(inner[1] if inner else line), lambda word: word == "|"):
            told = [word for word in words if word not in {"xargs", "-r", "|"}]
            if told and told[0] == program:
                found.append(Command(tuple(told), whole=True))
    prose = re.sub(r"```sh\n.*?```", "", TEXT, flags=re.DOTALL)
    for mention in re.findall(r"`([^`]+)`", prose):
        mention = " ".join(mention.split())  # noqa: PLW2901 - it may be broken over two lines
        if re.match(rf"{program} \w", mention):
            found.append(Command(tuple(shlex.split(mention)), whole=False))
    return found


# Commands -----------------------------------------------------------------------------------------------------------


def test_commands_are_found():
    """What the tests below go through is what the page has: in blocks, in other commands, behind pipes, in prose."""
    az = {" ".join(command.words[1:4]) for command in commands("az")}
    assert {"account set --subscription", "functionapp list --resource-group", "lock delete --ids", "login"} <= az
    assert len([command for command in commands("az") if command.whole]) == len(re.findall(r"\baz ", "".join(
        f"{line}\n" for line in blocks()
    )))  # fmt: skip
    assert {" ".join(command.words[1:3]) for command in commands("azd")} >= {"env new", "env set", "up", "auth login"}


@pytest.mark.parametrize("command", commands("az"), ids=lambda command: " ".join(command.words)[:60])
def test_az_knows_it(command):
    """The Azure CLI has the command, all that it must have is given, and nothing that it does not take."""
    name = command.named(AZ)
    assert name, command.words
    needed, more = (set(words.split()) for words in AZ[name])
    assert command.options <= needed | more | EVERYWHERE
    if command.whole and "--ids" not in command.options:
        assert needed <= command.options


def test_az_knows_what_the_code_runs():
    """The commands that postdeploy runs, and the one that the templates print, are such commands too."""
    source = (INFRA / "postdeploy.py").read_text()
    lists = [re.findall(r'"([^"]+)"', found) for found in re.findall(r"command = \[(.*?)\]", source)]
    printed = (
        template("main.bicep").path.read_text().partition("GATEWAY_KEYS_COMMAND string = 'az ")[2].partition("'")[0]
    )
    ran = [Command(("az", *words), whole=False) for words in [*lists, printed.split()]]
    assert [command.named(AZ) for command in ran] == [
        "deployment group show", "functionapp function list", "deployment group create", "functionapp keys list",
    ]  # fmt: skip
    options = set(re.findall(r'"(--[a-z-]+)"', source)) - {"--deployment", "--delivery"}
    assert options <= {word for needed, more in AZ.values() for word in f"{needed} {more}".split()} | EVERYWHERE


@pytest.mark.parametrize("command", commands("azd"), ids=lambda command: " ".join(command.words))
def test_azd_knows_it(command):
    """Azd has the command, and what it is told is what the parameter file or the hook reads."""
    name = command.named(AZD)
    assert name, command.words
    if name == "env set" and command.words[3:]:
        read = set(re.findall(r"readEnvironmentVariable\('(\w+)'", (INFRA / "main.bicepparam").read_text()))
        assert command.words[3] in read | {postdeploy.DELIVERY, "AZURE_RESOURCE_GROUP"}
    if name == "env get-value":
        assert command.words[3] in template("main.bicep").outputs
    if name == "hooks run":
        assert command.words[3] in {"postdeploy", "prepackage"}


@pytest.mark.parametrize("command", commands("python3"), ids=lambda command: " ".join(command.words))
def test_dev_py_knows_it(command):
    """dev.py has the command, and the module behind it each option."""
    assert command.words[1] == "dev.py"
    assert command.words[2] in dev.COMMANDS
    source = (INFRA / f"{command.words[2]}.py").read_text()
    for option in command.options:
        assert f'"{option}"' in source, option


def test_variables_are_set_before_they_are_used():
    """Every variable of the shell is set by a line before the one that uses it."""
    known = set()
    for line in blocks():
        assert set(re.findall(r"\$\{?([A-Za-z]\w*)", re.sub(r"^\w+=", "", line))) <= known, line
        known |= set(re.findall(r"^(\w+)=", line)) | set(re.findall(r"^for (\w+) in ", line))
    assert known == {"name", "APP", "GROUP", "STORAGE", "ME"}


def test_files_are_there():
    """Every file that a command reads exists, but for the zip that one of them writes."""
    named = {word for command in commands("az") for word in command.words if "/" in word or word.startswith(".")}
    files = {word for word in named if re.fullmatch(r"[\w./-]+\.\w+", word)} - {".package.zip"}
    assert files == {"infra/dev.bicepparam"}
    assert all((ROOT / file).is_file() for file in files)
    assert "--zip .package.zip\n" in TEXT


# Names --------------------------------------------------------------------------------------------------------------


def test_resources_are_found_by_their_names():
    """The beginnings by which the page finds app and storage account are those that the templates give."""
    source = template("main.bicep").path.read_text()
    assert set(re.findall(r"starts_with\(name, '([a-z-]+)'\)", TEXT)) == {"func-sms-dev-", "stsms"}
    assert "'func-sms-${environmentName}-${suffix}'" in source
    assert "'stsms${suffix}'" in source
    assert "param environmentName = 'dev'" in (INFRA / "dev.bicepparam").read_text()


def test_functions_and_queues_are_there():
    """Functions, queues and containers that the page names are those of app and templates."""
    storage = template("modules/storage.bicep").variables
    queues = {*storage["queues"], *(f"{queue}-poison" for queue in storage["queues"])}
    named = {word for command in commands("az") for before, word in zip(command.words, command.words[1:], strict=False)
             if before == "--function-name"}  # fmt: skip
    assert named == {"send_messages"} <= set(bindings())
    assert set(re.findall(r"\bsms-(?:dispatch|vendor-events)[a-z-]*", TEXT)) <= queues
    assert {storage["packageContainer"], storage["deadEventsContainer"]} <= set(re.findall(r"`([a-z-]+)`", TEXT))


def test_providers_are_registered():
    """The resource providers to register are those of the templates' resources, and two with a reason."""
    (line,) = (line for line in blocks() if line.startswith("for name in "))
    listed = set(line.removeprefix("for name in ").removesuffix("; do").split())
    types = {kind.split(".")[1].split("/")[0] for path in TEMPLATES
             for kind, _ in template(path.relative_to(INFRA).as_posix()).resources.values()}  # fmt: skip
    assert listed == (types - set(NOT_REGISTERED)) | set(MORE_PROVIDERS)


def test_parameters_and_outputs_are_there():
    """What the page calls a parameter or an output by its form is one."""
    parameters = {*template("main.bicep").parameters, *template("events.bicep").parameters}
    prose = TEXT.partition("## Parameters")[0] + TEXT.partition("<!-- end -->")[2]
    assert set(re.findall(r"`([a-z]\w*)=[\w ]+`", prose)) <= parameters
    words = set(re.findall(r"`([a-z]+[A-Z]\w+)`", prose))
    assert words - {"functionKeys", "validityPeriod"} <= parameters
    read = set(re.findall(r"GATEWAY_\w+", (INFRA / "main.bicepparam").read_text())) | {postdeploy.DELIVERY}
    assert set(re.findall(r"GATEWAY_\w+", TEXT)) <= read | set(template("main.bicep").outputs)


def test_paths_of_the_api_are_there():
    """Each path with a method that the page names is an operation, and takes the query that stands behind it."""
    known = {(one.method, re.sub(r"\{\w+[^}]*\}", "{}", one.route)): one for one in OPERATIONS}
    named = re.findall(r"`(?:(GET|POST)(?: and (POST))? )/api/([^`?]+)(?:\?(\w+)=\w+)?`", TEXT)
    assert len(named) >= 5
    for method, other, path, query in named:
        for verb in filter(None, (method, other)):
            operation = known[verb, re.sub(r"\{\w+\}", "{}", path)]
            if query:
                assert query in {field.alias or name for name, field in operation.query.model_fields.items()}, path


# Tables and numbers -------------------------------------------------------------------------------------------------


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


def test_nothing_azd_is_told_is_overwritten():
    """No output has the name of a variable: azd would put its value in the variable's place."""
    read = set(re.findall(r"readEnvironmentVariable\('(\w+)'", (INFRA / "main.bicepparam").read_text()))
    assert not read & set(template("main.bicep").outputs)


def test_timers_cost_what_the_page_says():
    """The page's table of timers has all of them, with the requests that are paid for."""
    rows = cells(PAGE, "The timers are in all rows.")
    said = {row[0].strip("`"): (float(row[2]), float(row[3])) for row in rows}
    assert said == {name: (timer.tables, timer.queues) for name, timer in cost.TIMERS.items()}


def test_the_bound_of_a_sweep():
    """The page names the number of messages from which sweeps would need more than their time, to one digit."""
    millions = cost.swept_in_time(cost.USES["one by one"]) / 1e6
    assert f"about {round(millions, -2):.0f} million\nmessages" in TEXT
    assert cost.swept_in_time(cost.USES["bulk"]) > 1e9


def test_the_bound_of_deleting():
    """The page names the number of messages from which they would come faster than they are deleted, to one digit."""
    millions = cost.tidied_in_time(cost.USES["one by one"]) / 1e6
    assert f"deleting at about {round(millions, -1):.0f} million" in TEXT
    assert cost.tidied_in_time(cost.USES["bulk"]) > 1e9
