"""The operator's page: how the connectors stand, what waits and why, what failed last. It shows, and changes nothing."""

from __future__ import annotations

import hmac
import threading
from typing import TYPE_CHECKING

from flask import Flask, Response, render_template, request

from relay.backends import open_backend
from relay.backends.interfaces import Backend
from relay.configuration import LOCAL_CONSOLE_PASSWORD, LOOPBACK, Configuration, refuse_known_console_password
from relay.console import wording
from relay.console.overview import overview_of
from relay.domain.clock import Clock, SystemClock
from relay.domain.errors import RelayError

if TYPE_CHECKING:
    from relay.console.identity import ProxyIdentity

PROXY_HEADER = "X-Goog-IAP-JWT-Assertion"

_POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


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
    for_this_machine = configuration.console_password == LOCAL_CONSOLE_PASSWORD
    now = clock or SystemClock()
    if proxy is None and configuration.iap_audience:
        from relay.console.identity import ProxyIdentity

        proxy = ProxyIdentity(configuration.iap_audience, now)
    opened = _Opened(configuration, backend)
    # functions-framework keeps /static for itself.
    app = Flask(__name__, static_url_path="/assets")
    app.add_template_filter(wording.moment)
    app.add_template_filter(wording.number)
    app.add_template_filter(wording.commands)
    app.add_template_global(wording.relative)
    app.jinja_env.globals["looks_again_s"] = _looks_again_s(configuration)

    @app.before_request
    def let_in() -> Response | None:
        if proxy is not None:
            # The proxy keeps the header of Basic authentication for itself.
            known = proxy.email(request.headers.get(PROXY_HEADER, ""))
            return None if known else Response("The console is behind Identity-Aware Proxy: open it at its own address.", 401)
        return ask_for_password()

    def ask_for_password() -> Response | None:
        # The server may listen on more addresses than HOST says, if it was told so on its command line.
        if for_this_machine and request.remote_addr not in LOOPBACK:
            return Response("The console has the password that everybody knows, and answers only to its own machine.", 403)
        given = request.authorization.password if request.authorization else None
        if given is not None and hmac.compare_digest(given.encode(), configuration.console_password.encode()):
            return None
        return Response("Log in with any name and the console's password.", 401, {"WWW-Authenticate": 'Basic realm="DIY Relay"'})

    @app.after_request
    def protect(response: Response) -> Response:
        response.headers.update(_HEADERS)
        return response

    @app.errorhandler(RelayError)
    def explain(error: RelayError) -> tuple[str, int]:
        return render_template("trouble.html", sentence=str(error)), 503

    @app.get("/")
    def overview() -> str:
        return render_template("overview.html", overview=overview_of(opened.get(), now.now()))

    return app


def _looks_again_s(configuration: Configuration) -> int:
    """Seconds between two looks of an open page. On Google each one reads up to some hundred records, which are billed."""
    return 60 if configuration.backend == "google" else 10


class _Opened:
    """The back end, opened when it is first needed: the server forks before that."""

    def __init__(self, configuration: Configuration, backend: Backend | None) -> None:
        self._configuration = configuration
        self._backend = backend
        self._lock = threading.Lock()

    def get(self) -> Backend:
        with self._lock:
            if self._backend is None:
                self._backend = open_backend(self._configuration, create=False)
            return self._backend
