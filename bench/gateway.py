"""What the gateway's own work costs a message, beside the store and the vendor: CPU time, medians of several rounds.

Run it with ``python3 dev.py bench gateway``. The store is SQLite in a temporary folder and the vendor is the sandbox in
this process, so read the figures against each other, not against the clock.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from functions.app import DISPATCH_QUEUE, Application, build
from functions.gateway.envelope import batch_to_dispatch
from functions.gateway.facts import Batch, Facts, Item
from functions.gateway.messagelog import summarise
from functions.gateway.models import NewProvider, NewSender, SendRequest
from functions.settings import read_settings
from functions.storage.embedded import open_embedded
from functions.vendors.contract import Category, Sender, SenderType
from sandbox.testing import running_sandbox

MESSAGES, ROUNDS = 1000, 7
TOKEN = "0123456789abcdef" * 2
SETTINGS = {"SMS_STORAGE": "embedded", "SMS_PUBLIC_URL": "http://127.0.0.1:9", "SMS_ALLOW_LOCAL_VENDORS": "true"}


def per_message(before: float) -> float:
    """Return the CPU microseconds that one message took since then."""
    return (time.process_time() - before) / MESSAGES * 1e6


async def ready(app: Application, base_url: str) -> str:
    """Make a Twilio provider and return its sender's id."""
    settings = {"accountSid": f"AC{TOKEN}", "authToken": TOKEN, "baseUrl": base_url}
    provider = await app.directory.create(NewProvider(vendor="twilio", name="bench", settings=settings))
    sender, _ = await app.directory.add_sender(
        provider.id, NewSender(type=SenderType.LONG_CODE, address="+14255550199")
    )
    await app.directory.finish(provider.id, None)
    return sender.id


async def dispatch_all(app: Application) -> None:
    """Dispatch whatever is queued."""
    queues = app.storage.queues
    while items := await queues.receive(DISPATCH_QUEUE, limit=32, visibility=60):
        for item in items:
            await app.dispatcher.dispatch(batch_to_dispatch(item.body.encode()))
            await queues.delete(DISPATCH_QUEUE, item)


def fold_thousand() -> None:
    """Summarise a thousand messages of ten batches, as closing them does."""
    sender = Sender(SenderType.LONG_CODE, "+14255550199")
    items = tuple(Item(f"+1425{2_000_000 + n}", "Hello", 1, "GSM-7") for n in range(100))
    batch = Batch("0" * 26, "p", "v", "s", sender, "", Category.TRANSACTIONAL, datetime.now(UTC), None, items)
    for _ in range(MESSAGES // 100):
        for index in range(100):
            summarise(Facts(batch), index)


async def one_round(app: Application, base_url: str) -> tuple[float, float]:
    """Return what accepting and what dispatching took."""
    sender = await ready(app, base_url)
    recipients: list[str] = [f"+1425{2_000_000 + number}" for number in range(MESSAGES)]
    request = SendRequest(sender=sender, to=recipients, text="Hello, your parcel is here.")
    before = time.process_time()
    await app.acceptor.accept(request, key=None, body=b"")
    accepting = per_message(before)
    before = time.process_time()
    await dispatch_all(app)
    return accepting, per_message(before)


async def main() -> None:
    """Measure and print."""
    figures: dict[str, list[float]] = {"accept": [], "dispatch (sandbox included)": [], "fold": []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            storage = open_embedded(Path(folder) / "bench.db")
            async with running_sandbox(time_scale=1000) as sandbox:
                app = build(read_settings(SETTINGS), storage)
                account = {"sid": f"AC{TOKEN}", "token": TOKEN}
                async with app.http.session.post(f"{sandbox.base_url}/sandbox/twilio/accounts", json=account) as made:
                    made.raise_for_status()
                accepting, dispatching = await one_round(app, sandbox.base_url)
                await app.close()
            await storage.close()
        figures["accept"].append(accepting)
        figures["dispatch (sandbox included)"].append(dispatching)
        before = time.process_time()
        fold_thousand()
        figures["fold"].append(per_message(before))
    least = min(statistics.median(found) for found in figures.values())
    print(f"{'':30} CPU in us a message   ratio")
    for name, found in figures.items():
        print(f"{name:30} {statistics.median(found):19.1f} {statistics.median(found) / least:7.1f}")


if __name__ == "__main__":
    asyncio.run(main())
