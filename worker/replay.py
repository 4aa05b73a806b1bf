"""What a replay that has come first in its hold puts in front of itself: the next journaled batches, without the mutations that a
later one has overtaken.

Right without looking ahead at all: what was accepted since a moment, sent again in its order and up to the present, changes no
final state, since whatever came later comes later again. Looking ahead spares the calls, and the detours.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any

import msgspec
from msgspec.structs import replace

from relay.backends.interfaces import Journal, Journaled
from relay.domain.audience import Audience, Waiting
from relay.domain.message import MAX_MUTATIONS, Message, Mutation, Replay, encode
from relay.wide_log import log
from worker.budget import Budget

MOST_BATCHES = 500
MOST_BYTES = 3 * 1024 * 1024
"""Put in front at once: what goes into one transaction of any store."""

WINDOW = 50_000
"""Mutations for which one look ahead finds out whether a later one has overtaken them: what fits into the memory of a few turns
at once (some 15 MB for each). Of a journal that is larger, the rest is read again for each window."""

SHARE_OF_TIME = 0.25
"""Of what a turn has left, for one look ahead. What it does not get to see is sent, and again later."""

_LEAST_S = 5.0
"""With less time left, nothing is put in front that this turn could hardly deliver."""

_TIME_EVERY = 16
"""Batches between two looks at the time."""

_LONGEST_KEY = 128

_encoder = msgspec.json.Encoder()


class Expansion(msgspec.Struct, frozen=True):
    """What takes the places before the replay, and what the replay is then; None: nothing was left, it leaves."""

    batches: tuple[Waiting, ...]
    rest: Message | None


class Replaying:
    """One turn's reading of its audience's journal."""

    def __init__(self, journal: Journal, connector: str, audience_id: str, budget: Budget) -> None:
        self._journal = journal
        self._connector = connector
        self._audience_id = audience_id
        self._budget = budget
        self._last: dict[bytes, int] = {}
        """Of the present window: who and what a mutation is about → the place of the last one about it."""
        self._seen_to = 0
        """Position of the last batch in the window."""
        self._reading: _Reading | None = None

    def close(self) -> None:
        """At the end of the turn."""
        if self._reading is not None:
            self._reading.close()

    def next(self, waiting: Waiting, replay: Replay, *, max_items: int) -> Expansion | None:
        """The next batches with as many mutations as one delivery takes; None if this turn has no time for them. Raises
        `JournalBehind`."""
        if not self._budget.allows(_LEAST_S):
            return None
        reading = self._reading
        if reading is None or not reading.stands_at(replay):
            self.close()
            self._reading = reading = _Reading(self._entries(replay, after=replay.cursor, until=replay.until))
            self._seen_to = replay.cursor  # the window was another replay's: this one may begin before it
        taken = _Taken(waiting, replay, max_items)
        for entry in reading.entries():
            begins_window = entry.position > self._seen_to
            if taken.may_end_before(entry) and (taken.is_full(entry, begins_window) or not self._budget.allows(_LEAST_S)):
                reading.give_back(entry)
                break
            if begins_window:
                self._look_ahead(replay, after=taken.cursor)
            taken.add(entry, self._not_overtaken(entry))
        if not taken.moved:
            return Expansion((), None)
        expansion = taken.expansion()
        reading.stand_at(expansion.rest)
        return expansion

    def _entries(self, replay: Replay, *, after: int, until: int | None) -> Generator[Journaled, None, None]:
        return self._journal.entries(self._connector, self._audience_id, since=replay.since, after=after, until=until)

    def _look_ahead(self, replay: Replay, *, after: int) -> None:
        """Begins a window behind that position, and reads on to the end of the journal."""
        least_s = self._budget.left_for_calls_s() * (1 - SHARE_OF_TIME)
        self._last, self._seen_to = {}, after
        number, within = 0, True
        with closing(self._entries(replay, after=after, until=None)) as entries:
            for read, entry in enumerate(entries, 1):
                within = within and (number < WINDOW or entry.position == self._seen_to)
                for place, identity in _identities(entry):
                    if within or identity in self._last:
                        self._last[identity] = place
                if within:
                    number += len(entry.message.mutations)
                    self._seen_to = entry.position
                if read % _TIME_EVERY == 0 and self._budget.left_for_calls_s() < least_s:
                    return

    def _not_overtaken(self, entry: Journaled) -> tuple[Mutation, ...]:
        mutations = entry.message.mutations
        return tuple(
            mutations[place % MAX_MUTATIONS] for place, identity in _identities(entry) if self._last.get(identity, place) == place
        )


def log_replay(before: Audience, after: Audience) -> None:
    """A wide line when a replay begins, and one when it has ended: the records before and after a part of it was put in front."""
    replayed = after.replayed
    if replayed is None or replayed == before.replayed:
        return
    replay = replayed.replay
    fields: dict[str, Any] = {
        "connector": after.connector,
        "audience": after.id,
        "request_id": replayed.request_id,
        "since": replay.since,
    }
    if before.replayed is None or before.replayed.request_id != replayed.request_id:
        log("replay_began", **fields)
    if replayed.ended_at:
        duration_s = round(replayed.ended_at - replayed.began_at, 1)
        log("replay_ended", **fields, sent=replay.sent, overtaken=replay.overtaken, duration_s=duration_s)


def log_not_kept(message: Message) -> None:
    """A wide line for a replay whose journal is off by the time its turn has come."""
    log(
        "replay_dropped",
        "WARNING",
        connector=message.connector,
        audience=message.audience,
        request_id=message.request_id,
        code="journal_off",
        replays=1,
    )


class _Reading:
    """The journal as it is read on, from one part that is put in front to the next."""

    def __init__(self, entries: Generator[Journaled, None, None]) -> None:
        self._entries = entries
        self._given_back: Journaled | None = None
        self._at: Replay | None = None

    def entries(self) -> Iterator[Journaled]:
        while (entry := self._given_back or next(self._entries, None)) is not None:
            self._given_back = None
            yield entry

    def give_back(self, entry: Journaled) -> None:
        """It comes again as the next one."""
        self._given_back = entry

    def stand_at(self, rest: Message | None) -> None:
        """Where the replay is with what was read until now."""
        self._at = rest.replay if rest is not None else None

    def stands_at(self, replay: Replay) -> bool:
        """Whether this one goes on from here."""
        return self._at == replay

    def close(self) -> None:
        self._entries.close()


class _Taken:
    """What is put in front, as it comes together."""

    def __init__(self, waiting: Waiting, replay: Replay, max_items: int) -> None:
        self._waiting = waiting
        self._replay = replay
        self._max_items = max_items
        self.batches: list[Waiting] = []
        self.cursor = replay.cursor
        self._items = self._bytes = self._overtaken = 0

    @property
    def moved(self) -> bool:
        """Whether anything was taken, or passed over."""
        return self.cursor > self._replay.cursor

    def may_end_before(self, entry: Journaled) -> bool:
        """Those of one position stay together, since the cursor cannot part them."""
        return self.moved and entry.position > self.cursor

    def is_full(self, entry: Journaled, begins_window: bool) -> bool:
        """Whether what was taken is to be delivered before this one is looked at."""
        return bool(self.batches) and (
            begins_window
            or len(self.batches) >= MOST_BATCHES
            or self._bytes >= MOST_BYTES
            or self._items + len(entry.message.mutations) > self._max_items
        )

    def add(self, entry: Journaled, mutations: tuple[Mutation, ...]) -> None:
        """Takes what is left of it; passes it over if nothing is."""
        message = entry.message
        self.cursor = entry.position
        self._overtaken += sum(1 for each in message.mutations if each.unreadable is None) - len(mutations)
        if mutations:
            left = replace(message, mutations=mutations, replayed_at=self._waiting.message.received_at)
            size = len(encode(left))
            name = f"{self._waiting.message_id}/{entry.position}/{message.request_id}/{message.part}"
            self.batches.append(Waiting(0, name, left, size, self._waiting.added_at))
            self._items += len(mutations)
            self._bytes += size

    def expansion(self) -> Expansion:
        replay = replace(
            self._replay,
            cursor=self.cursor,
            sent=self._replay.sent + self._items,
            overtaken=self._replay.overtaken + self._overtaken,
        )
        return Expansion(tuple(self.batches), replace(self._waiting.message, replay=replay))


def _identities(entry: Journaled) -> Iterator[tuple[int, bytes]]:
    """Of each mutation that could be read: its place in the journal, a multiple of `MAX_MUTATIONS` for each batch, and what it is
    about, all that a mapping can see but the direction and the request itself."""
    message = entry.message
    shared = _encoder.encode((message.fields, message.customer))
    for number, mutation in enumerate(message.mutations):
        if mutation.unreadable is None:
            about = _encoder.encode((mutation.user, mutation.fields, mutation.customer)) + shared
            if len(about) > _LONGEST_KEY:
                about = hashlib.blake2b(about, digest_size=32).digest()
            yield entry.position * MAX_MUTATIONS + number, about
