"""`/connectors/<name>/versions`: who changed the document when, what changed, and the way back."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from relay.connectors.live import document_of
from relay.console import parts
from relay.console.roles import needs
from relay.console.versions_reading import difference, publication, running_number, versions_of
from relay.domain.errors import Conflict

pages = Blueprint("versions", __name__)


@pages.get("/connectors/<name>/versions")
@needs("viewer")
def show(name: str) -> str:
    document = document_of(name)
    found = versions_of(parts.backend(), document, before=request.args.get("before", 0, int))
    from_, to = request.args.get("from", 0, int), request.args.get("to", 0, int)
    changes = None
    if _may_read() and from_ in found.numbers and to in found.numbers:
        changes = difference(parts.backend(), document, from_, to)
    return render_template("versions.html", page=found, from_=from_, to=to, changes=changes)


@pages.get("/connectors/<name>/versions/<int:number>")
@needs("viewer")
def one(name: str, number: int) -> str:
    document = document_of(name)
    found = publication(parts.backend(), document, number, now=parts.now(), counted=_counted())
    changes = difference(parts.backend(), document, found.running, number) if found.running and _may_read() else []
    return render_template("diff.html", document=document, page=found, changes=changes)


@pages.post("/connectors/<name>/versions/<int:number>/publish")
@needs("admin")
def publish(name: str, number: int) -> Response:
    """Only what was looked at: not if another version runs by now, and not without a word on what a journal loses."""
    document = document_of(name)
    backend = parts.backend()
    found = publication(backend, document, number, now=parts.now(), counted=_counted())
    here = redirect(url_for("versions.one", name=document, number=number))
    if request.form.get("running", "") != str(found.running):
        now_runs = running_number(backend, document)
        flash(f"Meanwhile version {now_runs} was published. Look at what changes once more; nothing was done.", "warning")
        return here
    if found.losses and not request.form.get("lose"):
        flash("Say that the journal may lose what is listed. Nothing was changed.", "warning")
        return here
    publishing = parts.publishing()
    try:
        (publishing.rollback if found.back else publishing.publish)(document, number)
    except Conflict as error:
        flash(str(error), "danger")
        return here
    flash(f"Version {number} of {document} runs now.")
    return redirect(url_for("versions.show", name=document))


def _may_read() -> bool:
    """Whether the visitor sees what documents say: a webhook's address in one can itself be a secret."""
    return parts.visitor().may("admin")


def _counted() -> bool:
    return parts.configuration().backend != "google"
