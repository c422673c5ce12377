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
    place,
    templates_in,
    texts_of,
)
from functions.vendors.custom.paths import Document
from functions.vendors.custom.template import Template, credentials_in

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

    def read(self, document: Document, item: Any = None, *, strip: bool = True) -> str:
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

    def holds(self, document: Document, item: Any = None) -> bool:
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


class Check(Call):
    """A request that proves the credentials and sends nothing."""

    success: Evidence


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
