"""Functions that the clock starts."""

from __future__ import annotations

import logging
from datetime import timedelta

import azure.functions as func

from functions.app import POISON_QUEUE, application
from functions.triggers.failures import carry_out
from functions.triggers.names import EVENTS_POISON_QUEUE, POISON_LINE, SWEEP, WATCH

log = logging.getLogger("sms.schedules")
blueprint = func.Blueprint()
SWEEP_SCHEDULE = "0 * * * * *"
SWEEP_PERIOD = timedelta(minutes=1)
WATCH_SCHEDULE = "30 */5 * * * *"


@blueprint.function_name(SWEEP)
@blueprint.timer_trigger(arg_name="timer", schedule=SWEEP_SCHEDULE, run_on_startup=False, use_monitor=False)
async def sweep_batches(timer: func.TimerRequest) -> None:
    """Queue batches that were forgotten and close those that are done."""
    del timer
    await carry_out(SWEEP, lambda: application().sweeper.sweep(SWEEP_PERIOD))


@blueprint.function_name(WATCH)
@blueprint.timer_trigger(arg_name="timer", schedule=WATCH_SCHEDULE, run_on_startup=False, use_monitor=False)
async def watch_queues(timer: func.TimerRequest) -> None:
    """Say in the log which poison queues are not empty; Azure counts messages by account only, so no metric could."""
    del timer
    await carry_out(WATCH, _watch)


async def _watch() -> None:
    queues = application().storage.queues
    for name in (POISON_QUEUE, EVENTS_POISON_QUEUE):
        if length := await queues.length(name):
            log.error("%s%s holds %d messages.", POISON_LINE, name, length)
