"""How Infobip's API is called, and how it names its faults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson

from functions.vendors.contract import Account, Http, Refused, Unknown
from functions.vendors.exchange import HttpAnswer, exchange, shortened, why
from functions.vendors.reading import as_object, as_string

JSON = "application/json"


async def request(
    account: Account,
    http: Http,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, str] | None = None,
) -> HttpAnswer | Refused | Unknown:
    """Make a call with the account's key."""
    # People paste the address of a whole call.
    url = re.split(r"/(?:sms|subscriptions)(?:/|$)", account.settings["baseUrl"])[0].rstrip("/") + path
    headers = {"Authorization": f"App {account.settings['apiKey']}", "Accept": JSON}
    return await exchange(http, method, url, headers=headers, params=params, json=body)


def fault(answer: HttpAnswer) -> tuple[str, str]:
    """Return an error's code and words; v3 has one shape of errors, v1 and v2 have another."""
    body = answer.fields
    old = as_object(as_object(body.get("requestError")).get("serviceException"))
    faults = body.get("violations") or old.get("validationErrors")
    words = as_string(body.get("description")) or as_string(old.get("text"))
    code = as_string(body.get("errorCode")) or as_string(old.get("messageId"))
    return code, shortened(f"{words} {orjson.dumps(faults).decode() if faults else ''}".strip())


def problem(answer: HttpAnswer | Refused | Unknown, scope: str) -> str:
    """Say why a call did not succeed; a key without the scope is refused like one without rights."""
    if not isinstance(answer, HttpAnswer):
        return why(answer)
    missing = f" The API key needs the scope {scope}." if answer.status == HTTPStatus.FORBIDDEN else ""
    return f"Infobip answered {answer.status}: {fault(answer)[1]}{missing}"


def platform(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the CPaaS X entity and application that the account sends for, as messages and subscriptions name them."""
    return {name: settings[name] for name in ("entityId", "applicationId") if settings.get(name)}
