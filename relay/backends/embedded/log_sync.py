"""Brings commits of several threads to the disk together, while others commit."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from contextlib import suppress
from pathlib import Path

from relay.domain.computing import computing
from relay.domain.errors import StoreUnavailable

UNSYNCED_S = 0.1
"""What was committed so long ago is on the disk before another turn begins."""

_sync = getattr(os, "fdatasync", os.fsync)


class LogSync:
    """Of SQLite's write-ahead log. With `synchronous=FULL` SQLite itself does this at each commit, one after another, and nobody
    can write meanwhile.

    What was committed without (`NORMAL`) is in the log's file when the commit has ended, and on the disk once that file is
    synced, by whichever handle. If the log began anew in between, what was in it has been synced into the database before
    (https://sqlite.org/wal.html#performance_considerations).

    The system reports a failed sync once, and then counts what it could not write as written. So after one, nothing more is
    promised: what is added to this log may stand behind a gap, where a loss of power would cut it off. That ends when the
    whole log has been copied into the database, which the system still can, and begins anew (`mend`).

    in_doubt  the disk has reported an error since
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self.in_doubt = False
        self._committed = 0
        self._synced = 0
        self._synced_at = float("-inf")
        """When the last sync that succeeded began: all that had been committed by then is on the disk."""
        self._syncing = threading.Lock()

    def committed(self) -> int:
        """The number of the commit that has just ended. By one thread at a time."""
        self._committed += 1
        return self._committed

    def bound(self, number: int) -> None:
        """Returns once all that was committed more than `UNSYNCED_S` ago, by whichever process, is on the disk; that commit, the
        newest of this process, may be or not. Raises `StoreUnavailable`."""
        if time.monotonic() - self._synced_at > UNSYNCED_S:
            self.require(number)
        else:
            self.require_sound()

    def require(self, number: int) -> None:
        """Returns once that commit is on the disk, with all before it. Raises `StoreUnavailable`; then it may be or not."""
        with computing.waiting(), self._syncing:
            if self._synced >= number:
                return  # somebody synced after it
            self.require_sound()
            covered, began = self._committed, time.monotonic()
            try:
                # Where there is no log (a file system on which processes cannot share one), SQLite syncs each commit itself.
                with suppress(FileNotFoundError):
                    self._sync_log()
            except OSError as error:
                self.in_doubt = True
                raise StoreUnavailable("The disk reported an error while the database was written.") from error
            self._synced, self._synced_at = covered, began

    def require_sound(self) -> None:
        """Raises `StoreUnavailable` while the log is in doubt."""
        if self.in_doubt:
            raise StoreUnavailable("The disk reported an error, and what was written since may not be on it.")

    def mend(self, connection: sqlite3.Connection) -> None:
        """Brings what is in doubt to the disk with the database itself. By the one thread that may write, before it
        begins.

        Raises `StoreUnavailable` where that cannot be done now, for one because somebody still reads an older state;
        `sqlite3.Error` where the disk fails again.
        """
        if not self.in_doubt:
            return
        with self._syncing:
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if busy:
                self.require_sound()
            self._synced = self._committed
            self.in_doubt = False

    def written_at(self) -> float | None:
        """See `Database.written_at`."""
        try:
            return os.stat(self._path()).st_mtime
        except OSError:
            return None

    def _sync_log(self) -> None:
        # Opened anew each time, since its name may stand for another file by now. It has no locks that closing it would lose:
        # SQLite has those elsewhere.
        handle = os.open(self._path(), os.O_RDONLY | os.O_CLOEXEC)
        try:
            _sync(handle)
        finally:
            os.close(handle)

    def _path(self) -> str:
        # SQLite has it beside the file that a link leads to.
        database = self._database.resolve() if self._database.is_symlink() else self._database
        return f"{database}-wal"
