"""`interfaces.Traces` on Firestore and Cloud Storage. Into what waits in Pub/Sub nobody can look."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from relay.backends.google import audience_documents as docs
from relay.backends.google.documents import Documents, Query, Write
from relay.backends.google.forgetting import Forgetting
from relay.backends.google.rejections import line_of, rejection_in
from relay.backends.interfaces.traces import (
    PLACES,
    Forgotten,
    Found,
    Met,
    Place,
    Trace,
    in_order,
    keys_in,
    rejection_hashes,
    split,
    trace_of_rejection,
    traces_of,
    unreadable,
)
from relay.domain.audience import Audience
from relay.domain.clock import Clock
from relay.domain.errors import ConfigurationError
from relay.domain.message import Message, Mutation, UnknownVersion, decode
from relay.domain.person import Person

if TYPE_CHECKING:
    from relay.backends.google.connectors import GoogleConnectors
    from relay.backends.google.journal import Among, GoogleJournal, Matches
    from relay.backends.interfaces import Journaled

_READ_AT_ONCE = 20
"""Batches of a hold, each up to 512 KB: they come well within the time of a query."""

_DELETED_AT_ONCE = 500

_PUBSUB = (
    "What waits in Pub/Sub cannot be looked into: it is delivered, or joins a hold, as ever. Repeat this once the oldest "
    "message there (Cloud Monitoring: subscription/oldest_unacked_message_age) came after now."
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
        person, entries, trouble = self._met(person)
        looked = _Looking(self._documents, person)
        holds = [trace for held in looked.held() for trace in looked.traces_in(held)]
        journal = [trace for entry in entries for trace in traces_of(person, entry.message, place="journal")]
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
        person, entries, trouble = self._met(person)
        looked = _Looking(self._documents, person)
        removed: dict[Place, int] = dict.fromkeys(PLACES, 0)
        kept: list[Trace] = []
        # The journal before the holds, which replays fill from it. What brings the person back goes first, and removals only
        # where no replay waits that may have sent it already: then at every moment a replay that sends what is left of them ends
        # with the person removed.
        journaled = [trace for entry in entries for trace in traces_of(person, entry.message, place="journal")]
        if any(trace.direction == "joined" for trace in journaled):
            number, failure = self._forget_journaled(lambda one: one.direction == "joined" and person.matches(one))
            removed["journal"], trouble = number, (*trouble, *failure)
        replayed = {(trace.connector, trace.audience) for trace in journaled}
        keys = {trace.user_hash for trace in journaled}
        for held in looked.held():
            forgetting = Forgetting(self._documents, self._clock, person, held.connector, held.id)
            if (held.connector, held.id) in replayed:
                forgetting.end_turn()  # it may be a replay's, and have read of the journal what is gone from it
            forgetting.forget([place for place, _ in looked.through(held)])
            removed["hold"] += len(forgetting.gone)
            kept += forgetting.kept.values()
        removals = _Removals(person, entries, looked.replaying)
        kept += removals.kept
        if removals.any_goes and not trouble:
            number, trouble = self._forget_journaled(removals.goes, removals.among)
            removed["journal"] += number
        for user_hash in rejection_hashes(person, keys | looked.keys):
            removed["rejections"] += self._forget_rejections(user_hash)
        return Forgotten(
            removed=removed,
            kept=tuple(kept),
            unreached=(*trouble, *looked.unseen()),
            remains=(_PUBSUB, *self._late(), _COPIES),
        )

    def _met(self, person: Person) -> tuple[Person, list[Journaled], tuple[str, ...]]:
        """The person with the keys of their users, theirs of the journal in order, and why it could not be looked into."""
        entries, trouble = self._journaled(person)
        met, looked = Met(person), _Looking(self._documents, person)
        for entry in entries:
            met.note(entry.message)
        for held in looked.held():
            for _, message in looked.through(held):
                met.note(message)
        known = met.person()
        if met.keys:
            entries, trouble = self._journaled(known)
        return known, entries, trouble

    def _journaled(self, person: Person) -> tuple[list[Journaled], tuple[str, ...]]:
        """Batches in the journal with mutations of theirs, without those of others, in order, and why it could not be looked
        into."""
        found: list[Journaled] = []
        trouble: tuple[str, ...] = ()
        try:
            for entry in self._journal.find(person.matches):
                theirs = tuple(mutation for mutation in entry.message.mutations if person.matches(mutation))
                found.append(replace(entry, message=replace(entry.message, mutations=theirs)))
        except ConfigurationError as error:
            # Where no journal is kept, none has to be there.
            trouble = (f"The journal could not be looked into. {error}",) if self._keeps_journal() else ()
        return sorted(found, key=lambda entry: (entry.position, entry.message.received_at, entry.message.part)), trouble

    def _forget_journaled(self, matches: Matches, among: Among | None = None) -> tuple[int, tuple[str, ...]]:
        """How many mutations went, and why they could not."""
        try:
            return self._journal.forget(matches, among), ()
        except ConfigurationError as error:
            return 0, (f"The journal could not be changed. {error}",)

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


class _Removals:
    """Those of the journal, given what was found there before what brings the person back was taken out of it.

    kept: those that stay.
    """

    def __init__(self, person: Person, entries: Sequence[Journaled], replaying: Collection[tuple[str, str]]) -> None:
        self._person = person
        self._replaying = replaying
        self._seen: dict[tuple[str, str], int] = {}
        """Connector and audience → the last position that was found. What stands behind it came later."""
        self.kept: list[Trace] = []
        self.any_goes = False
        for entry in entries:
            message, of = entry.message, (entry.message.connector, entry.message.audience)
            self._seen[of] = max(entry.position, self._seen.get(of, 0))
            replays = of in replaying
            rest, gone = split(person, message, removals_too=not replays)
            self.kept += traces_of(person, rest, place="journal", reason="replaying" if replays else "")
            self.any_goes = self.any_goes or any(one.direction == "left" for one in gone.mutations)

    def among(self, connector: str, audience: str, position: int) -> bool:
        """Whether removals in such a batch may go."""
        of = (connector, audience)
        return of not in self._replaying and position <= self._seen.get(of, -1)

    def goes(self, mutation: Mutation) -> bool:
        """Whether it is a removal that may."""
        return mutation.direction == "left" and self._person.matches(mutation) and self._person.knows(mutation)


class _Looking:
    """Through holds and rejections. Batches that cannot be read are counted.

    keys: hashes of the keys of the person's mutations that were seen. replaying: connector and audience of the holds in which a
    replay waits.
    """

    def __init__(self, documents: Documents, person: Person) -> None:
        self._documents = documents
        self._person = person
        self._unreadable = 0
        self.keys: set[str] = set()
        self.replaying: set[tuple[str, str]] = set()

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
                if not stored.fields["items"] and _may_replay(stored.fields["body"]):
                    self.replaying.add((audience.connector, audience.id))
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


def _may_replay(body: bytes) -> bool:
    """Whether it is a replay, or nobody can tell."""
    try:
        return decode(body).kind == "replay"
    except (msgspec.MsgspecError, UnknownVersion):
        return True
