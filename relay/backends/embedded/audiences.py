"""`interfaces.Audiences` on SQLite: turns, holds and creations over one table of records."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection

from relay.backends.embedded import audience_rows as rows
from relay.backends.embedded.creations import Creations
from relay.backends.embedded.holds import Holds
from relay.backends.embedded.turns import Turns
from relay.backends.interfaces import AudienceSummary, HoldSummary
from relay.backends.records import AUDIENCE
from relay.domain.audience import Audience, HoldReason, Status

_BY_STATUS = "SELECT connector, status, count(*) FROM audiences WHERE {whose} AND NOT answers GROUP BY connector, status"
_BY_REASON = """
    SELECT connector, hold_reason, count(*), sum(batches), sum(items), sum(bytes), coalesce(min(oldest_at), 0),
        min(CASE WHEN NOT paused THEN max(due_at, asked_at) END)
    FROM audiences WHERE {whose} AND hold_reason IS NOT NULL GROUP BY connector, hold_reason
"""


class EmbeddedAudiences(Turns, Holds, Creations):
    """All of it. Each method is one transaction."""

    def get(self, connector: str, audience_id: str) -> Audience | None:
        return rows.read(self._database.row(rows.RECORD, (connector, audience_id)))

    def several(self, places: Collection[tuple[str, str]]) -> dict[tuple[str, str], Audience]:
        if not places:
            return {}
        # Bound one by one: within JSON, SQLite would cut an ID at a NUL.
        asked = ", ".join(["(?, ?)"] * len(places))
        found = self._database.rows(
            f"SELECT connector, id, record FROM audiences WHERE (connector, id) IN (VALUES {asked})",  # noqa: S608 - ours
            [part for place in places for part in place],
        )
        return {(connector, audience_id): AUDIENCE.read(record) for connector, audience_id, record in found}

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

    def page(
        self,
        connector: str | None = None,
        *,
        like: str = "",
        status: Status | None = None,
        held: Collection[HoldReason] = (),
        paused: bool = False,
        answers: bool = False,
        after: tuple[str, str] | None = None,
        limit: int,
    ) -> list[Audience]:
        conditions = {
            "connector = :connector": connector is not None,
            "instr(sought, :like)": like,
            "status = :status": status,
            "status <> 'ready'": status and status != "ready",  # so that its index can be used
            "hold_reason IS NOT NULL AND hold_reason IN (SELECT value FROM json_each(:held))": held,
            "paused": paused,
            "answers": answers,
            "(connector, id) > (:after_connector, :after_id)": after,
        }
        after_connector, after_id = after or ("", "")
        found = self._database.rows(
            f"SELECT record FROM audiences WHERE {' AND '.join(one for one, asked in conditions.items() if asked) or 'TRUE'}"  # noqa: S608 - ours
            " ORDER BY connector, id LIMIT :limit",
            {
                "connector": connector,
                "like": like.casefold(),
                "status": status,
                "held": json.dumps(sorted(held)),
                "after_connector": after_connector,
                "after_id": after_id,
                "limit": limit,
            },
        )
        return [AUDIENCE.read(record) for (record,) in found]

    def summary(self, connector: str | None = None) -> dict[str, AudienceSummary]:
        chosen = {"connector": connector}
        whose = "connector = :connector" if connector is not None else "TRUE"
        with self._database.snapshot() as connection:
            counted = connection.execute(_BY_STATUS.format(whose=whose), chosen).fetchall()
            held = connection.execute(_BY_REASON.format(whose=whose), chosen).fetchall()
        by_status: defaultdict[str, dict[str, int]] = defaultdict(dict)
        for of, status, number in counted:
            by_status[of][status] = number
        holds: defaultdict[str, dict[HoldReason, HoldSummary]] = defaultdict(dict)
        for of, reason, *figures in held:
            holds[of][reason] = HoldSummary(*figures)
        return {
            of: AudienceSummary(sum(by_status[of].values()), by_status[of], holds[of]) for of in sorted({*by_status, *holds})
        }
