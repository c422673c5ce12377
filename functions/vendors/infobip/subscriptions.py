"""The subscriptions by which Infobip calls back, made by its own API.

Source: https://www.infobip.com/docs/api/platform/subscriptions-api.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from functions.vendors.contract import Account, Http, SubscribeError
from functions.vendors.exchange import HttpAnswer
from functions.vendors.infobip.calls import JSON, platform, problem, request
from functions.vendors.proofs import PROOF_HEADER


async def subscribe_to(account: Account, http: Http, kind: str, event: str, url: str) -> None:
    """Create or update one subscription, after the security it proves itself by and the profile that names both."""
    settings = account.settings
    identity = f"sms-gateway-{account.provider}-{kind}"
    profile: dict[str, Any] = {"webhook": {"notifyUrl": url, "contentType": JSON}}
    if password := settings.get("callbackPassword"):
        credentials = {"username": settings.get("callbackUser", ""), "password": password}
        await _put(account, http, "security", {"authId": identity}, {"type": "BASIC", "credentials": credentials})
        profile["security"] = {"authId": identity}
    if secret := settings.get("callbackSecret"):
        profile["headers"] = {PROOF_HEADER: secret}
    await _put(account, http, "profiles", {"profileId": identity}, profile)
    subscription: dict[str, Any] = {"name": f"SMS gateway: {kind}", "events": [event]}
    if kind == "report" and (ours := platform(settings)):
        subscription["criteria"] = [ours]
    subscription["profile"] = {"profileId": identity}
    await _put(account, http, "subscription/SMS", {"subscriptionId": identity}, subscription)


async def _put(account: Account, http: Http, collection: str, name: Mapping[str, str], body: Mapping[str, Any]) -> None:
    """Update a resource of the Subscriptions API, or create it where there is none."""
    place = f"/subscriptions/1/{collection}"
    (identity,) = name.values()
    answer = await request(account, http, "GET", f"{place}/{identity}")
    if isinstance(answer, HttpAnswer) and answer.status == HTTPStatus.NOT_FOUND:
        answer = await request(account, http, "POST", place, {**name, **body})
    elif isinstance(answer, HttpAnswer) and answer.status == HTTPStatus.OK:
        answer = await request(account, http, "PUT", f"{place}/{identity}", body)
    if not isinstance(answer, HttpAnswer) or answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
        raise SubscribeError(f"{identity} in {place}: {problem(answer, 'subscriptions:manage')}")
