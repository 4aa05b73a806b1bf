"""Templates: text with Jinja2 expressions in it, computed in a sandbox that sees nothing but what it is given.

https://jinja.palletsprojects.com/en/stable/templates/#expressions, https://jinja.palletsprojects.com/en/stable/sandbox
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from adapters.http.filters import FILTERS, TESTS, as_text, joined, plain
from adapters.http.grammar import Names, Uses, check, path_of
from relay.domain.malformed import Malformed

MAX_LENGTH = 4_000
_LARGEST = 10**18
_RESULT = "result"
_MARKED = re.compile(r"\{[{%#]")


class Placeholder(str):
    """Stands in a preview for what is not known before the call is made; it is shown as it is, even in an address."""

    __slots__ = ()


class Template:
    """One compiled template; see `compile_template`.

    alone  it is one expression and nothing else, so that what it gives keeps its type
    uses   what it looks at
    place  where it is written, for the sentences of errors
    """

    place = ""

    def __init__(self, parts: tuple[str | None, ...], compute: Callable[[Mapping[str, Any]], list[Any]], uses: Uses) -> None:
        """`parts`: texts, and None where the next expression stands."""
        self._parts = parts
        self._compute = compute
        self.uses = uses
        self.alone = parts == (None,)

    def at(self, place: str) -> Template:
        """The same, known to be written there."""
        made = Template(self._parts, self._compute, self.uses)
        made.place = place
        return made

    def outline(self, value: str) -> str:
        """As text, with the same in the place of every value."""
        return "".join(value if part is None else part for part in self._parts)

    def value(self, context: Mapping[str, Any]) -> Any:
        """What it gives: any plain value where it is one expression alone, else text. Raises `Malformed`, without a value."""
        if not self.alone:
            return self.text(context)
        with self._telling_where():
            (value,) = self._compute(context)
            return str(value) if isinstance(value, Placeholder) else value

    def text(self, context: Mapping[str, Any], encode: Callable[[str], str] = str) -> str:
        """As text, every value in it encoded. Raises `Malformed`, without a value."""
        with self._telling_where():
            values = iter(self._compute(context)) if None in self._parts else iter(())
            return joined([_encoded(next(values), encode) if part is None else part for part in self._parts])

    @contextmanager
    def _telling_where(self) -> Iterator[None]:
        try:
            yield
        except Malformed as problem:
            raise Malformed(f"`{self.place}`: {problem}" if self.place else str(problem)) from None


def _encoded(value: Any, encode: Callable[[str], str]) -> str:
    return str(value) if isinstance(value, Placeholder) else encode(as_text(value))


def compile_template(source: str, names: Names) -> Template:
    """The template, ready. `names`: what it may look at. Raises `Malformed` with what is wrong with it."""
    if not _MARKED.search(source):
        return Template((source,) if source else (), lambda _: [], frozenset())
    if len(source) > MAX_LENGTH:
        raise Malformed(f"The template is longer than {MAX_LENGTH:,} characters.")
    try:
        parts: list[str | None] = []
        expressions: list[nodes.Expr] = []
        uses: Uses = frozenset()
        for node in _output(_ENVIRONMENT.parse(source)):
            if isinstance(node, nodes.TemplateData):
                parts.append(node.data)
                continue
            uses |= check(node, names)
            parts.append(None)
            expressions.append(_JoiningTexts().visit(node))
        return Template(tuple(parts), _computing(expressions), uses)
    except TemplateSyntaxError:
        raise Malformed("Not a template: something inside {{ … }} cannot be read, or a bracket is not closed.") from None
    except (TemplateError, SyntaxError, RecursionError, MemoryError, ValueError, OverflowError) as error:
        if isinstance(error, Malformed):
            raise
        raise Malformed("Not a template that can be used.") from None


def _output(parsed: nodes.Template) -> list[nodes.Expr]:
    found: list[nodes.Expr] = []
    for node in parsed.body:
        if not isinstance(node, nodes.Output):
            raise Malformed("Only {{ … }} can stand in a template, no {% … %}: {{ a if b else c }} decides between two values.")
        found += node.nodes
    return found


def _computing(expressions: list[nodes.Expr]) -> Callable[[Mapping[str, Any]], list[Any]]:
    """All of them at once; plain values, and placeholders. Raises `Malformed`."""
    paths = [path_of(expression) for expression in expressions]
    if all(paths):
        return lambda context: [_looked_up(path, context) for path in paths]
    assignment = nodes.Assign(nodes.Name(_RESULT, "store"), nodes.List(expressions), lineno=1)
    for node in assignment.find_all(nodes.Node):
        node.set_environment(_ENVIRONMENT)
    template = _ENVIRONMENT.from_string(nodes.Template([assignment], lineno=1))

    def compute(context: Mapping[str, Any]) -> list[Any]:
        scope = template.new_context(dict(context))
        try:
            for _ in template.root_render_func(scope):
                pass
            return [value if isinstance(value, Placeholder) else plain(value) for value in scope.vars[_RESULT]]
        except Malformed:
            raise
        except TemplateError:
            raise Malformed("A template looks for something that is not there.") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, RecursionError):
            raise Malformed("A template cannot be computed with such values.") from None

    return compute


def _looked_up(path: tuple[str, ...], value: Any) -> Any:
    """What Jinja2 would find there, without the detour: most templates are no more than this."""
    for name in path:
        value = _ENVIRONMENT.getitem(value, name)
    return value if isinstance(value, Placeholder) else plain(value)


class _JoiningTexts(NodeTransformer):
    """Makes `a ~ b` a filter of ours, which is bounded and knows how we write values."""

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return nodes.Filter(nodes.List(node.nodes), "join", [], [], None, None, lineno=node.lineno)


class _Environment(ImmutableSandboxedEnvironment):
    """Knows no attributes of Python's objects, only members of mappings and lists, and calculates with numbers alone."""

    intercepted_binops = frozenset(ImmutableSandboxedEnvironment.default_binop_table)

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, keep_trailing_newline=True, optimized=False, cache_size=0)
        self.globals.clear()
        self.filters = dict(FILTERS)
        self.tests = dict(TESTS)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A member of a mapping, or what is at a place of a list or a text."""
        if isinstance(obj, Mapping) or (isinstance(obj, list | tuple | str) and isinstance(argument, int | slice)):
            try:
                return obj[argument]
            except (TypeError, LookupError):
                pass
        return self.undefined(obj=obj, name=argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """The same."""
        return self.getitem(obj, attribute)

    def is_safe_callable(self, obj: Any) -> bool:  # noqa: ARG002 - none is
        """Nothing is called."""
        return False

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic, for numbers that JSON can hold."""
        if not (_is_number(left) and _is_number(right)):
            raise Malformed(f"`{operator}` calculates with numbers, and was given something else; `~` puts texts together.")
        result = super().call_binop(context, operator, left, right)
        if not math.isfinite(result) or abs(result) > _LARGEST:
            raise Malformed("A template gives a number that is too large.")
        return result


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_ENVIRONMENT = _Environment()
