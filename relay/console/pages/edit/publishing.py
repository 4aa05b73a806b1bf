"""Publishing a draft; and making the secrets that the DMP gets."""

from __future__ import annotations

from flask import flash, redirect, request, url_for
from werkzeug.wrappers import Response

from relay.connectors.drafts import text_of
from relay.connectors.publishing import generate_secret
from relay.console.editing.configuring import AskedSecret, secrets_of
from relay.console.editing.opened import Opened, open_draft, require_seen
from relay.console.pages.edit.blueprint import page, pages, to_step
from relay.console.pages.edit.reviewing import review_of
from relay.console.parts import backend, publishing
from relay.console.roles import needs
from relay.console.ways import page as page_of
from relay.domain.errors import Conflict, DocumentError


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
    return redirect(page_of("connector.show", name=version.document) or url_for("home.connectors"), 303)


@pages.post("/edit/<draft>/make-secret")
@needs("admin")
def make_secret(draft: str) -> Response | str:
    """A secret for the DMP: made here, shown this once."""
    opened = open_draft(draft)
    secret = _of_dmp(opened, request.form.get("kind", ""))
    if secret is None or not secret.name:
        flash("Give the secret a name first, and save.", "warning")
        return to_step(opened, "configure")
    if secret.info is not None:
        flash(f"The secret {secret.name} is set already; on the connector's page it can be rotated.", "warning")
        return to_step(opened, "configure", anchor="secrets")
    value = generate_secret() if secret.kind == "hmac" else f"diy:{generate_secret()}"
    publishing().set_secret(secret.name, value)
    return page("edit_secret.html", opened, "configure", secret=secret, value=value)


def _of_dmp(opened: Opened, kind: str) -> AskedSecret | None:
    known = {info.name: info for info in backend().secrets.all()}
    return next((one for one in secrets_of(opened, known) if one.kind == kind and kind in ("hmac", "basic")), None)
