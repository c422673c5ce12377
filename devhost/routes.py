"""Route templates as ASP.NET Core reads them, which is how the host matches an address to a function.

Template reference: https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates. Complex segments
(``{name}.{ext?}``), defaults, optional parameters, catch-alls and inline constraints are covered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from devhost.constraints import Constraint, ConstraintError, constraint


class TemplateError(Exception):
    """A route template is not one that ASP.NET Core accepts."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One ``{...}`` of a template.

    Args:
        name: What the value is called in ``route_params``.
        constraints: All must accept a value.
        default: Taken when the address ends before the parameter.
        optional: Whether the address may end before it, leaving it out.
        catch_all: Whether it takes the rest of the address, slashes included.
    """

    name: str
    constraints: tuple[Constraint, ...] = ()
    default: str | None = None
    optional: bool = False
    catch_all: bool = False

    @property
    def may_be_absent(self) -> bool:
        """Whether an address matches that ends before this parameter."""
        return self.optional or self.catch_all or self.default is not None


Segment = tuple[str | Parameter, ...]


@dataclass(frozen=True, slots=True)
class Template:
    """A route template, parsed once and matched often.

    Args:
        text: As written, without slashes at the ends.
        segments: What stands between the slashes: literals and parameters in turn.
    """

    text: str
    segments: tuple[Segment, ...]

    @classmethod
    def parse(cls, text: str) -> Template:
        """Parse a template.

        Raises:
            TemplateError: It breaks a rule; the text says which.
        """
        trimmed = text.strip("/")
        try:
            segments = tuple(_segments(trimmed)) if trimmed else ()
            _check(segments)
        except (TemplateError, ConstraintError) as error:
            raise TemplateError(f"route {text!r}: {error}") from error
        return cls(trimmed, segments)

    def match(self, path: str) -> dict[str, str] | None:
        """Match an address.

        Args:
            path: The percent-encoded path, without the query; a slash at the end changes nothing.

        Returns:
            The parameters that have a value, by name, or ``None`` when the address does not fit.
        """
        parts = _path_parts(path)
        values: dict[str, str] = {}
        position = 0
        for segment in self.segments:
            only = segment[0] if len(segment) == 1 else None
            if isinstance(only, Parameter) and only.catch_all:
                rest = "/".join(parts[position:])
                position = len(parts)
                _set(values, only, rest or None)
                continue
            if position >= len(parts):
                if not (isinstance(only, Parameter) and only.may_be_absent):
                    return None
                _set(values, only, None)
                continue
            if not _match_segment(segment, parts[position], values):
                return None
            position += 1
        if position < len(parts):
            return None
        return values if _satisfied(self.segments, values) else None


def _set(values: dict[str, str], parameter: Parameter, value: str | None) -> None:
    chosen = parameter.default if value is None else value
    if chosen is not None:
        values[parameter.name] = chosen


def _path_parts(path: str) -> list[str]:
    # The web server decodes everything but %2F, which would otherwise become a separator.
    decoded = [unquote(part.replace("%2F", "%252F").replace("%2f", "%252f")) for part in path.split("/")]
    inner = decoded[1:] if decoded and not decoded[0] else decoded
    return inner[:-1] if inner and not inner[-1] else inner


def _match_segment(segment: Segment, part: str, values: dict[str, str]) -> bool:
    for pattern in _patterns(segment):
        found = re.fullmatch(pattern, part, re.IGNORECASE | re.DOTALL)
        if found is None:
            continue
        names = [piece.name for piece in segment if isinstance(piece, Parameter)]
        values.update({name: value for name, value in zip(names, found.groups(), strict=False) if value is not None})
        return True
    return False


def _patterns(segment: Segment) -> Iterator[str]:
    # Greedy from the left is what ASP.NET's "from right to left, as little as possible" comes to.
    yield "".join("(.+)" if isinstance(piece, Parameter) else re.escape(piece) for piece in segment)
    last = segment[-1]
    if len(segment) > 1 and isinstance(last, Parameter) and last.optional:
        *kept, dot = segment[:-1]
        without = [*kept, str(dot)[:-1]]
        yield "".join("(.+)" if isinstance(piece, Parameter) else re.escape(piece) for piece in without)


def _satisfied(segments: tuple[Segment, ...], values: dict[str, str]) -> bool:
    for parameter in _parameters(segments):
        value = values.get(parameter.name)
        if value is not None and not all(accepts(value) for accepts in parameter.constraints):
            return False
    return True


def _parameters(segments: tuple[Segment, ...]) -> Iterator[Parameter]:
    for segment in segments:
        for piece in segment:
            if isinstance(piece, Parameter):
                yield piece


_SLASH_OR_PIECE = re.compile(
    r"(?P<slash>/)|\{(?!\{)(?P<parameter>(?:[^{}]|\{\{|\}\})+?)\}(?!\})|(?P<literal>(?:[^{}/]|\{\{|\}\})+)"
)


def _segments(text: str) -> Iterator[Segment]:
    pieces: list[str | Parameter] = []
    position = 0
    while position < len(text):
        found = _SLASH_OR_PIECE.match(text, position)
        if found is None:
            raise TemplateError("a brace is not closed; a brace that is part of the text is doubled")
        position = found.end()
        if found["slash"]:
            yield tuple(pieces)
            pieces = []
        elif found["literal"]:
            pieces.append(_undoubled(found["literal"]))
        else:
            pieces.append(_parameter(_undoubled(found["parameter"])))
    yield tuple(pieces)


def _undoubled(text: str) -> str:
    return text.replace("{{", "{").replace("}}", "}")


_NAME = re.compile(r"\*{0,2}([^:=?*]+)")
_CONSTRAINT = re.compile(r":([A-Za-z]+)(?:\((.*?)\))?(?=[:=]|$)")


def _parameter(source: str) -> Parameter:
    optional = source.endswith("?")
    body = source.removesuffix("?")
    named = _NAME.match(body)
    if named is None:
        raise TemplateError(f"{{{source}}} has no name")
    position = named.end()
    constraints = []
    while found := _CONSTRAINT.match(body, position):
        constraints.append(constraint(found[1], found[2]))
        position = found.end()
    rest = body[position:]
    if rest and not rest.startswith("="):
        raise TemplateError(f"{{{source}}} cannot be read from {rest!r} on")
    default = rest[1:] if rest else None
    catch_all = source.startswith("*")
    if optional and (catch_all or default is not None):
        raise TemplateError(f"{{{source}}} is absent-able twice: drop the ?")
    return Parameter(named[1], tuple(constraints), default, optional, catch_all)


def _check(segments: tuple[Segment, ...]) -> None:
    names = [parameter.name.lower() for parameter in _parameters(segments)]
    if len(names) != len(set(names)):
        raise TemplateError("two parameters have one name")
    for position, segment in enumerate(segments):
        if not segment:
            raise TemplateError("two slashes follow one another")
        for index, piece in enumerate(segment):
            if isinstance(piece, Parameter):
                _check_piece(piece, segment, index, last=position == len(segments) - 1)


def _check_piece(piece: Parameter, segment: Segment, index: int, *, last: bool) -> None:
    if piece.catch_all and (len(segment) > 1 or not last):
        raise TemplateError(f"{{*{piece.name}}} must be the last part of the route and stand alone")
    before = segment[index - 1] if index else None
    if isinstance(before, Parameter):
        raise TemplateError(f"{{{before.name}}} and {{{piece.name}}} need a text between them")
    final = index == len(segment) - 1
    if piece.optional and len(segment) > 1 and not (final and isinstance(before, str) and before.endswith(".")):
        raise TemplateError(f"{{{piece.name}?}} must stand alone, or at the end after a dot")
