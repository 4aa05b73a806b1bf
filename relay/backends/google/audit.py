"""`interfaces.Audit` on Firestore: audit/{id} with the record, its number and the time at which it expires."""

from __future__ import annotations

import uuid

from relay.backends.google.documents import Documents, Write
from relay.backends.google.ordered import Line, Numbers, ordered_key
from relay.backends.google.values import moment
from relay.backends.interfaces import AUDIT_KEPT_S, AuditEntry
from relay.backends.records import AUDIT_ENTRY
from relay.domain.clock import Clock

AUDIT = Line("audit", "in_all")


class GoogleAudit:
    """Who did what."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock
        self._numbers = Numbers(clock)

    def add(self, *, by: str, what: str, subject: str, detail: str = "") -> None:
        entry = AuditEntry(at=self._clock.now(), by=by, what=what, subject=subject, detail=detail)
        fields = {
            "record": AUDIT_ENTRY.write(entry).decode(),
            "in_all": ordered_key((), self._numbers.next()),
            "expire_at": moment(entry.at + AUDIT_KEPT_S),
        }
        self._documents.commit([Write(f"{AUDIT.collection}/{uuid.uuid4().hex}", fields=fields)])

    def newest(self, *, limit: int = 100) -> list[AuditEntry]:
        if limit <= 0:
            return []
        found = self._documents.query(AUDIT.query(newest_first=True, limit=limit, fields=("record",)))
        return [AUDIT_ENTRY.read(stored.fields["record"].encode()) for stored in found]
