"""Reads Bicep templates as data: variables, parameters, outputs, resources and texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import tree_sitter
import tree_sitter_bicep

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
TEMPLATES = sorted(INFRA.rglob("*.bicep"))


@cache
def parser():
    """Return the parser of the language."""
    return tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))


def text(node):
    """Return the source of a node."""
    return node.text.decode()


def named(node):
    """Return the children that mean something."""
    return [child for child in node.named_children if "comment" not in child.type]


def every(node):
    """Return a node and all below it."""
    yield node
    for child in node.children:
        yield from every(child)


def is_plain(node):
    """Tell whether a text has no interpolation."""
    return node.type == "string" and all(child.type != "interpolation" for child in node.children)


def plain(node):
    """Return the value of a text without interpolation."""
    return "".join(text(child) for child in node.named_children)


@dataclass
class Template:
    """One file."""

    path: Path
    root: object
    variables: dict = field(default_factory=dict)
    parameters: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)
    resources: dict = field(default_factory=dict)

    def value(self, node):  # noqa: PLR0911 - one for each kind of literal
        """Return a node as Python data; what is no literal stays source, a variable is replaced by its value."""
        match node.type:
            case "string":
                return plain(node) if is_plain(node) else text(node)[1:-1]
            case "number":
                return int(text(node))
            case "boolean":
                return text(node) == "true"
            case "array":
                return [self.value(child) for child in named(node)]
            case "object":
                pairs = [named(child) for child in named(node) if child.type == "object_property"]
                return {
                    (plain(key) if key.type == "string" and is_plain(key) else text(key)): self.value(value)
                    for key, value in pairs
                }
            case "identifier" if text(node) in self.variables:
                return self.variables[text(node)]
        return text(node)

    def texts(self):
        """Return all texts, interpolated ones as they are written."""
        return [self.value(node) for node in every(self.root) if node.type == "string"]


@cache
def template(name):
    """Read a template of the folder infra by its path there."""
    path = INFRA / name
    root = parser().parse(path.read_bytes()).root_node
    read = Template(path, root)
    described = ""
    for node in named(root):
        if node.type == "decorators":
            calls = [child for child in every(node) if child.type == "call_expression"]
            texts = [
                plain(next(part for part in every(call) if part.type == "string"))
                for call in calls
                if text(call).startswith("description(")
            ]
            described = texts[0].replace("\\'", "'") if texts else ""
            continue
        children = named(node)
        name = text(children[0]) if children else ""
        match node.type:
            case "variable_declaration":
                read.variables[name] = read.value(children[-1])
            case "parameter_declaration":
                has_default = len(children) > 2
                read.parameters[name] = (described, has_default, read.value(children[-1]) if has_default else None)
            case "output_declaration":
                read.outputs[name] = described
            case "resource_declaration":
                read.resources[name] = (plain(children[1]), children[-1])
        described = ""
    return read
