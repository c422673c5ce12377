"""What a refusal looks like."""

from __future__ import annotations

from typing import Any

from devhost.running import Answer


def check_problem(answer: Answer, status: int, *fields: str) -> dict[str, Any]:
    """Check that an answer is a problem that says what is wrong, with exactly these fields, and return it.

    Source: https://www.rfc-editor.org/rfc/rfc9457.
    """
    assert answer.status == status, f"{answer.status}: {answer.body}"
    assert answer.headers["Content-Type"].partition(";")[0] == "application/problem+json"
    assert answer.body["status"] == status
    assert answer.body["type"].startswith("urn:sms-gateway:problem:")
    assert len(answer.body["detail"]) > 10
    found = [error["field"] for error in answer.body.get("errors", [])]
    if fields:
        assert sorted(found) == sorted(fields), answer.body
    assert all(len(error["detail"]) > 5 for error in answer.body.get("errors", []))
    return answer.body
