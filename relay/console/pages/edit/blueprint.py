"""The blueprint that all views of `/edit` hang on, and how they answer."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, redirect, render_template, url_for
from markupsafe import Markup, escape
from werkzeug.wrappers import Response

from relay.connectors.drafts import Problem
from relay.console.editing.acting import WHEN
from relay.console.editing.moving import environments_of
from relay.console.editing.opened import Opened
from relay.console.editing.steps import ENVIRONMENTS, MADE, STEPS, Stage, of_step, stages

pages = Blueprint("edit", __name__)

_TICKED = re.compile(r"`([^`]+)`")


@pages.app_template_filter()
def ticks(text: str) -> Markup:
    """Help with what stands between backticks set as code, everything escaped."""
    marked, end = Markup(""), 0
    for found in _TICKED.finditer(text):
        marked += Markup("{}<code>{}</code>").format(text[end : found.start()], found.group(1))
        end = found.end()
    return marked + escape(text[end:])


def to_step(opened: Opened, step: str, *, anchor: str = "", checked: bool = False, environment: str = "") -> Response:
    """Sends the browser to a step. checked: what is wrong there is shown even if nothing was typed yet. environment: which one,
    of the page of these."""
    asked: dict[str, Any] = {"checked": "1" if checked else None, "environment": environment or None}
    return redirect(url_for("edit.step", draft=opened.draft.key, step=step, _anchor=anchor or None, **asked), 303)


def page(template: str, opened: Opened, step: str, *, problems: list[Problem] | None = None, **values: Any) -> str:
    """A step's page. problems: all of the draft, where the caller has them already."""
    wrong = opened.problems() if problems is None else problems
    way: list[Stage] = stages(wrong)
    return render_template(
        template,
        opened=opened,
        draft=opened.draft,
        step=step,
        stages=way,
        title={**STEPS, ENVIRONMENTS: "Environments", MADE: "A new secret"}.get(step, "As YAML"),
        environment_names=environments_of(opened.unfinished),
        wrong_environments=len(of_step(ENVIRONMENTS, wrong)),
        following=following(step),
        trigger_words=WHEN,
        **values,
    )


def following(step: str) -> str:
    """The step that comes after this one; empty after the last."""
    order = list(STEPS)
    place = order.index(step) + 1 if step in order else len(order)
    return order[place] if place < len(order) else ""
