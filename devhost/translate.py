"""Translates between the wire and what the host sends to the worker and gets back from it.

After ``ToRpcHttp`` of ``GrpcMessageConversionExtensions`` in https://github.com/Azure/azure-functions-host.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

from aiohttp import web
from azure.functions.meta import Datum

_NOT_OURS = frozenset({"content-length", "transfer-encoding", "connection"})
"""Headers that the web server sets, whatever the function says."""


def query_of(request: web.Request) -> dict[str, str]:
    """Read the query as ASP.NET does: names match in any case, repeats are joined, empty values are dropped."""
    joined: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for name, value in parse_qsl(request.rel_url.raw_query_string, keep_blank_values=False):
        own = spelled.setdefault(name.lower(), name)
        joined[own] = f"{joined[own]},{value}" if own in joined else value
    return joined


def _headers(request: web.Request) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in request.headers.items():
        low = name.lower()
        joined[low] = f"{joined[low]},{value}" if low in joined else value
    if request.remote:
        # As the front end of App Service does: https://learn.microsoft.com/azure/app-service/overview-inbound-outbound-ips.
        known = joined.get("x-forwarded-for")
        joined["x-forwarded-for"] = f"{known}, {request.remote}" if known else request.remote
    return joined


async def request_datum(request: web.Request, values: Mapping[str, str]) -> Datum:
    """Make the trigger value of an HTTP function.

    Args:
        request: The request as it came.
        values: The route parameters.
    """
    # The host passes the body on only when a length is announced; a chunked body stays behind.
    body = await request.read() if (request.content_length or 0) > 0 else b""
    raw = request.raw_path
    target = raw if raw.startswith("/") else str(request.rel_url)
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(f"http://{request.host}{target}", "string"),
            "headers": {name: Datum(value, "string") for name, value in _headers(request).items()},
            "query": {name: Datum(value, "string") for name, value in query_of(request).items()},
            "params": {name: Datum(value, "string") for name, value in values.items()},
            "body": Datum(body, "bytes"),
        },
        "http",
    )


def response_of(value: Datum) -> web.Response:
    """Make the answer of what an HTTP function returned, encoded."""
    if value.type == "string":
        return web.Response(text=value.value)
    parts = value.value
    response = web.Response(status=int(parts["status_code"].value), body=parts["body"].value)
    for name, header in parts["headers"].items():
        if name.lower() not in _NOT_OURS:
            response.headers[name] = header.value
    for cookie in parts["cookies"] or ():
        for morsel in cookie.values():
            response.headers.add("Set-Cookie", morsel.OutputString())
    return response
