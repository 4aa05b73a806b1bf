"""Tokens from OAuth, shared through the store: refreshed by one worker under a lease, used by all."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import TypeGuard

from relay.backends.interfaces import Token, Tokens
from relay.connectors.reading_limits import MOST_ANSWER_S, MOST_CONNECT_S
from relay.domain.clock import Clock
from relay.domain.errors import Conflict, StoreUnavailable, TryAgain

PATIENCE_S = 20.0
"""So long one waits for another worker that fetches the token. Shorter than the lease: a partner that is slow to give tokens must
not keep every worker waiting."""

LEASE_S = MOST_CONNECT_S + MOST_ANSWER_S + 30.0
"""Longer than the call that obtains a token can take, whatever the connector's time-outs, with a margin for what they do not
bound: two workers must not use the same refresh token, which can be single-use."""

_EARLY_S = 60.0
_POLL_S = 0.1


class SharedTokens:
    """Fulfils `adapters.contract.TokenSource`."""

    def __init__(self, store: Tokens, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def get(self, name: str, obtain: Callable[[str], tuple[str, float, str]], *, not_token: str = "") -> str:
        """A good access token; see the protocol. Raises what `obtain` raises, `TryAgain` if another worker does not finish or has
        taken over."""
        owner = uuid.uuid4().hex
        give_up_at = self._clock.monotonic() + PATIENCE_S
        while True:
            token = self._store.get(name)
            if self._is_good(token, not_token):
                return token.access
            if self._store.lease(name, owner=owner, for_s=LEASE_S):
                return self._under_lease(name, owner, obtain, not_token)
            if self._clock.monotonic() > give_up_at:
                raise TryAgain("Another worker is still fetching the partner's access token.")
            self._clock.sleep(_POLL_S)

    def _under_lease(
        self, name: str, owner: str, obtain: Callable[[str], tuple[str, float, str]], not_token: str
    ) -> str:
        """Fetches the token, and ends the lease, however that goes."""
        try:
            token = self._store.get(name)
            if self._is_good(token, not_token):
                # Another has refreshed it between the look and the lease; a refresh token may be single-use.
                self._store.release(name, owner=owner)
                return token.access
            access, good_for_s, refresh = obtain(token.refresh if token else "")
            kept = refresh or (token.refresh if token else "")
            self._put(name, Token(access, self._clock.now() + good_for_s, kept), owner)
            return access
        except Exception:
            with suppress(StoreUnavailable):  # then it runs out by itself
                self._store.release(name, owner=owner)
            raise

    def _put(self, name: str, token: Token, owner: str) -> None:
        try:
            self._store.put(name, token, owner=owner)
        except Conflict as conflict:
            # This one was frozen for longer than its lease: the other's token is the one to use.
            raise TryAgain("Another worker has taken over the renewal of the partner's access token.") from conflict

    def _is_good(self, token: Token | None, not_token: str) -> TypeGuard[Token]:
        return token is not None and token.access != not_token and token.expires_at - _EARLY_S > self._clock.now()
