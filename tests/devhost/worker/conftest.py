"""Microsoft's worker library, where its environment is there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PYTHON = ROOT / ".venv313" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
SAMPLE = Path(__file__).parent / "sample_app"
SCRIPT = "sample_functions.py"
SMALL_SCRIPT = "tested_app.py"


@pytest.fixture(scope="session")
def worker_python():
    """The Python that has the worker; without it the test is skipped, or fails where REQUIRE_WORKER=1."""
    if not PYTHON.exists():
        why = (
            "no .venv313 with Microsoft's worker; python3 dev.py setup --servers makes it where a Python 3.13 is found"
        )
        if os.environ.get("REQUIRE_WORKER") == "1":
            pytest.fail(why)
        pytest.skip(why)
    return PYTHON


@pytest.fixture(scope="session")
def ask_worker(worker_python):
    """Let the worker load apps and make calls; returns one report a folder."""

    def ask(*folders, calls=(), script="function_app.py", environment=None):
        done = subprocess.run(
            [worker_python, ROOT / "tests" / "worker_driver.py", *folders],
            input=json.dumps(list(calls)),
            env=os.environ | {"PYTHON_SCRIPT_FILE_NAME": script} | (environment or {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


@pytest.fixture
def clean_modules():
    """Forget the small app that a test imports, and where it was looked for."""
    path = list(sys.path)
    yield
    sys.path[:] = path
    for script in (SCRIPT, SMALL_SCRIPT):
        sys.modules.pop(Path(script).stem, None)
