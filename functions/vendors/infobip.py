"""Infobip SMS.

Reference: https://www.infobip.com/docs/api/channels/sms/outbound-sms/send-sms-messages for sending,
https://www.infobip.com/docs/api/channels/sms/logs-and-status-reports/get-outbound-sms-message-logs-v3 for the log,
https://www.infobip.com/docs/api/channels/sms/logs-and-status-reports/receive-outbound-sms-message-reports-v3 for
reports, https://www.infobip.com/docs/api/channels/sms/inbound-sms/receive-inbound-sms-messages for replies and
https://www.infobip.com/docs/api/platform/subscriptions-api for where they are posted to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

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
    Subscribed,
    SubscribeError,
    SupportText,
    Unknown,
    Vendor,
    Wiring,
    retry_after,
)
from functions.vendors.proofs import (
    CALLBACK_BASIC,
    CALLBACK_HEADER,
    CALLBACK_SOURCES,
    CALLBACK_TOKEN,
    PROOF_HEADER,
    check_basic,
    check_header,
    check_token,
)

_KEY = r"[!-~]{8,300}"
_MOST_PARTS = 25
_GSM_PART, _UCS2_PART = 153, 67

DESCRIPTION = Description(
    name="infobip",
    title="Infobip",
    docs="https://www.infobip.com/docs/api/channels/sms",
    settings=(
        Setting(
            name="apiKey",
            required=True,
            secret=True,
            pattern=_KEY,
            help="Infobip portal > Developer Tools > API keys, with the scopes sms:message:send, sms:logs:read and, to "
            "let the gateway set up callbacks, subscriptions:manage.",
            example="003026bbc133714df1834b8638bb496e-8f4b3d9a-e931-478d-a994-28a725159ab9",
        ),
        Setting(
            name="apiKeySecondary",
            secret=True,
            secondary_of="apiKey",
            pattern=_KEY,
            help="The other API key while keys are rotated, used when the first one is refused.",
            example="7d5bb00f4e9a7f3a1a0a5c1f6d2f0a11-2c1d5f52-7a0e-4c1f-9b6a-51d1c7f0a001",
        ),
        Setting(
            name="baseUrl",
            type=SettingType.URL,
            required=True,
            help="Infobip portal > start page > API Base URL: the account's own address.",
            example="https://xxxxxx.api.infobip.com",
        ),
        Setting(
            name="entityId",
            help="The CPaaS X entity that messages are sent for; leave it out if the account has none.",
            example="contoso-retail",
        ),
        Setting(
            name="applicationId",
            help="The CPaaS X application that messages are sent for; leave it out if the account has none.",
            example="sms-gateway",
        ),
        *CALLBACK_TOKEN,
        *CALLBACK_BASIC,
        *CALLBACK_HEADER,
        CALLBACK_SOURCES,
    ),
    # https://www.infobip.com/docs/essentials/us-sender-registration and https://www.infobip.com/docs/10dlc
    senders=(
        SenderRule(
            SenderType.TOLL_FREE,
            two_way=True,
            countries=("US", "CA"),
            note="Ordered and verified through Infobip's support.",
        ),
        SenderRule(SenderType.SHORT_CODE, two_way=True, note="Reaches its own country only."),
        SenderRule(SenderType.LONG_CODE, two_way=True, note="10DLC in the US: needs a registered brand and campaign."),
        SenderRule(
            SenderType.ALPHANUMERIC,
            two_way=False,
            note="One-way; not in the US and Canada; some countries want it registered.",
        ),
    ),
    capabilities=Capabilities(
        # No maximum is published; a lost answer leaves this many to look up.
        recipients_per_call=100,
        one_text_per_call=False,
        calls_at_once=8,
        # A repeated id is refused (status 23), but for how long, and whether in every account, is not published.
        replay_window=timedelta(0),
        lookup=True,
        lookup_by_id=True,
        status_query=True,
        max_text_length=_MOST_PARTS * _GSM_PART,
        # The least is not published; what is above 48 hours becomes 48 hours without a word.
        validity=(60, 172_800),
        reports=True,
        inbound=True,
        correlation="Our message id as messageId",
        callback_authentication="A token in the path; from a subscription also Basic authentication and a header",
        subscribes=True,
    ),
    # https://www.infobip.com/docs/developer-resources/security/ip-address-safelist
    published_sources=(
        *("193.105.74.0/24", "62.140.31.0/24", "83.166.64.0/19", "202.22.160.0/20", "81.23.248.0/21"),
        *("185.255.8.0/22", "208.93.48.0/22", "89.164.98.0/24", "149.5.186.0/24", "171.244.0.32/27"),
        *("203.223.163.32/28", "203.223.170.88/29", "119.30.69.0/28", "103.23.95.200/29", "66.203.199.128/27"),
        *("13.87.78.119/32", "20.216.25.182/32", "20.173.68.171/32", "172.195.40.23/32", "34.166.0.168/32"),
        *("34.166.49.86/32", "20.233.44.67/32", "20.108.54.3/32"),
    ),
)

# https://www.infobip.com/docs/developer-resources/api-fundamentals/message-status-codes
_STATUSES: tuple[tuple[int, str, State, Reason | None], ...] = (
    # Handed to the operator only, although its group says DELIVERED.
    (2, "DELIVERED_TO_OPERATOR", State.SENT, None),
    (3, "PENDING_WAITING_DELIVERY", State.SENT, None),
    (4, "UNDELIVERABLE_REJECTED_OPERATOR", State.UNDELIVERED, Reason.CARRIER_BLOCKED),
    (5, "DELIVERED_TO_HANDSET", State.DELIVERED, None),
    (6, "REJECTED_NETWORK", State.REJECTED, Reason.UNROUTABLE),
    (7, "PENDING_ENROUTE", State.SENT, None),
    (8, "REJECTED_PREFIX_MISSING", State.REJECTED, Reason.INVALID_RECIPIENT),
    (9, "UNDELIVERABLE_NOT_DELIVERED", State.UNDELIVERED, Reason.OTHER),
    (10, "REJECTED_DND", State.REJECTED, Reason.OPTED_OUT),
    (11, "REJECTED_SOURCE", State.REJECTED, Reason.INVALID_SENDER),
    (12, "REJECTED_NOT_ENOUGH_CREDITS", State.REJECTED, Reason.ACCOUNT),
    (13, "REJECTED_SENDER", State.REJECTED, Reason.INVALID_SENDER),
    (14, "REJECTED_DESTINATION_BLOCKLISTED", State.REJECTED, Reason.OPTED_OUT),
    (15, "EXPIRED_EXPIRED", State.EXPIRED, Reason.EXPIRED),
    (17, "REJECTED_PREPAID_PACKAGE_EXPIRED", State.REJECTED, Reason.ACCOUNT),
    (18, "REJECTED_DESTINATION_NOT_REGISTERED", State.REJECTED, Reason.ACCOUNT),
    (19, "REJECTED_ROUTE_NOT_AVAILABLE", State.REJECTED, Reason.UNROUTABLE),
    (20, "REJECTED_FLOODING_FILTER", State.REJECTED, Reason.FILTERED),
    (21, "REJECTED_SYSTEM_ERROR", State.FAILED, Reason.TEMPORARY),
    # Only the copy was refused: the id is ours alone, so an earlier try of the same message was taken.
    (23, "REJECTED_DUPLICATE_MESSAGE_ID", State.SENT, None),
    (24, "REJECTED_INVALID_UDH", State.REJECTED, Reason.INVALID_CONTENT),
    (25, "REJECTED_MESSAGE_TOO_LONG", State.REJECTED, Reason.INVALID_CONTENT),
    (26, "PENDING_ACCEPTED", State.QUEUED, None),
    # The validity period ended without a report; it may have been delivered.
    (29, "EXPIRED_DLR_UNKNOWN", State.UNKNOWN, Reason.NO_REPORT),
    (31, "UNDELIVERABLE_NOT_SENT", State.FAILED, Reason.OTHER),
    (51, "MISSING_TO", State.REJECTED, Reason.INVALID_RECIPIENT),
    (52, "REJECTED_DESTINATION", State.REJECTED, Reason.INVALID_RECIPIENT),
    # In group EXPIRED when it is charged, in REJECTED when not.
    (87, "SIGNALS_BLOCKED", State.REJECTED, Reason.FILTERED),
    (100, "UNDELIVERABLE_REJECTED_PLATFORM", State.FAILED, Reason.TEMPORARY),
)
REPORT_STATUSES: Mapping[str, tuple[State, Reason | None]] = {
    name.lower(): (state, reason) for _, name, state, reason in _STATUSES
}
_name_by_id = {str(number): name.lower() for number, name, _, _ in _STATUSES}
GROUPS: Mapping[str, tuple[State, Reason | None]] = {
    **dict.fromkeys(("0", "ok", "accepted", "1", "pending"), (State.QUEUED, None)),
    **dict.fromkeys(("2", "undeliverable"), (State.UNDELIVERED, Reason.OTHER)),
    **dict.fromkeys(("3", "delivered"), (State.DELIVERED, None)),
    **dict.fromkeys(("4", "expired"), (State.EXPIRED, Reason.EXPIRED)),
    **dict.fromkeys(("5", "rejected"), (State.REJECTED, Reason.OTHER)),
}

# https://www.infobip.com/docs/developer-resources/api-fundamentals/error-code-reference: "General" and "India DLT". The
# same numbers mean something else in other channels.
_ERRORS: tuple[tuple[Reason, tuple[int, ...]], ...] = (
    (Reason.OPTED_OUT, (573, 603, 604, 2050, 2052)),
    (Reason.INVALID_RECIPIENT, (1, 5, 9, 10, 11, 12, 21, 258, 261, 262, 351, 352, 568, 569, 629, 3041)),
    (Reason.UNREACHABLE, (2, 6, 7, 8, 13, 27, 31, 32, 33, 256, 257, 581, 628)),
    (Reason.UNROUTABLE, (345, 565, 592, 597, 598)),
    (Reason.CARRIER_BLOCKED, (15, 560, 561, 564, 566, 574, 632, 2049)),
    (Reason.FILTERED, (607, 608, 2051, 4103, 4104, 5492)),
    (Reason.INVALID_SENDER, (368, 375, 2053)),
    (Reason.SENDER_UNREGISTERED, (488, 562, 563, 571, 572, 594, 4106, *range(4108, 4141), *range(4142, 4145))),
    (Reason.SENDER_UNREGISTERED, (*range(4146, 4152), *range(4153, 4159))),
    (Reason.INVALID_CONTENT, (71, 355, 4096)),
    (Reason.THROTTLED, (541,)),
    (Reason.QUOTA, (542, 580, 609, 4202)),
    (Reason.ACCOUNT, (433, 577, 578, 579, 601, 4099)),
    (Reason.TEMPORARY, (20, 24, 34, 35, 36, 51, 259, 260, 630, 631, 815, 2048, 4097, 4102, 4107, 4141)),
    (Reason.TEMPORARY, (*range(500, 505), *range(507, 510), *range(1024, 1032), *range(1152, 1167))),
    (Reason.TEMPORARY, (*range(1281, 1285), *range(1536, 1542), *range(1792, 1797))),
    (Reason.EXPIRED, (811, 4098, 4100, 4101)),
    (Reason.OTHER, (255, 323, 633, 810)),
)
REPORT_ERRORS: Mapping[str, Reason] = {str(code): reason for reason, codes in _ERRORS for code in codes}

# https://www.infobip.com/docs/developer-resources/api-fundamentals/error-handling
REFUSALS: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    413: (Reason.INVALID_CONTENT, Retry.NEVER),
    429: (Reason.THROTTLED, Retry.LATER),
}
RETRIES: Mapping[Reason, Retry] = {Reason.INVALID_SENDER: Retry.OTHER_SENDER}
"""An id may stay taken once its message was refused, so the same one is not offered again."""

# 3GPP TS 23.038, clause 6.2.1: https://www.3gpp.org/dynareport/23038.htm
_GSM = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENSION = frozenset("\f^{}\\[~]|€")

LOG_KEPT = timedelta(hours=48)
_LOG_ROWS = 1000
_LOG_PAGES = 10
_IDS_PER_LOOKUP = 50
"""A list in a query may have 2,048 characters."""
_SHORTEST_NUMBER = 8
_DETAIL_LENGTH = 300
_OK, _CREATED, _NOT_FOUND = 200, 201, 404
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_NOT_ALLOWED = 403
_DUPLICATE = "23"
_JSON = "application/json"
_FOLLOW = 'A number that forwards replies by itself must be set to "Follow subscription".'


class Infobip(Vendor):
    """Infobip SMS."""

    description = DESCRIPTION
    answers = {"report": Answer(_OK), "inbound": Answer(_OK)}  # noqa: RUF012

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
        extended = sum(character in _GSM_EXTENSION for character in text)
        if extended + sum(character in _GSM for character in text) == len(text):
            size, part = len(text) + extended, _GSM_PART
        else:
            size, part = len(text.encode("utf-16-le", "surrogatepass")) // 2, _UCS2_PART
        most = _MOST_PARTS * part
        return f"Infobip takes at most {_MOST_PARTS} parts, here {most} units; it has {size}." if size > most else ""

    def verify(self, callback: Callback, account: Account) -> None:
        """Check the token in the path and, where they are set, the password and the secret header."""
        check_token(callback, account)
        check_basic(callback, account)
        check_header(callback, account)

    def parse(self, callback: Callback) -> Parsed:
        """Read a bucket of reports or of replies; an item that cannot be read does not spoil the others."""
        try:
            body = orjson.loads(callback.body)
        except ValueError as error:
            raise MalformedError("The body is not JSON.") from error
        if not isinstance(body, dict):
            raise MalformedError("The JSON body is not an object.")
        results = body.get("results")
        if not isinstance(results, list):
            raise MalformedError("results is missing.")
        read: Callable[[Any], Any] = _inbound if callback.kind == "inbound" else _report
        items = [read(result) for result in results]
        return Parsed(
            reports=tuple(item for item in items if isinstance(item, DeliveryReport)),
            inbound=tuple(item for item in items if isinstance(item, InboundText)),
            set_aside=tuple(item for item in items if isinstance(item, SetAside)),
        )

    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        """Post all messages in one request, those of one text together."""
        return _outcomes(call, await _request(account, http, "POST", "/sms/3/messages", _body(account, call)))

    async def check(self, account: Account, http: Http) -> Check:
        """Read one row of the message log, which sends nothing and marks nothing as read."""
        answer = await _request(account, http, "GET", "/sms/3/logs", params={"limit": "1"})
        if isinstance(answer, _Answer) and answer.status == _OK and isinstance(answer.body.get("results"), list):
            return Check(ok=True, detail="Infobip accepts the key and lets it read the message log.")
        return Check(ok=False, detail=_problem(answer, "sms:logs:read"))

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
            rows, problem = await _log(account, ids, http)
            missing: Outcome = Refused(Reason.TEMPORARY, Retry.LATER, detail="Infobip's message log does not have it.")
            if problem or not reaches_back:
                missing = Unknown(problem or "Infobip's message log does not reach back to the first try.")
            found |= {identity: Accepted(identity) if identity in rows else missing for identity in ids}
        return found

    async def report_of(self, account: Account, message: str, vendor_id: str, http: Http) -> DeliveryReport | None:
        """Read the message's row in the message log."""
        rows, _ = await _log(account, [vendor_id], http)
        row = rows.get(vendor_id, {})
        report = _report(row, message)
        return report if isinstance(report, DeliveryReport) and _object(row.get("status")) else None

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
            for language, words in _SUPPORT
        )

    async def subscribe(self, account: Account, wiring: Wiring, http: Http) -> Subscribed:
        """Create or update the subscription for replies and, where messages name no address, the one for reports.

        Source: https://www.infobip.com/docs/api/platform/subscriptions-api: what is updated names its profile by id,
        and a profile its security.
        """
        await _subscribe(account, http, "inbound", "INBOUND_MESSAGE", wiring.urls.inbound)
        done = "replies"
        if _by_subscription(account.settings):
            await _subscribe(account, http, "report", "DELIVERY", wiring.urls.report)
            done += " and delivery reports"
        return Subscribed(f"Infobip is subscribed to for {done}. {_FOLLOW}")


_SUPPORT: tuple[tuple[str, Mapping[str, str]], ...] = (
    (
        "en",
        {
            "subject": "Forwarding of SMS replies and delivery reports",
            "inbound": "Please forward inbound SMS (MO) for our numbers {numbers}\nby HTTP POST in the format "
            "MO_JSON_2 to this address:\n{inbound}",
            "report": "Please post SMS delivery reports (JSON, v3) of our account to this address:\n{report}",
            "own_address": "Delivery reports need no set-up: each message names this address:\n{report}",
            "callbackPassword": "The requests must carry Basic authentication with the user name {user}.",
            "callbackSecret": "The requests must carry the header {header} with a value of ours.",
            "safe_channel": "Please name a safe channel: secrets follow there and never by mail.",
            "end": "The addresses are confidential. Please confirm when this is done. Thank you.",
        },
    ),
    (
        "de",
        {
            "subject": "Weiterleitung von SMS-Antworten und Zustellberichten",
            "inbound": "Bitte leiten Sie eingehende SMS (MO) für unsere Nummern {numbers}\nper HTTP POST im Format "
            "MO_JSON_2 an diese Adresse weiter:\n{inbound}",
            "report": "Bitte senden Sie die SMS-Zustellberichte (JSON, v3) unseres Kontos an diese Adresse:\n{report}",
            "own_address": "Zustellberichte brauchen keine Einrichtung: Jede Nachricht nennt diese Adresse:\n{report}",
            "callbackPassword": "Die Anfragen müssen Basic-Authentifizierung mit dem Benutzernamen {user} enthalten.",
            "callbackSecret": "Die Anfragen müssen den Header {header} mit einem Wert von uns enthalten.",
            "safe_channel": "Bitte nennen Sie uns einen sicheren Weg: Geheimnisse folgen dort und nie per E-Mail.",
            "end": "Die Adressen sind vertraulich. Bitte bestätigen Sie die Einrichtung. Vielen Dank.",
        },
    ),
)


class _Answer:
    """An HTTP answer of Infobip's with its JSON object, or an empty one where it was none.

    Attributes:
        code: The error's code; v3 has one shape of errors, v1 and v2 have another.
        words: The error's words, shortened.
    """

    def __init__(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        try:
            body = orjson.loads(content)
        except ValueError:
            body = None
        self.body: dict[str, Any] = _object(body)
        old = _object(_object(self.body.get("requestError")).get("serviceException"))
        faults = self.body.get("violations") or old.get("validationErrors")
        words = _string(self.body.get("description")) or _string(old.get("text"))
        self.code = _string(self.body.get("errorCode")) or _string(old.get("messageId"))
        self.words = f"{words} {orjson.dumps(faults).decode() if faults else ''}".strip()[:_DETAIL_LENGTH]


async def _request(
    account: Account,
    http: Http,
    method: str,
    path: str,
    body: Mapping[str, Any] | None = None,
    params: Mapping[str, str] | None = None,
) -> _Answer | Refused | Unknown:
    import aiohttp  # noqa: PLC0415 - slow to import

    # People paste the address of a whole call.
    url = re.split(r"/(?:sms|subscriptions)(?:/|$)", account.settings["baseUrl"])[0].rstrip("/") + path
    headers = {"Authorization": f"App {account.settings['apiKey']}", "Accept": _JSON}
    if body is not None:
        headers["Content-Type"] = _JSON
    data = None if body is None else orjson.dumps(body)
    try:
        async with http.session.request(
            method, url, data=data, params=params, headers=headers, allow_redirects=False
        ) as response:
            return _Answer(response.status, await response.read(), response.headers)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        return Refused(Reason.TEMPORARY, Retry.LATER, detail=f"No connection: {type(error).__name__}.")
    except TimeoutError:
        return Unknown(f"No answer within {http.timeout:g} s.")
    except (aiohttp.ClientError, OSError) as error:
        return Unknown(f"The connection was lost: {type(error).__name__}.")


def _problem(answer: _Answer | Refused | Unknown, scope: str) -> str:
    """Say why a call did not succeed; a key without the scope is refused like one without rights."""
    if isinstance(answer, _Answer):
        missing = f" The API key needs the scope {scope}." if answer.status == _NOT_ALLOWED else ""
        return f"Infobip answered {answer.status}: {answer.words}{missing}"
    return answer.why if isinstance(answer, Unknown) else answer.detail


def _body(account: Account, call: SendCall) -> dict[str, Any]:
    shared: dict[str, Any] = {}
    if platform := _platform(account.settings):
        shared.setdefault("options", {})["platform"] = platform
    if call.validity is not None:
        shared.setdefault("options", {})["validityPeriod"] = {"amount": call.validity, "timeUnit": "SECONDS"}
    if call.report_url and not _by_subscription(account.settings):
        shared["webhooks"] = {"delivery": {"url": call.report_url}, "contentType": _JSON}
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


def _platform(settings: Mapping[str, str]) -> dict[str, str]:
    return {name: settings[name] for name in ("entityId", "applicationId") if settings.get(name)}


def _by_subscription(given: Mapping[str, str] | frozenset[str]) -> bool:
    """Tell whether callbacks must carry what only a subscription adds; an address in a message has no place for it.

    Source: https://www.infobip.com/docs/cpaas-x/subscriptions-management/create-manage-subscriptions.
    """
    return "callbackPassword" in given or "callbackSecret" in given


def _outcomes(call: SendCall, answer: _Answer | Refused | Unknown) -> dict[str, Outcome]:
    """Give each message its entry's outcome, found by our id, as the order is not promised."""
    if not isinstance(answer, _Answer) or answer.status != _OK:
        whole = _whole_outcome(answer) if isinstance(answer, _Answer) else answer
        return {message.id: whole for message in call.messages}
    entries = answer.body.get("messages")
    found: dict[str, Outcome] = {}
    for entry in entries if isinstance(entries, list) else ():
        item = _object(entry)
        identity = _string(item.get("messageId"))
        outcome = _entry_outcome(identity, _object(item.get("status")))
        agrees = found.get(identity, outcome) == outcome
        found[identity] = outcome if agrees else Unknown("Infobip's answer names it twice.")
    unnamed = Unknown("Infobip's answer does not name it.", str(answer.status))
    return {message.id: found.get(message.id, unnamed) for message in call.messages}


def _entry_outcome(identity: str, status: Mapping[str, Any]) -> Outcome:
    code, words = _text(status.get("id")), _string(status.get("description")) or _string(status.get("name"))
    state, reason = _state(status, "")
    if state is State.UNKNOWN:
        return Unknown(f"Infobip answered {code or 'no status'}: {words[:_DETAIL_LENGTH]}", code)
    if reason is None:
        return Accepted(identity)
    return Refused(reason, RETRIES.get(reason, Retry.NEVER), None, code, words[:_DETAIL_LENGTH])


def _whole_outcome(answer: _Answer) -> Outcome:
    code = answer.code or str(answer.status)
    if not _CLIENT_ERROR <= answer.status < _SERVER_ERROR:
        return Unknown(f"Infobip answered {answer.status}: {answer.words}", code)
    reason, retry = REFUSALS.get(answer.status, (Reason.OTHER, Retry.NEVER))
    after = retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)) if retry is Retry.LATER else None
    return Refused(reason, retry, after, code, answer.words)


async def _log(account: Account, ids: Sequence[str], http: Http) -> tuple[dict[str, dict[str, Any]], str]:
    """Return the rows of the message log by message id, and why some may be missing; an empty text if none is."""
    params = {"messageId": ",".join(ids), "limit": str(_LOG_ROWS), "useCursor": "true"}
    rows: dict[str, dict[str, Any]] = {}
    for _ in range(_LOG_PAGES):
        answer = await _request(account, http, "GET", "/sms/3/logs", params=params)
        results = answer.body.get("results") if isinstance(answer, _Answer) and answer.status == _OK else None
        if not isinstance(answer, _Answer) or not isinstance(results, list):
            return rows, f"Infobip's message log could not be read. {_problem(answer, 'sms:logs:read')}"
        for row in results:
            identity = _string(_object(row).get("messageId"))
            if not identity:
                return rows, "Infobip's message log has a row that cannot be read."
            # A copy that was refused for its id has a row too; the message itself says more.
            if identity not in rows or _text(_object(rows[identity].get("status")).get("id")) == _DUPLICATE:
                rows[identity] = row
        cursor = _text(_object(answer.body.get("cursor")).get("nextCursor"))
        if not cursor:
            return rows, ""
        params |= {"cursor": cursor}
    return rows, f"Infobip's message log goes on after {_LOG_PAGES} pages."


def _report(result: Any, message: str = "") -> DeliveryReport | SetAside:
    """Read a result of a report or a row of the log, which calls the recipient by another name."""
    item = _object(result)
    identity, status, error = _string(item.get("messageId")), _object(item.get("status")), _object(item.get("error"))
    if not identity:
        return SetAside("It names no messageId.", orjson.dumps(result).decode())
    fault = _text(error.get("id"))
    # Reports of messages sent by v2 write "Ok".
    if fault == "0" or _string(error.get("groupName")).lower() == "ok":
        fault, error = "", {}
    state, reason = _state(status, fault)
    return DeliveryReport(
        state=state,
        reason=reason,
        vendor_id=identity,
        message=message or identity,
        recipient=_number(_string(item.get("to")) or _string(item.get("destination"))),
        code=fault or _text(status.get("id")),
        status=_string(status.get("name")),
        detail=(_string(error.get("description")) or _string(status.get("description")))[:_DETAIL_LENGTH],
        at=_time(item.get("doneAt")),
        raw={name: value for name, value in item.items() if name != "content"},
    )


def _state(status: Mapping[str, Any], fault: str) -> tuple[State, Reason | None]:
    """Judge by the status' id, else its name, else its group; a listed error says why where the status does not."""
    name = _name_by_id.get(_text(status.get("id"))) or _string(status.get("name")).lower()
    groups = (_text(status.get("groupId")), _string(status.get("groupName")).lower())
    found = REPORT_STATUSES.get(name) or next((GROUPS[group] for group in groups if group in GROUPS), None)
    state, reason = found or (State.UNKNOWN, Reason.OTHER)
    cause = REPORT_ERRORS.get(fault)
    says_more = state is State.UNDELIVERED or (state is not State.UNKNOWN and reason is Reason.OTHER)
    if reason is not None and cause is not None and (says_more or cause is Reason.OPTED_OUT):
        return state, cause
    return state, reason


def _inbound(result: Any) -> InboundText | SetAside:
    item = _object(result)
    identity, sender, recipient = (_string(item.get(name)) for name in ("messageId", "from", "to"))
    text, parts = item.get("text"), item.get("message")
    if text is None and isinstance(parts, list):  # an MMS
        text = " ".join(filter(None, (_string(_object(part).get("value")) for part in parts)))
    if not (identity and sender and recipient and isinstance(text, str)):
        return SetAside("It lacks a messageId, from, to or text.", orjson.dumps(result).decode())
    return InboundText(
        vendor_id=identity,
        sender=_number(sender),
        recipient=_number(recipient),
        text=text,
        at=_time(item.get("receivedAt")),
        raw=item,
    )


async def _subscribe(account: Account, http: Http, kind: str, event: str, url: str) -> None:
    """Create or update one subscription, after the security it proves itself by and the profile that names both."""
    settings = account.settings
    identity = f"sms-gateway-{account.provider}-{kind}"
    profile: dict[str, Any] = {"webhook": {"notifyUrl": url, "contentType": _JSON}}
    if password := settings.get("callbackPassword"):
        credentials = {"username": settings.get("callbackUser", ""), "password": password}
        await _put(account, http, "security", {"authId": identity}, {"type": "BASIC", "credentials": credentials})
        profile["security"] = {"authId": identity}
    if secret := settings.get("callbackSecret"):
        profile["headers"] = {PROOF_HEADER: secret}
    await _put(account, http, "profiles", {"profileId": identity}, profile)
    subscription: dict[str, Any] = {"name": f"SMS gateway: {kind}", "events": [event]}
    if kind == "report" and (platform := _platform(settings)):
        subscription["criteria"] = [platform]
    subscription["profile"] = {"profileId": identity}
    await _put(account, http, "subscription/SMS", {"subscriptionId": identity}, subscription)


async def _put(account: Account, http: Http, collection: str, name: Mapping[str, str], body: Mapping[str, Any]) -> None:
    """Update a resource of the Subscriptions API, or create it where there is none."""
    place = f"/subscriptions/1/{collection}"
    (identity,) = name.values()
    answer = await _request(account, http, "GET", f"{place}/{identity}")
    if isinstance(answer, _Answer) and answer.status == _NOT_FOUND:
        answer = await _request(account, http, "POST", place, {**name, **body})
    elif isinstance(answer, _Answer) and answer.status == _OK:
        answer = await _request(account, http, "PUT", f"{place}/{identity}", body)
    if not isinstance(answer, _Answer) or answer.status not in {_OK, _CREATED}:
        raise SubscribeError(f"{identity} in {place}: {_problem(answer, 'subscriptions:manage')}")


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _text(value: Any) -> str:
    """Return a code as text: Infobip writes them as numbers, and some of its own pages as texts."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else _string(value)


def _number(text: str) -> str:
    """Return a number with its plus, which Infobip leaves out; short codes and names as they are."""
    return f"+{text}" if text.isascii() and text.isdecimal() and len(text) >= _SHORTEST_NUMBER else text


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_string(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None


vendor = Infobip()
