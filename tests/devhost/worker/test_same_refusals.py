"""What Microsoft's worker refuses to load the dev host refuses too, with a name and a cure."""

import asyncio

import pytest

from devhost import LoadError, find_app, load_functions
from tests.devhost.worker.conftest import SMALL_SCRIPT as SCRIPT

HEAD = """
import asyncio, functools
import azure.functions as func
from typing import List, Optional, TYPE_CHECKING
app = func.FunctionApp()

def plain(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner

def bare(function):
    async def inner(*args, **kwargs):
        return await function(*args, **kwargs)
    return inner

def wrapping(function):
    @functools.wraps(function)
    async def inner(*args, **kwargs):
        return await function(*args, **kwargs)
    return inner

def hiding(function):
    @functools.wraps(function)
    async def inner(req: func.HttpRequest):
        return await function(req, 1)
    del inner.__wrapped__
    inner.__annotations__ = {"req": func.HttpRequest}
    return inner
"""

REFUSED = {
    "optional return": '@app.route("x")\ndef f(req: func.HttpRequest) -> Optional[func.HttpResponse]: ...',
    "union return": '@app.route("x")\ndef f(req: func.HttpRequest) -> func.HttpResponse | str: ...',
    "None return": '@app.route("x")\ndef f(req: func.HttpRequest) -> None: ...',
    "dict return": '@app.route("x")\ndef f(req: func.HttpRequest) -> dict: ...',
    "dict request": '@app.route("x")\ndef f(req: dict): ...',
    "dict message": '@app.queue_trigger("msg", "q", "C")\ndef f(msg: dict): ...',
    "list of events": '@app.event_grid_trigger("e")\ndef f(e: List[func.EventGridEvent]): ...',
    "union of events": '@app.event_grid_trigger("e")\ndef f(e: func.EventGridEvent | func.CloudEvent): ...',
    "dict timer": '@app.timer_trigger("t", "0 0 0 * * *")\ndef f(t: dict): ...',
    "extra parameter": '@app.route("x")\ndef f(req: func.HttpRequest, extra): ...',
    "defaulted parameter": '@app.route("x")\ndef f(req: func.HttpRequest, extra=1): ...',
    "keywords": '@app.route("x")\ndef f(req: func.HttpRequest, **extra): ...',
    "missing parameter": '@app.queue_trigger("msg", "q", "C")\ndef f(): ...',
    "dict context": '@app.route("x")\ndef f(req: func.HttpRequest, context: dict): ...',
    "two names": "application = app",
    "no app": "del app",
    "asyncio.run at import": "import contextlib\nwith contextlib.closing(asyncio.sleep(0)) as c: asyncio.run(c)",
    "missing package": "import no_such_package",
    "unknown decorator": '@app.no_such_trigger("x")\ndef f(x): ...',
    "unreadable annotation": '@app.route("x")\ndef f(req: "Missing"): ...',
    "one name twice": '@app.function_name("f")\n@app.route("x")\ndef f(req): ...\n'
    '@app.function_name("f")\n@app.route("y")\ndef g(req): ...',
    "callable object": 'class C:\n    __name__ = "c"\n    def __call__(self, req): ...\napp.route("x")(C())',
    "no trigger": '@app.function_name("f")\ndef f(req): ...',
    "wrapper without wraps": '@app.route("x")\n@bare\nasync def f(req: func.HttpRequest): ...',
}

STRICTER = {
    "plain wrapper around async": '@app.route("x")\n@plain\nasync def f(req: func.HttpRequest): ...',
    "reserved route": '@app.route("admin/x")\ndef f(req: func.HttpRequest): ...',
    "names that differ in case": '@app.route("x")\ndef f(req): ...\n@app.route("y")\ndef F(req): ...',
    "bad name": '@app.function_name("a b")\n@app.route("x")\ndef f(req): ...',
    "other binding": '@app.route("x")\n@app.queue_output("out", "q", "C")\ndef f(req, out: func.Out[str]): ...',
}

LOADED = {
    "unannotated": '@app.route("x")\ndef f(req): ...',
    "text return": '@app.route("x")\ndef f(req: func.HttpRequest) -> str: ...',
    "text request": '@app.route("x")\ndef f(req: str) -> str: ...',
    "text message": '@app.queue_trigger("msg", "q", "C")\ndef f(msg: str) -> int: ...',
    "bytes message": '@app.queue_trigger("msg", "q", "C")\ndef f(msg: bytes): ...',
    "cloud event": '@app.event_grid_trigger("e")\nasync def f(e: func.CloudEvent) -> Optional[int]: ...',
    "context": '@app.timer_trigger("t", "0 0 0 * * *")\ndef f(t: func.TimerRequest, context: func.Context): ...',
    "wrapper with wraps": '@app.route("x")\n@wrapping\nasync def f(req: func.HttpRequest): ...',
    "wrapper that hides a parameter": '@app.route("x")\n@hiding\nasync def f(req, service): ...',
    "future annotations": '@app.route("x")\ndef f(req: "func.HttpRequest") -> "func.HttpResponse": ...',
    "blueprint at top level": 'b = func.Blueprint()\n@b.route("x")\ndef f(req): ...\napp.register_functions(b)',
    "running loop at import": 'loop = asyncio.get_running_loop()\n@app.route("x")\ndef f(req): ...',
}

ALL = {**REFUSED, **STRICTER, **LOADED}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    made = {}
    for number, (name, source) in enumerate(ALL.items()):
        folder = tmp_path_factory.mktemp(f"app{number}-")
        (folder / SCRIPT).write_text(HEAD + source + "\n")
        made[name] = folder
    return made


@pytest.fixture(scope="module")
def reports(ask_worker, folders):
    """What the worker says of each app; one process asks for all of them."""
    return dict(zip(folders, ask_worker(*folders.values(), script=SCRIPT), strict=True))


async def loaded(folder):
    return load_functions(await find_app(folder, SCRIPT))


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse(reports, folders, clean_modules, name):
    """An app that the worker does not load is refused by the dev host."""
    assert reports[name]["loaded"] is False
    assert reports[name]["functions"] == []
    with pytest.raises(LoadError):
        asyncio.run(loaded(folders[name]))


@pytest.mark.parametrize("name", STRICTER)
def test_dev_host_refuses(reports, folders, clean_modules, name):
    """What the worker loads, but would fail in the host or in every call, is refused by the dev host alone."""
    assert reports[name]["loaded"] is True
    with pytest.raises(LoadError):
        asyncio.run(loaded(folders[name]))


@pytest.mark.parametrize("name", LOADED)
def test_both_load(reports, folders, clean_modules, name):
    """An app that the worker loads is loaded by the dev host, with the same functions."""
    assert reports[name]["error"] is None
    functions = asyncio.run(loaded(folders[name]))
    assert [function.name for function in functions] == [function["name"] for function in reports[name]["functions"]]
