"""Tells which of the stores the gateway cannot use, and why, by using each of them a little."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from functions.gateway.clock import Clock, to_ms
from functions.storage.ports import Fault, Place, Row, StaleError, Storage, StorageError

TABLE = "readiness"
QUEUE = "sms-readiness"
SECRET = "sms-readiness"  # noqa: S105 - a name that nothing is ever kept under
LIMIT = 3.0
"""Seconds that one store has to answer; the stores' own clients would go on trying for longer."""

_ROW = ("probe", "probe")
_HIDDEN = 30.0
_MOST = 32


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one store.

    Args:
        dependency: ``tables``, ``queues`` or ``secrets``.
        ok: Whether it can be used.
        detail: What is wrong with what, without any secret.
        remedy: What to do about it; empty when nothing is wrong.
    """

    dependency: str
    ok: bool
    detail: str
    remedy: str = ""


class Readiness:
    """Tries the stores.

    What is tried needs the same roles as the gateway's work does, and changes nothing of it: a row of its own is read
    and written, a message goes through a queue of its own, and a secret that never was there is asked for and deleted.
    That makes 2, 3 and 2 requests.

    Args:
        storage: The stores.
        clock: The time now.
        limit: Seconds that one store has to answer.
    """

    def __init__(self, storage: Storage, clock: Clock, limit: float = LIMIT) -> None:
        self._storage = storage
        self._clock = clock
        self._limit = limit

    async def look(self) -> list[Finding]:
        """Try all stores at once and return what was found of each."""
        stores = self._storage
        return list(
            await asyncio.gather(
                self._try("tables", stores.tables.place, self._use_tables),
                self._try("queues", stores.queues.place, self._use_queues),
                self._try("secrets", stores.secrets.place, self._use_secrets),
            )
        )

    async def _try(self, name: str, place: Place, use: Callable[[], Awaitable[None]]) -> Finding:
        try:
            async with asyncio.timeout(self._limit):
                await use()
        except TimeoutError:
            late = StorageError(f"no answer within {self._limit:g} seconds", fault=Fault.UNREACHABLE)
            return _fault(name, place, late)
        except StorageError as error:
            return _fault(name, place, error)
        return Finding(name, ok=True, detail=f"{place.resource} can be read and written.")

    async def _use_tables(self) -> None:
        tables = self._storage.tables
        values = {"at": to_ms(self._clock())}
        row = await tables.get(TABLE, *_ROW)
        if row is None:
            await tables.insert(TABLE, [Row(*_ROW, values)])
            return
        # Stale: another instance wrote at the same time, so writing works.
        with suppress(StaleError):
            await tables.replace(TABLE, Row(*_ROW, values, row.etag))

    async def _use_queues(self) -> None:
        queues = self._storage.queues
        await queues.put(QUEUE, "{}")
        # All there is, in case that somebody else's look was cut short.
        for item in await queues.receive(QUEUE, limit=_MOST, visibility=_HIDDEN):
            with suppress(StaleError):
                await queues.delete(QUEUE, item)

    async def _use_secrets(self) -> None:
        await self._storage.secrets.get(SECRET)
        await self._storage.secrets.delete(SECRET)


def _fault(name: str, place: Place, error: StorageError) -> Finding:
    where = f"{place.resource} ({place.address})" if place.address else place.resource
    match error.fault:
        case Fault.REFUSED if error.remedy:
            detail, remedy = f"{where} refuses the app: {error}.", error.remedy
            remedy += f" If it was not that: {place.role} is the role it needs there." if place.role else ""
        case Fault.REFUSED if place.role:
            detail = f"The role {place.role} is missing on {where}: {error}."
            remedy = f"Assign {place.role} on {place.resource} to the app's identity; it takes some minutes to count."
        case Fault.REFUSED:
            detail, remedy = f"{where} refuses the app: {error}.", "Check the key that the app settings give for it."
        case Fault.UNREACHABLE:
            detail = f"{where} cannot be reached: {error}."
            remedy = "Check the address in the app settings, then the network, private endpoints and DNS between."
        case Fault.FAILED:
            detail = f"{where} does not do its work: {error}."
            remedy = "Wait and look again; if it stays so, look at the health of the service itself."
    return Finding(name, ok=False, detail=detail, remedy=remedy)
