"""Finds a message by the vendor's own id, for vendors whose reports carry none of ours."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping

from functions.gateway.commit import GroupCommit
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

    async def message(self, provider: str, vendor_id: str) -> str:
        """Return the message that the vendor calls by this id, or an empty text."""
        for wait in (*_PATIENCE, None):
            row = await self._tables.get(TABLE, *_place(provider, vendor_id))
            if row is not None:
                return str(row.values["message"])
            if wait is not None:
                await asyncio.sleep(wait)
        return ""


def _place(provider: str, vendor_id: str) -> tuple[str, str]:
    digest = hashlib.blake2b(vendor_id.encode(errors="replace"), digest_size=16).hexdigest()
    return f"{provider}-{digest[:2]}", digest
