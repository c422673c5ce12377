"""What Telesign posts to its customers: delivery reports and incoming texts, signed, and when it tries again."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import orjson
import phonenumbers

from sandbox.ledger import CallbackTry, Message
from sandbox.vendors.telesign.wire import in_digits, moment, sign, status, status_code
from sandbox.webhooks import Persistence, Webhook, deliver

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.courier import Answer
    from sandbox.outcomes import Step
    from sandbox.vendors.telesign.records import Account, Feature
    from sandbox.vendors.telesign.vendor import TelesignVendor

_OK = 200
_SOMEBODY_ELSES_KEY = base64.b64encode(b"whoever forges a callback has no key of the customer's").decode()


def _is_no_200(answer: Answer) -> bool:
    return answer.status != _OK


# "Transaction callback service": four attempts, 5 s for an answer each, 5, 10 and 15 s in between.
REPORTS = Persistence(waits=(5, 10, 15), again=_is_no_200, connect_seconds=5, read_seconds=5, total_seconds=5)
# The older page on inbound SMS: three attempts. ASSUMED: the time for an answer.
TEXTS = Persistence(waits=(10, 30), again=_is_no_200, connect_seconds=5, read_seconds=5, total_seconds=5)

# "Inbound SMS action to keyword mapping".
ACTIONS: dict[str, str] = {
    **dict.fromkeys(("arrêt", "arret", "cancel", "end", "quit", "stop", "unsubscribe"), "stop"),
    **dict.fromkeys(("aide", "contact", "help", "info"), "help"),
    "start": "start",
}


class Callbacks:
    """Makes the callbacks of all accounts.

    Args:
        vendor: Whose.
    """

    def __init__(self, vendor: TelesignVendor) -> None:
        self._vendor = vendor

    async def report(self, message: Message, step: Step) -> None:
        """Tell a state, if the account has reports switched on and somebody said where to."""
        account = self._account(message, step.state)
        if account is None or not account.status_callback:
            return
        url = message.callback_url or account.status_callback_url
        if url is None:
            return
        body: dict[str, Any] = {
            "reference_id": message.id,
            "status": status(status_code(step.state, step.reason), self._when(message, step)),
            "submit_timestamp": moment(message.at),
            "external_id": message.tag,
        }
        added = [_ADDED[feature](message) for feature in account.features if feature in _ADDED]
        if added:
            body["additional_info"] = {name: value for more in added for name, value in more.items()}
        key = _SOMEBODY_ELSES_KEY if step.forged else account.api_keys[0]
        await self._post(message, step.state, url, body, account, key, REPORTS, forged=step.forged)

    async def post_inbound(self, message: Message) -> None:
        """Tell of a person's text, if the account has an address for it."""
        account = self._account(message, "received")
        if account is None or account.inbound_url is None:
            return
        said: dict[str, Any] = {
            "phone_number": in_digits(message.sender),
            "sender_id": in_digits(message.recipient),
            "mo_message": message.text,
        }
        if account.keywords:
            word = message.text.strip().lower()
            action = ACTIONS.get(word, "generic")
            keyword = "" if action == "generic" else word
            said |= {"iso_country_code": _country(message.sender), "action": action, "keyword": keyword}
        body = {
            "status": {"updated_on": moment(message.at), "description": "Delivered to customer", "code": 1500},
            "submit_timestamp": moment(message.at),
            "errors": {},
            "user_response": said,
            "sub_resource": "mo_sms",
            "reference_id": message.id,
        }
        await self._post(message, "received", account.inbound_url, body, account, account.api_keys[0], TEXTS)

    def _account(self, message: Message, about: str) -> Account | None:
        account = self._vendor.accounts.get(message.account)
        if account is None:
            lost = CallbackTry(self._vendor.world.clock.now(), about, error="the account is gone")
            self._vendor.ledger.told(message, lost)
        return account

    def _when(self, message: Message, step: Step) -> float:
        """Say since when a state holds; what is told again or late still says when it came about."""
        if step.state == message.state:
            return message.state_at
        if step.state == "sent" and message.sent_at is not None:
            return message.sent_at
        return self._vendor.world.clock.now()

    async def _post(
        self,
        message: Message,
        about: str,
        url: str,
        body: dict[str, Any],
        account: Account,
        key: str,
        persistence: Persistence,
        *,
        forged: bool = False,
    ) -> None:
        raw = orjson.dumps(body)
        signature = sign(key, raw)
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"TSA {account.customer_id}:{signature}",
            "X-TS-Authorization": signature,
        }
        webhook = Webhook(about, url, headers, raw, forged=forged)
        await deliver(self._vendor.world, self._vendor.ledger, message, webhook, persistence)


def _country(number: str) -> str | None:
    return phonenumbers.region_code_for_number(phonenumbers.parse(number, None))


def _network(message: Message) -> dict[str, Any]:
    """ASSUMED: one network for everybody in North America, none known elsewhere."""
    return {"mcc": "310", "mnc": "004"} if message.recipient.startswith("+1") else {}


def parts(message: Message) -> dict[str, Any]:
    """Describe the parts of a message, for accounts with splitting."""
    ids: list[str] = message.extra["parts"]
    return {"message_parts_count": len(ids) or 1} | ({"message_parts_reference_ids": ",".join(ids)} if ids else {})


# What the optional features add; the blank behind sender_id is Telesign's.
_ADDED: dict[Feature, Callable[[Message], dict[str, Any]]] = {
    "cost": lambda message: {"price": f"{0.0075 * message.segments:.4f}", "currency": "USD"},
    "network": _network,
    "parts": parts,
    "sender_id": lambda message: {"sender_id ": in_digits(message.sender)},
    "cleansed_phone_number": lambda message: {"cleansed_phone_number": in_digits(message.recipient)},
}
