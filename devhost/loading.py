"""Reads the functions of an app and refuses what would make the real worker load none of them.

On Azure one bad function takes all functions down, and the portal only shows "0 functions loaded". The rules here are
those of Microsoft's worker (``functions.py`` and ``loader.py`` of
https://github.com/Azure/azure-functions-python-worker) and of the host (``ValidateHttpFunction`` and ``ValidateName``
of https://github.com/Azure/azure-functions-host), with a text that names the function and the cure.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import json
import re
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import azure.functions as func

from devhost.sdk import converter

HTTP = "httpTrigger"
EVENT_GRID = "eventGridTrigger"
QUEUE = "queueTrigger"
TIMER = "timerTrigger"

RETURN = "$return"
"""The binding that takes what a function returns."""

_ARGUMENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        HTTP: "func.HttpRequest",
        EVENT_GRID: "func.EventGridEvent, func.CloudEvent or str",
        QUEUE: "func.QueueMessage or str",
        TIMER: "func.TimerRequest",
    }
)
"""The trigger kinds that the dev host runs, and how their parameter may be annotated."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,127}")
_RESERVED_ROUTES = ("admin", "runtime")


class LoadError(Exception):
    """The real worker or host would not load the app; the text names the function and the cure."""


@dataclass(frozen=True, slots=True)
class LoadedFunction:
    """A function that can be run.

    Args:
        name: Unique within the app, also when case is ignored.
        call: What the owner wrote, decorators included.
        is_async: Whether ``call`` is a coroutine function.
        directory: The folder of the file it is defined in.
        trigger: The trigger's binding as in function.json.
        argument: The parameter that gets the trigger's object.
        as_text: Whether that parameter is annotated ``str`` or ``bytes`` and gets the raw text.
        returns: Whether what it returns goes anywhere; otherwise it has to return ``None``.
        wants_context: Whether it has a parameter ``context``.
        retry: The ``@app.retry`` policy, empty without one.
    """

    name: str
    call: Callable[..., Any]
    is_async: bool
    directory: str
    trigger: Mapping[str, Any]
    argument: str
    as_text: bool
    returns: bool
    wants_context: bool
    retry: Mapping[str, str]

    @property
    def kind(self) -> str:
        """The trigger's type, one of ``HTTP``, ``EVENT_GRID``, ``QUEUE`` and ``TIMER``."""
        return str(self.trigger["type"])


async def find_app(folder: Path, script: str = "function_app.py") -> func.FunctionApp:
    """Import an app's entry point and return its ``FunctionApp``, the way the worker finds it.

    A coroutine, because the worker imports the module inside its running loop: ``asyncio.run()`` at import fails there
    and has to fail here.

    Args:
        folder: The app's folder; it is put in front of ``sys.path``.
        script: The file, as the app setting ``PYTHON_SCRIPT_FILE_NAME`` names it.

    Raises:
        LoadError: The module cannot be imported, or has no app or several at its top level.
    """
    return _import_app(folder, script)


def _import_app(folder: Path, script: str) -> func.FunctionApp:
    if not (folder / script).is_file():
        raise LoadError(f"{folder} has no {script}; start in the folder of the app")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        module = importlib.import_module(Path(script).stem)
    except Exception as error:
        raise LoadError(f"importing {script} failed with {type(error).__name__}: {error}") from error
    if module.__file__ is None or not Path(module.__file__).samefile(folder / script):
        raise LoadError(f"importing {script} gave {module.__file__}; another module of that name is in the way")
    names = [name for name in dir(module) if isinstance(getattr(module, name, None), func.FunctionRegister)]
    if not names:
        raise LoadError(f"{script} has no FunctionApp at its top level; write app = func.FunctionApp()")
    if len(names) > 1:
        raise LoadError(f"{script} has {len(names)} top-level names for an app ({', '.join(names)}); keep one")
    app: func.FunctionApp = getattr(module, names[0])
    return app


def load_functions(app: func.FunctionApp) -> list[LoadedFunction]:
    """Read and check the functions of an app.

    Returns:
        The functions in alphabetical order, which is the order in which the host tries their routes.

    Raises:
        LoadError: The real worker or host would refuse one of them.
    """
    # azure-functions remembers the names of an earlier call and would take each for its own duplicate.
    app.functions_bindings = {}
    try:
        registered = app.get_functions()
    except ValueError as error:
        raise LoadError(f"{error} Two functions of one name, or one without a trigger, stop the whole app.") from error
    loaded = sorted((_load(function) for function in registered), key=lambda function: function.name.lower())
    for one, other in itertools.pairwise(loaded):
        if one.name.lower() == other.name.lower():
            raise LoadError(f"functions {one.name} and {other.name} differ only in case; the host takes them for one")
    return loaded


def _load(registered: func.Function) -> LoadedFunction:
    name = registered.get_function_name() or ""
    call = registered.get_user_function()
    bindings = [json.loads(raw) for raw in registered.get_raw_bindings()]
    trigger = _trigger(name, bindings)
    _check_name(name)
    _check_callable(name, call)
    hints = _hints(name, call)
    parameters = dict(inspect.signature(call).parameters)
    wants_context = _takes_context(name, parameters, hints)
    _check_parameters(name, set(parameters) - ({"context"} if wants_context else set()), {trigger["name"]})
    returns = any(binding["name"] == RETURN for binding in bindings)
    if returns:
        _check_return(name, hints)
    if trigger["type"] == HTTP:
        _check_route(name, trigger)
    return LoadedFunction(
        name=name,
        call=call,
        is_async=inspect.iscoroutinefunction(call),
        directory=str(Path(inspect.getfile(call)).parent),
        trigger=MappingProxyType(trigger),
        argument=trigger["name"],
        as_text=_check_argument(name, trigger, hints),
        returns=returns,
        wants_context=wants_context,
        retry=MappingProxyType(dict(registered.get_settings_dict("retry_policy") or {})),
    )


def _trigger(name: str, bindings: list[dict[str, Any]]) -> dict[str, Any]:
    triggers = [binding for binding in bindings if str(binding["type"]).lower().endswith("trigger")]
    others = [binding for binding in bindings if binding not in triggers and binding["name"] != RETURN]
    if len(triggers) != 1 or triggers[0]["type"] not in _ARGUMENT_TYPES:
        kinds = ", ".join(str(binding["type"]) for binding in triggers) or "none"
        raise LoadError(
            f"function {name}: the dev host runs {', '.join(_ARGUMENT_TYPES)}, one a function; here: {kinds}"
        )
    if others:
        raise LoadError(
            f"function {name}: binding {others[0]['name']!r} of type {others[0]['type']} is not run by the dev host"
        )
    return triggers[0]


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name.lower() == "host":
        raise LoadError(
            f"function {name!r}: a name begins with a letter, goes on with letters, digits, - or _, has at most 128 "
            "of them and is not 'host'; set it with @app.function_name"
        )


def _check_callable(name: str, call: Callable[..., Any]) -> None:
    if not (inspect.isfunction(call) or inspect.ismethod(call)):
        raise LoadError(
            f"function {name}: the worker loads functions, not objects of {type(call).__name__}; write a def around it"
        )
    inner = inspect.unwrap(call)
    if inspect.iscoroutinefunction(inner) and not inspect.iscoroutinefunction(call):
        raise LoadError(
            f"function {name}: a plain def wraps the async function {inner.__name__}, so its coroutine is returned "
            "and never run; make the wrapper async def and await the function in it"
        )


def _hints(name: str, call: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(call)
    except Exception as error:
        raise LoadError(
            f"function {name}: an annotation cannot be read ({error}); import what it names at run time, "
            "not under TYPE_CHECKING"
        ) from error


def _takes_context(name: str, parameters: Mapping[str, inspect.Parameter], hints: Mapping[str, Any]) -> bool:
    if "context" not in parameters:
        return False
    hint = hints.get("context")
    if hint is not None and (not isinstance(hint, type) or hint.__name__ != "Context"):
        raise LoadError(f"function {name}: annotate context as func.Context, not {_shown(hint)}")
    return True


def _check_parameters(name: str, declared: set[str], bound: set[str]) -> None:
    unbound = sorted(declared - bound)
    if unbound:
        raise LoadError(
            f"function {name}: no binding names the parameter {unbound[0]}; the worker fills bindings and context, "
            "so remove it (a decorator that hides it has to drop __wrapped__, any other has to use functools.wraps)"
        )
    missing = sorted(bound - declared)
    if missing:
        raise LoadError(f"function {name}: the trigger fills a parameter {missing[0]} that the function does not have")


def _check_argument(name: str, trigger: Mapping[str, Any], hints: Mapping[str, Any]) -> bool:
    hint = hints.get(trigger["name"])
    if hint is None:
        return False
    allowed = _ARGUMENT_TYPES[trigger["type"]]
    if hint in {str, bytes}:
        return True
    if not isinstance(hint, type) or not converter(trigger["type"]).check_input_type_annotation(hint):
        raise LoadError(f"function {name}: annotate {trigger['name']} as {allowed}, not {_shown(hint)}")
    return False


def _check_return(name: str, hints: Mapping[str, Any]) -> None:
    if "return" not in hints:
        return
    hint = hints["return"]
    if not isinstance(hint, type) or not converter("http").check_output_type_annotation(hint):
        raise LoadError(f"function {name}: annotate what it returns as func.HttpResponse, not {_shown(hint)}")


def _check_route(name: str, trigger: Mapping[str, Any]) -> None:
    route = str(trigger["route"]).strip("/").lower()
    if route.startswith(_RESERVED_ROUTES):
        raise LoadError(
            f"function {name}: the host keeps routes that begin with admin or runtime for itself; rename {route!r}"
        )


def _shown(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)
