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

WORKERS_BYTES = 64 * 1024 * 1024
"""Left to workers and operators: 32 turns whose messages (512 KB at most) are in the queue and in a hold at the same time, the
log of that, and reports. Free space within the database counts, too: deleted messages leave it there."""

LOG_BYTES = 8 * 1024 * 1024
"""Of these, what must be free on the disk itself: twice as much as the log takes before it is written back and begins anew
(https://sqlite.org/wal.html#avoiding_excessively_large_wal_files)."""


def require_room(connection: sqlite3.Connection, database: Path, size: int) -> None:
    """Raises `DiskFull` where so many bytes, stored, would take of what is left to the workers. Within a transaction."""
    disk = os.statvfs(database.parent)
    page_size, pages, unused = (
        connection.execute(f"PRAGMA {pragma}").fetchone()[0] for pragma in ("page_size", "page_count", "freelist_count")
    )
    # The database's new pages are in the log only, until that is written back.
    owed = max(0, pages * page_size - database.stat().st_size)
    free = disk.f_bavail * disk.f_frsize - owed
    if free < LOG_BYTES + size or free + unused * page_size < WORKERS_BYTES + 2 * size:
        raise DiskFull("The disk is nearly full: no more requests are stored, so that what was accepted can still be delivered.")
