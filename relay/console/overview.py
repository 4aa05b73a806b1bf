"""What the page shows, read from the back end. No identifier of a person is in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from adapters.registry import describe
from relay.backends.interfaces import Backend, QueueDepth
from relay.connectors.completeness import missing
from relay.connectors.live import live
from relay.domain.audience import Audience, Hold
from relay.domain.connector import Connector, ConnectorState
from relay.domain.errors import NotFound
from relay.domain.outcome import Report

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
FAILURES = 20

Standing = Literal["on", "off", "on hold", "incomplete", "not published"]


class ConnectorView(msgspec.Struct, frozen=True):
    """One connector. why: sentences about its standing. Counts are outcomes of mutations in the last hour and day."""

    name: str
    title: str
    version: int
    standing: Standing
    why: tuple[str, ...]
    delivered_hour: int
    rejected_hour: int
    delivered_day: int
    rejected_day: int


class HoldView(msgspec.Struct, frozen=True):
    """One audience that waits."""

    connector: str
    audience: str
    name: str
    hold: Hold

    @property
    def reason(self) -> str:
        """In words."""
        return self.hold.reason.replace("_", " ")


class Overview(msgspec.Struct, frozen=True):
    """The whole page. at: seconds since the epoch."""

    at: float
    queue: QueueDepth
    connectors: tuple[ConnectorView, ...]
    holds: tuple[HoldView, ...]
    failures: tuple[Report, ...]


def look(backend: Backend, now: float) -> Overview:
    """Looks at everything; asks no partner. Raises `StoreUnavailable`."""
    audiences = [audience for audience in backend.audiences.all() if not audience.answers_to]
    holds = (
        HoldView(audience.connector, audience.id, audience.name, audience.hold)
        for audience in audiences
        if audience.hold is not None
    )
    return Overview(
        at=now,
        queue=backend.queue.depth(),
        connectors=tuple(
            _connector(backend, state, [audience for audience in audiences if audience.connector == state.name], now)
            for state in backend.connectors.states()
        ),
        holds=tuple(sorted(holds, key=lambda view: view.hold.oldest_at or view.hold.since)),
        failures=tuple(backend.reports.attempts(limit=FAILURES, failed_only=True)),
    )


def _connector(backend: Backend, state: ConnectorState, audiences: Sequence[Audience], now: float) -> ConnectorView:
    try:
        connector = live(backend.connectors, state.name)
    except NotFound:
        connector = None
    lacking = _missing(backend, connector) if connector else ()
    all_wait = bool(audiences) and all(audience.hold and audience.hold.reason != "gathering" for audience in audiences)
    on_hold = all_wait or state.paused or state.not_before > now
    hour = backend.reports.totals(state.name, since=now - HOUR_S)
    day = backend.reports.totals(state.name, since=now - DAY_S)
    return ConnectorView(
        name=state.name,
        title=connector.title if connector else "",
        version=state.live,
        standing=_standing(state, connector, lacking, on_hold=on_hold),
        why=(*lacking, *_why(state, now, all_wait=all_wait)),
        delivered_hour=hour.get("delivered", 0),
        rejected_hour=hour.get("rejected", 0),
        delivered_day=day.get("delivered", 0),
        rejected_day=day.get("rejected", 0),
    )


def _missing(backend: Backend, connector: Connector) -> tuple[str, ...]:
    description = describe(connector.adapter)
    if description is None:
        return (f"This program has no adapter '{connector.adapter}'.",)
    return tuple(missing(connector, description, backend.secrets))


def _standing(state: ConnectorState, connector: Connector | None, lacking: tuple[str, ...], *, on_hold: bool) -> Standing:
    if connector is None:
        return "not published"
    if not state.enabled:
        return "off"
    if lacking:
        return "incomplete"
    return "on hold" if on_hold else "on"


def _why(state: ConnectorState, now: float, *, all_wait: bool) -> Iterator[str]:
    if not state.enabled:
        yield "Switched off; what comes in waits."
    if state.paused:
        yield "Paused by the operator; what comes in waits."
    if state.not_before > now:
        detail = f": {state.not_before_detail.rstrip('.')}" if state.not_before_detail else ""
        reason = state.not_before_reason.replace("_", " ")
        yield f"The partner is left alone for {state.not_before - now:.0f} s ({reason}{detail})."
    if all_wait and state.enabled and not state.paused:
        yield "All of its audiences wait: see the holds below."
    for action, switch in state.actions.items():
        yield f"The action '{action}' is off; " + ("what comes in waits." if switch == "paused" else "its mutations are skipped.")
