"""What Twilio posts to its customers: states and incoming texts, signed, and what it makes of the answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from sandbox.clock import utc
from sandbox.ledger import CallbackTry
from sandbox.numbers import is_short_code
from sandbox.vendors.twilio.overrides import overrides
from sandbox.vendors.twilio.wire import ERROR_CODES, sign
from sandbox.webhooks import Persistence, Webhook, deliver

if TYPE_CHECKING:
    from sandbox.courier import Answer
    from sandbox.ledger import Message
    from sandbox.outcomes import Step
    from sandbox.vendors.twilio.vendor import TwilioVendor

_TOLD_BY_CARRIER = frozenset({"delivered", "undelivered"})
_REPLY = re.compile(rb"<Message\b[^>]*>(.*?)</Message>", re.DOTALL)


class Callbacks:
    """Makes the callbacks of all accounts.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: TwilioVendor) -> None:
        self._vendor = vendor

    async def report(self, message: Message, step: Step) -> None:
        """Tell a state to the message's StatusCallback, signed with the primary token."""
        if message.callback_url is None:
            return
        fields = [("ErrorCode", str(ERROR_CODES[step.reason]))] if step.reason else []
        fields += [
            ("SmsSid", message.id),
            ("SmsStatus", step.state),
            ("MessageStatus", step.state),
            ("To", message.recipient),
        ]
        if message.extra.get("service"):
            fields.append(("MessagingServiceSid", message.extra["service"]))
        fields += [
            ("MessageSid", message.id),
            ("AccountSid", message.account),
            ("From", message.sender),
            ("ApiVersion", "2010-04-01"),
        ]
        if step.state in _TOLD_BY_CARRIER:
            fields.append(("RawDlrDoneDate", f"{utc(self._vendor.world.clock.now()):%y%m%d%H%M}"))
        await self._call_back(message, step.state, message.callback_url, fields, forged=step.forged)

    async def post_inbound(self, message: Message, url: str, method: str, keyword: str | None) -> None:
        """Post a person's text to a webhook, and do what its answer says.

        Args:
            message: The text.
            url: Where to.
            method: How.
            keyword: What to put into `OptOutType`, if anything.
        """
        fields = [
            ("ToCountry", _country(message.recipient)),
            ("ToState", ""),
            ("SmsMessageSid", message.id),
            ("NumMedia", "0"),
            ("ToCity", ""),
            ("FromZip", ""),
            ("SmsSid", message.id),
            ("FromState", "WA" if message.sender.startswith(("+1425", "+1206")) else ""),
            ("SmsStatus", "received"),
            ("FromCity", ""),
            ("Body", message.text),
            ("FromCountry", _country(message.sender)),
            ("To", message.recipient),
            ("ToZip", ""),
            ("NumSegments", str(message.segments)),
            ("MessageSid", message.id),
            ("AccountSid", message.account),
            ("From", message.sender),
            ("ApiVersion", "2010-04-01"),
        ]
        if message.extra.get("service"):
            fields.append(("MessagingServiceSid", message.extra["service"]))
        if keyword is not None:
            fields.append(("OptOutType", keyword))
        answer = await self._call_back(message, "received", url, fields, method=method)
        if answer is not None and answer.status == 200:  # noqa: PLR2004
            self._obey(message, answer)

    def _obey(self, message: Message, answer: Answer) -> None:
        """Text back what a webhook's answer asks for; a plain text answer is sent as it is."""
        content = (answer.headers or {}).get("content-type", "").partition(";")[0]
        texts: list[str] = []
        if content in {"text/xml", "application/xml"}:
            texts = [match.decode("utf-8", "replace") for match in _REPLY.findall(answer.body)]
        elif content == "text/plain" and answer.body:
            texts = [answer.body.decode("utf-8", "replace")]
        elif answer.body:
            message.extra["warning"] = f"12300 Invalid Content-Type {content}"
        for text in texts:
            self._vendor.text_back(message, text, self._vendor.new_id())

    async def _call_back(
        self,
        message: Message,
        about: str,
        url: str,
        fields: list[tuple[str, str]],
        *,
        method: str = "POST",
        forged: bool = False,
    ) -> Answer | None:
        """Post a signed form and try again as the URL's fragment says; nothing when the fragment is wrong."""
        account = self._vendor.accounts.get(message.account)
        wanted = overrides(url)
        if account is None or wanted.error:
            error = wanted.error or "the account is gone"
            self._vendor.ledger.told(message, CallbackTry(self._vendor.world.clock.now(), about, error=error))
            return None
        target = url.partition("#")[0]
        body = b""
        if method == "GET":
            target += ("&" if urlsplit(target).query else "?") + urlencode(fields)
        else:
            body = urlencode(fields).encode()
        token = self._vendor.world.ids.uuid()
        headers = {
            "X-Twilio-Signature": sign(
                "0" * 32 if forged else account.token,
                target,
                fields if method == "POST" else (),
            ),
            "I-Twilio-Idempotency-Token": token,
            "User-Agent": "TwilioProxy/1.1",
            "Accept": "*/*",
        }
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
        return await deliver(
            self._vendor.world,
            self._vendor.ledger,
            message,
            Webhook(about, target, headers, body, method, token, forged),
            Persistence(
                waits=(0.0,) * wanted.retries,
                again=wanted.again,
                connect_seconds=wanted.connect / 1000,
                read_seconds=wanted.read / 1000,
                total_seconds=wanted.total / 1000,
            ),
        )


def _country(number: str) -> str:
    return "US" if number.startswith("+1") or is_short_code(number) else ""
