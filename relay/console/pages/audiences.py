"""`/audiences`: what the DMP's audiences are at the partner."""

from __future__ import annotations

from typing import cast

from flask import Blueprint, flash, render_template, request

from relay.console import parts
from relay.console.audiences_reading import ROWS, STATUSES, Said, audience_page, audiences_page, said_of
from relay.console.known import named_audience, place_from
from relay.console.pages import audience_making
from relay.console.roles import needs
from relay.domain.audience import Audience, Status
from relay.domain.errors import Conflict, NotFound, PartnerError
from relay.operating.audiences import described

pages = Blueprint("audiences", __name__)
pages.add_url_rule("/audiences/create", view_func=audience_making.create, methods=["GET", "POST"])
pages.add_url_rule("/audiences/link", view_func=audience_making.link, methods=["GET", "POST"])
pages.add_url_rule("/audiences/resync", view_func=audience_making.resync, methods=["GET", "POST"])


@pages.get("/audiences")
@needs("viewer")
def show() -> str:
    given = request.args
    connector, like = given.get("connector") or None, given.get("like", "").strip()
    status = cast(Status, given["status"]) if given.get("status") in STATUSES else None
    after = place_from(given.get("after", ""))
    page = audiences_page(parts.backend(), connector=connector, like=like, status=status, after=after)
    return render_template(
        "audiences.html",
        page=page, connector=connector, like=like, status=status, statuses=STATUSES, after=after, most=ROWS,
    )  # fmt: skip


@pages.get("/audiences/one")
@needs("viewer")
def one() -> str:
    return _one(named_audience(request.args), None)


@pages.post("/audiences/describe")
@needs("operator")
def describe() -> str:
    """Asks the partner, and shows its answer once; nothing is changed."""
    audience = named_audience(request.form)
    try:
        said = said_of(described(parts.backend(), audience, parts.parts().clock))
    except (PartnerError, Conflict, NotFound) as error:
        said = Said(trouble=str(error))
    return _one(audience, said)


def _one(audience: Audience, said: Said | None) -> str:
    if said is not None and said.trouble:
        flash(f"The partner could not be asked: {said.trouble}", "warning")
    page = audience_page(parts.backend(), audience, parts.now())
    return render_template("audience.html", page=page, audience=audience, said=said)
