"""Views of `/audiences/create`, `/audiences/link` and `/audiences/resync`: made at the partner, linked, filled again."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from relay.console import parts
from relay.console.audience_forms import CreateForm, LinkForm, ResyncForm
from relay.console.known import named_audience
from relay.console.linking import Offer, offer_of
from relay.console.resyncing_reading import resync_page
from relay.console.roles import needs
from relay.domain.audience import Audience
from relay.domain.errors import Conflict, NotFound, PartnerError
from relay.operating import audiences as by_hand
from relay.operating.resyncing import carry_out, require_possible
from relay.operating.sending_again import kept


@needs("admin")
def create() -> Response | str:
    form = CreateForm(_running())
    if form.was_sent():
        try:
            made = by_hand.create(
                parts.backend(), form.connector.data, form.audience.data or "", name=form.audience_name.data or "",
                customer=form.customer.data or None, by=parts.visitor().name, clock=parts.parts().clock,
            )  # fmt: skip
        except (PartnerError, Conflict, NotFound) as error:
            flash(f"It was not created: {error}", "danger")
        else:
            flash(f"{made.name or made.id} is at the partner, as {made.partner_id}.")
            return redirect(_address(made))
    return render_template("audience_create.html", form=form)


@needs("admin")
def link() -> Response | str:
    backend, clock = parts.backend(), parts.parts().clock
    given = request.form if request.method == "POST" else request.args
    form = LinkForm(_running())
    if form.was_sent():
        try:
            linked = by_hand.link(
                backend, form.connector.data, form.audience.data or "", partner_id=form.chosen,
                name=form.audience_name.data or None, by=parts.visitor().name,
            )  # fmt: skip
        except (Conflict, NotFound) as error:
            flash(f"It was not linked: {error}", "danger")
        else:
            flash(f"{linked.name or linked.id} is {linked.partner_id} at the partner from now on. What waited is tried now.")
            return redirect(_address(linked))
    find, offer = given.get("find", ""), Offer()
    if given.get("ask") and given.get("connector"):
        offer = offer_of(backend, given["connector"], find, clock)
        form.offer(offer)
    return render_template("audience_link.html", form=form, offer=offer, find=find)


@needs("operator")
def resync() -> Response | str | tuple[str, int]:
    """To fill a list again is for operators; to have it created anew, for admins."""
    backend, now = parts.backend(), parts.now()
    audience = named_audience(request.values)
    page = resync_page(backend, audience, now, counts=parts.configuration().backend == "embedded")
    form = ResyncForm(page, may_create=parts.visitor().may("admin"))
    if form.was_sent():
        anew = form.how.data == "anew"
        journal = kept(backend, audience.connector, now)
        try:
            require_possible(audience, journal, anew=anew)
            asked = carry_out(backend, journal, audience, anew=anew, by=parts.visitor().name, now=now)
        except Conflict as error:
            flash(f"Nothing was done: {error}", "danger")
        else:
            flash(
                "What the journal has is sent again. It goes on by itself; this page says how far it is."
                if asked
                else "It is created again, empty. Now have the DMP send the whole audience again."
            )
            return redirect(_address(audience))
    return render_template("audience_resync.html", page=page, audience=audience, form=form)


def _address(audience: Audience) -> str:
    return url_for("audiences.one", connector=audience.connector, audience=audience.id)


def _running() -> list[str]:
    return [state.name for state in parts.backend().connectors.states() if state.live]
