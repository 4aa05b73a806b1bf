"""What `diy replay` and `diy audiences resync` share: how far the journal reaches, asking for a replay, following it."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from adapters.registry import describe
from relay.cli.lazy import SOMEONE_MUST_ACT
from relay.cli.output import iso, moment, show_json, show_table
from relay.cli.session import Session
from relay.connectors.live import live
from relay.domain.audience import Audience, Replayed
from relay.domain.connector import Connector, ConnectorState
from relay.domain.message import VERSION, Message, Replay
from relay.domain.switches import journal_reaches_to
from relay.health.advice import hold_reason, meaning
from relay.health.wording import count, duration

_LOOK_S = 0.5
_SAY_AGAIN_S = 10.0

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


class Ended(msgspec.Struct, frozen=True):
    """A replay that is over. replayed: what came of it; None: not known, since another one that was behind it has begun, and
    there is but one record."""

    replayed: Replayed | None


def kept(session: Session, connector: str) -> Kept:
    """Raises `NotFound` where there is no such connector, or no version of it is published."""
    backend = session.backend
    running, state = live(backend.connectors, connector), backend.connectors.state(connector)
    reaches_to = journal_reaches_to(
        state, days=running.retention.journal_days, late_s=backend.journal.late_s, now=session.now
    )
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


def ask(session: Session, connector: Connector, audience_id: str, *, since: float) -> Asked:
    """Puts a replay of this audience into the queue. Raises `StoreUnavailable`."""
    message = Message(
        version=VERSION,
        kind="replay",
        connector=connector.name,
        audience=audience_id,
        request_id=uuid.uuid4().hex,
        received_at=session.now,
        replay=Replay(since=since),
        journal_days=connector.retention.journal_days,
    )
    audience = session.backend.audiences.get(connector.name, audience_id)
    session.backend.queue.publish([message])
    return Asked(audience_id, message.request_id, audience.position if audience is not None else 0)


def finish(session: Session, connector: str, asked: Sequence[Asked], *, wait: bool) -> None:
    """Shows what was asked for; with `wait`, when all of it has been sent again, and what came of it. Exits with 1 if some of it
    was dropped on its way."""
    ended = _wait(session, connector, asked) if wait else {}
    if session.as_json:
        show_json([_as_json(connector, one, ended.get(one.request_id)) for one in asked])
    elif not wait:
        click.echo(f"Asked for. It goes on by itself: diy audiences show {connector} AUDIENCE says how far it is.")
    else:
        show_table(
            ["audience", "sent again", "left out", "took"],
            [[one.audience, *_result(ended[one.request_id])] for one in asked],
            empty="Nothing was sent again.",
        )
    if wait and None in ended.values():
        raise click.exceptions.Exit(SOMEONE_MUST_ACT)


def _result(ended: Ended | None) -> list[str | None]:
    if ended is None:
        return ["dropped, before it was through", None, None]
    if ended.replayed is None:
        return ["yes; another replay followed, so how many is not known", None, None]
    done = ended.replayed
    return [f"{done.replay.sent:,}", f"{done.replay.overtaken:,}", duration(done.ended_at - done.began_at)]


def progress(replayed: Replayed, now: float) -> str:
    """How far it is, or how it ended."""
    replay = replayed.replay
    numbers = f"{count(replay.sent, 'mutation')} sent again, {replay.overtaken:,} left out"
    since = f"of what was accepted since {moment(replay.since, now)}" if replay.since else "of all that the journal had"
    if replayed.ended_at:
        return f"ended {moment(replayed.ended_at, now)}: {numbers}, {since}"
    return f"under way since {moment(replayed.began_at, now)}: {numbers} until now, {since}"


def progress_as_json(replayed: Replayed | None) -> dict[str, Any] | None:
    """The same for scripts; None if nothing was ever sent again."""
    if replayed is None:
        return None
    replay = replayed.replay
    return {
        "request_id": replayed.request_id,
        "since": iso(replay.since),
        "began_at": iso(replayed.began_at),
        "ended_at": iso(replayed.ended_at),
        "sent": replay.sent,
        "overtaken": replay.overtaken,
    }


def _as_json(connector: str, asked: Asked, ended: Ended | None) -> dict[str, Any]:
    return {
        "connector": connector,
        "audience": asked.audience,
        "request_id": asked.request_id,
        "replay": progress_as_json(ended.replayed if ended is not None else None),
    }


def _wait(session: Session, connector: str, asked: Sequence[Asked]) -> dict[str, Ended | None]:
    """By request; None for one that was dropped."""
    session.note("It goes on by itself: Ctrl-C ends only the waiting.")
    ended: dict[str, Ended | None] = {}
    behind = {one.request_id: one.behind for one in asked}
    seen: set[str] = set()
    said: dict[str, tuple[str, float]] = {}
    while True:
        for one in asked:
            if one.request_id in ended:
                continue
            is_queued = _may_be_queued(session)  # before the record is read: what leaves the queue is in it then
            audience = session.backend.audiences.get(connector, one.audience)
            last = audience.replayed if audience is not None else None
            replayed = last if last is not None and last.request_id == one.request_id else None
            is_followed = last is not None and replayed is None and last.replay.until > behind[one.request_id]
            if replayed is not None:
                seen.add(one.request_id)
                behind[one.request_id] = replayed.replay.until
            if replayed is not None and replayed.ended_at:
                ended[one.request_id] = Ended(replayed)
            elif is_followed and one.request_id in seen:
                ended[one.request_id] = Ended(None)
            elif (audience is None or audience.hold is None) and not is_queued:
                ended[one.request_id] = Ended(None) if is_followed else None
            _say(session, f"{one.audience}: {_where(session, audience, replayed)}", said)
        if len(ended) == len(asked):
            return ended
        session.clock.sleep(_LOOK_S)


def _may_be_queued(session: Session) -> bool:
    depth = session.backend.queue.depth()
    return depth is None or depth.messages > 0


def _where(session: Session, audience: Audience | None, replayed: Replayed | None) -> str:
    if replayed is not None and replayed.ended_at:
        return progress(replayed, session.now)
    hold = audience.hold if audience is not None else None
    trouble = ""
    if audience is not None and hold is not None and hold_reason(audience, hold) != "replaying":
        trouble = f"it waits, since {meaning(audience, hold)}"
    if replayed is not None:
        return f"{progress(replayed, session.now)}; {trouble}" if trouble else progress(replayed, session.now)
    return trouble or "it has not begun yet"


def _say(session: Session, text: str, said: dict[str, tuple[str, float]]) -> None:
    """Each audience's line when it changes, and that seldom enough to be read."""
    audience = text.partition(":")[0]
    before, at = said.get(audience, ("", float("-inf")))
    now = session.clock.monotonic()
    if text != before and (now - at >= _SAY_AGAIN_S or "ended" in text):
        said[audience] = (text, now)
        session.note(text)
        sys.stderr.flush()
