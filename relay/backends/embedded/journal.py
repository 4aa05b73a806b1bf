"""`interfaces.Journal` on SQLite: a table that is written in the transaction that enqueues (`messages.append`)."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Generator, Sequence

from relay.backends.embedded.audience_rows import A_REPLAY
from relay.backends.embedded.connector_rows import live_connector, load_state
from relay.backends.embedded.database import Database
from relay.backends.interfaces import Journaled, JournalSize
from relay.domain.message import decode

_PAGE_BYTES = 1024 * 1024
_DELETED_AT_ONCE = 200
_DELETED_BYTES = 4 * 1024 * 1024
"""Deleted in one transaction: what is deleted is overwritten, and goes through the database's log."""

_BEGINNING_BEFORE = """
WITH RECURSIVE names (name) AS (
    SELECT min(audience) FROM journal INDEXED BY journal_of_audience WHERE connector = :connector
    UNION ALL
    SELECT (
        SELECT min(audience) FROM journal INDEXED BY journal_of_audience WHERE connector = :connector AND audience > names.name
    ) FROM names WHERE names.name IS NOT NULL
)
SELECT name FROM names WHERE name IS NOT NULL AND :before > (
    SELECT accepted_at FROM journal INDEXED BY journal_of_audience
    WHERE connector = :connector AND audience = names.name ORDER BY position LIMIT 1
)
"""

_REPLAYS_WAIT = f"SELECT DISTINCT audience FROM waiting WHERE connector = ? AND {A_REPLAY}"  # noqa: S608 - ours

_FIRST_ONES = """
SELECT position, accepted_at, length(body) FROM journal INDEXED BY journal_of_audience
WHERE connector = ? AND audience = ? ORDER BY position LIMIT ?
"""


class EmbeddedJournal:
    """Never behind: what was accepted is in it, from the moment on at which it was switched on."""

    late_s = 0.0

    def __init__(self, database: Database) -> None:
        self._database = database

    def sizes(self, connector: str, *, since: float) -> list[JournalSize]:
        found = self._database.rows(
            "SELECT audience, count(*), sum(items), min(accepted_at) FROM journal"
            " WHERE connector = ? AND accepted_at >= ? GROUP BY audience ORDER BY audience",
            (connector, since),
        )
        return [JournalSize(*row) for row in found]

    def entries(
        self, connector: str, audience_id: str, *, since: float, after: int, until: int | None
    ) -> Generator[Journaled, None, None]:
        # Clocks are set back now and then: what follows the first one is what was accepted after it, whatever the time.
        if not after:
            first = self._database.row(
                "SELECT position FROM journal WHERE connector = ? AND audience = ? AND accepted_at >= ?"
                " ORDER BY position LIMIT 1",
                (connector, audience_id, since),
            )
            if first is None:
                return
            after = first[0] - 1
        page = self._page(connector, audience_id, after, until)
        while page:
            yield from page
            page = self._page(connector, audience_id, page[-1].position, until)

    def _page(self, connector: str, audience_id: str, after: int, until: int | None) -> list[Journaled]:
        """The next entries, a few megabytes of them. A reader that stays for long would make the database's log grow."""
        found: list[Journaled] = []
        size = 0
        with self._database.snapshot() as connection:
            for position, accepted_at, body in connection.execute(
                "SELECT position, accepted_at, body FROM journal WHERE connector = ? AND audience = ? AND position > ?"
                " AND (? IS NULL OR position <= ?) ORDER BY position",
                (connector, audience_id, after, until, until),
            ):
                found.append(Journaled(position, accepted_at, decode(body)))
                size += len(body)
                if size >= _PAGE_BYTES:
                    break
        return found

    # for tidying

    def connectors(self) -> list[str]:
        """Those of which there is anything."""
        found = self._database.rows(
            "WITH RECURSIVE names (name) AS (SELECT min(connector) FROM journal UNION ALL"
            " SELECT (SELECT min(connector) FROM journal WHERE connector > names.name) FROM names WHERE names.name IS NOT NULL)"
            " SELECT name FROM names WHERE name IS NOT NULL"
        )
        return [name for (name,) in found]

    def tidy(self, connector: str, *, now: float) -> None:
        """Deletes what is older than the connector's running version keeps, or all of it where the journal is off; a part at a
        time. What a replay that waits in a hold still has to send stays until it has: to send only the older half of it would
        undo what is at the partner.

        Of each audience what is deleted is its beginning, never something from the middle: after a clock was set back, what was
        accepted later may seem to be older. It stays for as long as what is in front of it.
        """
        with self._database.snapshot() as connection:
            before = _kept_since(connection, connector, now)
            found = connection.execute(_BEGINNING_BEFORE, {"connector": connector, "before": before})
            audiences = [name for (name,) in found]
        while audiences:
            # Not durable, since there may be very many: what a loss of power brings back is deleted the next time.
            with self._database.transaction(durable=False) as connection:
                audiences = _delete_some(connection, connector, audiences, now)


def _kept_since(connection: sqlite3.Connection, connector: str, now: float) -> float:
    state, running = load_state(connection, connector), live_connector(connection, connector)
    is_on = state is not None and state.journal_since > 0
    return now - running.retention.journal_s if is_on and running is not None else math.inf


def _delete_some(connection: sqlite3.Connection, connector: str, audiences: Sequence[str], now: float) -> list[str]:
    """Deletes what is too old at the beginnings of these audiences, up to what one transaction takes; those that are left."""
    # Looked up in each transaction: it may be switched on, and replays may be asked for, meanwhile.
    before = _kept_since(connection, connector, now)
    spared = {audience for (audience,) in connection.execute(_REPLAYS_WAIT, (connector,))}
    number = size = 0
    for done, audience in enumerate(audiences):
        if audience in spared:
            continue
        old = []
        for position, accepted_at, length in connection.execute(_FIRST_ONES, (connector, audience, _DELETED_AT_ONCE)):
            if accepted_at >= before:
                break
            old.append((position,))
            size += length
            if number + len(old) >= _DELETED_AT_ONCE or size >= _DELETED_BYTES:
                break
        connection.executemany("DELETE FROM journal WHERE position = ?", old)
        number += len(old)
        if number >= _DELETED_AT_ONCE or size >= _DELETED_BYTES:
            return list(audiences[done:])
    return []
