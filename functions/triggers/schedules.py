"""Functions that the clock starts."""

from __future__ import annotations

import logging

import azure.functions as func

from functions.app import POISON_QUEUE, application
from functions.triggers.failures import carry_out
from functions.triggers.names import ERASE, EVENTS_POISON_QUEUE, POISON_LINE, SWEEP, TIDY, WATCH

log = logging.getLogger("sms.schedules")
blueprint = func.Blueprint()
SWEEP_SCHEDULE = "0 * * * * *"
WATCH_SCHEDULE = "30 */5 * * * *"
ERASE_SCHEDULE = "45 */10 * * * *"
TIDY_SCHEDULE = "15 7-59/10 * * * *"
"""Not on the hour, when everybody's upkeep begins: what one run does not get done the next one does."""


@blueprint.function_name(SWEEP)
@blueprint.timer_trigger(arg_name="timer", schedule=SWEEP_SCHEDULE, run_on_startup=False, use_monitor=False)
async def sweep_batches(timer: func.TimerRequest) -> None:
    """Queue batches that were forgotten and close those that are done."""
    del timer
    await carry_out(SWEEP, lambda: application().sweeper.sweep())  # noqa: PLW0108 - building the app may fail too


@blueprint.function_name(ERASE)
@blueprint.timer_trigger(arg_name="timer", schedule=ERASE_SCHEDULE, run_on_startup=False, use_monitor=False)
async def erase_people(timer: func.TimerRequest) -> None:
    """Go on with erasing those who asked to be forgotten."""
    del timer
    await carry_out(ERASE, lambda: application().erasures.carry_on())  # noqa: PLW0108 - building the app may fail too


@blueprint.function_name(TIDY)
@blueprint.timer_trigger(arg_name="timer", schedule=TIDY_SCHEDULE, run_on_startup=False, use_monitor=False)
async def delete_by_age(timer: func.TimerRequest) -> None:
    """Delete what is older than the settings let it be kept."""
    del timer
    await carry_out(TIDY, lambda: application().retention.tidy())  # noqa: PLW0108 - building the app may fail too


@blueprint.function_name(WATCH)
@blueprint.timer_trigger(arg_name="timer", schedule=WATCH_SCHEDULE, run_on_startup=False, use_monitor=False)
async def watch_queues(timer: func.TimerRequest) -> None:
    """Say in the log which poison queues are not empty, and put batches back; no metric of Azure's tells of a queue."""
    del timer
    await carry_out(WATCH, _watch)


async def _watch() -> None:
    queues = application().storage.queues
    for name in (POISON_QUEUE, EVENTS_POISON_QUEUE):
        if length := await queues.length(name):
            log.error("%s%s holds %d messages.", POISON_LINE, name, length)
            if name == POISON_QUEUE:
                await application().poison.put_back()
