"""Replies and the opt-out list over HTTP."""

from __future__ import annotations

from typing import Annotated

import azure.functions as func
from pydantic import AwareDatetime, Field

from functions.gateway.consent import ALL_SENDERS, Entry
from functions.gateway.models import InboundPage, NewOptOut, OptOutPage, OptOutView, Shape
from functions.gateway.numbers import NumberError, normalise_inbound, parse_recipient
from functions.gateway.paging import read_cursor, write_cursor
from functions.gateway.problems import Kind, invalid, not_found
from functions.triggers.api import Call, Reply, operation

blueprint = func.Blueprint()


class InboundQuery(Shape):
    """Which replies to list."""

    number: str | None = Field(default=None, description="Who wrote: E.164 with plus (as %2B).")
    sender: str | None = Field(default=None, description="The address that was written to.")
    business_unit: str | None = Field(default=None, description="Only those to this business unit.")
    since: AwareDatetime | None = Field(default=None, description="The earliest moment; 30 days ago if left out.")
    until: AwareDatetime | None = Field(default=None, description="Up to before this moment; now if left out.")
    limit: Annotated[int, Field(ge=1, le=500, description="The most to return.")] = 50
    cursor: str | None = Field(default=None, description="The `next` of the page before.")


class OptOutQuery(Shape):
    """Which opt-outs to list."""

    number: str | None = Field(default=None, description="Only this number's: E.164 with plus (as %2B).")
    sender: str | None = Field(default=None, description="Only those from this sender, by id or address.")
    limit: Annotated[int, Field(ge=1, le=500, description="The most to return.")] = 50
    cursor: str | None = Field(default=None, description="The `next` of the page before.")


class OptInQuery(Shape):
    """Which opt-out to lift."""

    number: str = Field(description="E.164 with plus (as %2B).")
    sender: str | None = Field(default=None, description="By id or address; left out, the one from all senders.")


@operation(blueprint, method="GET", route="inbound", tag="Replies", query=InboundQuery, answers={200: InboundPage})
async def list_inbound(call: Call) -> Reply:
    """List what people sent to our senders, newest first."""
    wanted = call.query
    page = await call.app.inbound.page(
        limit=wanted.limit,
        cursor=wanted.cursor,
        business_unit=wanted.business_unit,
        sender=normalise_inbound(wanted.sender) if wanted.sender else None,
        number=normalise_inbound(wanted.number) if wanted.number else None,
        since=wanted.since,
        until=wanted.until,
    )
    return Reply(page)


@operation(blueprint, method="GET", route="opt-outs", tag="Opt-outs", query=OptOutQuery, answers={200: OptOutPage})
async def list_opt_outs(call: Call) -> Reply:
    """List who must not be texted, by number."""
    wanted = call.query
    after = read_cursor(wanted.cursor, (str, str)) if wanted.cursor else ("", "")
    number = normalise_inbound(wanted.number) if wanted.number else None
    sender = await _address(call, wanted.sender) if wanted.sender else None
    await call.app.opt_outs.refresh()
    found = [
        entry
        for entry in call.app.opt_outs.list()
        if (entry.number, entry.sender) > after and number in {None, entry.number} and sender in {None, entry.sender}
    ]
    page, more = found[: wanted.limit], len(found) > wanted.limit
    return Reply(
        OptOutPage(
            items=[_view(entry) for entry in page],
            next=write_cursor(page[-1].number, page[-1].sender) if more else None,
        )
    )


@operation(
    blueprint,
    method="POST",
    route="opt-outs",
    tag="Opt-outs",
    body=NewOptOut,
    answers={201: OptOutView, 200: OptOutView},
)
async def add_opt_out(call: Call) -> Reply:
    """Put a number on the opt-out list, from one sender or from all; 200 when it is there already."""
    number = _number("/number", call.body.number)
    sender = await _address(call, call.body.sender) if call.body.sender else ALL_SENDERS
    entry = Entry(number, sender, opted_out=True, at=call.app.clock(), source="operator", note=call.body.note)
    changed = await call.app.opt_outs.record(entry)
    return Reply(_view(entry), 201 if changed else 200)


@operation(
    blueprint,
    method="DELETE",
    route="opt-outs",
    tag="Opt-outs",
    query=OptInQuery,
    answers={204: None},
    problems=(Kind.NOT_FOUND,),
)
async def remove_opt_out(call: Call) -> Reply:
    """Take a number off the opt-out list; do it only when the person asked for it."""
    number = _number("number", normalise_inbound(call.query.number))
    sender = await _address(call, call.query.sender) if call.query.sender else ALL_SENDERS
    await call.app.opt_outs.refresh()
    if (number, sender) not in {(entry.number, entry.sender) for entry in call.app.opt_outs.list()}:
        raise not_found("opt-out", f"{number} from {'all senders' if sender == ALL_SENDERS else sender}")
    await call.app.opt_outs.record(Entry(number, sender, opted_out=False, at=call.app.clock(), source="operator"))
    return Reply(status=204)


def _number(field: str, text: str) -> str:
    try:
        return parse_recipient(text).number
    except NumberError as error:
        raise invalid(field, str(error)) from error


async def _address(call: Call, name: str) -> str:
    """Return the address of a sender that is named by id; an address is taken as it is, even of a sender gone."""
    sender = (await call.app.directory.snapshot()).senders.get(name)
    return sender.address if sender else normalise_inbound(name)


def _view(entry: Entry) -> OptOutView:
    return OptOutView(
        number=entry.number,
        sender=None if entry.sender == ALL_SENDERS else entry.sender,
        since=entry.at,
        source=entry.source,
        note=entry.note,
    )
