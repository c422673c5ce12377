"""dev.py: what it says and does on machines that lack something, and what it leaves behind."""

import ast
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

import dev

ROOT = Path(__file__).resolve().parent.parent
ABSENT = "a-package-that-nobody-has-published==1.0\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project without requirements whose virtual environment dev.py has made, in full, without a network.

    The test processes of one run ask for it at the same time; the set-up lock lets one make it, and each takes a copy.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-by-dev-py"
    shared.mkdir(exist_ok=True)
    (shared / "requirements.txt").write_text("")
    (shared / "requirements-dev.txt").write_text("-r requirements.txt\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_NO_INDEX", "1")
        dev.make(dev.main_venv(shared))
    return Path(shutil.copytree(shared, tmp_path_factory.mktemp("made") / "project", symlinks=True))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A work tree whose .venv passes for ready: its python is the one that runs the tests."""
    (tmp_path / "requirements-dev.txt").write_text("")
    venv = dev.main_venv(tmp_path)
    venv.python.parent.mkdir(parents=True)
    venv.python.symlink_to(sys.executable)
    venv.stamp.write_text(venv.wanted())
    (tmp_path / ".tools").mkdir()
    monkeypatch.setattr(dev, "ROOT", tmp_path)
    return tmp_path


@pytest.fixture
def handed_over(monkeypatch):
    """Catch the command that would have taken dev.py's place, with its environment."""
    caught = []
    monkeypatch.setattr(dev, "hand_over", lambda command, environment: caught.append((command, environment)) or 0)
    return caught


@pytest.fixture
def extras(monkeypatch):
    """Replace the extras by two whose installation raises what a test puts into the list."""
    raised = {"server": None, "worker": None}
    tried = []

    def installing(name):
        def install(root, environment):
            tried.append(name)
            if raised[name]:
                raise raised[name]

        return install

    monkeypatch.setattr(
        dev,
        "EXTRAS",
        (
            dev.Extra(
                name="server",
                tests="tests against a server",
                required_by="REQUIRE_SERVERS",
                always_in_ci=True,
                install=installing("server"),
            ),
            dev.Extra(
                name="worker",
                tests="tests in the worker",
                required_by="REQUIRE_WORKER",
                always_in_ci=False,
                install=installing("worker"),
            ),
        ),
    )
    monkeypatch.setenv("CI", "")
    for name in ("REQUIRE_SERVERS", "REQUIRE_WORKER"):
        monkeypatch.delenv(name, raising=False)
    return raised, tried


@pytest.fixture
def in_ci(project, extras, monkeypatch):
    """A CI machine with the extras of the fixture above."""
    monkeypatch.setenv("CI", "true")
    return extras


def script(folder, name, text):
    """Write a program for a PATH of a test's own."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return file


# ------------------------------------------------------------------------------------------ an old Python, help


def test_an_old_python_reads_one_line():
    """Python 3.6 gets through the syntax of dev.py to one line that names both versions, and to exit code 2."""
    program = "import runpy, sys; sys.version_info = (3, 6, 15); runpy.run_path('dev.py', run_name='__main__')"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)

    ast.parse((ROOT / "dev.py").read_text(), feature_version=(3, 6))
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"dev.py needs Python 3.11 or newer, this is 3.6.15 ({sys.executable})."]


def test_help_names_every_command():
    """--help lists each command with what it does, and makes nothing."""
    done = subprocess.run([sys.executable, "dev.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0
    for name, command in dev.COMMANDS.items():
        assert f"  {name:12} {command.__doc__}" in done.stdout


@pytest.mark.parametrize("name", ["setup", "test", "check", "bench"])
def test_each_command_has_its_own_help(name, capsys):
    """COMMAND --help explains the command and ends with exit code 0."""
    with pytest.raises(SystemExit) as ended:
        dev.main([name, "--help"])

    assert ended.value.code == 0
    assert dev.COMMANDS[name].__doc__ in " ".join(capsys.readouterr().out.split())


def test_no_command_is_a_mistake(capsys):
    """Without a command dev.py shows its help and ends with exit code 2."""
    assert dev.main([]) == 2
    assert "usage: dev.py" in capsys.readouterr().err


def test_run_leaves_all_arguments_to_the_demo(project, handed_over):
    """Every argument of run, --help too, reaches devhost.demo in the project's own Python."""
    code = dev.main(["run", "--help", "--once"])

    assert code == 0
    assert handed_over[0][0] == [str(project / ".venv/bin/python"), "-m", "devhost.demo", "--help", "--once"]


@pytest.mark.parametrize(("name", "module"), [("package", "infra.package"), ("postdeploy", "infra.postdeploy")])
def test_deployment_commands_get_all_arguments(project, handed_over, name, module):
    """Every argument of a deployment command reaches its module in the project's own Python."""
    assert dev.main([name, "--help", "x"]) == 0
    assert handed_over[0][0] == [str(project / ".venv/bin/python"), "-m", module, "--help", "x"]


def test_a_command_that_takes_over_keeps_its_exit_code(project):
    """dev.py ends with the exit code of the program that it hands over to."""
    program = f"import dev, sys; dev.hand_over([{sys.executable!r}, '-c', 'raise SystemExit(7)'], {{}})"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)

    assert done.returncode == 7


# --------------------------------------------------------------------------------------------- virtual environment


def test_a_virtual_environment_is_made_and_stamped(made):
    """A missing .venv is made with its own pip, and is ready afterwards."""
    venv = dev.main_venv(made)

    assert venv.is_ready()
    assert dev.runs([str(venv.python), "-m", "pip", "--version"])


def test_a_ready_environment_is_left_alone(made, monkeypatch):
    """With nothing changed no program is started."""
    monkeypatch.setattr(dev, "quietly", lambda *_, **__: pytest.fail("something was started"))

    dev.make(dev.main_venv(made))


def test_a_change_in_an_included_file_counts(made):
    """Requirements are compared with everything that they include."""
    included = made / "requirements.txt"
    included.write_text("# changed\n")
    try:
        assert not dev.main_venv(made).is_ready()
    finally:
        included.write_text("")


@pytest.mark.parametrize("offline", ["no index", "closed port"])
def test_without_an_index_one_line_names_what_failed(made, offline, monkeypatch, capsys):
    """Offline, new requirements end in exit code 2 and one line, and the environment stays as it was."""
    venv = dev.main_venv(made)
    before = venv.found()
    (made / "requirements.txt").write_text(ABSENT)
    monkeypatch.setattr(dev, "ROOT", made)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        if offline == "no index":
            monkeypatch.setenv("PIP_NO_INDEX", "1")
        else:
            monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/simple")
            monkeypatch.setenv("PIP_RETRIES", "1")  # none at all would not be reported
        try:
            code = dev.main(["setup"])
        finally:
            (made / "requirements.txt").write_text("")

    said = capsys.readouterr().err.splitlines()
    assert code == 2
    assert len(said) == 1
    assert said[0].startswith("dev.py: set-up failed, pip could not install requirements-dev.txt: ")
    assert "a-package-that-nobody-has-published" in said[0]
    assert ("no package index was reached" in said[0]) == (offline == "closed port")
    assert venv.found() == before
    assert venv.is_ready()


def test_an_interrupted_installation_is_not_trusted(made, monkeypatch):
    """After a kill in the middle of pip the environment counts as half-made and is made anew."""
    venv = dev.main_venv(made)
    made_anew = []

    def killed(*_, **__):
        raise KeyboardInterrupt

    venv.stamp.write_text("an older state")
    monkeypatch.setattr(dev, "create", lambda venv: made_anew.append(venv.folder))
    monkeypatch.setattr(dev, "quietly", killed)
    with pytest.raises(KeyboardInterrupt):
        dev.make(venv)
    assert venv.found() == dev.HALF_MADE

    monkeypatch.setattr(dev, "quietly", lambda *_, **__: None)
    made_anew.clear()
    dev.make(venv)

    assert made_anew == [venv.folder]
    assert venv.is_ready()


def test_an_environment_made_by_hand_is_kept(made, monkeypatch):
    """Without a stamp, a sound environment is completed and not thrown away."""
    venv = dev.main_venv(made)
    venv.stamp.unlink()
    monkeypatch.setattr(dev, "create", lambda venv: pytest.fail("it was thrown away"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    dev.make(venv)

    assert venv.is_ready()


@pytest.mark.parametrize("broken", ["no python", "no pip", "another python"])
def test_a_broken_environment_is_not_kept(broken, project, monkeypatch):
    """An environment whose Python is gone, exchanged or without pip is made anew."""
    venv = dev.main_venv(project)
    venv.stamp.unlink()
    venv.python.unlink()
    if broken == "no pip":
        script(venv.python.parent, "python", "exit 1")
    if broken == "another python":
        script(venv.python.parent, "python", "exit 0")
        venv.stamp.write_text("python /somewhere/else/python3.11\nrequirements x\n")

    assert not venv.is_worth_keeping()


def test_a_machine_without_the_venv_module_is_told(tmp_path):
    """When Python cannot make an environment the line says which Python and which folder."""
    (tmp_path / "requirements-dev.txt").write_text("")
    python = script(tmp_path / "programs", "python", "echo 'Error: ensurepip is not available' >&2; exit 1")
    venv = dev.Venv(tmp_path / ".venv", tmp_path / "requirements-dev.txt", str(python))

    with pytest.raises(dev.SetUpError, match=r"cannot make \.venv.*: Error: ensurepip is not available"):
        dev.make(venv)

    assert not venv.is_ready()


# -------------------------------------------------------------------------------------------------- two at once


def test_a_second_set_up_waits_for_the_first(tmp_path, capsys):
    """While another process holds the lock a set-up says so once and goes on when the other is done."""
    program = (
        "import dev, pathlib, sys\nwith dev.alone(pathlib.Path(sys.argv[1])):\n print('held', flush=True); input()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    entered = threading.Event()

    def second():
        with dev.alone(tmp_path):
            entered.set()

    with holder:
        assert holder.stdout.readline() == "held\n"
        waiting = threading.Thread(target=second)
        waiting.start()
        assert not entered.wait(0.25)
        holder.communicate("\n")
    assert entered.wait(10)
    waiting.join()
    assert capsys.readouterr().out == "dev.py: another set-up is at work here, waiting for it\n"


def test_a_killed_set_up_leaves_no_lock(tmp_path):
    """The lock of a process that was killed is free at once."""
    program = "import dev, os, pathlib, sys\nwith dev.alone(pathlib.Path(sys.argv[1])):\n os.kill(os.getpid(), 9)"
    killed = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -9

    with (tmp_path / ".tools" / "set-up.lock").open("a") as handle:
        assert dev.try_lock(handle)


def test_nobody_works_beside_what_a_killed_set_up_started(tmp_path):
    """A pip that outlives its killed set-up keeps the lock until it ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        pip = f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]})).recv(1)"
        program = (
            "import dev, pathlib, sys\nroot = pathlib.Path(sys.argv[1])\n"
            "with dev.alone(root):\n dev.quietly([sys.executable, '-c', sys.argv[2]], root / 'log')\n"
        )
        with subprocess.Popen([sys.executable, "-c", program, str(tmp_path), pip], cwd=ROOT) as killed:
            server.settimeout(20)
            connection, _ = server.accept()
            killed.kill()

        with connection, (tmp_path / ".tools" / "set-up.lock").open("a") as handle:
            assert not dev.try_lock(handle)
            connection.close()
            deadline = time.monotonic() + 10
            while not dev.try_lock(handle):
                assert time.monotonic() < deadline
                time.sleep(0.01)


def test_the_one_that_waited_does_not_repeat_the_work(project, monkeypatch):
    """What the other set-up finished meanwhile is not done again."""
    venv = dev.main_venv(project)
    ready = venv.found()
    venv.stamp.write_text("an older state")
    monkeypatch.setattr(dev, "quietly", lambda *_, **__: pytest.fail("something was started"))
    real = dev.alone

    def other_was_faster(root):
        venv.stamp.write_text(ready)
        return real(root)

    monkeypatch.setattr(dev, "alone", other_was_faster)

    dev.make(venv)


# ---------------------------------------------------------------------------------------- what clients complain of


NOT_FOUND = "Could not find a version that satisfies the requirement nope (from versions: none)"
COMPLAINTS = {
    "pip, unknown": (f"Looking in links: x\nERROR: {NOT_FOUND}\nERROR: No matching distribution for nope\n", NOT_FOUND),
    "pip, offline": (
        f"WARNING: Retrying after connection broken by 'NewConnectionError(...)': /simple/nope/\nERROR: {NOT_FOUND}\n",
        f"no package index was reached ({NOT_FOUND})",
    ),
    "npm, unknown": ("npm error code E404\nnpm error 404 Not Found\n", "code E404"),
    "npm, offline": ("npm error code ECONNREFUSED\n", "no package index was reached (code ECONNREFUSED)"),
    "killed": ("Killed\n", "Killed"),
    "silent": ("", "no output"),
}


@pytest.mark.parametrize("case", COMPLAINTS)
def test_the_first_complaint_of_a_client_is_passed_on(case):
    """Of all that a package client prints, its first error is shown, with a word on the network if that was it."""
    output, said = COMPLAINTS[case]

    assert dev.last_words(output) == said


def test_a_client_that_hangs_is_ended(tmp_path):
    """A command that does not end in its time is stopped and named as such."""
    failure = dev.quietly(
        [sys.executable, "-c", "input()" if os.name == "nt" else "import signal; signal.pause()"],
        tmp_path / "log",
        minutes=0.005,
    )

    assert failure == "no end after 0.005 minutes"


def test_a_failure_points_to_the_whole_output(tmp_path):
    """The line about a failed command names the file with everything that it printed."""
    log = tmp_path / "logs" / "it.log"

    failure = dev.quietly([sys.executable, "-c", "print('much'); raise SystemExit('ERROR: no')"], log)

    assert failure == f"no; all of its output: {log}"
    assert "much" in log.read_text()


# ------------------------------------------------------------------------------------------------------- extras


def test_a_shim_that_finds_no_python_is_passed_over(tmp_path):
    """A python3.13 on PATH that does not work is not taken; one in pyenv's folder that does is."""
    script(tmp_path / "shims", "python3.13", "echo 'pyenv: python3.13: command not found' >&2; exit 127")
    working = script(tmp_path / "versions" / "3.13.7" / "bin", "python3.13", "exit 0")
    script(tmp_path / "versions" / "3.12.1" / "bin", "python3.12", "exit 0")

    found = dev.find_python((3, 13), {"PATH": str(tmp_path / "shims"), "PYENV_ROOT": str(tmp_path)})

    assert found == (sys.executable if sys.version_info[:2] == (3, 13) else str(working))


def npm_that_installs(folder, version):
    """Write a node and an npm that leaves behind what npm leaves behind."""
    script(folder, "node", "exit 0")
    listed = json.dumps({"packages": {"node_modules/azurite": {"version": version}}})
    script(folder, "npm", f'mkdir -p "$3/node_modules" && echo \'{listed}\' > "$3/node_modules/.package-lock.json"')
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def test_azurite_is_installed_once(tmp_path, capsys):
    """Azurite is installed where it is missing, and not again."""
    environment = npm_that_installs(tmp_path / "programs", dev.AZURITE)

    dev.install_azurite(tmp_path, environment)
    dev.install_azurite(tmp_path, environment)

    assert dev.has_azurite(tmp_path)
    assert capsys.readouterr().out.count("installing Azurite") == 1


@pytest.mark.parametrize("left", ['{"packages": {"node_modules/azurite": {"version": "1.0.0"}}}', '{"packa', "{}"])
def test_an_incomplete_azurite_is_not_taken_for_one(left, tmp_path):
    """Another version, or an installation cut short, is installed anew."""
    modules = tmp_path / ".tools" / "azurite" / "node_modules"
    modules.mkdir(parents=True)
    (modules / ".package-lock.json").write_text(left)

    assert not dev.has_azurite(tmp_path)


@pytest.mark.parametrize(
    ("machine", "libc", "python", "expected"),
    [
        ("x86_64", ("glibc", "2.34"), (3, 13), True),
        ("x86_64", ("glibc", "2.4"), (3, 13), False),
        ("x86_64", ("glibc", "2.31"), (3, 13), False),
        ("x86_64", ("", ""), (3, 13), False),
        ("x86_64", ("glibc", "2.36"), (3, 14), False),
        ("arm64", ("glibc", "2.36"), (3, 12), False),
    ],
)
def test_which_machines_there_is_a_collector_for(monkeypatch, tmp_path, machine, libc, python, expected):
    """Another machine, a C library that is older or another, such as musl, and a newer Python are told of at once."""
    monkeypatch.setattr(dev.platform, "system", lambda: "Linux")
    monkeypatch.setattr(dev.platform, "machine", lambda: machine)
    monkeypatch.setattr(dev.platform, "libc_ver", lambda: libc)
    monkeypatch.setattr(dev.sys, "version_info", (*python, 0))
    made = []
    monkeypatch.setattr(dev, "make", made.append)
    with (
        nullcontext()
        if expected
        else pytest.raises(dev.LackError, match=r"glibc 2\.34 or newer and Python up to 3\.13")
    ):
        dev.install_collector(tmp_path, {})
    assert bool(made) is expected


@pytest.mark.parametrize("install", [dev.install_azurite, dev.install_worker])
def test_a_bare_machine_lacks_the_means(install, tmp_path, monkeypatch):
    """Without node or Python 3.13 nothing is tried, and what is lacking is named."""
    monkeypatch.setattr(dev, "find_python", lambda *_: None)

    with pytest.raises(dev.LackError, match="there is no "):
        install(tmp_path, {"PATH": str(tmp_path)})


def test_a_test_run_says_what_it_skips_and_why(project, handed_over, extras, capsys):
    """On a machine that lacks something, test goes on with one line for each kind of skipped tests."""
    raised, _ = extras
    raised["server"] = dev.LackError("there is no node on PATH")

    code = dev.main(["test", "-k", "phone"])

    assert code == 0
    assert capsys.readouterr().out == "dev.py: skipped: tests against a server, because there is no node on PATH\n"
    command, environment = handed_over[0]
    assert command[-2:] == ["-k", "phone"]
    assert "REQUIRE_SERVERS" not in environment
    assert "REQUIRE_WORKER" not in environment


def test_a_failed_installation_is_not_repeated_with_every_test_run(project, handed_over, extras, capsys):
    """Only setup --servers tries again what could not be installed; what a machine lacks is looked for each time."""
    raised, tried = extras
    raised["server"] = dev.SetUpError("npm could not install it")
    raised["worker"] = dev.LackError("there is no Python 3.13")

    dev.main(["test"])
    dev.main(["test"])
    assert tried == ["server", "worker", "worker"]
    assert "npm could not install it ('dev.py setup --servers' tries again)" in capsys.readouterr().out

    assert dev.main(["setup", "--servers"]) == 2
    raised.update(server=None, worker=None)
    assert dev.main(["setup", "--servers"]) == 0
    tried.clear()
    dev.main(["test"])
    assert tried == ["server", "worker"]


def test_ci_requires_the_real_servers_and_the_worker(handed_over, in_ci):
    """With CI=true the tests are told that nothing may be skipped."""
    assert dev.main(["test"]) == 0

    environment = handed_over[0][1]
    assert environment["REQUIRE_SERVERS"] == "1"
    assert environment["REQUIRE_WORKER"] == "1"


@pytest.mark.parametrize(
    ("name", "error", "code"),
    [
        ("server", dev.LackError("there is no node"), 2),
        ("server", dev.SetUpError("npm failed"), 2),
        ("worker", dev.SetUpError("pip failed"), 2),
        ("worker", dev.LackError("there is no Python 3.13"), 0),
    ],
)
def test_ci_fails_on_what_it_should_have(name, error, code, handed_over, in_ci, capsys):
    """In CI a missing server is an error, and so is a failed installation; only a missing Python 3.13 is but said."""
    in_ci[0][name] = error

    assert dev.main(["test"]) == code

    printed = capsys.readouterr()
    assert str(error) in (printed.err if code else printed.out)
    assert bool(handed_over) == (code == 0)
    if handed_over:
        assert "REQUIRE_WORKER" not in handed_over[0][1]


def test_ci_tries_again_what_failed_before(project, handed_over, in_ci):
    """A failure remembered from an earlier run does not count in CI."""
    (project / ".tools" / "server.failed").write_text("npm failed")

    assert dev.main(["test"]) == 0
    assert in_ci[1] == ["server", "worker"]


# ------------------------------------------------------------------------------------------------ test, check, bench


@pytest.mark.parametrize(
    ("given", "added"),
    [([], True), (["tests/gateway", "-x"], True), (["-n0"], False), (["-n", "4"], False), (["--pdb"], False)],
)
def test_the_tests_use_all_cores_unless_told_otherwise(given, added):
    """Each run of pytest gets one process per core, but not against the word of the person who started it."""
    arguments = dev.pytest_arguments(given)

    assert arguments[len(arguments) - len(given) :] == given
    assert (arguments[:2] == ["-n", "auto"]) == added


@pytest.mark.parametrize(("broken", "code"), [(["first"], 1), (["second"], 1), (["first", "second"], 1), ([], 0)])
def test_every_check_runs_though_one_fails(broken, code, project, monkeypatch, capsys):
    """Each step gets one line; the output of those that failed is shown, and the exit code is 1 if any did."""
    steps = {
        name: (["no_such_module"] if name in broken else ["this"], ["this"]) for name in ("first", "second", "third")
    }
    monkeypatch.setattr(dev, "CHECKS", steps)

    assert dev.main(["check"]) == code

    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("dev.py: ")]
    assert [line.split()[1:3] for line in lines] == [["FAILED" if name in broken else "ok", name] for name in steps]
    assert ("No module named no_such_module" in printed) == bool(broken)
    assert "Beautiful" not in printed


def test_check_with_fix_mends(project, monkeypatch):
    """With --fix check runs the mending form of each step."""
    monkeypatch.setattr(dev, "CHECKS", {"only": (["no_such_module"], ["this"])})

    assert dev.main(["check", "--fix"]) == 0


def test_bench_lists_the_measurements(project, capsys):
    """The command bench without a name prints each measurement with the first line of its description."""
    (project / "bench").mkdir()
    (project / "bench" / "speed.py").write_text('"""How fast it is.\n\nMore."""\n')

    assert dev.main(["bench"]) == 0
    assert capsys.readouterr().out.split(maxsplit=1) == ["speed", "How fast it is.\n"]


def test_bench_runs_one_by_name(project, handed_over):
    """The command bench NAME runs that file with the rest of the arguments and the work tree on Python's path."""
    (project / "bench").mkdir()
    (project / "bench" / "speed.py").write_text("")

    dev.main(["bench", "speed", "--rounds", "3"])

    command, environment = handed_over[0]
    assert command[1:] == [str(project / "bench" / "speed.py"), "--rounds", "3"]
    assert environment["PYTHONPATH"] == str(project)


def test_ci_script_is_sound_bash():
    """.ci/run can be executed and bash can read it."""
    file = ROOT / ".ci" / "run"

    checked = subprocess.run([shutil.which("bash") or "bash", "-n", str(file)], check=False)

    assert os.access(file, os.X_OK)
    assert checked.returncode == 0
