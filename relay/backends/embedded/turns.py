"""Turns: they begin with one conditional write, and every later write holds only while their number stands."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from msgspec.structs import replace

from relay.backends.embedded import audience_rows as rows
from relay.backends.embedded.connector_rows import load_state
from relay.backends.embedded.database import Database
from relay.backends.interfaces import Turn
from relay.domain import audience as policy
from relay.domain.audience import Audience, HoldRequest, Waiting
from relay.domain.clock import Clock
from relay.domain.connector import ConnectorState
from relay.domain.errors import TurnLost
from relay.domain.message import Message, encode


class Turns:
    """The part of `interfaces.Audiences` that a turn uses.

    `begin_turn` sees to it that all is on the disk that is older than a tenth of a second (`Database.transaction`, bounded). So
    it is bounded how much that was called before a loss of power is called again; an audience's order would hold without, since
    a loss that undoes what became of a message undoes its acknowledgement, and those of all that came after it. What `join`
    writes is on the disk when it ends: a hold keeps others from being sent beside a call that may still be applied.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin_turn(
        self, connector: str, audience_id: str, *, position: int, message_id: str, forgiven: int = 0
    ) -> Turn:
        with self._database.transaction(durable=False, bounded=True) as connection:
            known = rows.load(connection, connector, audience_id)
            before = known or Audience(version=policy.VERSION, connector=connector, id=audience_id)
            state = load_state(connection, connector) or ConnectorState(name=connector, live=0, enabled=False)
            after, verdict, let_through = policy.begin_turn(
                before, position=position, message_id=message_id, now=self._clock.now(), forgiven=forgiven
            )
            if known is None:
                rows.save(connection, after)
            else:
                rows.save_turn(connection, after)
        return Turn(
            connector=connector,
            audience_id=audience_id,
            message_id=message_id,
            number=after.turn,
            verdict=verdict,
            audience=after,
            state=state,
            let_through=let_through,
        )

    def require(self, turn: Turn) -> None:
        standing(rows.read(self._database.row(rows.RECORD, (turn.connector, turn.audience_id))), turn)

    def join(self, turn: Turn, message: Message, request: HoldRequest) -> Audience:
        body = encode(message)
        with self._database.transaction(together=True) as connection:
            audience = fenced(connection, turn)
            there = rows.place_of(connection, audience, turn.message_id)
            if there is not None:
                if there >= audience.went_back_at:
                    return audience
                # An older message was let through behind it: it has to come once more, at the end.
                rows.rename_batch(connection, audience, there, f"{turn.message_id} before {audience.went_back_at}")
            now = self._clock.now()
            joined, place = policy.join(audience, message, len(body), request, now=now)
            rows.add_batch(connection, place, turn.message_id, message, body, now=now)
            rows.save(connection, joined)
            return joined

    def waiting(self, turn: Turn, *, max_items: int, max_bytes: int) -> list[Waiting]:
        found: list[Waiting] = []
        total = rows.Size()
        with self._database.snapshot() as connection:
            fenced(connection, turn)
            for batch, size in rows.batches(connection, turn.connector, turn.audience_id):
                total += size
                if found and (total.items > max_items or total.bytes > max_bytes):
                    break
                found.append(batch)
        return found

    def settle(
        self, turn: Turn, *, taken: Sequence[Waiting], rest: Sequence[Waiting], request: HoldRequest | None, progress: bool
    ) -> Audience:
        remaining = {batch.place: batch for batch in rest}
        if not remaining.keys() <= {batch.place for batch in taken}:
            raise ValueError("What rests is a part of what was taken.")
        with self._database.transaction() as connection:
            audience = fenced(connection, turn)
            total = rows.held_size(audience)
            for batch in taken:
                before = rows.size_at(connection, audience, batch.place)
                if not before.batches:
                    continue  # dropped by somebody while this turn had it
                total -= before
                left = remaining[batch.place].message if batch.place in remaining else None
                if left is not None and before.items != len(batch.message.mutations):
                    left = _still_there(left, rows.message_at(connection, audience, batch.place))
                if left is not None:
                    total += rows.replace_batch(connection, audience, batch.place, left)
                else:
                    rows.remove_batch(connection, audience, batch.place)
            settled = policy.settle(
                audience,
                batches=total.batches,
                items=total.items,
                size=total.bytes,
                oldest_at=rows.oldest_request(connection, audience),
                request=request,
                progress=progress,
                now=self._clock.now(),
            )
            rows.save(connection, settled)
            return settled

    def expand(self, turn: Turn, replay: Waiting, batches: Sequence[Waiting], rest: Message | None) -> Audience:
        if rest is None and batches:
            raise ValueError("A replay leaves when nothing is left in front of it.")
        encoded = [encode(batch.message) for batch in batches]
        with self._database.transaction() as connection:
            audience = fenced(connection, turn)
            before = rows.size_at(connection, audience, replay.place)
            if not before.batches:
                return audience  # dropped by somebody while this turn had it
            total = rows.held_size(audience) - before
            if rest is None:
                rows.remove_batch(connection, audience, replay.place)
            else:
                total += rows.replace_batch(connection, audience, replay.place, rest)
            for place, (batch, body) in enumerate(zip(batches, encoded, strict=True), replay.place - len(batches)):
                rows.add_batch(connection, place, batch.message_id, batch.message, body, now=replay.added_at)
                total += rows.Size(1, len(batch.message.mutations), len(body))
            expanded = policy.expand(
                audience,
                replay.message,
                rest,
                batches=total.batches,
                items=total.items,
                size=total.bytes,
                oldest_at=rows.oldest_request(connection, audience),
                now=self._clock.now(),
            )
            rows.save(connection, expanded)
            return expanded


def fenced(connection: sqlite3.Connection, turn: Turn) -> Audience:
    """The audience's record. Raises `TurnLost` if the turn does not stand any more."""
    return standing(rows.load(connection, turn.connector, turn.audience_id), turn)


def standing(audience: Audience | None, turn: Turn) -> Audience:
    """The record that was read. Raises `TurnLost` if the turn does not stand any more."""
    # The time of creation tells a record from one that was deleted and made anew, whose turns count from one again.
    if audience is None or audience.turn != turn.number or audience.created_at != turn.audience.created_at:
        raise TurnLost(f"Another turn of an audience of connector {turn.connector!r} has begun since; this one ends.")
    return audience


def _still_there(left: Message, stored: Message) -> Message | None:
    """What is left of a batch without whom somebody took out of it while this turn had it in hand; None if nobody is left."""
    there = {mutation.index for mutation in stored.mutations}
    mutations = tuple(mutation for mutation in left.mutations if mutation.index in there)
    return replace(left, mutations=mutations) if mutations else None
