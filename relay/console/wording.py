"""Moments, numbers and advice as the page says them."""

from __future__ import annotations

import re

from flask import Flask, current_app, g, has_request_context, request
from markupsafe import Markup, escape

from relay import __version__
from relay.console import parts, ways
from relay.health import wording

NAVIGATION: tuple[tuple[str, str], ...] = (
    ("home.connectors", "Connectors"),
    ("activity.show", "Activity"),
    ("rejections.show", "Rejections"),
    ("users.find", "Find a user"),
    ("audiences.show", "Audiences"),
    ("holds.show", "Holds"),
    ("health.show", "Health"),
)
"""The endpoints in the navigation, and what they are called."""

_WITHIN = dict.fromkeys(("connector", "versions", "edit", "secrets", "connect"), "home")
"""Pages that are not in the navigation belong to one that is."""

_COMMAND = re.compile(r"\bdiy (?:[^;,']|'[^']*')+")


def teach(app: Flask) -> None:
    """Gives the templates what is here, and who is there."""
    for filter_ in (moment, number, commands, words):
        app.add_template_filter(filter_)
    app.add_template_global(relative)
    app.add_template_global(wording.duration)
    app.add_template_global(wording.count, "counted")
    app.add_template_global(parts.now)
    app.add_template_global(ways.page, "page_of")
    app.add_template_global(look_again_s)
    app.context_processor(
        lambda: {"visitor": g.get("visitor"), "navigation": navigation(), "belongs_to": section(), "program": __version__}
    )


def navigation() -> list[tuple[str, str]]:
    """Of `NAVIGATION`, the pages that this console has."""
    return [(endpoint, label) for endpoint, label in NAVIGATION if endpoint in current_app.view_functions]


def section() -> str:
    """The page of the navigation that the one asked for belongs to, by the first part of its endpoint."""
    first = (request.endpoint or "").partition(".")[0] if has_request_context() else ""
    return _WITHIN.get(first, first)


def look_again_s() -> int:
    """After so many seconds an open page looks again: seldom where each look is billed by what it reads."""
    return 60 if parts.configuration().backend == "google" else 10


def moment(at: float) -> str:
    """Seconds since the epoch as `2026-03-01 11:00:05 UTC`; a dash for none."""
    return wording.moment(at) if at else "–"


def number(value: int) -> str:
    """With thousands set apart."""
    return f"{value:,}"


def relative(at: float, now: float) -> str:
    """How far from now: `in 30 s`, `5 min ago`."""
    return wording.relative(at - now)


def commands(advice: str) -> Markup:
    """Advice with its commands set as code, everything escaped."""
    marked, end = Markup(""), 0
    for found in _COMMAND.finditer(advice):
        marked += Markup("{}<code>{}</code>").format(advice[end : found.start()], found.group())
        end = found.end()
    return marked + escape(advice[end:])


def words(name: str) -> str:
    """A name of ours as words: `come_back_later` is `come back later`."""
    return name.replace("_", " ")
