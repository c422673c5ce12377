"""Holds what the API answers against what its own OpenAPI document promises."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

import function_app  # noqa: F401 - registers all operations
from functions.triggers.api import OPERATIONS, PROBLEM_JSON
from functions.triggers.openapi import document

UNCHECKED_HEADERS = frozenset({"content-type"})


@cache
def spec() -> dict[str, Any]:
    """Return the document as a caller reads it."""
    return json.loads(json.dumps(document(OPERATIONS, "https://sms.example.com")))


@cache
def described() -> dict[str, dict[str, Any]]:
    """Return the document's operations by their ids."""
    return {one["operationId"]: one for methods in spec()["paths"].values() for one in methods.values()}


@cache
def validator(pointer: str) -> Draft202012Validator:
    """Return what checks a value against the schema at a pointer; formats such as dates are checked too."""
    components = json.loads(json.dumps(spec()["components"]))
    # Extension members are allowed by RFC 9457, but those that the gateway adds must be in the document.
    components["schemas"]["Problem"]["additionalProperties"] = False
    return Draft202012Validator({"$ref": pointer, "components": components}, format_checker=FormatChecker())


@dataclass
class Documented:
    """Takes answers and keeps what the document does not say of them.

    Args:
        excused: Statuses that a test provokes although no operation promises them.
        seen: Operation and status of every answer.
        faults: What the document does not say.
    """

    excused: set[int] = field(default_factory=set)
    seen: set[tuple[str, int]] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def take(self, operation: str, status: int, headers: dict[str, str], media_type: str, body: bytes) -> None:
        """Check one answer."""
        self.seen.add((operation, status))
        if status not in self.excused:
            for fault in _faults(operation, status, headers, media_type, body):
                self.faults.append(f"{operation} {status}: {fault}")


def _faults(operation: str, status: int, headers: dict[str, str], media_type: str, body: bytes) -> list[str]:
    answer = described()[operation]["responses"].get(str(status))
    if answer is None:
        return ["the status is not documented"]
    named = {name.lower() for name in answer.get("headers", {})}
    sent = {name.lower() for name in headers} - UNCHECKED_HEADERS
    faults = [f"the header {name} is not documented" for name in sorted(sent - named)]
    faults += [f"the header {name} is documented and was not sent" for name in sorted(named - sent)]
    content = answer.get("content")
    if content is None:
        return [*faults, *(["the body should be empty"] if body else [])]
    if media_type not in content and "*/*" not in content:
        return [*faults, f"{media_type} is not documented"]
    schema = content.get(media_type, {}).get("schema")
    if schema is None:
        return faults
    value = json.loads(body)
    if media_type == PROBLEM_JSON and value["status"] != status:
        faults.append(f"the body says {value['status']}")
    found = validator(schema["$ref"]).iter_errors(value)
    return faults + [f"{error.json_path}: {error.message[:200]}" for error in found]
