"""What the contract suite needs to know of a vendor: its kit, in ``tests/vendors/<vendor>/kit.py`` as ``KIT``.

A new vendor gets the whole of ``test_contract.py``, ``test_payloads.py`` and ``test_anything.py`` without an edit to
any of them. It brings a folder ``tests/vendors/<vendor>/`` with

- ``kit.py``: a subclass of ``Kit`` and its instance ``KIT``;
- ``reports/`` and ``inbound/``: payloads from the vendor's pages, ``<name>.<ext>`` with ``<name>.expected.json``;
- ``test_<vendor>.py``: what only this vendor has, such as recorded signatures and a table of its error codes.

The kit is written from the vendor's pages, never from the adapter: it says how the vendor answers and signs, the suite
says what the adapter must make of it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, ClassVar

from functions.vendors.contract import (
    Account,
    Callback,
    Event,
    Outgoing,
    Parsed,
    SendCall,
    Sender,
    Vendor,
    variants,
)
from functions.vendors.registry import vendors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytest

BATCH = "01JDA8V0Z5Q6XW3K9N7RB2T4CM"
PROVIDER = "01JDA8V0Z5PR0V1DER00000000"
FIRST_ATTEMPT = datetime(2026, 11, 22, 12, 33, 10, tzinfo=UTC)
PEOPLE = ("+14255550123", "+12065550124", "+447405550125")
REPORT_URL = f"https://sms.example.com/api/callbacks/vendor/{PROVIDER}/report"
PRIMARY, SECONDARY = "primary", "secondary"


@dataclass(frozen=True, slots=True)
class Reply:
    """What the vendor answers to a request."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrives at the vendor, whole: header names in lower case, ``Host`` left out."""

    method: str
    path: str
    headers: Mapping[str, Any]
    body: bytes


class Like:
    """Equals every text that a regular expression matches; for what differs from machine to machine."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and re.fullmatch(self._pattern, other) is not None

    __hash__ = None

    def __repr__(self) -> str:
        return f"Like({self._pattern!r})"


class Kit(ABC):
    """One vendor, as the contract suite meets it.

    Attributes:
        name: The vendor's word in the API.
        sender: A sender the vendor takes.
        send_status: The HTTP status that means the vendor took a send, the only one unless ``own_codes_decide``.
        silent_status: The HTTP status that takes a send whole without a word, where the vendor documents one.
        own_codes_decide: Whether the vendor says to go by the code in its body, whatever the HTTP status of a success.
        busy_statuses: The 5xx statuses that, with ``Retry-After``, mean nothing was sent.
        auth_headers: The headers that authenticate a callback, in lower case; none for Event Grid vendors.
        one_header_is_enough: Whether each of them proves it alone; else all are needed.
        signs: What a signature covers: ``body``, ``url`` and ``account`` (the vendor's own name of it, in the body);
            empty for vendors that prove a callback by a token, a password or a secret header.
        content_type: What the vendor's callbacks come as.
        has_words: Whether its reports say a status in a word, beside the code.
        has_codes: Whether its reports have a code, beside the word.
    """

    name: ClassVar[str]
    sender: ClassVar[Sender]
    send_status: ClassVar[int]
    silent_status: ClassVar[int | None] = None
    own_codes_decide: ClassVar[bool] = False
    busy_statuses: ClassVar[frozenset[int]] = frozenset()
    auth_headers: ClassVar[tuple[str, ...]] = ()
    one_header_is_enough: ClassVar[bool] = False
    signs: ClassVar[frozenset[str]] = frozenset()
    content_type: ClassVar[str] = "application/x-www-form-urlencoded"
    has_words: ClassVar[bool] = True
    has_codes: ClassVar[bool] = True

    @property
    def vendor(self) -> Vendor:
        """The adapter."""
        return vendors()[self.name]

    def tables(self) -> Mapping[str, Mapping[Any, Any]]:
        """Return what says which of our words the vendor's stand for; names of those for reports begin with REPORT.

        They stand in the adapter's module or in those of its package, unless a provider's settings have them.
        """
        module = import_module(type(self.vendor).__module__)
        inner = [
            import_module(f"{module.__name__}.{one.name}") for one in iter_modules(getattr(module, "__path__", ()))
        ]
        named = [item for one in (module, *inner) for item in vars(one).items()]
        return {
            name: value for name, value in named if name[0].isupper() and name.isupper() and isinstance(value, dict)
        }

    @abstractmethod
    def settings(self, base_url: str) -> dict[str, str]:
        """Return all settings of a provider whose vendor is at this address, both credentials included.

        Every secret in it must be a canary: a text that occurs nowhere else.
        """

    @abstractmethod
    def secret_texts(self, settings: Mapping[str, str]) -> Sequence[str]:
        """Return every form in which the credentials could show: as set, decoded, and as sent."""

    @abstractmethod
    def freeze(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stop the clock and the random ids of whatever the adapter sends with."""

    @abstractmethod
    def request(self, call: SendCall, settings: Mapping[str, str]) -> Request:
        """Return the request that the frozen adapter must make for a call."""

    @abstractmethod
    def accepted(self, call: SendCall, ids: Mapping[str, str | None]) -> Reply:
        """Return the answer that takes messages.

        Args:
            call: What was asked.
            ids: The vendor's id by recipient, in the order to answer in; ``None`` to leave the id out.
        """

    def vendor_id(self, message: Outgoing, identity: str) -> str:
        """Return the id under which the vendor took a message: the one in its answer, unless it only knows ours."""
        del message
        return identity

    @abstractmethod
    def refusal(self, status: int) -> Reply:
        """Return an answer with this error status in the vendor's own shape."""

    @abstractmethod
    def report(self, *, status: str, code: str) -> Parsed:
        """Have the adapter read a delivery report that says this."""

    @abstractmethod
    async def read(
        self, kind: str, payload: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Sequence[tuple[Mapping[str, Any], Parsed]]:
        """Have the adapter read a payload file the way it would come.

        Args:
            kind: ``report`` or ``inbound``.
            payload: The file; it may hold several callbacks or events.
            monkeypatch: For putting something in the way of what would act on them.

        Returns:
            What each said, with the item as it came.
        """

    def signed(self, callback: Callback, settings: Mapping[str, str]) -> Callback:
        """Return the callback with what proves that the vendor sent it; only for vendors that post.

        The token in the path, where the vendor has one, is there already.
        """
        raise NotImplementedError

    def callback_body(self, kind: str) -> bytes:
        """Return a body that the vendor posts, with at least one blank field; only for vendors that post."""
        raise NotImplementedError

    def events(self) -> Sequence[Event]:
        """Return a delivery report and a reply; only for Event Grid vendors."""
        return ()

    def account(self, base_url: str = "https://vendor.example.com", which: str = PRIMARY) -> Account:
        """Return the account with the primary or the secondary credentials."""
        accounts = variants(self.vendor.description, PROVIDER, self.settings(base_url), callbacks=True)
        return accounts[0 if which == PRIMARY else -1]

    def headers_proving(self, kind: str) -> tuple[str, ...]:
        """Return the headers that authenticate a callback of this kind."""
        del kind
        return self.auth_headers

    def call(self, people: Sequence[str] = PEOPLE, text: str = "Grüße & 100% = ✓") -> SendCall:
        """Return a call to as many of these people as the vendor takes at once."""
        people = people[: self.vendor.description.capabilities.recipients_per_call]
        return SendCall(
            batch=BATCH,
            sender=self.sender,
            messages=tuple(Outgoing(f"{BATCH}-{place}", to, text) for place, to in enumerate(people)),
            first_attempt=FIRST_ATTEMPT,
            validity=600,
            report_url=REPORT_URL,
        )

    def callback(self, kind: str, settings: Mapping[str, str], **changes: Any) -> Callback:
        """Return an authentic callback."""
        token = settings.get("callbackToken", "")
        path = f"/api/callbacks/{self.name}/{PROVIDER}/{kind}" + (f"/{token}" if token else "")
        plain = {
            "kind": kind,
            "url": f"https://sms.example.com{path}",
            "query": {},
            "headers": {"content-type": self.content_type},
            "body": self.callback_body(kind),
            "token": token,
        }
        return self.signed(Callback(**{**plain, **changes}), settings)


def kits() -> list[Kit]:
    """Return the kit of every registered vendor; a vendor without one fails here."""
    return [import_module(f"tests.vendors.{name}.kit").KIT for name in vendors()]
