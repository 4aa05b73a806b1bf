"""`/holds`: what waits outside the queue, why, and the ways to let it go on, make it wait, or drop it."""

from __future__ import annotations

import math
from typing import cast

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from relay.console import parts
from relay.console.holds_reading import ROWS, holds_page, one_hold
from relay.console.known import Place, known_audience, named_audience, place_from, place_text
from relay.console.resuming import Scope, progress_of, scope_of_all, scope_of_places
from relay.console.roles import needs
from relay.domain.audience import HOLD_REASONS, Audience, HoldReason
from relay.health.wording import count
from relay.operating.holding import Discarded, Holding, Resumed, Shown

pages = Blueprint("holds", __name__)

_LARGEST = 10**10
"""Of the numbers in an address. As seconds since the epoch it is a day that can still be written."""


@pages.get("/holds")
@needs("viewer")
def show() -> str:
    connector, reason = request.args.get("connector") or None, _reason(request.args.get("reason", ""))
    after = place_from(request.args.get("after", ""))
    page = holds_page(parts.backend(), connector=connector, reason=reason, after=after)
    return render_template(
        "holds.html", page=page, connector=connector, reason=reason, reasons=HOLD_REASONS, after=after, most=ROWS
    )


@pages.get("/holds/one")
@needs("viewer")
def one() -> str:
    audience = named_audience(request.args)
    if audience.hold is None:
        return render_template("hold_gone.html", audience=audience)
    return render_template("hold.html", audience=audience, one=one_hold(parts.backend(), audience))


@pages.post("/holds/resume")
@needs("operator")
def resume() -> Response:
    """Chosen audiences (`place`, several), or all of a connector, of a reason, of both."""
    backend, now, holding = parts.backend(), parts.now(), _holding()
    chosen = list(filter(None, map(place_from, request.form.getlist("place"))))
    connector, reason = request.form.get("connector") or None, _reason(request.form.get("reason", ""))
    if len(chosen) > ROWS:
        abort(400)
    if chosen:
        scope = scope_of_places(backend, chosen, now)
        resumed = holding.resume_audiences([known_audience(backend, *place) for place in chosen])
    elif request.form.get("all") and (connector or reason):
        scope = scope_of_all(backend, connector, reason, now)
        names = [connector] if connector else _holding_for(cast(HoldReason, reason))
        done = [holding.resume(name, reason=reason) for name in names]
        resumed = Resumed(sum(one.holds for one in done))
    else:
        flash("Choose at least one audience to resume.", "warning")
        return redirect(url_for("holds.show", connector=connector, reason=reason))
    flash(f"{count(resumed.holds, 'hold')} will be tried now." if resumed.holds else "Nothing waited there any more.")
    if not resumed.holds:
        return redirect(url_for("holds.show", connector=connector))
    return redirect(_address(scope))


@pages.get("/holds/progress")
@needs("viewer")
def progress() -> str:
    return render_template("holds_progress.html", progress=progress_of(parts.backend(), _scope()))


@pages.post("/holds/pause")
@needs("operator")
def pause() -> Response:
    audience = named_audience(request.form)
    _holding().pause(audience.connector, audience.id)
    flash(f"{audience.name or audience.id} is paused: what comes in is accepted and waits. Nothing is lost.")
    return redirect(url_for("audiences.one", connector=audience.connector, audience=audience.id))


@pages.post("/holds/unpause")
@needs("operator")
def unpause() -> Response:
    """Ends an audience's pause; what waits, if anything does, is tried now."""
    audience = named_audience(request.form)
    resumed = _holding().resume_audience(audience)
    more = f" {count(resumed.holds, 'hold')} will be tried now." if resumed.holds else ""
    flash(f"{audience.name or audience.id} is no longer paused.{more}")
    return redirect(url_for("audiences.one", connector=audience.connector, audience=audience.id))


@pages.route("/holds/discard", methods=["GET", "POST"])
@needs("operator")
def discard() -> Response | str | tuple[str, int]:
    """Asks twice: this page is the first time, and what must be typed there the second. Only what the page told is discarded."""
    audience = named_audience(request.values)
    if audience.hold is None:
        return render_template("hold_gone.html", audience=audience)
    if request.method == "GET":
        return _discard_page(audience)
    if request.form.get("typed", "").strip() != audience.id:
        return _discard_page(audience, wrong=True), 400
    shown = _shown()
    dropped = _holding().discard(audience.connector, audience.id, shown=shown) if shown else Discarded(0, 0)
    if not dropped.batches:
        return _discard_page(named_audience(request.values), changed=True), 409
    flash(f"{count(dropped.batches, 'batch', 'batches')} discarded. What was in them is among the rejections.")
    if dropped.left:
        joined = count(dropped.left, "batch that was", "batches that were")
        flash(f"{joined} not on the page when it was shown: kept, and on hold still.", "info")
    if dropped.replays:
        what = f"{count(dropped.replays, 'replay')} among them"
        flash(f"{what}: what had not been sent again is in the journal still, and not among the rejections.", "info")
    return redirect(url_for("rejections.show", connector=audience.connector, audience=audience.id))


def _discard_page(audience: Audience, *, wrong: bool = False, changed: bool = False) -> str:
    """With what waits just now, which is what will be discarded: the number is read before the moment, so that whatever joins
    between is none of it."""
    if audience.hold is None:
        return render_template("hold_gone.html", audience=audience)
    return render_template(
        "hold_discard.html", audience=audience, hold=audience.hold, shown_at=parts.now(), wrong=wrong, changed=changed
    )


def _shown() -> Shown | None:
    """When the page was shown and how many batches it told; None: the form does not say, or nothing that can be."""
    shown_at, batches = request.form.get("shown_at", -1.0, float), request.form.get("batches", 0, int)
    good = math.isfinite(shown_at) and 0 < shown_at <= parts.now() and batches > 0
    return Shown(shown_at, batches) if good else None


def _holding() -> Holding:
    return Holding(parts.backend(), parts.visitor().name, parts.parts().clock)


def _holding_for(reason: HoldReason) -> list[str]:
    """The connectors in which something waits for this reason."""
    return sorted(name for name, one in parts.backend().audiences.summary().items() if reason in one.holds)


def _reason(text: str) -> HoldReason | None:
    return next((reason for reason in HOLD_REASONS if reason == text), None)


def _address(scope: Scope) -> str:
    """What `_scope` reads back."""
    return url_for(
        "holds.progress",
        at=int(scope.at) + 1,
        batches=scope.batches,
        others=scope.others or None,
        place=[place_text(place) for place in scope.places],
        connector=scope.connector,
        reason=scope.reason,
    )


def _scope() -> Scope:
    """From the address, which anybody may have changed: it only says what is looked at."""
    given = request.args
    places = tuple(filter(None, map(place_from, given.getlist("place")[:ROWS])))
    number = {name: min(_LARGEST, max(0, given.get(name, 0, type=int))) for name in ("at", "batches", "others")}
    return Scope(
        float(number["at"]), number["batches"], _distinct(places), given.get("connector") or None,
        _reason(given.get("reason", "")), number["others"],
    )  # fmt: skip


def _distinct(places: tuple[Place, ...]) -> tuple[Place, ...]:
    return tuple(dict.fromkeys(places))
