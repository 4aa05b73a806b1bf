"""The secrets of one connector: set, made anew, retired. No value is ever shown, but one that was made here: once, right then."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from relay.connectors.activation import PLACE
from relay.connectors.publishing import generate_secret
from relay.connectors.secret_values import in_one_line
from relay.console import parts
from relay.console.connector_secrets import SecretView, secret_of
from relay.console.roles import needs
from relay.console.shown_once import note_made, take_made
from relay.domain.errors import ConfigurationError, Conflict
from relay.health.asking import chosen_connector

pages = Blueprint("secrets", __name__)


@pages.post("/connectors/<name>/secrets/<secret>/set")
@needs("admin")
def set_(name: str, secret: str) -> Response:
    """The value of one that somebody was given: typed, or in a file."""
    view = _secret(name, secret)
    if view.kind != "typed":
        raise Conflict(f"The secret '{secret}' is made here, and not typed.")
    try:
        value = _given()
        if not value:
            flash(f"No value was given for {secret}; nothing was changed.", "warning")
        else:
            parts.publishing().set_secret(secret, value)
            flash(f"{secret} is set. What waited for it is tried now.")
    except ConfigurationError as error:
        flash(str(error), "danger")
    return _back(name)


@pages.post("/connectors/<name>/secrets/<secret>/make")
@needs("admin")
def make(name: str, secret: str) -> Response:
    """A new value of one that is made here; the page that follows shows it once."""
    view = _secret(name, secret)
    if view.kind == "typed":
        raise Conflict(f"The secret '{secret}' comes from the partner, and cannot be made here.")
    user = request.form.get("user", "").strip()
    if view.kind == "user and password" and (not user or ":" in user):
        flash("Give a user name, without a colon. Nothing was changed.", "warning")
        return _back(name)
    if view.has_previous:
        flash(
            f"{secret} was changed a while ago, and the value before is still good, since the other side may use it. Retire that "
            "one first; a third value would push it out.",
            "warning",
        )
        return _back(name)
    password = generate_secret()
    value = f"{user}:{password}" if view.kind == "user and password" else password
    try:
        (parts.publishing().rotate_secret if view.is_set else parts.publishing().set_secret)(secret, value)
    except ConfigurationError as error:
        flash(str(error), "danger")
        return _back(name)
    note_made(secret, value)
    return redirect(url_for("secrets.made", name=name, secret=secret), 303)


@pages.get("/connectors/<name>/secrets/<secret>/made")
@needs("admin")
def made(name: str, secret: str) -> str:
    """The value that was just made, this once."""
    view = _secret(name, secret)
    shown = take_made(secret)
    user, _, password = shown.value.rpartition(":") if view.kind == "user and password" else ("", "", shown.value)
    return render_template(
        "secret_made.html", name=name, secret=view, user=user, value=password, state=shown.state, place=PLACE
    )


@pages.post("/connectors/<name>/secrets/<secret>/retire")
@needs("admin")
def retire(name: str, secret: str) -> Response:
    """Only the current value is good from now on."""
    _secret(name, secret)
    parts.publishing().retire_secret(secret)
    flash(f"Only the newest value of {secret} is good now.")
    return _back(name)


def _secret(name: str, secret: str) -> SecretView:
    return secret_of(chosen_connector(parts.backend(), name), parts.backend(), secret)


def _given() -> str:
    """Raises `ConfigurationError` for a file that is no text."""
    file = request.files.get("file")
    if file is None or not file.filename:
        return request.form.get("value", "").strip()
    try:
        return in_one_line(file.stream.read().decode().strip())
    except UnicodeDecodeError:
        raise ConfigurationError("The file is not text. Nothing was changed.") from None


def _back(name: str) -> Response:
    return redirect(url_for("connector.show", name=name, _anchor="secrets"))
