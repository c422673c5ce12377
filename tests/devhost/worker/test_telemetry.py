"""Telemetry in Microsoft's own worker: the app follows the host's spans, as docs/telemetry.md promises."""

import asyncio
import json

from functions.app import DISPATCH_QUEUE
from functions.gateway.envelope import dispatch
from functions.gateway.telemetry import Trace
from functions.storage.embedded import open_embedded
from tests.devhost.worker.test_real_app import FOLDER
from tests.telemetry.collector import running_collector

HOST = "00-11111111111111111111111111111111-2222222222222222-01"
CALLER = "00-33333333333333333333333333333333-4444444444444444-01"
BATCH = "01kb3v9r2m8q4t6w0x5y7z1a2b"


async def test_the_app_follows_the_hosts_spans(ask_worker, tmp_path):
    """An HTTP call lies below the host's span; a queue message lies where it was queued, linked to the host's span."""
    http = {
        "method": "GET",
        "url": "https://sms.example.com/api/health",
        "headers": {"host": "sms.example.com", "traceparent": CALLER},
        "query": {},
        "params": {},
        "body": "",
    }
    calls = [
        {"function": "get_health", "data": {"http": http}, "trace_parent": HOST},
        {
            "function": "dispatch_batch",
            "data": {"string": dispatch(BATCH, trace=Trace(CALLER))},
            "metadata": {"Id": {"string": "1"}, "DequeueCount": {"json": "1"}},
            "trace_parent": HOST,
            # The worker gives its processes no time to say goodbye.
            "pause": 1,
        },
    ]
    store = tmp_path / "gateway.db"
    async with running_collector() as collector:
        environment = {
            "SMS_STORAGE": "embedded",
            "SMS_EMBEDDED_PATH": str(store),
            "SMS_PUBLIC_URL": "https://sms.example.com",
            "PYTHON_ENABLE_OPENTELEMETRY": "true",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "50",
            "OTEL_METRIC_EXPORT_INTERVAL": "200",
        }
        (report,) = await asyncio.to_thread(ask_worker, FOLDER, calls=calls, environment=environment)

    assert report["error"] is None
    assert [call["status"] for call in report["calls"]] == ["success", "success"], report["calls"]
    assert json.loads(report["calls"][0]["value"]["http"]["body"])["status"] == "ok"
    (health,), (dispatched,) = collector.named("GET /api/health"), collector.named("dispatch")
    assert (health.trace, health.parent, health.kind) == ("1" * 32, "2" * 16, "internal")
    assert (dispatched.trace, dispatched.parent, dispatched.kind) == ("3" * 32, "4" * 16, "consumer")
    assert dispatched.links == ["1" * 32]
    storage = open_embedded(store)
    assert await storage.queues.length(f"{DISPATCH_QUEUE}-poison") == 0
    await storage.close()
