"""`interfaces.Replies` on SQLite."""

from __future__ import annotations

from relay.backends.embedded.database import Database
from relay.backends.records import REPLY
from relay.domain.reply import Reply


class EmbeddedReplies:
    """A row for each reply."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def give(self, reply: Reply) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO replies (request_id, part, at, record) VALUES (?, ?, ?, ?)",
                (reply.request_id, reply.part, reply.at, REPLY.write(reply)),
            )

    def find(self, request_id: str, part: int) -> Reply | None:
        found = self._database.row("SELECT record FROM replies WHERE request_id = ? AND part = ?", (request_id, part))
        return REPLY.read(found[0]) if found else None
