"""What the page shows, read from the back end. No identifier of a person is in it."""

from __future__ import annotations

import msgspec

from relay.backends.interfaces import Backend, QueueDepth
from relay.domain.outcome import Report
from relay.health.concerns import Concern, Held
from relay.health.survey import ConnectorHealth, look
from relay.health.wording import DEPTH_IN_MONITORING

DAY_S = 86400.0
FAILURES = 20
MOST_HOLDS = 200
MOST_CONCERNS = 20


class ConnectorView(msgspec.Struct, frozen=True):
    """One connector. concerns: the first of them, those that need a person before the others; more: how many are left out.
    delivered_day, rejected_day: mutations in the last day."""

    health: ConnectorHealth
    concerns: tuple[Concern, ...]
    more: int
    delivered_day: int
    rejected_day: int


class Overview(msgspec.Struct, frozen=True):
    """The whole page. at: seconds since the epoch. queue: None where it cannot tell; queue_elsewhere: then, where to look. holds:
    those that have waited longest; more_holds: how many are left out."""

    at: float
    queue: QueueDepth | None
    queue_elsewhere: str
    concerns: tuple[Concern, ...]
    connectors: tuple[ConnectorView, ...]
    holds: tuple[Held, ...]
    more_holds: int
    failures: tuple[Report, ...]

    @property
    def acting(self) -> tuple[str, ...]:
        """Names of the connectors that need a person."""
        return tuple(view.health.name for view in self.connectors if any(concern.act for concern in view.health.concerns))


def overview_of(backend: Backend, now: float) -> Overview:
    """Looks at everything; asks no partner. Raises `StoreUnavailable`."""
    health = look(backend, now)
    holds = sorted(health.held, key=lambda one: one.hold.oldest_at or one.hold.since)
    return Overview(
        at=now,
        queue=health.queue,
        queue_elsewhere="" if health.queue else DEPTH_IN_MONITORING,
        concerns=health.concerns,
        connectors=tuple(_connector(backend, one, now) for one in health.connectors),
        holds=tuple(holds[:MOST_HOLDS]),
        more_holds=max(0, len(holds) - MOST_HOLDS),
        failures=tuple(backend.reports.attempts(limit=FAILURES, failed_only=True)),
    )


def _connector(backend: Backend, health: ConnectorHealth, now: float) -> ConnectorView:
    day = backend.reports.totals(health.name, since=now - DAY_S)
    urgent_first = sorted(health.concerns, key=lambda concern: not concern.act)
    return ConnectorView(
        health=health,
        concerns=tuple(urgent_first[:MOST_CONCERNS]),
        more=max(0, len(urgent_first) - MOST_CONCERNS),
        delivered_day=day.get("delivered", 0),
        rejected_day=day.get("rejected", 0),
    )
