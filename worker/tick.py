"""Due holds: looked at all together, again and again. Holds are reconciled, not notified."""

from __future__ import annotations

import uuid

from relay.backends.interfaces import Backend
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.message import VERSION, Message
from worker.catalog import Catalog
from worker.holds import must_hold, running_or_why


def tick(backend: Backend, catalog: Catalog, clock: Clock) -> int:
    """Publishes a resume for every hold that is due or whose reason is gone. Returns how many."""
    now = clock.now()
    due = backend.audiences.due(now)
    if not due:
        return 0
    states = {state.name: state for state in backend.connectors.states()}
    known = {name: running_or_why(catalog, states[name]) for name in {audience.connector for audience in due} & states.keys()}
    resumed = 0
    for audience in due:
        if audience.hold is None or audience.connector not in known:
            continue
        running, why = known[audience.connector]
        if must_hold(states[audience.connector], running, audience, now, why=why) is None:
            resumed += publish_resume(backend, audience, now)
    return resumed


def publish_resume(backend: Backend, audience: Audience, now: float) -> bool:
    """Asks for a turn of this audience's hold, on its own key. False if the hold has changed since the record was read.

    Noted first: a resume that is quick would else be followed by the note that one is on its way. If this process ends in
    between, it is asked for again a minute later.
    """
    if not backend.audiences.mark_asked(audience):
        return False
    message = Message(
        version=VERSION,
        kind="resume",
        connector=audience.connector,
        audience=audience.id,
        request_id=uuid.uuid4().hex,
        received_at=now,
    )
    backend.queue.publish([message])
    return True
