"""How long what is kept, and from when on what was deleted or erased is not brought back by those who come late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

SLACK = timedelta(hours=1)
"""Deletion lags this far behind the moment from which writers leave a thing alone: for writes under way and for the
difference of two machines' clocks."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How long things are kept; ``None`` for ever.

    Args:
        messages: Messages with all facts of them.
        inbound: Replies.
        raw: What vendors sent word for word.
    """

    messages: timedelta | None = None
    inbound: timedelta | None = None
    raw: timedelta | None = None


def is_over(kept: timedelta | None, since: datetime, now: datetime) -> bool:
    """Tell whether the time to keep a thing of a moment is over, so that nothing is to be added to it."""
    return kept is not None and now - since >= kept


def deletable(kept: timedelta, now: datetime) -> datetime:
    """Return the moment before which things may be deleted."""
    return now - kept - SLACK
