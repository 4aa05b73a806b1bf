"""`/connectors/<name>`: one connector, what it needs, and its switches."""

from __future__ import annotations

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from relay.connectors.activation import HIDDEN, place_of
from relay.connectors.live import document_of
from relay.console import parts
from relay.console.charts import sparkline
from relay.console.connector_reading import ConnectorPage, read_connector
from relay.console.guard import refusal
from relay.console.roles import needs
from relay.console.ways import page, way_out
from relay.domain.connector import ActionSwitch
from relay.domain.errors import Conflict, PartnerError
from relay.health.asking import chosen_connector
from relay.health.journal_loss import journal_losses
from relay.health.wording import count
from relay.operating.checking import check_credentials, why_not
from relay.operating.holding import Holding

pages = Blueprint("connector", __name__)

_SWITCHES: dict[str, ActionSwitch | None] = {"on": None, "paused": "paused", "skipped": "skipped"}


@pages.get("/connectors/<name>")
@needs("viewer")
def show(name: str) -> str:
    found = read_connector(parts.backend(), parts.configuration(), name, parts.now())
    return render_template(
        "connector.html",
        page=found,
        chart=sparkline(found.week, span="last 7 days"),
        way_out=way_out,
        edit=page("edit.start", name=found.document),
        connect=_way_to_connect(found),
        place=place_of(found.connector),
        hidden=HIDDEN,
        live=60 if parts.configuration().backend == "google" else 10,
    )


@pages.post("/connectors/<name>/switch")
@needs("operator")
def switch(name: str) -> Response | tuple[str, int]:
    to = request.form.get("to", "")
    if to not in ("on", "off"):
        return refusal("On or off?", "The form says neither “on” nor “off”. Nothing was changed.", 400)
    on = to == "on"
    parts.publishing().set_enabled(name, on)
    flash(f"{name} is on; what waited is sent." if on else f"{name} is off; what arrives waits in order, and nothing is lost.")
    return _back(name, "switches")


@pages.post("/connectors/<name>/pause")
@needs("operator")
def pause(name: str) -> Response | tuple[str, int]:
    to = request.form.get("to", "")
    if to not in ("pause", "resume"):
        return refusal("Pause or resume?", "The form says neither “pause” nor “resume”. Nothing was changed.", 400)
    holding = _holding()
    if to == "resume":
        resumed = holding.resume(name)
        flash(f"{name} goes on; {count(resumed.holds, 'hold')} {'is' if resumed.holds == 1 else 'are'} tried now.")
    else:
        holding.pause(name)
        flash(f"{name} is paused; what arrives waits in order until the pause ends.")
    return _back(name, "switches")


@pages.post("/connectors/<name>/action")
@needs("operator")
def action(name: str) -> Response:
    which, to = request.form.get("action", ""), request.form.get("to", "")
    if to not in _SWITCHES:
        flash("Say what becomes of what comes in while the action is off. Nothing was changed.", "warning")
        return _back(name, "actions")
    parts.publishing().set_action(name, which, _SWITCHES[to])
    effect = {"on": "on", "paused": "off; what comes in waits", "skipped": "off; its mutations are skipped"}[to]
    flash(f"The action '{which}' is {effect}.")
    return _back(name, "actions")


@pages.post("/connectors/<name>/default")
@needs("admin")
def default(name: str) -> Response:
    parts.publishing().set_default(name)
    flash(f"{name} answers at the address without a name, too.")
    return _back(name, "source")


@pages.post("/connectors/<name>/check")
@needs("operator")
def check(name: str) -> Response:
    """Asks the partner, which takes as long as it takes, at most the connector's time-outs."""
    connector = chosen_connector(parts.backend(), name)
    try:
        check_credentials(parts.backend(), parts.parts().clock, connector)
    except Conflict as error:
        flash(str(error), "warning")
    except PartnerError as error:
        flash(why_not(error), "danger")
    else:
        flash(f"The partner accepts the credentials of {name}.")
    return _back(name, "secrets")


@pages.route("/connectors/<name>/delete", methods=["GET", "POST"])
@needs("admin")
def delete(name: str) -> Response | str | tuple[str, int]:
    """Asks by a page of its own, on which the name has to be typed."""
    backend, now = parts.backend(), parts.now()
    if name != document_of(name):
        return redirect(url_for("connector.delete", name=document_of(name)))
    versions = backend.connectors.versions(name)
    problem = ""
    if request.method == "POST":
        if request.form.get("typed", "").strip() != name:
            problem = f"Type {name} to delete it. Nothing was changed."
        else:
            try:
                parts.publishing().delete(name)
            except Conflict as error:
                problem = str(error)
            else:
                flash(f"{name} is deleted.")
                return redirect(url_for("home.connectors"))
    counted = parts.configuration().backend != "google"
    return render_template(
        "delete.html",
        name=name,
        versions=len(versions),
        connectors=[one.name for one in backend.connectors.states() if document_of(one.name) == name],
        losses=journal_losses(backend, name, (), now=now, counted=counted),
        problem=problem,
    ), 409 if problem else 200


def _way_to_connect(found: ConnectorPage) -> str:
    """Empty where nobody has to allow anything, or nothing runs yet."""
    needed = found.published and found.description is not None and found.description.connect
    return url_for("connect.start", name=found.connector.name) if needed else ""


def _holding() -> Holding:
    return Holding(parts.backend(), parts.visitor().name, parts.parts().clock)


def _back(name: str, place: str) -> Response:
    return redirect(url_for("connector.show", name=name, _anchor=place))
