"""The creation of audiences at the partner: one creator at a time, and what is known of the result."""

from __future__ import annotations

import sqlite3

from msgspec.structs import replace

from relay.backends.embedded import audience_rows as rows
from relay.backends.embedded.database import Database
from relay.domain import audience as policy
from relay.domain.audience import Audience, HoldReason, Status
from relay.domain.clock import Clock

WAITS_FOR_CREATION: frozenset[HoldReason] = frozenset({"audience_not_ready", "audience_gone"})


class Creations:
    """The part of `interfaces.Audiences` that concerns creation."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def claim_creation(
        self, connector: str, audience_id: str, *, owner: str, for_s: float, name: str | None, customer: int | str | None
    ) -> tuple[Audience, bool]:
        with self._database.transaction() as connection:
            now = self._clock.now()
            audience = self._load_or_new(connection, connector, audience_id)
            audience = replace(
                audience,
                name=audience.name if name is None else name,
                customer=audience.customer if customer is None else customer,
            )
            claimed = policy.claim(audience, owner=owner, until=now + for_s, now=now)
            rows.save(connection, claimed or audience)
            return claimed or audience, claimed is not None

    def created(self, connector: str, audience_id: str, *, partner_id: str, status: str = "ready") -> Audience:
        with self._database.transaction() as connection:
            audience = self._load_or_new(connection, connector, audience_id)
            if audience.partner_id in (None, partner_id):
                audience = self._identified(audience, partner_id, _status(status), name=None)
            audience = replace(audience, claim_by="", claim_until=0)
            if audience.hold is not None and audience.hold.reason in WAITS_FOR_CREATION:
                audience = policy.make_due(audience, now=self._clock.now())
            rows.save(connection, audience)
            return audience

    def creation_failed(self, connector: str, audience_id: str, *, owner: str, error: str, final: bool) -> None:
        with self._database.transaction() as connection:
            audience = rows.load(connection, connector, audience_id)
            if audience is None or audience.claim_by != owner:
                return  # somebody else's creation goes on
            audience = replace(audience, claim_by="", claim_until=0, updated_at=self._clock.now())
            if audience.partner_id is None:
                audience = replace(audience, status="failed" if final else "unknown", error=error)
            rows.save(connection, audience)

    def remember_answer(self, connector: str, audience_id: str, *, partner_id: str, name: str) -> Audience:
        with self._database.transaction() as connection:
            now = self._clock.now()
            asked = self._load_or_new(connection, connector, audience_id)
            if audience_id != partner_id:
                memory = replace(
                    asked, name=name, status="ready", error="", answers_to=partner_id, claim_by="", claim_until=0, updated_at=now
                )
                rows.save(connection, memory)
            entry = self._load_or_new(connection, connector, partner_id)
            entry = self._identified(entry, partner_id, "ready", name=name)
            if entry.customer is None:
                entry = replace(entry, customer=asked.customer)
            if entry.hold is not None and entry.hold.reason in WAITS_FOR_CREATION:
                entry = policy.make_due(entry, now=now)
            rows.save(connection, entry)
            return entry

    def link(self, connector: str, audience_id: str, *, partner_id: str, name: str | None = None) -> Audience:
        with self._database.transaction() as connection:
            audience = self._load_or_new(connection, connector, audience_id)
            audience = replace(self._identified(audience, partner_id, "ready", name=name), answers_to="")
            audience = policy.make_due(audience, now=self._clock.now())
            rows.save(connection, audience)
            return audience

    def _load_or_new(self, connection: sqlite3.Connection, connector: str, audience_id: str) -> Audience:
        return rows.load(connection, connector, audience_id) or Audience(
            version=policy.VERSION, connector=connector, id=audience_id, created_at=self._clock.now()
        )

    def _identified(self, audience: Audience, partner_id: str, status: Status, *, name: str | None) -> Audience:
        return replace(
            audience,
            partner_id=partner_id,
            status=status,
            error="",
            name=audience.name if name is None else name,
            claim_by="",
            claim_until=0,
            updated_at=self._clock.now(),
        )


def _status(value: str) -> Status:
    match value:
        case "unknown" | "creating" | "ready" | "failed":
            return value
    raise ValueError(f"{value!r} is no status of an audience.")
