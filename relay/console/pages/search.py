"""`/search`: straight to a connector, an action, an audience, a setting; a page, or as you type."""

from __future__ import annotations

from flask import Blueprint, current_app, jsonify, render_template, request
from werkzeug.wrappers import Response

from adapters.registry import describe
from relay.console import parts, wording
from relay.console.roles import needs
from relay.console.search_reading import ConnectorIndex, Found, Results, search
from relay.console.ways import page

pages = Blueprint("search", __name__)

SUGGESTED = 8
SHOWN = 100

_PLACES = {"connector": "", "action": "actions", "setting": "settings", "secret": "secrets"}
"""Kind → the part of the connector's page."""


@pages.route("/search", methods=["GET", "POST"])
@needs("viewer")
def show() -> str | Response:
    """Posted, since what somebody types may be an identifier, and addresses are in logs. `q`: what was typed. `part=1`: the first
    results alone, as `{"results": [{"kind", "title", "detail", "url"}], "note"}`."""
    typed = request.form.get("q", "")
    index: ConnectorIndex = current_app.extensions.setdefault("diy-relay-search", ConnectorIndex())
    suggests = request.form.get("part") == "1"
    limit = SUGGESTED if suggests else SHOWN
    results = search(parts.backend(), index, describe, typed, pages=dict(wording.navigation()), limit=limit)
    if suggests:
        return jsonify(results=[_told(one) for one in results.found], note=_note(results))
    places = [(one, place_of(one)) for one in results.found]
    # What looks like somebody is not repeated on the page.
    return render_template("search.html", typed="" if results.person else typed.strip(), results=results, places=places)


def place_of(found: Found) -> str:
    """Its address; empty where no page shows it."""
    if found.kind == "page":
        return page(found.endpoint)
    if found.kind == "audience":
        return page("audiences.one", connector=found.connector, audience=found.audience)
    place = _PLACES[found.kind]
    return page("connector.show", name=found.connector, **({"_anchor": place} if place else {}))


def _told(found: Found) -> dict[str, str]:
    return {"kind": found.kind, "title": found.title, "detail": found.detail, "url": place_of(found)}


def _note(results: Results) -> str:
    if results.person:
        return "To look for a person, use the page Find a user: nothing is looked for here."
    if not results.found:
        return "Nothing is called so."
    return "There is more: press Enter for all." if results.more or results.more_audiences else ""
