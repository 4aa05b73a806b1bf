"""The step "actions": what the connector does on each trigger, and whether what its adapter requires is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec
from msgspec.structs import replace

from adapters.contract import Field, Operation
from relay.connectors.drafts import Problem, Unfinished
from relay.connectors.proposals import proposed_action, proposed_mapping
from relay.console.editing.fields import Asked, Group, ShownField, shown_groups, taken
from relay.console.editing.opened import Opened
from relay.domain.connector import TRIGGERS, Trigger

WHEN: Mapping[Trigger, str] = {
    "created": "An audience is created",
    "joined": "A user joins an audience",
    "left": "A user leaves an audience",
}

_CONSENT = "Categories to which a user must have agreed before this is done with their data. Shown here; the DMP keeps to them."


class ShownAction(msgspec.Struct, frozen=True):
    """One action as the page shows it. `operation`: None where the adapter has none of that name."""

    index: int
    id: str
    name: str
    trigger: str
    operation_name: str
    operation: Operation | None
    fields: tuple[ShownField, ...]


class TriggerState(NamedTuple):
    """Whether an enabled action serves a trigger. `required`: by the adapter."""

    trigger: Trigger
    when: str
    required: bool
    served: bool
    word: Literal["COMPLETED", "INCOMPLETE", ""]


def actions_of(unfinished: Unfinished) -> list[dict[str, Any]]:
    """Those that can be shown; the text has the others."""
    listed = unfinished.values.get("actions")
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def asked_of_action(index: int, operations: Sequence[Operation]) -> tuple[Asked, ...]:
    """The fields of one action, but its mapping."""
    place = f"actions[{index}]"
    return (
        Asked(f"{place}.name", Field("name", "Name", required=True)),
        Asked(f"{place}.trigger", Field("trigger", "When", "choice", required=True, choices=TRIGGERS)),
        Asked(f"{place}.operation", Field(
            "operation", "What is done", "choice", required=True, choices=tuple(one.name for one in operations))),
        Asked(f"{place}.audiences", Field(
            "audiences", "Only for these audiences", "list",
            help="Names or IDs, one a line; * and ? stand for anything. All audiences, unless given.")),
        Asked(f"{place}.consent", Field("consent", "Consent", "list", help=_CONSENT)),
        Asked(f"{place}.enabled", Field("enabled", "On", "boolean", default=True)),
    )  # fmt: skip


def shown_actions(opened: Opened, problems: Sequence[Problem]) -> list[ShownAction]:
    """All actions, with what is wrong at each field."""
    operations = opened.description.operations if opened.description else ()
    shown = []
    for index, action in enumerate(actions_of(opened.unfinished)):
        group = Group("", asked_of_action(index, operations))
        name = str(action.get("operation") or "")
        shown.append(
            ShownAction(
                index=index,
                id=f"f-actions-{index}",
                name=str(action.get("name") or ""),
                trigger=str(action.get("trigger") or ""),
                operation_name=name,
                operation=opened.description.operation(name) if opened.description else None,
                fields=shown_groups([group], opened.unfinished, problems)[0].fields,
            )
        )
    return shown


def trigger_states(opened: Opened) -> list[TriggerState]:
    """Every trigger, and whether what is required on it is there."""
    required = opened.description.required_triggers if opened.description else ()
    on = [action.get("trigger") for action in actions_of(opened.unfinished) if action.get("enabled") is not False]
    return [
        TriggerState(
            trigger,
            when,
            trigger in required,
            trigger in on,
            "" if trigger not in required else "COMPLETED" if trigger in on else "INCOMPLETE",
        )
        for trigger, when in WHEN.items()
    ]


def changed_actions(opened: Opened, form: Mapping[str, str]) -> tuple[Unfinished, str]:
    """What was typed, and what the button asked for: `add`, `copy:1`, `remove:1`, `up:1`, `down:1`. A sentence about it, if there
    is one."""
    operations = opened.description.operations if opened.description else ()
    before = actions_of(opened.unfinished)
    asked = [one for index in range(len(before)) for one in asked_of_action(index, operations)]
    unfinished = _with_own_mappings(opened, taken(asked, form, opened.unfinished), before)
    actions = list(actions_of(unfinished))
    does, _, what = form.get("do", "").partition(":")
    place = int(what) if what.isascii() and what.isdigit() else -1
    note = ""
    if does == "add":
        name, _, trigger = form.get("new", "").partition(" ")
        operation = opened.description.operation(name) if opened.description else None
        if operation is not None and trigger in operation.triggers:
            actions.append(proposed_action(operation, _trigger(trigger), taken=names_of(actions)))
            note = f"The action {actions[-1]['name']} is added."
    elif does == "copy" and 0 <= place < len(actions):
        copied = {**actions[place], "name": free_name(str(actions[place].get("name") or "Action"), names_of(actions))}
        actions.insert(place + 1, copied)
        note = f"The action {copied['name']} is a copy of {actions[place].get('name')}."
    elif does == "remove" and 0 <= place < len(actions):
        note = f"The action {actions[place].get('name') or ''} is taken out of the draft."
        del actions[place]
    elif does in ("up", "down") and 0 <= place < len(actions):
        other = place - 1 if does == "up" else place + 1
        if 0 <= other < len(actions):
            actions[place], actions[other] = actions[other], actions[place]
            note = f"The action {actions[other].get('name') or ''} is number {other + 1} now."
    if not actions and not before:
        return unfinished, note
    return replace(unfinished, values={**unfinished.values, "actions": actions}), note


def _with_own_mappings(opened: Opened, unfinished: Unfinished, before: Sequence[dict[str, Any]]) -> Unfinished:
    """An action that is to do something else keeps of its mapping what the new operation has a field for."""
    actions = []
    for old, new in zip(before, actions_of(unfinished), strict=True):
        operation = opened.description.operation(str(new.get("operation"))) if opened.description else None
        if operation is None or old.get("operation") == new.get("operation"):
            actions.append(new)
            continue
        mapping = new.get("mapping")
        kept = {key: value for key, value in mapping.items() if operation.field(key)} if isinstance(mapping, dict) else {}
        mapped = {**proposed_mapping(operation), **kept}
        rest = {key: value for key, value in new.items() if key != "mapping"}
        actions.append({**rest, "mapping": mapped} if mapped else rest)
    return replace(unfinished, values={**unfinished.values, "actions": actions}) if actions else unfinished


def names_of(actions: Sequence[Mapping[str, Any]]) -> list[str]:
    """What they are called."""
    return [str(action.get("name") or "") for action in actions]


def free_name(name: str, taken_names: Sequence[str]) -> str:
    """The name with the first number that makes it one of its own."""
    known = {one.casefold() for one in taken_names}
    number = 2
    while f"{name} {number}".casefold() in known:
        number += 1
    return f"{name} {number}"


def _trigger(text: str) -> Trigger:
    return next(trigger for trigger in TRIGGERS if trigger == text)
