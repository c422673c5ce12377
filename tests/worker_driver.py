"""Loads function apps with Microsoft's own worker library, calls their functions, and prints what happened as JSON.

    python worker_driver.py FOLDER... < calls.json

Needs Python 3.13 and azure-functions-runtime, which is the worker of Azure Functions without its gRPC shell:
https://github.com/Azure/azure-functions-python-worker/tree/dev/runtimes/v2. The messages of
https://github.com/Azure/azure-functions-language-worker-protobuf are plain Python objects here.

Standard input is a JSON list of calls, made one after the other in each app::

    {"function": NAME, "data": {"http": {...}} or {"string": TEXT} or {"json": TEXT},
     "metadata": {NAME: {"json": TEXT}}, "environment": {NAME: TEXT}, "trace_parent": TEXT, "pause": SECONDS}

``http`` has ``method``, ``url``, ``headers``, ``query``, ``params`` and ``body`` (text); ``metadata`` is what the host
sends beside a queue message, ``environment`` is set before the call, ``trace_parent`` is the host's span, and after the
call the app is left alone for the pause; all may be left out. Standard output is a JSON list with one report a folder::

    {"loaded": true, "error": null, "functions": [{"name": NAME, "bindings": [...]}],
     "calls": [{"status": "success" or "failure" or "hangs", "error": TEXT, "value": {"http": {...}}}]}
"""

from __future__ import annotations

import asyncio
import json
import logging
import multiprocessing
import os
import sys
import uuid
from contextlib import redirect_stdout
from types import SimpleNamespace
from typing import Any


class Message(SimpleNamespace):
    """A stand-in for any protobuf message: fields are attributes."""

    def WhichOneof(self, _: str) -> str | None:  # noqa: N802 protobuf's name
        """Return the field that is set; of the messages that are asked, only ``name`` is outside of their choice."""
        return next((field for field, value in vars(self).items() if value is not None and field != "name"), None)


class Messages:
    """The module-like object that the worker takes its message classes from."""

    BindingInfo = type("BindingInfo", (Message,), {"in": 0, "out": 1, "inout": 2, "undefined": 0})
    StatusResult = type("StatusResult", (Message,), {"Failure": 0, "Success": 1})
    RpcHttpCookie = type(
        "RpcHttpCookie",
        (Message,),
        {"SameSite": type("SameSite", (), {"None": 0, "Lax": 1, "Strict": 2, "ExplicitNone": 3})},
    )

    def __getattr__(self, name: str) -> type[Message]:
        """Return a plain message for every other name."""
        return Message


def envelope(**content: Any) -> Any:
    """Wrap a request as the gRPC shell does."""
    return SimpleNamespace(
        request=Message(**content),
        properties={"protos": Messages(), "host": "127.0.0.1"},
    )


async def report_on(folder: str, calls: list[dict[str, Any]]) -> dict[str, Any]:
    """Load one app, make the calls and describe both."""
    import azure_functions_runtime as worker

    worker.start_threadpool_executor()
    try:
        init = Message(capabilities={}, function_app_directory=folder)
        answer = await worker.worker_init_request(envelope(worker_init_request=init))
        if answer.result.status != Messages.StatusResult.Success:
            return {"loaded": False, "error": answer.result.exception.message, "functions": [], "calls": []}
        metadata = await worker.functions_metadata_request(envelope(functions_metadata_request=Message()))
        known = {function.name: function for function in metadata.function_metadata_results or []}
        for function in known.values():
            load = Message(function_id=function.function_id, metadata=function)
            loaded = await worker.function_load_request(envelope(function_load_request=load))
            if loaded.result.status != Messages.StatusResult.Success:
                raise RuntimeError(f"{function.name} was indexed but not loaded")
        return {
            "loaded": True,
            "error": None,
            "functions": [
                {"name": function.name, "bindings": [json.loads(raw) for raw in function.raw_bindings]}
                for function in known.values()
            ],
            "calls": [await made(worker, known[call["function"]], call) for call in calls],
        }
    finally:
        worker.stop_threadpool_executor()


async def made(worker: Any, function: Any, call: dict[str, Any]) -> dict[str, Any]:
    """Make one call and describe the answer."""
    os.environ.update(call.get("environment", {}))
    trigger = next(json.loads(raw) for raw in function.raw_bindings if json.loads(raw)["direction"] == "IN")
    request = Message(
        invocation_id=str(uuid.uuid4()),
        function_id=function.function_id,
        input_data=[Message(name=trigger["name"], data=typed(call["data"]))],
        trigger_metadata={name: typed(value) for name, value in call.get("metadata", {}).items()},
        trace_context=Message(trace_parent=call.get("trace_parent", "00-0-0-00"), trace_state="", attributes={}),
        retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
    )
    task = asyncio.create_task(worker.invocation_request(envelope(invocation_request=request)))
    await asyncio.wait({task})
    if task.cancelled():
        # The worker catches Exception only, so nothing is ever sent back to the host.
        return {"status": "hangs", "error": "CancelledError", "value": None}
    await asyncio.sleep(call.get("pause", 0))
    answer = task.result()
    if answer.result.status != Messages.StatusResult.Success:
        return {"status": "failure", "error": answer.result.exception.message, "value": None}
    return {"status": "success", "error": None, "value": plain(getattr(answer, "return_value", None))}


def typed(data: dict[str, Any]) -> Message:
    """Make a TypedData of its JSON form."""
    ((kind, value),) = data.items()
    if kind != "http":
        return Message(**{kind: value})
    # The host sends bodies as bytes, and none at all when there is nothing in them.
    body = Message(bytes=value["body"].encode()) if value["body"] else Message()
    return Message(http=Message(**{**value, "body": body}))


def plain(value: Any) -> dict[str, Any] | None:
    """Make the JSON form of what a function returned."""
    if value is None:
        return None
    kind = value.WhichOneof("data")
    if kind != "http":
        return {kind: getattr(value, kind)}
    http = value.http
    cookies = [{"name": cookie.name, "value": cookie.value} for cookie in http.cookies or []]
    body = http.body.bytes.decode(errors="replace")
    return {"http": {"status": int(http.status_code), "headers": dict(http.headers), "cookies": cookies, "body": body}}


def run(folder: str, calls: list[dict[str, Any]], answer: Any) -> None:
    """Report on one app from a process of its own, since the worker keeps its functions in globals."""
    logging.disable()
    os.chdir(folder)
    sys.path.insert(0, folder)
    answer.send(asyncio.run(report_on(folder, calls)))


def main() -> None:
    """Report on the folders that the command line names."""
    calls = json.load(sys.stdin)
    # Forking saves importing the worker once a folder.
    way = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
    processes = multiprocessing.get_context(way)
    reports = []
    with redirect_stdout(sys.stderr):
        if way == "fork":
            import azure_functions_runtime  # noqa: F401 for the children
        for folder in sys.argv[1:]:
            receiving, sending = processes.Pipe(duplex=False)
            process = processes.Process(target=run, args=(os.path.realpath(folder), calls, sending))
            process.start()
            sending.close()
            try:
                reports.append(receiving.recv())
            except EOFError:
                reports.append({"loaded": False, "error": "the process died", "functions": [], "calls": []})
            process.join()
    json.dump(reports, sys.stdout)


if __name__ == "__main__":
    main()
