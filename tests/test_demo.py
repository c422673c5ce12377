"""The demo: what it shows has to be so, and it has to say so when something is not."""

import io
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from devhost.demo.__main__ import main
from devhost.demo.clients import Api, People, UnexpectedAnswerError
from devhost.demo.folder import Folder, FolderError
from devhost.demo.screen import Screen
from devhost.demo.setting_up import SettingUp
from devhost.demo.story import Deadline, Story
from functions.vendors.registry import vendors
from sandbox.kit import kits

ROOT = Path(__file__).resolve().parent.parent
DEMO = [sys.executable, "-m", "devhost.demo"]
PATIENCE = 60.0


@pytest.fixture
def ports():
    """Two ports that are free just now."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        found = [held.getsockname()[1] for held in (one, other)]
    return ["--port", str(found[0]), "--sandbox-port", str(found[1])]


def run(*arguments):
    """Run the demo to its end."""
    return subprocess.run(
        [*DEMO, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@contextmanager
def started(*arguments):
    """Start the demo and leave it alone."""
    command = [*DEMO, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        try:
            yield demo
        finally:
            demo.kill()


def read_until(demo, words):
    """Read what the demo says up to a line that contains the words."""
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError("".join(lines) + demo.stderr.read())


def provider_ids(output):
    """Return the ids of the providers that a run made or found again."""
    return re.findall(r"(?:made as a draft|found again): (\w+)", output)


def fetched(url, **request):
    """Return the text at an address of this machine."""
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(urllib.request.Request(url, **request)) as answer:  # noqa: S310 - checked just above
        return answer.read().decode()


def answer_to(curl):
    """Do what a pasted curl command would do, and return the answer's text."""
    words = shlex.split(curl.replace("\\\n", " "))
    assert words[0] == "curl"
    url, headers, body = words[1], {}, None
    for option, value in zip(words[2::2], words[3::2], strict=True):
        if option == "-H":
            name, _, text = value.partition(": ")
            headers[name] = text
        else:
            assert option == "-d"
            body = value.encode()
    return fetched(url, data=body, headers=headers)


def test_it_stays_up_and_ends_cleanly(tmp_path, ports):
    """Everything arrives; what it prints can be pasted and opened; Ctrl-C ends it without a word of Python."""
    with started("--data", tmp_path, *ports) as demo:
        said = read_until(demo, "/messages?limit=1")
        assert "FAILED" not in said
        assert "\x1b" not in said
        send, look = re.findall(r"^curl .*?[^\\]\n", said, re.MULTILINE | re.DOTALL)
        assert '"accepted":1' in answer_to(send)
        assert "Hello from the gateway" not in answer_to(look)
        assert '"to":"+14255550123"' in answer_to(look)
        for address in re.findall(r"(?:API docs|OpenAPI|sandbox) +(http\S+)", said):
            assert fetched(address)
        demo.send_signal(signal.SIGINT)
        rest, errors = demo.communicate(timeout=PATIENCE)
        assert (demo.returncode, errors) == (0, "")
        assert rest.strip() == "Stopping."


def test_killed_in_the_middle_it_goes_on(tmp_path, ports):
    """After kill -9 the next run uses the same providers, sees the interrupted messages through, and ends well."""
    own, foreign = tmp_path / "keys.json", tmp_path / "letter.txt"
    own.write_text("nonsense")
    foreign.write_text("keep me")
    with started("--once", "--fresh", "--data", tmp_path, *ports) as demo:
        said = read_until(demo, "20 sent")
        demo.kill()
    again = run("--once", "--data", tmp_path, *ports)
    assert again.returncode == 0, again.stdout + again.stderr
    assert provider_ids(said) == provider_ids(again.stdout)[:1]
    (left,) = re.findall(r"(\d+) messages of an earlier run are still under way", again.stdout)
    assert f"earlier    {left} delivered" in again.stdout
    assert again.stdout.count("32 to be sent, 32 really sent") == len(kits())
    assert again.stdout.count("rejected, because: opted_out") == len(kits())
    assert again.stderr == ""
    assert foreign.read_text() == "keep me"


def test_what_does_not_arrive_in_time_is_a_failure(tmp_path, ports):
    """With no time to wait --once ends with 1 and says of which message it does not know that it arrived."""
    done = run("--once", "--deadline", "0", "--data", tmp_path, *ports)
    assert done.returncode == 1
    assert re.search(r"FAILED +twilio, one: 1 of 1 not delivered: \S+ is queued", done.stdout)
    assert "none was sent twice" not in done.stdout


def test_a_port_in_use_is_one_line(tmp_path, ports):
    """A port in use ends it with 2 and one line that names the port, before --fresh deletes anything."""
    store = Folder(tmp_path).store
    store.write_text("old")
    with socket.create_server(("127.0.0.1", int(ports[3]))):
        done = run("--once", "--fresh", "--data", tmp_path, *ports)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"Port {ports[3]} is in use; choose another with --port or --sandbox-port.\n"
    assert store.read_text() == "old"


def test_two_demos_do_not_share_a_folder(tmp_path, ports):
    """A second demo over the same data ends with 2 and one line."""
    with Folder(tmp_path).alone():
        done = run("--once", "--fresh", "--data", tmp_path, *ports)
    assert done.returncode == 2
    assert done.stderr == f"Another demo uses {tmp_path}; stop it, or choose another folder with --data.\n"


def test_keys_that_cannot_be_read_are_one_line(tmp_path, ports):
    """A damaged key file ends it with 2 and says what to do."""
    Folder(tmp_path).keys.write_text("nonsense")
    done = run("--once", "--data", tmp_path, *ports)
    assert done.returncode == 2
    assert "delete it and new ones are made" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("wrong", ["70000", "-1", "http"])
def test_a_port_is_a_number_in_range(wrong, capsys):
    """What is no port is refused with a sentence."""
    with pytest.raises(SystemExit, match="2"):
        main([f"--port={wrong}"])
    assert f"{wrong!r} is no port; give a number from 0 to 65535" in capsys.readouterr().err


async def told(gateway, sandbox, kit, *, patience=20.0):
    """Set one vendor up, tell its story, and return it."""
    api = Api(gateway.session, f"{gateway.url}/api", gateway.keys.host["default"])
    people, screen = People(gateway.session, sandbox.base_url), Screen(io.StringIO(), {})
    await SettingUp(api, people, screen, gateway.keys.master, gateway.events_url).set_up(kit, kit.vendor)
    story = Story(kit, api, people, screen, "1A2B3C", Deadline(60.0, patience))
    await story.tell()
    return story


async def set_faults(gateway, sandbox, vendor, **faults):
    """Let something go wrong at a simulated vendor."""
    async with gateway.session.put(f"{sandbox.base_url}/sandbox/{vendor}/faults", json=faults) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("kit", kits().values(), ids=kits())
async def test_the_story_is_true_and_tells_what_the_vendor_did_otherwise(gateway, sandbox, kit):
    """All is well as long as the vendor sent what it was asked to; a text too many or too few is named."""
    story = await told(gateway, sandbox, kit)
    assert story.failures == []
    story._to_be_sent[kit.person(123), "Order 1A2B3C: never handed in"] += 1
    await story._compare(0)
    assert story.failures == [
        f"{kit.vendor}, ledger: never sent: 1 x 'Order 1A2B3C: never handed in' to {kit.person(123)}"
    ]
    story.failures.clear()
    story._to_be_sent.clear()
    await story._compare(0)
    assert [failure.partition("often: ")[0] for failure in story.failures] == [f"{kit.vendor}, ledger: sent too "]


@pytest.mark.parametrize("kit", kits().values(), ids=kits())
async def test_lost_reports_are_failures(gateway, sandbox, kit):
    """A vendor whose reports are lost leaves every group of messages named as not delivered."""
    await set_faults(gateway, sandbox, kit.vendor, callback_drop=1.0)
    story = await told(gateway, sandbox, kit, patience=0.4)
    said = "\n".join(story.failures)
    for subject in ("one: 1 of 1", "bulk: 20 of 20", "personal: 10 of 10"):
        assert f"{kit.vendor}, {subject} not delivered" in said
    assert "handset: 1 of 1 not undelivered" in said


async def test_replies_that_do_not_come_back_are_failures(gateway, sandbox):
    """A number whose webhook is not set loses the reply and the STOP, and both are named."""
    kit = kits()["twilio"]
    nowhere = "http://127.0.0.1:9/inbound"
    deaf = replace(kit, wiring=lambda customer, given: kit.wiring(customer, replace(given, inbound=nowhere)))
    story = await told(gateway, sandbox, deaf, patience=1.5)
    said = "\n".join(story.failures)
    assert "reply: received 0 times instead of once" in said
    assert "stop: +14255550124 is not on the opt-out list" in said
    # Nobody told the gateway of the STOP, so this time the vendor itself refuses, after it was asked to send.
    assert "blocked" not in said


@pytest.mark.parametrize("kit", kits().values(), ids=kits())
async def test_wrong_credentials_end_the_story(gateway, sandbox, kit):
    """An account that the vendor does not know ends the set-up at the credential check."""
    with pytest.raises(UnexpectedAnswerError, match="the credentials are refused"):
        await told(gateway, sandbox, replace(kit, account=lambda _customer: []))


def test_every_vendor_can_be_shown():
    """There is a kit for every vendor of the gateway, and none for another."""
    assert set(kits()) == set(vendors())


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("out", "environment", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
    ids=["terminal", "NO_COLOR", "dumb", "pipe"],
)
def test_colours_are_for_terminals(out, environment, coloured):
    """Colours appear on a terminal only, and not where the user does not want them."""
    screen = Screen(out, environment, clock=lambda: 1.0)
    screen.heading("Twilio")
    screen.step("one", "delivered")
    assert ("\x1b" in out.getvalue()) is coloured
    assert "   0.0 s  one        " in out.getvalue()


def test_clearing_leaves_what_is_not_the_demo_s(tmp_path):
    """Every file that the demo keeps is deleted, and no other."""
    folder = Folder(tmp_path)
    for file in (folder.store, folder.journal, folder.keys, folder.log, tmp_path / "gateway.db-wal"):
        file.write_text("old")
    (tmp_path / "letter.txt").write_text("keep me")
    folder.clear()
    assert [file.name for file in tmp_path.iterdir()] == ["letter.txt"]


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    """A path that cannot be a folder is refused with what to do."""
    (tmp_path / "data").write_text("a file")
    with pytest.raises(FolderError, match="choose another with --data"), Folder(tmp_path / "data").alone():
        pass
