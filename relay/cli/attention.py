"""What needs someone, and what is worth knowing: read from the state, without calling a partner."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Literal

import msgspec

from adapters.registry import describe
from relay.backends.interfaces import Backend, QueueDepth
from relay.cli.advice import ADVICE, hold_reason, needs_someone, what_to_do
from relay.cli.output import count, duration
from relay.connectors.completeness import missing
from relay.connectors.live import all_live
from relay.domain.audience import Audience, Hold
from relay.domain.connector import Connector, ConnectorState

HOUR_S = 3600.0

UNTOUCHED_S = 30.0
"""A queue whose oldest message is older than this, while none is being handled, has no worker."""

OVERDUE_S = 120.0
"""A hold is resumed within a minute of its due time; twice that and nobody looks at holds."""

Standing = Literal["running", "off", "paused", "incomplete", "not published"]


class Concern(msgspec.Struct, frozen=True):
    """One thing to know.

    act: someone must do something. kind: a stable word for scripts. do: how; empty where nothing is asked.
    """

    act: bool
    kind: str
    what: str
    do: str = ""


class ConnectorHealth(msgspec.Struct, frozen=True):
    """How one connector stands. delivered, rejected: in the last hour. oldest_s: age of the oldest waiting mutation."""

    name: str
    standing: Standing
    version: int
    delivered: int
    rejected: int
    waiting_batches: int
    waiting_mutations: int
    oldest_s: float
    concerns: tuple[Concern, ...]


class Health(msgspec.Struct, frozen=True):
    """How everything stands. `concerns`: those that belong to no connector."""

    queue: QueueDepth
    connectors: tuple[ConnectorHealth, ...]
    concerns: tuple[Concern, ...]

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
    connectors = tuple(_connector(backend, state, running.get(state.name), now) for state in states)
    concerns = []
    if not states:
        concerns.append(Concern(False, "no_connector", "There is no connector yet.", "diy connectors apply FILE"))
    if no_worker := queue_concern(depth) or _overdue_concern(backend, states, connectors, now):
        concerns.append(no_worker)
    return Health(depth, connectors, tuple(concerns))


def all_states(backend: Backend) -> list[ConnectorState]:
    """The states of all connectors, those of documents that were never published among them."""
    states = backend.connectors.states()
    known = {state.name for state in states}
    return states + [ConnectorState(name) for name in backend.connectors.documents() if name not in known]


def queue_concern(depth: QueueDepth) -> Concern | None:
    """That no worker takes from the queue, if so."""
    if not depth.messages or depth.leased or depth.oldest_s <= UNTOUCHED_S:
        return None
    waiting = f"{count(depth.messages, 'message')} in the queue, the oldest for {duration(depth.oldest_s)}"
    return Concern(True, "no_worker", f"No worker takes what waits: {waiting}.", "diy worker")


def _overdue_concern(
    backend: Backend, states: Sequence[ConnectorState], connectors: Sequence[ConnectorHealth], now: float
) -> Concern | None:
    """That no worker looks at holds, if so."""
    running = {connector.name for connector in connectors if connector.standing == "running"}
    overdue = [
        audience
        for state in states
        if state.name in running and state.not_before <= now and "paused" not in state.actions.values()
        for audience in backend.audiences.all(state.name)
        if _overdue(audience, now)
    ]
    if not overdue:
        return None
    what = f"No worker tries again what waits: {count(len(overdue), 'hold')} overdue by more than {duration(OVERDUE_S)}."
    return Concern(True, "no_worker", what, "diy worker")


def _overdue(audience: Audience, now: float) -> bool:
    hold = audience.hold
    if hold is None or hold.due_at is None or audience.paused:
        return False
    return hold.due_at < now - OVERDUE_S and hold.asked_at < now - OVERDUE_S


def _connector(backend: Backend, state: ConnectorState, connector: Connector | None, now: float) -> ConnectorHealth:
    lacking = _missing(backend, connector) if connector else []
    audiences = backend.audiences.all(state.name)
    holds = [(audience, audience.hold) for audience in audiences if audience.hold]
    totals = backend.reports.totals(state.name, since=now - HOUR_S)
    rejected = totals.get("rejected", 0)
    oldest_s = max((now - hold.oldest_at for _, hold in holds if hold.oldest_at), default=0.0)
    concerns = [
        *(_about_state(state, lacking) if connector else [_about_unpublished(backend, state)]),
        *_about_holds(holds, connector, now),
        *_about_audiences(audiences),
    ]
    if rejected:
        what = f"{count(rejected, 'mutation')} rejected in the last hour."
        concerns.append(Concern(False, "rejections", what, f"diy rejections list {shlex.quote(state.name)}"))
    return ConnectorHealth(
        name=state.name,
        standing=_standing(state, connector, lacking),
        version=state.live,
        delivered=totals.get("delivered", 0),
        rejected=rejected,
        waiting_batches=sum(hold.batches for _, hold in holds),
        waiting_mutations=sum(hold.items for _, hold in holds),
        oldest_s=oldest_s,
        concerns=tuple(concerns),
    )


def _missing(backend: Backend, connector: Connector) -> list[str]:
    description = describe(connector.adapter)
    if description is None:
        return [f"This program has no adapter {connector.adapter!r}."]
    return missing(connector, description, backend.secrets)


def _standing(state: ConnectorState, connector: Connector | None, lacking: Sequence[str]) -> Standing:
    if connector is None:
        return "not published"
    if not state.enabled:
        return "off"
    if lacking:
        return "incomplete"
    return "paused" if state.paused else "running"


def _about_unpublished(backend: Backend, state: ConnectorState) -> Concern:
    if "@" in state.name:
        return Concern(False, "not_published", "The version that runs has no such environment.")
    newest = backend.connectors.versions(state.name)[-1].number
    do = f"diy connectors publish {shlex.quote(state.name)} {newest}"
    return Concern(False, "not_published", "No version of it is published.", do)


def _about_state(state: ConnectorState, lacking: Sequence[str]) -> list[Concern]:
    name = shlex.quote(state.name)
    concerns = []
    for sentence in lacking:
        what, command, arguments = sentence.partition(": diy ")  # sentences about secrets end with the command that helps
        do = f"diy {arguments}" if command else "complete the document: diy connectors apply FILE"
        concerns.append(Concern(state.enabled, "incomplete", f"It does not run: {what.rstrip('.')}.", do))
    if not state.enabled:
        concerns.append(Concern(False, "off", "It is off; what comes in waits.", f"diy connectors enable {name}"))
    if state.paused:
        concerns.append(Concern(False, "paused", "It is paused; what comes in waits.", f"diy holds resume {name}"))
    for action, switch in state.actions.items():
        effect = "what comes in waits" if switch == "paused" else "its mutations are skipped"
        what = f"The action {action!r} is off; {effect}."
        concerns.append(Concern(False, "action_off", what, f"diy actions enable {name} {shlex.quote(action)}"))
    return concerns


def _about_holds(holds: Sequence[tuple[Audience, Hold]], connector: Connector | None, now: float) -> list[Concern]:
    concerns = []
    retention = connector.retention if connector else None
    for audience, hold in holds:
        reason = hold_reason(audience, hold)
        waiting = f"{count(hold.batches, 'batch', 'batches')} of audience {audience.id} wait"
        if needs_someone(audience, hold):
            detail = f" ({hold.detail.rstrip('.')})" if hold.detail else ""
            what = f"{waiting}: {ADVICE[reason].meaning}{detail}."
            concerns.append(Concern(True, f"hold_{reason}", what, what_to_do(audience, hold, connector)))
        if retention and hold.oldest_at and hold.oldest_at < now - retention.warning_s:
            what = (
                f"{waiting}, the oldest for {duration(now - hold.oldest_at)} ({reason}); "
                f"at {duration(retention.holds_s)} they become rejections."
            )
            show = f"diy holds show {shlex.quote(audience.connector)} {shlex.quote(audience.id)}"
            do = what_to_do(audience, hold, connector) or show
            concerns.append(Concern(True, "old_hold", what, do))
    return concerns


def _about_audiences(audiences: Sequence[Audience]) -> list[Concern]:
    concerns = []
    for audience in audiences:
        if audience.status != "failed":
            continue
        what = f"The audience {audience.id} could not be created at the partner: {audience.error or 'no reason is on record'}"
        do = (
            f"create it again: diy audiences create {shlex.quote(audience.connector)} {shlex.quote(audience.id)} --name NAME; "
            f"or name an existing one: diy audiences link {shlex.quote(audience.connector)} {shlex.quote(audience.id)} PARTNER_ID"
        )
        concerns.append(Concern(True, "creation_failed", what, do))
    return concerns
