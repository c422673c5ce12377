"""What Infobip tells its customers, where, and with which proofs that it is Infobip who tells it.

A message's own `webhooks.delivery.url` takes no credentials. A Subscription adds Basic authentication and headers of
the customer's. Source: https://www.infobip.com/docs/api/channels/sms, "Receive outbound SMS message reports".
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sandbox.basic import basic, decoded
from sandbox.vendors.infobip.codes import words_for
from sandbox.vendors.infobip.logs import Unread
from sandbox.vendors.infobip.outbox import DEFAULT_BUCKET, Outbox, Target
from sandbox.vendors.infobip.webhooks import DELIVERY, INBOUND
from sandbox.vendors.infobip.wire import bare, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.ledger import Message
    from sandbox.outcomes import Step
    from sandbox.vendors.infobip.vendor import InfobipVendor
    from sandbox.vendors.infobip.webhooks import InboundConfiguration, Profile

_NON_FINAL = frozenset({"queued", "sent"})
_DEFAULT_MILLISECONDS = 10_000


class Callbacks:
    """Makes the callbacks of all accounts.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: InfobipVendor) -> None:
        self._vendor = vendor
        self._outbox = Outbox(vendor)

    async def report(self, message: Message, step: Step) -> None:
        """Tell what became of a message: what is final, and what is not if the customer asked for it."""
        if step.state in _NON_FINAL and not message.extra["intermediate"]:
            return
        result = self._result(message, step)
        if not step.forged:
            self._vendor.reports.put(message.account, Unread(self._vendor.world.clock.now(), result))
        target = self._report_target(message)
        if target is None:
            return
        for each in forgeries(target) if step.forged else (target,):
            await self._outbox.post(each, message, step.state, result)

    async def post_inbound(self, message: Message, configuration: InboundConfiguration | None) -> None:
        """Tell what a person texted, or keep it until it is fetched."""
        result = self._inbound_result(message, configuration)
        target = self._inbound_target(message, configuration)
        if target is None:
            self._vendor.inbox.put(message.account, Unread(message.at, result))
        else:
            await self._outbox.post(target, message, "received", result)

    def _report_target(self, message: Message) -> Target | None:
        if not message.extra["notify"]:
            return None
        if message.callback_url is not None:
            return Target(message.callback_url)
        profile = self._vendor.subscribing.profile_for(
            message.account, DELIVERY, bare(message.sender), message.extra["platform"]
        )
        return None if profile is None else self._target(profile)

    def _inbound_target(self, message: Message, configuration: InboundConfiguration | None) -> Target | None:
        """Find where an incoming text goes: a number's own set-up comes before every subscription."""
        if configuration is not None:
            url = configuration.settings.forwarding.url
            forwarded = configuration.settings.forwarding.type == "HTTP_FORWARD" and url is not None
            return Target(url, inbound=True) if forwarded and url else None
        profile = self._vendor.subscribing.profile_for(message.account, INBOUND, bare(message.recipient), {})
        return None if profile is None else replace(self._target(profile), inbound=True)

    def _target(self, profile: Profile) -> Target:
        settings = profile.settings
        headers = dict(settings.headers or {})
        security = self._vendor.subscribing.security_of(profile)
        if security is not None:
            given = security.settings.credentials
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            headers["Authorization"] = basic(given.username, given.password)
        return Target(
            settings.webhook.notify_url if settings.webhook else "",
            tuple(headers.items()),
            settings.max_bucket_size or DEFAULT_BUCKET,
            (settings.connect_timeout or _DEFAULT_MILLISECONDS) / 1000,
            (settings.read_timeout or _DEFAULT_MILLISECONDS) / 1000,
        )

    def _result(self, message: Message, step: Step) -> dict[str, Any]:
        status, fault = words_for(step.state, step.reason)
        told_again = step.state == message.state and not step.forged
        done = message.state_at if told_again else self._vendor.world.clock.now()
        result: dict[str, Any] = {
            "bulkId": message.extra["bulk_id"],
            "price": {"pricePerMessage": 0.04, "currency": "EUR"},
            "status": status.shown(),
            "error": fault.shown(),
            "messageId": message.extra["message_id"],
            "doneAt": written(done),
            "messageCount": message.segments,
            "sentAt": written(message.at),
            "to": bare(message.recipient),
            "sender": bare(message.sender),
            "mccMnc": "310260",
        }
        if message.tag is not None:
            result["callbackData"] = message.tag
        if message.extra["platform"]:
            result["platform"] = message.extra["platform"]
        if message.extra["campaign"]:
            result["campaignReferenceId"] = message.extra["campaign"]
        return result

    def _inbound_result(self, message: Message, configuration: InboundConfiguration | None) -> dict[str, Any]:
        result: dict[str, Any] = {
            "messageId": message.id,
            "from": bare(message.sender),
            "to": bare(message.recipient),
            "text": message.text,
            "receivedAt": written(message.at),
            "smsCount": message.segments,
            "price": {"pricePerMessage": 0, "currency": "EUR"},
        }
        if configuration is not None and configuration.settings.keyword:
            result["keyword"] = configuration.settings.keyword
            result["cleanText"] = message.text.strip()[len(configuration.settings.keyword) :].strip()
        return result


def forgeries(target: Target) -> Iterator[Target]:
    """Give what an attacker could try: the same post with one proof wrong at a time.

    The proofs are the end of the address, which only the customer and Infobip know, the Basic password, and each
    header of the customer's.
    """
    head, _, end = target.url.rpartition("/")
    yield replace(target, url=f"{head}/{_wrong(end)}", forged=True)
    for place, (name, value) in enumerate(target.headers):
        headers = list(target.headers)
        headers[place] = (name, _wrong_basic(value) if name == "Authorization" else _wrong(value))
        yield replace(target, headers=tuple(headers), forged=True)


def _wrong_basic(value: str) -> str:
    user, password = decoded(value.removeprefix("Basic ")) or ("", "")
    return basic(user, _wrong(password))


def _wrong(secret: str) -> str:
    """Give another text of the same length."""
    return "".join("y" if char == "x" else "x" for char in secret)
