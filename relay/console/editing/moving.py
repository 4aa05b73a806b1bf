"""What goes from one document to another, or from one environment to the others: always into a draft, to be looked at there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from relay.connectors.drafts import Unfinished
from relay.connectors.environments import OVERRIDABLE, Merged
from relay.console.editing.acting import actions_of, free_name, names_of
from relay.reading.section import Problems


def environments_of(unfinished: Unfinished) -> list[str]:
    """Names of the document's environments."""
    environments = unfinished.values.get("environments")
    return [str(name) for name in environments] if isinstance(environments, dict) else []


def promoted(unfinished: Unfinished, environment: str, keys: Sequence[str], *, to: str = "") -> Unfinished:
    """The document in which these keys are what they are in the environment. to: another environment, which takes them over; else
    the document itself does, and the environment's own words about them go. What other environments override stays their own."""
    environments = unfinished.values.get("environments")
    override = environments.get(environment) if isinstance(environments, dict) else None
    if not isinstance(environments, dict) or not isinstance(override, dict):
        return unfinished
    chosen = {key: override[key] for key in keys if key in OVERRIDABLE and key in override}
    if to:
        target = environments.get(to)
        taken_over = {**(target if isinstance(target, dict) else {}), **chosen}
        return replace(unfinished, values={**unfinished.values, "environments": {**environments, to: taken_over}})
    merged = Merged(unfinished.values, chosen, ("environments", environment), Problems()).values
    rest = {key: value for key, value in override.items() if key not in chosen}
    values: dict[str, Any] = {}
    for key, value in unfinished.values.items():
        values[key] = {**environments, environment: rest} if key == "environments" else _without_nulls(merged.get(key, value))
    values.update({key: _without_nulls(merged[key]) for key in chosen if key not in values})
    return replace(unfinished, values=values)


def overrides_of(unfinished: Unfinished, environment: str) -> list[str]:
    """Keys of the document that the environment has a word about."""
    environments = unfinished.values.get("environments")
    override = environments.get(environment) if isinstance(environments, dict) else None
    return [key for key in override if key in OVERRIDABLE] if isinstance(override, dict) else []


def with_action(unfinished: Unfinished, action: Mapping[str, Any]) -> Unfinished:
    """The document with this action behind its own, under a name that is free there."""
    actions = actions_of(unfinished)
    name = str(action.get("name") or "Action")
    known = names_of(actions)
    if name.casefold() in {one.casefold() for one in known}:
        name = free_name(name, known)
    return replace(unfinished, values={**unfinished.values, "actions": [*actions, {**action, "name": name}]})


def without_action(unfinished: Unfinished, index: int) -> Unfinished:
    """The document without this one."""
    actions = actions_of(unfinished)
    return replace(unfinished, values={**unfinished.values, "actions": [*actions[:index], *actions[index + 1 :]]})


def _without_nulls(value: Any) -> Any:
    """A null in an override takes away what was there; in the document itself it is left out."""
    if isinstance(value, dict):
        return {key: _without_nulls(one) for key, one in value.items() if one is not None}
    return value
