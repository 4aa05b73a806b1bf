"""The console: the operator's pages.

`guard` lets people in, `parts` has what every page works with, `pages/` has a module for each page: a blueprint whose views read
with a reader beside them and render a template of the same name. A view says which role it needs (`roles.needs`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Flask, request
from flask_bootstrap import Bootstrap5
from flask_wtf.csrf import CSRFError, CSRFProtect
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from relay.backends.interfaces import Backend
from relay.configuration import Configuration, refuse_known_console_password
from relay.console import assets, wording
from relay.console import parts as console_parts
from relay.console.guard import Guard, refusal
from relay.console.login import login_pages
from relay.console.pages import PAGES
from relay.console.parts import Parts
from relay.console.sessions import SESSION_H, Sessions
from relay.console.throttle import Throttle
from relay.domain.clock import Clock, SystemClock
from relay.domain.errors import ConfigurationError, NotFound, RelayError, StoreUnavailable
from relay.wide_log import log, place_of

if TYPE_CHECKING:
    from relay.console.identity import ProxyIdentity

_SAID = {
    404: ("There is no such page", "The address may be mistyped, or the page has moved."),
    405: ("That cannot be done here", "Nothing was changed. Load the page again, and use its buttons."),
    413: ("That is too much at once", "Nothing was changed. A connector's document may have 256 KB."),
}
"""Titles and sentences for what Flask itself refuses."""


def create_app(
    configuration: Configuration,
    backend: Backend | None = None,
    clock: Clock | None = None,
    *,
    proxy: ProxyIdentity | None = None,
) -> Flask:
    """The console as a Flask application. The back end is opened at the first request where none is given.

    proxy: who says who is there, instead of a password. Where none is given, the configuration says whether there is one.

    Raises `ConfigurationError` where the page could be reached from elsewhere with the password that everybody knows.
    """
    refuse_known_console_password(configuration)
    given_clock = clock or SystemClock()
    if proxy is None and configuration.iap_audience:
        from relay.console.identity import ProxyIdentity

        proxy = ProxyIdentity(configuration.iap_audience, given_clock)
    parts = Parts(configuration, given_clock, backend)
    # functions-framework keeps /static for itself.
    app = Flask(__name__, static_url_path="/assets")
    app.config.update(
        BOOTSTRAP_SERVE_LOCAL=True,
        SESSION_COOKIE_NAME="diy-relay",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=configuration.on_cloud_run,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=SESSION_H),
        # The cookie is the whole session: an answer that changes nothing in it must not undo what another one has changed.
        SESSION_REFRESH_EACH_REQUEST=False,
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        MAX_CONTENT_LENGTH=2 * 1024 * 1024,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.session_interface = Sessions(parts)
    console_parts.give(app.extensions, parts)
    guard = Guard(parts, proxy)
    guard.watch(app)
    CSRFProtect(app)
    Bootstrap5(app)
    assets.number(app)
    wording.teach(app)
    app.register_blueprint(login_pages(guard, Throttle(given_clock)))
    for pages in PAGES:
        app.register_blueprint(pages)
    _explain_errors(app)
    return app


def _explain_errors(app: Flask) -> None:
    """Whatever goes wrong is a page, for strangers as well."""

    @app.errorhandler(RelayError)
    def explain(error: RelayError) -> tuple[str, int]:
        if isinstance(error, NotFound):
            return refusal("There is no such thing", str(error), 404)
        if isinstance(error, StoreUnavailable | ConfigurationError):
            return refusal("That does not work at the moment", str(error), 503)
        return refusal("That cannot be done", str(error), 409)

    @app.errorhandler(CSRFError)
    def expired(_: CSRFError) -> tuple[str, int]:
        sentence = "This form is too old, or was not made by this console. Nothing was changed. Load the page again."
        return refusal("Please try again", sentence, 400)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> tuple[str, int] | Response:
        if error.code is None or error.code < 400:
            return Response(error.get_body(), error.code or 500, error.get_headers())
        return refusal(*_SAID.get(error.code, (error.name, "Nothing was changed.")), error.code)

    @app.errorhandler(Exception)
    def broken(error: Exception) -> tuple[str, int]:
        log("console_failed", "ERROR", error=type(error).__name__, at=place_of(error), page=request.endpoint)
        return refusal("The console has a fault", "This page could not be made. The console's log says where it went wrong.", 500)
