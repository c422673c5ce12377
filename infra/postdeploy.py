"""What comes after the code: the subscriptions to events, then a smoke test: python3 dev.py postdeploy.

azd runs it with the outputs of the template in its environment; by hand they are read from the deployment. It changes
nothing when it is run again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.package import defined, say

TEMPLATE = Path(__file__).with_name("events.bicep")
NEEDED = ("GATEWAY_URL", "GATEWAY_RESOURCE_GROUP", "GATEWAY_APP_NAME", "GATEWAY_APP_ID", "GATEWAY_STORAGE_ID")
TOPIC = "GATEWAY_TOPIC_ID"
TOPIC_IDENTITY = "GATEWAY_TOPIC_IDENTITY_ID"
DELIVERY = "GATEWAY_EVENT_DELIVERY"
DEPLOYMENT = "sms-gateway-events"
PATIENCE = 600.0
"""Seconds: role assignments of a fresh deployment take minutes to be known everywhere
(https://learn.microsoft.com/azure/role-based-access-control/troubleshooting), and the host starts only then."""
PAUSE = 10.0
OK = 200

Run = Callable[[Sequence[str]], str]
Fetch = Callable[[str], tuple[int, str]]


class DeployError(Exception):
    """The deployment does not work; the text says what to look at."""


def az(arguments: Sequence[str]) -> str:
    """Run the Azure CLI and return its output.

    Raises:
        DeployError: It is not installed, or failed.
    """
    program = shutil.which("az")
    if not program:
        raise DeployError("the Azure CLI is not installed: https://learn.microsoft.com/cli/azure/install-azure-cli")
    done = subprocess.run(  # noqa: S603 - commands of this file alone
        [program, *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DeployError(f"az {' '.join(arguments[:3])} failed: {done.stderr.strip()}")
    return done.stdout


def fetch(url: str) -> tuple[int, str]:
    """Return status and body of an address; status 0 while nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the address that Azure gave the app
            return int(answer.status), answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        return 0, type(error).__name__


@dataclass(frozen=True, slots=True)
class Tools:
    """What the steps reach the world with.

    Args:
        run: Runs the Azure CLI.
        fetch: Fetches an address.
        pause: Waits for some seconds.
        clock: Seconds that only grow.
    """

    run: Run = az
    fetch: Fetch = fetch
    pause: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic

    def until(self, attempt: Callable[[], str | None]) -> None:
        """Try until there is no complaint.

        Args:
            attempt: Returns what is wrong, or ``None``.

        Raises:
            DeployError: Something was wrong to the end of our patience.
        """
        end = self.clock() + PATIENCE
        while (wrong := attempt()) is not None:
            if self.clock() >= end:
                raise DeployError(wrong)
            self.pause(PAUSE)


def outputs_of(group: str, deployment: str, run: Run) -> dict[str, str]:
    """Return the outputs of a deployment of ``main.bicep`` by name.

    Raises:
        DeployError: There is no such deployment, or it was one of another template.
    """
    command = ["deployment", "group", "show", "--resource-group", group, "--name", deployment]
    told = json.loads(run([*command, "--query", "properties.outputs", "--output", "json"]) or "null") or {}
    # Azure Resource Manager gives names back with another case at times.
    return {name.upper(): str(output["value"]) for name, output in told.items()}


def check_complete(values: Mapping[str, str]) -> None:
    """Check that all outputs are there.

    Raises:
        DeployError: One is missing.
    """
    missing = [name for name in NEEDED if not values.get(name)]
    if missing:
        raise DeployError(
            f"{', '.join(missing)} missing: run it by azd, or with --resource-group and the --deployment of main.bicep"
        )


def check_functions(values: Mapping[str, str], wanted: Sequence[str], tools: Tools) -> None:
    """Wait until Azure lists the functions that the app defines, and no other.

    A package that does not load shows as a deployment that succeeded and has no functions.

    Raises:
        DeployError: They differ.
    """

    def compare() -> str | None:
        # The subscription that the Azure CLI is set to need not be the one that azd deployed into.
        command = ["functionapp", "function", "list", "--subscription", values["GATEWAY_APP_ID"].split("/")[2]]
        command += ["--resource-group", values["GATEWAY_RESOURCE_GROUP"], "--name", values["GATEWAY_APP_NAME"]]
        told = tools.run([*command, "--query", "[].name", "--output", "json"])
        found = {name.rpartition("/")[2] for name in json.loads(told or "[]")}
        missing, foreign = sorted(set(wanted) - found), sorted(found - set(wanted))
        if missing or foreign:
            return (
                f"the app on Azure lacks the functions {missing} and has {foreign} too; if it has none at all, "
                "it does not load: look at its log stream, or at Diagnose and solve problems in the portal"
            )
        return None

    tools.until(compare)
    say(f"all {len(wanted)} functions are there")


def subscribe(values: Mapping[str, str], tools: Tools) -> None:
    """Make the subscriptions to the events of Azure Communication Services, where there is a topic.

    Raises:
        DeployError: Azure refuses them.
    """
    topic = values.get(TOPIC, "")
    if not topic:
        say("no Azure Communication Services, so no events to subscribe to")
        return
    # /subscriptions/2/resourceGroups/4/providers/Microsoft.EventGrid/systemTopics/8
    part = topic.split("/")
    parameters = {
        "topicName": part[8],
        "appId": values["GATEWAY_APP_ID"],
        "storageId": values["GATEWAY_STORAGE_ID"],
        "identityId": values.get(TOPIC_IDENTITY, ""),
        "delivery": values.get(DELIVERY) or "function",
    }
    command = ["deployment", "group", "create", "--subscription", part[2], "--resource-group", part[4]]
    command += ["--name", DEPLOYMENT, "--template-file", str(TEMPLATE), "--output", "none", "--parameters"]
    tools.run([*command, *(f"{name}={value}" for name, value in parameters.items())])
    say(f"events come by {parameters['delivery']}")


def check_health(values: Mapping[str, str], tools: Tools) -> None:
    """Wait until the app reaches its store.

    Raises:
        DeployError: It does not.
    """
    url = f"{values['GATEWAY_URL']}/api/health"

    def ask() -> str | None:
        status, body = tools.fetch(url)
        return None if status == OK else f"{url} answered {status or 'nothing'}: {body[:500]}"

    tools.until(ask)
    say(f"{url} is well")


def main(arguments: Sequence[str], environment: Mapping[str, str] = os.environ, tools: Tools | None = None) -> int:
    """Do all steps."""
    parser = argparse.ArgumentParser("dev.py postdeploy", description="Subscribe to events, then test the app.")
    parser.add_argument("--resource-group", help="the group that main.bicep was deployed into; not with azd")
    parser.add_argument("--deployment", default="main", help="the name of that deployment, main")
    parser.add_argument("--delivery", choices=("function", "queue"), help="how events come, see infra/events.bicep")
    chosen = parser.parse_args(arguments)
    tools = tools or Tools()
    try:
        values = dict(environment)
        if chosen.resource_group:
            values |= outputs_of(chosen.resource_group, chosen.deployment, tools.run)
        if chosen.delivery:
            values[DELIVERY] = chosen.delivery
        check_complete(values)
        check_functions(values, defined(), tools)
        subscribe(values, tools)
        check_health(values, tools)
    except DeployError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    say(f"vendors call back below {values['GATEWAY_CALLBACK_BASE_URL']}")
    say(f"keys: {values['GATEWAY_KEYS_COMMAND']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
