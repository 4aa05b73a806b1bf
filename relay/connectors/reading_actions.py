"""The part `actions` of a document: what the connector does on a trigger, and how it fills the partner's fields."""

from __future__ import annotations

from typing import Any

import msgspec

from adapters.contract import Description, Field, Operation
from relay.connectors import values
from relay.connectors.expression import compile_expression
from relay.connectors.quantities import Malformed
from relay.connectors.reading_limits import read_batch
from relay.connectors.section import Section
from relay.domain.connector import TRIGGERS, Action, BatchLimits, Constant, Trigger
from relay.domain.message import MAX_MUTATIONS

_KEYS = ("name", "trigger", "operation", "mapping", "audiences", "consent", "enabled", "limits")
MAX_ACTIONS = 100

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
    _check_names(document, actions)
    return actions


def _read_action(section: Section, description: Description | None, limits: BatchLimits) -> Action:
    trigger: Trigger = section.require("trigger", values.choice(*TRIGGERS), "joined")
    name = section.require("operation", values.text, "")
    operation = _operation(section, description, name, trigger) if description and name else None
    return Action(
        name=section.require("name", values.label, ""),
        trigger=trigger,
        operation=name,
        mapping=_read_mapping(section, operation) if operation else _read_sources(section),
        audiences=section.each("audiences", values.text),
        consent=section.each("consent", values.label) or (),
        enabled=section.read("enabled", values.flag, True),
        limits=_read_own_limits(section, operation, limits) if section.given("limits") else None,
    )


def _operation(section: Section, description: Description, name: str, trigger: Trigger) -> Operation | None:
    operation = description.operation(name)
    if operation is None:
        names = [one.name for one in description.operations]
        near = values.suggestion(name, names) or f" It has {', '.join(names)}."
        section.problem("operation", f"The adapter '{description.name}' has no operation '{name}'.{near}")
    elif section.values.get("trigger") in TRIGGERS and trigger not in operation.triggers:
        allowed = " or ".join(operation.triggers)
        section.problem("operation", f"The operation '{name}' cannot run on '{trigger}', only on {allowed}.")
    return operation


def _read_own_limits(section: Section, operation: Operation | None, limits: BatchLimits) -> BatchLimits:
    own = read_batch(section, "limits", limits)
    given = section.values["limits"]
    if operation and isinstance(given, dict) and "max_items" in given and own.max_items > operation.max_items:
        sentence = f"The operation '{operation.name}' takes at most {operation.max_items:,} users a call."
        section.problems.add((*section.path, "limits", "max_items"), sentence)
    return own


def _read_mapping(action: Section, operation: Operation) -> dict[str, str | Constant]:
    section = action.section("mapping", [field.name for field in operation.fields], what="partner field")
    mapping: dict[str, str | Constant] = {}
    unread: str | Constant = ""
    for field in operation.fields:
        if section.given(field.name):
            mapping[field.name] = section.read(field.name, _source_of(field), unread)
        elif field.default is not None:
            mapping[field.name] = Constant(field.default)
        elif field.required or field.name in operation.key_fields:
            section.problem(field.name, f"The operation '{operation.name}' needs this field: say where it comes from.")
    keys = [mapping.get(name) for name in operation.key_fields]
    if operation.kind == "set" and keys and all(isinstance(key, Constant) for key in keys):
        section.problem(operation.key_fields[0], "This says which user it is, so it cannot be the same for all users.")
    return mapping


def _read_sources(action: Section) -> dict[str, str | Constant]:
    """The mapping of an operation that nobody knows: its expressions are read, whatever the fields are."""
    section = action.section("mapping", None)
    unread: str | Constant = ""
    return {name: section.read(name, _source_of(None), unread) for name in section.values if section.given(name)}


def _source_of(field: Field | None) -> values.Reader[str | Constant]:
    check = values.of_field(field) if field else lambda value: value

    def read(value: Any) -> str | Constant:
        if isinstance(value, str):
            compile_expression(value)
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
