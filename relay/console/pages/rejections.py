"""`/rejections`: what partners refused for good, why, and as CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for

from relay.backends.interfaces import Audit
from relay.console import parts
from relay.console.known import names_of
from relay.console.rejections_reading import DAYS, Asked, asked_of, groups_of, page_of, samples_of
from relay.console.roles import needs
from relay.domain.errors import StoreUnavailable
from relay.health.rejections_csv import Counting, Selection, selected, text_of

pages = Blueprint("rejections", __name__)


@pages.get("/rejections")
@needs("viewer")
def show() -> str:
    backend = parts.backend()
    asked = asked_of(request.args)
    connectors = sorted(state.name for state in backend.connectors.states())
    if asked.selection.connector and asked.selection.connector not in connectors:
        connectors = [*connectors, asked.selection.connector]  # one that is gone has left its rejections
    page = page_of(backend.reports, asked)
    groups, more_groups = groups_of(backend.reports, asked, parts.now(), samples_of(backend.reports, asked))
    return render_template(
        "rejections.html",
        asked=asked,
        chosen=asked.selection,
        connectors=connectors,
        days=DAYS,
        groups=groups,
        more_groups=more_groups,
        page=page,
        names=names_of(backend, [*page.rows, *(one for group in groups for one in group.samples)]),
        place=_place,
        file=url_for("rejections.csv", **_chosen(asked)),
    )


@pages.get("/rejections.csv")
@needs("viewer")
def csv() -> Response:
    """The whole selection, oldest first. It is read while it is sent, and noted in the audit once it has ended."""
    backend = parts.backend()
    selection = asked_of(request.args).selection
    backend.reports.rejections(selection.connector, limit=1)  # a store out of reach is told by a page, not by half a file
    rejections = Counting(selected(backend.reports, selection))
    answer = Response(_noted(rejections, backend.audit, parts.visitor().name, selection), mimetype="text/csv")
    answer.headers.set("Content-Disposition", "attachment", filename=_file_name(selection))
    return answer


def _noted(rejections: Counting, audit: Audit, by: str, selection: Selection) -> Iterator[str]:
    ended = False
    try:
        yield from text_of(rejections)
        ended = True
    finally:
        narrowed = [("audience", selection.audience), ("action", selection.action), ("code", selection.code)]
        of = [f"{name} {value}" for name, value in narrowed if value is not None]
        detail = ", ".join([str(rejections.number), *of, *([] if ended else ["cut short"])])
        with suppress(StoreUnavailable):
            audit.add(by=by, what="export rejections", subject=selection.connector or "all connectors", detail=detail)


def _file_name(selection: Selection) -> str:
    names = [re.sub(r"[^A-Za-z0-9._-]+", "-", value) for value in (selection.connector, selection.code) if value]
    return "-".join(["rejections", *names]) + ".csv"


def _chosen(asked: Asked) -> dict[str, Any]:
    named = {name: getattr(asked.selection, name) for name in asked.selection.__struct_fields__}
    return {name: value for name, value in named.items() if value is not None}


def _place(asked: Asked, **changes: Any) -> str:
    """The address of this page as it was asked for, with these changes; None takes one away."""
    values: dict[str, Any] = {**_chosen(asked), "days": asked.chosen_days, **changes}
    return url_for("rejections.show", **{name: value for name, value in values.items() if value is not None})
