"""Turns: they begin with one conditional write, and every later write holds only while their number stands."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from msgspec.structs import replace

from relay.backends.google import audience_documents as docs
from relay.backends.google.audience_documents import Kept
from relay.backends.google.connector_documents import state_of, state_path
from relay.backends.google.documents import Changed, Documents, Query, Transaction, Write
from relay.backends.google.expanding import Expanding
from relay.backends.google.values import Fields
from relay.backends.interfaces import Turn
from relay.domain import audience as policy
from relay.domain.audience import REPLAY_PLACES, Audience, HoldRequest, Waiting
from relay.domain.clock import Clock
from relay.domain.connector import ConnectorState
from relay.domain.message import Message, encode

_STEP_ITEMS = 10_000
_STEP_BYTES = 3 * 1024 * 1024
"""Most that a resume takes at once: what of it is written back may have to go into one commit, which may have 10 MiB, with what
it deletes and the entries of indexes (https://firebase.google.com/docs/firestore/quotas), and should be well within its time."""

_COMMIT_BATCHES = 500
"""Most batches that leave in one commit. Of more, however small, the last one says what becomes of the hold."""

_PAGE_BATCHES = 300


class Turns:
    """The part of `interfaces.Audiences` that a turn uses."""

    def __init__(self, documents: Documents, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def begin_turn(
        self, connector: str, audience_id: str, *, position: int, message_id: str, forgiven: int = 0
    ) -> Turn:
        path, state_at = docs.path_of(connector, audience_id), state_path(connector)

        mark = uuid.uuid4().hex
        begun: list[Turn] = []

        def begin() -> Turn:
            # One call for both. The state needs no lock: whatever was switched before is seen, and what is switched now is found
            # by the next look at the holds.
            found = self._documents.get_all([path, state_at])
            if begun and path in found and found[path].fields.get("begun_by") == mark:
                return begun[-1]  # the last try was carried out, and its answer was lost
            before = self._counted(path, docs.kept(found[path], ())) if path in found else None
            known = before.audience if before else Audience(version=policy.VERSION, connector=connector, id=audience_id)
            known = replace(known, next_place=known.turn + 1)  # appending a batch does not write it down
            after, verdict, let_through = policy.begin_turn(
                known, position=position, message_id=message_id, now=self._clock.now(), forgiven=forgiven
            )
            state = state_of(found[state_at]) if state_at in found else ConnectorState(name=connector, live=0, enabled=False)
            turn = Turn(
                connector=connector,
                audience_id=audience_id,
                message_id=message_id,
                number=after.turn,
                verdict=verdict,
                audience=after,
                state=state,
                let_through=let_through,
            )
            begun.append(turn)
            counted = before.counted if before else 0
            self._documents.commit([docs.record_write(path, after, counted=counted, before=before, begun_by=mark)])
            return turn

        return self._documents.change(begin)

    def require(self, turn: Turn) -> None:
        docs.require_standing(turn, self._documents.get(docs.path_of(turn.connector, turn.audience_id)))

    def join(self, turn: Turn, message: Message, request: HoldRequest) -> Audience:
        body = encode(message)
        path = docs.path_of(turn.connector, turn.audience_id)

        def join() -> Audience:
            known = self._fenced(turn)
            if message.kind == "replay":
                return self._join_replay(turn, path, known, message, body, request)
            # Without a hold nothing waits, and the record says from now on that something does.
            joined = self._set_hold if known.audience.hold is None else self._append
            return joined(turn, path, known, message, body, request)

        return self._documents.change(join)

    def waiting(self, turn: Turn, *, max_items: int, max_bytes: int) -> list[Waiting]:
        path = docs.path_of(turn.connector, turn.audience_id)
        hold = self._fenced(turn).audience.hold
        if hold is None:
            return []
        max_items, max_bytes = min(max_items, _STEP_ITEMS), min(max_bytes, _STEP_BYTES)
        found: list[Waiting] = []
        items = size = 0
        after = 0
        while True:
            limit = _page(hold, items=max_items - items, size=max_bytes - size)
            page = self._documents.query(
                Query(docs.waiting_in(path), [("place", ">", after)], ["place"], limit=limit)
            )
            for stored in page:
                items += stored.fields["items"]
                size += stored.fields["bytes"]
                if found and (items > max_items or size > max_bytes):
                    return found
                found.append(docs.batch_of(stored))
                after = stored.fields["place"]
            if len(page) < limit:
                return found

    def settle(
        self, turn: Turn, *, taken: Sequence[Waiting], rest: Sequence[Waiting], request: HoldRequest | None, progress: bool
    ) -> Audience:
        remaining = {batch.place: batch for batch in rest}
        if not remaining.keys() <= {batch.place for batch in taken}:
            raise ValueError("What rests is a part of what was taken.")
        waits = {batch.place: batch for batch in taken}
        parts = [taken[first : first + _COMMIT_BATCHES] for first in range(0, len(taken), _COMMIT_BATCHES)] or [taken]
        for part in parts:
            for batch in part:
                del waits[batch.place]
            ends = part is parts[-1]
            settling = _Settling(
                self._documents,
                self._clock,
                turn,
                part,
                remaining,
                request if ends else None,
                beside=min((batch.message.received_at for batch in waits.values()), default=None),
                progress=progress and ends,
            )
            audience = self._documents.change(settling)
            waits |= {batch.place: remaining[batch.place] for batch in part if batch.place in remaining}
        return audience

    def expand(self, turn: Turn, replay: Waiting, batches: Sequence[Waiting], rest: Message | None) -> Audience:
        return self._documents.change(Expanding(self._documents, self._clock, turn, replay, batches, rest))

    # the parts of joining

    def _join_replay(
        self, turn: Turn, path: str, known: Kept, message: Message, body: bytes, request: HoldRequest
    ) -> Audience:
        """Behind free places, which takes the record as well."""
        if known.audience.hold is not None and self._has_joined(turn, path, known):
            return known.audience
        now = self._clock.now()
        joined, _ = policy.join(known.audience, message, len(body), request, now=now)
        place = turn.number + REPLAY_PLACES
        joined = replace(joined, turn=place)
        self._documents.commit(
            [
                docs.record_write(path, joined, counted=place, before=known),
                docs.batch_write(path, place, turn.message_id, message, body, added_at=now, exists=False),
            ]
        )
        return joined

    def _set_hold(
        self, turn: Turn, path: str, known: Kept, message: Message, body: bytes, request: HoldRequest
    ) -> Audience:
        now = self._clock.now()
        joined, _ = policy.join(known.audience, message, len(body), request, now=now)
        self._documents.commit(
            [
                docs.record_write(path, joined, counted=turn.number, before=known),
                docs.batch_write(path, turn.number, turn.message_id, message, body, added_at=now, exists=False),
            ]
        )
        return joined

    def _append(
        self, turn: Turn, path: str, known: Kept, message: Message, body: bytes, request: HoldRequest
    ) -> Audience:
        """Writes the batch alone. The record is locked while that is done, so that no later turn can begin in between, and read
        again under the lock."""
        now = self._clock.now()
        # An earlier turn may have put it there: before this one began, so no lock is needed to see it.
        if self._has_joined(turn, path, known):
            return known.audience

        def append(transaction: Transaction) -> Audience:
            stored = transaction.get(path)
            fenced = docs.fenced(turn, docs.kept(stored, ()) if stored else None)
            if fenced.audience.hold is None:
                raise Changed  # lifted since: it has to be set
            transaction.write(
                docs.batch_write(path, turn.number, turn.message_id, message, body, added_at=now, exists=False)
            )
            return policy.join(known.audience, message, len(body), request, now=now)[0]

        return self._documents.transact(append)

    def _has_joined(self, turn: Turn, path: str, known: Kept) -> bool:
        """Whether the message waits, and not only in front of one that was let through: then it has to come once more, at the
        end, beside the batch that is there."""
        same = Query(docs.waiting_in(path), [("message_id", "==", turn.message_id)], fields=["place"])
        return any(stored.fields["place"] >= known.audience.went_back_at for stored in self._documents.query(same))

    # the parts of all

    def _fenced(self, turn: Turn) -> Kept:
        path = docs.path_of(turn.connector, turn.audience_id)
        stored = self._documents.get(path)
        return self._counted(path, docs.fenced(turn, docs.kept(stored, ()) if stored else None))

    def _counted(self, path: str, known: Kept) -> Kept:
        if known.audience.hold is None:
            return known
        return docs.counted_up(known, docs.uncounted(self._documents, path, known))


class _Settling:
    """One commit of a `settle`, tried until nobody got in between.

    beside: when the oldest request was received that waits in what is settled by other commits; None if nothing does.
    """

    def __init__(
        self,
        documents: Documents,
        clock: Clock,
        turn: Turn,
        taken: Sequence[Waiting],
        remaining: dict[int, Waiting],
        request: HoldRequest | None,
        *,
        beside: float | None,
        progress: bool,
    ) -> None:
        self._documents = documents
        self._clock = clock
        self._turn = turn
        self._path = docs.path_of(turn.connector, turn.audience_id)
        self._taken = list(taken)
        self._remaining = remaining
        self._request = request
        self._beside = beside
        self._progress = progress
        self._tries = 0
        self._unchanged = {
            batch.place for batch in taken if batch.place in remaining and remaining[batch.place].message == batch.message
        }
        self._sizes: dict[int, Fields] = {}

    def __call__(self) -> Audience:
        known = docs.fenced(self._turn, docs.load_with_own(self._documents, self._path, self._turn.number))
        last = max((batch.place for batch in self._taken), default=0)
        behind = self._documents.query(
            Query(docs.waiting_in(self._path), [("place", ">", last)], ["place"], limit=1, fields=docs.SIZE_FIELDS)
        )
        self._tries += 1
        # That all of them are there as they were taken is first taken for granted, as a condition of the commit: mostly nobody
        # drops any. What stays is looked at: it is not written if it is as it was, and waits since it did.
        if self._tries > 1 or self._remaining:
            self._look_at_what_is_there()
        return self._commit(known, behind[0].fields["received_at"] if behind else None)

    def _look_at_what_is_there(self) -> None:
        """Batches that somebody has dropped are gone; and a try before this one may have been carried out, its answer lost."""
        paths = {docs.place_in(self._path, batch.place): batch for batch in self._taken}
        found = self._documents.get_all(paths, fields=docs.SIZE_FIELDS)
        self._taken = [batch for path, batch in paths.items() if path in found]
        self._sizes = {batch.place: found[path].fields for path, batch in paths.items() if path in found}

    def _commit(self, known: Kept, behind_received_at: float | None) -> Audience:
        hold = known.audience.hold
        left = [hold.batches, hold.items, hold.bytes] if hold else [0, 0, 0]
        oldest = [moment for moment in (behind_received_at, self._beside) if moment is not None]
        writes: list[Write] = []
        for batch in self._taken:
            rest = self._remaining.get(batch.place)
            there = self._sizes.get(batch.place, {"items": len(batch.message.mutations), "bytes": batch.bytes})
            if rest is not None:
                oldest.append(there["received_at"])
            if batch.place in self._unchanged:
                continue
            _add(left, -1, -there["items"], -there["bytes"])
            if rest is None:
                writes.append(Write(docs.place_in(self._path, batch.place), "delete", exists=True))
                continue
            body = encode(rest.message)
            _add(left, 1, len(rest.message.mutations), len(body))
            writes.append(
                docs.batch_write(
                    self._path,
                    batch.place,
                    batch.message_id,
                    rest.message,
                    body,
                    added_at=batch.added_at,
                    exists=True,
                    received_at=there["received_at"],
                )
            )
        settled = policy.settle(
            known.audience,
            # Whether anything waits is what was seen, whatever was counted: a hold is lifted only when it is empty.
            batches=max(1, left[0]) if oldest else 0,
            items=max(0, left[1]),
            size=max(0, left[2]),
            oldest_at=min(oldest, default=0),
            request=self._request,
            progress=self._progress,
            now=self._clock.now(),
        )
        self._documents.commit([docs.record_write(self._path, settled, counted=known.counted, before=known), *writes])
        return settled


def _add(total: list[int], batches: int, items: int, size: int) -> None:
    total[0] += batches
    total[1] += items
    total[2] += size


def _page(hold: policy.Hold, *, items: int, size: int) -> int:
    """How many batches to read at once: as many as are wanted if they are as large as they are on average, one more to see that
    it is enough, and no more than fit into memory easily."""
    batches = max(1, hold.batches)
    by_items = items * batches // max(1, hold.items)
    by_bytes = size * batches // max(1, hold.bytes)
    return max(1, min(by_items, by_bytes, _PAGE_BATCHES) + 1)
