"""The part `actions` of a document: what the connector does on a trigger, and how it fills the partner's fields."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.contract import ANY, Description, Field, Operation
from relay.connectors.field_values import of_field
from relay.connectors.mapping import ROOTS
from relay.connectors.reading_limits import read_batch
from relay.domain.connector import TRIGGERS, Action, BatchLimits, Constant, Trigger
from relay.domain.malformed import Malformed, suggestion
from relay.domain.message import MAX_MUTATIONS
from relay.expressions.expression import compile_expression
from relay.reading import values
from relay.reading.section import Section

_KEYS = ("name", "trigger", "operation", "mapping", "audiences", "consent", "enabled", "limits")
MAX_ACTIONS = 100

_WILDCARDS = frozenset("*?")
"""What stands for anything in the name or ID of an audience."""

MAX_NAMES_BYTES = 400_000 // MAX_MUTATIONS
"""A mutation that waits carries the names of the actions already settled for it. Those of a whole batch must fit beside its
message (512 KB) into a document of 1 MiB, the most that Firestore takes (https://firebase.google.com/docs/firestore/quotas)."""


def read_actions(document: Section, description: Description | None, limits: BatchLimits) -> tuple[Action, ...]:
    """The actions, in the order of the document. `description` None: the adapter is unknown, which has been said."""
    listed = document.values.get("actions")
    if not isinstance(listed, list) or not listed:
        document.problem("actions", "This is missing." if listed is None else "This must be a list of actions, and not empty.")
        return ()
    if len(listed) > MAX_ACTIONS:
        document.problem("actions", f"There are more than {MAX_ACTIONS} actions.")
        return ()
    sections = [Section(one, (*document.path, "actions", index), document.problems, known=_KEYS)
                for index, one in enumerate(listed)]  # fmt: skip
    actions = tuple(_read_action(section, description, limits) for section in sections)
    _check_together(sections, actions, description)
    if description and description.one_audience:
        _check_one_audience(sections, actions, description)
    _check_names(document, actions)
    return actions


def _read_action(section: Section, description: Description | None, limits: BatchLimits) -> Action:
    trigger: Trigger = section.require("trigger", values.choice(*TRIGGERS), "joined")
    name = section.require("operation", values.text, "")
    operation = _operation(section, description, name, trigger) if description and name else None
    action = Action(
        name=section.require("name", values.label, ""),
        trigger=trigger,
        operation=name,
        mapping=_read_mapping(section, operation) if operation else _read_sources(section),
        audiences=section.each("audiences", values.text),
        consent=section.each("consent", values.label) or (),
        enabled=section.read("enabled", values.flag, True),
        limits=_read_own_limits(section, operation, limits) if section.given("limits") else None,
    )
    if operation:
        _check_audiences(section, action, operation)
    return action


def _operation(section: Section, description: Description, name: str, trigger: Trigger) -> Operation | None:
    operation = description.operation(name)
    if operation is None:
        names = [one.name for one in description.operations]
        near = suggestion(name, names) or f" It has {', '.join(names)}."
        section.problem("operation", f"The adapter '{description.name}' has no operation '{name}'.{near}")
    elif section.values.get("trigger") in TRIGGERS and trigger not in operation.triggers:
        allowed = " or ".join(operation.triggers)
        section.problem("operation", f"The operation '{name}' cannot run on '{trigger}', only on {allowed}.")
    return operation


def _check_audiences(section: Section, action: Action, operation: Operation) -> None:
    """An operation that does more than concern one audience needs to be asked for by name."""
    if operation.named_only and (action.audiences is None or any(set(one) & _WILDCARDS for one in action.audiences)):
        sentence = (
            f"The operation '{operation.name}' concerns more than this audience, so it needs `audiences`: the names or IDs of "
            "those on which it may run, written out."
        )
        section.problem("audiences", sentence)


def _read_own_limits(section: Section, operation: Operation | None, limits: BatchLimits) -> BatchLimits:
    own = read_batch(section, "limits", limits)
    given = section.values["limits"]
    if operation and isinstance(given, dict) and "max_items" in given and own.max_items > operation.max_items:
        sentence = f"The operation '{operation.name}' takes at most {operation.max_items:,} users a call."
        section.problems.add((*section.path, "limits", "max_items"), sentence)
    return own


def _read_mapping(action: Section, operation: Operation) -> dict[str, str | Constant]:
    given = action.values.get("mapping")
    open_names = [name for name in given if operation.field(name)] if isinstance(given, dict) else []
    section = action.section("mapping", [*(field.name for field in operation.fields), *open_names], what="partner field")
    mapping: dict[str, str | Constant] = {}
    unread: str | Constant = ""
    for field in operation.fields:
        if field.name.endswith(ANY):
            for name in open_names:
                if operation.field(name) is field and section.given(name):
                    mapping[name] = section.read(name, _source_of(field), unread)
                    if name[len(field.name) - 1 :].lower().startswith(field.reserved):
                        section.problem(name, f"Names that begin with {' or '.join(field.reserved)} are the partner's own.")
            if section.given(field.name):
                section.problem(field.name, f"Write the name itself in the place of the star: {field.name[:-1]}name.")
        elif section.given(field.name):
            mapping[field.name] = section.read(field.name, _source_of(field), unread)
        elif field.default is not None:
            mapping[field.name] = Constant(field.default)
        elif field.required:
            section.problem(field.name, f"The operation '{operation.name}' needs this field: say where it comes from.")
    keys = [mapping[name] for name in operation.key_fields if name in mapping]
    required = any(field.required for field in operation.fields if field.name in operation.key_fields)
    if operation.key_fields and not required and not any(section.given(name) for name in operation.key_fields):
        names = " or ".join(operation.key_fields)
        section.problem(operation.key_fields[0], f"The operation '{operation.name}' needs to know which user it is: map {names}.")
    if operation.kind == "set" and keys and all(isinstance(key, Constant) for key in keys):
        section.problem(operation.key_fields[0], "This says which user it is, so it cannot be the same for all users.")
    return mapping


def _read_sources(action: Section) -> dict[str, str | Constant]:
    """The mapping of an operation that nobody knows: its expressions are read, whatever the fields are."""
    section = action.section("mapping", None)
    unread: str | Constant = ""
    return {name: section.read(name, _source_of(None), unread) for name in section.values if section.given(name)}


def _source_of(field: Field | None) -> values.Reader[str | Constant]:
    check = of_field(field) if field else lambda value: value

    def read(value: Any) -> str | Constant:
        if isinstance(value, str):
            compile_expression(value, ROOTS)
            return value
        if isinstance(value, dict) and set(value) == {"constant"} and value["constant"] is not None:
            return Constant(check(value["constant"]))
        if isinstance(value, bool | int | float):
            return Constant(check(value))
        raise Malformed("This must be an expression such as user.id, a number, true, false, or {constant: …}.")

    return read


def _check_together(sections: list[Section], actions: tuple[Action, ...], description: Description | None) -> None:
    names: set[str] = set()
    creating = False
    for section, action in zip(sections, actions, strict=True):
        if action.name and action.name.casefold() in names:
            section.problem("name", f"Another action is already named '{action.name}'.")
        names.add(action.name.casefold())
        operation = description.operation(action.operation) if description else None
        if operation and operation.kind == "create" and action.enabled:
            if creating:
                section.problem("operation", "Another action already creates the audience; disable one of them.")
            creating = True


def _check_one_audience(sections: list[Section], actions: tuple[Action, ...], description: Description) -> None:
    """Only one audience may use what is one and the same at the partner for all of them."""
    only: str | None = None
    for section, action in zip(sections, actions, strict=True):
        operation = description.operation(action.operation)
        if operation is None or operation.kind != "set" or not action.enabled:
            continue
        named = set(action.audiences or ())
        if len(named) != 1 or _WILDCARDS & set(*named):
            sentence = (
                "With these settings every audience is one and the same at the partner, where two would undo each other's "
                "removals. Let the settings depend on the audience, or limit this action to one of them: `audiences` with its "
                "name or ID, written out."
            )
            section.problem("audiences", sentence)
        elif only is not None and named != {only}:
            sentence = (
                "With these settings every audience is one and the same at the partner, and another action is limited to "
                f"'{only}'. Limit this one to the same, or let the settings depend on the audience."
            )
            section.problem("audiences", sentence)
        else:
            (only,) = named


def _check_names(document: Section, actions: tuple[Action, ...]) -> None:
    for trigger in TRIGGERS:
        # Each with its quotes and a comma. While anything is left to do for a mutation, one of them is not settled.
        sizes = sorted(len(msgspec.json.encode(action.name)) + 1 for action in actions if action.trigger == trigger)
        if trigger != "created" and sum(sizes[1:]) > MAX_NAMES_BYTES:
            sentence = (
                f"The names of the actions on '{trigger}' are too long together: without the shortest one they have "
                f"{sum(sizes[1:])} bytes, and at most {MAX_NAMES_BYTES} can be kept with each user who waits. Shorten them."
            )
            document.problem("actions", sentence)
            return
