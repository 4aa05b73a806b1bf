"""Somebody allows a connector's access in this browser: away to the partner's consent page, and back (`worker.authorization`)."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from adapters.contract import Adapter
from relay.connectors.live import live
from relay.console import parts
from relay.console.roles import needs
from relay.domain.errors import Conflict, PartnerError, Refusal
from relay.operating.checking import open_to_connect
from worker.authorization import Pending, begin, finish

pages = Blueprint("connect", __name__)

_UNDER_WAY = "connect"
"""Where the session has the attempt. Nobody but this browser gets it, and it cannot be changed there."""

_NOT_LASTING = (
    "{name} has access only until its access token ends, since the partner gave no refresh token. Have the connector ask for one "
    "(the setting authorize_parameters, with many partners access_type: offline and prompt: consent, or a word in its scope), "
    "and then connect it again."
)


@pages.post("/connectors/<name>/connect")
@needs("admin")
def start(name: str) -> Response | str:
    """A page with the way to the partner: a form may not lead to another site."""
    try:
        pending = begin(_adapter(name), redirect_uri=_callback(), clock=parts.parts().clock)
    except (Conflict, PartnerError) as error:
        flash(str(error), "warning")
        return _back(name)
    session[_UNDER_WAY] = {"name": name, **msgspec.to_builtins(pending)}
    return render_template("connect.html", name=name, url=pending.url, callback=pending.redirect_uri)


@pages.get("/connect/callback")
@needs("admin")
def callback() -> Response:
    """The partner sends the browser back to here."""
    kept: dict[str, Any] | None = session.get(_UNDER_WAY)
    if kept is None:
        flash("Nobody is connecting anything in this browser; begin again.", "warning")
        return redirect(url_for("home.connectors"))
    name = str(kept["name"])
    pending = msgspec.convert({key: value for key, value in kept.items() if key != "name"}, Pending)
    try:
        lasting = finish(_adapter(name), pending, request.args, clock=parts.parts().clock)
    except Refusal as refusal:
        flash(refusal.sentence, "warning")  # not the answer to this attempt, which goes on
        return _back(name)
    except (Conflict, PartnerError) as error:
        flash(f"{name} is not connected: {error}", "danger")
    else:
        parts.publishing().connected(name)
        flash(f"{name} is connected." if lasting else _NOT_LASTING.format(name=name), "message" if lasting else "warning")
    session.pop(_UNDER_WAY, None)
    return _back(name)


def _adapter(name: str) -> Adapter:
    return open_to_connect(parts.backend(), parts.parts().clock, live(parts.backend().connectors, name))


def _callback() -> str:
    """As the partner has to know it. Behind Google's front end the request comes in as plain HTTP."""
    scheme = "https" if parts.configuration().on_cloud_run else request.scheme
    return url_for("connect.callback", _external=True, _scheme=scheme)


def _back(name: str) -> Response:
    return redirect(url_for("connector.show", name=name, _anchor="secrets"))
