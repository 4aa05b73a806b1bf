"""Where in the console a concern is dealt with: the page that has what is asked for."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import current_app, url_for

from relay.health.concerns import Concern

_PLACES: dict[str, tuple[str, str, str]] = {
    "incomplete": ("connector.show", "needs", "see what is missing"),
    "off": ("connector.show", "switches", "switch it on"),
    "paused": ("connector.show", "switches", "end the pause"),
    "left_alone": ("holds.show", "", "see what waits"),
    "action_off": ("connector.show", "actions", "see its actions"),
    "not_published": ("versions.show", "", "publish a version"),
    "audience_paused": ("holds.show", "", "see what waits"),
    "hold_credentials_refused": ("connector.show", "secrets", "see its secrets"),
    "old_hold": ("holds.show", "", "see what waits"),
    "creation_failed": ("audiences.show", "", "see its audiences"),
    "notice_secret_missing": ("connector.show", "secrets", "set it"),
    "notice_not_taken": ("connector.show", "notices", "see who is told"),
    "rejections": ("rejections.show", "", "see why"),
    "unreadable": ("rejections.show", "", "see which"),
}
"""Kind of a concern → endpoint, place on the page, what one does there."""

_HOLD = ("holds.show", "", "see what waits")
_BY_NAME = ("connector.show", "versions.show")


class Way(msgspec.Struct, frozen=True):
    """A link. url: with its place on the page."""

    label: str
    url: str


def way_out(concern: Concern, connector: str) -> Way | None:
    """The page for this concern of this connector; None where only a command helps, or nothing needs to be done."""
    endpoint, place, label = _PLACES.get(concern.kind) or (_HOLD if concern.kind.startswith("hold_") else ("", "", ""))
    if endpoint not in current_app.view_functions:
        return None
    named: dict[str, Any] = {"name": connector} if endpoint in _BY_NAME else {"connector": connector}
    return Way(label, url_for(endpoint, **named, _anchor=place or None))


def page(endpoint: str, **values: Any) -> str:
    """The address of a page that this console may not have: empty then."""
    return url_for(endpoint, **values) if endpoint in current_app.view_functions else ""
