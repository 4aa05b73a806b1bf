"""`interfaces.Traces` on Firestore and Cloud Storage. Into what waits in Pub/Sub nobody can look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from relay.backends.google import audience_documents as docs
from relay.backends.google.documents import Documents, Query, Write
from relay.backends.google.forgetting import Forgetting
from relay.backends.google.rejections import line_of, rejection_in
from relay.backends.interfaces.traces import (
    PLACES,
    Forgotten,
    Found,
    Place,
    Trace,
    in_order,
    keys_in,
    rejection_hashes,
    trace_of_rejection,
    traces_of,
    unreadable,
)
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.errors import ConfigurationError
from relay.domain.message import Message, UnknownVersion, decode
from relay.domain.person import Person

if TYPE_CHECKING:
    from relay.backends.google.connectors import GoogleConnectors
    from relay.backends.google.journal import GoogleJournal

_READ_AT_ONCE = 20
"""Batches of a hold, each up to 512 KB: they come well within the time of a query."""

_DELETED_AT_ONCE = 500

_PUBSUB = (
    "What waits in Pub/Sub cannot be looked into: it is delivered, or joins a hold, as ever. Run the command again once the "
    "oldest message there (Cloud Monitoring: subscription/oldest_unacked_message_age) is younger than this run."
)
_LATE = "What was accepted in the last {:.0f} minutes may not be in the journal yet, and comes there later."
_COPIES = (
    "What Google keeps of deleted data where that is switched on: Firestore's backups and point-in-time recovery, the soft "
    "delete and the versions of the journal's bucket."
)


class GoogleTraces:
    """See `interfaces.Traces`."""

    def __init__(self, documents: Documents, clock: Clock, connectors: GoogleConnectors, journal: GoogleJournal) -> None:
        self._documents = documents
        self._clock = clock
        self._connectors = connectors
        self._journal = journal

    def find(self, person: Person) -> Found:
        looked = _Looking(self._documents, person)
        holds = [trace for held in looked.held() for trace in looked.traces_in(held)]
        journal, trouble = self._journaled(person)
        keys = looked.keys | {trace.user_hash for trace in journal}
        rejections = sorted(
            (trace for user_hash in rejection_hashes(person, keys) for trace in looked.rejections(user_hash)),
            key=lambda trace: trace.at,
        )
        return Found(
            traces=in_order(holds, journal, rejections),
            users=len(keys),
            unseen=(_PUBSUB, *self._late(), *trouble, *looked.unseen()),
        )

    def forget(self, person: Person, *, compact: bool = False) -> Forgotten:  # noqa: ARG002 - Firestore has nothing to rewrite
        looked = _Looking(self._documents, person)
        removed: dict[Place, int] = dict.fromkeys(PLACES, 0)
        kept: list[Trace] = []
        # The journal before the holds, which replays fill from it.
        journaled, trouble = self._journaled(person)
        if journaled:
            try:
                removed["journal"] = self._journal.forget(person.matches)
            except ConfigurationError as error:
                trouble = (f"The journal could not be changed. {error}",)
        replayed = {(trace.connector, trace.audience) for trace in journaled}
        keys = {trace.user_hash for trace in journaled}
        for held in looked.held():
            forgetting = Forgetting(self._documents, self._clock, person, held.connector, held.id)
            if (held.connector, held.id) in replayed:
                forgetting.end_turn()  # it may be a replay's, and have read of the journal what is gone from it
            forgetting.forget([place for place, _ in looked.through(held)])
            removed["hold"] += len(forgetting.gone)
            kept += forgetting.kept.values()
        for user_hash in rejection_hashes(person, keys | looked.keys):
            removed["rejections"] += self._forget_rejections(user_hash)
        return Forgotten(
            removed=removed,
            kept=tuple(kept),
            unreached=(*trouble, *looked.unseen()),
            remains=(_PUBSUB, *self._late(), _COPIES),
        )

    def _journaled(self, person: Person) -> tuple[list[Trace], tuple[str, ...]]:
        """Traces in the journal, and why it could not be looked into."""
        found: list[tuple[tuple[int, float, int], list[Trace]]] = []
        trouble: tuple[str, ...] = ()
        try:
            for entry in self._journal.find(person.matches):
                order = (entry.position, entry.message.received_at, entry.message.part)
                found.append((order, traces_of(person, entry.message, place="journal")))
        except ConfigurationError as error:
            # Where no journal is kept, none has to be there.
            trouble = (f"The journal could not be looked into. {error}",) if self._keeps_journal() else ()
        return [trace for _, traces in sorted(found, key=lambda one: one[0]) for trace in traces], trouble

    def _late(self) -> tuple[str, ...]:
        return (_LATE.format(self._journal.settled_s / 60),) if self._keeps_journal() else ()

    def _keeps_journal(self) -> bool:
        return any(state.journal_since for state in self._connectors.states())

    def _forget_rejections(self, user_hash: str) -> int:
        query = line_of(None, None, user_hash).query(limit=_DELETED_AT_ONCE, fields=())
        number = 0
        while found := self._documents.query(query):
            self._documents.commit([Write(one.path, "delete") for one in found])
            number += len(found)
        return number


class _Looking:
    """Through holds and rejections. Batches that cannot be read are counted.

    keys: hashes of the keys of the person's mutations that were seen.
    """

    def __init__(self, documents: Documents, person: Person) -> None:
        self._documents = documents
        self._person = person
        self._unreadable = 0
        self.keys: set[str] = set()

    def held(self) -> list[Audience]:
        """Audiences with a hold, in the order of connector and ID."""
        found = self._documents.query(Query(docs.AUDIENCES, (), ["held_by"]))
        return [one.audience for one in docs.load_all(self._documents, found)]

    def through(self, audience: Audience) -> Iterator[tuple[int, Message]]:
        """The batches of its hold with a mutation of the person, each with its place, in order."""
        collection = docs.waiting_in(docs.path_of(audience.connector, audience.id))
        after = 0
        while page := self._documents.query(Query(collection, [("place", ">", after)], ["place"], limit=_READ_AT_ONCE)):
            for stored in page:
                after = stored.fields["place"]
                message = self._read(stored.fields["body"])
                keys = keys_in(self._person, message) if message is not None else None
                if message is not None and keys:
                    self.keys |= keys
                    yield after, message

    def traces_in(self, audience: Audience) -> Iterator[Trace]:
        """In its hold."""
        reason = audience.hold.reason if audience.hold else ""
        for _, message in self.through(audience):
            yield from traces_of(self._person, message, place="hold", reason=reason)

    def rejections(self, user_hash: str) -> Iterator[Trace]:
        """Under this hash."""
        line = line_of(None, None, user_hash)
        for page in line.pages(self._documents, fields=(line.field, "record")):
            for _, stored in page:
                yield trace_of_rejection(rejection_in(stored))

    def unseen(self) -> tuple[str, ...]:
        """A sentence, if any batch could not be read."""
        return unreadable(self._unreadable)

    def _read(self, body: bytes) -> Message | None:
        if not self._person.may_be_in(body):
            return None
        try:
            return decode(body)
        except (msgspec.MsgspecError, UnknownVersion):
            self._unreadable += 1
            return None
