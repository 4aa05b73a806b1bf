"""How messages enter the queue's tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from relay.domain.message import Message, encode


class Row(NamedTuple):
    """A message, encoded: what is left to do within the transaction is as little as possible."""

    key: str
    connector: str
    body: bytes


def rows_of(messages: Iterable[Message]) -> list[Row]:
    """The messages as rows, in order."""
    return [Row(message.key, message.connector, encode(message)) for message in messages]


def append(connection: sqlite3.Connection, rows: Sequence[Row], *, now: float) -> None:
    """Adds the rows at the end of the queue. Within a writing transaction."""
    newest = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").fetchone()
    first = (newest[0] if newest else 0) + 1
    connection.executemany(
        "INSERT INTO messages (id, key, published_at, body) VALUES (?, ?, ?, ?)",
        [(position, row.key, now, row.body) for position, row in enumerate(rows, first)],
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
