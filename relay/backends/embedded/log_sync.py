"""Brings commits of several threads to the disk together, while others commit."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from relay.domain.errors import StoreUnavailable

_sync = getattr(os, "fdatasync", os.fsync)


class LogSync:
    """Of SQLite's write-ahead log. With `synchronous=FULL` SQLite itself does this at each commit, one after another, and nobody
    can write meanwhile.

    What was committed without (`NORMAL`) is in the log's file when the commit has ended, and on the disk once that file is
    synced, by whichever handle. If the log began anew in between, what was in it has been synced into the database before
    (https://sqlite.org/wal.html#performance_considerations).
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._committed = 0
        self._synced = 0
        self._syncing = threading.Lock()

    def committed(self) -> int:
        """The number of the commit that has just ended. By one thread at a time."""
        self._committed += 1
        return self._committed

    def require(self, number: int) -> None:
        """Returns once that commit is on the disk, with all before it. Raises `StoreUnavailable`; then it may be or not."""
        with self._syncing:
            if self._synced >= number:
                return  # somebody synced after it
            covered = self._committed
            try:
                # Where there is no log (a file system on which processes cannot share one), SQLite syncs each commit itself.
                with suppress(FileNotFoundError):
                    self._sync_log()
            except OSError as error:
                raise StoreUnavailable("The disk reported an error while the database was written.") from error
            self._synced = covered

    def _sync_log(self) -> None:
        # Opened anew each time, since its name may stand for another file by now. It has no locks that closing it would lose:
        # SQLite has those elsewhere.
        try:
            handle = _open(self._database)
        except FileNotFoundError:
            handle = _open(self._database.resolve())  # SQLite has it beside the file that a link leads to
        try:
            _sync(handle)
        finally:
            os.close(handle)


def _open(database: Path) -> int:
    return os.open(f"{database}-wal", os.O_RDONLY | os.O_CLOEXEC)
