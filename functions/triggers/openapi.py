"""The OpenAPI 3.1 document and a page to read it, made from the operations' own declarations.

Source: https://spec.openapis.org/oas/v3.1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import functions
from functions.gateway.problems import Kind
from functions.triggers.api import PROBLEM_JSON, STATUSES, TITLES, Operation
from functions.triggers.examples import ANSWERS, REQUESTS

_REF = "#/components/schemas/{model}"
_PATH_PARAMETER = re.compile(r"{(\w+)(?::[^}]*)?\??}")
_ALWAYS = (Kind.INVALID, Kind.TOO_LARGE, Kind.UNAVAILABLE)
_WITH_BODY = (Kind.MALFORMED, Kind.WRONG_TYPE)
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}
_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "What is wrong and what to do, as RFC 9457 has it.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:sms-gateway:problem:invalid"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {
                    "field": {"type": "string", "examples": ["/messages/3/to"]},
                    "detail": {"type": "string"},
                },
            },
        },
        "inFlight": {"type": "integer", "description": "How many messages keep a provider from being deleted."},
        "dependencies": {
            "type": "array",
            "description": "What was found of each store, when one of them cannot be used.",
            "items": {"$ref": _REF.format(model="Dependency")},
        },
        "messages": {
            "type": "array",
            "description": "What became of each message of a call of which none can be sent.",
            "items": {"$ref": _REF.format(model="AcceptedItem")},
        },
    },
}


_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait before trying again.", "schema": {"type": "string"}}}


def document(operations: Sequence[Operation], server: str) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        operations: All operations.
        server: The public address, without ``/api``.
    """
    models = {model for one in operations for model in _models(one)}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "serialization") for model in ordered], by_alias=True, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        path = "/" + _PATH_PARAMETER.sub(r"{\1}", one.route)
        paths.setdefault(path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "SMS gateway",
            "version": functions.__version__,
            "description": "One contract for journey platforms, every SMS vendor behind it. Errors are RFC 9457 "
            "problem+json and name the field and the remedy.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": f"{server}/api"}],
        "security": [{"functionKey": []}],
        "paths": paths,
        "components": {
            "schemas": {**schemas.get("$defs", {}), "Problem": _PROBLEM},
            "securitySchemes": {"functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"}},
        },
    }


def _models(one: Operation) -> Iterable[type[BaseModel]]:
    if one.body is not None:
        yield one.body
    for answer in one.answers.values():
        if isinstance(answer, type):
            yield answer


def _operation(one: Operation) -> dict[str, Any]:
    problems = {*one.problems, *_ALWAYS, *(_WITH_BODY if one.body is not None else ())}
    described: dict[str, Any] = {
        "operationId": one.name,
        "tags": [one.tag],
        "summary": one.summary,
        "description": one.description or one.summary,
        "parameters": [*_path_parameters(one), *_query_parameters(one), *_header_parameters(one)],
        "responses": {
            **{str(status): _answer(one, status, answer) for status, answer in sorted(one.answers.items())},
            **({} if one.anonymous else {"401": {"description": "The function key is missing or wrong."}}),
            **_problems(problems),
        },
    }
    if one.anonymous:
        described["security"] = []
    if one.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {
                "application/json": {"schema": _ref(one.body), "examples": REQUESTS.get(one.name, {})},
            },
        }
    elif one.any_body:
        described["requestBody"] = {"required": True, "content": {"*/*": {}}}
    return described


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REF.format(model=model.__name__)}


def _answer(one: Operation, status: int, answer: type[BaseModel] | str | None) -> dict[str, Any]:
    if answer is None:
        return {"description": "Done; the body is empty."}
    headers = {name: {"description": text, "schema": {"type": "string"}} for name, text in one.answer_headers.items()}
    if isinstance(answer, str):
        media_type = answer if "/" in answer else "*/*"
        return {"description": one.summary, "content": {media_type: {}}, "headers": headers}
    content: dict[str, Any] = {"schema": _ref(answer)}
    if status in ANSWERS.get(one.name, {}):
        content["examples"] = {"example": {"value": ANSWERS[one.name][status]}}
    description = (answer.__doc__ or "").partition("\n")[0]
    return {"description": description, "headers": headers, "content": {"application/json": content}}


def _problems(kinds: Iterable[Kind]) -> dict[str, Any]:
    by_status: dict[int, list[Kind]] = {}
    for kind in sorted(kinds):
        by_status.setdefault(STATUSES[kind], []).append(kind)
    return {
        str(status): {
            "description": "; ".join(TITLES[kind] for kind in found),
            **({"headers": _RETRY_AFTER} if Kind.UNAVAILABLE in found else {}),
            "headers": _RETRY_AFTER if Kind.UNAVAILABLE in found else {},
            "content": {
                PROBLEM_JSON: {
                    "schema": {"$ref": _REF.format(model="Problem")},
                    "examples": {
                        kind.value: {
                            "value": {
                                "type": f"urn:sms-gateway:problem:{kind.value}",
                                "title": TITLES[kind],
                                "status": status,
                            }
                        }
                        for kind in found
                    },
                }
            },
        }
        for status, found in sorted(by_status.items())
    }


def _path_parameters(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PARAMETER.findall(one.route)
    ]


def _query_parameters(one: Operation) -> list[dict[str, Any]]:
    if one.query is None:
        return []
    schema = one.query.model_json_schema(by_alias=True, ref_template=_REF)
    definitions = schema.get("$defs", {})
    return [
        {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", []),
            "description": value.get("description", ""),
            "schema": _inlined({key: part for key, part in value.items() if key != "description"}, definitions),
        }
        for name, value in schema["properties"].items()
    ]


def _inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """Return a query parameter's schema with its references written out."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            return definitions[schema["$ref"].rpartition("/")[2]]
        return {key: _inlined(part, definitions) for key, part in schema.items()}
    return [_inlined(part, definitions) for part in schema] if isinstance(schema, list) else schema


def _header_parameters(one: Operation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "description": text, "schema": {"type": "string"}}
        for name, text in one.headers.items()
    ]


_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem;color:#1b1b1b;background:#fff}
h2{border-bottom:1px solid #ccc;margin-top:2.5rem}code,pre{font:14px/1.4 ui-monospace,monospace;background:#f4f4f4}
pre{padding:.6rem;overflow:auto}details{border:1px solid #ddd;border-radius:4px;margin:.5rem 0;padding:.4rem .8rem}
summary{cursor:pointer}table{border-collapse:collapse}td,th{border:1px solid #ddd;padding:.2rem .5rem;text-align:left}
b.m{display:inline-block;min-width:4.5rem}
@media(prefers-color-scheme:dark){body{color:#eee;background:#161616}code,pre{background:#262626}td,th,details{border-color:#444}}
"""


def page(spec: Mapping[str, Any]) -> str:
    """Return the document as HTML without scripts, styles or pictures from elsewhere."""
    import orjson  # noqa: PLC0415

    groups: dict[str, list[str]] = {}
    for path, methods in spec["paths"].items():
        for method, one in methods.items():
            groups.setdefault(one["tags"][0], []).append(_operation_html(path, method, one))
    parts = [f"<h2>{escape(tag)}</h2>{''.join(items)}" for tag, items in groups.items()]
    parts.append("<h2>Shapes</h2>")
    for name, schema in spec["components"]["schemas"].items():
        pretty = orjson.dumps(schema, option=orjson.OPT_INDENT_2).decode()
        parts.append(
            f'<details id="{escape(name)}"><summary>{escape(name)}</summary><pre>{escape(pretty)}</pre></details>'
        )
    info = spec["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        f"<p>Base address <code>{escape(spec['servers'][0]['url'])}</code>; "
        "key in the header <code>x-functions-key</code>; "
        f'the same as <a href="openapi.json">OpenAPI 3.1</a>.</p>{"".join(parts)}</body></html>'
    )


def _operation_html(path: str, method: str, one: Mapping[str, Any]) -> str:
    import orjson  # noqa: PLC0415

    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{p['in']}{', required' if p['required'] else ''}</td>"
        f"<td>{escape(p.get('description', ''))}</td></tr>"
        for p in one["parameters"]
    )
    answers = "".join(
        f"<tr><td>{status}</td><td>{escape(answer['description'])}{_shape_link(answer)}</td></tr>"
        for status, answer in one["responses"].items()
    )
    examples = "".join(
        f"<p>{escape(name)}</p><pre>{escape(orjson.dumps(example['value'], option=orjson.OPT_INDENT_2).decode())}</pre>"
        for content in one.get("requestBody", {}).get("content", {}).values()
        for name, example in content.get("examples", {}).items()
    )
    return (
        f"<details><summary><b class=m>{method.upper()}</b> <code>{escape(path)}</code> "
        f"{escape(one['summary'])}</summary>"
        f"<p>{escape(one['description'])}</p>"
        + (f"<table>{rows}</table>" if rows else "")
        + (f"<h4>Body{_shape_link(one['requestBody'])}</h4>{examples}" if "requestBody" in one else "")
        + f"<h4>Answers</h4><table>{answers}</table></details>"
    )


def _shape_link(described: Mapping[str, Any]) -> str:
    for content in described.get("content", {}).values():
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if name:
            return f': <a href="#{escape(name)}">{escape(name)}</a>'
    return ""
