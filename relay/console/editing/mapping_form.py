"""The step "mapping": for each field of the partner, an expression over the mutation or a constant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from adapters.contract import ANY, Field, Operation
from relay.connectors.drafts import Unfinished, read_typed
from relay.connectors.proposals import proposed_source
from relay.console.editing.acting import actions_of
from relay.console.editing.fields import field_id
from relay.console.editing.opened import Opened
from relay.console.editing.sampling import FieldResult, RowResult
from relay.domain.errors import DocumentError
from relay.domain.message import Direction

Kind = Literal["none", "expression", "constant"]


class ShownMapping(msgspec.Struct, frozen=True):
    """One field of the partner. `prefix`: beginning of the names of its inputs. `star`: it stands for any name that begins so,
    and a name is asked for. `proposal`: an expression that its name suggests."""

    prefix: str
    id: str
    name: str
    field: Field
    kind: Kind
    typed: str
    key: bool
    star: str = ""
    proposal: str = ""
    problems: tuple[str, ...] = ()
    result: FieldResult = FieldResult()

    @property
    def can_be_asked(self) -> bool:
        """Whether the partner can say what it can be."""
        return self.field.dynamic and not self.star


class ShownActionMapping(msgspec.Struct, frozen=True):
    """The mapping of one action. `row`: what the partner would get of the sample. `like`: name of an action whose mapping it can
    have as well, and has not; empty: there is none."""

    index: int
    id: str
    name: str
    operation: Operation
    fields: tuple[ShownMapping, ...]
    others: tuple[str, ...] = ()
    row: RowResult = RowResult()
    like: str = ""


def shown_mappings(opened: Opened) -> list[ShownActionMapping]:
    """Those of all actions that can have one, with what is wrong at each field."""
    problems = opened.problems()
    shown = []
    for index, action in enumerate(actions_of(opened.unfinished)):
        operation = opened.description.operation(str(action.get("operation"))) if opened.description else None
        if operation is None or operation.kind == "create":
            continue
        place = f"actions[{index}].mapping"
        mapping = mapping_of(action)
        fields = tuple(_shown(index, name, field, operation, mapping) for name, field in _fields_of(operation, mapping))
        fields = tuple(
            replace(one, problems=tuple(problem.sentence for problem in problems if _at(problem.place, f"{place}.{one.name}")))
            for one in fields
        )
        told = {problem for one in fields for problem in one.problems}
        others = tuple(
            problem.sentence for problem in problems if _at(problem.place, place) and problem.sentence not in told
        )
        shown.append(
            ShownActionMapping(
                index, field_id(place), str(action.get("name") or ""), operation, fields, others, like=_like(opened, index)
            )
        )
    return shown


def direction_of(action: Mapping[str, Any]) -> Direction:
    """Of the users that this action concerns."""
    return "left" if action.get("trigger") == "left" else "joined"


def mapping_of(action: Mapping[str, Any]) -> dict[str, Any]:
    """Partner field → source, as the document says it."""
    mapping = action.get("mapping")
    return mapping if isinstance(mapping, dict) else {}


def with_same_mapping(opened: Opened, index: int) -> tuple[Unfinished, str]:
    """The draft in which this action, on `left`, is mapped as the first one on `joined` is, as far as its operation has the
    fields; and the name of that one. Nothing changes where there is none."""
    actions = actions_of(opened.unfinished)
    found = _same_mapping(opened, index) if 0 <= index < len(actions) else None
    if found is None:
        return opened.unfinished, ""
    name, mapping = found
    actions[index : index + 1] = [{**{key: one for key, one in actions[index].items() if key != "mapping"}, "mapping": mapping}]
    return replace(opened.unfinished, values={**opened.unfinished.values, "actions": actions}), name


def _like(opened: Opened, index: int) -> str:
    found = _same_mapping(opened, index)
    return found[0] if found and found[1] != mapping_of(actions_of(opened.unfinished)[index]) else ""


def _same_mapping(opened: Opened, index: int) -> tuple[str, dict[str, Any]] | None:
    actions = actions_of(opened.unfinished)
    own = opened.description.operation(str(actions[index].get("operation"))) if opened.description else None
    if own is None or actions[index].get("trigger") != "left":
        return None
    for action in actions:
        mapping = {name: source for name, source in mapping_of(action).items() if own.field(name)}
        if action.get("trigger") == "joined" and mapping:
            return str(action.get("name") or ""), mapping
    return None


def asked_field(opened: Opened, prefix: str) -> Field | None:
    """The field whose inputs begin so, if the partner can be asked what it can be."""
    for action in shown_mappings(opened):
        for one in action.fields:
            if one.prefix == prefix and one.can_be_asked:
                return one.field
    return None


def with_mappings(opened: Opened, form: Mapping[str, str]) -> Unfinished:
    """The draft with what was typed. A field that the form does not have stays as it is."""
    actions: list[Any] = []
    for index, action in enumerate(actions_of(opened.unfinished)):
        operation = opened.description.operation(str(action.get("operation"))) if opened.description else None
        mapping = dict(mapping_of(action))
        for name, field in list(_fields_of(operation, mapping)) if operation else ():
            prefix = prefix_of(index, name)
            if f"{prefix}:kind" not in form:
                continue
            target = name
            if name.endswith(ANY):
                behind = form.get(f"{prefix}:name", "").strip()
                target = name[:-1] + behind.removeprefix(name[:-1])
                if not behind:
                    continue
            offered = form.get(f"{prefix}:offered", "")
            kind, typed = ("constant", offered) if offered else (form[f"{prefix}:kind"], form.get(f"{prefix}:value", ""))
            value = _typed(field, kind, typed, mapping.get(target))
            if value is None:
                mapping.pop(target, None)
            else:
                mapping[target] = value
        rest = {key: value for key, value in action.items() if key != "mapping"}
        actions.append({**rest, "mapping": mapping} if mapping else rest)
    if actions == actions_of(opened.unfinished):
        return opened.unfinished
    return replace(opened.unfinished, values={**opened.unfinished.values, "actions": _in_order(opened, actions)})


def prefix_of(index: int, name: str) -> str:
    """How the names of a field's inputs begin."""
    return f"map.{index}.{name}"


def _in_order(opened: Opened, actions: list[Any]) -> list[Any]:
    """Each action with its keys in the order in which it had them."""
    before = actions_of(opened.unfinished)
    ordered = []
    for old, new in zip(before, actions, strict=True):
        keys = [*(key for key in old if key in new), *(key for key in new if key not in old)]
        ordered.append({key: new[key] for key in keys})
    return ordered


def _fields_of(operation: Operation, mapping: Mapping[str, Any]) -> Iterator[tuple[str, Field]]:
    """The fields that can be mapped, in the adapter's order; one that stands for any name is there for each name that is given,
    and once more."""
    seen = set()
    for field in operation.fields:
        if field.name.endswith(ANY):
            for name in mapping:
                if operation.field(name) is field:
                    seen.add(name)
                    yield name, field
        seen.add(field.name)
        yield field.name, field
    for name in mapping:
        if name not in seen:
            yield name, Field(name, name, help="The operation has no such field; choose: not sent.")


def _shown(index: int, name: str, field: Field, operation: Operation, mapping: Mapping[str, Any]) -> ShownMapping:
    given = mapping.get(name)
    kind: Kind = "none" if given is None else "expression" if isinstance(given, str) else "constant"
    constant = given["constant"] if isinstance(given, dict) and set(given) == {"constant"} else given
    typed = "" if given is None else given if isinstance(given, str) else _constant_text(constant)
    star = name[:-1] if name.endswith(ANY) else ""
    return ShownMapping(
        prefix=prefix_of(index, name),
        id=field_id(f"actions[{index}].mapping.{name}"),
        name=name,
        field=field,
        kind=kind,
        typed=typed,
        key=name in operation.key_fields,
        star=star,
        proposal=proposed_source(field),
    )


def _constant_text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _typed(field: Field, kind: str, typed: str, given: Any) -> Any:
    """What stands in the document for it; None: nothing. A constant that is not what the field takes stays as it was typed."""
    text = typed.strip()
    if kind == "expression":
        return text or None
    if kind != "constant" or not text:
        return None
    if field.type in ("number", "boolean", "list", "object") or isinstance(given, bool | int | float):
        try:
            value = read_typed(text)
        except DocumentError:
            value = text
        return value if isinstance(value, bool | int | float) else {"constant": value}
    return {"constant": text}


def _at(place: str, outer: str) -> bool:
    return place == outer or (place.startswith(outer) and place[len(outer)] in ".[")
