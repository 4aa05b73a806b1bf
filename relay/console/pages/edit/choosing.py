"""`/edit/new`: where a draft begins: with an adapter, or with a connector that is there."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from adapters.registry import describe, names
from relay.connectors.drafts import Unfinished, begun_from
from relay.connectors.live import document_of
from relay.connectors.proposals import proposed_actions
from relay.console.editing.configuring import with_own_secrets
from relay.console.editing.connecting import forget_access
from relay.console.editing.examples import begun_from_example, examples
from relay.console.editing.moving import environments_of
from relay.console.editing.opened import begin_draft, open_draft, require_seen
from relay.console.pages.edit.blueprint import pages, to_step
from relay.console.parts import backend, visitor
from relay.console.roles import needs
from relay.domain.connector import DocumentVersion
from relay.domain.errors import NotFound
from relay.domain.malformed import Malformed
from relay.reading import values as readers


@pages.get("/edit/new")
@needs("admin")
def choose() -> str:
    return _choose_page()


@pages.post("/edit/new")
@needs("admin")
def begin() -> Response | tuple[str, int]:
    """A new connector with the adapter that was chosen."""
    adapter, name = request.form.get("adapter", ""), request.form.get("name", "").strip()
    example = next((one for one in examples() if one.name == request.form.get("example")), None)
    description = describe(adapter)
    problem = "" if description else "Choose what the connector is to speak to."
    if not problem:
        problem = _wrong_name(name)
    if problem or description is None:
        return _choose_page(chosen=adapter, name=name, problem=problem, example=example.name if example else ""), 400
    if example is not None and example.adapter == adapter:
        return to_step(begin_draft(begun_from_example(example, name)), "configure")
    actions = proposed_actions(description)
    written = {"name": name, "adapter": adapter, "inbound": {"hmac_secret": f"{name}-hmac"}}
    opened = begin_draft(Unfinished({**written, **({"actions": actions} if actions else {})}))
    return to_step(opened, "configure")


@pages.route("/edit/start", methods=["GET", "POST"])
@needs("admin")
def start() -> Response | str | tuple[str, int]:
    """From a connector that is there: to change it, or for one that is alike."""
    document = document_of(request.values.get("name", ""))
    version = newest_version(document)
    if request.method == "GET":
        return _start_page(version)
    if request.form.get("how") == "duplicate":
        new_name = request.form.get("new_name", "").strip()
        problem = _wrong_name(new_name)
        if problem:
            return _start_page(version, new_name, problem), 400
        return to_step(begin_draft(with_own_secrets(begun_from(version.text, name=new_name), new_name)), "configure")
    return to_step(begin_draft(begun_from(version.text), base=version.number), "configure")


@pages.get("/edit/duplicate")
@needs("admin")
def duplicate() -> Response:
    """The same page, at the place where a new name is typed."""
    return redirect(url_for("edit.start", name=request.args.get("name", ""), _anchor="duplicate"), 303)


@pages.post("/edit/<draft>/delete")
@needs("admin")
def delete(draft: str) -> Response:
    opened = open_draft(draft)
    require_seen(opened, request.form)
    backend().drafts.delete(draft)
    forget_access(opened)
    backend().audit.add(by=visitor().name, what="delete draft", subject=opened.name or "(no name yet)")
    flash(f"The draft of {opened.name or 'a connector without a name'} is deleted. What runs is as it was.")
    return redirect(url_for("edit.choose"), 303)


def newest_version(document: str) -> DocumentVersion:
    """The one that runs, else the newest. Raises `NotFound`."""
    versions = backend().connectors.versions(document)
    try:
        live = backend().connectors.state(document).live
    except NotFound:
        live = 0
    return next((one for one in versions if one.number == live), versions[-1])


def _choose_page(*, chosen: str = "", name: str = "", problem: str = "", example: str = "") -> str:
    descriptions = [description for each in names() if (description := describe(each))]
    return render_template(
        "edit_choose.html",
        descriptions=descriptions,
        drafts=backend().drafts.all(),
        documents=backend().connectors.documents(),
        chosen=chosen or request.args.get("adapter", ""),
        name=name,
        problem=problem,
        examples=examples(),
        example=example,
    )


def _start_page(version: DocumentVersion, new_name: str = "", problem: str = "") -> str:
    return render_template(
        "edit_start.html",
        basis=version,
        drafts=[draft for draft in backend().drafts.all() if draft.document == version.document],
        environments=environments_of(begun_from(version.text)),
        new_name=new_name,
        problem=problem,
    )


def _wrong_name(name: str) -> str:
    """Why nothing new can be called so; empty: it can."""
    try:
        readers.name(name)
    except Malformed as problem:
        return str(problem)
    if name in backend().connectors.documents():
        return f"There is a connector '{name}' already. Choose another name, or edit that one."
    return ""
