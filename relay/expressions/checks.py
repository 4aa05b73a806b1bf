"""What can be said of a parsed expression before there is data. `node`: a node of the tree that the library makes.

Everything raises `Malformed`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Set
from typing import Any

from relay.domain.malformed import Malformed, suggestion
from relay.expressions.functions import SIGNATURES
from relay.expressions.phone import country_of

Node = Mapping[str, Any]
Roots = Mapping[str, Set[str] | None]
"""What an expression can begin with → what that holds (None: anything). A member `x.*` stands for any name that begins so."""

MAX_DEPTH = 40


def check_tree(node: Node) -> frozenset[str]:
    """Whether every function exists and is given as many arguments as it takes. Returns the names of those that are used."""
    return frozenset(_check({"type": "whole", "children": [node]}, -1))


def _check(node: Node, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise Malformed("The expression is nested too deeply.")
    kind = node["type"]
    if kind in ("literal", "field", "key_val_pair"):
        _check_written(node["value"])
    if kind == "function_expression":
        _check_call(node["value"], node["children"])
        yield node["value"]
    for place, child in enumerate(node["children"]):
        if isinstance(child, dict):
            if child["type"] == "expref" and not (kind == "function_expression" and _takes_expression(node["value"], place)):
                raise Malformed("An expression with & before it is only for functions that take one, such as sort_by().")
            yield from _check(child, depth + 1)


def _check_written(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("The expression holds half a character (a lone surrogate).") from None


def _check_call(name: str, given: list[Node]) -> None:
    if name not in SIGNATURES:
        raise Malformed(f"There is no function {name}().{suggestion(name, list(SIGNATURES))}")
    signature = SIGNATURES[name]
    wanted, more = len(signature), bool(signature and signature[-1].get("variadic"))
    if len(given) < wanted or (len(given) > wanted and not more):
        count = f"{wanted} argument{'s' * (wanted != 1)}" if wanted else "no arguments"
        raise Malformed(f"{name}() takes {'at least ' if more else ''}{count}, not {len(given)}.")
    if name == "e164" and given[1]["type"] == "literal" and isinstance(given[1]["value"], str):
        country_of(given[1]["value"])


def _takes_expression(name: str, place: int) -> bool:
    signature = SIGNATURES[name]
    return place < len(signature) and "expref" in signature[place]["types"]


def check_beginnings(node: Node, roots: Roots) -> None:
    """Whether everything that is looked up in the context itself is there."""
    for steps in _from_root(node):
        _check_root(steps, roots)


_LEFT_ONLY = frozenset(
    {"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "flatten", "pipe"}
)
_ALL = frozenset(
    {"function_expression", "or_expression", "and_expression", "not_expression", "comparator", "multi_select_list",
     "multi_select_dict", "key_val_pair"}
)  # fmt: skip


def _from_root(node: Node) -> Iterator[tuple[str, ...]]:
    """The keys with which the parts of an expression begin that are looked up in the context itself: one, or two if known."""
    kind = node["type"]
    if kind == "field":
        yield (node["value"],)
    elif kind == "subexpression" and (path := _leading_path(node)):
        yield path[:2]
    elif kind in _LEFT_ONLY:
        yield from _from_root(node["children"][0])
    elif kind in _ALL:
        for child in node["children"]:
            yield from _from_root(child)


def _leading_path(node: Node) -> tuple[str, ...]:
    """The keys at the beginning of a chain such as `user.account.x` or `user.[id, email]`."""
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] != "subexpression":
        return ()
    first, *others = node["children"]
    keys = [one["value"] for one in itertools.takewhile(lambda one: one["type"] == "field", others)]
    before = _leading_path(first)
    return (*before, *keys) if before else ()


def _check_root(steps: tuple[str, ...], roots: Roots) -> None:
    root = steps[0]
    if root not in roots:
        raise Malformed(
            f"An expression here begins with one of {', '.join(roots)}; '{root}' is none of them.{suggestion(root, roots)}"
        )
    members = roots[root]
    if len(steps) > 1 and members is not None and not _among(members, steps[1]):
        names = sorted(name for name in members if not name.endswith(".*"))
        near = suggestion(steps[1], names) or f" It has {', '.join(names)}."
        raise Malformed(f"'{root}' has no '{steps[1]}'.{near}")


def _among(members: Set[str], name: str) -> bool:
    family, dot, _member = name.partition(".")
    return name in members or (bool(dot) and f"{family}.*" in members)
