"""One look at everything: read from the state, without calling a partner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Literal

import msgspec

from adapters.registry import describe
from relay.backends.interfaces import AudienceSummary, Backend, PushQueue, QueueDepth
from relay.connectors.completeness import SecretValues, missing, missing_for_notices
from relay.connectors.live import all_live, live
from relay.domain.audience import Audience
from relay.domain.connector import Connector, ConnectorState, Notify
from relay.domain.errors import NotFound
from relay.health import concerns as about
from relay.health.advice import paused_actions
from relay.health.concerns import Concern
from relay.health.many import WhatWaits, about_old, about_waiting, what_waits

HOUR_S = 3600.0
_LOOKED_AT = 1_000
_NAMED = 100
"""Audiences of a connector that are named, of those that are paused and of those that could not be created."""
_AT_ONCE = 1_000
"""Of them, those of all connectors that are read at once."""
_UNREADABLE = "unreadable"

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
    """How everything stands. queue: None where it cannot tell. concerns: those that belong to no connector. running: the
    connectors that run, switched off or not, by name."""

    queue: QueueDepth | None
    connectors: tuple[ConnectorHealth, ...]
    concerns: tuple[Concern, ...]
    running: dict[str, Connector]

    @property
    def someone_must_act(self) -> bool:
        """Whether any concern asks for someone."""
        all_concerns = [*self.concerns, *(concern for connector in self.connectors for concern in connector.concerns)]
        return any(concern.act for concern in all_concerns)


def look(backend: Backend, now: float) -> Health:
    """Looks at everything, with a number of reads that depends on that of connectors, and not on what they hold. `now`: seconds
    since the epoch."""
    depth = backend.queue.depth()
    states = all_states(backend)
    running = {connector.name: connector for connector in all_live(backend.connectors)}
    seen = _Seen(backend, now)
    waits = {state.name: seen.waits(state) for state in states}
    connectors = tuple(_connector(seen, waits[state.name], running.get(state.name)) for state in states)
    return Health(depth, connectors, tuple(_about_everything(backend, depth, waits, connectors, now)), running)


def health_of(backend: Backend, name: str, now: float) -> ConnectorHealth | None:
    """How one connector stands, without a look at the others; None if there is none of that name."""
    state = next((state for state in all_states(backend) if state.name == name), None)
    if state is None:
        return None
    try:
        connector = live(backend.connectors, name)
    except NotFound:
        connector = None
    seen = _Seen(backend, now, name)
    return _connector(seen, seen.waits(state), connector)


class _Seen:
    """What is read at once for all connectors, or for one.

    unreadable: connectors with mutations of the last hours that could not be read.
    """

    def __init__(self, backend: Backend, now: float, name: str | None = None) -> None:
        self.backend = backend
        self.now = now
        self.secrets = _ReadOnce(backend.secrets)
        self._of_all = name is None
        since = now - HOUR_S
        self.summaries = backend.audiences.summary(name)
        self._paused = _Some(self._of_all, lambda of, limit: backend.audiences.page(of, paused=True, limit=limit))
        self._failed = _Some(self._of_all, lambda of, limit: backend.audiences.page(of, status="failed", limit=limit))
        reports = backend.reports
        self.totals = reports.totals_of_all(since=since) if name is None else {name: reports.totals(name, since=since)}
        skipped = any(totals.get("skipped") for totals in self.totals.values())
        codes = reports.rejection_codes(name, since=since) if skipped else []
        self.unreadable = {one.connector for one in codes if one.code == _UNREADABLE and one.newest_at > since}

    def waits(self, state: ConnectorState) -> WhatWaits:
        """What waits in a connector."""
        audiences = self.backend.audiences
        summary = self.summaries.get(state.name, AudienceSummary())
        if self._of_all and any(one.partly for one in summary.holds.values()):
            summary = audiences.summary(state.name).get(state.name, summary)  # more of it is looked at than beside all others
        return what_waits(audiences, summary, state)

    def failed(self, waits: WhatWaits) -> list[Audience]:
        """Audiences of a connector whose creation failed, some of them."""
        return self._failed.of(waits.state.name) if waits.summary.by_status.get("failed") else []

    def paused(self, connector: str) -> list[Audience]:
        """Its paused ones, some of them."""
        return self._paused.of(connector)


class _ReadOnce:
    """Secrets, each of which several connectors can name."""

    def __init__(self, secrets: SecretValues) -> None:
        self._secrets = secrets
        self._known: dict[str, tuple[str, ...]] = {}

    def get(self, name: str) -> tuple[str, ...]:
        """See `interfaces.Secrets`."""
        if name not in self._known:
            self._known[name] = self._secrets.get(name)
        return self._known[name]


class _Some:
    """Audiences of one kind, up to `_NAMED` of each connector. of_all: many connectors are asked about; then what there is is
    read at once, when first asked for, and connectors apart of which not all was read then.

    read: connector or None for all, at most so many → audiences, those of a connector together
    """

    def __init__(self, of_all: bool, read: Callable[[str | None, int], list[Audience]]) -> None:
        self._of_all = of_all
        self._read = read

    @cached_property
    def _at_once(self) -> tuple[dict[str, list[Audience]], bool]:
        """By connector; and whether these are all."""
        found = self._read(None, _AT_ONCE)
        by_connector: defaultdict[str, list[Audience]] = defaultdict(list)
        for audience in found:
            by_connector[audience.connector].append(audience)
        whole = len(found) < _AT_ONCE
        if not whole:
            del by_connector[found[-1].connector]
        return dict(by_connector), whole

    def of(self, connector: str) -> list[Audience]:
        """Those of a connector."""
        if not self._of_all:
            return self._read(connector, _NAMED)
        found, whole = self._at_once
        if whole or connector in found:
            return found.get(connector, [])[:_NAMED]
        return self._read(connector, _NAMED)


def all_states(backend: Backend) -> list[ConnectorState]:
    """The states of all connectors, those of documents that were never published among them."""
    states = backend.connectors.states()
    known = {state.name for state in states}
    return states + [ConnectorState(name) for name in backend.connectors.documents() if name not in known]


def _about_everything(
    backend: Backend,
    depth: QueueDepth | None,
    waits: Mapping[str, WhatWaits],
    connectors: Sequence[ConnectorHealth],
    now: float,
) -> Iterator[Concern]:
    if not waits:
        yield Concern(False, "no_connector", "There is no connector yet.", "diy connectors apply FILE")
    resumed = [waits[connector.name] for connector in connectors if connector.standing in ("running", "on hold")]
    flowing = [one.summary for one in resumed if one.state.not_before <= now]
    pushed = isinstance(backend.queue, PushQueue)
    if no_worker := about.about_queue(depth) or about.about_overdue(flowing, now, pushed=pushed):
        yield no_worker
    if no_room := about.about_room(depth):
        yield no_room


def _connector(seen: _Seen, waits: WhatWaits, connector: Connector | None) -> ConnectorHealth:
    backend, now, state = seen.backend, seen.now, waits.state
    lacking = _missing(seen.secrets, connector) if connector else []
    totals = seen.totals.get(state.name, {})
    rejected = totals.get("rejected", 0)
    failed = seen.failed(waits)
    concerns = [
        *(about.about_state(state, lacking, now) if connector else [_about_unpublished(backend, state)]),
        *about_waiting(waits, connector),
        *about.about_paused(seen.paused(state.name), state),
        *(about_old(waits, connector, now) if connector else []),
        *about.about_creations(failed, more=waits.summary.by_status.get("failed", 0) - len(failed)),
        *(_about_notice(backend, connector, state, seen.secrets) if connector else []),
        *about.about_rejections(
            state.name, rejected, _unreadable(backend, state.name, now) if state.name in seen.unreadable else 0
        ),
    ]
    return ConnectorHealth(
        name=state.name,
        title=connector.title if connector else "",
        standing=_standing(waits, connector, lacking, now),
        version=state.live,
        delivered=totals.get("delivered", 0),
        rejected=rejected,
        waiting_batches=waits.batches,
        waiting_mutations=waits.mutations,
        oldest_s=max(0.0, now - waits.oldest_at) if waits.oldest_at else 0.0,
        concerns=tuple(concerns),
    )


def _about_notice(backend: Backend, connector: Connector, state: ConnectorState, secrets: SecretValues) -> Iterator[Concern]:
    if backend.notices is None or connector.notify == Notify():
        return
    lacking = list(missing_for_notices(connector, secrets))
    yield from about.about_telling(state, lacking)
    if not lacking and (watch := backend.notices.get(connector.name)):
        yield from about.about_notice(watch, connector.notify)


def _unreadable(backend: Backend, connector: str, now: float) -> int:
    """How many of the newest rejections are mutations of the last hour that could not be read: they count as skipped, as others
    do that nobody needs to know of."""
    newest = backend.reports.rejections(connector, limit=_LOOKED_AT, newest_first=True)
    return sum(1 for _, rejection in newest if rejection.code == _UNREADABLE and rejection.at > now - HOUR_S)


def _missing(secrets: SecretValues, connector: Connector) -> list[str]:
    description = describe(connector.adapter, connector.settings)
    if description is None:
        return [f"This program has no adapter {connector.adapter!r}."]
    return missing(connector, description, secrets)


def _about_unpublished(backend: Backend, state: ConnectorState) -> Concern:
    newest = 0 if "@" in state.name else backend.connectors.newest(state.name)
    return about.about_unpublished(state, newest)


def _standing(waits: WhatWaits, connector: Connector | None, lacking: Sequence[str], now: float) -> Standing:
    state = waits.state
    if connector is None:
        return "not published"
    if not state.enabled:
        return "off"
    if lacking:
        return "incomplete"
    if state.paused or paused_actions(state, connector):
        return "paused"
    return "on hold" if state.not_before > now or waits.all_wait else "running"
