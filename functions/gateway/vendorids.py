"""Finds a message by the vendor's own id, for vendors whose reports carry none of ours."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping

from functions.gateway.commit import GroupCommit
from functions.gateway.slices import in_slices
from functions.storage.ports import Row, Tables

TABLE = "vendorids"
_PATIENCE = (0.2, 0.5, 1.5)
"""Seconds between looks: a report may overtake the answer that names the id."""


class VendorIds:
    """Keeps which message a vendor's id belongs to."""

    def __init__(self, tables: Tables, commit: GroupCommit) -> None:
        self._tables = tables
        self._commit = commit

    async def keep(self, provider: str, messages: Mapping[str, str]) -> None:
        """Keep messages by the vendor's ids of them."""
        await asyncio.gather(
            *(
                self._commit.insert(TABLE, Row(*_place(provider, vendor_id), {"message": message}))
                for vendor_id, message in messages.items()
            )
        )

    async def messages(self, provider: str, vendor_ids: Collection[str]) -> dict[str, str]:
        """Return the messages that the vendor calls by these ids; an id that is not known is left out."""
        found: dict[str, str] = {}

        async def look(vendor_id: str) -> None:
            row = await self._tables.get(TABLE, *_place(provider, vendor_id))
            if row is not None:
                found[vendor_id] = str(row.values["message"])

        for wait in (*_PATIENCE, None):
            missing = [vendor_id for vendor_id in vendor_ids if vendor_id not in found]
            await in_slices(missing, look)
            if wait is None or len(found) == len(vendor_ids):
                break
            await asyncio.sleep(wait)
        return found


def _place(provider: str, vendor_id: str) -> tuple[str, str]:
    digest = hashlib.blake2b(vendor_id.encode(errors="replace"), digest_size=16).hexdigest()
    return f"{provider}-{digest[:2]}", digest
