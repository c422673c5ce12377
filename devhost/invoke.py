"""Runs functions the way Microsoft's worker does: decode the trigger, call, judge what came back.

The steps and their failures follow ``invocation_request`` of https://github.com/Azure/azure-functions-python-worker;
the objects a function receives are made by the SDK's own converters.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import re
import secrets
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from azure.functions.meta import Datum

from devhost.loading import HTTP, LoadedFunction
from devhost.sdk import converter

log = logging.getLogger("devhost.invocation")
error_log = logging.getLogger("devhost.error")

_THREADS_SETTING = "PYTHON_THREADPOOL_THREAD_COUNT"
_KEY_IN_URL = re.compile(r"([?&]code=)[^&\s'\"]+", re.IGNORECASE)
_CANCEL_GRACE = 1.0


class FunctionTimeoutError(Exception):
    """The invocation took longer than ``functionTimeout``; the real host restarts the worker process then."""


class HangsError(Exception):
    """CancelledError escaped: the real worker would never answer this invocation."""


@dataclass(frozen=True, slots=True)
class TraceContext:
    """The W3C trace context that the host hands to an invocation."""

    trace_parent: str
    trace_state: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RetryContext:
    """How often this run of a function with a retry policy was tried before."""

    retry_count: int
    max_retry_count: int
    exception: BaseException | None


_invocation_local = threading.local()


@dataclass(frozen=True, slots=True)
class Context:
    """What a parameter ``context`` receives; as in the real worker no subclass of ``func.Context``."""

    invocation_id: str
    function_name: str
    function_directory: str
    trace_context: TraceContext
    retry_context: RetryContext
    thread_local_storage: threading.local = _invocation_local


@dataclass(frozen=True, slots=True)
class Call:
    """One invocation to be made.

    Args:
        datum: The trigger's value as the host sends it to the worker.
        metadata: The trigger's metadata as the host sends it.
        trace_parent: A ``traceparent`` header to continue, if the caller sent one.
        trace_state: The ``tracestate`` header that came with it.
        retry: What to tell a function with a retry policy.
    """

    datum: Datum
    metadata: Mapping[str, Datum] = field(default_factory=dict)
    trace_parent: str | None = None
    trace_state: str = ""
    retry: RetryContext = RetryContext(0, 0, None)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended.

    Args:
        value: What an HTTP function returned, encoded; ``None`` otherwise.
        error: Why it failed, or ``None``.
    """

    value: Datum | None = None
    error: BaseException | None = None


class Invoker:
    """Runs functions, counts them and logs one line for each."""

    def __init__(self, *, timeout: float | None, settings: Mapping[str, str]) -> None:
        """Set up the thread pool for plain ``def`` functions.

        Args:
            timeout: ``functionTimeout`` in seconds, ``None`` for no limit.
            settings: App settings; ``PYTHON_THREADPOOL_THREAD_COUNT`` sets the number of threads.
        """
        self.executions: Counter[str] = Counter()
        self._timeout = timeout
        threads = settings.get(_THREADS_SETTING, "")
        self._threads = ThreadPoolExecutor(int(threads) if threads.isdigit() else None, thread_name_prefix="function")

    def close(self) -> None:
        """Let the threads end; one that hangs is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, function: LoadedFunction, call: Call) -> Outcome:
        """Run a function once.

        Returns:
            The outcome; errors of the function are in it and never raised.
        """
        self.executions[function.name] += 1
        started = time.perf_counter()
        invocation_id = str(uuid.uuid4())
        try:
            outcome = Outcome(value=await self._limited(function, call, invocation_id))
        except Exception as error:  # noqa: BLE001 whatever a function raises is its outcome
            outcome = Outcome(error=error)
        milliseconds = (time.perf_counter() - started) * 1000
        if outcome.error is None:
            log.info("%s succeeded in %.0f ms (%s)", function.name, milliseconds, invocation_id)
        else:
            log.error(
                "%s failed in %.0f ms with %s (%s)",
                function.name,
                milliseconds,
                type(outcome.error).__name__,
                invocation_id,
            )
            error_log.error("%s", _traceback(outcome.error))
        return outcome

    async def _limited(self, function: LoadedFunction, call: Call, invocation_id: str) -> Datum | None:
        # A context of its own, as each message to the worker starts afresh.
        task = asyncio.create_task(self._called(function, call, invocation_id), context=contextvars.Context())
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timeout)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=_CANCEL_GRACE)
            raise FunctionTimeoutError(
                f"{function.name} took longer than functionTimeout ({self._timeout} s); on Azure the worker restarts "
                "now, which ends every other invocation on it"
            )
        if task.cancelled():
            raise HangsError(
                f"{function.name} let CancelledError escape; on Azure this invocation hangs until functionTimeout. "
                "Catch asyncio.CancelledError at the top of the function"
            )
        return task.result()

    async def _called(self, function: LoadedFunction, call: Call, invocation_id: str) -> Datum | None:
        arguments: dict[str, Any] = {function.argument: _decoded(function, call)}
        if function.wants_context:
            arguments["context"] = Context(
                invocation_id,
                function.name,
                function.directory,
                TraceContext(_child_of(call.trace_parent), call.trace_state, {}),
                call.retry,
            )
        if function.is_async:
            result = await function.call(**arguments)
        else:
            loop = asyncio.get_running_loop()
            result = await loop.run_in_executor(self._threads, _in_thread, function, arguments, invocation_id)
        if function.returns:
            return _encoded(result)
        if result is not None:
            raise RuntimeError(
                f"function {function.name!r} without a $return binding returned a non-None value; "
                "only HTTP functions return one"
            )
        return None


def _in_thread(function: LoadedFunction, arguments: Mapping[str, Any], invocation_id: str) -> Any:
    _invocation_local.invocation_id = invocation_id
    try:
        return function.call(**arguments)
    finally:
        _invocation_local.invocation_id = None


def _decoded(function: LoadedFunction, call: Call) -> Any:
    if function.as_text:
        if function.kind == HTTP:
            raise ValueError('unexpected type of data received for the "generic" binding: http')
        return call.datum.value
    return converter(function.kind).decode(call.datum, trigger_metadata=call.metadata)


def _encoded(result: Any) -> Datum:
    try:
        datum: Datum = converter("http").encode(result, expected_type=None)
    except NotImplementedError as error:
        raise TypeError(
            f'unable to encode outgoing TypedData: unsupported type "http" for Python type "{type(result).__name__}"'
        ) from error
    return datum


def _child_of(trace_parent: str | None) -> str:
    # https://www.w3.org/TR/trace-context/#traceparent-header: the trace id stays, the span is ours.
    parts = (trace_parent or "").split("-")
    trace_id, flags = (
        (parts[1], parts[3]) if [len(part) for part in parts] == [2, 32, 16, 2] else (secrets.token_hex(16), "00")
    )
    return f"00-{trace_id}-{secrets.token_hex(8)}-{flags}"


def _traceback(error: BaseException) -> str:
    return _KEY_IN_URL.sub(r"\1(hidden)", "".join(traceback.format_exception(error)))
