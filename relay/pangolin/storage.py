"""What Pangolin remembers: audiences, members, calls and the faults in force, in one SQLite file."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

KEPT_CALLS = 10_000
"""So many of the newest calls are kept."""

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE audiences (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, reference TEXT UNIQUE,
    size INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL
);
CREATE TABLE members (
    number INTEGER PRIMARY KEY AUTOINCREMENT, audience INTEGER NOT NULL REFERENCES audiences (number), user TEXT NOT NULL,
    UNIQUE (audience, user)
);
CREATE INDEX members_by_arrival ON members (audience, number);
CREATE TABLE calls (
    number INTEGER PRIMARY KEY AUTOINCREMENT, time REAL NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    count INTEGER NOT NULL, status INTEGER NOT NULL
);
CREATE TABLE faults (only_row INTEGER PRIMARY KEY CHECK (only_row = 1), document TEXT NOT NULL);
"""


class Unusable(Exception):
    """The database file cannot be used; the text says why in one line."""


class StoredAudience(msgspec.Struct, frozen=True):
    """One audience. `number`: its place in the order of creation, not part of the API."""

    number: int
    id: str
    name: str
    reference: str | None
    size: int


class StoredCall(msgspec.Struct, frozen=True):
    """One call to `/api/audiences…`. `time`: its arrival, seconds since the epoch. `count`: users in its body. `status` 0: no
    answer was given (yet)."""

    time: float
    method: str
    path: str
    count: int
    status: int


class Storage:
    """Opens the file, making it if it is not there. Raises `Unusable`. Used from one thread at a time."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            self._db = sqlite3.connect(path, isolation_level=None, timeout=5, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._migrate()
        except (OSError, sqlite3.Error) as error:
            raise Unusable(f"Pangolin cannot use its database {path}: {error}.") from error

    def close(self) -> None:
        """Nothing may be called afterwards."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def revision(self) -> str:
        """Differs whenever something was written, by this process or another."""
        by_others = self._db.execute("PRAGMA data_version").fetchone()[0]
        return f"{by_others}.{self._db.total_changes}"

    # audiences
    def add_audience(self, name: str, reference: str | None, *, at: float) -> tuple[StoredAudience, bool]:
        """The audience with this reference, and whether it was made just now. Without a reference a new one each time."""
        made = self._db.execute(
            "INSERT INTO audiences (id, name, reference, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (reference) DO NOTHING",
            (f"pg_{secrets.token_hex(8)}", name, reference, at),
        )
        if made.rowcount:
            row = self._db.execute(f"{_AUDIENCE} WHERE number = ?", (made.lastrowid,)).fetchone()
        else:
            row = self._db.execute(f"{_AUDIENCE} WHERE reference = ?", (reference,)).fetchone()
        return StoredAudience(*row), bool(made.rowcount)

    def remove_audience(self, audience: StoredAudience) -> None:
        """It and its members; its reference is free for another."""
        self._db.execute("DELETE FROM members WHERE audience = ?", (audience.number,))
        self._db.execute("DELETE FROM audiences WHERE number = ?", (audience.number,))

    def audience(self, audience_id: str) -> StoredAudience | None:
        row = self._db.execute(f"{_AUDIENCE} WHERE id = ?", (audience_id,)).fetchone()
        return StoredAudience(*row) if row else None

    def audiences(self, *, after: int = 0, limit: int) -> list[StoredAudience]:
        """Oldest first, from behind the number `after`."""
        return [
            StoredAudience(*row)
            for row in self._db.execute(f"{_AUDIENCE} WHERE number > ? ORDER BY number LIMIT ?", (after, limit))
        ]

    def newest_audiences(self, *, before: int | None, limit: int) -> list[StoredAudience]:
        """Newest first, from before the number `before`."""
        return [
            StoredAudience(*row)
            for row in self._db.execute(
                f"{_AUDIENCE} WHERE number < ? ORDER BY number DESC LIMIT ?", (_or_end(before), limit)
            )
        ]

    def totals(self) -> tuple[int, int, int]:
        """Numbers of audiences, of members in all of them, and of calls since the beginning."""
        audiences, members = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM audiences").fetchone()
        calls = self._db.execute("SELECT coalesce(max(number), 0) FROM calls").fetchone()[0]
        return audiences, members, calls

    # members
    def add_members(self, audience: StoredAudience, users: Sequence[str]) -> None:
        """Those that are members already stay what they are."""
        rows = ((audience.number, user) for user in users)
        added = self._db.executemany("INSERT INTO members (audience, user) VALUES (?, ?) ON CONFLICT DO NOTHING", rows)
        self._grow(audience, added.rowcount)

    def remove_members(self, audience: StoredAudience, users: Sequence[str]) -> None:
        """Those that are no members are passed over."""
        rows = ((audience.number, user) for user in users)
        removed = self._db.executemany("DELETE FROM members WHERE audience = ? AND user = ?", rows)
        self._grow(audience, -removed.rowcount)

    def members(self, audience: StoredAudience, *, after: str, limit: int) -> list[str]:
        """In the order of their IDs, from behind `after`."""
        rows = self._db.execute(
            "SELECT user FROM members WHERE audience = ? AND user > ? ORDER BY user LIMIT ?", (audience.number, after, limit)
        )
        return [row[0] for row in rows]

    def newest_members(self, audience: StoredAudience, *, before: int | None, limit: int) -> list[tuple[int, str]]:
        """(number, user), the last arrived first, from before the number `before`."""
        return self._db.execute(
            "SELECT number, user FROM members WHERE audience = ? AND number < ? ORDER BY number DESC LIMIT ?",
            (audience.number, _or_end(before), limit),
        ).fetchall()

    def _grow(self, audience: StoredAudience, by: int) -> None:
        if by:
            self._db.execute("UPDATE audiences SET size = size + ? WHERE number = ?", (by, audience.number))

    # calls
    def add_call(self, call: StoredCall) -> int:
        """Returns its number, for `answered`."""
        number = self._db.execute(
            "INSERT INTO calls (time, method, path, count, status) VALUES (?, ?, ?, ?, ?)",
            (call.time, call.method, call.path, call.count, call.status),
        ).lastrowid
        assert number is not None  # noqa: S101 - an INSERT has one
        if number % 100 == 0:
            self._db.execute("DELETE FROM calls WHERE number <= ?", (number - KEPT_CALLS,))
        return number

    def answered(self, number: int, status: int) -> None:
        """The call with this number got its answer."""
        self._db.execute("UPDATE calls SET status = ? WHERE number = ?", (status, number))

    def calls(self, *, limit: int = KEPT_CALLS) -> list[StoredCall]:
        """The newest so many, oldest first."""
        rows = self._db.execute(
            "SELECT time, method, path, count, status FROM calls ORDER BY number DESC LIMIT ?", (min(limit, KEPT_CALLS),)
        ).fetchall()
        return [StoredCall(*row) for row in reversed(rows)]

    # faults
    def faults(self) -> str:
        """The document as it was stored; empty if there is none."""
        row = self._db.execute("SELECT document FROM faults").fetchone()
        return row[0] if row else ""

    def set_faults(self, document: str) -> None:
        """Empty: none."""
        if document:
            self._db.execute("INSERT OR REPLACE INTO faults (only_row, document) VALUES (1, ?)", (document,))
        else:
            self._db.execute("DELETE FROM faults")

    def _migrate(self) -> None:
        with self.transaction():
            version: Any = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version == 0:
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
            elif version != _SCHEMA_VERSION:
                raise sqlite3.DatabaseError(f"it was written by another version of Pangolin (schema {version})")


_AUDIENCE = "SELECT number, id, name, reference, size FROM audiences"


def _or_end(before: int | None) -> int:
    return 2**63 - 1 if before is None else before
