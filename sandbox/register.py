"""Named records that survive a restart: accounts, numbers, subscriptions, opt-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.journal import Journal

Record = TypeVar("Record", bound=BaseModel)


class Register(Generic[Record]):
    """A dictionary of records of one kind, each change journaled.

    Args:
        model: The records' type.
        vendor: The vendor's name.
        name: What the register is called in the journal.
        journal: Where changes are kept.
    """

    def __init__(self, model: type[Record], vendor: str, name: str, journal: Journal) -> None:
        self._model = model
        self._vendor = vendor
        self._journal = journal
        self.name = name
        self._records: dict[str, Record] = {}

    def __iter__(self) -> Iterator[Record]:
        """Go through the records in the order they were put in."""
        return iter(list(self._records.values()))

    def __contains__(self, key: object) -> bool:
        """Tell whether there is a record under this key."""
        return key in self._records

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> Record | None:
        """Find a record."""
        return self._records.get(key)

    def put(self, key: str, record: Record) -> Record:
        """Store a record, in place of the one that was there."""
        self._records[key] = record
        self._journal.write("put", self._vendor, register=self.name, key=key, record=record.model_dump(mode="json"))
        return record

    def remove(self, key: str) -> Record | None:
        """Take a record out; nothing when there is none."""
        record = self._records.pop(key, None)
        if record is not None:
            self._journal.write("remove", self._vendor, register=self.name, key=key)
        return record

    def clear(self) -> None:
        """Take all records out."""
        for key in list(self._records):
            self.remove(key)

    def restore(self, fact: dict[str, Any]) -> None:
        """Take back one change from the journal."""
        if fact["kind"] == "put":
            self._records[fact["key"]] = self._model.model_validate(fact["record"])
        else:
            self._records.pop(fact["key"], None)


REGISTER_FACTS = frozenset({"put", "remove"})
