"""What 46elks posts to its customers: states and incoming texts, and what it makes of the answers.

200 to 204 is taken. Anything else is tried again for at least six hours and at least five times
(https://46elks.com/docs/sms-delivery-reports); ASSUMED: when in these six hours, and how long it waits for an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode, urlsplit

import orjson

from sandbox.basic import basic
from sandbox.segments import count_segments
from sandbox.urls import with_wrong_token, without_user
from sandbox.vendors.custom.wire import COST_OF_A_PART, STATUSES, moment
from sandbox.webhooks import Persistence, Webhook, attempt, insist

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.courier import Answer
    from sandbox.ledger import Message
    from sandbox.outcomes import Step
    from sandbox.vendors.custom.vendor import CustomVendor

RETRY_SECONDS = (60.0, 300.0, 1200.0, 3600.0, 7200.0, 10800.0)
_PATIENCE = Persistence(connect_seconds=10, read_seconds=10, total_seconds=10)
_TAKEN = range(200, 205)


def _pass_over(_answer: Answer) -> None:
    """Make nothing of an answer: that to a report is ignored."""


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
        url = with_wrong_token(message.callback_url, self._vendor.world.ids) if step.forged else message.callback_url
        await self._tell(message, step.state, url, fields, forged=step.forged)

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
        await self._tell(message, "received", url, fields, obey=lambda answer: self._reply(message, answer))

    async def _tell(
        self,
        message: Message,
        about: str,
        url: str,
        fields: Mapping[str, str],
        *,
        obey: Callable[[Answer], None] = _pass_over,
        forged: bool = False,
    ) -> None:
        """Make the first attempt now and further ones in the background, so that one does not hold up the others."""
        world, ledger = self._vendor.world, self._vendor.ledger
        bare, authorization = _with_basic(url)
        headers = {"Content-Type": "application/x-www-form-urlencoded", **authorization}
        webhook = Webhook(about, bare, headers, urlencode(fields).encode(), forged=forged)

        async def post(number: int) -> bool:
            answer = await attempt(world, ledger, message, webhook, _PATIENCE, number)
            if answer.status in _TAKEN:
                obey(answer)
            return answer.status in _TAKEN

        if not await post(1) and not forged:
            world.spawn(insist(world, post, RETRY_SECONDS))

    def _reply(self, message: Message, answer: Answer) -> None:
        """Text back: the body as it is, or its `reply` when it is a JSON object (sms-actions)."""
        text = _reply_in(answer.body)
        if not text:
            return
        vendor = self._vendor
        vendor.charge(message.account, COST_OF_A_PART * count_segments(text))
        vendor.text_back(message, text, vendor.new_id())


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
    proof = basic(unquote(parts.username), unquote(parts.password or ""))
    return without_user(url), {"Authorization": proof}
