"""Publishing a draft; and making the secrets that the DMP gets."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from adapters.registry import describe
from relay.connectors.drafts import text_of
from relay.connectors.publishing import generate_secret
from relay.console.editing.configuring import AskedSecret, secrets_of
from relay.console.editing.connecting import is_connected
from relay.console.editing.environments import editable, secrets_in
from relay.console.editing.opened import Opened, open_draft, require_seen
from relay.console.editing.steps import ENVIRONMENTS, MADE
from relay.console.editing.unpublished import partners
from relay.console.pages.edit.blueprint import page, pages, to_step
from relay.console.pages.edit.reviewing import review_of
from relay.console.parts import backend, publishing
from relay.console.roles import needs
from relay.console.shown_once import just_made, note_made, take_made
from relay.console.ways import page as page_of
from relay.domain.connector import Connector
from relay.domain.errors import ConfigurationError, Conflict, DocumentError, NotFound, PartnerError


@pages.post("/edit/<draft>/publish")
@needs("admin")
def publish(draft: str) -> Response | str:
    """Makes a version of it and lets it run; asks first where a journal loses something, or another version came between."""
    opened = open_draft(draft)
    require_seen(opened, request.form)
    review = review_of(opened)
    if review.wrong:
        return to_step(opened, "review")
    if request.form.get("shown") != review.shown:
        flash("Nothing was published yet: what it changes is not what you were shown any more. Look at it again.", "warning")
        return to_step(opened, "review")
    unasked = [*review.losses, *(["newer"] if review.newer else []), *(["comments"] if review.lost_comments else [])]
    if unasked and request.form.get("sure") != "yes":
        flash("Nothing was published yet: say that you are sure.", "warning")
        return to_step(opened, "review")
    note = request.form.get("note", "").strip()[:500]
    try:
        version = publishing().apply(text_of(opened.unfinished), note=note)
    except (Conflict, DocumentError) as error:
        flash(str(error), "danger")
        return to_step(opened, "review")
    backend().drafts.delete(draft)
    flash(f"{version.document} version {version.number} runs: {', '.join(review.makes)}.")
    if unconnected := to_connect(version.connectors):
        names = ", ".join(unconnected)
        flash(f"One thing is left: somebody has to allow the access of {names} at the partner, by the button Connect.", "warning")
        return redirect(url_for("connector.show", name=unconnected[0], _anchor="secrets"), 303)
    return redirect(page_of("connector.show", name=version.document) or url_for("home.connectors"), 303)


def to_connect(connectors: Iterable[Connector]) -> list[str]:
    """Names of those whose access somebody has to allow and nobody has."""
    found = []
    for connector in connectors:
        description = describe(connector.adapter, connector.settings)
        with suppress(PartnerError, ConfigurationError):
            if description is not None and description.connect and not is_connected(partners(), connector):
                found.append(connector.name)
    return found


@pages.post("/edit/<draft>/make-secret")
@needs("admin")
def make_secret(draft: str) -> Response | str:
    """A secret for the DMP: made here, then shown once."""
    opened = open_draft(draft)
    environment = request.form.get("environment", "")
    secret = _of_dmp(opened, request.form.get("kind", ""), environment)
    step = ENVIRONMENTS if environment else "configure"
    if secret is None or not secret.name:
        flash("Give the secret a name first, and save.", "warning")
        return to_step(opened, step, environment=environment)
    place = url_for("edit.step", draft=draft, step=MADE, kind=secret.kind, environment=environment or None)
    if secret.info is not None and just_made(secret.info.changed_at):
        return redirect(place, 303)
    if secret.info is not None:
        flash(f"The secret {secret.name} is set already; on the connector's page it can be rotated.", "warning")
        return to_step(opened, step, anchor="secrets", environment=environment)
    value = generate_secret() if secret.kind == "hmac" else f"diy:{generate_secret()}"
    publishing().set_secret(secret.name, value)
    note_made(secret.name, value)
    return redirect(place, 303)


def show_made(opened: Opened) -> str:
    """The secret that was just made, this once."""
    environment = request.args.get("environment", "")
    secret = _of_dmp(opened, request.args.get("kind", ""), environment)
    if secret is None:
        raise NotFound("The draft has no such secret.")
    back = url_for("edit.step", draft=opened.draft.key, step=ENVIRONMENTS if environment else "configure",
                   environment=environment or None, _anchor="secrets")  # fmt: skip
    made = take_made(secret.name)
    return page("edit_secret.html", opened, MADE, secret=secret, made=made, back=back)


def _of_dmp(opened: Opened, kind: str, environment: str) -> AskedSecret | None:
    known = {info.name: info for info in backend().secrets.all()}
    if environment and environment not in editable(opened.unfinished):
        return None
    found = secrets_in(opened, environment, known) if environment else secrets_of(opened, known)
    return next((one for one in found if one.kind == kind and kind in ("hmac", "basic")), None)
