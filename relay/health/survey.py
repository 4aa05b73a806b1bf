"""One look at everything: read from the state, without calling a partner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from adapters.registry import describe
from relay.backends.interfaces import Backend, PushQueue, QueueDepth
from relay.connectors.completeness import missing
from relay.connectors.live import all_live
from relay.domain.audience import Audience
from relay.domain.connector import Connector, ConnectorState, Notify
from relay.health import concerns as about
from relay.health.advice import paused_actions
from relay.health.concerns import Concern, Held

HOUR_S = 3600.0
_LOOKED_AT = 1_000

Standing = Literal["running", "on hold", "paused", "incomplete", "off", "not published"]
"""`on hold`: it runs, but all of its audiences wait, or its partner is left alone for a while. `paused`: by an operator, it or an
action of it, so that everything waits."""


class ConnectorHealth(msgspec.Struct, frozen=True):
    """How one connector stands. delivered, rejected: in the last hour. oldest_s: age of the oldest waiting mutation."""

    name: str
    title: str
    standing: Standing
    version: int
    delivered: int
    rejected: int
    waiting_batches: int
    waiting_mutations: int
    oldest_s: float
    concerns: tuple[Concern, ...]


class Health(msgspec.Struct, frozen=True):
    """How everything stands. queue: None where it cannot tell. concerns: those that belong to no connector. held: all audiences
    that wait."""

    queue: QueueDepth | None
    connectors: tuple[ConnectorHealth, ...]
    concerns: tuple[Concern, ...]
    held: tuple[Held, ...]

    @property
    def someone_must_act(self) -> bool:
        """Whether any concern asks for someone."""
        all_concerns = [*self.concerns, *(concern for connector in self.connectors for concern in connector.concerns)]
        return any(concern.act for concern in all_concerns)


def look(backend: Backend, now: float) -> Health:
    """Looks at everything. `now`: seconds since the epoch."""
    depth = backend.queue.depth()
    states = all_states(backend)
    running = {connector.name: connector for connector in all_live(backend.connectors)}
    audiences: defaultdict[str, list[Audience]] = defaultdict(list)
    for audience in backend.audiences.all():
        audiences[audience.connector].append(audience)
    connectors = tuple(_connector(backend, state, running.get(state.name), audiences[state.name], now) for state in states)
    return Health(
        depth,
        connectors,
        tuple(_about_everything(backend, depth, states, connectors, audiences, now)),
        tuple(one for state in states for one in _held(audiences[state.name], state)),
    )


def all_states(backend: Backend) -> list[ConnectorState]:
    """The states of all connectors, those of documents that were never published among them."""
    states = backend.connectors.states()
    known = {state.name for state in states}
    return states + [ConnectorState(name) for name in backend.connectors.documents() if name not in known]


def _about_everything(
    backend: Backend,
    depth: QueueDepth | None,
    states: Sequence[ConnectorState],
    connectors: Sequence[ConnectorHealth],
    audiences: dict[str, list[Audience]],
    now: float,
) -> Iterator[Concern]:
    if not states:
        yield Concern(False, "no_connector", "There is no connector yet.", "diy connectors apply FILE")
    resumed = {connector.name for connector in connectors if connector.standing in ("running", "on hold")}
    resumable = (
        one
        for state in states
        if state.name in resumed and state.not_before <= now
        for one in _held(audiences[state.name], state)
    )
    pushed = isinstance(backend.queue, PushQueue)
    if no_worker := about.about_queue(depth) or about.about_overdue(resumable, now, pushed=pushed):
        yield no_worker
    if no_room := about.about_room(depth):
        yield no_room


def _held(audiences: Iterable[Audience], state: ConnectorState) -> list[Held]:
    return [Held(audience, audience.hold, state) for audience in audiences if audience.hold]


def _connector(
    backend: Backend, state: ConnectorState, connector: Connector | None, audiences: Sequence[Audience], now: float
) -> ConnectorHealth:
    lacking = _missing(backend, connector) if connector else []
    held = _held(audiences, state)
    totals = backend.reports.totals(state.name, since=now - HOUR_S)
    rejected = totals.get("rejected", 0)
    concerns = [
        *(about.about_state(state, lacking, now) if connector else [_about_unpublished(backend, state)]),
        *about.about_holds(held, state, connector),
        *about.about_paused(audiences, state),
        *(about.about_old_holds(held, state, connector, now) if connector else []),
        *about.about_creations(audiences),
        *(_about_notice(backend, connector) if connector else []),
        *about.about_rejections(state.name, rejected, _unreadable(backend, state.name, now) if totals.get("skipped") else 0),
    ]
    return ConnectorHealth(
        name=state.name,
        title=connector.title if connector else "",
        standing=_standing(state, connector, lacking, audiences, now),
        version=state.live,
        delivered=totals.get("delivered", 0),
        rejected=rejected,
        waiting_batches=sum(one.hold.batches for one in held),
        waiting_mutations=sum(one.hold.items for one in held),
        oldest_s=max((now - one.hold.oldest_at for one in held if one.hold.oldest_at), default=0.0),
        concerns=tuple(concerns),
    )


def _about_notice(backend: Backend, connector: Connector) -> Iterator[Concern]:
    if backend.notices is not None and connector.notify != Notify() and (watch := backend.notices.get(connector.name)):
        yield from about.about_notice(watch, connector.notify)


def _unreadable(backend: Backend, connector: str, now: float) -> int:
    """How many of the newest rejections are mutations of the last hour that could not be read: they count as skipped, as others
    do that nobody needs to know of."""
    newest = backend.reports.rejections(connector, limit=_LOOKED_AT, newest_first=True)
    return sum(1 for _, rejection in newest if rejection.code == "unreadable" and rejection.at > now - HOUR_S)


def _missing(backend: Backend, connector: Connector) -> list[str]:
    description = describe(connector.adapter, connector.settings)
    if description is None:
        return [f"This program has no adapter {connector.adapter!r}."]
    return missing(connector, description, backend.secrets)


def _about_unpublished(backend: Backend, state: ConnectorState) -> Concern:
    newest = 0 if "@" in state.name else backend.connectors.versions(state.name)[-1].number
    return about.about_unpublished(state, newest)


def _standing(
    state: ConnectorState, connector: Connector | None, lacking: Sequence[str], audiences: Sequence[Audience], now: float
) -> Standing:
    if connector is None:
        return "not published"
    if not state.enabled:
        return "off"
    if lacking:
        return "incomplete"
    if state.paused or paused_actions(state, connector):
        return "paused"
    return "on hold" if state.not_before > now or _all_wait(audiences) else "running"


def _all_wait(audiences: Sequence[Audience]) -> bool:
    """Whether all of them do, other than to gather. A record that only remembers an answer to the DMP is none."""
    real = [audience for audience in audiences if not audience.answers_to]
    return bool(real) and all(audience.hold and audience.hold.reason != "gathering" for audience in real)
