"""Run by the tests as a process of its own, which they kill: writes, and prints what was acknowledged.

Usage: writing_process.py FILE ROUND write|claim
"""

from __future__ import annotations

import asyncio
import itertools
import sys

from functions.storage.embedded import open_embedded
from functions.storage.ports import Row, Storage

TASKS = 8
CLAIMS = 200


def acknowledge(kind: str, key: str) -> None:
    """Tell the test, at once and in one write, so that a kill cuts no line in two but the last."""
    sys.stdout.write(f"{kind} {key}\n")
    sys.stdout.flush()


async def write(storage: Storage, name: str) -> None:
    """Insert rows, put messages and set secrets without end, several tasks at once."""

    async def one_task(task: int) -> None:
        for n in itertools.count():
            key = f"{name}-{task}-{n}"
            await storage.tables.insert("rows", [Row("p", key, {"n": n}), Row("p", f"{key}-twin", {"n": n})])
            acknowledge("row", key)
            await storage.queues.put("messages", key)
            acknowledge("message", key)
            await storage.secrets.set(key, f"value of {key}")
            acknowledge("secret", key)

    await asyncio.gather(*(one_task(task) for task in range(TASKS)))


async def claim(storage: Storage, name: str) -> None:
    """Insert the same rows as other processes do, and print which of them this one won."""
    for n in range(CLAIMS):
        if await storage.tables.insert("claims", [Row("p", f"{n:03}", {"by": name})]):
            acknowledge("won", f"{n:03}")


async def main(file: str, name: str, mode: str) -> None:
    storage = open_embedded(file)
    await {"write": write, "claim": claim}[mode](storage, name)
    await storage.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
