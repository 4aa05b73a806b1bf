"""How messages enter the queue's tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from relay.domain.message import Message, encode

IN_HAND = "lease IS NOT NULL AND id <= max(head, in_hand_to) AND available_at > ?"
"""The condition by which a worker has a message (joined with its key) in hand. The parameter: now."""


class Row(NamedTuple):
    """A message, encoded: what is left to do within the transaction is as little as possible."""

    key: str
    connector: str
    body: bytes
    journaled: Journaled | None


class Journaled(NamedTuple):
    """What the journal keeps beside the body."""

    audience: str
    items: int


def rows_of(messages: Iterable[Message]) -> list[Row]:
    """The messages as rows, in order."""
    return [Row(message.key, message.connector, encode(message), _journaled(message)) for message in messages]


def _journaled(message: Message) -> Journaled | None:
    if message.kind != "change":
        return None
    return Journaled(message.audience, len(message.mutations))


def _keeps_journal(connection: sqlite3.Connection, connector: str) -> bool:
    # Not the whole record: one that a newer program wrote must not keep an older receiver from accepting anything.
    row = connection.execute(
        "SELECT json_extract(CAST(record AS TEXT), '$.journal_since') FROM states WHERE connector = ?", (connector,)
    ).fetchone()
    return row is not None and bool(row[0])


def append(connection: sqlite3.Connection, rows: Sequence[Row], *, now: float) -> None:
    """Adds the rows at the end of the queue, and copies of those to be journaled to the journal. Within a writing transaction."""
    newest = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    first = (newest[0] if newest else 0) + 1
    connection.executemany(
        "INSERT INTO messages (id, key, published_at, body) VALUES (?, ?, ?, ?)",
        [(position, row.key, now, row.body) for position, row in enumerate(rows, first)],
    )
    # By what is so in this moment, and not by what a receiver knew when the request began (`Message.journal_days`): the journal
    # begins without a gap, and once it is switched off nothing more is kept.
    keeping = {name for name in {row.connector for row in rows if row.journaled} if _keeps_journal(connection, name)}
    journaled = [
        (position, row.connector, row.journaled.audience, now, row.journaled.items, row.body)
        for position, row in enumerate(rows, first)
        if row.journaled is not None and row.connector in keeping
    ]
    if journaled:
        connection.executemany(
            "INSERT INTO journal (position, connector, audience, accepted_at, items, body) VALUES (?, ?, ?, ?, ?, ?)", journaled
        )
    keys: dict[str, tuple[str, str, int, int]] = {}
    for position, row in enumerate(rows, first):
        _, _, head, number = keys.get(row.key, (row.key, row.connector, position, 0))
        keys[row.key] = (row.key, row.connector, head, number + 1)
    connection.executemany(
        "INSERT INTO keys (key, connector, head, messages) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET messages = messages + excluded.messages",
        list(keys.values()),
    )
