"""JMESPath expressions: compiled once, checked as far as they can be before there is data."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jmespath
import msgspec
from jmespath import exceptions
from jmespath.functions import TYPES_MAP

from relay.domain.malformed import Malformed
from relay.expressions.checks import Node, Roots, check_beginnings, check_tree
from relay.expressions.functions import SURROUNDED, Functions

MAX_LENGTH = 1_000


class Surroundings(msgspec.Struct, frozen=True):
    """What an evaluation depends on beside its context; what is not given has no meaning there, and using it raises `Malformed`.

    now    reading of the clock, seconds since the epoch: `now()`
    seed   what `uuid()` is derived from: the same seed gives the same UUIDs in the same order
    email  the partner's normalisation of an e-mail address; None or empty where it is none: `email()`
    """

    now: float | None = None
    seed: str = ""
    email: Callable[[str], str | None] | None = None


NONE = Surroundings()


class Expression:
    """One compiled expression.

    path   its keys, where it is nothing but keys with dots between them
    needs  those of `now`, `uuid` and `email` that it uses: what its surroundings must give
    """

    def __init__(self, parsed: Any, functions: frozenset[str]) -> None:
        self._parsed = parsed
        self.path = _plain_path(parsed.parsed)
        self.needs = functions & SURROUNDED

    def check_beginnings(self, roots: Roots) -> None:
        """Raises `Malformed` where it looks for something that is not among these."""
        check_beginnings(self._parsed.parsed, roots)

    def search(self, context: Mapping[str, Any], surroundings: Surroundings = NONE) -> Any:
        """The value. Raises `Malformed`, whose sentence holds no value, where a function meets what it cannot take."""
        if self.path:
            return _follow(self.path, context)
        try:
            return self._parsed.search(context, options=_options(surroundings) if self.needs else _OPTIONS)
        except Malformed:
            raise
        except exceptions.JMESPathTypeError as error:
            wanted = " or ".join(sorted({_kind(name) for name in error.expected_types} - {"null"}))
            raise Malformed(f"{error.function_name}() takes {wanted}, and was given {_kind(error.actual_type)}.") from None
        except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError):
            # Functions of the library fail in these ways on unusual values, such as ceil() on an infinite number.
            raise Malformed("The expression cannot be computed for this user.") from None


def _options(surroundings: Surroundings) -> Any:
    return jmespath.Options(custom_functions=Functions(surroundings.now, surroundings.seed, surroundings.email))


_OPTIONS = _options(NONE)

_KINDS = {"string": "text", "array": "a list", "array-string": "a list of texts", "array-number": "a list of numbers",
          "object": "an object", "number": "a number", "boolean": "true or false", "expref": "an expression (&)"}  # fmt: skip


def _kind(name: str) -> str:
    """Of a type as the library calls it, or as Python does."""
    name = TYPES_MAP.get(name, name)
    return _KINDS.get(name, name)


def compile_expression(text: str, roots: Roots | None = None) -> Expression:
    """The expression, ready; one text is compiled once. Raises `Malformed` with what is wrong and where in the text.

    roots: what it can begin with; None: anything.
    """
    expression = _compiled(text)
    if roots is not None:
        expression.check_beginnings(roots)
    return expression


@functools.lru_cache(maxsize=4096)
def _compiled(text: str) -> Expression:
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
    return Expression(parsed, check_tree(parsed.parsed))


def _plain_path(node: Node) -> tuple[str, ...]:
    links = node["children"] if node["type"] == "subexpression" else [node]
    return tuple(link["value"] for link in links) if all(link["type"] == "field" for link in links) else ()


def _follow(path: tuple[str, ...], value: Any) -> Any:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value
