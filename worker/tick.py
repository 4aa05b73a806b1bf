"""Due holds: looked at all together, again and again. Holds are reconciled, not notified."""

from __future__ import annotations

from relay.backends.interfaces import Backend
from relay.domain.clock import Clock
from relay.domain.errors import NotFound
from worker.catalog import Catalog, Running
from worker.holds import must_hold, reason_may_be_gone
from worker.turn import publish_resume


def tick(backend: Backend, catalog: Catalog, clock: Clock) -> int:
    """Publishes a resume for every hold that is due or whose reason is gone. Returns how many."""
    now = clock.now()
    due = backend.audiences.due(now)
    if not due:
        return 0
    states = {state.name: state for state in backend.connectors.states()}
    resumed = 0
    for audience in due:
        state = states.get(audience.connector)
        if state is None:
            continue
        running: Running | None
        try:
            running = catalog.get(state)
        except NotFound:
            running = None
        if reason_may_be_gone(audience, must_hold(state, running, audience, now)):
            publish_resume(backend, audience, now)
            resumed += 1
    return resumed
