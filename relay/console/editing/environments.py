"""What an environment has of its own: the document's fields, and where nothing is typed the document's word stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from msgspec.structs import replace

from adapters.contract import Description
from adapters.registry import describe
from relay.backends.interfaces import SecretInfo
from relay.connectors.drafts import Unfinished, description_of, value_at
from relay.connectors.environments import Merged
from relay.console.editing.acting import actions_of
from relay.console.editing.configuring import AskedSecret, groups_of, secrets_of, with_typed_names
from relay.console.editing.fields import Asked, Group, is_taken_away, override_of
from relay.console.editing.moving import environments_of
from relay.console.editing.opened import Opened
from relay.domain.malformed import Malformed
from relay.reading import values as readers
from relay.reading.section import Problems

_ABOUT = "About it"
"""The group of what an environment cannot have for itself: the name is made of the document's, and title and notes are shared."""


class ActionHere(msgspec.Struct, frozen=True):
    """One of the document's actions in an environment. `enabled`: what the environment says; `otherwise`: what the document says.
    `more`: the environment overrides other things of it, too, which are in the text."""

    index: int
    name: str
    enabled: Literal["", "on", "off"]
    otherwise: Literal["on", "off"]
    more: bool


def editable(unfinished: Unfinished) -> list[str]:
    """Names of the environments that have places of their own to type into: of a name that cannot be one the text tells."""
    return [name for name in environments_of(unfinished) if _is_name(name)]


def override_in(unfinished: Unfinished, environment: str) -> dict[str, Any]:
    """What the environment says; empty where it says nothing."""
    environments = unfinished.values.get("environments")
    override = environments.get(environment) if isinstance(environments, dict) else None
    return override if isinstance(override, dict) else {}


def description_in(opened: Opened, environment: str) -> Description | None:
    """Of the adapter with the settings that the environment has."""
    override = {key: one for key, one in override_in(opened.unfinished, environment).items() if key == "settings"}
    merged = Merged(opened.unfinished.values, override, ("environments", environment), Problems()).values
    return description_of(Unfinished(merged), describe) or opened.description


def groups_in(opened: Opened, environment: str) -> list[Group]:
    """All fields that it can override but the secrets. What is rarely different is folded."""
    return [
        group._replace(asked=tuple(override_of(asked, environment) for asked in group.asked))
        for group in groups_of(description_in(opened, environment))
        if group.title != _ABOUT
    ]


def asked_in(opened: Opened, environment: str) -> list[Asked]:
    """All fields of this page."""
    return [asked for group in groups_in(opened, environment) for asked in group.asked]


def secrets_in(opened: Opened, environment: str, known: Mapping[str, SecretInfo]) -> list[AskedSecret]:
    """The secrets that it needs; those without a name of their own are the document's. `known`: those that are set, by name."""
    described = opened._replace(description=description_in(opened, environment))
    found = []
    for asked in secrets_of(described, {}):
        place = f"environments.{environment}.{asked.place}"
        named, base = value_at(opened.unfinished.values, place), value_at(opened.unfinished.values, asked.place)
        name = named if isinstance(named, str) else ""
        inherited = base if isinstance(base, str) else asked.shared
        field = replace(asked.field, required=False)
        if is_taken_away(opened.unfinished.values, place):
            inherited, field = "", replace(field, help=f"The document's is taken away here. {field.help}".strip())
        found.append(AskedSecret(place, asked.kind, field, name, named is not None, info=known.get(name), inherited=inherited))
    return found


def with_names(unfinished: Unfinished, form: Mapping[str, str], environment: str, asked: list[AskedSecret]) -> Unfinished:
    """The names of its secrets as they were typed; one that is given a value and no name gets the name proposed."""
    document = str(unfinished.values.get("name") or "")
    prefix = f"{document}-{environment}" if document else ""
    return _kept(with_typed_names(unfinished, form, asked, prefix=prefix), environment)


def actions_in(unfinished: Unfinished, environment: str) -> list[ActionHere]:
    """The document's actions, as they are in the environment."""
    own = _own_actions(unfinished, environment)
    shown = []
    for index, action in enumerate(actions_of(unfinished)):
        name = str(action.get("name") or "")
        override = own.get(name, {})
        said = override.get("enabled")
        shown.append(
            ActionHere(
                index,
                name,
                "" if said is None else "off" if said is False else "on",
                "off" if action.get("enabled") is False else "on",
                bool(override.keys() - {"name", "enabled"}),
            )
        )
    return shown


def with_switches(unfinished: Unfinished, form: Mapping[str, str], environment: str) -> Unfinished:
    """The actions as they were switched in the environment: on, off, or as the document says."""
    override = override_in(unfinished, environment)
    listed = override.get("actions", [])
    if not isinstance(listed, list):
        return unfinished
    listed = list(listed)
    for action in actions_in(unfinished, environment):
        typed = form.get(f"environments.{environment}.switch.{action.index}")
        if typed is None or typed == action.enabled or not action.name:
            continue
        place = next((at for at, one in enumerate(listed) if isinstance(one, dict) and one.get("name") == action.name), -1)
        before = listed[place] if place >= 0 else {"name": action.name}
        after = {key: one for key, one in before.items() if key != "enabled"}
        if typed in ("on", "off"):
            after["enabled"] = typed == "on"
        if place < 0:
            listed.append(after)
        elif after.keys() == {"name"}:
            del listed[place]
        else:
            listed[place] = after
    if listed == override.get("actions", []):
        return unfinished
    rest = {key: one for key, one in override.items() if key != "actions"}
    return _with_override(unfinished, environment, {**rest, "actions": listed} if listed else rest)


def added(unfinished: Unfinished, name: str) -> Unfinished:
    """With a new environment that is like the document as yet. Raises `Malformed` for what cannot be its name."""
    readers.name(name)
    if name in environments_of(unfinished):
        raise Malformed(f"There is an environment '{name}' already.")
    return _with_override(unfinished, name, {})


def without(unfinished: Unfinished, name: str) -> Unfinished:
    """The document without it."""
    environments = {key: one for key, one in unfinished.values.get("environments", {}).items() if key != name}
    rest = {key: one for key, one in unfinished.values.items() if key != "environments"}
    unread = {place: typed for place, typed in unfinished.unread.items() if not place.startswith(f"environments.{name}.")}
    return replace(unfinished, values={**rest, "environments": environments} if environments else rest, unread=unread)


def _is_name(name: str) -> bool:
    try:
        readers.name(name)
    except Malformed:
        return False
    return True


def _own_actions(unfinished: Unfinished, environment: str) -> dict[str, dict[str, Any]]:
    listed = override_in(unfinished, environment).get("actions")
    entries = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {str(one.get("name")): one for one in entries}


def _kept(unfinished: Unfinished, environment: str) -> Unfinished:
    """An environment that has nothing of its own any more is still one."""
    return unfinished if environment in environments_of(unfinished) else _with_override(unfinished, environment, {})


def _with_override(unfinished: Unfinished, environment: str, override: dict[str, Any]) -> Unfinished:
    environments = unfinished.values.get("environments")
    before = environments if isinstance(environments, dict) else {}
    return replace(unfinished, values={**unfinished.values, "environments": {**before, environment: override}})
