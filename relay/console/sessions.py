"""Signed session cookies: their key is a secret of the installation, made when it is first needed."""

from __future__ import annotations

import secrets as chance
from typing import TYPE_CHECKING

from flask import Flask, Request, has_request_context, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface

from relay.console.parts import Parts
from relay.domain.errors import RelayError

if TYPE_CHECKING:
    from relay.backends.interfaces import Secrets

KEY_NAME = "console-session"
"""Name of the secret. Who deletes it, or sets it anew, ends all sessions."""

SESSION_H = 12
"""How long a session lasts from its login, however much it is used."""


class Sessions(SecureCookieSessionInterface):
    """Without a key, as long as the store cannot be read, there is no session, and `Guard` says why.

    The key is asked for with every request (a small file, or what Secret Manager said within the last minute), so that processes
    that made one at the same moment agree on the last one by themselves.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def get_cookie_secure(self, app: Flask) -> bool:
        """Sent over HTTPS only, where it came over HTTPS."""
        return super().get_cookie_secure(app) or (has_request_context() and request.is_secure)

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        try:
            app.secret_key = session_key(self._parts.backend().secrets)
        except RelayError:
            if not app.secret_key:
                return None
        return super().open_session(app, request)


def session_key(secrets: Secrets) -> str:
    """The one that all processes share. Raises `StoreUnavailable`."""
    found = secrets.get(KEY_NAME)
    if not found:
        secrets.set(KEY_NAME, chance.token_urlsafe(32))
        found = secrets.get(KEY_NAME)  # somebody else may have made one, too: the last one counts
    return found[0]
