"""Room on the disk: the receiver leaves some, so that a worker can still work off what was accepted.

Working off needs room before it gives any back: a turn, a hold and an acknowledgement are first written to the log (WAL), and
what is in the log goes into the database only where that can still grow. A disk that requests could fill to the last byte would
stay full for ever.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from relay.backends.embedded.failures import DiskFull
from relay.domain.clock import Clock

WORKERS_BYTES = 64 * 1024 * 1024
"""Left to workers and operators: 32 turns whose messages (512 KB at most) are in the queue and in a hold at the same time, the
log of that, and reports. Free space within the database counts, too: deleted messages leave it there."""

LOG_BYTES = 32 * 1024 * 1024
"""Of these, what must be free on the disk itself: twice as much as the largest transaction of a worker writes to the log, which
is what one step settles of a hold (16 MB), since what is deleted is overwritten. Usually the log is then written back and begins
anew; while somebody reads, the next one is written behind it (https://sqlite.org/wal.html#avoiding_excessively_large_wal_files)."""

MOVED_BYTES = 200
"""Left for each message in the queue besides: a batch in a hold takes more than a message in the queue (about 160 bytes), and all
of them can come to wait there."""


PLENTY_BYTES = 1024 * 1024 * 1024
"""Beyond what is left to the workers. Where there is so much, it is looked at anew only after `_GOOD_FOR_S`, or when as much was
stored: to look takes as long as to store a small request."""

_GOOD_FOR_S = 0.2

_NEARLY_FULL = "The disk is nearly full: no more requests are stored, so that what was accepted can still be delivered."


class Room:
    """The room on the disk as one process asks for it before each commit."""

    def __init__(self, database: Path, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._plenty_until = float("-inf")
        self._stored = 0

    def require(self, connection: sqlite3.Connection, size: int) -> None:
        """Raises `DiskFull` where so many bytes, stored, would take of what is left to the workers. Within a transaction."""
        now = self._clock.monotonic()
        if now < self._plenty_until and self._stored + size < PLENTY_BYTES:
            self._stored += size
            return
        if not has_room(connection, self._database, size):
            raise DiskFull(_NEARLY_FULL)
        if has_room(connection, self._database, 2 * PLENTY_BYTES):
            self._plenty_until, self._stored = now + _GOOD_FOR_S, size


def has_room(connection: sqlite3.Connection, database: Path, size: int) -> bool:
    """Whether so many bytes can be stored beside what is left to the workers. Within a transaction, or a snapshot."""
    disk = os.statvfs(database.parent)
    page_size, pages, unused = (
        int(connection.execute(f"PRAGMA {pragma}").fetchone()[0]) for pragma in ("page_size", "page_count", "freelist_count")
    )
    # The database's new pages are in the log only, until that is written back.
    owed = max(0, pages * page_size - database.stat().st_size)
    free = disk.f_bavail * disk.f_frsize - owed
    left = free + unused * page_size - WORKERS_BYTES - 2 * size
    if free < LOG_BYTES + size or left < 0:
        return False
    # Counted only where it matters, since there can be very many keys.
    return left >= MOVED_BYTES * _queued_at_most(connection) or left >= MOVED_BYTES * _queued(connection)


def _queued_at_most(connection: sqlite3.Connection) -> int:
    """How many messages are in the queue if none between the oldest and the newest has left it."""
    oldest, newest = connection.execute("SELECT (SELECT min(id) FROM messages), (SELECT max(id) FROM messages)").fetchone()
    return 0 if oldest is None else int(newest - oldest + 1)


def _queued(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("SELECT coalesce(sum(messages), 0) FROM keys").fetchone()[0]
    return number
