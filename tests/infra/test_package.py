"""The package: what is in it, for which Python, and that it is refused when it would not run."""

from __future__ import annotations

import fnmatch
import subprocess
import sys
import zipfile
from itertools import pairwise

import pytest

from infra import package
from infra.package import MARK, PACKAGES, PackageError
from tests.infra.bicep import ROOT


@pytest.fixture
def made(tmp_path):
    """A package without its libraries."""
    folder = tmp_path / "made"
    package.start_anew(folder)
    package.copy_source(folder)
    return folder


def recording(answer=""):
    """Return a runner that does nothing, and what it was asked to run."""
    asked = []

    def run(command, more):
        asked.append((list(command), dict(more)))
        return answer

    return run, asked


def test_core_tools_and_azd_upload_the_same():
    """Every file of the repository is either shipped or held back by .funcignore, and none is both."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    top = {name.partition("/")[0] for name in listed if name} - {".funcignore"}
    patterns = (ROOT / ".funcignore").read_text().split()
    held_back = {name for name in top if any(fnmatch.fnmatch(name, pattern) for pattern in patterns)}
    assert held_back | set(package.SHIPPED) >= top
    assert held_back & set(package.SHIPPED) == set()
    assert {"tests", "sandbox", "devhost", "infra", "local.settings.sample.json"} <= held_back


def test_the_source_is_copied_without_this_machines_bytecode(made):
    """The package has the app's source and nothing else of the repository, and tells azd to keep the bytecode."""
    assert {path.name for path in made.iterdir()} == {*package.SHIPPED, ".funcignore", MARK}
    assert not list(made.rglob("*.pyc"))
    assert (made / "functions" / "triggers" / "messages.py").read_bytes() == (
        ROOT / "functions" / "triggers" / "messages.py"
    ).read_bytes()
    assert all(line.startswith("#") for line in (made / ".funcignore").read_text().splitlines())


def test_only_a_package_is_replaced(made, tmp_path):
    """A folder with something else in it is left alone; an earlier package is built anew."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "letters.txt").write_text("dear")
    with pytest.raises(PackageError, match="is no package"):
        package.start_anew(other)
    assert (other / "letters.txt").read_text() == "dear"
    (made / "left.over").write_text("")
    package.start_anew(made)
    assert [path.name for path in made.iterdir()] == [MARK]


def test_libraries_are_for_azure_and_the_apps_python(made, monkeypatch):
    """Libraries are wheels for Linux and the Python asked for, from the index that pip is set up with."""
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.setattr(package, "index_of_pip", lambda: {"UV_DEFAULT_INDEX": "https://packages.example/simple"})
    run, asked = recording()
    package.install(made, "3.13", run)
    ((command, more),) = asked
    assert command[:4] == [sys.executable, "-m", "uv", "pip"]
    options = dict(pairwise(command))
    assert options["--python-version"] == "3.13"
    assert options["--python-platform"] == "x86_64-manylinux_2_28"
    assert options["--only-binary"] == ":all:"
    assert options["--target"] == str(made / PACKAGES)
    assert more == {"UV_DEFAULT_INDEX": "https://packages.example/simple"}


@pytest.mark.parametrize("name", ["UV_DEFAULT_INDEX", "UV_INDEX_URL"])
def test_uvs_own_index_wins(monkeypatch, name):
    """An index that was set for uv is not replaced by pip's."""
    monkeypatch.setenv(name, "https://own.example/simple")
    assert package.index_of_pip() == {}


def test_pips_index_is_used(monkeypatch):
    """Without an index for uv the one of pip is handed on."""
    monkeypatch.delenv("UV_DEFAULT_INDEX", raising=False)
    monkeypatch.delenv("UV_INDEX_URL", raising=False)
    monkeypatch.setattr(package, "run", recording("https://packages.example/simple\n")[0])
    assert package.index_of_pip() == {"UV_DEFAULT_INDEX": "https://packages.example/simple"}


def test_the_python_is_that_of_the_template(monkeypatch):
    """The package is for the Python of infra/main.bicep, unless azd's environment says otherwise."""
    monkeypatch.delenv("GATEWAY_PYTHON_VERSION", raising=False)
    assert package.python_of_the_app() == "3.12"
    monkeypatch.setenv("GATEWAY_PYTHON_VERSION", "3.13")
    assert package.python_of_the_app() == "3.13"


def test_a_package_is_loaded_and_its_functions_listed(tmp_path):
    """The check loads the package alone, with nothing that is installed here, and lists its functions."""
    app = tmp_path / "function_app.py"
    fake = (
        "class F:\n    def get_function_name(self): return 'f'\n"
        "class A:\n    def get_functions(self): return [F()]\n"
        "app = A()"
    )
    app.write_text(fake)
    assert package.functions_in(tmp_path, sys.executable) == ["f"]
    app.write_text("import azure.functions\n" + fake)
    with pytest.raises(PackageError, match="No module named 'azure'"):
        package.functions_in(tmp_path, sys.executable)


def test_a_package_with_other_functions_is_refused(tmp_path, monkeypatch):
    """A package that lacks a function, or that nothing here can load, does not pass."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(package.dev, "find_python", lambda version, environment: "python")
    run, _ = recording('["get_health"]')
    assert package.check(tmp_path, "3.12", ["get_health"], run) == [
        "Python 3.12 with nothing but the package finds all 1 functions"
    ]
    with pytest.raises(PackageError, match="the app defines"):
        package.check(tmp_path, "3.12", ["get_health", "send_messages"], run)
    monkeypatch.setattr(package.dev, "find_python", lambda version, environment: None)
    with pytest.raises(PackageError, match="nothing here can load it"):
        package.check(tmp_path, "3.12", ["get_health"], run)


def test_the_app_defines_functions():
    """What the check compares with is what the app has, each time it is asked."""
    assert "send_messages" in package.defined()
    assert package.defined() == sorted(package.defined())


def test_the_zip_is_the_same_each_time(made, tmp_path):
    """Two zips of one package are equal byte by byte, with host.json at their root and nothing of ours for azd."""
    files = tmp_path / "one.zip", tmp_path / "two.zip"
    for file in files:
        package.write_zip(made, file)
    one, two = (file.read_bytes() for file in files)
    assert one == two
    with zipfile.ZipFile(files[0]) as archive:
        names = archive.namelist()
        assert {"host.json", "function_app.py", "functions/__init__.py"} <= set(names)
        assert not {MARK, ".funcignore"} & set(names)
        assert archive.read("host.json") == (ROOT / "host.json").read_bytes()


def test_a_command_that_fails_says_why():
    """What a failed command said last is what the person reads."""
    with pytest.raises(PackageError, match="no wheel"):
        package.run([sys.executable, "-c", "import sys; sys.exit('no wheel')"], {})
    assert package.run(
        [sys.executable, "-c", "import os, sys; print(os.environ['A'], sys.stdin.read())"], {"A": "b"}
    ) == ("b []\n")
