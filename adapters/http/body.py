"""Bodies as they are written in a document: any structure, with templates in the place of its texts.

Values are put into the structure, never into JSON's text, so that none can change it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.http.grammar import Names, Uses
from adapters.http.scope import Scope, of_one
from adapters.http.templates import Template, compile_template
from relay.domain.malformed import Malformed
from relay.reading.section import Path, Problems, path_text

EACH_ROW = "$rows"
"""A mapping with this key alone stands for a list: what is under the key, filled once for each user."""


class Leaf(msgspec.Struct, frozen=True):
    """A text."""

    template: Template

    def fill(self, scope: Scope) -> Any:
        value = self.template.value(scope.context)
        scope.room.take(value)
        return value


class Fixed(msgspec.Struct, frozen=True):
    """A number, true, false, null: sent as it is."""

    value: Any

    def fill(self, scope: Scope) -> Any:
        scope.room.take(None)
        return self.value


class Members(msgspec.Struct, frozen=True):
    """A mapping, without the members whose template gives null."""

    members: tuple[tuple[str, Node], ...]

    def fill(self, scope: Scope) -> Any:
        filled = ((name, node, node.fill(scope)) for name, node in self.members)
        return {name: value for name, node, value in filled if _is_there(node, value)}


class Items(msgspec.Struct, frozen=True):
    """A list, without the items whose template gives null."""

    items: tuple[Node, ...]

    def fill(self, scope: Scope) -> Any:
        filled = ((node, node.fill(scope)) for node in self.items)
        return [value for node, value in filled if _is_there(node, value)]


class EachRow(msgspec.Struct, frozen=True):
    """A list with one item for each user."""

    node: Node

    def fill(self, scope: Scope) -> Any:
        return [self.node.fill(each) for each in scope.of_each()]


Node = Leaf | Fixed | Members | Items | EachRow


def _is_there(node: Node, value: Any) -> bool:
    return value is not None or not isinstance(node, Leaf)


def uses_of(node: Node) -> Uses:
    """What its templates look at."""
    match node:
        case Leaf(template=template):
            return template.uses
        case Members(members=members):
            return frozenset().union(*(uses_of(one) for _, one in members))
        case Items(items=items):
            return frozenset().union(*(uses_of(one) for one in items))
        case EachRow(node=inner):
            return uses_of(inner) | {("rows",)}
        case _:
            return frozenset()


def read_node(value: Any, path: Path, problems: Problems, names: Names, fields: tuple[str, ...] | None) -> Node:
    """What is written there. `fields`: of the users whom `$rows` stands for; None: there are none here."""
    if isinstance(value, dict):
        if set(value) == {EACH_ROW} and fields is not None:
            inside = {**names, **of_one(fields)}
            return EachRow(read_node(value[EACH_ROW], (*path, EACH_ROW), problems, inside, None))
        members = []
        for name, one in value.items():
            if name == EACH_ROW:
                problems.add((*path, name), _misplaced(fields))
            members.append((name, read_node(one, (*path, name), problems, names, fields)))
        return Members(tuple(members))
    if isinstance(value, list):
        return Items(tuple(read_node(one, (*path, place), problems, names, fields) for place, one in enumerate(value)))
    if not isinstance(value, str):
        return Fixed(value)
    try:
        return Leaf(compile_template(value, names).at(path_text(path)))
    except Malformed as problem:
        problems.add(path, str(problem))
        return Fixed(None)


def _misplaced(fields: tuple[str, ...] | None) -> str:
    if fields is None:
        return f"`{EACH_ROW}` stands for the users of a call, and there are none here."
    return f"`{EACH_ROW}` stands for a list, so nothing else can be beside it."
