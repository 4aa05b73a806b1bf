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

    def asked(self) -> Turn | None:
        """Right before a call is asked for: the turn that has to stand for it, since the calls of one that has begun meanwhile
        must come last. None for the first call of a turn that has just begun, which does."""
        is_sure = not self._called and self._budget.elapsed_s() <= _SURE_S
        self._called = True
        return None if is_sure else self._turn

    def require(self) -> None:
        """Raises `TurnLost` once another turn has begun. Costs a read."""
        self._audiences.require(self._turn)
