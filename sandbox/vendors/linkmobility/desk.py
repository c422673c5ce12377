"""Taking messages in: `/sms/send` for one, `/sms/sendbatch` for up to a thousand."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web
from pydantic import ValidationError

from sandbox.clock import utc
from sandbox.ledger import FINAL_STATES, Message
from sandbox.outcomes import Outcome, Reason, Step, Trouble, outcome_of
from sandbox.segments import count_segments
from sandbox.sending import Done, Order, SendDesk, retry_after_header
from sandbox.vendor import json_response
from sandbox.vendors.linkmobility.requests import Batch, Entry, Shared, Single
from sandbox.vendors.linkmobility.wire import (
    BAD_REQUEST,
    DESCRIPTIONS,
    GATE_UNAVAILABLE,
    NO_GATES,
    QUEUED,
    REFUSALS,
    SERVER_ERROR,
    SOURCE_NOT_ALLOWED,
    TOO_MANY,
    UNKNOWN_ERROR,
    error,
    message_id,
    read_json,
    refuse,
)

if TYPE_CHECKING:
    from sandbox.vendors.linkmobility.records import Account
    from sandbox.vendors.linkmobility.vendor import LinkMobilityVendor

Body = TypeVar("Body", Single, Batch)

_CODE_OF_MISHAP = {Trouble.THROTTLE: 3, Trouble.ERROR_BEFORE: 105}


@dataclass
class SmsOrder(Order):
    """A request to send, as read.

    Attributes:
        shared: What it says of all messages.
        entries: What it says of each.
        codes: The result code of each, as far as the request alone decides it.
        seconds_left: How long a message may take.
    """

    shared: Shared = field(default_factory=Shared)
    entries: list[Entry] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    seconds_left: float = 0.0

    def text_for(self, place: int) -> str:
        """Give the text of one message."""
        return self.entries[place].user_data


@dataclass(frozen=True, slots=True)
class Result:
    """What is said of one message.

    Attributes:
        entry: What was asked.
        code: The result code.
        message: The message, if it was taken.
    """

    entry: Entry
    code: int
    message: Message | None


class Desk(SendDesk[SmsOrder]):
    """What both ways to send have in common."""

    vendor: LinkMobilityVendor

    def execute(self, order: SmsOrder) -> Done:
        """Accept the messages that can be sent. `refId` is an echo and nothing else: who repeats it sends again."""
        results = [self._take(order, place) for place in range(len(order.entries))]
        taken = [result.message for result in results if result.message is not None]
        if order.shared.ignore_response:
            return Done(web.Response(status=204), taken)
        return Done(self._answer(order, results), taken)

    def throttled(self, retry_after: float | None) -> web.Response:
        """429, which LINK documents nowhere; so its body is ASSUMED."""
        response = error(TOO_MANY, UNKNOWN_ERROR, "too many requests")
        response.headers.update(retry_after_header(retry_after))
        return response

    def broken(self) -> web.Response:
        """500."""
        return error(SERVER_ERROR, UNKNOWN_ERROR)

    def _answer(self, order: SmsOrder, results: list[Result]) -> web.Response:
        raise NotImplementedError

    def _read(self, request: web.Request, body: bytes, model: type[Body]) -> tuple[Account, Body, float]:
        """Check what a request says of all messages: who asks, for whom, the fields, how long, the gates."""
        account = self.vendor.access.admit(request)
        found = read_json(request, body)
        self.vendor.access.act_for(account, found.get("platformId"), found.get("platformPartnerId"))
        try:
            read = model.model_validate(found)
            seconds_left = read.seconds_left(utc(self.vendor.world.clock.now()))
        except ValidationError as invalid:
            first = invalid.errors()[0]
            refuse(BAD_REQUEST, UNKNOWN_ERROR, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
        except ValueError as invalid:
            refuse(BAD_REQUEST, UNKNOWN_ERROR, str(invalid))
        self._check_gates(account, read)
        return account, read, seconds_left

    def _check_gates(self, account: Account, read: Shared) -> None:
        if not read.use_delivery_report:
            return
        if not read.delivery_report_gates:
            refuse(BAD_REQUEST, NO_GATES)
        if any(self.vendor.gate_of(account, gate) is None for gate in read.delivery_report_gates):
            refuse(BAD_REQUEST, GATE_UNAVAILABLE)

    def _order(self, account: Account, shared: Shared, entries: list[Entry], seconds_left: float) -> SmsOrder:
        codes = [entry.fault() for entry in entries]
        codes = [
            self._not_owned(account, entry) if code == QUEUED else code
            for entry, code in zip(entries, codes, strict=True)
        ]
        return SmsOrder(
            account=account.username,
            sender=entries[0].source,
            recipients=[entry.destination for entry in entries],
            text=entries[0].user_data,
            shared=shared,
            entries=entries,
            codes=codes,
            seconds_left=seconds_left,
        )

    def _not_owned(self, account: Account, entry: Entry) -> int:
        """Give the code of a sender that is not the account's; as long as it has none, it may use any."""
        owned = {number.source for number in self.vendor.numbers.having(account=account.username)}
        return QUEUED if not owned or entry.source in owned else SOURCE_NOT_ALLOWED[entry.source_ton]

    def _take(self, order: SmsOrder, place: int) -> Result:
        entry, code = order.entries[place], order.codes[place]
        outcome = outcome_of(entry.destination)
        if code == QUEUED and place in order.mishaps:
            code = _CODE_OF_MISHAP[order.mishaps[place].kind]
        if code == QUEUED and self.vendor.is_opted_out(entry.source, entry.destination):
            code = REFUSALS[Reason.OPTED_OUT]
        if code == QUEUED and outcome.refusal is not None:
            code = REFUSALS[outcome.refusal]
        return Result(entry, code, self._accept(order, entry, outcome) if code == QUEUED else None)

    def _accept(self, order: SmsOrder, entry: Entry, outcome: Outcome) -> Message:
        vendor = self.vendor
        key = (order.account, entry.source, entry.destination, entry.user_data, entry.ref_id or "")
        return vendor.ledger.accept(
            Message(
                id=message_id(vendor.world.ids),
                account=order.account,
                sender=entry.source,
                recipient=entry.destination,
                text=entry.user_data,
                at=vendor.world.clock.now(),
                segments=count_segments(entry.user_data),
                tag=entry.ref_id,
                plan=_within(order.seconds_left, vendor.mischief.plan(outcome, *key)),
                extra={
                    "gates": order.shared.delivery_report_gates if order.shared.use_delivery_report else [],
                    "source_ton": entry.source_ton,
                },
            ),
        )


class SingleDesk(Desk):
    """`POST /sms/send`."""

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a request for one message."""
        account, read, seconds_left = self._read(request, body, Single)
        return self._order(account, read, [read], seconds_left)

    def _answer(self, order: SmsOrder, results: list[Result]) -> web.Response:
        """Answer with an object, which calls the code's words `description`."""
        [result] = results
        answer: dict[str, Any] = {
            "messageId": result.message.id if result.message else None,
            "resultCode": result.code,
            "description": DESCRIPTIONS[result.code],
        }
        if result.message and order.shared.custom_parameters.get("replySmsCount") == "true":
            answer["smsCount"] = result.message.segments
        return json_response(answer)


class BatchDesk(Desk):
    """`POST /sms/sendbatch`."""

    answers_each = True

    def read(self, request: web.Request, body: bytes) -> SmsOrder:
        """Check a request for many messages; one of them that cannot be read may cost them all."""
        account, read, seconds_left = self._read(request, body, Batch)
        order = self._order(account, read, read.send_request_messages, seconds_left)
        bad = next((place for place, code in enumerate(order.codes) if code != QUEUED), None)
        if bad is not None and account.refuse_whole_batches:
            words = DESCRIPTIONS[order.codes[bad]]
            refuse(BAD_REQUEST, UNKNOWN_ERROR, f"sendRequestMessages[{bad}]: {order.codes[bad]} {words}")
        return order

    def _answer(self, order: SmsOrder, results: list[Result]) -> web.Response:
        """Answer with a list, which calls the code's words `message`; its order is promised nowhere, and turned."""
        answers = [
            {
                "messageId": result.message.id if result.message else None,
                "refId": result.entry.ref_id,
                "resultCode": result.code,
                "message": DESCRIPTIONS[result.code],
                **self._count(order, result),
            }
            for result in results
        ]
        return json_response(answers[::-1])

    def _count(self, order: SmsOrder, result: Result) -> dict[str, Any]:
        wanted = {**result.entry.custom_parameters, **order.shared.custom_parameters}
        if result.message is None or wanted.get("replySmsCount") != "true":
            return {}
        return {"smsCount": result.message.segments}


def _within(seconds: float, plan: tuple[Step, ...]) -> tuple[Step, ...]:
    """End a plan when the message's time is up, if it is not done by then."""
    kept = tuple(step for step in plan if step.after <= seconds)
    if len(kept) == len(plan) or any(step.apply and step.state in FINAL_STATES for step in kept):
        return kept
    late = plan[len(kept)]
    return (*kept, replace(late, after=seconds, state="failed", reason=Reason.EXPIRED, forged=False, apply=True))
