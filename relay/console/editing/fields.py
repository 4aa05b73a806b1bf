"""What a step asks at places of the document: shown as fields of a form, read from it as they were typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from adapters.contract import Field
from relay.connectors.drafts import Problem, Unfinished, read_typed, value_at, with_value
from relay.connectors.yaml_writing import written
from relay.domain.errors import DocumentError
from relay.reading.section import path_of

_NUMBER = re.compile(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?", re.ASCII)


YES_OR_NO = ("true", "false")


class Asked(NamedTuple):
    """A field at a place of the document. `wide`: it wants a line of its own. `base`: the place whose value it replaces, where it
    is an override: with nothing typed that value stays."""

    place: str
    field: Field
    wide: bool = False
    base: str = ""

    @property
    def id(self) -> str:
        """Its ID in the page."""
        return field_id(self.place)


def override_of(asked: Asked, environment: str) -> Asked:
    """The same field as an environment may override it. A yes or no has a third choice then: what the document says."""
    field = replace(asked.field, required=False)
    if field.type == "boolean":
        field = replace(field, choices=YES_OR_NO)
    return Asked(f"environments.{environment}.{asked.place}", field, asked.wide, asked.place)


class Group(NamedTuple):
    """Fields that belong together. `folded`: not shown until it is opened, unless something in it is given or wrong."""

    title: str
    asked: tuple[Asked, ...]
    help: str = ""
    folded: bool = False


class ShownField(msgspec.Struct, frozen=True):
    """A field as the page shows it: `value` is text, for lists a line for each entry, for structures YAML; None: not given.
    `otherwise`: of an override, what holds where it is not given. `taken_away`: it says null, so nothing holds."""

    place: str
    id: str
    field: Field
    value: str | None
    problems: tuple[str, ...] = ()
    wide: bool = False
    is_override: bool = False
    otherwise: str = ""
    taken_away: bool = False

    @property
    def is_on(self) -> bool:
        """Of a yes-or-no field: what it says, or would say if nothing is given."""
        return (self.value or str(bool(self.field.default)).lower()) == "true"


class ShownGroup(msgspec.Struct, frozen=True):
    title: str
    help: str
    fields: tuple[ShownField, ...]
    folded: bool


def field_id(place: str) -> str:
    """The ID of the field at this place."""
    return "f-" + re.sub(r"[^A-Za-z0-9]+", "-", place).strip("-")


# showing


def shown_groups(groups: Sequence[Group], unfinished: Unfinished, problems: Iterable[Problem]) -> list[ShownGroup]:
    """The groups with what is given, and what is wrong at each field or inside of it."""
    wrong = list(problems)
    shown = []
    for group in groups:
        fields = tuple(_shown(asked, unfinished, wrong) for asked in group.asked)
        used = any(field.value is not None or field.problems for field in fields)
        shown.append(ShownGroup(group.title, group.help, fields, group.folded and not used))
    return shown


def elsewhere(places: Iterable[str], problems: Iterable[Problem]) -> list[Problem]:
    """Those that belong to none of these places."""
    known = tuple(places)
    return [problem for problem in problems if not any(_inside(problem.place, place) for place in known)]


def _shown(asked: Asked, unfinished: Unfinished, problems: Sequence[Problem]) -> ShownField:
    own = []
    for problem in problems:
        if _inside(problem.place, asked.place):
            deeper = problem.place[len(asked.place) :].removeprefix(".")
            own.append(f"{deeper}: {problem.sentence}" if deeper else problem.sentence)
    typed = unfinished.unread.get(asked.place)
    value = typed if typed is not None else as_text(asked.field, value_at(unfinished.values, asked.place))
    wide = asked.wide or asked.field.type == "object"
    if not asked.base:
        return ShownField(asked.place, asked.id, asked.field, value, tuple(own), wide)
    if value is None and is_taken_away(unfinished.values, asked.place):
        return ShownField(asked.place, asked.id, asked.field, None, tuple(own), wide, True, "nothing: taken away here", True)
    said = value_at(unfinished.values, asked.base)
    otherwise = as_text(asked.field, asked.field.default if said is None else said) or ""
    return ShownField(asked.place, asked.id, asked.field, value, tuple(own), wide, True, otherwise)


def is_taken_away(values: Any, place: str) -> bool:
    """Whether the environment says null at this place, or above it, for what the document says."""
    _, environment, *rest = path_of(place)
    inside = value_at(values, ("environments", environment))
    for part in rest:
        if not isinstance(inside, dict) or part not in inside:
            return False
        inside = inside[part]
        if inside is None:
            return True
    return False


def _inside(place: str, outer: str) -> bool:
    return place == outer or (place.startswith(outer) and place[len(outer)] in ".[")


def as_text(field: Field, value: Any) -> str | None:
    """The value as it is typed into this field."""
    if value is None:
        return None
    if field.type == "list" and isinstance(value, list) and all(isinstance(one, str | int) for one in value):
        return "\n".join(str(one) for one in value)
    if isinstance(value, dict | list):
        return written(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


# reading


def taken(asked: Iterable[Asked], form: Mapping[str, str], unfinished: Unfinished) -> Unfinished:
    """What was typed, kept whether it is right or not. A field that the form does not have stays as it is."""
    values, unread = unfinished.values, dict(unfinished.unread)
    for one in asked:
        if one.place not in form and f"{one.place}:asked" not in form:
            continue
        unread.pop(one.place, None)
        typed = form.get(one.place, "").replace("\r\n", "\n")
        try:
            value = _typed_value(one, typed, given=value_at(values, one.place))
        except DocumentError:
            unread[one.place], value = typed, None
        if value != value_at(values, one.place) or isinstance(value, bool):
            values = with_value(values, one.place, value)
    return replace(unfinished, values=values, unread=unread)


def _typed_value(asked: Asked, typed: str, *, given: Any) -> Any:
    """None: nothing is given. What is the field's default anyway counts as not given, unless the document says it already, or it
    is an override: the document may say something else."""
    field = asked.field
    if field.type == "boolean" and asked.base:
        return typed == "true" if typed in YES_OR_NO else None
    if field.type == "boolean":
        value: Any = typed == "true"
        return None if given is None and value == bool(field.default) else value
    if not typed.strip():
        return None
    if field.type == "list":
        return [line.strip() for line in typed.splitlines() if line.strip()]
    if field.type == "object":
        return read_typed(typed)
    plain = typed.strip("\n") if "\n" in typed.strip() else typed.strip()
    if field.type == "number" and _NUMBER.fullmatch(plain):
        value = float(plain) if "." in plain else int(plain)
    elif isinstance(given, int) and not isinstance(given, bool) and plain == str(given):
        value = given  # text may be written as a number
    else:
        value = plain
    is_default = field.default is not None and value == field.default
    return None if given is None and is_default and not asked.base else value
