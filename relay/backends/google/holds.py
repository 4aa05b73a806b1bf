"""Holds, seen from outside of a turn: what is due, what waits, what is dropped."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from relay.backends.google import audience_documents as docs
from relay.backends.google import partner_ids
from relay.backends.google.audience_documents import Kept
from relay.backends.google.documents import Changed, Documents, Query, Stored, Write
from relay.domain import audience as policy
from relay.domain.audience import Audience, HoldReason, Waiting
from relay.domain.clock import Clock
from relay.domain.errors import NotFound
from relay.domain.outcome import Rejection

_DROPPED_ITEMS = 1_000
_DROPPED_BYTES = 3 * 1024 * 1024
"""Mutations and bytes that leave in one commit: with their rejections, what is deleted and the entries of indexes it stays below
the 10 MiB that a commit may have (https://firebase.google.com/docs/firestore/quotas)."""


_FORGOTTEN_AT_ONCE = 200
"""Audiences whose records are deleted in one commit, each with its partner's ID."""


class Holds:
    """The part of `interfaces.Audiences` that concerns holds from outside a turn.

    rejection_writes: how rejections are written, in the transaction of the batches that become them.
    """

    def __init__(
        self, documents: Documents, clock: Clock, rejection_writes: Callable[[Sequence[Rejection]], list[Write]]
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._rejection_writes = rejection_writes

    def due(self, now: float) -> list[Audience]:
        found = self._documents.query(Query(docs.AUDIENCES, [("look_at", "<=", now)], ["look_at"]))
        held = [one.audience for one in docs.load_all(self._documents, found)]
        return sorted(held, key=lambda one: (one.hold.due_at or 0.0) if one.hold else 0.0)

    def next_due(self) -> float | None:
        found = self._documents.query(Query(docs.AUDIENCES, (), ["next_due"], limit=1, fields=["next_due"]))
        return float(found[0].fields["next_due"]) if found else None

    def mark_asked(self, audience: Audience) -> bool:
        now = self._clock.now()
        tried = False

        def asked(known: Kept) -> Audience | None:
            nonlocal tried
            stored, read = known.audience.hold, audience.hold
            if stored is None or read is None or stored.due_at != read.due_at:
                return None
            # The write of a first try may have been carried out although its answer was lost.
            if stored.asked_at != read.asked_at and not (tried and stored.asked_at == now):
                return None
            tried = True
            return replace(known.audience, hold=replace(stored, asked_at=now))

        return self._change(audience.connector, audience.id, asked) is not None

    def make_due(self, connector: str, audience_id: str | None = None, *, reasons: Collection[HoldReason] | None = None) -> int:
        def made_due(known: Kept) -> Audience | None:
            hold = known.audience.hold
            if hold is None or (reasons is not None and hold.reason not in reasons):
                return None
            return policy.make_due(known.audience, now=self._clock.now())

        ids = [one.id for one in self._held_by(connector)] if audience_id is None else [audience_id]
        return sum(self._change(connector, one, made_due) is not None for one in ids)

    def set_paused(self, connector: str, audience_id: str, paused: bool) -> Audience:
        def switched(known: Kept) -> Audience:
            return replace(known.audience, paused=paused, updated_at=self._clock.now())

        audience = self._change(connector, audience_id, switched)
        if audience is None:
            raise _no_such_audience(connector, audience_id)
        return audience

    def peek(self, connector: str, audience_id: str, *, limit: int) -> list[Waiting]:
        path = docs.path_of(connector, audience_id)
        found = self._documents.query(Query(docs.waiting_in(path), (), ["place"], limit=limit))
        return [docs.batch_of(stored) for stored in found]

    def drop(
        self,
        connector: str,
        audience_id: str,
        *,
        older_than: float | None,
        limit: int,
        reject: Callable[[Sequence[Waiting]], Sequence[Rejection]],
    ) -> int:
        def rejected(batches: Sequence[Waiting]) -> list[Write]:
            return self._rejection_writes(reject(batches))

        return self._documents.change(
            _Dropping(self._documents, self._clock, connector, audience_id, older_than, limit, rejected)
        )

    def forget(self, connector: str) -> None:
        """Deletes the records of the connector's audiences, except those that hold batches."""
        while self._documents.change(lambda: self._forget_some(connector)):
            pass

    def _forget_some(self, connector: str) -> bool:
        """Whether there may be more."""
        of_connector = Query(docs.AUDIENCES, [("connector", "==", connector)], fields=["held_by", *docs.RECORD_FIELDS])
        found = [one for one in self._documents.query(of_connector) if "held_by" not in one.fields][:_FORGOTTEN_AT_ONCE]
        freed = [write for one in found for write in partner_ids.freed_by(docs.kept(one, ()).audience)]
        self._documents.commit([*(Write(one.path, "delete", updated=one.updated) for one in found), *freed])
        return len(found) == _FORGOTTEN_AT_ONCE

    def _held_by(self, connector: str) -> list[Audience]:
        found = self._documents.query(Query(docs.AUDIENCES, [("held_by", "==", connector)]))
        return [docs.kept(one, ()).audience for one in found]

    def _change(self, connector: str, audience_id: str, change: Callable[[Kept], Audience | None]) -> Audience | None:
        """The record changed so; None, and nothing is written, where there is none or `change` says so."""
        path = docs.path_of(connector, audience_id)

        def try_once() -> Audience | None:
            known = docs.load(self._documents, connector, audience_id)
            after = change(known) if known is not None else None
            if after is not None and known is not None:
                self._documents.commit([docs.record_write(path, after, counted=known.counted, before=known)])
            return after

        return self._documents.change(try_once)


class _Dropping:
    """One `drop`, tried until nobody got in between."""

    def __init__(
        self,
        documents: Documents,
        clock: Clock,
        connector: str,
        audience_id: str,
        older_than: float | None,
        limit: int,
        reject: Callable[[Sequence[Waiting]], list[Write]],
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._connector = connector
        self._audience_id = audience_id
        self._path = docs.path_of(connector, audience_id)
        self._older_than = older_than
        self._limit = limit
        self._reject = reject
        self._fence = 0

    def __call__(self) -> int:
        known = docs.load(self._documents, self._connector, self._audience_id)
        if known is None:
            raise _no_such_audience(self._connector, self._audience_id)
        first = self._documents.query(
            Query(docs.waiting_in(self._path), (), ["place"], self._limit + 1, (*docs.SIZE_FIELDS, "added_at"))
        )
        if known.audience.hold is not None and first and first[-1].fields["place"] > known.counted:
            raise Changed  # appended since the record was read: whoever reads that counts it, and we would count it, too
        dropped = _first(first[: self._limit], self._older_than)
        if not dropped:
            return 0
        bodies = self._documents.get_all(one.path for one in dropped)
        if len(bodies) < len(dropped):
            raise Changed
        rejected = self._reject([docs.batch_of(bodies[one.path]) for one in dropped])
        behind = first[len(dropped)] if len(first) > len(dropped) else None
        if behind is None and known.audience.turn != self._fence:
            self._end_the_turn(known)
        self._commit(known, dropped, behind, rejected)
        return len(dropped)

    def _end_the_turn(self, known: Kept) -> None:
        """Before a hold is lifted from outside. The turn that stands may be appending a batch at this moment, which does not
        write the record: once its number is gone, whatever it appended is there, and it appends nothing more. Its message comes
        again."""
        ended = replace(known.audience, turn=known.audience.turn + 1)
        self._documents.commit([docs.record_write(self._path, ended, counted=known.counted, before=known)])
        self._fence = ended.turn  # only now: a turn that began in this moment has the same number
        raise Changed

    def _commit(self, known: Kept, dropped: list[Stored], behind: Stored | None, rejected: list[Write]) -> None:
        hold = known.audience.hold
        sizes = [one.fields for one in dropped]
        after = policy.recount(
            known.audience,
            batches=max(1, (hold.batches if hold else 0) - len(dropped)) if behind else 0,
            items=max(0, (hold.items if hold else 0) - sum(size["items"] for size in sizes)),
            size=max(0, (hold.bytes if hold else 0) - sum(size["bytes"] for size in sizes)),
            oldest_at=behind.fields["received_at"] if behind else 0,
            now=self._clock.now(),
        )
        self._documents.commit(
            [
                docs.record_write(self._path, after, counted=known.counted, before=known),
                *(Write(one.path, "delete", exists=True) for one in dropped),
                *rejected,
            ]
        )


def _first(sizes: Sequence[Stored], older_than: float | None) -> list[Stored]:
    """The batches to drop at once: the first ones, of this age, and no more than a commit takes."""
    chosen: list[Stored] = []
    items = size = 0
    for one in sizes:
        items += one.fields["items"]
        size += one.fields["bytes"]
        # Batches join in the order of time: none behind one that is too young is older.
        if older_than is not None and one.fields["added_at"] >= older_than:
            break
        if chosen and (items > _DROPPED_ITEMS or size > _DROPPED_BYTES):
            break
        chosen.append(one)
    return chosen


def _no_such_audience(connector: str, audience_id: str) -> NotFound:
    return NotFound(f"Connector {connector!r} has no audience {audience_id!r}.")
