"""Journaled messages of one audience brought into order, whatever their number, within a bounded amount of memory.

Where each one lies is noted in a temporary database, which goes to disk when it grows (https://sqlite.org/inmemorydb.html). What
they hold is kept as long as there is room for it, and else read again from the objects, some at a time.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from relay.backends.google.journal_memory import Note
from relay.backends.google.storage import Stored
from relay.domain.errors import StoreUnavailable

KEPT_BYTES = 16 * 1024 * 1024
"""Of messages in memory at once, see `Room`."""

_RUN_OBJECTS = 256
_RUN_MESSAGES = 4_096
"""The most of either that are read again together."""

NUMBERS = 1_000
"""Numbers for messages that Pub/Sub took in the same microsecond: more than it takes in one call cannot be told apart."""

_TABLES = """
CREATE TABLE found (
    digest BLOB PRIMARY KEY, micros INTEGER, received_at REAL, part INTEGER, bytes INTEGER, object INTEGER
) WITHOUT ROWID;
CREATE TABLE objects (number INTEGER PRIMARY KEY, stored BLOB);
"""

_NOTE = """
INSERT INTO found VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET micros = excluded.micros, object = excluded.object WHERE excluded.micros >= micros
"""

ReadAgain = Callable[[Mapping[Stored, set[bytes]]], Iterator[Mapping[bytes, bytes]]]
"""Of each of the objects, in their order, the messages with these digests: what each holds."""


class Room:
    """For the messages that all readings of a process keep at once. Safe for several threads."""

    def __init__(self, most_bytes: int) -> None:
        self._free = most_bytes
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether there was as much."""
        with self._lock:
            enough = size <= self._free
            self._free -= size if enough else 0
            return enough

    def give_back(self, size: int) -> None:
        """It is free again."""
        with self._lock:
            self._free += size


class Placed(NamedTuple):
    """A message in order. number: see `InOrder`. micros: when Pub/Sub took it."""

    number: int
    micros: int
    data: bytes


class InOrder:
    """The messages of one audience. Each is there once, at the last of its places: where the same one was published again, since
    a first confirmation did not come, or written again, the last one is what counts.

    In order of the time at which Pub/Sub took them, then of that at which the request came, then of the parts of a request. Their
    numbers have that order, too, are the same at every reading, and no two are equal: the microsecond times 1,000, counted on.
    """

    def __init__(self, read_again: ReadAgain, room: Room, *, run_bytes: int) -> None:
        """run_bytes: of messages that are read again together."""
        self._read_again = read_again
        self._room = room
        self._run_bytes = run_bytes
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.executescript(_TABLES)
        self._stored: Stored | None = None
        self._object = 0
        self._kept: dict[bytes, bytes] = {}
        self._bytes = 0

    def close(self) -> None:
        """What it noted is gone then."""
        self._database.close()
        self._kept.clear()
        self._room.give_back(self._bytes)
        self._bytes = 0

    @property
    def empty(self) -> bool:
        """Whether nothing was noted."""
        return self._database.execute("SELECT 1 FROM found LIMIT 1").fetchone() is None

    def begin(self, stored: Stored) -> None:
        """What is noted from now on is in this object."""
        self._stored = stored

    def note(self, note: Note) -> None:
        """A message of the object that was begun last."""
        if self._stored is not None:  # only now: most objects hold nothing of the audience
            self._object += 1
            self._database.execute("INSERT INTO objects VALUES (?, ?)", (self._object, msgspec.json.encode(self._stored)))
            self._stored = None
        self._database.execute(_NOTE, (note.digest, note.micros, note.received_at, note.part, note.size, self._object))
        if note.data is not None and note.digest not in self._kept and self._room.take(note.size):
            self._kept[note.digest] = note.data
            self._bytes += note.size

    def above(self, number: int) -> Iterator[Placed]:
        """Those with larger numbers."""
        run: list[_Row] = []
        objects: set[int] = set()
        size = 0
        for row in self._numbered(number):
            more = row.length if row.digest not in self._kept else 0
            one_more = row.object not in objects and len(objects) >= _RUN_OBJECTS
            is_full = one_more or size + more > self._run_bytes or len(run) >= _RUN_MESSAGES
            if run and is_full:
                yield from self._filled(run)
                run, objects, size = [], set(), 0
            run.append(row)
            size += more
            if more:
                objects.add(row.object)
        yield from self._filled(run)

    def _numbered(self, above: int) -> Iterator[_Row]:
        rows: Iterable[tuple[bytes, int, int, int]] = self._database.execute(
            "SELECT digest, micros, bytes, object FROM found WHERE micros >= ? ORDER BY micros, received_at, part, digest",
            (above // NUMBERS,),
        )
        last, ordinal = -1, 0
        for digest, micros, length, stored in rows:
            ordinal = min(ordinal + 1, NUMBERS - 1) if micros == last else 0
            last = micros
            own = micros * NUMBERS + ordinal
            if own > above:
                yield _Row(digest, own, micros, length, stored)

    def _filled(self, run: list[_Row]) -> Iterator[Placed]:
        """Each as soon as the object that it lies in was read, so that whoever reads on comes further, however slow it is."""
        wanted: dict[int, set[bytes]] = {}
        for row in run:
            if row.digest not in self._kept:
                wanted.setdefault(row.object, set()).add(row.digest)
        again = self._read_again({self._at(number): digests for number, digests in wanted.items()})
        held: dict[bytes, bytes] = {}
        for row in run:
            data = self._kept.get(row.digest)
            while data is None and row.digest not in held:
                more = next(again, None)
                if more is None:
                    raise StoreUnavailable("The journal was changed while it was read.")
                held.update(more)
            yield Placed(row.number, row.micros, held.pop(row.digest) if data is None else data)

    def _at(self, number: int) -> Stored:
        (stored,) = self._database.execute("SELECT stored FROM objects WHERE number = ?", (number,)).fetchone()
        return msgspec.json.decode(stored, type=Stored)


class _Row(NamedTuple):
    digest: bytes
    number: int
    micros: int
    length: int
    object: int


class Seen:
    """Which messages there were already. As many as there are, in a temporary database."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.execute("CREATE TABLE seen (digest BLOB PRIMARY KEY) WITHOUT ROWID")

    def close(self) -> None:
        """It has forgotten them then."""
        self._database.close()

    def first_time(self, digest: bytes) -> bool:
        """Whether it was not asked for this one yet."""
        return self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (digest,)).rowcount == 1


def digest_of(data: bytes) -> bytes:
    """By which a message is known, however often it was written."""
    return hashlib.blake2b(data, digest_size=16).digest()
