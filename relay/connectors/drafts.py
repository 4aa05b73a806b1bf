"""A document that is still being written: what is there so far, what is wrong with it, and its text.

What is written is kept whether it is right or not; `problems_of` says what is wrong, with places, as for a finished document.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import Any, NamedTuple

import msgspec

from adapters.contract import Description
from relay.connectors.document import KEYS, Describe, expand
from relay.connectors.field_values import of_field
from relay.connectors.yaml_rewriting import rewritten
from relay.connectors.yaml_text import load
from relay.connectors.yaml_writing import written
from relay.domain.connector import Connector
from relay.domain.errors import DocumentError
from relay.domain.malformed import Malformed
from relay.reading.section import Path, path_of


class Unfinished(msgspec.Struct, frozen=True, omit_defaults=True):
    """A draft's content.

    values  the document so far, as YAML would give it
    unread  place → what was typed there and is no YAML; nothing is in `values` at that place
    text    the YAML that it began from, whose comments and order stay where nothing changes; empty: none
    began   name of the document of which it is to be the next version; empty: it is a new one
    """

    values: dict[str, Any] = {}
    unread: dict[str, str] = {}
    text: str = ""
    began: str = ""


class Problem(NamedTuple):
    """Something wrong at a place of the document; the place is empty where it is the document as a whole."""

    place: str
    sentence: str


def decoded(content: str) -> Unfinished:
    """What `encoded` wrote."""
    return msgspec.json.decode(content, type=Unfinished)


def encoded(unfinished: Unfinished) -> str:
    return msgspec.json.encode(unfinished).decode()


def begun_from(text: str, *, name: str = "") -> Unfinished:
    """The document of this YAML, to be changed. `name`: another one for it. Raises `DocumentError` if it is no YAML."""
    values = load(text)
    if name:
        values["name"] = name
    return Unfinished(values, text=text)


def text_of(unfinished: Unfinished) -> str:
    """The YAML that would be published. What was typed and is no YAML is not in it."""
    if unfinished.text:
        return rewritten(unfinished.text, unfinished.values)
    return written({key: unfinished.values[key] for key in sorted(unfinished.values, key=_place_of)})


def _place_of(key: str) -> int:
    return KEYS.index(key) if key in KEYS else len(KEYS)


def lost_comments(unfinished: Unfinished) -> list[str]:
    """Comments of the text that it began from which are not in `text_of` any more, each as its line has it."""
    kept = set(_comments(text_of(unfinished)))
    return [comment for comment in _comments(unfinished.text) if comment not in kept]


def _comments(text: str) -> Iterable[str]:
    return (line.strip() for line in text.splitlines() if line.lstrip().startswith("#"))


def connectors_of(unfinished: Unfinished, describe: Describe) -> tuple[tuple[Connector, ...], list[Problem]]:
    """What it would make, and every problem; where there are problems, it makes nothing."""
    unread = [Problem(place, _not_yaml(typed)) for place, typed in unfinished.unread.items()]
    try:
        connectors = expand(text_of(unfinished), describe=describe)
    except DocumentError as error:
        return (), [*unread, *(Problem(*problem) for problem in error.problems)]
    return (() if unread else connectors), unread


def problems_of(unfinished: Unfinished, describe: Describe) -> list[Problem]:
    """Everything that is wrong with it, in the order of the document."""
    return connectors_of(unfinished, describe)[1]


def description_of(unfinished: Unfinished, describe: Describe) -> Description | None:
    """Of its adapter, as those of its settings say that can be understood so far. None without an adapter."""
    adapter = unfinished.values.get("adapter")
    if not isinstance(adapter, str):
        return None
    general = describe(adapter)
    settings = unfinished.values.get("settings")
    if general is None or not isinstance(settings, dict):
        return general
    understood = _well_formed(settings, general)
    while True:
        try:
            return describe(adapter, understood)
        except DocumentError as error:
            wrong = {str(path_of(place)[0]) for place, _ in error.problems if place}
            if not wrong & understood.keys():
                return general
            understood = {name: value for name, value in understood.items() if name not in wrong}


def _well_formed(settings: dict[str, Any], general: Description) -> dict[str, Any]:
    """Those that are what they should be, and the defaults of the others."""
    found = {}
    for field in general.settings:
        value = settings.get(field.name)
        try:
            found[field.name] = of_field(field)(value) if value is not None else field.default
        except Malformed:
            found[field.name] = field.default
    return {name: value for name, value in found.items() if value is not None}


# changing values


def value_at(values: Any, place: str | Path) -> Any:
    """What is there; None if nothing is."""
    for part in path_of(place) if isinstance(place, str) else place:
        if isinstance(values, dict):
            values = values.get(part)
        elif isinstance(values, list) and isinstance(part, int) and part < len(values):
            values = values[part]
        else:
            return None
    return values


def with_value(values: dict[str, Any], place: str | Path, value: Any) -> dict[str, Any]:
    """The values with this one at that place; None takes it away, and the mapping that it leaves empty. Lists are not made
    longer."""
    path = path_of(place) if isinstance(place, str) else place
    changed = deepcopy(values)
    _put(changed, path, value)
    return changed


def _put(inside: Any, path: Path, value: Any) -> None:
    first, rest = path[0], path[1:]
    if isinstance(inside, list):
        if isinstance(first, int) and first < len(inside) and rest:
            _put(inside[first], rest, value)
        elif isinstance(first, int) and first < len(inside):
            inside[first] = value
        return
    if not rest:
        if value is None:
            inside.pop(first, None)
        else:
            inside[first] = value
        return
    child = inside.get(first)
    if not isinstance(child, dict | list):
        if value is None:
            return
        child = inside[first] = {}
    _put(child, rest, value)
    if child == {} and value is None:
        del inside[first]


def read_typed(typed: str) -> Any:
    """A structure that was typed as YAML. Raises `DocumentError`."""
    return load("typed:\n" + "".join(f"  {line}\n" for line in typed.expandtabs(2).splitlines())).get("typed")


def _not_yaml(typed: str) -> str:
    try:
        read_typed(typed)
    except DocumentError as error:
        return _line_before(error.problems[0][1])
    return "This is not valid YAML."


def _line_before(sentence: str) -> str:
    """The sentence with the line counted as it was typed: one was put before it, and two blanks before each."""
    words = sentence.split(" ", 4)
    if words[0] == "Line" and len(words) == 5 and words[2] == "column":
        line, column = int(words[1].rstrip(",")), int(words[3].rstrip(":"))
        return f"Line {max(line - 1, 1)}, column {max(column - 2, 1)}: {words[4]}"
    return sentence
