"""The ledger: every message a vendor really accepted, and everything it told the customer about it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.outcomes import Reason, Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.courier import Answer
    from sandbox.journal import Journal

FINAL_STATES = frozenset({"delivered", "undelivered", "failed", "canceled", "received"})


@dataclass(slots=True)
class CallbackTry:
    """One attempt to tell the customer something.

    Attributes:
        at: When, in seconds since 1970.
        about: What it told, such as `delivered` or `received`.
        attempt: 1 for the first.
        status: The HTTP status answered, or nothing.
        error: What went wrong when there was no answer: `connect`, `timeout`, `broken`, or the vendor's own words.
        forged: Whether it was sent with credentials that do not verify.
        token: What ties the attempts of one callback together.
        said: The beginning of an answer that is no success, to explain it.
    """

    at: float
    about: str
    attempt: int = 1
    status: int | None = None
    error: str = ""
    forged: bool = False
    token: str = ""
    said: str = ""


@dataclass(slots=True)
class Message:
    """One text, out or in.

    Attributes:
        id: The vendor's id.
        account: The customer's account at the vendor.
        sender: From.
        recipient: To.
        text: What is said.
        at: When it was accepted, in seconds since 1970.
        direction: `outbound`, `inbound`, or `reply` for a text sent because a webhook's answer asked for it.
        segments: How many SMS it took.
        tag: What the customer wants echoed.
        callback_url: Where the customer wants to be told, where that is said per message.
        state: Where it stands.
        reason: Why it failed.
        state_at: Since when.
        sent_at: When it left the vendor.
        requests: How many requests named this one message; more than one means a replay was recognised.
        conflicts: How many of them asked for something else under the same id.
        steps_done: How far the plan has come.
        plan: What is to happen to it.
        extra: What one vendor alone knows.
        callbacks: What the customer was told, attempt by attempt.
    """

    id: str
    account: str
    sender: str
    recipient: str
    text: str
    at: float
    direction: str = "outbound"
    segments: int = 1
    tag: str | None = None
    callback_url: str | None = None
    state: str = "queued"
    reason: Reason | None = None
    state_at: float = 0.0
    sent_at: float | None = None
    requests: int = 1
    conflicts: int = 0
    steps_done: int = 0
    plan: tuple[Step, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)
    callbacks: list[CallbackTry] = field(default_factory=list)

    @property
    def final(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.state in FINAL_STATES


class Ledger:
    """One vendor's messages.

    Args:
        vendor: The vendor's name.
        journal: Where facts are kept.
        now: The clock.
    """

    def __init__(self, vendor: str, journal: Journal, now: Callable[[], float]) -> None:
        self._vendor = vendor
        self._journal = journal
        self._now = now
        self._messages: dict[str, Message] = {}
        self._by_recipient: dict[str, list[Message]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._messages)

    def __iter__(self) -> Iterator[Message]:
        """Go through all messages, oldest first."""
        return iter(self._messages.values())

    def get(self, message_id: str) -> Message | None:
        """Find a message by the vendor's id."""
        return self._messages.get(message_id)

    def accept(self, message: Message) -> Message:
        """Write a message down: from here on it is executed, and costs money."""
        message.state_at = message.at
        self._store(message)
        self._journal.write("message", self._vendor, message=message)
        return message

    def replayed(self, message: Message, *, conflict: bool = False) -> None:
        """Count a request that named a message already accepted.

        Args:
            message: The message.
            conflict: Whether the request asked for something else under the same id.
        """
        message.requests += 1
        message.conflicts += conflict
        self._journal.write("replay", self._vendor, id=message.id, conflict=conflict)

    def take_step(self, message: Message, step: Step) -> None:
        """Do the next step of a message's plan."""
        message.steps_done += 1
        if step.apply:
            self.set_state(message, step.state, step.reason)
        else:
            self._journal.write("step", self._vendor, id=message.id, done=message.steps_done)

    def set_state(self, message: Message, state: str, reason: Reason | None = None) -> None:
        """Change where a message stands."""
        message.state, message.reason, message.state_at = state, reason, self._now()
        if message.sent_at is None and state in {"sent", "delivered", "undelivered"}:
            message.sent_at = message.state_at
        self._journal.write(
            "state",
            self._vendor,
            id=message.id,
            done=message.steps_done,
            state=state,
            reason=reason,
            at=message.state_at,
            sent=message.sent_at,
        )

    def cancel(self, message: Message) -> None:
        """End a message before its plan does."""
        message.steps_done = len(message.plan)
        self.set_state(message, "canceled")

    def told(self, message: Message, attempt: CallbackTry) -> None:
        """Note an attempt to tell the customer."""
        message.callbacks.append(attempt)
        self._journal.write("callback", self._vendor, id=message.id, attempt=attempt)

    def answered(
        self, message: Message, about: str, attempt: int, answer: Answer, *, forged: bool = False, token: str = ""
    ) -> None:
        """Note what an endpoint made of an attempt to tell the customer.

        Args:
            message: What the callback is about.
            about: What it told.
            attempt: 1 for the first.
            answer: What came back.
            forged: Whether its credentials were made not to verify.
            token: What ties the attempts of one callback together.
        """
        now, said = self._now(), answer.complaint
        self.told(message, CallbackTry(now, about, attempt, answer.status, answer.error, forged, token, said))

    def find(
        self,
        *,
        recipient: str | None = None,
        sender: str | None = None,
        account: str | None = None,
        tag: str | None = None,
        direction: str | None = "outbound",
    ) -> list[Message]:
        """List messages, oldest first; every filter left out lets all pass."""
        found = self._by_recipient.get(recipient, []) if recipient is not None else self._messages.values()
        return [
            message
            for message in found
            if (sender is None or message.sender == sender)
            and (account is None or message.account == account)
            and (tag is None or message.tag == tag)
            and (direction is None or message.direction == direction)
        ]

    def summary(self) -> dict[str, Any]:
        """Count the outbound messages by state, and name what was sent more than once.

        Two messages are the same when account, sender, recipient and text are.
        """
        outbound = self.find()
        copies = Counter((message.account, message.sender, message.recipient, message.text) for message in outbound)
        return {
            "accepted": len(outbound),
            "inbound": len(self.find(direction="inbound")),
            "by_state": Counter(message.state for message in outbound),
            "replays": sum(message.requests - 1 for message in outbound),
            "conflicts": sum(message.conflicts for message in outbound),
            "callbacks": sum(len(message.callbacks) for message in outbound),
            "callbacks_answered": sum(bool(entry.status) for message in outbound for entry in message.callbacks),
            "sent_more_than_once": [
                {"account": key[0], "from": key[1], "to": key[2], "text": key[3], "count": count}
                for key, count in copies.items()
                if count > 1
            ],
        }

    def clear(self) -> None:
        """Forget all messages."""
        self._messages.clear()
        self._by_recipient.clear()

    def restore(self, fact: dict[str, Any]) -> None:
        """Take back one fact from the journal."""
        if fact["kind"] == "message":
            stored = dict(fact["message"])
            stored["plan"] = tuple(_step(step) for step in stored["plan"])
            stored["callbacks"] = [CallbackTry(**entry) for entry in stored["callbacks"]]
            self._store(Message(**stored))
            return
        message = self._messages.get(fact["id"])
        if message is None:
            return
        if fact["kind"] == "replay":
            message.requests += 1
            message.conflicts += fact["conflict"]
        elif fact["kind"] == "callback":
            message.callbacks.append(CallbackTry(**fact["attempt"]))
        else:
            message.steps_done = fact["done"]
            if fact["kind"] == "state":
                message.state, message.state_at, message.sent_at = fact["state"], fact["at"], fact["sent"]
                message.reason = Reason(fact["reason"]) if fact["reason"] else None

    def _store(self, message: Message) -> None:
        self._messages[message.id] = message
        self._by_recipient[message.recipient].append(message)


LEDGER_FACTS = frozenset({"message", "replay", "step", "state", "callback"})


def _step(stored: dict[str, Any]) -> Step:
    reason = stored.pop("reason")
    return Step(**stored, reason=Reason(reason) if reason else None)
