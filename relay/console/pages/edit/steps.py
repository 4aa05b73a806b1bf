"""`/edit/<draft>/<step>`: each step shows what there is so far, and keeps what was typed."""

from __future__ import annotations

from flask import abort, flash, request
from msgspec.structs import replace
from werkzeug.wrappers import Response

from relay.connectors.drafts import begun_from, text_of
from relay.connectors.proposals import proposed_actions
from relay.console.editing import configuring
from relay.console.editing.acting import actions_of, changed_actions, shown_actions, trigger_states
from relay.console.editing.connecting import forget_access, why_not_connected_here
from relay.console.editing.fields import elsewhere, field_id, shown_groups, taken
from relay.console.editing.opened import Opened, TooLarge, open_draft, require_seen, save
from relay.console.editing.steps import ENVIRONMENTS, MADE, TEXT, of_step
from relay.console.pages.edit import environments, mapping, publishing, reviewing, trying
from relay.console.pages.edit.blueprint import following, page, pages, to_step
from relay.console.pages.edit.typed_secrets import store_typed
from relay.console.parts import backend
from relay.console.roles import needs
from relay.domain.errors import DocumentError


@pages.get("/edit/<draft>/<step>")
@needs("admin")
def step(draft: str, step: str) -> str:
    if step not in _SHOW:
        abort(404)
    return _SHOW[step](open_draft(draft))


@pages.post("/edit/<draft>/<step>")
@needs("admin")
def keep(draft: str, step: str) -> Response | str:
    """What was typed is kept, right or wrong; then on to where the button leads."""
    if step not in _TAKE:
        abort(404)
    opened = open_draft(draft)
    require_seen(opened, request.form)
    answer = _TAKE[step](opened)
    forget_access(opened)
    return answer


# configure


def show_configure(
    opened: Opened, *, asked_options: tuple[str, trying.Offered] | None = None, answer: trying.Answer | None = None
) -> str:
    """asked_options: a field, and the values that the partner offers for it. answer: what it says of the credentials."""
    problems = opened.problems()
    own = of_step("configure", problems)
    if request.args.get("checked"):
        visible = [*own, *configuring.empty_settings(opened)]
    else:
        visible = [one for one in own if one.sentence != "This is missing."]
    groups = configuring.groups_of(opened.description)
    known = {info.name: info for info in backend().secrets.all()}
    secrets = configuring.secrets_of(opened, known)
    places = [asked.place for group in groups for asked in group.asked] + [secret.place for secret in secrets]
    return page(
        "edit_configure.html",
        opened,
        "configure",
        problems=problems,
        groups=shown_groups(groups, opened.unfinished, visible),
        secrets=secrets,
        others=elsewhere(places, visible),
        wrong_at={place: [one.sentence for one in visible if one.place == place] for place in places},
        asked_options=asked_options,
        answer=answer,
        why_not_connected=why_not_connected_here(opened, opened.description),
    )


def take_configure(opened: Opened) -> Response | str:
    # The values that the partner offers stand behind the field itself, under its name: a choice among them is what was meant.
    form = {name: found[-1] for name, found in request.form.lists()}
    unfinished = taken(configuring.asked_by(opened), form, opened.unfinished)
    known = {info.name: info for info in backend().secrets.all()}
    secrets = configuring.secrets_of(opened, known)
    unfinished = configuring.with_secret_names(unfinished, form, secrets)
    opened = _with_proposals(save(opened, unfinished))
    if not store_typed(opened, configuring.secrets_of(opened, {})):
        return to_step(opened, "configure", checked=True)
    does, _, what = form.get("do", "next").partition(":")
    if does == "check":
        return show_configure(opened, answer=trying.check(opened))
    if does == "options":
        return show_configure(opened, asked_options=(what, trying.options(opened, what)))
    if does == "connect":
        return trying.connect(opened)
    if does == "save":
        return to_step(opened, "configure", checked=True)
    return _onwards(opened, "configure")


def _with_proposals(opened: Opened) -> Opened:
    """Where the operations follow from the settings, the first actions are proposed once these are there."""
    if opened.description is None or opened.unfinished.values.get("actions"):
        return opened
    actions = proposed_actions(opened.description)
    if not actions:
        return opened
    return save(opened, replace(opened.unfinished, values={**opened.unfinished.values, "actions": actions}))


def _onwards(opened: Opened, step: str) -> Response:
    """To the next step, or here again where something is wrong."""
    if of_step(step, opened.problems()) or (step == "configure" and configuring.empty_settings(opened)):
        return to_step(opened, step, checked=True)
    return to_step(opened, following(step))


# actions


def show_actions(opened: Opened) -> str:
    problems = opened.problems()
    own = of_step("actions", problems)
    actions = shown_actions(opened, own)
    places = [field.place for action in actions for field in action.fields]
    return page(
        "edit_actions.html",
        opened,
        "actions",
        problems=problems,
        actions=actions,
        triggers=trigger_states(opened),
        others=elsewhere(places, own),
        documents=[name for name in backend().connectors.documents() if name != opened.name],
        operation_titles={one.name: one.title for one in opened.description.operations} if opened.description else {},
    )


def take_actions(opened: Opened) -> Response | str:
    unfinished, note = changed_actions(opened, request.form)
    opened = save(opened, unfinished)
    if note:
        flash(note)
    does, _, what = request.form.get("do", "next").partition(":")
    if does == "next":
        return _onwards(opened, "actions")
    moved = {"up": -1, "down": 1}.get(does)
    at = min(max(int(what) + moved, 0), len(actions_of(unfinished)) - 1) if moved and what.isascii() and what.isdigit() else None
    return to_step(opened, "actions", anchor="" if at is None else field_id(f"actions[{at}]"))


# the document as text


def show_text(opened: Opened, *, typed: str | None = None, wrong: list[tuple[str, str]] | None = None) -> str:
    problems = [] if wrong is not None else opened.problems()
    return page(
        "edit_text.html",
        opened,
        TEXT,
        problems=problems,
        text=text_of(opened.unfinished) if typed is None else typed,
        wrong=wrong if wrong is not None else problems,
    )


def take_text(opened: Opened) -> Response | str:
    typed = request.form.get("text", "").replace("\r\n", "\n")
    try:
        opened = save(opened, begun_from(typed))
    except DocumentError as error:
        return show_text(opened, typed=typed, wrong=error.problems)
    except TooLarge as error:
        return show_text(opened, typed=typed, wrong=[("", str(error))])
    if request.form.get("do") == "save" or opened.problems():
        return to_step(opened, TEXT)
    return to_step(opened, "review")


_SHOW = {
    "configure": show_configure,
    "actions": show_actions,
    "mapping": mapping.show,
    "test": trying.show,
    "review": reviewing.show,
    TEXT: show_text,
    ENVIRONMENTS: environments.show,
    MADE: publishing.show_made,
}
_TAKE = {
    "configure": take_configure,
    "actions": take_actions,
    "mapping": mapping.take,
    "test": trying.take,
    TEXT: take_text,
    ENVIRONMENTS: environments.take,
}
