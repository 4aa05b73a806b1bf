"""What a template may consist of: expressions over known names, without statements or calls, so that its work is bounded by its
length and by the size of what it looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Union

from jinja2 import nodes

from adapters.http.filters import FILTERS, ON_EACH, TESTS
from relay.domain.malformed import Malformed, suggestion

Names = Mapping[str, Union["Names", None]]
"""What a template can look at → what that holds; None: anything."""

Uses = frozenset[tuple[str, ...]]
"""The places that a template looks at, each from the root as far as it is written out: `("audience", "name")`."""

OF_ROW = ("row", "event_id", "received_at")
"""Names that stand for one user and what concerns this user."""

_ALLOWED = (
    nodes.Name, nodes.Const, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Test, nodes.Filter, nodes.Keyword,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos, nodes.Concat,
)  # fmt: skip
_MAX_DEPTH = 40


def check(expression: nodes.Node, names: Names) -> Uses:
    """Whether it uses only what there is. Raises `Malformed`."""
    _check(expression, 0)
    uses = frozenset(_uses(expression))
    for path in sorted(uses):
        _check_path(path, names)
    _check_attributes(expression, names)
    return uses


def _check(node: nodes.Node, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise Malformed("The template is nested too deeply.")
    if isinstance(node, nodes.Call):
        raise Malformed("Nothing can be called in a template; filters change values, as in {{ row.email | lower }}.")
    if not isinstance(node, _ALLOWED):
        raise Malformed("This cannot stand in a template; it has values, filters, comparisons and arithmetic.")
    if isinstance(node, nodes.Filter | nodes.Test) and (node.dyn_args or node.dyn_kwargs):
        raise Malformed("The arguments of a filter or test are written one by one.")
    if isinstance(node, nodes.Filter) and node.name not in FILTERS:
        raise Malformed(f"There is no filter '{node.name}'.{suggestion(node.name, FILTERS)}")
    if isinstance(node, nodes.Filter) and node.name in ("map", "select", "reject", "selectattr", "rejectattr"):
        _check_named(node)
    if isinstance(node, nodes.Test) and node.name not in TESTS:
        raise Malformed(f"There is no test '{node.name}'.{suggestion(node.name, TESTS)}")
    for child in node.iter_child_nodes():
        _check(child, depth + 1)


def _check_named(node: nodes.Filter) -> None:
    """The filter or test that is done to each value must be written out."""
    place, known = {"map": (0, ON_EACH), "select": (0, TESTS), "reject": (0, TESTS)}.get(node.name, (1, TESTS))
    for one in node.args[place : place + 1]:
        if not isinstance(one, nodes.Const) or one.value not in known:
            raise Malformed(f"`{node.name}` can do one of these to each value: {', '.join(sorted(known))}.")


def path_of(node: nodes.Node) -> tuple[str, ...]:
    """The names of which it consists, where it is nothing but names with dots between them."""
    path, _ = _path(node)
    return path


def _uses(node: nodes.Node) -> Iterator[tuple[str, ...]]:
    path, rest = _path(node)
    if path:
        yield path
    for child in rest:
        yield from _uses(child)


def _path(node: nodes.Node) -> tuple[tuple[str, ...], Iterator[nodes.Node]]:
    """The names with which it begins, as far as they are written out, and what else there is to look at."""
    if isinstance(node, nodes.Name):
        return (node.name,), iter(())
    key: Any = None
    if isinstance(node, nodes.Getattr):
        key = node.attr
    elif isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        key = node.arg.value
    if isinstance(key, str) and isinstance(node, nodes.Getattr | nodes.Getitem):
        path, rest = _path(node.node)
        return ((*path, key) if path else ()), rest
    return (), node.iter_child_nodes()


def _check_path(path: tuple[str, ...], names: Names) -> None:
    known: Names | None = names
    for place, name in enumerate(path):
        if known is None:
            return
        if name not in known:
            if not place and name in OF_ROW and "rows" in known:
                raise Malformed(
                    f"'{name}' is of one user, and this call carries several: say `max_items: 1`, or write the part that is of "
                    "each user under `$rows`."
                )
            near = suggestion(name, known) or (f" There is {', '.join(known)}." if known else "")
            of = f"'{'.'.join(path[:place])}' has no" if place else "A template here knows no"
            raise Malformed(f"{of} '{name}'.{near}")
        known = known[name]


def _check_attributes(node: nodes.Node, names: Names) -> None:
    """Of `rows | map(attribute='email')` and the like."""
    for one in [node, *node.find_all(nodes.Filter)]:
        if not isinstance(one, nodes.Filter) or _source(one) != "rows" or names.get("row") is None:
            continue
        given = [pair.value for pair in one.kwargs if pair.key == "attribute"]
        given += one.args[:1] if one.name in ("selectattr", "rejectattr") else []
        for attribute in given:
            if isinstance(attribute, nodes.Const) and isinstance(attribute.value, str):
                _check_path(("row", attribute.value.partition(".")[0]), names)


def _source(node: nodes.Node | None) -> str:
    """What goes through the chain of filters. `map` without an attribute makes something else of it."""
    while isinstance(node, nodes.Filter):
        node = node.node
        if isinstance(node, nodes.Filter) and node.name == "map":
            return ""
    return node.name if isinstance(node, nodes.Name) else ""
