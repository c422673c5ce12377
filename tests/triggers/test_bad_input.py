"""Bad input, for every operation: a clear 4xx that says what to do, and nothing changes."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from functions.triggers.api import MAX_BODY, OPERATIONS
from functions.triggers.callbacks import MAX_CALLBACK
from functions.triggers.examples import REQUESTS
from tests.triggers.problems import check_problem

JSON = {"Content-Type": "application/json"}
BY_NAME = {one.name: one for one in OPERATIONS}
WITH_BODY = [one.name for one in OPERATIONS if one.body is not None]
WITHOUT_BODY = [one.name for one in OPERATIONS if one.body is None and not one.any_body]
WITH_KEY = [one.name for one in OPERATIONS if not one.anonymous]
OPEN = [one.name for one in OPERATIONS if one.anonymous]
WITH_QUERY = [one.name for one in OPERATIONS if one.query is not None]
ALL_BUT_CALLBACKS = [one.name for one in OPERATIONS if not one.any_body]
CALLBACKS = ("take_callback", "take_callback_with_token", "take_callback_by_get")
CONDITIONAL = {"change_provider", "change_sender"}
DONE = {200, 204}
"""Answers of those operations that do their work on a request without a body."""


def test_the_lists_cover_every_operation():
    """Every operation is in the tests below: with a body or without, with a key or open."""
    assert {*WITH_BODY, *WITHOUT_BODY, *CALLBACKS} == set(BY_NAME)
    assert {*WITH_KEY, *OPEN} == set(BY_NAME)
    assert set(OPEN) == {*CALLBACKS, "get_health", "get_openapi", "get_docs"}


@pytest.fixture
async def send(ready, request_raw):
    """Give a function that calls an operation by name on things that are there."""
    (message,) = await ready.send(ready.twilio, "+14255550123")
    await ready.until(message)
    await ready.sandbox.idle()
    await ready.call("POST", "/opt-outs", {"number": "+14255550155"})
    places = {
        "provider": ready.twilio.id,
        "sender": ready.twilio.sender,
        "message": message,
        "vendor": "twilio",
        "kind": "report",
        "token": "k7qh2mt0w5zryb1xj4dv8nl3sc6vefga",
        "erasure": (await ready.call("POST", "/privacy/erasures", {"number": "+14255550156"})).body["id"],
    }

    async def call(name, data=None, *, query="", headers=JSON, key=True):
        one = BY_NAME[name]
        route = "/" + one.route.format(**places)
        more = {"If-Match": "*"} if name in CONDITIONAL else {}
        return await request_raw(one.method, route + query, data, headers=more | headers, key=key)

    return call


def example(name):
    """Return a request body that the operation takes."""
    return next(iter(REQUESTS[name].values()))["value"]


async def test_bodies_that_cannot_be_read(send, dump, subtests):
    """A body that is no JSON, no UTF-8, empty, chunked, of another type or too large is refused as such."""
    for name in WITH_BODY:
        with subtests.test(operation=name):
            before = dump()
            whole = json.dumps(example(name)).encode()
            for broken in (
                b"{",
                whole[:-1],
                b"not json",
                whole + b"}",
                b'{"a":"\xff\xfe"}',
                b"\x00",
                b"\xef\xbb\xbf",
                b"[[[",
            ):
                problem = check_problem(await send(name, broken), 400)
                assert "JSON" in problem["detail"], broken
            assert "Content-Length" in check_problem(await send(name, b""), 400)["detail"]

            async def chunks(whole=whole):
                yield whole

            assert "chunked" in check_problem(await send(name, chunks()), 400)["detail"]
            for media_type in (
                "text/plain",
                "application/x-www-form-urlencoded",
                "application/jsonx",
                "",
                "multipart/form-data",
            ):
                answer = await send(name, whole, headers={"Content-Type": media_type} if media_type else {})
                assert "application/json" in check_problem(answer, 415)["detail"]
            assert str(MAX_BODY) in check_problem(await send(name, b'{"a":"' + b"x" * MAX_BODY + b'"}'), 413)["detail"]
            assert dump() == before


async def test_bodies_of_the_wrong_shape(send, dump, subtests):
    """JSON of another type, or an object with unknown or mistyped members, is refused naming each of them."""
    for name in WITH_BODY:
        with subtests.test(operation=name):
            before = dump()
            for value in ("null", "1", '"text"', "[]", "true", "[{}]"):
                check_problem(await send(name, value.encode()), 422, "/")
            for unknown in ("nonsense", "", "a/b", "__proto__", "x" * 1000):
                answer = await send(name, json.dumps(example(name) | {unknown: 1}).encode())
                check_problem(answer, 422, f"/{unknown.replace('~', '~0').replace('/', '~1')}")
            model = BY_NAME[name].body
            for field, info in model.model_fields.items():
                alias = info.alias or field
                for wrong in (12, True, {"a": [1]}, [[1]], 1.5, "", "x" * 10_000):
                    if _fits(info, wrong):
                        continue
                    answer = await send(name, json.dumps(example(name) | {alias: wrong}).encode())
                    problem = check_problem(answer, 422)
                    assert all(error["field"].startswith(f"/{alias}") for error in problem["errors"]), (
                        alias,
                        wrong,
                        problem,
                    )
                    assert "xxxxx" not in json.dumps(problem), "the answer repeats what was sent"
            assert dump() == before


def _fits(info, value):
    """Tell whether a field takes a value, read as strictly as JSON is."""
    try:
        TypeAdapter(info.annotation).validate_json(json.dumps(value), strict=True)
    except ValueError:
        return False
    return True


async def test_fields_have_one_name_each(send, dump, subtests):
    """The Python name of a field is not a second spelling of its JSON name."""
    for name in WITH_BODY:
        with subtests.test(operation=name):
            before = dump()
            others = {
                info.alias: field for field, info in BY_NAME[name].body.model_fields.items() if info.alias != field
            }
            for alias, field in others.items():
                body = {key: value for key, value in example(name).items() if key != alias}
                check_problem(await send(name, json.dumps(body | {field: "x"}).encode()), 422)
            assert dump() == before


async def test_unknown_query_parameters(send, dump, subtests):
    """A query parameter that the operation does not know is refused by name, before anything is done."""
    for name in ALL_BUT_CALLBACKS:
        with subtests.test(operation=name):
            before = dump()
            data = json.dumps(example(name)).encode() if name in WITH_BODY else None
            for unknown in ("nonsense", "business-unit", "x%20y", "%00", "a%2Fb"):
                problem = check_problem(await send(name, data, query=f"?{unknown}=1"), 422)
                assert [error["detail"] for error in problem["errors"]].count(
                    "There is no such field; see /api/docs for those there are."
                ) == 1
            assert dump() == before


async def test_key_in_the_query(send, gateway, subtests):
    """The function key may stand in the query as `code`, which is no unknown parameter."""
    for name in ALL_BUT_CALLBACKS:
        with subtests.test(operation=name):
            data = json.dumps(example(name)).encode() if name in WITH_BODY else None
            for spelled in ("code", "Code"):
                needed = "&number=%2B14255550155" if name == "remove_opt_out" else ""
                answer = await send(name, data, query=f"?{spelled}={gateway.keys.master}{needed}", key=False)
                assert answer.status != 401
                assert (
                    not [e for e in (answer.body or {}).get("errors", []) if e["field"].lower() == "code"]
                    if isinstance(answer.body, dict)
                    else True
                )


async def test_query_values_of_the_wrong_type(send, dump, subtests):
    """A query value that is no number, moment or known word, or out of range, is refused by its name."""
    for name in WITH_QUERY:
        with subtests.test(operation=name):
            before = dump()
            needed = "&number=%2B14255550155" if name == "remove_opt_out" else ""
            wrong = {
                "limit": ("0", "-1", "501", "abc", "1.5", "1e3", "%00", "99999999999999999999999"),
                "since": ("yesterday", "2026-01-01", "2026-01-01T00:00:00", "%FF", "99999999999999999999"),
                "until": ("2026-13-01T00:00:00Z",),
                "state": ("gone", "ACTIVE"),
                "status": ("lost",),
                "cursor": ("x", "e30", "W10", "WzEsMl0", "!!!", "%E2%82%AC", "bnVsbA", "W3t9XQ", "x" * 3000),
                "force": ("maybe", "2"),
            }
            known = {info.alias or field for field, info in BY_NAME[name].query.model_fields.items()}
            for parameter in known & set(wrong):
                for value in wrong[parameter]:
                    check_problem(await send(name, query=f"?{parameter}={value}{needed}"), 422, parameter)
            assert dump() == before


async def test_bodies_nobody_asked_for(send, subtests):
    """A body where none belongs is left unread, unless it is too large to be taken at all."""
    for name in WITHOUT_BODY:
        with subtests.test(operation=name):
            if name in {"delete_provider", "delete_sender", "remove_opt_out"}:
                answer = await send(name, b"\xff" * (MAX_BODY + 1), query="?number=%2B1" if "opt" in name else "")
                check_problem(answer, 413)
                return
            for data in (b"{", b"\xff\xfe", b'{"unknown": 1}', b"x" * 10_000):
                assert (await send(name, data)).status in DONE
            check_problem(await send(name, b"x" * (MAX_BODY + 1)), 413)


async def test_without_a_key(send, dump, subtests):
    """Without a key or with a wrong one every operation answers 401 and nothing else, but for those that are open."""
    for name in list(BY_NAME):
        with subtests.test(operation=name):
            before = dump()
            data = json.dumps(example(name)).encode() if name in WITH_BODY else None
            for headers in ({}, {"x-functions-key": "wrong"}, {"Authorization": "Bearer x"}):
                answer = await send(name, data, headers=JSON | headers, key=False)
                if name in CALLBACKS:
                    check_problem(answer, 404 if BY_NAME[name].method == "GET" else 403)
                elif name in OPEN:
                    assert answer.status == 200
                else:
                    assert (answer.status, answer.body) == (401, "")
            assert dump() == before


async def test_one_key_for_each_function(send, gateway, subtests):
    """A function's own key opens that function, and none of the others."""
    for name in WITH_KEY:
        with subtests.test(operation=name):
            data = json.dumps(example(name)).encode() if name in WITH_BODY else None
            other = next(one for one in WITH_KEY if one != name)
            own = {"x-functions-key": gateway.keys.of_function(name)}
            foreign = {"x-functions-key": gateway.keys.of_function(other)}
            assert (await send(name, data, headers=JSON | foreign, key=False)).status == 401
            assert (await send(name, data, headers=JSON | own, key=False)).status != 401


@pytest.mark.parametrize(
    ("method", "route", "data"),
    [
        ("GET", "/providers/{0}", None),
        ("PATCH", "/providers/{0}", b'{"name":"x"}'),
        ("DELETE", "/providers/{0}", None),
        ("POST", "/providers/{0}/finish", None),
        ("POST", "/providers/{0}/check", None),
        ("GET", "/providers/{0}/callbacks", None),
        ("GET", "/providers/{0}/senders", None),
        ("POST", "/providers/{0}/senders", b'{"type":"long_code","address":"+14255550111"}'),
        ("GET", "/providers/{0}/senders/x", None),
        ("GET", "/providers/{real}/senders/{0}", None),
        ("PATCH", "/providers/{real}/senders/{0}", b'{"displayName":"x"}'),
        ("DELETE", "/providers/{real}/senders/{0}", None),
        ("GET", "/messages/{0}", None),
        ("GET", "/privacy/erasures/{0}", None),
    ],
)
async def test_ids_that_are_not_there(ready, request_raw, dump, method, route, data):
    """An id that nothing has, of whatever shape, is a 404 in words, not an empty one."""
    before = dump()
    for identity in (
        "nothing",
        "01kb3v9r2m8q4t6w0x5y7z1a2b",
        "01kb3v9r2m8q4t6w0x5y7z1a2b-00",
        "%00",
        "~",
        "a%2Fb",
        "é",
    ):
        path = route.format(identity, real=ready.twilio.id)
        answer = await request_raw(method, path, data, headers=JSON | {"If-Match": "*"})
        check_problem(answer, 404)
    assert dump() == before


async def test_addresses_and_methods_the_host_refuses(ready, request_raw, dump):
    """What no function has an address or method for gets the host's own empty 404."""
    before = dump()
    for method, route in (
        ("GET", "/nothing"),
        ("PUT", "/messages"),
        ("DELETE", "/messages/x"),
        ("GET", "/callbacks/twilio/x/report"),
        ("POST", "/callbacks/twilio/x"),
        ("POST", "/callbacks/twilio/x/report/more/still"),
        ("PATCH", "/opt-outs"),
        ("POST", "/health"),
    ):
        answer = await request_raw(method, route)
        assert (answer.status, answer.body) == (404, "")
    assert dump() == before


async def test_callbacks_that_prove_nothing(ready, request_raw, post_signed, dump):
    """A callback that is forged, misdirected, empty, chunked or too large is refused in words and changes nothing."""
    made = ready.twilio
    token = made.settings["authToken"]
    (message,) = await ready.send(made, "+14255550180")
    sent = await ready.until(message, "sent")
    await ready.idle()
    base = f"{ready.gateway.url}/api/callbacks"
    url = f"{base}/twilio/{made.id}/report?message={message}"
    form = {
        "MessageSid": sent["vendorId"],
        "MessageStatus": "delivered",
        "AccountSid": made.settings["accountSid"],
        "To": sent["to"],
    }
    before = dump()
    for forged in ("", "x", "AAAAAAAAAAAAAAAAAAAAAAAAAAA=", "é", "a" * 5000):
        problem = check_problem(await post_signed(url, form, token, forged=forged), 403)
        assert "X-Twilio-Signature" in problem["detail"]
    check_problem(await post_signed(url, form, "f" * 32), 403)
    check_problem(await post_signed(url, form | {"AccountSid": "AC" + "0" * 32}, token), 403)
    for place in (
        f"twilio/nothing/report?message={message}",
        f"acs/{made.id}/report",
        f"nothing/{made.id}/report",
        f"twilio/{made.id}/nothing",
        f"twilio/{ready.acs.id}/report",
    ):
        check_problem(await post_signed(f"{base}/{place}", form, token), 404)
    check_problem(await post_signed(f"{base}/acs/{ready.acs.id}/report", form, token), 403)
    check_problem(await post_signed(url, {}, token), 400)
    check_problem(await post_signed(url, form | {"MessageSid": ""}, token), 400)

    async def chunks():
        yield b"MessageSid=SM1&MessageStatus=delivered"

    route = url.partition("/api")[2]
    for data in (None, b"", chunks(), b"\xff\xfe\x00", b"x" * 10_000):
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": "x"}
        check_problem(await request_raw("POST", route, data, headers=headers, key=False), 403)
    check_problem(await request_raw("POST", route, b"x" * (MAX_CALLBACK + 1), key=False), 413)
    assert dump() == before
    # All that was wrong was wrong for the reason it was refused for: the true one is taken.
    assert (await post_signed(url, form, token)).status == 204
    assert dump() != before
