"""Tokens from OAuth, shared through the store: refreshed by one worker under a lease, used by all."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple, TypeGuard, TypeVar

from adapters import leash
from relay.backends.interfaces import Token, Tokens
from relay.domain.clock import Clock
from relay.domain.errors import Conflict, CredentialsRefused, StoreUnavailable, TryAgain

PATIENCE_S = 10.0
"""So long one waits for another worker that fetches the token, and never longer than its own time allows: a partner that is slow
to give tokens must not keep every worker waiting."""

LEASE_S = 60.0
"""Longer than the two calls that may be needed to obtain a token can take, whatever the connector's time-outs, with a margin for
what they do not bound: two workers must not use the same refresh token, which can be single-use."""

_EARLY_S = 60.0
_POLL_S = 0.1
_PAUSES_S = (0.2, 1.0)

Obtain = Callable[[str], tuple[str, float, str]]
_Renewed = TypeVar("_Renewed")


class _Fresh(NamedTuple):
    """A token that the partner has just given to the owner of the lease, for the refresh token `used`, which may be dead now."""

    token: Token
    used: str
    owner: str

    @property
    def irreplaceable(self) -> bool:
        return self.token.refresh != self.used


class _Busy(TryAgain):
    """Another worker has the lease just now."""


class SharedTokens:
    """Fulfils `adapters.contract.TokenSource`.

    A refresh token that the partner has given is stored before the access token beside it is used. If the store stays away, it is
    kept here and stored at the next chance; until then its lease is not given up, only ever runs out.
    """

    def __init__(self, store: Tokens, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._unstored: dict[str, _Fresh] = {}
        self._storing = threading.Lock()

    def get(self, name: str, obtain: Obtain, *, not_token: str = "", forget_dead: bool = False) -> str:
        """A good access token; see the protocol. Raises what `obtain` raises, `TryAgain` if another worker does not finish or has
        taken over, `StoreUnavailable`. forget_dead: a refresh token that the partner does not take any more is not kept."""
        owner = uuid.uuid4().hex
        give_up_at = self._clock.monotonic() + min(PATIENCE_S, leash.left_s())
        while True:
            self._store_the_unstored(name)
            token = self._store.get(name)
            if self._is_good(token, not_token):
                return token.access
            if self._store.lease(name, owner=owner, for_s=LEASE_S):
                return self._under_lease(name, owner, lambda: self._renew(name, owner, obtain, not_token, forget_dead))
            self._wait(give_up_at)

    def replace(self, name: str, obtain: Callable[[], tuple[str, float, str]]) -> bool:
        """Stores what `obtain()` gives in place of whatever is there, but for the refresh token if no other comes: a partner may
        give one only the first time. Whether there is one now. Raises what `obtain` raises, `TryAgain` if another worker does not
        finish renewing the one that is there, `StoreUnavailable`."""
        owner = uuid.uuid4().hex
        give_up_at = self._clock.monotonic() + PATIENCE_S
        while not self._store.lease(name, owner=owner, for_s=LEASE_S):
            self._wait(give_up_at)

        def renew() -> bool:
            stored = self._store.get(name)
            used = stored.refresh if stored else ""
            began = self._clock.now()
            access, good_for_s, refresh = obtain()
            fresh = _Fresh(_token(began, access, good_for_s, refresh or used), used, owner)
            self._keep(name, fresh)
            return bool(fresh.token.refresh)

        return self._under_lease(name, owner, renew)

    # the parts of these

    def _wait(self, give_up_at: float) -> None:
        if self._clock.monotonic() >= give_up_at:
            raise TryAgain("Another worker is still fetching the partner's access token.")
        self._clock.sleep(_POLL_S)

    def _under_lease(self, name: str, owner: str, renew: Callable[[], _Renewed]) -> _Renewed:
        """Ends the lease, however that goes; but not while the store holds a refresh token that is dead."""
        try:
            return renew()
        except Exception:
            if name not in self._unstored:
                with suppress(StoreUnavailable):  # then it runs out by itself
                    self._store.release(name, owner=owner)
            raise

    def _renew(self, name: str, owner: str, obtain: Obtain, not_token: str, forget_dead: bool) -> str:
        stored = self._store.get(name)
        if self._is_good(stored, not_token):
            # Another has refreshed it between the look and the lease; a refresh token may be single-use.
            self._store.release(name, owner=owner)
            return stored.access
        used = stored.refresh if stored else ""
        began = self._clock.now()
        try:
            obtained = obtain(used)
        except CredentialsRefused as error:
            if error.code != "invalid_grant":
                raise
            # One that outlived its lease, or somebody who connected anew, may have brought another.
            stored = self._store.get(name)
            if stored is None or stored.refresh == used:
                if used and forget_dead:
                    self._forget_dead(name, used, owner)
                raise
            if self._is_good(stored, not_token):
                self._store.release(name, owner=owner)
                return stored.access
            used = stored.refresh
            began = self._clock.now()
            obtained = obtain(used)
        access, good_for_s, refresh = obtained
        return self._keep(name, _Fresh(_token(began, access, good_for_s, refresh or used), used, owner))

    def _forget_dead(self, name: str, used: str, owner: str) -> None:
        """Nobody else can have stored another: this is under the lease. One that cannot be forgotten now is so the next time."""
        with suppress(StoreUnavailable, Conflict):
            self._store.put(name, Token(mark_of_dead(used), 0.0), owner=owner)

    def _keep(self, name: str, fresh: _Fresh) -> str:
        """Stores the token and ends the lease; gives the access token. Tried a few times: the refresh token may be single-use."""
        for pause_s in (*_PAUSES_S, None):
            try:
                if self._put(name, fresh):
                    return fresh.token.access
                break
            except (StoreUnavailable, _Busy):
                if pause_s is None:
                    if fresh.irreplaceable:
                        self._unstored[name] = fresh
                    raise
                self._clock.sleep(pause_s)
        raise TryAgain("Another worker has taken over the renewal of the partner's access token.", code="token_taken_over")

    def _store_the_unstored(self, name: str) -> None:
        """What could not be stored before is now. Raises if it still cannot, and it is the one of this name."""
        if not self._unstored:
            return
        with self._storing:
            for each, fresh in list(self._unstored.items()):
                try:
                    self._put(each, fresh)
                except (StoreUnavailable, _Busy):
                    if each == name:
                        raise
                else:
                    del self._unstored[each]

    def _put(self, name: str, fresh: _Fresh) -> bool:
        """Whether it was stored: not if another has taken its place. Raises `_Busy` while that is not certain."""
        try:
            self._store.put(name, fresh.token, owner=fresh.owner)
        except Conflict:
            # This one was frozen for longer than its lease, or a write of its own was not confirmed.
            return fresh.irreplaceable and self._put_after_all(name, fresh)
        return True

    def _put_after_all(self, name: str, fresh: _Fresh) -> bool:
        """Unless another came by a token of its own, this one is the only one that is not dead."""
        if not self._store.lease(name, owner=fresh.owner, for_s=LEASE_S):
            raise _Busy("Another worker is fetching the partner's access token.")
        stored = self._store.get(name)
        if stored == fresh.token or (stored.refresh if stored else "") != fresh.used:
            self._store.release(name, owner=fresh.owner)
            return stored == fresh.token
        try:
            self._store.put(name, fresh.token, owner=fresh.owner)
        except Conflict:
            raise _Busy("Another worker is fetching the partner's access token.") from None
        return True

    def _is_good(self, token: Token | None, not_token: str) -> TypeGuard[Token]:
        return token is not None and token.access != not_token and token.expires_at > self._clock.now()


def mark_of_dead(refresh: str) -> str:
    """What stands in the place of an access token after this refresh token was refused for good, so that whoever else keeps it
    cannot bring it back."""
    return f"dead.{hashlib.sha256(refresh.encode()).hexdigest()}"


def _token(began: float, access: str, good_for_s: float, refresh: str) -> Token:
    """For the store, where it expires early: no call may begin with it that arrives too late."""
    return Token(access, began + good_for_s - min(_EARLY_S, good_for_s / 2), refresh)
