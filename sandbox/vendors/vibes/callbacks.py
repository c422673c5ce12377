"""What Vibes posts to its customers: receipts and incoming texts, and what it does when they are not taken.

Any 2xx within two seconds is taken. Anything else is tried again every five minutes, at most five times; then it is in
the error queue, from which Vibes' staff send what is younger than a day
(https://developer-aggregation.vibes.com/reference/receiving-messages).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from sandbox.basic import basic
from sandbox.urls import with_wrong_token, without_user
from sandbox.vendors.vibes.receipts import is_asked_for, parts_of, receipt, stage_of
from sandbox.vendors.vibes.records import source_type
from sandbox.vendors.vibes.wire import child, inbound_date, written
from sandbox.webhooks import Persistence, Webhook, attempt, insist

if TYPE_CHECKING:
    from sandbox.ledger import Message
    from sandbox.outcomes import Step
    from sandbox.vendors.vibes.records import Number
    from sandbox.vendors.vibes.vendor import VibesVendor

WAIT_SECONDS, RETRY_AFTER_SECONDS, MOST_RETRIES, TOO_OLD_SECONDS = 2.0, 300.0, 5, 86400.0
_PATIENCE = Persistence(connect_seconds=WAIT_SECONDS, read_seconds=WAIT_SECONDS, total_seconds=WAIT_SECONDS)


@dataclass(frozen=True, slots=True)
class Letter:
    """One callback.

    Attributes:
        message: What it is about.
        about: A word for the ledger.
        url: Where to.
        headers: What it carries beside the type of its body.
        body: Builds the body of an attempt, 1 for the first.
        forged: Whether it is not from Vibes.
    """

    message: Message
    about: str
    url: str
    headers: Mapping[str, str]
    body: Callable[[int], bytes]
    forged: bool = False


class Callbacks:
    """Makes the callbacks of all accounts.

    Args:
        vendor: Whose.

    Attributes:
        error_queue: What no retry could tell, with the number of attempts made.
    """

    def __init__(self, vendor: VibesVendor) -> None:
        self._vendor = vendor
        self.error_queue: list[tuple[Letter, int]] = []

    async def report(self, message: Message, step: Step) -> None:
        """Tell a stage of each part, the last part first: nothing promises an order."""
        if not message.callback_url or not is_asked_for(message.extra["option"], stage_of(step)):
            return
        now = self._vendor.world.clock.now()
        # Receipts carry no Basic authentication, whatever their address asks for.
        url = without_user(message.callback_url)
        if step.forged:
            url = with_wrong_token(url, self._vendor.world.ids)
        for place in reversed(range(len(parts_of(message)))):
            body = written(receipt(message, step, place, now))
            letter = Letter(message, step.state, url, {}, lambda _, body=body: body, step.forged)  # type: ignore[misc]
            await self._tell(letter)

    async def post_inbound(self, message: Message, number: Number, url: str) -> None:
        """Post a person's text to the address of a code; each attempt says which it is."""
        headers = {}
        if number.inbound_user is not None:
            headers["Authorization"] = basic(number.inbound_user, number.inbound_password or "")
        person = message.sender if number.mdn_format == "e164" else message.sender[-10:]

        def body(attempt: int) -> bytes:
            date = inbound_date(message.at)
            root = Element("moMessage", {"messageId": message.id, "receiptDate": date, "attemptNumber": str(attempt)})
            child(root, "source", "", address=person, carrier=message.extra["carrier"], type="MDN")
            child(root, "destination", "", address=number.number, type=source_type(number))
            child(root, "message", message.text)
            return written(root)

        await self._tell(Letter(message, "received", url, headers, body))

    async def resend(self) -> int:
        """Do what Vibes' staff do once an endpoint works again: send what waits in the error queue and is not too old.

        Returns:
            How many callbacks were sent.
        """
        waiting, self.error_queue = self.error_queue, []
        young = self._vendor.world.clock.now() - TOO_OLD_SECONDS
        found = [(letter, attempts) for letter, attempts in waiting if letter.message.at > young]
        for letter, attempts in found:
            if not await self._attempt(letter, attempts + 1):
                self.error_queue.append((letter, attempts + 1))
        return len(found)

    async def _tell(self, letter: Letter) -> None:
        """Make the first attempt now and further ones in the background, so that one does not hold up the others."""
        if not await self._attempt(letter, 1) and not letter.forged:
            self._vendor.world.spawn(self._again(letter))

    async def _again(self, letter: Letter) -> None:
        waits = [RETRY_AFTER_SECONDS] * MOST_RETRIES
        if not await insist(self._vendor.world, partial(self._attempt, letter), waits):
            self.error_queue.append((letter, MOST_RETRIES + 1))

    async def _attempt(self, letter: Letter, number: int) -> bool:
        """Post once and note the answer; says whether it was taken."""
        vendor, headers = self._vendor, {"Content-Type": "text/xml;charset=UTF-8", **letter.headers}
        webhook = Webhook(letter.about, letter.url, headers, letter.body(number), forged=letter.forged)
        answer = await attempt(vendor.world, vendor.ledger, letter.message, webhook, _PATIENCE, number)
        return answer.status is not None and answer.status // 100 == 2  # noqa: PLR2004 - any 2xx
