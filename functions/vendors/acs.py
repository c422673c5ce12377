"""Azure Communication Services SMS.

Reference: https://learn.microsoft.com/rest/api/communication/sms/send and, for the events,
https://learn.microsoft.com/azure/event-grid/communication-services-telephony-sms-events. Retires on 30 September 2028:
https://aka.ms/acs-retirement-and-breaking-changes-guide.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from functions.vendors.contract import (
    Accepted,
    Account,
    Capabilities,
    Check,
    DeliveryReport,
    Description,
    Event,
    Http,
    InboundText,
    MalformedError,
    Outcome,
    Parsed,
    Reason,
    Refused,
    Retry,
    SendCall,
    Sender,
    SenderRule,
    SenderType,
    SetAside,
    Setting,
    SettingError,
    SettingType,
    SetupStep,
    State,
    Unknown,
    Vendor,
    Wiring,
    retry_after,
)

if TYPE_CHECKING:
    from azure.communication.sms.aio import SmsClient
    from azure.core.exceptions import HttpResponseError

DELIVERY_REPORT = "Microsoft.Communication.SMSDeliveryReportReceived"
INBOUND = "Microsoft.Communication.SMSReceived"

DESCRIPTION = Description(
    name="acs",
    title="Azure Communication Services",
    docs="https://learn.microsoft.com/azure/communication-services/concepts/sms/concepts",
    notice=(
        "Retires on 30 September 2028 and has taken no new customers since 23 October 2026. Use it for existing "
        "resources and plan the move to another vendor."
    ),
    settings=(
        Setting(
            name="connectionString",
            type=SettingType.CONNECTION_STRING,
            secret=True,
            help="Communication resource > Settings > Keys > Primary connection string. Give this or the endpoint.",
            example="endpoint=https://contoso.communication.azure.com/;accesskey=bm90LWEta2V5",
        ),
        Setting(
            name="connectionStringSecondary",
            type=SettingType.CONNECTION_STRING,
            secret=True,
            secondary_of="connectionString",
            help="The secondary connection string, used when the primary one is refused while keys are rotated.",
            example="endpoint=https://contoso.communication.azure.com/;accesskey=bm90LWEta2V5",
        ),
        Setting(
            name="endpoint",
            type=SettingType.URL,
            help="The resource's endpoint; the gateway then signs in with its managed identity and keeps no key.",
            example="https://contoso.communication.azure.com",
        ),
    ),
    one_of=("connectionString", "endpoint"),
    senders=(
        SenderRule(
            SenderType.TOLL_FREE,
            two_way=True,
            countries=("US", "CA", "PR"),
            per_minute=200,
            note="Unverified and pending numbers are blocked in the US.",
        ),
        SenderRule(
            SenderType.SHORT_CODE,
            two_way=True,
            countries=("US", "CA", "GB"),
            per_minute=6000,
            note="Reaches its own country only.",
        ),
        SenderRule(
            SenderType.LONG_CODE,
            two_way=True,
            countries=("US",),
            note="10DLC: needs a registered brand and campaign.",
        ),
        SenderRule(
            SenderType.ALPHANUMERIC,
            two_way=False,
            per_minute=600,
            # https://learn.microsoft.com/azure/communication-services/concepts/sms/sms-faq
            pattern=r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}",
            note="One-way and case-sensitive; at most 11 letters, digits and spaces with a letter among them; nobody "
            "can reply STOP to it.",
        ),
    ),
    capabilities=Capabilities(
        recipients_per_call=100,
        one_text_per_call=True,
        calls_at_once=8,
        # Documented as five minutes for the sister services; for SMS no figure is published.
        replay_window=timedelta(minutes=5),
        lookup=False,
        # GET /deliveryReports/{id} exists in the newest specification only and is not known to be open.
        status_query=False,
        max_text_length=2048,
        validity=None,
        reports=True,
        inbound=True,
        correlation="Our batch id as the tag, with the recipient",
        callback_authentication="Event Grid delivers to the function by its resource id or with a system key",
    ),
    event_types=(DELIVERY_REPORT, INBOUND),
)

# https://learn.microsoft.com/azure/communication-services/resources/troubleshooting/voice-video-calling/troubleshooting-codes
REPORT_CODES: Mapping[str, tuple[State, Reason | None]] = {
    "2000": (State.DELIVERED, None),
    "4000": (State.REJECTED, Reason.FILTERED),
    "4001": (State.REJECTED, Reason.INVALID_SENDER),
    "4002": (State.REJECTED, Reason.INVALID_RECIPIENT),
    "4003": (State.REJECTED, Reason.UNROUTABLE),
    "4004": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "4005": (State.REJECTED, Reason.CARRIER_BLOCKED),
    "4006": (State.UNDELIVERED, Reason.UNREACHABLE),
    "4007": (State.REJECTED, Reason.OPTED_OUT),
    "4008": (State.FAILED, Reason.QUOTA),
    "4009": (State.FAILED, Reason.ACCOUNT),
    "4010": (State.REJECTED, Reason.SENDER_UNREGISTERED),
    "4020": (State.FAILED, Reason.THROTTLED),
    "5000": (State.FAILED, Reason.OTHER),
    "5001": (State.FAILED, Reason.TEMPORARY),
    "5002": (State.UNKNOWN, Reason.NO_REPORT),
    "9999": (State.FAILED, Reason.OTHER),
}
REPORT_TEXTS: Mapping[str, tuple[State, Reason | None]] = {
    "sender blocked for given recipient": (State.REJECTED, Reason.OPTED_OUT),
}
REPORT_STATUSES: Mapping[str, tuple[State, Reason | None]] = {
    "delivered": (State.DELIVERED, None),
    "failed": (State.FAILED, Reason.OTHER),
    "expired": (State.EXPIRED, Reason.EXPIRED),
}
# https://learn.microsoft.com/rest/api/communication/errorcodes
REFUSALS: Mapping[int, tuple[Reason, Retry]] = {
    400: (Reason.OTHER, Retry.NEVER),
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    409: (Reason.OTHER, Retry.NEVER),
    413: (Reason.INVALID_CONTENT, Retry.NEVER),
    422: (Reason.CONFIGURATION, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}
ITEM_TEXTS: tuple[tuple[str, Reason], ...] = (
    ("to phone number", Reason.INVALID_RECIPIENT),
    ("recipient", Reason.INVALID_RECIPIENT),
    ("from", Reason.INVALID_SENDER),
)

REPEATABILITY = uuid.UUID("b1d7c3f6-5a55-5b5c-9d8e-6a4c4f6f2d10")
_DETAIL_LENGTH = 300
_ACCEPTED, _HTTP_ERROR, _HTTP_SERVER_ERROR = 202, 400, 500

_call: ContextVar[SendCall] = ContextVar("call")


class _StableRepeatability:
    """Writes our own repeatability ids over the fresh ones that the SDK draws on every ``send``.

    It is a per-call policy, so it runs before the request is signed.
    """

    def on_request(self, request: Any) -> None:
        http_request = request.http_request
        call = _call.get()
        body = json.loads(http_request.body)
        ids = {message.to: message.id for message in call.messages}
        for recipient in body["smsRecipients"]:
            recipient["repeatabilityRequestId"] = str(uuid.uuid5(REPEATABILITY, ids[recipient["to"]]))
            recipient["repeatabilityFirstSent"] = format_datetime(call.first_attempt.astimezone(UTC), usegmt=True)
        http_request.set_json_body(body)

    def on_response(self, request: Any, response: Any) -> None:
        """Raise a refusal here: the SDK would first decode its body, and fail without a status if that is no text."""
        from azure.core.exceptions import HttpResponseError  # noqa: PLC0415

        del request
        if response.http_response.status_code != _ACCEPTED:
            raise HttpResponseError(response=response.http_response)

    def on_exception(self, request: Any) -> None:
        """Let the exception pass."""


def _endpoint_and_key(settings: Mapping[str, str]) -> tuple[str, str]:
    """Return the endpoint and the access key; the key is empty when the managed identity signs.

    The SDK's own ``from_connection_string`` forces https, so it could not reach a local sandbox.
    """
    text = settings.get("connectionString")
    if not text:
        return settings.get("endpoint", "").rstrip("/"), ""
    parts = {}
    for part in text.split(";"):
        name, _, value = part.partition("=")
        parts[name.strip().lower()] = value.strip()
    return parts.get("endpoint", "").rstrip("/"), parts.get("accesskey", "")


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def _client(account: Account, http: Http) -> SmsClient:
    endpoint, key = _endpoint_and_key(account.settings)

    def make() -> SmsClient:
        from azure.communication.sms.aio import SmsClient  # noqa: PLC0415 - slow to import, see docs on cold starts
        from azure.core.credentials import AzureKeyCredential  # noqa: PLC0415
        from azure.core.pipeline.policies import SansIOHTTPPolicy  # noqa: PLC0415
        from azure.core.pipeline.transport import AioHttpTransport  # noqa: PLC0415

        policy = type("StableRepeatabilityPolicy", (_StableRepeatability, SansIOHTTPPolicy), {})()
        return SmsClient(
            endpoint,
            AzureKeyCredential(key) if key else http.credential(),
            per_call_policies=[policy],
            transport=AioHttpTransport(session=http.session, session_owner=False),
            retry_total=0,
            # A redirect would take the text, signed, to whatever address it names.
            permit_redirects=False,
            connection_timeout=min(10.0, http.timeout),
            read_timeout=http.timeout,
        )

    return http.keep(("acs", endpoint, key), make)


class Acs(Vendor):
    """Azure Communication Services SMS."""

    description = DESCRIPTION

    def check_settings(self, settings: Mapping[str, str]) -> Sequence[SettingError]:
        """Check that the connection strings hold an endpoint and a base64 key, both of one resource."""
        endpoints, wrong = [], []
        for name in ("connectionString", "connectionStringSecondary"):
            if text := settings.get(name):
                endpoint, key = _endpoint_and_key({"connectionString": text})
                if not endpoint or not _is_base64(key):
                    wrong.append(
                        SettingError(name, "Give it as endpoint=https://…/;accesskey=… just as the Keys page shows it.")
                    )
                elif urlsplit(endpoint).path:
                    wrong.append(
                        SettingError(name, "The endpoint has no path: it ends behind .communication.azure.com.")
                    )
                else:
                    endpoints.append(endpoint)
        if len(set(endpoints)) > 1:
            wrong.append(
                SettingError("connectionStringSecondary", "It must be of the same resource as connectionString.")
            )
        if endpoints and settings.get("endpoint"):
            wrong.append(SettingError("endpoint", "Give either a connection string or an endpoint, not both."))
        return wrong

    def account_name(self, settings: Mapping[str, str]) -> str:
        """Return the resource's name: the first label of its host name."""
        host = urlsplit(_endpoint_and_key(settings)[0]).hostname or ""
        return host.partition(".")[0]

    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        """Send one text to up to 100 recipients."""
        results = await self._call(account, call, http)
        if not isinstance(results, list):
            return {message.id: results for message in call.messages}
        ids = {_digits(message.to): message.id for message in call.messages}
        return {ids[_digits(str(result.to))]: _outcome(result) for result in results if _digits(str(result.to)) in ids}

    async def _call(self, account: Account, call: SendCall, http: Http) -> list[Any] | Outcome:
        from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError  # noqa: PLC0415

        token = _call.set(call)
        try:
            return await asyncio.wait_for(
                _client(account, http).send(
                    call.sender.address,
                    [message.to for message in call.messages],
                    call.messages[0].text if call.messages else "check",
                    enable_delivery_report=True,
                    tag=call.batch,
                ),
                http.timeout,
            )
        except HttpResponseError as error:
            return _refusal(error)
        except ServiceRequestError as error:
            return _not_connected(error)
        except TimeoutError:
            return Unknown(f"No answer within {http.timeout:g} s.")
        except (AzureError, ValueError, TypeError, AttributeError, RecursionError) as error:
            return Unknown(f"The answer could not be read: {type(error).__name__}.")
        finally:
            _call.reset(token)

    async def check(self, account: Account, http: Http) -> Check:
        """Ask for a send to nobody: a good key is told that recipients are missing, a bad one is refused."""
        call = SendCall(
            batch="check",
            sender=_NOBODY,
            messages=(),
            first_attempt=datetime.now(UTC),
            validity=None,
            report_url="",
        )
        result = await self._call(account, call, http)
        if isinstance(result, list) or (isinstance(result, Refused) and result.code == "400"):
            return Check(ok=True, detail="The resource accepts the credentials.")
        if isinstance(result, Refused):
            return Check(ok=False, detail=f"The resource answered {result.code}: {result.detail}")
        return Check(ok=False, detail=result.why if isinstance(result, Unknown) else "")

    def set_up(self, wiring: Wiring) -> tuple[SetupStep, ...]:
        """Describe the Event Grid system topic and its two subscriptions."""
        return (
            SetupStep(
                "Create an Event Grid system topic",
                "Azure portal > Event Grid System Topics > Create. Topic type: Azure Communication Services; source: "
                "the Communication resource of this provider. One system topic per resource is enough.",
            ),
            SetupStep(
                "Subscribe to delivery reports",
                "On the system topic: + Event Subscription. Event type: SMS Delivery Report Received; endpoint type: "
                "Azure Function; choose this function of the gateway's app. Set up dead-lettering to a blob container.",
                wiring.urls.report_function,
            ),
            SetupStep(
                "Subscribe to replies",
                "A second event subscription. Event type: SMS Received; endpoint type: Azure Function; this function.",
                wiring.urls.inbound_function,
            ),
        )

    def parse_event(self, event: Event) -> Parsed:
        """Read a delivery report or a reply; keys in camelCase or PascalCase, numbers with or without plus."""
        data = {str(name).lower(): value for name, value in event.data.items()}
        vendor_id = str(data.get("messageid") or event.id or "")
        if event.type == INBOUND:
            if not data.get("from") or not data.get("to"):
                return Parsed(
                    set_aside=(SetAside("It names no sender or no recipient.", json.dumps(dict(event.data))),)
                )
            return Parsed(
                inbound=(
                    InboundText(
                        vendor_id=vendor_id,
                        sender=str(data["from"]),
                        recipient=str(data["to"]),
                        text=str(data.get("message") or ""),
                        at=_time(data.get("receivedtimestamp")),
                        account=event.source.rstrip("/").rpartition("/")[2],
                        raw=dict(event.data),
                    ),
                )
            )
        if event.type == DELIVERY_REPORT:
            status, detail = str(data.get("deliverystatus") or ""), str(data.get("deliverystatusdetails") or "")
            code = _code(detail)
            state, reason = _state(status, code, detail)
            return Parsed(
                reports=(
                    DeliveryReport(
                        state=state,
                        reason=reason,
                        vendor_id=vendor_id,
                        batch=str(data.get("tag") or ""),
                        recipient=str(data.get("to") or ""),
                        code=code,
                        status=status,
                        detail=detail[:_DETAIL_LENGTH],
                        at=_time(data.get("receivedtimestamp")),
                        raw=dict(event.data),
                    ),
                )
            )
        raise MalformedError(f"{event.type} is not an SMS event.")


def _digits(number: str) -> str:
    return number.lstrip("+")


def _outcome(result: Any) -> Outcome:
    status, detail = int(result.http_status_code or 0), str(result.error_message or "")[:_DETAIL_LENGTH]
    if result.successful and result.message_id:
        return Accepted(str(result.message_id))
    if status < _HTTP_ERROR:
        return Unknown("The item names neither a message id nor an error.", str(status))
    if status >= _HTTP_SERVER_ERROR:
        # An item's own 5xx may be repeated with the same repeatability id, so it counts as not sent.
        return Refused(Reason.TEMPORARY, Retry.LATER, None, str(status), detail)
    reason, retry = REFUSALS.get(status, (Reason.OTHER, Retry.NEVER))
    if reason is Reason.OTHER:
        reason = next((reason for words, reason in ITEM_TEXTS if words in detail.lower()), reason)
    return Refused(reason, retry, None, str(status), detail)


def _refusal(error: HttpResponseError) -> Outcome:
    from azure.core.exceptions import ClientAuthenticationError  # noqa: PLC0415

    status = int(error.status_code or 0)
    response: Any = error.response
    if response is None and isinstance(error, ClientAuthenticationError):
        return Refused(Reason.CREDENTIALS, detail="The app's managed identity got no token.")
    text = ""
    if response is not None:
        try:
            text = str(response.text())[:_DETAIL_LENGTH]
        except (UnicodeDecodeError, LookupError):
            text = "(not text)"
    wait = retry_after(response.headers.get("Retry-After") if response is not None else None, datetime.now(UTC))
    if status in REFUSALS:
        reason, retry = REFUSALS[status]
        return Refused(reason, retry, wait, str(status), text)
    if status == 503 and wait is not None:  # noqa: PLR2004 - busy, and it says until when
        return Refused(Reason.THROTTLED, Retry.LATER, wait, "503", text)
    return Unknown(f"The vendor answered {status}.", str(status))


def _not_connected(error: Exception) -> Outcome:
    """Tell a connection that never came about from one that was lost; azure-core raises the same error for both."""
    import aiohttp  # noqa: PLC0415

    cause = error.__cause__
    if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError | aiohttp.InvalidURL):
        return Refused(Reason.TEMPORARY, Retry.LATER, None, "", f"No connection: {type(cause).__name__}.")
    return Unknown(f"The connection was lost: {type(cause or error).__name__}.")


def _code(detail: str) -> str:
    match = re.match(r"\s*(\d{4})\b", detail)
    return match.group(1) if match else ""


def _state(status: str, code: str, detail: str) -> tuple[State, Reason | None]:
    if code in REPORT_CODES:
        return REPORT_CODES[code]
    words = detail.strip().rstrip(".").lower()
    if words in REPORT_TEXTS:
        return REPORT_TEXTS[words]
    return REPORT_STATUSES.get(status.strip().lower(), (State.UNKNOWN, Reason.OTHER))


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_NOBODY = Sender(SenderType.LONG_CODE, "+10000000000")

vendor = Acs()
