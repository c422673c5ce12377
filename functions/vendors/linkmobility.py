"""LINK Mobility: the SMS REST API of its Common platform.

Reference: https://www.linkmobility.com/developer/ names the newest edition. The editions read for this adapter are
"MT and Delivery Reports" 1.18, "MO messages" 1.7 and "Gate API" 1.2, kept at
https://github.com/deveel/deveel.lm.client/tree/69516e2fbd220bf1637ff708c5bf15fe2bad7a04/docs, and
https://manuals.plus/m/769649310d4a2a1af86594f10d89e8c92cd8625d15dde90f37dd5a9c425a4d61 (2.4). MyLINK, LINK's
self-service product, has another API.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, unquote, urlencode

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
    Part,
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

DESCRIPTION = Description(
    name="linkmobility",
    title="LINK Mobility",
    docs="https://www.linkmobility.com/developer/",
    notice=(
        "For accounts of LINK's Common platform, which come with a host, a platformId and a platformPartnerId. "
        "MyLINK accounts and LINK's other products have other APIs; with those every call ends in 401 or 404."
    ),
    settings=(
        Setting(
            name="baseUrl",
            type=SettingType.URL,
            required=True,
            help="The host that LINK's support named for the account, such as https://n-eu.linkmobility.io.",
            example="https://n-eu.linkmobility.io",
        ),
        Setting(
            name="username",
            help="The user name that LINK's support handed out; needed with the password.",
            example="contoso-sms",
        ),
        Setting(
            name="password",
            secret=True,
            help="The password that belongs to the user name. Give this or the client secret.",
            example="not-a-real-password",
        ),
        Setting(
            name="passwordSecondary",
            secret=True,
            secondary_of="password",
            help="The other password while it is being changed.",
            example="not-a-real-password-either",
        ),
        Setting(
            name="clientId",
            help="The client id for OAuth 2.0, where LINK's support handed one out; needed with the client secret.",
            example="contoso-client",
        ),
        Setting(
            name="clientSecret",
            secret=True,
            help="The client secret that belongs to the client id. Give this or the password.",
            example="not-a-real-secret",
        ),
        Setting(
            name="clientSecretSecondary",
            secret=True,
            secondary_of="clientSecret",
            help="The other client secret while it is being changed.",
            example="not-a-real-secret-either",
        ),
        Setting(
            name="platformId",
            required=True,
            help="The platformId that LINK's support handed out.",
            example="SMSC",
        ),
        Setting(
            name="platformPartnerId",
            required=True,
            help="The platformPartnerId that LINK's support handed out.",
            example="12345",
        ),
        Setting(
            name="reportGate",
            help="The id of the gate that posts delivery reports to the gateway; without it no reports are asked for.",
            example="BVldZyQt",
        ),
        Setting(
            name="inboundGate",
            help="The id of the gate that posts replies to the gateway; numbers and keywords are routed to it.",
            example="Q7rTm2Xa",
        ),
        *CALLBACK_TOKEN,
        *CALLBACK_BASIC,
        *CALLBACK_HEADER,
        CALLBACK_SOURCES,
    ),
    one_of=("password", "clientSecret"),
    senders=(
        SenderRule(SenderType.SHORT_CODE, two_way=True, note="Without the country letters: 2333, not NO-2333."),
        SenderRule(SenderType.LONG_CODE, two_way=True, note="A number that LINK has set up for the account."),
        SenderRule(
            SenderType.ALPHANUMERIC,
            two_way=False,
            note="One-way; 2 to 11 letters and digits without blanks, the first a letter.",
            pattern=r"[A-Za-z][A-Za-z0-9]{1,10}",
        ),
    ),
    capabilities=Capabilities(
        recipients_per_call=1000,
        one_text_per_call=False,
        calls_at_once=8,
        # refId is documented as "not used for anything", so a repeat may be a second message.
        replay_window=timedelta(0),
        lookup=False,
        status_query=False,
        # 254 segments of 67 characters; a text in the GSM alphabet could be longer.
        max_text_length=254 * 67,
        validity=(15 * 60, 48 * 60 * 60),
        reports=True,
        inbound=True,
        correlation="Our message id as refId, in answers and reports",
        callback_authentication="A token in the path; Basic authentication and a secret header where the gate has them",
        subscribes=True,
    ),
    # Appendix 1 of "MT and Delivery Reports" and of "MO messages", zone by zone: sp247, n-eu, no, c-eu, deb, s-eu.
    published_sources=(
        *("195.84.162.3/32", "195.84.162.16/32", "195.84.162.34/32"),
        *("194.71.165.71/32", "194.71.165.98/32", "194.71.165.122/32"),
        *("213.242.87.36/30", "213.242.87.40/29", "213.242.87.48/29"),
        *("213.242.87.68/30", "213.242.87.72/29", "213.242.87.80/29"),
        *("62.67.62.101/32", "62.67.62.102/31", "62.67.62.104/29", "62.67.62.112/29", "62.67.62.120/32"),
        *("62.67.62.68/30", "62.67.62.72/29", "62.67.62.80/29"),
        *("217.163.95.196/30", "217.163.95.200/29", "217.163.95.208/29"),
    ),
)

# "Result Codes" of "MT and Delivery Reports"; the same table for the same platform under another name:
# https://sergel.se/foretagstjanster/sergel-connect/sergel-connect-support/smsapi/sms-delivery-reports
REPORT_CODES: Mapping[str, tuple[State, Reason | None]] = {
    "0": (State.FAILED, Reason.OTHER),
    "1": (State.FAILED, Reason.TEMPORARY),
    "2": (State.FAILED, Reason.UNROUTABLE),
    "3": (State.FAILED, Reason.THROTTLED),
    "4": (State.UNKNOWN, Reason.TEMPORARY),
    "5": (State.UNKNOWN, Reason.OTHER),
    "6": (State.FAILED, Reason.OTHER),
    "104": (State.FAILED, Reason.CONFIGURATION),
    "105": (State.FAILED, Reason.TEMPORARY),
    "1000": (State.SENT, None),
    "1001": (State.DELIVERED, None),
    "1002": (State.EXPIRED, Reason.EXPIRED),
    "1003": (State.UNDELIVERED, Reason.OTHER),
    "1004": (State.UNDELIVERED, Reason.UNREACHABLE),
    "1005": (State.QUEUED, None),
    "1006": (State.UNDELIVERED, Reason.OTHER),
    "1007": (State.DELIVERED, None),
    "1008": (State.QUEUED, None),
    "1009": (State.UNDELIVERED, Reason.OTHER),
    "1010": (State.UNKNOWN, Reason.NO_REPORT),
    "1011": (State.SENT, None),
    "1012": (State.QUEUED, None),
    "1013": (State.SENT, None),
    **dict.fromkeys(("2000", "2001", "2002", "2003"), (State.REJECTED, Reason.INVALID_SENDER)),
    **dict.fromkeys(("2100", "2101", "2102", "2106"), (State.REJECTED, Reason.INVALID_RECIPIENT)),
    # The opt-out of 2103 is a suspicion only, so it does not count as one; 2205 says it outright.
    "2103": (State.REJECTED, Reason.CARRIER_BLOCKED),
    "2104": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "2105": (State.UNDELIVERED, Reason.INVALID_RECIPIENT),
    "2107": (State.UNDELIVERED, Reason.UNREACHABLE),
    **dict.fromkeys(("2200", "2201", "2202", "2203", "2204", "2206", "2207"), (State.REJECTED, Reason.OTHER)),
    "2205": (State.REJECTED, Reason.OPTED_OUT),
    **dict.fromkeys(("3000", "3001", "3002"), (State.REJECTED, Reason.INVALID_CONTENT)),
    **dict.fromkeys(("4000", "4002", "4006"), (State.REJECTED, Reason.CONFIGURATION)),
    **dict.fromkeys(("4001", "4003", "4004", "4005", "4007"), (State.REJECTED, Reason.INVALID_CONTENT)),
}
RETRIES: Mapping[str, Retry] = {
    **dict.fromkeys(("1", "3", "105"), Retry.LATER),
    **dict.fromkeys(("2000", "2001", "2002", "2003"), Retry.OTHER_SENDER),
}
"""What may be tried after a result code in the answer to a send; never, for those that are not here."""
# "Error Result Codes" of "MT and Delivery Reports": what stands in ``status`` of an error's body
REFUSAL_CODES: Mapping[str, tuple[Reason, Retry]] = {
    "106000": (Reason.OTHER, Retry.NEVER),
    "106100": (Reason.CREDENTIALS, Retry.NEVER),
    **dict.fromkeys(("106101", "106102"), (Reason.ACCOUNT, Retry.NEVER)),
    **dict.fromkeys(("106200", "106201", "106202", "106300", "106301"), (Reason.CONFIGURATION, Retry.NEVER)),
}
# "HTTP Methods" of the same; 404, 420 and 429 are not in it.
REFUSAL_STATUSES: Mapping[int, tuple[Reason, Retry]] = {
    401: (Reason.CREDENTIALS, Retry.NEVER),
    403: (Reason.ACCOUNT, Retry.NEVER),
    404: (Reason.CONFIGURATION, Retry.NEVER),
    420: (Reason.THROTTLED, Retry.LATER),
    429: (Reason.THROTTLED, Retry.LATER),
}

SOURCE_TYPES = MappingProxyType(
    {
        SenderType.SHORT_CODE: "SHORTNUMBER",
        SenderType.LONG_CODE: "MSISDN",
        SenderType.ALPHANUMERIC: "ALPHANUMERIC",
    }
)
"""LINK takes a sender without ``sourceTON`` for an alphanumeric one."""
SUPPORT_WORDS = MappingProxyType(
    {
        "en": {
            "subject": "SMS REST API: gates for delivery reports and replies, platformPartnerId {partner}",
            "callbackPassword": (
                '\n   Basic authentication with the user name "{user}"; the password follows by a safe channel.'
            ),
            "callbackSecret": "\n   Header {header} (http.header1); its value follows by a safe channel.",
            "text": """Dear LINK Mobility support,

we send SMS over the SMS REST API of your Common platform. Please

1. confirm our account: host {host}, login {login}, platformId {platform}, platformPartnerId {partner};

2. create two gates with one destination each, and tell us their gate ids:
   Delivery reports: {report}
   Replies (MO): {inbound}
   Both: HTTP POST, content type application/json, acknowledge off, ttl {hours} hours.{proofs}

3. route these numbers and all their keywords to the gate for replies: {numbers}
   This includes the DEFAULT keyword and the notifications (notifyStop) of shared STOP keywords;

4. tell us how many messages a second we may send, from which addresses your gates call, and whether a message sent
   again with the same refId is recognised.

Kind regards""",
        },
        "de": {
            "subject": "SMS REST API: Gates für Zustellberichte und Antworten, platformPartnerId {partner}",
            "callbackPassword": (
                "\n   Basic Authentication mit dem Benutzernamen „{user}“; das Passwort folgt auf sicherem Weg."
            ),
            "callbackSecret": "\n   Header {header} (http.header1); sein Wert folgt auf sicherem Weg.",
            "text": """Guten Tag,

wir versenden SMS über die SMS REST API Ihrer Common-Plattform. Bitte

1. bestätigen Sie unser Konto: Host {host}, Login {login}, platformId {platform}, platformPartnerId {partner};

2. legen Sie zwei Gates mit je einem Ziel an und nennen Sie uns die Gate-IDs:
   Zustellberichte: {report}
   Antworten (MO): {inbound}
   Beide: HTTP POST, Content-Type application/json, acknowledge aus, ttl {hours} Stunden.{proofs}

3. leiten Sie diese Nummern mit allen Keywords auf das Gate für Antworten: {numbers}
   Dazu gehören das Keyword DEFAULT und die Benachrichtigungen (notifyStop) gemeinsam genutzter STOP-Keywords;

4. nennen Sie uns die erlaubten Nachrichten pro Sekunde, die Adressen, von denen Ihre Gates senden, und ob eine
   Nachricht erkannt wird, die mit derselben refId noch einmal gesendet wird.

Mit freundlichen Grüßen""",
        },
    }
)
GATE_NOT_FOUND = "103304"
REPORTS_KEPT = timedelta(hours=48)
_SHORT_CODE = re.compile(r"[A-Z]{2}-(\d+)", re.ASCII)
_PART_ID = re.compile(r"(?s)(.*)\$(\d{1,4})", re.ASCII)
_COUNT = re.compile(r"\d{1,4}", re.ASCII)
_TOO_HIGH = re.compile("[\U00010000-\U0010ffff]")
_DETAIL_LENGTH = 300
_OK, _CREATED, _NO_CONTENT, _BAD_REQUEST, _UNAUTHORIZED = 200, 201, 204, 400, 401
_CLIENT_ERROR, _SERVER_ERROR = 400, 500
_TOKEN_MARGIN = 60.0
_JSON = "application/json"
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
        try:
            body = orjson.loads(callback.body)
        except ValueError as error:
            raise MalformedError("The body is not JSON. Does the gate's destination say application/json?") from error
        if not isinstance(body, dict | list):
            raise MalformedError("The JSON body is neither an object nor a list.")
        read = [_item(item, callback.body) for item in (body if isinstance(body, list) else [body])]
        return Parsed(
            reports=tuple(item for item in read if isinstance(item, DeliveryReport)),
            inbound=tuple(item for item in read if isinstance(item, InboundText)),
            set_aside=tuple(item for item in read if isinstance(item, SetAside)),
        )

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
        return _outcomes(call, await _request(account, http, "POST", "/sms/sendbatch", body))

    async def check(self, account: Account, http: Http) -> Check:
        """Post a batch of no messages: good credentials are told that it is empty, bad ones are refused."""
        answer = await _request(account, http, "POST", "/sms/sendbatch", _batch(account) | {"sendRequestMessages": []})
        if not isinstance(answer, _Answer):
            return Check(ok=False, detail=answer.why if isinstance(answer, Unknown) else answer.detail)
        complains = answer.status == _BAD_REQUEST and "status" in answer.error
        set_up_fault = REFUSAL_CODES.get(answer.code, (Reason.OTHER,))[0] is not Reason.OTHER
        if (answer.status == _OK and answer.body == []) or (complains and not set_up_fault):
            return Check(ok=True, detail="LINK Mobility accepts the credentials.")
        return Check(ok=False, detail=f"LINK Mobility answered {answer.status}: {answer.code} {answer.words}".rstrip())

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
        listed = await _list_gates(account, http)
        done, settings = [], {}
        for setting, kind, url in wanted:
            reference = f"{account.provider}-{kind}"
            found = next((str(gate.get("id")) for gate in listed if gate.get("refId") == reference), "")
            change = _change_gate(account, http, found, url) if found else _make_gate(account, http, reference, url)
            gate, what = await change
            done.append(f"Gate {gate} for {'delivery reports' if kind == 'report' else 'replies'}: {what}.")
            settings[setting] = gate
        routing = "Have LINK's support route numbers and keywords to the gate for replies."
        return Subscribed(" ".join([*done, routing]), settings)


class _Answer:
    """An HTTP answer with its JSON body.

    Attributes:
        status: The HTTP status.
        headers: The headers.
        body: What the JSON says; ``None`` where it was none.
        error: The body where it is an object, as those of errors are.
    """

    def __init__(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers
        try:
            self.body: Any = orjson.loads(body)
        except ValueError:
            self.body = None
        self.error: Mapping[str, Any] = self.body if isinstance(self.body, dict) else {}

    @property
    def code(self) -> str:
        """The error's code, which a refusal has in ``status`` and a message's own entry in ``resultCode``."""
        return _text(self.error.get("status")) or _text(self.error.get("resultCode"))

    @property
    def words(self) -> str:
        """The error's words, shortened."""
        return _words(self.error)


class _Tokens:
    """The access token of one OAuth 2.0 client, fetched when there is none or it is about to end."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token = ""
        self._ends = 0.0

    async def current(self, fetch: Callable[[], Awaitable[_Answer | Refused | Unknown]]) -> str | Refused:
        """Return the token, or why there is none; callers at the same time share one fetch."""
        async with self._lock:
            began = self._clock()
            if self._token and began < self._ends:
                return self._token
            answer = await fetch()
            granted = answer.error if isinstance(answer, _Answer) and answer.status == _OK else {}
            token, lifetime = granted.get("access_token"), granted.get("expires_in")
            if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
                return _no_token(answer)
            self._token = token
            # Without a lifetime it holds until a 401 says otherwise.
            self._ends = began + lifetime - _TOKEN_MARGIN if isinstance(lifetime, int | float) else float("inf")
            return token

    def drop(self, token: str) -> None:
        """Forget a token that was refused, unless there is a newer one already."""
        if self._token == token:
            self._token = ""


def _no_token(answer: _Answer | Refused | Unknown) -> Refused:
    """Say why there is no token; whatever happened, no message was sent."""
    if isinstance(answer, Refused):
        return answer
    if isinstance(answer, Unknown):
        return Refused(Reason.TEMPORARY, Retry.LATER, detail=f"No access token. {answer.why}")
    detail = f"No access token: {answer.words}"[:_DETAIL_LENGTH]
    if not _CLIENT_ERROR <= answer.status < _SERVER_ERROR:
        return Refused(Reason.TEMPORARY, Retry.LATER, None, str(answer.status), detail)
    # https://www.rfc-editor.org/rfc/rfc6749#section-5.2: a client that is not known gets 400 or 401
    credentials = answer.status in {_BAD_REQUEST, _UNAUTHORIZED}
    reason, retry = (Reason.CREDENTIALS, Retry.NEVER) if credentials else _why_refused(answer)
    return Refused(reason, retry, _wait(answer, retry), answer.code or str(answer.status), detail)


async def _request(
    account: Account, http: Http, method: str, path: str, body: Mapping[str, Any] | None = None
) -> _Answer | Refused | Unknown:
    """Make one call, signed with the password or, where there is none, with an access token."""
    settings = account.settings
    base = settings["baseUrl"].rstrip("/")
    data = None if body is None else orjson.dumps(body)
    headers = {"Accept": _JSON} | ({} if data is None else {"Content-Type": _JSON})
    if password := settings.get("password"):
        pair = base64.b64encode(f"{settings.get('username', '')}:{password}".encode()).decode()
        return await _exchange(
            http, http.timeout, method, base + path, headers | {"Authorization": f"Basic {pair}"}, data
        )
    client, secret = settings.get("clientId", ""), settings["clientSecret"]
    tokens = http.keep(("linkmobility", base, client, secret), _Tokens)
    form = urlencode({"grant_type": "client_credentials", "client_id": client, "client_secret": secret}).encode()
    asks = {"Accept": _JSON, "Content-Type": "application/x-www-form-urlencoded"}
    ends = time.monotonic() + http.timeout

    async def fetch() -> _Answer | Refused | Unknown:
        # Half of what is left, so that a slow token leaves time to send.
        return await _exchange(http, (ends - time.monotonic()) / 2, "POST", f"{base}/auth/token", asks, form)

    answer: _Answer | Refused | Unknown
    for _ in range(2):
        token = await tokens.current(fetch)
        if isinstance(token, Refused):
            return token
        signed = headers | {"Authorization": f"Bearer {token}"}
        answer = await _exchange(http, ends - time.monotonic(), method, base + path, signed, data)
        if not isinstance(answer, _Answer) or answer.status != _UNAUTHORIZED:
            break
        tokens.drop(token)
    return answer


async def _exchange(
    http: Http, seconds: float, method: str, url: str, headers: Mapping[str, str], data: bytes | None
) -> _Answer | Refused | Unknown:
    import aiohttp  # noqa: PLC0415 - slow to import

    if seconds <= 0:
        return Refused(Reason.TEMPORARY, Retry.LATER, detail="No time was left for the call.")
    timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=min(10.0, seconds))
    try:
        async with http.session.request(
            method, url, data=data, headers=headers, timeout=timeout, allow_redirects=False
        ) as response:
            return _Answer(response.status, await response.read(), response.headers)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
        return Refused(Reason.TEMPORARY, Retry.LATER, detail=f"No connection: {type(error).__name__}.")
    except TimeoutError:
        return Unknown(f"No answer within {seconds:.3g} s.")
    except (aiohttp.ClientError, OSError) as error:
        return Unknown(f"The connection was lost: {type(error).__name__}.")


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


def _outcomes(call: SendCall, answer: _Answer | Refused | Unknown) -> dict[str, Outcome]:
    """Give each message its entry's outcome by refId, as the order is not promised; the rest share the answer's."""
    if not isinstance(answer, _Answer):
        return {message.id: answer for message in call.messages}
    one = [answer.body] if answer.status == _OK else []
    items = answer.body if isinstance(answer.body, list) else one
    entries = [item for item in items if isinstance(item, dict) and "resultCode" in item]
    alone = len(call.messages) == len(entries) == 1
    found: dict[str, Outcome] = {}
    if answer.status == _OK or (entries and _CLIENT_ERROR <= answer.status < _SERVER_ERROR):
        for entry in entries:
            # The answer about a single message is documented without refId.
            name = _text(entry.get("refId")) or (call.messages[0].id if alone else "")
            outcome = _entry_outcome(entry)
            found[name] = outcome if found.get(name, outcome) == outcome else Unknown("The answer names it twice.")
    rest = Unknown("The answer does not name it.", str(answer.status)) if entries else _whole_outcome(answer)
    return {message.id: found.get(message.id, rest) for message in call.messages}


def _entry_outcome(entry: Mapping[str, Any]) -> Outcome:
    code, words, identity = _text(entry.get("resultCode")), _words(entry), _text(entry.get("messageId"))
    state, reason = REPORT_CODES.get(code, (State.UNKNOWN, Reason.OTHER))
    if reason is None:
        return Accepted(identity) if identity else Unknown("LINK Mobility took it and named no messageId.", code)
    if state is State.UNKNOWN:
        return Unknown(f"LINK Mobility answered {code}: {words}", code)
    return Refused(reason, RETRIES.get(code, Retry.NEVER), None, code, words)


def _whole_outcome(answer: _Answer) -> Outcome:
    if answer.status == _NO_CONTENT:
        # Taken, as with ignoreResponse; reports find the message by its refId.
        return Accepted("")
    if answer.status < _CLIENT_ERROR:
        return Unknown(f"LINK Mobility answered {answer.status} without saying what became of it.", str(answer.status))
    if answer.status >= _SERVER_ERROR:
        return Unknown(f"LINK Mobility answered {answer.status}: {answer.words}", answer.code or str(answer.status))
    reason, retry = _why_refused(answer)
    return Refused(reason, retry, _wait(answer, retry), answer.code or str(answer.status), answer.words)


def _why_refused(answer: _Answer) -> tuple[Reason, Retry]:
    """Return what a 4xx means: by its code, or by the HTTP status where the code says nothing."""
    code = answer.code
    reason, retry = REFUSAL_CODES.get(code, (None, Retry.NEVER))
    if reason is None:
        reason, retry = REPORT_CODES.get(code, (None, None))[1], RETRIES.get(code, Retry.NEVER)
    if reason in {None, Reason.OTHER}:
        return REFUSAL_STATUSES.get(answer.status, (Reason.OTHER, Retry.NEVER))
    return reason or Reason.OTHER, retry


def _wait(answer: _Answer, retry: Retry) -> float | None:
    return retry_after(answer.headers.get("Retry-After"), datetime.now(UTC)) if retry is Retry.LATER else None


def _item(item: Any, body: bytes) -> DeliveryReport | InboundText | SetAside:
    if not isinstance(item, dict):
        return SetAside("It is not an object.", _written(item, body))
    if "content" in item or ("route" in item and "resultCode" not in item):
        return _inbound(item, body)
    return _report(item, body)


def _report(item: dict[str, Any], body: bytes) -> DeliveryReport | SetAside:
    vendor_id, part = _without_part(_text(item.get("id")), item.get("segments"))
    message = _text(item.get("refId"))
    if not vendor_id and not message:
        return SetAside("It names neither refId nor id.", _written(item, body))
    code = _text(item.get("resultCode"))
    state, reason = REPORT_CODES.get(code, (State.UNKNOWN, Reason.OTHER))
    return DeliveryReport(
        state=state,
        reason=reason,
        vendor_id=vendor_id,
        message=message,
        code=code,
        at=_time(item.get("timestamp")),
        part=part,
        raw=item,
    )


def _inbound(item: dict[str, Any], body: bytes) -> InboundText | SetAside:
    vendor_id, person, ours = (_text(item.get(name)) for name in ("messageId", "source", "destination"))
    if not (vendor_id and person and ours):
        return SetAside("It names no messageId, source or destination.", _written(item, body))
    content, route = (value if isinstance(value, dict) else {} for value in (item.get("content"), item.get("route")))
    stopped = route.get("shared") is True and _text(route.get("keyword")).upper() == "STOP"
    return InboundText(
        vendor_id=vendor_id,
        sender=person,
        recipient=_bare(ours),
        text=_text(content.get("userData")),
        at=_time(item.get("timestamp")),
        # A shared STOP keyword is LINK's own opt-out service; other keywords are the customer's.
        consent="stop" if stopped else "",
        raw=item,
    )


def _without_part(identity: str, segments: Any) -> tuple[str, Part | None]:
    """Return the message's id and the part it speaks of: each part of a long text has ``$`` and its number from 0."""
    match = _PART_ID.fullmatch(identity)
    if match is None:
        return identity, None
    number, count = int(match[2]) + 1, _text(segments)
    return match[1], Part(number, max(number, int(count) if _COUNT.fullmatch(count) else 1))


def _bare(address: str) -> str:
    """Return a short code as senders have it: replies name ``NO-2333``, while messages are sent from ``2333``."""
    match = _SHORT_CODE.fullmatch(address)
    return match[1] if match else address


def _text(value: Any) -> str:
    """Return a text or a number as text, and everything else as an empty one."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _words(entry: Mapping[str, Any]) -> str:
    """Return the words of an entry or an error, which editions and OAuth 2.0 name differently, shortened."""
    names = ("description", "message", "error_description", "error")
    return next((text for name in names if (text := _text(entry.get(name)))), "")[:_DETAIL_LENGTH]


def _written(item: Any, body: bytes) -> str:
    try:
        return orjson.dumps(item).decode()
    except TypeError:  # nested deeper than orjson writes
        return body.decode(errors="replace")


def _time(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _gates(account: Account) -> str:
    platform, partner = (quote(account.settings[name], safe="") for name in ("platformId", "platformPartnerId"))
    return f"/gate/partnergate/platform/{platform}/partner/{partner}"


def _destination(account: Account, url: str) -> dict[str, Any]:
    settings = account.settings
    destination: dict[str, Any] = {"url": url, "contentType": _JSON}
    if password := settings.get("callbackPassword"):
        destination |= {"username": settings.get("callbackUser", ""), "password": password}
    if secret := settings.get("callbackSecret"):
        destination["customParameters"] = {"http.header1": f"{PROOF_HEADER}:{secret}"}
    return destination


async def _list_gates(account: Account, http: Http) -> Sequence[Mapping[str, Any]]:
    answer = await _request(account, http, "GET", _gates(account))
    if isinstance(answer, _Answer) and answer.status == _OK and isinstance(answer.body, list):
        return [gate for gate in answer.body if isinstance(gate, dict)]
    if isinstance(answer, _Answer) and answer.code == GATE_NOT_FOUND:
        return []
    raise _gate_error(account, "list the gates", answer)


async def _change_gate(account: Account, http: Http, gate: str, url: str) -> tuple[str, str]:
    path = f"{_gates(account)}/id/{quote(gate, safe='')}"
    answer = await _request(account, http, "GET", path)
    if not isinstance(answer, _Answer) or answer.status != _OK or not answer.error:
        raise _gate_error(account, "read the gate", answer)
    wanted = {"destinations": [_destination(account, url)]}
    if answer.error.get("destinations") == wanted["destinations"]:
        return gate, "kept as it was"
    answer = await _request(account, http, "PUT", path, {**answer.error, **wanted})
    if not isinstance(answer, _Answer) or answer.status not in {_OK, _NO_CONTENT}:
        raise _gate_error(account, "change the gate", answer)
    return gate, "corrected"


async def _make_gate(account: Account, http: Http, reference: str, url: str) -> tuple[str, str]:
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
    answer = await _request(account, http, "POST", "/gate/partnergate", body)
    if not isinstance(answer, _Answer) or answer.status != _CREATED:
        raise _gate_error(account, "make a gate", answer)
    gate = unquote(answer.headers.get("Location", "").rstrip("/").rpartition("/")[2])
    if not gate:
        raise SubscribeError("LINK Mobility made a gate and did not say which; subscribe again to find it.")
    return gate, "made"


def _gate_error(account: Account, what: str, answer: _Answer | Refused | Unknown) -> SubscribeError:
    """Return what LINK answered, without the secrets that it may quote from the request."""
    if isinstance(answer, _Answer):
        said = f"answered {answer.status} {answer.code} {answer.words}".rstrip(" .") + "."
    else:
        said = f"did not answer: {answer.why if isinstance(answer, Unknown) else answer.detail}"
    for setting in DESCRIPTION.settings:
        if setting.secret and (value := account.settings.get(setting.name)):
            said = said.replace(value, "…")
    return SubscribeError(
        f"Asked to {what}, LINK Mobility {said} If the account may not use the Gate API, send the prepared text to its "
        "support."
    )


vendor = LinkMobility()
