"""SQLite's errors as `StoreUnavailable`, in sentences that an operator understands."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from relay.domain.errors import StoreUnavailable

_PRIMARY = 0xFF
"""An extended result code holds the primary one in its lowest byte (https://sqlite.org/rescode.html)."""

_SENTENCES = {
    sqlite3.SQLITE_BUSY: "The database stayed locked by another process for too long.",
    sqlite3.SQLITE_LOCKED: "The database stayed locked for too long.",
    sqlite3.SQLITE_FULL: "The disk is full: nothing more can be stored.",
    sqlite3.SQLITE_IOERR: "The disk reported an error while the database was read or written.",
    sqlite3.SQLITE_CORRUPT: "The database file is damaged.",
    sqlite3.SQLITE_NOTADB: "The database file is not a database.",
    sqlite3.SQLITE_READONLY: "The database may not be written: see the permissions of the state directory.",
    sqlite3.SQLITE_PERM: "The database may not be read: see the permissions of the state directory.",
    sqlite3.SQLITE_CANTOPEN: "The database file is missing or may not be opened.",
}


def result_code(error: BaseException | None) -> int:
    """SQLite's primary result code of an error; 0 if it has none."""
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY


class DiskFull(StoreUnavailable):
    """What was to be stored did not fit; something smaller might."""


def unavailable(error: sqlite3.Error) -> StoreUnavailable:
    """What it is to those who know nothing of SQLite."""
    code = result_code(error)
    sentence = _SENTENCES.get(code, "The database could not carry out an operation.")
    return (DiskFull if code == sqlite3.SQLITE_FULL else StoreUnavailable)(sentence)


@contextmanager
def readable() -> Iterator[None]:
    """Turns errors of the database within the block into `StoreUnavailable`."""
    try:
        yield
    except sqlite3.Error as error:
        raise unavailable(error) from error
