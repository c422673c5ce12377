"""HTTP functions behind the dev host: routes, keys, what arrives and what goes out."""

import asyncio
import json

import aiohttp
import azure.functions as func
import pytest
from multidict import CIMultiDict

MASTER = {"x-functions-key": "the-master-key"}


def app_with(*functions, level=func.AuthLevel.ANONYMOUS):
    app = func.FunctionApp(http_auth_level=level)
    for route, function in functions:
        app.route(route)(function)
    return app


async def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


async def other(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("other")


async def seen(client, host, path, **options):
    async with client.get(host.url + path, **options) as response:
        assert response.status == 200
        return await response.json()


async def status(client, method, url, **options):
    async with client.request(method, url, **options) as response:
        return response.status, await response.text()


# What arrives -------------------------------------------------------------------------------------------------------


async def test_headers_arrive_in_lower_case_and_joined(serve, client):
    """Header names are lower case, repeated headers are joined with a comma."""
    host = await serve(app_with(("echo", echo)))
    headers = CIMultiDict([("X-One", "1"), ("X-Many", "a"), ("X-Many", "b"), ("X-Empty", "")])

    got = (await seen(client, host, "/api/echo", headers=headers))["headers"]

    assert got["x-one"] == "1"
    assert got["x-many"] == "a,b"
    assert got["x-empty"] == ""
    assert all(name == name.lower() for name in got)


async def test_headers_that_differ_in_case_are_joined(serve):
    """Two spellings of one header are one header."""
    host = await serve(app_with(("echo", echo)))
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(b"GET /api/echo HTTP/1.1\r\nHost: x\r\nX-MANY: a\r\nx-many: b\r\nConnection: close\r\n\r\n")

    answer = await reader.read()
    writer.close()
    await writer.wait_closed()

    assert json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]["x-many"] == "a,b"


async def test_query_is_joined_and_loses_empty_values(serve, client):
    """Repeated parameters are joined whatever their case, empty ones are dropped, escapes are decoded."""
    host = await serve(app_with(("echo", echo)))

    got = (await seen(client, host, "/api/echo?a=1&A=2&b=&c&d=x%20y+z&e=%C3%A9&a="))["params"]

    assert got == {"a": "1,2", "d": "x y z", "e": "é"}


async def test_route_parameters_are_texts(serve, client):
    """Route parameters are texts even where the template says int; absent ones are absent."""
    host = await serve(app_with(("n/{n:int}/{rest?}", echo)))

    assert (await seen(client, host, "/api/n/007"))["route"] == {"n": "007"}
    assert (await seen(client, host, "/api/n/007/x"))["route"] == {"n": "007", "rest": "x"}


async def test_url_is_rebuilt_from_the_host_header(serve, client):
    """req.url names the host that the caller named, and carries the key if it was in the query."""
    host = await serve(app_with(("echo", echo)))

    got = await seen(client, host, "/api/echo?code=k&x=%20", headers={"Host": "gateway.example"})

    assert got["url"] == "http://gateway.example/api/echo?code=k&x=%20"


async def test_body_with_a_length_arrives(serve, client):
    """A body whose length is announced arrives as sent."""
    host = await serve(app_with(("echo", echo)))

    async with client.post(host.url + "/api/echo", data="é".encode()) as response:
        assert (await response.json())["body"] == "é"


async def test_chunked_body_arrives_empty(serve, client):
    """A chunked body does not reach the function, as the real host passes only bodies of a known length."""
    host = await serve(app_with(("echo", echo)))

    async def chunks():
        yield b"some"
        yield b"thing"

    async with client.post(host.url + "/api/echo", data=chunks()) as response:
        got = await response.json()

    assert got["headers"]["transfer-encoding"] == "chunked"
    assert got["body"] == ""


async def test_too_large_a_body_is_refused(serve, client):
    """More than 100 MB is refused with 413 before the function runs."""
    host = await serve(app_with(("echo", echo)))
    announced = {"Content-Length": str(100 * 1024 * 1024 + 1)}
    reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(
        b"POST /api/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %s\r\n\r\n" % announced["Content-Length"].encode()
    )

    answer = await reader.readline()
    writer.close()
    await writer.wait_closed()

    assert b" 413 " in answer
    assert host.executions["echo"] == 0


async def test_context(serve, client):
    """The context names the invocation and the function and continues the caller's trace; it is no func.Context."""
    contexts = []

    async def traced(req: func.HttpRequest, context: func.Context) -> str:
        contexts.append(context)
        return "ok"

    host = await serve(app_with(("traced", traced)))
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    await status(
        client,
        "GET",
        host.url + "/api/traced",
        headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01", "tracestate": "a=b"},
    )
    for rubbish in ("rubbish", f"00-{trace_id}-short-01", f"{trace_id}-{trace_id}"):
        await status(client, "GET", host.url + "/api/traced", headers={"traceparent": rubbish})

    first, second, *others = contexts
    version, trace, span, flags = first.trace_context.trace_parent.split("-")
    assert (version, trace, flags) == ("00", trace_id, "01")
    assert span != "b7ad6b7169203331"
    assert first.trace_context.trace_state == "a=b"
    assert all(trace_id not in context.trace_context.trace_parent for context in (second, *others))
    assert first.function_name == "traced"
    assert first.invocation_id != second.invocation_id
    assert first.retry_context.retry_count == 0
    assert not isinstance(first, func.Context)


# What goes out ------------------------------------------------------------------------------------------------------


async def test_response_is_sent_as_made(serve, client):
    """Status, headers, cookies, type and body go out as the function made them."""

    async def made(req: func.HttpRequest) -> func.HttpResponse:
        response = func.HttpResponse(b"\x00\x01", status_code=201, headers={"X-A": "1"}, mimetype="image/png")
        response.headers.add("Set-Cookie", "a=1; Path=/; HttpOnly")
        response.headers.add("Set-Cookie", "b=2")
        return response

    host = await serve(app_with(("made", made)))

    async with client.get(host.url + "/api/made") as response:
        assert response.status == 201
        assert await response.read() == b"\x00\x01"
        assert response.headers["X-A"] == "1"
        assert response.content_type == "image/png"
        cookies = response.headers.getall("Set-Cookie")
    assert cookies == ["a=1; HttpOnly; Path=/", "b=2"]


async def test_length_and_encoding_are_the_hosts(serve, client):
    """What a function says about the length or the transfer of its body is replaced by what is true."""

    async def wrong(req: func.HttpRequest) -> func.HttpResponse:
        headers = {"Content-Length": "999", "Transfer-Encoding": "chunked", "Connection": "upgrade"}
        return func.HttpResponse("body", headers=headers)

    host = await serve(app_with(("wrong", wrong)))

    async with client.get(host.url + "/api/wrong") as response:
        assert await response.text() == "body"
        assert response.headers["Content-Length"] == "4"
        assert "Transfer-Encoding" not in response.headers
        assert response.headers.get("Connection") != "upgrade"


async def test_text_is_answered_as_text(serve, client):
    """A function may return a text."""

    def plain(req: func.HttpRequest) -> str:
        return "héllo"

    host = await serve(app_with(("plain", plain)))

    async with client.get(host.url + "/api/plain") as response:
        assert (response.status, await response.text(), response.content_type) == (200, "héllo", "text/plain")


@pytest.mark.parametrize("returned", [None, {"a": 1}, ("text", 200), 5])
async def test_other_returns_are_errors(serve, client, returned):
    """What is neither a response nor a text is a 500 without a body."""

    async def odd(req: func.HttpRequest):
        return returned

    host = await serve(app_with(("odd", odd)))

    assert await status(client, "GET", host.url + "/api/odd") == (500, "")


async def test_an_exception_is_500_without_a_body(serve, client):
    """Nothing of an exception reaches the caller."""

    async def broken(req: func.HttpRequest):
        raise ValueError("a secret")

    host = await serve(app_with(("broken", broken)))

    assert await status(client, "GET", host.url + "/api/broken") == (500, "")


async def test_a_client_that_hangs_up_does_not_stop_the_function(serve):
    """The function runs to its end when its caller is gone, as on Azure."""
    entered, finished = asyncio.Event(), asyncio.Event()

    async def slow(req: func.HttpRequest) -> str:
        entered.set()
        await asyncio.sleep(0.05)
        finished.set()
        return "ok"

    host = await serve(app_with(("slow", slow)))
    _, writer = await asyncio.open_connection("127.0.0.1", host.port)
    writer.write(b"GET /api/slow HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(entered.wait(), 2)
    writer.close()
    await writer.wait_closed()

    await asyncio.wait_for(finished.wait(), 2)


# Which function -----------------------------------------------------------------------------------------------------


async def test_unknown_addresses_and_methods_are_404(serve, client):
    """What no function takes is 404 without a body, a wrong method as well."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    app.route("only/get", methods=["GET"])(echo)
    host = await serve(app)

    assert await status(client, "GET", host.url + "/api/nothing") == (404, "")
    assert await status(client, "POST", host.url + "/api/only/get") == (404, "")
    assert await status(client, "GET", host.url + "/only/get") == (404, "")
    assert (await status(client, "GET", host.url + "/API/Only/GET/"))[0] == 200


async def test_route_defaults_to_the_name(serve, client):
    """A function without a route answers under its name."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    app.function_name("named")(app.route()(other))
    host = await serve(app)

    assert await status(client, "DELETE", host.url + "/api/named") == (200, "other")


async def test_first_in_alphabetical_order_wins(serve, client):
    """Of two templates that fit, the function whose name comes first takes the request, be it less specific."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.route("messages/stats")
    def stats(req: func.HttpRequest) -> str:
        return "stats"

    @app.route("messages/{id}")
    def Get_message(req: func.HttpRequest) -> str:  # noqa: N802 order ignores case
        return "message"

    @app.route("messages/{id:guid}/log", methods=["GET"])
    def log_get(req: func.HttpRequest) -> str:
        return "get"

    @app.route("messages/{id}/log", methods=["POST"])
    def log_post(req: func.HttpRequest) -> str:
        return "post"

    host = await serve(app)

    assert await status(client, "GET", host.url + "/api/messages/stats") == (200, "message")
    assert await status(client, "POST", host.url + "/api/messages/7/log") == (200, "post")
    assert await status(client, "GET", host.url + "/api/messages/7/log") == (404, "")


@pytest.mark.parametrize(("prefix", "path"), [("", "/echo"), ("v1/sms", "/v1/sms/echo")])
async def test_route_prefix(serve, client, prefix, path):
    """The prefix of host.json stands before every route, an empty one does not."""
    host = await serve(app_with(("echo", echo)), http={"routePrefix": prefix})

    assert (await seen(client, host, path))["method"] == "GET"
    assert (await status(client, "GET", host.url + "/api/echo"))[0] == 404


async def test_conflicting_routes_are_refused(serve):
    """Two functions of one route and a common method do not load; parted by method they do."""
    from devhost import LoadError

    app = func.FunctionApp()
    app.route("/Same/{ID}/", methods=["GET", "POST"])(echo)
    app.route("same/{id}", methods=["POST"])(other)
    with pytest.raises(LoadError, match="echo and other have the same route"):
        await serve(app)

    app = func.FunctionApp()
    app.route("same", methods=["GET"])(echo)
    app.route("same", methods=["POST"])(other)
    await serve(app)


async def test_bad_template_is_refused(serve):
    """A route that ASP.NET Core cannot read is refused with the function's name."""
    from devhost import LoadError

    with pytest.raises(LoadError, match=r"function echo: route .*the constraint whole is unknown"):
        await serve(app_with(("{x:whole}", echo)))


# Keys ---------------------------------------------------------------------------------------------------------------

FUNCTION, ADMIN, ANONYMOUS = func.AuthLevel.FUNCTION, func.AuthLevel.ADMIN, func.AuthLevel.ANONYMOUS


@pytest.mark.parametrize(
    ("level", "key", "expected"),
    [
        (ANONYMOUS, None, 200),
        (ANONYMOUS, "wrong", 200),
        (FUNCTION, None, 401),
        (FUNCTION, "", 401),
        (FUNCTION, "wrong", 401),
        (FUNCTION, "the-echo-key", 200),
        (FUNCTION, "the-other-key", 401),
        (FUNCTION, "the-host-key", 200),
        (FUNCTION, "the-master-key", 200),
        (FUNCTION, "the-event-grid-key", 401),
        (ADMIN, None, 401),
        (ADMIN, "the-echo-key", 401),
        (ADMIN, "the-host-key", 401),
        (ADMIN, "the-master-key", 200),
    ],
)
async def test_keys(serve, client, level, key, expected):
    """Each level opens to its own keys and those above, by header and by query alike."""
    host = await serve(app_with(("echo", echo), level=level))
    by_header = {} if key is None else {"headers": {"x-functions-key": key}}
    by_query = {} if key is None else {"params": {"code": key}}

    for way in (by_header, by_query):
        got, body = await status(client, "GET", host.url + "/api/echo", **way)
        assert got == expected
        assert expected == 200 or body == ""


async def test_header_key_wins(serve, client):
    """A key in the header is the one that counts, even when it is wrong and the query's is right."""
    host = await serve(app_with(("echo", echo), level=FUNCTION))
    url = host.url + "/api/echo"

    right, wrong = "the-echo-key", "wrong"
    assert (await status(client, "GET", url, params={"code": right}, headers={"x-functions-key": wrong}))[0] == 401
    assert (await status(client, "GET", url, params={"code": right}, headers={"x-functions-key": ""}))[0] == 401
    assert (await status(client, "GET", url, params={"CODE": wrong}, headers={"X-Functions-Key": right}))[0] == 200


async def test_first_key_counts(serve, client):
    """Of several keys in the query the first one counts."""
    host = await serve(app_with(("echo", echo), level=FUNCTION))

    assert (await status(client, "GET", host.url + "/api/echo?code=the-echo-key&code=wrong"))[0] == 200
    assert (await status(client, "GET", host.url + "/api/echo?code=&code=the-echo-key"))[0] == 401


async def test_level_of_a_function_without_one(serve, client):
    """A function that names no level asks for a key."""
    app = func.FunctionApp()
    app.route("echo")(echo)
    host = await serve(app)

    assert (await status(client, "GET", host.url + "/api/echo"))[0] == 401


@pytest.mark.parametrize("name", ["AzureWebJobs.echo.Disabled", "AzureWebJobs_echo_Disabled"])
async def test_disabled_functions(serve, client, name):
    """A disabled function is 404 to all but the holder of the master key."""
    host = await serve(app_with(("echo", echo)), settings={name: "true"})

    assert await status(client, "GET", host.url + "/api/echo") == (404, "")
    assert (await status(client, "GET", host.url + "/api/echo", headers={"x-functions-key": "the-host-key"}))[0] == 404
    assert (await status(client, "GET", host.url + "/api/echo", headers=MASTER))[0] == 200


# Limits -------------------------------------------------------------------------------------------------------------


async def test_too_many_outstanding_requests(serve, client):
    """Past maxOutstandingRequests the host answers 429, and takes requests again afterwards."""
    gate = asyncio.Event()

    async def held(req: func.HttpRequest) -> str:
        await gate.wait()
        return "ok"

    host = await serve(app_with(("held", held)), http={"maxOutstandingRequests": 2})
    first = [asyncio.create_task(status(client, "GET", host.url + "/api/held")) for _ in range(2)]
    while host.executions["held"] < 2:
        await asyncio.sleep(0.005)

    assert await status(client, "GET", host.url + "/api/held") == (429, "")
    gate.set()
    assert await asyncio.gather(*first) == [(200, "ok"), (200, "ok")]
    assert (await status(client, "GET", host.url + "/api/held"))[0] == 200


async def test_concurrent_requests_wait_for_one_another(serve, client):
    """The limit maxConcurrentRequests lets so many functions run at once and keeps the others waiting."""
    running, most = 0, 0

    async def counted(req: func.HttpRequest) -> str:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return "ok"

    host = await serve(app_with(("counted", counted)), http={"maxConcurrentRequests": 2})

    answers = await asyncio.gather(*(status(client, "GET", host.url + "/api/counted") for _ in range(6)))

    assert answers == [(200, "ok")] * 6
    assert most == 2


# The host's own addresses -------------------------------------------------------------------------------------------


async def test_home_page(serve, client):
    """The root answers with a page unless it is switched off."""
    host = await serve(app_with(("echo", echo)))
    got, body = await status(client, "GET", host.url + "/")
    assert got == 200
    assert "up and running" in body

    host = await serve(app_with(("echo", echo)), settings={"AzureWebJobsDisableHomepage": "true"})
    assert await status(client, "GET", host.url + "/") == (204, "")


async def test_a_function_may_take_the_root(serve, client):
    """With an empty prefix a function at the root takes the home page's place."""
    host = await serve(app_with(("{*rest}", other)), http={"routePrefix": ""})

    assert await status(client, "GET", host.url + "/") == (200, "other")


async def test_ping_and_status(serve, client):
    """Ping is open, status wants the master key."""
    host = await serve(app_with(("echo", echo)))

    assert await status(client, "GET", host.url + "/admin/host/ping") == (200, "")
    assert await status(client, "POST", host.url + "/admin/host/ping") == (200, "")
    assert await status(client, "GET", host.url + "/admin/host/status") == (401, "")
    key = {"x-functions-key": "the-host-key"}
    assert await status(client, "GET", host.url + "/admin/host/status", headers=key) == (403, "")
    got, body = await status(client, "GET", host.url + "/admin/host/status", headers=MASTER)
    assert got == 200
    assert json.loads(body)["state"] == "Running"
    assert await status(client, "GET", host.url + "/admin/nothing", headers=MASTER) == (404, "")


async def test_functions_are_listed(serve, client):
    """The admin endpoint lists what was loaded, for checks after a deployment."""
    host = await serve(app_with(("echo", echo), ("other", other)))

    _, body = await status(client, "GET", host.url + "/admin/functions", headers=MASTER)
    one = await status(client, "GET", host.url + "/admin/functions/echo", headers=MASTER)

    assert [function["name"] for function in json.loads(body)] == ["echo", "other"]
    assert json.loads(one[1])["config"]["bindings"][0]["route"] == "echo"


async def test_run_by_hand(serve, client):
    """The admin endpoint runs any function that is not HTTP, answers at once, and refuses the rest."""
    got = asyncio.Queue()
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
    app.route("echo")(echo)

    @app.queue_trigger("msg", "jobs", "C")
    async def job(msg: func.QueueMessage):
        await got.put(msg.get_body())

    @app.event_grid_trigger("event")
    async def grid(event: func.EventGridEvent):
        await got.put(event.get_json())

    @app.timer_trigger("tick", "0 0 0 1 1 *")
    async def clean(tick: func.TimerRequest):
        await got.put(tick.past_due)

    host = await serve(app)

    async def run(name, **options):
        return await status(client, "POST", f"{host.url}/admin/functions/{name}", **({"headers": MASTER} | options))

    assert await run("job", json={"input": "text"}) == (202, "")
    assert await got.get() == b"text"
    assert await run("JOB", json={"input": {"a": 1}}) == (202, "")
    assert await got.get() == b'{"a": 1}'
    assert await run("grid", json={"input": '{"id": "1", "data": {"x": 1}}'}) == (202, "")
    assert await got.get() == {"x": 1}
    assert await run("clean", json={"input": "anything"}) == (202, "")
    assert await got.get() is False
    assert await run("clean", json={}) == (202, "")
    assert await got.get() is False
    assert await run("echo", json={"input": ""}) == (400, "")
    assert await run("job", data="no json") == (400, "")
    assert await run("job", json=[]) == (400, "")
    assert await run("missing", json={"input": ""}) == (404, "")
    assert await run("job", json={"input": ""}, headers={}) == (401, "")
    assert (await status(client, "PUT", host.url + "/admin/functions/job", headers=MASTER))[0] == 405
    assert host.executions == {"job": 2, "grid": 1, "clean": 2}


async def test_stop_waits_for_what_was_run_by_hand(serve, client):
    """stop() lets a function end that the admin endpoint started."""
    app, ended = func.FunctionApp(), []

    @app.timer_trigger("tick", "0 0 0 1 1 *")
    async def clean(tick: func.TimerRequest):
        await asyncio.sleep(0.05)
        ended.append(True)

    host = await serve(app)
    await status(client, "POST", host.url + "/admin/functions/clean", headers=MASTER, json={"input": ""})
    await host.stop()

    assert ended == [True]


async def test_port_in_use(serve, keys):
    """A port that is taken is an OSError, and nothing is left behind."""
    host = await serve(app_with(("echo", echo)))

    with pytest.raises(OSError, match=str(host.port)):
        await serve(app_with(("echo", echo)), port=host.port)


async def test_stop_lets_requests_end(serve):
    """stop() answers the request that runs and takes no new one."""
    entered = asyncio.Event()

    async def slow(req: func.HttpRequest) -> str:
        entered.set()
        await asyncio.sleep(0.1)
        return "done"

    host = await serve(app_with(("slow", slow)))
    async with aiohttp.ClientSession() as session:
        answer = asyncio.create_task(status(session, "GET", host.url + "/api/slow"))
        await entered.wait()
        await host.stop()
        assert await answer == (200, "done")
    with pytest.raises(aiohttp.ClientConnectionError):
        async with aiohttp.ClientSession() as session:
            await status(session, "GET", host.url + "/api/slow")
