"""Named records that survive a restart: accounts, numbers, subscriptions, opt-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.journal import Journal

Record = TypeVar("Record", bound=BaseModel)


class Register(Generic[Record]):
    """A dictionary of records of one kind, each change journaled.

    Args:
        model: The records' type.
        vendor: The vendor's name.
        name: What the register is called in the journal.
        journal: Where changes are kept.
        by: The attribute that tells records apart.
        show: Describes a record without its secrets.
        hidden: Whether nobody asks to see it.
    """

    def __init__(
        self,
        model: type[Record],
        vendor: str,
        name: str,
        journal: Journal,
        *,
        by: str = "id",
        show: Callable[[Record], dict[str, Any]] = BaseModel.model_dump,
        hidden: bool = False,
    ) -> None:
        self.model = model
        self.name = name
        self.show = show
        self.hidden = hidden
        self._vendor = vendor
        self._journal = journal
        self._by = by
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

    def having(self, **values: Any) -> list[Record]:
        """List the records whose attributes have these values."""
        return [record for record in self if _has(record, values)]

    def key_of(self, record: Record) -> str:
        """Say what a record is added under."""
        key: str = getattr(record, self._by)
        return key

    def add(self, record: Record) -> Record:
        """Store a record under its own key, in place of the one that was there."""
        return self.put(self.key_of(record), record)

    def put(self, key: str, record: Record) -> Record:
        """Store a record under a key that is not in itself, in place of the one that was there."""
        self._records[key] = record
        self._journal.write("put", self._vendor, register=self.name, key=key, record=record.model_dump(mode="json"))
        return record

    def remove(self, key: str) -> Record | None:
        """Take a record out; nothing when there is none."""
        record = self._records.pop(key, None)
        if record is not None:
            self._journal.write("remove", self._vendor, register=self.name, key=key)
        return record

    def remove_having(self, **values: Any) -> None:
        """Take out the records whose attributes have these values; all when none are named."""
        for key in [key for key, record in self._records.items() if _has(record, values)]:
            self.remove(key)

    def restore(self, fact: dict[str, Any]) -> None:
        """Take back one change from the journal."""
        if fact["kind"] == "put":
            self._records[fact["key"]] = self.model.model_validate(fact["record"])
        else:
            self._records.pop(fact["key"], None)

    def clear(self) -> None:
        """Take all records out."""
        self.remove_having()


def _has(record: BaseModel, values: dict[str, Any]) -> bool:
    return all(getattr(record, name) == value for name, value in values.items())


REGISTER_FACTS = frozenset({"put", "remove"})
