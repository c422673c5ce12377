"""Texts with placeholders from a fixed list: no expressions, no nesting, no code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import dropwhile

PLACEHOLDERS: Mapping[str, str] = {
    "to": "the recipient, written as `numbers` says",
    "toInteger": "the recipient's digits; a number where JSON is sent",
    "text": "the text",
    "sender": "the sender, a number written as `numbers` says",
    "senderType": "`toll_free`, `short_code`, `long_code` or `alphanumeric`, or your word for it from `words`",
    "category": "`transactional` or `marketing`, or your word for it from `words`",
    "messageId": "the gateway's id of the message: letters, digits and `-`",
    "batchId": "the gateway's id of the batch the message is in",
    "reportUrl": "the gateway's address for delivery reports, token included; `?` and a query may follow it",
    "validitySeconds": "for how many seconds the message is worth sending; empty without a validity period",
    "validityMinutes": "the same in minutes, at least 1",
    "validityMilliseconds": "the same in milliseconds",
    "expiresAt": "when the message becomes worthless, such as `2026-11-22T12:43:10Z`; empty without a validity period",
}
"""What a request may say of a message, with what each means."""
SET_UP_PLACEHOLDERS = frozenset({"reportUrl", "inboundUrl"})
CREDENTIAL = "credentials."
OPTIONAL = "?"
"""Ends the name of a member that is left out when a placeholder in it is empty."""
CREDENTIAL_NAME = r"[A-Za-z][A-Za-z0-9_]{0,39}"

_KNOWN = frozenset(PLACEHOLDERS) | SET_UP_PLACEHOLDERS
_CREDENTIAL = re.compile(re.escape(CREDENTIAL) + CREDENTIAL_NAME)
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")

Values = Mapping[str, str | int]
"""What the placeholders stand for, by name."""


class UnfitError(ValueError):
    """A request cannot be made of a message; the message says why, without a secret."""


class Shown(str):
    """A placeholder that a dry run shows as it is, instead of the secret it stands for."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A place in a template that a value fills."""

    name: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text with placeholders; ``{{`` and ``}}`` stand for braces.

    Args:
        parts: Texts as they are, and placeholders.
    """

    parts: tuple[str | Placeholder, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template.

        Raises:
            ValueError: A brace stands alone, or nobody knows the placeholder.
        """
        parts: list[str | Placeholder] = []
        at = 0
        for found in _TOKEN.finditer(text):
            if found.start() > at:
                parts.append(text[at : found.start()])
            at = found.end()
            parts.append(found[0][0] if found[0] in {"{{", "}}"} else _placeholder(found[1]))
        return cls((*parts, text[at:]) if at < len(text) else tuple(parts))

    @property
    def names(self) -> frozenset[str]:
        """The placeholders in it."""
        return frozenset(part.name for part in self.parts if isinstance(part, Placeholder))

    def names_behind(self, mark: str) -> frozenset[str]:
        """Return the placeholders behind the first text that has a mark in it."""
        behind = dropwhile(lambda part: isinstance(part, Placeholder) or mark not in part, self.parts)
        return frozenset(part.name for part in behind if isinstance(part, Placeholder))

    @property
    def literal(self) -> str:
        """What stands in it beside the placeholders."""
        return "".join(part for part in self.parts if isinstance(part, str))

    def has_empty(self, values: Values) -> bool:
        """Tell whether a placeholder in it has nothing to stand for."""
        return any(_value(name, values) == "" for name in self.names)

    def fill(
        self, values: Values, escape: Callable[[str], str] = str, literal: Callable[[str], str] | None = None
    ) -> str:
        """Return the text with its placeholders filled.

        Args:
            values: What they stand for.
            escape: How a value is written at this place.
            literal: How the rest is written; as it is, if left out.

        Raises:
            UnfitError: There is no value for one.
        """
        written = []
        for part in self.parts:
            if isinstance(part, str):
                written.append(literal(part) if literal else part)
            else:
                value = _value(part.name, values)
                written.append(value if isinstance(value, Shown) else escape(str(value)))
        return "".join(written)

    def json(self, values: Values) -> str | int:
        """Return what stands in JSON: a number where the whole template is a placeholder for one."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Placeholder):
            value = _value(self.parts[0].name, values)
            return value if isinstance(value, int) else str(value)
        return self.fill(values)


def credentials_in(names: frozenset[str]) -> frozenset[str]:
    """Return the names of the credentials among placeholders."""
    return frozenset(name.removeprefix(CREDENTIAL) for name in names if name.startswith(CREDENTIAL))


def _placeholder(name: str | None) -> Placeholder:
    if name is None:
        raise ValueError("A brace stands alone; write {{ or }} for a brace.")
    if name not in _KNOWN and not _CREDENTIAL.fullmatch(name):
        raise ValueError(f"There is no placeholder {{{name[:60]}}}; a credential is written {{credentials.name}}.")
    return Placeholder(name)


def _value(name: str, values: Values) -> str | int:
    try:
        return values[name]
    except KeyError:
        raise UnfitError(f"The definition asks for {{{name}}}, which is not set.") from None
