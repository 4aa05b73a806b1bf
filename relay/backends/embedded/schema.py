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

# What somebody writes in the console and has not finished.
_DRAFTS = """
CREATE TABLE drafts (
    key TEXT PRIMARY KEY,
    revision INTEGER NOT NULL,
    changed_at REAL NOT NULL,
    record BLOB NOT NULL
) WITHOUT ROWID;
"""

# What pages show is added up as it is written, so that no page counts rows. By hours: counters and latencies (`hours`: hour of
# the day → what is counted → number, as JSON, since many small rows take long to read), and rejections, by triggers, since
# several parts write and delete them; `newest`: number of the newest of those.
# Of an audience: what is counted of it, and what a search looks at.
ADDED_UP = """
INSERT INTO daily_{table} SELECT connector, hour / 24 * 86400, json_group_object(hour % 24, json(numbers)) FROM (
    SELECT connector, hour, json_group_object({column}, number) AS numbers FROM (
        SELECT connector, minute / 3600 AS hour, {column}, sum(number) AS number FROM {table} GROUP BY 1, 2, 3
    ) GROUP BY connector, hour
) GROUP BY 1, 2;"""
"""All minutes of a table, added up."""

REJECTIONS_ADDED_UP = """
INSERT INTO hourly_rejections (connector, hour, action, code, number, newest)
    SELECT connector, CAST(at / 3600 AS INTEGER) * 3600, action, json_extract(CAST(record AS TEXT), '$.code'), count(*),
        max(number)
    FROM rejections GROUP BY 1, 2, 3, 4;"""
"""All rejections, added up."""

_COUNTED = """
CREATE TABLE daily_counters (
    connector TEXT NOT NULL,
    day INTEGER NOT NULL,
    hours TEXT NOT NULL,
    PRIMARY KEY (connector, day)
) WITHOUT ROWID;
CREATE INDEX daily_counters_by_day ON daily_counters (day);
{counters}
CREATE TABLE daily_latencies (
    connector TEXT NOT NULL,
    day INTEGER NOT NULL,
    hours TEXT NOT NULL,
    PRIMARY KEY (connector, day)
) WITHOUT ROWID;
CREATE INDEX daily_latencies_by_day ON daily_latencies (day);
{latencies}

CREATE TABLE hourly_rejections (
    connector TEXT NOT NULL,
    hour INTEGER NOT NULL,
    action TEXT NOT NULL,
    code TEXT NOT NULL,
    number INTEGER NOT NULL,
    newest INTEGER NOT NULL,
    PRIMARY KEY (connector, action, code, hour)
) WITHOUT ROWID;
{rejections}
-- Not an upsert: within a trigger, what the outer statement does about conflicts counts.
CREATE TRIGGER rejection_added AFTER INSERT ON rejections BEGIN
    INSERT OR IGNORE INTO hourly_rejections VALUES (
        NEW.connector, CAST(NEW.at / 3600 AS INTEGER) * 3600, NEW.action, json_extract(CAST(NEW.record AS TEXT), '$.code'), 0, 0
    );
    UPDATE hourly_rejections SET number = number + 1, newest = max(newest, NEW.number)
        WHERE connector = NEW.connector AND hour = CAST(NEW.at / 3600 AS INTEGER) * 3600 AND action = NEW.action
            AND code = json_extract(CAST(NEW.record AS TEXT), '$.code');
END;
CREATE TRIGGER rejection_removed AFTER DELETE ON rejections BEGIN
    UPDATE hourly_rejections SET number = number - 1
        WHERE connector = OLD.connector AND hour = CAST(OLD.at / 3600 AS INTEGER) * 3600 AND action = OLD.action
            AND code = json_extract(CAST(OLD.record AS TEXT), '$.code');
    DELETE FROM hourly_rejections
        WHERE connector = OLD.connector AND hour = CAST(OLD.at / 3600 AS INTEGER) * 3600 AND action = OLD.action
            AND code = json_extract(CAST(OLD.record AS TEXT), '$.code') AND number = 0;
    -- Mostly the oldest go first, so that this finds nothing to do; and what is as old is near in the line.
    UPDATE hourly_rejections SET newest = (
            SELECT one.number FROM rejections AS one
            WHERE one.connector = OLD.connector AND one.number < OLD.number AND one.action = OLD.action
                AND CAST(one.at / 3600 AS INTEGER) * 3600 = hourly_rejections.hour
                AND json_extract(CAST(one.record AS TEXT), '$.code') = hourly_rejections.code
            ORDER BY one.number DESC LIMIT 1
        )
        WHERE connector = OLD.connector AND hour = CAST(OLD.at / 3600 AS INTEGER) * 3600 AND action = OLD.action
            AND code = json_extract(CAST(OLD.record AS TEXT), '$.code') AND newest = OLD.number;
END;

ALTER TABLE audiences ADD COLUMN status TEXT NOT NULL DEFAULT 'unknown';
ALTER TABLE audiences ADD COLUMN answers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audiences ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audiences ADD COLUMN batches INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audiences ADD COLUMN items INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audiences ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE audiences ADD COLUMN oldest_at REAL;
ALTER TABLE audiences ADD COLUMN sought TEXT NOT NULL DEFAULT '';
UPDATE audiences SET
    status = coalesce(json_extract(CAST(record AS TEXT), '$.status'), 'unknown'),
    answers = coalesce(json_extract(CAST(record AS TEXT), '$.answers_to'), '') <> '',
    paused = coalesce(json_extract(CAST(record AS TEXT), '$.paused'), 0),
    batches = coalesce(json_extract(CAST(record AS TEXT), '$.hold.batches'), 0),
    items = coalesce(json_extract(CAST(record AS TEXT), '$.hold.items'), 0),
    bytes = coalesce(json_extract(CAST(record AS TEXT), '$.hold.bytes'), 0),
    oldest_at = nullif(json_extract(CAST(record AS TEXT), '$.hold.oldest_at'), 0),
    sought = sought_in(
        id, json_extract(CAST(record AS TEXT), '$.name'), json_extract(CAST(record AS TEXT), '$.partner_id')
    );
CREATE INDEX audiences_summed ON audiences (connector, status, answers, hold_reason);
CREATE INDEX audiences_held_by_reason
    ON audiences (connector, hold_reason, id, paused, batches, items, bytes, oldest_at, due_at, asked_at)
    WHERE hold_reason IS NOT NULL;
CREATE INDEX audiences_by_status ON audiences (status, connector, id) WHERE status <> 'ready';
CREATE INDEX audiences_paused ON audiences (connector, id) WHERE paused;
""".replace("{counters}", ADDED_UP.format(table="counters", column="outcome")).replace(
    "{latencies}", ADDED_UP.format(table="latencies", column="within_ms")
).replace("{rejections}", REJECTIONS_ADDED_UP)

ATTEMPT_ID = "json_extract(CAST(record AS TEXT), '$.attempt_id')"
"""Of an attempt's row, as its index has it: written so, a query finds it at once."""

_ATTEMPT_IDS = f"""
CREATE INDEX attempts_by_id ON attempts ({ATTEMPT_ID});
"""

# Behind the record, so that who reads only that does not read them.
_EXCHANGES = """
ALTER TABLE attempts ADD COLUMN exchanges BLOB;
"""

# What became of messages that somebody waits for.
_REPLIES = """
CREATE TABLE replies (
    request_id TEXT NOT NULL,
    part INTEGER NOT NULL,
    at REAL NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (request_id, part)
) WITHOUT ROWID;
CREATE INDEX replies_by_age ON replies (at);
"""

# Positions. `in_hand_to`: of the last message that was handed out with the lease that stands. `alone_to`: up to there each comes
# alone, since it was handed out together with others before.
_TOGETHER = """
ALTER TABLE keys ADD COLUMN in_hand_to INTEGER NOT NULL DEFAULT 0;
ALTER TABLE keys ADD COLUMN alone_to INTEGER NOT NULL DEFAULT 0;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _PARTNER_IDS, _JOURNAL, _DRAFTS, _COUNTED, _ATTEMPT_IDS, _EXCHANGES, _REPLIES, _TOGETHER)
"""Never change one that was released: append another."""


def sought_in(audience_id: str, name: str | None, partner_id: str | None) -> str:
    """What a search for audiences looks at, without case."""
    return "\n".join((audience_id, name or "", partner_id or "")).casefold()


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the database has had."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def migrate(connection: sqlite3.Connection, migrations: tuple[str, ...] = MIGRATIONS) -> None:
    """Applies what is missing, all or nothing; safe when several processes do so at once."""
    connection.create_function("sought_in", 3, sought_in, deterministic=True)
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
