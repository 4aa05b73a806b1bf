"""JMESPath expressions over a mutation: compiled once, checked as far as they can be before there is data.

Beside the functions of JMESPath there are `trim`, `lower` and `sha256`; null passes them as null.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import jmespath
from jmespath import exceptions, functions

from relay.connectors.quantities import Malformed
from relay.connectors.values import IDENTIFIERS, suggestion

MAX_LENGTH = 1_000
MAX_DEPTH = 40

ROOTS: Mapping[str, frozenset[str] | None] = {
    "user": frozenset({*IDENTIFIERS, "account", "agent"}),
    "fields": None,
    "customer": None,
    "direction": None,
    "audience": frozenset({"id", "name", "partner_id"}),
    "request": frozenset({"id", "received_at", "fields"}),
}
"""What a mapping can begin with, and what each holds (None: anything)."""


class _Functions(functions.Functions):
    @functions.signature({"types": ["string", "null"]})
    def _func_trim(self, value: str | None) -> str | None:
        return value if value is None else value.strip()

    @functions.signature({"types": ["string", "null"]})
    def _func_lower(self, value: str | None) -> str | None:
        return value if value is None else value.lower()

    @functions.signature({"types": ["string", "null"]})
    def _func_sha256(self, value: str | None) -> str | None:
        return value if value is None else hashlib.sha256(value.encode()).hexdigest()


_OPTIONS = jmespath.Options(custom_functions=_Functions())
_SIGNATURES: Mapping[str, Mapping[str, Any]] = _Functions.FUNCTION_TABLE
_Node = Mapping[str, Any]


class Expression:
    """One compiled expression. `path`: its keys, where it is nothing but keys with dots between them."""

    def __init__(self, parsed: Any) -> None:
        self._parsed = parsed
        self.path = _plain_path(parsed.parsed)

    def search(self, context: Mapping[str, Any]) -> Any:
        """The value. Raises `Malformed`, whose sentence holds no value, where a function meets what it cannot take."""
        if self.path:
            return _follow(self.path, context)
        try:
            return self._parsed.search(context, options=_OPTIONS)
        except exceptions.JMESPathTypeError as error:
            wanted = " or ".join(sorted({_TYPES.get(name, name) for name in error.expected_types} - {"null"}))
            got = _TYPES.get(error.actual_type, error.actual_type)
            raise Malformed(f"{error.function_name}() takes {wanted}, and was given {got}.") from None
        except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError):
            # Functions of the library fail in these ways on unusual values, such as ceil() on an infinite number.
            raise Malformed("The expression cannot be computed for this user.") from None


_TYPES = {"string": "text", "array": "a list", "array-string": "a list of texts", "array-number": "a list of numbers",
          "object": "an object", "number": "a number", "boolean": "true or false", "expref": "an expression (&)"}  # fmt: skip


@functools.lru_cache(maxsize=4096)
def compile_expression(text: str) -> Expression:
    """The expression, ready. Raises `Malformed` with what is wrong and where in the text."""
    if not text.strip():
        raise Malformed("The expression is empty; leave the field out instead.")
    if len(text) > MAX_LENGTH:
        raise Malformed(f"The expression is longer than {MAX_LENGTH:,} characters.")
    try:
        parsed = jmespath.compile(text)
    except exceptions.ParseError as error:
        if isinstance(error, exceptions.IncompleteExpressionError) or error.token_type == "EOF":  # noqa: S105
            raise Malformed(f"The expression ends too early, at character {len(text)}.") from None
        raise Malformed(f"Not a JMESPath expression: trouble at character {error.lex_position + 1}.") from None
    except (ValueError, RecursionError):
        raise Malformed("Not a JMESPath expression.") from None
    _check(parsed.parsed, 0)
    for steps in _from_root(parsed.parsed):
        _check_root(steps)
    return Expression(parsed)


def _check(node: _Node, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Malformed("The expression is nested too deeply.")
    if node["type"] == "function_expression":
        _check_call(node["value"], len(node["children"]))
    for child in node["children"]:
        if isinstance(child, dict):
            _check(child, depth + 1)


def _check_call(name: str, given: int) -> None:
    if name not in _SIGNATURES:
        raise Malformed(f"There is no function {name}().{suggestion(name, list(_SIGNATURES))}")
    signature = _SIGNATURES[name]["signature"]
    wanted, more = len(signature), bool(signature and signature[-1].get("variadic"))
    if given < wanted or (given > wanted and not more):
        raise Malformed(f"{name}() takes {'at least ' if more else ''}{wanted} argument{'s' * (wanted != 1)}, not {given}.")


_LEFT_ONLY = frozenset(
    {"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "flatten", "pipe"}
)
_ALL = frozenset(
    {"function_expression", "or_expression", "and_expression", "not_expression", "comparator", "multi_select_list",
     "multi_select_dict", "key_val_pair"}
)  # fmt: skip


def _from_root(node: _Node) -> Iterator[tuple[str, ...]]:
    """The keys with which the parts of an expression begin that are looked up in the mutation itself: one, or two if known."""
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


def _leading_path(node: _Node) -> tuple[str, ...]:
    """The keys at the beginning of a chain such as `user.account.x` or `user.[id, email]`."""
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] != "subexpression":
        return ()
    first, *others = node["children"]
    keys = [one["value"] for one in itertools.takewhile(lambda one: one["type"] == "field", others)]
    before = _leading_path(first)
    return (*before, *keys) if before else ()


def _check_root(steps: tuple[str, ...]) -> None:
    root = steps[0]
    if root not in ROOTS:
        raise Malformed(f"A mapping begins with one of {', '.join(ROOTS)}; '{root}' is none of them.{suggestion(root, ROOTS)}")
    members = ROOTS[root]
    if len(steps) > 1 and members is not None and steps[1] not in members and not steps[1].startswith(("account.", "agent.")):
        near = suggestion(steps[1], members) or f" It has {', '.join(sorted(members))}."
        raise Malformed(f"'{root}' has no '{steps[1]}'.{near}")


def _plain_path(node: _Node) -> tuple[str, ...]:
    links = node["children"] if node["type"] == "subexpression" else [node]
    return tuple(link["value"] for link in links) if all(link["type"] == "field" for link in links) else ()


def _follow(path: tuple[str, ...], value: Any) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
