"""The worker's end of the queue: ordering keys, one message of a key at a time, leases, redelivery."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress

from relay.backends.embedded import audience_rows, turns
from relay.backends.embedded.database import Database
from relay.backends.embedded.messages import IN_HAND, append, rows_of
from relay.backends.embedded.owners import Owners
from relay.backends.embedded.room import has_room
from relay.backends.interfaces import Following, Leased, QueueDepth, Turn
from relay.domain.audience import had_together
from relay.domain.clock import Clock
from relay.domain.errors import StoreUnavailable, TurnLost
from relay.domain.message import Message, is_change

LEASE_S = 150.0
"""Longer than a turn's budget, so that a worker that is alive always ends before its lease."""

LOOK_FOR_DEAD_EVERY_S = 1.0

MOST_BYTES_TOGETHER = 256 * 1024
"""Of messages that are handed out together, if there are more than one."""

_MOMENT_S = 0.3

# For each connector that has messages, the first key in line that is neither leased nor delayed: a step or two in the index
# `keys_in_line` for each connector, however many messages wait.
_HEAD = """
WITH RECURSIVE connectors (name) AS (
    SELECT min(connector) FROM keys
    UNION ALL
    SELECT (SELECT min(connector) FROM keys WHERE connector > connectors.name) FROM connectors WHERE connectors.name IS NOT NULL
)
SELECT min((
    SELECT head FROM keys INDEXED BY keys_in_line WHERE connector = connectors.name AND available_at <= ? ORDER BY head LIMIT 1
)) FROM connectors WHERE connectors.name IS NOT NULL AND connectors.name NOT IN ({busy})
"""

_TAKEABLE = """
SELECT keys.key, body, deliveries, keys.messages, alone_to FROM messages JOIN keys ON keys.key = messages.key
WHERE id = :head AND head = :head AND available_at <= :now
"""


class EmbeddedQueue:
    """`interfaces.Queue` on SQLite. A message's position is its row number, which is never used again.

    Leases are not written durably: a loss of power ends their owners too, and an acknowledgement that is undone by it makes a
    message be delivered again, in order, which the turns allow for.
    """

    def __init__(self, database: Database, owners: Owners, clock: Clock, *, lease_s: float = LEASE_S) -> None:
        self._database = database
        self._owners = owners
        self._clock = clock
        self._lease_s = lease_s
        self._numbers = itertools.count(1)
        self._looked_for_dead_at = float("-inf")
        self._not_given_back: dict[str, tuple[Leased, float]] = {}
        """By lease: what could not be given back, and for how long nobody was to take it."""

    def publish(self, messages: Sequence[Message]) -> None:
        rows = rows_of(messages)
        if not rows:
            return
        with self._database.transaction() as connection:
            append(connection, rows, now=self._clock.now())

    def take(self, *, busy: Collection[str] = (), most: int = 1) -> Leased | None:
        self._free_leases_of_dead_owners()
        self._give_back_late()
        while True:
            # Without a lock that publishers would wait for: a worker asks often, and mostly there is nothing.
            (head,) = self._database.row(*_head(busy, self._clock.now()))
            if head is None:
                return None
            leased = self._lease(head, busy, most)
            if leased is not None:
                return leased

    def written_at(self) -> float | None:
        return self._database.written_at()

    def _lease(self, position: int, busy: Collection[str], most: int) -> Leased | None:
        """The message that was first in line just now; None if somebody else was quicker. busy, most: as `take` was asked."""
        owner = self._owners.own()
        with self._database.transaction(durable=False) as connection:
            now = self._clock.now()
            row = connection.execute(_TAKEABLE, {"head": position, "now": now}).fetchone()
            if row is None:
                (head,) = connection.execute(*_head(busy, now)).fetchone()
                if head == position:
                    raise StoreUnavailable("The database is damaged: the message that is first in line is missing.")
                return None
            key, body, deliveries, waiting, alone_to = row
            following: tuple[Following, ...] = ()
            last = position
            if min(most, waiting) > 1 and not deliveries and position > alone_to and is_change(body):
                following = _following(connection, key, position, most=most - 1, size=MOST_BYTES_TOGETHER - len(body))
                if following:
                    last = alone_to = following[-1].position
            lease = f"{owner}/{next(self._numbers)}"
            connection.execute(
                "UPDATE keys SET lease = ?, owner = ?, available_at = ?, deliveries = ?, in_hand_to = ?, alone_to = ?"
                " WHERE key = ?",
                (lease, owner, now + self._lease_s, deliveries + 1, last, alone_to, key),
            )
        return Leased(
            message_id=str(position),
            key=key,
            position=position,
            body=body,
            deliveries=deliveries + 1,
            lease=lease,
            lease_until=now + self._lease_s,
            following=following,
        )

    def acknowledge(self, leased: Leased) -> bool:
        with self._database.transaction(durable=False) as connection:
            if not self._holds(connection, leased):
                return False
            connection.execute("DELETE FROM messages WHERE id = ?", (leased.position,))
            _go_on(connection, leased, 1)
            return True

    @contextmanager
    def finish(self, turn: Turn, leased: Leased, following: int) -> Iterator[None]:
        last = leased.following[following - 1]
        with self._database.at_once() as connection:
            yield
            if not self._holds(connection, leased):
                raise TurnLost("The lease on its messages has run out; they are handed out again.")
            audience = turns.fenced(connection, turn)
            had = had_together(audience, position=last.position, message_id=last.message_id, now=self._clock.now())
            audience_rows.save_turn(connection, had)
            removed = connection.execute("DELETE FROM messages WHERE key = ? AND id <= ?", (leased.key, last.position))
            _go_on(connection, leased, removed.rowcount)

    def give_back(self, leased: Leased, *, delay_s: float) -> None:
        """Where it fails, the next call of `take` that finds the database usable does it."""
        self._not_given_back[leased.lease] = leased, delay_s
        self._give_back_late()

    def _give_back_late(self) -> None:
        left = dict(self._not_given_back)
        if not left:
            return
        with self._database.transaction(durable=False) as connection:
            for leased, delay_s in left.values():
                if self._holds(connection, leased):
                    connection.execute(
                        "UPDATE keys SET lease = NULL, owner = NULL, available_at = ? WHERE key = ?",
                        (self._clock.now() + delay_s, leased.key),
                    )
        for lease in left:
            self._not_given_back.pop(lease, None)

    def depth(self) -> QueueDepth:
        now = self._clock.now()
        with self._database.snapshot() as connection:
            messages = connection.execute("SELECT coalesce(sum(messages), 0) FROM keys").fetchone()[0]
            leased = connection.execute(
                f"SELECT count(*) FROM keys JOIN messages USING (key) WHERE {IN_HAND}",  # noqa: S608 - ours
                (now,),
            ).fetchone()[0]
            takeable = connection.execute("SELECT EXISTS (SELECT 1 FROM keys WHERE available_at <= ?)", (now,)).fetchone()[0]
            oldest = connection.execute("SELECT published_at FROM messages ORDER BY id LIMIT 1").fetchone()
            full = not has_room(connection, self._database.path, 0)
        oldest_s = max(0.0, now - oldest[0]) if oldest else 0.0
        return QueueDepth(messages=messages, leased=leased, oldest_s=oldest_s, full=full, takeable=bool(takeable))

    def close(self) -> None:
        """Ends this process's ownership: what it still has leased is free for others. Waits for nobody: where the database is
        locked, they find an owner that is gone."""
        if not self._owners.name:
            return
        freed = False
        with suppress(StoreUnavailable), self._database.hurried(_MOMENT_S):
            with self._database.transaction(durable=False) as connection:
                _free(connection, self._owners.name)
            freed = True
        self._owners.release(found_dead=not freed)

    def _holds(self, connection: sqlite3.Connection, leased: Leased) -> bool:
        # A lease that ran out is lost, even while nobody else has taken the message: its holder may have been frozen.
        row = connection.execute(
            "SELECT 1 FROM keys WHERE key = ? AND lease = ? AND head = ? AND available_at > ?",
            (leased.key, leased.lease, leased.position, self._clock.now()),
        ).fetchone()
        return row is not None

    def _free_leases_of_dead_owners(self) -> None:
        moment = self._clock.monotonic()
        if moment - self._looked_for_dead_at < LOOK_FOR_DEAD_EVERY_S:
            return
        self._looked_for_dead_at = moment
        for owner in self._owners.others():
            with self._owners.dead(owner) as gone:
                if gone:
                    with self._database.transaction(durable=False) as connection:
                        _free(connection, owner)


def _head(busy: Collection[str], now: float) -> tuple[str, tuple[object, ...]]:
    """The question which message is first in line, but for those of the connectors that are busy, and its parameters."""
    return _HEAD.format(busy=", ".join("?" * len(busy))), (now, *busy)


def _following(connection: sqlite3.Connection, key: str, position: int, *, most: int, size: int) -> tuple[Following, ...]:
    """The changes right behind this position, so many and of so many bytes at most: what others come with is not in hand."""
    found: list[Following] = []
    for number, body in connection.execute(
        "SELECT id, body FROM messages WHERE key = ? AND id > ? ORDER BY id LIMIT ?", (key, position, most)
    ):
        size -= len(body)
        if size < 0 or not is_change(body):
            break
        found.append(Following(str(number), number, body))
    return tuple(found)


def _go_on(connection: sqlite3.Connection, leased: Leased, removed: int) -> None:
    """So many messages of the key, its first ones, have been removed: the next one can be taken.

    Where others were handed out with it, none of them has ended its worker: those that are left need not come alone.
    """
    head = connection.execute("SELECT min(id) FROM messages WHERE key = ?", (leased.key,)).fetchone()[0]
    if head is None:
        connection.execute("DELETE FROM keys WHERE key = ?", (leased.key,))
    else:
        connection.execute(
            "UPDATE keys SET head = ?, messages = messages - ?, deliveries = 0, lease = NULL, owner = NULL, available_at = 0,"
            " alone_to = CASE WHEN ? THEN 0 ELSE alone_to END WHERE key = ?",
            (head, removed, bool(leased.following), leased.key),
        )


def _free(connection: sqlite3.Connection, owner: str) -> None:
    connection.execute(
        "UPDATE keys SET lease = NULL, owner = NULL, available_at = 0 WHERE owner = ? AND lease IS NOT NULL", (owner,)
    )
