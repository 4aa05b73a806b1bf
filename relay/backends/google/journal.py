"""`interfaces.Journal` on Cloud Storage: what Pub/Sub's subscriptions wrote there of the messages that say so (`journal`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from relay.backends.google import journal_objects as written
from relay.backends.google.journal_memory import Memory
from relay.backends.google.journal_order import KEPT_BYTES, NUMBERS, InOrder, Room, Seen, digest_of
from relay.backends.google.journal_reading import Readers, Reading
from relay.backends.google.storage import Bucket, Gone, Stored
from relay.backends.interfaces import Journaled, JournalSize
from relay.configuration import Configuration
from relay.domain.clock import Clock
from relay.domain.errors import ConfigurationError, JournalBehind, StoreUnavailable
from relay.domain.message import Message, Mutation, decode, encode

if TYPE_CHECKING:
    from relay.backends.google.channels import Channels

_RECEIVERS_LEARN_S = 60.0
"""A receiver reads the inbound document again at least so often."""

_MARGIN_S = 60.0

_PATIENCE_S = 600.0
"""What has not come after so long does not come by itself: Pub/Sub finishes an object after ten minutes at the most."""

_READ_S = 40.0
"""For one reading: the turn that it is done in has two minutes. The next one goes on with what was remembered."""

_IN_TURN_S = 10.0
"""So long a reading waits for another one of its process: each may have some ten megabytes of objects on the way."""

_DAY_S = 86400.0
_SHORTEST_KEPT_S = min(written.KEPT_DAYS) * _DAY_S

_TRIES = 5
_REWRITTEN_AT_ONCE = 4
"""Objects that are rewritten at once: each is in memory as a whole."""

T = TypeVar("T")

Matches = Callable[[Mutation], bool]
Among = Callable[[str, str, int], bool]
"""Of a batch: by its connector, its audience and its position (`Journaled.position`)."""


class GoogleJournal:
    """Each reading goes through all objects of its time, since they are not kept by audience. What they hold of one is remembered
    for the next reading (`journal_memory`). One reading goes through them at a time in each process."""

    def __init__(
        self, channels: Channels, configuration: Configuration, clock: Clock, *, kept_bytes: int = KEPT_BYTES
    ) -> None:
        """kept_bytes: of messages in memory at once: twice as much for all who read, an eighth of it for each of them, and half
        for what is remembered."""
        self._bucket = partial(Bucket, channels, configuration)
        self._configuration = configuration
        self._clock = clock
        self._memory = Memory(kept_bytes // 2, clock.monotonic)
        self._room = Room(2 * kept_bytes)
        self._run_bytes = kept_bytes // 8
        self._gathering = threading.Lock()

    @property
    def late_s(self) -> float:
        return _RECEIVERS_LEARN_S + _MARGIN_S

    def sizes(self, connector: str, *, since: float) -> list[JournalSize]:
        """Raises `ConfigurationError` where there is no bucket, or no right to it."""
        found: dict[str, JournalSize] = {}

        def sized(exported: written.Exported, head: written.Head) -> JournalSize | None:
            if head.connector != connector:
                return None
            return JournalSize(head.audience, 1, len(head.mutations), exported.micros / 1_000_000)

        for one in self._once(sized, since=since):
            before = found.get(one.audience) or JournalSize(one.audience, 0, 0, one.first_at)
            found[one.audience] = JournalSize(
                one.audience, before.batches + 1, before.items + one.items, min(before.first_at, one.first_at)
            )
        return [found[audience] for audience in sorted(found)]

    def entries(
        self, connector: str, audience_id: str, *, since: float, after: int, until: int | None
    ) -> Generator[Journaled, None, None]:
        """`after` and the positions of what is yielded are numbers of `journal_order.InOrder`, finer than those of the queue, of
        which `until` is one.

        That everything up to there has arrived shows in the replay's own message, or in a later one of its key: the subscription
        keeps the order of a key (https://cloud.google.com/pubsub/docs/ordering). They count only after a time in which whatever
        was begun before is finished, for where the messages of a key went to two objects. `JournalBehind`, too, where somebody
        has to do something before the journal can be read, and says what.
        """
        try:
            yield from self._entries(connector, audience_id, since=since, after=after, until=until)
        except ConfigurationError as error:
            raise JournalBehind(str(error)) from error

    # erasure

    def find(self, matches: Matches) -> Iterator[Journaled]:
        """Every batch, of any connector, with a mutation that matches. What was accepted in the last minutes may be missing.

        Raises `ConfigurationError` where there is no bucket, or no right to it.
        """

        def matching(exported: written.Exported, _head: written.Head) -> Journaled | None:
            message = decode(exported.data)
            found = any(matches(mutation) for mutation in message.mutations)
            return _journaled(exported.micros * NUMBERS, exported.micros, message) if found else None

        yield from self._once(matching, since=0.0)

    def forget(self, matches: Matches, among: Among | None = None) -> int:
        """Takes the mutations that match out of every batch, or of each of which `among` is true; one that has none left goes.
        Objects in which there are some are written anew. Returns how many mutations went.

        What was accepted in the last minutes may not be there yet: `settled_s` later it is.
        """
        with closing(Readers(self._bucket, _REWRITTEN_AT_ONCE)) as readers:
            there = list(written.objects(readers.bucket, since=0.0))
            return sum(readers.results(iter(there), partial(_forget_in, matches=matches, among=among)))

    @property
    def settled_s(self) -> float:
        """Seconds after which what was accepted is in the bucket, if Pub/Sub is well."""
        return 2 * self._configuration.journal_batch_s

    # the parts of these

    def _entries(
        self, connector: str, audience_id: str, *, since: float, after: int, until: int | None
    ) -> Iterator[Journaled]:
        replayed_at = 0.0 if until is None else until / 1_000_000
        known_to_be_there = until is None or after > 0  # who has got something has been told that all is there
        with (
            closing(Reading(self._bucket, self._memory, f"{connector}/{audience_id}")) as reading,
            closing(InOrder(reading.again, self._room, run_bytes=self._run_bytes)) as order,
        ):
            if not known_to_be_there and self._clock.now() < replayed_at + self.settled_s:
                raise JournalBehind(_being_written(self.settled_s))
            with self._one_at_a_time():
                arrived = self._gather(reading, order, since=since, after=after, until=until)
            # What shows that all has arrived is deleted after its days like everything else, and then all before it is, too.
            old = self._clock.now() > replayed_at + _SHORTEST_KEPT_S and order.empty
            if not (known_to_be_there or arrived or old):
                raise JournalBehind(self._missing(replayed_at))
            for placed in order.above(after):
                yield _journaled(placed.number, placed.micros, decode(placed.data))

    def _gather(self, reading: Reading, order: InOrder, *, since: float, after: int, until: int | None) -> bool:
        """Notes what is between these. Whether it shows that all of it has arrived. Raises `JournalBehind`, too, where something
        behind `after` may have grown too old meanwhile: to go on would jump over it, and what was sent before could be older."""
        give_up_at = self._clock.monotonic() + _READ_S
        from_s = max(since, after / NUMBERS / 1_000_000)
        arrived = False
        stands = after == 0
        kept_days = set[int]()
        for number, (stored, notes) in enumerate(reading.all(written.objects(reading.bucket, since=from_s))):
            if self._clock.monotonic() > give_up_at:
                raise JournalBehind(f"The journal is large and is still being read: {number:,} objects until now.")
            order.begin(stored)
            for note in notes:
                kept_days.add(written.days_of(stored))
                stands = stands or note.micros == after // NUMBERS
                # The last digit may differ: Pub/Sub says the time in two forms, which may have been rounded in two ways.
                if until is not None and note.micros >= until - 1 and (note.kind == "replay" or note.micros > until + 1):
                    arrived = True
                if note.kind == "change" and note.micros >= since * 1_000_000 and (until is None or note.micros <= until):
                    order.note(note)
        # As long as what it stands at is there, what was taken later is. And nothing goes before its days are over.
        whole_since = self._clock.now() - min(kept_days, default=min(written.KEPT_DAYS)) * _DAY_S
        if not stands and after / NUMBERS / 1_000_000 < whole_since:
            raise JournalBehind(
                "This replay has waited for so long that what it was to send next has grown too old and is deleted. Discard what "
                "waits (diy holds discard), and have the DMP send the audience again."
            )
        return arrived

    @contextmanager
    def _one_at_a_time(self) -> Iterator[None]:
        if not self._gathering.acquire(timeout=_IN_TURN_S):
            raise JournalBehind("The journal is being read for other audiences.")
        try:
            yield
        finally:
            self._gathering.release()

    def _once(self, select: Callable[[written.Exported, written.Head], T | None], *, since: float) -> Iterator[T]:
        """What is selected of every change that was taken since then, of one that was written twice once. `select` is called in
        several threads."""

        def selected(bucket: Bucket, stored: Stored) -> list[tuple[bytes, T]]:
            found: list[tuple[bytes, T]] = []
            for exported in written.present(bucket, stored):
                head = written.head_of(exported.data) if exported.micros >= since * 1_000_000 else None
                one = select(exported, head) if head is not None and head.kind == "change" else None
                if one is not None:
                    found.append((digest_of(exported.data), one))
            return found

        with closing(Readers(self._bucket)) as readers, closing(Seen()) as seen:
            for found in readers.results(written.objects(readers.bucket, since=since), selected):
                yield from (one for digest, one in found if seen.first_time(digest))

    def _missing(self, replayed_at: float) -> str:
        waited_s = self._clock.now() - replayed_at
        if waited_s < _PATIENCE_S:
            return _being_written(self.settled_s)
        topic = self._configuration.topic
        return (
            f"For {waited_s / 60:,.0f} minutes Pub/Sub has not written to the journal's bucket what came before this replay. "
            f"Look at the state of its subscriptions: gcloud pubsub subscriptions list --filter=name~{topic}-journal "
            "--format='value(name.basename(),cloudStorageConfig.state)'; see deploy/README.md, The journal."
        )


def _forget_in(bucket: Bucket, stored: Stored, *, matches: Matches, among: Among | None) -> int:
    for _ in range(_TRIES):
        try:
            with bucket.read(stored) as stream:
                content = stream.read()
            forgotten, change = _without_matching(content, stored.name, matches, among)
            if change:
                rest = written.rewritten(content, stored.name, change)
                if rest is None:
                    bucket.delete(stored)
                else:
                    bucket.replace(stored, rest)
            return forgotten
        except Gone:
            try:
                stored = bucket.look(stored.name)
            except Gone:
                return 0
    raise StoreUnavailable("The journal is changed faster than it can be rewritten.")


def _without_matching(content: bytes, name: str, matches: Matches, among: Among | None) -> tuple[int, dict[int, bytes | None]]:
    """How many mutations match, and what the records in which there are some hold without them."""
    forgotten = 0
    change: dict[int, bytes | None] = {}
    for number, exported in enumerate(written.parsed(content, name)):
        head = written.head_of(exported.data)
        if head is None or head.kind != "change":
            continue
        if among is not None and not among(head.connector, head.audience, exported.micros * NUMBERS):
            continue
        message = decode(exported.data)
        kept = tuple(mutation for mutation in message.mutations if not matches(mutation))
        if len(kept) < len(message.mutations):
            forgotten += len(message.mutations) - len(kept)
            change[number] = encode(replace(message, mutations=kept)) if kept else None
    return forgotten, change


def _journaled(position: int, micros: int, message: Message) -> Journaled:
    return Journaled(position=position, accepted_at=micros / 1_000_000, message=message)


def _being_written(settled_s: float) -> str:
    return f"What came before this replay is being written to the journal's bucket, which takes up to {settled_s:g} s."
