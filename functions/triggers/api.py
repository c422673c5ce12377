"""What every HTTP function does: read the request, call the handler, answer; every error becomes problem+json.

The same declaration registers the function, validates the request and documents both, so none of the three can drift.
Why this is our own: docs/decisions/0001-openapi.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import azure.functions as func
import orjson
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, from_json

from functions.app import Application, application, telemetry
from functions.gateway.problems import FieldError, Kind, ProblemError
from functions.gateway.telemetry import NOWHERE, Trace
from functions.gateway.telemetry import Kind as SpanKind
from functions.storage.ports import StorageError, TooLargeError
from functions.triggers.failures import place_of

log = logging.getLogger("sms.api")

MAX_BODY = 4 * 1024 * 1024
PROBLEM_JSON = "application/problem+json"
STATUSES = {
    Kind.MALFORMED: 400,
    Kind.NOT_AUTHENTIC: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.STALE: 412,
    Kind.TOO_LARGE: 413,
    Kind.WRONG_TYPE: 415,
    Kind.INVALID: 422,
    Kind.KEY_REUSED: 422,
    Kind.PRECONDITION_REQUIRED: 428,
    Kind.UNAVAILABLE: 503,
}
TITLES = {
    Kind.MALFORMED: "The request cannot be read",
    Kind.NOT_AUTHENTIC: "The callback is not authentic",
    Kind.NOT_FOUND: "Not found",
    Kind.CONFLICT: "It conflicts with what is there",
    Kind.STALE: "It was changed since you read it",
    Kind.TOO_LARGE: "The request is too large",
    Kind.WRONG_TYPE: "Unsupported media type",
    Kind.INVALID: "The request is not valid",
    Kind.KEY_REUSED: "The idempotency key was used for another request",
    Kind.PRECONDITION_REQUIRED: "If-Match is required",
    Kind.UNAVAILABLE: "Not available just now",
}
_INTERNAL_ERROR = 500
_MOST_ERRORS = 100
_KEY_PARAMETER = "code"
"""The query parameter in which the host takes a function key: https://learn.microsoft.com/azure/azure-functions/function-keys-how-to."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read.

    Args:
        app: The gateway.
        path: The route's parameters.
        query: The query, validated by the operation's model; the raw mapping where it has none.
        body: The body, validated by the operation's model; ``None`` where it has none.
        raw: The body as it came.
        headers: Names in lower case.
        target: Path and query as they came.
    """

    app: Application
    path: Mapping[str, str]
    query: Any
    body: Any
    raw: bytes
    headers: Mapping[str, str]
    target: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers.

    Args:
        body: A model for JSON, text for anything else, or nothing.
        status: The HTTP status.
        headers: More headers.
        content_type: Of a text body.
    """

    body: BaseModel | str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "text/plain"


class _NoQuery(BaseModel):
    """The query of an operation that takes none."""

    model_config = ConfigDict(extra="forbid")


Handler = Callable[[Call], Awaitable[Reply]]
AnyHandler = TypeVar("AnyHandler", bound=Handler)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the API.

    Args:
        name: The function's name.
        method: The HTTP method.
        route: The route below ``/api``.
        summary: One line.
        description: What a caller has to know.
        tag: The group in the documentation.
        answers: The model by status; ``None`` for an empty body, a text for its media type.
        problems: The problems that are its own, beside those that any request may meet.
        body: The model of the request body.
        query: The model of the query.
        headers: Request headers by name, with what they are for.
        answer_headers: Answer headers by name, with what they tell.
        anonymous: Whether no function key is asked for.
        any_body: Whether the body is the vendor's own business.
    """

    name: str
    method: str
    route: str
    summary: str
    description: str
    tag: str
    answers: Mapping[int, type[BaseModel] | str | None]
    problems: tuple[Kind, ...] = ()
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    answer_headers: Mapping[str, str] = field(default_factory=dict)
    anonymous: bool = False
    any_body: bool = False


OPERATIONS: list[Operation] = []
"""All operations, in the order in which they were declared; the OpenAPI document is made from them."""


def operation(blueprint: func.Blueprint, **declared: Any) -> Callable[[AnyHandler], AnyHandler]:
    """Register a handler as a function and its declaration as documentation.

    The handler's name becomes the function's, its docstring the summary and description.
    """

    def register(handler: AnyHandler) -> AnyHandler:
        summary, _, description = (handler.__doc__ or "").strip().partition("\n")
        described = Operation(name=handler.__name__, summary=summary, description=_unindented(description), **declared)
        OPERATIONS.append(described)

        async def function(req: func.HttpRequest) -> func.HttpResponse:
            return await answer(described, handler, req)

        function.__name__ = handler.__name__
        level = func.AuthLevel.ANONYMOUS if described.anonymous else func.AuthLevel.FUNCTION
        route = blueprint.route(route=described.route, methods=[described.method], auth_level=level)
        blueprint.function_name(handler.__name__)(route(function))
        return handler

    return register


async def answer(described: Operation, handler: Handler, req: func.HttpRequest) -> func.HttpResponse:
    """Carry out one request; whatever happens, the caller gets an answer that says so."""
    route = f"/api/{described.route}"
    known = {"http.request.method": described.method, "http.route": route}
    with telemetry().span(f"{described.method} {route}", SpanKind.SERVER, known, _trace(described, req)) as span:
        response = await _answer(described, handler, req)
        span.set("http.response.status_code", response.status_code)
        if response.status_code >= _INTERNAL_ERROR:
            span.fail(str(response.status_code))
        return response


def _trace(described: Operation, req: func.HttpRequest) -> Trace:
    """Return the caller's trace; whoever needs no key could make up any.

    Source: https://www.w3.org/TR/trace-context.
    """
    if described.anonymous:
        return NOWHERE
    return Trace(req.headers.get("traceparent") or "", req.headers.get("tracestate") or "")


async def _answer(described: Operation, handler: Handler, req: func.HttpRequest) -> func.HttpResponse:
    try:
        return _response(await handler(_read(described, req)))
    except ProblemError as error:
        return problem(error)
    except TooLargeError:
        return problem(ProblemError(Kind.TOO_LARGE, "It is larger than can be stored; send less at once."))
    except (StorageError, asyncio.CancelledError) as error:
        log.warning("%s could not be carried out: %s", described.name, type(error).__name__)
        return problem(
            ProblemError(Kind.UNAVAILABLE, "The store did not answer. Repeat with the same Idempotency-Key.")
        )
    except Exception as error:  # noqa: BLE001 - the last boundary: no stack trace may leave, and no words with secrets
        log.error("%s failed with %s at %s", described.name, type(error).__name__, place_of(error))  # noqa: TRY400
        body = {"type": "about:blank", "title": "Internal error", "status": _INTERNAL_ERROR}
        return func.HttpResponse(orjson.dumps(body), status_code=_INTERNAL_ERROR, mimetype=PROBLEM_JSON)


def problem(error: ProblemError) -> func.HttpResponse:
    """Return the answer for a problem.

    Source: https://www.rfc-editor.org/rfc/rfc9457.
    """
    status = STATUSES[error.kind]
    body: dict[str, Any] = {
        "type": f"urn:sms-gateway:problem:{error.kind.value}",
        "title": TITLES[error.kind],
        "status": status,
        "detail": error.detail,
    }
    if error.errors:
        body["errors"] = [{"field": one.field, "detail": one.detail} for one in error.errors]
    headers = {"Retry-After": "2"} if error.kind is Kind.UNAVAILABLE else None
    return func.HttpResponse(
        orjson.dumps(body | error.extra), status_code=status, mimetype=PROBLEM_JSON, headers=headers
    )


def _read(described: Operation, req: func.HttpRequest) -> Call:
    parts = urlsplit(req.url)
    raw = req.get_body() or b""
    if len(raw) > MAX_BODY:
        raise ProblemError(Kind.TOO_LARGE, f"The body is larger than {MAX_BODY} bytes; split it into several calls.")
    query: Any = dict(req.params)
    if not described.any_body:
        given = {name: value for name, value in query.items() if name.lower() != _KEY_PARAMETER}
        query = _validated_query(given, described.query or _NoQuery)
    return Call(
        app=application(),
        path=dict(req.route_params),
        query=query,
        body=_read_body(described.body, raw, req.headers) if described.body is not None else None,
        raw=raw,
        headers=req.headers,
        target=f"{parts.path}?{parts.query}" if parts.query else parts.path,
    )


def _read_body(model: type[BaseModel], raw: bytes, headers: Mapping[str, str]) -> BaseModel:
    media_type = (headers.get("content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ProblemError(Kind.WRONG_TYPE, "Send JSON, with the header Content-Type: application/json.")
    if not raw:
        raise ProblemError(
            Kind.MALFORMED, "The body is empty. Send JSON with a Content-Length; a chunked body does not arrive."
        )
    try:
        # Strict: a number in quotes or a true for 1 is a mistake that should be seen where it is made.
        return model.model_validate_json(raw, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        found = _found(error)
        if found[0]["type"] == "json_invalid":
            raise ProblemError(Kind.MALFORMED, f"The body is not valid JSON: {found[0]['msg']}.") from None
        document = from_json(raw)
        pointed = [(_pointer(document, item["loc"], item["type"]), item) for item in found]
        # Of a union every branch complains; the one that got furthest into the value is the one that was meant.
        deepest = [one for one in pointed if not any(other.startswith(f"{one[0]}/") for other, _ in pointed)]
        raise _misfit([item for _, item in deepest], [pointer for pointer, _ in deepest]) from None


def _validated_query(given: Mapping[str, str], model: type[BaseModel]) -> BaseModel:
    try:
        return model.model_validate(given, by_alias=True, by_name=False)
    except ValidationError as error:
        found = _found(error)
        raise _misfit(found, [str(item["loc"][0]) if item["loc"] else "" for item in found]) from None


def _found(error: ValidationError) -> list[ErrorDetails]:
    """Return the first errors without their input: a body carries numbers, texts and credentials."""
    return error.errors(include_input=False, include_url=False, include_context=False)[:_MOST_ERRORS]


def _misfit(found: Sequence[ErrorDetails], fields: Sequence[str]) -> ProblemError:
    words: dict[str, list[str]] = {}
    for name, item in zip(fields, found, strict=True):
        words.setdefault(name, []).append(_words(item["type"], item["msg"]))
    # Each branch of a union says what it would have taken.
    errors = [FieldError(name, " Or: ".join(dict.fromkeys(said))) for name, said in words.items()]
    return ProblemError(Kind.INVALID, "Something does not fit; see errors.", errors)


def _pointer(document: Any, location: Sequence[str | int], kind: str) -> str:
    """Return where an error lies as a JSON pointer; the names of a union's branches are no part of it.

    Source: https://www.rfc-editor.org/rfc/rfc6901.
    """
    pointer = ""
    for place, part in enumerate(location):
        absent = kind == "missing" and place == len(location) - 1
        if isinstance(document, dict) and (part in document or absent):
            document = document.get(part)
        elif isinstance(document, list) and isinstance(part, int):
            document = document[part]
        else:
            continue
        pointer += "/" + str(part).replace("~", "~0").replace("/", "~1")
    return pointer or "/"


def _words(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "There is no such field; see /api/docs for those there are."
    return f"{message.removeprefix('Value error, ')}."


def _response(reply: Reply) -> func.HttpResponse:
    if isinstance(reply.body, BaseModel):
        return func.HttpResponse(
            reply.body.model_dump_json(by_alias=True, exclude_none=True),
            status_code=reply.status,
            mimetype="application/json",
            headers=dict(reply.headers),
        )
    return func.HttpResponse(
        reply.body or "", status_code=reply.status, mimetype=reply.content_type, headers=dict(reply.headers)
    )


def _unindented(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


def required_match(call: Call) -> str:
    """Return the version that the caller means to change.

    Raises:
        ProblemError: It does not say; without it one change could silently undo another.
    """
    etag = call.headers.get("if-match")
    if not etag:
        raise ProblemError(
            Kind.PRECONDITION_REQUIRED,
            "Send the ETag of what you read as If-Match, or `*` to change it whatever it is now.",
            [FieldError("If-Match", "Missing.")],
        )
    return etag
