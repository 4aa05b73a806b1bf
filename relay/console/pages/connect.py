"""Somebody allows a connector's access in this browser: away to the partner's consent page, and back (`worker.authorization`)."""

from __future__ import annotations

from typing import Any

import msgspec
from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from adapters.contract import Adapter
from relay.connectors.live import live
from relay.console import parts
from relay.console.editing.connecting import draft_to_connect, is_there
from relay.console.roles import needs
from relay.domain.errors import Conflict, DocumentError, NotFound, PartnerError, Refusal
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
    return lead_away(name)


def lead_away(name: str, draft: str = "") -> Response | str:
    """The same for a draft's connector, of whose name nothing runs. draft: its key."""
    try:
        pending = begin(_adapter(name, draft), redirect_uri=_callback(), clock=parts.parts().clock)
    except (Conflict, DocumentError, PartnerError) as error:
        flash(str(error), "warning")
        return _back(name, draft)
    session[_UNDER_WAY] = {"name": name, **({"draft": draft} if draft else {}), **msgspec.to_builtins(pending)}
    return render_template("connect.html", name=name, url=pending.url, callback=pending.redirect_uri, back=_place(name, draft))


@pages.get("/connect/callback")
@needs("admin")
def callback() -> Response:
    """The partner sends the browser back to here."""
    kept: dict[str, Any] | None = session.get(_UNDER_WAY)
    if kept is None:
        flash("Nobody is connecting anything in this browser; begin again.", "warning")
        return redirect(url_for("home.connectors"))
    name, draft = str(kept["name"]), str(kept.get("draft", ""))
    pending = msgspec.convert({key: value for key, value in kept.items() if key not in ("name", "draft")}, Pending)
    if draft and not is_there(draft):
        draft = ""  # published meanwhile: then the access is that of what runs
    try:
        lasting = finish(_adapter(name, draft), pending, request.args, clock=parts.parts().clock)
    except Refusal as refusal:
        flash(refusal.sentence, "warning")  # not the answer to this attempt, which goes on
        return _back(name, draft)
    except NotFound:
        session.pop(_UNDER_WAY, None)
        flash(f"{name} is not connected: meanwhile it was deleted, and nothing of that name runs.", "warning")
        return redirect(url_for("home.connectors"))
    except (Conflict, DocumentError, PartnerError) as error:
        flash(f"{name} is not connected: {error}", "danger")
    else:
        if draft:
            parts.backend().audit.add(by=parts.visitor().name, what="draft connected", subject=name)
        else:
            parts.publishing().connected(name)
        flash(f"{name} is connected." if lasting else _NOT_LASTING.format(name=name), "message" if lasting else "warning")
    session.pop(_UNDER_WAY, None)
    return _back(name, draft)


def _adapter(name: str, draft: str = "") -> Adapter:
    """Raises `Conflict`, `DocumentError`; `NotFound` where there is no such connector, or the draft is gone."""
    connector = draft_to_connect(draft, name) if draft else live(parts.backend().connectors, name)
    return open_to_connect(parts.backend(), parts.parts().clock, connector)


def _callback() -> str:
    """As the partner has to know it. Behind Google's front end the request comes in as plain HTTP."""
    scheme = "https" if parts.configuration().on_cloud_run else request.scheme
    return url_for("connect.callback", _external=True, _scheme=scheme)


def _place(name: str, draft: str = "") -> str:
    if draft:
        return url_for("edit.step", draft=draft, step="configure", _anchor="secrets")
    return url_for("connector.show", name=name, _anchor="secrets")


def _back(name: str, draft: str = "") -> Response:
    return redirect(_place(name, draft))
