"""What the real worker refuses is refused at start, with the function's name and the cure."""

import functools
import sys
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from devhost import LoadError, find_app, load_functions
from devhost.loading import EVENT_GRID, HTTP, QUEUE, TIMER


def new_app():
    return func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def refusal(app):
    with pytest.raises(LoadError) as caught:
        load_functions(app)
    return str(caught.value)


def test_read_what_can_be_run():
    """Functions of all four kinds are read, in alphabetical order, and again when asked again."""
    app = new_app()

    @app.route("b/{id}", methods=["GET"])
    def web(req: func.HttpRequest, context: func.Context) -> func.HttpResponse: ...

    @app.queue_trigger("msg", "jobs", "Storage")
    async def Jobs(msg: func.QueueMessage) -> None: ...  # noqa: N802 shows that order ignores case

    @app.event_grid_trigger("event")
    async def grid(event: str): ...

    @app.timer_trigger("tick", "0 0 * * * *")
    @app.retry("fixed_delay", "3", delay_interval="00:00:01")
    def clean(tick: func.TimerRequest): ...

    once, again = load_functions(app), load_functions(app)

    assert [(one.name, one.kind) for one in once] == [
        ("clean", TIMER),
        ("grid", EVENT_GRID),
        ("Jobs", QUEUE),
        ("web", HTTP),
    ]
    assert [one.name for one in again] == [one.name for one in once]
    clean_, grid_, jobs_, web_ = once
    assert (web_.wants_context, web_.returns, web_.is_async) == (True, True, False)
    assert (jobs_.wants_context, jobs_.returns, jobs_.is_async) == (False, False, True)
    assert (grid_.as_text, jobs_.as_text) == (True, False)
    assert clean_.retry["max_retry_count"] == "3"
    assert web_.directory == str(Path(__file__).parent)


@pytest.mark.parametrize(
    "hint",
    ["func.HttpResponse | None", "func.HttpResponse | str", "None", "dict", "Any", "list[str]", "int"],
)
def test_refuse_return_annotation(hint):
    """An HTTP function may be annotated to return func.HttpResponse or str, nothing else."""
    app = new_app()

    def web(req): ...

    web.__annotations__ = {"return": eval(hint, {"func": func, "Any": Any})}  # noqa: S307 a table of annotations
    app.route("x")(web)

    text = refusal(app)

    assert text.startswith("function web: ")
    assert "func.HttpResponse" in text


@pytest.mark.parametrize("hint", [func.HttpResponse, str])
def test_allow_return_annotation(hint):
    """The two return annotations that the worker takes are taken."""
    app = new_app()

    def web(req): ...

    web.__annotations__ = {"return": hint}
    app.route("x")(web)

    assert load_functions(app)[0].returns


class Model:
    pass


@pytest.mark.parametrize(
    ("decorate", "hint", "cure"),
    [
        (lambda app: app.route("x", trigger_arg_name="arg"), dict, "func.HttpRequest"),
        (lambda app: app.route("x", trigger_arg_name="arg"), Model, "func.HttpRequest"),
        (lambda app: app.queue_trigger("arg", "q", "C"), dict, "func.QueueMessage or str"),
        (lambda app: app.queue_trigger("arg", "q", "C"), list[func.QueueMessage], "func.QueueMessage or str"),
        (lambda app: app.event_grid_trigger("arg"), list[func.EventGridEvent], "func.EventGridEvent"),
        (lambda app: app.event_grid_trigger("arg"), func.EventGridEvent | func.CloudEvent, "func.CloudEvent"),
        (lambda app: app.timer_trigger("arg", "0 0 * * * *"), dict, "func.TimerRequest"),
        (lambda app: app.timer_trigger("arg", "0 0 * * * *"), func.QueueMessage, "func.TimerRequest"),
    ],
)
def test_refuse_trigger_annotation(decorate, hint, cure):
    """A trigger's parameter may be annotated with the SDK's own type only."""
    app = new_app()

    def bad(arg): ...

    bad.__annotations__ = {"arg": hint}
    decorate(app)(bad)

    text = refusal(app)

    assert text.startswith("function bad: annotate arg as ")
    assert cure in text


def test_refuse_parameters_without_a_binding():
    """A parameter that no binding names is refused, be it defaulted or a catch-all."""
    for extra in ("def f(req, extra): ...", "def f(req, extra=1): ...", "def f(req, **extra): ..."):
        app = new_app()
        names = {}
        exec(extra, names)  # noqa: S102 a table of signatures
        names["f"].__module__ = __name__
        app.route("x")(names["f"])

        text = refusal(app)

        assert "function f: no binding names the parameter extra" in text


def test_refuse_a_trigger_without_its_parameter():
    """A trigger needs its parameter in the function."""
    app = new_app()

    @app.queue_trigger("msg", "q", "C")
    def f(other): ...

    assert "parameter other" in refusal(app)

    app = new_app()

    @app.queue_trigger("msg", "q", "C")
    def g(): ...

    assert "fills a parameter msg" in refusal(app)


def test_refuse_context_of_another_type():
    """A parameter context is the invocation's context or nothing."""
    app = new_app()

    @app.route("x")
    def f(req: func.HttpRequest, context: dict): ...

    assert "function f: annotate context as func.Context, not dict" in refusal(app)


def test_refuse_a_plain_wrapper_around_an_async_function():
    """A plain def around an async function would return a coroutine that nobody runs."""

    def decorated(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return function(*args, **kwargs)

        return inner

    app = new_app()

    @app.route("x")
    @decorated
    async def f(req: func.HttpRequest) -> func.HttpResponse: ...

    text = refusal(app)

    assert "function f: a plain def wraps the async function f" in text
    assert "async def" in text


def test_refuse_a_wrapper_without_wraps():
    """A wrapper that does not pass on the signature shows parameters that no binding names."""

    def decorated(function):
        async def inner(*args, **kwargs):
            return await function(*args, **kwargs)

        return inner

    app = new_app()

    @app.route("x")
    @decorated
    async def f(req: func.HttpRequest) -> func.HttpResponse: ...

    assert "functools.wraps" in refusal(app)


def test_allow_a_wrapper_that_hides_a_parameter():
    """A wrapper may fill parameters itself when it drops __wrapped__ and carries its own annotations."""

    def injected(function):
        @functools.wraps(function)
        async def inner(req: func.HttpRequest) -> func.HttpResponse:
            return await function(req, service=1)

        del inner.__wrapped__
        inner.__annotations__ = {"req": func.HttpRequest, "return": func.HttpResponse}
        return inner

    app = new_app()

    @app.route("x")
    @injected
    async def f(req, service) -> func.HttpResponse: ...

    assert load_functions(app)[0].is_async


def test_refuse_annotations_that_cannot_be_read():
    """A name that exists for the type checker only cannot be read at run time."""
    app = new_app()

    @app.route("x")
    def f(req: "Missing"): ...  # noqa: F821 that is the point

    text = refusal(app)

    assert "function f: an annotation cannot be read" in text
    assert "TYPE_CHECKING" in text


def test_refuse_an_object_instead_of_a_function():
    """Callable objects load nowhere."""

    class Called:
        __name__ = "called"

        def __call__(self, req): ...

    app = new_app()
    app.route("x")(Called())

    assert "objects of Called" in refusal(app)


def test_refuse_two_functions_of_one_name():
    """Two functions of one name across blueprints are refused, also when only their case differs."""
    for one_name, other_name in (("twin", "twin"), ("twin", "Twin")):
        app = new_app()
        for index, name in enumerate((one_name, other_name)):
            blueprint = func.Blueprint()

            @blueprint.function_name(name)
            @blueprint.route(f"x{index}")
            def f(req: func.HttpRequest): ...

            app.register_functions(blueprint)

        text = refusal(app)

        assert "twin" in text


@pytest.mark.parametrize("name", ["1st", "a b", "host", "x" * 129, "ä"])
def test_refuse_names(name):
    """Names that the host refuses are refused."""
    app = new_app()

    @app.function_name(name)
    @app.route("x")
    def f(req: func.HttpRequest): ...

    assert "@app.function_name" in refusal(app)


@pytest.mark.parametrize("route", ["admin", "/admin/x", "administrators", "runtime/x", "Runtime"])
def test_refuse_reserved_routes(route):
    """Routes that begin with admin or runtime belong to the host."""
    app = new_app()

    @app.route(route)
    def f(req: func.HttpRequest): ...

    assert "function f: the host keeps routes" in refusal(app)


def test_refuse_other_bindings():
    """What the dev host does not run is refused instead of being ignored."""
    app = new_app()

    @app.route("x")
    @app.queue_output("out", "q", "C")
    def f(req: func.HttpRequest, out: func.Out[str]): ...

    assert "function f: binding 'out' of type queue" in refusal(app)

    app = new_app()

    @app.blob_trigger("blob", "path", "C")
    def g(blob: func.InputStream): ...

    assert "here: blobTrigger" in refusal(app)


def test_refuse_a_function_without_a_trigger():
    """A named function without a trigger stops the app."""
    app = new_app()

    @app.function_name("f")
    def f(req): ...

    assert "f does not have a trigger" in refusal(app)


# Finding the app ----------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """An app folder whose import leaves nothing behind."""
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in ("found_app", "app_file"):
        sys.modules.pop(name, None)


APP = "import azure.functions as func\napp = func.FunctionApp()\n"


async def test_find_app(folder):
    """The one FunctionApp of the module is found, blueprints beside it or not."""
    (folder / "found_app.py").write_text(APP + "part = func.Blueprint()\n")

    assert isinstance(await find_app(folder, "found_app.py"), func.FunctionApp)


async def test_refuse_another_module_of_the_name(folder):
    """A module of the entry point's name from elsewhere is not taken for the app."""
    (folder / "json.py").write_text(APP)

    with pytest.raises(LoadError, match="in the way"):
        await find_app(folder, "json.py")


@pytest.mark.parametrize(
    ("source", "word"),
    [
        (None, "has no app_file.py"),
        ("x = 1\n", "no FunctionApp"),
        (APP + "application = app\n", "2 top-level names"),
        ("import nothing_of_that_name\n", "ModuleNotFoundError"),
        (
            APP + "import asyncio, contextlib\nasync def f(): ...\nwith contextlib.closing(f()) as c: asyncio.run(c)\n",
            "running event loop",
        ),
    ],
)
async def test_refuse_app_file(folder, source, word):
    """An app file that the worker cannot index is refused with the reason."""
    if source is not None:
        (folder / "app_file.py").write_text(source)

    with pytest.raises(LoadError) as caught:
        await find_app(folder, "app_file.py")

    assert word in str(caught.value)
