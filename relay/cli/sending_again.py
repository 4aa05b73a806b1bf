"""What the commands `diy replay` and `diy audiences resync` share: asking for a replay, and following it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click
import msgspec

from relay.cli.idleness import Idleness
from relay.cli.lazy import SOMEONE_MUST_ACT
from relay.cli.output import iso, show_json, show_table
from relay.cli.session import Session
from relay.domain.audience import Audience, Replayed
from relay.domain.connector import Connector
from relay.health.advice import hold_reason, meaning
from relay.health.wording import duration
from relay.operating import sending_again
from relay.operating.sending_again import Asked, Kept, progress

_LOOK_S = 0.5
_SAY_AGAIN_S = 10.0


class Ended(msgspec.Struct, frozen=True):
    """A replay that is over. replayed: what came of it; None: not known, since another one that was behind it has begun, and
    there is but one record."""

    replayed: Replayed | None


def kept(session: Session, connector: str) -> Kept:
    """Raises `NotFound` where there is no such connector, or no version of it is published."""
    return sending_again.kept(session.backend, connector, session.now)


def ask(session: Session, connector: Connector, audience_id: str, *, since: float) -> Asked:
    """Puts a replay of this audience into the queue. Raises `StoreUnavailable`."""
    return sending_again.ask(session.backend, connector, audience_id, since=since, now=session.now)


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
    nobody = Idleness(session)
    while True:
        waiting: list[Audience] = []
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
            if audience is not None:
                waiting.append(audience)
            _say(session, f"{one.audience}: {_where(session, audience, replayed)}", said)
        if len(ended) == len(asked):
            return ended
        nobody.look(connector, waiting)
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
