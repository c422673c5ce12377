"""The walls between the rooms, held by reading the imports of every file.

The rules are the table ``ROOMS``; the rest finds imports (also those inside functions, under ``TYPE_CHECKING`` and in
``importlib.import_module("...")``) and compares.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FIRST_PARTY = ("function_app", "functions", "sandbox", "devhost", "bench", "tests", "dev")
CONTRACTS = ("functions.storage.ports", "functions.vendors.contract")
SHARED_BY_VENDORS = tuple(f"functions.vendors.{name}" for name in ("contract", "exchange", "proofs", "reading"))


@dataclass(frozen=True)
class Room:
    """What the modules of one room may import.

    Attributes:
        modules: pattern of their dotted names; the first room that fits is theirs.
        may: first-party packages they may import, beside their own room as ``own`` says.
        own: which of their fellows they may import: ``{room}`` is the text matched by the pattern.
        never: packages of others they may not import.
    """

    modules: str
    may: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


ROOMS = (
    Room(r"function_app", may=("functions.triggers",)),
    Room(
        r"functions\.triggers",
        may=("functions.__version__", "functions.app", "functions.gateway", *CONTRACTS),
        own=("{room}",),
    ),
    Room(r"functions\.gateway", may=CONTRACTS, own=("{room}",), never=("azure", "aiohttp", "opentelemetry")),
    Room(r"functions\.vendors\.contract", own=("{room}",)),
    Room(r"functions\.vendors\.registry", may=("functions.vendors",)),
    Room(r"functions\.vendors\.\w+", may=SHARED_BY_VENDORS, own=("{room}",)),
    Room(r"functions\.storage\.(ports|limits)", may=("functions.storage.ports",), own=("{room}",)),
    Room(r"functions\.storage\.\w+", may=("functions.storage.ports", "functions.storage.limits"), own=("{room}",)),
    Room(r"functions\.settings"),
    Room(
        r"functions\.telemetry",
        may=("functions.__version__", "functions.settings", "functions.gateway.telemetry"),
        own=("{room}",),
    ),
    Room(r"functions\.resolver", may=("functions.gateway.addresses",)),
    Room(r"functions\.outbound", may=("functions.resolver",)),
    Room(r"functions\.app", may=("functions",)),
    Room(r"functions(\.storage|\.vendors)?$"),
    Room(r"sandbox", own=("{room}",)),
    Room(r"devhost", may=("function_app", "functions", "sandbox"), own=("{room}",)),
)

VENDOR_NAME = re.compile(r"\b(acs|infobip|linkmobility|telesign|twilio|vibes)\b", re.IGNORECASE)
ADDRESS = re.compile(r"https?://\S+")
WITHOUT_VENDOR_NAMES = ("functions/gateway", "functions/triggers")
MAY_NAME_A_VENDOR = (
    "functions/triggers/acs_events.py",  # Event Grid delivers the events of one vendor, and nothing else has its form
    "functions/triggers/examples.py",  # what the OpenAPI document shows has to be true to life
)


def is_within(module: str, package: str) -> bool:
    """Tell whether a dotted name is a package or something in it."""
    return module == package or module.startswith(f"{package}.")


def modules_of(root: Path) -> dict[str, Path]:
    """List the modules that have a room, by dotted name."""
    files = [root / "function_app.py"]
    for package in ("functions", "sandbox", "devhost"):
        files += sorted((root / package).rglob("*.py"))
    named = {}
    for file in files:
        if file.exists():
            parts = file.relative_to(root).with_suffix("").parts
            named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return named


def used_of(nodes: list[ast.AST]) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of all that a file takes from the package ``functions`` after importing it whole."""
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "functions":
            yield node.lineno, f"functions.{node.attr}"


def imports_of(module: str, file: Path, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of everything that a module imports, wherever in the file."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    nodes = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from used_of(nodes) if alias.name == "functions" else [(node.lineno, alias.name)]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if inner in known or base == "functions" else base
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"import_module", "__import__"} and isinstance(node.args[0].value, str):
                yield node.lineno, node.args[0].value


def broken_walls(root: Path) -> list[str]:
    """List every import that goes the wrong way, as ``file:line imports module``."""
    known = modules_of(root)
    broken = []
    for module, file in known.items():
        where = file.relative_to(root).as_posix()
        found = ((room, re.match(room.modules + r"(?=\.|$)", module)) for room in ROOMS)
        room, match = next(((room, match) for room, match in found if match), (None, None))
        if room is None or match is None:
            broken.append(f"{where} belongs to no room")
            continue
        allowed = (*room.may, *(own.format(room=match[0]) for own in room.own))
        for line, imported in imports_of(module, file, known):
            ours = imported.partition(".")[0] in FIRST_PARTY
            wrong = ours and not any(is_within(imported, package) for package in allowed)
            if wrong or any(is_within(imported, package) for package in room.never):
                broken.append(f"{where}:{line} imports {imported}")
    return broken


def lines_of_examples(source: str) -> set[int]:
    """List the lines of ``examples=...``: what the OpenAPI document shows has to be true to life."""
    keywords = [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.keyword) and node.arg == "examples"
    ]
    return {line for keyword in keywords for line in range(keyword.lineno, (keyword.end_lineno or keyword.lineno) + 1)}


def vendor_names(root: Path) -> list[str]:
    """List every line that names a vendor in a room that must know none; an address of a vendor's page is none."""
    named = []
    for folder in WITHOUT_VENDOR_NAMES:
        for file in sorted((root / folder).rglob("*.py")):
            where, source = file.relative_to(root).as_posix(), file.read_text(encoding="utf-8")
            examples = lines_of_examples(source)
            if where not in MAY_NAME_A_VENDOR:
                lines = ((number, ADDRESS.sub("", line)) for number, line in enumerate(source.splitlines(), 1))
                found = (
                    (number, line) for number, line in lines if number not in examples and VENDOR_NAME.search(line)
                )
                named += [f"{where}:{number} {line.strip()}" for number, line in found]
    return named


def plant(root: Path, files: dict[str, str]) -> None:
    """Write a small tree with the rooms' packages and the given files."""
    rooms = ("triggers", "gateway", "vendors", "storage")
    empty = {f"functions/{room}/__init__.py": "" for room in rooms} | {
        "functions/vendors/contract.py": "",
        "functions/vendors/twilio.py": "",
        "functions/storage/ports.py": "",
        "functions/storage/azure/__init__.py": "",
    }
    for name, source in (empty | files).items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")


def test_every_import_of_the_project_goes_one_way():
    """No module imports across a wall."""
    assert broken_walls(ROOT) == []


def test_no_rule_knows_a_vendor_by_name():
    """Gateway and triggers name no vendor, in code or comment."""
    assert vendor_names(ROOT) == []


@pytest.mark.parametrize("room", ["functions.gateway", "functions.vendors", "functions.storage", "sandbox", "devhost"])
def test_every_room_is_looked_at(room):
    """The checker finds modules in each room, so that its silence means something."""
    looked_at = [module for module in modules_of(ROOT) if module.startswith(f"{room}.")]

    assert looked_at


ALLOWED = {
    "function_app.py": "import azure.functions\nfrom functions.triggers import messages\n",
    "functions/__init__.py": "",
    "functions/settings.py": "import os\n",
    "functions/app.py": "from functions import settings, storage\nfrom functions.vendors import twilio\n",
    "functions/triggers/messages.py": "from functions import __version__\nfrom functions.app import gateway\n",
    "functions/triggers/meta.py": "import functions\nversion = functions.__version__\n",
    "functions/gateway/send.py": "import asyncio\nfrom functions.storage.ports import Tables\nfrom . import accept\n",
    "functions/gateway/accept.py": "from functions.vendors.contract import State\nfrom ..storage import ports\n",
    "functions/vendors/registry.py": "import functions.vendors\nfrom functions.vendors import contract, twilio\n",
    "functions/vendors/vibes/__init__.py": "from functions.vendors import contract\nfrom . import codes\n",
    "functions/vendors/vibes/codes.py": "import aiohttp\n",
    "functions/storage/azure/tables.py": "import azure.data.tables\nfrom functions.storage.ports import Row\n",
    "sandbox/server.py": "from sandbox.vendors import twilio\n",
    "devhost/host.py": "import function_app\nfrom sandbox import server\nfrom functions import app\n",
}

FORBIDDEN = {
    "vendor in a trigger": ("functions/triggers/a.py", "from functions.vendors import twilio"),
    "vendor by way of the package": ("functions/triggers/a.py", "import functions\nfunctions.vendors.twilio.send()"),
    "store in a trigger": ("functions/triggers/a.py", "from functions.storage.azure import Tables"),
    "trigger in the gateway": ("functions/gateway/a.py", "from functions.triggers import messages"),
    "vendor in the gateway": ("functions/gateway/a.py", "import functions.vendors.twilio"),
    "registry in the gateway": ("functions/gateway/a.py", "from functions.vendors.registry import Registry"),
    "HTTP in the gateway": ("functions/gateway/a.py", "import aiohttp"),
    "Azure in the gateway": ("functions/gateway/a.py", "from azure.core import exceptions"),
    "composition root in the gateway": ("functions/gateway/a.py", "from functions.app import gateway"),
    "inside a function": ("functions/gateway/a.py", "def load():\n    from functions.vendors import twilio\n"),
    "for the type checker": (
        "functions/gateway/a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from functions.vendors.twilio import Twilio\n",
    ),
    "by a string": ("functions/gateway/a.py", "import importlib\nimportlib.import_module('functions.vendors.twilio')"),
    "relative": ("functions/gateway/a.py", "from ..vendors import twilio"),
    "vendor in a vendor": ("functions/vendors/vibes.py", "from functions.vendors import twilio"),
    "gateway in a vendor": ("functions/vendors/vibes.py", "from functions.gateway import send"),
    "vendor in the contract": ("functions/vendors/contract.py", "from functions.vendors import twilio"),
    "store in a store": ("functions/storage/embedded.py", "from functions.storage.azure import Tables"),
    "gateway in a store": ("functions/storage/azure/a.py", "from functions.gateway import send"),
    "store in the ports": ("functions/storage/ports.py", "from functions.storage.azure import Tables"),
    "sandbox in a function": ("functions/app.py", "import sandbox.server"),
    "devhost in a function": ("functions/vendors/vibes.py", "from devhost import host"),
    "function in the sandbox": ("sandbox/twilio.py", "from functions.vendors.contract import State"),
    "devhost in the sandbox": ("sandbox/twilio.py", "from devhost import host"),
    "gateway in the entry point": ("function_app.py", "from functions.gateway import send"),
    "work in a package's own file": ("functions/__init__.py", "from functions.gateway import send"),
    "gateway in the settings": ("functions/settings.py", "from functions.gateway import send"),
    "no room": ("functions/helpers.py", "import os"),
}


def test_the_directions_that_the_design_wants_pass(tmp_path):
    """Each import that the design allows is allowed."""
    plant(tmp_path, ALLOWED)

    assert broken_walls(tmp_path) == []


@pytest.mark.parametrize("case", FORBIDDEN)
def test_a_planted_violation_is_found(case, tmp_path):
    """One wrong import among right ones is named with its file, and nothing else is."""
    name, source = FORBIDDEN[case]
    plant(tmp_path, ALLOWED | {name: source})

    broken = broken_walls(tmp_path)

    assert len(broken) == 1
    assert broken[0].startswith(name)


@pytest.mark.parametrize("source", ["# as Twilio does\n", "kind = 'acs'\n", "def f(): 'Ask Vibes.'\n"])
def test_a_planted_vendor_name_is_found(source, tmp_path):
    """A vendor's name in a rule or a trigger is found, but not in the one file that may speak of it."""
    plant(tmp_path, {"functions/gateway/a.py": source, "functions/triggers/acs_events.py": source})

    assert [line.partition(":")[0] for line in vendor_names(tmp_path)] == ["functions/gateway/a.py"]


def test_an_address_and_an_example_may_name_a_vendor(tmp_path):
    """The source of a rule is cited by its address, and an example in the API's description is a real vendor."""
    source = '# https://www.twilio.com/docs/glossary\nvendor = Field(\n    examples=[\n        "twilio",\n    ]\n)\n'
    plant(tmp_path, {"functions/gateway/a.py": source})

    assert vendor_names(tmp_path) == []
