"""Twilio Programmable Messaging.

Reference: https://www.twilio.com/docs/messaging/api/message-resource for sending,
https://www.twilio.com/docs/messaging/guides/outbound-message-status-in-status-callbacks for reports,
https://www.twilio.com/docs/messaging/guides/webhook-request for replies and
https://www.twilio.com/docs/usage/webhooks/webhooks-security for their signatures.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from functions.vendors.contract import (
    Accepted,
    Account,
    Answer,
    Callback,
    Capabilities,
    Check,
    DeliveryReport,
    Description,
    Http,
    InboundText,
    MalformedError,
    NotAuthenticError,
    Outcome,
    Outgoing,
    Parsed,
    Reason,
    Refused,
    Retry,
    SendCall,
    SenderRule,
    SenderType,
    Setting,
    SettingType,
    SetupStep,
    State,
    Unknown,
    Vendor,
    Wiring,
)
from functions.vendors.exchange import HttpAnswer, basic, exchange, fields_of_success, shortened, why
from functions.vendors.reading import object_of

DESCRIPTION = Description(
    name="twilio",
    title="Twilio",
    docs="https://www.twilio.com/docs/messaging/api/message-resource",
    settings=(
        Setting(
            name="accountSid",
            required=True,
            pattern=r"AC[0-9a-f]{32}",
            help="Twilio Console > Account info > Account SID.",
            example="AC0123456789abcdef0123456789abcdef",
        ),
        Setting(
            name="authToken",
            required=True,
            secret=True,
            pattern=r"[0-9A-Za-z]{32}",
            help="Twilio Console > Account info > Auth token. It sends, and it signs Twilio's callbacks.",
            example="0123456789abcdef0123456789abcdef",
        ),
        Setting(
            name="authTokenSecondary",
            secret=True,
            secondary_of="authToken",
            pattern=r"[0-9A-Za-z]{32}",
            help="The secondary auth token while it is being promoted; callbacks signed with either are accepted.",
            example="fedcba9876543210fedcba9876543210",
        ),
        Setting(
            name="messagingServiceSid",
            pattern=r"MG[0-9a-f]{32}",
            help="A Messaging Service that the senders belong to; leave it out to send straight from the number.",
            example="MG0123456789abcdef0123456789abcdef",
        ),
        Setting(
            name="baseUrl",
            type=SettingType.URL,
            help="The API's address when the account is in a region, such as https://api.dublin.ie1.twilio.com.",
            example="https://api.twilio.com",
        ),
    ),
    senders=(
        SenderRule(
            SenderType.TOLL_FREE, two_way=True, countries=("US", "CA"), per_minute=180, note="Must be verified first."
        ),
        SenderRule(SenderType.SHORT_CODE, two_way=True, per_minute=6000, note="Twilio does not act on STOP for it."),
        SenderRule(
            SenderType.LONG_CODE,
            two_way=True,
            per_minute=60,
            note="10DLC in the US: needs a registered brand and campaign.",
        ),
        SenderRule(
            SenderType.ALPHANUMERIC,
            two_way=False,
            per_minute=600,
            # https://www.twilio.com/docs/messaging/api/destination-alphasender-resource
            pattern=r"(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}",
            note="One-way; at most 11 letters, digits, spaces and + - _ & with a letter among them, of which the "
            "gateway takes no signs; not in the US and Canada; some countries want it registered.",
        ),
    ),
    capabilities=Capabilities(
        recipients_per_call=1,
        one_text_per_call=True,
        calls_at_once=20,
        replay_window=timedelta(0),
        lookup=True,
        status_query=True,
        max_text_length=1600,
        validity=(1, 36_000),
        reports=True,
        inbound=True,
        correlation="Our message id in the query of the status callback",
        callback_authentication="X-Twilio-Signature: HMAC-SHA1 with the auth token over address and form",
    ),
)

REPORT_STATUSES: Mapping[str, State] = {
    "accepted": State.QUEUED,
    "scheduled": State.QUEUED,
    "queued": State.QUEUED,
    "sending": State.QUEUED,
    "sent": State.SENT,
    "partially_delivered": State.SENT,
    "delivered": State.DELIVERED,
    "read": State.DELIVERED,
    "undelivered": State.UNDELIVERED,
    "failed": State.FAILED,
    "canceled": State.FAILED,
}
INBOUND_STATUSES = frozenset({"receiving", "received"})

# https://www.twilio.com/docs/api/errors
REPORT_CODES: Mapping[str, tuple[State, Reason]] = {
    "21610": (State.REJECTED, Reason.OPTED_OUT),
    "30001": (State.FAILED, Reason.THROTTLED),
    "30002": (State.FAILED, Reason.ACCOUNT),
    "30003": (State.UNDELIVERED, Reason.UNREACHABLE),
    "30004": (State.REJECTED, Reason.CARRIER_BLOCKED),
    "30005": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "30006": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "30007": (State.REJECTED, Reason.FILTERED),
    "30008": (State.UNDELIVERED, Reason.OTHER),
    "30010": (State.REJECTED, Reason.ACCOUNT),
    "30017": (State.FAILED, Reason.THROTTLED),
    "30018": (State.REJECTED, Reason.SENDER_UNREGISTERED),
    "30019": (State.FAILED, Reason.INVALID_CONTENT),
    "30020": (State.FAILED, Reason.TEMPORARY),
    "30022": (State.FAILED, Reason.THROTTLED),
    "30023": (State.FAILED, Reason.QUOTA),
    "30024": (State.REJECTED, Reason.SENDER_UNREGISTERED),
    "30027": (State.FAILED, Reason.QUOTA),
    "30032": (State.REJECTED, Reason.SENDER_UNREGISTERED),
    "30033": (State.REJECTED, Reason.SENDER_UNREGISTERED),
    "30034": (State.REJECTED, Reason.SENDER_UNREGISTERED),
    "30035": (State.REJECTED, Reason.SENDER_UNREGISTERED),
    "30036": (State.EXPIRED, Reason.EXPIRED),
    "30410": (State.FAILED, Reason.TEMPORARY),
    "30450": (State.REJECTED, Reason.FILTERED),
    "30610": (State.REJECTED, Reason.CARRIER_BLOCKED),
    "30640": (State.REJECTED, Reason.CARRIER_BLOCKED),
}
REFUSAL_CODES: Mapping[str, tuple[Reason, Retry]] = {
    "20003": (Reason.CREDENTIALS, Retry.NEVER),
    "20005": (Reason.ACCOUNT, Retry.NEVER),
    "20006": (Reason.ACCOUNT, Retry.NEVER),
    "20403": (Reason.ACCOUNT, Retry.NEVER),
    "20404": (Reason.CONFIGURATION, Retry.NEVER),
    "20429": (Reason.THROTTLED, Retry.LATER),
    "21211": (Reason.INVALID_RECIPIENT, Retry.NEVER),
    "21212": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "21408": (Reason.UNROUTABLE, Retry.NEVER),
    "21601": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "21602": (Reason.INVALID_CONTENT, Retry.NEVER),
    "21603": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "21604": (Reason.INVALID_RECIPIENT, Retry.NEVER),
    "21606": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "21608": (Reason.ACCOUNT, Retry.NEVER),
    "21609": (Reason.CONFIGURATION, Retry.NEVER),
    "21610": (Reason.OPTED_OUT, Retry.NEVER),
    "21611": (Reason.THROTTLED, Retry.LATER),
    "21612": (Reason.UNROUTABLE, Retry.OTHER_SENDER),
    "21614": (Reason.INVALID_RECIPIENT, Retry.NEVER),
    "21617": (Reason.INVALID_CONTENT, Retry.NEVER),
    "21618": (Reason.INVALID_CONTENT, Retry.NEVER),
    "21624": (Reason.CONFIGURATION, Retry.NEVER),
    "21659": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "21660": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "21661": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "21701": (Reason.CONFIGURATION, Retry.NEVER),
    "21702": (Reason.CONFIGURATION, Retry.NEVER),
    "21703": (Reason.CONFIGURATION, Retry.NEVER),
    "21704": (Reason.CONFIGURATION, Retry.NEVER),
    "21705": (Reason.CONFIGURATION, Retry.NEVER),
    "90007": (Reason.CONFIGURATION, Retry.NEVER),
}
REFUSAL_STATUSES: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}

BASE_URL = "https://api.twilio.com"
REPORT_RETRIES = "#rc=5&rp=5xx,ct,rt"
"""Twilio repeats a callback only on a failed connection unless the address asks for more in its fragment.

Source: https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides. The fragment is neither sent nor
signed.
"""
CLOCK_SKEW = timedelta(seconds=60)
_PAGE_SIZE = 100
_FORM = "application/x-www-form-urlencoded"


class Twilio(Vendor):
    """Twilio Programmable Messaging."""

    description = DESCRIPTION
    answers = {"inbound": Answer(200, "text/xml", '<?xml version="1.0" encoding="UTF-8"?><Response/>')}  # noqa: RUF012

    def verify(self, callback: Callback, account: Account) -> None:
        """Check the signature over the public address and the form, or the address and the body's hash."""
        given = callback.headers.get("x-twilio-signature", "")
        if not given:
            raise NotAuthenticError("The X-Twilio-Signature header is missing.")
        fields = ""
        if _is_form(callback):
            fields = "".join(f"{name}{value}" for name, value in sorted(set(_form(callback))))
        elif not hmac.compare_digest(
            _bytes(callback.query.get("bodySHA256", "").lower()), hashlib.sha256(callback.body).hexdigest().encode()
        ):
            raise NotAuthenticError("bodySHA256 in the query is missing or is not the hash of the body.")
        key = account.settings["authToken"].encode()
        addresses = _with_and_without_port(callback.url)
        if not any(hmac.compare_digest(_sign(key, address + fields), _bytes(given)) for address in addresses):
            raise NotAuthenticError("X-Twilio-Signature does not match. Is the public address what Twilio posts to?")
        try:
            sid = _fields(callback).get("AccountSid")
        except MalformedError:
            return  # it is authentic all the same; parse says what is wrong with it
        if sid is not None and sid != account.settings["accountSid"]:
            raise NotAuthenticError("AccountSid is another account's.")

    def parse(self, callback: Callback) -> Parsed:
        """Read a status callback or a reply."""
        fields = _fields(callback)
        vendor_id = str(fields.get("MessageSid") or fields.get("SmsSid") or "")
        if not vendor_id:
            raise MalformedError("MessageSid is missing.")
        if callback.kind == "inbound":
            return Parsed(
                inbound=(
                    InboundText(
                        vendor_id=vendor_id,
                        sender=str(fields.get("From") or ""),
                        recipient=str(fields.get("To") or ""),
                        text=str(fields.get("Body") or ""),
                        consent=str(fields.get("OptOutType") or "").lower(),
                        raw=fields,
                    ),
                )
            )
        status = str(fields.get("MessageStatus") or fields.get("SmsStatus") or "")
        if status in INBOUND_STATUSES:
            return Parsed()
        code = str(fields.get("ErrorCode") or "")
        state, reason = _state(status, code)
        return Parsed(
            reports=(
                DeliveryReport(
                    state=state,
                    reason=reason,
                    vendor_id=vendor_id,
                    message=callback.query.get("message", ""),
                    recipient=str(fields.get("To") or ""),
                    code=code,
                    status=status,
                    detail=shortened(str(fields.get("ErrorMessage") or "")),
                    raw=fields,
                ),
            )
        )

    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        """Post one message."""
        (message,) = call.messages
        form: dict[str, str] = {"To": message.to, "Body": message.text, "From": call.sender.address}
        if service := account.settings.get("messagingServiceSid"):
            form["MessagingServiceSid"] = service
        if call.validity is not None:
            form["ValidityPeriod"] = str(call.validity)
        if call.report_url:
            form["StatusCallback"] = f"{call.report_url}?message={message.id}{REPORT_RETRIES}"
        return {message.id: _outcome(await _request(account, http, "POST", "/Messages.json", form=form))}

    async def check(self, account: Account, http: Http) -> Check:
        """Read the account's own record."""
        answer = await _request(account, http, "GET", ".json")
        if not isinstance(answer, HttpAnswer):
            return Check(ok=False, detail=why(answer))
        if answer.status != HTTPStatus.OK:
            return Check(ok=False, detail=f"Twilio answered {answer.status}: {_message(answer.fields)}")
        state = str(answer.fields.get("status") or "")
        return Check(ok=state == "active", detail=f"The account is {state or 'of unknown state'}.")

    async def lookup(
        self, account: Account, call: SendCall, known: frozenset[str], http: Http
    ) -> Mapping[str, Outcome]:
        """Search the account's message list for the same recipient and text, made since the first attempt."""
        return {message.id: await _find(account, call, message, known, http) for message in call.messages}

    async def report_of(self, account: Account, message: str, vendor_id: str, http: Http) -> DeliveryReport | None:
        """Read the message's own record."""
        record = fields_of_success(await _request(account, http, "GET", f"/Messages/{vendor_id}.json"))
        status, code = str(record.get("status") or ""), str(record.get("error_code") or "")
        if record.get("sid") != vendor_id or not status:
            return None
        state, reason = _state(status, code)
        return DeliveryReport(
            state=state,
            reason=reason,
            vendor_id=vendor_id,
            message=message,
            recipient=str(record.get("to") or ""),
            code=code,
            status=status,
            detail=shortened(str(record.get("error_message") or "")),
            raw=record,
        )

    def set_up(self, wiring: Wiring) -> tuple[SetupStep, ...]:
        """Describe where the reply address goes; reports need no set-up, each message carries their address."""
        return (
            SetupStep(
                "Set the address for replies",
                "Twilio Console > Phone Numbers > Manage > Active numbers > the number > Messaging: under "
                '"A message comes in" choose Webhook, HTTP POST, and paste this address. For a Messaging Service: '
                'Integration > "Send a webhook".',
                wiring.urls.inbound,
            ),
            SetupStep(
                "Delivery reports need no set-up",
                "The gateway names this address with every message it sends.",
                wiring.urls.report,
            ),
        )


async def _request(
    account: Account,
    http: Http,
    method: str,
    resource: str,
    *,
    form: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
) -> HttpAnswer | Refused | Unknown:
    sid = account.settings["accountSid"]
    base = account.settings.get("baseUrl", BASE_URL).rstrip("/")
    url = f"{base}/2010-04-01/Accounts/{sid}{resource}"
    headers = {"Authorization": basic(sid, account.settings["authToken"]), "Accept": "application/json"}
    return await exchange(http, method, url, headers=headers, params=params, form=form)


def _outcome(answer: HttpAnswer | Refused | Unknown) -> Outcome:
    if not isinstance(answer, HttpAnswer):
        return answer
    body, status = answer.fields, answer.status
    code = str(body.get("code") or "")
    if answer.is_server_error:
        return Unknown(f"Twilio answered {status}: {_message(body)}", code or str(status))
    if not answer.is_client_error:
        sid = str(body.get("sid") or "")
        created = status == HTTPStatus.CREATED and sid
        return Accepted(sid) if created else Unknown(f"Twilio answered {status} without a sid.")
    reason, retry = REFUSAL_CODES.get(code) or REFUSAL_STATUSES.get(status) or (Reason.OTHER, Retry.NEVER)
    return answer.refusal(reason, retry, code, _message(body))


def _message(body: Mapping[str, Any]) -> str:
    """Return the error's words; Twilio has two shapes of error bodies."""
    return shortened(str(body.get("message") or body.get("detail") or body.get("title") or ""))


async def _find(account: Account, call: SendCall, message: Outgoing, known: frozenset[str], http: Http) -> Outcome:
    answer = await _request(
        account, http, "GET", "/Messages.json", params={"To": message.to, "PageSize": str(_PAGE_SIZE)}
    )
    page = fields_of_success(answer).get("messages")
    if not isinstance(page, list):
        return Unknown("Twilio's message list could not be read.")
    since = call.first_attempt - CLOCK_SKEW
    reaches_back = len(page) < _PAGE_SIZE
    doubtful = False
    for item in page:
        if not isinstance(item, dict):
            return Unknown("Twilio's message list could not be read.")
        made = _time(item.get("date_created"))
        if made is not None and made < since:
            reaches_back = True
            continue
        sid = str(item.get("sid") or "")
        if sid in known or "outbound" not in str(item.get("direction")):
            continue
        if sid and item.get("body") == message.text:
            return Accepted(sid)
        # Trial accounts, redaction and Smart Encoding change the body, so another text of ours may be this one.
        doubtful = doubtful or item.get("from") in (call.sender.address, None)
    if not reaches_back:
        return Unknown(f"More than {_PAGE_SIZE} messages went to this recipient since.")
    if doubtful:
        return Unknown("Twilio's list has another text from this sender, which may be this one, rewritten.")
    return Refused(Reason.TEMPORARY, Retry.LATER, detail="Twilio's message list does not have it.")


def _state(status: str, code: str) -> tuple[State, Reason | None]:
    state = REPORT_STATUSES.get(status, State.UNKNOWN)
    if state in {State.UNDELIVERED, State.FAILED} and code in REPORT_CODES:
        return REPORT_CODES[code]
    if status == "canceled":
        return State.FAILED, Reason.CANCELED
    return state, Reason.OTHER if state in {State.UNDELIVERED, State.FAILED, State.UNKNOWN} else None


def _bytes(text: str) -> bytes:
    """Encode what came in a request line or a header: servers turn bytes that are no UTF-8 into lone surrogates."""
    return text.encode("utf-8", "surrogatepass")


def _sign(key: bytes, text: str) -> bytes:
    return base64.b64encode(hmac.new(key, _bytes(text), hashlib.sha1).digest())


def _with_and_without_port(url: str) -> tuple[str, str]:
    """Return the address as it is, and without its port or with its scheme's own: Twilio signs either.

    Source: https://www.twilio.com/docs/usage/webhooks/webhooks-security and the SDK's ``RequestValidator``.
    """
    scheme, _, rest = url.partition("://")
    host, _, path = rest.partition("/")
    name, _, port = host.rpartition(":")
    other = name if name and port.isdecimal() else host + {"https": ":443", "http": ":80"}.get(scheme, "")
    return url, f"{scheme}://{other}/{path}"


def _is_form(callback: Callback) -> bool:
    return callback.headers.get("content-type", _FORM).partition(";")[0].strip().lower() == _FORM


def _form(callback: Callback) -> list[tuple[str, str]]:
    return parse_qsl(callback.body.decode("utf-8", "replace"), keep_blank_values=True)


def _fields(callback: Callback) -> dict[str, Any]:
    if _is_form(callback):
        return dict(_form(callback))
    return object_of(callback.body)


def _time(value: Any) -> datetime | None:
    try:
        moment = parsedate_to_datetime(str(value))
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


vendor = Twilio()
