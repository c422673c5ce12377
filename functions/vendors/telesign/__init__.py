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
from datetime import UTC, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

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
)
from functions.vendors.exchange import HttpAnswer, basic, exchange, fields_of_success, shortened, why
from functions.vendors.proofs import CALLBACK_SOURCES
from functions.vendors.reading import moment, object_of, with_plus
from functions.vendors.telesign.codes import (
    AMBIGUOUS_CODES,
    INBOUND_CODE,
    NOT_FOUND_CODES,
    REFUSAL_CODES,
    REFUSAL_STATUSES,
    REPORT_CODES,
    REQUEST_CODES,
)
from functions.vendors.telesign.support import SUPPORT

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
            pattern=r".{1,20}",
            note="One-way; Telesign takes 20 characters, best digits and capital letters, the gateway 11; not in "
            "the US and Canada. Telesign must allow it first and may send under another.",
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

_NOBODYS_MESSAGE = "0" * 32
# Exactly 200: Telesign takes any other status, 204 too, for a failure and calls again.
_TAKEN = Answer(200, "application/json", "{}")


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
        body = object_of(callback.body)
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
        if not isinstance(answer, HttpAnswer):
            return Check(ok=False, detail=why(answer))
        code, words = _verdict(answer.fields, NOT_FOUND_CODES)
        if code in NOT_FOUND_CODES:
            return Check(ok=True, detail="Telesign accepts the credentials.")
        return Check(ok=False, detail=f"Telesign answered {code or answer.status}: {words}")

    async def report_of(self, account: Account, message: str, vendor_id: str, http: Http) -> DeliveryReport | None:
        """Read the message's own record, which Telesign keeps for 12 hours.

        Source: https://enterprise.telesign.com/api-reference/apis/sms-api/overview.
        """
        answer = await _request(account, http, "GET", f"/v1/messaging/{quote(vendor_id, safe='')}")
        record = fields_of_success(answer)
        if record.get("reference_id") != vendor_id:
            return None
        report = _report(record, message)
        about_the_request = report.code in REQUEST_CODES and report.code not in REPORT_CODES
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
            SupportText(lang, subject.format(**facts), text.format(**facts)) for lang, subject, text in SUPPORT
        )


async def _request(
    account: Account, http: Http, method: str, resource: str, form: Mapping[str, str] | None = None
) -> HttpAnswer | Refused | Unknown:
    settings = account.settings
    headers = {"Authorization": basic(settings["customerId"], settings["apiKey"]), "Accept": "application/json"}
    url = settings.get("baseUrl", BASE_URL).rstrip("/") + resource
    return await exchange(http, method, url, headers=headers, form=form)


def _outcome(answer: HttpAnswer | Refused | Unknown) -> Outcome:
    if not isinstance(answer, HttpAnswer):
        return answer
    code, words = _verdict(answer.fields, REQUEST_CODES)
    refusal = _refusal(code, answer)
    if refusal is not None:
        return answer.refusal(*refusal, code, words)
    reference = str(answer.fields.get("reference_id") or "")
    if code in REPORT_CODES and reference:
        # One that failed at once has a record like any other: its report or its own state tells of it.
        return Accepted(reference)
    return Unknown(f"Telesign answered {answer.status}: {words}", code or str(answer.status))


def _refusal(code: str, answer: HttpAnswer) -> tuple[Reason, Retry] | None:
    """Return why nothing was sent and what may be tried, or ``None`` where that is not certain."""
    if code in REFUSAL_CODES:
        return REFUSAL_CODES[code]
    if code in AMBIGUOUS_CODES or not answer.is_client_error:
        return None
    if code in REPORT_CODES:
        _, failure = REPORT_CODES[code]
        return (failure, Retry.NEVER) if failure else None
    return REFUSAL_STATUSES.get(answer.status, (Reason.OTHER, Retry.NEVER))


def _verdict(body: Mapping[str, Any], table: Container[str]) -> tuple[str, str]:
    """Return the code that decides, and its words: the status, unless one of the errors says it more precisely.

    Older services answer with a status of 500 or 501 and name the fault in ``errors``; it is a list, or ``{}`` for
    none.
    """
    errors = body.get("errors")
    found = errors if isinstance(errors, list) else []
    said = next((item for item in found if isinstance(item, dict) and _code(item) in table), _status(body))
    return _code(said), shortened(str(said.get("description") or ""))


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
    said = shortened(str(status.get("description") or ""))
    return DeliveryReport(
        state=state,
        reason=reason,
        vendor_id=str(body.get("reference_id") or ""),
        message=message,
        # No recipient: where a report has one, Telesign has changed it ("cleansed_phone_number").
        code=code,
        status=said,
        detail=words if words != said else "",
        at=moment(status.get("updated_on"), UTC),
        raw=body,
    )


_INCOMPLETE = "It names no reference id, no sender or no recipient."


def _inbound(body: Mapping[str, Any]) -> InboundText | None:
    answered = body.get("user_response")
    # A field of Telesign's reports is called "sender_id ", with a space.
    fields = {name.strip(): value for name, value in answered.items()} if isinstance(answered, dict) else {}
    vendor_id = str(body.get("reference_id") or "")
    sender, recipient = (with_plus(str(fields.get(name) or "").strip()) for name in ("phone_number", "sender_id"))
    if not (vendor_id and sender and recipient):
        return None
    # https://developer.telesign.com/enterprise/docs/inbound-sms-action-to-keyword-mapping
    action = str(fields.get("action") or "").lower()
    return InboundText(
        vendor_id=vendor_id,
        sender=sender,
        recipient=recipient,
        text=str(fields.get("mo_message") or ""),
        at=moment(body.get("submit_timestamp"), UTC) or moment(_status(body).get("updated_on"), UTC),
        consent=action if action in {"stop", "start", "help"} else "",
        raw=body,
    )


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
