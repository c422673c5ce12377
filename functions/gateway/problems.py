"""What can be wrong with a request, in words that say what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The closed list of problems; the triggers give each an HTTP status."""

    MALFORMED = "malformed"
    INVALID = "invalid"
    NOT_FOUND = "not-found"
    CONFLICT = "conflict"
    STALE = "stale"
    TOO_LARGE = "too-large"
    WRONG_TYPE = "unsupported-media-type"
    PRECONDITION_REQUIRED = "precondition-required"
    KEY_REUSED = "idempotency-key-reused"
    NOT_AUTHENTIC = "not-authentic"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with one field.

    Args:
        field: A JSON pointer into the body, or the name of a query parameter, header or setting.
        detail: What is wrong and what would be right.
    """

    field: str
    detail: str


class ProblemError(Exception):
    """A request that cannot be carried out.

    Args:
        kind: Which problem it is.
        detail: One sentence that says what is wrong and what to do.
        errors: What is wrong with which field.
        extra: More members for the answer.
    """

    def __init__(
        self, kind: Kind, detail: str, errors: Sequence[FieldError] = (), extra: dict[str, Any] | None = None
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = tuple(errors)
        self.extra = extra or {}


def invalid(field: str, detail: str) -> ProblemError:
    """Return the problem of one invalid field."""
    return ProblemError(Kind.INVALID, detail, [FieldError(field, detail)])


def not_found(what: str, identity: str) -> ProblemError:
    """Return the problem of a thing that is not there."""
    return ProblemError(Kind.NOT_FOUND, f"There is no {what} {identity!r}.")
