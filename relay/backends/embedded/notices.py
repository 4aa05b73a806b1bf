"""`interfaces.Notices` on SQLite: each change is a conditional write."""

from __future__ import annotations

from relay.backends.embedded.database import Database
from relay.backends.records import WATCH
from relay.domain.message import UnknownVersion
from relay.domain.notice import Watch


class EmbeddedNotices:
    """One row for each connector that is watched."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[Watch]:
        found = self._database.rows("SELECT record FROM notices ORDER BY connector")
        return [watch for (record,) in found if (watch := _read(record)) is not None]

    def get(self, connector: str) -> Watch | None:
        row = self._database.row("SELECT record FROM notices WHERE connector = ?", (connector,))
        return _read(row[0]) if row else None

    def replace(self, connector: str, before: Watch | None, after: Watch | None) -> bool:
        with self._database.transaction() as connection:
            row = connection.execute("SELECT record FROM notices WHERE connector = ?", (connector,)).fetchone()
            if (row is None) != (before is None) or (row is not None and _read(row[0]) != before):
                return False
            if after is None:
                connection.execute("DELETE FROM notices WHERE connector = ?", (connector,))
            else:
                connection.execute(
                    "INSERT INTO notices (connector, record) VALUES (?, ?)"
                    " ON CONFLICT (connector) DO UPDATE SET record = excluded.record",
                    (connector, WATCH.write(after)),
                )
            return True


def _read(record: bytes) -> Watch | None:
    try:
        return WATCH.read(record)
    except UnknownVersion:
        return None
