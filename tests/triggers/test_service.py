"""Health and documentation: open to all, and telling no more than they should."""

from __future__ import annotations

import functions
from functions.app import DISPATCH_QUEUE, POISON_QUEUE
from functions.storage.ports import StorageError
from tests.triggers.problems import check_problem


async def test_health(ready, request_raw):
    """Health needs no key, and tells the version and how much waits."""
    answer = await request_raw("GET", "/health", key=False)
    expected = {"status": "ok", "version": functions.__version__, "queued": 0, "poisoned": 0}
    assert (answer.status, answer.body) == (200, expected)
    queues = ready.gateway.application.storage.queues
    await queues.put(DISPATCH_QUEUE, "{}", delay=60)
    await queues.put(POISON_QUEUE, "{}")
    answer = await request_raw("GET", "/health", key=False)
    assert answer.body == expected | {"queued": 1, "poisoned": 1}


async def test_health_of_a_store_that_is_away(gateway, request_raw, monkeypatch):
    """Health answers 503 when the store does not answer, without its words."""

    async def away(self, queue):
        raise StorageError("connection string with a key in it")

    monkeypatch.setattr(type(gateway.application.storage.queues), "length", away)
    problem = check_problem(await request_raw("GET", "/health", key=False), 503)
    assert "key in it" not in str(problem)


async def test_documents_are_open(gateway, request_raw):
    """The OpenAPI document and its page need no key and name the public address."""
    document = await request_raw("GET", "/openapi.json", key=False)
    assert document.headers["Content-Type"].startswith("application/json")
    assert document.body["servers"] == [{"url": f"{gateway.url}/api"}]
    page = await request_raw("GET", "/docs", key=False)
    assert page.headers["Content-Type"].startswith("text/html")
    assert f"{gateway.url}/api" in page.body


async def test_a_fault_of_our_own(gateway, monkeypatch, documented):
    """A fault of the gateway's own is a 500 that says nothing, not even what kind it was."""
    documented.excused.add(500)

    async def broken(**_):
        raise ZeroDivisionError("secret words")

    monkeypatch.setattr(gateway.application.directory, "snapshot", broken)
    answer = await gateway.call("GET", "/providers")
    assert answer.status == 500
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.body == {"type": "about:blank", "title": "Internal error", "status": 500}
