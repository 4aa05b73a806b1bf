"""Logins: access that somebody allowed at the partner for some feeds of a connector, beside the connector's own.

The tokens of each, from OAuth2 with an authorization code, lie under a name of their own that ends as that of the connector's own
tokens does: what was allowed for another client, or at another partner that a connector of this name once had, is never used. A
note under `login.<connector>.<login>` says which name that is, so that they can be found, and forgotten, without a connector that
can be opened. They go when their connector is deleted. Everything else, such as the client's ID and secret, is the connector's.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from relay.backends.interfaces import Backend, Token
from relay.domain.clock import Clock
from relay.domain.errors import CredentialsRefused, TryAgain
from relay.domain.feed import LOGINS, logins_of
from worker.tokens import LEASE_S, SharedTokens, mark_of_dead

_BY_CONSENT = "oauth2.authorization-code."
"""How the names of such tokens begin: see `adapters.authentication.authorization_code`."""

_NOTING_S = 5.0

_Given = tuple[str, float, str]


def token_name(connector: str, login: str, own: str) -> str:
    """Under which its tokens are shared. own: the name of the connector's own ones; also returned where there is no login."""
    return f"{_note_name(connector, login)}.{own.rpartition('.')[2]}" if login else own


def _note_name(connector: str, login: str) -> str:
    return f"{logins_of(connector)}{login}"


class LoginTokens:
    """Fulfils `adapters.contract.TokenSource` for one login of a connector."""

    def __init__(self, tokens: SharedTokens, connector: str, login: str) -> None:
        self._tokens = tokens
        self._connector = connector
        self._login = login

    def get(self, name: str, obtain: Callable[[str], _Given], *, not_token: str = "") -> str:
        """See the protocol. Raises `CredentialsRefused`: `not_connected` where nobody has logged in yet, `invalid_grant` where
        that has ended, once: then it is as if nobody had."""
        if not name.startswith(_BY_CONSENT):
            return self._tokens.get(name, obtain, not_token=not_token)

        def renew(refresh: str) -> _Given:
            if not refresh:
                hint = "Nobody has allowed the access for this login at the partner yet, or it has ended: log in again."
                raise CredentialsRefused(hint, code="not_connected")
            return obtain(refresh)

        own = token_name(self._connector, self._login, name)
        return self._tokens.get(own, renew, not_token=not_token, forget_dead=True)

    def replace(self, name: str, obtain: Callable[[], _Given]) -> bool:
        """See the protocol."""
        its_own = name.startswith(_BY_CONSENT)
        return self._tokens.replace(token_name(self._connector, self._login, name) if its_own else name, obtain)


class Logins:
    """What is stored of them. `own`: see `token_name`. Each method may raise `StoreUnavailable`."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock

    def stored(self, connector: str, login: str, own: str) -> Token | None:
        """Its tokens, if there are any."""
        return self._backend.tokens.get(token_name(connector, login, own))

    def is_known(self, connector: str, login: str, own: str) -> bool:
        """Whether there is a token that can be renewed, or one that is still good."""
        token = self.stored(connector, login, own)
        return token is not None and bool(token.refresh or token.expires_at > self._clock.now())

    def note(self, connector: str, login: str, own: str) -> None:
        """Before its first token is stored: where that will be. One that was allowed for something else is forgotten. Raises
        `TryAgain` while somebody else does the same."""
        tokens, note, owner = self._backend.tokens, _note_name(connector, login), uuid.uuid4().hex
        name, noted = token_name(connector, login, own), tokens.get(note)
        if noted is not None and noted.access == name:
            return
        if not tokens.lease(note, owner=owner, for_s=_NOTING_S):
            raise TryAgain("Somebody else logs in with this login just now.")
        if noted is not None:
            tokens.delete(noted.access)
        tokens.put(note, Token(name, 0.0), owner=owner)

    def adopt(self, connector: str, login: str, own: str, refresh_token: str) -> None:
        """Stores a refresh token that somebody else keeps as well, unless there is one. One that is here may have taken its place
        already: such tokens can be good for one use."""
        stored = self.stored(connector, login, own)
        if not refresh_token or (stored is not None and (stored.refresh or stored.access == mark_of_dead(refresh_token))):
            return
        tokens, name, owner = self._backend.tokens, token_name(connector, login, own), uuid.uuid4().hex
        self.note(connector, login, own)
        if not tokens.lease(name, owner=owner, for_s=LEASE_S):
            return  # somebody is fetching one just now
        if self._can_renew(connector, login, own):
            tokens.release(name, owner=owner)
        else:
            tokens.put(name, Token("", 0.0, refresh_token), owner=owner)

    def forget(self, login: str) -> None:
        """Its tokens, for whatever connector, even one that there is no more. The note stays, for a token that somebody is
        fetching."""
        tokens = self._backend.tokens
        for name in tokens.names(LOGINS):
            connector = name.removeprefix(LOGINS).partition(".")[0]
            noted = tokens.get(name) if name == _note_name(connector, login) else None
            if noted is not None and noted.access.startswith(f"{name}."):
                tokens.delete(noted.access)

    def _can_renew(self, connector: str, login: str, own: str) -> bool:
        token = self.stored(connector, login, own)
        return token is not None and bool(token.refresh)
