"""What 46elks posts to its customers: states and incoming texts, and what it makes of the answers.

200 to 204 is taken. Anything else is tried again for at least six hours and at least five times
(https://46elks.com/docs/sms-delivery-reports); ASSUMED: when in these six hours, and how long it waits for an answer.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode, urlsplit, urlunsplit

import orjson

from sandbox.ledger import CallbackTry, Message
from sandbox.outcomes import DELIVERED
from sandbox.segments import count_segments
from sandbox.vendors.custom.wire import COST_OF_A_PART, STATUSES, moment

if TYPE_CHECKING:
    from sandbox.courier import Answer
    from sandbox.outcomes import Step
    from sandbox.vendors.custom.vendor import CustomVendor

RETRY_SECONDS = (60.0, 300.0, 1200.0, 3600.0, 7200.0, 10800.0)
_WAIT_SECONDS = 10.0
_TAKEN = range(200, 205)


def _pass_over(_answer: Answer) -> None:
    """Make nothing of an answer: that to a report is ignored."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One callback.

    Attributes:
        message: What it is about.
        about: A word for the ledger.
        url: Where to, perhaps with a user and a password.
        fields: What it says.
        obey: What is made of the answer once it is taken.
        forged: Whether it is not from 46elks.
    """

    message: Message
    about: str
    url: str
    fields: Mapping[str, str]
    obey: Callable[[Answer], None] = _pass_over
    forged: bool = False


class Callbacks:
    """Makes the callbacks of all accounts.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: CustomVendor) -> None:
        self._vendor = vendor

    async def report(self, message: Message, step: Step) -> None:
        """Tell a state, with the time of delivery where there is one."""
        if message.callback_url is None:
            return
        fields = {"id": message.id, "status": STATUSES[step.state]}
        if step.state == "delivered":
            told_again = message.state == step.state
            fields["delivered"] = moment(message.state_at if told_again else self._vendor.world.clock.now())
        url = self._with_wrong_token(message.callback_url) if step.forged else message.callback_url
        await self._tell(Letter(message, step.state, url, fields, forged=step.forged))

    async def post_inbound(self, message: Message, url: str) -> None:
        """Post a person's text to the address of a number, and text back what the answer says."""
        fields = {
            "direction": "incoming",
            "id": message.id,
            "from": message.sender,
            "to": message.recipient,
            "created": moment(message.at),
            "message": message.text,
        }
        await self._tell(Letter(message, "received", url, fields, obey=lambda answer: self._reply(message, answer)))

    async def _tell(self, letter: Letter) -> None:
        """Make the first attempt now and further ones in the background, so that one does not hold up the others."""
        if not await self._attempt(letter, 1) and not letter.forged:
            self._vendor.world.spawn(self._again(letter))

    async def _again(self, letter: Letter) -> None:
        for attempt, wait in enumerate(RETRY_SECONDS, start=2):
            await asyncio.sleep(wait * self._vendor.world.settings.retry_time_scale)
            if await self._attempt(letter, attempt):
                return

    async def _attempt(self, letter: Letter, attempt: int) -> bool:
        """Post once and note the answer; says whether it was taken."""
        world = self._vendor.world
        url, headers = _with_basic(letter.url)
        answer = await world.courier.send(
            "POST",
            url,
            headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
            body=urlencode(letter.fields).encode(),
            connect_seconds=_WAIT_SECONDS,
            read_seconds=_WAIT_SECONDS,
            total_seconds=_WAIT_SECONDS,
        )
        entry = CallbackTry(
            at=world.clock.now(),
            about=letter.about,
            attempt=attempt,
            status=answer.status,
            error=answer.error,
            forged=letter.forged,
            said=answer.complaint,
        )
        self._vendor.ledger.told(letter.message, entry)
        taken = answer.status in _TAKEN
        if taken:
            letter.obey(answer)
        return taken

    def _reply(self, message: Message, answer: Answer) -> None:
        """Text back: the body as it is, or its `reply` when it is a JSON object (sms-actions)."""
        text = _reply_in(answer.body)
        if not text:
            return
        vendor = self._vendor
        vendor.charge(message.account, COST_OF_A_PART * count_segments(text))
        reply = vendor.ledger.accept(
            Message(
                id=vendor.new_id(),
                account=message.account,
                sender=message.recipient,
                recipient=message.sender,
                text=text,
                at=vendor.world.clock.now(),
                direction="reply",
                segments=count_segments(text),
                plan=DELIVERED.steps,
            ),
        )
        vendor.lives.begin(reply)

    def _with_wrong_token(self, url: str) -> str:
        """Put a guess of the same length in place of the last segment of an address's path."""
        parts = urlsplit(url)
        path, _, token = parts.path.rpartition("/")
        return urlunsplit(parts._replace(path=f"{path}/{self._vendor.world.ids.hex(max(len(token), 1))}"))


def _reply_in(body: bytes) -> str:
    try:
        action = orjson.loads(body)
    except orjson.JSONDecodeError:
        action = None
    if isinstance(action, dict):
        reply = action.get("reply", "")
        return reply if isinstance(reply, str) else ""
    return body.decode("utf-8", "replace").strip()


def _with_basic(url: str) -> tuple[str, dict[str, str]]:
    """Turn a user and password in an address into Basic authentication."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
