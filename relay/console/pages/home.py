"""`/`: all connectors, how they stand, what needs somebody, and their switches."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from relay.console import parts
from relay.console.guard import refusal
from relay.console.overview import BASE, CARDS, STATES, Chosen, overview_of
from relay.console.roles import needs
from relay.console.ways import page, way_out
from relay.domain.errors import NotFound, RelayError
from relay.health.wording import count

pages = Blueprint("home", __name__)

WAITS = "What arrives meanwhile waits in order and is sent when it is on again; nothing is lost."


@pages.get("/")
@needs("viewer")
def connectors() -> str:
    chosen = Chosen(**_chosen())
    skip = max(0, request.args.get("skip", 0, int))
    return render_template(
        "home.html",
        overview=overview_of(parts.backend(), parts.now(), chosen, skip=skip),
        chosen=chosen,
        skip=skip,
        size=CARDS,
        states=STATES,
        base=BASE,
        waits=WAITS,
        way_out=way_out,
        new=page("edit.choose"),
        live=60 if parts.configuration().backend == "google" else 10,
    )


@pages.post("/switch")
@needs("operator")
def switch() -> Response | tuple[str, int]:
    """Switches the chosen connectors on or off, all or none of them if one of them is unknown. Where the store fails on the way,
    it is said how far it went."""
    to = request.form.get("to", "")
    if to not in ("on", "off"):
        return refusal("On or off?", "The form says neither “on” nor “off”. Nothing was changed.", 400)
    on = to == "on"
    names = list(dict.fromkeys(request.form.getlist("connector")))
    known = {state.name for state in parts.backend().connectors.states()}
    if unknown := [name for name in names if name not in known]:
        raise NotFound(f"There is no connector '{unknown[0]}'. Nothing was changed.")
    publishing = parts.publishing()
    for number, name in enumerate(names):
        try:
            publishing.set_enabled(name, on)
        except RelayError as error:
            if len(names) == 1:
                raise
            done, rest = ", ".join(names[:number]) or "none", ", ".join(names[number + 1 :]) or "none"
            flash(f"Switching {to} failed at {name}, which may be {to} or not: {error}", "danger")
            flash(f"Switched {to} before it: {done}. Not switched: {rest}.", "warning")
            return redirect(url_for("home.connectors", **_chosen()))
    if not names:
        flash("No connector was chosen; nothing was changed.", "warning")
    else:
        who = f"{names[0]} is" if len(names) == 1 else f"{count(len(names), 'connector')} are"
        flash(f"{who} {'on; what waited is sent.' if on else f'off. {WAITS}'}")
    return redirect(url_for("home.connectors", **_chosen()))


def _chosen() -> dict[str, Any]:
    """What the address narrows the page to."""
    return {key: value for key in Chosen.__struct_fields__ if (value := request.args.get(key, ""))}
