"""Journaled messages of one audience brought into order, whatever their number, within a bounded amount of memory.

Where each one lies is noted in a temporary database, which goes to disk when it grows (https://sqlite.org/inmemorydb.html). What
they hold is kept as long as it fits, and else read again from the objects, some at a time.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from relay.backends.google.storage import Stored
from relay.domain.errors import StoreUnavailable

KEPT_BYTES = 16 * 1024 * 1024
"""Of messages in memory at once."""

NUMBERS = 1_000
"""Numbers for messages that Pub/Sub took in the same microsecond: more than it takes in one call cannot be told apart."""

_TABLES = """
CREATE TABLE found (
    digest BLOB PRIMARY KEY, micros INTEGER, received_at REAL, part INTEGER, bytes INTEGER, object INTEGER
) WITHOUT ROWID;
"""

_NOTE = """
INSERT INTO found VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (digest) DO UPDATE SET micros = excluded.micros, object = excluded.object WHERE excluded.micros >= micros
"""

Read = Callable[[Stored], Iterator[bytes]]
"""Reads an object again: what each message of the audience in it holds."""


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

    def __init__(self, read: Read, *, kept_bytes: int) -> None:
        self._read = read
        self._kept_bytes = kept_bytes
        self._database = sqlite3.connect("", check_same_thread=False)
        self._database.executescript(_TABLES)
        self._objects: list[Stored] = []
        self._kept: dict[bytes, bytes] | None = {}
        self._bytes = 0

    def close(self) -> None:
        """What it noted is gone then."""
        self._database.close()
        self._kept = None

    @property
    def empty(self) -> bool:
        """Whether nothing was noted."""
        return self._database.execute("SELECT 1 FROM found LIMIT 1").fetchone() is None

    def begin(self, stored: Stored) -> None:
        """What is noted from now on is in this object."""
        self._objects.append(stored)

    def note(self, micros: int, received_at: float, part: int, data: bytes) -> None:
        """A message of the object that was begun last."""
        digest = digest_of(data)
        self._database.execute(_NOTE, (digest, micros, received_at, part, len(data), len(self._objects) - 1))
        if self._kept is None or digest in self._kept:
            return
        self._bytes += len(data)
        if self._bytes > self._kept_bytes:
            self._kept = None
        else:
            self._kept[digest] = data

    def above(self, number: int) -> Iterator[Placed]:
        """Those with larger numbers."""
        run: list[tuple[bytes, int, int, int]] = []
        size = 0
        for digest, micros, own, length, stored in self._numbered(number):
            if run and size + length > self._kept_bytes and self._kept is None:
                yield from self._filled(run)
                run, size = [], 0
            run.append((digest, own, micros, stored))
            size += length
        yield from self._filled(run)

    def _numbered(self, above: int) -> Iterator[tuple[bytes, int, int, int, int]]:
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
                yield digest, micros, own, length, stored

    def _filled(self, run: list[tuple[bytes, int, int, int]]) -> Iterator[Placed]:
        held = self._kept if self._kept is not None else self._again(run)
        for digest, own, micros, _ in run:
            if digest not in held:
                raise StoreUnavailable("The journal was changed while it was read.")
            yield Placed(own, micros, held[digest])

    def _again(self, run: list[tuple[bytes, int, int, int]]) -> dict[bytes, bytes]:
        wanted = {digest for digest, *_ in run}
        held: dict[bytes, bytes] = {}
        for number in sorted({stored for *_, stored in run}):
            for data in self._read(self._objects[number]):
                digest = digest_of(data)
                if digest in wanted:
                    held[digest] = data
        return held


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
