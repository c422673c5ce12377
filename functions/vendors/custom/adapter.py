"""The adapter of the vendor that is described by configuration alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson

from functions.vendors import contract
from functions.vendors.contract import (
    TOKEN,
    Account,
    Callback,
    Capabilities,
    Description,
    Http,
    HttpRequest,
    MalformedError,
    NotAuthenticError,
    Outcome,
    Parsed,
    Reason,
    Refused,
    SendCall,
    SenderRule,
    SenderType,
    Setting,
    SettingError,
    SettingType,
    SetupStep,
    Unknown,
    Vendor,
    Wiring,
)
from functions.vendors.custom.answers import Answer, check_of, outcome_of, read_callback, redactor
from functions.vendors.custom.definition import SETTING, Definition, read_definition
from functions.vendors.custom.faults import SLOWEST, faults
from functions.vendors.custom.fields import origin
from functions.vendors.custom.paths import UNREADABLE, Document
from functions.vendors.custom.request import (
    NOT_IN_XML,
    Built,
    build,
    credential_values,
    message_values,
    shown_credentials,
)
from functions.vendors.custom.signature import check_signature
from functions.vendors.custom.template import CREDENTIAL_NAME, UnfitError, credentials_in
from functions.vendors.exchange import HttpAnswer, exchange, why
from functions.vendors.proofs import (
    CALLBACK_BASIC,
    CALLBACK_HEADER,
    CALLBACK_SOURCES,
    CALLBACK_TOKEN,
    check_basic,
    check_header,
    check_token,
)

CREDENTIALS, CREDENTIALS_SECONDARY = "credentials", "credentialsSecondary"
_EXAMPLE = {
    "name": "Example SMS",
    "request": {
        "method": "POST",
        "url": "https://api.example.com/sms",
        "bearer": "{credentials.token}",
        "json": {"from": "{sender}", "to": "{to}", "text": "{text}", "reference": "{messageId}"},
    },
    "success": {"statuses": [201], "id": "id"},
}
DESCRIPTION = Description(
    name="custom",
    title="Custom vendor",
    docs="https://www.rfc-editor.org/rfc/rfc9110",
    notice=(
        "Any SMS API over HTTP, described by configuration: docs/custom-vendor.md. Try the description with a dry run. "
        "A send whose answer is lost stays unknown until a report comes that names the gateway's own message id."
    ),
    settings=(
        Setting(
            name=SETTING,
            type=SettingType.JSON,
            required=True,
            help="The description of the API as a JSON object; docs/custom-vendor.md explains each member.",
            example=orjson.dumps(_EXAMPLE).decode(),
        ),
        Setting(
            name=CREDENTIALS,
            type=SettingType.JSON,
            required=True,
            secret=True,
            help="The credentials by the names that the definition calls them, as a JSON object of texts.",
            example='{"token": "correct-horse-battery-staple"}',
        ),
        Setting(
            name=CREDENTIALS_SECONDARY,
            type=SettingType.JSON,
            secret=True,
            secondary_of=CREDENTIALS,
            help="The other credentials while they are being changed; used when the first ones are refused.",
            example='{"token": "staple-battery-horse-correct"}',
        ),
        *CALLBACK_TOKEN,
        *CALLBACK_BASIC,
        *CALLBACK_HEADER,
        CALLBACK_SOURCES,
    ),
    senders=(
        SenderRule(SenderType.LONG_CODE, two_way=True, note="Whether people can reply is up to the vendor."),
        SenderRule(SenderType.SHORT_CODE, two_way=True, note="Whether the vendor itself acts on STOP is up to it."),
        SenderRule(SenderType.TOLL_FREE, two_way=True, note="Must be verified first where carriers demand it."),
        SenderRule(SenderType.ALPHANUMERIC, two_way=False, note="One-way; some countries want it registered."),
    ),
    capabilities=Capabilities(
        recipients_per_call=1,
        one_text_per_call=True,
        calls_at_once=10,
        # That a repeated id is recognised cannot be told of an API that is only described.
        replay_window=timedelta(0),
        lookup=False,
        status_query=False,
        max_text_length=4096,
        validity=(1, 259_200),
        reports=True,
        inbound=True,
        correlation="Our message id where the definition has the vendor echo it, else the vendor's own id",
        callback_authentication="A token in the address; Basic, a secret header or an HMAC too where they are set up",
    ),
    callback_methods=("POST", "GET"),
)
_MOST_BYTES = 64 * 1024
_WITHOUT_PROOF = "The check sent no credential; docs/custom-vendor.md, under check, says how it takes the request's."
_CREDENTIAL_NAME = re.compile(CREDENTIAL_NAME)


def _now() -> datetime:
    return datetime.now(UTC)


class Custom(Vendor):
    """A vendor that is described by configuration alone.

    Args:
        clock: The time now, from which a message's end of validity is counted.
    """

    description = DESCRIPTION

    def __init__(self, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock

    def check_settings(self, settings: Mapping[str, str]) -> Sequence[SettingError]:
        """Return what is wrong with the definition, and with the credentials that it asks for."""
        found = faults(settings[SETTING]) if settings.get(SETTING) else []
        asked = frozenset() if found or not settings.get(SETTING) else read_definition(settings[SETTING]).credentials
        for name in (CREDENTIALS, CREDENTIALS_SECONDARY):
            if settings.get(name):
                found += _credential_faults(name, settings[name], asked)
        return found

    def addresses(self, settings: Mapping[str, str]) -> Mapping[str, str]:
        """Return the hosts that the definition calls."""
        definition = _definition(settings)
        if definition is None:
            return {}
        calls = {"request": definition.request} | ({"check": definition.check} if definition.check else {})
        return {f"{SETTING}/{name}/url": origin(call.url) for name, call in calls.items()}

    def text_objection(self, text: str, settings: Mapping[str, str]) -> str:
        """Return why a text is too long for the vendor or cannot stand in its XML, or an empty text."""
        definition = _definition(settings)
        if definition is None:
            return "The provider has no definition that can be read."
        longest = definition.limits.max_text_length
        if longest and len(text) > longest:
            return f"{definition.name} takes at most {longest} characters; this text has {len(text)}."
        if definition.request.xml is not None and (found := NOT_IN_XML.search(text)):
            return f"{definition.name} is sent XML, which cannot carry U+{ord(found[0]):04X}; leave it out."
        return ""

    def calls_per_second(self, settings: Mapping[str, str]) -> float | None:
        """Return the limit that the definition gives."""
        definition = _definition(settings)
        limit = definition.limits.calls_per_second if definition else None
        # What is rarer than any clock can count would end every send.
        return max(limit, SLOWEST) if limit else None

    def reports_by_vendor_id(self, settings: Mapping[str, str]) -> bool:
        """Tell whether the definition does not say where reports carry our id."""
        definition = _definition(settings)
        return bool(definition and definition.report and definition.report.message is None)

    def dry_run(self, settings: Mapping[str, str], call: SendCall) -> HttpRequest | None:
        """Return the request with the credentials' names in their place; the callback token is left out too."""
        definition = _definition(settings)
        if definition is None:
            return None
        masked = replace(call, report_url=re.sub(r"(?<=/report/)[^/?]+$", TOKEN, call.report_url))
        try:
            values = message_values(definition, masked, call.messages[0], {}, self._clock())
            built = build(definition.request, values | shown_credentials(definition))
        except UnfitError as error:
            return HttpRequest(definition.request.method, "", {}, f"No request: {error}")
        return HttpRequest(built.method, built.url, built.headers, built.body)

    def verify(self, callback: Callback, account: Account) -> None:
        """Check the token in the path, and each further proof that is set up."""
        check_token(callback, account)
        check_basic(callback, account)
        check_header(callback, account)
        definition = _definition(account.settings)
        if definition is None:
            raise NotAuthenticError("The definition cannot be read.")
        if definition.callbacks.signature:
            values = credential_values(_credentials(account))
            check_signature(definition.callbacks.signature, callback, values)

    def parse(self, callback: Callback) -> Parsed:
        """Read a callback as the definition says."""
        definition = _definition(callback.settings)
        if definition is None:
            raise MalformedError("The provider has no definition.")
        return read_callback(definition, callback)

    def answer(self, callback: Callback) -> contract.Answer:
        """Return the answer that the definition gives."""
        definition = _definition(callback.settings)
        posted = None
        if definition:
            posted = definition.report if callback.kind == "report" else definition.inbound
        if posted is None:
            return contract.Answer()
        return contract.Answer(posted.answer.status, posted.answer.content_type, posted.answer.body)

    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        """Make one request."""
        (message,) = call.messages
        definition = _definition(account.settings)
        if definition is None:
            return {message.id: Refused(Reason.CONFIGURATION, detail="The definition cannot be read.")}
        if definition.senders and call.sender.type not in definition.senders:
            detail = f"The definition names no {call.sender.type.value} senders."
            return {message.id: Refused(Reason.INVALID_SENDER, detail=detail)}
        credentials = _credentials(account)
        try:
            values = message_values(definition, call, message, credentials, self._clock())
            built = build(definition.request, values)
        except UnfitError as error:
            return {message.id: Refused(Reason.CONFIGURATION, detail=str(error))}
        answer = await _ask(http, built, definition)
        if not isinstance(answer, Answer):
            return {message.id: answer}
        # The vendor was told the token too, and it may not be the account's first: tokens are rotated.
        tokens = (account.settings.get(TOKEN, ""), call.report_url.rpartition("/")[2])
        return {message.id: outcome_of(definition, answer, _redactor([*credentials.values(), *tokens], built))}

    async def check(self, account: Account, http: Http) -> contract.Check:
        """Make the request that the definition has for this."""
        definition = _definition(account.settings)
        check = definition.checking if definition else None
        if definition is None or check is None:
            return contract.Check(ok=False, detail="The definition has no `check`, so the credentials were not tried.")
        credentials = _credentials(account)
        try:
            built = build(check, credential_values(credentials))
        except UnfitError as error:
            return contract.Check(ok=False, detail=str(error))
        answer = await _ask(http, built, definition)
        if not isinstance(answer, Answer):
            return contract.Check(ok=False, detail=why(answer))
        found = check_of(definition, check.success, answer, _redactor(credentials.values(), built))
        if not found.ok and not credentials_in(check.names):
            return contract.Check(ok=False, detail=f"{_WITHOUT_PROOF} {found.detail}")
        return found

    def set_up(self, wiring: Wiring) -> tuple[SetupStep, ...]:
        """Return the definition's own steps, then both addresses."""
        definition = _definition(wiring.settings)
        name = definition.name if definition else "the vendor"
        values = {"reportUrl": wiring.urls.report, "inboundUrl": wiring.urls.inbound}
        steps = definition.callbacks.set_up if definition else []
        own = tuple(SetupStep(f"At {name}", step.fill(values)) for step in steps)
        if definition and "reportUrl" in definition.request.names:
            report = "Each message names this address; nothing needs to be set."
        else:
            report = "Set this address where the vendor is to post delivery reports."
        return (
            *own,
            SetupStep("Delivery reports", report, wiring.urls.report),
            SetupStep("Replies", "Set this address where the vendor is to post what people send.", wiring.urls.inbound),
        )


def _definition(settings: Mapping[str, str]) -> Definition | None:
    try:
        return read_definition(settings[SETTING])
    except (KeyError, ValueError):
        return None


def _credentials(account: Account) -> dict[str, str]:
    try:
        found = orjson.loads(account.settings.get(CREDENTIALS) or "{}")
    except ValueError:
        return {}
    return {name: value for name, value in found.items() if isinstance(value, str)} if isinstance(found, dict) else {}


def _credential_faults(setting: str, text: str, asked: frozenset[str]) -> list[SettingError]:
    """Return what is wrong with credentials, without a word of them."""
    try:
        found = orjson.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        return [SettingError(setting, 'Give a JSON object of texts, such as {"token": "..."}.')]
    if not all(_CREDENTIAL_NAME.fullmatch(name) for name in found):
        return [SettingError(setting, "A name has letters, digits and _, begins with a letter, and has at most 40.")]
    wrong = [name for name, value in found.items() if not isinstance(value, str) or not value]
    return [SettingError(f"{setting}/{name}", "It must be a text that is not empty.") for name in wrong] + [
        SettingError(f"{setting}/{name}", "The definition asks for it.") for name in sorted(asked - found.keys())
    ]


def _redactor(secrets: Iterable[str], built: Built) -> Callable[[str], str]:
    authorization = built.headers.get("Authorization", "")
    return redactor([*secrets, authorization, authorization.rpartition(" ")[2]])


async def _ask(http: Http, built: Built, definition: Definition) -> Answer | Refused | Unknown:
    from yarl import URL  # noqa: PLC0415 - slow to import

    found = await exchange(
        http,
        built.method,
        URL(built.url, encoded=True),
        # What is small on the wire must not become large here.
        headers={"Accept-Encoding": "identity", **built.headers},
        data=built.body.encode() or None,
        longest=_MOST_BYTES,
    )
    if not isinstance(found, HttpAnswer):
        return found
    whole = len(found.content) < _MOST_BYTES
    headers = {"content-type": found.headers.get("Content-Type", "")}
    return Answer(found, Document(definition.answer_format if whole else UNREADABLE, found.content, headers=headers))
