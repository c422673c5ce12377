"""LINK Mobility: the SMS REST API of its Common platform.

Reference: https://www.linkmobility.com/developer/ names the newest edition. The editions read for this adapter are
"MT and Delivery Reports" 1.18, "MO messages" 1.7 and "Gate API" 1.2, kept at
https://github.com/deveel/deveel.lm.client/tree/69516e2fbd220bf1637ff708c5bf15fe2bad7a04/docs, and
https://manuals.plus/m/769649310d4a2a1af86594f10d89e8c92cd8625d15dde90f37dd5a9c425a4d61 (2.4). MyLINK, LINK's
self-service product, has another API.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import orjson

from functions.vendors.contract import (
    Accepted,
    Account,
    Answer,
    Callback,
    Check,
    DeliveryReport,
    Http,
    InboundText,
    MalformedError,
    Outcome,
    Parsed,
    Part,
    Reason,
    Refused,
    Retry,
    SendCall,
    SenderType,
    SetAside,
    SettingError,
    SetupStep,
    State,
    Subscribed,
    SupportText,
    Unknown,
    Vendor,
    Wiring,
)
from functions.vendors.exchange import HttpAnswer, why
from functions.vendors.linkmobility.calls import code_of, request, why_refused, words_of
from functions.vendors.linkmobility.codes import REFUSAL_CODES, REPORT_CODES, RETRIES
from functions.vendors.linkmobility.description import DESCRIPTION
from functions.vendors.linkmobility.gates import REPORTS_KEPT, change_gate, list_gates, make_gate
from functions.vendors.linkmobility.support import SUPPORT_WORDS
from functions.vendors.proofs import (
    PROOF_HEADER,
    check_basic,
    check_header,
    check_token,
)
from functions.vendors.reading import as_text, json_of, moment, parsed

SOURCE_TYPES = MappingProxyType(
    {
        SenderType.SHORT_CODE: "SHORTNUMBER",
        SenderType.LONG_CODE: "MSISDN",
        SenderType.ALPHANUMERIC: "ALPHANUMERIC",
    }
)
"""LINK takes a sender without ``sourceTON`` for an alphanumeric one."""
_SHORT_CODE = re.compile(r"[A-Z]{2}-(\d+)", re.ASCII)
_PART_ID = re.compile(r"(?s)(.*)\$(\d{1,4})", re.ASCII)
_COUNT = re.compile(r"\d{1,4}", re.ASCII)
_TOO_HIGH = re.compile("[\U00010000-\U0010ffff]")
# A gate that acknowledges repeats what was answered without a body, for as long as its ttl.
_TAKEN = Answer(200, "text/plain", "OK")


class LinkMobility(Vendor):
    """LINK Mobility's Common platform."""

    description = DESCRIPTION
    answers = {"report": _TAKEN, "inbound": _TAKEN}  # noqa: RUF012 - a constant of the class, as the contract wants it

    def check_settings(self, settings: Mapping[str, str]) -> Sequence[SettingError]:
        """Check that each secret comes with its name, and that there is one way to sign in, not two."""
        pairs = (("password", "username"), ("clientSecret", "clientId"), ("callbackPassword", "callbackUser"))
        wrong = [
            SettingError(name, f"Give it together with {secret}.")
            for secret, name in pairs
            if (settings.get(secret) or settings.get(f"{secret}Secondary")) and not settings.get(name)
        ]
        if all(settings.get(name) or settings.get(f"{name}Secondary") for name in DESCRIPTION.one_of):
            wrong.append(SettingError("clientSecret", "Give either a password or a client secret, not both."))
        return wrong

    def text_objection(self, text: str, settings: Mapping[str, str]) -> str:
        """Object to characters above U+FFFF, which the platform does not support ("Capabilities" of the reference)."""
        del settings
        found = _TOO_HIGH.search(text)
        if found is None:
            return ""
        return (
            f"LINK Mobility carries no characters above U+FFFF, such as {found[0]} (U+{ord(found[0]):X}); take it out."
        )

    def verify(self, callback: Callback, account: Account) -> None:
        """Check the token in the path, and the password and the secret header where they are set."""
        check_token(callback, account)
        check_basic(callback, account)
        check_header(callback, account)

    def parse(self, callback: Callback) -> Parsed:
        """Read what a gate posted; one gate may carry both reports and replies, so the body tells which it is."""
        body = json_of(callback.body, "Does the gate's destination say application/json?")
        if not isinstance(body, dict | list):
            raise MalformedError("The JSON body is neither an object nor a list.")
        return parsed(_item(item, callback.body) for item in (body if isinstance(body, list) else [body]))

    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        """Post all messages of the call at once."""
        body = _batch(account) | {
            "sendRequestMessages": [
                {
                    "source": _bare(call.sender.address),
                    "sourceTON": SOURCE_TYPES[call.sender.type],
                    "destination": message.to,
                    "userData": message.text,
                    "refId": message.id,
                }
                for message in call.messages
            ]
        }
        if call.validity is not None:
            body["relativeValidityTime"] = call.validity * 1000
        return _outcomes(call, await request(account, http, "POST", "/sms/sendbatch", body))

    async def check(self, account: Account, http: Http) -> Check:
        """Post a batch of no messages: good credentials are told that it is empty, bad ones are refused."""
        answer = await request(account, http, "POST", "/sms/sendbatch", _batch(account) | {"sendRequestMessages": []})
        if not isinstance(answer, HttpAnswer):
            return Check(ok=False, detail=why(answer))
        complains = answer.status == HTTPStatus.BAD_REQUEST and "status" in answer.fields
        set_up_fault = REFUSAL_CODES.get(code_of(answer), (Reason.OTHER,))[0] is not Reason.OTHER
        if (answer.status == HTTPStatus.OK and answer.json == []) or (complains and not set_up_fault):
            return Check(ok=True, detail="LINK Mobility accepts the credentials.")
        return Check(
            ok=False,
            detail=f"LINK Mobility answered {answer.status}: {code_of(answer)} {words_of(answer.fields)}".rstrip(),
        )

    def set_up(self, wiring: Wiring) -> tuple[SetupStep, ...]:
        """Describe the two gates, which the gateway or LINK's support makes, and what is routed to them."""
        return (
            SetupStep(
                "Have the two gates made",
                "Either let the gateway make them (subscribe), if the account may use the Gate API, or send the "
                "prepared text to LINK's support. Each has one destination and posts application/json, with the "
                "password and the header that are set here for callbacks.",
            ),
            SetupStep(
                "The gate for delivery reports",
                "Its destination is this address. Enter the gate's id as reportGate: messages name it, and without "
                "it no delivery reports are asked for.",
                wiring.urls.report,
            ),
            SetupStep(
                "The gate for replies",
                "Its destination is this address. Enter the gate's id as inboundGate.",
                wiring.urls.inbound,
            ),
            SetupStep(
                "Route numbers and keywords to the gate for replies",
                "Ask LINK's support for it, with the DEFAULT keyword, or free texts and a plain STOP do not arrive, "
                "and with notifications (notifyStop) where LINK's shared STOP service acts.",
            ),
        )

    def support(self, wiring: Wiring) -> tuple[SupportText, ...]:
        """Return the request for the two gates and the routing."""
        settings = wiring.settings
        login = settings.get("username") or settings.get("clientId") or "-"
        numbers = [sender.address for sender in wiring.senders if sender.type is not SenderType.ALPHANUMERIC]
        values = {
            "host": settings.get("baseUrl", "-"),
            "login": login,
            "platform": settings.get("platformId", "-"),
            "partner": settings.get("platformPartnerId", "-"),
            "report": wiring.urls.report,
            "inbound": wiring.urls.inbound,
            "numbers": ", ".join(numbers) or "-",
            "user": settings.get("callbackUser", ""),
            "header": PROOF_HEADER,
            "hours": f"{REPORTS_KEPT // timedelta(hours=1)}",
        }
        named = [name for name in ("callbackPassword", "callbackSecret") if name in wiring.secrets]
        return tuple(
            SupportText(
                language,
                words["subject"].format_map(values),
                words["text"].format_map(
                    values | {"proofs": "".join(words[name].format_map(values) for name in named)}
                ),
            )
            for language, words in SUPPORT_WORDS.items()
        )

    async def subscribe(self, account: Account, wiring: Wiring, http: Http) -> Subscribed:
        """Make or correct the gates for reports and for replies, found by their refId.

        Source: "Gate API" 1.2; a PUT replaces the whole gate.
        """
        wanted = (("reportGate", "report", wiring.urls.report), ("inboundGate", "inbound", wiring.urls.inbound))
        listed = await list_gates(account, http)
        done, settings = [], {}
        for setting, kind, url in wanted:
            reference = f"{account.provider}-{kind}"
            found = next((str(gate.get("id")) for gate in listed if gate.get("refId") == reference), "")
            change = change_gate(account, http, found, url) if found else make_gate(account, http, reference, url)
            gate, what = await change
            done.append(f"Gate {gate} for {'delivery reports' if kind == 'report' else 'replies'}: {what}.")
            settings[setting] = gate
        routing = "Have LINK's support route numbers and keywords to the gate for replies."
        return Subscribed(" ".join([*done, routing]), settings)


def _batch(account: Account) -> dict[str, Any]:
    """Return what all messages of a batch share."""
    gate = account.settings.get("reportGate", "")
    shared: dict[str, Any] = {
        "platformId": account.settings["platformId"],
        "platformPartnerId": account.settings["platformPartnerId"],
        # True is LINK's default, and without a gate an error.
        "useDeliveryReport": bool(gate),
    }
    if gate:
        shared["deliveryReportGates"] = [gate]
    # The editions disagree on the default, and true would leave us without ids.
    return shared | {"ignoreResponse": False}


def _outcomes(call: SendCall, answer: HttpAnswer | Refused | Unknown) -> dict[str, Outcome]:
    """Give each message its entry's outcome by refId, as the order is not promised; the rest share the answer's."""
    if not isinstance(answer, HttpAnswer):
        return {message.id: answer for message in call.messages}
    one = [answer.json] if answer.status == HTTPStatus.OK else []
    items = answer.json if isinstance(answer.json, list) else one
    entries = [item for item in items if isinstance(item, dict) and "resultCode" in item]
    alone = len(call.messages) == len(entries) == 1
    found: dict[str, Outcome] = {}
    if answer.status == HTTPStatus.OK or (entries and answer.is_client_error):
        for entry in entries:
            # The answer about a single message is documented without refId.
            name = as_text(entry.get("refId")) or (call.messages[0].id if alone else "")
            outcome = _entry_outcome(entry)
            found[name] = outcome if found.get(name, outcome) == outcome else Unknown("The answer names it twice.")
    rest = Unknown("The answer does not name it.", str(answer.status)) if entries else _whole_outcome(answer)
    return {message.id: found.get(message.id, rest) for message in call.messages}


def _entry_outcome(entry: Mapping[str, Any]) -> Outcome:
    code, words, identity = as_text(entry.get("resultCode")), words_of(entry), as_text(entry.get("messageId"))
    state, reason = REPORT_CODES.get(code, (State.UNKNOWN, Reason.OTHER))
    if reason is None:
        return Accepted(identity) if identity else Unknown("LINK Mobility took it and named no messageId.", code)
    if state is State.UNKNOWN:
        return Unknown(f"LINK Mobility answered {code}: {words}", code)
    return Refused(reason, RETRIES.get(code, Retry.NEVER), None, code, words)


def _whole_outcome(answer: HttpAnswer) -> Outcome:
    if answer.is_client_error:
        return answer.refusal(*why_refused(answer), code_of(answer), words_of(answer.fields))
    if answer.is_server_error:
        code = code_of(answer) or str(answer.status)
        return Unknown(f"LINK Mobility answered {answer.status}: {words_of(answer.fields)}", code)
    if answer.status == HTTPStatus.NO_CONTENT:
        # Taken, as with ignoreResponse; reports find the message by its refId.
        return Accepted("")
    return Unknown(f"LINK Mobility answered {answer.status} without saying what became of it.", str(answer.status))


def _item(item: Any, body: bytes) -> DeliveryReport | InboundText | SetAside:
    if not isinstance(item, dict):
        return SetAside("It is not an object.", _written(item, body))
    if "content" in item or ("route" in item and "resultCode" not in item):
        return _inbound(item, body)
    return _report(item, body)


def _report(item: dict[str, Any], body: bytes) -> DeliveryReport | SetAside:
    vendor_id, part = _without_part(as_text(item.get("id")), item.get("segments"))
    message = as_text(item.get("refId"))
    if not vendor_id and not message:
        return SetAside("It names neither refId nor id.", _written(item, body))
    code = as_text(item.get("resultCode"))
    state, reason = REPORT_CODES.get(code, (State.UNKNOWN, Reason.OTHER))
    return DeliveryReport(
        state=state,
        reason=reason,
        vendor_id=vendor_id,
        message=message,
        code=code,
        at=moment(as_text(item.get("timestamp")), UTC),
        part=part,
        raw=item,
    )


def _inbound(item: dict[str, Any], body: bytes) -> InboundText | SetAside:
    vendor_id, person, ours = (as_text(item.get(name)) for name in ("messageId", "source", "destination"))
    if not (vendor_id and person and ours):
        return SetAside("It names no messageId, source or destination.", _written(item, body))
    content, route = (value if isinstance(value, dict) else {} for value in (item.get("content"), item.get("route")))
    stopped = route.get("shared") is True and as_text(route.get("keyword")).upper() == "STOP"
    return InboundText(
        vendor_id=vendor_id,
        sender=person,
        recipient=_bare(ours),
        text=as_text(content.get("userData")),
        at=moment(as_text(item.get("timestamp")), UTC),
        # A shared STOP keyword is LINK's own opt-out service; other keywords are the customer's.
        consent="stop" if stopped else "",
        raw=item,
    )


def _without_part(identity: str, segments: Any) -> tuple[str, Part | None]:
    """Return the message's id and the part it speaks of: each part of a long text has ``$`` and its number from 0."""
    match = _PART_ID.fullmatch(identity)
    if match is None:
        return identity, None
    number, count = int(match[2]) + 1, as_text(segments)
    return match[1], Part(number, max(number, int(count) if _COUNT.fullmatch(count) else 1))


def _bare(address: str) -> str:
    """Return a short code as senders have it: replies name ``NO-2333``, while messages are sent from ``2333``."""
    match = _SHORT_CODE.fullmatch(address)
    return match[1] if match else address


def _written(item: Any, body: bytes) -> str:
    try:
        return orjson.dumps(item).decode()
    except TypeError:  # nested deeper than orjson writes
        return body.decode(errors="replace")


vendor = LinkMobility()
