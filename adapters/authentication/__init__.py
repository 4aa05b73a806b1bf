"""How a partner knows who calls: one module per kind. An adapter picks one and asks it before every call.

Nothing here is loaded before it is asked for: the libraries behind OAuth2 and JWT come with their modules.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from adapters.contract import Account, Credentials, Field, HttpRequest
from relay.domain.errors import CredentialsRefused

TOKEN_ANSWER_S = 10.0
"""For the answer of a call that fetches a token, whatever the connector's time-outs are, since other workers wait for it. Such a
call connects within 5 seconds (`adapters.client.OWN_CONNECT_S`)."""


class Authentication(Protocol):
    """One way to authenticate, for one connector.

    headers    names of the headers that carry credentials: shown without their values
    query      names of the parameters of the query that do
    renewable  a 401 may mean that a token is no longer good: the call is worth repeating once with `credentials(…, refused=…)`
    """

    @property
    def headers(self) -> tuple[str, ...]: ...

    @property
    def query(self) -> tuple[str, ...]: ...

    @property
    def renewable(self) -> bool: ...

    def credentials(self, request: HttpRequest, *, refused: Credentials | None = None) -> Credentials:
        """For this request, which is sent exactly as it is. May call the partner for a token. `refused`: those of the call that
        the partner has just answered with 401; their token is not used again.

        Raises `CredentialsRefused` (`secret_missing` while a secret is not set) and, from a call for a token, `TryAgain` and
        `Misconfigured`; `StoreUnavailable` where tokens are kept.
        """
        ...


class Secret(msgspec.Struct, frozen=True):
    """A secret's value, empty while it is not set, under the title that people know it by."""

    title: str
    value: str = ""

    @classmethod
    def of(cls, account: Account, field: Field) -> Secret:
        """The account's value for this field of the adapter's description."""
        return cls(field.title, account.secrets.get(field.name, ""))

    def required(self) -> str:
        """The value. Raises `CredentialsRefused` if there is none."""
        if not self.value:
            raise CredentialsRefused(f"The secret '{self.title}' is not set.", code="secret_missing")
        return self.value

    def unusable(self, why: str) -> CredentialsRefused:
        """What to raise where the value cannot be what it is used for; `why` ends the sentence and repeats nothing of it."""
        return CredentialsRefused(f"The secret '{self.title}' {why}.", code="secret_unusable")

    def __repr__(self) -> str:
        return f"Secret({self.title!r}, {'set' if self.value else 'not set'})"


class NoAuthentication:
    """The partner asks for none, or the adapter's requests carry what is needed."""

    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    renewable = False

    def credentials(self, request: HttpRequest, *, refused: Credentials | None = None) -> Credentials:  # noqa: ARG002 - of the protocol
        """Empty."""
        return Credentials()


class Combined:
    """Several at once: a token and a signature of the body, a key for the gateway and a user for what stands behind it."""

    def __init__(self, *parts: Authentication) -> None:
        self._parts = parts
        self.headers = tuple(name for part in parts for name in part.headers)
        self.query = tuple(name for part in parts for name in part.query)
        self.renewable = any(part.renewable for part in parts)
        if sum(part.renewable for part in parts) > 1:
            raise ValueError("Of authentications used together only one can have a token that is renewed.")

    def credentials(self, request: HttpRequest, *, refused: Credentials | None = None) -> Credentials:
        """Those of all parts; of a name that two of them give, the later one's."""
        headers: dict[str, str] = {}
        query: dict[str, str] = {}
        token = ""
        for part in self._parts:
            found = part.credentials(request, refused=refused if part.renewable else None)
            headers.update(found.headers)
            query.update(found.query)
            token = token or found.token
        return Credentials(headers, query, token)


def bearer(token: str, *, renewable: bool = False) -> Credentials:
    """The token as RFC 6750, 2.1 sends it."""
    return Credentials({"Authorization": f"Bearer {token}"}, token=token if renewable else "")


