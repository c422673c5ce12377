"""Telesign SMS.

Reference: https://developer.telesign.com/enterprise/reference/sms for sending and asking,
https://developer.telesign.com/enterprise/docs/transaction-callback-service for reports,
https://developer.telesign.com/enterprise/docs/inbound-sms-get-started for replies and
https://developer.telesign.com/enterprise/docs/authenticate-callbacks for their signatures.

Telesign wants its own codes looked at and never the HTTP status: a message that failed is answered with 200.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Container, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from functions.vendors.contract import (
    Accepted,
    Account,
    Answer,
    Callback,
    Capabilities,
    Category,
    Check,
    DeliveryReport,
    Description,
    Http,
    InboundText,
    MalformedError,
    NotAuthenticError,
    Outcome,
    Parsed,
    Reason,
    Refused,
    Retry,
    SendCall,
    SenderRule,
    SenderType,
    SetAside,
    Setting,
    SettingError,
    SettingType,
    SetupStep,
    State,
    SupportText,
    Unknown,
    Vendor,
    Wiring,
    retry_after,
)
from functions.vendors.proofs import CALLBACK_SOURCES

BASE_URL = "https://rest-api.telesign.com"
FULL_SERVICE_HOST = "rest-ww.telesign.com"
_KEY = r"[0-9A-Za-z+/_-]{16,512}={0,2}"

DESCRIPTION = Description(
    name="telesign",
    title="Telesign",
    docs="https://developer.telesign.com/enterprise/reference/sms",
    settings=(
        Setting(
            name="customerId",
            required=True,
            pattern=r"[0-9A-Za-z-]{1,64}",
            help="Telesign portal (self-service) or TelePortal (full-service) > account settings > Customer ID.",
            example="FFFFFFFF-EEEE-DDDD-1234-AB1234567890",
        ),
        Setting(
            name="apiKey",
            required=True,
            secret=True,
            pattern=_KEY,
            help="Beside the Customer ID: API key. It sends, and it signs Telesign's callbacks.",
            example="ABC12345yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw==",
        ),
        Setting(
            name="apiKeySecondary",
            secret=True,
            secondary_of="apiKey",
            pattern=_KEY,
            help="The other API key while keys are rotated; callbacks signed with either are accepted.",
            example="ABC12345yusumoN6BYsBVkh+yRJ5czgsnCehZaOYldPJdmFh6NeX8kunZ2zU1YWaUw/0wV6xfw==",
        ),
        Setting(
            name="baseUrl",
            type=SettingType.URL,
            help="The API's address: https://rest-api.telesign.com (when left out) for self-service accounts, "
            "https://rest-ww.telesign.com for full-service ones. Telesign refuses the other one with 10035.",
            example="https://rest-ww.telesign.com",
        ),
        Setting(
            name="transactionsPerSecond",
            pattern=r"[1-9][0-9]{0,3}(\.[0-9]{1,2})?|0\.[0-9]?[1-9]",
            help="How many sends a second Telesign grants the account; it refuses the rest. When left out, 1, or 50 "
            "at https://rest-ww.telesign.com.",
            example="50",
        ),
        CALLBACK_SOURCES,
    ),
    # https://www.telesign.com/tfn-registration compares the North American ones.
    senders=(
        SenderRule(
            SenderType.TOLL_FREE, two_way=True, countries=("US", "CA"), note="Must be registered; limits marketing."
        ),
        SenderRule(SenderType.SHORT_CODE, two_way=True, note="Reaches its own country only."),
        SenderRule(
            SenderType.LONG_CODE,
            two_way=True,
            note="10DLC in the US: needs a registered brand and campaign, does not reach Canada, and its carriers may "
            "not report what arrived.",
        ),
        SenderRule(
            SenderType.ALPHANUMERIC,
            two_way=False,
            note="One-way; not in the US and Canada. Telesign must allow it first and may send under another.",
        ),
    ),
    capabilities=Capabilities(
        recipients_per_call=1,
        one_text_per_call=True,
        calls_at_once=20,
        replay_window=timedelta(0),
        # There is no list and no search: only the report of a message can tell that it was taken.
        lookup=False,
        status_query=True,
        max_text_length=1600,
        validity=None,
        reports=True,
        inbound=True,
        correlation="Our message id as external_id",
        callback_authentication="Authorization or X-TS-Authorization: HMAC-SHA256 with the API key over the body",
    ),
)

# https://developer.telesign.com/enterprise/docs/all-status-and-error-codes
REPORT_CODES: Mapping[str, tuple[State, Reason | None]] = {
    "200": (State.DELIVERED, None),
    "201": (State.DELIVERED, None),
    "203": (State.SENT, None),
    "207": (State.UNDELIVERED, Reason.OTHER),
    "210": (State.UNDELIVERED, Reason.UNREACHABLE),
    "211": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "220": (State.UNDELIVERED, Reason.UNROUTABLE),
    "221": (State.EXPIRED, Reason.EXPIRED),
    "222": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "229": (State.REJECTED, Reason.FILTERED),
    "230": (State.REJECTED, Reason.FILTERED),
    "231": (State.REJECTED, Reason.INVALID_CONTENT),
    "233": (State.REJECTED, Reason.FILTERED),
    "237": (State.REJECTED, Reason.UNROUTABLE),
    "238": (State.REJECTED, Reason.UNROUTABLE),
    "250": (State.UNKNOWN, Reason.NO_REPORT),
    "251": (State.UNKNOWN, Reason.NO_REPORT),
    "290": (State.QUEUED, None),
    "292": (State.QUEUED, None),
    "293": (State.QUEUED, None),
    "295": (State.QUEUED, None),
    "500": (State.FAILED, Reason.OTHER),
    "501": (State.FAILED, Reason.ACCOUNT),
    "502": (State.FAILED, Reason.INVALID_SENDER),
    "503": (State.FAILED, Reason.TEMPORARY),
    "504": (State.FAILED, Reason.CARRIER_BLOCKED),
    "505": (State.FAILED, Reason.TEMPORARY),
    "506": (State.FAILED, Reason.OTHER),
    "507": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "508": (State.FAILED, Reason.INVALID_SENDER),
    "509": (State.FAILED, Reason.CONFIGURATION),
    "510": (State.REJECTED, Reason.OPTED_OUT),
    "511": (State.UNDELIVERED, Reason.UNREACHABLE),
    "512": (State.UNDELIVERED, Reason.UNREACHABLE),
    "513": (State.UNDELIVERED, Reason.UNROUTABLE),
    "514": (State.UNDELIVERED, Reason.UNREACHABLE),
    "515": (State.REJECTED, Reason.FILTERED),
    "516": (State.FAILED, Reason.INVALID_RECIPIENT),
    "517": (State.REJECTED, Reason.SENDER_UNREGISTERED),
    "518": (State.REJECTED, Reason.FILTERED),
    "519": (State.REJECTED, Reason.FILTERED),
    "520": (State.REJECTED, Reason.INVALID_CONTENT),
    "521": (State.REJECTED, Reason.INVALID_SENDER),
    "599": (State.UNKNOWN, Reason.NO_REPORT),
    # In a report these two are blocks; the answer to a request means a wrong host by the first.
    "10031": (State.REJECTED, Reason.FILTERED),
    "10032": (State.REJECTED, Reason.FILTERED),
    "-40024": (State.REJECTED, Reason.FILTERED),
    "-40025": (State.REJECTED, Reason.FILTERED),
}
# The negative ones are those of Telesign's older services, which answer in the same shape.
REFUSAL_CODES: Mapping[str, tuple[Reason, Retry]] = {
    **dict.fromkeys(("10002", "-30012"), (Reason.TEMPORARY, Retry.LATER)),
    **dict.fromkeys(("10019", "-40007"), (Reason.THROTTLED, Retry.LATER)),
    **dict.fromkeys(("10020", "-30003", "-40008"), (Reason.QUOTA, Retry.NEVER)),
    **dict.fromkeys(("10003", "10005", "10006", "10007", "10008", "10009"), (Reason.CREDENTIALS, Retry.NEVER)),
    **dict.fromkeys(("10013", "10015", "10022", "10028"), (Reason.CREDENTIALS, Retry.NEVER)),
    **dict.fromkeys(("-30000", "-30004", "-30005", "-30006", "-30007"), (Reason.CREDENTIALS, Retry.NEVER)),
    **dict.fromkeys(("-30008", "-30009", "-30011", "-30015"), (Reason.CREDENTIALS, Retry.NEVER)),
    **dict.fromkeys(("10010", "10011", "10030", "10033"), (Reason.ACCOUNT, Retry.NEVER)),
    **dict.fromkeys(("-10030", "-20002", "-20003", "-30001", "-30002", "-40002"), (Reason.ACCOUNT, Retry.NEVER)),
    **dict.fromkeys(("10004", "10014", "10017", "10031", "10035", "10036"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("11003", "11004", "11010", "11011", "11016"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("11017", "11027", "12017"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("-10001", "-10002", "-10003", "-10004", "-10009"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("-20001", "-30010", "-40004", "-40005", "-40006"), (Reason.CONFIGURATION, Retry.NEVER)),
    **dict.fromkeys(("11000", "11001", "12000", "-40009"), (Reason.INVALID_RECIPIENT, Retry.NEVER)),
    **dict.fromkeys(("11009", "12009"), (Reason.INVALID_CONTENT, Retry.NEVER)),
    **dict.fromkeys(("11034", "11035"), (Reason.SENDER_UNREGISTERED, Retry.NEVER)),
    **dict.fromkeys(("10032", "-40024", "-40025"), (Reason.FILTERED, Retry.NEVER)),
    "11013": (Reason.INVALID_SENDER, Retry.OTHER_SENDER),
    "-20004": (Reason.UNROUTABLE, Retry.NEVER),
}
REFUSAL_STATUSES: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    402: (Reason.ACCOUNT, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}
AMBIGUOUS_CODES = frozenset({"10000", "-40001", "-90001"})
"""System or status unavailable: whether the message went out before that, nobody can tell."""
_REQUEST_CODES = frozenset({*REFUSAL_CODES, *AMBIGUOUS_CODES})
NOT_FOUND_CODES = frozenset({"10017", "10036", "11011"})
"""What an account with good credentials is told when it asks for a message that does not exist."""
INBOUND_CODE = "1500"

_NOBODYS_MESSAGE = "0" * 32
_SHORTEST_NUMBER = 8
_DETAIL_LENGTH = 300
_OK = 200
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
# Exactly 200: Telesign takes any other status, 204 too, for a failure and calls again.
_TAKEN = Answer(_OK, "application/json", "{}")


class Telesign(Vendor):
    """Telesign SMS."""

    description = DESCRIPTION
    answers = {"report": _TAKEN, "inbound": _TAKEN}  # noqa: RUF012 - read-only, like the contract's own

    def check_settings(self, settings: Mapping[str, str]) -> Sequence[SettingError]:
        """Check that the API keys are base64, because callbacks are signed with what they stand for."""
        return [
            SettingError(name, "Copy it whole: it is base64, and what is there cannot be decoded.")
            for name in ("apiKey", "apiKeySecondary")
            if settings.get(name) and not _key(settings[name])
        ]

    def calls_per_second(self, settings: Mapping[str, str]) -> float:
        """Return the account's rate, beyond which Telesign refuses and does not queue.

        Source: https://support.telesign.com/s/article/do-you-have-any-rate-limits.
        """
        host = urlsplit(settings.get("baseUrl", BASE_URL)).hostname
        return float(settings.get("transactionsPerSecond") or (50 if host == FULL_SERVICE_HOST else 1))

    def verify(self, callback: Callback, account: Account) -> None:
        """Check the signature over the raw body, in whichever header it arrived.

        It covers nothing else and never ages; a callback that is repeated tells what is known already.
        """
        given = [callback.headers.get(name, "") for name in ("authorization", "x-ts-authorization")]
        if not any(given):
            raise NotAuthenticError("The Authorization and X-TS-Authorization headers are missing.")
        key = _key(account.settings["apiKey"])
        if not key:
            raise NotAuthenticError("The API key of this provider is not base64.")
        signature = base64.b64encode(hmac.new(key, callback.body, hashlib.sha256).digest())
        if not any(_proves(header, signature, account.settings["customerId"]) for header in given):
            raise NotAuthenticError("Neither Authorization nor X-TS-Authorization holds the signature of the body.")

    def parse(self, callback: Callback) -> Parsed:
        """Read a delivery report or a reply; what it is stands in the body, as one address may get both."""
        try:
            body = orjson.loads(callback.body)
        except ValueError as error:
            raise MalformedError("The body is not JSON.") from error
        if not isinstance(body, dict):
            raise MalformedError("The JSON body is not an object.")
        if (
            body.get("sub_resource") == "mo_sms"
            or isinstance(body.get("user_response"), dict)
            or _code(_status(body)) == INBOUND_CODE
        ):
            text = _inbound(body)
            raw = callback.body.decode(errors="replace")
            return Parsed(inbound=(text,)) if text else Parsed(set_aside=(SetAside(_INCOMPLETE, raw),))
        if not isinstance(body.get("status"), dict):
            raise MalformedError("status is missing.")
        return Parsed(reports=(_report(body, str(body.get("external_id") or "")),))

    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        """Post one message."""
        (message,) = call.messages
        form = {
            "phone_number": message.to.removeprefix("+"),
            "message": message.text,
            "message_type": "MKT" if call.category is Category.MARKETING else "ARN",
            "sender_id": call.sender.address.removeprefix("+"),
            "external_id": message.id,
        }
        if call.report_url:
            form["callback_url"] = call.report_url
        return {message.id: _outcome(await _request(account, http, "POST", "/v1/messaging", form))}

    async def check(self, account: Account, http: Http) -> Check:
        """Ask for a message that does not exist; good credentials are told so, bad ones are refused."""
        answer = await _request(account, http, "GET", f"/v1/messaging/{_NOBODYS_MESSAGE}")
        if not isinstance(answer, _Answer):
            return Check(ok=False, detail=answer.why if isinstance(answer, Unknown) else answer.detail)
        code, words = _verdict(answer.body, NOT_FOUND_CODES)
        if code in NOT_FOUND_CODES:
            return Check(ok=True, detail="Telesign accepts the credentials.")
        return Check(ok=False, detail=f"Telesign answered {code or answer.status}: {words}")

    async def report_of(self, account: Account, message: str, vendor_id: str, http: Http) -> DeliveryReport | None:
        """Read the message's own record, which Telesign keeps for 12 hours.

        Source: https://enterprise.telesign.com/api-reference/apis/sms-api/overview.
        """
        answer = await _request(account, http, "GET", f"/v1/messaging/{quote(vendor_id, safe='')}")
        if not isinstance(answer, _Answer) or answer.status != _OK or answer.body.get("reference_id") != vendor_id:
            return None
        report = _report(answer.body, message)
        about_the_request = report.code in _REQUEST_CODES and report.code not in REPORT_CODES
        return report if report.code and not about_the_request else None

    def set_up(self, wiring: Wiring) -> tuple[SetupStep, ...]:
        """Describe how status callbacks are switched on, where the reply address goes and who allows senders."""
        return (
            SetupStep(
                "Switch status callbacks on",
                "Self-service: portal.telesign.com > SMS settings > Status Callback: Enabled. Full-service: ask "
                "Telesign to enable them. The gateway names this address with every message it sends.",
                wiring.urls.report,
            ),
            SetupStep(
                "Have the address for replies registered",
                "Replies need a number bought from Telesign. Self-service: switch SMS 2-Way Inbound Enabled on for it. "
                "Then have Telesign's support register this address for inbound SMS.",
                wiring.urls.inbound,
            ),
            SetupStep(
                "Have the senders allowed, and leave opt-outs to the gateway",
                "Telesign sends only from sender ids that it has allowed and may replace others silently. It reports "
                "STOP and acts on it only if asked to; the gateway blocks the number anyway.",
            ),
        )

    def support(self, wiring: Wiring) -> tuple[SupportText, ...]:
        """Return the text that asks Telesign's support for callbacks, replies and senders."""
        facts = {
            "customer": wiring.settings.get("customerId", "?"),
            "senders": ", ".join(sender.address for sender in wiring.senders) or "?",
            "report": wiring.urls.report,
            "inbound": wiring.urls.inbound,
        }
        return tuple(
            SupportText(lang, subject.format(**facts), text.format(**facts)) for lang, subject, text in _SUPPORT
        )


_SUPPORT = (
    (
        "en",
        "SMS API for Customer ID {customer}: status callbacks, inbound SMS and sender ids",
        """Hello,

please set up the SMS API (POST /v1/messaging) for Customer ID {customer}, sender ids {senders}:

1. Enable status callbacks and the parameter callback_url, which names this address with every message:
   {report}
2. Register this address for inbound SMS (2-way) to the numbers above:
   {inbound}
3. Allow the sender ids above for ARN and MKT traffic.

Both addresses take POST with application/json over HTTPS on port 443 and answer 200. They check the signature in
Authorization and X-TS-Authorization (HMAC-SHA256 with our API key); there is no user name or password to enter.
Please tell us how many transactions per second the account has.
""",
    ),
    (
        "de",
        "SMS API für Customer ID {customer}: Status-Callbacks, eingehende SMS und Absender",
        """Guten Tag,

bitte richten Sie die SMS API (POST /v1/messaging) für Customer ID {customer}, Absender {senders}, ein:

1. Status-Callbacks und den Parameter callback_url freischalten, der mit jeder Nachricht diese Adresse nennt:
   {report}
2. Diese Adresse für eingehende SMS (2-Way) an die genannten Nummern eintragen:
   {inbound}
3. Die genannten Absender für ARN und MKT freigeben.

Beide Adressen nehmen POST mit application/json über HTTPS auf Port 443 an und antworten mit 200. Sie prüfen die
Signatur in Authorization und X-TS-Authorization (HMAC-SHA256 mit unserem API-Schlüssel); Benutzername oder Passwort
sind nicht einzutragen. Bitte teilen Sie uns mit, wie viele Transaktionen pro Sekunde das Konto hat.
""",
    ),
)


class _Answer:
    """An HTTP answer of Telesign's with its JSON body, or an empty one where it was not a JSON object."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        try:
            body = orjson.loads(text)
        except ValueError:
            body = None
        self.body: dict[str, Any] = body if isinstance(body, dict) else {}


async def _request(
    account: Account, http: Http, method: str, resource: str, form: dict[str, str] | None = None
) -> _Answer | Refused | Unknown:
    import aiohttp  # noqa: PLC0415 - slow to import

    credentials = f"{account.settings['customerId']}:{account.settings['apiKey']}"
    headers = {
        "Authorization": f"Basic {base64.b64encode(credentials.encode()).decode()}",
        "Accept": "application/json",
    }
    url = account.settings.get("baseUrl", BASE_URL).rstrip("/") + resource
    try:
        async with http.session.request(method, url, data=form, headers=headers, allow_redirects=False) as response:
            return _Answer(response.status, await response.text(errors="replace"), response.headers)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        return Refused(Reason.TEMPORARY, Retry.LATER, detail=f"No connection: {type(error).__name__}.")
    except TimeoutError:
        return Unknown(f"No answer within {http.timeout:g} s.")
    except (aiohttp.ClientError, OSError) as error:
        return Unknown(f"The connection was lost: {type(error).__name__}.")


def _outcome(answer: _Answer | Refused | Unknown) -> Outcome:
    if not isinstance(answer, _Answer):
        return answer
    code, words = _verdict(answer.body, _REQUEST_CODES)
    refusal = _refusal(code, answer.status)
    if refusal is not None:
        reason, retry = refusal
        after = retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)) if retry is Retry.LATER else None
        return Refused(reason, retry, after, code or str(answer.status), words)
    reference = str(answer.body.get("reference_id") or "")
    if code in REPORT_CODES and reference:
        # One that failed at once has a record like any other: its report or its own state tells of it.
        return Accepted(reference)
    return Unknown(f"Telesign answered {answer.status}: {words}", code or str(answer.status))


def _refusal(code: str, status: int) -> tuple[Reason, Retry] | None:
    """Return why nothing was sent and what may be tried, or ``None`` where that is not certain."""
    if code in REFUSAL_CODES:
        return REFUSAL_CODES[code]
    if code in AMBIGUOUS_CODES or not _CLIENT_ERROR <= status < _SERVER_ERROR:
        return None
    if code in REPORT_CODES:
        _, failure = REPORT_CODES[code]
        return (failure, Retry.NEVER) if failure else None
    return REFUSAL_STATUSES.get(status, (Reason.OTHER, Retry.NEVER))


def _verdict(body: Mapping[str, Any], table: Container[str]) -> tuple[str, str]:
    """Return the code that decides, and its words: the status, unless one of the errors says it more precisely.

    Older services answer with a status of 500 or 501 and name the fault in ``errors``; it is a list, or ``{}`` for
    none.
    """
    errors = body.get("errors")
    found = errors if isinstance(errors, list) else []
    said = next((item for item in found if isinstance(item, dict) and _code(item) in table), _status(body))
    return _code(said), str(said.get("description") or "")[:_DETAIL_LENGTH]


def _status(body: Mapping[str, Any]) -> Mapping[str, Any]:
    status = body.get("status")
    return status if isinstance(status, dict) else {}


def _code(said: Mapping[str, Any]) -> str:
    code = said.get("code")
    return str(code).strip() if isinstance(code, int | str) else ""


def _report(body: Mapping[str, Any], message: str) -> DeliveryReport:
    code, words = _verdict(body, REPORT_CODES)
    status = _status(body)
    state, reason = REPORT_CODES.get(code, (State.UNKNOWN, Reason.OTHER))
    said = str(status.get("description") or "")[:_DETAIL_LENGTH]
    return DeliveryReport(
        state=state,
        reason=reason,
        vendor_id=str(body.get("reference_id") or ""),
        message=message,
        # No recipient: where a report has one, Telesign has changed it ("cleansed_phone_number").
        code=code,
        status=said,
        detail=words if words != said else "",
        at=_time(status.get("updated_on")),
        raw=body,
    )


_INCOMPLETE = "It names no reference id, no sender or no recipient."


def _inbound(body: Mapping[str, Any]) -> InboundText | None:
    answered = body.get("user_response")
    # A field of Telesign's reports is called "sender_id ", with a space.
    fields = {name.strip(): value for name, value in answered.items()} if isinstance(answered, dict) else {}
    vendor_id = str(body.get("reference_id") or "")
    sender, recipient = _number(fields.get("phone_number")), _number(fields.get("sender_id"))
    if not (vendor_id and sender and recipient):
        return None
    # https://developer.telesign.com/enterprise/docs/inbound-sms-action-to-keyword-mapping
    action = str(fields.get("action") or "").lower()
    return InboundText(
        vendor_id=vendor_id,
        sender=sender,
        recipient=recipient,
        text=str(fields.get("mo_message") or ""),
        at=_time(body.get("submit_timestamp")) or _time(_status(body).get("updated_on")),
        consent=action if action in {"stop", "start", "help"} else "",
        raw=body,
    )


def _number(value: Any) -> str:
    """Return a number with its plus, which Telesign leaves out; short codes have none."""
    number = str(value or "").strip()
    return f"+{number}" if number.isascii() and number.isdecimal() and len(number) >= _SHORTEST_NUMBER else number


def _time(value: Any) -> datetime | None:
    """Read a timestamp; Telesign's own examples have impossible dates."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _key(api_key: str) -> bytes:
    """Decode an API key as Telesign's SDK does, which passes over signs that are not base64; empty if it cannot be.

    Source: https://github.com/TeleSign/python_telesign (``telesign/rest.py`` and ``telesign/util.py``).
    """
    try:
        return base64.b64decode(api_key)
    except (binascii.Error, ValueError):
        return b""


def _proves(header: str, signature: bytes, customer: str) -> bool:
    """Tell whether a header holds the signature: ``TSA CustomerID:signature`` or the signature alone."""
    scheme, _, rest = header.rpartition(" ")
    named, _, given = rest.rpartition(":")
    # Servers turn bytes that are no UTF-8 into lone surrogates.
    matches = hmac.compare_digest(given.encode("utf-8", "surrogatepass"), signature)
    return matches and scheme.strip().upper() in {"", "TSA"} and named.casefold() in {"", customer.casefold()}


vendor = Telesign()
