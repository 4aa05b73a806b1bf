"""`/activity`: what is delivered, as it happens, and what came of one attempt."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for

from relay.backends.interfaces import ATTEMPTS_KEPT
from relay.console import parts, timelines
from relay.console.activity_reading import MOST_SUMMED, RESULTS, Asked, asked_of, attempts_of, timelines_of
from relay.console.attempt_reading import MOST_REQUESTS, shown, status_of
from relay.console.happened import took
from relay.console.known import names_of
from relay.console.roles import needs
from relay.domain.errors import NotFound

pages = Blueprint("activity", __name__)


@pages.get("/activity")
@needs("viewer")
def show() -> str:
    backend = parts.backend()
    asked = asked_of(request.args)
    connectors = sorted(state.name for state in backend.connectors.states())
    if asked.connector and asked.connector not in connectors:
        connectors = [*connectors, asked.connector]  # one that is gone has left its attempts
    attempts = attempts_of(backend.reports, asked)
    return render_template(
        "activity.html",
        asked=asked,
        connectors=connectors,
        results=RESULTS,
        spans=timelines.SPANS,
        attempts=attempts,
        names=names_of(backend, [row.report for row in attempts.rows]),
        charts=timelines_of(backend.reports, connectors, asked, parts.now()),
        most_summed=MOST_SUMMED,
        kept=ATTEMPTS_KEPT,
        place=_place,
        stretch=timelines.stretch,
        latency=timelines.latency,
        took=took,
        live=60 if parts.configuration().backend == "google" else 10,
    )


@pages.get("/activity/<attempt_id>")
@needs("viewer")
def attempt(attempt_id: str) -> str:
    backend = parts.backend()
    report = backend.reports.attempt_by_id(attempt_id)
    if report is None or request.args.get("connector", "") not in ("", report.connector):
        raise NotFound(
            f"No attempt {attempt_id} is kept. Of each connector the last {ATTEMPTS_KEPT:,} are, and those with trouble for "
            "seven days."
        )
    return render_template(
        "attempt.html",
        attempt=shown(backend, parts.configuration(), report),
        status_of=status_of,
        took=took,
        most_requests=MOST_REQUESTS,
    )


def _place(asked: Asked, **changes: Any) -> str:
    """The address of this page as it was asked for, with these changes; what is as ever is left out."""
    plain = Asked()
    values = {name: changes.get(name, getattr(asked, name)) for name in asked.__struct_fields__}
    said = {name: value for name, value in values.items() if value is not None and value != getattr(plain, name)}
    return url_for("activity.show", **said)
