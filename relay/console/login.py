"""Logging in with the console's password, and out again."""

from __future__ import annotations

import math

from flask import Blueprint, abort, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response
from wtforms import PasswordField, StringField, SubmitField
from wtforms.validators import DataRequired, Length

from relay.configuration import LOCAL_CONSOLE_PASSWORD
from relay.console.forms import Form
from relay.console.guard import Guard
from relay.console.parts import parts
from relay.console.roles import needs, open_to_everybody
from relay.console.throttle import Throttle
from relay.wide_log import log


class LoginForm(Form):
    """`name` is for the audit log only."""

    name = StringField("Your name, for the log of changes", validators=[Length(max=100)], render_kw={"autocomplete": "username"})
    password = PasswordField(
        "Password",
        validators=[DataRequired("Type the console's password.")],
        render_kw={"autocomplete": "current-password", "autofocus": True},
    )
    submit = SubmitField("Log in")


def login_pages(guard: Guard, throttle: Throttle) -> Blueprint:
    """The login of an application that this guard watches."""
    pages = Blueprint("login", __name__)

    @pages.route("/login", methods=["GET", "POST"])
    @open_to_everybody
    def login() -> Response | str | tuple[str, int]:
        if not guard.asks_for_password:
            abort(404)
        place = _own_place(request.args.get("next", ""))
        if request.method == "GET" and guard.has_session():
            return redirect(place)
        form = LoginForm()
        status = 200
        if form.was_sent():
            origin = _origin()
            wait_s = throttle.begin(origin)
            if wait_s > 0:
                form.password.errors = (f"Too many wrong passwords. Try again in {math.ceil(wait_s)} seconds.",)
                status = 429
            elif guard.is_password(form.password.data or ""):
                throttle.succeeded(origin)
                guard.log_in((form.name.data or "").strip() or "console")
                return redirect(place)
            else:
                log("console_login_refused", "WARNING", origin=origin)
                form.password.errors = ("This is not the console's password.",)
                status = 401
        known = parts().configuration.console_password == LOCAL_CONSOLE_PASSWORD
        return render_template("login.html", form=form, known_password=LOCAL_CONSOLE_PASSWORD if known else ""), status

    @pages.post("/logout")
    @needs("viewer")
    def logout() -> Response:
        session.clear()
        return redirect(url_for("login.login"))

    return pages


def _origin() -> str:
    """Whose tries are counted together: on Cloud Run the one whom Google's front end names last, since all come through it."""
    return (request.access_route[-1] if parts().configuration.on_cloud_run else request.remote_addr) or ""


def _own_place(place: str) -> str:
    """Where to go on: a path of this console, never another site. Browsers take a backslash for a slash, and skip tabs and the
    like."""
    inside = place.startswith("/") and not place.startswith("//") and "\\" not in place and place.isprintable()
    return place if inside else url_for("home.connectors")
