"""The OpenAPI document: valid, complete, and true to what the app does."""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, TypeAdapter

import function_app
from devhost.loading import HTTP, load_functions
from functions.gateway import models
from functions.gateway.problems import Kind
from functions.triggers import api, examples, openapi
from functions.triggers.api import OPERATIONS, STATUSES, TITLES
from tests.triggers.documented import Documented, described, spec, validator

BY_NAME = {one.name: one for one in OPERATIONS}


def test_it_is_valid_openapi():
    """The document is valid by the OpenAPI 3.1 schema, as a published validator sees it."""
    assert spec()["openapi"].startswith("3.1")
    errors = [f"{error.json_path}: {error.message}" for error in OpenAPIV31SpecValidator(spec()).iter_errors()]
    assert errors == []


def test_the_validator_finds_faults():
    """The validator of the test above finds a document that is not valid."""
    broken = copy.deepcopy(spec())
    broken["paths"]["/health"]["get"]["responses"]["200"].pop("description")
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_every_route_is_in_it_and_the_other_way_round():
    """What the app answers over HTTP and what the document lists are the same paths and methods."""
    loaded = [function for function in load_functions(function_app.app) if function.kind == HTTP]
    routes = {
        (f"/{function.trigger['route']}", method.lower())
        for function in loaded
        for method in function.trigger["methods"]
    }
    assert routes == {(path, method) for path, methods in spec()["paths"].items() for method in methods}
    assert {function.name for function in loaded} == set(described())


def test_keys_are_asked_for_as_documented():
    """An operation is documented as open exactly where the host asks for no key."""
    for function in load_functions(function_app.app):
        if function.kind == HTTP:
            is_open = described()[function.name].get("security") == []
            assert is_open == (function.trigger["authLevel"].lower() == "anonymous"), function.name
            assert is_open != ("401" in described()[function.name]["responses"]), function.name


def references(value):
    """Yield every reference in a document."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list):
        for part in value:
            yield from references(part)


def test_every_reference_leads_somewhere():
    """Every reference names a schema that is there, and every schema that is there is used."""
    schemas = {f"#/components/schemas/{name}" for name in spec()["components"]["schemas"]}
    assert set(references(spec())) == schemas


def test_every_operation_is_explained():
    """Every operation and every parameter says what it is for, and path parameters are those of the path."""
    for path, methods in spec()["paths"].items():
        for one in methods.values():
            assert one["summary"].endswith("."), one["operationId"]
            assert one["description"]
            named = {p["name"] for p in one["parameters"] if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            for parameter in one["parameters"]:
                assert parameter["in"] == "path" or len(parameter["description"]) > 5, (one["operationId"], parameter)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_operation_lists_its_errors(name):
    """Every operation lists the problems that are its own and those that any request can meet, each with an example."""
    declared, responses = BY_NAME[name], described()[name]["responses"]
    kinds = {*declared.problems, Kind.INVALID, Kind.TOO_LARGE, Kind.UNAVAILABLE}
    kinds |= {Kind.MALFORMED, Kind.WRONG_TYPE} if declared.body else set()
    expected = {str(STATUSES[kind]) for kind in kinds} | ({"401"} if not declared.anonymous else set())
    assert {status for status in responses if status >= "400"} == expected
    for kind in kinds:
        answer = responses[str(STATUSES[kind])]
        assert TITLES[kind] in answer["description"]
        value = answer["content"]["application/problem+json"]["examples"][kind.value]["value"]
        assert value["type"].endswith(f":{kind.value}")
        assert not list(validator("#/components/schemas/Problem").iter_errors(value))
    if {Kind.STALE, Kind.PRECONDITION_REQUIRED} & set(declared.problems):
        assert "If-Match" in {p["name"] for p in described()[name]["parameters"] if p["in"] == "header"}


def test_request_examples_are_taken():
    """Every example of a request is one that its model takes, strictly, and every body has an example."""
    assert set(examples.REQUESTS) == {one.name for one in OPERATIONS if one.body is not None}
    for name, named in examples.REQUESTS.items():
        for title, example in named.items():
            raw = json.dumps(example["value"]).encode()
            assert BY_NAME[name].body.model_validate_json(raw, strict=True, by_alias=True, by_name=False), title
            shown = described()[name]["requestBody"]["content"]["application/json"]["examples"][title]
            assert shown == example
            schema = described()[name]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
            assert not list(validator(schema).iter_errors(example["value"]))


def test_answer_examples_are_true():
    """Every example of an answer fits the model that is answered."""
    for name, by_status in examples.ANSWERS.items():
        for status, value in by_status.items():
            model = BY_NAME[name].answers[status]
            assert model.model_validate(value)
            assert not list(validator(f"#/components/schemas/{model.__name__}").iter_errors(value))


def test_examples_of_fields_fit_their_fields():
    """Every example that a model gives for one of its fields is a value of that field."""
    found = 0
    shapes = [model for model in vars(models).values() if isinstance(model, type) and issubclass(model, BaseModel)]
    for model in shapes:
        for field, info in model.model_fields.items():
            for example in info.examples or ():
                found += 1
                TypeAdapter(info.annotation).validate_python(example)
                schema = spec()["components"]["schemas"].get(model.__name__, {}).get("properties", {})
                assert not schema or example in schema[info.alias or field]["examples"]
    assert found > 15


async def test_examples_work_on_the_app(ready):
    """The examples of the documentation do what they say when they are sent to the app."""
    secrets = {"connectionString", "accountSid", "authToken"}
    for title, example in examples.REQUESTS["create_provider"].items():
        answer = await ready.call("POST", "/providers", example["value"])
        assert answer.status == 201, title
        assert set(example["value"]["settings"]) <= secrets
        place = f"/providers/{answer.body['id']}"
        for other in examples.REQUESTS["add_sender"].values():
            assert (await ready.call("POST", f"{place}/senders", other["value"])).status == 201
    made = ready.twilio
    for example in examples.REQUESTS["change_provider"].values():
        answer = await ready.call("PATCH", f"/providers/{made.id}", example["value"], headers={"If-Match": "*"})
        assert answer.status == 200
    for example in examples.REQUESTS["change_sender"].values():
        where = f"/providers/{made.id}/senders/{made.sender}"
        assert (await ready.call("PATCH", where, example["value"], headers={"If-Match": "*"})).status == 200
    for example in examples.REQUESTS["send_messages"].values():
        answer = await ready.call("POST", "/messages", example["value"])
        assert (answer.status, answer.body["refused"]) == (202, 0)
    for example in examples.REQUESTS["preview_message"].values():
        assert (await ready.call("POST", "/messages/preview", example["value"])).status == 200
    for example in examples.REQUESTS["add_opt_out"].values():
        assert (await ready.call("POST", "/opt-outs", example["value"])).status == 201
    answer = await ready.call(
        "POST", "/messages", {"from": ready.acs.sender, "to": ["+14255550123", "4255550124"], "text": "x"}
    )
    shown = examples.ANSWERS["send_messages"][202]
    assert [set(item) for item in answer.body["messages"]] == [set(item) for item in shown["messages"]]


async def test_the_served_document_is_this_one(gateway):
    """What the app serves is the document of these tests, with its own address."""
    served = (await gateway.call("GET", "/openapi.json")).body
    assert served == spec() | {"servers": [{"url": f"{gateway.url}/api"}]}


class Page(HTMLParser):
    """Collects what a page refers to, and what it consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.refers, self.ids, self.tags, self.handlers = [], set(), set(), []

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        for name, value in attrs:
            if name in {"href", "src", "srcset", "action", "data", "poster", "background"}:
                self.refers.append((tag, value))
            if name == "id":
                self.ids.add(value)
            if name.startswith("on") or name == "style":
                self.handlers.append((tag, name))


async def test_the_page_needs_nothing_from_elsewhere(gateway):
    """The documentation page loads nothing from anywhere, runs nothing, and its links lead to what is on it."""
    page, text = Page(), (await gateway.call("GET", "/docs")).body
    page.feed(text)
    assert page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form", "svg"} == set()
    assert page.handlers == []
    assert not re.search(r"url\(|@import", text)
    for tag, target in page.refers:
        assert tag == "a"
        assert target == "openapi.json" or (target[0] == "#" and target[1:] in page.ids), target
    assert set(spec()["components"]["schemas"]) <= page.ids
    for path in spec()["paths"]:
        assert f"<code>{path}</code>" in text


def test_the_page_shows_text_as_text():
    """Markup in a name, a description or an example is shown, not obeyed."""
    odd = copy.deepcopy(spec())
    evil = "<script>alert('x')</script>\"'&"
    odd["info"]["title"] = evil
    one = odd["paths"]["/messages"]["post"]
    one["summary"] = one["description"] = one["parameters"][0]["description"] = evil
    one["requestBody"]["content"]["application/json"]["examples"] = {evil: {"value": {"text": evil}}}
    one["responses"]["202"]["description"] = evil
    odd["components"]["schemas"][evil] = {"description": evil}
    odd["paths"][f"/{evil}"] = {"get": one}
    page = Page()
    page.feed(openapi.page(odd))
    assert "script" not in page.tags
    assert page.handlers == []


@pytest.mark.parametrize(
    ("status", "headers", "media_type", "body", "fault"),
    [
        (418, {}, "application/json", b"{}", "not documented"),
        (200, {}, "application/json", b'{"items":[{}]}', "required property"),
        (200, {}, "application/json", b'{"items":[],"more":1}', "Additional properties"),
        (200, {}, "application/json", b'{"items":1}', "not of type 'array'"),
        (200, {}, "text/html", b'{"items":[]}', "text/html is not documented"),
        (200, {"X-More": "1"}, "application/json", b'{"items":[]}', "x-more is not documented"),
        (422, {}, "application/problem+json", b'{"type":"a","title":"b","status":400}', "the body says 400"),
        (422, {}, "application/problem+json", b'{"type":"a","title":"b","status":422,"x":1}', "Additional properties"),
    ],
)
def test_the_watch_finds_faults(status, headers, media_type, body, fault):
    """The watch that holds every answer of every suite against the document sees each kind of difference."""
    watch = Documented()
    watch.take("list_providers", status, headers, media_type, body)
    assert any(fault in found for found in watch.faults), watch.faults


def test_the_watch_takes_what_is_right():
    """The watch has nothing to say of an answer as documented."""
    watch = Documented()
    watch.take("list_providers", 200, {}, "application/json", b'{"items":[]}')
    assert watch.faults == []
    watch.take("get_provider", 200, {}, "application/json", b"{}")
    assert any("etag is documented and was not sent" in found for found in watch.faults)


async def test_the_watch_watches(gateway, documented):
    """The watch sees the answers of a running gateway: with a document that says otherwise it objects."""
    answers = described()["get_health"]["responses"]
    kept = answers.pop("200")
    try:
        await gateway.call("GET", "/health")
    finally:
        answers["200"] = kept
    assert documented.faults == ["get_health 200: the status is not documented"]
    documented.faults.clear()
    assert ("get_health", 200) in documented.seen
    assert api.answer.__module__ != "functions.triggers.api"


def test_schemas_are_schemas():
    """Every schema is a valid JSON Schema of the dialect that OpenAPI 3.1 uses."""
    for schema in spec()["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
