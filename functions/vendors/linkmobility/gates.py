"""The gates through which LINK calls back, made and corrected by its Gate API 1.2.

Its edition is kept at https://github.com/deveel/deveel.lm.client/tree/69516e2fbd220bf1637ff708c5bf15fe2bad7a04/docs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote

from functions.vendors.contract import Account, Http, Refused, SubscribeError, Unknown
from functions.vendors.exchange import HttpAnswer, why
from functions.vendors.linkmobility.calls import code_of, request, words_of
from functions.vendors.linkmobility.description import DESCRIPTION
from functions.vendors.proofs import PROOF_HEADER

GATE_NOT_FOUND = "103304"
REPORTS_KEPT = timedelta(hours=48)
"""How long a gate repeats what was not taken."""


def _gates(account: Account) -> str:
    platform, partner = (quote(account.settings[name], safe="") for name in ("platformId", "platformPartnerId"))
    return f"/gate/partnergate/platform/{platform}/partner/{partner}"


def _destination(account: Account, url: str) -> dict[str, Any]:
    settings = account.settings
    destination: dict[str, Any] = {"url": url, "contentType": "application/json"}
    if password := settings.get("callbackPassword"):
        destination |= {"username": settings.get("callbackUser", ""), "password": password}
    if secret := settings.get("callbackSecret"):
        destination["customParameters"] = {"http.header1": f"{PROOF_HEADER}:{secret}"}
    return destination


async def list_gates(account: Account, http: Http) -> Sequence[Mapping[str, Any]]:
    """Return the account's gates.

    Raises:
        SubscribeError: LINK did not list them.
    """
    answer = await request(account, http, "GET", _gates(account))
    if isinstance(answer, HttpAnswer) and answer.status == HTTPStatus.OK and isinstance(answer.json, list):
        return [gate for gate in answer.json if isinstance(gate, dict)]
    if isinstance(answer, HttpAnswer) and code_of(answer) == GATE_NOT_FOUND:
        return []
    raise _gate_error(account, "list the gates", answer)


async def change_gate(account: Account, http: Http, gate: str, url: str) -> tuple[str, str]:
    """Have a gate post to this address with the account's proofs; return its id and what was done.

    Raises:
        SubscribeError: LINK did not take it.
    """
    path = f"{_gates(account)}/id/{quote(gate, safe='')}"
    answer = await request(account, http, "GET", path)
    if not isinstance(answer, HttpAnswer) or answer.status != HTTPStatus.OK or not answer.fields:
        raise _gate_error(account, "read the gate", answer)
    wanted = {"destinations": [_destination(account, url)]}
    if answer.fields.get("destinations") == wanted["destinations"]:
        return gate, "kept as it was"
    answer = await request(account, http, "PUT", path, {**answer.fields, **wanted})
    if not isinstance(answer, HttpAnswer) or answer.status not in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}:
        raise _gate_error(account, "change the gate", answer)
    return gate, "corrected"


async def make_gate(account: Account, http: Http, reference: str, url: str) -> tuple[str, str]:
    """Make a gate that posts to this address with the account's proofs; return its id and what was done.

    Raises:
        SubscribeError: LINK did not take it, or did not say which one it made.
    """
    body = {
        "type": "PARTNER_GATE",
        "refId": reference,
        "platformId": account.settings["platformId"],
        "platformPartnerId": account.settings["platformPartnerId"],
        "gateType": "ONE_ORDERED",
        "ttl": REPORTS_KEPT // timedelta(milliseconds=1),
        "acknowledge": False,
        "destinations": [_destination(account, url)],
        "customParameters": {},
    }
    answer = await request(account, http, "POST", "/gate/partnergate", body)
    if not isinstance(answer, HttpAnswer) or answer.status != HTTPStatus.CREATED:
        raise _gate_error(account, "make a gate", answer)
    gate = unquote(answer.headers.get("Location", "").rstrip("/").rpartition("/")[2])
    if not gate:
        raise SubscribeError("LINK Mobility made a gate and did not say which; subscribe again to find it.")
    return gate, "made"


def _gate_error(account: Account, what: str, answer: HttpAnswer | Refused | Unknown) -> SubscribeError:
    """Return what LINK answered, without the secrets that it may quote from the request."""
    if isinstance(answer, HttpAnswer):
        said = f"answered {answer.status} {code_of(answer)} {words_of(answer.fields)}".rstrip(" .") + "."
    else:
        said = f"did not answer: {why(answer)}"
    for setting in DESCRIPTION.settings:
        if setting.secret and (value := account.settings.get(setting.name)):
            said = said.replace(value, "…")
    return SubscribeError(
        f"Asked to {what}, LINK Mobility {said} If the account may not use the Gate API, send the prepared text to its "
        "support."
    )
