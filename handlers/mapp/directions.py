"""The words by which a mutation says itself whether its user joined or left."""

from __future__ import annotations

from collections.abc import Mapping

from relay.domain.message import Direction

DIRECTIONS: Mapping[str, Direction] = {
    "add": "joined",
    "added": "joined",
    "join": "joined",
    "joined": "joined",
    "add_to_audience": "joined",
    "remove": "left",
    "removed": "left",
    "delete": "left",
    "deleted": "left",
    "left": "left",
    "leave": "left",
    "remove_from_audience": "left",
    "remove_to_audience": "left",
}
"""Words in lower case by which a mutation says its own direction."""

_SPELLED = {**DIRECTIONS, **{word.upper(): way for word, way in DIRECTIONS.items()}}


def direction(value: object) -> Direction | None:
    """What this value says about joining or leaving; None if nothing."""
    if not isinstance(value, str):
        return None
    return _SPELLED.get(value) or _SPELLED.get(value.strip().lower())
