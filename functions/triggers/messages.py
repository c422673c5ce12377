"""Sending, previewing and reading messages over HTTP."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

import azure.functions as func
from pydantic import AwareDatetime, Field

from functions.gateway.accept import check_text
from functions.gateway.messagelog import MessageFilter
from functions.gateway.models import (
    CostlyCharacter,
    MessagePage,
    MessageView,
    Preview,
    PreviewRequest,
    Refusal,
    RefusalCode,
    SendAnswer,
    SendRequest,
    Shape,
)
from functions.gateway.numbers import normalise_inbound
from functions.gateway.problems import Kind, ProblemError, invalid, not_found
from functions.gateway.segments import Offending, segment, suggest_gsm7
from functions.triggers.api import Call, Reply, operation
from functions.vendors.contract import State

blueprint = func.Blueprint()
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class MessageQuery(Shape):
    """Which messages to list."""

    sender: str | None = Field(default=None, description="A sender's id or address.")
    recipient: str | None = Field(default=None, description="E.164 with plus (as %2B).")
    status: State | None = Field(default=None, description="The present state.")
    business_unit: str | None = Field(default=None, description="Only messages of this business unit.")
    reference: str | None = Field(default=None, description="The caller's own name for it.")
    since: AwareDatetime | None = Field(default=None, description="The earliest moment; 30 days ago if left out.")
    until: AwareDatetime | None = Field(default=None, description="Up to before this moment; now if left out.")
    limit: Annotated[int, Field(ge=1, le=500, description="The most to return.")] = 50
    cursor: str | None = Field(default=None, description="The `next` of the page before.")


class ScopeQuery(Shape):
    """Whose message it must be."""

    business_unit: str | None = Field(default=None, description="404 unless it belongs to this business unit.")


@operation(
    blueprint,
    method="POST",
    route="messages",
    tag="Messages",
    body=SendRequest,
    answers={202: SendAnswer},
    problems=(Kind.KEY_REUSED,),
    headers={
        "Idempotency-Key": "1 to 255 printable ASCII characters. The same key and body give the same answer for 48 "
        "hours; the same key with another body is refused."
    },
)
async def send_messages(call: Call) -> Reply:
    """Send one text to one or many recipients, or up to 1,000 texts of their own.

    Each message gets an id, or the reason why it was refused while the rest goes on. 202 means that the gateway has
    stored the messages and will not lose them; ask for them by id or subscribe to learn what became of them.
    """
    key = call.headers.get("idempotency-key")
    if key is not None and not _KEY.fullmatch(key):
        raise invalid("Idempotency-Key", "Use 1 to 255 printable ASCII characters without spaces.")
    return Reply(await call.app.acceptor.accept(call.body, key=key, body=call.raw), 202)


@operation(
    blueprint,
    method="POST",
    route="messages/preview",
    tag="Messages",
    body=PreviewRequest,
    answers={200: Preview},
)
async def preview_message(call: Call) -> Reply:
    """Tell how a text would be sent: encoding, segments and the characters that make it dearer. Nothing is sent."""
    text = call.body.text
    origin = await call.app.acceptor.origin(call.body.sender, None) if call.body.sender else None
    _, objection = check_text(text, origin)
    found = segment(text)
    return Reply(
        Preview(
            encoding=found.encoding.value,
            units=found.units,
            segments=found.segments,
            per_segment=list(found.per_segment),
            characters=len(text),
            forcing_ucs2=[_costly(one) for one in found.offending],
            costing_two=[_costly(one) for one in found.doubled],
            suggestion=suggest_gsm7(text) if found.offending else None,
            refusal=Refusal(code=RefusalCode.INVALID_TEXT, field="/text", detail=objection) if objection else None,
        )
    )


def _costly(one: Offending) -> CostlyCharacter:
    return CostlyCharacter(character=one.character, name=one.name, index=one.first, count=one.count)


@operation(blueprint, method="GET", route="messages", tag="Messages", query=MessageQuery, answers={200: MessagePage})
async def list_messages(call: Call) -> Reply:
    """List messages, newest first."""
    wanted = call.query
    _check_span(wanted.since, wanted.until)
    listed = MessageFilter(
        sender=normalise_inbound(wanted.sender) if wanted.sender else None,
        recipient=normalise_inbound(wanted.recipient) if wanted.recipient else None,
        status=wanted.status,
        business_unit=wanted.business_unit,
        reference=wanted.reference,
        since=wanted.since,
        until=wanted.until,
    )
    return Reply(await call.app.messages.page(listed, limit=wanted.limit, cursor=wanted.cursor))


@operation(
    blueprint,
    method="GET",
    route="messages/{message}",
    tag="Messages",
    query=ScopeQuery,
    answers={200: MessageView},
    problems=(Kind.NOT_FOUND,),
)
async def get_message(call: Call) -> Reply:
    """Show a message with its time line: every decision, every vendor answer, every report."""
    message = await call.app.messages.message(call.path["message"])
    if call.query.business_unit not in {None, message.business_unit}:
        raise not_found("message", call.path["message"])
    return Reply(message)


def _check_span(since: datetime | None, until: datetime | None) -> None:
    if since is not None and until is not None and since >= until:
        raise ProblemError(Kind.INVALID, "`since` must be before `until`.")
