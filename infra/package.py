"""Builds what is uploaded to Azure, for the Python that runs there: python3 dev.py package.

Azure could install the requirements itself, but its remote build may use another Python than the app
(https://github.com/Azure/azure-dev/issues/8538), and source uploaded without packages "succeeds" with no function at
all (https://github.com/Azure/functions-action/issues/279). So all is in the package, and can be looked at here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path

import dev

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".package"
SHIPPED = ("function_app.py", "functions", "host.json", "requirements.txt")
"""What of this repository runs on Azure; ``.funcignore`` leaves the same to Core Tools."""
PACKAGES = Path(".python_packages", "lib", "site-packages")
"""Where the platform looks for packages: https://learn.microsoft.com/azure/azure-functions/functions-reference-python."""
PLATFORM = "x86_64-manylinux_2_28"
"""The oldest glibc that the wheels may need; the platform's images for Python 3.11 and later have a newer one."""
KEEP_BYTECODE = "# azd leaves __pycache__ out unless a file of this name says otherwise.\n"
MARK = ".made-by-package-py"
EARLIEST = (1980, 1, 1, 0, 0, 0)

ASK = """
import json, sys
sys.path[:0] = {paths!r}
import function_app
print(json.dumps(sorted(function.get_function_name() for function in function_app.app.get_functions())))
"""

Run = Callable[[Sequence[str], dict[str, str]], str]
NO_CALLS = "[]"


class PackageError(Exception):
    """The package cannot be built, or would not run; the text is the one line to read."""


def say(text: str) -> None:
    """Print a line of progress at once."""
    print(text, flush=True)  # noqa: T201 - a command's output


def run(command: Sequence[str], more: dict[str, str]) -> str:
    """Run a command, with an empty list on its standard input, and return its output.

    Args:
        command: Program and arguments.
        more: Environment variables on top.

    Raises:
        PackageError: It failed; its last line says why.
    """
    done = subprocess.run(  # noqa: S603 - commands of this file alone
        command, env=os.environ | more, input=NO_CALLS, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PackageError(f"{Path(command[0]).name} failed: {said[-1] if said else 'without a word'}")
    return done.stdout


def python_of_the_app() -> str:
    """Return the Python that the app is deployed with: ``GATEWAY_PYTHON_VERSION``, or the template's own default.

    Raises:
        PackageError: The template names none.
    """
    template = (ROOT / "infra" / "main.bicep").read_text(encoding="utf-8")
    found = re.search(r"param pythonVersion string = '([0-9.]+)'", template)
    version = os.environ.get("GATEWAY_PYTHON_VERSION") or (found[1] if found else "")
    if not version:
        raise PackageError("infra/main.bicep has no default for pythonVersion; give --python.")
    return version


def index_of_pip() -> dict[str, str]:
    """Return the package index that pip is set up with, as uv wants it; uv does not read pip's files."""
    if "UV_DEFAULT_INDEX" in os.environ or "UV_INDEX_URL" in os.environ:
        return {}
    try:
        index = run([sys.executable, "-m", "pip", "config", "get", "global.index-url"], {}).strip()
    except PackageError:
        index = os.environ.get("PIP_INDEX_URL", "")
    return {"UV_DEFAULT_INDEX": index} if index else {}


def start_anew(folder: Path) -> None:
    """Make an empty folder in place of an earlier package.

    Raises:
        PackageError: The folder holds something else.
    """
    if folder.exists():
        if any(folder.iterdir()) and not (folder / MARK).exists():
            raise PackageError(f"{folder} holds something that is no package; name another folder.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).write_text("", encoding="utf-8")


def copy_source(folder: Path) -> None:
    """Copy what runs on Azure, without bytecode of this machine's Python."""
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, folder / name)
    (folder / ".funcignore").write_text(KEEP_BYTECODE, encoding="utf-8")


def install(folder: Path, python: str, run: Run = run) -> None:
    """Install the requirements for Azure's platform and the app's Python, whatever this machine has.

    uv and not pip: pip judges ``; python_version < "3.13"`` by the Python that runs pip, and so installs the wrong SDK.

    Args:
        folder: The package.
        python: Such as ``3.12``.
        run: Runs the command.

    Raises:
        PackageError: A requirement has no wheel for it, or the index does not answer.
    """
    target = folder / PACKAGES
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--no-config", "--target", str(target)]
    command += ["--only-binary", ":all:", "--python-platform", PLATFORM, "--python-version", python]
    run([*command, "--requirements", str(ROOT / "requirements.txt")], index_of_pip())
    for left_over in ("bin", ".lock"):
        path = target / left_over
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def compile_all(folder: Path, interpreter: str, run: Run = run) -> None:
    """Compile all modules, which spares a cold start more than a second; the package is mounted read-only there.

    Unchecked, since unpacking may set any time: https://docs.python.org/3/library/compileall.html.
    """
    run([interpreter, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", str(folder)], {})


def functions_in(folder: Path, interpreter: str, run: Run = run) -> list[str]:
    """Return the functions of the package, loaded by a Python that sees the package and its standard library alone.

    Raises:
        PackageError: It does not load.
    """
    paths = [str(folder), str(folder / PACKAGES)]
    return list(json.loads(run([interpreter, "-I", "-S", "-B", "-c", ASK.format(paths=paths)], {})))


def functions_in_worker(folder: Path, run: Run = run) -> list[str] | None:
    """Return the functions that Microsoft's worker library indexes, with the package's own libraries first.

    Returns:
        None where the worker's environment is not there.

    Raises:
        PackageError: The worker refuses the app.
    """
    worker = dev.Venv(ROOT / ".venv313", ROOT / "requirements-worker.txt", sys.executable).python
    if not worker.exists():
        return None
    command = [str(worker), str(ROOT / "tests" / "worker_driver.py"), str(folder)]
    (report,) = json.loads(
        run(command, {"PYTHONPATH": str(folder / PACKAGES), "PYTHON_SCRIPT_FILE_NAME": "function_app.py"})
    )
    if not report["loaded"]:
        raise PackageError(f"the worker does not load it: {str(report['error']).strip().splitlines()[-1]}")
    return sorted(function["name"] for function in report["functions"])


def defined() -> list[str]:
    """Return the functions that the app in this work tree defines."""
    import function_app  # noqa: PLC0415 - only for a check

    function_app.app.functions_bindings = {}  # the SDK lists them once, and calls the second time a repetition
    return sorted(str(function.get_function_name()) for function in function_app.app.get_functions())


def check(folder: Path, python: str, wanted: Iterable[str], run: Run = run) -> list[str]:
    """Load the package in every way that this machine can, and compare the functions.

    Args:
        folder: The package.
        python: The Python it is for.
        wanted: The functions that must be there, and no other.
        run: Runs a command.

    Returns:
        A line for each way.

    Raises:
        PackageError: It does not load, or not with those functions; or this machine has no way at all to tell.
    """
    version = tuple(int(part) for part in python.split("."))
    interpreter = dev.find_python((version[0], version[1]), os.environ)
    ways: dict[str, Callable[[], list[str] | None]] = {}
    if interpreter and sys.platform == "linux":
        ways[f"Python {python} with nothing but the package"] = partial(functions_in, folder, interpreter, run)
    if (version[0], version[1]) == dev.WORKER_PYTHON:
        ways["Microsoft's worker library"] = partial(functions_in_worker, folder, run)
    lines = []
    for way, ask in ways.items():
        found = ask()
        if found is None:
            continue
        if found != sorted(wanted):
            raise PackageError(f"{way} finds {found}, but the app defines {sorted(wanted)}")
        lines.append(f"{way} finds all {len(found)} functions")
    if not lines:
        raise PackageError(f"nothing here can load it: that takes Linux and Python {python}")
    return lines


def write_zip(folder: Path, file: Path) -> None:
    """Write the package as a zip file; the same content gives the same bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    leave = {MARK, ".funcignore"}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in leave):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes())


def build(folder: Path, python: str) -> None:
    """Build the package.

    Args:
        folder: Where; an earlier package there is replaced.
        python: The Python it is for, such as ``3.12``.

    Raises:
        PackageError: It cannot be built.
    """
    start_anew(folder)
    copy_source(folder)
    install(folder, python)
    version = tuple(int(part) for part in python.split("."))
    interpreter = dev.find_python((version[0], version[1]), os.environ)
    if interpreter:
        compile_all(folder, interpreter)
    else:
        say(f"not compiled, for there is no Python {python} here: cold starts take about a second longer")


def main(arguments: Sequence[str]) -> int:
    """Build, and check or zip if asked."""
    parser = argparse.ArgumentParser("dev.py package", description="Build what is uploaded to Azure.")
    parser.add_argument("--python", help="the Python of the app, such as 3.12; that of infra/main.bicep if not given")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the package is built, .package")
    parser.add_argument("--zip", type=Path, help="also write it into this file")
    parser.add_argument("--check", action="store_true", help="load it and compare its functions with the app's")
    chosen = parser.parse_args(arguments)
    try:
        python = chosen.python or python_of_the_app()
        build(chosen.folder, python)
        say(f"the package for Python {python} is in {chosen.folder.name}")
        for line in check(chosen.folder, python, defined()) if chosen.check else ():
            say(line)
        if chosen.zip:
            write_zip(chosen.folder, chosen.zip)
            say(f"{chosen.zip.name} has {chosen.zip.stat().st_size / 1e6:.1f} MB")
    except PackageError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
