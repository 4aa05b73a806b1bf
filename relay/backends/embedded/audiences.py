"""`interfaces.Audiences` on SQLite: turns, holds and creations over one table of records."""

from __future__ import annotations

from relay.backends.embedded.creations import Creations
from relay.backends.embedded.holds import Holds
from relay.backends.embedded.turns import Turns
from relay.backends.records import AUDIENCE
from relay.domain.audience import Audience


class EmbeddedAudiences(Turns, Holds, Creations):
    """All of it. Each method is one transaction."""

    def get(self, connector: str, audience_id: str) -> Audience | None:
        row = self._database.row("SELECT record FROM audiences WHERE connector = ? AND id = ?", (connector, audience_id))
        return AUDIENCE.read(row[0]) if row else None

    def all(self, connector: str | None = None) -> list[Audience]:
        found = self._database.rows(
            "SELECT record FROM audiences WHERE :connector IS NULL OR connector = :connector ORDER BY connector, id",
            {"connector": connector},
        )
        return [AUDIENCE.read(record) for (record,) in found]

    def held(self, connector: str | None = None) -> list[Audience]:
        found = self._database.rows(
            "SELECT record FROM audiences WHERE hold_reason IS NOT NULL AND (:connector IS NULL OR connector = :connector)"
            " ORDER BY connector, id",
            {"connector": connector},
        )
        return [AUDIENCE.read(record) for (record,) in found]
