"""A document's text with some of its values changed: what is not concerned stays as it was written, comments included.

Only lines of block style are cut out or put in, and single values exchanged. The result is read again; where it does not say what
it should (anchors, unusual forms), the whole document is written anew.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import yaml

from relay.connectors.yaml_text import load, nodes_of
from relay.connectors.yaml_writing import written, written_on_one_line
from relay.domain.errors import DocumentError


def rewritten(text: str, values: dict[str, Any]) -> str:
    """YAML that says these values, as near to the text as we can. The text must be a valid document."""
    before = load(text)
    if _same(before, values):
        return text
    former = _in_former_order(before, values)
    if former is not None:
        text = rewritten(text, former)
        before = load(text)
    rewriting = _Rewriting(text if text.endswith("\n") else text + "\n")
    try:
        rewriting.change(nodes_of(text), before, values)
        changed = rewriting.text()
        if _same(load(changed), values):
            return changed
    except (_Unusual, DocumentError):
        pass
    return _written_well(values)


_ORDERED = "actions"
"""A list whose order somebody may change."""


def _in_former_order(before: dict[str, Any], values: dict[str, Any]) -> dict[str, Any] | None:
    """These values with the actions in the order in which the text has them, new ones behind those; None: they are in it already.
    First what they say is changed, then where they stand."""
    old, new = before.get(_ORDERED), values.get(_ORDERED)
    if not isinstance(old, list) or not isinstance(new, list):
        return None
    names = [_name(one) for one in old]
    known = sorted((one for one in new if _name(one) in names), key=lambda one: names.index(_name(one)))
    former = [*known, *(one for one in new if _name(one) not in names)]
    if [_name(one) for one in former] == [_name(one) for one in new]:
        return None
    return {**values, _ORDERED: former}


def _written_well(values: dict[str, Any]) -> str:
    """Raises `DocumentError` for what our YAML cannot say as it is. What is no document at all is for its reader to tell."""
    text = written(values)
    try:
        said = load(text)
    except DocumentError:
        return text
    if not _same(said, values):
        raise DocumentError([("", "Something in it cannot be written as YAML; write it with simpler texts.")])
    return text


class _Unusual(Exception):
    """Something that only the whole can be written anew for."""


class _Edit(NamedTuple):
    """The text between these two places is replaced."""

    start: int
    end: int
    text: str


class _Rewriting:
    def __init__(self, text: str) -> None:
        self._text = text
        self._edits: list[_Edit] = []

    def text(self) -> str:
        """With all changes in it."""
        changed, upto = [], 0
        for edit in sorted(self._edits, key=lambda edit: (edit.start, edit.end)):
            if edit.start < upto:
                raise _Unusual
            changed += [self._text[upto : edit.start], edit.text]
            upto = edit.end
        return "".join([*changed, self._text[upto:]])

    def change(self, node: yaml.Node, old: Any, new: Any) -> None:
        """Lets the node say the new value instead of the old one."""
        if _same(old, new):
            return
        if isinstance(node, yaml.MappingNode) and isinstance(new, dict) and new and not node.flow_style:
            self._change_mapping(node, old, new)
        elif isinstance(node, yaml.SequenceNode) and isinstance(new, list) and new and not node.flow_style:
            self._change_list(node, old, new)
        else:
            self._replace(node, new)

    def _change_mapping(self, node: yaml.MappingNode, old: dict[str, Any], new: dict[str, Any]) -> None:
        if any(key.tag.endswith(":merge") for key, _ in node.value):
            raise _Unusual
        for key, value in node.value:
            if key.value not in new:
                self._cut_lines(key.start_mark, _end(value))
            elif isinstance(new[key.value], dict | list) and not _same(old[key.value], new[key.value]) and not _in_lines(value):
                self._exchange(key, value, new[key.value])
            else:
                self.change(value, old[key.value], new[key.value])
        added = {key: value for key, value in new.items() if key not in old}
        if added:
            first_key, last_value = node.value[0][0], node.value[-1][1]
            self._add_lines(_end(last_value), _indented(written(added), first_key.start_mark.column))

    def _exchange(self, key: yaml.Node, value: yaml.Node, new: Any) -> None:
        """What stood behind its key on one line may now take several."""
        if self._text.count("\n", key.start_mark.index, _end(value)):
            raise _Unusual
        lines = _indented(written({"k": new}), key.start_mark.column)
        _, _, rest = lines.partition(":")
        self._edits.append(_Edit(key.end_mark.index + 1, _end(value), rest.rstrip("\n")))

    def _change_list(self, node: yaml.SequenceNode, old: list[Any], new: list[Any]) -> None:
        dash = node.start_mark.column
        names = [_name(one) for one in old]
        kept = [names.index(_name(one)) if _name(one) in names else None for one in new]
        order = [place for place in kept if place is not None]
        if len(set(names)) != len(names):
            raise _Unusual
        if order != sorted(set(order)):
            self._reorder(node, [old[place] for place in order], new, order)
            return
        for place, item in enumerate(node.value):
            if place not in order:
                self._cut_lines(item.start_mark, _end(item))
        after = _end(node.value[order[0]]) if order else _end(node.value[-1])
        for one, known in zip(new, kept, strict=True):
            if known is None:
                self._add_lines(after, _indented(written([one]), dash))
            else:
                self.change(node.value[known], old[known], one)
                after = _end(node.value[known])

    def _reorder(self, node: yaml.SequenceNode, old: list[Any], new: list[Any], order: list[int]) -> None:
        """The same entries in another order, each with the comments above it."""
        if sorted(order) != list(range(len(node.value))) or not _same(old, new):
            raise _Unusual
        slots = [(self._first_line(item.start_mark), self._line_end(_end(item))) for item in node.value]
        for (start, end), place in zip(slots, order, strict=True):
            self._edits.append(_Edit(start, end, self._text[slice(*slots[place])]))

    def _first_line(self, mark: yaml.Mark) -> int:
        """Where the lines of an entry begin, with the comments above it."""
        start = mark.index - mark.column
        while start:
            above = self._text.rfind("\n", 0, start - 1) + 1
            if not self._text[above:start].lstrip().startswith("#"):
                break
            start = above
        return start

    def _replace(self, node: yaml.Node, new: Any) -> None:
        if _in_lines(node) and not isinstance(node, yaml.ScalarNode):
            raise _Unusual
        start, end = node.start_mark.index, _end(node)
        if self._text.count("\n", start, end) and isinstance(node, yaml.ScalarNode) and node.style in ("|", ">"):
            raise _Unusual
        gap = " " if start and self._text[start - 1] == ":" else ""
        self._edits.append(_Edit(start, end, gap + written_on_one_line(new)))

    def _cut_lines(self, start: yaml.Mark, end: int) -> None:
        self._edits.append(_Edit(start.index - start.column, self._line_end(end), ""))

    def _add_lines(self, after: int, lines: str) -> None:
        place = self._line_end(after)
        self._edits.append(_Edit(place, place, lines))

    def _line_end(self, place: int) -> int:
        if place and self._text[place - 1] == "\n":
            return place
        return self._text.index("\n", place) + 1


def _in_lines(node: yaml.Node) -> bool:
    """Whether it is a collection in block style, or empty."""
    return isinstance(node, yaml.CollectionNode) and not node.flow_style


def _place(mark: yaml.Mark | None) -> int:
    if mark is None:
        raise _Unusual
    return mark.index


def _end(node: yaml.Node) -> int:
    """Where its content ends. A block's own mark is behind the comments that follow it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return _place(node.end_mark)


def _name(value: Any) -> str:
    """By what an entry of a list is known again: its name, or all of it."""
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return f"name {value['name']}"
    return msgspec.json.encode(value, order="deterministic").decode()


def _indented(text: str, column: int) -> str:
    return "".join(f"{' ' * column}{line}\n" if line else "\n" for line in text.splitlines())


def _same(one: Any, other: Any) -> bool:
    """Also by type: 1 and true are not the same."""
    return msgspec.json.encode(one, order="deterministic") == msgspec.json.encode(other, order="deterministic")
