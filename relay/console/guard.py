"""Who gets in: every request is checked here before a page sees it, and every answer gets its headers."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, current_app, g, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from relay.configuration import LOCAL_CONSOLE_PASSWORD, LOOPBACK
from relay.console.parts import Parts
from relay.console.roles import RoleList, Visitor, role_for
from relay.console.sessions import SESSION_H
from relay.domain.errors import StoreUnavailable

if TYPE_CHECKING:
    from relay.console.identity import ProxyIdentity

PROXY_HEADER = "X-Goog-IAP-JWT-Assertion"

_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Bootstrap's own pictures are inside its style sheet
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_STATIC = ("static", "bootstrap.static")

FILES_KEPT_S = 365 * 24 * 3600
"""Their addresses change with them (`assets`)."""

_ONLY_HERE = (
    "The console has the password that everybody knows, and answers only to its own machine, at http://127.0.0.1 or http://localhost.\n"
    "With a password of its own (CONSOLE_PASSWORD) it can be opened from elsewhere.\n"
)


class Guard:
    """proxy: who says who is there, instead of a password."""

    def __init__(self, parts: Parts, proxy: ProxyIdentity | None) -> None:
        self._parts = parts
        self._configuration = parts.configuration
        self._proxy = proxy
        self._roles = RoleList(parts.configuration.console_roles)
        self._for_this_machine = proxy is None and parts.configuration.console_password == LOCAL_CONSOLE_PASSWORD

    def watch(self, app: Flask) -> None:
        """From now on every request passes here."""
        app.before_request(self._let_in)
        app.after_request(self._protect)

    def is_password(self, given: str) -> bool:
        """In constant time."""
        return hmac.compare_digest(given.encode(), self._configuration.console_password.encode())

    @property
    def asks_for_password(self) -> bool:
        return self._proxy is None

    def log_in(self, name: str) -> None:
        """The visitor has given the password."""
        session.clear()
        session.permanent = True
        session["name"], session["proof"], session["since"] = name, self._proof(), self._parts.clock.now()

    def has_session(self) -> bool:
        """Whether the visitor has given the password that is asked for now, at most `SESSION_H` ago.

        The cookie is all that there is of a session. Logging out takes it from the browser; a copy made before stays good until
        its time is up, the password is changed, or the key is (`sessions.KEY_NAME`)."""
        since = session.get("since")
        if not isinstance(since, int | float) or self._parts.clock.now() >= since + SESSION_H * 3600:
            return False
        return hmac.compare_digest(str(session.get("proof", "")).encode(), self._proof().encode())

    def _let_in(self) -> Response | tuple[str, int] | None:
        # The server may listen on more addresses than HOST says, if it was told so on its command line. And by the name in the
        # address: another site's name that leads to this machine would make its scripts ours, and they know the password as well.
        if self._for_this_machine and not (request.remote_addr in LOOPBACK and _host() in LOOPBACK):
            return Response(_ONLY_HERE, 403, content_type="text/plain; charset=utf-8")
        if request.endpoint in _STATIC:
            return None
        if not current_app.secret_key:
            self._parts.backend()  # raises why, where there is no state at all
            raise StoreUnavailable("The console cannot read its own secrets at the moment. Please load the page again.")
        view = current_app.view_functions.get(request.endpoint) if request.endpoint else None
        needed = role_for(view) if view else "viewer"  # what does not exist is not told to strangers either
        if needed == "everybody":
            return None
        found = self._by_proxy() if self._proxy else self._by_session()
        if not isinstance(found, Visitor):
            return found
        g.visitor = found
        if needed is None or not found.may(needed):
            return render_template("forbidden.html", needed=needed), 403
        return None

    def _by_proxy(self) -> Visitor | tuple[str, int]:
        assert self._proxy is not None  # noqa: S101 - asked for where there is one
        email = self._proxy.email(request.headers.get(PROXY_HEADER, ""))
        if email is None:
            return refusal("Not let in", "The console is behind Identity-Aware Proxy: open it at its own address.", 401)
        role = self._roles.role_of(email)
        if role is None:
            sentence = "You have no role in this console. Whoever runs it can give you one (CONSOLE_ROLES)."
            return refusal("Not let in", sentence, 403)
        return Visitor(email, role)

    def _by_session(self) -> Visitor | Response | tuple[str, int]:
        if self.has_session():
            return Visitor(str(session.get("name") or "console"), "admin")
        if request.method not in ("GET", "HEAD"):
            sentence = "Your session has ended. Nothing was changed. Load the page again, and log in."
            return refusal("Please log in again", sentence, 401)
        return redirect(url_for("login.login", next=request.full_path.rstrip("?")))

    def _proof(self) -> str:
        """Of the password that is asked for now: a session from before it was changed is none any more."""
        key = str(current_app.secret_key).encode()
        return hmac.new(key, self._configuration.console_password.encode(), "sha256").hexdigest()

    def _protect(self, response: Response) -> Response:
        response.headers.update(_HEADERS)
        is_file = request.endpoint in _STATIC and response.status_code in (200, 304)
        response.headers["Cache-Control"] = f"private, max-age={FILES_KEPT_S}, immutable" if is_file else "no-store"
        return response


def refusal(title: str, sentence: str, status: int) -> tuple[str, int]:
    """A page that says why not; good for those who are not logged in, too."""
    return render_template("trouble.html", title=title, sentence=sentence), status


def _host() -> str:
    """The name in the address, without its port."""
    return (urlsplit(f"//{request.host}").hostname or "") if request.host else ""
