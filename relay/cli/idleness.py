"""That nobody works on what a command waits for: said once, with the way to have it done."""

from __future__ import annotations

from collections.abc import Iterable

from relay.backends.interfaces import PushQueue
from relay.cli.session import Session
from relay.domain.audience import Audience
from relay.health.advice import due_at
from relay.health.concerns import OVERDUE_S

_STILL_S = 5.0
"""A worker takes what it can take at once, and looks at holds when they are due."""


class Idleness:
    """Looks as often as the command does, and says it when nothing has been worked on for some seconds."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._since: float | None = None
        self._said = False

    def look(self, connector: str, waiting: Iterable[Audience]) -> None:
        """waiting: the audiences that the command waits for."""
        if self._said:
            return
        now = self._session.clock.monotonic()
        if not self._is_idle(connector, waiting):
            self._since = None
        elif self._since is None:
            self._since = now
        elif now - self._since >= _STILL_S:
            self._said = True
            if isinstance(self._session.backend.queue, PushQueue):
                self._session.note("Nothing works on it: what is due is not tried again. To see why: diy status")
            else:
                self._session.note("Nothing works on it: no worker runs. To start one, in another terminal: diy worker")

    def _is_idle(self, connector: str, waiting: Iterable[Audience]) -> bool:
        """Whether something could be done now, and nobody does it."""
        depth = self._session.backend.queue.depth()
        if depth is not None and depth.messages:
            return depth.takeable and not depth.leased
        patience_s = OVERDUE_S if isinstance(self._session.backend.queue, PushQueue) else 0.0
        state = self._session.backend.connectors.state(connector)
        latest = self._session.now - patience_s
        dues = [due_at(one, one.hold, state) for one in waiting if one.hold is not None]
        return state.not_before <= latest and any(due is not None and due <= latest for due in dues)
