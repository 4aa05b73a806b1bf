"""`interfaces.Audit` on SQLite."""

from __future__ import annotations

from relay.backends.embedded.database import Database
from relay.backends.interfaces import AuditEntry
from relay.backends.records import AUDIT_ENTRY
from relay.domain.clock import Clock


class EmbeddedAudit:
    """Who did what."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, *, by: str, what: str, subject: str, detail: str = "") -> None:
        entry = AuditEntry(at=self._clock.now(), by=by, what=what, subject=subject, detail=detail)
        with self._database.transaction() as connection:
            connection.execute("INSERT INTO audit (at, record) VALUES (?, ?)", (entry.at, AUDIT_ENTRY.write(entry)))

    def newest(self, *, limit: int = 100) -> list[AuditEntry]:
        found = self._database.rows("SELECT record FROM audit ORDER BY number DESC LIMIT ?", (limit,))
        return [AUDIT_ENTRY.read(record) for (record,) in found]
