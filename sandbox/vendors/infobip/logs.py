"""Asking instead of being told: `GET /sms/3/logs`, `GET /sms/3/reports`, `GET /sms/1/inbox/reports`."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.vendor import json_response
from sandbox.vendors.infobip.codes import words_for
from sandbox.vendors.infobip.wire import BAD_REQUEST, TOO_MANY, Shape, bare, read_date, refuse, written

if TYPE_CHECKING:
    from aiohttp import web
    from multidict import MultiMapping

    from sandbox.ledger import Message
    from sandbox.vendors.infobip.vendor import InfobipVendor

_KEPT_SECONDS = 48 * 3600
_DEFAULT_ROWS, _MOST_ROWS = 50, 1000
_LONGEST_LIST = 2048
_LOG_CALLS, _LOG_SECONDS = 120, 60.0
_GROUPS = frozenset({"ACCEPTED", "PENDING", "UNDELIVERABLE", "DELIVERED", "EXPIRED", "REJECTED"})


@dataclass(frozen=True, slots=True)
class Unread:
    """A report or an incoming text that nobody has fetched yet.

    Attributes:
        at: Since when, in seconds since 1970.
        result: What it says.
    """

    at: float
    result: dict[str, Any]


class Shelf:
    """What waits to be fetched, each item once; forgotten when the sandbox stops."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Unread]] = defaultdict(lambda: deque(maxlen=100_000))

    def put(self, account: str, unread: Unread) -> None:
        """Let an item wait."""
        self._waiting[account].append(unread)

    def take(self, account: str, since: float, limit: int, **wanted: str | None) -> list[dict[str, Any]]:
        """Take out the oldest items that are younger than a moment and say what is wanted."""
        taken: list[dict[str, Any]] = []
        left: deque[Unread] = deque(maxlen=100_000)
        for unread in self._waiting[account]:
            fits = all(value is None or unread.result.get(name) == value for name, value in wanted.items())
            if fits and unread.at >= since and len(taken) < limit:
                taken.append(unread.result)
            else:
                left.append(unread)
        self._waiting[account] = left
        return taken

    def waiting(self, account: str) -> int:
        """Count what an account has not fetched yet."""
        return len(self._waiting[account])

    def clear(self) -> None:
        """Forget all."""
        self._waiting.clear()


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What a request to the log asks for, checked.

    Attributes:
        listed: For members that can be listed, the values that pass; none for all.
        single: For other members, the value that passes.
        group: The status group that passes, or nothing for all.
        since: The oldest moment, in seconds since 1970.
        until: The newest.
        limit: The most rows.
        start: How many rows to skip; nothing when no cursor is used.
    """

    listed: dict[str, frozenset[str]]
    single: dict[str, str]
    group: str | None
    since: float
    until: float
    limit: int
    start: int | None

    def passes(self, row: dict[str, Any]) -> bool:
        """Tell whether a row is asked for."""
        flat = row | row.get("platform", {})
        return (
            self.group in {None, row["status"]["groupName"]}
            and all(not values or flat.get(name) in values for name, values in self.listed.items())
            and all(flat.get(name) == value for name, value in self.single.items())
        )


class Logs:
    """The endpoints that read.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: InfobipVendor) -> None:
        self._vendor = vendor
        self._asked: dict[str, deque[float]] = defaultdict(deque)

    def clear(self) -> None:
        """Forget how often was asked."""
        self._asked.clear()

    async def logs(self, request: web.Request) -> web.Response:
        """Give what became of messages, newest first, 120 times a minute at most."""
        account = self._vendor.admit(request, "sms:logs:read", "sms:manage").name
        self._count(account)
        asked = _read(request.query, self._oldest())
        rows = [row for row in self._rows(account, asked) if asked.passes(row)]
        if asked.start is None:
            return json_response({"results": rows[: asked.limit]})
        end = asked.start + asked.limit
        more = {"nextCursor": f"c{end}"} if len(rows) > end else {}
        return json_response({"results": rows[asked.start : end], "cursor": {"limit": asked.limit, **more}})

    async def reports(self, request: web.Request) -> web.Response:
        """Give reports that were not fetched yet, posted or not."""
        account = self._vendor.admit(request, "message:send", "sms:message:send", "sms:manage").name
        limit = _limit(request.query.get("limit"), Shape.V3)
        wanted = {name: request.query.get(name) for name in ("bulkId", "messageId")}
        return json_response({"results": self._vendor.reports.take(account, self._oldest(), limit, **wanted)})

    async def inbox(self, request: web.Request) -> web.Response:
        """Give incoming texts that nothing was set up for, or PULL."""
        account = self._vendor.admit(
            request, "inbound-message:read", "sms:inbound-message:read", "sms:manage", shape=Shape.OLD
        ).name
        limit = _limit(request.query.get("limit"), Shape.OLD)
        results = self._vendor.inbox.take(account, self._oldest(), limit)
        return json_response(
            {
                "results": results,
                "messageCount": len(results),
                "pendingMessageCount": self._vendor.inbox.waiting(account),
            },
        )

    def _oldest(self) -> float:
        return self._vendor.world.clock.now() - _KEPT_SECONDS

    def _count(self, account: str) -> None:
        now, asked = self._vendor.world.clock.now(), self._asked[account]
        while asked and asked[0] <= now - _LOG_SECONDS:
            asked.popleft()
        if len(asked) >= _LOG_CALLS:
            refuse(Shape.V3, TOO_MANY)
        asked.append(now)

    def _rows(self, account: str, asked: LogQuery) -> list[dict[str, Any]]:
        """List the rows of the time asked for, newest first; those alone that are asked for by id."""
        ids = asked.listed["messageId"]
        if ids:
            named = (self._vendor.find(account, message_id) for message_id in ids)
            messages = [message for message in named if message is not None]
        else:
            messages = self._vendor.ledger.find(account=account)
        sent = [(message.at, self._row(message)) for message in messages]
        refused = [(refusal.at, refusal.row) for refusal in self._vendor.refusals if refusal.account == account]
        found = [(at, row) for at, row in (*sent, *refused) if asked.since <= at <= asked.until]
        return [row for _, row in sorted(found, key=lambda pair: pair[0], reverse=True)]

    def _row(self, message: Message) -> dict[str, Any]:
        status, fault = words_for(message.state, message.reason)
        row: dict[str, Any] = {
            "sender": bare(message.sender),
            "destination": bare(message.recipient),
            "bulkId": message.extra["bulk_id"],
            "messageId": message.extra["message_id"],
            "sentAt": written(message.at),
            "messageCount": message.segments,
            "price": {"pricePerMessage": 0.04, "currency": "EUR"},
            "status": status.shown(),
            "error": fault.shown(),
            "content": {"text": message.text},
            "mccMnc": "310260",
        }
        if message.final:
            row["doneAt"] = written(message.state_at)
        if message.extra["platform"]:
            row["platform"] = message.extra["platform"]
        if message.extra["campaign"]:
            row["campaignReferenceId"] = message.extra["campaign"]
        return row


def _limit(text: str | None, shape: Shape) -> int:
    if text is None:
        return _DEFAULT_ROWS
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_ROWS):
        refuse(shape, BAD_REQUEST, {"limit": ["must be from 1 to 1000"]})
    return int(text)


def _read(query: MultiMapping[str], oldest: float) -> LogQuery:
    """Read what a request to the log asks for; lists are repeated or separated by commas."""
    listed: dict[str, frozenset[str]] = {}
    for name in ("messageId", "bulkId", "campaignReferenceId"):
        given = query.getall(name, [])
        if sum(map(len, given)) > _LONGEST_LIST:
            refuse(Shape.V3, BAD_REQUEST, {name: ["must be at most 2048 characters long"]})
        listed[name] = frozenset(value for values in given for value in values.split(","))
    group = query.get("generalStatus")
    if group is not None and group not in _GROUPS:
        refuse(Shape.V3, BAD_REQUEST, {"generalStatus": ["is unknown"]})
    return LogQuery(
        listed,
        {name: query[name] for name in ("sender", "destination", "entityId", "applicationId") if name in query},
        group,
        max(_moment("sentSince", query.get("sentSince"), 0.0), oldest),
        _moment("sentUntil", query.get("sentUntil"), float("inf")),
        _limit(query.get("limit"), Shape.V3),
        _start(query.get("cursor")) if query.get("useCursor") == "true" else None,
    )


def _moment(name: str, text: str | None, otherwise: float) -> float:
    if text is None:
        return otherwise
    moment = read_date(text)
    if moment is None:
        refuse(Shape.V3, BAD_REQUEST, {name: ["must be a date of the format yyyy-MM-dd'T'HH:mm:ss.SSSZ"]})
    return moment


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not (cursor.startswith("c") and cursor[1:].isdecimal()):
        refuse(Shape.V3, BAD_REQUEST, {"cursor": ["is invalid"]})
    return int(cursor[1:])
