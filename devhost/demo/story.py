"""What the demo tells of each vendor: messages on their way until they arrive, a reply, a STOP; and whether it is so.

What happens is read from the messages' own time lines over the API; whether it happened once, from the vendor's ledger.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from devhost.demo.clients import Api, People
from devhost.demo.screen import Screen
from sandbox.kit import Kit

T = TypeVar("T")

FRIEND, STOPPER, HANDSET_OFF = 123, 124, 160
"""The people's last four digits; what they mean stands in ``sandbox/outcomes.py``."""
MANY = range(100, 120)
NAMED = dict(enumerate(("Ann", "Bob", "Cleo", "Dan", "Eve", "Finn", "Gina", "Hal", "Ida", "Jon"), start=130))
PEOPLE = (FRIEND, STOPPER, HANDSET_OFF, *MANY, *NAMED)
FINAL = frozenset({"delivered", "undelivered", "failed", "rejected", "expired"})
UNDER_WAY = ("queued", "sent", "unknown")
REFERENCE = "demo"
_POLL = 0.1
_ALIKE = 3
"""Messages of a group that failed alike which are named; the rest are counted."""

WORDS: Mapping[str, str] = {
    "accepted": "accepted: the gateway has stored it",
    "sending": "taken up to be sent, attempt {attempt}",
    "sent": "sent: the vendor took it as {vendorId}",
    "refused": "refused: {reason}. {detail}",
    "unanswered": "no answer: {detail}",
    "looking_up": "looked up in the vendor's log",
    "report": "the vendor reports: {state}",
    "closed": "nothing more was expected: {state}, {reason}",
}


class Deadline:
    """Bounds how long the demo waits.

    Args:
        seconds: For all of it.
        patience: Seconds for any one thing; a quarter of all if left out.
        clock: Seconds that only ever rise.
    """

    def __init__(
        self, seconds: float, patience: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._patience = seconds / 4 if patience is None else patience
        self._clock = clock
        self._end = clock() + seconds

    async def wait_for(self, look: Callable[[], Awaitable[T]], done: Callable[[T], bool]) -> T:
        """Look until it is done, or the time for one thing or for all is up; return what was seen last."""
        end = min(self._end, self._clock() + self._patience)
        while True:
            seen = await look()
            if done(seen) or self._clock() >= end:
                return seen
            await asyncio.sleep(_POLL)


@dataclass(frozen=True, slots=True)
class Expected:
    """What is to become of messages.

    Args:
        state: Their final state.
        reason: Why they did not arrive, if they are not to.
    """

    state: str
    reason: str | None = None

    def is_met(self, message: Mapping[str, Any]) -> bool:
        """Tell whether a message came to this."""
        return (message["status"], message.get("reason")) == (self.state, self.reason)


ARRIVES = Expected("delivered")
CANNOT_ARRIVE = Expected("undelivered", "unreachable")
BLOCKED = Expected("rejected", "opted_out")


class Story:
    """Tells of one vendor.

    Args:
        kit: What the demo knows of the vendor.
        api: The gateway.
        people: The sandbox.
        screen: Where each step is told.
        run: What this run's texts contain, so that they can be told from those of any other run.
        deadline: How long to wait.

    Attributes:
        failures: What did not come as expected, in words.
    """

    def __init__(self, kit: Kit, api: Api, people: People, screen: Screen, run: str, deadline: Deadline) -> None:
        self._kit = kit
        self._api = api
        self._people = people
        self._screen = screen
        self._run = run
        self._deadline = deadline
        self._to_be_sent: Counter[tuple[str, str]] = Counter()
        self.failures: list[str] = []

    async def tell(self) -> None:
        """Tell all of it.

        Raises:
            UnexpectedAnswerError: A request was refused.
        """
        before = await self._people.count(self._kit.vendor)
        await self._welcome_back()
        await self._one("one", FRIEND, "your parcel is on its way", ARRIVES, repeat=True)
        await self._many(
            "bulk", {"to": [self._kit.person(digits) for digits in MANY], "text": self._text("sale ends today")}
        )
        personal = [
            {"to": self._kit.person(at), "text": self._text(f"good morning {name}")} for at, name in NAMED.items()
        ]
        await self._many("personal", {"messages": personal})
        await self._one("handset", HANDSET_OFF, "are you there?", CANNOT_ARRIVE)
        await self._reply()
        await self._stop()
        await self._one("blocked", STOPPER, "one more offer", BLOCKED)
        await self._compare(before)

    def _text(self, words: str) -> str:
        return f"Order {self._run}: {words}"

    def _check(self, subject: str, *, holds: bool, otherwise: str) -> None:
        if not holds:
            self.failures.append(f"{self._kit.vendor}, {subject}: {otherwise}")
            self._screen.step(subject, f"FAILED: {otherwise}")

    async def _opted_out(self) -> set[str]:
        return {entry["number"] for entry in await self._api.all("/opt-outs", sender=self._kit.sender)}

    async def _welcome_back(self) -> None:
        """Let those of the demo's people text START who sent STOP in an earlier run."""
        ours = {self._kit.person(digits) for digits in PEOPLE}
        for person in sorted(ours & await self._opted_out()):
            await self._people.text(self._kit.vendor, person=person, to=self._kit.sender, text="START")
            left = await self._deadline.wait_for(self._opted_out, partial(_is_without, person))
            self._screen.step("start", f"{person} had sent STOP in an earlier run, and texts START")
            self._check("start", holds=person not in left, otherwise=f"{person} is still on the opt-out list")

    async def _send(self, subject: str, request: Mapping[str, Any]) -> list[str]:
        """Send and return the ids; a repeat of the same call has to give the same answer."""
        body = {
            "from": self._kit.sender,
            "reference": f"{REFERENCE}-{self._run}-{self._kit.vendor}-{subject}",
            **request,
        }
        key = f"{REFERENCE}-{self._run}-{self._kit.vendor}-{subject}"
        answer = await self._api.post("/messages", body, Idempotency_Key=key)
        self._check(subject, holds=answer["refused"] == 0, otherwise=f"{answer['refused']} messages were not accepted")
        return [item["id"] for item in answer["messages"] if "id" in item]

    async def _one(self, subject: str, digits: int, words: str, expected: Expected, *, repeat: bool = False) -> None:
        """Send one message and tell every entry of its time line."""
        person, text = self._kit.person(digits), self._text(words)
        self._screen.step(subject, f"to {person}: {text!r}")
        ids = await self._send(subject, {"to": person, "text": text})
        if expected != BLOCKED:
            self._to_be_sent[person, text] += 1
        if repeat:
            again = await self._send(subject, {"to": person, "text": text})
            self._screen.step(subject, "asked again with the same Idempotency-Key: the same id, no second message")
            self._check(subject, holds=again == ids, otherwise=f"the repeat got {again} instead of {ids}")
        told: set[tuple[Any, ...]] = set()

        async def look() -> Any:
            message = await self._api.get(f"/messages/{ids[0]}")
            for entry in message["timeline"]:
                mark = (entry["at"], entry["what"], entry.get("state"), entry.get("attempt"))
                if mark not in told:
                    told.add(mark)
                    self._screen.step(subject, _words(entry))
            return message

        message = await self._deadline.wait_for(look, lambda seen: seen["status"] in FINAL)
        because = f", because: {message['reason']}" if message.get("reason") else ""
        self._screen.step(subject, f"{message['status']}{because}")
        self._judge(subject, [message], expected)

    async def _many(self, subject: str, request: Mapping[str, Any]) -> None:
        """Send many messages in one call and tell how many stand where."""
        wanted = request.get("messages") or [{"to": to, "text": request["text"]} for to in request["to"]]
        self._to_be_sent.update((item["to"], item["text"]) for item in wanted)
        kind = "texts of their own" if "messages" in request else "times the same text"
        self._screen.step(subject, f"{len(wanted)} {kind} in one call")
        ids = await self._send(subject, request)
        reference = f"{REFERENCE}-{self._run}-{self._kit.vendor}-{subject}"
        told = ""

        async def look() -> Any:
            nonlocal told
            listed = await self._api.all("/messages", reference=reference)
            counts = counted(listed)
            if counts != told:
                told = counts
                self._screen.step(subject, counts)
            return listed

        await self._deadline.wait_for(look, lambda seen: all(message["status"] in FINAL for message in seen))
        messages = [await self._api.get(f"/messages/{identity}") for identity in ids]
        self._judge(subject, messages, ARRIVES)

    def _judge(self, subject: str, messages: Sequence[Mapping[str, Any]], expected: Expected) -> None:
        """Compare what became of messages, and what their time lines say, with what was to become of them."""
        wrong = [message for message in messages if not expected.is_met(message)]
        named = "; ".join(f"{m['id']} is {m['status']} ({m.get('reason', 'no reason')})" for m in wrong[:_ALIKE])
        self._check(
            subject, holds=not wrong, otherwise=f"{len(wrong)} of {len(messages)} not {expected.state}: {named}"
        )
        story = ["accepted", "sending", "refused"] if expected == BLOCKED else ["accepted", "sending", "sent", "report"]
        untold = [m for m in messages if not set(story) <= {entry["what"] for entry in m["timeline"]}]
        self._check(
            subject,
            holds=bool(wrong) or not untold,
            otherwise=f"{len(untold)} of {len(messages)} time lines lack one of {', '.join(story)}",
        )

    async def _reply(self) -> None:
        person, text = self._kit.person(FRIEND), self._text("thank you!")
        await self._people.text(self._kit.vendor, person=person, to=self._kit.sender, text=text)
        self._screen.step("reply", f"{person} answers: {text!r}")

        async def look() -> list[Any]:
            texts = await self._api.all("/inbound", number=person, sender=self._kit.sender)
            return [entry for entry in texts if entry["text"] == text]

        found = await self._deadline.wait_for(look, bool)
        for entry in found:
            self._screen.step("reply", f"received as {entry['id']}, to {entry['to']}")
        self._check("reply", holds=len(found) == 1, otherwise=f"received {len(found)} times instead of once")

    async def _stop(self) -> None:
        person = self._kit.person(STOPPER)
        await self._people.text(self._kit.vendor, person=person, to=self._kit.sender, text="STOP")
        self._screen.step("stop", f"{person} answers: STOP")
        listed = await self._deadline.wait_for(self._opted_out, lambda listed: person in listed)
        if person in listed:
            self._screen.step("stop", f"{person} is on the opt-out list for {self._kit.sender}")
        self._check("stop", holds=person in listed, otherwise=f"{person} is not on the opt-out list")

    async def _compare(self, before: int) -> None:
        """Compare what the vendor really sent with what it was to send."""
        entries = await self._people.sent(self._kit.vendor, offset=before)
        sent = Counter((entry["to"], entry["text"]) for entry in entries if self._text("") in entry["text"])
        lost, extra = self._to_be_sent - sent, sent - self._to_be_sent
        self._screen.step("ledger", f"{self._to_be_sent.total()} to be sent, {sent.total()} really sent by the vendor")
        self._check("ledger", holds=not lost, otherwise=f"never sent: {_listed(lost)}")
        self._check("ledger", holds=not extra, otherwise=f"sent too often: {_listed(extra)}")


def _is_without(person: str, numbers: set[str]) -> bool:
    return person not in numbers


def counted(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return how many messages are in which state, in words."""
    counts = Counter(message["status"] for message in messages)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def _words(entry: Mapping[str, Any]) -> str:
    known = WORDS.get(entry["what"], entry["what"])
    return (
        str(known).format_map({"vendorId": "", "detail": "", "reason": "", "attempt": "", "state": "", **entry}).strip()
    )


def _listed(counts: Counter[tuple[str, str]]) -> str:
    return "; ".join(f"{count} x {text!r} to {to}" for (to, text), count in sorted(counts.items())[:_ALIKE])


class Leftovers:
    """The messages that a killed run left under way; the gateway goes on with them by itself.

    Args:
        api: The gateway.
        people: The sandbox.
        screen: Where it is told.
        deadline: How long to wait for them.
    """

    def __init__(self, api: Api, people: People, screen: Screen, deadline: Deadline) -> None:
        self._api = api
        self._people = people
        self._screen = screen
        self._deadline = deadline
        self._ids: list[str] = []

    async def find(self) -> None:
        """Find them."""
        listed = [message for state in UNDER_WAY for message in await self._api.all("/messages", status=state)]
        self._ids = [m["id"] for m in listed if m.get("reference", "").startswith(f"{REFERENCE}-")]
        if self._ids:
            self._screen.step("earlier", f"{len(self._ids)} messages of an earlier run are still under way")

    async def see_through(self) -> list[str]:
        """Wait for them and return what did not come to an end, in words."""
        if not self._ids:
            return []
        self._screen.heading("What an earlier run left under way")

        async def look() -> list[Any]:
            return [await self._api.get(f"/messages/{identity}") for identity in self._ids]

        messages = await self._deadline.wait_for(look, lambda seen: all(m["status"] in FINAL for m in seen))
        self._screen.step("earlier", counted(messages))
        still = [message["id"] for message in messages if message["status"] not in FINAL]
        twice = [message["id"] for message in messages if await self._copies(message) > 1]
        return [
            f"{len(ids)} messages of an earlier run {what}: {', '.join(ids[:_ALIKE])}"
            for what, ids in (("have not come to an end", still), ("were sent more than once", twice))
            if ids
        ]

    async def _copies(self, message: Mapping[str, Any]) -> int:
        """Return how often the vendor sent a message; the demo's texts differ from run to run."""
        sent = await self._people.sent(message["vendor"], to=message["to"])
        return sum(entry["text"] == message["text"] for entry in sent)
