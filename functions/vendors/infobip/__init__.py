"""Infobip SMS.

Reference: https://www.infobip.com/docs/api/channels/sms/outbound-sms/send-sms-messages for sending,
https://www.infobip.com/docs/api/channels/sms/logs-and-status-reports/get-outbound-sms-message-logs-v3 for the log,
https://www.infobip.com/docs/api/channels/sms/logs-and-status-reports/receive-outbound-sms-message-reports-v3 for
reports, https://www.infobip.com/docs/api/channels/sms/inbound-sms/receive-inbound-sms-messages for replies and
https://www.infobip.com/docs/api/platform/subscriptions-api for where they are posted to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
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
from functions.vendors.exchange import HttpAnswer, fields_of_success, shortened
from functions.vendors.infobip.calls import JSON, fault, platform, problem, request
from functions.vendors.infobip.codes import (
    GROUPS,
    REFUSALS,
    REPORT_ERRORS,
    REPORT_STATUSES,
    RETRIES,
    name_of,
)
from functions.vendors.infobip.description import DESCRIPTION, GSM_PART, MOST_PARTS
from functions.vendors.infobip.subscriptions import subscribe_to
from functions.vendors.infobip.support import SUPPORT
from functions.vendors.proofs import (
    PROOF_HEADER,
    check_basic,
    check_header,
    check_token,
)
from functions.vendors.reading import as_object, as_string, as_text, moment, object_of, parsed, septets, with_plus

_UCS2_PART = 67
LOG_KEPT = timedelta(hours=48)
_LOG_ROWS = 1000
_LOG_PAGES = 10
_IDS_PER_LOOKUP = 50
"""A list in a query may have 2,048 characters."""
_DUPLICATE = "23"
_FOLLOW = 'A number that forwards replies by itself must be set to "Follow subscription".'


class Infobip(Vendor):
    """Infobip SMS."""

    description = DESCRIPTION
    answers = {"report": Answer(200), "inbound": Answer(200)}  # noqa: RUF012

    def check_settings(self, settings: Mapping[str, str]) -> Sequence[SettingError]:
        """Check that a password for callbacks has its user name."""
        if settings.get("callbackPassword") and not settings.get("callbackUser"):
            return [SettingError("callbackUser", "Give the user name that belongs to callbackPassword.")]
        return []

    def text_objection(self, text: str, settings: Mapping[str, str]) -> str:
        """Refuse what makes more than 25 parts; the longest text alone cannot tell, for it depends on the alphabet.

        Source: status 25 of https://www.infobip.com/docs/developer-resources/api-fundamentals/message-status-codes.
        """
        del settings
        size, part = septets(text), GSM_PART
        if size is None:
            size, part = len(text.encode("utf-16-le", "surrogatepass")) // 2, _UCS2_PART
        most = MOST_PARTS * part
        return f"Infobip takes at most {MOST_PARTS} parts, here {most} units; it has {size}." if size > most else ""

    def verify(self, callback: Callback, account: Account) -> None:
        """Check the token in the path and, where they are set, the password and the secret header."""
        check_token(callback, account)
        check_basic(callback, account)
        check_header(callback, account)

    def parse(self, callback: Callback) -> Parsed:
        """Read a bucket of reports or of replies; an item that cannot be read does not spoil the others."""
        results = object_of(callback.body).get("results")
        if not isinstance(results, list):
            raise MalformedError("results is missing.")
        return parsed((_inbound if callback.kind == "inbound" else _report)(result) for result in results)

    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        """Post all messages in one request, those of one text together."""
        return _outcomes(call, await request(account, http, "POST", "/sms/3/messages", _body(account, call)))

    async def check(self, account: Account, http: Http) -> Check:
        """Read one row of the message log, which sends nothing and marks nothing as read."""
        answer = await request(account, http, "GET", "/sms/3/logs", params={"limit": "1"})
        if isinstance(fields_of_success(answer).get("results"), list):
            return Check(ok=True, detail="Infobip accepts the key and lets it read the message log.")
        return Check(ok=False, detail=problem(answer, "sms:logs:read"))

    async def lookup(
        self, account: Account, call: SendCall, known: frozenset[str], http: Http
    ) -> Mapping[str, Outcome]:
        """Search the message log for our own ids.

        A message that is there was taken, whatever became of it since: its report tells, or the log when asked again.
        """
        del known
        found: dict[str, Outcome] = {}
        reaches_back = datetime.now(UTC) - call.first_attempt < LOG_KEPT
        for at in range(0, len(call.messages), _IDS_PER_LOOKUP):
            ids = [message.id for message in call.messages[at : at + _IDS_PER_LOOKUP]]
            rows, gap = await _log(account, ids, http)
            missing: Outcome = Refused(Reason.TEMPORARY, Retry.LATER, detail="Infobip's message log does not have it.")
            if gap or not reaches_back:
                missing = Unknown(gap or "Infobip's message log does not reach back to the first try.")
            found |= {identity: Accepted(identity) if identity in rows else missing for identity in ids}
        return found

    async def report_of(self, account: Account, message: str, vendor_id: str, http: Http) -> DeliveryReport | None:
        """Read the message's row in the message log."""
        rows, _ = await _log(account, [vendor_id], http)
        row = rows.get(vendor_id, {})
        report = _report(row, message)
        return report if isinstance(report, DeliveryReport) and as_object(row.get("status")) else None

    def set_up(self, wiring: Wiring) -> tuple[SetupStep, ...]:
        """Describe the subscriptions that the gateway makes, and what to do where it may not."""
        reports = (
            "Nothing to do: the gateway names this address with every message it sends. To have reports carry a "
            "password or a secret header as well, set one, then let the gateway subscribe."
        )
        if _by_subscription(wiring.secrets):
            reports = (
                "The subscription for the event DELIVERY posts to this address. Messages name none, because only a "
                "subscription can add the password or the header."
            )
        return (
            SetupStep(
                "Let the gateway subscribe",
                "POST …/callbacks/subscribe makes the subscriptions at Infobip, with all proofs; the API key needs the "
                "scope subscriptions:manage. Do it again whenever a callback setting changes. By hand: Infobip portal "
                "> Developer Tools > Subscriptions Management > SMS, one subscription for each address.",
            ),
            SetupStep(
                "Replies",
                f"The subscription for the event INBOUND_MESSAGE posts to this address. {_FOLLOW} Without a "
                "subscription: portal > Channels and Numbers > the number > forwarding to HTTP, this address, format "
                "MO_JSON_2.",
                wiring.urls.inbound,
            ),
            SetupStep("Delivery reports", reports, wiring.urls.report),
        )

    def support(self, wiring: Wiring) -> tuple[SupportText, ...]:
        """Return the request to forward replies, and reports where messages do not name their address."""
        numbers = ", ".join(sender.address for sender in wiring.senders if sender.type is not SenderType.ALPHANUMERIC)
        values = {
            "numbers": numbers or "-",
            "inbound": wiring.urls.inbound,
            "report": wiring.urls.report,
            "user": wiring.settings.get("callbackUser", "-"),
            "header": PROOF_HEADER,
        }
        names = ["inbound", "own_address"]
        if _by_subscription(wiring.secrets):
            proofs = [name for name in ("callbackPassword", "callbackSecret") if name in wiring.secrets]
            names = ["inbound", "report", *proofs, "safe_channel"]
        return tuple(
            SupportText(
                language,
                words["subject"],
                "\n\n".join(words[name] for name in (*names, "end")).format_map(values),
            )
            for language, words in SUPPORT
        )

    async def subscribe(self, account: Account, wiring: Wiring, http: Http) -> Subscribed:
        """Create or update the subscription for replies and, where messages name no address, the one for reports.

        Source: https://www.infobip.com/docs/api/platform/subscriptions-api: what is updated names its profile by id,
        and a profile its security.
        """
        await subscribe_to(account, http, "inbound", "INBOUND_MESSAGE", wiring.urls.inbound)
        done = "replies"
        if _by_subscription(account.settings):
            await subscribe_to(account, http, "report", "DELIVERY", wiring.urls.report)
            done += " and delivery reports"
        return Subscribed(f"Infobip is subscribed to for {done}. {_FOLLOW}")


def _body(account: Account, call: SendCall) -> dict[str, Any]:
    shared: dict[str, Any] = {}
    if ours := platform(account.settings):
        shared.setdefault("options", {})["platform"] = ours
    if call.validity is not None:
        shared.setdefault("options", {})["validityPeriod"] = {"amount": call.validity, "timeUnit": "SECONDS"}
    if call.report_url and not _by_subscription(account.settings):
        shared["webhooks"] = {"delivery": {"url": call.report_url}, "contentType": JSON}
    by_text: dict[str, list[dict[str, str]]] = {}
    for message in call.messages:
        by_text.setdefault(message.text, []).append({"to": message.to.lstrip("+"), "messageId": message.id})
    sender = call.sender.address.lstrip("+")
    return {
        "messages": [
            {"sender": sender, "destinations": destinations, "content": {"text": text}, **shared}
            for text, destinations in by_text.items()
        ]
    }


def _by_subscription(given: Mapping[str, str] | frozenset[str]) -> bool:
    """Tell whether callbacks must carry what only a subscription adds; an address in a message has no place for it.

    Source: https://www.infobip.com/docs/cpaas-x/subscriptions-management/create-manage-subscriptions.
    """
    return "callbackPassword" in given or "callbackSecret" in given


def _outcomes(call: SendCall, answer: HttpAnswer | Refused | Unknown) -> dict[str, Outcome]:
    """Give each message its entry's outcome, found by our id, as the order is not promised."""
    if not isinstance(answer, HttpAnswer) or answer.status != HTTPStatus.OK:
        whole = _whole_outcome(answer) if isinstance(answer, HttpAnswer) else answer
        return {message.id: whole for message in call.messages}
    entries = answer.fields.get("messages")
    found: dict[str, Outcome] = {}
    for entry in entries if isinstance(entries, list) else ():
        item = as_object(entry)
        identity = as_string(item.get("messageId"))
        outcome = _entry_outcome(identity, as_object(item.get("status")))
        agrees = found.get(identity, outcome) == outcome
        found[identity] = outcome if agrees else Unknown("Infobip's answer names it twice.")
    unnamed = Unknown("Infobip's answer does not name it.", str(answer.status))
    return {message.id: found.get(message.id, unnamed) for message in call.messages}


def _entry_outcome(identity: str, status: Mapping[str, Any]) -> Outcome:
    code, words = as_text(status.get("id")), as_string(status.get("description")) or as_string(status.get("name"))
    state, reason = _state(status, "")
    if state is State.UNKNOWN:
        return Unknown(f"Infobip answered {code or 'no status'}: {shortened(words)}", code)
    if reason is None:
        return Accepted(identity)
    return Refused(reason, RETRIES.get(reason, Retry.NEVER), None, code, shortened(words))


def _whole_outcome(answer: HttpAnswer) -> Outcome:
    code, words = fault(answer)
    if not answer.is_client_error:
        return Unknown(f"Infobip answered {answer.status}: {words}", code or str(answer.status))
    return answer.refusal(*REFUSALS.get(answer.status, (Reason.OTHER, Retry.NEVER)), code, words)


async def _log(account: Account, ids: Sequence[str], http: Http) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the rows of the message log by message id, and why some may be missing; an empty text if none is."""
    params = {"messageId": ",".join(ids), "limit": str(_LOG_ROWS), "useCursor": "true"}
    rows: dict[str, dict[str, Any]] = {}
    for _ in range(_LOG_PAGES):
        answer = await request(account, http, "GET", "/sms/3/logs", params=params)
        page = fields_of_success(answer)
        results = page.get("results")
        if not isinstance(results, list):
            return rows, f"Infobip's message log could not be read. {problem(answer, 'sms:logs:read')}"
        for row in results:
            identity = as_string(as_object(row).get("messageId"))
            if not identity:
                return rows, "Infobip's message log has a row that cannot be read."
            # A copy that was refused for its id has a row too; the message itself says more.
            if identity not in rows or as_text(as_object(rows[identity].get("status")).get("id")) == _DUPLICATE:
                rows[identity] = row
        cursor = as_text(as_object(page.get("cursor")).get("nextCursor"))
        if not cursor:
            return rows, ""
        params |= {"cursor": cursor}
    return rows, f"Infobip's message log goes on after {_LOG_PAGES} pages."


def _report(result: Any, message: str = "") -> DeliveryReport | SetAside:
    """Read a result of a report or a row of the log, which calls the recipient by another name."""
    item = as_object(result)
    identity, status, error = (
        as_string(item.get("messageId")),
        as_object(item.get("status")),
        as_object(item.get("error")),
    )
    if not identity:
        return SetAside("It names no messageId.", orjson.dumps(result).decode())
    cause = as_text(error.get("id"))
    # Reports of messages sent by v2 write "Ok".
    if cause == "0" or as_string(error.get("groupName")).lower() == "ok":
        cause, error = "", {}
    state, reason = _state(status, cause)
    return DeliveryReport(
        state=state,
        reason=reason,
        vendor_id=identity,
        message=message or identity,
        recipient=with_plus(as_string(item.get("to")) or as_string(item.get("destination"))),
        code=cause or as_text(status.get("id")),
        status=as_string(status.get("name")),
        detail=shortened(as_string(error.get("description")) or as_string(status.get("description"))),
        at=moment(item.get("doneAt"), None),
        raw={name: value for name, value in item.items() if name != "content"},
    )


def _state(status: Mapping[str, Any], error: str) -> tuple[State, Reason | None]:
    """Judge by the status' id, else its name, else its group; a listed error says why where the status does not."""
    name = name_of(as_text(status.get("id"))) or as_string(status.get("name")).lower()
    groups = (as_text(status.get("groupId")), as_string(status.get("groupName")).lower())
    found = REPORT_STATUSES.get(name) or next((GROUPS[group] for group in groups if group in GROUPS), None)
    state, reason = found or (State.UNKNOWN, Reason.OTHER)
    cause = REPORT_ERRORS.get(error)
    says_more = state is State.UNDELIVERED or (state is not State.UNKNOWN and reason is Reason.OTHER)
    if reason is not None and cause is not None and (says_more or cause is Reason.OPTED_OUT):
        return state, cause
    return state, reason


def _inbound(result: Any) -> InboundText | SetAside:
    item = as_object(result)
    identity, sender, recipient = (as_string(item.get(name)) for name in ("messageId", "from", "to"))
    text, parts = item.get("text"), item.get("message")
    if text is None and isinstance(parts, list):  # an MMS
        text = " ".join(filter(None, (as_string(as_object(part).get("value")) for part in parts)))
    if not (identity and sender and recipient and isinstance(text, str)):
        return SetAside("It lacks a messageId, from, to or text.", orjson.dumps(result).decode())
    return InboundText(
        vendor_id=identity,
        sender=with_plus(sender),
        recipient=with_plus(recipient),
        text=text,
        at=moment(item.get("receivedAt"), None),
        raw=item,
    )


vendor = Infobip()
