"""Functions that the clock starts."""

from __future__ import annotations

from datetime import timedelta

import azure.functions as func

from functions.app import application
from functions.triggers.failures import carry_out
from functions.triggers.names import SWEEP

blueprint = func.Blueprint()
SWEEP_SCHEDULE = "0 * * * * *"
SWEEP_PERIOD = timedelta(minutes=1)


@blueprint.function_name(SWEEP)
@blueprint.timer_trigger(arg_name="timer", schedule=SWEEP_SCHEDULE, run_on_startup=False, use_monitor=False)
async def sweep_batches(timer: func.TimerRequest) -> None:
    """Queue batches that were forgotten and close those that are done."""
    del timer
    await carry_out(SWEEP, lambda: application().sweeper.sweep(SWEEP_PERIOD))
