"""Adds to the span of a vendor call how HTTP went: never an address, which may hold a token or a number.

Not ``http.request.method``: with it Application Insights names the call after method and path instead of "send", and
counts ``http.*`` among what it need not keep, hence the second name of the status.
"""

from __future__ import annotations

from types import SimpleNamespace

import aiohttp
from opentelemetry import trace


def watch() -> aiohttp.TraceConfig:
    """Return what aiohttp calls for each request; names are those of https://opentelemetry.io/docs/specs/semconv/http."""
    config = aiohttp.TraceConfig()
    config.on_request_end.append(_ended)
    config.on_request_exception.append(_failed)
    return config


async def _ended(
    session: aiohttp.ClientSession, context: SimpleNamespace, request: aiohttp.TraceRequestEndParams
) -> None:
    del session, context
    span = trace.get_current_span()
    span.set_attribute("http.response.status_code", request.response.status)
    span.set_attribute("sms.vendor.status", request.response.status)
    span.set_attribute("server.address", request.url.host or "")


async def _failed(
    session: aiohttp.ClientSession, context: SimpleNamespace, request: aiohttp.TraceRequestExceptionParams
) -> None:
    del session, context
    span = trace.get_current_span()
    span.set_attribute("server.address", request.url.host or "")
    span.set_attribute("exception.type", type(request.exception).__name__)
