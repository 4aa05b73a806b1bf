"""Environments: the overrides of one document, laid over it."""

from __future__ import annotations

from typing import Any

from relay.domain.malformed import suggestion
from relay.reading.section import Path, Problems, Section

OVERRIDABLE = ("settings", "secrets", "inbound", "limits", "timeouts", "retention", "notify", "actions")


class Merged:
    """The document with one environment's overrides laid over it, and the way back from a place in it to the override."""

    def __init__(self, document: dict[str, Any], override: object, path: Path, problems: Problems) -> None:
        """`path`: where the override is. Notes what is wrong with the override as such."""
        section = Section(override, path, problems, known=OVERRIDABLE)
        self._path = path
        self._places: dict[int, int] = {}
        base = {key: value for key, value in document.items() if key != "environments"}
        overrides = {key: value for key, value in section.values.items() if key in OVERRIDABLE}
        actions = overrides.pop("actions", None)
        self.values: dict[str, Any] = _lay_over(base, overrides)
        if actions is not None:
            self.values["actions"] = self._lay_actions_over(base.get("actions"), actions, section)

    def place(self, path: Path) -> Path:
        """The place in the override that stands for this place in the merged document."""
        if len(path) > 1 and path[0] == "actions" and isinstance(path[1], int):
            path = ("actions", self._places.get(path[1], path[1]), *path[2:])
        return (*self._path, *path)

    def _lay_actions_over(self, base: Any, override: Any, section: Section) -> list[Any]:
        merged = list(base) if isinstance(base, list) else []
        if not isinstance(override, list):
            section.problem("actions", "This must be a list of actions, each with the name of the one it changes.")
            return merged
        by_name = {one.get("name"): index for index, one in enumerate(merged) if isinstance(one, dict)}
        for index, one in enumerate(override):
            place = (*section.path, "actions", index)
            name = one.get("name") if isinstance(one, dict) else None
            if not isinstance(name, str):
                section.problems.add(place, "This must be a mapping with the `name` of the action that it changes.")
            elif name in by_name:
                self._places[by_name[name]] = index
                merged[by_name[name]] = _lay_over(merged[by_name[name]], one)
            elif "trigger" in one and "operation" in one:
                self._places[len(merged)] = index
                by_name[name] = len(merged)
                merged.append(one)
            else:
                known = [key for key in by_name if isinstance(key, str)]
                near = suggestion(name, known) or " A new action needs a trigger and an operation."
                section.problems.add((*place, "name"), f"The document has no action named '{name}'.{near}")
        return merged


def _lay_over(base: Any, override: Any) -> Any:
    """Mappings are merged key by key; anything else replaces what was there, and an empty value (null) takes it away."""
    if not isinstance(base, dict) or not isinstance(override, dict):
        return override
    merged = dict(base)
    for key, value in override.items():
        merged[key] = _lay_over(base.get(key), value)
    return merged
