"""Every command of this project: python3 dev.py setup | run | test | check | bench | package | postdeploy.

Standard library only: it runs before anything is installed. The syntax of this file stays within Python 3.6, so that an
older interpreter gets as far as the line that names the version it lacks.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this is where an older Python is told so
    sys.stderr.write(
        "dev.py needs Python 3.11 or newer, this is {}.{}.{} ({}).\n".format(*sys.version_info[:3], sys.executable)
    )
    sys.exit(2)

import argparse
import ast
import contextlib
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent
OLDEST = (3, 11)
AZURITE = "3.37.0"
WORKER_PYTHON = (3, 13)

STAMP = ".made-by-dev-py"
HALF_MADE = "half-made\n"
ERROR_LINE = re.compile(r"^\s*(?:ERROR:?|npm (?:error|ERR!))\s*(?P<what>\S.*)$", re.MULTILINE)
UNREACHED = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|Connection refused|ENOTFOUND|"
    r"ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|name resolution",
    re.IGNORECASE,
)


class SetUpError(Exception):
    """Something that the person at the terminal has to mend first; the text is the one line they read."""


class LackError(SetUpError):
    """This machine does not have what an installation needs, so it was not even tried."""


def say(text: str) -> None:
    """Print one line of progress at once, so that it also stands in the right place of a CI log."""
    print(f"dev.py: {text}", flush=True)


def in_ci(environment: Mapping[str, str]) -> bool:
    """Tell whether this is a CI machine, where nothing may be skipped silently."""
    return environment.get("CI", "").lower() in {"1", "true", "yes"}


# ---------------------------------------------------------------------------------------------------- set-up


def try_lock(handle: TextIO) -> bool:
    """Take the lock of an open file without waiting.

    The operating system holds it for as long as a process has the file open, so nobody can leave one behind.

    Args:
        handle: an open, writable file; closing it gives the lock back.

    Returns:
        False when another process has it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - exists on Windows only

            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 - does not exist on Windows

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def alone(root: Path) -> Iterator[None]:
    """Hold the set-up lock of a work tree, waiting for another set-up that has it."""
    tools = root / ".tools"
    tools.mkdir(exist_ok=True)
    with (tools / "set-up.lock").open("a", encoding="utf-8") as handle:
        if not try_lock(handle):
            say("another set-up is at work here, waiting for it")
            while not try_lock(handle):
                time.sleep(0.1)
        # A pip that outlives a killed set-up inherits the lock, so that nobody works beside it.
        os.set_inheritable(handle.fileno(), True)  # noqa: FBT003 - positional only
        yield


def last_words(output: str) -> str:
    """Say in a few words why a package client failed.

    Args:
        output: all that pip or npm printed.

    Returns:
        The client's own first error, after a word on the network where that was the cause.
    """
    error = ERROR_LINE.search(output)
    lines = output.strip().splitlines()
    what = error["what"] if error else (lines[-1].strip() if lines else "no output")
    return f"no package index was reached ({what})" if UNREACHED.search(output) else what


def quietly(command: Sequence[str], log: Path, minutes: float = 15) -> str | None:
    """Run a command whose output nobody wants to see unless it fails.

    Args:
        command: program and arguments.
        log: file that gets the whole output.
        minutes: how long it may take.

    Returns:
        None when it worked, else why not, in one line.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w+", encoding="utf-8", errors="replace") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                close_fds=False,
                timeout=minutes * 60,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no end after {minutes:g} minutes"
        except OSError as error:
            return str(error)
        output.seek(0)
        return None if done.returncode == 0 else f"{last_words(output.read())}; all of its output: {log}"


def runs(command: Sequence[str]) -> bool:
    """Tell whether a command that takes no time ends well."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def requirement_files(file: Path) -> list[Path]:
    """List a requirements file and all that it includes with ``-r``."""
    files = [file]
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            files += requirement_files(file.parent / line[3:].strip())
    return files


@dataclass(frozen=True)
class Venv:
    """A virtual environment that follows a requirements file.

    Attributes:
        folder: where it is.
        requirements: what is installed in it.
        base: the interpreter that it is made with.
    """

    folder: Path
    requirements: Path
    base: str

    @property
    def python(self) -> Path:
        """The interpreter inside."""
        return self.folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def stamp(self) -> Path:
        """The file that says what is installed, or that an installation was cut short."""
        return self.folder / STAMP

    def interpreter(self) -> str:
        """Name the program behind the interpreter, which an upgrade of the system may have exchanged."""
        return f"python {self.python.resolve()}\n"

    def wanted(self) -> str:
        """Return what the stamp says once everything is in place."""
        digest = hashlib.sha256()
        for file in requirement_files(self.requirements):
            digest.update(file.read_bytes() + b"\0")
        return f"{self.interpreter()}requirements {digest.hexdigest()}\n"

    def found(self) -> str | None:
        """Return what the stamp says now; None where there is none, as in one made by hand."""
        try:
            return self.stamp.read_text(encoding="utf-8")
        except OSError:
            return None

    def is_ready(self) -> bool:
        """Tell whether nothing needs to be done."""
        return self.python.exists() and self.found() == self.wanted()

    def is_worth_keeping(self) -> bool:
        """Tell whether packages can be added to what is there; if not, only starting anew gives a sound one."""
        found = self.found()
        same_python = found is None or found.startswith(self.interpreter())
        return same_python and runs(
            [str(self.python), "-c", f"import pip, sys; sys.exit(sys.version_info < {OLDEST!r})"]
        )


def make(venv: Venv) -> None:
    """Bring a virtual environment into step with its requirements.

    Nothing happens when it is already. One that an interruption left half-made is made anew; one in which only new
    requirements could not be installed stays as it was.

    Args:
        venv: the environment.

    Raises:
        SetUpError: it cannot be made, or the package index does not answer.
    """
    if venv.is_ready():
        return
    root = venv.requirements.parent
    with alone(root):
        if venv.is_ready():
            return
        before = venv.found() if venv.is_worth_keeping() else HALF_MADE
        if before == HALF_MADE:
            create(venv)
        venv.stamp.write_text(HALF_MADE, encoding="utf-8")
        say(f"installing {venv.requirements.name} into {venv.folder.name} (a minute or two the first time)")
        started = time.monotonic()
        pip = [str(venv.python), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        failure = quietly([*pip, "-r", str(venv.requirements)], root / ".tools" / f"pip{venv.folder.name}.log")
        if failure:
            # pip settles what to install before it touches anything, so a refusal has left the old state whole.
            if before is None:
                venv.stamp.unlink()
            else:
                venv.stamp.write_text(before, encoding="utf-8")
            raise SetUpError(f"set-up failed, pip could not install {venv.requirements.name}: {failure}")
        venv.stamp.write_text(venv.wanted(), encoding="utf-8")
        say(f"{venv.folder.name} is ready after {time.monotonic() - started:.0f} s")


def create(venv: Venv) -> None:
    """Make an empty virtual environment, marked as half-made, in place of whatever is there.

    Args:
        venv: the environment.

    Raises:
        SetUpError: Python's own venv module did not manage.
    """
    say(f"making {venv.folder.name}")
    shutil.rmtree(venv.folder, ignore_errors=True)
    venv.folder.mkdir(parents=True)
    venv.stamp.write_text(HALF_MADE, encoding="utf-8")
    log = venv.requirements.parent / ".tools" / f"venv{venv.folder.name}.log"
    failure = quietly([venv.base, "-m", "venv", str(venv.folder)], log)
    if failure:
        hint = "" if importlib.util.find_spec("ensurepip") else " (Debian, Ubuntu: apt-get install python3-venv)"
        raise SetUpError(f"set-up failed, {venv.base} cannot make {venv.folder.name}{hint}: {failure}")


def main_venv(root: Path) -> Venv:
    """Return the environment that every command uses."""
    base = getattr(sys, "_base_executable", "") or sys.executable
    return Venv(root / ".venv", root / "requirements-dev.txt", base)


def is_python(program: str, version: tuple[int, int]) -> bool:
    """Tell whether a program is a Python of a version that can make virtual environments.

    Asking is the only way: a pyenv shim of that name may stand on PATH and still find no such Python.
    """
    return runs([program, "-c", f"import ensurepip, sys, venv; sys.exit(sys.version_info[:2] != {version!r})"])


def uv_python(version: str) -> list[str]:
    """Ask uv, where it is installed, for a Python that it has; it is not made to download one."""
    if not shutil.which("uv"):
        return []
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never"}
    command = ["uv", "python", "find", "--no-project", version]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return [done.stdout.strip()] if done.returncode == 0 else []


def find_python(version: tuple[int, int], environment: Mapping[str, str]) -> str | None:
    """Find an interpreter of a version: this one, on PATH, in pyenv's folder, or uv's.

    Args:
        version: major and minor.
        environment: where PATH and PYENV_ROOT are looked up.

    Returns:
        The path of a program, or None.
    """
    name = f"python{version[0]}.{version[1]}"
    pyenv = Path(environment.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    on_path = shutil.which(name, path=environment.get("PATH"))
    candidates = [sys.executable] if sys.version_info[:2] == version else []
    candidates += [on_path] if on_path else []
    candidates += [str(folder / "bin" / name) for folder in sorted(pyenv.glob(f"{version[0]}.{version[1]}.*"))]
    found = next((program for program in candidates if is_python(program, version)), None)
    return found or next(iter(uv_python(f"{version[0]}.{version[1]}")), None)


def program(name: str, environment: Mapping[str, str]) -> str:
    """Find a program on PATH.

    Raises:
        LackError: it is not there.
    """
    found = shutil.which(name, path=environment.get("PATH"))
    if not found:
        raise LackError(f"there is no {name} on PATH")
    return found


def install_worker(root: Path, environment: Mapping[str, str]) -> None:
    """Make the environment in which Microsoft's own Python worker loads the app.

    Raises:
        SetUpError: this machine has no Python of the worker's version, or the installation failed.
    """
    version = ".".join(map(str, WORKER_PYTHON))
    python = find_python(WORKER_PYTHON, environment)
    if not python:
        raise LackError(f"there is no Python {version} on PATH, in pyenv or in uv")
    make(Venv(root / f".venv{version.replace('.', '')}", root / "requirements-worker.txt", python))


def install_checkov(root: Path, environment: Mapping[str, str]) -> None:
    """Make the environment of checkov, which pins half a hundred packages and so cannot share that of the project.

    Raises:
        SetUpError: the installation failed.
    """
    del environment
    make(Venv(root / ".venv-checkov", root / "requirements-checkov.txt", main_venv(root).base))


def install_collector(root: Path, environment: Mapping[str, str]) -> None:
    """Make the environment of Rotel, an OpenTelemetry collector that PyPI carries as a program for some machines.

    Raises:
        SetUpError: there is none for this machine, or the installation failed.
    """
    del environment
    libc, version = platform.libc_ver()
    machine = (platform.system(), platform.machine(), libc) == ("Linux", "x86_64", "glibc")
    if not machine or tuple(map(int, version.split("."))) < (2, 34) or sys.version_info[:2] > (3, 13):
        raise LackError("rotel is for Linux on x86_64 with glibc 2.34 or newer and Python up to 3.13")
    make(Venv(root / ".venv-collector", root / "requirements-collector.txt", main_venv(root).base))


def has_azurite(root: Path) -> bool:
    """Tell whether Azurite is installed, in the wanted version and to the end."""
    # npm writes this list last, so it tells a whole installation from one cut short.
    npm_list = root / ".tools" / "azurite" / "node_modules" / ".package-lock.json"
    try:
        listed = json.loads(npm_list.read_text(encoding="utf-8"))
        return bool(listed["packages"]["node_modules/azurite"]["version"] == AZURITE)
    except (OSError, ValueError, KeyError):
        return False


def install_azurite(root: Path, environment: Mapping[str, str]) -> None:
    """Install Azurite, Microsoft's emulator of Azure Storage, with npm.

    Raises:
        SetUpError: this machine has no node, or the installation failed.
    """
    program("node", environment)
    npm = program("npm", environment)
    with alone(root):
        if has_azurite(root):
            return
        say(f"installing Azurite {AZURITE} with npm (half a minute)")
        folder = root / ".tools" / "azurite"
        shutil.rmtree(folder, ignore_errors=True)
        command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", f"azurite@{AZURITE}"]
        failure = quietly(command, root / ".tools" / "npm.log", minutes=10)
        if failure:
            raise SetUpError(f"npm could not install Azurite: {failure}")


@dataclass(frozen=True, kw_only=True)
class Extra:
    """Something that only part of the tests needs.

    Attributes:
        name: what it is called in a line on the terminal.
        tests: which tests are skipped without it.
        required_by: the environment variable that turns those skips into failures.
        always_in_ci: whether a CI machine that lacks the means to install it is a failure too.
        install: puts it in place if need be, or raises SetUpError.
    """

    name: str
    tests: str
    required_by: str
    always_in_ci: bool
    install: Callable[[Path, Mapping[str, str]], None]


EXTRAS = (
    Extra(
        name="azurite",
        tests="tests against Azurite (Azure Storage)",
        required_by="REQUIRE_SERVERS",
        always_in_ci=True,
        install=install_azurite,
    ),
    Extra(
        name="worker",
        tests="tests in Microsoft's Python worker",
        required_by="REQUIRE_WORKER",
        always_in_ci=False,
        install=install_worker,
    ),
    Extra(
        name="checkov",
        tests="security rules for the Bicep templates",
        required_by="REQUIRE_CHECKOV",
        always_in_ci=True,
        install=install_checkov,
    ),
    Extra(
        name="collector",
        tests="tests against a real OpenTelemetry collector",
        required_by="REQUIRE_COLLECTOR",
        always_in_ci=False,
        install=install_collector,
    ),
)


def install_extra(extra: Extra, root: Path, environment: Mapping[str, str], *, again: bool) -> None:
    """Put one extra in place.

    A failed installation is remembered, so that being offline costs its wait once and not with every run of the tests.

    Args:
        extra: which.
        root: the work tree.
        environment: where programs are looked up.
        again: try once more what failed before.

    Raises:
        LackError: this machine lacks the means.
        SetUpError: the installation failed, now or before.
    """
    failed_before = root / ".tools" / f"{extra.name}.failed"
    if failed_before.exists() and not again:
        raise SetUpError(failed_before.read_text(encoding="utf-8"))
    failed_before.unlink(missing_ok=True)
    try:
        extra.install(root, environment)
    except LackError:
        raise
    except SetUpError as error:
        failed_before.write_text(f"{error} ('dev.py setup --servers' tries again)", encoding="utf-8")
        raise


# -------------------------------------------------------------------------------------------------- commands


def hand_over(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Let a command take the place of this process, so that signals reach it and it can clean up after itself.

    Args:
        command: program and arguments.
        environment: its environment variables.

    Returns:
        Its exit code, on Windows; elsewhere this does not return.
    """
    os.chdir(ROOT)
    if os.name != "nt":
        os.execve(command[0], list(command), dict(environment))  # noqa: S606 - no shell is wanted
    return subprocess.run(command, env=environment, check=False).returncode


def setup(arguments: Sequence[str]) -> int:
    """Make .venv and install what the project needs."""
    parser = argparse.ArgumentParser("dev.py setup", description=setup.__doc__)
    parser.add_argument(
        "--servers",
        action="store_true",
        help="also Azurite (with npm), Microsoft's Python worker, checkov and a collector, each in a folder of its own",
    )
    chosen = parser.parse_args(arguments)
    make(main_venv(ROOT))
    exit_code = 0
    for extra in EXTRAS if chosen.servers else ():
        try:
            install_extra(extra, ROOT, os.environ, again=True)
        except SetUpError as error:
            say(f"without {extra.name}: {error}")
            exit_code = 2
    if exit_code == 0:
        say("everything is in place")
    return exit_code


def run(arguments: Sequence[str]) -> int:
    """Start the gateway and the simulated vendors on this machine and show messages on their way."""
    venv = main_venv(ROOT)
    make(venv)
    return hand_over([str(venv.python), "-m", "devhost.demo", *arguments], os.environ)


def pytest_arguments(arguments: Sequence[str]) -> list[str]:
    """Add one process per core to the arguments of pytest, unless they speak of processes or a debugger already."""
    # At most four, since each process starts servers of its own; what is left to do is shared out again at the end.
    parallel = ["-n", "auto", "--maxprocesses", "4", "--dist", "worksteal"]
    own = any(argument.startswith(("-n", "--numprocesses", "--pdb", "--dist")) for argument in arguments)
    return [*([] if own else parallel), *arguments]


def test(arguments: Sequence[str]) -> int:
    """Run the tests; every further argument goes to pytest."""
    parser = argparse.ArgumentParser(
        "dev.py test",
        description=test.__doc__,
        allow_abbrev=False,
        epilog="Azurite, Microsoft's worker (where node and Python 3.13 are), checkov and a collector are installed on "
        "first use; what is missing is named and its tests are skipped. With CI=true that is an error.",
    )
    _, for_pytest = parser.parse_known_args(arguments)
    venv = main_venv(ROOT)
    make(venv)
    environment = dict(os.environ)
    ci = in_ci(environment)
    for extra in EXTRAS:
        try:
            install_extra(extra, ROOT, environment, again=ci)
        except SetUpError as error:
            if ci and (extra.always_in_ci or not isinstance(error, LackError)):
                raise SetUpError(f"CI must not skip the {extra.tests}: {error}") from error
            say(f"skipped: {extra.tests}, because {error}")
        else:
            environment.update({extra.required_by: "1"} if ci else {})
    return hand_over([str(venv.python), "-m", "pytest", *pytest_arguments(for_pytest)], environment)


CHECKS = {
    "format": (["ruff", "format", "--check", "."], ["ruff", "format", "."]),
    "lint": (["ruff", "check", "."], ["ruff", "check", "--fix", "."]),
    "types": (["mypy"], ["mypy"]),
    "imports": (
        ["pytest", "-q", "tests/test_import_directions.py"],
        ["pytest", "-q", "tests/test_import_directions.py"],
    ),
    "bicep": (["pytest", "-q", "tests/infra/test_bicep.py"], ["pytest", "-q", "tests/infra/test_bicep.py"]),
}


def check(arguments: Sequence[str]) -> int:
    """Check format, lint, types, the direction of imports and the Bicep templates; all, even if one fails."""
    parser = argparse.ArgumentParser("dev.py check", description=check.__doc__)
    parser.add_argument("--fix", action="store_true", help="format, and fix what the linter can fix")
    chosen = parser.parse_args(arguments)
    venv = main_venv(ROOT)
    make(venv)
    failed = []
    for name, commands in CHECKS.items():
        started = time.monotonic()
        command = [str(venv.python), "-m", *commands[1 if chosen.fix else 0]]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        say(f"{'ok    ' if done.returncode == 0 else 'FAILED'} {name} ({time.monotonic() - started:.1f} s)")
        if done.returncode != 0:
            failed.append(name)
            print(done.stdout + done.stderr, flush=True)
    return 1 if failed else 0


def package(arguments: Sequence[str]) -> int:
    """Build what is uploaded to Azure; --help says more."""
    venv = main_venv(ROOT)
    make(venv)
    return hand_over([str(venv.python), "-m", "infra.package", *arguments], os.environ)


def postdeploy(arguments: Sequence[str]) -> int:
    """Subscribe to events and test the app on Azure; --help says more."""
    venv = main_venv(ROOT)
    make(venv)
    return hand_over([str(venv.python), "-m", "infra.postdeploy", *arguments], os.environ)


def bench(arguments: Sequence[str]) -> int:
    """Run a measurement of the folder bench by its name; without a name, list them."""
    measurements = {file.stem: file for file in sorted((ROOT / "bench").glob("*.py")) if file.stem != "__init__"}
    parser = argparse.ArgumentParser("dev.py bench", description=bench.__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(measurements), help="which one")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the measurement")
    chosen = parser.parse_args(arguments)
    if chosen.name is None:
        for name, file in measurements.items():
            explained = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            print(f"{name:20} {explained.partition(chr(10))[0]}")
        return 0
    venv = main_venv(ROOT)
    make(venv)
    command = [str(venv.python), str(measurements[chosen.name]), *chosen.arguments]
    return hand_over(command, {**os.environ, "PYTHONPATH": str(ROOT)})


COMMANDS = {
    "setup": setup,
    "run": run,
    "test": test,
    "check": check,
    "bench": bench,
    "package": package,
    "postdeploy": postdeploy,
}


def main(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: the command's name and its own arguments.

    Returns:
        The exit code: 0 all well, 1 something found (a failing test or check), 2 something to mend first.
    """
    parser = argparse.ArgumentParser(
        "dev.py",
        description="Set-up and every command of this project. Each command makes .venv first if need be.",
        epilog="\n".join(f"  {name:12} {command.__doc__}" for name, command in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, help="'dev.py COMMAND --help' says more")
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    chosen = parser.parse_args(arguments[:1])
    try:
        return COMMANDS[chosen.command](arguments[1:])
    except SetUpError as trouble:
        print(f"dev.py: {trouble}", file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
