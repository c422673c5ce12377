"""Functions that do well and badly in every way that a worker tells apart."""

from __future__ import annotations

import asyncio
import functools
import json
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
part = func.Blueprint()


def record(name, **facts):
    """Append what a function saw to the file that SAMPLE_RECORD names."""
    with Path(os.environ["SAMPLE_RECORD"]).open("a") as file:
        file.write(json.dumps({"function": name, **facts}) + "\n")


def counted(function):
    @functools.wraps(function)
    async def inner(*args, **kwargs):
        record("counted", wrapped=function.__name__)
        return await function(*args, **kwargs)

    return inner


# HTTP ---------------------------------------------------------------------------------------------------------------


@app.route("echo/{id?}")
@counted
async def http_echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "accept": req.headers.get("Accept"),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode(),
        "is_context": isinstance(context, func.Context),
        "name": context.function_name,
    }
    response = func.HttpResponse(json.dumps(seen), status_code=201, headers={"X-A": "1"}, mimetype="application/json")
    response.headers.add("Set-Cookie", "a=1; Path=/")
    return response


@part.route("plain")
def http_plain(req: func.HttpRequest) -> str:
    return "héllo"


@app.route("json")
async def http_json(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(json.dumps({"got": req.get_json()}))


@app.route("none")
async def http_none(req: func.HttpRequest):
    return None


@app.route("dict")
async def http_dict(req: func.HttpRequest):
    return {"a": 1}


@app.route("tuple")
async def http_tuple(req: func.HttpRequest):
    return "text", 200


@app.route("dict_body")
async def http_dict_body(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse({"a": 1})


@app.route("raises")
def http_raises(req: func.HttpRequest) -> str:
    raise LookupError("not found")


@app.route("as_text")
async def http_as_text(req: str) -> str:
    return "never"


@app.route("escapes")
async def http_escapes(req: func.HttpRequest) -> str:
    raise asyncio.CancelledError


# Queue --------------------------------------------------------------------------------------------------------------


def message_facts(msg):
    times = (msg.insertion_time, msg.expiration_time, msg.time_next_visible)
    return {
        "id": msg.id,
        "body": msg.get_body().decode(),
        "count": msg.dequeue_count,
        "receipt": msg.pop_receipt,
        "times": [str(time) for time in times],
    }


@app.queue_trigger("msg", "sample-jobs", "Storage")
async def queue_ok(msg: func.QueueMessage) -> None:
    record("queue_ok", **message_facts(msg))


@app.queue_trigger("msg", "sample-json", "Storage")
async def queue_json(msg: func.QueueMessage):
    record("queue_json", got=msg.get_json())


@app.queue_trigger("msg", "sample-text", "Storage")
def queue_text(msg: str):
    record("queue_text", got=msg)


@app.queue_trigger("msg", "sample-bytes", "Storage")
def queue_bytes(msg: bytes):
    record("queue_bytes", got=msg if isinstance(msg, str) else None, type=type(msg).__name__)


@app.queue_trigger("msg", "sample-returns", "Storage")
async def queue_returns(msg: func.QueueMessage):
    return "text"


@app.queue_trigger("msg", "sample-returns-false", "Storage")
async def queue_returns_false(msg: func.QueueMessage):
    return False


@app.queue_trigger("msg", "sample-raises", "Storage")
async def queue_raises(msg: func.QueueMessage):
    raise TimeoutError


@app.queue_trigger("msg", "sample-escapes", "Storage")
async def queue_escapes(msg: func.QueueMessage):
    raise asyncio.CancelledError


# Event Grid ---------------------------------------------------------------------------------------------------------


@app.event_grid_trigger("event")
async def grid_ok(event: func.EventGridEvent):
    kind = "type" if isinstance(event, func.CloudEvent) else "event_type"
    moment = event.time if isinstance(event, func.CloudEvent) else event.event_time
    record("grid_ok", type=type(event).__name__, kind=getattr(event, kind), time=str(moment), data=event.get_json())


@app.event_grid_trigger("event")
async def grid_text(event: str):
    record("grid_text", got=json.loads(event))


@app.event_grid_trigger("event")
def grid_returns(event: func.CloudEvent):
    return event.id


# Timer --------------------------------------------------------------------------------------------------------------


@app.timer_trigger("tick", "0 0 0 1 1 *")
@app.retry("fixed_delay", "1", delay_interval="00:00:01")
async def timer_ok(tick: func.TimerRequest):
    record("timer_ok", past_due=tick.past_due, status=tick.schedule_status, schedule=tick.schedule)


@app.timer_trigger("tick", "0 0 0 1 1 *")
def timer_returns(tick: func.TimerRequest):
    return 0


app.register_functions(part)
