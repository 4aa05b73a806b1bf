"""`/edit/<draft>/environments?environment=…`: what one environment has of its own."""

from __future__ import annotations

from flask import flash, request
from werkzeug.wrappers import Response

from relay.console.editing import environments as of
from relay.console.editing.fields import elsewhere, shown_groups, taken
from relay.console.editing.opened import Opened, save
from relay.console.editing.steps import ENVIRONMENTS, environment_of
from relay.console.pages.edit import trying
from relay.console.pages.edit.blueprint import page, to_step
from relay.console.pages.edit.queueing import running
from relay.console.pages.edit.typed_secrets import store_typed
from relay.console.parts import backend
from relay.domain.errors import NotFound
from relay.domain.malformed import Malformed


def show(
    opened: Opened,
    *,
    asked_options: tuple[str, trying.Offered] | None = None,
    answer: trying.Answer | None = None,
    new: str = "",
    wrong_new: str = "",
) -> str:
    """The one that the address or the form names, else the first. new: a name that was typed for another one, and what is wrong
    with it."""
    names = of.editable(opened.unfinished)
    environment = _chosen(names)
    problems = opened.problems()
    own = [one for one in problems if environment and one.place.startswith(f"environments.{environment}")]
    groups = of.groups_in(opened, environment) if environment else []
    known = {info.name: info for info in backend().secrets.all()}
    secrets = of.secrets_in(opened, environment, known) if environment else []
    places = [asked.place for group in groups for asked in group.asked] + [secret.place for secret in secrets]
    return page(
        "edit_environments.html",
        opened,
        ENVIRONMENTS,
        problems=problems,
        names=names,
        environment=environment,
        wrong_in={name: sum(environment_of(one.place) == name for one in problems) for name in names},
        groups=shown_groups(groups, opened.unfinished, own),
        secrets=secrets,
        actions=of.actions_in(opened.unfinished, environment) if environment else [],
        others=elsewhere(places, own),
        wrong_at={place: [one.sentence for one in own if one.place == place] for place in places},
        asked_options=asked_options,
        answer=answer,
        runs=bool(environment and opened.document) and running(f"{opened.document}@{environment}") is not None,
        new=new,
        wrong_new=wrong_new,
    )


def take(opened: Opened) -> Response | str:
    """What was typed is kept, right or wrong; then what the button asks for."""
    environment = request.form.get("environment", "")
    does, _, what = request.form.get("do", "save").partition(":")
    if does == "add":
        name = request.form.get("new", "").strip()
        try:
            return to_step(save(opened, of.added(opened.unfinished, name)), ENVIRONMENTS, environment=name)
        except Malformed as problem:
            return show(opened, new=name, wrong_new=str(problem))
    if environment not in of.editable(opened.unfinished):
        raise NotFound("The draft has no such environment. Nothing was changed.")
    if does == "remove":
        flash(f"The environment {environment} is taken out of the draft. What runs stays as it is until this is published.")
        return to_step(save(opened, of.without(opened.unfinished, environment)), ENVIRONMENTS)
    # A choice among the values that the partner offers stands behind the field, under its name.
    form = {name: found[-1] for name, found in request.form.lists()}
    unfinished = taken(of.asked_in(opened, environment), form, opened.unfinished)
    unfinished = of.with_switches(unfinished, form, environment)
    unfinished = of.with_names(unfinished, form, environment, of.secrets_in(opened, environment, {}))
    opened = save(opened, unfinished)
    if not store_typed(opened, of.secrets_in(opened, environment, {}), environment):
        return to_step(opened, ENVIRONMENTS, environment=environment)
    if does == "check":
        return show(opened, answer=trying.check(opened, environment=environment))
    if does == "options":
        return show(opened, asked_options=(what, trying.options(opened, what, environment=environment)))
    flash(f"What {environment} has of its own is saved in the draft.")
    return to_step(opened, ENVIRONMENTS, environment=environment)


def _chosen(names: list[str]) -> str:
    """The one that is asked for; the first, if that is none; empty where there is none at all."""
    asked = request.values.get("environment", "")
    return asked if asked in names else names[0] if names else ""
