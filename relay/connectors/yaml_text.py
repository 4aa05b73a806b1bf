"""From YAML text to plain values: one mapping, with limits that no document in good faith reaches.

Scalars are read as in YAML 1.2: `yes`, `on`, `012` and dates are text, not truth values, octal numbers and date objects.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from relay.domain.errors import DocumentError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 30
MAX_VALUES = 20_000
"""Most values in a document once its aliases are written out."""

_QUOTED = re.compile(r""" (?:'(?!<)[^']{2,}'|"[^"]{2,}")""")
_PREFIX = "tag:yaml.org,2002:"
_SCALARS = {
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    # 18 digits fit everywhere (JSON, SQLite, Firestore); a longer one is an ID, and text.
    "int": re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})", re.ASCII),
    "float": re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]{1,3})?|[eE][-+]?[0-9]{1,3})", re.ASCII),
}
_FIRST = {"null": "~nN", "bool": "tTfF", "int": "-+0123456789", "float": "-+0123456789"}


class _Refused(yaml.MarkedYAMLError):
    """Our own complaint about a place in the text."""


def _refuse(sentence: str, node: yaml.Node) -> _Refused:
    return _Refused(problem=sentence, problem_mark=node.start_mark)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # Bounds the recursion of everything that follows.
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _Refused(problem="this is nested too deeply", problem_mark=self.get_mark())
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


for _name, _pattern in _SCALARS.items():
    _Loader.add_implicit_resolver(_PREFIX + _name, re.compile(rf"(?:{_pattern.pattern})\Z", _pattern.flags), list(_FIRST[_name]))
_Loader.add_implicit_resolver(_PREFIX + "null", re.compile(r"\Z"), [""])
_Loader.add_implicit_resolver(_PREFIX + "merge", re.compile(r"<<\Z"), ["<"])

IMPLICIT = _Loader.yaml_implicit_resolvers
"""First character → (tag, pattern) of the scalars that are not text."""


def load(text: str) -> dict[str, Any]:
    """The document's values. Raises `DocumentError` with the line and column of what is wrong with it as YAML."""
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise DocumentError([("", f"The document is larger than {MAX_BYTES // 1024} KB.")])
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if not isinstance(node, yaml.MappingNode):
                raise DocumentError([("", "The document must be a mapping: lines such as `name: my-connector`.")])
            _Inspection().inspect(node)
            values: dict[str, Any] = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        raise DocumentError([("", _sentence(error))]) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DocumentError([("", f"Line {line}: there is a character that YAML does not allow.")]) from None
    except (yaml.YAMLError, ValueError, OverflowError):
        # An escape such as "\U00110000" fails inside the parser, without a place.
        raise DocumentError([("", "This is not valid YAML.")]) from None
    return values


def nodes_of(text: str) -> yaml.Node:
    """The nodes of a text that `load` has read, with their places in it."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise DocumentError([("", "The document is empty.")])
        return node
    finally:
        loader.dispose()


def _sentence(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"Line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    if isinstance(error, _Refused):
        return f"{where}{error.problem}."
    if "single document" in (error.context or ""):
        return f"{where}a second document begins here; a file holds one connector."
    # What the parser quotes is left out, kinds of tokens and single characters apart: it could be a secret in the wrong place.
    because = _QUOTED.sub("", " ".join(part for part in (error.problem, error.context) if part))
    return f"{where}not valid YAML: {because}."


class _Inspection:
    """Walks the nodes once, in the order of the text, before any value is made of them."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}
        self._open: set[int] = set()

    def inspect(self, node: yaml.Node) -> tuple[int, int]:
        """(values, depth) of the node with its aliases written out. Raises `_Refused`."""
        if id(node) in self._known:
            return self._known[id(node)]
        if id(node) in self._open:
            raise _refuse("this contains itself", node)
        self._open.add(id(node))
        count, depth = 1, 1
        for child in self._children(node):
            child_count, child_depth = self.inspect(child)
            count, depth = count + child_count, max(depth, child_depth + 1)
        if count > MAX_VALUES:
            raise _refuse(f"there are more than {MAX_VALUES:,} values here, aliases written out", node)
        if depth > MAX_DEPTH:
            raise _refuse("this is nested too deeply", node)
        self._open.discard(id(node))
        self._known[id(node)] = count, depth
        return count, depth

    def _children(self, node: yaml.Node) -> list[yaml.Node]:
        tag = node.tag.removeprefix(_PREFIX)
        if isinstance(node, yaml.MappingNode) and tag == "map":
            _check_keys(node)
            return [value for _key, value in node.value]
        if isinstance(node, yaml.SequenceNode) and tag == "seq":
            return list(node.value)
        if isinstance(node, yaml.ScalarNode):
            _check_scalar(node, tag)
            return []
        raise _refuse("a tag (!) is not allowed", node)


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[str] = set()
    for key, _value in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag not in (_PREFIX + "str", _PREFIX + "merge"):
            raise _refuse("a key must be text; put it in quotes", key)
        _check_scalar(key, key.tag.removeprefix(_PREFIX))
        if key.value in seen:
            raise _refuse(f"the key '{key.value}' is there twice", key)
        seen.add(key.value)


def _check_scalar(node: yaml.ScalarNode, tag: str) -> None:
    pattern = _SCALARS.get(tag)
    if tag not in ("str", "merge") and (pattern is None or not pattern.fullmatch(node.value)):
        raise _refuse("a tag (!) is not allowed", node)
    if tag == "float" and not math.isfinite(float(node.value)):
        raise _refuse("this number is too large", node)
    if any("\ud800" <= character <= "\udfff" or character == "\0" for character in node.value):
        raise _refuse("this contains a character that is none", node)
