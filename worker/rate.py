"""A connector's rate as the worker keeps it: every call to the account is asked for, and a little is left unused."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from adapters import leash
from relay.backends.interfaces import Connectors, Turn
from relay.domain.clock import Clock
from relay.domain.connector import Connector, ConnectorState, RateLimits
from relay.domain.errors import NotFound, TryAgain
from relay.domain.own_pace import RATE_USED_UP

FURTHER_PATIENCE_S = 5.0
"""So long a call waits for the rate that belongs to a piece of work that has begun."""

_MARGIN = 0.06
_LARGEST_MARGIN_S = 1.0

_LEAST_GOOD_FOR_S = 0.02

_SLOW_ANSWER_S = 1.0
"""No answer of a store takes so long in the ordinary way."""


def margin_s(rate: RateLimits) -> float:
    """How much longer than the partner's own the period is that is asked for.

    Calls are counted here when they are let go, and by the partner when they arrive. One that was long on its way and one that is
    fast are closer together there than they were here: without a margin, a partner that counts exactly would refuse the last one.
    """
    return min(_MARGIN * rate.per_s, _LARGEST_MARGIN_S)


class RateUsedUp(TryAgain):
    """The rate has no room soon enough for the first call of a piece of work; the partner was not called."""

    code = "rate_used_up"


class _Admitted(NamedTuple):
    """A call with so many items, and when that was, by both clocks: one of them may stand still while a machine is frozen."""

    items: int
    at: float
    at_monotonic: float


class Rate:
    """One connector's, for the calls of one piece of work: the first is asked for by `ask`, and each that begins by `begin`.

    turn: the one that has to stand for the call; both raise `TurnLost` once another has begun. None: that need not be asked.
    """

    def __init__(self, store: Connectors, connector: Connector, clock: Clock) -> None:
        rate = connector.limits.rate
        self._store = store
        self._name = connector.name
        self._rate = replace(rate, per_s=rate.per_s + margin_s(rate))
        self._good_for_s = max(_LEAST_GOOD_FOR_S, margin_s(rate) / 2)
        self._clock = clock
        self._admitted: _Admitted | None = None
        self._has_begun = False

    def ask(self, items: int, turn: Turn | None = None) -> float:
        """Asks for one call with so many items: 0 and it is counted, or the seconds to wait before asking again."""
        self._has_begun = False
        wait_s = self._charge(items, turn)
        self._admitted = None if wait_s > 0 else _Admitted(items, self._clock.now(), self._clock.monotonic())
        return wait_s

    def put_off(self) -> ConnectorState | None:
        """The connector's state, if there is a moment before which none of its calls may begin, whatever the rate would allow."""
        try:
            state = self._store.state(self._name)
        except NotFound:
            return None
        return state if state.not_before > self._clock.now() else None

    def begin(self, turn: Turn | None = None) -> bool:
        """Right before each call. Whether it had to be asked for: it is a further one, or was asked for too long ago.

        It waits for the rate then. If that takes too long a further call goes on without: what has begun is finished, since a
        rate that has no room for all of its calls would keep it from ever coming to an end. Raises `TryAgain` where the partner
        has asked to come back later, and `RateUsedUp` where nothing has begun yet.
        """
        admitted, self._admitted = self._admitted, None
        if not (admitted and self._age_s(admitted) <= self._good_for_s):
            self._wait_for_room(admitted.items if admitted else 0, turn)
            self._has_begun = True
            return True
        self._has_begun = True
        return False

    def _wait_for_room(self, items: int, turn: Turn | None) -> None:
        give_up_at = self._clock.monotonic() + FURTHER_PATIENCE_S
        while (wait_s := self._charge(items, turn)) > 0:
            if state := self.put_off():
                raise TryAgain("The partner asked to come back later.", after_s=state.not_before - self._clock.now())
            if wait_s >= leash.left_s() or self._clock.monotonic() + wait_s > give_up_at:
                if self._has_begun:
                    return
                raise RateUsedUp(RATE_USED_UP, after_s=wait_s)
            self._clock.sleep(wait_s)

    def _charge(self, items: int, turn: Turn | None) -> float:
        """As `ask`. What was let go long before its answer was there, since the store was slow or this process frozen, is asked
        for again, once."""
        wait_s = 0.0
        for _ in range(2):
            asked = _Admitted(items, self._clock.now(), self._clock.monotonic())
            wait_s = self._store.admit(self._name, self._rate, items=items, turn=turn)
            if wait_s > 0 or self._age_s(asked) <= _SLOW_ANSWER_S:
                break
        return wait_s

    def _age_s(self, admitted: _Admitted) -> float:
        return max(self._clock.now() - admitted.at, self._clock.monotonic() - admitted.at_monotonic)
