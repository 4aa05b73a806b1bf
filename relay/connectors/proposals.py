"""What a new connector most probably wants: one action for each trigger that its adapter needs or has an operation for, mapped as
the names suggest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.contract import ANY, Description, Field, Operation
from relay.domain.connector import TRIGGERS, Trigger

_SOURCES: Mapping[str, str] = {
    "id": "user.id",
    "user_id": "user.id",
    "userid": "user.id",
    "external_id": "user.id",
    "externalid": "user.id",
    "customer_id": "user.id",
    "email": "user.email",
    "mail": "user.email",
    "email_address": "user.email",
    "email_sha256": "user.email_sha256",
    "emailsha256": "user.email_sha256",
    "phone": "user.phone",
    "phone_number": "user.phone",
    "mobile": "user.phone",
    "phone_sha256": "user.phone_sha256",
    "idfa": "user.idfa",
    "gaid": "user.gaid",
    "advertising_id": "not_null(user.idfa, user.gaid)",
    "cookie_id": "user.cookie_id",
}
"""What a partner's field is called → the expression that most probably fills it."""

_NAMES: Mapping[Trigger, str] = {"created": "Create audience", "joined": "Add", "left": "Remove"}


def proposed_actions(description: Description) -> list[dict[str, Any]]:
    """One for each trigger that is required, or that an operation is made for, as they stand in a document: without an action
    that removes them, users who leave would stay at the partner."""
    actions: list[dict[str, Any]] = []
    for trigger in TRIGGERS:
        operation = _first_for(description, trigger)
        if operation and (trigger in description.required_triggers or _is_made_for(operation, trigger)):
            actions.append(proposed_action(operation, trigger, taken=[action["name"] for action in actions]))
    return actions


def proposed_action(operation: Operation, trigger: Trigger, *, taken: list[str]) -> dict[str, Any]:
    """An action that does this on the trigger. `taken`: names that it cannot have."""
    usual = _NAMES[trigger] if operation.kind != "event" else operation.title
    name, number = usual, 2
    while name.casefold() in {one.casefold() for one in taken}:
        name, number = f"{usual} {number}", number + 1
    mapping = proposed_mapping(operation)
    return {"name": name, "trigger": trigger, "operation": operation.name, **({"mapping": mapping} if mapping else {})}


def proposed_mapping(operation: Operation) -> dict[str, str]:
    """For the fields by which the partner knows a user and those that are required, as far as their names tell."""
    return {
        field.name: source
        for field in operation.fields
        if (field.name in operation.key_fields or field.required)
        and not field.name.endswith(ANY)
        and field.default is None
        and (source := proposed_source(field))
    }


def proposed_source(field: Field) -> str:
    """An expression for this field; empty where its name tells nothing."""
    return _SOURCES.get(field.name.casefold().replace("-", "_"), "")


def _first_for(description: Description, trigger: Trigger) -> Operation | None:
    """The plainest: what it says by its effect goes with the trigger."""
    able = [one for one in description.operations if trigger in one.triggers and not one.named_only]
    return next((one for one in able if _is_made_for(one, trigger)), able[0] if able else None)


def _is_made_for(operation: Operation, trigger: Trigger) -> bool:
    """Whether its effect says that it goes with the trigger."""
    if operation.kind == "set":
        return operation.effect == {"joined": "add", "left": "remove"}.get(trigger)
    return operation.kind == "create"
