"""The entry point that the Functions host loads: checks the settings there and registers the blueprints."""

from __future__ import annotations

import azure.functions as func

from functions.triggers import acs_events, callbacks, consent, messages, meta, privacy, providers, schedules, workers
from functions.triggers.starting import check_settings

check_settings()
app = func.FunctionApp()
for surface in (providers, messages, consent, privacy, callbacks, acs_events, workers, schedules, meta):
    app.register_functions(surface.blueprint)
