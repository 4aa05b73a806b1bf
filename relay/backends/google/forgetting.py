"""A person is taken out of one audience's hold."""

from __future__ import annotations

from collections.abc import Sequence

from relay.backends.google import audience_documents as docs
from relay.backends.google.audience_documents import Kept
from relay.backends.google.documents import Changed, Documents, Query, Stored, Write
from relay.backends.interfaces.traces import Trace, split, traces_of
from relay.domain import audience as policy
from relay.domain.clock import Clock
from relay.domain.message import Message, decode, encode
from relay.domain.person import Person

_AT_ONCE = 5
"""Batches changed in one commit, of up to 512 KB each: with the entries of indexes it stays below the 10 MiB that one may have
(https://firebase.google.com/docs/firestore/quotas)."""


class Forgetting:
    """Of one audience. A turn that is under way is ended first: it could write back what it has in hand, or append a batch at
    this moment. Its message comes again, and finds the hold without the person.

    gone, kept: traces by place in the hold and index.
    """

    def __init__(self, documents: Documents, clock: Clock, person: Person, connector: str, audience_id: str) -> None:
        self._documents = documents
        self._clock = clock
        self._person = person
        self._connector = connector
        self._audience_id = audience_id
        self._path = docs.path_of(connector, audience_id)
        self._fence = 0
        self.gone: dict[tuple[int, int], Trace] = {}
        self.kept: dict[tuple[int, int], Trace] = {}

    def end_turn(self) -> None:
        """None that is under way writes anything more."""
        self._documents.change(lambda: self._without_turn(docs.load(self._documents, self._connector, self._audience_id)))

    def forget(self, places: Sequence[int]) -> None:
        """In the batches at these places."""
        for start in range(0, len(places), _AT_ONCE):
            part = places[start : start + _AT_ONCE]
            self._documents.change(lambda part=part: self._forget(part))  # type: ignore[misc]

    def _without_turn(self, known: Kept | None) -> Kept | None:
        """The record, once the turn that stands is one of ours. Raises `Changed` to be called again."""
        if known is None or known.audience.turn == self._fence:
            return known
        ended = policy.end_turn(known.audience)
        self._documents.commit([docs.record_write(self._path, ended, counted=known.counted, before=known)])
        self._fence = ended.turn  # only now: a turn that began in this moment has the same number
        raise Changed

    def _forget(self, places: Sequence[int]) -> None:
        known = self._without_turn(docs.load(self._documents, self._connector, self._audience_id))
        if known is None or known.audience.hold is None:
            return
        hold = known.audience.hold
        found = self._documents.get_all(docs.place_in(self._path, place) for place in places)
        batches, items, size = hold.batches, hold.items, hold.bytes
        emptied: set[int] = set()
        writes: list[Write] = []
        for stored in found.values():
            rest, gone = split(self._person, decode(stored.fields["body"]))
            self._note(stored, rest, gone, hold.reason)
            if not gone.mutations:
                continue
            items -= len(gone.mutations)
            if rest.mutations:
                body = encode(rest)
                size += len(body) - stored.fields["bytes"]
                changed = {"items": len(rest.mutations), "bytes": len(body), "body": body}
                writes.append(Write(stored.path, "merge", changed, exists=True))
            else:
                batches, size = batches - 1, size - stored.fields["bytes"]
                emptied.add(stored.fields["place"])
                writes.append(Write(stored.path, "delete", exists=True))
        if not writes:
            return
        first = self._first_but(emptied)
        after = policy.recount(
            known.audience,
            # Whether anything waits is what was seen, whatever was counted: a hold is lifted only when it is empty.
            batches=max(1, batches) if first else 0,
            items=max(0, items),
            size=max(0, size),
            oldest_at=first.fields["received_at"] if first else 0,
            now=self._clock.now(),
        )
        self._documents.commit([docs.record_write(self._path, after, counted=known.counted, before=known), *writes])

    def _first_but(self, emptied: set[int]) -> Stored | None:
        """The size of the first batch that stays."""
        first = self._documents.query(
            Query(docs.waiting_in(self._path), (), ["place"], limit=len(emptied) + 1, fields=docs.SIZE_FIELDS)
        )
        return next((one for one in first if one.fields["place"] not in emptied), None)

    def _note(self, stored: Stored, rest: Message, gone: Message, reason: str) -> None:
        place = stored.fields["place"]
        for message, noted in ((rest, self.kept), (gone, self.gone)):
            for trace in traces_of(self._person, message, place="hold", reason=reason):
                noted[place, trace.index] = trace
