"""Who did what to which thing."""

from __future__ import annotations

from typing import Protocol

import msgspec


class AuditEntry(msgspec.Struct, frozen=True):
    """Who did what to which thing."""

    at: float
    by: str
    what: str
    subject: str
    detail: str = ""


class Audit(Protocol):
    def add(self, *, by: str, what: str, subject: str, detail: str = "") -> None: ...

    def newest(self, *, limit: int = 100) -> list[AuditEntry]:
        """Newest first."""
        ...
