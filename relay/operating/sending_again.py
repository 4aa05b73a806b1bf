"""What a replay and a resync share: how far the journal reaches, and asking for what is in it to be sent again."""

from __future__ import annotations

import uuid

import msgspec

from adapters.registry import describe
from relay.backends.interfaces import Backend
from relay.connectors.live import live
from relay.domain.audience import Replayed
from relay.domain.connector import Connector, ConnectorState
from relay.domain.message import VERSION, Message, Replay
from relay.domain.switches import journal_reaches_to
from relay.health.wording import count, dated

HOW = (
    "is sent again in its order, behind what waits already and in front of what comes from now on, as the connector is set up "
    "now; so in the end each user is what the last change said. What a later change of the same user has taken the place of is "
    "left out."
)
"""Behind the words for what is sent again."""


class Kept(msgspec.Struct, frozen=True):
    """A connector and its journal. reaches_to: since when everything that was accepted is in it, seconds since the epoch; None:
    it is off."""

    connector: Connector
    state: ConnectorState
    reaches_to: float | None


class Asked(msgspec.Struct, frozen=True):
    """A replay of one audience that was put into the queue. behind: the audience's position when that was done; its own comes
    later."""

    audience: str
    request_id: str
    behind: int = 0


def kept(backend: Backend, connector: str, now: float) -> Kept:
    """Raises `NotFound` where there is no such connector, or no version of it is published."""
    running, state = live(backend.connectors, connector), backend.connectors.state(connector)
    reaches_to = journal_reaches_to(state, days=running.retention.journal_days, late_s=backend.journal.late_s, now=now)
    return Kept(running, state, reaches_to)


def off(connector: str) -> str:
    """That nothing was kept, and what to do."""
    return (
        f"The journal of {connector} is off, so nothing was kept that could be sent again. Have the DMP send what is missing. To "
        "keep what comes from now on, set retention.journal in the document: 1d, 7d or 30d."
    )


def with_events(connector: Connector) -> str:
    """What sending again means for its actions that send events; empty if it has none."""
    description = describe(connector.adapter, connector.settings)
    kinds = {one.name: one.kind for one in description.operations} if description else {}
    if any(kinds.get(action.operation) == "event" for action in connector.actions):
        return "Events are sent again too, with the IDs they had; not every partner knows by them that it has them already."
    return ""


def ask(backend: Backend, connector: Connector, audience_id: str, *, since: float, now: float) -> Asked:
    """Puts a replay of this audience into the queue. Raises `StoreUnavailable`."""
    message = Message(
        version=VERSION,
        kind="replay",
        connector=connector.name,
        audience=audience_id,
        request_id=uuid.uuid4().hex,
        received_at=now,
        replay=Replay(since=since),
        journal_days=connector.retention.journal_days,
    )
    audience = backend.audiences.get(connector.name, audience_id)
    backend.queue.publish([message])
    return Asked(audience_id, message.request_id, audience.position if audience is not None else 0)


def progress(replayed: Replayed, now: float) -> str:
    """How far it is, or how it ended."""
    replay = replayed.replay
    numbers = f"{count(replay.sent, 'mutation')} sent again, {replay.overtaken:,} left out"
    since = f"of what was accepted since {dated(replay.since, now)}" if replay.since else "of all that the journal had"
    if replayed.ended_at:
        return f"ended {dated(replayed.ended_at, now)}: {numbers}, {since}"
    return f"under way since {dated(replayed.began_at, now)}: {numbers} until now, {since}"
