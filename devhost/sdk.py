"""The one place that asks azure-functions for its converters, which make the objects that functions receive."""

from __future__ import annotations

from typing import Any

import azure.functions as func


def converter(binding: str) -> Any:
    """Return the converter of a binding.

    Args:
        binding: A trigger type such as ``queueTrigger``, or ``http`` for what an HTTP function returns.
    """
    registry: Any = func.get_binding_registry
    return registry().get(binding)
