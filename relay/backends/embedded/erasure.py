"""What was deleted is not to be read in the database's files any more.

SQLite overwrites what is deleted (`PRAGMA secure_delete`, set for every connection). Two things can outlast that: pages in the
log (WAL), until it is emptied, and copies in unused parts of pages, which SQLite leaves where it moves rows from page to page.
Only rewriting the file (`VACUUM`) is sure to end those.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from relay.backends.embedded.database import Database
from relay.backends.embedded.failures import readable
from relay.domain.clock import Clock

_CHECKPOINT_BUSY_MS = 200
"""A checkpoint that waits for readers keeps writers waiting: not for long at a time."""

_CHECKPOINT_TRIES = 20
_PAUSE_S = 0.25
_REWRITE_BUSY_MS = 5_000
_AT_ONCE = 4 * 1024 * 1024

SMALL_BYTES = 64 * 1024 * 1024
"""A database up to this size is rewritten within a second or two."""


class Erasure:
    """Of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def empty_log(self) -> bool:
        """Writes the log back into the database and cuts it to nothing. False where readers stood in the way all the time."""
        with self._connection(_CHECKPOINT_BUSY_MS) as connection:
            for _ in range(_CHECKPOINT_TRIES):
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                if connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0:
                    return True
                self._clock.sleep(_PAUSE_S)
        return False

    def rewrite(self) -> None:
        """Copies what there is into fresh pages. Writers wait until it is done; it needs the database's size twice on the disk.
        Raises `StoreUnavailable`."""
        with self._connection(_REWRITE_BUSY_MS) as connection:
            connection.execute("VACUUM")

    def size(self) -> int:
        """Bytes of the database's file."""
        return self._database.path.stat().st_size

    def copies(self, needles: Sequence[bytes]) -> bool:
        """Whether one of these (in lower case) stands in the database's file, in whatever case. What is in the log only is what
        was written since it was emptied."""
        overlap = max(map(len, needles), default=1) - 1
        descriptor = _opened(self._database.path)
        position, before = 0, b""
        while chunk := os.pread(descriptor, _AT_ONCE, position):
            window = before + chunk.lower()
            if any(needle in window for needle in needles):
                return True
            position += len(chunk)
            before = window[-overlap:] if overlap else b""
        return False

    @contextmanager
    def _connection(self, busy_ms: int) -> Iterator[sqlite3.Connection]:
        """One of its own: other threads use theirs meanwhile."""
        with closing(self._database.connect()) as connection, readable():
            connection.execute(f"PRAGMA busy_timeout = {busy_ms}")
            yield connection


def _opened(path: Path) -> int:
    """A descriptor for reading. It stays open as long as the process lives: to close any descriptor of a file takes away all
    locks that the process has on it, those of SQLite, too
    (https://sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_)."""
    found = os.stat(path)
    with _guard:
        place = (found.st_dev, found.st_ino)
        if place not in _never_closed:
            _never_closed[place] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        return _never_closed[place]


_guard = threading.Lock()
_never_closed: dict[tuple[int, int], int] = {}
"""Device and inode of a file → its descriptor."""
