"""What the gateway asks of a vendor, and the words both sides use.

A vendor describes itself (settings, sender types, capabilities) and translates between its own wire format and these
types. It keeps no state, decides no policy and never retries: it says what happened, the gateway decides what follows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

if TYPE_CHECKING:
    import aiohttp
    from azure.core.credentials_async import AsyncTokenCredential

T = TypeVar("T")


class State(StrEnum):
    """What is known of a message; the ranks and the folding rules stand in ``gateway.states``."""

    QUEUED = "queued"
    """Accepted by the gateway, not yet by the vendor."""
    SENT = "sent"
    """Accepted by the vendor or handed to the carrier."""
    DELIVERED = "delivered"
    """The carrier reports that the handset has it."""
    UNDELIVERED = "undelivered"
    """The carrier could not deliver it."""
    FAILED = "failed"
    """The vendor took it and then could not send it."""
    REJECTED = "rejected"
    """Refused by the gateway, the vendor or the carrier; sending it again unchanged will not help."""
    EXPIRED = "expired"
    """Its validity period ended before it was delivered."""
    UNKNOWN = "unknown"
    """Nobody can tell: no answer, no report, or one that says as much."""


class Reason(StrEnum):
    """Why a message did not arrive: the closed list that every vendor's codes are mapped to."""

    INVALID_RECIPIENT = "invalid_recipient"
    """The number does not exist or cannot receive texts."""
    UNREACHABLE = "unreachable"
    """The handset is off, out of coverage or full."""
    UNROUTABLE = "unroutable"
    """The vendor has no way to this destination, or it is not enabled for the account."""
    OPTED_OUT = "opted_out"
    """The recipient asked not to be texted."""
    INVALID_SENDER = "invalid_sender"
    """The sender does not belong to the account or may not be used here."""
    SENDER_UNREGISTERED = "sender_unregistered"
    """The sender lacks a registration or verification that the destination demands."""
    CARRIER_BLOCKED = "carrier_blocked"
    """The carrier refuses it."""
    FILTERED = "filtered"
    """Held to be spam or fraud by the vendor or the carrier."""
    INVALID_CONTENT = "invalid_content"
    """The text is too long, empty or not sendable."""
    THROTTLED = "throttled"
    """Too many messages at once."""
    QUOTA = "quota"
    """A daily or monthly allowance is used up."""
    CREDENTIALS = "credentials"
    """The vendor does not accept the provider's credentials."""
    ACCOUNT = "account"
    """The account is suspended, out of credit or not allowed to do this."""
    CONFIGURATION = "configuration"
    """A setting of the provider or of the gateway is wrong."""
    TEMPORARY = "temporary"
    """The vendor or the carrier had a passing fault."""
    EXPIRED = "expired"
    """Not delivered within its validity period."""
    CANCELED = "canceled"
    """Taken back before it was sent."""
    NO_ANSWER = "no_answer"
    """The vendor was called and did not answer, so nobody knows yet."""
    NO_REPORT = "no_report"
    """The carrier gives no delivery report."""
    OTHER = "other"
    """The vendor gave a reason that is not on this list; its own words are kept beside it."""


class SenderType(StrEnum):
    """What kind of address a text comes from."""

    TOLL_FREE = "toll_free"
    SHORT_CODE = "short_code"
    LONG_CODE = "long_code"
    ALPHANUMERIC = "alphanumeric"


class Category(StrEnum):
    """Why a message is sent; rules for marketing are stricter."""

    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


class SettingType(StrEnum):
    """How a setting is checked and shown."""

    TEXT = "text"
    URL = "url"
    CONNECTION_STRING = "connection_string"
    NETWORKS = "networks"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a provider at this vendor: forms, validation, OpenAPI and redaction read this.

    Args:
        name: The JSON name.
        help: Where the operator finds the value and what it is for.
        example: A value of the right shape that belongs to nobody.
        type: How it is checked.
        required: Must be there before the provider can be finished.
        secret: Kept in the secret store only and never shown.
        pattern: A regular expression the whole value must match.
        secondary_of: The setting this one stands in for while a secret is being rotated.
        callback: Only proves callbacks; no call to the vendor needs it.
        generated: The gateway makes its value; nobody sets it.
    """

    name: str
    help: str
    example: str
    type: SettingType = SettingType.TEXT
    required: bool = False
    secret: bool = False
    pattern: str | None = None
    secondary_of: str | None = None
    callback: bool = False
    generated: bool = False


@dataclass(frozen=True, slots=True)
class SenderRule:
    """A sender type that the vendor supports.

    Args:
        type: The type.
        two_way: Whether people can reply to it.
        countries: ISO 3166 codes it reaches, others are refused before sending; empty for no limit known.
        per_minute: Messages a minute that the vendor allows by default; ``None`` where it gives no figure.
        note: What an operator should know before choosing it.
        pattern: A regular expression that the whole address must match at this vendor, beside the rules of its type.
    """

    type: SenderType
    two_way: bool
    countries: tuple[str, ...] = ()
    per_minute: int | None = None
    note: str = ""
    pattern: str | None = None


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the vendor can do, as data.

    Args:
        recipients_per_call: The most recipients one call takes.
        one_text_per_call: Whether all recipients of a call get the same text.
        calls_at_once: How many calls the gateway keeps in flight for one batch.
        replay_window: How long the vendor recognises a repeated message id, so that sending it again is safe; zero for
            never.
        lookup: Whether the vendor's log can settle a message whose answer was lost.
        lookup_by_id: Whether that log is searched by our message id, so that no other message can be taken for it.
        status_query: Whether the vendor can be asked for a message's state, for when its reports do not arrive.
        max_text_length: Longest text in characters.
        validity: Shortest and longest validity period in seconds; ``None`` when the vendor has none.
        reports: Whether delivery reports come back.
        inbound: Whether replies come back.
        correlation: How a report finds its message.
        callback_authentication: How a callback is authenticated.
        subscribes: Whether callbacks can be set up by a call to the vendor.
    """

    recipients_per_call: int
    one_text_per_call: bool
    calls_at_once: int
    replay_window: timedelta
    lookup: bool
    status_query: bool
    max_text_length: int
    validity: tuple[int, int] | None
    reports: bool
    inbound: bool
    correlation: str
    callback_authentication: str
    subscribes: bool = False
    lookup_by_id: bool = False


@dataclass(frozen=True, slots=True)
class Description:
    """Everything about a vendor that is not code.

    Args:
        name: The vendor's word in the API.
        title: The name as people know it.
        docs: The vendor's own reference.
        settings: The settings of a provider.
        one_of: At least one of these settings must be given; empty when ``required`` says all.
        senders: The sender types it supports.
        capabilities: What it can do.
        event_types: The Event Grid event types it sends; empty for vendors that post to HTTP.
        notice: What an operator must know before choosing it, such as a retirement.
        callback_methods: The HTTP methods it calls back with.
        published_sources: The networks its callbacks come from, as it publishes them.
    """

    name: str
    title: str
    docs: str
    settings: tuple[Setting, ...]
    senders: tuple[SenderRule, ...]
    capabilities: Capabilities
    one_of: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()
    notice: str = ""
    callback_methods: tuple[str, ...] = ("POST",)
    published_sources: tuple[str, ...] = ()

    def sender_rule(self, kind: SenderType) -> SenderRule | None:
        """Return the rule for a sender type, or ``None`` when the vendor does not support it."""
        return next((rule for rule in self.senders if rule.type is kind), None)


@dataclass(frozen=True, slots=True)
class Account:
    """One provider's settings, secrets included, in one of the variants that are valid while a secret is rotated.

    Args:
        provider: The provider's id.
        settings: The settings by name.
    """

    provider: str
    settings: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sender:
    """The address a message is sent from: E.164 with plus, a bare short code, or an alphanumeric id."""

    type: SenderType
    address: str


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One text to one recipient.

    Args:
        id: The gateway's message id; letters, digits, ``.`` and ``-``.
        to: E.164 with plus.
        text: The text.
    """

    id: str
    to: str
    text: str


@dataclass(frozen=True, slots=True)
class SendCall:
    """What one vendor call sends.

    Args:
        batch: The id of the batch; a recipient occurs once in a batch, so batch and recipient name a message.
        sender: Where it comes from.
        messages: 1 to ``recipients_per_call`` messages; all of one text where the vendor wants that.
        first_attempt: When the first attempt began whose outcome is not known to be a refusal; the same for every
            replay.
        validity: Seconds from now until the messages are worthless, or ``None``.
        report_url: Where the vendor should post delivery reports; the gateway's message or batch id may be added.
        category: Why it is sent.
    """

    batch: str
    sender: Sender
    messages: tuple[Outgoing, ...]
    first_attempt: datetime
    validity: int | None
    report_url: str
    category: Category = Category.TRANSACTIONAL


@dataclass(frozen=True, slots=True)
class Accepted:
    """The vendor took the message."""

    vendor_id: str


class Retry(StrEnum):
    """What may be tried after a refusal."""

    NEVER = "never"
    LATER = "later"
    OTHER_SENDER = "other_sender"


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was sent, and that is certain.

    Args:
        reason: On the closed list.
        retry: Whether trying again can help.
        after: Seconds the vendor asked to wait; only with ``Retry.LATER``.
        code: The vendor's own code.
        detail: The vendor's own words, shortened.
    """

    reason: Reason
    retry: Retry = Retry.NEVER
    after: float | None = None
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message may or may not have been sent."""

    why: str
    code: str = ""


Outcome = Accepted | Refused | Unknown


@dataclass(frozen=True, slots=True)
class Callback:
    """An HTTP request from a vendor, as it arrived.

    Args:
        kind: ``report`` or ``inbound``.
        url: The public address it was posted to: the configured base plus the path and query as received.
        query: Query parameters in order.
        headers: Names in lower case.
        body: The raw bytes.
        method: The HTTP method.
        token: The token in its path, if any.
        settings: The provider's settings without the secrets, for vendors whose wire format is configured.
    """

    kind: str
    url: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    method: str = "POST"
    token: str = field(default="", repr=False)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Event:
    """An Event Grid event, whichever schema it came in.

    Args:
        id: The event's id.
        type: The event type.
        source: The topic (Event Grid schema) or source (CloudEvents).
        data: The ``data`` object.
    """

    id: str
    type: str
    source: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a long message that a report speaks of.

    Args:
        number: Which one, from 1.
        count: How many parts the message has.
    """

    number: int
    count: int


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a vendor says became of a message, or of one part of it.

    Args:
        state: Our word for it.
        vendor_id: The vendor's id of the message.
        message: The gateway's message id, where the vendor echoes it.
        batch: The gateway's batch id, where the vendor echoes that; the recipient then names the message.
        recipient: E.164 with plus, where the report has it.
        reason: Why it did not arrive; ``None`` when it did or may still.
        code: The vendor's own code.
        status: The vendor's own word.
        detail: The vendor's own sentence.
        at: When it happened, by the vendor's clock.
        part: Which part it speaks of, where the vendor reports each; the message is delivered when all its parts are.
        raw: The item as it came.
    """

    state: State
    vendor_id: str
    message: str = ""
    batch: str = ""
    recipient: str = ""
    reason: Reason | None = None
    code: str = ""
    status: str = ""
    detail: str = ""
    at: datetime | None = None
    part: Part | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InboundText:
    """A text that a person sent to one of our senders.

    Args:
        vendor_id: The vendor's id of it.
        sender: The person's number: E.164 with plus, or a short code.
        recipient: Our sender's address.
        text: The text as it came.
        at: When the vendor received it, by the vendor's clock.
        account: The vendor's name of the account it belongs to, where the callback does not name the provider.
        consent: ``stop``, ``start`` or ``help`` where the vendor already took it for one, in whatever language.
        raw: The item as it came.
    """

    vendor_id: str
    sender: str
    recipient: str
    text: str
    at: datetime | None = None
    account: str = ""
    consent: str = ""
    raw: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SetAside:
    """An item of a callback that could not be read; the rest of the callback went on."""

    why: str
    raw: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a callback or an event said."""

    reports: tuple[DeliveryReport, ...] = ()
    inbound: tuple[InboundText, ...] = ()
    set_aside: tuple[SetAside, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the vendor expects back when a callback was taken."""

    status: int = 204
    content_type: str = "text/plain"
    body: str = ""


TOKEN = "callbackToken"  # noqa: S105 - the name of a setting
"""The setting whose value is the last part of the callback addresses, at vendors that sign nothing."""
TOKEN_SECONDARY = "callbackTokenSecondary"  # noqa: S105 - the name of a setting
"""The same before the last rotation."""


@dataclass(frozen=True, slots=True)
class CallbackUrls:
    """The gateway's addresses for one provider; for Event Grid vendors, the functions' names."""

    report: str
    inbound: str
    report_function: str
    inbound_function: str


@dataclass(frozen=True, slots=True)
class Wiring:
    """What has to be known to say, or to set up, where a vendor calls back.

    Args:
        urls: The gateway's addresses for the provider.
        settings: The provider's settings without the secrets.
        secrets: The names of the secret settings that have a value.
        senders: The provider's senders.
    """

    urls: CallbackUrls
    settings: Mapping[str, str] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    senders: tuple[Sender, ...] = ()


@dataclass(frozen=True, slots=True)
class SupportText:
    """A text ready to be sent to the vendor's support; passwords never stand in it.

    Args:
        language: ``en`` or ``de``.
        subject: The subject of the mail.
        text: The mail.
    """

    language: str
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """What was set up at the vendor.

    Args:
        detail: What was done and what is left to do, in a sentence or two.
        settings: Settings of the provider that follow from it, such as an id that the vendor gave; the gateway saves
            them.
    """

    detail: str
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A request as it would be sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One thing an operator does at the vendor, in order.

    Args:
        title: What to do.
        detail: Where and how.
        value: What to paste there, if anything.
    """

    title: str
    detail: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What a live check of the credentials found."""

    ok: bool
    detail: str


class NotAuthenticError(Exception):
    """The callback did not prove that it comes from the vendor; the message says what was missing."""


class MalformedError(Exception):
    """The callback could not be read at all; the message says why."""


class SettingError(ValueError):
    """A setting does not fit together with the others.

    Args:
        setting: The name of the setting; for one that holds JSON, followed by the path to the fault with slashes.
        detail: What is wrong and what would be right.
    """

    def __init__(self, setting: str, detail: str) -> None:
        super().__init__(detail)
        self.setting = setting
        self.detail = detail


class SubscribeError(Exception):
    """The vendor did not set the callbacks up; the message says what it answered and what to do."""


class Http(Protocol):
    """What vendors talk through, made once per process.

    Attributes:
        session: The shared session.
        timeout: Seconds that one vendor call may take, connecting included.
        credential: Makes the identity of the app; raises where it has none.
    """

    timeout: float

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the shared session."""
        ...

    def credential(self) -> AsyncTokenCredential:
        """Return the managed identity of the app."""
        ...

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what ``make`` made for the key, calling it once per process; for SDK clients."""
        ...


class Vendor(ABC):
    """One vendor. Subclasses are stateless; the module that defines one names its instance ``vendor``."""

    description: ClassVar[Description]
    answers: ClassVar[Mapping[str, Answer]] = {}

    @abstractmethod
    async def send(self, account: Account, call: SendCall, http: Http) -> Mapping[str, Outcome]:
        """Make one vendor call.

        Returns:
            An outcome per message id; a message that is missing from it counts as unknown.
        """

    @abstractmethod
    async def check(self, account: Account, http: Http) -> Check:
        """Prove the credentials by a call that sends nothing."""

    @abstractmethod
    def set_up(self, wiring: Wiring) -> tuple[SetupStep, ...]:
        """Return what the operator has to do at the vendor so that callbacks arrive."""

    def support(self, wiring: Wiring) -> tuple[SupportText, ...]:
        """Return a text to the vendor's support, in English and German, where support sets the callbacks up."""
        del wiring
        return ()

    async def subscribe(self, account: Account, wiring: Wiring, http: Http) -> Subscribed:
        """Set the callbacks up by calls to the vendor; doing it again changes nothing but what is out of date.

        Raises:
            SubscribeError: The vendor did not take it.
        """
        del account, wiring, http
        raise SubscribeError(f"{self.description.title} has no API for this.")

    def check_settings(self, settings: Mapping[str, str]) -> Sequence[SettingError]:
        """Return what is wrong with the settings that their own patterns cannot tell."""
        del settings
        return ()

    def addresses(self, settings: Mapping[str, str]) -> Mapping[str, str]:
        """Return the addresses that stand inside a JSON setting, by the path as in ``SettingError``."""
        del settings
        return {}

    def text_objection(self, text: str, settings: Mapping[str, str]) -> str:
        """Return why the vendor cannot carry a text that others can, or an empty text."""
        del text, settings
        return ""

    def calls_per_second(self, settings: Mapping[str, str]) -> float | None:
        """Return how many sends a second the account may make; ``None`` where the gateway need not hold back."""
        del settings
        return None

    def reports_by_vendor_id(self, settings: Mapping[str, str]) -> bool:
        """Tell whether reports carry no id of ours, so that the vendor's own ids have to be kept to find messages."""
        del settings
        return False

    def dry_run(self, settings: Mapping[str, str], call: SendCall) -> HttpRequest | None:
        """Return the request that a call would make, from settings without secrets; ``None`` where it is not shown."""
        del settings, call
        return None

    def account_name(self, settings: Mapping[str, str]) -> str:
        """Return the vendor's own name of the account, as events carry it; empty where callbacks name the provider."""
        del settings
        return ""

    def verify(self, callback: Callback, account: Account) -> None:
        """Raise unless the callback comes from the vendor.

        Raises:
            NotAuthenticError: It does not prove it.
        """
        del callback, account
        raise NotAuthenticError(f"{self.description.title} does not post to this address.")

    def parse(self, callback: Callback) -> Parsed:
        """Read an authenticated callback.

        Raises:
            MalformedError: It cannot be read at all.
        """
        del callback
        raise MalformedError(f"{self.description.title} does not post to this address.")

    def parse_event(self, event: Event) -> Parsed:
        """Read an Event Grid event.

        Raises:
            MalformedError: It cannot be read at all.
        """
        raise MalformedError(f"{self.description.title} sends no {event.type} events.")

    async def lookup(
        self, account: Account, call: SendCall, known: frozenset[str], http: Http
    ) -> Mapping[str, Outcome]:
        """Settle messages whose answer was lost by reading the vendor's log.

        Args:
            account: The provider.
            call: The call whose outcome is unknown.
            known: Vendor ids that belong to other messages, so are no evidence for these.
            http: What to talk through.

        Returns:
            ``Accepted`` where the vendor has it, ``Refused`` to be retried later where it certainly has not,
            ``Unknown`` where it cannot tell.
        """
        del account, known, http
        return {message.id: Unknown("The vendor has no log to look it up in.") for message in call.messages}

    async def report_of(self, account: Account, message: str, vendor_id: str, http: Http) -> DeliveryReport | None:
        """Ask the vendor for a message's state, because no report has told it.

        Args:
            account: The provider.
            message: The gateway's message id.
            vendor_id: The vendor's.
            http: What to talk through.

        Returns:
            What the vendor says, or ``None`` when it cannot tell now.
        """
        del account, message, vendor_id, http
        return None

    def answer(self, callback: Callback) -> Answer:
        """Return what the vendor expects back for a callback that was taken."""
        return self.answers.get(callback.kind, Answer())


LONGEST_RETRY_AFTER = 86_400.0
"""Seconds; what a vendor asks beyond a day is a fault, and a number without end would be more than any clock holds."""


def retry_after(value: str | None, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, at most ``LONGEST_RETRY_AFTER``, or ``None``.

    Source: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3 (seconds or an HTTP date).
    """
    if not value:
        return None
    if value.strip().isdecimal():
        return min(float(value), LONGEST_RETRY_AFTER)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rare, and slow to import

    try:
        return min(max(0.0, (parsedate_to_datetime(value) - now).total_seconds()), LONGEST_RETRY_AFTER)
    except (TypeError, ValueError):
        return None


def variants(
    description: Description, provider: str, settings: Mapping[str, str], *, callbacks: bool = False
) -> Sequence[Account]:
    """Return the accounts that are valid now, the primary secrets first.

    Args:
        description: The vendor's.
        provider: The provider's id.
        settings: Its settings, secrets included.
        callbacks: Whether secrets that only prove callbacks matter too; every mixture of old and new ones is valid.
    """
    secondary = {s.name: s.secondary_of for s in description.settings if s.secondary_of}
    plain = {name: value for name, value in settings.items() if name not in secondary}
    only_callbacks = {s.name for s in description.settings if s.callback}
    found = [plain]
    for name, primary in secondary.items():
        if settings.get(name) and (callbacks or name not in only_callbacks):
            found += [mixed | {primary: settings[name]} for mixed in found]
    return [Account(provider, mixed) for mixed in found]
