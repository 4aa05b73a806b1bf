"""Taking an action to another connector, and what an environment has to all: into drafts, where a diff shows it."""

from __future__ import annotations

from typing import Any

from flask import flash, render_template, request
from werkzeug.wrappers import Response

from relay.connectors.drafts import begun_from, text_of
from relay.connectors.live import document_of
from relay.console.editing.acting import actions_of, names_of
from relay.console.editing.diffs import lines_of_diff
from relay.console.editing.moving import environments_of, overrides_of, promoted, with_action, without_action
from relay.console.editing.opened import Opened, begin_draft, open_draft, require_seen, save
from relay.console.pages.edit.blueprint import pages, to_step
from relay.console.pages.edit.choosing import newest_version
from relay.console.parts import backend, visitor
from relay.console.roles import needs
from relay.domain.connector import DocumentVersion
from relay.domain.errors import Conflict, NotFound


@pages.post("/edit/<draft>/move")
@needs("admin")
def move(draft: str) -> Response:
    """Copies an action into a draft of another connector; `how=move` takes it out of this draft, too."""
    opened = open_draft(draft)
    require_seen(opened, request.form)
    which, actions = request.form.get("action", ""), actions_of(opened.unfinished)
    index = int(which) if which.isascii() and which.isdigit() else -1
    if not 0 <= index < len(actions):
        raise NotFound("The draft has no such action.")
    to, moves = request.form.get("to", ""), request.form.get("how") == "move"
    if moves and to == opened.name:
        raise Conflict("It is there already: copy it, or choose another connector.")
    target = _with_action_in(to, actions[index])
    name = actions[index].get("name")
    if moves:
        save(opened, without_action(opened.unfinished, index))
        flash(
            f"{name} is in this draft of {to} now, and out of the draft of {opened.name}. Publish {to} first: until both are "
            "published, what runs is as it was."
        )
    else:
        flash(f"{name} is in this draft of {to}, too. Nothing runs by it before it is published.")
    return to_step(target, "actions")


@pages.route("/edit/action", methods=["GET", "POST"])
@needs("admin")
def action() -> Response | str | tuple[str, int]:
    """From the page of a connector: one of its actions goes to another one, or into a second place of its own."""
    version = newest_version(document_of(request.values.get("name", "") or request.values.get("connector", "")))
    begun = begun_from(version.text)
    actions, chosen = actions_of(begun), request.values.get("action", "")
    others = [name for name in backend().connectors.documents() if name != version.document]
    if request.method == "GET":
        return _action_page(version, actions, chosen, others)
    index = next((place for place, one in enumerate(actions) if one.get("name") == chosen), -1)
    if index < 0:
        raise NotFound(f"{version.document} has no action '{chosen}'.")
    to, moves = request.form.get("to", ""), request.form.get("how") == "move"
    if moves and to == version.document:
        return _action_page(version, actions, chosen, others, problem="It is there already: copy it, or choose another one."), 400
    if moves:
        opened = _moved(chosen, version, to)
        flash(
            f"{chosen} is in this draft of {to} now, and out of your draft of {version.document}, which stands among the "
            f"drafts. Publish {to} first: until both are published, what runs is as it was."
        )
    else:
        opened = _with_action_in(to, actions[index])
        flash(f"{chosen} is in this draft of {to}, too. Nothing runs by it before it is published.")
    return to_step(opened, "actions")


def _moved(name: str, version: DocumentVersion, to: str) -> Opened:
    """The draft in which the action of this name is now: as it was in the visitor's open draft of where it is, else as it runs.
    Raises `Conflict` where it is out of that draft already."""
    source = _own_draft(version.document)
    before = source.unfinished if source else begun_from(version.text)
    actions = actions_of(before)
    index = next((place for place, one in enumerate(actions) if one.get("name") == name), -1)
    if index < 0:
        raise Conflict(f"Your draft of {version.document} has no action '{name}' any more. Nothing was changed.")
    target = _with_action_in(to, actions[index])
    after = without_action(before, index)
    if source:
        save(source, after)
    else:
        begin_draft(after, base=version.number)
    return target


def _with_action_in(document: str, action: dict[str, Any]) -> Opened:
    """The document with this action, too: in the visitor's open draft of it, else in a new one. Raises `NotFound`."""
    if (own := _own_draft(document)) is not None:
        return save(own, with_action(own.unfinished, action))
    version = newest_version(document)
    return begin_draft(with_action(begun_from(version.text), action), base=version.number)


def _own_draft(document: str) -> Opened | None:
    """Of the drafts of its next version that the visitor was the last to change, the newest."""
    own = (open_draft(draft.key) for draft in backend().drafts.all() if (draft.document, draft.by) == (document, visitor().name))
    return next((opened for opened in own if opened.document == document), None)


def _action_page(
    version: DocumentVersion, actions: list[dict[str, Any]], chosen: str, others: list[str], *, problem: str = ""
) -> str:
    return render_template(
        "edit_action.html", basis=version, names=names_of(actions), chosen=chosen, others=others, problem=problem
    )


@pages.route("/edit/promote", methods=["GET", "POST"])
@needs("admin")
def promote() -> Response | str:
    """What an environment overrides becomes what the document says; first shown as a diff."""
    name = request.values.get("name", "")
    document, _, given = name.partition("@")
    version = newest_version(document_of(document))
    before = begun_from(version.text)
    environments = environments_of(before)
    environment = request.values.get("environment", given)
    if environment not in environments:
        environment = environments[0] if environments else ""
    keys = overrides_of(before, environment)
    chosen = [key for key in request.values.getlist("key") if key in keys] or [key for key in keys if key not in _OWN]
    to = request.values.get("to", "")
    to = to if to in environments and to != environment else ""
    after = promoted(before, environment, chosen, to=to) if environment else before
    if request.method == "POST" and environment:
        flash(f"This draft has of {environment}: {', '.join(chosen)}. Look at it, and publish it.")
        return to_step(begin_draft(after, base=version.number), "review")
    return render_template(
        "edit_promote.html",
        basis=version,
        environments=environments,
        environment=environment,
        keys=keys,
        chosen=chosen,
        to=to,
        diff=lines_of_diff(version.text, text_of(after)),
    )


_OWN = ("secrets", "inbound")
"""What an environment usually has for itself: it is taken along only if somebody asks for it."""
