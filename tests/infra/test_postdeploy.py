"""What comes after the code: waiting with patience, subscribing in the right place, and failing in words that help."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest

from infra import postdeploy
from infra.package import defined
from infra.postdeploy import DeployError, Tools, main
from tests.infra.bicep import template

AZD = {
    "GATEWAY_URL": "https://func.example",
    "GATEWAY_CALLBACK_BASE_URL": "https://func.example/api/callbacks",
    "GATEWAY_KEYS_COMMAND": "az functionapp keys list",
    "GATEWAY_RESOURCE_GROUP": "rg-sms",
    "GATEWAY_APP_NAME": "func",
    "GATEWAY_APP_ID": "/subscriptions/s/resourceGroups/rg-sms/providers/Microsoft.Web/sites/func",
    "GATEWAY_STORAGE_ID": "/subscriptions/s/resourceGroups/rg-sms/providers/Microsoft.Storage/storageAccounts/st",
}
TOPIC = "/subscriptions/other/resourceGroups/rg-acs/providers/Microsoft.EventGrid/systemTopics/evgt"


class World:
    """Azure and the app, in memory; time passes only while somebody waits."""

    def __init__(self, functions=None, health=(200, "{}"), outputs=None):
        self.functions = functions if functions is not None else [defined()]
        self.health = list(health) if isinstance(health, list) else [health]
        self.outputs, self.asked, self.now = outputs, [], 0.0

    def run(self, arguments):
        """Answer as the Azure CLI does."""
        self.asked.append(list(arguments))
        if arguments[:3] == ["functionapp", "function", "list"]:
            names = self.functions.pop(0) if len(self.functions) > 1 else self.functions[0]
            return json.dumps([f"func/{name}" for name in names])
        if arguments[:3] == ["deployment", "group", "show"]:
            return json.dumps({name: {"type": "String", "value": value} for name, value in self.outputs.items()})
        return ""

    def fetch(self, url):
        """Answer as the app does."""
        self.asked.append(url)
        return self.health.pop(0) if len(self.health) > 1 else self.health[0]

    def wait(self, seconds):
        """Let time pass."""
        self.now += seconds

    @property
    def tools(self):
        """What the steps get."""
        return Tools(self.run, self.fetch, self.wait, lambda: self.now)


def test_azds_environment_is_enough(capsys):
    """With azd's outputs it looks at functions and health, subscribes to nothing without a topic, and tells URLs."""
    world = World()
    assert main([], AZD, world.tools) == 0
    assert [asked[1] for asked in world.asked] == ["function", "t"]
    # Wherever the Azure CLI is set to.
    assert dict(pairwise(world.asked[0]))["--subscription"] == "s"
    assert world.asked[-1] == "https://func.example/api/health"
    said = capsys.readouterr().out
    assert "no events to subscribe to" in said
    assert "https://func.example/api/callbacks" in said


@pytest.mark.parametrize("delivery", ["function", "queue"])
def test_events_are_subscribed_to_where_the_topic_is(delivery):
    """The subscriptions go into the topic's own group, after the functions are there, with parameters that exist."""
    world = World()
    identity = (
        "/subscriptions/s/resourceGroups/rg-sms/providers/Microsoft.ManagedIdentity/userAssignedIdentities/events"
    )
    values = AZD | {
        "GATEWAY_TOPIC_ID": TOPIC,
        "GATEWAY_TOPIC_IDENTITY_ID": identity,
        "GATEWAY_EVENT_DELIVERY": delivery,
    }
    assert main([], values, world.tools) == 0
    listing, deployment, health = world.asked
    assert listing[1] == "function"
    assert health.startswith("https://")
    options = dict(pairwise(deployment))
    assert (options["--subscription"], options["--resource-group"]) == ("other", "rg-acs")
    given = dict(word.split("=", 1) for word in deployment[deployment.index("--parameters") + 1 :])
    declared = template("events.bicep").parameters
    assert set(given) == set(declared)
    assert (given["topicName"], given["delivery"], given["identityId"]) == ("evgt", delivery, identity)
    assert options["--template-file"].endswith("events.bicep")


def test_by_hand_the_outputs_come_from_the_deployment():
    """Without azd the outputs are read from the named deployment, whatever case Azure gives their names back in."""
    told = {name.lower(): value for name, value in AZD.items()} | {"gateway_topic_id": TOPIC}
    world = World(outputs=told)
    assert main(["--resource-group", "rg-sms", "--deployment", "first", "--delivery", "queue"], {}, world.tools) == 0
    assert world.asked[0][:7] == ["deployment", "group", "show", "--resource-group", "rg-sms", "--name", "first"]
    assert "delivery=queue" in world.asked[2]


def test_the_template_has_the_outputs():
    """Every name that is read here is an output of main.bicep."""
    read = set(re.findall(r"GATEWAY_[A-Z_]+", (postdeploy.TEMPLATE.with_name("postdeploy.py")).read_text()))
    assert read - {postdeploy.DELIVERY} <= set(template("main.bicep").outputs)
    assert set(AZD) | {postdeploy.TOPIC} <= set(template("main.bicep").outputs)


def test_it_waits_for_functions_and_health():
    """An app that is still starting is asked again until it is there."""
    world = World(functions=[[], [], defined()], health=[(0, "refused"), (503, "starting"), (200, "{}")])
    assert main([], AZD, world.tools) == 0
    assert world.now == 4 * postdeploy.PAUSE


@pytest.mark.parametrize(
    ("world", "says"),
    [
        (World(functions=[[]]), "it does not load"),
        (World(functions=[[*defined(), "old_one"]]), "old_one"),
        (World(health=(503, "Table Storage answered 403")), "answered 503: Table Storage answered 403"),
        (World(health=(0, "TimeoutError")), "answered nothing: TimeoutError"),
    ],
    ids=["no functions", "a function too many", "not well", "no answer"],
)
def test_it_gives_up(world, says, capsys):
    """What stays wrong for ten minutes ends with exit code 1 and words on what to look at."""
    assert main([], AZD, world.tools) == 1
    assert says in capsys.readouterr().err
    assert world.now == pytest.approx(postdeploy.PATIENCE, abs=postdeploy.PAUSE)


def test_missing_outputs_are_named(capsys):
    """Without azd and without a group it says which outputs it lacks."""
    assert main([], {}, World().tools) == 1
    assert "GATEWAY_URL" in capsys.readouterr().err


def test_a_failed_command_is_quoted(capsys):
    """What the Azure CLI says is handed on."""

    def refuse(arguments):
        raise DeployError("az functionapp function list failed: AuthorizationFailed")

    assert main([], AZD, Tools(run=refuse)) == 1
    assert "AuthorizationFailed" in capsys.readouterr().err


def test_without_the_cli(monkeypatch):
    """A machine without the Azure CLI is told where to get it."""
    monkeypatch.setattr(postdeploy.shutil, "which", lambda name: None)
    with pytest.raises(DeployError, match="not installed"):
        postdeploy.az(["account", "show"])


async def test_fetching(aiohttp_app):
    """An answer comes with its status and body, an error too, and silence as status 0."""
    import asyncio

    assert await asyncio.to_thread(postdeploy.fetch, f"{aiohttp_app}/well") == (200, "well")
    assert await asyncio.to_thread(postdeploy.fetch, f"{aiohttp_app}/ill") == (503, "ill")
    status, _ = await asyncio.to_thread(postdeploy.fetch, "http://127.0.0.1:9/")
    assert status == 0


@pytest.fixture
async def aiohttp_app():
    """A server that answers 200 and 503."""
    from aiohttp import web

    async def answer(request):
        name = request.path.strip("/")
        return web.Response(status={"well": 200}.get(name, 503), text=name)

    app = web.Application()
    app.router.add_get("/{name}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()
