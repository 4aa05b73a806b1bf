"""The creation of audiences at the partner: one creator at a time, and what is known of the result."""

from __future__ import annotations

import sqlite3

from relay.backends.embedded import audience_rows as rows
from relay.backends.embedded.database import Database
from relay.domain import audience as policy
from relay.domain import creation
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.errors import NotFound
from relay.domain.feed import Use


class Creations:
    """The part of `interfaces.Audiences` that concerns creation."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def unlink(self, connector: str, audience_id: str) -> Audience:
        with self._database.transaction() as connection:
            before = rows.load(connection, connector, audience_id)
            if before is None:
                raise NotFound(f"Connector {connector!r} has no audience {audience_id!r}.")
            after = creation.unlinked(before, now=self._clock.now())
            _save(connection, before, after)
            return after

    def claim_creation(
        self, connector: str, audience_id: str, *, owner: str, for_s: float, name: str | None, customer: int | str | None
    ) -> tuple[Audience, bool]:
        with self._database.transaction() as connection:
            now = self._clock.now()
            audience = creation.announced(
                _load_or_new(connection, connector, audience_id, now=now), name=name, customer=customer
            )
            claimed = policy.claim(audience, owner=owner, until=now + for_s, now=now)
            rows.save(connection, claimed or audience)
            return claimed or audience, claimed is not None

    def set_use(self, connector: str, audience_id: str, use: Use, *, instead_of: str = "") -> Audience:
        with self._database.transaction() as connection:
            now = self._clock.now()
            before = _load_or_new(connection, connector, audience_id, now=now)
            after = creation.used(before, use, instead_of=instead_of, now=now)
            entry = rows.load(connection, connector, after.answers_to) if after.answers_to else None
            if after != before:
                _save(connection, before, after)
            if entry is not None:
                rows.save(connection, creation.used(entry, use, instead_of=instead_of, now=now))
            return after

    def created(self, connector: str, audience_id: str, *, partner_id: str, status: str = "ready") -> Audience:
        with self._database.transaction() as connection:
            now = self._clock.now()
            before = _load_or_new(connection, connector, audience_id, now=now)
            after = creation.created(before, partner_id=partner_id, status=status, now=now)
            _save(connection, before, after)
            return after

    def creation_failed(self, connector: str, audience_id: str, *, owner: str, error: str, final: bool) -> None:
        with self._database.transaction() as connection:
            audience = rows.load(connection, connector, audience_id)
            if audience is not None:
                now = self._clock.now()
                rows.save(connection, creation.failed(audience, owner=owner, error=error, final=final, now=now))

    def remember_answer(self, connector: str, audience_id: str, *, partner_id: str, name: str) -> Audience:
        with self._database.transaction() as connection:
            now = self._clock.now()
            asked = _load_or_new(connection, connector, audience_id, now=now)
            if audience_id != partner_id:
                _save(connection, asked, creation.memory(asked, partner_id=partner_id, name=name, now=now))
            before = _load_or_new(connection, connector, partner_id, now=now)
            entry = creation.entry(before, asked=asked, partner_id=partner_id, name=name, now=now)
            _save(connection, before, entry)
            return entry

    def link(self, connector: str, audience_id: str, *, partner_id: str, name: str | None = None) -> Audience:
        with self._database.transaction() as connection:
            now = self._clock.now()
            before = _load_or_new(connection, connector, audience_id, now=now)
            after = creation.linked(before, partner_id=partner_id, name=name, now=now)
            _save(connection, before, after)
            return after


def _load_or_new(connection: sqlite3.Connection, connector: str, audience_id: str, *, now: float) -> Audience:
    return rows.load(connection, connector, audience_id) or creation.new(connector, audience_id, now=now)


def _save(connection: sqlite3.Connection, before: Audience, after: Audience) -> None:
    """Raises `Conflict` where it would have a partner's ID that another one has."""
    had, has = creation.occupies(before), creation.occupies(after)
    if has is not None and has != had:
        other = rows.occupant(connection, after.connector, has, but=after.id)
        if other is not None:
            raise creation.occupied(has, other)
    rows.save(connection, after)
    if has != had:
        rows.occupy(connection, after, has)
