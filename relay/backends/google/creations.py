"""The creation of audiences at the partner: one creator at a time, and what is known of the result."""

from __future__ import annotations

from collections.abc import Callable

from relay.backends.google import audience_documents as docs
from relay.backends.google import partner_ids
from relay.backends.google.audience_documents import Kept
from relay.backends.google.documents import Documents, Write
from relay.backends.google.partner_ids import Change
from relay.domain import audience as policy
from relay.domain import creation
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.errors import NotFound
from relay.domain.feed import Use


class Creations:
    """The part of `interfaces.Audiences` that concerns creation."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def claim_creation(
        self, connector: str, audience_id: str, *, owner: str, for_s: float, name: str | None, customer: int | str | None
    ) -> tuple[Audience, bool]:
        def claim() -> tuple[Audience, bool]:
            now = self._clock.now()
            known, audience = self._load_or_new(connector, audience_id, now=now)
            audience = creation.announced(audience, name=name, customer=customer)
            claimed = policy.claim(audience, owner=owner, until=now + for_s, now=now)
            after = claimed or audience
            if known is None or after != known.audience:
                self._documents.commit([_write(after, known)])
            return after, claimed is not None

        return self._documents.change(claim)

    def set_use(self, connector: str, audience_id: str, use: Use, *, instead_of: str = "") -> Audience:
        def set_use() -> Audience:
            now = self._clock.now()
            known, before = self._load_or_new(connector, audience_id, now=now)
            after = creation.used(before, use, instead_of=instead_of, now=now)
            writes = [_write(after, known)] if after != before else []
            entry = docs.load(self._documents, connector, after.answers_to) if after.answers_to else None
            if entry is not None:
                changed = creation.used(entry.audience, use, instead_of=instead_of, now=now)
                writes += [_write(changed, entry)] if changed != entry.audience else []
            if writes:
                self._documents.commit([*writes, *partner_ids.writes(self._documents, (before, after))])
            return after

        return self._documents.change(set_use)

    def created(self, connector: str, audience_id: str, *, partner_id: str, status: str = "ready") -> Audience:
        return self._known_to_be(
            connector,
            audience_id,
            lambda audience, now: creation.created(audience, partner_id=partner_id, status=status, now=now),
        )

    def creation_failed(self, connector: str, audience_id: str, *, owner: str, error: str, final: bool) -> None:
        def fail() -> None:
            known = docs.load(self._documents, connector, audience_id)
            if known is None:
                return
            after = creation.failed(known.audience, owner=owner, error=error, final=final, now=self._clock.now())
            if after != known.audience:
                self._documents.commit([_write(after, known)])

        self._documents.change(fail)

    def remember_answer(self, connector: str, audience_id: str, *, partner_id: str, name: str) -> Audience:
        def remember() -> Audience:
            now = self._clock.now()
            writes: list[Write] = []
            changes: list[Change] = []
            known, asked = self._load_or_new(connector, audience_id, now=now)
            before = asked
            if audience_id != partner_id:
                memory = creation.memory(asked, partner_id=partner_id, name=name, now=now)
                writes.append(_write(memory, known))
                changes.append((asked, memory))
                known, before = self._load_or_new(connector, partner_id, now=now)
            entry = creation.entry(before, asked=asked, partner_id=partner_id, name=name, now=now)
            changes.append((before, entry))
            self._documents.commit([*writes, _write(entry, known), *partner_ids.writes(self._documents, *changes)])
            return entry

        return self._documents.change(remember)

    def link(self, connector: str, audience_id: str, *, partner_id: str, name: str | None = None) -> Audience:
        return self._known_to_be(
            connector, audience_id, lambda audience, now: creation.linked(audience, partner_id=partner_id, name=name, now=now)
        )

    def unlink(self, connector: str, audience_id: str) -> Audience:
        def unlink() -> Audience:
            known = docs.load(self._documents, connector, audience_id)
            if known is None:
                raise NotFound(f"Connector {connector!r} has no audience {audience_id!r}.")
            after = creation.unlinked(known.audience, now=self._clock.now())
            self._documents.commit([_write(after, known), *partner_ids.writes(self._documents, (known.audience, after))])
            return after

        return self._documents.change(unlink)

    def _known_to_be(self, connector: str, audience_id: str, change: Callable[[Audience, float], Audience]) -> Audience:
        def try_once() -> Audience:
            now = self._clock.now()
            known, before = self._load_or_new(connector, audience_id, now=now)
            after = change(before, now)
            self._documents.commit([_write(after, known), *partner_ids.writes(self._documents, (before, after))])
            return after

        return self._documents.change(try_once)

    def _load_or_new(self, connector: str, audience_id: str, *, now: float) -> tuple[Kept | None, Audience]:
        known = docs.load(self._documents, connector, audience_id)
        return known, known.audience if known else creation.new(connector, audience_id, now=now)


def _write(after: Audience, before: Kept | None) -> Write:
    path = docs.path_of(after.connector, after.id)
    return docs.record_write(path, after, counted=before.counted if before else 0, before=before)
