"""Journaled batches take the places before a replay: one step of it, in one commit."""

from __future__ import annotations

from collections.abc import Sequence

from relay.backends.google import audience_documents as docs
from relay.backends.google.audience_documents import Kept
from relay.backends.google.documents import Documents, Query, Stored, Write
from relay.backends.interfaces import Turn
from relay.domain import audience as policy
from relay.domain.audience import Audience, Waiting
from relay.domain.clock import Clock
from relay.domain.message import Message, decode, encode


class Expanding:
    """One `expand`, tried until nobody got in between."""

    def __init__(
        self, documents: Documents, clock: Clock, turn: Turn, replay: Waiting, batches: Sequence[Waiting], rest: Message | None
    ) -> None:
        if rest is None and batches:
            raise ValueError("A replay leaves when nothing is left in front of it.")
        self._documents = documents
        self._clock = clock
        self._turn = turn
        self._path = docs.path_of(turn.connector, turn.audience_id)
        self._replay = replay
        self._batches = batches
        self._rest = rest

    def __call__(self) -> Audience:
        known = docs.fenced(self._turn, docs.load_with_own(self._documents, self._path, self._turn.number))
        place = docs.place_in(self._path, self._replay.place)
        stored = self._documents.get(place)
        if stored is None or decode(stored.fields["body"]) == self._rest:
            # Somebody dropped it, or a try before this one was carried out and its answer lost.
            return known.audience
        behind = Query(docs.waiting_in(self._path), [("place", ">", self._replay.place)], ["place"], 1, docs.SIZE_FIELDS)
        next_one = self._documents.query(behind) if self._rest is None else [stored]
        return self._commit(known, stored, next_one)

    def _commit(self, known: Kept, stored: Stored, waits: list[Stored]) -> Audience:
        """waits: the first one behind what leaves, if any does."""
        hold = known.audience.hold
        left = [hold.batches, hold.items, hold.bytes] if hold else [1, 0, stored.fields["bytes"]]
        writes: list[Write] = []
        for place, batch in enumerate(self._batches, self._replay.place - len(self._batches)):
            writes.append(self._write(place, batch.message_id, batch.message, stored, exists=False))
            left = [left[0] + 1, left[1] + len(batch.message.mutations), left[2] + writes[-1].fields["bytes"]]
        left[2] -= stored.fields["bytes"]
        if self._rest is None:
            left[0] -= 1
            writes.append(Write(stored.path, "delete", updated=stored.updated))
        else:
            write = self._write(self._replay.place, stored.fields["message_id"], self._rest, stored, exists=True)
            left[2] += write.fields["bytes"]
            writes.append(write._replace(exists=None, updated=stored.updated))
        expanded = policy.expand(
            known.audience,
            self._replay.message,
            self._rest,
            # Whether anything waits is what was seen, whatever was counted: a hold is lifted only when it is empty.
            batches=max(1, left[0]) if waits else 0,
            items=max(0, left[1]),
            size=max(0, left[2]),
            oldest_at=waits[0].fields["received_at"] if waits else 0,
            now=self._clock.now(),
        )
        self._documents.commit([docs.record_write(self._path, expanded, counted=known.counted, before=known), *writes])
        return expanded

    def _write(self, place: int, message_id: str, message: Message, replay: Stored, *, exists: bool) -> Write:
        """Whatever comes in front joined, and was received, when the replay was."""
        return docs.batch_write(
            self._path,
            place,
            message_id,
            message,
            encode(message),
            added_at=replay.fields["added_at"],
            exists=exists,
            received_at=replay.fields["received_at"],
        )
