"""Lists of messages: filters, pages, and the addresses of other pages."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from sandbox.clock import utc
from sandbox.vendors.twilio.wire import BAD_REQUEST, refuse

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from sandbox.ledger import Ledger, Message

_DEFAULT_PAGE, _LONGEST_PAGE = 50, 1000


def list_page(
    request: web.Request,
    ledger: Ledger,
    account: str,
    render: Callable[[Message], dict[str, Any]],
) -> dict[str, Any]:
    """Answer `GET …/Messages.json`.

    Args:
        request: Its query filters by To, From and DateSent, and names the page.
        ledger: Where the messages are.
        account: The account's sid.
        render: Describes one message.
    """
    size = _page_size(request.query.get("PageSize"))
    messages, more = _pick(ledger, account, request, size)
    query = [(name, value) for name, value in request.query.items() if name not in {"Page", "PageToken", "PageSize"}]
    number = int(request.query.get("Page", "0") or 0)

    def uri(page: int, token: str | None) -> str:
        place = [("PageSize", str(size)), ("Page", str(page)), *([("PageToken", token)] if token else [])]
        return f"/2010-04-01/Accounts/{account}/Messages.json?{urlencode([*query, *place])}"

    return {
        "first_page_uri": uri(0, None),
        "next_page_uri": uri(number + 1, f"PA{messages[-1].id}") if more else None,
        "previous_page_uri": None,
        "page": number,
        "page_size": size,
        "start": number * size,
        "end": number * size + max(len(messages) - 1, 0),
        "uri": uri(number, request.query.get("PageToken")),
        "messages": [render(message) for message in messages],
    }


def _pick(ledger: Ledger, account: str, request: web.Request, size: int) -> tuple[list[Message], bool]:
    """Pick one page, newest first, and say whether more follow; a token names the last message of the page before."""
    days = _day_filters(request)
    found = ledger.find(
        recipient=request.query.get("To"),
        sender=request.query.get("From"),
        account=account,
        direction=None,
    )
    token = request.query.get("PageToken", "").removeprefix("PA")
    picked: list[Message] = []
    seen = not token
    for message in reversed(found):
        if not seen:
            seen = message.id == token
            continue
        if not all(fits(message) for fits in days):
            continue
        if len(picked) == size:
            return picked, True
        picked.append(message)
    return picked, False


def _page_size(text: str | None) -> int:
    if not text:
        return _DEFAULT_PAGE
    if not text.isdigit() or int(text) < 1:
        refuse(BAD_REQUEST, 20001, "Invalid parameter: PageSize")
    return min(int(text), _LONGEST_PAGE)


def _day_filters(request: web.Request) -> list[Any]:
    """Read DateSent, `DateSent<` (that day or before) and `DateSent>` (that day or after), whole days in GMT.

    A message that was not sent yet has no date, so none of them lets it pass.
    """
    filters = []
    for name, fits in (
        ("DateSent", lambda sent, day: sent == day),
        ("DateSent<", lambda sent, day: sent <= day),
        ("DateSent>", lambda sent, day: sent >= day),
    ):
        text = request.query.get(name)
        if text is None:
            continue
        try:
            day = datetime.fromisoformat(text).date()
        except ValueError:
            refuse(BAD_REQUEST, 20001, f"Invalid parameter: {name}")
        filters.append(
            lambda message, day=day, fits=fits: message.sent_at is not None and fits(utc(message.sent_at).date(), day),
        )
    return filters
