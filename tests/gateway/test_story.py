"""What the facts of a batch amount to: the state of a message and what is left to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.gateway.facts import (
    OUR_OWN,
    SUMMARY,
    Attempt,
    Batch,
    Facts,
    Item,
    accepted_row,
    outcome_row,
    read_facts,
    report_row,
    sending_row,
)
from functions.gateway.story import MAX_ATTEMPTS, Plan, Rules, plan, standing, timeline
from functions.gateway.timing import Timing
from functions.storage.limits import check_rows
from functions.storage.ports import Row
from functions.vendors.contract import (
    Accepted,
    Category,
    DeliveryReport,
    Outcome,
    Part,
    Reason,
    Refused,
    Retry,
    Sender,
    SenderType,
    State,
    Unknown,
)

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BATCH = Batch(
    id="01kb3v9r2m8q4t6w0x5y7z1a2b",
    provider="p",
    vendor="v",
    sender_id="s",
    sender=Sender(SenderType.LONG_CODE, "+14255550100"),
    business_unit="",
    category=Category.TRANSACTIONAL,
    created=START,
    validity=None,
    items=(Item("+14255550101", "Hi", 1, "GSM-7", "ref", {"a": 1}), Item("+14255550102", "Ho", 1, "GSM-7")),
)
LATER = Refused(Reason.THROTTLED, Retry.LATER, code="429")
PUT_OFF = Refused(Reason.TEMPORARY, Retry.LATER, code=OUR_OWN)
NO_ANSWER = Unknown("No answer within 20 s.")
REPLAYS = Rules(timedelta(minutes=5), lookup=False, timing=Timing(), seed="x")
LOOKS_UP = Rules(timedelta(0), lookup=True, timing=Timing(), seed="x")
NEITHER = Rules(timedelta(0), lookup=False, timing=Timing(), seed="x")


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def attempt(
    number: int, outcome: Outcome | None, *, started: float = 0, ended: float | None = None, lookup: bool = False
) -> Attempt:
    outcomes = None if outcome is None else {0: outcome}
    over = at(started + 1 if ended is None else ended) if outcomes else None
    return Attempt(number, lookup, at(started), 120.0, (0,), outcomes, over)


def facts(*attempts: Attempt, reports: Mapping[int, list[DeliveryReport]] | None = None, batch: Batch = BATCH) -> Facts:
    """Facts as they come back from the store: through their rows."""
    rows = [accepted_row(replace(batch, items=batch.items[:1]))]
    for one in attempts:
        rows.append(sending_row(batch.id, one))
        if one.outcomes is not None and one.ended is not None:
            rows.append(outcome_row(batch.id, one.number, one.outcomes, one.ended))
    for index, found in (reports or {}).items():
        rows += [report_row(batch.id, index, report, at(50 + place)) for place, report in enumerate(found)]
    read = read_facts(rows)
    assert read is not None
    return read


def report(state: State, reason: Reason | None = None) -> DeliveryReport:
    return DeliveryReport(state=state, vendor_id="V1", reason=reason, status=state.value, raw={"x": 1})


def test_rows_carry_everything() -> None:
    """A batch, its attempts and its reports come back from their rows unchanged."""
    found = facts(attempt(1, LATER), attempt(2, Accepted("V1"), started=5), reports={0: [report(State.DELIVERED)]})

    assert found.batch == replace(BATCH, items=BATCH.items[:1])
    assert found.attempts == (attempt(1, LATER), attempt(2, Accepted("V1"), started=5))
    assert [one.state for one in found.reports] == [State.DELIVERED]


@pytest.mark.parametrize(
    "outcome",
    [
        Accepted("V" * 3_000_000),
        Accepted("half \ud83d"),
        Refused(Reason.OTHER, code="C" * 3_000_000, detail="D\ud83d" * 1_000_000),
        Unknown("W\ud83d" * 1_000_000, "C\ud83d"),
    ],
)
def test_whatever_a_vendor_answers_can_be_kept(outcome: Outcome) -> None:
    """An id of a page or half a character in an answer must not undo that it was written down at all."""
    row = outcome_row(BATCH.id, 1, dict.fromkeys(range(100), outcome), START)
    check_rows([row])
    read = read_facts([accepted_row(BATCH), sending_row(BATCH.id, attempt(1, None)), row])
    assert read is not None
    assert type(read.attempts[0].outcomes[0]) is type(outcome)


def test_without_an_accepted_row_there_is_no_batch() -> None:
    """An attempt's row alone, as a wrong queue message might leave it, is no batch."""
    assert read_facts([sending_row(BATCH.id, attempt(1, None))]) is None


@pytest.mark.parametrize(
    ("attempts", "state", "reason"),
    [
        ((), State.QUEUED, None),
        ((attempt(1, None),), State.QUEUED, None),
        ((attempt(1, Accepted("V1")),), State.SENT, None),
        ((attempt(1, LATER),), State.QUEUED, None),
        ((attempt(1, Refused(Reason.INVALID_RECIPIENT)),), State.REJECTED, Reason.INVALID_RECIPIENT),
        ((attempt(1, Refused(Reason.OPTED_OUT)),), State.REJECTED, Reason.OPTED_OUT),
        ((attempt(1, Refused(Reason.EXPIRED)),), State.EXPIRED, Reason.EXPIRED),
        ((attempt(1, Refused(Reason.CREDENTIALS)),), State.FAILED, Reason.CREDENTIALS),
        ((attempt(1, NO_ANSWER),), State.UNKNOWN, Reason.NO_ANSWER),
        ((attempt(1, NO_ANSWER), attempt(2, LATER, started=9)), State.UNKNOWN, Reason.NO_ANSWER),
        ((attempt(1, NO_ANSWER), attempt(2, LATER, started=9, lookup=True)), State.QUEUED, None),
        ((attempt(1, NO_ANSWER), attempt(2, NO_ANSWER, started=9, lookup=True)), State.UNKNOWN, Reason.NO_ANSWER),
        ((attempt(1, NO_ANSWER), attempt(2, Accepted("V1"), started=9, lookup=True)), State.SENT, None),
        (tuple(attempt(n, LATER, started=n * 9) for n in range(1, MAX_ATTEMPTS + 1)), State.FAILED, Reason.THROTTLED),
        (tuple(attempt(n, PUT_OFF, started=n * 9) for n in range(1, MAX_ATTEMPTS + 1)), State.QUEUED, None),
    ],
)
def test_state_from_attempts(attempts: tuple[Attempt, ...], state: State, reason: Reason | None) -> None:
    """What the vendor answered gives the state before any report."""
    found = standing(facts(*attempts), 0)

    assert (found.state, found.reason) == (state, reason)


def test_reports_overrule_an_unknown_send() -> None:
    """A report proves that a message was sent whose answer was lost."""
    found = standing(facts(attempt(1, NO_ANSWER), reports={0: [report(State.DELIVERED)]}), 0)

    assert (found.state, found.reason, found.vendor_id) == (State.DELIVERED, None, "V1")


def test_a_late_delivery_corrects_and_says_so() -> None:
    """Delivered after undelivered wins and is flagged."""
    reports = {0: [report(State.UNDELIVERED, Reason.UNREACHABLE), report(State.DELIVERED)]}
    found = standing(facts(attempt(1, Accepted("V1")), reports=reports), 0)

    assert (found.state, found.reason, found.corrected) == (State.DELIVERED, None, True)


def test_the_time_line_tells_which_reports_counted() -> None:
    """Every fact is on the time line, in order; a report that was overtaken says so."""
    reports = {0: [report(State.DELIVERED), report(State.SENT)]}
    entries = timeline(facts(attempt(1, Accepted("V1"), started=1), reports=reports), 0)

    assert [(entry.what, entry.counted) for entry in entries] == [
        ("accepted", True),
        ("sending", True),
        ("sent", True),
        ("report", True),
        ("report", False),
    ]


@pytest.mark.parametrize(
    ("attempts", "reports", "state", "reason", "line"),
    [
        ((attempt(1, Accepted("V1")),), [], State.UNKNOWN, Reason.NO_REPORT, ["closed"]),
        ((attempt(1, Accepted("V1")),), [report(State.DELIVERED)], State.DELIVERED, None, ["closed", "report"]),
        ((attempt(1, Accepted("V1")),), [report(State.SENT)], State.UNKNOWN, Reason.NO_REPORT, ["closed", "report"]),
        ((attempt(1, LATER),), [], State.FAILED, Reason.THROTTLED, ["closed"]),
        ((), [], State.FAILED, Reason.TEMPORARY, ["closed"]),
        ((attempt(1, None),), [], State.UNKNOWN, Reason.NO_ANSWER, ["closed"]),
        ((attempt(1, NO_ANSWER),), [], State.UNKNOWN, Reason.NO_ANSWER, []),
        ((attempt(1, Refused(Reason.INVALID_RECIPIENT)),), [], State.REJECTED, Reason.INVALID_RECIPIENT, []),
    ],
)
def test_closing_ends_what_is_open_and_a_late_report_still_counts(attempts, reports, state, reason, line) -> None:
    """What was open is told to be closed, when, and to what end; reports at second 50 come after that."""
    found = replace(facts(*attempts, reports={0: reports}), closed=at(40))
    where = standing(found, 0)

    assert (where.state, where.reason) == (state, reason)
    assert [entry.what for entry in timeline(found, 0) if entry.what in {"closed", "report"}] == line


@pytest.mark.parametrize("attempts", [(), (attempt(1, LATER),), (attempt(1, Accepted("V1")),)])
def test_what_closing_changed_was_changed_then(attempts) -> None:
    """The last change of a message is the moment that its time line gives for it."""
    found = replace(facts(*attempts), closed=at(40))
    assert standing(found, 0).updated == timeline(found, 0)[-1].at == at(40)


def late(found: Facts, number: int, outcome: Outcome, *, said: float) -> Facts:
    """Return the facts after the worker of an attempt that was written down as dead has spoken."""
    attempts = [
        replace(one, late={0: outcome}, said=at(said)) if one.number == number else one for one in found.attempts
    ]
    return replace(found, attempts=tuple(attempts))


@pytest.mark.parametrize("said", [PUT_OFF, LATER, Refused(Reason.INVALID_RECIPIENT)])
@pytest.mark.parametrize(
    ("since", "state"), [(Accepted("V1"), State.SENT), (NO_ANSWER, State.UNKNOWN), (None, State.QUEUED)]
)
@pytest.mark.parametrize("rules", [REPLAYS, LOOKS_UP, NEITHER])
def test_a_worker_that_speaks_late_speaks_of_its_own_attempt(said, since, state, rules) -> None:
    """That it sent nothing does not mean that nobody has since: the message is not offered again for that."""
    before = facts(attempt(1, NO_ANSWER), attempt(2, LATER, started=200, lookup=True), attempt(3, since, started=230))
    after = late(before, 1, said, said=300)

    assert standing(after, 0).state is standing(before, 0).state is state
    step, as_before = plan(after, at(299), rules), plan(before, at(299), rules)
    assert (step.lookup, step.wait) == (as_before.lookup, as_before.wait)
    assert step.send == as_before.send


def test_a_worker_that_speaks_late_can_settle_what_nobody_could() -> None:
    """Where no evidence is to be had, its word that it sent nothing lets the message be sent after all."""
    found = late(facts(attempt(1, NO_ANSWER)), 1, PUT_OFF, said=300)
    assert standing(found, 0).state is State.QUEUED
    assert plan(found, at(302), NEITHER).send == {0: None}


@pytest.mark.parametrize("meanwhile", [LATER, NO_ANSWER, Refused(Reason.INVALID_RECIPIENT), None])
@pytest.mark.parametrize("lookup", [True, False])
def test_what_was_sent_stays_sent(meanwhile, lookup) -> None:
    """Word that comes late of a message that was taken stands, whatever was tried before it came."""
    found = late(
        facts(attempt(1, NO_ANSWER), attempt(2, meanwhile, started=200, lookup=lookup)), 1, Accepted("V9"), said=300
    )
    where = standing(found, 0)
    assert (where.state, where.vendor_id, where.updated) == (State.SENT, "V9", at(300))
    assert all(plan(found, at(1000), rules).send == {} for rules in (REPLAYS, LOOKS_UP, NEITHER))
    assert ("sent", at(300)) in [(entry.what, entry.at) for entry in timeline(found, 0)]


def test_late_words_come_back_from_their_row() -> None:
    """They stand beside what was written for the worker, and count where that was unknown."""
    dead = replace(attempt(1, NO_ANSWER), indices=(0, 1), outcomes={0: NO_ANSWER, 1: Accepted("V1")})
    spoken = outcome_row(BATCH.id, 1, {0: Accepted("V0"), 1: LATER}, at(300), late=True)
    found = read_facts(
        [accepted_row(BATCH), sending_row(BATCH.id, dead), outcome_row(BATCH.id, 1, dead.outcomes, at(1)), spoken]
    )
    (one,) = found.attempts
    assert (one.outcomes, one.ended) == (dead.outcomes, at(1))
    assert [one.outcome(index) for index in (0, 1)] == [Accepted("V0"), Accepted("V1")]
    assert [one.known_since(index) for index in (0, 1)] == [at(300), at(1)]


def test_a_thousand_attempts_keep_their_order() -> None:
    """Put off for a day and then taken, a message is not offered again: keys with four digits sort otherwise."""
    many = [attempt(number, PUT_OFF, started=60 * number) for number in range(1, 1000)]
    found = facts(*many, attempt(1000, Accepted("V1"), started=60_000))
    read = read_facts(sorted([accepted_row(found.batch), *_rows(found)], key=lambda row: row.key))
    assert standing(read, 0).state is State.SENT
    assert plan(read, at(90_000), NEITHER) == Plan({}, {}, None)


def _rows(found: Facts) -> list[Row]:
    claims = [sending_row(found.batch.id, one) for one in found.attempts]
    return claims + [outcome_row(found.batch.id, one.number, one.outcomes, one.ended) for one in found.attempts]


def test_what_the_gateway_puts_off_itself_is_taken_up_ever_more_rarely() -> None:
    """A store that is away for an hour costs a hundred attempts and not thousands, and no try at the vendor."""
    attempts: list[Attempt] = []
    now = 0.0
    while now < 3600:
        attempts.append(attempt(len(attempts) + 1, PUT_OFF, started=now, ended=now))
        step = plan(facts(*attempts), at(now), NEITHER)
        assert step.wait is not None
        assert step.wait <= NEITHER.timing.backoff_cap
        now += step.wait
    assert len(attempts) < 130
    assert plan(facts(*attempts, attempt(len(attempts) + 1, LATER, started=now, ended=now)), at(now), NEITHER).wait <= 1


@pytest.mark.parametrize(("now", "sent"), [(299, {0: at(0)}), (300, {}), (4000, {})])
def test_a_repeat_is_not_made_after_the_vendor_forgot_the_first(now, sent) -> None:
    """A queue message that comes hours late must not make a second message of a repeat that was due in time."""
    step = plan(facts(attempt(1, NO_ANSWER)), at(now), REPLAYS)
    assert (step.send, step.wait) == (sent, None)


def test_a_closing_that_does_not_say_when_is_read() -> None:
    """Rows of earlier releases without a moment still mean that the batch is closed."""
    found = read_facts([accepted_row(BATCH), Row(BATCH.id, SUMMARY)])
    assert found is not None
    assert found.closed == BATCH.created
    assert standing(found, 0).state is State.FAILED


def test_a_new_batch_is_sent_at_once() -> None:
    """What was never offered is due."""
    assert plan(facts(), at(0), REPLAYS).send == {0: None}


def test_nothing_is_done_while_an_attempt_runs() -> None:
    """A worker that may still be calling is left alone until its lease ends."""
    step = plan(facts(attempt(1, None)), at(30), REPLAYS)

    assert (step.send, step.lookup, step.wait) == ({}, {}, 90.0)


def test_a_passing_refusal_waits_its_turn() -> None:
    """Retry-After is honoured, then the message is offered again as if for the first time."""
    asked = replace(LATER, after=30.0)
    found = facts(attempt(1, asked, ended=1))

    assert plan(found, at(10), REPLAYS).wait == pytest.approx(21.0)
    assert plan(found, at(32), REPLAYS).send == {0: None}


@pytest.mark.parametrize("outcome", [Accepted("V1"), Refused(Reason.INVALID_RECIPIENT)])
def test_what_is_settled_stays_settled(outcome: Outcome) -> None:
    """A message that was taken or refused for good is never offered again."""
    step = plan(facts(attempt(1, outcome)), at(9999), REPLAYS)

    assert (step.send, step.lookup, step.wait) == ({}, {}, None)


def test_a_report_settles_an_unknown_send() -> None:
    """A message with any report is never offered again."""
    step = plan(facts(attempt(1, NO_ANSWER), reports={0: [report(State.SENT)]}), at(60), REPLAYS)

    assert (step.send, step.wait) == ({}, None)


@pytest.mark.parametrize("state", [State.SENT, State.DELIVERED, State.UNDELIVERED, State.UNKNOWN])
def test_what_the_vendor_reports_on_is_not_offered_again(state: State) -> None:
    """Whoever reports on a message has it, whatever was answered when it was offered."""
    for last in (LATER, PUT_OFF, NO_ANSWER):
        found = facts(attempt(1, last), reports={0: [report(state)]})
        for rules in (REPLAYS, LOOKS_UP, NEITHER):
            left = plan(found, at(200), rules)
            assert (left.send, left.lookup, left.wait) == ({}, {}, None)


def test_an_idempotent_vendor_gets_a_replay_within_its_window() -> None:
    """A lost answer is followed by the same message with the moment of its first try, and only while that is safe."""
    found = facts(attempt(1, NO_ANSWER, ended=20))

    assert plan(found, at(40), REPLAYS).send == {0: at(0)}
    late = facts(attempt(1, NO_ANSWER, ended=299.9))
    assert plan(late, at(400), REPLAYS).send == {}


def test_a_throttled_replay_stays_a_replay() -> None:
    """A refusal of the second try says nothing of the first: the window still counts from there."""
    found = facts(attempt(1, NO_ANSWER, ended=20), attempt(2, replace(LATER, after=600.0), started=25))

    assert plan(found, at(700), REPLAYS).send == {}
    assert standing(found, 0).state is State.UNKNOWN


def test_a_vendor_with_a_log_is_asked_before_anything_is_sent_again() -> None:
    """A lost answer is looked up; only when the log does not have it the message is offered again."""
    lost = attempt(1, NO_ANSWER, ended=20)

    assert plan(facts(lost), at(25), LOOKS_UP).lookup == {}
    assert plan(facts(lost), at(31), LOOKS_UP).lookup == {0: at(0)}
    absent = attempt(2, LATER, started=31, lookup=True)
    assert plan(facts(lost, absent), at(40), LOOKS_UP).send == {0: None}


def test_lookups_end() -> None:
    """A log that cannot be read is asked a few times, ever more rarely, and then the message stays unknown."""
    lookups = [attempt(n, NO_ANSWER, started=n * 400, lookup=True) for n in range(2, 7)]

    assert plan(facts(attempt(1, NO_ANSWER), *lookups), at(9999), LOOKS_UP).lookup == {}


def test_without_evidence_nothing_is_sent_again() -> None:
    """A vendor with neither replay nor log leaves the message unknown for good."""
    step = plan(facts(attempt(1, NO_ANSWER)), at(9999), NEITHER)

    assert (step.send, step.lookup, step.wait) == ({}, {}, None)


def test_backoff_grows_to_its_cap() -> None:
    """Waits double from half to a whole second up to a minute, the same for every worker."""
    waits = [REPLAYS.backoff(count) for count in range(1, 12)]

    assert 0.5 <= waits[0] <= 1
    assert all(30 <= wait <= 60 for wait in waits[6:])
    assert waits == [Rules(timedelta(0), lookup=False, timing=Timing(), seed="x").backoff(n) for n in range(1, 12)]


def parted(number, count, state, *, code=""):
    """Return a report on one part of the first message."""
    return DeliveryReport(state=state, vendor_id="v1", part=Part(number, count), code=code)


def with_parts(*reports):
    """Return a batch whose first message was taken by the vendor and then reported on, one report a second."""
    rows = [
        accepted_row(BATCH),
        sending_row(BATCH.id, Attempt(1, lookup=False, started=at(0), lease=120.0, indices=(0, 1))),
        outcome_row(BATCH.id, 1, {0: Accepted("v1"), 1: Accepted("v2")}, at(1)),
        *(report_row(BATCH.id, 0, report, at(2 + place)) for place, report in enumerate(reports)),
    ]
    facts = read_facts(list({row.key: row for row in rows}.values()))
    assert facts is not None
    return facts


D, S, U, X = State.DELIVERED, State.SENT, State.UNDELIVERED, State.UNKNOWN


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ([(1, 1, D)], D),
        ([(1, 2, D)], S),
        ([(1, 2, D), (2, 2, D)], D),
        ([(2, 2, D), (1, 2, D)], D),
        ([(1, 2, D), (1, 2, D)], S),
        ([(1, 3, D), (2, 3, U), (3, 3, D)], U),
        ([(1, 2, U), (2, 2, D)], U),
        ([(1, 2, U), (2, 2, D), (1, 2, D)], D),
        ([(1, 2, S), (2, 2, S)], S),
        ([(1, 2, X), (2, 2, D)], S),
    ],
    ids=[
        "whole",
        "half",
        "both",
        "reversed",
        "same twice",
        "one of three failed",
        "failed first",
        "corrected",
        "sent",
        "unknown part",
    ],
)
def test_a_message_is_delivered_when_all_its_parts_are(reports, expected):
    """Parts are counted by their numbers, in any order; one that failed decides until it is corrected."""
    facts = with_parts(*(parted(*report) for report in reports))

    assert standing(facts, 0).state is expected
    assert standing(facts, 1).state is S
    shown = [entry.part for entry in timeline(facts, 0) if entry.what == "report"]
    assert all(part and part.endswith(f" of {reports[0][1]}") for part in shown)
