"""Whether a turn still stands, asked before it calls the partner: its message may have been handed out again while it runs."""

from __future__ import annotations

from relay.backends.interfaces import Audiences, Turn
from worker.budget import Budget

_SURE_S = 2.0
"""No queue hands a message out again so soon: Pub/Sub waits ten seconds, ours until the lease has run out."""


class Fence:
    """Of one turn. budget: the turn's, whose time began before the turn did."""

    def __init__(self, audiences: Audiences, turn: Turn, budget: Budget) -> None:
        self._audiences = audiences
        self._turn = turn
        self._budget = budget
        self._called = False

    def require(self) -> None:
        """Right before a call. Raises `TurnLost` once another turn has begun, whose calls must come last. Costs a read, but not
        for the first call of a turn that has just begun."""
        if self._called or self._budget.elapsed_s() > _SURE_S:
            self._audiences.require(self._turn)
        self._called = True
