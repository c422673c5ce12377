"""Whatever happens in whatever order, each message ends in a state that agrees with what its vendor really got.

A walk by lot accepts calls, loses queue messages, kills and freezes processes at any of their requests, lets vendors
fail in every way, reports late and twice, and skips sweeps for as long as it likes; the processes' clocks are seconds
apart. Then the vendor works again, and the rest has to come right by sweeps and queue alone.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from functions import app as composition
from functions.app import DISPATCH_QUEUE
from functions.gateway import insisting
from functions.gateway.circuit import FAILURES_IN_A_ROW
from functions.gateway.envelope import read_work
from functions.gateway.facts import TABLE, Facts, read_facts
from functions.gateway.messagelog import summarise
from functions.gateway.models import ProviderState, SendRequest
from functions.gateway.records import PARTITION, ProviderRecord, SenderRecord, provider_row, sender_row
from functions.gateway.records import TABLE as PROVIDERS
from functions.gateway.states import FINAL
from functions.gateway.story import Rules, plan, running
from functions.gateway.timing import Timing
from functions.storage.ports import QueueItem, StaleError, Storage
from functions.vendors.contract import (
    Accepted,
    Account,
    Capabilities,
    Check,
    DeliveryReport,
    Description,
    Http,
    Outcome,
    Reason,
    Refused,
    Retry,
    SendCall,
    SenderRule,
    SenderType,
    SetupStep,
    State,
    Unknown,
    Vendor,
    Wiring,
)
from tests.gateway.world import WHOLE, build

PROVIDER, SENDER = "01kb3v9r2m8q4t6w0x5y7z1a2b", "01kb3v9r2m8q4t6w0x5y7z1a2c"
ADDRESS = "+18885550100"
REPLAYED_FOR = timedelta(minutes=5)
KINDS = {
    "blind": {},
    "replay": {"replay_window": REPLAYED_FOR},
    "lookup": {"lookup": True, "lookup_by_id": True},
}
STEPS, PATIENCE = 80, timedelta(hours=5)
SKEW = 5.0
"""How many seconds a process's clock may be wrong either way."""
BUSY = Refused(Reason.TEMPORARY, Retry.LATER, code="503", detail="Busy.")
SLOWLY = Refused(Reason.THROTTLED, Retry.LATER, after=7.0, code="429", detail="Not so fast.")
NO_NUMBER = Refused(Reason.INVALID_RECIPIENT, code="21211", detail="No such number.")
NOT_IN_THE_LOG = Refused(Reason.TEMPORARY, Retry.LATER, detail="The log has it not.")


def described(kind: str) -> Description:
    """Return what a vendor of this kind says of itself."""
    capabilities = {
        "recipients_per_call": 2,
        "one_text_per_call": False,
        "calls_at_once": 2,
        "replay_window": timedelta(0),
        "lookup": False,
        "status_query": False,
        "max_text_length": 1600,
        "validity": None,
        "reports": True,
        "inbound": False,
        "correlation": "",
        "callback_authentication": "",
    }
    rule = SenderRule(SenderType.LONG_CODE, "A number.")
    return Description(kind, kind, "", (), (rule,), Capabilities(**capabilities | KINDS[kind]))


class Simulated(Vendor):
    """A vendor that does what the lots say, and knows what it really sent.

    Attributes:
        sent: When each recipient was really texted.
        healthy: Whether all calls succeed from now on.
        down: Whether all calls are lost on their way.
    """

    def __init__(self, kind: str, world: World) -> None:
        self.description = described(kind)
        self._world = world
        self.sent: dict[str, list[datetime]] = {}
        self.healthy = self.down = False

    def _take(self, call: SendCall) -> dict[str, Outcome]:
        now, window = self._world.clock(), self.description.capabilities.replay_window
        for message in call.messages:
            before = self.sent.setdefault(message.to, [])
            if not (window and before and now - before[0] <= window):
                before.append(now)
                self._world.unreported.append((message.id, message.to))
        return {message.id: Accepted(f"V{message.id}") for message in call.messages}

    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        process = self._world.process_of(http)
        await process.before("vendor", freeze=False)
        answered = self._answer(call)
        await process.after("vendor")
        if answered is None:
            raise RuntimeError("the adapter fell over")
        return answered

    def _answer(self, call: SendCall) -> Mapping[str, Outcome] | None:
        lots, everybody = self._world.lots, [message.id for message in call.messages]
        fate = "fine" if self.healthy else "lost" if self.down else lots.choice(FATES)
        if fate in {"fine", "unheard", "fell over after", "half"}:
            if fate == "half":
                call = replace(call, messages=call.messages[:1])
            taken = self._take(call)
            if fate == "half":
                return taken | dict.fromkeys(everybody[1:], lots.choice((NO_NUMBER, SLOWLY)))
            return {"fine": taken, "unheard": dict.fromkeys(everybody, Unknown("No answer."))}.get(fate)
        answers = {"lost": Unknown("No answer."), "busy": BUSY, "slowly": SLOWLY, "wrong": NO_NUMBER}
        return dict.fromkeys(everybody, answers[fate]) if fate in answers else None

    async def lookup(
        self, account: Account, call: SendCall, known: frozenset[str], http: Http
    ) -> Mapping[str, Outcome]:
        process = self._world.process_of(http)
        await process.before("vendor")
        if not self.healthy and (self.down or self._world.lots.random() < 0.1):
            return {message.id: Unknown("The log does not answer.") for message in call.messages}
        found = {m.id: Accepted(f"V{m.id}") if self.sent.get(m.to) else NOT_IN_THE_LOG for m in call.messages}
        await process.after("vendor")
        return found

    async def check(self, account: Account, http: Http) -> Check:
        return Check(ok=True, detail="")

    def set_up(self, wiring: Wiring) -> tuple[SetupStep, ...]:
        return ()


FATES = (
    *("fine",) * 8,
    *("lost", "unheard", "fell over before", "fell over after"),
    *("half", "busy", "busy", "slowly", "slowly", "wrong"),
)


class Process:
    """One instance of the gateway, which may be killed or frozen before or after any of its requests.

    Args:
        world: Where it runs.
        ahead: By how many seconds its clock is wrong.
    """

    def __init__(self, world: World, ahead: float) -> None:
        self.world = world
        self.died, self.stopped = asyncio.Event(), asyncio.Event()
        self.running = asyncio.Event()
        self.running.set()
        self.trap: tuple[int, str] = (0, "")
        store = Storage(Mortal(self, world.storage.tables), Mortal(self, world.storage.queues), world.storage.secrets)
        skew = timedelta(seconds=ahead)
        self.app = build(store, lambda: world.clock() + skew, SMS_REPORT_WINDOW_HOURS="6")

    async def before(self, what: str, *, freeze: bool = True) -> None:
        """Let a request begin, unless this is where the process ends or stops."""
        await self._pass("before", freeze=freeze)

    async def after(self, what: str) -> None:
        """Let the answer of a request arrive, unless this is where the process ends or stops."""
        await self._pass("after", freeze=True)

    async def _pass(self, when: str, *, freeze: bool) -> None:
        left, kind = self.trap
        if kind and when == "before":
            self.trap = (left - 1, kind)
        if kind == f"kill {when}" and self.trap[0] <= 0:
            self.died.set()
        if kind == f"freeze {when}" and self.trap[0] <= 0 and freeze:
            self.trap = (0, "")
            self.running.clear()
            self.stopped.set()
        if self.died.is_set():
            self.world.hung.add(asyncio.current_task())
            await asyncio.Event().wait()
        if freeze:
            # A call that is begun has left the machine: what docs/architecture.md admits of it is not asked for here.
            await self.running.wait()

    def thaw(self) -> None:
        """Let it go on."""
        self.stopped.clear()
        self.running.set()


class Mortal:
    """A port as a process sees it that may end or stop at any request."""

    def __init__(self, process: Process, port: Any) -> None:
        self._process, self._port = process, port

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if name in {"query", "scan"}:
            return partial(self._rows, method)
        return partial(self._request, method)

    async def _request(self, method: Callable[..., Awaitable[Any]], *args: Any, **options: Any) -> Any:
        await self._process.before("store")
        done = await method(*args, **options)
        await self._process.after("store")
        return done

    async def _rows(self, method: Callable[..., Any], *args: Any, **options: Any):
        await self._process.before("store")
        rows = [row async for row in method(*args, **options)]
        await self._process.after("store")
        for row in rows:
            yield row


@dataclass
class World:
    """Everything there is: one store, one vendor, a few processes and callers who insist."""

    storage: Storage
    clock: Any
    lots: random.Random
    kind: str
    hung: set[Any] = field(default_factory=set)
    processes: list[Process] = field(default_factory=list)
    unreported: deque[tuple[str, str]] = field(default_factory=deque)
    asked: dict[str, SendRequest] = field(default_factory=dict)
    answered: dict[str, dict[str, str]] = field(default_factory=dict)
    reported: dict[str, list[State]] = field(default_factory=dict)
    delivered: set[str] = field(default_factory=set)
    frozen: list[tuple[Process, asyncio.Task[Any]]] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    vendor: Simulated = field(init=False)

    def __post_init__(self) -> None:
        self.vendor = Simulated(self.kind, self)

    async def begin(self) -> None:
        """Store a provider with a sender, and start three processes."""
        now = self.clock()
        provider = ProviderRecord(*(PROVIDER, self.kind, "one", "", "", ProviderState.ACTIVE, {}, (), "", "", now, now))
        sender = SenderRecord(SENDER, PROVIDER, SenderType.LONG_CODE, ADDRESS, "", "", now, now)
        await self.storage.tables.insert(PROVIDERS, [provider_row(provider), sender_row(sender)])
        self.processes = [self.new_process() for _ in range(3)]

    def new_process(self) -> Process:
        return Process(self, self.lots.uniform(-SKEW, SKEW))

    def process_of(self, http: Http) -> Process:
        """Return the process that makes a vendor call."""
        everyone = [*self.processes, *(process for process, _ in self.frozen)]
        return next(process for process in everyone if process.app.http is http)

    async def act(self, work: Callable[[Process], Awaitable[Any]], *, trapped: bool = True) -> Any:
        """Let a process do something; ``None`` when it was killed or stopped over it."""
        place = self.lots.randrange(len(self.processes))
        process = self.processes[place]
        process.trap = (self.lots.randint(1, 9), self.lots.choice(TRAPS)) if trapped else (0, "")
        task = asyncio.create_task(work(process))
        ends = [asyncio.create_task(event.wait()) for event in (process.died, process.stopped)]
        await asyncio.wait([task, *ends], return_when=asyncio.FIRST_COMPLETED)
        for end in ends:
            end.cancel()
        trap, process.trap = process.trap, (0, "")
        if task.done():
            return task.result()
        self.happened.append(f"  {trap[1]}")
        self.processes[place] = self.new_process()
        if process.died.is_set():
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        else:
            self.frozen.append((process, task))
        return None

    async def thaw(self) -> None:
        """Let a frozen process go on with what it was doing."""
        process, task = self.frozen[self.lots.randrange(len(self.frozen))]
        process.thaw()
        done, _ = await asyncio.wait([task], timeout=10)
        assert done, "what was frozen does not end"
        self.frozen.remove((process, task))
        task.result()

    # What happens -------------------------------------------------------------------------------------------------

    async def accept(self) -> None:
        """Ask for a few messages to people nobody else writes to, some of them for a short time only."""
        number = len(self.asked)
        to = [f"+1425{2_000_000 + 10 * number + n}" for n in range(self.lots.randint(1, 5))]
        validity = self.lots.choice((None, None, None, 900))
        request = SendRequest(sender=SENDER, to=to, text="Hello", validity_period=validity)
        self.asked[f"call-{number}"] = request
        await self._ask(f"call-{number}")

    async def insist(self) -> None:
        """Repeat the calls that were not answered, as journey platforms do."""
        for key in self.asked.keys() - self.answered.keys():
            await self._ask(key)

    async def _ask(self, key: str) -> None:
        request = self.asked[key]
        accept = partial(_accept, request=request, key=key)
        answer = await self.act(accept)
        if answer is not None:
            ids = {item.to: item.id for item in answer.messages}
            assert self.answered.setdefault(key, ids) == ids, "a repeat was answered otherwise"

    async def dispatch(self) -> None:
        """Take messages off the queue as the host does; some are lost, some are worked on by two at once."""
        for item in await self.storage.queues.receive(DISPATCH_QUEUE, limit=4, visibility=600):
            fate = self.lots.random()
            if fate < 0.08 or item.dequeue_count > 5:
                self.happened.append("  lost")
                await self._delete(item)
            else:
                await asyncio.gather(*(self._work(item) for _ in range(1 + (fate > 0.9))))

    async def _work(self, item: QueueItem, *, trapped: bool = True) -> None:
        work = read_work(item.body.encode())

        async def run(process: Process) -> bool:
            await process.app.dispatcher.dispatch(work.batch, due=work.due, trace=work.trace)
            return True

        if await self.act(run, trapped=trapped):
            await self._delete(item)

    async def _delete(self, item: QueueItem) -> None:
        with suppress(StaleError):
            await self.storage.queues.delete(DISPATCH_QUEUE, item)

    async def report(self) -> None:
        """Let the vendor report on something it sent, again if nobody took it, or although somebody did."""
        if not self.unreported:
            return
        message, to = self.unreported.popleft()
        state = self.lots.choice((State.SENT, State.DELIVERED, State.DELIVERED, State.UNDELIVERED))
        report = DeliveryReport(state, f"V{message}", message=message, recipient=to)
        if state is State.UNDELIVERED:
            report = replace(report, reason=Reason.UNREACHABLE)
        taken = await self.act(partial(_take, report=report, kind=self.kind))
        self.reported.setdefault(message, []).append(state)
        if taken and state is State.DELIVERED:
            self.delivered.add(message)
        if taken is None or self.lots.random() < 0.1:
            self.unreported.append((message, to))

    async def sweep(self, *, trapped: bool = True) -> None:
        """Let the timer fire."""
        await self.act(lambda process: process.app.sweeper.sweep(), trapped=trapped)

    async def walk(self) -> None:
        """Do many things by lot."""
        for _ in range(STEPS):
            step = self.lots.choice(WALK)
            self.happened.append(f"{self.clock():%H:%M:%S} {step}")
            match step:
                case "time":
                    self.clock.advance(self.lots.choice((1, 2, 5, 20, 60, 130, 400)))
                case "weather":
                    self.vendor.down = self.lots.random() < 0.3
                case "thaw":
                    if self.frozen:
                        await self.thaw()
                case _:
                    await getattr(self, step)()

    async def settle(self) -> None:
        """Let the vendor work, every process live and the timer fire, until nothing is left to do."""
        self.vendor.healthy = True
        await self.insist()
        until = self.clock() + PATIENCE
        while self.clock() < until:
            while items := await self.storage.queues.receive(DISPATCH_QUEUE, limit=32, visibility=600):
                await asyncio.gather(*(self._work(item, trapped=False) for item in items))
            await self.sweep(trapped=False)
            if self.frozen and self.lots.random() < 0.2:
                await self.thaw()
            open_work = [facts for facts in await self.facts() if self.has_work(facts)]
            if not open_work and not self.frozen and not self.asked.keys() - self.answered.keys():
                return
            await self.insist()
            self.clock.advance(60)
        raise AssertionError(f"still to do: {open_work}")

    def has_work(self, facts: Facts) -> bool:
        """Tell whether anything is left to do for a batch."""
        if facts.closed:
            return False
        rules = Rules.of(self.vendor.description.capabilities, Timing(), facts.batch.id)
        left = plan(facts, self.clock(), rules)
        return bool(left.send or left.lookup or left.wait is not None)

    async def facts(self) -> list[Facts]:
        """Return all that is known of each batch."""
        by_batch: dict[str, list[Any]] = {}
        async for row in self.storage.tables.scan(TABLE, first="!", last="~"):
            by_batch.setdefault(row.partition, []).append(row)
        return [facts for rows in by_batch.values() if (facts := read_facts(rows)) is not None]

    async def end(self) -> None:
        """Give up what still hangs."""
        for task in self.hung:
            task.cancel()
        for process, task in self.frozen:
            process.thaw()
            await asyncio.wait([task], timeout=1)
        await asyncio.sleep(0)


TRAPS = (*("",) * 6, "kill before", "kill after", "kill before", "kill after", "freeze before", "freeze after")
WALK = (
    *("accept", "insist", "weather", "thaw", "report", "report"),
    *("time",) * 4,
    *("dispatch",) * 6,
    *("sweep",) * 2,
)


async def _accept(process: Process, *, request: SendRequest, key: str) -> Any:
    return await process.app.acceptor.accept(request, key=key, body=b"{}")


async def _take(process: Process, *, report: DeliveryReport, kind: str) -> bool:
    await process.app.callbacks._reports.take([report], vendor=kind, provider=PROVIDER)
    return True


def _shortly(view: Any) -> str:
    said = [f"{e.at:%H:%M:%S} {e.what} {e.attempt or ''} {e.reason or ''} {e.detail}" for e in view.timeline]
    return "\n  ".join((f"{view.id} {view.status} {view.reason or ''}", *said))


def check(world: World, everything: Sequence[Facts], views: Mapping[str, Any]) -> None:
    """Hold what is told of each message against what the vendor did."""
    told = {view.to: view for view in views.values()}
    twice = {to: len(times) for to, times in world.vendor.sent.items() if len(times) > 1}
    assert not twice, "sent more than once:\n" + "\n".join(map(_shortly, (told[to] for to in twice)))
    accepted = {to for request in world.asked.values() for to in request.to}
    assert told.keys() == accepted
    assert Counter(item.to for facts in everything for item in facts.batch.items).total() == len(accepted)
    for facts in everything:
        assert running(facts) is None or facts.closed
    for to, view in told.items():
        reports, really = world.reported.get(view.id, []), bool(world.vendor.sent.get(to))
        explained = {(entry.state, entry.reason) for entry in view.timeline}
        match view.status:
            case State.SENT | State.DELIVERED | State.UNDELIVERED:
                assert really, view
                assert view.status in {State.SENT, *reports}, view
            case State.FAILED | State.REJECTED | State.EXPIRED:
                assert not really, view
            case State.UNKNOWN:
                doubt = [entry for entry in view.timeline if entry.what == "unanswered"]
                assert view.reason is Reason.NO_ANSWER, view
                assert doubt, view
            case _:
                raise AssertionError(f"still {view.status}: {view}")
        if view.id in world.delivered:
            assert view.status is State.DELIVERED, view
        assert view.status in {State.SENT, State.DELIVERED} or view.reason in {why for _, why in explained}, view
        assert [entry.at for entry in view.timeline] == sorted(entry.at for entry in view.timeline)


@pytest.fixture
async def world(storage, clock, monkeypatch):
    """Give a function that makes a world for a kind of vendor and some lots."""
    made: list[World] = []
    clock.freeze()
    monkeypatch.setattr(insisting, "_PATIENCE", (0.0,))

    async def make(kind: str, seed: int) -> World:
        world = World(storage, clock, random.Random(f"{kind} {seed}"), kind)
        monkeypatch.setattr(composition, "vendors", lambda: {kind: world.vendor})
        made.append(world)
        await world.begin()
        return world

    yield make
    for one in made:
        await one.end()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(16))
async def test_whatever_happens_all_agree_in_the_end(world, clock, kind, seed) -> None:
    """Nothing is lost, nothing is sent twice, nothing stays queued, and list, message and time line say the truth."""
    here = await world(kind, seed)
    try:
        await here.walk()
        await here.settle()
        app = here.processes[0].app
        everything = await here.facts()
        ids = [identity for ids in here.answered.values() for identity in ids.values()]
        check(here, everything, {identity: await app.messages.message(identity) for identity in ids})

        clock.advance(7 * 3600)
        await here.sweep(trapped=False)
        for facts in await here.facts():
            entry = await app.messages._index.get(facts.batch)
            assert facts.closed
            assert entry.messages == [summarise(facts, place) for place in range(len(facts.batch.items))]
            assert all(m.status in FINAL or m.reason is not None for m in entry.messages)
    except BaseException:
        print("\n".join(here.happened))
        raise


# Cases that the lots find too rarely --------------------------------------------------------------------------------


async def one_message(world: World, **more: Any) -> tuple[str, str]:
    """Accept one message and take its queue message away; return its batch and its id."""
    request = SendRequest(sender=SENDER, to="+14252000000", text="Hello", **more)
    answer = await world.processes[0].app.acceptor.accept(request, key=None, body=b"{}")
    await drained(world)
    (item,) = answer.messages
    return item.id.rpartition("-")[0], item.id


async def drained(world: World) -> int:
    """Take everything off the queue, due or not; return how many there were."""
    count = await world.storage.queues.length(DISPATCH_QUEUE)
    world.clock.advance(200)
    while items := await world.storage.queues.receive(DISPATCH_QUEUE, limit=32, visibility=600):
        for item in items:
            await world.storage.queues.delete(DISPATCH_QUEUE, item)
    world.clock.advance(-200)
    return count


@pytest.mark.parametrize(("seconds", "calls"), [(250, 2), (280, 1), (400, 1)])
async def test_a_repeat_is_begun_only_while_it_will_arrive_in_time(world, clock, monkeypatch, seconds, calls) -> None:
    """The vendor recognises a repeat for 300 s, a call may take 20 s, and clocks may differ by 10 s."""
    here = await world("replay", 0)
    lost, asked = Unknown("No answer."), []

    def answer(call: SendCall) -> Mapping[str, Outcome]:
        asked.append(call.first_attempt)
        here.vendor._take(call)
        return {message.id: lost for message in call.messages}

    monkeypatch.setattr(here.vendor, "_answer", answer)
    batch, identity = await one_message(here)
    app = here.processes[0].app
    await app.dispatcher.dispatch(batch)
    clock.advance(seconds)
    await app.dispatcher.dispatch(batch)

    view = await app.messages.message(identity)
    assert len(asked) == calls
    assert len(here.vendor.sent["+14252000000"]) == 1
    assert (view.status, view.reason) == (State.UNKNOWN, Reason.NO_ANSWER)
    if seconds == 280:
        assert "would not have recognised the repeat" in view.timeline[-1].detail


@pytest.mark.parametrize("dies", [False, True])
async def test_what_is_sent_while_its_batch_is_closed_is_listed_as_that(world, clock, dies) -> None:
    """The list says what the message says, also when the worker dies before it could sum up again."""
    here = await world("blind", 0)
    here.vendor.healthy = True
    here.processes = [here.new_process()]
    batch, identity = await one_message(here)
    clock.advance(6 * 3600 - 5)
    other = here.new_process()
    (process,) = here.processes
    real = here.vendor.send

    async def send(account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        answered = await real(account, call, http)
        clock.advance(20)
        await other.app.sweeper.sweep()
        assert (await other.app.messages.message(identity)).status is not State.QUEUED
        if dies:
            # Its outcome is the next that it writes.
            process.trap = (1, "kill after")
        return answered

    here.vendor.send = send
    task = asyncio.create_task(process.app.dispatcher.dispatch(batch))
    ends = asyncio.create_task(process.died.wait())
    await asyncio.wait([task, ends], return_when=asyncio.FIRST_COMPLETED)
    task.cancel()
    ends.cancel()
    assert process.died.is_set() is dies
    if dies:
        await other.app.dispatcher.dispatch(batch)

    view = await other.app.messages.message(identity)
    (listed,) = (await other.app.messages.page(WHOLE, limit=9, cursor=None)).items
    assert (view.status, view.reason, view.vendor_id) == (State.UNKNOWN, Reason.NO_REPORT, f"V{identity}")
    assert listed.model_dump() == {name: view.model_dump()[name] for name in listed.model_dump()}


async def test_messages_of_batches_that_are_held_back_do_not_add_up(world, clock) -> None:
    """However often it is swept, a batch has one queue message, and that comes once a trial: in half an hour twenty."""
    here = await world("blind", 0)
    here.processes = [here.new_process()]
    (process,) = here.processes
    here.vendor.down, waiting = True, 40
    batches = [(await one_message(here))[0] for _ in range(FAILURES_IN_A_ROW + waiting)]
    for batch in batches:
        await process.app.dispatcher.dispatch(batch)
    worked, puts = 0, []
    real = here.storage.queues.put
    here.storage.queues.put = lambda *a, **o: puts.append(a) or real(*a, **o)
    for _ in range(30):
        await process.app.sweeper.sweep()
        for _ in range(4):
            while items := await here.storage.queues.receive(DISPATCH_QUEUE, limit=32, visibility=600):
                worked += len(items)
                for item in items:
                    await here._work(item, trapped=False)
            clock.advance(15)
    left = await drained(here)
    print(f"{worked} taken up, {len(puts)} put, {left} left for {waiting} batches in half an hour")
    assert 0 < left <= waiting
    assert worked / waiting <= 25


@pytest.mark.parametrize(("due", "puts"), [(True, 1), (False, 0)])
async def test_the_message_that_is_waited_for_is_put_anew_once_it_came(world, clock, due, puts) -> None:
    """A queue may show it half a second early; any other message of the batch is one too many."""
    here = await world("blind", 0)
    app, queues = here.processes[0].app, here.storage.queues
    here.vendor._answer = lambda call: {message.id: SLOWLY for message in call.messages}
    batch, _ = await one_message(here)
    await app.dispatcher.dispatch(batch)
    clock.advance(7.5)
    (item,) = await queues.receive(DISPATCH_QUEUE, limit=9, visibility=600)
    clock.advance(-1)
    assert read_work(item.body.encode()).due > clock()
    before = await queues.length(DISPATCH_QUEUE)
    await app.dispatcher.dispatch(batch, due=read_work(item.body.encode()).due if due else clock())
    assert await queues.length(DISPATCH_QUEUE) == before + puts


@pytest.mark.parametrize("change", ["deleted", "disabled"])
async def test_a_provider_that_goes_while_it_is_held_back_ends_its_messages(world, clock, change) -> None:
    """What waits for a trial that nobody will make fails with the reason within two minutes, without a call."""
    here = await world("blind", 0)
    here.processes = [here.new_process()]
    (process,) = here.processes
    here.vendor.down = True
    batches = [await one_message(here) for _ in range(FAILURES_IN_A_ROW + 3)]
    for batch, _ in batches:
        await process.app.dispatcher.dispatch(batch)
    provider = await process.app.directory.provider(PROVIDER)
    if change == "deleted":
        await here.storage.tables.delete(PROVIDERS, PARTITION, PROVIDER)
    else:
        await here.storage.tables.replace(PROVIDERS, provider_row(replace(provider, state=ProviderState.DISABLED)))
    here.vendor.send = None
    for _ in range(12):
        clock.advance(10)
        for item in await here.storage.queues.receive(DISPATCH_QUEUE, limit=32, visibility=600):
            await here._work(item, trapped=False)
    for _, identity in batches[FAILURES_IN_A_ROW:]:
        view = await process.app.messages.message(identity)
        assert (view.status, view.reason) == (State.FAILED, Reason.CONFIGURATION)
        assert "deleted, disabled or lost its credentials" in view.timeline[-1].detail
