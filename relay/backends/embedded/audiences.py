"""`interfaces.Audiences` on SQLite: turns, holds and creations over one table of records."""

from __future__ import annotations

from relay.backends.embedded.creations import Creations
from relay.backends.embedded.holds import Holds
from relay.backends.embedded.records import AUDIENCE
from relay.backends.embedded.turns import Turns
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

    def delete_all(self, connector: str) -> int:
        identifiers = self._database.rows("SELECT id FROM audiences WHERE connector = ?", (connector,))
        number = 0
        for (audience_id,) in identifiers:
            # One by one, so that publishers need not wait until a large hold is gone.
            with self._database.transaction() as connection:
                deleted = connection.execute("DELETE FROM audiences WHERE connector = ? AND id = ?", (connector, audience_id))
                number += deleted.rowcount
        return number
