"""Credentials that are sent as they are: a user with a password, a token, a key."""

from __future__ import annotations

import base64

from adapters.authentication import Secret, bearer
from adapters.contract import Credentials, HttpRequest


class Basic:
    """User and password, as RFC 7617 sends them, in UTF-8. The user may be a setting; then its title is the setting's."""

    headers: tuple[str, ...] = ("Authorization",)
    query: tuple[str, ...] = ()
    renewable = False

    def __init__(self, user: Secret, password: Secret) -> None:
        self._user = user
        self._password = password

    def credentials(self, request: HttpRequest, *, refused: Credentials | None = None) -> Credentials:  # noqa: ARG002 - of the protocol
        """`Authorization: Basic …`."""
        user, password = self._user.required(), self._password.required()
        if ":" in user:
            raise self._user.unusable("has a colon in it, which the name of a user cannot have")
        return Credentials({"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()})


class Bearer:
    """A token that was made by hand at the partner."""

    headers: tuple[str, ...] = ("Authorization",)
    query: tuple[str, ...] = ()
    renewable = False

    def __init__(self, token: Secret) -> None:
        self._token = token

    def credentials(self, request: HttpRequest, *, refused: Credentials | None = None) -> Credentials:  # noqa: ARG002 - of the protocol
        """`Authorization: Bearer …`."""
        return bearer(self._token.required())


class ApiKey:
    """A key in one header, after an optional prefix (`Token `, blank included), or in one parameter of the query."""

    renewable = False

    def __init__(self, key: Secret, *, header: str = "", query: str = "", prefix: str = "") -> None:
        if bool(header) == bool(query):
            raise ValueError("A key is sent either in a header or in the query.")
        self._key = key
        self._prefix = prefix
        self.headers = (header,) if header else ()
        self.query = (query,) if query else ()

    def credentials(self, request: HttpRequest, *, refused: Credentials | None = None) -> Credentials:  # noqa: ARG002 - of the protocol
        """The one header, or the one parameter."""
        value = self._prefix + self._key.required()
        return Credentials(dict.fromkeys(self.headers, value), dict.fromkeys(self.query, value))
