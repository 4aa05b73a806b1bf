"""The tables, as an ordered tuple of migrations: the database's `user_version` says how many of them it has had."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

_FIRST = """
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    published_at REAL NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX messages_by_key ON messages (key);

-- One row for each key that has messages. `available_at` is the end of its lease, or of the delay after it was given back.
CREATE TABLE keys (
    key TEXT PRIMARY KEY,
    connector TEXT NOT NULL,
    head INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    deliveries INTEGER NOT NULL DEFAULT 0,
    available_at REAL NOT NULL DEFAULT 0,
    lease TEXT,
    owner TEXT
) WITHOUT ROWID;
CREATE INDEX keys_in_line ON keys (connector, head, available_at);
CREATE INDEX keys_leased ON keys (owner) WHERE lease IS NOT NULL;

CREATE TABLE audiences (
    connector TEXT NOT NULL,
    id TEXT NOT NULL,
    record BLOB NOT NULL,
    hold_reason TEXT,
    due_at REAL,
    asked_at REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (connector, id)
) WITHOUT ROWID;
CREATE INDEX audiences_held ON audiences (due_at) WHERE hold_reason IS NOT NULL;
CREATE INDEX audiences_due ON audiences (asked_at, due_at) WHERE hold_reason IS NOT NULL AND due_at IS NOT NULL;

CREATE TABLE waiting (
    row INTEGER PRIMARY KEY,
    connector TEXT NOT NULL,
    audience TEXT NOT NULL,
    place INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    added_at REAL NOT NULL,
    received_at REAL NOT NULL,
    items INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (connector, audience, place),
    UNIQUE (connector, audience, message_id),
    FOREIGN KEY (connector, audience) REFERENCES audiences (connector, id) ON DELETE CASCADE
);
CREATE INDEX waiting_by_age ON waiting (connector, audience, received_at);

CREATE TABLE documents (
    applied INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE document_versions (
    document TEXT NOT NULL REFERENCES documents (name) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (document, number)
);
CREATE TABLE states (
    connector TEXT PRIMARY KEY,
    document TEXT NOT NULL REFERENCES documents (name) ON DELETE CASCADE,
    record BLOB NOT NULL
);
CREATE INDEX states_of_document ON states (document);
CREATE TABLE chosen_default (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    document TEXT NOT NULL REFERENCES documents (name) ON DELETE CASCADE
);

-- The calls admitted in the last period: `calls` and `items` count up over all rows of the connector; `at` in microseconds.
CREATE TABLE admissions (
    connector TEXT NOT NULL,
    calls INTEGER NOT NULL,
    items INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (connector, calls)
) WITHOUT ROWID;
CREATE INDEX admissions_by_time ON admissions (connector, at, calls, items);
CREATE INDEX admissions_by_items ON admissions (connector, items, at);

CREATE TABLE attempts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT NOT NULL,
    nth INTEGER NOT NULL,
    at REAL NOT NULL,
    failed INTEGER NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (connector, nth)
);
CREATE INDEX attempts_of_connector ON attempts (connector);
CREATE INDEX attempts_failed ON attempts (connector) WHERE failed;
CREATE INDEX attempts_failed_of_all ON attempts (number) WHERE failed;

-- A turn that is repeated after the death of its worker rejects the same mutations again: they count once.
CREATE TABLE rejections (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    connector TEXT NOT NULL,
    audience TEXT NOT NULL,
    request_id TEXT NOT NULL,
    place INTEGER NOT NULL,
    action TEXT NOT NULL,
    user_hash TEXT NOT NULL,
    at REAL NOT NULL,
    record BLOB NOT NULL,
    UNIQUE (connector, request_id, place, action)
);
CREATE INDEX rejections_of_connector ON rejections (connector);
CREATE INDEX rejections_of_audience ON rejections (connector, audience);
CREATE INDEX rejections_of_user ON rejections (user_hash);
CREATE INDEX rejections_by_age ON rejections (connector, at);

CREATE TABLE counters (
    connector TEXT NOT NULL,
    minute INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (connector, minute, outcome)
) WITHOUT ROWID;
CREATE INDEX counters_by_minute ON counters (minute);
CREATE TABLE latencies (
    connector TEXT NOT NULL,
    minute INTEGER NOT NULL,
    within_ms INTEGER NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (connector, minute, within_ms)
) WITHOUT ROWID;
CREATE INDEX latencies_by_minute ON latencies (minute);

CREATE TABLE tokens (
    name TEXT PRIMARY KEY,
    record BLOB,
    owner TEXT NOT NULL DEFAULT '',
    lease_until REAL NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE audit (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    record BLOB NOT NULL
);
CREATE INDEX audit_by_age ON audit (at);
"""

# `occupies`: the partner's ID that is this audience's alone. Of several that had the same one before this was looked after, each
# keeps it.
_PARTNER_IDS = """
ALTER TABLE audiences ADD COLUMN occupies TEXT;
UPDATE audiences SET occupies = json_extract(CAST(record AS TEXT), '$.partner_id')
    WHERE coalesce(json_extract(CAST(record AS TEXT), '$.answers_to'), '') = '';
CREATE INDEX audiences_occupying ON audiences (connector, occupies) WHERE occupies IS NOT NULL;
"""

# `position`: of the message that it is a copy of. What waits without users: replays, and that an audience was created.
# `notices`: of which state of a connector somebody was told.
_JOURNAL = """
CREATE TABLE journal (
    position INTEGER PRIMARY KEY,
    connector TEXT NOT NULL,
    audience TEXT NOT NULL,
    accepted_at REAL NOT NULL,
    items INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX journal_of_audience ON journal (connector, audience, position, accepted_at, items);
CREATE INDEX journal_by_age ON journal (connector, accepted_at);
CREATE INDEX waiting_without_users ON waiting (connector, audience) WHERE items = 0;

CREATE TABLE notices (
    connector TEXT PRIMARY KEY,
    record BLOB NOT NULL
) WITHOUT ROWID;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _PARTNER_IDS, _JOURNAL)
"""Never change one that was released: append another."""


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the database has had."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def migrate(connection: sqlite3.Connection, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Applies what is missing, all or nothing; safe when several processes do so at once."""
    connection.execute("BEGIN EXCLUSIVE")
    try:
        for script in migrations[version_of(connection) :]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {max(version_of(connection), len(migrations))}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    # `executescript` would commit the transaction that holds the migration together.
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
    if pending.strip():
        raise ValueError("A migration ends within a statement.")
