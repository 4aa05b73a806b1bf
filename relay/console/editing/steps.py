"""The steps, in order, and in which of them a place of the document is looked after."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from relay.connectors.drafts import Problem
from relay.console.editing.fields import field_id

STEPS: dict[str, str] = {
    "configure": "Configure",
    "actions": "Actions",
    "mapping": "Mapping",
    "test": "Test",
    "review": "Review and publish",
}
"""Name in the address → what it is called."""

TEXT = "text"
"""The step beside the others: the document as YAML, for whoever prefers it."""

ENVIRONMENTS = "environments"
"""Another one beside them: what each environment has of its own."""

MADE = "made"
"""The page that shows a secret which was made for the DMP, once."""

_OVERRIDE = re.compile(r"environments\.([^.\[\]]+)\.(?:settings|secrets|inbound|limits|timeouts|retention|notify)\b")
_MAPPING = re.compile(r"actions\[\d+\]\.mapping\b")


class Stage(NamedTuple):
    """A step as the way through shows it. `wrong`: how many problems are to be solved there."""

    step: str
    title: str
    wrong: int


def step_of(place: str) -> str:
    """The step in which this place of the document can be changed."""
    if _MAPPING.match(place):
        return "mapping"
    if place.startswith("actions"):
        return "actions"
    if _OVERRIDE.match(place):
        return ENVIRONMENTS
    if not place or place.startswith(("environments", "version")):
        return TEXT
    return "configure"


def of_step(step: str, problems: Iterable[Problem]) -> list[Problem]:
    """Those that are solved there."""
    return [problem for problem in problems if step_of(problem.place) == step]


def stages(problems: Iterable[Problem]) -> list[Stage]:
    """All steps, with what is wrong in each."""
    wrong = list(problems)
    return [Stage(step, title, len(of_step(step, wrong))) for step, title in STEPS.items()]


def anchor_of(place: str) -> str:
    """The ID, in its step's page, of what is at this place; as near as can be told."""
    found = re.match(r"(actions\[\d+\])(?:\.(\w+))?", place)
    if found:
        return field_id(found[0] if not _MAPPING.match(place) else place)
    parts = place.split("[", maxsplit=1)[0].split(".")
    before = 2 if _OVERRIDE.match(place) else 0
    return field_id(".".join(parts[: before + (3 if parts[before] == "limits" else 2)]))


def environment_of(place: str) -> str:
    """The environment whose override this place is in; empty: none, or one that is only in the text."""
    found = _OVERRIDE.match(place)
    return found[1] if found else ""
