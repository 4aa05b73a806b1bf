"""Holds, seen from outside of a turn: what is due, what waits, what is dropped."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Sequence
from itertools import islice

from msgspec.structs import replace

from relay.backends.embedded import audience_rows as rows
from relay.backends.embedded.database import Database
from relay.backends.embedded.rejection_rows import add_rejections
from relay.backends.records import AUDIENCE
from relay.domain import audience as policy
from relay.domain.audience import ASK_AGAIN_S, Audience, HoldReason, Waiting
from relay.domain.clock import Clock
from relay.domain.errors import NotFound
from relay.domain.outcome import Rejection

# Two steps along the index of due times, whatever waits for later.
_DUE = """
    SELECT record FROM (
        SELECT record, due_at, connector, id FROM audiences
        WHERE hold_reason IS NOT NULL AND due_at <= :now AND (asked_at = 0 OR asked_at <= :asked)
        UNION ALL
        SELECT record, due_at, connector, id FROM audiences
        WHERE hold_reason IN ('connector_off', 'paused') AND hold_reason IS NOT NULL AND due_at IS NULL
            AND (asked_at = 0 OR asked_at <= :asked)
    ) ORDER BY due_at, connector, id
"""


class Holds:
    """The part of `interfaces.Audiences` that concerns holds from outside a turn."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def due(self, now: float) -> list[Audience]:
        found = self._database.rows(_DUE, {"now": now, "asked": now - ASK_AGAIN_S})
        return [AUDIENCE.read(record) for (record,) in found]

    def next_due(self) -> float | None:
        row = self._database.row(
            "SELECT min(due_at) FROM audiences WHERE hold_reason IS NOT NULL AND due_at IS NOT NULL AND asked_at = 0"
        )
        moment: float | None = row[0]
        return moment

    def mark_asked(self, audience: Audience) -> bool:
        with self._database.transaction() as connection:
            stored = rows.load(connection, audience.connector, audience.id)
            if stored is None or stored.hold is None or audience.hold is None:
                return False
            if (stored.hold.due_at, stored.hold.asked_at) != (audience.hold.due_at, audience.hold.asked_at):
                return False
            rows.save(connection, replace(stored, hold=replace(stored.hold, asked_at=self._clock.now())))
            return True

    def make_due(self, connector: str, audience_id: str | None = None, *, reasons: Collection[HoldReason] | None = None) -> int:
        with self._database.transaction() as connection:
            return make_due_in(connection, connector, audience_id, reasons=reasons, now=self._clock.now())

    def set_paused(self, connector: str, audience_id: str, paused: bool) -> Audience:
        with self._database.transaction() as connection:
            audience = rows.load(connection, connector, audience_id)
            if audience is None:
                raise _no_such_audience(connector, audience_id)
            audience = replace(audience, paused=paused, updated_at=self._clock.now())
            rows.save(connection, audience)
            return audience

    def peek(self, connector: str, audience_id: str, *, limit: int) -> list[Waiting]:
        with self._database.snapshot() as connection:
            return [batch for batch, _ in islice(rows.batches(connection, connector, audience_id), limit)]

    def drop(
        self,
        connector: str,
        audience_id: str,
        *,
        older_than: float | None,
        limit: int,
        reject: Callable[[Sequence[Waiting]], Sequence[Rejection]],
    ) -> int:
        dropped: list[Waiting] = []
        total = rows.Size()
        with self._database.transaction() as connection:
            audience = rows.load(connection, connector, audience_id)
            if audience is None:
                raise _no_such_audience(connector, audience_id)
            for batch, size in islice(rows.batches(connection, connector, audience_id), limit):
                if older_than is not None and batch.added_at >= older_than:
                    break  # batches join in the order of time: none behind this one is older
                dropped.append(batch)
                total += size
            if not dropped:
                return 0
            for batch in dropped:
                rows.remove_batch(connection, audience, batch.place)
            left = rows.held_size(audience) - total
            audience = policy.recount(
                audience,
                batches=left.batches,
                items=left.items,
                size=left.bytes,
                oldest_at=rows.oldest_request(connection, audience),
                now=self._clock.now(),
            )
            rows.save(connection, audience)
            add_rejections(connection, reject(dropped))
        return len(dropped)


def make_due_in(
    connection: sqlite3.Connection,
    connector: str,
    audience_id: str | None = None,
    *,
    reasons: Collection[HoldReason] | None = None,
    now: float,
) -> int:
    """`Audiences.make_due` within the caller's transaction."""
    found = connection.execute(
        "SELECT record FROM audiences WHERE connector = :connector AND hold_reason IS NOT NULL AND (:id IS NULL OR id = :id)",
        {"connector": connector, "id": audience_id},
    ).fetchall()
    number = 0
    for (record,) in found:
        audience = AUDIENCE.read(record)
        if audience.hold is not None and (reasons is None or audience.hold.reason in reasons):
            rows.save(connection, policy.make_due(audience, now=now))
            number += 1
    return number


def _no_such_audience(connector: str, audience_id: str) -> NotFound:
    return NotFound(f"Connector {connector!r} has no audience {audience_id!r}.")
