"""How functions are run: threads, timeouts, escaped cancellations, counters and log lines."""

import asyncio
import contextlib
import contextvars
import logging
import threading
import time

import azure.functions as func
import pytest

SECRETS = ("the-echo-key", "+4366012345678", "my text")


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.DEBUG)

    def read(name="devhost.invocation"):
        return [record.getMessage() for record in caplog.records if record.name == name]

    return read


def app_with(function):
    app = func.FunctionApp()
    app.route(function.__name__)(function)
    return app


async def call(client, host, name, **params):
    url = f"{host.url}/api/{name}"
    async with client.post(url, params={"code": "the-host-key"} | params, data="my text") as response:
        return response.status


async def test_one_line_for_each_invocation(serve, client, lines):
    """Each run leaves one line with function, time and outcome."""

    async def good(req: func.HttpRequest) -> str:
        return "ok"

    host = await serve(app_with(good))
    await call(client, host, "good")
    await call(client, host, "good")

    first, second = lines()
    assert first.startswith("good succeeded in ")
    assert " ms (" in first
    assert first != second
    assert host.executions == {"good": 2}


async def test_nothing_secret_is_logged(serve, client, lines, caplog, keys):
    """Neither keys nor bodies nor query strings reach the log, also when the function fails with its URL in hand."""
    keys.functions["broken"] = {"default": "the-echo-key"}

    async def broken(req: func.HttpRequest) -> str:
        raise ValueError(f"cannot read {req.url}")

    host = await serve(app_with(broken))
    async with client.get(host.url + "/api/broken?to=%2B4366012345678&code=the-echo-key&x=1") as response:
        assert response.status == 500
    async with client.get(host.url + "/api/missing?code=the-echo-key"):
        pass
    async with client.get(host.url + "/runtime/webhooks/EventGrid?code=the-echo-key"):
        pass

    (line,) = lines()
    assert line.startswith("broken failed in ")
    assert "ValueError" in line
    everything = "\n".join(str(record.__dict__) for record in caplog.records if record.name.startswith("devhost"))
    assert "the-echo-key" not in everything
    assert "Traceback" in lines("devhost.error")[0]
    assert all(secret not in line for secret in SECRETS)


async def test_plain_functions_run_in_threads(serve, client):
    """A plain def runs beside the loop, several at once, without the caller's context variables."""
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    seen = []

    def blocking(req: func.HttpRequest, context: func.Context) -> str:
        seen.append((threading.current_thread(), variable.get(), context.thread_local_storage.invocation_id))
        together.wait(2)
        return "ok"

    together = threading.Barrier(2)
    host = await serve(app_with(blocking), settings={"PYTHON_THREADPOOL_THREAD_COUNT": "2"})

    answers = await asyncio.gather(call(client, host, "blocking"), call(client, host, "blocking"))

    assert answers == [200, 200]
    assert len({thread for thread, _, _ in seen}) == 2
    assert threading.main_thread() not in {thread for thread, _, _ in seen}
    assert {value for _, value, _ in seen} == {"unset"}
    assert len({invocation for _, _, invocation in seen}) == 2


async def test_thread_count(serve, client):
    """PYTHON_THREADPOOL_THREAD_COUNT of 1 makes plain functions wait for one another."""
    running, most = 0, 0

    def counted(req: func.HttpRequest) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        time.sleep(0.01)
        running -= 1
        return "ok"

    host = await serve(app_with(counted), settings={"PYTHON_THREADPOOL_THREAD_COUNT": "1"})
    await asyncio.gather(*(call(client, host, "counted") for _ in range(4)))

    assert most == 1


async def test_function_timeout(serve, client, lines):
    """A function that takes longer than functionTimeout is cancelled and answered with 500, with a loud line."""
    cancelled = []

    async def slow(req: func.HttpRequest) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise
        return "late"

    host = await serve(app_with(slow), host_json={"functionTimeout": "00:00:00.05"})

    assert await call(client, host, "slow") == 500
    assert cancelled == [True]
    assert "FunctionTimeoutError" in lines()[0]
    assert "the worker restarts" in lines("devhost.error")[0]


async def test_function_that_ignores_its_timeout(serve, client, monkeypatch):
    """A function that swallows the cancellation does not hold up the answer."""
    monkeypatch.setattr("devhost.invoke._CANCEL_GRACE", 0.02)
    released = asyncio.Event()

    async def stubborn(req: func.HttpRequest) -> str:
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()
        return "late"

    host = await serve(app_with(stubborn), host_json={"functionTimeout": "00:00:00.02"})

    assert await asyncio.wait_for(call(client, host, "stubborn"), 2) == 500
    released.set()
    await asyncio.sleep(0.01)


async def test_escaped_cancellation(serve, client, lines):
    """CancelledError out of a function is 500 here and said loudly, since it would hang on Azure."""

    async def escaping(req: func.HttpRequest) -> str:
        raise asyncio.CancelledError

    host = await serve(app_with(escaping))

    assert await call(client, host, "escaping") == 500
    assert "HangsError" in lines()[0]
    assert "hangs until functionTimeout" in lines("devhost.error")[0]


async def test_requests_annotated_as_text_fail(serve, client):
    """The worker loads an HTTP function that asks for a text, and fails each call; so does this."""

    async def text(req: str) -> str:
        return "never"

    host = await serve(app_with(text))

    assert await call(client, host, "text") == 500


async def test_async_functions_see_no_context_of_the_host(serve, client):
    """Each invocation starts with a context of its own: nothing of the host's, nothing of the one before."""
    variable = contextvars.ContextVar("variable", default="fresh")
    seen = []

    async def setter(req: func.HttpRequest) -> str:
        seen.append(variable.get())
        variable.set("left over")
        return "ok"

    variable.set("the host's")
    host = await serve(app_with(setter))
    await call(client, host, "setter")
    await call(client, host, "setter")

    assert seen == ["fresh", "fresh"]
