"""Tokens from OAuth, shared through the store: refreshed by one worker under a lease, used by all."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from relay.backends.interfaces import Token, Tokens
from relay.domain.clock import Clock
from relay.domain.errors import TryAgain

_LEASE_S = 20.0
_EARLY_S = 60.0
_POLL_S = 0.1


class SharedTokens:
    """Fulfils `adapters.contract.TokenSource`."""

    def __init__(self, store: Tokens, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def get(self, name: str, obtain: Callable[[str], tuple[str, float, str]], *, not_token: str = "") -> str:
        """A good access token; see the protocol. Raises what `obtain` raises, `TryAgain` if another worker does not finish."""
        owner = uuid.uuid4().hex
        give_up_at = self._clock.monotonic() + _LEASE_S
        while True:
            token = self._store.get(name)
            if token and self._is_good(token, not_token):
                return token.access
            if self._store.lease(name, owner=owner, for_s=_LEASE_S):
                token = self._store.get(name)
                if token and self._is_good(token, not_token):
                    # Another has refreshed it between the look and the lease, which this ends; a refresh token may be single-use.
                    self._store.put(name, token, owner=owner)
                    return token.access
                access, good_for_s, refresh = obtain(token.refresh if token else "")
                kept = refresh or (token.refresh if token else "")
                self._store.put(name, Token(access, self._clock.now() + good_for_s, kept), owner=owner)
                return access
            if self._clock.monotonic() > give_up_at:
                raise TryAgain("Another worker is still fetching the partner's access token.")
            self._clock.sleep(_POLL_S)

    def _is_good(self, token: Token, not_token: str) -> bool:
        return token.access != not_token and token.expires_at - _EARLY_S > self._clock.now()
