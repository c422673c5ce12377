"""Loading the app does no work, and an app that is configured wrongly says which setting it is."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from devhost.host import DevHost
from devhost.keys import Keys
from devhost.running import ROOT
from devhost.settings import read_host_json
from functions import app as composition
from functions.settings import APP_SETTINGS, SettingsError, read_settings

WATCH = """
import json, os, sys
seen = []
def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or not str(path).endswith((".py", ".pyc", ".so", ".pyd", ".zip", "entry_points.txt")):
            seen.append(["open", str(path), str(mode)])
    elif event.split(".")[0] in {"socket", "sqlite3", "subprocess", "shutil", "tempfile", "ctypes", "webbrowser"}:
        seen.append([event, repr(arguments)])
    elif event in {"os.mkdir", "os.remove", "os.rename", "os.system", "os.exec", "os.fork", "os.posix_spawn"}:
        seen.append([event, repr(arguments)])
CODE
before = set(sys.modules)
sys.addaudithook(hook)
import threading
import function_app
REPORT
"""
REPORT = """
read = [name for name in os.environ if name.startswith(("SMS_", "Azure"))]
print(json.dumps({"seen": seen, "modules": sorted(sys.modules), "threads": threading.active_count(), "set": read}))
"""


def imported(code="", environment=None):
    """Import the app in a fresh interpreter without any environment and return what that did."""
    script = WATCH.replace("CODE", code).replace("REPORT", REPORT)
    command = [sys.executable, "-B", "-c", script]
    done = subprocess.run(
        command, cwd=ROOT, env=environment or {}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_does_nothing():
    """Importing the app needs no environment, opens no file but source code, no connection, and starts no thread."""
    found = imported()
    assert found["set"] == []
    assert found["seen"] == []
    assert found["threads"] == 1


def test_importing_is_quick_work():
    """Importing the app leaves the libraries that only a vendor call or a store needs for when they are needed."""
    slow = ("aiohttp", "azure.core", "azure.data", "azure.storage", "azure.identity", "azure.keyvault", "sqlite3")
    modules = imported()["modules"]
    assert "functions.triggers.messages" in modules
    assert [name for name in modules if name.startswith((*slow, "azure.communication", "twilio"))] == []


def test_the_watch_sees_work():
    """The watch of the tests above sees a file that is read or written, a database and a connection."""
    code = """
import pathlib, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "function_app":
            import socket, sqlite3
            pathlib.Path("host.json").read_text()
            open(os.devnull, "w").close()
            sqlite3.connect(":memory:").close()
            socket.socket().close()
sys.meta_path.insert(0, Finder())
"""
    seen = {tuple(event[:2]) for event in imported(code)["seen"]}
    assert ("open", "host.json") in seen
    assert ("open", "/dev/null") in seen or any(kind == "open" and "null" in path.lower() for kind, path in seen)
    assert {"sqlite3.connect", "socket.__new__"} <= {kind for kind, _ in seen}


GOOD = {"SMS_PUBLIC_URL": "https://sms.example.com", "SMS_STORAGE": "embedded"}
ON_AZURE = {
    "SMS_PUBLIC_URL": "https://sms.example.com",
    "SMS_KEY_VAULT_URL": "https://contoso.vault.azure.net",
    "AzureWebJobsStorage__accountName": "contoso",
}
BY_KEY = "DefaultEndpointsProtocol=https;AccountName=contoso;AccountKey=Y2FuYXJ5;EndpointSuffix=core.windows.net"
WRONG = {
    "nothing at all": ({}, "SMS_PUBLIC_URL"),
    "no public address": (GOOD | {"SMS_PUBLIC_URL": " "}, "SMS_PUBLIC_URL"),
    "public address without scheme": (GOOD | {"SMS_PUBLIC_URL": "sms.example.com"}, "SMS_PUBLIC_URL"),
    "public address with a path": (GOOD | {"SMS_PUBLIC_URL": "https://sms.example.com/api"}, "SMS_PUBLIC_URL"),
    "public address with a query": (GOOD | {"SMS_PUBLIC_URL": "https://sms.example.com?x=1"}, "SMS_PUBLIC_URL"),
    "public address with a fragment": (GOOD | {"SMS_PUBLIC_URL": "https://sms.example.com#x"}, "SMS_PUBLIC_URL"),
    "public address with a password": (GOOD | {"SMS_PUBLIC_URL": "https://a:b@sms.example.com"}, "SMS_PUBLIC_URL"),
    "public address with a broken host": (GOOD | {"SMS_PUBLIC_URL": "https://[::1"}, "SMS_PUBLIC_URL"),
    "public address with a broken port": (GOOD | {"SMS_PUBLIC_URL": "https://sms.example.com:x"}, "SMS_PUBLIC_URL"),
    "public address with a line break": (GOOD | {"SMS_PUBLIC_URL": "https://sms\n.example.com"}, "SMS_PUBLIC_URL"),
    "unknown storage": (GOOD | {"SMS_STORAGE": "sqlite"}, "SMS_STORAGE"),
    "unknown secrets": (GOOD | {"SMS_SECRETS": "file"}, "SMS_SECRETS"),
    "no storage account": (ON_AZURE | {"AzureWebJobsStorage__accountName": ""}, "AzureWebJobsStorage"),
    "half a storage account": (
        ON_AZURE
        | {"AzureWebJobsStorage__accountName": "", "AzureWebJobsStorage__tableServiceUri": "https://t.example.com"},
        "AzureWebJobsStorage",
    ),
    "no vault on Azure": (ON_AZURE | {"SMS_KEY_VAULT_URL": ""}, "SMS_KEY_VAULT_URL"),
    "vault without a vault": (GOOD | {"SMS_SECRETS": "azure"}, "SMS_KEY_VAULT_URL"),
    "timeout is no number": (GOOD | {"SMS_VENDOR_TIMEOUT_SECONDS": "soon"}, "SMS_VENDOR_TIMEOUT_SECONDS"),
    "timeout is not a number": (GOOD | {"SMS_VENDOR_TIMEOUT_SECONDS": "nan"}, "SMS_VENDOR_TIMEOUT_SECONDS"),
    "no timeout": (GOOD | {"SMS_VENDOR_TIMEOUT_SECONDS": "0"}, "SMS_VENDOR_TIMEOUT_SECONDS"),
    "timeout over the lease": (GOOD | {"SMS_VENDOR_TIMEOUT_SECONDS": "61"}, "SMS_VENDOR_TIMEOUT_SECONDS"),
    "endless window": (GOOD | {"SMS_REPORT_WINDOW_HOURS": "10000"}, "SMS_REPORT_WINDOW_HOURS"),
    "messages kept for no days": (GOOD | {"SMS_KEEP_MESSAGES_DAYS": "0"}, "SMS_KEEP_MESSAGES_DAYS"),
    "messages kept for half a day": (GOOD | {"SMS_KEEP_MESSAGES_DAYS": "0.5"}, "SMS_KEEP_MESSAGES_DAYS"),
    "messages kept for centuries": (GOOD | {"SMS_KEEP_MESSAGES_DAYS": "99999"}, "SMS_KEEP_MESSAGES_DAYS"),
    "messages kept for less than their reports": (GOOD | {"SMS_KEEP_MESSAGES_DAYS": "5"}, "SMS_KEEP_MESSAGES_DAYS"),
    "replies kept for ever and a day": (GOOD | {"SMS_KEEP_INBOUND_DAYS": "always"}, "SMS_KEEP_INBOUND_DAYS"),
    "raw payloads kept for minus one": (GOOD | {"SMS_KEEP_RAW_DAYS": "-1"}, "SMS_KEEP_RAW_DAYS"),
    "raw payloads kept for other digits": (GOOD | {"SMS_KEEP_RAW_DAYS": "\u0663\u0660"}, "SMS_KEEP_RAW_DAYS"),
    "a key that is no connection string": (
        ON_AZURE | {"AzureWebJobsStorage__accountName": "", "AzureWebJobsStorage": "canary=="},
        "AzureWebJobsStorage",
    ),
    "both key and identity": (ON_AZURE | {"AzureWebJobsStorage": BY_KEY}, "AzureWebJobsStorage"),
    "account as an address": (
        ON_AZURE | {"AzureWebJobsStorage__accountName": "contoso.table.core.windows.net"},
        "AzureWebJobsStorage__accountName",
    ),
    "table address without scheme": (
        ON_AZURE | {"AzureWebJobsStorage__tableServiceUri": "t.example.com"},
        "AzureWebJobsStorage__tableServiceUri",
    ),
    "queue address with a signature": (
        ON_AZURE | {"AzureWebJobsStorage__queueServiceUri": "https://q.example.com?sig=canary"},
        "AzureWebJobsStorage__queueServiceUri",
    ),
    "vault by name": (ON_AZURE | {"SMS_KEY_VAULT_URL": "contoso"}, "SMS_KEY_VAULT_URL"),
    "vault beside a file of secrets": (
        GOOD | {"SMS_KEY_VAULT_URL": "https://contoso.vault.azure.net"},
        "SMS_KEY_VAULT_URL",
    ),
    "file of secrets on Azure": (ON_AZURE | {"SMS_SECRETS": "embedded", "SMS_KEY_VAULT_URL": ""}, "SMS_SECRETS"),
    "neither true nor false": (GOOD | {"SMS_ALLOW_LOCAL_VENDORS": "yes"}, "SMS_ALLOW_LOCAL_VENDORS"),
}


@pytest.mark.parametrize("why", list(WRONG))
def test_wrong_settings_are_named(why):
    """A setting that is missing, wrong or contradicts another is named in one line that says what would be right."""
    environment, name = WRONG[why]
    with pytest.raises(SettingsError) as caught:
        read_settings(environment)
    text = str(caught.value)
    assert text.startswith(f"{name} is ")
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 200
    assert "canary" not in text
    assert "Y2FuYXJ5" not in text


@pytest.mark.parametrize(
    ("value", "days"), [("1", 1), ("30", 30), ("3650", 3650), ("forever", None), ("Forever", None), ("", 30)]
)
def test_how_long_something_is_kept(value, days):
    """A number of days, or the word forever; nothing means the default."""
    kept = read_settings(GOOD | {"SMS_KEEP_RAW_DAYS": value}).keep_raw
    assert kept == (None if days is None else timedelta(days=days))


@pytest.mark.parametrize(
    "key",
    [
        BY_KEY,
        "UseDevelopmentStorage=true",
        "TableEndpoint=https://a.example.com;QueueEndpoint=https://b.example.com;SharedAccessSignature=sv=1&sig=x",
    ],
)
def test_connection_strings_that_are_taken(key):
    """A storage account may be named by key, by signature, or as the emulator."""
    without = ON_AZURE | {"AzureWebJobsStorage__accountName": "", "AzureWebJobsStorage": key}
    assert read_settings(without).connection_string == key


@pytest.mark.parametrize("environment", [GOOD, ON_AZURE])
def test_good_settings(environment):
    """The least settings of a laptop and of Azure are enough, and a slash behind the public address does not matter."""
    settings = read_settings(environment)
    assert settings.public_url == "https://sms.example.com"
    assert settings.secrets == settings.storage
    assert settings.allow_local_vendors is False
    assert read_settings(environment | {"SMS_PUBLIC_URL": "https://sms.example.com/"}) == settings


def test_every_setting_is_explained_and_no_other_is_read():
    """Each setting the app reads is declared with a sentence, and each that is declared is read."""
    source = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "functions").rglob("*.py"))
    read = set(re.findall(r'text\("(\w+)"\)', source))
    assert read == {setting.name for setting in APP_SETTINGS}
    assert all(setting.help.endswith(".") for setting in APP_SETTINGS)
    environment_readers = [
        file.name
        for file in (ROOT / "functions").rglob("*.py")
        if re.search(r"os\.environ|getenv", file.read_text(encoding="utf-8"))
    ]
    assert environment_readers == ["app.py"]


@pytest.mark.parametrize("mark", ["FUNCTIONS_WORKER_RUNTIME", "WEBSITE_SITE_NAME"])
def test_a_host_cannot_start_an_app_that_is_configured_wrongly(mark):
    """In a Functions host the import fails with one line that names the setting; with good settings it does not."""
    command = [sys.executable, "-B", "-c", "import function_app"]
    told = {mark: "python"} | GOOD | {"SMS_KEEP_RAW_DAYS": "0"}
    done = subprocess.run(command, cwd=ROOT, env=told, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("functions.settings.SettingsError: SMS_KEEP_RAW_DAYS is '0'; it must be")
    assert imported(environment={mark: "python"} | GOOD)["threads"] == 1


async def test_an_app_that_is_configured_wrongly(storage, monkeypatch, caplog, documented):
    """The app answers 500 without a word and logs one line that names the setting, once it is asked for anything."""
    import aiohttp

    import function_app

    documented.excused.add(500)
    for name in [setting.name for setting in APP_SETTINGS]:
        monkeypatch.delenv(name, raising=False)
    composition.install(None)
    host = DevHost(
        function_app.app,
        host_json=read_host_json(ROOT),
        settings={},
        queues=storage.queues,
        keys=Keys.fresh(),
        port=0,
    )
    async with host, aiohttp.ClientSession() as session:
        with caplog.at_level(logging.DEBUG, "sms"):
            async with session.get(f"{host.url}/api/health") as response:
                assert response.status == 500
                assert "SMS_" not in await response.text()
    (line,) = [text for record in caplog.records if "SMS_" in (text := record.getMessage())]
    assert line.startswith("SMS_PUBLIC_URL is missing")
    assert "\n" not in line


async def test_the_app_builds_itself_from_the_environment(tmp_path, monkeypatch, documented):
    """With the least settings the app opens its store on the first request, and not before."""
    import aiohttp

    import function_app

    file = Path(tmp_path) / "own" / "gateway.db"
    for name, value in (GOOD | {"SMS_EMBEDDED_PATH": str(file)}).items():
        monkeypatch.setenv(name, value)
    composition.install(None)
    from functions.storage.embedded import open_embedded

    other = open_embedded(tmp_path / "host.db")
    host = DevHost(
        function_app.app, host_json=read_host_json(ROOT), settings={}, queues=other.queues, keys=Keys.fresh(), port=0
    )
    try:
        async with host, aiohttp.ClientSession() as session:
            assert not file.exists()
            async with session.get(f"{host.url}/api/health") as response:
                assert response.status == 200
            assert file.exists()
            made = composition.application()
            assert composition.application() is made
    finally:
        await composition.open_storage().close()
        await composition.application().close()
        composition.install(None)
        await other.close()
