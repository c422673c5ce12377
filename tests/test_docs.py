"""The pages for people: their tables come from the code, their commands work, their links lead somewhere.

``python -m tests.test_docs`` writes the tables anew.
"""

import asyncio
import inspect
import json
import re
import shlex
import shutil
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import dev
import function_app  # noqa: F401 - registers the operations
from devhost.demo.__main__ import first_message
from devhost.keys import Keys
from devhost.settings import read_local_settings
from functions.app import DISPATCH_QUEUE, POISON_QUEUE, storage_from
from functions.gateway.models import RefusalCode
from functions.gateway.problems import Kind
from functions.gateway.states import FINAL
from functions.gateway.telemetry import METRICS
from functions.gateway.timing import Timing
from functions.settings import APP_SETTINGS, read_settings
from functions.triggers.api import OPERATIONS, STATUSES, TITLES
from functions.vendors.contract import CallbackUrls, Reason, State, Vendor, Wiring
from functions.vendors.registry import vendors
from infra import cost
from tests.infra.bicep import template

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "sandbox" / "README.md", *ROOT.glob("docs/**/*.md")])
GUIDE = ROOT / "docs" / "api.md"
SAMPLE = ROOT / "local.settings.sample.json"
HOST_RUNTIME = {"FUNCTIONS_WORKER_RUNTIME"}
"""What the sample has for the Functions host alone."""

REFUSALS = {
    RefusalCode.INVALID_RECIPIENT: "no phone number in E.164, or one that cannot exist",
    RefusalCode.INVALID_TEXT: "missing, empty, too long for the vendor, or with a character no phone can show",
    RefusalCode.INVALID_METADATA: "more than 2 KiB of JSON",
    RefusalCode.SENDER_NOT_ALLOWED: "a sender of a kind that does not reach the recipient's country",
}


# Tables -------------------------------------------------------------------------------------------------------------


def table(head, rows):
    """Return a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def explained(enum):
    """Return the members of an enum with the docstring behind each."""
    source = inspect.getsource(enum)
    return {member: re.search(rf'    {member.name} = [^\n]*\n    """(.*?)"""', source, re.DOTALL)[1] for member in enum}


def arguments_of(described):
    """Return what the docstring of a dataclass says of each of its fields."""
    text = re.sub(r"\n\s{8,}", " ", inspect.getdoc(described).partition("Args:\n")[2].replace("\n    ", "\n"))
    return dict(line.strip().split(": ", 1) for line in re.sub(r"\n {4,}", " ", text).splitlines() if ": " in line)


def seconds(value):
    """Return a duration in words; counts stay numbers."""
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return f"{value:g} s" if isinstance(value, float) else str(value)


def vendor_rows():
    """Tell of each vendor that exists."""
    for vendor in vendors().values():
        told = vendor.description
        kinds = ", ".join(rule.type.value.replace("_", " ") for rule in told.senders)
        calls = told.capabilities.recipients_per_call
        lost = "asked again with the same id" if told.capabilities.replay_window else ""
        lost = lost or ("read from the vendor's log" if told.capabilities.lookup else "stays unknown")
        yield [f"[{told.title}]({told.docs})", f"`{told.name}`", kinds, calls, lost]


def senders(told):
    """Return the sender types in words, with what is special about each."""
    return "; ".join(
        rule.type.value.replace("_", " ")
        + ("" if rule.two_way else " (one-way)")
        + (f" to {', '.join(rule.countries)} alone" if rule.countries else "")
        for rule in told.senders
    )


def after_a_lost_answer(able):
    """Return what the gateway does about a call that was not answered."""
    if able.replay_window:
        return f"sent again with the same id for {seconds(able.replay_window)}"
    return "read from the vendor's log" if able.lookup else "unknown until a report comes; never sent again"


def yes(value):
    """Return yes or no."""
    return "yes" if value else "no"


WIRING = Wiring(CallbackUrls("https://r", "https://i", "r", "i"))
MATRIX = {
    "senders": lambda vendor, able: senders(vendor.description),
    "recipients a call": lambda vendor, able: able.recipients_per_call,
    "texts a call": lambda vendor, able: "one" if able.one_text_per_call else "one a recipient",
    "calls at once": lambda vendor, able: able.calls_at_once,
    "held back to a rate": lambda vendor, able: yes(type(vendor).calls_per_second is not Vendor.calls_per_second),
    "longest text": lambda vendor, able: f"{able.max_text_length} characters",
    "texts it cannot carry": lambda vendor, able: yes(type(vendor).text_objection is not Vendor.text_objection),
    "validity period": lambda vendor, able: f"{able.validity[0]} to {able.validity[1]} s" if able.validity else "no",
    "delivery reports": lambda vendor, able: yes(able.reports),
    "replies": lambda vendor, able: yes(able.inbound),
    "a report finds its message by": lambda vendor, able: able.correlation,
    "after a lost answer": lambda vendor, able: after_a_lost_answer(able),
    "lost reports are asked for": lambda vendor, able: yes(able.status_query),
    "callbacks are proved by": lambda vendor, able: able.callback_authentication,
    "callback networks published": lambda vendor, able: yes(vendor.description.published_sources),
    "callbacks set up by API": lambda vendor, able: yes(able.subscribes),
    "text for the vendor's support": lambda vendor, able: yes(vendor.support(WIRING)),
}


def matrix():
    """Return vendor against capability."""
    every = list(vendors().values())
    rows = [
        [name, *(cell(vendor, vendor.description.capabilities) for vendor in every)] for name, cell in MATRIX.items()
    ]
    return table(["", *(f"`{vendor.description.name}`" for vendor in every)], rows)


def provider_settings():
    """Return the settings of a provider at each vendor."""
    for vendor in vendors().values():
        for one in vendor.description.settings:
            if one.secondary_of or one.generated:
                continue
            marks = [word for word, holds in (("required", one.required), ("secret", one.secret)) if holds]
            yield [f"`{vendor.description.name}`", f"`{one.name}`", ", ".join(marks), one.help]


def deployment_parameters():
    """Return the parameters of the template."""
    for name, (described, has_default, value) in template("main.bicep").parameters.items():
        shown = str(value).lower() if isinstance(value, bool) else value
        yield [f"`{name}`", f"`{shown}`" if has_default and value not in ("", {}) else "", described]


TABLES = {
    "deployment parameters": lambda: table(["parameter", "if not set", "what"], deployment_parameters()),
    "cost": lambda: table(
        [
            "messages come",
            "a month",
            "functions",
            "storage",
            "telemetry",
            "in all",
            "a thousand messages",
            "Event Grid, `acs` only",
        ],
        cost.volume_rows(),
    ),
    "cost of standing": lambda: table(["what", "US dollars"], cost.standing_rows()),
    "cost of a message": lambda: table(
        ["messages come", "requests to tables", "to queues", "HTTP functions", "other functions", "bytes kept"],
        cost.use_rows(),
    ),
    "prices": lambda: table(["price of", "US dollars", "a", "free a month", "source"], cost.price_rows()),
    "vendor matrix": matrix,
    "provider settings": lambda: table(["vendor", "setting", "", "what"], provider_settings()),
    "vendors": lambda: table(
        ["vendor", "in the API", "senders", "recipients a call", "after a lost answer"], vendor_rows()
    ),
    "app settings": lambda: table(
        ["setting", "if not set", "what"],
        [[f"`{one.name}`", f"`{one.default}`" if one.default is not None else "", one.help] for one in APP_SETTINGS],
    ),
    "states": lambda: table(
        ["state", "means", "final"],
        [[f"`{state}`", text, "yes" if state in FINAL else "no"] for state, text in explained(State).items()],
    ),
    "reasons": lambda: table(
        ["reason", "means"], [[f"`{reason}`", text] for reason, text in explained(Reason).items()]
    ),
    "problems": lambda: table(
        ["status", "`type` ends in", "title"],
        [[STATUSES[kind], f"`{kind}`", TITLES[kind]] for kind in sorted(Kind, key=lambda kind: (STATUSES[kind], kind))],
    ),
    "refusal codes": lambda: table(["code", "when"], [[f"`{code}`", REFUSALS[code]] for code in RefusalCode]),
    "callback authentication": lambda: table(
        ["vendor", "how a callback proves itself"],
        [
            [vendor.description.title, vendor.description.capabilities.callback_authentication]
            for vendor in vendors().values()
        ],
    ),
    "metrics": lambda: table(
        ["name", "is a", "in", "by", "what"],
        [
            [f"`{one.name}`", one.instrument, one.unit, " ".join(f"`{name}`" for name in one.attributes), one.help]
            for one in METRICS
        ],
    ),
    "timing": lambda: table(
        ["wait", "is", "what for"],
        [[f"`{field.name}`", seconds(field.default), arguments_of(Timing)[field.name]] for field in fields(Timing)],
    ),
}
MARKED = re.compile(r"<!-- table: (?P<name>[^>]+?) -->\n(?P<text>.*?)<!-- end -->", re.DOTALL)


def renewed(text):
    """Return a page with all its tables written anew."""
    return MARKED.sub(lambda found: f"<!-- table: {found['name']} -->\n{TABLES[found['name']]()}\n<!-- end -->", text)


@pytest.mark.parametrize("name", TABLES)
def test_tables_say_what_the_code_says(name):
    """Each table that comes from the code stands in one page as the code has it now."""
    found = [
        mark["text"].strip() for page in PAGES for mark in MARKED.finditer(page.read_text()) if mark["name"] == name
    ]
    assert found == [TABLES[name]()], "python -m tests.test_docs writes the tables anew"


@pytest.mark.parametrize("enum", [State, Reason])
def test_each_word_has_its_own_meaning(enum):
    """No two states and no two reasons are explained by the same words."""
    meanings = list(explained(enum).values())
    assert len(set(meanings)) == len(enum)


def cells(page, heading):
    """Return the rows of the first table behind a heading, without their code marks."""
    lines = page.read_text().partition(heading)[2].splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def leaves(document, path=""):
    """Return the values of a JSON document by dotted path."""
    if isinstance(document, dict):
        return {name: value for key in document for name, value in leaves(document[key], f"{path}.{key}").items()}
    return {path.lstrip("."): document}


def test_every_value_of_host_json_has_a_reason():
    """The page explains each value of host.json, as it is, and none that is not there."""
    rows = cells(ROOT / "docs" / "settings.md", "## host.json")
    assert {row[0]: row[1] for row in rows} == {
        f"`{name}`": f"`{value}`" for name, value in leaves(json.loads((ROOT / "host.json").read_text())).items()
    }
    assert all(len(row[2]) > 10 for row in rows)


def test_every_table_of_the_store_is_described():
    """The page on architecture names each table and queue that the code uses, and no other."""
    used = {
        found[1]
        for file in (ROOT / "functions" / "gateway").glob("*.py")
        for found in re.finditer(r'^\w*TABLE = "(\w+)"', file.read_text(), re.MULTILINE)
    }
    page = ROOT / "docs" / "architecture.md"
    assert {row[0].strip("`") for row in cells(page, "## Data")} == used
    assert f"`{DISPATCH_QUEUE}`" in page.read_text()
    assert f"`{POISON_QUEUE}`" in page.read_text()


def test_every_word_of_the_time_line_is_described():
    """The guide explains each word that a time line can say, and no other."""
    story = (ROOT / "functions" / "gateway" / "story.py").read_text()
    said = set(re.findall(r'what="(\w+)"', story)) | set(re.findall(r'what = "(\w+)" if .* else "(\w+)"', story)[0])
    assert {row[0].strip("`") for row in cells(GUIDE, "### The time line")} == said


# Settings -----------------------------------------------------------------------------------------------------------


def test_the_sample_has_every_setting_and_is_usable(tmp_path):
    """The sample names every app setting, the gateway takes it as it is, and opens the storage it names."""
    values, port = read_local_settings(SAMPLE)
    assert set(values) - HOST_RUNTIME == {setting.name for setting in APP_SETTINGS}
    settings = read_settings(values | {"SMS_EMBEDDED_PATH": str(tmp_path / "secrets.db")})
    assert settings.public_url == f"http://127.0.0.1:{port}"
    assert settings.allow_local_vendors

    async def open_and_close():
        storage = storage_from(settings)
        await storage.close()

    asyncio.run(open_and_close())
    assert (tmp_path / "secrets.db").exists()


# Links and commands -------------------------------------------------------------------------------------------------


def slug(heading):
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page):
    """Every relative link names a file or folder that is there, and every anchor a heading in it."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if urlsplit(target).scheme:
            assert target.startswith("https://"), target
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        assert file.is_relative_to(ROOT)
        if anchor:
            headings = {slug(found) for found in re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)}
            assert anchor in headings, f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_pages_speak_of_are_there(page):
    """Every path in code marks that begins with one of our folders exists, but for the vendor that is made up."""
    for path in re.findall(r"`((?:functions|sandbox|tests|devhost|docs)/[\w./-]+)`", page.read_text()):
        assert "example" in path or (ROOT / path).exists(), f"{page.name} speaks of {path}"


def test_commands_exist():
    """Every command of dev.py that a page names is one, and every option of `run` is in its help."""
    named = [
        found.split()
        for page in PAGES
        for found in re.findall(r"python3 dev\.py ([a-z]+(?: [\w./-]+)*)", page.read_text())
    ]
    assert named
    options = (ROOT / "devhost" / "demo" / "__main__.py").read_text()
    for command, *rest in named:
        assert command in dev.COMMANDS
        for word in rest:
            if command == "run":
                assert f'"{word}"' in options
            if command == "test":
                assert (ROOT / word).exists(), word


def curls(page):
    """Return the curl commands of a page as lists of words."""
    for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("curl "):
                yield shlex.split(line)


def operation_of(words):
    """Return the operation that a curl command calls, and the body it sends."""
    url = next(word for word in words if "/api/" in word)
    body = words[words.index("-d") + 1] if "-d" in words else None
    method = words[words.index("-X") + 1] if "-X" in words else ("POST" if body else "GET")
    route = urlsplit(url).path.removeprefix("/api/")
    for one in OPERATIONS:
        if one.method == method and re.fullmatch(re.sub(r"{\w+}", "[^/]+", one.route), route):
            return one, body
    raise AssertionError(f"no operation fits {method} {route}")


def test_curls_of_the_readme_fit_the_api():
    """Each curl of the README calls an operation that exists, with the body that the demo prints too."""
    found = [operation_of(words) for words in curls(ROOT / "README.md")]
    (sending, body), (listing, nothing) = found
    assert (sending.name, listing.name, nothing) == ("send_messages", "list_messages", None)
    sending.body.model_validate_json(body)
    assert json.loads(body) == first_message()


@pytest.mark.skipif(
    not (shutil.which("bash") and shutil.which("curl")), reason="needs bash and curl, as the guide does"
)
async def test_the_guide_works_from_beginning_to_end(gateway, sandbox, tmp_path):
    """The guide's commands, run as they stand one after another, end with every message of theirs delivered."""
    kept = tmp_path / ".data" / "demo" / "keys.json"
    Keys(gateway.keys.master, gateway.keys.host, gateway.keys.functions, gateway.keys.system, kept).save()
    script = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    for there, here in {
        "http://127.0.0.1:7071": gateway.url,
        "http://127.0.0.1:7072": sandbox.base_url,
        "sleep 2": "sleep 0.5",
    }.items():
        assert there in script
        script = script.replace(there, here)
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-euo",
        "pipefail",
        "-c",
        script,
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await asyncio.wait_for(process.communicate(), 30)
    assert (process.returncode, errors.decode()) == (0, ""), said.decode()
    assert '"ok":false' not in said.decode()
    assert '"status":"delivered"' in said.decode()
    async with asyncio.timeout(10):
        while {"queued", "sent"} & {item["status"] for item in (await gateway.call("GET", "/messages")).body["items"]}:
            await asyncio.sleep(0.05)
    listed = (await gateway.call("GET", "/messages")).body["items"]
    assert sorted((item["to"], item["status"]) for item in listed) == [
        ("+14255550123", "delivered"),
        ("+14255550123", "delivered"),
        ("+14255550125", "delivered"),
        ("+14255550126", "delivered"),
        ("+14255550160", "undelivered"),
    ]


# Adding a vendor ----------------------------------------------------------------------------------------------------


def test_every_vendor_has_the_files_that_the_guide_names():
    """Each vendor has the parts that the page on adding one lists, so a newcomer can look at two whole examples."""
    rows = cells(ROOT / "docs" / "adding-a-vendor.md", "# Adding a vendor")
    places = [row[0].strip("`") for row in rows]
    assert len(places) == 3
    for name in vendors():
        for place in places:
            path = ROOT / place.replace("example", name)
            assert any(form.exists() for form in (path, path.with_suffix(".py"), path.with_suffix(""))), path


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(renewed(page.read_text()))
