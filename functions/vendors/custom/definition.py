"""What a definition may say: the shape of the JSON; ``faults`` says what has to fit together in it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from functions.vendors.contract import Category, Reason, Retry, SenderType, State
from functions.vendors.custom import paths
from functions.vendors.custom.fields import (
    ClientError,
    HeaderName,
    Headers,
    Items,
    Json,
    Part,
    Path,
    Success,
    Text,
    Url,
    Word,
    Xml,
    origin,
    place,
    templates_in,
    texts_of,
)
from functions.vendors.custom.paths import Document
from functions.vendors.custom.template import CREDENTIAL, OPTIONAL, Template, credentials_in

SETTING = "definition"
NOT_ARRIVED = frozenset({State.UNDELIVERED, State.FAILED, State.REJECTED, State.EXPIRED, State.UNKNOWN})


class Shape(BaseModel):
    """A part of a definition; unknown members are refused, so that a typing error cannot pass unseen."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Place(Shape):
    """Where a value stands, and which piece of it counts; a bare path will do."""

    path: Path
    after: str = ""
    until: str = ""

    def read(self, document: Document, item: Any = paths.WHOLE, *, strip: bool = True) -> str:
        """Return the value in a document, or an empty text."""
        text = document.read(self.path, item)
        if self.after:
            text = text.partition(self.after)[2]
        if self.until:
            text = text.partition(self.until)[0]
        return text.strip() if strip else text


PlaceOrPath = Annotated[Place, BeforeValidator(place)]


class Condition(Place):
    """A place whose value has to be one of some words."""

    words: Annotated[list[Word], Field(alias="in", min_length=1)]

    def holds(self, document: Document, item: Any = paths.WHOLE) -> bool:
        """Tell whether it is one of them."""
        return self.read(document, item) in self.words


class Evidence(Shape):
    """What an answer looks like when all is well."""

    statuses: Annotated[list[Success], Field(min_length=1)]
    when: list[Condition] = []
    id: PlaceOrPath | None = None

    def found_in(self, status: int, document: Document) -> bool:
        """Tell whether an answer is one, whatever its id."""
        return status in self.statuses and all(condition.holds(document) for condition in self.when)


class Basic(Shape):
    """Basic authentication."""

    user: Text
    password: Text


class Words(Shape):
    """The vendor's words for ours."""

    category: dict[Category, str] = {}
    sender_type: dict[SenderType, str] = {}


class Call(Shape):
    """An HTTP request as a template."""

    method: Literal["POST", "GET", "PUT"]
    url: Url
    query: dict[str, Text] = {}
    headers: Headers = {}
    basic: Basic | None = None
    bearer: Text | None = None
    form: dict[str, Text] | None = None
    json_body: Json = None
    xml: Xml = None
    numbers: Literal["e164", "digits", "00"] = "e164"
    words: Words = Words()

    @property
    def names(self) -> frozenset[str]:
        """All placeholders in it."""
        return frozenset().union(*(template.names for template in self.templates()))

    def templates(self) -> Iterator[Template]:
        """Yield all templates in it."""
        yield self.url
        for members in (self.query, self.headers, self.form or {}):
            yield from members.values()
        if self.basic:
            yield from (self.basic.user, self.basic.password)
        if self.bearer:
            yield self.bearer
        yield from templates_in(self.json_body)
        if self.xml is not None:
            yield from map(Template.parse, texts_of(self.xml))


def authorization(call: Call) -> bool:
    """Tell whether a call writes the header ``Authorization`` itself."""
    return any(name.removesuffix(OPTIONAL).lower() == "authorization" for name in call.headers)


def proofs(call: Call) -> dict[str, Any]:
    """Return the members by which a call proves who it is from, as far as they need no message."""
    headers = {
        name: template
        for name, template in call.headers.items()
        if name.lower() == "authorization" or credentials_in(template.names)
    }
    found: dict[str, Any] = {
        "headers": {name: template for name, template in headers.items() if _only_credentials(template)},
        "basic": call.basic if call.basic and _only_credentials(call.basic.user, call.basic.password) else None,
        "bearer": call.bearer if call.bearer and _only_credentials(call.bearer) else None,
    }
    return {name: member for name, member in found.items() if member}


def _only_credentials(*templates: Template) -> bool:
    return all(name.startswith(CREDENTIAL) for template in templates for name in template.names)


class Check(Call):
    """A request that proves the credentials and sends nothing.

    How it proves them is stated once, in the request that sends, unless ``auth`` or a proof of its own says otherwise.
    """

    auth: Literal["request", "none"] | None = None
    success: Evidence

    @property
    def proves_itself(self) -> bool:
        """Whether it has a proof of its own; a credential in the path names an account, and is none."""
        if self.basic or self.bearer or authorization(self):
            return True
        others = (template.names for template in self.templates() if template is not self.url)
        return bool(credentials_in(self.url.names_behind("?").union(*others)))


class Refusal(Shape):
    """What an error of the vendor's means."""

    reason: Reason
    retry: Retry = Retry.NEVER


class Errors(Shape):
    """How the vendor says no."""

    code: PlaceOrPath | None = None
    message: PlaceOrPath = Place(path=paths.BODY)
    table: dict[str, Refusal] = {}
    statuses: dict[ClientError, Refusal] = {}


class Fate(Shape):
    """What a status of a report means."""

    state: State
    reason: Reason | None = None


class CodeFate(Shape):
    """What a code of a report adds to its status."""

    state: State | None = None
    reason: Reason | None = None


class Moment(Shape):
    """When something happened."""

    path: Path
    form: Literal["iso", "unix", "unixMs"] = "iso"


class CallbackAnswer(Shape):
    """What the vendor expects back."""

    status: Success = 200
    content_type: Annotated[str, StringConstraints(pattern=r"^[ -~]{3,100}$")] = "text/plain"
    body: Annotated[str, StringConstraints(max_length=1000)] = ""


class Posted(Shape):
    """A callback."""

    format: Literal["json", "form", "query", "xml"]
    items: Items = ""
    when: list[Condition] = []
    id: PlaceOrPath | None = None
    at: Moment | None = None
    answer: CallbackAnswer = CallbackAnswer()


class PartPlaces(Shape):
    """Where a report says which part of a long message it speaks of."""

    number: PlaceOrPath
    count: PlaceOrPath


class Report(Posted):
    """A delivery report."""

    message: PlaceOrPath | None = None
    status: PlaceOrPath | None = None
    states: dict[str, Fate] = {}
    code: PlaceOrPath | None = None
    codes: dict[str, CodeFate] = {}
    detail: PlaceOrPath | None = None
    recipient: PlaceOrPath | None = None
    part: PartPlaces | None = None


class Inbound(Posted):
    """A text from a person."""

    sender: Annotated[PlaceOrPath, Field(alias="from")]
    to: PlaceOrPath
    text: PlaceOrPath


class Signature(Shape):
    """An HMAC that the vendor sends with callbacks."""

    header: HeaderName
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    prefix: str = ""
    over: Annotated[list[Part], Field(min_length=1)]
    key: Text
    key_encoding: Literal["text", "base64", "hex"] = "text"


class Callbacks(Shape):
    """What is true of all callbacks."""

    signature: Signature | None = None
    set_up: list[Text] = []


class Limits(Shape):
    """What the vendor does not take."""

    max_text_length: Annotated[int, Field(ge=1, le=4096)] | None = None
    calls_per_second: Annotated[float, Field(gt=0, le=1000)] | None = None
    min_validity_seconds: Annotated[int, Field(ge=1)] = 1
    max_validity_seconds: Annotated[int, Field(ge=1)] = 259_200


class Definition(Shape):
    """An SMS API."""

    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    senders: list[SenderType] = []
    docs: Annotated[str, StringConstraints(pattern=r"^https://[!-~]{3,300}$")] | None = None
    limits: Limits = Limits()
    request: Call
    answer_format: Literal["json", "xml", "form", "text"] = "json"
    success: Evidence
    errors: Errors = Errors()
    report: Report | None = None
    inbound: Inbound | None = None
    callbacks: Callbacks = Callbacks()
    check: Check | None = None

    @property
    def checking(self) -> Check | None:
        """The check with the proofs that it takes over from the request.

        Without a word of ``auth`` it takes them only to the place that the request goes to: credentials go to another
        host only where somebody wrote that they shall.
        """
        check = self.check
        if check is None or check.auth == "none":
            return check
        same_place = origin(check.url) == origin(self.request.url)
        if check.auth is None and (check.proves_itself or not same_place):
            return check
        own = {name.removesuffix(OPTIONAL).lower() for name in check.headers}
        found = proofs(self.request)
        headers = {
            name: template
            for name, template in found.pop("headers", {}).items()
            if name.removesuffix(OPTIONAL).lower() not in own
        }
        return check.model_copy(update=found | {"headers": {**check.headers, **headers}})

    @property
    def credentials(self) -> frozenset[str]:
        """The names of the credentials it asks for."""
        names = self.request.names | (self.check.names if self.check else frozenset())
        signature = self.callbacks.signature
        return credentials_in(names | (signature.key.names if signature else frozenset()))


@lru_cache(maxsize=64)
def read_definition(text: str) -> Definition:
    """Return the definition that a provider is configured with.

    Raises:
        ValueError: It is none; saving would have refused it.
    """
    return Definition.model_validate_json(text)
