"""A wish to forget a person: what is remembered of it while it is carried out, and afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from functions.gateway.clock import from_ms, to_ms
from functions.gateway.models import ErasureState, ErasureView
from functions.gateway.packing import pack, unpack
from functions.storage.ports import Row

ERASURES_TABLE = "erasures"
OPEN, DONE = "open", "done"


class Step(StrEnum):
    """What is gone through, in this order."""

    MESSAGES = "messages"
    INBOUND = "inbound"
    ANSWERS = "answers"
    OPT_OUTS = "optOuts"
    IN_FLIGHT = "inFlight"
    SET_ASIDE = "setAside"


STEPS = tuple(Step)
_NEVER = from_ms(0)
_SAYS = {
    ErasureState.RUNNING: "Everything of the number is being looked for; this goes on by itself.",
    ErasureState.WAITING: "Messages are still on their way: they are finished first, since their recipients are "
    "needed, and then erased. That takes as long as their delivery reports are waited for at most.",
    ErasureState.DONE: "Nothing of the number is left in what was stored before the request, but for an opt-out that "
    "is kept.",
}


@dataclass(frozen=True, slots=True)
class Job:
    """One request and how far it came.

    Args:
        row: The row as it was last read or written.
        place: Partition and key of the row that a step reached; empty at its begin.
        waiting: The batches that are in flight.
        looked: When those were last looked at.
        counts: What was erased, by step.
    """

    row: Row
    number: str
    keep_opt_outs: bool
    requested: datetime
    step: Step = STEPS[0]
    place: tuple[str, str] = ("", "")
    waiting: tuple[str, ...] = ()
    looked: datetime = _NEVER
    counts: Mapping[str, int] = field(default_factory=dict)

    def counted(self, more: int) -> Job:
        """Return the job with more erased in this step."""
        name = (Step.MESSAGES if self.step is Step.IN_FLIGHT else self.step).value
        return replace(self, counts={**self.counts, name: self.counts.get(name, 0) + more})

    def next_step(self) -> Job:
        """Return the job at the begin of the step behind this one."""
        return replace(self, step=STEPS[STEPS.index(self.step) + 1], place=("", ""))


def row_of(job: Job) -> Row:
    """Return the row that remembers a request."""
    partition, key = job.place
    values: dict[str, Any] = {
        "number": job.number,
        "keepOptOuts": job.keep_opt_outs,
        "requested": to_ms(job.requested),
        "step": job.step.value,
        "partition": partition,
        "key": key,
        "looked": to_ms(job.looked),
        **pack({"waiting": job.waiting, "counts": dict(job.counts)}),
    }
    return replace(job.row, values=values)


def job_of(row: Row) -> Job:
    """Return the request that a row remembers."""
    values, packed = _values(row), unpack(row.values)
    return Job(
        row=row,
        number=values["number"],
        keep_opt_outs=values["keepOptOuts"],
        requested=from_ms(values["requested"]),
        step=Step(values["step"]),
        place=(values["partition"], values["key"]),
        waiting=tuple(packed["waiting"]),
        looked=from_ms(values["looked"]),
        counts=packed["counts"],
    )


def _values(row: Row) -> Mapping[str, Any]:
    return row.values


def view_of(job: Job) -> ErasureView:
    """Return what there is to tell of a request."""
    finished = from_ms(_values(job.row)["finished"]) if "finished" in job.row.values else None
    state = ErasureState.DONE if finished else ErasureState.RUNNING
    if job.step is Step.IN_FLIGHT and job.waiting and not finished:
        state = ErasureState.WAITING
    return ErasureView(
        id=job.row.key,
        state=state,
        detail=_SAYS[state],
        messages=job.counts.get(Step.MESSAGES.value, 0),
        replies=job.counts.get(Step.INBOUND.value, 0),
        in_flight=len(job.waiting),
        opt_outs="keep" if job.keep_opt_outs else "erase",
        requested_at=job.requested,
        finished_at=finished,
    )
